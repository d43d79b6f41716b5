/* tests/unit/beacon_net.h - a beacon, its clients, and a wire between them, driven by hand.
 *
 * The wire has 1 ms delay.  A client may move to another address at any time: what is sent to the
 * old one is lost. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_TEST_BEACON_NET_H
#define GODWIT_TEST_BEACON_NET_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"
#include "beacon/beacon.h"
#include "quic/link.h"
#include "store/store.h"

enum { CLIENTS = 6, FRAMES_MAX = 256, DATAGRAMS_MAX = 2048 };

/* A frame that came, with the bytes that it points to. */
struct seen_frame {
	struct beacon_frame f;
	uint8_t record[WIRE_ITEM_PART]; /* or part of an item */
};

struct client {
	struct identity id;
	struct rng rng;
	struct tls_context tls;
	struct knock_self self;
	uint64_t wall_ms; /* its clock at wall_at */
	gw_time wall_at;
	struct link_host host;
	struct link *link; /* NULL: closed */
	uint8_t initial[1500];
	size_t initial_len; /* its first packet since it last dialled; 0: not yet sent */
	struct addr at;
	uint32_t via; /* the beacon's conduit that its datagrams come by */
	uint64_t incarnation, started_ms;
	bool up, cut;
	bool deaf; /* what is sent to it is lost */
	int error;
	uint64_t close_code;
	uint8_t reason[256];
	size_t reason_len;
	size_t n_frames;
	struct seen_frame frames[FRAMES_MAX];
	/* channel packets and address replies that came */
	size_t n_datagrams, bytes;
	uint8_t last[2048];
	size_t last_len;
	uint32_t last_via; /* the beacon's socket that it came from */
};

struct packet {
	struct packet *next;
	gw_time at;
	struct addr from, to;
	uint32_t via; /* of the beacon's side */
	bool to_beacon;
	size_t len, segment;
	uint8_t data[];
};

struct net {
	gw_time now;
	uint64_t wall_ms;
	struct beacon *beacon;
	struct beacon_config config;
	struct identity id;
	struct rng rng;
	struct addr at;
	struct store *store;
	bool store_fails;
	size_t forwarded; /* batches of the fast path */
	size_t answers;   /* batches that the beacon has sent */
	struct client c[CLIENTS];
	struct packet *head, *tail;
	uint8_t batch[BATCH_CAPACITY_MIN];
};

void net_init(struct net *w);
void net_start(struct net *w); /* the beacon; after changes to config */
void net_clear(struct net *w);
void net_run(struct net *w, gw_time duration);

void net_dial(struct net *w, int i);
/* Until it is up, or closed. */
void net_connect(struct net *w, int i);
void net_attend(struct net *w, int i, bool registers);
/* All of it, and WELCOME has come. */
void net_join(struct net *w, int i, bool registers);
void net_move(struct net *w, int i, uint8_t host, uint16_t port);
void net_leave(struct net *w, int i); /* closes its link */
/* It forgets its link without a word. */
void net_crash(struct net *w, int i);

/* The last frame of that type, or NULL; net_forget() empties the list. */
const struct seen_frame *net_last(const struct net *w, int i, uint64_t type);
size_t net_count(const struct net *w, int i, uint64_t type);
void net_forget(struct net *w, int i);

/* A signed record; returns its length. */
size_t net_record(struct net *w, int i, uint64_t sequence, uint32_t lifetime_s,
		  uint8_t out[WIRE_RECORD_MAX]);
/* Send it, and the answer's status. */
uint64_t net_publish(struct net *w, int i, const uint8_t *record, size_t len);
/* Returns the RECORD or RESULT that answers. */
const struct seen_frame *net_lookup(struct net *w, int i, const uint8_t *key, uint64_t flags);
/* STORE: the answer's status. */
uint64_t net_store(struct net *w, int i, enum stored_kind kind, const uint8_t *data, size_t len);
/* FETCH: returns the RESULT; the ITEMs are among the frames. */
const struct seen_frame *net_fetch(struct net *w, int i, enum stored_kind kind, const uint8_t *key,
				   uint64_t sequence);
void net_open(struct net *w, int i, uint64_t channel, const uint8_t *key);
void net_close_channel(struct net *w, int i, uint64_t channel);

/* Datagrams from the client's address (or another one), each of `segment` bytes. */
void net_send(struct net *w, int i, const uint8_t *data, size_t len, size_t segment);
void net_send_from(struct net *w, const struct addr *from, uint32_t via, const uint8_t *data,
		   size_t len, size_t segment);
/* `count` packets of a channel. */
void net_send_channel(struct net *w, int i, uint64_t channel, size_t count);
struct beacon_stats net_stats(const struct net *w);

#endif
