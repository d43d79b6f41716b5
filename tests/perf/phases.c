/* tests/perf/phases.c - what the nodes have to do. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "workload.h"

enum {
	KB = 1024,
	MB = 1024 * KB,
	BULK = 12 * MB,
	STREAMS = 64,
	MESSAGE = 64,
	ROUNDS = 1500,
	PAIRS = 12,
	IDLE_PEERS = 100,
	MOVES = 12,
};

#define RATE (1250 * UINT64_C(1000000)) /* bytes a second: 10 Gbit/s */
#define DELAY (500 * GW_USEC)
/* A network card and a scheduler hand over bunches, not datagrams. */
#define GRAIN (50 * GW_USEC)
#define MOVE_EVERY (15 * GW_MSEC)
#define IDLE_LASTS (3600 * GW_SEC)

/* --- applications --- */

static struct load *load(struct sim *s)
{
	return s->user;
}

static void write_on(struct writer *w, gw_time now)
{
	size_t space;

	while (w->left > 0 && stream_write_space(w->stream, &space)) {
		if (space > w->left)
			space = (size_t)w->left;
		w->left -= space;
		stream_write_commit(w->stream, space, now);
		if (w->left == 0)
			stream_finish(w->stream, now);
	}
}

static size_t swallow(struct stream *stream, gw_time now)
{
	size_t len, total = 0;

	while (stream_read(stream, &len) && len > 0) {
		stream_consume(stream, len, now);
		total += len;
	}
	return total;
}

static void say(struct proc *p, struct stream *stream, gw_time now)
{
	static const uint8_t message[MESSAGE];

	if (stream_write(stream, message, sizeof(message), now) != MESSAGE)
		sim_fail(p->sim, "%s cannot write a message", p->name);
}

/* Who accepts: takes everything, then ends its side, too. */
static void sink(struct proc *p, const struct event *ev)
{
	gw_time now = p->sim->now;

	swallow(ev->stream, now);
	if (stream_read_finished(ev->stream)) {
		stream_finish(ev->stream, now);
		stream_release(ev->stream, now);
	}
}

static void source(struct proc *p, const struct event *ev)
{
	struct sim *s = p->sim;

	write_on(stream_user(ev->stream), s->now);
	swallow(ev->stream, s->now);
	if (stream_read_finished(ev->stream) && stream_delivered(ev->stream)) {
		load(s)->over++;
		stream_release(ev->stream, s->now);
	}
}

static void echo(struct proc *p, const struct event *ev)
{
	if (swallow(ev->stream, p->sim->now) > 0)
		say(p, ev->stream, p->sim->now);
}

static void ping(struct proc *p, const struct event *ev)
{
	struct sim *s = p->sim;
	struct load *l = load(s);

	if (swallow(ev->stream, s->now) == 0)
		return;
	l->rounds--;
	if (l->rounds > 0)
		say(p, ev->stream, s->now);
	else
		l->over++;
}

/* One application a process; both kinds when it accepts and opens. */
static void on_event(struct proc *p, const struct event *ev)
{
	bool messages = load(p->sim)->rounds > 0;
	struct stream_info info;

	if (ev->type != EVENT_STREAM)
		return;
	if (stream_error(ev->stream)) {
		sim_fail(p->sim, "%s: a stream failed: %s", p->name,
			 error_text(stream_error(ev->stream)));
		return;
	}
	stream_describe(ev->stream, &info);
	if (info.incoming)
		(messages ? echo : sink)(p, ev);
	else
		(messages ? ping : source)(p, ev);
}

static void open_stream(struct proc *from, struct proc *to)
{
	struct sim *s = from->sim;
	struct load *l = load(s);
	struct writer *w = &l->writers[l->opened++];

	if (node_stream_open(from->node, proc_key(to), "echo", &w->stream, s->now)) {
		sim_fail(s, "%s opens no stream", from->name);
		return;
	}
	w->left = l->size;
	stream_set_user(w->stream, w);
	if (l->rounds > 0)
		say(from, w->stream, s->now);
	else
		write_on(w, s->now);
	proc_pump(from);
}

static bool streams_over(struct sim *s)
{
	return load(s)->over == load(s)->opened;
}

/* --- the world --- */

static void fast_link(struct access *l)
{
	l->rate = RATE;
	l->delay = DELAY;
	l->grain = GRAIN;
}

static struct proc *add(struct sim *s, bool beacon)
{
	struct proc *p = proc_add(s, net_add_host(s));

	fast_link(&s->hosts[p->host].ifaces[0].up);
	fast_link(&s->hosts[p->host].ifaces[0].down);
	p->on_event = on_event;
	p->is_beacon = beacon;
	p->config.bbr = true;
	return p;
}

static void start(struct sim *s)
{
	for (unsigned i = 0; i < s->n_procs; i++) {
		proc_start(&s->procs[i]);
		proc_pump(&s->procs[i]);
	}
}

static bool all_connected(struct sim *s)
{
	const struct proc *a = &s->procs[0];

	if (a->is_beacon)
		a = &s->procs[1];
	for (struct peer *at = node_peer_next(a->node, NULL); at;
	     at = node_peer_next(a->node, at)) {
		struct peer_info info;

		peer_describe(at, &info);
		if (info.state != PEER_CONNECTED)
			return false;
	}
	return true;
}

static bool registered(struct sim *s)
{
	for (unsigned i = 0; i < s->n_procs; i++)
		if (s->procs[i].n_beacons > 0 && !node_registered(s->procs[i].node))
			return false;
	return true;
}

static bool never(struct sim *s)
{
	(void)s;
	return false;
}

/* Connected, and what follows a handshake is over. */
static void meet(struct proc *a, struct proc *b)
{
	struct sim *s = a->sim;

	node_dial(a->node, proc_key(b), s->now);
	proc_pump(a);
	if (!sim_run_until(s, all_connected, s->now + 30 * GW_SEC))
		sim_fail(s, "%s does not reach %s", a->name, b->name);
	sim_run_until(s, never, s->now + 5 * GW_SEC);
}

static void prepare_two(struct sim *s)
{
	struct proc *a = add(s, false), *b = add(s, false);

	start(s);
	proc_know(a, b);
	meet(a, b);
}

/* --- the phases --- */

static void begin_bulk(struct sim *s)
{
	load(s)->size = BULK;
	open_stream(&s->procs[0], &s->procs[1]);
}

static void begin_many(struct sim *s)
{
	load(s)->size = BULK / STREAMS;
	for (unsigned i = 0; i < STREAMS; i++)
		open_stream(&s->procs[0], &s->procs[1]);
}

static void begin_small(struct sim *s)
{
	load(s)->rounds = ROUNDS;
	open_stream(&s->procs[0], &s->procs[1]);
}

static bool small_done(struct sim *s)
{
	return load(s)->rounds == 0;
}

static void act_next_move(struct sim *s, struct action *a)
{
	struct load *l = load(s);

	if (streams_over(s))
		return;
	act_move(s, a);
	l->moves++;
	if (l->moves < MOVES) {
		struct action *next = sim_action(s, s->now + MOVE_EVERY, act_next_move);

		next->host = a->host;
		next->notify = true;
	}
}

static void begin_move(struct sim *s)
{
	struct action *a = sim_action(s, s->now + MOVE_EVERY, act_next_move);

	a->host = s->procs[0].host;
	a->notify = true;
	begin_bulk(s);
}

static bool move_done(struct sim *s)
{
	return streams_over(s) && load(s)->moves == MOVES;
}

static void prepare_relayed(struct sim *s)
{
	struct proc *beacon = add(s, true);

	for (unsigned i = 0; i < 2; i++) {
		struct proc *p = add(s, false);

		p->config.relay_only = true;
		p->beacons[p->n_beacons++] = beacon;
	}
	start(s);
	if (!sim_run_until(s, registered, s->now + 30 * GW_SEC))
		sim_fail(s, "no home");
	meet(&s->procs[1], &s->procs[2]);
}

static void begin_relayed(struct sim *s)
{
	load(s)->size = BULK;
	open_stream(&s->procs[1], &s->procs[2]);
}

/* Each pair dials each other at the same moment. */
static void prepare_handshakes(struct sim *s)
{
	for (unsigned i = 0; i < 2 * PAIRS; i++)
		add(s, false);
	start(s);
	for (unsigned i = 0; i < 2 * PAIRS; i++)
		proc_know(&s->procs[i], &s->procs[i ^ 1]);
}

static void begin_handshakes(struct sim *s)
{
	load(s)->size = MESSAGE;
	for (unsigned i = 0; i < 2 * PAIRS; i++)
		open_stream(&s->procs[i], &s->procs[i ^ 1]);
}

static bool handshakes_done(struct sim *s)
{
	if (!streams_over(s))
		return false;
	for (unsigned i = 0; i < 2 * PAIRS; i++)
		proc_exit(&s->procs[i]);
	return true;
}

static void prepare_idle(struct sim *s)
{
	struct proc *beacon = add(s, true), *a = add(s, false);

	a->beacons[a->n_beacons++] = beacon;
	for (unsigned i = 0; i < IDLE_PEERS; i++)
		add(s, false);
	start(s);
	if (!sim_run_until(s, registered, s->now + 30 * GW_SEC))
		sim_fail(s, "no home");
	for (unsigned i = 2; i < IDLE_PEERS + 2; i++) {
		proc_know(a, &s->procs[i]);
		node_dial(a->node, proc_key(&s->procs[i]), s->now);
	}
	proc_pump(a);
	if (!sim_run_until(s, all_connected, s->now + 30 * GW_SEC))
		sim_fail(s, "not all are connected");
}

static void begin_nothing(struct sim *s)
{
	(void)s;
}

const struct phase *phase_at(size_t index)
{
	static const struct phase phases[] = {
		{ "bulk", prepare_two, begin_bulk, streams_over, 0 },
		{ "many", prepare_two, begin_many, streams_over, 0 },
		{ "small", prepare_two, begin_small, small_done, 0 },
		{ "handshakes", prepare_handshakes, begin_handshakes, handshakes_done, 0 },
		{ "idle", prepare_idle, begin_nothing, never, IDLE_LASTS },
		{ "relayed", prepare_relayed, begin_relayed, streams_over, 0 },
		{ "move", prepare_two, begin_move, move_done, 0 },
	};

	return index < sizeof(phases) / sizeof(phases[0]) ? &phases[index] : NULL;
}
