/* cli/network_internal.h - what the parts of `godwit network` share. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_CLI_NETWORK_INTERNAL_H
#define GODWIT_CLI_NETWORK_INTERNAL_H

#include "cli/commands.h"
#include "cli/networks.h"

enum { LIFETIME_LEAST = 60, LIFETIME_MOST = 10 * 365 * 24 * 3600 };

/* A command at work on one network of the home. */
struct net {
	struct cli *c;
	struct failure *f; /* the command's */
	struct home home;
	int lock; /* -1: only looks */
	struct home_network n;
	uint64_t now_ms; /* wall clock */
	uint32_t now_s;
};

enum net_access { NET_LOOK, NET_CHANGE };

/* Open the home; net_close() after any outcome.  NET_CHANGE takes the lock. */
int net_open(struct net *w, struct cli *c, enum net_access access, bool make_home);
/* The same, and the network that the command's second word names (or the only one). */
int net_open_network(struct net *w, struct cli *c, enum net_access access);
void net_close(struct net *w);

/* Ask the running node of this home, if there is one that knows the request.  Takes the request over. */
void network_ask_node(struct cli *c, json_t *request, op_event_fn *event, void *user);
/* It shall read its networks again (one that does not know the request reads them when it starts).  After
 * net_close(): it takes the lock, too. */
void network_tell_node(struct cli *c);

/* Of this node: public only.  An ephemeral identity is refused: its certificate would be of no use. */
int net_own_key(const struct net *w, uint8_t key[KEY_SIZE]);

/* --- the subcommands --- */

int network_create(struct cli *c);
int network_show(struct cli *c);
int network_invite(struct cli *c);
int network_join(struct cli *c);
int network_export(struct cli *c);
int network_members(struct cli *c);
int network_revoke(struct cli *c);
int network_renew(struct cli *c);
int network_ca(struct cli *c);
int network_endorse(struct cli *c);

/* A chain for that key, by an invite, checked as far as the network is known.  `lifetime` 0: the longest. */
int net_join_by(struct net *w, const struct invite *i, const uint8_t own[KEY_SIZE],
		const char *name, uint32_t lifetime, uint8_t chain[WIRE_CHAIN_MAX], size_t *len);
/* A word from env:NAME, file:PATH, fd:N, - or (a bundle) itself; text_free() it. */
int net_read_word(const char *where, struct text *out, struct failure *f);
int net_key_revoked(const struct net *w, const char *whose); /* the failure */
/* What invite_parse() or bundle_parse() has refused. */
int net_wrong_word(const char *word, int error, bool invite, struct failure *f);

/* --- signing --- */

/* What is signed by a clock that is wrong is worthless. */
int net_check_clock(const struct net *w);

/* `COMMAND [NETWORK] WHAT` that changes a network by a key of it: sign() has the last word and the key,
 * which is wiped afterwards; the running node is told.  The command's exit status, or -1. */
typedef int net_key_fn(const struct net *w, struct identity *out);
typedef int net_sign_fn(struct net *w, const char *what, const struct identity *key);
int net_sign(struct cli *c, net_key_fn *key_of, net_sign_fn *sign);
uint64_t net_serial(void);
/* From --group, --name and --name-prefix; at most `names` names. */
int net_rights(const struct net *w, struct wire_certificate *out, size_t names);
/* now + lifetime, as far as times go. */
uint32_t net_until(const struct net *w, uint32_t lifetime);
/* Sign one link by a CA: a whole chain. */
int net_sign_link(const struct net *w, const struct identity *ca, struct wire_certificate *link,
		  uint8_t chain[WIRE_CHAIN_MAX], size_t *len);
/* The same of a member, recorded in the ledger and among the known. */
int net_sign_member(struct net *w, const struct identity *ca, struct wire_certificate *link,
		    uint8_t chain[WIRE_CHAIN_MAX], size_t *len);

/* The next manifest: a copy of the present one with room for one more of each list, less what revokes nothing
 * any more. */
struct revision {
	struct wire_manifest m;
	uint8_t *keys, *serials;
};

int revision_begin(struct revision *r, const struct net *w);
/* A further CA is none any more: there is room for another one. */
void revision_add_key(struct revision *r, const uint8_t key[KEY_SIZE]);
void revision_add_serial(struct revision *r, uint64_t serial);
/* `lifetime` 0: as long as the present one.  Sign, and save it. */
int revision_finish(struct revision *r, struct net *w, const struct identity *ca,
		    uint32_t lifetime);
void revision_clear(struct revision *r);
/* The beacons of the settings, the first four. */
void net_beacons(const struct net *w, struct wire_manifest *m);

/* --- for people and for programs --- */

json_t *net_describe(const struct net *w);             /* `show` */
json_t *net_describe_certificate(const struct net *w); /* NULL: none */
json_t *net_texts(const char *texts, size_t stride, size_t count);
json_t *net_key_text(const uint8_t key[KEY_SIZE]); /* "c..." of the network */
json_t *net_address(const uint8_t key[KEY_SIZE]);
/* Of an entry of the ledger, which it takes over. */
json_t *net_describe_invite(const struct net *w, json_t *entry);
/* {"members":[...],"invites":[...]}; NULL: failure.  Members by the newest certificate of each key. */
json_t *net_members(const struct net *w);
/* What the running node knows: "seen" is whether a member has shown it a certificate that holds. */
void net_merge_seen(struct cli *c, const char *label, json_t *members);
/* "a, b", "-" for none. */
const char *net_join_texts(const json_t *texts, char *out, size_t size);

#endif
