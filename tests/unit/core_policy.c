/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/core_policy.c - who may use which service, and who may be dialled. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "core/policy.h"

/* --- the allocator --- */

static int allocations_left = -1; /* -1: any number */

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);

void *__wrap_calloc(size_t n, size_t size)
{
	if (allocations_left == 0)
		return NULL;
	if (allocations_left > 0)
		allocations_left--;
	return __real_calloc(n, size);
}

/* --- who there is --- */

static const uint8_t ANN[KEY_SIZE] = { 1 }, BOB[KEY_SIZE] = { 2 };
/* differs from ANN in the last byte only */
static const uint8_t EVE[KEY_SIZE] = { 1, [KEY_SIZE - 1] = 1 };
static const uint8_t CAT[KEY_SIZE] = { 3 }, DAN[KEY_SIZE] = { 4 };
static const uint8_t HOME[KEY_SIZE] = { 8 }, WORK[KEY_SIZE] = { 9 };

static const struct member CAT_AT_HOME = {
	.network = { 8 }, .key = { 3 }, .n_groups = 2, .groups = { "ops", "web" }
};
static const struct member DAN_AT_HOME = { .network = { 8 }, .key = { 4 } };
static const struct member DAN_AT_WORK = {
	.network = { 9 }, .key = { 4 }, .n_groups = 1, .groups = { "ops" }
};

static const struct principal WHO[] = {
	{ .key = ANN },
	{ .key = BOB },
	{ .key = EVE },
	{ .key = CAT, .n_members = 1, .members = { &CAT_AT_HOME } },
	{ .key = DAN, .n_members = 2, .members = { &DAN_AT_HOME, &DAN_AT_WORK } },
};

enum { N_WHO = sizeof(WHO) / sizeof(*WHO), A = 1, B = 2, E = 4, C = 8, D = 16, ALL = 31 };

static struct subject subject(enum subject_kind kind, const uint8_t *key, const char *group)
{
	struct subject s = { .kind = kind };

	if (key)
		memcpy(s.key, key, KEY_SIZE);
	if (group)
		memcpy(s.group, group, strlen(group) + 1);
	return s;
}

static int setup(void **state)
{
	static struct policy policy;

	policy_init(&policy, 7);
	*state = &policy;
	return 0;
}

static int teardown(void **state)
{
	allocations_left = -1;
	policy_clear(*state);
	return 0;
}

/* Bits of WHO. */
static unsigned who_allowed(const struct policy *p, const char *service)
{
	unsigned bits = 0;

	for (unsigned i = 0; i < N_WHO; i++)
		bits |= (unsigned)policy_allows(p, service, &WHO[i]) << i;
	return bits;
}

static unsigned who_welcome(const struct policy *p)
{
	unsigned bits = 0;

	for (unsigned i = 0; i < N_WHO; i++)
		bits |= (unsigned)policy_welcomes(p, &WHO[i]) << i;
	return bits;
}

static unsigned who_dialled(const struct policy *p)
{
	unsigned bits = 0;

	for (unsigned i = 0; i < N_WHO; i++)
		bits |= (unsigned)policy_may_dial(p, &WHO[i]) << i;
	return bits;
}

static void allow_key(struct policy *p, const char *service, const uint8_t *key)
{
	struct subject s = subject(SUBJECT_KEY, key, NULL);

	assert_int_equal(policy_allow(p, service, &s), 0);
}

static void test_nothing_is_allowed(void **state)
{
	struct policy *p = *state;

	assert_int_equal(who_welcome(p), 0);
	assert_int_equal(who_allowed(p, "web"), 0);
	assert_int_equal(policy_listen(p, "web", false, GW_NEVER), 0); /* offered is not allowed */
	assert_int_equal(who_welcome(p), 0);
	assert_int_equal(who_allowed(p, "web"), 0);
	assert_int_equal(who_allowed(p, NULL), 0);
	assert_int_equal(who_dialled(p), ALL); /* no rule about that at all */
}

/* --- in --- */

/* Rules in a row, and then whom they let do what. */
enum action { END, ALLOW, DISALLOW, LISTEN, UNLISTEN };

#define ANY SUBJECT_ANY, NULL, NULL
#define KEY(key) SUBJECT_KEY, key, NULL
#define NETWORK(network) SUBJECT_NETWORK, network, NULL
#define GROUP(network, group) SUBJECT_GROUP, network, group

struct rule {
	enum action action;
	const char *service;
	enum subject_kind kind;
	const uint8_t *key;
	const char *group;
};

static const struct {
	const char *name;
	unsigned web, ssh, anything; /* who may use it */
	struct rule rules[5];
} cases[] = {
	{ "one key, one service", A, 0, A, { { ALLOW, "web", KEY(ANN) } } },
	{ "any key, one service", ALL, 0, ALL, { { ALLOW, "web", ANY } } },
	{ "one key, every service", B, B, B, { { ALLOW, NULL, KEY(BOB) } } },
	{ "any key, every service", ALL, ALL, ALL, { { ALLOW, NULL, ANY } } },
	{ "two services", A, B, A | B, { { ALLOW, "web", KEY(ANN) }, { ALLOW, "ssh", KEY(BOB) } } },
	{ "not as any other service",
	  0,
	  0,
	  A | B,
	  { { ALLOW, "we", KEY(ANN) }, { ALLOW, "web2", KEY(BOB) } } },
	{ "a network", C | D, 0, C | D, { { ALLOW, "web", NETWORK(HOME) } } },
	{ "another network", D, D, D, { { ALLOW, NULL, NETWORK(WORK) } } },
	{ "a group", C, 0, C, { { ALLOW, "web", GROUP(HOME, "ops") } } },
	{ "the second group", C, 0, C, { { ALLOW, "web", GROUP(HOME, "web") } } },
	{ "the same group elsewhere", 0, D, D, { { ALLOW, "ssh", GROUP(WORK, "ops") } } },
	{ "no such group", 0, 0, 0, { { ALLOW, NULL, GROUP(HOME, "op") } } },
	{ "a network is not its key", 0, 0, 0, { { ALLOW, NULL, NETWORK(ANN) } } },
	{ "a key is not its network", 0, 0, 0, { { ALLOW, NULL, KEY(HOME) } } },
	{ "a member by its key", C, 0, C, { { ALLOW, "web", KEY(CAT) } } },
	{ "group and network",
	  C,
	  C | D,
	  C | D,
	  { { ALLOW, "web", GROUP(HOME, "ops") }, { ALLOW, "ssh", NETWORK(HOME) } } },
	{ "the group taken back leaves the network",
	  C | D,
	  0,
	  C | D,
	  { { ALLOW, "web", GROUP(HOME, "ops") },
	    { ALLOW, "web", NETWORK(HOME) },
	    { DISALLOW, "web", GROUP(HOME, "ops") } } },
	{ "the network taken back leaves the group",
	  C,
	  0,
	  C,
	  { { ALLOW, "web", GROUP(HOME, "ops") },
	    { ALLOW, "web", NETWORK(HOME) },
	    { DISALLOW, "web", NETWORK(HOME) } } },
	{ "taken back", 0, 0, 0, { { ALLOW, "web", KEY(ANN) }, { DISALLOW, "web", KEY(ANN) } } },
	{ "taken back from another",
	  A,
	  0,
	  A,
	  { { ALLOW, "web", KEY(ANN) },
	    { DISALLOW, "web", KEY(EVE) },
	    { DISALLOW, "ssh", KEY(ANN) },
	    { DISALLOW, NULL, KEY(ANN) } } },
	{ "taken back from the first of three",
	  B | E,
	  0,
	  B | E,
	  { { ALLOW, "web", KEY(ANN) },
	    { ALLOW, "web", KEY(BOB) },
	    { ALLOW, "web", KEY(EVE) },
	    { DISALLOW, "web", KEY(ANN) } } },
	{ "allowed twice, taken back once",
	  A,
	  0,
	  A,
	  { { ALLOW, "web", KEY(ANN) },
	    { ALLOW, "web", KEY(ANN) },
	    { DISALLOW, "web", KEY(ANN) } } },
	{ "allowed twice, taken back twice",
	  0,
	  0,
	  0,
	  { { ALLOW, "web", KEY(ANN) },
	    { ALLOW, "web", KEY(ANN) },
	    { DISALLOW, "web", KEY(ANN) },
	    { DISALLOW, "web", KEY(ANN) } } },
	{ "taken back before it is given",
	  A,
	  0,
	  A,
	  { { DISALLOW, "web", KEY(ANN) }, { ALLOW, "web", KEY(ANN) } } },
	{ "taking a key back leaves any",
	  ALL,
	  0,
	  ALL,
	  { { ALLOW, "web", ANY }, { ALLOW, "web", KEY(ANN) }, { DISALLOW, "web", KEY(ANN) } } },
	{ "taking any back leaves the keys",
	  A,
	  0,
	  A,
	  { { ALLOW, "web", ANY }, { ALLOW, "web", KEY(ANN) }, { DISALLOW, "web", ANY } } },
	{ "taking every service back leaves the one",
	  A,
	  0,
	  A,
	  { { ALLOW, NULL, KEY(ANN) }, { ALLOW, "web", KEY(ANN) }, { DISALLOW, NULL, KEY(ANN) } } },
	{ "taking one service back leaves every",
	  A,
	  A,
	  A,
	  { { ALLOW, NULL, KEY(ANN) }, { DISALLOW, "web", KEY(ANN) } } },
	{ "every service, any key, taken back",
	  0,
	  0,
	  0,
	  { { ALLOW, NULL, ANY }, { DISALLOW, NULL, ANY } } },
	{ "the end of a service leaves its rule",
	  A,
	  0,
	  A,
	  { { ALLOW, "web", KEY(ANN) }, { LISTEN, "web", ANY }, { UNLISTEN, "web", ANY } } },
	{ "unknown names change nothing",
	  A,
	  0,
	  A,
	  { { ALLOW, "web", KEY(ANN) }, { UNLISTEN, "ssh", ANY }, { DISALLOW, "ssh", ANY } } },
};

static void apply(struct policy *p, const struct rule *r)
{
	struct subject s = subject(r->kind, r->key, r->group);

	switch (r->action) {
	case END:
		break;
	case ALLOW:
		assert_int_equal(policy_allow(p, r->service, &s), 0);
		break;
	case DISALLOW:
		policy_disallow(p, r->service, &s);
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
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct policy p;

		print_message("\t%s\n", cases[i].name);
		policy_init(&p, i);
		for (const struct rule *r = cases[i].rules; r->action != END; r++)
			apply(&p, r);
		assert_int_equal(who_allowed(&p, "web"), cases[i].web);
		assert_int_equal(who_allowed(&p, "ssh"), cases[i].ssh);
		assert_int_equal(who_welcome(&p), cases[i].anything);
		assert_int_equal(who_dialled(&p), ALL);
		policy_clear(&p);
	}
}

/* What an application leaves in the fields that its kind does not use is not looked at. */
static void test_unused_fields(void **state)
{
	struct policy *p = *state;
	struct subject s = subject(SUBJECT_ANY, BOB, "ops");

	assert_int_equal(policy_allow(p, "web", &s), 0);
	assert_int_equal(who_allowed(p, "web"), ALL);
	s = subject(SUBJECT_ANY, NULL, NULL);
	policy_disallow(p, "web", &s);
	assert_int_equal(who_allowed(p, "web"), 0);
	s = subject(SUBJECT_NETWORK, WORK, "ops");
	assert_int_equal(policy_allow(p, "web", &s), 0);
	assert_int_equal(who_allowed(p, "web"), D);
	s = subject(SUBJECT_KEY, BOB, "ops");
	assert_int_equal(policy_allow(p, "web", &s), 0);
	assert_int_equal(who_allowed(p, "web"), B | D);
}

/* --- why --- */

static void expect_rule(const struct policy_rule *r, const char *service, enum subject_kind kind,
			const uint8_t *key, const char *group)
{
	struct subject s = subject(kind, key, group);

	assert_string_equal(r->service, service);
	assert_int_equal(r->subject.kind, kind);
	assert_memory_equal(r->subject.key, s.key, KEY_SIZE);
	assert_string_equal(r->subject.group, s.group);
}

/* The most special rule is named; take it back, and the next one is. */
static void test_explain(void **state)
{
	static const struct rule ORDER[] = {
		{ ALLOW, "web", KEY(CAT) },
		{ ALLOW, NULL, KEY(CAT) },
		{ ALLOW, "web", GROUP(HOME, "ops") },
		{ ALLOW, NULL, GROUP(HOME, "ops") },
		{ ALLOW, "web", GROUP(HOME, "web") },
		{ ALLOW, "web", NETWORK(HOME) },
		{ ALLOW, NULL, NETWORK(HOME) },
		{ ALLOW, "web", ANY },
		{ ALLOW, NULL, ANY },
	};
	struct policy *p = *state;
	struct policy_rule r;

	for (size_t i = 0; i < sizeof(ORDER) / sizeof(*ORDER); i++)
		apply(p, &ORDER[i]);
	for (size_t i = 0; i < sizeof(ORDER) / sizeof(*ORDER); i++) {
		const struct rule *o = &ORDER[i];
		struct subject s = subject(o->kind, o->key, o->group);

		assert_true(policy_explain(p, "web", &WHO[3], &r));
		expect_rule(&r, o->service ? o->service : "", o->kind, o->key, o->group);
		policy_disallow(p, o->service, &s);
	}
	assert_false(policy_explain(p, "web", &WHO[3], &r));
	expect_rule(&r, "", ANY); /* untouched */
}

/* --- out --- */

static void test_dial(void **state)
{
	struct policy *p = *state;
	struct subject bob = subject(SUBJECT_KEY, BOB, NULL), any = subject(ANY);
	struct subject ops = subject(SUBJECT_GROUP, WORK, "ops");
	struct policy_rule r;

	assert_true(policy_explain_dial(p, &WHO[0], &r));
	expect_rule(&r, "", ANY);
	allow_key(p, NULL, ANN); /* in is not out, ... */
	assert_int_equal(who_dialled(p), ALL);
	assert_int_equal(policy_allow_dial(p, &bob), 0);
	assert_int_equal(policy_allow_dial(p, &ops), 0);
	assert_int_equal(who_dialled(p), B | D);
	assert_int_equal(who_welcome(p), A); /* ... and out is not in */
	assert_false(policy_explain_dial(p, &WHO[0], &r));
	assert_true(policy_explain_dial(p, &WHO[4], &r));
	expect_rule(&r, "", GROUP(WORK, "ops"));
	assert_int_equal(policy_allow_dial(p, &any), 0);
	assert_int_equal(who_dialled(p), ALL);
	policy_disallow_dial(p, &any);
	policy_disallow_dial(p, &any);
	policy_disallow_dial(p, &ops);
	assert_int_equal(who_dialled(p), B);
	policy_disallow(p, NULL, &bob); /* another direction */
	assert_int_equal(who_dialled(p), B);
	policy_disallow_dial(p, &bob);
	assert_int_equal(who_dialled(p), ALL); /* none is left */
}

static void test_names_network(void **state)
{
	struct policy *p = *state;
	struct subject ops = subject(SUBJECT_GROUP, HOME, "ops");
	struct subject home = subject(SUBJECT_NETWORK, HOME, NULL);

	allow_key(p, "web", WORK); /* a key that looks like one */
	assert_false(policy_names_network(p, NULL));
	assert_false(policy_names_network(p, WORK));
	assert_int_equal(policy_allow(p, "web", &ops), 0);
	assert_true(policy_names_network(p, NULL));
	assert_true(policy_names_network(p, HOME));
	assert_false(policy_names_network(p, WORK));
	assert_int_equal(policy_allow_dial(p, &home), 0);
	policy_disallow(p, "web", &ops);
	assert_true(policy_names_network(p, HOME));
	policy_disallow(p, "web", &ops);
	policy_disallow_dial(p, &home);
	assert_false(policy_names_network(p, HOME));
	assert_false(policy_names_network(p, NULL));
}

/* --- what is offered, and names --- */

static void test_listen(void **state)
{
	struct policy *p = *state;

	assert_null(policy_find(p, "web"));
	assert_int_equal(policy_listen(p, "web", false, 5 * GW_SEC), 0);
	assert_int_equal(policy_listen(p, "web", false, GW_SEC), GW_E_EXISTS);
	assert_non_null(policy_find(p, "web"));
	assert_int_equal(policy_find(p, "web")->park_timeout, 5 * GW_SEC);
	assert_null(policy_find(p, "we"));
	assert_null(policy_find(p, "webs"));
	assert_int_equal(policy_listen(p, "dns", true, GW_SEC), 0);
	assert_true(policy_find(p, "dns")->datagrams);
	assert_false(policy_find(p, "web")->datagrams);

	policy_unlisten(p, "web");
	policy_unlisten(p, "web");
	policy_unlisten(p, NULL);
	assert_null(policy_find(p, "web"));
	assert_true(policy_find(p, "dns")->datagrams);
	assert_int_equal(policy_listen(p, "web", false, 7 * GW_SEC), 0); /* as if new */
	assert_int_equal(policy_find(p, "web")->park_timeout, 7 * GW_SEC);
}

/* A rule offers nothing, and does not mind when that begins and ends. */
static void test_rule_first(void **state)
{
	struct policy *p = *state;
	struct subject ann = subject(SUBJECT_KEY, ANN, NULL);

	allow_key(p, "web", ANN);
	assert_null(policy_find(p, "web"));
	assert_int_equal(policy_listen(p, "web", false, 0), 0);
	assert_true(policy_allows(p, "web", &WHO[0]));
	policy_disallow(p, "web", &ann);
	assert_non_null(policy_find(p, "web"));
	assert_false(policy_allows(p, "web", &WHO[0]));
}

static void test_bad_names(void **state)
{
	static const char *const BAD[] = { "Web", "-web", ".", "a/b", "a b", "w\xc3\xa9" };
	char name[SERVICE_NAME_MAX + 2];
	struct policy *p = *state;
	struct subject any = subject(ANY);

	for (size_t i = 0; i < sizeof(BAD) / sizeof(*BAD); i++) {
		print_message("\t\"%s\"\n", BAD[i]);
		assert_int_equal(policy_listen(p, BAD[i], false, GW_NEVER), GW_E_INVALID);
		assert_int_equal(policy_allow(p, BAD[i], &any), GW_E_INVALID);
		assert_int_equal(who_welcome(p), 0);
		policy_disallow(p, BAD[i], &any);
	}
	assert_int_equal(policy_listen(p, NULL, false, GW_NEVER), GW_E_INVALID);
	memset(name, 'x', sizeof(name));
	name[SERVICE_NAME_MAX + 1] = '\0';
	assert_int_equal(policy_listen(p, name, false, GW_NEVER), GW_E_INVALID);
	assert_int_equal(policy_allow(p, name, &any), GW_E_INVALID);
	name[SERVICE_NAME_MAX] = '\0';
	assert_int_equal(policy_listen(p, name, false, GW_NEVER), 0);
	assert_string_equal(policy_find(p, name)->name, name);
	assert_int_equal(policy_allow(p, name, &any), 0);
	assert_int_equal(who_allowed(p, name), ALL);
}

static void test_bad_groups(void **state)
{
	static const char *const BAD[] = { "", "Ops", "-ops", "o.ps", "o ps" };
	struct policy *p = *state;
	struct subject s;

	for (size_t i = 0; i < sizeof(BAD) / sizeof(*BAD); i++) {
		print_message("\t\"%s\"\n", BAD[i]);
		s = subject(SUBJECT_GROUP, HOME, BAD[i]);
		assert_int_equal(policy_allow(p, "web", &s), GW_E_INVALID);
		assert_int_equal(policy_allow_dial(p, &s), GW_E_INVALID);
	}
	memset(s.group, 'g', sizeof(s.group)); /* no end */
	assert_int_equal(policy_allow(p, "web", &s), GW_E_INVALID);
	policy_disallow(p, "web", &s);
	s.group[WIRE_GROUP_MAX] = '\0';
	assert_int_equal(policy_allow(p, "web", &s), 0);
	assert_int_equal(who_dialled(p), ALL);
}

/* "" must not be taken for NULL, which is every service. */
static void test_empty_name(void **state)
{
	struct policy *p = *state;
	struct subject bob = subject(SUBJECT_KEY, BOB, NULL);

	assert_int_equal(policy_listen(p, "", false, GW_NEVER), GW_E_INVALID);
	assert_int_equal(policy_allow(p, "", &bob), GW_E_INVALID);
	assert_int_equal(who_welcome(p), 0);
	allow_key(p, NULL, BOB);
	policy_disallow(p, "", &bob);
	assert_int_equal(who_allowed(p, "web"), B);
}

/* --- limits --- */

static void test_too_many_services(void **state)
{
	struct policy *p = *state;
	char name[16];
	int made;

	for (made = 0; made <= SERVICES_MAX; made++) {
		snprintf(name, sizeof(name), "s%d", made);
		if (policy_listen(p, name, false, GW_NEVER) != 0)
			break;
	}
	assert_int_equal(made, SERVICES_MAX);
	assert_int_equal(policy_listen(p, "more", false, GW_NEVER), GW_E_LIMIT);
	assert_null(policy_find(p, "more"));
	allow_key(p, "more", ANN); /* rules are counted apart */
	policy_unlisten(p, "s3");
	assert_int_equal(policy_listen(p, "more", false, GW_NEVER), 0);
	assert_non_null(policy_find(p, "s255"));
	assert_null(policy_find(p, "s3"));
}

static struct subject numbered(uint32_t i)
{
	struct subject s = subject(SUBJECT_KEY, NULL, NULL);

	memcpy(s.key + 8, &i, sizeof(i));
	return s;
}

static void test_too_many_rules(void **state)
{
	enum { RULES = 65536 };
	struct subject any = subject(ANY), bob = subject(SUBJECT_KEY, BOB, NULL), s;
	struct policy *p = *state;

	for (uint32_t i = 0; i < RULES; i++) {
		s = numbered(i);
		if (i % 2)
			assert_int_equal(policy_allow(p, "web", &s), 0);
		else
			assert_int_equal(policy_allow_dial(p, &s), 0);
	}
	assert_int_equal(policy_allow(p, "web", &any), GW_E_LIMIT);
	assert_int_equal(policy_allow(p, NULL, &bob), GW_E_LIMIT);
	assert_int_equal(policy_allow_dial(p, &bob), GW_E_LIMIT);
	assert_int_equal(who_allowed(p, "web"), 0);
	assert_int_equal(who_welcome(p), 0);
	assert_int_equal(who_dialled(p), 0);
	s = numbered(1);
	assert_int_equal(policy_allow(p, "web", &s), 0); /* is there already */
	policy_disallow(p, "web", &s);
	assert_int_equal(policy_allow(p, "web", &any), GW_E_LIMIT);
	policy_disallow(p, "web", &s);
	assert_int_equal(policy_allow(p, "web", &any), 0);
	assert_int_equal(who_allowed(p, "web"), ALL);
	assert_int_equal(policy_allow_dial(p, &bob), GW_E_LIMIT);
	for (uint32_t i = 0; i < RULES; i++) {
		s = numbered(i);
		policy_disallow(p, "web", &s);
		policy_disallow_dial(p, &s);
	}
	policy_disallow(p, "web", &any);
	assert_int_equal(who_welcome(p), 0);
	assert_int_equal(who_dialled(p), ALL);
	assert_null(p->table.slots); /* all of it was given back */
}

/* Whichever allocation fails, nothing of the rule is there. */
static void test_out_of_memory(void **state)
{
	struct policy *p = *state;
	struct subject ops = subject(SUBJECT_GROUP, HOME, "ops");
	int rv = GW_E_NOMEM, n;

	for (n = 0; rv == GW_E_NOMEM; n++) {
		allocations_left = n;
		rv = policy_allow(p, "web", &ops);
		allocations_left = -1;
		assert_int_equal(who_allowed(p, "web"), rv ? 0 : C);
		assert_int_equal(who_welcome(p), rv ? 0 : C);
		assert_int_equal(policy_names_network(p, HOME), rv == 0);
	}
	assert_int_equal(rv, 0);
	assert_true(n > 3); /* three entries and a table */
	policy_disallow(p, "web", &ops);
	assert_int_equal(who_welcome(p), 0);
	assert_false(policy_names_network(p, NULL));
}

/* --- all together --- */

static const char *const SERVICES[] = { NULL, "web", "ssh" };
static const struct rule SUBJECTS[] = {
	{ ALLOW, NULL, ANY },
	{ ALLOW, NULL, KEY(ANN) },
	{ ALLOW, NULL, KEY(EVE) },
	{ ALLOW, NULL, KEY(DAN) },
	{ ALLOW, NULL, NETWORK(HOME) },
	{ ALLOW, NULL, NETWORK(WORK) },
	{ ALLOW, NULL, GROUP(HOME, "ops") },
	{ ALLOW, NULL, GROUP(WORK, "ops") },
	{ ALLOW, NULL, GROUP(HOME, "web") },
};
static const unsigned COVERS[] = { ALL, A, E, D, C | D, D, C, D, C };

enum { N_SERVICES = 3, N_SUBJECTS = sizeof(SUBJECTS) / sizeof(*SUBJECTS) };

struct model {
	unsigned in[N_SERVICES][N_SUBJECTS], out[N_SUBJECTS];
};

static unsigned covered(const unsigned counts[N_SUBJECTS])
{
	unsigned bits = 0;

	for (size_t i = 0; i < N_SUBJECTS; i++)
		bits |= counts[i] ? COVERS[i] : 0;
	return bits;
}

static void check_model(const struct policy *p, const struct model *m)
{
	static const unsigned NONE[N_SUBJECTS];
	unsigned every = covered(m->in[0]), web = covered(m->in[1]), ssh = covered(m->in[2]);

	assert_int_equal(who_allowed(p, NULL), every);
	assert_int_equal(who_allowed(p, "web"), every | web);
	assert_int_equal(who_allowed(p, "ssh"), every | ssh);
	assert_int_equal(who_welcome(p), every | web | ssh);
	assert_int_equal(who_dialled(p),
			 memcmp(m->out, NONE, sizeof(NONE)) == 0 ? ALL : covered(m->out));
}

static void test_random_changes(void **state)
{
	struct policy *p = *state;
	struct model m = { 0 };
	struct rng rng;

	rng_seed(&rng, 11);
	for (int i = 0; i < 20000; i++) {
		size_t service = rng_below(&rng, N_SERVICES + 1);
		size_t who = rng_below(&rng, N_SUBJECTS);
		const struct rule *r = &SUBJECTS[who];
		struct subject s = subject(r->kind, r->key, r->group);
		unsigned *count = service < N_SERVICES ? &m.in[service][who] : &m.out[who];

		/* Now and then few rules are left, now and then many. */
		if (rng_below(&rng, 100) < (i / 500 % 2 ? 40U : 60U)) {
			assert_int_equal(service < N_SERVICES
						 ? policy_allow(p, SERVICES[service], &s)
						 : policy_allow_dial(p, &s),
					 0);
			++*count;
		} else {
			if (service < N_SERVICES)
				policy_disallow(p, SERVICES[service], &s);
			else
				policy_disallow_dial(p, &s);
			*count -= *count > 0;
		}
		check_model(p, &m);
	}
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_nothing_is_allowed),
		TEST(test_rules),
		TEST(test_unused_fields),
		TEST(test_explain),
		TEST(test_dial),
		TEST(test_names_network),
		TEST(test_listen),
		TEST(test_rule_first),
		TEST(test_bad_names),
		TEST(test_bad_groups),
		TEST(test_empty_name),
		TEST(test_too_many_services),
		TEST(test_too_many_rules),
		TEST(test_out_of_memory),
		TEST(test_random_changes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
