/* core/stream.h - streams: what belongs to two keys and outlives connections.
 * Spec: docs/protocol.md, section 5.  The application's side is in core/node.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_CORE_STREAM_H
#define GODWIT_CORE_STREAM_H

#include "core/types.h"

enum stream_kind { STREAM_OF_BYTES, STREAM_OF_DATAGRAMS };

/* NULL: out of memory. */
struct stream *stream_new(struct peer *p, uint64_t id, const char *service, bool incoming,
			  enum stream_kind kind, gw_time now);
/* Free it if nobody needs it any more. */
void stream_bury(struct stream *s);

void stream_raise(struct stream *s, unsigned events);
/* It ends here, at once: the application gets `error`. */
void stream_fail(struct stream *s, int error);
/* It has waited too long for its peer: the application gets the error now, the peer when it
 * is back; when that takes too long as well, it is forgotten. */
void stream_park_out(struct stream *s);
/* Policy no longer allows this live stream: both applications are told. */
void stream_deny(struct stream *s);
/* The peer has shown that it knows the stream. */
void stream_answered(struct stream *s, gw_time now);
/* Incoming: tell the peer that we have it, and grant a window. */
void stream_answer(struct stream *s, gw_time now);
/* After a move: say again what the old connection may have lost. */
void stream_repeat(struct stream *s);

/* Tell the application when there is room again. */
void stream_maybe_writable(struct stream *s);
/* After each change of its state, of what it holds, and of what it has sent. */
void stream_count_unsent(struct stream *s);
void stream_acknowledged(struct stream *s, uint64_t offset, gw_time now);
/* Bytes [from, from + len) of the peer's direction.  Negative: protocol error. */
int stream_received(struct stream *s, uint64_t from, const uint8_t *data, size_t len, bool fin,
		    gw_time now);

/* Frames.  Negative: protocol error. */
int stream_window(struct stream *s, uint64_t received, uint64_t limit, gw_time now);
int stream_done(struct stream *s, gw_time now);
void stream_reset_received(struct stream *s, uint64_t code);

#endif
