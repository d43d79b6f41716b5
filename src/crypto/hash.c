/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/hash.h"

#include <assert.h>
#include <sodium.h>

static_assert(HASH_SIZE == crypto_hash_sha256_BYTES && HASH_SIZE == crypto_auth_hmacsha256_BYTES,
	      "what libsodium writes");

void hash_sha256(uint8_t out[HASH_SIZE], const void *const *parts, const size_t *lens, size_t n)
{
	crypto_hash_sha256_state state;

	crypto_hash_sha256_init(&state);
	for (size_t i = 0; i < n; i++)
		if (lens[i] > 0)
			crypto_hash_sha256_update(&state, parts[i], lens[i]);
	crypto_hash_sha256_final(&state, out);
	sodium_memzero(&state, sizeof(state));
}

void hmac_sha256(uint8_t out[HASH_SIZE], const uint8_t key[32], const void *const *parts,
		 const size_t *lens, size_t n)
{
	crypto_auth_hmacsha256_state state;

	crypto_auth_hmacsha256_init(&state, key, 32);
	for (size_t i = 0; i < n; i++)
		if (lens[i] > 0)
			crypto_auth_hmacsha256_update(&state, parts[i], lens[i]);
	crypto_auth_hmacsha256_final(&state, out);
	sodium_memzero(&state, sizeof(state));
}

bool bytes_equal(const void *a, const void *b, size_t len)
{
	return sodium_memcmp(a, b, len) == 0;
}

void bytes_wipe(void *p, size_t len)
{
	sodium_memzero(p, len);
}
