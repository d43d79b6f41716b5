/* lib/lib.h - inside of the public API: a node of core/ and the input and output it needs. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_LIB_LIB_H
#define GODWIT_LIB_LIB_H

#include <godwit/godwit.h>

#include "core/node.h"
#include "io/loop.h"
#include "io/netmon.h"
#include "io/udp.h"
#include "lib/conduits.h"

struct portmap;
struct runner;

struct godwit_node {
	struct node *core;
	struct loop *loop;
	struct udp *udp;
	struct conduits conduits;
	struct netmon *netmon; /* NULL: the system has no rtnetlink for us */
	struct loop_source *udp_source, *netmon_source;
	struct loop_timer *timer;
	struct loop_timer *settled; /* the network has changed, and had time to settle */
	bool settling;
	struct rng rng;
	uint8_t key[KEY_SIZE];
	bool relay_only;
	bool wants_mapping;      /* it stays, and listens on every address */
	struct portmap *portmap; /* NULL: none, or not yet */

	struct batch batch; /* being sent */
	bool batch_waiting; /* the socket was full: the batch goes first when it is writable */
	bool more_to_send;  /* stopped at the bound of one round, not for lack of data */
	bool network_event; /* GODWIT_EVENT_NETWORK is due */

	gw_time due;       /* when the timer was to run */
	gw_time suspended; /* total, as of the last look: CLOCK_BOOTTIME - CLOCK_MONOTONIC */

	size_t most_connections; /* since memory was last given back */

	size_t n_locals;
	struct local_addr locals[NETMON_ADDRS_MAX];

	struct runner *runner; /* godwit_node_start_thread(), or NULL */
};

/* A public stream handle is the core's stream itself. */
static inline struct stream *to_core(godwit_stream *s)
{
	return (struct stream *)(void *)s;
}

static inline const struct stream *to_core_const(const godwit_stream *s)
{
	return (const struct stream *)(const void *)s;
}

static inline godwit_stream *to_public(struct stream *s)
{
	return (godwit_stream *)(void *)s;
}

gw_time from_ms(uint64_t milliseconds); /* GODWIT_NEVER, and what overflows: GW_NEVER */

/* Pacing needs timers finer than the usual 50 us of slack.  For the calling thread. */
void set_timer_slack(void);

/* lib/mapping.c: port mapping by the router, since there has been a beacon to meet peers by. */
void mapping_start(godwit_node *node); /* once is enough */
void mapping_restart(godwit_node *node);
void mapping_rebound(godwit_node *node);
void mapping_stop(godwit_node *node);

/* Replace the UDP socket by one on another port. */
int node_rebind(godwit_node *node);

struct beacon_name name_of_beacon(const struct beacon_info *info);
/* "HOST:PORT" of a beacon, and "udp" or "tls". */
void relay_text(const struct beacon_ref *b, char relay[GODWIT_RELAY_SIZE], char transport[4]);

/* lib/plain.c: stop the thread and everything it serves.  No-op for NULL. */
void runner_stop(struct runner *r);

#endif
