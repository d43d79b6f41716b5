/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "quic/pool.h"

enum { BLOCKS = 1000, BLOCK = 8216, USED = 1000, PAGE = 4096 };

static struct quic_pool pool;

static int set_up(void **state)
{
	(void)state;
	quic_pool_init(&pool);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	quic_pool_clear(&pool);
	assert_null(pool.regions);
	return 0;
}

static void *take(size_t size)
{
	void *data = pool.mem.malloc(size, &pool);

	assert_non_null(data);
	assert_int_equal((uintptr_t)data % 16, 0);
	return data;
}

static void give(void *data)
{
	pool.mem.free(data, &pool);
}

/* How many pages of a block are in memory. */
static size_t resident(void *block)
{
	uint8_t *page = (uint8_t *)((uintptr_t)block / PAGE * PAGE);
	unsigned char in[BLOCK / PAGE + 1];
	size_t count = 0;

	assert_int_equal(mincore(page, sizeof(in) * PAGE, in), 0);
	for (size_t i = 0; i < sizeof(in); i++)
		count += in[i] & 1;
	return count;
}

/* Also where others were before. */
static void test_untouched_costs_nothing(void **state)
{
	static void *blocks[BLOCKS];

	(void)state;
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < BLOCKS; i++)
			memset(blocks[i] = take(BLOCK), round, USED);
		for (int i = 0; i < BLOCKS; i++)
			assert_int_equal(resident(blocks[i]), 1);
		for (int i = 0; i < BLOCKS; i++)
			give(blocks[i]);
	}
}

/* A few are kept for those who come next. */
static void test_pages_go_back(void **state)
{
	static void *blocks[BLOCKS];
	size_t pages = 0;

	(void)state;
	for (int i = 0; i < BLOCKS; i++)
		memset(blocks[i] = take(BLOCK), 1, BLOCK);
	for (int i = 0; i < BLOCKS; i++)
		give(blocks[i]);
	for (int i = 0; i < BLOCKS; i++)
		pages += resident(blocks[i]);
	assert_true(pages > 0 && pages <= 200);
	for (int i = 0; i < BLOCKS; i++) {
		size_t found = 0;

		memset(blocks[i] = take(BLOCK), i & 0xff, BLOCK);
		for (int j = 0; j < i; j++)
			found += blocks[j] == blocks[i];
		assert_int_equal(found, 0);
	}
	for (int i = 0; i < BLOCKS; i++) {
		assert_int_equal(((uint8_t *)blocks[i])[BLOCK - 1], i & 0xff);
		give(blocks[i]);
	}
}

static void test_blocks_are_apart(void **state)
{
	static uint8_t *blocks[BLOCKS];

	(void)state;
	for (int i = 0; i < BLOCKS; i++) {
		size_t size = 4000 + (size_t)i % 20 * 500; /* more sizes than the pool knows */

		blocks[i] = take(size);
		memset(blocks[i], i & 0xff, size);
	}
	for (int i = 0; i < BLOCKS; i++) {
		size_t size = 4000 + (size_t)i % 20 * 500;

		assert_int_equal(blocks[i][0], i & 0xff);
		assert_int_equal(blocks[i][size - 1], i & 0xff);
		give(blocks[i]);
	}
}

static void test_reuse(void **state)
{
	void *first = take(BLOCK), *other;

	(void)state;
	give(first);
	other = take(BLOCK + 1);
	assert_ptr_not_equal(other, first);
	assert_ptr_equal(take(BLOCK), first);
}

static void test_grow(void **state)
{
	uint8_t *data = pool.mem.realloc(NULL, 100, &pool);

	(void)state;
	memset(data, 7, 100);
	data = pool.mem.realloc(data, 5000, &pool); /* stays malloc's */
	assert_int_equal(data[99], 7);
	give(data);
	data = take(5000);
	memset(data, 8, 5000);
	data = pool.mem.realloc(data, 9000, &pool);
	assert_int_equal(data[4999], 8);
	data = pool.mem.realloc(data, 50, &pool);
	assert_int_equal(data[49], 8);
	give(data);
	give(NULL);
}

static void test_zeroed(void **state)
{
	uint8_t *data;

	(void)state;
	assert_null(pool.mem.calloc(SIZE_MAX / 2, 4, &pool));
	data = take(BLOCK);
	memset(data, 9, BLOCK);
	give(data);
	data = pool.mem.calloc(2, BLOCK / 2, &pool);
	for (int i = 0; i < BLOCK; i++)
		assert_int_equal(data[i], 0);
	give(data);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_untouched_costs_nothing),
		TEST(test_pages_go_back),
		TEST(test_blocks_are_apart),
		TEST(test_reuse),
		TEST(test_grow),
		TEST(test_zeroed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
