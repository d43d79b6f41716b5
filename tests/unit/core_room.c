/* tests/unit/core_room.c - how much a stream takes from its application before it is sent. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "core_pair.h"

#include "core/peer.h"
#include "core/segment.h"
#include "core/stream.h"

enum { MB = 1 << 20, CWND = 3 * MB };

#define NEAR_PATH (20 * GW_USEC)
#define LONG_PATH (10 * GW_MSEC)

static int setup(void **state)
{
	static struct pair pair;

	pair_init(&pair);
	*state = &pair;
	return 0;
}

static int teardown(void **state)
{
	pair_clear(*state);
	return 0;
}

/* How much fits now. */
static size_t fill(struct pair *p, struct stream *s)
{
	static const uint8_t zeros[65536];
	size_t total = 0;
	ssize_t n;

	while ((n = stream_write(s, zeros, sizeof(zeros), p->now)) > 0)
		total += (size_t)n;
	assert_int_equal(n, 0);
	return total;
}

/* --- a stream that waits for its peer; the path and what was sent are made up --- */

static struct stream *waiting(struct pair *p)
{
	pair_start(p, 0, true);
	return pair_open(p, "echo");
}

static void sent(struct stream *s, size_t len)
{
	struct segment_output o = { .total = len };

	segment_sent(s, &o, len);
}

static void test_before_there_is_a_path(void **state)
{
	struct pair *p = *state;

	assert_int_equal(fill(p, waiting(p)), SEND_AHEAD_MIN);
}

static void test_ahead_is_a_window(void **state)
{
	struct pair *p = *state;
	struct stream *s = waiting(p);

	peer_set_send_ahead(s->peer, CWND, false);
	assert_int_equal(fill(p, s), CWND);
	sent(s, MB);
	assert_int_equal(fill(p, s), MB);
}

static void test_ahead_has_bounds(void **state)
{
	struct pair *p = *state;
	struct stream *s = waiting(p);

	peer_set_send_ahead(s->peer, 10000, false);
	assert_int_equal(fill(p, s), SEND_AHEAD_MIN);
	peer_set_send_ahead(s->peer, 100 * MB, false);
	assert_int_equal(fill(p, s), SEND_AHEAD_MAX - SEND_AHEAD_MIN);
}

/* What is sent and not acknowledged: `times` the window with what is not sent. */
static void expect_held(struct pair *p, bool near, size_t times)
{
	struct stream *s = waiting(p);

	peer_set_send_ahead(s->peer, CWND, near);
	for (size_t i = 0; i < times; i++) {
		assert_int_equal(fill(p, s), CWND);
		sent(s, CWND);
	}
	assert_int_equal(fill(p, s), 0);
	stream_acknowledged(s, MB, p->now);
	assert_int_equal(fill(p, s), MB);
}

static void test_held_on_a_long_path(void **state)
{
	expect_held(*state, false, 4);
}

static void test_held_on_a_near_path(void **state)
{
	expect_held(*state, true, 2);
}

/* Its application hears of room when so much has been sent, and not before. */
static void expect_told_after(struct pair *p, struct stream *s, size_t len)
{
	sent(s, len - 1);
	pair_run(p, 0);
	assert_int_equal(pair_flags(p, 0, s) & STREAM_WRITABLE, 0);
	sent(s, 1);
	pair_run(p, 0);
	assert_int_equal(pair_flags(p, 0, s) & STREAM_WRITABLE, STREAM_WRITABLE);
}

/* Half a window at least: one that is told of each byte writes them one by one. */
static void test_room_is_told_of_when_it_is_worth_it(void **state)
{
	struct pair *p = *state;
	struct stream *s = waiting(p);

	peer_set_send_ahead(s->peer, CWND, false);
	fill(p, s);
	expect_told_after(p, s, CWND / 2);
}

static void test_space_has_the_same_bounds(void **state)
{
	struct pair *p = *state;
	struct stream *s = waiting(p);
	size_t len, total = 0;

	while (stream_write_space(s, &len)) {
		stream_write_commit(s, len, p->now);
		total += len;
	}
	assert_int_equal(len, 0);
	assert_int_equal(total, SEND_AHEAD_MIN);
}

/* --- many streams --- */

/* Two windows for all that have something to send, and a little for each: what waits longer is cold
 * by then. */
static void test_streams_share_two_windows(void **state)
{
	struct pair *p = *state;
	struct stream *s[4];

	s[0] = waiting(p);
	for (int i = 1; i < 4; i++)
		s[i] = pair_open(p, "echo");
	peer_set_send_ahead(s[0]->peer, CWND, false);
	assert_int_equal(fill(p, s[0]), CWND);
	assert_int_equal(fill(p, s[1]), CWND);
	assert_int_equal(fill(p, s[2]), 2 * CWND / 3);
	assert_int_equal(fill(p, s[3]), 2 * CWND / 4);
	sent(s[0], CWND);
	assert_int_equal(fill(p, s[2]), 0);
	assert_int_equal(fill(p, s[3]), 2 * CWND / 3 - 2 * CWND / 4);
	/* Those that end do not count. */
	stream_release(s[1], p->now);
	assert_int_equal(fill(p, s[3]), CWND - 2 * CWND / 3);
	node_check(p->n[0].node);
}

/* Beside very many each has a little, and is told of room as soon as half of that is free. */
static void test_a_little_beside_many(void **state)
{
	struct pair *p = *state;
	struct stream *s = waiting(p);

	for (int i = 0; i < 100; i++) {
		s = pair_open(p, "echo");
		assert_true(fill(p, s) >= SEND_AHEAD_LEAST);
	}
	s = pair_open(p, "echo");
	assert_int_equal(fill(p, s), SEND_AHEAD_LEAST);
	expect_told_after(p, s, SEND_AHEAD_LEAST / 2);
}

static void expect_share(struct pair *p, size_t limit, size_t streams, size_t ahead)
{
	struct stream *s = NULL;

	p->n[0].config.memory_limit = limit;
	pair_start(p, 0, true);
	for (size_t i = 0; i < streams; i++)
		s = pair_open(p, "echo");
	peer_set_send_ahead(s->peer, SEND_AHEAD_MAX, false);
	assert_int_equal(fill(p, s), ahead);
	pair_kill(p, 0);
}

static void test_streams_share_the_memory(void **state)
{
	struct pair *p = *state;

	/* Each may hold four times as much; one share is kept free. */
	expect_share(p, 64 * MB, 1, SEND_AHEAD_MAX);
	expect_share(p, 64 * MB, 3, 4 * MB);
	expect_share(p, 64 * MB, 15, MB);
	expect_share(p, 64 * MB, 127, SEND_AHEAD_MIN);
	expect_share(p, 64 * MB, 255, SEND_AHEAD_MIN / 2);
	expect_share(p, 64 * MB, 1023, INITIAL_WINDOW);
	expect_share(p, 256 * MB, 1023, 2 * INITIAL_WINDOW);
}

/* Also before there is a path, and for those that were there before the others. */
static void test_waiting_streams_share_it_too(void **state)
{
	struct pair *p = *state;
	struct stream *first;

	p->n[0].config.memory_limit = 64 * MB;
	first = waiting(p);
	for (size_t i = 1; i < 255; i++)
		pair_open(p, "echo");
	assert_int_equal(fill(p, first), SEND_AHEAD_MIN / 2);
}

/* --- real paths --- */

static struct stream *transfer(struct pair *p, gw_time delay)
{
	struct stream *s, *taken;

	p->delay = delay;
	p->rate = 50 * MB;
	pair_start_both(p);
	s = pair_open_taken(p, &taken);
	for (int i = 0; i < 1000; i++) {
		fill(p, s);
		pair_run(p, GW_MSEC);
		pair_read(p, taken, NULL, SIZE_MAX);
	}
	return s;
}

static void test_a_near_path(void **state)
{
	struct peer *peer = transfer(*state, NEAR_PATH)->peer;

	assert_int_equal(peer->send_ahead, SEND_AHEAD_MIN);
	assert_int_equal(peer->send_held, 2);
}

static void test_a_long_path(void **state)
{
	struct pair *p = *state;
	struct peer *peer = transfer(p, LONG_PATH)->peer;
	size_t path_holds = p->rate * 2 * LONG_PATH / GW_SEC;

	assert_in_range(peer->send_ahead, path_holds, 4 * path_holds);
	assert_int_equal(peer->send_held, 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_before_there_is_a_path, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ahead_is_a_window, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ahead_has_bounds, setup, teardown),
		cmocka_unit_test_setup_teardown(test_held_on_a_long_path, setup, teardown),
		cmocka_unit_test_setup_teardown(test_held_on_a_near_path, setup, teardown),
		cmocka_unit_test_setup_teardown(test_room_is_told_of_when_it_is_worth_it, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_space_has_the_same_bounds, setup, teardown),
		cmocka_unit_test_setup_teardown(test_streams_share_two_windows, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_little_beside_many, setup, teardown),
		cmocka_unit_test_setup_teardown(test_streams_share_the_memory, setup, teardown),
		cmocka_unit_test_setup_teardown(test_waiting_streams_share_it_too, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_near_path, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_long_path, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
