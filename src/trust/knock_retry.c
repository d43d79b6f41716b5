/* Spec: docs/protocol.md, section 19. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "trust/knock.h"

#include <assert.h>
#include <string.h>

enum {
	NONCE_SIZE = 24,
	SEAL_SIZE = 16,
	HEAD_SIZE = 1 + NONCE_SIZE,
	PLACE_SIZE = 1 + 1 + 2 + 4 + 16
};

static const gw_time LIFETIME = 10 * GW_SEC;

/* What is sealed, up to the chain's end: only the process that wrote it reads it, so its layout is
 * the compiler's. */
struct sealed {
	gw_time made;
	uint64_t wall_ms;
	uint8_t odcid_len, odcid[20];
	uint8_t key[KEY_SIZE];
	uint8_t chain[WIRE_CHAIN_MAX];
};

enum { FIXED_SIZE = offsetof(struct sealed, chain) };

_Static_assert(HEAD_SIZE + FIXED_SIZE + WIRE_CHAIN_MAX + SEAL_SIZE == RETRY_TOKEN_MAX,
	       "the longest token");

/* Whose the token is: what its seal covers besides. */
static void place_of(uint8_t out[PLACE_SIZE], const struct addr *client)
{
	out[0] = RETRY_FIRST;
	out[1] = client->family;
	memcpy(out + 2, &client->port, 2);
	memcpy(out + 4, &client->scope, 4);
	memcpy(out + 8, client->ip, 16);
}

size_t retry_seal(uint8_t out[RETRY_TOKEN_MAX], const uint8_t secret[32], const uint8_t nonce[24],
		  const struct addr *client, const struct retry_token *t, gw_time now)
{
	struct sealed body = { .made = now,
			       .wall_ms = t->wall_ms,
			       .odcid_len = (uint8_t)t->odcid_len };
	size_t len = FIXED_SIZE + t->chain_len;
	uint8_t place[PLACE_SIZE];

	assert(t->odcid_len <= sizeof(body.odcid) && t->chain_len <= WIRE_CHAIN_MAX);
	memcpy(body.odcid, t->odcid, t->odcid_len);
	memcpy(body.key, t->key, KEY_SIZE);
	memcpy(body.chain, t->chain, t->chain_len);

	place_of(place, client);
	out[0] = RETRY_FIRST;
	memcpy(out + 1, nonce, NONCE_SIZE);
	seal(out + HEAD_SIZE, secret, nonce, place, sizeof(place), (const uint8_t *)&body, len);
	return HEAD_SIZE + len + SEAL_SIZE;
}

bool retry_open(struct retry_token *out, const uint8_t secret[32], const struct addr *client,
		const uint8_t *token, size_t len, gw_time now)
{
	uint8_t place[PLACE_SIZE];
	struct sealed body;

	if (len < HEAD_SIZE + FIXED_SIZE + SEAL_SIZE || len > RETRY_TOKEN_MAX ||
	    token[0] != RETRY_FIRST)
		return false;
	place_of(place, client);
	if (!unseal((uint8_t *)&body, secret, token + 1, place, sizeof(place), token + HEAD_SIZE,
		    len - HEAD_SIZE) ||
	    now < body.made || now - body.made > LIFETIME)
		return false;

	assert(body.odcid_len <= sizeof(body.odcid)); /* our own seal */
	out->odcid_len = body.odcid_len;
	out->wall_ms = body.wall_ms;
	memcpy(out->odcid, body.odcid, sizeof(body.odcid));
	memcpy(out->key, body.key, KEY_SIZE);
	out->chain_len = len - HEAD_SIZE - SEAL_SIZE - FIXED_SIZE;
	memcpy(out->chain, body.chain, out->chain_len);
	return true;
}
