/* core/mtu.h - the largest datagram that the path of a connection carries.
 * Spec: docs/protocol.md, section 3. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_CORE_MTU_H
#define GODWIT_CORE_MTU_H

#include "core/types.h"

void mtu_init(struct mtu *m, const struct node *n, const struct path *path, size_t overhead);
/* The connection is in use: look for more than PAYLOAD_MIN. */
void mtu_start(struct connection *c, gw_time now);
/* Back to PAYLOAD_MIN; look again later. */
void mtu_fall_back(struct connection *c, gw_time now);

/* The peer's address has changed: nothing big goes there before it is validated. */
void mtu_migrated(struct connection *c, gw_time now);

gw_time mtu_due(const struct connection *c);
void mtu_expire(struct connection *c, gw_time now);
/* A probe or a reply is due: the batch holds it. */
bool mtu_write(struct connection *c, struct batch *out, gw_time now);

/* A datagram of kind DATAGRAM_PROBE or DATAGRAM_PROBE_REPLY for this connection. */
void mtu_probe_received(struct connection *c, const struct path *path,
			const struct wire_probe *probe);
void mtu_reply_received(struct connection *c, const struct wire_probe *probe, gw_time now);

#endif
