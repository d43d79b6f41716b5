// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <fcntl.h>
#include <unistd.h>

#include "cli/text.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct number {
	double value;
	const char *text;
};

typedef const char *format_fn(double value, char *out);

/* DURATION_SIZE and BYTES_SIZE are the same. */
static void check(format_fn *format, const struct number *n, size_t count)
{
	char out[DURATION_SIZE];

	for (size_t i = 0; i < count; i++) {
		assert_ptr_equal(format(n[i].value, out), out);
		assert_string_equal(out, n[i].text);
	}
}

static void durations(void **state)
{
	static const struct number EXPECTED[] = {
		{ 0, "0.0s" },
		{ 0.44, "0.4s" },
		{ 9.94, "9.9s" },
		{ 10, "10s" },
		{ 59.9, "59s" },
		{ 60, "1m00s" },
		{ 754, "12m34s" },
		{ 3599, "59m59s" },
		{ 3600, "1h00m" },
		{ 11520, "3h12m" },
		{ 86399, "23h59m" },
		{ 86400, "1d00h" },
		{ 100 * 86400.0 + 5 * 3600, "100d05h" },
	};

	(void)state;
	check(format_duration, EXPECTED, COUNT(EXPECTED));
}

static void spans_and_dates(void **state)
{
	static const struct {
		uint32_t seconds;
		const char *text;
	} SPANS[] = { { 0, "0s" },
		      { 1, "1s" },
		      { 60, "1m" },
		      { 90, "90s" },
		      { 3600, "1h" },
		      { 5400, "90m" },
		      { 86400, "1d" },
		      { 90000, "25h" },
		      { 2592000, "30d" },
		      { 31536000, "1y" },
		      { UINT32_MAX, "4294967295s" } };
	char out[DURATION_SIZE], date[DATE_SIZE];

	(void)state;
	for (size_t i = 0; i < COUNT(SPANS); i++)
		assert_string_equal(format_span(SPANS[i].seconds, out), SPANS[i].text);
	assert_string_equal(format_date(0, date), "1970-01-01 00:00 UTC");
	assert_string_equal(format_date(1796029680, date), "2026-11-30 09:08 UTC");
	assert_string_equal(format_date(UINT32_MAX, date), "2106-02-07 06:28 UTC");
}

static void bytes(void **state)
{
	static const struct number EXPECTED[] = {
		{ 0, "0 B" },
		{ 1, "1 B" },
		{ 1023, "1023 B" },
		{ 1024, "1.0 KiB" },
		{ 1536, "1.5 KiB" },
		{ 10 * 1024, "10 KiB" },
		{ 1024 * 1024, "1.0 MiB" },
		{ 1.2 * 1024 * 1024 * 1024, "1.2 GiB" },
		{ 5.0 * 1024 * 1024 * 1024 * 1024, "5.0 TiB" },
		{ 2e18, "1776 PiB" },
	};

	(void)state;
	check(format_bytes, EXPECTED, COUNT(EXPECTED));
}

static void milliseconds(void **state)
{
	static const struct number EXPECTED[] = {
		{ 0, "0.00 ms" }, { 0.043, "0.04 ms" }, { 1, "1.0 ms" },     { 7.34, "7.3 ms" },
		{ 10, "10 ms" },  { 42.4, "42 ms" },    { 1234, "1234 ms" },
	};

	(void)state;
	check(format_ms, EXPECTED, COUNT(EXPECTED));
}

static void addresses_get_short(void **state)
{
	char out[SHORT_SIZE];

	(void)state;
	assert_string_equal(
		short_address("ndlvvaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaruh7a", out),
		"ndlvv\xe2\x80\xa6ruh7a");
	assert_string_equal(short_address("abcdefghijk", out), "abcde\xe2\x80\xa6ghijk");
	assert_string_equal(short_address("abcdefghij", out), "abcdefghij");
	assert_string_equal(short_address("", out), "");
}

static void targets_are_two_words(void **state)
{
	char out[TARGET_SIZE], longest[TARGET_SIZE + 20];

	(void)state;
	assert_string_equal(target_for_people("tcp:127.0.0.1:22", out), "tcp 127.0.0.1:22");
	assert_string_equal(target_for_people("unix:a:b", out), "unix a:b");
	assert_string_equal(target_for_people("word", out), "word");
	memset(longest, 'x', sizeof(longest));
	longest[sizeof(longest) - 1] = '\0';
	assert_int_equal(strlen(target_for_people(longest, out)), TARGET_SIZE - 1);
}

static void files_are_not_fancy(void **state)
{
	int null = open("/dev/null", O_WRONLY), master, slave = -1;

	(void)state;
	assert_false(fancy(null));
	close(null);
	master = posix_openpt(O_RDWR | O_NOCTTY);
	if (master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0)
		slave = open(ptsname(master), O_RDWR | O_NOCTTY);
	if (slave < 0)
		skip();
	unsetenv("NO_COLOR");
	setenv("TERM", "xterm", 1);
	assert_true(fancy(slave));
	unsetenv("TERM");
	assert_true(fancy(slave));
	setenv("NO_COLOR", "", 1); /* no-color.org: "not an empty string" */
	assert_true(fancy(slave));
	setenv("NO_COLOR", "1", 1);
	assert_false(fancy(slave));
	unsetenv("NO_COLOR");
	setenv("TERM", "dumb", 1);
	assert_false(fancy(slave));
	close(slave);
	close(master);
}

/* What goes to stdout: look into a file in its place. */
static void check_printed(void (*print)(const json_t *), const json_t *what, const char *expected)
{
	char text[400] = "";
	FILE *file = tmpfile();
	int saved = dup(STDOUT_FILENO);

	assert_non_null(file);
	fflush(stdout);
	dup2(fileno(file), STDOUT_FILENO);
	print(what);
	fflush(stdout);
	dup2(saved, STDOUT_FILENO);
	close(saved);
	assert_true(pread(fileno(file), text, sizeof(text) - 1, 0) > 0);
	assert_string_equal(text, expected);
	fclose(file);
}

static void json_is_one_line_with_its_version_first(void **state)
{
	json_t *object = json_pack("{s:s,s:f}", "address", "x\ny", "rtt_ms", 0.1);

	(void)state;
	check_printed(print_json, object, "{\"v\":1,\"address\":\"x\\ny\",\"rtt_ms\":0.1}\n");
	assert_int_equal(json_object_size(object), 2); /* not changed */
	json_decref(object);
}

/* Columns are as wide as their widest cell, in characters; the last of a row counts for nothing. */
static void tables_are_aligned(void **state)
{
	json_t *rows = json_pack(
		"[[s,s,s],[s,s,s],[s,s],[s,s,s]]", "PEER", "PATH", "RTT", "ndlvv\xe2\x80\xa6ruh7a",
		"direct [2001:db8::1]:41641", "7.3 ms", "",
		"a remark that is longer than the column below which it stands", "x", "y", "z");

	(void)state;
	check_printed(print_table, rows,
		      "PEER         PATH                        RTT\n"
		      "ndlvv\xe2\x80\xa6ruh7a  direct [2001:db8::1]:41641  7.3 ms\n"
		      "             a remark that is longer than the column below which it stands\n"
		      "x            y                           z\n");
	json_decref(rows);
}

static void absent_members_are_neutral(void **state)
{
	json_t *object =
		json_pack("{s:s,s:f,s:i,s:n}", "text", "word", "real", 1.5, "int", 3, "null");

	(void)state;
	assert_string_equal(get_text(object, "text"), "word");
	assert_string_equal(get_text(object, "real"), "");
	assert_string_equal(get_text(object, "null"), "");
	assert_string_equal(get_text(object, "absent"), "");
	assert_string_equal(get_text(NULL, "text"), "");
	assert_float_equal((float)get_number(object, "real"), 1.5F, 0);
	assert_float_equal((float)get_number(object, "int"), 3, 0);
	assert_float_equal((float)get_number(object, "text"), 0, 0);
	assert_float_equal((float)get_number(NULL, "real"), 0, 0);
	json_decref(object);
}

static void paths_are_named(void **state)
{
	static const struct {
		const char *json, *text;
	} rows[] = {
		{ "{\"kind\":\"direct\",\"endpoint\":\"198.51.100.2:41641\",\"via\":null,"
		  "\"transport\":\"udp\"}",
		  "direct 198.51.100.2:41641" },
		{ "{\"kind\":\"relay\",\"endpoint\":null,\"via\":\"eu1:4443\",\"transport\":"
		  "\"udp\"}",
		  "relay eu1 (udp)" },
		{ "{\"kind\":\"relay\",\"via\":\"[2001:db8::1]:4443\",\"transport\":\"tls\"}",
		  "relay [2001:db8::1] (tls)" },
	};
	char out[PATH_SIZE];

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		json_t *j = json_loads(rows[i].json, 0, NULL);

		assert_non_null(j);
		assert_string_equal(path_for_people(j, out), rows[i].text);
		json_decref(j);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(durations),
		cmocka_unit_test(spans_and_dates),
		cmocka_unit_test(bytes),
		cmocka_unit_test(milliseconds),
		cmocka_unit_test(addresses_get_short),
		cmocka_unit_test(targets_are_two_words),
		cmocka_unit_test(files_are_not_fancy),
		cmocka_unit_test(paths_are_named),
		cmocka_unit_test(json_is_one_line_with_its_version_first),
		cmocka_unit_test(tables_are_aligned),
		cmocka_unit_test(absent_members_are_neutral),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
