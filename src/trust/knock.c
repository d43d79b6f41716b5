/* Spec: docs/protocol.md, section 19. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "trust/knock.h"

#include <assert.h>
#include <string.h>

#include "base/error.h"

static const char CONTEXT[] = "godwit knock v1";

enum {
	CONTEXT_SIZE = sizeof(CONTEXT) - 1,
	PROLOGUE_SIZE = CONTEXT_SIZE + KEY_SIZE + KNOCK_DCID,
	KNOCK_MIN = KNOCK_MAX - WIRE_CHAIN_MAX,
};

static void tag_key_of(uint8_t out[KEY_SIZE], const uint8_t key[KEY_SIZE])
{
	hash_sha256(out, (const void *[]){ CONTEXT, key }, (size_t[]){ CONTEXT_SIZE, KEY_SIZE }, 2);
}

static void tag_of(uint8_t out[32], const uint8_t tag_key[KEY_SIZE], const uint8_t dcid[KNOCK_DCID],
		   const uint8_t *rest, size_t len)
{
	hmac_sha256(out, tag_key, (const void *[]){ dcid, rest }, (size_t[]){ KNOCK_DCID, len }, 2);
}

static void prologue_of(uint8_t out[PROLOGUE_SIZE], const uint8_t accepter[KEY_SIZE],
			const uint8_t dcid[KNOCK_DCID])
{
	memcpy(out, CONTEXT, CONTEXT_SIZE);
	memcpy(out + CONTEXT_SIZE, accepter, KEY_SIZE);
	memcpy(out + CONTEXT_SIZE + KEY_SIZE, dcid, KNOCK_DCID);
}

/* Whoever has a ticket of ours knows that we are there; from the address alone nobody can make this. */
static void courtesy_of(uint8_t out[WIRE_COURTESY_SIZE], const uint8_t secret[KEY_SIZE])
{
	static const char COURTESY[] = "godwit courtesy v1";
	uint8_t hash[HASH_SIZE];

	hash_sha256(hash, (const void *[]){ COURTESY, secret },
		    (size_t[]){ sizeof(COURTESY) - 1, KEY_SIZE }, 2);
	memcpy(out, hash, WIRE_COURTESY_SIZE);
	bytes_wipe(hash, sizeof(hash));
}

int knock_self_init(struct knock_self *s, const struct identity *id)
{
	uint8_t public[KEY_SIZE], secret[KEY_SIZE];
	int rv = GW_E_KEY;

	noise_secret_of(secret, id->seed);
	if (noise_public_of(public, id->key)) {
		memcpy(s->key, id->key, KEY_SIZE);
		memcpy(s->secret, secret, KEY_SIZE);
		memcpy(s->public, public, KEY_SIZE);
		tag_key_of(s->tag_key, id->key);
		courtesy_of(s->courtesy, secret);
		rv = 0;
	}
	bytes_wipe(secret, sizeof(secret));
	return rv;
}

void knock_self_wipe(struct knock_self *s)
{
	bytes_wipe(s, sizeof(*s));
}

ssize_t knock_make(uint8_t *out, const struct knock_self *from, const uint8_t to[KEY_SIZE],
		   const uint8_t dcid[KNOCK_DCID], const uint8_t ephemeral[32],
		   const struct wire_knock *what)
{
	uint8_t prologue[PROLOGUE_SIZE], payload[WIRE_KNOCK_PAYLOAD_MAX];
	uint8_t public[KEY_SIZE], tag_key[KEY_SIZE], tag[32];
	struct wire_knock k = *what;
	size_t len;
	int rv;

	if (!noise_public_of(public, to))
		return GW_E_KEY;
	memcpy(k.key, from->key, KEY_SIZE);
	len = wire_knock_encode(payload, &k);
	prologue_of(prologue, to, dcid);
	rv = noise_x_write(out + KNOCK_TAG, prologue, sizeof(prologue), from->secret, from->public,
			   public, ephemeral, payload, len);
	if (rv < 0)
		return rv;

	len += NOISE_X_OVERHEAD;
	tag_key_of(tag_key, to);
	tag_of(tag, tag_key, dcid, out + KNOCK_TAG, len);
	memcpy(out, tag, KNOCK_TAG);
	return (ssize_t)(KNOCK_TAG + len);
}

static bool has_length(size_t len)
{
	return len >= KNOCK_MIN && len <= KNOCK_MAX;
}

bool knock_has_tag(const struct knock_self *s, const uint8_t dcid[KNOCK_DCID], const uint8_t *token,
		   size_t len)
{
	uint8_t tag[32];

	if (!has_length(len))
		return false;
	tag_of(tag, s->tag_key, dcid, token + KNOCK_TAG, len - KNOCK_TAG);
	return bytes_equal(tag, token, KNOCK_TAG);
}

/* What Noise has proved, of a token with a right tag. */
static enum knock_refusal open_message(struct knock *out, const struct knock_self *s,
				       const uint8_t dcid[KNOCK_DCID], const uint8_t *message,
				       size_t len)
{
	uint8_t prologue[PROLOGUE_SIZE], payload[WIRE_KNOCK_PAYLOAD_MAX];
	uint8_t proved[KEY_SIZE], claimed[KEY_SIZE];
	struct wire_knock k;

	prologue_of(prologue, s->key, dcid);
	if (noise_x_read(proved, payload, prologue, sizeof(prologue), s->secret, s->public, message,
			 len) < 0 ||
	    wire_knock_decode(&k, payload, len - NOISE_X_OVERHEAD) < 0)
		return KNOCK_FORGED;
	if (!noise_public_of(claimed, k.key) || !bytes_equal(claimed, proved, KEY_SIZE))
		return KNOCK_KEY;

	out->wall_ms = k.wall_ms;
	memcpy(out->key, k.key, KEY_SIZE);
	memcpy(out->answer, k.answer, sizeof(out->answer));
	out->courteous = bytes_equal(k.courtesy, s->courtesy, sizeof(s->courtesy));
	out->chain_len = k.chain_len;
	if (k.chain_len > 0)
		memcpy(out->chain, k.chain, k.chain_len);
	return KNOCK_OK;
}

enum knock_refusal knock_open(struct knock *out, const struct knock_self *s,
			      const uint8_t dcid[KNOCK_DCID], const uint8_t *token, size_t len,
			      uint64_t wall_ms)
{
	enum knock_refusal why;

	if (!has_length(len))
		return KNOCK_SHORT;
	if (!knock_has_tag(s, dcid, token, len))
		return KNOCK_WRONG_TAG;
	why = open_message(out, s, dcid, token + KNOCK_TAG, len - KNOCK_TAG);
	if (why != KNOCK_OK)
		return why;
	out->ahead_ms = (int64_t)(out->wall_ms - wall_ms);
	return out->ahead_ms > KNOCK_SKEW_MS || out->ahead_ms < -KNOCK_SKEW_MS ? KNOCK_CLOCK
									       : KNOCK_OK;
}

void knock_refusal_tag(uint8_t out[KNOCK_TAG], const uint8_t answer[WIRE_ANSWER_SIZE],
		       const uint8_t scid[WIRE_CID_SIZE])
{
	static const char REFUSAL[] = "godwit refusal v1";
	uint8_t hash[HASH_SIZE];

	hash_sha256(hash, (const void *[]){ REFUSAL, answer, scid },
		    (size_t[]){ sizeof(REFUSAL) - 1, WIRE_ANSWER_SIZE, WIRE_CID_SIZE }, 3);
	memcpy(out, hash, KNOCK_TAG);
}
