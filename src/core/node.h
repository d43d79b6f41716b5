/* core/node.h - a godwit node, sans-I/O.
 *
 * No socket, clock, entropy source or thread: datagrams, `now` and random bytes come in as
 * parameters; datagrams, events and the next expiry come out.  One thread per node.
 * Spec: docs/protocol.md.
 *
 * The loop that drives it:
 *	node_receive() for each datagram that came; node_expire() when node_expiry() has passed;
 *	application calls; then node_transmit() until false; node_next_event() until false; wait. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_CORE_NODE_H
#define GODWIT_CORE_NODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/batch.h"
#include "base/rng.h"
#include "base/time.h"
#include "crypto/address.h"
#include "crypto/identity.h"
#include "trust/trust.h"
#include "wire/beacon.h"
#include "wire/trust.h"
#include "wire/wire.h"

struct node;
struct stream;
struct peer;

struct node_config {
	const struct identity *identity; /* copied */
	struct rng *rng;                 /* kept: must outlive the node */
	bool transient;       /* a one-shot process: beside others of the same key, never instead */
	gw_time park_timeout; /* for streams; 0: fail as soon as the connection is lost */
	gw_time idle_timeout; /* of a connection without streams */
	size_t memory_limit;  /* bytes of receive windows granted, all streams together */
	uint64_t started_ms;  /* wall clock: settles which of two processes is the newer */
	uint32_t max_payload; /* largest UDP payload ever sent, bytes (1200..65000) */
	uint16_t udp_port;    /* of the main socket: where we can be reached on our own addresses */
	bool relay_only;      /* never show or use an address: every packet goes by a beacon */
	bool bbr;             /* congestion control: BBR, else CUBIC */
	bool audit;           /* tell what is decided about others: EVENT_AUDIT */
};

/* Defaults of docs/protocol.md, section 8. */
void node_config_init(struct node_config *config);

/* NULL when out of memory or the TLS library fails. */
struct node *node_new(const struct node_config *config, gw_time now);
/* Frees everything, streams included.  Call node_close() and node_transmit() first to say
 * goodbye to the peers. */
void node_free(struct node *n);

/* Tell every peer that this process goes away for good. */
void node_close(struct node *n, gw_time now);

/* --- datagrams, timers, network --- */

/* One datagram (already split from a GRO batch).  path->local is the address it was sent to.
 * What cannot be used is dropped and counted. */
void node_receive(struct node *n, const struct path *path, const uint8_t *data, size_t len,
		  gw_time now);

/* Fill one batch; false when there is nothing to send now. */
bool node_transmit(struct node *n, struct batch *out, gw_time now);

gw_time node_expiry(const struct node *n); /* GW_NEVER when nothing is due */
void node_expire(struct node *n, gw_time now);

/* The addresses of this host now, at start and after every change.  Connections whose local
 * address is gone are replaced at once, parked peers are dialled at once. */
void node_network_changed(struct node *n, const struct local_addr *locals, size_t count,
			  gw_time now);

/* The wall clock of this moment: it may be set, and `now` does not count sleep.  Until then it is
 * that of config.started_ms, and goes with `now`. */
void node_set_wall_clock(struct node *n, uint64_t wall_ms, gw_time now);
/* Time passed without us (suspend): treat every connection as suspect. */
void node_clock_jumped(struct node *n, gw_time now);

enum send_failure { SEND_UNREACHABLE, SEND_TOO_BIG };
/* The system refused a batch. */
void node_send_failed(struct node *n, const struct path *path, enum send_failure why, gw_time now);

/* --- beacons (docs/protocol.md, sections 11 to 14) --- */

/* One of our own.  `host` is a name or an address.  GW_E_KEY, GW_E_INVALID, GW_E_LIMIT. */
int node_add_beacon(struct node *n, const uint8_t key[KEY_SIZE], const char *host,
		    uint16_t udp_port, uint16_t tls_port, gw_time now);
/* A hint: the peer is at home there. */
int node_add_home(struct node *n, const uint8_t peer[KEY_SIZE], const uint8_t key[KEY_SIZE],
		  const char *host, uint16_t udp_port, uint16_t tls_port, gw_time now);

struct beacon_ref;

enum beacon_state { BEACON_DOWN, BEACON_DIALING, BEACON_READY };

struct beacon_info {
	uint8_t key[KEY_SIZE];
	char host[WIRE_HOST_MAX + 1];
	uint16_t udp_port, tls_port;
	enum beacon_state state;
	bool configured, home, spare, draining;
	bool tls;             /* transport in use; else UDP */
	gw_time rtt;          /* 0 unknown */
	gw_time heard_at;     /* 0 never */
	struct addr endpoint; /* where it is reached */
	struct addr observed; /* where it sees us; ADDR_NONE unknown */
	int64_t clock_offset_ms;
	int error;         /* why it is down */
	const char *fault; /* what it did wrong, or NULL */
	const char *doubt; /* what is odd, its doing or another one's, or NULL */
};

/* Iterate: start with NULL. */
struct beacon_ref *node_beacon_next(const struct node *n, const struct beacon_ref *after);
void beacon_describe(const struct beacon_ref *b, struct beacon_info *out);
/* A router maps this endpoint to our UDP port; ADDR_NONE: no more. */
void node_set_mapping(struct node *n, const struct addr *endpoint, gw_time now);
/* Ask it to send an address reply with `token` to the address it sees us at, but to `port`: does
 * a datagram from there come in?  GW_E_AGAIN: not connected to it. */
int node_beacon_test(struct beacon_ref *b, uint16_t port, const uint8_t token[WIRE_TOKEN_SIZE]);
/* A home beacon has us and our record. */
bool node_registered(const struct node *n);

/* What the core wants of the owner of its sockets; it asks, and does not wait. */
enum io_request_type {
	IO_RESOLVE,  /* `host`: node_resolved() */
	IO_TLS_OPEN, /* TLS link `via` to host:port: node_conduit_up(), node_conduit_down() */
	IO_UDP_OPEN, /* another UDP socket `via` on a free port: the same */
	IO_CLOSE,    /* `via`; no answer */
};

struct io_request {
	enum io_request_type type;
	uint32_t via;
	char host[WIRE_HOST_MAX + 1];
	uint16_t port;
};

/* False when there is none. */
bool node_next_request(struct node *n, struct io_request *out);
/* `count` 0: the name is not known.  Ports are ignored. */
void node_resolved(struct node *n, const char *host, const struct addr *addrs, size_t count,
		   gw_time now);
void node_conduit_up(struct node *n, uint32_t via, gw_time now);
void node_conduit_down(struct node *n, uint32_t via, int error, gw_time now);

/* --- who may do what (deny by default) --- */

/* Offer a service.  `park_timeout` for its streams, GW_NEVER for the node's default.
 * GW_E_EXISTS, GW_E_INVALID (name), GW_E_LIMIT. */
int node_listen(struct node *n, const char *service, gw_time park_timeout);
/* The same, of datagrams. */
int node_listen_datagrams(struct node *n, const char *service, gw_time park_timeout);
void node_unlisten(struct node *n, const char *service); /* live streams stay */

/* Whom a rule is about.  A network's are all its valid members. */
enum subject_kind { SUBJECT_ANY, SUBJECT_KEY, SUBJECT_NETWORK, SUBJECT_GROUP };

struct subject {
	enum subject_kind kind;
	uint8_t key[KEY_SIZE];          /* KEY: the peer's; NETWORK, GROUP: the network's */
	char group[WIRE_GROUP_MAX + 1]; /* GROUP */
};

/* `key` NULL: any. */
struct subject subject_of_key(const uint8_t *key);
/* `group` NULL: all of the network; one that is too long is no valid one. */
struct subject subject_of_network(const uint8_t network[KEY_SIZE], const char *group);

/* In: let a subject use a service (NULL: every service).  The same rule may be given several times,
 * and is there until it has been taken back as often.  Out: let it be dialled; with no such rule at
 * all any key may.  What is live stays as it is: node_recheck().
 * GW_E_INVALID (name of service or group), GW_E_LIMIT (65,536 rules), GW_E_NOMEM. */
int node_allow(struct node *n, const char *service, const struct subject *who);
void node_disallow(struct node *n, const char *service, const struct subject *who);
int node_allow_dial(struct node *n, const struct subject *who);
void node_disallow_dial(struct node *n, const struct subject *who);
/* May this key connect at all? */
bool node_welcomes(const struct node *n, const uint8_t key[KEY_SIZE]);
bool node_may_dial(const struct node *n, const uint8_t key[KEY_SIZE]);
/* After rules have changed: streams that they no longer allow fail with GW_E_POLICY here and with
 * GW_E_DENIED at the peer, and what they have received is dropped; so do dials and pings of those that
 * may not be dialled.  A peer that may use nothing, and of which we want nothing, is disconnected. */
void node_recheck(struct node *n, gw_time now);

/* --- peers --- */

/* Add an endpoint where the peer may be, whether it may be dialled or not.  Kept: the newest
 * PEER_ENDPOINTS_MAX.
 * GW_E_SELF, GW_E_KEY, GW_E_LIMIT. */
enum { PEER_ENDPOINTS_MAX = 8 };
int node_add_endpoint(struct node *n, const uint8_t key[KEY_SIZE], const struct addr *endpoint,
		      gw_time now);
/* What its ticket shows: with it a refusal is told.  Errors as node_add_endpoint(). */
int node_add_courtesy(struct node *n, const uint8_t key[KEY_SIZE],
		      const uint8_t courtesy[TICKET_COURTESY_SIZE], gw_time now);
/* What a ticket of ours shows. */
void node_courtesy(const struct node *n, uint8_t out[TICKET_COURTESY_SIZE]);
/* Dial unless connected.  EVENT_PEER reports the result.  GW_E_SELF, GW_E_KEY, GW_E_LIMIT;
 * GW_E_POLICY: our own rules do not let us dial it. */
int node_dial(struct node *n, const uint8_t key[KEY_SIZE], gw_time now);
/* Nobody waits for node_dial() and node_ping() of this peer any more.  Streams go on. */
void node_undial(struct node *n, const uint8_t key[KEY_SIZE], gw_time now);
/* An authenticated round trip; EVENT_PONG.  Dials first when needed.  `*id` is in the event.
 * As node_dial(), and GW_E_LIMIT: too many wait for an answer. */
int node_ping(struct node *n, const uint8_t key[KEY_SIZE], uint64_t *id, gw_time now);

enum peer_state { PEER_PARKED, PEER_DIALING, PEER_CONNECTED, PEER_FAILED };

struct peer_info {
	uint8_t key[KEY_SIZE];
	enum peer_state state;
	int error;                      /* enum gw_error: why the last dial failed, or 0 */
	struct path path;               /* PEER_CONNECTED and direct */
	const struct beacon_ref *relay; /* PEER_CONNECTED: NULL direct */
	gw_time rtt;                    /* smoothed; 0 unknown */
	gw_time heard_at;               /* last authenticated packet; 0 never */
	gw_time used_since;             /* of the present connection */
	gw_time retry_at;               /* when parked with streams: next dial */
	size_t endpoints;               /* where it may be dialled */
	size_t streams;
	uint64_t moves; /* times the streams changed connection */
	uint64_t tx_bytes,
		rx_bytes; /* stream bytes acknowledged, delivered; datagrams sent, received */
	size_t mtu;       /* UDP payload in use */
};

/* Iterate: start with NULL. */
struct peer *node_peer_next(const struct node *n, const struct peer *after);
void peer_describe(const struct peer *p, struct peer_info *out);
/* Why a relayed path is not direct, as a phrase; NULL when it is, or when there is none. */
const char *peer_why_relayed(const struct peer *p, gw_time now);

/* Faults on purpose.  Move: a new connection now.  Break: drop the connection silently. */
void node_debug_move(struct node *n, gw_time now);
void node_debug_break(struct node *n, gw_time now);

/* --- networks (docs/protocol.md, section 17) --- */

struct network_config {
	uint8_t key[KEY_SIZE];
	const uint8_t *manifest; /* signed; len 0: none is known yet */
	size_t manifest_len;
	const uint8_t *chain; /* our own; len 0: we only know the network */
	size_t chain_len;
};

/* Know a network, or what is new of it.  What is refused changes nothing, but a manifest that was
 * taken stays.  TRUST_LIMIT: too many networks, or out of memory. */
enum trust_refusal node_network_set(struct node *n, const struct network_config *config,
				    gw_time now);
void node_network_drop(struct node *n, const uint8_t key[KEY_SIZE], gw_time now);

struct network_info {
	const struct manifest *manifest; /* len 0: none has been seen */
	const struct member *self;       /* NULL: we are no member */
	enum trust_refusal self_state;   /* of that, at present */
};

/* What a peer is in that network at present; NULL: no member of it. */
const struct member *peer_member(const struct peer *p, const uint8_t network[KEY_SIZE]);
/* Whose name is that?  EVENT_NAME with `*id`, within 5 s.  GW_E_INVALID: no name, or no network that is
 * known; GW_E_LIMIT: 64 are being looked for. */
int node_find_name(struct node *n, const uint8_t network[KEY_SIZE], const char *name, uint64_t *id,
		   gw_time now);
/* Iterate: `after` is the key of the one before, or NULL. */
bool node_network_next(const struct node *n, const uint8_t *after, struct network_info *out);

/* --- streams --- */

/* Open a stream to a service of a peer; its data may be written at once.  It is sent when the
 * peer is connected; until then it waits (park timeout).  GW_E_SELF, GW_E_KEY, GW_E_INVALID,
 * GW_E_LIMIT, GW_E_NOMEM; GW_E_POLICY: our own rules do not let us dial it, though it be connected. */
int node_stream_open(struct node *n, const uint8_t key[KEY_SIZE], const char *service,
		     struct stream **out, gw_time now);
/* A stream of datagrams (docs/protocol.md, section 15): it has no bytes, the rest is the same.  Also
 * GW_E_VERSION: the connected peer knows none (later: what the stream fails with). */
int node_datagram_open(struct node *n, const uint8_t key[KEY_SIZE], const char *service,
		       struct stream **out, gw_time now);
void stream_set_park_timeout(struct stream *s, gw_time timeout);

void stream_set_user(struct stream *s, void *user);
void *stream_user(const struct stream *s);

/* Copy up to `len` bytes into the send buffer; returns how many fitted (0: wait for
 * STREAM_WRITABLE), or an error when the stream can no longer be written. */
ssize_t stream_write(struct stream *s, const void *data, size_t len, gw_time now);
/* The same without a copy: fill *len bytes at the returned address, then commit.  NULL when
 * the buffer is full or the stream cannot be written. */
uint8_t *stream_write_space(struct stream *s, size_t *len);
void stream_write_commit(struct stream *s, size_t len, gw_time now);
/* No more bytes from this side. */
void stream_finish(struct stream *s, gw_time now);
/* Give up both directions. */
void stream_reset(struct stream *s, enum stream_code code, gw_time now);

/* The next received bytes, in place; *len is 0 when there are none now.  At the end of the
 * peer's bytes stream_read_finished() becomes true. */
const uint8_t *stream_read(struct stream *s, size_t *len);
void stream_consume(struct stream *s, size_t len, gw_time now);
bool stream_read_finished(const struct stream *s);
/* 0 while alive; else the enum gw_error that ended it.  What had been received stays readable. */
int stream_error(const struct stream *s);
/* The peer has every byte and our end. */
bool stream_delivered(const struct stream *s);
/* The application is done with the handle; an unfinished stream is reset.  The core frees it
 * when the peer knows. */
void stream_release(struct stream *s, gw_time now);

/* --- datagrams --- */

/* Send one, soon or never: it may wait for a second at most, and nothing says that it was lost.
 * GW_E_LENGTH: more than stream_datagram_max() now; GW_E_INVALID: a stream of bytes; or why the
 * stream can no longer be written. */
int stream_datagram_send(struct stream *s, const void *data, size_t len, gw_time now);
/* The next one received: its length, which may be 0; GW_E_AGAIN: none (STREAM_READABLE will
 * come); GW_E_LENGTH: it is longer than `size`, and stays. */
ssize_t stream_datagram_receive(struct stream *s, void *out, size_t size);
/* The largest that the present connection carries, bytes; it changes with the path. */
size_t stream_datagram_max(const struct stream *s);

struct stream_info {
	uint64_t id;
	uint8_t peer[KEY_SIZE];
	char service[SERVICE_NAME_MAX + 1];
	bool incoming;
	bool answered; /* the service has taken it */
	enum { STREAM_OPENING, STREAM_OPEN, STREAM_PARKED, STREAM_CLOSING } state;
	uint64_t tx_bytes, rx_bytes;
	bool datagrams;                   /* a stream of datagrams, ... */
	uint64_t sent, received, dropped; /* ... and how many of them */
	gw_time created_at;
};

void stream_describe(const struct stream *s, struct stream_info *out);
/* Iterate over a peer's streams: start with NULL. */
struct stream *peer_stream_next(const struct peer *p, const struct stream *after);

/* --- events --- */

enum event_type {
	EVENT_STREAM,
	EVENT_PEER,
	EVENT_PONG,
	EVENT_IDENTITY_IN_USE,
	EVENT_BEACONS,
	EVENT_MANIFEST, /* `key`: a newer manifest of that network has come from others */
	EVENT_AUDIT,
	/* `ping_id` of node_find_name(); `key`, or `error`: GW_E_NOT_FOUND, GW_E_AMBIGUOUS, GW_E_UNREACHABLE:
	 * nobody who might know has answered, GW_E_INVALID: the network has been dropped. */
	EVENT_NAME,
};

enum audit_what {
	AUDIT_KNOCK,       /* somebody's first packet was refused */
	AUDIT_CERTIFICATE, /* what it has shown is not valid */
	AUDIT_MANIFEST,    /* one that came was refused */
	AUDIT_OPEN,        /* a stream to a service of ours was taken, or refused */
	AUDIT_END,         /* such a stream has ended */
};

struct audit {
	enum audit_what what;
	bool allowed;
	bool key_known;
	uint8_t key[KEY_SIZE];
	char service[SERVICE_NAME_MAX + 1]; /* OPEN, END */
	const char *why;                    /* a sentence fragment; NULL: nothing to say */
	struct path path;                   /* remote ADDR_NONE: unknown; of a relay: see there */
	char relay[WIRE_HOST_MAX + 8];      /* "HOST:PORT"; "" direct */
	uint64_t tx_bytes, rx_bytes;        /* END */
	size_t lost; /* entries before this one that nobody has taken in time */
};

enum stream_event {
	STREAM_INCOMING = 1,   /* a new stream from a peer: take it or reset it */
	STREAM_READABLE = 2,   /* bytes, datagrams or the end have come */
	STREAM_WRITABLE = 4,   /* room again after a short write */
	STREAM_ANSWERED = 8,   /* the peer's service has taken our stream */
	STREAM_DELIVERED = 16, /* the peer has every byte and our end */
	STREAM_FAILED = 32,    /* stream_error() says why */
};

struct event {
	enum event_type type;
	struct stream *stream; /* EVENT_STREAM */
	unsigned flags;        /* EVENT_STREAM: enum stream_event, several at once */
	uint8_t key[KEY_SIZE]; /* EVENT_PEER, EVENT_PONG */
	enum peer_state state; /* EVENT_PEER */
	int error;             /* EVENT_PEER: PEER_FAILED; EVENT_NAME */
	uint64_t ping_id;      /* EVENT_PONG, EVENT_NAME */
	gw_time rtt;
	struct path path;               /* EVENT_PONG and PEER_CONNECTED, when direct */
	const struct beacon_ref *relay; /* the same: NULL direct */
	const struct audit *audit;      /* EVENT_AUDIT: until the next event is asked for */
};

/* False when there is none.  A stream's flags are collected into one event. */
bool node_next_event(struct node *n, struct event *out);
/* Has something come that the application may want to answer? */
bool node_has_input(const struct node *n);
/* Something has come within 10 ms from a peer whose round trip takes less than one. */
bool node_is_near(const struct node *n, gw_time now);

/* --- for tests and status --- */

struct node_stats {
	uint64_t datagrams_in, datagrams_out, bytes_in, bytes_out;
	uint64_t drop_unknown, drop_malformed, drop_no_connection, drop_limit, drop_refused;
	uint64_t drop_knock; /* first packets that do not open the door */
	uint64_t retries;
	uint64_t handshakes, dials, moves;
	uint64_t dgrams_in, dgrams_out, dgrams_dropped; /* of streams */
	size_t connections, peers, streams;
	size_t memory; /* stream buffers, bytes */
};

void node_stats_get(const struct node *n, struct node_stats *out);
size_t node_connections(const struct node *n);
uint64_t node_incarnation(const struct node *n);
/* Is every internal invariant true?  Aborts with a message when not.  Tests call it. */
void node_check(const struct node *n);

#endif
