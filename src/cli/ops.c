/* SPDX-License-Identifier: Apache-2.0 */
/* What each request does with the node. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/ops_internal.h"
#include "cli/text.h"

/* Longer is for ever. */
#define TIMEOUT_MAX_MS INT64_C(1000000000000)

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
	find_cancel(op->find);
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

void op_end(struct op *op, const struct failure *f)
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

	return !op->agent->relay_only && find_peer(op, &info) && info.endpoints > 0;
}

/* The peer does not answer: what does that say? */
static void explain_unreachable(const struct op *op, struct failure *f)
{
	bool endpoints = has_endpoints(op);
	char which[BEACONS_TEXT_MAX], own[GODWIT_ADDRESS_SIZE];

	/* A node answers nobody whom it allows nothing: that looks the same. */
	godwit_node_address(op->node, own);
	switch (agent_judge_beacons(op->agent, &op->to, which, sizeof(which))) {
	case BEACONS_NONE:
		if (endpoints) {
			fail_hint(f,
				  "see that the other node runs, that its UDP port can be reached "
				  "(behind a NAT give it a --beacon), and that it allows this key: "
				  "godwit expose ... --allow %s",
				  own);
			break;
		}
		if (op->agent->relay_only)
			fail_message(f, "there is no beacon, and --relay-only uses nothing else");
		else
			fail_message(f, "no endpoint of that address is known");
		fail_hint(f,
			  "--beacon ADDRESS@HOST:PORT, or a ticket in its place: `godwit ticket` "
			  "on the other machine");
		break;
	case BEACONS_SILENT:
		fail_message(f, "%sno beacon answers: %s",
			     endpoints ? "the peer does not answer directly, and " : "", which);
		fail_hint(f, "godwit netcheck, or another --beacon");
		break;
	case BEACONS_ANSWER:
		fail_message(f, "%sthe peer is not connected to %s, or does not answer there",
			     endpoints ? "the peer does not answer directly, and " : "", which);
		fail_hint(
			f,
			"see that the other node runs, with which --beacon (or ask it for a fresh "
			"`godwit ticket`), and that it allows this key: godwit expose ... --allow "
			"%s",
			own);
		break;
	}
}

void op_end_error(struct op *op, int error)
{
	struct failure f;

	fail_error(&f, error, "%s", "");
	if (error == GODWIT_E_UNREACHABLE && list_in(&op->link))
		explain_unreachable(op, &f);
	op_end(op, &f);
}

void op_tell(struct op *op, json_t *event)
{
	op->sink.event(op->sink.user, event);
	json_decref(event);
}

const char *op_text(const struct op *op, const char *key)
{
	return get_text(op->request, key);
}

json_int_t op_number(const struct op *op, const char *key)
{
	return json_integer_value(json_object_get(op->request, key));
}

/* --- contact --- */

gw_time op_timeout(const struct op *op)
{
	json_int_t ms = op_number(op, "timeout_ms");

	return ms > 0 && ms <= TIMEOUT_MAX_MS ? (gw_time)ms * GW_MSEC : GW_NEVER;
}

void op_set_deadline(struct op *op)
{
	op->deadline = op_timeout(op);
	if (op->deadline != GW_NEVER)
		op->deadline += loop_clock();
	loop_timer_set(op->timer, op->deadline);
}

static void find_timeout(void *user)
{
	struct op *op = user;
	struct hub *h = op->hub;

	op_end_error(op, GODWIT_E_TIMEOUT);
	hub_wake(h);
}

static void found(void *user, int error, const uint8_t *key)
{
	struct op *op = user;
	struct failure f;

	op->find = NULL;
	if (error) {
		fail_find(&f, error, &op->place);
		op_end(op, &f);
		return;
	}
	loop_timer_free(op->timer);
	op->timer = NULL;
	memcpy(op->to.key, key, sizeof(op->to.key));
	op->go(op);
}

void op_find(struct op *op, op_go_fn *go)
{
	struct failure f;
	int rv;

	op->go = go;
	op->to = op->place.ticket;
	if (!*op->place.name) {
		go(op);
		return;
	}
	op->timer = loop_timer_new(hub_loop(op->hub), find_timeout, op);
	if (!op->timer) {
		op_end_error(op, GODWIT_E_NOMEM);
		return;
	}
	op_set_deadline(op);
	rv = find_start(op->hub, op->place.network, op->place.name, found, op, &op->find);
	if (rv == 0)
		return;
	fail_find(&f, rv, &op->place);
	op_end(op, &f);
}

static void watch(struct op *op)
{
	uint8_t own[GODWIT_KEY_SIZE];

	godwit_node_key(op->node, own);
	if (memcmp(own, op->to.key, sizeof(own)) == 0) {
		op_end_error(op, GODWIT_E_SELF);
		return;
	}
	godwit_add_ticket(op->node, &op->to);
	op->observer = hub_observe(op->hub, op->on_event, op);
	op->timer = loop_timer_new(hub_loop(op->hub), op->on_timer, op);
	if (!op->observer || !op->timer) {
		op_end_error(op, GODWIT_E_NOMEM);
		return;
	}
	list_append(&op->agent->ops, &op->link);
	op_set_deadline(op);
	op->then(op);
}

void op_contact(struct op *op, hub_event_fn *on_event, loop_timer_fn *on_timer, op_go_fn *go)
{
	const char *name = op->type->name;
	bool service = strcmp(name, "connect") == 0 || strcmp(name, "forward") == 0;
	struct failure f;

	op->on_event = on_event;
	op->on_timer = on_timer;
	op->then = go;
	if (place_parse(agent_home(op->agent), op_text(op, "to"), service ? "" : NULL, &op->place,
			&f) < 0)
		op_end(op, &f);
	else
		op_find(op, watch);
}

bool op_is_about(const struct op *op, const godwit_event *e, godwit_event_type type)
{
	return e->type == type && memcmp(e->key, op->to.key, sizeof(e->key)) == 0;
}

bool op_has_failed(const struct op *op, const godwit_event *e)
{
	return op_is_about(op, e, GODWIT_EVENT_PEER) && e->state == GODWIT_PEER_FAILED;
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

	if (op_has_failed(op, e) && is_opening(op))
		op_end_error(op, e->error);
}

static void connect_timeout(void *user)
{
	struct op *op = user;
	struct hub *h = op->hub;

	if (is_opening(op))
		op_end_error(op, GODWIT_E_TIMEOUT);
	hub_wake(h);
}

static void connect_done(void *user, int error, int sys)
{
	struct op *op = user;
	struct failure f;

	op->pump = NULL;
	/* EPIPE: who read our output has had enough, as ssh at its end, or head(1). */
	if (error == 0 || (error == GODWIT_E_IO && sys == EPIPE)) {
		op_end(op, NULL);
	} else if (error == GODWIT_E_IO) {
		fail_error(&f, error, "%s", "");
		fail_message(&f, "standard input or output: %s", strerror(sys));
		fail_hint(&f, "look at the program at the other end of the pipe");
		op_end(op, &f);
	} else {
		op_end_error(op, error);
	}
}

static void connect_go(struct op *op)
{
	int rv, in, out;

	rv = godwit_stream_open(op->node, op->to.key, op->to.service, &op->stream);
	if (rv < 0) {
		op_end_error(op, rv);
		return;
	}
	in = op->fds[0];
	out = op->fds[1];
	op->fds[0] = op->fds[1] = -1;
	rv = pump_start(op->hub, op->stream, in, out, connect_done, op, &op->pump);
	if (rv < 0)
		op_end_error(op, rv);
}

static void connect_start(struct op *op)
{
	op_contact(op, connect_event, connect_timeout, connect_go);
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

/* --- questions and faults --- */

static void status_start(struct op *op)
{
	op_tell(op, agent_status(op->agent));
	op_end(op, NULL);
}

static void ticket_start(struct op *op)
{
	const char *service = op_text(op, "service");
	char ticket[GODWIT_TICKET_SIZE];
	struct failure f;
	int rv = godwit_node_ticket(op->node, service, ticket);

	if (rv < 0) {
		fail_usage(&f, "--service NAME, 1 to 63 of a-z 0-9 . _ -",
			   "\"%.63s\" is no name for a service", service);
		op_end(op, &f);
		return;
	}
	op_tell(op, json_pack("{s:s}", "ticket", ticket));
	op_end(op, NULL);
}

static void debug_start(struct op *op)
{
	int rv = godwit_debug(op->node, op_text(op, "fault"));

	if (rv < 0)
		op_end_error(op, rv);
	else
		op_end(op, NULL);
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
	{ "members", members_start, NULL },
	{ "networks-reload", networks_reload_start, NULL },
	{ "policy-reload", policy_reload_start, NULL },
	{ "policy-show", policy_show_start, NULL },
	{ "policy-check", policy_check_start, NULL },
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
