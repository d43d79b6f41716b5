/* SPDX-License-Identifier: Apache-2.0 */
/* tests/fuzz/fuzz_chain.c - certificate chains.
 *
 * The input is, when its first byte is 'v', all of a chain; else flags and fields of a link, and after
 * a 0xfe perhaps those of a second one.  These are signed here, and checked. */
#include "base/error.h"
#include "fuzz.h"
#include "trust/trust.h"

enum { FIXED = 49, MORE = 0xfe, NOW = 1800000000 };

static ssize_t decode(struct wire_chain *out, const uint8_t *data, size_t len)
{
	uint8_t *copy = exact(data, len);
	ssize_t used;

	fill(out, sizeof(*out));
	used = wire_chain_decode(out, copy, len);
	if (used > 0) {
		demand((size_t)used == len && len <= WIRE_CHAIN_MAX);
		demand(out->n_links == 1 || out->n_links == 2);
		for (size_t i = 0; i < out->n_links; i++) {
			size_t at = (size_t)(out->signed_part[i].data - copy);

			demand(at < len && out->signed_part[i].len < len - at);
			out->signed_part[i].data = data + at;
		}
	} else {
		demand(used == GW_E_FORMAT || used == GW_E_VERSION);
		demand(untouched(out, sizeof(*out)));
	}
	free(copy);
	return used;
}

static void check_link(const struct wire_certificate *c)
{
	bool delegate = c->flags & CERTIFICATE_DELEGATE;

	demand(c->flags <= 3 && c->not_before < c->not_after);
	demand(c->n_names <= WIRE_NAMES_MAX && c->n_prefixes <= WIRE_NAMES_MAX);
	demand(c->n_groups <= WIRE_GROUPS_MAX);
	demand(delegate || (c->n_names <= 1 && c->n_prefixes == 0 && c->longest == 0));
	for (size_t i = 0; i < c->n_names; i++)
		demand(wire_name_valid(c->names[i]));
	for (size_t i = 0; i < c->n_prefixes; i++)
		demand(wire_name_valid(c->prefixes[i]));
	for (size_t i = 0; i < c->n_groups; i++)
		demand(wire_group_valid(c->groups[i]));
}

static void check_again(const struct wire_chain *c, size_t size)
{
	uint8_t *out = malloc(WIRE_CHAIN_MAX);
	struct wire_chain again;
	size_t len;

	demand(out);
	len = wire_chain_encode(out, c);
	demand(len > 0 && len <= size); /* without the fields that are not known */
	demand(decode(&again, out, len) == (ssize_t)len);
	demand(again.n_links == c->n_links && memcmp(again.ca, c->ca, WIRE_CA_HINT) == 0);
	demand(memcmp(again.links, c->links, sizeof(c->links)) == 0);
	free(out);
}

/* A network whose key has signed nothing but its own manifest. */
static const struct manifest *network(struct identity *ca)
{
	static const uint8_t SEED[SEED_SIZE] = { 1 };
	static struct manifest manifest;
	struct wire_manifest m = { .expires = UINT32_MAX, .name = "n" };

	identity_from_seed(ca, SEED);
	if (!manifest.bytes) {
		memcpy(m.network, ca->key, KEY_SIZE);
		demand(manifest_sign(&manifest, &m, ca) == 0);
	}
	return &manifest;
}

/* What was refused for its form is refused. */
static enum trust_refusal check_member(const uint8_t *data, size_t len, ssize_t used)
{
	uint8_t *copy = exact(data, len);
	enum trust_refusal why;
	struct identity ca;
	struct member m;

	fill(&m, sizeof(m));
	why = member_check(&m, copy, len, network(&ca), NOW);
	demand((used == GW_E_FORMAT) == (why == TRUST_MALFORMED));
	demand((used == GW_E_VERSION) == (why == TRUST_CRITICAL));
	if (why) {
		demand(untouched(&m, sizeof(m)));
	} else {
		demand(m.len == len && memcmp(m.chain, data, len) == 0);
		demand(!m.name[0] || wire_name_valid(m.name));
		demand(member_still(&m, network(&ca), NOW) == TRUST_OK);
		demand(member_still(&m, network(&ca), m.not_after) == TRUST_EXPIRED);
	}
	free(copy);
	return why;
}

static enum trust_refusal check(const uint8_t *data, size_t size)
{
	struct wire_chain c;
	ssize_t used;

	for (size_t cut = 0; cut < size; cut += 1 + cut / 8)
		decode(&c, data, cut);
	used = decode(&c, data, size);
	for (size_t i = 0; used > 0 && i < c.n_links; i++)
		check_link(&c.links[i]);
	if (used > 0)
		check_again(&c, size);
	return check_member(data, size, used);
}

/* Returns the bytes of the link, and who may sign the next. */
static size_t put_link(uint8_t *out, struct identity *signer, const uint8_t *input, size_t len)
{
	uint8_t seed[SEED_SIZE] = { 2 }, message[KEY_SIZE + FIXED + WIRE_CHAIN_MAX];
	size_t size = FIXED + len - 1 + SIGNATURE_SIZE;
	struct identity own, ca;

	identity_from_seed(&own, seed);
	out[0] = (uint8_t)(size >> 8);
	out[1] = (uint8_t)size;
	memcpy(out + 2, own.key, KEY_SIZE);
	memcpy(out + 2 + KEY_SIZE, "\1\1\1\1\1\1\1\1\x6b\x49\xd2\x00\x6b\x49\xd2\x02", 16);
	memcpy(out + 2 + FIXED - 1, input, len);
	memcpy(message, network(&ca)->m.network, KEY_SIZE);
	memcpy(message + KEY_SIZE, out + 2, FIXED + len - 1);
	identity_sign(signer, CERTIFICATE_CONTEXT, message, KEY_SIZE + FIXED + len - 1,
		      out + 2 + FIXED + len - 1);
	*signer = own;
	return 2 + size;
}

static void compose(const uint8_t *data, size_t size)
{
	uint8_t whole[WIRE_CHAIN_HEAD + 2 * (2 + FIXED + SIGNATURE_SIZE) + WIRE_CHAIN_MAX] = { 1 };
	const uint8_t *more = memchr(data, MORE, size);
	size_t first = more ? (size_t)(more - data) : size, len = WIRE_CHAIN_HEAD;
	struct identity signer;

	memcpy(whole + 1, network(&signer)->m.network, KEY_SIZE);
	memcpy(whole + 1 + KEY_SIZE, signer.key, WIRE_CA_HINT);
	if (first > 0)
		len += put_link(whole + len, &signer, data, first);
	if (more && size - first > 1)
		len += put_link(whole + len, &signer, more + 1, size - first - 1);
	demand(check(whole, len) != TRUST_SIGNATURE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	demand(crypto_init() == 0);
	if (size > 0 && data[0] == 'v')
		check(data + 1, size - 1);
	else if (size > 0 && size < WIRE_CHAIN_MAX)
		compose(data, size);
	return 0;
}
