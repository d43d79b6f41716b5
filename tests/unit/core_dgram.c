/* tests/unit/core_dgram.c - streams of datagrams.  docs/protocol.md, section 15. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "core_pair.h"

#include "core/dgram.h"
#include "core/segment.h"
#include "core/types.h"

/* With UDP payloads of 1,200 bytes, and of 1,472: MTU 1,500; ids below 64. */
enum { MAX_FIRST = 1167, MAX_PROBED = 1439 };

static struct stream *open_dns(struct pair *p)
{
	struct stream *s;

	assert_int_equal(node_datagram_open(p->n[0].node, p->n[1].id.key, "dns", &s, p->now), 0);
	return s;
}

static struct stream *open_taken(struct pair *p, struct stream **taken)
{
	struct stream *s = open_dns(p);

	*taken = pair_wait_incoming(p, 1, p->n[1].n_incoming + 1);
	return s;
}

static struct stream *start(struct pair *p, struct stream **taken)
{
	pair_init(p);
	pair_start_both(p);
	return open_taken(p, taken);
}

/* Numbered, and filled by the number. */
static int send_number(struct pair *p, struct stream *s, uint32_t number, size_t len)
{
	uint8_t data[2000];

	memset(data, (int)number, sizeof(data));
	memcpy(data, &number, sizeof(number));
	return stream_datagram_send(s, data, len, p->now);
}

static uint32_t receive_number(struct stream *s, size_t *len)
{
	uint8_t data[2000];
	uint32_t number = UINT32_MAX;
	ssize_t n = stream_datagram_receive(s, data, sizeof(data));

	if (n == GW_E_AGAIN)
		return number;
	assert_true(n >= (ssize_t)sizeof(number));
	memcpy(&number, data, sizeof(number));
	for (size_t i = sizeof(number); i < (size_t)n; i++)
		assert_int_equal(data[i], (uint8_t)number);
	if (len)
		*len = (size_t)n;
	return number;
}

static size_t count_received(struct stream *s)
{
	size_t count = 0;

	while (receive_number(s, NULL) != UINT32_MAX)
		count++;
	return count;
}

static struct node_stats stats(const struct pair *p, int i)
{
	struct node_stats st;

	node_stats_get(p->n[i].node, &st);
	return st;
}

static struct connection *used(const struct pair *p, int i)
{
	return node_peer_next(p->n[i].node, NULL)->used;
}

static void they_arrive_whole_and_both_ways(void **state)
{
	static const size_t SIZES[] = { 4, 5, 100, 1000, MAX_FIRST };
	struct stream_info info;
	struct stream *a, *b;
	struct pair p;
	uint8_t byte;
	size_t len;

	(void)state;
	a = start(&p, &b);
	for (uint32_t i = 0; i < 5; i++) {
		assert_int_equal(send_number(&p, a, i, SIZES[i]), 0);
		assert_int_equal(send_number(&p, b, 100 + i, SIZES[i]), 0);
	}
	assert_int_equal(stream_datagram_send(a, NULL, 0, p.now), 0);
	pair_run(&p, 20 * GW_MSEC);
	assert_true(pair_flags(&p, 1, b) & STREAM_READABLE);
	for (uint32_t i = 0; i < 5; i++) {
		assert_int_equal(receive_number(b, &len), i);
		assert_int_equal(len, SIZES[i]);
		assert_int_equal(receive_number(a, &len), 100 + i);
		assert_int_equal(len, SIZES[i]);
	}
	assert_int_equal(stream_datagram_receive(b, &byte, 1), 0); /* empty, and there */
	assert_int_equal(stream_datagram_receive(b, &byte, 1), GW_E_AGAIN);
	stream_describe(a, &info);
	assert_true(info.datagrams && info.answered);
	assert_int_equal(info.sent, 6);
	assert_int_equal(info.received, 5);
	assert_int_equal(info.dropped, 0);
	assert_int_equal(info.tx_bytes, 4 + 5 + 100 + 1000 + MAX_FIRST);
	pair_clear(&p);
}

/* One that does not fit where it is received stays. */
static void a_small_buffer_takes_nothing(void **state)
{
	struct stream *a, *b;
	struct pair p;
	uint8_t data[10];

	(void)state;
	a = start(&p, &b);
	assert_int_equal(stream_datagram_send(a, "0123456789", 10, p.now), 0);
	pair_run(&p, 10 * GW_MSEC);
	assert_int_equal(stream_datagram_receive(b, data, 9), GW_E_LENGTH);
	assert_int_equal(stream_datagram_receive(b, data, 10), 10);
	assert_memory_equal(data, "0123456789", 10);
	pair_clear(&p);
}

/* The first one goes with the OPEN, and waits for the handshake. */
static void the_first_waits_for_the_connection(void **state)
{
	struct stream *a, *b;
	struct pair p;

	(void)state;
	pair_init(&p);
	pair_start_both(&p);
	a = open_dns(&p);
	assert_int_equal(send_number(&p, a, 7, MAX_FIRST), 0);
	b = pair_wait_incoming(&p, 1, 1);
	pair_run(&p, 5 * GW_MSEC);
	assert_int_equal(receive_number(b, NULL), 7);
	pair_clear(&p);
}

static void limit_grows_with_the_path(void **state)
{
	struct stream_info info;
	struct stream *a, *b;
	struct pair p;
	size_t len;

	(void)state;
	pair_init(&p);
	pair_start_both(&p);
	a = open_dns(&p);
	assert_int_equal(stream_datagram_max(a), MAX_FIRST);
	assert_int_equal(send_number(&p, a, 1, MAX_FIRST + 1), GW_E_LENGTH);
	b = pair_wait_incoming(&p, 1, 1);
	pair_run(&p, GW_SEC);
	assert_int_equal(stream_datagram_max(a), MAX_PROBED);
	assert_int_equal(send_number(&p, a, 2, MAX_PROBED), 0);
	assert_int_equal(send_number(&p, a, 3, MAX_PROBED + 1), GW_E_LENGTH);
	pair_run(&p, 10 * GW_MSEC);
	assert_int_equal(receive_number(b, &len), 2);
	assert_int_equal(len, MAX_PROBED);
	stream_describe(a, &info);
	assert_int_equal(info.dropped, 2);
	assert_int_equal(stats(&p, 0).dgrams_dropped, 2);
	pair_clear(&p);
}

/* All small packets come, the large ones vanish: no stream would have bytes outstanding. */
static void a_path_that_swallows_large_ones_is_noticed(void **state)
{
	struct stream *a, *b;
	struct pair p;

	(void)state;
	a = start(&p, &b);
	pair_run(&p, GW_SEC);
	p.mtu = 1300;
	for (uint32_t i = 0; i < 100; i++) {
		(void)send_number(&p, a, i, 1300);
		pair_run(&p, GW_MSEC); /* else they share a packet */
		assert_int_equal(send_number(&p, a, i, 40), 0);
		pair_run(&p, 20 * GW_MSEC);
	}
	assert_int_equal(stream_datagram_max(a), MAX_FIRST);
	assert_int_equal(stats(&p, 0).moves, 0);
	pair_clear(&p);
}

/* ... and single losses are not taken for that. */
static void single_losses_do_not_shrink_it(void **state)
{
	struct stream *a, *b;
	struct pair p;

	(void)state;
	a = start(&p, &b);
	pair_run(&p, GW_SEC);
	for (uint32_t i = 0; i < 200; i++) {
		p.mtu = i % 3 ? 1300 : 0;
		assert_int_equal(send_number(&p, a, i, 1400), 0);
		pair_run(&p, GW_MSEC);
		p.mtu = 0;
		assert_int_equal(send_number(&p, a, i, 40), 0);
		pair_run(&p, 20 * GW_MSEC);
	}
	assert_int_equal(stream_datagram_max(a), MAX_PROBED);
	pair_clear(&p);
}

static void kinds_do_not_mix(void **state)
{
	uint8_t byte = 0;
	struct stream *s, *b;
	struct pair p;
	size_t space;

	(void)state;
	s = start(&p, &b);
	assert_int_equal(stream_write(s, &byte, 1, p.now), GW_E_INVALID);
	assert_null(stream_write_space(s, &space));
	s = pair_open(&p, "dns");
	assert_int_equal(stream_datagram_send(s, &byte, 1, p.now), GW_E_INVALID);
	assert_int_equal(stream_datagram_receive(s, &byte, 1), GW_E_INVALID);
	assert_true(pair_wait_flags(&p, 0, s, STREAM_FAILED));
	assert_int_equal(stream_error(s), GW_E_KIND);
	assert_int_equal(node_datagram_open(p.n[0].node, p.n[1].id.key, "echo", &s, p.now), 0);
	assert_true(pair_wait_flags(&p, 0, s, STREAM_FAILED));
	assert_int_equal(stream_error(s), GW_E_KIND);
	/* Who may not use it does not learn what it is. */
	node_disallow(p.n[1].node, "echo", &ANYONE);
	assert_int_equal(node_datagram_open(p.n[0].node, p.n[1].id.key, "echo", &s, p.now), 0);
	assert_true(pair_wait_flags(&p, 0, s, STREAM_FAILED));
	assert_int_equal(stream_error(s), GW_E_DENIED);
	assert_int_equal(pair_streams(&p, 1), 1);
	pair_clear(&p);
}

static void it_ends_as_streams_end(void **state)
{
	struct stream *a, *b;
	struct pair p;

	(void)state;
	a = start(&p, &b);
	stream_release(a, p.now);
	assert_true(pair_wait_flags(&p, 1, b, STREAM_FAILED));
	assert_int_equal(stream_error(b), GW_E_RESET);
	assert_int_equal(stream_datagram_send(b, "x", 1, p.now), GW_E_RESET);
	stream_release(b, p.now);

	a = open_taken(&p, &b);
	stream_finish(a, p.now);
	assert_int_equal(stream_datagram_send(a, "x", 1, p.now), GW_E_CLOSED);
	assert_true(pair_wait_flags(&p, 0, a, STREAM_DELIVERED));
	assert_true(stream_read_finished(b));
	assert_int_equal(stream_datagram_send(b, "last", 4, p.now), 0); /* the other half lives */
	pair_run(&p, 10 * GW_MSEC);
	stream_finish(b, p.now);
	assert_true(pair_wait_flags(&p, 1, b, STREAM_DELIVERED));
	assert_int_equal(pair_streams(&p, 0), 0);
	assert_int_equal(pair_streams(&p, 1), 0);
	assert_int_equal(stats(&p, 0).memory, 4);
	stream_release(a, p.now);
	stream_release(b, p.now);
	assert_int_equal(stats(&p, 0).memory, 0);
	pair_clear(&p);
}

/* Each arrives at most once, and after each move they flow again, idle streams included. */
static void they_follow_moves(void **state)
{
	bool seen[400] = { false };
	struct stream *a, *b;
	struct peer_info info;
	struct pair p;
	size_t count = 0;

	(void)state;
	a = start(&p, &b);
	for (uint32_t i = 0; i < 400; i++) {
		uint32_t number;

		if (i % 100 == 50)
			node_debug_move(p.n[i / 100 % 2].node, p.now);
		if (i % 100 == 90)
			pair_run(&p, 3 * GW_SEC);
		assert_int_equal(send_number(&p, i % 2 ? a : b, i, 500), 0);
		pair_run(&p, GW_MSEC);
		while ((number = receive_number(a, NULL)) != UINT32_MAX ||
		       (number = receive_number(b, NULL)) != UINT32_MAX) {
			assert_in_range(number, 0, i);
			assert_false(seen[number]);
			seen[number] = true;
			count++;
		}
	}
	peer_describe(node_peer_next(p.n[0].node, NULL), &info);
	assert_true(info.moves >= 4);
	assert_true(count >= 395); /* nothing is lost on this wire but what is on it at the end */
	pair_clear(&p);
}

/* What waits for a peer that is away is stale after a second. */
static void nothing_waits_long(void **state)
{
	struct stream *a, *b;
	struct pair p;
	uint32_t number;

	(void)state;
	a = start(&p, &b);
	pair_run(&p, GW_SEC);
	p.n[1].cut = true;
	node_debug_break(p.n[0].node, p.now);
	pair_run(&p, 10 * GW_MSEC);
	for (uint32_t i = 0; i < 1000; i++) {
		assert_int_equal(send_number(&p, a, i, 100), 0);
		pair_run(&p, 5 * GW_MSEC);
	}
	assert_in_range(stats(&p, 0).memory, 100, 2 * 201 * 101);
	p.n[1].cut = false;
	pair_run(&p, 1500 * GW_MSEC);
	number = receive_number(b, NULL);
	assert_in_range(number, 800,
			1001 + UINT32_C(0xfffff000)); /* newer than a second, or none */
	while ((number = receive_number(b, NULL)) != UINT32_MAX)
		assert_in_range(number, 800, 999);
	assert_int_equal(send_number(&p, a, 5000, 100), 0);
	pair_run(&p, 10 * GW_MSEC);
	assert_int_equal(receive_number(b, NULL), 5000);
	pair_clear(&p);
}

/* Both queues are bounded, and it is the newest that are kept. */
static void queues_keep_the_newest(void **state)
{
	struct stream *a, *b;
	struct pair p;
	uint32_t number, last = 0;
	size_t count = 0;

	(void)state;
	pair_init(&p);
	pair_start_both(&p);
	a = open_dns(&p);
	for (uint32_t i = 0; i < 5000; i++)
		assert_int_equal(send_number(&p, a, i, 4), 0);
	assert_int_equal(stats(&p, 0).memory, DGRAMS_MAX * 5);
	assert_int_equal(stats(&p, 0).dgrams_dropped, 5000 - DGRAMS_MAX);
	for (uint32_t i = 0; i < 1000; i++)
		assert_int_equal(send_number(&p, a, i, 1000), 0);
	assert_in_range(stats(&p, 0).memory, DGRAM_BYTES_MAX - 2000, DGRAM_BYTES_MAX);
	b = pair_wait_incoming(&p, 1, 1);
	pair_run(&p, 200 * GW_MSEC);
	(void)count_received(b);
	for (uint32_t i = 0; i < 3000; i++) { /* nobody takes them */
		assert_int_equal(send_number(&p, a, i, 1000), 0);
		pair_run(&p, GW_MSEC);
	}
	pair_run(&p, 10 * GW_MSEC);
	assert_in_range(stats(&p, 1).memory, DGRAM_BYTES_MAX - 2000, DGRAM_BYTES_MAX);
	while ((number = receive_number(b, NULL)) != UINT32_MAX) {
		last = number;
		count++;
	}
	assert_int_equal(last, 2999);
	assert_in_range(count, 260, 262);
	assert_int_equal(stats(&p, 1).memory, 0);
	pair_clear(&p);
}

/* A flood of either does not starve the other. */
static void they_share_with_streams(void **state)
{
	static uint8_t bulk[65536];
	uint64_t bytes = 0, dgram_bytes = 0;
	struct stream *a, *b, *s, *t;
	struct pair p;

	(void)state;
	a = start(&p, &b);
	s = pair_open_taken(&p, &t);
	pair_run(&p, GW_SEC);
	p.rate = 5000000;
	for (int i = 0; i < 2000; i++) {
		uint8_t data[2000];
		ssize_t n;

		while (stream_write(s, bulk, sizeof(bulk), p.now) > 0)
			;
		for (uint32_t k = 0; k < 10; k++)
			assert_int_equal(send_number(&p, a, k, 1400), 0);
		pair_run(&p, GW_MSEC);
		bytes += pair_read(&p, t, NULL, SIZE_MAX);
		while ((n = stream_datagram_receive(b, data, sizeof(data))) >= 0)
			dgram_bytes += (uint64_t)n;
	}
	assert_true(bytes > 1000000);
	assert_true(dgram_bytes > bytes / 2 && bytes > dgram_bytes / 2);
	pair_clear(&p);
}

/* --- what overtakes, and what broken peers send --- */

static int inject(struct pair *p, uint64_t id, const char *text)
{
	uint8_t data[64];
	size_t len = wire_dgram_encode(data, id);

	memcpy(data + len, text, strlen(text));
	return dgram_received(used(p, 1), data, len + strlen(text), p->now);
}

static uint64_t next_id(struct pair *p)
{
	return node_peer_next(p->n[0].node, NULL)->next_id;
}

static void they_may_overtake_their_open(void **state)
{
	struct stream *b;
	struct pair p;
	uint8_t data[64];

	(void)state;
	(void)start(&p, &b);
	for (int i = 0; i < EARLY_DGRAMS_MAX + 5; i++) { /* the newest of many */
		char text[8] = { (char)('a' + i) };

		assert_int_equal(inject(&p, next_id(&p), text), 0);
	}
	assert_int_equal(stats(&p, 1).dgrams_dropped, 5);
	(void)open_taken(&p, &b);
	for (int i = 5; i < EARLY_DGRAMS_MAX + 5; i++) {
		assert_int_equal(stream_datagram_receive(b, data, sizeof(data)), 1);
		assert_int_equal(data[0], 'a' + i);
	}
	assert_int_equal(used(&p, 1)->early.count, 0);

	assert_int_equal(inject(&p, next_id(&p), "refused"), 0);
	node_disallow(p.n[1].node, "dns", &ANYONE);
	assert_true(pair_wait_flags(&p, 0, open_dns(&p), STREAM_FAILED));
	assert_int_equal(used(&p, 1)->early.count, 0);
	assert_int_equal(stats(&p, 1).dgrams_dropped, 6);
	pair_clear(&p);
}

static void what_belongs_to_none_is_dropped(void **state)
{
	struct stream *a, *b, *s, *t;
	struct stream_info info;
	struct pair p;
	uint64_t gone;

	(void)state;
	a = start(&p, &b);
	stream_describe(a, &info);
	gone = info.id;
	s = pair_open_taken(&p, &t);
	stream_describe(s, &info);
	assert_int_equal(inject(&p, info.id, "of bytes"), 0);
	assert_int_equal(stats(&p, 1).dgrams_dropped, 1);
	stream_release(a, p.now);
	assert_true(pair_wait_flags(&p, 1, b, STREAM_FAILED));
	assert_int_equal(inject(&p, gone, "late"), 0);
	assert_int_equal(stats(&p, 1).dgrams_dropped, 2);
	assert_int_equal(dgram_received(used(&p, 1), NULL, 0, p.now), GW_E_PROTOCOL);
	assert_int_equal(inject(&p, next_id(&p) ^ 1, "never opened"), GW_E_PROTOCOL);
	pair_clear(&p);
}

static int inject_segment(struct pair *p, uint64_t kind, uint64_t id, const char *bytes)
{
	struct segment_header h = { .kind = kind, .id = id, .service = "dns" };
	struct rx_segment segment = { 0 };
	uint8_t data[WIRE_SEGMENT_MAX + 8];
	size_t len = wire_segment_encode(data, &h);

	memcpy(data + len, bytes, strlen(bytes));
	return segment_received(used(p, 1), &segment, data, len + strlen(bytes), false, p->now);
}

/* A stream keeps its kind, and one of datagrams has no bytes. */
static void broken_peers_are_found_out(void **state)
{
	struct stream_info info;
	struct stream *a, *b;
	struct pair p;

	(void)state;
	a = start(&p, &b);
	stream_describe(a, &info);
	assert_int_equal(inject_segment(&p, SEGMENT_OPEN_DATAGRAM, info.id, ""), 0);
	assert_int_equal(inject_segment(&p, SEGMENT_RESUME, info.id, ""), 0);
	assert_int_equal(inject_segment(&p, SEGMENT_OPEN, info.id, ""), GW_E_PROTOCOL);
	assert_int_equal(inject_segment(&p, SEGMENT_RESUME, info.id, "x"), GW_E_PROTOCOL);
	assert_int_equal(inject_segment(&p, SEGMENT_OPEN_DATAGRAM, next_id(&p) ^ 1, ""),
			 GW_E_PROTOCOL);
	pair_clear(&p);
}

/* A node of version 0.1. */
static void a_peer_without_them_is_told_from(void **state)
{
	struct stream *b, *s;
	struct pair p;

	(void)state;
	(void)start(&p, &b);
	used(&p, 0)->dgram_frame_max = 0;
	assert_int_equal(node_datagram_open(p.n[0].node, p.n[1].id.key, "dns", &s, p.now),
			 GW_E_VERSION);
	pair_clear(&p);
}

/* A new process begins its ids anew: what waited for the old one is not for it. */
static void a_new_process_gets_none_of_the_old(void **state)
{
	struct stream *a, *b;
	struct pair p;

	(void)state;
	pair_init(&p);
	pair_start_both(&p);
	pair_know(&p, 1, 0);
	a = open_taken(&p, &b);
	pair_run(&p, GW_SEC);
	pair_kill(&p, 0);
	assert_int_equal(send_number(&p, b, 1, 100), 0);
	pair_run(&p, 10 * GW_MSEC);
	node_debug_break(p.n[1].node, p.now);
	pair_run(&p, 10 * GW_MSEC);
	assert_int_equal(send_number(&p, b, 2, 100), 0);
	pair_start(&p, 0, true);
	pair_know(&p, 0, 1);
	p.n[1].n_incoming = 0;
	a = open_taken(&p, &b);
	assert_int_equal(send_number(&p, b, 3, 100), 0);
	pair_run(&p, GW_SEC);
	assert_int_equal(receive_number(a, NULL), 3);
	assert_int_equal(receive_number(a, NULL), UINT32_MAX);
	pair_clear(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(they_arrive_whole_and_both_ways),
		cmocka_unit_test(a_small_buffer_takes_nothing),
		cmocka_unit_test(the_first_waits_for_the_connection),
		cmocka_unit_test(limit_grows_with_the_path),
		cmocka_unit_test(a_path_that_swallows_large_ones_is_noticed),
		cmocka_unit_test(single_losses_do_not_shrink_it),
		cmocka_unit_test(kinds_do_not_mix),
		cmocka_unit_test(it_ends_as_streams_end),
		cmocka_unit_test(they_follow_moves),
		cmocka_unit_test(nothing_waits_long),
		cmocka_unit_test(queues_keep_the_newest),
		cmocka_unit_test(they_share_with_streams),
		cmocka_unit_test(they_may_overtake_their_open),
		cmocka_unit_test(what_belongs_to_none_is_dropped),
		cmocka_unit_test(broken_peers_are_found_out),
		cmocka_unit_test(a_peer_without_them_is_told_from),
		cmocka_unit_test(a_new_process_gets_none_of_the_old),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
