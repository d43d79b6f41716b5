/* Spec: docs/protocol.md, section 19. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/trust.h"

#include <assert.h>

#include "base/error.h"
#include "wire/codec.h"

enum { KNOCK_FIXED = 8 + WIRE_KEY_SIZE };

size_t wire_knock_encode(uint8_t out[WIRE_KNOCK_PAYLOAD_MAX], const struct wire_knock *k)
{
	uint8_t *at = put_fixed(out, k->wall_ms, 8);

	assert(k->chain_len <= WIRE_CHAIN_MAX);
	at = put_bytes(at, k->key, WIRE_KEY_SIZE);
	return (size_t)(put_bytes(at, k->chain, k->chain_len) - out);
}

ssize_t wire_knock_decode(struct wire_knock *out, const uint8_t *data, size_t len)
{
	struct reader r = { data, data + len, false };
	struct wire_knock k = { 0 };

	if (len < KNOCK_FIXED || len > WIRE_KNOCK_PAYLOAD_MAX)
		return GW_E_FORMAT;
	k.wall_ms = get_fixed(&r, 8);
	get_bytes(&r, k.key, WIRE_KEY_SIZE);
	k.chain_len = len - KNOCK_FIXED;
	k.chain = r.at;
	*out = k;
	return (ssize_t)len;
}
