/* tests/unit/core_recheck.c - rules change under what is live: streams, dials, pings, connections. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "core_pair.h"
#include "core/policy.h"

/* The next time that somebody asks: yes. */
static bool welcome_once;

bool __real_policy_welcomes(const struct policy *p, const struct principal *who);
bool __wrap_policy_welcomes(const struct policy *p, const struct principal *who);

bool __wrap_policy_welcomes(const struct policy *p, const struct principal *who)
{
	if (!welcome_once)
		return __real_policy_welcomes(p, who);
	welcome_once = false;
	return true;
}

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

/* Node 0 is open to all; node 1 offers echo, dns and web, and lets nobody use them. */
static void start(struct pair *p)
{
	pair_start(p, 0, true);
	pair_start(p, 1, false);
	assert_int_equal(node_listen(p->n[1].node, "web", GW_NEVER), 0);
	pair_know(p, 0, 1);
}

static void disallow(struct pair *p, int i, const char *service, int peer)
{
	struct subject who = subject_of_key(p->n[peer].id.key);

	node_disallow(p->n[i].node, service, &who);
}

static void allow_dial(struct pair *p, int i, int peer)
{
	struct subject who = subject_of_key(p->n[peer].id.key);

	assert_int_equal(node_allow_dial(p->n[i].node, &who), 0);
}

static struct stream *open_taken(struct pair *p, const char *service, struct stream **taken)
{
	struct stream *s = pair_open(p, service);

	*taken = pair_wait_incoming(p, 1, p->n[1].n_incoming + 1);
	return s;
}

/* Bytes written at one end come out at the other. */
static void expect_alive(struct pair *p, struct stream *from, struct stream *to)
{
	char text[8];

	assert_int_equal(stream_write(from, "still", 5, p->now), 5);
	pair_run(p, 100 * GW_MSEC);
	assert_int_equal(pair_read(p, to, text, sizeof(text)), 5);
	assert_memory_equal(text, "still", 5);
	assert_int_equal(stream_error(from), 0);
	assert_int_equal(stream_error(to), 0);
}

static void expect_end(struct pair *p, int i, struct stream *s, int error)
{
	assert_true(pair_wait_flags(p, i, s, STREAM_FAILED));
	assert_int_equal(stream_error(s), error);
	stream_release(s, p->now);
}

static struct node_stats stats(const struct pair *p, int i)
{
	struct node_stats st;

	node_stats_get(p->n[i].node, &st);
	return st;
}

/* --- in --- */

static void test_streams_end_one_by_one(void **state)
{
	struct pair *p = *state;
	struct stream *echo, *web, *dns, *echo_b, *web_b, *dns_b;
	size_t len;

	start(p);
	pair_allow(p, 1, "echo", 0);
	pair_allow(p, 1, "web", 0);
	pair_allow(p, 1, "dns", 0);
	echo = open_taken(p, "echo", &echo_b);
	web = open_taken(p, "web", &web_b);
	assert_int_equal(node_datagram_open(p->n[0].node, p->n[1].id.key, "dns", &dns, p->now), 0);
	dns_b = pair_wait_incoming(p, 1, 3);
	disallow(p, 1, "echo", 0);
	disallow(p, 1, "dns", 0);
	expect_alive(p, echo, echo_b); /* nobody has asked to look again */
	expect_alive(p, echo_b, echo);
	assert_int_equal(stream_write(echo, "unread", 6, p->now), 6);
	pair_run(p, 100 * GW_MSEC);

	node_recheck(p->n[1].node, p->now);
	assert_int_equal(stream_error(echo_b), GW_E_POLICY);
	(void)stream_read(echo_b, &len);
	assert_int_equal(len, 0);
	assert_int_equal(stream_write(echo_b, "more", 4, p->now), GW_E_POLICY);
	expect_end(p, 1, echo_b, GW_E_POLICY);
	expect_end(p, 0, echo, GW_E_DENIED);
	expect_end(p, 1, dns_b, GW_E_POLICY);
	expect_end(p, 0, dns, GW_E_DENIED);
	pair_run(p, 5 * GW_SEC);
	expect_alive(p, web, web_b);
	expect_alive(p, web_b, web);
	assert_int_equal(pair_streams(p, 0), 1);
	assert_int_equal(pair_streams(p, 1), 1);
	assert_int_equal(p->n[0].connected, 1); /* all on one connection */
	assert_int_equal(p->n[0].failed, 0);
}

/* What no change concerns goes on. */
static void test_nothing_has_changed(void **state)
{
	struct pair *p = *state;
	struct stream *s, *b;

	start(p);
	pair_allow(p, 1, NULL, 0);
	s = open_taken(p, "echo", &b);
	node_recheck(p->n[1].node, p->now);
	node_recheck(p->n[0].node, p->now);
	pair_run(p, 5 * GW_SEC);
	expect_alive(p, s, b);
	/* By another rule. */
	pair_allow(p, 1, "echo", 0);
	disallow(p, 1, NULL, 0);
	node_recheck(p->n[1].node, p->now);
	pair_run(p, 5 * GW_SEC);
	expect_alive(p, b, s);
	stream_release(s, p->now);
	stream_release(b, p->now);
	pair_run(p, 5 * GW_SEC);
	node_recheck(p->n[1].node, p->now); /* idle, but welcome */
	pair_run(p, 5 * GW_SEC);
	assert_int_equal(stats(p, 1).connections, 1);
}

static void expect_shut_out(struct pair *p)
{
	uint64_t id;

	assert_int_equal(stats(p, 0).connections, 0);
	assert_int_equal(stats(p, 1).connections, 0);
	assert_int_equal(pair_streams(p, 1), 0);
	p->n[0].failed = 0;
	assert_int_equal(node_ping(p->n[0].node, p->n[1].id.key, &id, p->now), 0);
	pair_run(p, 8 * GW_SEC);
	assert_int_equal(p->n[0].pongs, 0);
	assert_true(p->n[0].failed > 0);
	assert_int_equal(p->n[0].error, GW_E_UNREACHABLE); /* it is not told why */
	node_undial(p->n[0].node, p->n[1].id.key, p->now);

	pair_allow(p, 1, "web", 0);
	assert_int_equal(node_ping(p->n[0].node, p->n[1].id.key, &id, p->now), 0);
	pair_run(p, 5 * GW_SEC);
	assert_int_equal(p->n[0].pongs, 1);
}

static void test_last_right_is_taken(void **state)
{
	struct pair *p = *state;
	struct stream *s, *b;

	start(p);
	pair_allow(p, 1, "echo", 0);
	s = open_taken(p, "echo", &b);
	disallow(p, 1, "echo", 0);
	node_recheck(p->n[1].node, p->now);
	expect_end(p, 1, b, GW_E_POLICY);
	expect_end(p, 0, s, GW_E_DENIED);
	pair_run(p, 2 * GW_SEC);
	assert_int_equal(p->n[0].state, PEER_FAILED);
	assert_int_equal(p->n[0].error, GW_E_DENIED);
	expect_shut_out(p);
}

static void test_idle_connection_is_closed(void **state)
{
	struct pair *p = *state;

	start(p);
	pair_allow(p, 1, "echo", 0);
	assert_int_equal(node_dial(p->n[0].node, p->n[1].id.key, p->now), 0);
	assert_true(pair_wait_connected(p));
	pair_run(p, GW_SEC);
	disallow(p, 1, "echo", 0);
	pair_run(p, GW_SEC);
	assert_int_equal(stats(p, 1).connections, 1);
	node_recheck(p->n[1].node, p->now);
	pair_run(p, 10 * GW_MSEC); /* there is nothing to wait for */
	expect_shut_out(p);
}

/* The rules change between the handshake and the hello. */
static void test_handshake_comes_too_late(void **state)
{
	struct pair *p = *state;

	start(p);
	welcome_once = true;
	assert_int_equal(node_dial(p->n[0].node, p->n[1].id.key, p->now), 0);
	pair_run(p, 5 * GW_SEC);
	assert_false(welcome_once);
	assert_int_equal(p->n[0].connected, 0);
	assert_int_equal(p->n[1].connected, 0);
	expect_shut_out(p);
}

/* The reset is lost, and so is the close: the peer hears nothing any more. */
static void test_nothing_of_it_arrives(void **state)
{
	struct pair *p = *state;
	struct stream *s, *b;
	uint64_t dials;

	start(p);
	pair_allow(p, 1, "echo", 0);
	s = open_taken(p, "echo", &b);
	pair_run(p, GW_SEC);
	p->n[0].cut = true;
	disallow(p, 1, "echo", 0);
	node_recheck(p->n[1].node, p->now);
	expect_end(p, 1, b, GW_E_POLICY);
	pair_run(p, 2 * GW_SEC);
	assert_int_equal(pair_streams(p, 1), 0);
	dials = stats(p, 1).dials;
	pair_run(p, 60 * GW_SEC);
	assert_int_equal(stats(p, 1).connections, 0);
	assert_int_equal(stats(p, 1).dials, dials); /* it wants nothing of that peer */
	p->n[0].cut = false;
	pair_run(p, 20 * GW_SEC);
	assert_int_equal(stream_error(s), 0); /* it waits, and is not told */
	assert_int_equal(stats(p, 1).connections, 0);
	stream_release(s, p->now);
}

/* Allowed again before the connection has been closed. */
static void test_second_thoughts(void **state)
{
	struct pair *p = *state;
	struct stream *s, *b;

	start(p);
	pair_allow(p, 1, "echo", 0);
	s = open_taken(p, "echo", &b);
	disallow(p, 1, "echo", 0);
	node_recheck(p->n[1].node, p->now);
	pair_allow(p, 1, "web", 0);
	expect_end(p, 1, b, GW_E_POLICY);
	expect_end(p, 0, s, GW_E_DENIED);
	pair_run(p, 5 * GW_SEC);
	assert_int_equal(stats(p, 1).connections, 1);
	assert_int_equal(p->n[0].failed, 0);
}

/* Who may use nothing here may still be used from here. */
static void test_one_that_we_want_stays(void **state)
{
	struct pair *p = *state;
	struct stream *s, *b, *ours, *ours_b;

	start(p);
	pair_allow(p, 1, "echo", 0);
	s = open_taken(p, "echo", &b);
	assert_int_equal(node_stream_open(p->n[1].node, p->n[0].id.key, "echo", &ours, p->now), 0);
	ours_b = pair_wait_incoming(p, 0, 1);
	disallow(p, 1, "echo", 0);
	node_recheck(p->n[1].node, p->now);
	expect_end(p, 1, b, GW_E_POLICY);
	expect_end(p, 0, s, GW_E_DENIED);
	pair_run(p, 5 * GW_SEC);
	expect_alive(p, ours, ours_b);
	expect_alive(p, ours_b, ours);
	assert_int_equal(p->n[0].connected, 1);
	node_recheck(p->n[1].node, p->now); /* again */
	pair_run(p, 5 * GW_SEC);
	expect_alive(p, ours, ours_b);

	stream_release(ours, p->now);
	stream_release(ours_b, p->now);
	pair_run(p, GW_SEC);
	node_recheck(p->n[1].node, p->now);
	pair_run(p, GW_SEC);
	expect_shut_out(p);
}

/* Somebody waits for an answer of it. */
static void test_one_that_we_ping_stays(void **state)
{
	struct pair *p = *state;
	uint64_t id;

	start(p);
	pair_allow(p, 1, "echo", 0);
	assert_int_equal(node_dial(p->n[0].node, p->n[1].id.key, p->now), 0);
	assert_true(pair_wait_connected(p));
	pair_run(p, GW_SEC);
	assert_int_equal(node_ping(p->n[1].node, p->n[0].id.key, &id, p->now), 0);
	disallow(p, 1, "echo", 0);
	node_recheck(p->n[1].node, p->now);
	pair_run(p, 10 * GW_MSEC);
	assert_int_equal(p->n[1].pongs, 1);
	assert_int_equal(p->n[1].connected, 1); /* and not anew */
	assert_int_equal(stats(p, 1).connections, 1);
	node_recheck(p->n[1].node, p->now);
	pair_run(p, 10 * GW_MSEC);
	expect_shut_out(p);
}

/* --- out --- */

static void expect_no_dial(struct pair *p)
{
	const uint8_t *key = p->n[1].id.key;
	struct stream *s;
	uint64_t id;

	assert_false(node_may_dial(p->n[0].node, key));
	assert_int_equal(node_dial(p->n[0].node, key, p->now), GW_E_POLICY);
	assert_int_equal(node_ping(p->n[0].node, key, &id, p->now), GW_E_POLICY);
	assert_int_equal(node_stream_open(p->n[0].node, key, "echo", &s, p->now), GW_E_POLICY);
	assert_int_equal(node_datagram_open(p->n[0].node, key, "dns", &s, p->now), GW_E_POLICY);
	assert_int_equal(node_dial(p->n[0].node, p->n[0].id.key, p->now), GW_E_SELF);
	pair_know(p, 0, 1); /* a hint dials nobody */
}

static void test_dial_is_refused(void **state)
{
	struct pair *p = *state;
	uint64_t id;

	start(p);
	pair_allow(p, 1, NULL, 0);
	allow_dial(p, 0, 2);
	expect_no_dial(p);
	pair_run(p, 5 * GW_SEC);
	assert_int_equal(stats(p, 0).dials, 0);
	assert_int_equal(node_dial(p->n[0].node, p->n[2].id.key, p->now), 0);
	allow_dial(p, 0, 1);
	assert_int_equal(node_ping(p->n[0].node, p->n[1].id.key, &id, p->now), 0);
	pair_run(p, 5 * GW_SEC);
	assert_int_equal(p->n[0].pongs, 1);
}

static void test_outgoing_streams_end(void **state)
{
	struct pair *p = *state;
	struct stream *s, *b, *theirs, *theirs_b;

	start(p);
	pair_allow(p, 1, NULL, 0);
	s = open_taken(p, "echo", &b);
	assert_int_equal(node_stream_open(p->n[1].node, p->n[0].id.key, "echo", &theirs, p->now),
			 0);
	theirs_b = pair_wait_incoming(p, 0, 1);
	allow_dial(p, 0, 2);
	expect_alive(p, s, b);
	node_recheck(p->n[0].node, p->now);
	expect_end(p, 0, s, GW_E_POLICY);
	expect_end(p, 1, b, GW_E_DENIED);
	pair_run(p, 5 * GW_SEC);
	expect_alive(p, theirs, theirs_b); /* it came in */
	expect_no_dial(p);
	assert_int_equal(p->n[0].connected, 1);
}

/* Without a connection: it fails here at once, and there when they meet; this node does not dial for
 * that. */
static void test_parked_stream_ends(void **state)
{
	struct pair *p = *state;
	struct local_addr both[] = { { .addr = p->n[0].at, .ifindex = 1, .mtu = 1500 },
				     { .addr = p->n[2].at, .ifindex = 2, .mtu = 1500 } };
	struct stream *s, *b;
	uint64_t dials;

	start(p);
	node_network_changed(p->n[0].node, both, 2, p->now); /* then it dials by each, soon after */
	pair_allow(p, 1, NULL, 0);
	s = open_taken(p, "echo", &b);
	pair_run(p, GW_SEC);
	p->n[1].cut = true;
	node_debug_break(p->n[0].node, p->now);
	pair_run(p, GW_SEC);
	allow_dial(p, 0, 2);
	node_recheck(p->n[0].node, p->now);
	assert_int_equal(stream_error(s), GW_E_POLICY);
	expect_end(p, 0, s, GW_E_POLICY);
	dials = stats(p, 0).dials;
	pair_run(p, 60 * GW_SEC);
	assert_int_equal(stats(p, 0).dials, dials);
	assert_int_equal(stats(p, 0).connections, 0);
	p->n[1].cut = false;
	assert_int_equal(stream_write(b, "hello?", 6, p->now), 6);
	expect_end(p, 1, b, GW_E_DENIED);
	pair_run(p, 5 * GW_SEC);
	assert_int_equal(pair_streams(p, 0), 0);
	assert_int_equal(stats(p, 0).dials, dials);
}

/* A stream that never left, and a dial that somebody waits for. */
static void test_dial_in_progress_ends(void **state)
{
	struct pair *p = *state;
	struct stream *s;
	uint64_t id, dials;

	pair_start(p, 0, true);
	pair_know(p, 0, 1);
	assert_int_equal(node_ping(p->n[0].node, p->n[1].id.key, &id, p->now), 0);
	s = pair_open(p, "echo");
	pair_run(p, 500 * GW_MSEC);
	p->n[0].failed = 0;
	allow_dial(p, 0, 2);
	node_recheck(p->n[0].node, p->now);
	expect_end(p, 0, s, GW_E_POLICY);
	assert_int_equal(p->n[0].failed, 1);
	assert_int_equal(p->n[0].error, GW_E_POLICY);
	assert_int_equal(pair_streams(p, 0), 0);
	assert_int_equal(stats(p, 0).connections, 0);
	dials = stats(p, 0).dials;
	pair_run(p, 60 * GW_SEC);
	assert_int_equal(stats(p, 0).dials, dials);
	assert_int_equal(p->n[0].failed, 1);
}

/* A peer that may not be dialled has streams here: they are carried on, whoever moves. */
static void test_its_own_streams_move(void **state)
{
	struct pair *p = *state;
	struct stream *s, *b;
	uint64_t dials;

	start(p);
	pair_allow(p, 1, NULL, 0);
	s = open_taken(p, "echo", &b);
	allow_dial(p, 1, 2);
	node_recheck(p->n[1].node, p->now);
	dials = stats(p, 1).dials;
	node_debug_move(p->n[1].node, p->now);
	pair_run(p, 5 * GW_SEC);
	assert_true(stats(p, 1).dials > dials);
	assert_int_equal(p->n[1].connected, 2);
	expect_alive(p, s, b);
	expect_alive(p, b, s);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_streams_end_one_by_one),   TEST(test_nothing_has_changed),
		TEST(test_last_right_is_taken),      TEST(test_idle_connection_is_closed),
		TEST(test_nothing_of_it_arrives),    TEST(test_second_thoughts),
		TEST(test_one_that_we_want_stays),   TEST(test_dial_is_refused),
		TEST(test_outgoing_streams_end),     TEST(test_parked_stream_ends),
		TEST(test_dial_in_progress_ends),    TEST(test_its_own_streams_move),
		TEST(test_handshake_comes_too_late), TEST(test_one_that_we_ping_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
