// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "cli/options.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum { ARGS_MAX = OPTIONS_MAX + 8 };

static const struct option_spec GENERAL[] = {
	{ "--home", "DIR", "", NULL },
	{ "--json", NULL, "", NULL },
	{ 0 },
};
static const struct option_spec SPECIAL[] = {
	{ "--expose", "NAME=TARGET", "", NULL },
	{ "-c", "COUNT", "", NULL },
	{ "--wait", "SECONDS", "", NULL },
	{ "--beacon", "BEACON", "", "beacons come later" },
	{ 0 },
};
static const struct option_spec *const SPECS[] = { GENERAL, SPECIAL, NULL };

static struct options o;
static struct failure f;

/* The words of one line, separated by single spaces. */
static int parse(const char *line)
{
	static char text[1024];
	char *args[ARGS_MAX];
	int n = 0;

	snprintf(text, sizeof(text), "%s", line);
	for (char *word = text, *end = text; *line && end; word = end + 1) {
		args[n++] = word;
		end = strchr(word, ' ');
		if (!end)
			break;
		*end = '\0';
	}
	memset(&f, 0, sizeof(f));
	return options_parse(&o, SPECS, "up", n, args, &f);
}

static void assert_usage(const char *message, const char *hint)
{
	assert_int_equal(f.exit, EXIT_USAGE);
	assert_string_equal(f.code, "usage");
	assert_string_equal(f.message, message);
	assert_string_equal(f.hint, hint);
}

static void flags_and_words_are_told_apart(void **state)
{
	(void)state;
	assert_int_equal(parse("one --home here two --json -c 5 three"), 0);
	assert_string_equal(o.command, "up");
	assert_int_equal(o.n_words, 3);
	assert_string_equal(o.words[0], "one");
	assert_string_equal(o.words[1], "two");
	assert_string_equal(o.words[2], "three");
	assert_string_equal(options_get(&o, "--home"), "here");
	assert_string_equal(options_get(&o, "-c"), "5");
	assert_true(options_has(&o, "--json"));
	assert_false(options_has(&o, "--expose"));
	assert_null(options_get(&o, "--expose"));
	assert_int_equal(parse(""), 0);
	assert_int_equal(o.n_words + o.n_given, 0);
}

static void values_come_in_two_ways(void **state)
{
	(void)state;
	assert_int_equal(parse("--home=a=b"), 0);
	assert_string_equal(options_get(&o, "--home"), "a=b");
	assert_int_equal(parse("--home="), 0);
	assert_string_equal(options_get(&o, "--home"), "");
	assert_int_equal(parse("--home --json"), 0); /* what follows is the value */
	assert_string_equal(options_get(&o, "--home"), "--json");
	assert_false(options_has(&o, "--json"));
	assert_int_equal(parse("--home -- x"), 0);
	assert_string_equal(options_get(&o, "--home"), "--");
	assert_int_equal(o.n_words, 1);
}

static void flags_repeat(void **state)
{
	(void)state;
	assert_int_equal(parse("--expose a=1 --expose=b=2 --home x --expose c=3"), 0);
	assert_string_equal(options_nth(&o, "--expose", 0), "a=1");
	assert_string_equal(options_nth(&o, "--expose", 1), "b=2");
	assert_string_equal(options_nth(&o, "--expose", 2), "c=3");
	assert_null(options_nth(&o, "--expose", 3));
	assert_string_equal(options_get(&o, "--expose"), "c=3"); /* the last one counts */
}

static void dashes_end_the_flags(void **state)
{
	(void)state;
	assert_int_equal(parse("--json -- --home -c --"), 0);
	assert_int_equal(o.n_given, 1);
	assert_int_equal(o.n_words, 3);
	assert_string_equal(o.words[0], "--home");
	assert_string_equal(o.words[2], "--");
	assert_int_equal(parse("-"), 0); /* a word: standard input */
	assert_string_equal(o.words[0], "-");
}

static void mistakes_are_explained(void **state)
{
	static const struct {
		const char *line, *message;
	} BAD[] = {
		{ "--nothing", "there is no such flag: --nothing" },
		{ "--hom x", "there is no such flag: --hom" },
		{ "--homes x", "there is no such flag: --homes" },
		{ "-x", "there is no such flag: -x" },
		{ "-c=5", "there is no such flag: -c=5" },
		{ "--=x", "there is no such flag: --=x" },
		{ "--home", "a value is missing after --home" },
		{ "x -c", "a value is missing after -c" },
		{ "--json=1", "this flag takes no value: --json" },
		{ "1 2 3 4 5 6 7 8 9", "one word too many: 9" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(BAD); i++) {
		assert_int_equal(parse(BAD[i].line), -1);
		assert_usage(BAD[i].message, "godwit help up");
	}
	assert_int_equal(parse("1 2 3 4 5 6 7 8"), 0);
}

static void later_versions_flags_say_so(void **state)
{
	(void)state;
	assert_int_equal(parse("--beacon x"), -1);
	assert_usage("--beacon is not in this version: beacons come later",
		     "without it: this version needs endpoints from a ticket");
	assert_int_equal(parse("--beacon"), -1);
	assert_non_null(strstr(f.message, "not in this version"));
}

static void flags_are_limited(void **state)
{
	static char flag[] = "--json";
	char *args[OPTIONS_MAX + 1];

	(void)state;
	for (size_t i = 0; i < COUNT(args); i++)
		args[i] = flag;
	assert_int_equal(options_parse(&o, SPECS, "up", OPTIONS_MAX, args, &f), 0);
	assert_int_equal(o.n_given, OPTIONS_MAX);
	assert_int_equal(options_parse(&o, SPECS, "up", OPTIONS_MAX + 1, args, &f), -1);
	assert_usage("too many flags, at --json", "godwit help up");
}

static void seconds_are_decimal_and_bounded(void **state)
{
	static const struct {
		const char *text;
		double value;
	} GOOD[] = { { "0.5", 0.5 }, { "10", 10 }, { "3", 3 }, { "1.", 1 }, { ".75", 0.75 } };
	static const char *const BAD[] = {
		"",    "0.4", "10.1", "-1", "+1",    "1e1", "0x1", "inf",
		"nan", "1,5", " 1",   "1 ", "1.2.3", ".",   "1s",
	};
	double out;

	(void)state;
	for (size_t i = 0; i < COUNT(GOOD); i++) {
		assert_true(parse_seconds(GOOD[i].text, 0.5, 10, &out));
		assert_float_equal((float)out, (float)GOOD[i].value, 0);
	}
	for (size_t i = 0; i < COUNT(BAD); i++) {
		out = 42;
		if (parse_seconds(BAD[i], 0.5, 10, &out))
			fail_msg("\"%s\" is taken", BAD[i]);
		assert_float_equal((float)out, 42, 0);
	}
}

static void flag_of_seconds_has_a_fallback(void **state)
{
	double out = 0;

	(void)state;
	assert_int_equal(parse("--wait 1 --wait 2.5"), 0);
	assert_int_equal(options_seconds(&o, "--wait", 0, 10, 7, &out, &f), 0);
	assert_float_equal((float)out, 2.5F, 0);
	assert_int_equal(parse(""), 0);
	assert_int_equal(options_seconds(&o, "--wait", 0, 10, 99, &out, &f), 0);
	assert_float_equal((float)out, 99, 0);
	assert_int_equal(parse("--wait soon"), 0);
	assert_int_equal(options_seconds(&o, "--wait", 0.1, 10, 7, &out, &f), -1);
	assert_usage("--wait needs a number of seconds from 0.1 to 10, not \"soon\"",
		     "godwit help up");
}

static void flag_of_a_count_has_bounds(void **state)
{
	static const char *const BAD[] = {
		"-c 0", "-c 257", "-c -1", "-c +1", "-c 1.5", "-c 0x10", "-c 18446744073709551617",
		"-c x",
	};
	unsigned long out;

	(void)state;
	assert_int_equal(parse("-c 256"), 0);
	assert_int_equal(options_count(&o, "-c", 1, 256, 3, &out, &f), 0);
	assert_int_equal(out, 256);
	assert_int_equal(parse("-c 1"), 0);
	assert_int_equal(options_count(&o, "-c", 1, 256, 3, &out, &f), 0);
	assert_int_equal(out, 1);
	assert_int_equal(parse(""), 0);
	assert_int_equal(options_count(&o, "-c", 1, 256, 3, &out, &f), 0);
	assert_int_equal(out, 3);
	for (size_t i = 0; i < COUNT(BAD); i++) {
		assert_int_equal(parse(BAD[i]), 0);
		assert_int_equal(options_count(&o, "-c", 1, 256, 3, &out, &f), -1);
		assert_int_equal(f.exit, EXIT_USAGE);
		assert_non_null(strstr(f.message, "-c needs a number from 1 to 256, not "));
	}
}

static void durations_have_units(void **state)
{
	static const struct {
		const char *text;
		uint32_t value;
	} GOOD[] = {
		{ "0", 0 },
		{ "90", 90 },
		{ "90s", 90 },
		{ "15m", 900 },
		{ "24h", 86400 },
		{ "30d", 2592000 },
		{ "1y", 31536000 },
		{ "136y", 4288896000 },
		{ "007d", 7 * 86400 },
		{ "4294967295", UINT32_MAX },
	};
	static const char *const BAD[] = { "",           "s",    "-1",    "+1h", " 1h",
					   "1h ",        "1 h",  "1.5h",  "1w",  "1H",
					   "4294967296", "137y", "1h30m", "0x1", "99999999999s" };
	uint32_t out;

	(void)state;
	for (size_t i = 0; i < COUNT(GOOD); i++) {
		if (!parse_duration(GOOD[i].text, &out) || out != GOOD[i].value)
			fail_msg("\"%s\" is not %u", GOOD[i].text, GOOD[i].value);
	}
	for (size_t i = 0; i < COUNT(BAD); i++) {
		out = 42;
		if (parse_duration(BAD[i], &out) || out != 42)
			fail_msg("\"%s\" is taken", BAD[i]);
	}
}

static void flag_of_a_duration_has_bounds(void **state)
{
	static const char *const BAD[] = { "--wait 59s", "--wait 31d", "--wait soon", "--wait=" };
	uint32_t out;

	(void)state;
	assert_int_equal(parse("--wait 24h"), 0);
	assert_int_equal(options_duration(&o, "--wait", 60, 30 * 86400, 7, &out, &f), 0);
	assert_int_equal(out, 86400);
	assert_int_equal(parse(""), 0);
	assert_int_equal(options_duration(&o, "--wait", 60, 30 * 86400, 7, &out, &f), 0);
	assert_int_equal(out, 7);
	for (size_t i = 0; i < COUNT(BAD); i++) {
		char message[100];

		assert_int_equal(parse(BAD[i]), 0);
		assert_int_equal(options_duration(&o, "--wait", 60, 30 * 86400, 7, &out, &f), -1);
		snprintf(message, sizeof(message), "--wait needs a time from 1m to 30d, not \"%s\"",
			 BAD[i] + strlen("--wait") + 1);
		assert_usage(message, "90s, 15m, 24h, 30d, 1y, or a number of seconds");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(flags_and_words_are_told_apart),
		cmocka_unit_test(values_come_in_two_ways),
		cmocka_unit_test(flags_repeat),
		cmocka_unit_test(dashes_end_the_flags),
		cmocka_unit_test(mistakes_are_explained),
		cmocka_unit_test(later_versions_flags_say_so),
		cmocka_unit_test(flags_are_limited),
		cmocka_unit_test(seconds_are_decimal_and_bounded),
		cmocka_unit_test(flag_of_seconds_has_a_fallback),
		cmocka_unit_test(flag_of_a_count_has_bounds),
		cmocka_unit_test(durations_have_units),
		cmocka_unit_test(flag_of_a_duration_has_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
