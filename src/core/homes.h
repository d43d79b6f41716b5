/* core/homes.h - which of our beacons is home, which is spare, and which are left.
 * Spec: docs/protocol.md, section 11. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_CORE_HOMES_H
#define GODWIT_CORE_HOMES_H

#include "core/types.h"

/* Choose among those that are usable now. */
void homes_choose(struct node *n, gw_time now);
/* One has become usable or no longer is: choose soon, or at once when there is
 * no home or none is still being dialled. */
void homes_reconsider(struct node *n, gw_time now);
/* All of our own: to choose among them again. */
void homes_dial_all(struct node *n, gw_time now);

#endif
