/* core/pace.h - when a connection may send its next packets.
 *
 * ngtcp2 0.12.1 lets packets go a millisecond early, counts that to nobody's charge (so it sends a
 * quarter faster than its congestion control says), and knows no pace before that has measured the
 * path.  BBR then fills every queue up to its window, and takes the bursts for a faster path.
 * Spec: docs/protocol.md, section 16. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_CORE_PACE_H
#define GODWIT_CORE_PACE_H

#include "core/types.h"

struct quic_stat;

/* Is the path so short that it is not paced? */
bool pace_is_near(const struct quic_stat *stat);
/* Before each write: tells ngtcp2 what pace_sent() has kept from it.  Returns ngtcp2's error. */
int pace_resume(struct connection *c, gw_time now);
/* How many packets may go at once. */
size_t pace_packets(struct connection *c);
/* `len` bytes of packets have been written since `was_in_flight` bytes were in flight, and there is
 * `more`: tells ngtcp2, and c->pace_at.  Acknowledgements alone are not charged
 * (by us: ngtcp2 1.x paces by itself).
 * On a short path what was the last to write is told when there is more. */
void pace_sent(struct connection *c, size_t len, uint64_t was_in_flight, bool more, gw_time now);

#endif
