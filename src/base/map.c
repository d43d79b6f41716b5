/* SPDX-License-Identifier: Apache-2.0 */
#include "base/map.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"

enum { FIT_FROM = 64 };

/* value: NULL never used, TOMBSTONE removed. */
struct map_slot {
	uint64_t key;
	void *value;
};

static const char tombstone_byte;
#define TOMBSTONE ((void *)(uintptr_t)&tombstone_byte)

/* splitmix64's finalizer (Vigna, public domain) over key and seed. */
static size_t slot_of(const struct map *m, uint64_t key)
{
	uint64_t z = key ^ m->seed;

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb) + m->seed;
	return (size_t)(z ^ (z >> 31)) & (m->capacity - 1);
}

void map_init(struct map *m, uint64_t seed)
{
	memset(m, 0, sizeof(*m));
	m->seed = seed;
}

void map_clear(struct map *m)
{
	free(m->slots);
	map_init(m, m->seed);
}

static struct map_slot *find(const struct map *m, uint64_t key)
{
	if (m->capacity == 0)
		return NULL;
	for (size_t i = slot_of(m, key); m->slots[i].value; i = (i + 1) & (m->capacity - 1))
		if (m->slots[i].key == key && m->slots[i].value != TOMBSTONE)
			return &m->slots[i];
	return NULL;
}

void *map_get(const struct map *m, uint64_t key)
{
	const struct map_slot *slot = find(m, key);

	return slot ? slot->value : NULL;
}

static void insert_new(struct map *m, uint64_t key, void *value)
{
	size_t i = slot_of(m, key);

	while (m->slots[i].value && m->slots[i].value != TOMBSTONE)
		i = (i + 1) & (m->capacity - 1);
	if (!m->slots[i].value)
		m->used++;
	m->slots[i] = (struct map_slot){ key, value };
	m->count++;
}

static int resize(struct map *m)
{
	struct map old = *m;
	size_t capacity = 8;

	while (capacity < old.count * 4)
		capacity *= 2;
	m->slots = calloc(capacity, sizeof(*m->slots));
	if (!m->slots) {
		*m = old;
		return GW_E_NOMEM;
	}
	m->capacity = capacity;
	m->count = m->used = 0;
	for (size_t i = 0; i < old.capacity; i++)
		if (old.slots[i].value && old.slots[i].value != TOMBSTONE)
			insert_new(m, old.slots[i].key, old.slots[i].value);
	free(old.slots);
	return 0;
}

int map_put(struct map *m, uint64_t key, void *value)
{
	struct map_slot *slot = find(m, key);

	if (slot) {
		slot->value = value;
		return 0;
	}
	if ((m->used + 1) * 2 > m->capacity && resize(m) < 0)
		return GW_E_NOMEM;
	insert_new(m, key, value);
	return 0;
}

void *map_remove(struct map *m, uint64_t key)
{
	struct map_slot *slot = find(m, key);
	void *value;

	if (!slot)
		return NULL;
	value = slot->value;
	slot->value = TOMBSTONE;
	m->count--;
	return value;
}

void map_fit(struct map *m)
{
	if (m->count == 0)
		map_clear(m);
	else if (m->capacity >= FIT_FROM && m->count * 8 <= m->capacity)
		(void)resize(m); /* or it stays as it is */
}

void *map_next(const struct map *m, size_t *position)
{
	while (*position < m->capacity) {
		void *value = m->slots[(*position)++].value;

		if (value && value != TOMBSTONE)
			return value;
	}
	return NULL;
}
