/* SPDX-License-Identifier: Apache-2.0 */
/* What each request does with the node.  Every op may wait for its peer ("contact"): for the dial
 * to succeed or fail, and no longer than the timeout says. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/agent_internal.h"
#include "cli/text.h"

/* Longer is for ever. */
#define TIMEOUT_MAX_MS INT64_C(1000000000000)

struct op;

struct op_type {
	const char *name;
	void (*start)(struct op *op);
	void (*stop)(struct op *op); /* undo what start() did; NULL: nothing */
};

struct op {
	const struct op_type *type;
	struct agent *agent;
	struct hub *hub;
	godwit_node *node;
	json_t *request;
	struct op_sink sink;
	struct op **slot;
	int fds[2];
	bool starting, ended; /* ended while starting: freed by op_start() */

	/* contact */
	struct list_item link; /* in agent->ops */
	godwit_ticket to;
	struct hub_observer *observer;
	struct loop_timer *timer; /* ping: the next one; else the timeout */
	gw_time deadline;

	/* of one type each */
	struct pump *pump;
	godwit_stream *stream;
	struct offer *offer;
	struct forward_item *forward;
	struct bench *bench;
	bool connected;
	uint64_t ping_id;
	gw_time ping_at;
	json_int_t received;
};

/* --- ends --- */

/* Nobody else waits for this peer: let it go. */
static void withdraw_dial(struct op *op)
{
	if (!list_in(&op->link))
		return;
	list_remove(&op->link);
	list_each(&op->agent->ops, i, next)
		if (memcmp(container_of(i, struct op, link)->to.key, op->to.key,
			   sizeof(op->to.key)) == 0)
			return;
	godwit_undial(op->node, op->to.key);
}

static void close_fds(const int fds[2])
{
	for (int i = 0; i < 2; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

static void clear(struct op *op)
{
	if (op->type && op->type->stop)
		op->type->stop(op);
	if (op->observer)
		hub_unobserve(op->hub, op->observer);
	loop_timer_free(op->timer);
	withdraw_dial(op);
	close_fds(op->fds);
	json_decref(op->request);
	op->request = NULL;
	*op->slot = NULL;
}

void op_cancel(struct op *op)
{
	clear(op);
	free(op);
}

static void end(struct op *op, const struct failure *f)
{
	struct op_sink sink = op->sink;

	clear(op);
	op->ended = true;
	if (!op->starting)
		free(op);
	sink.end(sink.user, f);
}

/* The peer's entry in the node's list; false: there is none. */
static bool find_peer(const struct op *op, godwit_peer_info *out)
{
	size_t count = godwit_node_peers(op->node, NULL, 0);
	godwit_peer_info *peers = calloc(count + 1, sizeof(*peers));
	bool found = false;

	if (peers)
		godwit_node_peers(op->node, peers, count);
	for (size_t i = 0; peers && i < count && !found; i++) {
		found = memcmp(peers[i].key, op->to.key, sizeof(op->to.key)) == 0;
		*out = peers[i];
	}
	free(peers);
	return found;
}

static bool has_endpoints(const struct op *op)
{
	godwit_peer_info info;

	return find_peer(op, &info) && info.endpoints > 0;
}

static void end_error(struct op *op, int error)
{
	struct failure f;

	fail_error(&f, error, "%s", "");
	if (error == GODWIT_E_UNREACHABLE && list_in(&op->link) && !has_endpoints(op)) {
		fail_message(&f, "no endpoint of that address is known");
		fail_hint(&f, "a ticket in its place: `godwit ticket` on the other machine");
	}
	end(op, &f);
}

static void tell(struct op *op, json_t *event)
{
	op->sink.event(op->sink.user, event);
	json_decref(event);
}

static const char *text_of(const struct op *op, const char *key)
{
	return get_text(op->request, key);
}

static json_int_t number_of(const struct op *op, const char *key)
{
	return json_integer_value(json_object_get(op->request, key));
}

/* --- contact --- */

static void add_endpoints(const struct op *op)
{
	for (size_t i = 0; i < op->to.endpoint_count; i++)
		(void)godwit_add_endpoint(op->node, op->to.key, op->to.endpoints[i]);
}

static gw_time timeout_of(const struct op *op)
{
	json_int_t ms = number_of(op, "timeout_ms");

	return ms > 0 && ms <= TIMEOUT_MAX_MS ? (gw_time)ms * GW_MSEC : GW_NEVER;
}

/* From now on. */
static void set_deadline(struct op *op)
{
	op->deadline = timeout_of(op);
	if (op->deadline != GW_NEVER)
		op->deadline += loop_clock();
	loop_timer_set(op->timer, op->deadline);
}

/* False: the op has ended. */
static bool contact(struct op *op, hub_event_fn *on_event, loop_timer_fn *on_timer)
{
	struct loop *loop = hub_loop(op->hub);
	bool service =
		strcmp(op->type->name, "connect") == 0 || strcmp(op->type->name, "forward") == 0;
	uint8_t own[GODWIT_KEY_SIZE];
	struct failure f;

	if (home_destination(agent_home(op->agent), text_of(op, "to"), service ? "" : NULL, &op->to,
			     &f) < 0) {
		end(op, &f);
		return false;
	}
	godwit_node_key(op->node, own);
	if (memcmp(own, op->to.key, sizeof(own)) == 0) {
		end_error(op, GODWIT_E_SELF);
		return false;
	}
	add_endpoints(op);
	op->observer = hub_observe(op->hub, on_event, op);
	op->timer = loop_timer_new(loop, on_timer, op);
	if (!op->observer || !op->timer) {
		end_error(op, GODWIT_E_NOMEM);
		return false;
	}
	list_append(&op->agent->ops, &op->link);
	set_deadline(op);
	return true;
}

static bool is_about(const struct op *op, const godwit_event *e, godwit_event_type type)
{
	return e->type == type && memcmp(e->key, op->to.key, sizeof(e->key)) == 0;
}

static bool has_failed(const struct op *op, const godwit_event *e)
{
	return is_about(op, e, GODWIT_EVENT_PEER) && e->state == GODWIT_PEER_FAILED;
}

/* --- connect --- */

/* The peer's service has not answered yet. */
static bool is_opening(const struct op *op)
{
	godwit_stream_info info;

	godwit_stream_describe(op->stream, &info);
	return !info.answered;
}

static void connect_event(void *user, const godwit_event *e)
{
	struct op *op = user;

	if (has_failed(op, e) && is_opening(op))
		end_error(op, e->error);
}

static void connect_timeout(void *user)
{
	struct op *op = user;
	struct hub *h = op->hub;

	if (is_opening(op))
		end_error(op, GODWIT_E_TIMEOUT);
	hub_wake(h);
}

static void connect_done(void *user, int error, int sys)
{
	struct op *op = user;
	struct failure f;

	op->pump = NULL;
	/* EPIPE: who read our output has had enough, as ssh at its end, or head(1). */
	if (error == 0 || (error == GODWIT_E_IO && sys == EPIPE)) {
		end(op, NULL);
	} else if (error == GODWIT_E_IO) {
		fail_error(&f, error, "%s", "");
		fail_message(&f, "standard input or output: %s", strerror(sys));
		fail_hint(&f, "look at the program at the other end of the pipe");
		end(op, &f);
	} else {
		end_error(op, error);
	}
}

static void connect_start(struct op *op)
{
	int rv, in, out;

	if (!contact(op, connect_event, connect_timeout))
		return;
	rv = godwit_stream_open(op->node, op->to.key, op->to.service, &op->stream);
	if (rv < 0) {
		end_error(op, rv);
		return;
	}
	in = op->fds[0];
	out = op->fds[1];
	op->fds[0] = op->fds[1] = -1;
	rv = pump_start(op->hub, op->stream, in, out, connect_done, op, &op->pump);
	if (rv < 0)
		end_error(op, rv);
}

size_t ops_streams(const struct agent *a)
{
	size_t count = 0;

	list_each(&a->ops, i, next)
		count += container_of(i, struct op, link)->pump != NULL;
	return count;
}

static void connect_stop(struct op *op)
{
	if (op->pump)
		pump_stop(op->pump);
	op->pump = NULL;
}

/* --- expose --- */

static void keep(struct op *op, json_t *kept)
{
	const char *name = text_of(op, "name");
	char target[TARGET_TEXT_MAX];
	const json_t *one;
	size_t i;

	json_array_foreach(kept, i, one)
		if (strcmp(get_text(one, "name"), name) == 0) {
			json_array_remove(kept, i);
			break;
		}
	target_format(offer_target(op->offer), target);
	json_array_append_new(kept, json_pack("{s:s,s:s,s:O}", "name", name, "target", target,
					      "allow", offer_allow(op->offer)));
}

static int save_kept(struct op *op, struct failure *f)
{
	json_t *kept = home_kept_load(agent_home(op->agent), f);
	int rv = -1;

	if (kept) {
		keep(op, kept);
		rv = home_kept_save(agent_home(op->agent), kept, f);
	}
	json_decref(kept);
	return rv;
}

static void expose_start_op(struct op *op)
{
	char ticket[GODWIT_TICKET_SIZE], target[TARGET_TEXT_MAX];
	bool kept = json_is_true(json_object_get(op->request, "keep"));
	const struct target *t;
	struct failure f;
	int rv;

	if (agent_offer(op->agent, text_of(op, "name"), text_of(op, "target"),
			json_object_get(op->request, "allow"), &op->offer, &f) < 0 ||
	    (kept && save_kept(op, &f) < 0)) {
		end(op, &f);
		return;
	}
	offer_set_owned(op->offer, true);
	t = offer_target(op->offer);
	target_format(t, target);
	rv = godwit_node_ticket(op->node, NULL, ticket);
	if (rv < 0) {
		end_error(op, rv);
		return;
	}
	tell(op, json_pack("{s:s,s:s,s:O,s:s,s:i}", "name", text_of(op, "name"), "target", target,
			   "allow", offer_allow(op->offer), "ticket", ticket, "port",
			   t->kind == TARGET_TCP ? t->port : 0));
	if (kept && json_is_true(json_object_get(op->request, "remote"))) {
		offer_set_owned(op->offer, false); /* it stays with the node that runs on */
		op->offer = NULL;
		end(op, NULL);
	}
}

static void expose_stop_op(struct op *op)
{
	if (op->offer)
		agent_withdraw(op->agent, op->offer);
	op->offer = NULL;
}

static void forget_start(struct op *op)
{
	agent_forget(op->agent, text_of(op, "name"));
	end(op, NULL);
}

/* --- forward --- */

static void forward_event(void *user, const godwit_event *e)
{
	struct op *op = user;

	if (is_about(op, e, GODWIT_EVENT_PEER) && e->state == GODWIT_PEER_CONNECTED)
		op->connected = true;
	else if (has_failed(op, e) && !op->connected)
		end_error(op, e->error);
}

static void forward_timeout(void *user)
{
	struct op *op = user;
	struct hub *h = op->hub;

	if (!op->connected)
		end_error(op, GODWIT_E_TIMEOUT);
	hub_wake(h);
}

static void forward_report(void *user, int error)
{
	struct op *op = user;
	struct failure f;

	fail_error(&f, error, "a connection to %s failed", op->to.service);
	tell(op, json_pack("{s:o}", "failure", fail_to_json(&f)));
}

static void forward_start_op(struct op *op)
{
	char listen[TARGET_TEXT_MAX], address[GODWIT_ADDRESS_SIZE];
	const struct target *t;
	struct failure f;
	int rv;

	if (!contact(op, forward_event, forward_timeout))
		return;
	if (agent_forward(op->agent, text_of(op, "listen"), &op->to, forward_report, op,
			  &op->forward, &f) < 0) {
		end(op, &f);
		return;
	}
	t = forward_item_listen(op->forward);
	target_format(t, listen);
	godwit_address_format(op->to.key, address);
	tell(op, json_pack("{s:s,s:i,s:s,s:s}", "listen", listen, "port",
			   t->kind == TARGET_TCP ? t->port : 0, "service", op->to.service,
			   "address", address));
	rv = godwit_dial(op->node, op->to.key);
	if (rv < 0)
		end_error(op, rv);
}

static void forward_stop_op(struct op *op)
{
	if (op->forward)
		agent_unforward(op->agent, op->forward);
	op->forward = NULL;
}

/* --- ping --- */

static void ping_next(struct op *op)
{
	int rv = godwit_ping(op->node, op->to.key, &op->ping_id);

	op->ping_at = loop_clock();
	set_deadline(op);
	if (rv < 0)
		end_error(op, rv);
}

/* Whoever has answered may only be away; who refuses us now, or has been replaced, is not. */
static bool is_final(const struct op *op, int error)
{
	return op->received == 0 || error != GODWIT_E_UNREACHABLE;
}

static void ping_replied(struct op *op, const godwit_event *e)
{
	char address[GODWIT_ADDRESS_SIZE];
	gw_time next = op->ping_at + (gw_time)number_of(op, "interval_ms") * GW_MSEC;

	op->ping_id = 0;
	op->received++;
	godwit_address_format(op->to.key, address);
	tell(op,
	     json_pack("{s:I,s:f,s:s,s:o}", "seq", op->received, "rtt_ms", (double)e->rtt_us / 1e3,
		       "address", address, "path", endpoint_path(e->endpoint)));
	/* Every path is direct in this version. */
	if (op->received == number_of(op, "count") ||
	    json_is_true(json_object_get(op->request, "until_direct")))
		end(op, NULL);
	else
		loop_timer_set(op->timer, next);
}

static void ping_event(void *user, const godwit_event *e)
{
	struct op *op = user;

	if (has_failed(op, e) && is_final(op, e->error))
		end_error(op, e->error);
	else if (has_failed(op, e))
		tell(op, json_pack("{s:s,s:s}", "lost", godwit_error_name(e->error), "message",
				   godwit_strerror(e->error)));
	else if (is_about(op, e, GODWIT_EVENT_PONG) && e->ping_id == op->ping_id)
		ping_replied(op, e);
}

static void ping_timer(void *user)
{
	struct op *op = user;
	struct hub *h = op->hub;

	if (op->ping_id != 0) /* it has not been answered in time */
		end_error(op, GODWIT_E_TIMEOUT);
	else
		ping_next(op);
	hub_wake(h);
}

static void ping_start(struct op *op)
{
	if (contact(op, ping_event, ping_timer))
		ping_next(op);
}

/* --- bench --- */

static void bench_event(void *user, const godwit_event *e)
{
	struct op *op = user;

	if (is_about(op, e, GODWIT_EVENT_PEER) && e->state == GODWIT_PEER_CONNECTED)
		op->connected = true;
	else if (has_failed(op, e))
		end_error(op, e->error);
}

static void bench_timeout(void *user)
{
	struct op *op = user;
	struct hub *h = op->hub;

	if (!op->connected)
		end_error(op, GODWIT_E_TIMEOUT);
	hub_wake(h);
}

static void bench_progress(void *user, double elapsed, double gbit_s)
{
	tell(user, json_pack("{s:f,s:f}", "elapsed", elapsed, "gbit_s", gbit_s));
}

static void bench_done(void *user, int error, const struct bench_result *r)
{
	struct op *op = user;

	op->bench = NULL;
	if (error) {
		end_error(op, error);
		return;
	}
	tell(op, json_pack("{s:{s:I,s:f,s:f,s:f,s:f,s:{s:f,s:f}}}", "result", "bytes",
			   (json_int_t)r->bytes, "seconds", r->seconds, "gbit_s", r->gbit_s,
			   "cpu_s", r->cpu_s, "cpu_s_per_gb", r->cpu_s_per_gb, "rtt_us", "p50",
			   r->rtt_p50_us, "p99", r->rtt_p99_us));
	end(op, NULL);
}

static void bench_start_op(struct op *op)
{
	struct bench_options options = {
		.seconds = json_number_value(json_object_get(op->request, "seconds")),
		.streams = (unsigned)number_of(op, "streams"),
		.reverse = json_is_true(json_object_get(op->request, "reverse")),
	};
	int rv;

	if (options.seconds <= 0 || options.seconds > 86400 || options.streams < 1 ||
	    options.streams > BENCH_STREAMS_MAX) {
		end_error(op, GODWIT_E_INVALID);
		return;
	}
	if (!contact(op, bench_event, bench_timeout))
		return;
	/* Tells whether it is connected already. */
	rv = godwit_dial(op->node, op->to.key);
	if (rv == 0)
		rv = bench_start(op->hub, op->to.key, &options, bench_progress, bench_done, op,
				 &op->bench);
	if (rv < 0)
		end_error(op, rv);
}

static void bench_stop_op(struct op *op)
{
	if (op->bench)
		bench_stop(op->bench);
	op->bench = NULL;
}

/* --- questions and faults --- */

static void status_start(struct op *op)
{
	tell(op, agent_status(op->agent));
	end(op, NULL);
}

static void ticket_start(struct op *op)
{
	const char *service = text_of(op, "service");
	char ticket[GODWIT_TICKET_SIZE];
	struct failure f;
	int rv = godwit_node_ticket(op->node, service, ticket);

	if (rv < 0) {
		fail_usage(&f, "--service NAME, 1 to 63 of a-z 0-9 . _ -",
			   "\"%.63s\" is no name for a service", service);
		end(op, &f);
		return;
	}
	tell(op, json_pack("{s:s}", "ticket", ticket));
	end(op, NULL);
}

static void debug_start(struct op *op)
{
	int rv = godwit_debug(op->node, text_of(op, "fault"));

	if (rv < 0)
		end_error(op, rv);
	else
		end(op, NULL);
}

/* --- start --- */

static const struct op_type TYPES[] = {
	{ "connect", connect_start, connect_stop },
	{ "expose", expose_start_op, expose_stop_op },
	{ "forget", forget_start, NULL },
	{ "forward", forward_start_op, forward_stop_op },
	{ "ping", ping_start, NULL },
	{ "bench", bench_start_op, bench_stop_op },
	{ "status", status_start, NULL },
	{ "ticket", ticket_start, NULL },
	{ "debug", debug_start, NULL },
};

static const struct op_type *find_type(const char *name)
{
	for (size_t i = 0; i < sizeof(TYPES) / sizeof(TYPES[0]); i++)
		if (strcmp(TYPES[i].name, name) == 0)
			return &TYPES[i];
	return NULL;
}

static void refuse(const int fds[2], const struct op_sink *sink, int error)
{
	struct failure f;

	close_fds(fds);
	fail_error(&f, error, "request");
	fail_hint(&f, "the same version of godwit on both sides of the control socket");
	sink->end(sink->user, &f);
}

void op_start(struct agent *a, const json_t *request, const int fds[2], const struct op_sink *sink,
	      struct op **slot)
{
	const char *name = json_string_value(json_object_get(request, "op"));
	const struct op_type *type = find_type(name ? name : "");
	struct op *op = type ? calloc(1, sizeof(*op)) : NULL;

	*slot = NULL;
	if (!op || (strcmp(type->name, "connect") == 0 && (fds[0] < 0 || fds[1] < 0))) {
		free(op);
		refuse(fds, sink, type && !op ? GODWIT_E_NOMEM : GODWIT_E_VERSION);
		return;
	}
	op->type = type;
	op->agent = a;
	op->hub = agent_hub(a);
	op->node = hub_node(op->hub);
	op->request = json_deep_copy(request);
	op->sink = *sink;
	op->fds[0] = fds[0];
	op->fds[1] = fds[1];
	op->slot = slot;
	op->starting = true;
	*slot = op;
	type->start(op);
	op->starting = false;
	if (op->ended)
		free(op);
}
