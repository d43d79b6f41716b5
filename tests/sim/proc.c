/* tests/sim/proc.c - a process: one node on a host, driven as the real loop drives it. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "beacon/beacon.h"
#include "insight.h"
#include "net.h"
#include "sim.h"

static const struct subject ANYONE = { .kind = SUBJECT_ANY };

#define STOP_DELAY (500 * GW_MSEC)

enum {
	PORT_FIRST = 4100,
	PUMP_ROUNDS_MAX = 1000,
	BATCHES_MAX = 20000,
	SPIN_MAX = 2000,
	CHECK_EVERY_STREAM_MAX = 64,
	CHECK_EVERY = 128,
};

struct proc *proc_add(struct sim *s, unsigned host)
{
	struct proc *p = &s->procs[s->n_procs];
	uint8_t seed[SEED_SIZE];

	assert(s->n_procs < PROCS_MAX);
	memset(p, 0, sizeof(*p));
	p->sim = s;
	p->index = s->n_procs++;
	if (p->index < 26)
		p->name[0] = (char)('A' + p->index);
	else
		snprintf(p->name, sizeof(p->name), "P%u", p->index);
	p->host = host;
	p->port = (uint16_t)(PORT_FIRST + p->index);
	rng_bytes(&s->rng, seed, sizeof(seed));
	identity_from_seed(&p->id, seed);
	node_config_init(&p->config);
	p->config.bbr = sim_chance(s, 50);
	return p;
}

const uint8_t *proc_key(const struct proc *p)
{
	return p->id.key;
}

void proc_network(struct proc *p)
{
	struct sim *s = p->sim;
	struct host *h = &s->hosts[p->host];
	struct local_addr locals[IFACES_MAX];
	size_t count = 0;

	for (size_t i = 0; i < h->n_ifaces; i++)
		if (h->ifaces[i].present)
			locals[count++] = (struct local_addr){ .addr = h->ifaces[i].addr,
							       .ifindex = (uint32_t)i + 1,
							       .mtu = h->ifaces[i].mtu };
	node_network_changed(p->node, locals, count, s->now);
}

/* Every key may use every service but "private". */
static void set_policy(struct proc *p)
{
	node_listen(p->node, "echo", GW_NEVER);
	node_listen(p->node, "private", GW_NEVER);
	node_listen_datagrams(p->node, "talk", GW_NEVER);
	if (p->secretive)
		return;
	node_allow(p->node, "echo", &ANYONE);
	node_allow(p->node, "talk", &ANYONE);
}

static void start_node(struct proc *p)
{
	struct sim *s = p->sim;

	p->config.identity = &p->id;
	p->config.rng = &p->rng;
	p->config.udp_port = p->port;
	p->config.started_ms = sim_wall_ms(s);
	p->node = node_new(&p->config, s->now);
	if (!p->node) {
		sim_fail(s, "node_new failed");
		return;
	}
	p->in_use = false;
	map_init(&p->handles, rng_u64(&s->rng));
	set_policy(p);
	proc_network(p);
	for (unsigned i = 0; i < p->n_beacons; i++)
		proc_use_beacon(p, p->beacons[i]);
}

void proc_start(struct proc *p)
{
	struct sim *s = p->sim;

	rng_seed(&p->rng, rng_u64(&s->rng));
	p->alive = true;
	p->lives++;
	if (p->is_beacon)
		beacon_proc_start(p);
	else
		start_node(p);
	sim_note(s, "%s starts (life %u)", p->name, p->lives);
}

/* The streams of a dead process: their other ends must be told. */
static void bury(struct proc *p, bool goodbye)
{
	struct sim *s = p->sim;

	for (size_t i = 0; i < s->n_flows; i++) {
		struct flow *f = &s->flows[i];

		if (!flow_live(f) || (f->ends[0].proc != p && f->ends[1].proc != p))
			continue;
		flow_allow(f, GW_E_RESTARTED); /* also when the goodbye is lost */
		if (goodbye)
			flow_allow(f, GW_E_EXITED);
		for (int side = 0; side < 2; side++) {
			struct end *e = &f->ends[side];

			if (e->proc != p || e->status != END_LIVE)
				continue;
			e->stream = NULL;
			e->status = END_GONE;
			e->over_at = s->now;
		}
	}
	map_clear(&p->handles);
	p->alive = false;
}

void proc_kill(struct proc *p)
{
	sim_note(p->sim, "%s is killed", p->name);
	bury(p, false);
	proc_close_conduits(p);
	if (p->is_beacon) {
		beacon_proc_stop(p, false);
		return;
	}
	node_free(p->node);
	p->node = NULL;
}

void proc_exit(struct proc *p)
{
	struct sim *s = p->sim;
	struct batch b = { .data = s->batch, .capacity = sizeof(s->batch) };

	sim_note(s, "%s exits", p->name);
	bury(p, true);
	if (p->is_beacon) {
		beacon_proc_stop(p, true);
		proc_close_conduits(p);
		return;
	}
	node_close(p->node, s->now);
	for (int i = 0; i < BATCHES_MAX && node_transmit(p->node, &b, s->now); i++)
		net_send(s, p, &b);
	proc_close_conduits(p);
	node_free(p->node);
	p->node = NULL;
}

void proc_know(struct proc *p, const struct proc *peer)
{
	struct iface *f = net_primary(&p->sim->hosts[peer->host]);
	struct addr at;

	if (!f || (!net_public(p->sim, f) && f->site != p->sim->hosts[p->host].ifaces[0].site))
		return;
	at = f->addr;
	at.port = peer->port;
	node_add_endpoint(p->node, proc_key(peer), &at, p->sim->now);
}

/* --- invariants --- */

/* The granted windows, and what writers have put into send buffers. */
static size_t memory_bound(const struct proc *p, const struct node_stats *st)
{
	enum { SEND_BUFFER_BOUND = 33 << 20 };

	if (p->sim->memory_max)
		return p->sim->memory_max;
	return p->config.memory_limit + st->streams * SEND_BUFFER_BOUND;
}

/* Looking at everything costs time for each stream, so with many it is done now and then. */
static void check(struct proc *p)
{
	struct sim *s = p->sim;
	struct node_stats st;

	if (s->measured || (p->handles.count > CHECK_EVERY_STREAM_MAX && s->steps % CHECK_EVERY))
		return;
	node_stats_get(p->node, &st);
	if (st.memory > memory_bound(p, &st))
		sim_fail(s, "%s uses %zu bytes of stream buffers", p->name, st.memory);
	check_bounds(p);
	node_check(p->node);
}

static void check_packet(struct proc *p, const uint8_t *data, size_t len)
{
	enum { QUIC_BIT = 0x40, LONG_HEADER = 0x80 };
	static const uint8_t v1[] = { 0, 0, 0, 1 };

	if (data[0] == WIRE_CHANNEL && len > WIRE_CHANNEL_HEADER) {
		data += WIRE_CHANNEL_HEADER;
		len -= WIRE_CHANNEL_HEADER;
	}
	if (data[0] == WIRE_PROBE || data[0] == WIRE_PROBE_REPLY || data[0] == WIRE_PUNCH ||
	    data[0] == WIRE_ADDRESS_REQUEST)
		return;
	if (!(data[0] & QUIC_BIT))
		sim_fail(p->sim, "%s sends a datagram beginning 0x%02x", p->name, data[0]);
	else if ((data[0] & LONG_HEADER) && (len < 7 || memcmp(data + 1, v1, sizeof(v1))))
		sim_fail(p->sim, "%s sends another QUIC version", p->name);
}

static void check_batch(struct proc *p, const struct batch *b)
{
	if (!b->len || !b->segment || b->segment > b->len || b->len > b->capacity ||
	    b->segment > p->config.max_payload)
		sim_fail(p->sim, "%s: bad batch, %zu bytes in segments of %zu", p->name, b->len,
			 b->segment);
	else
		for (size_t at = 0; at < b->len; at += b->segment)
			check_packet(p, b->data + at, b->len - at);
}

/* --- driving --- */

static void digest(struct sim *s, uint64_t value)
{
	s->digest = (s->digest ^ value) * UINT64_C(0x100000001b3);
}

static bool transmit(struct proc *p)
{
	struct sim *s = p->sim;
	struct batch b = { .data = s->batch, .capacity = sizeof(s->batch) };

	memset(&b.path, 0, sizeof(b.path));
	if (!node_transmit(p->node, &b, s->now))
		return false;
	if (!s->measured)
		check_batch(p, &b);
	if (s->failure[0])
		return false;
	digest(s, s->now);
	digest(s, b.len);
	switch (net_send(s, p, &b)) {
	case SENT:
		break;
	case SENT_UNREACHABLE:
		node_send_failed(p->node, &b.path, SEND_UNREACHABLE, s->now);
		break;
	case SENT_TOO_BIG:
		if (!b.probe)
			node_send_failed(p->node, &b.path, SEND_TOO_BIG, s->now);
		break;
	}
	return true;
}

static const char *state_name(enum peer_state state)
{
	switch (state) {
	case PEER_PARKED:
		return "parked";
	case PEER_DIALING:
		return "dialing";
	case PEER_CONNECTED:
		return "connected";
	case PEER_FAILED:
		return "failed";
	}
	return "?";
}

static struct proc *proc_of_key(struct sim *s, const uint8_t *key, const struct proc * not )
{
	for (unsigned i = 0; i < s->n_procs; i++)
		if (&s->procs[i] != not &&!memcmp(proc_key(&s->procs[i]), key, KEY_SIZE))
			return &s->procs[i];
	return NULL;
}

static void peer_event(struct proc *p, const struct event *ev)
{
	const struct proc *peer = proc_of_key(p->sim, ev->key, p);
	char remote[ADDR_TEXT_MAX];

	sim_note(p->sim, "%s: peer %s %s (%s) %s", p->name, peer ? peer->name : "?",
		 state_name(ev->state), error_text(ev->error),
		 addr_format(&ev->path.remote, remote));
	if (ev->state == PEER_FAILED) {
		p->peer_error = ev->error;
		p->peer_failures++;
	}
	if (ev->state == PEER_CONNECTED)
		p->peer_connects++;
}

static void event(struct proc *p, const struct event *ev)
{
	struct stream_info info;

	if (p->on_event) {
		p->on_event(p, ev);
		return;
	}
	switch (ev->type) {
	case EVENT_STREAM:
		stream_describe(ev->stream, &info);
		(info.datagrams ? talk_event : end_event)(p, ev);
		break;
	case EVENT_PEER:
		peer_event(p, ev);
		break;
	case EVENT_PONG:
		p->pongs++;
		p->pong_rtt = ev->rtt;
		break;
	case EVENT_BEACONS:
	case EVENT_MANIFEST:
	case EVENT_AUDIT:
	case EVENT_NAME:
		break;
	case EVENT_IDENTITY_IN_USE:
		sim_note(p->sim, "%s: identity in use elsewhere", p->name);
		if (p->obedient && !p->in_use)
			sim_action(p->sim, p->sim->now + STOP_DELAY, act_kill)->proc = p;
		p->in_use = true;
		break;
	}
}

static void pump_node(struct proc *p)
{
	struct sim *s = p->sim;
	size_t batches = 0;

	for (int round = 0; round < PUMP_ROUNDS_MAX; round++) {
		struct event ev;
		bool busy = node_proc_serve(p);

		while (!s->failure[0] && transmit(p)) {
			busy = true;
			if (++batches > BATCHES_MAX) {
				sim_fail(s, "%s sends without end", p->name);
				return;
			}
		}
		while (!s->failure[0] && node_next_event(p->node, &ev)) {
			busy = true;
			event(p, &ev);
		}
		if (s->failure[0])
			return;
		if (!busy) {
			check(p);
			return;
		}
	}
	sim_fail(s, "%s has events without end", p->name);
}

void proc_pump(struct proc *p)
{
	p->sim->wakes++;
	if (p->is_beacon)
		beacon_proc_pump(p);
	else
		pump_node(p);
	proc_refresh(p);
}

void proc_receive(struct proc *p, const struct path *path, const uint8_t *data, size_t len)
{
	struct path from = *path;

	/* What comes by a link has no address: docs of base/addr.h. */
	if (from.via >= LINK_VIA_FIRST || conduit_is_link(p, from.via)) {
		from.local = (struct addr){ 0 };
		from.remote = addr_of_conduit(from.via);
	}
	if (p->is_beacon)
		beacon_receive(p->beacon, &from, data, len, p->sim->now);
	else
		node_receive(p->node, &from, data, len, p->sim->now);
	if (p->sim->measured)
		p->touched = p->sim->any_touched = true;
	else
		proc_pump(p);
}

void proc_refresh(struct proc *p)
{
	p->due = !p->alive      ? GW_NEVER
		 : p->is_beacon ? beacon_expiry(p->beacon)
				: node_expiry(p->node);
}

gw_time proc_expiry(const struct proc *p)
{
	if (!p->alive || p->due == GW_NEVER)
		return GW_NEVER;
	return time_max(time_max(p->due, p->sim->hosts[p->host].asleep_until), p->sim->now);
}

void proc_timer(struct proc *p)
{
	struct sim *s = p->sim;

	if (p->spin_at != s->now) {
		p->spin_at = s->now;
		p->spin = 0;
	} else if (++p->spin > SPIN_MAX) {
		sim_fail(s, "%s: timers due without end", p->name);
		return;
	}
	if (p->is_beacon)
		beacon_expire(p->beacon, s->now);
	else
		node_expire(p->node, s->now);
	proc_pump(p);
}

static bool at_present_address(struct sim *s, const struct proc *p, const struct addr *remote)
{
	struct iface *f = net_primary(&s->hosts[p->host]);

	return f && net_seen_at(s, f, remote);
}

static bool sees(const struct proc *p, const struct proc *peer)
{
	struct peer_info info;

	for (struct peer *at = node_peer_next(p->node, NULL); at;
	     at = node_peer_next(p->node, at)) {
		peer_describe(at, &info);
		if (!memcmp(info.key, proc_key(peer), KEY_SIZE))
			return info.state == PEER_CONNECTED &&
			       info.used_since >= p->sim->moved_at &&
			       at_present_address(p->sim, peer, &info.path.remote);
	}
	return false;
}

bool proc_settled(const struct proc *p, const struct proc *peer)
{
	return p->alive && peer->alive && sees(p, peer) && sees(peer, p);
}
