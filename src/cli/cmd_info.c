/* SPDX-License-Identifier: Apache-2.0 */
/* id, status, ticket, config, version: questions. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/text.h"
#include "crypto/address.h"

/* --- id --- */

int run_id(struct cli *c)
{
	char address[GODWIT_ADDRESS_SIZE];
	struct identity id;
	struct home home;
	json_t *j;
	int rv;

	if (home_open(&home, setting_get(&c->settings, SETTING_HOME), true, &c->failure) < 0)
		return -1;
	rv = home_identity(&home, &c->settings, &id, &c->failure);
	home_close(&home);
	if (rv < 0)
		return -1;
	address_format(id.key, address);
	identity_wipe(&id);
	if (!c->json) {
		printf("%s\n", address);
		return EXIT_OK;
	}
	j = json_pack("{s:s}", "address", address);
	print_json(j);
	json_decref(j);
	return EXIT_OK;
}

/* --- status --- */

static json_t *peer_row(const json_t *peer)
{
	const json_t *path = json_object_get(peer, "path");
	char brief[SHORT_SIZE], where[PATH_SIZE], rtt[DURATION_SIZE] = "-",
						  heard[DURATION_SIZE] = "-";
	char sent[BYTES_SIZE], received[BYTES_SIZE], streams[24], moves[24];

	if (json_is_object(path)) {
		path_for_people(path, where);
		format_ms(get_number(path, "rtt_ms"), rtt);
	} else {
		snprintf(where, sizeof(where), "%s", get_text(peer, "state"));
	}
	if (json_is_number(json_object_get(peer, "heard_s")))
		format_duration(get_number(peer, "heard_s"), heard);
	snprintf(streams, sizeof(streams), "%.0f", get_number(peer, "streams"));
	snprintf(moves, sizeof(moves), "%.0f", get_number(peer, "moves"));
	return json_pack("[s,s,s,s,s,s,s,s]", short_address(get_text(peer, "address"), brief),
			 where, rtt, heard, streams, moves,
			 format_bytes(get_number(peer, "tx_bytes"), sent),
			 format_bytes(get_number(peer, "rx_bytes"), received));
}

static json_t *service_row(const json_t *service)
{
	const json_t *allow = json_object_get(service, "allow"), *one;
	char brief[SHORT_SIZE], target[TARGET_SIZE];
	json_t *allowed = json_string(""), *row;
	size_t i;

	json_array_foreach(allow, i, one) {
		json_t *longer = json_sprintf("%s%s%s", json_string_value(allowed), i ? " " : "",
					      who_for_people(json_string_value(one), brief));

		json_decref(allowed);
		allowed = longer;
	}
	row = json_pack("[s,s,s]", get_text(service, "name"),
			target_for_people(get_text(service, "target"), target),
			i ? json_string_value(allowed) : "nobody");
	json_decref(allowed);
	return row;
}

static json_t *stream_row(const json_t *stream)
{
	char brief[SHORT_SIZE], sent[BYTES_SIZE], received[BYTES_SIZE], age[DURATION_SIZE];
	const json_t *datagrams = json_object_get(stream, "datagrams");
	char counts[100] = "-";

	if (json_is_object(datagrams))
		snprintf(counts, sizeof(counts), "%.0f sent, %.0f received, %.0f dropped",
			 get_number(datagrams, "sent"), get_number(datagrams, "received"),
			 get_number(datagrams, "dropped"));
	return json_pack("[s,s,s,s,s,s,s]", short_address(get_text(stream, "peer"), brief),
			 get_text(stream, "service"), get_text(stream, "state"),
			 format_duration(get_number(stream, "age_s"), age),
			 format_bytes(get_number(stream, "tx_bytes"), sent),
			 format_bytes(get_number(stream, "rx_bytes"), received), counts);
}

/* Takes the title. */
static void print_list(const json_t *list, json_t *title, json_t *(*row)(const json_t *))
{
	json_t *rows = json_pack("[o]", title);
	const json_t *one;
	size_t i;

	json_array_foreach(list, i, one)
		json_array_append_new(rows, row(one));
	if (i > 0)
		print_table(rows);
	json_decref(rows);
}

/* "eu1 udp 12 ms (home)"; those that are left alone on purpose are not named. */
static bool print_beacon(const json_t *beacon, const char *separator)
{
	const char *state = get_text(beacon, "state"), *error = get_text(beacon, "error");
	char host[PATH_SIZE], ms[DURATION_SIZE];

	if (!json_is_true(json_object_get(beacon, "own")) || strcmp(state, "idle") == 0)
		return false;
	printf("%s%s", separator, host_of(get_text(beacon, "endpoint"), host));
	if (*get_text(beacon, "transport"))
		printf(" %s", get_text(beacon, "transport"));
	else
		printf(" %s%s%s", state, *error ? ": " : "", error);
	if (json_is_number(json_object_get(beacon, "rtt_ms")))
		printf(" %s", format_ms(get_number(beacon, "rtt_ms"), ms));
	if (strcmp(state, "draining") == 0)
		printf(" (draining)");
	else if (json_is_true(json_object_get(beacon, "home")))
		printf(" (home)");
	else if (json_is_true(json_object_get(beacon, "spare")))
		printf(" (spare)");
	return true;
}

static bool print_beacons(const json_t *beacons)
{
	const json_t *one;
	bool any = false;
	size_t i;

	json_array_foreach(beacons, i, one)
		any |= print_beacon(one, any ? ", " : " beacon ");
	return any;
}

/* "fault" or "doubt". */
static void print_trouble(const json_t *beacons, const char *kind)
{
	const json_t *one;
	char host[PATH_SIZE];
	size_t i;

	json_array_foreach(beacons, i, one)
		if (*get_text(one, kind))
			printf("beacon %s %s\n", host_of(get_text(one, "endpoint"), host),
			       get_text(one, kind));
}

static void print_reasons(const json_t *peers)
{
	const json_t *one;
	size_t i;

	json_array_foreach(peers, i, one) {
		const char *why = get_text(json_object_get(one, "path"), "why");
		char brief[SHORT_SIZE];

		if (*why)
			printf("%s is not reached directly: %s\n",
			       short_address(get_text(one, "address"), brief), why);
	}
}

/* "acme: db, groups dev, ops, until 2027-11-30 09:17 UTC" */
static void print_network(const json_t *network)
{
	const json_t *member = json_object_get(network, "member"), *one;
	const char *name = get_text(member, "name");
	char until[DATE_SIZE];
	size_t i;

	printf("network %s: ", get_text(network, "name"));
	if (!json_is_object(member)) {
		printf("no member\n");
		return;
	}
	printf("%s", *name ? name : "member");
	json_array_foreach(json_object_get(member, "groups"), i, one)
		printf("%s%s", i ? ", " : ", groups ", json_string_value(one));
	printf(", until %s\n", format_date((uint32_t)get_number(member, "expires"), until));
}

static void print_networks(const json_t *status)
{
	const json_t *one;
	size_t i;

	json_array_foreach(json_object_get(status, "networks"), i, one)
		print_network(one);
	json_array_foreach(json_object_get(status, "networks"), i, one)
		if (*get_text(one, "warning"))
			printf("warning: %s\n", get_text(one, "warning"));
	json_array_foreach(json_object_get(status, "warnings"), i, one)
		printf("warning: %s\n", json_string_value(one));
}

static void status_event(void *user, const json_t *event)
{
	const struct cli *c = user;
	const json_t *endpoints = json_object_get(event, "endpoints"), *one;
	char brief[SHORT_SIZE], up[DURATION_SIZE];
	size_t i;

	if (c->json) {
		print_json(event);
		return;
	}
	if (json_object_get(event, "beacon")) {
		print_beacon_status(event);
		return;
	}
	printf("%s  up %s ", short_address(get_text(event, "address"), brief),
	       format_duration(get_number(event, "uptime_s"), up));
	if (!print_beacons(json_object_get(event, "beacons")))
		json_array_foreach(endpoints, i, one)
			printf(" %s", json_string_value(one));
	printf("\n");
	if (strcmp(get_text(event, "sandbox"), "on") != 0)
		printf("sandbox %s\n", get_text(event, "sandbox"));
	print_networks(event);
	print_trouble(json_object_get(event, "beacons"), "fault");
	print_trouble(json_object_get(event, "beacons"), "doubt");
	print_list(json_object_get(event, "peers"),
		   json_pack("[s,s,s,s,s,s,s,s]", "PEER", "PATH", "RTT", "HEARD", "STREAMS",
			     "MOVES", "SENT", "RECEIVED"),
		   peer_row);
	print_reasons(json_object_get(event, "peers"));
	print_list(json_object_get(event, "services"),
		   json_pack("[s,s,s]", "SERVICE", "TARGET", "ALLOWED"), service_row);
	if (options_has(&c->options, "--streams"))
		print_list(json_object_get(event, "streams"),
			   json_pack("[s,s,s,s,s,s,s]", "PEER", "SERVICE", "STATE", "AGE", "SENT",
				     "RECEIVED", "DATAGRAMS"),
			   stream_row);
	fflush(stdout);
}

int run_status(struct cli *c)
{
	return cli_request(c, json_pack("{s:s}", "op", "status"), SESSION_RUNNING, status_event);
}

/* --- ticket --- */

static void ticket_event(void *user, const json_t *event)
{
	const struct cli *c = user;

	if (c->json)
		print_json(event);
	else
		printf("%s\n", get_text(event, "ticket"));
	fflush(stdout);
}

/* "TICKET/SERVICE" as well: it is what `expose` prints. */
static int parse_ticket(const char *text, godwit_ticket *t)
{
	const char *slash = strchr(text, '/');
	char *word = strndup(text, slash ? (size_t)(slash - text) : strlen(text));
	int rv = word ? godwit_ticket_parse(word, t) : GODWIT_E_NOMEM;

	free(word);
	if (rv == 0 && slash)
		snprintf(t->service, sizeof(t->service), "%s", slash + 1);
	return rv;
}

static int show_ticket(struct cli *c, const char *text)
{
	char address[GODWIT_ADDRESS_SIZE];
	godwit_ticket t;
	json_t *j, *endpoints = json_array(), *beacons = json_array();
	int rv = parse_ticket(text, &t);

	if (rv < 0) {
		json_decref(endpoints);
		json_decref(beacons);
		fail_error(&c->failure, rv, "this is no ticket");
		c->failure.exit = EXIT_USAGE;
		fail_hint(&c->failure, "copy all of what `godwit ticket` printed");
		return -1;
	}
	for (size_t i = 0; i < t.endpoint_count; i++)
		json_array_append_new(endpoints, json_string(t.endpoints[i]));
	godwit_address_format(t.key, address);
	for (size_t i = 0; i < t.beacon_count; i++)
		json_array_append_new(beacons, json_string(t.beacons[i]));
	j = json_pack("{s:s,s:s,s:o,s:o}", "address", address, "service", t.service, "endpoints",
		      endpoints, "beacons", beacons);
	if (c->json) {
		print_json(j);
	} else {
		printf("address   %s\n", address);
		if (*t.service)
			printf("service   %s\n", t.service);
		for (size_t i = 0; i < t.endpoint_count; i++)
			printf("endpoint  %s\n", t.endpoints[i]);
		for (size_t i = 0; i < t.beacon_count; i++)
			printf("beacon    %s\n", t.beacons[i]);
	}
	json_decref(j);
	return EXIT_OK;
}

int run_ticket(struct cli *c)
{
	const char *service = options_get(&c->options, "--service");

	/* Endpoints of a node that does not run, with a port that it may never have, help nobody. */
	if (c->options.n_words == 0)
		return cli_request(
			c,
			json_pack("{s:s,s:s}", "op", "ticket", "service", service ? service : ""),
			options_has(&c->options, "--listen") ? SESSION_ONE_SHOT : SESSION_RUNNING,
			ticket_event);
	if (strcmp(c->options.words[0], "show") != 0 || c->options.n_words != 2)
		return fail_usage(&c->failure, "godwit ticket show TICKET",
				  "ticket takes nothing, or show and a ticket");
	return show_ticket(c, c->options.words[1]);
}

/* --- config --- */

int run_config(struct cli *c)
{
	json_t *settings = json_object(), *whole;

	for (int i = 0; i < SETTINGS; i++) {
		enum setting which = (enum setting)i;
		const char *value = setting_get(&c->settings, which);
		json_t *j = setting_is_list(which) ? cli_list(&c->settings, which)
			    : value                ? json_string(value)
						   : json_null();

		if (!c->json) {
			printf("%-10s  ", setting_name(which));
			for (size_t n = 0; n < c->settings.at[which].count; n++)
				printf("%s%s", n ? ", " : "", c->settings.at[which].values[n]);
			printf("%s  (%s)\n", value ? "" : "-", c->settings.at[which].source);
		}
		json_object_set_new(
			settings, setting_name(which),
			json_pack("{s:o,s:s}", "value", j, "source", c->settings.at[which].source));
	}
	whole = json_pack("{s:o}", "settings", settings);
	if (c->json)
		print_json(whole);
	json_decref(whole);
	return EXIT_OK;
}

/* --- version, help --- */

int run_version(struct cli *c)
{
	json_t *j = json_pack("{s:s}", "version", GODWIT_VERSION);

	if (c->json)
		print_json(j);
	else
		printf("godwit %s\n", GODWIT_VERSION);
	json_decref(j);
	return EXIT_OK;
}
