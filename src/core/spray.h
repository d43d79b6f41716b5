/* core/spray.h - many sockets against many ports: the way through one hard NAT.
 * Spec: docs/protocol.md, section 13. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_CORE_SPRAY_H
#define GODWIT_CORE_SPRAY_H

#include "core/types.h"

/* The plain round has failed: begin if our NAT is the hard one and the rules allow it. */
void spray_begin(struct peer *p, gw_time now);
/* The other side is the hard one, and ready. */
void spray_invited(struct peer *p, const struct wire_candidates *theirs, gw_time now);
/* Over; the socket `keep` (0: none) stays open. */
void spray_end(struct peer *p, uint32_t keep);
gw_time spray_due(const struct peer *p);
void spray_expire(struct peer *p, gw_time now);

/* One of our sockets is open, or could not be opened.  False: it is none of ours. */
bool spray_socket(struct node *n, uint32_t via, bool open, gw_time now);
/* An address reply on one of them. */
bool spray_address(struct node *n, const struct path *path, const struct wire_address_reply *r,
		   gw_time now);

/* CANDIDATES_DEPENDENT, _INDEPENDENT or 0: how our NAT maps (core/punch.c). */
uint64_t punch_mapping(const struct node *n);

#endif
