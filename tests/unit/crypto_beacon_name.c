// SPDX-License-Identifier: Apache-2.0
/* How beacons are written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"
#include "crypto/address.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define KEY "ndlvvgabqkyqvn6vjp7nhslea45a5yls6pnkmizfv4bbu2hxa5iruh7a"
#define LONG_8 "hhhhhhhh"
#define LONG_64 LONG_8 LONG_8 LONG_8 LONG_8 LONG_8 LONG_8 LONG_8 LONG_8

static void beacons_are_read_and_written(void **state)
{
	static const struct {
		const char *text, *host;
		uint16_t udp_port, tls_port;
		const char *back, *relay;
	} rows[] = {
		{ KEY "@eu1", "eu1", 4443, 443, KEY "@eu1:4443", "eu1:4443" },
		{ KEY "@eu1:1", "eu1", 1, 443, KEY "@eu1:1", "eu1:1" },
		{ KEY "@eu1:65535/65535", "eu1", 65535, 65535, KEY "@eu1:65535/65535",
		  "eu1:65535" },
		{ KEY "@eu1/0", "eu1", 4443, 0, KEY "@eu1:4443/0", "eu1:4443" },
		{ KEY "@eu1:4443/443", "eu1", 4443, 443, KEY "@eu1:4443", "eu1:4443" },
		{ KEY "@198.51.100.2", "198.51.100.2", 4443, 443, KEY "@198.51.100.2:4443",
		  "198.51.100.2:4443" },
		{ KEY "@[2001:db8::1]", "2001:db8::1", 4443, 443, KEY "@[2001:db8::1]:4443",
		  "[2001:db8::1]:4443" },
		{ KEY "@[2001:db8::1]:5/6", "2001:db8::1", 5, 6, KEY "@[2001:db8::1]:5/6",
		  "[2001:db8::1]:5" },
		{ KEY "@" LONG_64 LONG_64, LONG_64 LONG_64, 4443, 443,
		  KEY "@" LONG_64 LONG_64 ":4443", LONG_64 LONG_64 ":4443" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		char text[BEACON_TEXT_MAX], address[ADDRESS_SIZE];
		const char *why = NULL;
		struct beacon_name b;

		assert_int_equal(beacon_parse(&b, rows[i].text, &why), 0);
		assert_null(why);
		address_format(b.key, address);
		assert_string_equal(address, KEY);
		assert_string_equal(b.host, rows[i].host);
		assert_int_equal(b.udp_port, rows[i].udp_port);
		assert_int_equal(b.tls_port, rows[i].tls_port);
		beacon_format(&b, text);
		assert_string_equal(text, rows[i].back);
		assert_string_equal(beacon_format_host(&b, text), rows[i].relay);
	}
}

static void wrong_beacons_are_refused(void **state)
{
	static const struct {
		const char *text;
		int error;
		const char *why;
	} rows[] = {
		{ "", GW_E_FORMAT, "@HOST" },
		{ KEY, GW_E_FORMAT, "@HOST" },
		{ "@h", GW_E_LENGTH, "56 characters" },
		{ KEY "a@h", GW_E_LENGTH, "56 characters" },
		{ "ndlvvgabqkyqvn6vjp7nhslea45a5yls6pnkmizfv4bbu2hxa5iruhaa@h", GW_E_CHECKSUM,
		  "checksum" },
		{ "ndlvvgabqkyqvn6vjp7nhslea45a5yls6pnkmizfv4bbu2hxa5iruh-a@h", GW_E_CHARACTER,
		  "a-z, 2-7" },
		{ KEY "@", GW_E_FORMAT, "host is missing" },
		{ KEY "@:1", GW_E_FORMAT, "host is missing" },
		{ KEY "@[]", GW_E_FORMAT, "host is missing" },
		{ KEY "@/1", GW_E_FORMAT, "host is missing" },
		{ KEY "@h:", GW_E_INVALID, "1 to 65535" },
		{ KEY "@h:0", GW_E_INVALID, "1 to 65535" },
		{ KEY "@h:65536", GW_E_INVALID, "1 to 65535" },
		{ KEY "@h:000001", GW_E_INVALID, "1 to 65535" },
		{ KEY "@h:-1", GW_E_INVALID, "1 to 65535" },
		{ KEY "@h:1x", GW_E_INVALID, "1 to 65535" },
		{ KEY "@h/", GW_E_INVALID, "TLS port" },
		{ KEY "@h/65536", GW_E_INVALID, "TLS port" },
		{ KEY "@h/1/2", GW_E_INVALID, "TLS port" },
		{ KEY "@2001:db8::1", GW_E_FORMAT, "brackets" },
		{ KEY "@[2001:db8::1", GW_E_FORMAT, "\"]\"" },
		{ KEY "@[h]", GW_E_INVALID, "IPv6" },
		{ KEY "@[198.51.100.2]", GW_E_INVALID, "IPv6" },
		{ KEY "@[2001:db8::1]x", GW_E_INVALID, "1 to 65535" },
		{ KEY "@a b", GW_E_INVALID, "no host" },
		{ KEY "@a@b", GW_E_INVALID, "no host" },
		{ KEY "@a\xc3\xa4", GW_E_INVALID, "no host" },
		{ KEY "@h" LONG_64 LONG_64, GW_E_INVALID, "host" },
		{ KEY "@" LONG_64 LONG_64 LONG_64 LONG_64, GW_E_INVALID, "too long" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		char *copy =
			strdup(rows[i].text); /* so that the sanitizer sees any read beyond it */
		struct beacon_name b, before;
		const char *why = "";
		int rv;

		memset(&before, 0xa5, sizeof(before));
		b = before;
		rv = beacon_parse(&b, copy, &why);
		free(copy);
		if (rv != rows[i].error || !strstr(why, rows[i].why))
			fail_msg("%s: %d, %s", rows[i].text, rv, why);
		assert_memory_equal(&b, &before, sizeof(b));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(beacons_are_read_and_written),
		cmocka_unit_test(wrong_beacons_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
