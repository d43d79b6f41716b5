/* crypto/tag.h - the tag of a punch probe (docs/protocol.md, section 13). */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_CRYPTO_TAG_H
#define GODWIT_CRYPTO_TAG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crypto/identity.h"

enum { TAG_SIZE = 16, TAG_SECRET_SIZE = 16 };

/* Keyed BLAKE2b-128 (RFC 7693) over "godwit punch v1" || sender || receiver || data.  The secret
 * is the receiver's. */
void punch_tag(uint8_t out[TAG_SIZE], const uint8_t secret[TAG_SECRET_SIZE],
	       const uint8_t sender[KEY_SIZE], const uint8_t receiver[KEY_SIZE],
	       const uint8_t *data, size_t len);

/* In constant time. */
bool tag_equal(const uint8_t a[TAG_SIZE], const uint8_t b[TAG_SIZE]);

#endif
