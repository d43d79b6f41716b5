/* tests/sim/nat.h - one NAT box or firewall, in the words of RFC 4787.
 *
 * Pure functions on one box: addresses and `now` go in, a verdict comes out.  A family that the
 * box does not translate passes a stateful firewall (address-and-port-dependent filtering).
 * Mappings and filter entries age one by one; a full table refuses what is new. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_SIM_NAT_H
#define GODWIT_SIM_NAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/list.h"
#include "base/map.h"
#include "base/rng.h"
#include "base/time.h"

enum { NAT_MAPPINGS_MAX = 4096, NAT_SESSIONS_MAX = 16384 };

enum nat_box { NAT_OPEN, NAT_FIREWALL, NAT_TRANSLATES };
enum nat_depends { NAT_INDEPENDENT, NAT_ADDRESS, NAT_ADDRESS_PORT };
enum nat_ports { NAT_PRESERVING, NAT_SEQUENTIAL, NAT_RANDOM };
enum nat_blocks { NAT_BLOCKS_NOTHING, NAT_BLOCKS_UDP, NAT_BLOCKS_ALL };

struct nat_kind {
	const char *name;
	enum nat_box box;
	enum nat_depends mapping, filtering;
	enum nat_ports ports;
	enum nat_blocks blocks;
	bool v6; /* translates IPv6, too */
	bool hairpin;
	bool inbound_refresh;
	gw_time timeout;     /* of what is idle; 0: never */
	const char *carrier; /* the kind of box that this one is behind; NULL: none */
};

/* none, firewall, eim-eif, eim-adf, eim-apdf, adm-adf, apdm, apdm-seq, double, carrier,
 * udp-blocked, all-blocked; as in the lab: hairpinning (but for carriers), refreshed both ways,
 * 120 s.  Copy one and change it for others.  NULL: no such kind. */
const struct nat_kind *nat_kind_find(const char *name);

struct nat {
	struct nat_kind kind;
	struct addr outer[2]; /* IPv4, IPv6; port 0; ADDR_NONE: not translated */
	struct rng rng;
	uint16_t next_port, port_shift;
	struct map by_inner, by_outer, sessions;
	struct list mappings, session_ages; /* the longest unused first */
};

void nat_init(struct nat *n, const struct nat_kind *kind, uint64_t seed);
void nat_clear(struct nat *n);
/* Give the box an outer address; what is mapped stays. */
void nat_set_outer(struct nat *n, const struct addr *outer);
/* The box's own address of a family; NULL: it does not translate that one. */
const struct addr *nat_outer(const struct nat *n, uint8_t family);
/* Forget everything; the ports handed out from now on are others. */
void nat_reboot(struct nat *n);

/* A datagram from inside / from outside: translate it.  False: dropped, addresses untouched. */
bool nat_out(struct nat *n, struct addr *src, const struct addr *dst, gw_time now);
bool nat_in(struct nat *n, const struct addr *src, struct addr *dst, gw_time now);

size_t nat_count(struct nat *n, gw_time now); /* live mappings */

#endif
