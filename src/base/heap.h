/* base/heap.h - a binary heap of timers; the entries live inside their owners. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_BASE_HEAP_H
#define GODWIT_BASE_HEAP_H

#include <stddef.h>

#include "base/time.h"

/* Zeroed memory is "not in a heap". */
struct timer {
	gw_time at;
	size_t index; /* 1-based position; 0: not in the heap */
};

struct heap {
	struct timer **items; /* 1-based */
	size_t count, capacity;
};

void heap_clear(struct heap *h);
/* Insert or move.  GW_NEVER removes.  GW_E_NOMEM only when inserting. */
int heap_set(struct heap *h, struct timer *t, gw_time at);
void heap_remove(struct heap *h, struct timer *t); /* no-op when not inside */
struct timer *heap_top(const struct heap *h);      /* NULL when empty */

#endif
