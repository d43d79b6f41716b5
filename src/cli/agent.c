/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/agent_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* --- life --- */

static void on_event(void *user, const godwit_event *event)
{
	struct agent *a = user;
	agent_fatal_fn *fatal = a->fatal;
	struct failure f;

	switch (event->type) {
	case GODWIT_EVENT_BEACONS:
		agent_look_ready(a);
		agent_look_clock(a);
		return;
	case GODWIT_EVENT_MANIFEST:
		agent_take_manifest(a, event->key);
		return;
	case GODWIT_EVENT_AUDIT:
		agent_audit(a, event);
		return;
	case GODWIT_EVENT_IDENTITY_IN_USE:
		break;
	case GODWIT_EVENT_STREAM:
	case GODWIT_EVENT_PEER:
	case GODWIT_EVENT_PONG:
	case GODWIT_EVENT_NETWORK:
	case GODWIT_EVENT_NAME:
		return;
	}
	if (!fatal)
		return;
	a->fatal = NULL;
	fail_error(&f, GODWIT_E_IN_USE, "identity");
	fail_message(&f, "identity in use elsewhere: a newer process has the same key");
	fatal(a->user, &f);
}

void agent_on_fatal(struct agent *a, agent_fatal_fn *fn, void *user)
{
	a->fatal = fn;
	a->user = user;
}

static int explain_node(struct failure *f, int error, const struct settings *s)
{
	const char *listen = setting_get(s, SETTING_LISTEN);

	if (error == GODWIT_E_IN_USE) {
		fail_error(f, error, "UDP %s", listen);
		fail_hint(f, "another --listen ADDR:PORT, or stop what uses it (ss -ulpn)");
	} else if (error == GODWIT_E_PERMISSION) {
		fail_error(f, error, "UDP %s", listen ? listen : "socket");
		fail_hint(f, "a port from 1024 up: --listen 0.0.0.0:41641");
	} else if (error == GODWIT_E_INVALID || error == GODWIT_E_FORMAT) {
		fail_usage(f, "--listen 0.0.0.0:41641, an address of this host and a port",
			   "cannot listen on \"%.60s\"", listen ? listen : "");
	} else {
		fail_errno(f, errno, "cannot start the node");
		fail_hint(f, "raise the limit of open files (ulimit -n), or free memory");
	}
	return -1;
}

static int make_node(struct agent *a, const struct settings *s, bool transient, struct failure *f)
{
	char pem[IDENTITY_PEM_MAX];
	godwit_options options;
	struct identity id;
	double park = 0, idle = 0;
	int rv;

	if (home_identity(a->home, s, &id, f) < 0)
		return -1;
	identity_to_pem(&id, pem);
	identity_wipe(&id);
	godwit_options_init(&options);
	parse_seconds(setting_get(s, SETTING_PARK), 0, 1e9, &park);
	parse_seconds(setting_get(s, SETTING_UDP_IDLE), 0, 1e9, &idle);
	a->udp_idle = (gw_time)(idle * (double)GW_SEC);
	options.identity_pem = pem;
	/* The port of the settings is for the node that stays; several one-shots may run. */
	if (!transient || strncmp(s->at[SETTING_LISTEN].source, "flag", 4) == 0)
		options.listen = setting_get(s, SETTING_LISTEN);
	options.congestion = setting_get(s, SETTING_CONGESTION);
	options.park_timeout_ms = (uint64_t)(park * 1000);
	options.transient = transient;
	options.relay_only = a->relay_only = setting_is_on(s, SETTING_RELAY_ONLY);
	options.audit = a->audit != NULL;
	rv = godwit_node_new(&a->node, &options);
	explicit_bzero(pem, sizeof(pem));
	return rv < 0 ? explain_node(f, rv, s) : 0;
}

static int start_services(struct agent *a, struct loop *loop, bool transient, struct failure *f)
{
	int rv = hub_new(&a->hub, loop, a->node);

	if (rv == 0 && !transient)
		rv = bench_serve(a->hub, &a->bench);
	if (rv == 0) {
		a->observer = hub_observe(a->hub, on_event, a);
		rv = a->observer ? 0 : GODWIT_E_NOMEM;
	}
	return rv < 0 ? fail_error(f, rv, "cannot start the node") : 0;
}

int agent_new(struct agent **out, struct loop *loop, struct home *home, const struct settings *s,
	      bool transient, struct failure *f)
{
	struct agent *a = calloc(1, sizeof(*a));

	if (!a)
		return fail_error(f, GODWIT_E_NOMEM, "node");
	a->home = home;
	a->settings = s;
	list_init(&a->ops);
	a->started = loop_clock();
	a->rules_stale = true;
	if (agent_open_audit(a, transient, f) < 0 || make_node(a, s, transient, f) < 0 ||
	    start_services(a, loop, transient, f) < 0 || agent_add_beacons(a, s, f) < 0 ||
	    agent_join(a, s, f) < 0 || agent_load_networks(a, f) < 0 ||
	    agent_load_policy(a, f) < 0) {
		agent_free(a);
		return -1;
	}
	*out = a;
	return 0;
}

void agent_free(struct agent *a)
{
	if (!a)
		return;
	while (a->forwards)
		agent_unforward(a, a->forwards);
	while (a->offers)
		agent_withdraw(a, a->offers);
	grants_clear(a, &a->allow);
	agent_drop_networks(a);
	agent_drop_policy(a);
	bench_serve_stop(a->bench);
	if (a->observer)
		hub_unobserve(a->hub, a->observer);
	hub_free(a->hub);
	godwit_node_free(a->node);
	audit_log_close(a->audit);
	free(a);
}

void agent_drain(struct agent *a)
{
	for (struct offer *o = a->offers; o; o = o->next)
		expose_drain(o->expose);
	for (struct forward_item *i = a->forwards; i; i = i->next)
		forward_drain(i->forward);
}

size_t agent_active(const struct agent *a)
{
	size_t count = 0;

	for (const struct offer *o = a->offers; o; o = o->next)
		count += expose_active(o->expose);
	for (const struct forward_item *i = a->forwards; i; i = i->next)
		count += forward_active(i->forward);
	return count + ops_streams(a);
}

struct hub *agent_hub(const struct agent *a)
{
	return a->hub;
}

struct home *agent_home(const struct agent *a)
{
	return a->home;
}

/* --- forwards --- */

static int explain_listen(struct failure *f, int error, const char *listen)
{
	int sys = errno;

	fail_error(f, error, "cannot listen on %.120s", listen);
	if (error == GODWIT_E_IN_USE)
		fail_hint(f, strncmp(listen, "unix:", 5) == 0
				     ? "another path, or remove what is there"
			     : strncmp(listen, "udp:", 4) == 0
				     ? "another port, or stop what uses it (ss -ulpn)"
				     : "another port, or stop what uses it (ss -tlpn)");
	else if (error == GODWIT_E_PERMISSION)
		fail_hint(f, "a port from 1024 up, or a path that you may write");
	else if (error == GODWIT_E_INVALID)
		fail_usage(f,
			   "PORT, ADDR:PORT or udp:ADDR:PORT of this host, or unix:PATH in a "
			   "directory that exists",
			   "cannot listen on %.120s: there is no such place", listen);
	else if (error == GODWIT_E_IO)
		fail_errno(f, sys, "cannot listen on %.120s", listen);
	return -1;
}

int agent_forward(struct agent *a, const char *listen, const struct place *to,
		  forward_report_fn *report, too_large_fn *too_large, void *user,
		  struct forward_item **out, struct failure *f)
{
	struct forward_item *item = calloc(1, sizeof(*item));
	struct target where;
	const char *why;
	int rv;

	if (!item)
		return fail_error(f, GODWIT_E_NOMEM, "forward");
	if (listen_parse(listen, &where, &why) < 0) {
		free(item);
		return fail_usage(f, "PORT, ADDR:PORT, udp:ADDR:PORT or unix:PATH",
				  "cannot listen on \"%.120s\": %s", listen, why);
	}
	item->to = *to;
	if (!user)
		user = item;
	rv = forward_start(a->hub, &where, to, report, user, &item->forward);
	if (rv < 0) {
		free(item);
		return explain_listen(f, rv, listen);
	}
	forward_set_idle(item->forward, a->udp_idle);
	forward_on_too_large(item->forward, too_large, user);
	item->next = a->forwards;
	a->forwards = item;
	*out = item;
	return 0;
}

void agent_unforward(struct agent *a, struct forward_item *item)
{
	for (struct forward_item **at = &a->forwards; *at; at = &(*at)->next)
		if (*at == item) {
			*at = item->next;
			break;
		}
	forward_stop(item->forward);
	free(item);
}

const struct target *forward_item_listen(const struct forward_item *item)
{
	return forward_listen(item->forward);
}

/* --- what `up` serves --- */

static int serve_kept(struct agent *a, struct failure *f)
{
	json_t *kept = home_kept_load(a->home, f);
	const json_t *one;
	struct offer *o;
	size_t i;
	int rv = kept ? 0 : -1;

	json_array_foreach(kept, i, one) {
		const char *name = json_string_value(json_object_get(one, "name"));
		const char *target = json_string_value(json_object_get(one, "target"));

		if (rv == 0 && name && target && !agent_find_offer(a, name))
			rv = agent_offer(a, name, target, json_object_get(one, "allow"), "kept", &o,
					 f);
	}
	json_decref(kept);
	return rv;
}

static int serve_expose(struct agent *a, const char *text, struct failure *f)
{
	const char *equals = strchr(text, '=');
	char name[GODWIT_SERVICE_SIZE];
	struct offer *o;

	if (!equals || equals == text || (size_t)(equals - text) >= sizeof(name))
		return fail_usage(f, "--expose pg=5432", "--expose \"%.80s\" is not NAME=TARGET",
				  text);
	memcpy(name, text, (size_t)(equals - text));
	name[equals - text] = '\0';
	return agent_offer(a, name, equals + 1, a->allow.texts, a->allow.source, &o, f);
}

/* Of a search for its name, or of a stream. */
void fail_forward(struct failure *f, int error, const struct place *to, const char *text)
{
	fail_error(f, error, "forward %.200s", text);
	if (*to->name && (error == GODWIT_E_NOT_FOUND || error == GODWIT_E_AMBIGUOUS))
		fail_find(f, error, to);
}

static void on_forward_report(void *user, int error)
{
	const struct forward_item *item = user;
	struct failure f;

	fail_forward(&f, error, &item->to, item->text);
	fail_print(&f, false);
}

static void on_forward_too_large(void *user, size_t size, size_t limit)
{
	const struct forward_item *item = user;
	struct failure f;
	char what[256];

	snprintf(what, sizeof(what), "forward %.200s", item->text);
	fail_too_large(&f, what, size, limit);
	fail_print(&f, false);
}

static int serve_forward(struct agent *a, const char *text, struct failure *f)
{
	const char *equals = strrchr(text, '=');
	char listen[TARGET_TEXT_MAX];
	struct forward_item *item;
	struct place to;

	if (!equals || equals == text || (size_t)(equals - text) >= sizeof(listen))
		return fail_usage(f, "--forward 5432=DEST/pg",
				  "--forward \"%.80s\" is not LISTEN=DEST", text);
	memcpy(listen, text, (size_t)(equals - text));
	listen[equals - text] = '\0';
	if (place_parse(a->home, equals + 1, "", &to, f) < 0 ||
	    agent_forward(a, listen, &to, on_forward_report, on_forward_too_large, NULL, &item, f) <
		    0)
		return -1;
	item->text = text; /* lives as long as the settings */
	return 0;
}

int agent_serve_settings(struct agent *a, const struct settings *s, struct failure *f)
{
	json_t *allow = json_array();
	int rv;

	for (size_t i = 0; i < s->at[SETTING_ALLOW].count; i++)
		json_array_append_new(allow, json_string(s->at[SETTING_ALLOW].values[i]));
	rv = grants_set(a, &a->allow, BENCH_SERVICE, allow, s->at[SETTING_ALLOW].source, f);
	json_decref(allow);
	for (size_t i = 0; rv == 0 && i < s->at[SETTING_EXPOSE].count; i++)
		rv = serve_expose(a, s->at[SETTING_EXPOSE].values[i], f);
	if (rv == 0)
		rv = serve_kept(a, f);
	for (size_t i = 0; rv == 0 && i < s->at[SETTING_FORWARD].count; i++)
		rv = serve_forward(a, s->at[SETTING_FORWARD].values[i], f);
	return rv;
}
