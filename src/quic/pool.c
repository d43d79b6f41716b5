/* SPDX-License-Identifier: Apache-2.0 */
#include "quic/pool.h"

#include <stdlib.h>
#include <string.h>

#include "base/pages.h"

enum {
	PAGE = 4096,
	WARM_MAX = 64,           /* free blocks of a size that keep their pages */
	BIG = 4000,              /* from here on a block has pages of its own */
	REGION = 4 << 20,        /* of address space */
	SMALL = QUIC_POOL_SIZES, /* instead of the index of a size: from malloc() */
};

/* Before each block. */
struct quic_block {
	size_t index;  /* of its size */
	size_t unused; /* for alignment to 16 */
};

struct quic_region {
	struct quic_region *next;
};

static struct quic_block *block_of(void *data)
{
	return (struct quic_block *)data - 1;
}

static void *small(struct quic_block *b)
{
	if (!b)
		return NULL;
	b->index = SMALL;
	return b + 1;
}

/* Which size it is; SMALL: there are too many others. */
static size_t index_of(struct quic_pool *p, size_t size)
{
	size_t i = 0;

	while (i < QUIC_POOL_SIZES && p->sizes[i].size != size && p->sizes[i].size != 0)
		i++;
	if (i < QUIC_POOL_SIZES)
		p->sizes[i].size = size;
	return i;
}

static bool add_region(struct quic_pool *p)
{
	struct quic_region *r = pages_map(REGION);

	if (!r)
		return false;
	r->next = p->regions;
	p->regions = r;
	p->left = REGION - PAGE;
	return true;
}

static size_t space_of(size_t size)
{
	return (sizeof(struct quic_block) + size + PAGE - 1) / PAGE * PAGE;
}

static struct quic_block *carve(struct quic_pool *p, size_t size)
{
	size_t need = space_of(size);

	if (p->left < need && !add_region(p))
		return NULL;
	p->left -= need;
	return (struct quic_block *)(void *)((uint8_t *)p->regions + PAGE + p->left);
}

static struct quic_block *pop(struct quic_size *s)
{
	struct quic_block *b;

	if (s->count == 0)
		return NULL;
	b = s->free[--s->count];
	if (s->cold > s->count)
		s->cold = s->count;
	return b;
}

static void push(struct quic_size *s, struct quic_block *b)
{
	if (s->count == s->capacity) {
		size_t capacity = s->capacity ? 2 * s->capacity : 2 * WARM_MAX;
		struct quic_block **all = realloc(s->free, capacity * sizeof(*all));

		if (!all) {
			pages_give_back(b, space_of(s->size));
			return; /* the address is lost until the pool goes */
		}
		s->free = all;
		s->capacity = capacity;
	}
	s->free[s->count++] = b;
	if (s->count - s->cold > WARM_MAX)
		pages_give_back(s->free[s->cold++], space_of(s->size));
}

static void *pool_malloc(size_t size, void *user)
{
	struct quic_pool *p = user;
	size_t i = size >= BIG && size < REGION / 8 ? index_of(p, size) : SMALL;
	struct quic_block *b;

	if (i == SMALL)
		return small(malloc(sizeof(*b) + size));
	b = pop(&p->sizes[i]);
	if (!b)
		b = carve(p, size);
	if (!b)
		return NULL;
	b->index = i;
	return b + 1;
}

static void pool_free(void *data, void *user)
{
	struct quic_pool *p = user;
	struct quic_block *b;

	if (!data)
		return;
	b = block_of(data);
	if (b->index == SMALL)
		free(b);
	else
		push(&p->sizes[b->index], b);
}

/* Zeroed is touched: no better than from malloc(). */
static void *pool_calloc(size_t count, size_t size, void *user)
{
	(void)user;
	if (size > 0 && count > (SIZE_MAX - sizeof(struct quic_block)) / size)
		return NULL;
	return small(calloc(1, sizeof(struct quic_block) + count * size));
}

static void *pool_realloc(void *data, size_t size, void *user)
{
	struct quic_pool *p = user;
	size_t before;
	void *to;

	if (!data)
		return pool_malloc(size, user);
	if (block_of(data)->index == SMALL)
		return small(realloc(block_of(data), sizeof(struct quic_block) + size));
	before = p->sizes[block_of(data)->index].size;
	to = pool_malloc(size, user);
	if (!to)
		return NULL;
	memcpy(to, data, before < size ? before : size);
	pool_free(data, user);
	return to;
}

void quic_pool_init(struct quic_pool *p)
{
	*p = (struct quic_pool){
		.mem = { p, pool_malloc, pool_free, pool_calloc, pool_realloc },
	};
}

void quic_pool_clear(struct quic_pool *p)
{
	while (p->regions) {
		struct quic_region *r = p->regions;

		p->regions = r->next;
		pages_unmap(r, REGION);
	}
	for (size_t i = 0; i < QUIC_POOL_SIZES; i++)
		free(p->sizes[i].free);
	quic_pool_init(p);
}
