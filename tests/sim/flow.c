/* tests/sim/flow.c - streams with a scripted application at each end.
 *
 * The byte at an offset is a function of flow, direction and offset, so whatever is read can
 * be judged at once.  The first eight bytes from the opener are the flow's number: an
 * accepter that cannot tell by id which flow came in (ids begin anew with a new incarnation)
 * waits for them. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "sim.h"

enum { SCRATCH = 4096, STEPS_MAX = 10000 };

/* --- the pattern --- */

static uint64_t mix(uint64_t x)
{
	x ^= x >> 30;
	x *= UINT64_C(0xbf58476d1ce4e5b9);
	x ^= x >> 27;
	x *= UINT64_C(0x94d049bb133111eb);
	return x ^ (x >> 31);
}

/* Bytes of one direction (side: who writes them) from `offset` on. */
static void pattern(const struct flow *f, unsigned side, uint64_t offset, uint8_t *out, size_t len)
{
	uint64_t base = mix(((uint64_t)f->number << 1) + side + UINT64_C(0x9e3779b97f4a7c15));
	uint64_t word = 0;

	for (size_t i = 0; i < len; i++, offset++) {
		if (side == 0 && offset < FLOW_NUMBER_SIZE) {
			out[i] = (uint8_t)((uint64_t)f->number >> (8 * offset));
			continue;
		}
		if (i == 0 || offset % 8 == 0)
			word = mix(base + (offset >> 3));
		out[i] = (uint8_t)(word >> (8 * (offset & 7)));
	}
}

/* --- making flows --- */

static void end_init(struct flow *f, unsigned side, struct proc *p, uint64_t total)
{
	f->ends[side] = (struct end){
		.flow = f,
		.side = side,
		.proc = p,
		.total = total,
		.write_chunk = 16384,
		.read_chunk = 65536,
		.stall_at = UINT64_MAX,
		.reset_after = UINT64_MAX,
		.reset_at = GW_NEVER,
		.reset_code = STREAM_CODE_CANCELLED,
		.wake_at = GW_NEVER,
	};
}

struct flow *flow_add(struct sim *s, struct proc *from, struct proc *to, gw_time open_at,
		      uint64_t forth, uint64_t back)
{
	struct flow *f;

	if (s->n_flows == s->flows_capacity) {
		sim_fail(s, "the scenario makes too many flows");
		return &s->flows[0];
	}
	f = &s->flows[s->n_flows];
	*f = (struct flow){ .sim = s,
			    .number = (unsigned)s->n_flows,
			    .service = "echo",
			    .open_at = open_at,
			    .park_timeout = GW_NEVER };
	s->n_flows++;
	memcpy(f->key, proc_key(to), KEY_SIZE);
	end_init(f, 0, from, forth);
	end_init(f, 1, to, back);
	sim_schedule(s, open_at, ITEM_FLOW, f);
	return f;
}

static void random_script(struct sim *s, struct end *e, uint64_t max)
{
	e->total = sim_size(s, max);
	e->write_chunk = (size_t)sim_size(s, 65535) + 1;
	e->read_chunk = (size_t)sim_size(s, 65535) + 1;
	if (sim_chance(s, 25)) {
		e->write_every = sim_between(s, 1, 50) * GW_MSEC;
		e->write_chunk = (size_t)(e->total / sim_between(s, 4, 40)) + 1;
	}
	if (sim_chance(s, 25)) {
		e->read_every = sim_between(s, 1, 50) * GW_MSEC;
		e->read_chunk = (size_t)(max / sim_between(s, 4, 40)) + 1;
	}
	if (sim_chance(s, 10)) {
		e->stall_at = rng_below(&s->rng, max + 1);
		e->stall_until = s->now + sim_between(s, 1, 8000) * GW_MSEC;
	}
	if (e->write_chunk < 16 || e->read_chunk < 16) /* a byte at a time costs CPU, not insight */
		e->total = e->total % 4096;
	e->finish = sim_chance(s, 30) ? FINISH_LAST : FINISH_EARLY;
	e->release_early = sim_chance(s, 20);
	e->no_copy = sim_chance(s, 40);
}

struct flow *flow_random(struct sim *s, struct proc *from, struct proc *to, gw_time open_at,
			 uint64_t max)
{
	struct flow *f = flow_add(s, from, to, open_at, 0, 0);

	random_script(s, &f->ends[0], max);
	random_script(s, &f->ends[1], max);
	if (f->ends[0].finish == FINISH_LAST) /* both would wait for ever */
		f->ends[1].finish = FINISH_EARLY;
	for (int side = 0; side < 2; side++) { /* a small chunk at the other end slows this one */
		size_t least = (size_t)(f->ends[1 - side].total / 400) + 1;

		if (f->ends[side].read_chunk < least)
			f->ends[side].read_chunk = least;
		least = (size_t)(f->ends[side].total / 400) + 1;
		if (f->ends[side].write_chunk < least)
			f->ends[side].write_chunk = least;
	}
	return f;
}

/* --- judging --- */

static const char *status_name(enum end_status status)
{
	switch (status) {
	case END_WAITING:
		return "waiting";
	case END_LIVE:
		return "live";
	case END_DONE:
		return "done";
	case END_FAILED:
		return "failed";
	case END_RESET:
		return "reset";
	case END_GONE:
		return "gone";
	}
	return "?";
}

void end_describe(const struct end *e, char *out, size_t size)
{
	snprintf(out, size, "flow %u end %c (%s, %s%s): sent %llu of %llu%s%s, received %llu%s",
		 e->flow->number, e->side ? '1' : '0', e->proc->name, status_name(e->status),
		 e->status == END_FAILED ? error_name(e->error) : "", (unsigned long long)e->sent,
		 (unsigned long long)e->total, e->finished ? " and end" : "",
		 e->delivered ? ", delivered" : "", (unsigned long long)e->received,
		 e->saw_end ? " and end" : "");
}

static void fail_end(const struct end *e, const char *what)
{
	char text[200];

	end_describe(e, text, sizeof(text));
	sim_fail(e->flow->sim, "%s: %s", text, what);
}

static bool settled(const struct end *e)
{
	return e->status != END_WAITING && e->status != END_LIVE;
}

bool flow_over(const struct flow *f)
{
	return settled(&f->ends[0]) && (settled(&f->ends[1]) || f->ends[1].status == END_WAITING);
}

bool flow_live(const struct flow *f)
{
	return f->opened && (!settled(&f->ends[0]) || !settled(&f->ends[1]));
}

void flow_allow(struct flow *f, int error)
{
	f->ends[0].allowed |= ERROR_BIT(error);
	f->ends[1].allowed |= ERROR_BIT(error);
}

/* --- one end's life --- */

static struct end *peer_end(struct end *e)
{
	return &e->flow->ends[1 - e->side];
}

static void leave(struct end *e, enum end_status status)
{
	struct sim *s = e->flow->sim;
	struct stream *stream = e->stream;
	char text[200];

	e->status = status;
	e->over_at = s->now;
	e->stream = NULL;
	if (stream) {
		map_remove(&e->proc->handles, (uintptr_t)stream);
		stream_release(stream, s->now);
	}
	if (s->verbose) {
		end_describe(e, text, sizeof(text));
		sim_note(s, "%s", text);
	}
}

static int error_of_code(enum stream_code code)
{
	switch (code) {
	case STREAM_CODE_CANCELLED:
		return GW_E_RESET;
	case STREAM_CODE_DENIED:
		return GW_E_DENIED;
	case STREAM_CODE_NO_SERVICE:
		return GW_E_NO_SERVICE;
	case STREAM_CODE_TARGET:
		return GW_E_TARGET;
	case STREAM_CODE_LOST:
		return GW_E_LOST;
	case STREAM_CODE_LIMIT:
		return GW_E_LIMIT;
	case STREAM_CODE_PARKED_OUT:
		return GW_E_PARKED_OUT;
	case STREAM_CODE_KIND:
		return GW_E_KIND;
	}
	return GW_E_RESET;
}

static void give_up(struct end *e)
{
	peer_end(e)->allowed |= ERROR_BIT(error_of_code(e->reset_code));
	stream_reset(e->stream, e->reset_code, e->flow->sim->now);
	leave(e, END_RESET);
}

static void failed(struct end *e)
{
	e->error = stream_error(e->stream);
	if (e->error >= 0) {
		fail_end(e, "STREAM_FAILED without an error");
		return;
	}
	if (!(e->allowed & ERROR_BIT(e->error))) {
		char text[100];

		snprintf(text, sizeof(text), "failed for no reason: %s", error_name(e->error));
		fail_end(e, text);
		return;
	}
	/* What the other end still sends goes nowhere, so it may hear of a reset. */
	leave(e, END_FAILED);
}

static void take(struct end *e, const uint8_t *data, size_t len)
{
	struct end *other = peer_end(e);
	uint8_t expected[SCRATCH];

	if (e->received + len > other->sent) {
		fail_end(e, "received what was never sent");
		return;
	}
	for (size_t at = 0; at < len;) {
		size_t part = len - at < SCRATCH ? len - at : SCRATCH;

		pattern(e->flow, other->side, e->received, expected, part);
		if (memcmp(expected, data + at, part)) {
			fail_end(e, "wrong bytes received");
			return;
		}
		e->received += part;
		at += part;
	}
}

/* A slow or stalled reader waits; false when it may not read now. */
static bool may_read(struct end *e)
{
	gw_time now = e->flow->sim->now;

	if (e->received >= e->stall_at && now < e->stall_until) {
		e->next_read = e->stall_until;
		return false;
	}
	return now >= e->next_read;
}

static void read_some(struct end *e)
{
	struct sim *s = e->flow->sim;

	for (int i = 0; i < STEPS_MAX && may_read(e) && !s->failure[0]; i++) {
		size_t len;
		const uint8_t *data = stream_read(e->stream, &len);

		if (!len)
			break;
		if (len > e->read_chunk)
			len = e->read_chunk;
		if (e->stall_at > e->received && len > e->stall_at - e->received)
			len = (size_t)(e->stall_at - e->received);
		take(e, data, len);
		stream_consume(e->stream, len, s->now);
		if (e->read_every)
			e->next_read = s->now + e->read_every;
	}
	if (!e->saw_end && stream_read_finished(e->stream)) {
		struct end *other = peer_end(e);

		e->saw_end = true;
		if (!other->finished || e->received != other->sent)
			fail_end(e, "the end came at the wrong place");
	}
}

/* Returns how many bytes went; 0 when the stream takes none now. */
static size_t write_once(struct end *e, size_t len)
{
	struct sim *s = e->flow->sim;
	uint8_t data[65536];
	ssize_t n;

	if (e->no_copy) {
		size_t space = 0;
		uint8_t *out = stream_write_space(e->stream, &space);

		if (!out)
			return 0;
		if (space < len)
			len = space;
		pattern(e->flow, e->side, e->sent, out, len);
		stream_write_commit(e->stream, len, s->now);
		return len;
	}
	if (len > sizeof(data))
		len = sizeof(data);
	pattern(e->flow, e->side, e->sent, data, len);
	n = stream_write(e->stream, data, len, s->now);
	if (n < 0) {
		if (!stream_error(e->stream))
			fail_end(e, "stream_write() fails on a live stream");
		return 0;
	}
	return (size_t)n;
}

static void write_some(struct end *e)
{
	struct sim *s = e->flow->sim;

	for (int i = 0; i < STEPS_MAX && e->sent < e->total && s->now >= e->next_write; i++) {
		uint64_t left = e->total - e->sent;
		size_t n = write_once(e, left < e->write_chunk ? (size_t)left : e->write_chunk);

		if (!n || s->failure[0])
			return;
		e->sent += n;
		if (e->write_every)
			e->next_write = s->now + e->write_every;
		if (e->sent >= e->reset_after)
			return;
	}
}

static void wake_later(struct end *e)
{
	struct sim *s = e->flow->sim;
	gw_time at = GW_NEVER;

	if (e->next_read > s->now)
		at = e->next_read;
	if (e->sent < e->total && e->next_write > s->now)
		at = time_min(at, e->next_write);
	if (e->reset_at > s->now)
		at = time_min(at, e->reset_at);
	if (at == GW_NEVER || at == e->wake_at)
		return;
	e->wake_at = at;
	sim_schedule(s, at, ITEM_END, e);
}

void end_run(struct end *e)
{
	struct sim *s = e->flow->sim;

	if (e->status != END_LIVE || s->failure[0])
		return;
	if (stream_error(e->stream))
		return; /* the event is on its way */
	read_some(e);
	if (s->failure[0])
		return;
	write_some(e);
	if (s->failure[0])
		return;
	if (e->sent >= e->reset_after || s->now >= e->reset_at) {
		give_up(e);
		return;
	}
	if (!e->finished && e->sent == e->total && (e->finish == FINISH_EARLY || e->saw_end)) {
		e->finished = true;
		stream_finish(e->stream, s->now);
	}
	if (e->finished && stream_delivered(e->stream))
		e->delivered = true;
	if (e->finished && e->saw_end && (e->delivered || e->release_early))
		leave(e, END_DONE);
	else
		wake_later(e);
}

static void adopt(struct end *e, struct proc *p, struct stream *stream)
{
	e->stream = stream;
	e->proc = p;
	e->status = END_LIVE;
	stream_set_user(stream, e);
	if (map_put(&p->handles, (uintptr_t)stream, e))
		sim_fail(e->flow->sim, "out of memory");
}

void flow_open(struct flow *f)
{
	struct sim *s = f->sim;
	struct end *e = &f->ends[0];
	struct stream *stream;
	struct stream_info info;
	int error;

	f->opened = true;
	if (!e->proc->alive || e->proc->in_use) {
		e->status = END_GONE;
		return;
	}
	error = node_stream_open(e->proc->node, f->key, f->service, &stream, s->now);
	if (error) {
		sim_fail(s, "flow %u: node_stream_open: %s", f->number, error_name(error));
		return;
	}
	stream_describe(stream, &info);
	f->id = info.id;
	if (s->now < s->restart_grace) {
		flow_allow(f, GW_E_RESTARTED);
		flow_allow(f, GW_E_EXITED);
	}
	if (f->park_timeout != GW_NEVER)
		stream_set_park_timeout(stream, f->park_timeout);
	adopt(e, e->proc, stream);
	end_run(e);
	if (e->proc->alive)
		proc_pump(e->proc);
}

/* --- incoming --- */

static struct flow *flow_by_number(struct sim *s, const uint8_t *number)
{
	uint64_t n = 0;

	for (int i = 0; i < FLOW_NUMBER_SIZE; i++)
		n |= (uint64_t)number[i] << (8 * i);
	return n < s->n_flows ? &s->flows[n] : NULL;
}

static bool candidate(const struct flow *f, const struct proc *p, const struct stream_info *info)
{
	return f->opened && f->id == info->id && f->ends[1].status == END_WAITING &&
	       !memcmp(proc_key(f->ends[0].proc), info->peer, KEY_SIZE) &&
	       !memcmp(f->key, proc_key(p), KEY_SIZE) && !strcmp(f->service, info->service);
}

/* The flow this incoming stream is; NULL when more bytes are needed or on failure. */
static struct flow *identify(struct proc *p, struct stream *stream)
{
	struct sim *s = p->sim;
	struct flow *found = NULL;
	struct stream_info info;
	size_t count = 0, len;
	const uint8_t *data;

	stream_describe(stream, &info);
	for (size_t i = 0; i < s->n_flows; i++)
		if (candidate(&s->flows[i], p, &info)) {
			found = &s->flows[i];
			count++;
		}
	if (!info.incoming || count == 0) {
		sim_fail(s, "%s: stream %llu came in, nobody opened it", p->name,
			 (unsigned long long)info.id);
		return NULL;
	}
	if (count == 1)
		return found;
	data = stream_read(stream, &len);
	if (len < FLOW_NUMBER_SIZE)
		return NULL;
	found = flow_by_number(s, data);
	if (!found || !candidate(found, p, &info)) {
		sim_fail(s, "%s: stream %llu came in with another stream's bytes", p->name,
			 (unsigned long long)info.id);
		return NULL;
	}
	return found;
}

static void incoming(struct proc *p, const struct event *ev)
{
	static const struct end unidentified; /* holds the place of the flow's end */
	struct sim *s = p->sim;
	struct flow *f;

	if (ev->flags & STREAM_FAILED) { /* reset before we could look */
		map_remove(&p->handles, (uintptr_t)ev->stream);
		stream_release(ev->stream, s->now);
		return;
	}
	f = identify(p, ev->stream);
	if (f) {
		adopt(&f->ends[1], p, ev->stream);
		end_run(&f->ends[1]);
		return;
	}
	if (s->failure[0])
		return;
	if (stream_read_finished(ev->stream)) { /* an empty one: any will do */
		map_remove(&p->handles, (uintptr_t)ev->stream);
		stream_release(ev->stream, s->now);
		return;
	}
	if (map_put(&p->handles, (uintptr_t)ev->stream, (void *)(uintptr_t)&unidentified))
		sim_fail(s, "out of memory");
}

void end_event(struct proc *p, const struct event *ev)
{
	struct sim *s = p->sim;
	struct end *e = map_get(&p->handles, (uintptr_t)ev->stream);

	if (ev->flags & STREAM_INCOMING) {
		if (e)
			sim_fail(s, "%s: STREAM_INCOMING twice", p->name);
		else
			incoming(p, ev);
		return;
	}
	if (!e) {
		sim_fail(s, "%s: event 0x%x of a stream that was released", p->name, ev->flags);
		return;
	}
	if (stream_user(ev->stream) != e) { /* came in, not identified yet */
		incoming(p, ev);
		return;
	}
	if (ev->flags & STREAM_ANSWERED)
		e->answered = true;
	if (ev->flags & STREAM_FAILED)
		failed(e);
	else
		end_run(e);
}
