/* tests/unit/base_chain.c - the byte queue against a model in which byte i is byte_at(i). */
/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/chain.h"
#include "base/error.h"
#include "base/rng.h"

enum {
	OVERHEAD = 64,                      /* of a chunk, at most */
	QUIET = CHAIN_CHUNK_MIN + OVERHEAD, /* memory of a chain with little in it */
	MANY = 4 << 20,
};

/* --- allocation under control (linked with --wrap=malloc) --- */

static size_t allowed = SIZE_MAX; /* allocations until memory runs out */
static size_t allocations, large; /* of these, those for chunks of the largest size */

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);

void *__wrap_malloc(size_t size)
{
	if (allowed == 0)
		return NULL;
	if (allowed != SIZE_MAX)
		allowed--;
	allocations++;
	large += size >= CHAIN_CHUNK_MAX;
	return __real_malloc(size);
}

static int reset(void **state)
{
	(void)state;
	allowed = SIZE_MAX;
	allocations = large = 0;
	return 0;
}

/* --- the model --- */

static uint8_t byte_at(uint64_t offset)
{
	return (uint8_t)(offset * 167 + (offset >> 8) * 13 + (offset >> 16));
}

static uint8_t scratch[MANY];

static const uint8_t *bytes(uint64_t offset, size_t len)
{
	for (size_t i = 0; i < len; i++)
		scratch[i] = byte_at(offset + i);
	return scratch;
}

static void append(struct chain *c, size_t len)
{
	uint64_t end = c->end;

	assert_int_equal(chain_append(c, bytes(end, len), len), 0);
	assert_int_equal(c->end, end + len);
}

/* All bytes from `offset` on are there; returns in how many pieces. */
static size_t check_from(struct chain *c, uint64_t offset)
{
	size_t pieces = 0, len;
	const uint8_t *data;

	for (; offset < c->end; pieces++) {
		data = chain_at(c, offset, &len);
		assert_true(len > 0 && len <= c->end - offset);
		assert_memory_equal(data, bytes(offset, len), len);
		offset += len;
	}
	chain_at(c, c->end, &len);
	assert_int_equal(len, 0);
	return pieces;
}

/* --- tests --- */

static void bytes_come_out_as_they_went_in(void **state)
{
	static const size_t SIZES[] = { 1, CHAIN_CHUNK_MIN, CHAIN_CHUNK_MAX, 300000 };
	struct rng rng;

	(void)state;
	rng_seed(&rng, 1);
	for (size_t round = 0; round < 400; round++) {
		struct chain c = { 0 };
		size_t max = SIZES[round % 4];

		for (size_t step = 0; step < 40; step++) {
			uint64_t start = c.start, offset;
			size_t len;

			append(&c, (size_t)rng_below(&rng, max + 1));
			offset = start + rng_below(&rng, chain_len(&c) + 1);
			if (offset < c.end) { /* anywhere, also before the last place */
				const uint8_t *data = chain_at(&c, offset, &len);

				assert_true(len > 0 && len <= c.end - offset);
				assert_memory_equal(data, bytes(offset, len), len);
			}
			if (rng_below(&rng, 3) == 0)
				chain_release(&c, start + rng_below(&rng, chain_len(&c) + 1));
			if (rng_below(&rng, 8) == 0)
				chain_release(&c, c.end);
			if (step % 8 == 0)
				check_from(&c, c.start);
		}
		check_from(&c, c.start);
		chain_clear(&c);
		assert_int_equal(c.memory, 0);
	}
}

static void bytes_never_move(void **state)
{
	enum { SAMPLES = 300, STEP = 701 };
	const uint8_t *where[SAMPLES];
	struct chain c = { 0 };
	size_t len;

	(void)state;
	for (size_t i = 0; i < SAMPLES; i++) {
		append(&c, STEP);
		where[i] = chain_at(&c, i * STEP, &len);
	}
	append(&c, MANY);
	for (size_t i = 0; i < SAMPLES; i++) {
		chain_release(&c, i * STEP);
		for (size_t k = i; k < SAMPLES; k += 37)
			assert_ptr_equal(chain_at(&c, k * STEP, &len), where[k]);
		assert_int_equal(*where[i], byte_at(i * STEP));
	}
	check_from(&c, c.start);
	chain_clear(&c);
}

static void quiet_chain_stays_small(void **state)
{
	struct chain c = { 0 };

	(void)state;
	for (size_t i = 0; i < 10000; i++) {
		append(&c, 100);
		assert_true(c.memory <= 2 * QUIET);
		check_from(&c, c.start);
		chain_release(&c, c.end);
		assert_true(c.memory <= QUIET);
	}
	assert_int_equal(c.start, 10000 * 100);
	chain_clear(&c);
}

static void chunks_grow_with_the_queue(void **state)
{
	struct chain c = { 0 };

	(void)state;
	for (size_t i = 0; i < MANY; i += 512)
		append(&c, 512);
	/* doublings on the way up, then chunks of the largest size */
	assert_true(check_from(&c, 0) <= MANY / CHAIN_CHUNK_MAX + 8);
	assert_true(c.memory <= MANY + CHAIN_CHUNK_MAX + (MANY / CHAIN_CHUNK_MAX + 8) * OVERHEAD);
	chain_release(&c, c.end);
	assert_true(c.memory <= QUIET);
	chain_clear(&c);
}

static void release_frees_what_lies_before(void **state)
{
	struct chain c = { 0 };

	(void)state;
	append(&c, MANY);
	for (uint64_t offset = 0; offset <= MANY; offset += 4097) {
		chain_release(&c, offset);
		chain_release(&c, offset); /* again: nothing happens */
		assert_int_equal(c.start, offset);
		assert_int_equal(chain_len(&c), MANY - offset);
		assert_true(c.memory <= chain_len(&c) + 2 * CHAIN_CHUNK_MAX +
						(MANY / CHAIN_CHUNK_MAX + 8) * OVERHEAD);
	}
	check_from(&c, c.start);
	chain_clear(&c);
}

static void clear_keeps_the_offset(void **state)
{
	struct chain c = { 0 };

	(void)state;
	append(&c, 5000);
	chain_release(&c, 10);
	chain_clear(&c);
	assert_int_equal(c.memory, 0);
	assert_int_equal(c.start, 5000);
	assert_int_equal(c.end, 5000);
	append(&c, 5000);
	check_from(&c, 5000);
	chain_clear(&c);
	chain_clear(&c);
}

static void nothing_appended_is_nothing(void **state)
{
	struct chain c = { 0 };
	size_t len = 1;

	(void)state;
	assert_int_equal(chain_append(&c, scratch, 0), 0);
	assert_int_equal(c.end, 0);
	chain_at(&c, 0, &len);
	assert_int_equal(len, 0);
	chain_release(&c, 0);
	chain_clear(&c);
}

static void reserved_space_counts_once_committed(void **state)
{
	static const size_t WANTS[] = { 1, 100, 5000, CHAIN_CHUNK_MAX, MANY };
	struct chain c = { 0 };
	struct rng rng;

	(void)state;
	rng_seed(&rng, 2);
	for (size_t i = 0; i < 2000; i++) {
		size_t want = WANTS[i % 5], room = 0, again = 0, take;
		uint64_t end = c.end;
		uint8_t *to = chain_reserve(&c, want, &room);

		assert_non_null(to);
		assert_true(room >= 1);
		assert_int_equal(c.end, end);
		assert_ptr_equal(chain_reserve(&c, want, &again), to);
		assert_int_equal(again, room);
		take = i % 3 == 0 ? room : (size_t)rng_below(&rng, room + 1);
		memcpy(to, bytes(end, take), take);
		chain_commit(&c, take);
		assert_int_equal(c.end, end + take);
		if (i % 7 == 0)
			append(&c, 10);
		if (i % 11 == 0)
			chain_release(&c, c.start + rng_below(&rng, chain_len(&c) + 1));
	}
	check_from(&c, c.start);
	chain_clear(&c);
}

/* The first space reserved is as large as asked for, up to the largest chunk. */
static void reserve_heeds_the_wish(void **state)
{
	static const struct {
		size_t want, room;
	} rows[] = {
		{ 0, CHAIN_CHUNK_MIN },
		{ CHAIN_CHUNK_MIN, CHAIN_CHUNK_MIN },
		{ CHAIN_CHUNK_MIN + 1, 2 * CHAIN_CHUNK_MIN },
		{ CHAIN_CHUNK_MAX, CHAIN_CHUNK_MAX },
		{ CHAIN_CHUNK_MAX + 1, CHAIN_CHUNK_MAX },
		{ SIZE_MAX, CHAIN_CHUNK_MAX },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct chain c = { 0 };
		size_t room;

		assert_non_null(chain_reserve(&c, rows[i].want, &room));
		assert_int_equal(room, rows[i].room);
		chain_clear(&c);
	}
}

/* Filled and drained by turns, it does not begin with small chunks each time; a little in between
 * makes it small again. */
static void drained_chain_remembers(void **state)
{
	struct chain c = { 0 };
	size_t room;

	(void)state;
	append(&c, MANY);
	chain_release(&c, c.end);
	for (int i = 0; i < 3; i++) {
		assert_non_null(chain_reserve(&c, 1, &room));
		assert_int_equal(room, CHAIN_CHUNK_MAX);
		chain_commit(&c, room);
		chain_release(&c, c.end);
	}
	append(&c, 1);
	chain_release(&c, c.end);
	append(&c, 1);
	assert_true(c.memory <= QUIET);
	chain_clear(&c);
}

/* What comes packet by packet and is taken all at once is there in one piece the next time. */
static void burst_is_in_one_piece(void **state)
{
	enum { PACKET = 1430, PACKETS = 22, BURST = PACKET * PACKETS };
	struct chain c = { 0 };
	size_t len;

	(void)state;
	for (int i = 0; i < 3; i++) {
		for (int k = 0; k < PACKETS; k++)
			append(&c, PACKET);
		chain_at(&c, c.start, &len);
		assert_true(i == 0 || len == BURST);
		chain_release(&c, c.end);
	}
	chain_clear(&c);
}

static void out_of_memory_changes_nothing(void **state)
{
	static const size_t BEFORE[] = { 0, 1, CHAIN_CHUNK_MIN - 1, CHAIN_CHUNK_MIN, 200000 };

	(void)state;
	for (size_t i = 0; i < sizeof(BEFORE) / sizeof(BEFORE[0]); i++) {
		for (size_t k = 0; k < 40; k++) {
			bool released = k % 2;
			size_t memory, room;
			struct chain c = { 0 };
			uint64_t end;

			append(&c, BEFORE[i]);
			if (released)
				chain_release(&c, c.end);
			memory = c.memory;
			end = c.end;
			allowed = k / 2;
			assert_int_equal(chain_append(&c, scratch, sizeof(scratch)), GW_E_NOMEM);
			assert_int_equal(allowed, 0);
			assert_int_equal(c.end, end);
			assert_int_equal(c.start, released ? end : 0);
			assert_int_equal(c.memory, memory);
			check_from(&c, c.start);
			if (!c.tail)
				assert_null(chain_reserve(&c, 1, &room));
			allowed = SIZE_MAX;
			append(&c, 3000);
			check_from(&c, c.start);
			chain_clear(&c);
			assert_int_equal(c.memory, 0);
		}
	}
}

/* One chunk of this capacity, filled and released. */
static void burst(struct chain *c, size_t capacity)
{
	size_t room;

	assert_non_null(chain_reserve(c, capacity, &room));
	assert_int_equal(room, capacity);
	chain_commit(c, capacity);
	chain_release(c, c->end);
	assert_int_equal(c->memory, 0);
}

/* Under the address sanitizer nothing is kept. */
static void pool_passes_large_chunks_on(void **state)
{
	struct chain_pool pool = { 0 };
	size_t kept = 0;

	(void)state;
	for (size_t size = CHAIN_CHUNK_MAX; size >= CHAIN_CHUNK_MAX / 8; size /= 2) {
		struct chain a = { .pool = &pool }, b = { .pool = &pool };
		size_t before = allocations;

		burst(&a, size);
		if (CHAIN_POOL_MAX > 0 && size >= CHAIN_CHUNK_MAX / 4)
			kept += size;
		assert_int_equal(pool.bytes, kept);
		burst(&b, size);
		assert_int_equal(pool.bytes, kept);
		assert_int_equal(allocations - before,
				 CHAIN_POOL_MAX > 0 && size >= CHAIN_CHUNK_MAX / 4 ? 1 : 2);
		chain_clear(&a);
		chain_clear(&b);
	}
	chain_pool_clear(&pool);
	assert_int_equal(pool.bytes, 0);
}

static void pool_is_bounded(void **state)
{
	struct chain_pool pool = { 0 };
	struct chain a = { .pool = &pool }, b = { .pool = &pool };
	size_t before;

	(void)state;
	append(&a, MANY);
	chain_release(&a, a.end);
	assert_true(a.memory <= QUIET);
	assert_true(pool.bytes <= CHAIN_POOL_MAX);
	assert_true(pool.bytes + CHAIN_CHUNK_MAX > CHAIN_POOL_MAX);
	before = large;
	append(&b, MANY);
	assert_in_range(pool.bytes, 0, CHAIN_CHUNK_MAX); /* of the smaller sizes */
	assert_in_range(large - before, (MANY - CHAIN_POOL_MAX) / CHAIN_CHUNK_MAX - 8,
			(MANY - CHAIN_POOL_MAX) / CHAIN_CHUNK_MAX + 8);
	check_from(&b, 0);
	chain_clear(&a);
	chain_clear(&b);
	chain_pool_clear(&pool);
	assert_int_equal(pool.bytes, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(bytes_come_out_as_they_went_in, reset),
		cmocka_unit_test_setup(bytes_never_move, reset),
		cmocka_unit_test_setup(quiet_chain_stays_small, reset),
		cmocka_unit_test_setup(chunks_grow_with_the_queue, reset),
		cmocka_unit_test_setup(release_frees_what_lies_before, reset),
		cmocka_unit_test_setup(clear_keeps_the_offset, reset),
		cmocka_unit_test_setup(nothing_appended_is_nothing, reset),
		cmocka_unit_test_setup(reserved_space_counts_once_committed, reset),
		cmocka_unit_test_setup(reserve_heeds_the_wish, reset),
		cmocka_unit_test_setup(drained_chain_remembers, reset),
		cmocka_unit_test_setup(burst_is_in_one_piece, reset),
		cmocka_unit_test_setup(out_of_memory_changes_nothing, reset),
		cmocka_unit_test_setup(pool_passes_large_chunks_on, reset),
		cmocka_unit_test_setup(pool_is_bounded, reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
