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
#include <sys/stat.h>
#include <unistd.h>

#include "cli/audit_log.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static char directory[] = "cli_audit.XXXXXX";
static struct audit_log *audit;
static struct rules rules;
static struct failure f;
static godwit_event e;

static int setup(void **state)
{
	(void)state;
	memset(&e, 0, sizeof(e));
	e.type = GODWIT_EVENT_AUDIT;
	assert_int_equal(audit_log_open(&audit, "log", &f), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	audit_log_close(audit);
	audit = NULL;
	rules_clear(&rules);
	return system("rm -rf ./*");
}

static off_t size_of(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 ? st.st_size : -1;
}

static void write_one(const char *why)
{
	json_t *entry = json_pack("{s:s}", "why", why);

	audit_log_write(audit, entry);
	json_decref(entry);
}

/* --- entries --- */

static void expect(const char *person_name, size_t lost, const char *text)
{
	struct person person = { 0 };
	json_t *j;
	char *got;

	if (person_name) {
		person.n_standings = 1;
		snprintf(person.standings[0].label, GODWIT_NAME_SIZE, "acme");
		snprintf(person.standings[0].name, GODWIT_NAME_SIZE, "%s", person_name);
		memcpy(person.key, e.key, sizeof(person.key));
	}
	j = audit_log_format(&e, person_name ? &person : NULL, &rules, 1796030249042, lost);
	got = json_dumps(j, JSON_COMPACT);
	assert_string_equal(got, text);
	free(got);
	json_decref(j);
}

static void test_refused_stranger(void **state)
{
	(void)state;
	e.audit.what = GODWIT_AUDIT_KNOCK;
	e.audit.why = "it is of another time";
	snprintf(e.endpoint, sizeof(e.endpoint), "192.0.2.1:7");
	expect(NULL, 3,
	       "{\"v\":1,\"time\":\"2026-11-30T09:17:29.042Z\",\"event\":\"knock\",\"decision\":"
	       "\"deny\","
	       "\"who\":null,\"name\":null,\"service\":null,\"path\":{\"kind\":\"direct\","
	       "\"endpoint\":"
	       "\"192.0.2.1:7\"},\"rule\":null,\"why\":\"it is of another time\",\"tx_bytes\":null,"
	       "\"rx_bytes\":null,\"lost\":3}");
}

static void test_open_names_its_rule(void **state)
{
	struct rule rule = { .service = "pg", .who = { .kind = WHO_ANY, .text = "any" } };

	(void)state;
	assert_int_equal(rules_add(&rules, &rule, &f), 0);
	e.audit = (godwit_audit){
		.what = GODWIT_AUDIT_OPEN, .allowed = true, .key_known = true, .service = "pg"
	};
	assert_int_equal(godwit_address_parse(
				 "ndlvvgabqkyqvn6vjp7nhslea45a5yls6pnkmizfv4bbu2hxa5iruh7a", e.key),
			 0);
	e.relayed = true;
	snprintf(e.relay, sizeof(e.relay), "eu1:4443");
	expect("db", 0,
	       "{\"v\":1,\"time\":\"2026-11-30T09:17:29.042Z\",\"event\":\"open\",\"decision\":"
	       "\"allow\","
	       "\"who\":\"ndlvvgabqkyqvn6vjp7nhslea45a5yls6pnkmizfv4bbu2hxa5iruh7a\",\"name\":"
	       "\"db.acme\",\"service\":\"pg\",\"path\":{\"kind\":\"relay\",\"via\":\"eu1:4443\"},"
	       "\"rule\":\"allow pg "
	       "any\",\"why\":null,\"tx_bytes\":null,\"rx_bytes\":null,\"lost\":0}");
}

static void test_end_counts(void **state)
{
	(void)state;
	e.audit = (godwit_audit){ .what = GODWIT_AUDIT_END,
				  .allowed = true,
				  .service = "pg",
				  .tx_bytes = 5,
				  .rx_bytes = 7,
				  .why = "the policy forbids it" };
	expect(NULL, 0,
	       "{\"v\":1,\"time\":\"2026-11-30T09:17:29.042Z\",\"event\":\"end\",\"decision\":"
	       "\"allow\","
	       "\"who\":null,\"name\":null,\"service\":\"pg\",\"path\":null,\"rule\":null,\"why\":"
	       "\"the policy forbids it\",\"tx_bytes\":5,\"rx_bytes\":7,\"lost\":0}");
}

static void test_names_of_events(void **state)
{
	static const char *const NAMES[] = {
		[GODWIT_AUDIT_KNOCK] = "knock",       [GODWIT_AUDIT_CERTIFICATE] = "certificate",
		[GODWIT_AUDIT_MANIFEST] = "manifest", [GODWIT_AUDIT_OPEN] = "open",
		[GODWIT_AUDIT_END] = "end",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(NAMES); i++) {
		json_t *j;

		e.audit.what = (godwit_audit_what)i;
		j = audit_log_format(&e, NULL, &rules, 0, 0);
		assert_string_equal(json_string_value(json_object_get(j, "event")), NAMES[i]);
		json_decref(j);
	}
}

/* --- the rate of refused knocks --- */

static void test_rate(void **state)
{
	size_t lost = 99, admitted = 0;

	(void)state;
	e.audit.what = GODWIT_AUDIT_KNOCK;
	for (int i = 0; i < 50; i++)
		admitted += audit_log_admits(audit, &e, 5000, &lost);
	assert_int_equal(admitted, AUDIT_KNOCKS_A_SECOND);
	assert_int_equal(lost, 0);
	/* Others are told all the same, with what was left out before. */
	e.audit.what = GODWIT_AUDIT_OPEN;
	e.audit.lost = 2;
	assert_true(audit_log_admits(audit, &e, 5999, &lost));
	assert_int_equal(lost, 50 - AUDIT_KNOCKS_A_SECOND + 2);
	e.audit.what = GODWIT_AUDIT_KNOCK;
	e.audit.lost = 0;
	assert_false(audit_log_admits(audit, &e, 5999, &lost));
	assert_true(audit_log_admits(audit, &e, 6000, &lost));
	assert_int_equal(lost, 1);
}

/* Strangers show chains in knocks, too. */
static void test_rate_of_certificates(void **state)
{
	size_t lost, admitted = 0;

	(void)state;
	for (int i = 0; i < 50; i++) {
		e.audit.what = i % 2 ? GODWIT_AUDIT_KNOCK : GODWIT_AUDIT_CERTIFICATE;
		admitted += audit_log_admits(audit, &e, 5000, &lost);
	}
	assert_int_equal(admitted, AUDIT_KNOCKS_A_SECOND);
}

/* --- the file --- */

static void test_file(void **state)
{
	struct stat st;

	(void)state;
	write_one("a");
	write_one("b");
	assert_int_equal(size_of("log"), 2 * strlen("{\"why\":\"a\"}\n"));
	assert_int_equal(lstat("log", &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	audit_log_close(audit);
	assert_int_equal(audit_log_open(&audit, "log", &f), 0);
	write_one("c");
	assert_int_equal(size_of("log"), 3 * strlen("{\"why\":\"a\"}\n"));
}

static void test_rotation(void **state)
{
	(void)state;
	assert_int_equal(truncate("log", AUDIT_FILE_MAX - 5), 0);
	audit_log_close(audit);
	assert_int_equal(audit_log_open(&audit, "log", &f), 0);
	write_one("a");
	assert_int_equal(size_of("log.1"), AUDIT_FILE_MAX - 5);
	assert_int_equal(size_of("log"), strlen("{\"why\":\"a\"}\n"));
	assert_int_equal(truncate("log", AUDIT_FILE_MAX - 1), 0);
	audit_log_close(audit);
	assert_int_equal(audit_log_open(&audit, "log", &f), 0);
	write_one("b");
	assert_int_equal(size_of("log.1"), AUDIT_FILE_MAX - 1);
	assert_int_equal(size_of("log"), strlen("{\"why\":\"a\"}\n"));
}

/* Told once; it works again as soon as it can. */
static void test_write_errors(void **state)
{
	int kept, told;

	(void)state;
	assert_int_equal(truncate("log", AUDIT_FILE_MAX), 0);
	audit_log_close(audit);
	assert_int_equal(audit_log_open(&audit, "log", &f), 0);
	fflush(stderr);
	kept = dup(STDERR_FILENO);
	told = open("told", O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	assert_true(kept >= 0 && told >= 0 && dup2(told, STDERR_FILENO) >= 0);
	assert_int_equal(rename("log", "away"), 0);
	assert_int_equal(mkdir("log", 0700), 0); /* rotates the directory away, which is fine ... */
	write_one("a");
	assert_int_equal(size_of("log"), strlen("{\"why\":\"a\"}\n"));
	assert_int_equal(size_of("told"), 0);
	audit_log_close(audit);
	assert_int_equal(rename("log", "away"), 0);
	assert_int_equal(symlink("elsewhere", "log"), 0);
	assert_int_equal(audit_log_open(&audit, "log", &f), -1); /* ... and no link is followed */
	assert_int_equal(unlink("log"), 0);
	assert_int_equal(audit_log_open(&audit, "log", &f), 0);
	dup2(kept, STDERR_FILENO);
	close(kept);
	close(told);
}

static void test_full_disk(void **state)
{
	int kept, told;

	(void)state;
	audit_log_close(audit);
	if (audit_log_open(&audit, "/dev/full", &f) < 0) {
		audit = NULL;
		skip();
	}
	fflush(stderr);
	kept = dup(STDERR_FILENO);
	told = open("told", O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	assert_true(kept >= 0 && told >= 0 && dup2(told, STDERR_FILENO) >= 0);
	write_one("a");
	assert_true(size_of("told") > 0);
	assert_int_equal(truncate("told", 0), 0);
	write_one("b");
	assert_int_equal(size_of("told"), 0);
	dup2(kept, STDERR_FILENO);
	close(kept);
	close(told);
}

static void test_open_failure(void **state)
{
	struct audit_log *other;

	(void)state;
	assert_int_equal(audit_log_open(&other, "no/where", &f), -1);
	assert_non_null(strstr(f.message, "audit log no/where"));
	assert_non_null(strstr(f.hint, "--audit none"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_refused_stranger),
		TEST(test_open_names_its_rule),
		TEST(test_end_counts),
		TEST(test_names_of_events),
		TEST(test_rate),
		TEST(test_rate_of_certificates),
		TEST(test_file),
		TEST(test_rotation),
		TEST(test_write_errors),
		TEST(test_full_disk),
		TEST(test_open_failure),
	};
	int rv;

	if (!mkdtemp(directory) || chdir(directory) != 0)
		return 1;
	rv = cmocka_run_group_tests(tests, NULL, NULL);
	if (chdir("..") == 0)
		rmdir(directory);
	return rv;
}
