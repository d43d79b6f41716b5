/* tests/unit/core_answer.c - when packets are answered, and how many leave at once. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "core_pair.h"

#include "core/connection.h"
#include "quic/quic.h"

/* At once: more packets than make it bulk, fewer than are answered at once. */
enum { CHUNK = 8192, CHUNKS = 5 };

static int setup(void **state)
{
	static struct pair pair;

	pair_init(&pair);
	pair.together = true;
	pair.n[0].config.bbr = pair.n[1].config.bbr = false; /* what may be sent leaves at once */
	*state = &pair;
	return 0;
}

static int teardown(void **state)
{
	pair_clear(*state);
	return 0;
}

static struct connection *used(const struct pair *p, int i)
{
	struct peer *peer = node_peer_next(p->n[i].node, NULL);

	assert_non_null(peer);
	assert_non_null(peer->used);
	return peer->used;
}

/* --- a transfer from 0 to 1 --- */

struct transfer {
	struct stream *from, *to;
};

static void begin(struct pair *p, struct transfer *t)
{
	pair_start_both(p);
	t->from = pair_open_taken(p, &t->to);
	pair_run(p, GW_SEC);
}

static void fill(struct pair *p, struct transfer *t)
{
	static const uint8_t zeros[CHUNK];

	pair_read(p, t->to, NULL, SIZE_MAX);
	for (int i = 0; i < CHUNKS; i++)
		stream_write(t->from, zeros, sizeof(zeros), p->now);
}

static bool is_put_off(struct pair *p, void *user)
{
	(void)user;
	return used(p, 1)->answer_at != GW_NEVER;
}

/* Until node 1 has packets that it does not answer yet; how long it means to wait. */
static gw_time run_until_put_off(struct pair *p, struct transfer *t)
{
	for (int i = 0; i < 100; i++) {
		fill(p, t);
		if (pair_until(p, is_put_off, NULL, 4 * p->delay))
			return used(p, 1)->answer_at - p->now;
	}
	fail_msg("always answered at once");
	return 0;
}

/* The rest arrives, and all is answered. */
static void settle(struct pair *p, struct transfer *t)
{
	pair_run(p, GW_SEC);
	pair_read(p, t->to, NULL, SIZE_MAX);
	pair_run(p, GW_SEC);
}

/* --- put off --- */

static void expect_wait(struct pair *p, struct transfer *t, gw_time expected)
{
	uint64_t sent;
	gw_time wait;

	wait = run_until_put_off(p, t);
	assert_int_equal(wait, expected ? expected : connection_rtt(used(p, 1)) / 4);
	sent = p->n[1].sent;
	pair_run(p, wait - 1);
	assert_int_equal(p->n[1].sent, sent);
	assert_true(used(p, 1)->n_unanswered > 0);
	pair_run(p, 1);
	assert_int_equal(p->n[1].sent, sent + 1);
	assert_int_equal(used(p, 1)->n_unanswered, 0);
}

static void test_a_quarter_of_the_round_trip(void **state)
{
	struct transfer t;

	begin(*state, &t);
	expect_wait(*state, &t, 0);
}

/* A path that has become long: one that always was is paced, and bulk comes in small pieces. */
static void test_a_millisecond_at_most(void **state)
{
	struct pair *p = *state;
	struct transfer t;

	p->delay = 20 * GW_USEC;
	begin(p, &t);
	p->delay = 40 * GW_MSEC;
	for (int i = 0; i < 100 && connection_rtt(used(p, 1)) < 40 * GW_MSEC; i++) {
		assert_int_equal(stream_write(t.to, "x", 1, p->now), 1);
		pair_run(p, GW_SEC);
		pair_read(p, t.from, NULL, SIZE_MAX);
	}
	expect_wait(p, &t, GW_MSEC);
}

static void test_a_little_at_least(void **state)
{
	struct pair *p = *state;
	struct transfer t;

	p->delay = 20 * GW_USEC;
	begin(p, &t);
	expect_wait(p, &t, 200 * GW_USEC);
}

/* An answer that was put off does not end it. */
static void test_bulk_goes_on(void **state)
{
	struct pair *p = *state;
	struct transfer t;

	begin(p, &t);
	run_until_put_off(p, &t);
	for (int i = 0; i < 5; i++) {
		uint64_t sent = p->n[1].sent;

		pair_run(p, 2 * p->delay);
		assert_int_equal(p->n[1].sent, sent + 1);
		assert_false(is_put_off(p, NULL));
		fill(p, &t);
		pair_run(p, p->delay);
		assert_true(is_put_off(p, NULL));
	}
}

/* --- at once --- */

/* Two packets at the same moment: one alone is for ngtcp2 to put off. */
static void expect_answered_at_once(struct pair *p, struct transfer *t)
{
	static const uint8_t zeros[2000];
	uint64_t sent = p->n[1].sent;

	assert_int_equal(stream_write(t->from, zeros, sizeof(zeros), p->now), sizeof(zeros));
	pair_run(p, p->delay - 1);
	assert_int_equal(p->n[1].sent, sent);
	pair_run(p, 1);
	assert_int_equal(p->n[1].sent, sent + 1);
}

static void test_few_packets(void **state)
{
	struct transfer t;

	begin(*state, &t);
	expect_answered_at_once(*state, &t);
}

static void test_bulk_ends(void **state)
{
	struct pair *p = *state;
	struct transfer t;

	begin(p, &t);
	run_until_put_off(p, &t);
	settle(p, &t);
	for (int i = 0; i < 3; i++) {
		static const uint8_t byte;

		assert_int_equal(stream_write(t.from, &byte, 1, p->now), 1);
		settle(p, &t); /* the first one may wait in vain */
		expect_answered_at_once(p, &t);
		settle(p, &t);
	}
}

static void test_ping(void **state)
{
	struct pair *p = *state;
	struct transfer t;
	uint64_t id;

	begin(p, &t);
	run_until_put_off(p, &t);
	assert_int_equal(node_ping(p->n[0].node, p->n[1].id.key, &id, p->now), 0);
	pair_run(p, p->delay);
	assert_true(is_put_off(p, NULL) || used(p, 1)->n_unanswered == 0);
	settle(p, &t);
	assert_int_equal(p->n[0].pongs, 1);
	assert_int_equal(p->n[0].pong_rtt, 2 * p->delay);
}

static void test_message_carries_the_answer(void **state)
{
	struct pair *p = *state;
	struct transfer t;
	uint64_t sent;

	begin(p, &t);
	run_until_put_off(p, &t);
	sent = p->n[1].sent;
	assert_int_equal(stream_write(t.to, "answer", 6, p->now), 6);
	pair_run(p, 0);
	assert_int_equal(p->n[1].sent, sent + 1);
	assert_int_equal(used(p, 1)->n_unanswered, 0);
	assert_int_equal(used(p, 1)->answer_at, GW_NEVER);
}

/* Noise does not count: anybody can send it. */
static void test_many_packets(void **state)
{
	struct pair *p = *state;
	struct transfer t;
	struct connection *c;
	uint64_t sent;

	begin(p, &t);
	run_until_put_off(p, &t);
	c = used(p, 1);
	sent = p->n[1].sent;
	p->delay = 0;
	while (p->n[1].sent == sent) {
		struct path path = { .local = p->n[1].at, .ifindex = 1, .remote = p->n[0].at };
		uint8_t noise[100] = { 0x40 };
		size_t before = c->n_unanswered;
		ngtcp2_cid ids[8];

		assert_true(before < 128 && is_put_off(p, NULL));
		ngtcp2_conn_get_scid(c->quic, ids);
		memcpy(noise + 1, ids[0].data, ids[0].datalen);
		node_receive(p->n[1].node, &path, noise, sizeof(noise), p->now);
		assert_int_equal(c->n_unanswered, before);
		assert_int_equal(stream_write(t.from, "x", 1, p->now), 1);
		pair_run(p, 0);
		assert_int_equal(c->n_unanswered, before == 127 ? 0 : before + 1);
	}
	assert_int_equal(p->n[1].sent, sent + 1);
}

/* --- one packet --- */

static void begin_near(struct pair *p, struct transfer *t)
{
	p->delay = 20 * GW_USEC;
	begin(p, t);
}

static void send_one(struct pair *p, struct transfer *t)
{
	assert_int_equal(stream_write(t->from, "question", 8, p->now), 8);
	pair_run(p, p->delay);
}

static void test_one_waits_on_a_near_path(void **state)
{
	struct pair *p = *state;
	struct transfer t;
	uint64_t sent;

	begin_near(p, &t);
	sent = p->n[1].sent;
	send_one(p, &t);
	assert_true(is_put_off(p, NULL));
	pair_run(p, 200 * GW_USEC - 1);
	assert_int_equal(p->n[1].sent, sent);
	pair_run(p, 1);
	assert_int_equal(p->n[1].sent, sent + 1);
	assert_false(is_put_off(p, NULL));
	pair_run(p, 10 * GW_MSEC);
	assert_int_equal(p->n[1].sent, sent + 1);
	assert_int_equal(used(p, 0)->in_flight, 0);
}

static void test_two_do_not_wait(void **state)
{
	struct transfer t;

	begin_near(*state, &t);
	expect_answered_at_once(*state, &t);
}

/* The sender is to hear of a gap. */
static void test_what_comes_out_of_order_does_not_wait(void **state)
{
	static const uint8_t zeros[4000];
	struct pair *p = *state;
	struct transfer t;
	uint64_t sent;

	begin_near(p, &t);
	send_one(p, &t);
	assert_true(is_put_off(p, NULL));
	p->n[1].cut = true;
	send_one(p, &t);
	p->n[1].cut = false;
	sent = p->n[1].sent;
	assert_int_equal(stream_write(t.from, zeros, sizeof(zeros), p->now), sizeof(zeros));
	pair_run(p, p->delay);
	assert_int_equal(p->n[1].sent, sent + 1);
}

/* On a longer path ngtcp2 waits long enough by itself. */
static void test_one_on_a_long_path(void **state)
{
	struct pair *p = *state;
	struct transfer t;

	begin(p, &t);
	send_one(p, &t);
	assert_false(is_put_off(p, NULL));
}

static void test_who_is_near(void **state)
{
	struct pair *p = *state;
	struct transfer t;

	begin_near(p, &t);
	assert_false(node_is_near(p->n[1].node, p->now)); /* nothing has come for a while */
	send_one(p, &t);
	assert_true(node_is_near(p->n[1].node, p->now));
	pair_run(p, 11 * GW_MSEC);
	assert_false(node_is_near(p->n[1].node, p->now));
}

static void test_who_is_not_near(void **state)
{
	struct pair *p = *state;
	struct transfer t;

	begin(p, &t);
	send_one(p, &t);
	assert_false(node_is_near(p->n[1].node, p->now));
}

/* Questions and answers: one datagram each way, and none of acknowledgements alone. */
static void test_answers_carry_acknowledgements(void **state)
{
	struct pair *p = *state;
	struct transfer t;
	uint64_t sent[2];

	begin_near(p, &t);
	for (int i = 0; i < 2; i++)
		sent[i] = p->n[i].sent;
	for (uint64_t i = 1; i <= 20; i++) {
		send_one(p, &t);
		pair_run(p, 50 * GW_USEC); /* the program thinks */
		assert_int_equal(stream_write(t.to, "answer", 6, p->now), 6);
		pair_run(p, p->delay + 50 * GW_USEC);
		assert_int_equal(p->n[0].sent, sent[0] + i);
		assert_int_equal(p->n[1].sent, sent[1] + i);
		assert_int_equal(used(p, 0)->in_flight, 0);
		pair_read(p, t.to, NULL, SIZE_MAX);
		pair_read(p, t.from, NULL, SIZE_MAX);
	}
}

/* --- batches --- */

static size_t packets_max;

static void count_packets(struct pair *p, int i, const struct batch *b)
{
	size_t n = (b->len + b->segment - 1) / b->segment;
	struct peer *peer = node_peer_next(p->n[i].node, NULL);

	if (i != 0 || !peer || !peer->used ||
	    n * b->segment <= ngtcp2_conn_get_send_quantum(peer->used->quic) + b->segment)
		return;
	if (n > packets_max)
		packets_max = n;
}

/* BBR's quantum is ten packets where the round trip is short. */
static void test_larger_batches(void **state)
{
	struct pair *p = *state;
	struct transfer t;

	p->n[0].config.bbr = true;
	p->delay = 20 * GW_USEC;
	p->rate = 200 * 1000 * 1000;
	begin(p, &t);
	packets_max = 0;
	p->on_batch = count_packets;
	for (int i = 0; i < 2000; i++) {
		fill(p, &t);
		pair_run(p, 100 * GW_USEC);
	}
	assert_true(packets_max > 10 && packets_max <= 64);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_quarter_of_the_round_trip, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_millisecond_at_most, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_little_at_least, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bulk_goes_on, setup, teardown),
		cmocka_unit_test_setup_teardown(test_few_packets, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bulk_ends, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ping, setup, teardown),
		cmocka_unit_test_setup_teardown(test_message_carries_the_answer, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many_packets, setup, teardown),
		cmocka_unit_test_setup_teardown(test_one_waits_on_a_near_path, setup, teardown),
		cmocka_unit_test_setup_teardown(test_two_do_not_wait, setup, teardown),
		cmocka_unit_test_setup_teardown(test_what_comes_out_of_order_does_not_wait, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_one_on_a_long_path, setup, teardown),
		cmocka_unit_test_setup_teardown(test_who_is_near, setup, teardown),
		cmocka_unit_test_setup_teardown(test_who_is_not_near, setup, teardown),
		cmocka_unit_test_setup_teardown(test_answers_carry_acknowledgements, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_larger_batches, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
