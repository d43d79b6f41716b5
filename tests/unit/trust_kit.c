/* SPDX-License-Identifier: Apache-2.0 */
#include "trust_kit.h"

#include <assert.h>
#include <string.h>

enum { DAY_S = 24 * 3600 };

void kit_init(struct kit *k, uint8_t seed, uint64_t wall_ms)
{
	uint8_t bytes[SEED_SIZE];

	memset(k, 0, sizeof(*k));
	memset(bytes, seed, sizeof(bytes));
	identity_from_seed(&k->ca, bytes);
	bytes[0]++;
	identity_from_seed(&k->delegate, bytes);
	k->now_s = (uint32_t)(wall_ms / 1000);
	k->lasts_s = DAY_S;
}

/* Keys that ascend, `revoked` among them. */
static size_t fill_keys(uint8_t *out, const uint8_t *revoked, size_t filler)
{
	size_t count = 0;
	bool placed = !revoked;

	for (size_t i = 0; i <= filler; i++) {
		uint8_t next[KEY_SIZE] = { (uint8_t)(i >> 8), (uint8_t)i, 1 };

		if (!placed && (i == filler || memcmp(revoked, next, KEY_SIZE) < 0)) {
			memcpy(out + count++ * KEY_SIZE, revoked, KEY_SIZE);
			placed = true;
		}
		if (i < filler)
			memcpy(out + count++ * KEY_SIZE, next, KEY_SIZE);
	}
	return count;
}

size_t kit_manifest(struct kit *k, uint64_t sequence, const uint8_t *revoked, size_t filler)
{
	static uint8_t keys[WIRE_MANIFEST_MAX];
	struct wire_manifest m = { .sequence = sequence, .name = "kit" };
	struct manifest signed_one = { 0 };
	size_t len;
	int rv;

	memcpy(m.network, k->ca.key, KEY_SIZE);
	m.issued = k->now_s;
	m.expires = k->now_s + TRUST_MANIFEST_LIFETIME_S;
	m.revoked_keys = keys;
	m.n_revoked_keys = fill_keys(keys, revoked, filler);
	rv = manifest_sign(&signed_one, &m, &k->ca);
	assert(rv == 0);
	(void)rv;
	len = signed_one.len;
	memcpy(k->bytes, signed_one.bytes, len);
	manifest_clear(&signed_one);
	return len;
}

static void link_of(struct kit *k, struct wire_certificate *c, const uint8_t *key)
{
	memcpy(c->key, key, KEY_SIZE);
	c->serial = ++k->serial;
	c->not_before = k->now_s;
	c->not_after = k->now_s + k->lasts_s;
}

static void add_delegate(struct kit *k, struct wire_chain *chain)
{
	struct wire_certificate *c = &chain->links[chain->n_links++];
	int rv;

	link_of(k, c, k->delegate.key);
	c->flags = CERTIFICATE_DELEGATE;
	c->n_prefixes = 1; /* of any name */
	c->longest = k->lasts_s;
	memcpy(c->prefixes[0], "n", 2);
	rv = certificate_sign(c, k->ca.key, &k->ca);
	assert(rv == 0);
	(void)rv;
}

size_t kit_chain(struct kit *k, const uint8_t key[KEY_SIZE], const char *name, bool delegated,
		 uint8_t out[WIRE_CHAIN_MAX])
{
	struct wire_chain chain = { 0 };
	struct wire_certificate *c;
	size_t len;
	int rv;

	memcpy(chain.network, k->ca.key, KEY_SIZE);
	memcpy(chain.ca, k->ca.key, WIRE_CA_HINT);
	if (delegated)
		add_delegate(k, &chain);
	c = &chain.links[chain.n_links++];
	link_of(k, c, key);
	c->flags = k->flags;
	if (name) {
		c->n_names = 1;
		memcpy(c->names[0], name, strlen(name));
	}
	rv = certificate_sign(c, k->ca.key, delegated ? &k->delegate : &k->ca);
	assert(rv == 0);
	(void)rv;
	len = wire_chain_encode(out, &chain);
	assert(len > 0);
	return len;
}
