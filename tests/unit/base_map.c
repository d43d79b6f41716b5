/* tests/unit/base_map.c - the hash table against an array indexed by key. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"
#include "base/map.h"
#include "base/rng.h"

enum { KEYS = 300 };

/* --- allocation under control (linked with --wrap=calloc) --- */

static bool out_of_memory;

void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);

void *__wrap_calloc(size_t count, size_t size)
{
	return out_of_memory ? NULL : __real_calloc(count, size);
}

/* --- the model --- */

static struct map map;
static char values[2][KEYS]; /* two values that key i may have */
static void *expected[KEYS];

/* Keys close together, far apart, and the ends of the range. */
static uint64_t key_of(size_t i)
{
	switch (i % 3) {
	case 0:
		return i / 3;
	case 1:
		return UINT64_MAX - i / 3;
	default:
		return (uint64_t)(i / 3 + 1) << 40;
	}
}

static int setup(void **state)
{
	(void)state;
	out_of_memory = false;
	memset(&map, 0xff, sizeof(map));
	map_init(&map, 0);
	memset(expected, 0, sizeof(expected));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	map_clear(&map);
	return 0;
}

static void put(size_t i, size_t value)
{
	assert_int_equal(map_put(&map, key_of(i), &values[value][i]), 0);
	expected[i] = &values[value][i];
}

static void take(size_t i)
{
	assert_ptr_equal(map_remove(&map, key_of(i)), expected[i]);
	expected[i] = NULL;
}

/* The key a value belongs to. */
static size_t index_of(const void *value)
{
	return (size_t)((const char *)value - values[0]) % KEYS;
}

/* Lookups, the count and a walk all agree with the model. */
static void check(void)
{
	bool seen[KEYS] = { false };
	size_t count = 0, walked = 0, position = 0;
	void *value;

	for (size_t i = 0; i < KEYS; i++) {
		assert_ptr_equal(map_get(&map, key_of(i)), expected[i]);
		count += expected[i] != NULL;
	}
	assert_int_equal(map.count, count);
	while ((value = map_next(&map, &position)) != NULL) {
		assert_ptr_equal(value, expected[index_of(value)]);
		assert_false(seen[index_of(value)]);
		seen[index_of(value)] = true;
		walked++;
	}
	assert_int_equal(walked, count);
	assert_null(map_next(&map, &position));
}

/* --- tests --- */

static void agrees_with_an_array(void **state)
{
	struct rng rng;

	(void)state;
	rng_seed(&rng, 4);
	for (uint64_t round = 0; round < 8; round++) {
		size_t keys = round % 2 ? KEYS : 12; /* many, or always the same few */

		map_clear(&map);
		memset(expected, 0, sizeof(expected));
		map_init(&map, rng_u64(&rng));
		for (size_t step = 0; step < 3000; step++) {
			size_t i = (size_t)rng_below(&rng, keys);

			/* now mostly filling, now mostly emptying */
			if (rng_below(&rng, 4) > (step / 500) % 2 * 2)
				put(i, (size_t)rng_below(&rng, 2));
			else
				take(i);
			if (step % 50 == 0)
				check();
		}
		check();
	}
}

static void empty_map_has_nothing(void **state)
{
	size_t position = 0;

	(void)state;
	assert_null(map_get(&map, 0));
	assert_null(map_remove(&map, 0));
	assert_null(map_next(&map, &position));
	map_clear(&map);
	check();
}

static void put_replaces(void **state)
{
	(void)state;
	put(0, 0);
	put(0, 1);
	put(0, 1);
	check();
	take(0);
	check();
	take(0); /* again: NULL */
	check();
}

static void entry_returned_last_may_be_removed(void **state)
{
	size_t position, removed = 0;
	void *value;

	(void)state;
	for (size_t i = 0; i < KEYS; i++)
		put(i, 0);
	position = 0;
	while ((value = map_next(&map, &position)) != NULL) {
		if (index_of(value) % 2) {
			take(index_of(value));
			removed++;
		}
	}
	assert_int_equal(removed, KEYS / 2);
	check();
	position = 0;
	while ((value = map_next(&map, &position)) != NULL)
		take(index_of(value));
	assert_int_equal(map.count, 0);
	check();
}

/* Removed entries leave no trace that adds up: the table of a few live keys stays small. */
static void churn_does_not_grow_the_table(void **state)
{
	(void)state;
	for (uint64_t key = 0; key < 200000; key++) {
		assert_int_equal(map_put(&map, key, &values[0][key % KEYS]), 0);
		if (key >= 4)
			assert_ptr_equal(map_remove(&map, key - 4), &values[0][(key - 4) % KEYS]);
		assert_true(map.capacity <= 32);
	}
	assert_int_equal(map.count, 4);
}

static void table_fits_what_is_left(void **state)
{
	(void)state;
	for (size_t i = 0; i < KEYS; i++)
		put(i, 0);
	map_fit(&map);
	check();
	for (size_t i = 5; i < KEYS; i++) {
		take(i);
		map_fit(&map);
	}
	assert_true(map.capacity <= 64);
	check();
	for (size_t i = 0; i < 5; i++)
		take(i);
	map_fit(&map);
	assert_null(map.slots);
	check();
	put(7, 1);
	check();
}

static void table_is_never_full(void **state)
{
	(void)state;
	for (size_t i = 0; i < KEYS; i++) {
		put(i, 0);
		assert_true(map.used >= map.count && map.used < map.capacity);
	}
	assert_true(map.capacity <= 8 * KEYS);
}

static void clear_leaves_an_empty_map(void **state)
{
	(void)state;
	map_init(&map, 0x1234);
	for (size_t i = 0; i < KEYS; i++)
		put(i, 0);
	map_clear(&map);
	assert_int_equal(map.seed, 0x1234);
	memset(expected, 0, sizeof(expected));
	check();
	put(5, 1);
	check();
}

/* Where keys lie depends on the seed, so that a stranger cannot choose keys that collide. */
static void seed_decides_the_order(void **state)
{
	size_t order[3][KEYS];
	static const uint64_t SEEDS[3] = { 1, 1, 2 };

	(void)state;
	for (size_t m = 0; m < 3; m++) {
		size_t position = 0, n = 0;
		void *value;

		map_clear(&map);
		map_init(&map, SEEDS[m]);
		for (size_t i = 0; i < KEYS; i++)
			put(i, 0);
		while ((value = map_next(&map, &position)) != NULL)
			order[m][n++] = index_of(value);
		assert_int_equal(n, KEYS);
	}
	assert_memory_equal(order[0], order[1], sizeof(order[0]));
	assert_memory_not_equal(order[0], order[2], sizeof(order[0]));
}

static void out_of_memory_changes_nothing(void **state)
{
	size_t inside = 0;

	(void)state;
	out_of_memory = true;
	assert_int_equal(map_put(&map, 1, values[0]), GW_E_NOMEM);
	check();
	for (size_t round = 0; round < 6; round++) {
		out_of_memory = false;
		put(inside++, 0);
		out_of_memory = true;
		while (map_put(&map, key_of(inside), &values[0][inside]) == 0) {
			expected[inside] = &values[0][inside];
			inside++;
			assert_true(inside < KEYS);
		}
		check();
		put(0, 1); /* replacing needs none */
		check();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(agrees_with_an_array, setup, teardown),
		cmocka_unit_test_setup_teardown(empty_map_has_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(put_replaces, setup, teardown),
		cmocka_unit_test_setup_teardown(entry_returned_last_may_be_removed, setup,
						teardown),
		cmocka_unit_test_setup_teardown(churn_does_not_grow_the_table, setup, teardown),
		cmocka_unit_test_setup_teardown(table_fits_what_is_left, setup, teardown),
		cmocka_unit_test_setup_teardown(table_is_never_full, setup, teardown),
		cmocka_unit_test_setup_teardown(clear_leaves_an_empty_map, setup, teardown),
		cmocka_unit_test_setup_teardown(seed_decides_the_order, setup, teardown),
		cmocka_unit_test_setup_teardown(out_of_memory_changes_nothing, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
