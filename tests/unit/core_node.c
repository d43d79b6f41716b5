/* tests/unit/core_node.c - two nodes meet: handshake, refusals, pings, goodbyes. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "core_pair.h"

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

static struct peer_info only_peer(const struct node *n)
{
	struct peer_info info;
	struct peer *peer = node_peer_next(n, NULL);

	assert_non_null(peer);
	assert_null(node_peer_next(n, peer));
	peer_describe(peer, &info);
	return info;
}

static void test_connect(void **state)
{
	struct pair *p = *state;
	struct peer_info a, b;
	struct node_stats st;

	pair_start_both(p);
	assert_int_equal(node_dial(p->n[0].node, p->n[1].id.key, p->now), 0);
	assert_true(pair_wait_connected(p));
	a = only_peer(p->n[0].node);
	b = only_peer(p->n[1].node);
	assert_int_equal(a.state, PEER_CONNECTED);
	assert_int_equal(b.state, PEER_CONNECTED);
	assert_memory_equal(a.key, p->n[1].id.key, KEY_SIZE);
	assert_memory_equal(b.key, p->n[0].id.key, KEY_SIZE);
	assert_true(addr_equal(&a.path.remote, &p->n[1].at));
	assert_true(addr_equal(&b.path.remote, &p->n[0].at));
	node_stats_get(p->n[0].node, &st);
	assert_int_equal(st.connections, 1);
	assert_int_equal(p->n[0].connected, 1);
	assert_true(node_incarnation(p->n[0].node) != node_incarnation(p->n[1].node));
}

static void test_self_is_refused(void **state)
{
	struct pair *p = *state;
	struct stream *s;

	pair_start(p, 0, true);
	assert_int_equal(node_add_endpoint(p->n[0].node, p->n[0].id.key, &p->n[1].at, p->now),
			 GW_E_SELF);
	assert_int_equal(node_stream_open(p->n[0].node, p->n[0].id.key, "echo", &s, p->now),
			 GW_E_SELF);
}

/* Node 0 believes that node 2's key is at node 1's address. */
static void test_wrong_server_key(void **state)
{
	struct pair *p = *state;

	pair_start(p, 0, true);
	pair_start(p, 1, true);
	assert_int_equal(node_add_endpoint(p->n[0].node, p->n[2].id.key, &p->n[1].at, p->now), 0);
	assert_int_equal(node_dial(p->n[0].node, p->n[2].id.key, p->now), 0);
	pair_run(p, 20 * GW_SEC);
	assert_true(p->n[0].failed > 0);
	assert_true(p->n[0].error < 0);
	assert_int_equal(p->n[0].connected, 0);
	assert_int_equal(p->n[1].connected, 0);
}

static void test_unwelcome_client_key(void **state)
{
	struct pair *p = *state;

	pair_start(p, 0, true);
	pair_start(p, 1, false);
	pair_know(p, 0, 1);
	assert_false(node_welcomes(p->n[1].node, p->n[0].id.key));
	assert_int_equal(node_dial(p->n[0].node, p->n[1].id.key, p->now), 0);
	pair_run(p, 20 * GW_SEC);
	assert_true(p->n[0].failed > 0);
	assert_int_equal(p->n[0].error, GW_E_UNREACHABLE);
	assert_int_equal(p->n[1].sent, 0); /* not a word */
	assert_int_equal(p->n[0].connected, 0);
	assert_int_equal(p->n[1].connected, 0);

	/* Another key's welcome is not ours; ours is. */
	pair_allow(p, 1, "echo", 2);
	node_dial(p->n[0].node, p->n[1].id.key, p->now);
	pair_run(p, 20 * GW_SEC);
	assert_int_equal(p->n[0].connected, 0);
	pair_allow(p, 1, "echo", 0);
	assert_true(node_welcomes(p->n[1].node, p->n[0].id.key));
	node_dial(p->n[0].node, p->n[1].id.key, p->now);
	assert_true(pair_wait_connected(p));
}

static void test_nobody_there(void **state)
{
	struct pair *p = *state;

	pair_start(p, 0, true);
	pair_know(p, 0, 1);
	assert_int_equal(node_dial(p->n[0].node, p->n[1].id.key, p->now), 0);
	pair_run(p, 60 * GW_SEC);
	assert_true(p->n[0].failed > 0);
	assert_int_equal(p->n[0].error, GW_E_UNREACHABLE);
}

static void test_ping(void **state)
{
	struct pair *p = *state;
	uint64_t id = 0;

	pair_start_both(p);
	assert_int_equal(node_ping(p->n[0].node, p->n[1].id.key, &id, p->now), 0);
	pair_run(p, GW_SEC); /* dials first */
	assert_int_equal(p->n[0].pongs, 1);
	assert_int_equal(p->n[0].pong_id, id);
	assert_int_equal(node_ping(p->n[0].node, p->n[1].id.key, &id, p->now), 0);
	pair_run(p, GW_SEC);
	assert_int_equal(p->n[0].pongs, 2);
	assert_int_equal(p->n[0].pong_id, id);
	assert_int_equal(p->n[0].pong_rtt, 2 * GW_MSEC); /* the wire's delay, twice */
	assert_int_equal(p->n[1].pongs, 0);
}

static void test_exit_is_told(void **state)
{
	struct pair *p = *state;
	struct stream *s, *taken;

	pair_start_both(p);
	s = pair_open_taken(p, &taken);
	node_close(p->n[1].node, p->now);
	assert_true(pair_wait_flags(p, 0, s, STREAM_FAILED));
	assert_int_equal(stream_error(s), GW_E_EXITED);
	stream_release(s, p->now);
}

static void test_restart_is_noticed(void **state)
{
	struct pair *p = *state;
	struct stream *s, *taken;

	pair_start_both(p);
	s = pair_open_taken(p, &taken);
	assert_true(stream_write(s, "lost", 4, p->now) == 4);
	pair_run(p, 100 * GW_MSEC);
	pair_kill(p, 1);
	pair_run(p, 100 * GW_MSEC);
	pair_start(p, 1, true);
	assert_true(stream_write(s, "more", 4, p->now) == 4);
	assert_true(pair_wait_flags(p, 0, s, STREAM_FAILED));
	assert_int_equal(stream_error(s), GW_E_RESTARTED);
	assert_int_equal(p->n[1].n_incoming, 0);
	stream_release(s, p->now);
}

static void test_newer_incarnation_wins(void **state)
{
	struct pair *p = *state;
	struct stream *s, *taken;

	p->n[2].id = p->n[0].id;
	pair_start_both(p);
	s = pair_open_taken(p, &taken);
	pair_start(p, 2, true);
	pair_know(p, 2, 1);
	assert_int_equal(node_dial(p->n[2].node, p->n[1].id.key, p->now), 0);
	pair_run(p, 5 * GW_SEC);
	assert_int_equal(p->n[0].in_use, 1);
	assert_int_equal(p->n[2].in_use, 0);
	assert_true(pair_flags(p, 1, taken) & STREAM_FAILED);
	assert_int_equal(stream_error(taken), GW_E_RESTARTED);
	assert_true(stream_error(s) < 0);
	stream_release(s, p->now);
	stream_release(taken, p->now);
}

static void test_transient_lives_beside(void **state)
{
	struct pair *p = *state;
	struct stream *s, *taken, *other;
	char text[8];

	p->n[2].id = p->n[0].id;
	p->n[2].config.transient = true;
	pair_start_both(p);
	s = pair_open_taken(p, &taken);
	pair_start(p, 2, true);
	pair_know(p, 2, 1);
	assert_int_equal(node_stream_open(p->n[2].node, p->n[1].id.key, "echo", &other, p->now), 0);
	assert_true(stream_write(other, "other", 5, p->now) == 5);
	assert_ptr_not_equal(pair_wait_incoming(p, 1, 2), taken);
	assert_true(stream_write(s, "mine", 4, p->now) == 4);
	pair_run(p, GW_SEC);
	assert_int_equal(pair_read(p, taken, text, sizeof(text)), 4);
	assert_memory_equal(text, "mine", 4);
	assert_int_equal(pair_read(p, p->n[1].incoming[1], text, sizeof(text)), 5);
	assert_memory_equal(text, "other", 5);
	assert_int_equal(p->n[0].in_use + p->n[2].in_use, 0);
	assert_int_equal(stream_error(s), 0);
}

/* --- what is on the wire --- */

static void test_quic_bit(void **state)
{
	struct pair *p = *state;

	for (uint64_t i = 0; i < 100; i++) {
		pair_init(p);
		rng_seed(&p->n[0].rng, 2 * i + 1000);
		rng_seed(&p->n[1].rng, 2 * i + 1001);
		pair_start_both(p);
		node_dial(p->n[0].node, p->n[1].id.key, p->now);
		assert_true(pair_wait_connected(p));
		pair_run(p, 100 * GW_MSEC);
		assert_true(p->quic_packets >= 6);
		assert_int_equal(p->bit_clear, 0);
		assert_int_equal(p->version_negotiations, 0);
		pair_clear(p);
	}
}

static void expect_silence(struct pair *p, const uint8_t *data, size_t len)
{
	struct path path = { .local = p->n[1].at, .ifindex = 1, .remote = p->n[0].at };
	uint64_t sent = p->n[1].sent;

	node_receive(p->n[1].node, &path, data, len, p->now);
	pair_run(p, 2 * GW_SEC);
	assert_int_equal(p->n[1].sent, sent);
}

static void test_strangers_get_no_answer(void **state)
{
	struct pair *p = *state;
	/* long header, version, 8-byte ids */
	uint8_t data[1200] = { 0xc3, 0xba, 0xba, 0xba, 0xba, 8, 1, 2, 3, 4, 5, 6, 7, 8, 8 };

	pair_start(p, 1, true);
	expect_silence(p, data, sizeof(data)); /* unknown version */
	memset(data + 1, 0, 4);
	expect_silence(p, data, sizeof(data)); /* version negotiation */
	data[4] = 1;
	expect_silence(p, data, sizeof(data)); /* version 1, but no Initial */
	expect_silence(p, data, 20);
	data[0] = 0x43;
	expect_silence(p, data, sizeof(data)); /* short header, unknown id */
	expect_silence(p, data, 1);
	expect_silence(p, data, 0);
	data[0] = WIRE_PROBE;
	expect_silence(p, data, WIRE_PROBE_MIN); /* unknown token */
	data[0] = 0x00;
	expect_silence(p, data, sizeof(data));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_connect, setup, teardown),
		cmocka_unit_test_setup_teardown(test_self_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_wrong_server_key, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unwelcome_client_key, setup, teardown),
		cmocka_unit_test_setup_teardown(test_nobody_there, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ping, setup, teardown),
		cmocka_unit_test_setup_teardown(test_exit_is_told, setup, teardown),
		cmocka_unit_test_setup_teardown(test_restart_is_noticed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_newer_incarnation_wins, setup, teardown),
		cmocka_unit_test_setup_teardown(test_transient_lives_beside, setup, teardown),
		cmocka_unit_test_setup_teardown(test_quic_bit, setup, teardown),
		cmocka_unit_test_setup_teardown(test_strangers_get_no_answer, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
