/* SPDX-License-Identifier: Apache-2.0 */
#include "service/find.h"

#include <stdlib.h>
#include <string.h>

/* --- one search --- */

struct find {
	struct hub *hub;
	struct hub_observer *observer;
	uint64_t id;
	find_fn *fn;
	void *user;
};

void find_cancel(struct find *f)
{
	if (!f)
		return;
	hub_unobserve(f->hub, f->observer);
	free(f);
}

static void on_event(void *user, const godwit_event *e)
{
	struct find *f = user;
	find_fn *fn = f->fn;
	void *whose = f->user;

	if (e->type != GODWIT_EVENT_NAME || e->ping_id != f->id)
		return;
	find_cancel(f);
	fn(whose, e->error, e->key);
}

int find_start(struct hub *h, const uint8_t network[GODWIT_KEY_SIZE], const char *name, find_fn *fn,
	       void *user, struct find **out)
{
	struct find *f = calloc(1, sizeof(*f));
	int rv;

	if (!f)
		return GODWIT_E_NOMEM;
	f->hub = h;
	f->fn = fn;
	f->user = user;
	f->observer = hub_observe(h, on_event, f);
	rv = f->observer ? godwit_find_name(hub_node(h), network, name, &f->id) : GODWIT_E_NOMEM;
	if (rv < 0) {
		if (f->observer)
			hub_unobserve(h, f->observer);
		free(f);
		return rv;
	}
	*out = f;
	return 0;
}

/* --- a place --- */

void finder_init(struct finder *f, struct hub *h, const struct place *place, finder_fn *fn,
		 void *user)
{
	*f = (struct finder){ .hub = h, .place = *place, .fn = fn, .user = user };
	if (!*place->name)
		godwit_add_ticket(hub_node(h), &place->ticket);
}

void finder_clear(struct finder *f)
{
	find_cancel(f->find);
	f->find = NULL;
}

static void on_found(void *user, int error, const uint8_t *key)
{
	struct finder *f = user;
	gw_time now = loop_now(hub_loop(f->hub));

	f->find = NULL;
	f->error = error;
	f->until = now + (error ? FINDER_RETRY : FINDER_KEEP);
	if (error == 0)
		memcpy(f->key, key, sizeof(f->key));
	f->fn(f->user, error);
}

int finder_key(struct finder *f, uint8_t key[GODWIT_KEY_SIZE])
{
	int rv = 0;

	if (!*f->place.name) {
		memcpy(key, f->place.ticket.key, GODWIT_KEY_SIZE);
		return 0;
	}
	if (loop_now(hub_loop(f->hub)) < f->until) {
		if (f->error == 0)
			memcpy(key, f->key, GODWIT_KEY_SIZE);
		return f->error;
	}
	if (!f->find)
		rv = find_start(f->hub, f->place.network, f->place.name, on_found, f, &f->find);
	return rv < 0 ? rv : GODWIT_E_AGAIN;
}

void finder_forget(struct finder *f)
{
	if (f->error == 0)
		f->until = 0;
}
