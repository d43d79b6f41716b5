/* core/types.h - the core's objects and how they hang together.  Internal to core/.
 *
 *	node ── peers (by key) ── streams (by id)
 *	  │        └─ used connection: carries the segments of all streams
 *	  └─ connections (by connection id): each belongs to a peer once its hello is accepted */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_CORE_TYPES_H
#define GODWIT_CORE_TYPES_H

#include <ngtcp2/ngtcp2.h>

#include "base/chain.h"
#include "base/error.h"
#include "base/heap.h"
#include "base/map.h"
#include "base/slab.h"
#include "base/list.h"
#include "core/node.h"
#include "core/seen.h"
#include "quic/link.h"
#include "quic/pool.h"
#include "quic/tls.h"
#include "trust/knock.h"

/* docs/protocol.md, section 8. */
enum {
	CID_SIZE = 8,
	PAYLOAD_MIN = 1200,
	INITIAL_WINDOW = 32 * 1024,
	ANSWER_WINDOW = 256 * 1024,
	MAX_WINDOW = 32 * 1024 * 1024,
	QUIC_STREAM_WINDOW = 33 * 1024 * 1024,
	QUIC_CONN_WINDOW = 64 * 1024 * 1024,
	PEER_STREAMS_MAX = 8192,
	PEERS_MAX = 65536,
	HALF_OPEN_MAX = 256,
	RACERS_MAX = 24,
	RETIRED_INCARNATIONS = 4,
	MIGRATIONS_MAX = 8, /* of a dialler's address within a connection */
	FEW_ENDPOINTS = 2,
	PINGS_MAX = 16,
	PONGS_MAX = 64,
	LOCALS_MAX = 64,
	SERVICES_MAX = 256,
	AUDITS_MAX = 256,
	NETWORKS_MAX = 16,
	REFS_MAX = 64,                               /* beacons known: ours, and those of peers */
	REF_ADDRS_MAX = 4,                           /* of one host name */
	CONFIGURED_MAX = 8,                          /* beacons of our own */
	ASKED_MAX = CONFIGURED_MAX + WIRE_HOMES_MAX, /* at once, for one record */
	OUTBOX_MAX = 128,                            /* small datagrams that wait to be sent */
	OUTBOX_SIZE = 64,                            /* bytes of one */
	IO_REQUESTS_MAX = 320, /* of each kind that wait for the owner of the sockets */
	CONTROL_QUEUE_MAX = 1024 * 1024,
	OPEN_AHEAD = 64,          /* segments opened before a packet is written */
	SEND_QUANTUM = 32 * 1024, /* bytes of one stream before the next one's turn */
	DGRAM_FRAME_MAX = 65535,
	DGRAMS_MAX = 1024, /* waiting to be sent to a peer; received by a stream and not taken */
	DGRAM_BYTES_MAX = 256 * 1024,
	DGRAM_NODE_BYTES = 64 * 1024 * 1024, /* received and not taken, of all streams */
	EARLY_DGRAMS_MAX = 16, /* of a connection: they have overtaken the OPENs of their streams */
	EARLY_DGRAM_BYTES = 16 * 1024,
	CHECKS_AT_ONCE = 32, /* of a connection: what it showed was refused, or is a new chain */
	LARGE_LOST_MAX = 3,  /* large datagrams in a row, then the MTU falls back */
	SEND_AHEAD_LEAST = 16 * 1024, /* of a stream beside many: bytes that were never sent */
	SEND_AHEAD_MIN = 128 * 1024,  /* of one beside few */
	SEND_AHEAD_MAX = 8 * 1024 * 1024,
	SEND_HELD = 4,      /* times that: with those not yet acknowledged ... */
	SEND_HELD_NEAR = 2, /* ... on a path so short that more only leaves the caches */
	WINDOW_GROWTH = 4,
};

#define HANDSHAKE_TIMEOUT (5 * GW_SEC)
#define INITIAL_RTT                                                                                \
	(100 * GW_MSEC) /* until it is measured: a lost first packet costs thrice this */
#define UP_TIMEOUT (10 * GW_SEC)
#define SILENCE_MIN (300 * GW_MSEC)
#define SILENCE_IDLE (2 * GW_SEC) /* nobody waits: a stall of one end is no reason to dial */
#define SILENCE_SPOILS (2 * GW_SEC)
#define QUIET_AFTER (500 * GW_MSEC)
#define KEEPALIVE (25 * GW_SEC)
#define KEEPALIVE_GRAIN (100 * GW_MSEC)
#define KEEPALIVE_DIALLER (28 * GW_SEC) /* only when the other's has not come */
#define SILENT_DROP (30 * GW_SEC)
#define RETIRE_LINGER (1 * GW_SEC)
#define STALL_MIN (500 * GW_MSEC)
#define MTU_RETRY (60 * GW_SEC)
#define MTU_MIGRATED (10 * GW_SEC)
#define MTU_PROBE_GAP (100 * GW_MSEC)
#define REDIAL_FAST (1 * GW_SEC)
#define REDIAL_SLOW (15 * GW_SEC)
#define REDIAL_FAST_FOR (15 * 60 * GW_SEC)
#define PINNED_DELAY (100 * GW_MSEC)
#define FORGET_AFTER (3600 * GW_SEC)
#define PART_AFTER (1 * GW_SEC) /* from a peer that is denied everything: the resets go first */
#define DGRAM_AGE (1 * GW_SEC)  /* in the queue to a peer */

#define TLS_AFTER (300 * GW_MSEC) /* of silence over UDP */
#define DOUBT_PING (50 * GW_MSEC) /* after a send error, unless an event comes first */
#define REF_DROP (5 * GW_SEC)
#define REF_STEADY (5 * GW_SEC) /* a link that lasted so long was none that fails at once */
#define VISIT_IDLE (60 * GW_SEC)
#define HOMES_SETTLE (1 * GW_SEC)
#define HOMES_CHECKED (3 * GW_SEC)
#define RECORD_LIFETIME_S (24 * 3600)
#define LOOKUP_GAP (1 * GW_SEC)
#define PUNCH_FOLLOW (10 * GW_MSEC)
#define PUNCH_OVER (5 * GW_SEC) /* a round */
#define ROUND_GAP (5 * GW_SEC)  /* on average, beyond ROUNDS_AT_ONCE */
#define RECORD_GAP (5 * GW_SEC) /* between new records of a peer, beyond RECORDS_AT_ONCE */
#define CHECK_GAP (1 * GW_SEC)  /* between them, beyond CHECKS_AT_ONCE */
#define REPUBLISH_GAP (10 * GW_SEC)
#define SPRAY_AFTER (1500 * GW_MSEC)
#define SPRAY_TICK (10 * GW_MSEC)
#define SPRAY_LASTS (10 * GW_SEC)
#define SPRAY_GAP (600 * GW_SEC)
#define CLOCK_AHEAD_MAX (600 * 1000) /* ms */
#define WALL_STEP_MS 1000            /* less is how clocks differ */
#define CLOCK_SLACK_S 60             /* of a beacon's clock, as told in its WELCOME */

/* --- beacons --- */

/* VISITED: for a peer's sake only; the others are configured ones. */
enum ref_role { REF_VISITED, REF_EXTRA, REF_SPARE, REF_HOME };

/* What we exchange with a beacon of our own about networks, one question at a time: names.c. */
enum names_step { NAMES_FETCH, NAMES_STORE_MANIFEST, NAMES_STORE_CHAIN };
struct names_talk {
	gw_time at;       /* begin then; while a question is open: give up; GW_NEVER */
	uint64_t request; /* 0: no question is open */
	enum names_step step;
	struct network *network; /* that is being talked about */
	gw_time again_at;        /* another exchange after this: something has changed meanwhile */
	gw_time news_at;         /* the last one, or the next, that the beacon asks for */
	uint8_t *bytes;          /* of a manifest that is coming, `len` of `total` */
	size_t total, len;
};

/* A beacon as a node sees it: our own, or one that a peer's record names. */
struct beacon_ref {
	struct node *node;
	struct list_item all_link;
	uint64_t number; /* of no other one, ever */
	uint8_t key[KEY_SIZE];
	char host[WIRE_HOST_MAX + 1];
	uint16_t udp_port, tls_port; /* tls_port 0: none */
	bool configured;
	enum ref_role role;
	size_t users;    /* peers that name it */
	size_t channels; /* connections relayed by it */

	struct addr addrs[REF_ADDRS_MAX];
	size_t n_addrs;
	bool resolving;

	/*	no link ──dial──► racers ──first up──► link ──WELCOME──► welcome */
	struct link *racers[REF_ADDRS_MAX + 1];
	size_t n_racers;
	struct link *link;
	bool welcome;
	bool suspect;   /* silent: being watched, or moved to TLS */
	bool unsettled; /* the network has changed, and nothing has been heard since */
	gw_time dialled_at;
	gw_time redial_at; /* GW_NEVER: not wanted */
	gw_time tls_at;    /* try TLS, if nothing has been heard by then; GW_NEVER */
	gw_time udp_at;    /* on TLS: ask for UDP again; GW_NEVER */
	gw_time ping_at;   /* unsettled: ask then; GW_NEVER */
	gw_time ping_gap;  /* before the next time, if the system refuses that, too */
	gw_time used_at;   /* a visit that nobody uses ends */
	unsigned failures, udp_tries;
	uint64_t publish_request; /* in progress, or 0 */
	bool published;
	bool refuses_record; /* the last one */
	bool watches_full;   /* it takes no more of them on this link */
	struct names_talk names;
	uint32_t tls_via; /* conduit, 0 none */
	bool tls_up;
	uint8_t udp_token[WIRE_TOKEN_SIZE];
	bool udp_asked; /* and not answered */

	bool draining;
	struct addr observed;
	uint16_t alternate_port;
	struct addr alternate;       /* where its alternate port sees us */
	struct addr alternate_asked; /* that port, once it was asked */
	uint8_t alternate_token[WIRE_TOKEN_SIZE];
	int64_t clock_offset_ms; /* its clock minus ours */
	int error;               /* why there is no link */
	const char *fault;       /* what it has done wrong, or NULL */
};

struct outgoing {
	struct path path;
	size_t len;
	uint8_t data[OUTBOX_SIZE];
};

/* --- hole punching --- */

enum {
	RECORDS_AT_ONCE = 8,
	ROUNDS_AT_ONCE = 8,
	PUNCH_TARGETS_MAX = 8,
	SPRAY_SOCKETS = 256,
	SPRAY_PREDICTED = 512
};

struct punch_target {
	struct path path; /* remote and via */
	uint8_t candidate;
	unsigned follow_ups; /* questions still to be sent soon after its first one */
	bool answered;
	gw_time dialled_at; /* 0: not */
};

enum spray_state { SPRAY_NONE, SPRAY_OPENING, SPRAY_LOOKING, SPRAY_HARD, SPRAY_EASY };

/* One side's part in a spray; docs/protocol.md, section 13. */
struct spray {
	enum spray_state state;
	gw_time next_at, ends_at;
	struct addr target; /* easy: its host; hard: the easy side's endpoint */
	size_t cursor;      /* next socket, or next port */
	uint16_t base;
	int16_t step;
	uint8_t token[WIRE_TOKEN_SIZE]; /* hard: of the address request */
	size_t n_sockets, n_open;
	uint32_t sockets[SPRAY_SOCKETS];
};

struct punch {
	uint64_t round;
	gw_time started; /* GW_NEVER: not probing */
	gw_time next_at, follow_at, again_at;
	gw_time rounds_at; /* when the budget of rounds is whole again */
	unsigned volley, tries;
	uint32_t counter;
	uint8_t secret[WIRE_SECRET_SIZE];
	bool have_theirs;
	struct wire_candidates theirs;
	struct punch_target targets[PUNCH_TARGETS_MAX];
	size_t n_targets;
	gw_time sprayed_at;   /* GW_NEVER: never */
	struct addr revealed; /* where a beacon of our own sees the peer */
	struct spray *spray;  /* NULL: none */
};

/* --- datagrams of streams --- */

struct dgram {
	struct list_item link;
	uint64_t id; /* of the stream */
	gw_time at;
	size_t header; /* bytes of the id before the payload; 0: received */
	size_t len;    /* with the header */
	uint8_t data[];
};

struct dgram_queue {
	struct list list; /* oldest first */
	size_t count, bytes;
};

/* What a stream of datagrams has besides. */
struct dgram_state {
	struct dgram_queue rx;
	uint64_t sent, received, dropped, tx_bytes, rx_bytes;
};

/* --- connection --- */

/*	HANDSHAKE ──► UP ──► USED ──► RETIRED ──► CLOSED
 *	    └──────────┴───────┴─────────────────────┘
 * HANDSHAKE: TLS and hellos; UP: both hellos seen; USED: carries the peer's streams;
 * RETIRED: read but never written; CLOSED: waits to be freed. */
enum conn_state { CONN_HANDSHAKE, CONN_UP, CONN_USED, CONN_RETIRED, CONN_CLOSED };

struct mtu {
	size_t payload; /* in use */
	size_t ceiling; /* largest worth trying */
	size_t probing; /* size of the probe in flight, 0 none */
	unsigned tries;
	gw_time next_at; /* next probe, or end of the wait for its reply; GW_NEVER */
	bool send_now;
	bool reply_now; /* the peer probes us */
	struct wire_probe reply;
	struct path reply_path;
	unsigned lost;      /* large packets with datagrams, in a row ... */
	gw_time lost_since; /* ... from then on */
};

struct connection {
	struct node *node;
	struct peer *peer; /* dialler: from the start; accepter: from the hello */
	struct list_item all_link, peer_link, dirty_link;
	struct timer timer;
	enum conn_state state;
	bool dialler;
	int error;           /* why it closed, enum gw_error */
	uint64_t close_code; /* to be sent; CLOSE_NONE: nothing */
	bool replaced;       /* a CLOSE_IN_USE with a valid claim has come */
	int liberr;          /* ngtcp2's error to be sent instead; 0: none */
	gw_time now;         /* of the read in progress, for callbacks */
	bool heard;          /* a callback saw something authenticated in it */
	uint64_t generation;
	uint64_t incarnation; /* of the peer, from its hello */
	gw_time created_at;
	gw_time state_since;

	struct beacon_ref *relay; /* NULL: direct */
	uint64_t channel;         /* of the relay; map key */
	struct path path;         /* where to send; relayed: stands for the channel */
	struct addr local_seen;   /* our address on the last authenticated packet */
	struct addr quic_local;   /* dialler: what ngtcp2 was told at the start */
	struct addr migrated_to;  /* accepter: the dialler's address ... */
	struct addr *left;        /* ... and those that it had before, MIGRATIONS_MAX; NULL: none */
	size_t n_left;

	ngtcp2_conn *quic;
	struct tls_session tls;
	bool confirmed;                   /* handshake complete on our side */
	uint8_t knock_key[KEY_SIZE];      /* accepter: who has knocked */
	uint16_t *at_door;                /* its count there; NULL: not any more */
	struct credential *shown;         /* ... and what it is; the peer's from the hello on */
	uint8_t answer[WIRE_ANSWER_SIZE]; /* dialler: proves a refusal */
	const struct network *knocked;    /* dialler: what it has shown; to be compared only */
	bool unproven; /* accepter: nothing has shown that it is at its address */
	struct incoming_manifest *incoming; /* NULL: none */
	gw_time checks_at; /* when the budget of what it has us check is whole again */
	uint64_t odcid;    /* map key of the client's first destination id and its address, or 0 */

	/* control stream */
	int64_t control_id;
	struct chain control; /* ours, from acknowledged on */
	uint64_t control_sent;
	uint8_t *frame; /* received bytes of an unfinished frame, or NULL */
	size_t frame_len;
	bool hello_sent, hello_received;
	uint8_t peer_token[WIRE_TOKEN_SIZE];
	uint64_t token; /* ours: map key for path probes */

	/* liveness */
	gw_time heard_at;          /* last authenticated packet */
	gw_time outstanding_since; /* GW_NEVER: nothing outstanding */
	gw_time stream_heard_at;   /* last stream bytes */
	gw_time progress_at;       /* last acknowledged stream byte while some were outstanding */
	gw_time pinged_at;
	bool suspect;
	bool only_kept;     /* all that is outstanding is a keep-alive */
	uint64_t in_flight; /* bytes, as ngtcp2 last said */

	/* acknowledgements, transmit.c */
	bool has_read;       /* packets, since we last wrote */
	bool has_data;       /* the packet that is being read */
	size_t n_unanswered; /* those since then that are no acknowledgements alone */
	bool bulk;           /* that were many, the last time */
	gw_time answer_at;   /* put off until then; GW_NEVER: it is not */
	gw_time written_at;  /* what ngtcp2 has not been told of, pace.c; 0: nothing */

	gw_time pace_ready; /* when all that was sent has been sent at the right pace */
	gw_time pace_at;    /* the next packets may go then; GW_NEVER: ngtcp2 knows */

	struct mtu mtu;
	struct list rx_segments; /* incoming, alive in ngtcp2 */

	uint64_t dgram_frame_max; /* the peer's, when USED; 0: it knows no datagrams */
	struct dgram_queue early;
};

/* --- stream --- */

/* LIVE ──► RESETTING ──► RETIRED; LIVE ──► RETIRED.
 * RESETTING: our RESET waits for DONE.  RETIRED: nothing more is said about it. */
enum stream_state { STREAM_LIVE, STREAM_RESETTING, STREAM_RETIRED };

struct stream {
	struct node *node;
	struct peer *peer; /* owns it: a peer lives as long as its streams */
	struct list_item peer_link, ready_link, event_link;
	uint64_t id;
	enum stream_state state;
	bool incoming;
	bool released; /* by the application */
	bool sent;     /* something of it may have reached the peer's process */
	bool answered;
	int error;
	uint64_t reset_code;
	unsigned events; /* enum stream_event, pending */
	void *user;
	gw_time created_at;
	gw_time park_timeout;

	/* our direction: [tx.start, tx.end) is unacknowledged */
	struct chain tx;
	uint64_t tx_next; /* first byte not yet sent on the present segment */
	bool unsent;      /* it holds bytes that were never sent, and counts in peer->n_unsent */
	uint64_t tx_limit;
	bool tx_finished, tx_fin_sent, tx_delivered, tx_blocked;
	int64_t segment; /* QUIC stream on peer->used, or -1 */
	uint64_t segment_start;
	uint8_t *segment_header; /* kept until the segment ends */
	size_t segment_header_len, segment_header_sent;

	/* the peer's direction: [rx.start, rx.end) is received and not consumed */
	struct chain rx;
	uint64_t rx_limit, rx_window, rx_final; /* rx_final: UINT64_MAX unknown */
	gw_time rx_granted_at;
	struct dgram_state *dgrams; /* NULL: a stream of bytes */

	size_t committed;   /* our share of node->committed */
	size_t quantum;     /* bytes sent in this turn ... */
	uint64_t turn_from; /* ... which began at that peer->sent */

	char service[SERVICE_NAME_MAX + 1];
};

/* One incoming segment: the stream_user_data of its QUIC stream. */
struct rx_segment {
	struct list_item link;
	bool started; /* header complete */
	bool ignored; /* refused, reset or retired: bytes are dropped */
	uint64_t id;
	uint64_t position; /* absolute offset of the next byte */
	size_t header_len;
	uint8_t header[WIRE_SEGMENT_MAX];
};

/* --- peer --- */

struct ping {
	uint64_t id, nonce;
	gw_time sent_at; /* 0: waits for a connection */
};

struct peer {
	struct node *node;
	struct peer *same_hash; /* next in the chain of node->by_key */
	struct list_item all_link, event_link;
	struct timer timer;
	uint8_t key[KEY_SIZE];
	bool transient;
	bool we_are_lower;              /* our key is the lower one: even ids, higher rank */
	uint64_t incarnation;           /* 0: not met */
	uint8_t claim[WIRE_CLAIM_SIZE]; /* of that incarnation */
	uint64_t retired_incarnations[RETIRED_INCARNATIONS];

	int error;
	bool event_pending;
	bool wanted;    /* somebody asked for a connection: node_dial, node_ping */
	bool must_move; /* our address is gone: dial although the connection may live */
	bool met;       /* has been connected */
	bool watched;   /* a beacon was asked to tell of changes */
	bool pinned;    /* the application has given endpoints: keep it */
	uint8_t courtesy[TICKET_COURTESY_SIZE]; /* of its ticket; zeros: none */
	struct credential *credentials;         /* what it has shown that it is; NULL: nothing */

	/* Of those that are parked by the thousand: what lay apart would hold a page each. */
	struct addr few[FEW_ENDPOINTS];
	struct addr *endpoints; /* `few`, or PEER_ENDPOINTS_MAX */
	size_t n_endpoints;

	struct punch *punch;                      /* NULL: never relayed */
	struct beacon_ref *homes[WIRE_HOMES_MAX]; /* where it is at home, best first */
	size_t n_homes;
	uint64_t record_sequence; /* highest seen */
	uint64_t record_from;     /* number of the beacon that gave it; 0: none */
	gw_time records_at;       /* when the budget of its new records is whole again */
	uint64_t lookup;          /* request in progress; 0: none; in node->by_request */
	gw_time lookup_at;        /* last sent; GW_NEVER: never */
	/* those that have not answered; to be compared, not to be followed */
	const struct beacon_ref **asked; /* NULL: none */
	size_t lookups_open;

	struct list connections;
	struct connection *used;
	uint64_t generation; /* highest seen */

	gw_time dial_started; /* of the present effort; GW_NEVER: none */
	gw_time dial_at;      /* next attempt; GW_NEVER */
	gw_time asked_at;     /* the application last wanted it; older attempts are no verdict */
	unsigned attempts;
	gw_time parked_since; /* without a used connection; GW_NEVER */
	gw_time pinned_at;    /* dial from each interface then; GW_NEVER */
	gw_time park_at;      /* the first stream has parked long enough; GW_NEVER */
	gw_time part_at;      /* it is denied everything: close then; GW_NEVER */

	struct list streams; /* all objects, zombies included */
	struct map by_id;    /* live and resetting */
	size_t n_live;       /* entries of by_id */
	uint64_t next_id;
	struct seen seen;
	struct list sparse; /* streams with something to send, and little of late: the next ones */
	struct list ready;  /* the others, in turn */
	uint64_t sent;      /* bytes of streams, ever: the clock of their turns */
	size_t send_ahead;  /* per stream, bytes never sent: about what the path holds */
	size_t n_unsent;    /* streams that hold such bytes */
	unsigned send_held; /* times that: with those not yet acknowledged */

	struct dgram_queue dgrams; /* to be sent */
	int64_t dgram_lead;        /* bytes that datagrams are ahead of streams */

	struct ping *pings; /* NULL: none */
	size_t n_pings;
	uint64_t moves, tx_bytes, rx_bytes;
	gw_time heard_at; /* on connections that are gone; 0: never */
};

/* --- node --- */

/* One that is offered. */
struct service {
	char name[SERVICE_NAME_MAX + 1];
	gw_time park_timeout;
	bool datagrams;
};

enum { POLICY_SCOPES = 4 };

struct policy {
	struct service *services;
	size_t count;
	struct map table; /* hash of a rule -> first of a chain of struct policy_entry */
	size_t entries[POLICY_SCOPES];
};

struct pong {
	uint8_t key[KEY_SIZE];
	uint64_t id;
	gw_time rtt;
	struct path path;
	const struct beacon_ref *relay;
};

struct node {
	struct node_config config;
	struct identity *identity; /* identity_new() */
	struct rng *rng;
	uint64_t incarnation;
	uint8_t claim[WIRE_CLAIM_SIZE];
	struct policy policy;

	struct list networks;
	size_t n_networks;
	gw_time networks_at;  /* something expires then; GW_NEVER */
	gw_time networks_now; /* of the call in progress */

	struct list searches; /* of names, and those whose event waits */
	size_t n_searches;

	struct audit *audits; /* ring; NULL: none yet */
	size_t audit_head, audit_count, audits_lost;

	/* door.c */
	struct knock_self *knock_self;
	struct knock_seen *knocks;
	uint64_t knock_seed;
	uint8_t retry_secret[32];
	struct list waiting; /* first packets */
	size_t n_waiting;
	bool door_busy;  /* one has been served since the last turn */
	gw_time door_at; /* when one was served last */
	size_t n_unproven;
	uint16_t at_door[KNOCK_OWNERS]; /* handshakes of keys, by knock_owner() */

	struct tls_context tls;
	struct quic_pool quic_pool; /* ngtcp2's memory of all connections */

	struct link_host links;
	struct list refs;
	size_t n_refs, n_configured;
	uint64_t next_ref;
	bool homes_complete; /* there are a home and a spare */
	gw_time homes_at;    /* choose them then; GW_NEVER */
	uint64_t sequence;   /* of our record, last */
	gw_time publish_at;  /* GW_NEVER */
	gw_time older_at;    /* a beacon last had a newer record of ours; GW_NEVER */
	uint64_t next_request;
	uint32_t next_via;
	bool beacons_changed;  /* event pending */
	struct peer *spraying; /* one at a time */
	struct addr mapped;    /* of a port mapping; ADDR_NONE: none */
	struct outgoing outbox[OUTBOX_MAX];
	size_t outbox_head, outbox_count;
	struct io_request *requests; /* ring */
	size_t request_head, request_count;
	uint64_t wall_ms; /* the wall clock at wall_at */
	gw_time wall_at;

	struct map by_channel; /* channel -> connection */
	struct map by_request; /* lookup in progress -> peer */
	struct map by_cid;     /* connection id -> connection */
	struct map by_token;   /* probe token -> connection */
	struct map by_key;     /* hash of key -> first of a chain of peers */
	struct list connections, peers, dirty;
	struct slab peer_slab, stream_slab;
	size_t n_connections, n_half_open, n_peers, n_streams;
	struct heap conn_timers, peer_timers;

	struct local_addr locals[LOCALS_MAX];
	size_t n_locals;

	struct list stream_events, peer_events;
	struct pong pongs[PONGS_MAX];
	size_t pong_head, pong_count;
	bool in_use; /* event pending */
	bool closing;

	struct chain_pool pool; /* of all streams' buffers */
	size_t committed;       /* receive windows granted and not consumed */
	size_t dgram_bytes;     /* received and not taken */
	uint64_t next_ping;

	/* a packet for another path than its batch's, to be sent next */
	uint8_t *held; /* held_size: enough for any */
	size_t held_size, held_len;
	struct path held_path;

	struct node_stats stats;
	gw_time near_at; /* the last packet of a peer that is near */
};

#endif
