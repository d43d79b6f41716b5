/* SPDX-License-Identifier: Apache-2.0 */
/* beacon: run one, or look at one. */
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cli/beacon_control.h"
#include "cli/beacon_drive.h"
#include "cli/commands.h"
#include "cli/notify.h"
#include "cli/sandbox.h"
#include "cli/text.h"
#include "crypto/address.h"

enum { DRAIN_S = 5, ALLOW_MAX = SETTING_VALUES_MAX };

#define DRAIN_POLL (50 * GW_MSEC)

struct run {
	struct cli *c;
	struct home home;
	uint8_t key[KEY_SIZE];
	struct loop *loop;
	struct beacon_drive_config config;
	uint8_t allow[ALLOW_MAX][KEY_SIZE];
	struct beacon_drive *drive;
	struct beacon_control *control;
	struct loop_source *signals;
	int signal_fd;
	struct loop_timer *drain;
	gw_time drain_until;
	enum sandbox sandbox;
	char address[ADDRESS_SIZE];
	char host[BEACON_HOST_MAX + 1];
	int exit;
};

/* --- flags --- */

#define LIMIT(member) offsetof(struct beacon_limits, member)

/* What --limit knows: counts, and rates a second. */
static const struct {
	const char *name;
	size_t offset;
	bool rate;
} LIMITS[] = {
	{ "sessions", LIMIT(sessions), false },
	{ "channels", LIMIT(channels), false },
	{ "half-open", LIMIT(half_open), false },
	{ "watches", LIMIT(watches), false },
	{ "ip-sessions", LIMIT(source_sessions), false },
	{ "ip-half-open", LIMIT(source_half_open), false },
	{ "handshakes", LIMIT(per_source[METER_HANDSHAKES]), true },
	{ "bytes", LIMIT(per_key[METER_BYTES]), true },
	{ "packets", LIMIT(per_key[METER_PACKETS]), true },
	{ "opens", LIMIT(per_key[METER_CHANNELS]), true },
	{ "lookups", LIMIT(per_key[METER_LOOKUPS]), true },
	{ "publishes", LIMIT(per_key[METER_PUBLISHES]), true },
	{ "frames", LIMIT(per_key[METER_FRAMES]), true },
	{ "ip-bytes", LIMIT(per_source[METER_BYTES]), true },
	{ "ip-packets", LIMIT(per_source[METER_PACKETS]), true },
	{ "ip-opens", LIMIT(per_source[METER_CHANNELS]), true },
	{ "ip-lookups", LIMIT(per_source[METER_LOOKUPS]), true },
	{ "ip-publishes", LIMIT(per_source[METER_PUBLISHES]), true },
	{ "ip-frames", LIMIT(per_source[METER_FRAMES]), true },
};

/* More than any machine does; nanoseconds of it fit into 64 bits. */
#define LIMIT_MAX 10e9

/* A burst grows with its rate: from the default's, however often it is set. */
static void set_limit(struct beacon_limits *limits, size_t i, uint64_t value)
{
	void *at = (char *)limits + LIMITS[i].offset;
	const struct beacon_rate *given;
	struct beacon_config defaults;
	uint64_t burst;

	if (!LIMITS[i].rate) {
		*(size_t *)at = value;
		return;
	}
	beacon_config_init(&defaults);
	given = (void *)((char *)&defaults.limits + LIMITS[i].offset);
	burst = value * (given->burst / given->rate + 1);
	*(struct beacon_rate *)at =
		(struct beacon_rate){ value,
				      burst < (uint64_t)LIMIT_MAX ? burst : (uint64_t)LIMIT_MAX };
}

static int no_such_limit(struct run *r, const char *name, size_t len)
{
	char names[256] = "";

	for (size_t i = 0; i < sizeof(LIMITS) / sizeof(LIMITS[0]); i++)
		snprintf(names + strlen(names), sizeof(names) - strlen(names), "%s%s",
			 i > 0 ? ", " : "", LIMITS[i].name);
	fail_usage(&r->c->failure, "", "there is no limit \"%.*s\"", (int)(len < 60 ? len : 60),
		   name);
	fail_hint(&r->c->failure, "one of %s", names);
	return -1;
}

static int take_limit(struct run *r, const char *text)
{
	const char *equals = strchr(text, '=');
	size_t len = equals ? (size_t)(equals - text) : 0;
	double value;

	if (!equals || !parse_seconds(equals + 1, 1, LIMIT_MAX, &value) ||
	    value != (double)(uint64_t)value)
		return fail_usage(&r->c->failure, "--limit handshakes=1000",
				  "--limit needs NAME=NUMBER (1 to 10000000000), not \"%.60s\"",
				  text);
	for (size_t i = 0; i < sizeof(LIMITS) / sizeof(LIMITS[0]); i++)
		if (strlen(LIMITS[i].name) == len && strncmp(LIMITS[i].name, text, len) == 0) {
			set_limit(&r->config.core.limits, i, (uint64_t)value);
			return 0;
		}
	return no_such_limit(r, text, len);
}

static int take_address(struct run *r, const char *flag, const char *text, struct addr *out)
{
	if (addr_parse(out, text) < 0)
		return fail_usage(&r->c->failure, "[::]:4443, or 198.51.100.2:4443",
				  "%s needs ADDR:PORT, not \"%.80s\"", flag, text);
	return 0;
}

static int take_listen(struct run *r)
{
	const char *listen = setting_get(&r->c->settings, SETTING_LISTEN);
	const char *tls = options_get(&r->c->options, "--tls-listen");

	if (take_address(r, "--listen", listen ? listen : "[::]:4443", &r->config.listen) < 0)
		return -1;
	r->config.tls_listen = r->config.listen;
	r->config.tls_listen.port = BEACON_TLS_PORT;
	/* A TLS server answers whoever calls. */
	r->config.tls = r->config.core.silent ? BEACON_TLS_NONE : BEACON_TLS_TRY;
	if (!tls)
		return 0;
	if (strcmp(tls, "none") == 0) {
		r->config.tls = BEACON_TLS_NONE;
		return 0;
	}
	r->config.tls = BEACON_TLS_MUST;
	return take_address(r, "--tls-listen", tls, &r->config.tls_listen);
}

static int take_allow(struct run *r)
{
	size_t count = r->c->settings.at[SETTING_ALLOW].count;
	godwit_ticket who;

	for (size_t i = 0; i < count; i++) {
		const char *text = r->c->settings.at[SETTING_ALLOW].values[i];

		if (strcmp(text, "any") == 0) {
			r->config.core.n_allow = 0;
			return 0;
		}
		if (home_destination(&r->home, text, NULL, &who, &r->c->failure) < 0)
			return -1;
		memcpy(r->allow[i], who.key, KEY_SIZE);
		r->config.core.n_allow = i + 1;
	}
	r->config.core.allow = (const uint8_t(*)[KEY_SIZE])r->allow;
	return 0;
}

static int take_silent(struct run *r)
{
	const struct settings *set = &r->c->settings;
	size_t count = set->at[SETTING_ALLOW].count;

	r->config.core.silent = options_has(&r->c->options, "--silent");
	if (!r->config.core.silent)
		return 0;
	for (size_t i = 0; i < count; i++)
		if (strcmp(set->at[SETTING_ALLOW].values[i], "any") == 0)
			return fail_usage(&r->c->failure, "without --allow any",
					  "--silent answers only those that --allow names");
	if (count == 0)
		return fail_usage(&r->c->failure, "--allow WHO, for each node that may use it",
				  "--silent answers only those that --allow names: nobody");
	return 0;
}

static int take_store(struct run *r)
{
	const char *store = options_get(&r->c->options, "--store");

	if (!store || strcmp(store, "memory") == 0)
		return 0;
	if (strncmp(store, "redis://", 8) == 0)
		return fail_usage(&r->c->failure, "--store memory",
				  "--store redis:// is not in this version yet");
	return fail_usage(&r->c->failure, "--store memory", "there is no store \"%.60s\"", store);
}

/* The address that this host uses towards the world, if it can be had: nothing is sent. */
static void default_address(char out[ADDR_TEXT_MAX])
{
	static const char *const AWAY[] = { "192.0.2.1", "2001:db8::1" };
	struct sockaddr_storage ss;
	struct addr a;
	bool found = false;

	for (size_t i = 0; i < 2 && !found; i++) {
		socklen_t len;
		int fd;

		addr_parse_host(&a, AWAY[i], 9);
		len = addr_to_sockaddr(&a, &ss, false);
		fd = socket(ss.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		found = fd >= 0 && connect(fd, (struct sockaddr *)&ss, len) == 0;
		len = sizeof(ss);
		found = found && getsockname(fd, (struct sockaddr *)&ss, &len) == 0 &&
			addr_from_sockaddr(&a, (struct sockaddr *)&ss, len) == 0;
		if (fd >= 0)
			close(fd);
	}
	if (found)
		addr_format_host(&a, out);
}

/* Without port and brackets, which are ours to add. */
static bool is_host(const char *name)
{
	struct addr a;

	if (!beacon_host_valid(name) || strpbrk(name, "@/[]"))
		return false;
	return !strchr(name, ':') || addr_parse_host(&a, name, 0) == 0;
}

/* By which name nodes find this beacon. */
static int take_name(struct run *r)
{
	const char *name = options_get(&r->c->options, "--name");
	char text[ADDR_TEXT_MAX] = "127.0.0.1";

	if (name && !is_host(name))
		return fail_usage(&r->c->failure,
				  "--name beacon.example.org; the ports are those of --listen and "
				  "--tls-listen",
				  "\"%.80s\" is no host name and no IP address", name);
	if (!name && !addr_is_unspecified(&r->config.listen))
		addr_format_host(&r->config.listen, text);
	else if (!name)
		default_address(text);
	snprintf(r->host, sizeof(r->host), "%s", name ? name : text);
	r->config.tls_host = r->host;
	return 0;
}

static int take_flags(struct run *r)
{
	const char *limit;

	beacon_config_init(&r->config.core);
	if (take_silent(r) < 0 || take_listen(r) < 0 || take_name(r) < 0 || take_store(r) < 0)
		return -1;
	for (size_t n = 0; (limit = options_nth(&r->c->options, "--limit", n)); n++)
		if (take_limit(r, limit) < 0)
			return -1;
	return 0;
}

/* --- running --- */

static void stop(struct run *r, int exit)
{
	r->exit = exit;
	loop_stop(r->loop);
}

static void on_drain(void *user)
{
	struct run *r = user;
	gw_time now = loop_now(r->loop);

	if (beacon_drive_drained(r->drive) || now >= r->drain_until)
		stop(r, EXIT_OK);
	else
		loop_timer_set(r->drain, now + DRAIN_POLL);
}

static void on_signal(void *user, int fd, unsigned events)
{
	struct run *r = user;
	struct signalfd_siginfo info;

	(void)events;
	if (read(fd, &info, sizeof(info)) != sizeof(info))
		return;
	if (info.ssi_signo == SIGINT) {
		stop(r, EXIT_INTERRUPTED);
		return;
	}
	if (r->drain) { /* again: enough */
		stop(r, EXIT_OK);
		return;
	}
	notify("STOPPING=1");
	r->drain = loop_timer_new(r->loop, on_drain, r);
	r->drain_until = loop_now(r->loop) + DRAIN_S * GW_SEC;
	if (!r->drain) {
		stop(r, EXIT_OK);
		return;
	}
	beacon_drive_drain(r->drive, DRAIN_S);
	on_drain(r);
}

static int watch_signals(struct run *r)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	r->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (r->signal_fd >= 0)
		r->signals = loop_add(r->loop, r->signal_fd, LOOP_IN, on_signal, r);
	return r->signals ? 0 : fail_errno(&r->c->failure, errno, "cannot start");
}

/* Behind a router or in a cloud the host's own address is not the one to call. */
static void doubt_host(const struct run *r)
{
	struct addr a;

	if (addr_parse_host(&a, r->host, 0) == 0 && (addr_is_private(&a) || addr_is_loopback(&a)))
		fprintf(stderr,
			"godwit: %s is reached from this %s only\n"
			"  try: --name HOST, by which nodes reach this beacon\n",
			r->host, addr_is_loopback(&a) ? "host" : "network");
}

/* As nodes are told of this beacon. */
static void name_of(const struct run *r, char out[BEACON_TEXT_MAX])
{
	struct beacon_name name = { .udp_port = beacon_drive_port(r->drive),
				    .tls_port = beacon_drive_tls_port(r->drive) };

	memcpy(name.key, r->key, KEY_SIZE);
	snprintf(name.host, sizeof(name.host), "%s", r->host);
	beacon_format(&name, out);
}

static json_t *status(void *user)
{
	struct run *r = user;
	json_t *j = beacon_drive_status(r->drive);
	char text[BEACON_TEXT_MAX];

	name_of(r, text);
	json_object_set_new(j, "address", json_string(r->address));
	json_object_set_new(j, "ready", json_string(text));
	json_object_set_new(j, "pid", json_integer((json_int_t)getpid()));
	json_object_set_new(j, "sandbox", json_string(sandbox_name(r->sandbox)));
	return j;
}

static void say_ready(const struct run *r)
{
	char text[BEACON_TEXT_MAX];
	json_t *j;

	name_of(r, text);
	j = json_pack("{s:s}", "ready", text);
	if (r->c->json)
		print_json(j);
	else
		printf("ready %s\n", text);
	fflush(stdout);
	json_decref(j);
	notify("READY=1");
}

/* The key is here for as long as that takes: the beacon has a copy. */
static int make_beacon(struct run *r)
{
	struct failure *f = &r->c->failure;
	struct identity *id = identity_new();
	int rv = -1;

	if (!id)
		return fail_error(f, GODWIT_E_NOMEM, "cannot start");
	if (home_identity(&r->home, &r->c->settings, id, f) == 0) {
		memcpy(r->key, id->key, KEY_SIZE);
		address_format(r->key, r->address);
		r->config.core.identity = id;
		rv = beacon_drive_new(&r->drive, r->loop, &r->config, f);
	}
	identity_free(id);
	return rv;
}

static int serve(struct run *r)
{
	struct failure *f = &r->c->failure;
	int fd;

	if (home_open(&r->home, setting_get(&r->c->settings, SETTING_HOME), true, f) < 0 ||
	    home_lock(&r->home, f) < 0 || take_allow(r) < 0)
		return -1;
	if (loop_new(&r->loop) < 0 || watch_signals(r) < 0 || make_beacon(r) < 0)
		return -1;
	fd = home_listen(&r->home, f);
	if (fd < 0)
		return -1;
	r->control = beacon_control_new(r->loop, fd, status, r);
	if (!r->control)
		return fail_error(f, GODWIT_E_NOMEM, "control socket");
	if (!options_has(&r->c->options, "--name"))
		doubt_host(r);
	r->sandbox = sandbox_start(&r->c->settings, true);
	say_ready(r);
	loop_run(r->loop);
	beacon_drive_goodbye(r->drive);
	return r->exit;
}

static void clear(struct run *r)
{
	if (r->control)
		home_unlisten(&r->home);
	beacon_control_free(r->control);
	beacon_drive_free(r->drive);
	if (r->loop) {
		loop_timer_free(r->drain);
		if (r->signals)
			loop_remove(r->signals);
		loop_free(r->loop);
	}
	if (r->signal_fd >= 0)
		close(r->signal_fd);
	home_close(&r->home);
}

/* A TLS link each. */
static void raise_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

int run_beacon(struct cli *c)
{
	struct run *r;
	int rv;

	if (options_has(&c->options, "--status"))
		return run_status(c);
	r = calloc(1, sizeof(*r));
	if (!r)
		return fail_error(&c->failure, GODWIT_E_NOMEM, "cannot start");
	r->c = c;
	r->signal_fd = -1;
	r->home = (struct home){ .fd = -1, .lock_fd = -1 };
	raise_limit();
	signal(SIGPIPE, SIG_IGN);
	rv = take_flags(r);
	if (rv == 0)
		rv = serve(r);
	clear(r);
	free(r);
	return rv;
}

/* --- status --- */

static void print_counts(const json_t *b)
{
	char bytes[BYTES_SIZE];

	printf("sessions    %.0f (%.0f registered, %.0f handshakes in progress, %.0f TLS links)\n",
	       get_number(b, "sessions"), get_number(b, "registered"), get_number(b, "half_open"),
	       get_number(b, "tls_links"));
	printf("directory   %.0f records, %.0f watches; %.0f lookups, %.0f publishes\n",
	       get_number(b, "records"), get_number(b, "watches"), get_number(b, "lookups"),
	       get_number(b, "publishes"));
	printf("networks    %.0f manifests, %.0f names\n", get_number(b, "manifests"),
	       get_number(b, "names"));
	printf("relay       %.0f channels; %s in %.0f packets\n", get_number(b, "channels"),
	       format_bytes(get_number(b, "relayed_bytes"), bytes),
	       get_number(b, "relayed_packets"));
}

void print_beacon_status(const json_t *event)
{
	json_t *b = json_object_get(event, "beacon"), *drops = json_object_get(b, "drops"), *count;
	char brief[SHORT_SIZE], up[DURATION_SIZE];
	const char *name;

	printf("%s  beacon, up %s%s\n", short_address(get_text(event, "address"), brief),
	       format_duration(get_number(event, "uptime_s"), up),
	       json_is_true(json_object_get(b, "draining")) ? ", draining" : "");
	printf("nodes use   --beacon %s\n", get_text(event, "ready"));
	print_counts(b);
	printf("refused     %.0f", get_number(b, "refused"));
	json_object_foreach(drops, name, count)
		if (json_integer_value(count) > 0)
			printf("; %s %lld", name, (long long)json_integer_value(count));
	printf("\n");
	if (strcmp(get_text(event, "sandbox"), "on") != 0)
		printf("sandbox     %s\n", get_text(event, "sandbox"));
	fflush(stdout);
}
