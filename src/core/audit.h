/* core/audit.h - what this node has decided about others, for whoever keeps a log of it. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_CORE_AUDIT_H
#define GODWIT_CORE_AUDIT_H

#include "core/types.h"

/* All do nothing unless config.audit; what nobody takes is dropped, and counted in the next entry. */

/* A packet or a peer is refused.  `key` NULL: who it is has not been proved; `b` NULL: it came
 * directly. */
void audit_refused(struct node *n, enum audit_what what, const uint8_t *key,
		   const struct path *path, const struct beacon_ref *b, const char *why);
/* The same of a peer that is connected. */
void audit_peer(const struct connection *c, enum audit_what what, const char *why);
/* A stream of the peer's was taken, or refused. */
void audit_open(struct peer *p, const char *service, bool allowed, const char *why);
/* One that was taken has ended; `why` NULL: as it should. */
void audit_end(const struct stream *s, const char *why);

bool audit_next(struct node *n, struct audit *out);
void audit_clear(struct node *n);

#endif
