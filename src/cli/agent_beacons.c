/* SPDX-License-Identifier: Apache-2.0 */
/* The beacons of the running node: adding them, waiting for them, and what to say of them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/agent_internal.h"
#include "crypto/address.h"

int agent_add_beacons(struct agent *a, const struct settings *s, struct failure *f)
{
	for (size_t i = 0; i < s->at[SETTING_BEACON].count; i++) {
		const char *text = s->at[SETTING_BEACON].values[i];
		int error = godwit_add_beacon(a->node, text);

		if (error == GODWIT_E_SELF)
			return fail_usage(f,
					  "the address of the beacon, as `godwit beacon` prints it",
					  "beacon \"%.200s\" is this node itself", text);
		if (error)
			return fail_error(f, error, "beacon \"%.200s\"", text);
		a->n_beacons++;
	}
	return 0;
}

static bool is_own(const struct agent *a, const char *beacon)
{
	godwit_beacon_info *list;
	size_t count = agent_list_beacons(a, &list);
	bool found = false;

	for (size_t i = 0; i < count && !found; i++)
		found = list[i].own && strcmp(list[i].beacon, beacon) == 0;
	free(list);
	return found;
}

void agent_adopt_beacons(struct agent *a, const struct wire_home *beacons, size_t count)
{
	if (a->settings->at[SETTING_BEACON].count > 0)
		return;
	for (size_t i = 0; i < count; i++) {
		char text[BEACON_TEXT_MAX];

		home_beacon_format(&beacons[i], text);
		if (!is_own(a, text) && godwit_add_beacon(a->node, text) == 0)
			a->n_beacons++;
	}
}

bool agent_is_ready(const struct agent *a)
{
	return a->n_beacons == 0 || godwit_node_registered(a->node);
}

void agent_look_ready(struct agent *a)
{
	agent_ready_fn *fn = a->ready;

	if (!fn || !agent_is_ready(a))
		return;
	a->ready = NULL;
	fn(a->ready_user);
}

void agent_on_ready(struct agent *a, agent_ready_fn *fn, void *user)
{
	a->ready = fn;
	a->ready_user = user;
	agent_look_ready(a);
}

/* --- what is wrong with them --- */

size_t agent_list_beacons(const struct agent *a, godwit_beacon_info **out)
{
	size_t count = godwit_node_beacons(a->node, NULL, 0);

	*out = calloc(count + 1, sizeof(**out));
	return *out ? godwit_node_beacons(a->node, *out, count) : 0;
}

const char *beacon_trouble(int error)
{
	switch (error) {
	case GODWIT_E_UNREACHABLE:
	case GODWIT_E_TIMEOUT:
	case GODWIT_E_CLOSED:
	case 0:
		return "timed out";
	case GODWIT_E_NOT_FOUND:
		return "the name cannot be looked up";
	case GODWIT_E_KEY:
		return "another key answers there";
	case GODWIT_E_DENIED:
		return "does not take this key";
	default:
		return godwit_strerror(error);
	}
}

static bool is_of(const godwit_beacon_info *b, const godwit_ticket *to)
{
	if (b->own)
		return true;
	for (size_t i = 0; to && i < to->beacon_count; i++)
		if (strcmp(to->beacons[i], b->beacon) == 0)
			return true;
	return false;
}

static void append(char *out, size_t size, const godwit_beacon_info *b)
{
	size_t len = strlen(out);

	snprintf(out + len, size - len, "%s%s", len ? ", " : "", b->relay);
	if (b->state == GODWIT_BEACON_READY)
		return;
	len = strlen(out);
	snprintf(out + len, size - len, " %s%s%s%s", beacon_trouble(b->error),
		 b->tls_error ? " (TLS: " : "", b->tls_error ? b->tls_error : "",
		 b->tls_error ? ")" : "");
}

enum beacon_verdict agent_judge_beacons(const struct agent *a, const godwit_ticket *to, char *out,
					size_t size)
{
	godwit_beacon_info *list;
	size_t count = agent_list_beacons(a, &list), of = 0, ready = 0;

	*out = '\0';
	for (size_t i = 0; i < count; i++) {
		of += is_of(&list[i], to);
		ready += is_of(&list[i], to) && list[i].state == GODWIT_BEACON_READY;
	}
	for (size_t i = 0; i < count; i++) {
		const godwit_beacon_info *b = &list[i];
		bool is_ready = b->state == GODWIT_BEACON_READY;

		if (is_of(b, to) && is_ready == (ready > 0))
			append(out, size, b);
	}
	free(list);
	return of == 0 ? BEACONS_NONE : ready == 0 ? BEACONS_SILENT : BEACONS_ANSWER;
}

/* --- as JSON --- */

static const char *state_name(const godwit_beacon_info *b)
{
	switch (b->state) {
	case GODWIT_BEACON_READY:
		return b->draining ? "draining" : "ready";
	case GODWIT_BEACON_DIALING:
		return "dialing";
	case GODWIT_BEACON_DOWN:
		break;
	}
	return b->error ? "down" : "idle"; /* neither home nor spare: left */
}

static json_t *text_or_null(const char *text)
{
	return text && *text ? json_string(text) : json_null();
}

static json_t *describe(const godwit_beacon_info *b)
{
	bool ready = b->state == GODWIT_BEACON_READY;
	json_t *j = json_pack("{s:s#,s:s,s:o,s:s,s:b,s:b,s:b}", "address", b->beacon,
			      GODWIT_ADDRESS_SIZE - 1, "endpoint", b->relay, "transport",
			      text_or_null(b->transport), "state", state_name(b), "home", b->home,
			      "spare", b->spare, "own", b->own);

	json_object_set_new(j, "beacon", json_string(b->beacon));
	json_object_set_new(j, "rtt_ms",
			    ready && b->rtt_us ? json_real((double)b->rtt_us / 1e3) : json_null());
	json_object_set_new(j, "heard_s",
			    b->heard_ms == GODWIT_NEVER ? json_null()
							: json_real((double)b->heard_ms / 1e3));
	json_object_set_new(j, "reached", text_or_null(b->endpoint));
	json_object_set_new(j, "observed", text_or_null(b->observed));
	json_object_set_new(j, "clock_offset_s",
			    ready ? json_real((double)b->clock_offset_ms / 1e3) : json_null());
	json_object_set_new(j, "error",
			    b->error ? json_string(beacon_trouble(b->error)) : json_null());
	json_object_set_new(j, "tls_error", text_or_null(b->tls_error));
	json_object_set_new(j, "fault", text_or_null(b->fault));
	json_object_set_new(j, "doubt", text_or_null(b->doubt));
	return j;
}

json_t *agent_describe_beacons(const struct agent *a)
{
	godwit_beacon_info *list;
	size_t count = agent_list_beacons(a, &list);
	json_t *out = json_array();

	for (size_t i = 0; i < count; i++)
		json_array_append_new(out, describe(&list[i]));
	free(list);
	return out;
}
