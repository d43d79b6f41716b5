/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/core_seen.c - stream ids that have been seen, as intervals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/error.h"
#include "base/rng.h"
#include "core/seen.h"
#include "wire/wire.h"

static const uint64_t LAST = WIRE_VARINT_MAX / 2; /* the largest there can be */

static void add(struct seen *s, uint64_t number)
{
	assert_int_equal(seen_add(s, number), 0);
	assert_true(seen_has(s, number));
}

/* Ascending, with gaps, within what is allocated. */
static void check(const struct seen *s)
{
	assert_true(s->count <= s->capacity && s->count <= SEEN_RANGES_MAX);
	for (size_t i = 0; i < s->count; i++) {
		assert_true(s->ranges[i].first <= s->ranges[i].last);
		if (i > 0)
			assert_true(s->ranges[i - 1].last + 1 < s->ranges[i].first);
	}
}

static void expect_ranges(const struct seen *s, const struct seen_range *ranges, size_t count)
{
	check(s);
	assert_int_equal(s->count, count);
	for (size_t i = 0; i < count; i++) {
		assert_int_equal(s->ranges[i].first, ranges[i].first);
		assert_int_equal(s->ranges[i].last, ranges[i].last);
	}
}

static const struct {
	const char *name;
	uint64_t add[8];
	size_t n_add;
	struct seen_range ranges[4];
	size_t n_ranges;
} cases[] = {
	{ "nothing", { 0 }, 0, { { 0, 0 } }, 0 },
	{ "the first", { 0 }, 1, { { 0, 0 } }, 1 },
	{ "in order", { 0, 1, 2, 3 }, 4, { { 0, 3 } }, 1 },
	{ "backwards", { 3, 2, 1, 0 }, 4, { { 0, 3 } }, 1 },
	{ "a gap", { 0, 2 }, 2, { { 0, 0 }, { 2, 2 } }, 2 },
	{ "before all", { 5, 2 }, 2, { { 2, 2 }, { 5, 5 } }, 2 },
	{ "between", { 2, 8, 5 }, 3, { { 2, 2 }, { 5, 5 }, { 8, 8 } }, 3 },
	{ "grows down", { 2, 8, 7 }, 3, { { 2, 2 }, { 7, 8 } }, 2 },
	{ "grows up", { 2, 8, 3 }, 3, { { 2, 3 }, { 8, 8 } }, 2 },
	{ "joins two", { 0, 1, 3, 4, 2 }, 5, { { 0, 4 } }, 1 },
	{ "joins two, one follows", { 0, 2, 9, 1 }, 4, { { 0, 2 }, { 9, 9 } }, 2 },
	{ "joins two, one precedes", { 0, 5, 7, 6 }, 4, { { 0, 0 }, { 5, 7 } }, 2 },
	{ "again", { 4, 5, 6, 4, 5, 6 }, 6, { { 4, 6 } }, 1 },
	{ "largest", { LAST, LAST - 1, 0 }, 3, { { 0, 0 }, { LAST - 1, LAST } }, 2 },
};

static void test_ranges(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct seen s = { 0 };

		print_message("\t%s\n", cases[i].name);
		for (size_t k = 0; k < cases[i].n_add; k++)
			add(&s, cases[i].add[k]);
		expect_ranges(&s, cases[i].ranges, cases[i].n_ranges);
		seen_clear(&s);
	}
}

static void test_has_its_ends(void **state)
{
	struct seen s = { 0 };

	(void)state;
	assert_false(seen_has(&s, 0));
	assert_false(seen_has(&s, LAST));
	for (uint64_t i = 10; i <= 20; i++)
		add(&s, i);
	add(&s, 30);
	assert_false(seen_has(&s, 9));
	assert_true(seen_has(&s, 10));
	assert_true(seen_has(&s, 20));
	assert_false(seen_has(&s, 21));
	assert_false(seen_has(&s, 29));
	assert_false(seen_has(&s, 31));
	seen_clear(&s);
}

static void test_clear(void **state)
{
	struct seen s = { 0 };

	(void)state;
	add(&s, 1);
	seen_clear(&s);
	assert_false(seen_has(&s, 1));
	assert_int_equal(s.count, 0);
	add(&s, 3); /* usable again */
	assert_false(seen_has(&s, 1));
	seen_clear(&s);
	seen_clear(&s);
}

/* Every other number, up to the limit. */
static void fill(struct seen *s)
{
	for (uint64_t i = 0; i < SEEN_RANGES_MAX; i++)
		add(s, 2 * i);
	assert_int_equal(s->count, SEEN_RANGES_MAX);
}

static void test_limit(void **state)
{
	const uint64_t beyond = 2 * SEEN_RANGES_MAX + 100;
	struct seen s = { 0 };

	(void)state;
	fill(&s);
	assert_int_equal(seen_add(&s, beyond), GW_E_LIMIT);
	assert_false(seen_has(&s, beyond));
	check(&s);

	/* what needs no further interval goes on */
	add(&s, 0);
	add(&s, 2 * SEEN_RANGES_MAX - 1);
	assert_int_equal(s.count, SEEN_RANGES_MAX);
	assert_int_equal(seen_add(&s, beyond), GW_E_LIMIT);
	add(&s, 1); /* joins two: there is room for one */
	assert_int_equal(s.count, SEEN_RANGES_MAX - 1);
	add(&s, beyond);
	assert_int_equal(seen_add(&s, beyond + 2), GW_E_LIMIT);
	check(&s);
	seen_clear(&s);
}

static void test_limit_heals(void **state)
{
	struct seen s = { 0 };

	(void)state;
	fill(&s);
	for (uint64_t i = 0; i < SEEN_RANGES_MAX; i++)
		add(&s, 2 * i + 1);
	expect_ranges(&s, &(struct seen_range){ 0, 2 * SEEN_RANGES_MAX - 1 }, 1);
	seen_clear(&s);
}

static void random_order(uint64_t seed)
{
	enum { NUMBERS = 256, ADDS = 400 };
	bool model[NUMBERS] = { false };
	struct seen s = { 0 };
	struct rng rng;

	rng_seed(&rng, seed);
	for (int i = 0; i < ADDS; i++) {
		uint64_t number = rng_below(&rng, NUMBERS);
		size_t ranges = 0;

		add(&s, number);
		model[number] = true;
		check(&s);
		for (uint64_t k = 0; k < NUMBERS; k++) {
			if (seen_has(&s, k) != model[k])
				fail_msg("seed %lu, step %d: %lu", (unsigned long)seed, i,
					 (unsigned long)k);
			ranges += model[k] && (k == 0 || !model[k - 1]);
		}
		assert_int_equal(s.count, ranges);
	}
	seen_clear(&s);
}

static void test_random(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 20; seed++)
		random_order(seed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ranges),      cmocka_unit_test(test_has_its_ends),
		cmocka_unit_test(test_clear),       cmocka_unit_test(test_limit),
		cmocka_unit_test(test_limit_heals), cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
