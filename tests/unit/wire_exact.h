/* tests/unit/wire_exact.h - decoders get their bytes in memory of exactly that size, so that the
 * sanitizer sees any read beyond them. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_TEST_WIRE_EXACT_H
#define GODWIT_TEST_WIRE_EXACT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"
#include "wire/wire.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Where varints change their size. */
static const uint64_t EDGES[] = {
	0,
	1,
	63,
	64,
	16383,
	16384,
	1073741823,
	1073741824,
	UINT64_C(1) << 32,
	UINT64_C(1) << 61,
	WIRE_VARINT_MAX - 1,
	WIRE_VARINT_MAX,
};

static inline uint8_t *exact(const void *data, size_t len)
{
	uint8_t *copy = malloc(len ? len : 1);

	assert_non_null(copy);
	if (len)
		memcpy(copy, data, len);
	return copy;
}

/* The decoders write nothing unless they succeed. */
#define DECODER(name, type)                                                                        \
	static ssize_t name(struct type *out, const void *data, size_t len)                        \
	{                                                                                          \
		uint8_t *copy = exact(data, len);                                                  \
		struct type before, result;                                                        \
		ssize_t used;                                                                      \
                                                                                                   \
		memset(&before, 0xa5, sizeof(before));                                             \
		memcpy(&result, &before, sizeof(result));                                          \
		used = wire_##name(&result, copy, len);                                            \
		free(copy);                                                                        \
		assert_true(used == GW_E_FORMAT || (used >= 0 && (size_t)used <= len));            \
		if (used <= 0)                                                                     \
			assert_memory_equal(&result, &before, sizeof(result));                     \
		else if (out)                                                                      \
			*out = result;                                                             \
		return used;                                                                       \
	}

static inline void fill(void *out, size_t len, uint8_t first)
{
	for (size_t i = 0; i < len; i++)
		((uint8_t *)out)[i] = (uint8_t)(first + i);
}

#endif
