/* quic/quic.h - what differs between ngtcp2 0.12 (Debian 12) and 1.x (Debian 13).
 *
 * The rest of quic/ and core/ is written to the API that both share. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_QUIC_QUIC_H
#define GODWIT_QUIC_QUIC_H

#include <ngtcp2/ngtcp2.h>
#include <ngtcp2/ngtcp2_crypto.h>
#include <ngtcp2/ngtcp2_crypto_gnutls.h>
#include <stdbool.h>
#include <string.h>

#include "base/addr.h"
#include "base/rng.h"

/* Random bytes for ngtcp2.  0.12 draws one byte per connection to decide whether to clear the QUIC
 * bit; an even one keeps it set (docs/protocol.md, section 3). */
static inline void quic_random(struct rng *rng, uint8_t *out, size_t len)
{
	rng_bytes(rng, out, len);
	if (len == 1)
		out[0] &= 0xfe;
}

/* Members of an ngtcp2_callbacks that are the same for every connection. */
#define QUIC_CRYPTO_CALLBACKS                                                                      \
	.client_initial = ngtcp2_crypto_client_initial_cb,                                         \
	.recv_client_initial = ngtcp2_crypto_recv_client_initial_cb,                               \
	.encrypt = ngtcp2_crypto_encrypt_cb, .decrypt = ngtcp2_crypto_decrypt_cb,                  \
	.hp_mask = ngtcp2_crypto_hp_mask_cb, .recv_retry = ngtcp2_crypto_recv_retry_cb,            \
	.update_key = ngtcp2_crypto_update_key_cb,                                                 \
	.delete_crypto_aead_ctx = ngtcp2_crypto_delete_crypto_aead_ctx_cb,                         \
	.delete_crypto_cipher_ctx = ngtcp2_crypto_delete_crypto_cipher_ctx_cb,                     \
	.get_path_challenge_data = ngtcp2_crypto_get_path_challenge_data_cb,                       \
	.version_negotiation = ngtcp2_crypto_version_negotiation_cb

/* `store` must outlive `out`. */
static inline void quic_path_fill(const struct addr *local, const struct addr *remote,
				  struct sockaddr_storage store[2], ngtcp2_path *out)
{
	socklen_t len;

	memset(out, 0, sizeof(*out));
	len = addr_to_sockaddr(local, &store[0], false);
	ngtcp2_addr_init(&out->local, (struct sockaddr *)&store[0], len);
	len = addr_to_sockaddr(remote, &store[1], false);
	ngtcp2_addr_init(&out->remote, (struct sockaddr *)&store[1], len);
}

/* The largest DATAGRAM frame that the peer takes; 0: none. */
static inline uint64_t quic_dgram_frame_max(ngtcp2_conn *conn)
{
	const ngtcp2_transport_params *p = ngtcp2_conn_get_remote_transport_params(conn);

	return p ? p->max_datagram_frame_size : 0;
}

struct quic_stat {
	uint64_t cwnd, bytes_in_flight;
	ngtcp2_duration smoothed_rtt, latest_rtt, min_rtt;
	double pacing_rate; /* bytes a nanosecond; 0: unknown */
};

/* How the peer closed, when it did. */
struct quic_close {
	bool application;
	uint64_t code;
	const uint8_t *reason; /* ngtcp2's memory */
	size_t reason_len;
};

#if NGTCP2_VERSION_NUM >= 0x010000

#define QUIC_BBR_NEAR NGTCP2_CC_ALGO_BBR

/* One more parameter of the path_validation callback. */
#define QUIC_OLD_PATH __attribute__((unused)) const ngtcp2_path *old_path,

static inline void quic_stat_get(ngtcp2_conn *conn, struct quic_stat *out)
{
	ngtcp2_conn_info info;

	ngtcp2_conn_get_conn_info(conn, &info);
	*out = (struct quic_stat){ info.cwnd,       info.bytes_in_flight, info.smoothed_rtt,
				   info.latest_rtt, info.min_rtt,         0 };
}

/* This one paces by itself. */
static inline ngtcp2_tstamp quic_pace(ngtcp2_conn *conn, const struct quic_stat *stat, size_t len,
				      ngtcp2_tstamp ready, ngtcp2_tstamp now)
{
	(void)stat;
	(void)len;
	(void)ready;
	ngtcp2_conn_update_pkt_tx_time(conn, now);
	return UINT64_MAX;
}

static inline ngtcp2_ssize quic_write_close(ngtcp2_conn *conn, ngtcp2_path *path, uint8_t *out,
					    size_t len, uint64_t code, const uint8_t *reason,
					    size_t reason_len, ngtcp2_tstamp now)
{
	ngtcp2_ccerr error;
	ngtcp2_pkt_info info;

	ngtcp2_ccerr_default(&error);
	ngtcp2_ccerr_set_application_error(&error, code, reason, reason_len);
	return ngtcp2_conn_write_connection_close(conn, path, &info, out, len, &error, now);
}

/* The close that `liberr` of ngtcp2_conn_read_pkt() calls for. */
static inline ngtcp2_ssize quic_write_error(ngtcp2_conn *conn, ngtcp2_path *path, uint8_t *out,
					    size_t len, int liberr, uint8_t alert,
					    ngtcp2_tstamp now)
{
	ngtcp2_ccerr error;
	ngtcp2_pkt_info info;

	ngtcp2_ccerr_default(&error);
	if (alert)
		ngtcp2_ccerr_set_tls_alert(&error, alert, NULL, 0);
	else
		ngtcp2_ccerr_set_liberr(&error, liberr, NULL, 0);
	return ngtcp2_conn_write_connection_close(conn, path, &info, out, len, &error, now);
}

static inline void quic_close_get(ngtcp2_conn *conn, struct quic_close *out)
{
	const ngtcp2_ccerr *error = ngtcp2_conn_get_ccerr(conn);

	out->application = error->type == NGTCP2_CCERR_TYPE_APPLICATION;
	out->code = error->error_code;
	out->reason = error->reason;
	out->reason_len = error->reasonlen;
}

static inline int quic_end_sending(ngtcp2_conn *conn, int64_t id)
{
	return ngtcp2_conn_shutdown_stream_write(conn, 0, id, 0);
}

static inline void quic_server_params(ngtcp2_transport_params *params, const ngtcp2_cid *odcid)
{
	params->original_dcid = *odcid;
	params->original_dcid_present = 1;
}

static inline ngtcp2_vec quic_token(const ngtcp2_pkt_hd *hd)
{
	return (ngtcp2_vec){ (uint8_t *)(uintptr_t)hd->token, hd->tokenlen };
}

/* The client has returned with a token of ours. */
static inline void quic_retried(ngtcp2_transport_params *params, ngtcp2_settings *settings,
				const ngtcp2_pkt_hd *hd)
{
	params->retry_scid = hd->dcid;
	params->retry_scid_present = 1;
	settings->token = hd->token;
	settings->tokenlen = hd->tokenlen;
	settings->token_type = NGTCP2_TOKEN_TYPE_RETRY;
}

/* Of a client's Initials; the library copies it. */
static inline void quic_client_token(ngtcp2_settings *settings, const uint8_t *token, size_t len)
{
	settings->token = len ? token : NULL;
	settings->tokenlen = len;
}

static inline void quic_no_grease(ngtcp2_transport_params *params)
{
	params->grease_quic_bit = 0;
}

static inline size_t quic_scid_count(ngtcp2_conn *conn)
{
	return ngtcp2_conn_get_scid(conn, NULL);
}

typedef ngtcp2_encryption_level quic_level;
#define QUIC_LEVEL_1RTT NGTCP2_ENCRYPTION_LEVEL_1RTT

#else

/* Version 1 sizes the window by the least round trip alone, which starves a fast and short path:
 * 65 KB in flight where the ends themselves take longer than the path.  Version 2 does not, but
 * gives way to random loss. */
#define QUIC_BBR_NEAR NGTCP2_CC_ALGO_BBR2

#define QUIC_OLD_PATH

static inline void quic_stat_get(ngtcp2_conn *conn, struct quic_stat *out)
{
	ngtcp2_conn_stat stat;

	ngtcp2_conn_get_conn_stat(conn, &stat);
	*out = (struct quic_stat){ stat.cwnd,       stat.bytes_in_flight, stat.smoothed_rtt,
				   stat.latest_rtt, stat.min_rtt,         stat.pacing_rate };
}

/* The `len` bytes just written are the last ones before `ready`.  Returns when to write again:
 * earlier than the library's expiry. */
static inline ngtcp2_tstamp quic_pace(ngtcp2_conn *conn, const struct quic_stat *stat, size_t len,
				      ngtcp2_tstamp ready, ngtcp2_tstamp now)
{
	double rate = stat->pacing_rate > 0
			      ? stat->pacing_rate
			      : (double)stat->cwnd / (double)stat->smoothed_rtt * 1.25;

	/* It adds what the bytes take at its own rate, and sends a millisecond (its
	 * NGTCP2_PKT_PACING_OVERHEAD) before that. */
	ngtcp2_conn_update_pkt_tx_time(conn, ready + NGTCP2_MILLISECONDS -
						     (ngtcp2_duration)((double)len / rate));
	return ready > now ? ready : UINT64_MAX;
}

static inline ngtcp2_ssize quic_write_close(ngtcp2_conn *conn, ngtcp2_path *path, uint8_t *out,
					    size_t len, uint64_t code, const uint8_t *reason,
					    size_t reason_len, ngtcp2_tstamp now)
{
	ngtcp2_connection_close_error error;
	ngtcp2_pkt_info info;

	ngtcp2_connection_close_error_default(&error);
	ngtcp2_connection_close_error_set_application_error(&error, code, reason, reason_len);
	return ngtcp2_conn_write_connection_close(conn, path, &info, out, len, &error, now);
}

/* The close that `liberr` of ngtcp2_conn_read_pkt() calls for. */
static inline ngtcp2_ssize quic_write_error(ngtcp2_conn *conn, ngtcp2_path *path, uint8_t *out,
					    size_t len, int liberr, uint8_t alert,
					    ngtcp2_tstamp now)
{
	ngtcp2_connection_close_error error;
	ngtcp2_pkt_info info;

	ngtcp2_connection_close_error_default(&error);
	if (alert)
		ngtcp2_connection_close_error_set_transport_error_tls_alert(&error, alert, NULL, 0);
	else
		ngtcp2_connection_close_error_set_transport_error_liberr(&error, liberr, NULL, 0);
	return ngtcp2_conn_write_connection_close(conn, path, &info, out, len, &error, now);
}

static inline void quic_close_get(ngtcp2_conn *conn, struct quic_close *out)
{
	ngtcp2_connection_close_error error;

	ngtcp2_conn_get_connection_close_error(conn, &error);
	out->application = error.type == NGTCP2_CONNECTION_CLOSE_ERROR_CODE_TYPE_APPLICATION;
	out->code = error.error_code;
	out->reason = error.reason;
	out->reason_len = error.reasonlen;
}

static inline int quic_end_sending(ngtcp2_conn *conn, int64_t id)
{
	return ngtcp2_conn_shutdown_stream_write(conn, id, 0);
}

static inline void quic_server_params(ngtcp2_transport_params *params, const ngtcp2_cid *odcid)
{
	params->original_dcid = *odcid;
}

static inline ngtcp2_vec quic_token(const ngtcp2_pkt_hd *hd)
{
	return hd->token;
}

static inline void quic_retried(ngtcp2_transport_params *params, ngtcp2_settings *settings,
				const ngtcp2_pkt_hd *hd)
{
	params->retry_scid = hd->dcid;
	params->retry_scid_present = 1;
	settings->token = hd->token;
}

static inline void quic_client_token(ngtcp2_settings *settings, const uint8_t *token, size_t len)
{
	settings->token = (ngtcp2_vec){ len ? (uint8_t *)(uintptr_t)token : NULL, len };
}

/* 0.12 always advertises RFC 9287 and flips a coin (a one-byte draw of the rand callback) per
 * connection; see rand_callback() in connection_callbacks.c. */
static inline void quic_no_grease(ngtcp2_transport_params *params)
{
	params->grease_quic_bit = 0;
}

static inline size_t quic_scid_count(ngtcp2_conn *conn)
{
	return ngtcp2_conn_get_num_scid(conn);
}

typedef ngtcp2_crypto_level quic_level;
#define QUIC_LEVEL_1RTT NGTCP2_CRYPTO_LEVEL_APPLICATION

#endif

#endif
