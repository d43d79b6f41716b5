/* tests/unit/wire_beacon.c - what nodes and beacons say to one another, both ways, and what
 * strangers may send. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/rng.h"
#include "crypto/identity.h"
#include "wire/beacon.h"
#include "wire_exact.h"

#define TEXT(text) text, sizeof(text) - 1

/* In hand-written bytes. */
#define KEY "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk"
#define CLAIM "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"
#define TOKEN "tttttttt"
#define NONE "\0\0\0"
#define V4 "\x04\xc6\x33\x64\x02\xa2\xb9"                           /* 198.51.100.2:41657 */
#define V6 "\x06\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x01\xbb" /* [2001:db8::1]:443 */
#define MAPPED "\x06\0\0\0\0\0\0\0\0\0\0\xff\xff\xc6\x33\x64\x02\xa2\xb9"

static struct addr addr_of(const char *text)
{
	struct addr a = { 0 };

	if (text)
		assert_int_equal(addr_parse(&a, text), 0);
	return a;
}

/* --- frames --- */

/* Where a frame has its record, or part of an item; NULL: it has none. */
static const uint8_t **record_of(struct beacon_frame *f, size_t *len)
{
	switch (f->type) {
	case BEACON_PUBLISH:
		*len = f->publish.record_len;
		return &f->publish.record;
	case BEACON_RECORD:
		*len = f->record.record_len;
		return &f->record.record;
	case BEACON_STORE:
	case BEACON_ITEM:
		*len = f->item.len;
		return &f->item.bytes;
	default:
		return NULL;
	}
}

/* From memory of exactly that size.  A record is part of those bytes; in *out it is part of
 * `data`. */
static ssize_t decode(struct beacon_frame *out, const void *data, size_t len)
{
	uint8_t *copy = exact(data, len);
	struct beacon_frame before, result;
	const uint8_t **record = NULL;
	size_t record_len = 0;
	ssize_t used;

	memset(&before, 0xa5, sizeof(before));
	memcpy(&result, &before, sizeof(result));
	used = wire_beacon_decode(&result, copy, len);
	assert_true(used == GW_E_FORMAT || (used >= 0 && (size_t)used <= len));
	if (used > 0)
		record = record_of(&result, &record_len);
	else
		assert_memory_equal(&result, &before, sizeof(result));
	if (record) {
		assert_true(*record >= copy && record_len <= (size_t)(copy + used - *record));
		*record = (const uint8_t *)data + (*record - copy);
	}
	free(copy);
	if (used > 0 && out)
		*out = result;
	return used;
}

static void assert_same(struct beacon_frame *a, struct beacon_frame *b)
{
	struct beacon_frame x, y;
	size_t len = 0, other = 0;

	memcpy(&x, a, sizeof(x));
	memcpy(&y, b, sizeof(y));
	assert_int_equal(x.type, y.type);
	if (record_of(&x, &len)) {
		const uint8_t **one = record_of(&x, &len), **two = record_of(&y, &other);

		assert_int_equal(len, other);
		if (len > 0)
			assert_memory_equal(*one, *two, len);
		*one = *two = NULL;
	}
	assert_memory_equal(&x, &y, sizeof(x));
}

enum { SAMPLES = 16 };

static uint8_t record_bytes[WIRE_RECORD_MAX];

/* The frames of a client, with the varints at the i-th edge and after. */
static size_t sample_requests(struct beacon_frame *f, size_t i)
{
	static const size_t lengths[] = { 1, 63, 64, WIRE_RECORD_MAX - 1, WIRE_RECORD_MAX };
	uint64_t a = EDGES[i % COUNT(EDGES)], b = EDGES[(i + 3) % COUNT(EDGES)];

	f[0].type = BEACON_ATTEND;
	f[0].attend.version = a;
	f[0].attend.flags = b;
	fill(f[0].attend.claim, WIRE_CLAIM_SIZE, 0x10);
	f[1].type = BEACON_PUBLISH;
	f[1].publish.request = a;
	f[1].publish.record = record_bytes;
	f[1].publish.record_len = lengths[i % COUNT(lengths)];
	f[2].type = BEACON_LOOKUP;
	f[2].lookup.request = b;
	f[2].lookup.flags = a;
	fill(f[2].lookup.key, WIRE_KEY_SIZE, 0xf0);
	f[3].type = BEACON_UNWATCH;
	fill(f[3].unwatch.key, WIRE_KEY_SIZE, 0xe0);
	f[4].type = BEACON_OPEN;
	f[4].open.channel = UINT64_MAX - a; /* all 64 bits */
	fill(f[4].open.key, WIRE_KEY_SIZE, 0xd0);
	f[5].type = BEACON_TEST;
	f[5].test.port = (uint16_t)(i ? UINT16_MAX - a : 1);
	f[5].test.port |= 1; /* never 0 */
	fill(f[5].test.token, WIRE_TOKEN_SIZE, 0xc0);
	f[6].type = BEACON_REVEAL;
	f[6].reveal.channel = UINT64_MAX - b;
	return 7;
}

static void sample_frames(struct beacon_frame f[SAMPLES], size_t i)
{
	static const char *const endpoints[] = { NULL, "1.0.0.0:1", "223.255.255.255:65535",
						 "[2001:db8::1]:1" };
	uint64_t a = EDGES[i % COUNT(EDGES)], b = EDGES[(i + 3) % COUNT(EDGES)],
		 c = EDGES[(i + 7) % COUNT(EDGES)];

	memset(f, 0, SAMPLES * sizeof(*f));
	fill(record_bytes, sizeof(record_bytes), 0x42);
	f += sample_requests(f, i);
	f[0].type = BEACON_PING;
	f[0].ping.nonce = a;
	f[1].type = BEACON_PONG;
	f[1].ping.nonce = b;
	f[2].type = BEACON_WELCOME;
	f[2].welcome.version = a;
	f[2].welcome.flags = b;
	f[2].welcome.wall_ms = UINT64_MAX - c;
	f[2].welcome.alternate_port = (uint16_t)a;
	f[2].welcome.endpoint = addr_of(endpoints[i % 4]);
	f[3].type = BEACON_OBSERVED;
	f[3].observed.endpoint = addr_of(endpoints[(i + 1) % 4]);
	f[4].type = BEACON_RECORD;
	f[4].record.request = a;
	f[4].record.flags = b;
	f[4].record.record = record_bytes;
	f[4].record.record_len = (size_t)(c % (WIRE_RECORD_MAX + 1)); /* 0 too */
	f[5].type = BEACON_RESULT;
	f[5].result.request = a;
	f[5].result.status = b;
	f[5].result.sequence = c;
	f[6].type = BEACON_CLOSE;
	f[6].close.channel = UINT64_MAX - a;
	f[6].close.reason = b;
	f[7].type = BEACON_DRAIN;
	f[7].drain.seconds = c;
	f[8].type = BEACON_REVEALED;
	f[8].revealed.channel = UINT64_MAX - c;
	f[8].revealed.endpoint = addr_of(endpoints[(i + 2) % 4]);
}

static void frames_come_back(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(EDGES); i++) {
		struct beacon_frame frames[SAMPLES], back;

		sample_frames(frames, i);
		for (size_t k = 0; k < SAMPLES; k++) {
			uint8_t out[WIRE_BEACON_FRAME_MAX + 1];
			size_t len;

			memset(out, 0x5a, sizeof(out));
			len = wire_beacon_encode(out, &frames[k]);
			assert_in_range(len, 2, WIRE_BEACON_FRAME_MAX);
			assert_int_equal(out[len], 0x5a);
			assert_int_equal(decode(&back, out, len), len);
			assert_same(&back, &frames[k]);
			/* and no more than itself is taken */
			assert_int_equal(decode(&back, out, sizeof(out)), len);
			for (size_t part = 0; part < len; part++)
				assert_int_equal(decode(NULL, out, part), 0);
		}
	}
}

static void assert_encoded(const struct beacon_frame *f, const char *bytes, size_t len)
{
	uint8_t out[WIRE_BEACON_FRAME_MAX];
	struct beacon_frame copy, back;

	memcpy(&copy, f, sizeof(copy));
	assert_int_equal(wire_beacon_encode(out, f), len);
	assert_memory_equal(out, bytes, len);
	assert_int_equal(decode(&back, bytes, len), len);
	assert_same(&back, &copy);
}

static struct beacon_frame frame_of(uint64_t type)
{
	struct beacon_frame f;

	memset(&f, 0, sizeof(f));
	f.type = type;
	return f;
}

/* docs/protocol.md, section 11. */
static void layout_of_requests_is_as_specified(void **state)
{
	struct beacon_frame f = frame_of(BEACON_PING);

	(void)state;
	f.ping.nonce = 64;
	assert_encoded(&f, TEXT("\x06\x02\x40\x40"));
	f.type = BEACON_PONG;
	assert_encoded(&f, TEXT("\x07\x02\x40\x40"));

	f = frame_of(BEACON_ATTEND);
	f.attend.version = 1;
	f.attend.flags = ATTEND_REGISTER;
	memcpy(f.attend.claim, CLAIM, WIRE_CLAIM_SIZE);
	assert_encoded(&f, TEXT("\x10\x40\x52\x01\x01" CLAIM));

	f = frame_of(BEACON_PUBLISH);
	f.publish.request = 5;
	f.publish.record = (const uint8_t *)"rec";
	f.publish.record_len = 3;
	assert_encoded(&f, TEXT("\x13\x05\x05\x03rec"));

	f = frame_of(BEACON_LOOKUP);
	f.lookup.request = 16384;
	f.lookup.flags = LOOKUP_WATCH;
	memcpy(f.lookup.key, KEY, WIRE_KEY_SIZE);
	assert_encoded(&f, TEXT("\x14\x25\x80\0\x40\0\x01" KEY));

	f = frame_of(BEACON_UNWATCH);
	memcpy(f.unwatch.key, KEY, WIRE_KEY_SIZE);
	assert_encoded(&f, TEXT("\x15\x20" KEY));

	f = frame_of(BEACON_OPEN);
	f.open.channel = UINT64_C(0xf1f2f3f4f5f6f7f8);
	memcpy(f.open.key, KEY, WIRE_KEY_SIZE);
	assert_encoded(&f, TEXT("\x18\x28\xf1\xf2\xf3\xf4\xf5\xf6\xf7\xf8" KEY));

	f = frame_of(BEACON_CLOSE);
	f.close.channel = 1;
	f.close.reason = CHANNEL_IDLE;
	assert_encoded(&f, TEXT("\x19\x09\0\0\0\0\0\0\0\x01\x06"));

	f = frame_of(BEACON_TEST);
	f.test.port = 41657;
	memcpy(f.test.token, TOKEN, WIRE_TOKEN_SIZE);
	assert_encoded(&f, TEXT("\x1a\x0c\x80\0\xa2\xb9" TOKEN));
}

static void layout_of_answers_is_as_specified(void **state)
{
	struct beacon_frame f = frame_of(BEACON_WELCOME);

	(void)state;
	f.welcome.version = 1;
	f.welcome.flags = WELCOME_DRAINING;
	f.welcome.wall_ms = UINT64_C(0x0000019876543210);
	f.welcome.alternate_port = 3478;
	f.welcome.endpoint = addr_of("198.51.100.2:41657");
	assert_encoded(&f, TEXT("\x11\x13\x01\x01\0\0\x01\x98\x76\x54\x32\x10\x4d\x96" V4));
	f.welcome.alternate_port = 0;
	f.welcome.endpoint = addr_of("[2001:db8::1]:443");
	assert_encoded(&f, TEXT("\x11\x1e\x01\x01\0\0\x01\x98\x76\x54\x32\x10\0" V6));

	f = frame_of(BEACON_OBSERVED);
	assert_encoded(&f, TEXT("\x12\x03" NONE));
	f.observed.endpoint = addr_of("198.51.100.2:41657");
	assert_encoded(&f, TEXT("\x12\x07" V4));

	f = frame_of(BEACON_RECORD);
	f.record.flags = RECORD_HERE;
	f.record.record = (const uint8_t *)"";
	assert_encoded(&f, TEXT("\x16\x03\0\x01\0"));
	f.record.request = 7;
	f.record.record = (const uint8_t *)"rec";
	f.record.record_len = 3;
	assert_encoded(&f, TEXT("\x16\x06\x07\x01\x03rec"));

	f = frame_of(BEACON_RESULT);
	f.result.request = 7;
	f.result.status = RESULT_OLDER;
	f.result.sequence = UINT64_C(0x0000019876543210);
	assert_encoded(&f, TEXT("\x17\x0a\x07\x01\xc0\0\x01\x98\x76\x54\x32\x10"));

	f = frame_of(BEACON_DRAIN);
	f.drain.seconds = 30;
	assert_encoded(&f, TEXT("\x1b\x01\x1e"));

	f = frame_of(BEACON_REVEALED);
	f.revealed.channel = 0x0102030405060708;
	f.revealed.endpoint = addr_of("1.2.3.4:258");
	assert_encoded(&f, TEXT("\x1d\x0f\1\2\3\4\5\6\7\x08\4\1\2\3\4\1\2"));
}

/* Take the frame's payload out and put it into a frame of `len` bytes of payload. */
static size_t with_length(uint8_t *out, const struct beacon_frame *f, size_t len)
{
	uint8_t whole[WIRE_BEACON_FRAME_MAX];
	size_t size = wire_beacon_encode(whole, f), head = 1 + (size_t)(1 << (whole[1] >> 6)), at;

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
		struct beacon_frame frames[SAMPLES], back;

		sample_frames(frames, i);
		for (size_t k = 0; k < SAMPLES; k++) {
			uint8_t out[WIRE_BEACON_FRAME_MAX + 16];
			size_t known = wire_beacon_encode(out, &frames[k]), size;

			known -= 1 + (size_t)(1 << (out[1] >> 6));
			for (size_t len = 0; len < known; len++) {
				size = with_length(out, &frames[k], len);
				assert_int_equal(decode(NULL, out, size), GW_E_FORMAT);
			}
			for (size_t len = known; len + 3 <= WIRE_BEACON_FRAME_MAX;
			     len += len < known + 70 ? 1 : 61) {
				size = with_length(out, &frames[k], len);
				assert_int_equal(decode(&back, out, size), size);
				assert_same(&back, &frames[k]);
			}
		}
	}
}

static void unknown_types_are_skipped(void **state)
{
	static const uint64_t types[] = {
		0, 1, 5, 8, 0x0f, 0x21, 63, 1000, 1000000, WIRE_VARINT_MAX
	};

	(void)state;
	for (size_t i = 0; i < COUNT(types); i++) {
		struct beacon_frame expected = frame_of(types[i]), back;
		uint8_t out[WIRE_BEACON_FRAME_MAX];
		size_t head = wire_varint_size(types[i]) + 2;

		assert_int_equal(wire_beacon_encode(out, &expected), head - 1);
		for (size_t len = 0; len + head <= WIRE_BEACON_FRAME_MAX; len++) {
			memset(out, 0xee, sizeof(out));
			wire_varint_encode(out, types[i]);
			out[head - 2] = (uint8_t)(0x40 | len >> 8);
			out[head - 1] = (uint8_t)len;
			assert_int_equal(decode(&back, out, head + len), head + len);
			assert_same(&back, &expected);
			if (len > 0)
				assert_int_equal(decode(NULL, out, head + len - 1), 0);
		}
	}
}

/* 1,280 bytes in all, however the head is written, and known as soon as the head is there. */
static void long_frames_are_refused_by_their_head(void **state)
{
	static const uint64_t types[] = { BEACON_PING, BEACON_RECORD, 40, 1000000,
					  WIRE_VARINT_MAX };

	(void)state;
	for (size_t i = 0; i < COUNT(types); i++) {
		uint8_t out[16];
		size_t type = wire_varint_encode(out, types[i]);

		for (size_t k = 0; k < 3; k++) { /* lengths in 2, 4 and 8 bytes */
			size_t size = (size_t)2 << k, head = type + size;

			for (uint64_t len = 1200; len < 1400; len++) {
				memset(out + type, 0, size);
				out[head - 2] = (uint8_t)(len >> 8);
				out[head - 1] = (uint8_t)len;
				out[type] |= (uint8_t)((k + 1) << 6);
				assert_int_equal(decode(NULL, out, head),
						 head + len > WIRE_BEACON_FRAME_MAX ? GW_E_FORMAT
										    : 0);
			}
		}
		for (size_t k = 4; k < COUNT(EDGES); k++) {
			size_t head = type + wire_varint_encode(out + type, EDGES[k]);

			assert_int_equal(decode(NULL, out, head), GW_E_FORMAT);
		}
	}
}

static void broken_frames_are_refused(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
	} rows[] = {
		/* endpoints: families, no port, multicast, broadcast, "this network" */
		{ TEXT("\x12\x03\x01\0\0") },
		{ TEXT("\x12\x07\x05\xc6\x33\x64\x02\xa2\xb9") },
		{ TEXT("\x12\x07\xff\xc6\x33\x64\x02\xa2\xb9") },
		{ TEXT("\x12\x03\0\0\x01") },
		{ TEXT("\x12\x03\0\x01\0") },
		{ TEXT("\x12\x07\x04\xc6\x33\x64\x02\0\0") },
		{ TEXT("\x12\x07\x04\xe0\0\0\x01\xa2\xb9") },
		{ TEXT("\x12\x07\x04\xff\xff\xff\xff\xa2\xb9") },
		{ TEXT("\x12\x07\x04\0\0\0\0\xa2\xb9") },
		{ TEXT("\x12\x13\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\xa2\xb9") },
		{ TEXT("\x12\x13\x06\xff\x02\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\xa2\xb9") },
		{ TEXT("\x12\x13" MAPPED) },
		{ TEXT("\x11\x1e\x01\0\0\0\0\0\0\0\0\0\0" MAPPED) },
		{ TEXT("\x11\x0e\x01\0\0\0\0\0\0\0\0\0\0\x03\0\0") },
		/* ports */
		{ TEXT("\x11\x11\x01\0\0\0\0\0\0\0\0\0\x80\x01\0\0" NONE) },
		{ TEXT("\x1a\x0c\x80\x01\0\0" TOKEN) },
		{ TEXT("\x1a\x10\xff\xff\xff\xff\xff\xff\xff\xff" TOKEN) },
		{ TEXT("\x1a\x09\0" TOKEN) },
		/* records */
		{ TEXT("\x13\x02\x05\0") },
		{ TEXT("\x13\x05\x05\x04rec") },
		{ TEXT("\x16\x06\x05\x01\x04rec") },
		{ TEXT("\x16\x0d\x05\x01\xff\xff\xff\xff\xff\xff\xff\xffrec") },
		/* cut within a field */
		{ TEXT("\x06\x01\x40") },
		{ TEXT("\x07\0") },
		{ TEXT("\x18\x07\0\0\0\0\0\0\0") },
		{ TEXT("\x15\x1fkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk") },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		ssize_t used = decode(NULL, rows[i].bytes, rows[i].len);

		if (used != GW_E_FORMAT)
			fail_msg("row %zu: %zd", i, used);
	}
}

/* As they are written, so that none is refused for another reason than the one meant. */
static void sound_frames_like_the_broken_are_taken(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
	} rows[] = {
		{ TEXT("\x12\x07" V4) },
		{ TEXT("\x12\x07\x04\x7f\0\0\x01\xa2\xb9") }, /* one's own beacon, for tests */
		{ TEXT("\x12\x13" V6) },
		{ TEXT("\x11\x1e\x01\0\0\0\0\0\0\0\0\0\0" V6) },
		{ TEXT("\x11\x0e\x01\0\0\0\0\0\0\0\0\0\0" NONE) },
		{ TEXT("\x11\x11\x01\0\0\0\0\0\0\0\0\0\x80\0\xff\xff" NONE) },
		{ TEXT("\x1a\x0c\x80\0\xff\xff" TOKEN) },
		{ TEXT("\x13\x05\x05\x03rec") },
		{ TEXT("\x16\x0d\x05\x01\xc0\0\0\0\0\0\0\x03rec") },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		ssize_t used = decode(NULL, rows[i].bytes, rows[i].len);

		if (used != (ssize_t)rows[i].len)
			fail_msg("row %zu: %zd", i, used);
	}
}

static void records_in_frames_have_their_limit(void **state)
{
	static const uint8_t types[] = { BEACON_PUBLISH, BEACON_RECORD };

	(void)state;
	for (size_t k = 0; k < COUNT(types); k++) {
		for (size_t len = WIRE_RECORD_MAX - 2; len <= WIRE_RECORD_MAX + 2; len++) {
			uint8_t out[WIRE_BEACON_FRAME_MAX] = { types[k] };
			size_t fields = k == 0 ? 1 : 2, at = 1, size;

			at += wire_varint_encode(out + at, fields + 2 + len) + fields;
			at += wire_varint_encode(out + at, len);
			size = at + len;
			assert_int_equal(decode(NULL, out, size),
					 len > WIRE_RECORD_MAX ? GW_E_FORMAT : (int)size);
		}
	}
}

static void padded_pings_are_pings(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(EDGES); i++) {
		size_t nonce = wire_varint_size(EDGES[i]);
		size_t most = WIRE_BEACON_FRAME_MAX - 1 - 2 - nonce;

		for (size_t padding = 0; padding <= most; padding += padding < 70 ? 1 : 3) {
			uint8_t out[WIRE_BEACON_FRAME_MAX + 1];
			size_t head = nonce + padding < 64 ? 2 : 3, len;
			struct beacon_frame back;

			memset(out, 0x5a, sizeof(out));
			len = wire_beacon_padded_ping(out, EDGES[i], padding);
			assert_int_equal(len, head + nonce + padding);
			assert_int_equal(out[len], 0x5a);
			for (size_t at = head + nonce; at < len; at++)
				assert_int_equal(out[at], 0);
			assert_int_equal(decode(&back, out, len), len);
			assert_int_equal(back.type, BEACON_PING);
			assert_true(back.ping.nonce == EDGES[i]);
		}
	}
}

/* WIRE_BEACON_FRAME_MAX bytes always suffice to tell, so a buffer of that size never stalls;
 * what is accepted is understood the same after being encoded again. */
static void any_bytes_are_frames_or_refused(void **state)
{
	enum { ROUNDS = 20000 };
	size_t accepted = 0;
	struct rng rng;

	(void)state;
	rng_seed(&rng, 10);
	for (size_t round = 0; round < ROUNDS; round++) {
		uint8_t data[WIRE_BEACON_FRAME_MAX], again[WIRE_BEACON_FRAME_MAX];
		struct beacon_frame f, back;
		ssize_t used;
		size_t len;

		rng_bytes(&rng, data, sizeof(data));
		if (round % 2) { /* a known type, and a length that may be right */
			data[0] = (uint8_t)(BEACON_ATTEND +
					    rng_below(&rng, BEACON_ITEM - BEACON_ATTEND + 1));
			data[1] = (uint8_t)rng_below(&rng, 64);
		}
		used = decode(&f, data, sizeof(data));
		assert_int_not_equal(used, 0);
		if (used < 0)
			continue;
		accepted++;
		len = wire_beacon_encode(again, &f);
		assert_true(len <= (size_t)used);
		assert_int_equal(decode(&back, again, len), len);
		assert_same(&back, &f);
	}
	assert_in_range(accepted, ROUNDS / 10, ROUNDS - ROUNDS / 10);
}

/* --- records --- */

DECODER(record_decode, wire_record)

enum { RECORD_HEAD = 45, SIGNATURE = 64 };

static struct wire_record record_with(size_t n_homes, size_t host)
{
	struct wire_record r;

	memset(&r, 0, sizeof(r));
	fill(r.key, sizeof(r.key), 0x80);
	r.sequence = UINT64_C(0x0000019876543210);
	r.lifetime_s = 86400;
	r.n_homes = n_homes;
	for (size_t i = 0; i < n_homes; i++) {
		fill(r.homes[i].key, WIRE_KEY_SIZE, (uint8_t)(0xa0 + i));
		r.homes[i].udp_port = (uint16_t)(i == 1 ? 1 : UINT16_MAX - i);
		r.homes[i].tls_port = (uint16_t)(i == 1 ? 0 : 443);
		memset(r.homes[i].host, i == 1 ? '!' : '~', host);
	}
	fill(r.signature, sizeof(r.signature), 0x11);
	return r;
}

static void records_come_back(void **state)
{
	(void)state;
	for (size_t n = 0; n <= WIRE_HOMES_MAX; n++) {
		for (size_t host = 1; host <= WIRE_HOST_MAX; host++) {
			struct wire_record r = record_with(n, host), back;
			uint8_t out[WIRE_RECORD_MAX + 1];
			size_t len = RECORD_HEAD + n * (2 + 36 + host) + SIGNATURE;

			r.sequence = EDGES[host % COUNT(EDGES)];
			r.lifetime_s = host % 3 ? (uint32_t)host : UINT32_MAX;
			memset(out, 0x5a, sizeof(out));
			assert_int_equal(wire_record_encode(out, &r), len);
			assert_int_equal(out[len], 0x5a);
			assert_memory_equal(out + len - SIGNATURE, r.signature, SIGNATURE);
			assert_int_equal(record_decode(&back, out, len), len);
			assert_memory_equal(&back, &r, sizeof(r));
		}
	}
}

#define SIGNED_64 "ssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssss"
#define RECORD(fields) "\x01" KEY "\0\0\x01\x98\x76\x54\x32\x10\0\x01\x51\x80" fields SIGNED_64
#define HOME "\x01\x26" KEY "\xa2\xb9\x01\xbb" /* and two bytes of host */

/* docs/protocol.md, section 11. */
static void layout_of_records_is_as_specified(void **state)
{
	static const char BYTES[] = RECORD(HOME "b1" HOME "b2");
	struct wire_record r = record_with(2, 2), back;
	uint8_t out[WIRE_RECORD_MAX];

	(void)state;
	memcpy(r.key, KEY, sizeof(r.key));
	for (size_t i = 0; i < 2; i++) {
		memcpy(r.homes[i].key, KEY, WIRE_KEY_SIZE);
		r.homes[i].udp_port = 41657;
		r.homes[i].tls_port = 443;
		strcpy(r.homes[i].host, i ? "b2" : "b1");
	}
	memcpy(r.signature, SIGNED_64, SIGNATURE);
	assert_int_equal(wire_record_encode(out, &r), sizeof(BYTES) - 1);
	assert_memory_equal(out, BYTES, sizeof(BYTES) - 1);
	assert_int_equal(record_decode(&back, BYTES, sizeof(BYTES) - 1), sizeof(BYTES) - 1);
	assert_memory_equal(&back, &r, sizeof(r));
}

static void unknown_fields_of_records_are_skipped(void **state)
{
	static const struct {
		const char *bytes;
		size_t len, n_homes;
	} rows[] = {
		{ TEXT(RECORD("")), 0 },
		{ TEXT(RECORD("\0\0")), 0 },
		{ TEXT(RECORD("\x02\x20" KEY "\x03\x20" KEY)), 0 }, /* reserved */
		{ TEXT(RECORD("\xff\0\xff\x03xyz" HOME "b1\x02\0" HOME "b2\x09\x01x")), 2 },
		{ TEXT(RECORD(HOME "b1" HOME "b2" HOME "b3\x04\x26" KEY "\0\0\0\0\0\0")), 3 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct wire_record r;

		assert_int_equal(record_decode(&r, rows[i].bytes, rows[i].len), rows[i].len);
		assert_int_equal(r.n_homes, rows[i].n_homes);
		assert_memory_equal(r.signature, SIGNED_64, SIGNATURE);
		for (size_t k = 0; k < r.n_homes; k++) {
			const char host[] = { 'b', (char)('1' + k), '\0' };

			assert_string_equal(r.homes[k].host, host);
		}
	}
}

static void broken_records_are_refused(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
	} rows[] = {
		{ TEXT("") },
		{ TEXT("\x01" KEY "\0\0\0\0\0\0\0\0\0\0\0\0") },
		{ TEXT(RECORD("\x09")) }, /* fields cut */
		{ TEXT(RECORD("\x09\x01")) },
		{ TEXT(RECORD("\x09\xff")) },
		{ TEXT(RECORD(HOME "b1\x01")) },
		{ TEXT(RECORD(HOME "b")) },
		{ TEXT(RECORD(HOME "b1" HOME "b2" HOME "b3" HOME "b4")) },
		{ TEXT(RECORD("\x01\0")) }, /* homes too short */
		{ TEXT(RECORD("\x01\x20" KEY)) },
		{ TEXT(RECORD("\x01\x23" KEY "\xa2\xb9\x01")) },
		{ TEXT(RECORD("\x01\x24" KEY "\xa2\xb9\x01\xbb")) },
		{ TEXT(RECORD("\x01\x26" KEY "\0\0\x01\xbb"
			      "b1")) }, /* no port */
		{ TEXT(RECORD(HOME "b ")) },
		{ TEXT(RECORD(HOME "\0b")) },
		{ TEXT(RECORD(HOME "b\0")) },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++)
		if (record_decode(NULL, rows[i].bytes, rows[i].len) != GW_E_FORMAT)
			fail_msg("row %zu accepted", i);
}

static void versions_and_sequences_of_records_are_checked(void **state)
{
	uint8_t bytes[] = RECORD("");
	const size_t len = sizeof(bytes) - 1;

	(void)state;
	for (unsigned version = 0; version < 256; version++) {
		bytes[0] = (uint8_t)version;
		assert_int_equal(record_decode(NULL, bytes, len),
				 version == 1 ? (int)len : GW_E_FORMAT);
	}
	bytes[0] = 1;
	for (unsigned first = 0; first < 256; first++) { /* RESULT has it as a varint */
		bytes[33] = (uint8_t)first;
		assert_int_equal(record_decode(NULL, bytes, len),
				 first < 0x40 ? (int)len : GW_E_FORMAT);
	}
	for (size_t part = 0; part < RECORD_HEAD + SIGNATURE; part++)
		assert_int_equal(record_decode(NULL, bytes, part), GW_E_FORMAT);
}

static void hosts_are_printable_text_of_1_to_128_bytes(void **state)
{
	uint8_t bytes[WIRE_RECORD_MAX] = { 1 };

	(void)state;
	bytes[RECORD_HEAD] = 1;
	bytes[RECORD_HEAD + 2 + 33] = 1; /* UDP port 1 */
	memset(bytes + RECORD_HEAD + 2 + 36, 'a', 219);
	for (size_t host = 0; host <= 219; host++) {
		size_t len = RECORD_HEAD + 2 + 36 + host + SIGNATURE;

		bytes[RECORD_HEAD + 1] = (uint8_t)(36 + host);
		assert_int_equal(record_decode(NULL, bytes, len),
				 host >= 1 && host <= 128 ? (int)len : GW_E_FORMAT);
	}
	bytes[RECORD_HEAD + 1] = 36 + 3;
	for (unsigned c = 0; c < 3 * 256; c++) {
		size_t len = RECORD_HEAD + 2 + 36 + 3 + SIGNATURE;
		uint8_t *at = bytes + RECORD_HEAD + 2 + 36 + c / 256, byte = (uint8_t)c;

		*at = byte;
		assert_int_equal(record_decode(NULL, bytes, len),
				 byte > ' ' && byte < 0x7f ? (int)len : GW_E_FORMAT);
		*at = 'a';
	}
}

static void long_records_are_refused(void **state)
{
	uint8_t bytes[WIRE_RECORD_MAX + 2] = { 1 };

	(void)state;
	for (size_t len = WIRE_RECORD_MAX - 2; len <= sizeof(bytes); len++) {
		size_t fields = len - RECORD_HEAD - SIGNATURE, at = RECORD_HEAD;

		for (size_t size; fields > 0; fields -= 2 + size, at += 2 + size) {
			size = fields > 500 ? 200 : fields > 257 ? 100 : fields - 2;
			bytes[at] = 9;
			bytes[at + 1] = (uint8_t)size;
			memset(bytes + at + 2, 0x5a, size);
		}
		assert_int_equal(record_decode(NULL, bytes, len),
				 len <= WIRE_RECORD_MAX ? (int)len : GW_E_FORMAT);
	}
}

static bool record_holds(const uint8_t *bytes, size_t len)
{
	struct wire_record r;

	return record_decode(&r, bytes, len) > 0 &&
	       signature_valid(r.key, RECORD_CONTEXT, bytes, len - SIGNATURE, r.signature);
}

static size_t sign_record(uint8_t *out, struct wire_record *r, struct identity *id)
{
	size_t len;

	assert_int_equal(crypto_init(), 0);
	identity_generate(id);
	memcpy(r->key, id->key, sizeof(r->key));
	len = wire_record_encode(out, r);
	identity_sign(id, RECORD_CONTEXT, out, len - SIGNATURE, r->signature);
	return wire_record_encode(out, r);
}

static void each_bit_of_a_record_is_signed(void **state)
{
	struct wire_record r = record_with(2, 12);
	uint8_t out[WIRE_RECORD_MAX];
	struct identity id;
	size_t len = sign_record(out, &r, &id);

	(void)state;
	assert_true(record_holds(out, len));
	assert_false(signature_valid(id.key, CLAIM_CONTEXT, out, len - SIGNATURE, r.signature));
	for (size_t bit = 0; bit < 8 * len; bit++) {
		out[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_false(record_holds(out, len));
		out[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	for (size_t part = 0; part < len; part++)
		assert_false(record_holds(out, part));
	assert_true(record_holds(out, len));
}

/* Fields of a later version are signed too, up to the longest record. */
static void longest_record_is_signed(void **state)
{
	enum { EXTRA = WIRE_RECORD_MAX - RECORD_HEAD - 3 * 166 - SIGNATURE };
	struct wire_record r = record_with(3, WIRE_HOST_MAX);
	uint8_t out[WIRE_RECORD_MAX];
	struct identity id;
	size_t len = sign_record(out, &r, &id), at = len - SIGNATURE;

	(void)state;
	out[at] = out[at + 200] = 9;
	out[at + 1] = 198;
	out[at + 201] = EXTRA - 202;
	memset(out + at + 2, 'x', 198);
	memset(out + at + 202, 'y', EXTRA - 202);
	identity_sign(&id, RECORD_CONTEXT, out, WIRE_RECORD_MAX - SIGNATURE,
		      out + WIRE_RECORD_MAX - SIGNATURE);
	assert_true(record_holds(out, WIRE_RECORD_MAX));
	for (size_t i = 0; i < WIRE_RECORD_MAX; i++) {
		out[i] ^= 0x04;
		assert_false(record_holds(out, WIRE_RECORD_MAX));
		out[i] ^= 0x04;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_come_back),
		cmocka_unit_test(layout_of_requests_is_as_specified),
		cmocka_unit_test(layout_of_answers_is_as_specified),
		cmocka_unit_test(longer_payloads_are_skipped_and_shorter_refused),
		cmocka_unit_test(unknown_types_are_skipped),
		cmocka_unit_test(long_frames_are_refused_by_their_head),
		cmocka_unit_test(broken_frames_are_refused),
		cmocka_unit_test(sound_frames_like_the_broken_are_taken),
		cmocka_unit_test(records_in_frames_have_their_limit),
		cmocka_unit_test(padded_pings_are_pings),
		cmocka_unit_test(any_bytes_are_frames_or_refused),
		cmocka_unit_test(records_come_back),
		cmocka_unit_test(layout_of_records_is_as_specified),
		cmocka_unit_test(unknown_fields_of_records_are_skipped),
		cmocka_unit_test(broken_records_are_refused),
		cmocka_unit_test(versions_and_sequences_of_records_are_checked),
		cmocka_unit_test(hosts_are_printable_text_of_1_to_128_bytes),
		cmocka_unit_test(long_records_are_refused),
		cmocka_unit_test(each_bit_of_a_record_is_signed),
		cmocka_unit_test(longest_record_is_signed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
