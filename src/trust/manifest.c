/* Spec: docs/protocol.md, section 17: manifests. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "crypto/hash.h"
#include "trust/trust.h"

enum { AHEAD_MAX_MS = TRUST_SKEW_S * 1000 };

/* --- signing --- */

/* What is signed, of an encoded manifest. */
static void digest(uint8_t out[HASH_SIZE], const uint8_t *data, size_t len)
{
	const void *parts[] = { data };
	const size_t lens[] = { len - SIGNATURE_SIZE };

	hash_sha256(out, parts, lens, 1);
}

/* `data` is a manifest. */
static int keep(struct manifest *out, const uint8_t *data, size_t len)
{
	uint8_t *bytes = malloc(len);
	ssize_t used;

	if (!bytes)
		return GW_E_NOMEM;
	memcpy(bytes, data, len);
	used = wire_manifest_decode(&out->m, bytes, len);
	assert(used == (ssize_t)len);
	(void)used;
	out->bytes = bytes;
	out->len = len;
	return 0;
}

int manifest_sign(struct manifest *out, const struct wire_manifest *m, const struct identity *ca)
{
	struct wire_manifest signed_by = *m;
	uint8_t *bytes = malloc(WIRE_MANIFEST_MAX), hash[HASH_SIZE];
	int rv = GW_E_LIMIT;
	size_t len;

	if (!bytes)
		return GW_E_NOMEM;
	memcpy(signed_by.signer, ca->key, KEY_SIZE);
	len = wire_manifest_encode(bytes, WIRE_MANIFEST_MAX, &signed_by);
	if (len > 0) {
		digest(hash, bytes, len);
		identity_sign(ca, MANIFEST_CONTEXT, hash, sizeof(hash),
			      bytes + len - SIGNATURE_SIZE);
		rv = keep(out, bytes, len);
	}
	free(bytes);
	return rv;
}

static void ca_message(uint8_t out[2 * KEY_SIZE], const uint8_t network[KEY_SIZE],
		       const uint8_t ca[KEY_SIZE])
{
	memcpy(out, network, KEY_SIZE);
	memcpy(out + KEY_SIZE, ca, KEY_SIZE);
}

void ca_endorse(const struct identity *network, const uint8_t ca[KEY_SIZE],
		uint8_t signature[SIGNATURE_SIZE])
{
	uint8_t message[2 * KEY_SIZE];

	ca_message(message, network->key, ca);
	identity_sign(network, CA_CONTEXT, message, sizeof(message), signature);
}

/* --- checking --- */

/* In a list of `n` entries of `size` bytes that ascends. */
static bool list_has(const uint8_t *list, size_t n, size_t size, const uint8_t *entry)
{
	size_t first = 0, end = n;

	while (first < end) {
		size_t middle = first + (end - first) / 2;
		int order = memcmp(entry, list + middle * size, size);

		if (order == 0)
			return true;
		if (order < 0)
			end = middle;
		else
			first = middle + 1;
	}
	return false;
}

static bool revokes_key(const struct wire_manifest *m, const uint8_t key[KEY_SIZE])
{
	return list_has(m->revoked_keys, m->n_revoked_keys, KEY_SIZE, key);
}

bool manifest_revokes_key(const struct manifest *m, const uint8_t key[KEY_SIZE])
{
	return revokes_key(&m->m, key);
}

bool manifest_revokes_serial(const struct manifest *m, uint64_t serial)
{
	uint8_t bytes[WIRE_SERIAL_SIZE];

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(serial >> (8 * (sizeof(bytes) - 1 - i)));
	return list_has(m->m.revoked_serials, m->m.n_revoked_serials, sizeof(bytes), bytes);
}

static bool signer_known(const struct wire_manifest *m)
{
	for (size_t i = 0; i < m->n_cas; i++)
		if (memcmp(m->signer, m->cas[i].key, KEY_SIZE) == 0)
			return true;
	return false;
}

/* A revoked CA must not sign its revocation away: the manifest that is known counts, too. */
static enum trust_refusal check_signer(const struct wire_manifest *m, const struct manifest *than)
{
	if (memcmp(m->signer, m->network, KEY_SIZE) == 0)
		return TRUST_OK;
	if (!signer_known(m))
		return TRUST_SIGNER;
	if (revokes_key(m, m->signer))
		return TRUST_SELF;
	return than && manifest_revokes_key(than, m->signer) ? TRUST_REVOKED : TRUST_OK;
}

/* All that costs nothing. */
static enum trust_refusal check_content(const struct wire_manifest *m, const uint8_t *network,
					const struct manifest *than, uint64_t now_ms)
{
	if ((network && memcmp(m->network, network, KEY_SIZE) != 0) ||
	    (than && memcmp(m->network, than->m.network, KEY_SIZE) != 0))
		return TRUST_NETWORK;
	if (than && m->sequence <= than->m.sequence)
		return TRUST_OLD;
	if (m->sequence > now_ms && m->sequence - now_ms > AHEAD_MAX_MS)
		return TRUST_FUTURE;
	return check_signer(m, than);
}

static bool signatures_valid(const struct wire_manifest *m, const uint8_t *data, size_t len)
{
	uint8_t hash[HASH_SIZE], message[2 * KEY_SIZE];

	digest(hash, data, len);
	if (!signature_valid(m->signer, MANIFEST_CONTEXT, hash, sizeof(hash), m->signature))
		return false;
	for (size_t i = 0; i < m->n_cas; i++) {
		ca_message(message, m->network, m->cas[i].key);
		if (!signature_valid(m->network, CA_CONTEXT, message, sizeof(message),
				     m->cas[i].signature))
			return false;
	}
	return true;
}

enum trust_refusal manifest_take(struct manifest *out, const uint8_t *data, size_t len,
				 const uint8_t *network, const struct manifest *than,
				 uint64_t now_ms)
{
	struct wire_manifest m;
	ssize_t used = wire_manifest_decode(&m, data, len);
	enum trust_refusal why;

	if (used < 0)
		return used == GW_E_VERSION ? TRUST_CRITICAL : TRUST_MALFORMED;
	why = check_content(&m, network, than, now_ms);
	if (why)
		return why;
	if (!signatures_valid(&m, data, len))
		return TRUST_SIGNATURE;
	return keep(out, data, len) == 0 ? TRUST_OK : TRUST_MALFORMED;
}

void manifest_clear(struct manifest *m)
{
	free(m->bytes);
	memset(m, 0, sizeof(*m));
}
