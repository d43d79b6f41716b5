/* SPDX-License-Identifier: Apache-2.0 */
#include "base/slab.h"

#include <stdlib.h>
#include <string.h>

enum { BLOCK_OBJECTS = 16 };

union block {
	union block *next;
	max_align_t align;
};

void slab_init(struct slab *s, size_t size)
{
	size_t align = sizeof(union block);

	s->size = (size + align - 1) / align * align;
	s->unused = s->blocks = NULL;
}

void slab_clear(struct slab *s)
{
	union block *next;

	for (union block *b = s->blocks; b; b = next) {
		next = b->next;
		free(b);
	}
	s->unused = s->blocks = NULL;
}

#ifdef __SANITIZE_ADDRESS__
/* Let the sanitizer see each object's life. */
void *slab_alloc(struct slab *s)
{
	return calloc(1, s->size);
}

void slab_free(struct slab *s, void *object)
{
	(void)s;
	free(object);
}
#else
static void put(struct slab *s, void *object)
{
	memcpy(object, &s->unused, sizeof(void *));
	s->unused = object;
}

static int grow(struct slab *s)
{
	union block *b = malloc(sizeof(*b) + BLOCK_OBJECTS * s->size);

	if (!b)
		return -1;
	b->next = s->blocks;
	s->blocks = b;
	for (size_t i = BLOCK_OBJECTS; i-- > 0;)
		put(s, (char *)(b + 1) + i * s->size);
	return 0;
}

void *slab_alloc(struct slab *s)
{
	void *object;

	if (!s->unused && grow(s) < 0)
		return NULL;
	object = s->unused;
	memcpy(&s->unused, object, sizeof(void *));
	return memset(object, 0, s->size);
}

void slab_free(struct slab *s, void *object)
{
	put(s, object);
}
#endif
