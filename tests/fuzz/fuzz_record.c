/* SPDX-License-Identifier: Apache-2.0 */
/* tests/fuzz/fuzz_record.c - records.
 *
 * The input is the key, sequence, lifetime, fields and signature after a version of 1, or, when
 * its first byte is 'v', all of a record.  It is decoded whole and cut at each length. */
#include "base/error.h"
#include "fuzz.h"
#include "wire/beacon.h"

enum { HEAD = 45, SIGNATURE = 64, TAG_HOME = 1, HOME_HOST = 36 };

static ssize_t decode(struct wire_record *out, const uint8_t *data, size_t len)
{
	uint8_t *copy = exact(data, len);
	ssize_t used;

	fill(out, sizeof(*out));
	used = wire_record_decode(out, copy, len);
	free(copy);
	if (used > 0) {
		demand((size_t)used == len && len <= WIRE_RECORD_MAX);
	} else {
		demand(used == GW_E_FORMAT);
		demand(untouched(out, sizeof(*out)));
	}
	return used;
}

static uint64_t number(const uint8_t *at, size_t size)
{
	uint64_t value = 0;

	while (size-- > 0)
		value = value << 8 | *at++;
	return value;
}

static void check_home(const struct wire_home *h, const uint8_t *value, size_t size)
{
	size_t host = size - HOME_HOST;

	demand(size > HOME_HOST && host <= WIRE_HOST_MAX);
	demand(memcmp(h->key, value, WIRE_KEY_SIZE) == 0);
	demand(h->udp_port == number(value + 32, 2) && h->udp_port != 0);
	demand(h->tls_port == number(value + 34, 2));
	demand(memcmp(h->host, value + HOME_HOST, host) == 0);
	for (size_t i = 0; i < sizeof(h->host); i++)
		demand(i < host ? h->host[i] > ' ' && h->host[i] < 0x7f : !h->host[i]);
}

/* Every known field is in the record. */
static void check_fields(const struct wire_record *r, const uint8_t *data, size_t len)
{
	const uint8_t *at = data + HEAD, *end = data + len - SIGNATURE;
	size_t homes = 0;

	demand(data[0] == 1 && memcmp(r->key, data + 1, WIRE_KEY_SIZE) == 0);
	demand(r->sequence == number(data + 33, 8) && r->sequence <= WIRE_VARINT_MAX);
	demand(r->lifetime_s == number(data + 41, 4));
	demand(memcmp(r->signature, end, SIGNATURE) == 0);
	for (; at < end; at += 2 + at[1]) {
		demand(end - at >= 2 && end - at >= 2 + at[1]);
		if (at[0] != TAG_HOME)
			continue;
		demand(homes < WIRE_HOMES_MAX);
		check_home(&r->homes[homes++], at + 2, at[1]);
	}
	demand(homes == r->n_homes);
}

static void check_record(const struct wire_record *r, const uint8_t *data, size_t size)
{
	uint8_t *out = malloc(WIRE_RECORD_MAX);
	struct wire_record again;
	size_t len;

	demand(out);
	len = wire_record_encode(out, r);
	demand(len <= size); /* without the fields that are not known */
	if (len == size)
		demand(memcmp(out, data, len) == 0);
	demand(decode(&again, out, len) == (ssize_t)len);
	demand(memcmp(&again, r, sizeof(again)) == 0);
	free(out);
}

static void check(const uint8_t *data, size_t size)
{
	struct wire_record r;

	for (size_t cut = 0; cut < size; cut += cut < 300 ? 1 : 17)
		decode(&r, data, cut);
	if (decode(&r, data, size) < 0)
		return;
	check_fields(&r, data, size);
	check_record(&r, data, size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t whole[WIRE_RECORD_MAX + 64] = { 1 };

	if (size > 0 && data[0] == 'v') {
		check(data + 1, size - 1);
	} else if (size < sizeof(whole)) {
		if (size)
			memcpy(whole + 1, data, size);
		check(whole, size + 1);
	}
	return 0;
}
