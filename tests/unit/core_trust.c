/* tests/unit/core_trust.c - a network for tests. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "core_trust.h"

#include <stdio.h>

void test_network_init(struct test_network *t, uint8_t seed)
{
	uint8_t bytes[SEED_SIZE];

	memset(t, 0, sizeof(*t));
	memset(bytes, seed, sizeof(bytes));
	identity_from_seed(&t->ca, bytes);
	memcpy(t->next.network, t->ca.key, KEY_SIZE);
	t->next.sequence = (uint64_t)TEST_WALL_S * 1000;
	t->next.issued = TEST_WALL_S;
	t->next.expires = TEST_WALL_S + TRUST_MANIFEST_LIFETIME_S;
	snprintf(t->next.name, sizeof(t->next.name), "net%u", seed);
	test_manifest(t);
}

void test_network_clear(struct test_network *t)
{
	manifest_clear(&t->manifest);
}

void test_manifest(struct test_network *t)
{
	manifest_clear(&t->manifest);
	t->next.sequence++;
	assert_int_equal(manifest_sign(&t->manifest, &t->next, &t->ca), 0);
}

static void add_groups(struct wire_certificate *c, const char *groups)
{
	while (*groups) {
		size_t len = strcspn(groups, ",");

		memcpy(c->groups[c->n_groups++], groups, len);
		groups += len + (groups[len] == ',');
	}
}

size_t test_chain(struct test_network *t, const uint8_t *key, const char *name, const char *groups,
		  uint32_t lifetime_s, uint8_t out[WIRE_CHAIN_MAX])
{
	return test_chain_by(t, &t->ca, key, name, groups, lifetime_s, out);
}

size_t test_chain_by(struct test_network *t, const struct identity *ca, const uint8_t *key,
		     const char *name, const char *groups, uint32_t lifetime_s,
		     uint8_t out[WIRE_CHAIN_MAX])
{
	struct wire_chain chain = { .n_links = 1 };
	struct wire_certificate *c = &chain.links[0];
	size_t len;

	memcpy(chain.network, t->ca.key, KEY_SIZE);
	memcpy(chain.ca, ca->key, WIRE_CA_HINT);
	memcpy(c->key, key, KEY_SIZE);
	c->serial = ++t->serial;
	c->not_before = TEST_WALL_S;
	c->not_after = TEST_WALL_S + lifetime_s;
	if (*name)
		snprintf(c->names[c->n_names++], sizeof(c->names[0]), "%s", name);
	add_groups(c, groups);
	assert_int_equal(certificate_sign(c, chain.network, ca), 0);
	len = wire_chain_encode(out, &chain);
	assert_true(len > 0);
	return len;
}

void test_join(struct pair *p, int i, const struct test_network *t, const uint8_t *chain,
	       size_t chain_len)
{
	struct network_config config = { .manifest = t->manifest.bytes,
					 .manifest_len = t->manifest.len,
					 .chain = chain,
					 .chain_len = chain_len };

	memcpy(config.key, t->ca.key, KEY_SIZE);
	assert_int_equal(node_network_set(p->n[i].node, &config, p->now), TRUST_OK);
}
