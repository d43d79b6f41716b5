/* SPDX-License-Identifier: Apache-2.0 */
/* tests/fuzz/fuzz_varint.c - variable-length integers.
 *
 * The input is decoded cut at each length, and its first eight bytes are a number to encode. */
#include "fuzz.h"
#include "wire/wire.h"

enum { SIZE_MAX_VARINT = 8 };

static void check_decode(const uint8_t *data, size_t len)
{
	uint8_t *copy = exact(data, len), again[SIZE_MAX_VARINT];
	size_t size = len ? (size_t)1 << (data[0] >> 6) : 1;
	uint64_t value, expected = 0;
	ssize_t used;

	fill(&value, sizeof(value));
	used = wire_varint_decode(&value, copy, len);
	free(copy);
	if (len < size) {
		demand(used == 0);
		demand(untouched(&value, sizeof(value)));
		return;
	}
	demand(used == (ssize_t)size);
	for (size_t i = 0; i < size; i++)
		expected |= (uint64_t)data[i] << (8 * (size - 1 - i));
	demand(value == (expected & (UINT64_MAX >> (66 - 8 * size))));

	/* The shortest form is the same bytes, or a shorter one. */
	demand(wire_varint_size(value) <= size);
	if (wire_varint_encode(again, value) == size)
		demand(memcmp(again, data, size) == 0);
}

static void check_encode(uint64_t value)
{
	size_t size = wire_varint_size(value);
	uint8_t *out = malloc(size);
	uint64_t again = 0;

	demand(out);
	demand(wire_varint_encode(out, value) == size);
	demand(wire_varint_decode(&again, out, size) == (ssize_t)size);
	demand(again == value);
	/* no shorter form has the bits */
	demand(size == 1 || value >> (4 * size - 2));
	free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t value = 0;

	for (size_t len = 0; len <= size && len <= SIZE_MAX_VARINT + 1; len++)
		check_decode(data, len);
	memcpy(&value, data, size < sizeof(value) ? size : sizeof(value));
	check_encode(value & WIRE_VARINT_MAX);
	return 0;
}
