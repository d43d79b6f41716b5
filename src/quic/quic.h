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

struct quic_stat {
	uint64_t cwnd, bytes_in_flight;
	ngtcp2_duration smoothed_rtt, min_rtt;
};

/* How the peer closed, when it did. */
struct quic_close {
	bool application;
	uint64_t code;
	const uint8_t *reason; /* ngtcp2's memory */
	size_t reason_len;
};

#if NGTCP2_VERSION_NUM >= 0x010000

/* One more parameter of the path_validation callback. */
#define QUIC_OLD_PATH __attribute__((unused)) const ngtcp2_path *old_path,

static inline void quic_stat_get(ngtcp2_conn *conn, struct quic_stat *out)
{
	ngtcp2_conn_info info;

	ngtcp2_conn_get_conn_info(conn, &info);
	*out = (struct quic_stat){ info.cwnd, info.bytes_in_flight, info.smoothed_rtt,
				   info.min_rtt };
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

static inline void quic_no_grease(ngtcp2_transport_params *params)
{
	params->grease_quic_bit = 0;
}

#else

#define QUIC_OLD_PATH

static inline void quic_stat_get(ngtcp2_conn *conn, struct quic_stat *out)
{
	ngtcp2_conn_stat stat;

	ngtcp2_conn_get_conn_stat(conn, &stat);
	*out = (struct quic_stat){ stat.cwnd, stat.bytes_in_flight, stat.smoothed_rtt,
				   stat.min_rtt };
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

/* 0.12 always advertises RFC 9287 and flips a coin (a one-byte draw of the rand callback) per
 * connection; see rand_callback() in connection.c. */
static inline void quic_no_grease(ngtcp2_transport_params *params)
{
	params->grease_quic_bit = 0;
}

#endif

#endif
