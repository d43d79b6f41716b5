/* core/names.h - names of members: publishing ours at beacons, finding those of others.
 * Spec: docs/protocol.md, section 17 (Names). */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_CORE_NAMES_H
#define GODWIT_CORE_NAMES_H

#include "core/networks.h"

/* We are registered there: exchange manifests, store our chains; ask for names that are looked for. */
void names_beacon_ready(struct beacon_ref *b, gw_time now);
void names_beacon_lost(struct beacon_ref *b, gw_time now);
/* The manifest or our chain is another one, or the network is new: tell the beacons. */
void names_changed(struct network *w, struct node *n, gw_time now);
void names_dropped(struct network *w, struct node *n); /* the network is about to be freed */

/* ITEM, and a RESULT of ours.  False: the RESULT is not for us. */
void names_item(struct beacon_ref *b, const struct beacon_frame *f, gw_time now);
bool names_result(struct beacon_ref *b, const struct beacon_frame *f, gw_time now);

gw_time names_due(const struct node *n);
void names_expire(struct node *n, gw_time now);
void names_clear(struct node *n);

#endif
