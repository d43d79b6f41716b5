/* beacon/internal.h - what the files of beacon/ share. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_BEACON_INTERNAL_H
#define GODWIT_BEACON_INTERNAL_H

#include "base/heap.h"
#include "base/keymap.h"
#include "base/list.h"
#include "base/map.h"
#include "beacon/beacon.h"
#include "quic/link.h"
#include "trust/knock.h"
#include "trust/trust.h"
#include "wire/beacon.h"

/* --- limits.c: what one key, or one source, has used --- */

/* Kept for as long as a session refers to it, and then until its buckets are full again. */
struct account {
	struct keymap_item by_id; /* the key; or family and prefix */
	struct list_item idle_link;
	bool source;
	uint32_t refs;
	/* of a source; unproven: half open, and nothing has shown yet that it is there */
	uint32_t sessions, half_open, unproven, conduits, conduits_coming;
	gw_time full_at[METERS]; /* when the bucket will be full */
	uint32_t chains;         /* of a key: published */
};

/* NULL: no room. */
struct account *account_of_key(struct beacon *b, const uint8_t *key, gw_time now);
struct account *account_of_source(struct beacon *b, const struct addr *a, gw_time now);
/* Is anybody connected from there? */
bool account_is_live(const struct beacon *b, const struct addr *a);
void account_release(struct beacon *b, struct account *a, gw_time now);

/* Takes from both, or from neither.  One may be NULL. */
bool budget_take(struct beacon *b, struct account *key, struct account *source,
		 enum beacon_meter meter, uint64_t amount, gw_time now);
bool budget_left(const struct beacon *b, const struct account *a, enum beacon_meter meter,
		 gw_time now);
bool budget_take_packets(struct beacon *b, struct account *key, struct account *source,
			 uint64_t bytes, uint64_t packets, gw_time now);
void limits_default(struct beacon_limits *l);

/* --- session.c --- */

/*            admitted          on_up            ATTEND           link closed
 *   (none) ──────────► OPENING ─────► SILENT ──────────► ATTENDED ─────────► (none)
 * registered: ATTENDED, and in beacon.registered; at most one session of each key. */
enum session_state { SESSION_OPENING, SESSION_SILENT, SESSION_ATTENDED };

struct session {
	struct beacon *beacon;
	struct link *link;
	enum session_state state;
	bool registered;
	bool unproven; /* counted so */
	struct list_item all_link;
	struct list_item conduit_link; /* in its conduit */
	struct keymap_item by_key;     /* when registered */
	struct account *key, *source;  /* key: when up */
	struct timer timer;            /* next touch, or end */
	gw_time dies_at;               /* its conduit has gone */
	gw_time touch_at;
	struct wire_claim claim;
	struct list ends, watches, requests;
	uint32_t n_channels, n_opened, n_watches, n_requests;
	struct list chains;        /* published, stored last by it */
	struct arriving *arriving; /* an item of which a part has come, or NULL */
	uint64_t refused;          /* of an item whose further parts are ignored; NO_REQUEST */
};

#define NO_REQUEST UINT64_MAX /* varints are less */

/* A TLS link, or a TCP connection on the way to become one. */
struct conduit {
	uint32_t via;
	bool coming;
	struct account *source;
	struct list sessions;
};

enum link_admission session_admit(struct link *l, gw_time now);
void session_up(struct link *l, gw_time now);
void session_moved(struct link *l, gw_time now);
void session_closed(struct link *l, gw_time now);
void session_attend(struct session *s, const struct beacon_frame *f, gw_time now);
void session_send(struct session *s, const struct beacon_frame *f);
/* RESULT; s NULL: nobody waits for it any more. */
void session_result(struct session *s, uint64_t request, enum result_status status,
		    uint64_t sequence);
void session_fail(struct session *s, uint64_t code, gw_time now);
void session_expire(struct beacon *b, gw_time now);
struct session *session_registered(const struct beacon *b, const uint8_t *key);
struct addr session_endpoint(const struct session *s); /* ADDR_NONE: over TLS */

/* --- directory.c --- */

enum request_kind {
	REQUEST_LOOKUP,
	REQUEST_COMPARE, /* PUBLISH: is it stored already? */
	REQUEST_STORE,
	REQUEST_REFRESH,
	REQUEST_TOUCH,
	REQUEST_ANNOUNCE, /* to the watchers: the key has registered */
};

/* A question to the store. */
struct request {
	struct list_item link; /* beacon.ops: not handed out yet */
	struct list_item by_session;
	struct session *session; /* NULL: nobody waits for it any more */
	enum request_kind kind;
	uint64_t tag, number; /* number: the client's */
	uint8_t key[KEY_SIZE];
	uint64_t sequence;
	size_t len;
	uint8_t record[];
};

struct watched {
	struct keymap_item by_key;
	struct list watches;
};

struct watch {
	struct list_item by_watched, by_session;
	struct list_item news; /* in beacon.news: has to be told of a manifest */
	bool told;             /* it was, and has not asked since */
	struct watched *watched;
	struct session *session;
};

void directory_publish(struct session *s, const struct beacon_frame *f, gw_time now);
void directory_lookup(struct session *s, const struct beacon_frame *f, gw_time now);
void directory_unwatch(struct session *s, const uint8_t *key);
void directory_registered(struct session *s);
void directory_touch(struct session *s);
/* It has asked for that network's manifest, and hears when there is a newer one. */
void directory_follow(struct session *s, const uint8_t *network);
/* A newer one has come from `s`. */
void directory_news(const struct session *s, const uint8_t *network);
gw_time directory_expiry(const struct beacon *b);
void directory_expire(struct beacon *b, gw_time now);
void directory_forget(struct session *s); /* it is gone */
void directory_clear(struct beacon *b);
uint64_t beacon_wall_ms(const struct beacon *b, gw_time now);

/* --- roster.c --- */

/* The newest manifest of a network, and what its members have published. */
struct beacon_network {
	struct keymap_item by_key;
	struct list_item by_use; /* beacon.network_use: last used last */
	struct manifest manifest;
	struct list chains;
};

/* Those that claim one name: at most NAME_CHAINS_MAX. */
struct member_name {
	struct keymap_item by_hash;
	struct list chains;
	size_t count;
};

struct published {
	struct list_item by_network, by_name, by_session;
	struct timer ends;
	struct beacon_network *network;
	struct member_name *name;
	struct session *session; /* that has stored it last */
	struct account *owner;
	struct member member;
};

void roster_init(struct beacon *b);
void roster_clear(struct beacon *b);
/* It has come whole; answers it. */
void roster_take(struct session *s, uint64_t request, enum stored_kind kind, const uint8_t *data,
		 size_t len, gw_time now);
void roster_fetch(struct session *s, const struct beacon_frame *f, gw_time now);
void roster_forget(struct session *s, gw_time now); /* it is gone, and not registered */
void roster_expire(struct beacon *b, gw_time now);

/* --- items.c --- */

struct arriving {
	struct list_item link; /* beacon.arriving: oldest first */
	struct session *session;
	uint64_t request, kind;
	size_t total, len;
	uint8_t bytes[];
};

void items_store(struct session *s, const struct beacon_frame *f, gw_time now);
void items_send(struct session *s, const struct beacon_frame *fetch, const uint8_t *data,
		size_t len);
void items_forget(struct session *s);

/* --- relay.c --- */

struct channel_end {
	struct session *session;
	struct list_item by_session;
	struct channel *channel;
	struct path path; /* the session's validated one */
};

struct channel {
	uint64_t id;
	struct channel_end end[2]; /* 0: the dialler */
	gw_time active_at;
	bool reveals[2]; /* this end may be seen by the other */
	bool answered;   /* the other end has sent something */
	struct timer idle;
};

void relay_open(struct session *s, const struct beacon_frame *f, gw_time now);
void relay_close(struct session *s, const struct beacon_frame *f);
void relay_reveal(struct session *s, const struct beacon_frame *f);
void relay_receive(struct beacon *b, const struct path *path, const uint8_t *data, size_t len,
		   gw_time now);
void relay_moved(struct session *s);
void relay_adopt(struct session *to, struct session *from); /* all channels */
void relay_forget(struct session *s);                       /* end all its channels */
void relay_expire(struct beacon *b, gw_time now);

/* --- beacon.c --- */

/* A datagram that is no connection's. */
struct outgoing {
	struct list_item link;
	struct path path;
	size_t len;
	uint8_t data[];
};

bool beacon_queue(struct beacon *b, const struct path *path, const uint8_t *data, size_t len);

struct beacon {
	struct link_host links;
	struct identity *identity; /* identity_new() */
	struct tls_context tls;
	struct knock_self *knock_self;
	bool silent;
	struct rng *rng;
	struct beacon_limits limits;
	uint16_t alternate_port;
	uint64_t wall_ms; /* the wall clock at wall_at */
	gw_time wall_at;
	gw_time started;
	struct keymap allowed;
	struct keymap_item *allow_items;

	struct list sessions;
	size_t n_sessions;
	struct keymap registered;
	struct map conduits;
	size_t n_coming;    /* of them */
	struct heap timers; /* of sessions */

	struct keymap keys, sources; /* accounts */
	struct list idle_accounts;

	struct list ops;
	struct map requests; /* by tag */
	uint64_t next_tag;
	struct keymap watched;
	size_t n_watches;
	struct list news;
	gw_time news_at; /* not before */

	struct keymap networks, names;
	struct list network_use;
	size_t manifest_bytes;
	struct heap chain_ends; /* of those published */
	struct list arriving;
	size_t arriving_bytes;

	struct map channels;
	struct heap idle; /* of channels */

	struct list out;
	size_t out_bytes;

	struct beacon_stats stats;
};

#endif
