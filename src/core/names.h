/* core/names.h - names of members: publishing ours at beacons, finding those of others.
 * Spec: docs/protocol.md, section 17 (Names).
 *
 * names.c exchanges manifests and chains with our own beacons, one question at a time with each;
 * search.c asks them for names. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_CORE_NAMES_H
#define GODWIT_CORE_NAMES_H

#include "core/networks.h"

void names_init(struct node *n);
void names_clear(struct node *n);

/* It has welcomed us: exchange manifests, store our chains; ask for names that are looked for. */
void names_beacon_ready(struct beacon_ref *b, gw_time now);
/* Also of one that never was ready. */
void names_beacon_lost(struct beacon_ref *b, gw_time now);
/* The manifest or our chain is another one, or the network is new: tell the beacons. */
void names_changed(struct network *w, struct node *n, gw_time now);
void names_dropped(struct network *w, struct node *n); /* the network is about to be freed */

void names_item(struct beacon_ref *b, const struct beacon_frame *f, gw_time now);
/* False: the RESULT is not for us. */
bool names_result(struct beacon_ref *b, const struct beacon_frame *f, gw_time now);

gw_time names_due(const struct node *n);
void names_expire(struct node *n, gw_time now);

/* --- search.c; the node's interface to it is node_find_name() in core/node.h --- */

/* One of our own, and connected. */
bool names_can_ask(const struct beacon_ref *b);
void search_beacon_ready(struct beacon_ref *b, gw_time now);
void search_beacon_lost(const struct beacon_ref *b, gw_time now);
void search_changed(struct network *w, struct node *n, gw_time now);
void search_dropped(const struct network *w, struct node *n);
/* False: it answers no search. */
bool search_item(struct beacon_ref *b, const struct beacon_frame *f, gw_time now);
bool search_result(struct beacon_ref *b, const struct beacon_frame *f, gw_time now);
gw_time search_due(const struct node *n);
void search_expire(struct node *n, gw_time now);
void search_clear(struct node *n);
/* EVENT_NAME. */
bool search_next(struct node *n, struct event *out);

#endif
