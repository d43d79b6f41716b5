/* SPDX-License-Identifier: Apache-2.0 */
#include "base/slab.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum {
	BLOCK_ALIGN = 16384,
	BLOCK_SIZE = BLOCK_ALIGN - 64, /* with malloc's header they stand side by side */
};

/* Aligned, so that an object's address tells its block. */
struct block {
	struct list_item link;
	void *unused; /* objects that were freed, each holding the next one's address */
	size_t count; /* objects in use */
	size_t fresh; /* from here on none has ever been used */
	max_align_t objects[];
};

void slab_init(struct slab *s, size_t size)
{
	size_t align = sizeof(max_align_t);

	assert(size <= SLAB_OBJECT_MAX);
	s->size = (size + align - 1) / align * align;
	list_init(&s->open);
	list_init(&s->full);
}

static void free_blocks(struct list *blocks)
{
	list_each(blocks, i, next) {
		list_remove(i);
		free(container_of(i, struct block, link));
	}
}

void slab_clear(struct slab *s)
{
	free_blocks(&s->open);
	free_blocks(&s->full);
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
static size_t capacity(const struct slab *s)
{
	return (BLOCK_SIZE - sizeof(struct block)) / s->size;
}

static struct block *block_with_room(struct slab *s)
{
	struct list_item *first = list_first(&s->open);
	struct block *b;
	void *memory;

	if (first)
		return container_of(first, struct block, link);
	if (posix_memalign(&memory, BLOCK_ALIGN, BLOCK_SIZE) != 0)
		return NULL;
	b = memory;
	*b = (struct block){ 0 };
	list_append(&s->open, &b->link);
	return b;
}

void *slab_alloc(struct slab *s)
{
	struct block *b = block_with_room(s);
	void *object;

	if (!b)
		return NULL;
	object = b->unused;
	if (object)
		memcpy(&b->unused, object, sizeof(void *));
	else
		object = (char *)b->objects + b->fresh++ * s->size;
	if (++b->count == capacity(s)) {
		list_remove(&b->link);
		list_append(&s->full, &b->link);
	}
	return memset(object, 0, s->size);
}

void slab_free(struct slab *s, void *object)
{
	struct block *b = (struct block *)((uintptr_t)object & ~(uintptr_t)(BLOCK_ALIGN - 1));

	memcpy(object, &b->unused, sizeof(void *));
	b->unused = object;
	if (b->count-- == capacity(s)) {
		list_remove(&b->link);
		list_append(&s->open, &b->link);
	}
	/* The last one stays: an object that comes and goes does not allocate each time. */
	if (b->count == 0 && list_first(&s->open) != &b->link) {
		list_remove(&b->link);
		free(b);
	}
}
#endif
