// SPDX-License-Identifier: Apache-2.0

#include "cli_files.h"

#include "cli/networks.h"
#include "cli/rules.h"

static const char ALICE[] = "ndlvvgabqkyqvn6vjp7nhslea45a5yls6pnkmizfv4bbu2hxa5iruh7a";

static struct home h;
static struct settings s;
static struct rules r;
static struct failure f;
static struct identity ca, other_ca;
static uint8_t alice[KEY_SIZE];

static void make_network(const char *label, const struct identity *key)
{
	struct wire_manifest m = { .sequence = 1, .issued = 1, .expires = 2 };
	struct home_network n;
	struct manifest signed_one;

	memcpy(m.network, key->key, KEY_SIZE);
	snprintf(m.name, sizeof(m.name), "%s", label);
	assert_int_equal(manifest_sign(&signed_one, &m, key), 0);
	assert_int_equal(home_network_begin(&n, &h, label, &f), 0);
	assert_int_equal(home_network_save_manifest(&n, &signed_one, &f), 0);
	assert_int_equal(home_network_commit(&n, &h, &f), 0);
	home_network_close(&n);
}

static int setup(void **state)
{
	(void)state;
	memset(&s, 0, sizeof(s));
	assert_int_equal(home_open(&h, "home", true, &f), 0);
	make_network("acme", &ca);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	rules_clear(&r);
	home_close(&h);
	run("rm -rf ./*");
	return 0;
}

static int parse(const char *text)
{
	char copy[1024];

	rules_clear(&r);
	snprintf(copy, sizeof(copy), "%s", text);
	return rules_parse(&r, &h, "P", copy, &f);
}

static void person_in(struct person *p, const uint8_t *network, const char *group)
{
	memset(p, 0, sizeof(*p));
	memset(p->key, 7, sizeof(p->key));
	if (!network)
		return;
	p->n_standings = 1;
	memcpy(p->standings[0].network, network, KEY_SIZE);
	if (group)
		snprintf(p->standings[0].groups[p->standings[0].n_groups++], GODWIT_GROUP_SIZE,
			 "%s", group);
}

/* --- whom --- */

static void test_who(void **state)
{
	static const struct {
		const char *text;
		enum who_kind kind;
		const char *shown;
	} CASES[] = {
		{ "any", WHO_ANY, "any" },
		{ "friend", WHO_KEY, ALICE },
		{ ALICE, WHO_KEY, ALICE },
		{ "network:acme", WHO_NETWORK, "network:acme" },
		{ "group:dev@acme", WHO_GROUP, "group:dev@acme" },
		{ "group:dev", WHO_GROUP, "group:dev@acme" },
	};
	char text[100], word[NETWORK_TEXT_SIZE];
	struct who w;

	(void)state;
	snprintf(text, sizeof(text), "friend %s\nsomeone db.acme\n", ALICE);
	write_file("home/names", text, 0600);
	for (size_t i = 0; i < COUNT(CASES); i++) {
		assert_int_equal(who_parse(&h, CASES[i].text, &w, &f), 0);
		assert_int_equal(w.kind, CASES[i].kind);
		assert_string_equal(w.text, CASES[i].shown);
	}
	network_format(ca.key, word);
	snprintf(text, sizeof(text), "network:%s", word);
	assert_int_equal(who_parse(&h, text, &w, &f), 0);
	assert_string_equal(w.text, "network:acme");
	assert_memory_equal(w.key, ca.key, KEY_SIZE);
}

static void test_who_refused(void **state)
{
	static const struct {
		const char *text, *message;
	} CASES[] = {
		{ "", "there is no name" },
		{ "nobody", "there is no name \"nobody\"" },
		{ "network:other", "no network \"other\"" },
		{ "group:dev@other", "no network \"other\"" },
		{ "group:Dev@acme", "is no group" },
		{ "group:@acme", "is no group" },
		{ "group:", "is no group" },
		{ "group:0123456789012345678901234567890123@acme", "is no group" },
		{ "db.acme", "cannot be about the name db.acme" },
		{ "db.other", "no network \"other\"" },
		{ "ndlvvgabqkyqvn6vjp7nhslea45a5yls6pnkmizfv4bbu2hxa5iruh7b", "checksum" },
	};
	struct who w;

	(void)state;
	for (size_t i = 0; i < COUNT(CASES); i++) {
		assert_int_equal(who_parse(&h, CASES[i].text, &w, &f), -1);
		assert_non_null(strstr(f.message, CASES[i].message));
		assert_int_equal(f.exit, EXIT_USAGE);
	}
	make_network("second", &other_ca);
	assert_int_equal(who_parse(&h, "group:dev", &w, &f), -1);
	assert_non_null(strstr(f.message, "2 networks: say which"));
	assert_non_null(strstr(f.hint, "group:dev@NETWORK"));
}

/* Told of elsewhere: nobody is its member, and rules about others hold. */
static void test_who_damaged_network(void **state)
{
	struct person p;
	struct who w;

	(void)state;
	write_file("home/networks/acme/manifest", "nonsense", 0600);
	assert_int_equal(who_parse(&h, "network:acme", &w, &f), 0);
	person_in(&p, ca.key, NULL);
	assert_false(who_includes(&w, &p));
}

static void test_includes(void **state)
{
	struct person p;
	struct who w;

	(void)state;
	person_in(&p, ca.key, "dev");
	assert_int_equal(who_parse(&h, "group:dev", &w, &f), 0);
	assert_true(who_includes(&w, &p));
	assert_int_equal(who_parse(&h, "group:ops", &w, &f), 0);
	assert_false(who_includes(&w, &p));
	assert_int_equal(who_parse(&h, "network:acme", &w, &f), 0);
	assert_true(who_includes(&w, &p));
	assert_int_equal(who_parse(&h, ALICE, &w, &f), 0);
	assert_false(who_includes(&w, &p));
	memcpy(p.key, alice, sizeof(p.key));
	assert_true(who_includes(&w, &p));
	person_in(&p, other_ca.key, "dev");
	assert_int_equal(who_parse(&h, "group:dev", &w, &f), 0);
	assert_false(who_includes(&w, &p));
}

static void test_assume(void **state)
{
	struct person p;
	struct who w;

	(void)state;
	person_in(&p, NULL, NULL);
	assert_int_equal(person_assume(&p, &h, "dev@acme", &f), 0);
	assert_int_equal(person_assume(&p, &h, "ops", &f), 0);
	assert_int_equal(p.n_standings, 1);
	assert_int_equal(who_parse(&h, "group:ops", &w, &f), 0);
	assert_true(who_includes(&w, &p));
	assert_int_equal(person_assume(&p, &h, "dev@nowhere", &f), -1);
	for (size_t i = 2; i < GODWIT_GROUPS_MAX; i++)
		assert_int_equal(person_assume(&p, &h, "dev", &f), 0);
	assert_int_equal(person_assume(&p, &h, "dev", &f), -1);
}

/* --- places --- */

static void test_place(void **state)
{
	char text[PLACE_TEXT_SIZE];
	struct place p;

	(void)state;
	write_file("home/names",
		   "box.godwit ndlvvgabqkyqvn6vjp7nhslea45a5yls6pnkmizfv4bbu2hxa5iruh7a\n"
		   "db Main.acme/pg\n",
		   0600);
	assert_int_equal(place_parse(&h, "box.godwit/ssh", "", &p, &f), 0);
	assert_string_equal(p.name, "");
	assert_memory_equal(p.ticket.key, alice, sizeof(alice));
	assert_string_equal(place_format(&p, text), ALICE);
	assert_int_equal(place_parse(&h, "db", "", &p, &f), 0);
	assert_string_equal(place_format(&p, text), "main.acme");
	assert_string_equal(p.ticket.service, "pg");
	assert_memory_equal(p.network, ca.key, KEY_SIZE);
	assert_int_equal(place_parse(&h, "db/other", "", &p, &f), 0);
	assert_string_equal(p.ticket.service, "other");
	assert_int_equal(place_parse(&h, "web.acme", NULL, &p, &f), 0);
	assert_string_equal(place_format(&p, text), "web.acme");
}

static void test_place_refused(void **state)
{
	static const struct {
		const char *text, *message;
	} CASES[] = {
		{ "web.acme", "names no service" },
		{ "web.other/pg", "no network \"other\"" },
		{ ".acme/pg", "there is no name \".acme\"" },
		{ "web./pg", "there is no name \"web.\"" },
		{ "a.b.acme/pg", "there is no name \"a.b.acme\"" },
		{ "-web.acme/pg", "there is no name" },
		{ "nobody/pg", "there is no name \"nobody\"" },
		{ "web.acme/0123456789012345678901234567890123456789012345678901234567890123456789",
		  "no name for a service" },
	};
	struct place p;

	(void)state;
	for (size_t i = 0; i < COUNT(CASES); i++) {
		assert_int_equal(place_parse(&h, CASES[i].text, "", &p, &f), -1);
		assert_non_null(strstr(f.message, CASES[i].message));
		assert_int_equal(f.exit, EXIT_USAGE);
	}
}

static void test_find_failures(void **state)
{
	static const struct {
		int error, exit;
		const char *message;
	} CASES[] = {
		{ GODWIT_E_NOT_FOUND, EXIT_UNREACHABLE, "no member of acme is called web" },
		{ GODWIT_E_AMBIGUOUS, EXIT_FAILED, "two members of acme claim the name web" },
		{ GODWIT_E_UNREACHABLE, EXIT_UNREACHABLE, "nobody can be asked for" },
		{ GODWIT_E_POLICY, EXIT_DENIED, "own policy" },
	};
	struct place p;

	(void)state;
	assert_int_equal(place_parse(&h, "web.acme", NULL, &p, &f), 0);
	for (size_t i = 0; i < COUNT(CASES); i++) {
		assert_int_equal(fail_find(&f, CASES[i].error, &p), -1);
		assert_int_equal(f.exit, CASES[i].exit);
		assert_non_null(strstr(f.message, CASES[i].message));
	}
}

/* --- the file --- */

static void test_parse(void **state)
{
	char text[RULE_TEXT_SIZE];

	(void)state;
	assert_int_equal(parse(""), 0);
	assert_int_equal(r.count, 0);
	assert_int_equal(parse("# a comment\n\n  \t\r\nallow pg any # and more\r\n"
			       "\tallow\t*  network:acme group:dev\ndial any"),
			 0);
	assert_int_equal(r.count, 4);
	assert_string_equal(rule_format(&r.list[0], text), "allow pg any");
	assert_string_equal(r.list[0].source, "P:4");
	assert_string_equal(rule_format(&r.list[1], text), "allow * network:acme");
	assert_string_equal(rule_format(&r.list[2], text), "allow * group:dev@acme");
	assert_string_equal(r.list[2].source, "P:5");
	assert_string_equal(rule_format(&r.list[3], text), "dial any");
	assert_string_equal(r.list[3].source, "P:6");
}

static void test_parse_refused(void **state)
{
	static const struct {
		const char *text, *message, *hint;
	} CASES[] = {
		{ "permit pg any", "P:1: there is no rule \"permit\"", "allow SERVICE WHO" },
		{ "\n\nallow", "P:3: it says no service", "allow SERVICE WHO" },
		{ "allow # pg any", "P:1: it says no service", "allow SERVICE WHO" },
		{ "allow pg", "P:1: it says not whom", "allow SERVICE WHO" },
		{ "dial", "P:1: it says not whom", "dial WHO" },
		{ "allow PG any", "P:1: \"PG\" is no name for a service", "every service" },
		{ "allow ** any", "P:1: \"**\" is no name for a service", "every service" },
		{ "allow pg any\nallow web nobody", "P:2: there is no name \"nobody\"", "names" },
		{ "dial network:elsewhere", "P:1: this home has no network \"elsewhere\"",
		  "network show" },
		{ "allow pg any group:Dev", "P:1: \"Dev\" is no group", "group:GROUP@NETWORK" },
		{ "allow pg db.acme", "P:1: a rule cannot be about the name db.acme",
		  "an address" },
		{ "Allow pg any", "P:1: there is no rule \"Allow\"", "allow SERVICE WHO" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(CASES); i++) {
		assert_int_equal(parse(CASES[i].text), -1);
		assert_non_null(strstr(f.message, CASES[i].message));
		assert_non_null(strstr(f.hint, CASES[i].hint));
		assert_int_equal(f.exit, EXIT_USAGE);
	}
}

static void set(enum setting which, const char *value)
{
	s.at[which].values[s.at[which].count++] = value;
	snprintf(s.at[which].source, sizeof(s.at[which].source), "flag --%s", setting_name(which));
}

static void test_read(void **state)
{
	char path[RULES_PATH_SIZE];

	(void)state;
	assert_int_equal(rules_read(&r, &h, &s, path, &f), 0);
	assert_string_equal(path, "");
	write_file("home/policy", "allow pg any\n", 0600);
	assert_int_equal(rules_read(&r, &h, &s, path, &f), 0);
	assert_string_equal(path, "home/policy");
	assert_string_equal(r.list[0].source, "home/policy:1");
	run("chmod 0622 home/policy");
	assert_int_equal(rules_read(&r, &h, &s, path, &f), -1);
	assert_non_null(strstr(f.message, "others may write home/policy"));
	run("rm home/policy && mkdir home/policy");
	assert_int_equal(rules_read(&r, &h, &s, path, &f), -1);
	assert_non_null(strstr(f.message, "no regular file"));
	run("rmdir home/policy && printf 'allow pg any\\n\\0dial any\\n' >home/policy");
	assert_int_equal(rules_read(&r, &h, &s, path, &f), -1);
	assert_non_null(strstr(f.message, "is no text"));
}

static void test_read_named(void **state)
{
	char path[RULES_PATH_SIZE];

	(void)state;
	write_file("home/policy", "nonsense\n", 0600);
	write_file("mine", "dial any\n", 0644);
	set(SETTING_POLICY, "mine");
	assert_int_equal(rules_read(&r, &h, &s, path, &f), 0);
	assert_string_equal(path, "mine");
	assert_true(r.list[0].dial);
	s.at[SETTING_POLICY].values[0] = "./home/../mine";
	assert_int_equal(rules_read(&r, &h, &s, path, &f), 0);
	s.at[SETTING_POLICY].values[0] = "nothing";
	assert_int_equal(rules_read(&r, &h, &s, path, &f), -1);
	assert_non_null(strstr(f.message, "there is no file nothing"));
	s.at[SETTING_POLICY].values[0] = "no/where";
	assert_int_equal(rules_read(&r, &h, &s, path, &f), -1);
	assert_non_null(strstr(f.message, "cannot read no/where"));
}

static void test_of_settings(void **state)
{
	char path[RULES_PATH_SIZE], text[RULE_TEXT_SIZE];

	(void)state;
	set(SETTING_ALLOW, "group:dev");
	set(SETTING_EXPOSE, "web=8080");
	write_file("home/kept.json",
		   "[{\"name\":\"pg\",\"target\":\"tcp:127.0.0.1:1\",\"allow\":[\"any\"]}]", 0600);
	write_file("home/policy", "dial any\n", 0600);
	assert_int_equal(rules_of_settings(&r, &h, &s, path, &f), 0);
	assert_int_equal(r.count, 4);
	assert_string_equal(rule_format(&r.list[0], text), "allow godwit-bench group:dev@acme");
	assert_string_equal(rule_format(&r.list[1], text), "allow web group:dev@acme");
	assert_string_equal(r.list[1].source, "flag --allow");
	assert_string_equal(rule_format(&r.list[2], text), "allow pg any");
	assert_string_equal(r.list[2].source, "kept");
	assert_string_equal(rule_format(&r.list[3], text), "dial any");
}

/* --- decisions --- */

static void test_decide(void **state)
{
	static const struct {
		const char *rules, *group; /* of who asks; "": a stranger */
		bool dial;
		const char *service;
		enum verdict verdict;
		const char *rule;
	} CASES[] = {
		{ "", "", false, "pg", VERDICT_DENIED, NULL },
		{ "", "", true, "", VERDICT_OPEN, NULL },
		{ "dial network:acme", "", true, "", VERDICT_DENIED, NULL },
		{ "dial network:acme", "dev", true, "", VERDICT_ALLOWED, "dial network:acme" },
		{ "dial any", "", false, "pg", VERDICT_DENIED, NULL },
		{ "allow pg any", "", true, "", VERDICT_OPEN, NULL },
		{ "allow pg any", "", false, "web", VERDICT_DENIED, NULL },
		{ "allow * any\nallow pg network:acme\nallow * group:dev", "dev", false, "pg",
		  VERDICT_ALLOWED, "allow * group:dev@acme" },
		{ "allow * any\nallow pg any", "", false, "pg", VERDICT_ALLOWED, "allow pg any" },
		{ "allow pg group:dev", "ops", false, "pg", VERDICT_DENIED, NULL },
		{ "allow pg group:dev", "dev", false, BENCH_SERVICE, VERDICT_ALLOWED,
		  "allow pg group:dev@acme" },
	};
	char text[RULE_TEXT_SIZE];
	const struct rule *which;
	struct person p;

	(void)state;
	for (size_t i = 0; i < COUNT(CASES); i++) {
		assert_int_equal(parse(CASES[i].rules), 0);
		person_in(&p, *CASES[i].group ? ca.key : NULL, CASES[i].group);
		assert_int_equal(rules_decide(&r, CASES[i].dial, CASES[i].service, &p, &which),
				 CASES[i].verdict);
		assert_int_equal(which != NULL, CASES[i].rule != NULL);
		if (which)
			assert_string_equal(rule_format(which, text), CASES[i].rule);
	}
}

static void test_describe(void **state)
{
	struct person p;
	json_t *j;

	(void)state;
	assert_int_equal(parse("allow pg group:dev\ndial any"), 0);
	j = policy_describe(&r, "P", false);
	assert_int_equal(json_array_size(json_object_get(j, "rules")), 2);
	assert_string_equal(json_string_value(json_object_get(j, "dial")), "listed");
	json_decref(j);
	person_in(&p, ca.key, "dev");
	snprintf(p.standings[0].label, sizeof(p.standings[0].label), "acme");
	j = policy_decide(&r, false, "pg", &p, true);
	assert_true(json_is_true(json_object_get(j, "allowed")));
	assert_string_equal(json_string_value(json_object_get(j, "source")), "P:1");
	assert_true(json_is_null(json_object_get(j, "why")));
	json_decref(j);
	j = policy_decide(&r, false, "web", &p, true);
	assert_true(json_is_false(json_object_get(j, "allowed")));
	assert_string_equal(json_string_value(json_object_get(j, "why")), "no rule allows it");
	json_decref(j);
}

static int prepare(void **state)
{
	if (enter_directory(state) < 0 || godwit_address_parse(ALICE, alice) < 0)
		return -1;
	identity_generate(&ca);
	identity_generate(&other_ca);
	return 0;
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_who),           TEST(test_who_refused),   TEST(test_who_damaged_network),
		TEST(test_includes),      TEST(test_assume),        TEST(test_place),
		TEST(test_place_refused), TEST(test_find_failures), TEST(test_parse),
		TEST(test_parse_refused), TEST(test_read),          TEST(test_read_named),
		TEST(test_of_settings),   TEST(test_decide),        TEST(test_describe),
	};

	return cmocka_run_group_tests(tests, prepare, leave_directory);
}
