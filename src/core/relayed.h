/* core/relayed.h - connections through a beacon.
 * Spec: docs/protocol.md, section 12. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_CORE_RELAYED_H
#define GODWIT_CORE_RELAYED_H

#include "core/types.h"

/* Dial the peer through each beacon where it may be. */
void relayed_attempt(struct peer *p, gw_time now);
/* A relayed peer has come home to a beacon that is nearer to us than the one that relays: dial it there. */
void relayed_improve(struct peer *p, gw_time now);
/* A beacon is ready: dial those who wait for it. */
void relayed_beacon_ready(struct beacon_ref *b, gw_time now);
/* Its channels are gone. */
void relayed_beacon_lost(struct beacon_ref *b, gw_time now);
/* Could relayed_attempt() do anything? */
bool relayed_possible(const struct peer *p);

/* Is a beacon still being reached for it? */
bool relayed_pending(const struct peer *p);
/* A beacon could not be reached. */
void relayed_beacon_failed(struct beacon_ref *b, gw_time now);

/* A channel packet: find its connection, or accept one. */
void relayed_receive(struct node *n, const struct path *path, const uint8_t *data, size_t len,
		     gw_time now);
/* The beacon has closed or refused a channel. */
void relayed_closed(struct beacon_ref *b, uint64_t channel, uint64_t reason, gw_time now);

/* Where the beacon sees the other end of a channel. */
void relayed_revealed(struct beacon_ref *b, uint64_t channel, const struct addr *endpoint);

/* Make a direct connection a relayed one, before anything else is done with it. */
int relayed_attach(struct connection *c, struct beacon_ref *b, uint64_t channel);
/* Its connection ends. */
void relayed_detach(struct connection *c);
/* Put the channel header before the one datagram of a batch, and say where it goes.  False: there
 * is no way now. */
bool relayed_wrap(const struct connection *c, struct batch *out);

#endif
