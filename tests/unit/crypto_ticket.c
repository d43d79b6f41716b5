/* tests/unit/crypto_ticket.c - tickets: round trips, the layout, and what strangers may write. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <sodium.h>

#include "base/error.h"
#include "base/rng.h"
#include "crypto/address.h"
#include "crypto/base32.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const char ALPHABET[] = "abcdefghijklmnopqrstuvwxyz234567";

enum { HEAD = 1 + KEY_SIZE, CHECK_SIZE = 4, RAW_MAX = 600 };

/* --- helpers --- */

/* The key of RFC 8032, section 7.1, test 1. */
static void set_key(uint8_t out[KEY_SIZE])
{
	assert_int_equal(
		sodium_hex2bin(out, KEY_SIZE,
			       "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
			       64, NULL, NULL, NULL),
		0);
}

/* Append the check bytes and give the text. */
static void seal(char *out, uint8_t *raw, size_t len)
{
	static const char CONTEXT[] = "godwit ticket v1";
	uint8_t input[RAW_MAX + sizeof(CONTEXT)], hash[32];

	memcpy(input, CONTEXT, sizeof(CONTEXT) - 1);
	memcpy(input + sizeof(CONTEXT) - 1, raw, len);
	crypto_hash_sha256(hash, input, sizeof(CONTEXT) - 1 + len);
	memcpy(raw + len, hash, CHECK_SIZE);
	base32_encode(out, raw, len + CHECK_SIZE);
}

/* A ticket of the test key with these fields, whatever they are. */
static const char *compose(const void *fields, size_t len)
{
	static char text[2 * RAW_MAX];
	uint8_t raw[RAW_MAX] = { WORD_TICKET };

	assert_true(HEAD + len + CHECK_SIZE <= RAW_MAX);
	set_key(raw + 1);
	if (len)
		memcpy(raw + HEAD, fields, len);
	seal(text, raw, HEAD + len);
	return text;
}

/* Parse, and see that nothing is written on failure. */
static int parse(struct ticket *out, const char *text)
{
	char *copy = strdup(text); /* so that the sanitizer sees any read beyond it */
	struct ticket before, t;
	int rv;

	memset(&before, 0xa5, sizeof(before));
	memcpy(&t, &before, sizeof(t));
	rv = ticket_parse(&t, copy);
	free(copy);
	if (rv < 0)
		assert_memory_equal(&t, &before, sizeof(t));
	else if (out)
		*out = t;
	return rv;
}

static void expect(const char *text, int error)
{
	int rv = parse(NULL, text);

	if (rv != error)
		fail_msg("%s: %d, not %d", text, rv, error);
}

static void assert_same(const struct ticket *a, const struct ticket *b)
{
	assert_memory_equal(a->key, b->key, KEY_SIZE);
	assert_string_equal(a->service, b->service);
	assert_int_equal(a->n_endpoints, b->n_endpoints);
	for (size_t i = 0; i < a->n_endpoints; i++)
		assert_true(addr_equal(&a->endpoints[i], &b->endpoints[i]));
	assert_int_equal(a->n_beacons, b->n_beacons);
	for (size_t i = 0; i < a->n_beacons; i++) {
		assert_memory_equal(a->beacons[i].key, b->beacons[i].key, KEY_SIZE);
		assert_int_equal(a->beacons[i].udp_port, b->beacons[i].udp_port);
		assert_int_equal(a->beacons[i].tls_port, b->beacons[i].tls_port);
		assert_string_equal(a->beacons[i].host, b->beacons[i].host);
	}
}

/* What was accepted is well formed, and its own text gives it back. */
static void check_accepted(const struct ticket *t)
{
	char text[TICKET_TEXT_MAX];
	struct ticket back;

	assert_true(t->n_endpoints <= TICKET_ENDPOINTS_MAX);
	for (size_t i = 0; i < t->n_endpoints; i++)
		assert_true(addr_is_usable(&t->endpoints[i]));
	assert_true(!t->service[0] || service_name_valid(t->service));
	assert_int_equal(ticket_format(t, text), 0);
	assert_int_equal(parse(&back, text), 0);
	assert_same(t, &back);
}

/* A ticket with `n` endpoints: bit i of `v6` says of which family the i-th is. */
static struct ticket sample(size_t n, unsigned v6, const char *service)
{
	struct ticket t = { .n_endpoints = n };

	set_key(t.key);
	strcpy(t.service, service);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(addr_parse_host(&t.endpoints[i],
						 v6 >> i & 1 ? "2001:db8::ff00:1" : "198.51.100.2",
						 (uint16_t)(0xff01 - i)),
				 0);
		t.endpoints[i].ip[2] = (uint8_t)(i + 1);
	}
	return t;
}

static struct beacon_name beacon(const char *host, uint16_t udp_port, uint16_t tls_port)
{
	struct beacon_name b = { .udp_port = udp_port, .tls_port = tls_port };

	set_key(b.key);
	strcpy(b.host, host);
	return b;
}

/* --- well-formed tickets --- */

static void beacons_come_back(void **state)
{
	struct ticket t = sample(8, 0xff, "web"), back;
	char text[TICKET_TEXT_MAX];

	(void)state;
	t.beacons[0] = beacon("eu1.example.net", 4443, 443);
	memset(t.beacons[1].host, 'h', BEACON_HOST_MAX);
	set_key(t.beacons[1].key);
	t.beacons[1].udp_port = 1;
	for (t.n_beacons = 0; t.n_beacons <= TICKET_BEACONS_MAX; t.n_beacons++) {
		assert_int_equal(ticket_format(&t, text), 0);
		assert_int_equal(parse(&back, text), 0);
		assert_same(&t, &back);
	}
	memset(t.beacons[0].host, 'h', BEACON_HOST_MAX); /* the longest there is */
	memset(t.service, 's', SERVICE_NAME_MAX);
	t.n_beacons = TICKET_BEACONS_MAX;
	assert_int_equal(ticket_format(&t, text), 0);
	assert_int_equal(parse(&back, text), 0);
	assert_same(&t, &back);
	assert_true(strlen(text) < TICKET_TEXT_MAX - 256); /* room for later fields */
}

static void wrong_beacons_are_not_formatted(void **state)
{
	struct ticket t = sample(1, 0, "");
	char text[TICKET_TEXT_MAX];

	(void)state;
	t.n_beacons = 1;
	t.beacons[0] = beacon("", 4443, 443);
	assert_int_equal(ticket_format(&t, text), GW_E_INVALID);
	t.beacons[0] = beacon("a b", 4443, 443);
	assert_int_equal(ticket_format(&t, text), GW_E_INVALID);
	t.beacons[0] = beacon("h", 0, 443);
	assert_int_equal(ticket_format(&t, text), GW_E_INVALID);
	t.beacons[0] = beacon("h", 4443, 0);
	assert_int_equal(ticket_format(&t, text), 0);
	memset(t.beacons[0].key, 0, KEY_SIZE);
	assert_int_equal(ticket_format(&t, text), GW_E_INVALID);
	t.beacons[0] = t.beacons[1] = beacon("h", 1, 1);
	t.n_beacons = TICKET_BEACONS_MAX + 1;
	assert_int_equal(ticket_format(&t, text), GW_E_INVALID);
}

static void tickets_come_back(void **state)
{
	static const char *const services[] = {
		"",
		"s",
		"web",
		"0.a_b-c",
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa9", /* 63 */
	};
	static const unsigned families[] = { 0, 0xff, 0x55, 0xf0 };
	char *text = malloc(TICKET_TEXT_MAX);

	(void)state;
	for (size_t i = 0; i < COUNT(services) * COUNT(families) * (TICKET_ENDPOINTS_MAX + 1);
	     i++) {
		size_t n = i % (TICKET_ENDPOINTS_MAX + 1), k = i / (TICKET_ENDPOINTS_MAX + 1);
		struct ticket t = sample(n, families[k % 4], services[k / 4]), back;

		assert_int_equal(ticket_format(&t, text), 0);
		assert_int_equal(text[0], 't');
		assert_int_equal(parse(&back, text), 0);
		assert_same(&t, &back);
		for (char *c = text; *c; c++) {
			assert_true((*c >= 'a' && *c <= 'z') || (*c >= '2' && *c <= '7'));
			*c = (char)toupper((unsigned char)*c);
		}
		assert_int_equal(parse(&back, text), 0);
		assert_same(&t, &back);
	}
	free(text);
}

/* docs/protocol.md, section 2. */
static void layout_is_as_specified(void **state)
{
	static const uint8_t FIELDS[] = {
		1, 6,  198,  51,   100,  2,    0xa2, 0xb9, /* 198.51.100.2:41657 */
		2, 18, 0x20, 0x01, 0x0d, 0xb8, 0,    0,    0, 0,   0,   0,   0,
		0, 0,  0,    0,    1,    0x01, 0x02, 3,    3, 'w', 'e', 'b',
	};
	struct ticket t = { .n_endpoints = 2, .service = "web" }, back;
	char text[TICKET_TEXT_MAX];

	(void)state;
	set_key(t.key);
	assert_int_equal(addr_parse(&t.endpoints[0], "198.51.100.2:41657"), 0);
	assert_int_equal(addr_parse(&t.endpoints[1], "[2001:db8::1]:258"), 0);
	assert_int_equal(ticket_format(&t, text), 0);
	assert_string_equal(text, compose(FIELDS, sizeof(FIELDS)));
	assert_int_equal(parse(&back, text), 0);
	assert_same(&t, &back);
}

static void what_cannot_be_told_is_not_formatted(void **state)
{
	static const char *const services[] = { "-a", "A", "a b", "a/b" };
	static const char *const endpoints[] = { "198.51.100.2:0", "0.0.0.0:1",         "0.1.2.3:1",
						 "224.0.0.1:1",    "255.255.255.255:1", "[::]:1",
						 "[ff02::1]:1",    "[2001:db8::1]:0" };
	char text[TICKET_TEXT_MAX] = "before";
	struct ticket t = sample(8, 0, "");

	(void)state;
	t.n_endpoints = TICKET_ENDPOINTS_MAX + 1;
	assert_int_equal(ticket_format(&t, text), GW_E_INVALID);
	for (size_t i = 0; i < COUNT(services); i++) {
		t = sample(1, 0, services[i]);
		assert_int_equal(ticket_format(&t, text), GW_E_INVALID);
	}
	for (size_t i = 0; i < COUNT(endpoints); i++) {
		t = sample(3, 7, "web");
		assert_int_equal(addr_parse(&t.endpoints[2], endpoints[i]), 0);
		assert_int_equal(ticket_format(&t, text), GW_E_INVALID);
	}
	memset(&t.endpoints[2], 0, sizeof(t.endpoints[2]));
	assert_int_equal(ticket_format(&t, text), GW_E_INVALID);
	assert_string_equal(text, "before");
}

/* --- damaged text --- */

static void every_truncation_is_refused(void **state)
{
	struct ticket t = sample(3, 2, "web");
	char text[TICKET_TEXT_MAX];

	(void)state;
	assert_int_equal(ticket_format(&t, text), 0);
	for (size_t len = strlen(text); len-- > 0;) {
		int rv;

		text[len] = '\0';
		rv = parse(NULL, text);
		assert_true(rv == GW_E_LENGTH || rv == GW_E_CHECKSUM || rv == GW_E_FORMAT);
		if ((len * 5 / 8) < HEAD + CHECK_SIZE && rv != GW_E_FORMAT)
			assert_int_equal(rv, GW_E_LENGTH);
	}
}

static void every_substitution_is_refused(void **state)
{
	struct ticket t = sample(2, 2, "web");
	char text[TICKET_TEXT_MAX], changed[TICKET_TEXT_MAX];

	(void)state;
	assert_int_equal(ticket_format(&t, text), 0);
	for (size_t i = 0; text[i]; i++) {
		strcpy(changed, text);
		for (const char *c = ALPHABET; *c; c++) {
			int rv;

			if (*c == text[i])
				continue;
			changed[i] = *c;
			rv = parse(NULL, changed);
			if (i == 0) /* within the type */
				assert_int_equal(rv, GW_E_TYPE);
			else if (i == 1)
				assert_true(rv == GW_E_TYPE || rv == GW_E_CHECKSUM);
			else if (text[i + 1])
				assert_int_equal(rv, GW_E_CHECKSUM);
			else
				assert_true(rv == GW_E_CHECKSUM || rv == GW_E_FORMAT);
		}
		changed[i] = '1';
		expect(changed, GW_E_CHARACTER);
	}
}

/* 37 bytes are 60 characters, with four bits to spare. */
static void padding_bits_are_zero(void **state)
{
	char text[TICKET_TEXT_MAX];
	size_t last;

	(void)state;
	strcpy(text, compose(NULL, 0));
	last = strlen(text) - 1;
	assert_int_equal(last, 59);
	expect(text, 0);
	for (unsigned bits = 1; bits < 16; bits++) {
		char right = text[last];

		text[last] = ALPHABET[(size_t)(strchr(ALPHABET, right) - ALPHABET) | bits];
		expect(text, GW_E_FORMAT);
		text[last] = right;
	}
}

static void other_words_are_told_apart(void **state)
{
	static char longest[4096];
	uint8_t raw[RAW_MAX] = { 0 };
	char text[2 * RAW_MAX];

	(void)state;
	set_key(raw + 1);
	for (unsigned type = 0; type < 256; type++) {
		raw[0] = (uint8_t)type;
		seal(text, raw, HEAD);
		expect(text, type == WORD_TICKET ? 0 : GW_E_TYPE);
	}
	address_format(raw + 1, text);
	expect(text, GW_E_TYPE);
	expect("", GW_E_LENGTH);
	memset(longest, 'a', sizeof(longest) - 1);
	expect(longest, GW_E_LENGTH);
	memset(raw + 1, 0, KEY_SIZE); /* of small order */
	raw[0] = WORD_TICKET;
	seal(text, raw, HEAD);
	expect(text, GW_E_KEY);
}

/* Too short for a key even with a matching checksum. */
static void short_tickets_are_refused(void **state)
{
	uint8_t raw[RAW_MAX] = { WORD_TICKET };
	char text[2 * RAW_MAX];

	(void)state;
	set_key(raw + 1);
	for (size_t len = 1; len < HEAD; len++) {
		seal(text, raw, len);
		expect(text, GW_E_LENGTH);
		set_key(raw + 1);
	}
}

/* --- fields that strangers may write --- */

#define V4(a, b, c, d) "\x01\x06" a b c d "\x00\x50"
#define GOOD V4("\xc6", "\x33", "\x64", "\x02")
#define V6(first, rest) "\x02\x12" first rest "\x00\x50"
#define ZERO_15 "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
#define ROW(text, endpoints, result)                                                               \
	{                                                                                          \
		text, sizeof(text) - 1, endpoints, result                                          \
	}

/* The key of the tests. */
#define KEY_TEXT                                                                                   \
	"\xd7\x5a\x98\x01\x82\xb1\x0a\xb7\xd5\x4b\xfe\xd3\xc9\x64\x07\x3a"                         \
	"\x0e\xe1\x72\xf3\xda\xa6\x23\x25\xaf\x02\x1a\x68\xf7\x07\x51\x1a"
#define BEACON(len, ports, host) "\x04" len KEY_TEXT ports host

static void fields_are_checked(void **state)
{
	static const struct {
		const char *fields;
		size_t len, endpoints;
		int result;
	} rows[] = {
		ROW("", 0, 0),
		ROW(GOOD, 1, 0),
		ROW(GOOD GOOD GOOD GOOD GOOD GOOD GOOD GOOD, 8, 0),
		ROW(GOOD GOOD GOOD GOOD GOOD GOOD GOOD GOOD GOOD, 0, GW_E_FORMAT),
		ROW(V6("\x20", ZERO_15), 1, 0),
		/* endpoints nobody can be at */
		ROW("\x01\x06\xc6\x33\x64\x02\0\0", 0, GW_E_FORMAT),
		ROW(V4("\0", "\0", "\0", "\0"), 0, GW_E_FORMAT),
		ROW(V4("\0", "\0", "\0", "\x01"), 0, GW_E_FORMAT),
		ROW(V4("\xe0", "\0", "\0", "\x01"), 0, GW_E_FORMAT),
		ROW(V4("\xff", "\xff", "\xff", "\xff"), 0, GW_E_FORMAT),
		ROW(V6("\0", ZERO_15), 0, GW_E_FORMAT),
		ROW(V6("\xff", ZERO_15), 0, GW_E_FORMAT),
		/* endpoints of another size */
		ROW("\x01\x05\xc6\x33\x64\x02\x50", 0, GW_E_FORMAT),
		ROW("\x01\x07\xc6\x33\x64\x02\0\x50\0", 0, GW_E_FORMAT),
		ROW("\x01\0", 0, GW_E_FORMAT),
		ROW("\x02\x06\xc6\x33\x64\x02\0\x50", 0, GW_E_FORMAT),
		ROW("\x01\x12\x20" ZERO_15 "\0\x50", 0, GW_E_FORMAT),
		/* services */
		ROW("\x03\x01w", 0, 0),
		ROW("\x03\x01w" GOOD, 1, 0),
		ROW("\x03\x01w\x03\x01w", 0, GW_E_FORMAT),
		ROW("\x03\0", 0, GW_E_FORMAT),
		ROW("\x03\x01W", 0, GW_E_FORMAT),
		ROW("\x03\x01-", 0, GW_E_FORMAT),
		ROW("\x03\x03"
		    "a\0b",
		    0, GW_E_FORMAT),
		ROW("\x03\x02"
		    "a\0",
		    0, GW_E_FORMAT),
		ROW("\x03\x01\0", 0, GW_E_FORMAT),
		ROW("\x03\x3f"
		    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
		    0, 0),
		ROW("\x03\x40"
		    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
		    0, GW_E_FORMAT),
		/* fields of a later version are skipped */
		ROW("\x06\0", 0, 0),
		ROW("\0\0", 0, 0),
		ROW("\0\x01x" GOOD "\xff\x05xxxxx" GOOD "\x06\x02xx", 2, 0),
		/* courtesy */
		ROW("\x05\x08"
		    "courtesy",
		    0, 0),
		ROW("\x05\x08"
		    "courtesy\x05\x08"
		    "courtesy",
		    0, GW_E_FORMAT),
		ROW("\x05\x07"
		    "courtes",
		    0, GW_E_FORMAT),
		ROW("\x05\x09"
		    "courtesy!",
		    0, GW_E_FORMAT),
		ROW("\x05\0", 0, GW_E_FORMAT),
		/* beacons */
		ROW(BEACON("\x25", "\x11\x5b\x01\xbb", "h"), 0, 0),
		ROW(BEACON("\x25", "\x11\x5b\0\0", "h") GOOD BEACON("\x26", "\0\x01\0\x01", "hh"),
		    1, 0),
		ROW(BEACON("\x25", "\0\x01\0\0", "h") BEACON("\x25", "\0\x01\0\0", "h")
			    BEACON("\x25", "\0\x01\0\0", "h"),
		    0, GW_E_FORMAT),
		ROW(BEACON("\x24", "\x11\x5b\x01\xbb", ""), 0, GW_E_FORMAT),
		ROW(BEACON("\x25", "\0\0\x01\xbb", "h"), 0, GW_E_FORMAT),
		ROW(BEACON("\x25", "\x11\x5b\x01\xbb", " "), 0, GW_E_FORMAT),
		ROW(BEACON("\x25", "\x11\x5b\x01\xbb", "\xff"), 0, GW_E_FORMAT),
		ROW(BEACON("\x26", "\x11\x5b\x01\xbb", "h\0"), 0, GW_E_FORMAT),
		ROW("\x04\x25" ZERO_15 ZERO_15 "\0\0\x11\x5b\x01\xbbh", 0,
		    GW_E_FORMAT), /* no key */
		ROW("\x04\0", 0, GW_E_FORMAT),
		/* fields that do not end */
		ROW("\x04", 0, GW_E_FORMAT),
		ROW("\x04\x01", 0, GW_E_FORMAT),
		ROW("\x04\x02x", 0, GW_E_FORMAT),
		ROW(GOOD "\x01", 0, GW_E_FORMAT),
		ROW("\x01\x06\xc6\x33\x64\x02\0", 0, GW_E_FORMAT),
		ROW("\x01\xff", 0, GW_E_FORMAT),
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct ticket t = { 0 };
		int rv = parse(&t, compose(rows[i].fields, rows[i].len));

		if (rv != rows[i].result || t.n_endpoints != rows[i].endpoints)
			fail_msg("row %zu: %d, %zu endpoints", i, rv, t.n_endpoints);
		if (rv == 0)
			check_accepted(&t);
	}
}

/* base/addr.h: an IPv4-mapped address is never stored as IPv6.  A ticket that brings one has it
 * refused or gets IPv4, and by no means an address that addr_is_usable() would refuse as IPv4. */
static void mapped_endpoints_do_not_slip_in_as_ipv6(void **state)
{
	static const struct {
		uint8_t ip[4];
		bool usable;
	} rows[] = {
		{ { 198, 51, 100, 2 }, true },     { { 0, 0, 0, 0 }, false },
		{ { 0, 0, 0, 1 }, false },         { { 224, 0, 0, 1 }, false },
		{ { 255, 255, 255, 255 }, false },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		uint8_t field[20] = { 2, 18, [12] = 0xff, 0xff, [19] = 80 };
		struct ticket t;
		int rv;

		memcpy(field + 14, rows[i].ip, 4);
		rv = parse(&t, compose(field, sizeof(field)));
		if (rv < 0) {
			assert_int_equal(rv, GW_E_FORMAT);
			continue;
		}
		assert_true(rows[i].usable);
		assert_int_equal(t.endpoints[0].family, ADDR_V4);
		check_accepted(&t);
	}
}

static void longest_unknown_field_is_skipped(void **state)
{
	uint8_t fields[2 + 255 + 8] = { 0x77, 255 };
	struct ticket t;

	(void)state;
	memcpy(fields + 2 + 255, GOOD, 8);
	assert_int_equal(parse(&t, compose(fields, sizeof(fields))), 0);
	assert_int_equal(t.n_endpoints, 1);
	check_accepted(&t);
}

/* The bytes of a large ticket cut anywhere, with a matching checksum: whole fields or nothing. */
static void shortened_fields_are_whole_or_refused(void **state)
{
	static const char FIELDS[] = GOOD V6("\x20", ZERO_15) "\x03\x03web\x09\x02xx" GOOD;
	static const size_t WHOLE[] = { 0, 8, 28, 33, 37, 45 };
	size_t next = 0;

	(void)state;
	for (size_t len = 0; len < sizeof(FIELDS); len++) {
		bool whole = len == WHOLE[next];

		expect(compose(FIELDS, len), whole ? 0 : GW_E_FORMAT);
		next += whole;
	}
	assert_int_equal(next, COUNT(WHOLE));
}

static void mutated_fields_are_refused_or_canonical(void **state)
{
	static const char FIELDS[] = GOOD V6("\x20", ZERO_15) "\x03\x03web\x09\x02xx" GOOD;
	enum { ROUNDS = 20000, SIZE = sizeof(FIELDS) - 1 };
	size_t accepted = 0;
	struct rng rng;

	(void)state;
	rng_seed(&rng, 7);
	for (size_t round = 0; round < ROUNDS; round++) {
		size_t changes = 1 + (size_t)rng_below(&rng, 3);
		uint8_t fields[SIZE];
		struct ticket t;
		int rv;

		memcpy(fields, FIELDS, SIZE);
		while (changes-- > 0) { /* small values are the tags and lengths */
			uint64_t bound = rng_below(&rng, 2) ? 256 : 24;

			fields[rng_below(&rng, SIZE)] = (uint8_t)rng_below(&rng, bound);
		}
		rv = parse(&t, compose(fields, SIZE));
		if (rv == 0) {
			check_accepted(&t);
			accepted++;
		} else {
			assert_int_equal(rv, GW_E_FORMAT);
		}
	}
	assert_in_range(accepted, ROUNDS / 10, ROUNDS - ROUNDS / 10); /* both were seen */
}

static int start(void **state)
{
	(void)state;
	return crypto_init();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tickets_come_back),
		cmocka_unit_test(beacons_come_back),
		cmocka_unit_test(wrong_beacons_are_not_formatted),
		cmocka_unit_test(layout_is_as_specified),
		cmocka_unit_test(what_cannot_be_told_is_not_formatted),
		cmocka_unit_test(every_truncation_is_refused),
		cmocka_unit_test(every_substitution_is_refused),
		cmocka_unit_test(padding_bits_are_zero),
		cmocka_unit_test(other_words_are_told_apart),
		cmocka_unit_test(short_tickets_are_refused),
		cmocka_unit_test(fields_are_checked),
		cmocka_unit_test(mapped_endpoints_do_not_slip_in_as_ipv6),
		cmocka_unit_test(longest_unknown_field_is_skipped),
		cmocka_unit_test(shortened_fields_are_whole_or_refused),
		cmocka_unit_test(mutated_fields_are_refused_or_canonical),
	};

	return cmocka_run_group_tests(tests, start, NULL);
}
