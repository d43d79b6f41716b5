// SPDX-License-Identifier: Apache-2.0
#include "io/frames.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_SIZE = 32 << 10 }; /* held for moments only */

/* Marks are at least that far apart: then there is always room for one more. */
#define GRAIN (FRAME_QUEUE_AGE / FRAME_QUEUE_MARKS)

size_t frame_next(const uint8_t *data, size_t len, const uint8_t **datagram, size_t *size)
{
	size_t n;

	if (len < FRAME_HEADER)
		return 0;
	n = (size_t)data[0] << 8 | data[1];
	if (len - FRAME_HEADER < n)
		return 0;
	*datagram = data + FRAME_HEADER;
	*size = n;
	return FRAME_HEADER + n;
}

void frame_queue_clear(struct frame_queue *q)
{
	free(q->data);
	*q = (struct frame_queue){ .limit = q->limit, .taken = q->taken };
}

static bool has_room(const struct frame_queue *q, size_t more, gw_time now)
{
	if (frame_queue_len(q) == 0)
		return true;
	return frame_queue_len(q) + more <= q->limit && now - q->marks[0].at < FRAME_QUEUE_AGE;
}

static bool reserve(struct frame_queue *q, size_t more)
{
	size_t len = frame_queue_len(q), size = q->size ? q->size : FIRST_SIZE;
	uint8_t *data;

	if (q->size - q->end >= more)
		return true;
	if (len)
		memmove(q->data, q->data + q->start, len);
	q->start = 0;
	q->end = len;
	while (size - len < more)
		size *= 2;
	if (size == q->size)
		return true;
	data = realloc(q->data, size);
	if (!data)
		return false;
	q->data = data;
	q->size = size;
	return true;
}

static void mark(struct frame_queue *q, gw_time now)
{
	if (q->n_marks > 0 && now - q->marks[q->n_marks - 1].at < GRAIN)
		return;
	assert(q->n_marks < FRAME_QUEUE_MARKS);
	q->marks[q->n_marks].offset = q->taken + frame_queue_len(q);
	q->marks[q->n_marks++].at = now;
}

bool frame_queue_add(struct frame_queue *q, const uint8_t *data, size_t size, gw_time now)
{
	uint8_t *out;

	assert(size <= FRAME_DATAGRAM_MAX);
	if (!has_room(q, FRAME_HEADER + size, now) || !reserve(q, FRAME_HEADER + size))
		return false;
	mark(q, now);
	out = q->data + q->end;
	out[0] = (uint8_t)(size >> 8);
	out[1] = (uint8_t)size;
	if (size)
		memcpy(out + FRAME_HEADER, data, size);
	q->end += FRAME_HEADER + size;
	return true;
}

const uint8_t *frame_queue_front(const struct frame_queue *q)
{
	return q->data + q->start;
}

void frame_queue_take(struct frame_queue *q, size_t len)
{
	assert(len <= frame_queue_len(q));
	q->start += len;
	q->taken += len;
	if (q->start == q->end) {
		frame_queue_clear(q);
		return;
	}
	while (q->n_marks > 1 && q->marks[1].offset <= q->taken)
		memmove(q->marks, q->marks + 1, --q->n_marks * sizeof(q->marks[0]));
}
