/* tests/unit/crypto_tag.c - tags of punch probes. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/tag.h"

enum { DATA_SIZE = 15 };

struct input {
	uint8_t secret[TAG_SECRET_SIZE], sender[KEY_SIZE], receiver[KEY_SIZE], data[DATA_SIZE];
};

static struct input sample(void)
{
	struct input in;

	for (size_t i = 0; i < sizeof(in.secret); i++)
		in.secret[i] = (uint8_t)i;
	memset(in.sender, 0x11, sizeof(in.sender));
	for (size_t i = 0; i < sizeof(in.receiver); i++)
		in.receiver[i] = (uint8_t)(0x80 + i);
	memcpy(in.data, "\x23tttttttt\0\x03\0\0\0\x07", DATA_SIZE);
	return in;
}

static void tag_of(uint8_t out[TAG_SIZE], const struct input *in)
{
	punch_tag(out, in->secret, in->sender, in->receiver, in->data, sizeof(in->data));
}

/* hashlib.blake2b(b"godwit punch v1" + sender + receiver + data, digest_size=16, key=secret) */
static void tags_are_those_of_another_implementation(void **state)
{
	static const uint8_t TAG[TAG_SIZE] = { 0xc8, 0xcc, 0x90, 0xbd, 0x54, 0xcd, 0x7a, 0x03,
					       0x06, 0x16, 0x06, 0x50, 0x5f, 0x2c, 0x89, 0x54 };
	static const uint8_t EMPTY[TAG_SIZE] = { 0x56, 0xf2, 0xd6, 0xa0, 0xe7, 0x68, 0xa7, 0x4d,
						 0xb1, 0x1d, 0x2f, 0x50, 0x93, 0xbe, 0xef, 0xd8 };
	struct input in = sample();
	uint8_t out[TAG_SIZE];

	(void)state;
	tag_of(out, &in);
	assert_memory_equal(out, TAG, sizeof(TAG));
	punch_tag(out, in.secret, in.sender, in.receiver, in.data, 0);
	assert_memory_equal(out, EMPTY, sizeof(EMPTY));
}

static void each_bit_of_secret_keys_and_data_matters(void **state)
{
	struct input in = sample();
	uint8_t tag[TAG_SIZE], other[TAG_SIZE], bytes[sizeof(in)];

	(void)state;
	tag_of(tag, &in);
	memcpy(bytes, &in, sizeof(in));
	for (size_t bit = 0; bit < 8 * sizeof(bytes); bit++) {
		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
		memcpy(&in, bytes, sizeof(in));
		tag_of(other, &in);
		assert_false(tag_equal(tag, other));
		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	memcpy(&in, bytes, sizeof(in));
	tag_of(other, &in);
	assert_true(tag_equal(tag, other));
	for (size_t len = 0; len < DATA_SIZE; len++) {
		punch_tag(other, in.secret, in.sender, in.receiver, in.data, len);
		assert_false(tag_equal(tag, other));
	}
}

/* A probe sent back to its sender says nothing there. */
static void tag_has_a_direction(void **state)
{
	struct input in = sample();
	uint8_t tag[TAG_SIZE], back[TAG_SIZE];

	(void)state;
	tag_of(tag, &in);
	punch_tag(back, in.secret, in.receiver, in.sender, in.data, sizeof(in.data));
	assert_false(tag_equal(tag, back));
}

static void tags_are_compared_whole(void **state)
{
	uint8_t a[TAG_SIZE] = { 0 }, b[TAG_SIZE] = { 0 };

	(void)state;
	assert_true(tag_equal(a, b));
	for (size_t bit = 0; bit < 8 * sizeof(a); bit++) {
		b[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_false(tag_equal(a, b));
		assert_false(tag_equal(b, a));
		b[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tags_are_those_of_another_implementation),
		cmocka_unit_test(each_bit_of_secret_keys_and_data_matters),
		cmocka_unit_test(tag_has_a_direction),
		cmocka_unit_test(tags_are_compared_whole),
	};

	assert(crypto_init() == 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
