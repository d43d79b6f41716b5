/* core/networks.h - the networks that a node knows, and what its peers are in them.
 * Spec: docs/protocol.md, section 17.
 *
 * A network comes from the application (node_network_set()); manifests also from peers and beacons.
 * What a peer shows is checked once; whether it still holds is looked at again when a manifest comes
 * and when something expires. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_CORE_NETWORKS_H
#define GODWIT_CORE_NETWORKS_H

#include "core/policy.h"
#include "core/types.h"
#include "trust/trust.h"

struct network {
	struct list_item link;    /* node->networks */
	bool is_news;             /* the application has not been told of its manifest */
	struct manifest manifest; /* len 0: none has been seen, and m.network is all there is */
	bool is_member;
	struct member self;            /* our own chain, when is_member */
	enum trust_refusal self_state; /* of it, at present */
	struct map by_serial;          /* credentials of peers: who showed it first */
};

/* What a peer is in one network.  In a list of its peer, or of a connection that has none yet. */
struct credential {
	struct credential *next;
	struct network *network;
	bool valid;    /* at present */
	uint64_t sent; /* sequence of the manifest that it was sent last */
	struct member member;
};

void networks_init(struct node *n);
void networks_clear(struct node *n);
struct network *networks_find(const struct node *n, const uint8_t key[KEY_SIZE]);
/* Seconds since 1970. */
uint32_t networks_wall_s(const struct node *n, gw_time now);

/* Check a chain that this key has shown.  NULL: refused, *why says so (TRUST_OK: out of memory). */
struct credential *networks_check(struct node *n, const uint8_t key[KEY_SIZE], const uint8_t *chain,
				  size_t len, enum trust_refusal *why, gw_time now);
void credentials_free(struct credential *list);
/* The list becomes the peer's; each replaces what it had in that network. */
void networks_show(struct peer *p, struct credential *list);
const struct credential *networks_of(const struct peer *p, const struct network *w);
struct principal networks_principal(const uint8_t *key, const struct credential *list);

/* A newer manifest, from `from` for the log (a peer's or beacon's key, or NULL: the application).  Looks at all peers
 * again, tells them and the beacons. */
enum trust_refusal networks_manifest(struct node *n, struct network *w, const uint8_t *data,
				     size_t len, const uint8_t *from, gw_time now);

/* The same after any other change of it. */
void networks_changed(struct node *n, struct network *w, gw_time now);
void networks_clock_stepped(struct node *n, gw_time now);
/* The key of one whose manifest has come from others. */
bool networks_next_news(struct node *n, uint8_t key[KEY_SIZE]);

/* --- networks_talk.c --- */

/* Whose chain of ours to show to this peer in a knock; NULL: none. */
const struct network *networks_knock_with(const struct peer *p);
/* The connection is used: tell the peer what it may know. */
void networks_greet(struct connection *c);
/* The same to all peers of that network. */
void networks_tell(struct node *n, struct network *w);
/* MEMBER, NETWORK, MANIFEST. */
void networks_frame(struct connection *c, const struct frame *f, gw_time now);

gw_time networks_due(const struct node *n);
void networks_expire(struct node *n, gw_time now);

#endif
