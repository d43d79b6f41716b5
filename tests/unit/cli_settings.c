// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <unistd.h>

#include "cli/settings.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Those of `up`; the lists' flags are its own. */
static const struct option_spec LISTS[] = {
	{ "--expose", "NAME=TARGET", "", NULL },
	{ "--forward", "LISTEN=DEST", "", NULL },
	{ 0 },
};
static const struct option_spec *const SPECS[] = { HOME_OPTIONS, NODE_OPTIONS, LISTS, NULL };

static const char *const VARIABLES[] = {
	"GODWIT_HOME",     "GODWIT_CONFIG",     "GODWIT_IDENTITY",   "GODWIT_LISTEN",
	"GODWIT_PARK",     "GODWIT_BEACON",     "GODWIT_RELAY_ONLY", "GODWIT_CONGESTION",
	"GODWIT_ALLOW",    "GODWIT_EXPOSE",     "GODWIT_FORWARD",    "XDG_STATE_HOME",
	"GODWIT_UDP_IDLE", "GODWIT_NO_SANDBOX", "GODWIT_INVITE",     "GODWIT_NAME",
	"GODWIT_POLICY",   "GODWIT_AUDIT",
};

static char directory[] = "cli_settings.XXXXXX";
static struct settings s;
static struct options o;
static struct failure f;

static int setup(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(VARIABLES); i++)
		unsetenv(VARIABLES[i]);
	setenv("HOME", "/nobody", 1);
	memset(&f, 0, sizeof(f));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	settings_clear(&s);
	unlink("config.json");
	unlink("other.json");
	return 0;
}

/* `...`: the command line, ending with NULL. */
static int load(const char *first, ...)
{
	static char texts[WORDS_MAX * 16][128];
	char *args[COUNT(texts)];
	int n = 0;
	va_list ap;

	settings_clear(&s);
	va_start(ap, first);
	for (const char *arg = first; arg; arg = va_arg(ap, const char *)) {
		snprintf(texts[n], sizeof(texts[n]), "%s", arg);
		args[n] = texts[n];
		n++;
	}
	va_end(ap);
	assert_int_equal(options_parse(&o, SPECS, "up", n, args, &f), 0);
	return settings_load(&s, &o, &f);
}

static void write_file(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static void assert_setting(enum setting which, const char *value, const char *source)
{
	if (value)
		assert_string_equal(setting_get(&s, which), value);
	else
		assert_null(setting_get(&s, which));
	assert_string_equal(s.at[which].source, source);
}

static void assert_list(enum setting which, size_t count, const char *const *values)
{
	assert_int_equal(s.at[which].count, count);
	for (size_t i = 0; i < count; i++)
		assert_string_equal(s.at[which].values[i], values[i]);
}

static void assert_refused(const char *message)
{
	assert_int_equal(f.exit, EXIT_USAGE);
	assert_string_equal(f.code, "usage");
	if (!strstr(f.message, message))
		fail_msg("\"%s\" says nothing of \"%s\"", f.message, message);
	assert_true(strlen(f.hint) > 0);
}

/* --- where a value comes from --- */

/* An invite is a secret: where it is is a setting, what it is is not. */
static void invites_are_not_shown(void **state)
{
	(void)state;
	setenv("GODWIT_INVITE", "iaaxsecretword", 1);
	assert_int_equal(load("--home", ".", NULL), 0);
	assert_setting(SETTING_INVITE, "env:GODWIT_INVITE", "environment GODWIT_INVITE");
	setenv("GODWIT_INVITE", "file:/run/secrets/invite", 1);
	assert_int_equal(load("--home", ".", NULL), 0);
	assert_setting(SETTING_INVITE, "file:/run/secrets/invite", "environment GODWIT_INVITE");
	assert_int_equal(load("--home", ".", "--invite", "fd:3", NULL), 0);
	assert_setting(SETTING_INVITE, "fd:3", "flag --invite");
	assert_int_equal(load("--home", ".", "--invite", "iaaxsecretword", NULL), -1);
	assert_refused("the invite is a secret");
	assert_null(strstr(f.message, "iaaxsecretword"));
	assert_null(strstr(f.hint, "iaaxsecretword"));
}

static void nothing_said_gives_the_defaults(void **state)
{
	(void)state;
	assert_int_equal(load("--home", ".", NULL), 0);
	assert_setting(SETTING_HOME, ".", "flag --home");
	assert_setting(SETTING_CONFIG, NULL, "default");
	assert_setting(SETTING_IDENTITY, NULL, "default");
	assert_setting(SETTING_LISTEN, NULL, "default");
	assert_setting(SETTING_PARK, "86400", "default");
	assert_setting(SETTING_CONGESTION, "bbr", "default");
	assert_setting(SETTING_RELAY_ONLY, "no", "default");
	assert_false(setting_is_on(&s, SETTING_RELAY_ONLY));
	assert_list(SETTING_BEACON, 0, NULL);
	assert_list(SETTING_ALLOW, 0, NULL);
	assert_list(SETTING_EXPOSE, 0, NULL);
	assert_list(SETTING_FORWARD, 0, NULL);
}

static void home_is_found(void **state)
{
	(void)state;
	assert_int_equal(load(NULL), 0);
	assert_setting(SETTING_HOME, "/nobody/.local/state/godwit", "default");
	assert_string_equal(s.home, "/nobody/.local/state/godwit");
	setenv("XDG_STATE_HOME", "relative", 1); /* to be ignored, says its specification */
	assert_int_equal(load(NULL), 0);
	assert_string_equal(s.home, "/nobody/.local/state/godwit");
	setenv("XDG_STATE_HOME", "/state", 1);
	assert_int_equal(load(NULL), 0);
	assert_string_equal(s.home, "/state/godwit");
	setenv("GODWIT_HOME", "/elsewhere", 1);
	assert_int_equal(load(NULL), 0);
	assert_setting(SETTING_HOME, "/elsewhere", "environment GODWIT_HOME");
	assert_int_equal(load("--home", "/flag", NULL), 0);
	assert_setting(SETTING_HOME, "/flag", "flag --home");
	assert_string_equal(s.home, "/flag");
}

static void home_without_a_home_directory_is_of_the_user_database(void **state)
{
	(void)state;
	unsetenv("HOME");
	assert_int_equal(load(NULL), 0);
	assert_non_null(strstr(s.home, "/.local/state/godwit"));
	assert_int_equal(s.home[0], '/');
}

static void impossible_homes_are_refused(void **state)
{
	static char longest[sizeof(s.home) + 1];

	(void)state;
	assert_int_equal(load("--home", "", NULL), -1);
	assert_refused("home");
	memset(longest, 'x', sizeof(longest) - 1);
	setenv("GODWIT_HOME", longest, 1);
	assert_int_equal(load(NULL), -1);
	assert_refused("too long");
}

static void flag_beats_environment_beats_file(void **state)
{
	static const struct {
		enum setting which;
		const char *flag, *variable, *name, *values[3];
	} ROWS[] = {
		{ SETTING_LISTEN,
		  "--listen",
		  "GODWIT_LISTEN",
		  "listen",
		  { "0.0.0.0:1", "0.0.0.0:2", "0.0.0.0:3" } },
		{ SETTING_PARK, "--park", "GODWIT_PARK", "park", { "1", "2", "3.5" } },
		{ SETTING_UDP_IDLE,
		  "--udp-idle",
		  "GODWIT_UDP_IDLE",
		  "udp-idle",
		  { "1", "2", "3.5" } },
		{ SETTING_CONGESTION,
		  "--congestion",
		  "GODWIT_CONGESTION",
		  "congestion",
		  { "cubic", "bbr", "cubic" } },
		{ SETTING_IDENTITY,
		  "--identity",
		  "GODWIT_IDENTITY",
		  "identity",
		  { "ephemeral", "fd:3", "env:KEY" } },
		{ SETTING_ALLOW, "--allow", "GODWIT_ALLOW", "allow", { "a", "b", "c" } },
		{ SETTING_EXPOSE, "--expose", "GODWIT_EXPOSE", "expose", { "a=1", "b=2", "c=3" } },
		{ SETTING_FORWARD,
		  "--forward",
		  "GODWIT_FORWARD",
		  "forward",
		  { "1=a", "2=b", "3=c" } },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(ROWS); i++) {
		char source[64], file[128];

		assert_string_equal(setting_name(ROWS[i].which), ROWS[i].name);
		snprintf(file, sizeof(file), "{\"%s\": \"%s\"}", ROWS[i].name, ROWS[i].values[0]);
		write_file("config.json", file);
		assert_int_equal(load("--home", ".", NULL), 0);
		assert_setting(ROWS[i].which, ROWS[i].values[0], "file ./config.json");
		setenv(ROWS[i].variable, ROWS[i].values[1], 1);
		assert_int_equal(load("--home", ".", NULL), 0);
		snprintf(source, sizeof(source), "environment %s", ROWS[i].variable);
		assert_setting(ROWS[i].which, ROWS[i].values[1], source);
		assert_int_equal(load("--home", ".", ROWS[i].flag, ROWS[i].values[2], NULL), 0);
		snprintf(source, sizeof(source), "flag %s", ROWS[i].flag);
		assert_setting(ROWS[i].which, ROWS[i].values[2], source);
		assert_int_equal(s.at[ROWS[i].which].count, 1); /* lists are not joined */
		setenv(ROWS[i].variable, "", 1);                /* as good as not set */
		assert_int_equal(load("--home", ".", NULL), 0);
		assert_setting(ROWS[i].which, ROWS[i].values[0], "file ./config.json");
		unsetenv(ROWS[i].variable);
	}
}

static void file_is_of_the_home_or_as_said(void **state)
{
	(void)state;
	write_file("config.json", "{\"park\": \"1\"}");
	write_file("other.json", "{\"park\": \"2\"}");
	assert_int_equal(load("--home", ".", NULL), 0);
	assert_setting(SETTING_PARK, "1", "file ./config.json");
	assert_string_equal(setting_get(&s, SETTING_CONFIG), "./config.json");
	setenv("GODWIT_CONFIG", "other.json", 1);
	assert_int_equal(load("--home", ".", NULL), 0);
	assert_setting(SETTING_PARK, "2", "file other.json");
	assert_setting(SETTING_CONFIG, "other.json", "environment GODWIT_CONFIG");
	assert_int_equal(load("--home", ".", "--config", "config.json", NULL), 0);
	assert_setting(SETTING_PARK, "1", "file config.json");
}

/* --- lists --- */

static void lists_have_many_values(void **state)
{
	static const char *const ABC[] = { "a", "b", "c" };

	(void)state;
	assert_true(setting_is_list(SETTING_ALLOW));
	assert_true(setting_is_list(SETTING_EXPOSE));
	assert_true(setting_is_list(SETTING_FORWARD));
	assert_false(setting_is_list(SETTING_LISTEN));
	write_file("config.json", "{\"allow\": [\"a\", \"b\", \"c\"], \"expose\": []}");
	assert_int_equal(load("--home", ".", NULL), 0);
	assert_list(SETTING_ALLOW, 3, ABC);
	assert_list(SETTING_EXPOSE, 0, NULL);
	assert_string_equal(s.at[SETTING_EXPOSE].source, "default");
	setenv("GODWIT_ALLOW", ",a,,b,c,", 1);
	assert_int_equal(load("--home", ".", NULL), 0);
	assert_list(SETTING_ALLOW, 3, ABC);
	assert_string_equal(s.at[SETTING_ALLOW].source, "environment GODWIT_ALLOW");
	assert_int_equal(load("--home", ".", "--allow", "a", "--allow=b", "--allow", "c", NULL), 0);
	assert_list(SETTING_ALLOW, 3, ABC);
	assert_int_equal(load("--home", ".", "--park", "1", "--park", "2", NULL), 0);
	assert_string_equal(setting_get(&s, SETTING_PARK), "2"); /* no list: the last one */
}

static void lists_are_limited(void **state)
{
	static char text[4 * SETTING_VALUES_MAX];

	(void)state;
	for (size_t i = 0; i < SETTING_VALUES_MAX; i++)
		strcat(text, "x,");
	setenv("GODWIT_ALLOW", text, 1);
	assert_int_equal(load("--home", ".", NULL), 0);
	assert_int_equal(s.at[SETTING_ALLOW].count, SETTING_VALUES_MAX);
	strcat(text, "x");
	setenv("GODWIT_ALLOW", text, 1);
	assert_int_equal(load("--home", ".", NULL), -1);
	assert_refused("more than 64 values of allow");
}

/* --- mistakes --- */

static void broken_files_are_explained(void **state)
{
	static const struct {
		const char *text, *message;
	} BAD[] = {
		{ "", "./config.json, line 1" },
		{ "{\"park\": \"1\",\n \"listen\" \"x\"}", "./config.json, line 2" },
		{ "{\"park\": \"1\"", "./config.json, line 1" },
		{ "{\"park\": \"1\", \"park\": \"2\"}", "duplicate object key" },
		{ "[\"park\"]", "no JSON object" },
		{ "{\"prak\": \"1\"}", "there is no setting \"prak\"" },
		{ "{\"home\": \"x\"}", "there is no setting \"home\"" },
		{ "{\"config\": \"x\"}", "there is no setting \"config\"" },
		{ "{\"park\": true}", "\"park\" needs a text" },
		{ "{\"park\": -1}", "not \"-1\" (file ./config.json)" },
		{ "{\"listen\": [\"x\"]}", "\"listen\" needs a text" },
		{ "{\"listen\": null}", "\"listen\" needs a text" },
		{ "{\"allow\": [\"a\", 1]}", "\"allow\" needs a list of texts" },
		{ "{\"allow\": {\"a\": \"b\"}}", "\"allow\" needs a list of texts" },
		{ "{\"park\": \"soon\"}", "not \"soon\" (file ./config.json)" },
		{ "{\"congestion\": \"reno\"}", "\"reno\" (file ./config.json)" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(BAD); i++) {
		write_file("config.json", BAD[i].text);
		assert_int_equal(load("--home", ".", NULL), -1);
		assert_refused(BAD[i].message);
	}
}

/* The one of the home may be absent, one that was asked for may not. */
static void missing_file_is_refused_when_asked_for(void **state)
{
	(void)state;
	assert_int_equal(load("--home", ".", NULL), 0);
	assert_int_equal(load("--home", ".", "--config", "other.json", NULL), -1);
	assert_refused("other.json");
	assert_non_null(strstr(f.message, "No such file"));
	assert_null(strstr(f.message, "line -1"));
}

static void values_out_of_bounds_name_their_source(void **state)
{
	(void)state;
	assert_int_equal(load("--home", ".", "--park", "-1", NULL), -1);
	assert_refused("not \"-1\" (flag --park)");
	assert_int_equal(load("--home", ".", "--park", "1e10", NULL), -1);
	assert_refused("flag --park");
	assert_int_equal(load("--home", ".", "--park", "0", NULL), 0);
	setenv("GODWIT_PARK", "never", 1);
	assert_int_equal(load("--home", ".", NULL), -1);
	assert_refused("(environment GODWIT_PARK)");
	unsetenv("GODWIT_PARK");
	assert_int_equal(load("--home", ".", "--udp-idle", "0", NULL), -1);
	assert_refused("not \"0\" (flag --udp-idle)");
	assert_int_equal(load("--home", ".", "--udp-idle", "0.5", NULL), 0);
	assert_int_equal(load("--home", ".", "--congestion", "", NULL), -1);
	assert_refused("flag --congestion");
}

#define KEY "ndlvvgabqkyqvn6vjp7nhslea45a5yls6pnkmizfv4bbu2hxa5iruh7a"

static void beacons_are_checked(void **state)
{
	static const char *const two[] = { KEY "@a", KEY "@[::1]:5/0" };

	(void)state;
	assert_int_equal(
		load("--home", ".", "--beacon", KEY "@a", "--beacon", KEY "@[::1]:5/0", NULL), 0);
	assert_list(SETTING_BEACON, 2, two);
	setenv("GODWIT_BEACON", " " KEY "@a,\t" KEY "@[::1]:5/0 ", 1);
	assert_int_equal(load("--home", ".", NULL), 0);
	assert_list(SETTING_BEACON, 2, two);
	setenv("GODWIT_BEACON", KEY "@a " KEY, 1);
	assert_int_equal(load("--home", ".", NULL), -1);
	assert_refused("(environment GODWIT_BEACON): it has no \"@HOST\"");
	assert_int_equal(load("--home", ".", "--beacon", KEY "@a", NULL), 0);
	unsetenv("GODWIT_BEACON");
	write_file("config.json", "{\"beacon\": [\"" KEY "@a\", \"" KEY "@[::1]:5/0\"]}");
	assert_int_equal(load("--home", ".", NULL), 0);
	assert_list(SETTING_BEACON, 2, two);
	write_file("config.json", "{\"beacon\": \"x@y\"}");
	assert_int_equal(load("--home", ".", NULL), -1);
	assert_refused("beacon \"x@y\" (file ./config.json)");
}

static void beacons_are_limited(void **state)
{
	const char *const b = KEY "@a";

	(void)state;
	assert_int_equal(load("--home", ".", "--beacon", b, "--beacon", b, "--beacon", b,
			      "--beacon", b, "--beacon", b, "--beacon", b, "--beacon", b,
			      "--beacon", b, NULL),
			 0);
	assert_int_equal(load("--home", ".", "--beacon", b, "--beacon", b, "--beacon", b,
			      "--beacon", b, "--beacon", b, "--beacon", b, "--beacon", b,
			      "--beacon", b, "--beacon", b, NULL),
			 -1);
	assert_refused("more than 8 beacons (flag --beacon)");
}

static void switches_are_yes_or_no(void **state)
{
	(void)state;
	assert_int_equal(load("--home", ".", "--relay-only", NULL), 0);
	assert_setting(SETTING_RELAY_ONLY, "yes", "flag --relay-only");
	assert_true(setting_is_on(&s, SETTING_RELAY_ONLY));
	setenv("GODWIT_RELAY_ONLY", "1", 1);
	assert_int_equal(load("--home", ".", NULL), 0);
	assert_true(setting_is_on(&s, SETTING_RELAY_ONLY));
	setenv("GODWIT_RELAY_ONLY", "perhaps", 1);
	assert_int_equal(load("--home", ".", NULL), -1);
	assert_refused("yes or no, not \"perhaps\" (environment GODWIT_RELAY_ONLY)");
	unsetenv("GODWIT_RELAY_ONLY");
	write_file("config.json", "{\"relay-only\": true}");
	assert_int_equal(load("--home", ".", NULL), 0);
	assert_true(setting_is_on(&s, SETTING_RELAY_ONLY));
	write_file("config.json", "{\"relay-only\": false}");
	assert_int_equal(load("--home", ".", NULL), 0);
	assert_false(setting_is_on(&s, SETTING_RELAY_ONLY));
}

static void sandbox_is_a_switch(void **state)
{
	(void)state;
	assert_int_equal(load("--home", ".", NULL), 0);
	assert_setting(SETTING_NO_SANDBOX, "no", "default");
	assert_int_equal(load("--home", ".", "--no-sandbox", NULL), 0);
	assert_setting(SETTING_NO_SANDBOX, "yes", "flag --no-sandbox");
	assert_true(setting_is_on(&s, SETTING_NO_SANDBOX));
	write_file("config.json", "{\"no-sandbox\": true}");
	assert_int_equal(load("--home", ".", NULL), 0);
	assert_true(setting_is_on(&s, SETTING_NO_SANDBOX));
	setenv("GODWIT_NO_SANDBOX", "no", 1);
	assert_int_equal(load("--home", ".", NULL), 0);
	assert_setting(SETTING_NO_SANDBOX, "no", "environment GODWIT_NO_SANDBOX");
	setenv("GODWIT_NO_SANDBOX", "never", 1);
	assert_int_equal(load("--home", ".", NULL), -1);
	assert_refused("no-sandbox is yes or no, not \"never\"");
}

static int enter_directory(void **state)
{
	(void)state;
	return mkdtemp(directory) && chdir(directory) == 0 ? 0 : -1;
}

static int leave_directory(void **state)
{
	(void)state;
	return chdir("..") == 0 && rmdir(directory) == 0 ? 0 : -1;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(nothing_said_gives_the_defaults),
		TEST(invites_are_not_shown),
		TEST(home_is_found),
		TEST(home_without_a_home_directory_is_of_the_user_database),
		TEST(impossible_homes_are_refused),
		TEST(flag_beats_environment_beats_file),
		TEST(file_is_of_the_home_or_as_said),
		TEST(lists_have_many_values),
		TEST(lists_are_limited),
		TEST(broken_files_are_explained),
		TEST(missing_file_is_refused_when_asked_for),
		TEST(values_out_of_bounds_name_their_source),
		TEST(beacons_are_checked),
		TEST(beacons_are_limited),
		TEST(switches_are_yes_or_no),
		TEST(sandbox_is_a_switch),
	};

	return cmocka_run_group_tests(tests, enter_directory, leave_directory);
}
