/* tests/unit/trust_kit.h - a network for tests: its CA, an invite's delegate, what they sign. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_TEST_TRUST_KIT_H
#define GODWIT_TEST_TRUST_KIT_H

#include "trust/trust.h"

struct kit {
	struct identity ca, delegate;
	uint32_t now_s;   /* when it signs */
	uint64_t serial;  /* of the last certificate */
	uint32_t lasts_s; /* validity of members */
	uint8_t flags;    /* CERTIFICATE_EPHEMERAL, of members */
	uint8_t bytes[WIRE_MANIFEST_MAX];
};

void kit_init(struct kit *k, uint8_t seed, uint64_t wall_ms);
/* Into k->bytes; returns its length.  `revoked` NULL: nobody; `filler`: so many more keys. */
size_t kit_manifest(struct kit *k, uint64_t sequence, const uint8_t *revoked, size_t filler);
/* `name` NULL: none.  Signed by the CA or, delegated, by the invite's key. */
size_t kit_chain(struct kit *k, const uint8_t key[KEY_SIZE], const char *name, bool delegated,
		 uint8_t out[WIRE_CHAIN_MAX]);

#endif
