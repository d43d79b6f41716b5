/* SPDX-License-Identifier: Apache-2.0 */
/* What ngtcp2 tells of a link: it is up, bytes have come, the client has moved. */
#include <stdlib.h>
#include <string.h>

#include "quic/link_internal.h"

/* The server asks, the client answers: one packet each.  The other way round every fourth answer
 * would ask in turn, and an idle client would send five packets in 100 s.  It asks itself only when
 * the server's question has not come. */
#define KEEPALIVE (25 * GW_SEC)
#define KEEPALIVE_CLIENT (28 * GW_SEC)

static int fail(struct link *l)
{
	link_broken(l);
	return NGTCP2_ERR_CALLBACK_FAILURE;
}

static void rand_callback(uint8_t *out, size_t len, const ngtcp2_rand_ctx *ctx)
{
	quic_random(ctx->native_handle, out, len);
}

static int new_cid_callback(ngtcp2_conn *quic, ngtcp2_cid *cid, uint8_t *token, size_t len,
			    void *user)
{
	struct link *l = user;

	(void)quic;
	rng_bytes(l->host->rng, cid->data, len);
	cid->datalen = len;
	rng_bytes(l->host->rng, token, NGTCP2_STATELESS_RESET_TOKENLEN);
	return map_put(&l->host->by_cid, cid_key(cid->data), l) < 0 ? NGTCP2_ERR_CALLBACK_FAILURE
								    : 0;
}

static int remove_cid_callback(ngtcp2_conn *quic, const ngtcp2_cid *cid, void *user)
{
	struct link *l = user;

	(void)quic;
	map_remove(&l->host->by_cid, cid_key(cid->data));
	return 0;
}

static int handshake_completed_callback(ngtcp2_conn *quic, void *user)
{
	struct link *l = user;
	int64_t id;

	l->heard = true;
	if (l->state != LINK_HANDSHAKE)
		return 0;
	l->state = LINK_UP;
	ngtcp2_conn_set_keep_alive_timeout(quic, l->client ? KEEPALIVE_CLIENT : KEEPALIVE);
	if (!l->client) {
		l->confirmed = true; /* a server is not called back for that */
		l->host->n_half_open--;
		l->host->on_up(l, l->now);
		return 0;
	}
	if (ngtcp2_conn_open_bidi_stream(quic, &id, NULL) != 0)
		return NGTCP2_ERR_CALLBACK_FAILURE;
	l->stream_open = true;
	l->host->on_up(l, l->now);
	return 0;
}

static int handshake_confirmed_callback(ngtcp2_conn *quic, void *user)
{
	(void)quic;
	((struct link *)user)->confirmed = true;
	return 0;
}

/* TLS has nothing more to say after the handshake: a session costs more than the rest of an
 * idle link. */
static int crypto_data_callback(ngtcp2_conn *quic, quic_level level, uint64_t offset,
				const uint8_t *data, size_t len, void *user)
{
	struct link *l = user;

	if (!l->tls.session)
		return NGTCP2_ERR_CRYPTO;
	return ngtcp2_crypto_recv_crypto_data_cb(quic, level, offset, data, len, user);
}

static int handle_frames(struct link *l, const uint8_t *data, size_t len, size_t *used)
{
	struct beacon_frame frame;

	*used = 0;
	while (*used < len && l->state == LINK_UP) {
		ssize_t n = wire_beacon_decode(&frame, data + *used, len - *used);

		if (n < 0)
			return fail(l);
		if (n == 0)
			return 0;
		*used += (size_t)n;
		l->host->on_frame(l, &frame, l->now);
	}
	if (l->state != LINK_UP)
		*used = len;
	return 0;
}

/* Frames may be split over packets: complete ones are handled, the rest is kept. */
static int bytes_received(struct link *l, const uint8_t *data, size_t len)
{
	size_t used;
	int rv;

	while (len > 0) {
		size_t room = WIRE_BEACON_FRAME_MAX - l->partial_len;
		size_t take = len < room ? len : room;

		if (l->partial_len == 0) {
			rv = handle_frames(l, data, len, &used);
			data += used;
			len -= used;
			if (rv != 0 || len == 0)
				return rv;
			if (len > WIRE_BEACON_FRAME_MAX)
				return fail(l);
			l->partial = malloc(WIRE_BEACON_FRAME_MAX);
			if (!l->partial)
				return NGTCP2_ERR_CALLBACK_FAILURE;
			memcpy(l->partial, data, len);
			l->partial_len = len;
			return 0;
		}
		memcpy(l->partial + l->partial_len, data, take);
		l->partial_len += take;
		data += take;
		len -= take;
		rv = handle_frames(l, l->partial, l->partial_len, &used);
		if (rv != 0)
			return rv;
		if (used == 0 && l->partial_len == WIRE_BEACON_FRAME_MAX)
			return fail(l);
		l->partial_len -= used;
		memmove(l->partial, l->partial + used, l->partial_len);
		if (l->partial_len == 0) {
			free(l->partial);
			l->partial = NULL;
		}
	}
	return 0;
}

static int stream_data_callback(ngtcp2_conn *quic, uint32_t flags, int64_t id, uint64_t offset,
				const uint8_t *data, size_t len, void *user, void *stream_user)
{
	struct link *l = user;

	(void)offset;
	(void)stream_user;
	l->heard = true;
	if (l->state == LINK_CLOSED)
		return 0;
	if (id != STREAM || (flags & NGTCP2_STREAM_DATA_FLAG_FIN))
		return fail(l);
	ngtcp2_conn_extend_max_offset(quic, len);
	ngtcp2_conn_extend_max_stream_offset(quic, id, len);
	return bytes_received(l, data, len);
}

static int stream_open_callback(ngtcp2_conn *quic, int64_t id, void *user)
{
	struct link *l = user;

	(void)quic;
	if (id != STREAM)
		return fail(l);
	l->stream_open = true;
	link_touch(l);
	return 0;
}

static int stream_close_callback(ngtcp2_conn *quic, uint32_t flags, int64_t id, uint64_t code,
				 void *user, void *stream_user)
{
	(void)quic;
	(void)flags;
	(void)id;
	(void)code;
	(void)stream_user;
	return fail(user);
}

static int acked_callback(ngtcp2_conn *quic, int64_t id, uint64_t offset, uint64_t len, void *user,
			  void *stream_user)
{
	struct link *l = user;

	(void)quic;
	(void)id;
	(void)stream_user;
	l->heard = true;
	l->host->queued -= chain_len(&l->control);
	chain_release(&l->control, offset + len);
	l->host->queued += chain_len(&l->control);
	return 0;
}

static int stream_reset_callback(ngtcp2_conn *quic, int64_t id, uint64_t final_size, uint64_t code,
				 void *user, void *stream_user)
{
	(void)final_size;
	return stream_close_callback(quic, 0, id, code, user, stream_user);
}

static int stop_sending_callback(ngtcp2_conn *quic, int64_t id, uint64_t code, void *user,
				 void *stream_user)
{
	return stream_close_callback(quic, 0, id, code, user, stream_user);
}

/* --- where a client is --- */

void link_path_of(const struct link *l, const ngtcp2_path *p, struct path *out)
{
	struct addr remote = { 0 };

	addr_from_sockaddr(&remote, p->remote.addr, p->remote.addrlen);
	if (addr_equal(&remote, &l->path.remote))
		*out = l->path;
	else if (addr_equal(&remote, &l->latest.remote))
		*out = l->latest;
	else
		*out = (struct path){ .remote = remote, .via = addr_conduit(&remote) };
}

static void set_path(struct link *l, const struct path *to)
{
	l->before = l->path;
	l->path = *to;
	l->host->on_moved(l, l->now);
}

/* The client answers at its new address: only now it is there. */
static int path_validation_callback(ngtcp2_conn *quic, uint32_t flags, const ngtcp2_path *path,
				    QUIC_OLD_PATH ngtcp2_path_validation_result result, void *user)
{
	struct link *l = user;
	struct path to;

	(void)flags;
	if (l->client || l->state != LINK_UP || result != NGTCP2_PATH_VALIDATION_RESULT_SUCCESS ||
	    !ngtcp2_path_eq(path, ngtcp2_conn_get_path(quic)))
		return 0;
	l->heard = true;
	link_path_of(l, path, &to);
	if (!addr_equal(&to.remote, &l->path.remote))
		set_path(l, &to);
	return 0;
}

void link_follow_back(struct link *l)
{
	struct path to;

	if (l->client || l->state != LINK_UP)
		return;
	link_path_of(l, ngtcp2_conn_get_path(l->quic), &to);
	if (addr_equal(&to.remote, &l->before.remote)) {
		to = l->before;
		set_path(l, &to);
	}
}

const ngtcp2_callbacks link_callbacks = {
	QUIC_CRYPTO_CALLBACKS,
	.recv_crypto_data = crypto_data_callback,
	.handshake_completed = handshake_completed_callback,
	.handshake_confirmed = handshake_confirmed_callback,
	.recv_stream_data = stream_data_callback,
	.acked_stream_data_offset = acked_callback,
	.stream_open = stream_open_callback,
	.stream_close = stream_close_callback,
	.stream_reset = stream_reset_callback,
	.stream_stop_sending = stop_sending_callback,
	.rand = rand_callback,
	.get_new_connection_id = new_cid_callback,
	.remove_connection_id = remove_cid_callback,
	.path_validation = path_validation_callback,
};
