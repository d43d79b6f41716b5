/* core/ladder.h - which way the packets to a beacon go: from UDP to TLS and back.  And what the
 * replies to address requests tell: one of them is the way back.
 * Spec: docs/protocol.md, section 14. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_CORE_LADDER_H
#define GODWIT_CORE_LADDER_H

#include "core/types.h"

/* node_conduit_up() or node_conduit_down() says what came of it. */
void ladder_open_tls(struct beacon_ref *b);
void ladder_close_tls(struct beacon_ref *b);
/* On TLS: does UDP work again? */
void ladder_ask_for_udp(struct beacon_ref *b, gw_time now);
/* Its other port sees us, too: does our NAT map both alike? */
void ladder_ask_alternate(struct beacon_ref *b);
void ladder_address_reply(struct node *n, const struct path *path, const uint8_t *data, size_t len,
			  gw_time now);

#endif
