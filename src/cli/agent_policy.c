/* SPDX-License-Identifier: Apache-2.0 */
/* The rules of the running node. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/agent_internal.h"

/* --- the file --- */

static int let_dial(godwit_node *node, const struct who *w)
{
	switch (w->kind) {
	case WHO_ANY:
		return godwit_allow_dial(node, NULL);
	case WHO_KEY:
		return godwit_allow_dial(node, w->key);
	case WHO_NETWORK:
		return godwit_allow_dial_network(node, w->key, NULL);
	case WHO_GROUP:
		break;
	}
	return godwit_allow_dial_network(node, w->key, w->group);
}

static void let_dial_no_more(godwit_node *node, const struct who *w)
{
	switch (w->kind) {
	case WHO_ANY:
		godwit_disallow_dial(node, NULL);
		return;
	case WHO_KEY:
		godwit_disallow_dial(node, w->key);
		return;
	case WHO_NETWORK:
		godwit_disallow_dial_network(node, w->key, NULL);
		return;
	case WHO_GROUP:
		godwit_disallow_dial_network(node, w->key, w->group);
		return;
	}
}

/* NULL: every one. */
static const char *service_of(const struct rule *r)
{
	return strcmp(r->service, "*") == 0 ? NULL : r->service;
}

static void undo(struct agent *a, const struct rules *rules, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct rule *r = &rules->list[i];

		if (r->dial)
			let_dial_no_more(a->node, &r->who);
		else
			agent_take_back(a, service_of(r), &r->who);
	}
}

/* All or none. */
static int apply(struct agent *a, const struct rules *rules)
{
	for (size_t i = 0; i < rules->count; i++) {
		const struct rule *r = &rules->list[i];
		int rv = r->dial ? let_dial(a->node, &r->who)
				 : agent_grant(a, service_of(r), &r->who);

		if (rv < 0) {
			undo(a, rules, i);
			return rv;
		}
	}
	return 0;
}

int agent_load_policy(struct agent *a, struct failure *f)
{
	struct rules fresh = { 0 };
	char path[RULES_PATH_SIZE];
	int rv;

	if (rules_read(&fresh, a->home, a->settings, path, f) < 0) {
		rules_clear(&fresh);
		return -1;
	}
	/* The new ones first: what both allow goes on. */
	rv = apply(a, &fresh);
	if (rv < 0) {
		rules_clear(&fresh);
		return fail_error(f, rv, "policy %.300s", path);
	}
	undo(a, &a->policy, a->policy.count);
	rules_clear(&a->policy);
	a->policy = fresh;
	snprintf(a->policy_path, sizeof(a->policy_path), "%s", path);
	a->rules_stale = true;
	godwit_recheck(a->node);
	return 0;
}

int agent_reload(struct agent *a, struct failure *f)
{
	/* Rules name networks. */
	if (agent_load_networks(a, f) < 0)
		return -1;
	return agent_load_policy(a, f);
}

void agent_drop_policy(struct agent *a)
{
	rules_clear(&a->policy);
	rules_clear(&a->rules);
}

/* --- all that are in force --- */

static int add_grants(struct rules *r, const struct grants *g, struct failure *f)
{
	struct rule rule = { 0 };

	snprintf(rule.service, sizeof(rule.service), "%s", g->service);
	snprintf(rule.source, sizeof(rule.source), "%s", g->source);
	for (size_t i = 0; i < g->count; i++) {
		rule.who = g->list[i];
		if (rules_add(r, &rule, f) < 0)
			return -1;
	}
	return 0;
}

const struct rules *agent_rules(struct agent *a)
{
	struct failure ignored;

	if (!a->rules_stale)
		return &a->rules;
	a->rules.count = 0;
	(void)add_grants(&a->rules, &a->allow, &ignored);
	for (const struct offer *o = a->offers; o; o = o->next)
		(void)add_grants(&a->rules, &o->grants, &ignored);
	for (size_t i = 0; i < a->policy.count; i++)
		(void)rules_add(&a->rules, &a->policy.list[i], &ignored);
	a->rules_stale = false;
	return &a->rules;
}

bool agent_serves_nobody(struct agent *a)
{
	const struct rules *r = agent_rules(a);

	for (size_t i = 0; i < r->count; i++)
		if (!r->list[i].dial)
			return false;
	return a->offers != NULL;
}

/* --- who somebody is --- */

static bool find_member(const struct agent *a, const struct agent_network *w,
			const uint8_t key[GODWIT_KEY_SIZE], godwit_member_info *out)
{
	size_t count = godwit_network_members(a->node, w->key, NULL, 0);
	godwit_member_info *all = calloc(count + 1, sizeof(*all));
	bool found = false;

	count = all ? godwit_network_members(a->node, w->key, all, count) : 0;
	for (size_t i = 0; i < count && !found; i++) {
		found = memcmp(all[i].key, key, GODWIT_KEY_SIZE) == 0;
		*out = all[i];
	}
	free(all);
	return found;
}

void agent_person(const struct agent *a, const uint8_t key[GODWIT_KEY_SIZE], struct person *out)
{
	godwit_member_info m;

	memset(out, 0, sizeof(*out));
	memcpy(out->key, key, sizeof(out->key));
	for (const struct agent_network *w = a->networks; w; w = w->next) {
		struct standing *s = &out->standings[out->n_standings];

		if (!w->known || out->n_standings == STANDINGS_MAX || !find_member(a, w, key, &m))
			continue;
		out->n_standings++;
		memcpy(s->network, w->key, sizeof(s->network));
		snprintf(s->label, sizeof(s->label), "%s", w->label);
		snprintf(s->name, sizeof(s->name), "%s", m.name);
		s->n_groups = m.n_groups;
		memcpy(s->groups, m.groups, sizeof(s->groups));
	}
}
