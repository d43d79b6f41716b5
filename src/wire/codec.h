/* wire/codec.h - reading and writing fields; for the codecs of wire/ only. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_WIRE_CODEC_H
#define GODWIT_WIRE_CODEC_H

#include <assert.h>
#include <string.h>

#include "base/addr.h"
#include "base/error.h"
#include "wire/wire.h"

/* The largest encoded endpoint: family, address, port. */
enum { WIRE_ENDPOINT_MAX = 1 + 16 + 2 };

/* `bad` once something was missing or wrong; what is read after that means nothing. */
struct reader {
	const uint8_t *at, *end;
	bool bad;
};

static inline uint64_t get(struct reader *r)
{
	uint64_t value = 0;
	ssize_t used = wire_varint_decode(&value, r->at, (size_t)(r->end - r->at));

	if (used <= 0) {
		r->bad = true;
		return 0;
	}
	r->at += used;
	return value;
}

static inline void get_bytes(struct reader *r, void *out, size_t len)
{
	if ((size_t)(r->end - r->at) < len) {
		r->bad = true;
		return;
	}
	memcpy(out, r->at, len);
	r->at += len;
}

static inline uint64_t get_fixed(struct reader *r, size_t size)
{
	uint8_t bytes[8] = { 0 };
	uint64_t value = 0;

	get_bytes(r, bytes, size);
	for (size_t i = 0; i < size; i++)
		value = value << 8 | bytes[i];
	return value;
}

/* `out` is zeroed memory.  An unknown family is bad, since its size is not known. */
static inline void get_endpoint(struct reader *r, struct addr *out)
{
	out->family = (uint8_t)get_fixed(r, 1);
	if (out->family == ADDR_V4)
		get_bytes(r, out->ip, 4);
	else if (out->family == ADDR_V6)
		get_bytes(r, out->ip, 16);
	else if (out->family != ADDR_NONE)
		r->bad = true;
	out->port = (uint16_t)get_fixed(r, 2);
}

/* Type, length, payload, `max` bytes in all: as a decoder; `r` is left at the payload. */
static inline ssize_t get_frame(struct reader *r, uint64_t *type, size_t max, const uint8_t *data,
				size_t len)
{
	uint64_t payload;
	ssize_t head = wire_varint_decode(type, data, len), more;

	if (head == 0)
		return 0;
	more = wire_varint_decode(&payload, data + head, len - (size_t)head);
	if (more == 0)
		return 0;
	head += more;
	if (payload > max - (size_t)head)
		return GW_E_FORMAT;
	if (len - (size_t)head < payload)
		return 0;
	*r = (struct reader){ data + head, data + head + payload, false };
	return head + (ssize_t)payload;
}

static inline uint8_t *put(uint8_t *out, uint64_t value)
{
	return out + wire_varint_encode(out, value);
}

static inline uint8_t *put_bytes(uint8_t *out, const void *data, size_t len)
{
	if (len > 0)
		memcpy(out, data, len);
	return out + len;
}

static inline uint8_t *put_fixed(uint8_t *out, uint64_t value, size_t size)
{
	for (size_t i = 0; i < size; i++)
		out[i] = (uint8_t)(value >> (8 * (size - 1 - i)));
	return out + size;
}

static inline uint8_t *put_endpoint(uint8_t *out, const struct addr *a)
{
	assert(a->family == ADDR_NONE || a->family == ADDR_V4 || a->family == ADDR_V6);
	*out++ = a->family;
	if (a->family != ADDR_NONE)
		out = put_bytes(out, a->ip, a->family == ADDR_V4 ? 4 : 16);
	return put_fixed(out, a->family == ADDR_NONE ? 0 : a->port, 2);
}

/* Returns the bytes of the whole frame. */
static inline size_t put_frame(uint8_t *out, uint64_t type, const uint8_t *payload, size_t len)
{
	uint8_t *at = put(put(out, type), len);

	return (size_t)(put_bytes(at, payload, len) - out);
}

#endif
