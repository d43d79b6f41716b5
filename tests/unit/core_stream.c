/* tests/unit/core_stream.c - one stream between two nodes: bytes, ends, resets, limits. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "core_pair.h"

static int setup(void **state)
{
	static struct pair pair;

	pair_init(&pair);
	pair_start_both(&pair);
	*state = &pair;
	return 0;
}

static int teardown(void **state)
{
	pair_clear(*state);
	return 0;
}

static void expect_gone(struct pair *p)
{
	pair_run(p, 2 * GW_SEC);
	assert_int_equal(pair_streams(p, 0), 0);
	assert_int_equal(pair_streams(p, 1), 0);
}

static void test_there_and_back(void **state)
{
	struct pair *p = *state;
	struct stream *s = pair_open(p, "echo"), *taken;
	struct stream_info info;
	char text[32];

	/* written before there is a connection */
	assert_int_equal(stream_write(s, "question", 8, p->now), 8);
	taken = pair_wait_incoming(p, 1, 1);
	stream_describe(taken, &info);
	assert_true(info.incoming);
	assert_string_equal(info.service, "echo");
	assert_memory_equal(info.peer, p->n[0].id.key, KEY_SIZE);
	pair_run(p, 100 * GW_MSEC);
	assert_int_equal(pair_read(p, taken, text, sizeof(text)), 8);
	assert_memory_equal(text, "question", 8);
	assert_true(pair_wait_flags(p, 0, s, STREAM_ANSWERED));
	assert_false(stream_read_finished(taken));

	assert_int_equal(stream_write(taken, "answer", 6, p->now), 6);
	assert_true(pair_wait_flags(p, 0, s, STREAM_READABLE));
	assert_int_equal(pair_read(p, s, text, sizeof(text)), 6);
	assert_memory_equal(text, "answer", 6);

	stream_finish(s, p->now);
	stream_finish(taken, p->now);
	assert_true(pair_wait_flags(p, 0, s, STREAM_DELIVERED));
	assert_true(pair_wait_flags(p, 1, taken, STREAM_DELIVERED));
	assert_true(stream_delivered(s));
	assert_true(stream_read_finished(s));
	assert_true(stream_read_finished(taken));
	assert_int_equal(stream_error(s), 0);
	stream_release(s, p->now);
	stream_release(taken, p->now);
	expect_gone(p);
}

static void test_half_close(void **state)
{
	struct pair *p = *state;
	struct stream *s, *taken;
	char text[16];

	s = pair_open_taken(p, &taken);
	stream_finish(s, p->now);
	assert_true(pair_wait_flags(p, 0, s, STREAM_DELIVERED));
	assert_true(stream_read_finished(taken));
	assert_true(stream_write(s, "x", 1, p->now) < 0);

	/* the other direction goes on */
	for (int i = 0; i < 3; i++) {
		assert_int_equal(stream_write(taken, "still", 5, p->now), 5);
		pair_run(p, 10 * GW_SEC);
		assert_int_equal(pair_read(p, s, text, sizeof(text)), 5);
		assert_false(stream_read_finished(s));
	}
	stream_finish(taken, p->now);
	pair_run(p, GW_SEC);
	assert_true(stream_read_finished(s));
	assert_true(stream_delivered(taken));
	stream_release(s, p->now);
	stream_release(taken, p->now);
	expect_gone(p);
}

static void test_released_after_finish(void **state)
{
	struct pair *p = *state;
	struct stream *s, *taken;
	char text[16];

	s = pair_open_taken(p, &taken);
	stream_finish(taken, p->now);
	pair_run(p, GW_SEC);
	assert_true(stream_read_finished(s));
	assert_int_equal(stream_write(s, "last words", 10, p->now), 10);
	stream_finish(s, p->now);
	stream_release(s, p->now); /* finished both ways: no reset */
	pair_run(p, GW_SEC);
	assert_int_equal(stream_error(taken), 0);
	assert_int_equal(pair_read(p, taken, text, sizeof(text)), 10);
	assert_true(stream_read_finished(taken));
	stream_release(taken, p->now);
	expect_gone(p);
}

static const struct {
	enum stream_code code;
	int error;
} codes[] = {
	{ STREAM_CODE_CANCELLED, GW_E_RESET }, { STREAM_CODE_TARGET, GW_E_TARGET },
	{ STREAM_CODE_DENIED, GW_E_DENIED },   { STREAM_CODE_NO_SERVICE, GW_E_NO_SERVICE },
	{ STREAM_CODE_LIMIT, GW_E_LIMIT },
};

enum { CODES = sizeof(codes) / sizeof(*codes) };

static void test_reset_by_opener(void **state)
{
	struct pair *p = *state;

	for (size_t i = 0; i < CODES; i++) {
		struct stream *s, *taken;

		s = pair_open_taken(p, &taken);
		stream_reset(s, codes[i].code, p->now);
		stream_release(s, p->now);
		pair_run(p, GW_SEC);
		assert_true(pair_flags(p, 1, taken) & STREAM_FAILED);
		assert_int_equal(stream_error(taken), codes[i].error);
		assert_true(stream_write(taken, "x", 1, p->now) < 0);
		stream_release(taken, p->now);
		p->n[0].n_streams = p->n[1].n_streams = 0; /* addresses may be used again */
		expect_gone(p);
	}
}

static void test_reset_by_accepter(void **state)
{
	struct pair *p = *state;

	for (size_t i = 0; i < CODES; i++) {
		struct stream *s, *taken;

		s = pair_open_taken(p, &taken);
		stream_reset(taken, codes[i].code, p->now);
		stream_release(taken, p->now);
		assert_true(pair_wait_flags(p, 0, s, STREAM_FAILED));
		assert_int_equal(stream_error(s), codes[i].error);
		stream_release(s, p->now);
		p->n[0].n_streams = p->n[1].n_streams = 0;
		expect_gone(p);
	}
}

static void test_release_resets(void **state)
{
	struct pair *p = *state;
	struct stream *s, *taken;

	s = pair_open_taken(p, &taken);
	assert_true(stream_write(s, "unfinished", 10, p->now) == 10);
	stream_release(s, p->now);
	assert_true(pair_wait_flags(p, 1, taken, STREAM_FAILED));
	assert_int_equal(stream_error(taken), GW_E_RESET);
	stream_release(taken, p->now);
	expect_gone(p);
}

static void refused(struct pair *p, const char *service, int error)
{
	struct stream *s = pair_open(p, service);

	assert_true(pair_wait_flags(p, 0, s, STREAM_FAILED));
	assert_int_equal(stream_error(s), error);
	assert_false(pair_flags(p, 0, s) & STREAM_ANSWERED);
	assert_int_equal(p->n[1].n_incoming, 0);
	stream_release(s, p->now);
	p->n[0].n_streams = 0;
}

static void test_services(void **state)
{
	struct pair *p = *state;
	struct stream *s;

	assert_int_equal(node_listen(p->n[1].node, "private", GW_NEVER), 0);
	assert_int_equal(node_listen(p->n[1].node, "private", GW_NEVER), GW_E_EXISTS);
	refused(p, "private", GW_E_DENIED);
	refused(p, "nothing", GW_E_NO_SERVICE);
	assert_int_equal(node_stream_open(p->n[0].node, p->n[1].id.key, "Not A Name", &s, p->now),
			 GW_E_INVALID);
	pair_allow(p, 1, "private", 2);
	refused(p, "private", GW_E_DENIED);
	node_unlisten(p->n[1].node, "echo");
	refused(p, "echo", GW_E_NO_SERVICE);

	pair_allow(p, 1, "private", 0);
	s = pair_open(p, "private");
	stream_release(pair_wait_incoming(p, 1, 1), p->now);
	stream_release(s, p->now);
	expect_gone(p);
}

/* The peer refuses, its answer is lost, but later bytes are acknowledged: on the next connection
 * the stream begins behind them, and is refused again. */
static void test_refusal_lost_in_a_move(void **state)
{
	struct pair *p = *state;
	struct stream *s;

	assert_int_equal(node_dial(p->n[0].node, p->n[1].id.key, p->now), 0);
	assert_true(pair_wait_connected(p));
	pair_run(p, GW_SEC);
	s = pair_open(p, "nothing");
	pair_run(p, 100 * GW_USEC);
	p->n[0].cut = true; /* what is under way arrives, the answer does not */
	pair_run(p, 1500 * GW_USEC);
	p->n[0].cut = false;
	/* One acknowledgement, and soon: ngtcp2 1.x adds a PING to them after a round trip, and what
	 * answers that tells the peer of its loss. */
	for (int i = 0; i < 2; i++) {
		assert_int_equal(stream_write(s, "more", 4, p->now), 4);
		pair_run(p, 100 * GW_USEC);
	}
	pair_run(p, 4 * GW_MSEC);
	assert_false(pair_flags(p, 0, s) & STREAM_FAILED);
	node_debug_move(p->n[0].node, p->now);
	assert_true(pair_wait_flags(p, 0, s, STREAM_FAILED));
	assert_int_equal(stream_error(s), GW_E_NO_SERVICE);
	assert_true(p->n[0].connected <= 3);
	stream_release(s, p->now);
	expect_gone(p);
}

/* Fill until nothing more fits and time changes nothing; the total. */
static size_t fill(struct pair *p, struct stream *s)
{
	static uint8_t data[16384];
	size_t total = 0;

	for (int idle = 0; idle < 3;) {
		ssize_t n = stream_write(s, data, sizeof(data), p->now);

		assert_true(n >= 0);
		total += (size_t)n;
		idle = n ? 0 : idle + 1;
		assert_true(total < 64 << 20);
		if (!n)
			pair_run(p, 5 * GW_SEC);
	}
	return total;
}

static void test_reader_stops_writer(void **state)
{
	struct pair *p = *state;
	struct stream *s, *taken, *other;
	struct node_stats st;
	size_t written, read;
	char text[8];

	p->n[1].config.memory_limit = 1 << 20;
	pair_kill(p, 1);
	pair_start(p, 1, true);
	s = pair_open_taken(p, &taken);
	written = fill(p, s);
	node_stats_get(p->n[1].node, &st);
	assert_true(st.memory > 0);
	assert_true(st.memory <= (1 << 20) + (64 << 10)); /* the limit, and the chunks' rest */
	assert_false(pair_flags(p, 0, s) & STREAM_FAILED);

	/* its neighbour is not held up */
	other = pair_open(p, "echo");
	assert_int_equal(stream_write(other, "through", 7, p->now), 7);
	pair_wait_incoming(p, 1, 2);
	pair_run(p, GW_SEC);
	assert_int_equal(pair_read(p, p->n[1].incoming[1], text, sizeof(text)), 7);

	/* reading starts it again; all bytes come */
	stream_finish(s, p->now);
	for (read = 0; !stream_read_finished(taken);) {
		size_t n = pair_read(p, taken, NULL, SIZE_MAX);

		read += n;
		assert_true(n > 0 || !stream_error(taken));
		pair_run(p, 10 * GW_MSEC);
		assert_true(read <= written);
	}
	assert_int_equal(read, written);
}

static void test_writable_comes_after_a_short_write(void **state)
{
	struct pair *p = *state;
	struct stream *s, *taken;
	uint8_t *space;
	size_t len;

	s = pair_open_taken(p, &taken);
	fill(p, s);
	space = stream_write_space(s, &len);
	assert_null(space);
	p->n[0].n_streams = 0;
	pair_read(p, taken, NULL, SIZE_MAX);
	assert_true(pair_wait_flags(p, 0, s, STREAM_WRITABLE));
	space = stream_write_space(s, &len);
	assert_non_null(space);
	assert_true(len > 0);
}

static void test_parked_out(void **state)
{
	struct pair *p = *state;
	struct stream *s, *taken;

	s = pair_open_taken(p, &taken);
	stream_set_park_timeout(s, 20 * GW_SEC);
	assert_int_equal(stream_write(s, "x", 1, p->now), 1);
	p->n[1].cut = true;
	pair_run(p, 19 * GW_SEC);
	assert_int_equal(stream_error(s), 0);
	pair_run(p, 60 * GW_SEC);
	assert_true(pair_flags(p, 0, s) & STREAM_FAILED);
	assert_int_equal(stream_error(s), GW_E_PARKED_OUT);
	stream_release(s, p->now);
}

static void test_outlives_an_outage(void **state)
{
	struct pair *p = *state;
	struct stream *s, *taken;
	char text[8];

	s = pair_open_taken(p, &taken);
	p->n[1].cut = true;
	assert_int_equal(stream_write(s, "before", 6, p->now), 6);
	pair_run(p, 600 * GW_SEC);
	p->n[1].cut = false;
	pair_run(p, 3 * GW_SEC); /* dials each second */
	assert_int_equal(pair_read(p, taken, text, sizeof(text)), 6);
	assert_memory_equal(text, "before", 6);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_there_and_back, setup, teardown),
		cmocka_unit_test_setup_teardown(test_half_close, setup, teardown),
		cmocka_unit_test_setup_teardown(test_released_after_finish, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reset_by_opener, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reset_by_accepter, setup, teardown),
		cmocka_unit_test_setup_teardown(test_release_resets, setup, teardown),
		cmocka_unit_test_setup_teardown(test_services, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refusal_lost_in_a_move, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reader_stops_writer, setup, teardown),
		cmocka_unit_test_setup_teardown(test_writable_comes_after_a_short_write, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_parked_out, setup, teardown),
		cmocka_unit_test_setup_teardown(test_outlives_an_outage, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
