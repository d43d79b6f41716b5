/* SPDX-License-Identifier: Apache-2.0 */
#include "core/connection.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/dgram.h"
#include "core/dial.h"
#include "core/mtu.h"
#include "core/outbox.h"
#include "core/peer.h"
#include "core/relayed.h"
#include "quic/quic.h"
#include "core/segment.h"
#include "quic/tls.h"

enum { CONTROL_STREAM = 0 };

/* --- small helpers --- */

static uint64_t cid_key(const uint8_t *data)
{
	uint64_t key;

	memcpy(&key, data, sizeof(key));
	return key;
}

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

void connection_set_state(struct connection *c, enum conn_state state, gw_time now)
{
	assert(move_allowed(c->state, state));
	if (c->state == CONN_HANDSHAKE && !c->dialler)
		c->node->n_half_open--;
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

/* --- callbacks of ngtcp2 --- */

static ngtcp2_conn *get_conn(ngtcp2_crypto_conn_ref *ref)
{
	return ((struct connection *)ref->user_data)->quic;
}

static void rand_callback(uint8_t *out, size_t len, const ngtcp2_rand_ctx *ctx)
{
	quic_random(ctx->native_handle, out, len);
}

static int new_cid_callback(ngtcp2_conn *quic, ngtcp2_cid *cid, uint8_t *token, size_t len,
			    void *user)
{
	struct connection *c = user;

	(void)quic;
	rng_bytes(c->node->rng, cid->data, len);
	cid->datalen = len;
	/* Stateless resets are never sent: the token is noise. */
	rng_bytes(c->node->rng, token, NGTCP2_STATELESS_RESET_TOKENLEN);
	return map_put(&c->node->by_cid, cid_key(cid->data), c) < 0 ? NGTCP2_ERR_CALLBACK_FAILURE
								    : 0;
}

static int remove_cid_callback(ngtcp2_conn *quic, const ngtcp2_cid *cid, void *user)
{
	struct connection *c = user;

	(void)quic;
	map_remove(&c->node->by_cid, cid_key(cid->data));
	return 0;
}

static int handshake_completed_callback(ngtcp2_conn *quic, void *user)
{
	struct connection *c = user;

	(void)quic;
	c->heard = true;
	c->confirmed = true;
	return 0;
}

/* TLS has nothing more to say after the handshake: see connection_read(). */
static int crypto_data_callback(ngtcp2_conn *quic, quic_level level, uint64_t offset,
				const uint8_t *data, size_t len, void *user)
{
	struct connection *c = user;

	if (!c->tls.session)
		return NGTCP2_ERR_CRYPTO;
	return ngtcp2_crypto_recv_crypto_data_cb(quic, level, offset, data, len, user);
}

static int fail(struct connection *c)
{
	connection_kill(c, CLOSE_PROTOCOL, GW_E_PROTOCOL, c->now);
	return NGTCP2_ERR_CALLBACK_FAILURE;
}

/* Handle the complete frames; *used says how far they go. */
static int take_frames(struct connection *c, const uint8_t *data, size_t len, size_t *used)
{
	struct frame frame;

	*used = 0;
	while (*used < len && c->state != CONN_CLOSED) {
		ssize_t n = wire_frame_decode(&frame, data + *used, len - *used);

		if (n < 0 || (n == 0 && len - *used >= WIRE_FRAME_MAX))
			return fail(c);
		if (n == 0)
			return 0;
		*used += (size_t)n;
		if (peer_frame(c, &frame, c->now) < 0)
			return fail(c);
	}
	return 0;
}

static int keep_rest(struct connection *c, const uint8_t *data, size_t len)
{
	c->frame = malloc(WIRE_FRAME_MAX);
	if (!c->frame)
		return NGTCP2_ERR_CALLBACK_FAILURE;
	memcpy(c->frame, data, len);
	c->frame_len = len;
	return 0;
}

/* Frames may be split over packets: complete ones are handled, the rest is kept. */
static int control_received(struct connection *c, const uint8_t *data, size_t len)
{
	size_t used;
	int rv;

	while (len > 0 && c->frame) {
		size_t room = WIRE_FRAME_MAX - c->frame_len, take = len < room ? len : room;

		memcpy(c->frame + c->frame_len, data, take);
		c->frame_len += take;
		data += take;
		len -= take;
		rv = take_frames(c, c->frame, c->frame_len, &used);
		if (rv != 0 || c->state == CONN_CLOSED)
			return rv;
		c->frame_len -= used;
		memmove(c->frame, c->frame + used, c->frame_len);
		if (c->frame_len == 0) {
			free(c->frame);
			c->frame = NULL;
		}
	}
	rv = take_frames(c, data, len, &used);
	if (rv != 0 || used == len || c->state == CONN_CLOSED)
		return rv;
	return keep_rest(c, data + used, len - used);
}

static int stream_data_callback(ngtcp2_conn *quic, uint32_t flags, int64_t id, uint64_t offset,
				const uint8_t *data, size_t len, void *user, void *stream_user)
{
	struct connection *c = user;
	bool fin = (flags & NGTCP2_STREAM_DATA_FLAG_FIN) != 0;

	(void)offset;
	c->heard = true;
	if (c->state == CONN_CLOSED)
		return 0;
	/* QUIC's own windows never carry backpressure: section 4. */
	ngtcp2_conn_extend_max_offset(quic, len);
	ngtcp2_conn_extend_max_stream_offset(quic, id, len);
	if (id == CONTROL_STREAM)
		return fin ? fail(c) : control_received(c, data, len);
	if (!stream_user || ngtcp2_conn_is_local_stream(quic, id))
		return fail(c);
	return segment_received(c, stream_user, data, len, fin, c->now) < 0 ? fail(c) : 0;
}

static int stream_open_callback(ngtcp2_conn *quic, int64_t id, void *user)
{
	struct connection *c = user;
	struct rx_segment *segment;

	if (id == CONTROL_STREAM) {
		c->control_id = id;
		return 0;
	}
	if (!ngtcp2_is_bidi_stream(id))
		return fail(c);
	segment = calloc(1, sizeof(*segment));
	if (!segment)
		return NGTCP2_ERR_CALLBACK_FAILURE;
	list_append(&c->rx_segments, &segment->link);
	ngtcp2_conn_set_stream_user_data(quic, id, segment);
	/* Our half stays empty: section 5. */
	return quic_end_sending(quic, id) < 0 ? NGTCP2_ERR_CALLBACK_FAILURE : 0;
}

static int stream_close_callback(ngtcp2_conn *quic, uint32_t flags, int64_t id, uint64_t code,
				 void *user, void *stream_user)
{
	struct connection *c = user;

	(void)flags;
	(void)code;
	if (id == CONTROL_STREAM)
		return fail(c);
	if (ngtcp2_conn_is_local_stream(quic, id)) {
		if (c->state == CONN_USED && stream_user)
			segment_ended(stream_user);
		return 0;
	}
	ngtcp2_conn_extend_max_streams_bidi(quic, 1);
	if (stream_user)
		segment_free(stream_user);
	return 0;
}

static int acked_callback(ngtcp2_conn *quic, int64_t id, uint64_t offset, uint64_t len, void *user,
			  void *stream_user)
{
	struct connection *c = user;

	(void)quic;
	c->heard = true;
	/* What is acknowledged on a retired connection is true but too late: the bytes may be
	 * referenced by their next segment. */
	if (c->state == CONN_RETIRED || c->state == CONN_CLOSED)
		return 0;
	if (id == CONTROL_STREAM) {
		chain_release(&c->control, offset + len);
		if (chain_len(&c->control) == 0)
			chain_clear(&c->control); /* its last chunk, too */
		return 0;
	}
	c->progress_at = c->now;
	if (c->state == CONN_USED && stream_user)
		segment_acknowledged(stream_user, offset + len, c->now);
	return 0;
}

static int stream_reset_callback(ngtcp2_conn *quic, int64_t id, uint64_t final_size, uint64_t code,
				 void *user, void *stream_user)
{
	struct connection *c = user;

	(void)quic;
	(void)final_size;
	(void)code;
	(void)stream_user;
	c->heard = true;
	/* A QUIC reset only ends a segment; the peer ends its empty half that way. */
	return id == CONTROL_STREAM ? fail(c) : 0;
}

/* The dialler answers at its new address: only now it is one of the peer's. */
static int path_validation_callback(ngtcp2_conn *quic, uint32_t flags, const ngtcp2_path *path,
				    QUIC_OLD_PATH ngtcp2_path_validation_result result, void *user)
{
	struct connection *c = user;
	struct addr remote;

	(void)quic;
	(void)flags;
	if (result != NGTCP2_PATH_VALIDATION_RESULT_SUCCESS || c->state != CONN_USED ||
	    addr_from_sockaddr(&remote, path->remote.addr, path->remote.addrlen) < 0)
		return 0;
	c->heard = true;
	dial_add_endpoint(c->peer, &remote);
	if (addr_equal(&remote, &c->path.remote))
		mtu_start(c, c->now);
	return 0;
}

static int stop_sending_callback(ngtcp2_conn *quic, int64_t id, uint64_t code, void *user,
				 void *stream_user)
{
	(void)quic;
	(void)id;
	(void)code;
	(void)stream_user;
	return fail(user); /* never sent in this protocol */
}

static int datagram_callback(ngtcp2_conn *quic, uint32_t flags, const uint8_t *data, size_t len,
			     void *user)
{
	struct connection *c = user;

	(void)quic;
	(void)flags; /* there is no 0-RTT */
	c->heard = true;
	if (c->state == CONN_CLOSED)
		return 0;
	return dgram_received(c, data, len, c->now) < 0 ? fail(c) : 0;
}

static int datagram_acked_callback(ngtcp2_conn *quic, uint64_t large, void *user)
{
	struct connection *c = user;

	(void)quic;
	c->heard = true;
	dgram_acknowledged(c, large, c->now);
	return 0;
}

static int datagram_lost_callback(ngtcp2_conn *quic, uint64_t large, void *user)
{
	struct connection *c = user;

	(void)quic;
	dgram_lost(c, large, c->now);
	return 0;
}

static int more_streams_callback(ngtcp2_conn *quic, uint64_t max, void *user)
{
	(void)quic;
	(void)max;
	((struct connection *)user)->heard = true;
	return 0;
}

static const ngtcp2_callbacks CALLBACKS = {
	QUIC_CRYPTO_CALLBACKS,
	.recv_crypto_data = crypto_data_callback,
	.handshake_completed = handshake_completed_callback,
	.recv_stream_data = stream_data_callback,
	.acked_stream_data_offset = acked_callback,
	.stream_open = stream_open_callback,
	.stream_close = stream_close_callback,
	.stream_reset = stream_reset_callback,
	.stream_stop_sending = stop_sending_callback,
	.extend_max_local_streams_bidi = more_streams_callback,
	.rand = rand_callback,
	.get_new_connection_id = new_cid_callback,
	.remove_connection_id = remove_cid_callback,
	.path_validation = path_validation_callback,
	.recv_datagram = datagram_callback,
	.ack_datagram = datagram_acked_callback,
	.lost_datagram = datagram_lost_callback,
};

/* --- making one --- */

/* A relay's channel has an address that is none of these. */
static bool is_near(const struct addr *a)
{
	return addr_is_private(a) || addr_is_loopback(a) || addr_is_link_local(a);
}

static ngtcp2_cc_algo algorithm(const struct connection *c)
{
	if (!c->node->config.bbr)
		return NGTCP2_CC_ALGO_CUBIC;
	return is_near(&c->path.remote) ? QUIC_BBR_NEAR : NGTCP2_CC_ALGO_BBR;
}

static void fill_settings(const struct connection *c, ngtcp2_settings *s, gw_time now)
{
	ngtcp2_settings_default(s);
	s->initial_ts = now;
	s->cc_algo = algorithm(c);
	s->max_tx_udp_payload_size = c->mtu.ceiling;
	s->no_tx_udp_payload_size_shaping = 1;
	s->no_pmtud = 1;
	s->handshake_timeout = HANDSHAKE_TIMEOUT;
	s->initial_rtt = INITIAL_RTT;
	s->rand_ctx.native_handle = c->node->rng;
}

static void fill_params(ngtcp2_transport_params *p)
{
	ngtcp2_transport_params_default(p);
	p->initial_max_data = QUIC_CONN_WINDOW;
	p->initial_max_stream_data_bidi_local = QUIC_STREAM_WINDOW;
	p->initial_max_stream_data_bidi_remote = QUIC_STREAM_WINDOW;
	p->initial_max_streams_bidi = 2 * PEER_STREAMS_MAX + 1;
	p->max_idle_timeout = 0;
	p->max_udp_payload_size = 65527;
	p->max_datagram_frame_size = DGRAM_FRAME_MAX;
	quic_no_grease(p);
}

/* Where a connection goes: a path, or a channel of a beacon. */
struct route {
	struct path path;
	struct beacon_ref *relay; /* NULL: direct */
	uint64_t channel;
};

static struct route route_through(struct beacon_ref *b, uint64_t channel)
{
	struct route r = { .relay = b, .channel = channel };

	r.path.remote = addr_of_channel(channel);
	return r;
}

static bool attach(struct connection *c, const struct route *r)
{
	if (map_put(&c->node->by_token, c->token, c) < 0)
		return false;
	if (!r->relay || relayed_attach(c, r->relay, r->channel) == 0)
		return true;
	map_remove(&c->node->by_token, c->token);
	return false;
}

static struct connection *connection_new(struct node *n, bool dialler, const struct route *r,
					 gw_time now)
{
	const struct path *path = &r->path;
	struct connection *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->node = n;
	c->dialler = dialler;
	c->path = *path;
	c->quic_local = path->local;
	c->migrated_to = path->remote;
	c->created_at = c->state_since = c->heard_at = c->progress_at = c->now = now;
	c->stream_heard_at = c->outstanding_since = c->answer_at = c->pace_at = GW_NEVER;
	c->control_id = -1;
	c->tls.accept = peer_accept_key;
	list_init(&c->rx_segments);
	dgram_queue_init(&c->early);
	mtu_init(&c->mtu, n, path, r->relay ? WIRE_CHANNEL_HEADER : 0);
	c->token = rng_u64(n->rng);
	if (!attach(c, r)) {
		free(c);
		return NULL;
	}
	list_append(&n->connections, &c->all_link);
	n->n_connections++;
	if (!dialler)
		n->n_half_open++;
	return c;
}

static void fill_path(const struct path *path, struct sockaddr_storage store[2], ngtcp2_path *out)
{
	struct addr local = path->local;

	/* ngtcp2 wants some address of the family; a dialler's is constant, since the kernel
	 * may choose another one for each packet. */
	if (local.family == ADDR_NONE)
		local = (struct addr){ .family = path->remote.family };
	quic_path_fill(&local, &path->remote, store, out);
}

static void random_cid(struct node *n, ngtcp2_cid *cid, size_t len)
{
	cid->datalen = len;
	rng_bytes(n->rng, cid->data, len);
}

static bool register_cid(struct connection *c, const ngtcp2_cid *cid)
{
	return map_put(&c->node->by_cid, cid_key(cid->data), c) == 0;
}

static struct connection *dial(struct peer *p, const struct route *r, gw_time now)
{
	struct connection *c = connection_new(p->node, true, r, now);
	struct sockaddr_storage store[2];
	ngtcp2_transport_params params;
	ngtcp2_settings settings;
	ngtcp2_path quic_path;
	ngtcp2_cid scid, dcid;

	if (!c)
		return NULL;
	c->peer = p;
	list_append(&p->connections, &c->peer_link);
	fill_settings(c, &settings, now);
	fill_params(&params);
	fill_path(&r->path, store, &quic_path);
	random_cid(c->node, &scid, CID_SIZE);
	random_cid(c->node, &dcid, 16);
	if (!register_cid(c, &scid) ||
	    ngtcp2_conn_client_new(&c->quic, &dcid, &scid, &quic_path, NGTCP2_PROTO_VER_V1,
				   &CALLBACKS, &settings, &params, &c->node->quic_pool.mem,
				   c) != 0 ||
	    tls_session_new(&c->tls, &c->node->tls, true, ALPN_NODE, c->quic, get_conn, c) < 0) {
		map_remove(&c->node->by_cid, cid_key(scid.data));
		connection_free(c);
		return NULL;
	}
	c->node->stats.dials++;
	connection_schedule(c, now);
	connection_touch(c);
	return c;
}

struct connection *connection_dial(struct peer *p, const struct path *path, gw_time now)
{
	const struct route r = { .path = *path };

	return dial(p, &r, now);
}

struct connection *connection_dial_relayed(struct peer *p, struct beacon_ref *b, gw_time now)
{
	const struct route r = route_through(b, rng_u64(p->node->rng));

	return dial(p, &r, now);
}

/* The id that a client has drawn, and its address: a copy of its Initial from elsewhere that comes
 * first does not stand in for it. */
static uint64_t initial_key(const struct addr *remote, uint64_t dcid)
{
	uint64_t words[2];

	memcpy(words, remote->ip, sizeof(words));
	dcid ^= (words[0] + remote->port) * UINT64_C(0x9e3779b97f4a7c15);
	return dcid ^ words[1] * UINT64_C(0xbf58476d1ce4e5b9);
}

struct connection *connection_of_initial(const struct node *n, const struct addr *remote,
					 uint64_t dcid)
{
	uint64_t key = initial_key(remote, dcid);
	struct connection *c = map_get(&n->by_cid, key);

	return c && c->odcid == key ? c : NULL;
}

static struct connection *accept_on(struct node *n, const struct route *r, const uint8_t *data,
				    size_t len, gw_time now)
{
	struct connection *c;
	struct sockaddr_storage store[2];
	ngtcp2_transport_params params;
	ngtcp2_settings settings;
	ngtcp2_path quic_path;
	ngtcp2_pkt_hd hd;
	ngtcp2_cid scid;

	if (ngtcp2_accept(&hd, data, len) != 0 || hd.version != NGTCP2_PROTO_VER_V1 ||
	    hd.dcid.datalen < CID_SIZE)
		return NULL;
	c = connection_new(n, false, r, now);
	if (!c)
		return NULL;
	fill_settings(c, &settings, now);
	fill_params(&params);
	quic_server_params(&params, &hd.dcid);
	fill_path(&r->path, store, &quic_path);
	random_cid(n, &scid, CID_SIZE);
	if (!register_cid(c, &scid) ||
	    ngtcp2_conn_server_new(&c->quic, &hd.scid, &scid, &quic_path, hd.version, &CALLBACKS,
				   &settings, &params, &n->quic_pool.mem, c) != 0 ||
	    tls_session_new(&c->tls, &n->tls, false, ALPN_NODE, c->quic, get_conn, c) < 0 ||
	    map_put(&n->by_cid, initial_key(&r->path.remote, cid_key(hd.dcid.data)), c) < 0) {
		map_remove(&n->by_cid, cid_key(scid.data));
		connection_free(c);
		return NULL;
	}
	c->odcid = initial_key(&r->path.remote, cid_key(hd.dcid.data));
	connection_schedule(c, now);
	return c;
}

struct connection *connection_accept(struct node *n, const struct path *path, const uint8_t *data,
				     size_t len, gw_time now)
{
	const struct route r = { .path = *path };

	return accept_on(n, &r, data, len, now);
}

struct connection *connection_accept_relayed(struct node *n, struct beacon_ref *b, uint64_t channel,
					     const uint8_t *data, size_t len, gw_time now)
{
	const struct route r = route_through(b, channel);

	return accept_on(n, &r, data, len, now);
}

static void forget_cids(struct connection *c)
{
	ngtcp2_cid ids[32];
	size_t count;

	if (!c->quic)
		return;
	count = quic_scid_count(c->quic);
	assert(count <= sizeof(ids) / sizeof(ids[0]));
	ngtcp2_conn_get_scid(c->quic, ids);
	for (size_t i = 0; i < count; i++)
		map_remove(&c->node->by_cid, cid_key(ids[i].data));
	if (c->odcid && map_get(&c->node->by_cid, c->odcid) == c)
		map_remove(&c->node->by_cid, c->odcid);
}

/* A socket of a spray lives as long as a connection uses it. */
static void close_socket(const struct connection *c)
{
	list_each(&c->node->connections, i, tmp) {
		const struct connection *other = container_of(i, struct connection, all_link);

		if (other != c && !other->relay && other->path.via == c->path.via)
			return;
	}
	outbox_close(c->node, c->path.via);
}

void connection_free(struct connection *c)
{
	struct node *n = c->node;

	if (c->state == CONN_HANDSHAKE && !c->dialler)
		n->n_half_open--;
	forget_cids(c);
	if (c->path.via && !c->relay)
		close_socket(c);
	relayed_detach(c);
	map_remove(&n->by_token, c->token);
	map_fit(&n->by_token);
	map_fit(&n->by_cid);
	heap_remove(&n->conn_timers, &c->timer);
	list_remove(&c->all_link);
	list_remove(&c->peer_link);
	list_remove(&c->dirty_link);
	list_each(&c->rx_segments, i, tmp)
		segment_free(container_of(i, struct rx_segment, link));
	if (c->quic)
		ngtcp2_conn_del(c->quic);
	tls_session_free(&c->tls);
	chain_clear(&c->control);
	free(c->frame);
	free(c->left);
	dgram_queue_clear(&c->early);
	n->n_connections--;
	free(c);
}

/* --- reading --- */

bool claim_replaces(const struct node *n, const uint8_t *reason, size_t len)
{
	struct wire_claim theirs;

	if (len != WIRE_CLAIM_SIZE)
		return false;
	wire_claim_decode(&theirs, reason);
	return theirs.incarnation != n->incarnation && theirs.started_ms >= n->config.started_ms &&
	       signature_valid(n->identity.key, CLAIM_CONTEXT, reason, WIRE_CLAIM_SIGNED,
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
	c->heard = false;
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
	c->n_unanswered++;
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
		at = time_min(liveness_due(c), quic_due(c));
		at = time_min(at, c->answer_at);
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

/* What was put off is due: not enough has come for a transfer of bulk, or not at that speed. */
static void answer_now(struct connection *c)
{
	c->answer_at = GW_NEVER;
	c->bulk = false;
	connection_touch(c);
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
		if (now >= c->answer_at)
			answer_now(c);
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
