// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "service/service.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* The longest that fit: 107 and 255 characters; and one more. */
#define TEN "abcdefghij"
#define FIFTY TEN TEN TEN TEN TEN
#define PATH_107 "/" FIFTY FIFTY "abcdef"
#define HOST_255 FIFTY FIFTY FIFTY FIFTY FIFTY "abcde"

static const struct {
	const char *text;
	int kind;
	const char *where; /* host or path */
	uint16_t port;
	const char *formatted;
} GOOD[] = {
	{ "5432", TARGET_TCP, "127.0.0.1", 5432, "tcp:127.0.0.1:5432" },
	{ "1", TARGET_TCP, "127.0.0.1", 1, "tcp:127.0.0.1:1" },
	{ "65535", TARGET_TCP, "127.0.0.1", 65535, "tcp:127.0.0.1:65535" },
	{ "00080", TARGET_TCP, "127.0.0.1", 80, "tcp:127.0.0.1:80" },
	{ "tcp:10.0.0.7:22", TARGET_TCP, "10.0.0.7", 22, "tcp:10.0.0.7:22" },
	{ "10.0.0.7:22", TARGET_TCP, "10.0.0.7", 22, "tcp:10.0.0.7:22" },
	{ "localhost:80", TARGET_TCP, "localhost", 80, "tcp:localhost:80" },
	{ "tcp:db.example:5432", TARGET_TCP, "db.example", 5432, "tcp:db.example:5432" },
	{ "tcp:[::1]:443", TARGET_TCP, "::1", 443, "tcp:[::1]:443" },
	{ "[2001:db8::1]:443", TARGET_TCP, "2001:db8::1", 443, "tcp:[2001:db8::1]:443" },
	{ "[10.0.0.7]:22", TARGET_TCP, "10.0.0.7", 22, "tcp:10.0.0.7:22" },
	{ "tcp:" HOST_255 ":1", TARGET_TCP, HOST_255, 1, "tcp:" HOST_255 ":1" },
	{ "unix:/run/x.sock", TARGET_UNIX, "/run/x.sock", 0, "unix:/run/x.sock" },
	{ "udp:10.0.0.7:53", TARGET_UDP, "10.0.0.7", 53, "udp:10.0.0.7:53" },
	{ "udp:dns.example:53", TARGET_UDP, "dns.example", 53, "udp:dns.example:53" },
	{ "udp:[::1]:53", TARGET_UDP, "::1", 53, "udp:[::1]:53" },
	{ "unix:x:1", TARGET_UNIX, "x:1", 0, "unix:x:1" },
	{ "unix:" PATH_107, TARGET_UNIX, PATH_107, 0, "unix:" PATH_107 },
};

static const struct {
	const char *text;
	int error;
	const char *why; /* a part of it */
} BAD[] = {
	{ "", GODWIT_E_INVALID, "from 1 to 65535" },
	{ "65536", GODWIT_E_INVALID, "from 1 to 65535" },
	{ "99999999999999999999999", GODWIT_E_INVALID, "from 1 to 65535" },
	{ "-1", GODWIT_E_INVALID, "from 1 to 65535" },
	{ "+80", GODWIT_E_INVALID, "from 1 to 65535" },
	{ " 80", GODWIT_E_INVALID, "from 1 to 65535" },
	{ "80x", GODWIT_E_INVALID, "from 1 to 65535" },
	{ "ssh", GODWIT_E_INVALID, "from 1 to 65535" },
	{ "tcp:", GODWIT_E_FORMAT, "no port" },
	{ "tcp:80", GODWIT_E_FORMAT, "no port" },
	{ "tcp:host", GODWIT_E_FORMAT, "no port" },
	{ "tcp:host:", GODWIT_E_INVALID, "from 1 to 65535" },
	{ "host:65536", GODWIT_E_INVALID, "from 1 to 65535" },
	{ "host:8o", GODWIT_E_INVALID, "from 1 to 65535" },
	{ ":80", GODWIT_E_FORMAT, "host" },
	{ "tcp::80", GODWIT_E_FORMAT, "host" },
	{ "[]:80", GODWIT_E_FORMAT, "host" },
	{ "tcp:" HOST_255 "f:1", GODWIT_E_FORMAT, "host" },
	{ "::1:80", GODWIT_E_FORMAT, "[ADDRESS]:PORT" },
	{ "tcp:2001:db8::1:80", GODWIT_E_FORMAT, "[ADDRESS]:PORT" },
	{ "[::1]80", GODWIT_E_FORMAT, "[ADDRESS]:PORT" },
	{ "[::1]x:80", GODWIT_E_FORMAT, "[ADDRESS]:PORT" },
	{ "[::1:80", GODWIT_E_FORMAT, "[ADDRESS]:PORT" },
	{ "tcp:[::1]", GODWIT_E_FORMAT, "[ADDRESS]:PORT" },
	{ "unix:", GODWIT_E_FORMAT, "path is missing" },
	{ "unix:" PATH_107 "g", GODWIT_E_LENGTH, "107" },
	{ "udp:", GODWIT_E_FORMAT, "udp:HOST:PORT" },
	{ "udp:53", GODWIT_E_FORMAT, "udp:HOST:PORT" },
	{ "udp:host", GODWIT_E_FORMAT, "udp:HOST:PORT" },
	{ "udp:host:", GODWIT_E_INVALID, "from 1 to 65535" },
	{ "udp:host:65536", GODWIT_E_INVALID, "from 1 to 65535" },
	{ "udp::53", GODWIT_E_FORMAT, "host" },
	{ "udp:::1:53", GODWIT_E_FORMAT, "[ADDRESS]:PORT" },
	{ "UDP:host:53", GODWIT_E_FORMAT, "[ADDRESS]:PORT" },
};

/* The same text is good, or bad in the same way, for a target and for a listener. */
typedef int parse_fn(const char *text, struct target *out, const char **why);

static void check_good(parse_fn *parse)
{
	for (size_t i = 0; i < COUNT(GOOD); i++) {
		struct target t, again;
		char text[TARGET_TEXT_MAX];
		const char *why = NULL;

		assert_int_equal(parse(GOOD[i].text, &t, &why), 0);
		assert_int_equal(t.kind, GOOD[i].kind);
		assert_string_equal(t.kind == TARGET_UNIX ? t.path : t.host, GOOD[i].where);
		assert_int_equal(t.port, GOOD[i].port);
		target_format(&t, text);
		assert_string_equal(text, GOOD[i].formatted);
		assert_int_equal(parse(text, &again, &why), 0);
		assert_memory_equal(&again, &t, sizeof(t));
	}
}

static void check_refused(parse_fn *parse, const char *text, int error, const char *expected)
{
	struct target t, before;
	const char *why = "";

	memset(&t, 0xa5, sizeof(t));
	before = t;
	if (parse(text, &t, &why) != error)
		fail_msg("\"%s\" is not refused with %d", text, error);
	if (!strstr(why, expected))
		fail_msg("\"%s\" is refused because \"%s\"", text, why);
	assert_memory_equal(&t, &before, sizeof(t));
}

static void good_ones_are_read_and_written(void **state)
{
	(void)state;
	check_good(target_parse);
	check_good(listen_parse);
}

static void bad_ones_are_refused_with_a_reason(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(BAD); i++) {
		check_refused(target_parse, BAD[i].text, BAD[i].error, BAD[i].why);
		check_refused(listen_parse, BAD[i].text, BAD[i].error, BAD[i].why);
	}
}

static void only_a_listener_may_have_port_0(void **state)
{
	static const char *const ZERO[] = { "0", "000", "127.0.0.1:0", "tcp:[::1]:0",
					    "udp:127.0.0.1:0" };

	(void)state;
	for (size_t i = 0; i < COUNT(ZERO); i++) {
		struct target t;
		const char *why;

		check_refused(target_parse, ZERO[i], GODWIT_E_INVALID, "from 1 to 65535");
		assert_int_equal(listen_parse(ZERO[i], &t, &why), 0);
		assert_int_equal(t.kind, strstr(ZERO[i], "udp") ? TARGET_UDP : TARGET_TCP);
		assert_int_equal(t.port, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_ones_are_read_and_written),
		cmocka_unit_test(bad_ones_are_refused_with_a_reason),
		cmocka_unit_test(only_a_listener_may_have_port_0),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
