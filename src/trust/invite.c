/* Spec: docs/protocol.md, section 17: invites, the text of a network, names. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <string.h>

#include "base/error.h"
#include "crypto/hash.h"
#include "crypto/word.h"
#include "trust/internal.h"
#include "trust/trust.h"

#define NAME_CONTEXT "godwit name v1"

static_assert((int)WIRE_INVITE_MAX <= (int)WORD_BYTES_MAX, "it is a word");
static_assert((int)WORD_TEXT_MAX <= (int)INVITE_TEXT_MAX, "its text fits");
static_assert((int)NETWORK_TEXT_SIZE == (int)ADDRESS_SIZE, "a key as a word");
static_assert((int)WIRE_SEED_SIZE == (int)SEED_SIZE, "the same seeds");

/* --- text --- */

/* The bytes as they came, with what this version does not know in them; or those of `chain`. */
static size_t encoded_chain(const struct invite *i, uint8_t out[WIRE_CHAIN_MAX])
{
	if (i->wire.chain_len == 0)
		return wire_chain_encode(out, &i->chain);
	memcpy(out, i->wire.chain, i->wire.chain_len);
	return i->wire.chain_len;
}

/* A single delegate, and of that key. */
static bool is_invite(const struct wire_chain *c, const uint8_t key[KEY_SIZE])
{
	return c->n_links == 1 && (c->links[0].flags & CERTIFICATE_DELEGATE) &&
	       memcmp(c->links[0].key, key, KEY_SIZE) == 0;
}

int invite_format(const struct invite *i, char out[INVITE_TEXT_MAX])
{
	struct wire_invite wire;
	uint8_t bytes[WIRE_INVITE_MAX];
	size_t len = 0;

	if (!is_invite(&i->chain, i->delegate.key))
		return GW_E_INVALID;
	wire = i->wire;
	memcpy(wire.seed, i->delegate.seed, SEED_SIZE);
	wire.chain_len = encoded_chain(i, wire.chain);
	if (wire.chain_len > 0)
		len = wire_invite_encode(bytes, &wire);
	if (len > 0)
		word_encode(out, WORD_INVITE, bytes, len);
	bytes_wipe(&wire, sizeof(wire));
	bytes_wipe(bytes, sizeof(bytes));
	return len > 0 ? 0 : GW_E_LIMIT;
}

/* `i->wire` is set: all the rest. */
static int complete(struct invite *i)
{
	ssize_t used = wire_chain_decode(&i->chain, i->wire.chain, i->wire.chain_len);

	if (used < 0)
		return (int)used;
	memset(i->chain.signed_part, 0, sizeof(i->chain.signed_part)); /* `i` will be copied */
	identity_from_seed(&i->delegate, i->wire.seed);
	return is_invite(&i->chain, i->delegate.key) ? 0 : GW_E_FORMAT;
}

int invite_parse(struct invite *out, const char *text)
{
	uint8_t bytes[WIRE_INVITE_MAX];
	size_t len = sizeof(bytes);
	struct invite i;
	int rv = word_decode(bytes, &len, WORD_INVITE, text);

	memset(&i, 0, sizeof(i));
	if (rv == 0) {
		ssize_t used = wire_invite_decode(&i.wire, bytes, len);

		rv = used < 0 ? (int)used : complete(&i);
	}
	if (rv == 0)
		*out = i;
	bytes_wipe(&i, sizeof(i));
	bytes_wipe(bytes, sizeof(bytes));
	return rv;
}

void invite_wipe(struct invite *i)
{
	bytes_wipe(i, sizeof(*i));
}

void network_format(const uint8_t key[KEY_SIZE], char out[NETWORK_TEXT_SIZE])
{
	word_encode_key(out, WORD_NETWORK, key);
}

int network_parse(uint8_t key[KEY_SIZE], const char *text)
{
	return word_decode_key(key, WORD_NETWORK, text);
}

/* --- joining --- */

/* As long as was asked for, and as both limits of the delegate permit.  It begins now by the joiner's
 * clock, but not before the delegate. */
static void set_validity(struct wire_certificate *c, const struct wire_certificate *delegate,
			 const struct join *j)
{
	uint32_t longest = delegate_longest(delegate), lifetime = j->lifetime_s;

	if (lifetime == 0 || lifetime > longest)
		lifetime = longest;
	c->not_before = j->now_s > delegate->not_before ? j->now_s : delegate->not_before;
	if (lifetime > delegate->not_after - c->not_before)
		lifetime = delegate->not_after - c->not_before;
	c->not_after = c->not_before + lifetime;
}

static void set_link(struct wire_certificate *c, const struct wire_certificate *delegate,
		     const struct join *j)
{
	memset(c, 0, sizeof(*c));
	memcpy(c->key, j->key, KEY_SIZE);
	c->serial = j->serial;
	c->flags = delegate->flags & CERTIFICATE_EPHEMERAL;
	c->n_groups = delegate->n_groups;
	memcpy(c->groups, delegate->groups, sizeof(c->groups));
	if (j->name) {
		c->n_names = 1;
		memcpy(c->names[0], j->name, strlen(j->name));
	}
	set_validity(c, delegate, j);
}

/* The delegate's link goes in as it came: its signature may cover what is not known here. */
static size_t append(uint8_t *out, const struct invite *i, const struct wire_chain *own)
{
	uint8_t chain[WIRE_CHAIN_MAX], link[WIRE_CHAIN_MAX];
	size_t len = encoded_chain(i, chain), more = wire_chain_encode(link, own);

	if (len == 0 || more == 0 || len + more - WIRE_CHAIN_HEAD > WIRE_CHAIN_MAX)
		return 0;
	memcpy(out, chain, len);
	memcpy(out + len, link + WIRE_CHAIN_HEAD, more - WIRE_CHAIN_HEAD);
	return len + more - WIRE_CHAIN_HEAD;
}

int invite_join(const struct invite *i, const struct join *j, uint8_t *out, size_t *len)
{
	const struct wire_certificate *delegate = &i->chain.links[0];
	struct wire_chain own = { .n_links = 1 };
	size_t size;

	if (j->name && !wire_name_valid(j->name))
		return GW_E_INVALID;
	if (j->name && !delegate_allows_name(delegate, j->name))
		return GW_E_DENIED;
	if (certificate_at(delegate, j->now_s))
		return GW_E_TIMEOUT;
	set_link(&own.links[0], delegate, j);
	if (certificate_sign(&own.links[0], i->chain.network, &i->delegate) < 0)
		return GW_E_LIMIT;
	size = append(out, i, &own);
	if (size == 0)
		return GW_E_LIMIT;
	*len = size;
	return 0;
}

/* --- names --- */

void name_hash(uint8_t out[KEY_SIZE], const uint8_t network[KEY_SIZE], const char *name)
{
	const void *parts[] = { NAME_CONTEXT, network, name };
	const size_t lens[] = { sizeof(NAME_CONTEXT) - 1, KEY_SIZE, strlen(name) };

	hash_sha256(out, parts, lens, 3);
}
