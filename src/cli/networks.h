/* cli/networks.h - the networks of a home: `networks/LABEL/` with
 *
 *	manifest      the signed bytes; absent after joining by an invite, until one is seen
 *	chain         this node's certificate chain; absent when the network is only trusted
 *	known/        chains of other members: a file each, named by the address
 *	ca.pem        the key of a CA: where the network was made, or of a further CA, which may
 *	              not be endorsed yet, or revoked; secret
 *	invite        the word that we joined by, for renewal; secret
 *	ledger.jsonl  beside a CA key: what it has signed
 *
 * LABEL is what the network is called here.  Nothing is half written, and files that others may write
 * are refused.  Whoever changes something holds home_networks_lock() from before it reads until
 * after it has written. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_CLI_NETWORKS_H
#define GODWIT_CLI_NETWORKS_H

#include "cli/file.h"
#include "cli/home.h"
#include "crypto/address.h"
#include "trust/trust.h"

enum {
	HOME_NETWORKS_MAX = 16,
	LABEL_SIZE = WIRE_NAME_MAX + 1,
	LABEL_PATH_SIZE = 4096 + LABEL_SIZE + 16,
};

struct home_network {
	char label[LABEL_SIZE];
	uint8_t key[KEY_SIZE];
	struct manifest manifest; /* len 0: not yet seen */
	size_t chain_len;         /* 0: no member */
	uint8_t chain[WIRE_CHAIN_MAX];
	struct wire_chain links; /* of `chain`, decoded; its signatures are not checked here */
	bool begun;              /* not yet committed */
	int fd;                  /* of the directory; -1: closed */
	char path[LABEL_PATH_SIZE];
};

struct home_networks {
	size_t count;
	char labels[HOME_NETWORKS_MAX][LABEL_SIZE]; /* ascending */
};

int home_networks_list(const struct home *h, struct home_networks *out, struct failure *f);
/* A descriptor: close() releases.  Makes `networks/`.  Waits for others. */
int home_networks_lock(const struct home *h, struct failure *f);

/* home_network_close() it.  Its manifest is one that was taken once: only a damaged one is refused. */
int home_network_open(struct home_network *n, const struct home *h, const char *label,
		      struct failure *f);
/* `text`: a label or the network's key word; NULL: the only one. */
int home_network_find(struct home_network *n, const struct home *h, const char *text,
		      struct failure *f);
/* -1: failure; 0: *n is open; 1: there is none of that key. */
int home_network_by_key(struct home_network *n, const struct home *h, const uint8_t key[KEY_SIZE],
			struct failure *f);
void home_network_close(struct home_network *n); /* twice is as good */
/* A failure that says so of one of its files. */
int home_network_damaged(const struct home_network *n, const char *name, const char *why,
			 struct failure *f);

/* A new one: begin, save its files, commit.  Closing it without commit leaves nothing. */
int home_network_begin(struct home_network *n, const struct home *h, const char *label,
		       struct failure *f);
int home_network_commit(struct home_network *n, const struct home *h, struct failure *f);

/* Takes the manifest over (*m is clear after success).  Refused when it is no newer. */
int home_network_save_manifest(struct home_network *n, struct manifest *m, struct failure *f);
int home_network_save_chain(struct home_network *n, const uint8_t *chain, size_t len,
			    struct failure *f);
int home_network_save_ca(struct home_network *n, const struct identity *ca, struct failure *f);
int home_network_save_invite(struct home_network *n, const char *word, struct failure *f);

/* What the key in ca.pem may do, as far as the manifest here tells. */
enum home_ca {
	HOME_CA_NONE,    /* there is no file */
	HOME_CA_WAITING, /* not endorsed */
	HOME_CA_REVOKED,
	HOME_CA_FURTHER,
	HOME_CA_NETWORK, /* it is the network's own */
};

/* "waiting", "revoked", ...; "none". */
const char *home_ca_name(enum home_ca state);
/* *key is set unless there is none. */
int home_network_ca_state(const struct home_network *n, enum home_ca *state, uint8_t key[KEY_SIZE],
			  struct failure *f);
/* One that may sign.  Also when it cannot be told: who uses it is told why. */
bool home_network_holds_ca(const struct home_network *n);
bool home_network_holds_invite(const struct home_network *n);
/* Wipe it.  Without one, or one that may not sign: a failure. */
int home_network_ca(const struct home_network *n, struct identity *out, struct failure *f);
int home_network_invite(const struct home_network *n, struct invite *out, struct failure *f);

/* Its manifest's, or the invite's until that has come. */
size_t home_network_beacons(const struct home_network *n,
			    struct wire_home out[WIRE_MANIFEST_BEACONS_MAX]);
/* As --beacon takes it. */
void home_beacon_format(const struct wire_home *beacon, char out[BEACON_TEXT_MAX]);

/* --- members that have been seen --- */

typedef void known_fn(void *user, const uint8_t *chain, size_t len);

/* Files that are no chains of this network are skipped. */
int home_network_each_known(const struct home_network *n, known_fn *each, void *user,
			    struct failure *f);
int home_network_save_known(const struct home_network *n, const uint8_t key[KEY_SIZE],
			    const uint8_t *chain, size_t len, struct failure *f);

/* --- the ledger: an array of objects, oldest first ---
 * {"at":S,"what":"member","ca","address","serial":HEX,"name","groups":[],"until":S}
 * {"at":S,"what":"invite","ca","address","serial":HEX,"names":[],"prefixes":[],"groups":[],"longest":S,
 *  "ephemeral":BOOL,"until":S}; the address is that of the invite's own key, ca the key that has signed
 * {"at":S,"what":"revoke","address" or "serial"}; of a member that was known with what `members` said of
 * it: "serial", "name", "groups", "until", "by", "invite", "ca"
 * {"at":S,"what":"endorse","address"} */

json_t *home_network_ledger(const struct home_network *n, struct failure *f); /* NULL: failure */
/* Takes the entry over. */
int home_network_record(const struct home_network *n, json_t *entry, struct failure *f);

enum { SERIAL_SIZE = 17 };

const char *serial_format(uint64_t serial, char out[SERIAL_SIZE]); /* 16 hexadecimal digits */
bool serial_parse(uint64_t *out, const char *text);                /* 1 to 16 of them */

#endif
