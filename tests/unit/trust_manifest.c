/* tests/unit/trust_manifest.c - what CAs have to say: every reason to refuse a manifest, and what one
 * revokes. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/hash.h"
#include "trust_sample.h"

enum { TAIL = KEY_SIZE + SIGNATURE_SIZE };

/* From memory of exactly that size. */
static enum trust_refusal take(struct manifest *out, const uint8_t *data, size_t len,
			       const uint8_t *network, const struct manifest *than, uint64_t now_ms)
{
	uint8_t *copy = exact(data, len);
	struct manifest before, m;
	enum trust_refusal why;

	memset(&before, 0xa5, sizeof(before));
	memcpy(&m, &before, sizeof(m));
	why = manifest_take(&m, copy, len, network, than, now_ms);
	free(copy); /* it keeps its own */
	if (why) {
		assert_memory_equal(&m, &before, sizeof(m));
		return why;
	}
	assert_int_equal(m.len, len);
	assert_memory_equal(m.bytes, data, len);
	if (out)
		*out = m;
	else
		manifest_clear(&m);
	return TRUST_OK;
}

static void expect(enum trust_refusal why, enum trust_refusal result, const char *what)
{
	if (why != result)
		fail_msg("%s: %s (%d), not %d", what, trust_refusal_text(why), (int)why,
			 (int)result);
}

/* --- those that are taken --- */

static void manifests_are_taken(void **state)
{
	struct identity stranger = id_of(STRANGER), node = id_of(NODE), network = id_of(NETWORK);
	struct wire_manifest wire = sample_manifest();
	struct manifest signed_by, m;

	(void)state;
	wire.revoked_keys = stranger.key;
	wire.n_revoked_keys = 1;
	wire.revoked_serials = (const uint8_t *)"\0\0\0\0\0\0\0\1\x80\0\0\0\0\0\0\2";
	wire.n_revoked_serials = 2;
	wire.n_beacons = 1;
	wire.beacons[0].udp_port = 4443;
	strcpy(wire.beacons[0].host, "b.example");
	for (int by = NETWORK; by <= CA; by++) {
		sign_as(&signed_by, &wire, (enum who)by);
		expect(take(&m, signed_by.bytes, signed_by.len, network.key, NULL, NOW_MS),
		       TRUST_OK, "a manifest");
		manifest_clear(&signed_by);
		assert_string_equal(m.m.name, "home");
		assert_string_equal(m.m.beacons[0].host, "b.example");
		assert_true(manifest_revokes_key(&m, stranger.key));
		assert_false(manifest_revokes_key(&m, node.key));
		assert_true(manifest_revokes_serial(&m, 1));
		assert_true(manifest_revokes_serial(&m, (UINT64_C(1) << 63) + 2));
		assert_false(manifest_revokes_serial(&m, 2));
		manifest_clear(&m);
		assert_null(m.bytes);
		manifest_clear(&m);
	}
}

/* docs/protocol.md, section 17. */
static void signatures_are_as_specified(void **state)
{
	struct identity network = id_of(NETWORK), ca = id_of(CA);
	struct wire_manifest wire = sample_manifest();
	uint8_t message[2 * KEY_SIZE], hash[HASH_SIZE];
	struct manifest m;
	const void *part;
	size_t len;

	(void)state;
	memcpy(message, network.key, KEY_SIZE);
	memcpy(message + KEY_SIZE, ca.key, KEY_SIZE);
	assert_true(signature_valid(network.key, "godwit ca v1", message, sizeof(message),
				    wire.cas[0].signature));
	sign_as(&m, &wire, CA);
	assert_memory_equal(m.m.signer, ca.key, KEY_SIZE);
	part = m.bytes;
	len = m.len - SIGNATURE_SIZE;
	hash_sha256(hash, &part, &len, 1);
	assert_true(signature_valid(ca.key, "godwit manifest v1", hash, sizeof(hash),
				    m.bytes + m.len - SIGNATURE_SIZE));
	manifest_clear(&m);
}

/* --- sequence, time, network --- */

static void sequences_only_grow(void **state)
{
	static const struct {
		const char *what;
		int64_t sequence; /* relative to what is known, which is of now */
		bool known;
		enum trust_refusal result;
	} rows[] = {
		{ "the next", 1, true, TRUST_OK },
		{ "the same", 0, true, TRUST_OLD },
		{ "the one before", -1, true, TRUST_OLD },
		{ "a year before", -365 * (int64_t)DAY * 1000, true, TRUST_OLD },
		{ "a year before, first", -365 * (int64_t)DAY * 1000, false, TRUST_OK },
		{ "a quarter of an hour ahead", 900000, true, TRUST_OK },
		{ "and a millisecond", 900001, true, TRUST_FUTURE },
		{ "an hour ahead, first", 3600000, false, TRUST_FUTURE },
	};
	struct wire_manifest wire = sample_manifest();
	struct manifest known;

	(void)state;
	sign_as(&known, &wire, NETWORK);
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct manifest m;

		wire.sequence = (uint64_t)((int64_t)NOW_MS + rows[i].sequence);
		sign_as(&m, &wire, CA);
		expect(take(NULL, m.bytes, m.len, NULL, rows[i].known ? &known : NULL, NOW_MS),
		       rows[i].result, rows[i].what);
		manifest_clear(&m);
	}
	wire.sequence = 0;
	manifest_clear(&known);
	sign_as(&known, &wire, NETWORK);
	expect(take(NULL, known.bytes, known.len, NULL, NULL, 0), TRUST_OK, "the first ever");
	manifest_clear(&known);
}

/* Nobody is locked out because nobody signed. */
static void expired_manifests_count(void **state)
{
	struct wire_manifest wire = sample_manifest();
	struct manifest m;

	(void)state;
	wire.issued = NOW - 60 * DAY;
	wire.expires = NOW - 30 * DAY;
	sign_as(&m, &wire, NETWORK);
	expect(take(NULL, m.bytes, m.len, NULL, NULL, NOW_MS), TRUST_OK, "expired");
	manifest_clear(&m);
}

static void networks_are_told_apart(void **state)
{
	struct identity network = id_of(NETWORK), stranger = id_of(STRANGER);
	struct wire_manifest wire = sample_manifest();
	struct manifest m, other;

	(void)state;
	sign_as(&m, &wire, NETWORK);
	memcpy(wire.network, stranger.key, KEY_SIZE);
	wire.n_cas = 0;
	wire.sequence++;
	sign_as(&other, &wire, STRANGER);
	expect(take(NULL, other.bytes, other.len, NULL, NULL, NOW_MS), TRUST_OK, "any");
	expect(take(NULL, other.bytes, other.len, network.key, NULL, NOW_MS), TRUST_NETWORK,
	       "another");
	expect(take(NULL, other.bytes, other.len, NULL, &m, NOW_MS), TRUST_NETWORK,
	       "another than is known");
	manifest_clear(&m);
	manifest_clear(&other);
}

/* --- signers --- */

static void signers(void **state)
{
	struct wire_manifest wire = sample_manifest();
	struct identity network = id_of(NETWORK), stranger = id_of(STRANGER);
	struct manifest m;

	(void)state;
	sign_as(&m, &wire, STRANGER);
	expect(take(NULL, m.bytes, m.len, NULL, NULL, NOW_MS), TRUST_SIGNER, "a stranger");
	memcpy(m.bytes + m.len - TAIL, network.key, KEY_SIZE);
	expect(take(NULL, m.bytes, m.len, NULL, NULL, NOW_MS), TRUST_SIGNATURE,
	       "who says it is the network");
	manifest_clear(&m);

	/* A stranger makes itself a CA: it has no endorsement, or that of another. */
	memcpy(wire.cas[1].key, stranger.key, KEY_SIZE);
	memcpy(wire.cas[1].signature, wire.cas[0].signature, SIGNATURE_SIZE);
	wire.n_cas = 2;
	sign_as(&m, &wire, STRANGER);
	expect(take(NULL, m.bytes, m.len, NULL, NULL, NOW_MS), TRUST_SIGNATURE, "not endorsed");
	manifest_clear(&m);
	ca_endorse(&stranger, stranger.key, wire.cas[1].signature);
	sign_as(&m, &wire, STRANGER);
	expect(take(NULL, m.bytes, m.len, NULL, NULL, NOW_MS), TRUST_SIGNATURE,
	       "endorsed by itself");
	manifest_clear(&m);
	sign_as(&m, &wire, NETWORK);
	expect(take(NULL, m.bytes, m.len, NULL, NULL, NOW_MS), TRUST_SIGNATURE,
	       "a CA that is not endorsed, signed by the network");
	manifest_clear(&m);
	ca_endorse(&network, stranger.key, wire.cas[1].signature);
	sign_as(&m, &wire, STRANGER);
	expect(take(NULL, m.bytes, m.len, NULL, NULL, NOW_MS), TRUST_OK, "endorsed");
	manifest_clear(&m);
}

static void revoked_signers(void **state)
{
	static const struct {
		const char *what;
		enum who signer;
		bool known,
			itself; /* who of the known manifest and of the new one revokes the CA */
		enum trust_refusal result;
	} rows[] = {
		{ "nobody", CA, false, false, TRUST_OK },
		{ "it revokes itself", CA, false, true, TRUST_SELF },
		{ "it was revoked", CA, true, false, TRUST_REVOKED },
		{ "it was, and repeats it", CA, true, true, TRUST_SELF },
		{ "the network revokes it", NETWORK, false, true, TRUST_OK },
		{ "the network forgives", NETWORK, true, false, TRUST_OK },
	};
	struct identity ca = id_of(CA);

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct wire_manifest wire = sample_manifest();
		struct manifest known, m;

		wire.revoked_keys = ca.key;
		wire.n_revoked_keys = rows[i].known;
		sign_as(&known, &wire, NETWORK);
		wire.n_revoked_keys = rows[i].itself;
		wire.sequence++;
		sign_as(&m, &wire, rows[i].signer);
		expect(take(NULL, m.bytes, m.len, NULL, &known, NOW_MS), rows[i].result,
		       rows[i].what);
		manifest_clear(&known);
		manifest_clear(&m);
	}
}

/* A further CA that says the network key is revoked is not heard. */
static void the_network_key_stays(void **state)
{
	struct wire_manifest wire = sample_manifest();
	struct identity network = id_of(NETWORK);
	struct manifest known, m;

	(void)state;
	wire.revoked_keys = network.key;
	wire.n_revoked_keys = 1;
	sign_as(&known, &wire, CA);
	wire.sequence++;
	sign_as(&m, &wire, NETWORK);
	expect(take(NULL, m.bytes, m.len, NULL, &known, NOW_MS), TRUST_OK, "the network key");
	manifest_clear(&known);
	manifest_clear(&m);
}

/* --- damage --- */

static void every_changed_bit_is_refused(void **state)
{
	struct wire_manifest wire = sample_manifest();
	struct identity stranger = id_of(STRANGER);
	struct manifest m;

	(void)state;
	wire.revoked_keys = stranger.key;
	wire.n_revoked_keys = 1;
	sign_as(&m, &wire, CA);
	for (size_t bit = 0; bit < 8 * m.len; bit++) {
		m.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_not_equal(take(NULL, m.bytes, m.len, NULL, NULL, NOW_MS), TRUST_OK);
		m.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	expect(take(NULL, m.bytes, m.len, NULL, NULL, NOW_MS), TRUST_OK, "unchanged");
	manifest_clear(&m);
}

static void every_truncation_is_refused(void **state)
{
	struct wire_manifest wire = sample_manifest();
	size_t unsigned_ones = 0;
	struct manifest m;

	(void)state;
	sign_as(&m, &wire, CA);
	for (size_t cut = 0; cut < m.len; cut++) {
		enum trust_refusal why = take(NULL, m.bytes, cut, NULL, NULL, NOW_MS);

		unsigned_ones += why == TRUST_SIGNER; /* cut between fields: a CA for the tail */
		assert_true(why == TRUST_MALFORMED || why == TRUST_SIGNER);
	}
	assert_int_equal(unsigned_ones, 1);
	manifest_clear(&m);
}

/* Put `fields` before the tail, and sign. */
static enum trust_refusal with_fields(const void *fields, size_t len)
{
	struct wire_manifest wire = sample_manifest();
	struct identity network = id_of(NETWORK);
	uint8_t bytes[600], hash[HASH_SIZE];
	const void *part = bytes;
	struct manifest m;
	size_t end;

	sign_as(&m, &wire, NETWORK);
	end = m.len - TAIL;
	memcpy(bytes, m.bytes, end);
	memcpy(bytes + end, fields, len);
	memcpy(bytes + end + len, network.key, KEY_SIZE);
	end += len + KEY_SIZE;
	hash_sha256(hash, &part, &end, 1);
	identity_sign(&network, MANIFEST_CONTEXT, hash, sizeof(hash), bytes + end);
	manifest_clear(&m);
	return take(NULL, bytes, end + SIGNATURE_SIZE, NULL, NULL, NOW_MS);
}

static void later_fields(void **state)
{
	(void)state;
	expect(with_fields("", 0), TRUST_OK, "none");
	expect(with_fields("\6\0\2xx\x7f\0\0", 8), TRUST_OK, "not critical");
	expect(with_fields("\x80\0\0", 3), TRUST_CRITICAL, "critical");
	expect(with_fields("\6\0\2x", 4), TRUST_MALFORMED, "malformed");
	expect(with_fields("\1\0\1n", 4), TRUST_MALFORMED, "a second name");
	expect(with_fields("\3\0\1n", 4), TRUST_MALFORMED, "a wrong list");
}

/* --- lists --- */

static void long_lists_are_searched(void **state)
{
	enum { N = 4000 };
	static uint8_t serials[N][WIRE_SERIAL_SIZE];
	struct wire_manifest wire = sample_manifest();
	struct manifest m;

	(void)state;
	for (size_t i = 0; i < N; i++) { /* the even ones */
		serials[i][6] = (uint8_t)(2 * i >> 8);
		serials[i][7] = (uint8_t)(2 * i);
	}
	wire.revoked_serials = serials[0];
	for (size_t n = 0; n <= 9; n++) {
		wire.n_revoked_serials = n < 9 ? n : N;
		sign_as(&m, &wire, NETWORK);
		for (size_t i = 0; i < 2 * N + 2; i++)
			assert_int_equal(manifest_revokes_serial(&m, i),
					 i % 2 == 0 && i / 2 < wire.n_revoked_serials);
		manifest_clear(&m);
	}
}

static void what_is_too_long_is_not_signed(void **state)
{
	static uint8_t serials[9000 * WIRE_SERIAL_SIZE];
	struct wire_manifest wire = sample_manifest();
	struct identity network = id_of(NETWORK);
	struct manifest before, m;

	(void)state;
	for (size_t i = 0; i < 9000; i++) {
		serials[i * 8 + 6] = (uint8_t)(i >> 8);
		serials[i * 8 + 7] = (uint8_t)i;
	}
	wire.revoked_serials = serials;
	wire.n_revoked_serials = 9000;
	memset(&before, 0xa5, sizeof(before));
	memcpy(&m, &before, sizeof(m));
	assert_int_equal(manifest_sign(&m, &wire, &network), GW_E_LIMIT);
	wire.n_revoked_serials = 0;
	wire.name[0] = '\0';
	assert_int_equal(manifest_sign(&m, &wire, &network), GW_E_LIMIT);
	assert_memory_equal(&m, &before, sizeof(m));
}

static int start(void **state)
{
	(void)state;
	return crypto_init();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(manifests_are_taken),
		cmocka_unit_test(signatures_are_as_specified),
		cmocka_unit_test(sequences_only_grow),
		cmocka_unit_test(expired_manifests_count),
		cmocka_unit_test(networks_are_told_apart),
		cmocka_unit_test(signers),
		cmocka_unit_test(revoked_signers),
		cmocka_unit_test(the_network_key_stays),
		cmocka_unit_test(every_changed_bit_is_refused),
		cmocka_unit_test(every_truncation_is_refused),
		cmocka_unit_test(later_fields),
		cmocka_unit_test(long_lists_are_searched),
		cmocka_unit_test(what_is_too_long_is_not_signed),
	};

	return cmocka_run_group_tests(tests, start, NULL);
}
