/* tests/unit/base_heap.c - the timer heap against a plain array of times. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"
#include "base/heap.h"
#include "base/rng.h"

enum { TIMERS = 200 };

/* --- allocation under control (linked with --wrap=realloc) --- */

static bool out_of_memory;

void *__real_realloc(void *old, size_t size);
void *__wrap_realloc(void *old, size_t size);

void *__wrap_realloc(void *old, size_t size)
{
	return out_of_memory ? NULL : __real_realloc(old, size);
}

/* --- the model --- */

static struct heap heap;
static struct timer timers[TIMERS];
static gw_time times[TIMERS]; /* GW_NEVER: not in the heap */

static int setup(void **state)
{
	(void)state;
	out_of_memory = false;
	memset(&heap, 0, sizeof(heap));
	memset(timers, 0, sizeof(timers));
	for (size_t i = 0; i < TIMERS; i++)
		times[i] = GW_NEVER;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	heap_clear(&heap);
	return 0;
}

static void set(size_t i, gw_time at)
{
	assert_int_equal(heap_set(&heap, &timers[i], at), 0);
	times[i] = at;
}

static void check(void)
{
	gw_time first = GW_NEVER;
	size_t count = 0;

	for (size_t i = 0; i < TIMERS; i++) {
		assert_int_equal(timers[i].index != 0, times[i] != GW_NEVER);
		if (times[i] == GW_NEVER)
			continue;
		assert_int_equal(timers[i].at, times[i]);
		first = time_min(first, times[i]);
		count++;
	}
	assert_int_equal(heap.count, count);
	if (count == 0)
		assert_null(heap_top(&heap));
	else
		assert_int_equal(heap_top(&heap)->at, first);
}

/* Take all out: in order, none twice. */
static void drain(void)
{
	gw_time last = 0;
	struct timer *t;

	while ((t = heap_top(&heap)) != NULL) {
		assert_true(t->at >= last);
		last = t->at;
		assert_true(times[t - timers] == t->at);
		times[t - timers] = GW_NEVER;
		heap_remove(&heap, t);
		check();
	}
}

/* --- tests --- */

static void order_holds_through_inserts_moves_and_removals(void **state)
{
	/* few distinct times: many equal ones; and the whole range */
	static const uint64_t RANGES[] = { 1, 3, 50, 100000, UINT64_MAX };
	struct rng rng;

	(void)state;
	rng_seed(&rng, 3);
	for (size_t round = 0; round < 5; round++) {
		for (size_t step = 0; step < 6000; step++) {
			size_t i = (size_t)rng_below(&rng, TIMERS);

			switch (rng_below(&rng, 5)) {
			case 0:
				heap_remove(&heap, &timers[i]);
				times[i] = GW_NEVER;
				break;
			case 1:
				set(i, GW_NEVER);
				break;
			default:
				set(i, rng_below(&rng, RANGES[round]));
			}
			check();
		}
		drain();
	}
}

static void any_order_of_insertion_comes_out_sorted(void **state)
{
	(void)state;
	for (size_t i = 0; i < TIMERS; i++)
		set(i, i);
	drain();
	for (size_t i = 0; i < TIMERS; i++)
		set(i, TIMERS - i);
	drain();
	for (size_t i = 0; i < TIMERS; i++)
		set(i, i * 77 % TIMERS);
	drain();
	for (size_t i = 0; i < TIMERS; i++)
		set(i, 42);
	drain();
}

/* The last entry, which fills the gap, may have to go up: here 9, past 20 and 10. */
static void removal_in_another_branch_lets_the_last_rise(void **state)
{
	static const gw_time AT[] = { 1, 10, 2, 20, 11, 3, 4, 21, 22, 12, 13, 5, 6, 7, 9 };

	(void)state;
	for (size_t i = 0; i < sizeof(AT) / sizeof(AT[0]); i++)
		set(i, AT[i]);
	heap_remove(&heap, &timers[7]); /* 21, below 20 */
	times[7] = GW_NEVER;
	check();
	drain();
}

static void removing_what_is_not_inside_does_nothing(void **state)
{
	(void)state;
	heap_remove(&heap, &timers[0]);
	set(0, GW_NEVER);
	check();
	set(0, 5);
	heap_remove(&heap, &timers[1]);
	check();
	heap_remove(&heap, &timers[0]);
	heap_remove(&heap, &timers[0]);
	times[0] = GW_NEVER;
	check();
}

static void clear_lets_timers_be_used_again(void **state)
{
	(void)state;
	for (size_t i = 0; i < TIMERS; i++)
		set(i, i);
	heap_clear(&heap);
	for (size_t i = 0; i < TIMERS; i++) {
		assert_int_equal(timers[i].index, 0);
		times[i] = GW_NEVER;
	}
	check();
	set(7, 1);
	check();
}

static void only_inserting_needs_memory(void **state)
{
	size_t inside = 0;

	(void)state;
	out_of_memory = true;
	assert_int_equal(heap_set(&heap, &timers[0], 1), GW_E_NOMEM);
	check();
	out_of_memory = false;
	set(inside++, 100);
	out_of_memory = true;
	while (heap_set(&heap, &timers[inside], 100 + inside) == 0) {
		times[inside] = 100 + inside;
		inside++;
		assert_true(inside < TIMERS);
	}
	check();
	for (size_t i = 0; i < inside; i++)
		set(i, 50 - i);
	check();
	set(0, GW_NEVER);
	set(inside, 3); /* there is room again */
	check();
	drain();
}

/* --- as many as a large node has --- */

enum { MANY = 100000, MOVES_MAX = 18 }; /* log2(MANY) and its own */

/* How many timers have changed places since `before` was taken. */
static size_t moved(struct timer *const *before, size_t count)
{
	size_t n = 0;

	for (size_t i = 1; i <= count; i++)
		n += heap.items[i] != before[i];
	return n;
}

static void a_hundred_thousand_cost_few_moves_each(void **state)
{
	static struct timer many[MANY], *before[MANY + 1];
	struct rng rng;
	gw_time last = 0;

	(void)state;
	rng_seed(&rng, 1);
	for (size_t i = 0; i < MANY; i++)
		assert_int_equal(heap_set(&heap, &many[i], rng_u64(&rng) >> 1), 0);
	for (int i = 0; i < 200; i++) {
		struct timer *t = i % 2 ? heap_top(&heap) : &many[rng_u64(&rng) % MANY];

		memcpy(before, heap.items, sizeof(before));
		assert_int_equal(heap_set(&heap, t, rng_u64(&rng) >> 1), 0);
		assert_true(moved(before, MANY) <= MOVES_MAX);
	}
	for (size_t i = 0; i < MANY; i++) {
		struct timer *t = heap_top(&heap);

		assert_true(t->at >= last);
		last = t->at;
		if (i < 200)
			memcpy(before, heap.items, sizeof(before));
		heap_remove(&heap, t);
		assert_true(i >= 200 || moved(before, heap.count) <= MOVES_MAX);
	}
	assert_null(heap_top(&heap));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(order_holds_through_inserts_moves_and_removals,
						setup, teardown),
		cmocka_unit_test_setup_teardown(any_order_of_insertion_comes_out_sorted, setup,
						teardown),
		cmocka_unit_test_setup_teardown(removal_in_another_branch_lets_the_last_rise, setup,
						teardown),
		cmocka_unit_test_setup_teardown(removing_what_is_not_inside_does_nothing, setup,
						teardown),
		cmocka_unit_test_setup_teardown(clear_lets_timers_be_used_again, setup, teardown),
		cmocka_unit_test_setup_teardown(only_inserting_needs_memory, setup, teardown),
		cmocka_unit_test_setup_teardown(a_hundred_thousand_cost_few_moves_each, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
