/* core/connection.h - one QUIC connection over one path: disposable.
 * Spec: docs/protocol.md, section 4.
 *
 * Nothing here frees a connection: connection_kill() marks it, and node_transmit() buries it
 * when no library call is on the stack. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_CORE_CONNECTION_H
#define GODWIT_CORE_CONNECTION_H

#include "core/types.h"

/* Dial `peer` over `path`; the generation is set by the caller.  NULL: out of memory. */
struct connection *connection_dial(struct peer *p, const struct path *path, gw_time now);
/* The same through a beacon, over a channel not yet opened. */
struct connection *connection_dial_relayed(struct peer *p, struct beacon_ref *b, gw_time now);
/* Of a client's Initial with that destination id, which we have accepted from there; NULL: none. */
struct connection *connection_of_initial(const struct node *n, const struct addr *remote,
					 const uint8_t *dcid);
struct guest;
/* Of a first packet with that header, by `path`, or by a channel of `b` (not NULL).  Takes what the
 * guest has shown.  NULL: out of memory, or the channel is in use. */
struct connection *connection_accept(struct node *n, const struct path *path, struct beacon_ref *b,
				     uint64_t channel, const ngtcp2_pkt_hd *hd,
				     const struct guest *guest, gw_time now);
/* An accepted one leaves the handshake. */
void connection_opened(struct connection *c);
void connection_free(struct connection *c);

void connection_read(struct connection *c, const struct path *path, const uint8_t *data, size_t len,
		     gw_time now);
/* Fill a batch.  False: nothing to send now. */
bool connection_write(struct connection *c, struct batch *out, gw_time now);
void connection_expire(struct connection *c, gw_time now);

void connection_set_state(struct connection *c, enum conn_state state, gw_time now);
/* End it; `code` CLOSE_NONE sends nothing.  `error` is for whoever waits for it. */
void connection_kill(struct connection *c, enum close_code code, int error, gw_time now);

/* It has something to write: visit it in node_transmit(). */
void connection_touch(struct connection *c);
/* Queue a control frame. */
void connection_send(struct connection *c, const struct frame *f);
/* The dialler says hello when the handshake is complete. */
void connection_begin_control(struct connection *c);
/* What ngtcp2 says is unacknowledged, bytes: silence counts from the first. */
void connection_note_outstanding(struct connection *c, uint64_t bytes_in_flight, gw_time now);
/* Compute when it is due next. */
void connection_schedule(struct connection *c, gw_time now);
void connection_hello(struct connection *c);
gw_time connection_rtt(const struct connection *c);
gw_time connection_silence_limit(const struct connection *c);
/* Is the reason of a CLOSE_IN_USE the word of a newer process with our own key?  Only then is it
 * more than somebody's opinion. */
bool claim_replaces(const struct node *n, const uint8_t *reason, size_t len);

#endif
