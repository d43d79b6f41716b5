/* wire/fields.h - fields of tag, length and value, and what stands in several kinds of them; for
 * the codecs of wire/ only. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_WIRE_FIELDS_H
#define GODWIT_WIRE_FIELDS_H

#include "wire/beacon.h"
#include "wire/codec.h"

enum {
	WIRE_HOME_FIXED = WIRE_KEY_SIZE + 2 + 2, /* before the host */
	WIRE_HOME_MAX = WIRE_HOME_FIXED + WIRE_HOST_MAX,
};

static_assert((int)WIRE_HOME_MAX <= UINT8_MAX, "its length is one byte");

/* Tag (1), length, value.  False: `r` is bad. */
static inline bool get_field(struct reader *r, uint8_t *tag, size_t length_size,
			     struct reader *value)
{
	size_t size;

	*tag = (uint8_t)get_fixed(r, 1);
	size = (size_t)get_fixed(r, length_size);
	if (r->bad || size > (size_t)(r->end - r->at)) {
		r->bad = true;
		return false;
	}
	*value = (struct reader){ r->at, r->at + size, false };
	r->at += size;
	return true;
}

/* The value has to follow. */
static inline uint8_t *put_field(uint8_t *out, uint8_t tag, size_t length_size, size_t size)
{
	*out++ = tag;
	return put_fixed(out, size, length_size);
}

/* --- texts: a-z 0-9 -, first no '-' --- */

static inline bool text_valid(const char *text, size_t max)
{
	size_t len = strnlen(text, max + 1);

	for (size_t i = 0; i < len; i++) {
		bool alnum =
			(text[i] >= 'a' && text[i] <= 'z') || (text[i] >= '0' && text[i] <= '9');

		if (!alnum && (i == 0 || text[i] != '-'))
			return false;
	}
	return len > 0 && len <= max;
}

/* All of the value; `out` is zeroed memory of max + 1 bytes. */
static inline void get_text(struct reader *value, char *out, size_t max)
{
	size_t len = (size_t)(value->end - value->at);

	if (len > max) {
		value->bad = true;
		return;
	}
	get_bytes(value, out, len);
	/* A NUL inside would shorten it. */
	if (strlen(out) != len || !text_valid(out, max))
		value->bad = true;
}

static inline uint8_t *put_text(uint8_t *out, uint8_t tag, size_t length_size, const char *text)
{
	size_t len = strlen(text);

	return put_bytes(put_field(out, tag, length_size, len), text, len);
}

/* --- beacons --- */

static inline bool host_valid(const char *host)
{
	size_t len = strnlen(host, WIRE_HOST_MAX + 1);

	for (size_t i = 0; i < len; i++)
		if (host[i] < 0x21 || host[i] > 0x7e)
			return false;
	return len > 0 && len <= WIRE_HOST_MAX;
}

static inline bool home_valid(const struct wire_home *h)
{
	return h->udp_port != 0 && host_valid(h->host);
}

static inline size_t home_size(const struct wire_home *h)
{
	return WIRE_HOME_FIXED + strnlen(h->host, WIRE_HOST_MAX);
}

static inline uint8_t *put_home(uint8_t *out, const struct wire_home *h)
{
	assert(home_valid(h));
	out = put_bytes(out, h->key, WIRE_KEY_SIZE);
	out = put_fixed(out, h->udp_port, 2);
	out = put_fixed(out, h->tls_port, 2);
	return put_bytes(out, h->host, strlen(h->host));
}

/* All of the value; `h` is zeroed memory. */
static inline void get_home(struct reader *value, struct wire_home *h)
{
	size_t host;

	get_bytes(value, h->key, WIRE_KEY_SIZE);
	h->udp_port = (uint16_t)get_fixed(value, 2);
	h->tls_port = (uint16_t)get_fixed(value, 2);
	host = (size_t)(value->end - value->at);
	if (value->bad || host > WIRE_HOST_MAX) {
		value->bad = true;
		return;
	}
	get_bytes(value, h->host, host);
	if (strlen(h->host) != host || !home_valid(h))
		value->bad = true;
}

#endif
