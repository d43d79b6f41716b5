/* tests/sim/scenario.c - what a run is made of.  Everything is drawn from the run's seed.
 *
 * No two draws in one expression: C leaves their order open, and the schedule of a seed must
 * not depend on the compiler. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "sim.h"

enum { KB = 1024, MB = 1024 * 1024, MTU_MIN = 1280 };

/* --- building blocks --- */

static gw_time at_ms(const struct sim *s, uint64_t ms)
{
	return s->start + ms * GW_MSEC;
}

static gw_time later(struct sim *s, uint64_t low_ms, uint64_t high_ms)
{
	return at_ms(s, sim_between(s, low_ms, high_ms));
}

static void each_link(struct sim *s, void (*fn)(struct sim *s, struct access *l))
{
	for (unsigned i = 0; i < s->n_hosts; i++)
		for (size_t j = 0; j < s->hosts[i].n_ifaces; j++) {
			fn(s, &s->hosts[i].ifaces[j].up);
			fn(s, &s->hosts[i].ifaces[j].down);
		}
}

static void ordinary_link(struct sim *s, struct access *l)
{
	l->delay = sim_between(s, 100, 30000) * GW_USEC;
	l->jitter = l->delay / sim_between(s, 4, 100);
}

static void lossy_link(struct sim *s, struct access *l)
{
	l->loss = (unsigned)sim_between(s, 50, 600);
	l->duplicate = (unsigned)sim_size(s, 200);
}

static void shuffling_link(struct sim *s, struct access *l)
{
	l->reorder = (unsigned)sim_between(s, 200, 2000);
	l->duplicate = (unsigned)sim_size(s, 500);
	l->hold = sim_between(s, 1, sim_chance(s, 30) ? 4000 : 100) * GW_MSEC;
}

static void thin_link(struct sim *s, struct access *l)
{
	l->rate = sim_between(s, 40, 1000) * KB;
	l->queue = sim_between(s, 30, 500) * GW_MSEC;
}

/* Now and then one of the troubles of the other scenarios, in a small dose. */
static void season(struct sim *s)
{
	for (unsigned i = 0; i < s->n_hosts; i++) {
		struct iface *f = &s->hosts[i].ifaces[0];

		if (sim_chance(s, 25))
			f->up.loss = f->down.loss = (unsigned)sim_between(s, 1, 150);
		if (sim_chance(s, 15)) {
			f->up.reorder = f->down.reorder = (unsigned)sim_between(s, 1, 300);
			f->up.duplicate = f->down.duplicate = (unsigned)sim_between(s, 0, 100);
		}
		if (sim_chance(s, 15))
			f->up.mtu = f->down.mtu = (size_t)sim_between(s, MTU_MIN, 1500);
	}
}

/* Hosts 0 and 1 with processes A and B on them, not started. */
static void two_hosts(struct sim *s)
{
	s->v6 = sim_chance(s, 25);
	proc_add(s, net_add_host(s));
	proc_add(s, net_add_host(s));
	each_link(s, ordinary_link);
	season(s);
}

/* A knows where B is; sometimes the reverse, too. */
static void start_two(struct sim *s)
{
	struct proc *a = &s->procs[0], *b = &s->procs[1];

	proc_start(a);
	proc_start(b);
	proc_know(a, b);
	if (sim_chance(s, 50))
		proc_know(b, a);
}

static void two_nodes(struct sim *s)
{
	two_hosts(s);
	start_two(s);
}

/* The first is opened by A at once: B may not know where A is. */
static void random_flows(struct sim *s, size_t max_count, uint64_t span_ms, uint64_t max_size)
{
	size_t count = sim_between(s, 1, max_count);

	for (size_t i = 0; i < count; i++) {
		bool back = i && sim_chance(s, 40);
		gw_time at = i ? later(s, 0, span_ms) : s->start;

		flow_random(s, &s->procs[back], &s->procs[!back], at, max_size);
	}
}

/* Streams that are sure to be alive until `until_ms`: both ends write slowly. */
static void long_flow(struct sim *s, struct proc *from, struct proc *to, uint64_t until_ms,
		      uint64_t size)
{
	struct flow *f = flow_add(s, from, to, s->start, size, size);
	uint64_t chunks = sim_between(s, 5, 50);

	for (int side = 0; side < 2; side++) {
		f->ends[side].write_chunk = (size_t)(size / chunks) + 1;
		f->ends[side].write_every = until_ms * GW_MSEC / chunks;
	}
}

/* Datagrams besides, now and then; from either end or from both. */
static void talks(struct sim *s)
{
	uint64_t which = sim_chance(s, 30) ? sim_between(s, 1, 3) : 0;

	if (which & 1)
		talk_add(s, &s->procs[0], &s->procs[1], s->start);
	if (which & 2)
		talk_add(s, &s->procs[1], &s->procs[0], later(s, 500, 3000));
}

/* The action gets `value`. */
static struct action *on_host_value(struct sim *s, gw_time at, unsigned host,
				    void (*fn)(struct sim *s, struct action *a), uint64_t value)
{
	struct action *a = sim_action(s, at, fn);

	a->host = host;
	a->value = value;
	return a;
}

static struct action *on_host(struct sim *s, gw_time at, unsigned host,
			      void (*fn)(struct sim *s, struct action *a))
{
	struct action *a = sim_action(s, at, fn);

	a->host = host;
	return a;
}

/* --- nothing but data --- */

static void build_steady(struct sim *s)
{
	two_nodes(s);
	random_flows(s, 10, 3000, 300 * KB);
	if (sim_chance(s, 30))
		s->idle = 330 * GW_SEC;
	for (uint64_t n = sim_between(s, 0, 2); n; n--) {
		struct action *a = sim_action(s, later(s, 0, 3000), act_ping);

		a->proc = &s->procs[0];
		a->peer = &s->procs[1];
	}
	talks(s);
}

static void build_lossy(struct sim *s)
{
	two_nodes(s);
	each_link(s, lossy_link);
	random_flows(s, 5, 2000, 80 * KB);
	s->slack = 120 * GW_SEC;
	talks(s);
}

static void build_reorder(struct sim *s)
{
	two_nodes(s);
	each_link(s, shuffling_link);
	random_flows(s, 5, 2000, 150 * KB);
	for (uint64_t n = sim_between(s, 0, 3); n; n--)
		on_host(s, later(s, 100, 6000), 0, act_move)->notify = true;
	s->slack = 60 * GW_SEC;
	talks(s);
}

static void build_rate(struct sim *s)
{
	two_nodes(s);
	each_link(s, thin_link);
	random_flows(s, 6, 2000, 200 * KB);
	s->slack = 120 * GW_SEC;
	talks(s);
}

static void shrink(struct sim *s, uint64_t span_ms)
{
	gw_time at = later(s, 0, span_ms);
	unsigned host = sim_chance(s, 50);

	on_host_value(s, at, host, act_mtu, sim_between(s, MTU_MIN, 1500));
}

static void build_mtu(struct sim *s)
{
	two_nodes(s);
	long_flow(s, &s->procs[0], &s->procs[1], 4000, 100 * KB);
	random_flows(s, 4, 4000, 200 * KB);
	if (sim_chance(s, 30)) /* both in a jumbo network, perhaps with a narrow place in between */
		for (unsigned i = 0; i < s->n_hosts; i++) {
			struct iface *f = &s->hosts[i].ifaces[0];

			f->mtu = 9000;
			f->up.mtu = f->down.mtu = sim_chance(s, 70) ? 9000 : 1500;
		}
	for (uint64_t n = sim_between(s, 1, 4); n; n--)
		shrink(s, 6000);
	s->slack = 60 * GW_SEC;
	talks(s);
}

static void build_half_close(struct sim *s)
{
	two_nodes(s);
	for (uint64_t n = sim_between(s, 2, 12); n; n--) {
		bool back = n < 8 && sim_chance(s, 40);
		gw_time at = n % 3 ? later(s, 0, 1000) : s->start;
		uint64_t forth = sim_size(s, 50 * KB), reply = sim_size(s, 50 * KB);
		struct flow *f = flow_add(s, &s->procs[back], &s->procs[!back], at, forth, reply);
		struct end *last = &f->ends[sim_between(s, 0, 1)];

		last->finish = FINISH_LAST;
		last->release_early = sim_chance(s, 50);
		if (sim_chance(s, 30)) {
			last->write_every = 20 * GW_MSEC;
			last->write_chunk = (size_t)(last->total / 10) + 1;
		}
	}
	flow_add(s, &s->procs[0], &s->procs[1], s->start, 0, 0);
	if (sim_chance(s, 50))
		on_host(s, later(s, 10, 1500), 0, act_move)->notify = true;
}

static void build_resets(struct sim *s)
{
	static const enum stream_code codes[] = { STREAM_CODE_CANCELLED, STREAM_CODE_TARGET,
						  STREAM_CODE_DENIED, STREAM_CODE_LIMIT };

	two_nodes(s);
	random_flows(s, 12, 2000, 100 * KB);
	for (size_t i = 1; i < s->n_flows; i++) { /* the first one makes sure that they meet */
		struct flow *f = &s->flows[i];

		for (int side = 0; side < 2; side++) {
			struct end *e = &f->ends[side];

			if (!sim_chance(s, 40))
				continue;
			e->reset_code = codes[sim_between(s, 0, 3)];
			if (sim_chance(s, 50))
				e->reset_after = rng_below(&s->rng, e->total + 1);
			else
				e->reset_at = f->open_at + sim_between(s, 0, 1500) * GW_MSEC;
		}
	}
	for (uint64_t n = sim_between(s, 0, 3); n; n--)
		on_host(s, later(s, 10, 3000), 0, act_move)->notify = true;
}

/* --- moves --- */

static void build_moves(struct sim *s)
{
	bool alternate = sim_chance(s, 50);
	uint64_t span = sim_between(s, 2000, 8000);

	two_hosts(s);
	if (sim_chance(s, 25)) {
		net_add_iface(s, 0);
		ordinary_link(s, &s->hosts[0].ifaces[1].up);
		ordinary_link(s, &s->hosts[0].ifaces[1].down);
	}
	start_two(s);
	long_flow(s, &s->procs[0], &s->procs[1], span, sim_size(s, 200 * KB));
	random_flows(s, 6, span, 200 * KB);
	talks(s);
	if (alternate) {
		struct action *a = sim_action(s, later(s, 1, 1000), act_move_settled);

		a->count = sim_between(s, 2, 12);
		a->gap = sim_between(s, 1, 1500) * GW_MSEC;
		a->alternate = true;
		a->notify = true;
		a->proc = &s->procs[sim_chance(s, 50)];
		a->peer = a->proc == &s->procs[0] ? &s->procs[1] : &s->procs[0];
		return;
	}
	for (uint64_t n = sim_between(s, 1, 8); n; n--) {
		struct action *a = on_host(s, later(s, 1, span), 0, act_move);

		a->notify = true;
		a->value = sim_chance(s, 30) ? sim_between(s, 1, 300) : 0;
	}
}

/* The host has two interfaces; they come and go, one at a time. */
static void build_interfaces(struct sim *s)
{
	two_hosts(s);
	net_add_iface(s, 0);
	ordinary_link(s, &s->hosts[0].ifaces[1].up);
	ordinary_link(s, &s->hosts[0].ifaces[1].down);
	start_two(s);
	long_flow(s, &s->procs[0], &s->procs[1], 9000, 100 * KB);
	random_flows(s, 4, 8000, 100 * KB);
	for (uint64_t n = 0; n < 4; n++) {
		bool silent = sim_chance(s, 30);
		gw_time at = later(s, n * 4000 + 100, n * 4000 + 1000);
		struct action *a = on_host(s, at, 0, silent ? act_link_down : act_iface_gone);

		a->iface = sim_chance(s, 50);
		a->value = sim_between(s, 100, 2500) * GW_MSEC;
		a->notify = true;
	}
	s->slack = 60 * GW_SEC;
	talks(s);
}

/* Lose about a quarter of the next 64 datagrams each way. */
static void drop_some(struct sim *s, gw_time at)
{
	uint64_t mask = rng_u64(&s->rng);

	mask &= rng_u64(&s->rng);
	on_host_value(s, at, 0, act_drop, mask);
}

/* The control stream's packets are lost while the data gets through, or the reverse. */
static void build_overtake(struct sim *s)
{
	two_nodes(s);
	long_flow(s, &s->procs[0], &s->procs[1], 5000, 100 * KB);
	random_flows(s, 6, 4000, 60 * KB);
	drop_some(s, s->start);
	for (uint64_t n = sim_between(s, 1, 6); n; n--) {
		gw_time at = later(s, 1, 5000);

		on_host(s, at, 0, act_move)->notify = true;
		drop_some(s, at + sim_between(s, 0, 60) * GW_MSEC);
	}
	s->slack = 60 * GW_SEC;
	talks(s);
}

static void build_rebinding(struct sim *s)
{
	gw_time timeout;

	two_hosts(s);
	timeout = sim_between(s, 30, 120) * GW_SEC;
	net_nat(s, 0, sim_chance(s, 50) ? timeout : 0);
	start_two(s);
	long_flow(s, &s->procs[0], &s->procs[1], 6000, 60 * KB);
	/* They begin while the long one lives: without streams the host behind the NAT is silent,
	 * and nobody can call it at an address that it does not know itself. */
	random_flows(s, 6, 3000, 100 * KB);
	for (uint64_t n = sim_between(s, 1, 6); n; n--)
		on_host(s, later(s, 1, 8000), 0, act_rebind);
	if (sim_chance(s, 40)) { /* behind the NAT the stream is quiet for minutes */
		struct flow *f = flow_add(s, &s->procs[0], &s->procs[1], later(s, 0, 100), 20, 20);

		f->ends[1].write_every = f->ends[0].write_every = sim_between(s, 20, 90) * GW_SEC;
		f->ends[1].write_chunk = f->ends[0].write_chunk = 5;
		s->slack = 460 * GW_SEC;
	}
	talks(s);
}

static void build_debug(struct sim *s)
{
	two_nodes(s);
	long_flow(s, &s->procs[0], &s->procs[1], 3000, 100 * KB);
	random_flows(s, 6, 3000, 100 * KB);
	for (uint64_t n = sim_between(s, 1, 8); n; n--) {
		gw_time at = later(s, 1, 4000);
		struct action *a =
			sim_action(s, at, sim_chance(s, 50) ? act_debug_move : act_debug_break);

		a->proc = &s->procs[sim_chance(s, 50)];
	}
	talks(s);
}

/* --- outages --- */

static void outages(struct sim *s, uint64_t min_ms, uint64_t max_ms, size_t count)
{
	uint64_t at = sim_between(s, 50, 2000);

	for (size_t i = 0; i < count; i++) {
		uint64_t length = sim_between(s, min_ms, max_ms);
		unsigned host = sim_chance(s, 50);
		struct action *a = on_host(s, at_ms(s, at), host,
					   sim_chance(s, 70) ? act_link_down : act_iface_gone);

		a->value = length * GW_MSEC;
		a->notify = sim_chance(s, 50) || a->fn == act_iface_gone;
		at += length + sim_between(s, 100, 5000);
	}
}

static void build_outage_seconds(struct sim *s)
{
	uint64_t longest;

	two_nodes(s);
	long_flow(s, &s->procs[0], &s->procs[1], 5000, 60 * KB);
	random_flows(s, 6, 4000, 100 * KB);
	longest = sim_chance(s, 70) ? 10000 : 60000;
	outages(s, 50, longest, sim_between(s, 1, 3));
	talks(s);
}

static void build_outage_hours(struct sim *s)
{
	static const uint64_t lengths_s[] = { 90, 300, 1000, 3600, 3 * 3600, 10 * 3600 };
	uint64_t length_ms = 1000 * lengths_s[sim_size(s, 5)];

	two_nodes(s);
	long_flow(s, &s->procs[0], &s->procs[1], 5000, 20 * KB);
	random_flows(s, 3, 4000, 50 * KB);
	outages(s, length_ms / 2, length_ms, 1);
	s->slack = 45 * GW_SEC;
}

static void build_sleep(struct sim *s)
{
	uint64_t at = sim_between(s, 50, 2000);

	two_nodes(s);
	long_flow(s, &s->procs[0], &s->procs[1], 5000, 60 * KB);
	random_flows(s, 6, 4000, 100 * KB);
	for (uint64_t n = sim_between(s, 1, 2); n; n--) {
		uint64_t longest = sim_chance(s, 80) ? 60000 : 1500000;
		uint64_t length = sim_between(s, 100, longest);
		struct action *a = on_host(s, at_ms(s, at), sim_chance(s, 50), act_sleep);

		a->value = length * GW_MSEC;
		a->notify = sim_chance(s, 50);
		at += length + sim_between(s, 100, 5000);
	}
	s->slack = 45 * GW_SEC;
}

/* Did every flow that lived through the outage park out at both ends? */
static bool all_parked_out(struct sim *s)
{
	for (size_t i = 0; i < s->n_flows; i++)
		for (int side = 0; side < 2; side++) {
			const struct end *e = &s->flows[i].ends[side];

			if (e->status != END_FAILED || e->error != GW_E_PARKED_OUT) {
				char text[200];

				end_describe(e, text, sizeof(text));
				sim_fail(s, "%s: should have parked out", text);
				return false;
			}
		}
	return true;
}

static void build_park(struct sim *s)
{
	uint64_t outage_s = sim_between(s, 1, 150), longest_s = 0;
	gw_time at = later(s, 2000, 4000);

	two_hosts(s);
	for (unsigned i = 0; i < 2; i++) { /* sometimes one end has more patience */
		uint64_t park_s = sim_between(s, 0, 40);

		if (i == 1 && sim_chance(s, 60))
			park_s = longest_s;
		if (sim_chance(s, 20))
			park_s = 0;
		s->procs[i].config.park_timeout = park_s * GW_SEC;
		longest_s = park_s > longest_s ? park_s : longest_s;
	}
	start_two(s);
	for (uint64_t n = sim_between(s, 1, 5); n; n--) {
		long_flow(s, &s->procs[0], &s->procs[1], 8000, sim_between(s, 5 * KB, 50 * KB));
		flow_allow(&s->flows[s->n_flows - 1], GW_E_PARKED_OUT);
	}
	on_host_value(s, at, sim_chance(s, 50), act_link_down, outage_s * GW_SEC);
	if (outage_s > longest_s + 45) /* silent for 30 s it is parked */
		s->verdict = all_parked_out;
	else if (sim_chance(s, 50)) /* life goes on */
		flow_random(s, &s->procs[0], &s->procs[1], later(s, 200000, 201000), 10 * KB);
}

/* --- processes --- */

/* Ids begin anew with a new incarnation: each flow needs bytes that name it. */
static void tell_apart(struct sim *s)
{
	for (size_t i = 0; i < s->n_flows; i++)
		if (s->flows[i].ends[0].total < FLOW_NUMBER_SIZE)
			s->flows[i].ends[0].total = FLOW_NUMBER_SIZE;
}

static void build_restart(struct sim *s)
{
	uint64_t at = sim_between(s, 1, 3000);
	gw_time healed;

	two_nodes(s);
	proc_know(&s->procs[1], &s->procs[0]);
	random_flows(s, 8, 4000, 150 * KB);
	for (uint64_t n = sim_between(s, 1, 3); n; n--) {
		uint64_t longest = sim_chance(s, 70) ? 3000 : 60000;
		struct action *a = sim_action(s, at_ms(s, at), act_restart);

		a->proc = &s->procs[sim_chance(s, 50)];
		a->value = sim_between(s, 0, longest) * GW_MSEC;
		a->notify = sim_chance(s, 30);
		at += a->value / GW_MSEC + sim_between(s, 50, 6000);
	}
	/* A stream opened to a process that died unnoticed fails, too; so the new one speaks up. */
	healed = at_ms(s, at + 31000);
	for (unsigned i = 0; i < 2; i++) {
		struct action *a = sim_action(s, healed - 10 * GW_SEC, act_dial);

		a->proc = &s->procs[i];
		a->peer = &s->procs[!i];
		flow_random(s, &s->procs[i], &s->procs[!i], healed, 50 * KB);
	}
	tell_apart(s);
}

static bool older_stopped(struct sim *s)
{
	return s->procs[0].in_use && !s->procs[2].in_use;
}

/* C has A's key.  The newer one wins, also when A was cut off for a while. */
static void build_in_use(struct sim *s)
{
	struct proc *a, *b, *c;
	bool cut = sim_chance(s, 40);

	two_hosts(s);
	c = proc_add(s, net_add_host(s));
	a = &s->procs[0];
	b = &s->procs[1];
	c->id = a->id;
	start_two(s);
	proc_know(b, a);
	for (uint64_t n = sim_between(s, 1, 5); n; n--) {
		long_flow(s, a, b, 20000, sim_between(s, 1, 50 * KB));
		flow_allow(&s->flows[s->n_flows - 1], GW_E_RESTARTED);
		flow_allow(&s->flows[s->n_flows - 1], GW_E_IN_USE);
	}
	if (cut) {
		gw_time at = later(s, 1500, 2500);

		on_host_value(s, at, 0, act_link_down, sim_between(s, 3000, 12000) * GW_MSEC);
	}
	sim_action(s, later(s, 3000, 4000), act_start)->proc = c;
	for (uint64_t n = sim_between(s, 1, 3); n; n--)
		flow_random(s, c, b, later(s, 4000, 5000), 50 * KB);
	a->obedient = sim_chance(s, 50);
	s->verdict = older_stopped;
	tell_apart(s);
}

/* C has A's key, too, but says that it is a one-shot process: both live. */
static void build_transient(struct sim *s)
{
	struct proc *a, *b, *c;

	two_hosts(s);
	c = proc_add(s, net_add_host(s));
	a = &s->procs[0];
	b = &s->procs[1];
	c->id = a->id;
	c->config.transient = true;
	if (sim_chance(s, 30))
		a->config.transient = true;
	start_two(s);
	for (uint64_t n = sim_between(s, 1, 4); n; n--)
		flow_random(s, a, b, later(s, 0, 3000), 50 * KB);
	sim_action(s, later(s, 0, 1000), act_start)->proc = c;
	for (uint64_t n = sim_between(s, 1, 4); n; n--)
		flow_random(s, c, b, later(s, 1000, 4000), 50 * KB);
	if (sim_chance(s, 30)) {
		gw_time at = later(s, 1000, 4000);

		on_host(s, at, sim_chance(s, 50) ? 0 : 2, act_move)->notify = true;
	}
	tell_apart(s);
}

static void build_glare(struct sim *s)
{
	uint64_t rtt_ms;

	two_nodes(s);
	proc_know(&s->procs[1], &s->procs[0]);
	rtt_ms = 2 + 2 * s->hosts[0].ifaces[0].up.delay / GW_MSEC;
	for (uint64_t n = sim_between(s, 2, 6); n; n--)
		flow_random(s, &s->procs[n & 1], &s->procs[!(n & 1)], later(s, 0, rtt_ms), 80 * KB);
	for (uint64_t n = sim_between(s, 0, 5); n; n--) {
		gw_time at = later(s, 0, 3000);

		for (unsigned i = 0; i < 2; i++) {
			struct action *a = sim_action(s, at + sim_between(s, 0, rtt_ms) * GW_MSEC,
						      act_debug_move);

			a->proc = &s->procs[i];
		}
	}
}

/* --- many moves, many streams, slow readers --- */

static bool neighbours_first(struct sim *s)
{
	for (size_t i = 1; i < s->n_flows; i++)
		for (int side = 0; side < 2; side++)
			if (s->flows[i].ends[side].over_at >= s->flows[0].ends[1].stall_until) {
				sim_fail(s, "flow %zu waited for the stalled reader", i);
				return false;
			}
	return true;
}

static void build_moves_1000(struct sim *s)
{
	enum { GAP_MS = 300, SPAN_MS = 1000 * GAP_MS };
	struct flow *stalled;
	struct action *a;

	two_hosts(s);
	for (unsigned i = 0; i < 2; i++) {
		struct iface *f = &s->hosts[i].ifaces[0];

		f->up.delay = f->down.delay = sim_between(s, 500, 5000) * GW_USEC;
		f->up.jitter = f->down.jitter = 0;
	}
	start_two(s);
	stalled = flow_add(s, &s->procs[0], &s->procs[1], s->start, 8 * MB, 0);
	stalled->ends[1].stall_at = 40 * KB;
	stalled->ends[1].stall_until = at_ms(s, 4 * SPAN_MS);
	for (int i = 0; i < 3; i++)
		long_flow(s, &s->procs[i == 2], &s->procs[i != 2], SPAN_MS, 500 * KB);
	for (int i = 1; i <= 3; i++)
		for (int side = 0; side < 2; side++) {
			s->flows[i].ends[side].write_every = 100 * GW_MSEC;
			s->flows[i].ends[side].write_chunk = 200;
		}
	a = sim_action(s, at_ms(s, 1000), act_move_settled);
	a->count = 1000;
	a->gap = GAP_MS * GW_MSEC;
	a->notify = true;
	a->alternate = sim_chance(s, 50);
	a->proc = &s->procs[0];
	a->peer = &s->procs[1];
	s->verdict = neighbours_first;
}

static void build_streams_5000(struct sim *s)
{
	two_hosts(s);
	start_two(s);
	for (unsigned i = 0; i < 5000; i++) {
		gw_time at = later(s, 0, 1500);
		uint64_t forth = sim_between(s, 1, 400), back = sim_between(s, 1, 400);
		struct flow *f = flow_add(s, &s->procs[0], &s->procs[1], at, forth, back);

		for (int side = 0; side < 2; side++) { /* one half before the move, one after */
			f->ends[side].write_chunk = (size_t)(f->ends[side].total / 2) + 1;
			f->ends[side].write_every = 4 * GW_SEC;
		}
	}
	on_host(s, at_ms(s, 3000), 0, act_move)->notify = true;
	s->slack = 60 * GW_SEC;
}

static void build_slow_reader(struct sim *s)
{
	struct flow *slow;
	uint64_t size = sim_between(s, 1, 4) * MB;

	two_hosts(s);
	s->procs[1].config.memory_limit = sim_between(s, 1, 4) * MB;
	start_two(s);
	slow = flow_add(s, &s->procs[0], &s->procs[1], s->start, size, 0);
	slow->ends[1].stall_at = rng_below(&s->rng, size / 2);
	slow->ends[1].stall_until = at_ms(s, 120000);
	random_flows(s, 5, 2000, 200 * KB);
	for (size_t i = 1; i < s->n_flows; i++)
		for (int side = 0; side < 2; side++)
			s->flows[i].ends[side].stall_at = UINT64_MAX;
	if (sim_chance(s, 40))
		on_host(s, later(s, 500, 5000), 0, act_move)->notify = true;
	s->verdict = neighbours_first;
}

/* --- refusals --- */

static bool dial_refused(struct sim *s)
{
	return s->procs[0].peer_failures > 0 && s->procs[0].peer_connects == 0;
}

/* Another key sits at the address that A believes to be C's. */
static void build_wrong_server(struct sim *s)
{
	struct proc *a, *b, *c;

	two_hosts(s);
	c = proc_add(s, net_add_host(s));
	a = &s->procs[0];
	b = &s->procs[1];
	proc_start(a);
	proc_start(b);
	{
		struct addr at = net_primary(&s->hosts[b->host])->addr;

		at.port = b->port;
		node_add_endpoint(a->node, proc_key(c), &at, s->now);
	}
	for (uint64_t n = sim_between(s, 1, 3); n; n--) {
		struct flow *f = flow_random(s, a, c, later(s, 0, 500), 20 * KB);

		f->park_timeout = sim_between(s, 1, 10) * GW_SEC;
		flow_allow(f, GW_E_UNREACHABLE);
	}
	s->slack = 90 * GW_SEC; /* a stream never sent waits for 60 s */
	s->verdict = dial_refused;
}

/* It gets no answer at all. */
static bool dial_ignored(struct sim *s)
{
	struct node_stats stats;

	node_stats_get(s->procs[1].node, &stats);
	return dial_refused(s) && stats.datagrams_out == 0;
}

static void build_unwelcome_client(struct sim *s)
{
	two_hosts(s);
	s->procs[1].secretive = true;
	start_two(s);
	for (uint64_t n = sim_between(s, 1, 3); n; n--) {
		struct flow *f =
			flow_random(s, &s->procs[0], &s->procs[1], later(s, 0, 500), 20 * KB);

		f->park_timeout = sim_between(s, 1, 10) * GW_SEC;
		flow_allow(f, GW_E_UNREACHABLE);
	}
	s->slack = 90 * GW_SEC; /* a stream never sent waits for 60 s */
	s->verdict = dial_ignored;
}

static void build_denied_service(struct sim *s)
{
	two_nodes(s);
	random_flows(s, 3, 1000, 50 * KB);
	for (uint64_t n = sim_between(s, 1, 5); n; n--) {
		struct flow *f =
			flow_random(s, &s->procs[0], &s->procs[1], later(s, 0, 1500), 20 * KB);
		bool unknown = sim_chance(s, 50);

		f->service = unknown ? "nothing" : "private";
		f->ends[0].finish = FINISH_LAST; /* it must learn of the refusal */
		flow_allow(f, unknown ? GW_E_NO_SERVICE : GW_E_DENIED);
	}
	if (sim_chance(s, 40))
		each_link(s, lossy_link);
	/* The refusal may be lost with the connection that carried it. */
	for (uint64_t n = sim_between(s, 0, 3); n; n--)
		on_host(s, later(s, 10, 2000), 0, act_move)->notify = true;
}

/* --- everything --- */

static void build_mixed(struct sim *s)
{
	two_nodes(s);
	if (sim_chance(s, 30))
		each_link(s, lossy_link);
	if (sim_chance(s, 30))
		each_link(s, shuffling_link);
	if (sim_chance(s, 20))
		each_link(s, thin_link);
	long_flow(s, &s->procs[0], &s->procs[1], 8000, 60 * KB);
	random_flows(s, 8, 6000, 80 * KB);
	for (uint64_t n = sim_between(s, 1, 5); n; n--)
		on_host(s, later(s, 1, 8000), 0, act_move)->notify = true;
	for (uint64_t n = sim_between(s, 0, 2); n; n--)
		shrink(s, 8000);
	for (uint64_t n = sim_between(s, 0, 2); n; n--)
		drop_some(s, later(s, 1, 8000));
	outages(s, 50, 8000, sim_between(s, 0, 2));
	s->slack = 150 * GW_SEC;
}

/* --- the list --- */

static const struct scenario scenarios[] = {
	{ "steady", build_steady, 8 },
	{ "lossy", build_lossy, 6 },
	{ "reorder", build_reorder, 6 },
	{ "rate", build_rate, 5 },
	{ "mtu", build_mtu, 6 },
	{ "half-close", build_half_close, 6 },
	{ "resets", build_resets, 8 },
	{ "moves", build_moves, 12 },
	{ "interfaces", build_interfaces, 5 },
	{ "overtake", build_overtake, 8 },
	{ "rebinding", build_rebinding, 6 },
	{ "debug", build_debug, 4 },
	{ "outage-seconds", build_outage_seconds, 8 },
	{ "outage-hours", build_outage_hours, 2 },
	{ "sleep", build_sleep, 5 },
	{ "park", build_park, 4 },
	{ "restart", build_restart, 10 },
	{ "in-use", build_in_use, 4 },
	{ "transient", build_transient, 3 },
	{ "glare", build_glare, 8 },
	{ "slow-reader", build_slow_reader, 4 },
	{ "wrong-server", build_wrong_server, 2 },
	{ "unwelcome-client", build_unwelcome_client, 2 },
	{ "denied-service", build_denied_service, 4 },
	{ "mixed", build_mixed, 12 },
	{ "meet", build_meet, 12 },
	{ "wander", build_wander, 12 },
	{ "gap", build_gap, 8 },
	{ "nearer", build_nearer, 2 },
	{ "idle", build_idle, 1 },
	{ "cold", build_cold, 1 },
	{ "lies", build_lies, 10 },
	{ "accused", build_accused, 4 },
	{ "names", build_names, 6 },
	{ "forged", build_forged, 6 },
	{ "persistent-glare", build_persistent_glare, 5 },
	{ "partition", build_partition, 6 },
	{ "churn", build_churn, 0 },
	{ "moves-1000", build_moves_1000, 0 },
	{ "streams-5000", build_streams_5000, 0 },
};

enum { SCENARIOS = sizeof(scenarios) / sizeof(*scenarios) };

const struct scenario *scenario_at(size_t index)
{
	return index < SCENARIOS ? &scenarios[index] : NULL;
}

const struct scenario *scenario_find(const char *name)
{
	for (size_t i = 0; i < SCENARIOS; i++)
		if (!strcmp(scenarios[i].name, name))
			return &scenarios[i];
	return NULL;
}

const struct scenario *scenario_pick(uint64_t seed)
{
	enum {
		HEAVY_PERIOD = 1000,
		MOVES_PLACE = 100,
		STREAMS_PLACE = 150,
		CHURN_PERIOD = 500,
		CHURN_PLACE = 200
	};
	struct rng rng;
	uint64_t total = 0, draw;

	if (seed % HEAVY_PERIOD == MOVES_PLACE)
		return scenario_find("moves-1000");
	if (seed % HEAVY_PERIOD == STREAMS_PLACE)
		return scenario_find("streams-5000");
	if (seed % CHURN_PERIOD == CHURN_PLACE)
		return scenario_find("churn");
	for (size_t i = 0; i < SCENARIOS; i++)
		total += scenarios[i].weight;
	rng_seed(&rng, ~seed);
	draw = rng_below(&rng, total);
	for (size_t i = 0; i < SCENARIOS; i++) {
		if (draw < scenarios[i].weight)
			return &scenarios[i];
		draw -= scenarios[i].weight;
	}
	return &scenarios[0];
}
