/* tests/unit/core_liar.h - nodes, and beacons that say what a test wants them to say.
 *
 * The beacons speak the protocol by hand: they know no store, relay one channel, and count what
 * they are asked.  The wire has 1 ms delay; what is sent to an address that nobody has is counted
 * as sent to a victim. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_TEST_CORE_LIAR_H
#define GODWIT_TEST_CORE_LIAR_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"
#include "core/node.h"
#include "quic/link.h"

enum { LIAR_NODES = 2, LIAR_BEACONS = 3 };

struct liar {
	struct world *world;
	struct identity id;
	struct rng rng;
	struct tls_context tls;
	struct link_host host;
	struct addr at;
	struct link *links[LIAR_NODES]; /* by node; NULL: not connected */
	/* what it says */
	struct addr observed[LIAR_NODES]; /* of the nodes; ADDR_NONE: the truth */
	int64_t clock_off_ms;
	uint64_t publish_status,
		publish_ahead_ms;        /* its sequence is ahead of the node's by so much */
	uint8_t record[WIRE_RECORD_MAX]; /* to each lookup; len 0: not found */
	size_t record_len;
	bool mute;             /* answers no lookup */
	unsigned answers;      /* to each lookup */
	bool not_here;         /* to each OPEN */
	const uint8_t *in_use; /* claim: to each ATTEND */
	struct addr revealed;  /* what it says at each REVEAL; ADDR_NONE: nothing */
	/* what it has heard */
	size_t lookups, publishes, attends;
	uint8_t looked_for[KEY_SIZE]; /* last */
	uint8_t published[WIRE_RECORD_MAX];
	size_t published_len;
	uint64_t channel;
};

struct world {
	gw_time now;
	uint64_t wall_ms;
	struct {
		struct node *node;
		struct node_config config;
		struct identity id;
		struct rng rng;
		struct addr at;
		unsigned in_use, failed, connected, pongs;
		int error;
		bool relayed; /* of the last pong */
	} n[LIAR_NODES];
	struct liar b[LIAR_BEACONS];
	struct flying *head, *tail;
	bool no_direct; /* the nodes do not hear one another */
	bool no_udp;    /* beacon 0 answers over TLS only */
	uint32_t via;   /* the TLS link of node 0 to it, or 0 */
	size_t victim_datagrams, victim_bytes;
	struct addr victim; /* the last one */
	uint8_t batch[65536];
};

void world_init(struct world *w);
void world_clear(struct world *w);
void world_run(struct world *w, gw_time duration);
/* Node i uses beacon k as its own. */
void world_use(struct world *w, int i, int k);
/* All of the beacons that node i uses have welcomed it. */
void world_settle(struct world *w);
struct beacon_info world_info(const struct world *w, int i, int k);
/* A record of a key, signed; returns its length. */
size_t world_record(const struct world *w, const struct identity *of, int home, uint64_t sequence,
		    uint32_t lifetime_s, uint8_t out[WIRE_RECORD_MAX]);
void world_send(struct world *w, int k, int node, const struct beacon_frame *f);
/* A datagram to node i, from any address. */
void world_inject(struct world *w, const struct addr *from, int i, const uint8_t *data, size_t len);

#endif
