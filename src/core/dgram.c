/* SPDX-License-Identifier: Apache-2.0 */
#include "core/dgram.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/connection.h"
#include "core/peer.h"
#include "core/stream.h"

enum {
	/* Short header, our connection ids, longest packet number, tag. */
	PACKET_OVERHEAD = 1 + CID_SIZE + 4 + 16,
	LENGTH_LONG = 16384, /* frames from here on need four bytes for their length */
	SCAN_MAX = 64,       /* datagrams looked at that wait for their OPENs */
};

/* --- queues --- */

void dgram_queue_init(struct dgram_queue *q)
{
	list_init(&q->list);
	q->count = q->bytes = 0;
}

static void take_out(struct dgram_queue *q, struct dgram *d)
{
	list_remove(&d->link);
	q->count--;
	q->bytes -= d->len;
}

static void discard(struct dgram_queue *q, struct dgram *d)
{
	take_out(q, d);
	free(d);
}

static struct dgram *first(const struct dgram_queue *q)
{
	struct list_item *i = list_first(&q->list);

	return i ? container_of(i, struct dgram, link) : NULL;
}

void dgram_queue_clear(struct dgram_queue *q)
{
	while (first(q))
		discard(q, first(q));
}

/* `header` bytes before the payload are left free.  NULL: out of memory. */
static struct dgram *append(struct dgram_queue *q, uint64_t id, size_t header, const void *data,
			    size_t len, gw_time now)
{
	struct dgram *d = malloc(sizeof(*d) + header + len);

	if (!d)
		return NULL;
	*d = (struct dgram){ .id = id, .at = now, .header = header, .len = header + len };
	if (len > 0)
		memcpy(d->data + header, data, len);
	list_append(&q->list, &d->link);
	q->count++;
	q->bytes += d->len;
	return d;
}

/* --- streams of them --- */

bool dgram_stream_init(struct stream *s)
{
	s->dgrams = calloc(1, sizeof(*s->dgrams));
	if (!s->dgrams)
		return false;
	dgram_queue_init(&s->dgrams->rx);
	return true;
}

void dgram_stream_clear(struct stream *s)
{
	if (!s->dgrams)
		return;
	s->node->dgram_bytes -= s->dgrams->rx.bytes;
	dgram_queue_clear(&s->dgrams->rx);
}

/* `s` NULL: nobody's. */
static void note_dropped(struct node *n, struct stream *s)
{
	n->stats.dgrams_dropped++;
	if (s && s->dgrams)
		s->dgrams->dropped++;
}

/* --- sending --- */

/* Bytes of id and payload that a packet has room for. */
static size_t packet_room(size_t payload, size_t frame_max)
{
	size_t room = payload - PACKET_OVERHEAD;

	if (room > frame_max)
		room = frame_max;
	room -= room < 5 ? room : room > LENGTH_LONG ? 5 : 3;
	return room;
}

size_t stream_datagram_max(const struct stream *s)
{
	const struct connection *c = s->peer->used;
	size_t room = c ? packet_room(c->mtu.payload, c->dgram_frame_max)
			: packet_room(PAYLOAD_MIN, DGRAM_FRAME_MAX);
	size_t header = wire_varint_size(s->id);

	return room > header ? room - header : 0;
}

/* The oldest go first: what comes late is worth least. */
static void make_room(struct peer *p, size_t len)
{
	struct dgram_queue *q = &p->dgrams;

	while (q->count > 0 && (q->count >= DGRAMS_MAX || q->bytes + len > DGRAM_BYTES_MAX)) {
		note_dropped(p->node, map_get(&p->by_id, first(q)->id));
		discard(q, first(q));
	}
}

int stream_datagram_send(struct stream *s, const void *data, size_t len, gw_time now)
{
	struct peer *p = s->peer;
	size_t header = wire_varint_size(s->id);
	struct dgram *d;

	if (!s->dgrams)
		return GW_E_INVALID;
	if (s->error)
		return s->error;
	if (s->tx_finished || s->state != STREAM_LIVE)
		return GW_E_CLOSED;
	if (len > stream_datagram_max(s)) {
		note_dropped(s->node, s);
		return GW_E_LENGTH;
	}
	make_room(p, header + len);
	d = append(&p->dgrams, s->id, header, data, len, now);
	if (!d) {
		note_dropped(s->node, s);
		return GW_E_NOMEM;
	}
	wire_dgram_encode(d->data, s->id);
	if (p->used)
		connection_touch(p->used);
	return 0;
}

void dgram_expire(struct peer *p, gw_time now)
{
	struct dgram *d;

	while ((d = first(&p->dgrams)) && now - d->at > DGRAM_AGE) {
		note_dropped(p->node, map_get(&p->by_id, d->id));
		discard(&p->dgrams, d);
	}
}

/* Does the peer know the stream, or has its OPEN gone out before? */
static bool opened(const struct stream *s)
{
	return s->answered || (s->segment >= 0 && s->segment_header_sent == s->segment_header_len);
}

static struct dgram *next_of(struct connection *c, gw_time now)
{
	struct peer *p = c->peer;
	size_t room = packet_room(c->mtu.payload, c->dgram_frame_max), looked = 0;

	dgram_expire(p, now);
	list_each(&p->dgrams.list, i, tmp) {
		struct dgram *d = container_of(i, struct dgram, link);
		struct stream *s = map_get(&p->by_id, d->id);

		if (!s || s->state != STREAM_LIVE || d->len > room) {
			note_dropped(p->node, s);
			discard(&p->dgrams, d);
		} else if (opened(s)) {
			return d;
		} else if (++looked == SCAN_MAX) {
			break;
		}
	}
	return NULL;
}

struct dgram *dgram_next(struct connection *c, bool streams, gw_time now)
{
	struct peer *p = c->peer;
	struct dgram *d = p->dgrams.count > 0 ? next_of(c, now) : NULL;

	if (!d || !streams) {
		p->dgram_lead = 0;
		return d;
	}
	return p->dgram_lead <= 0 ? d : NULL;
}

void dgram_sent(struct connection *c, struct dgram *d)
{
	struct peer *p = c->peer;
	const struct stream *s = map_get(&p->by_id, d->id);

	p->dgram_lead += (int64_t)d->len;
	p->tx_bytes += d->len - d->header;
	s->dgrams->sent++;
	s->dgrams->tx_bytes += d->len - d->header;
	p->node->stats.dgrams_out++;
	discard(&p->dgrams, d);
}

void dgram_streams_sent(struct peer *p, size_t len)
{
	p->dgram_lead -= (int64_t)len;
}

void dgram_acknowledged(struct connection *c, bool large, gw_time now)
{
	c->progress_at = now;
	if (large)
		c->mtu.lost = 0;
}

void dgram_lost(struct connection *c, bool large, gw_time now)
{
	if (large && c->mtu.lost++ == 0)
		c->mtu.lost_since = now;
}

/* --- receiving --- */

static bool is_ours(const struct peer *p, uint64_t id)
{
	return (id & 1) == (p->we_are_lower ? 0 : 1);
}

static void deliver(struct stream *s, const uint8_t *data, size_t len, gw_time now)
{
	struct dgram_queue *rx = &s->dgrams->rx;
	struct node *n = s->node;

	while (rx->count > 0 && (rx->count >= DGRAMS_MAX || rx->bytes + len > DGRAM_BYTES_MAX)) {
		n->dgram_bytes -= first(rx)->len;
		discard(rx, first(rx));
		note_dropped(n, s);
	}
	if (n->dgram_bytes + len > DGRAM_NODE_BYTES || !append(rx, s->id, 0, data, len, now)) {
		note_dropped(n, s);
		return;
	}
	n->dgram_bytes += len;
	n->stats.dgrams_in++;
	s->peer->rx_bytes += len;
	s->dgrams->received++;
	s->dgrams->rx_bytes += len;
	stream_raise(s, STREAM_READABLE);
}

/* It may have overtaken its OPEN. */
static void keep(struct connection *c, uint64_t id, const uint8_t *data, size_t len, gw_time now)
{
	struct dgram_queue *q = &c->early;

	while (q->count > 0 &&
	       (q->count >= EARLY_DGRAMS_MAX || q->bytes + len > EARLY_DGRAM_BYTES)) {
		discard(q, first(q));
		note_dropped(c->node, NULL);
	}
	if (len > EARLY_DGRAM_BYTES || !append(q, id, 0, data, len, now))
		note_dropped(c->node, NULL);
}

static void take(struct connection *c, uint64_t id, const uint8_t *data, size_t len, gw_time now)
{
	struct peer *p = c->peer;
	struct stream *s = map_get(&p->by_id, id);

	if (s && s->dgrams && s->state == STREAM_LIVE && !s->released)
		deliver(s, data, len, now);
	else if (!s && !is_ours(p, id) && !seen_has(&p->seen, id / 2))
		keep(c, id, data, len, now);
	else
		note_dropped(c->node, s);
}

int dgram_received(struct connection *c, const uint8_t *data, size_t len, gw_time now)
{
	uint64_t id;
	ssize_t header = wire_dgram_decode(&id, data, len);

	if (header < 0)
		return GW_E_PROTOCOL;
	if (!c->peer || !c->hello_received) {
		note_dropped(c->node, NULL);
		return 0;
	}
	if (is_ours(c->peer, id) && id >= c->peer->next_id)
		return GW_E_PROTOCOL;
	if (c->state == CONN_UP)
		peer_use(c, now); /* the dialler's; as a segment's, it means USE */
	if (c->state == CONN_CLOSED)
		return 0;
	c->stream_heard_at = now;
	take(c, id, data + header, len - (size_t)header, now);
	return 0;
}

void dgram_opened(struct connection *c, uint64_t id, gw_time now)
{
	list_each(&c->early.list, i, tmp) {
		struct dgram *d = container_of(i, struct dgram, link);
		struct stream *s;

		if (d->id != id)
			continue;
		s = map_get(&c->peer->by_id, id);
		if (s && s->dgrams)
			deliver(s, d->data, d->len, now);
		else
			note_dropped(c->node, s);
		discard(&c->early, d);
	}
}

ssize_t stream_datagram_receive(struct stream *s, void *out, size_t size)
{
	struct dgram *d = s->dgrams ? first(&s->dgrams->rx) : NULL;
	size_t len;

	if (!s->dgrams)
		return GW_E_INVALID;
	if (!d)
		return GW_E_AGAIN;
	if (d->len > size)
		return GW_E_LENGTH;
	len = d->len;
	if (len > 0)
		memcpy(out, d->data, len);
	s->node->dgram_bytes -= len;
	discard(&s->dgrams->rx, d);
	return (ssize_t)len;
}
