/* SPDX-License-Identifier: Apache-2.0 */
/* tests/fuzz/fuzz_frame.c - frames of the control stream, the claim of a hello included.
 *
 * The input is a stream of frames.  It is decoded as a whole, and each frame also cut at each
 * length: the answer may change only once, from "more" to its last word. */
#include "base/error.h"
#include "fuzz.h"
#include "wire/wire.h"

enum { INPUT_MAX = 1024 };

/* What a frame points to in `from` is at the same place in `to`. */
static void move_bytes(struct frame *f, const uint8_t *from, const uint8_t *to)
{
	if (f->type == FRAME_MEMBER)
		f->member.chain = to + (f->member.chain - from);
	else if (f->type == FRAME_MANIFEST)
		f->manifest.bytes = to + (f->manifest.bytes - from);
}

/* The same, but for where. */
static bool same(struct frame again, const struct frame *f)
{
	if (f->type == FRAME_MEMBER) {
		if (again.member.len != f->member.len ||
		    memcmp(again.member.chain, f->member.chain, f->member.len) != 0)
			return false;
		again.member.chain = f->member.chain;
	} else if (f->type == FRAME_MANIFEST) {
		if (again.manifest.len != f->manifest.len ||
		    memcmp(again.manifest.bytes, f->manifest.bytes, f->manifest.len) != 0)
			return false;
		again.manifest.bytes = f->manifest.bytes;
	}
	return memcmp(&again, f, sizeof(again)) == 0;
}

static ssize_t decode(struct frame *out, const uint8_t *data, size_t len)
{
	uint8_t *copy = exact(data, len);
	ssize_t used;

	fill(out, sizeof(*out));
	used = wire_frame_decode(out, copy, len);
	if (used > 0)
		move_bytes(out, copy, data);
	free(copy);
	if (used <= 0) {
		demand(used == 0 || used == GW_E_FORMAT);
		demand(untouched(out, sizeof(*out)));
	} else {
		demand((size_t)used <= len && used <= WIRE_FRAME_MAX);
	}
	if (len >= WIRE_FRAME_MAX)
		demand(used != 0);
	return used;
}

static void check_cuts(const uint8_t *data, size_t len, ssize_t whole, const struct frame *frame)
{
	size_t stop = whole > 0 ? (size_t)whole : len < WIRE_FRAME_MAX ? len : WIRE_FRAME_MAX;
	bool decided = false;

	for (size_t cut = 0; cut <= stop; cut++) {
		struct frame part;
		ssize_t used = decode(&part, data, cut);

		demand(used == whole || (used == 0 && !decided));
		decided = used != 0;
		if (used <= 0)
			continue;
		demand((size_t)used == cut);
		demand(memcmp(&part, frame, sizeof(part)) == 0);
	}
	demand(decided || whole == 0);
}

static void check_encoding(const struct frame *frame, const uint8_t *data, size_t used)
{
	uint8_t *out = malloc(WIRE_FRAME_MAX);
	struct frame again;
	size_t len;

	demand(out);
	len = wire_frame_encode(out, frame);
	demand(len <= used); /* shortest integers, nothing after the known fields */
	if (len == used)
		demand(memcmp(out, data, len) == 0);
	demand(decode(&again, out, len) == (ssize_t)len);
	demand(same(again, frame));
	free(out);
}

static void check_claim(const struct frame *frame)
{
	uint8_t bytes[WIRE_CLAIM_SIZE];
	struct wire_claim claim;
	uint64_t incarnation = 0;

	wire_claim_decode(&claim, frame->hello.claim);
	for (size_t i = 0; i < sizeof(incarnation); i++)
		incarnation = incarnation << 8 | frame->hello.claim[i];
	demand(claim.incarnation == incarnation);
	wire_claim_encode(bytes, &claim);
	demand(memcmp(bytes, frame->hello.claim, sizeof(bytes)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size > INPUT_MAX)
		return 0;
	for (;;) {
		struct frame frame;
		ssize_t used = decode(&frame, data, size);

		check_cuts(data, size, used, &frame);
		if (used <= 0)
			return 0;
		check_encoding(&frame, data, (size_t)used);
		if (frame.type == FRAME_HELLO)
			check_claim(&frame);
		data += used;
		size -= (size_t)used;
	}
}
