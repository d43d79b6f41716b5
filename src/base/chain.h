/* base/chain.h - a byte queue with absolute offsets whose bytes never move.
 *
 * Bytes are appended at the end and released at the front.  A byte keeps its memory address
 * from append to release (the QUIC library keeps pointers into it).  Chunks start small and
 * grow, so that a quiet stream costs little. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_BASE_CHAIN_H
#define GODWIT_BASE_CHAIN_H

#include <stddef.h>
#include <stdint.h>

enum { CHAIN_CHUNK_MIN = 1024, CHAIN_CHUNK_MAX = 65536 };

struct chunk;

/* Free large chunks that several chains share: under load the same few warm ones go round instead
 * of returning to the system each time.  Zeroed memory is an empty pool. */
enum { CHAIN_POOL_SIZES = 3 }; /* CHAIN_CHUNK_MAX, half of it, a quarter */
#if defined(__SANITIZE_ADDRESS__)
enum { CHAIN_POOL_MAX = 0 }; /* let the sanitizer see each use after release */
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
enum { CHAIN_POOL_MAX = 0 };
#else
enum { CHAIN_POOL_MAX = 32 * CHAIN_CHUNK_MAX };
#endif
#else
enum { CHAIN_POOL_MAX = 32 * CHAIN_CHUNK_MAX };
#endif
struct chain_pool {
	struct chunk *free[CHAIN_POOL_SIZES];
	size_t bytes; /* of their capacities, at most CHAIN_POOL_MAX */
};

void chain_pool_clear(struct chain_pool *p);

/* Zeroed memory is an empty chain at offset 0. */
struct chain {
	struct chain_pool *pool; /* may be NULL; outlives the chain */
	struct chunk *head, *tail;
	uint64_t start;       /* offset of the first byte kept */
	uint64_t end;         /* offset one past the last byte */
	size_t memory;        /* bytes allocated */
	uint64_t emptied;     /* its end when it last was empty */
	size_t burst;         /* what had come until then since it was empty before */
	struct chunk *cursor; /* where chain_at() last looked: makes forward walks O(1) */
};

void chain_clear(struct chain *c);

static inline size_t chain_len(const struct chain *c)
{
	return (size_t)(c->end - c->start);
}

/* Copy `len` bytes to the end.  GW_E_NOMEM leaves the chain as it was. */
int chain_append(struct chain *c, const void *data, size_t len);

/* Writable space at the end: at least 1 byte, `*len` says how many (at most about `want`
 * when a new chunk is needed).  NULL when out of memory.  Then chain_commit() what was filled;
 * any other call in between may take the space away. */
uint8_t *chain_reserve(struct chain *c, size_t want, size_t *len);
void chain_commit(struct chain *c, size_t len);

/* The contiguous bytes at absolute `offset` (start <= offset <= end); *len is 0 at the end. */
const uint8_t *chain_at(struct chain *c, uint64_t offset, size_t *len);

/* Forget everything before absolute `offset` (start <= offset <= end). */
void chain_release(struct chain *c, uint64_t offset);

#endif
