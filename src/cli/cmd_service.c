/* SPDX-License-Identifier: Apache-2.0 */
/* up, expose, connect, forward: what carries streams. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/addr.h"
#include "cli/commands.h"
#include "cli/text.h"

/* The node that does it may run in another directory. */
static const char *absolute(const char *text, char *out, size_t size)
{
	char here[PATH_MAX];

	if (strncmp(text, "unix:", 5) != 0 || text[5] == '/' || text[5] == '\0' ||
	    !getcwd(here, sizeof(here)))
		return text;
	snprintf(out, size, "unix:%s/%s", here, text + 5);
	return out;
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
}

int run_up(struct cli *c)
{
	return cli_request(c, NULL, SESSION_UP, up_event);
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
			printf("%s%s", separator, who_for_people(json_string_value(one), brief));
			separator = ", ";
		}
	printf(".\nOn the other machine:\n");
	if (port && strncmp(get_text(event, "target"), "udp:", 4) == 0)
		printf("  godwit forward udp:127.0.0.1:%d %s/%s\n", port, get_text(event, "ticket"),
		       name);
	else if (port)
		printf("  godwit forward %d %s/%s\n", port, get_text(event, "ticket"), name);
	else
		printf("  godwit forward unix:./%s%s %s/%s\n", name,
		       strstr(name, ".sock") ? "" : ".sock", get_text(event, "ticket"), name);
}

/* A ticket without a beacon, and with no address but those of a private network. */
static void doubt_ticket(const char *text)
{
	godwit_ticket t;
	struct addr a;

	if (godwit_ticket_parse(text, &t) < 0 || t.beacon_count > 0)
		return;
	for (size_t i = 0; i < t.endpoint_count; i++)
		if (addr_parse(&a, t.endpoints[i]) < 0 || !addr_is_private(&a))
			return;
	fprintf(stderr,
		"godwit: %s can reach this: there is no beacon\n"
		"  try: --beacon ADDRESS@HOST:PORT, as `godwit beacon` prints it\n",
		t.endpoint_count > 0 ? "only the same network" : "nobody");
}

static void expose_event(void *user, const json_t *event)
{
	const struct cli *c = user;

	if (c->json)
		print_json(event);
	else
		print_offer(event);
	fflush(stdout);
	if (!c->json)
		doubt_ticket(get_text(event, "ticket"));
	if (*get_text(event, "silent_beacons"))
		fprintf(stderr, "godwit: no beacon answers yet: %s\n  try: godwit netcheck\n",
			get_text(event, "silent_beacons"));
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

	if (home_open(&home, setting_get(&c->settings, SETTING_HOME), false, &c->failure) < 0)
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

int run_expose(struct cli *c)
{
	const char *target = c->options.words[0], *name = options_get(&c->options, "--as"), *why;
	const char *gone = options_get(&c->options, "--forget");
	char whole[PATH_MAX + 128];
	struct target parsed;

	if (gone)
		return target ? fail_usage(&c->failure, "godwit help expose",
					   "--forget takes no target")
			      : forget(c, gone);
	if (!target)
		return fail_usage(&c->failure, "godwit expose 5432 --as pg --allow any",
				  "expose needs a target");
	if (target_parse(target, &parsed, &why) < 0)
		return fail_usage(&c->failure, "PORT, tcp:HOST:PORT, udp:HOST:PORT or unix:PATH",
				  "target \"%.80s\": %s", target, why);
	if (!name)
		name = default_name(target);
	if (c->settings.at[SETTING_ALLOW].count == 0) {
		fail_usage(&c->failure, "", "nobody could use %.80s: say who may", target);
		fail_hint(&c->failure,
			  "add --allow ADDRESS (the other machine's `godwit id`), or --allow any");
		return -1;
	}
	return cli_request(c,
			   json_pack("{s:s,s:s,s:s,s:o,s:b}", "op", "expose", "target",
				     absolute(target, whole, sizeof(whole)), "name", name, "allow",
				     cli_list(&c->settings, SETTING_ALLOW), "keep",
				     options_has(&c->options, "--keep")),
			   SESSION_RESIDENT, expose_event);
}

/* --- connect --- */

int run_connect(struct cli *c)
{
	struct session_options o = {
		.kind = SESSION_ONE_SHOT,
		.settings = &c->settings,
		.json = c->json,
		.event = cli_no_event,
		.user = c,
	};
	json_int_t timeout;
	int null, exit;

	if (cli_timeout_ms(c, &timeout) < 0 ||
	    cli_check_destination(c, c->options.words[0], "") < 0)
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
		const char *name = get_text(event, "name");

		printf("Forwarding %s to %s at %s.\n",
		       target_for_people(get_text(event, "listen"), listen),
		       get_text(event, "service"),
		       *name ? name : short_address(get_text(event, "address"), brief));
	}
	fflush(stdout);
}

int run_forward(struct cli *c)
{
	const char *listen = c->options.words[0], *to = c->options.words[1], *why;
	char whole[PATH_MAX + 128];
	struct target parsed;
	json_int_t timeout;

	if (listen_parse(listen, &parsed, &why) < 0)
		return fail_usage(&c->failure, "PORT, ADDR:PORT, udp:ADDR:PORT or unix:PATH",
				  "cannot listen on \"%.120s\": %s", listen, why);
	if (cli_timeout_ms(c, &timeout) < 0 || cli_check_destination(c, to, "") < 0)
		return -1;
	return cli_request(c,
			   json_pack("{s:s,s:s,s:s,s:I}", "op", "forward", "listen",
				     absolute(listen, whole, sizeof(whole)), "to", to, "timeout_ms",
				     timeout),
			   SESSION_RESIDENT, forward_event);
}
