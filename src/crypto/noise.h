/* crypto/noise.h - one message of the one-way Noise pattern X: Noise_X_25519_AESGCM_SHA256
 * (The Noise Protocol Framework, revision 34).
 *
 *	<- s
 *	...
 *	-> e, es, s, ss
 *
 * X25519 and SHA-256 are libsodium's, AES-256-GCM is that of GnuTLS (libsodium's wants special
 * hardware).  crypto_init() comes first.  Secrets are wiped on every way out. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_CRYPTO_NOISE_H
#define GODWIT_CRYPTO_NOISE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crypto/hash.h"

enum { NOISE_KEY_SIZE = 32, NOISE_TAG = 16, NOISE_X_OVERHEAD = 32 + 32 + 16 + 16 };

/* X25519 keys; the ephemeral one is 32 fresh random bytes, to be wiped by the caller.  Writes
 * NOISE_X_OVERHEAD + len bytes.  GW_E_KEY: a key of small order; GW_E_CRYPTO: the library failed.
 * What is at `out` then means nothing. */
int noise_x_write(uint8_t *out, const uint8_t *prologue, size_t prologue_len,
		  const uint8_t static_secret[32], const uint8_t static_public[32],
		  const uint8_t remote_public[32], const uint8_t ephemeral_secret[32],
		  const uint8_t *payload, size_t len);
/* Writes the sender's static key and len - NOISE_X_OVERHEAD bytes of payload.  GW_E_CRYPTO: too
 * short, forged, or not for this key; the outputs then mean nothing. */
int noise_x_read(uint8_t remote_static[32], uint8_t *payload, const uint8_t *prologue,
		 size_t prologue_len, const uint8_t static_secret[32],
		 const uint8_t static_public[32], const uint8_t *message, size_t len);

/* Ed25519 keys as X25519 ones (RFC 7748, section 4.1).  A key and its negative, which differ in
 * their last bit, have the same X25519 key (and the same owner).  False: no usable key. */
bool noise_public_of(uint8_t out[32], const uint8_t ed25519_key[32]);
void noise_secret_of(uint8_t out[32], const uint8_t seed[32]);
void noise_public_of_secret(uint8_t out[32], const uint8_t secret[32]);

/* XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03): `out` gets len + 16 bytes. */
void seal(uint8_t *out, const uint8_t key[32], const uint8_t nonce[24], const void *ad,
	  size_t ad_len, const uint8_t *data, size_t len);
/* `out` gets len - 16 bytes.  False: forged. */
bool unseal(uint8_t *out, const uint8_t key[32], const uint8_t nonce[24], const void *ad,
	    size_t ad_len, const uint8_t *data, size_t len);

#endif
