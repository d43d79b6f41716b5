/* crypto/hash.h - SHA-256, HMAC of it, and what secrets need. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_CRYPTO_HASH_H
#define GODWIT_CRYPTO_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { HASH_SIZE = 32 };

/* SHA-256 over `n` parts, one after the other, and HMAC-SHA256 of it (RFC 2104); `out` may be one
 * of them. */
void hash_sha256(uint8_t out[HASH_SIZE], const void *const *parts, const size_t *lens, size_t n);
void hmac_sha256(uint8_t out[HASH_SIZE], const uint8_t key[32], const void *const *parts,
		 const size_t *lens, size_t n);
bool bytes_equal(const void *a, const void *b, size_t len); /* in constant time */
void bytes_wipe(void *p, size_t len);

#endif
