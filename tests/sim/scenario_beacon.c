/* tests/sim/scenario_beacon.c - nodes that know keys only, behind NATs of every kind. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "sim.h"

enum { FLOW_SIZE = 200 * 1024, FLOW_CHUNKS = 400 };

static const char *const KINDS[] = { "none",    "firewall", "eim-eif",  "eim-adf", "eim-apdf",
				     "adm-adf", "apdm",     "apdm-seq", "double",  "udp-blocked" };
enum { N_KINDS = sizeof(KINDS) / sizeof(KINDS[0]), FIRST_NODE = 2 };

static struct proc *add_beacon(struct sim *s)
{
	struct proc *p = proc_add(s, net_add_host(s));

	p->is_beacon = true;
	return p;
}

static struct proc *add_node(struct sim *s, const char *kind)
{
	unsigned site = net_add_site(s, nat_kind_find(kind), INTERNET);
	struct proc *p = proc_add(s, net_add_host_in(s, site));

	for (unsigned i = 0; i < FIRST_NODE; i++)
		p->beacons[p->n_beacons++] = &s->procs[i];
	return p;
}

static const char *kind_of(const struct sim *s, const struct proc *p)
{
	return s->sites[s->hosts[p->host].ifaces[0].site].nat.kind.name;
}

static bool is_one_of(const char *kind, const char *list)
{
	const char *at = strstr(list, kind);
	size_t len = strlen(kind);

	while (at && ((at != list && at[-1] != ' ') || (at[len] != '\0' && at[len] != ' ')))
		at = strstr(at + 1, kind);
	return at != NULL;
}

/* What hole punching can do, with prediction and spraying. */
static bool should_be_direct(const char *a, const char *b)
{
	static const char HARD[] = "adm-adf apdm apdm-seq", OPEN[] = "none eim-eif eim-adf";

	if (is_one_of(a, "udp-blocked") || is_one_of(b, "udp-blocked"))
		return false;
	if (is_one_of(a, HARD) && is_one_of(b, HARD))
		return false;
	(void)OPEN;
	return true;
}

static const struct peer_info *info_of(const struct proc *p, const struct proc *peer,
				       struct peer_info *out)
{
	for (struct peer *at = node_peer_next(p->node, NULL); at;
	     at = node_peer_next(p->node, at)) {
		peer_describe(at, out);
		if (memcmp(out->key, proc_key(peer), KEY_SIZE) == 0)
			return out;
	}
	return NULL;
}

/* Polled while the flow is alive: what is the path now? */
static void act_look(struct sim *s, struct action *a)
{
	struct proc *x = a->proc, *y = a->peer;
	bool expected = should_be_direct(kind_of(s, x), kind_of(s, y));
	struct peer_info info;

	if (!info_of(x, y, &info) || info.state != PEER_CONNECTED)
		sim_fail(s, "%s x %s: not connected", kind_of(s, x), kind_of(s, y));
	else if (expected != (info.relay == NULL))
		sim_fail(s, "%s x %s: %s", kind_of(s, x), kind_of(s, y),
			 info.relay ? "still relayed" : "direct, against all theory");
}

static void start_all(struct sim *s)
{
	for (unsigned i = 0; i < s->n_procs; i++)
		proc_start(&s->procs[i]);
}

static void slow_flow(struct sim *s, struct proc *from, struct proc *to, gw_time at)
{
	struct flow *f = flow_add(s, from, to, at, FLOW_SIZE, FLOW_SIZE);

	for (int side = 0; side < 2; side++) {
		f->ends[side].write_chunk = FLOW_SIZE / FLOW_CHUNKS;
		f->ends[side].write_every = 60 * GW_SEC / FLOW_CHUNKS;
	}
}

static void two_nodes_and_beacons(struct sim *s)
{
	const char *a = KINDS[sim_between(s, 0, N_KINDS - 1)];
	const char *b = KINDS[sim_between(s, 0, N_KINDS - 1)];

	sim_note(s, "%s x %s", a, b);

	for (unsigned i = 0; i < FIRST_NODE; i++)
		add_beacon(s);
	add_node(s, a);
	add_node(s, b);
	for (unsigned i = 0; i < s->n_hosts; i++)
		s->hosts[i].ifaces[0].up.delay = s->hosts[i].ifaces[0].down.delay =
			sim_between(s, 500, 20000) * GW_USEC;
	start_all(s);
}

void build_meet(struct sim *s)
{
	struct proc *x, *y;
	struct action *look;

	two_nodes_and_beacons(s);
	x = &s->procs[FIRST_NODE];
	y = &s->procs[FIRST_NODE + 1];
	slow_flow(s, x, y, s->start + sim_between(s, 0, 2000) * GW_MSEC);
	s->slack = 120 * GW_SEC;
	if (sim_chance(s, 30))
		talk_add(s, y, x, s->start + sim_between(s, 0, 2000) * GW_MSEC);
	look = sim_action(s, s->start + 30 * GW_SEC, act_look);
	look->proc = x;
	look->peer = y;
}

/* --- everything changes under them --- */

/* To another network, of another kind. */
static void act_roam(struct sim *s, struct action *a)
{
	const char *kind = KINDS[a->value];

	net_move_to_site(s, a->proc->host, net_add_site(s, nat_kind_find(kind), INTERNET));
	sim_note(s, "%s roams to %s", a->proc->name, kind);
	proc_network(a->proc);
}

static void act_box_reboots(struct sim *s, struct action *a)
{
	sim_note(s, "the box of %s reboots", a->proc->name);
	net_reboot_box(s, s->hosts[a->proc->host].ifaces[0].site, a->value);
}

static void act_udp_blocked(struct sim *s, struct action *a)
{
	sim_note(s, "UDP of %s is blocked", a->proc->name);
	s->sites[s->hosts[a->proc->host].ifaces[0].site].nat.kind = *nat_kind_find("udp-blocked");
}

static void one_event(struct sim *s, gw_time at)
{
	struct proc *victim = &s->procs[FIRST_NODE + sim_between(s, 0, 1)];
	struct action *a;

	switch (sim_between(s, 0, 5)) {
	case 0:
	case 1: /* both at once, or nearly so */
		for (unsigned i = 0; i < 2; i++) {
			a = sim_action(s, at + sim_between(s, 0, 20) * GW_MSEC, act_roam);
			a->proc = &s->procs[FIRST_NODE + i];
			a->value = sim_between(s, 0, N_KINDS - 1);
		}
		break;
	case 2:
		a = sim_action(s, at, act_roam);
		a->proc = victim;
		a->value = sim_between(s, 0, N_KINDS - 1);
		break;
	case 3:
		a = sim_action(s, at, act_box_reboots);
		a->proc = victim;
		a->value = sim_between(s, 0, 1);
		break;
	case 4:
		a = sim_action(s, at, act_restart);
		a->proc = &s->procs[sim_between(s, 0, FIRST_NODE - 1)];
		a->value = sim_between(s, 10, 20000) * GW_MSEC;
		break;
	case 5:
		a = sim_action(s, at, act_udp_blocked);
		a->proc = victim;
		break;
	}
}

void build_wander(struct sim *s)
{
	uint64_t count = sim_between(s, 1, 4);

	two_nodes_and_beacons(s);
	slow_flow(s, &s->procs[FIRST_NODE], &s->procs[FIRST_NODE + 1], s->start);
	for (uint64_t i = 0; i < count; i++)
		one_event(s, s->start + sim_between(s, 1000, 50000) * GW_MSEC);
	s->slack = 120 * GW_SEC;
	if (sim_chance(s, 40))
		talk_add(s, &s->procs[FIRST_NODE + 1], &s->procs[FIRST_NODE], s->start);
}
