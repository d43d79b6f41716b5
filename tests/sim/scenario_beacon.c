/* tests/sim/scenario_beacon.c - nodes that know keys only, behind NATs of every kind. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "scenario.h"

enum { FLOW_SIZE = 200 * 1024, FLOW_CHUNKS = 400, BEACONS = 2, X = BEACONS, Y = BEACONS + 1 };

/* Of such a flow fewer pieces will do. */
#define LONG (150 * GW_SEC)
#define LOOK_EVERY (100 * GW_MSEC)

static const char *const KINDS[] = { "none",    "firewall", "eim-eif",  "eim-adf", "eim-apdf",
				     "adm-adf", "apdm",     "apdm-seq", "double",  "udp-blocked" };
enum { N_KINDS = sizeof(KINDS) / sizeof(KINDS[0]) };

/* --- building blocks --- */

struct proc *scene_beacon(struct sim *s)
{
	struct proc *p = proc_add(s, net_add_host(s));

	p->is_beacon = true;
	return p;
}

struct proc *scene_node(struct sim *s, unsigned site, unsigned beacons)
{
	struct proc *p = proc_add(s, net_add_host_in(s, site));

	for (unsigned i = 0; i < beacons; i++)
		p->beacons[p->n_beacons++] = &s->procs[i];
	return p;
}

unsigned scene_site_of(struct sim *s, const char *kind)
{
	return net_add_site(s, nat_kind_find(kind), INTERNET);
}

unsigned scene_site(struct sim *s)
{
	return scene_site_of(s, KINDS[sim_between(s, 0, N_KINDS - 1)]);
}

void scene_start(struct sim *s)
{
	for (unsigned i = 0; i < s->n_procs; i++)
		proc_start(&s->procs[i]);
}

struct flow *scene_flow(struct sim *s, struct proc *from, struct proc *to, gw_time at,
			gw_time lasts, uint64_t size)
{
	struct flow *f = flow_add(s, from, to, at, size, size);
	uint64_t chunks = lasts > LONG ? FLOW_CHUNKS / 4 : FLOW_CHUNKS;

	for (int side = 0; side < 2; side++) {
		f->ends[side].write_chunk = (size_t)(size / chunks);
		f->ends[side].write_every = lasts / chunks;
	}
	return f;
}

static void act_expect(struct sim *s, struct action *a)
{
	char text[200];
	struct action *again;
	bool any = a->count == ANY_WAY ||
		   (a->count == BEST_WITHOUT_SPRAY && way_takes_spray(s, a->proc, a->peer));

	disagreement(a->proc, a->peer, text, sizeof(text));
	if (a->count == BEST_WAY && text[0] == '\0' &&
	    way_to(a->proc, a->peer) != way_possible(s, a->proc, a->peer))
		sim_fail(s, "%s x %s: better than it can be", a->proc->name, a->peer->name);
	if (text[0] == '\0' || (any && agreed(a->proc, a->peer))) {
		sim_note(s, "%s and %s: %s", a->proc->name, a->peer->name,
			 way_name(way_to(a->proc, a->peer)));
		s->last_action = s->now;
		return;
	}
	if (s->now >= a->value) {
		explain(a->proc, a->peer);
		explain(a->peer, a->proc);
		sim_fail(s, "%s", text);
		return;
	}
	again = sim_action(s, s->now + LOOK_EVERY, act_expect);
	*again = *a;
}

void scene_expect(struct sim *s, struct proc *x, struct proc *y, gw_time at, gw_time deadline,
		  enum demand demand)
{
	struct action *a = sim_action(s, at, act_expect);

	a->proc = x;
	a->peer = y;
	a->value = deadline;
	a->count = demand;
}

/* --- two meet --- */

/* Sometimes in one LAN, sometimes with IPv6 beside IPv4. */
static void two_nodes_and_beacons(struct sim *s)
{
	unsigned here, there;

	for (unsigned i = 0; i < BEACONS; i++)
		scene_beacon(s);
	here = scene_site(s);
	there = sim_chance(s, 15) ? here : scene_site(s);
	scene_node(s, here, BEACONS);
	scene_node(s, there, BEACONS);
	sim_note(s, "%s x %s", s->sites[here].nat.kind.name,
		 here == there ? "the same" : s->sites[there].nat.kind.name);
	for (unsigned i = X; i <= Y; i++)
		if (sim_chance(s, 40))
			net_add_family(s, s->procs[i].host, ADDR_V6);
	for (unsigned i = 0; i < s->n_hosts; i++) {
		gw_time delay = sim_between(s, 500, 20000) * GW_USEC;

		for (size_t k = 0; k < s->hosts[i].n_ifaces; k++)
			s->hosts[i].ifaces[k].up.delay = s->hosts[i].ifaces[k].down.delay = delay;
	}
	scene_start(s);
}

void build_meet(struct sim *s)
{
	gw_time at = s->start + 30 * GW_SEC;

	two_nodes_and_beacons(s);
	scene_flow(s, &s->procs[X], &s->procs[Y], s->start + sim_between(s, 0, 2000) * GW_MSEC,
		   60 * GW_SEC, FLOW_SIZE);
	s->slack = 120 * GW_SEC;
	if (sim_chance(s, 30))
		talk_add(s, &s->procs[Y], &s->procs[X],
			 s->start + sim_between(s, 0, 2000) * GW_MSEC);
	scene_expect(s, &s->procs[X], &s->procs[Y], at, at, BEST_WAY);
}

/* --- everything changes under them --- */

void act_roam(struct sim *s, struct action *a)
{
	unsigned site = scene_site(s);

	net_move_to_site(s, a->proc->host, site);
	sim_note(s, "%s roams to %s", a->proc->name, s->sites[site].nat.kind.name);
	if (a->proc->alive && s->hosts[a->proc->host].asleep_until <= s->now)
		proc_network(a->proc);
}

void act_box_reboots(struct sim *s, struct action *a)
{
	sim_note(s, "the box of %s reboots", a->proc->name);
	net_reboot_box(s, s->hosts[a->proc->host].ifaces[0].site, a->value);
}

/* iface: the site. */
static void act_udp_unblocked(struct sim *s, struct action *a)
{
	sim_note(s, "UDP passes again at site %u", a->iface);
	s->sites[a->iface].nat.kind.blocks = NAT_BLOCKS_NOTHING;
}

void act_udp_blocked(struct sim *s, struct action *a)
{
	unsigned site = s->hosts[a->proc->host].ifaces[0].site;
	struct nat_kind *kind = &s->sites[site].nat.kind;

	if (kind->blocks != NAT_BLOCKS_NOTHING)
		return;
	sim_note(s, "UDP of %s is blocked, site %u", a->proc->name, site);
	kind->blocks = NAT_BLOCKS_UDP;
	if (a->value)
		sim_action(s, s->now + a->value, act_udp_unblocked)->iface = site;
}

static void one_event(struct sim *s, gw_time at)
{
	struct proc *victim = &s->procs[X + sim_between(s, 0, 1)];
	struct action *a;

	switch (sim_between(s, 0, 5)) {
	case 0:
	case 1: /* both at once, or nearly so */
		for (unsigned i = 0; i < 2; i++) {
			a = sim_action(s, at + sim_between(s, 0, 20) * GW_MSEC, act_roam);
			a->proc = &s->procs[X + i];
		}
		break;
	case 2:
		sim_action(s, at, act_roam)->proc = victim;
		break;
	case 3:
		a = sim_action(s, at, act_box_reboots);
		a->proc = victim;
		a->value = sim_between(s, 0, 1);
		break;
	case 4:
		a = sim_action(s, at, act_restart);
		a->proc = &s->procs[sim_between(s, 0, BEACONS - 1)];
		a->value = sim_between(s, 10, 20000) * GW_MSEC;
		break;
	case 5:
		a = sim_action(s, at, act_udp_blocked);
		a->proc = victim;
		a->value = sim_chance(s, 50) ? sim_between(s, 100, 30000) * GW_MSEC : 0;
		break;
	}
}

void build_wander(struct sim *s)
{
	uint64_t count = sim_between(s, 1, 4);
	gw_time calm = s->start + 85 * GW_SEC, deadline = calm + 400 * GW_SEC;

	two_nodes_and_beacons(s);
	scene_flow(s, &s->procs[X], &s->procs[Y], s->start, deadline - s->start, FLOW_SIZE);
	for (uint64_t i = 0; i < count; i++)
		one_event(s, s->start + sim_between(s, 1000, 50000) * GW_MSEC);
	s->slack = deadline + 60 * GW_SEC - s->start;
	if (sim_chance(s, 40))
		talk_add(s, &s->procs[Y], &s->procs[X], s->start);
	scene_expect(s, &s->procs[X], &s->procs[Y], calm, deadline, BEST_WITHOUT_SPRAY);
}
