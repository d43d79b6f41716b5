/* tests/unit/wire_beacon_trust.c - STORE, FETCH and ITEM: what networks leave at beacons. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/beacon.h"
#include "wire_exact.h"

#define TEXT(text) text, sizeof(text) - 1

/* In hand-written bytes. */
#define KEY "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk"

static bool has_item(const struct beacon_frame *f)
{
	return f->type == BEACON_STORE || f->type == BEACON_ITEM;
}

/* From memory of exactly that size; in *out the part of an item is in `data`. */
static ssize_t decode(struct beacon_frame *out, const void *data, size_t len)
{
	uint8_t *copy = exact(data, len);
	struct beacon_frame before, result;
	ssize_t used;

	memset(&before, 0xa5, sizeof(before));
	memcpy(&result, &before, sizeof(result));
	used = wire_beacon_decode(&result, copy, len);
	assert_true(used == GW_E_FORMAT || (used >= 0 && (size_t)used <= len));
	if (used <= 0)
		assert_memory_equal(&result, &before, sizeof(result));
	if (used > 0 && has_item(&result)) {
		assert_true(result.item.bytes >= copy);
		assert_true(result.item.len <= (size_t)(copy + used - result.item.bytes));
		result.item.bytes = (const uint8_t *)data + (result.item.bytes - copy);
	}
	free(copy);
	if (used > 0 && out)
		*out = result;
	return used;
}

static uint8_t part[WIRE_ITEM_PART];

static struct beacon_frame item(uint64_t type, size_t total, size_t offset, size_t len)
{
	struct beacon_frame f;

	memset(&f, 0, sizeof(f));
	f.type = type;
	f.item.request = 7;
	f.item.kind = STORED_MANIFEST;
	f.item.total = total;
	f.item.offset = offset;
	f.item.bytes = part;
	f.item.len = len;
	return f;
}

static void assert_same_item(const struct beacon_frame *a, const struct beacon_frame *b)
{
	assert_int_equal(a->type, b->type);
	assert_int_equal(a->item.request, b->item.request);
	assert_int_equal(a->item.kind, b->item.kind);
	assert_int_equal(a->item.total, b->item.total);
	assert_int_equal(a->item.offset, b->item.offset);
	assert_int_equal(a->item.len, b->item.len);
	assert_memory_equal(a->item.bytes, b->item.bytes, a->item.len);
}

static void check_item(const struct beacon_frame *f)
{
	uint8_t out[WIRE_BEACON_FRAME_MAX];
	size_t len = wire_beacon_encode(out, f);
	struct beacon_frame again;

	assert_true(len <= WIRE_BEACON_FRAME_MAX);
	assert_int_equal(decode(&again, out, len), len);
	assert_same_item(f, &again);
	for (size_t cut = 0; cut < len; cut++)
		assert_int_equal(decode(NULL, out, cut), 0);
}

static void items_of_all_sizes(void **state)
{
	static const struct {
		size_t total, offset, len;
	} sizes[] = {
		{ 1, 0, 1 },
		{ 64, 0, 64 },
		{ WIRE_ITEM_PART, 0, WIRE_ITEM_PART },
		{ WIRE_ITEM_MAX, 0, WIRE_ITEM_PART },
		{ WIRE_ITEM_MAX, WIRE_ITEM_MAX - 1, 1 },
		{ WIRE_ITEM_MAX, WIRE_ITEM_MAX - WIRE_ITEM_PART, WIRE_ITEM_PART },
		{ 16384, 16383, 1 },
	};

	(void)state;
	fill(part, sizeof(part), 3);
	for (size_t i = 0; i < COUNT(sizes); i++)
		for (size_t k = 0; k < COUNT(EDGES); k++) {
			struct beacon_frame f = item(k % 2 ? BEACON_STORE : BEACON_ITEM,
						     sizes[i].total, sizes[i].offset, sizes[i].len);

			f.item.request = EDGES[k];
			f.item.kind = EDGES[(k + 5) % COUNT(EDGES)]; /* unknown ones, too */
			check_item(&f);
		}
}

static void bytes_of_store(void **state)
{
	struct beacon_frame f = item(BEACON_STORE, 300, 2, 3), again;
	uint8_t out[WIRE_BEACON_FRAME_MAX];
	const char expected[] = "\x1e\x09\x07\x01\x41\x2c\x02\x03"
				"abc";

	(void)state;
	memcpy(part, "abc", 3);
	assert_int_equal(wire_beacon_encode(out, &f), sizeof(expected) - 1);
	assert_memory_equal(out, expected, sizeof(expected) - 1);
	f.type = BEACON_ITEM;
	wire_beacon_encode(out, &f);
	assert_int_equal(out[0], 0x20);
	assert_memory_equal(out + 1, expected + 1, sizeof(expected) - 2);
	/* What a later version adds is skipped. */
	assert_int_equal(decode(&again, TEXT("\x20\x0a\x07\x01\x41\x2c\x02\x03"
					     "abc!")),
			 12);
	assert_same_item(&f, &again);
}

static void fetch_both_ways(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(EDGES); i++) {
		uint8_t out[WIRE_BEACON_FRAME_MAX];
		struct beacon_frame f, again;
		size_t len;

		memset(&f, 0, sizeof(f));
		f.type = BEACON_FETCH;
		f.fetch.request = EDGES[i];
		f.fetch.kind = EDGES[(i + 3) % COUNT(EDGES)];
		f.fetch.sequence = EDGES[(i + 7) % COUNT(EDGES)];
		fill(f.fetch.key, WIRE_KEY_SIZE, 0x30);
		len = wire_beacon_encode(out, &f);
		assert_int_equal(decode(&again, out, len), len);
		assert_memory_equal(&f, &again, sizeof(f));
		for (size_t cut = 0; cut < len; cut++)
			assert_int_equal(decode(NULL, out, cut), 0);
	}
}

static void bytes_of_fetch(void **state)
{
	struct beacon_frame f;

	(void)state;
	assert_int_equal(decode(&f, TEXT("\x1f\x24\x05\x02" KEY "\x44\x01")), 38);
	assert_int_equal(f.type, BEACON_FETCH);
	assert_int_equal(f.fetch.request, 5);
	assert_int_equal(f.fetch.kind, STORED_CHAIN);
	assert_memory_equal(f.fetch.key, KEY, WIRE_KEY_SIZE);
	assert_int_equal(f.fetch.sequence, 0x401);
}

static void bad_frames(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
	} bad[] = {
		{ TEXT("\x1e\x06\x07\x01\x01\x00\x00"
		       "a") },                            /* nothing of it */
		{ TEXT("\x1e\x05\x07\x01\x00\x00\x00") }, /* an empty one */
		{ TEXT("\x1e\x06\x07\x01\x01\x01\x01"
		       "a") }, /* beyond the end */
		{ TEXT("\x1e\x06\x07\x01\x01\x02\x01"
		       "a") }, /* begins beyond it */
		{ TEXT("\x1e\x07\x07\x01\x01\x00\x02"
		       "ab") }, /* longer than all */
		{ TEXT("\x1e\x06\x07\x01\x04\x00\x02"
		       "a") }, /* cut */
		{ TEXT("\x1e\x09\x07\x01\x80\x01\x00\x00\x00\x01"
		       "a") }, /* total 65,536 */
		{ TEXT("\x20\x10\x07\x01\x01\xff\xff\xff\xff\xff\xff\xff\xff\x01"
		       "aaaa") },                     /* a huge offset */
		{ TEXT("\x20\x04\x07\x01\x01\x00") }, /* no bytes */
		{ TEXT("\x20\x00") },
		{ TEXT("\x1f\x22\x05\x02" KEY) }, /* no sequence */
		{ TEXT("\x1f\x03\x05\x02\x01") },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++)
		assert_int_equal(decode(NULL, bad[i].bytes, bad[i].len), GW_E_FORMAT);
}

static void too_large_a_part(void **state)
{
	uint8_t out[WIRE_BEACON_FRAME_MAX] = { 0x1e, 0x44, 0x08, 0x07, 0x01,
					       0x48, 0x00, 0x00, 0x44, 0x01 };

	(void)state;
	assert_int_equal(decode(NULL, out, 3 + 0x408), GW_E_FORMAT); /* 1,025 bytes */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(items_of_all_sizes), cmocka_unit_test(bytes_of_store),
		cmocka_unit_test(fetch_both_ways),    cmocka_unit_test(bytes_of_fetch),
		cmocka_unit_test(bad_frames),         cmocka_unit_test(too_large_a_part),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
