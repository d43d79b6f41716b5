/* SPDX-License-Identifier: Apache-2.0 */
/* tests/fuzz/fuzz_knock_payload.c - what a knock carries under its seal. */
#include "base/error.h"
#include "fuzz.h"
#include "wire/trust.h"

enum { FIXED = WIRE_KNOCK_PAYLOAD_MAX - WIRE_CHAIN_MAX };

static void check(const uint8_t *data, size_t len)
{
	uint8_t *copy = exact(data, len), *out = malloc(WIRE_KNOCK_PAYLOAD_MAX);
	struct wire_knock k;
	ssize_t used;

	demand(out);
	fill(&k, sizeof(k));
	used = wire_knock_decode(&k, copy, len);
	if (used > 0) {
		demand((size_t)used == len && len <= WIRE_KNOCK_PAYLOAD_MAX);
		demand(k.chain_len == len - FIXED);
		demand(k.chain == (k.chain_len > 0 ? copy + FIXED : NULL));
		demand(wire_knock_encode(out, &k) == len && memcmp(out, data, len) == 0);
	} else {
		demand(used == GW_E_FORMAT && untouched(&k, sizeof(k)));
		demand(len < FIXED || len > WIRE_KNOCK_PAYLOAD_MAX);
	}
	free(out);
	free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	check(data, size);
	for (size_t cut = 0; cut < size; cut += 1 + cut / 8)
		check(data, cut);
	return 0;
}
