/* godwit.h - connections that belong to keys, not to IP addresses.
 *
 * A node has a permanent Ed25519 key; the key is its address.  Streams between two nodes are
 * authenticated and encrypted end to end (TLS 1.3 in QUIC) and go on while the nodes' IP
 * addresses and networks change.  See docs/architecture.md.
 *
 * Two ways to use it:
 *   - in your own event loop: wait until godwit_node_fd() is readable (with timers of your own,
 *     see also godwit_node_timeout_ns()), call godwit_node_process(), then take events with
 *     godwit_node_next_event();
 *   - with plain sockets: godwit_connect_fd() gives a socket (one end of a socketpair) served
 *     by a thread of the library.
 * A node and its streams belong to one thread at a time; different nodes are independent.
 *
 * Functions return 0 or a negative GODWIT_E_* code; outputs are untouched on failure.
 * Strings are UTF-8 and NUL-terminated. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_GODWIT_H
#define GODWIT_GODWIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#pragma GCC visibility push(default)
#endif

#define GODWIT_VERSION "0.1.0"
#define GODWIT_NEVER UINT64_MAX

typedef struct godwit_node godwit_node;
typedef struct godwit_stream godwit_stream;

enum {
	GODWIT_ADDRESS_SIZE = 57, /* text and NUL */
	GODWIT_KEY_SIZE = 32,
	GODWIT_TICKET_SIZE = 1280, /* enough for any ticket and NUL */
	GODWIT_SERVICE_SIZE = 64,
	GODWIT_ENDPOINT_SIZE = 64, /* "[2001:db8::1]:41641" and NUL */
	GODWIT_BEACON_SIZE = 224,  /* "ADDRESS@HOST:PORT/TLSPORT" and NUL */
	GODWIT_RELAY_SIZE = 144,   /* "HOST:PORT" and NUL */
};

enum godwit_error {
	GODWIT_OK = 0,
	GODWIT_E_NOMEM = -1,
	GODWIT_E_INVALID = -2,
	GODWIT_E_LENGTH = -3,
	GODWIT_E_CHECKSUM = -4,
	GODWIT_E_TYPE = -5,
	GODWIT_E_CHARACTER = -6,
	GODWIT_E_KEY = -7,
	GODWIT_E_FORMAT = -8,
	GODWIT_E_VERSION = -9,
	GODWIT_E_SELF = -10,
	GODWIT_E_UNREACHABLE = -11,
	GODWIT_E_DENIED = -12,
	GODWIT_E_NO_SERVICE = -13,
	GODWIT_E_TARGET = -14,
	GODWIT_E_RESTARTED = -15,
	GODWIT_E_EXITED = -16,
	GODWIT_E_PARKED_OUT = -17,
	GODWIT_E_LOST = -18,
	GODWIT_E_RESET = -19,
	GODWIT_E_LIMIT = -20,
	GODWIT_E_TIMEOUT = -21,
	GODWIT_E_IN_USE = -22,
	GODWIT_E_PERMISSION = -23,
	GODWIT_E_EXISTS = -24,
	GODWIT_E_NOT_FOUND = -25,
	GODWIT_E_IO = -26,
	GODWIT_E_CRYPTO = -27,
	GODWIT_E_CLOSED = -28,
	GODWIT_E_PROTOCOL = -29,
	GODWIT_E_AGAIN = -30,
	GODWIT_E_KIND = -31,
	GODWIT_E_POLICY = -32,
	GODWIT_E_AMBIGUOUS = -33,
};

/* A sentence fragment for people ("the peer offers no such service"), and a stable word for
 * programs ("no-service").  Never NULL. */
const char *godwit_strerror(int error);
const char *godwit_error_name(int error);

/* --- keys and addresses --- */

/* Text to key; any case.  GODWIT_E_LENGTH, _CHARACTER, _CHECKSUM, _TYPE, _KEY, _FORMAT. */
int godwit_address_parse(const char *text, uint8_t key[GODWIT_KEY_SIZE]);
void godwit_address_format(const uint8_t key[GODWIT_KEY_SIZE], char out[GODWIT_ADDRESS_SIZE]);

/* --- nodes --- */

typedef struct godwit_options {
	size_t size;               /* set by godwit_options_init() */
	const char *identity_path; /* PKCS#8 PEM; made when missing.  NULL: see below */
	const char *identity_pem;  /* the key itself, instead of a path; copied, wipe yours */
	bool ephemeral;            /* a fresh key that is never stored */
	const char *listen;        /* "ADDR:PORT"; NULL: every address, a free port */
	bool transient;            /* a short-lived process: shares its key with others */
	uint64_t park_timeout_ms;  /* how long streams wait for a lost peer; 24 h */
	uint64_t memory_limit;     /* bytes of receive buffers, all streams together; 256 MiB */
	const char *congestion;    /* "bbr" or "cubic"; NULL: the default */
	bool relay_only;           /* never show or use an IP address: all goes by a beacon */
	bool audit;                /* GODWIT_EVENT_AUDIT shall come */
} godwit_options;

void godwit_options_init(godwit_options *options);

/* Make a node and bind its socket.  Exactly one of identity_path, identity_pem, ephemeral.
 * Sets the calling thread's timer slack to 1 us: pacing needs precise timers.
 * Errors: those of the key (GODWIT_E_PERMISSION: readable by others; _FORMAT, _LENGTH, _TYPE),
 * of the socket (_IN_USE, _PERMISSION, _INVALID), _NOMEM, _IO (errno). */
int godwit_node_new(godwit_node **out, const godwit_options *options);
/* Says goodbye to the peers, frees the node and its streams. */
void godwit_node_free(godwit_node *node);

/* Readable when godwit_node_process() has work: sockets and timers. */
int godwit_node_fd(const godwit_node *node);
/* Nanoseconds until godwit_node_process() has work even if the descriptor is not readable by then;
 * GODWIT_NEVER.  Optional, for loops with timers of their own, which are cheaper: who asks once
 * asks before each wait, since from then on timers make nothing readable. */
uint64_t godwit_node_timeout_ns(godwit_node *node);
/* For how many nanoseconds after the last event it pays to look for the next one (a wait that may not
 * last) before going to sleep, now: more while something comes from a peer that is so near that being
 * woken takes as long as the way there. */
uint64_t godwit_node_poll_ns(const godwit_node *node);
/* Do what is due; never blocks. */
void godwit_node_process(godwit_node *node);
/* Send what application calls have queued since.  Called by godwit_node_next_event() when it
 * has no more events, so loops that drain events need not. */
void godwit_node_flush(godwit_node *node);

void godwit_node_address(const godwit_node *node, char out[GODWIT_ADDRESS_SIZE]);
void godwit_node_key(const godwit_node *node, uint8_t out[GODWIT_KEY_SIZE]);
uint64_t godwit_node_incarnation(const godwit_node *node);
/* The UDP port in use. */
uint16_t godwit_node_port(const godwit_node *node);
/* This node's usable endpoints ("198.51.100.2:41641"), best first; loopback only when there
 * is nothing else.  Returns the count. */
size_t godwit_node_endpoints(const godwit_node *node, char (*out)[GODWIT_ENDPOINT_SIZE],
			     size_t max);

/* --- beacons: how nodes find and reach each other --- */

/* Use this one, "ADDRESS@HOST[:PORT][/TLSPORT]": port 4443 and TLS port 443 when not written, TLS
 * port 0: none; an IPv6 address in brackets.  Up to 8: the node registers with the two nearest.
 * Errors of the address as godwit_address_parse(); GODWIT_E_FORMAT, _INVALID (host or port),
 * _SELF, _LIMIT. */
int godwit_add_beacon(godwit_node *node, const char *beacon);
/* What is wrong with such a text: a sentence fragment for people, or NULL: nothing. */
const char *godwit_beacon_check(const char *beacon);
/* A hint: the peer is registered there.  Errors as godwit_add_beacon(). */
int godwit_add_home(godwit_node *node, const uint8_t key[GODWIT_KEY_SIZE], const char *beacon);

typedef enum godwit_beacon_state {
	GODWIT_BEACON_DOWN,
	GODWIT_BEACON_DIALING,
	GODWIT_BEACON_READY,
} godwit_beacon_state;

typedef struct godwit_beacon_info {
	char beacon[GODWIT_BEACON_SIZE]; /* as godwit_add_beacon() takes it */
	char relay[GODWIT_RELAY_SIZE];   /* "HOST:PORT" */
	godwit_beacon_state state;
	bool own;                            /* godwit_add_beacon(); else a peer is at home there */
	bool home, spare;                    /* of ours: the nearest, the next */
	bool draining;                       /* it is about to end */
	char transport[4];                   /* "udp" or "tls"; "" when not connected */
	char endpoint[GODWIT_ENDPOINT_SIZE]; /* where it is reached by UDP; "" unknown */
	char observed[GODWIT_ENDPOINT_SIZE]; /* where it sees this node; "" unknown */
	uint64_t rtt_us;                     /* 0: unknown */
	uint64_t heard_ms;                   /* since the last authenticated packet; GODWIT_NEVER */
	uint16_t alternate_port;             /* its second UDP port; 0: none known */
	int64_t clock_offset_ms;             /* its clock minus ours, when READY */
	int error;                           /* why it is down */
	const char *fault; /* what it did wrong ("gave a forged record"), or NULL */
	/* What is odd, its doing or another's ("refuses this node's record"), or NULL. */
	const char *doubt;
	const char *tls_error; /* not READY: why it cannot be reached over TLS, or NULL.  Valid
				  until the node is processed */
} godwit_beacon_info;

/* Up to `max` beacons, our own and those of peers; returns how many there are.  News of them:
 * GODWIT_EVENT_BEACONS. */
size_t godwit_node_beacons(const godwit_node *node, godwit_beacon_info *out, size_t max);
/* Ask one of them (as in godwit_beacon_info) to send an address reply (docs/protocol.md, section
 * 11) with this token to the IP address where it sees this node, but to another port there.  For
 * tests of NATs.  GODWIT_E_NOT_FOUND, _AGAIN: not connected to it. */
int godwit_beacon_test(godwit_node *node, const char *beacon, uint16_t port,
		       const uint8_t token[8]);
/* A home beacon has this node and its record: it can be found by address. */
bool godwit_node_registered(const godwit_node *node);

/* --- tickets: an address with hints --- */

typedef struct godwit_ticket {
	uint8_t key[GODWIT_KEY_SIZE];
	char service[GODWIT_SERVICE_SIZE]; /* "" for none */
	size_t endpoint_count;
	char endpoints[8][GODWIT_ENDPOINT_SIZE];
	size_t beacon_count;
	char beacons[2][GODWIT_BEACON_SIZE]; /* where it is registered */
	bool has_courtesy;
	uint8_t courtesy[8]; /* who shows it is told of a refusal; docs/protocol.md, section 19 */
} godwit_ticket;

/* A ticket for this node, with its home and spare beacon; `service` may be NULL. */
int godwit_node_ticket(const godwit_node *node, const char *service, char out[GODWIT_TICKET_SIZE]);
int godwit_ticket_parse(const char *text, godwit_ticket *out);

/* WHO[/SERVICE]: an address or a ticket.  Fills key, service, endpoints and beacons. */
int godwit_destination_parse(const char *text, godwit_ticket *out);

/* --- networks: keys that a CA vouches for (docs/protocol.md, section 17) --- */

enum { GODWIT_NAME_SIZE = 64, GODWIT_GROUP_SIZE = 33, GODWIT_GROUPS_MAX = 8 };
enum { GODWIT_CHAIN_MAX = 500, GODWIT_MANIFEST_MAX = 65535 };

/* Know the network of that key, or what is new of it: its signed manifest (len 0: not seen yet; peers and
 * beacons bring newer ones), and this node's certificate chain (len 0: none; what is known stays).
 * GODWIT_E_FORMAT, _VERSION (a critical field that is not known), _LIMIT (16 networks), else
 * _INVALID; `*why` (or NULL) gets a sentence fragment. */
int godwit_network_set(godwit_node *node, const uint8_t network[GODWIT_KEY_SIZE],
		       const uint8_t *manifest, size_t manifest_len, const uint8_t *chain,
		       size_t chain_len, const char **why);
void godwit_network_drop(godwit_node *node, const uint8_t network[GODWIT_KEY_SIZE]);

typedef struct godwit_network_info {
	uint8_t key[GODWIT_KEY_SIZE];
	char name[GODWIT_NAME_SIZE]; /* by the manifest; "" not seen yet */
	uint64_t sequence;           /* of the manifest; 0: not seen yet */
	uint32_t issued, expires;    /* seconds since 1970 */
	bool member;                 /* this node is one */
	char own_name[GODWIT_NAME_SIZE];
	uint32_t not_before, not_after; /* of its certificate */
	const char *trouble;            /* why that is of no use at present, or NULL */
} godwit_network_info;

size_t godwit_node_networks(const godwit_node *node, godwit_network_info *out, size_t max);
/* The signed bytes: how many there are; they are written when they fit. */
size_t godwit_network_manifest(const godwit_node *node, const uint8_t network[GODWIT_KEY_SIZE],
			       uint8_t *out, size_t size);

typedef struct godwit_member_info {
	uint8_t key[GODWIT_KEY_SIZE];
	char name[GODWIT_NAME_SIZE];
	size_t n_groups;
	char groups[GODWIT_GROUPS_MAX][GODWIT_GROUP_SIZE];
	uint32_t not_before, not_after;
	bool ephemeral, delegated;   /* delegated: by an invite, not by a CA */
	uint8_t ca[GODWIT_KEY_SIZE]; /* that has signed the certificate, or the invite */
	uint64_t serial;
	uint64_t invite; /* delegated: the serial of the invite */
} godwit_member_info;

/* Which key has that name in that network?  A NAME event with `*id` within 5 s: `key`, or `error`:
 * GODWIT_E_NOT_FOUND; _AMBIGUOUS: two members claim it, and a CA has signed neither or both; _UNREACHABLE:
 * no beacon has answered; _INVALID: the network was dropped.  Asks this node's beacons, and what peers
 * have shown counts, too.  GODWIT_E_INVALID: no name, or no network that this node knows; _LIMIT. */
int godwit_find_name(godwit_node *node, const uint8_t network[GODWIT_KEY_SIZE], const char *name,
		     uint64_t *id);
/* Those that have shown it, and whose certificates hold at present. */
size_t godwit_network_members(const godwit_node *node, const uint8_t network[GODWIT_KEY_SIZE],
			      godwit_member_info *out, size_t max);

/* --- who may do what (deny by default) --- */

/* Offer a service; park_timeout_ms GODWIT_NEVER: the node's default.
 * GODWIT_E_EXISTS, _INVALID (name: 1..63 of a-z 0-9 . _ -), _LIMIT. */
int godwit_listen(godwit_node *node, const char *service, uint64_t park_timeout_ms);
/* The same for a service of datagrams: a service is of one kind, and only streams of that kind come
 * in. */
int godwit_listen_datagrams(godwit_node *node, const char *service, uint64_t park_timeout_ms);
void godwit_unlisten(godwit_node *node, const char *service);

/* Rules.  What none of them allows is denied, but without any about dialling every key may be dialled.
 * The same rule may be given several times, and is there until it was taken back as often; to take back
 * one that is not there does nothing.  They count for what begins from then on: for what is live,
 * godwit_recheck().
 * GODWIT_E_INVALID: no valid name of a service (as above) or group (1..32 of a-z 0-9 -, first no -);
 * _LIMIT: there are 65,536 rules; _NOMEM. */

/* Let a key (NULL: any) use a service (NULL: every one). */
int godwit_allow(godwit_node *node, const char *service, const uint8_t *key);
void godwit_disallow(godwit_node *node, const char *service, const uint8_t *key);
/* Let the valid members of a network use it: those of a group, or all (NULL). */
int godwit_allow_network(godwit_node *node, const char *service,
			 const uint8_t network[GODWIT_KEY_SIZE], const char *group);
void godwit_disallow_network(godwit_node *node, const char *service,
			     const uint8_t network[GODWIT_KEY_SIZE], const char *group);
/* Let this node dial a key (NULL: any), or the valid members of a network. */
int godwit_allow_dial(godwit_node *node, const uint8_t *key);
void godwit_disallow_dial(godwit_node *node, const uint8_t *key);
int godwit_allow_dial_network(godwit_node *node, const uint8_t network[GODWIT_KEY_SIZE],
			      const char *group);
void godwit_disallow_dial_network(godwit_node *node, const uint8_t network[GODWIT_KEY_SIZE],
				  const char *group);
/* After rules were taken back (or the first about dialling was given): streams that they no longer
 * allow fail at once, here with GODWIT_E_POLICY and at the peer with GODWIT_E_DENIED, and what has
 * been received of them and not been consumed is dropped.  So do dials and pings of peers that may not
 * be dialled.  A peer that may use nothing here, and from which nothing is wanted, is disconnected. */
void godwit_recheck(godwit_node *node);

/* --- peers --- */

/* A hint of where the peer may be ("198.51.100.2:41641"); up to 8 are kept, what was learned from
 * the peer itself first, whether it may be dialled or not.  GODWIT_E_FORMAT, _INVALID, _SELF, _KEY,
 * _LIMIT. */
int godwit_add_endpoint(godwit_node *node, const uint8_t key[GODWIT_KEY_SIZE],
			const char *endpoint);
/* All that a ticket says about where its node is. */
void godwit_add_ticket(godwit_node *node, const godwit_ticket *ticket);
/* Dial unless connected; a PEER event tells of each success, and of failures for as long as it is
 * tried.  GODWIT_E_SELF, _KEY, _LIMIT; _POLICY: this node's own rules do not let it dial that key. */
int godwit_dial(godwit_node *node, const uint8_t key[GODWIT_KEY_SIZE]);
/* An authenticated round trip: a PONG event with `*id`.  Dials first when needed.
 * As godwit_dial(), and GODWIT_E_LIMIT: 16 wait for an answer already. */
int godwit_ping(godwit_node *node, const uint8_t key[GODWIT_KEY_SIZE], uint64_t *id);
/* Stop to try: dials and pings of this peer are given up, its streams go on. */
void godwit_undial(godwit_node *node, const uint8_t key[GODWIT_KEY_SIZE]);

typedef enum godwit_peer_state {
	GODWIT_PEER_PARKED,
	GODWIT_PEER_DIALING,
	GODWIT_PEER_CONNECTED,
	GODWIT_PEER_FAILED,
} godwit_peer_state;

typedef struct godwit_peer_info {
	uint8_t key[GODWIT_KEY_SIZE];
	godwit_peer_state state;
	int error;                           /* of the last dial */
	char endpoint[GODWIT_ENDPOINT_SIZE]; /* when connected directly, else "" */
	uint64_t rtt_us;                     /* 0: unknown */
	uint64_t heard_ms;                   /* since the last authenticated packet; GODWIT_NEVER */
	uint64_t since_ms;                   /* the present connection is in use */
	uint64_t retry_ms;                   /* parked with streams: next dial in */
	size_t endpoints;                    /* known, where it may be dialled */
	size_t streams;
	uint64_t moves, tx_bytes, rx_bytes;
	size_t payload;                /* UDP payload in use, bytes */
	bool relayed;                  /* when connected: through a beacon */
	char relay[GODWIT_RELAY_SIZE]; /* which, as "HOST:PORT"; else "" */
	char transport[4]; /* when connected: "udp" or "tls", of the way to the beacon */
	const char *why;   /* when relayed: why not directly ("UDP is blocked here"); else NULL */
} godwit_peer_info;

/* Up to `max` peers; returns how many there are. */
size_t godwit_node_peers(const godwit_node *node, godwit_peer_info *out, size_t max);

typedef struct godwit_stream_info {
	uint64_t id;
	uint8_t peer[GODWIT_KEY_SIZE];
	char service[GODWIT_SERVICE_SIZE];
	bool incoming;
	bool answered;     /* the peer's service has taken it */
	const char *state; /* "opening", "open", "parked", "closing" */
	uint64_t tx_bytes, rx_bytes, age_ms;
	bool datagrams;                   /* a stream of datagrams, ... */
	uint64_t sent, received, dropped; /* ... and how many of them */
} godwit_stream_info;

size_t godwit_node_streams(const godwit_node *node, godwit_stream_info *out, size_t max);

/* Counters for status and benchmarks. */
typedef struct godwit_stats {
	uint64_t datagrams_in, datagrams_out, bytes_in, bytes_out, dropped;
	uint64_t handshakes, dials, moves;
	uint64_t send_calls, recv_calls;
	bool gso, gro;
	uint64_t stream_datagrams_in, stream_datagrams_out, stream_datagrams_dropped;
} godwit_stats;

void godwit_node_stats(const godwit_node *node, godwit_stats *out);

/* Faults on purpose: "move" (new connections), "break" (drop connections silently),
 * "rebind" (another UDP port).  GODWIT_E_INVALID for another word. */
int godwit_debug(godwit_node *node, const char *fault);

/* --- streams --- */

/* Open a stream; bytes may be written at once.  They travel when the peer is connected.
 * GODWIT_E_SELF, _KEY, _INVALID, _LIMIT, _NOMEM; _POLICY: this node's own rules do not let it dial that
 * key, though it be connected. */
int godwit_stream_open(godwit_node *node, const uint8_t key[GODWIT_KEY_SIZE], const char *service,
		       godwit_stream **out);
void godwit_stream_set_park_timeout(godwit_stream *stream, uint64_t milliseconds);

void godwit_stream_set_user(godwit_stream *stream, void *user);
void *godwit_stream_user(const godwit_stream *stream);

/* Returns the bytes taken: 0 means wait for GODWIT_STREAM_WRITABLE.  Negative: the error that
 * ended the stream. */
ssize_t godwit_stream_write(godwit_stream *stream, const void *data, size_t len);
/* Without a copy: fill up to *len bytes at the returned address, then commit.  NULL: full. */
void *godwit_stream_write_space(godwit_stream *stream, size_t *len);
void godwit_stream_write_commit(godwit_stream *stream, size_t len);
/* No more bytes from this side (half-close). */
void godwit_stream_finish(godwit_stream *stream);

/* Received bytes in place; *len 0: none now.  Then consume what was used. */
const void *godwit_stream_read(godwit_stream *stream, size_t *len);
void godwit_stream_consume(godwit_stream *stream, size_t len);
/* The peer has finished and everything was consumed. */
bool godwit_stream_read_finished(const godwit_stream *stream);
/* The peer has every byte and our end. */
bool godwit_stream_delivered(const godwit_stream *stream);
/* 0 while alive; else why it ended.  What had been received stays readable. */
int godwit_stream_error(const godwit_stream *stream);

/* Give up both directions; `why` is GODWIT_E_RESET, _TARGET, _DENIED, _NO_SERVICE, _KIND or
 * _LIMIT and is what the peer's application gets. */
void godwit_stream_reset(godwit_stream *stream, int why);
/* Done with the handle.  An unfinished stream is reset. */
void godwit_stream_free(godwit_stream *stream);

void godwit_stream_describe(const godwit_stream *stream, godwit_stream_info *out);

/* --- streams of datagrams --- */

/* Datagrams between two nodes, for UDP and the like: each arrives whole, once or never, in any order.
 * Such a stream is opened, parked, moved and ended like the others, but carries no bytes: none of the
 * calls that write and read them.  Errors as godwit_stream_open(), and GODWIT_E_VERSION: the peer
 * is too old. */
int godwit_datagram_open(godwit_node *node, const uint8_t key[GODWIT_KEY_SIZE], const char *service,
			 godwit_stream **out);
/* Send one; it may be empty.  GODWIT_E_LENGTH: it is larger than godwit_datagram_max(), and is
 * dropped; else what has ended the stream.  Without a connection it waits for a second at most. */
int godwit_datagram_send(godwit_stream *stream, const void *data, size_t len);
/* The next one received: its length, 0 for an empty one.  GODWIT_E_AGAIN: there is none, wait for
 * GODWIT_STREAM_READABLE; GODWIT_E_LENGTH: it is longer than `size`, and stays. */
ssize_t godwit_datagram_receive(godwit_stream *stream, void *data, size_t size);
/* The largest that can be sent at present: 1,167 bytes or so at first, more as soon as the path is
 * known to carry it; a move may lessen it. */
size_t godwit_datagram_max(const godwit_stream *stream);

/* --- events --- */

typedef enum godwit_event_type {
	GODWIT_EVENT_STREAM,
	GODWIT_EVENT_PEER,
	GODWIT_EVENT_PONG,
	GODWIT_EVENT_IDENTITY_IN_USE, /* a newer process has this key: stop */
	GODWIT_EVENT_NETWORK,         /* this host's addresses changed */
	GODWIT_EVENT_BEACONS,         /* godwit_node_beacons() or _registered() has news */
	GODWIT_EVENT_MANIFEST,        /* `key`: of a network, which others have told a newer one */
	GODWIT_EVENT_AUDIT,           /* what was decided about a peer; options.audit */
	GODWIT_EVENT_NAME,            /* the answer to godwit_find_name() */
} godwit_event_type;

enum {
	GODWIT_STREAM_INCOMING = 1,
	GODWIT_STREAM_READABLE = 2,
	GODWIT_STREAM_WRITABLE = 4,
	GODWIT_STREAM_ANSWERED = 8,
	GODWIT_STREAM_DELIVERED = 16,
	GODWIT_STREAM_FAILED = 32,
};

typedef enum godwit_audit_what {
	GODWIT_AUDIT_KNOCK,       /* somebody's first packet was refused */
	GODWIT_AUDIT_CERTIFICATE, /* what it has shown does not hold */
	GODWIT_AUDIT_MANIFEST,    /* one that came was refused */
	GODWIT_AUDIT_OPEN,        /* a stream to a service of ours was taken, or refused */
	GODWIT_AUDIT_END,         /* such a stream has ended */
} godwit_audit_what;

typedef struct godwit_audit {
	godwit_audit_what what;
	bool allowed;
	bool key_known; /* it has proved that it has the event's `key` */
	char service[GODWIT_SERVICE_SIZE];
	const char *why;             /* a sentence fragment, or NULL */
	uint64_t tx_bytes, rx_bytes; /* END */
	size_t lost;                 /* entries before it that came too fast */
} godwit_audit;

typedef struct godwit_event {
	godwit_event_type type;
	godwit_stream *stream;               /* STREAM */
	unsigned flags;                      /* STREAM: GODWIT_STREAM_* */
	uint8_t key[GODWIT_KEY_SIZE];        /* PEER, PONG, MANIFEST, AUDIT, NAME */
	godwit_peer_state state;             /* PEER */
	int error;                           /* PEER: why it failed; NAME */
	uint64_t ping_id;                    /* PONG; NAME: of godwit_find_name() */
	uint64_t rtt_us;                     /* PONG */
	char endpoint[GODWIT_ENDPOINT_SIZE]; /* PONG, AUDIT, PEER connected: when direct */
	bool relayed;                        /* the same: through a beacon */
	char relay[GODWIT_RELAY_SIZE];       /* which */
	char transport[4];                   /* "udp" or "tls"; not of AUDIT */
	godwit_audit audit;                  /* AUDIT */
} godwit_event;

/* False when there is none (and everything queued has been sent). */
bool godwit_node_next_event(godwit_node *node, godwit_event *out);

/* --- plain sockets, for programs without an event loop --- */

/* Run the node in a thread of the library.  From then on only godwit_connect_fd(),
 * godwit_accept_fd(), godwit_fd_error() and godwit_node_free() may be called on it. */
int godwit_node_start_thread(godwit_node *node);
/* A stream as a socket: read, write, shutdown and close it like any other; it is not
 * non-blocking, and close-on-exec.  `destination` needs a service.  Blocks until the service has
 * answered, the peer refused, or timeout_ms (GODWIT_NEVER: forever) passed.  Returns the fd or an
 * error: GODWIT_E_UNREACHABLE when the time is up and the peer could not be reached,
 * GODWIT_E_TIMEOUT when it is up for another reason, GODWIT_E_CLOSED when the node is freed.
 *
 * shutdown(fd, SHUT_WR) ends this side's bytes, the peer's end reads as end of file; close()
 * lets what was written arrive and drops what still comes.  When the stream fails, reads give
 * the bytes that have come and then ECONNRESET or end of file, and writes EPIPE: ask
 * godwit_fd_error() at an end of file that might be a failure. */
int godwit_connect_fd(godwit_node *node, const char *destination, uint64_t timeout_ms);
/* The next incoming stream of any service offered; blocks.  `peer` and `service` may be NULL.
 * Up to 128 streams wait to be accepted; more are reset (GODWIT_E_LIMIT). */
int godwit_accept_fd(godwit_node *node, uint64_t timeout_ms, uint8_t peer[GODWIT_KEY_SIZE],
		     char service[GODWIT_SERVICE_SIZE]);
/* Why the stream behind a socket that is still open failed: an error, or 0 (alive, or ended well).
 * Of the last 128 failures. */
int godwit_fd_error(godwit_node *node, int fd);

#if defined(__GNUC__)
#pragma GCC visibility pop
#endif

#ifdef __cplusplus
}
#endif

#endif
