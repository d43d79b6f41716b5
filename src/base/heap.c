/* SPDX-License-Identifier: Apache-2.0 */
#include "base/heap.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"

enum { FIT_FROM = 1024 };

void heap_clear(struct heap *h)
{
	for (size_t i = 1; i <= h->count; i++)
		h->items[i]->index = 0;
	free(h->items);
	memset(h, 0, sizeof(*h));
}

static void place(struct heap *h, struct timer *t, size_t index)
{
	h->items[index] = t;
	t->index = index;
}

static void sift_up(struct heap *h, struct timer *t, size_t i)
{
	for (; i > 1 && h->items[i / 2]->at > t->at; i /= 2)
		place(h, h->items[i / 2], i);
	place(h, t, i);
}

static void sift_down(struct heap *h, struct timer *t, size_t i)
{
	for (;;) {
		size_t child = 2 * i;

		if (child > h->count)
			break;
		if (child < h->count && h->items[child + 1]->at < h->items[child]->at)
			child++;
		if (h->items[child]->at >= t->at)
			break;
		place(h, h->items[child], i);
		i = child;
	}
	place(h, t, i);
}

static int insert(struct heap *h, struct timer *t)
{
	if (h->count + 1 >= h->capacity) {
		size_t capacity = h->capacity ? h->capacity * 2 : 16;
		struct timer **items = realloc(h->items, capacity * sizeof(*items));

		if (!items)
			return GW_E_NOMEM;
		h->items = items;
		h->capacity = capacity;
	}
	h->count++;
	sift_up(h, t, h->count);
	return 0;
}

int heap_set(struct heap *h, struct timer *t, gw_time at)
{
	gw_time before = t->at;

	if (at == GW_NEVER) {
		heap_remove(h, t);
		return 0;
	}
	t->at = at;
	if (t->index == 0)
		return insert(h, t);
	if (at < before)
		sift_up(h, t, t->index);
	else
		sift_down(h, t, t->index);
	return 0;
}

/* A crowd that has gone leaves no room for itself behind. */
static void fit(struct heap *h)
{
	size_t capacity = h->capacity / 2;
	struct timer **items;

	if (capacity < FIT_FROM || h->count >= capacity / 2)
		return;
	items = realloc(h->items, capacity * sizeof(*items));
	if (!items)
		return;
	h->items = items;
	h->capacity = capacity;
}

void heap_remove(struct heap *h, struct timer *t)
{
	size_t index = t->index;
	struct timer *last;

	if (index == 0)
		return;
	t->index = 0;
	last = h->items[h->count--];
	if (last != t && index > 1 && h->items[index / 2]->at > last->at)
		sift_up(h, last, index);
	else if (last != t)
		sift_down(h, last, index);
	fit(h);
}

struct timer *heap_top(const struct heap *h)
{
	return h->count ? h->items[1] : NULL;
}
