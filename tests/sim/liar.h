/* tests/sim/liar.h - beacons and peers that mean harm, and somebody on the way who forges.
 *
 * A lying beacon is the real one with its frames and channel packets in the hands of a liar.  A lying
 * peer is a real node whose candidates name others.  The forger sees every datagram in the core
 * and sends what looks like it, from any address; it can hold nothing back.
 *
 * All dice are their own: the schedule of the run stays as it is without them. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_SIM_LIAR_H
#define GODWIT_SIM_LIAR_H

#include "sim.h"

enum lie {
	LIE_FORGED = 1 << 0,   /* records with a wrong signature */
	LIE_OTHER = 1 << 1,    /* the record of another key */
	LIE_EXPIRED = 1 << 2,  /* signed by its owner, long ago */
	LIE_FUTURE = 1 << 3,   /* signed by its owner, for a time to come */
	LIE_OLDER = 1 << 4,    /* the first one that was published, again and again */
	LIE_HERE = 1 << 5,     /* that everybody is registered */
	LIE_NOBODY = 1 << 6,   /* that nobody is */
	LIE_OBSERVED = 1 << 7, /* that clients are seen at the victim's address */
	LIE_REVEALED = 1 << 8, /* that peers are */
	LIE_CLOSE = 1 << 9,    /* channels end without reason */
	LIE_DRAIN = 1 << 10,   /* it is about to end, for ever */
	LIE_BABBLE = 1 << 11,  /* garbage, and frames that are a client's */
	LIE_DROP = 1 << 12,    /* of channel packets, the same below */
	LIE_MISDIRECT = 1 << 13,
	LIE_REPEAT = 1 << 14,
	LIE_CORRUPT = 1 << 15,
	LIE_LINKS = 1 << 16, /* connections of clients end without reason */
	LIES_COUNT = 17,
	LIES_ALL = (1 << LIES_COUNT) - 1,
};

struct beacon_frame;
struct link; /* of quic/link.h */

struct liar {
	struct rng rng;
	unsigned lies;      /* enum lie, several */
	unsigned chance;    /* of each chance to lie, percent */
	gw_time every;      /* speaks up, on average */
	gw_time until;      /* an honest beacon from then on */
	struct addr victim; /* named as the address of others; or ADDR_NONE */
	uint64_t told;      /* lies so far */
	struct map first;   /* key -> struct kept_record */
	unsigned life;      /* of the process, that is hooked */
	void (*honest)(struct link *l, const struct beacon_frame *f, gw_time now);
};

/* Makes a beacon process a liar, before it starts. */
void liar_make(struct sim *s, struct proc *beacon, unsigned lies, gw_time until);
void liar_started(struct proc *p);
void liar_free(struct proc *p);
/* Sends what the beacon sends, or something else. */
void liar_send(struct proc *p, const struct batch *b);

/* From now on the node tells all its peers, each `value`, that its candidates are addresses of the
 * victim `host`. */
void act_accuse(struct sim *s, struct action *a); /* insight.c */

/* Somebody forges a datagram for one of `one_in` that pass the core; 0: stops.  If it `races`, a copy
 * from another address may be there before the real one: to QUIC that looks as if a NAT had rebound,
 * so the connection may falter, and the stream move to another one. */
void forger_start(struct sim *s, unsigned one_in, bool races);

#endif
