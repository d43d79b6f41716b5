/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/core_mtu.c - the search for the largest datagram, on integer time.
 *
 * What mtu.c asks of a connection is answered here, so there is no QUIC in this test. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/connection.h"
#include "core/mtu.h"

enum { PROBES_MAX = 64, CEILING = 1472 };

#define START (1000 * GW_SEC)
#define GAP (100 * GW_MSEC)
#define RETRY (60 * GW_SEC)

static gw_time rtt, silence_limit;
static unsigned touched, scheduled;

gw_time connection_rtt(const struct connection *c)
{
	(void)c;
	return rtt;
}

gw_time connection_silence_limit(const struct connection *c)
{
	(void)c;
	return silence_limit;
}

void connection_touch(struct connection *c)
{
	(void)c;
	touched++;
}

void connection_schedule(struct connection *c, gw_time now)
{
	(void)c;
	(void)now;
	scheduled++;
}

/* --- one used connection --- */

static const struct path PATH = {
	.local = { .family = ADDR_V4, .ip = { 198, 51, 100, 1 } },
	.ifindex = 2,
	.remote = { .family = ADDR_V4, .port = 4001, .ip = { 203, 0, 113, 9 } }
};

static const struct local_addr ETHERNET = {
	.addr = { .family = ADDR_V4, .ip = { 198, 51, 100, 1 } }, .ifindex = 2, .mtu = 1500
};

static struct node node;
static uint8_t datagram[65536];

static void with_ceiling(struct connection *c, size_t ceiling)
{
	memset(c, 0, sizeof(*c));
	memset(&node, 0, sizeof(node));
	node.config.max_payload = 65000;
	node.locals[0] = ETHERNET;
	node.locals[0].mtu = (uint32_t)ceiling + 28;
	node.n_locals = 1;
	rtt = 10 * GW_MSEC;
	silence_limit = 300 * GW_MSEC;
	touched = scheduled = 0;
	c->state = CONN_USED;
	c->path = PATH;
	c->outstanding_since = GW_NEVER;
	memcpy(c->peer_token, "their-to", WIRE_TOKEN_SIZE);
	mtu_init(&c->mtu, &node, &c->path, 0);
	assert_int_equal(c->mtu.ceiling, ceiling);
	assert_int_equal(c->mtu.payload, PAYLOAD_MIN);
	assert_true(mtu_due(c) == GW_NEVER);
}

/* The batch that is due, if any. */
static bool write_one(struct connection *c, struct batch *b, gw_time now)
{
	bool due = c->mtu.send_now || c->mtu.reply_now;

	*b = (struct batch){ .data = datagram, .capacity = sizeof(datagram) };
	/* mtu_write() would stop the process */
	assert_true(!c->mtu.send_now || c->mtu.probing >= WIRE_PROBE_MIN);
	assert_int_equal(mtu_write(c, b, now), due);
	return due;
}

/* The size of the probe that is due; 0: none. */
static size_t take_probe(struct connection *c, gw_time now)
{
	struct wire_probe p;
	struct batch b;

	if (!write_one(c, &b, now))
		return 0;
	assert_true(b.probe);
	assert_true(path_equal(&b.path, &c->path));
	assert_int_equal(b.segment, b.len);
	assert_int_equal(datagram[0], WIRE_PROBE);
	assert_int_equal(wire_probe_decode(&p, datagram, b.len), b.len);
	assert_memory_equal(p.token, c->peer_token, WIRE_TOKEN_SIZE);
	assert_false(write_one(c, &b, now)); /* once */
	return p.size;
}

static void answer(struct connection *c, size_t size, gw_time now)
{
	mtu_reply_received(c, &(struct wire_probe){ .size = (uint16_t)size }, now);
}

/* --- the ceiling --- */

static const struct {
	const char *name, *local, *remote; /* local NULL: the kernel chooses */
	uint32_t max_payload;
	struct {
		const char *host;
		uint32_t mtu;
	} interfaces[4];
	size_t ceiling;
} ceilings[] = {
	{ "IPv4", "10.0.0.1", "10.9.9.9", 65000, { { "10.0.0.1", 1500 } }, 1472 },
	{ "IPv6", "2001:db8::1", "2001:db8::9", 65000, { { "2001:db8::1", 1500 } }, 1452 },
	{ "its own interface",
	  "10.0.0.1",
	  "10.9.9.9",
	  65000,
	  { { "10.0.0.3", 9000 }, { "10.0.0.1", 1420 }, { "10.0.0.4", 1500 } },
	  1392 },
	{ "the largest of all",
	  NULL,
	  "10.9.9.9",
	  65000,
	  { { "10.0.0.3", 1400 }, { "10.0.0.1", 9000 }, { "10.0.0.4", 1500 } },
	  8972 },
	{ "not the loopback",
	  NULL,
	  "10.9.9.9",
	  65000,
	  { { "127.0.0.1", 65536 }, { "10.0.0.1", 1500 } },
	  1472 },
	{ "only the loopback",
	  NULL,
	  "::1",
	  65000,
	  { { "2001:db8::1", 65536 }, { "::1", 16384 } },
	  16336 },
	{ "configured", NULL, "127.0.0.1", 65000, { { "127.0.0.1", 65536 } }, 65000 },
	{ "configured small", "10.0.0.1", "10.9.9.9", 1200, { { "10.0.0.1", 1500 } }, 1200 },
	{ "nothing known, IPv4", NULL, "10.9.9.9", 65000, { { NULL, 0 } }, 1472 },
	{ "nothing known, IPv6", NULL, "2001:db8::9", 65000, { { NULL, 0 } }, 1452 },
	{ "no MTU known", "10.0.0.1", "10.9.9.9", 65000, { { "10.0.0.1", 0 } }, 1472 },
	{ "too small", "2001:db8::1", "2001:db8::9", 65000, { { "2001:db8::1", 1230 } }, 1200 },
};

static void parse(struct addr *out, const char *host)
{
	assert_int_equal(addr_parse_host(out, host, 0), 0);
}

static void test_ceiling(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(ceilings) / sizeof(*ceilings); i++) {
		struct path path = { .ifindex = 0 };
		struct mtu m;

		print_message("\t%s\n", ceilings[i].name);
		memset(&node, 0, sizeof(node));
		node.config.max_payload = ceilings[i].max_payload;
		for (; ceilings[i].interfaces[node.n_locals].host; node.n_locals++) {
			struct local_addr *l = &node.locals[node.n_locals];

			parse(&l->addr, ceilings[i].interfaces[node.n_locals].host);
			l->mtu = ceilings[i].interfaces[node.n_locals].mtu;
			l->loopback = addr_is_loopback(&l->addr);
		}
		parse(&path.remote, ceilings[i].remote);
		if (ceilings[i].local)
			parse(&path.local, ceilings[i].local);
		memset(&m, 0xa5, sizeof(m));
		mtu_init(&m, &node, &path, 0);
		assert_int_equal(m.ceiling, ceilings[i].ceiling);
		assert_int_equal(m.payload, PAYLOAD_MIN);
		assert_true(m.next_at == GW_NEVER);
		assert_false(m.send_now || m.reply_now);
	}
}

/* --- the search --- */

/* All probes that go out before `until`, on a path that carries `limit` bytes and answers
 * after the round trip. */
static size_t search(struct connection *c, size_t limit, size_t sizes[PROBES_MAX], gw_time *now,
		     gw_time until)
{
	gw_time answer_at = GW_NEVER, previous = 0;
	size_t n = 0, answered = 0;

	for (;;) {
		size_t size = take_probe(c, *now);
		gw_time next;

		if (size) {
			assert_true(n < PROBES_MAX);
			if (n > 0 && sizes[n - 1] == size)
				assert_int_equal(*now - previous, GAP);
			previous = *now;
			sizes[n++] = size;
			if (size <= limit) {
				answered = size;
				answer_at = *now + rtt;
			}
		}
		next = time_min(mtu_due(c), answer_at);
		if (next >= until)
			return n;
		assert_true(next > *now);
		*now = next;
		if (next == answer_at) {
			answer(c, answered, *now);
			answer_at = GW_NEVER;
		} else {
			mtu_expire(c, *now);
		}
	}
}

static const struct {
	const char *name;
	size_t ceiling, limit;
	size_t sizes[6]; /* distinct, in order; each but an answered one goes out three times */
	size_t payload;
	bool again; /* later, for more */
} searches[] = {
	{ "the ceiling at once", 1472, 1500, { 1472 }, 1472, false },
	{ "jumbo at once", 8972, 9000, { 8972 }, 8972, false },
	{ "jumbo interface, usual path", 8972, 1472, { 8972, 1452 }, 1452, true },
	{ "one less than the ceiling", 1472, 1471, { 1472, 1452 }, 1452, true },
	{ "the third size", 1472, 1406, { 1472, 1452, 1406 }, 1406, true },
	{ "just below it", 1472, 1405, { 1472, 1452, 1406, 1342 }, 1342, true },
	{ "the last size", 1472, 1280, { 1472, 1452, 1406, 1342, 1280 }, 1280, true },
	{ "none answered", 1472, 1200, { 1472, 1452, 1406, 1342, 1280 }, 1200, true },
	{ "the ceiling is a size", 1452, 1406, { 1452, 1406 }, 1406, true },
	{ "a ceiling between sizes", 1392, 1342, { 1392, 1342 }, 1342, true },
	{ "a low ceiling", 1232, 1300, { 1232 }, 1232, false },
	{ "a low ceiling, none answered", 1232, 1200, { 1232 }, 1200, true },
	{ "a ceiling just above the last size", 1281, 1280, { 1281, 1280 }, 1280, true },
	{ "nothing to find", 1200, 1500, { 0 }, 1200, false },
};

static void expect_search(const size_t *expected, size_t limit, const size_t *sizes, size_t n)
{
	size_t k = 0;

	for (size_t i = 0; i < 6 && expected[i]; i++)
		for (unsigned times = expected[i] <= limit ? 1 : 3; times; times--) {
			assert_true(k < n);
			assert_int_equal(sizes[k++], expected[i]);
		}
	assert_int_equal(k, n);
}

static void test_search(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(searches) / sizeof(*searches); i++) {
		size_t sizes[PROBES_MAX], n;
		gw_time now = START, end;
		struct connection c;

		print_message("\t%s\n", searches[i].name);
		with_ceiling(&c, searches[i].ceiling);
		mtu_start(&c, now);
		n = search(&c, searches[i].limit, sizes, &now, START + 10 * GW_SEC);
		expect_search(searches[i].sizes, searches[i].limit, sizes, n);
		assert_int_equal(c.mtu.payload, searches[i].payload);
		end = searches[i].again ? now + RETRY : GW_NEVER;
		assert_true(mtu_due(&c) == end);
	}
}

static void test_search_again(void **state)
{
	size_t sizes[PROBES_MAX], n;
	gw_time now = START;
	struct connection c;

	(void)state;
	with_ceiling(&c, CEILING);
	mtu_start(&c, now);
	search(&c, 1406, sizes, &now, START + 10 * GW_SEC);
	assert_int_equal(c.mtu.payload, 1406);

	/* what works is not tried again, and goes on working */
	n = search(&c, 1406, sizes, &now, START + 65 * GW_SEC);
	expect_search((size_t[6]){ 1472, 1452 }, 1406, sizes, n);
	assert_int_equal(c.mtu.payload, 1406);

	/* the path has become better */
	n = search(&c, 1460, sizes, &now, START + 130 * GW_SEC);
	expect_search((size_t[6]){ 1472, 1452 }, 1460, sizes, n);
	assert_int_equal(c.mtu.payload, 1452);
	n = search(&c, 1500, sizes, &now, START + 300 * GW_SEC);
	expect_search((size_t[6]){ 1472 }, 1500, sizes, n);
	assert_int_equal(c.mtu.payload, CEILING);
	assert_true(mtu_due(&c) == GW_NEVER);
}

static void test_gap_follows_rtt(void **state)
{
	static const struct {
		gw_time rtt, gap;
	} gaps[] = { { 0, GAP },
		     { 50 * GW_MSEC, GAP },
		     { 51 * GW_MSEC, 102 * GW_MSEC },
		     { 600 * GW_MSEC, 1200 * GW_MSEC } };
	struct connection c;

	(void)state;
	for (size_t i = 0; i < sizeof(gaps) / sizeof(*gaps); i++) {
		with_ceiling(&c, CEILING);
		rtt = gaps[i].rtt;
		mtu_start(&c, START);
		assert_int_equal(touched, 1); /* or nobody would write it */
		assert_int_equal(take_probe(&c, START), CEILING);
		assert_int_equal(mtu_due(&c), START + gaps[i].gap);
		mtu_expire(&c, START + gaps[i].gap - 1);
		assert_int_equal(take_probe(&c, START), 0);
		mtu_expire(&c, START + gaps[i].gap);
		assert_int_equal(take_probe(&c, START), CEILING);
	}
}

/* --- replies --- */

static void test_reply(void **state)
{
	struct connection c;

	(void)state;
	with_ceiling(&c, CEILING);
	mtu_start(&c, START);
	take_probe(&c, START);
	answer(&c, CEILING, START + 1);
	assert_int_equal(c.mtu.payload, CEILING);
	assert_int_equal(c.progress_at, START + 1); /* a stall is counted from here */
	assert_int_equal(scheduled, 1);
	answer(&c, CEILING, START + 2); /* a copy */
	assert_int_equal(c.progress_at, START + 1);
}

static void test_reply_out_of_place(void **state)
{
	struct connection c;

	(void)state;
	with_ceiling(&c, CEILING);
	answer(&c, CEILING, START); /* none asked */
	answer(&c, 0, START);
	assert_int_equal(c.mtu.payload, PAYLOAD_MIN);

	mtu_start(&c, START);
	take_probe(&c, START);
	answer(&c, CEILING - 1, START);
	answer(&c, 1452, START);
	answer(&c, UINT16_MAX, START);
	answer(&c, 0, START);
	assert_int_equal(c.mtu.payload, PAYLOAD_MIN);
	assert_int_equal(mtu_due(&c), START + GAP); /* still waits */

	for (int i = 1; i <= 3; i++)
		mtu_expire(&c, START + (gw_time)i * GAP);
	assert_int_equal(take_probe(&c, START), 1452);
	answer(&c, CEILING, START); /* too late */
	assert_int_equal(c.mtu.payload, PAYLOAD_MIN);

	c.state = CONN_RETIRED;
	answer(&c, 1452, START);
	assert_int_equal(c.mtu.payload, PAYLOAD_MIN);
	assert_int_equal(scheduled, 0);
}

/* The repetition is due, and then the first copy is answered. */
static void test_reply_before_the_repetition(void **state)
{
	struct connection c;

	(void)state;
	with_ceiling(&c, CEILING);
	mtu_start(&c, START);
	take_probe(&c, START);
	mtu_expire(&c, START + GAP);
	answer(&c, CEILING, START + GAP + 1);
	assert_int_equal(take_probe(&c, START + GAP + 1), 0);
}

/* --- the peer's probes --- */

static void test_answer_probe(void **state)
{
	struct wire_probe p = { .token = "our-tok", .size = 1406, .serial = 77 }, got;
	struct path from = PATH;
	struct connection c;
	struct batch b;

	(void)state;
	with_ceiling(&c, CEILING);
	from.remote.port =
		4002; /* its NAT may have moved it: the reply goes where the probe came from */
	mtu_probe_received(&c, &from, &p);
	assert_int_equal(touched, 1);
	assert_true(write_one(&c, &b, START));
	assert_true(path_equal(&b.path, &from));
	assert_int_equal(b.len, WIRE_PROBE_MIN);
	assert_int_equal(b.segment, b.len);
	assert_false(b.probe);
	assert_int_equal(datagram[0], WIRE_PROBE_REPLY);
	assert_int_equal(wire_probe_decode(&got, datagram, b.len), b.len);
	assert_memory_equal(got.token, c.peer_token, WIRE_TOKEN_SIZE);
	assert_int_equal(got.size, 1406);
	assert_int_equal(got.serial, 77);
	assert_false(write_one(&c, &b, START));

	/* Another host has seen the token on the way. */
	c.node = &node;
	from.remote.ip[3] ^= 1;
	mtu_probe_received(&c, &from, &p);
	assert_false(write_one(&c, &b, START));
	assert_int_equal(node.stats.drop_refused, 1);
	assert_int_equal(c.mtu.payload, PAYLOAD_MIN); /* their direction says nothing of ours */
}

static void test_answer_and_own_probe(void **state)
{
	struct wire_probe p = { .size = 1280 };
	struct connection c;
	struct batch b;

	(void)state;
	with_ceiling(&c, CEILING);
	mtu_start(&c, START);
	mtu_probe_received(&c, &PATH, &p);
	mtu_probe_received(&c, &PATH, &p); /* answered together */
	touched = 0;
	assert_true(write_one(&c, &b, START));
	assert_int_equal(datagram[0], WIRE_PROBE_REPLY);
	assert_true(touched > 0); /* there is more */
	assert_int_equal(take_probe(&c, START), CEILING);
}

static void test_answer_used_only(void **state)
{
	static const enum conn_state STATES[] = { CONN_HANDSHAKE, CONN_UP, CONN_RETIRED,
						  CONN_CLOSED };
	struct connection c;
	struct batch b;

	(void)state;
	for (size_t i = 0; i < sizeof(STATES) / sizeof(*STATES); i++) {
		with_ceiling(&c, CEILING);
		c.state = STATES[i];
		mtu_probe_received(&c, &PATH, &(struct wire_probe){ .size = 1280 });
		assert_false(write_one(&c, &b, START));
		assert_int_equal(touched, 0);
	}
}

/* --- the path gets worse --- */

static void at_ceiling(struct connection *c)
{
	with_ceiling(c, CEILING);
	mtu_start(c, START);
	assert_int_equal(take_probe(c, START), CEILING);
	answer(c, CEILING, START);
	assert_int_equal(c->mtu.payload, CEILING);
}

static void expect_fallen(struct connection *c, gw_time now, gw_time again)
{
	assert_int_equal(c->mtu.payload, PAYLOAD_MIN);
	assert_int_equal(take_probe(c, now), 0);
	assert_int_equal(mtu_due(c), again);
	mtu_expire(c, again - 1);
	assert_int_equal(take_probe(c, again - 1), 0);
	mtu_expire(c, again);
	assert_int_equal(take_probe(c, again), CEILING);
}

static const struct {
	const char *name;
	gw_time silence, due;
} stalls[] = {
	{ "a short silence", 300 * GW_MSEC, 500 * GW_MSEC },
	{ "a long silence", 2 * GW_SEC, 2 * GW_SEC },
};

static void test_stall(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(stalls) / sizeof(*stalls); i++) {
		gw_time since = START + 5 * GW_SEC, due = since + stalls[i].due;
		struct connection c;

		print_message("\t%s\n", stalls[i].name);
		at_ceiling(&c);
		silence_limit = stalls[i].silence;
		c.outstanding_since = c.progress_at = since;
		assert_int_equal(mtu_due(&c), due);
		mtu_expire(&c, due - 1);
		assert_int_equal(c.mtu.payload, CEILING);

		c.progress_at = due - 1; /* some bytes were acknowledged */
		due = c.progress_at + stalls[i].due;
		assert_int_equal(mtu_due(&c), due);
		mtu_expire(&c, due);
		assert_int_equal(c.progress_at, due);
		expect_fallen(&c, due, due + RETRY);
	}
}

static void test_no_stall(void **state)
{
	struct connection c;

	(void)state;
	at_ceiling(&c); /* nothing outstanding */
	assert_true(mtu_due(&c) == GW_NEVER);
	mtu_expire(&c, START + RETRY);
	assert_int_equal(c.mtu.payload, CEILING);

	with_ceiling(&c, CEILING); /* there is nothing smaller */
	c.outstanding_since = c.progress_at = START;
	assert_true(mtu_due(&c) == GW_NEVER);
}

static void test_stall_while_searching(void **state)
{
	gw_time now = START + RETRY;
	struct connection c;

	(void)state;
	with_ceiling(&c, CEILING);
	mtu_start(&c, START);
	for (int i = 1; i <= 3; i++) {
		take_probe(&c, START);
		mtu_expire(&c, START + (gw_time)i * GAP);
	}
	assert_int_equal(take_probe(&c, START), 1452);
	answer(&c, 1452, START);
	mtu_expire(&c, now); /* looks for more */
	assert_int_equal(take_probe(&c, now), CEILING);

	c.outstanding_since = c.progress_at = START + 59 * GW_SEC;
	assert_int_equal(mtu_due(&c), now - 500 * GW_MSEC);
	mtu_expire(&c, now);
	answer(&c, CEILING, now); /* no longer asked */
	expect_fallen(&c, now, now + RETRY);
}

static void test_too_big(void **state)
{
	struct connection c;

	(void)state;
	at_ceiling(&c);
	mtu_fall_back(&c, START + 7);
	expect_fallen(&c, START + 7, START + 7 + RETRY);
}

static void test_migrated(void **state)
{
	gw_time now = START + RETRY;
	struct connection c;

	(void)state;
	at_ceiling(&c);
	mtu_migrated(&c, now);
	expect_fallen(&c, now, now + 10 * GW_SEC);

	/* a probe that waits is not sent there, either */
	with_ceiling(&c, CEILING);
	mtu_start(&c, START);
	mtu_migrated(&c, START);
	expect_fallen(&c, START, START + 10 * GW_SEC);

	/* validated before that: searched at once */
	at_ceiling(&c);
	mtu_migrated(&c, now);
	mtu_start(&c, now + 1);
	assert_int_equal(take_probe(&c, now + 1), CEILING);
}

/* --- a probe waits behind a full socket, and meanwhile ... --- */

static void test_too_big_while_a_probe_waits(void **state)
{
	struct connection c;

	(void)state;
	with_ceiling(&c, CEILING);
	mtu_start(&c, START);
	mtu_fall_back(&c, START);
	expect_fallen(&c, START, START + RETRY);
}

static void test_search_ends_while_a_probe_waits(void **state)
{
	struct connection c;
	gw_time now = START;

	(void)state;
	with_ceiling(&c, 1232); /* the only size */
	mtu_start(&c, now);
	for (int i = 0; i < 3; i++)
		mtu_expire(&c, now += GAP);
	assert_int_equal(mtu_due(&c), now + RETRY);
	assert_int_equal(take_probe(&c, now), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ceiling),
		cmocka_unit_test(test_search),
		cmocka_unit_test(test_search_again),
		cmocka_unit_test(test_gap_follows_rtt),
		cmocka_unit_test(test_reply),
		cmocka_unit_test(test_reply_out_of_place),
		cmocka_unit_test(test_reply_before_the_repetition),
		cmocka_unit_test(test_answer_probe),
		cmocka_unit_test(test_answer_and_own_probe),
		cmocka_unit_test(test_answer_used_only),
		cmocka_unit_test(test_stall),
		cmocka_unit_test(test_no_stall),
		cmocka_unit_test(test_stall_while_searching),
		cmocka_unit_test(test_too_big),
		cmocka_unit_test(test_migrated),
		cmocka_unit_test(test_too_big_while_a_probe_waits),
		cmocka_unit_test(test_search_ends_while_a_probe_waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
