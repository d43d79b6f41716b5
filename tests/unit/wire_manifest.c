/* tests/unit/wire_manifest.c - manifests, invites and the payload of a knock: both ways, the layout,
 * and what strangers may send. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/trust.h"
#include "wire_exact.h"

enum { HEAD = 49, TAIL = 96, BUFFER = 70000 };

/* In hand-written bytes. */
#define NETWORK "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"
#define SIGNER "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk"
#define SIGNATURE "ssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssss"
#define A31 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define K31 "KKKKKKKKKKKKKKKKKKKKKKKKKKKKKKK"
#define HOME K31 "K\x11\x5b\x01\xbbh"

#define BAD GW_E_FORMAT
#define ROW(what, fields, result)                                                                  \
	{                                                                                          \
		what, fields, sizeof(fields) - 1, result                                           \
	}

struct row {
	const char *what, *fields;
	size_t len;
	int result;
};

static uint8_t buffer[BUFFER];

static void expect(ssize_t used, size_t len, ssize_t result, const char *what)
{
	if (used != (result ? result : (ssize_t)len))
		fail_msg("%s: %zd, not %zd", what, used, result);
}

/* --- manifests --- */

static ssize_t decode(struct wire_manifest *out, const void *data, size_t len)
{
	uint8_t *copy = exact(data, len);
	struct wire_manifest before, m;
	ssize_t used;

	memset(&before, 0xa5, sizeof(before));
	memcpy(&m, &before, sizeof(m));
	used = wire_manifest_decode(&m, copy, len);
	if (used <= 0) {
		assert_true(used == GW_E_FORMAT || used == GW_E_VERSION);
		assert_memory_equal(&m, &before, sizeof(m));
	} else {
		assert_int_equal(used, len);
		if (m.n_revoked_keys)
			m.revoked_keys = (const uint8_t *)data + (m.revoked_keys - copy);
		if (m.n_revoked_serials)
			m.revoked_serials = (const uint8_t *)data + (m.revoked_serials - copy);
		if (out)
			*out = m;
	}
	free(copy);
	return used;
}

/* Of these fields; in `buffer`. */
static size_t compose(const void *fields, size_t len)
{
	memcpy(buffer, "\1" NETWORK "\0\0\1\2\3\4\5\6\0\0\0\7\0\0\0\x8", HEAD);
	if (len)
		memcpy(buffer + HEAD, fields, len);
	memcpy(buffer + HEAD + len, SIGNER SIGNATURE, TAIL);
	return HEAD + len + TAIL;
}

#define NAME "\1\0\1n"
#define CA(letter) "\2\0\x60" letter K31 SIGNATURE
#define BEACON "\5\0\x25" HOME
#define SERIAL(letter) "\0\0\0\0\0\0\0" letter

static void manifest_fields_are_checked(void **state)
{
	static const struct row rows[] = {
		ROW("a name", NAME, 0),
		ROW("no name", "", BAD),
		ROW("an empty name", "\1\0\0", BAD),
		ROW("two names", NAME NAME, BAD),
		ROW("an empty one after", NAME "\1\0\0", BAD),
		ROW("63 characters", "\1\0\x3f" A31 A31 "a", 0),
		ROW("64 characters", "\1\0\x40" A31 A31 "aa", BAD),
		ROW("a wrong name", "\1\0\1N", BAD),
		ROW("a name with NUL", "\1\0\2a\0", BAD),
		ROW("three CAs", NAME CA("a") CA("b") CA("c"), 0),
		ROW("four CAs", NAME CA("a") CA("b") CA("c") CA("d"), BAD),
		ROW("the same CA twice", NAME CA("a") CA("b") CA("a"), BAD),
		ROW("the network key", NAME "\2\0\x60" NETWORK SIGNATURE, BAD),
		ROW("a CA that begins like it",
		    NAME "\2\0\x60nnnn"
			 "KKKKKKKKKKKKKKKKKKKKKKKKKKKK" SIGNATURE,
		    BAD),
		ROW("that begins a bit like it",
		    NAME "\2\0\x60nnn"
			 "KKKKKKKKKKKKKKKKKKKKKKKKKKKKK" SIGNATURE,
		    0),
		ROW("a CA too short", NAME "\2\0\x5f" K31 SIGNATURE, BAD),
		ROW("a CA too long", NAME "\2\0\x61" K31 "aa" SIGNATURE, BAD),
		ROW("a revoked key", NAME "\3\0\x20" K31 "a", 0),
		ROW("two of them", NAME "\3\0\x40" K31 "a" K31 "b", 0),
		ROW("descending", NAME "\3\0\x40" K31 "b" K31 "a", BAD),
		ROW("the same", NAME "\3\0\x40" K31 "a" K31 "a", BAD),
		ROW("descending at last", NAME "\3\0\x60" K31 "a" K31 "b" K31 "a", BAD),
		ROW("above 127", NAME "\3\0\x40" K31 "a" K31 "\xff", 0),
		ROW("no revoked key", NAME "\3\0\0", BAD),
		ROW("31 bytes", NAME "\3\0\x1f" K31, BAD),
		ROW("33 bytes", NAME "\3\0\x21" K31 "aa", BAD),
		ROW("two fields",
		    NAME "\3\0\x20" K31 "a"
			 "\3\0\x20" K31 "b",
		    BAD),
		ROW("serials", NAME "\4\0\x18" SERIAL("\0") SERIAL("\1") SERIAL("\x80"), 0),
		ROW("serials descending", NAME "\4\0\x10" SERIAL("\1") SERIAL("\0"), BAD),
		ROW("the same serial", NAME "\4\0\x10" SERIAL("\1") SERIAL("\1"), BAD),
		ROW("no serial", NAME "\4\0\0", BAD),
		ROW("7 bytes", NAME "\4\0\7aaaaaaa", BAD),
		ROW("two fields of serials", NAME "\4\0\x8" SERIAL("\1") "\4\0\x8" SERIAL("\2"),
		    BAD),
		ROW("four beacons", NAME BEACON BEACON BEACON BEACON, 0),
		ROW("five beacons", NAME BEACON BEACON BEACON BEACON BEACON, BAD),
		ROW("no host", NAME "\5\0\x24" K31 "K\x11\x5b\x01\xbb", BAD),
		ROW("a space", NAME "\5\0\x25" K31 "K\x11\x5b\x01\xbb ", BAD),
		ROW("NUL in the host", NAME "\5\0\x26" K31 "K\x11\x5b\x01\xbbh\0", BAD),
		ROW("port 0", NAME "\5\0\x25" K31 "K\0\0\x01\xbbh", BAD),
		ROW("no TLS port", NAME "\5\0\x25" K31 "K\0\1\0\0h", 0),
		ROW("a host too long", NAME "\5\0\xa5" K31 "K\0\1\0\0" A31 A31 A31 A31 "aaaaa",
		    BAD),
		ROW("the longest host", NAME "\5\0\xa4" K31 "K\0\1\0\0" A31 A31 A31 A31 "aaaa", 0),
		ROW("a beacon cut", NAME "\5\0\x20" K31 "K", BAD),
		ROW("unknown fields", "\0\0\0\6\0\2xx" NAME "\x7f\0\1\0", 0),
		ROW("critical", NAME "\x80\0\0", GW_E_VERSION),
		ROW("critical, no name", "\xff\0\1x", GW_E_VERSION),
		ROW("critical, malformed", "\xff\0\1x\1", BAD),
		ROW("no length", NAME "\6", BAD),
		ROW("half a length", NAME "\6\0", BAD),
		ROW("no value", NAME "\6\0\1", BAD),
		ROW("a value beyond", NAME "\6\xff\xff", BAD),
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		size_t len = compose(rows[i].fields, rows[i].len);

		expect(decode(NULL, buffer, len), len, rows[i].result, rows[i].what);
	}
}

static void heads_are_checked(void **state)
{
	static const struct {
		const char *what;
		size_t at;
		const char *bytes;
		size_t len;
		int result;
	} rows[] = {
		{ "version 0", 0, "\0", 1, BAD },
		{ "version 2", 0, "\2", 1, BAD },
		{ "the greatest sequence", 33, "\x3f\xff\xff\xff\xff\xff\xff\xff", 8, 0 },
		{ "a sequence that fits no frame", 33, "\x40\0\0\0\0\0\0\0", 8, BAD },
		{ "for no time", 41, "\0\0\0\7\0\0\0\7", 8, BAD },
		{ "for less", 41, "\0\0\0\7\0\0\0\6", 8, BAD },
		{ "for ever", 41, "\0\0\0\0\xff\xff\xff\xff", 8, 0 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		size_t len = compose(NAME, 4);

		memcpy(buffer + rows[i].at, rows[i].bytes, rows[i].len);
		expect(decode(NULL, buffer, len), len, rows[i].result, rows[i].what);
	}
}

/* The end is not marked: cut between its fields it may be one, with another signer. */
static void every_truncated_manifest_is_refused(void **state)
{
	static const char FIELDS[] = NAME CA("a") "\3\0\x20" K31 "a" BEACON;
	size_t len = compose(FIELDS, sizeof(FIELDS) - 1), accepted = 0;

	(void)state;
	for (size_t cut = 0; cut < len; cut++) {
		ssize_t used = decode(NULL, buffer, cut);

		accepted += used > 0;
		assert_true(used == BAD || used == (ssize_t)cut);
	}
	assert_int_equal(accepted, 3); /* after name, CA, and revoked keys */
}

static struct wire_manifest sample(uint8_t *keys, size_t n_keys, uint8_t *serials, size_t n_serials)
{
	struct wire_manifest m = { .sequence = WIRE_VARINT_MAX,
				   .issued = 0x01020304,
				   .expires = 0xf1020304,
				   .n_cas = 3,
				   .n_beacons = 4,
				   .revoked_keys = keys,
				   .n_revoked_keys = n_keys,
				   .revoked_serials = serials,
				   .n_revoked_serials = n_serials };

	fill(m.network, WIRE_KEY_SIZE, 0x30);
	fill(m.signer, WIRE_KEY_SIZE, 0x40);
	fill(m.signature, WIRE_SIGNATURE_SIZE, 0x50);
	memset(m.name, 'n', WIRE_NAME_MAX);
	for (size_t i = 0; i < m.n_cas; i++) {
		fill(m.cas[i].key, WIRE_KEY_SIZE, (uint8_t)(0x60 + i));
		fill(m.cas[i].signature, WIRE_SIGNATURE_SIZE, (uint8_t)(0x70 + i));
	}
	for (size_t i = 0; i < m.n_beacons; i++) {
		fill(m.beacons[i].key, WIRE_KEY_SIZE, (uint8_t)(0x80 + i));
		m.beacons[i].udp_port = (uint16_t)(1 + i);
		m.beacons[i].tls_port = (uint16_t)(0xffff * (i & 1));
		memset(m.beacons[i].host, 'h', 1 + i * 42);
	}
	for (size_t i = 0; i < n_keys; i++) {
		memset(keys + i * WIRE_KEY_SIZE, 0, WIRE_KEY_SIZE);
		keys[i * WIRE_KEY_SIZE] = (uint8_t)(i >> 8);
		keys[i * WIRE_KEY_SIZE + 31] = (uint8_t)i;
	}
	for (size_t i = 0; i < n_serials; i++) {
		memset(serials + i * 8, 0xff, 8);
		serials[i * 8] = (uint8_t)(i >> 8);
		serials[i * 8 + 7] = (uint8_t)i;
	}
	return m;
}

static void assert_same(const struct wire_manifest *a, const struct wire_manifest *b)
{
	struct wire_manifest x = *a, y = *b;

	assert_int_equal(x.n_revoked_keys, y.n_revoked_keys);
	assert_int_equal(x.n_revoked_serials, y.n_revoked_serials);
	if (x.n_revoked_keys)
		assert_memory_equal(x.revoked_keys, y.revoked_keys, x.n_revoked_keys * 32);
	if (x.n_revoked_serials)
		assert_memory_equal(x.revoked_serials, y.revoked_serials, x.n_revoked_serials * 8);
	x.revoked_keys = y.revoked_keys = x.revoked_serials = y.revoked_serials = NULL;
	assert_memory_equal(&x, &y, sizeof(x));
}

static void manifests_come_back(void **state)
{
	static uint8_t keys[2048 * 32], serials[3000 * 8];
	static const size_t counts[][2] = { { 0, 0 }, { 1, 0 }, { 0, 1 }, { 1000, 3000 } };
	size_t most = 0, len;
	struct wire_manifest m, back;

	(void)state;
	for (size_t i = 0; i < COUNT(counts); i++) {
		m = sample(keys, counts[i][0], serials, counts[i][1]);
		len = wire_manifest_encode(buffer, sizeof(buffer), &m);
		assert_true(len > 0);
		assert_int_equal(decode(&back, buffer, len), len);
		assert_same(&back, &m);
		assert_int_equal(wire_manifest_encode(buffer, len, &m), len);
		memset(buffer, 0xa5, 100);
		assert_int_equal(wire_manifest_encode(buffer, len - 1, &m), 0);
		assert_int_equal(buffer[0], 0xa5);
	}
	for (size_t n = 1900; n <= 2048; n++) {
		m = sample(keys, n, serials, 1);
		len = wire_manifest_encode(buffer, sizeof(buffer), &m);
		if (len == 0)
			break;
		assert_true(len <= WIRE_MANIFEST_MAX);
		assert_int_equal(decode(&back, buffer, len), len);
		most = n;
	}
	assert_in_range(most, 1900, 2047);
}

static void longest_manifest_has_65535_bytes(void **state)
{
	size_t room = WIRE_MANIFEST_MAX - HEAD - TAIL, len;

	(void)state;
	len = compose(NAME "\6\xff\0", 7);
	memset(buffer + HEAD + 7, 0, BUFFER - HEAD - 7);
	buffer[HEAD + 5] = (uint8_t)((room - 7) >> 8);
	buffer[HEAD + 6] = (uint8_t)(room - 7);
	len = HEAD + room + TAIL;
	expect(decode(NULL, buffer, len), len, 0, "65,535");
	buffer[HEAD + 6]++;
	expect(decode(NULL, buffer, len + 1), len, BAD, "65,536");
}

static void wrong_manifests_are_not_encoded(void **state)
{
	static uint8_t keys[4 * 32], serials[4 * 8];
	struct wire_manifest good = sample(keys, 2, serials, 2), m;

	(void)state;
#define WITH(change)                                                                               \
	(m = good, change, assert_int_equal(wire_manifest_encode(buffer, sizeof(buffer), &m), 0))
	assert_true(wire_manifest_encode(buffer, sizeof(buffer), &good) > 0);
	WITH(m.n_cas = WIRE_MANIFEST_CAS_MAX + 1);
	WITH(m.n_beacons = WIRE_MANIFEST_BEACONS_MAX + 1);
	WITH(m.n_revoked_keys = SIZE_MAX / 16);
	WITH(m.n_revoked_serials = SIZE_MAX / 4);
	WITH(m.sequence++);
	WITH(m.expires = m.issued);
	WITH(m.name[0] = '\0');
	WITH(m.name[0] = '-');
	WITH(memset(m.name, 'n', sizeof(m.name)));
	WITH(m.beacons[3].udp_port = 0);
	WITH(m.beacons[3].host[0] = '\0');
	WITH(memset(m.beacons[3].host, 'h', sizeof(m.beacons[3].host)));
	WITH(memcpy(m.cas[2].key, m.network, WIRE_CA_HINT));
	WITH(memcpy(m.cas[2].key, m.cas[0].key, WIRE_CA_HINT));
	WITH(m.revoked_keys = (const uint8_t *)K31 "b" K31 "a");
	WITH(m.revoked_serials = (const uint8_t *)"aaaaaaaaaaaaaaaa");
#undef WITH
}

/* --- invites --- */

static ssize_t invite(struct wire_invite *out, const void *data, size_t len)
{
	uint8_t *copy = exact(data, len);
	struct wire_invite before, i;
	ssize_t used;

	memset(&before, 0xa5, sizeof(before));
	memcpy(&i, &before, sizeof(i));
	used = wire_invite_decode(&i, copy, len);
	free(copy);
	if (used <= 0)
		assert_memory_equal(&i, &before, sizeof(i));
	else if (out)
		*out = i;
	return used;
}

#define SEED "SSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSS"
#define INVITE "\1" SEED "\0\5chain"
#define SHORT_HOME "\5\x25" HOME

static void invites_are_checked(void **state)
{
	static const struct row rows[] = {
		ROW("bare", INVITE, 0),
		ROW("with a name", INVITE "\1\1n", 0),
		ROW("two names", INVITE "\1\1n\1\1n", BAD),
		ROW("an empty name", INVITE "\1\0", BAD),
		ROW("a wrong name", INVITE "\1\1N", BAD),
		ROW("a name too long", INVITE "\1\x40" A31 A31 "aa", BAD),
		ROW("two beacons", INVITE SHORT_HOME SHORT_HOME, 0),
		ROW("three", INVITE SHORT_HOME SHORT_HOME SHORT_HOME, BAD),
		ROW("port 0", INVITE "\5\x25" K31 "K\0\0\0\0h", BAD),
		ROW("unknown", INVITE "\2\0\7\1x" SHORT_HOME, 0),
		ROW("critical", INVITE "\x80\0", GW_E_VERSION),
		ROW("critical, malformed", INVITE "\x80\0\1", BAD),
		ROW("a field cut", INVITE "\1", BAD),
		ROW("a value cut", INVITE "\7\2x", BAD),
		ROW("version 0", "\0" SEED "\0\5chain", GW_E_VERSION),
		ROW("version 2", "\2" SEED "\0\5chain", GW_E_VERSION),
		ROW("no chain", "\1" SEED "\0\0\7\0", BAD),
		ROW("a chain cut", "\1" SEED "\0\6chain", BAD),
		ROW("a chain too long",
		    "\1" SEED
		    "\1\xf5" A31 A31 A31 A31 A31 A31 A31 A31 A31 A31 A31 A31 A31 A31 A31 A31 A31,
		    BAD),
		ROW("the longest chain",
		    "\1" SEED
		    "\1\xf4" A31 A31 A31 A31 A31 A31 A31 A31 A31 A31 A31 A31 A31 A31 A31 A31 "aaaa",
		    0),
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++)
		expect(invite(NULL, rows[i].fields, rows[i].len), rows[i].len, rows[i].result,
		       rows[i].what);
	for (size_t len = 0; len < sizeof(INVITE) - 1; len++)
		expect(invite(NULL, INVITE, len), len, BAD, "cut");
}

static void invites_come_back(void **state)
{
	struct wire_invite i = { .chain_len = 5, .chain = "chain", .seed = SEED }, back;
	uint8_t bytes[WIRE_INVITE_MAX];

	(void)state;
	assert_int_equal(wire_invite_encode(bytes, &i), sizeof(INVITE) - 1);
	assert_memory_equal(bytes, INVITE, sizeof(INVITE) - 1);
	fill(i.chain, WIRE_CHAIN_MAX, 1);
	i.chain_len = WIRE_CHAIN_MAX;
	memset(i.name, 'n', WIRE_NAME_MAX);
	for (i.n_beacons = 0; i.n_beacons <= WIRE_INVITE_BEACONS_MAX; i.n_beacons++) {
		size_t len = wire_invite_encode(bytes, &i);

		assert_in_range(len, 1, WIRE_INVITE_MAX);
		assert_int_equal(invite(&back, bytes, len), len);
		assert_memory_equal(&back, &i, sizeof(i));
		memset(i.beacons[i.n_beacons & 1].host, 'h', WIRE_HOST_MAX);
		i.beacons[i.n_beacons & 1].udp_port = 4443;
	}
	assert_int_equal(wire_invite_encode(bytes, &i), 0); /* three beacons */
	i.n_beacons = 0;
	i.chain_len = 0;
	assert_int_equal(wire_invite_encode(bytes, &i), 0);
	i.chain_len = WIRE_CHAIN_MAX + 1;
	assert_int_equal(wire_invite_encode(bytes, &i), 0);
	i.chain_len = 1;
	memset(i.name, 'n', sizeof(i.name));
	assert_int_equal(wire_invite_encode(bytes, &i), 0);
}

/* --- knocks --- */

static void knocks_come_back(void **state)
{
	uint8_t bytes[WIRE_KNOCK_PAYLOAD_MAX + 1] = { 0 }, chain[WIRE_CHAIN_MAX];
	struct wire_knock k = { .wall_ms = UINT64_MAX - 1, .chain = chain }, back;

	(void)state;
	fill(chain, sizeof(chain), 9);
	fill(k.key, WIRE_KEY_SIZE, 0x99);
	fill(k.answer, WIRE_ANSWER_SIZE, 0x33);
	fill(k.courtesy, WIRE_COURTESY_SIZE, 0x44);
	for (k.chain_len = 0; k.chain_len <= WIRE_CHAIN_MAX; k.chain_len++) {
		size_t len = wire_knock_encode(bytes, &k);
		uint8_t *copy = exact(bytes, len);

		assert_int_equal(len, 64 + k.chain_len);
		assert_int_equal(wire_knock_decode(&back, copy, len), len);
		assert_true(back.wall_ms == k.wall_ms && back.chain_len == k.chain_len);
		assert_memory_equal(back.key, k.key, WIRE_KEY_SIZE);
		assert_memory_equal(back.answer, k.answer, WIRE_ANSWER_SIZE);
		assert_memory_equal(back.courtesy, k.courtesy, WIRE_COURTESY_SIZE);
		assert_ptr_equal(back.chain, k.chain_len ? copy + 64 : NULL);
		if (k.chain_len)
			assert_memory_equal(back.chain, chain, k.chain_len);
		free(copy);
	}
	memset(&k, 0xa5, sizeof(k));
	memcpy(&back, &k, sizeof(k));
	for (size_t len = 0; len < 64; len++)
		assert_int_equal(wire_knock_decode(&back, bytes, len), BAD);
	assert_int_equal(wire_knock_decode(&back, bytes, sizeof(bytes)), BAD);
	assert_memory_equal(&back, &k, sizeof(k));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(manifest_fields_are_checked),
		cmocka_unit_test(heads_are_checked),
		cmocka_unit_test(every_truncated_manifest_is_refused),
		cmocka_unit_test(manifests_come_back),
		cmocka_unit_test(longest_manifest_has_65535_bytes),
		cmocka_unit_test(wrong_manifests_are_not_encoded),
		cmocka_unit_test(invites_are_checked),
		cmocka_unit_test(invites_come_back),
		cmocka_unit_test(knocks_come_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
