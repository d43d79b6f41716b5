/* tests/unit/trust_knock_retry.c - Retry tokens: sealed for one address and ten seconds. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "trust/knock.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const gw_time NOW = 1000 * GW_SEC;
static const uint8_t SECRET[32] = { 1, 2, 3 }, NONCE[24] = { 4, 5, 6 };

static struct addr addr_of(const char *text)
{
	struct addr a;

	assert_int_equal(addr_parse(&a, text), 0);
	return a;
}

/* In memory of just that size; what is refused leaves the output alone. */
static bool open_token(struct retry_token *out, const uint8_t *secret, const char *client,
		       const uint8_t *token, size_t len, gw_time now)
{
	uint8_t *copy = malloc(len + 1);
	struct retry_token before, t;
	struct addr a = addr_of(client);
	bool ok;

	assert_non_null(copy);
	memcpy(copy + 1, token, len);
	memset(&before, 0xa5, sizeof(before));
	memcpy(&t, &before, sizeof(t));
	ok = retry_open(&t, secret, &a, copy + 1, len, now);
	if (!ok)
		assert_memory_equal(&t, &before, sizeof(t));
	else if (out)
		*out = t;
	free(copy);
	return ok;
}

static struct retry_token content(size_t odcid_len, size_t chain_len)
{
	struct retry_token t = { .odcid_len = odcid_len,
				 .wall_ms = UINT64_C(1700000000123),
				 .chain_len = chain_len };

	for (size_t i = 0; i < odcid_len; i++)
		t.odcid[i] = (uint8_t)(i + 1);
	for (size_t i = 0; i < KEY_SIZE; i++)
		t.key[i] = (uint8_t)(0x80 + i);
	for (size_t i = 0; i < chain_len; i++)
		t.chain[i] = (uint8_t)(i * 5);
	return t;
}

static size_t make(uint8_t out[RETRY_TOKEN_MAX], const char *client, const struct retry_token *t)
{
	struct addr a = addr_of(client);

	return retry_seal(out, SECRET, NONCE, &a, t, NOW);
}

static void token_gives_back_what_was_sealed(void **state)
{
	static const char *const clients[] = { "198.51.100.2:41641", "[2001:db8::1]:443",
					       "[fe80::1%3]:9" };
	static const size_t odcids[] = { 0, 8, 16, 20 }, chains[] = { 0, 1, 300, WIRE_CHAIN_MAX };
	uint8_t token[RETRY_TOKEN_MAX];

	(void)state;
	for (size_t i = 0; i < COUNT(clients) * COUNT(odcids) * COUNT(chains); i++) {
		const char *client = clients[i % COUNT(clients)];
		size_t odcid_len = odcids[i / COUNT(clients) % COUNT(odcids)];
		size_t chain_len = chains[i / COUNT(clients) / COUNT(odcids)];
		struct retry_token t = content(odcid_len, chain_len), back;
		size_t len = make(token, client, &t);

		assert_int_equal(len, RETRY_TOKEN_MAX - WIRE_CHAIN_MAX + chain_len);
		assert_int_equal(token[0], RETRY_FIRST);
		assert_true(open_token(&back, SECRET, client, token, len, NOW));
		assert_int_equal(back.odcid_len, odcid_len);
		assert_int_equal(back.wall_ms, t.wall_ms);
		assert_memory_equal(back.odcid, t.odcid, odcid_len);
		assert_memory_equal(back.key, t.key, KEY_SIZE);
		assert_int_equal(back.chain_len, chain_len);
		assert_memory_equal(back.chain, t.chain, chain_len);
	}
}

static void token_is_of_one_address(void **state)
{
	static const char *const others[] = {
		"198.51.100.2:41642", "198.51.100.3:41641", "[2001:db8::1]:41641",
		"[c633:6402::]:41641", /* the same bytes */
	};
	struct retry_token t = content(16, 10);
	uint8_t token[RETRY_TOKEN_MAX];
	size_t len = make(token, "198.51.100.2:41641", &t);

	(void)state;
	for (size_t i = 0; i < COUNT(others); i++)
		assert_false(open_token(NULL, SECRET, others[i], token, len, NOW));
	assert_true(open_token(NULL, SECRET, "198.51.100.2:41641", token, len, NOW));
	len = make(token, "[fe80::1%3]:41641", &t);
	assert_false(open_token(NULL, SECRET, "[fe80::1%4]:41641", token, len, NOW));
}

static void token_lives_ten_seconds(void **state)
{
	static const char CLIENT[] = "198.51.100.2:41641";
	struct retry_token t = content(16, 0);
	uint8_t token[RETRY_TOKEN_MAX];
	size_t len = make(token, CLIENT, &t);

	(void)state;
	assert_true(open_token(NULL, SECRET, CLIENT, token, len, NOW));
	assert_true(open_token(NULL, SECRET, CLIENT, token, len, NOW + 10 * GW_SEC));
	assert_false(open_token(NULL, SECRET, CLIENT, token, len, NOW + 10 * GW_SEC + 1));
	assert_false(open_token(NULL, SECRET, CLIENT, token, len, GW_NEVER));
	assert_false(open_token(NULL, SECRET, CLIENT, token, len, NOW - 1));
}

static void token_is_of_one_process(void **state)
{
	static const char CLIENT[] = "198.51.100.2:41641";
	struct retry_token t = content(16, 0);
	uint8_t token[RETRY_TOKEN_MAX], secret[32];
	size_t len = make(token, CLIENT, &t);

	(void)state;
	for (size_t bit = 0; bit < 8 * sizeof(secret); bit++) {
		memcpy(secret, SECRET, sizeof(secret));
		secret[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_false(open_token(NULL, secret, CLIENT, token, len, NOW));
	}
}

static void each_bit_and_length_is_authentic(void **state)
{
	static const char CLIENT[] = "[2001:db8::1]:443";
	struct retry_token t = content(16, 40);
	uint8_t token[RETRY_TOKEN_MAX + 64] = { 0 };
	size_t len = make(token, CLIENT, &t);

	(void)state;
	for (size_t bit = 0; bit < 8 * len; bit++) {
		token[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_false(open_token(NULL, SECRET, CLIENT, token, len, NOW));
		token[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	for (size_t l = 0; l <= sizeof(token); l++)
		assert_int_equal(open_token(NULL, SECRET, CLIENT, token, l, NOW), l == len);
}

/* Nothing in a token says whose it is, nor that two are alike. */
static void nonce_makes_each_another(void **state)
{
	uint8_t a[RETRY_TOKEN_MAX], b[RETRY_TOKEN_MAX], nonce[24] = { 9 };
	struct retry_token t = content(16, 0);
	struct addr client = addr_of("198.51.100.2:41641");
	size_t len = retry_seal(a, SECRET, NONCE, &client, &t, NOW), same = 0;

	(void)state;
	assert_int_equal(retry_seal(b, SECRET, nonce, &client, &t, NOW), len);
	for (size_t i = 1 + sizeof(nonce); i < len; i++)
		same += a[i] == b[i];
	assert_true(same < 8);
	assert_null(memmem(a, len, t.key, 8));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(token_gives_back_what_was_sealed),
		cmocka_unit_test(token_is_of_one_address),
		cmocka_unit_test(token_lives_ten_seconds),
		cmocka_unit_test(token_is_of_one_process),
		cmocka_unit_test(each_bit_and_length_is_authentic),
		cmocka_unit_test(nonce_makes_each_another),
	};

	assert(crypto_init() == 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
