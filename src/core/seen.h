/* core/seen.h - which stream ids of the other side have been seen, as intervals.
 * Spec: docs/protocol.md, section 5. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_CORE_SEEN_H
#define GODWIT_CORE_SEEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SEEN_RANGES_MAX = 4096 };

struct seen_range {
	uint64_t first, last; /* inclusive, counted in streams (id / 2) */
};

/* Zeroed memory has seen nothing. */
struct seen {
	struct seen_range *ranges; /* ascending, with gaps between them */
	size_t count, capacity;
};

void seen_clear(struct seen *s);
bool seen_has(const struct seen *s, uint64_t number);
/* GW_E_LIMIT when that would make too many intervals, GW_E_NOMEM. */
int seen_add(struct seen *s, uint64_t number);

#endif
