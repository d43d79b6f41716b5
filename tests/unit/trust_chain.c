/* tests/unit/trust_chain.c - who is a member: every reason to refuse a chain, and that what is refused
 * leaves nothing behind. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "trust_sample.h"

enum { D = CERTIFICATE_DELEGATE, E = CERTIFICATE_EPHEMERAL };

static struct manifest manifest;

/* Checked from memory of exactly that size. */
static enum trust_refusal check_with(struct member *out, const uint8_t *chain, size_t len,
				     const struct manifest *m, uint32_t now_s)
{
	uint8_t *copy = exact(chain, len);
	struct member before, member;
	enum trust_refusal why;

	memset(&before, 0xa5, sizeof(before));
	memcpy(&member, &before, sizeof(member));
	why = member_check(&member, copy, len, m, now_s);
	free(copy);
	if (why)
		assert_memory_equal(&member, &before, sizeof(member));
	else
		assert_int_equal(member_still(&member, m, now_s), TRUST_OK);
	if (!why && out)
		*out = member;
	return why;
}

static enum trust_refusal check(struct member *out, const uint8_t *chain, size_t len)
{
	return check_with(out, chain, len, &manifest, NOW);
}

static void expect(enum trust_refusal why, enum trust_refusal result, const char *what)
{
	if (why != result)
		fail_msg("%s: %s (%d), not %d", what, trust_refusal_text(why), (int)why,
			 (int)result);
}

/* --- what a member is --- */

static void members_of_a_ca(void **state)
{
	static const enum who cas[] = { NETWORK, CA };
	const struct spec s = { .flags = E, .names = "alice", .groups = "b a", .serial = 7 };

	(void)state;
	for (size_t i = 0; i < COUNT(cas); i++) {
		struct identity ca = id_of(cas[i]), node = id_of(NODE);
		uint8_t chain[WIRE_CHAIN_MAX];
		size_t len = chain_of_one(chain, cas[i], &s);
		struct member m;

		expect(check(&m, chain, len), TRUST_OK, "a member");
		assert_memory_equal(m.network, manifest.m.network, KEY_SIZE);
		assert_memory_equal(m.key, node.key, KEY_SIZE);
		assert_memory_equal(m.signer, ca.key, KEY_SIZE);
		assert_memory_equal(m.ca, ca.key, KEY_SIZE);
		assert_true(m.serial == 7 && m.ephemeral && !m.delegated);
		assert_int_equal(m.not_before, NOW - DAY / 2);
		assert_int_equal(m.not_after, NOW + DAY / 2);
		assert_string_equal(m.name, "alice");
		assert_true(m.n_groups == 2 && member_has_group(&m, "a"));
		assert_true(member_has_group(&m, "b") && !member_has_group(&m, "ab"));
		assert_false(member_has_group(&m, ""));
		assert_int_equal(m.len, len);
		assert_memory_equal(m.chain, chain, len);
	}
}

static void members_of_a_delegate(void **state)
{
	const struct spec d = { .flags = D, .prefixes = "ci-", .groups = "ci", .serial = 1 };
	const struct spec s = {
		.names = "ci-7", .groups = "ci", .serial = 2, .from = -60, .until = HOUR
	};
	struct identity ca = id_of(CA), delegate = id_of(DELEGATE);
	uint8_t chain[WIRE_CHAIN_MAX];
	struct member m;

	(void)state;
	expect(check(&m, chain, chain_of_two(chain, CA, &d, &s)), TRUST_OK, "a member");
	assert_memory_equal(m.signer, delegate.key, KEY_SIZE);
	assert_memory_equal(m.ca, ca.key, KEY_SIZE);
	assert_true(m.serial == 2 && !m.ephemeral && m.delegated && m.invite == d.serial);
	assert_int_equal(m.not_before, NOW - 60);
	assert_int_equal(m.not_after, NOW + HOUR);
	assert_string_equal(m.name, "ci-7");
}

/* --- rights --- */

static void rights_of_delegates(void **state)
{
	static const struct {
		const char *what;
		struct spec d, m;
		enum trust_refusal result;
	} rows[] = {
		{ "nothing", { .flags = D }, { 0 }, TRUST_OK },
		{ "a name", { .flags = D, .names = "a b" }, { .names = "b" }, TRUST_OK },
		{ "another name", { .flags = D, .names = "a b" }, { .names = "c" }, TRUST_RIGHTS },
		{ "a longer name", { .flags = D, .names = "a" }, { .names = "ab" }, TRUST_RIGHTS },
		{ "no name is allowed", { .flags = D }, { .names = "a" }, TRUST_RIGHTS },
		{ "a prefix", { .flags = D, .prefixes = "x ci-" }, { .names = "ci-1" }, TRUST_OK },
		{ "just the prefix",
		  { .flags = D, .prefixes = "ci-" },
		  { .names = "ci-" },
		  TRUST_OK },
		{ "not the prefix",
		  { .flags = D, .prefixes = "ci-" },
		  { .names = "c" },
		  TRUST_RIGHTS },
		{ "within", { .flags = D, .prefixes = "ci-" }, { .names = "aci-" }, TRUST_RIGHTS },
		{ "groups", { .flags = D, .groups = "a b c" }, { .groups = "c a" }, TRUST_OK },
		{ "all but one",
		  { .flags = D, .groups = "a b" },
		  { .groups = "a b c" },
		  TRUST_RIGHTS },
		{ "no group is allowed", { .flags = D }, { .groups = "a" }, TRUST_RIGHTS },
		{ "a prefix is no group",
		  { .flags = D, .groups = "a" },
		  { .groups = "ab" },
		  TRUST_RIGHTS },
		{ "a name is no group",
		  { .flags = D, .names = "a" },
		  { .groups = "a" },
		  TRUST_RIGHTS },
		{ "permanence", { .flags = D | E }, { 0 }, TRUST_RIGHTS },
		{ "ephemeral of ephemeral", { .flags = D | E }, { .flags = E }, TRUST_OK },
		{ "ephemeral of permanent", { .flags = D }, { .flags = E }, TRUST_OK },
		{ "a day", { .flags = D }, { .from = -60, .until = DAY - 60 }, TRUST_OK },
		{ "and a second",
		  { .flags = D },
		  { .from = -60, .until = DAY - 59 },
		  TRUST_RIGHTS },
		{ "an hour",
		  { .flags = D, .longest = HOUR },
		  { .from = -60, .until = HOUR - 60 },
		  TRUST_OK },
		{ "and one more second",
		  { .flags = D, .longest = HOUR },
		  { .from = -60, .until = HOUR - 59 },
		  TRUST_RIGHTS },
		{ "two days",
		  { .flags = D, .longest = 2 * DAY },
		  { .from = -DAY, .until = DAY },
		  TRUST_OK },
		{ "the same",
		  { .flags = D, .from = -60, .until = 60 },
		  { .from = -60, .until = 60 },
		  TRUST_OK },
		{ "earlier",
		  { .flags = D, .from = -60, .until = 60 },
		  { .from = -61, .until = 60 },
		  TRUST_RIGHTS },
		{ "later",
		  { .flags = D, .from = -60, .until = 60 },
		  { .from = -60, .until = 61 },
		  TRUST_RIGHTS },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		uint8_t chain[WIRE_CHAIN_MAX];
		size_t len = chain_of_two(chain, NETWORK, &rows[i].d, &rows[i].m);

		expect(check(NULL, chain, len), rows[i].result, rows[i].what);
	}
}

static void depth_is_limited(void **state)
{
	const struct spec member = { 0 }, delegate = { .flags = D };
	uint8_t chain[WIRE_CHAIN_MAX];

	(void)state;
	expect(check(NULL, chain, chain_of_one(chain, CA, &delegate)), TRUST_DEPTH, "alone");
	expect(check(NULL, chain, chain_of_two(chain, CA, &member, &member)), TRUST_DEPTH,
	       "a member signs");
	expect(check(NULL, chain, chain_of_two(chain, CA, &delegate, &delegate)), TRUST_DEPTH,
	       "a delegate delegates");
	expect(check(NULL, chain, chain_of_two(chain, CA, &member, &delegate)), TRUST_DEPTH,
	       "the wrong way round");
}

static void three_links_are_malformed(void **state)
{
	const struct spec delegate = { .flags = D }, member = { 0 };
	uint8_t chain[2 * WIRE_CHAIN_MAX], more[WIRE_CHAIN_MAX];
	size_t len = chain_of_two(chain, CA, &delegate, &delegate);
	size_t size = chain_of_one(more, DELEGATE, &member) - WIRE_CHAIN_HEAD;

	(void)state;
	memcpy(chain + len, more + WIRE_CHAIN_HEAD, size);
	assert_true(len + size <= WIRE_CHAIN_MAX);
	expect(check(NULL, chain, len + size), TRUST_MALFORMED, "three links");
}

/* --- time --- */

static void validity(void **state)
{
	static const struct {
		const char *what;
		int64_t now; /* relative to its begin */
		bool of_delegate;
		enum trust_refusal result;
	} rows[] = {
		{ "at its begin", 0, false, TRUST_OK },
		{ "10 minutes ahead", -600, false, TRUST_OK },
		{ "15 minutes ahead", -900, false, TRUST_OK },
		{ "a second more", -901, false, TRUST_EARLY },
		{ "an hour ahead", -3600, false, TRUST_EARLY },
		{ "at last", HOUR - 1, false, TRUST_OK },
		{ "at its end", HOUR, false, TRUST_EXPIRED },
		{ "a day later", DAY, false, TRUST_EXPIRED },
		{ "10 minutes ahead", -600, true, TRUST_OK },
		{ "an hour ahead", -3600, true, TRUST_EARLY },
		{ "at its end", HOUR, true, TRUST_EXPIRED },
	};
	const struct spec hour = { .from = 0, .until = HOUR },
			  delegate = { .flags = D, .from = 0, .until = HOUR };

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		uint8_t chain[WIRE_CHAIN_MAX];
		size_t len = rows[i].of_delegate ? chain_of_two(chain, CA, &delegate, &hour)
						 : chain_of_one(chain, CA, &hour);

		expect(check_with(NULL, chain, len, &manifest, (uint32_t)(NOW + rows[i].now)),
		       rows[i].result, rows[i].what);
	}
}

static void ends_of_time(void **state)
{
	const struct spec s = { .from = UINT32_MAX - (int64_t)NOW - 1,
				.until = UINT32_MAX - (int64_t)NOW };
	uint8_t chain[WIRE_CHAIN_MAX];
	size_t len = chain_of_one(chain, CA, &s);

	(void)state;
	expect(check_with(NULL, chain, len, &manifest, UINT32_MAX), TRUST_EXPIRED,
	       "the last second");
	expect(check_with(NULL, chain, len, &manifest, UINT32_MAX - 1), TRUST_OK, "before it");
	expect(check_with(NULL, chain, len, &manifest, 0), TRUST_EARLY, "no clock");
}

/* --- signers --- */

static void signers(void **state)
{
	const struct spec member = { 0 }, delegate = { .flags = D };
	struct wire_manifest wire = sample_manifest();
	struct manifest none, other;
	uint8_t chain[WIRE_CHAIN_MAX];
	struct wire_chain c;
	size_t len;

	(void)state;
	len = chain_of_one(chain, STRANGER, &member);
	expect(check(NULL, chain, len), TRUST_SIGNER, "a stranger");
	memcpy(chain + 33, manifest.m.network, WIRE_CA_HINT);
	expect(check(NULL, chain, len), TRUST_SIGNATURE, "who says it is the CA");
	len = chain_of_one(chain, NETWORK, &member);
	memcpy(chain + 33, manifest.m.cas[0].key, WIRE_CA_HINT);
	expect(check(NULL, chain, len), TRUST_SIGNATURE, "another CA than it says");
	len = chain_of_one(chain, DELEGATE, &member);
	expect(check(NULL, chain, len), TRUST_SIGNER, "a delegate is no CA");
	start_chain(&c, CA);
	add_link(&c, CA, DELEGATE, &delegate);
	add_link(&c, CA, NODE, &member); /* not by the delegate */
	len = wire_chain_encode(chain, &c);
	expect(check(NULL, chain, len), TRUST_SIGNATURE, "two links of the CA");

	len = chain_of_one(chain, CA, &member);
	expect(check_with(NULL, chain, len, NULL, NOW), TRUST_NETWORK, "no manifest");
	wire.n_cas = 0;
	sign_as(&none, &wire, NETWORK);
	expect(check_with(NULL, chain, len, &none, NOW), TRUST_SIGNER, "a CA that was");
	manifest_clear(&none);
	memset(wire.network, 1, KEY_SIZE);
	sign_as(&other, &wire, NETWORK);
	expect(check_with(NULL, chain, len, &other, NOW), TRUST_NETWORK, "of another network");
	manifest_clear(&other);
}

/* Each bit counts: nothing of a chain is outside of a signature, or it names the signer. */
static void every_changed_bit_is_refused(void **state)
{
	const struct spec d = { .flags = D, .names = "a b", .groups = "c" };
	const struct spec s = { .names = "a", .groups = "c" };
	uint8_t chain[WIRE_CHAIN_MAX];
	size_t len = chain_of_two(chain, CA, &d, &s);

	(void)state;
	for (size_t bit = 0; bit < 8 * len; bit++) {
		chain[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_not_equal(check(NULL, chain, len), TRUST_OK);
		chain[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	expect(check(NULL, chain, len), TRUST_OK, "unchanged");
}

static void every_truncation_is_refused(void **state)
{
	const struct spec d = { .flags = D, .names = "a", .groups = "c" };
	const struct spec s = { .names = "a", .groups = "c" };
	uint8_t chain[WIRE_CHAIN_MAX];
	size_t len = chain_of_two(chain, CA, &d, &s);
	size_t first = WIRE_CHAIN_HEAD + 2 + (size_t)(chain[37] << 8 | chain[38]);

	(void)state;
	for (size_t cut = 0; cut < len; cut++)
		expect(check(NULL, chain, cut), cut == first ? TRUST_DEPTH : TRUST_MALFORMED,
		       "cut");
}

/* --- fields of a later version --- */

static void later_fields(void **state)
{
	static const struct {
		const char *what, *fields;
		size_t len;
		enum trust_refusal result;
	} rows[] = {
		{ "not critical", "\1\1a\x05\2xx\x7f\0", 9, TRUST_OK },
		{ "critical", "\1\1a\x80\0", 5, TRUST_CRITICAL },
		{ "malformed", "\1\1a\x05\2x", 6, TRUST_MALFORMED },
	};
	const struct spec s = { 0 };
	uint8_t chain[WIRE_CHAIN_MAX], message[WIRE_KEY_SIZE + WIRE_CHAIN_MAX];
	struct identity ca = id_of(CA);
	struct member m;

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		uint8_t *link = chain + WIRE_CHAIN_HEAD + 2, *fields = link + 49;
		size_t size = 49 + rows[i].len;

		chain_of_one(chain, CA, &s);
		memcpy(fields, rows[i].fields, rows[i].len);
		link[-1] = (uint8_t)(size + SIGNATURE_SIZE);
		memcpy(message, manifest.m.network, KEY_SIZE);
		memcpy(message + KEY_SIZE, link, size);
		identity_sign(&ca, CERTIFICATE_CONTEXT, message, KEY_SIZE + size, link + size);
		size += WIRE_CHAIN_HEAD + 2 + SIGNATURE_SIZE;
		expect(check(&m, chain, size), rows[i].result, rows[i].what);
	}
	assert_string_equal(m.name, "a");
}

/* --- revocation --- */

/* The manifest after `who` (a node, delegate or CA) or `serial` was revoked. */
static struct manifest revoking(const enum who *who, uint64_t serial)
{
	struct wire_manifest wire = sample_manifest();
	struct identity id = id_of(who ? *who : NODE);
	uint8_t bytes[8] = { 0, 0, 0, 0, 0, 0, 0, (uint8_t)serial };
	struct manifest m;

	if (who) {
		wire.revoked_keys = id.key;
		wire.n_revoked_keys = 1;
	} else {
		wire.revoked_serials = bytes;
		wire.n_revoked_serials = 1;
	}
	sign_as(&m, &wire, NETWORK);
	return m;
}

static void revocation(void **state)
{
	static const enum who network = NETWORK, ca = CA, delegate = DELEGATE, node = NODE,
			      other = OTHER_NODE;
	static const struct {
		const char *what;
		const enum who *who;
		uint64_t serial;
		enum trust_refusal by_ca, by_delegate, by_network;
	} rows[] = {
		{ "the node", &node, 0, TRUST_REVOKED, TRUST_REVOKED, TRUST_REVOKED },
		{ "another", &other, 0, TRUST_OK, TRUST_OK, TRUST_OK },
		{ "its delegate", &delegate, 0, TRUST_OK, TRUST_REVOKED, TRUST_OK },
		{ "its CA", &ca, 0, TRUST_REVOKED, TRUST_REVOKED, TRUST_OK },
		{ "the network key", &network, 0, TRUST_OK, TRUST_OK, TRUST_OK },
		{ "its serial", NULL, 2, TRUST_REVOKED, TRUST_REVOKED, TRUST_REVOKED },
		{ "its delegate's serial", NULL, 1, TRUST_OK, TRUST_REVOKED, TRUST_OK },
		{ "another serial", NULL, 3, TRUST_OK, TRUST_OK, TRUST_OK },
	};
	const struct spec d = { .flags = D, .serial = 1 }, s = { .serial = 2 };

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct manifest m = revoking(rows[i].who, rows[i].serial);
		enum trust_refusal results[] = { rows[i].by_ca, rows[i].by_delegate,
						 rows[i].by_network };
		uint8_t chain[WIRE_CHAIN_MAX];
		struct member member;

		for (size_t k = 0; k < COUNT(results); k++) {
			size_t len = k == 1 ? chain_of_two(chain, CA, &d, &s)
					    : chain_of_one(chain, k == 0 ? CA : NETWORK, &s);

			expect(check_with(NULL, chain, len, &m, NOW), results[k], rows[i].what);
			expect(check(&member, chain, len), TRUST_OK, "before");
			expect(member_still(&member, &m, NOW), results[k], rows[i].what);
		}
		manifest_clear(&m);
	}
}

static void members_that_were(void **state)
{
	const struct spec hour = { .from = 0, .until = HOUR };
	struct wire_manifest wire = sample_manifest();
	uint8_t chain[WIRE_CHAIN_MAX];
	struct manifest later;
	struct member m;

	(void)state;
	expect(check(&m, chain, chain_of_one(chain, CA, &hour)), TRUST_OK, "a member");
	expect(member_still(&m, &manifest, NOW + HOUR - 1), TRUST_OK, "until its end");
	expect(member_still(&m, &manifest, NOW + HOUR), TRUST_EXPIRED, "after it");
	expect(member_still(&m, &manifest, NOW - HOUR), TRUST_EARLY, "the clock went back");
	expect(member_still(&m, NULL, NOW), TRUST_NETWORK, "the network was left");
	memset(wire.cas[0].key + WIRE_CA_HINT, 0, KEY_SIZE - WIRE_CA_HINT);
	sign_as(&later, &wire, NETWORK);
	expect(member_still(&m, &later, NOW), TRUST_SIGNER, "a CA that begins like its own");
	expect(check_with(NULL, m.chain, m.len, &later, NOW), TRUST_SIGNATURE, "the same");
	manifest_clear(&later);
}

/* Before there is a manifest: a further CA may be one, and all else is as ever. */
static void own_chains(void **state)
{
	const struct spec member = { 0 }, delegate = { .flags = D, .groups = "a" },
			  more = { .groups = "b" }, hour = { .from = -HOUR, .until = HOUR };
	struct identity ca = id_of(CA), network = id_of(NETWORK);
	struct manifest unseen = { 0 };
	uint8_t chain[WIRE_CHAIN_MAX];
	struct member m;
	size_t len;

	(void)state;
	memcpy(unseen.m.network, network.key, KEY_SIZE);
	len = chain_of_two(chain, CA, &delegate, &member);
	expect(check_with(NULL, chain, len, &unseen, NOW), TRUST_SIGNER, "another's");
	expect(member_own(&m, chain, len, &unseen, NOW), TRUST_OK, "our own");
	assert_memory_equal(m.ca, ca.key, WIRE_CA_HINT);
	assert_true(m.delegated && m.len == len);
	expect(member_own(&m, chain, len, &manifest, NOW), TRUST_OK, "and with a manifest");
	assert_memory_equal(m.ca, ca.key, KEY_SIZE);
	chain[len - 1] ^= 1;
	expect(member_own(&m, chain, len, &unseen, NOW), TRUST_SIGNATURE, "by the delegate");
	len = chain_of_two(chain, CA, &delegate, &more);
	expect(member_own(&m, chain, len, &unseen, NOW), TRUST_RIGHTS, "a group too many");
	len = chain_of_one(chain, CA, &hour);
	expect(member_own(&m, chain, len, &unseen, NOW + HOUR), TRUST_EXPIRED, "after its end");
	len = chain_of_one(chain, STRANGER, &member);
	expect(member_own(&m, chain, len, &unseen, NOW), TRUST_OK, "who can tell?");
	expect(member_own(&m, chain, len, &manifest, NOW), TRUST_SIGNER, "the manifest can");
	len = chain_of_one(chain, NETWORK, &member);
	chain[len - 1] ^= 1;
	expect(member_own(&m, chain, len, &unseen, NOW), TRUST_SIGNATURE, "the network's own");
	memset(unseen.m.network, 1, KEY_SIZE);
	expect(member_own(&m, chain, len, &unseen, NOW), TRUST_NETWORK, "of another network");
}

/* --- signing --- */

static void what_cannot_be_said_is_not_signed(void **state)
{
	struct wire_certificate c = { .not_before = 2, .not_after = 1 };
	struct identity ca = id_of(CA);
	uint8_t none[SIGNATURE_SIZE] = { 0 };

	(void)state;
	assert_int_equal(certificate_sign(&c, ca.key, &ca), GW_E_LIMIT);
	assert_memory_equal(c.signature, none, sizeof(none));
}

static void every_refusal_has_a_text(void **state)
{
	(void)state;
	for (int why = TRUST_OK; why <= TRUST_SELF + 1; why++)
		assert_true(strlen(trust_refusal_text((enum trust_refusal)why)) > 10);
}

static int start(void **state)
{
	struct wire_manifest wire;

	(void)state;
	assert_int_equal(crypto_init(), 0);
	wire = sample_manifest();
	sign_as(&manifest, &wire, NETWORK);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	manifest_clear(&manifest);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(members_of_a_ca),
		cmocka_unit_test(members_of_a_delegate),
		cmocka_unit_test(rights_of_delegates),
		cmocka_unit_test(depth_is_limited),
		cmocka_unit_test(three_links_are_malformed),
		cmocka_unit_test(validity),
		cmocka_unit_test(ends_of_time),
		cmocka_unit_test(signers),
		cmocka_unit_test(every_changed_bit_is_refused),
		cmocka_unit_test(every_truncation_is_refused),
		cmocka_unit_test(later_fields),
		cmocka_unit_test(revocation),
		cmocka_unit_test(members_that_were),
		cmocka_unit_test(own_chains),
		cmocka_unit_test(what_cannot_be_said_is_not_signed),
		cmocka_unit_test(every_refusal_has_a_text),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
