/* SPDX-License-Identifier: Apache-2.0 */
/* tests/fuzz/fuzz_beacon_datagram.c - channel packets, punch probes, address requests and their
 * replies.
 *
 * The input is one datagram, given to each decoder: at most the one of its kind takes it, and
 * only as it is when encoded again. */
#include "base/error.h"
#include "fuzz.h"
#include "wire/beacon.h"

enum { REQUEST_FIELDS = 10 }; /* what follows is zero when sent and not looked at when received */

static bool check_channel(const uint8_t *data, size_t len)
{
	uint8_t *out = malloc(WIRE_CHANNEL_HEADER);
	uint64_t channel;
	bool taken;

	demand(out);
	fill(&channel, sizeof(channel));
	taken = wire_channel_decode(&channel, data, len);
	demand(taken == (len > WIRE_CHANNEL_HEADER && data[0] == WIRE_CHANNEL));
	if (taken) {
		wire_channel_encode(out, channel);
		demand(memcmp(out, data, WIRE_CHANNEL_HEADER) == 0);
	} else {
		demand(untouched(&channel, sizeof(channel)));
	}
	free(out);
	return taken;
}

/* Was it taken?  A datagram is taken whole or not at all. */
static bool whole(ssize_t used, size_t len, const void *out, size_t size)
{
	if (used > 0) {
		demand((size_t)used == len);
		return true;
	}
	demand(used == GW_E_FORMAT);
	demand(untouched(out, size));
	return false;
}

static bool check_punch(const uint8_t *data, size_t len)
{
	uint8_t *out = malloc(WIRE_PUNCH_SIZE);
	struct wire_punch p;
	bool taken;

	demand(out);
	fill(&p, sizeof(p));
	taken = whole(wire_punch_decode(&p, data, len), len, &p, sizeof(p));
	demand(taken == (len == WIRE_PUNCH_SIZE && data[0] == WIRE_PUNCH && data[9] <= 1));
	if (taken) {
		wire_punch_encode(out, &p);
		demand(memcmp(out, data, len) == 0);
	}
	free(out);
	return taken;
}

static bool check_request(const uint8_t *data, size_t len)
{
	uint8_t *out = malloc(WIRE_ADDRESS_REQUEST_SIZE);
	struct wire_address_request r;
	bool taken;

	demand(out);
	fill(&r, sizeof(r));
	taken = whole(wire_address_request_decode(&r, data, len), len, &r, sizeof(r));
	demand(taken == (len == WIRE_ADDRESS_REQUEST_SIZE && data[0] == WIRE_ADDRESS_REQUEST));
	if (taken) {
		demand(wire_address_request_encode(out, &r) == len);
		demand(memcmp(out, data, REQUEST_FIELDS) == 0);
		for (size_t i = REQUEST_FIELDS; i < len; i++)
			demand(out[i] == 0);
	}
	free(out);
	return taken;
}

static bool check_reply(const uint8_t *data, size_t len)
{
	uint8_t *out = malloc(WIRE_ADDRESS_REPLY_MAX);
	struct wire_address_reply r;
	bool taken;

	demand(out);
	fill(&r, sizeof(r));
	taken = whole(wire_address_reply_decode(&r, data, len), len, &r, sizeof(r));
	if (taken) {
		demand(len <= WIRE_ADDRESS_REPLY_MAX && addr_is_usable(&r.endpoint));
		demand(wire_address_reply_encode(out, &r) == len);
		demand(memcmp(out, data, len) == 0);
	}
	free(out);
	return taken;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *copy = exact(data, size);
	enum datagram_kind kind = wire_classify(copy, size);

	demand(!check_channel(copy, size) || kind == DATAGRAM_CHANNEL);
	demand(!check_punch(copy, size) || kind == DATAGRAM_PUNCH);
	demand(!check_request(copy, size) || kind == DATAGRAM_ADDRESS_REQUEST);
	demand(!check_reply(copy, size) || kind == DATAGRAM_ADDRESS_REPLY);
	free(copy);
	return 0;
}
