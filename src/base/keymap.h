/* base/keymap.h - hash table of objects that are known by 32 bytes.
 *
 * The items live inside their owners.  Keys may be chosen by strangers, so the caller gives a
 * random seed. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_BASE_KEYMAP_H
#define GODWIT_BASE_KEYMAP_H

#include <stddef.h>
#include <stdint.h>

enum { KEYMAP_KEY_SIZE = 32 };

struct keymap_item {
	struct keymap_item *next;
	uint8_t key[KEYMAP_KEY_SIZE];
};

struct keymap {
	struct keymap_item **slots;
	size_t capacity; /* power of two, or 0 */
	size_t count;
	uint64_t seed;
};

void keymap_init(struct keymap *m, uint64_t seed);
void keymap_clear(struct keymap *m); /* frees the table, not the items */
struct keymap_item *keymap_get(const struct keymap *m, const uint8_t key[KEYMAP_KEY_SIZE]);
/* item->key is set, and not in the table. */
int keymap_put(struct keymap *m, struct keymap_item *item);
void keymap_remove(struct keymap *m, struct keymap_item *item); /* no-op when not inside */

#endif
