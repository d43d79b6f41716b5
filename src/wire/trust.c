/* Spec: docs/protocol.md, section 17: certificate chains. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/trust.h"

#include <assert.h>
#include <string.h>

#include "base/error.h"
#include "wire/codec.h"
#include "wire/fields.h"

enum {
	CHAIN_VERSION = 1,
	FIELD_NAME = 0x01,
	FIELD_GROUP = 0x02,
	FIELD_PREFIX = 0x03,
	FIELD_LONGEST = 0x04,
	FLAGS_KNOWN = CERTIFICATE_DELEGATE | CERTIFICATE_EPHEMERAL,
	CERTIFICATE_FIXED = WIRE_KEY_SIZE + WIRE_SERIAL_SIZE + 4 + 4 + 1, /* before the fields */
	/* of a certificate without its signature */
	CERTIFICATE_MAX = CERTIFICATE_FIXED + 2 * WIRE_NAMES_MAX * (2 + WIRE_NAME_MAX) +
			  WIRE_GROUPS_MAX * (2 + WIRE_GROUP_MAX) + 2 + 4,
	LINK_MAX = 2 + CERTIFICATE_MAX + WIRE_SIGNATURE_SIZE,
	/* what can stand in a chain */
	SIGNED_PART_MAX = WIRE_CHAIN_MAX - WIRE_CHAIN_HEAD - 2 - WIRE_SIGNATURE_SIZE,
};

bool wire_name_valid(const char *name)
{
	return text_valid(name, WIRE_NAME_MAX);
}

bool wire_group_valid(const char *group)
{
	return text_valid(group, WIRE_GROUP_MAX);
}

/* --- certificates --- */

/* `n` texts in `size` bytes each: well-formed, no two the same. */
static bool texts_valid(const char *texts, size_t size, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (!text_valid(texts + i * size, size - 1))
			return false;
		for (size_t k = 0; k < i; k++)
			if (strcmp(texts + i * size, texts + k * size) == 0)
				return false;
	}
	return true;
}

/* The same of what is to be written and of what was read; but for the flags. */
static bool certificate_valid(const struct wire_certificate *c)
{
	bool delegate = (c->flags & CERTIFICATE_DELEGATE) != 0;

	if (c->n_names > WIRE_NAMES_MAX || c->n_prefixes > WIRE_NAMES_MAX ||
	    c->n_groups > WIRE_GROUPS_MAX || c->not_before >= c->not_after)
		return false;
	if (!delegate && (c->n_names > 1 || c->n_prefixes > 0 || c->longest > 0))
		return false;
	return texts_valid(c->names[0], sizeof(c->names[0]), c->n_names) &&
	       texts_valid(c->prefixes[0], sizeof(c->prefixes[0]), c->n_prefixes) &&
	       texts_valid(c->groups[0], sizeof(c->groups[0]), c->n_groups);
}

/* Without its signature. */
static uint8_t *put_certificate(uint8_t *out, const struct wire_certificate *c)
{
	out = put_bytes(out, c->key, WIRE_KEY_SIZE);
	out = put_fixed(out, c->serial, WIRE_SERIAL_SIZE);
	out = put_fixed(out, c->not_before, 4);
	out = put_fixed(out, c->not_after, 4);
	*out++ = c->flags;
	for (size_t i = 0; i < c->n_names; i++)
		out = put_text(out, FIELD_NAME, 1, c->names[i]);
	for (size_t i = 0; i < c->n_groups; i++)
		out = put_text(out, FIELD_GROUP, 1, c->groups[i]);
	for (size_t i = 0; i < c->n_prefixes; i++)
		out = put_text(out, FIELD_PREFIX, 1, c->prefixes[i]);
	if (c->longest > 0)
		out = put_fixed(put_field(out, FIELD_LONGEST, 1, 4), c->longest, 4);
	return out;
}

size_t wire_certificate_signed(uint8_t *out, const uint8_t network[WIRE_KEY_SIZE],
			       const struct wire_certificate *c)
{
	uint8_t whole[CERTIFICATE_MAX];
	size_t len;

	if ((c->flags & ~FLAGS_KNOWN) || !certificate_valid(c))
		return 0;
	len = (size_t)(put_certificate(whole, c) - whole);
	if (len > SIGNED_PART_MAX)
		return 0;
	memcpy(out, network, WIRE_KEY_SIZE);
	memcpy(out + WIRE_KEY_SIZE, whole, len);
	return WIRE_KEY_SIZE + len;
}

static void get_name(struct reader *value, char names[WIRE_NAMES_MAX][WIRE_NAME_MAX + 1], size_t *n)
{
	if (*n == WIRE_NAMES_MAX)
		value->bad = true;
	else
		get_text(value, names[(*n)++], WIRE_NAME_MAX);
}

static void get_group(struct reader *value, struct wire_certificate *c)
{
	if (c->n_groups == WIRE_GROUPS_MAX)
		value->bad = true;
	else
		get_text(value, c->groups[c->n_groups++], WIRE_GROUP_MAX);
}

/* Once, and not 0: that says nothing. */
static void get_longest(struct reader *value, struct wire_certificate *c)
{
	bool seen = c->longest != 0;

	c->longest = (uint32_t)get_fixed(value, 4);
	if (seen || c->longest == 0 || value->at != value->end)
		value->bad = true;
}

static void get_certificate_field(struct reader *r, struct wire_certificate *c, bool *critical)
{
	struct reader value;
	uint8_t tag;

	if (!get_field(r, &tag, 1, &value))
		return;
	switch (tag) {
	case FIELD_NAME:
		get_name(&value, c->names, &c->n_names);
		break;
	case FIELD_GROUP:
		get_group(&value, c);
		break;
	case FIELD_PREFIX:
		get_name(&value, c->prefixes, &c->n_prefixes);
		break;
	case FIELD_LONGEST:
		get_longest(&value, c);
		break;
	default:
		*critical |= tag >= WIRE_CRITICAL;
	}
	r->bad = value.bad;
}

/* --- chains --- */

/* Length, certificate, signature. */
static uint8_t *put_link(uint8_t *out, const struct wire_certificate *c)
{
	uint8_t *at = put_certificate(out + 2, c);

	at = put_bytes(at, c->signature, WIRE_SIGNATURE_SIZE);
	put_fixed(out, (uint64_t)(at - out - 2), 2);
	return at;
}

size_t wire_chain_encode(uint8_t *out, const struct wire_chain *c)
{
	uint8_t whole[WIRE_CHAIN_HEAD + WIRE_LINKS_MAX * LINK_MAX] = { CHAIN_VERSION },
							 *at = whole + 1;
	size_t len;

	if (c->n_links == 0 || c->n_links > WIRE_LINKS_MAX)
		return 0;
	at = put_bytes(at, c->network, WIRE_KEY_SIZE);
	at = put_bytes(at, c->ca, WIRE_CA_HINT);
	for (size_t i = 0; i < c->n_links; i++) {
		if ((c->links[i].flags & ~FLAGS_KNOWN) || !certificate_valid(&c->links[i]))
			return 0;
		at = put_link(at, &c->links[i]);
	}
	len = (size_t)(at - whole);
	if (len > WIRE_CHAIN_MAX)
		return 0;
	memcpy(out, whole, len);
	return len;
}

/* `r` is left behind the link. */
static void get_link(struct reader *r, struct wire_chain *chain, bool *critical)
{
	struct wire_certificate *c = &chain->links[chain->n_links];
	size_t size = (size_t)get_fixed(r, 2);
	struct reader link;

	if (r->bad || size > (size_t)(r->end - r->at) ||
	    size < CERTIFICATE_FIXED + WIRE_SIGNATURE_SIZE) {
		r->bad = true;
		return;
	}
	link = (struct reader){ r->at, r->at + size - WIRE_SIGNATURE_SIZE, false };
	chain->signed_part[chain->n_links].data = link.at;
	chain->signed_part[chain->n_links].len = size - WIRE_SIGNATURE_SIZE;
	chain->n_links++;
	memcpy(c->signature, link.end, WIRE_SIGNATURE_SIZE);
	r->at += size;
	get_bytes(&link, c->key, WIRE_KEY_SIZE);
	c->serial = get_fixed(&link, WIRE_SERIAL_SIZE);
	c->not_before = (uint32_t)get_fixed(&link, 4);
	c->not_after = (uint32_t)get_fixed(&link, 4);
	c->flags = (uint8_t)get_fixed(&link, 1);
	*critical |= (c->flags & ~FLAGS_KNOWN) != 0;
	while (!link.bad && link.at < link.end)
		get_certificate_field(&link, c, critical);
	r->bad = link.bad;
}

/* What is critical and not known may change what the rest has to look like. */
ssize_t wire_chain_decode(struct wire_chain *out, const uint8_t *data, size_t len)
{
	struct wire_chain chain;
	bool critical = false;
	struct reader r;

	if (len <= WIRE_CHAIN_HEAD || len > WIRE_CHAIN_MAX || data[0] != CHAIN_VERSION)
		return GW_E_FORMAT;
	memset(&chain, 0, sizeof(chain));
	r = (struct reader){ data + 1, data + len, false };
	get_bytes(&r, chain.network, WIRE_KEY_SIZE);
	get_bytes(&r, chain.ca, WIRE_CA_HINT);
	while (!r.bad && r.at < r.end && chain.n_links < WIRE_LINKS_MAX)
		get_link(&r, &chain, &critical);
	if (r.bad || r.at != r.end)
		return GW_E_FORMAT;
	if (critical)
		return GW_E_VERSION;
	for (size_t i = 0; i < chain.n_links; i++)
		if (!certificate_valid(&chain.links[i]))
			return GW_E_FORMAT;
	*out = chain;
	return (ssize_t)len;
}
