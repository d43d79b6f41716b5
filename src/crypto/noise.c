/* Spec: The Noise Protocol Framework, revision 34, sections 4, 5 and 7.4.
 *
 * Every key of this pattern seals one text only: the nonce is always 0. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/noise.h"

#include <gnutls/crypto.h>
#include <sodium.h>
#include <string.h>

#include "base/error.h"

enum { SEALED_KEY = NOISE_KEY_SIZE + NOISE_TAG };

static const uint8_t NONCE[12];

/* Secret: the names are those of the specification. */
struct symmetric {
	uint8_t h[32], ck[32], k[32];
};

static void mix_hash(struct symmetric *s, const void *data, size_t len)
{
	hash_sha256(s->h, (const void *[]){ s->h, data }, (size_t[]){ sizeof(s->h), len }, 2);
}

/* HKDF with two outputs (section 4.3). */
static void mix_key(struct symmetric *s, const uint8_t shared[32])
{
	static const uint8_t ONE = 1, TWO = 2;
	uint8_t temp[32];

	hmac_sha256(temp, s->ck, (const void *[]){ shared }, (size_t[]){ 32 }, 1);
	hmac_sha256(s->ck, temp, (const void *[]){ &ONE }, (size_t[]){ 1 }, 1);
	hmac_sha256(s->k, temp, (const void *[]){ s->ck, &TWO }, (size_t[]){ sizeof(s->ck), 1 }, 2);
	bytes_wipe(temp, sizeof(temp));
}

static int mix_dh(struct symmetric *s, const uint8_t secret[32], const uint8_t public[32])
{
	uint8_t shared[32];
	int rv = crypto_scalarmult(shared, secret, public) == 0 ? 0 : GW_E_KEY;

	if (rv == 0)
		mix_key(s, shared);
	bytes_wipe(shared, sizeof(shared));
	return rv;
}

static int encrypt(const struct symmetric *s, uint8_t *out, const uint8_t *data, size_t len)
{
	gnutls_datum_t key = { (uint8_t *)s->k, sizeof(s->k) };
	gnutls_aead_cipher_hd_t cipher;
	size_t room = len + NOISE_TAG;
	int rv;

	if (gnutls_aead_cipher_init(&cipher, GNUTLS_CIPHER_AES_256_GCM, &key) < 0)
		return GW_E_CRYPTO;
	rv = gnutls_aead_cipher_encrypt(cipher, NONCE, sizeof(NONCE), s->h, sizeof(s->h), NOISE_TAG,
					data, len, out, &room);
	gnutls_aead_cipher_deinit(cipher);
	return rv < 0 ? GW_E_CRYPTO : 0;
}

/* `len` with the tag. */
static int decrypt(const struct symmetric *s, uint8_t *out, const uint8_t *data, size_t len)
{
	gnutls_datum_t key = { (uint8_t *)s->k, sizeof(s->k) };
	gnutls_aead_cipher_hd_t cipher;
	size_t room = len - NOISE_TAG;
	int rv;

	if (gnutls_aead_cipher_init(&cipher, GNUTLS_CIPHER_AES_256_GCM, &key) < 0)
		return GW_E_CRYPTO;
	rv = gnutls_aead_cipher_decrypt(cipher, NONCE, sizeof(NONCE), s->h, sizeof(s->h), NOISE_TAG,
					data, len, out, &room);
	gnutls_aead_cipher_deinit(cipher);
	return rv < 0 ? GW_E_CRYPTO : 0;
}

/* Up to `e`: the name, the prologue and both keys that are known by then. */
static void begin(struct symmetric *s, const uint8_t *prologue, size_t prologue_len,
		  const uint8_t responder[32], const uint8_t ephemeral[32])
{
	static const char NAME[32] = "Noise_X_25519_AESGCM_SHA256"; /* padded with zeros */

	memcpy(s->h, NAME, sizeof(s->h));
	memcpy(s->ck, NAME, sizeof(s->ck));
	mix_hash(s, prologue, prologue_len);
	mix_hash(s, responder, NOISE_KEY_SIZE);
	mix_hash(s, ephemeral, NOISE_KEY_SIZE);
}

int noise_x_write(uint8_t *out, const uint8_t *prologue, size_t prologue_len,
		  const uint8_t static_secret[32], const uint8_t static_public[32],
		  const uint8_t remote_public[32], const uint8_t ephemeral_secret[32],
		  const uint8_t *payload, size_t len)
{
	uint8_t *key = out + NOISE_KEY_SIZE;
	struct symmetric s;
	int rv;

	noise_public_of_secret(out, ephemeral_secret);
	begin(&s, prologue, prologue_len, remote_public, out);
	rv = mix_dh(&s, ephemeral_secret, remote_public);
	if (rv == 0)
		rv = encrypt(&s, key, static_public, NOISE_KEY_SIZE);
	if (rv == 0) {
		mix_hash(&s, key, SEALED_KEY);
		rv = mix_dh(&s, static_secret, remote_public);
	}
	if (rv == 0)
		rv = encrypt(&s, key + SEALED_KEY, payload, len);
	bytes_wipe(&s, sizeof(s));
	return rv;
}

int noise_x_read(uint8_t remote_static[32], uint8_t *payload, const uint8_t *prologue,
		 size_t prologue_len, const uint8_t static_secret[32],
		 const uint8_t static_public[32], const uint8_t *message, size_t len)
{
	const uint8_t *key = message + NOISE_KEY_SIZE;
	struct symmetric s;
	int rv;

	if (len < NOISE_X_OVERHEAD)
		return GW_E_CRYPTO;
	len -= NOISE_KEY_SIZE + SEALED_KEY;
	begin(&s, prologue, prologue_len, static_public, message);
	rv = mix_dh(&s, static_secret, message);
	if (rv == 0)
		rv = decrypt(&s, remote_static, key, SEALED_KEY);
	if (rv == 0) {
		mix_hash(&s, key, SEALED_KEY);
		rv = mix_dh(&s, static_secret, remote_static);
	}
	if (rv == 0)
		rv = decrypt(&s, payload, key + SEALED_KEY, len);
	bytes_wipe(&s, sizeof(s));
	return rv < 0 ? GW_E_CRYPTO : 0;
}

/* --- keys --- */

bool noise_public_of(uint8_t out[32], const uint8_t ed25519_key[32])
{
	return crypto_sign_ed25519_pk_to_curve25519(out, ed25519_key) == 0;
}

void noise_secret_of(uint8_t out[32], const uint8_t seed[32])
{
	uint8_t public[crypto_sign_PUBLICKEYBYTES], secret[crypto_sign_SECRETKEYBYTES];

	crypto_sign_seed_keypair(public, secret, seed);
	crypto_sign_ed25519_sk_to_curve25519(out, secret);
	bytes_wipe(secret, sizeof(secret));
}

void noise_public_of_secret(uint8_t out[32], const uint8_t secret[32])
{
	crypto_scalarmult_base(out, secret);
}

/* --- sealing --- */

void seal(uint8_t *out, const uint8_t key[32], const uint8_t nonce[24], const void *ad,
	  size_t ad_len, const uint8_t *data, size_t len)
{
	crypto_aead_xchacha20poly1305_ietf_encrypt(out, NULL, data, len, ad, ad_len, NULL, nonce,
						   key);
}

bool unseal(uint8_t *out, const uint8_t key[32], const uint8_t nonce[24], const void *ad,
	    size_t ad_len, const uint8_t *data, size_t len)
{
	return crypto_aead_xchacha20poly1305_ietf_decrypt(out, NULL, NULL, data, len, ad, ad_len,
							  nonce, key) == 0;
}
