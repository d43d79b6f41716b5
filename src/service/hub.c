/* SPDX-License-Identifier: Apache-2.0 */
#include "service/hub.h"

#include <stdlib.h>
#include <string.h>

struct offer {
	struct offer *next;
	char service[GODWIT_SERVICE_SIZE];
	hub_incoming_fn *fn;
	void *user;
};

struct hub_observer {
	struct hub_observer *next;
	hub_event_fn *fn; /* NULL: removed, freed when nobody walks the list */
	void *user;
};

struct hub {
	struct loop *loop;
	godwit_node *node;
	struct loop_source *source;
	struct loop_hook *hook;
	struct loop_timer *timer; /* the node's */
	struct offer *offers;
	struct hub_observer *observers;
	bool draining;
};

static void process(void *user)
{
	struct hub *h = user;

	godwit_node_process(h->node);
	hub_wake(h);
}

static void on_node(void *user, int fd, unsigned events)
{
	(void)fd;
	(void)events;
	process(user);
}

static void before_wait(void *user)
{
	struct hub *h = user;
	uint64_t timeout = godwit_node_timeout_ns(h->node);

	loop_timer_set(h->timer, timeout == GODWIT_NEVER ? GW_NEVER : loop_clock() + timeout);
	loop_set_poll(h->loop, godwit_node_poll_ns(h->node));
}

int hub_new(struct hub **out, struct loop *loop, godwit_node *node)
{
	struct hub *h = calloc(1, sizeof(*h));

	if (!h)
		return GODWIT_E_NOMEM;
	h->loop = loop;
	h->node = node;
	h->source = loop_add(loop, godwit_node_fd(node), LOOP_IN, on_node, h);
	h->timer = loop_timer_new(loop, process, h);
	h->hook = loop_before_wait(loop, before_wait, h);
	if (!h->source || !h->timer || !h->hook) {
		hub_free(h);
		return GODWIT_E_IO;
	}
	*out = h;
	return 0;
}

void hub_free(struct hub *h)
{
	if (!h)
		return;
	loop_remove(h->source);
	loop_timer_free(h->timer);
	loop_hook_free(h->hook);
	while (h->offers) {
		struct offer *next = h->offers->next;

		free(h->offers);
		h->offers = next;
	}
	while (h->observers) {
		struct hub_observer *next = h->observers->next;

		free(h->observers);
		h->observers = next;
	}
	free(h);
}

struct loop *hub_loop(const struct hub *h)
{
	return h->loop;
}

godwit_node *hub_node(const struct hub *h)
{
	return h->node;
}

static int offer(struct hub *h, const char *service, bool datagrams, hub_incoming_fn *fn,
		 void *user)
{
	struct offer *o = calloc(1, sizeof(*o));
	int rv;

	if (!o)
		return GODWIT_E_NOMEM;
	rv = datagrams ? godwit_listen_datagrams(h->node, service, GODWIT_NEVER)
		       : godwit_listen(h->node, service, GODWIT_NEVER);
	if (rv < 0) {
		free(o);
		return rv;
	}
	memcpy(o->service, service, strlen(service) + 1);
	o->fn = fn;
	o->user = user;
	o->next = h->offers;
	h->offers = o;
	return 0;
}

int hub_offer(struct hub *h, const char *service, hub_incoming_fn *fn, void *user)
{
	return offer(h, service, false, fn, user);
}

int hub_offer_datagrams(struct hub *h, const char *service, hub_incoming_fn *fn, void *user)
{
	return offer(h, service, true, fn, user);
}

void hub_withdraw(struct hub *h, const char *service)
{
	godwit_unlisten(h->node, service);
	for (struct offer **at = &h->offers; *at; at = &(*at)->next)
		if (strcmp((*at)->service, service) == 0) {
			struct offer *gone = *at;

			*at = gone->next;
			free(gone);
			return;
		}
}

struct hub_observer *hub_observe(struct hub *h, hub_event_fn *fn, void *user)
{
	struct hub_observer *o = calloc(1, sizeof(*o));

	if (!o)
		return NULL;
	o->fn = fn;
	o->user = user;
	o->next = h->observers;
	h->observers = o;
	return o;
}

static void sweep(struct hub *h)
{
	for (struct hub_observer **at = &h->observers; *at;) {
		struct hub_observer *o = *at;

		if (o->fn) {
			at = &o->next;
			continue;
		}
		*at = o->next;
		free(o);
	}
}

void hub_unobserve(struct hub *h, struct hub_observer *o)
{
	o->fn = NULL;
	if (!h->draining)
		sweep(h);
}

void hub_refuse(godwit_stream *stream, int why)
{
	godwit_stream_reset(stream, why);
	godwit_stream_set_user(stream, NULL);
	godwit_stream_free(stream);
}

static void incoming(struct hub *h, godwit_stream *stream)
{
	godwit_stream_info info;

	godwit_stream_describe(stream, &info);
	for (struct offer *o = h->offers; o; o = o->next)
		if (strcmp(o->service, info.service) == 0) {
			o->fn(o->user, stream);
			return;
		}
	/* Withdrawn since the node took it. */
	hub_refuse(stream, GODWIT_E_NO_SERVICE);
}

static void dispatch(struct hub *h, const godwit_event *event)
{
	struct stream_handler *handler;

	if (event->type != GODWIT_EVENT_STREAM) {
		for (struct hub_observer *o = h->observers; o; o = o->next)
			if (o->fn)
				o->fn(o->user, event);
		return;
	}
	if (event->flags & GODWIT_STREAM_INCOMING) {
		incoming(h, event->stream);
		return; /* what else there is, the handler finds when it starts */
	}
	handler = godwit_stream_user(event->stream);
	if (handler)
		handler->on_event(handler, event->stream, event->flags);
}

void hub_wake(struct hub *h)
{
	godwit_event event;

	if (h->draining)
		return; /* the loop below goes on until nothing is left */
	h->draining = true;
	while (godwit_node_next_event(h->node, &event))
		dispatch(h, &event);
	h->draining = false;
	sweep(h);
}
