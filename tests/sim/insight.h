/* tests/sim/insight.h - what the nodes know of one another, and what they should. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_SIM_INSIGHT_H
#define GODWIT_SIM_INSIGHT_H

#include "sim.h"

/* The best first. */
enum way { WAY_LAN, WAY_IPV6, WAY_IPV4, WAY_UDP_RELAY, WAY_TLS_RELAY, WAY_NONE };

/* NULL: the node does not know the peer. */
const struct peer_info *info_of(const struct proc *p, const struct proc *peer,
				struct peer_info *out);
const char *way_name(enum way w);
/* How `p` reaches the peer at present. */
enum way way_to(const struct proc *p, const struct proc *peer);
/* The best that their networks allow, as they are now. */
enum way way_possible(const struct sim *s, const struct proc *p, const struct proc *peer);
/* Do they reach that only by a spray, of which there is one in ten minutes? */
bool way_takes_spray(const struct sim *s, const struct proc *p, const struct proc *peer);
/* Do both use one and the same connection? */
bool agreed(const struct proc *p, const struct proc *peer);
/* "A x B: ..." : what is not as it should be; empty: all is, or better. */
void disagreement(const struct proc *p, const struct proc *peer, char *out, size_t size);
/* What the node says that the beacon has done wrong, or NULL. */
const char *fault_of(const struct proc *p, const struct proc *beacon);
/* A note: its beacons, and what it knows of the peer. */
void explain(const struct proc *p, const struct proc *peer);
/* Things that a node may only have so many of, whoever talks to it. */
void check_bounds(struct proc *p);

#endif
