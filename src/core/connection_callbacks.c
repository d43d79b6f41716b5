/* SPDX-License-Identifier: Apache-2.0 */
/* What ngtcp2 tells of a connection: frames, stream data and datagrams have come or are
 * acknowledged, ids change, the dialler has moved. */
#include <stdlib.h>
#include <string.h>

#include "core/connection_internal.h"
#include "core/dgram.h"
#include "core/dial.h"
#include "core/mtu.h"
#include "core/peer.h"
#include "core/segment.h"

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
	c->heard = c->has_data = true;
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
	c->heard = c->has_data = true;
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

const ngtcp2_callbacks connection_callbacks = {
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
