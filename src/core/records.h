/* core/records.h - records: publishing our own, finding those of peers.
 * Spec: docs/protocol.md, section 11. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_CORE_RECORDS_H
#define GODWIT_CORE_RECORDS_H

#include "core/types.h"

/* Our home beacons have changed, or a record is due: publish to those connected. */
void records_publish(struct node *n, gw_time now);
/* Ask where the peer is, all beacons that we have; at most once in LOOKUP_GAP. */
void records_lookup(struct peer *p, gw_time now);
/* Its streams or its connection have come or gone: the beacons shall tell of its changes as long as
 * there are any, and no longer. */
void records_watch(struct peer *p);
/* A beacon is ready: ask it about peers that wait. */
void records_beacon_ready(struct beacon_ref *b, gw_time now);
void records_beacon_lost(struct beacon_ref *b, gw_time now);

void records_record(struct beacon_ref *b, const struct beacon_frame *f, gw_time now);
void records_result(struct beacon_ref *b, const struct beacon_frame *f, gw_time now);
/* A hint where the peer is at home; what a record says replaces it. */
void records_add_home(struct peer *p, struct beacon_ref *b);
/* The peer is about to be freed. */
void records_forget(struct peer *p);

#endif
