/* SPDX-License-Identifier: Apache-2.0 */
#include "base/chain.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

struct chunk {
	struct chunk *next;
	uint64_t offset; /* of data[0] in the queue */
	size_t len, capacity;
	uint8_t data[];
};

/* Where the free chunks of this capacity are; NULL: they are not kept. */
static struct chunk **pooled(struct chain_pool *p, size_t capacity)
{
	for (int i = 0; p && i < CHAIN_POOL_SIZES; i++)
		if (capacity == (size_t)CHAIN_CHUNK_MAX >> i)
			return &p->free[i];
	return NULL;
}

static void drop_first(struct chain_pool *p, struct chunk **list)
{
	struct chunk *chunk = *list;

	*list = chunk->next;
	p->bytes -= chunk->capacity;
	free(chunk);
}

void chain_pool_clear(struct chain_pool *p)
{
	for (int i = 0; i < CHAIN_POOL_SIZES; i++)
		while (p->free[i])
			drop_first(p, &p->free[i]);
}

/* What is used now is wanted, not what was once. */
static void make_room(struct chain_pool *p, struct chunk **wanted, size_t capacity)
{
	for (int i = 0; i < CHAIN_POOL_SIZES; i++)
		while (&p->free[i] != wanted && p->free[i] && p->bytes + capacity > CHAIN_POOL_MAX)
			drop_first(p, &p->free[i]);
}

static void free_chunk(struct chain *c, struct chunk *chunk)
{
	struct chunk **list = pooled(c->pool, chunk->capacity);

	c->memory -= sizeof(*chunk) + chunk->capacity;
	if (list)
		make_room(c->pool, list, chunk->capacity);
	if (!list || c->pool->bytes + chunk->capacity > CHAIN_POOL_MAX) {
		free(chunk);
		return;
	}
	chunk->next = *list;
	*list = chunk;
	c->pool->bytes += chunk->capacity;
}

static struct chunk *alloc_chunk(struct chain *c, size_t capacity)
{
	struct chunk **list = pooled(c->pool, capacity), *chunk;

	if (list && *list) {
		chunk = *list;
		*list = chunk->next;
		c->pool->bytes -= capacity;
		return chunk;
	}
	chunk = malloc(sizeof(*chunk) + capacity);
	if (chunk)
		chunk->capacity = capacity;
	return chunk;
}

void chain_clear(struct chain *c)
{
	while (c->head) {
		struct chunk *next = c->head->next;

		free_chunk(c, c->head);
		c->head = next;
	}
	c->tail = c->cursor = NULL;
	c->start = c->emptied = c->end;
}

/* A chunk about as large as what is queued or as what came at once of late, within bounds: a quiet
 * queue stays small, one that fills and drains by turns has each turn in one piece. */
static struct chunk *add_chunk(struct chain *c, size_t want)
{
	size_t capacity = CHAIN_CHUNK_MIN, queued = chain_len(c);
	struct chunk *chunk;

	while (capacity < CHAIN_CHUNK_MAX &&
	       (capacity < want || capacity < queued || capacity < c->burst))
		capacity *= 2;
	chunk = alloc_chunk(c, capacity);
	if (!chunk)
		return NULL;
	chunk->next = NULL;
	chunk->offset = c->end;
	chunk->len = 0;
	if (c->tail)
		c->tail->next = chunk;
	else
		c->head = chunk;
	c->tail = chunk;
	c->memory += sizeof(*chunk) + capacity;
	return chunk;
}

uint8_t *chain_reserve(struct chain *c, size_t want, size_t *len)
{
	struct chunk *tail = c->tail;

	if (!tail || tail->len == tail->capacity)
		tail = add_chunk(c, want);
	if (!tail)
		return NULL;
	*len = tail->capacity - tail->len;
	return tail->data + tail->len;
}

void chain_commit(struct chain *c, size_t len)
{
	assert(c->tail && len <= c->tail->capacity - c->tail->len);
	c->tail->len += len;
	c->end += len;
}

/* Undo an append that ran out of memory halfway. */
static void truncate_to(struct chain *c, uint64_t end)
{
	struct chunk *chunk = c->head, *keep = NULL;

	while (chunk && chunk->offset < end) {
		keep = chunk;
		chunk = chunk->next;
	}
	while (chunk) {
		struct chunk *next = chunk->next;

		free_chunk(c, chunk);
		chunk = next;
	}
	c->tail = keep;
	c->cursor = NULL;
	c->end = end;
	if (!keep) {
		c->head = NULL;
		return;
	}
	keep->next = NULL;
	keep->len = (size_t)(end - keep->offset);
}

int chain_append(struct chain *c, const void *data, size_t len)
{
	const uint8_t *from = data;
	uint64_t end = c->end;

	while (len > 0) {
		size_t room;
		uint8_t *to = chain_reserve(c, len, &room);

		if (!to) {
			truncate_to(c, end);
			return GW_E_NOMEM;
		}
		if (room > len)
			room = len;
		memcpy(to, from, room);
		chain_commit(c, room);
		from += room;
		len -= room;
	}
	return 0;
}

const uint8_t *chain_at(struct chain *c, uint64_t offset, size_t *len)
{
	struct chunk *chunk = c->cursor;

	assert(offset >= c->start && offset <= c->end);
	*len = 0;
	if (offset == c->end)
		return NULL;
	if (!chunk || chunk->offset > offset)
		chunk = c->head;
	while (chunk->offset + chunk->len <= offset)
		chunk = chunk->next;
	c->cursor = chunk;
	*len = chunk->len - (size_t)(offset - chunk->offset);
	return chunk->data + (offset - chunk->offset);
}

/* It is empty. */
static void note_burst(struct chain *c)
{
	if (c->end > c->emptied)
		c->burst = (size_t)(c->end - c->emptied);
	c->emptied = c->end;
}

void chain_release(struct chain *c, uint64_t offset)
{
	assert(offset >= c->start && offset <= c->end);
	c->start = offset;
	while (c->head && c->head->offset + c->head->len <= offset) {
		struct chunk *gone = c->head;

		if (gone == c->tail)
			note_burst(c);
		/* Space may be reserved at the end of the last chunk. */
		if (gone == c->tail && gone->len < gone->capacity &&
		    gone->capacity == CHAIN_CHUNK_MIN)
			return;
		c->head = gone->next;
		if (gone == c->tail)
			c->tail = NULL;
		if (gone == c->cursor)
			c->cursor = NULL;
		free_chunk(c, gone);
	}
}
