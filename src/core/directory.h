/* core/directory.h - records: publishing our own, finding those of peers.
 * Spec: docs/protocol.md, section 11. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_CORE_DIRECTORY_H
#define GODWIT_CORE_DIRECTORY_H

#include "core/types.h"

/* Our home beacons have changed, or a record is due: publish to those connected. */
void directory_publish(struct node *n, gw_time now);
/* Ask where the peer is, all beacons that we have; at most once in LOOKUP_GAP. */
void directory_lookup(struct peer *p, gw_time now);
/* A beacon is ready: ask it about peers that wait. */
void directory_beacon_ready(struct beacon_ref *b, gw_time now);
void directory_beacon_lost(struct beacon_ref *b, gw_time now);

void directory_record(struct beacon_ref *b, const struct beacon_frame *f, gw_time now);
void directory_result(struct beacon_ref *b, const struct beacon_frame *f, gw_time now);
/* A hint where the peer is at home; what a record says replaces it. */
void directory_add_home(struct peer *p, struct beacon_ref *b);
void directory_forget(struct peer *p);

#endif
