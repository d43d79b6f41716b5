/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "service/datagrams.h"
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
	struct join *join; /* of datagrams */
};

struct expose {
	struct hub *hub;
	struct target target;
	char name[GODWIT_SERVICE_SIZE];
	bool offered;
	struct list visits;
	size_t active, reaching;
	struct size_notice notice;
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

static void on_join_done(void *user)
{
	forget(user);
}

static int start(struct visit *v, int fd)
{
	struct expose *e = v->expose;

	if (e->target.kind == TARGET_UDP)
		return join_start(e->hub, v->stream, fd, &e->notice, on_join_done, v, &v->join);
	return pump_start(e->hub, v->stream, fd, fd, on_pump_done, v, &v->pump);
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
	} else if (start(v, fd) < 0) {
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
	rv = t->kind == TARGET_UDP ? hub_offer_datagrams(h, name, on_incoming, e)
				   : hub_offer(h, name, on_incoming, e);
	if (rv < 0) {
		free(e);
		return rv;
	}
	memcpy(e->name, name, strlen(name) + 1);
	e->offered = true;
	*out = e;
	return 0;
}

void expose_on_too_large(struct expose *e, too_large_fn *fn, void *user)
{
	e->notice.fn = fn;
	e->notice.user = user;
}

static void end_visits(struct expose *e)
{
	list_each(&e->visits, i, next) {
		struct visit *v = container_of(i, struct visit, link);

		if (v->pump) {
			pump_stop(v->pump);
		} else if (v->join) {
			join_stop(v->join);
		} else {
			e->reaching--;
			reach_cancel(v->reach);
			hub_refuse(v->stream, GODWIT_E_RESET);
		}
		forget(v);
	}
}

void expose_drain(struct expose *e)
{
	if (e->offered)
		hub_withdraw(e->hub, e->name);
	e->offered = false;
	if (e->target.kind == TARGET_UDP)
		end_visits(e);
}

void expose_stop(struct expose *e)
{
	expose_drain(e);
	end_visits(e);
	free(e);
}

size_t expose_active(const struct expose *e)
{
	return e->active;
}
