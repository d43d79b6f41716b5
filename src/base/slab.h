/* base/slab.h - many objects of one size, side by side.
 *
 * What lives long stands apart from what comes and goes, so that the memory of the latter can go
 * back to the system in whole pages. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_BASE_SLAB_H
#define GODWIT_BASE_SLAB_H

#include <stddef.h>

struct slab {
	size_t size;  /* of one object, set by slab_init() */
	void *unused; /* objects, each holding the next one's address */
	void *blocks; /* likewise */
};

/* `size` at least that of a pointer; the objects are aligned for any type. */
void slab_init(struct slab *s, size_t size);
/* Free all memory; no object is left. */
void slab_clear(struct slab *s);

void *slab_alloc(struct slab *s); /* zeroed; NULL: no memory */
void slab_free(struct slab *s, void *object);

#endif
