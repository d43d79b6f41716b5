/* base/slab.h - many objects of one size, side by side.
 *
 * What lives long stands apart from what comes and goes, so that the memory of the latter can go
 * back to the system in whole pages; and a block whose objects have all gone is freed. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_BASE_SLAB_H
#define GODWIT_BASE_SLAB_H

#include <stddef.h>

#include "base/list.h"

enum { SLAB_OBJECT_MAX = 4096 };

struct slab {
	size_t size;      /* of one object, set by slab_init() */
	struct list open; /* blocks with room */
	struct list full;
};

/* `size` up to SLAB_OBJECT_MAX; the objects are aligned for any type. */
void slab_init(struct slab *s, size_t size);
/* Free all memory; no object is left. */
void slab_clear(struct slab *s);

void *slab_alloc(struct slab *s); /* zeroed; NULL: no memory */
void slab_free(struct slab *s, void *object);

#endif
