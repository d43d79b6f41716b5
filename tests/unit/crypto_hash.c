/* tests/unit/crypto_hash.c - SHA-256 and HMAC: vectors, whole and in parts. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <sodium.h>

#include "crypto/hash.h"
#include "crypto/identity.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum { HASH = 32, KEY_MAX = 131 };

static void expect(const uint8_t out[HASH], const char *hex)
{
	uint8_t bytes[HASH];
	size_t len;

	assert_int_equal(sodium_hex2bin(bytes, sizeof(bytes), hex, strlen(hex), NULL, &len, NULL),
			 0);
	assert_memory_equal(out, bytes, len);
}

static void sha256(uint8_t out[HASH], const void *data, size_t len)
{
	hash_sha256(out, (const void *[]){ data }, &len, 1);
}

/* --- SHA-256 --- */

/* FIPS 180-4, examples (csrc.nist.gov, "SHA256.pdf" and "SHA2_Additional.pdf"). */
static const struct {
	const char *text, *hash;
} hashes[] = {
	{ "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
	{ "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
	{ "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
	  "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1" },
	{ "abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqr"
	  "lmnopqrsmnopqrstnopqrstu",
	  "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1" },
};

static void hashes_are_those_of_fips_180(void **state)
{
	uint8_t out[HASH];
	char *million = malloc(1000000);

	(void)state;
	for (size_t i = 0; i < COUNT(hashes); i++) {
		sha256(out, hashes[i].text, strlen(hashes[i].text));
		expect(out, hashes[i].hash);
	}
	assert_non_null(million);
	memset(million, 'a', 1000000);
	sha256(out, million, 1000000);
	expect(out, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
	free(million);
}

static void parts_are_one_text(void **state)
{
	const char *text = hashes[3].text;
	size_t len = strlen(text);
	uint8_t out[HASH];

	(void)state;
	for (size_t i = 0; i <= len; i++)
		for (size_t k = i; k <= len; k++) {
			hash_sha256(out, (const void *[]){ text, text + i, text + k },
				    (size_t[]){ i, k - i, len - k }, 3);
			expect(out, hashes[3].hash);
		}
	hash_sha256(out, NULL, NULL, 0);
	expect(out, hashes[0].hash);
	hash_sha256(out, (const void *[]){ NULL, "abc" }, (size_t[]){ 0, 3 }, 2);
	expect(out, hashes[1].hash);
}

static void result_may_replace_a_part(void **state)
{
	uint8_t bytes[HASH] = "abcdefghabcdefghabcdefghabcdefg", out[HASH];

	(void)state;
	hash_sha256(out, (const void *[]){ bytes, "x" }, (size_t[]){ HASH, 1 }, 2);
	hash_sha256(bytes, (const void *[]){ bytes, "x" }, (size_t[]){ HASH, 1 }, 2);
	assert_memory_equal(out, bytes, HASH);
}

/* --- HMAC --- */

/* RFC 4231, section 4.  Shorter keys are padded with zeros, those that are longer than a block
 * hashed: both fit 32 bytes. */
static const struct {
	const char *text, *mac;
	size_t key_len, repeat;
	uint8_t key_byte; /* 0: 1, 2, 3, ...; 'J': Jefe */
} macs[] = {
	{ "Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7", 20, 1,
	  0x0b },
	{ "what do ya want for nothing?",
	  "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843", 4, 1, 'J' },
	{ "\xdd", "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe", 20, 50,
	  0xaa },
	{ "\xcd", "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b", 25, 50, 0 },
	{ "Test With Truncation", "a3b6167473100ee06e0c796c2955552b", 20, 1, 0x0c },
	{ "Test Using Larger Than Block-Size Key - Hash Key First",
	  "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54", 131, 1, 0xaa },
	{ "This is a test using a larger than block-size key and a larger than block-size data. "
	  "The key needs to be hashed before being used by the HMAC algorithm.",
	  "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2", 131, 1, 0xaa },
};

static void key_of(uint8_t out[32], size_t test)
{
	uint8_t key[KEY_MAX] = { 0 };
	size_t len = macs[test].key_len;

	for (size_t i = 0; i < len; i++)
		key[i] = macs[test].key_byte ? macs[test].key_byte : (uint8_t)(i + 1);
	if (macs[test].key_byte == 'J')
		memcpy(key, "Jefe", 4);
	if (len > 32)
		sha256(out, key, len);
	else
		memcpy(out, key, 32);
}

static void macs_are_those_of_rfc_4231(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(macs); i++) {
		uint8_t key[32], out[HASH];
		char text[256] = "";
		size_t len;

		for (size_t k = 0; k < macs[i].repeat; k++)
			strcat(text, macs[i].text);
		len = strlen(text);
		key_of(key, i);
		for (size_t cut = 0; cut <= len; cut++) {
			hmac_sha256(out, key, (const void *[]){ text, text + cut },
				    (size_t[]){ cut, len - cut }, 2);
			expect(out, macs[i].mac);
		}
	}
}

static void each_bit_of_the_key_matters(void **state)
{
	uint8_t key[32] = { 0 }, out[HASH], other[HASH];
	const void *part = "text";
	size_t len = 4;

	(void)state;
	hmac_sha256(out, key, &part, &len, 1);
	for (size_t bit = 0; bit < 8 * sizeof(key); bit++) {
		key[bit / 8] ^= (uint8_t)(1 << bit % 8);
		hmac_sha256(other, key, &part, &len, 1);
		assert_memory_not_equal(out, other, HASH);
		key[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
}

/* --- bytes --- */

static void bytes_are_compared_whole(void **state)
{
	uint8_t a[37] = { 0 }, b[37] = { 0 };

	(void)state;
	assert_true(bytes_equal(a, b, sizeof(a)));
	assert_true(bytes_equal(a, b, 0));
	for (size_t bit = 0; bit < 8 * sizeof(a); bit++) {
		b[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_false(bytes_equal(a, b, sizeof(a)));
		assert_true(bytes_equal(a, b, bit / 8));
		b[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
}

static void wiped_bytes_are_zero(void **state)
{
	uint8_t bytes[40], zeros[40] = { 0 };

	(void)state;
	memset(bytes, 0xa5, sizeof(bytes));
	bytes_wipe(bytes + 1, sizeof(bytes) - 2);
	assert_memory_equal(bytes + 1, zeros, sizeof(bytes) - 2);
	assert_int_equal(bytes[0], 0xa5);
	assert_int_equal(bytes[sizeof(bytes) - 1], 0xa5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hashes_are_those_of_fips_180),
		cmocka_unit_test(parts_are_one_text),
		cmocka_unit_test(result_may_replace_a_part),
		cmocka_unit_test(macs_are_those_of_rfc_4231),
		cmocka_unit_test(each_bit_of_the_key_matters),
		cmocka_unit_test(bytes_are_compared_whole),
		cmocka_unit_test(wiped_bytes_are_zero),
	};

	assert(crypto_init() == 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
