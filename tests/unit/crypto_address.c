/* tests/unit/crypto_address.c - base32, and the text form of keys. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <ctype.h>
#include <string.h>

#include <cmocka.h>

#include <sodium.h>

#include "base/error.h"
#include "crypto/address.h"
#include "crypto/base32.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum { RAW_SIZE = 1 + KEY_SIZE + 2 };

/* The vector of the protocol's design: the key of RFC 8032, section 7.1, test 1. */
static const char KEY_HEX[] = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
static const char ADDRESS[] = "ndlvvgabqkyqvn6vjp7nhslea45a5yls6pnkmizfv4bbu2hxa5iruh7a";

static const char ALPHABET[] = "abcdefghijklmnopqrstuvwxyz234567";

/* --- helpers --- */

static void from_hex(uint8_t *out, size_t size, const char *hex)
{
	size_t len;

	assert_int_equal(sodium_hex2bin(out, size, hex, strlen(hex), NULL, &len, NULL), 0);
	assert_int_equal(len, size);
}

/* An address of any type and key, with the right check bytes. */
static void compose(char out[ADDRESS_SIZE], uint8_t type, const uint8_t key[KEY_SIZE])
{
	static const char CONTEXT[] = "godwit address v1";
	uint8_t input[sizeof(CONTEXT) - 1 + 1 + KEY_SIZE], raw[RAW_SIZE], hash[32];

	raw[0] = type;
	memcpy(raw + 1, key, KEY_SIZE);
	memcpy(input, CONTEXT, sizeof(CONTEXT) - 1);
	memcpy(input + sizeof(CONTEXT) - 1, raw, 1 + KEY_SIZE);
	crypto_hash_sha256(hash, input, sizeof(input));
	memcpy(raw + 1 + KEY_SIZE, hash, 2);
	base32_encode(out, raw, sizeof(raw));
}

/* Parse, and see that nothing is written on failure. */
static int parse(uint8_t *key, const char *text)
{
	uint8_t before[KEY_SIZE], out[KEY_SIZE];
	int rv;

	memset(before, 0xa5, sizeof(before));
	memcpy(out, before, sizeof(out));
	rv = address_parse(out, text);
	if (rv < 0)
		assert_memory_equal(out, before, sizeof(out));
	else if (key)
		memcpy(key, out, sizeof(out));
	return rv;
}

static void expect(const char *text, int error)
{
	int rv = parse(NULL, text);

	if (rv != error)
		fail_msg("%s: %d, not %d", text, rv, error);
}

/* --- base32 --- */

/* RFC 4648, section 10, without the padding. */
static void vectors_of_rfc4648(void **state)
{
	static const struct {
		const char *data, *text;
	} rows[] = {
		{ "", "" },
		{ "f", "my" },
		{ "fo", "mzxq" },
		{ "foo", "mzxw6" },
		{ "foob", "mzxw6yq" },
		{ "fooba", "mzxw6ytb" },
		{ "foobar", "mzxw6ytboi" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		size_t size = strlen(rows[i].data), len = 16;
		char text[32], upper[32];
		uint8_t data[16];

		base32_encode(text, (const uint8_t *)rows[i].data, size);
		assert_string_equal(text, rows[i].text);
		assert_int_equal(base32_decode(data, &len, text), 0);
		assert_int_equal(len, size);
		assert_memory_equal(data, rows[i].data, size);
		for (size_t k = 0; k <= strlen(text); k++)
			upper[k] = (char)toupper((unsigned char)text[k]);
		len = size; /* exactly enough room */
		memset(data, 0, sizeof(data));
		assert_int_equal(base32_decode(data, &len, upper), 0);
		assert_int_equal(len, size);
		assert_memory_equal(data, rows[i].data, size);
	}
}

static void base32_of_any_bytes_comes_back(void **state)
{
	enum { MOST = 100 };

	(void)state;
	for (size_t size = 0; size <= MOST; size++) {
		uint8_t data[MOST], back[MOST + 1];
		char text[2 * MOST];
		size_t len = size;

		randombytes_buf(data, sizeof(data));
		back[size] = 0x5a;
		base32_encode(text, data, size);
		assert_int_equal(strlen(text), (size * 8 + 4) / 5);
		assert_int_equal(strspn(text, ALPHABET), strlen(text));
		assert_int_equal(base32_decode(back, &len, text), 0);
		assert_int_equal(len, size);
		assert_memory_equal(back, data, size);
		assert_int_equal(back[size], 0x5a);
		if (size == 0)
			continue;
		len = size - 1;
		assert_int_equal(base32_decode(back, &len, text), GW_E_LENGTH);
		assert_int_equal(len, size - 1);
	}
}

static void base32_of_impossible_length_is_refused(void **state)
{
	static const bool possible[8] = { true, false, true, false, true, true, false, true };
	char text[42] = { 0 };

	(void)state;
	for (size_t n = 0; n < sizeof(text) - 1; n++) {
		uint8_t out[64];
		size_t len = sizeof(out);

		memset(text, 'a', n);
		assert_int_equal(base32_decode(out, &len, text), possible[n % 8] ? 0 : GW_E_LENGTH);
	}
}

/* Each string of bytes has one text: bits beyond the last byte are zero. */
static void base32_with_other_padding_bits_is_refused(void **state)
{
	static const struct {
		const char *start;
		size_t unused; /* bits in the last character */
	} rows[] = { { "a", 2 }, { "aaa", 4 }, { "aaaa", 1 }, { "aaaaaa", 3 } };

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		for (unsigned last = 0; last < 32; last++) {
			bool canonical = (last & ((1u << rows[i].unused) - 1)) == 0;
			char text[8] = { 0 };
			uint8_t out[8];
			size_t len = sizeof(out);

			strcpy(text, rows[i].start);
			text[strlen(text)] = ALPHABET[last];
			assert_int_equal(base32_decode(out, &len, text),
					 canonical ? 0 : GW_E_FORMAT);
		}
	}
}

static void base32_has_32_characters_in_two_cases(void **state)
{
	(void)state;
	for (int c = 1; c < 256; c++) {
		const char text[] = { (char)c, 'a', 'a', 'a', 'a', 'a', 'a', 'a', '\0' };
		const char *digit = strchr(ALPHABET, c < 128 ? tolower(c) : c);
		uint8_t out[5];
		size_t len = sizeof(out);
		int rv = base32_decode(out, &len, text);

		assert_int_equal(rv, digit ? 0 : GW_E_CHARACTER);
		if (digit)
			assert_int_equal(out[0] >> 3, digit - ALPHABET);
	}
}

/* --- addresses --- */

static void vector_of_the_design(void **state)
{
	uint8_t key[KEY_SIZE], back[KEY_SIZE];
	char text[ADDRESS_SIZE];

	(void)state;
	from_hex(key, sizeof(key), KEY_HEX);
	address_format(key, text);
	assert_string_equal(text, ADDRESS);
	assert_int_equal(strlen(text), ADDRESS_LEN);
	assert_int_equal(parse(back, ADDRESS), 0);
	assert_memory_equal(back, key, KEY_SIZE);
}

static void every_key_comes_back(void **state)
{
	(void)state;
	for (size_t i = 0; i < 200; i++) {
		char text[ADDRESS_SIZE];
		uint8_t back[KEY_SIZE];
		struct identity id;

		identity_generate(&id);
		address_format(id.key, text);
		assert_int_equal(text[0], 'n');
		assert_int_equal(parse(back, text), 0);
		assert_memory_equal(back, id.key, KEY_SIZE);
	}
}

static void case_does_not_matter(void **state)
{
	uint8_t key[KEY_SIZE], back[KEY_SIZE];
	char text[ADDRESS_SIZE];

	(void)state;
	from_hex(key, sizeof(key), KEY_HEX);
	for (size_t period = 1; period < 5; period++) { /* all upper case, each other one, ... */
		for (size_t i = 0; i < ADDRESS_SIZE; i++)
			text[i] =
				i % period ? ADDRESS[i] : (char)toupper((unsigned char)ADDRESS[i]);
		assert_int_equal(parse(back, text), 0);
		assert_memory_equal(back, key, KEY_SIZE);
	}
}

/* The first eight bits are the type; everything else is under the checksum. */
static void every_substitution_is_refused(void **state)
{
	char text[ADDRESS_SIZE];

	(void)state;
	for (size_t i = 0; i < ADDRESS_LEN; i++) {
		for (const char *c = ALPHABET; *c; c++) {
			size_t bits;

			if (*c == ADDRESS[i])
				continue;
			strcpy(text, ADDRESS);
			text[i] = *c;
			/* of the second character, the upper three bits */
			bits = (size_t)(strchr(ALPHABET, *c) - ALPHABET) ^
			       (size_t)(strchr(ALPHABET, ADDRESS[i]) - ALPHABET);
			expect(text, i == 0 || (i == 1 && bits >> 2) ? GW_E_TYPE : GW_E_CHECKSUM);
		}
	}
}

static void swapped_neighbours_are_refused(void **state)
{
	char text[ADDRESS_SIZE];

	(void)state;
	for (size_t i = 0; i + 1 < ADDRESS_LEN; i++) {
		strcpy(text, ADDRESS);
		text[i] = ADDRESS[i + 1];
		text[i + 1] = ADDRESS[i];
		if (text[i] != text[i + 1])
			assert_true(parse(NULL, text) < 0);
	}
}

static void foreign_characters_are_told_first(void **state)
{
	static const char FOREIGN[] = "0189-_=.:/ \n\x80\xff";
	char text[ADDRESS_SIZE];

	(void)state;
	for (size_t i = 0; i < ADDRESS_LEN; i++) {
		for (const char *c = FOREIGN; *c; c++) {
			strcpy(text, ADDRESS);
			text[i] = *c;
			expect(text, GW_E_CHARACTER);
		}
	}
	expect("1", GW_E_CHARACTER); /* also when the length is wrong */
	expect("peer.example", GW_E_CHARACTER);
	expect(" ndlvvgabqkyqvn6vjp7nhslea45a5yls6pnkmizfv4bbu2hxa5iruh7a", GW_E_CHARACTER);
	expect("ndlvvgabqkyqvn6vjp7nhslea45a5yls6pnkmizfv4bbu2hxa5iruh7a\n", GW_E_CHARACTER);
}

static void every_other_length_is_refused(void **state)
{
	static char text[4096];

	(void)state;
	for (size_t len = 0; len < ADDRESS_LEN; len++) {
		memcpy(text, ADDRESS, len);
		text[len] = '\0';
		expect(text, GW_E_LENGTH);
	}
	for (size_t len = ADDRESS_LEN + 1; len < 1000; len++) {
		memset(text, 'a', len);
		memcpy(text, ADDRESS, ADDRESS_LEN);
		expect(text, GW_E_LENGTH);
	}
	memset(text, 'a', sizeof(text) - 1);
	expect(text, GW_E_LENGTH);
}

static void every_other_type_is_refused(void **state)
{
	uint8_t key[KEY_SIZE];
	char text[ADDRESS_SIZE];

	(void)state;
	from_hex(key, sizeof(key), KEY_HEX);
	for (unsigned type = 0; type < 256; type++) {
		compose(text, (uint8_t)type, key);
		expect(text, type == WORD_NODE ? 0 : GW_E_TYPE);
	}
}

static void ticket_is_told_from_an_address(void **state)
{
	struct ticket t = { .service = "web" };
	char text[TICKET_TEXT_MAX];

	(void)state;
	from_hex(t.key, sizeof(t.key), KEY_HEX);
	assert_int_equal(ticket_format(&t, text), 0);
	expect(text, GW_E_TYPE);
	text[40] = text[40] == 'a' ? 'b' : 'a'; /* a damaged one is just too long */
	expect(text, GW_E_LENGTH);
}

/* Keys with the right checksum that no node can have.  Coordinates: p = 2^255 - 19. */
static void unusable_keys_are_refused(void **state)
{
	static const char *const rows[] = {
		/* small order: y = 1 (order 1), -1 (2), 0 (4, both signs of x), and of order 8 */
		"0100000000000000000000000000000000000000000000000000000000000000",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"0000000000000000000000000000000000000000000000000000000000000000",
		"0000000000000000000000000000000000000000000000000000000000000080",
		"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
		"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
		"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
		"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
		/* not canonical: y = p, p + 1, p + 3, 2^255 - 1; the sign bit where x = 0 */
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"f0ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
		"0100000000000000000000000000000000000000000000000000000000000080",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
		/* not on the curve: y = 2, 7 */
		"0200000000000000000000000000000000000000000000000000000000000000",
		"0700000000000000000000000000000000000000000000000000000000000000",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		uint8_t key[KEY_SIZE];
		char text[ADDRESS_SIZE];

		from_hex(key, sizeof(key), rows[i]);
		compose(text, WORD_NODE, key);
		expect(text, GW_E_KEY);
	}
}

/* --- service names --- */

static void service_names_follow_the_rule(void **state)
{
	static const struct {
		const char *name;
		bool valid;
	} rows[] = {
		{ "a", true },         { "0", true },    { "web", true },  { "a.b_c-d", true },
		{ "9-", true },        { "a..", true },  { "", false },    { "-a", false },
		{ ".a", false },       { "_a", false },  { "Web", false }, { "aB", false },
		{ "a b", false },      { "a/b", false }, { "a:b", false }, { "a\n", false },
		{ "\xc3\xa4", false },
	};
	char longest[SERVICE_NAME_MAX + 3] = { 0 };

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++)
		if (service_name_valid(rows[i].name) != rows[i].valid)
			fail_msg("%s", rows[i].name);
	for (size_t len = 1; len < sizeof(longest); len++) {
		longest[len - 1] = 'x';
		assert_int_equal(service_name_valid(longest), len <= SERVICE_NAME_MAX);
	}
	for (int c = 1; c < 256; c++) {
		const char first[] = { (char)c, '\0' }, second[] = { 'a', (char)c, '\0' };
		bool alnum = strchr("abcdefghijklmnopqrstuvwxyz0123456789", c) != NULL;

		assert_int_equal(service_name_valid(first), alnum);
		assert_int_equal(service_name_valid(second), alnum || strchr("._-", c));
	}
}

static int start(void **state)
{
	(void)state;
	return crypto_init();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vectors_of_rfc4648),
		cmocka_unit_test(base32_of_any_bytes_comes_back),
		cmocka_unit_test(base32_of_impossible_length_is_refused),
		cmocka_unit_test(base32_with_other_padding_bits_is_refused),
		cmocka_unit_test(base32_has_32_characters_in_two_cases),
		cmocka_unit_test(vector_of_the_design),
		cmocka_unit_test(every_key_comes_back),
		cmocka_unit_test(case_does_not_matter),
		cmocka_unit_test(every_substitution_is_refused),
		cmocka_unit_test(swapped_neighbours_are_refused),
		cmocka_unit_test(foreign_characters_are_told_first),
		cmocka_unit_test(every_other_length_is_refused),
		cmocka_unit_test(every_other_type_is_refused),
		cmocka_unit_test(ticket_is_told_from_an_address),
		cmocka_unit_test(unusable_keys_are_refused),
		cmocka_unit_test(service_names_follow_the_rule),
	};

	return cmocka_run_group_tests(tests, start, NULL);
}
