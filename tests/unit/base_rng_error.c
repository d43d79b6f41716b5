/* tests/unit/base_rng_error.c - the seeded generator, and the names of failures. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <limits.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"
#include "base/rng.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* --- random numbers --- */

/* First outputs of the state 1, 2, 3, 4: the vector that implementations of xoshiro256**
 * share (for one, the tests of the Rust crate rand_xoshiro, made with the authors' C code). */
static void generator_is_xoshiro256starstar(void **state)
{
	static const uint64_t FIRST[] = {
		11520u,
		0u,
		1509978240u,
		1215971899390074240u,
		1216172134540287360u,
		607988272756665600u,
		16172922978634559625u,
		8476171486693032832u,
		10595114339597558777u,
		2904607092377533576u,
	};
	struct rng rng;

	(void)state;
	rng_seed(&rng, 0);
	for (uint64_t i = 0; i < 4; i++)
		rng.state[i] = i + 1;
	for (size_t i = 0; i < COUNT(FIRST); i++)
		assert_true(rng_u64(&rng) == FIRST[i]);
}

/* First outputs of splitmix64 (Vigna's splitmix64.c) from seed 0. */
static void state_is_seeded_by_splitmix64(void **state)
{
	static const uint64_t STATE[4] = { 0xe220a8397b1dcdaf, 0x6e789e6aa1b965f4,
					   0x06c45d188009454f, 0xf88bb8a8724c81ec };
	struct rng rng;

	(void)state;
	rng_seed(&rng, 0);
	assert_memory_equal(rng.state, STATE, sizeof(STATE));
}

static void any_length_is_filled_and_no_more(void **state)
{
	uint8_t out[64], whole[64];
	struct rng rng;

	(void)state;
	rng_seed(&rng, 5);
	rng_bytes(&rng, whole, sizeof(whole));
	for (size_t len = 0; len < sizeof(out); len++) {
		memset(out, 0x5a, sizeof(out));
		rng_seed(&rng, 5);
		rng_bytes(&rng, out, len);
		assert_memory_equal(out, whole, len);
		for (size_t i = len; i < sizeof(out); i++)
			assert_int_equal(out[i], 0x5a);
	}
}

/* A generator that repeats what it is told: values[0], values[1], ... */
struct scripted {
	struct rng rng;
	const uint64_t *values;
	size_t used;
};

static void fill_scripted(struct rng *rng, void *out, size_t len)
{
	struct scripted *s = (void *)rng;

	assert_int_equal(len, sizeof(uint64_t));
	memcpy(out, &s->values[s->used++], len);
}

/* What would make small results likelier is drawn again. */
static void below_rejects_the_uneven_rest(void **state)
{
	static const struct {
		uint64_t bound, values[3];
		size_t used;
		uint64_t result;
	} rows[] = {
		{ 1, { 77 }, 1, 0 },
		{ 10, { 19 }, 1, 9 },
		{ 3, { UINT64_MAX - 1 }, 1, 2 },
		{ 3, { UINT64_MAX, 4 }, 2, 1 },
		{ (UINT64_C(1) << 63) + 1, { UINT64_C(1) << 63 }, 1, UINT64_C(1) << 63 },
		{ (UINT64_C(1) << 63) + 1, { (UINT64_C(1) << 63) + 1, UINT64_MAX, 5 }, 3, 5 },
		{ UINT64_MAX, { UINT64_MAX, UINT64_MAX - 1 }, 2, UINT64_MAX - 1 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct scripted s = { .rng.fill = fill_scripted, .values = rows[i].values };

		assert_true(rng_below(&s.rng, rows[i].bound) == rows[i].result);
		assert_int_equal(s.used, rows[i].used);
	}
}

static void below_reaches_every_value_about_as_often(void **state)
{
	enum { BOUND = 7, DRAWS = 70000, SLACK = 600 /* 6 standard deviations */ };
	int seen[BOUND] = { 0 };
	struct rng rng;

	(void)state;
	rng_seed(&rng, 6);
	for (int i = 0; i < DRAWS; i++)
		seen[rng_below(&rng, BOUND)]++;
	for (int i = 0; i < BOUND; i++)
		assert_in_range(seen[i], DRAWS / BOUND - SLACK, DRAWS / BOUND + SLACK);
}

/* --- failures --- */

/* The names are what programs read in --json. */
static void every_code_has_its_name(void **state)
{
	static const struct {
		int code;
		const char *name;
	} rows[] = {
		{ GW_OK, "ok" },
		{ GW_E_NOMEM, "no-memory" },
		{ GW_E_INVALID, "invalid" },
		{ GW_E_LENGTH, "length" },
		{ GW_E_CHECKSUM, "checksum" },
		{ GW_E_TYPE, "type" },
		{ GW_E_CHARACTER, "character" },
		{ GW_E_KEY, "key" },
		{ GW_E_FORMAT, "format" },
		{ GW_E_VERSION, "version" },
		{ GW_E_SELF, "self" },
		{ GW_E_UNREACHABLE, "unreachable" },
		{ GW_E_DENIED, "denied" },
		{ GW_E_NO_SERVICE, "no-service" },
		{ GW_E_TARGET, "target" },
		{ GW_E_RESTARTED, "restarted" },
		{ GW_E_EXITED, "exited" },
		{ GW_E_PARKED_OUT, "parked-out" },
		{ GW_E_LOST, "lost" },
		{ GW_E_RESET, "reset" },
		{ GW_E_LIMIT, "limit" },
		{ GW_E_TIMEOUT, "timeout" },
		{ GW_E_IN_USE, "in-use" },
		{ GW_E_PERMISSION, "permission" },
		{ GW_E_EXISTS, "exists" },
		{ GW_E_NOT_FOUND, "not-found" },
		{ GW_E_IO, "io" },
		{ GW_E_CRYPTO, "crypto" },
		{ GW_E_CLOSED, "closed" },
		{ GW_E_PROTOCOL, "protocol" },
		{ GW_E_AGAIN, "again" },
		{ GW_E_KIND, "kind" },
		{ GW_E_POLICY, "policy" },
		{ GW_E_AMBIGUOUS, "ambiguous" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		assert_int_equal(rows[i].code, -(int)i); /* none is missing here */
		assert_string_equal(error_name(rows[i].code), rows[i].name);
		assert_true(strlen(error_text(rows[i].code)) > 0);
		for (size_t k = 0; k < i; k++)
			assert_string_not_equal(error_text(rows[i].code), error_text(rows[k].code));
	}
	assert_string_equal(error_name(-(int)COUNT(rows)), "unknown");
}

static void other_numbers_are_unknown(void **state)
{
	static const int rows[] = { 1, 2, 33, INT_MAX, -34, -1000, INT_MIN, INT_MIN + 1 };

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		assert_string_equal(error_name(rows[i]), "unknown");
		assert_string_equal(error_text(rows[i]), "unknown error");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(generator_is_xoshiro256starstar),
		cmocka_unit_test(state_is_seeded_by_splitmix64),
		cmocka_unit_test(any_length_is_filled_and_no_more),
		cmocka_unit_test(below_rejects_the_uneven_rest),
		cmocka_unit_test(below_reaches_every_value_about_as_often),
		cmocka_unit_test(every_code_has_its_name),
		cmocka_unit_test(other_numbers_are_unknown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
