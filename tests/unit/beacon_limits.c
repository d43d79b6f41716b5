/* SPDX-License-Identifier: Apache-2.0 */
/* What strangers and greedy clients cannot do to a beacon: docs/threat-model.md. */
#include "beacon_net.h"

#include <stdlib.h>

#include "beacon/internal.h"

static struct net *w;

static int setup(void **state)
{
	(void)state;
	w = malloc(sizeof(*w));
	net_init(w);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	net_clear(w);
	free(w);
	return 0;
}

/* --- handshakes that go nowhere --- */

/* A client's first datagram, from whatever address, and what comes back is lost. */
static void send_initial(uint8_t host, uint16_t port)
{
	struct client *c = &w->c[0];

	net_move(w, 0, host, port);
	c->cut = false;
	net_dial(w, 0);
	net_run(w, 0);
	c->cut = true;
	net_run(w, 2 * GW_MSEC);
	net_crash(w, 0);
}

/* They take part of the room; the others have to be there, and are let in. */
static void test_forged_sources(void **state)
{
	(void)state;
	w->config.limits.unproven = 10;
	w->config.limits.half_open = 20;
	net_start(w);
	for (int i = 0; i < 100; i++)
		send_initial((uint8_t)(50 + i), 4000);
	assert_int_equal(net_stats(w).half_open, 10);
	assert_int_equal(net_stats(w).retries, 90);
	for (int i = 1; i < 4; i++)
		net_join(w, i, true);
	assert_int_equal(net_stats(w).retries, 93);
	net_run(w, 6 * GW_SEC);
	assert_int_equal(net_stats(w).half_open, 0);
}

/* In the name of one address: its owner still comes in, and still has its share of handshakes. */
static void test_forged_source_of_a_victim(void **state)
{
	(void)state;
	w->config.limits.source_half_open = 10;
	w->config.limits.source_unproven = 5;
	w->config.limits.per_source[METER_HANDSHAKES] = (struct beacon_rate){ 1, 3 };
	net_start(w);
	for (int i = 0; i < 50; i++)
		send_initial(3, (uint16_t)(5000 + i)); /* client 2's host */
	assert_int_equal(net_stats(w).half_open, 5);
	net_dial(w, 2);
	net_run(w, 50 * GW_MSEC);
	assert_true(w->c[2].up);
}

/* The source of a token is part of it, and it ends. */
static void test_tokens_are_of_one_address(void **state)
{
	(void)state;
	w->config.limits.unproven = 0;
	net_start(w);
	net_dial(w, 0);
	net_run(w, 2 * GW_MSEC); /* the Retry has come, the answer to it is under way */
	w->c[0].cut = true;
	w->head->from.ip[3] = 99; /* ... from elsewhere */
	net_run(w, 5 * GW_MSEC);
	assert_int_equal(net_stats(w).handshakes, 0);
	assert_int_equal(net_stats(w).retries, 2);
}

/* --- amplification --- */

/* What the beacon says to that host because of one datagram, in 20 s. */
static size_t answered(const struct addr *from, const uint8_t *data, size_t len)
{
	struct batch b = { .data = w->batch, .capacity = sizeof(w->batch) };
	struct path path = { .local = w->at, .ifindex = 1, .remote = *from };
	size_t sum = 0;

	beacon_receive(w->beacon, &path, data, len, w->now);
	for (int i = 0; i < 20000; i++) {
		while (beacon_transmit(w->beacon, &b, w->now)) {
			assert_true(addr_same_host(&b.path.remote, from));
			sum += b.len;
		}
		w->now += GW_MSEC;
		beacon_expire(w->beacon, w->now);
	}
	return sum;
}

static size_t make_initial(int i, uint8_t out[2048])
{
	struct batch b = { .data = out, .capacity = 2048 };

	net_dial(w, i);
	assert_true(link_transmit(&w->c[i].host, &b, w->now));
	return b.len;
}

static void test_amplification(void **state)
{
	const struct addr from = { .family = ADDR_V4, .port = 53, .ip = { 192, 0, 2, 1 } };
	uint8_t data[2048];
	size_t len;

	(void)state;
	net_start(w);
	len = make_initial(0, data);
	assert_int_equal(len, 1200);
	assert_in_range(answered(&from, data, len), 1, 3 * len);
	/* Shortened, of another version, with another tag: nothing. */
	len = make_initial(1, data);
	assert_int_equal(answered(&from, data, len - 1), 0);
	data[4] ^= 2;
	assert_int_equal(answered(&from, data, len), 0);
	data[4] ^= 2;
	data[len - 1] ^= 1;
	assert_in_range(answered(&from, data, len), 0, len);
	for (unsigned first = 0; first < 256; first++) {
		rng_bytes(&w->rng, data, sizeof(data));
		data[0] = (uint8_t)first;
		for (len = 1; len <= 1200; len += len < 60 ? 1 : 1140)
			assert_true(answered(&from, data, len) <=
				    (first == WIRE_ADDRESS_REQUEST ? len : 0));
		if (first == 0x3f)
			first = 0xbf; /* the rest is QUIC, which random bytes are not */
	}
}

static void test_retry_is_short(void **state)
{
	const struct addr from = { .family = ADDR_V4, .port = 53, .ip = { 192, 0, 2, 1 } };
	uint8_t data[2048];
	size_t len;

	(void)state;
	w->config.limits.unproven = 0;
	net_start(w);
	len = make_initial(0, data);
	assert_in_range(answered(&from, data, len), 1, 200);
	assert_int_equal(net_stats(w).sessions, 0);
}

/* A TEST makes the beacon send to a port of the client's choice, never to another host. */
static void test_test_goes_to_the_validated_address(void **state)
{
	struct beacon_frame f = { .type = BEACON_TEST };
	struct addr old;

	(void)state;
	net_start(w);
	net_join(w, 0, true);
	old = w->c[0].at;
	f.test.port = w->c[3].at.port;
	w->c[3].at.ip[3] = old.ip[3]; /* another port of that host */
	net_move(w, 0, 99, f.test.port);
	w->c[0].deaf = true; /* a victim, there is no answer */
	link_send(w->c[0].link, &f);
	net_run(w, 5 * GW_SEC);
	assert_true(w->c[3].n_datagrams > 0);
	assert_int_equal(w->c[3].last[0], WIRE_ADDRESS_REPLY);
	assert_int_equal(w->c[0].n_datagrams, 0);
}

/* --- greedy clients --- */

static void flood(int i, int count)
{
	struct beacon_frame f = { .type = BEACON_PING };

	for (int k = 0; k < count && w->c[i].link; k++)
		link_send(w->c[i].link, &f);
	net_run(w, 50 * GW_MSEC);
}

static void test_frame_flood(void **state)
{
	(void)state;
	w->config.limits.per_key[METER_FRAMES] = (struct beacon_rate){ 10, 20 };
	net_start(w);
	net_join(w, 0, true);
	net_join(w, 1, true);
	flood(0, 19);
	assert_non_null(w->c[0].link);
	flood(0, 30);
	assert_null(w->c[0].link);
	assert_int_equal(w->c[0].close_code, CLOSE_LIMIT);
	/* Coming again does not help, time does. */
	net_connect(w, 0);
	net_attend(w, 0, true);
	flood(0, 20);
	assert_null(w->c[0].link);
	flood(1, 5);
	assert_int_equal(net_count(w, 1, BEACON_PONG), 5);
	net_run(w, 3 * GW_SEC);
	net_join(w, 0, true);
}

static void ask_much(int i)
{
	struct beacon_frame f = { .type = BEACON_LOOKUP };

	memcpy(f.lookup.key, w->c[3].id.key, KEY_SIZE);
	for (int k = 0; k < 200; k++)
		link_send(w->c[i].link, &f);
}

/* Answers wait for those who never acknowledge them, but not in any number. */
static void test_frames_nobody_reads(void **state)
{
	uint8_t record[WIRE_RECORD_MAX];
	size_t len = net_record(w, 3, w->wall_ms, 3600, record);

	(void)state;
	w->config.limits.frame_bytes = 30000;
	net_start(w);
	for (int i = 0; i < 4; i++)
		net_join(w, i, true);
	assert_int_equal(net_publish(w, 3, record, len), RESULT_OK);
	for (int i = 0; i < 3; i++) {
		w->c[i].deaf = true;
		ask_much(i);
	}
	for (int k = 0; k < 300; k++) {
		net_run(w, 10 * GW_MSEC);
		assert_true(w->beacon->links.queued <= 30000 + 3 * 4096);
	}
	assert_true(net_stats(w).sessions < 4);
	/* The one that reads has not noticed. */
	assert_int_equal(net_lookup(w, 3, w->c[3].id.key, 0)->f.type, BEACON_RECORD);
	assert_non_null(w->c[3].link);
	w->c[3].deaf = true;
	net_run(w, 300 * GW_SEC);
	assert_int_equal(w->beacon->links.queued, 0);
}

/* UNWATCH and watching again look at a session's watches, not at a key's watchers. */
static void test_watches_of_all(void **state)
{
	uint8_t key[KEY_SIZE] = { 9 };

	(void)state;
	w->config.limits.watches = 3;
	net_start(w);
	for (int i = 0; i < 4; i++) {
		net_join(w, i, true);
		assert_int_equal(net_lookup(w, i, key, LOOKUP_WATCH)->f.result.status,
				 i < 3 ? RESULT_NOT_FOUND : RESULT_LIMIT);
	}
	assert_int_equal(net_lookup(w, 0, key, LOOKUP_WATCH)->f.result.status, RESULT_NOT_FOUND);
	net_leave(w, 0);
	assert_int_equal(net_stats(w).watches, 2);
	assert_int_equal(net_lookup(w, 3, key, LOOKUP_WATCH)->f.result.status, RESULT_NOT_FOUND);
}

/* --- TCP connections that become nothing --- */

static void test_conduits_on_the_way(void **state)
{
	struct addr tcp = { .family = ADDR_V4, .port = 50000, .ip = { 203, 0, 113, 200 } };
	uint32_t via = BEACON_CONDUITS;

	(void)state;
	w->config.limits.source_half_open = 3;
	w->config.limits.half_open = 5;
	w->config.limits.source_sessions = 4;
	net_start(w);
	for (int i = 0; i < 3; i++)
		assert_true(beacon_conduit_coming(w->beacon, via++, &tcp, w->now));
	assert_false(beacon_conduit_coming(w->beacon, via, &tcp, w->now));
	tcp.ip[3]++;
	for (int i = 0; i < 2; i++)
		assert_true(beacon_conduit_coming(w->beacon, via++, &tcp, w->now));
	tcp.ip[3]++;
	assert_false(beacon_conduit_coming(w->beacon, via, &tcp, w->now));
	assert_int_equal(net_stats(w).coming, 5);
	assert_int_equal(net_stats(w).drops[DROP_HANDSHAKE], 2);
	/* Datagrams of one that is not open are nobody's. */
	w->c[0].at = addr_of_conduit(BEACON_CONDUITS);
	w->c[0].via = BEACON_CONDUITS;
	net_connect(w, 0);
	assert_false(w->c[0].up);
	net_crash(w, 0);
	/* Open, they make room for others, and may carry somebody. */
	assert_true(beacon_conduit_opened(w->beacon, BEACON_CONDUITS, &tcp, w->now));
	assert_true(beacon_conduit_coming(w->beacon, via++, &tcp, w->now));
	assert_true(beacon_conduit_is_idle(w->beacon, BEACON_CONDUITS));
	net_join(w, 0, true);
	assert_false(beacon_conduit_is_idle(w->beacon, BEACON_CONDUITS));
	assert_int_equal(net_stats(w).conduits, 1);
	while (via-- > BEACON_CONDUITS)
		beacon_conduit_closed(w->beacon, via, w->now);
	assert_int_equal(net_stats(w).coming + net_stats(w).conduits, 0);
}

/* --- a clock that is wrong --- */

static void test_wrong_clock(void **state)
{
	static const struct {
		int64_t off_h;
		uint64_t status;
	} cases[] = { { -3, RESULT_BAD }, { 3, RESULT_OK }, { 25, RESULT_BAD } };
	uint8_t record[WIRE_RECORD_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		size_t len;

		w->config.wall_ms = w->wall_ms + (uint64_t)(cases[i].off_h * 3600 * 1000);
		net_start(w);
		net_join(w, 0, true);
		assert_in_range(net_last(w, 0, BEACON_WELCOME)->f.welcome.wall_ms,
				w->config.wall_ms, w->config.wall_ms + 1000);
		len = net_record(w, 0, w->wall_ms, 24 * 3600, record);
		assert_int_equal(net_publish(w, 0, record, len), cases[i].status);
		/* It is found all the same, by those who are here. */
		assert_int_equal(net_lookup(w, 0, w->c[0].id.key, 0)->f.type, BEACON_RECORD);
		net_crash(w, 0);
		if (i + 1 < sizeof(cases) / sizeof(cases[0]))
			beacon_free(w->beacon);
	}
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_forged_sources),
		T(test_forged_source_of_a_victim),
		T(test_tokens_are_of_one_address),
		T(test_amplification),
		T(test_retry_is_short),
		T(test_test_goes_to_the_validated_address),
		T(test_frame_flood),
		T(test_frames_nobody_reads),
		T(test_watches_of_all),
		T(test_conduits_on_the_way),
		T(test_wrong_clock),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
