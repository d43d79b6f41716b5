/* core/peer.h - one remote key: its connections, generations, incarnation and streams.
 * Spec: docs/protocol.md, section 6. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_CORE_PEER_H
#define GODWIT_CORE_PEER_H

#include "core/policy.h"

/* Whom policy is asked about: a key, by what one of its processes has shown.  It borrows `key`. */
struct principal peer_principal(const struct node *n, const uint8_t key[KEY_SIZE]);
/* The same of one process: by what it has shown itself, or else another one of its key. */
struct principal peer_itself(const struct peer *p);
/* The peer of a key; transient ones are told apart by incarnation.  NULL: none. */
struct peer *peer_find(const struct node *n, const uint8_t key[KEY_SIZE]);
/* All of a key: start with NULL. */
struct peer *peer_next_of_key(const struct node *n, const uint8_t key[KEY_SIZE],
			      const struct peer *after);
/* The accept of a connection's TLS session: is it whom we dialled, or somebody we let in? */
bool peer_accept_key(struct tls_session *tls);
/* Find or make; NULL: no memory, or PEERS_MAX reached. */
struct peer *peer_get(struct node *n, const uint8_t key[KEY_SIZE], gw_time now);
/* Frees its streams and connections too. */
void peer_free(struct peer *p);

/* A frame came on the control stream.  Negative: protocol error. */
int peer_frame(struct connection *c, const struct frame *f, gw_time now);
/* Queue a frame on the used connection, if there is one. */
void peer_send(struct peer *p, const struct frame *f);
/* Carry the streams on `c` from now on, unless a higher-ranked connection does. */
void peer_use(struct connection *c, gw_time now);
/* What our hello on an accepted connection says: section 6. */
uint64_t peer_generation_for(const struct peer *p, const struct connection *c);

/* `c` is closed and about to be freed. */
void peer_connection_lost(struct connection *c, gw_time now);
/* Silence, keep-alive and idle rules of the used connection. */
void peer_check(struct connection *c, gw_time now);
gw_time peer_idle_due(const struct connection *c);
void peer_set_send_ahead(struct peer *p, uint64_t cwnd, bool near);
/* The set of streams, or how long they may park, has changed. */
void peer_streams_changed(struct peer *p);
void peer_raise(struct peer *p, int error);
int peer_ping(struct peer *p, uint64_t *id, gw_time now);
void peer_drop_pings(struct peer *p);
/* Free it when nothing depends on it. */
bool peer_disposable(const struct peer *p);

#endif
