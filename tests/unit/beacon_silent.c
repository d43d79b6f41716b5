/* SPDX-License-Identifier: Apache-2.0 */
/* A silent beacon: whom it does not know gets no answer of any kind. */
#include "beacon_net.h"

#include <stdlib.h>

#include "beacon/internal.h"
#include "quic/quic.h"

enum { ALLOWED = 2 }; /* clients 0 and 1 */

static struct net *w;
static uint8_t allowed[ALLOWED][KEY_SIZE];

static int setup(void **state)
{
	(void)state;
	w = malloc(sizeof(*w));
	net_init(w);
	for (int i = 0; i < ALLOWED; i++)
		memcpy(allowed[i], w->c[i].id.key, KEY_SIZE);
	w->config.allow = (const uint8_t(*)[KEY_SIZE])allowed;
	w->config.n_allow = ALLOWED;
	w->config.silent = true;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	net_clear(w);
	free(w);
	return 0;
}

static uint64_t drops(enum beacon_drop d)
{
	return net_stats(w).drops[d];
}

/* It dials until it gives up, and hears nothing. */
static void assert_silence(int i)
{
	size_t answers = w->answers;
	uint64_t before = drops(DROP_KNOCK), handshakes = net_stats(w).handshakes;

	net_dial(w, i);
	net_run(w, 6 * GW_SEC);
	assert_null(w->c[i].link);
	assert_int_equal(w->c[i].error, GW_E_UNREACHABLE);
	assert_int_equal(w->answers, answers);
	assert_true(drops(DROP_KNOCK) > before);
	assert_int_equal(net_stats(w).handshakes, handshakes);
	assert_int_equal(net_stats(w).half_open, 0);
}

static void test_allowed(void **state)
{
	(void)state;
	net_start(w);
	net_join(w, 0, true);
	net_join(w, 1, false);
	assert_int_equal(net_stats(w).registered, 1);
	assert_int_equal(drops(DROP_KNOCK), 0);
	net_leave(w, 0);
	net_join(w, 0, true); /* a fresh knock */
}

static void test_without_a_knock(void **state)
{
	(void)state;
	net_start(w);
	w->c[0].host.self = NULL;
	assert_silence(0);
	w->c[0].host.self = &w->c[0].self;
	net_join(w, 0, true);
}

static void test_key_that_is_not_allowed(void **state)
{
	(void)state;
	net_start(w);
	assert_silence(2);
}

static void test_knock_at_another_beacon(void **state)
{
	(void)state;
	net_start(w);
	memcpy(w->id.key, w->c[1].id.key, KEY_SIZE);
	assert_silence(0);
}

static void test_clocks(void **state)
{
	enum { MINUTE_MS = 60 * 1000 };

	(void)state;
	net_start(w);
	w->c[0].wall_ms += 16 * MINUTE_MS;
	assert_silence(0);
	w->c[0].wall_ms -= 32 * MINUTE_MS;
	assert_silence(0);
	w->c[0].wall_ms += 2 * MINUTE_MS; /* 14 behind */
	net_join(w, 0, true);
}

/* Who knocks has to be who comes in. */
static void test_knock_of_another_key(void **state)
{
	(void)state;
	net_start(w);
	w->c[2].host.self = &w->c[0].self; /* it has stolen half a secret */
	net_connect(w, 2);
	assert_false(w->c[2].up && w->c[2].link);
	net_run(w, GW_SEC);
	assert_null(w->c[2].link);
	w->c[1].host.self = &w->c[0].self; /* an allowed one, too */
	net_connect(w, 1);
	net_run(w, GW_SEC);
	assert_null(w->c[1].link);
	assert_int_equal(net_stats(w).sessions, 0);
}

static void test_replay(void **state)
{
	struct addr elsewhere = { .family = ADDR_V4, .port = 999, .ip = { 192, 0, 2, 77 } };
	size_t answers;

	(void)state;
	net_start(w);
	net_join(w, 0, true);
	net_leave(w, 0);
	net_run(w, 10 * GW_SEC);
	answers = w->answers;
	net_send_from(w, &elsewhere, BEACON_MAIN, w->c[0].initial, w->c[0].initial_len,
		      w->c[0].initial_len);
	net_run(w, GW_SEC);
	assert_int_equal(w->answers, answers);
	assert_int_equal(drops(DROP_KNOCK), 1);
	net_join(w, 0, true);
}

static void test_changed_knock(void **state)
{
	struct addr elsewhere = { .family = ADDR_V4, .port = 999, .ip = { 192, 0, 2, 77 } };
	uint8_t changed[1500];
	ngtcp2_pkt_hd hd;
	size_t len, end;

	(void)state;
	net_start(w);
	w->c[0].cut = true; /* the beacon has not seen it */
	net_dial(w, 0);
	net_run(w, 10 * GW_MSEC);
	len = w->c[0].initial_len;
	assert_true(len >= 1200);
	assert_int_equal(ngtcp2_accept(&hd, w->c[0].initial, len), 0);
	end = 33 + quic_token(&hd).len; /* type, version, ids, length: 1 + 4 + 1 + 16 + 1 + 8 + 2 */
	for (size_t i = 1; i < end; i++) {
		memcpy(changed, w->c[0].initial, len);
		changed[i] ^= 1;
		if (i >= 23 && i < 31)
			continue; /* its own id: not of the knock */
		net_send_from(w, &elsewhere, BEACON_MAIN, changed, len, len);
		net_run(w, 10 * GW_MSEC);
		assert_int_equal(w->answers, 0);
	}
	assert_int_equal(net_stats(w).handshakes, 0);
	net_send_from(w, &elsewhere, BEACON_MAIN, w->c[0].initial, len, len);
	net_run(w, 10 * GW_MSEC);
	assert_true(w->answers > 0); /* as it was, it is one */
}

/* Where addresses have to be shown to be true, only to those that have knocked. */
static void test_retry(void **state)
{
	(void)state;
	w->config.limits.unproven = 0;
	net_start(w);
	assert_silence(2);
	w->c[1].host.self = NULL;
	assert_silence(1);
	assert_int_equal(net_stats(w).retries, 0);
	net_join(w, 0, true);
	assert_int_equal(net_stats(w).retries, 1);
}

/* The knock of who had to show its address is used up by the handshake, too. */
static void test_replay_after_retry(void **state)
{
	struct addr elsewhere = { .family = ADDR_V4, .port = 999, .ip = { 192, 0, 2, 77 } };
	size_t answers;

	(void)state;
	w->config.limits.unproven = 0;
	net_start(w);
	net_join(w, 0, true);
	assert_int_equal(net_stats(w).retries, 1);
	net_leave(w, 0);
	net_run(w, 10 * GW_SEC);
	w->beacon->limits.unproven = 64; /* the rush is over */
	answers = w->answers;
	net_send_from(w, &elsewhere, BEACON_MAIN, w->c[0].initial, w->c[0].initial_len,
		      w->c[0].initial_len);
	net_run(w, GW_SEC);
	assert_int_equal(w->answers, answers);
	assert_int_equal(drops(DROP_KNOCK), 1);
}

/* Nor is it good for a Retry, while others get one. */
static void test_replay_gets_no_retry(void **state)
{
	struct addr elsewhere = { .family = ADDR_V4, .port = 999, .ip = { 192, 0, 2, 77 } };
	size_t answers;

	(void)state;
	net_start(w);
	net_join(w, 0, true);
	net_leave(w, 0);
	net_run(w, 10 * GW_SEC);
	w->beacon->limits.unproven = 0;
	answers = w->answers;
	net_send_from(w, &elsewhere, BEACON_MAIN, w->c[0].initial, w->c[0].initial_len,
		      w->c[0].initial_len);
	net_run(w, GW_SEC);
	assert_int_equal(w->answers, answers);
	assert_int_equal(net_stats(w).retries, 0);
	assert_int_equal(drops(DROP_KNOCK), 1);
}

static void test_lost_retry(void **state)
{
	(void)state;
	w->config.limits.unproven = 0;
	net_start(w);
	w->c[0].deaf = true;
	net_dial(w, 0);
	net_run(w, 100 * GW_MSEC);
	assert_int_equal(net_stats(w).retries, 1);
	w->c[0].deaf = false;
	net_run(w, GW_SEC);
	assert_true(w->c[0].up);
	assert_int_equal(net_stats(w).retries, 2);
	assert_int_equal(drops(DROP_KNOCK), 0);
}

static void test_strangers_take_no_place(void **state)
{
	struct addr a = { .family = ADDR_V4, .port = 999, .ip = { 192, 0, 2, 1 } };

	(void)state;
	net_start(w);
	w->c[2].host.self = NULL;
	net_dial(w, 2);
	net_run(w, 10 * GW_MSEC);
	for (int i = 0; i < 3000; i++) {
		a.port++;
		net_send_from(w, &a, BEACON_MAIN, w->c[2].initial, w->c[2].initial_len,
			      w->c[2].initial_len);
	}
	net_dial(w, 0);
	net_run(w, 20 * GW_MSEC);
	assert_true(w->c[0].up);
	assert_true(drops(DROP_KNOCK) >= 3000);
	assert_int_equal(drops(DROP_HANDSHAKE), 0);
}

/* --- what else it might answer --- */

static void ask_address(int i, uint8_t flags)
{
	struct wire_address_request r = { .flags = flags, .token = { 1 } };
	uint8_t data[WIRE_ADDRESS_REQUEST_SIZE];
	size_t len = wire_address_request_encode(data, &r);

	w->c[i].n_datagrams = 0;
	net_send(w, i, data, len, len);
	net_run(w, 10 * GW_MSEC);
}

static void test_address_requests(void **state)
{
	(void)state;
	net_start(w);
	ask_address(0, 0);
	ask_address(0, ADDRESS_FROM_ALTERNATE);
	assert_int_equal(w->answers, 0);
	assert_int_equal(drops(DROP_KNOCK), 2);
	net_join(w, 0, true);
	ask_address(0, 0);
	assert_int_equal(w->c[0].n_datagrams, 1);
	ask_address(0, ADDRESS_FROM_ALTERNATE);
	assert_int_equal(w->c[0].n_datagrams, 1);
	w->c[0].at.port += 1000; /* another socket of that host */
	ask_address(0, 0);
	assert_int_equal(w->c[0].n_datagrams, 1);
	w->c[0].at.port -= 1000;
	ask_address(2, 0);
	assert_int_equal(w->c[2].n_datagrams, 0);
	net_leave(w, 0);
	ask_address(0, 0);
	assert_int_equal(w->c[0].n_datagrams, 0);
}

/* Who has knocked is not yet connected. */
static void test_address_request_in_a_handshake(void **state)
{
	(void)state;
	net_start(w);
	w->c[0].deaf = true;
	net_dial(w, 0);
	net_run(w, 50 * GW_MSEC);
	assert_int_equal(net_stats(w).half_open, 1);
	ask_address(0, 0);
	assert_int_equal(net_stats(w).address_requests, 0);
}

static void test_other_datagrams(void **state)
{
	static uint8_t data[1300];

	(void)state;
	net_start(w);
	for (int first = 0; first < 256; first++) {
		memset(data, 0, sizeof(data));
		data[0] = (uint8_t)first;
		data[4] = 0x0a; /* a version that nobody knows */
		data[5] = data[14] = 16;
		net_send(w, 2, data, sizeof(data), sizeof(data));
		net_send(w, 2, data, 60, 60);
		data[4] = 1;
		net_send(w, 2, data, sizeof(data), sizeof(data));
	}
	net_run(w, GW_SEC);
	assert_int_equal(w->answers, 0);
}

/* --- others do not care --- */

static void test_other_beacons_take_knocks_and_none(void **state)
{
	(void)state;
	w->config.silent = false;
	w->config.n_allow = 0;
	net_start(w);
	net_join(w, 0, true);
	w->c[1].host.self = NULL;
	net_join(w, 1, true);
	w->c[2].wall_ms = 0; /* nobody looks at it */
	net_join(w, 2, true);
	assert_int_equal(drops(DROP_KNOCK), 0);
	assert_int_equal(net_stats(w).retries, 0);
}

/* Dial until the knock begins like a Retry's token. */
static void dial_with_first_byte(int i, uint8_t first)
{
	for (int k = 0; k < 10000; k++) {
		ngtcp2_pkt_hd hd;

		w->c[i].cut = true;
		net_dial(w, i);
		net_run(w, 0);
		assert_int_equal(ngtcp2_accept(&hd, w->c[i].initial, w->c[i].initial_len), 0);
		assert_true(quic_token(&hd).len > 100);
		if (quic_token(&hd).base[0] == first)
			return;
		net_crash(w, i);
	}
	fail();
}

static void check_like_a_retry(bool silent)
{
	w->config.silent = silent;
	net_start(w);
	dial_with_first_byte(0, NGTCP2_CRYPTO_TOKEN_MAGIC_RETRY);
	w->c[0].cut = false;
	net_run(w, 2 * GW_SEC); /* it is sent again */
	assert_true(w->c[0].up);
	assert_int_equal(net_stats(w).retries, 0);
	assert_int_equal(drops(DROP_KNOCK), 0);
}

static void test_knock_that_begins_like_a_retry(void **state)
{
	(void)state;
	check_like_a_retry(false);
}

static void test_the_same_at_a_silent_one(void **state)
{
	(void)state;
	check_like_a_retry(true);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_allowed),
		TEST(test_without_a_knock),
		TEST(test_key_that_is_not_allowed),
		TEST(test_knock_at_another_beacon),
		TEST(test_clocks),
		TEST(test_knock_of_another_key),
		TEST(test_replay),
		TEST(test_changed_knock),
		TEST(test_retry),
		TEST(test_replay_after_retry),
		TEST(test_replay_gets_no_retry),
		TEST(test_lost_retry),
		TEST(test_strangers_take_no_place),
		TEST(test_address_requests),
		TEST(test_address_request_in_a_handshake),
		TEST(test_other_datagrams),
		TEST(test_other_beacons_take_knocks_and_none),
		TEST(test_knock_that_begins_like_a_retry),
		TEST(test_the_same_at_a_silent_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
