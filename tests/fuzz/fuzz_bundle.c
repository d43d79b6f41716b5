/* SPDX-License-Identifier: Apache-2.0 */
/* tests/fuzz/fuzz_bundle.c - bundles, as text and with a right checksum.
 *
 * The first byte says what the rest is: a text, or all the bytes under the checksum, which is
 * put there; what is in it is then taken as a manifest and a chain. */
#include <sodium.h>

#include "base/error.h"
#include "crypto/address.h"
#include "crypto/base32.h"
#include "fuzz.h"
#include "trust/trust.h"

enum { RAW_MAX = 4096, NOW = 1800000000 };

static void look_inside(const struct bundle *b)
{
	uint8_t *manifest = exact(b->manifest, b->manifest_len);
	uint8_t *chain = exact(b->chain, b->chain_len);
	struct manifest m = { 0 };
	struct member member;

	if (manifest_take(&m, manifest, b->manifest_len, NULL, NULL, NOW * 1000ull) == TRUST_OK)
		(void)member_check(&member, chain, b->chain_len, &m, NOW);
	manifest_clear(&m);
	free(manifest);
	free(chain);
}

static void check_text(const char *text, bool sealed)
{
	struct bundle b;
	char *again;
	int error;

	fill(&b, sizeof(b));
	error = bundle_parse(&b, text);
	demand(error == 0 || error == GW_E_FORMAT || error == GW_E_LENGTH || error == GW_E_TYPE ||
	       error == GW_E_VERSION ||
	       (!sealed && (error == GW_E_CHARACTER || error == GW_E_CHECKSUM)));
	if (error) {
		demand(untouched(&b, sizeof(b)));
		return;
	}
	demand(b.manifest_len > 0 && b.chain_len <= WIRE_CHAIN_MAX);
	again = bundle_format(b.manifest, b.manifest_len, b.chain, b.chain_len);
	demand(again && strcasecmp(again, text) == 0);
	free(again);
	look_inside(&b);
	bundle_clear(&b);
}

static void seal(const uint8_t *body, size_t len)
{
	static const char CONTEXT[] = "godwit bundle v1";
	uint8_t raw[RAW_MAX + BUNDLE_CHECK], hash[crypto_hash_sha256_BYTES];
	char text[sizeof(raw) * 8 / 5 + 2], *copy;
	crypto_hash_sha256_state state;

	crypto_hash_sha256_init(&state);
	crypto_hash_sha256_update(&state, (const uint8_t *)CONTEXT, strlen(CONTEXT));
	crypto_hash_sha256_update(&state, body, len);
	crypto_hash_sha256_final(&state, hash);
	memcpy(raw, body, len);
	memcpy(raw + len, hash, BUNDLE_CHECK);
	base32_encode(text, raw, len + BUNDLE_CHECK);
	copy = exact(text, strlen(text) + 1);
	check_text(copy, true);
	free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text;

	demand(crypto_init() == 0);
	if (size < 1 || size > RAW_MAX)
		return 0;
	if (data[0] == 'b') {
		seal(data + 1, size - 1);
		return 0;
	}
	text = exact_text(data, size);
	check_text(text, false);
	free(text);
	return 0;
}
