/* SPDX-License-Identifier: Apache-2.0 */
/* ping and bench. */
#include <stdio.h>
#include <string.h>

#include "cli/ops_internal.h"

/* For a direct path, when --timeout does not say. */
#define DIRECT_PATIENCE (15 * GW_SEC)

/* --- ping --- */

static bool until_direct(const struct op *op)
{
	return json_is_true(json_object_get(op->request, "until_direct"));
}

static void ping_next(struct op *op)
{
	int rv = godwit_ping(op->node, op->to.key, &op->ping_id);

	op->ping_at = loop_clock();
	if (until_direct(op))
		loop_timer_set(op->timer, op->direct_by);
	else
		op_set_deadline(op);
	if (rv < 0)
		op_end_error(op, rv);
}

static void end_not_direct(struct op *op)
{
	const char *why = why_relayed(op->node, op->to.key);
	struct failure f;

	fail_error(&f, GODWIT_E_TIMEOUT, "%s", "");
	f.exit = EXIT_FAILED;
	snprintf(f.code, sizeof(f.code), "not-direct");
	fail_message(&f, "no direct path: %s", why ? why : "every reply came through a beacon");
	if (op->agent->relay_only) {
		fail_hint(&f, "without --relay-only");
	} else {
		fail_hint(&f, "`godwit netcheck` on both machines says what is in the way");
	}
	op_end(op, &f);
}

/* Whoever has answered may only be away; who refuses us now, or has been replaced, is not. */
static bool is_final(const struct op *op, int error)
{
	return op->received == 0 || error != GODWIT_E_UNREACHABLE;
}

static void ping_replied(struct op *op, const godwit_event *e)
{
	char address[GODWIT_ADDRESS_SIZE];
	gw_time next = op->ping_at + (gw_time)op_number(op, "interval_ms") * GW_MSEC;

	op->ping_id = 0;
	op->received++;
	godwit_address_format(op->to.key, address);
	op_tell(op, json_pack("{s:I,s:f,s:s,s:o}", "seq", op->received, "rtt_ms",
			      (double)e->rtt_us / 1e3, "address", address, "path",
			      describe_path(e->relayed, e->endpoint, e->relay, e->transport,
					    why_relayed(op->node, op->to.key))));
	if (!(until_direct(op) && !e->relayed) && op->received != op_number(op, "count"))
		loop_timer_set(op->timer, time_min(next, op->direct_by));
	else if (until_direct(op) && e->relayed)
		end_not_direct(op);
	else
		op_end(op, NULL);
}

static void ping_event(void *user, const godwit_event *e)
{
	struct op *op = user;

	if (op_has_failed(op, e) && is_final(op, e->error))
		op_end_error(op, e->error);
	else if (op_has_failed(op, e))
		op_tell(op, json_pack("{s:s,s:s}", "lost", godwit_error_name(e->error), "message",
				      godwit_strerror(e->error)));
	else if (op_is_about(op, e, GODWIT_EVENT_PONG) && e->ping_id == op->ping_id)
		ping_replied(op, e);
}

static void ping_timer(void *user)
{
	struct op *op = user;
	struct hub *h = op->hub;

	if (loop_clock() >= op->direct_by && op->received > 0)
		end_not_direct(op);
	else if (op->ping_id != 0) /* it has not been answered in time */
		op_end_error(op, GODWIT_E_TIMEOUT);
	else
		ping_next(op);
	hub_wake(h);
}

void ping_start(struct op *op)
{
	gw_time patience = op_timeout(op) == GW_NEVER ? DIRECT_PATIENCE : op_timeout(op);

	op->direct_by = until_direct(op) ? loop_clock() + patience : GW_NEVER;
	op_contact(op, ping_event, ping_timer, ping_next);
}

/* --- bench --- */

static void bench_event(void *user, const godwit_event *e)
{
	struct op *op = user;

	if (op_is_about(op, e, GODWIT_EVENT_PEER) && e->state == GODWIT_PEER_CONNECTED)
		op->connected = true;
	else if (op_has_failed(op, e))
		op_end_error(op, e->error);
}

static void bench_timeout(void *user)
{
	struct op *op = user;
	struct hub *h = op->hub;

	if (!op->connected)
		op_end_error(op, GODWIT_E_TIMEOUT);
	hub_wake(h);
}

static void bench_progress(void *user, double elapsed, double gbit_s)
{
	op_tell(user, json_pack("{s:f,s:f}", "elapsed", elapsed, "gbit_s", gbit_s));
}

static void bench_done(void *user, int error, const struct bench_result *r)
{
	struct op *op = user;

	op->bench = NULL;
	if (error) {
		op_end_error(op, error);
		return;
	}
	op_tell(op, json_pack("{s:{s:I,s:f,s:f,s:f,s:f,s:{s:f,s:f}}}", "result", "bytes",
			      (json_int_t)r->bytes, "seconds", r->seconds, "gbit_s", r->gbit_s,
			      "cpu_s", r->cpu_s, "cpu_s_per_gb", r->cpu_s_per_gb, "rtt_us", "p50",
			      r->rtt_p50_us, "p99", r->rtt_p99_us));
	op_end(op, NULL);
}

static struct bench_options options_of(const struct op *op)
{
	return (struct bench_options){
		.seconds = json_number_value(json_object_get(op->request, "seconds")),
		.streams = (unsigned)op_number(op, "streams"),
		.reverse = json_is_true(json_object_get(op->request, "reverse")),
	};
}

static void bench_go(struct op *op)
{
	struct bench_options options = options_of(op);
	/* Tells whether it is connected already. */
	int rv = godwit_dial(op->node, op->to.key);

	if (rv == 0)
		rv = bench_start(op->hub, op->to.key, &options, bench_progress, bench_done, op,
				 &op->bench);
	if (rv < 0)
		op_end_error(op, rv);
}

void bench_start_op(struct op *op)
{
	struct bench_options options = options_of(op);

	if (options.seconds <= 0 || options.seconds > 86400 || options.streams < 1 ||
	    options.streams > BENCH_STREAMS_MAX)
		op_end_error(op, GODWIT_E_INVALID);
	else
		op_contact(op, bench_event, bench_timeout, bench_go);
}

void bench_stop_op(struct op *op)
{
	if (op->bench)
		bench_stop(op->bench);
	op->bench = NULL;
}
