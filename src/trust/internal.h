/* trust/internal.h - what a delegate may give; shared by those who check and those who sign. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_TRUST_INTERNAL_H
#define GODWIT_TRUST_INTERNAL_H

#include "trust/trust.h"

bool delegate_allows_name(const struct wire_certificate *delegate, const char *name);
uint32_t delegate_longest(const struct wire_certificate *delegate); /* seconds */
/* A moment at which it is valid; TRUST_EARLY, TRUST_EXPIRED. */
enum trust_refusal certificate_at(const struct wire_certificate *c, uint32_t now_s);

#endif
