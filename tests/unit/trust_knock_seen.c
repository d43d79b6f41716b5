/* tests/unit/trust_knock_seen.c - replays, what is forgotten and what is refused for it, memory.
 *
 * Built with -Wl,--wrap for the allocator: it counts, and can fail. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "trust/knock.h"

static const uint64_t NOW = UINT64_C(1800000000000), SEED = 7;
static const uint64_t SECOND = 1000, MINUTE = 60000, STEP = 2000;

static struct knock_seen *seen;

/* --- the allocator --- */

static size_t held;
static bool out_of_memory;

void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void __real_free(void *p);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);
void __wrap_free(void *p);

void *__wrap_calloc(size_t n, size_t size)
{
	void *p = out_of_memory ? NULL : __real_calloc(n, size);

	held += p ? malloc_usable_size(p) : 0;
	return p;
}

void *__wrap_realloc(void *p, size_t size)
{
	size_t before = p ? malloc_usable_size(p) : 0;
	void *q = out_of_memory ? NULL : __real_realloc(p, size);

	if (q)
		held += malloc_usable_size(q) - before;
	return q;
}

void __wrap_free(void *p)
{
	held -= p ? malloc_usable_size(p) : 0;
	__real_free(p);
}

/* --- helpers --- */

static bool add_of(uint8_t owner, uint64_t id, uint64_t knock_ms, uint64_t wall_ms)
{
	uint8_t dcid[KNOCK_DCID] = { 0 }, key[KEY_SIZE] = { owner };

	memcpy(dcid + id % 2 * 8, &id, sizeof(id)); /* either half tells ids apart */
	return knock_seen_add(&seen, dcid, key, knock_ms, wall_ms, SEED);
}

/* Of many keys. */
static bool add(uint64_t id, uint64_t knock_ms, uint64_t wall_ms)
{
	return add_of((uint8_t)(id % 251), id, knock_ms, wall_ms);
}

static int setup(void **state)
{
	(void)state;
	held = 0;
	out_of_memory = false;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	knock_seen_free(seen);
	seen = NULL;
	return held == 0 ? 0 : -1;
}

/* `n` knocks from `id` on, all at one time. */
static void add_many(uint64_t id, size_t n, uint64_t knock_ms, uint64_t wall_ms)
{
	for (size_t i = 0; i < n; i++)
		assert_true(add(id + i, knock_ms, wall_ms));
}

/* --- replays --- */

static void each_is_taken_once(void **state)
{
	(void)state;
	for (uint64_t id = 0; id < 3000; id++)
		assert_true(add(id, NOW + id, NOW));
	for (uint64_t id = 0; id < 3000; id++) {
		assert_false(add(id, NOW + id, NOW));
		assert_false(add(id, NOW, NOW + id)); /* whatever its time */
	}
	assert_true(add(3000, NOW, NOW));
}

/* As long as a clock would take it: half an hour at most. */
static void it_is_known_for_as_long_as_it_could_be_taken(void **state)
{
	static const int64_t ahead[] = { 0, 15 * 60000, -15 * 60000, 1, -1, 14 * 60000 + 999 };

	(void)state;
	for (size_t i = 0; i < sizeof(ahead) / sizeof(ahead[0]); i++) {
		uint64_t knock_ms = NOW + (uint64_t)ahead[i], id = 100 * i;
		uint64_t others = id + 1;

		assert_true(add(id, knock_ms, NOW));
		for (uint64_t t = NOW; t <= knock_ms + 15 * MINUTE; t += 7 * SECOND) {
			assert_false(add(id, knock_ms, t));
			assert_true(add(++others << 32, t, t)); /* which moves the clock on */
		}
		assert_false(add(id, knock_ms, knock_ms + 15 * MINUTE));
		assert_false(add(id, knock_ms, knock_ms + 15 * MINUTE + 1)); /* too old */
		knock_seen_free(seen);
		seen = NULL;
	}
}

static void an_id_is_free_again_after_that(void **state)
{
	(void)state;
	assert_true(add(1, NOW, NOW));
	assert_true(add(1, NOW + 16 * MINUTE, NOW + 16 * MINUTE));
	assert_false(add(1, NOW + 16 * MINUTE, NOW + 16 * MINUTE));
	assert_true(add(1, NOW + 600 * MINUTE, NOW + 600 * MINUTE)); /* long after all */
}

static void what_no_clock_takes_is_not_taken(void **state)
{
	(void)state;
	assert_false(add(1, NOW + 15 * MINUTE + 1, NOW));
	assert_false(add(1, NOW - 15 * MINUTE - 1, NOW));
	assert_false(add(1, UINT64_MAX, NOW));
	assert_false(add(1, 0, NOW));
	assert_null(seen);
	assert_true(add(1, NOW + 15 * MINUTE, NOW));
	assert_true(add(2, NOW - 15 * MINUTE, NOW));
}

static void early_clocks_work_too(void **state)
{
	(void)state;
	assert_true(add(1, 0, 0));
	assert_true(add(2, 15 * MINUTE, 0));
	assert_false(add(1, 0, 1));
	assert_true(add(3, 20 * MINUTE, 20 * MINUTE));
	assert_false(add(2, 15 * MINUTE, 20 * MINUTE));
}

/* --- a clock that is set --- */

static void clock_set_back_a_little_forgets_nothing(void **state)
{
	(void)state;
	assert_true(add(1, NOW, NOW));
	for (uint64_t back = 0; back <= 14 * MINUTE; back += 20 * SECOND) {
		assert_false(add(1, NOW, NOW - back));
		assert_true(add(2 + back, NOW - back, NOW - back));
	}
	/* what the later clock had passed may have been forgotten */
	assert_false(add(3, NOW - 16 * MINUTE, NOW - 16 * MINUTE));
	assert_true(add(3, NOW - 2 * MINUTE, NOW - 16 * MINUTE));
}

static void clock_set_back_far_begins_anew(void **state)
{
	uint64_t then = NOW - 600 * MINUTE;

	(void)state;
	add_many(0, 1000, NOW, NOW);
	assert_true(add(1, then, then));
	assert_false(add(1, then, then));
	assert_true(add(2, then, then));
	assert_true(add(3, then + 15 * MINUTE, then));
}

/* --- the limit --- */

static void oldest_go_when_it_is_full(void **state)
{
	const size_t half = KNOCK_SEEN_MAX / 2;

	(void)state;
	add_many(0, half, NOW, NOW);
	add_many(half, half, NOW + STEP, NOW);
	assert_false(add(0, NOW, NOW));
	assert_true(add(KNOCK_SEEN_MAX, NOW + 2 * STEP, NOW)); /* the first half goes */
	assert_false(add(0, NOW, NOW));                  /* forgotten, but older than what is not */
	assert_false(add(KNOCK_SEEN_MAX + 1, NOW, NOW)); /* as is this */
	assert_false(add(KNOCK_SEEN_MAX + 1, NOW - 1, NOW));
	assert_false(add(half, NOW + STEP, NOW)); /* still known */
	assert_true(add(KNOCK_SEEN_MAX + 1, NOW + STEP, NOW));
	assert_false(add(KNOCK_SEEN_MAX + 1, NOW + STEP, NOW));
	/* there is room for the half that went */
	add_many(KNOCK_SEEN_MAX + 2, half - 2, NOW + 3 * STEP, NOW);
	assert_false(add(half, NOW + STEP, NOW));
}

/* The order of times counts, not that of arrival: a dialler whose clock is ahead costs others
 * nothing. */
static void oldest_are_those_by_their_own_clocks(void **state)
{
	(void)state;
	assert_true(add(0, NOW + 10 * MINUTE, NOW));
	add_many(1, KNOCK_SEEN_MAX - 1, NOW, NOW);
	assert_true(add(KNOCK_SEEN_MAX, NOW + STEP, NOW));
	assert_false(add(0, NOW + 10 * MINUTE, NOW));
	assert_false(add(KNOCK_SEEN_MAX + 1, NOW, NOW));
	assert_true(add(KNOCK_SEEN_MAX + 1, NOW + STEP, NOW));
}

/* Full of such as are no older: the new one is refused, and all that is known stays. */
static void newest_stay_when_it_is_full(void **state)
{
	(void)state;
	add_many(0, KNOCK_SEEN_MAX, NOW + 5 * MINUTE, NOW);
	assert_false(add(KNOCK_SEEN_MAX, NOW, NOW));
	assert_false(add(KNOCK_SEEN_MAX, NOW + 5 * MINUTE, NOW));
	for (uint64_t id = 0; id < KNOCK_SEEN_MAX; id += 1001)
		assert_false(add(id, NOW + 5 * MINUTE, NOW));
	/* time makes room */
	assert_true(add(KNOCK_SEEN_MAX, NOW + 21 * MINUTE, NOW + 21 * MINUTE));
	assert_true(add(0, NOW + 21 * MINUTE, NOW + 21 * MINUTE));
}

/* Who is allowed in and fills it with knocks dated ahead keeps nobody else out. */
static void one_key_has_a_share(void **state)
{
	const size_t half = KNOCK_SEEN_MAX / 2;

	(void)state;
	for (uint64_t id = 0; id < half; id++)
		assert_true(add_of(1, id, NOW + 15 * MINUTE, NOW));
	assert_false(add_of(1, half, NOW + 15 * MINUTE, NOW));
	for (uint64_t id = 0; id < KNOCK_KEY_MAX; id++)
		assert_true(add_of(2, half + id, NOW + 15 * MINUTE, NOW));
	assert_false(add_of(2, KNOCK_SEEN_MAX, NOW, NOW));
	assert_true(add_of(3, KNOCK_SEEN_MAX, NOW, NOW));
	assert_true(add_of(3, KNOCK_SEEN_MAX + 1, NOW - 14 * MINUTE, NOW));
	for (uint64_t id = 0; id < half; id += 999) /* all are known still */
		assert_false(add_of(1, id, NOW + 15 * MINUTE, NOW));
	/* time gives it back */
	assert_true(add_of(1, half, NOW + 31 * MINUTE, NOW + 31 * MINUTE));
	assert_true(add_of(2, half + 1, NOW + 31 * MINUTE, NOW + 31 * MINUTE));
}

/* --- memory --- */

static void memory_is_as_much_as_is_known(void **state)
{
	size_t idle;

	(void)state;
	assert_int_equal(held, 0);
	assert_true(add(0, NOW, NOW));
	idle = held;
	assert_in_range(idle, 1, 9 * 1024);
	add_many(1, 999, NOW, NOW);
	assert_in_range(held, 1, 48 * 1024);
	add_many(1000, KNOCK_SEEN_MAX - 1000, NOW, NOW);
	assert_in_range(held, 1, 2 * 1024 * 1024);
	for (uint64_t id = 0; id < 200000; id++) { /* no more than that */
		uint64_t t = NOW + STEP + id * 100;

		add(KNOCK_SEEN_MAX + id, t, t);
	}
	assert_in_range(held, 1, 2 * 1024 * 1024);
	assert_true(add(0, NOW + 600 * MINUTE, NOW + 600 * MINUTE));
	assert_in_range(held, 1, idle + 64);
}

static void out_of_memory_refuses_and_forgets_nothing(void **state)
{
	uint64_t id = 0;

	(void)state;
	out_of_memory = true;
	assert_false(add(0, NOW, NOW));
	assert_null(seen);
	for (int round = 0; round < 8; round++) {
		out_of_memory = false;
		assert_true(add(id++, NOW, NOW));
		out_of_memory = true;
		while (add(id, NOW, NOW))
			assert_true(++id <= KNOCK_SEEN_MAX);
		for (uint64_t k = 0; k < id; k++)
			assert_false(add(k, NOW, NOW));
	}
	out_of_memory = false;
	assert_true(add(id, NOW, NOW));
}

/* --- as a model --- */

enum { MODEL_IDS = 400, MODEL_STEPS = 20000 };

/* No id is taken twice at a time that a clock takes, and none is refused without a reason. */
static void random_knocks(uint64_t seed)
{
	uint64_t taken[MODEL_IDS] = { 0 }, wall = NOW;
	struct rng rng;

	rng_seed(&rng, seed);
	for (int i = 0; i < MODEL_STEPS; i++) {
		uint64_t id = rng_below(&rng, MODEL_IDS);
		uint64_t t = wall - 15 * MINUTE + rng_below(&rng, 30 * MINUTE + 1);
		bool fresh = taken[id] == 0 || taken[id] + 15 * MINUTE + STEP < wall;
		bool known = taken[id] != 0 && taken[id] + 15 * MINUTE >= wall;
		bool is_new = add(id, t, wall);

		if ((is_new && known) || (!is_new && fresh))
			fail_msg("seed %lu, step %d", (unsigned long)seed, i);
		if (is_new)
			taken[id] = t;
		wall += rng_below(&rng, 20 * SECOND);
	}
}

static void agrees_with_a_model(void **state)
{
	for (uint64_t seed = 1; seed <= 10; seed++) {
		random_knocks(seed);
		assert_int_equal(teardown(state), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(each_is_taken_once, setup, teardown),
		cmocka_unit_test_setup_teardown(it_is_known_for_as_long_as_it_could_be_taken, setup,
						teardown),
		cmocka_unit_test_setup_teardown(an_id_is_free_again_after_that, setup, teardown),
		cmocka_unit_test_setup_teardown(what_no_clock_takes_is_not_taken, setup, teardown),
		cmocka_unit_test_setup_teardown(early_clocks_work_too, setup, teardown),
		cmocka_unit_test_setup_teardown(clock_set_back_a_little_forgets_nothing, setup,
						teardown),
		cmocka_unit_test_setup_teardown(clock_set_back_far_begins_anew, setup, teardown),
		cmocka_unit_test_setup_teardown(oldest_go_when_it_is_full, setup, teardown),
		cmocka_unit_test_setup_teardown(oldest_are_those_by_their_own_clocks, setup,
						teardown),
		cmocka_unit_test_setup_teardown(newest_stay_when_it_is_full, setup, teardown),
		cmocka_unit_test_setup_teardown(one_key_has_a_share, setup, teardown),
		cmocka_unit_test_setup_teardown(memory_is_as_much_as_is_known, setup, teardown),
		cmocka_unit_test_setup_teardown(out_of_memory_refuses_and_forgets_nothing, setup,
						teardown),
		cmocka_unit_test_setup_teardown(agrees_with_a_model, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
