/* SPDX-License-Identifier: Apache-2.0 */
/* A beacon's channels, addresses and limits. */
#include "beacon_net.h"

#include <stdlib.h>

#define MINUTE (60 * GW_SEC)

enum { CHANNEL = 77 };

static struct net *w;

static int setup(void **state)
{
	(void)state;
	w = malloc(sizeof(*w));
	net_init(w);
	return 0;
}

static int setup_channel(void **state)
{
	setup(state);
	net_start(w);
	net_join(w, 0, true);
	net_join(w, 1, true);
	net_join(w, 2, false);
	net_open(w, 2, CHANNEL, w->c[0].id.key);
	assert_int_equal(net_stats(w).channels, 1);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	net_clear(w);
	free(w);
	return 0;
}

static uint64_t closed(int i)
{
	const struct seen_frame *f = net_last(w, i, BEACON_CLOSE);

	return f ? f->f.close.reason : 0;
}

static void settle(void)
{
	net_run(w, 20 * GW_MSEC);
}

/* --- channels --- */

static void test_both_ways(void **state)
{
	struct batch b = { .data = w->batch, .capacity = sizeof(w->batch) };

	(void)state;
	net_send_channel(w, 2, CHANNEL, 30);
	net_send_channel(w, 2, CHANNEL, 1);
	settle();
	assert_int_equal(w->c[0].n_datagrams, 31);
	assert_int_equal(w->c[0].bytes, 31 * 1209);
	net_send_channel(w, 0, CHANNEL, 3);
	settle();
	assert_int_equal(w->c[2].n_datagrams, 3);
	assert_int_equal(w->c[2].last[9], 0xc0);
	assert_int_equal(w->c[2].last[8], CHANNEL);
	assert_int_equal(w->forwarded, 3);
	assert_int_equal(net_stats(w).relayed_packets, 34);
	assert_int_equal(net_stats(w).relayed_bytes, 34 * 1209);
	assert_int_equal(w->c[1].n_datagrams, 0);
	assert_false(beacon_transmit(w->beacon, &b, w->now));
}

/* What is no batch of one channel is taken apart. */
static void test_mixed_batch(void **state)
{
	uint8_t data[3 * 100];

	(void)state;
	net_open(w, 2, CHANNEL + 1, w->c[1].id.key);
	memset(data, 0xee, sizeof(data));
	wire_channel_encode(data, CHANNEL);
	wire_channel_encode(data + 100, CHANNEL + 1);
	wire_channel_encode(data + 200, CHANNEL);
	net_send(w, 2, data, sizeof(data), 100);
	settle();
	assert_int_equal(w->forwarded, 0);
	assert_int_equal(w->c[0].n_datagrams, 2);
	assert_int_equal(w->c[1].n_datagrams, 1);
	/* The last one is shorter; and too short. */
	wire_channel_encode(data + 100, CHANNEL);
	net_send(w, 2, data, 110, 100);
	settle();
	assert_int_equal(w->forwarded, 1);
	assert_int_equal(w->c[0].n_datagrams, 4);
	net_send(w, 2, data, 109, 100);
	settle();
	assert_int_equal(w->c[0].n_datagrams, 5);
	assert_int_equal(net_stats(w).drops[DROP_MALFORMED], 1);
}

static void test_wrong_source(void **state)
{
	(void)state;
	net_send_channel(w, 1, CHANNEL, 5); /* a client, but not of this channel */
	settle();
	assert_int_equal(w->c[0].n_datagrams + w->c[2].n_datagrams, 0);
	assert_int_equal(net_stats(w).drops[DROP_SOURCE], 5);
	net_send_channel(w, 2, CHANNEL + 1, 5);
	settle();
	assert_int_equal(net_stats(w).drops[DROP_NO_CHANNEL], 5);
	w->c[2].at.port++;
	net_send_channel(w, 2, CHANNEL, 1);
	settle();
	assert_int_equal(w->c[0].n_datagrams, 0);
	assert_int_equal(net_stats(w).drops[DROP_SOURCE], 6);
}

static void test_refusals(void **state)
{
	(void)state;
	net_open(w, 1, 1, w->c[3].id.key);
	assert_int_equal(closed(1), CHANNEL_NOT_HERE);
	net_open(w, 1, 1, w->c[2].id.key); /* a visitor */
	assert_int_equal(closed(1), CHANNEL_NOT_HERE);
	net_open(w, 1, CHANNEL, w->c[0].id.key);
	assert_int_equal(closed(1), CHANNEL_TAKEN);
	net_open(w, 1, 2, w->c[1].id.key);
	assert_int_equal(closed(1), CHANNEL_DENIED);
	net_close_channel(w, 1, CHANNEL); /* not its own */
	net_forget(w, 2);
	net_open(w, 2, CHANNEL, w->c[0].id.key); /* said twice */
	assert_int_equal(closed(2), 0);
	net_open(w, 2, CHANNEL, w->c[1].id.key);
	assert_int_equal(closed(2), CHANNEL_TAKEN);
	assert_int_equal(net_stats(w).channels, 1);
}

static void test_ends(void **state)
{
	(void)state;
	net_close_channel(w, 0, CHANNEL);
	assert_int_equal(closed(2), CHANNEL_ENDED);
	assert_int_equal(closed(0), 0);
	assert_int_equal(net_stats(w).channels, 0);
	net_open(w, 2, CHANNEL, w->c[0].id.key);
	assert_int_equal(net_stats(w).channels, 1);
	net_leave(w, 2);
	settle();
	assert_int_equal(closed(0), CHANNEL_ENDED);
	assert_int_equal(net_stats(w).channels, 0);
}

static void test_idle(void **state)
{
	(void)state;
	net_run(w, 31 * GW_SEC); /* never answered */
	assert_int_equal(closed(2), CHANNEL_IDLE);
	assert_int_equal(closed(0), CHANNEL_IDLE);
	net_forget(w, 2);
	net_open(w, 2, CHANNEL, w->c[0].id.key);
	net_send_channel(w, 0, CHANNEL, 1);
	net_run(w, 9 * MINUTE);
	net_send_channel(w, 2, CHANNEL, 1);
	net_run(w, 9 * MINUTE);
	assert_int_equal(net_stats(w).channels, 1);
	net_run(w, 2 * MINUTE);
	assert_int_equal(net_stats(w).channels, 0);
	assert_int_equal(closed(2), CHANNEL_IDLE);
}

/* A visitor whose connection was lost goes on with a new one. */
static void test_visitor_returns(void **state)
{
	(void)state;
	net_crash(w, 2);
	net_move(w, 2, 3, 5000);
	net_join(w, 2, false);
	net_open(w, 2, CHANNEL, w->c[0].id.key);
	assert_int_equal(closed(2), 0);
	net_send_channel(w, 2, CHANNEL, 2);
	net_send_channel(w, 0, CHANNEL, 2);
	settle();
	assert_int_equal(w->c[0].n_datagrams, 2);
	assert_int_equal(w->c[2].n_datagrams, 2);
	net_run(w, 2 * MINUTE); /* the old connection is over */
	assert_int_equal(net_stats(w).sessions, 3);
}

/* --- moves --- */

static void test_move(void **state)
{
	(void)state;
	net_forget(w, 2);
	net_move(w, 2, 99, 5000);
	net_send_channel(w, 2, CHANNEL, 1); /* not validated yet */
	settle();
	assert_int_equal(w->c[0].n_datagrams, 0);
	assert_int_equal(net_stats(w).drops[DROP_SOURCE], 1);
	link_ping(w->c[2].link, 1);
	net_run(w, 100 * GW_MSEC);
	assert_int_equal(net_count(w, 2, BEACON_PONG), 1);
	assert_true(addr_equal(&net_last(w, 2, BEACON_OBSERVED)->f.observed.endpoint, &w->c[2].at));
	net_send_channel(w, 2, CHANNEL, 1);
	net_send_channel(w, 0, CHANNEL, 4);
	settle();
	assert_int_equal(w->c[0].n_datagrams, 1);
	assert_int_equal(w->c[2].n_datagrams, 4);
}

/* The first packets of the path validation are lost; nothing follows before it is done. */
static void test_move_unvalidated(void **state)
{
	struct addr thief = { .family = ADDR_V4, .port = 666, .ip = { 192, 0, 2, 66 } };

	(void)state;
	/* Somebody repeats a packet from another address: the channel stays where it is. */
	w->c[2].at.port++;
	link_ping(w->c[2].link, 1);
	net_run(w, 0);
	w->c[2].at.port--;
	net_run(w, 5 * GW_SEC);
	net_send_channel(w, 0, CHANNEL, 1);
	settle();
	assert_int_equal(w->c[2].n_datagrams, 1);
	net_send_from(w, &thief, 0, (const uint8_t *)"\x22", 1, 1);
	settle();
	link_ping(w->c[2].link, 2);
	net_run(w, GW_SEC);
	assert_true(w->c[2].up);
	net_send_channel(w, 2, CHANNEL, 1);
	settle();
	assert_int_equal(w->c[0].n_datagrams, 1);
}

static void test_to_and_fro(void **state)
{
	(void)state;
	for (int i = 0; i < 300; i++) {
		net_move(w, 2, (uint8_t)(i % 2 ? 99 : 3), (uint16_t)(i % 2 ? 5000 : 4002));
		link_ping(w->c[2].link, (uint64_t)i);
		net_run(w, (gw_time)(i % 7) * GW_MSEC + (i % 50 == 0 ? 3 * GW_SEC : 0));
		net_forget(w, 2);
	}
	net_run(w, 5 * GW_SEC);
	assert_true(w->c[2].up);
	net_send_channel(w, 0, CHANNEL, 1);
	net_send_channel(w, 2, CHANNEL, 1);
	settle();
	assert_int_equal(w->c[2].n_datagrams, 1);
	assert_int_equal(w->c[0].n_datagrams, 1);
}

/* To a new address each time, the last one without reaching us. */
static void test_many_addresses(void **state)
{
	(void)state;
	for (int i = 0; i < 200; i++) {
		net_move(w, 2, (uint8_t)(i + 4), (uint16_t)(6000 + i));
		link_ping(w->c[2].link, (uint64_t)i);
		net_run(w, (gw_time)(i % 5) * GW_MSEC + (i % 25 == 0 ? 2 * GW_SEC : 0));
		net_forget(w, 2);
	}
	net_run(w, 5 * GW_SEC);
	assert_true(w->c[2].up);
	net_send_channel(w, 0, CHANNEL, 1);
	settle();
	assert_int_equal(w->c[2].n_datagrams, 1);
	assert_int_equal(net_stats(w).sessions, 3);
}

/* --- TLS links --- */

static void test_conduit(void **state)
{
	struct addr tcp = { .family = ADDR_V4, .port = 50000, .ip = { 203, 0, 113, 200 } };
	struct addr udp = w->c[2].at;

	(void)state;
	assert_true(beacon_conduit_opened(w->beacon, 5, &tcp, w->now));
	net_forget(w, 2);
	w->c[2].at = addr_of_conduit(5);
	w->c[2].via = 5;
	link_ping(w->c[2].link, 1);
	net_run(w, 100 * GW_MSEC);
	assert_int_equal(net_last(w, 2, BEACON_OBSERVED)->f.observed.endpoint.family, ADDR_NONE);
	net_send_channel(w, 0, CHANNEL, 2);
	net_send_channel(w, 2, CHANNEL, 2);
	settle();
	assert_int_equal(w->c[2].n_datagrams, 2);
	assert_int_equal(w->c[2].last_via, 5);
	assert_int_equal(w->c[0].n_datagrams, 2);
	/* It breaks; the client is back on UDP in time. */
	beacon_conduit_closed(w->beacon, 5, w->now);
	w->c[2].at = udp;
	w->c[2].via = 0;
	link_ping(w->c[2].link, 2);
	net_run(w, 20 * GW_SEC);
	assert_true(w->c[2].up);
	assert_int_equal(net_stats(w).sessions, 3);
	/* And now not. */
	assert_true(beacon_conduit_opened(w->beacon, 6, &tcp, w->now));
	w->c[2].at = addr_of_conduit(6);
	w->c[2].via = 6;
	link_ping(w->c[2].link, 3);
	net_run(w, GW_SEC);
	w->c[2].cut = true;
	beacon_conduit_closed(w->beacon, 6, w->now);
	net_run(w, 9 * GW_SEC);
	assert_int_equal(net_stats(w).sessions, 3);
	net_run(w, 2 * GW_SEC);
	assert_int_equal(net_stats(w).sessions, 2);
	assert_int_equal(net_stats(w).conduits, 0);
	/* Datagrams of no conduit. */
	net_crash(w, 3);
	w->c[3].at = addr_of_conduit(9);
	w->c[3].via = 9;
	net_connect(w, 3);
	assert_false(w->c[3].up);
	assert_true(net_stats(w).drops[DROP_HANDSHAKE] > 0);
}

/* --- addresses --- */

static void test_address_request(void **state)
{
	uint8_t request[WIRE_ADDRESS_REQUEST_SIZE];
	struct wire_address_request r = { .token = "tokentok" };
	struct wire_address_reply reply;

	(void)state;
	wire_address_request_encode(request, &r);
	net_send(w, 3, request, sizeof(request), sizeof(request));
	settle();
	assert_int_equal(wire_address_reply_decode(&reply, w->c[3].last, w->c[3].last_len),
			 w->c[3].last_len);
	assert_true(w->c[3].last_len <= sizeof(request));
	assert_true(addr_equal(&reply.endpoint, &w->c[3].at));
	assert_memory_equal(reply.token, "tokentok", 8);
	assert_int_equal(w->c[3].last_via, BEACON_MAIN);
	r.flags = ADDRESS_FROM_ALTERNATE;
	wire_address_request_encode(request, &r);
	net_send(w, 3, request, sizeof(request), sizeof(request));
	settle();
	assert_int_equal(w->c[3].last_via, BEACON_ALTERNATE);
	r.flags = 0;
	wire_address_request_encode(request, &r);
	net_send_from(w, &w->c[3].at, BEACON_ALTERNATE, request, sizeof(request), sizeof(request));
	settle();
	assert_int_equal(w->c[3].n_datagrams, 3);
	assert_int_equal(w->c[3].last_via, BEACON_ALTERNATE);
	net_send(w, 3, request, 47, 47);
	net_send(w, 3, (const uint8_t *)"\x20nonsense", 9, 9);
	net_send(w, 3, (const uint8_t *)"\xc0", 1, 1);
	settle();
	assert_int_equal(w->c[3].n_datagrams, 3);
	assert_int_equal(net_stats(w).drops[DROP_KIND], 1);
	assert_int_equal(net_stats(w).drops[DROP_MALFORMED], 2);
}

static void test_test(void **state)
{
	struct beacon_frame f = { .type = BEACON_TEST };
	struct wire_address_reply reply;

	(void)state;
	f.test.port = w->c[2].at.port;
	memcpy(f.test.token, "8 bytes.", 8);
	for (int i = 0; i < 20; i++)
		link_send(w->c[2].link, &f);
	settle();
	assert_int_equal(w->c[2].n_datagrams, 8);
	assert_true(wire_address_reply_decode(&reply, w->c[2].last, w->c[2].last_len) > 0);
	assert_memory_equal(reply.token, "8 bytes.", 8);
	net_run(w, MINUTE / 8);
	link_send(w->c[2].link, &f);
	link_send(w->c[2].link, &f);
	settle();
	assert_int_equal(w->c[2].n_datagrams, 9);
}

/* --- limits --- */

static void test_flood(void **state)
{
	(void)state;
	w->config.limits.per_key[METER_PACKETS] = (struct beacon_rate){ 100, 50 };
	net_start(w);
	for (int i = 0; i < 3; i++)
		net_join(w, i, true);
	net_open(w, 0, 1, w->c[2].id.key);
	net_open(w, 1, 2, w->c[2].id.key);
	for (int i = 0; i < 100; i++) {
		net_send_channel(w, 0, 1, 20); /* 2,000 a second */
		net_send_channel(w, 1, 2, 1);  /* 100 a second */
		net_run(w, 10 * GW_MSEC);
	}
	settle();
	assert_in_range(w->c[2].n_datagrams, 100 + 100 + 50 - 5, 100 + 100 + 50 + 5);
	assert_in_range(net_stats(w).drops[DROP_BUDGET], 1840, 1860);
	net_run(w, GW_SEC);
	w->c[2].n_datagrams = 0;
	net_send_channel(w, 0, 1, 50);
	settle();
	assert_int_equal(w->c[2].n_datagrams, 50);
}

static void test_source_limit(void **state)
{
	(void)state;
	w->config.limits.per_source[METER_BYTES] = (struct beacon_rate){ 1209, 12090 };
	net_start(w);
	for (int i = 0; i < 3; i++) {
		if (i < 2)
			net_move(w, i, 50, (uint16_t)(4000 + i)); /* behind one NAT */
		net_join(w, i, true);
	}
	net_open(w, 0, 1, w->c[2].id.key);
	net_open(w, 1, 2, w->c[2].id.key);
	net_send_channel(w, 0, 1, 7);
	net_send_channel(w, 1, 2, 7); /* as a batch too much, singly in part */
	settle();
	assert_int_equal(w->c[2].n_datagrams, 10);
	net_send_channel(w, 2, 1, 10);
	settle();
	assert_int_equal(w->c[0].n_datagrams, 10);
}

static void test_frame_limits(void **state)
{
	uint8_t record[WIRE_RECORD_MAX];
	size_t len = net_record(w, 0, w->wall_ms, 3600, record);

	(void)state;
	w->config.limits.per_key[METER_LOOKUPS] = (struct beacon_rate){ 1, 2 };
	w->config.limits.per_key[METER_PUBLISHES] = (struct beacon_rate){ 1, 2 };
	w->config.limits.per_key[METER_CHANNELS] = (struct beacon_rate){ 1, 2 };
	net_start(w);
	net_join(w, 0, true);
	net_join(w, 1, true);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(net_publish(w, 0, record, len), RESULT_OK);
		assert_int_equal(net_lookup(w, 0, w->c[0].id.key, 0)->f.type, BEACON_RECORD);
		net_open(w, 0, (uint64_t)i, w->c[1].id.key);
	}
	assert_int_equal(net_publish(w, 0, record, len), RESULT_LIMIT);
	assert_int_equal(net_lookup(w, 0, w->c[0].id.key, 0)->f.result.status, RESULT_LIMIT);
	net_open(w, 0, 2, w->c[1].id.key);
	assert_int_equal(closed(0), CHANNEL_LIMIT);
	assert_int_equal(net_stats(w).channels, 2);
	/* A new connection does not help. */
	net_leave(w, 0);
	net_join(w, 0, true);
	net_open(w, 0, 2, w->c[1].id.key);
	assert_int_equal(closed(0), CHANNEL_LIMIT);
	/* Another node is not concerned. */
	assert_int_equal(net_lookup(w, 1, w->c[0].id.key, 0)->f.type, BEACON_RECORD);
	net_run(w, 2 * GW_SEC);
	assert_int_equal(net_publish(w, 0, record, len), RESULT_OK);
}

/* Handshakes that go nowhere: from one source, and from many. */
static void test_half_open(void **state)
{
	(void)state;
	w->config.limits.half_open = 6;
	w->config.limits.source_half_open = 4;
	net_start(w);
	w->c[0].cut = true;
	for (int i = 0; i < 10; i++) {
		w->c[0].cut = false;
		net_dial(w, 0);
		net_run(w, 0);
		w->c[0].cut = true; /* the answers are lost */
		net_run(w, 5 * GW_MSEC);
		net_crash(w, 0);
	}
	assert_int_equal(net_stats(w).half_open, 4);
	assert_true(net_stats(w).retries >= 6); /* who comes back from there may go on */
	for (uint8_t i = 0; i < 5; i++) {
		net_move(w, 1, (uint8_t)(100 + i), 4000);
		w->c[1].cut = false;
		net_dial(w, 1);
		net_run(w, 0);
		w->c[1].cut = true;
		net_run(w, 5 * GW_MSEC);
		net_crash(w, 1);
	}
	assert_int_equal(net_stats(w).half_open, 6);
	net_run(w, 6 * GW_SEC);
	assert_int_equal(net_stats(w).half_open, 0);
	assert_int_equal(net_stats(w).sessions, 0);
	net_join(w, 2, true);
}

static void test_sessions_of_source(void **state)
{
	(void)state;
	w->config.limits.source_sessions = 2;
	net_start(w);
	for (int i = 0; i < 3; i++)
		net_move(w, i, 50, (uint16_t)(4000 + i));
	net_join(w, 0, true);
	net_join(w, 1, true);
	net_connect(w, 2);
	assert_false(w->c[2].up);
	net_leave(w, 0);
	net_join(w, 2, true);
	net_join(w, 3, true); /* from elsewhere */
}

static void test_handshake_rate(void **state)
{
	(void)state;
	w->config.limits.per_source[METER_HANDSHAKES] = (struct beacon_rate){ 1, 3 };
	net_start(w);
	for (int i = 0; i < 3; i++) {
		net_join(w, 0, true);
		net_leave(w, 0);
	}
	net_dial(w, 0);
	net_run(w, 20 * GW_MSEC);
	assert_false(w->c[0].up);
	net_run(w, 4 * GW_SEC); /* it is tried again */
	assert_true(w->c[0].up);
}

/* The table of accounts is bounded; those in use stay. */
static void test_accounts(void **state)
{
	(void)state;
	w->config.limits.accounts = 5;
	net_start(w);
	net_join(w, 0, true);
	for (uint8_t i = 0; i < 20; i++) {
		net_move(w, 1, (uint8_t)(100 + i), 4000);
		net_join(w, 1, false);
		net_leave(w, 1);
		assert_true(net_stats(w).accounts <= 5);
	}
	net_join(w, 1, false);
	assert_int_equal(net_stats(w).sessions, 2);
	net_run(w, 10 * MINUTE);
	assert_int_equal(net_stats(w).sessions, 2);
}

#define CHANNELED(test) cmocka_unit_test_setup_teardown(test, setup_channel, teardown)
#define CONFIGURED(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CHANNELED(test_both_ways),
		CHANNELED(test_mixed_batch),
		CHANNELED(test_wrong_source),
		CHANNELED(test_refusals),
		CHANNELED(test_ends),
		CHANNELED(test_idle),
		CHANNELED(test_visitor_returns),
		CHANNELED(test_move),
		CHANNELED(test_move_unvalidated),
		CHANNELED(test_to_and_fro),
		CHANNELED(test_many_addresses),
		CHANNELED(test_conduit),
		CHANNELED(test_address_request),
		CHANNELED(test_test),
		CONFIGURED(test_flood),
		CONFIGURED(test_source_limit),
		CONFIGURED(test_frame_limits),
		CONFIGURED(test_half_open),
		CONFIGURED(test_sessions_of_source),
		CONFIGURED(test_handshake_rate),
		CONFIGURED(test_accounts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
