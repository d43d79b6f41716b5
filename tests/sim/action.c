/* tests/sim/action.c - disturbances: what the world does to hosts, links and processes. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "sim.h"

enum { SETTLE_POLL_MS = 50 };

static void notify_host(struct sim *s, unsigned host)
{
	for (unsigned i = 0; i < s->n_procs; i++) {
		struct proc *p = &s->procs[i];

		if (p->alive && p->host == host && s->hosts[host].asleep_until <= s->now)
			proc_network(p);
	}
}

void act_notify(struct sim *s, struct action *a)
{
	notify_host(s, a->host);
}

/* The system tells the node a little later. */
static void notify_later(struct sim *s, const struct action *a, unsigned delay_ms)
{
	if (!a->notify)
		return;
	if (!delay_ms)
		notify_host(s, a->host);
	else
		sim_action(s, s->now + delay_ms * GW_MSEC, act_notify)->host = a->host;
}

void act_move(struct sim *s, struct action *a)
{
	net_new_address(s, a->host, a->iface);
	sim_note(s, "host %u has a new address", a->host);
	notify_later(s, a, (unsigned)a->value);
}

static bool stream_live(const struct sim *s)
{
	for (size_t i = s->n_over; i < s->n_flows; i++)
		if (s->flows[i].ends[0].status == END_LIVE &&
		    s->flows[i].ends[1].status == END_LIVE)
			return true;
	return false;
}

static bool more_to_come(const struct sim *s)
{
	for (size_t i = s->n_over; i < s->n_flows; i++)
		if (!flow_over(&s->flows[i]))
			return true;
	return false;
}

/* Two ends that move at once lose each other: each move waits for the last one's end.
 * Without a live stream nobody need look for the other, so there is none then. */
void act_move_settled(struct sim *s, struct action *a)
{
	gw_time gap = SETTLE_POLL_MS * GW_MSEC;
	struct action next = *a;
	struct action *again;

	if (stream_live(s) && proc_settled(a->proc, a->peer)) {
		s->last_action = s->moved_at = s->now;
		a->host = a->proc->host;
		net_new_address(s, a->host, a->iface);
		sim_note(s, "host %u has a new address, %llu moves to go", a->host,
			 (unsigned long long)a->count - 1);
		notify_later(s, a, (unsigned)a->value);
		gap = sim_between(s, 1, a->gap);
		next.count--;
		if (a->alternate) {
			next.proc = a->peer;
			next.peer = a->proc;
		}
	}
	if (!next.count || !more_to_come(s))
		return;
	again = sim_action(s, s->now + gap, act_move_settled);
	*again = next;
	again->polling = true;
	s->pending_actions--;
}

void act_link_down(struct sim *s, struct action *a)
{
	struct iface *f = &s->hosts[a->host].ifaces[a->iface];
	struct action *up = sim_action(s, s->now + a->value, act_link_up);

	sim_note(s, "host %u: link down for %.3f s", a->host, (double)a->value / (double)GW_SEC);
	f->up.down = f->down.down = true;
	up->host = a->host;
	up->iface = a->iface;
	up->notify = a->notify;
}

void act_link_up(struct sim *s, struct action *a)
{
	struct iface *f = &s->hosts[a->host].ifaces[a->iface];

	sim_note(s, "host %u: link up", a->host);
	f->up.down = f->down.down = false;
	notify_later(s, a, 0);
}

void act_iface_gone(struct sim *s, struct action *a)
{
	struct action *back = sim_action(s, s->now + a->value, act_iface_back);

	sim_note(s, "host %u: interface %u gone for %.3f s", a->host, a->iface,
		 (double)a->value / (double)GW_SEC);
	back->host = a->host;
	back->iface = a->iface;
	back->notify = a->notify;
	s->hosts[a->host].ifaces[a->iface].present = false;
	notify_later(s, a, 0);
}

void act_iface_back(struct sim *s, struct action *a)
{
	sim_note(s, "host %u: interface %u back", a->host, a->iface);
	s->hosts[a->host].ifaces[a->iface].present = true;
	notify_later(s, a, 0);
}

void act_rebind(struct sim *s, struct action *a)
{
	sim_note(s, "host %u: NAT rebinds", a->host);
	net_nat_rebind(s, a->host);
}

void act_mtu(struct sim *s, struct action *a)
{
	struct iface *f = &s->hosts[a->host].ifaces[a->iface];

	sim_note(s, "host %u: path MTU is %u", a->host, (unsigned)a->value);
	f->up.mtu = f->down.mtu = (size_t)a->value;
}

void act_sleep(struct sim *s, struct action *a)
{
	struct host *h = &s->hosts[a->host];
	struct action *wake = sim_action(s, s->now + a->value, act_wake);

	sim_note(s, "host %u sleeps for %.3f s", a->host, (double)a->value / (double)GW_SEC);
	h->asleep_until = s->now + a->value;
	wake->host = a->host;
	wake->notify = a->notify;
}

void act_wake(struct sim *s, struct action *a)
{
	sim_note(s, "host %u wakes", a->host);
	for (unsigned i = 0; i < s->n_procs; i++) {
		struct proc *p = &s->procs[i];

		if (p->alive && p->host == a->host)
			node_clock_jumped(p->node, s->now);
	}
	notify_later(s, a, 0);
}

void act_drop(struct sim *s, struct action *a)
{
	struct iface *f = &s->hosts[a->host].ifaces[a->iface];

	f->up.drop_mask = a->value;
	f->down.drop_mask = a->value >> 32 | a->value << 32;
}

void act_restart(struct sim *s, struct action *a)
{
	struct action *start = sim_action(s, s->now + a->value, act_start);

	start->proc = a->proc;
	if (!a->proc->alive)
		return;
	if (a->notify)
		proc_exit(a->proc);
	else
		proc_kill(a->proc);
	/* Whoever has not heard of it yet opens streams to the dead one. */
	s->restart_grace = s->now + a->value + s->slack;
}

void act_kill(struct sim *s, struct action *a)
{
	(void)s;
	if (a->proc->alive)
		proc_kill(a->proc);
}

void act_start(struct sim *s, struct action *a)
{
	struct proc *p = a->proc;

	if (p->alive)
		return;
	proc_start(p);
	for (unsigned i = 0; i < s->n_procs; i++)
		if (&s->procs[i] != p && !p->is_beacon && p->n_beacons == 0 &&
		    memcmp(proc_key(&s->procs[i]), proc_key(p), KEY_SIZE))
			proc_know(p, &s->procs[i]);
}

void act_debug_move(struct sim *s, struct action *a)
{
	if (a->proc->alive)
		node_debug_move(a->proc->node, s->now);
}

void act_debug_break(struct sim *s, struct action *a)
{
	if (a->proc->alive)
		node_debug_break(a->proc->node, s->now);
}

void act_dial(struct sim *s, struct action *a)
{
	if (a->proc->alive)
		node_dial(a->proc->node, proc_key(a->peer), s->now);
}

void act_ping(struct sim *s, struct action *a)
{
	uint64_t id;

	if (a->proc->alive)
		node_ping(a->proc->node, proc_key(a->peer), &id, s->now);
}
