// SPDX-License-Identifier: Apache-2.0
/* A node that was not running tells its core of it; one that is merely late does not.  Two nodes in
 * one thread, on a clock that the test moves on; linked with --wrap. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include <godwit/godwit.h>

#include "lib/lib.h"

enum { PATIENCE = 1000, /* turns of a millisecond */ ROUNDS = 20 };

static gw_time clock_now = 1000000 * GW_SEC; /* of each clock, wherever it began */

int __wrap_clock_gettime(clockid_t clock, struct timespec *ts);
gw_time __real_node_expiry(const struct node *n);
gw_time __wrap_node_expiry(const struct node *n);
void __real_node_clock_jumped(struct node *n, gw_time now);
void __wrap_node_clock_jumped(struct node *n, gw_time now);

int __wrap_clock_gettime(clockid_t clock, struct timespec *ts)
{
	(void)clock;
	clock_now += GW_USEC;
	*ts = (struct timespec){ (time_t)(clock_now / GW_SEC), (long)(clock_now % GW_SEC) };
	return 0;
}

static struct {
	godwit_node *node;
	uint8_t key[GODWIT_KEY_SIZE];
	godwit_stream *stream;
	size_t received;
} a, b;

/* The core of node a wants to be woken at a moment that has long passed. */
static bool overdue;

gw_time __wrap_node_expiry(const struct node *n)
{
	if (overdue && n == a.node->core)
		return loop_clock() - 10 * GW_SEC;
	return __real_node_expiry(n);
}

static unsigned jumps; /* that node a has told its core of: it dials every peer */

void __wrap_node_clock_jumped(struct node *n, gw_time now)
{
	jumps += n == a.node->core;
	__real_node_clock_jumped(n, now);
}

static void drain(void)
{
	godwit_event e;

	while (godwit_node_next_event(a.node, &e))
		;
	while (godwit_node_next_event(b.node, &e)) {
		size_t len;

		if (e.type != GODWIT_EVENT_STREAM)
			continue;
		b.stream = e.stream;
		for (;;) {
			godwit_stream_read(b.stream, &len);
			if (len == 0)
				break;
			b.received += len;
			godwit_stream_consume(b.stream, len);
		}
	}
}

static void turn(void)
{
	drain();
	clock_now += GW_MSEC;
	godwit_node_process(b.node);
	godwit_node_process(a.node);
	drain();
}

/* A message goes from a to b. */
static void say(void)
{
	size_t before = b.received;
	int turns = 0;

	assert_int_equal(godwit_stream_write(a.stream, "hello", 5), 5);
	for (; b.received < before + 5; turns++) {
		assert_true(turns < PATIENCE);
		turn();
	}
}

static int setup(void **state)
{
	char endpoint[GODWIT_ENDPOINT_SIZE];
	godwit_options o;

	(void)state;
	overdue = false;
	jumps = 0;
	memset(&a, 0, sizeof(a));
	memset(&b, 0, sizeof(b));
	godwit_options_init(&o);
	o.ephemeral = true;
	o.listen = "127.0.0.1:0";
	assert_int_equal(godwit_node_new(&a.node, &o), 0);
	assert_int_equal(godwit_node_new(&b.node, &o), 0);
	godwit_node_key(b.node, b.key);
	assert_int_equal(godwit_node_endpoints(b.node, &endpoint, 1), 1);
	assert_int_equal(godwit_add_endpoint(a.node, b.key, endpoint), 0);
	assert_int_equal(godwit_listen(b.node, "sink", GODWIT_NEVER), 0);
	assert_int_equal(godwit_allow(b.node, "sink", NULL), 0);
	assert_int_equal(godwit_stream_open(a.node, b.key, "sink", &a.stream), 0);
	say();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	godwit_node_free(a.node);
	godwit_node_free(b.node);
	return 0;
}

static void overdue_core_is_no_gap(void **state)
{
	(void)state;
	overdue = true;
	for (int i = 0; i < ROUNDS; i++)
		say();
	assert_int_equal(jumps, 0);
}

/* The node is woken so long after it wanted to be. */
static void wake(gw_time late)
{
	assert_true(a.node->due != GW_NEVER);
	clock_now = a.node->due + late;
	godwit_node_process(a.node);
	drain();
}

static void late_wake_up_is_no_gap(void **state)
{
	(void)state;
	wake(2 * GW_SEC - GW_MSEC);
	assert_int_equal(jumps, 0);
}

static void stopped_process_is_noticed_once(void **state)
{
	(void)state;
	wake(2 * GW_SEC + GW_MSEC);
	assert_int_equal(jumps, 1);
	for (int i = 0; i < ROUNDS; i++)
		say();
	assert_int_equal(jumps, 1);
	assert_int_equal(godwit_stream_error(a.stream), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(overdue_core_is_no_gap, setup, teardown),
		cmocka_unit_test_setup_teardown(late_wake_up_is_no_gap, setup, teardown),
		cmocka_unit_test_setup_teardown(stopped_process_is_noticed_once, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
