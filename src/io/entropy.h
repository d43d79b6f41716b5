/* io/entropy.h - random bytes from the kernel. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_IO_ENTROPY_H
#define GODWIT_IO_ENTROPY_H

#include "base/rng.h"

/* Fills by getrandom(2).  Its fill() aborts the process when the kernel gives none: there is
 * no safe way to go on. */
void entropy_init(struct rng *out);

#endif
