/* tests/unit/trust_bundle.c - bundles: round trips, the layout, damaged words. */
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
#include "crypto/address.h"
#include "crypto/base32.h"
#include "trust/trust.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const char ALPHABET[] = "abcdefghijklmnopqrstuvwxyz234567";

enum { HEAD = 4, SMALL = 300 };

static uint8_t manifest[WIRE_MANIFEST_MAX + 1], chain[WIRE_CHAIN_MAX + 1];

/* Parse, and see that nothing is written on failure. */
static int parse(struct bundle *out, const char *text)
{
	char *copy = strdup(text); /* so that the sanitizer sees any read beyond it */
	struct bundle before, b;
	int rv;

	memset(&before, 0xa5, sizeof(before));
	memcpy(&b, &before, sizeof(b));
	rv = bundle_parse(&b, copy);
	free(copy);
	if (rv < 0)
		assert_memory_equal(&b, &before, sizeof(b));
	else if (out)
		*out = b;
	else
		bundle_clear(&b);
	return rv;
}

static void expect(const char *text, int error)
{
	int rv = parse(NULL, text);

	if (rv != error)
		fail_msg("%.100s: %d, not %d", text, rv, error);
}

/* The word of these bytes and their check. */
static const char *seal(const uint8_t *raw, size_t len)
{
	static const char CONTEXT[] = "godwit bundle v1";
	static char text[4096];
	uint8_t input[2048], hash[32];

	assert_true(len < 1500);
	memcpy(input, CONTEXT, sizeof(CONTEXT) - 1);
	memcpy(input + sizeof(CONTEXT) - 1, raw, len);
	crypto_hash_sha256(hash, input, sizeof(CONTEXT) - 1 + len);
	memcpy(input, raw, len);
	memcpy(input + len, hash, BUNDLE_CHECK);
	base32_encode(text, input, len + BUNDLE_CHECK);
	return text;
}

static void check_round(size_t manifest_len, size_t chain_len)
{
	char *text = bundle_format(manifest, manifest_len, chain, chain_len);
	struct bundle b;

	assert_non_null(text);
	assert_true(strlen(text) < BUNDLE_RAW_MAX * 8 / 5 + 2);
	assert_int_equal(text[0], 'c');
	for (int upper = 0; upper < 2; upper++) {
		assert_int_equal(parse(&b, text), 0);
		assert_int_equal(b.manifest_len, manifest_len);
		assert_int_equal(b.chain_len, chain_len);
		assert_memory_equal(b.manifest, manifest, manifest_len);
		assert_memory_equal(b.chain, chain, chain_len);
		bundle_clear(&b);
		bundle_clear(&b); /* twice is as good */
		for (char *c = text; *c; c++)
			*c = (char)toupper((unsigned char)*c);
	}
	free(text);
}

static void bundles_come_back(void **state)
{
	static const size_t MANIFESTS[] = { 1, 2, 153, 1000, WIRE_MANIFEST_MAX };
	static const size_t CHAINS[] = { 0, 1, 150, WIRE_CHAIN_MAX };

	(void)state;
	for (size_t i = 0; i < COUNT(MANIFESTS); i++)
		for (size_t k = 0; k < COUNT(CHAINS); k++)
			check_round(MANIFESTS[i], CHAINS[k]);
}

static void what_cannot_be_is_not_formatted(void **state)
{
	(void)state;
	assert_null(bundle_format(manifest, 0, chain, 0));
	assert_null(bundle_format(manifest, WIRE_MANIFEST_MAX + 1, chain, 0));
	assert_null(bundle_format(manifest, 1, chain, WIRE_CHAIN_MAX + 1));
}

/* docs/protocol.md, section 17. */
static void layout_is_as_specified(void **state)
{
	uint8_t raw[HEAD + 258 + 3] = { 0x10, 1, 1, 2 };
	char *text;

	(void)state;
	memcpy(raw + HEAD, manifest, 258);
	memcpy(raw + HEAD + 258, chain, 3);
	text = bundle_format(manifest, 258, chain, 3);
	assert_string_equal(text, seal(raw, sizeof(raw)));
	free(text);
}

static void every_truncation_is_refused(void **state)
{
	char *text = bundle_format(manifest, SMALL, chain, 100);

	(void)state;
	for (size_t len = strlen(text); len-- > 0;) {
		int rv;

		text[len] = '\0';
		rv = parse(NULL, text);
		assert_true(rv == GW_E_LENGTH || rv == GW_E_CHECKSUM || rv == GW_E_FORMAT ||
			    (rv == GW_E_TYPE && (len < 2 || len == ADDRESS_LEN)));
	}
	free(text);
}

static void every_substitution_is_refused(void **state)
{
	char *text = bundle_format(manifest, 20, chain, 9);

	(void)state;
	for (size_t i = 0; text[i]; i++) {
		char right = text[i];

		for (const char *c = ALPHABET; *c; c++) {
			int rv;

			if (*c == right)
				continue;
			text[i] = *c;
			rv = parse(NULL, text);
			if (i == 0)
				assert_int_equal(rv, GW_E_TYPE);
			else
				assert_true(rv == GW_E_CHECKSUM || rv == GW_E_FORMAT ||
					    (i == 1 && rv == GW_E_TYPE));
		}
		text[i] = '0';
		expect(text, GW_E_CHARACTER);
		text[i] = right;
	}
	free(text);
}

static void lengths_are_checked(void **state)
{
	static const struct {
		uint8_t head[HEAD];
		size_t len; /* of what is sealed */
		int result;
	} ROWS[] = {
		{ { 0x10, 1, 0, 1 }, HEAD + 1, 0 },
		{ { 0x10, 1, 0, 0 }, HEAD, GW_E_FORMAT },
		{ { 0x10, 1, 0, 0 }, HEAD + 10, GW_E_FORMAT },
		{ { 0x10, 1, 0, 2 }, HEAD + 1, GW_E_FORMAT },
		{ { 0x10, 1, 0xff, 0xff }, HEAD + 100, GW_E_FORMAT },
		{ { 0x10, 1, 0, 9 }, HEAD + 9 + WIRE_CHAIN_MAX, 0 },
		{ { 0x10, 1, 0, 9 }, HEAD + 9 + WIRE_CHAIN_MAX + 1, GW_E_FORMAT },
		{ { 0x10, 0, 0, 1 }, HEAD + 1, GW_E_VERSION },
		{ { 0x10, 2, 0, 1 }, HEAD + 1, GW_E_VERSION },
		{ { 0x40, 1, 0, 1 }, HEAD + 1, GW_E_TYPE },
		{ { 0x10, 1, 0, 1 }, 3, GW_E_LENGTH },
		{ { 0x10, 1, 0, 1 }, 1, GW_E_LENGTH },
		{ { 0x10, 1, 0, 1 }, 35 - BUNDLE_CHECK, GW_E_TYPE }, /* as long as a key's word */
	};

	(void)state;
	for (size_t i = 0; i < COUNT(ROWS); i++) {
		uint8_t raw[1000] = { 0 };

		memcpy(raw, ROWS[i].head, HEAD);
		expect(seal(raw, ROWS[i].len), ROWS[i].result);
	}
}

static void other_words_are_told_apart(void **state)
{
	static const uint8_t SEED[SEED_SIZE] = { 1 };
	size_t longest = BUNDLE_RAW_MAX * 8 / 5 + 10;
	char word[NETWORK_TEXT_SIZE], *text = malloc(longest + 1);
	struct identity id;

	(void)state;
	identity_from_seed(&id, SEED);
	network_format(id.key, word);
	expect(word, GW_E_TYPE);
	address_format(id.key, word);
	expect(word, GW_E_TYPE);
	expect("", GW_E_LENGTH);
	assert_non_null(text);
	memset(text, 'c', longest);
	text[longest] = '\0';
	expect(text, GW_E_LENGTH);
	free(text);
}

static int start(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(manifest); i++)
		manifest[i] = (uint8_t)(i * 7 + i / 256);
	for (size_t i = 0; i < sizeof(chain); i++)
		chain[i] = (uint8_t)(i * 5 + 1);
	return crypto_init();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bundles_come_back),
		cmocka_unit_test(what_cannot_be_is_not_formatted),
		cmocka_unit_test(layout_is_as_specified),
		cmocka_unit_test(every_truncation_is_refused),
		cmocka_unit_test(every_substitution_is_refused),
		cmocka_unit_test(lengths_are_checked),
		cmocka_unit_test(other_words_are_told_apart),
	};

	return cmocka_run_group_tests(tests, start, NULL);
}
