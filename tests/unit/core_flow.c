/* tests/unit/core_flow.c - how fast a stream goes over a slow path, and what others beside it see. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "core_pair.h"

enum { RATE = 2 << 20 /* bytes a second */, MESSAGE = 64 };

static int setup(void **state)
{
	static struct pair pair;

	pair_init(&pair);
	pair.n[0].config.bbr = pair.n[1].config.bbr = true;
	pair_start_both(&pair);
	*state = &pair;
	return 0;
}

static int teardown(void **state)
{
	pair_clear(*state);
	return 0;
}

/* One bulk stream over a path of that rate. */
struct bulk {
	struct pair *p;
	struct stream *s, *taken;
	size_t received;
};

static void start(struct bulk *b, struct pair *p)
{
	*b = (struct bulk){ .p = p };
	b->s = pair_open_taken(p, &b->taken);
	p->rate = RATE;
}

static void go_on(struct bulk *b, gw_time duration)
{
	static const uint8_t zeros[65536];

	while (stream_write(b->s, zeros, sizeof(zeros), b->p->now) > 0)
		;
	pair_run(b->p, duration);
	b->received += pair_read(b->p, b->taken, NULL, SIZE_MAX);
}

static void test_keeps_the_queue_short(void **state)
{
	struct pair *p = *state;
	gw_time queue = 0;
	struct bulk b;

	p->delay = 10 * GW_MSEC;
	start(&b, p);
	for (int i = 0; i < 3000; i++)
		go_on(&b, GW_MSEC);
	b.received = 0;
	for (int i = 0; i < 1000; i++) {
		go_on(&b, GW_MSEC);
		queue += p->busy_until > p->now ? p->busy_until - p->now : 0;
	}
	assert_true(b.received > RATE / 10 * 9);
	/* The window has room for more than the wire's queue of 20 ms, and would fill it. */
	assert_true(queue / 1000 < 17 * GW_MSEC);
}

static void test_little_goes_before_much(void **state)
{
	struct pair *p = *state;
	struct stream *s, *taken;
	gw_time worst = 0;
	struct bulk b;

	start(&b, p);
	s = pair_open(p, "echo");
	stream_write(s, "", 1, p->now);
	taken = pair_wait_incoming(p, 1, 2);
	for (int i = 0; i < 1000; i++)
		go_on(&b, GW_MSEC);
	pair_read(p, taken, NULL, SIZE_MAX);
	for (int i = 0; i < 50; i++) {
		uint8_t message[MESSAGE] = { 0 };
		gw_time at = p->now, queue = p->busy_until > at ? p->busy_until - at : 0;
		size_t got = 0;

		stream_write(s, message, sizeof(message), at);
		while (got < sizeof(message)) {
			go_on(&b, GW_MSEC / 4);
			got += pair_read(p, taken, NULL, SIZE_MAX);
		}
		worst = time_max(worst, p->now - at - queue);
		go_on(&b, 7 * GW_MSEC);
	}
	/* A turn of the bulk stream takes 16 ms. */
	assert_true(worst < 8 * GW_MSEC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_keeps_the_queue_short, setup, teardown),
		cmocka_unit_test_setup_teardown(test_little_goes_before_much, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
