/* io/frames.h - datagrams on a byte stream: two bytes of length, big-endian, then the datagram.
 *
 * Length 0 is a keep-alive.  The queue drops rather than grows, as a router does: what is sent
 * here has its own recovery, and would rather lose a datagram than wait for it.
 * Pure; docs/protocol.md says where it is used. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_IO_FRAMES_H
#define GODWIT_IO_FRAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/time.h"

enum {
	FRAME_HEADER = 2,
	FRAME_DATAGRAM_MAX = 65535,
	FRAME_MAX = FRAME_HEADER + FRAME_DATAGRAM_MAX,
	FRAME_QUEUE_MARKS = 8,
};

/* Cut the first frame off: the bytes it takes, with header; 0: it has not all come.  *datagram
 * points into `data`; *size is 0 for a keep-alive. */
size_t frame_next(const uint8_t *data, size_t len, const uint8_t **datagram, size_t *size);

/* The oldest byte must not be older than that for a datagram to be taken in. */
#define FRAME_QUEUE_AGE (100 * GW_MSEC)

/* Frames that wait.  Holds no memory while it is empty.  Zeroed memory and a limit is an empty
 * one. */
struct frame_queue {
	size_t limit; /* bytes of frames; a lone datagram may be longer */
	uint8_t *data;
	size_t start, end, size;
	uint64_t taken; /* bytes that have left, ever */
	struct {
		uint64_t offset; /* from this byte on (counted as `taken` is) ... */
		gw_time at;      /* ... they came then, or a little later */
	} marks[FRAME_QUEUE_MARKS];
	unsigned n_marks;
};

void frame_queue_clear(struct frame_queue *q);
static inline size_t frame_queue_len(const struct frame_queue *q)
{
	return q->end - q->start;
}
/* One datagram, or with size 0 a keep-alive.  false: dropped. */
bool frame_queue_add(struct frame_queue *q, const uint8_t *data, size_t size, gw_time now);
/* The bytes at the front, frame_queue_len() of them, until the next call. */
const uint8_t *frame_queue_front(const struct frame_queue *q);
void frame_queue_take(struct frame_queue *q, size_t len);

#endif
