/* SPDX-License-Identifier: Apache-2.0 */
/* tests/fuzz/fuzz_manifest.c - manifests.
 *
 * The input is, when its first byte is 'v', all of a manifest; else fields, which are signed here. */
#include "base/error.h"
#include "crypto/hash.h"
#include "fuzz.h"
#include "trust/trust.h"

enum { HEAD = 49, TAIL = KEY_SIZE + SIGNATURE_SIZE, FIELDS_MAX = 4096 };

static ssize_t decode(struct wire_manifest *out, const uint8_t *data, size_t len)
{
	uint8_t *copy = exact(data, len);
	ssize_t used;

	fill(out, sizeof(*out));
	used = wire_manifest_decode(out, copy, len);
	if (used > 0) {
		demand((size_t)used == len && len <= WIRE_MANIFEST_MAX);
		if (out->n_revoked_keys > 0)
			out->revoked_keys = data + (out->revoked_keys - copy);
		if (out->n_revoked_serials > 0)
			out->revoked_serials = data + (out->revoked_serials - copy);
		demand(out->n_revoked_keys * KEY_SIZE + out->n_revoked_serials * 8 < len);
	} else {
		demand(used == GW_E_FORMAT || used == GW_E_VERSION);
		demand(untouched(out, sizeof(*out)));
	}
	free(copy);
	return used;
}

static void check_again(const struct wire_manifest *m, size_t size)
{
	uint8_t *out = malloc(size);
	struct wire_manifest again;
	size_t len;

	demand(out);
	len = wire_manifest_encode(out, size, m);
	demand(len > 0 && len <= size); /* without the fields that are not known */
	demand(decode(&again, out, len) == (ssize_t)len);
	demand(again.n_revoked_keys == m->n_revoked_keys);
	demand(again.n_revoked_serials == m->n_revoked_serials);
	if (m->n_revoked_keys > 0)
		demand(!memcmp(again.revoked_keys, m->revoked_keys, m->n_revoked_keys * KEY_SIZE));
	again.revoked_keys = m->revoked_keys;
	again.revoked_serials = m->revoked_serials;
	demand(memcmp(&again, m, sizeof(again)) == 0);
	free(out);
}

/* Each entry of its lists is found. */
static void check_lists(const struct manifest *m)
{
	for (size_t i = 0; i < m->m.n_revoked_keys; i++)
		demand(manifest_revokes_key(m, m->m.revoked_keys + i * KEY_SIZE));
	for (size_t i = 0; i < m->m.n_revoked_serials; i++) {
		uint64_t serial = 0;

		for (size_t k = 0; k < 8; k++)
			serial = serial << 8 | m->m.revoked_serials[8 * i + k];
		demand(manifest_revokes_serial(m, serial));
	}
}

static enum trust_refusal check_taken(const uint8_t *data, size_t len, ssize_t used)
{
	uint8_t *copy = exact(data, len);
	enum trust_refusal why;
	struct manifest m;

	fill(&m, sizeof(m));
	why = manifest_take(&m, copy, len, NULL, NULL, UINT64_MAX);
	free(copy);
	demand((used == GW_E_FORMAT) == (why == TRUST_MALFORMED));
	demand((used == GW_E_VERSION) == (why == TRUST_CRITICAL));
	if (why) {
		demand(untouched(&m, sizeof(m)));
		return why;
	}
	demand(m.len == len && memcmp(m.bytes, data, len) == 0);
	check_lists(&m);
	demand(manifest_take(&m, data, len, NULL, &m, UINT64_MAX) == TRUST_OLD);
	manifest_clear(&m);
	return TRUST_OK;
}

static enum trust_refusal check(const uint8_t *data, size_t size)
{
	struct wire_manifest m;
	ssize_t used;

	for (size_t cut = 0; cut < size; cut += 1 + cut / 8)
		decode(&m, data, cut);
	used = decode(&m, data, size);
	if (used > 0) {
		demand(wire_name_valid(m.name) && m.issued < m.expires);
		check_again(&m, size);
	}
	return check_taken(data, size, used);
}

/* By the network key: what can be wrong is a CA's endorsement. */
static void compose(const uint8_t *fields, size_t len)
{
	static const uint8_t SEED[SEED_SIZE] = { 1 };
	uint8_t whole[HEAD + FIELDS_MAX + TAIL] = { 1 }, hash[HASH_SIZE];
	const void *part = whole;
	size_t end = HEAD + len + KEY_SIZE;
	struct identity network;
	enum trust_refusal why;

	identity_from_seed(&network, SEED);
	memcpy(whole + 1, network.key, KEY_SIZE);
	memcpy(whole + 33, "\0\0\1\0\0\0\0\0\0\0\0\1\xff\xff\xff\xff", 16);
	if (len > 0)
		memcpy(whole + HEAD, fields, len);
	memcpy(whole + HEAD + len, network.key, KEY_SIZE);
	hash_sha256(hash, &part, &end, 1);
	identity_sign(&network, MANIFEST_CONTEXT, hash, sizeof(hash), whole + end);
	why = check(whole, end + SIGNATURE_SIZE);
	demand(why == TRUST_OK || why == TRUST_MALFORMED || why == TRUST_CRITICAL ||
	       why == TRUST_SIGNATURE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	demand(crypto_init() == 0);
	if (size > 0 && data[0] == 'v')
		check(data + 1, size - 1);
	else if (size <= FIELDS_MAX)
		compose(data, size);
	return 0;
}
