/* tests/unit/wire_datagrams.c - the datagrams beside QUIC that nodes and beacons send. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/beacon.h"
#include "wire_exact.h"

#define TEXT(text) text, sizeof(text) - 1
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

/* --- datagrams --- */

static void channel_packets_have_something_inside(void **state)
{
	static const uint8_t BYTES[] = {
		0x22, 0xf1, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0x40
	};
	uint8_t out[sizeof(BYTES)] = { 0 };
	uint64_t channel;

	(void)state;
	out[WIRE_CHANNEL_HEADER] = 0x40;
	wire_channel_encode(out, UINT64_C(0xf1f2f3f4f5f6f7f8));
	assert_memory_equal(out, BYTES, sizeof(BYTES));
	assert_int_equal(wire_classify(out, sizeof(out)), DATAGRAM_CHANNEL);
	for (size_t len = 0; len <= sizeof(BYTES); len++) {
		uint8_t *copy = exact(BYTES, len);

		channel = 77;
		assert_int_equal(wire_channel_decode(&channel, copy, len), len > 9);
		assert_true(channel == (len > 9 ? UINT64_C(0xf1f2f3f4f5f6f7f8) : 77));
		free(copy);
	}
	for (unsigned first = 0; first < 256; first++) {
		out[0] = (uint8_t)first;
		assert_int_equal(wire_channel_decode(&channel, out, sizeof(out)), first == 0x22);
	}
	for (size_t i = 0; i < COUNT(EDGES); i++) {
		wire_channel_encode(out, UINT64_MAX - EDGES[i]);
		assert_true(wire_channel_decode(&channel, out, sizeof(out)));
		assert_true(channel == UINT64_MAX - EDGES[i]);
	}
}

DECODER(punch_decode, wire_punch)

static void layout_of_punches_is_as_specified(void **state)
{
	static const char BYTES[] = "\x23" TOKEN "\x01\xff\xa1\xa2\xa3\xa4qrstuvwxyz012345";
	struct wire_punch p, back;
	uint8_t out[WIRE_PUNCH_SIZE + 1];

	(void)state;
	assert_int_equal(sizeof(BYTES) - 1, WIRE_PUNCH_SIZE);
	assert_int_equal(WIRE_PUNCH_SIGNED, 15);
	memset(&p, 0, sizeof(p));
	memcpy(p.token, TOKEN, WIRE_TOKEN_SIZE);
	p.kind = PUNCH_ANSWER;
	p.candidate = 255;
	p.counter = 0xa1a2a3a4;
	memcpy(p.tag, "qrstuvwxyz012345", WIRE_PUNCH_TAG_SIZE);
	out[WIRE_PUNCH_SIZE] = 0x5a;
	wire_punch_encode(out, &p);
	assert_memory_equal(out, BYTES, WIRE_PUNCH_SIZE);
	assert_int_equal(out[WIRE_PUNCH_SIZE], 0x5a);
	assert_int_equal(wire_classify(out, WIRE_PUNCH_SIZE), DATAGRAM_PUNCH);
	assert_int_equal(punch_decode(&back, out, WIRE_PUNCH_SIZE), WIRE_PUNCH_SIZE);
	assert_memory_equal(&back, &p, sizeof(p));
}

static void broken_punches_are_refused(void **state)
{
	uint8_t data[WIRE_PUNCH_SIZE + 33] = { WIRE_PUNCH };

	(void)state;
	for (size_t len = 0; len <= sizeof(data); len++)
		assert_int_equal(punch_decode(NULL, data, len),
				 len == WIRE_PUNCH_SIZE ? WIRE_PUNCH_SIZE : GW_E_FORMAT);
	for (unsigned kind = 0; kind < 256; kind++) {
		data[9] = (uint8_t)kind;
		assert_int_equal(punch_decode(NULL, data, WIRE_PUNCH_SIZE),
				 kind < 2 ? WIRE_PUNCH_SIZE : GW_E_FORMAT);
	}
	data[9] = PUNCH_ASK;
	for (unsigned first = 0; first < 256; first++) {
		data[0] = (uint8_t)first;
		assert_int_equal(punch_decode(NULL, data, WIRE_PUNCH_SIZE),
				 first == WIRE_PUNCH ? WIRE_PUNCH_SIZE : GW_E_FORMAT);
	}
}

DECODER(address_request_decode, wire_address_request)
DECODER(address_reply_decode, wire_address_reply)

static void address_requests_come_back(void **state)
{
	static const uint8_t HEAD[48] = { 0x24, 1, 't', 't', 't', 't', 't', 't', 't', 't' };
	struct wire_address_request r = { .flags = ADDRESS_FROM_ALTERNATE }, back;
	uint8_t out[WIRE_ADDRESS_REQUEST_SIZE + 8];

	(void)state;
	memcpy(r.token, TOKEN, WIRE_TOKEN_SIZE);
	memset(out, 0x5a, sizeof(out));
	assert_int_equal(wire_address_request_encode(out, &r), sizeof(HEAD));
	assert_memory_equal(out, HEAD, sizeof(HEAD));
	assert_int_equal(out[sizeof(HEAD)], 0x5a);
	assert_int_equal(wire_classify(out, sizeof(HEAD)), DATAGRAM_ADDRESS_REQUEST);
	for (size_t len = 0; len <= sizeof(out); len++)
		assert_int_equal(address_request_decode(NULL, out, len),
				 len == sizeof(HEAD) ? (int)len : GW_E_FORMAT);
	for (unsigned byte = 0; byte < 256; byte++) {
		out[1] = (uint8_t)byte; /* flags of later versions */
		memset(out + 10, (int)byte, sizeof(HEAD) - 10);
		assert_int_equal(address_request_decode(&back, out, sizeof(HEAD)), sizeof(HEAD));
		assert_int_equal(back.flags, byte);
		assert_memory_equal(back.token, TOKEN, WIRE_TOKEN_SIZE);
	}
	for (unsigned first = 0; first < 256; first++) {
		out[0] = (uint8_t)first;
		assert_int_equal(address_request_decode(NULL, out, sizeof(HEAD)),
				 first == 0x24 ? (int)sizeof(HEAD) : GW_E_FORMAT);
	}
}

/* Exactly as long as their endpoint wants, and never longer than the question. */
static void address_replies_come_back(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
		const char *endpoint;
	} rows[] = {
		{ TEXT("\x25" TOKEN V4), "198.51.100.2:41657" },
		{ TEXT("\x25" TOKEN V6), "[2001:db8::1]:443" },
	};

	(void)state;
	assert_true((int)WIRE_ADDRESS_REPLY_MAX <= (int)WIRE_ADDRESS_REQUEST_SIZE);
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct wire_address_reply r, back;
		uint8_t out[WIRE_ADDRESS_REPLY_MAX + 2] = { 0 };

		memset(&r, 0, sizeof(r));
		memcpy(r.token, TOKEN, WIRE_TOKEN_SIZE);
		r.endpoint = addr_of(rows[i].endpoint);
		assert_int_equal(wire_address_reply_encode(out, &r), rows[i].len);
		assert_memory_equal(out, rows[i].bytes, rows[i].len);
		assert_in_range(rows[i].len, 1, WIRE_ADDRESS_REPLY_MAX);
		assert_int_equal(wire_classify(out, rows[i].len), DATAGRAM_ADDRESS_REPLY);
		assert_int_equal(address_reply_decode(&back, out, rows[i].len), rows[i].len);
		assert_memory_equal(&back, &r, sizeof(r));
		for (size_t len = 0; len <= sizeof(out); len++)
			assert_int_equal(address_reply_decode(NULL, out, len),
					 len == rows[i].len ? (int)len : GW_E_FORMAT);
		for (unsigned first = 0; first < 256; first++) {
			out[0] = (uint8_t)first;
			assert_int_equal(address_reply_decode(NULL, out, rows[i].len),
					 first == 0x25 ? (int)rows[i].len : GW_E_FORMAT);
		}
	}
}

static void broken_address_replies_are_refused(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
	} rows[] = {
		{ TEXT("\x25" TOKEN NONE) },
		{ TEXT("\x25" TOKEN "\x01\xc6\x33\x64\x02\xa2\xb9") },
		{ TEXT("\x25" TOKEN "\x04\xc6\x33\x64\x02\0\0") },
		{ TEXT("\x25" TOKEN "\x04\xe0\0\0\x01\xa2\xb9") },
		{ TEXT("\x25" TOKEN MAPPED) },
		{ TEXT("\x25" TOKEN V4 "\0") },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++)
		if (address_reply_decode(NULL, rows[i].bytes, rows[i].len) != GW_E_FORMAT)
			fail_msg("row %zu accepted", i);
}
int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(channel_packets_have_something_inside),
		cmocka_unit_test(layout_of_punches_is_as_specified),
		cmocka_unit_test(broken_punches_are_refused),
		cmocka_unit_test(address_requests_come_back),
		cmocka_unit_test(address_replies_come_back),
		cmocka_unit_test(broken_address_replies_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
