/* SPDX-License-Identifier: Apache-2.0 */
/* tests/fuzz/fuzz_dgram.c - what a QUIC DATAGRAM frame carries: a stream id and the payload. */
#include "base/error.h"
#include "fuzz.h"
#include "wire/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *copy = exact(data, size), again[WIRE_DGRAM_HEADER_MAX];
	uint64_t id, same;
	ssize_t used;
	size_t len;

	fill(&id, sizeof(id));
	used = wire_dgram_decode(&id, copy, size);
	free(copy);
	if (used <= 0) {
		demand(used == GW_E_FORMAT && untouched(&id, sizeof(id)));
		return 0;
	}
	demand((size_t)used <= size && used <= WIRE_DGRAM_HEADER_MAX && id <= WIRE_VARINT_MAX);
	len = wire_dgram_encode(again, id);
	demand(len <= (size_t)used); /* the shortest form */
	if (len == (size_t)used)
		demand(memcmp(again, data, len) == 0);
	demand(wire_dgram_decode(&same, again, len) == (ssize_t)len && same == id);
	return 0;
}
