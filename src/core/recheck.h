/* core/recheck.h - what a change of policy means for what is live.
 * Spec: docs/protocol.md, section 18. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_CORE_RECHECK_H
#define GODWIT_CORE_RECHECK_H

#include "core/types.h"

/* End the streams that are no longer allowed, and what is left of the peer when nothing is. */
void recheck_peer(struct peer *p, gw_time now);
/* peer->part_at has come. */
void recheck_part(struct peer *p, gw_time now);

#endif
