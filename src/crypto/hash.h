/* crypto/hash.h - SHA-256 (FIPS 180-4) and HMAC of it (RFC 2104); bytes compared and wiped. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_CRYPTO_HASH_H
#define GODWIT_CRYPTO_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Over all parts, one after the other; `out` may be one of them. */
void hash_sha256(uint8_t out[32], const void *const *parts, const size_t *lens, size_t n);
void hmac_sha256(uint8_t out[32], const uint8_t key[32], const void *const *parts,
		 const size_t *lens, size_t n);

bool bytes_equal(const void *a, const void *b, size_t len); /* in constant time */
void bytes_wipe(void *p, size_t len);

#endif
