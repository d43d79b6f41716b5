// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"
#include "io/resolve.h"

static struct loop *loop;
static int answers, last_error;
static size_t last_count;
static struct addr first;

static int setup(void **state)
{
	(void)state;
	answers = 0;
	return loop_new(&loop);
}

static int teardown(void **state)
{
	(void)state;
	loop_free(loop);
	return 0;
}

static void on_answer(void *user, int error, const struct addr *addrs, size_t count)
{
	(void)user;
	answers++;
	last_error = error;
	last_count = count;
	if (count > 0)
		first = addrs[0];
}

static void wait_answer(void)
{
	gw_time until = loop_clock() + 30 * GW_SEC;

	while (answers == 0 && loop_clock() < until)
		loop_run_once(loop, GW_SEC);
	assert_int_equal(answers, 1);
}

static void look_up(const char *host)
{
	struct resolve *r;

	assert_int_equal(resolve_start(&r, loop, host, on_answer, NULL), 0);
	assert_int_equal(answers, 0);
	wait_answer();
}

static void literals_need_no_thread(void **state)
{
	struct addr out[2];
	char text[ADDR_TEXT_MAX];

	(void)state;
	assert_int_equal(resolve_literal("198.51.100.2", out, 2), 1);
	assert_string_equal(addr_format(&out[0], text), "198.51.100.2:0");
	assert_int_equal(resolve_literal("2001:db8::1", out, 2), 1);
	assert_string_equal(addr_format(&out[0], text), "[2001:db8::1]:0");
	assert_int_equal(resolve_literal("localhost", out, 2), 0);
	assert_int_equal(resolve_literal("", out, 2), 0);
	look_up("192.0.2.7");
	assert_int_equal(last_error, 0);
	assert_int_equal(last_count, 1);
	assert_string_equal(addr_format(&first, text), "192.0.2.7:0");
}

static void names_are_looked_up(void **state)
{
	(void)state;
	look_up("localhost");
	assert_int_equal(last_error, 0);
	assert_true(last_count > 0 && addr_is_loopback(&first));
}

static void impossible_names_fail(void **state)
{
	struct resolve *r;
	char host[RESOLVE_HOST_MAX + 2];

	(void)state;
	memset(host, 'h', sizeof(host) - 1);
	host[sizeof(host) - 1] = '\0';
	assert_int_equal(resolve_start(&r, loop, host, on_answer, NULL), GW_E_LENGTH);
	look_up("no such name");
	assert_true(last_error == GW_E_NOT_FOUND || last_error == GW_E_UNREACHABLE);
	assert_int_equal(last_count, 0);
}

/* Whatever its thread still does. */
static void cancelled_ones_stay_silent(void **state)
{
	struct resolve *r;

	(void)state;
	for (int i = 0; i < 200; i++) {
		assert_int_equal(
			resolve_start(&r, loop, i % 2 ? "localhost" : "::1", on_answer, NULL), 0);
		if (i % 3 == 0)
			loop_run_once(loop, 0);
		if (answers == 0)
			resolve_cancel(r);
		answers = 0;
	}
	resolve_cancel(NULL);
	loop_run_once(loop, 50 * GW_MSEC);
	assert_int_equal(answers, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(literals_need_no_thread),
		TEST(names_are_looked_up),
		TEST(impossible_names_fail),
		TEST(cancelled_ones_stay_silent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
