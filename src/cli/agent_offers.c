/* SPDX-License-Identifier: Apache-2.0 */
/* What a node offers, and whom it allows what. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/agent_internal.h"

/* --- grants --- */

static int give(godwit_node *node, const char *service, const struct who *w)
{
	switch (w->kind) {
	case WHO_ANY:
		return godwit_allow(node, service, NULL);
	case WHO_KEY:
		return godwit_allow(node, service, w->key);
	case WHO_NETWORK:
		return godwit_allow_network(node, service, w->key, NULL);
	case WHO_GROUP:
		break;
	}
	return godwit_allow_network(node, service, w->key, w->group);
}

static void take(godwit_node *node, const char *service, const struct who *w)
{
	switch (w->kind) {
	case WHO_ANY:
		godwit_disallow(node, service, NULL);
		return;
	case WHO_KEY:
		godwit_disallow(node, service, w->key);
		return;
	case WHO_NETWORK:
		godwit_disallow_network(node, service, w->key, NULL);
		return;
	case WHO_GROUP:
		godwit_disallow_network(node, service, w->key, w->group);
		return;
	}
}

/* Every node serves the bench to whoever may use anything; who may use every service, may anyway. */
int agent_grant(struct agent *a, const char *service, const struct who *w)
{
	int rv = give(a->node, service, w);

	if (rv < 0 || !service)
		return rv;
	rv = give(a->node, BENCH_SERVICE, w);
	if (rv < 0)
		take(a->node, service, w);
	return rv;
}

void agent_take_back(struct agent *a, const char *service, const struct who *w)
{
	take(a->node, service, w);
	if (service)
		take(a->node, BENCH_SERVICE, w);
}

void grants_clear(struct agent *a, struct grants *g)
{
	for (size_t i = 0; i < g->count; i++)
		agent_take_back(a, g->service, &g->list[i]);
	free(g->list);
	json_decref(g->texts);
	*g = (struct grants){ 0 };
	a->rules_stale = true;
}

int grants_set(struct agent *a, struct grants *g, const char *service, const json_t *allow,
	       const char *source, struct failure *f)
{
	size_t count = json_array_size(allow);
	int rv;

	*g = (struct grants){ .texts = json_array(), .list = calloc(count + 1, sizeof(*g->list)) };
	a->rules_stale = true;
	snprintf(g->service, sizeof(g->service), "%s", service);
	snprintf(g->source, sizeof(g->source), "%s", source);
	for (size_t i = 0; g->list && i < count; i++) {
		const char *text = json_string_value(json_array_get(allow, i));
		struct who *w = &g->list[i];

		if (who_parse(a->home, text ? text : "", w, f) < 0) {
			grants_clear(a, g);
			return -1;
		}
		rv = agent_grant(a, service, w);
		if (rv < 0) {
			grants_clear(a, g);
			return fail_error(f, rv, "service \"%.63s\"", service);
		}
		g->count++;
		/* Names and tickets become addresses, so that lists do not change when names do. */
		json_array_append_new(g->texts, json_string(w->text));
	}
	return g->list ? 0 : fail_error(f, GODWIT_E_NOMEM, "service");
}

/* --- offers --- */

static int explain_offer(struct failure *f, int error, const char *name)
{
	fail_error(f, error, "service \"%.63s\"", name);
	if (error == GODWIT_E_INVALID) {
		fail_usage(f, "another name: --as NAME, or --expose NAME=TARGET",
			   "\"%.63s\" is no name for a service: 1 to 63 of a-z 0-9 . _ -", name);
	} else if (error == GODWIT_E_EXISTS) {
		fail_message(f, "this node already offers \"%.63s\"", name);
		fail_hint(f, "another name, or stop the other one");
	}
	return -1;
}

static void on_offer_too_large(void *user, size_t size, size_t limit)
{
	const struct offer *o = user;
	char what[GODWIT_SERVICE_SIZE + 16];
	struct failure f;

	snprintf(what, sizeof(what), "service %s", o->name);
	fail_too_large(&f, what, size, limit);
	fail_print(&f, false);
}

static int open_offer(struct agent *a, struct offer *o, const char *name, const json_t *allow,
		      const char *source, struct failure *f)
{
	int rv = expose_start(a->hub, name, &o->target, &o->expose);

	if (rv < 0)
		return explain_offer(f, rv, name);
	if (grants_set(a, &o->grants, name, allow, source, f) < 0) {
		expose_stop(o->expose);
		return -1;
	}
	snprintf(o->name, sizeof(o->name), "%s", name);
	expose_on_too_large(o->expose, on_offer_too_large, o);
	o->next = a->offers;
	a->offers = o;
	return 0;
}

int agent_offer(struct agent *a, const char *name, const char *target, const json_t *allow,
		const char *source, struct offer **out, struct failure *f)
{
	struct offer *o = calloc(1, sizeof(*o));
	const char *why;

	if (!o)
		return fail_error(f, GODWIT_E_NOMEM, "service");
	if (target_parse(target, &o->target, &why) < 0) {
		free(o);
		return fail_usage(f, "PORT, tcp:HOST:PORT, udp:HOST:PORT or unix:PATH",
				  "target \"%.80s\": %s", target, why);
	}
	if (open_offer(a, o, name, allow, source, f) < 0) {
		free(o);
		return -1;
	}
	*out = o;
	return 0;
}

void agent_withdraw(struct agent *a, struct offer *o)
{
	for (struct offer **at = &a->offers; *at; at = &(*at)->next)
		if (*at == o) {
			*at = o->next;
			break;
		}
	expose_stop(o->expose);
	grants_clear(a, &o->grants);
	godwit_recheck(a->node);
	free(o);
}

struct offer *agent_find_offer(struct agent *a, const char *name)
{
	struct offer *o = a->offers;

	while (o && strcmp(o->name, name) != 0)
		o = o->next;
	return o;
}

void agent_forget(struct agent *a, const char *name)
{
	struct offer *o = agent_find_offer(a, name);

	if (o && !o->owned)
		agent_withdraw(a, o);
}

void offer_set_owned(struct offer *o, bool owned)
{
	o->owned = owned;
}

const struct target *offer_target(const struct offer *o)
{
	return &o->target;
}

const json_t *offer_allow(const struct offer *o)
{
	return o->grants.texts;
}
