/* store/store.h - a directory of signed records, asked asynchronously.  Backends: memory.
 * Spec: docs/protocol.md, section 11 (Directory).
 *
 * Each operation gets exactly one answer, in any order, by store_next().  A store knows nothing
 * of what it keeps: it compares sequences. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_STORE_STORE_H
#define GODWIT_STORE_STORE_H

#include <stdbool.h>

#include "base/directory.h"
#include "base/rng.h"
#include "base/time.h"

struct store;

/* What a backend is. */
struct store_backend {
	int (*submit)(struct store *s, const struct directory_op *op, gw_time now);
	bool (*next)(struct store *s, struct directory_answer *out, gw_time now);
	size_t (*count)(const struct store *s);
	void (*free)(struct store *s);
};

struct store {
	const struct store_backend *backend;
};

/* Copies what it needs.  GW_E_NOMEM: there will be no answer. */
static inline int store_submit(struct store *s, const struct directory_op *op, gw_time now)
{
	return s->backend->submit(s, op, now);
}

/* An answer that has come; its record is valid until the next call. */
static inline bool store_next(struct store *s, struct directory_answer *out, gw_time now)
{
	return s->backend->next(s, out, now);
}

/* Records in it, as far as known. */
static inline size_t store_count(const struct store *s)
{
	return s->backend->count(s);
}

static inline void store_free(struct store *s)
{
	if (s)
		s->backend->free(s);
}

/* --- memory: at most `max` records, of this process only.  A full one takes no new key. --- */
struct store *store_memory_new(size_t max, struct rng *rng); /* NULL: out of memory */

#endif
