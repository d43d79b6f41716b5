/* tests/sim/scenario_gap.c - how long a stream may be without data when networks, NATs and beacons
 * change.  The clock is virtual, so these are promises and not measurements; the figures of the
 * real program are in docs/benchmarks.md. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "sim.h"

enum { BEACONS = 2, NODES = 2, SIZE = 400 * 1024, WRITE_EVERY_MS = 5, WATCHED_S = 4 };

/* Settled, direct where it will be: then the event comes. */
#define EVENT_AT (10 * GW_SEC)
#define FLOW_LASTS (15 * GW_SEC)
#define LOOK_EVERY (5 * GW_MSEC)

/* From a node to a beacon and back 20 ms, from node to node 10 ms. */
#define NODE_DELAY (2500 * GW_USEC)
#define BEACON_DELAY (7500 * GW_USEC)
#define RELAYED_RTT (40 * GW_MSEC)
#define OPEN_AT (2 * GW_SEC) /* all have registered */

static void roam(struct sim *s, struct proc *p)
{
	net_move_to_site(s, p->host, net_add_site(s, nat_kind_find("eim-apdf"), INTERNET));
	s->hosts[p->host].ifaces[0].up.delay = s->hosts[p->host].ifaces[0].down.delay = NODE_DELAY;
	proc_network(p);
}

static void one_moves(struct sim *s)
{
	roam(s, &s->procs[BEACONS + sim_between(s, 0, NODES - 1)]);
}

static void both_move(struct sim *s)
{
	roam(s, &s->procs[BEACONS]);
	roam(s, &s->procs[BEACONS + 1]);
}

static void box_reboots(struct sim *s)
{
	const struct proc *p = &s->procs[BEACONS + sim_between(s, 0, NODES - 1)];

	net_reboot_box(s, s->hosts[p->host].ifaces[0].site, false);
}

/* The one that relays, if any does; else any. */
static void beacon_dies(struct sim *s)
{
	struct peer *peer = node_peer_next(s->procs[BEACONS].node, NULL);
	struct beacon_info beacon;
	struct peer_info info;

	peer_describe(peer, &info);
	if (info.relay)
		beacon_describe(info.relay, &beacon);
	for (unsigned i = 0; i < BEACONS; i++)
		if (!info.relay || memcmp(beacon.key, proc_key(&s->procs[i]), KEY_SIZE) == 0) {
			proc_kill(&s->procs[i]);
			return;
		}
}

static const struct event_kind {
	const char *name;
	void (*happens)(struct sim *s);
	bool relayed;
	gw_time most; /* without data */
} EVENTS[] = {
	{ "one moves", one_moves, false, 250 * GW_MSEC },
	{ "one moves, relayed", one_moves, true, 150 * GW_MSEC },
	{ "both move", both_move, false, 400 * GW_MSEC },
	{ "both move, relayed", both_move, true, 400 * GW_MSEC },
	{ "NAT reboots", box_reboots, false, 1000 * GW_MSEC },
	{ "beacon dies, direct", beacon_dies, false, 50 * GW_MSEC },
	{ "beacon dies, relayed", beacon_dies, true, 1000 * GW_MSEC },
};

static void act_event(struct sim *s, struct action *a)
{
	sim_note(s, "%s", EVENTS[a->value].name);
	EVENTS[a->value].happens(s);
}

static void act_watch(struct sim *s, struct action *a);

/* kind: of event; come: bytes both ways, last seen to grow at `since`. */
static void watch_later(struct sim *s, gw_time at, uint64_t kind, uint64_t come, gw_time since)
{
	struct action *a = sim_action(s, at, act_watch);

	a->value = kind;
	a->count = come;
	a->gap = since;
	a->polling = true;
	s->pending_actions--;
}

static void act_watch(struct sim *s, struct action *a)
{
	const struct flow *f = &s->flows[0];
	uint64_t come = f->ends[0].received + f->ends[1].received;
	gw_time most = EVENTS[a->value].most;

	if (come == a->count && s->now - a->gap > most) {
		sim_fail(s, "%s: no data for over %llu ms", EVENTS[a->value].name,
			 (unsigned long long)(most / GW_MSEC));
		return;
	}
	if (s->now >= s->start + EVENT_AT + WATCHED_S * GW_SEC)
		return;
	watch_later(s, s->now + LOOK_EVERY, a->value, come, come == a->count ? a->gap : s->now);
}

/* From the dial to the first byte of the peer: three relayed round trips, and nothing to wait for. */
static void act_first_byte(struct sim *s, struct action *a)
{
	const struct flow *f = &s->flows[0];

	(void)a;
	if (f->ends[1].total > 0 && f->ends[0].received == 0)
		sim_fail(s, "a cold dial takes over three relayed round trips");
}

static struct proc *add(struct sim *s, unsigned host, gw_time delay)
{
	s->hosts[host].ifaces[0].up.delay = s->hosts[host].ifaces[0].down.delay = delay;
	return proc_add(s, host);
}

static void add_node(struct sim *s, bool relayed)
{
	unsigned site = net_add_site(s, nat_kind_find("eim-apdf"), INTERNET);
	struct proc *p = add(s, net_add_host_in(s, site), NODE_DELAY);

	p->config.relay_only = relayed;
	for (unsigned i = 0; i < BEACONS; i++)
		p->beacons[p->n_beacons++] = &s->procs[i];
}

/* One way only, or both. */
static void flow_of(struct sim *s)
{
	uint64_t ways = sim_between(s, 0, 2);
	struct flow *f = flow_add(s, &s->procs[BEACONS], &s->procs[BEACONS + 1], s->start + OPEN_AT,
				  ways != 0 ? SIZE : 0, ways != 1 ? SIZE : 0);

	for (int side = 0; side < 2; side++) {
		f->ends[side].write_every = WRITE_EVERY_MS * GW_MSEC;
		f->ends[side].write_chunk = SIZE / (FLOW_LASTS / f->ends[side].write_every);
	}
}

/* --- a nearer relay that was away --- */

#define NEAR_AWAY (10 * GW_SEC)
#define NEAR_BACK_BY (100 * GW_SEC)

static void act_both_near(struct sim *s, struct action *a)
{
	(void)a;
	for (unsigned i = 0; i < NODES; i++) {
		struct peer *peer = node_peer_next(s->procs[BEACONS + i].node, NULL);
		struct beacon_info beacon;
		struct peer_info info;

		peer_describe(peer, &info);
		if (!info.relay) {
			sim_fail(s, "not connected through a relay");
			return;
		}
		beacon_describe(info.relay, &beacon);
		if (memcmp(beacon.key, proc_key(&s->procs[0]), KEY_SIZE) != 0)
			sim_fail(s, "still relayed by the farther beacon");
	}
}

void build_nearer(struct sim *s)
{
	struct action *a;
	struct flow *f;

	add(s, net_add_host(s), NODE_DELAY)->is_beacon = true;
	add(s, net_add_host(s), 8 * NODE_DELAY)->is_beacon = true;
	for (unsigned i = 0; i < NODES; i++)
		add_node(s, true);
	for (unsigned i = 0; i < s->n_procs; i++)
		proc_start(&s->procs[i]);
	f = flow_add(s, &s->procs[BEACONS], &s->procs[BEACONS + 1], s->start + OPEN_AT, SIZE, SIZE);
	for (int side = 0; side < 2; side++) {
		f->ends[side].write_every = 100 * GW_MSEC;
		f->ends[side].write_chunk = SIZE / 1200;
	}
	a = sim_action(s, s->start + sim_between(s, 5000, 9000) * GW_MSEC, act_restart);
	a->proc = &s->procs[0];
	a->value = NEAR_AWAY;
	sim_action(s, s->start + NEAR_BACK_BY, act_both_near);
	s->slack = 60 * GW_SEC;
}

void build_gap(struct sim *s)
{
	uint64_t kind = sim_between(s, 0, sizeof(EVENTS) / sizeof(EVENTS[0]) - 1);
	struct action *a;

	for (unsigned i = 0; i < BEACONS; i++)
		add(s, net_add_host(s), BEACON_DELAY)->is_beacon = true;
	for (unsigned i = 0; i < NODES; i++)
		add_node(s, EVENTS[kind].relayed);
	for (unsigned i = 0; i < s->n_procs; i++)
		proc_start(&s->procs[i]);
	flow_of(s);
	sim_action(s, s->start + OPEN_AT + 3 * RELAYED_RTT + GW_MSEC, act_first_byte);
	a = sim_action(s, s->start + EVENT_AT, act_event);
	a->value = kind;
	watch_later(s, s->start + EVENT_AT, kind, 0, s->start + EVENT_AT);
	s->slack = 60 * GW_SEC;
}
