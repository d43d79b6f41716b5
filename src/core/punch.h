/* core/punch.h - finding a direct path while a relayed connection is in use.
 * Spec: docs/protocol.md, section 13.
 *
 *	candidates exchanged ──► volleys of probes ──► an answer ──► the dialler dials there
 *	                              └── none, one NAT is hard ──► spray (core/spray.h) */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_CORE_PUNCH_H
#define GODWIT_CORE_PUNCH_H

#include "core/types.h"

/* `c` carries the streams from now on. */
void punch_used(struct connection *c, gw_time now);
/* CANDIDATES came on it. */
void punch_candidates(struct connection *c, const struct wire_candidates *theirs, gw_time now);
/* A punch probe. */
void punch_receive(struct node *n, const struct path *path, const uint8_t *data, size_t len,
		   gw_time now);
/* Our addresses have changed: begin again. */
void punch_network_changed(struct peer *p, gw_time now);
void punch_free(struct peer *p);

gw_time punch_due(const struct peer *p);
void punch_expire(struct peer *p, gw_time now);

/* For core/spray.c. */
void punch_ask(struct peer *p, const struct path *path);
void punch_offer(struct peer *p, uint64_t flags, uint16_t port, int16_t step);

#endif
