/* SPDX-License-Identifier: Apache-2.0 */
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/slab.h"

enum { COUNT = 100, SIZE = 40 };

static void objects_are_apart_aligned_and_zeroed(void **state)
{
	static const uint8_t zero[SIZE];
	uint8_t *objects[COUNT];
	struct slab s;

	(void)state;
	slab_init(&s, SIZE);
	for (size_t i = 0; i < COUNT; i++) {
		objects[i] = slab_alloc(&s);
		assert_non_null(objects[i]);
		assert_int_equal((uintptr_t)objects[i] % _Alignof(max_align_t), 0);
		assert_memory_equal(objects[i], zero, SIZE);
		memset(objects[i], (int)i + 1, SIZE);
	}
	for (size_t i = 0; i < COUNT; i++)
		for (size_t k = 0; k < SIZE; k++)
			assert_int_equal(objects[i][k], i + 1);
	for (size_t i = 0; i < COUNT; i++)
		slab_free(&s, objects[i]);
	slab_clear(&s);
}

static void freed_objects_come_back_zeroed(void **state)
{
	static const uint8_t zero[SIZE];
	struct slab s;
	uint8_t *kept, *one;

	(void)state;
	slab_init(&s, SIZE);
	kept = slab_alloc(&s);
	memset(kept, 7, SIZE);
	for (size_t i = 0; i < COUNT; i++) {
		one = slab_alloc(&s);
		assert_ptr_not_equal(one, kept);
		assert_memory_equal(one, zero, SIZE);
		memset(one, 0xff, SIZE);
		slab_free(&s, one);
	}
	for (size_t k = 0; k < SIZE; k++)
		assert_int_equal(kept[k], 7);
	slab_free(&s, kept);
	slab_clear(&s);
}

#ifndef __SANITIZE_ADDRESS__ /* its allocator tells nothing */
/* The heap as it was when only one is left: what a crowd had is not kept. */
static void blocks_of_a_crowd_are_freed(void **state)
{
	enum { CROWD = 10000, BIG = 700 };
	static void *objects[CROWD];
	struct slab s;
	size_t most;

	(void)state;
	slab_init(&s, BIG);
	for (size_t i = 0; i < CROWD; i++)
		objects[i] = slab_alloc(&s);
	most = mallinfo2().uordblks;
	for (size_t i = 0; i + 1 < CROWD; i++)
		slab_free(&s, objects[i]);
	assert_true(most - mallinfo2().uordblks > (size_t)(CROWD - 100) * BIG);
	slab_free(&s, objects[CROWD - 1]);
	slab_clear(&s);
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(objects_are_apart_aligned_and_zeroed),
		cmocka_unit_test(freed_objects_come_back_zeroed),
#ifndef __SANITIZE_ADDRESS__
		cmocka_unit_test(blocks_of_a_crowd_are_freed),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
