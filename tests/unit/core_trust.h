/* tests/unit/core_trust.h - a network for tests: its CA, manifests, chains and delegates. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_TEST_CORE_TRUST_H
#define GODWIT_TEST_CORE_TRUST_H

#include "core_pair.h"

#include "trust/trust.h"

struct test_network {
	struct identity ca;
	struct wire_manifest next; /* change it, then test_manifest() */
	struct manifest manifest;
	uint64_t serial;
};

/* Node clocks of the pair say so at its start. */
enum { TEST_WALL_S = 1700000000 };

void test_network_init(struct test_network *t, uint8_t seed);
void test_network_clear(struct test_network *t);
/* Sign t->next, with a higher sequence. */
void test_manifest(struct test_network *t);
/* A chain for the key by the CA: `groups` is a comma list; returns its length. */
size_t test_chain(struct test_network *t, const uint8_t *key, const char *name, const char *groups,
		  uint32_t lifetime_s, uint8_t out[WIRE_CHAIN_MAX]);
/* The same by another CA. */
size_t test_chain_by(struct test_network *t, const struct identity *ca, const uint8_t *key,
		     const char *name, const char *groups, uint32_t lifetime_s,
		     uint8_t out[WIRE_CHAIN_MAX]);
/* The node knows the network, and belongs to it when chain_len > 0. */
void test_join(struct pair *p, int i, const struct test_network *t, const uint8_t *chain,
	       size_t chain_len);

#endif
