// SPDX-License-Identifier: Apache-2.0
/* The network monitor, in a network namespace of its own where the system allows one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/netmon.h"

static bool private_network; /* we have lo for ourselves */

/* --- changing the network --- */

static void interface(const char *name, unsigned long request, struct ifreq *r)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	strcpy(r->ifr_name, name);
	assert_int_equal(ioctl(fd, request, r), 0);
	close(fd);
}

static void set_up(bool up)
{
	struct ifreq r = { 0 };

	interface("lo", SIOCGIFFLAGS, &r);
	if (up)
		r.ifr_flags |= IFF_UP;
	else
		r.ifr_flags = (short)(r.ifr_flags & ~IFF_UP);
	interface("lo", SIOCSIFFLAGS, &r);
}

static void set_mtu(int mtu)
{
	struct ifreq r = { .ifr_mtu = mtu };

	interface("lo", SIOCSIFMTU, &r);
}

/* A second address of lo; "0.0.0.0" takes it away. */
static void set_second(const char *ip)
{
	struct ifreq r = { 0 };
	struct sockaddr_in *sin = (struct sockaddr_in *)&r.ifr_addr;

	sin->sin_family = AF_INET;
	assert_int_equal(inet_pton(AF_INET, ip, &sin->sin_addr), 1);
	interface("lo:1", SIOCSIFADDR, &r);
}

/* --- watching it --- */

static const struct local_addr *find(struct netmon *m, const char *host)
{
	static struct local_addr found[NETMON_ADDRS_MAX];
	size_t count = netmon_addresses(m, found, NETMON_ADDRS_MAX);
	struct addr a;

	assert_int_equal(addr_parse_host(&a, host, 0), 0);
	for (size_t i = 0; i < count; i++)
		if (addr_equal(&found[i].addr, &a))
			return &found[i];
	return NULL;
}

static bool news(struct netmon *m)
{
	struct pollfd p = { .fd = netmon_fd(m), .events = POLLIN };

	return poll(&p, 1, 5000) == 1 && netmon_changed(m);
}

static struct netmon *open_monitor(void)
{
	struct netmon *m = NULL;

	assert_int_equal(netmon_open(&m), 0);
	return m;
}

static void loopback_is_listed(void **state)
{
	struct netmon *m = open_monitor();
	const struct local_addr *lo;

	(void)state;
	lo = find(m, "127.0.0.1");
	assert_non_null(lo);
	assert_true(lo->loopback);
	assert_int_equal(lo->ifindex, if_nametoindex("lo"));
	assert_true(lo->mtu >= 1280);
	assert_int_equal(lo->addr.port, 0);
	netmon_close(m);
}

static void list_is_cut_at_max(void **state)
{
	struct netmon *m = open_monitor();
	struct local_addr one[2];

	(void)state;
	memset(one, 0xee, sizeof(one));
	assert_int_equal(netmon_addresses(m, one, 1), 1);
	assert_int_equal(one[1].ifindex, 0xeeeeeeee);
	assert_int_equal(netmon_addresses(m, one, 0), 0);
	netmon_close(m);
}

static void quiet_network_has_no_news(void **state)
{
	struct netmon *m;

	(void)state;
	if (!private_network)
		skip();
	m = open_monitor();
	assert_false(netmon_changed(m));
	find(m, "127.0.0.1"); /* looking is no change */
	assert_false(netmon_changed(m));
	netmon_close(m);
}

static void interface_going_down_and_up_is_news(void **state)
{
	struct netmon *m;

	(void)state;
	if (!private_network)
		skip();
	m = open_monitor();
	set_up(false);
	assert_true(news(m));
	assert_null(find(m, "127.0.0.1"));
	set_up(true);
	assert_true(news(m));
	assert_non_null(find(m, "127.0.0.1"));
	netmon_close(m);
}

static void address_coming_and_going_is_news(void **state)
{
	struct netmon *m;
	const struct local_addr *a;

	(void)state;
	if (!private_network)
		skip();
	m = open_monitor();
	set_second("10.9.8.7");
	assert_true(news(m));
	a = find(m, "10.9.8.7");
	assert_non_null(a);
	assert_true(a->loopback);
	assert_non_null(find(m, "127.0.0.1"));
	assert_false(netmon_changed(m)); /* all of it was drained */
	set_second("0.0.0.0");
	assert_true(news(m));
	assert_null(find(m, "10.9.8.7"));
	netmon_close(m);
}

static void mtu_is_reported(void **state)
{
	struct netmon *m;

	(void)state;
	if (!private_network)
		skip();
	m = open_monitor();
	set_mtu(1400);
	assert_true(news(m));
	assert_int_equal(find(m, "127.0.0.1")->mtu, 1400);
	set_mtu(65536);
	assert_true(news(m));
	assert_int_equal(find(m, "127.0.0.1")->mtu, 65536);
	netmon_close(m);
}

static void lost_news_is_news(void **state)
{
	struct netmon *m;
	int smallest = 1;

	(void)state;
	if (!private_network)
		skip();
	m = open_monitor();
	setsockopt(netmon_fd(m), SOL_SOCKET, SO_RCVBUF, &smallest, sizeof(smallest));
	for (int i = 0; i < 200; i++)
		set_mtu(1400 + i);
	assert_true(news(m));
	assert_false(netmon_changed(m));
	assert_int_equal(find(m, "127.0.0.1")->mtu, 1599);
	set_mtu(65536);
	assert_true(news(m)); /* it goes on after an overrun */
	netmon_close(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(loopback_is_listed),
		cmocka_unit_test(list_is_cut_at_max),
		cmocka_unit_test(quiet_network_has_no_news),
		cmocka_unit_test(interface_going_down_and_up_is_news),
		cmocka_unit_test(address_coming_and_going_is_news),
		cmocka_unit_test(mtu_is_reported),
		cmocka_unit_test(lost_news_is_news),
	};

	private_network = unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0;
	if (private_network)
		set_up(true);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
