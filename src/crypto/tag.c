/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/tag.h"

#include <sodium.h>
#include <string.h>

static const char CONTEXT[] = "godwit punch v1";

void punch_tag(uint8_t out[TAG_SIZE], const uint8_t secret[TAG_SECRET_SIZE],
	       const uint8_t sender[KEY_SIZE], const uint8_t receiver[KEY_SIZE],
	       const uint8_t *data, size_t len)
{
	crypto_generichash_state state;

	crypto_generichash_init(&state, secret, TAG_SECRET_SIZE, TAG_SIZE);
	crypto_generichash_update(&state, (const uint8_t *)CONTEXT, strlen(CONTEXT));
	crypto_generichash_update(&state, sender, KEY_SIZE);
	crypto_generichash_update(&state, receiver, KEY_SIZE);
	crypto_generichash_update(&state, data, len);
	crypto_generichash_final(&state, out, TAG_SIZE);
	sodium_memzero(&state, sizeof(state));
}

bool tag_equal(const uint8_t a[TAG_SIZE], const uint8_t b[TAG_SIZE])
{
	return sodium_memcmp(a, b, TAG_SIZE) == 0;
}
