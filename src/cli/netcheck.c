/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/netcheck.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/probe.h"
#include "crypto/address.h"
#include "io/netmon.h"
#include "io/resolve.h"

/* The sockets: one asks everybody, one is only known to the first beacon, one hears nothing but
 * what comes back through the NAT. */
enum { WIDE, NARROW, BACK };

/* How long each step may take. */
#define STEP (2 * GW_SEC)

struct target {
	struct check *check;
	struct beacon_name name;
	struct resolve *resolve;
	struct addr v4, v6; /* ADDR_NONE: none */
	struct probe *probe4, *probe6;
	struct tls_link *tls;
	gw_time tls_started;
	bool ready, by_udp; /* connected just now */
	uint16_t alternate_port;
};

struct check {
	struct netcheck *out;
	struct loop *loop;
	godwit_node *node;
	struct loop_source *source;
	struct prober prober;
	struct portmap *portmap;
	struct target targets[BEACONS_MAX];
	gw_time deadline;
	struct loop_source *stop;
};

const char *behaviour_name(enum behaviour b)
{
	switch (b) {
	case BEHAVIOUR_ENDPOINT_INDEPENDENT:
		return "endpoint-independent";
	case BEHAVIOUR_ADDRESS_DEPENDENT:
		return "address-dependent";
	case BEHAVIOUR_ADDRESS_AND_PORT_DEPENDENT:
		return "address-and-port-dependent";
	case BEHAVIOUR_UNKNOWN:
		break;
	}
	return "unknown";
}

/* --- names and TLS --- */

static void on_resolved(void *user, int error, const struct addr *addrs, size_t count)
{
	struct target *t = user;

	(void)error;
	t->resolve = NULL;
	for (size_t i = 0; i < count; i++) {
		struct addr *at = addrs[i].family == ADDR_V4 ? &t->v4 : &t->v6;

		if (at->family != ADDR_NONE)
			continue;
		*at = addrs[i];
		at->port = t->name.udp_port;
	}
}

static struct netcheck_beacon *result_of(const struct target *t)
{
	return &t->check->out->beacons[t - t->check->targets];
}

static void on_tls_open(void *user)
{
	struct target *t = user;

	result_of(t)->tls = ANSWER_YES;
	result_of(t)->tls_took = loop_clock() - t->tls_started;
}

static void on_tls_closed(void *user, int error, const char *text)
{
	struct netcheck_beacon *b = result_of(user);

	(void)error;
	if (b->tls != ANSWER_UNKNOWN)
		return;
	b->tls = ANSWER_NO;
	snprintf(b->tls_error, sizeof(b->tls_error), "%s", text);
}

static void on_tls_datagram(void *user, const uint8_t *data, size_t len)
{
	(void)user;
	(void)data;
	(void)len;
}

static void start_tls(struct target *t)
{
	static const struct tls_link_events EVENTS = { on_tls_open, on_tls_closed,
						       on_tls_datagram };
	struct tls_link_config config = { .host = t->name.host, .port = t->name.tls_port };

	if (t->name.tls_port == 0)
		return;
	t->tls_started = loop_clock();
	if (tls_link_connect(&t->tls, t->check->loop, &config, &EVENTS, t) < 0)
		t->tls = NULL;
}

static int start_target(struct check *c, size_t i, const char *text)
{
	struct target *t = &c->targets[i];
	struct netcheck_beacon *b = &c->out->beacons[i];
	char relay[BEACON_TEXT_MAX];
	const char *why;

	t->check = c;
	b->text = text;
	if (beacon_parse(&t->name, text, &why) < 0)
		return GODWIT_E_FORMAT;
	snprintf(b->relay, sizeof(b->relay), "%.140s", beacon_format_host(&t->name, relay));
	start_tls(t);
	return resolve_start(&t->resolve, c->loop, t->name.host, on_resolved, t);
}

/* --- the node: for what needs a connection to a beacon --- */

/* That there is no answer is seen without a connection. */
static void note_refusal(struct netcheck_beacon *b, int error)
{
	if (!b->met && (error == GODWIT_E_DENIED || error == GODWIT_E_KEY ||
			error == GODWIT_E_LIMIT || error == GODWIT_E_IN_USE))
		b->refusal = error;
}

static void look_at_node(struct check *c)
{
	godwit_beacon_info list[2 * BEACONS_MAX];
	size_t count = godwit_node_beacons(c->node, list, 2 * BEACONS_MAX);

	for (size_t k = 0; k < count && k < 2 * BEACONS_MAX; k++)
		for (size_t i = 0; i < c->out->n_beacons; i++) {
			struct target *t = &c->targets[i];
			struct netcheck_beacon *b = &c->out->beacons[i];
			char text[BEACON_TEXT_MAX];

			beacon_format(&t->name, text);
			if (strcmp(text, list[k].beacon) != 0)
				continue;
			t->ready = list[k].state == GODWIT_BEACON_READY;
			t->by_udp = t->ready && strcmp(list[k].transport, "udp") == 0;
			if (!t->ready) {
				note_refusal(b, list[k].error);
				continue;
			}
			b->refusal = 0;
			t->alternate_port = list[k].alternate_port;
			b->met = true;
			b->clock_offset_s = (double)list[k].clock_offset_ms / 1e3;
			c->out->connected_udp |= t->by_udp;
		}
}

static void drain_node(struct check *c)
{
	godwit_event e;

	do
		look_at_node(c); /* before it leaves those that it needs no more */
	while (godwit_node_next_event(c->node, &e));
}

static void on_node(void *user, int fd, unsigned events)
{
	struct check *c = user;

	(void)fd;
	(void)events;
	godwit_node_process(c->node);
	drain_node(c);
}

static int make_node(struct check *c, struct home *home, const struct settings *s,
		     struct failure *f)
{
	char pem[IDENTITY_PEM_MAX];
	godwit_options options;
	struct identity id;
	int rv;

	if (home_identity(home, s, &id, f) < 0)
		return -1;
	identity_to_pem(&id, pem);
	identity_wipe(&id);
	godwit_options_init(&options);
	options.identity_pem = pem;
	options.transient = true;
	rv = godwit_node_new(&c->node, &options);
	explicit_bzero(pem, sizeof(pem));
	if (rv < 0)
		return fail_error(f, rv, "cannot start a node");
	c->source = loop_add(c->loop, godwit_node_fd(c->node), LOOP_IN, on_node, c);
	for (size_t i = 0; i < c->out->n_beacons; i++)
		(void)godwit_add_beacon(c->node, c->out->beacons[i].text);
	drain_node(c);
	return c->source ? 0 : fail_error(f, GODWIT_E_NOMEM, "netcheck");
}

/* --- waiting --- */

static void wait_until(struct check *c, bool (*done)(const struct check *), gw_time patience)
{
	gw_time until = time_min(c->deadline, loop_clock() + patience), now;

	while (!c->out->stopped && !done(c) && (now = loop_clock()) < until)
		loop_run_once(c->loop, until - now);
}

static bool are_resolved(const struct check *c)
{
	for (size_t i = 0; i < c->out->n_beacons; i++)
		if (c->targets[i].resolve)
			return false;
	return true;
}

static bool are_probed(const struct check *c)
{
	return prober_done(&c->prober);
}

static bool are_met(const struct check *c)
{
	for (size_t i = 0; i < c->out->n_beacons; i++)
		if (!c->out->beacons[i].met && !c->out->beacons[i].refusal)
			return false;
	return true;
}

static bool is_all_done(const struct check *c)
{
	struct portmap_info info;

	if (c->portmap)
		portmap_info(c->portmap, &info);
	if (c->portmap && info.state == PORTMAP_TRYING)
		return false;
	for (size_t i = 0; i < c->out->n_beacons; i++)
		if (c->targets[i].tls && c->out->beacons[i].tls == ANSWER_UNKNOWN)
			return false;
	return are_met(c);
}

/* --- where are we seen? --- */

static void look_at_host(struct netcheck *out)
{
	struct local_addr locals[NETMON_ADDRS_MAX];
	struct netmon *m;
	size_t count;

	if (netmon_open(&m) != 0)
		return;
	count = netmon_addresses(m, locals, NETMON_ADDRS_MAX);
	for (size_t i = 0; i < count; i++)
		if (!locals[i].loopback && !addr_is_link_local(&locals[i].addr)) {
			out->has4 |= locals[i].addr.family == ADDR_V4;
			out->has6 |= locals[i].addr.family == ADDR_V6;
		}
	netmon_close(m);
}

static void ask_everybody(struct check *c)
{
	for (size_t i = 0; i < c->out->n_beacons; i++) {
		struct target *t = &c->targets[i];

		c->out->beacons[i].named = t->v4.family || t->v6.family;
		if (t->v4.family != ADDR_NONE)
			t->probe4 = prober_add(&c->prober, PROBE_REQUEST, WIDE, &t->v4);
		if (t->v6.family != ADDR_NONE && (c->out->has6 || addr_is_loopback(&t->v6)))
			t->probe6 = prober_add(&c->prober, PROBE_REQUEST, WIDE, &t->v6);
	}
	wait_until(c, are_probed, STEP);
}

static void note(const struct probe *p, enum answer *one, enum answer *family, struct addr *seen,
		 gw_time *rtt)
{
	if (!p)
		return;
	*one = p->answered ? ANSWER_YES : ANSWER_NO;
	if (*family != ANSWER_YES)
		*family = *one;
	if (!p->answered)
		return;
	*seen = p->seen;
	if (*rtt == 0 || p->rtt < *rtt)
		*rtt = p->rtt;
}

static void note_answers(struct check *c)
{
	struct netcheck *out = c->out;

	for (size_t i = 0; i < out->n_beacons; i++) {
		const struct target *t = &c->targets[i];
		struct netcheck_beacon *b = &out->beacons[i];

		note(t->probe4, &b->udp4, &out->ipv4, &out->seen4, &b->rtt);
		note(t->probe6, &b->udp6, &out->ipv6, &out->seen6, &b->rtt);
		if (t->probe4 && t->probe4->answered)
			out->nat4 = addr_equal(&t->probe4->seen, &t->probe4->local) ? ANSWER_NO
										    : ANSWER_YES;
	}
	if (out->ipv4 == ANSWER_YES || out->ipv6 == ANSWER_YES)
		out->udp = ANSWER_YES;
	else if (out->ipv4 == ANSWER_NO || out->ipv6 == ANSWER_NO)
		out->udp = ANSWER_NO;
}

/* --- the NAT --- */

static bool heard(const struct target *t)
{
	return t->probe4 && t->probe4->answered;
}

/* The beacon that shall send to a socket that never spoke to it, and the one the socket spoke to:
 * at another address.  Without such a pair both are what there is. */
static void choose(struct check *c, struct target **first, struct target **second)
{
	*first = *second = NULL;
	for (size_t i = 0; i < c->out->n_beacons; i++) {
		struct target *t = &c->targets[i];

		if (!heard(t))
			continue;
		for (size_t k = 0; k < c->out->n_beacons; k++) {
			struct target *u = &c->targets[k];

			if (!heard(u) || addr_same_host(&t->v4, &u->v4))
				continue;
			if (!*second || (u->by_udp && !(*second)->by_udp)) {
				*first = t;
				*second = u;
			}
		}
		if (!*first)
			*first = t;
	}
}

static enum behaviour mapping(const struct check *c, const struct target *first,
			      const struct target *second, const struct probe *alternate)
{
	bool ports = alternate && alternate->answered;
	bool by_port = ports && !addr_equal(&first->probe4->seen, &alternate->seen);

	if (c->out->nat4 == ANSWER_NO ||
	    (second && addr_equal(&first->probe4->seen, &second->probe4->seen)))
		return BEHAVIOUR_ENDPOINT_INDEPENDENT;
	if (by_port)
		return BEHAVIOUR_ADDRESS_AND_PORT_DEPENDENT;
	return second && ports ? BEHAVIOUR_ADDRESS_DEPENDENT : BEHAVIOUR_UNKNOWN;
}

/* `test` NULL: no second beacon could send. */
static enum behaviour filtering(const struct probe *test, const struct probe *alternate,
				bool has_alternate)
{
	if (test && test->answered)
		return BEHAVIOUR_ENDPOINT_INDEPENDENT;
	if (has_alternate && alternate && !alternate->answered)
		return BEHAVIOUR_ADDRESS_AND_PORT_DEPENDENT;
	return test && has_alternate && alternate ? BEHAVIOUR_ADDRESS_DEPENDENT : BEHAVIOUR_UNKNOWN;
}

static struct probe *start_test(struct check *c, const struct target *second, uint16_t port)
{
	char text[BEACON_TEXT_MAX];
	struct probe *p;

	if (!second || !second->by_udp)
		return NULL;
	p = prober_add(&c->prober, PROBE_AWAIT, NARROW, &second->v4);
	beacon_format(&second->name, text);
	for (int i = 0; p && i < 2; i++)
		if (godwit_beacon_test(c->node, text, port, p->token) < 0)
			return NULL;
	drain_node(c);
	return p;
}

/* Each of two sockets sends to where the other is seen. */
static void check_hairpin(struct check *c, const struct probe *narrow, const struct probe *back)
{
	struct probe *there, *back_again;

	if (c->out->nat4 != ANSWER_YES || !back || !back->answered)
		return;
	there = prober_add(&c->prober, PROBE_PLAIN, BACK, &narrow->seen);
	back_again = prober_add(&c->prober, PROBE_PLAIN, NARROW, &back->seen);
	wait_until(c, are_probed, STEP);
	if (there && back_again)
		c->out->hairpinning =
			there->answered || back_again->answered ? ANSWER_YES : ANSWER_NO;
}

static void check_nat(struct check *c)
{
	struct target *first, *second;
	struct probe *narrow, *back, *from_main = NULL, *filter, *test;
	struct addr alternate;

	choose(c, &first, &second);
	if (!first)
		return;
	alternate = first->v4;
	alternate.port = first->alternate_port;
	narrow = prober_add(&c->prober, PROBE_REQUEST, NARROW, &first->v4);
	back = prober_add(&c->prober, PROBE_REQUEST, BACK, &first->v4);
	if (alternate.port)
		from_main = prober_add(&c->prober, PROBE_REQUEST, WIDE, &alternate);
	wait_until(c, are_probed, STEP);
	c->out->mapping = mapping(c, first, second, from_main);
	if (!narrow || !narrow->answered)
		return;
	filter = prober_add(&c->prober, PROBE_ALTERNATE, NARROW, &first->v4);
	test = start_test(c, second, narrow->seen.port);
	wait_until(c, are_probed, STEP);
	c->out->filtering = filtering(test, filter, first->alternate_port != 0);
	check_hairpin(c, narrow, back);
}

/* --- all of it --- */

static void on_portmap(void *user, const struct portmap_info *info)
{
	(void)user;
	(void)info;
}

static void on_stop(void *user, int fd, unsigned events)
{
	struct check *c = user;

	(void)fd;
	(void)events;
	c->out->stopped = true;
	loop_remove(c->stop); /* who gave the descriptor reads it */
	c->stop = NULL;
}

static int start(struct check *c, struct home *home, const struct settings *s, int stop_fd,
		 struct failure *f)
{
	if (loop_new(&c->loop) < 0 || prober_init(&c->prober, c->loop) < 0 ||
	    !(c->stop = loop_add(c->loop, stop_fd, LOOP_IN, on_stop, c)))
		return fail_errno(f, errno, "cannot start");
	look_at_host(c->out);
	for (size_t i = 0; i < c->out->n_beacons; i++) {
		int error = start_target(c, i, s->at[SETTING_BEACON].values[i]);

		if (error)
			return fail_error(f, error, "beacon \"%.200s\"",
					  s->at[SETTING_BEACON].values[i]);
	}
	if (c->out->has4)
		(void)portmap_new(&c->portmap, c->loop,
				  udp_local(c->prober.sockets[PROBE_SOCKETS - 1]).port, NULL,
				  on_portmap, c);
	return make_node(c, home, s, f);
}

static void finish(struct check *c)
{
	for (size_t i = 0; i < c->out->n_beacons; i++) {
		resolve_cancel(c->targets[i].resolve);
		tls_link_close(c->targets[i].tls);
	}
	if (c->portmap)
		portmap_info(c->portmap, &c->out->portmap);
	portmap_free(c->portmap);
	loop_remove(c->source);
	loop_remove(c->stop);
	godwit_node_free(c->node);
	prober_clear(&c->prober);
	if (c->loop)
		loop_free(c->loop);
	free(c);
}

int netcheck_run(struct netcheck *out, struct home *home, const struct settings *s, gw_time timeout,
		 int stop_fd, struct failure *f)
{
	struct check *c = calloc(1, sizeof(*c));

	if (!c)
		return fail_error(f, GODWIT_E_NOMEM, "netcheck");
	*out = (struct netcheck){ .n_beacons = s->at[SETTING_BEACON].count };
	out->portmap.protocol = PORTMAP_PROTOCOLS;
	c->out = out;
	c->deadline = loop_clock() + timeout;
	if (start(c, home, s, stop_fd, f) < 0) {
		finish(c);
		return -1;
	}
	wait_until(c, are_resolved, STEP);
	ask_everybody(c);
	note_answers(c);
	if (out->udp == ANSWER_YES)
		wait_until(c, are_met, STEP);
	check_nat(c);
	wait_until(c, is_all_done, timeout);
	finish(c);
	return 0;
}
