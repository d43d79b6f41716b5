/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/heap.h"
#include "base/keymap.h"
#include "base/list.h"
#include "store/store.h"

/* Some 100 bytes and the record. */
struct entry {
	struct keymap_item by_key;
	struct timer expiry;
	uint64_t sequence;
	uint16_t len;
	uint8_t record[];
};

/* An operation waits here until somebody asks for its answer: then it is done. */
struct waiting {
	struct list_item link;
	struct directory_op op;
	uint8_t record[];
};

struct memory {
	struct store store;
	struct keymap by_key;
	struct heap expiries;
	struct list queue;
	size_t max;
};

static struct memory *of(struct store *s)
{
	return container_of(s, struct memory, store);
}

static void drop(struct memory *m, struct entry *e)
{
	keymap_remove(&m->by_key, &e->by_key);
	heap_remove(&m->expiries, &e->expiry);
	free(e);
}

static void expire(struct memory *m, gw_time now)
{
	struct timer *t;

	while ((t = heap_top(&m->expiries)) && t->at <= now)
		drop(m, container_of(t, struct entry, expiry));
}

static struct entry *find(const struct memory *m, const uint8_t *key)
{
	struct keymap_item *i = keymap_get(&m->by_key, key);

	return i ? container_of(i, struct entry, by_key) : NULL;
}

static struct entry *add(struct memory *m, const struct directory_op *op, gw_time at)
{
	struct entry *e = calloc(1, sizeof(*e) + op->record_len);

	if (!e)
		return NULL;
	memcpy(e->by_key.key, op->key, sizeof(op->key));
	e->sequence = op->sequence;
	e->len = (uint16_t)op->record_len;
	memcpy(e->record, op->record, op->record_len);
	if (heap_set(&m->expiries, &e->expiry, at) < 0 || keymap_put(&m->by_key, &e->by_key) < 0) {
		heap_remove(&m->expiries, &e->expiry);
		free(e);
		return NULL;
	}
	return e;
}

static gw_time ends_at(const struct directory_op *op, gw_time now)
{
	return now + op->ttl_s * GW_SEC;
}

static void put_if_newer(struct memory *m, const struct directory_op *op,
			 struct directory_answer *out, gw_time now)
{
	struct entry *old = find(m, op->key), *e;

	out->sequence = old ? old->sequence : 0;
	if (old && old->sequence >= op->sequence) {
		out->status = DIRECTORY_OLDER;
		return;
	}
	out->status = DIRECTORY_FAILED;
	if (!old && m->by_key.count >= m->max)
		return;
	if (old)
		keymap_remove(&m->by_key, &old->by_key);
	e = add(m, op, ends_at(op, now));
	if (e) {
		if (old)
			drop(m, old);
		out->status = DIRECTORY_OK;
		out->sequence = e->sequence;
	} else if (old) {
		(void)keymap_put(&m->by_key, &old->by_key); /* where it was: needs no memory */
	}
}

static void carry_out(struct memory *m, const struct directory_op *op, struct directory_answer *out,
		      gw_time now)
{
	struct entry *e = find(m, op->key);

	out->status = e ? DIRECTORY_OK : DIRECTORY_NOT_FOUND;
	out->sequence = e ? e->sequence : 0;
	switch (op->kind) {
	case DIRECTORY_PUT_IF_NEWER:
		put_if_newer(m, op, out, now);
		break;
	case DIRECTORY_GET:
		if (e) {
			out->record = e->record;
			out->record_len = e->len;
		}
		break;
	case DIRECTORY_TOUCH:
		if (e) /* inside the heap: needs no memory */
			(void)heap_set(&m->expiries, &e->expiry, ends_at(op, now));
		break;
	case DIRECTORY_DELETE:
		if (e)
			drop(m, e);
		break;
	}
}

static int memory_submit(struct store *s, const struct directory_op *op, gw_time now)
{
	bool put = op->kind == DIRECTORY_PUT_IF_NEWER;
	size_t len = put ? op->record_len : 0;
	struct waiting *w = malloc(sizeof(*w) + len);

	(void)now;
	assert(len <= DIRECTORY_RECORD_MAX);
	if (!w)
		return GW_E_NOMEM;
	*w = (struct waiting){ .op = *op };
	if (len > 0)
		memcpy(w->record, op->record, len);
	w->op.record = w->record;
	list_append(&of(s)->queue, &w->link);
	return 0;
}

static bool memory_next(struct store *s, struct directory_answer *out, gw_time now)
{
	struct memory *m = of(s);
	struct list_item *first = list_first(&m->queue);
	struct waiting *w;

	expire(m, now);
	if (!first)
		return false;
	list_remove(first);
	w = container_of(first, struct waiting, link);
	*out = (struct directory_answer){ .tag = w->op.tag };
	carry_out(m, &w->op, out, now);
	free(w);
	return true;
}

static size_t memory_count(const struct store *s)
{
	return ((const struct memory *)(const void *)s)->by_key.count;
}

static void memory_free(struct store *s)
{
	struct memory *m = of(s);

	list_each(&m->queue, w, next)
		free(container_of(w, struct waiting, link));
	expire(m, GW_NEVER);
	keymap_clear(&m->by_key);
	heap_clear(&m->expiries);
	free(m);
}

static const struct store_backend MEMORY = { memory_submit, memory_next, memory_count,
					     memory_free };

struct store *store_memory_new(size_t max, struct rng *rng)
{
	struct memory *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	m->store.backend = &MEMORY;
	keymap_init(&m->by_key, rng_u64(rng));
	list_init(&m->queue);
	m->max = max;
	return &m->store;
}
