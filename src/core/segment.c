/* SPDX-License-Identifier: Apache-2.0 */
#include "core/audit.h"
#include "core/segment.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/connection.h"
#include "core/dgram.h"
#include "core/peer.h"
#include "core/policy.h"
#include "quic/quic.h"
#include "core/stream.h"

/* --- sending --- */

static uint64_t sendable_end(const struct stream *s)
{
	return s->tx.end < s->tx_limit ? s->tx.end : s->tx_limit;
}

bool segment_has_output(const struct stream *s)
{
	if (s->state != STREAM_LIVE || s->tx_delivered || !s->peer->used)
		return false;
	if (s->segment >= 0 && s->segment_header_sent < s->segment_header_len)
		return true;
	if (s->segment < 0 && !s->answered && !s->tx_fin_sent)
		return true; /* the OPEN */
	if (s->tx_next < sendable_end(s))
		return true;
	return s->tx_finished && !s->tx_fin_sent && s->tx_next == s->tx.end;
}

/* A stream that says little goes before those that always have something to say, as long as it
 * takes no more than its turn in each round. */
static void get_ready(struct stream *s)
{
	struct peer *p = s->peer;

	if (list_in(&s->ready_link))
		return;
	if (p->sent - s->turn_from >= (p->n_live + 1) * SEND_QUANTUM) {
		s->turn_from = p->sent;
		s->quantum = 0;
	}
	list_append(s->quantum < SEND_QUANTUM ? &p->sparse : &p->ready, &s->ready_link);
}

static struct list_item *first_ready(const struct peer *p)
{
	struct list_item *i = list_first(&p->sparse);

	return i ? i : list_first(&p->ready);
}

static struct list_item *next_ready(const struct peer *p, const struct list_item *i)
{
	return i->next == &p->sparse.head ? list_first(&p->ready) : list_next(&p->ready, i);
}

void segment_wake(struct stream *s)
{
	if (!segment_has_output(s))
		return;
	get_ready(s);
	connection_touch(s->peer->used);
}

static int make_header(struct stream *s)
{
	struct segment_header h = { .kind = s->answered ? SEGMENT_RESUME
					    : s->dgrams ? SEGMENT_OPEN_DATAGRAM
							: SEGMENT_OPEN,
				    .id = s->id,
				    .offset = s->tx_next };
	uint8_t bytes[WIRE_SEGMENT_MAX];

	memcpy(h.service, s->service, sizeof(h.service));
	s->segment_header_len = wire_segment_encode(bytes, &h);
	s->segment_header = malloc(s->segment_header_len);
	if (!s->segment_header)
		return GW_E_NOMEM;
	memcpy(s->segment_header, bytes, s->segment_header_len);
	s->segment_header_sent = 0;
	s->segment_start = s->tx_next;
	return 0;
}

static bool open_segment(struct stream *s)
{
	assert(s->segment < 0 && !s->segment_header);
	if (make_header(s) < 0)
		return false;
	if (ngtcp2_conn_open_bidi_stream(s->peer->used->quic, &s->segment, s) != 0) {
		/* Out of credit: the peer extends it as segments end. */
		s->segment = -1;
		free(s->segment_header);
		s->segment_header = NULL;
		return false;
	}
	s->sent = true;
	return true;
}

void segment_prepare(struct peer *p)
{
	size_t looked = 0;

	for (struct list_item *i = first_ready(p); i; i = next_ready(p, i)) {
		struct stream *s = container_of(i, struct stream, ready_link);

		if (looked++ == OPEN_AHEAD || (s->segment < 0 && !open_segment(s)))
			return;
	}
}

struct stream *segment_next(struct peer *p)
{
	size_t looked = 0;

	for (struct list_item *i = first_ready(p); i; i = next_ready(p, i)) {
		struct stream *s = container_of(i, struct stream, ready_link);

		if (s->segment >= 0)
			return s;
		if (++looked == OPEN_AHEAD)
			break;
	}
	return NULL;
}

static void add_vec(struct segment_output *o, const uint8_t *data, size_t len)
{
	/* ngtcp2 does not write to this memory. */
	o->vec[o->n].base = (uint8_t *)(uintptr_t)data;
	o->vec[o->n++].len = len;
	o->total += len;
}

void segment_output(struct stream *s, size_t want, struct segment_output *o)
{
	uint64_t at = s->tx_next, end = sendable_end(s);

	o->n = o->total = 0;
	if (s->segment_header_sent < s->segment_header_len)
		add_vec(o, s->segment_header + s->segment_header_sent,
			s->segment_header_len - s->segment_header_sent);
	while (at < end && o->total < want && o->n < sizeof(o->vec) / sizeof(o->vec[0])) {
		size_t len;
		const uint8_t *data = chain_at(&s->tx, at, &len);

		if (len > end - at)
			len = (size_t)(end - at);
		add_vec(o, data, len);
		at += len;
	}
	o->fin = s->tx_finished && at == s->tx.end;
}

void segment_sent(struct stream *s, const struct segment_output *o, size_t taken)
{
	size_t header = s->segment_header_len - s->segment_header_sent;

	if (header > taken)
		header = taken;
	s->segment_header_sent += header;
	s->tx_next += taken - header;
	stream_count_unsent(s);
	if (o->fin && taken == o->total)
		s->tx_fin_sent = true;
	s->quantum += taken;
	s->peer->sent += taken;
	if (!segment_has_output(s)) {
		list_remove(&s->ready_link);
	} else if (s->quantum >= SEND_QUANTUM) {
		list_remove(&s->ready_link);
		list_append(&s->peer->ready, &s->ready_link);
		s->turn_from = s->peer->sent;
		s->quantum = 0;
	}
	stream_maybe_writable(s);
}

void segment_acknowledged(struct stream *s, uint64_t end, gw_time now)
{
	uint64_t offset;

	if (end < s->segment_header_len)
		return;
	free(s->segment_header);
	s->segment_header = NULL;
	offset = s->segment_start + (end - s->segment_header_len);
	stream_acknowledged(s, offset, now);
	stream_bury(s);
}

bool segment_acknowledged_all(const struct stream *s)
{
	return !s->segment_header && s->tx_next == s->tx.start;
}

void segment_forget(struct stream *s)
{
	s->segment = -1;
	free(s->segment_header);
	s->segment_header = NULL;
	s->segment_header_len = s->segment_header_sent = 0;
}

void segment_ended(struct stream *s)
{
	segment_forget(s);
	stream_bury(s);
}

void segment_detach(struct stream *s)
{
	list_remove(&s->ready_link);
	s->tx_next = s->tx.start;
	stream_count_unsent(s);
	s->tx_fin_sent = false;
	s->quantum = 0;
	segment_ended(s);
}

/* --- receiving --- */

void segment_free(struct rx_segment *segment)
{
	list_remove(&segment->link);
	free(segment);
}

static void answer(struct peer *p, uint64_t type, uint64_t id, uint64_t code)
{
	struct frame f = { .type = type };

	if (type == FRAME_RESET) {
		f.reset.id = id;
		f.reset.code = code;
	} else {
		f.done.id = id;
	}
	peer_send(p, &f);
}

/* A stream that the peer opens: 0, or the enum stream_code to refuse it with. */
static uint64_t admit(struct peer *p, const struct segment_header *h)
{
	struct node *n = p->node;
	const struct service *service = policy_find(&n->policy, h->service);
	struct principal who = peer_itself(p);

	if (!service)
		return STREAM_CODE_NO_SERVICE;
	if (!policy_allows(&n->policy, h->service, &who))
		return STREAM_CODE_DENIED;
	if (service->datagrams != (h->kind == SEGMENT_OPEN_DATAGRAM))
		return STREAM_CODE_KIND;
	if (n->closing || p->n_live >= PEER_STREAMS_MAX ||
	    n->committed + INITIAL_WINDOW > n->config.memory_limit)
		return STREAM_CODE_LIMIT;
	return 0;
}

static const char *refusal_text(uint64_t code)
{
	switch (code) {
	case 0:
		return NULL;
	case STREAM_CODE_NO_SERVICE:
		return "there is no such service";
	case STREAM_CODE_DENIED:
		return "no rule allows it";
	case STREAM_CODE_KIND:
		return "the service is of the other kind";
	case STREAM_CODE_LOST:
		return "it was refused before";
	default:
		return "there are too many streams";
	}
}

static enum stream_kind kind_of(const struct segment_header *h)
{
	return h->kind == SEGMENT_OPEN_DATAGRAM ? STREAM_OF_DATAGRAMS : STREAM_OF_BYTES;
}

static int take_new(struct peer *p, struct rx_segment *segment, const struct segment_header *h,
		    gw_time now)
{
	const struct service *service;
	struct stream *s;
	uint64_t code;

	if (h->kind == SEGMENT_RESUME) {
		segment->ignored = true;
		answer(p, FRAME_RESET, h->id, STREAM_CODE_LOST);
		return 0;
	}
	code = admit(p, h);
	/* Refused before, and our answer was lost: its first bytes were acknowledged and dropped. */
	if (code == 0 && h->offset != 0)
		code = STREAM_CODE_LOST;
	if (code == 0 && seen_add(&p->seen, h->id / 2) < 0)
		return GW_E_PROTOCOL;
	s = code == 0 ? stream_new(p, h->id, h->service, true, kind_of(h), now) : NULL;
	audit_open(p, h->service, s != NULL, refusal_text(s || code ? code : STREAM_CODE_LIMIT));
	if (!s) {
		segment->ignored = true;
		answer(p, FRAME_RESET, h->id, code ? code : STREAM_CODE_LIMIT);
		return 0;
	}
	service = policy_find(&p->node->policy, h->service);
	if (service->park_timeout != GW_NEVER)
		s->park_timeout = service->park_timeout;
	stream_answer(s, now);
	return 0;
}

/* The header of an incoming segment is complete. */
static int begin(struct connection *c, struct rx_segment *segment, const struct segment_header *h,
		 gw_time now)
{
	struct peer *p = c->peer;
	struct stream *s = map_get(&p->by_id, h->id);
	bool ours = (h->id & 1) == (p->we_are_lower ? 0 : 1), open = h->kind != SEGMENT_RESUME;
	int rv;

	segment->id = h->id;
	segment->started = true;
	segment->position = h->offset;
	if (ours && (open || h->id >= p->next_id))
		return GW_E_PROTOCOL;
	if (s && open && (kind_of(h) == STREAM_OF_DATAGRAMS) != (s->dgrams != NULL))
		return GW_E_PROTOCOL;
	if (s) {
		segment->ignored = s->state != STREAM_LIVE;
		if (h->offset > s->rx.end && !segment->ignored)
			return GW_E_PROTOCOL; /* a gap */
		stream_answered(s, now);
		return 0;
	}
	if (ours || seen_has(&p->seen, h->id / 2)) {
		segment->ignored = true;
		answer(p, FRAME_DONE, h->id, 0);
		return 0;
	}
	rv = take_new(p, segment, h, now);
	dgram_opened(c, h->id, now);
	return rv;
}

static int deliver(struct connection *c, struct rx_segment *segment, const uint8_t *data,
		   size_t len, bool fin, gw_time now)
{
	struct stream *s = segment->ignored ? NULL : map_get(&c->peer->by_id, segment->id);
	uint64_t from = segment->position, to = from + len;

	segment->position = to;
	if (!s && fin && !segment->ignored) /* retired since the segment began */
		answer(c->peer, FRAME_DONE, segment->id, 0);
	if (!s || s->state != STREAM_LIVE)
		return 0;
	if (len > 0)
		c->stream_heard_at = now;
	return stream_received(s, from, data, len, fin, now);
}

int segment_received(struct connection *c, struct rx_segment *segment, const uint8_t *data,
		     size_t len, bool fin, gw_time now)
{
	struct segment_header h;
	int rv;

	if (!c->peer || !c->hello_received)
		return GW_E_PROTOCOL; /* overtakes the hello: section 4 */
	if (c->state == CONN_UP) {
		if (c->dialler)
			return GW_E_PROTOCOL;
		peer_use(c, now); /* a segment from the dialler means USE */
		if (c->state == CONN_CLOSED)
			return 0;
	}
	while (!segment->started) {
		size_t room = sizeof(segment->header) - segment->header_len;
		size_t take = len < room ? len : room;
		ssize_t used;

		if (take > 0)
			memcpy(segment->header + segment->header_len, data, take);
		used = wire_segment_decode(&h, segment->header, segment->header_len + take);
		if (used < 0 || (used == 0 && (take == room || fin)))
			return GW_E_PROTOCOL;
		if (used == 0) {
			segment->header_len += take;
			return 0;
		}
		/* Bytes of the header that are in this piece: the rest is the stream's. */
		data += (size_t)used - segment->header_len;
		len -= (size_t)used - segment->header_len;
		segment->header_len = (size_t)used;
		rv = begin(c, segment, &h, now);
		if (rv < 0)
			return rv;
	}
	return deliver(c, segment, data, len, fin, now);
}
