/* SPDX-License-Identifier: Apache-2.0 */
/* expose, and forget. */
#include <string.h>

#include "cli/ops_internal.h"
#include "cli/text.h"

/* For a beacon, before an offer is announced without. */
#define REGISTER_PATIENCE (5 * GW_SEC)

static void keep(struct op *op, json_t *kept)
{
	const char *name = op_text(op, "name");
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

static void expose_told(struct op *op)
{
	if (!json_is_true(json_object_get(op->request, "keep")) ||
	    !json_is_true(json_object_get(op->request, "remote")))
		return;
	offer_set_owned(op->offer, false); /* it stays with the node that runs on */
	op->offer = NULL;
	op_end(op, NULL);
}

static void expose_tell(struct op *op)
{
	char ticket[GODWIT_TICKET_SIZE], target[TARGET_TEXT_MAX], which[BEACONS_TEXT_MAX] = "";
	const struct target *t = offer_target(op->offer);
	int rv = godwit_node_ticket(op->node, NULL, ticket);
	json_t *event;

	op->waiting = false;
	if (rv < 0) {
		op_end_error(op, rv);
		return;
	}
	target_format(t, target);
	event = json_pack("{s:s,s:s,s:O,s:s,s:i}", "name", op_text(op, "name"), "target", target,
			  "allow", offer_allow(op->offer), "ticket", ticket, "port",
			  t->kind == TARGET_UNIX ? 0 : t->port);
	if (!agent_is_ready(op->agent) &&
	    agent_judge_beacons(op->agent, NULL, which, sizeof(which)) == BEACONS_SILENT)
		json_object_set_new(event, "silent_beacons", json_string(which));
	op_tell(op, event);
	expose_told(op);
}

static void expose_event(void *user, const godwit_event *e)
{
	struct op *op = user;

	if (op->waiting && e->type == GODWIT_EVENT_BEACONS && agent_is_ready(op->agent))
		expose_tell(op);
}

static void expose_impatient(void *user)
{
	struct op *op = user;
	struct hub *h = op->hub;

	if (op->waiting)
		expose_tell(op);
	hub_wake(h);
}

void expose_start_op(struct op *op)
{
	bool kept = json_is_true(json_object_get(op->request, "keep"));
	struct failure f;

	if (agent_offer(op->agent, op_text(op, "name"), op_text(op, "target"),
			json_object_get(op->request, "allow"), kept ? "kept" : "expose", &op->offer,
			&f) < 0 ||
	    (kept && save_kept(op, &f) < 0)) {
		op_end(op, &f);
		return;
	}
	offer_set_owned(op->offer, true);
	if (agent_is_ready(op->agent)) {
		expose_tell(op);
		return;
	}
	/* The ticket is to name the beacons where this node really is. */
	op->waiting = true;
	op->observer = hub_observe(op->hub, expose_event, op);
	op->timer = loop_timer_new(hub_loop(op->hub), expose_impatient, op);
	if (!op->observer || !op->timer)
		op_end_error(op, GODWIT_E_NOMEM);
	else
		loop_timer_set(op->timer, loop_clock() + REGISTER_PATIENCE);
}

void expose_stop_op(struct op *op)
{
	if (op->offer)
		agent_withdraw(op->agent, op->offer);
	op->offer = NULL;
}

void forget_start(struct op *op)
{
	agent_forget(op->agent, op_text(op, "name"));
	op_end(op, NULL);
}
