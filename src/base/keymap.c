/* SPDX-License-Identifier: Apache-2.0 */
#include "base/keymap.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"

/* splitmix64's finalizer (Vigna, public domain), chained over the words with the seed. */
static uint64_t mix(uint64_t z)
{
	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static struct keymap_item **slot_of(const struct keymap *m, const uint8_t *key)
{
	uint64_t words[KEYMAP_KEY_SIZE / 8], h = m->seed;

	memcpy(words, key, sizeof(words));
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		h = mix(h ^ words[i]) + m->seed;
	return &m->slots[h & (m->capacity - 1)];
}

void keymap_init(struct keymap *m, uint64_t seed)
{
	*m = (struct keymap){ .seed = seed };
}

void keymap_clear(struct keymap *m)
{
	free(m->slots);
	keymap_init(m, m->seed);
}

struct keymap_item *keymap_get(const struct keymap *m, const uint8_t key[KEYMAP_KEY_SIZE])
{
	struct keymap_item *i = m->capacity ? *slot_of(m, key) : NULL;

	while (i && memcmp(i->key, key, KEYMAP_KEY_SIZE) != 0)
		i = i->next;
	return i;
}

static void insert(struct keymap *m, struct keymap_item *item)
{
	struct keymap_item **slot = slot_of(m, item->key);

	item->next = *slot;
	*slot = item;
}

static int grow(struct keymap *m)
{
	struct keymap old = *m;

	m->capacity = old.capacity ? old.capacity * 2 : 8;
	m->slots = calloc(m->capacity, sizeof(struct keymap_item *));
	if (!m->slots) {
		*m = old;
		return GW_E_NOMEM;
	}
	for (size_t i = 0; i < old.capacity; i++)
		while (old.slots[i]) {
			struct keymap_item *item = old.slots[i];

			old.slots[i] = item->next;
			insert(m, item);
		}
	free(old.slots);
	return 0;
}

int keymap_put(struct keymap *m, struct keymap_item *item)
{
	if (m->count >= m->capacity && grow(m) < 0)
		return GW_E_NOMEM;
	insert(m, item);
	m->count++;
	return 0;
}

void keymap_remove(struct keymap *m, struct keymap_item *item)
{
	struct keymap_item **at;

	if (m->capacity == 0)
		return;
	for (at = slot_of(m, item->key); *at; at = &(*at)->next)
		if (*at == item) {
			*at = item->next;
			m->count--;
			return;
		}
}
