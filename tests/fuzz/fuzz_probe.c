/* SPDX-License-Identifier: Apache-2.0 */
/* tests/fuzz/fuzz_probe.c - path probes, their replies, and what tells a datagram's kind. */
#include "base/error.h"
#include "fuzz.h"
#include "wire/wire.h"

enum { FIELDS = 15 }; /* what follows is zero when sent and not looked at when received */

static void check_kind(const uint8_t *data, size_t len, bool probe)
{
	enum datagram_kind kind = wire_classify(data, len);

	if (len == 0)
		demand(kind == DATAGRAM_UNKNOWN);
	else if (probe)
		demand(kind == (data[0] == WIRE_PROBE ? DATAGRAM_PROBE : DATAGRAM_PROBE_REPLY));
	else
		demand((kind == DATAGRAM_QUIC) == ((data[0] & 0x40) != 0));
}

static void check_same(const struct wire_probe *p, const uint8_t *bytes, size_t len)
{
	uint8_t *copy = exact(bytes, len);
	struct wire_probe again;

	demand(wire_probe_decode(&again, copy, len) == (ssize_t)len);
	demand(memcmp(again.token, p->token, sizeof(p->token)) == 0);
	demand(again.size == p->size && again.serial == p->serial);
	free(copy);
}

static void check_probe(const struct wire_probe *p, const uint8_t *data, size_t len)
{
	bool reply = data[0] == WIRE_PROBE_REPLY;
	uint8_t *probe = malloc(p->size), *answer = malloc(WIRE_PROBE_MIN);

	demand(probe && answer);
	demand(wire_probe_encode(probe, p) == p->size);
	demand(wire_probe_reply_encode(answer, p) == WIRE_PROBE_MIN);
	demand(p->size >= WIRE_PROBE_MIN); /* a reply is never longer than its probe */
	demand(len == (reply ? (size_t)WIRE_PROBE_MIN : p->size));
	demand(memcmp(data, reply ? answer : probe, FIELDS) == 0);
	for (size_t i = FIELDS; i < p->size; i++)
		demand(probe[i] == 0);
	check_same(p, probe, p->size);
	check_same(p, answer, WIRE_PROBE_MIN);
	free(probe);
	free(answer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct wire_probe p;
	uint8_t *copy = exact(data, size);
	ssize_t used;

	fill(&p, sizeof(p));
	used = wire_probe_decode(&p, copy, size);
	free(copy);
	check_kind(data, size, used > 0);
	if (used > 0) {
		demand((size_t)used == size);
		check_probe(&p, data, size);
	} else {
		demand(used == GW_E_FORMAT);
		demand(untouched(&p, sizeof(p)));
	}
	return 0;
}
