/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/commands.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/session.h"
#include "cli/text.h"
#include "crypto/address.h"

static int run_request(struct cli *c, json_t *request, enum session_kind kind, op_event_fn *event)
{
	struct session_options o = {
		.kind = kind,
		.settings = &c->settings,
		.json = c->json,
		.request = request,
		.fds = { -1, -1 },
		.event = event,
		.user = c,
	};
	int exit = session_run(&o);

	json_decref(request);
	return exit;
}

static json_t *list_of(const struct settings *s, enum setting which)
{
	json_t *out = json_array();

	for (size_t i = 0; i < s->at[which].count; i++)
		json_array_append_new(out, json_string(s->at[which].values[i]));
	return out;
}

/* Parse DEST before any node is started; the node does it again, with its own names. */
static int check_destination(struct cli *c, const char *text, const char *service)
{
	struct home home;
	godwit_ticket to;
	int rv;

	if (home_open(&home, setting_get(&c->settings, SETTING_HOME), &c->failure) < 0)
		return -1;
	rv = home_destination(&home, text, service, &to, &c->failure);
	home_close(&home);
	return rv;
}

static int timeout_ms(struct cli *c, json_int_t *out)
{
	double seconds;

	if (options_seconds(&c->options, "--timeout", 0.001, 1e6, 0, &seconds, &c->failure) < 0)
		return -1;
	*out = (json_int_t)(seconds * 1000);
	return 0;
}

/* --- id --- */

static int run_id(struct cli *c)
{
	char address[GODWIT_ADDRESS_SIZE];
	struct identity id;
	struct home home;
	json_t *j;
	int rv;

	if (home_open(&home, setting_get(&c->settings, SETTING_HOME), &c->failure) < 0)
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

/* --- up --- */

static void up_event(void *user, const json_t *event)
{
	const struct cli *c = user;

	if (c->json)
		print_json(event);
	else
		printf("ready %s\n", get_text(event, "ready"));
	fflush(stdout);
	if (c->settings.at[SETTING_EXPOSE].count > 0 && c->settings.at[SETTING_ALLOW].count == 0)
		fprintf(stderr, "godwit: nobody may use these services yet\n"
				"  try: --allow ADDRESS (the other machine's `godwit id`), or "
				"--allow any\n");
}

static int run_up(struct cli *c)
{
	return run_request(c, NULL, SESSION_UP, up_event);
}

/* --- expose --- */

/* "to anyone who knows the address", "to nqx7t…2k2cq and 2 others". */
static void print_offer(const json_t *event)
{
	const json_t *allow = json_object_get(event, "allow"), *one;
	const char *name = get_text(event, "name"), *separator = "";
	int port = (int)get_number(event, "port");
	char brief[SHORT_SIZE], target[TARGET_SIZE];
	bool any = false;
	size_t i;

	json_array_foreach(allow, i, one)
		any |= strcmp(json_string_value(one), "any") == 0;
	printf("Offering %s (%s) to ", name, target_for_people(get_text(event, "target"), target));
	if (any)
		printf("anyone who knows the address");
	else
		json_array_foreach(allow, i, one) {
			printf("%s%s", separator, short_address(json_string_value(one), brief));
			separator = ", ";
		}
	printf(".\nOn the other machine:\n");
	if (port)
		printf("  godwit forward %d %s/%s\n", port, get_text(event, "ticket"), name);
	else
		printf("  godwit forward unix:./%s.sock %s/%s\n", name, get_text(event, "ticket"),
		       name);
}

static void expose_event(void *user, const json_t *event)
{
	const struct cli *c = user;

	if (c->json)
		print_json(event);
	else
		print_offer(event);
	fflush(stdout);
}

/* A port's number, or the last part of a path. */
static const char *default_name(const char *target)
{
	const char *end = strrchr(target, ':'), *slash = strrchr(target, '/');

	if (strncmp(target, "unix:", 5) == 0 && slash)
		return slash + 1;
	return end ? end + 1 : target;
}

static int forget(struct cli *c, const char *name)
{
	struct session_options o = {
		.kind = SESSION_RUNNING,
		.settings = &c->settings,
		.json = c->json,
		.fds = { -1, -1 },
		.event = expose_event,
		.user = c,
	};
	json_t *kept;
	const json_t *one;
	struct home home;
	bool found = false;
	int rv = -1, fd;
	size_t i;

	if (home_open(&home, setting_get(&c->settings, SETTING_HOME), &c->failure) < 0)
		return -1;
	kept = home_kept_load(&home, &c->failure);
	json_array_foreach(kept, i, one)
		if (!found && strcmp(get_text(one, "name"), name) == 0) {
			found = true;
			json_array_remove(kept, i);
			break;
		}
	if (kept && !found)
		fail_usage(&c->failure, "godwit status", "no service \"%.63s\" is kept", name);
	else if (kept)
		rv = home_kept_save(&home, kept, &c->failure);
	json_decref(kept);
	fd = rv == 0 ? home_connect(&home) : -1;
	home_close(&home);
	if (fd < 0)
		return rv < 0 ? -1 : EXIT_OK;
	close(fd);
	o.request = json_pack("{s:s,s:s}", "op", "forget", "name", name);
	rv = session_run(&o);
	json_decref(o.request);
	return rv;
}

static int run_expose(struct cli *c)
{
	const char *target = c->options.words[0], *name = options_get(&c->options, "--as"), *why;
	const char *gone = options_get(&c->options, "--forget");
	struct target parsed;

	if (gone)
		return target ? fail_usage(&c->failure, "godwit help expose",
					   "--forget takes no target")
			      : forget(c, gone);
	if (!target)
		return fail_usage(&c->failure, "godwit expose 5432 --as pg --allow any",
				  "expose needs a target");
	if (target_parse(target, &parsed, &why) < 0)
		return fail_usage(&c->failure, "PORT, tcp:HOST:PORT or unix:PATH",
				  "target \"%.80s\": %s", target, why);
	if (!name)
		name = default_name(target);
	if (c->settings.at[SETTING_ALLOW].count == 0) {
		fail_usage(&c->failure, "", "nobody could use %.80s: say who may", target);
		fail_hint(&c->failure,
			  "add --allow ADDRESS (the other machine's `godwit id`), or --allow any");
		return -1;
	}
	return run_request(c,
			   json_pack("{s:s,s:s,s:s,s:o,s:b}", "op", "expose", "target", target,
				     "name", name, "allow", list_of(&c->settings, SETTING_ALLOW),
				     "keep", options_has(&c->options, "--keep")),
			   SESSION_RESIDENT, expose_event);
}

/* --- connect --- */

static void no_event(void *user, const json_t *event)
{
	(void)user;
	(void)event;
}

static int run_connect(struct cli *c)
{
	struct session_options o = {
		.kind = SESSION_ONE_SHOT,
		.settings = &c->settings,
		.json = c->json,
		.event = no_event,
		.user = c,
	};
	json_int_t timeout;
	int null, exit;

	if (timeout_ms(c, &timeout) < 0 || check_destination(c, c->options.words[0], "") < 0)
		return -1;
	o.fds[0] = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
	o.fds[1] = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (o.fds[0] < 0 || o.fds[1] < 0 || null < 0)
		return fail_errno(&c->failure, errno, "standard input and output");
	/* Nobody else must keep them open when their direction has ended. */
	dup2(null, STDIN_FILENO);
	if (!c->json)
		dup2(null, STDOUT_FILENO);
	close(null);
	o.request = json_pack("{s:s,s:s,s:I}", "op", "connect", "to", c->options.words[0],
			      "timeout_ms", timeout);
	exit = session_run(&o);
	json_decref(o.request);
	return exit;
}

/* --- forward --- */

static void forward_event(void *user, const json_t *event)
{
	const struct cli *c = user;
	const json_t *failure = json_object_get(event, "failure");
	char brief[SHORT_SIZE], listen[TARGET_SIZE];

	if (failure && c->json) {
		json_t *j = json_pack("{s:s}", "failure", get_text(failure, "code"));

		print_json(j);
		json_decref(j);
	} else if (failure) {
		fprintf(stderr, "godwit: %s\n  try: %s\n", get_text(failure, "message"),
			get_text(failure, "hint"));
	} else if (c->json) {
		print_json(event);
	} else {
		printf("Forwarding %s to %s at %s.\n",
		       target_for_people(get_text(event, "listen"), listen),
		       get_text(event, "service"),
		       short_address(get_text(event, "address"), brief));
	}
	fflush(stdout);
}

static int run_forward(struct cli *c)
{
	const char *listen = c->options.words[0], *to = c->options.words[1], *why;
	struct target parsed;
	json_int_t timeout;

	if (listen_parse(listen, &parsed, &why) < 0)
		return fail_usage(&c->failure, "PORT, ADDR:PORT or unix:PATH",
				  "cannot listen on \"%.120s\": %s", listen, why);
	if (timeout_ms(c, &timeout) < 0 || check_destination(c, to, "") < 0)
		return -1;
	return run_request(c,
			   json_pack("{s:s,s:s,s:s,s:I}", "op", "forward", "listen", listen, "to",
				     to, "timeout_ms", timeout),
			   SESSION_RESIDENT, forward_event);
}

/* --- ping --- */

static void ping_event(void *user, const json_t *event)
{
	const struct cli *c = user;
	const json_t *path = json_object_get(event, "path");
	const char *lost = get_text(event, "lost");
	char brief[SHORT_SIZE], ms[DURATION_SIZE];

	if (*lost && !c->json) {
		fprintf(stderr, "no answer: %s\n", lost);
	} else if (c->json) {
		if (!*lost)
			print_json(event);
	} else {
		printf("reply from %s: %s %s in %s\n",
		       short_address(get_text(event, "address"), brief), get_text(path, "kind"),
		       get_text(path, "endpoint"), format_ms(get_number(event, "rtt_ms"), ms));
		fflush(stdout);
	}
}

static int run_ping(struct cli *c)
{
	unsigned long count;
	double interval;
	json_int_t timeout;

	if (options_count(&c->options, "-c", 1, 1000000000, 0, &count, &c->failure) < 0 ||
	    options_seconds(&c->options, "-i", 0.001, 86400, 1, &interval, &c->failure) < 0 ||
	    timeout_ms(c, &timeout) < 0 || check_destination(c, c->options.words[0], NULL) < 0)
		return -1;
	return run_request(c,
			   json_pack("{s:s,s:s,s:I,s:I,s:I,s:b}", "op", "ping", "to",
				     c->options.words[0], "count", (json_int_t)count, "interval_ms",
				     (json_int_t)(interval * 1000), "timeout_ms", timeout,
				     "until_direct", options_has(&c->options, "--until-direct")),
			   SESSION_ONE_SHOT, ping_event);
}

/* --- status --- */

static void print_peer(const json_t *peer)
{
	const json_t *path = json_object_get(peer, "path");
	char brief[SHORT_SIZE], where[96], rtt[DURATION_SIZE] = "-", heard[DURATION_SIZE];
	char sent[BYTES_SIZE], received[BYTES_SIZE];

	if (json_is_object(path)) {
		snprintf(where, sizeof(where), "%s %s", get_text(path, "kind"),
			 get_text(path, "endpoint"));
		format_ms(get_number(path, "rtt_ms"), rtt);
	} else {
		snprintf(where, sizeof(where), "%s", get_text(peer, "state"));
	}
	/* The ellipsis is one column and three bytes. */
	printf("%-13s  %-32s  %-8s  %-6s  %-7.0f  %-5.0f  %-8s  %s\n",
	       short_address(get_text(peer, "address"), brief), where, rtt,
	       format_duration(get_number(peer, "heard_s"), heard), get_number(peer, "streams"),
	       get_number(peer, "moves"), format_bytes(get_number(peer, "tx_bytes"), sent),
	       format_bytes(get_number(peer, "rx_bytes"), received));
}

static void print_service(const json_t *service)
{
	const json_t *allow = json_object_get(service, "allow"), *one;
	char brief[SHORT_SIZE], target[TARGET_SIZE];
	size_t i;

	printf("%-11s  %-32s ", get_text(service, "name"),
	       target_for_people(get_text(service, "target"), target));
	json_array_foreach(allow, i, one)
		printf(" %s", short_address(json_string_value(one), brief));
	printf("%s\n", i == 0 ? " nobody" : "");
}

static void print_stream(const json_t *stream)
{
	char brief[SHORT_SIZE], sent[BYTES_SIZE], received[BYTES_SIZE], age[DURATION_SIZE];

	printf("%-13s  %-16s  %-8s  %-8s  %-8s  %s\n",
	       short_address(get_text(stream, "peer"), brief), get_text(stream, "service"),
	       get_text(stream, "state"), format_duration(get_number(stream, "age_s"), age),
	       format_bytes(get_number(stream, "tx_bytes"), sent),
	       format_bytes(get_number(stream, "rx_bytes"), received));
}

static void print_list(const json_t *list, const char *title, void (*print)(const json_t *))
{
	const json_t *one;
	size_t i;

	if (json_array_size(list) == 0)
		return;
	printf("%s\n", title);
	json_array_foreach(list, i, one)
		print(one);
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
	printf("%s  up %s ", short_address(get_text(event, "address"), brief),
	       format_duration(get_number(event, "uptime_s"), up));
	json_array_foreach(endpoints, i, one)
		printf(" %s", json_string_value(one));
	printf("\n");
	print_list(json_object_get(event, "peers"),
		   "PEER         PATH                              RTT       HEARD   STREAMS  "
		   "MOVES  SENT      RECEIVED",
		   print_peer);
	print_list(json_object_get(event, "services"),
		   "SERVICE      TARGET                            ALLOWED", print_service);
	if (options_has(&c->options, "--streams"))
		print_list(json_object_get(event, "streams"),
			   "PEER         SERVICE           STATE     AGE       SENT      RECEIVED",
			   print_stream);
	fflush(stdout);
}

static int run_status(struct cli *c)
{
	return run_request(c, json_pack("{s:s}", "op", "status"), SESSION_RUNNING, status_event);
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

static int show_ticket(struct cli *c, const char *text)
{
	char address[GODWIT_ADDRESS_SIZE];
	godwit_ticket t;
	json_t *j, *endpoints = json_array();
	int rv = godwit_ticket_parse(text, &t);

	if (rv < 0) {
		json_decref(endpoints);
		fail_error(&c->failure, rv, "this is no ticket");
		c->failure.exit = EXIT_USAGE;
		fail_hint(&c->failure, "copy all of what `godwit ticket` printed");
		return -1;
	}
	for (size_t i = 0; i < t.endpoint_count; i++)
		json_array_append_new(endpoints, json_string(t.endpoints[i]));
	godwit_address_format(t.key, address);
	j = json_pack("{s:s,s:s,s:o,s:[]}", "address", address, "service", t.service, "endpoints",
		      endpoints, "beacons");
	if (c->json) {
		print_json(j);
	} else {
		printf("address   %s\n", address);
		if (*t.service)
			printf("service   %s\n", t.service);
		for (size_t i = 0; i < t.endpoint_count; i++)
			printf("endpoint  %s\n", t.endpoints[i]);
	}
	json_decref(j);
	return EXIT_OK;
}

static int run_ticket(struct cli *c)
{
	const char *service = options_get(&c->options, "--service");

	if (c->options.n_words == 0)
		return run_request(
			c,
			json_pack("{s:s,s:s}", "op", "ticket", "service", service ? service : ""),
			SESSION_RUNNING, ticket_event);
	if (strcmp(c->options.words[0], "show") != 0 || c->options.n_words != 2)
		return fail_usage(&c->failure, "godwit ticket show TICKET",
				  "ticket takes nothing, or show and a ticket");
	return show_ticket(c, c->options.words[1]);
}

/* --- bench --- */

static void bench_event(void *user, const json_t *event)
{
	const struct cli *c = user;
	const json_t *r = json_object_get(event, "result"), *rtt = json_object_get(r, "rtt_us");
	char bytes[BYTES_SIZE];

	if (!r) {
		if (!c->json && fancy(STDERR_FILENO))
			fprintf(stderr, "\r%5.1f s  %7.3f Gbit/s ", get_number(event, "elapsed"),
				get_number(event, "gbit_s"));
		return;
	}
	if (c->json) {
		print_json(r);
		return;
	}
	if (fancy(STDERR_FILENO))
		fprintf(stderr, "\r%30s\r", "");
	printf("%s in %.2f s: %.3f Gbit/s, %.2f s CPU (%.2f s/GB)\n",
	       format_bytes(get_number(r, "bytes"), bytes), get_number(r, "seconds"),
	       get_number(r, "gbit_s"), get_number(r, "cpu_s"), get_number(r, "cpu_s_per_gb"));
	printf("64 bytes there and back: median %.0f us, 99 %% %.0f us\n", get_number(rtt, "p50"),
	       get_number(rtt, "p99"));
}

static int run_bench(struct cli *c)
{
	unsigned long streams;
	double seconds;
	json_int_t timeout;

	if (options_seconds(&c->options, "--seconds", 0.1, 86400, 5, &seconds, &c->failure) < 0 ||
	    options_count(&c->options, "--streams", 1, BENCH_STREAMS_MAX, 1, &streams,
			  &c->failure) < 0 ||
	    timeout_ms(c, &timeout) < 0 || check_destination(c, c->options.words[0], NULL) < 0)
		return -1;
	return run_request(c,
			   json_pack("{s:s,s:s,s:f,s:I,s:b,s:I}", "op", "bench", "to",
				     c->options.words[0], "seconds", seconds, "streams",
				     (json_int_t)streams, "reverse",
				     options_has(&c->options, "--reverse"), "timeout_ms", timeout),
			   SESSION_ONE_SHOT, bench_event);
}

/* --- debug --- */

static int run_debug(struct cli *c)
{
	const char *fault = c->options.words[0];

	if (strcmp(fault, "move") != 0 && strcmp(fault, "break") != 0 &&
	    strcmp(fault, "rebind") != 0)
		return fail_usage(&c->failure, "godwit debug move, break or rebind",
				  "there is no fault \"%.60s\"", fault);
	return run_request(c, json_pack("{s:s,s:s}", "op", "debug", "fault", fault),
			   SESSION_RUNNING, no_event);
}

/* --- config --- */

static int run_config(struct cli *c)
{
	json_t *settings = json_object(), *whole;

	for (int i = 0; i < SETTINGS; i++) {
		enum setting which = (enum setting)i;
		const char *value = setting_get(&c->settings, which);
		json_t *j = setting_is_list(which) ? list_of(&c->settings, which)
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

static int run_version(struct cli *c)
{
	json_t *j = json_pack("{s:s}", "version", GODWIT_VERSION);

	if (c->json)
		print_json(j);
	else
		printf("godwit %s\n", GODWIT_VERSION);
	json_decref(j);
	return EXIT_OK;
}

static void print_options(const struct option_spec *specs)
{
	for (; specs->name; specs++) {
		char left[64];

		if (specs->later)
			continue;
		snprintf(left, sizeof(left), "%s%s%s", specs->name, specs->value ? " " : "",
			 specs->value ? specs->value : "");
		printf("  %-24s %s\n", left, specs->summary);
	}
}

static void print_command(const struct command *command)
{
	printf("usage: godwit %s\n\n%s.\n", command->usage, command->summary);
	if (*command->help)
		printf("\n%s\n", command->help);
	printf("\n");
	for (const struct option_spec *const *specs = command->specs; *specs; specs++)
		print_options(*specs);
}

static void print_commands(bool json)
{
	json_t *list = json_array(), *whole;

	if (!json)
		printf("godwit: connections that belong to keys, not to IP addresses.\n\n");
	for (const struct command *i = COMMANDS; i->name; i++) {
		if (i->later)
			continue;
		if (!json)
			printf("  %-10s %s\n", i->name, i->summary);
		json_array_append_new(list, json_pack("{s:s,s:s,s:s}", "name", i->name, "usage",
						      i->usage, "summary", i->summary));
	}
	whole = json_pack("{s:o}", "commands", list);
	if (json)
		print_json(whole);
	else
		printf("\nDEST is ADDRESS, TICKET or NAME, and /SERVICE.  More: godwit help "
		       "COMMAND, "
		       "man godwit.\n");
	json_decref(whole);
}

static int run_help(struct cli *c)
{
	const char *about = c->options.n_words ? c->options.words[0] : NULL;

	if (!about) {
		print_commands(c->json);
		return EXIT_OK;
	}
	for (const struct command *i = COMMANDS; i->name; i++)
		if (strcmp(i->name, about) == 0 && !i->later) {
			print_command(i);
			return EXIT_OK;
		}
	return fail_usage(&c->failure, "godwit help", "there is no command \"%.60s\"", about);
}

/* --- the table --- */

static const struct option_spec UP_OPTIONS[] = {
	{ "--expose", "NAME=TARGET", "offer a service; may be repeated", NULL },
	{ "--forward", "LISTEN=DEST", "forward a local port or socket; may be repeated", NULL },
	{ 0 },
};

static const struct option_spec EXPOSE_OPTIONS[] = {
	{ "--as", "NAME", "the service's name; default: the port, or the socket's name", NULL },
	{ "--keep", NULL, "make it permanent: every `godwit up` of this home offers it", NULL },
	{ "--forget", "NAME", "undo --keep", NULL },
	{ 0 },
};

#define TIMEOUT                                                                                    \
	{                                                                                          \
		"--timeout", "SECONDS",                                                            \
			"give up (exit 124) when the peer has not answered by then", NULL          \
	}

static const struct option_spec TIMEOUT_OPTIONS[] = { TIMEOUT, { 0 } };

static const struct option_spec PING_OPTIONS[] = {
	{ "-c", "N", "stop after N replies; default: go on", NULL },
	{ "-i", "SECONDS", "from one to the next; default 1", NULL },
	{ "--until-direct", NULL, "stop at the first reply over a direct path", NULL },
	{ "--jsonl", NULL, "the same as --json: one object a line", NULL },
	TIMEOUT,
	{ 0 },
};

static const struct option_spec STATUS_OPTIONS[] = {
	{ "--streams", NULL, "list every stream, too", NULL },
	{ 0 },
};

static const struct option_spec TICKET_OPTIONS[] = {
	{ "--service", "NAME", "of one service; default: of the node", NULL },
	{ 0 },
};

static const struct option_spec BENCH_OPTIONS[] = {
	{ "--seconds", "N", "how long; default 5", NULL },
	{ "--streams", "N", "how many at once; default 1", NULL },
	{ "--reverse", NULL, "the peer sends", NULL },
	TIMEOUT,
	{ 0 },
};

static const char BEACONS[] = "beacons and hole punching";
static const char NETWORKS[] = "networks, invites and policies";

const struct command COMMANDS[] = {
	{ "id",
	  "id",
	  "Print this node's address; make the identity if there is none",
	  "",
	  { HOME_OPTIONS },
	  0,
	  0,
	  run_id,
	  NULL },
	{ "up",
	  "up [--expose NAME=TARGET]... [--forward LISTEN=DEST]... [--allow WHO]...",
	  "Run the node of this home in the foreground",
	  "Prints `ready ADDRESS` when it listens.  Ctrl-C ends it at once; SIGTERM lets streams\n"
	  "end for up to two seconds first.",
	  { UP_OPTIONS, NODE_OPTIONS, HOME_OPTIONS },
	  0,
	  0,
	  run_up,
	  NULL },
	{ "expose",
	  "expose TARGET [--as NAME] --allow WHO|any... [--keep]",
	  "Offer a service, and print the command for the other machine",
	  "TARGET is PORT, tcp:HOST:PORT or unix:PATH.  It is offered by the running node of this\n"
	  "home, else by a node of its own, until Ctrl-C.",
	  { EXPOSE_OPTIONS, NODE_OPTIONS, HOME_OPTIONS },
	  0,
	  1,
	  run_expose,
	  NULL },
	{ "connect",
	  "connect DEST",
	  "Join standard input and output to a service (ssh ProxyCommand)",
	  "Exits when both directions have ended and all has arrived.",
	  { TIMEOUT_OPTIONS, NODE_OPTIONS, HOME_OPTIONS },
	  1,
	  1,
	  run_connect,
	  NULL },
	{ "forward",
	  "forward LISTEN DEST",
	  "Forward a local port or Unix socket to a service",
	  "LISTEN is PORT (on 127.0.0.1), ADDR:PORT or unix:PATH.",
	  { TIMEOUT_OPTIONS, NODE_OPTIONS, HOME_OPTIONS },
	  2,
	  2,
	  run_forward,
	  NULL },
	{ "ping",
	  "ping DEST [-c N] [-i SECONDS] [--until-direct]",
	  "Measure authenticated round trips, naming the path of each",
	  "",
	  { PING_OPTIONS, NODE_OPTIONS, HOME_OPTIONS },
	  1,
	  1,
	  run_ping,
	  NULL },
	{ "status",
	  "status [--streams]",
	  "Show the running node: peers, paths, streams, services",
	  "",
	  { STATUS_OPTIONS, HOME_OPTIONS },
	  0,
	  0,
	  run_status,
	  NULL },
	{ "ticket",
	  "ticket [--service NAME], or ticket show TICKET",
	  "Make a ticket: this node's address and endpoints in one word; or decode one",
	  "",
	  { TICKET_OPTIONS, HOME_OPTIONS },
	  0,
	  2,
	  run_ticket,
	  NULL },
	{ "bench",
	  "bench DEST [--seconds N] [--streams N] [--reverse]",
	  "Measure throughput, latency and CPU over the overlay itself",
	  "Every node serves it to the peers it allows.",
	  { BENCH_OPTIONS, NODE_OPTIONS, HOME_OPTIONS },
	  1,
	  1,
	  run_bench,
	  NULL },
	{ "debug",
	  "debug move|break|rebind",
	  "Inflict a fault on the running node",
	  "move: new connections; break: drop connections silently; rebind: another UDP port.",
	  { HOME_OPTIONS },
	  1,
	  1,
	  run_debug,
	  NULL },
	{ "config",
	  "config",
	  "Print every setting and where it came from",
	  "",
	  { UP_OPTIONS, NODE_OPTIONS, HOME_OPTIONS },
	  0,
	  0,
	  run_config,
	  NULL },
	{ "version",
	  "version",
	  "Print the version",
	  "",
	  { HOME_OPTIONS },
	  0,
	  0,
	  run_version,
	  NULL },
	{ "help",
	  "help [COMMAND]",
	  "Explain a command",
	  "",
	  { HOME_OPTIONS },
	  0,
	  1,
	  run_help,
	  NULL },
	{ "beacon", "", "", "", { HOME_OPTIONS }, 0, 0, NULL, BEACONS },
	{ "netcheck", "", "", "", { HOME_OPTIONS }, 0, 0, NULL, BEACONS },
	{ "network", "", "", "", { HOME_OPTIONS }, 0, 0, NULL, NETWORKS },
	{ "policy", "", "", "", { HOME_OPTIONS }, 0, 0, NULL, NETWORKS },
	{ 0 },
};
