/* tests/unit/core_pace.c - what is charged to a connection's rate.  Linked with --wrap: BBR's rate
 * is what a test says. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "core_pair.h"

#include "core/types.h"
#include "quic/quic.h"

enum { CHUNK = 8192, CHUNKS = 10 };

static ngtcp2_conn *slow; /* its rate is RATE */
#define RATE 1.25e-6      /* bytes a nanosecond, 10 kbit/s: what a few small messages make of it */

void __real_ngtcp2_conn_get_conn_stat_versioned(ngtcp2_conn *conn, int version,
						ngtcp2_conn_stat *stat);
void __wrap_ngtcp2_conn_get_conn_stat_versioned(ngtcp2_conn *conn, int version,
						ngtcp2_conn_stat *stat);

void __wrap_ngtcp2_conn_get_conn_stat_versioned(ngtcp2_conn *conn, int version,
						ngtcp2_conn_stat *stat)
{
	__real_ngtcp2_conn_get_conn_stat_versioned(conn, version, stat);
	if (conn == slow)
		stat->pacing_rate = RATE;
}

static int setup(void **state)
{
	static struct pair pair;

	pair_init(&pair);
	pair.delay = 25 * GW_MSEC;
	slow = NULL;
	*state = &pair;
	return 0;
}

static int teardown(void **state)
{
	pair_clear(*state);
	return 0;
}

/* 80 KB each 10 ms, so long. */
static void bulk(struct pair *p, struct stream *from, struct stream *to, gw_time duration)
{
	static const uint8_t zeros[CHUNK];

	for (gw_time end = p->now + duration; p->now < end; pair_run(p, 10 * GW_MSEC)) {
		pair_read(p, to, NULL, SIZE_MAX);
		for (int i = 0; i < CHUNKS; i++)
			stream_write(from, zeros, sizeof(zeros), p->now);
	}
}

/* Acknowledgements go as they are due, whatever the rate: charged to it, those of a bulk transfer
 * would keep a message, or the next window, for seconds. */
static void test_acknowledgements_are_not_charged(void **state)
{
	struct pair *p = *state;
	struct stream *from, *to;

	pair_start_both(p);
	from = pair_open_taken(p, &to);
	bulk(p, from, to, 5 * GW_SEC); /* until windows are large, and granted seldom */
	slow = node_peer_next(p->n[1].node, NULL)->used->quic;
	for (int i = 0; i < 100; i++) {
		uint64_t sent = p->n[1].sent;

		bulk(p, from, to, 100 * GW_MSEC);
		assert_in_range(p->n[1].sent - sent, 10, 5000); /* acknowledgements */
		assert_int_equal(stream_write(to, "message", 7, p->now), 7);
		pair_run(p, p->delay + 50 * GW_MSEC); /* behind a window, perhaps */
		assert_int_equal(pair_read(p, from, NULL, SIZE_MAX), 7);
	}
}

/* Messages are: the burst that a pause earns, then one each 60 ms or so. */
static void test_messages_are_charged(void **state)
{
	struct pair *p = *state;
	struct stream *from, *to;
	uint64_t sent;

	pair_start_both(p);
	from = pair_open_taken(p, &to);
	pair_run(p, GW_SEC);
	slow = node_peer_next(p->n[0].node, NULL)->used->quic;
	sent = p->n[0].sent;
	bulk(p, from, to, GW_SEC);
	assert_in_range(p->n[0].sent - sent, 5, 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_acknowledgements_are_not_charged, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_messages_are_charged, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
