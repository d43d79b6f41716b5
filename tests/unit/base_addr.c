/* tests/unit/base_addr.c - addresses: text both ways, socket addresses, kinds. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>

#include "base/addr.h"
#include "base/error.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct addr parsed(const char *text)
{
	struct addr a;

	if (addr_parse(&a, text) != 0)
		fail_msg("does not parse: %s", text);
	return a;
}

/* --- text --- */

static void accepted_text_has_one_canonical_form(void **state)
{
	static const struct {
		const char *text, *canonical, *host;
		uint8_t family;
		uint16_t port;
		uint32_t scope;
	} rows[] = {
		{ "198.51.100.2:41641", NULL, "198.51.100.2", ADDR_V4, 41641, 0 },
		{ "0.0.0.0:0", NULL, "0.0.0.0", ADDR_V4, 0, 0 },
		{ "255.255.255.255:65535", NULL, "255.255.255.255", ADDR_V4, 65535, 0 },
		{ "127.0.0.1:00080", "127.0.0.1:80", "127.0.0.1", ADDR_V4, 80, 0 },
		{ "[2001:db8::1]:41641", NULL, "2001:db8::1", ADDR_V6, 41641, 0 },
		{ "[2001:0DB8:0:0::0:1]:1", "[2001:db8::1]:1", "2001:db8::1", ADDR_V6, 1, 0 },
		{ "[::]:7", NULL, "::", ADDR_V6, 7, 0 },
		{ "[::1]:7", NULL, "::1", ADDR_V6, 7, 0 },
		{ "[fe80::1%2]:41641", NULL, "fe80::1%2", ADDR_V6, 41641, 2 },
		{ "[fe80::1%0]:5", "[fe80::1]:5", "fe80::1", ADDR_V6, 5, 0 },
		{ "[febf::1%4294967295]:5", NULL, "febf::1%4294967295", ADDR_V6, 5, UINT32_MAX },
		{ "[febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff%4294967295]:65535", NULL,
		  "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff%4294967295", ADDR_V6, 65535,
		  UINT32_MAX },
		{ "[::ffff:198.51.100.2]:9", "198.51.100.2:9", "198.51.100.2", ADDR_V4, 9, 0 },
		{ "[::ffff:c633:6402]:9", "198.51.100.2:9", "198.51.100.2", ADDR_V4, 9, 0 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		const char *canonical = rows[i].canonical ? rows[i].canonical : rows[i].text;
		char text[ADDR_TEXT_MAX], host[ADDR_TEXT_MAX];
		struct addr a = parsed(rows[i].text), again;

		assert_int_equal(a.family, rows[i].family);
		assert_int_equal(a.port, rows[i].port);
		assert_int_equal(a.scope, rows[i].scope);
		assert_ptr_equal(addr_format(&a, text), text);
		assert_string_equal(text, canonical);
		again = parsed(text);
		assert_true(addr_equal(&a, &again));
		assert_ptr_equal(addr_format_host(&a, host), host);
		assert_string_equal(host, rows[i].host);
		assert_int_equal(addr_parse_host(&again, host, a.port), 0);
		assert_true(addr_equal(&a, &again));
	}
}

static void bytes_are_in_network_order(void **state)
{
	static const uint8_t V4[16] = { 198, 51, 100, 2 };
	static const uint8_t V6[16] = {
		0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1
	};
	struct addr a;

	(void)state;
	memset(&a, 0xff, sizeof(a)); /* what was there before does not shine through */
	assert_int_equal(addr_parse(&a, "198.51.100.2:1"), 0);
	assert_memory_equal(a.ip, V4, sizeof(V4));
	memset(&a, 0xff, sizeof(a));
	assert_int_equal(addr_parse(&a, "[::ffff:198.51.100.2]:1"), 0);
	assert_memory_equal(a.ip, V4, sizeof(V4));
	assert_int_equal(addr_parse(&a, "[2001:db8::1]:1"), 0);
	assert_memory_equal(a.ip, V6, sizeof(V6));
}

static void malformed_text_is_refused_and_nothing_written(void **state)
{
	static const char *const rows[] = {
		/* no or bad port */
		"",
		":",
		":1",
		"1.2.3.4",
		"1.2.3.4:",
		"1.2.3.4:65536",
		"1.2.3.4:-1",
		"1.2.3.4:+1",
		"1.2.3.4: 1",
		"1.2.3.4:1 ",
		"1.2.3.4:1x",
		"1.2.3.4:0x10",
		"1.2.3.4:99999999999999999999",
		"1.2.3.4:18446744073709551617",
		/* not IPv4 */
		"1.2.3:1",
		"1.2.3.4.5:1",
		"256.1.1.1:1",
		"localhost:1",
		"*:1",
		" 1.2.3.4:1",
		"1.2.3.4%2:1",
		"169.254.1.1%2:1",
		/* brackets belong around IPv6, and only there */
		"::1:80",
		"2001:db8::1:80",
		"[1.2.3.4]:1",
		"[::1]",
		"[::1]1",
		"[::1]:",
		"[::1",
		"[]:1",
		"[:]:1",
		"::1]:1",
		"[[::1]]:1",
		"[::1]:1:1",
		"[::1]x:1",
		"[::1 ]:1",
		"[1::2::3]:1",
		"[12345::]:1",
		/* scopes: numbers, of link-local addresses */
		"[fe80::1%]:1",
		"[fe80::1%eth0]:1",
		"[fe80::1%4294967296]:1",
		"[fe80::1%-1]:1",
		"[fe80::1%1%1]:1",
		"[fe80::1% 1]:1",
		"[2001:db8::1%2]:1",
		"[fec0::1%2]:1",
		"[::1%1]:1",
		"[::ffff:169.254.1.1%2]:1",
		"[%2]:1",
		/* longer than any address */
		"[0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0001]:1",
		"1.2.3.4.1.2.3.4.1.2.3.4.1.2.3.4.1.2.3.4.1.2.3.4.1.2.3.4.1.2.3.4.1.2.3.4.1.2.3.4:1",
		"[fe80::1%0000000000000000000000000000000000000000000000000000000000000001]:1",
	};
	struct addr before, a;

	(void)state;
	memset(&before, 0xa5, sizeof(before));
	for (size_t i = 0; i < COUNT(rows); i++) {
		memcpy(&a, &before, sizeof(a));
		if (addr_parse(&a, rows[i]) != GW_E_FORMAT)
			fail_msg("not refused: %s", rows[i]);
		assert_memory_equal(&a, &before, sizeof(a));
	}
}

static void hosts_have_neither_port_nor_brackets(void **state)
{
	static const char *const rows[] = { "",         "1.2.3.4:1", "[::1]",     "1.2.3",
					    "fe80::1%", "::1%1",     "1.2.3.4%1", "%1",
					    "*",        "host",      "1.2.3.4 " };
	char longest[512];
	struct addr before, a;

	(void)state;
	memset(&before, 0xa5, sizeof(before));
	memcpy(&a, &before, sizeof(a));
	for (size_t i = 0; i < COUNT(rows); i++)
		if (addr_parse_host(&a, rows[i], 1) != GW_E_FORMAT)
			fail_msg("not refused: %s", rows[i]);
	for (size_t len = 1; len < sizeof(longest); len++) {
		memset(longest, ':', len);
		longest[len] = '\0';
		assert_int_equal(addr_parse_host(&a, longest, 1),
				 len == 2 ? 0 : GW_E_FORMAT); /* "::" */
		if (len == 2)
			memcpy(&a, &before, sizeof(a));
	}
	assert_memory_equal(&a, &before, sizeof(a));
}

static void no_address_is_a_dash(void **state)
{
	struct addr none = { 0 };
	char text[ADDR_TEXT_MAX];

	(void)state;
	assert_string_equal(addr_format(&none, text), "-");
	assert_string_equal(addr_format_host(&none, text), "-");
}

/* --- comparing --- */

static void equality_heeds_every_field(void **state)
{
	static const struct {
		const char *a, *b;
		bool equal, same_host;
	} rows[] = {
		{ "1.2.3.4:5", "1.2.3.4:5", true, true },
		{ "1.2.3.4:5", "1.2.3.4:6", false, true },
		{ "1.2.3.4:5", "1.2.3.5:5", false, false },
		{ "1.2.3.4:5", "[102:304::]:5", false, false }, /* the same bytes */
		{ "1.2.3.4:5", "[::ffff:1.2.3.4]:5", true, true },
		{ "[2001:db8::1]:5", "[2001:db8::2]:5", false, false },
		{ "[fe80::1%1]:5", "[fe80::1%2]:5", false, false },
		{ "[fe80::1%1]:5", "[fe80::1]:5", false, false },
		{ "[fe80::1%1]:5", "[fe80::1%1]:6", false, true },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct addr a = parsed(rows[i].a), b = parsed(rows[i].b);

		assert_int_equal(addr_equal(&a, &b), rows[i].equal);
		assert_int_equal(addr_equal(&b, &a), rows[i].equal);
		assert_int_equal(addr_same_host(&a, &b), rows[i].same_host);
		assert_int_equal(addr_same_host(&b, &a), rows[i].same_host);
	}
}

static void paths_differ_in_either_end_interface_or_conduit(void **state)
{
	struct path p = { parsed("10.0.0.1:1"), 3, parsed("10.0.0.2:2"), 0 }, q = p;

	(void)state;
	assert_true(path_equal(&p, &q));
	q.ifindex = 4;
	assert_false(path_equal(&p, &q));
	q = p;
	q.local.port++;
	assert_false(path_equal(&p, &q));
	q = p;
	q.remote.port++;
	assert_false(path_equal(&p, &q));
	q = p;
	memset(&q.local, 0, sizeof(q.local));
	assert_false(path_equal(&p, &q));
	q = p;
	q.via = 1;
	assert_false(path_equal(&p, &q));
}

/* --- kinds --- */

static void kinds_are_told_apart(void **state)
{
	enum { LOOPBACK = 1, UNSPECIFIED = 2, LINK_LOCAL = 4, USABLE = 8, PRIVATE = 16 };
	static const struct {
		const char *text;
		int kinds;
	} rows[] = {
		{ "0.0.0.0:1", UNSPECIFIED },
		{ "[::]:1", UNSPECIFIED },
		{ "0.0.0.1:1", 0 },
		{ "0.255.255.255:1", 0 },
		{ "1.0.0.0:1", USABLE },
		{ "9.255.255.255:1", USABLE },
		{ "10.0.0.1:1", USABLE | PRIVATE },
		{ "11.0.0.0:1", USABLE },
		{ "100.63.255.255:1", USABLE },
		{ "100.64.0.0:1", USABLE | PRIVATE },
		{ "100.127.255.255:1", USABLE | PRIVATE },
		{ "100.128.0.0:1", USABLE },
		{ "172.15.255.255:1", USABLE },
		{ "172.16.0.0:1", USABLE | PRIVATE },
		{ "172.31.255.255:1", USABLE | PRIVATE },
		{ "172.32.0.0:1", USABLE },
		{ "192.167.255.255:1", USABLE },
		{ "192.168.1.10:1", USABLE | PRIVATE },
		{ "192.169.0.0:1", USABLE },
		{ "198.51.100.2:0", 0 },
		{ "126.255.255.255:1", USABLE },
		{ "127.0.0.1:1", USABLE | LOOPBACK },
		{ "127.255.255.254:1", USABLE | LOOPBACK },
		{ "128.0.0.1:1", USABLE },
		{ "[::1]:1", USABLE | LOOPBACK },
		{ "[::1]:0", LOOPBACK },
		{ "[::2]:1", USABLE },
		{ "[1::1]:1", USABLE },
		{ "169.253.255.255:1", USABLE },
		{ "169.254.0.1:1", USABLE | LINK_LOCAL },
		{ "169.255.0.1:1", USABLE },
		{ "[fe7f::1]:1", USABLE },
		{ "[fe80::1%3]:1", USABLE | LINK_LOCAL },
		{ "[febf::1%3]:1", USABLE | LINK_LOCAL },
		{ "[fec0::1]:1", USABLE },
		{ "[fbff::1]:1", USABLE },
		{ "[fc00::1]:1", USABLE | PRIVATE },
		{ "[fd00::1]:1", USABLE | PRIVATE },
		{ "223.255.255.255:1", USABLE },
		{ "224.0.0.1:1", 0 },
		{ "239.1.2.3:1", 0 },
		{ "240.0.0.1:1", 0 },
		{ "255.255.255.255:1", 0 },
		{ "[feff::1]:1", USABLE },
		{ "[ff02::1]:1", 0 },
		{ "[ff00::]:1", 0 },
		{ "[::ffff:127.0.0.1]:1", USABLE | LOOPBACK },
		{ "[::ffff:255.255.255.255]:1", 0 },
		{ "[::ffff:0.0.0.0]:1", UNSPECIFIED },
	};
	struct addr none = { .port = 1 };
	struct addr mapped = { ADDR_V6, 1, 0, { [10] = 0xff, 0xff, 198, 51, 100, 2 } };

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct addr a = parsed(rows[i].text);
		int kinds = (addr_is_loopback(&a) ? LOOPBACK : 0) |
			    (addr_is_unspecified(&a) ? UNSPECIFIED : 0) |
			    (addr_is_link_local(&a) ? LINK_LOCAL : 0) |
			    (addr_is_private(&a) ? PRIVATE : 0) | (addr_is_usable(&a) ? USABLE : 0);

		if (kinds != rows[i].kinds)
			fail_msg("%s: %d, not %d", rows[i].text, kinds, rows[i].kinds);
	}
	assert_false(addr_is_usable(&mapped)); /* which is never stored */
	mapped.ip[9] = 1;
	assert_true(addr_is_usable(&mapped)); /* only alike */
	assert_true(addr_is_unspecified(&none));
	assert_false(addr_is_usable(&none) || addr_is_loopback(&none) || addr_is_link_local(&none));
}

/* --- socket addresses --- */

static void socket_addresses_hold_what_the_kernel_reads(void **state)
{
	static const struct {
		const char *text;
		bool mapped;
		int family;
		const char *kernel; /* inet_ntop()'s form */
	} rows[] = {
		{ "198.51.100.2:41641", false, AF_INET, "198.51.100.2" },
		{ "198.51.100.2:41641", true, AF_INET6, "::ffff:198.51.100.2" },
		{ "0.0.0.0:80", true, AF_INET6, "::ffff:0.0.0.0" },
		{ "[2001:db8::1]:41641", false, AF_INET6, "2001:db8::1" },
		{ "[2001:db8::1]:41641", true, AF_INET6, "2001:db8::1" },
		{ "[fe80::1%7]:258", false, AF_INET6, "fe80::1" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct addr a = parsed(rows[i].text), back;
		struct sockaddr_storage ss;
		const struct sockaddr_in *in = (const void *)&ss;
		const struct sockaddr_in6 *in6 = (const void *)&ss;
		char text[INET6_ADDRSTRLEN];
		socklen_t len;

		memset(&ss, 0xff, sizeof(ss)); /* sin_zero, flow label: nothing is left behind */
		len = addr_to_sockaddr(&a, &ss, rows[i].mapped);
		assert_int_equal(ss.ss_family, rows[i].family);
		if (rows[i].family == AF_INET) {
			assert_int_equal(len, sizeof(*in));
			assert_int_equal(in->sin_port, htons(a.port));
			assert_memory_equal(in->sin_zero, "\0\0\0\0\0\0\0\0", 8);
			inet_ntop(AF_INET, &in->sin_addr, text, sizeof(text));
		} else {
			assert_int_equal(len, sizeof(*in6));
			assert_int_equal(in6->sin6_port, htons(a.port));
			assert_int_equal(in6->sin6_flowinfo, 0);
			assert_int_equal(in6->sin6_scope_id, a.scope);
			inet_ntop(AF_INET6, &in6->sin6_addr, text, sizeof(text));
		}
		assert_string_equal(text, rows[i].kernel);
		memset(&back, 0xff, sizeof(back));
		assert_int_equal(addr_from_sockaddr(&back, (const void *)&ss, len), 0);
		assert_true(addr_equal(&a, &back));
	}
}

static void scope_is_kept_of_link_local_addresses_only(void **state)
{
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_scope_id = 7 };
	struct addr a;

	(void)state;
	inet_pton(AF_INET6, "2001:db8::1", &in6.sin6_addr);
	assert_int_equal(addr_from_sockaddr(&a, (const void *)&in6, sizeof(in6)), 0);
	assert_int_equal(a.scope, 0);
	inet_pton(AF_INET6, "::ffff:169.254.1.1", &in6.sin6_addr);
	assert_int_equal(addr_from_sockaddr(&a, (const void *)&in6, sizeof(in6)), 0);
	assert_int_equal(a.family, ADDR_V4);
	assert_int_equal(a.scope, 0);
	inet_pton(AF_INET6, "fe80::1", &in6.sin6_addr);
	assert_int_equal(addr_from_sockaddr(&a, (const void *)&in6, sizeof(in6)), 0);
	assert_int_equal(a.scope, 7);
}

static void short_and_foreign_socket_addresses_are_refused(void **state)
{
	static const struct {
		sa_family_t family;
		socklen_t shortest;
	} rows[] = {
		{ AF_INET, sizeof(struct sockaddr_in) },
		{ AF_INET6, sizeof(struct sockaddr_in6) },
		{ AF_UNIX, sizeof(struct sockaddr_storage) + 1 },
		{ AF_UNSPEC, sizeof(struct sockaddr_storage) + 1 },
	};
	struct addr before, a;

	(void)state;
	memset(&before, 0xa5, sizeof(before));
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct sockaddr_storage ss = { .ss_family = rows[i].family };

		for (socklen_t len = sizeof(sa_family_t); len <= sizeof(ss); len++) {
			bool enough = len >= rows[i].shortest;

			memcpy(&a, &before, sizeof(a));
			assert_int_equal(addr_from_sockaddr(&a, (const void *)&ss, len),
					 enough ? 0 : GW_E_INVALID);
			if (!enough)
				assert_memory_equal(&a, &before, sizeof(a));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(accepted_text_has_one_canonical_form),
		cmocka_unit_test(bytes_are_in_network_order),
		cmocka_unit_test(malformed_text_is_refused_and_nothing_written),
		cmocka_unit_test(hosts_have_neither_port_nor_brackets),
		cmocka_unit_test(no_address_is_a_dash),
		cmocka_unit_test(equality_heeds_every_field),
		cmocka_unit_test(paths_differ_in_either_end_interface_or_conduit),
		cmocka_unit_test(kinds_are_told_apart),
		cmocka_unit_test(socket_addresses_hold_what_the_kernel_reads),
		cmocka_unit_test(scope_is_kept_of_link_local_addresses_only),
		cmocka_unit_test(short_and_foreign_socket_addresses_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
