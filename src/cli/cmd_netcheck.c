/* SPDX-License-Identifier: Apache-2.0 */
/* netcheck: what to expect of this network. */
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "cli/agent.h"
#include "cli/commands.h"
#include "cli/netcheck.h"
#include "cli/networks.h"
#include "cli/text.h"

/* Beacons refuse records that come from further ahead (docs/protocol.md, section 11). */
#define CLOCK_AHEAD_S 600.0

/* --- verdict --- */

static bool any_tls(const struct netcheck *n)
{
	for (size_t i = 0; i < n->n_beacons; i++)
		if (n->beacons[i].tls == ANSWER_YES)
			return true;
	return false;
}

static bool clock_wrong(const struct netcheck *n)
{
	for (size_t i = 0; i < n->n_beacons; i++)
		if (n->beacons[i].met && fabs(n->beacons[i].clock_offset_s) > CLOCK_AHEAD_S)
			return true;
	return false;
}

static const char *verdict_of_nat(const struct netcheck *n)
{
	bool mapped = n->portmap.state == PORTMAP_MAPPED && !n->portmap.nested;

	if (mapped || (n->nat4 == ANSWER_NO && n->filtering == BEHAVIOUR_ENDPOINT_INDEPENDENT))
		return "This host can be reached directly.";
	if (n->nat4 == ANSWER_NO || n->mapping == BEHAVIOUR_ENDPOINT_INDEPENDENT)
		return "Direct connections should work with most peers.";
	if (n->mapping == BEHAVIOUR_UNKNOWN)
		return "Direct connections are likely; a second --beacon would tell more.";
	return "Direct connections should work with peers that have a simpler NAT or none; "
	       "others need a beacon as relay.";
}

static const char *verdict(const struct netcheck *n)
{
	if (n->n_beacons == 0)
		return "Without a beacon nothing more can be known: --beacon ADDRESS@HOST:PORT.";
	if (clock_wrong(n))
		return "This host's clock is wrong: beacons will refuse it.";
	if (n->udp == ANSWER_YES)
		return verdict_of_nat(n);
	if (any_tls(n))
		return "UDP is blocked: all connections go through a beacon, over TLS.";
	return "No beacon can be reached: see the network of this host, or name another --beacon.";
}

/* --- as text --- */

static const char *word(enum answer a, const char *yes, const char *no)
{
	return a == ANSWER_YES ? yes : a == ANSWER_NO ? no : "unknown";
}

static void print_family(const char *name, enum answer works, const struct addr *seen, bool here,
			 enum answer nat)
{
	char text[ADDR_TEXT_MAX];

	printf("%-14s", name);
	if (!here && works != ANSWER_YES)
		printf("no address on this host\n");
	else if (works == ANSWER_YES)
		printf("works, seen as %s%s\n", addr_format_host(seen, text),
		       nat == ANSWER_YES  ? ", behind a NAT"
		       : nat == ANSWER_NO ? ", no NAT"
					  : "");
	else
		printf("%s\n", works == ANSWER_NO ? "no answer" : "not tested: no beacon has it");
}

static void print_portmap(const struct portmap_info *p)
{
	char text[ADDR_TEXT_MAX];

	printf("%-14s", "Port mapping");
	if (p->state == PORTMAP_MAPPED)
		printf("%s, %s%s\n", portmap_protocol_name(p->protocol),
		       addr_format(&p->external, text), p->nested ? " (behind another NAT)" : "");
	else if (p->state == PORTMAP_NONE)
		printf("none%s%s\n", *p->error ? ": " : "", p->error);
	else
		printf("no answer yet\n");
}

static json_t *beacon_row(const struct netcheck_beacon *b)
{
	char udp[DURATION_SIZE] = "-", tls[DURATION_SIZE] = "-", clock[DURATION_SIZE] = "-";
	/* Not "-0.0". */
	double offset = fabs(b->clock_offset_s) < 0.05 ? 0 : b->clock_offset_s;
	bool answers = b->udp4 == ANSWER_YES || b->udp6 == ANSWER_YES;

	if (answers)
		format_ms((double)b->rtt / 1e6, udp);
	else if (b->named)
		snprintf(udp, sizeof(udp), "no answer");
	else
		snprintf(udp, sizeof(udp), "no such name");
	if (b->tls == ANSWER_YES)
		format_ms((double)b->tls_took / 1e6, tls);
	else if (b->tls == ANSWER_NO)
		snprintf(tls, sizeof(tls), "no");
	if (b->met)
		snprintf(clock, sizeof(clock), "%+.1f s", offset);
	if (b->tls == ANSWER_NO)
		return json_pack("[s,s,s,s,s+]", b->relay, udp, tls, clock, "TLS: ", b->tls_error);
	if (b->refusal)
		return json_pack("[s,s,s,s,s]", b->relay, udp, tls, clock,
				 beacon_trouble(b->refusal));
	return json_pack("[s,s,s,s]", b->relay, udp, tls, clock);
}

static void print_beacons(const struct netcheck *n)
{
	json_t *rows = json_pack("[[s,s,s,s]]", "BEACON", "UDP", "TLS", "CLOCK");

	for (size_t i = 0; i < n->n_beacons; i++)
		json_array_append_new(rows, beacon_row(&n->beacons[i]));
	print_table(rows);
	json_decref(rows);
}

static void print_text(const struct netcheck *n)
{
	printf("%-14s%s\n", "UDP", word(n->udp, "works", "no answer from any beacon"));
	print_family("IPv4", n->ipv4, &n->seen4, n->has4, n->nat4);
	print_family("IPv6", n->ipv6, &n->seen6, n->has6, ANSWER_UNKNOWN);
	printf("%-14s%s\n", "Mapping", behaviour_name(n->mapping));
	printf("%-14s%s\n", "Filtering", behaviour_name(n->filtering));
	if (n->nat4 == ANSWER_YES)
		printf("%-14s%s\n", "Hairpinning", word(n->hairpinning, "yes", "no"));
	print_portmap(&n->portmap);
	if (n->n_beacons > 0)
		print_beacons(n);
	printf("%s\n", verdict(n));
}

/* --- as JSON --- */

static json_t *as_json(enum answer a)
{
	return a == ANSWER_UNKNOWN ? json_null() : json_boolean(a == ANSWER_YES);
}

static json_t *family_json(enum answer works, const struct addr *seen, bool here)
{
	char text[ADDR_TEXT_MAX];

	return json_pack("{s:o,s:b,s:s?}", "works", as_json(works), "here", here, "seen",
			 seen->family == ADDR_NONE ? NULL : addr_format(seen, text));
}

static json_t *ms_json(gw_time t)
{
	return t ? json_real((double)t / 1e6) : json_null();
}

static json_t *beacon_json(const struct netcheck_beacon *b)
{
	return json_pack("{s:s#,s:s,s:b,s:o,s:o,s:o,s:o,s:o,s:s?,s:s?,s:o}", "address", b->text,
			 GODWIT_ADDRESS_SIZE - 1, "endpoint", b->relay, "named", b->named, "udp4",
			 as_json(b->udp4), "udp6", as_json(b->udp6), "rtt_ms", ms_json(b->rtt),
			 "tls", as_json(b->tls), "tls_ms", ms_json(b->tls_took), "tls_error",
			 b->tls == ANSWER_NO ? b->tls_error : NULL, "error",
			 b->refusal ? beacon_trouble(b->refusal) : NULL, "clock_offset_s",
			 b->met ? json_real(b->clock_offset_s) : json_null());
}

static json_t *portmap_json(const struct portmap_info *p)
{
	static const char *const STATES[] = { "trying", "mapped", "none" };
	bool mapped = p->state == PORTMAP_MAPPED;
	char text[ADDR_TEXT_MAX];

	return json_pack("{s:s,s:s?,s:s?,s:b,s:s?}", "state", STATES[p->state], "protocol",
			 mapped ? portmap_protocol_name(p->protocol) : NULL, "external",
			 mapped ? addr_format(&p->external, text) : NULL, "nested", p->nested,
			 "error", *p->error ? p->error : NULL);
}

static json_t *to_json(const struct netcheck *n)
{
	json_t *beacons = json_array();

	for (size_t i = 0; i < n->n_beacons; i++)
		json_array_append_new(beacons, beacon_json(&n->beacons[i]));
	return json_pack("{s:o,s:o,s:o,s:o,s:s,s:s,s:o,s:o,s:o,s:s}", "udp", as_json(n->udp),
			 "ipv4", family_json(n->ipv4, &n->seen4, n->has4), "ipv6",
			 family_json(n->ipv6, &n->seen6, n->has6), "nat", as_json(n->nat4),
			 "mapping", behaviour_name(n->mapping), "filtering",
			 behaviour_name(n->filtering), "hairpinning", as_json(n->hairpinning),
			 "port_mapping", portmap_json(&n->portmap), "beacons", beacons, "verdict",
			 verdict(n));
}

/* --- the command --- */

static void take_status(void *user, const json_t *event)
{
	*(json_t **)user = json_deep_copy(json_object_get(event, "beacons"));
}

/* Those of the networks of this home, as the running node would say it. */
static json_t *of_networks(const struct home *home)
{
	struct wire_home beacons[WIRE_MANIFEST_BEACONS_MAX];
	struct home_networks all = { 0 };
	json_t *out = json_array();
	struct failure ignored;
	char text[BEACON_TEXT_MAX];

	(void)home_networks_list(home, &all, &ignored);
	for (size_t i = 0; i < all.count; i++) {
		struct home_network n;
		size_t count;

		if (home_network_open(&n, home, all.labels[i], &ignored) < 0)
			continue;
		count = home_network_beacons(&n, beacons);
		for (size_t k = 0; k < count; k++) {
			home_beacon_format(&beacons[k], text);
			json_array_append_new(out,
					      json_pack("{s:s,s:b}", "beacon", text, "own", 1));
		}
		home_network_close(&n);
	}
	return out;
}

/* Those of the node that runs in this home, or that one would have.  The texts live as long as the list. */
static json_t *borrow_beacons(struct cli *c, const struct home *home)
{
	json_t *list = NULL, *one;
	struct session_options o = {
		.kind = SESSION_RUNNING,
		.settings = &c->settings,
		.json = c->json,
		.request = json_pack("{s:s}", "op", "status"),
		.fds = { -1, -1 },
		.event = take_status,
		.user = &list,
	};
	sigset_t signals;
	size_t i;
	int fd = home_connect(home);

	if (fd >= 0) {
		close(fd);
		session_run(&o);
		sigfillset(&signals);
		sigprocmask(SIG_UNBLOCK, &signals, NULL);
	}
	json_decref(o.request);
	if (!list)
		list = of_networks(home);
	json_array_foreach(list, i, one)
		if (json_is_true(json_object_get(one, "own")) &&
		    c->settings.at[SETTING_BEACON].count < BEACONS_MAX)
			c->settings.at[SETTING_BEACON]
				.values[c->settings.at[SETTING_BEACON].count++] =
				get_text(one, "beacon");
	return list;
}

/* Not the default action: a router's port mapping is to be taken back first. */
static int signals_fd(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static int exit_of_signal(int fd)
{
	struct signalfd_siginfo info;

	return read(fd, &info, sizeof(info)) == sizeof(info) && info.ssi_signo == SIGINT
		       ? EXIT_INTERRUPTED
		       : EXIT_OK;
}

static void print(const struct cli *c, const struct netcheck *n)
{
	json_t *j;

	if (!c->json) {
		print_text(n);
		return;
	}
	j = to_json(n);
	print_json(j);
	json_decref(j);
}

static int check(struct cli *c, gw_time timeout)
{
	struct netcheck result;
	json_t *beacons = NULL;
	struct home home;
	int rv, stop_fd;

	if (home_open(&home, setting_get(&c->settings, SETTING_HOME), true, &c->failure) < 0)
		return -1;
	if (c->settings.at[SETTING_BEACON].count == 0)
		beacons = borrow_beacons(c, &home);
	if (!c->json && fancy(STDERR_FILENO))
		fprintf(stderr, "Looking at the network ...\r");
	stop_fd = signals_fd();
	rv = netcheck_run(&result, &home, &c->settings, timeout, stop_fd, &c->failure);
	if (!c->json && fancy(STDERR_FILENO))
		fprintf(stderr, "%26s\r", "");
	home_close(&home);
	if (rv == 0 && result.stopped)
		rv = exit_of_signal(stop_fd);
	else if (rv == 0)
		print(c, &result);
	close(stop_fd);
	json_decref(beacons);
	if (rv < 0 || result.stopped)
		return rv;
	return result.n_beacons == 0 || result.udp == ANSWER_YES || any_tls(&result)
		       ? EXIT_OK
		       : EXIT_UNREACHABLE;
}

int run_netcheck(struct cli *c)
{
	double seconds;

	if (options_seconds(&c->options, "--timeout", 0.1, 600, 8, &seconds, &c->failure) < 0)
		return -1;
	signal(SIGPIPE, SIG_IGN);
	return check(c, (gw_time)(seconds * (double)GW_SEC));
}
