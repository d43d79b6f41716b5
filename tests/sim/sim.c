/* tests/sim/sim.c - one run: the queue of what happens next, and the verdict. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <gnutls/gnutls.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "liar.h"

enum {
	STEPS_AT_ONE_TIME_MAX = 200000,
	STEPS_MAX = 5000000,
	WALL_CLOCK_START = 1700000000,
};

/* GnuTLS takes no argument for its clock; crash reports have none either. */
static struct sim *current;

static time_t virtual_wall_clock(time_t *out)
{
	time_t t = WALL_CLOCK_START + (time_t)(current ? current->now / GW_SEC : 0);

	if (out)
		*out = t;
	return t;
}

uint64_t sim_wall_ms(const struct sim *s)
{
	return (uint64_t)WALL_CLOCK_START * 1000 + s->now / GW_MSEC;
}

struct sim *sim_current(void)
{
	return current;
}

/* --- reports --- */

void sim_fail(struct sim *s, const char *format, ...)
{
	char text[FAILURE_MAX - 64];
	va_list args;

	if (s->failure[0])
		return; /* the first breach counts */
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	snprintf(s->failure, sizeof(s->failure), "at %.6f s: %s",
		 (double)(s->now - s->start) / (double)GW_SEC, text);
}

void sim_note(const struct sim *s, const char *format, ...)
{
	va_list args;

	if (!s->verbose)
		return;
	printf("%8llu %14.6f ", (unsigned long long)s->steps,
	       (double)(s->now - s->start) / (double)GW_SEC);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
}

/* --- dice --- */

uint64_t sim_between(struct sim *s, uint64_t low, uint64_t high)
{
	return low + rng_below(&s->rng, high - low + 1);
}

uint64_t sim_size(struct sim *s, uint64_t high)
{
	unsigned bits = 0;
	uint64_t size;

	while (high >> bits)
		bits++;
	size = rng_below(&s->rng, UINT64_C(1) << rng_below(&s->rng, bits + 1));
	return size > high ? high : size;
}

bool sim_chance(struct sim *s, unsigned percent)
{
	return rng_below(&s->rng, 100) < percent;
}

/* --- the queue: a binary heap ordered by time, then by order of scheduling --- */

static bool before(const struct item *a, const struct item *b)
{
	return a->at != b->at ? a->at < b->at : a->order < b->order;
}

void sim_schedule(struct sim *s, gw_time at, enum item_kind kind, void *what)
{
	size_t i;

	if (s->n_items == s->items_capacity) {
		s->items_capacity = s->items_capacity ? 2 * s->items_capacity : 256;
		s->items = realloc(s->items, s->items_capacity * sizeof(*s->items));
		if (!s->items)
			abort();
	}
	i = s->n_items++;
	s->items[i] =
		(struct item){ .at = at, .order = s->next_order++, .kind = kind, .what = what };
	while (i && before(&s->items[i], &s->items[(i - 1) / 2])) {
		struct item swap = s->items[i];

		s->items[i] = s->items[(i - 1) / 2];
		s->items[(i - 1) / 2] = swap;
		i = (i - 1) / 2;
	}
}

static struct item pop(struct sim *s)
{
	struct item top = s->items[0], last = s->items[--s->n_items];
	size_t i = 0;

	for (;;) {
		size_t child = 2 * i + 1;

		if (child >= s->n_items)
			break;
		if (child + 1 < s->n_items && before(&s->items[child + 1], &s->items[child]))
			child++;
		if (!before(&s->items[child], &last))
			break;
		s->items[i] = s->items[child];
		i = child;
	}
	s->items[i] = last;
	return top;
}

struct action *sim_action(struct sim *s, gw_time at, void (*fn)(struct sim *s, struct action *a))
{
	struct action *a = calloc(1, sizeof(*a));

	if (!a)
		abort();
	a->fn = fn;
	s->pending_actions++;
	sim_schedule(s, at, ITEM_ACTION, a);
	return a;
}

static void run_action(struct sim *s, struct action *a)
{
	if (!a->polling) {
		s->pending_actions--;
		s->last_action = s->now;
	}
	a->fn(s, a);
	free(a);
	for (unsigned i = 0; i < s->n_procs && !s->failure[0]; i++) {
		if (s->procs[i].alive && s->hosts[s->procs[i].host].asleep_until <= s->now)
			proc_pump(&s->procs[i]);
		else
			proc_refresh(&s->procs[i]);
	}
}

static void run_end(struct sim *s, struct end *e, gw_time at)
{
	gw_time asleep_until = s->hosts[e->proc->host].asleep_until;

	if (e->wake_at != at)
		return; /* rescheduled since */
	e->wake_at = GW_NEVER;
	if (e->status != END_LIVE)
		return;
	if (asleep_until > s->now) {
		e->wake_at = asleep_until;
		sim_schedule(s, asleep_until, ITEM_END, e);
		return;
	}
	end_run(e);
	if (!s->failure[0] && e->proc->alive)
		proc_pump(e->proc);
}

static void run_flow(struct sim *s, struct flow *f)
{
	gw_time asleep_until = s->hosts[f->ends[0].proc->host].asleep_until;

	s->last_action = s->now;
	if (asleep_until > s->now)
		sim_schedule(s, asleep_until, ITEM_FLOW, f);
	else
		flow_open(f);
}

static void run_item(struct sim *s, const struct item *i)
{
	switch (i->kind) {
	case ITEM_PACKET:
		net_packet(s, i->what);
		break;
	case ITEM_END:
		run_end(s, i->what, i->at);
		break;
	case ITEM_FLOW:
		run_flow(s, i->what);
		break;
	case ITEM_TALK:
		talk_run(i->what);
		break;
	case ITEM_ACTION:
		run_action(s, i->what);
		break;
	}
}

/* --- stepping --- */

static struct proc *next_proc(struct sim *s, gw_time *at)
{
	struct proc *best = NULL;

	*at = GW_NEVER;
	for (unsigned i = 0; i < s->n_procs; i++) {
		gw_time t = proc_expiry(&s->procs[i]);

		if (t < *at) {
			*at = t;
			best = &s->procs[i];
		}
	}
	return best;
}

static void pump_touched(struct sim *s)
{
	s->any_touched = false;
	for (unsigned i = 0; i < s->n_procs; i++)
		if (s->procs[i].touched && s->procs[i].alive) {
			s->procs[i].touched = false;
			proc_pump(&s->procs[i]);
		}
}

/* One datagram, timer or action.  False when nothing happens until `until`. */
static bool step(struct sim *s, gw_time until)
{
	gw_time timer_at, item_at = s->n_items ? s->items[0].at : GW_NEVER;
	struct proc *p = next_proc(s, &timer_at);
	gw_time at = time_min(timer_at, item_at);

	if (s->any_touched && at > s->now) {
		pump_touched(s);
		return true;
	}
	if (at == GW_NEVER || at > until) {
		s->now = time_max(s->now, until);
		return false;
	}
	s->steps++;
	s->now = time_max(s->now, at);
	if (item_at <= timer_at) {
		struct item i = pop(s);

		run_item(s, &i);
	} else {
		proc_timer(p);
	}
	return true;
}

static bool flows_over(struct sim *s)
{
	while (s->n_over < s->n_flows && flow_over(&s->flows[s->n_over]))
		s->n_over++;
	return s->n_over == s->n_flows;
}

static bool streams_gone(struct sim *s)
{
	for (unsigned i = 0; i < s->n_procs; i++) {
		struct node_stats st;

		if (!s->procs[i].node)
			continue;
		node_stats_get(s->procs[i].node, &st);
		if (st.streams)
			return false;
	}
	return true;
}

static bool connections_gone(struct sim *s)
{
	for (unsigned i = 0; i < s->n_procs; i++) {
		struct node_stats st;

		if (!s->procs[i].node)
			continue;
		node_stats_get(s->procs[i].node, &st);
		if (st.connections)
			return false;
	}
	return true;
}

bool sim_run_until(struct sim *s, bool (*done)(struct sim *s), gw_time until)
{
	uint64_t steps_at = s->steps;
	gw_time time_at = s->now;

	while (!s->failure[0] && !done(s)) {
		if (!step(s, until))
			return false;
		if (s->now != time_at) {
			time_at = s->now;
			steps_at = s->steps;
		} else if (s->steps - steps_at > STEPS_AT_ONE_TIME_MAX) {
			sim_fail(s, "time does not pass");
		}
		if (s->steps > STEPS_MAX)
			sim_fail(s, "too many steps");
	}
	return !s->failure[0];
}

/* --- phases of a run --- */

/* When the last of the applications acts by the clock. */
static gw_time scripts_end(const struct sim *s)
{
	gw_time latest = 0;

	for (size_t i = 0; i < s->n_flows; i++) {
		latest = time_max(latest, s->flows[i].open_at);
		for (int side = 0; side < 2; side++) {
			const struct end *e = &s->flows[i].ends[side];

			if (e->stall_at != UINT64_MAX)
				latest = time_max(latest, e->stall_until);
			if (e->reset_at != GW_NEVER)
				latest = time_max(latest, e->reset_at);
		}
	}
	return latest;
}

static void report_hang(struct sim *s)
{
	char text[200];
	size_t open = 0;

	for (size_t i = 0; i < s->n_flows; i++) {
		struct flow *f = &s->flows[i];

		if (flow_over(f))
			continue;
		for (int side = 0; side < 2; side++) {
			end_describe(&f->ends[side], text, sizeof(text));
			sim_note(s, "open: %s", text);
		}
		open++;
	}
	for (size_t i = 0; i < s->n_flows; i++)
		if (!flow_over(&s->flows[i])) {
			end_describe(&s->flows[i].ends[s->flows[i].ends[0].status != END_LIVE],
				     text, sizeof(text));
			sim_fail(s, "%zu flows hang; first: %s", open, text);
			return;
		}
}

static bool transfers_done(struct sim *s)
{
	return !s->pending_actions && flows_over(s) && talks_over(s);
}

static void run_transfers(struct sim *s)
{
	while (!s->failure[0] && !transfers_done(s)) {
		gw_time until = time_max(s->last_action, scripts_end(s)) + s->slack;

		/* Actions push the end back, so look again when the time has come. */
		if (!sim_run_until(s, transfers_done, until) && !s->failure[0] &&
		    !s->pending_actions &&
		    until >= time_max(s->last_action, scripts_end(s)) + s->slack) {
			report_hang(s);
			if (!s->failure[0])
				sim_fail(s, "a talk hangs");
			return;
		}
		if (s->pending_actions && !s->failure[0] && s->now >= until)
			s->last_action = s->now; /* a quiet stretch before the next action */
	}
}

/* At most one connection to each peer? */
static bool races_over(struct sim *s)
{
	for (unsigned i = 0; i < s->n_procs; i++) {
		struct node_stats st;

		if (!s->procs[i].node)
			continue;
		node_stats_get(s->procs[i].node, &st);
		if (st.connections > st.peers)
			return false;
	}
	return true;
}

static void check_memory(struct sim *s)
{
	for (unsigned i = 0; i < s->n_procs; i++) {
		struct proc *p = &s->procs[i];
		struct node_stats st;

		if (!p->node)
			continue;
		node_stats_get(p->node, &st);
		if (st.memory)
			sim_fail(s, "%s keeps %zu bytes of stream buffers without streams", p->name,
				 st.memory);
		node_check(p->node);
	}
}

static bool never(struct sim *s)
{
	(void)s;
	return false;
}

static void run_end_phase(struct sim *s)
{
	struct node_stats st;

	if (!s->failure[0] && !sim_run_until(s, streams_gone, s->now + 60 * GW_SEC))
		for (unsigned i = 0; i < s->n_procs; i++)
			if (s->procs[i].node && !s->failure[0]) {
				node_stats_get(s->procs[i].node, &st);
				if (st.streams)
					sim_fail(s, "%s keeps %zu streams that nobody holds",
						 s->procs[i].name, st.streams);
			}
	sim_run_until(s, never, s->now + 12 * GW_SEC); /* racers and retired connections end ... */
	if (!s->failure[0] &&
	    !sim_run_until(s, races_over, s->now + 60 * GW_SEC)) /* ... and doubts */
		sim_fail(s, "more than one connection to a peer");
	if (!s->failure[0])
		check_memory(s);
	if (!s->failure[0] && s->idle && !sim_run_until(s, connections_gone, s->now + s->idle))
		sim_fail(s, "idle connections stay");
	if (!s->failure[0] && s->verdict && !s->verdict(s))
		sim_fail(s, "the scenario's own condition does not hold");
}

void sim_free(struct sim *s)
{
	for (unsigned i = 0; i < s->n_procs; i++)
		if (s->procs[i].alive) {
			if (s->failure[0])
				continue; /* may be inconsistent: leave it */
			proc_exit(&s->procs[i]);
		}
	for (unsigned i = 0; i < s->n_procs; i++)
		liar_free(&s->procs[i]);
	net_clear(s);
	while (s->n_items) {
		struct item i = pop(s);

		if (i.kind == ITEM_PACKET)
			net_packet_free(i.what);
		else if (i.kind == ITEM_ACTION)
			free(i.what);
	}
	free(s->items);
	free(s->flows);
	free(s);
	current = NULL;
}

struct sim *sim_new(uint64_t seed)
{
	enum { FLOWS_CAPACITY = 8192 };
	struct sim *s = calloc(1, sizeof(*s));

	if (!s)
		abort();
	s->seed = seed;
	s->now = s->start = 1000 * GW_SEC;
	s->last_action = s->now;
	s->slack = 30 * GW_SEC;
	s->flows = calloc(FLOWS_CAPACITY, sizeof(*s->flows));
	s->flows_capacity = FLOWS_CAPACITY;
	rng_seed(&s->rng, seed);
	current = s;
	gnutls_global_set_time_function(virtual_wall_clock);
	return s;
}

bool sim_run(uint64_t seed, const char *name, bool verbose, struct sim_result *out)
{
	const struct scenario *sc = name ? scenario_find(name) : scenario_pick(seed);
	struct sim *s = sim_new(seed);
	bool ok;

	if (!sc)
		abort();
	s->scenario = sc->name;
	s->verbose = verbose;
	sc->build(s);
	for (unsigned i = 0; i < s->n_procs; i++)
		proc_refresh(&s->procs[i]);
	run_transfers(s);
	run_end_phase(s);
	ok = !s->failure[0];
	*out = (struct sim_result){ .scenario = sc->name,
				    .steps = s->steps,
				    .digest = s->digest,
				    .virtual_time = s->now - s->start };
	memcpy(out->failure, s->failure, sizeof(out->failure));
	sim_free(s);
	return ok;
}
