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

static void end_service(struct served *s, int error)
{
	if (s->request)
		answer(s->runner, s->request, error ? error : GW_E_CLOSED);
	if (error && pump_socket(s->pump) != 0) /* before the socket's reader sees the end */
		remember_ending(s->runner, pump_socket(s->pump), error);
	pump_free(s->pump);
	*s->prev = s->next;
	if (s->next)
		s->next->prev = s->prev;
	free(s);
}

static void on_pump_done(void *user, struct pump *p)
{
	end_service(user, godwit_stream_error(pump_stream(p)));
}

static struct served *serve(struct runner *r, godwit_stream *stream)
{
	struct served *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->pump = pump_new(r->node->loop, stream);
	if (!s->pump) {
		free(s);
		return NULL;
	}
	pump_on_done(s->pump, on_pump_done, s);
	s->runner = r;
	s->next = r->served;
	s->prev = &r->served;
	if (s->next)
		s->next->prev = &s->next;
	r->served = s;
	return s;
}

static struct served *find_served(const godwit_stream *stream)
{
	struct pump *p = godwit_stream_user(stream);

	return p ? pump_user(p) : NULL;
}

/* --- connecting --- */

static void start_request(struct runner *r, struct request *req)
{
	const godwit_ticket *to = &req->to;
	godwit_stream *stream;
	struct served *s;
	int error;

	for (size_t i = 0; i < to->endpoint_count; i++)
		godwit_add_endpoint(r->node, to->key, to->endpoints[i]);
	error = godwit_stream_open(r->node, to->key, to->service, &stream);
	if (error) {
		answer(r, req, error);
		return;
	}
	s = serve(r, stream);
	if (!s) {
		godwit_stream_free(stream);
		answer(r, req, GW_E_NOMEM);
		return;
	}
	s->request = req;
}

/* The service has answered: hand out the socket. */
static bool finish_request(struct served *s)
{
	struct request *req = s->request;
	int fd, error = pump_open(s->pump, &fd);

	if (error) {
		end_service(s, error);
		return false;
	}
	s->request = NULL;
	answer(s->runner, req, fd);
	return true;
}

/* Take new requests; forget those whose callers have given up.  False: stop. */
static bool take_requests(struct runner *r)
{
	struct request *list, *next;
	struct served *s, *after;
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
	for (s = r->served; s; s = after) {
		bool abandoned;

		after = s->next;
		if (!s->request)
			continue;
		pthread_mutex_lock(&r->lock);
		abandoned = s->request->abandoned;
		pthread_mutex_unlock(&r->lock);
		if (abandoned || stop)
			end_service(s, GW_E_CLOSED);
	}
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

static struct served *take_incoming(struct runner *r, godwit_stream *stream)
{
	struct served *s = serve(r, stream);
	godwit_stream_info info;
	struct accepted a;

	if (!s) {
		godwit_stream_reset(stream, GW_E_LIMIT);
		godwit_stream_free(stream);
		return NULL;
	}
	godwit_stream_describe(stream, &info);
	memcpy(a.peer, info.peer, sizeof(a.peer));
	memcpy(a.service, info.service, sizeof(a.service));
	if (pump_open(s->pump, &a.fd) == 0) {
		if (enqueue(r, &a))
			return s;
		close(a.fd);
	}
	godwit_stream_reset(stream, GW_E_LIMIT);
	end_service(s, 0);
	return NULL;
}

/* --- events --- */

static void on_stream_event(struct runner *r, const godwit_event *e)
{
	struct served *s = find_served(e->stream);
	int error = godwit_stream_error(e->stream);

	if (!s && (e->flags & GODWIT_STREAM_INCOMING)) {
		if (error)
			godwit_stream_free(e->stream);
		else
			s = take_incoming(r, e->stream);
	}
	if (!s)
		return;
	if (error) {
		end_service(s, error);
		return;
	}
	if (s->request && (e->flags & GODWIT_STREAM_ANSWERED) && !finish_request(s))
		return;
	if (!s->request && !pump_run(s->pump))
		end_service(s, godwit_stream_error(e->stream));
}

/* Some failures are final; others may pass while the caller still waits. */
static bool may_pass(int error)
{
	return error == GW_E_UNREACHABLE || error == GW_E_TIMEOUT;
}

static void on_peer_failed(struct runner *r, const godwit_event *e)
{
	struct served *next;

	for (struct served *s = r->served; s; s = next) {
		next = s->next;
		if (!s->request || memcmp(s->request->to.key, e->key, sizeof(e->key)) != 0)
			continue;
		if (!may_pass(e->error)) {
			end_service(s, e->error);
			continue;
		}
		pthread_mutex_lock(&r->lock);
		s->request->last_error = e->error;
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
	while (r->served)
		end_service(r->served, GW_E_CLOSED);
	return NULL;
}
