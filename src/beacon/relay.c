/* SPDX-License-Identifier: Apache-2.0 */
/* Channels: docs/protocol.md, section 12. */
#include <stdlib.h>
#include <string.h>

#include "beacon/internal.h"

#define IDLE (10 * 60 * GW_SEC)
#define UNANSWERED (30 * GW_SEC)

static void refuse(struct session *s, uint64_t id, enum channel_reason reason)
{
	struct beacon_frame f = { .type = BEACON_CLOSE };

	f.close.channel = id;
	f.close.reason = reason;
	session_send(s, &f);
}

/* --- ends --- */

static void attach(struct channel *c, int side, struct session *s)
{
	struct channel_end *e = &c->end[side];

	e->session = s;
	e->channel = c;
	e->path = s->link->path;
	list_append(&s->ends, &e->by_session);
	s->n_channels++;
	s->n_opened += side == 0;
}

static void detach(struct channel_end *e)
{
	list_remove(&e->by_session);
	e->session->n_channels--;
	e->session->n_opened -= e == &e->channel->end[0];
	e->session = NULL;
}

static void end_channel(struct beacon *b, struct channel *c)
{
	detach(&c->end[0]);
	detach(&c->end[1]);
	map_remove(&b->channels, c->id);
	heap_remove(&b->idle, &c->idle);
	free(c);
}

static int side_of(const struct channel *c, const struct session *s)
{
	return c->end[0].session == s ? 0 : c->end[1].session == s ? 1 : -1;
}

void relay_moved(struct session *s)
{
	list_each(&s->ends, i, next)
		container_of(i, struct channel_end, by_session)->path = s->link->path;
}

static void move_end(struct channel_end *e, struct session *to)
{
	int side = e == &e->channel->end[1];

	detach(e);
	attach(e->channel, side, to);
}

void relay_adopt(struct session *to, struct session *from)
{
	list_each(&from->ends, i, next)
		move_end(container_of(i, struct channel_end, by_session), to);
}

void relay_forget(struct session *s)
{
	struct list_item *first;

	/* NOLINTBEGIN(clang-analyzer-unix.Malloc): as in base/list.h */
	while ((first = list_first(&s->ends))) {
		struct channel_end *e = container_of(first, struct channel_end, by_session);
		struct channel *c = e->channel;
		struct session *other = c->end[e == &c->end[0]].session;

		if (other != s)
			refuse(other, c->id, CHANNEL_ENDED);
		end_channel(s->beacon, c);
	}
	/* NOLINTEND(clang-analyzer-unix.Malloc) */
}

/* --- opening and closing --- */

static bool same_key(const struct session *a, const struct session *b)
{
	return memcmp(a->link->key, b->link->key, KEY_SIZE) == 0;
}

/* Said again, maybe on a new connection of the same key: the channel goes on there. */
static void open_again(struct session *s, struct channel *c, const uint8_t *key)
{
	if (!same_key(c->end[0].session, s) ||
	    memcmp(c->end[1].session->link->key, key, KEY_SIZE) != 0)
		refuse(s, c->id, CHANNEL_TAKEN);
	else if (c->end[0].session != s)
		move_end(&c->end[0], s);
}

static struct channel *channel_new(struct beacon *b, uint64_t id, struct session *from,
				   struct session *to, gw_time now)
{
	struct channel *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->id = id;
	c->active_at = now;
	if (heap_set(&b->idle, &c->idle, now + UNANSWERED) < 0 ||
	    map_put(&b->channels, id, c) < 0) {
		heap_remove(&b->idle, &c->idle);
		free(c);
		return NULL;
	}
	attach(c, 0, from);
	attach(c, 1, to);
	return c;
}

static bool has_room(const struct beacon *b, const struct session *from, const struct session *to)
{
	return b->channels.count < b->limits.channels &&
	       from->n_opened < b->limits.session_opened &&
	       to->n_channels < b->limits.session_channels;
}

void relay_open(struct session *s, const struct beacon_frame *f, gw_time now)
{
	struct beacon *b = s->beacon;
	uint64_t id = f->open.channel;
	struct channel *c = map_get(&b->channels, id);
	struct session *to = session_registered(b, f->open.key);

	bool paid;

	if (c) {
		open_again(s, c, f->open.key);
		return;
	}
	paid = budget_take(b, s->key, s->source, METER_CHANNELS, 1, now);
	if (paid && !to) {
		refuse(s, id, CHANNEL_NOT_HERE);
	} else if (paid && to == s) {
		refuse(s, id, CHANNEL_DENIED);
	} else if (paid && has_room(b, s, to) && channel_new(b, id, s, to, now)) {
		b->stats.opens++;
	} else {
		b->stats.refused++;
		refuse(s, id, CHANNEL_LIMIT);
	}
}

void relay_close(struct session *s, const struct beacon_frame *f)
{
	struct channel *c = map_get(&s->beacon->channels, f->close.channel);
	int side = c ? side_of(c, s) : -1;

	if (side < 0)
		return;
	refuse(c->end[!side].session, c->id, CHANNEL_ENDED);
	end_channel(s->beacon, c);
}

static void tell_endpoint(const struct channel *c, int side)
{
	struct beacon_frame f = { .type = BEACON_REVEALED };

	f.revealed.channel = c->id;
	f.revealed.endpoint = session_endpoint(c->end[!side].session);
	session_send(c->end[side].session, &f);
}

void relay_reveal(struct session *s, const struct beacon_frame *f)
{
	struct channel *c = map_get(&s->beacon->channels, f->reveal.channel);
	int side = c ? side_of(c, s) : -1;

	if (side < 0)
		return;
	c->reveals[side] = true;
	if (!c->reveals[!side])
		return;
	tell_endpoint(c, 0);
	tell_endpoint(c, 1);
}

/* --- packets --- */

static uint64_t id_at(const uint8_t *packet)
{
	uint64_t id = 0;

	for (int i = 1; i < WIRE_CHANNEL_HEADER; i++)
		id = id << 8 | packet[i];
	return id;
}

/* Every one of them is a packet of the channel of the first. */
static bool same_header(const uint8_t *data, size_t len, size_t segment)
{
	for (size_t at = segment; at < len; at += segment)
		if (len - at <= WIRE_CHANNEL_HEADER ||
		    memcmp(data + at, data, WIRE_CHANNEL_HEADER) != 0)
			return false;
	return true;
}

static bool comes_from(const struct channel_end *e, const struct path *p)
{
	return e->path.via == p->via && addr_equal(&e->path.remote, &p->remote);
}

/* The end that it comes from; -1: neither. */
static int sender_of(const struct channel *c, const struct path *p)
{
	return comes_from(&c->end[0], p) ? 0 : comes_from(&c->end[1], p) ? 1 : -1;
}

bool beacon_forward(struct beacon *b, const struct path *path, const uint8_t *data, size_t len,
		    size_t segment, struct path *to, gw_time now)
{
	size_t count = (len + segment - 1) / segment;
	struct channel *c;
	int side;

	if (data[0] != WIRE_CHANNEL || segment <= WIRE_CHANNEL_HEADER ||
	    len <= WIRE_CHANNEL_HEADER || !same_header(data, len, segment))
		return false;
	c = map_get(&b->channels, id_at(data));
	side = c ? sender_of(c, path) : -1;
	if (side < 0 || !budget_take_packets(b, c->end[side].session->key,
					     c->end[side].session->source, len, count, now))
		return false;
	c->active_at = now;
	c->answered |= side == 1;
	*to = c->end[!side].path;
	b->stats.relayed_bytes += len;
	b->stats.relayed_packets += count;
	b->stats.relayed_batches++;
	return true;
}

void relay_receive(struct beacon *b, const struct path *path, const uint8_t *data, size_t len,
		   gw_time now)
{
	const struct channel *c;
	struct path to;

	if (len <= WIRE_CHANNEL_HEADER) {
		b->stats.drops[DROP_MALFORMED]++;
		return;
	}
	if (beacon_forward(b, path, data, len, len, &to, now)) {
		beacon_queue(b, &to, data, len);
		return;
	}
	c = map_get(&b->channels, id_at(data));
	if (!c)
		b->stats.drops[DROP_NO_CHANNEL]++;
	else if (sender_of(c, path) < 0)
		b->stats.drops[DROP_SOURCE]++;
	else
		b->stats.drops[DROP_BUDGET]++;
}

/* --- time --- */

void relay_expire(struct beacon *b, gw_time now)
{
	struct timer *t;

	while ((t = heap_top(&b->idle)) && t->at <= now) {
		struct channel *c = container_of(t, struct channel, idle);

		gw_time at = c->active_at + (c->answered ? IDLE : UNANSWERED);

		if (at > now) {
			(void)heap_set(&b->idle, t, at); /* is inside: needs no memory */
			continue;
		}
		refuse(c->end[0].session, c->id, CHANNEL_IDLE);
		refuse(c->end[1].session, c->id, CHANNEL_IDLE);
		end_channel(b, c);
	}
}
