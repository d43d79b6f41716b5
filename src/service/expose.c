/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "service/reach.h"
#include "service/service.h"

enum { REACHING_MAX = 1024 };

/* One incoming stream: first the target is reached, then bytes are pumped. */
struct visit {
	struct stream_handler handler; /* while reaching */
	struct list_item link;
	struct expose *expose;
	godwit_stream *stream;
	struct reach *reach;
	struct pump *pump;
};

struct expose {
	struct hub *hub;
	struct target target;
	char name[GODWIT_SERVICE_SIZE];
	bool offered;
	struct list visits;
	size_t active, reaching;
};

static void forget(struct visit *v)
{
	list_remove(&v->link);
	v->expose->active--;
	free(v);
}

static void on_pump_done(void *user, int error, int sys)
{
	(void)error;
	(void)sys;
	forget(user);
}

static void on_reached(void *user, int fd, int error)
{
	struct visit *v = user;
	struct hub *h = v->expose->hub;

	v->reach = NULL;
	v->expose->reaching--;
	if (error) {
		hub_refuse(v->stream, error);
		forget(v);
	} else if (pump_start(h, v->stream, fd, fd, on_pump_done, v, &v->pump) < 0) {
		forget(v);
	}
	hub_wake(h);
}

/* While reaching, only the stream's failure matters; the rest waits for the pump. */
static void on_stream(struct stream_handler *handler, godwit_stream *stream, unsigned flags)
{
	struct visit *v = (struct visit *)handler;

	if (!(flags & GODWIT_STREAM_FAILED))
		return;
	v->expose->reaching--;
	reach_cancel(v->reach);
	godwit_stream_set_user(stream, NULL);
	godwit_stream_free(stream);
	forget(v);
}

static void on_incoming(void *user, godwit_stream *stream)
{
	struct expose *e = user;
	struct visit *v = e->reaching < REACHING_MAX ? calloc(1, sizeof(*v)) : NULL;

	if (!v || reach_start(hub_loop(e->hub), &e->target, on_reached, v, &v->reach) < 0) {
		free(v);
		hub_refuse(stream, GODWIT_E_LIMIT);
		return;
	}
	v->handler.on_event = on_stream;
	v->expose = e;
	v->stream = stream;
	list_append(&e->visits, &v->link);
	e->active++;
	e->reaching++;
	godwit_stream_set_user(stream, &v->handler);
}

int expose_start(struct hub *h, const char *name, const struct target *t, struct expose **out)
{
	struct expose *e = calloc(1, sizeof(*e));
	int rv;

	if (!e)
		return GODWIT_E_NOMEM;
	e->hub = h;
	e->target = *t;
	list_init(&e->visits);
	rv = hub_offer(h, name, on_incoming, e);
	if (rv < 0) {
		free(e);
		return rv;
	}
	memcpy(e->name, name, strlen(name) + 1);
	e->offered = true;
	*out = e;
	return 0;
}

void expose_drain(struct expose *e)
{
	if (e->offered)
		hub_withdraw(e->hub, e->name);
	e->offered = false;
}

void expose_stop(struct expose *e)
{
	expose_drain(e);
	list_each(&e->visits, i, next) {
		struct visit *v = container_of(i, struct visit, link);

		if (v->pump) {
			pump_stop(v->pump);
		} else {
			reach_cancel(v->reach);
			hub_refuse(v->stream, GODWIT_E_RESET);
		}
		forget(v);
	}
	free(e);
}

size_t expose_active(const struct expose *e)
{
	return e->active;
}
