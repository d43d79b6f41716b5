/* SPDX-License-Identifier: Apache-2.0 */
/* tests/fuzz/fuzz_segment.c - the header of a segment.
 *
 * The input is a header and what follows it, decoded cut at each length: the answer may change
 * only once, from "more" to its last word. */
#include "base/error.h"
#include "crypto/address.h"
#include "fuzz.h"
#include "wire/wire.h"

static ssize_t decode(struct segment_header *out, const uint8_t *data, size_t len)
{
	uint8_t *copy = exact(data, len);
	ssize_t used;

	fill(out, sizeof(*out));
	used = wire_segment_decode(out, copy, len);
	free(copy);
	if (used <= 0) {
		demand(used == 0 || used == GW_E_FORMAT);
		demand(untouched(out, sizeof(*out)));
	} else {
		demand((size_t)used <= len && used <= WIRE_SEGMENT_MAX);
	}
	if (len >= WIRE_SEGMENT_MAX)
		demand(used != 0);
	return used;
}

static void check_header(const struct segment_header *h, const uint8_t *data, size_t used)
{
	struct segment_header again;
	uint8_t *out = malloc(WIRE_SEGMENT_MAX);
	size_t len;

	demand(out);
	demand(h->kind == SEGMENT_OPEN || h->kind == SEGMENT_RESUME ||
	       h->kind == SEGMENT_OPEN_DATAGRAM);
	demand(memchr(h->service, '\0', sizeof(h->service)));
	demand(h->kind == SEGMENT_RESUME ? !h->service[0] : service_name_valid(h->service));

	len = wire_segment_encode(out, h);
	demand(len <= used); /* shortest integers, nothing after the known fields */
	if (len == used)
		demand(memcmp(out, data, len) == 0);
	demand(decode(&again, out, len) == (ssize_t)len);
	demand(memcmp(&again, h, sizeof(again)) == 0);
	free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct segment_header whole, part;
	ssize_t last = decode(&whole, data, size);
	size_t stop = last > 0 ? (size_t)last : size < WIRE_SEGMENT_MAX ? size : WIRE_SEGMENT_MAX;
	bool decided = false;

	for (size_t cut = 0; cut <= stop; cut++) {
		ssize_t used = decode(&part, data, cut);

		demand(used == last || (used == 0 && !decided));
		decided = used != 0;
		if (used > 0)
			demand((size_t)used == cut && memcmp(&part, &whole, sizeof(part)) == 0);
	}
	demand(decided || last == 0);
	if (last > 0)
		check_header(&whole, data, (size_t)last);
	return 0;
}
