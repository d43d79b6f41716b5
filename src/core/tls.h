/* core/tls.h - TLS 1.3 with raw public keys (RFC 7250), mutual.
 * Spec: docs/protocol.md, section 4. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_CORE_TLS_H
#define GODWIT_CORE_TLS_H

#include "core/types.h"

/* Credentials and priorities of a node: once. */
int tls_init(struct node *n);
void tls_clear(struct node *n);

/* A session for a connection whose ngtcp2_conn exists.  The peer's key lands in c->key once
 * verified; what tls_accept_key() says decides. */
int tls_session_new(struct connection *c);

/* Asked during the handshake, when the peer has proved that it owns c->key.
 * Implemented by peer.c. */
bool tls_accept_key(struct connection *c);

#endif
