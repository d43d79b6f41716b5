// SPDX-License-Identifier: Apache-2.0
/* expose and forward of UDP, end to end: one loop, two hubs on loopback.  The test plays the server
 * behind the far hub and the clients before the near one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "service_pair.h"

#define PATIENCE (20 * GW_SEC)

enum { SIZE_MAX_TESTED = 20000, SOCKETS = FORWARD_CLIENTS_MAX + 2 };

static struct expose *expose;
static struct forward *forward;
static struct place to;
static int server_fd, reported;
static unsigned reports, seen; /* seen: datagrams at the server */
static size_t large_size, large_limit;
static unsigned large_told;
static struct sockaddr_in last_from; /* whom the server saw last */
static int sockets[SOCKETS];
static size_t n_sockets;

/* --- the server: gives back what it gets --- */

static void serve(void)
{
	static char data[SIZE_MAX_TESTED];
	socklen_t len = sizeof(last_from);
	ssize_t n;

	if (server_fd < 0)
		return;
	while ((n = recvfrom(server_fd, data, sizeof(data), MSG_DONTWAIT,
			     (struct sockaddr *)&last_from, &len)) >= 0) {
		seen++;
		(void)!sendto(server_fd, data, (size_t)n, 0, (struct sockaddr *)&last_from, len);
	}
}

static void turn(void)
{
	serve();
	pair_turn(GW_MSEC);
}

#define RUN_UNTIL(condition) RUN_UNTIL_WITHIN(PATIENCE, turn, condition)

static void run_for(gw_time duration)
{
	gw_time until = loop_clock() + duration;

	while (loop_clock() < until)
		turn();
}

static int bind_udp(uint16_t *port)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
				  .sin_port = htons(*port) };
	socklen_t len = sizeof(at);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
	*port = ntohs(at.sin_port);
	return fd;
}

/* --- the clients --- */

static int client_at(const char *text)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_port = htons(forward_listen(forward)->port) };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0 && n_sockets < SOCKETS);
	sockets[n_sockets++] = fd;
	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (text)
		at.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 4); /* 127.0.0.5 */
	/* Connected: an answer from elsewhere does not come in. */
	assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	return fd;
}

static int client(void)
{
	return client_at(NULL);
}

static void say(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), 0), (ssize_t)strlen(text));
}

static bool hears(int fd, const char *text)
{
	char data[SIZE_MAX_TESTED];
	ssize_t n = recv(fd, data, sizeof(data), MSG_DONTWAIT);

	if (n < 0)
		return false;
	assert_int_equal(n, strlen(text));
	assert_memory_equal(data, text, strlen(text));
	return true;
}

static size_t streams_of(const godwit_node *node)
{
	return godwit_node_streams(node, NULL, 0);
}

/* --- starting --- */

static void on_report(void *user, int error)
{
	(void)user;
	reported = error;
	reports++;
}

static void on_too_large(void *user, size_t size, size_t limit)
{
	(void)user;
	large_size = size;
	large_limit = limit;
	large_told++;
}

static void expose_port(uint16_t port)
{
	struct target t = { .kind = TARGET_UDP, .host = "127.0.0.1", .port = port };

	assert_int_equal(expose_start(far.hub, "dns", &t, &expose), 0);
	expose_on_too_large(expose, on_too_large, NULL);
}

static void forward_to(const char *service, const char *host)
{
	struct target t = { .kind = TARGET_UDP };

	snprintf(t.host, sizeof(t.host), "%s", host);
	memcpy(to.ticket.key, far.key, sizeof(to.ticket.key));
	snprintf(to.ticket.service, sizeof(to.ticket.service), "%s", service);
	assert_int_equal(forward_start(near.hub, &t, &to, on_report, NULL, &forward), 0);
	forward_on_too_large(forward, on_too_large, NULL);
	assert_true(forward_listen(forward)->port > 0);
}

static int setup(void **state)
{
	(void)state;
	pair_start();
	expose = NULL;
	forward = NULL;
	memset(&to, 0, sizeof(to));
	server_fd = -1;
	reported = 0;
	reports = seen = large_told = 0;
	n_sockets = 0;
	return 0;
}

static void start(void)
{
	uint16_t port = 0;

	server_fd = bind_udp(&port);
	expose_port(port);
	forward_to("dns", "127.0.0.1");
}

static int teardown(void **state)
{
	(void)state;
	if (forward)
		forward_stop(forward);
	if (expose)
		expose_stop(expose);
	for (size_t i = 0; i < n_sockets; i++)
		close(sockets[i]);
	if (server_fd >= 0)
		close(server_fd);
	pair_stop();
	return 0;
}

/* --- tests --- */

static void answers_come_back(void **state)
{
	int a, b;

	(void)state;
	start();
	a = client();
	b = client();
	say(a, "question of a");
	say(b, "question of b");
	RUN_UNTIL(hears(a, "question of a"));
	RUN_UNTIL(hears(b, "question of b"));
	assert_int_equal(streams_of(near.node), 2);
	assert_int_equal(send(a, "", 0, 0), 0); /* an empty one is one, too */
	RUN_UNTIL(hears(a, ""));
	assert_int_equal(streams_of(near.node), 2);
	assert_int_equal(reports, 0);
}

static void answers_come_from_the_address_used(void **state)
{
	uint16_t port = 0;
	int fd;

	(void)state;
	server_fd = bind_udp(&port);
	expose_port(port);
	forward_to("dns", "0.0.0.0");
	fd = client_at("127.0.0.5");
	say(fd, "who?");
	RUN_UNTIL(hears(fd, "who?"));
}

static void too_large_ones_are_told_once(void **state)
{
	static const char large[SIZE_MAX_TESTED];
	struct sockaddr_in where;
	godwit_stats st;
	int fd;

	(void)state;
	start();
	fd = client();
	say(fd, "first");
	RUN_UNTIL(hears(fd, "first"));
	run_for(300 * GW_MSEC); /* the path is probed: it is loopback's */
	for (int i = 0; i < 3; i++) {
		assert_int_equal(send(fd, large, 9000, 0), 9000);
		assert_int_equal(send(fd, large, 15000, 0), 15000);
	}
	say(fd, "after");
	RUN_UNTIL(hears(fd, "after"));
	assert_int_equal(large_told, 1);
	assert_int_equal(large_size, 9000);
	assert_in_range(large_limit, 1167, 8999);
	godwit_node_stats(near.node, &st);
	assert_int_equal(st.stream_datagrams_dropped, 6);
	assert_int_equal(send(fd, large, large_limit, 0), (ssize_t)large_limit);
	RUN_UNTIL(seen == 3);

	/* And the other way: the target's answers. */
	large_told = 0;
	where = last_from;
	assert_int_equal(sendto(server_fd, large, SIZE_MAX_TESTED, 0, (struct sockaddr *)&where,
				sizeof(where)),
			 SIZE_MAX_TESTED);
	RUN_UNTIL(large_told == 1);
	assert_int_equal(large_size, SIZE_MAX_TESTED);
	godwit_node_stats(far.node, &st);
	assert_int_equal(st.stream_datagrams_dropped, 1);
}

static void idle_clients_are_let_go(void **state)
{
	godwit_stream_info info;
	int fd, busy;

	(void)state;
	start();
	forward_set_idle(forward, GW_SEC);
	fd = client();
	busy = client();
	say(fd, "once");
	RUN_UNTIL(hears(fd, "once"));
	do {
		say(busy, "again");
		RUN_UNTIL(hears(busy, "again"));
		run_for(20 * GW_MSEC);
	} while (streams_of(near.node) == 2);
	assert_int_equal(godwit_node_streams(near.node, &info, 1), 1);
	assert_true(info.received > 10); /* the busy one's */
	RUN_UNTIL(expose_active(expose) == 1);
	RUN_UNTIL(streams_of(near.node) == 0 && expose_active(expose) == 0);
	assert_int_equal(reports, 0); /* that is no failure */
	say(fd, "back");
	RUN_UNTIL(hears(fd, "back"));
}

/* Traffic from the peer alone keeps it alive as well. */
static void answers_keep_it_alive(void **state)
{
	struct sockaddr_in where;
	int fd;

	(void)state;
	start();
	forward_set_idle(forward, GW_SEC);
	fd = client();
	say(fd, "subscribe");
	RUN_UNTIL(hears(fd, "subscribe"));
	where = last_from;
	for (int i = 0; i < 10; i++) {
		run_for(200 * GW_MSEC);
		assert_int_equal(
			sendto(server_fd, "news", 4, 0, (struct sockaddr *)&where, sizeof(where)),
			4);
		RUN_UNTIL(hears(fd, "news"));
	}
}

static void a_target_that_refuses_is_asked_again(void **state)
{
	uint16_t port = 0;
	int fd;

	(void)state;
	server_fd = bind_udp(&port);
	close(server_fd);
	server_fd = -1;
	expose_port(port);
	forward_to("dns", "127.0.0.1");
	fd = client();
	for (int i = 0; i < 20; i++) {
		say(fd, "lost");
		run_for(10 * GW_MSEC);
	}
	assert_int_equal(streams_of(near.node), 1);
	assert_int_equal(reports, 0);
	server_fd = bind_udp(&port);
	say(fd, "now");
	RUN_UNTIL(hears(fd, "now"));
	assert_int_equal(streams_of(near.node), 1); /* still the same association */
}

static void the_idlest_makes_room(void **state)
{
	int first, second;

	(void)state;
	start();
	first = client();
	second = client();
	say(first, "first");
	RUN_UNTIL(hears(first, "first"));
	say(second, "second");
	RUN_UNTIL(hears(second, "second"));
	say(first, "first"); /* now the second one is the idlest */
	RUN_UNTIL(hears(first, "first"));
	for (int i = 2; i < FORWARD_CLIENTS_MAX; i++) {
		int fd = client();

		say(fd, "more");
		RUN_UNTIL(hears(fd, "more"));
	}
	assert_int_equal(streams_of(near.node), FORWARD_CLIENTS_MAX);
	say(client(), "one too many");
	RUN_UNTIL(seen == FORWARD_CLIENTS_MAX + 2);
	RUN_UNTIL(streams_of(near.node) == FORWARD_CLIENTS_MAX &&
		  expose_active(expose) == FORWARD_CLIENTS_MAX);
	say(first, "still");
	RUN_UNTIL(hears(first, "still"));
	assert_int_equal(streams_of(near.node), FORWARD_CLIENTS_MAX);
}

/* Refused clients do not knock with every datagram. */
static void refusals_are_reported_and_rare(void **state)
{
	gw_time until = loop_clock() + 2500 * GW_MSEC;
	godwit_stream_info info;
	uint64_t last = 0, tries = 0;
	int fd;

	(void)state;
	forward_to("nothing", "127.0.0.1");
	fd = client();
	while (loop_clock() < until) {
		say(fd, "?");
		turn();
		if (godwit_node_streams(near.node, &info, 1) == 1 && info.id + 1 != last) {
			last = info.id + 1;
			tries++;
		}
	}
	assert_int_equal(reports, 1);
	assert_int_equal(reported, GODWIT_E_NO_SERVICE);
	assert_in_range(tries, 2, 4);
}

static void kinds_do_not_mix(void **state)
{
	struct target t = { .kind = TARGET_TCP, .host = "127.0.0.1", .port = 9 };
	godwit_stream *s;
	int fd;

	(void)state;
	assert_int_equal(expose_start(far.hub, "web", &t, &expose), 0);
	forward_to("web", "127.0.0.1");
	fd = client();
	say(fd, "?");
	RUN_UNTIL(reports == 1);
	assert_int_equal(reported, GODWIT_E_KIND);
	expose_stop(expose);
	expose_port(9);
	assert_int_equal(godwit_stream_open(near.node, far.key, "dns", &s), 0);
	RUN_UNTIL(godwit_stream_error(s) != 0);
	assert_int_equal(godwit_stream_error(s), GODWIT_E_KIND);
	godwit_stream_free(s);
}

/* Nothing of theirs ends by itself, so nobody waits for that. */
static void drained_ones_end(void **state)
{
	int fd;

	(void)state;
	start();
	fd = client();
	say(fd, "hello");
	RUN_UNTIL(hears(fd, "hello"));
	expose_drain(expose);
	assert_int_equal(expose_active(expose), 0);
	RUN_UNTIL(streams_of(near.node) == 0);
	assert_int_equal(reported, GODWIT_E_RESET);
	say(fd, "again");
	RUN_UNTIL(reported == GODWIT_E_NO_SERVICE);
	forward_drain(forward);
	assert_int_equal(forward_active(forward), 0);
	RUN_UNTIL(streams_of(near.node) == 0);
}

static void listeners_are_refused_with_a_reason(void **state)
{
	struct target t = { .kind = TARGET_UDP, .host = "198.51.100.1", .port = 9 };
	struct forward *second;

	(void)state;
	start();
	assert_int_equal(forward_start(near.hub, &t, &to, on_report, NULL, &second),
			 GODWIT_E_INVALID);
	snprintf(t.host, sizeof(t.host), "no.address");
	assert_int_equal(forward_start(near.hub, &t, &to, on_report, NULL, &second),
			 GODWIT_E_INVALID);
	t = *forward_listen(forward);
	assert_int_equal(forward_start(near.hub, &t, &to, on_report, NULL, &second),
			 GODWIT_E_IN_USE);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(answers_come_back),
		TEST(answers_come_from_the_address_used),
		TEST(too_large_ones_are_told_once),
		TEST(idle_clients_are_let_go),
		TEST(answers_keep_it_alive),
		TEST(a_target_that_refuses_is_asked_again),
		TEST(the_idlest_makes_room),
		TEST(refusals_are_reported_and_rare),
		TEST(kinds_do_not_mix),
		TEST(drained_ones_end),
		TEST(listeners_are_refused_with_a_reason),
	};

	struct rlimit limit;

	/* Two descriptors for each of the many clients. */
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = limit.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
