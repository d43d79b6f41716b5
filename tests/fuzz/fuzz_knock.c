/* SPDX-License-Identifier: Apache-2.0 */
/* tests/fuzz/fuzz_knock.c - knocks, made right up to what is fuzzed; Retry tokens.
 *
 * The first byte says what the rest is: 't' a token with a right tag, 'p' the payload of a right
 * message, 'c' a payload after a right time and key (a chain), 'm' a right knock and what is XORed into it
 * (then with a right tag again), 'r' a Retry token with what is XORed into it; else a token. */
#include "base/error.h"
#include "fuzz.h"
#include "trust/knock.h"

enum {
	FIXED = WIRE_KNOCK_PAYLOAD_MAX - WIRE_CHAIN_MAX,
	TOKEN_MAX = KNOCK_MAX + 8,
	PROLOGUE = 15 + KEY_SIZE + KNOCK_DCID
};

static const uint64_t NOW = UINT64_C(1800000000000);
static const uint8_t DCID[KNOCK_DCID] = "0123456789abcdef", EPHEMERAL[32] = { 3 };

static struct knock_self from, to;

static void start(void)
{
	static const uint8_t FROM[SEED_SIZE] = { 1 }, TO[SEED_SIZE] = { 2 };
	struct identity id;

	if (to.key[0])
		return;
	demand(crypto_init() == 0);
	identity_from_seed(&id, FROM);
	demand(knock_self_init(&from, &id) == 0);
	identity_from_seed(&id, TO);
	demand(knock_self_init(&to, &id) == 0);
}

static void tag(uint8_t *token, size_t len)
{
	uint8_t full[32];

	hmac_sha256(full, to.tag_key, (const void *[]){ DCID, token + KNOCK_TAG },
		    (size_t[]){ KNOCK_DCID, len - KNOCK_TAG }, 2);
	memcpy(token, full, KNOCK_TAG);
}

static enum knock_refusal open_token(struct knock *k, const uint8_t *token, size_t len)
{
	uint8_t *copy = exact(token, len);
	enum knock_refusal why;

	fill(k, sizeof(*k));
	why = knock_open(k, &to, DCID, copy, len, NOW);
	demand(knock_has_tag(&to, DCID, copy, len) ==
	       (why != KNOCK_SHORT && why != KNOCK_WRONG_TAG));
	free(copy);
	if (why != KNOCK_OK && why != KNOCK_CLOCK)
		demand(untouched(k, sizeof(*k)));
	else
		demand(k->chain_len <= WIRE_CHAIN_MAX &&
		       k->ahead_ms == (int64_t)(k->wall_ms - NOW));
	return why;
}

/* --- kinds of input --- */

static void as_token(const uint8_t *data, size_t size, bool tagged)
{
	uint8_t token[TOKEN_MAX];
	enum knock_refusal why;
	struct knock k;

	if (size > sizeof(token))
		return;
	if (size)
		memcpy(token, data, size);
	if (tagged && size >= KNOCK_TAG)
		tag(token, size);
	why = open_token(&k, token, size);
	demand(why == KNOCK_SHORT || why == (tagged ? KNOCK_FORGED : KNOCK_WRONG_TAG));
}

static uint64_t time_of(const uint8_t *payload)
{
	uint64_t value = 0;

	for (size_t i = 0; i < 8; i++)
		value = value << 8 | payload[i];
	return value;
}

/* A message that is right but for what it says. */
static void as_payload(const uint8_t *payload, size_t len)
{
	uint8_t token[KNOCK_TAG + NOISE_X_OVERHEAD + WIRE_KNOCK_PAYLOAD_MAX + 8],
		prologue[PROLOGUE];
	enum knock_refusal why;
	struct knock k;

	if (len > WIRE_KNOCK_PAYLOAD_MAX + 8)
		return;
	memcpy(prologue, "godwit knock v1", 15);
	memcpy(prologue + 15, to.key, KEY_SIZE);
	memcpy(prologue + 15 + KEY_SIZE, DCID, KNOCK_DCID);
	demand(noise_x_write(token + KNOCK_TAG, prologue, sizeof(prologue), from.secret,
			     from.public, to.public, EPHEMERAL, payload, len) == 0);
	tag(token, KNOCK_TAG + NOISE_X_OVERHEAD + len);
	why = open_token(&k, token, KNOCK_TAG + NOISE_X_OVERHEAD + len);

	if (len < FIXED || len > WIRE_KNOCK_PAYLOAD_MAX) {
		demand(why == KNOCK_SHORT);
	} else if (why !=
		   KNOCK_KEY) { /* its own key, or the negative, which is the same X25519 key */
		demand(why == KNOCK_OK || why == KNOCK_CLOCK);
		demand(memcmp(payload + 8, from.key, KEY_SIZE - 1) == 0);
		demand(((payload[8 + KEY_SIZE - 1] ^ from.key[KEY_SIZE - 1]) & 0x7f) == 0);
		demand(memcmp(k.key, payload + 8, KEY_SIZE) == 0);
		demand(k.wall_ms == time_of(payload) && k.chain_len == len - FIXED);
		demand(memcmp(k.chain, payload + FIXED, k.chain_len) == 0);
	}
}

static void as_chain(const uint8_t *chain, size_t len)
{
	uint8_t payload[WIRE_KNOCK_PAYLOAD_MAX], token[KNOCK_MAX];
	struct wire_knock w = { .wall_ms = NOW, .chain = chain, .chain_len = len };
	struct knock k;
	ssize_t size;

	if (len > WIRE_CHAIN_MAX)
		return;
	memcpy(w.key, from.key, KEY_SIZE);
	as_payload(payload, wire_knock_encode(payload, &w));
	size = knock_make(token, &from, to.key, DCID, EPHEMERAL,
			  &(struct wire_knock){ .wall_ms = NOW, .chain = chain, .chain_len = len });
	demand(size > 0 && open_token(&k, token, (size_t)size) == KNOCK_OK);
	demand(k.chain_len == len && memcmp(k.key, from.key, KEY_SIZE) == 0);
	demand(len == 0 || memcmp(k.chain, chain, len) == 0);
}

/* Any change behind the tag is a forgery. */
static void as_change(const uint8_t *change, size_t len)
{
	uint8_t token[KNOCK_MAX], changed[KNOCK_MAX], chain[WIRE_CHAIN_MAX] = { 0 };
	ssize_t size = knock_make(
		token, &from, to.key, DCID, EPHEMERAL,
		&(struct wire_knock){ .wall_ms = NOW, .chain = chain, .chain_len = 100 });
	struct knock k;

	demand(size > 0);
	memcpy(changed, token, sizeof(changed));
	for (size_t i = 0; i < len && i < (size_t)size; i++)
		changed[i] ^= change[i];
	tag(changed, (size_t)size);
	demand(open_token(&k, changed, (size_t)size) ==
	       (memcmp(changed, token, (size_t)size) == 0 ? KNOCK_OK : KNOCK_FORGED));
}

static void as_retry(const uint8_t *change, size_t len)
{
	static const uint8_t SECRET[32] = { 5 }, NONCE[24] = { 6 };
	struct retry_token t = { .odcid = { 7 }, .odcid_len = 16, .chain_len = 50 }, out;
	struct addr client = { .family = ADDR_V4, .port = 8, .ip = { 9 } };
	uint8_t token[RETRY_TOKEN_MAX], *copy;
	size_t size = retry_seal(token, SECRET, NONCE, &client, &t, GW_SEC);
	bool same = true;

	for (size_t i = 0; i < len && i < size; i++) {
		token[i] ^= change[i];
		same = same && !change[i];
	}
	copy = exact(token, size);
	fill(&out, sizeof(out));
	demand(retry_open(&out, SECRET, &client, copy, size, GW_SEC) == same);
	demand(same || untouched(&out, sizeof(out)));
	free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	start();
	if (size == 0)
		return 0;
	switch (data[0]) {
	case 't':
		as_token(data + 1, size - 1, true);
		break;
	case 'p':
		as_payload(data + 1, size - 1);
		break;
	case 'c':
		as_chain(data + 1, size - 1);
		break;
	case 'm':
		as_change(data + 1, size - 1);
		break;
	case 'r':
		as_retry(data + 1, size - 1);
		break;
	default:
		as_token(data, size, false);
	}
	return 0;
}
