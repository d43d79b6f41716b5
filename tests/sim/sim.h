/* tests/sim/sim.h - whole nodes in one process, on a virtual clock and a virtual network.
 *
 * One `struct sim` is one run: hosts with links, processes (nodes) on the hosts, flows
 * (streams with two scripted applications) and a queue of what happens next.  A run is made
 * from one seed: the schedule, every link's dice and every node's random bytes come from it.
 * GnuTLS draws its own random numbers, so nothing here may depend on the content of a
 * datagram, only on counts.
 *
 * After every step the touched node is checked (node_check, memory bounds) and every byte
 * that was read is compared with what must be there; the first breach ends the run. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_SIM_H
#define GODWIT_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/error.h"
#include "base/map.h"
#include "base/rng.h"
#include "base/time.h"
#include "core/node.h"
#include "nat.h"

enum {
	HOSTS_MAX = 128,
	IFACES_MAX = 2,
	SITES_MAX = 512,
	PROCS_MAX = 128,
	SOCKETS_MAX = 300,          /* that a process opened beside its main one */
	LINK_QUEUE_MAX = 64 * 1024, /* of a TLS link: bytes sent and not acknowledged */
	BATCH_SIZE = 65536,
	FAILURE_MAX = 400,
	FLOW_NUMBER_SIZE = 8,
	PROC_BEACONS_MAX = 3,
	TALKS_MAX = 4,
	TALK_DATAGRAMS_MAX = 65536, /* that each end sends */
};

struct beacon;
struct sim;
struct store;
struct tls_link;

/* --- the network (net.c, site.c) --- */

/* One direction of a host's access link.  Chances are per 10,000. */
struct access {
	struct rng rng;
	gw_time delay, jitter;
	unsigned loss, duplicate, reorder;
	gw_time grain; /* arrivals come in bunches, so far apart; 0: one by one */
	gw_time hold;  /* a reordered or duplicated datagram comes up to this much later */
	uint64_t rate; /* bytes a second; 0: no limit */
	gw_time queue; /* tail drop when the queue is longer than this */
	size_t mtu;    /* bytes of IP packet; bigger ones vanish */
	bool down;
	uint64_t drop_mask; /* bit 0 decides the next datagram, bit 1 the one after ... */
	gw_time busy_until, last_out;
};

struct iface;

/* Who has an address: an interface, or the outer side of a box. */
struct owner {
	struct iface *iface; /* NULL: the box of site `box` */
	unsigned box;
	unsigned site; /* where the address is */
};

struct iface {
	bool present;     /* the host owns the address */
	struct addr addr; /* port 0 */
	uint32_t mtu;     /* the host knows this one: sending more is refused */
	struct access up, down;
	unsigned host, site;
	struct owner owner;
};

/* A place to be for hosts, behind a box or not.  Sites 1... are private networks (where the box
 * translates), else parts of what they are behind.  Hosts of one site reach each other directly. */
enum { INTERNET = 0 };

struct site {
	struct nat nat;  /* the box; nat.kind may be changed while it runs */
	unsigned behind; /* the site that the box's outer side is in */
	uint8_t lan;     /* inside is 192.168.LAN.x, fd00:0:LAN::x; two sites may have the same */
	unsigned handed_out; /* addresses inside */
	unsigned moves;      /* outer addresses that its box had */
	struct owner outer[2];
};

struct host {
	struct iface ifaces[IFACES_MAX];
	size_t n_ifaces;
	gw_time asleep_until;
	unsigned moves;     /* addresses handed out */
	uint16_t next_port; /* of its further sockets */
	bool victim;        /* nobody has a reason to talk to it */
	/* What was sent to its addresses. */
	uint64_t got_datagrams, got_bytes, got_probes;
};

struct packet;

/* A host on the internet with one fresh address and default links.  Returns its index. */
unsigned net_add_host(struct sim *s);
void net_add_iface(struct sim *s, unsigned host);
/* One of that family. */
void net_add_family(struct sim *s, unsigned host, uint8_t family);
/* In the site where it is. */
void net_new_address(struct sim *s, unsigned host, unsigned iface);

/* A site behind a box of this kind (nat_kind_find(), or a changed copy of one), itself behind
 * the box of another site, or on the INTERNET.  Returns its number. */
unsigned net_add_site(struct sim *s, const struct nat_kind *kind, unsigned behind);
unsigned net_add_host_in(struct sim *s, unsigned site);
/* The host is elsewhere now (roams), with fresh addresses of that site. */
void net_move_to_site(struct sim *s, unsigned host, unsigned site);
/* The site's box forgets its mappings, and perhaps gets another outer address. */
void net_reboot_box(struct sim *s, unsigned site, bool new_address);
/* May strangers on the internet send to it? */
bool net_public(const struct sim *s, const struct iface *f);
/* Where others see it, by far or (when in its own site) near; the port is not compared. */
bool net_seen_at(const struct sim *s, const struct iface *f, const struct addr *remote);

/* Put the host behind a box of its own (eim-apdf, new ports in sequence, refreshed from inside
 * only) / let the box forget, so that the host's outer port is a new one. */
void net_nat(struct sim *s, unsigned host, gw_time timeout);
void net_nat_rebind(struct sim *s, unsigned host);
/* Nothing passes between the two hosts, either way. */
void net_cut(struct sim *s, unsigned a, unsigned b, bool cut);
bool net_is_cut(const struct sim *s, unsigned a, unsigned b);
/* The interface in use: the first one present; NULL when there is none. */
struct iface *net_primary(struct host *h);

struct proc;
enum send_result { SENT, SENT_UNREACHABLE, SENT_TOO_BIG };
/* From the socket or into the TLS link that path.via says. */
enum send_result net_send(struct sim *s, struct proc *p, const struct batch *b);
void net_packet(struct sim *s, struct packet *pk); /* it is due: next hop or delivery */
void net_packet_free(struct packet *pk);
void net_clear(struct sim *s); /* at the end of the run */

/* --- conduits: further UDP sockets (conduit.c) and TLS links (tls_link.c) ---
 *
 * Named by numbers, path.via: the process gives the numbers below LINK_VIA_FIRST, incoming links
 * get theirs from there on.  They end with the process. */

#define LINK_VIA_FIRST UINT32_C(0x80000000)

/* With a port of its own.  GW_E_INVALID, GW_E_EXISTS, GW_E_LIMIT. */
int proc_open_socket(struct proc *p, uint32_t via);
void proc_close_socket(struct proc *p, uint32_t via); /* no-op when there is none */
void proc_close_conduits(struct proc *p);             /* links, too */

/* A TLS link to the process whose main UDP port is the target's; it must have an on_link hook.
 * Both ends are told when the link is up (after 2 and 2.5 round trips), and when it is down:
 * refused, closed by the other end, or nothing acknowledged for 10 s.  What is sent comes whole
 * and in order, through both access links, NATs and what blocks UDP, but not past a box inward.
 * More than LINK_QUEUE_MAX bytes unacknowledged are dropped.  A link does not outlive the
 * addresses of its ends: then all vanishes, and each end learns of it after 10 s or never.
 * GW_E_INVALID, GW_E_EXISTS, GW_E_UNREACHABLE (no own address). */
int net_link_open(struct sim *s, struct proc *p, uint32_t via, const struct addr *target);
/* What was sent still comes; the other end is told, this one is not. */
void net_link_close(struct sim *s, struct proc *p, uint32_t via);

/* --- processes (proc.c) --- */

struct proc {
	struct sim *sim;
	unsigned index;
	char name[12];
	bool alive;
	struct node *node; /* NULL: not alive, or a beacon */
	bool is_beacon;
	struct beacon *beacon;
	struct store *store;
	struct liar *liar; /* a beacon that lies; NULL: an honest process */
	uint64_t lied_to;  /* so often that this node can prove it */
	const struct proc *beacons[PROC_BEACONS_MAX]; /* given to the node when it starts */
	unsigned n_beacons;
	struct node_config config;
	struct identity id;
	struct rng rng;
	unsigned lives;
	unsigned host;
	uint16_t port;
	struct map conduits; /* via -> struct conduit */
	unsigned n_sockets;
	uint32_t links_taken;
	/* An application of its own: no flows, no talks. */
	void (*on_event)(struct proc *p, const struct event *ev);
	bool touched; /* in a measured run: is pumped when this moment is over */
	/* A link came up or went down: path.via, local, remote.  The process is pumped then. */
	void (*on_link)(struct proc *p, const struct path *path, bool up);
	struct map handles; /* stream pointer -> end: what the application holds */
	bool in_use;        /* got EVENT_IDENTITY_IN_USE */
	bool obedient;      /* stops when it gets that */
	bool secretive;     /* allows nobody anything */
	int peer_error;     /* of the last EVENT_PEER with PEER_FAILED */
	unsigned peer_failures, peer_connects, pongs;
	gw_time pong_rtt;
	uint64_t sent;       /* datagrams */
	size_t largest_sent; /* of them; a scenario may begin anew */
	size_t spin;         /* timer steps without time passing */
	gw_time spin_at;
	gw_time due; /* its next timer, as of the last proc_refresh() */
};

struct proc *proc_add(struct sim *s, unsigned host); /* not started */
void proc_start(struct proc *p);
void proc_kill(struct proc *p);                          /* no goodbye */
void proc_exit(struct proc *p);                          /* node_close() first */
void proc_know(struct proc *p, const struct proc *peer); /* endpoint of the peer, as it is now */
void proc_network(struct proc *p);                       /* node_network_changed() */
void proc_receive(struct proc *p, const struct path *path, const uint8_t *data, size_t len);
void proc_timer(struct proc *p);
gw_time proc_expiry(const struct proc *p);
void proc_refresh(struct proc *p); /* it was touched without proc_pump() */
void proc_pump(struct proc *p);    /* transmit, events, check */
const uint8_t *proc_key(const struct proc *p);
/* Connected to the peer since the last move, each by the other's present address? */
bool proc_settled(const struct proc *p, const struct proc *peer);

/* --- beacons, and what nodes ask of their sockets (beacon_proc.c) --- */

void beacon_proc_start(struct proc *p);
void beacon_proc_pump(struct proc *p);
void beacon_proc_stop(struct proc *p, bool goodbye);
bool node_proc_serve(struct proc *p);
/* The node shall be at home there. */
void proc_use_beacon(struct proc *p, const struct proc *beacon);

/* --- flows (flow.c) --- */

enum end_status {
	END_WAITING, /* not opened, or not seen by the accepter */
	END_LIVE,
	END_DONE,   /* all bytes and the end, both ways */
	END_FAILED, /* the core said so */
	END_RESET,  /* this application gave up */
	END_GONE,   /* its process died */
};

enum finish_rule {
	FINISH_EARLY, /* when all is written */
	FINISH_LAST,  /* when the peer's end was read, too */
};

struct end {
	struct flow *flow;
	unsigned side; /* 0 opened the stream */
	struct proc *proc;
	struct stream *stream;
	enum end_status status;
	int error;
	uint64_t allowed; /* set of errors (ERROR_BIT) the schedule may cause here */

	/* the script */
	uint64_t total;
	size_t write_chunk, read_chunk;
	gw_time write_every, read_every;
	uint64_t stall_at;   /* stop reading at this offset ... */
	gw_time stall_until; /* ... until then */
	enum finish_rule finish;
	uint64_t reset_after; /* give up when so many bytes are written */
	gw_time reset_at;     /* or at this time */
	enum stream_code reset_code;
	bool release_early; /* do not wait for delivery */
	bool no_copy;       /* write by stream_write_space() */

	/* the state */
	uint64_t sent, received;
	bool finished, saw_end, delivered, answered;
	gw_time next_write, next_read, wake_at, over_at;
};

struct flow {
	struct sim *sim;
	unsigned number;
	uint64_t id;
	bool opened;
	const char *service;
	gw_time open_at;
	gw_time park_timeout;  /* GW_NEVER: leave the default */
	uint8_t key[KEY_SIZE]; /* opened to */
	struct end ends[2];
};

#define ERROR_BIT(e) (UINT64_C(1) << -(e))

/* A flow from `from` to `to`, to be opened at `open_at`, with `total` bytes each way and
 * eager applications; change the script before it runs. */
struct flow *flow_add(struct sim *s, struct proc *from, struct proc *to, gw_time open_at,
		      uint64_t forth, uint64_t back);
/* Draw the script from the seed: sizes up to `max`, speeds, finish order. */
struct flow *flow_random(struct sim *s, struct proc *from, struct proc *to, gw_time open_at,
			 uint64_t max);
void flow_open(struct flow *f);
bool flow_over(const struct flow *f);
bool flow_live(const struct flow *f);
/* Both ends may see this error from now on. */
void flow_allow(struct flow *f, int error);
void end_run(struct end *e);
void end_event(struct proc *p, const struct event *ev);
void end_describe(const struct end *e, char *out, size_t size);

/* --- talks: streams of datagrams (talk.c) --- */

struct talk_end {
	struct proc *proc;
	struct stream *stream;
	bool over;
	uint32_t sent, received;
	uint32_t newest; /* number of the latest that came, and 1 */
	uint8_t seen[TALK_DATAGRAMS_MAX / 8];
};

enum talk_state { TALK_WAITING, TALK_ON, TALK_JUDGED, TALK_OVER };

struct talk {
	struct sim *sim;
	unsigned index, burst;
	uint64_t id;
	enum talk_state state;
	gw_time every, judge_at;
	uint32_t mark[2]; /* what each end had sent when all was calm */
	struct talk_end ends[2];
};

/* Between processes that neither end nor restart. */
struct talk *talk_add(struct sim *s, struct proc *from, struct proc *to, gw_time open_at);
void talk_run(struct talk *t); /* it is time to send */
void talk_event(struct proc *p, const struct event *ev);
bool talks_over(const struct sim *s);

/* --- the run (sim.c) --- */

struct action {
	void (*fn)(struct sim *s, struct action *a);
	unsigned host, iface;
	struct proc *proc, *peer;
	uint64_t value;
	bool notify;
	/* act_move_settled: */
	uint64_t count; /* moves to go */
	gw_time gap;    /* at most, between two */
	bool alternate; /* the other end moves next */
	bool polling;   /* waits for a condition: no disturbance by itself */
};

enum item_kind { ITEM_PACKET, ITEM_END, ITEM_FLOW, ITEM_TALK, ITEM_ACTION };

struct item {
	gw_time at;
	uint64_t order;
	enum item_kind kind;
	void *what;
};

struct sim {
	uint64_t seed;
	const char *scenario;
	bool verbose;
	struct rng rng; /* the schedule */
	gw_time now, start, last_action;
	gw_time slack; /* all is over this long after the last action */
	gw_time idle;  /* then run this long and expect no connection left */
	uint64_t steps;
	uint64_t digest; /* of the schedule: times and sizes */
	bool v6;
	char failure[FAILURE_MAX];

	struct item *items;
	size_t n_items, items_capacity;
	uint64_t next_order;
	size_t pending_actions;

	struct host hosts[HOSTS_MAX];
	unsigned n_hosts;
	uint64_t cuts[HOSTS_MAX][HOSTS_MAX / 64];
	struct {
		unsigned one_in; /* datagrams that pass the core; 0: nobody is there */
		bool races;
		struct rng rng;
		void (*see)(struct sim *s, const struct packet *pk);
	} forger;
	struct site sites[SITES_MAX]; /* [INTERNET] has an open box */
	unsigned n_sites;             /* besides that */
	struct map addresses;         /* of a realm -> struct owner */
	struct map ports;             /* of a host -> struct conduit */
	struct tls_link *links;
	struct proc procs[PROCS_MAX];
	unsigned n_procs;
	struct flow *flows;
	size_t n_flows, flows_capacity;
	size_t n_over; /* flows known to be over */
	struct talk talks[TALKS_MAX];
	unsigned n_talks;
	size_t memory_max;              /* bound of node_stats.memory; 0: derived from the config */
	gw_time moved_at;               /* of act_move_settled */
	uint64_t moves_seen[2];         /* of scenario `forged` */
	size_t heap_before;             /* of scenario `churn` */
	gw_time restart_grace;          /* flows opened before this may fail with RESTARTED */
	bool (*verdict)(struct sim *s); /* last word of the scenario; false fails the run */
	/* Nothing is checked, and what comes at one moment is answered together, as by the real
	 * loops. */
	bool measured;
	bool any_touched;
	uint64_t batches, sent_bytes, wakes; /* of all nodes and beacons */
	void *user;
	uint8_t batch[BATCH_SIZE];
};

uint64_t sim_wall_ms(const struct sim *s);
void sim_schedule(struct sim *s, gw_time at, enum item_kind kind, void *what);
/* An action at `at`; the pointer is valid until the next call. */
struct action *sim_action(struct sim *s, gw_time at, void (*fn)(struct sim *s, struct action *a));
void sim_fail(struct sim *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
void sim_note(const struct sim *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Uniform in [low, high]. */
uint64_t sim_between(struct sim *s, uint64_t low, uint64_t high);
/* Roughly uniform over the orders of magnitude up to `high`, 0 included. */
uint64_t sim_size(struct sim *s, uint64_t high);
bool sim_chance(struct sim *s, unsigned percent);

/* A run in steps: hosts and processes are added to an empty one. */
struct sim *sim_new(uint64_t seed);
/* False: `until` has come before `done`, or the run has failed. */
bool sim_run_until(struct sim *s, bool (*done)(struct sim *s), gw_time until);
/* The processes say goodbye first, unless the run has failed. */
void sim_free(struct sim *s);

/* Run one seed.  `scenario` NULL: the seed's own.  On failure `failure` has the reason. */
struct sim_result {
	const char *scenario;
	uint64_t steps, digest;
	gw_time virtual_time;
	char failure[FAILURE_MAX];
};

bool sim_run(uint64_t seed, const char *scenario, bool verbose, struct sim_result *out);
/* Of the run in progress, for crash reports. */
struct sim *sim_current(void);

/* --- disturbances (action.c) --- */

void act_move(struct sim *s, struct action *a); /* new address; notify */
void act_move_settled(struct sim *s,
		      struct action *a); /* proc moves once it and peer have settled */
void act_notify(struct sim *s, struct action *a);
void act_link_down(struct sim *s, struct action *a); /* value: how long; notify */
void act_link_up(struct sim *s, struct action *a);
void act_iface_gone(struct sim *s, struct action *a); /* value: how long */
void act_iface_back(struct sim *s, struct action *a);
void act_rebind(struct sim *s, struct action *a);
void act_mtu(struct sim *s, struct action *a);   /* value: the new MTU of the path */
void act_sleep(struct sim *s, struct action *a); /* value: how long */
void act_wake(struct sim *s, struct action *a);
void act_drop(struct sim *s, struct action *a); /* value: drop mask, both directions */
void act_restart(struct sim *s,
		 struct action *a); /* value: how long it is away; notify: says goodbye */
void act_kill(struct sim *s, struct action *a);
void act_start(struct sim *s, struct action *a);
void act_debug_move(struct sim *s, struct action *a);
void act_debug_break(struct sim *s, struct action *a);
void act_dial(struct sim *s, struct action *a);
void act_ping(struct sim *s, struct action *a);

/* --- scenarios (scenario.c) --- */

struct scenario {
	const char *name;
	void (*build)(struct sim *s);
	unsigned weight; /* share of the seeds; 0: only by scenario_pick()'s fixed places */
};

/* scenario_beacon.c */
void build_meet(struct sim *s);
void build_wander(struct sim *s);
/* scenario_quiet.c */
void build_idle(struct sim *s);
void build_cold(struct sim *s);
/* scenario_hostile.c */
void build_lies(struct sim *s);
void build_accused(struct sim *s);

void build_names(struct sim *s);
void build_forged(struct sim *s);
/* scenario_many.c */
void build_persistent_glare(struct sim *s);
void build_partition(struct sim *s);
void build_churn(struct sim *s);

/* scenario_gap.c */
void build_gap(struct sim *s);
void build_nearer(struct sim *s);

const struct scenario *scenario_pick(uint64_t seed);
const struct scenario *scenario_find(const char *name);
const struct scenario *scenario_at(size_t index); /* NULL past the last */

#endif
