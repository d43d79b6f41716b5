/* beacon/beacon.h - a beacon: keeps the directory, tells nodes their addresses, relays.
 * Spec: docs/protocol.md, sections 11, 12, 17 and 19.
 *
 * Sans-I/O: datagrams, time and the store's answers come in by calls; datagrams and questions to
 * the store are polled.  Everything is bounded (struct beacon_limits); what is refused is counted.
 *
 * After any call that may change something: ask beacon_next_op() until false, then
 * beacon_transmit() until false; then wait for beacon_expiry(). */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_BEACON_BEACON_H
#define GODWIT_BEACON_BEACON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/batch.h"
#include "base/directory.h"
#include "base/rng.h"
#include "base/time.h"
#include "crypto/identity.h"

struct beacon;

/* path.via of the second UDP port; TLS links have numbers from BEACON_CONDUITS. */
enum { BEACON_MAIN = 0, BEACON_ALTERNATE = 1, BEACON_CONDUITS = 2 };

/* --- limits (their defaults: docs/protocol.md, section 12) --- */

/* A token bucket: `rate` a second, after up to `burst` at once. */
struct beacon_rate {
	uint64_t rate, burst;
};

/* What is metered, each per key and per source (an IPv4 address, an IPv6 /64). */
enum beacon_meter {
	METER_BYTES, /* relayed */
	METER_PACKETS,
	METER_CHANNELS, /* opened */
	METER_LOOKUPS,
	METER_PUBLISHES,
	METER_HANDSHAKES, /* per source only */
	METER_TESTS,      /* per key only */
	METER_FRAMES,     /* of any kind; beyond it the connection is closed */
	METERS
};

struct beacon_limits {
	struct beacon_rate per_key[METERS], per_source[METERS];
	size_t sessions, half_open, channels, watches, accounts;
	size_t source_sessions, source_half_open;
	/* half-open ones whose address nothing has shown to be true: more of them get a Retry */
	size_t unproven, source_unproven;
	size_t session_channels; /* of both directions */
	size_t session_opened, session_watches, session_requests;
	size_t frame_bytes; /* that wait to be acknowledged, all sessions together */
	size_t manifests, manifest_bytes;
	size_t names, key_names; /* chains of members, all and of one key */
	size_t item_bytes;       /* of items that have come in part */
};

/* --- making one --- */

struct beacon_config {
	const struct identity *identity;  /* copied */
	struct rng *rng;                  /* borrowed */
	const uint8_t (*allow)[KEY_SIZE]; /* copied; n_allow 0: anybody */
	size_t n_allow;
	bool silent; /* no answer to anybody else, not even that it is there; n_allow > 0 */
	uint16_t alternate_port; /* 0: none */
	uint64_t wall_ms;        /* the wall clock at `now` of beacon_new() */
	struct beacon_limits limits;
};

/* Zeroes, and the default limits. */
void beacon_config_init(struct beacon_config *c);
/* NULL: out of memory, or TLS failed. */
struct beacon *beacon_new(const struct beacon_config *c, gw_time now);
void beacon_free(struct beacon *b); /* without a word to anybody */

/* --- datagrams --- */

/* One datagram. */
void beacon_receive(struct beacon *b, const struct path *path, const uint8_t *data, size_t len,
		    gw_time now);
/* The fast way for datagrams of `segment` bytes each (the last may be shorter): true when all are
 * packets of one channel, from its valid end and within the budget: the same bytes go to `*to`.
 * False: nothing has happened; give each to beacon_receive(). */
bool beacon_forward(struct beacon *b, const struct path *path, const uint8_t *data, size_t len,
		    size_t segment, struct path *to, gw_time now);
/* Fill one batch; false: nothing to send now.  out->path.via says from which socket. */
bool beacon_transmit(struct beacon *b, struct batch *out, gw_time now);

/* The wall clock of this moment, as node_set_wall_clock(). */
void beacon_set_wall_clock(struct beacon *b, uint64_t wall_ms, gw_time now);
gw_time beacon_expiry(const struct beacon *b);
void beacon_expire(struct beacon *b, gw_time now);

/* A TCP connection that may become the TLS link `via` (>= BEACON_CONDUITS); it counts as a
 * handshake.  `remote` is its far end.  False: do not take it. */
bool beacon_conduit_coming(struct beacon *b, uint32_t via, const struct addr *remote, gw_time now);
/* The link is there (with or without beacon_conduit_coming() before): its datagrams have
 * path.remote addr_of_conduit(via).  False: do not take it. */
bool beacon_conduit_opened(struct beacon *b, uint32_t via, const struct addr *remote, gw_time now);
/* It has gone: who does not move within 10 s is lost. */
void beacon_conduit_closed(struct beacon *b, uint32_t via, gw_time now);
/* Nobody uses it. */
bool beacon_conduit_is_idle(const struct beacon *b, uint32_t via);

/* --- the store --- */

/* A question to the store; its record is valid until the next call here. */
bool beacon_next_op(struct beacon *b, struct directory_op *op);
/* Each question is answered once, with DIRECTORY_FAILED if need be. */
void beacon_op_done(struct beacon *b, const struct directory_answer *a, gw_time now);

/* --- the end --- */

/* Tell everybody to move to another beacon within so many seconds. */
void beacon_drain(struct beacon *b, uint64_t seconds, gw_time now);
/* Close every connection; beacon_transmit() yields the last words. */
void beacon_stop(struct beacon *b, gw_time now);

/* --- what it does --- */

enum beacon_drop {
	DROP_KIND, /* no kind of datagram that a beacon takes */
	DROP_MALFORMED,
	DROP_NO_LINK,   /* QUIC of no connection */
	DROP_HANDSHAKE, /* too many handshakes or sessions */
	DROP_NO_CHANNEL,
	DROP_SOURCE, /* a channel packet from elsewhere */
	DROP_BUDGET, /* a channel packet beyond its budget */
	DROP_QUEUE,  /* too much to send at this moment */
	DROP_KNOCK,  /* silent: from a stranger */
	DROPS
};

const char *beacon_drop_name(enum beacon_drop d);

struct beacon_stats {
	size_t sessions, registered, half_open, channels, watches, accounts;
	size_t manifests, names; /* of networks and their members */
	size_t conduits;         /* TLS links */
	size_t coming;           /* TCP connections that are none yet */
	uint64_t handshakes;     /* begun */
	uint64_t retries;        /* handshakes that had to show that they are where they say */
	uint64_t registrations, replaced, lookups, publishes, opens, tests, address_requests;
	uint64_t relayed_bytes, relayed_packets, relayed_batches;
	uint64_t refused; /* frames answered with `limit` or `later` */
	uint64_t drops[DROPS];
	bool draining;
};

void beacon_stats_get(const struct beacon *b, struct beacon_stats *out);

struct beacon_session_info {
	uint8_t key[KEY_SIZE];
	struct addr endpoint; /* ADDR_NONE: over TLS */
	bool registered;
	size_t channels, watches;
	gw_time since;
};

/* Start with *position NULL; false at the end.  No other call in between. */
bool beacon_next_session(const struct beacon *b, const void **position,
			 struct beacon_session_info *out);

#endif
