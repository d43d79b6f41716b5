/* cli/ops_internal.h - what the files of the requests share.
 *
 * Every op may wait for its peer ("contact"): for the key of a name to be found, for the dial to succeed
 * or fail, and no longer than the timeout says. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_CLI_OPS_INTERNAL_H
#define GODWIT_CLI_OPS_INTERNAL_H

#include "cli/agent_internal.h"
#include "service/find.h"

/* Its peer's key is known. */
typedef void op_go_fn(struct op *op);

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
	struct place place;    /* what was asked for ... */
	godwit_ticket to;      /* ... and what has come of it */
	struct find *find;     /* the key is being looked for */
	op_go_fn *go, *then;
	hub_event_fn *on_event;
	struct hub_observer *observer;
	struct loop_timer *timer; /* ping: the next one; else the timeout */
	loop_timer_fn *on_timer;
	gw_time deadline;

	/* of one type each */
	struct pump *pump;
	godwit_stream *stream;
	struct offer *offer;
	struct forward_item *forward;
	struct bench *bench;
	bool connected;
	bool waiting; /* expose: for a beacon */
	uint64_t ping_id;
	gw_time ping_at;
	gw_time direct_by; /* ping --until-direct: when to give up; else GW_NEVER */
	json_int_t received;
};

/* The op may be gone after these. */
void op_end(struct op *op, const struct failure *f);
void op_end_error(struct op *op, int error);
void op_tell(struct op *op, json_t *event);

/* Members of the request. */
const char *op_text(const struct op *op, const char *key);
json_int_t op_number(const struct op *op, const char *key);
gw_time op_timeout(const struct op *op); /* GW_NEVER: none */

/* Take the destination, find its key, watch for events, and go on; perhaps before it returns. */
void op_contact(struct op *op, hub_event_fn *on_event, loop_timer_fn *on_timer, op_go_fn *go);
/* Only the first two, of op->place. */
void op_find(struct op *op, op_go_fn *go);
void op_set_deadline(struct op *op); /* from now on */
bool op_is_about(const struct op *op, const godwit_event *e, godwit_event_type type);
bool op_has_failed(const struct op *op, const godwit_event *e);

/* --- ops_expose.c --- */

void expose_start_op(struct op *op);
void expose_stop_op(struct op *op);
void forget_start(struct op *op);

/* --- ops_forward.c --- */

void forward_start_op(struct op *op);
void forward_stop_op(struct op *op);

/* --- ops_trust.c --- */

void members_start(struct op *op);
void networks_reload_start(struct op *op);
void policy_reload_start(struct op *op);
void policy_show_start(struct op *op);
void policy_check_start(struct op *op);

/* --- ops_measure.c --- */

void ping_start(struct op *op);
void bench_start_op(struct op *op);
void bench_stop_op(struct op *op);

#endif
