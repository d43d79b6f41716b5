/* core/beacons_internal.h - what the files about a node's beacons share: beacons.c has the table,
 * the dialling and the links, beacons_life.c the life signs, homes.c who is home, ladder.c the way
 * to each. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_CORE_BEACONS_INTERNAL_H
#define GODWIT_CORE_BEACONS_INTERNAL_H

#include "core/beacons.h"

/* Every address at once, unless it has a link or is being dialled. */
void beacons_dial(struct beacon_ref *b, gw_time now);
/* One more handshake, by this path. */
void beacons_race(struct beacon_ref *b, const struct path *path, gw_time now);
/* 0-1 s at first, then doubling to a minute, +- 50 %: no herd when a beacon comes back. */
void beacons_redial_later(struct beacon_ref *b, gw_time now);
/* No way to it was found this time. */
void beacons_give_up(struct beacon_ref *b, gw_time now);
/* Nothing is being tried. */
bool beacons_idle(const struct beacon_ref *b);
/* Without a word to on_closed(): the reference forgets its links first. */
void beacons_drop_links(struct beacon_ref *b, gw_time now);

#endif
