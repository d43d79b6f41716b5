/* tests/sim/scenario.h - what the scenarios with beacons are built of. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_SIM_SCENARIO_H
#define GODWIT_SIM_SCENARIO_H

#include "insight.h"
#include "sim.h"

/* A beacon on the internet.  All beacons come before all nodes. */
struct proc *scene_beacon(struct sim *s);
/* A node in the site, with the first `beacons` processes as its own ones. */
struct proc *scene_node(struct sim *s, unsigned site, unsigned beacons);
/* A site behind a box of any kind, drawn. */
unsigned scene_site(struct sim *s);
unsigned scene_site_of(struct sim *s, const char *kind);
void scene_start(struct sim *s);
/* Both write slowly, for that long. */
struct flow *scene_flow(struct sim *s, struct proc *from, struct proc *to, gw_time at,
			gw_time lasts, uint64_t size);
/* From `at` on the two are looked at until they use one connection, the best that their networks
 * allow, and that has to be before the deadline. */
enum demand { ANY_WAY, BEST_WITHOUT_SPRAY, BEST_WAY };
void scene_expect(struct sim *s, struct proc *x, struct proc *y, gw_time at, gw_time deadline,
		  enum demand demand);

/* Whoever is honest is never blamed, and who was caught is. */
bool blame_is_right(struct sim *s);

void act_roam(struct sim *s, struct action *a);        /* proc; to a network of another kind */
void act_box_reboots(struct sim *s, struct action *a); /* proc; value: with a new address */
/* `value`: for so long, or 0: for good */
void act_udp_blocked(struct sim *s, struct action *a);

#endif
