/* tests/unit/wire_frames.c - our byte layouts, both ways, and what strangers may send. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/rng.h"
#include "crypto/address.h"
#include "wire/wire.h"
#include "wire_exact.h"

static const struct frame NO_FRAME; /* for comparing: all fields, also those unused, are zero */

DECODER(probe_decode, wire_probe)
DECODER(frame_decode, frame)
DECODER(segment_decode, segment_header)

/* --- variable-length integers --- */

/* RFC 9000, appendix A.1, and its non-minimal form of 37; section 16 allows any size. */
static void vectors_of_rfc9000(void **state)
{
	static const struct {
		uint8_t bytes[8];
		size_t size;
		uint64_t value;
		bool minimal;
	} rows[] = {
		{ { 0xc2, 0x19, 0x7c, 0x5e, 0xff, 0x14, 0xe8, 0x8c },
		  8,
		  UINT64_C(151288809941952652),
		  true },
		{ { 0x9d, 0x7f, 0x3e, 0x7d }, 4, 494878333, true },
		{ { 0x7b, 0xbd }, 2, 15293, true },
		{ { 0x25 }, 1, 37, true },
		{ { 0x40, 0x25 }, 2, 37, false },
		{ { 0x80, 0, 0, 0x25 }, 4, 37, false },
		{ { 0xc0, 0, 0, 0, 0, 0, 0, 0x25 }, 8, 37, false },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		uint8_t out[8], *bytes = exact(rows[i].bytes, rows[i].size);
		uint64_t value = 0;

		assert_int_equal(wire_varint_decode(&value, bytes, rows[i].size), rows[i].size);
		assert_true(value == rows[i].value);
		free(bytes);
		if (!rows[i].minimal)
			continue;
		assert_int_equal(wire_varint_size(value), rows[i].size);
		assert_int_equal(wire_varint_encode(out, value), rows[i].size);
		assert_memory_equal(out, rows[i].bytes, rows[i].size);
	}
}

static void varints_come_back_and_need_all_their_bytes(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(EDGES); i++) {
		uint8_t out[9];
		size_t size = wire_varint_size(EDGES[i]);
		uint64_t value;

		memset(out, 0x5a, sizeof(out));
		assert_int_equal(wire_varint_encode(out, EDGES[i]), size);
		assert_int_equal(out[size], 0x5a);
		for (size_t len = 0; len <= size; len++) {
			uint8_t *bytes = exact(out, len);

			value = 77;
			assert_int_equal(wire_varint_decode(&value, bytes, len),
					 len < size ? 0 : size);
			assert_true(value == (len < size ? 77 : EDGES[i]));
			free(bytes);
		}
	}
}

/* --- datagrams --- */

static void first_byte_tells_the_kind(void **state)
{
	static const enum datagram_kind OURS[] = {
		DATAGRAM_PROBE,           DATAGRAM_PROBE_REPLY,   DATAGRAM_CHANNEL, DATAGRAM_PUNCH,
		DATAGRAM_ADDRESS_REQUEST, DATAGRAM_ADDRESS_REPLY, DATAGRAM_REFUSAL,
	};

	(void)state;
	assert_int_equal(wire_classify(NULL, 0), DATAGRAM_UNKNOWN);
	for (unsigned first = 0; first < 256; first++) {
		uint8_t *data = exact(&(uint8_t){ (uint8_t)first }, 1);
		enum datagram_kind kind = DATAGRAM_UNKNOWN;

		if (first & 0x40)
			kind = DATAGRAM_QUIC;
		else if (first >= 0x20 && first < 0x20 + COUNT(OURS))
			kind = OURS[first - 0x20];
		assert_int_equal(wire_classify(data, 1), kind);
		free(data);
	}
}

static void refusals_come_back(void **state)
{
	struct wire_refusal r = { "scid...", "tag of 16 bytes" }, back;
	uint8_t bytes[WIRE_REFUSAL_SIZE + 1] = { 0 };

	(void)state;
	wire_refusal_encode(bytes, &r);
	assert_memory_equal(bytes, "\x26scid...\0tag of 16 bytes", WIRE_REFUSAL_SIZE);
	assert_int_equal(wire_refusal_decode(&back, bytes, WIRE_REFUSAL_SIZE), WIRE_REFUSAL_SIZE);
	assert_memory_equal(&back, &r, sizeof(r));
	for (size_t len = 0; len <= sizeof(bytes); len++)
		if (len != WIRE_REFUSAL_SIZE)
			assert_int_equal(wire_refusal_decode(&back, bytes, len), GW_E_FORMAT);
	bytes[0] = WIRE_PUNCH;
	assert_int_equal(wire_refusal_decode(&back, bytes, WIRE_REFUSAL_SIZE), GW_E_FORMAT);
}

/* Section 17: the bytes of each, all lengths, and what does not fit together. */
static void members_and_manifests_come_back(void **state)
{
	static const char MANIFEST[] = "\x0b\x27kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk\x40\xff\x05\x02"
				       "xyz";
	uint8_t chain[WIRE_MEMBER_MAX + 1] = "chain", out[WIRE_FRAME_MAX];
	struct frame f = { .type = FRAME_MEMBER }, back;

	(void)state;
	f.member.chain = chain;
	for (f.member.len = 1; f.member.len <= WIRE_MEMBER_MAX; f.member.len++) {
		size_t len = wire_frame_encode(out, &f);

		assert_int_equal(wire_frame_decode(&back, out, len), len);
		assert_int_equal(back.member.len, f.member.len);
		assert_memory_equal(back.member.chain, chain, f.member.len);
	}
	assert_int_equal(wire_frame_decode(&back, (const uint8_t *)"\x09\0", 2), GW_E_FORMAT);
	f = (struct frame){ .type = FRAME_MANIFEST };
	memset(f.manifest.key, 'k', sizeof(f.manifest.key));
	f.manifest.sequence = 255;
	f.manifest.total = 5;
	f.manifest.offset = 2;
	f.manifest.bytes = (const uint8_t *)"xyz";
	f.manifest.len = 3;
	assert_int_equal(wire_frame_encode(out, &f), sizeof(MANIFEST) - 1);
	assert_memory_equal(out, MANIFEST, sizeof(MANIFEST) - 1);
	assert_int_equal(wire_frame_decode(&back, out, sizeof(MANIFEST) - 1), sizeof(MANIFEST) - 1);
	assert_int_equal(back.manifest.total, 5);
	assert_memory_equal(back.manifest.bytes, "xyz", 3);
	out[36] = 4; /* it would end behind the whole */
	assert_int_equal(wire_frame_decode(&back, out, sizeof(MANIFEST) - 1), GW_E_FORMAT);
}

static void probes_of_all_sizes_come_back(void **state)
{
	static uint8_t data[UINT16_MAX + 1];
	struct wire_probe p = { .serial = 0x01020304 }, back;

	(void)state;
	fill(p.token, sizeof(p.token), 0x81);
	for (size_t size = WIRE_PROBE_MIN; size <= UINT16_MAX; size += size < 2000 ? 1 : 1483) {
		p.size = (uint16_t)size;
		p.serial += UINT32_C(0x10203040);
		memset(data, 0x5a, sizeof(data));
		assert_int_equal(wire_probe_encode(data, &p), size);
		assert_int_equal(data[size], 0x5a);
		for (size_t i = WIRE_PROBE_MIN - 1; i < size; i++)
			assert_int_equal(data[i], 0);
		assert_int_equal(wire_classify(data, size), DATAGRAM_PROBE);
		assert_int_equal(probe_decode(&back, data, size), size);
		assert_memory_equal(back.token, p.token, sizeof(p.token));
		assert_int_equal(back.size, size);
		assert_int_equal(back.serial, p.serial);

		memset(data, 0x5a, sizeof(data));
		assert_int_equal(wire_probe_reply_encode(data, &p), WIRE_PROBE_MIN);
		assert_int_equal(data[WIRE_PROBE_MIN], 0x5a);
		assert_int_equal(wire_classify(data, WIRE_PROBE_MIN), DATAGRAM_PROBE_REPLY);
		assert_int_equal(probe_decode(&back, data, WIRE_PROBE_MIN), WIRE_PROBE_MIN);
		assert_memory_equal(back.token, p.token, sizeof(p.token));
		assert_int_equal(back.size, size);
		assert_int_equal(back.serial, p.serial);
	}
}

/* docs/protocol.md, section 3. */
static void layout_of_probes_is_as_specified(void **state)
{
	static const uint8_t PROBE[18] = { 0x20, 1,  2,    3,    4,    5,    6, 7, 8,
					   0,    18, 0xa1, 0xa2, 0xa3, 0xa4, 0, 0, 0 };
	struct wire_probe p = { .size = 18, .serial = 0xa1a2a3a4 };
	uint8_t out[18];

	(void)state;
	fill(p.token, sizeof(p.token), 1);
	assert_int_equal(wire_probe_encode(out, &p), sizeof(PROBE));
	assert_memory_equal(out, PROBE, sizeof(PROBE));
	assert_int_equal(wire_probe_reply_encode(out, &p), WIRE_PROBE_MIN);
	assert_int_equal(out[0], 0x21);
	assert_memory_equal(out + 1, PROBE + 1, WIRE_PROBE_MIN - 1);
}

/* A probe says its own size; a reply is WIRE_PROBE_MIN bytes and repeats a possible size. */
static void probes_of_another_size_are_refused(void **state)
{
	enum { SIZE = 40 };
	uint8_t data[SIZE + 2] = { 0 };
	struct wire_probe p = { .size = SIZE };

	(void)state;
	wire_probe_encode(data, &p);
	for (size_t len = 0; len <= sizeof(data); len++)
		assert_int_equal(probe_decode(NULL, data, len), len == SIZE ? SIZE : GW_E_FORMAT);
	for (unsigned size = 0; size <= UINT16_MAX; size++) {
		data[9] = (uint8_t)(size >> 8);
		data[10] = (uint8_t)size;
		data[0] = WIRE_PROBE;
		assert_int_equal(probe_decode(NULL, data, SIZE), size == SIZE ? SIZE : GW_E_FORMAT);
		data[0] = WIRE_PROBE_REPLY;
		assert_int_equal(probe_decode(NULL, data, WIRE_PROBE_MIN),
				 size < WIRE_PROBE_MIN ? GW_E_FORMAT : WIRE_PROBE_MIN);
	}
	for (size_t len = 0; len <= sizeof(data); len++)
		assert_int_equal(probe_decode(NULL, data, len),
				 len == WIRE_PROBE_MIN ? WIRE_PROBE_MIN : GW_E_FORMAT);
	for (unsigned first = 0; first < 256; first++) {
		data[0] = (uint8_t)first;
		if (first != WIRE_PROBE_REPLY)
			assert_int_equal(probe_decode(NULL, data, WIRE_PROBE_MIN), GW_E_FORMAT);
	}
}

/* --- frames --- */

enum { SAMPLES = 8 };

static struct frame frame_of(uint64_t type)
{
	struct frame f = NO_FRAME;

	f.type = type;
	return f;
}

/* Kinds and endpoints of each sort in turn. */
static void add_candidates(struct wire_candidates *c, size_t count)
{
	for (c->count = 0; c->count < count; c->count++) {
		struct addr *a = &c->list[c->count].endpoint;

		c->list[c->count].kind = (uint8_t)(CANDIDATE_INTERFACE + c->count % 3);
		a->family = c->count % 2 ? ADDR_V4 : ADDR_V6;
		a->port = (uint16_t)(c->count ? UINT16_MAX - c->count : 1);
		fill(a->ip, a->family == ADDR_V4 ? 4 : 16, (uint8_t)(0x20 + c->count));
	}
}

/* A frame of each type, with the varints at the i-th edge and after. */
static size_t sample_frames(struct frame out[SAMPLES], size_t i)
{
	uint64_t a = EDGES[i % COUNT(EDGES)], b = EDGES[(i + 3) % COUNT(EDGES)],
		 c = EDGES[(i + 7) % COUNT(EDGES)];

	out[0] = frame_of(FRAME_HELLO);
	out[0].hello.version = a;
	out[0].hello.flags = b;
	out[0].hello.incarnation = UINT64_MAX - a; /* all 64 bits */
	out[0].hello.generation = c;
	fill(out[0].hello.token, WIRE_TOKEN_SIZE, 0xf0);
	fill(out[0].hello.claim, WIRE_CLAIM_SIZE, 0x10);
	out[1] = frame_of(FRAME_USE);
	out[2] = frame_of(FRAME_WINDOW);
	out[2].window.id = a;
	out[2].window.received = b;
	out[2].window.limit = c;
	out[3] = frame_of(FRAME_RESET);
	out[3].reset.id = a;
	out[3].reset.code = b;
	out[4] = frame_of(FRAME_DONE);
	out[4].done.id = a;
	out[5] = frame_of(FRAME_PING);
	out[5].ping.nonce = a;
	out[6] = frame_of(FRAME_PONG);
	out[6].ping.nonce = b;
	out[7] = frame_of(FRAME_CANDIDATES);
	out[7].candidates.round = a;
	out[7].candidates.flags = b;
	out[7].candidates.port = (uint16_t)c;
	out[7].candidates.step = (int16_t)(i % 2 ? INT16_MIN + (int)i : INT16_MAX - (int)i);
	fill(out[7].candidates.secret, sizeof(out[7].candidates.secret), 0x77);
	add_candidates(&out[7].candidates, i % (CANDIDATES_MAX + 1));
	return SAMPLES;
}

static void frames_come_back(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(EDGES); i++) {
		struct frame frames[SAMPLES], back;
		size_t n = sample_frames(frames, i);

		for (size_t k = 0; k < n; k++) {
			uint8_t out[WIRE_FRAME_MAX + 1];
			size_t len;

			memset(out, 0x5a, sizeof(out));
			len = wire_frame_encode(out, &frames[k]);
			assert_in_range(len, 2, WIRE_FRAME_MAX);
			assert_int_equal(out[len], 0x5a);
			assert_int_equal(frame_decode(&back, out, len), len);
			assert_memory_equal(&back, &frames[k], sizeof(back));
			/* and no more than itself is taken */
			assert_int_equal(frame_decode(&back, out, sizeof(out)), len);
			for (size_t part = 0; part < len; part++)
				assert_int_equal(frame_decode(NULL, out, part), 0);
		}
	}
}

/* docs/protocol.md, section 4. */
static void layout_of_frames_is_as_specified(void **state)
{
	static const struct {
		struct frame f;
		uint8_t bytes[16];
		size_t len;
	} rows[] = {
		{ { .type = FRAME_USE }, { 2, 0 }, 2 },
		{ { .type = FRAME_WINDOW, .window = { 5, 64, 32768 } },
		  { 3, 7, 5, 0x40, 64, 0x80, 0, 0x80, 0 },
		  9 },
		{ { .type = FRAME_RESET, .reset = { 64, 7 } }, { 4, 3, 0x40, 64, 7 }, 5 },
		{ { .type = FRAME_DONE, .done = { 1 } }, { 5, 1, 1 }, 3 },
		{ { .type = FRAME_PING, .ping = { 63 } }, { 6, 1, 63 }, 3 },
		{ { .type = FRAME_PONG, .ping = { 63 } }, { 7, 1, 63 }, 3 },
	};
	struct frame hello = { .type = FRAME_HELLO,
			       .hello = { .version = 1,
					  .flags = HELLO_TRANSIENT,
					  .incarnation = UINT64_C(0x0102030405060708),
					  .generation = 9 } };
	uint8_t out[WIRE_FRAME_MAX],
		expected[102] = { 1, 0x40, 99, 1, 1, 1, 2, 3, 4, 5, 6, 7, 8, 9 };

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		assert_int_equal(wire_frame_encode(out, &rows[i].f), rows[i].len);
		assert_memory_equal(out, rows[i].bytes, rows[i].len);
	}
	fill(hello.hello.token, WIRE_TOKEN_SIZE, 10);
	fill(hello.hello.claim, WIRE_CLAIM_SIZE, 18);
	fill(expected + 14, WIRE_TOKEN_SIZE + WIRE_CLAIM_SIZE, 10);
	assert_int_equal(wire_frame_encode(out, &hello), sizeof(expected));
	assert_memory_equal(out, expected, sizeof(expected));
}

/* Take the frame's payload out and put it into a frame of `len` bytes of payload. */
static size_t with_length(uint8_t out[WIRE_FRAME_MAX + 16], const struct frame *f, size_t len)
{
	uint8_t whole[WIRE_FRAME_MAX];
	size_t size = wire_frame_encode(whole, f), head = 1 + (size_t)(1 << (whole[1] >> 6)), at;

	out[0] = whole[0];
	at = 1 + wire_varint_encode(out + 1, len);
	memset(out + at, 0, len);
	memcpy(out + at, whole + head, len < size - head ? len : size - head);
	return at + len;
}

/* A later version adds fields at the end; a frame without all known ones is broken. */
static void longer_payloads_are_skipped_and_shorter_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(EDGES); i++) {
		struct frame frames[SAMPLES], back;
		size_t n = sample_frames(frames, i);

		for (size_t k = 0; k < n; k++) {
			uint8_t out[WIRE_FRAME_MAX + 16];
			size_t whole = wire_frame_encode(out, &frames[k]), known;

			known = whole - 1 - (size_t)(1 << (out[1] >> 6));
			for (size_t len = 0; len < known; len++) {
				size_t size = with_length(out, &frames[k], len);

				assert_int_equal(frame_decode(NULL, out, size), GW_E_FORMAT);
			}
			for (size_t len = known; len + 3 <= WIRE_FRAME_MAX; len++) {
				size_t size = with_length(out, &frames[k], len);

				assert_int_equal(frame_decode(&back, out, size), size);
				assert_memory_equal(&back, &frames[k], sizeof(back));
			}
		}
	}
}

static void unknown_types_are_skipped(void **state)
{
	static const uint64_t types[] = { 0, 12, 63, 64, 0x21, 1000000, WIRE_VARINT_MAX };

	(void)state;
	for (size_t i = 0; i < COUNT(types); i++) {
		struct frame expected = frame_of(types[i]), back;
		uint8_t out[WIRE_FRAME_MAX];
		size_t head = wire_varint_size(types[i]) + 2;

		assert_int_equal(wire_frame_encode(out, &expected), head - 1);
		for (size_t len = 0; len + head <= WIRE_FRAME_MAX; len++) {
			memset(out, 0xee, sizeof(out));
			wire_varint_encode(out, types[i]);
			out[head - 2] = (uint8_t)(0x40 | len >> 8);
			out[head - 1] = (uint8_t)len;
			assert_int_equal(frame_decode(&back, out, head + len), head + len);
			assert_memory_equal(&back, &expected, sizeof(back));
			if (len > 0)
				assert_int_equal(frame_decode(NULL, out, head + len - 1), 0);
		}
	}
}

/* 256 bytes in all, however the head is written, and known as soon as the head is there. */
static void long_frames_are_refused_by_their_head(void **state)
{
	static const uint64_t types[] = { FRAME_HELLO, FRAME_PING, 40, 1000000, WIRE_VARINT_MAX };

	(void)state;
	for (size_t i = 0; i < COUNT(types); i++) {
		uint8_t out[16];
		size_t type = wire_varint_encode(out, types[i]);

		for (size_t k = 0; k < 3; k++) { /* lengths in 2, 4 and 8 bytes */
			size_t size = (size_t)2 << k, head = type + size;

			for (uint64_t len = 200; len < 300; len++) {
				memset(out + type, 0, size);
				out[head - 2] = (uint8_t)(len >> 8);
				out[head - 1] = (uint8_t)len;
				out[type] |= (uint8_t)((k + 1) << 6);
				assert_int_equal(frame_decode(NULL, out, head),
						 head + len > WIRE_FRAME_MAX ? GW_E_FORMAT : 0);
			}
		}
		for (size_t k = 7; k < COUNT(EDGES); k++) {
			size_t head = type + wire_varint_encode(out + type, EDGES[k]);

			assert_int_equal(frame_decode(NULL, out, head), GW_E_FORMAT);
		}
	}
}

static void frame_heads_need_not_be_minimal(void **state)
{
	static const uint8_t DONE[] = { 0xc0, 0, 0, 0, 0, 0, 0, 5, 0x80, 0, 0, 2, 0x40, 9 };
	struct frame expected = frame_of(FRAME_DONE), back;

	(void)state;
	expected.done.id = 9;
	assert_int_equal(frame_decode(&back, DONE, sizeof(DONE)), sizeof(DONE));
	assert_memory_equal(&back, &expected, sizeof(back));
	for (size_t len = 0; len < sizeof(DONE); len++)
		assert_int_equal(frame_decode(NULL, DONE, len), 0);
}

/* What points into the decoded bytes: those are gone. */
static void forget_bytes(struct frame *a, struct frame *b)
{
	if (a->type == FRAME_MEMBER) {
		a->member.chain = b->member.chain = NULL;
	} else if (a->type == FRAME_MANIFEST) {
		a->manifest.bytes = b->manifest.bytes = NULL;
	}
}

/* WIRE_FRAME_MAX bytes always suffice to tell, so a buffer of that size never stalls; what is accepted
 * is understood the same after being encoded again. */
static void any_bytes_are_frames_or_refused(void **state)
{
	enum { ROUNDS = 20000 };
	size_t accepted = 0;
	struct rng rng;

	(void)state;
	rng_seed(&rng, 8);
	for (size_t round = 0; round < ROUNDS; round++) {
		uint8_t data[WIRE_FRAME_MAX], again[WIRE_FRAME_MAX];
		struct frame f, back;
		ssize_t used;
		size_t len;

		rng_bytes(&rng, data, sizeof(data));
		if (round % 2) { /* a known type, and a length that may be right */
			data[0] = (uint8_t)rng_below(&rng, 13);
			data[1] = (uint8_t)rng_below(&rng, 64);
		}
		used = frame_decode(&f, data, sizeof(data));
		assert_int_not_equal(used, 0);
		if (used < 0)
			continue;
		accepted++;
		/* What it points to is in bytes that live on. */
		assert_int_equal(wire_frame_decode(&f, data, sizeof(data)), used);
		for (ssize_t part = 0; part < used; part += 1 + used / 8)
			assert_int_equal(frame_decode(NULL, data, (size_t)part), 0);
		len = wire_frame_encode(again, &f);
		assert_true(len <= (size_t)used);
		assert_int_equal(frame_decode(&back, again, len), len);
		forget_bytes(&f, &back);
		assert_memory_equal(&back, &f, sizeof(f));
	}
	assert_in_range(accepted, ROUNDS / 10, ROUNDS - ROUNDS / 10);
}

/* --- candidates --- */

#define SECRET "ssssssssssssssss"
#define V4 "\x04\xc6\x33\x64\x02\xa2\xb9"
#define V6 "\x06\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x01\xbb"

/* docs/protocol.md, section 13: both ways, and the step's sign. */
static void layout_of_candidates_is_as_specified(void **state)
{
	static const char BYTES[] =
		"\x08\x34\x40\x40\x05\x01\x02\xff\xfe" SECRET "\x02\x02" V4 "\x01" V6;
	struct frame f = frame_of(FRAME_CANDIDATES), back;
	uint8_t out[WIRE_FRAME_MAX];

	(void)state;
	f.candidates.round = 64;
	f.candidates.flags = CANDIDATES_DEPENDENT | CANDIDATES_SPRAY;
	f.candidates.port = 0x0102;
	f.candidates.step = -2;
	memcpy(f.candidates.secret, SECRET, sizeof(f.candidates.secret));
	f.candidates.count = 2;
	f.candidates.list[0].kind = CANDIDATE_OBSERVED;
	f.candidates.list[1].kind = CANDIDATE_INTERFACE;
	assert_int_equal(addr_parse(&f.candidates.list[0].endpoint, "198.51.100.2:41657"), 0);
	assert_int_equal(addr_parse(&f.candidates.list[1].endpoint, "[2001:db8::1]:443"), 0);
	assert_int_equal(wire_frame_encode(out, &f), sizeof(BYTES) - 1);
	assert_memory_equal(out, BYTES, sizeof(BYTES) - 1);
	assert_int_equal(frame_decode(&back, BYTES, sizeof(BYTES) - 1), sizeof(BYTES) - 1);
	assert_memory_equal(&back, &f, sizeof(f));
}

static void longest_candidates_fit_into_a_frame(void **state)
{
	struct frame f = frame_of(FRAME_CANDIDATES), back;
	uint8_t out[WIRE_FRAME_MAX];
	size_t len;

	(void)state;
	f.candidates.round = f.candidates.flags = WIRE_VARINT_MAX;
	add_candidates(&f.candidates, CANDIDATES_MAX);
	for (size_t i = 0; i < CANDIDATES_MAX; i++) {
		f.candidates.list[i].endpoint.family = ADDR_V6;
		fill(f.candidates.list[i].endpoint.ip, 16, 0x20);
	}
	len = wire_frame_encode(out, &f);
	assert_int_equal(len, 1 + 2 + 8 + 8 + 2 + 2 + 16 + 1 + 8 * 20);
	assert_int_equal(frame_decode(&back, out, len), len);
	assert_memory_equal(&back, &f, sizeof(f));
}

/* A frame of this list, `count` being its first byte. */
static ssize_t decode_list(struct frame *out, const char *list, size_t len)
{
	uint8_t bytes[WIRE_FRAME_MAX] = { FRAME_CANDIDATES };
	size_t head = 1 + wire_varint_encode(bytes + 1, 22 + len);

	assert_true(head + 22 + len <= sizeof(bytes));
	memset(bytes + head, 0, 22);
	memcpy(bytes + head + 22, list, len);
	return frame_decode(out, bytes, head + 22 + len);
}

#define LIST(text) text, sizeof(text) - 1

static void candidates_of_no_use_are_skipped(void **state)
{
	static const struct {
		const char *list;
		size_t len, count;
	} rows[] = {
		{ LIST("\0"), 0 },
		{ LIST("\x01\x01" V4), 1 },
		{ LIST("\x01\0" V4), 0 }, /* kinds */
		{ LIST("\x01\x04" V4), 0 },
		{ LIST("\x01\xff" V4), 0 },
		{ LIST("\x01\x01\0\0\0"), 0 }, /* endpoints */
		{ LIST("\x01\x01\0\x01\0"), 0 },
		{ LIST("\x01\x01\x04\xc6\x33\x64\x02\0\0"), 0 },
		{ LIST("\x01\x01\x04\xe0\0\0\x01\x01\0"), 0 },
		{ LIST("\x01\x01\x04\xff\xff\xff\xff\x01\0"), 0 },
		{ LIST("\x01\x01\x04\0\0\0\0\x01\0"), 0 },
		{ LIST("\x01\x01\x06\0\0\0\0\0\0\0\0\0\0\xff\xff\xc6\x33\x64\x02\x01\0"), 0 },
		{ LIST("\x01\x01\x06\xff\x02\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x01\0"), 0 },
		{ LIST("\x04\x09" V6 "\x03" V4 "\x02\0\0\0\x03" V4), 2 },
		{ LIST("\x08" /* a full one of which none is left */
		       "\x04" V6 "\x04" V6 "\x04" V6 "\x04" V6 "\x04" V6 "\x04" V6 "\x04" V6
		       "\x04" V6),
		  0 },
		{ LIST("\x40\x01\x01" V4), 1 }, /* the count need not be minimal */
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct frame expected = frame_of(FRAME_CANDIDATES), back;

		if (decode_list(&back, rows[i].list, rows[i].len) <= 0)
			fail_msg("row %zu refused", i);
		expected.candidates.count = rows[i].count;
		for (size_t k = 0; k < rows[i].count; k++) {
			expected.candidates.list[k].kind =
				rows[i].count == 2 ? CANDIDATE_MAPPED : CANDIDATE_INTERFACE;
			addr_parse(&expected.candidates.list[k].endpoint, "198.51.100.2:41657");
		}
		if (memcmp(&back, &expected, sizeof(back)) != 0)
			fail_msg("row %zu: %zu candidates", i, back.candidates.count);
	}
}

static void broken_candidates_are_refused(void **state)
{
	static const struct {
		const char *list;
		size_t len;
	} rows[] = {
		{ LIST("") },
		{ LIST("\x40") },
		{ LIST("\x01") },
		{ LIST("\x02\x01" V4) },
		{ LIST("\x01\x01\x01\0\0\0\0\0\0") }, /* families */
		{ LIST("\x01\x01\x05\0\0\0\0\0\0") },
		{ LIST("\x01\x04\x05\0\0\0\0\0\0") }, /* also of an unknown kind */
		{ LIST("\x01\x01\xff\0\0\0\0\0\0") },
		{ LIST("\x09\x01" V4 "\x01" V4 "\x01" V4 "\x01" V4 "\x01" V4 "\x01" V4 "\x01" V4
		       "\x01" V4 "\x01" V4) },
		{ LIST("\x09\x04" V4 "\x04" V4 "\x04" V4 "\x04" V4 "\x04" V4 "\x04" V4 "\x04" V4
		       "\x04" V4 "\x04" V4) },
		{ LIST("\xff\xff\xff\xff\xff\xff\xff\xff\x01" V4) },
	};
	static const char WHOLE[] = "\x03\x01" V4 "\x04" V6 "\x02\0\0";

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++)
		if (decode_list(NULL, rows[i].list, rows[i].len) != GW_E_FORMAT)
			fail_msg("row %zu accepted", i);
	assert_true(decode_list(NULL, WHOLE, sizeof(WHOLE)) > 0); /* its NUL ends the last port */
	for (size_t len = 0; len < sizeof(WHOLE); len++)
		assert_int_equal(decode_list(NULL, WHOLE, len), GW_E_FORMAT);
}

/* --- claims --- */

static void claim_is_laid_out_as_specified(void **state)
{
	struct wire_claim c = { .incarnation = UINT64_C(0xf1f2f3f4f5f6f7f8),
				.started_ms = UINT64_C(0x0102030405060708) },
			  back;
	static const uint8_t HEAD[WIRE_CLAIM_SIGNED] = { 0xf1, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6,
							 0xf7, 0xf8, 1,    2,    3,    4,
							 5,    6,    7,    8 };
	uint8_t out[WIRE_CLAIM_SIZE], *copy;

	(void)state;
	fill(c.signature, sizeof(c.signature), 0x33);
	wire_claim_encode(out, &c);
	assert_memory_equal(out, HEAD, sizeof(HEAD));
	assert_memory_equal(out + WIRE_CLAIM_SIGNED, c.signature, sizeof(c.signature));
	copy = exact(out, sizeof(out));
	memset(&back, 0xa5, sizeof(back));
	wire_claim_decode(&back, copy);
	free(copy);
	assert_memory_equal(&back, &c, sizeof(c));
}

/* As a process makes it and its peer checks it: through a hello, under its own context. */
static void claim_is_signed_for_one_incarnation(void **state)
{
	struct wire_claim c = { .incarnation = 42, .started_ms = 43 }, back;
	struct frame hello = frame_of(FRAME_HELLO), got;
	uint8_t out[WIRE_FRAME_MAX];
	struct identity id;
	size_t len;

	(void)state;
	assert_int_equal(crypto_init(), 0);
	identity_generate(&id);
	wire_claim_encode(hello.hello.claim, &c);
	identity_sign(&id, CLAIM_CONTEXT, hello.hello.claim, WIRE_CLAIM_SIGNED, c.signature);
	wire_claim_encode(hello.hello.claim, &c);
	len = wire_frame_encode(out, &hello);
	assert_int_equal(frame_decode(&got, out, len), len);
	wire_claim_decode(&back, got.hello.claim);
	assert_int_equal(back.incarnation, 42);
	assert_int_equal(back.started_ms, 43);
	assert_true(signature_valid(id.key, CLAIM_CONTEXT, got.hello.claim, WIRE_CLAIM_SIGNED,
				    back.signature));
	for (size_t bit = 0; bit < 8 * WIRE_CLAIM_SIZE; bit++) {
		got.hello.claim[bit / 8] ^= (uint8_t)(1 << bit % 8);
		wire_claim_decode(&back, got.hello.claim);
		assert_false(signature_valid(id.key, CLAIM_CONTEXT, got.hello.claim,
					     WIRE_CLAIM_SIGNED, back.signature));
		got.hello.claim[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
}

/* --- segment headers --- */

static const char *const SERVICES[] = {
	"s", "web", "0.a_b-c",
	"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa9", /* 63 */
};

static struct segment_header open_of(uint64_t id, uint64_t offset, const char *service)
{
	struct segment_header h;

	memset(&h, 0, sizeof(h));
	h.kind = SEGMENT_OPEN;
	h.id = id;
	h.offset = offset;
	strcpy(h.service, service);
	return h;
}

static struct segment_header resume_of(uint64_t id, uint64_t offset)
{
	struct segment_header h = open_of(id, offset, "");

	h.kind = SEGMENT_RESUME;
	return h;
}

static void check_segment(const struct segment_header *h)
{
	uint8_t out[WIRE_SEGMENT_MAX + 1];
	struct segment_header back;
	size_t len;

	memset(out, 0x5a, sizeof(out));
	len = wire_segment_encode(out, h);
	assert_in_range(len, 4, WIRE_SEGMENT_MAX);
	assert_int_equal(out[len], 0x5a);
	assert_int_equal(segment_decode(&back, out, len), len);
	assert_memory_equal(&back, h, sizeof(back));
	assert_int_equal(segment_decode(&back, out, sizeof(out)), len); /* data follows */
	for (size_t part = 0; part < len; part++)
		assert_int_equal(segment_decode(NULL, out, part), 0);
}

static void segment_headers_come_back(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(EDGES); i++) {
		for (size_t k = 0; k < COUNT(EDGES); k++) {
			struct segment_header h = resume_of(EDGES[i], EDGES[k]);

			check_segment(&h);
			h = open_of(EDGES[i], EDGES[k], SERVICES[(i + k) % COUNT(SERVICES)]);
			check_segment(&h);
			h.kind = SEGMENT_OPEN_DATAGRAM;
			check_segment(&h);
		}
	}
}

/* docs/protocol.md, section 5. */
static void layout_of_segments_is_as_specified(void **state)
{
	static const uint8_t OPEN[] = { 9, 1, 0x40, 64, 5, 3, 'w', 'e', 'b', 0 };
	static const uint8_t RESUME[] = { 6, 2, 7, 0x80, 1, 0, 0 };
	static const uint8_t DATAGRAM[] = { 7, 3, 2, 0, 3, 'd', 'n', 's' };
	struct segment_header h = open_of(64, 5, "web");
	uint8_t out[WIRE_SEGMENT_MAX];

	(void)state;
	assert_int_equal(wire_segment_encode(out, &h), 9);
	assert_int_equal(out[0], 8);
	assert_memory_equal(out + 1, OPEN + 1, 8);
	assert_int_equal(segment_decode(&h, OPEN, sizeof(OPEN)), sizeof(OPEN)); /* one field more */
	assert_string_equal(h.service, "web");
	h = resume_of(7, 65536);
	assert_int_equal(wire_segment_encode(out, &h), sizeof(RESUME));
	assert_memory_equal(out, RESUME, sizeof(RESUME));
	h = open_of(2, 0, "dns");
	h.kind = SEGMENT_OPEN_DATAGRAM;
	assert_int_equal(wire_segment_encode(out, &h), sizeof(DATAGRAM));
	assert_memory_equal(out, DATAGRAM, sizeof(DATAGRAM));
}

static void longer_headers_are_skipped_and_shorter_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(EDGES); i++) {
		struct segment_header heads[] = { resume_of(EDGES[i],
							    EDGES[(i + 5) % COUNT(EDGES)]),
						  open_of(EDGES[i], 0, SERVICES[i % 4]) };

		for (size_t k = 0; k < COUNT(heads); k++) {
			uint8_t whole[WIRE_SEGMENT_MAX], out[WIRE_SEGMENT_MAX + 2];
			size_t known = wire_segment_encode(whole, &heads[k]);
			size_t head = (size_t)1 << (whole[0] >> 6);
			struct segment_header back;

			known -= head;
			for (size_t len = 0; len + 2 <= sizeof(out); len++) {
				ssize_t used;

				memset(out, 0, sizeof(out));
				out[0] = 0x40; /* lengths in two bytes: not minimal below 64 */
				out[1] = (uint8_t)len;
				memcpy(out + 2, whole + head, len < known ? len : known);
				used = segment_decode(&back, out, len + 2);
				if (len < known || len + 2 > WIRE_SEGMENT_MAX) {
					assert_int_equal(used, GW_E_FORMAT);
					continue;
				}
				assert_int_equal(used, len + 2);
				assert_memory_equal(&back, &heads[k], sizeof(back));
			}
		}
	}
}

#define ROW(text)                                                                                  \
	{                                                                                          \
		text, sizeof(text) - 1                                                             \
	}

static void broken_segment_headers_are_refused(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
	} rows[] = {
		ROW("\0"),           /* nothing */
		ROW("\x03\0\x05\0"), /* kinds */
		ROW("\x03\x04\x05\0"),
		ROW("\x05\x04\x05\0\x01w"),
		ROW("\x03\x03\x05\0"), /* a service missing, an empty one */
		ROW("\x04\x03\x05\0\0"),
		ROW("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x05\0"),
		ROW("\x01\x02"), /* fields missing */
		ROW("\x02\x02\x05"),
		ROW("\x03\x01\x05\0"),
		ROW("\x03\x02\x05\x40"), /* cut within a field */
		ROW("\x04\x01\x05\0\0"), /* services */
		ROW("\x04\x01\x05\0\x01"),
		ROW("\x05\x01\x05\0\x02w"),
		ROW("\x05\x01\x05\0\x01W"),
		ROW("\x05\x01\x05\0\x01-"),
		ROW("\x05\x01\x05\0\x01\0"),
		ROW("\x07\x01\x05\0\x03w\0w"),
		ROW("\x06\x01\x05\0\x02w/"),
		ROW("\x40\x46\x01\x05\0\x40\x40"
		    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"), /* 64 */
		ROW("\x0c\x01\x05\0\xff\xff\xff\xff\xff\xff\xff\xffw"),
		ROW("\x40\x7f"), /* 127 bytes follow: over the limit, and known from these two */
		ROW("\x80\0\0\x7d"),
		ROW("\xff\xff\xff\xff\xff\xff\xff\xff"),
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		ssize_t used = segment_decode(NULL, rows[i].bytes, rows[i].len);

		if (used != GW_E_FORMAT)
			fail_msg("row %zu: %zd", i, used);
	}
}

/* wire/ and crypto/ have the rule for service names each on its own. */
static void service_names_are_as_in_tickets(void **state)
{
	(void)state;
	for (unsigned c = 1; c < 256 * 256; c += c < 256 ? 1 : 7) {
		struct segment_header h = open_of(1, 0, "");
		uint8_t out[WIRE_SEGMENT_MAX];
		size_t len;

		h.service[0] = (char)(c < 256 ? c : c >> 8);
		h.service[1] = (char)(c < 256 ? 0 : c & 255);
		len = wire_segment_encode(out, &h);
		assert_int_equal(segment_decode(NULL, out, len),
				 service_name_valid(h.service) ? (int)len : GW_E_FORMAT);
	}
}

/* As with frames: WIRE_SEGMENT_MAX bytes always suffice. */
static void any_bytes_are_segments_or_refused(void **state)
{
	enum { ROUNDS = 20000 };
	size_t accepted = 0;
	struct rng rng;

	(void)state;
	rng_seed(&rng, 9);
	for (size_t round = 0; round < ROUNDS; round++) {
		uint8_t data[WIRE_SEGMENT_MAX], again[WIRE_SEGMENT_MAX];
		struct segment_header h, back;
		ssize_t used;
		size_t len;

		rng_bytes(&rng, data, sizeof(data));
		if (round % 4) {
			data[0] = (uint8_t)rng_below(&rng, 64);
			data[1] = (uint8_t)rng_below(&rng, 4);
			data[2] = data[3] = 0;
			data[4] = (uint8_t)rng_below(&rng, 4);
			for (size_t i = 5; i < 9; i++)
				data[i] = (uint8_t)('a' + data[i] % 27);
		}
		used = segment_decode(&h, data, sizeof(data));
		assert_int_not_equal(used, 0);
		if (used < 0)
			continue;
		accepted++;
		len = wire_segment_encode(again, &h);
		assert_true(len <= (size_t)used);
		assert_int_equal(segment_decode(&back, again, len), len);
		assert_memory_equal(&back, &h, sizeof(h));
	}
	assert_in_range(accepted, ROUNDS / 10, ROUNDS - ROUNDS / 10);
}

/* --- datagrams of streams: docs/protocol.md, section 15 --- */

static void ids_stand_before_datagrams(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(EDGES); i++) {
		uint8_t out[WIRE_DGRAM_HEADER_MAX + 3], *bytes;
		size_t len = wire_dgram_encode(out, EDGES[i]);
		uint64_t id;

		assert_int_equal(len, wire_varint_size(EDGES[i]));
		for (size_t payload = 0; payload <= 3; payload++) { /* may be empty */
			bytes = exact(out, len + payload);
			id = 77;
			assert_int_equal(wire_dgram_decode(&id, bytes, len + payload), len);
			assert_true(id == EDGES[i]);
			free(bytes);
		}
		for (size_t cut = 0; cut < len; cut++) { /* nothing follows: never "more" */
			bytes = exact(out, cut);
			id = 77;
			assert_int_equal(wire_dgram_decode(&id, bytes, cut), GW_E_FORMAT);
			assert_true(id == 77);
			free(bytes);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vectors_of_rfc9000),
		cmocka_unit_test(varints_come_back_and_need_all_their_bytes),
		cmocka_unit_test(first_byte_tells_the_kind),
		cmocka_unit_test(refusals_come_back),
		cmocka_unit_test(members_and_manifests_come_back),
		cmocka_unit_test(probes_of_all_sizes_come_back),
		cmocka_unit_test(layout_of_probes_is_as_specified),
		cmocka_unit_test(probes_of_another_size_are_refused),
		cmocka_unit_test(frames_come_back),
		cmocka_unit_test(layout_of_frames_is_as_specified),
		cmocka_unit_test(longer_payloads_are_skipped_and_shorter_refused),
		cmocka_unit_test(unknown_types_are_skipped),
		cmocka_unit_test(long_frames_are_refused_by_their_head),
		cmocka_unit_test(frame_heads_need_not_be_minimal),
		cmocka_unit_test(any_bytes_are_frames_or_refused),
		cmocka_unit_test(layout_of_candidates_is_as_specified),
		cmocka_unit_test(longest_candidates_fit_into_a_frame),
		cmocka_unit_test(candidates_of_no_use_are_skipped),
		cmocka_unit_test(broken_candidates_are_refused),
		cmocka_unit_test(claim_is_laid_out_as_specified),
		cmocka_unit_test(claim_is_signed_for_one_incarnation),
		cmocka_unit_test(segment_headers_come_back),
		cmocka_unit_test(layout_of_segments_is_as_specified),
		cmocka_unit_test(longer_headers_are_skipped_and_shorter_refused),
		cmocka_unit_test(broken_segment_headers_are_refused),
		cmocka_unit_test(service_names_are_as_in_tickets),
		cmocka_unit_test(any_bytes_are_segments_or_refused),
		cmocka_unit_test(ids_stand_before_datagrams),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
