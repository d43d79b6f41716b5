/* quic/link.h - the QUIC connection between a node and a beacon: one stream of frames.
 * Spec: docs/protocol.md, sections 11 and 19.
 *
 * Sans-I/O, like core/node.h.  A `struct link_host` holds all links of one process; its owner is
 * called back for frames and changes, and may call everything here from inside except
 * link_receive(), link_expire() and link_transmit().  A closed link is freed in link_transmit(). */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_QUIC_LINK_H
#define GODWIT_QUIC_LINK_H

#include "base/batch.h"
#include "base/chain.h"
#include "base/heap.h"
#include "base/list.h"
#include "base/map.h"
#include "base/rng.h"
#include "quic/pool.h"
#include "quic/tls.h"
#include "trust/knock.h"
#include "wire/beacon.h"

struct link;

/* PROVE: not before the client has shown that it receives at its address (a Retry). */
enum link_admission { LINK_REFUSE, LINK_PROVE, LINK_ADMIT };

enum { LINK_SECRET_SIZE = 32 };

struct link_host {
	/* set by the owner before link_host_init() */
	struct rng *rng;
	const struct tls_context *tls;
	bool server;          /* accepts links */
	size_t half_open_max; /* server: handshakes in progress */
	size_t queued_max;    /* bytes of frames unacknowledged, all links together; 0: any */
	/* server: may a handshake from l->path begin?  NULL: yes.  Once admitted, on_closed comes. */
	enum link_admission (*admit)(struct link *l, gw_time now);
	/* server: a datagram of no link, to be sent to where one came from */
	void (*answer)(struct link_host *h, const struct path *to, const uint8_t *data, size_t len);
	/* Knocks.  A client's are made of `self`; NULL: none.  A server's `knows` says whose are heard, and
	 * nobody else gets an answer; NULL: it is no silent one. */
	const struct knock_self *self;
	uint64_t (*wall_ms)(const struct link_host *h, gw_time now);
	bool (*knows)(const struct link_host *h, const uint8_t *key);
	bool (*accept)(struct link *l);             /* l->tls.key: may it be? */
	void (*on_up)(struct link *l, gw_time now); /* the handshake is complete */
	void (*on_frame)(struct link *l, const struct beacon_frame *f, gw_time now);
	void (*on_moved)(struct link *l, gw_time now);  /* server: l->path has been validated */
	void (*on_closed)(struct link *l, gw_time now); /* last call; l->error says why */
	void *user;

	struct map by_cid;
	struct heap timers;
	struct quic_pool pool; /* a server's */
	struct list links, dirty;
	size_t n_links, n_half_open;
	size_t queued; /* bytes of frames */
	uint64_t drop_malformed, drop_no_link, drop_limit, drop_knock, retries;
	uint8_t secret[LINK_SECRET_SIZE]; /* of Retry tokens */
	struct knock_seen *seen;
	uint64_t seen_seed;

	/* Server: first packets of new clients.  Each link_expire() begins one handshake: it costs
	 * hundreds of other packets, and those who are in one already go first, or in a rush nobody
	 * would get through. */
	struct list waiting;
	size_t n_waiting;
	gw_time waiting_since;
};

enum link_state { LINK_HANDSHAKE, LINK_UP, LINK_CLOSED };

struct link {
	struct link_host *host;
	struct list_item all_link, dirty_link;
	struct timer timer;
	enum link_state state;
	bool client;
	bool proven;          /* server: a Retry has shown that it is there */
	struct path path;     /* client: where to send; server: where the client validly is */
	struct path latest;   /* where the last packet came by */
	struct path before;   /* server: the valid one before, or ADDR_NONE */
	struct addr endpoint; /* of the client as last told to it (the owner's field) */
	gw_time created_at;
	gw_time heard_at;          /* last authenticated packet */
	gw_time outstanding_since; /* GW_NEVER: nothing unacknowledged */
	int error;                 /* enum gw_error, when closed */
	uint64_t close_code;       /* to be sent; CLOSE_NONE: nothing */
	uint64_t peer_code;        /* the application close code that came, or 0 */
	uint8_t *reason;           /* of either close, or NULL */
	size_t reason_len;
	void *user;

	uint8_t key[KEY_SIZE]; /* of the other side; of a server, or who knocks: whom to expect */
	uint64_t knock_ms;     /* server: when it has knocked, by its own clock; 0: it has not */
	struct tls_session tls;
	ngtcp2_conn *quic;
	int liberr;
	bool heard;
	bool confirmed; /* TLS is over */
	bool refused;   /* client: the other side has proved another key */
	bool broke;     /* the other side has broken the protocol, proved to be it */
	gw_time now;
	uint64_t odcid;
	bool stream_open;
	struct chain control;
	uint64_t control_sent;
	uint8_t *partial; /* of an unfinished frame, or NULL */
	size_t partial_len;
};

int link_host_init(struct link_host *h);
void link_host_clear(struct link_host *h); /* frees every link, without a word */

/* NULL: out of memory. */
struct link *link_dial(struct link_host *h, const uint8_t key[KEY_SIZE], const struct path *path,
		       gw_time now);

/* A QUIC packet.  False: of no link, and not for a new one.  A server answers a new one from
 * link_expire() on. */
bool link_receive(struct link_host *h, const struct path *path, const uint8_t *data, size_t len,
		  gw_time now);
/* Fill one batch; false when there is nothing to send now. */
bool link_transmit(struct link_host *h, struct batch *out, gw_time now);
gw_time link_expiry(const struct link_host *h);
void link_expire(struct link_host *h, gw_time now);

/* Queue a frame.  A link whose other side never reads is closed (GW_E_LIMIT), when queued_max is
 * reached the sooner. */
void link_send(struct link *l, const struct beacon_frame *f);
/* Client: something that must be acknowledged, in a full-size datagram: tells whether the link
 * lives, and lets a server follow us to a new address. */
void link_ping(struct link *l, uint64_t nonce);
/* Client: send by this path from now on. */
void link_move(struct link *l, const struct path *path);
/* The other side has said what it may not. */
void link_broken(struct link *l);
/* End it.  `reason` may be NULL. */
void link_close(struct link *l, uint64_t code, int error, const uint8_t *reason, size_t reason_len,
		gw_time now);

gw_time link_rtt(const struct link *l);
/* When silence has lasted long enough to be suspicious; GW_NEVER: nothing outstanding. */
gw_time link_silent_at(const struct link *l);

#endif
