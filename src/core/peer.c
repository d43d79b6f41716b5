/* SPDX-License-Identifier: Apache-2.0 */
#include "core/peer.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/connection.h"
#include "core/dgram.h"
#include "core/beacons.h"
#include "core/dial.h"
#include "core/door.h"
#include "core/records.h"
#include "core/mtu.h"
#include "core/networks.h"
#include "core/punch.h"
#include "core/segment.h"
#include "core/stream.h"
#include "quic/quic.h"
#include "quic/tls.h"

/* Beyond this many, peers that nothing depends on are forgotten. */
enum { PEERS_KEEP = 4096 };

/* --- the table --- */

static uint64_t key_hash(const uint8_t key[KEY_SIZE])
{
	uint64_t hash;

	memcpy(&hash, key, sizeof(hash));
	return hash;
}

static struct peer *chain_find(const struct node *n, const uint8_t *key, bool transient,
			       uint64_t incarnation)
{
	struct peer *p = map_get(&n->by_key, key_hash(key));

	for (; p; p = p->same_hash)
		if (memcmp(p->key, key, KEY_SIZE) == 0 && p->transient == transient &&
		    (!transient || p->incarnation == incarnation))
			return p;
	return NULL;
}

struct peer *peer_find(const struct node *n, const uint8_t key[KEY_SIZE])
{
	return chain_find(n, key, false, 0);
}

struct peer *peer_next_of_key(const struct node *n, const uint8_t key[KEY_SIZE],
			      const struct peer *after)
{
	struct peer *p = after ? after->same_hash : map_get(&n->by_key, key_hash(key));

	while (p && memcmp(p->key, key, KEY_SIZE) != 0)
		p = p->same_hash;
	return p;
}

static struct peer *peer_new(struct node *n, const uint8_t key[KEY_SIZE], bool transient,
			     gw_time now)
{
	struct peer *p = n->n_peers < PEERS_MAX ? slab_alloc(&n->peer_slab) : NULL;

	if (!p)
		return NULL;
	p->same_hash = map_get(&n->by_key, key_hash(key));
	if (map_put(&n->by_key, key_hash(key), p) < 0) {
		slab_free(&n->peer_slab, p);
		return NULL;
	}
	p->node = n;
	memcpy(p->key, key, KEY_SIZE);
	p->transient = transient;
	p->we_are_lower = memcmp(n->identity->key, key, KEY_SIZE) < 0;
	p->next_id = p->we_are_lower ? 0 : 1;
	p->dial_started = p->dial_at = p->pinned_at = p->park_at = p->part_at = GW_NEVER;
	p->lookup_at = GW_NEVER;
	p->parked_since = now;
	p->endpoints = p->few;
	p->send_ahead = SEND_AHEAD_MIN;
	p->send_held = SEND_HELD;
	list_init(&p->connections);
	list_init(&p->streams);
	list_init(&p->sparse);
	list_init(&p->ready);
	dgram_queue_init(&p->dgrams);
	map_init(&p->by_id, rng_u64(n->rng));
	list_append(&n->peers, &p->all_link);
	n->n_peers++;
	return p;
}

struct peer *peer_get(struct node *n, const uint8_t key[KEY_SIZE], gw_time now)
{
	struct peer *p = peer_find(n, key);

	return p ? p : peer_new(n, key, false, now);
}

static void unhash(struct peer *p)
{
	struct node *n = p->node;
	struct peer *first = map_get(&n->by_key, key_hash(p->key));

	if (first == p) {
		if (p->same_hash)
			map_put(&n->by_key, key_hash(p->key), p->same_hash);
		else
			map_remove(&n->by_key, key_hash(p->key));
		map_fit(&n->by_key);
		return;
	}
	while (first->same_hash != p)
		first = first->same_hash;
	first->same_hash = p->same_hash;
}

void peer_free(struct peer *p)
{
	unhash(p);
	while (list_first(&p->connections))
		connection_free(
			container_of(list_first(&p->connections), struct connection, peer_link));
	p->used = NULL;
	while (list_first(&p->streams)) {
		struct stream *s = container_of(list_first(&p->streams), struct stream, peer_link);

		s->segment = -1;
		s->released = true;
		if (s->state == STREAM_RETIRED)
			stream_bury(s);
		else
			stream_fail(s, GW_E_CLOSED);
	}
	dgram_queue_clear(&p->dgrams);
	map_clear(&p->by_id);
	seen_clear(&p->seen);
	records_forget(p);
	punch_free(p);
	credentials_free(p->credentials);
	peer_drop_pings(p);
	if (p->endpoints != p->few)
		free(p->endpoints);
	heap_remove(&p->node->peer_timers, &p->timer);
	list_remove(&p->all_link);
	list_remove(&p->event_link);
	p->node->n_peers--;
	slab_free(&p->node->peer_slab, p);
}

bool peer_disposable(const struct peer *p)
{
	return !list_first(&p->streams) && !list_first(&p->connections) && !p->wanted &&
	       !p->event_pending && !p->pinned && (p->transient || p->node->n_peers > PEERS_KEEP);
}

void peer_raise(struct peer *p, int error)
{
	p->error = error;
	p->event_pending = true;
	if (!list_in(&p->event_link))
		list_append(&p->node->peer_events, &p->event_link);
}

void peer_send(struct peer *p, const struct frame *f)
{
	if (p->used)
		connection_send(p->used, f);
}

void peer_set_send_ahead(struct peer *p, uint64_t cwnd, bool near)
{
	uint64_t size = cwnd;

	if (size < SEND_AHEAD_MIN)
		size = SEND_AHEAD_MIN;
	if (size > SEND_AHEAD_MAX)
		size = SEND_AHEAD_MAX;
	p->send_ahead = (size_t)size;
	p->send_held = near ? SEND_HELD_NEAR : SEND_HELD;
}

void peer_streams_changed(struct peer *p)
{
	if (p->n_live == 0 && !p->wanted && !p->used && dial_active(p))
		dial_stop(p, NULL, 0);
	else if (p->used && p->n_live <= 1)
		connection_touch(p->used); /* its idle timer changes */
	records_watch(p);
}

/* --- incarnations --- */

static void fail_streams(struct peer *p, int error, bool unsent_too)
{
	list_each(&p->streams, i, tmp) {
		struct stream *s = container_of(i, struct stream, peer_link);

		if (s->state != STREAM_RETIRED && (s->sent || unsent_too))
			stream_fail(s, error);
	}
}

static void forget_incarnation(struct peer *p)
{
	memmove(&p->retired_incarnations[1], &p->retired_incarnations[0],
		sizeof(p->retired_incarnations) - sizeof(p->retired_incarnations[0]));
	p->retired_incarnations[0] = p->incarnation;
	p->incarnation = 0;
	p->generation = 0;
	seen_clear(&p->seen);
	dgram_queue_clear(&p->dgrams); /* the next process begins its ids anew */
}

/* A hello says which process this is.  False: one that has been replaced. */
static bool meet(struct peer *p, struct connection *via, const struct frame *f, gw_time now)
{
	uint64_t incarnation = f->hello.incarnation;

	via->incarnation = incarnation;
	if (p->incarnation == incarnation)
		return true;
	for (size_t i = 0; i < RETIRED_INCARNATIONS; i++)
		if (p->retired_incarnations[i] == incarnation)
			return false;
	if (p->incarnation != 0) {
		forget_incarnation(p);
		list_each(&p->connections, i, tmp) {
			struct connection *c = container_of(i, struct connection, peer_link);

			if (c != via && c->hello_received)
				connection_kill(c, CLOSE_IN_USE, GW_E_RESTARTED, now);
		}
		fail_streams(p, GW_E_RESTARTED, false);
	}
	p->incarnation = incarnation;
	memcpy(p->claim, f->hello.claim, WIRE_CLAIM_SIZE);
	return true;
}

struct principal peer_principal(const struct node *n, const uint8_t key[KEY_SIZE])
{
	const struct peer *first = peer_find(n, key), *p = NULL;
	struct principal who = networks_principal(key, first ? first->credentials : NULL);

	while (who.n_members == 0 && (p = peer_next_of_key(n, key, p)))
		who = networks_principal(key, p->credentials);
	return who;
}

struct principal peer_itself(const struct peer *p)
{
	struct principal who = networks_principal(p->key, p->credentials);

	return who.n_members > 0 ? who : peer_principal(p->node, p->key);
}

/* An accepter has asked its policy when the dialler knocked. */
bool peer_accept_key(struct tls_session *tls)
{
	const struct connection *c = container_of(tls, struct connection, tls);
	const uint8_t *expected = c->dialler ? c->peer->key : c->knock_key;

	return memcmp(c->tls.key, expected, KEY_SIZE) == 0 && !c->node->closing;
}

/* --- generations --- */

/* Does `a` rank higher than `b`? */
static bool outranks(const struct connection *a, const struct connection *b)
{
	const struct peer *p = a->peer;

	if (a->generation != b->generation)
		return a->generation > b->generation;
	/* Of equal generations the dial of the lower key. */
	return a->dialler != b->dialler && a->dialler == p->we_are_lower;
}

static bool in_use(const struct connection *c)
{
	return c && c->state == CONN_USED;
}

uint64_t peer_generation_for(const struct peer *p, const struct connection *c)
{
	if (!in_use(p->used) || !outranks(p->used, c))
		return c->generation;
	return p->generation > c->generation ? p->generation : c->generation + 1;
}

static void detach_streams(struct peer *p)
{
	list_each(&p->streams, i, tmp)
		segment_detach(container_of(i, struct stream, peer_link));
}

static void send_pings(struct peer *p, gw_time now)
{
	for (size_t i = 0; i < p->n_pings; i++) {
		struct frame f = { .type = FRAME_PING };

		f.ping.nonce = p->pings[i].nonce;
		p->pings[i].sent_at = now;
		peer_send(p, &f);
	}
}

static void take_over(struct peer *p, struct connection *c, gw_time now)
{
	struct connection *old = p->used;

	p->used = NULL;
	detach_streams(p);
	if (in_use(old)) {
		connection_set_state(old, CONN_RETIRED, now);
		connection_schedule(old, now);
	}
	connection_set_state(c, CONN_USED, now);
	c->dgram_frame_max = quic_dgram_frame_max(c->quic);
	p->used = c;
	if (c->generation > p->generation)
		p->generation = c->generation;
	if (p->met) {
		p->moves++;
		p->node->stats.moves++;
	}
	p->met = true;
	p->parked_since = p->park_at = GW_NEVER;
}

static void carry(struct stream *s, const struct connection *c)
{
	if (s->dgrams && c->dgram_frame_max == 0)
		stream_fail(s, GW_E_VERSION);
	else
		stream_repeat(s);
}

void peer_use(struct connection *c, gw_time now)
{
	struct peer *p = c->peer;

	if (p->used == c)
		return;
	if (in_use(p->used) && outranks(p->used, c)) {
		connection_kill(c, CLOSE_MOVED, GW_E_CLOSED, now);
		return;
	}
	take_over(p, c, now);
	if (c->dialler) {
		struct frame f = { .type = FRAME_USE };

		connection_send(c, &f);
	}
	dial_stop(p, c, now);
	if (!c->relay)
		dial_add_endpoint(p, &c->path.remote);
	list_each(&p->streams, i, tmp)
		carry(container_of(i, struct stream, peer_link), c);
	send_pings(p, now);
	p->wanted = p->n_pings > 0;
	networks_greet(c);
	mtu_start(c, now);
	punch_used(c, now);
	connection_schedule(c, now);
	peer_raise(p, 0);
}

/* --- frames --- */

static int accept_hello(struct connection *c, const struct frame *f, gw_time now)
{
	bool transient = (f->hello.flags & HELLO_TRANSIENT) != 0;
	struct peer *p;

	if (!c->tls.key_known || !c->confirmed)
		return GW_E_PROTOCOL;
	if (!door_is_open(c->node, c->tls.key, c->shown)) { /* the rules have changed since */
		connection_kill(c, CLOSE_DENIED, GW_E_DENIED, now);
		return 0;
	}
	p = chain_find(c->node, c->tls.key, transient, f->hello.incarnation);
	if (!p)
		p = peer_new(c->node, c->tls.key, transient, now);
	if (!p) {
		connection_kill(c, CLOSE_LIMIT, GW_E_LIMIT, now);
		return 0;
	}
	c->peer = p;
	list_append(&p->connections, &c->peer_link);
	networks_show(p, c->shown);
	c->shown = NULL;
	if (!meet(p, c, f, now)) {
		connection_kill(c, CLOSE_IN_USE, GW_E_RESTARTED, now);
		return 0;
	}
	c->generation = f->hello.generation;
	if (!c->relay)
		dial_add_endpoint(p, &c->path.remote);
	connection_set_state(c, CONN_UP, now);
	connection_hello(c);
	if (c->generation > p->generation)
		p->generation = c->generation;
	return 0;
}

static int dialler_hello(struct connection *c, const struct frame *f, gw_time now)
{
	struct peer *p = c->peer;

	if (!meet(p, c, f, now)) {
		connection_kill(c, CLOSE_IN_USE, GW_E_RESTARTED, now);
		return 0;
	}
	if (c->state == CONN_CLOSED)
		return 0; /* the streams it was dialled for have failed with the old process */
	if (f->hello.generation > c->generation) {
		/* A connection that we have not seen in use outranks this one. */
		if (f->hello.generation > p->generation)
			p->generation = f->hello.generation;
		connection_kill(c, CLOSE_MOVED, GW_E_CLOSED, now);
		dial_now(p, now);
		return 0;
	}
	connection_set_state(c, CONN_UP, now);
	peer_use(c, now);
	return 0;
}

static int hello(struct connection *c, const struct frame *f, gw_time now)
{
	if (c->hello_received || f->hello.version == 0 || f->hello.incarnation == 0)
		return GW_E_PROTOCOL;
	c->hello_received = true;
	memcpy(c->peer_token, f->hello.token, WIRE_TOKEN_SIZE);
	c->node->stats.handshakes++;
	return c->dialler ? dialler_hello(c, f, now) : accept_hello(c, f, now);
}

static bool is_ours(const struct peer *p, uint64_t id)
{
	return (id & 1) == (p->we_are_lower ? 0 : 1);
}

static int reset_frame(struct peer *p, const struct frame *f)
{
	struct stream *s = map_get(&p->by_id, f->reset.id);
	struct frame done = { .type = FRAME_DONE };

	if (is_ours(p, f->reset.id) && f->reset.id >= p->next_id)
		return GW_E_PROTOCOL;
	if (s)
		stream_reset_received(s, f->reset.code);
	else if (!is_ours(p, f->reset.id) && seen_add(&p->seen, f->reset.id / 2) < 0)
		return GW_E_PROTOCOL;
	done.done.id = f->reset.id;
	peer_send(p, &done);
	return 0;
}

/* A WINDOW repeats that a stream is alive for the peer: one that we have forgotten is lost. */
static int window_of_none(struct peer *p, uint64_t id)
{
	struct frame reset = { .type = FRAME_RESET };

	if (is_ours(p, id))
		return id >= p->next_id ? GW_E_PROTOCOL : 0;
	if (seen_has(&p->seen, id / 2))
		return 0;
	reset.reset.id = id;
	reset.reset.code = STREAM_CODE_LOST;
	peer_send(p, &reset);
	return 0;
}

static void pong(struct connection *c, uint64_t nonce, gw_time now)
{
	struct peer *p = c->peer;
	struct node *n = c->node;

	for (size_t i = 0; i < p->n_pings; i++) {
		struct pong *slot;

		if (p->pings[i].nonce != nonce || p->pings[i].sent_at == 0)
			continue;
		slot = &n->pongs[(n->pong_head + n->pong_count) % PONGS_MAX];
		if (n->pong_count == PONGS_MAX)
			n->pong_head = (n->pong_head + 1) % PONGS_MAX;
		else
			n->pong_count++;
		memcpy(slot->key, p->key, KEY_SIZE);
		slot->id = p->pings[i].id;
		slot->rtt = now - p->pings[i].sent_at;
		slot->path = c->path;
		slot->relay = c->relay;
		p->pings[i] = p->pings[--p->n_pings];
		if (p->n_pings == 0)
			peer_drop_pings(p);
		p->wanted = p->n_pings > 0;
		return;
	}
}

int peer_frame(struct connection *c, const struct frame *f, gw_time now)
{
	struct peer *p = c->peer;
	struct frame reply = { .type = FRAME_PONG };
	struct stream *s;

	if (f->type == FRAME_HELLO)
		return hello(c, f, now);
	if (!c->hello_received)
		return GW_E_PROTOCOL;
	switch (f->type) {
	case FRAME_USE:
		if (c->dialler)
			return GW_E_PROTOCOL;
		if (c->state == CONN_UP)
			peer_use(c, now);
		return 0;
	case FRAME_WINDOW:
		s = map_get(&p->by_id, f->window.id);
		if (s)
			return stream_window(s, f->window.received, f->window.limit, now);
		return window_of_none(p, f->window.id);
	case FRAME_RESET:
		return reset_frame(p, f);
	case FRAME_DONE:
		s = map_get(&p->by_id, f->done.id);
		return s ? stream_done(s, now) : 0;
	case FRAME_PING:
		reply.ping.nonce = f->ping.nonce;
		connection_send(c, &reply);
		return 0;
	case FRAME_CANDIDATES:
		punch_candidates(c, &f->candidates, now);
		return 0;
	case FRAME_PONG:
		pong(c, f->ping.nonce, now);
		return 0;
	case FRAME_MEMBER:
	case FRAME_NETWORK:
	case FRAME_MANIFEST:
		networks_frame(c, f, now);
		return 0;
	default:
		return 0; /* of a later version: skipped */
	}
}

/* --- liveness --- */

static void keep_alive(struct connection *c, bool idle, gw_time now)
{
	struct frame f = { .type = FRAME_PING };

	c->pinged_at = now;
	connection_send(c, &f);
	c->only_kept = idle;
}

/* Those of many peers fall on the same moments, and wake a node once for all. */
static gw_time keepalive_due(gw_time since, bool dialler)
{
	gw_time at = since + (dialler ? KEEPALIVE_DIALLER : KEEPALIVE);

	return (at + KEEPALIVE_GRAIN - 1) / KEEPALIVE_GRAIN * KEEPALIVE_GRAIN;
}

gw_time peer_idle_due(const struct connection *c)
{
	const struct peer *p = c->peer;
	gw_time since = time_max(c->heard_at, c->state_since);

	if (p->n_live == 0)
		return since + c->node->config.idle_timeout;
	return keepalive_due(time_max(since, c->pinged_at), c->dialler);
}

void peer_check(struct connection *c, gw_time now)
{
	struct peer *p = c->peer;
	gw_time since = time_max(c->heard_at, c->outstanding_since);

	if (c->outstanding_since != GW_NEVER) {
		if (c->suspect && now >= since + SILENT_DROP) {
			connection_kill(c, CLOSE_NONE, GW_E_UNREACHABLE, now);
			return;
		}
		if (!c->suspect && now >= since + connection_silence_limit(c)) {
			c->suspect = true;
			beacons_check_all(c->node, now);
			dial_now(p, now);
		}
	}
	if (c->stream_heard_at != GW_NEVER && now >= c->stream_heard_at + QUIET_AFTER) {
		c->stream_heard_at = GW_NEVER;
		if (c->outstanding_since == GW_NEVER && p->n_live > 0)
			keep_alive(c, false, now);
	}
	if (now >= peer_idle_due(c)) {
		if (p->n_live == 0)
			connection_kill(c, CLOSE_IDLE, GW_E_CLOSED, now);
		else
			keep_alive(c, c->outstanding_since == GW_NEVER, now);
	}
}

void peer_drop_pings(struct peer *p)
{
	free(p->pings);
	p->pings = NULL;
	p->n_pings = 0;
}

int peer_ping(struct peer *p, uint64_t *id, gw_time now)
{
	struct node *n = p->node;
	struct ping *ping;

	if (!p->pings)
		p->pings = calloc(PINGS_MAX, sizeof(*p->pings));
	if (!p->pings || p->n_pings == PINGS_MAX)
		return GW_E_LIMIT;
	ping = &p->pings[p->n_pings++];
	*ping = (struct ping){ .id = ++n->next_ping, .nonce = rng_u64(n->rng) >> 2 };
	*id = ping->id;
	p->wanted = true;
	if (in_use(p->used)) {
		struct frame f = { .type = FRAME_PING };

		f.ping.nonce = ping->nonce;
		ping->sent_at = now;
		peer_send(p, &f);
	} else {
		dial_asked(p, now);
	}
	return 0;
}

/* --- loss --- */

/* It is of no use to dial again. */
static void give_up(struct peer *p, int error)
{
	p->wanted = false;
	peer_drop_pings(p);
	fail_streams(p, error, true);
	peer_raise(p, error);
}

/* Private addresses are reused: that another node lives at one endpoint is no verdict while
 * there are others to try. */
static bool tries_elsewhere(const struct connection *lost)
{
	list_each(&lost->peer->connections, i, tmp) {
		const struct connection *c = container_of(i, struct connection, peer_link);

		if (c->dialler && (c->state == CONN_HANDSHAKE || c->state == CONN_UP) &&
		    !addr_equal(&c->path.remote, &lost->path.remote))
			return true;
	}
	return false;
}

/* What the end of a connection means for the whole peer. */
static void judge(struct connection *c, gw_time now)
{
	struct peer *p = c->peer;

	switch (c->error) {
	case GW_E_EXITED:
		if (c->incarnation != 0 && c->incarnation == p->incarnation) {
			fail_streams(p, GW_E_EXITED, false);
			forget_incarnation(p);
		}
		break;
	case GW_E_IN_USE:
		c->node->in_use |= c->replaced;
		give_up(p, GW_E_IN_USE);
		if (in_use(p->used)) /* the peer has forgotten it */
			connection_kill(p->used, CLOSE_NONE, GW_E_CLOSED, now);
		break;
	case GW_E_DENIED:
		if (c->dialler)
			give_up(p, GW_E_DENIED);
		break;
	case GW_E_KEY:
	case GW_E_LIMIT:
	case GW_E_PROTOCOL:
		if (tries_elsewhere(c))
			break;
		/* fall through */
	case GW_E_UNREACHABLE:
		if (c->dialler && !c->hello_received && !in_use(p->used) &&
		    c->created_at >= p->asked_at)
			peer_raise(p, c->error);
		break;
	default:
		break;
	}
}

void peer_connection_lost(struct connection *c, gw_time now)
{
	struct peer *p = c->peer;

	if (!p)
		return;
	list_remove(&c->peer_link);
	if (c->hello_received)
		p->heard_at = time_max(p->heard_at, c->heard_at);
	if (p->used == c) {
		p->used = NULL;
		detach_streams(p);
		p->parked_since = now;
		dial_schedule(p, now);
		peer_raise(p, 0);
	}
	judge(c, now);
	if (!p->used && (p->n_live > 0 || p->wanted))
		dial_start(p, now);
	records_watch(p);
}
