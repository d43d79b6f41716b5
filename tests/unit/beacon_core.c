/* SPDX-License-Identifier: Apache-2.0 */
/* A beacon's registrations and directory. */
#include "beacon_net.h"

#include <stdlib.h>

#define MINUTE (60 * GW_SEC)

static struct net *w;

static int setup(void **state)
{
	(void)state;
	w = malloc(sizeof(*w));
	net_init(w);
	return 0;
}

static int setup_started(void **state)
{
	setup(state);
	net_start(w);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	net_clear(w);
	free(w);
	return 0;
}

/* --- coming --- */

static void test_registration(void **state)
{
	const struct seen_frame *f;
	struct beacon_session_info info;
	const void *position = NULL;

	(void)state;
	net_join(w, 0, true);
	net_join(w, 1, false);
	f = net_last(w, 0, BEACON_WELCOME);
	assert_int_equal(f->f.welcome.version, 1);
	assert_int_equal(f->f.welcome.flags, 0);
	assert_int_equal(f->f.welcome.alternate_port, 4444);
	assert_true(addr_equal(&f->f.welcome.endpoint, &w->c[0].at));
	assert_true(f->f.welcome.wall_ms >= w->wall_ms && f->f.welcome.wall_ms < w->wall_ms + 1000);
	assert_int_equal(net_stats(w).sessions, 2);
	assert_int_equal(net_stats(w).registered, 1);
	assert_int_equal(net_stats(w).half_open, 0);
	assert_true(beacon_next_session(w->beacon, &position, &info));
	assert_memory_equal(info.key, w->c[0].id.key, KEY_SIZE);
	assert_true(info.registered);
	assert_true(beacon_next_session(w->beacon, &position, &info));
	assert_false(info.registered);
	assert_false(beacon_next_session(w->beacon, &position, &info));
	net_leave(w, 0);
	assert_int_equal(net_stats(w).registered, 0);
	assert_int_equal(net_stats(w).sessions, 1);
}

/* An idle link stays; one whose client has gone does not. */
static void test_keepalive(void **state)
{
	(void)state;
	net_join(w, 0, true);
	net_join(w, 1, true);
	net_run(w, 10 * MINUTE);
	assert_int_equal(net_stats(w).registered, 2);
	w->c[1].cut = true;
	net_run(w, 2 * MINUTE);
	assert_int_equal(net_stats(w).registered, 1);
	assert_int_equal(net_stats(w).sessions, 1);
	assert_true(w->c[0].up);
}

static void test_attend_first(void **state)
{
	struct beacon_frame f = { .type = BEACON_PING };

	(void)state;
	net_connect(w, 0);
	link_send(w->c[0].link, &f);
	net_run(w, GW_SEC);
	assert_null(w->c[0].link);
	assert_int_equal(w->c[0].close_code, CLOSE_PROTOCOL);
	net_join(w, 0, true);
	net_attend(w, 0, true); /* again */
	net_run(w, GW_SEC);
	assert_int_equal(w->c[0].close_code, CLOSE_PROTOCOL);
	net_join(w, 0, true);
	f.type = BEACON_DRAIN; /* of the other side */
	link_send(w->c[0].link, &f);
	net_run(w, GW_SEC);
	assert_int_equal(w->c[0].close_code, CLOSE_PROTOCOL);
	assert_int_equal(net_stats(w).sessions, 0);
}

static void test_forged_claim(void **state)
{
	struct beacon_frame f = { .type = BEACON_ATTEND };

	(void)state;
	f.attend.version = 1;
	f.attend.flags = ATTEND_REGISTER;
	net_connect(w, 0);
	link_send(w->c[0].link, &f);
	net_run(w, GW_SEC);
	assert_int_equal(w->c[0].close_code, CLOSE_PROTOCOL);
	assert_int_equal(net_stats(w).registered, 0);
}

static void test_private(void **state)
{
	static uint8_t allowed[1][KEY_SIZE];

	(void)state;
	memcpy(allowed[0], w->c[0].id.key, KEY_SIZE);
	w->config.allow = (const uint8_t(*)[KEY_SIZE])allowed;
	w->config.n_allow = 1;
	net_start(w);
	net_join(w, 0, true);
	net_connect(w, 1);
	net_run(w, GW_SEC);
	assert_false(w->c[1].up);
	assert_int_equal(w->c[1].error, GW_E_DENIED);
	assert_int_equal(net_stats(w).sessions, 1);
	assert_int_equal(net_stats(w).half_open, 0);
}

/* --- one key, several processes --- */

static void test_same_incarnation(void **state)
{
	struct link *old;

	(void)state;
	net_join(w, 0, true);
	net_join(w, 1, true);
	net_open(w, 1, 77, w->c[0].id.key);
	old = w->c[0].link;
	net_join(w, 0, true); /* the old link is still there */
	assert_ptr_not_equal(w->c[0].link, old);
	assert_int_equal(net_stats(w).registered, 2);
	assert_int_equal(net_stats(w).sessions, 2);
	assert_int_equal(net_stats(w).channels, 1);
	net_send_channel(w, 1, 77, 1);
	net_run(w, 20 * GW_MSEC);
	assert_int_equal(w->c[0].n_datagrams, 1);
	assert_int_equal(net_count(w, 1, BEACON_CLOSE), 0);
}

static void test_newer_incarnation(void **state)
{
	struct wire_claim claim;

	(void)state;
	/* The same key in another process. */
	tls_clear(&w->c[2].tls);
	w->c[2].id = w->c[0].id;
	assert_int_equal(tls_init(&w->c[2].tls, &w->c[2].id), 0);
	w->c[2].started_ms = w->c[0].started_ms + 1;
	net_join(w, 0, true);
	net_join(w, 1, true);
	net_open(w, 1, 77, w->c[0].id.key);
	net_join(w, 2, true);
	assert_null(w->c[0].link);
	assert_int_equal(w->c[0].error, GW_E_IN_USE);
	assert_int_equal(w->c[0].close_code, CLOSE_IN_USE);
	assert_int_equal(w->c[0].reason_len, WIRE_CLAIM_SIZE);
	wire_claim_decode(&claim, w->c[0].reason);
	assert_int_equal(claim.incarnation, w->c[2].incarnation);
	assert_int_equal(net_last(w, 1, BEACON_CLOSE)->f.close.reason, CHANNEL_ENDED);
	/* The older one does not come back. */
	net_connect(w, 0);
	net_attend(w, 0, true);
	net_run(w, GW_SEC);
	assert_null(w->c[0].link);
	assert_int_equal(w->c[0].close_code, CLOSE_IN_USE);
	wire_claim_decode(&claim, w->c[0].reason);
	assert_int_equal(claim.incarnation, w->c[2].incarnation);
	assert_true(w->c[2].up);
	assert_int_equal(net_stats(w).registered, 2);
	/* As a visitor it may. */
	net_join(w, 0, false);
	net_run(w, GW_SEC);
	assert_true(w->c[0].up && w->c[2].up);
}

/* --- records --- */

static void test_publish_lookup(void **state)
{
	uint8_t record[WIRE_RECORD_MAX];
	const struct seen_frame *f;
	size_t len;

	(void)state;
	net_join(w, 0, true);
	net_join(w, 1, false);
	/* Registered, but nothing published. */
	f = net_lookup(w, 1, w->c[0].id.key, 0);
	assert_int_equal(f->f.type, BEACON_RECORD);
	assert_int_equal(f->f.record.flags, RECORD_HERE);
	assert_int_equal(f->f.record.record_len, 0);
	f = net_lookup(w, 1, w->c[2].id.key, 0);
	assert_int_equal(f->f.type, BEACON_RESULT);
	assert_int_equal(f->f.result.status, RESULT_NOT_FOUND);

	len = net_record(w, 0, w->wall_ms, 3600, record);
	assert_int_equal(net_publish(w, 0, record, len), RESULT_OK);
	assert_int_equal(net_last(w, 0, BEACON_RESULT)->f.result.sequence, w->wall_ms);
	f = net_lookup(w, 1, w->c[0].id.key, 0);
	assert_int_equal(f->f.type, BEACON_RECORD);
	assert_int_equal(f->f.record.request, 9);
	assert_int_equal(f->f.record.record_len, len);
	assert_memory_equal(f->record, record, len);
	net_leave(w, 0);
	f = net_lookup(w, 1, w->c[0].id.key, 0);
	assert_int_equal(f->f.record.record_len, len);
	assert_int_equal(f->f.record.flags, 0);
}

static void test_bad_records(void **state)
{
	uint8_t record[WIRE_RECORD_MAX], other[WIRE_RECORD_MAX];
	uint64_t wall = w->wall_ms;
	size_t len;

	(void)state;
	net_join(w, 0, true);
	len = net_record(w, 1, wall, 3600, record); /* another key's */
	assert_int_equal(net_publish(w, 0, record, len), RESULT_BAD);
	len = net_record(w, 0, wall, 3600, record);
	record[len - 1] ^= 1;
	assert_int_equal(net_publish(w, 0, record, len), RESULT_BAD);
	record[len - 1] ^= 1;
	assert_int_equal(net_publish(w, 0, record, len - 1), RESULT_BAD);
	len = net_record(w, 0, wall + 11 * 60 * 1000, 3600, record);
	assert_int_equal(net_publish(w, 0, record, len), RESULT_BAD);
	len = net_record(w, 0, WIRE_VARINT_MAX, 3600, record);
	assert_int_equal(net_publish(w, 0, record, len), RESULT_BAD);
	len = net_record(w, 0, wall - 3601 * 1000, 3600, record);
	assert_int_equal(net_publish(w, 0, record, len), RESULT_BAD);
	assert_int_equal(store_count(w->store), 0);

	len = net_record(w, 0, wall + 9 * 60 * 1000, 3600, record);
	assert_int_equal(net_publish(w, 0, record, len), RESULT_OK);
	assert_int_equal(net_publish(w, 0, record, len), RESULT_OK); /* the same */
	net_record(w, 0, wall + 9 * 60 * 1000, 3601, other);         /* another of that sequence */
	assert_int_equal(net_publish(w, 0, other, len), RESULT_OLDER);
	len = net_record(w, 0, wall + 1, 3600, other);
	assert_int_equal(net_publish(w, 0, other, len), RESULT_OLDER);
	assert_int_equal(net_last(w, 0, BEACON_RESULT)->f.result.sequence, wall + 9 * 60 * 1000);
	/* A stored one with a wrong signature behind it is no way in. */
	len = net_record(w, 0, wall + 9 * 60 * 1000 + 1, 3600, other);
	other[len - 64] ^= 1;
	assert_int_equal(net_publish(w, 0, other, len), RESULT_BAD);
}

static void test_store_fails(void **state)
{
	uint8_t record[WIRE_RECORD_MAX];
	size_t len = net_record(w, 0, w->wall_ms, 3600, record);
	const struct seen_frame *f;

	(void)state;
	net_join(w, 0, true);
	net_join(w, 1, false);
	w->store_fails = true;
	assert_int_equal(net_publish(w, 0, record, len), RESULT_LATER);
	f = net_lookup(w, 1, w->c[2].id.key, 0);
	assert_int_equal(f->f.result.status, RESULT_LATER);
	f = net_lookup(w, 1, w->c[0].id.key, 0);
	assert_int_equal(f->f.record.flags, RECORD_HERE);
	w->store_fails = false;
	assert_int_equal(net_publish(w, 0, record, len), RESULT_OK);
}

static void test_watch(void **state)
{
	uint8_t record[WIRE_RECORD_MAX];
	struct beacon_frame f = { .type = BEACON_UNWATCH };
	const struct seen_frame *seen;
	size_t len = net_record(w, 0, w->wall_ms, 3600, record);

	(void)state;
	net_join(w, 0, true);
	net_join(w, 1, false);
	assert_int_equal(net_lookup(w, 1, w->c[0].id.key, LOOKUP_WATCH)->f.type, BEACON_RECORD);
	net_lookup(w, 1, w->c[0].id.key, LOOKUP_WATCH); /* twice is once */
	assert_int_equal(net_stats(w).watches, 1);
	net_forget(w, 1);
	net_publish(w, 0, record, len);
	assert_int_equal(net_count(w, 1, BEACON_RECORD), 1);
	seen = net_last(w, 1, BEACON_RECORD);
	assert_int_equal(seen->f.record.request, 0);
	assert_int_equal(seen->f.record.flags, RECORD_HERE);
	assert_memory_equal(seen->record, record, len);
	net_publish(w, 0, record, len); /* no change */
	assert_int_equal(net_count(w, 1, BEACON_RECORD), 1);
	net_leave(w, 0);
	net_join(w, 0, true); /* registers again */
	assert_int_equal(net_count(w, 1, BEACON_RECORD), 2);
	memcpy(f.unwatch.key, w->c[0].id.key, KEY_SIZE);
	link_send(w->c[1].link, &f);
	net_run(w, 20 * GW_MSEC);
	assert_int_equal(net_stats(w).watches, 0);
	len = net_record(w, 0, w->wall_ms + 1, 3600, record);
	assert_int_equal(net_publish(w, 0, record, len), RESULT_OK);
	assert_int_equal(net_count(w, 1, BEACON_RECORD), 2);
	/* A watch ends with its session. */
	net_lookup(w, 1, w->c[0].id.key, LOOKUP_WATCH);
	net_leave(w, 1);
	assert_int_equal(net_stats(w).watches, 0);
}

static void test_watches_bounded(void **state)
{
	uint8_t key[KEY_SIZE] = { 1 };

	(void)state;
	w->config.limits.session_watches = 3;
	net_start(w);
	net_join(w, 0, false);
	for (uint8_t i = 0; i < 3; i++) {
		key[1] = i;
		assert_int_equal(net_lookup(w, 0, key, LOOKUP_WATCH)->f.result.status,
				 RESULT_NOT_FOUND);
	}
	assert_int_equal(net_lookup(w, 0, key, LOOKUP_WATCH)->f.result.status, RESULT_NOT_FOUND);
	key[1] = 3;
	assert_int_equal(net_lookup(w, 0, key, LOOKUP_WATCH)->f.result.status, RESULT_LIMIT);
	assert_int_equal(net_lookup(w, 0, key, 0)->f.result.status, RESULT_NOT_FOUND);
}

/* While it is registered its record lives; then 30 minutes. */
static void test_touch(void **state)
{
	uint8_t record[WIRE_RECORD_MAX];
	size_t len = net_record(w, 0, w->wall_ms, 86400, record);

	(void)state;
	net_join(w, 0, true);
	net_publish(w, 0, record, len);
	net_run(w, 100 * MINUTE);
	net_leave(w, 0);
	net_join(w, 1, false);
	assert_int_equal(net_lookup(w, 1, w->c[0].id.key, 0)->f.type, BEACON_RECORD);
	net_run(w, 31 * MINUTE);
	assert_int_equal(net_lookup(w, 1, w->c[0].id.key, 0)->f.type, BEACON_RESULT);
}

/* --- the end --- */

/* A rush of new clients: one is served at a time, and no more wait than can be served soon. */
static void test_new_clients_wait(void **state)
{
	enum { WAITING = 1024, MORE = 10 };
	struct batch b = { .data = w->batch, .capacity = sizeof(w->batch) };

	(void)state;
	for (int i = 0; i < 3; i++) {
		struct path path = { .local = w->at, .remote = w->c[i].at };

		net_dial(w, i);
		assert_true(link_transmit(&w->c[i].host, &b, w->now));
		beacon_receive(w->beacon, &path, b.data, b.len, w->now);
	}
	for (uint64_t served = 0; served < 3; served++) {
		assert_int_equal(net_stats(w).handshakes, served);
		assert_true(beacon_expiry(w->beacon) <= w->now);
		beacon_expire(w->beacon, w->now);
	}
	assert_int_equal(net_stats(w).handshakes, 3);
	assert_true(beacon_expiry(w->beacon) > w->now);
	net_dial(w, 3);
	assert_true(link_transmit(&w->c[3].host, &b, w->now));
	for (int i = 0; i < WAITING + MORE; i++) {
		struct path path = { .local = w->at, .remote = w->c[3].at };

		beacon_receive(w->beacon, &path, b.data, b.len, w->now);
	}
	assert_int_equal(net_stats(w).drops[DROP_HANDSHAKE], MORE);
	net_run(w, GW_SEC);
	assert_int_equal(net_stats(w).handshakes, 4);
	for (int i = 0; i < 4; i++)
		assert_true(w->c[i].up);
}

/* The beacon asks, and the client hears that it is there. */
static void test_kept_alive(void **state)
{
	(void)state;
	net_join(w, 0, true);
	for (int i = 0; i < 20; i++) {
		net_run(w, 30 * GW_SEC);
		assert_non_null(w->c[0].link);
		assert_true(w->now - w->c[0].link->heard_at < 26 * GW_SEC);
	}
	assert_int_equal(net_stats(w).registered, 1);
}

static void test_drain(void **state)
{
	(void)state;
	net_join(w, 0, true);
	net_forget(w, 0);
	beacon_drain(w->beacon, 5, w->now);
	net_run(w, 20 * GW_MSEC);
	assert_int_equal(net_last(w, 0, BEACON_DRAIN)->f.drain.seconds, 5);
	net_join(w, 1, true);
	assert_int_equal(net_last(w, 1, BEACON_WELCOME)->f.welcome.flags, WELCOME_DRAINING);
	beacon_stop(w->beacon, w->now);
	net_run(w, 20 * GW_MSEC);
	assert_int_equal(w->c[0].close_code, CLOSE_EXIT);
	assert_int_equal(w->c[1].close_code, CLOSE_EXIT);
	assert_int_equal(net_stats(w).sessions, 0);
}

#define STARTED(test) cmocka_unit_test_setup_teardown(test, setup_started, teardown)
#define CONFIGURED(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		STARTED(test_registration),
		STARTED(test_keepalive),
		STARTED(test_attend_first),
		STARTED(test_forged_claim),
		CONFIGURED(test_private),
		STARTED(test_same_incarnation),
		STARTED(test_newer_incarnation),
		STARTED(test_publish_lookup),
		STARTED(test_bad_records),
		STARTED(test_store_fails),
		STARTED(test_watch),
		CONFIGURED(test_watches_bounded),
		STARTED(test_touch),
		STARTED(test_new_clients_wait),
		STARTED(test_kept_alive),
		STARTED(test_drain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
