// SPDX-License-Identifier: Apache-2.0
#include "lib/runner.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"

/* --- streams in service --- */

/* Answer the thread that waits in godwit_connect_fd().  An fd that nobody wants is closed. */
static void answer(struct runner *r, struct request *req, int result)
{
	bool abandoned;

	pthread_mutex_lock(&r->lock);
	req->done = true;
	req->result = result;
	abandoned = req->abandoned;
	pthread_cond_broadcast(&r->changed);
	pthread_mutex_unlock(&r->lock);
	if (!abandoned)
		return;
	if (result >= 0)
		close(result);
	free(req);
}

static void remember_ending(struct runner *r, uint64_t socket, int error)
{
	pthread_mutex_lock(&r->lock);
	r->endings[r->endings_next] = (struct ending){ socket, error };
	r->endings_next = (r->endings_next + 1) % ENDINGS;
	pthread_mutex_unlock(&r->lock);
}

static void end_service(struct pump *p, int error)
{
	if (p->request)
		answer(p->runner, p->request, error ? error : GW_E_CLOSED);
	if (error && p->socket) /* before the socket's reader sees the end */
		remember_ending(p->runner, p->socket, error);
	pump_free(p);
}

static void on_pump_done(struct pump *p)
{
	end_service(p, godwit_stream_error(p->stream));
}

static struct pump *serve(struct runner *r, godwit_stream *stream)
{
	struct pump *p = pump_new(r->node->loop, stream, on_pump_done);

	if (!p)
		return NULL;
	p->runner = r;
	list_append(&r->pumps, &p->link);
	return p;
}

/* --- connecting --- */

static void start_request(struct runner *r, struct request *req)
{
	const godwit_ticket *to = &req->to;
	godwit_stream *stream;
	struct pump *p;
	int error;

	godwit_add_ticket(r->node, to);
	error = godwit_stream_open(r->node, to->key, to->service, &stream);
	if (error) {
		answer(r, req, error);
		return;
	}
	p = serve(r, stream);
	if (!p) {
		godwit_stream_free(stream);
		answer(r, req, GW_E_NOMEM);
		return;
	}
	p->request = req;
}

/* The service has answered: hand out the socket. */
static bool finish_request(struct pump *p)
{
	struct request *req = p->request;
	int fd, error = pump_open(p, &fd);

	if (error) {
		end_service(p, error);
		return false;
	}
	p->request = NULL;
	answer(p->runner, req, fd);
	return true;
}

static void end_abandoned(struct runner *r, bool all)
{
	list_each(&r->pumps, i, tmp) {
		struct pump *p = container_of(i, struct pump, link);
		bool abandoned;

		if (!p->request)
			continue;
		pthread_mutex_lock(&r->lock);
		abandoned = p->request->abandoned;
		pthread_mutex_unlock(&r->lock);
		if (abandoned || all)
			end_service(p, GW_E_CLOSED);
	}
}

/* Take new requests; forget those whose callers have given up.  False: stop. */
static bool take_requests(struct runner *r)
{
	struct request *list, *next;
	bool stop;

	r->woken = false;
	pthread_mutex_lock(&r->lock);
	list = r->requests;
	r->requests = NULL;
	stop = r->stop;
	pthread_mutex_unlock(&r->lock);
	for (; list; list = next) {
		next = list->next;
		if (stop)
			answer(r, list, GW_E_CLOSED);
		else
			start_request(r, list);
	}
	end_abandoned(r, stop);
	return !stop;
}

/* --- accepting --- */

static bool enqueue(struct runner *r, const struct accepted *a)
{
	bool room;

	pthread_mutex_lock(&r->lock);
	room = r->accepted_count < ACCEPT_QUEUE;
	if (room) {
		r->accepted[(r->accepted_first + r->accepted_count++) % ACCEPT_QUEUE] = *a;
		pthread_cond_broadcast(&r->changed);
	}
	pthread_mutex_unlock(&r->lock);
	return room;
}

static struct pump *take_incoming(struct runner *r, godwit_stream *stream)
{
	godwit_stream_info info;
	struct accepted a;
	struct pump *p;

	godwit_stream_describe(stream, &info);
	p = info.datagrams ? NULL : serve(r, stream); /* a socket of bytes cannot carry those */
	if (!p) {
		godwit_stream_reset(stream, info.datagrams ? GW_E_KIND : GW_E_LIMIT);
		godwit_stream_free(stream);
		return NULL;
	}
	memcpy(a.peer, info.peer, sizeof(a.peer));
	memcpy(a.service, info.service, sizeof(a.service));
	if (pump_open(p, &a.fd) == 0) {
		if (enqueue(r, &a))
			return p;
		close(a.fd);
	}
	godwit_stream_reset(stream, GW_E_LIMIT);
	end_service(p, 0);
	return NULL;
}

/* --- events --- */

static void on_stream_event(struct runner *r, const godwit_event *e)
{
	struct pump *p = godwit_stream_user(e->stream);
	int error = godwit_stream_error(e->stream);

	if (!p && (e->flags & GODWIT_STREAM_INCOMING)) {
		if (error)
			godwit_stream_free(e->stream);
		else
			p = take_incoming(r, e->stream);
	}
	if (!p)
		return;
	if (error) {
		end_service(p, error);
		return;
	}
	if (p->request && (e->flags & GODWIT_STREAM_ANSWERED) && !finish_request(p))
		return;
	if (!p->request && !pump_run(p))
		end_service(p, godwit_stream_error(e->stream));
}

/* Some failures are final; others may pass while the caller still waits. */
static bool may_pass(int error)
{
	return error == GW_E_UNREACHABLE || error == GW_E_TIMEOUT;
}

static void on_peer_failed(struct runner *r, const godwit_event *e)
{
	list_each(&r->pumps, i, tmp) {
		struct pump *p = container_of(i, struct pump, link);

		if (!p->request || memcmp(p->request->to.key, e->key, sizeof(e->key)) != 0)
			continue;
		if (!may_pass(e->error)) {
			end_service(p, e->error);
			continue;
		}
		pthread_mutex_lock(&r->lock);
		p->request->last_error = e->error;
		pthread_mutex_unlock(&r->lock);
	}
}

static void drain_events(struct runner *r)
{
	godwit_event e;

	while (godwit_node_next_event(r->node, &e)) {
		if (e.type == GODWIT_EVENT_STREAM)
			on_stream_event(r, &e);
		else if (e.type == GODWIT_EVENT_PEER && e.state == GODWIT_PEER_FAILED)
			on_peer_failed(r, &e);
	}
}

/* --- the thread --- */

void *runner_main(void *user)
{
	struct runner *r = user;

	set_timer_slack();
	for (;;) {
		if (r->woken && !take_requests(r))
			break;
		drain_events(r);
		loop_run_once(r->node->loop, GW_NEVER);
	}
	list_each(&r->pumps, i, tmp)
		end_service(container_of(i, struct pump, link), GW_E_CLOSED);
	return NULL;
}
