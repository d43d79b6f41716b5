/* SPDX-License-Identifier: Apache-2.0 */
/* What a connection sends: QUIC packets in batches of equal size, MTU probes, closes. */
#include <assert.h>
#include <string.h>

#include "core/connection.h"
#include "core/dgram.h"
#include "core/mtu.h"
#include "core/pace.h"
#include "core/peer.h"
#include "core/relayed.h"
#include "quic/quic.h"
#include "core/segment.h"

/* Headers and tag of a packet, as they are at most. */
enum { LARGE_MARGIN = 32 };

/* What makes a transfer one of bulk. */
enum { BULK_PACKETS = 16 };
/* After which an answer is due. */
enum { ANSWER_PACKETS = 128 };
#define ANSWER_MIN (200 * GW_USEC)
#define ANSWER_MAX GW_MSEC

/* The packets of one batch, as they are written. */
struct writer {
	struct connection *c;
	struct batch *out;
	size_t count, limit;
	size_t payload;
	size_t header;             /* of the relay, before each packet */
	bool full;                 /* no further packet fits this batch */
	size_t filled;             /* bytes taken into the packet that is being written */
	size_t wrote;              /* bytes of QUIC packets */
	ngtcp2_path_storage first; /* ngtcp2's path of the first packet */
	gw_time now;
};

static void path_of(struct connection *c, const ngtcp2_path *p, struct path *out)
{
	*out = c->relay ? c->relay->link->path : c->path;
	if (c->dialler || c->relay)
		return; /* the dialler never migrates: ngtcp2's local address is made up */
	addr_from_sockaddr(&out->remote, p->remote.addr, p->remote.addrlen);
	addr_from_sockaddr(&out->local, p->local.addr, p->local.addrlen);
	if (!addr_equal(&out->local, &c->path.local))
		out->ifindex = 0;
}

/* One complete packet of `len` bytes stands at the end of the batch. */
static void packet_done(struct writer *w, size_t len, const ngtcp2_path *p)
{
	struct batch *out = w->out;

	w->filled = 0;
	w->wrote += len;
	if (w->header)
		wire_channel_encode(out->data + out->len, w->c->channel);
	len += w->header;
	if (w->count == 0) {
		path_of(w->c, p, &out->path);
		ngtcp2_path_copy(&w->first.path, p);
		out->segment = len;
	} else if (len > out->segment || !ngtcp2_path_eq(p, &w->first.path)) {
		/* A path challenge to elsewhere, or the first packet was a small one. */
		struct node *n = w->c->node;

		w->full = true;
		assert(len <= n->held_size);
		memcpy(n->held, out->data + out->len, len);
		n->held_len = len;
		path_of(w->c, p, &n->held_path);
		return;
	}
	out->len += len;
	w->count++;
	if (len < out->segment || w->count >= w->limit ||
	    out->len + w->header + w->payload > out->capacity)
		w->full = true;
}

/* Offer bytes of a QUIC stream; *taken < 0: none were taken.  Returns 1 when a packet was
 * completed, 0 when nothing can be sent now, 2 when the packet has room for more, or ngtcp2's
 * error. */
static int offer(struct writer *w, int64_t id, const ngtcp2_vec *vec, size_t n, uint32_t flags,
		 ngtcp2_path_storage *ps, ngtcp2_ssize *taken)
{
	ngtcp2_pkt_info info;
	ngtcp2_ssize rv;

	*taken = -1;
	rv = ngtcp2_conn_writev_stream(w->c->quic, &ps->path, &info,
				       w->out->data + w->out->len + w->header, w->payload, taken,
				       flags, id, vec, n, w->now);
	if (*taken > 0)
		w->filled += (size_t)*taken;
	if (rv == NGTCP2_ERR_WRITE_MORE)
		return 2;
	if (rv <= 0)
		return (int)rv;
	packet_done(w, (size_t)rv, &ps->path);
	return 1;
}

static int offer_control(struct writer *w, ngtcp2_path_storage *ps)
{
	struct connection *c = w->c;
	ngtcp2_ssize taken;
	ngtcp2_vec vec;
	size_t len;
	int rv;

	/* The library does not write to this memory. */
	vec.base = (uint8_t *)(uintptr_t)chain_at(&c->control, c->control_sent, &len);
	vec.len = len;
	rv = offer(w, c->control_id, &vec, 1, NGTCP2_WRITE_STREAM_FLAG_MORE, ps, &taken);
	if (taken > 0)
		c->control_sent += (uint64_t)taken;
	return rv;
}

static int offer_segment(struct writer *w, struct stream *s, ngtcp2_path_storage *ps)
{
	struct segment_output o;
	ngtcp2_ssize taken;
	uint32_t flags = NGTCP2_WRITE_STREAM_FLAG_MORE;
	int rv;

	segment_output(s, w->payload, &o);
	if (o.fin)
		flags |= NGTCP2_WRITE_STREAM_FLAG_FIN;
	rv = offer(w, s->segment, o.vec, o.n, flags, ps, &taken);
	if (taken >= 0) {
		w->c->only_kept = false;
		dgram_streams_sent(s->peer, (size_t)taken);
		segment_sent(s, &o, (size_t)taken);
	}
	return rv;
}

/* It is taken whole, or waits for the next packet. */
static int offer_dgram(struct writer *w, struct dgram *d, ngtcp2_path_storage *ps)
{
	ngtcp2_vec vec = { d->data, d->len };
	bool large = w->filled + d->len > PAYLOAD_MIN - LARGE_MARGIN;
	ngtcp2_pkt_info info;
	ngtcp2_ssize rv;
	int taken = 0;

	rv = ngtcp2_conn_writev_datagram(w->c->quic, &ps->path, &info,
					 w->out->data + w->out->len + w->header, w->payload, &taken,
					 NGTCP2_WRITE_DATAGRAM_FLAG_MORE, large, &vec, 1, w->now);
	if (taken) {
		w->filled += d->len;
		w->c->only_kept = false;
		dgram_sent(w->c, d);
	}
	if (rv == NGTCP2_ERR_WRITE_MORE)
		return 2;
	if (rv <= 0)
		return (int)rv;
	packet_done(w, (size_t)rv, &ps->path);
	return 1;
}

/* The next piece of the packet: control frames first, then datagrams and streams share. */
static int offer_next(struct writer *w, bool blocked, ngtcp2_path_storage *ps)
{
	struct connection *c = w->c;
	struct stream *s = NULL;
	struct dgram *d = NULL;
	ngtcp2_ssize taken;

	if (c->control_id >= 0 && c->control_sent < c->control.end && !blocked)
		return offer_control(w, ps);
	if (c->state == CONN_USED) {
		s = blocked ? NULL : segment_next(c->peer);
		d = dgram_next(c, s != NULL, w->now);
	}
	if (d)
		return offer_dgram(w, d, ps);
	if (s)
		return offer_segment(w, s, ps);
	return offer(w, -1, NULL, 0, 0, ps, &taken);
}

/* Write packets until the batch is full or there is nothing more.  Small pieces of several
 * streams share a packet (NGTCP2_WRITE_STREAM_FLAG_MORE). */
static int write_packets(struct writer *w)
{
	struct connection *c = w->c;
	bool blocked = false; /* QUIC's flow control: wait for the peer */
	ngtcp2_path_storage ps;
	int rv;

	ngtcp2_path_storage_zero(&ps);
	while (!w->full) {
		if (c->state == CONN_USED && (w->count == 0 || !segment_next(c->peer)))
			segment_prepare(c->peer);
		do {
			rv = offer_next(w, blocked, &ps);
			if (rv == NGTCP2_ERR_STREAM_DATA_BLOCKED ||
			    rv == NGTCP2_ERR_STREAM_SHUT_WR || rv == NGTCP2_ERR_STREAM_NOT_FOUND) {
				blocked = true;
				rv = 2;
			}
		} while (rv == 2);
		if (rv <= 0)
			return rv;
	}
	return 0;
}

/* How many packets may wait for an answer that says nothing else: an acknowledgement costs both
 * sides a wake-up.  Bulk needs few of them.  Otherwise it is one packet, as in RFC 9000, section
 * 13.2.2, whose answer by the application carries the acknowledgement; the library waits for it an
 * eighth of the round trip, on a near path less than any program needs. */
static unsigned may_wait(const struct connection *c, const struct quic_stat *stat)
{
	if (c->bulk)
		return ANSWER_PACKETS - 1;
	return pace_is_near(stat) ? 1 : 0;
}

/* For a quarter of the round trip at most, unless there is something else to say. */
static bool answer_may_wait(struct connection *c, const struct quic_stat *stat, gw_time now)
{
	gw_time most = stat->smoothed_rtt / 4;

	if (c->state != CONN_USED || c->answer_at <= now || c->n_unanswered == 0 ||
	    c->n_unanswered > may_wait(c, stat) || c->control_sent < c->control.end ||
	    segment_next(c->peer) || c->peer->dgrams.count > 0 ||
	    (c->bulk && ngtcp2_conn_get_expiry(c->quic) <= now))
		return false;
	if (c->answer_at == GW_NEVER)
		c->answer_at = now + (most < ANSWER_MIN   ? ANSWER_MIN
				      : most > ANSWER_MAX ? ANSWER_MAX
							  : most);
	return true;
}

static bool write_batch(struct connection *c, struct batch *out, gw_time now)
{
	struct writer w = { .c = c, .out = out, .payload = c->mtu.payload, .now = now };
	struct quic_stat stat;
	int rv;

	c->now = now;
	if (pace_resume(c, now) != 0) {
		connection_kill(c, CLOSE_NONE, GW_E_UNREACHABLE, now);
		return false;
	}
	ngtcp2_path_storage_zero(&w.first);
	quic_stat_get(c->quic, &stat);
	w.header = c->relay ? WIRE_CHANNEL_HEADER : 0;
	w.limit = pace_packets(c);
	rv = write_packets(&w);
	pace_sent(c, w.wrote, stat.bytes_in_flight, w.full, now);
	if (rv < 0) {
		c->liberr = rv;
		connection_kill(c, CLOSE_NONE, GW_E_PROTOCOL, now);
		return out->len > 0;
	}
	if (c->n_unanswered > 0)
		c->bulk = c->n_unanswered >= BULK_PACKETS;
	c->n_unanswered = 0;
	c->has_read = false;
	c->answer_at = GW_NEVER;
	quic_stat_get(c->quic, &stat);
	connection_note_outstanding(c, stat.bytes_in_flight, now);
	connection_schedule(c, now);
	if (w.full && c->state != CONN_CLOSED)
		connection_touch(c);
	return out->len > 0;
}

static bool write_close(struct connection *c, struct batch *out, gw_time now)
{
	bool claim = c->close_code == CLOSE_IN_USE && c->peer;
	ngtcp2_path_storage ps;
	ngtcp2_ssize len = 0;

	ngtcp2_path_storage_zero(&ps);
	if (c->liberr)
		len = quic_write_error(c->quic, &ps.path, out->data, PAYLOAD_MIN, c->liberr,
				       ngtcp2_conn_get_tls_alert(c->quic), now);
	else if (c->close_code != CLOSE_NONE)
		len = quic_write_close(c->quic, &ps.path, out->data, PAYLOAD_MIN, c->close_code,
				       claim ? c->peer->claim : NULL, claim ? WIRE_CLAIM_SIZE : 0,
				       now);
	if (len <= 0)
		return false;
	out->len = out->segment = (size_t)len;
	if (c->relay)
		return relayed_wrap(c, out);
	path_of(c, &ps.path, &out->path);
	return true;
}

/* What the packets that have come call for, before anything is written. */
static bool nothing_urgent(struct connection *c, gw_time now)
{
	struct quic_stat stat;

	if (!c->has_read)
		return false;
	connection_begin_control(c);
	quic_stat_get(c->quic, &stat);
	if (c->state == CONN_USED) {
		peer_set_send_ahead(c->peer, stat.cwnd, pace_is_near(&stat));
		segment_prepare(c->peer); /* the first bytes of a stream do not wait */
	}
	if (!answer_may_wait(c, &stat, now))
		return false;
	connection_schedule(c, now);
	return true;
}

bool connection_write(struct connection *c, struct batch *out, gw_time now)
{
	if (c->relay && !c->relay->link)
		return false;
	if (c->state != CONN_CLOSED && c->state != CONN_RETIRED && nothing_urgent(c, now))
		return false;
	switch (c->state) {
	case CONN_RETIRED:
		return false;
	case CONN_CLOSED:
		return write_close(c, out, now);
	case CONN_USED:
		if (mtu_write(c, out, now))
			return !c->relay || relayed_wrap(c, out);
		break;
	case CONN_HANDSHAKE:
	case CONN_UP:
		break;
	}
	return write_batch(c, out, now);
}
