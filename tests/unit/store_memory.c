/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"
#include "base/keymap.h"
#include "store/store.h"

#define MINUTE (60 * GW_SEC)

static struct rng rng;

static struct directory_answer ask(struct store *s, enum directory_kind kind, uint8_t key,
				   uint64_t sequence, const char *record, gw_time now)
{
	struct directory_op op = { .kind = kind,
				   .tag = now + key,
				   .sequence = sequence,
				   .record = (const uint8_t *)record,
				   .record_len = record ? strlen(record) : 0,
				   .ttl_s = 1800 };
	struct directory_answer a = { 0 };

	memset(op.key, key, sizeof(op.key));
	assert_int_equal(store_submit(s, &op, now), 0);
	assert_true(store_next(s, &a, now));
	assert_int_equal(a.tag, op.tag);
	return a;
}

static void has(struct store *s, uint8_t key, const char *record, gw_time now)
{
	struct directory_answer a = ask(s, DIRECTORY_GET, key, 0, NULL, now);

	if (!record) {
		assert_int_equal(a.status, DIRECTORY_NOT_FOUND);
		return;
	}
	assert_int_equal(a.status, DIRECTORY_OK);
	assert_int_equal(a.record_len, strlen(record));
	assert_memory_equal(a.record, record, a.record_len);
}

static int setup(void **state)
{
	rng_seed(&rng, 3);
	*state = store_memory_new(100, &rng);
	return *state ? 0 : -1;
}

static int teardown(void **state)
{
	store_free(*state);
	return 0;
}

static void test_newer_only(void **state)
{
	struct directory_answer a;

	has(*state, 1, NULL, 1);
	assert_int_equal(ask(*state, DIRECTORY_PUT_IF_NEWER, 1, 10, "ten", 1).status, DIRECTORY_OK);
	a = ask(*state, DIRECTORY_PUT_IF_NEWER, 1, 10, "other", 2);
	assert_int_equal(a.status, DIRECTORY_OLDER);
	assert_int_equal(a.sequence, 10);
	assert_int_equal(ask(*state, DIRECTORY_PUT_IF_NEWER, 1, 9, "nine", 3).status,
			 DIRECTORY_OLDER);
	has(*state, 1, "ten", 4);
	a = ask(*state, DIRECTORY_PUT_IF_NEWER, 1, 11, "eleven", 5);
	assert_int_equal(a.status, DIRECTORY_OK);
	assert_int_equal(a.sequence, 11);
	has(*state, 1, "eleven", 6);
	has(*state, 2, NULL, 6);
	assert_int_equal(store_count(*state), 1);
}

static void test_expiry(void **state)
{
	ask(*state, DIRECTORY_PUT_IF_NEWER, 1, 10, "touched", 0);
	ask(*state, DIRECTORY_PUT_IF_NEWER, 2, 10, "left", 0);
	assert_int_equal(ask(*state, DIRECTORY_TOUCH, 1, 0, NULL, 20 * MINUTE).status,
			 DIRECTORY_OK);
	has(*state, 2, "left", 29 * MINUTE);
	has(*state, 2, NULL, 30 * MINUTE);
	has(*state, 1, "touched", 49 * MINUTE);
	has(*state, 1, NULL, 50 * MINUTE);
	assert_int_equal(ask(*state, DIRECTORY_TOUCH, 1, 0, NULL, 51 * MINUTE).status,
			 DIRECTORY_NOT_FOUND);
	assert_int_equal(store_count(*state), 0);
}

static void test_delete(void **state)
{
	ask(*state, DIRECTORY_PUT_IF_NEWER, 1, 10, "x", 0);
	assert_int_equal(ask(*state, DIRECTORY_DELETE, 1, 0, NULL, 1).status, DIRECTORY_OK);
	assert_int_equal(ask(*state, DIRECTORY_DELETE, 1, 0, NULL, 2).status, DIRECTORY_NOT_FOUND);
	has(*state, 1, NULL, 3);
}

static void test_full(void **state)
{
	for (uint8_t i = 0; i < 100; i++)
		assert_int_equal(ask(*state, DIRECTORY_PUT_IF_NEWER, i, 1, "a", 0).status,
				 DIRECTORY_OK);
	assert_int_equal(ask(*state, DIRECTORY_PUT_IF_NEWER, 100, 1, "a", 1).status,
			 DIRECTORY_FAILED);
	assert_int_equal(ask(*state, DIRECTORY_PUT_IF_NEWER, 99, 2, "b", 1).status, DIRECTORY_OK);
	has(*state, 99, "b", 2);
	assert_int_equal(
		ask(*state, DIRECTORY_PUT_IF_NEWER, 100, 1, "a", 30 * MINUTE + GW_SEC).status,
		DIRECTORY_OK);
}

static void test_order_and_copies(void **state)
{
	struct directory_op op = { .kind = DIRECTORY_PUT_IF_NEWER, .sequence = 1, .ttl_s = 60 };
	uint8_t record[4] = "abcd";
	struct directory_answer a;

	op.record = record;
	op.record_len = sizeof(record);
	for (op.tag = 0; op.tag < 5; op.tag++) {
		op.key[0] = (uint8_t)op.tag;
		assert_int_equal(store_submit(*state, &op, 0), 0);
	}
	memset(record, 'z', sizeof(record));
	for (uint64_t i = 0; i < 4; i++) {
		assert_true(store_next(*state, &a, 0));
		assert_int_equal(a.tag, i);
	}
	op = (struct directory_op){ .kind = DIRECTORY_GET };
	assert_int_equal(store_submit(*state, &op, 0), 0);
	assert_true(store_next(*state, &a, 0)); /* the fifth put */
	assert_true(store_next(*state, &a, 0));
	assert_memory_equal(a.record, "abcd", 4);
	assert_false(store_next(*state, &a, 0));
	op.kind = DIRECTORY_TOUCH; /* never asked for: freed with the store */
	assert_int_equal(store_submit(*state, &op, 0), 0);
}

/* Keys that differ in one byte only, and many of them. */
static void test_keymap(void **state)
{
	enum { COUNT = 5000 };
	static struct keymap_item items[COUNT];
	struct keymap m;

	(void)state;
	keymap_init(&m, 99);
	memset(items, 0, sizeof(items));
	for (int i = 0; i < COUNT; i++) {
		items[i].key[(i / 256) % 32] = (uint8_t)i;
		items[i].key[31] = (uint8_t)(i / 256);
		items[i].key[30] = 1;
		assert_null(keymap_get(&m, items[i].key));
		assert_int_equal(keymap_put(&m, &items[i]), 0);
	}
	for (int i = 0; i < COUNT; i += 2)
		keymap_remove(&m, &items[i]);
	keymap_remove(&m, &items[0]);
	assert_int_equal(m.count, COUNT / 2);
	for (int i = 0; i < COUNT; i++)
		assert_ptr_equal(keymap_get(&m, items[i].key), i % 2 ? &items[i] : NULL);
	keymap_clear(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_newer_only, setup, teardown),
		cmocka_unit_test_setup_teardown(test_expiry, setup, teardown),
		cmocka_unit_test_setup_teardown(test_delete, setup, teardown),
		cmocka_unit_test_setup_teardown(test_full, setup, teardown),
		cmocka_unit_test_setup_teardown(test_order_and_copies, setup, teardown),
		cmocka_unit_test(test_keymap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
