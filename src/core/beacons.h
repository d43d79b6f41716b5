/* core/beacons.h - the beacons that a node uses: reaching them, and whether they live.  Home and
 * spare: core/homes.h; UDP and TLS: core/ladder.h.
 * Spec: docs/protocol.md, sections 11 and 14. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_CORE_BEACONS_H
#define GODWIT_CORE_BEACONS_H

#include "core/types.h"

int beacons_init(struct node *n, gw_time now);
void beacons_clear(struct node *n);

/* Find or make.  NULL: too many, or a bad host. */
struct beacon_ref *beacons_get(struct node *n, const uint8_t key[KEY_SIZE], const char *host,
			       uint16_t udp_port, uint16_t tls_port);
/* One more or less that names it. */
void beacons_hold(struct beacon_ref *b);
void beacons_release(struct beacon_ref *b);

/* We want something of it: dial it unless that is done. */
void beacons_want(struct beacon_ref *b, gw_time now);
/* Does it live?  Finds out within some round trips. */
void beacons_check(struct beacon_ref *b, gw_time now);
void beacons_check_all(struct node *n, gw_time now);
void beacons_network_changed(struct node *n, gw_time now);
/* The system has refused a datagram: our own network may be another one. */
void beacons_doubt(struct node *n, gw_time now);
/* A packet of a link has come. */
void beacons_heard(struct beacon_ref *b, gw_time now);
/* Do packets for channels get through it now? */
bool beacons_can_relay(const struct beacon_ref *b);
/* The wall clock now, in ms since 1970. */
uint64_t node_wall_ms(const struct node *n, gw_time now);
void beacons_close(struct node *n, gw_time now);

/* NULL: it is gone. */
struct beacon_ref *beacons_of_number(const struct node *n, uint64_t number);
/* Whose datagram is it?  NULL: of none that we are connected to. */
struct beacon_ref *beacons_of_path(struct node *n, const struct path *path);

gw_time beacons_due(const struct node *n);
void beacons_expire(struct node *n, gw_time now);

#endif
