/* SPDX-License-Identifier: Apache-2.0 */
/* Spec: docs/protocol.md, section 17. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "crypto/address.h"
#include "crypto/base32.h"
#include "crypto/hash.h"
#include "trust/trust.h"

/* Not through crypto/word.h: a manifest is longer than any other word. */
enum {
	VERSION = 1,
	HEAD = 4,                    /* type, version, length */
	KEY_WORD = 1 + KEY_SIZE + 2, /* the bytes of a network key's word */
};

static void check_bytes(const uint8_t *raw, size_t len, uint8_t out[BUNDLE_CHECK])
{
	static const char CONTEXT[] = "godwit bundle v1";
	const void *parts[] = { CONTEXT, raw };
	const size_t lens[] = { sizeof(CONTEXT) - 1, len };
	uint8_t hash[32];

	hash_sha256(hash, parts, lens, 2);
	memcpy(out, hash, BUNDLE_CHECK);
}

char *bundle_format(const uint8_t *manifest, size_t manifest_len, const uint8_t *chain,
		    size_t chain_len)
{
	size_t len = HEAD + manifest_len + chain_len;
	uint8_t *raw;
	char *text;

	if (manifest_len == 0 || manifest_len > WIRE_MANIFEST_MAX || chain_len > WIRE_CHAIN_MAX)
		return NULL;
	raw = malloc(len + BUNDLE_CHECK);
	text = malloc((len + BUNDLE_CHECK) * 8 / 5 + 2);
	if (raw && text) {
		raw[0] = WORD_NETWORK;
		raw[1] = VERSION;
		raw[2] = (uint8_t)(manifest_len >> 8);
		raw[3] = (uint8_t)manifest_len;
		memcpy(raw + HEAD, manifest, manifest_len);
		if (chain_len)
			memcpy(raw + HEAD + manifest_len, chain, chain_len);
		check_bytes(raw, len, raw + len);
		base32_encode(text, raw, len + BUNDLE_CHECK);
	} else {
		free(text);
		text = NULL;
	}
	free(raw);
	return text;
}

static int take(struct bundle *out, uint8_t *raw, size_t len)
{
	uint8_t check[BUNDLE_CHECK];
	size_t manifest_len;

	if (len < 1 || raw[0] != WORD_NETWORK || len == KEY_WORD)
		return len < 1 ? GW_E_LENGTH : GW_E_TYPE;
	if (len < HEAD + BUNDLE_CHECK)
		return GW_E_LENGTH;
	len -= BUNDLE_CHECK;
	check_bytes(raw, len, check);
	if (memcmp(check, raw + len, BUNDLE_CHECK) != 0)
		return GW_E_CHECKSUM;
	if (raw[1] != VERSION)
		return GW_E_VERSION;
	manifest_len = (size_t)raw[2] << 8 | raw[3];
	if (manifest_len == 0 || manifest_len > len - HEAD ||
	    len - HEAD - manifest_len > WIRE_CHAIN_MAX)
		return GW_E_FORMAT;
	*out = (struct bundle){
		.manifest = raw + HEAD,
		.manifest_len = manifest_len,
		.chain = raw + HEAD + manifest_len,
		.chain_len = len - HEAD - manifest_len,
		.bytes = raw,
	};
	return 0;
}

int bundle_parse(struct bundle *out, const char *text)
{
	size_t len = strlen(text) * 5 / 8 + 1;
	uint8_t *raw;
	int rv;

	if (len > BUNDLE_RAW_MAX + 1)
		return GW_E_LENGTH;
	raw = malloc(len);
	if (!raw)
		return GW_E_NOMEM;
	rv = base32_decode(raw, &len, text);
	if (rv == 0)
		rv = take(out, raw, len);
	if (rv < 0)
		free(raw);
	return rv;
}

void bundle_clear(struct bundle *b)
{
	free(b->bytes);
	*b = (struct bundle){ 0 };
}
