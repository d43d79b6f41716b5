/* tests/unit/core_names_open.h - what is inside a node, for core_names.c: core/types.h and
 * beacon/internal.h do not go together. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_TEST_CORE_NAMES_OPEN_H
#define GODWIT_TEST_CORE_NAMES_OPEN_H

#include "core/node.h"

/* The first beacon has been asked about that network, and does not answer: it is given up then. */
void names_leave_open(struct node *n, const uint8_t network[KEY_SIZE], gw_time until);

#endif
