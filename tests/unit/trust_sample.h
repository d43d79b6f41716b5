/* tests/unit/trust_sample.h - a network with its keys, and chains of it. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_TEST_TRUST_SAMPLE_H
#define GODWIT_TEST_TRUST_SAMPLE_H

#include <assert.h>

#include "trust/trust.h"
#include "wire_exact.h"

enum { NOW = 1800000000, HOUR = 3600, DAY = 24 * HOUR };
#define NOW_MS (UINT64_C(1000) * NOW)

/* Who takes part. */
enum who { NETWORK, CA, REVOKED_CA, STRANGER, DELEGATE, NODE, OTHER_NODE };

static inline struct identity id_of(enum who who)
{
	uint8_t seed[SEED_SIZE] = { (uint8_t)(1 + who) };
	struct identity id;

	identity_from_seed(&id, seed);
	return id;
}

/* What one test says of a certificate; times are relative to NOW, lists are "a b c". */
struct spec {
	uint8_t flags;
	const char *names, *prefixes, *groups;
	uint32_t longest;
	int64_t from, until; /* both 0: for a day before and after (a delegate ten) */
	uint64_t serial;
};

static inline size_t split(char *texts, size_t size, size_t max, const char *list)
{
	size_t n = 0;

	while (list && *list) {
		size_t len = strcspn(list, " ");

		assert_true(n < max && len < size);
		memcpy(texts + n++ * size, list, len);
		list += len + strspn(list + len, " ");
	}
	return n;
}

static inline struct wire_certificate certificate_of(const uint8_t key[KEY_SIZE],
						     const struct spec *s)
{
	struct wire_certificate c = { .serial = s->serial,
				      .flags = s->flags,
				      .longest = s->longest };
	int64_t around = s->flags & CERTIFICATE_DELEGATE ? 10 * DAY : DAY / 2;
	bool usual = s->from == 0 && s->until == 0;

	memcpy(c.key, key, KEY_SIZE);
	c.not_before = (uint32_t)(NOW + (usual ? -around : s->from));
	c.not_after = (uint32_t)(NOW + (usual ? around : s->until));
	c.n_names = split(c.names[0], sizeof(c.names[0]), WIRE_NAMES_MAX, s->names);
	c.n_prefixes = split(c.prefixes[0], sizeof(c.prefixes[0]), WIRE_NAMES_MAX, s->prefixes);
	c.n_groups = split(c.groups[0], sizeof(c.groups[0]), WIRE_GROUPS_MAX, s->groups);
	return c;
}

static inline void start_chain(struct wire_chain *c, enum who signer)
{
	struct identity network = id_of(NETWORK), ca = id_of(signer);

	memset(c, 0, sizeof(*c));
	memcpy(c->network, network.key, KEY_SIZE);
	memcpy(c->ca, ca.key, WIRE_CA_HINT);
}

static inline void add_link(struct wire_chain *c, enum who signer, enum who who,
			    const struct spec *s)
{
	struct identity key = id_of(who), by = id_of(signer);

	c->links[c->n_links] = certificate_of(key.key, s);
	assert_int_equal(certificate_sign(&c->links[c->n_links++], c->network, &by), 0);
}

/* A member's chain of one link, or of a delegate's and one. */
static inline size_t chain_of_one(uint8_t out[WIRE_CHAIN_MAX], enum who signer,
				  const struct spec *member)
{
	struct wire_chain c;

	start_chain(&c, signer);
	add_link(&c, signer, NODE, member);
	return wire_chain_encode(out, &c);
}

static inline size_t chain_of_two(uint8_t out[WIRE_CHAIN_MAX], enum who signer,
				  const struct spec *delegate, const struct spec *member)
{
	struct wire_chain c;

	start_chain(&c, signer);
	add_link(&c, signer, DELEGATE, delegate);
	add_link(&c, DELEGATE, NODE, member);
	return wire_chain_encode(out, &c);
}

/* --- manifests --- */

static inline void add_ca(struct wire_manifest *m, enum who who)
{
	struct identity network = id_of(NETWORK), ca = id_of(who);

	memcpy(m->cas[m->n_cas].key, ca.key, KEY_SIZE);
	ca_endorse(&network, ca.key, m->cas[m->n_cas++].signature);
}

/* With one further CA. */
static inline struct wire_manifest sample_manifest(void)
{
	struct identity network = id_of(NETWORK);
	struct wire_manifest m = {
		.sequence = NOW_MS, .issued = NOW, .expires = NOW + 30 * DAY, .name = "home"
	};

	memcpy(m.network, network.key, KEY_SIZE);
	add_ca(&m, CA);
	return m;
}

static inline void sign_as(struct manifest *out, const struct wire_manifest *m, enum who who)
{
	struct identity id = id_of(who);

	assert_int_equal(manifest_sign(out, m, &id), 0);
}

#endif
