/* crypto/noise.h - one message of the one-way Noise pattern X: Noise_X_25519_AESGCM_SHA256
 * (The Noise Protocol Framework, revision 34).
 *
 *	<- s
 *	...
 *	-> e, es, s, ss
 *
 * X25519, AES-256-GCM and SHA-256 are the libraries'. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_CRYPTO_NOISE_H
#define GODWIT_CRYPTO_NOISE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crypto/hash.h"

enum { NOISE_KEY_SIZE = 32, NOISE_TAG = 16, NOISE_X_OVERHEAD = 32 + 32 + 16 + 16 };

/* X25519 keys.  Writes NOISE_X_OVERHEAD + len bytes.  GW_E_KEY: a key of small order. */
int noise_x_write(uint8_t *out, const uint8_t *prologue, size_t prologue_len,
		  const uint8_t static_secret[32], const uint8_t static_public[32],
		  const uint8_t remote_public[32], const uint8_t ephemeral_secret[32],
		  const uint8_t *payload, size_t len);
/* Of a message of `len` >= NOISE_X_OVERHEAD bytes: writes the sender's static key and len - NOISE_X_OVERHEAD bytes
 * of payload.  GW_E_CRYPTO: forged, or not for this key; the outputs then mean nothing. */
int noise_x_read(uint8_t remote_static[32], uint8_t *payload, const uint8_t *prologue,
		 size_t prologue_len, const uint8_t static_secret[32],
		 const uint8_t static_public[32], const uint8_t *message, size_t len);

/* Ed25519 keys as X25519 ones. */
bool noise_public_of(uint8_t out[32], const uint8_t ed25519_key[32]); /* false: no usable key */
void noise_secret_of(uint8_t out[32], const uint8_t seed[32]);
void noise_public_of_secret(uint8_t out[32], const uint8_t secret[32]);

/* XChaCha20-Poly1305: `out` gets len + 16 bytes. */
void seal(uint8_t *out, const uint8_t key[32], const uint8_t nonce[24], const void *ad,
	  size_t ad_len, const uint8_t *data, size_t len);
/* `out` gets len - 16 bytes.  False: forged. */
bool unseal(uint8_t *out, const uint8_t key[32], const uint8_t nonce[24], const void *ad,
	    size_t ad_len, const uint8_t *data, size_t len);

#endif
