/* wire/trust.h - byte layouts of networks: certificate chains, manifests, invites.
 * Spec: docs/protocol.md, section 17.
 *
 * Nothing here checks a signature (trust/ does).  Decoders take untrusted bytes, never read past them
 * and never allocate; results as in wire/wire.h, but each takes its whole input: never 0.  Integers
 * are big endian, times seconds since 1970. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_WIRE_TRUST_H
#define GODWIT_WIRE_TRUST_H

#include "wire/beacon.h"

enum {
	WIRE_NAME_MAX = 63, /* of members and networks: a-z 0-9 -, first a letter or digit */
	WIRE_GROUP_MAX = 32,
	WIRE_GROUPS_MAX = 8,
	WIRE_NAMES_MAX = 4,
	WIRE_CHAIN_MAX = 500,
	WIRE_LINKS_MAX = 2,
	WIRE_CA_HINT = 4,
	WIRE_CHAIN_HEAD = 1 + WIRE_KEY_SIZE + WIRE_CA_HINT, /* before the links */
	WIRE_MANIFEST_MAX = 65535,
	WIRE_MANIFEST_CAS_MAX = 3, /* beside the network key */
	WIRE_MANIFEST_BEACONS_MAX = 4,
	WIRE_SERIAL_SIZE = 8,
	WIRE_SIGNATURE_SIZE = 64,
	WIRE_INVITE_MAX = 1200,
	WIRE_INVITE_BEACONS_MAX = 2,
	WIRE_SEED_SIZE = 32,
};

/* Tags from here up may not be skipped. */
enum { WIRE_CRITICAL = 0x80 };

bool wire_name_valid(const char *name);   /* 1..63 of [a-z0-9-], first no '-' */
bool wire_group_valid(const char *group); /* 1..32 of the same */

/* --- certificate chains --- */

#define CERTIFICATE_CONTEXT "godwit certificate v1"

enum { CERTIFICATE_DELEGATE = 1, CERTIFICATE_EPHEMERAL = 2 };

struct wire_certificate {
	uint8_t key[WIRE_KEY_SIZE];
	uint64_t serial;
	uint32_t not_before, not_after;
	uint8_t flags; /* CERTIFICATE_* */
	/* a member: 0 or 1 names, no prefix; a delegate: what its members may be called */
	size_t n_names, n_prefixes, n_groups;
	char names[WIRE_NAMES_MAX][WIRE_NAME_MAX + 1];
	char prefixes[WIRE_NAMES_MAX][WIRE_NAME_MAX + 1];
	char groups[WIRE_GROUPS_MAX][WIRE_GROUP_MAX + 1];
	uint32_t longest; /* a delegate: validity of its members, seconds; else 0 */
	uint8_t signature[WIRE_SIGNATURE_SIZE];
};

struct wire_chain {
	uint8_t network[WIRE_KEY_SIZE];
	uint8_t ca[WIRE_CA_HINT]; /* first bytes of the first link's signer */
	size_t n_links;
	struct wire_certificate links[WIRE_LINKS_MAX];
	/* set by the decoder, in the decoded bytes: what each signature is over, after context and network */
	struct {
		const uint8_t *data;
		size_t len;
	} signed_part[WIRE_LINKS_MAX];
};

/* What the signature of `c` is over: network (32) || the link without length and signature; at most
 * WIRE_KEY_SIZE + WIRE_CHAIN_MAX bytes.  0: its fields are too long, or out of range. */
size_t wire_certificate_signed(uint8_t *out, const uint8_t network[WIRE_KEY_SIZE],
			       const struct wire_certificate *c);
/* At most WIRE_CHAIN_MAX bytes.  0: it would be longer, or a field is out of range. */
size_t wire_chain_encode(uint8_t *out, const struct wire_chain *c);
/* GW_E_FORMAT: malformed, too long, unknown version, a text of a wrong form, a field twice that may be there
 * once, the same name, prefix or group twice, too many, a field of a delegate in a member's, not before >=
 * not after; GW_E_VERSION: an unknown critical tag or flag.  Of the form only: that a delegate comes first, and
 * rights, are for trust/. */
ssize_t wire_chain_decode(struct wire_chain *out, const uint8_t *data, size_t len);

/* --- manifests --- */

#define MANIFEST_CONTEXT "godwit manifest v1"
#define CA_CONTEXT "godwit ca v1"

struct wire_manifest {
	uint8_t network[WIRE_KEY_SIZE];
	uint64_t sequence; /* up to WIRE_VARINT_MAX */
	uint32_t issued, expires;
	char name[WIRE_NAME_MAX + 1];
	size_t n_cas;
	struct {
		uint8_t key[WIRE_KEY_SIZE], signature[WIRE_SIGNATURE_SIZE];
	} cas[WIRE_MANIFEST_CAS_MAX];
	/* ascending, n * 32 and n * 8 bytes; decoded: in the decoded bytes */
	const uint8_t *revoked_keys, *revoked_serials;
	size_t n_revoked_keys, n_revoked_serials;
	size_t n_beacons;
	struct wire_home beacons[WIRE_MANIFEST_BEACONS_MAX];
	uint8_t signer[WIRE_KEY_SIZE];
	uint8_t signature
		[WIRE_SIGNATURE_SIZE]; /* over MANIFEST_CONTEXT || SHA-256 of all before it */
};

/* `size` is the room at `out`.  0: it does not fit, would be longer than WIRE_MANIFEST_MAX, or would not be
 * decoded. */
size_t wire_manifest_encode(uint8_t *out, size_t size, const struct wire_manifest *m);
/* As wire_chain_decode(); GW_E_FORMAT is also: no name, a list that is empty or does not ascend strictly,
 * issued >= expires, two CAs (the network key is one) whose keys begin with the same WIRE_CA_HINT bytes. */
ssize_t wire_manifest_decode(struct wire_manifest *out, const uint8_t *data, size_t len);

/* --- invites: the bytes between base32 and the checksum --- */

struct wire_invite {
	uint8_t seed[WIRE_SEED_SIZE];  /* secret */
	uint8_t chain[WIRE_CHAIN_MAX]; /* encoded */
	size_t chain_len;
	char name[WIRE_NAME_MAX + 1]; /* of the network; "" unknown */
	size_t n_beacons;
	struct wire_home beacons[WIRE_INVITE_BEACONS_MAX];
};

/* From the version on (the word's type and check are crypto/'s); at most WIRE_INVITE_MAX bytes.  0: it would
 * not be decoded. */
size_t wire_invite_encode(uint8_t *out, const struct wire_invite *i);
/* As wire_chain_decode(), but an unknown version is GW_E_VERSION.  The chain is not looked at. */
ssize_t wire_invite_decode(struct wire_invite *out, const uint8_t *data, size_t len);

/* --- the payload of a knock (section 19) --- */

enum {
	WIRE_ANSWER_SIZE = 16,
	WIRE_COURTESY_SIZE = 8,
	WIRE_KNOCK_PAYLOAD_MAX =
		8 + WIRE_KEY_SIZE + WIRE_ANSWER_SIZE + WIRE_COURTESY_SIZE + WIRE_CHAIN_MAX
};

struct wire_knock {
	uint64_t wall_ms;
	uint8_t key[WIRE_KEY_SIZE];
	uint8_t answer[WIRE_ANSWER_SIZE];     /* random: proves a refusal */
	uint8_t courtesy[WIRE_COURTESY_SIZE]; /* of the accepter's ticket; zeros: none */
	const uint8_t *chain; /* encoded, not looked at; decoded: in the decoded bytes */
	size_t chain_len;     /* 0: none */
};

size_t wire_knock_encode(uint8_t out[WIRE_KNOCK_PAYLOAD_MAX], const struct wire_knock *k);
ssize_t wire_knock_decode(struct wire_knock *out, const uint8_t *data, size_t len);

#endif
