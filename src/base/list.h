/* base/list.h - an intrusive doubly linked list. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_BASE_LIST_H
#define GODWIT_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

/* Zeroed memory is "in no list". */
struct list_item {
	struct list_item *next, *prev;
};

struct list {
	struct list_item head; /* circular; list_init() first */
};

#define container_of(pointer, type, member)                                                        \
	((type *)(void *)((char *)(pointer)-offsetof(type, member)))

static inline void list_init(struct list *l)
{
	l->head.next = l->head.prev = &l->head;
}

static inline bool list_in(const struct list_item *i)
{
	return i->next != NULL;
}

static inline void list_append(struct list *l, struct list_item *i)
{
	i->prev = l->head.prev;
	i->next = &l->head;
	l->head.prev->next = i;
	l->head.prev = i;
}

/* No-op when in no list. */
static inline void list_remove(struct list_item *i)
{
	if (!i->next)
		return;
	i->prev->next = i->next;
	i->next->prev = i->prev;
	i->next = i->prev = NULL;
}

static inline struct list_item *list_first(const struct list *l)
{
	/* clang's analyzer does not see that a list forgets what list_remove() took out. */
	/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
	return l->head.next == &l->head ? NULL : l->head.next;
}

static inline struct list_item *list_next(const struct list *l, const struct list_item *i)
{
	return i->next == &l->head ? NULL : i->next;
}

/* Safe against removal of `i` itself in the body, not of its successor. */
#define list_each(list, i, tmp)                                                                    \
	for (struct list_item *i = list_first(list), *tmp = i ? list_next(list, i) : NULL; i;      \
	     i = tmp, tmp = i ? list_next(list, i) : NULL)

#endif
