/* SPDX-License-Identifier: Apache-2.0 */
/* tests/fuzz/fuzz.h - what the targets share. */
#ifndef GODWIT_TEST_FUZZ_H
#define GODWIT_TEST_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline void demand(bool ok)
{
	if (!ok)
		abort();
}

/* A copy in memory of just that size, so that the sanitizer sees each byte too far. */
static inline void *exact(const void *data, size_t len)
{
	void *copy = malloc(len ? len : 1);

	demand(copy);
	if (len)
		memcpy(copy, data, len);
	return copy;
}

/* The same as a string: up to the first NUL. */
static inline char *exact_text(const uint8_t *data, size_t len)
{
	char *text = strndup((const char *)data, len);

	demand(text);
	return text;
}

/* Outputs that must not change: fill() them before, demand them untouched() after. */
static inline void fill(void *out, size_t len)
{
	memset(out, 0xa5, len);
}

static inline bool untouched(const void *out, size_t len)
{
	const uint8_t *byte = out;

	/* each is as the one before; quicker than a loop with the sanitizers in it */
	return len == 0 || (byte[0] == 0xa5 && memcmp(byte, byte + 1, len - 1) == 0);
}

#endif
