/* trust/knock.h - what a dialler's first packet proves, before anything is answered.
 * Spec: docs/protocol.md, section 19.
 *
 * No clock and no entropy of its own: both are parameters. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_TRUST_KNOCK_H
#define GODWIT_TRUST_KNOCK_H

#include "base/addr.h"
#include "base/time.h"
#include "crypto/identity.h"
#include "crypto/noise.h"
#include "wire/trust.h"

enum {
	KNOCK_TAG = 16,
	KNOCK_MAX = KNOCK_TAG + NOISE_X_OVERHEAD + WIRE_KNOCK_PAYLOAD_MAX,
	KNOCK_SKEW_MS = 15 * 60 * 1000,
	KNOCK_SEEN_MAX = 65536,
	KNOCK_KEY_MAX = KNOCK_SEEN_MAX / 8, /* of one key, when half of them are used */
	KNOCK_DCID = 16,                    /* bytes of the Initial's destination connection id */
};

/* Our own keys, computed once. */
struct knock_self {
	uint8_t key[KEY_SIZE];    /* Ed25519 */
	uint8_t secret[KEY_SIZE]; /* X25519; secret */
	uint8_t public[KEY_SIZE]; /* X25519 */
	uint8_t tag_key[KEY_SIZE];
	uint8_t courtesy[WIRE_COURTESY_SIZE]; /* what our tickets show */
};

/* GW_E_KEY: no usable key. */
int knock_self_init(struct knock_self *s, const struct identity *id);
void knock_self_wipe(struct knock_self *s);

/* `ephemeral` are 32 fresh random bytes, to be wiped by the caller; chain_len <= WIRE_CHAIN_MAX.
 * Returns the bytes at `out` (KNOCK_MAX), GW_E_KEY: `to` is no usable key, or GW_E_CRYPTO. */
ssize_t knock_make(uint8_t *out, const struct knock_self *from, const uint8_t to[KEY_SIZE],
		   const uint8_t dcid[KNOCK_DCID], const uint8_t ephemeral[32],
		   const struct wire_knock *what);

enum knock_refusal {
	KNOCK_OK = 0,
	KNOCK_SHORT, /* no knock at all: too short, or too long */
	KNOCK_WRONG_TAG,
	KNOCK_FORGED, /* Noise fails */
	KNOCK_KEY,    /* the key is not the one that was proved */
	KNOCK_CLOCK,  /* by our clock too early or late: `out` is set */
	KNOCK_REPLAY, /* for callers of knock_seen_add() */
};

struct knock {
	uint8_t key[KEY_SIZE];
	int64_t ahead_ms; /* its clock minus ours */
	uint64_t wall_ms;
	uint8_t answer[WIRE_ANSWER_SIZE];
	bool courteous; /* it has a ticket of ours */
	uint8_t chain[WIRE_CHAIN_MAX];
	size_t chain_len;
};

/* Only the tag: what costs one hash. */
bool knock_has_tag(const struct knock_self *s, const uint8_t dcid[KNOCK_DCID], const uint8_t *token,
		   size_t len);
/* All but the replay.  `out` is untouched unless it is said to be set. */
enum knock_refusal knock_open(struct knock *out, const struct knock_self *s,
			      const uint8_t dcid[KNOCK_DCID], const uint8_t *token, size_t len,
			      uint64_t wall_ms);

/* Proves to the knocker that its knock was opened, and refused: `scid` is the source id of its Initial. */
void knock_refusal_tag(uint8_t out[KNOCK_TAG], const uint8_t answer[WIRE_ANSWER_SIZE],
		       const uint8_t scid[WIRE_CID_SIZE]);

/* --- those that were seen --- */

struct knock_seen; /* NULL until the first */

/* True: it is new, and is remembered for as long as its time could be taken.  `key` is whose knock
 * it is, `knock_ms` its own time, `wall_ms` our clock.  Also false: more than KNOCK_SKEW_MS apart,
 * older than what was forgotten, too many of that key, or out of memory.  Nothing is remembered
 * then.
 *
 * A knock that is answered by a Retry does not belong here: its sender repeats it as it is when
 * the Retry is lost. */
bool knock_seen_add(struct knock_seen **seen, const uint8_t dcid[KNOCK_DCID],
		    const uint8_t key[KEY_SIZE], uint64_t knock_ms, uint64_t wall_ms,
		    uint64_t seed);
/* Such a knock gets no answer, no Retry either. */
bool knock_seen_has(const struct knock_seen *seen, const uint8_t dcid[KNOCK_DCID]);
void knock_seen_free(struct knock_seen *seen);

enum { KNOCK_OWNERS = 1024 };

/* A number below KNOCK_OWNERS by which keys are counted; which keys share one nobody can tell who does not
 * know the seed. */
uint16_t knock_owner(const uint8_t key[KEY_SIZE], uint64_t seed);

/* --- Retry tokens: nothing is kept of who gets one --- */

enum {
	RETRY_TOKEN_MAX = 1 + 24 + 16 + 8 + 8 + 1 + 20 + 32 + WIRE_CHAIN_MAX,
	/* first byte: a knock begins with it once in 256 times, and is then tried second */
	RETRY_FIRST = 0xb7,
};

struct retry_token {
	uint8_t odcid[20];
	size_t odcid_len;
	uint64_t wall_ms; /* the knock's own time */
	uint8_t key[KEY_SIZE];
	uint8_t chain[WIRE_CHAIN_MAX];
	size_t chain_len;
};

/* `nonce`: 24 fresh random bytes; odcid_len <= 20, chain_len <= WIRE_CHAIN_MAX.  Returns the bytes
 * at `out`. */
size_t retry_seal(uint8_t out[RETRY_TOKEN_MAX], const uint8_t secret[32], const uint8_t nonce[24],
		  const struct addr *client, const struct retry_token *t, gw_time now);
/* False: not ours, of another address (or port), or older than 10 s; `out` is untouched. */
bool retry_open(struct retry_token *out, const uint8_t secret[32], const struct addr *client,
		const uint8_t *token, size_t len, gw_time now);

#endif
