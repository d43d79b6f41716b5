/* tests/unit/crypto_hash.c - SHA-256 and HMAC of it, in parts, against published vectors. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <sodium.h>

#include "crypto/hash.h"

static void assert_hex(const uint8_t hash[HASH_SIZE], const char *hex)
{
	char text[2 * HASH_SIZE + 1];

	sodium_bin2hex(text, sizeof(text), hash, HASH_SIZE);
	assert_string_equal(text, hex);
}

/* FIPS 180-4, and its example in parts. */
static void sha256(void **state)
{
	static const char ABC[] =
		"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
	const void *parts[] = { "a", NULL, "bc" };
	const size_t lens[] = { 1, 0, 2 }, three = 3;
	const void *whole = "abc";
	uint8_t hash[HASH_SIZE];

	(void)state;
	hash_sha256(hash, parts, lens, 3);
	assert_hex(hash, ABC);
	hash_sha256(hash, &whole, &three, 1);
	assert_hex(hash, ABC);
	hash_sha256(hash, NULL, NULL, 0);
	assert_hex(hash, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

/* RFC 4231, test case 2, with the key padded by zeros as HMAC does. */
static void hmac(void **state)
{
	const uint8_t key[32] = "Jefe";
	const void *parts[] = { "what do ya want ", "for nothing?" };
	const size_t lens[] = { 16, 12 };
	uint8_t hash[HASH_SIZE];

	(void)state;
	hmac_sha256(hash, key, parts, lens, 2);
	assert_hex(hash, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

static void bytes(void **state)
{
	uint8_t a[5] = "abcd", b[5] = "abce", zero[5] = { 0 };

	(void)state;
	assert_true(bytes_equal(a, b, 3));
	assert_false(bytes_equal(a, b, 4));
	assert_true(bytes_equal(a, b, 0));
	bytes_wipe(a, sizeof(a));
	assert_memory_equal(a, zero, sizeof(a));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sha256),
		cmocka_unit_test(hmac),
		cmocka_unit_test(bytes),
	};

	return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
