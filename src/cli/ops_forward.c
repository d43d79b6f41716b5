/* SPDX-License-Identifier: Apache-2.0 */
/* forward.  To a name it is begun before anybody is asked for it, and it follows the name; else it calls its
 * peer at once, and ends when that fails. */
#include <string.h>

#include "cli/ops_internal.h"

static void forward_event(void *user, const godwit_event *e)
{
	struct op *op = user;

	if (op_is_about(op, e, GODWIT_EVENT_PEER) && e->state == GODWIT_PEER_CONNECTED)
		op->connected = true;
	else if (op_has_failed(op, e) && !op->connected)
		op_end_error(op, e->error);
}

static void forward_timeout(void *user)
{
	struct op *op = user;
	struct hub *h = op->hub;

	if (!op->connected)
		op_end_error(op, GODWIT_E_TIMEOUT);
	hub_wake(h);
}

static void forward_report(void *user, int error)
{
	struct op *op = user;
	char place[PLACE_TEXT_SIZE];
	struct failure f;

	place_format(&op->place, place);
	fail_error(&f, error, "a connection to %s failed", op->place.ticket.service);
	if (*op->place.name && (error == GODWIT_E_NOT_FOUND || error == GODWIT_E_AMBIGUOUS))
		fail_find(&f, error, &op->place);
	op_tell(op, json_pack("{s:o}", "failure", fail_to_json(&f)));
}

static void forward_too_large(void *user, size_t size, size_t limit)
{
	struct op *op = user;
	struct failure f;

	fail_too_large(&f, op->place.ticket.service, size, limit);
	op_tell(op, json_pack("{s:o}", "failure", fail_to_json(&f)));
}

static void tell(struct op *op)
{
	const struct target *t = forward_item_listen(op->forward);
	char listen[TARGET_TEXT_MAX], place[PLACE_TEXT_SIZE];
	bool by_name = *op->place.name != 0;

	target_format(t, listen);
	place_format(&op->place, place);
	op_tell(op,
		json_pack("{s:s,s:i,s:s,s:s?,s:s?}", "listen", listen, "port",
			  t->kind == TARGET_UNIX ? 0 : t->port, "service", op->place.ticket.service,
			  "address", by_name ? NULL : place, "name", by_name ? place : NULL));
}

static int start(struct op *op)
{
	struct failure f;

	if (agent_forward(op->agent, op_text(op, "listen"), &op->place, forward_report,
			  forward_too_large, op, &op->forward, &f) < 0) {
		op_end(op, &f);
		return -1;
	}
	tell(op);
	return 0;
}

static void forward_go(struct op *op)
{
	int rv;

	if (start(op) < 0)
		return;
	rv = godwit_dial(op->node, op->to.key);
	if (rv < 0)
		op_end_error(op, rv);
}

/* It exists, or there is nobody to ask yet: the forward waits.  Else better now than later. */
static void name_known(void *user, int error, const uint8_t *key)
{
	struct op *op = user;
	struct failure f;

	(void)key;
	op->find = NULL;
	if (error == 0)
		return;
	fail_find(&f, error, &op->place);
	if (error == GODWIT_E_UNREACHABLE)
		op_tell(op, json_pack("{s:o}", "failure", fail_to_json(&f)));
	else
		op_end(op, &f);
}

static void start_by_name(struct op *op)
{
	struct failure f;
	int rv;

	if (start(op) < 0)
		return;
	rv = find_start(op->hub, op->place.network, op->place.name, name_known, op, &op->find);
	if (rv == 0)
		return;
	fail_find(&f, rv, &op->place);
	op_end(op, &f);
}

void forward_start_op(struct op *op)
{
	struct failure f;

	if (place_parse(agent_home(op->agent), op_text(op, "to"), "", &op->place, &f) < 0)
		op_end(op, &f);
	else if (*op->place.name)
		start_by_name(op);
	else
		op_contact(op, forward_event, forward_timeout, forward_go);
}

void forward_stop_op(struct op *op)
{
	if (op->forward)
		agent_unforward(op->agent, op->forward);
	op->forward = NULL;
}
