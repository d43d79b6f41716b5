/* Spec: docs/protocol.md, section 17: certificate chains. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <string.h>

#include "base/error.h"
#include "trust/internal.h"
#include "trust/trust.h"

static_assert((int)KEY_SIZE == (int)WIRE_KEY_SIZE && (int)SIGNATURE_SIZE == WIRE_SIGNATURE_SIZE,
	      "the same keys");
static_assert(sizeof(CERTIFICATE_CONTEXT) + WIRE_KEY_SIZE + WIRE_CHAIN_MAX <= SIGNED_MAX,
	      "it can be signed");

/* --- signing --- */

int certificate_sign(struct wire_certificate *c, const uint8_t network[KEY_SIZE],
		     const struct identity *signer)
{
	uint8_t message[WIRE_KEY_SIZE + WIRE_CHAIN_MAX];
	size_t len = wire_certificate_signed(message, network, c);

	if (len == 0)
		return GW_E_LIMIT;
	identity_sign(signer, CERTIFICATE_CONTEXT, message, len, c->signature);
	return 0;
}

/* --- what a delegate may give --- */

bool delegate_allows_name(const struct wire_certificate *delegate, const char *name)
{
	for (size_t i = 0; i < delegate->n_names; i++)
		if (strcmp(name, delegate->names[i]) == 0)
			return true;
	for (size_t i = 0; i < delegate->n_prefixes; i++)
		if (strncmp(name, delegate->prefixes[i], strlen(delegate->prefixes[i])) == 0)
			return true;
	return false;
}

uint32_t delegate_longest(const struct wire_certificate *delegate)
{
	return delegate->longest > 0 ? delegate->longest : TRUST_DELEGATE_LONGEST_S;
}

static bool has_group(const struct wire_certificate *c, const char *group)
{
	for (size_t i = 0; i < c->n_groups; i++)
		if (strcmp(c->groups[i], group) == 0)
			return true;
	return false;
}

static bool within_rights(const struct wire_certificate *delegate, const struct wire_certificate *c)
{
	if (c->not_before < delegate->not_before || c->not_after > delegate->not_after ||
	    c->not_after - c->not_before > delegate_longest(delegate))
		return false;
	if ((delegate->flags & CERTIFICATE_EPHEMERAL) && !(c->flags & CERTIFICATE_EPHEMERAL))
		return false;
	if (c->n_names > 0 && !delegate_allows_name(delegate, c->names[0]))
		return false;
	for (size_t i = 0; i < c->n_groups; i++)
		if (!has_group(delegate, c->groups[i]))
			return false;
	return true;
}

/* --- checking --- */

/* The clock of who signed it may be ahead of ours. */
enum trust_refusal certificate_at(const struct wire_certificate *c, uint32_t now_s)
{
	if ((uint64_t)now_s + TRUST_SKEW_S < c->not_before)
		return TRUST_EARLY;
	return now_s < c->not_after ? TRUST_OK : TRUST_EXPIRED;
}

static const struct wire_certificate *own_link(const struct wire_chain *c)
{
	return &c->links[c->n_links - 1];
}

/* A manifest's CAs all begin in another way. */
const uint8_t *manifest_ca(const struct wire_manifest *m, const uint8_t hint[WIRE_CA_HINT])
{
	if (memcmp(m->network, hint, WIRE_CA_HINT) == 0)
		return m->network;
	for (size_t i = 0; i < m->n_cas; i++)
		if (memcmp(m->cas[i].key, hint, WIRE_CA_HINT) == 0)
			return m->cas[i].key;
	return NULL;
}

/* The network key itself is a CA for ever. */
static bool is_revoked(const struct wire_chain *c, const uint8_t *ca,
		       const struct manifest *manifest)
{
	if (ca && memcmp(ca, manifest->m.network, KEY_SIZE) != 0 &&
	    manifest_revokes_key(manifest, ca))
		return true;
	for (size_t i = 0; i < c->n_links; i++)
		if (manifest_revokes_key(manifest, c->links[i].key) ||
		    manifest_revokes_serial(manifest, c->links[i].serial))
			return true;
	return false;
}

/* All that costs nothing.  *ca: who has to have signed the first link; in the manifest, or NULL: nobody can
 * tell, and it `may` be so. */
static enum trust_refusal check_content(const struct wire_chain *c, const struct manifest *manifest,
					uint32_t now_s, bool may, const uint8_t **ca)
{
	const struct wire_certificate *own = own_link(c);

	if (!manifest || memcmp(c->network, manifest->m.network, KEY_SIZE) != 0)
		return TRUST_NETWORK;
	if ((own->flags & CERTIFICATE_DELEGATE) ||
	    (c->n_links > 1 && !(c->links[0].flags & CERTIFICATE_DELEGATE)))
		return TRUST_DEPTH;
	*ca = manifest_ca(&manifest->m, c->ca);
	if (!*ca && !may)
		return TRUST_SIGNER;
	if (c->n_links > 1 && !within_rights(&c->links[0], own))
		return TRUST_RIGHTS;
	for (size_t i = 0; i < c->n_links; i++) {
		enum trust_refusal why = certificate_at(&c->links[i], now_s);

		if (why)
			return why;
	}
	return is_revoked(c, *ca, manifest) ? TRUST_REVOKED : TRUST_OK;
}

static bool signatures_valid(const struct wire_chain *c, const uint8_t *ca)
{
	uint8_t message[WIRE_KEY_SIZE + WIRE_CHAIN_MAX];
	const uint8_t *signer = ca;

	memcpy(message, c->network, WIRE_KEY_SIZE);
	for (size_t i = 0; i < c->n_links; i++) {
		size_t len = c->signed_part[i].len;

		memcpy(message + WIRE_KEY_SIZE, c->signed_part[i].data, len);
		if (signer && !signature_valid(signer, CERTIFICATE_CONTEXT, message,
					       WIRE_KEY_SIZE + len, c->links[i].signature))
			return false;
		signer = c->links[i].key;
	}
	return true;
}

static enum trust_refusal decode(struct wire_chain *out, const uint8_t *chain, size_t len)
{
	ssize_t used = wire_chain_decode(out, chain, len);

	if (used > 0)
		return TRUST_OK;
	return used == GW_E_VERSION ? TRUST_CRITICAL : TRUST_MALFORMED;
}

/* The validity of the last link lies within that of a first one. */
static void set_member(struct member *out, const struct wire_chain *c, const uint8_t *ca)
{
	const struct wire_certificate *own = own_link(c);

	memset(out, 0, sizeof(*out));
	memcpy(out->network, c->network, KEY_SIZE);
	memcpy(out->key, own->key, KEY_SIZE);
	out->serial = own->serial;
	out->not_before = own->not_before;
	out->not_after = own->not_after;
	out->ephemeral = (own->flags & CERTIFICATE_EPHEMERAL) != 0;
	out->delegated = c->n_links > 1;
	out->invite = out->delegated ? c->links[0].serial : 0;
	if (own->n_names > 0)
		memcpy(out->name, own->names[0], sizeof(out->name));
	out->n_groups = own->n_groups;
	memcpy(out->groups, own->groups, sizeof(out->groups));
	memcpy(out->ca, ca ? ca : c->ca, ca ? KEY_SIZE : WIRE_CA_HINT);
	memcpy(out->signer, out->delegated ? c->links[0].key : out->ca, KEY_SIZE);
}

static enum trust_refusal check(struct member *out, const uint8_t *chain, size_t len,
				const struct manifest *manifest, uint32_t now_s, bool may)
{
	struct wire_chain c;
	const uint8_t *ca = NULL;
	enum trust_refusal why = decode(&c, chain, len);

	if (!why)
		why = check_content(&c, manifest, now_s, may, &ca);
	if (why)
		return why;
	if (!signatures_valid(&c, ca))
		return TRUST_SIGNATURE;
	set_member(out, &c, ca);
	memcpy(out->chain, chain, len);
	out->len = len;
	return TRUST_OK;
}

enum trust_refusal member_check(struct member *out, const uint8_t *chain, size_t len,
				const struct manifest *manifest, uint32_t now_s)
{
	return check(out, chain, len, manifest, now_s, false);
}

enum trust_refusal member_own(struct member *out, const uint8_t *chain, size_t len,
			      const struct manifest *manifest, uint32_t now_s)
{
	return check(out, chain, len, manifest, now_s, manifest->len == 0);
}

/* Another manifest may have another CA that begins in the same way. */
enum trust_refusal member_still(const struct member *m, const struct manifest *manifest,
				uint32_t now_s)
{
	struct wire_chain c;
	const uint8_t *ca = NULL;
	enum trust_refusal why = decode(&c, m->chain, m->len);

	if (!why)
		why = check_content(&c, manifest, now_s, false, &ca);
	if (why)
		return why;
	return memcmp(ca, m->ca, KEY_SIZE) == 0 ? TRUST_OK : TRUST_SIGNER;
}

bool member_has_group(const struct member *m, const char *group)
{
	for (size_t i = 0; i < m->n_groups; i++)
		if (strcmp(m->groups[i], group) == 0)
			return true;
	return false;
}
