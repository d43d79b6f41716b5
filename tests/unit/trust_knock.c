/* tests/unit/trust_knock.c - a knock and what is refused, and why. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <sodium.h>

#include "base/error.h"
#include "trust/knock.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum { NOISE_AT = KNOCK_TAG, KNOCK_MIN = KNOCK_MAX - WIRE_CHAIN_MAX };

static const uint64_t NOW = UINT64_C(1800000000000);
static const int64_t MINUTE = 60000;
static const uint8_t DCID[KNOCK_DCID] = "0123456789abcdef", OTHER_DCID[KNOCK_DCID] = { 1 };

/* --- helpers --- */

static struct identity identity_of(uint8_t first)
{
	uint8_t seed[SEED_SIZE] = { first };
	struct identity id;

	identity_from_seed(&id, seed);
	return id;
}

static struct knock_self self_of(uint8_t first)
{
	struct identity id = identity_of(first);
	struct knock_self s;

	assert_int_equal(knock_self_init(&s, &id), 0);
	return s;
}

static enum knock_refusal open_at(struct knock *out, const struct knock_self *s,
				  const uint8_t *dcid, const uint8_t *token, size_t len,
				  uint64_t now)
{
	uint8_t *copy = malloc(len + 1), *own_dcid = malloc(KNOCK_DCID);
	struct knock before, k;
	enum knock_refusal why;

	assert_non_null(copy);
	assert_non_null(own_dcid);
	memcpy(copy + 1, token, len);
	memcpy(own_dcid, dcid, KNOCK_DCID);
	memset(&before, 0xa5, sizeof(before));
	memcpy(&k, &before, sizeof(k));
	why = knock_open(&k, s, own_dcid, copy + 1, len, now);
	assert_int_equal(knock_has_tag(s, own_dcid, copy + 1, len),
			 why != KNOCK_SHORT && why != KNOCK_WRONG_TAG);
	if (why != KNOCK_OK && why != KNOCK_CLOCK)
		assert_memory_equal(&k, &before, sizeof(k));
	if (out)
		*out = k;
	free(copy);
	free(own_dcid);
	return why;
}

static void tag(uint8_t *token, const struct knock_self *to, const uint8_t *dcid, size_t len)
{
	uint8_t full[32];

	hmac_sha256(full, to->tag_key, (const void *[]){ dcid, token + KNOCK_TAG },
		    (size_t[]){ KNOCK_DCID, len - KNOCK_TAG }, 2);
	memcpy(token, full, KNOCK_TAG);
}

/* Of node 1 for node 2. */
struct sample {
	struct knock_self from, to;
	uint8_t token[KNOCK_MAX], chain[WIRE_CHAIN_MAX];
	size_t len;
};

static struct sample sample(size_t chain_len)
{
	struct sample s = { .from = self_of(1), .to = self_of(2) };
	uint8_t ephemeral[32];
	ssize_t len;

	memset(ephemeral, 0x42, sizeof(ephemeral));
	for (size_t i = 0; i < sizeof(s.chain); i++)
		s.chain[i] = (uint8_t)(i * 3);
	len = knock_make(
		s.token, &s.from, s.to.key, DCID, ephemeral,
		&(struct wire_knock){ .wall_ms = NOW, .chain = s.chain, .chain_len = chain_len });
	assert_int_equal(len, KNOCK_MIN + chain_len);
	s.len = (size_t)len;
	return s;
}

/* --- round trips --- */

static void knock_says_who_and_when(void **state)
{
	static const size_t lengths[] = { 0, 1, 15, 16, 200, WIRE_CHAIN_MAX };

	(void)state;
	for (size_t i = 0; i < COUNT(lengths); i++) {
		struct sample s = sample(lengths[i]);
		struct knock k;

		assert_int_equal(open_at(&k, &s.to, DCID, s.token, s.len, NOW), KNOCK_OK);
		assert_memory_equal(k.key, s.from.key, KEY_SIZE);
		assert_int_equal(k.wall_ms, NOW);
		assert_int_equal(k.ahead_ms, 0);
		assert_int_equal(k.chain_len, lengths[i]);
		assert_memory_equal(k.chain, s.chain, k.chain_len);
	}
}

/* By another implementation: Python's hashlib, hmac and cryptography, from the specification. */
static void bytes_are_those_of_the_specification(void **state)
{
	static const char EXPECTED[] =
		"a91c6a83ebf3b23089c79097dcb47e3f132c442be010fbd57e72603328aa76e71fccc150"
		"3aae219327d14d9c9993f4725fce6e2c914999f8df2934828d8213baddcddb24fc0de2f5"
		"f0f6f1064ad36dacb1bf352c07889e94192beb559629631b4373f54a4caff1e71512e3a8"
		"4a65a7ece81e25de14359505d17b12dc40babc43a1961eb1c42f643fc3cf6cbc5d5f66ce"
		"1c639b5aa29127eaf2ac223b15b0e53b15b978bf73d3066f2e920c925f179997480312a4";
	struct sample s = sample(4);
	uint8_t expected[KNOCK_MAX];
	size_t len;

	(void)state;
	assert_int_equal(sodium_hex2bin(expected, sizeof(expected), EXPECTED, strlen(EXPECTED),
					NULL, &len, NULL),
			 0);
	assert_int_equal(s.len, len);
	assert_memory_equal(s.token, expected, len);
}

static void self_is_of_the_identity(void **state)
{
	static const struct knock_self zeros;
	struct identity id = identity_of(7);
	struct knock_self s;
	uint8_t public[KEY_SIZE];

	(void)state;
	assert_int_equal(knock_self_init(&s, &id), 0);
	noise_public_of_secret(public, s.secret);
	assert_memory_equal(s.public, public, KEY_SIZE);
	assert_memory_equal(s.key, id.key, KEY_SIZE);
	knock_self_wipe(&s);
	assert_memory_equal(&s, &zeros, sizeof(s));
	memset(id.key, 0, sizeof(id.key));
	assert_int_equal(knock_self_init(&s, &id), GW_E_KEY);
}

static void no_knock_for_what_is_no_key(void **state)
{
	struct sample s = sample(0);
	uint8_t no_key[KEY_SIZE] = { 1 };

	(void)state;
	assert_int_equal(knock_make(s.token, &s.from, no_key, DCID, s.chain,
				    &(struct wire_knock){ .wall_ms = NOW }),
			 GW_E_KEY);
}

/* --- refusals --- */

static void knock_is_for_one_key_and_one_packet(void **state)
{
	struct sample s = sample(20);

	(void)state;
	assert_int_equal(open_at(NULL, &s.from, DCID, s.token, s.len, NOW), KNOCK_WRONG_TAG);
	assert_int_equal(open_at(NULL, &s.to, OTHER_DCID, s.token, s.len, NOW), KNOCK_WRONG_TAG);
	/* who knows the address can make the tag, and no more */
	tag(s.token, &s.to, OTHER_DCID, s.len);
	assert_int_equal(open_at(NULL, &s.to, OTHER_DCID, s.token, s.len, NOW), KNOCK_FORGED);
	tag(s.token, &s.from, DCID, s.len);
	assert_int_equal(open_at(NULL, &s.from, DCID, s.token, s.len, NOW), KNOCK_FORGED);
}

static void each_byte_is_authentic(void **state)
{
	struct sample s = sample(20);
	uint8_t token[KNOCK_MAX];

	(void)state;
	for (size_t bit = 0; bit < 8 * s.len; bit += bit % 8 == 0 ? 7 : 1) {
		memcpy(token, s.token, s.len);
		token[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(open_at(NULL, &s.to, DCID, token, s.len, NOW), KNOCK_WRONG_TAG);
		tag(token, &s.to, DCID, s.len);
		assert_int_equal(open_at(NULL, &s.to, DCID, token, s.len, NOW),
				 bit / 8 < NOISE_AT ? KNOCK_OK : KNOCK_FORGED);
	}
}

static void lengths_are_told(void **state)
{
	struct sample s = sample(WIRE_CHAIN_MAX);
	uint8_t token[KNOCK_MAX + 1] = { 0 };

	(void)state;
	assert_int_equal(s.len, KNOCK_MAX);
	memcpy(token, s.token, s.len);
	for (size_t len = 0; len <= sizeof(token); len++) {
		bool possible = len >= KNOCK_MIN && len <= KNOCK_MAX;

		memcpy(token, s.token, KNOCK_TAG);
		assert_int_equal(open_at(NULL, &s.to, DCID, token, len, NOW),
				 !possible          ? KNOCK_SHORT
				 : len == KNOCK_MAX ? KNOCK_OK
						    : KNOCK_WRONG_TAG);
		if (len < KNOCK_MIN)
			continue;
		tag(token, &s.to, DCID, len);
		assert_int_equal(open_at(NULL, &s.to, DCID, token, len, NOW),
				 !possible          ? KNOCK_SHORT
				 : len == KNOCK_MAX ? KNOCK_OK
						    : KNOCK_FORGED);
	}
}

/* A right message in which `from` says that it is `claimed`. */
static size_t claim(uint8_t *token, const struct sample *s, const uint8_t claimed[KEY_SIZE])
{
	uint8_t prologue[15 + KEY_SIZE + KNOCK_DCID],
		payload[WIRE_KNOCK_PAYLOAD_MAX - WIRE_CHAIN_MAX] = { 0 };
	uint8_t ephemeral[32] = { 3 };

	memcpy(prologue, "godwit knock v1", 15);
	memcpy(prologue + 15, s->to.key, KEY_SIZE);
	memcpy(prologue + 15 + KEY_SIZE, DCID, KNOCK_DCID);
	for (size_t i = 0; i < 8; i++)
		payload[i] = (uint8_t)(NOW >> (56 - 8 * i));
	memcpy(payload + 8, claimed, KEY_SIZE);
	assert_int_equal(noise_x_write(token + KNOCK_TAG, prologue, sizeof(prologue),
				       s->from.secret, s->from.public, s->to.public, ephemeral,
				       payload, sizeof(payload)),
			 0);
	tag(token, &s->to, DCID, KNOCK_MIN);
	return KNOCK_MIN;
}

static void key_must_be_the_proved_one(void **state)
{
	struct sample s = sample(0);
	struct identity third = identity_of(3);
	uint8_t key[KEY_SIZE];
	struct knock k;
	size_t len = claim(s.token, &s, s.from.key);

	(void)state;
	assert_int_equal(open_at(&k, &s.to, DCID, s.token, len, NOW), KNOCK_OK);
	assert_memory_equal(k.key, s.from.key, KEY_SIZE);
	len = claim(s.token, &s, third.key);
	assert_int_equal(open_at(NULL, &s.to, DCID, s.token, len, NOW), KNOCK_KEY);
	len = claim(s.token, &s, s.to.key);
	assert_int_equal(open_at(NULL, &s.to, DCID, s.token, len, NOW), KNOCK_KEY);
	len = claim(s.token, &s, s.from.public);
	assert_int_equal(open_at(NULL, &s.to, DCID, s.token, len, NOW), KNOCK_KEY);
	memset(key, 0, sizeof(key)); /* no key at all */
	len = claim(s.token, &s, key);
	assert_int_equal(open_at(NULL, &s.to, DCID, s.token, len, NOW), KNOCK_KEY);
}

static void clocks_may_differ_by_a_quarter_of_an_hour(void **state)
{
	static const struct {
		int64_t ahead_ms;
		enum knock_refusal why;
	} cases[] = {
		{ 0, KNOCK_OK },
		{ 10 * MINUTE, KNOCK_OK },
		{ -10 * MINUTE, KNOCK_OK },
		{ 15 * MINUTE, KNOCK_OK },
		{ -15 * MINUTE, KNOCK_OK },
		{ 15 * MINUTE + 1, KNOCK_CLOCK },
		{ -15 * MINUTE - 1, KNOCK_CLOCK },
		{ 16 * MINUTE, KNOCK_CLOCK },
		{ -16 * MINUTE, KNOCK_CLOCK },
		{ INT64_C(1800000000000), KNOCK_CLOCK },
		{ INT64_C(-1800000000000), KNOCK_CLOCK },
	};
	struct sample s = sample(4);

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct knock k;

		assert_int_equal(
			open_at(&k, &s.to, DCID, s.token, s.len, NOW - (uint64_t)cases[i].ahead_ms),
			cases[i].why);
		assert_int_equal(k.ahead_ms, cases[i].ahead_ms);
		assert_memory_equal(k.key, s.from.key, KEY_SIZE);
		assert_int_equal(k.chain_len, 4);
	}
}

/* Any time is a number. */
static void absurd_times_are_refused(void **state)
{
	static const uint64_t times[] = {
		0, 1, UINT64_MAX, UINT64_MAX / 2, UINT64_MAX / 2 + 1, UINT64_MAX / 2 + 1800000000000
	};
	struct sample s = sample(0);

	(void)state;
	for (size_t i = 0; i < COUNT(times); i++) {
		ssize_t len = knock_make(s.token, &s.from, s.to.key, DCID, s.chain,
					 &(struct wire_knock){ .wall_ms = times[i] });

		assert_int_equal(open_at(NULL, &s.to, DCID, s.token, (size_t)len, NOW),
				 KNOCK_CLOCK);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(knock_says_who_and_when),
		cmocka_unit_test(bytes_are_those_of_the_specification),
		cmocka_unit_test(self_is_of_the_identity),
		cmocka_unit_test(no_knock_for_what_is_no_key),
		cmocka_unit_test(knock_is_for_one_key_and_one_packet),
		cmocka_unit_test(each_byte_is_authentic),
		cmocka_unit_test(lengths_are_told),
		cmocka_unit_test(key_must_be_the_proved_one),
		cmocka_unit_test(clocks_may_differ_by_a_quarter_of_an_hour),
		cmocka_unit_test(absurd_times_are_refused),
	};

	assert(crypto_init() == 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
