/* SPDX-License-Identifier: Apache-2.0 */
/* tests/sim/nat_test.c - each kind of NAT box, packet by packet. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "nat.h"

#define START (1000 * GW_SEC)
#define LIFE (120 * GW_SEC) /* of a preset's mapping */

static struct addr v4(uint8_t a, uint8_t d, uint16_t port)
{
	return (struct addr){ .family = ADDR_V4, .port = port, .ip = { a, 0, 0, d } };
}

static struct addr v6(uint8_t last, uint16_t port)
{
	struct addr a = { .family = ADDR_V6, .port = port, .ip = { 0x2a, [15] = last } };

	return a;
}

/* The box is 46.0.0.1, inside are 10.0.0.x, outside 50.0.0.x. */
static struct addr in_host(uint8_t d, uint16_t port)
{
	return v4(10, d, port);
}

static struct addr out_host(uint8_t d, uint16_t port)
{
	return v4(50, d, port);
}

static void make_kind(struct nat *n, const struct nat_kind *kind)
{
	struct addr outer = v4(46, 1, 0);

	nat_init(n, kind, 7);
	if (kind->box == NAT_TRANSLATES)
		nat_set_outer(n, &outer);
}

static void make(struct nat *n, const char *name)
{
	const struct nat_kind *kind = nat_kind_find(name);

	assert_non_null(kind);
	make_kind(n, kind);
}

/* Send outward: the source as the destination sees it. */
static struct addr out(struct nat *n, struct addr src, struct addr dst, gw_time now)
{
	assert_true(nat_out(n, &src, &dst, now));
	return src;
}

static bool comes_in(struct nat *n, struct addr src, struct addr dst, struct addr inner,
		     gw_time now)
{
	struct addr to = dst;

	if (!nat_in(n, &src, &to, now)) {
		assert_true(addr_equal(&to, &dst));
		return false;
	}
	assert_true(addr_equal(&to, &inner));
	return true;
}

#define assert_addr(a, b) assert_true(addr_equal(&(a), &(b)))

/* --- what the kinds are --- */

static const struct {
	const char *name;
	/* The mapping is used again for another port of the same host / another host. */
	bool same_for_port, same_for_host;
	/* Let in: another port of a host that was sent to / a stranger. */
	bool port_in, stranger_in;
	bool preserves, counts;
} TRANSLATORS[] = {
	{ "eim-eif", true, true, true, true, true, false },
	{ "eim-adf", true, true, true, false, true, false },
	{ "eim-apdf", true, true, false, false, true, false },
	{ "adm-adf", true, false, true, false, false, false },
	{ "apdm", false, false, false, false, false, false },
	{ "apdm-seq", false, false, false, false, false, true },
	{ "double", true, true, false, false, true, false },
	{ "carrier", true, true, false, false, true, false },
};

#define each_translator(i)                                                                         \
	size_t i = 0;                                                                              \
	i < sizeof(TRANSLATORS) / sizeof(*TRANSLATORS);                                            \
	i++

static void test_mapping_reuse(void **state)
{
	(void)state;
	for (each_translator(i)) {
		struct nat n;
		struct addr src = in_host(2, 4100), first, again, port, host;

		make(&n, TRANSLATORS[i].name);
		first = out(&n, src, out_host(1, 1000), START);
		again = out(&n, src, out_host(1, 1000), START);
		port = out(&n, src, out_host(1, 1001), START);
		host = out(&n, src, out_host(2, 1000), START);
		assert_addr(first, again);
		assert_true(addr_same_host(&first, nat_outer(&n, ADDR_V4)));
		assert_int_equal(addr_equal(&first, &port), TRANSLATORS[i].same_for_port);
		assert_int_equal(addr_equal(&first, &host), TRANSLATORS[i].same_for_host);
		assert_int_equal(nat_count(&n, START),
				 3u - TRANSLATORS[i].same_for_port - TRANSLATORS[i].same_for_host);
		nat_clear(&n);
	}
}

static void test_two_hosts_inside(void **state)
{
	(void)state;
	for (each_translator(i)) { /* even from the same port */
		struct nat n;
		struct addr a = in_host(2, 4100), b = in_host(3, 4100), at, bt;
		struct addr dst = out_host(1, 1000);

		make(&n, TRANSLATORS[i].name);
		at = out(&n, a, dst, START);
		bt = out(&n, b, dst, START);
		assert_int_not_equal(at.port, bt.port);
		assert_true(comes_in(&n, dst, at, a, START));
		assert_true(comes_in(&n, dst, bt, b, START));
		nat_clear(&n);
	}
}

static void test_filtering(void **state)
{
	(void)state;
	for (each_translator(i)) {
		struct nat n;
		struct addr src = in_host(2, 4100), at, nowhere;

		make(&n, TRANSLATORS[i].name);
		at = out(&n, src, out_host(1, 1000), START);
		assert_true(comes_in(&n, out_host(1, 1000), at, src, START));
		assert_int_equal(comes_in(&n, out_host(1, 1001), at, src, START),
				 TRANSLATORS[i].port_in);
		assert_int_equal(comes_in(&n, out_host(2, 1000), at, src, START),
				 TRANSLATORS[i].stranger_in);
		nowhere = at;
		nowhere.port ^= 1;
		assert_false(comes_in(&n, out_host(1, 1000), nowhere, src, START));
		nat_clear(&n);
	}
}

static void test_ports(void **state)
{
	(void)state;
	for (each_translator(i)) {
		struct nat n;
		struct addr last = { 0 };

		make(&n, TRANSLATORS[i].name);
		for (uint16_t k = 0; k < 100; k++) {
			struct addr at = out(&n, in_host(2, 4100 + k), out_host(1, 1000), START);

			assert_int_equal(at.port == 4100 + k, TRANSLATORS[i].preserves);
			assert_in_range(at.port, 1024, 65535);
			if (k && !TRANSLATORS[i].preserves)
				assert_int_equal(at.port == last.port + 1, TRANSLATORS[i].counts);
			last = at;
		}
		nat_clear(&n);
	}
}

static void test_preserved_port_taken(void **state)
{
	struct nat n;
	struct addr at;

	(void)state;
	make(&n, "eim-eif");
	out(&n, in_host(2, 65535), out_host(1, 1000), START);
	at = out(&n, in_host(3, 65535), out_host(1, 1000), START);
	assert_int_equal(at.port, 1024);
	nat_clear(&n);
}

static void test_seed_decides_ports(void **state)
{
	struct nat n;
	uint16_t ports[3];
	const uint64_t seeds[] = { 7, 7, 8 };
	struct addr outer = v4(46, 1, 0);

	(void)state;
	for (int i = 0; i < 3; i++) {
		nat_init(&n, nat_kind_find("apdm"), seeds[i]);
		nat_set_outer(&n, &outer);
		ports[i] = out(&n, in_host(2, 4100), out_host(1, 1000), START).port;
		nat_clear(&n);
	}
	assert_int_equal(ports[0], ports[1]);
	assert_int_not_equal(ports[0], ports[2]);
}

/* --- time --- */

static void test_timeout(void **state)
{
	(void)state;
	for (int refresh = 0; refresh < 2; refresh++) {
		struct nat_kind kind = *nat_kind_find("apdm");
		struct nat n;
		struct addr src = in_host(2, 4100), dst = out_host(1, 1000), at, later;

		kind.inbound_refresh = refresh;
		make_kind(&n, &kind);
		at = out(&n, src, dst, START);
		assert_true(comes_in(&n, dst, at, src, START + LIFE - 1));
		/* Only with refresh from outside it lives on. */
		assert_int_equal(comes_in(&n, dst, at, src, START + LIFE + 1), refresh);
		assert_int_equal(nat_count(&n, START + LIFE + 1), refresh);
		later = out(&n, src, dst, START + LIFE + 2);
		assert_int_equal(addr_equal(&later, &at), refresh);
		assert_false(comes_in(&n, dst, later, src, START + 3 * LIFE));
		nat_clear(&n);
	}
}

static void test_outbound_refresh(void **state)
{
	struct nat n;
	struct addr src = in_host(2, 4100), dst = out_host(1, 1000), at, again;

	(void)state;
	make(&n, "apdm");
	at = out(&n, src, dst, START);
	for (unsigned i = 1; i < 10; i++) {
		again = out(&n, src, dst, START + i * LIFE);
		assert_addr(again, at);
	}
	nat_clear(&n);
}

/* A mapping that one destination keeps alive does not keep another one's way in open. */
static void test_filter_ages_alone(void **state)
{
	struct nat n;
	struct addr src = in_host(2, 4100), at;

	(void)state;
	make(&n, "eim-apdf");
	at = out(&n, src, out_host(1, 1000), START);
	out(&n, src, out_host(2, 1000), START + LIFE);
	assert_true(comes_in(&n, out_host(1, 1000), at, src, START + LIFE));
	out(&n, src, out_host(2, 1000), START + 2 * LIFE);
	assert_false(comes_in(&n, out_host(1, 1000), at, src, START + 2 * LIFE + 1));
	assert_true(comes_in(&n, out_host(2, 1000), at, src, START + 2 * LIFE + 1));
	nat_clear(&n);
}

static void test_never(void **state)
{
	struct nat_kind kind = *nat_kind_find("eim-apdf");
	struct nat n;
	struct addr src = in_host(2, 4100), dst = out_host(1, 1000), at;

	(void)state;
	kind.timeout = 0;
	make_kind(&n, &kind);
	at = out(&n, src, dst, START);
	assert_true(comes_in(&n, dst, at, src, START + 1000000 * GW_SEC));
	nat_clear(&n);
}

/* --- from inside to inside, by the outer address --- */

static void test_hairpin(void **state)
{
	(void)state;
	for (int hairpin = 0; hairpin < 2; hairpin++) {
		struct nat_kind kind = *nat_kind_find("eim-apdf");
		struct nat n;
		struct addr a = in_host(2, 4100), b = in_host(3, 4101), at, bt, seen;

		kind.hairpin = hairpin;
		make_kind(&n, &kind);
		at = out(&n, a, out_host(1, 1000), START);
		bt = out(&n, b, out_host(1, 1000), START);
		seen = out(&n, a, bt, START); /* the outer source address, RFC 4787 REQ-9 */
		assert_addr(seen, at);
		assert_false(comes_in(&n, seen, bt, b, START)); /* b has not sent there */
		out(&n, b, at, START);
		assert_int_equal(comes_in(&n, seen, bt, b, START), hairpin);
		nat_clear(&n);
	}
}

/* Two boxes, one behind the other: each filters. */
static void test_double(void **state)
{
	struct nat home, carrier;
	struct addr home_outer = v4(100, 5, 0), src = in_host(2, 4100), dst = out_host(1, 1000);
	struct addr middle, seen, other = out_host(2, 1000);

	(void)state;
	make(&home, "double");
	make(&carrier, nat_kind_find("double")->carrier);
	nat_set_outer(&home, &home_outer);
	middle = out(&home, src, dst, START);
	seen = out(&carrier, middle, dst, START);
	assert_true(addr_same_host(&middle, &home_outer));
	assert_true(addr_same_host(&seen, nat_outer(&carrier, ADDR_V4)));
	assert_true(comes_in(&carrier, dst, seen, middle, START));
	assert_true(comes_in(&home, dst, middle, src, START));
	assert_false(comes_in(&carrier, other, seen, middle, START));
	out(&carrier, middle, other, START); /* one way in is open, the other is not */
	assert_true(comes_in(&carrier, other, seen, middle, START));
	assert_false(comes_in(&home, other, middle, src, START));
	nat_clear(&home);
	nat_clear(&carrier);
}

/* --- reboot, other address --- */

static void test_reboot(void **state)
{
	(void)state;
	for (each_translator(i)) {
		struct nat n;
		struct addr src = in_host(2, 4100), dst = out_host(1, 1000), at, again;
		struct addr moved = v4(46, 9, 0);

		make(&n, TRANSLATORS[i].name);
		at = out(&n, src, dst, START);
		nat_reboot(&n);
		assert_int_equal(nat_count(&n, START), 0);
		assert_false(comes_in(&n, dst, at, src, START));
		again = out(&n, src, dst, START);
		assert_true(addr_same_host(&again, &at));
		assert_int_not_equal(again.port, at.port);
		nat_reboot(&n);
		nat_set_outer(&n, &moved);
		again = out(&n, src, dst, START);
		assert_true(addr_same_host(&again, &moved));
		assert_true(comes_in(&n, dst, again, src, START));
		nat_clear(&n);
	}
}

/* --- boxes that do not translate --- */

static void firewall_like(struct nat *n, struct addr src, struct addr dst, struct addr stranger)
{
	struct addr at, port = dst;

	assert_false(comes_in(n, dst, src, src, START));
	at = out(n, src, dst, START);
	assert_addr(at, src);
	assert_true(comes_in(n, dst, src, src, START));
	port.port++;
	assert_false(comes_in(n, port, src, src, START));
	assert_false(comes_in(n, stranger, src, src, START));
	assert_false(comes_in(n, dst, src, src, START + 2 * LIFE));
}

static void test_firewall(void **state)
{
	struct nat n;

	(void)state;
	make(&n, "firewall");
	firewall_like(&n, v4(45, 2, 4100), out_host(1, 1000), out_host(2, 1000));
	firewall_like(&n, v6(2, 4100), v6(50, 1000), v6(51, 1000));
	nat_clear(&n);
}

/* IPv6 passes the firewall of every NAT box, unless that translates it, too. */
static void test_v6(void **state)
{
	(void)state;
	for (each_translator(i)) {
		struct nat n;

		make(&n, TRANSLATORS[i].name);
		firewall_like(&n, v6(2, 4100), v6(50, 1000), v6(51, 1000));
		nat_clear(&n);
	}
}

static void test_v6_translated(void **state)
{
	struct nat n;
	struct addr outer = v6(46, 0), src = v6(2, 4100), dst = v6(50, 1000), at;

	(void)state;
	make(&n, "eim-eif");
	nat_set_outer(&n, &outer);
	at = out(&n, src, dst, START);
	assert_true(addr_same_host(&at, &outer));
	assert_true(comes_in(&n, v6(51, 99), at, src, START));
	nat_clear(&n);
}

static void test_open_and_blocked(void **state)
{
	struct nat n;
	struct addr src = v4(45, 2, 4100), dst = out_host(1, 1000);

	(void)state;
	make(&n, "none");
	assert_true(comes_in(&n, dst, src, src, START));
	assert_true(nat_out(&n, &src, &dst, START));
	assert_int_equal(src.port, 4100);
	nat_clear(&n);
	for (int i = 0; i < 2; i++) {
		make(&n, i ? "udp-blocked" : "all-blocked");
		assert_false(nat_out(&n, &src, &dst, START));
		assert_false(comes_in(&n, dst, src, src, START));
		nat_clear(&n);
	}
}

/* --- limits --- */

static void test_table_bound(void **state)
{
	struct nat n;
	struct addr src = in_host(2, 4100), dst, first, at;

	(void)state;
	make(&n, "apdm");
	first = out(&n, src, out_host(0, 1), START);
	for (unsigned i = 1; i < NAT_MAPPINGS_MAX; i++)
		out(&n, src, out_host((uint8_t)(i >> 8), (uint16_t)((i & 255) + 1)), START + i);
	assert_int_equal(nat_count(&n, START + LIFE), NAT_MAPPINGS_MAX);
	dst = out_host(200, 1);
	assert_false(nat_out(&n, &src, &dst, START + LIFE)); /* full: what is new waits ... */
	assert_int_equal(src.port, 4100);
	assert_true(comes_in(&n, out_host(0, 1), first, src, START)); /* ... what is old stays */
	at = out(&n, src, dst, START + LIFE + 2); /* the oldest but that one have aged */
	assert_true(comes_in(&n, dst, at, src, START + LIFE + 2));
	nat_clear(&n);
}

static void test_session_bound(void **state)
{
	struct nat n;
	struct addr src = in_host(2, 4100), dst = out_host(200, 1);

	(void)state;
	make(&n, "eim-apdf");
	for (unsigned i = 0; i < NAT_SESSIONS_MAX; i++)
		out(&n, src, out_host((uint8_t)(i >> 8), (uint16_t)((i & 255) + 1)), START);
	assert_int_equal(nat_count(&n, START), 1);
	assert_false(nat_out(&n, &src, &dst, START));
	assert_true(nat_out(&n, &src, &dst, START + LIFE + 1));
	nat_clear(&n);
}

/* 256 sockets inside, 512 destinations: the birthday attack has room. */
static void test_spray(void **state)
{
	struct nat n;

	(void)state;
	make(&n, "apdm");
	for (uint16_t i = 0; i < 256; i++)
		out(&n, in_host(2, 4100 + i), out_host(1, 1000), START);
	for (uint16_t i = 0; i < 512; i++)
		out(&n, in_host(2, 4100), out_host(2, 1024 + i), START);
	assert_int_equal(nat_count(&n, START), 256 + 512);
	nat_clear(&n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mapping_reuse),
		cmocka_unit_test(test_two_hosts_inside),
		cmocka_unit_test(test_filtering),
		cmocka_unit_test(test_ports),
		cmocka_unit_test(test_preserved_port_taken),
		cmocka_unit_test(test_seed_decides_ports),
		cmocka_unit_test(test_timeout),
		cmocka_unit_test(test_outbound_refresh),
		cmocka_unit_test(test_filter_ages_alone),
		cmocka_unit_test(test_never),
		cmocka_unit_test(test_hairpin),
		cmocka_unit_test(test_double),
		cmocka_unit_test(test_reboot),
		cmocka_unit_test(test_firewall),
		cmocka_unit_test(test_v6),
		cmocka_unit_test(test_v6_translated),
		cmocka_unit_test(test_open_and_blocked),
		cmocka_unit_test(test_table_bound),
		cmocka_unit_test(test_session_bound),
		cmocka_unit_test(test_spray),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
