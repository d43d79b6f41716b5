/* tests/unit/core_pair.h - two nodes and a wire between them, driven by hand.
 *
 * The wire has 1 ms delay at first and loses nothing unless it is cut.  Each datagram is looked at as
 * it passes: counters tell what was seen. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_TEST_CORE_PAIR_H
#define GODWIT_TEST_CORE_PAIR_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"
#include "core/node.h"

enum { PAIR_NODES = 3, PAIR_STREAMS = 64 };

static const struct subject ANYONE = { .kind = SUBJECT_ANY };

struct pair_stream {
	struct stream *stream;
	unsigned flags; /* all events so far */
};

struct pair_node {
	struct node *node; /* NULL: not there */
	struct node_config config;
	struct identity id;
	struct rng rng;
	struct addr at;
	bool cut; /* what is sent to it or by it vanishes */
	struct pair_stream streams[PAIR_STREAMS];
	size_t n_streams;
	struct stream *incoming[PAIR_STREAMS];
	size_t n_incoming;
	enum peer_state state; /* of the last EVENT_PEER */
	int error;
	unsigned connected, failed, pongs, in_use, manifests;
	struct audit audit; /* the last one */
	uint64_t pong_id;
	gw_time pong_rtt;
	uint64_t sent; /* datagrams */
};

struct packet;

struct pair {
	gw_time now;
	struct pair_node n[PAIR_NODES];
	struct packet *head; /* by time */
	gw_time delay;       /* of the wire */
	bool together; /* what comes at one moment is answered together, as by the real loop */
	void (*on_batch)(struct pair *p, int i, const struct batch *b); /* node i sends it */
	size_t mtu;    /* larger datagrams vanish; 0: none do */
	gw_time again; /* each datagram comes once more, so much later; 0: no */
	uint64_t rate; /* of what node 0 sends, bytes a second, with 20 ms of queue; 0: no limit */
	gw_time busy_until; /* of that */
	uint64_t quic_packets, bit_clear, version_negotiations;
	uint8_t batch[65536];
};

/* Configure identities (node 2 gets its own key, too); nothing runs yet. */
void pair_init(struct pair *p);
void pair_clear(struct pair *p);
/* Start node i: offers "echo" to everyone when `open`. */
void pair_start(struct pair *p, int i, bool open);
/* Both of them, and node 0 knows where node 1 is. */
void pair_start_both(struct pair *p);
void pair_know(struct pair *p, int i, int peer);
/* Node i lets that one use a service (NULL: every one). */
void pair_allow(struct pair *p, int i, const char *service, int peer);
/* End a node without a goodbye. */
void pair_kill(struct pair *p, int i);

/* Let `duration` pass: datagrams and timers in order. */
void pair_run(struct pair *p, gw_time duration);
/* The same until `done`; false when that takes longer than `limit`. */
bool pair_until(struct pair *p, bool (*done)(struct pair *p, void *user), void *user,
		gw_time limit);
bool pair_wait_connected(struct pair *p); /* nodes 0 and 1 */
/* Until the stream of node i has seen all these events. */
bool pair_wait_flags(struct pair *p, int i, const struct stream *s, unsigned flags);
/* Until node i has `count` incoming streams; the last of them. */
struct stream *pair_wait_incoming(struct pair *p, int i, size_t count);
unsigned pair_flags(const struct pair *p, int i, const struct stream *s);

/* Open a stream from 0 to 1 with some bytes, and take it there. */
struct stream *pair_open(struct pair *p, const char *service);
struct stream *pair_open_taken(struct pair *p, struct stream **taken);
/* Read and consume everything that is there now; returns the count.  `out` may be NULL. */
size_t pair_read(struct pair *p, struct stream *s, void *out, size_t max);
size_t pair_streams(const struct pair *p, int i); /* node_stats.streams */

#endif
