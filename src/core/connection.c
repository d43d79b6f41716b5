/* SPDX-License-Identifier: Apache-2.0 */
#include "core/connection_internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/dial.h"
#include "core/mtu.h"
#include "core/pace.h"
#include "core/peer.h"
#include "quic/tls.h"

/* A packet of acknowledgements alone is hardly longer. */
enum { ACK_ONLY_MAX = 128 };

/* --- small helpers --- */

void connection_touch(struct connection *c)
{
	if (!list_in(&c->dirty_link))
		list_append(&c->node->dirty, &c->dirty_link);
}

static bool move_allowed(enum conn_state from, enum conn_state to)
{
	switch (from) {
	case CONN_HANDSHAKE:
		return to == CONN_UP || to == CONN_CLOSED;
	case CONN_UP:
		return to == CONN_USED || to == CONN_CLOSED;
	case CONN_USED:
		return to == CONN_RETIRED || to == CONN_CLOSED;
	case CONN_RETIRED:
		return to == CONN_CLOSED;
	case CONN_CLOSED:
		return false;
	}
	return false;
}

void connection_opened(struct connection *c)
{
	c->node->n_half_open--;
	c->node->n_unproven -= c->unproven;
	c->unproven = false;
	if (c->at_door)
		--*c->at_door;
	c->at_door = NULL;
}

void connection_set_state(struct connection *c, enum conn_state state, gw_time now)
{
	assert(move_allowed(c->state, state));
	if (c->state == CONN_HANDSHAKE && !c->dialler)
		connection_opened(c);
	c->state = state;
	c->state_since = now;
}

void connection_kill(struct connection *c, enum close_code code, int error, gw_time now)
{
	if (c->state == CONN_CLOSED)
		return;
	connection_set_state(c, CONN_CLOSED, now);
	c->close_code = code;
	c->error = error;
	heap_remove(&c->node->conn_timers, &c->timer);
	connection_touch(
		c); /* node_transmit() says goodbye, tells the peer's streams and buries it */
}

gw_time connection_rtt(const struct connection *c)
{
	struct quic_stat stat;

	quic_stat_get(c->quic, &stat);
	return stat.smoothed_rtt;
}

gw_time connection_silence_limit(const struct connection *c)
{
	return time_max(3 * ngtcp2_conn_get_pto(c->quic),
			c->only_kept ? SILENCE_IDLE : SILENCE_MIN);
}

/* --- reading --- */

bool claim_replaces(const struct node *n, const uint8_t *reason, size_t len)
{
	struct wire_claim theirs;

	if (len != WIRE_CLAIM_SIZE)
		return false;
	wire_claim_decode(&theirs, reason);
	return theirs.incarnation != n->incarnation && theirs.started_ms >= n->config.started_ms &&
	       signature_valid(n->identity->key, CLAIM_CONTEXT, reason, WIRE_CLAIM_SIGNED,
			       theirs.signature);
}

/* Why ngtcp2_conn_read_pkt() failed, as far as the application is concerned. */
static int read_error(struct connection *c, int liberr)
{
	struct quic_close close;

	if (liberr != NGTCP2_ERR_DRAINING)
		return liberr == NGTCP2_ERR_CRYPTO && c->dialler && c->tls.key_known &&
				       memcmp(c->tls.key, c->peer->key, KEY_SIZE) != 0
			       ? GW_E_KEY
			       : GW_E_PROTOCOL;
	quic_close_get(c->quic, &close);
	/* 0x100 + TLS alert; before its key is known anybody may have sent it. */
	if (!close.application)
		return close.code == 0x100 + 42 && c->tls.key_known ? GW_E_DENIED : GW_E_PROTOCOL;
	switch (close.code) {
	case CLOSE_EXIT:
		return GW_E_EXITED;
	case CLOSE_IN_USE:
		c->replaced = claim_replaces(c->node, close.reason, close.reason_len);
		return GW_E_IN_USE;
	case CLOSE_DENIED:
		return GW_E_DENIED;
	case CLOSE_LIMIT:
		return GW_E_LIMIT;
	default:
		return GW_E_CLOSED;
	}
}

static void read_failed(struct connection *c, int liberr, gw_time now)
{
	int error;

	if (c->state == CONN_CLOSED)
		return; /* a callback has closed it, and said why */
	error = read_error(c, liberr);
	/* An Initial that is none, or the peer's close: nothing to answer. */
	if (liberr != NGTCP2_ERR_DRAINING && liberr != NGTCP2_ERR_DROP_CONN &&
	    liberr != NGTCP2_ERR_RETRY)
		c->liberr = liberr;
	if (!c->dialler && liberr == NGTCP2_ERR_CRYPTO && c->tls.key_known)
		c->node->stats.drop_refused++;
	connection_kill(c, CLOSE_NONE, error, now);
}

/* The dialler's NAT has rebound: ngtcp2 decides when to follow. */
static void follow(struct connection *c, gw_time now)
{
	const ngtcp2_path *p = ngtcp2_conn_get_path(c->quic);
	struct addr remote;

	if (c->relay || addr_from_sockaddr(&remote, p->remote.addr, p->remote.addrlen) < 0 ||
	    addr_equal(&remote, &c->path.remote))
		return;
	c->path.remote = remote;
	addr_from_sockaddr(&c->path.local, p->local.addr, p->local.addrlen);
	/* Should this connection fail before the address is validated: a handshake decides. */
	if (c->peer && c->state == CONN_USED)
		dial_add_hint(c->peer, &remote);
	mtu_migrated(c, now);
}

static void note_heard(struct connection *c, const struct path *path, gw_time now)
{
	/* After such a gap the measured round trip time is the gap's, and the timers with it. */
	if (c->suspect && c->state == CONN_USED && now - c->heard_at > SILENCE_SPOILS)
		c->peer->must_move = true;
	c->heard_at = now;
	c->suspect = false;
	c->local_seen = path->local;
	if (!c->dialler && !addr_equal(&path->remote, &c->path.remote))
		follow(c, now);
	if (!c->dialler && addr_equal(&path->local, &c->path.local))
		c->path.ifindex = path->ifindex;
}

void connection_note_outstanding(struct connection *c, uint64_t bytes_in_flight, gw_time now)
{
	c->in_flight = bytes_in_flight;
	if (bytes_in_flight == 0) {
		c->outstanding_since = GW_NEVER;
	} else if (c->outstanding_since == GW_NEVER) {
		c->outstanding_since = now;
		c->progress_at = now;
	}
}

void connection_hello(struct connection *c)
{
	struct peer *p = c->peer;
	struct frame f = { .type = FRAME_HELLO };

	f.hello.version = PROTOCOL_VERSION;
	f.hello.flags = c->node->config.transient ? HELLO_TRANSIENT : 0;
	f.hello.incarnation = c->node->incarnation;
	f.hello.generation = c->dialler ? c->generation : peer_generation_for(p, c);
	memcpy(f.hello.token, &c->token, WIRE_TOKEN_SIZE);
	memcpy(f.hello.claim, c->node->claim, WIRE_CLAIM_SIZE);
	connection_send(c, &f);
	c->hello_sent = true;
}

void connection_begin_control(struct connection *c)
{
	if (!c->confirmed || !c->dialler || c->control_id >= 0)
		return;
	if (ngtcp2_conn_open_bidi_stream(c->quic, &c->control_id, NULL) != 0)
		return;
	assert(c->control_id == CONTROL_STREAM);
	connection_hello(c);
}

/* Does the dialler return to an address that it has left?  ngtcp2 0.12 aborts the process when
 * that happens while it validates the new one (conn_recv_non_probing_pkt_on_new_path starts
 * PMTUD that is off), and anybody on the way can make it happen.  So such packets are lost:
 * ngtcp2 goes back by itself when the new address does not answer, or the dialler dials. */
static bool returns(struct connection *c, const struct addr *remote)
{
	const ngtcp2_path *p = ngtcp2_conn_get_path(c->quic);
	struct addr current;

	if (c->dialler || addr_from_sockaddr(&current, p->remote.addr, p->remote.addrlen) < 0)
		return false;
	if (!addr_equal(&current, &c->migrated_to)) {
		if (!c->left)
			c->left = calloc(MIGRATIONS_MAX, sizeof(*c->left));
		if (c->left && c->n_left < MIGRATIONS_MAX)
			c->left[c->n_left++] = c->migrated_to;
		c->migrated_to = current;
	}
	if (addr_equal(remote, &current))
		return false;
	for (size_t i = 0; i < c->n_left; i++)
		if (addr_equal(remote, &c->left[i]))
			return true;
	return c->n_left == MIGRATIONS_MAX;
}

void connection_read(struct connection *c, const struct path *path, const uint8_t *data, size_t len,
		     gw_time now)
{
	struct path quic_path = { .remote = path->remote };
	struct sockaddr_storage store[2];
	struct quic_stat stat;
	ngtcp2_pkt_info info = { 0 };
	ngtcp2_path ng_path;
	int rv;

	if (c->state == CONN_CLOSED)
		return;
	if (returns(c, &path->remote)) {
		c->node->stats.drop_refused++;
		return;
	}
	quic_path.local = c->dialler ? c->quic_local : path->local;
	fill_path(&quic_path, store, &ng_path);
	c->now = now;
	c->heard = c->has_data = false;
	rv = ngtcp2_conn_read_pkt(c->quic, &ng_path, &info, data, len, now);
	if (rv != 0) {
		read_failed(c, rv, now);
		return;
	}
	if (c->state == CONN_CLOSED)
		return;
	quic_stat_get(c->quic, &stat);
	if (c->heard || stat.bytes_in_flight < c->in_flight)
		note_heard(c, path, now);
	connection_note_outstanding(c, stat.bytes_in_flight, now);
	if (pace_is_near(&stat))
		c->node->near_at = now;
	c->has_read = true;
	/* What has come out of order says nothing of itself, but is long. */
	c->n_unanswered += c->has_data || len > ACK_ONLY_MAX;
	/* Its session is a quarter of what an idle connection costs; key updates do not need it. */
	if (c->confirmed && c->tls.session)
		tls_session_free(&c->tls);
	/* What follows from it is done once for all packets that have come: connection_write(). */
	if (c->state != CONN_RETIRED)
		connection_touch(c);
	else
		connection_schedule(c, now);
}

void connection_send(struct connection *c, const struct frame *f)
{
	uint8_t bytes[WIRE_FRAME_MAX];
	size_t len = wire_frame_encode(bytes, f);

	if (c->state == CONN_RETIRED || c->state == CONN_CLOSED)
		return;
	/* A peer that makes us talk and never acknowledges. */
	if (chain_len(&c->control) + len > CONTROL_QUEUE_MAX ||
	    chain_append(&c->control, bytes, len) < 0) {
		connection_kill(c, CLOSE_LIMIT, GW_E_LIMIT, c->now);
		return;
	}
	c->only_kept = false;
	connection_touch(c);
}

/* --- time --- */

/* When silence on a used connection calls for something, and what peer_check() then sees. */
static gw_time liveness_due(const struct connection *c)
{
	gw_time due = GW_NEVER;

	if (c->outstanding_since != GW_NEVER)
		due = time_max(c->heard_at, c->outstanding_since) +
		      (c->suspect ? SILENT_DROP : connection_silence_limit(c));
	if (c->stream_heard_at != GW_NEVER)
		due = time_min(due, c->stream_heard_at + QUIET_AFTER);
	due = time_min(due, peer_idle_due(c));
	return time_min(due, mtu_due(c));
}

static gw_time quic_due(const struct connection *c)
{
	return time_min(ngtcp2_conn_get_expiry(c->quic), c->pace_at);
}

void connection_schedule(struct connection *c, gw_time now)
{
	gw_time at = GW_NEVER;

	switch (c->state) {
	case CONN_HANDSHAKE:
		at = time_min(c->created_at + HANDSHAKE_TIMEOUT, quic_due(c));
		break;
	case CONN_UP:
		at = time_min(c->state_since + UP_TIMEOUT, quic_due(c));
		break;
	case CONN_USED:
		/* The library's timer for one packet's acknowledgement waits with the answer; that
		 * for bulk does not, since a small window may have come whole. */
		at = time_min(liveness_due(c), c->answer_at);
		if (c->answer_at == GW_NEVER || c->bulk)
			at = time_min(at, quic_due(c));
		break;
	case CONN_RETIRED:
		at = c->state_since + RETIRE_LINGER;
		break;
	case CONN_CLOSED:
		return;
	}
	if (heap_set(&c->node->conn_timers, &c->timer, at) < 0)
		connection_kill(c, CLOSE_LIMIT, GW_E_NOMEM, now);
}

static void expire_quic(struct connection *c, gw_time now)
{
	struct quic_stat stat;

	if (quic_due(c) > now)
		return;
	c->pace_at = GW_NEVER;
	c->now = now;
	if (ngtcp2_conn_handle_expiry(c->quic, now) != 0) {
		connection_kill(c, CLOSE_NONE, GW_E_UNREACHABLE, now);
		return;
	}
	quic_stat_get(c->quic, &stat);
	c->in_flight = stat.bytes_in_flight; /* what is lost was not acknowledged */
	connection_touch(c);
}

void connection_expire(struct connection *c, gw_time now)
{
	switch (c->state) {
	case CONN_HANDSHAKE:
		if (now >= c->created_at + HANDSHAKE_TIMEOUT)
			connection_kill(c, CLOSE_NONE, GW_E_UNREACHABLE, now);
		else
			expire_quic(c, now);
		break;
	case CONN_UP:
		if (now >= c->state_since + UP_TIMEOUT)
			connection_kill(c, CLOSE_MOVED, GW_E_UNREACHABLE, now);
		else
			expire_quic(c, now);
		break;
	case CONN_USED:
		if (now >= c->answer_at) /* not enough has come for bulk, or not at that speed */
			connection_touch(c);
		peer_check(c, now);
		if (!c->dialler)
			follow(c, now); /* back, if the new address was not valid */
		mtu_expire(c, now);
		if (c->state == CONN_USED)
			expire_quic(c, now);
		break;
	case CONN_RETIRED:
		if (now >= c->state_since + RETIRE_LINGER)
			connection_kill(c, CLOSE_MOVED, GW_E_CLOSED, now);
		break;
	case CONN_CLOSED:
		break;
	}
	connection_schedule(c, now);
}
