/* trust/trust.h - who belongs to a network: chains and manifests that are signed and checked.
 * Spec: docs/protocol.md, section 17.
 *
 * No socket, clock or entropy: `now_s` is the wall clock, seconds since 1970; keys and serials are
 * the caller's.  Checks need the network's manifest and nothing else. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_TRUST_TRUST_H
#define GODWIT_TRUST_TRUST_H

#include "crypto/identity.h"
#include "wire/trust.h"

enum {
	TRUST_SKEW_S = 15 * 60,
	TRUST_DELEGATE_LONGEST_S = 24 * 3600, /* a delegate's members, unless it says otherwise */
	TRUST_MANIFEST_LIFETIME_S = 30 * 24 * 3600,
	TRUST_MANIFEST_WARN_S = 7 * 24 * 3600,
	TRUST_MEMBER_LIFETIME_S = 365 * 24 * 3600,
};

/* Why something is refused; 0: it is not.  For logs and `network show`. */
enum trust_refusal {
	TRUST_OK = 0,
	TRUST_MALFORMED,
	TRUST_CRITICAL, /* an unknown critical field */
	TRUST_NETWORK,  /* of another network, or one that is not known here */
	TRUST_SIGNER,   /* not a CA of the network, or another one than it says */
	TRUST_SIGNATURE,
	TRUST_DEPTH,  /* a delegate where a member belongs, or the reverse */
	TRUST_RIGHTS, /* a group, name, validity or permanence that the delegate may not give */
	TRUST_EARLY,  /* not yet valid: a wrong clock, perhaps */
	TRUST_EXPIRED,
	TRUST_REVOKED,
	TRUST_SERIAL, /* another key has shown that serial */
	TRUST_OLD,    /* manifest: no newer than the one that is known */
	TRUST_FUTURE, /* manifest: more than 15 minutes ahead */
	TRUST_SELF,   /* manifest: its signer is revoked by it */
	TRUST_LIMIT,  /* too many networks, or out of memory */
};

/* "it is revoked", ...: a sentence fragment for people.  Never NULL. */
const char *trust_refusal_text(enum trust_refusal why);

/* --- manifests --- */

/* A checked manifest, with a copy of its bytes. */
struct manifest {
	struct wire_manifest m; /* its lists point into `bytes` */
	uint8_t *bytes;
	size_t len;
};

/* Encode and sign `m`; its signer and signature are `ca`'s.  Whether `ca` may sign it is not looked at.
 * GW_E_LIMIT: too long, or a field is out of range; GW_E_NOMEM. */
int manifest_sign(struct manifest *out, const struct wire_manifest *m, const struct identity *ca);
/* Decode, check all signatures; `network` NULL: any.  `than`: the one that is known, or NULL; it is
 * another one than *out.  TRUST_OK: *out is new (manifest_clear()); else untouched.  TRUST_REVOKED: its
 * signer, by `than`.  TRUST_MALFORMED also when out of memory. */
enum trust_refusal manifest_take(struct manifest *out, const uint8_t *data, size_t len,
				 const uint8_t *network, const struct manifest *than,
				 uint64_t now_ms);
void manifest_clear(struct manifest *m); /* zeroed memory is clear */
bool manifest_revokes_key(const struct manifest *m, const uint8_t key[KEY_SIZE]);
bool manifest_revokes_serial(const struct manifest *m, uint64_t serial);
/* The CA whose key begins so: in *m.  NULL: none. */
const uint8_t *manifest_ca(const struct wire_manifest *m, const uint8_t hint[WIRE_CA_HINT]);
/* The network key's endorsement of a further CA. */
void ca_endorse(const struct identity *network, const uint8_t ca[KEY_SIZE],
		uint8_t signature[SIGNATURE_SIZE]);

/* --- chains --- */

/* A checked chain, with a copy of its bytes: what a peer is in one network. */
struct member {
	uint8_t network[KEY_SIZE];
	uint8_t key[KEY_SIZE];
	uint64_t serial;
	uint32_t not_before, not_after; /* of the whole chain: when all of it is valid */
	bool ephemeral, delegated;      /* delegated: by an invite, not by a CA */
	uint64_t invite;                /* delegated: its serial */
	char name[WIRE_NAME_MAX + 1];   /* "" none */
	size_t n_groups;
	char groups[WIRE_GROUPS_MAX][WIRE_GROUP_MAX + 1];
	uint8_t signer[KEY_SIZE]; /* of its own link */
	uint8_t ca[KEY_SIZE];     /* of the first link */
	size_t len;
	uint8_t chain[WIRE_CHAIN_MAX];
};

/* Sign `c` (c->signature is set).  GW_E_LIMIT: its fields are too long, or one is out of range. */
int certificate_sign(struct wire_certificate *c, const uint8_t network[KEY_SIZE],
		     const struct identity *signer);
/* Check all of it, signatures last.  TRUST_OK: *out is set; else untouched.  `manifest` NULL: TRUST_NETWORK.
 * Never TRUST_SERIAL: that is for who remembers members. */
enum trust_refusal member_check(struct member *out, const uint8_t *chain, size_t len,
				const struct manifest *manifest, uint32_t now_s);
/* The same of this node's own chain: before a manifest is here, its CA may be a further one that nobody can
 * tell yet (m->ca is its first bytes), and others will check it. */
enum trust_refusal member_own(struct member *out, const uint8_t *chain, size_t len,
			      const struct manifest *manifest, uint32_t now_s);
/* Again, at another time or after another manifest; the signatures are not looked at again. */
enum trust_refusal member_still(const struct member *m, const struct manifest *manifest,
				uint32_t now_s);
bool member_has_group(const struct member *m, const char *group);

/* --- invites --- */

/* One base32 word and NUL fit. */
enum { INVITE_TEXT_MAX = 2048, NETWORK_TEXT_SIZE = 57 };

struct invite {
	struct identity delegate; /* secret: invite_wipe() */
	struct wire_chain chain;  /* its one link; no signed_part */
	struct wire_invite wire;  /* secret, too */
};

/* `delegate` is a fresh key with a link of `ca`'s (certificate_sign()) in `chain`; of `wire` name and beacons
 * are set, or all of it as by invite_parse().  GW_E_INVALID: not a single delegate's of that key;
 * GW_E_LIMIT: too long, or a field is out of range. */
int invite_format(const struct invite *i, char out[INVITE_TEXT_MAX]);
/* Errors as address_parse(), GW_E_FORMAT also for a chain that is no single delegate's of that seed;
 * GW_E_VERSION.  No signature of the CA is looked at: there may be no manifest yet. */
int invite_parse(struct invite *out, const char *text);
void invite_wipe(struct invite *i);

/* What a joiner asks for. */
struct join {
	uint8_t key[KEY_SIZE];
	uint64_t serial;  /* random */
	const char *name; /* NULL: none */
	uint32_t now_s;
	uint32_t lifetime_s; /* 0, or longer than the invite permits: the longest that it does */
};

/* A chain for `j->key`, signed by the invite: `out` has WIRE_CHAIN_MAX bytes; *len is set.  GW_E_DENIED: the
 * invite does not permit that name; GW_E_TIMEOUT: it has expired (or, by this clock, is not valid yet);
 * GW_E_INVALID: that can be no name; GW_E_LIMIT: too long. */
int invite_join(const struct invite *i, const struct join *j, uint8_t *out, size_t *len);

/* --- bundles: what somebody needs to trust a network, in one word that is not secret --- */

enum { BUNDLE_CHECK = 4, BUNDLE_RAW_MAX = 4 + WIRE_MANIFEST_MAX + WIRE_CHAIN_MAX + BUNDLE_CHECK };

struct bundle {
	const uint8_t *manifest, *chain; /* in `bytes`; for manifest_take() and member_check() */
	size_t manifest_len, chain_len;  /* chain_len 0: none */
	uint8_t *bytes;
};

/* A string of the heap, for free(), of at most BUNDLE_RAW_MAX * 8 / 5 + 2 bytes; NULL: out of memory, or a
 * length that cannot be.  `chain_len` 0: no chain. */
char *bundle_format(const uint8_t *manifest, size_t manifest_len, const uint8_t *chain,
		    size_t chain_len);
/* Errors as address_parse(), GW_E_TYPE also for the text of a network's key; GW_E_VERSION; GW_E_FORMAT: lengths that
 * do not fit.  What is in it is not looked at. */
int bundle_parse(struct bundle *out, const char *text);
void bundle_clear(struct bundle *b); /* zeroed memory is clear */

/* The text of a network's key, "c...", 56 characters and NUL; errors as address_parse(). */
void network_format(const uint8_t key[KEY_SIZE], char out[NETWORK_TEXT_SIZE]);
int network_parse(uint8_t key[KEY_SIZE], const char *text);

/* SHA-256("godwit name v1" || network || name): where a beacon keeps the chains of that name. */
void name_hash(uint8_t out[KEY_SIZE], const uint8_t network[KEY_SIZE], const char *name);

#endif
