/* tests/sim/scenario_many.c - who meets again and again, beacons cut off, and a hundred nodes. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <malloc.h>

#include "liar.h"
#include "scenario.h"

enum { KB = 1024 };

static gw_time at_ms(const struct sim *s, uint64_t ms)
{
	return s->start + ms * GW_MSEC;
}

static void same_delay(struct sim *s, gw_time delay)
{
	for (unsigned i = 0; i < s->n_hosts; i++)
		for (size_t k = 0; k < s->hosts[i].n_ifaces; k++)
			s->hosts[i].ifaces[k].up.delay = s->hosts[i].ifaces[k].down.delay = delay;
}

/* --- both dial at the same moment, again and again --- */

enum { GLARES_MAX = 60, DIALS_EACH = 8 };

/* A dial that loses is not followed by others without end. */
static bool dials_bounded(struct sim *s)
{
	for (unsigned i = 0; i < s->n_procs; i++) {
		struct node_stats st;

		if (!s->procs[i].node)
			continue;
		node_stats_get(s->procs[i].node, &st);
		sim_note(s, "%s dialled %llu times", s->procs[i].name,
			 (unsigned long long)st.dials);
		if (st.dials > (GLARES_MAX + 20) * DIALS_EACH) {
			sim_fail(s, "%s dialled %llu times", s->procs[i].name,
				 (unsigned long long)st.dials);
			return false;
		}
	}
	return true;
}

/* Both are the mirror image of each other: the same delays, the same kind of network. */
void build_persistent_glare(struct sim *s)
{
	gw_time delay = sim_between(s, 500, 30000) * GW_USEC, last = 0;
	unsigned beacons = sim_chance(s, 60) ? 2 : 0;
	uint64_t count = sim_between(s, 10, GLARES_MAX);
	unsigned kind;
	struct proc *x, *y;

	for (unsigned i = 0; i < beacons; i++)
		scene_beacon(s);
	kind = beacons ? scene_site(s) : INTERNET;
	x = scene_node(s, kind, beacons);
	y = scene_node(s, beacons ? scene_site_of(s, s->sites[kind].nat.kind.name) : INTERNET,
		       beacons);
	same_delay(s, delay);
	scene_start(s);
	if (!beacons) {
		proc_know(x, y);
		proc_know(y, x);
	}
	for (uint64_t n = 0, at = beacons ? 2000 : 0; n < count; n++) {
		bool roams = beacons && sim_chance(s, 10);

		at += sim_between(s, 1, 1 + 8 * delay / GW_MSEC);
		last = at_ms(s, at);
		for (unsigned i = 0; i < 2; i++)
			sim_action(s, last, roams ? act_roam : act_debug_move)->proc = i ? y : x;
	}
	scene_flow(s, x, y, s->start, last + 20 * GW_SEC - s->start, 100 * KB);
	scene_flow(s, y, x, s->start, last + 20 * GW_SEC - s->start, 100 * KB);
	s->slack = 90 * GW_SEC;
	s->verdict = dials_bounded;
	scene_expect(s, x, y, last + GW_SEC, last + 20 * GW_SEC, ANY_WAY);
}

/* --- beacons cut off --- */

/* host, iface: the two; value: how long. */
static void act_cut(struct sim *s, struct action *a)
{
	bool cut = a->value > 0;

	if (cut != net_is_cut(s, a->host, a->iface))
		sim_note(s, "hosts %u and %u are %s", a->host, a->iface,
			 cut ? "cut off from one another" : "together again");
	net_cut(s, a->host, a->iface, cut);
	if (cut) {
		struct action *end = sim_action(s, s->now + a->value, act_cut);

		end->host = a->host;
		end->iface = a->iface;
	}
}

static void cut(struct sim *s, const struct proc *a, const struct proc *b, gw_time at,
		gw_time lasts)
{
	struct action *act = sim_action(s, at, act_cut);

	act->host = a->host;
	act->iface = b->host;
	act->value = lasts;
}

enum { TROUBLE_S = 60, CALM_S = 95, SETTLED_S = 400 };

/* Some of the nodes, or all, do not reach this beacon for a while; nor do the other beacons. */
static void isolate(struct sim *s, unsigned beacons, gw_time at)
{
	struct proc *b = &s->procs[sim_between(s, 0, beacons - 1)];
	gw_time lasts = sim_between(s, 1, 20000) * GW_MSEC;
	unsigned percent = sim_chance(s, 30) ? 100 : (unsigned)sim_between(s, 10, 90);

	for (unsigned i = 0; i < s->n_procs; i++)
		if (&s->procs[i] != b && (i < beacons || sim_chance(s, percent)))
			cut(s, b, &s->procs[i], at, lasts);
}

static void kill_beacon(struct sim *s, unsigned beacons, gw_time at)
{
	struct action *a = sim_action(s, at, act_restart);

	a->proc = &s->procs[sim_between(s, 0, beacons - 1)];
	a->value = sim_between(s, 10, 20000) * GW_MSEC;
	a->notify = sim_chance(s, 30);
}

static void both_roam(struct sim *s, unsigned first, gw_time at)
{
	for (unsigned i = 0; i < 2; i++) {
		gw_time when = at + sim_between(s, 0, 20) * GW_MSEC;

		sim_action(s, when, act_roam)->proc = &s->procs[first + i];
	}
}

void build_partition(struct sim *s)
{
	enum { BEACONS = 3, PAIRS = 2 };
	gw_time calm = s->start + CALM_S * GW_SEC;

	for (unsigned i = 0; i < BEACONS; i++)
		scene_beacon(s);
	for (unsigned i = 0; i < 2 * PAIRS; i++)
		scene_node(s, scene_site(s), BEACONS);
	same_delay(s, sim_between(s, 500, 20000) * GW_USEC);
	scene_start(s);
	for (uint64_t n = sim_between(s, 3, 10); n; n--) {
		gw_time at = at_ms(s, sim_between(s, 0, TROUBLE_S * 1000));
		unsigned first = BEACONS + 2 * (unsigned)sim_between(s, 0, PAIRS - 1);

		switch (sim_between(s, 0, 3)) {
		case 0:
			isolate(s, BEACONS, at);
			break;
		case 1:
			kill_beacon(s, BEACONS, at);
			break;
		case 2:
			both_roam(s, first, at);
			break;
		case 3: /* the direct path breaks, the relays may be there */
			cut(s, &s->procs[first], &s->procs[first + 1], at,
			    sim_between(s, 100, 20000) * GW_MSEC);
			break;
		}
	}
	for (unsigned i = 0; i < PAIRS; i++) {
		struct proc *x = &s->procs[BEACONS + 2 * i], *y = x + 1;

		scene_flow(s, x, y, s->start, (CALM_S + SETTLED_S) * GW_SEC, 200 * KB);
		scene_flow(s, y, x, at_ms(s, sim_between(s, 0, TROUBLE_S * 1000)), 30 * GW_SEC,
			   50 * KB);
		scene_expect(s, x, y, calm, calm + SETTLED_S * GW_SEC, BEST_WITHOUT_SPRAY);
	}
	s->slack = (CALM_S + SETTLED_S + 60) * GW_SEC;
	if (sim_chance(s, 40))
		talk_add(s, &s->procs[BEACONS + 1], &s->procs[BEACONS], s->start);
	s->verdict = blame_is_right;
}

/* --- a hundred nodes --- */

enum {
	CROWD = 100,
	CROWD_BEACONS = 3,
	CROWD_PAIRS = 60,
	CROWD_EVENTS = 100,
	/* After the trouble, in s: who was restarted speaks up; then new streams */
	SPEAK_UP_S = CALM_S + 1,
	CHECK_S = CALM_S + 20,
	CHECK_LASTS_S = 120,
	NODE_BYTES_MAX = 1024 * KB,
};

static struct proc *anybody(struct sim *s)
{
	return &s->procs[CROWD_BEACONS + sim_between(s, 0, CROWD - 1)];
}

/* Those asleep are left alone. */
static bool awake(const struct sim *s, const struct proc *p)
{
	return p->alive && s->hosts[p->host].asleep_until <= s->now;
}

static void act_crowd_restart(struct sim *s, struct action *a)
{
	if (awake(s, a->proc))
		act_restart(s, a);
}

static void act_crowd_sleep(struct sim *s, struct action *a)
{
	if (awake(s, a->proc))
		act_sleep(s, a);
}

static void act_crowd_roam(struct sim *s, struct action *a)
{
	if (s->n_sites + 4 < SITES_MAX)
		act_roam(s, a);
}

static void crowd_event(struct sim *s, gw_time at)
{
	static void (*const ACTS[])(struct sim * s,
				    struct action * a) = { act_crowd_roam,  act_crowd_roam,
							   act_box_reboots, act_crowd_restart,
							   act_crowd_sleep, act_udp_blocked };
	uint64_t what = sim_between(s, 0, 15) % 12;
	struct action *a;

	if (what == 6) {
		isolate(s, CROWD_BEACONS, at);
	} else if (what == 7) {
		kill_beacon(s, CROWD_BEACONS, at);
	} else if (what > 7) {
		const struct flow *f = &s->flows[sim_between(s, 0, CROWD_PAIRS - 1)];

		for (int side = 0; side < 2; side++)
			sim_action(s, at, act_crowd_roam)->proc = f->ends[side].proc;
	} else {
		a = sim_action(s, at, ACTS[what]);
		a->proc = anybody(s);
		a->host = a->proc->host;
		a->notify = what == 4 || sim_chance(s, 50); /* awake, it has a look around */
		a->value = what == 2 ? sim_between(s, 0, 1) : sim_between(s, 10, 30000) * GW_MSEC;
	}
}

/* Whoever has not heard of a restart yet shall, so that the streams of the check may not fail. */
static void act_speak_up(struct sim *s, struct action *a)
{
	(void)a;
	s->restart_grace = 0;
	for (unsigned i = 0; i < CROWD_PAIRS; i++)
		for (int side = 0; side < 2; side++)
			node_dial(s->flows[i].ends[side].proc->node,
				  proc_key(s->flows[i].ends[!side].proc), s->now);
}

/* At one moment everything is as it should be. */
static void act_crowd_expect(struct sim *s, struct action *a)
{
	char text[200];
	struct action *again;

	for (unsigned i = 0; i < CROWD_PAIRS; i++) {
		const struct proc *x = s->flows[i].ends[0].proc, *y = s->flows[i].ends[1].proc;

		disagreement(x, y, text, sizeof(text));
		if (text[0] == '\0' || (way_takes_spray(s, x, y) && agreed(x, y)))
			continue;
		if (s->now >= a->value) {
			explain(x, y);
			explain(y, x);
			sim_fail(s, "%s", text);
			return;
		}
		again = sim_action(s, s->now + GW_SEC, act_crowd_expect);
		*again = *a;
		return;
	}
	sim_note(s, "all are as they should be");
}

static bool crowd_verdict(struct sim *s)
{
	size_t bytes = mallinfo2().uordblks - s->heap_before;

	sim_note(s, "%zu bytes a node", bytes / CROWD);
	if (bytes / CROWD > NODE_BYTES_MAX)
		sim_fail(s, "%zu bytes a node", bytes / CROWD);
	for (size_t i = s->n_flows - CROWD_PAIRS; i < s->n_flows; i++)
		if (s->flows[i].ends[0].status != END_DONE ||
		    s->flows[i].ends[1].status != END_DONE)
			sim_fail(s, "flow %zu was opened after the trouble and has not ended well",
				 i);
	return blame_is_right(s);
}

static void crowd_nodes(struct sim *s)
{
	unsigned site = INTERNET;

	for (unsigned i = 0; i < CROWD_BEACONS; i++)
		scene_beacon(s);
	for (unsigned i = 0; i < CROWD; i++) {
		if (site == INTERNET || !sim_chance(s, 15))
			site = scene_site(s);
		scene_node(s, site, CROWD_BEACONS);
		if (sim_chance(s, 20))
			net_add_family(s, s->procs[s->n_procs - 1].host, ADDR_V6);
	}
	for (unsigned i = 0; i < s->n_hosts; i++) {
		gw_time delay = sim_between(s, 500, 20000) * GW_USEC;

		for (size_t k = 0; k < s->hosts[i].n_ifaces; k++)
			s->hosts[i].ifaces[k].up.delay = s->hosts[i].ifaces[k].down.delay = delay;
	}
}

static void crowd_flow(struct sim *s, struct proc *x, struct proc *y, gw_time at, gw_time lasts)
{
	uint64_t size = sim_between(s, FLOW_NUMBER_SIZE, 20 * KB);
	struct flow *f = scene_flow(s, x, y, at, lasts, size);

	for (int side = 0; side < 2; side++) { /* twenty pieces will do */
		f->ends[side].write_chunk = (size_t)(size / 20) + 1;
		f->ends[side].write_every = lasts / 20;
	}
}

void build_churn(struct sim *s)
{
	struct action *a;

	s->heap_before = mallinfo2().uordblks;
	crowd_nodes(s);
	scene_start(s);
	for (unsigned i = 0; i < CROWD_PAIRS; i++) {
		struct proc *x = anybody(s), *y = anybody(s);
		gw_time lasts = sim_between(s, 1, TROUBLE_S * 1000) * GW_MSEC;

		while (x == y)
			y = anybody(s);
		crowd_flow(s, x, y, at_ms(s, sim_between(s, 0, TROUBLE_S * 500)), lasts);
	}
	for (unsigned i = 0; i < CROWD_EVENTS; i++)
		crowd_event(s, at_ms(s, sim_between(s, 1000, TROUBLE_S * 1000)));
	if (sim_chance(s, 20))
		forger_start(s, (unsigned)sim_between(s, 5, 50), true);
	sim_action(s, at_ms(s, SPEAK_UP_S * 1000), act_speak_up);
	for (unsigned i = 0; i < CROWD_PAIRS; i++)
		crowd_flow(s, s->flows[i].ends[0].proc, s->flows[i].ends[1].proc,
			   at_ms(s, CHECK_S * 1000), CHECK_LASTS_S * GW_SEC);
	a = sim_action(s, at_ms(s, (CHECK_S + 10) * 1000), act_crowd_expect);
	a->value = at_ms(s, (CALM_S + SETTLED_S) * 1000);
	s->slack = 200 * GW_SEC;
	s->verdict = crowd_verdict;
}
