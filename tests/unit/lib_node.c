// SPDX-License-Identifier: Apache-2.0
/* The public API with an event loop: two nodes in one thread, real sockets on loopback. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <godwit/godwit.h>

enum { PATIENCE_MS = 10000, BULK = 3000000 };

/* Every so many calls that send find the socket full. */
static unsigned full_every, sends;

static bool is_full(void)
{
	if (full_every == 0 || ++sends % full_every != 0)
		return false;
	errno = EAGAIN;
	return true;
}

ssize_t sendmsg(int fd, const struct msghdr *msg, int flags)
{
	return is_full() ? -1 : syscall(SYS_sendmsg, fd, msg, flags);
}

int sendmmsg(int fd, struct mmsghdr *msgs, unsigned count, int flags)
{
	return is_full() ? -1 : (int)syscall(SYS_sendmmsg, fd, msgs, count, flags);
}

/* The machine was asleep for so long: CLOCK_BOOTTIME counts that, CLOCK_MONOTONIC does not. */
static time_t slept;

int clock_gettime(clockid_t clock, struct timespec *ts)
{
	int rv = (int)syscall(SYS_clock_gettime, clock, ts);

	if (rv == 0 && clock == CLOCK_BOOTTIME)
		ts->tv_sec += slept;
	return rv;
}

struct side {
	godwit_node *node;
	uint8_t key[GODWIT_KEY_SIZE];
	godwit_stream *stream;
	unsigned flags; /* of all stream events */
	size_t sent, received;
	bool corrupt;
	uint64_t pong_id;
	char endpoint[GODWIT_ENDPOINT_SIZE]; /* where the peer answered */
	unsigned failed_peers;
	int peer_error;
};

static struct side a, b;

static void start(struct side *s, const char *listen)
{
	godwit_options o;

	memset(s, 0, sizeof(*s));
	godwit_options_init(&o);
	o.ephemeral = true;
	o.listen = listen;
	assert_int_equal(godwit_node_new(&s->node, &o), 0);
	godwit_node_key(s->node, s->key);
}

static int setup(void **state)
{
	char endpoint[GODWIT_ENDPOINT_SIZE];

	(void)state;
	start(&a, "127.0.0.1:0");
	start(&b, "127.0.0.1:0");
	assert_int_equal(godwit_node_endpoints(b.node, &endpoint, 1), 1);
	assert_int_equal(godwit_add_endpoint(a.node, b.key, endpoint), 0);
	assert_int_equal(godwit_listen(b.node, "sink", GODWIT_NEVER), 0);
	assert_int_equal(godwit_allow(b.node, "sink", NULL), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	godwit_node_free(a.node);
	godwit_node_free(b.node);
	return 0;
}

/* The byte at an offset of the test's stream. */
static uint8_t pattern(size_t offset)
{
	return (uint8_t)(offset * 31 + (offset >> 8) * 7);
}

static void receive(struct side *s)
{
	for (;;) {
		size_t len;
		const uint8_t *data = godwit_stream_read(s->stream, &len);

		if (len == 0)
			return;
		for (size_t i = 0; i < len; i++)
			s->corrupt |= data[i] != pattern(s->received + i);
		s->received += len;
		godwit_stream_consume(s->stream, len);
	}
}

static void send_until(struct side *s, size_t total)
{
	while (s->sent < total) {
		size_t len;
		uint8_t *space = godwit_stream_write_space(s->stream, &len);

		if (!space)
			return;
		if (len > total - s->sent)
			len = total - s->sent;
		for (size_t i = 0; i < len; i++)
			space[i] = pattern(s->sent + i);
		godwit_stream_write_commit(s->stream, len);
		s->sent += len;
	}
}

static void drain(struct side *s)
{
	godwit_event e;

	while (godwit_node_next_event(s->node, &e)) {
		if (e.type == GODWIT_EVENT_PONG) {
			s->pong_id = e.ping_id;
			memcpy(s->endpoint, e.endpoint, sizeof(s->endpoint));
		}
		if (e.type == GODWIT_EVENT_PEER && e.state == GODWIT_PEER_FAILED) {
			s->failed_peers++;
			s->peer_error = e.error;
		}
		if (e.type != GODWIT_EVENT_STREAM)
			continue;
		if (e.flags & GODWIT_STREAM_INCOMING)
			s->stream = e.stream;
		s->flags |= e.flags;
		receive(s);
	}
}

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* One turn of an event loop that hosts both: send what was asked for, wait, take what came. */
static void turn(void)
{
	struct pollfd p[2] = {
		{ .fd = godwit_node_fd(a.node), .events = POLLIN },
		{ .fd = godwit_node_fd(b.node), .events = POLLIN },
	};

	drain(&a);
	drain(&b);
	assert_true(poll(p, 2, PATIENCE_MS) >= 0);
	if (p[0].revents)
		godwit_node_process(a.node);
	if (p[1].revents)
		godwit_node_process(b.node);
	drain(&a);
	drain(&b);
}

#define RUN_UNTIL(condition)                                                                       \
	do {                                                                                       \
		int64_t give_up = now_ms() + PATIENCE_MS;                                          \
		drain(&a);                                                                         \
		drain(&b);                                                                         \
		while (!(condition)) {                                                             \
			assert_true(now_ms() < give_up);                                           \
			turn();                                                                    \
		}                                                                                  \
	} while (0)

static void open_stream(const char *service)
{
	assert_int_equal(godwit_stream_open(a.node, b.key, service, &a.stream), 0);
}

static void bytes_and_both_ends_arrive(void **state)
{
	godwit_stream_info info;

	(void)state;
	open_stream("sink");
	while (a.sent < BULK) {
		send_until(&a, BULK);
		turn();
	}
	godwit_stream_finish(a.stream);
	RUN_UNTIL(b.stream && godwit_stream_read_finished(b.stream));
	assert_int_equal(b.received, BULK);
	assert_false(b.corrupt);
	godwit_stream_describe(b.stream, &info);
	assert_true(info.incoming);
	assert_string_equal(info.service, "sink");
	assert_memory_equal(info.peer, a.key, sizeof(a.key));

	send_until(&b, 1000); /* a half-closed stream carries the other way on */
	godwit_stream_finish(b.stream);
	RUN_UNTIL(godwit_stream_delivered(a.stream) && godwit_stream_delivered(b.stream) &&
		  godwit_stream_read_finished(a.stream));
	assert_int_equal(a.received, 1000);
	assert_false(a.corrupt);
	assert_true(a.flags & GODWIT_STREAM_ANSWERED);
	godwit_stream_free(a.stream);
	godwit_stream_free(b.stream);
	RUN_UNTIL(godwit_node_streams(a.node, NULL, 0) == 0 &&
		  godwit_node_streams(b.node, NULL, 0) == 0);
}

static void full_socket_only_delays(void **state)
{
	(void)state;
	full_every = 3;
	open_stream("sink");
	while (a.sent < BULK / 2) {
		send_until(&a, BULK / 2);
		turn();
	}
	RUN_UNTIL(b.received == BULK / 2);
	full_every = 0;
	assert_false(b.corrupt);
}

static void check_fault(const char *fault)
{
	open_stream("sink");
	send_until(&a, BULK / 2);
	RUN_UNTIL(b.received > 0);
	assert_int_equal(godwit_debug(a.node, fault), 0);
	while (a.sent < BULK) {
		send_until(&a, BULK);
		turn();
	}
	RUN_UNTIL(b.received == BULK);
	assert_false(b.corrupt);
	assert_int_equal(godwit_stream_error(a.stream), 0);
}

static void stream_survives_a_move(void **state)
{
	(void)state;
	check_fault("move");
}

static void stream_survives_another_port(void **state)
{
	uint16_t port = godwit_node_port(a.node);

	(void)state;
	check_fault("rebind");
	assert_int_not_equal(godwit_node_port(a.node), port);
	assert_int_equal(godwit_debug(a.node, "nonsense"), GODWIT_E_INVALID);
}

/* Whatever was connected before may be gone: the node dials at once, not after a silence. */
static void sleep_of_the_machine_is_noticed(void **state)
{
	godwit_stats before, after;

	(void)state;
	open_stream("sink");
	send_until(&a, 1000);
	RUN_UNTIL(b.received == 1000);
	godwit_node_stats(a.node, &before);
	slept = 3600;
	send_until(&a, 2000);
	for (int i = 0; i < 3; i++) { /* the peer says nothing meanwhile */
		godwit_node_process(a.node);
		drain(&a);
	}
	godwit_node_stats(a.node, &after);
	assert_true(after.dials > before.dials);
	RUN_UNTIL(b.received == 2000 &&
		  (godwit_node_stats(a.node, &after), after.moves > before.moves));
	assert_int_equal(godwit_stream_error(a.stream), 0);
	slept = 0;
}

static void refusals_have_their_reasons(void **state)
{
	(void)state;
	open_stream("nothing");
	RUN_UNTIL(a.flags & GODWIT_STREAM_FAILED);
	assert_int_equal(godwit_stream_error(a.stream), GODWIT_E_NO_SERVICE);
	godwit_stream_free(a.stream);

	a.flags = 0;
	open_stream("sink");
	RUN_UNTIL(b.stream);
	godwit_stream_reset(b.stream, GODWIT_E_TARGET);
	RUN_UNTIL(a.flags & GODWIT_STREAM_FAILED);
	assert_int_equal(godwit_stream_error(a.stream), GODWIT_E_TARGET);
	assert_int_equal(godwit_stream_open(a.node, a.key, "sink", &a.stream), GODWIT_E_SELF);
	assert_int_equal(godwit_stream_open(a.node, b.key, "no good", &a.stream), GODWIT_E_INVALID);
}

static void stranger_is_denied(void **state)
{
	(void)state;
	godwit_disallow(b.node, "sink", NULL);
	assert_int_equal(godwit_dial(a.node, b.key), 0);
	RUN_UNTIL(a.failed_peers);
	assert_int_equal(a.peer_error, GODWIT_E_UNREACHABLE); /* it is not told */
}

static void rules_change_under_a_stream(void **state)
{
	(void)state;
	open_stream("sink");
	RUN_UNTIL(b.stream);
	godwit_disallow(b.node, "sink", NULL);
	assert_int_equal(godwit_allow_network(b.node, "sink", a.key, "ops"), 0);
	assert_int_equal(godwit_allow_network(b.node, "sink", a.key, NULL), 0);
	assert_int_equal(godwit_allow_network(b.node, "sink", a.key, "No Group"), GODWIT_E_INVALID);
	godwit_recheck(b.node);
	RUN_UNTIL(a.flags & b.flags & GODWIT_STREAM_FAILED);
	assert_int_equal(godwit_stream_error(a.stream), GODWIT_E_DENIED);
	assert_int_equal(godwit_stream_error(b.stream), GODWIT_E_POLICY);
	godwit_disallow_network(b.node, "sink", a.key, "ops");
	godwit_disallow_network(b.node, "sink", a.key, NULL);
}

static void own_rules_say_whom_to_dial(void **state)
{
	uint64_t id;

	(void)state;
	assert_int_equal(godwit_allow_dial(a.node, a.key), 0); /* another one than b */
	assert_int_equal(godwit_allow_dial_network(a.node, b.key, NULL), 0);
	assert_int_equal(godwit_allow_dial_network(a.node, b.key, ""), GODWIT_E_INVALID);
	assert_int_equal(godwit_dial(a.node, b.key), GODWIT_E_POLICY);
	assert_int_equal(godwit_ping(a.node, b.key, &id), GODWIT_E_POLICY);
	assert_int_equal(godwit_stream_open(a.node, b.key, "sink", &a.stream), GODWIT_E_POLICY);
	assert_int_equal(godwit_datagram_open(a.node, b.key, "sink", &a.stream), GODWIT_E_POLICY);
	godwit_disallow_dial_network(a.node, b.key, NULL);
	assert_int_equal(godwit_dial(a.node, b.key), GODWIT_E_POLICY);
	godwit_disallow_dial(a.node, a.key); /* no rule is left */
	assert_int_equal(godwit_ping(a.node, b.key, &id), 0);
	RUN_UNTIL(a.pong_id == id);
}

/* Private addresses are reused: another node may live at one of the peer's endpoints. */
static void another_node_at_an_endpoint_is_not_the_last_word(void **state)
{
	char endpoint[GODWIT_ENDPOINT_SIZE];
	struct side other;
	godwit_stats stats;
	uint64_t id = 0;

	(void)state;
	start(&other, "127.0.0.1:0");
	godwit_node_endpoints(other.node, &endpoint, 1);
	assert_int_equal(godwit_add_endpoint(a.node, b.key, endpoint), 0);
	assert_int_equal(godwit_ping(a.node, b.key, &id), 0);
	do { /* the peer itself is slow */
		struct pollfd p[2] = {
			{ .fd = godwit_node_fd(a.node), .events = POLLIN },
			{ .fd = godwit_node_fd(other.node), .events = POLLIN },
		};

		drain(&a);
		drain(&other);
		assert_true(poll(p, 2, PATIENCE_MS) >= 0);
		godwit_node_process(other.node);
		drain(&other);
		godwit_node_process(a.node);
		drain(&a);
		godwit_node_stats(other.node, &stats);
	} while (stats.datagrams_in < 3); /* it does not answer */
	assert_int_equal(a.failed_peers, 0);
	RUN_UNTIL(a.pong_id == id);
	assert_int_equal(a.failed_peers, 0);
	godwit_node_free(other.node);
}

static void ping_tells_where_the_peer_is(void **state)
{
	godwit_peer_info peer;
	godwit_stats stats;
	char expected[GODWIT_ENDPOINT_SIZE];
	uint64_t id = 0;

	(void)state;
	godwit_node_endpoints(b.node, &expected, 1);
	assert_int_equal(godwit_ping(a.node, b.key, &id), 0);
	RUN_UNTIL(a.pong_id == id && a.endpoint[0]);
	assert_string_equal(a.endpoint, expected);
	assert_int_equal(godwit_node_peers(a.node, &peer, 1), 1);
	assert_int_equal(peer.state, GODWIT_PEER_CONNECTED);
	assert_memory_equal(peer.key, b.key, sizeof(b.key));
	assert_string_equal(peer.endpoint, expected);
	godwit_node_stats(a.node, &stats);
	assert_true(stats.datagrams_in > 0 && stats.datagrams_out > 0 && stats.recv_calls > 0);
}

/* With nothing to do the node must sleep: no timer may wake it all the time. */
static void idle_node_sleeps(void **state)
{
	int turns = 0;
	int64_t until;

	(void)state;
	open_stream("sink");
	send_until(&a, 1000);
	RUN_UNTIL(b.received == 1000);
	until = now_ms() + 300; /* settle: acknowledgements, MTU probes */
	while (now_ms() < until) {
		struct pollfd p = { .fd = godwit_node_fd(a.node), .events = POLLIN };

		poll(&p, 1, 10);
		godwit_node_process(b.node);
		drain(&b);
		godwit_node_process(a.node);
		drain(&a);
	}
	until = now_ms() + 200;
	while (now_ms() < until) {
		struct pollfd p = { .fd = godwit_node_fd(a.node), .events = POLLIN };

		if (poll(&p, 1, 50) != 1)
			continue;
		godwit_node_process(a.node);
		drain(&a);
		turns++;
	}
	assert_in_range(turns, 0, 20);
}

/* A loop with timers of its own: the descriptor is never readable, and yet nothing is missed. */
static void timers_can_be_asked_for(void **state)
{
	uint8_t nobody[GODWIT_KEY_SIZE];

	(void)state;
	assert_int_equal(godwit_node_timeout_ns(a.node), GODWIT_NEVER);
	memcpy(nobody, b.key, sizeof(nobody));
	nobody[0] ^= 1;
	assert_int_equal(godwit_stream_open(a.node, nobody, "sink", &a.stream), 0);
	drain(&a);
	for (int i = 0; i < 3; i++) { /* it looks for the peer again and again */
		struct pollfd p = { .fd = godwit_node_fd(a.node), .events = POLLIN };
		uint64_t timeout = godwit_node_timeout_ns(a.node);

		assert_in_range(timeout, 0, (uint64_t)PATIENCE_MS * 1000000);
		assert_int_equal(poll(&p, 1, (int)(timeout / 1000000) + 1), 0);
		assert_int_equal(godwit_node_timeout_ns(a.node), 0);
		godwit_node_process(a.node);
	}
}

static void polls_longer_while_a_peer_is_near(void **state)
{
	uint64_t alone = godwit_node_poll_ns(a.node);

	(void)state;
	open_stream("sink");
	send_until(&a, 1000);
	RUN_UNTIL(godwit_node_poll_ns(a.node) > alone);
	RUN_UNTIL(godwit_node_poll_ns(a.node) == alone);
}

/* --- tickets and options --- */

static void ticket_leads_here(void **state)
{
	char text[GODWIT_TICKET_SIZE], endpoint[GODWIT_ENDPOINT_SIZE];
	char destination[GODWIT_TICKET_SIZE + 16], address[GODWIT_ADDRESS_SIZE];
	godwit_ticket t;

	(void)state;
	assert_int_equal(godwit_node_ticket(b.node, "sink", text), 0);
	assert_int_equal(godwit_ticket_parse(text, &t), 0);
	assert_memory_equal(t.key, b.key, sizeof(b.key));
	assert_string_equal(t.service, "sink");
	assert_int_equal(t.endpoint_count, 1); /* bound to one address: that one */
	godwit_node_endpoints(b.node, &endpoint, 1);
	assert_string_equal(t.endpoints[0], endpoint);

	snprintf(destination, sizeof(destination), "%s/other", text);
	assert_int_equal(godwit_destination_parse(destination, &t), 0);
	assert_string_equal(t.service, "other"); /* what is written wins */
	assert_int_equal(t.endpoint_count, 1);
	assert_int_equal(godwit_destination_parse(text, &t), 0);
	assert_string_equal(t.service, "sink");

	godwit_node_address(b.node, address);
	snprintf(destination, sizeof(destination), "%s/x", address);
	assert_int_equal(godwit_destination_parse(destination, &t), 0);
	assert_memory_equal(t.key, b.key, sizeof(b.key));
	assert_string_equal(t.service, "x");
	assert_int_equal(t.endpoint_count, 0);
	assert_int_equal(godwit_destination_parse(address, &t), 0);
	assert_string_equal(t.service, "");
}

static void wrong_destinations_are_refused(void **state)
{
	char address[GODWIT_ADDRESS_SIZE], text[2 * GODWIT_TICKET_SIZE];
	godwit_ticket t, untouched;

	(void)state;
	memset(&t, 0xaa, sizeof(t));
	untouched = t;
	godwit_node_address(b.node, address);
	snprintf(text, sizeof(text), "%s/", address);
	assert_int_equal(godwit_destination_parse(text, &t), GODWIT_E_INVALID);
	snprintf(text, sizeof(text), "%s/a/b", address);
	assert_int_equal(godwit_destination_parse(text, &t), GODWIT_E_INVALID);
	address[20] = address[20] == 'a' ? 'b' : 'a';
	assert_int_equal(godwit_destination_parse(address, &t), GODWIT_E_CHECKSUM);
	assert_int_equal(godwit_destination_parse("", &t), GODWIT_E_LENGTH);
	assert_true(godwit_destination_parse("t", &t) < 0);
	memset(text, 'n', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	assert_int_equal(godwit_destination_parse(text, &t), GODWIT_E_LENGTH);
	assert_memory_equal(&t, &untouched, sizeof(t));
}

static void wrong_options_are_refused(void **state)
{
	godwit_options o;
	godwit_node *node = NULL;
	char busy[GODWIT_ENDPOINT_SIZE];

	(void)state;
	godwit_options_init(&o);
	assert_int_equal(godwit_node_new(&node, &o), GODWIT_E_INVALID); /* no key at all */
	o.ephemeral = true;
	o.identity_pem = "x"; /* two */
	assert_int_equal(godwit_node_new(&node, &o), GODWIT_E_INVALID);
	o.identity_pem = NULL;
	o.congestion = "reno";
	assert_int_equal(godwit_node_new(&node, &o), GODWIT_E_INVALID);
	o.congestion = "cubic";
	o.listen = "nowhere";
	assert_int_equal(godwit_node_new(&node, &o), GODWIT_E_INVALID);
	godwit_node_endpoints(b.node, &busy, 1);
	o.listen = busy;
	assert_int_equal(godwit_node_new(&node, &o), GODWIT_E_IN_USE);
	o.size = 8; /* never initialised */
	assert_int_equal(godwit_node_new(&node, &o), GODWIT_E_INVALID);
	assert_null(node);
}

/* --- the network changes --- */

static void interface(const char *name, unsigned long request, struct ifreq *r)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	strcpy(r->ifr_name, name);
	assert_int_equal(ioctl(fd, request, r), 0);
	close(fd);
}

static void add_address(const char *name, const char *ip)
{
	struct ifreq r = { 0 };
	struct sockaddr_in *sin = (struct sockaddr_in *)&r.ifr_addr;

	sin->sin_family = AF_INET;
	assert_int_equal(inet_pton(AF_INET, ip, &sin->sin_addr), 1);
	interface(name, SIOCSIFADDR, &r);
}

static void wait_network_event(godwit_node *node)
{
	godwit_event e;

	for (;;) {
		struct pollfd p = { .fd = godwit_node_fd(node), .events = POLLIN };

		assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
		godwit_node_process(node);
		while (godwit_node_next_event(node, &e))
			if (e.type == GODWIT_EVENT_NETWORK)
				return;
	}
}

#define BEACON "ndlvvgabqkyqvn6vjp7nhslea45a5yls6pnkmizfv4bbu2hxa5iruh7a@127.0.0.1:9/0"

/* Nobody answers there, but what can be known is told. */
static void beacons_are_kept(void **state)
{
	godwit_beacon_info info[2];
	char ticket[GODWIT_TICKET_SIZE];
	godwit_ticket t;

	(void)state;
	assert_int_equal(godwit_node_beacons(a.node, NULL, 0), 0);
	assert_int_equal(godwit_add_beacon(a.node, "nonsense"), GODWIT_E_FORMAT);
	assert_non_null(godwit_beacon_check("nonsense"));
	assert_null(godwit_beacon_check(BEACON));
	assert_int_equal(godwit_add_beacon(a.node, BEACON), 0);
	assert_false(godwit_node_registered(a.node));
	assert_int_equal(godwit_node_beacons(a.node, info, 2), 1);
	assert_string_equal(info[0].beacon, BEACON);
	assert_string_equal(info[0].relay, "127.0.0.1:9");
	assert_true(info[0].own && !info[0].home && !info[0].spare);
	assert_int_equal(info[0].state, GODWIT_BEACON_DIALING);
	assert_true(info[0].heard_ms == GODWIT_NEVER && info[0].rtt_us == 0 && !info[0].fault);
	assert_int_equal(godwit_beacon_test(a.node, BEACON, 1, (const uint8_t *)"12345678"),
			 GODWIT_E_AGAIN);
	assert_int_equal(godwit_beacon_test(a.node, "x", 1, (const uint8_t *)"12345678"),
			 GODWIT_E_NOT_FOUND);
	assert_int_equal(godwit_node_ticket(a.node, NULL, ticket), 0);
	assert_int_equal(godwit_ticket_parse(ticket, &t), 0);
	assert_int_equal(t.beacon_count, 1);
	assert_string_equal(t.beacons[0], BEACON);
	/* Whoever gets the ticket knows where to ask. */
	godwit_add_ticket(b.node, &t);
	assert_int_equal(godwit_node_beacons(b.node, info, 2), 1);
	assert_string_equal(info[0].beacon, BEACON);
	assert_false(info[0].own);
	assert_int_equal(godwit_add_home(b.node, b.key, BEACON), GODWIT_E_SELF);
	for (int i = 0; i < 9; i++) {
		char text[GODWIT_BEACON_SIZE];

		snprintf(text, sizeof(text), "%.67s%d/0", BEACON, 10 + i);
		assert_int_equal(godwit_add_beacon(a.node, text), i < 7 ? 0 : GODWIT_E_LIMIT);
	}
}

/* The last test: it leaves the process in another network namespace. */
static void endpoints_follow_the_network(void **state)
{
	char found[4][GODWIT_ENDPOINT_SIZE], expected[GODWIT_ENDPOINT_SIZE];
	struct ifreq up = { .ifr_flags = IFF_UP };
	struct side s;

	(void)state;
	if (unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0)
		skip();
	start(&s, "0.0.0.0:0");
	assert_int_equal(godwit_node_endpoints(s.node, found, 4), 0); /* nothing is up */
	interface("lo", SIOCSIFFLAGS, &up);
	wait_network_event(s.node);
	assert_int_equal(godwit_node_endpoints(s.node, found, 4), 1);
	snprintf(expected, sizeof(expected), "127.0.0.1:%u", godwit_node_port(s.node));
	assert_string_equal(found[0], expected);

	add_address("lo:1", "10.9.8.7"); /* better than loopback, which is then left out */
	wait_network_event(s.node);
	add_address("lo:2", "169.254.9.9");
	do
		wait_network_event(s.node);
	while (godwit_node_endpoints(s.node, found, 4) != 2);
	snprintf(expected, sizeof(expected), "10.9.8.7:%u", godwit_node_port(s.node));
	assert_string_equal(found[0], expected);
	snprintf(expected, sizeof(expected), "169.254.9.9:%u", godwit_node_port(s.node));
	assert_string_equal(found[1], expected);
	assert_int_equal(godwit_node_endpoints(s.node, found, 1), 1);
	godwit_node_free(s.node);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(bytes_and_both_ends_arrive, setup, teardown),
		cmocka_unit_test_setup_teardown(full_socket_only_delays, setup, teardown),
		cmocka_unit_test_setup_teardown(stream_survives_a_move, setup, teardown),
		cmocka_unit_test_setup_teardown(stream_survives_another_port, setup, teardown),
		cmocka_unit_test_setup_teardown(sleep_of_the_machine_is_noticed, setup, teardown),
		cmocka_unit_test_setup_teardown(refusals_have_their_reasons, setup, teardown),
		cmocka_unit_test_setup_teardown(stranger_is_denied, setup, teardown),
		cmocka_unit_test_setup_teardown(rules_change_under_a_stream, setup, teardown),
		cmocka_unit_test_setup_teardown(own_rules_say_whom_to_dial, setup, teardown),
		cmocka_unit_test_setup_teardown(another_node_at_an_endpoint_is_not_the_last_word,
						setup, teardown),
		cmocka_unit_test_setup_teardown(ping_tells_where_the_peer_is, setup, teardown),
		cmocka_unit_test_setup_teardown(idle_node_sleeps, setup, teardown),
		cmocka_unit_test_setup_teardown(timers_can_be_asked_for, setup, teardown),
		cmocka_unit_test_setup_teardown(polls_longer_while_a_peer_is_near, setup, teardown),
		cmocka_unit_test_setup_teardown(ticket_leads_here, setup, teardown),
		cmocka_unit_test_setup_teardown(beacons_are_kept, setup, teardown),
		cmocka_unit_test_setup_teardown(wrong_destinations_are_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(wrong_options_are_refused, setup, teardown),
		cmocka_unit_test(endpoints_follow_the_network),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
