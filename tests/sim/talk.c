/* tests/sim/talk.c - datagrams between two applications.
 *
 * Both send all the time.  What arrives must be of this talk, have been sent by the other end, be
 * whole, and come once; loss is allowed, until the network has been left alone for a while: then some
 * must get through in both directions. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "sim.h"

enum { HEADER = 6, DATA_MAX = 10000 };

#define HEAL (45 * GW_SEC)  /* after the last disturbance */
#define JUDGE (10 * GW_SEC) /* then so long until some must have come */

static uint8_t filler(const struct talk *t, unsigned side, uint32_t number, size_t i)
{
	return (uint8_t)(t->index * 31 + side * 17 + number * 7 + i);
}

static void fill(const struct talk *t, unsigned side, uint32_t number, uint8_t *out, size_t len)
{
	out[0] = (uint8_t)t->index;
	out[1] = (uint8_t)side;
	memcpy(out + 2, &number, sizeof(number));
	for (size_t i = HEADER; i < len; i++)
		out[i] = filler(t, side, number, i);
}

struct talk *talk_add(struct sim *s, struct proc *from, struct proc *to, gw_time open_at)
{
	struct talk *t = &s->talks[s->n_talks];

	if (s->n_talks == TALKS_MAX) {
		sim_fail(s, "the scenario makes too many talks");
		return &s->talks[0];
	}
	*t = (struct talk){ .sim = s, .index = s->n_talks++ };
	t->every = sim_between(s, 30, 500) * GW_MSEC;
	t->burst = sim_chance(s, 20) ? (unsigned)sim_between(s, 2, 12) : 1;
	t->ends[0].proc = from;
	t->ends[1].proc = to;
	if (s->slack < HEAL + JUDGE + 30 * GW_SEC)
		s->slack = HEAL + JUDGE + 30 * GW_SEC;
	sim_schedule(s, open_at, ITEM_TALK, t);
	return t;
}

bool talks_over(const struct sim *s)
{
	for (unsigned i = 0; i < s->n_talks; i++)
		if (s->talks[i].state != TALK_OVER || !s->talks[i].ends[1].over)
			return false;
	return true;
}

/* --- receiving --- */

static void judge_one(struct talk *t, unsigned side, const uint8_t *data, size_t len)
{
	struct talk_end *e = &t->ends[side];
	uint32_t number;

	memcpy(&number, data + 2, sizeof(number));
	if (len < HEADER || data[0] != t->index || data[1] != !side) {
		sim_fail(t->sim, "talk %u: a datagram of another one", t->index);
		return;
	}
	if (number >= t->ends[!side].sent) {
		sim_fail(t->sim, "talk %u: datagram %u was never sent", t->index, number);
		return;
	}
	for (size_t i = HEADER; i < len; i++)
		if (data[i] != filler(t, !side, number, i)) {
			sim_fail(t->sim, "talk %u: wrong bytes", t->index);
			return;
		}
	if (e->seen[number / 8] & (1U << number % 8)) {
		sim_fail(t->sim, "talk %u: datagram %u came twice", t->index, number);
		return;
	}
	e->seen[number / 8] |= (uint8_t)(1U << number % 8);
	e->received++;
	if (number >= e->newest)
		e->newest = number + 1;
}

static void receive(struct talk *t, unsigned side)
{
	uint8_t data[DATA_MAX];
	ssize_t len;

	while (!t->sim->failure[0] &&
	       (len = stream_datagram_receive(t->ends[side].stream, data, sizeof(data))) >= 0)
		judge_one(t, side, data, (size_t)len);
}

/* --- sending --- */

static void send_one(struct talk *t, unsigned side)
{
	struct talk_end *e = &t->ends[side];
	struct sim *s = t->sim;
	size_t max = stream_datagram_max(e->stream), len;
	uint8_t data[DATA_MAX];
	int rv;

	if (e->sent == TALK_DATAGRAMS_MAX)
		return;
	len = HEADER + sim_size(s, max + 20);
	if (len > sizeof(data))
		len = sizeof(data);
	fill(t, side, e->sent, data, len);
	e->sent++;
	rv = stream_datagram_send(e->stream, data, len, s->now);
	if (rv != (len > max ? GW_E_LENGTH : 0))
		sim_fail(s, "talk %u: stream_datagram_send() of %zu bytes, limit %zu: %s", t->index,
			 len, max, error_name(rv));
}

static void send_some(struct talk *t, unsigned side)
{
	const struct talk_end *e = &t->ends[side];
	const struct sim *s = t->sim;

	if (!e->stream || !e->proc->alive || s->hosts[e->proc->host].asleep_until > s->now)
		return;
	for (unsigned i = 0; i < t->burst && !s->failure[0]; i++)
		send_one(t, side);
	proc_pump(e->proc);
}

static void open_it(struct talk *t)
{
	struct sim *s = t->sim;
	struct talk_end *e = &t->ends[0];
	struct stream_info info;
	int error = node_datagram_open(e->proc->node, proc_key(t->ends[1].proc), "talk", &e->stream,
				       s->now);

	if (error) {
		sim_fail(s, "talk %u: node_datagram_open: %s", t->index, error_name(error));
		return;
	}
	stream_describe(e->stream, &info);
	t->id = info.id;
	stream_set_user(e->stream, t);
	t->state = TALK_ON;
}

/* Nothing has disturbed it for long: it must work. */
static void judge(struct talk *t)
{
	struct sim *s = t->sim;

	for (unsigned side = 0; side < 2; side++)
		if (t->ends[side].newest <= t->mark[!side]) {
			sim_fail(s,
				 "talk %u: nothing comes to %s any more (%u of %u, newest %u, "
				 "since %u)",
				 t->index, t->ends[side].proc->name, t->ends[side].received,
				 t->ends[!side].sent, t->ends[side].newest, t->mark[!side]);
			return;
		}
	sim_note(s, "talk %u: %u of %u and %u of %u came", t->index, t->ends[1].received,
		 t->ends[0].sent, t->ends[0].received, t->ends[1].sent);
	stream_release(t->ends[0].stream, s->now);
	t->ends[0].stream = NULL;
	t->ends[0].over = true;
	t->state = TALK_OVER;
	proc_pump(t->ends[0].proc);
}

void talk_run(struct talk *t)
{
	struct sim *s = t->sim;
	bool calm = !s->pending_actions && s->now >= s->last_action + HEAL;

	switch (t->state) {
	case TALK_WAITING:
		open_it(t);
		break;
	case TALK_ON:
		if (!calm)
			break;
		t->mark[0] = t->ends[0].sent;
		t->mark[1] = t->ends[1].sent;
		t->judge_at = s->now + JUDGE;
		t->state = TALK_JUDGED;
		break;
	case TALK_JUDGED:
		if (!calm)
			t->state = TALK_ON;
		else if (s->now >= t->judge_at)
			judge(t);
		break;
	case TALK_OVER:
		return;
	}
	for (unsigned side = 0; side < 2 && !s->failure[0] && t->state != TALK_OVER; side++)
		send_some(t, side);
	sim_schedule(s, s->now + t->every, ITEM_TALK, t);
}

/* --- events --- */

static void incoming(struct proc *p, const struct event *ev)
{
	struct sim *s = p->sim;
	struct stream_info info;

	stream_describe(ev->stream, &info);
	for (unsigned i = 0; i < s->n_talks; i++) {
		struct talk *t = &s->talks[i];

		if (t->state == TALK_WAITING || t->id != info.id || t->ends[1].proc != p ||
		    t->ends[1].stream || t->ends[1].over ||
		    memcmp(proc_key(t->ends[0].proc), info.peer, KEY_SIZE) != 0)
			continue;
		t->ends[1].stream = ev->stream;
		stream_set_user(ev->stream, t);
		return;
	}
	sim_fail(s, "%s: a stream of datagrams came in, nobody opened it", p->name);
}

void talk_event(struct proc *p, const struct event *ev)
{
	struct sim *s = p->sim;
	struct talk *t;
	unsigned side;

	if (ev->flags & STREAM_INCOMING)
		incoming(p, ev);
	t = stream_user(ev->stream);
	if (s->failure[0] || !t)
		return;
	side = t->ends[1].stream == ev->stream;
	receive(t, side);
	if (!(ev->flags & STREAM_FAILED) || s->failure[0])
		return;
	if (t->state != TALK_OVER || stream_error(ev->stream) != GW_E_RESET)
		sim_fail(s, "talk %u failed for no reason: %s", t->index,
			 error_name(stream_error(ev->stream)));
	stream_release(ev->stream, s->now);
	t->ends[side].stream = NULL;
	t->ends[side].over = true;
}
