/* core/segment.h - a segment carries one direction of a stream over one connection.
 * Spec: docs/protocol.md, section 5. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_CORE_SEGMENT_H
#define GODWIT_CORE_SEGMENT_H

#include "core/types.h"

/* --- ours, on peer->used --- */

/* What the present segment of a stream can send next. */
struct segment_output {
	ngtcp2_vec vec[4];
	size_t n, total;
	bool fin; /* this is everything */
};

/* Does the stream have something to say on the used connection? */
bool segment_has_output(const struct stream *s);
/* Queue the stream for sending when it has. */
void segment_wake(struct stream *s);
/* Open QUIC streams for the first of the waiting ones.  Not between the pieces of a packet. */
void segment_prepare(struct peer *p);
/* The stream whose turn it is, or NULL. */
struct stream *segment_next(struct peer *p);
/* About `want` bytes, or all that there is. */
void segment_output(struct stream *s, size_t want, struct segment_output *out);
void segment_sent(struct stream *s, const struct segment_output *o, size_t taken);
/* The peer has the first `end` bytes of the segment's QUIC stream. */
void segment_acknowledged(struct stream *s, uint64_t end, gw_time now);
bool segment_acknowledged_all(const struct stream *s);
/* Its QUIC stream is complete.  May free the stream. */
void segment_ended(struct stream *s);
/* There is no segment any more. */
void segment_forget(struct stream *s);
/* The connection is no longer the used one.  May free the stream. */
void segment_detach(struct stream *s);

/* --- the peer's --- */

/* Bytes of an incoming segment, in order.  Negative: the peer broke the protocol. */
int segment_received(struct connection *c, struct rx_segment *segment, const uint8_t *data,
		     size_t len, bool fin, gw_time now);
void segment_free(struct rx_segment *segment);

#endif
