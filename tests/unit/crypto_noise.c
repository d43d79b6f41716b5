/* tests/unit/crypto_noise.c - the Noise message: vectors of others, forgeries, keys of small
 * order; keys of signatures as keys of Diffie and Hellman; sealing.
 *
 * Built with -Wl,--wrap for both uses of X25519: a writer can be made to cheat. */
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
#include "crypto/identity.h"
#include "crypto/noise.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum { MESSAGE_MAX = 256, KEY = NOISE_KEY_SIZE };

/* --- a writer that cheats --- */

static const uint8_t *pretended_public; /* instead of the ephemeral key's */
static unsigned pretended_zero;         /* this one of the shared secrets is zero; 0: none */

int __real_crypto_scalarmult(unsigned char *q, const unsigned char *n, const unsigned char *p);
int __wrap_crypto_scalarmult(unsigned char *q, const unsigned char *n, const unsigned char *p);
int __real_crypto_scalarmult_base(unsigned char *q, const unsigned char *n);
int __wrap_crypto_scalarmult_base(unsigned char *q, const unsigned char *n);

int __wrap_crypto_scalarmult(unsigned char *q, const unsigned char *n, const unsigned char *p)
{
	if (pretended_zero == 0 || --pretended_zero > 0)
		return __real_crypto_scalarmult(q, n, p);
	memset(q, 0, KEY);
	return 0;
}

int __wrap_crypto_scalarmult_base(unsigned char *q, const unsigned char *n)
{
	if (!pretended_public)
		return __real_crypto_scalarmult_base(q, n);
	memcpy(q, pretended_public, KEY);
	return 0;
}

/* --- helpers --- */

static size_t from_hex(uint8_t *out, size_t room, const char *hex)
{
	size_t len;

	assert_int_equal(sodium_hex2bin(out, room, hex, strlen(hex), NULL, &len, NULL), 0);
	return len;
}

struct party {
	uint8_t secret[KEY], public[KEY];
};

static struct party party_of(const char *hex)
{
	struct party p;

	assert_int_equal(from_hex(p.secret, KEY, hex), KEY);
	noise_public_of_secret(p.public, p.secret);
	return p;
}

static int write_message(uint8_t *out, const struct party *from, const uint8_t to[KEY],
			 const uint8_t ephemeral[KEY], const char *prologue, const void *payload,
			 size_t len)
{
	return noise_x_write(out, (const uint8_t *)prologue, strlen(prologue), from->secret,
			     from->public, to, ephemeral, payload, len);
}

/* In memory of just the sizes that are right; `payload` and `from` may be NULL. */
static int read_message(const struct party *to, const char *prologue, const uint8_t *message,
			size_t len, uint8_t *from, uint8_t *payload)
{
	size_t payload_len = len < NOISE_X_OVERHEAD ? 0 : len - NOISE_X_OVERHEAD;
	uint8_t *copy = malloc(len + 1), *text = malloc(payload_len + 1), key[KEY];
	int rv;

	assert_non_null(copy);
	assert_non_null(text);
	memcpy(copy + 1, message, len);
	rv = noise_x_read(key, text + 1, (const uint8_t *)prologue, strlen(prologue), to->secret,
			  to->public, copy + 1, len);
	if (rv == 0 && from)
		memcpy(from, key, KEY);
	if (rv == 0 && payload)
		memcpy(payload, text + 1, payload_len);
	free(copy);
	free(text);
	return rv;
}

/* --- vectors --- */

/* The first messages of Noise_X_25519_AESGCM_SHA256 of three implementations: cacophony
 * (vectors/cacophony.txt), noise-c (tests/vector/noise-c-basic.txt), snow
 * (tests/vectors/snow.txt). */
static const struct {
	const char *prologue, *initiator, *ephemeral, *responder, *payload, *message;
} vectors[] = {
	{ "John Galt", "e61ef9919cde45dd5f82166404bd08e38bceb5dfdfded0a34c8df7ed542214d1",
	  "893e28b9dc6ca8d611ab664754b8ceb7bac5117349a4439a6b0569da977c464a",
	  "4a3acbfdb163dec651dfa3194dece676d437029c62a408b4c5ea9114246e4893",
	  "4c756477696720766f6e204d69736573",
	  "ca35def5ae56cec33dc2036731ab14896bc4c75dbb07a61f879f8e3afa4c7944"
	  "70bc7d4db4b390c2b19e03d60cf1ee8630c74c121706378730dcf60ef41a212c"
	  "23c47ef2f4ab632abfc6258a30ca2149e2c2f8756c40d832fc206e31a5f64087"
	  "b6fba7638c9a9fdd2eee96f9ea816629" },
	{ "Prologue123", "e61ef9919cde45dd5f82166404bd08e38bceb5dfdfded0a34c8df7ed542214d1",
	  "893e28b9dc6ca8d611ab664754b8ceb7bac5117349a4439a6b0569da977c464a",
	  "4a3acbfdb163dec651dfa3194dece676d437029c62a408b4c5ea9114246e4893",
	  "4c756477696720766f6e204d69736573",
	  "ca35def5ae56cec33dc2036731ab14896bc4c75dbb07a61f879f8e3afa4c7944"
	  "70bc7d4db4b390c2b19e03d60cf1ee8630c74c121706378730dcf60ef41a212c"
	  "d71a3028564a450fa9fbb8102338690ee2c2f8756c40d832fc206e31a5f64087"
	  "4b6b2f51c3e6707639999826b0b88489" },
	{ "There is no right and wrong. There's only fun and boring.",
	  "a6e81e173ee47492dc6a91289fcde56fea2bc854e608647fec8c655e583471a8",
	  "2af56dde45ec567eb91e1a417c1076f27ff9eecc521d1c0eab5637fd110c90ae",
	  "752a1e4d12b0e33b199dffcadcf974fb4873b33fc0e73670c1e124e208fdeaac",
	  "3cc687517a2c7b289c5299482d71eb4379f13995cd474c7a606580b7832a3263",
	  "25b9df9853d8f0f1bbfdce15f4cc597dc08d432e6d70fa80849d740d24f44975"
	  "782a31d1fdd7e73b2bb2ae62505ec0ebf1eee22f68fcc3f41b0cd2cfa564c630"
	  "b3249863d05e50e212ce56a67d2c309e1991fe6ca9327afafae718452f01380c"
	  "d333cb1665d0e4855cef778061fa6570cde98d74fc543f4d15ac51b079467191" },
};

static void messages_are_those_of_other_implementations(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(vectors); i++) {
		uint8_t payload[MESSAGE_MAX], message[MESSAGE_MAX], out[MESSAGE_MAX];
		uint8_t from[KEY], text[MESSAGE_MAX];
		struct party initiator = party_of(vectors[i].initiator);
		struct party responder = party_of(vectors[i].responder);
		struct party ephemeral = party_of(vectors[i].ephemeral);
		size_t len = from_hex(payload, sizeof(payload), vectors[i].payload);
		size_t size = from_hex(message, sizeof(message), vectors[i].message);

		assert_int_equal(size, NOISE_X_OVERHEAD + len);
		assert_int_equal(write_message(out, &initiator, responder.public, ephemeral.secret,
					       vectors[i].prologue, payload, len),
				 0);
		assert_memory_equal(out, message, size);
		assert_int_equal(
			read_message(&responder, vectors[i].prologue, message, size, from, text),
			0);
		assert_memory_equal(from, initiator.public, KEY);
		assert_memory_equal(text, payload, len);
	}
}

/* --- what is refused --- */

struct sample {
	struct party from, to;
	uint8_t ephemeral[KEY], message[MESSAGE_MAX];
	size_t len;
};

static struct sample sample(void)
{
	struct sample s = { .from = party_of(vectors[0].initiator),
			    .to = party_of(vectors[0].responder) };

	memset(s.ephemeral, 0x42, KEY);
	assert_int_equal(
		write_message(s.message, &s.from, s.to.public, s.ephemeral, "here", "hello", 5), 0);
	s.len = NOISE_X_OVERHEAD + 5;
	return s;
}

static void each_bit_is_authentic(void **state)
{
	struct sample s = sample();

	(void)state;
	for (size_t bit = 0; bit < 8 * s.len; bit++) {
		s.message[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(read_message(&s.to, "here", s.message, s.len, NULL, NULL),
				 GW_E_CRYPTO);
		s.message[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	assert_int_equal(read_message(&s.to, "here", s.message, s.len, NULL, NULL), 0);
}

static void other_lengths_prologues_and_readers_are_refused(void **state)
{
	struct sample s = sample();

	(void)state;
	for (size_t len = 0; len <= s.len + 3; len++)
		assert_int_equal(read_message(&s.to, "here", s.message, len, NULL, NULL),
				 len == s.len ? 0 : GW_E_CRYPTO);
	assert_int_equal(read_message(&s.to, "there", s.message, s.len, NULL, NULL), GW_E_CRYPTO);
	assert_int_equal(read_message(&s.to, "", s.message, s.len, NULL, NULL), GW_E_CRYPTO);
	assert_int_equal(read_message(&s.from, "here", s.message, s.len, NULL, NULL), GW_E_CRYPTO);
}

static void payload_may_be_empty_or_long(void **state)
{
	struct sample s = sample();
	uint8_t payload[1000], text[1000], *message = malloc(NOISE_X_OVERHEAD + sizeof(payload));

	(void)state;
	assert_non_null(message);
	for (size_t i = 0; i < sizeof(payload); i++)
		payload[i] = (uint8_t)(i * 7);
	for (size_t len = 0; len <= sizeof(payload); len += len < 70 ? 1 : 93) {
		assert_int_equal(
			write_message(message, &s.from, s.to.public, s.ephemeral, "", payload, len),
			0);
		assert_int_equal(
			read_message(&s.to, "", message, NOISE_X_OVERHEAD + len, NULL, text), 0);
		assert_memory_equal(text, payload, len);
	}
	free(message);
}

/* The sender must have the secret of the static key that it names: `ss`. */
static void another_ones_static_key_cannot_be_claimed(void **state)
{
	struct sample s = sample();
	struct party liar = party_of(vectors[2].initiator);

	(void)state;
	memcpy(liar.public, s.from.public, KEY);
	assert_int_equal(
		write_message(s.message, &liar, s.to.public, s.ephemeral, "here", "hello", 5), 0);
	assert_int_equal(read_message(&s.to, "here", s.message, s.len, NULL, NULL), GW_E_CRYPTO);
}

/* Points of small order and their other encodings (https://cr.yp.to/ecdh.html): with each the
 * shared secret is zero, whatever the other's key. */
static const char *const small[] = {
	"0000000000000000000000000000000000000000000000000000000000000000",
	"0100000000000000000000000000000000000000000000000000000000000000",
	"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
	"5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
};

static void key_of_small_order_is_refused(void **state)
{
	struct sample s = sample();

	(void)state;
	for (size_t i = 0; i < COUNT(small); i++) {
		struct party weak = { { 0x42 }, { 0 } };

		from_hex(weak.public, KEY, small[i]);
		assert_int_equal(write_message(s.message, &s.from, weak.public, s.ephemeral, "here",
					       "hello", 5),
				 GW_E_KEY);

		pretended_public = weak.public;
		pretended_zero = 1;
		assert_int_equal(write_message(s.message, &s.from, s.to.public, s.ephemeral, "here",
					       "hello", 5),
				 0);
		pretended_public = NULL;
		assert_int_equal(read_message(&s.to, "here", s.message, s.len, NULL, NULL),
				 GW_E_CRYPTO);

		pretended_zero = 2;
		assert_int_equal(write_message(s.message, &weak, s.to.public, s.ephemeral, "here",
					       "hello", 5),
				 0);
		assert_int_equal(pretended_zero, 0);
		assert_int_equal(read_message(&s.to, "here", s.message, s.len, NULL, NULL),
				 GW_E_CRYPTO);
	}
}

/* --- keys --- */

/* libsodium, test/default/ed25519_convert. */
static void keys_convert(void **state)
{
	uint8_t seed[SEED_SIZE], public[KEY], secret[KEY], out[KEY];
	struct identity id;

	(void)state;
	from_hex(seed, sizeof(seed),
		 "421151a459faeade3d247115f94aedae42318124095afabe4d1451a559faedee");
	from_hex(public, KEY, "f1814f0e8ff1043d8a44d25babff3cedcae6c22c3edaa48f857ae70de2baae50");
	from_hex(secret, KEY, "8052030376d47112be7f73ed7a019293dd12ad910b654455798b4667d73de166");
	identity_from_seed(&id, seed);
	assert_true(noise_public_of(out, id.key));
	assert_memory_equal(out, public, KEY);
	noise_secret_of(out, seed);
	assert_memory_equal(out, secret, KEY);
	noise_public_of_secret(out, secret);
	assert_memory_equal(out, public, KEY);
}

static void key_and_its_negative_are_one(void **state)
{
	uint8_t key[KEY], negative[KEY];
	struct identity id;

	(void)state;
	for (int i = 0; i < 20; i++) {
		identity_generate(&id);
		assert_true(noise_public_of(key, id.key));
		id.key[KEY - 1] ^= 0x80;
		assert_true(noise_public_of(negative, id.key));
		assert_memory_equal(key, negative, KEY);
	}
}

/* Of small order, on no curve, or outside of the main subgroup. */
static void unusable_keys_do_not_convert(void **state)
{
	static const char *const keys[] = {
		"0100000000000000000000000000000000000000000000000000000000000000",
		"0000000000000000000000000000000000000000000000000000000000000000",
		"0200000000000000000000000000000000000000000000000000000000000000",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
	};
	uint8_t key[KEY], out[KEY], other[KEY];
	struct identity id;

	(void)state;
	for (size_t i = 0; i < COUNT(keys); i++) {
		from_hex(key, KEY, keys[i]);
		assert_false(noise_public_of(out, key));
	}
	identity_generate(&id);
	from_hex(other, KEY, keys[3]); /* order 2 */
	assert_int_equal(crypto_core_ed25519_add(key, id.key, other), 0);
	assert_false(noise_public_of(out, key));
}

/* --- sealing --- */

/* draft-irtf-cfrg-xchacha-03, appendix A.3.1. */
static void sealing_is_that_of_the_draft(void **state)
{
	static const char TEXT[] = "Ladies and Gentlemen of the class of '99: If I could offer you "
				   "only one tip for the future, sunscreen would be it.";
	enum { LEN = sizeof(TEXT) - 1 };
	uint8_t key[32], nonce[24], ad[12], expected[LEN + 16], out[LEN + 16], back[LEN];

	(void)state;
	for (size_t i = 0; i < sizeof(key); i++)
		key[i] = (uint8_t)(0x80 + i);
	for (size_t i = 0; i < sizeof(nonce); i++)
		nonce[i] = (uint8_t)(0x40 + i);
	from_hex(ad, sizeof(ad), "50515253c0c1c2c3c4c5c6c7");
	from_hex(expected, sizeof(expected),
		 "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb"
		 "731c7f1b0b4aa6440bf3a82f4eda7e39ae64c6708c54c216cb96b72e1213b452"
		 "2f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff9"
		 "21f9664c97637da9768812f615c68b13b52e"
		 "c0875924c1c7987947deafd8780acf49");
	seal(out, key, nonce, ad, sizeof(ad), (const uint8_t *)TEXT, LEN);
	assert_memory_equal(out, expected, sizeof(expected));
	assert_true(unseal(back, key, nonce, ad, sizeof(ad), out, sizeof(out)));
	assert_memory_equal(back, TEXT, LEN);

	for (size_t bit = 0; bit < 8 * sizeof(out); bit += 5) {
		out[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_false(unseal(back, key, nonce, ad, sizeof(ad), out, sizeof(out)));
		out[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	assert_false(unseal(back, key, nonce, ad, sizeof(ad) - 1, out, sizeof(out)));
	nonce[23] ^= 1;
	assert_false(unseal(back, key, nonce, ad, sizeof(ad), out, sizeof(out)));
	for (size_t len = 0; len < sizeof(out); len++)
		assert_false(unseal(back, key, nonce, ad, sizeof(ad), out, len));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages_are_those_of_other_implementations),
		cmocka_unit_test(each_bit_is_authentic),
		cmocka_unit_test(other_lengths_prologues_and_readers_are_refused),
		cmocka_unit_test(payload_may_be_empty_or_long),
		cmocka_unit_test(another_ones_static_key_cannot_be_claimed),
		cmocka_unit_test(key_of_small_order_is_refused),
		cmocka_unit_test(keys_convert),
		cmocka_unit_test(key_and_its_negative_are_one),
		cmocka_unit_test(unusable_keys_do_not_convert),
		cmocka_unit_test(sealing_is_that_of_the_draft),
	};

	assert(crypto_init() == 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
