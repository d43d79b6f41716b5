/* SPDX-License-Identifier: Apache-2.0 */
/* Networks and policy: what the running node knows and decides. */
#include <string.h>

#include "cli/ops_internal.h"

/* --- networks --- */

void networks_reload_start(struct op *op)
{
	struct failure f;

	if (agent_load_networks(op->agent, &f) < 0)
		op_end(op, &f);
	else
		op_end(op, NULL);
}

/* {"op":"members","network":LABEL} */
void members_start(struct op *op)
{
	const struct agent_network *w = agent_find_network(op->agent, op_text(op, "network"));
	struct failure f;

	if (!w || !w->known) {
		fail_error(&f, GODWIT_E_NOT_FOUND, "network");
		fail_message(&f, "the running node has no network \"%.63s\"",
			     op_text(op, "network"));
		fail_hint(&f, "godwit status says what is wrong");
		op_end(op, &f);
		return;
	}
	op_tell(op, json_pack("{s:o}", "members", agent_describe_members(op->agent, w->key)));
	op_end(op, NULL);
}

/* --- policy --- */

void policy_reload_start(struct op *op)
{
	struct failure f;

	if (agent_reload(op->agent, &f) < 0) {
		op_end(op, &f);
		return;
	}
	op_tell(op, json_pack("{s:s?,s:I}", "file",
			      *op->agent->policy_path ? op->agent->policy_path : NULL, "rules",
			      (json_int_t)op->agent->policy.count));
	op_end(op, NULL);
}

void policy_show_start(struct op *op)
{
	op_tell(op, policy_describe(agent_rules(op->agent), op->agent->policy_path, true));
	op_end(op, NULL);
}

static void check_go(struct op *op)
{
	const json_t *groups = json_object_get(op->request, "groups"), *one;
	struct person person;
	struct failure f;
	size_t i;

	agent_person(op->agent, op->to.key, &person);
	json_array_foreach(groups, i, one)
		if (person_assume(&person, agent_home(op->agent), json_string_value(one), &f) < 0) {
			op_end(op, &f);
			return;
		}
	op_tell(op, policy_decide(agent_rules(op->agent),
				  json_is_true(json_object_get(op->request, "dial")),
				  op_text(op, "service"), &person, true));
	op_end(op, NULL);
}

/* {"op":"policy-check","to":WHO,"service":NAME,"dial":BOOL,"groups":[...]} */
void policy_check_start(struct op *op)
{
	struct failure f;

	if (place_parse(agent_home(op->agent), op_text(op, "to"), NULL, &op->place, &f) < 0)
		op_end(op, &f);
	else
		op_find(op, check_go);
}
