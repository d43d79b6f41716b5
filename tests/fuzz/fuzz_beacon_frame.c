/* SPDX-License-Identifier: Apache-2.0 */
/* tests/fuzz/fuzz_beacon_frame.c - frames between nodes and beacons.
 *
 * The input is a stream of frames.  It is decoded as a whole, and each frame also cut: the answer
 * may change only once, from "more" to its last word. */
#include "base/error.h"
#include "fuzz.h"
#include "wire/beacon.h"

enum { INPUT_MAX = 2600 };

/* Where a frame has its record, or part of an item; NULL: it has none. */
static const uint8_t **record_of(struct beacon_frame *f, size_t *len)
{
	switch (f->type) {
	case BEACON_STORE:
	case BEACON_ITEM:
		*len = f->item.len;
		demand(*len > 0 && *len <= WIRE_ITEM_PART && f->item.total <= WIRE_ITEM_MAX);
		demand(f->item.offset <= f->item.total && *len <= f->item.total - f->item.offset);
		return &f->item.bytes;
	case BEACON_PUBLISH:
		*len = f->publish.record_len;
		return &f->publish.record;
	case BEACON_RECORD:
		*len = f->record.record_len;
		return &f->record.record;
	default:
		return NULL;
	}
}

/* A record is part of the decoded bytes; in *out it is part of `data`. */
static ssize_t decode(struct beacon_frame *out, const uint8_t *data, size_t len)
{
	uint8_t *copy = exact(data, len);
	const uint8_t **record;
	size_t record_len = 0;
	ssize_t used;

	fill(out, sizeof(*out));
	used = wire_beacon_decode(out, copy, len);
	if (used <= 0) {
		demand(used == 0 || used == GW_E_FORMAT);
		demand(untouched(out, sizeof(*out)));
	} else {
		demand((size_t)used <= len && used <= WIRE_BEACON_FRAME_MAX);
		record = record_of(out, &record_len);
		if (record) {
			demand(record_len <= WIRE_ITEM_PART && *record >= copy);
			demand(record_len <= (size_t)(copy + used - *record));
			*record = data + (*record - copy);
		}
	}
	free(copy);
	if (len >= WIRE_BEACON_FRAME_MAX)
		demand(used != 0);
	return used;
}

static bool same(const struct beacon_frame *a, const struct beacon_frame *b)
{
	struct beacon_frame x, y;
	const uint8_t **one, **two;
	size_t len = 0, other = 0;

	memcpy(&x, a, sizeof(x));
	memcpy(&y, b, sizeof(y));
	one = record_of(&x, &len);
	two = record_of(&y, &other);
	if (!one != !two || len != other)
		return false;
	if (one) {
		if (memcmp(*one, *two, len) != 0)
			return false;
		*one = *two = NULL;
	}
	return memcmp(&x, &y, sizeof(x)) == 0;
}

/* At the first lengths, some of those between, and the last. */
static void check_cuts(const uint8_t *data, size_t len, ssize_t whole,
		       const struct beacon_frame *frame)
{
	size_t stop = whole > 0 ? (size_t)whole : len;
	bool decided = false;

	if (stop > WIRE_BEACON_FRAME_MAX)
		stop = WIRE_BEACON_FRAME_MAX;
	for (size_t cut = 0; cut <= stop; cut += cut < 64 || stop - cut < 128 ? 1 : 61) {
		struct beacon_frame part;
		ssize_t used = decode(&part, data, cut);

		demand(used == whole || (used == 0 && !decided));
		decided = used != 0;
		if (used > 0)
			demand((size_t)used == cut && same(&part, frame));
	}
	demand(decided || whole == 0);
}

static void check_endpoint(const struct addr *a)
{
	demand(a->family == ADDR_NONE ? a->port == 0 : addr_is_usable(a));
}

static void check_encoding(const struct beacon_frame *frame, const uint8_t *data, size_t used)
{
	uint8_t *out = malloc(WIRE_BEACON_FRAME_MAX);
	struct beacon_frame again;
	size_t len;

	demand(out);
	len = wire_beacon_encode(out, frame);
	demand(len <= used); /* shortest integers, nothing after the known fields */
	if (len == used)
		demand(memcmp(out, data, len) == 0);
	demand(decode(&again, out, len) == (ssize_t)len);
	demand(same(&again, frame));
	if (frame->type == BEACON_OBSERVED)
		check_endpoint(&frame->observed.endpoint);
	if (frame->type == BEACON_WELCOME)
		check_endpoint(&frame->welcome.endpoint);
	free(out);
}

/* A padded PING is a PING. */
static void check_padding(const struct beacon_frame *frame, size_t used)
{
	uint8_t *out = malloc(WIRE_BEACON_FRAME_MAX);
	struct beacon_frame again;
	size_t padding = used < WIRE_BEACON_FRAME_MAX - 11 ? used : WIRE_BEACON_FRAME_MAX - 11, len;

	demand(out);
	len = wire_beacon_padded_ping(out, frame->ping.nonce, padding);
	demand(len > padding && len <= WIRE_BEACON_FRAME_MAX);
	demand(decode(&again, out, len) == (ssize_t)len);
	demand(again.type == BEACON_PING && again.ping.nonce == frame->ping.nonce);
	free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size > INPUT_MAX)
		return 0;
	for (;;) {
		struct beacon_frame frame;
		ssize_t used = decode(&frame, data, size);

		check_cuts(data, size, used, &frame);
		if (used <= 0)
			return 0;
		check_encoding(&frame, data, (size_t)used);
		if (frame.type == BEACON_PING)
			check_padding(&frame, (size_t)used);
		data += used;
		size -= (size_t)used;
	}
}
