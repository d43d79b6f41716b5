/* SPDX-License-Identifier: Apache-2.0 */
/* tests/fuzz/fuzz_pcp.c - what a gateway answers to a request for a port. */
#include "base/error.h"
#include "fuzz.h"
#include "io/pcp.h"

enum { MAP_AT = 24 };

/* What was read, written as a request, has the same bytes where the two forms agree. */
static void check_map(const struct pcp_reply *r, const uint8_t *data)
{
	uint8_t *out = malloc(PCP_MAP_SIZE);

	demand(out);
	pcp_map_encode(out, &r->map, &r->map.external, r->lifetime);
	demand(memcmp(out + 4, data + 4, 4) == 0);
	demand(memcmp(out + MAP_AT, data + MAP_AT, PCP_NONCE_SIZE + 1) == 0);
	demand(memcmp(out + 40, data + 40, PCP_MAP_SIZE - 40) == 0);
	free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pcp_reply r;
	uint8_t *copy = exact(data, size);
	ssize_t used;

	fill(&r, sizeof(r));
	used = pcp_reply_decode(&r, copy, size);
	free(copy);
	if (used < 0) {
		demand(used == GW_E_FORMAT || used == GW_E_VERSION);
		demand(untouched(&r, sizeof(r)));
		return 0;
	}
	demand((size_t)used == size && size >= MAP_AT && size <= PCP_SIZE_MAX);
	demand(r.opcode == PCP_MAP || r.opcode == PCP_ANNOUNCE);
	demand(r.has_map || r.opcode == PCP_ANNOUNCE || r.result != PCP_SUCCESS);
	demand(*pcp_result_text(r.result));
	if (r.has_map)
		check_map(&r, data);
	return 0;
}
