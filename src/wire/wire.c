/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/wire.h"

#include <assert.h>
#include <string.h>

#include "base/error.h"
#include "wire/codec.h"

/* --- variable-length integers (RFC 9000, section 16) --- */

size_t wire_varint_size(uint64_t value)
{
	assert(value <= WIRE_VARINT_MAX);
	return value < 64 ? 1 : value < 16384 ? 2 : value < 1073741824 ? 4 : 8;
}

size_t wire_varint_encode(uint8_t *out, uint64_t value)
{
	size_t size = wire_varint_size(value);

	for (size_t i = 0; i < size; i++)
		out[i] = (uint8_t)(value >> (8 * (size - 1 - i)));
	out[0] |= (uint8_t)((size == 1 ? 0 : size == 2 ? 1 : size == 4 ? 2 : 3) << 6);
	return size;
}

ssize_t wire_varint_decode(uint64_t *out, const uint8_t *data, size_t len)
{
	uint64_t value;
	size_t size;

	if (len == 0)
		return 0;
	size = (size_t)1 << (data[0] >> 6);
	if (len < size)
		return 0;
	value = data[0] & 0x3f;
	for (size_t i = 1; i < size; i++)
		value = value << 8 | data[i];
	*out = value;
	return (ssize_t)size;
}

/* --- datagrams --- */

enum datagram_kind wire_classify(const uint8_t *data, size_t len)
{
	if (len == 0)
		return DATAGRAM_UNKNOWN;
	if (data[0] & 0x40)
		return DATAGRAM_QUIC;
	switch (data[0]) {
	case WIRE_PROBE:
		return DATAGRAM_PROBE;
	case WIRE_PROBE_REPLY:
		return DATAGRAM_PROBE_REPLY;
	case WIRE_CHANNEL:
		return DATAGRAM_CHANNEL;
	case WIRE_PUNCH:
		return DATAGRAM_PUNCH;
	case WIRE_ADDRESS_REQUEST:
		return DATAGRAM_ADDRESS_REQUEST;
	case WIRE_ADDRESS_REPLY:
		return DATAGRAM_ADDRESS_REPLY;
	case WIRE_REFUSAL:
		return DATAGRAM_REFUSAL;
	default:
		return DATAGRAM_UNKNOWN;
	}
}

static void put_probe(uint8_t *out, uint8_t type, const struct wire_probe *p)
{
	*out++ = type;
	out = put_bytes(out, p->token, WIRE_TOKEN_SIZE);
	out = put_fixed(out, p->size, 2);
	out = put_fixed(out, p->serial, 4);
	*out = 0;
}

size_t wire_probe_encode(uint8_t *out, const struct wire_probe *p)
{
	assert(p->size >= WIRE_PROBE_MIN);
	put_probe(out, WIRE_PROBE, p);
	memset(out + WIRE_PROBE_MIN, 0, p->size - (size_t)WIRE_PROBE_MIN);
	return p->size;
}

size_t wire_probe_reply_encode(uint8_t *out, const struct wire_probe *p)
{
	put_probe(out, WIRE_PROBE_REPLY, p);
	return WIRE_PROBE_MIN;
}

ssize_t wire_probe_decode(struct wire_probe *out, const uint8_t *data, size_t len)
{
	struct reader r = { 0 };
	struct wire_probe p;

	if (len < WIRE_PROBE_MIN || (data[0] != WIRE_PROBE && data[0] != WIRE_PROBE_REPLY))
		return GW_E_FORMAT;
	r.at = data + 1;
	r.end = data + len;
	get_bytes(&r, p.token, WIRE_TOKEN_SIZE);
	p.size = (uint16_t)get_fixed(&r, 2);
	p.serial = (uint32_t)get_fixed(&r, 4);
	if (r.bad || (data[0] == WIRE_PROBE ? p.size != len
					    : p.size < WIRE_PROBE_MIN || len != WIRE_PROBE_MIN))
		return GW_E_FORMAT;
	*out = p;
	return (ssize_t)len;
}

void wire_refusal_encode(uint8_t out[WIRE_REFUSAL_SIZE], const struct wire_refusal *r)
{
	*out++ = WIRE_REFUSAL;
	out = put_bytes(out, r->scid, WIRE_CID_SIZE);
	put_bytes(out, r->tag, WIRE_REFUSAL_TAG);
}

ssize_t wire_refusal_decode(struct wire_refusal *out, const uint8_t *data, size_t len)
{
	if (len != WIRE_REFUSAL_SIZE || data[0] != WIRE_REFUSAL)
		return GW_E_FORMAT;
	memcpy(out->scid, data + 1, WIRE_CID_SIZE);
	memcpy(out->tag, data + 1 + WIRE_CID_SIZE, WIRE_REFUSAL_TAG);
	return WIRE_REFUSAL_SIZE;
}

/* --- frames --- */

enum {
	CANDIDATE_SIZE_MAX = 1 + WIRE_ENDPOINT_MAX,
	/* type, length, round, flags, port, step, secret, count, list */
	CANDIDATES_SIZE_MAX = 1 + 2 + 8 + 8 + 2 + 2 + 16 + 1 + CANDIDATES_MAX * CANDIDATE_SIZE_MAX,
};

static_assert(CANDIDATES_SIZE_MAX <= (int)WIRE_FRAME_MAX, "a full list fits into a frame");

static uint8_t *put_candidates(uint8_t *out, const struct wire_candidates *c)
{
	assert(c->count <= CANDIDATES_MAX);
	out = put(out, c->round);
	out = put(out, c->flags);
	out = put_fixed(out, c->port, 2);
	out = put_fixed(out, (uint16_t)c->step, 2);
	out = put_bytes(out, c->secret, sizeof(c->secret));
	out = put(out, c->count);
	for (size_t i = 0; i < c->count; i++) {
		*out++ = c->list[i].kind;
		out = put_endpoint(out, &c->list[i].endpoint);
	}
	return out;
}

static uint8_t *put_payload(uint8_t *out, const struct frame *f)
{
	switch (f->type) {
	case FRAME_HELLO:
		out = put(out, f->hello.version);
		out = put(out, f->hello.flags);
		out = put_fixed(out, f->hello.incarnation, 8);
		out = put(out, f->hello.generation);
		out = put_bytes(out, f->hello.token, WIRE_TOKEN_SIZE);
		return put_bytes(out, f->hello.claim, WIRE_CLAIM_SIZE);
	case FRAME_WINDOW:
		out = put(out, f->window.id);
		out = put(out, f->window.received);
		return put(out, f->window.limit);
	case FRAME_RESET:
		out = put(out, f->reset.id);
		return put(out, f->reset.code);
	case FRAME_DONE:
		return put(out, f->done.id);
	case FRAME_PING:
	case FRAME_PONG:
		return put(out, f->ping.nonce);
	case FRAME_CANDIDATES:
		return put_candidates(out, &f->candidates);
	case FRAME_MEMBER:
		assert(f->member.len <= WIRE_MEMBER_MAX);
		return put_bytes(out, f->member.chain, f->member.len);
	case FRAME_NETWORK:
		out = put_bytes(out, f->network.key, WIRE_NETWORK_SIZE);
		return put(out, f->network.sequence);
	case FRAME_MANIFEST:
		assert(f->manifest.len <= WIRE_MANIFEST_PIECE);
		out = put_bytes(out, f->manifest.key, WIRE_NETWORK_SIZE);
		out = put(out, f->manifest.sequence);
		out = put(out, f->manifest.total);
		out = put(out, f->manifest.offset);
		return put_bytes(out, f->manifest.bytes, f->manifest.len);
	default:
		return out;
	}
}

size_t wire_frame_encode(uint8_t *out, const struct frame *f)
{
	uint8_t payload[WIRE_FRAME_MAX];

	payload[0] = 0; /* the others are written, or not read */
	return put_frame(out, f->type, payload, (size_t)(put_payload(payload, f) - payload));
}

/* Those of a kind that we do not know, or where nothing can be sent, leave no trace. */
static void get_candidates(struct reader *r, struct wire_candidates *c)
{
	uint64_t count;

	c->round = get(r);
	c->flags = get(r);
	c->port = (uint16_t)get_fixed(r, 2);
	c->step = (int16_t)get_fixed(r, 2);
	get_bytes(r, c->secret, sizeof(c->secret));
	count = get(r);
	if (count > CANDIDATES_MAX)
		r->bad = true;
	for (; !r->bad && count > 0; count--) {
		uint8_t *kind = &c->list[c->count].kind;
		struct addr *endpoint = &c->list[c->count].endpoint;

		*kind = (uint8_t)get_fixed(r, 1);
		get_endpoint(r, endpoint);
		if (*kind >= CANDIDATE_INTERFACE && *kind <= CANDIDATE_MAPPED &&
		    addr_is_usable(endpoint))
			c->count++;
		else
			memset(&c->list[c->count], 0, sizeof(c->list[0]));
	}
}

/* All that is left. */
static const uint8_t *get_rest(struct reader *r, size_t max, size_t *len)
{
	const uint8_t *at = r->at;

	*len = (size_t)(r->end - r->at);
	if (*len == 0 || *len > max)
		r->bad = true;
	r->at = r->end;
	return at;
}

static void get_manifest(struct reader *r, struct frame *f)
{
	uint64_t total, offset;

	get_bytes(r, f->manifest.key, WIRE_NETWORK_SIZE);
	f->manifest.sequence = get(r);
	total = get(r);
	offset = get(r);
	f->manifest.bytes = get_rest(r, WIRE_MANIFEST_PIECE, &f->manifest.len);
	if (total > UINT16_MAX || offset > total || f->manifest.len > total - offset)
		r->bad = true;
	f->manifest.total = (size_t)total;
	f->manifest.offset = (size_t)offset;
}

static void get_payload(struct reader *r, struct frame *f)
{
	switch (f->type) {
	case FRAME_HELLO:
		f->hello.version = get(r);
		f->hello.flags = get(r);
		f->hello.incarnation = get_fixed(r, 8);
		f->hello.generation = get(r);
		get_bytes(r, f->hello.token, WIRE_TOKEN_SIZE);
		get_bytes(r, f->hello.claim, WIRE_CLAIM_SIZE);
		break;
	case FRAME_WINDOW:
		f->window.id = get(r);
		f->window.received = get(r);
		f->window.limit = get(r);
		break;
	case FRAME_RESET:
		f->reset.id = get(r);
		f->reset.code = get(r);
		break;
	case FRAME_DONE:
		f->done.id = get(r);
		break;
	case FRAME_PING:
	case FRAME_PONG:
		f->ping.nonce = get(r);
		break;
	case FRAME_CANDIDATES:
		get_candidates(r, &f->candidates);
		break;
	case FRAME_MEMBER:
		f->member.chain = get_rest(r, WIRE_MEMBER_MAX, &f->member.len);
		break;
	case FRAME_NETWORK:
		get_bytes(r, f->network.key, WIRE_NETWORK_SIZE);
		f->network.sequence = get(r);
		break;
	case FRAME_MANIFEST:
		get_manifest(r, f);
		break;
	default:
		break;
	}
}

ssize_t wire_frame_decode(struct frame *out, const uint8_t *data, size_t len)
{
	struct reader r;
	struct frame f;
	ssize_t used;

	memset(&f, 0, sizeof(f));
	used = get_frame(&r, &f.type, WIRE_FRAME_MAX, data, len);
	if (used <= 0)
		return used;
	get_payload(&r, &f);
	if (r.bad)
		return GW_E_FORMAT;
	*out = f;
	return used;
}

/* --- claims --- */

void wire_claim_encode(uint8_t out[WIRE_CLAIM_SIZE], const struct wire_claim *c)
{
	out = put_fixed(out, c->incarnation, 8);
	out = put_fixed(out, c->started_ms, 8);
	put_bytes(out, c->signature, sizeof(c->signature));
}

void wire_claim_decode(struct wire_claim *out, const uint8_t data[WIRE_CLAIM_SIZE])
{
	struct reader r = { data, data + WIRE_CLAIM_SIZE, false };

	out->incarnation = get_fixed(&r, 8);
	out->started_ms = get_fixed(&r, 8);
	get_bytes(&r, out->signature, sizeof(out->signature));
}

/* --- segment headers --- */

size_t wire_segment_encode(uint8_t *out, const struct segment_header *h)
{
	uint8_t payload[WIRE_SEGMENT_MAX], *end = payload;
	size_t len;

	end = put(end, h->kind);
	end = put(end, h->id);
	end = put(end, h->offset);
	if (h->kind != SEGMENT_RESUME) {
		size_t name = strnlen(h->service, WIRE_SERVICE_MAX);

		end = put(end, name);
		end = put_bytes(end, h->service, name);
	}
	len = (size_t)(end - payload);
	return (size_t)(put_bytes(put(out, len), payload, len) - out);
}

/* The same rule as crypto/address.h's service_name_valid(). */
static bool name_valid(const char *name, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		char c = name[i];
		bool alnum = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');

		if (!alnum && (i == 0 || (c != '.' && c != '_' && c != '-')))
			return false;
	}
	return len > 0;
}

ssize_t wire_segment_decode(struct segment_header *out, const uint8_t *data, size_t len)
{
	struct segment_header h = { 0 };
	struct reader r = { 0 };
	uint64_t size, name;
	ssize_t used = wire_varint_decode(&size, data, len);

	if (used == 0)
		return 0;
	if (size > (uint64_t)WIRE_SEGMENT_MAX - (uint64_t)used)
		return GW_E_FORMAT;
	if (len - (size_t)used < size)
		return 0;
	r.at = data + used;
	r.end = r.at + size;
	h.kind = get(&r);
	h.id = get(&r);
	h.offset = get(&r);
	if (h.kind == SEGMENT_OPEN || h.kind == SEGMENT_OPEN_DATAGRAM) {
		name = get(&r);
		if (name > WIRE_SERVICE_MAX)
			return GW_E_FORMAT;
		get_bytes(&r, h.service, (size_t)name);
		if (!r.bad && !name_valid(h.service, (size_t)name))
			return GW_E_FORMAT;
	} else if (h.kind != SEGMENT_RESUME) {
		return GW_E_FORMAT;
	}
	if (r.bad)
		return GW_E_FORMAT;
	*out = h;
	return used + (ssize_t)size;
}

/* --- datagrams of streams --- */

size_t wire_dgram_encode(uint8_t *out, uint64_t id)
{
	return wire_varint_encode(out, id);
}

ssize_t wire_dgram_decode(uint64_t *id, const uint8_t *data, size_t len)
{
	ssize_t used = wire_varint_decode(id, data, len);

	return used > 0 ? used : GW_E_FORMAT;
}
