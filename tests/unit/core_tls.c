/* tests/unit/core_tls.c - a connection after its handshake, when its TLS session is gone. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "core_pair.h"

#include "core/types.h"
#include "quic/quic.h"

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

static struct connection *used(const struct pair *p, int i)
{
	struct peer *peer = node_peer_next(p->n[i].node, NULL);

	assert_non_null(peer);
	assert_non_null(peer->used);
	return peer->used;
}

static void send_through(struct pair *p, struct stream *from, struct stream *to)
{
	char text[16];

	assert_int_equal(stream_write(from, "through", 7, p->now), 7);
	pair_run(p, GW_SEC);
	assert_int_equal(pair_read(p, to, text, sizeof(text)), 7);
	assert_memory_equal(text, "through", 7);
}

static void test_session_is_freed(void **state)
{
	struct pair *p = *state;
	struct stream *s, *taken;

	pair_start_both(p);
	s = pair_open_taken(p, &taken);
	for (int i = 0; i < 2; i++) {
		assert_null(used(p, i)->tls.session);
		assert_true(used(p, i)->tls.key_known);
		assert_memory_equal(used(p, i)->tls.key, p->n[1 - i].id.key, KEY_SIZE);
	}
	send_through(p, s, taken);
}

/* Each side in turn; a second one begins only when the first has come to its end. */
static void test_key_update(void **state)
{
	struct pair *p = *state;
	struct stream *s, *taken;

	pair_start_both(p);
	s = pair_open_taken(p, &taken);
	for (int i = 0; i < 8; i++) {
		struct connection *c = used(p, i % 2);

		assert_int_equal(ngtcp2_conn_initiate_key_update(c->quic, p->now), 0);
		assert_int_not_equal(ngtcp2_conn_initiate_key_update(c->quic, p->now), 0);
		send_through(p, s, taken);
		send_through(p, taken, s);
		assert_ptr_equal(used(p, i % 2), c);
	}
	assert_int_equal(node_connections(p->n[0].node), 1);
}

static void test_handshake_comes_again(void **state)
{
	struct pair *p = *state;
	struct stream *s, *taken;
	struct connection *c;

	p->again = 200 * GW_MSEC;
	pair_start_both(p);
	s = pair_open_taken(p, &taken);
	c = used(p, 1);
	assert_null(c->tls.session);
	pair_run(p, GW_SEC);
	send_through(p, s, taken);
	send_through(p, taken, s);
	assert_ptr_equal(used(p, 1), c);
	assert_int_equal(node_connections(p->n[0].node), 1);
}

/* A message of TLS after the handshake: this protocol has none. */
static void test_late_message(void **state)
{
	const uint8_t ticket[8] = { 4, 0, 0, 4, 1, 2, 3, 4 };
	struct pair *p = *state;
	struct stream *s, *taken;
	struct node_stats stats;

	pair_start_both(p);
	s = pair_open_taken(p, &taken);
	assert_int_equal(ngtcp2_conn_submit_crypto_data(used(p, 0)->quic, QUIC_LEVEL_1RTT, ticket,
							sizeof(ticket)),
			 0);
	send_through(p, s, taken);
	node_stats_get(p->n[0].node, &stats);
	assert_int_equal(stats.moves, 1); /* that connection is no more */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_session_is_freed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_key_update, setup, teardown),
		cmocka_unit_test_setup_teardown(test_handshake_comes_again, setup, teardown),
		cmocka_unit_test_setup_teardown(test_late_message, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
