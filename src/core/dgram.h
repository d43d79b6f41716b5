/* core/dgram.h - datagrams of streams, in QUIC DATAGRAM frames: sent once, never repeated.
 * Spec: docs/protocol.md, section 15.  The application's side is in core/node.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_CORE_DGRAM_H
#define GODWIT_CORE_DGRAM_H

#include "core/types.h"

void dgram_queue_init(struct dgram_queue *q);
void dgram_queue_clear(struct dgram_queue *q);

/* Make a new stream one of datagrams.  False: out of memory. */
bool dgram_stream_init(struct stream *s);
/* What was received and not taken is lost. */
void dgram_stream_clear(struct stream *s);

/* --- sending, on peer->used --- */

/* The next one that may go, or NULL.  What cannot go any more is dropped on the way.  `streams`:
 * there are bytes of streams to send, too; then NULL may mean that it is their turn. */
struct dgram *dgram_next(struct connection *c, bool streams, gw_time now);
void dgram_sent(struct connection *c, struct dgram *d);
/* So many bytes of streams have been sent. */
void dgram_streams_sent(struct peer *p, size_t len);
/* Drop what has waited too long. */
void dgram_expire(struct peer *p, gw_time now);
/* What ngtcp2 tells of one: it made its packet larger than PAYLOAD_MIN, or not. */
void dgram_acknowledged(struct connection *c, bool large, gw_time now);
void dgram_lost(struct connection *c, bool large, gw_time now);

/* --- receiving --- */

/* The content of a DATAGRAM frame.  Negative: the peer broke the protocol. */
int dgram_received(struct connection *c, const uint8_t *data, size_t len, gw_time now);
/* The OPEN of a stream has been taken or refused: what has overtaken it is delivered or dropped. */
void dgram_opened(struct connection *c, uint64_t id, gw_time now);

#endif
