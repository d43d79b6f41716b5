// SPDX-License-Identifier: Apache-2.0
/* The UDP socket over loopback.  The system calls that send are replaced by ones that can be
 * told to fail as a full socket or a device without checksum offload would. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/udp.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/error.h"
#include "io/udp.h"

/* --- faults --- */

static struct {
	int gso_errno;      /* every send with a segment size fails with it */
	int once_errno;     /* the next send fails with it */
	unsigned take;      /* datagrams that the next sendmmsg takes; 0: all */
	bool full;          /* after that: EAGAIN */
	unsigned datagrams; /* handed over by sendmmsg */
} fault;

static bool fails(void)
{
	if (!fault.once_errno)
		return false;
	errno = fault.once_errno;
	fault.once_errno = 0;
	return true;
}

static bool has_segment_size(const struct msghdr *msg)
{
	struct msghdr *m = (struct msghdr *)(uintptr_t)msg;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c))
		if (c->cmsg_level == SOL_UDP)
			return true;
	return false;
}

ssize_t sendmsg(int fd, const struct msghdr *msg, int flags)
{
	if (fails())
		return -1;
	if (fault.gso_errno && has_segment_size(msg)) {
		errno = fault.gso_errno;
		return -1;
	}
	return syscall(SYS_sendmsg, fd, msg, flags);
}

int sendmmsg(int fd, struct mmsghdr *msgs, unsigned count, int flags)
{
	long n;

	if (fails())
		return -1;
	if (fault.full && fault.take == 0) {
		errno = EAGAIN;
		return -1;
	}
	if (fault.take && count > fault.take)
		count = fault.take;
	fault.take = 0;
	n = syscall(SYS_sendmmsg, fd, msgs, count, flags);
	if (n > 0)
		fault.datagrams += (unsigned)n;
	return (int)n;
}

/* --- helpers --- */

enum { GOT_MAX = 256 };

struct inbox {
	size_t count;
	struct path path; /* of the last datagram */
	size_t len[GOT_MAX];
	uint8_t first[GOT_MAX];
};

static void on_datagram(void *user, const struct path *path, const uint8_t *data, size_t len)
{
	struct inbox *in = user;

	assert_true(in->count < GOT_MAX);
	in->path = *path;
	in->len[in->count] = len;
	in->first[in->count++] = len ? data[0] : 0;
	for (size_t i = 1; i < len; i++)
		assert_int_equal(data[i], data[0]); /* no datagram has another one's bytes */
}

/* Receive until `count` datagrams have come; then nothing more may be there. */
static void expect(struct udp *u, struct inbox *in, size_t count)
{
	memset(in, 0, sizeof(*in));
	while (in->count < count) {
		struct pollfd p = { .fd = udp_fd(u), .events = POLLIN };

		assert_int_equal(poll(&p, 1, 5000), 1);
		assert_true(udp_receive(u, 8, on_datagram, in) >= 0);
	}
	assert_int_equal(in->count, count);
	assert_int_equal(udp_receive(u, 8, on_datagram, in), 0);
}

static struct udp *open_at(const char *text)
{
	struct addr a = { 0 };
	struct udp *u = NULL;

	if (text)
		assert_int_equal(addr_parse(&a, text), 0);
	assert_int_equal(udp_open(&u, &a), 0);
	assert_non_null(u);
	return u;
}

static struct path to(const char *host, const struct udp *u)
{
	struct path p = { 0 };

	assert_int_equal(addr_parse_host(&p.remote, host, udp_local(u).port), 0);
	return p;
}

static bool has_v6_loopback(void)
{
	struct sockaddr_in6 sin6 = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	int fd = socket(AF_INET6, SOCK_DGRAM, 0);
	bool ok = fd >= 0 && bind(fd, (struct sockaddr *)&sin6, sizeof(sin6)) == 0;

	if (fd >= 0)
		close(fd);
	return ok;
}

static void assert_host(const struct addr *a, const char *host)
{
	char text[ADDR_TEXT_MAX];

	assert_string_equal(addr_format_host(a, text), host);
}

/* Datagram i is filled with the byte i. */
static size_t fill(uint8_t *out, size_t count, size_t segment, size_t tail)
{
	for (size_t i = 0; i < count; i++)
		memset(out + i * segment, (int)i, segment);
	memset(out + count * segment, (int)count, tail);
	return count * segment + tail;
}

/* --- addresses --- */

static void check_there_and_back(const char *listen_a, const char *listen_b, const char *host)
{
	struct udp *a = open_at(listen_a), *b = open_at(listen_b);
	struct path p = to(host, b);
	struct inbox in;

	assert_int_equal(udp_send(a, &p, (const uint8_t *)"ping", 1, 1), 0);
	expect(b, &in, 1);
	assert_int_equal(in.first[0], 'p');
	assert_int_equal(in.path.remote.port, udp_local(a).port);
	assert_int_equal(in.path.local.port, udp_local(b).port);
	assert_host(&in.path.local, host);
	assert_int_not_equal(in.path.ifindex, 0);

	/* The answer leaves from the address that was asked, and no other. */
	p = in.path;
	assert_int_equal(udp_send(b, &p, (const uint8_t *)"q", 1, 1), 0);
	expect(a, &in, 1);
	assert_int_equal(in.first[0], 'q');
	assert_true(addr_equal(&in.path.remote, &p.local));
	assert_true(addr_equal(&in.path.local, &p.remote));
	udp_close(a);
	udp_close(b);
}

static void v4_through_v4_sockets(void **state)
{
	(void)state;
	check_there_and_back("127.0.0.1:0", "127.0.0.1:0", "127.0.0.1");
	check_there_and_back("0.0.0.0:0", "0.0.0.0:0", "127.0.0.9");
}

static void v4_through_dual_stack(void **state)
{
	(void)state;
	check_there_and_back(NULL, NULL, "127.0.0.1");
	check_there_and_back(NULL, NULL, "127.0.0.7"); /* not the kernel's choice of source */
	check_there_and_back("127.0.0.1:0", NULL, "127.0.0.8");
}

static void v6_through_dual_stack(void **state)
{
	(void)state;
	if (!has_v6_loopback())
		skip();
	check_there_and_back(NULL, NULL, "::1");
	check_there_and_back("[::1]:0", "[::]:0", "::1");
}

static void local_address_is_as_bound(void **state)
{
	struct udp *any = open_at(NULL), *v4 = open_at("0.0.0.0:0"), *one = open_at("127.0.0.3:0");
	struct addr a = udp_local(any);

	(void)state;
	assert_true(addr_is_unspecified(&a));
	assert_int_not_equal(a.port, 0);
	a = udp_local(v4);
	assert_int_equal(a.family, ADDR_V4);
	assert_true(addr_is_unspecified(&a));
	a = udp_local(one);
	assert_host(&a, "127.0.0.3");
	udp_close(any);
	udp_close(v4);
	udp_close(one);
}

static void open_says_what_is_wrong(void **state)
{
	struct udp *u = open_at("127.0.0.1:0"), *other = NULL;
	struct addr a = udp_local(u);

	(void)state;
	assert_int_equal(udp_open(&other, &a), GW_E_IN_USE);
	assert_int_equal(addr_parse(&a, "198.51.100.77:0"), 0);
	assert_int_equal(udp_open(&other, &a), GW_E_INVALID);
	assert_null(other);
	udp_close(u);
}

static void rebind_takes_another_port_and_keeps_the_fd(void **state)
{
	struct udp *a = open_at(NULL), *b = open_at("127.0.0.1:0");
	struct path p;
	struct inbox in;
	uint16_t first = udp_local(a).port;
	int fd = udp_fd(a);

	(void)state;
	assert_int_equal(udp_rebind(a), 0);
	assert_int_equal(udp_fd(a), fd);
	assert_int_not_equal(udp_local(a).port, first);
	p = to("127.0.0.1", b);
	assert_int_equal(udp_send(a, &p, (const uint8_t *)"r", 1, 1), 0);
	expect(b, &in, 1);
	assert_int_equal(in.path.remote.port, udp_local(a).port);
	assert_int_equal(udp_send(b, &in.path, (const uint8_t *)"s", 1, 1), 0);
	expect(a, &in, 1);
	assert_int_equal(in.path.local.port, first); /* the path is the same to its owner */
	udp_close(a);
	udp_close(b);
}

/* --- batches --- */

static void check_batch(const char *host, size_t count, size_t segment, size_t tail)
{
	static uint8_t data[200000];
	size_t len = fill(data, count, segment, tail);
	size_t total = count + (tail > 0);
	struct udp *a = open_at(NULL), *b = open_at(NULL);
	struct path p = to(host, b);
	struct inbox in;

	assert_true(len <= sizeof(data));
	assert_int_equal(udp_send(a, &p, data, len, segment), 0);
	expect(b, &in, total);
	for (size_t i = 0; i < total; i++) {
		assert_int_equal(in.first[i], i);
		assert_int_equal(in.len[i], i < count ? segment : tail);
	}
	udp_close(a);
	udp_close(b);
}

static void check_batches(void)
{
	check_batch("127.0.0.1", 20, 1200, 33);
	check_batch("127.0.0.1", 3, 1452, 0);
	check_batch("127.0.0.1", 1, 9000, 0);
	check_batch("127.0.0.1", 130, 500, 1); /* more than 64 segments */
	check_batch("127.0.0.1", 20, 8192, 5); /* more than one IP packet holds */
	if (has_v6_loopback())
		check_batch("::1", 20, 1200, 33);
}

static void batches_arrive_with_offload(void **state)
{
	struct udp *u = open_at(NULL);
	struct udp_stats stats;

	(void)state;
	udp_stats_get(u, &stats);
	udp_close(u);
	if (!stats.gso || !stats.gro)
		skip();
	fault.datagrams = 0;
	check_batches();
	assert_int_equal(fault.datagrams, 1); /* only the single one went the plain way */
}

static void batches_arrive_without_offload(void **state)
{
	struct udp *u;
	struct udp_stats stats;

	(void)state;
	setenv("GODWIT_NO_OFFLOAD", "1", 1);
	u = open_at(NULL);
	udp_stats_get(u, &stats);
	udp_close(u);
	assert_false(stats.gso || stats.gro);
	check_batches();
	unsetenv("GODWIT_NO_OFFLOAD");
}

static void refused_gso_falls_back_for_good(void **state)
{
	static uint8_t data[30000];
	size_t len = fill(data, 20, 1200, 33);
	struct udp *a = open_at(NULL), *b = open_at(NULL);
	struct path p = to("127.0.0.1", b);
	struct udp_stats stats;
	struct inbox in;

	(void)state;
	udp_stats_get(a, &stats);
	if (!stats.gso)
		skip();
	fault.gso_errno = EIO;
	assert_int_equal(udp_send(a, &p, data, len, 1200), 0);
	fault.gso_errno = 0;
	expect(b, &in, 21); /* nothing lost, nothing twice */
	udp_stats_get(a, &stats);
	assert_false(stats.gso);
	udp_close(a);
	udp_close(b);
}

/* --- failures --- */

static void full_socket_goes_on_where_it_stopped(void **state)
{
	static uint8_t data[30000];
	size_t len = fill(data, 20, 1200, 33);
	struct udp *a, *b;
	struct path p;
	struct inbox in;

	(void)state;
	setenv("GODWIT_NO_OFFLOAD", "1", 1);
	a = open_at(NULL);
	b = open_at(NULL);
	p = to("127.0.0.1", b);
	fault.take = 8;
	fault.full = true;
	assert_int_equal(udp_send(a, &p, data, len, 1200), GW_E_AGAIN);
	assert_int_equal(udp_send(a, &p, data, len, 1200), GW_E_AGAIN);
	fault.full = false;
	assert_int_equal(udp_send(a, &p, data, len, 1200), 0);
	expect(b, &in, 21);
	for (size_t i = 0; i < 21; i++)
		assert_int_equal(in.first[i], i);
	/* The next batch begins at its beginning. */
	assert_int_equal(udp_send(a, &p, data, len, 1200), 0);
	expect(b, &in, 21);
	unsetenv("GODWIT_NO_OFFLOAD");
	udp_close(a);
	udp_close(b);
}

static void stale_error_does_not_fail_an_unrelated_send(void **state)
{
	struct udp *a = open_at(NULL), *b = open_at(NULL);
	struct path p = to("127.0.0.1", b);
	struct inbox in;

	(void)state;
	fault.once_errno = ECONNREFUSED;
	assert_int_equal(udp_send(a, &p, (const uint8_t *)"x", 1, 1), 0);
	expect(b, &in, 1);
	udp_close(a);
	udp_close(b);
}

static void no_memory_is_loss_not_a_dead_path(void **state)
{
	struct udp *a = open_at(NULL), *b = open_at(NULL);
	struct path p = to("127.0.0.1", b);
	struct udp_stats stats;
	struct inbox in;

	(void)state;
	fault.once_errno = ENOBUFS;
	assert_int_equal(udp_send(a, &p, (const uint8_t *)"x", 1, 1), 0);
	udp_stats_get(a, &stats);
	assert_int_equal(stats.send_errors, 1);
	expect(b, &in, 0);
	udp_close(a);
	udp_close(b);
}

static void failures_have_their_codes(void **state)
{
	static uint8_t data[65535];
	struct udp *a = open_at("127.0.0.1:0"), *any = open_at(NULL);
	struct path p = to("127.0.0.1", a);

	(void)state;
	assert_int_equal(udp_send(any, &p, data, sizeof(data), sizeof(data)), GW_E_LENGTH);
	fault.once_errno = EPERM; /* a firewall */
	assert_int_equal(udp_send(any, &p, data, 1, 1), GW_E_UNREACHABLE);
	p.remote.family = ADDR_V6; /* through a v4 socket */
	assert_int_equal(udp_send(a, &p, data, 1, 1), GW_E_UNREACHABLE);
	p = to("127.0.0.1", a);
	assert_int_equal(addr_parse_host(&p.local, "198.51.100.77", 0),
			 0); /* not ours (any more) */
	assert_int_equal(udp_send(any, &p, data, 1, 1), GW_E_UNREACHABLE);
	udp_close(a);
	udp_close(any);
}

static void no_batch(void *user, const struct path *path, const uint8_t *data, size_t len,
		     size_t segment)
{
	(void)path;
	(void)data;
	assert_true(len > 0 && segment > 0);
	++*(unsigned *)user;
}

/* Each by itself, between others; who takes batches gets none that cannot be divided. */
static void empty_ones_arrive_but_are_no_batch(void **state)
{
	struct udp *a = open_at("127.0.0.1:0"), *b = open_at("127.0.0.1:0");
	struct path p = to("127.0.0.1", b);
	unsigned batches = 0;
	struct inbox in;

	(void)state;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(udp_send(a, &p, (const uint8_t *)"", 0, 0), 0);
		assert_int_equal(udp_send(a, &p, (const uint8_t *)"x", 1, 1), 0);
		if (i == 0) {
			expect(b, &in, 2);
			assert_int_equal(in.len[0], 0);
			assert_int_equal(in.len[1], 1);
		}
	}
	while (batches == 0)
		assert_true(udp_receive_batches(b, 8, no_batch, &batches) >= 0);
	assert_int_equal(batches, 1);
	udp_close(a);
	udp_close(b);
}

/* A loopback interface of our own with this MTU; false where the system refuses. */
static bool private_loopback(int mtu)
{
	struct ifreq r = { .ifr_name = "lo", .ifr_mtu = mtu };
	int fd;
	bool ok;

	if (unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0)
		return false;
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	ok = ioctl(fd, SIOCSIFMTU, &r) == 0;
	r.ifr_flags = IFF_UP;
	ok = ok && ioctl(fd, SIOCSIFFLAGS, &r) == 0;
	close(fd);
	return ok;
}

/* The last test: it leaves the process in another network namespace. */
static void segments_over_the_mtu_are_too_long_and_no_reason_to_give_up_gso(void **state)
{
	static uint8_t data[30000];
	struct udp_stats stats;
	struct udp *u;
	struct path p;
	bool gso;

	(void)state;
	if (!private_loopback(1400))
		skip();
	u = open_at(NULL);
	udp_stats_get(u, &stats);
	gso = stats.gso;
	p = to("127.0.0.1", u);
	assert_int_equal(udp_send(u, &p, data, 1452, 1452), GW_E_LENGTH);
	assert_int_equal(udp_send(u, &p, data, 3000, 1452), GW_E_LENGTH);
	udp_stats_get(u, &stats);
	assert_int_equal(stats.gso, gso);
	assert_int_equal(addr_parse(&p.remote, "198.51.100.1:9"), 0); /* no route */
	assert_int_equal(udp_send(u, &p, data, 1, 1), GW_E_UNREACHABLE);
	udp_close(u);
	check_batch("127.0.0.1", 20, 1200, 33);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(v4_through_v4_sockets),
		cmocka_unit_test(v4_through_dual_stack),
		cmocka_unit_test(v6_through_dual_stack),
		cmocka_unit_test(local_address_is_as_bound),
		cmocka_unit_test(open_says_what_is_wrong),
		cmocka_unit_test(rebind_takes_another_port_and_keeps_the_fd),
		cmocka_unit_test(batches_arrive_with_offload),
		cmocka_unit_test(batches_arrive_without_offload),
		cmocka_unit_test(refused_gso_falls_back_for_good),
		cmocka_unit_test(full_socket_goes_on_where_it_stopped),
		cmocka_unit_test(stale_error_does_not_fail_an_unrelated_send),
		cmocka_unit_test(no_memory_is_loss_not_a_dead_path),
		cmocka_unit_test(failures_have_their_codes),
		cmocka_unit_test(empty_ones_arrive_but_are_no_batch),
		cmocka_unit_test(segments_over_the_mtu_are_too_long_and_no_reason_to_give_up_gso),
	};

	unsetenv("GODWIT_NO_OFFLOAD");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
