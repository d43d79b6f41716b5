/* tests/unit/wire_trust.c - certificate chains: both ways, the layout, and what strangers may send. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/rng.h"
#include "wire/trust.h"
#include "wire_exact.h"

enum { LINK_FIXED = 49, BUFFER = 2000 };
enum { DELEGATE = CERTIFICATE_DELEGATE, EPHEMERAL = CERTIFICATE_EPHEMERAL };

/* In hand-written bytes. */
#define NETWORK "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"
#define KEY "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk"
#define SIGNATURE "ssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssss"
#define A31 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

/* From memory of exactly that size; in *out what is part of those bytes is part of `data`. */
static ssize_t decode(struct wire_chain *out, const void *data, size_t len)
{
	uint8_t *copy = exact(data, len);
	struct wire_chain before, result;
	ssize_t used;

	memset(&before, 0xa5, sizeof(before));
	memcpy(&result, &before, sizeof(result));
	used = wire_chain_decode(&result, copy, len);
	if (used <= 0) {
		assert_true(used == GW_E_FORMAT || used == GW_E_VERSION);
		assert_memory_equal(&result, &before, sizeof(result));
		free(copy);
		return used;
	}
	assert_int_equal(used, len);
	for (size_t i = 0; i < result.n_links; i++) {
		size_t offset = (size_t)(result.signed_part[i].data - copy);

		assert_true(offset < len && result.signed_part[i].len < len - offset);
		result.signed_part[i].data = (const uint8_t *)data + offset;
	}
	free(copy);
	if (out)
		*out = result;
	return used;
}

/* A chain of one or more links that are composed by hand. */
static size_t head(uint8_t out[BUFFER])
{
	memcpy(out, "\1" NETWORK "caca", WIRE_CHAIN_HEAD);
	return WIRE_CHAIN_HEAD;
}

static size_t add_link(uint8_t out[BUFFER], size_t at, uint8_t flags, const void *fields,
		       size_t len)
{
	size_t size = LINK_FIXED + len + WIRE_SIGNATURE_SIZE;

	assert_true(at + 2 + size <= BUFFER);
	out[at++] = (uint8_t)(size >> 8);
	out[at++] = (uint8_t)size;
	memcpy(out + at, KEY "\1\2\3\4\5\6\7\x8\0\0\0\1\0\0\0\2", LINK_FIXED - 1);
	out[at + LINK_FIXED - 1] = flags;
	if (len)
		memcpy(out + at + LINK_FIXED, fields, len);
	memcpy(out + at + LINK_FIXED + len, SIGNATURE, WIRE_SIGNATURE_SIZE);
	return at + size;
}

static void expect(const uint8_t *data, size_t len, ssize_t result, const char *what)
{
	ssize_t used = decode(NULL, data, len);

	if (used != (result ? result : (ssize_t)len))
		fail_msg("%s: %zd, not %zd", what, used, result);
}

/* --- what comes back --- */

static void set_texts(char *texts, size_t size, size_t n, size_t len)
{
	for (size_t i = 0; i < n; i++) {
		memset(texts + i * size, 'x', len);
		texts[i * size] = (char)('a' + i);
	}
}

static struct wire_certificate certificate(uint8_t flags, size_t names, size_t prefixes,
					   size_t groups, size_t len)
{
	struct wire_certificate c = { .flags = flags,
				      .n_names = names,
				      .n_prefixes = prefixes,
				      .n_groups = groups,
				      .not_before = 1,
				      .not_after = UINT32_MAX,
				      .serial = UINT64_MAX - len };

	fill(c.key, WIRE_KEY_SIZE, (uint8_t)len);
	fill(c.signature, WIRE_SIGNATURE_SIZE, (uint8_t)~len);
	set_texts(c.names[0], sizeof(c.names[0]), names, len);
	set_texts(c.prefixes[0], sizeof(c.prefixes[0]), prefixes, len);
	set_texts(c.groups[0], sizeof(c.groups[0]), groups, len > WIRE_GROUP_MAX ? 1 : len);
	c.longest = flags & DELEGATE ? (uint32_t)len : 0;
	return c;
}

static struct wire_chain chain(size_t n, struct wire_certificate first,
			       struct wire_certificate second)
{
	struct wire_chain c = { .n_links = n, .links = { first, second } };

	fill(c.network, WIRE_KEY_SIZE, 0x70);
	memcpy(c.ca, "hint", WIRE_CA_HINT);
	if (n == 1)
		memset(&c.links[1], 0, sizeof(c.links[1]));
	return c;
}

static void assert_same(const struct wire_chain *a, const struct wire_chain *b)
{
	struct wire_chain x = *a, y = *b;

	memset(x.signed_part, 0, sizeof(x.signed_part));
	memset(y.signed_part, 0, sizeof(y.signed_part));
	assert_memory_equal(x.network, y.network, sizeof(x.network));
	assert_memory_equal(x.ca, y.ca, sizeof(x.ca));
	assert_int_equal(x.n_links, y.n_links);
	for (size_t i = 0; i < x.n_links; i++)
		assert_memory_equal(&x.links[i], &y.links[i], sizeof(x.links[i]));
}

static void chains_come_back(void **state)
{
	struct wire_chain samples[] = {
		chain(1, certificate(0, 0, 0, 0, 1), certificate(0, 0, 0, 0, 1)),
		chain(1, certificate(EPHEMERAL, 1, 0, 8, 2), certificate(0, 0, 0, 0, 1)),
		chain(1, certificate(0, 1, 0, 8, 63), certificate(0, 0, 0, 0, 1)),
		chain(1, certificate(DELEGATE, 4, 4, 8, 9), certificate(0, 0, 0, 0, 1)),
		chain(2, certificate(DELEGATE | EPHEMERAL, 2, 2, 8, 5), certificate(2, 1, 0, 8, 4)),
		chain(2, certificate(0, 1, 0, 1, 32), certificate(DELEGATE, 1, 1, 1, 32)),
	};

	(void)state;
	for (size_t i = 0; i < COUNT(samples); i++) {
		uint8_t bytes[WIRE_CHAIN_MAX], part[WIRE_KEY_SIZE + WIRE_CHAIN_MAX];
		size_t len = wire_chain_encode(bytes, &samples[i]);
		struct wire_chain back;

		assert_true(len > 0 && len <= WIRE_CHAIN_MAX);
		assert_int_equal(decode(&back, bytes, len), len);
		assert_same(&back, &samples[i]);
		for (size_t k = 0; k < back.n_links; k++) {
			len = wire_certificate_signed(part, back.network, &back.links[k]);
			assert_int_equal(len, WIRE_KEY_SIZE + back.signed_part[k].len);
			assert_memory_equal(part, back.network, WIRE_KEY_SIZE);
			assert_memory_equal(part + WIRE_KEY_SIZE, back.signed_part[k].data,
					    len - WIRE_KEY_SIZE);
		}
	}
}

/* docs/protocol.md, section 17. */
static void layout_is_as_specified(void **state)
{
	static const char FIELDS[] = "\1\2ab\2\1g\2\2hh\3\3ci-\4\4\0\1\x51\x80";
	struct wire_chain c = { .n_links = 1, .network = NETWORK, .ca = "caca" };
	struct wire_certificate *link = &c.links[0];
	uint8_t bytes[WIRE_CHAIN_MAX], want[BUFFER];
	size_t len = add_link(want, head(want), DELEGATE, FIELDS, sizeof(FIELDS) - 1);

	(void)state;
	*link = (struct wire_certificate){ .key = KEY,
					   .serial = UINT64_C(0x0102030405060708),
					   .not_before = 1,
					   .not_after = 2,
					   .flags = DELEGATE,
					   .n_names = 1,
					   .names = { "ab" },
					   .n_groups = 2,
					   .groups = { "g", "hh" },
					   .n_prefixes = 1,
					   .prefixes = { "ci-" },
					   .longest = 86400,
					   .signature = SIGNATURE };
	assert_int_equal(wire_chain_encode(bytes, &c), len);
	assert_memory_equal(bytes, want, len);
}

/* docs/protocol.md: it has to fit into the first packet, with a knock around it. */
static void realistic_chain_fits(void **state)
{
	struct wire_chain c =
		chain(2, certificate(DELEGATE, 2, 0, 3, 16), certificate(EPHEMERAL, 1, 0, 3, 16));
	uint8_t bytes[WIRE_CHAIN_MAX];

	(void)state;
	assert_in_range(wire_chain_encode(bytes, &c), 400, WIRE_CHAIN_MAX);
	c.links[0].longest = 0;
	set_texts(c.links[0].names[0], sizeof(c.links[0].names[0]), 2, 25);
	set_texts(c.links[1].names[0], sizeof(c.links[1].names[0]), 1, 25);
	assert_in_range(wire_chain_encode(bytes, &c), 400, WIRE_CHAIN_MAX);
}

/* --- fields that strangers may write --- */

#define ROW(what, flags, fields, result)                                                           \
	{                                                                                          \
		what, flags, fields, sizeof(fields) - 1, result                                    \
	}
#define G(letter) "\2\1" letter
#define EIGHT G("a") G("b") G("c") G("d") G("e") G("f") G("g") G("h")
#define N(letter) "\1\1" letter
#define P(letter) "\3\1" letter
#define BAD GW_E_FORMAT

static void fields_are_checked(void **state)
{
	static const struct {
		const char *what;
		uint8_t flags;
		const char *fields;
		size_t len;
		int result;
	} rows[] = {
		ROW("nothing", 0, "", 0),
		ROW("a name", 0, N("a"), 0),
		ROW("a digit and a hyphen", 0,
		    "\1\3"
		    "0-9",
		    0),
		ROW("63 characters", 0, "\1\x3f" A31 A31 "a", 0),
		ROW("64 characters", 0, "\1\x40" A31 A31 "aa", BAD),
		ROW("an empty name", 0, "\1\0", BAD),
		ROW("upper case", 0, N("A"), BAD),
		ROW("a dot", 0, "\1\3a.b", BAD),
		ROW("an underscore", 0, "\1\3a_b", BAD),
		ROW("a space", 0, "\1\2a ", BAD),
		ROW("above ASCII", 0, "\1\2a\xe4", BAD),
		ROW("a hyphen first", 0, "\1\2-a", BAD),
		ROW("a NUL inside", 0, "\1\3a\0b", BAD),
		ROW("a NUL at the end", 0, "\1\2a\0", BAD),
		ROW("two names of a member", 0, N("a") N("b"), BAD),
		ROW("the same name twice", 0, N("a") N("a"), BAD),
		ROW("eight groups", 0, EIGHT, 0),
		ROW("nine groups", 0, EIGHT G("i"), BAD),
		ROW("the same group twice", 0, G("a") G("b") G("a"), BAD),
		ROW("32 characters", 0, "\2\x20" A31 "a", 0),
		ROW("33 characters", 0, "\2\x21" A31 "aa", BAD),
		ROW("an empty group", 0, "\2\0", BAD),
		ROW("a group of upper case", 0, G("A"), BAD),
		ROW("a group with NUL", 0, "\2\2a\0", BAD),
		ROW("any order", 0, G("b") N("a") G("a"), 0),
		ROW("a prefix of a member", 0, P("a"), BAD),
		ROW("the longest of a member", 0, "\4\4\0\0\0\1", BAD),
		ROW("unknown fields", 0, "\0\0" N("a") "\5\2xx" G("a") "\x7f\3\0\0\0", 0),
		ROW("critical", 0, "\x80\0", GW_E_VERSION),
		ROW("critical, the last tag", 0, N("a") "\xff\1x" G("a"), GW_E_VERSION),
		ROW("critical, and what may be right then", 0, P("a") "\x80\0", GW_E_VERSION),
		ROW("critical, and malformed", 0, "\x80\2x", BAD),
		ROW("critical, and a wrong text", 0, "\x80\0\1\0", BAD),
		ROW("no length", 0, "\1", BAD),
		ROW("no value", 0, N("a") "\2\1", BAD),
		ROW("no value of an unknown", 0, "\5\xff", BAD),
		ROW("ephemeral", EPHEMERAL, N("a"), 0),
		ROW("both flags", EPHEMERAL | DELEGATE, N("a"), 0),
		ROW("an unknown flag", 4, "", GW_E_VERSION),
		ROW("all flags", 0xff, "", GW_E_VERSION),
		ROW("an unknown flag, malformed", 0x80, "\1", BAD),
		ROW("four names of a delegate", DELEGATE, N("a") N("b") N("c") N("d"), 0),
		ROW("five", DELEGATE, N("a") N("b") N("c") N("d") N("e"), BAD),
		ROW("the same twice", DELEGATE, N("a") N("b") N("b"), BAD),
		ROW("four prefixes", DELEGATE, P("a") P("b") P("c") P("d"), 0),
		ROW("five prefixes", DELEGATE, P("a") P("b") P("c") P("d") P("e"), BAD),
		ROW("the same prefix twice", DELEGATE, P("a") P("a"), BAD),
		ROW("a name that is a prefix", DELEGATE, N("a") P("a"), 0),
		ROW("an empty prefix", DELEGATE, "\3\0", BAD),
		ROW("a wrong prefix", DELEGATE, "\3\1-", BAD),
		ROW("nine groups of a delegate", DELEGATE, EIGHT G("i"), BAD),
		ROW("the longest", DELEGATE, "\4\4\0\0\0\1", 0),
		ROW("the longest there is", DELEGATE, "\4\4\xff\xff\xff\xff", 0),
		ROW("0 seconds", DELEGATE, "\4\4\0\0\0\0", BAD),
		ROW("the longest twice", DELEGATE, "\4\4\0\0\0\1\4\4\0\0\0\1", BAD),
		ROW("too short", DELEGATE, "\4\3\0\0\1", BAD),
		ROW("too long", DELEGATE, "\4\5\0\0\0\1\0", BAD),
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		uint8_t bytes[BUFFER];
		size_t len =
			add_link(bytes, head(bytes), rows[i].flags, rows[i].fields, rows[i].len);

		expect(bytes, len, rows[i].result, rows[i].what);
		/* and in a second link */
		len = add_link(bytes, head(bytes), DELEGATE, "", 0);
		len = add_link(bytes, len, rows[i].flags, rows[i].fields, rows[i].len);
		expect(bytes, len, rows[i].result, rows[i].what);
	}
}

static void times_are_checked(void **state)
{
	static const struct {
		const char *times;
		ssize_t result;
	} rows[] = {
		{ "\0\0\0\0\0\0\0\1", 0 },           { "\xff\xff\xff\xfe\xff\xff\xff\xff", 0 },
		{ "\0\0\0\1\0\0\0\1", BAD },         { "\0\0\0\2\0\0\0\1", BAD },
		{ "\xff\xff\xff\xff\0\0\0\0", BAD },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		uint8_t bytes[BUFFER];
		size_t len = add_link(bytes, head(bytes), 0, "", 0);

		memcpy(bytes + WIRE_CHAIN_HEAD + 2 + 40, rows[i].times, 8);
		expect(bytes, len, rows[i].result, "times");
	}
}

/* --- chains that strangers may compose --- */

static void shape_is_checked(void **state)
{
	uint8_t bytes[BUFFER];
	size_t one = add_link(bytes, head(bytes), 0, "", 0), len;

	(void)state;
	for (unsigned version = 0; version < 256; version++) {
		bytes[0] = (uint8_t)version;
		expect(bytes, one, version == 1 ? 0 : BAD, "version");
	}
	bytes[0] = 1;
	expect(bytes, WIRE_CHAIN_HEAD, BAD, "no link");
	for (int by = -3; by <= 3; by++) { /* what it says about itself */
		bytes[WIRE_CHAIN_HEAD + 1] = (uint8_t)(LINK_FIXED + WIRE_SIGNATURE_SIZE + by);
		expect(bytes, one, by == 0 ? 0 : BAD, "length of the link");
	}
	bytes[WIRE_CHAIN_HEAD + 1] = LINK_FIXED + WIRE_SIGNATURE_SIZE;
	len = add_link(bytes, one, 0, "", 0);
	expect(bytes, len, 0, "two links");
	bytes[len] = 0;
	expect(bytes, len + 1, BAD, "a byte more");
	len = add_link(bytes, len, 0, "", 0);
	expect(bytes, len, BAD, "three links");
}

/* Cut between its links it is a chain, too. */
static void every_truncation_is_refused(void **state)
{
	static const char FIELDS[] = N("a") G("b") "\5\1x" G("c");
	uint8_t bytes[BUFFER];
	size_t one = add_link(bytes, head(bytes), DELEGATE, FIELDS, sizeof(FIELDS) - 1);
	size_t two = add_link(bytes, one, 0, FIELDS, sizeof(FIELDS) - 1);

	(void)state;
	for (size_t len = 0; len <= two; len++)
		expect(bytes, len, len == one || len == two ? 0 : BAD, "cut");
}

static void longest_chain_has_500_bytes(void **state)
{
	uint8_t bytes[BUFFER], fields[BUFFER] = { 5, 250 };
	size_t room = WIRE_CHAIN_MAX - WIRE_CHAIN_HEAD - 2 - LINK_FIXED - WIRE_SIGNATURE_SIZE;
	size_t len;

	(void)state;
	fields[252] = 6;
	fields[253] = (uint8_t)(room - 254);
	len = add_link(bytes, head(bytes), 0, fields, room);
	assert_int_equal(len, WIRE_CHAIN_MAX);
	expect(bytes, len, 0, "500 bytes");
	fields[253]++;
	len = add_link(bytes, head(bytes), 0, fields, room + 1);
	expect(bytes, len, BAD, "501 bytes");
}

/* --- what cannot be told is not encoded --- */

static void not_encoded(struct wire_certificate c)
{
	struct wire_chain one = chain(1, c, c),
			  two = chain(2, certificate(DELEGATE, 0, 0, 0, 1), c);
	uint8_t bytes[WIRE_KEY_SIZE + WIRE_CHAIN_MAX], before[sizeof(bytes)];

	memset(bytes, 0xa5, sizeof(bytes));
	memcpy(before, bytes, sizeof(bytes));
	assert_int_equal(wire_chain_encode(bytes, &one), 0);
	assert_int_equal(wire_chain_encode(bytes, &two), 0);
	assert_int_equal(wire_certificate_signed(bytes, one.network, &c), 0);
	assert_memory_equal(bytes, before, sizeof(bytes));
}

static void wrong_certificates_are_not_encoded(void **state)
{
	struct wire_certificate good = certificate(DELEGATE, 2, 2, 2, 3), c;
	uint8_t bytes[WIRE_CHAIN_MAX];
	struct wire_chain none = chain(1, good, good);

	(void)state;
	none.n_links = 0;
	assert_int_equal(wire_chain_encode(bytes, &none), 0);
	none.n_links = 3;
	assert_int_equal(wire_chain_encode(bytes, &none), 0);
#define WITH(change) (c = good, change, not_encoded(c))
	WITH(c.n_names = WIRE_NAMES_MAX + 1);
	WITH(c.n_prefixes = WIRE_NAMES_MAX + 1);
	WITH(c.n_groups = WIRE_GROUPS_MAX + 1);
	WITH(c.n_names = SIZE_MAX);
	WITH(c.flags |= 4);
	WITH(c.flags = 0);
	WITH(c.not_after = c.not_before);
	WITH(c.names[1][0] = '\0');
	WITH(c.names[1][0] = '-');
	WITH(c.prefixes[1][0] = 'A');
	WITH(c.groups[1][0] = '.');
	WITH(memcpy(c.names[1], c.names[0], sizeof(c.names[0])));
	WITH(memcpy(c.groups[1], c.groups[0], sizeof(c.groups[0])));
	WITH(memset(c.names[0], 'a', sizeof(c.names[0])));   /* without its NUL */
	WITH(memset(c.groups[0], 'a', sizeof(c.groups[0]))); /* as well */
	not_encoded(certificate(DELEGATE, 4, 4, 8, 63));     /* too long */
	c = certificate(0, 1, 0, 0, 1);
	c.longest = 1;
	not_encoded(c);
}

/* --- anything --- */

static void mutations_are_refused_or_canonical(void **state)
{
	static const char FIELDS[] = N("a") G("b") "\5\1x" G("c") N("d") "\4\4\0\0\0\1";
	enum { ROUNDS = 20000 };
	uint8_t whole[BUFFER];
	size_t len = add_link(whole, head(whole), DELEGATE, FIELDS, sizeof(FIELDS) - 1);
	size_t fields = WIRE_CHAIN_HEAD + 2 + 48, accepted = 0;
	struct rng rng;

	(void)state;
	rng_seed(&rng, 11);
	for (size_t round = 0; round < ROUNDS; round++) {
		uint8_t bytes[BUFFER], again[WIRE_CHAIN_MAX];
		struct wire_chain c, back;

		memcpy(bytes, whole, len);
		for (size_t k = 0; k <= rng_below(&rng, 3); k++) /* small: tags and lengths */
			bytes[fields + rng_below(&rng, sizeof(FIELDS))] =
				(uint8_t)rng_below(&rng, rng_below(&rng, 2) ? 256 : 8);
		if (decode(&c, bytes, len) < 0)
			continue;
		accepted++;
		assert_in_range(wire_chain_encode(again, &c), 1, len);
		assert_int_equal(decode(&back, again, wire_chain_encode(again, &c)),
				 wire_chain_encode(again, &c));
		assert_same(&c, &back);
	}
	assert_in_range(accepted, ROUNDS / 20, ROUNDS - ROUNDS / 20); /* both were seen */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(chains_come_back),
		cmocka_unit_test(layout_is_as_specified),
		cmocka_unit_test(realistic_chain_fits),
		cmocka_unit_test(fields_are_checked),
		cmocka_unit_test(times_are_checked),
		cmocka_unit_test(shape_is_checked),
		cmocka_unit_test(every_truncation_is_refused),
		cmocka_unit_test(longest_chain_has_500_bytes),
		cmocka_unit_test(wrong_certificates_are_not_encoded),
		cmocka_unit_test(mutations_are_refused_or_canonical),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
