/* SPDX-License-Identifier: Apache-2.0 */
#include "core/audit.h"
#include "core/stream.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/connection.h"
#include "core/dgram.h"
#include "core/peer.h"
#include "core/records.h"
#include "quic/quic.h"
#include "core/segment.h"

/* --- memory --- */

/* Receive windows are promises: the node counts them all. */
static void recount(struct stream *s)
{
	size_t now_committed = 0;

	if (s->state == STREAM_LIVE)
		now_committed = (size_t)((s->rx_final != UINT64_MAX ? s->rx_final : s->rx_limit) -
					 s->rx.start);
	else if (s->rx.memory > 0)
		now_committed = chain_len(&s->rx);
	s->node->committed += now_committed - s->committed;
	s->committed = now_committed;
}

struct stream *stream_new(struct peer *p, uint64_t id, const char *service, bool incoming,
			  enum stream_kind kind, gw_time now)
{
	struct slab *slab = &p->node->stream_slab;
	struct stream *s = slab_alloc(slab);

	if (!s)
		return NULL;
	if ((kind == STREAM_OF_DATAGRAMS && !dgram_stream_init(s)) ||
	    map_put(&p->by_id, id, s) < 0) {
		free(s->dgrams);
		slab_free(slab, s);
		return NULL;
	}
	s->node = p->node;
	s->peer = p;
	s->id = id;
	s->incoming = incoming;
	s->created_at = now;
	s->park_timeout = p->node->config.park_timeout;
	s->tx.pool = s->rx.pool = &p->node->pool;
	s->segment = -1;
	s->tx_limit = s->rx_limit = s->dgrams ? 0 : INITIAL_WINDOW;
	s->rx_window = ANSWER_WINDOW;
	s->rx_final = UINT64_MAX;
	memcpy(s->service, service, strlen(service) + 1);
	list_append(&p->streams, &s->peer_link);
	p->n_live++;
	p->node->n_streams++;
	recount(s);
	records_watch(p);
	return s;
}

void stream_bury(struct stream *s)
{
	if (s->state != STREAM_RETIRED || !s->released)
		return;
	/* ngtcp2 may send bytes again until they are acknowledged.  The end of the segment is not
	 * waited for: when its reset overtakes its beginning, the peer never ends its half. */
	if (s->segment >= 0) {
		if (!segment_acknowledged_all(s))
			return;
		ngtcp2_conn_set_stream_user_data(s->peer->used->quic, s->segment, NULL);
	}
	list_remove(&s->peer_link);
	list_remove(&s->ready_link);
	list_remove(&s->event_link);
	chain_clear(&s->tx);
	chain_clear(&s->rx);
	recount(s);
	dgram_stream_clear(s);
	free(s->dgrams);
	free(s->segment_header);
	slab_free(&s->node->stream_slab, s);
}

void stream_raise(struct stream *s, unsigned events)
{
	if (s->released)
		return;
	s->events |= events;
	if (!list_in(&s->event_link))
		list_append(&s->node->stream_events, &s->event_link);
}

/* Nothing more is said about it: the id becomes a retired one. */
static void retire(struct stream *s)
{
	assert(s->state != STREAM_RETIRED);
	if (s->incoming)
		audit_end(s, s->error ? error_text(s->error) : NULL);
	s->state = STREAM_RETIRED;
	stream_count_unsent(s);
	map_remove(&s->peer->by_id, s->id);
	map_fit(&s->peer->by_id);
	s->peer->n_live--;
	s->node->n_streams--;
	list_remove(&s->ready_link);
	recount(s);
	peer_streams_changed(s->peer);
}

/* Stop sending on the present segment. */
static void cut_segment(struct stream *s)
{
	list_remove(&s->ready_link);
	if (s->segment < 0 || !s->peer->used)
		return;
	quic_end_sending(s->peer->used->quic, s->segment);
	connection_touch(s->peer->used);
	if (s->segment_header_sent == 0) {
		/* The peer never sees this QUIC stream and will not end its half; ngtcp2 holds
		 * no pointer to our bytes. */
		ngtcp2_conn_set_stream_user_data(s->peer->used->quic, s->segment, NULL);
		segment_forget(s);
	}
}

static void drop_received(struct stream *s)
{
	dgram_stream_clear(s);
	chain_clear(&s->rx);
	recount(s);
}

void stream_fail(struct stream *s, int error)
{
	if (s->state == STREAM_RETIRED)
		return;
	cut_segment(s);
	if (s->error == 0)
		s->error = error;
	retire(s);
	/* What was received stays readable: the peer may have finished and gone. */
	stream_raise(s, STREAM_FAILED);
	stream_bury(s);
}

/* Both directions end; the peer is told, now or when it is connected again. */
static void abandon(struct stream *s, enum stream_code code, int error)
{
	s->error = error;
	cut_segment(s);
	drop_received(s);
	if (!s->sent) {
		retire(s); /* the peer has never heard of it */
		stream_bury(s);
		return;
	}
	s->state = STREAM_RESETTING;
	s->reset_code = code;
	recount(s);
	stream_count_unsent(s);
	stream_repeat(s);
}

void stream_park_out(struct stream *s)
{
	if (s->state == STREAM_RESETTING) {
		/* The peer has not come to hear of it either.  What it may still say of the
		 * id is answered `lost`, as for one that was never seen. */
		seen_clear(&s->peer->seen);
		retire(s);
		stream_bury(s);
		return;
	}
	stream_raise(s, STREAM_FAILED);
	abandon(s, STREAM_CODE_PARKED_OUT, s->sent ? GW_E_PARKED_OUT : GW_E_UNREACHABLE);
}

void stream_deny(struct stream *s)
{
	stream_raise(s, STREAM_FAILED);
	abandon(s, STREAM_CODE_DENIED, GW_E_POLICY);
}

static bool received_all(const struct stream *s)
{
	return s->rx_final != UINT64_MAX && s->rx.end == s->rx_final;
}

static void check_complete(struct stream *s)
{
	if (s->state == STREAM_LIVE && s->tx_delivered && received_all(s)) {
		retire(s);
		stream_bury(s);
	}
}

/* --- flow control --- */

static void send_window(struct stream *s)
{
	struct frame f = { .type = FRAME_WINDOW };

	f.window.id = s->id;
	f.window.received = s->rx.end;
	f.window.limit = s->rx_limit;
	peer_send(s->peer, &f);
}

/* The largest window that this stream may have, given the others. */
static uint64_t fair_window(const struct stream *s)
{
	const struct node *n = s->node;
	size_t others = n->committed - s->committed;
	/* Three quarters are kept for the first windows of streams to come. */
	size_t pool = n->config.memory_limit / 4;
	size_t free_memory = pool > others ? pool - others : 0;
	size_t share = pool / (n->n_streams + 1);

	if (share > free_memory)
		share = free_memory;
	if (share < INITIAL_WINDOW)
		share = INITIAL_WINDOW;
	return share < MAX_WINDOW ? share : MAX_WINDOW;
}

/* Grant more when half of the window has been consumed; a reader that keeps up gets a larger
 * window. */
static void grant(struct stream *s, gw_time now)
{
	uint64_t window = s->rx_window, fair = fair_window(s), limit;
	gw_time rtt;

	if (s->state != STREAM_LIVE || s->rx_final != UINT64_MAX || s->dgrams)
		return;
	if (window > fair)
		window = fair;
	limit = s->rx.start + window;
	if (limit < s->rx_limit + window / 2)
		return;
	rtt = s->peer->used ? connection_rtt(s->peer->used) : 0;
	/* The window has to grow faster than the peer's, which doubles in each round trip, and be
	 * several times as large: what was sent behind a lost packet waits for it here. */
	if (s->rx_granted_at && now - s->rx_granted_at < time_max(4 * rtt, GW_MSEC)) {
		window = WINDOW_GROWTH * window < fair ? WINDOW_GROWTH * window : fair;
		limit = s->rx.start + window;
	}
	s->rx_window = window;
	s->rx_limit = limit;
	s->rx_granted_at = now;
	recount(s);
	send_window(s);
}

void stream_answered(struct stream *s, gw_time now)
{
	if (s->answered)
		return;
	s->answered = true;
	stream_raise(s, STREAM_ANSWERED);
	grant(s, now);
}

void stream_answer(struct stream *s, gw_time now)
{
	uint64_t before = s->rx_limit;

	s->answered = s->sent = true;
	stream_raise(s, STREAM_INCOMING);
	grant(s, now);
	if (s->rx_limit == before)
		send_window(s);
}

void stream_repeat(struct stream *s)
{
	struct frame f = { .type = FRAME_RESET };

	switch (s->state) {
	case STREAM_LIVE:
		if (s->answered && s->rx_final == UINT64_MAX)
			send_window(s);
		segment_wake(s);
		break;
	case STREAM_RESETTING:
		f.reset.id = s->id;
		f.reset.code = s->reset_code;
		peer_send(s->peer, &f);
		break;
	case STREAM_RETIRED:
		break;
	}
}

/* --- what the peer says --- */

/* What the path holds, or the stream's share of the node's memory. */
static size_t window(const struct stream *s)
{
	const struct node *n = s->node;
	size_t size = s->peer->send_ahead, held = s->peer->send_held;

	/* Written without a division: each packet asks. */
	if ((uint64_t)size * held * (n->n_streams + 1) > n->config.memory_limit)
		size = n->config.memory_limit / (n->n_streams + 1) / held;
	return size > INITIAL_WINDOW ? size : INITIAL_WINDOW;
}

/* How much of a window of `size` it may hold that was never sent: those streams of the peer that
 * do share two of them, since what waits for long has left the caches when its turn comes. */
static size_t most_ahead(const struct stream *s, size_t size)
{
	size_t count = s->peer->n_unsent + !s->unsent;

	if (count > 2)
		size = 2 * size / count;
	return size > SEND_AHEAD_LEAST ? size : SEND_AHEAD_LEAST;
}

void stream_count_unsent(struct stream *s)
{
	bool unsent = s->state == STREAM_LIVE && s->tx_next < s->tx.end;

	if (unsent != s->unsent)
		s->peer->n_unsent += unsent ? 1 : (size_t)-1;
	s->unsent = unsent;
}

/* Bytes that were never sent are bounded by what the path holds (`*most`); those that were, but
 * wait for a lost one before them to be acknowledged, must not keep the path empty. */
static size_t send_room(const struct stream *s, size_t *most)
{
	size_t size = window(s), total = size * s->peer->send_held, held = chain_len(&s->tx);
	size_t ahead = (size_t)(s->tx.end - s->tx_next), free_ahead, free_held;

	*most = most_ahead(s, size);
	free_ahead = ahead < *most ? *most - ahead : 0;
	free_held = held < total ? total - held : 0;
	return free_ahead < free_held ? free_ahead : free_held;
}

void stream_maybe_writable(struct stream *s)
{
	size_t most;

	if (!s->tx_blocked || s->state != STREAM_LIVE || send_room(s, &most) < most / 2)
		return;
	s->tx_blocked = false;
	stream_raise(s, STREAM_WRITABLE);
}

void stream_acknowledged(struct stream *s, uint64_t offset, gw_time now)
{
	(void)now;
	assert(offset <= s->tx_next);
	if (offset <= s->tx.start)
		return;
	s->peer->tx_bytes += offset - s->tx.start;
	chain_release(&s->tx, offset);
	stream_maybe_writable(s);
}

int stream_received(struct stream *s, uint64_t from, const uint8_t *data, size_t len, bool fin,
		    gw_time now)
{
	uint64_t to = from + len;

	(void)now;
	assert(from <= s->rx.end);
	if (to > s->rx_limit || (s->rx_final != UINT64_MAX && to > s->rx_final))
		return GW_E_PROTOCOL;
	if (to > s->rx.end) {
		size_t skip = (size_t)(s->rx.end - from);

		s->peer->rx_bytes += len - skip;
		if (chain_append(&s->rx, data + skip, len - skip) < 0)
			return GW_E_NOMEM;
		stream_raise(s, STREAM_READABLE);
	}
	if (fin) {
		struct frame f = { .type = FRAME_DONE };

		if (to != s->rx.end || (s->rx_final != UINT64_MAX && s->rx_final != to))
			return GW_E_PROTOCOL;
		if (s->rx_final == UINT64_MAX)
			stream_raise(s, STREAM_READABLE);
		s->rx_final = to;
		recount(s);
		f.done.id = s->id;
		peer_send(s->peer, &f);
		check_complete(s);
	}
	return 0;
}

int stream_window(struct stream *s, uint64_t received, uint64_t limit, gw_time now)
{
	if (received > s->tx.end || limit < received)
		return GW_E_PROTOCOL;
	if (s->state != STREAM_LIVE)
		return 0;
	stream_answered(s, now);
	/* Only before the segment here begins: later, ngtcp2 holds pointers to these bytes. */
	if (s->segment < 0 && received > s->tx.start && !s->tx_fin_sent) {
		if (s->tx_next < received)
			s->tx_next = received;
		stream_count_unsent(s);
		stream_acknowledged(s, received, now);
	}
	if (limit > s->tx_limit)
		s->tx_limit = limit;
	segment_wake(s);
	return 0;
}

int stream_done(struct stream *s, gw_time now)
{
	switch (s->state) {
	case STREAM_LIVE:
		if (!s->tx_finished)
			return GW_E_PROTOCOL;
		stream_answered(s, now);
		if (!s->tx_delivered) {
			s->tx_delivered = true;
			if (!s->tx_fin_sent)
				cut_segment(s); /* it was being repeated */
			stream_raise(s, STREAM_DELIVERED);
		}
		check_complete(s);
		return 0;
	case STREAM_RESETTING:
		retire(s);
		stream_bury(s);
		return 0;
	case STREAM_RETIRED:
		return 0;
	}
	return 0;
}

static int code_error(uint64_t code)
{
	switch (code) {
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
	default:
		return GW_E_RESET;
	}
}

void stream_reset_received(struct stream *s, uint64_t code)
{
	stream_fail(s, code_error(code));
}

/* --- the application's side (core/node.h) --- */

void stream_set_park_timeout(struct stream *s, gw_time timeout)
{
	s->park_timeout = timeout;
	peer_streams_changed(s->peer);
}

void stream_set_user(struct stream *s, void *user)
{
	s->user = user;
}

void *stream_user(const struct stream *s)
{
	return s->user;
}

static int writable_error(const struct stream *s)
{
	if (s->error || s->dgrams)
		return s->error ? s->error : GW_E_INVALID;
	return s->tx_finished || s->state != STREAM_LIVE ? GW_E_CLOSED : 0;
}

ssize_t stream_write(struct stream *s, const void *data, size_t len, gw_time now)
{
	size_t most, room = send_room(s, &most);
	int error = writable_error(s);

	(void)now;
	if (error)
		return error;
	if (len > room) {
		len = room;
		s->tx_blocked = true;
	}
	if (len == 0)
		return 0;
	if (chain_append(&s->tx, data, len) < 0)
		return GW_E_NOMEM;
	stream_count_unsent(s);
	segment_wake(s);
	return (ssize_t)len;
}

uint8_t *stream_write_space(struct stream *s, size_t *len)
{
	size_t most, room = send_room(s, &most);
	uint8_t *space;

	*len = 0;
	if (writable_error(s))
		return NULL;
	if (room == 0) {
		s->tx_blocked = true;
		return NULL;
	}
	space = chain_reserve(&s->tx, 4096, len); /* chunks grow with what is queued */
	if (space && *len > room)
		*len = room;
	return space;
}

void stream_write_commit(struct stream *s, size_t len, gw_time now)
{
	(void)now;
	if (len == 0)
		return;
	chain_commit(&s->tx, len);
	stream_count_unsent(s);
	segment_wake(s);
}

void stream_finish(struct stream *s, gw_time now)
{
	(void)now;
	if (s->tx_finished || s->state != STREAM_LIVE)
		return;
	s->tx_finished = true;
	segment_wake(s);
}

void stream_reset(struct stream *s, enum stream_code code, gw_time now)
{
	(void)now;
	if (s->state == STREAM_LIVE)
		abandon(s, code, GW_E_CLOSED);
}

const uint8_t *stream_read(struct stream *s, size_t *len)
{
	return chain_at(&s->rx, s->rx.start, len);
}

void stream_consume(struct stream *s, size_t len, gw_time now)
{
	assert(len <= chain_len(&s->rx));
	chain_release(&s->rx, s->rx.start + len);
	recount(s);
	grant(s, now);
}

bool stream_read_finished(const struct stream *s)
{
	return s->rx_final != UINT64_MAX && s->rx.start == s->rx_final;
}

int stream_error(const struct stream *s)
{
	return s->error;
}

bool stream_delivered(const struct stream *s)
{
	return s->tx_delivered;
}

void stream_release(struct stream *s, gw_time now)
{
	bool complete = s->tx_finished && received_all(s);

	list_remove(&s->event_link);
	s->events = 0;
	s->user = NULL;
	s->released = true;
	if (s->state == STREAM_LIVE && !complete)
		stream_reset(s, STREAM_CODE_CANCELLED, now);
	else
		stream_bury(s);
}

void stream_describe(const struct stream *s, struct stream_info *out)
{
	memset(out, 0, sizeof(*out));
	out->id = s->id;
	memcpy(out->peer, s->peer->key, KEY_SIZE);
	memcpy(out->service, s->service, sizeof(out->service));
	out->incoming = s->incoming;
	out->tx_bytes = s->tx.start;
	out->rx_bytes = s->rx.end;
	out->created_at = s->created_at;
	out->answered = s->answered;
	if (s->dgrams) {
		out->datagrams = true;
		out->tx_bytes = s->dgrams->tx_bytes;
		out->rx_bytes = s->dgrams->rx_bytes;
		out->sent = s->dgrams->sent;
		out->received = s->dgrams->received;
		out->dropped = s->dgrams->dropped;
	}
	if (s->state != STREAM_LIVE || s->tx_finished || s->rx_final != UINT64_MAX)
		out->state = STREAM_CLOSING;
	else if (!s->peer->used)
		out->state = s->sent ? STREAM_PARKED : STREAM_OPENING;
	else
		out->state = s->answered ? STREAM_OPEN : STREAM_OPENING;
}
