/* tests/unit/core_idle.c - what a connection does that has nothing to say, and after it had. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "core_pair.h"

enum { PERIODS = 8, ROUNDS = 20 };

#define KEEPALIVE (25 * GW_SEC)
#define LONG_SILENCE (20 * GW_SEC)

static int setup(void **state)
{
	static struct pair pair;

	pair_init(&pair);
	pair.n[0].config.bbr = pair.n[1].config.bbr = true;
	*state = &pair;
	return 0;
}

static int teardown(void **state)
{
	pair_clear(*state);
	return 0;
}

static struct node_stats stats(const struct pair *p, int i)
{
	struct node_stats s;

	node_stats_get(p->n[i].node, &s);
	return s;
}

/* The one that was dialled asks, the other answers, the answer is acknowledged. */
static void test_one_side_keeps_it_alive(void **state)
{
	struct pair *p = *state;
	uint64_t asked, answered, dials;
	struct stream *taken;

	pair_start_both(p);
	pair_open_taken(p, &taken);
	pair_run(p, 10 * GW_SEC);
	answered = p->n[0].sent;
	asked = p->n[1].sent;
	dials = stats(p, 0).dials + stats(p, 1).dials;
	pair_run(p, PERIODS * KEEPALIVE + GW_SEC);
	assert_int_equal(p->n[0].sent - answered, PERIODS);
	assert_int_equal(p->n[1].sent - asked, 2 * PERIODS);
	assert_int_equal(stats(p, 0).dials + stats(p, 1).dials, dials);
	assert_int_equal(stats(p, 0).moves + stats(p, 1).moves, 0);
}

static size_t batches;

/* A timer that is overdue looks as if the process had been stopped for so long. */
static void expect_no_overdue_timer(struct pair *p, int i, const struct batch *b)
{
	(void)b;
	batches++;
	assert_true(node_expiry(p->n[i].node) > p->now);
}

static void test_no_timer_stays_behind(void **state)
{
	struct pair *p = *state;
	struct stream *s, *taken;

	p->delay = 20 * GW_USEC;
	pair_start_both(p);
	s = pair_open_taken(p, &taken);
	pair_run(p, GW_SEC);
	p->on_batch = expect_no_overdue_timer;
	for (int i = 0; i < ROUNDS; i++) {
		assert_int_equal(stream_write(s, "ask", 3, p->now), 3);
		pair_run(p, GW_MSEC);
		assert_int_equal(stream_write(taken, "answer", 6, p->now), 6);
		pair_run(p, i & 1 ? GW_MSEC : LONG_SILENCE);
		pair_read(p, s, NULL, SIZE_MAX);
		pair_read(p, taken, NULL, SIZE_MAX);
	}
	assert_true(batches >= 2 * ROUNDS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_one_side_keeps_it_alive, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_timer_stays_behind, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
