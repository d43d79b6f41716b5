/* quic/tls.h - TLS 1.3 with raw public keys (RFC 7250), mutual, for a QUIC connection.
 * Spec: docs/protocol.md, section 4. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_QUIC_TLS_H
#define GODWIT_QUIC_TLS_H

#include <gnutls/gnutls.h>
#include <ngtcp2/ngtcp2.h>
#include <ngtcp2/ngtcp2_crypto.h>
#include <stdbool.h>

#include "crypto/identity.h"

#define ALPN_NODE "godwit/1"
#define ALPN_BEACON "godwit-beacon/1"

/* Credentials and priorities: once for each identity. */
struct tls_context {
	gnutls_certificate_credentials_t credentials;
	gnutls_priority_t priority;
};

/* GW_E_CRYPTO.  Borrows the identity until tls_clear(): GnuTLS asks for signatures, and never has the
 * seed. */
int tls_init(struct tls_context *ctx, const struct identity *identity);
void tls_clear(struct tls_context *ctx);

/* Embedded in a connection. */
struct tls_session {
	ngtcp2_crypto_conn_ref ref;
	gnutls_session_t session;
	uint8_t key[KEY_SIZE]; /* the peer's, once it has proved that it owns it */
	bool key_known;
	/* Asked during the handshake, once the key is known: may it be?  */
	bool (*accept)(struct tls_session *s);
};

/* For a connection whose ngtcp2_conn exists; `get_conn` finds it again from `user`. */
int tls_session_new(struct tls_session *s, const struct tls_context *ctx, bool client,
		    const char *alpn, ngtcp2_conn *quic, ngtcp2_crypto_get_conn get_conn,
		    void *user);
void tls_session_free(struct tls_session *s); /* twice is once */

#endif
