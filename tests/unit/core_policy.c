/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/core_policy.c - who may use which service. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/policy.h"

static const uint8_t ANN[KEY_SIZE] = { 1 }, BOB[KEY_SIZE] = { 2 };
/* differs from ANN in the last byte only */
static const uint8_t EVE[KEY_SIZE] = { 1, [KEY_SIZE - 1] = 1 };

static int setup(void **state)
{
	static struct policy policy;

	assert_int_equal(policy_init(&policy), 0);
	*state = &policy;
	return 0;
}

static int teardown(void **state)
{
	policy_clear(*state);
	return 0;
}

static void test_nothing_is_allowed(void **state)
{
	struct policy *p = *state;

	assert_false(policy_welcomes(p, ANN));
	assert_false(policy_allows(p, "web", ANN));
	assert_int_equal(policy_listen(p, "web", false, GW_NEVER), 0); /* offered is not allowed */
	assert_false(policy_welcomes(p, ANN));
	assert_false(policy_allows(p, "web", ANN));
}

/* Rules in a row, and then what they let ANN, BOB and EVE do. */
enum action { END, ALLOW, DISALLOW, LISTEN, UNLISTEN };

struct rule {
	enum action action;
	const char *service;
	const uint8_t *key;
};

static const struct {
	const char *name;
	struct {
		unsigned web, ssh, anything;
	} who; /* may use: 1 ANN, 2 BOB, 4 EVE */
	struct rule rules[5];
} cases[] = {
	{ "one key, one service", { 1, 0, 1 }, { { ALLOW, "web", ANN } } },
	{ "any key, one service", { 7, 0, 7 }, { { ALLOW, "web", NULL } } },
	{ "one key, every service", { 2, 2, 2 }, { { ALLOW, NULL, BOB } } },
	{ "any key, every service", { 7, 7, 7 }, { { ALLOW, NULL, NULL } } },
	{ "two services", { 1, 2, 3 }, { { ALLOW, "web", ANN }, { ALLOW, "ssh", BOB } } },
	{ "not as any other service",
	  { 0, 0, 3 },
	  { { ALLOW, "we", ANN }, { ALLOW, "web2", BOB } } },
	{ "taken back", { 0, 0, 0 }, { { ALLOW, "web", ANN }, { DISALLOW, "web", ANN } } },
	{ "taken back from another",
	  { 1, 0, 1 },
	  { { ALLOW, "web", ANN }, { DISALLOW, "web", EVE }, { DISALLOW, "ssh", ANN } } },
	{ "taken back from the first of three",
	  { 6, 0, 6 },
	  { { ALLOW, "web", ANN },
	    { ALLOW, "web", BOB },
	    { ALLOW, "web", EVE },
	    { DISALLOW, "web", ANN } } },
	{ "taken back from the last of three",
	  { 3, 0, 3 },
	  { { ALLOW, "web", ANN },
	    { ALLOW, "web", BOB },
	    { ALLOW, "web", EVE },
	    { DISALLOW, "web", EVE } } },
	{ "allowed twice, taken back once",
	  { 0, 0, 0 },
	  { { ALLOW, "web", ANN }, { ALLOW, "web", ANN }, { DISALLOW, "web", ANN } } },
	{ "taking a key back leaves any",
	  { 7, 0, 7 },
	  { { ALLOW, "web", NULL }, { ALLOW, "web", ANN }, { DISALLOW, "web", ANN } } },
	{ "taking any back leaves the keys",
	  { 1, 0, 1 },
	  { { ALLOW, "web", NULL }, { ALLOW, "web", ANN }, { DISALLOW, "web", NULL } } },
	{ "taking every service back leaves the one",
	  { 1, 0, 1 },
	  { { ALLOW, NULL, ANN }, { ALLOW, "web", ANN }, { DISALLOW, NULL, ANN } } },
	{ "taking one service back leaves every",
	  { 1, 1, 1 },
	  { { ALLOW, NULL, ANN }, { DISALLOW, "web", ANN } } },
	{ "every service, any key, taken back",
	  { 0, 0, 0 },
	  { { ALLOW, NULL, NULL }, { DISALLOW, NULL, NULL } } },
	{ "the end of a service leaves its rule",
	  { 1, 0, 1 },
	  { { ALLOW, "web", ANN }, { LISTEN, "web", NULL }, { UNLISTEN, "web", NULL } } },
	{ "unknown names change nothing",
	  { 1, 0, 1 },
	  { { ALLOW, "web", ANN }, { UNLISTEN, "ssh", NULL }, { DISALLOW, "ssh", NULL } } },
};

static void apply(struct policy *p, const struct rule *r)
{
	switch (r->action) {
	case END:
		break;
	case ALLOW:
		assert_int_equal(policy_allow(p, r->service, r->key), 0);
		break;
	case DISALLOW:
		policy_disallow(p, r->service, r->key);
		break;
	case LISTEN:
		assert_int_equal(policy_listen(p, r->service, false, GW_NEVER), 0);
		break;
	case UNLISTEN:
		policy_unlisten(p, r->service);
		break;
	}
}

static void test_rules(void **state)
{
	static const uint8_t *const KEYS[] = { ANN, BOB, EVE };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct policy p;

		print_message("\t%s\n", cases[i].name);
		assert_int_equal(policy_init(&p), 0);
		for (const struct rule *r = cases[i].rules; r->action != END; r++)
			apply(&p, r);
		for (unsigned k = 0; k < 3; k++) {
			assert_int_equal(policy_allows(&p, "web", KEYS[k]),
					 cases[i].who.web >> k & 1);
			assert_int_equal(policy_allows(&p, "ssh", KEYS[k]),
					 cases[i].who.ssh >> k & 1);
			assert_int_equal(policy_welcomes(&p, KEYS[k]),
					 cases[i].who.anything >> k & 1);
		}
		policy_clear(&p);
	}
}

static void test_listen(void **state)
{
	struct policy *p = *state;

	assert_null(policy_find(p, "web"));
	assert_int_equal(policy_listen(p, "web", false, 5 * GW_SEC), 0);
	assert_int_equal(policy_listen(p, "web", false, GW_SEC), GW_E_EXISTS);
	assert_non_null(policy_find(p, "web"));
	assert_true(policy_find(p, "web")->listening);
	assert_int_equal(policy_find(p, "web")->park_timeout, 5 * GW_SEC);
	assert_null(policy_find(p, "we"));
	assert_null(policy_find(p, "webs"));

	policy_unlisten(p, "web");
	policy_unlisten(p, "web");
	assert_null(policy_find(p, "web"));
	assert_int_equal(policy_listen(p, "web", false, 7 * GW_SEC), 0); /* as if new */
	assert_int_equal(policy_find(p, "web")->park_timeout, 7 * GW_SEC);
}

/* A rule made before the service is offered is the same entry. */
static void test_rule_first(void **state)
{
	struct policy *p = *state;

	assert_int_equal(policy_allow(p, "web", ANN), 0);
	assert_false(policy_find(p, "web")->listening);
	assert_int_equal(policy_listen(p, "web", false, 0), 0);
	assert_int_equal(policy_find(p, "web")->park_timeout, 0);
	assert_true(policy_allows(p, "web", ANN));
	policy_disallow(p, "web", ANN);
	assert_true(policy_find(p, "web")->listening);
	policy_unlisten(p, "web");
	assert_null(policy_find(p, "web")); /* says nothing any more */
}

static void test_bad_names(void **state)
{
	static const char *const BAD[] = { "Web", "-web", ".", "a/b", "a b", "w\xc3\xa9" };
	char name[SERVICE_NAME_MAX + 2];
	struct policy *p = *state;

	for (size_t i = 0; i < sizeof(BAD) / sizeof(*BAD); i++) {
		print_message("\t\"%s\"\n", BAD[i]);
		assert_int_equal(policy_listen(p, BAD[i], false, GW_NEVER), GW_E_INVALID);
		assert_int_equal(policy_allow(p, BAD[i], ANN), GW_E_INVALID);
		assert_int_equal(policy_allow(p, BAD[i], NULL), GW_E_INVALID);
		assert_false(policy_welcomes(p, ANN));
	}
	assert_int_equal(policy_listen(p, NULL, false, GW_NEVER), GW_E_INVALID);
	memset(name, 'x', sizeof(name));
	name[SERVICE_NAME_MAX + 1] = '\0';
	assert_int_equal(policy_listen(p, name, false, GW_NEVER), GW_E_INVALID);
	name[SERVICE_NAME_MAX] = '\0';
	assert_int_equal(policy_listen(p, name, false, GW_NEVER), 0);
	assert_string_equal(policy_find(p, name)->name, name);
}

/* "" must not be taken for NULL, which is every service. */
static void test_empty_name(void **state)
{
	struct policy *p = *state;

	assert_int_equal(policy_listen(p, "", false, GW_NEVER), GW_E_INVALID);
	assert_int_equal(policy_allow(p, "", ANN), GW_E_INVALID);
	assert_false(policy_allows(p, "web", ANN));
	assert_int_equal(policy_allow(p, NULL, BOB), 0);
	policy_disallow(p, "", BOB);
	assert_true(policy_allows(p, "web", BOB));
}

static void test_too_many_services(void **state)
{
	struct policy *p = *state;
	char name[16];
	int made = 0, error;

	for (error = 0; made <= SERVICES_MAX; made++) {
		snprintf(name, sizeof(name), "s%d", made);
		error = made % 2 ? policy_listen(p, name, false, GW_NEVER)
				 : policy_allow(p, name, ANN);
		if (error)
			break;
	}
	assert_int_equal(error, GW_E_LIMIT);
	assert_int_equal(made, SERVICES_MAX - 1); /* one is the rule for every service */
	assert_null(policy_find(p, name));
	assert_int_equal(policy_allow(p, NULL, BOB), 0);
	assert_int_equal(policy_allow(p, "s1", BOB), 0);

	policy_unlisten(p, "s3");
	policy_disallow(p, "s4", ANN);
	assert_int_equal(policy_listen(p, "new1", false, GW_NEVER), 0);
	assert_int_equal(policy_allow(p, "new2", ANN), 0);
	assert_int_equal(policy_allow(p, "new3", ANN), GW_E_LIMIT);
	assert_true(policy_find(p, "s5")->listening);
	assert_true(policy_allows(p, "s6", ANN));
	assert_false(policy_allows(p, "s5", ANN));
}

static void test_too_many_keys(void **state)
{
	enum { KEYS = 65536 };
	struct policy *p = *state;
	struct service *s;

	assert_int_equal(policy_allow(p, "web", NULL), 0);
	s = policy_find(p, "web");
	s->keys = calloc(KEYS, KEY_SIZE);
	assert_non_null(s->keys);
	for (uint32_t i = 0; i < KEYS; i++)
		memcpy(s->keys[i] + 8, &i, sizeof(i));
	s->n_keys = KEYS;
	policy_disallow(p, "web", NULL);

	assert_int_equal(policy_allow(p, "web", ANN), GW_E_LIMIT);
	assert_false(policy_allows(p, "web", ANN));
	assert_int_equal(policy_allow(p, "web", s->keys[KEYS / 2]), 0); /* is there already */
	policy_disallow(p, "web", s->keys[KEYS - 1]);
	assert_int_equal(policy_allow(p, "web", ANN), 0);
	assert_true(policy_allows(p, "web", ANN));
	assert_int_equal(policy_allow(p, "web", BOB), GW_E_LIMIT);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_nothing_is_allowed), TEST(test_rules),         TEST(test_listen),
		TEST(test_rule_first),         TEST(test_bad_names),     TEST(test_empty_name),
		TEST(test_too_many_services),  TEST(test_too_many_keys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
