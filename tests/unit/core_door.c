/* tests/unit/core_door.c - strangers get no answer, whatever they send. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "core_pair.h"

#include "core/types.h"

/* The first datagram that node 0 sends. */
static struct {
	uint8_t data[2048];
	size_t len, count;
} first;

static void keep_first(struct pair *p, int i, const struct batch *b)
{
	(void)p;
	if (i == 0 && first.count++ == 0) {
		first.len = b->segment < b->len ? b->segment : b->len;
		memcpy(first.data, b->data, first.len);
	}
}

static int setup(void **state)
{
	static struct pair pair;

	memset(&first, 0, sizeof(first));
	pair_init(&pair);
	pair.on_batch = keep_first;
	pair_start(&pair, 0, true);
	pair_start(&pair, 1, true);
	pair_know(&pair, 0, 1);
	*state = &pair;
	return 0;
}

static int teardown(void **state)
{
	pair_clear(*state);
	return 0;
}

static void dial(struct pair *p)
{
	assert_int_equal(node_dial(p->n[0].node, p->n[1].id.key, p->now), 0);
}

static uint64_t knocks_dropped(const struct pair *p)
{
	struct node_stats s;

	node_stats_get(p->n[1].node, &s);
	return s.drop_knock;
}

/* Node 1 gets these bytes from there. */
static void give(struct pair *p, const uint8_t *data, size_t len, uint16_t port)
{
	struct path path = { .local = p->n[1].at, .ifindex = 1, .remote = p->n[0].at };

	path.remote.port = port;
	node_receive(p->n[1].node, &path, data, len, p->now);
	pair_run(p, GW_SEC);
}

/* Node 0's first packet, which never comes. */
static void capture(struct pair *p)
{
	p->n[1].cut = true;
	dial(p);
	pair_run(p, 10 * GW_MSEC);
	node_undial(p->n[0].node, p->n[1].id.key, p->now);
	p->n[0].cut = true;
	p->n[1].cut = false;
	assert_true(first.len >= PAYLOAD_MIN);
}

static void test_a_knock_opens(void **state)
{
	struct pair *p = *state;

	capture(p);
	give(p, first.data, first.len, 4001);
	assert_true(p->n[1].sent > 0);
	assert_int_equal(knocks_dropped(p), 0);
}

/* Whatever byte of the header, the knock and the ClientHello is another one. */
static void test_changed_packets(void **state)
{
	struct pair *p = *state;

	capture(p);
	for (size_t at = 0; at < 300; at += 7) {
		uint8_t data[sizeof(first.data)];

		memcpy(data, first.data, first.len);
		data[at] ^= 0x11;
		give(p, data, first.len, (uint16_t)(10000 + at));
		/* What comes behind the knock is sealed, too, by keys that QUIC makes public:
		 * a handshake may begin, and comes to nothing without an answer. */
		assert_int_equal(p->n[1].sent, 0);
	}
	assert_true(knocks_dropped(p) > 0);
}

/* Who does not know our key cannot take the places of those who do. */
static void test_strangers_take_no_place(void **state)
{
	enum { TOKEN = 1 + 4 + 1 + 16 + 1 + 8 + 2 }; /* type, version, ids, length */
	struct pair *p = *state;
	struct path path = { .local = p->n[1].at, .ifindex = 1, .remote = p->n[2].at };
	uint8_t data[sizeof(first.data)];

	capture(p);
	memcpy(data, first.data, first.len);
	data[TOKEN] = RETRY_FIRST;
	data[TOKEN + 1] ^= 1;
	for (uint16_t i = 0; i < 1000; i++) {
		path.remote.port = (uint16_t)(10000 + i);
		node_receive(p->n[1].node, &path, data, first.len, p->now);
	}
	give(p, first.data, first.len, 4001);
	assert_true(p->n[1].sent > 0);
	assert_int_equal(knocks_dropped(p), 1000);
}

static void test_another_key_was_dialled(void **state)
{
	struct pair *p = *state;

	assert_int_equal(node_add_endpoint(p->n[0].node, p->n[2].id.key, &p->n[1].at, p->now), 0);
	assert_int_equal(node_dial(p->n[0].node, p->n[2].id.key, p->now), 0);
	pair_run(p, 10 * GW_SEC);
	assert_int_equal(p->n[1].sent, 0);
	assert_true(knocks_dropped(p) > 0);
	assert_int_equal(p->n[0].error, GW_E_UNREACHABLE);
}

/* Who knocks as one and goes on as another is nobody, though both are allowed. */
static void test_tls_of_another_key(void **state)
{
	struct pair *p = *state;
	struct node_stats stats;

	pair_kill(p, 1);
	pair_start(p, 1, false);
	pair_allow(p, 1, "echo", 0);
	pair_allow(p, 1, "echo", 2);
	knock_self_wipe(p->n[0].node->knock_self);
	assert_int_equal(knock_self_init(p->n[0].node->knock_self, &p->n[2].id), 0);
	dial(p);
	pair_run(p, 10 * GW_SEC);
	node_stats_get(p->n[1].node, &stats);
	assert_true(p->n[1].sent > 0); /* the knock was good */
	assert_int_equal(stats.drop_knock, 0);
	assert_int_equal(stats.handshakes, 0);
	assert_int_equal(p->n[0].connected + p->n[1].connected, 0);
}

static void test_replayed_knock(void **state)
{
	struct pair *p = *state;
	uint64_t sent;

	dial(p);
	assert_true(pair_wait_connected(p));
	pair_run(p, GW_SEC);
	sent = p->n[1].sent;
	for (uint16_t port = 5000; port < 5100; port++)
		give(p, first.data, first.len, port);
	assert_int_equal(p->n[1].sent, sent);
	assert_int_equal(knocks_dropped(p), 100);
	assert_int_equal(node_connections(p->n[1].node), 1);
}

/* Many first packets at once, each valid, from addresses that may be forged: what is kept is bounded, and
 * who is really there comes in by a Retry. */
static void flood(struct pair *p)
{

	p->n[1].cut = true;
	for (int i = 0; i < 200; i++) {
		first.count = 0;
		dial(p);
		pair_run(p, GW_MSEC);
		p->n[1].cut = false;
		{
			struct path path = { .local = p->n[1].at, .ifindex = 1 };

			path.remote = p->n[2].at;
			path.remote.port = (uint16_t)(10000 + i);
			node_receive(p->n[1].node, &path, first.data, first.len, p->now);
		}
		p->n[1].cut = true;
		node_undial(p->n[0].node, p->n[1].id.key, p->now);
		pair_run(p, 2 * GW_MSEC);
	}
}

static void test_flood(void **state)
{
	struct pair *p = *state;
	struct node_stats stats;

	flood(p);
	node_stats_get(p->n[1].node, &stats);
	assert_in_range(node_connections(p->n[1].node), 1, 16); /* of one key */
	assert_in_range(stats.retries, 100, 200);
	p->n[1].cut = false;
	dial(p);
	assert_true(pair_wait_connected(p));
}

/* While others have to show where they are, a knock that was taken is not good enough for a Retry. */
static void test_replay_gets_no_retry(void **state)
{
	struct pair *p = *state;
	struct node_stats before, after;
	uint8_t data[sizeof(first.data)];
	size_t len;

	dial(p);
	pair_run(p, GW_MSEC);
	len = first.len;
	memcpy(data, first.data, len);
	node_undial(p->n[0].node, p->n[1].id.key, p->now);
	pair_run(p, 10 * GW_SEC);
	flood(p);
	node_stats_get(p->n[1].node, &before);
	assert_true(before.retries > 0);
	for (uint16_t port = 5000; port < 5010; port++) {
		struct path path = { .local = p->n[1].at, .ifindex = 1, .remote = p->n[2].at };

		path.remote.port = port;
		node_receive(p->n[1].node, &path, data, len, p->now);
	}
	pair_run(p, 20 * GW_MSEC);
	node_stats_get(p->n[1].node, &after);
	assert_int_equal(after.retries, before.retries);
	assert_int_equal(after.drop_knock, before.drop_knock + 10);
}

/* A knock is known for as long as its time could be taken, also when its sender, whose clock is ahead, had to
 * show where it is. */
static void test_replay_after_retry(void **state)
{
	struct pair *p = *state;
	uint64_t sent, dropped;

	pair_kill(p, 0);
	p->n[0].config.started_ms += 14 * 60 * 1000;
	pair_start(p, 0, true);
	pair_know(p, 0, 1);
	flood(p);
	p->n[1].cut = false;
	first.count = 0;
	dial(p);
	assert_true(pair_wait_connected(p));
	pair_kill(p, 0);
	pair_run(p, 16 * 60 * GW_SEC);
	sent = p->n[1].sent;
	dropped = knocks_dropped(p);
	give(p, first.data, first.len, 4001);
	assert_int_equal(p->n[1].sent, sent);
	assert_int_equal(knocks_dropped(p), dropped + 1);
}

/* --- refusals --- */

static struct {
	uint8_t data[64];
	size_t count;
} refusal;

static void keep_refusal(struct pair *p, int i, const struct batch *b)
{
	(void)p;
	if (i != 1)
		return;
	assert_int_equal(b->len, WIRE_REFUSAL_SIZE);
	memcpy(refusal.data, b->data, b->len);
	refusal.count++;
}

/* Node 1 allows nobody anything; node 0 has a ticket of it, or none. */
static void refuses(struct pair *p, bool ticket)
{
	uint8_t courtesy[TICKET_COURTESY_SIZE];

	pair_kill(p, 1);
	pair_start(p, 1, false);
	node_courtesy(p->n[1].node, courtesy);
	courtesy[7] ^= !ticket;
	assert_int_equal(node_add_courtesy(p->n[0].node, p->n[1].id.key, courtesy, p->now), 0);
	p->on_batch = keep_refusal;
	memset(&refusal, 0, sizeof(refusal));
	dial(p);
}

static void test_who_has_a_ticket_is_told(void **state)
{
	struct pair *p = *state;

	refuses(p, true);
	pair_run(p, 100 * GW_MSEC);
	assert_true(refusal.count > 0);
	assert_int_equal(p->n[0].state, PEER_FAILED);
	assert_int_equal(p->n[0].error, GW_E_DENIED);
}

static void test_who_has_only_the_address_is_not(void **state)
{
	struct pair *p = *state;

	refuses(p, false);
	pair_run(p, 10 * GW_SEC);
	assert_int_equal(p->n[1].sent, 0);
	assert_int_equal(p->n[0].error, GW_E_UNREACHABLE);
}

static void test_forged_refusal(void **state)
{
	struct pair *p = *state;
	struct path path = { .local = p->n[0].at, .ifindex = 1, .remote = p->n[1].at };

	refuses(p, true);
	p->n[0].cut = false;
	for (int i = 0; i < 20 && refusal.count == 0; i++)
		pair_run(p, 500 * GW_USEC); /* sent, and not yet there */
	assert_true(refusal.count > 0);
	assert_int_equal(p->n[0].error, 0);
	for (size_t at = 0; at < WIRE_REFUSAL_SIZE; at++) {
		uint8_t data[WIRE_REFUSAL_SIZE];

		memcpy(data, refusal.data, sizeof(data));
		data[at] ^= 1;
		node_receive(p->n[0].node, &path, data, sizeof(data), p->now);
	}
	node_receive(p->n[0].node, &path, refusal.data, WIRE_REFUSAL_SIZE - 1, p->now);
	pair_run(p, 100 * GW_USEC);
	assert_int_equal(p->n[0].error, 0);
	pair_run(p, 10 * GW_MSEC);
	assert_int_equal(p->n[0].error, GW_E_DENIED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_knock_opens, setup, teardown),
		cmocka_unit_test_setup_teardown(test_changed_packets, setup, teardown),
		cmocka_unit_test_setup_teardown(test_strangers_take_no_place, setup, teardown),
		cmocka_unit_test_setup_teardown(test_another_key_was_dialled, setup, teardown),
		cmocka_unit_test_setup_teardown(test_tls_of_another_key, setup, teardown),
		cmocka_unit_test_setup_teardown(test_replayed_knock, setup, teardown),
		cmocka_unit_test_setup_teardown(test_flood, setup, teardown),
		cmocka_unit_test_setup_teardown(test_replay_gets_no_retry, setup, teardown),
		cmocka_unit_test_setup_teardown(test_replay_after_retry, setup, teardown),
		cmocka_unit_test_setup_teardown(test_who_has_a_ticket_is_told, setup, teardown),
		cmocka_unit_test_setup_teardown(test_who_has_only_the_address_is_not, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_forged_refusal, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
