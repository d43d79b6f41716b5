/* core/door.h - strangers: who may begin a handshake.  The others get no answer, but a refusal if
 * they know anyway that we are here.
 * Spec: docs/protocol.md, section 19. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_CORE_DOOR_H
#define GODWIT_CORE_DOOR_H

#include "core/networks.h"

int door_init(struct node *n);
void door_clear(struct node *n);

/* The first packet of an unknown connection, by a path or (`b` not NULL) in a beacon's channel. */
void door_receive(struct node *n, const struct path *path, struct beacon_ref *b, uint64_t channel,
		  const uint8_t *data, size_t len, gw_time now);
/* May that key, with what it has shown, come in? */
bool door_is_open(const struct node *n, const uint8_t *key, const struct credential *shown);
gw_time door_due(const struct node *n);
void door_expire(struct node *n, gw_time now);

/* A datagram 0x26: one of our knocks is refused. */
void door_refusal(struct node *n, const uint8_t *data, size_t len, gw_time now);
/* The token of an Initial that we send.  Returns its bytes; 0: none could be made. */
size_t door_knock(struct connection *c, const ngtcp2_cid *dcid, uint8_t out[KNOCK_MAX],
		  gw_time now);

/* Who may come in. */
struct guest {
	uint8_t key[KEY_SIZE];
	struct credential *shown; /* the taker's */
	bool courteous;           /* it has a ticket of ours */
	uint8_t answer[WIRE_ANSWER_SIZE];
	bool retried;             /* it has shown that it is at its address */
	uint8_t dcid[KNOCK_DCID]; /* the destination id of its very first packet ... */
	uint64_t wall_ms;         /* ... and when that was made */
};

#endif
