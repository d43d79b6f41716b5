/* tests/unit/trust_invite.c - invites: their text, who joins by one, and the text of networks. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>

#include "crypto/hash.h"
#include "crypto/word.h"
#include "trust_sample.h"

enum { D = CERTIFICATE_DELEGATE, E = CERTIFICATE_EPHEMERAL };

static struct manifest manifest;

static struct invite invite_of(const struct spec *delegate)
{
	struct invite i = { .delegate = id_of(DELEGATE) };

	start_chain(&i.chain, CA);
	add_link(&i.chain, CA, DELEGATE, delegate);
	return i;
}

/* Sees that nothing is written on failure. */
static int parse(struct invite *out, const char *text)
{
	char *copy = (char *)exact(text, strlen(text) + 1);
	struct invite before, i;
	int rv;

	memset(&before, 0xa5, sizeof(before));
	memcpy(&i, &before, sizeof(i));
	rv = invite_parse(&i, copy);
	free(copy);
	if (rv < 0)
		assert_memory_equal(&i, &before, sizeof(i));
	else if (out)
		*out = i;
	return rv;
}

/* --- text --- */

static void set_beacon(struct wire_home *h)
{
	h->udp_port = 4443;
	memset(h->host, 'h', WIRE_HOST_MAX);
}

static void invites_come_back(void **state)
{
	const struct spec s = { .flags = D, .names = "a b", .prefixes = "ci-", .groups = "x y" };
	struct invite i = invite_of(&s), back;
	char text[INVITE_TEXT_MAX], again[INVITE_TEXT_MAX];

	(void)state;
	for (unsigned round = 0; round < 4; round++) {
		if (round == 1)
			strcpy(i.wire.name, "home");
		if (round > 1)
			set_beacon(&i.wire.beacons[i.wire.n_beacons++]);
		assert_int_equal(invite_format(&i, text), 0);
		assert_true(text[0] == 'i' && strlen(text) < sizeof(text));
		assert_int_equal(parse(&back, text), 0);
		assert_memory_equal(&back.delegate, &i.delegate, sizeof(i.delegate));
		assert_memory_equal(&back.chain.links[0], &i.chain.links[0],
				    sizeof(i.chain.links[0]));
		assert_memory_equal(back.chain.network, i.chain.network, KEY_SIZE);
		assert_string_equal(back.wire.name, i.wire.name);
		assert_int_equal(back.wire.n_beacons, i.wire.n_beacons);
		assert_memory_equal(back.wire.beacons, i.wire.beacons, sizeof(i.wire.beacons));
		assert_int_equal(invite_format(&back, again), 0);
		assert_string_equal(text, again);
		for (char *c = again; *c; c++)
			*c = (char)toupper((unsigned char)*c);
		assert_int_equal(parse(NULL, again), 0);
	}
	invite_wipe(&back);
	for (size_t k = 0; k < sizeof(back); k++)
		assert_int_equal(((uint8_t *)&back)[k], 0);
}

/* docs/protocol.md, section 17. */
static void layout_is_as_specified(void **state)
{
	const struct spec s = { .flags = D };
	struct invite i = invite_of(&s);
	uint8_t bytes[WIRE_INVITE_MAX] = { 0 }, chain[WIRE_CHAIN_MAX];
	size_t len = sizeof(bytes), chain_len = wire_chain_encode(chain, &i.chain);
	char text[INVITE_TEXT_MAX];

	(void)state;
	strcpy(i.wire.name, "n");
	assert_int_equal(invite_format(&i, text), 0);
	assert_int_equal(word_decode(bytes, &len, WORD_INVITE, text), 0);
	assert_int_equal(len, 1 + 32 + 2 + chain_len + 3);
	assert_int_equal(bytes[0], 1);
	assert_memory_equal(bytes + 1, i.delegate.seed, SEED_SIZE);
	assert_int_equal(bytes[33] << 8 | bytes[34], chain_len);
	assert_memory_equal(bytes + 35, chain, chain_len);
	assert_memory_equal(bytes + 35 + chain_len, "\1\1n", 3);
}

static void damaged_text_is_refused(void **state)
{
	const struct spec s = { .flags = D, .names = "a" };
	struct invite i = invite_of(&s);
	char text[INVITE_TEXT_MAX], changed[INVITE_TEXT_MAX];
	uint8_t key[KEY_SIZE];

	(void)state;
	assert_int_equal(invite_format(&i, text), 0);
	for (size_t at = 0; text[at]; at++) {
		int rv;

		strcpy(changed, text);
		changed[at] = text[at] == 'x' ? 'y' : 'x';
		rv = parse(NULL, changed);
		if (at == 0)
			assert_int_equal(rv, GW_E_TYPE);
		else if (at > 1 && text[at + 1])
			assert_int_equal(rv, GW_E_CHECKSUM);
		else
			assert_true(rv == GW_E_CHECKSUM || rv == GW_E_TYPE || rv == GW_E_FORMAT);
		changed[at] = '1';
		assert_int_equal(parse(NULL, changed), GW_E_CHARACTER);
		changed[at] = '\0';
		rv = parse(NULL, changed);
		assert_true(rv == GW_E_LENGTH || rv == GW_E_CHECKSUM || rv == GW_E_FORMAT);
	}
	memset(changed, 'i', sizeof(changed) - 1);
	changed[sizeof(changed) - 1] = '\0';
	assert_int_equal(parse(NULL, changed), GW_E_LENGTH);
	address_format(i.delegate.key, changed);
	assert_int_equal(parse(NULL, changed), GW_E_TYPE);
	assert_int_equal(address_parse(key, text), GW_E_TYPE); /* an invite is no address */
	assert_int_equal(network_parse(key, text), GW_E_TYPE);
}

/* Encoded without a look at what it is. */
static int parse_wire(const struct wire_invite *wire)
{
	uint8_t bytes[WIRE_INVITE_MAX];
	char text[WORD_TEXT_MAX];

	word_encode(text, WORD_INVITE, bytes, wire_invite_encode(bytes, wire));
	return parse(NULL, text);
}

static void what_is_no_invite_is_refused(void **state)
{
	const struct spec d = { .flags = D }, m = { 0 };
	struct wire_invite wire = { 0 };
	struct identity delegate = id_of(DELEGATE);
	struct wire_chain c;

	(void)state;
	memcpy(wire.seed, delegate.seed, SEED_SIZE);
	start_chain(&c, CA);
	add_link(&c, CA, DELEGATE, &d);
	wire.chain_len = wire_chain_encode(wire.chain, &c);
	assert_int_equal(parse_wire(&wire), 0);
	wire.seed[0]++;
	assert_int_equal(parse_wire(&wire), GW_E_FORMAT); /* of another seed */
	wire.seed[0]--;
	wire.chain[40]++;
	assert_int_equal(parse_wire(&wire), GW_E_FORMAT); /* of another key */
	wire.chain[0] = 2;
	assert_int_equal(parse_wire(&wire), GW_E_FORMAT); /* a later chain */
	wire.chain_len = wire_chain_encode(wire.chain, &c);
	wire.chain[WIRE_CHAIN_HEAD + 2 + 48] |= 4;
	assert_int_equal(parse_wire(&wire), GW_E_VERSION); /* a later flag */
	wire.chain_len--;
	assert_int_equal(parse_wire(&wire), GW_E_FORMAT); /* cut */
	add_link(&c, DELEGATE, NODE, &m);
	wire.chain_len = wire_chain_encode(wire.chain, &c);
	assert_int_equal(parse_wire(&wire), GW_E_FORMAT); /* two links */
	start_chain(&c, CA);
	add_link(&c, CA, DELEGATE, &m);
	wire.chain_len = wire_chain_encode(wire.chain, &c);
	assert_int_equal(parse_wire(&wire), GW_E_FORMAT); /* no delegate */
}

/* The bytes under the checksum, changed or cut. */
static void wrong_bytes_are_refused(void **state)
{
	const struct spec s = { .flags = D };
	struct invite i = invite_of(&s);
	uint8_t bytes[WIRE_INVITE_MAX + 8] = { 0 };
	char text[INVITE_TEXT_MAX];
	size_t len;

	(void)state;
	i.wire.chain_len = wire_chain_encode(i.wire.chain, &i.chain);
	memcpy(i.wire.seed, i.delegate.seed, SEED_SIZE);
	len = wire_invite_encode(bytes, &i.wire);
	for (size_t cut = 0; cut < len; cut++) {
		word_encode(text, WORD_INVITE, bytes, cut);
		assert_int_equal(parse(NULL, text), cut ? GW_E_FORMAT : GW_E_LENGTH);
	}
	bytes[len] = 7; /* a later field */
	word_encode(text, WORD_INVITE, bytes, len + 2);
	assert_int_equal(parse(NULL, text), 0);
	bytes[len] = 0x80; /* a critical one */
	word_encode(text, WORD_INVITE, bytes, len + 2);
	assert_int_equal(parse(NULL, text), GW_E_VERSION);
	bytes[0] = 2;
	word_encode(text, WORD_INVITE, bytes, len);
	assert_int_equal(parse(NULL, text), GW_E_VERSION);
	word_encode(text, WORD_INVITE, bytes, WIRE_INVITE_MAX + 1);
	assert_int_equal(parse(NULL, text), GW_E_LENGTH);
}

static void what_is_no_invite_is_not_formatted(void **state)
{
	const struct spec d = { .flags = D }, m = { 0 };
	struct invite good = invite_of(&d), i = good;
	char text[INVITE_TEXT_MAX] = "before";

	(void)state;
	add_link(&i.chain, DELEGATE, NODE, &m);
	assert_int_equal(invite_format(&i, text), GW_E_INVALID);
	i = good;
	i.delegate = id_of(NODE);
	assert_int_equal(invite_format(&i, text), GW_E_INVALID);
	i = invite_of(&m);
	assert_int_equal(invite_format(&i, text), GW_E_INVALID);
	i = good;
	strcpy(i.wire.name, "N");
	assert_int_equal(invite_format(&i, text), GW_E_LIMIT);
	i = good;
	i.wire.n_beacons = WIRE_INVITE_BEACONS_MAX + 1;
	assert_int_equal(invite_format(&i, text), GW_E_LIMIT);
	assert_string_equal(text, "before");
}

/* --- joining --- */

/* Relative to NOW; UINT32_MAX: not looked at, since `result` is not 0. */
struct joining {
	const char *what;
	struct spec d;
	const char *name;
	int64_t now;
	uint32_t lifetime;
	int result;
	int64_t from, until;
};

static void join_and_check(const struct joining *row)
{
	struct identity node = id_of(NODE);
	struct join j = { .serial = 99,
			  .name = row->name,
			  .lifetime_s = row->lifetime,
			  .now_s = (uint32_t)(NOW + row->now) };
	struct invite i = invite_of(&row->d);
	uint8_t chain[WIRE_CHAIN_MAX], before[WIRE_CHAIN_MAX];
	size_t len = 12345;
	struct member m;
	int rv;

	memcpy(j.key, node.key, KEY_SIZE);
	memset(chain, 0xa5, sizeof(chain));
	memcpy(before, chain, sizeof(chain));
	rv = invite_join(&i, &j, chain, &len);
	if (rv != row->result)
		fail_msg("%s: %d, not %d", row->what, rv, row->result);
	if (rv < 0) {
		assert_memory_equal(chain, before, sizeof(chain));
		assert_int_equal(len, 12345);
		return;
	}
	assert_int_equal(member_check(&m, chain, len, &manifest, j.now_s), TRUST_OK);
	assert_memory_equal(m.key, node.key, KEY_SIZE);
	assert_string_equal(m.name, row->name ? row->name : "");
	assert_int_equal(m.serial, 99);
	assert_int_equal(m.n_groups, i.chain.links[0].n_groups);
	for (size_t g = 0; g < m.n_groups; g++)
		assert_true(member_has_group(&m, i.chain.links[0].groups[g]));
	assert_int_equal(m.ephemeral, (row->d.flags & E) != 0);
	assert_true(m.delegated);
	if (m.not_before != NOW + row->from || m.not_after != NOW + row->until)
		fail_msg("%s: from %lld until %lld", row->what, (long long)m.not_before - NOW,
			 (long long)m.not_after - NOW);
}

static void who_joins(void **state)
{
	static const struct joining rows[] = {
		{ "nameless", { .flags = D }, NULL, 0, 0, 0, 0, DAY },
		{ "ephemeral", { .flags = D | E, .groups = "a b c" }, NULL, 0, 0, 0, 0, DAY },
		{ "a name", { .flags = D, .names = "a b" }, "b", 0, 0, 0, 0, DAY },
		{ "a prefix", { .flags = D, .prefixes = "ci-" }, "ci-1", 0, 0, 0, 0, DAY },
		{ "another name", { .flags = D, .names = "a" }, "b", 0, 0, GW_E_DENIED, 0, 0 },
		{ "no name allowed", { .flags = D }, "b", 0, 0, GW_E_DENIED, 0, 0 },
		{ "no name at all",
		  { .flags = D, .prefixes = "a" },
		  "a b",
		  0,
		  0,
		  GW_E_INVALID,
		  0,
		  0 },
		{ "an empty name", { .flags = D }, "", 0, 0, GW_E_INVALID, 0, 0 },
		{ "an hour", { .flags = D }, NULL, 0, HOUR, 0, 0, HOUR },
		{ "two days", { .flags = D }, NULL, 0, 2 * DAY, 0, 0, DAY },
		{ "the longest", { .flags = D, .longest = HOUR }, NULL, 0, 0, 0, 0, HOUR },
		{ "longer", { .flags = D, .longest = 3 * DAY }, NULL, 0, 0, 0, 0, 3 * DAY },
		{ "until its end", { .flags = D, .from = -9, .until = 60 }, NULL, 0, 0, 0, 0, 60 },
		{ "at last", { .flags = D, .from = -9, .until = 60 }, NULL, 59, 0, 0, 59, 60 },
		{ "too late",
		  { .flags = D, .from = -9, .until = 60 },
		  NULL,
		  60,
		  0,
		  GW_E_TIMEOUT,
		  0,
		  0 },
		{ "10 minutes early",
		  { .flags = D, .from = 0, .until = DAY },
		  NULL,
		  -600,
		  0,
		  0,
		  0,
		  DAY },
		{ "an hour early",
		  { .flags = D, .from = 0, .until = DAY },
		  NULL,
		  -HOUR,
		  0,
		  GW_E_TIMEOUT,
		  0,
		  0 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++)
		join_and_check(&rows[i]);
}

static void a_chain_too_long_is_not_made(void **state)
{
#define X20 "xxxxxxxxxxxxxxxxxxxx"
	static const struct joining row = {
		"too long",
		{ .flags = D, .groups = "a" X20 " b" X20 " c" X20 " d" X20 " e" X20 " f" X20 },
		NULL,
		0,
		0,
		GW_E_LIMIT,
		0,
		0
	};

	(void)state;
	join_and_check(&row);
}

/* Its CA knew more than who joins by it: the bytes it signed go into the chain. */
static void later_fields_of_the_delegate_stay(void **state)
{
	const struct spec s = { .flags = D, .groups = "g" };
	struct invite i = invite_of(&s), parsed;
	struct identity ca = id_of(CA);
	uint8_t message[WIRE_KEY_SIZE + WIRE_CHAIN_MAX], chain[WIRE_CHAIN_MAX], *link;
	struct join j = { .now_s = NOW };
	char text[INVITE_TEXT_MAX];
	struct member m;
	size_t size = 49 + 3 + 4, len;

	(void)state;
	wire_chain_encode(i.wire.chain, &i.chain);
	link = i.wire.chain + WIRE_CHAIN_HEAD + 2;
	memcpy(link + 49 + 3, "\x07\2xx", 4);
	link[-1] = (uint8_t)(size + SIGNATURE_SIZE);
	memcpy(message, i.chain.network, KEY_SIZE);
	memcpy(message + KEY_SIZE, link, size);
	identity_sign(&ca, CERTIFICATE_CONTEXT, message, KEY_SIZE + size, link + size);
	memcpy(i.chain.links[0].signature, link + size, SIGNATURE_SIZE);
	i.wire.chain_len = WIRE_CHAIN_HEAD + 2 + size + SIGNATURE_SIZE;
	assert_int_equal(invite_format(&i, text), 0);
	assert_int_equal(parse(&parsed, text), 0);
	assert_int_equal(invite_join(&parsed, &j, chain, &len), 0);
	assert_int_equal(member_check(&m, chain, len, &manifest, NOW), TRUST_OK);
	assert_true(member_has_group(&m, "g"));
}

/* --- networks and names --- */

static void networks_are_words(void **state)
{
	struct identity network = id_of(NETWORK);
	char text[NETWORK_TEXT_SIZE], other[ADDRESS_SIZE];
	uint8_t key[KEY_SIZE], none[KEY_SIZE] = { 0 };

	(void)state;
	network_format(network.key, text);
	assert_true(strlen(text) == 56 && text[0] == 'c');
	assert_int_equal(network_parse(key, text), 0);
	assert_memory_equal(key, network.key, KEY_SIZE);
	memset(key, 0, sizeof(key));
	address_format(network.key, other);
	assert_int_equal(network_parse(key, other), GW_E_TYPE);
	assert_int_equal(address_parse(key, text), GW_E_TYPE);
	text[20] = text[20] == 'a' ? 'b' : 'a';
	assert_int_equal(network_parse(key, text), GW_E_CHECKSUM);
	text[20] = '!';
	assert_int_equal(network_parse(key, text), GW_E_CHARACTER);
	text[20] = '\0';
	assert_int_equal(network_parse(key, text), GW_E_LENGTH);
	network_format(none, text); /* of small order */
	assert_int_equal(network_parse(key, text), GW_E_KEY);
	assert_memory_equal(key, none, KEY_SIZE);
}

static void names_are_hashed(void **state)
{
	struct identity network = id_of(NETWORK);
	uint8_t whole[14 + KEY_SIZE + 5], hash[KEY_SIZE], want[KEY_SIZE];
	const void *part = whole;
	size_t len = sizeof(whole);

	(void)state;
	memcpy(whole, "godwit name v1", 14);
	memcpy(whole + 14, network.key, KEY_SIZE);
	memcpy(whole + 14 + KEY_SIZE, "alice", 5);
	hash_sha256(want, &part, &len, 1);
	name_hash(hash, network.key, "alice");
	assert_memory_equal(hash, want, KEY_SIZE);
	name_hash(hash, network.key, "alic");
	assert_memory_not_equal(hash, want, KEY_SIZE);
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
		cmocka_unit_test(invites_come_back),
		cmocka_unit_test(layout_is_as_specified),
		cmocka_unit_test(damaged_text_is_refused),
		cmocka_unit_test(what_is_no_invite_is_refused),
		cmocka_unit_test(wrong_bytes_are_refused),
		cmocka_unit_test(what_is_no_invite_is_not_formatted),
		cmocka_unit_test(who_joins),
		cmocka_unit_test(a_chain_too_long_is_not_made),
		cmocka_unit_test(later_fields_of_the_delegate_stay),
		cmocka_unit_test(networks_are_words),
		cmocka_unit_test(names_are_hashed),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
