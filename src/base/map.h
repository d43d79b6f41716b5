/* base/map.h - hash table from a 64-bit key to a pointer.
 *
 * Keys may be chosen by strangers, so the caller gives a random seed.  Several values under
 * one key are not kept: callers that need that chain the values themselves. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_BASE_MAP_H
#define GODWIT_BASE_MAP_H

#include <stddef.h>
#include <stdint.h>

struct map_slot;

struct map {
	struct map_slot *slots;
	size_t capacity; /* power of two, or 0 */
	size_t count;    /* live entries */
	size_t used;     /* live entries and tombstones */
	uint64_t seed;
};

void map_init(struct map *m, uint64_t seed);
void map_clear(struct map *m); /* frees the table, not the values */
void *map_get(const struct map *m, uint64_t key);
int map_put(struct map *m, uint64_t key, void *value); /* value not NULL; replaces */
void *map_remove(struct map *m, uint64_t key);         /* the value, or NULL */
/* After many removals: let the table be as large as what is left calls for. */
void map_fit(struct map *m);
/* Iterate: start with *position = 0; NULL at the end.  Removing the entry just returned is
 * allowed, adding is not. */
void *map_next(const struct map *m, size_t *position);

#endif
