/* tests/unit/core_window.c - how much a receiver lets a peer send ahead of its reader. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "core_pair.h"

#include "core/types.h"

enum { STREAMS_MAX = 3, MB = 1 << 20 };

static int setup(void **state)
{
	static struct pair pair;

	pair_init(&pair);
	pair.n[0].config.bbr = pair.n[1].config.bbr = true;
	pair.n[1].config.memory_limit = 1 << 30; /* not what is short, unless said */
	*state = &pair;
	return 0;
}

static int teardown(void **state)
{
	pair_clear(*state);
	return 0;
}

/* Streams from 0 to 1 that always have something to send. */
struct load {
	struct pair *p;
	size_t n;
	struct stream *from[STREAMS_MAX], *to[STREAMS_MAX];
	uint64_t window_max;  /* the most that was granted and not consumed, of one stream ... */
	size_t committed_max; /* ... and of the node */
};

static void add(struct load *l)
{
	l->from[l->n] = pair_open_taken(l->p, &l->to[l->n]);
	l->n++;
}

static void start(struct load *l, struct pair *p, size_t n)
{
	*l = (struct load){ .p = p };
	pair_start_both(p);
	while (l->n < n)
		add(l);
}

static uint64_t window(const struct stream *s)
{
	return s->rx_limit - s->rx.start;
}

static void look(struct load *l)
{
	for (size_t i = 0; i < l->n; i++)
		if (window(l->to[i]) > l->window_max)
			l->window_max = window(l->to[i]);
	if (l->p->n[1].node->committed > l->committed_max)
		l->committed_max = l->p->n[1].node->committed;
}

/* For so long the senders write all they may, and each millisecond the readers read up to `most`. */
static void run(struct load *l, gw_time duration, size_t most)
{
	static const uint8_t zeros[65536];

	for (gw_time until = l->p->now + duration; l->p->now < until;) {
		for (size_t i = 0; i < l->n; i++) {
			while (stream_write(l->from[i], zeros, sizeof(zeros), l->p->now) > 0)
				;
			pair_read(l->p, l->to[i], NULL, most);
		}
		pair_run(l->p, GW_MSEC);
		look(l);
	}
}

/* --- growth --- */

/* It grows fourfold as long as half of it is consumed within four round trips: so it ends between 8
 * and 32 times what the path holds.  The round trip has the wire's queue of 20 ms in it, or not. */
static void expect_window_for(struct pair *p, uint64_t rate, gw_time delay)
{
	uint64_t least = rate * 2 * delay / GW_SEC;
	uint64_t most = rate * (2 * delay + 20 * GW_MSEC) / GW_SEC;
	struct load l;

	p->rate = rate;
	p->delay = delay;
	start(&l, p, 1);
	run(&l, 2 * GW_SEC, SIZE_MAX);
	assert_in_range(l.to[0]->rx_window, 8 * least, 32 * most);
	assert_true(l.window_max <= l.to[0]->rx_window);
}

static void test_grows_with_what_the_path_holds(void **state)
{
	expect_window_for(*state, 4 * MB, 40 * GW_MSEC);
}

static void test_a_faster_path(void **state)
{
	expect_window_for(*state, 16 * MB, 40 * GW_MSEC);
}

static void test_a_shorter_path(void **state)
{
	expect_window_for(*state, MB, 10 * GW_MSEC);
}

static void test_grows_fourfold(void **state)
{
	struct load l;

	start(&l, *state, 1);
	while (l.to[0]->rx_window == ANSWER_WINDOW)
		run(&l, GW_MSEC, SIZE_MAX);
	assert_int_equal(l.to[0]->rx_window, 4 * ANSWER_WINDOW);
}

static void test_not_without_a_reader(void **state)
{
	struct pair *p = *state;
	struct load l;

	start(&l, p, 1);
	run(&l, 10 * GW_SEC, 0);
	assert_int_equal(l.window_max, ANSWER_WINDOW);
	assert_int_equal(pair_read(p, l.to[0], NULL, SIZE_MAX), ANSWER_WINDOW);
}

static void test_not_for_a_slow_reader(void **state)
{
	struct pair *p = *state;
	struct load l;

	p->delay = 10 * GW_MSEC;
	start(&l, p, 1);
	run(&l, 5 * GW_SEC,
	    ANSWER_WINDOW / 2 / 100); /* half of it takes 100 ms, five round trips */
	assert_int_equal(l.window_max, ANSWER_WINDOW);
}

/* --- bounds --- */

static void test_at_most(void **state)
{
	struct pair *p = *state;
	struct load l;

	p->delay = 100 * GW_MSEC;
	p->rate = 32 * MB;
	start(&l, p, 1);
	run(&l, 3 * GW_SEC, SIZE_MAX);
	assert_int_equal(l.to[0]->rx_window, MAX_WINDOW);
	assert_true(l.window_max <= MAX_WINDOW);
}

/* A quarter of the memory is shared by those that read fast; one share is kept free. */
static void test_streams_share_the_memory(void **state)
{
	enum { LIMIT = 8 * MB };
	struct pair *p = *state;
	struct load l;

	p->n[1].config.memory_limit = LIMIT;
	p->delay = 50 * GW_MSEC;
	start(&l, p, 1);
	run(&l, GW_SEC, SIZE_MAX);
	assert_int_equal(l.to[0]->rx_window, LIMIT / 4 / 2);
	assert_true(l.window_max <= LIMIT / 4 / 2);

	while (l.n < 3)
		add(&l);
	run(&l, GW_SEC, SIZE_MAX); /* the first one's shrinks as it is used up */
	l.window_max = l.committed_max = 0;
	run(&l, GW_SEC, SIZE_MAX);
	for (size_t i = 0; i < l.n; i++)
		assert_int_equal(l.to[i]->rx_window, LIMIT / 4 / 4);
	assert_true(l.window_max <= LIMIT / 4 / 4);
	assert_true(l.committed_max <= LIMIT / 4);
}

static void test_new_streams_have_room_beside_fast_ones(void **state)
{
	enum { LIMIT = 4 * MB, FIT = LIMIT / 4 * 3 / INITIAL_WINDOW };
	static const uint8_t zeros[4 * INITIAL_WINDOW];
	struct pair *p = *state;
	struct stream *s = NULL, *taken = NULL;
	struct load l;
	size_t got = 0, written = 0;

	p->n[1].config.memory_limit = LIMIT;
	p->delay = 50 * GW_MSEC;
	start(&l, p, 3);
	run(&l, GW_SEC, SIZE_MAX);
	assert_true(l.window_max > INITIAL_WINDOW);
	for (size_t i = 0; i < FIT; i++) {
		p->n[0].n_streams = p->n[1].n_streams = p->n[1].n_incoming = 0;
		s = pair_open_taken(p, &taken);
	}
	assert_true(p->n[1].node->committed <= LIMIT);

	/* The last one goes on, although they all have more than is shared. */
	for (int i = 0; i < 100 && got < sizeof(zeros); i++) {
		ssize_t n = stream_write(s, zeros, sizeof(zeros) - written, p->now);

		assert_true(n >= 0);
		written += (size_t)n;
		pair_run(p, 20 * GW_MSEC);
		got += pair_read(p, taken, NULL, SIZE_MAX);
	}
	assert_int_equal(got, sizeof(zeros));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_grows_with_what_the_path_holds, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_a_faster_path, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_shorter_path, setup, teardown),
		cmocka_unit_test_setup_teardown(test_grows_fourfold, setup, teardown),
		cmocka_unit_test_setup_teardown(test_not_without_a_reader, setup, teardown),
		cmocka_unit_test_setup_teardown(test_not_for_a_slow_reader, setup, teardown),
		cmocka_unit_test_setup_teardown(test_at_most, setup, teardown),
		cmocka_unit_test_setup_teardown(test_streams_share_the_memory, setup, teardown),
		cmocka_unit_test_setup_teardown(test_new_streams_have_room_beside_fast_ones, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
