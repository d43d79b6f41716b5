/* core/dial.h - when and where to dial a peer.
 * Spec: docs/protocol.md, section 6. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_CORE_DIAL_H
#define GODWIT_CORE_DIAL_H

#include "core/types.h"

/* Remember an endpoint, the latest first. */
void dial_add_endpoint(struct peer *p, const struct addr *endpoint);
/* Of unknown age (from a ticket): what was learned from the peer itself stays first. */
void dial_add_hint(struct peer *p, const struct addr *endpoint);
/* Begin to dial, or go on. */
void dial_start(struct peer *p, gw_time now);
/* The application wants the peer: it is told when attempts from now on fail. */
void dial_asked(struct peer *p, gw_time now);
/* Something changed: begin anew, at once. */
void dial_now(struct peer *p, gw_time now);
/* Nobody may want it any more: then no more attempts, and end those in progress. */
void dial_reconsider(struct peer *p, gw_time now);
/* A connection is in use: no more attempts, and end those in progress. */
void dial_stop(struct peer *p, const struct connection *winner, gw_time now);
/* Attempts in progress. */
size_t dial_racers(const struct peer *p);
/* One way less: when none is left, that is the answer to who asked. */
void dial_unreachable(struct peer *p, gw_time now);
bool dial_active(const struct peer *p);
/* By policy; but the peer's own streams are carried on, whoever dials. */
bool dial_permitted(const struct peer *p);

/* The peer's timer: next attempt, park timeouts. */
void dial_schedule(struct peer *p, gw_time now);
void dial_expire(struct peer *p, gw_time now);
/* How many of our addresses could reach it: of one the kernel thinks anyway. */
size_t dial_ways_out(const struct node *n, const struct addr *remote);

#endif
