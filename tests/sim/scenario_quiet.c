/* tests/sim/scenario_quiet.c - what an idle node sends, and how long it takes to reach a key. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "sim.h"

enum { N_BEACONS = 2, QUIET_SENDS = 2, QUIET_BYTES = 64 };

#define SETTLE (90 * GW_SEC)
#define QUIET (600 * GW_SEC)
#define KEEPALIVE (25 * GW_SEC)
#define POLL GW_MSEC

static struct proc *add_node(struct sim *s, const char *kind)
{
	unsigned site = net_add_site(s, nat_kind_find(kind), INTERNET);
	struct proc *p = proc_add(s, net_add_host_in(s, site));

	for (unsigned i = 0; i < N_BEACONS; i++)
		p->beacons[p->n_beacons++] = &s->procs[i];
	return p;
}

static void add_beacons(struct sim *s)
{
	for (unsigned i = 0; i < N_BEACONS; i++)
		proc_add(s, net_add_host(s))->is_beacon = true;
}

/* --- idle: at most two small datagrams each 25 s, to home and spare --- */

static void act_count(struct sim *s, struct action *a)
{
	uint64_t sent = a->proc->sent - a->value;
	uint64_t allowed = QUIET_SENDS * (QUIET / KEEPALIVE);

	sim_note(s, "%s has sent %llu datagrams, the largest of %zu bytes", a->proc->name,
		 (unsigned long long)sent, a->proc->largest_sent);
	if (!node_registered(a->proc->node))
		sim_fail(s, "%s is not registered", a->proc->name);
	else if (sent > allowed || a->proc->largest_sent > QUIET_BYTES)
		sim_fail(s, "%s has sent %llu datagrams of up to %zu bytes, while idle",
			 a->proc->name, (unsigned long long)sent, a->proc->largest_sent);
	else if (sent == 0)
		sim_fail(s, "%s has not kept its links alive", a->proc->name);
}

static void act_begin_count(struct sim *s, struct action *a)
{
	struct proc *p = a->proc;
	struct action *end = sim_action(s, s->now + QUIET, act_count);

	end->proc = p;
	end->value = p->sent;
	p->largest_sent = 0;
}

void build_idle(struct sim *s)
{
	static const char *const KINDS[] = { "none", "firewall", "eim-apdf", "apdm", "double" };

	add_beacons(s);
	add_node(s, KINDS[sim_between(s, 0, sizeof(KINDS) / sizeof(KINDS[0]) - 1)]);
	for (unsigned i = 0; i < s->n_hosts; i++)
		s->hosts[i].ifaces[0].up.delay = s->hosts[i].ifaces[0].down.delay =
			sim_between(s, 500, 100000) * GW_USEC;
	for (unsigned i = 0; i < s->n_procs; i++)
		proc_start(&s->procs[i]);
	sim_action(s, s->start + SETTLE, act_begin_count)->proc = &s->procs[N_BEACONS];
}

/* --- cold: three round trips by the relay, once the dialler has its own beacon --- */

static bool has_beacon(const struct proc *p)
{
	const struct beacon_ref *b = NULL;
	struct beacon_info info;

	while ((b = node_beacon_next(p->node, b))) {
		beacon_describe(b, &info);
		if (info.state == BEACON_READY)
			return true;
	}
	return false;
}

/* Polled.  value: when the dialler's beacon was there; count: the round trip by the relay. */
static void act_await_byte(struct sim *s, struct action *a)
{
	const struct end *far = &s->flows[0].ends[1];
	struct action next = *a;

	if (next.value == 0 && has_beacon(a->proc))
		next.value = s->now;
	if (far->received == 0 && s->now < s->start + 2 * SETTLE) {
		*sim_action(s, s->now + POLL, act_await_byte) = next;
		return;
	}
	sim_note(s, "the first byte after %.2f round trips of %.1f ms",
		 next.value ? (double)(s->now - next.value) / (double)a->count : -1.0,
		 (double)a->count / (double)GW_MSEC);
	if (far->received == 0 || next.value == 0)
		sim_fail(s, "no byte");
	else if (s->now - next.value > 3 * a->count + 2 * POLL)
		sim_fail(s, "the first byte after %.2f round trips of %.1f ms",
			 (double)(s->now - next.value) / (double)a->count,
			 (double)a->count / (double)GW_MSEC);
}

static void act_cold(struct sim *s, struct action *a)
{
	struct proc *x = a->proc;
	struct action *await;

	proc_start(x);
	flow_add(s, x, a->peer, s->now, 1000, 1000);
	await = sim_action(s, s->now, act_await_byte);
	await->proc = x;
	await->count = a->count;
}

void build_cold(struct sim *s)
{
	gw_time near = sim_between(s, 2000, 60000) * GW_USEC;
	gw_time far = sim_between(s, 2000, 60000) * GW_USEC;
	struct action *cold;

	add_beacons(s);
	add_node(s, "firewall");
	add_node(s, "apdm");
	for (unsigned i = 0; i < s->n_hosts; i++) {
		gw_time delay = i < N_BEACONS ? 0 : i == N_BEACONS ? near : far;

		s->hosts[i].ifaces[0].up.delay = s->hosts[i].ifaces[0].down.delay = delay;
	}
	for (unsigned i = 0; i < s->n_procs; i++)
		if (i != N_BEACONS)
			proc_start(&s->procs[i]);
	s->slack = 120 * GW_SEC;
	cold = sim_action(s, s->start + 10 * GW_SEC, act_cold);
	cold->proc = &s->procs[N_BEACONS];
	cold->peer = &s->procs[N_BEACONS + 1];
	cold->count = 2 * (near + far);
}
