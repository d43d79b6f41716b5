/* What a node tells: its peers and streams, events, figures. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <string.h>

#include "core/audit.h"
#include "core/connection.h"
#include "core/dial.h"
#include "core/names.h"
#include "core/networks.h"
#include "core/peer.h"
#include "core/segment.h"

#define NEAR_FOR (10 * GW_MSEC) /* after a packet */

/* --- peers and streams --- */

struct peer *node_peer_next(const struct node *n, const struct peer *after)
{
	struct list_item *i =
		after ? list_next(&n->peers, &after->all_link) : list_first(&n->peers);

	return i ? container_of(i, struct peer, all_link) : NULL;
}

static enum peer_state peer_state(const struct peer *p)
{
	if (p->used && p->used->state == CONN_USED)
		return PEER_CONNECTED;
	if (p->error)
		return PEER_FAILED;
	return dial_active(p) ? PEER_DIALING : PEER_PARKED;
}

void peer_describe(const struct peer *p, struct peer_info *out)
{
	memset(out, 0, sizeof(*out));
	memcpy(out->key, p->key, KEY_SIZE);
	out->state = peer_state(p);
	out->error = p->error;
	out->retry_at = p->dial_at;
	out->endpoints = p->n_endpoints;
	out->streams = p->n_live;
	out->moves = p->moves;
	out->tx_bytes = p->tx_bytes;
	out->rx_bytes = p->rx_bytes;
	out->heard_at = p->heard_at;
	if (out->state == PEER_CONNECTED) {
		out->path = p->used->path;
		out->relay = p->used->relay;
		out->rtt = connection_rtt(p->used);
		out->heard_at = p->used->heard_at;
		out->used_since = p->used->state_since;
		out->mtu = p->used->mtu.payload;
	}
}

struct stream *peer_stream_next(const struct peer *p, const struct stream *after)
{
	struct list_item *i =
		after ? list_next(&p->streams, &after->peer_link) : list_first(&p->streams);

	while (i && container_of(i, struct stream, peer_link)->state == STREAM_RETIRED)
		i = list_next(&p->streams, i);
	return i ? container_of(i, struct stream, peer_link) : NULL;
}
/* --- events --- */

static bool next_stream_event(struct node *n, struct event *out)
{
	struct list_item *i = list_first(&n->stream_events);
	struct stream *s;

	if (!i)
		return false;
	s = container_of(i, struct stream, event_link);
	list_remove(i);
	out->type = EVENT_STREAM;
	out->stream = s;
	out->flags = s->events;
	s->events = 0;
	return true;
}

bool node_has_input(const struct node *n)
{
	const struct list_item *i = list_first(&n->stream_events);

	return i && container_of(i, struct stream, event_link)->events & ~(unsigned)STREAM_WRITABLE;
}

bool node_is_near(const struct node *n, gw_time now)
{
	return now - n->near_at < NEAR_FOR;
}

static bool next_peer_event(struct node *n, struct event *out)
{
	struct list_item *i = list_first(&n->peer_events);
	struct peer *p;

	if (!i)
		return false;
	p = container_of(i, struct peer, event_link);
	list_remove(i);
	p->event_pending = false;
	out->type = EVENT_PEER;
	memcpy(out->key, p->key, KEY_SIZE);
	out->state = peer_state(p);
	out->error = p->error;
	if (out->state == PEER_CONNECTED) {
		out->path = p->used->path;
		out->relay = p->used->relay;
	}
	if (peer_disposable(p))
		peer_free(p);
	return true;
}

static bool next_network_event(struct node *n, struct event *out)
{
	if (!networks_next_news(n, out->key))
		return search_next(n, out);
	out->type = EVENT_MANIFEST;
	return true;
}

bool node_next_event(struct node *n, struct event *out)
{
	memset(out, 0, sizeof(*out));
	if (next_stream_event(n, out) || next_peer_event(n, out))
		return true;
	if (n->pong_count > 0) {
		const struct pong *pong = &n->pongs[n->pong_head];

		out->type = EVENT_PONG;
		memcpy(out->key, pong->key, KEY_SIZE);
		out->ping_id = pong->id;
		out->rtt = pong->rtt;
		out->path = pong->path;
		out->relay = pong->relay;
		n->pong_head = (n->pong_head + 1) % PONGS_MAX;
		n->pong_count--;
		return true;
	}
	if (n->beacons_changed) {
		n->beacons_changed = false;
		out->type = EVENT_BEACONS;
		return true;
	}
	if ((n->n_networks > 0 || n->n_searches > 0) && next_network_event(n, out))
		return true;
	if (n->audit_count > 0) {
		out->audit = audit_next(n);
		out->type = EVENT_AUDIT;
		return true;
	}
	if (n->in_use) {
		n->in_use = false;
		out->type = EVENT_IDENTITY_IN_USE;
		return true;
	}
	return false;
}

/* --- for tests and status --- */

void node_stats_get(const struct node *n, struct node_stats *out)
{
	*out = n->stats;
	out->connections = n->n_connections;
	out->peers = n->n_peers;
	out->streams = n->n_streams;
	out->memory = n->dgram_bytes;
	list_each(&n->peers, i, tmp) {
		const struct peer *p = container_of(i, struct peer, all_link);

		out->memory += p->dgrams.bytes;
		list_each(&p->streams, j, tmp2) {
			const struct stream *s = container_of(j, struct stream, peer_link);

			out->memory += s->tx.memory + s->rx.memory;
		}
	}
}

size_t node_connections(const struct node *n)
{
	return n->n_connections;
}

uint64_t node_incarnation(const struct node *n)
{
	return n->incarnation;
}

static void check_dgrams(const struct dgram_queue *q, size_t max, size_t max_bytes)
{
	size_t count = 0, bytes = 0;

	list_each(&q->list, i, tmp) {
		count++;
		bytes += container_of(i, struct dgram, link)->len;
	}
	assert(count == q->count && count <= max);
	assert(bytes == q->bytes && bytes <= max_bytes);
}

static size_t check_peer(const struct peer *p, size_t *dgram_bytes)
{
	size_t live = 0, committed = 0, unsent = 0;

	check_dgrams(&p->dgrams, DGRAMS_MAX, DGRAM_BYTES_MAX);

	list_each(&p->streams, i, tmp) {
		const struct stream *s = container_of(i, struct stream, peer_link);

		assert(s->tx.start <= s->tx_next && s->tx_next <= s->tx.end);
		assert(s->rx.end <= s->rx_limit);
		assert(s->segment < 0 || (p->used && s->sent));
		assert((map_get(&p->by_id, s->id) == s) == (s->state != STREAM_RETIRED));
		assert(!list_in(&s->ready_link) || s->state == STREAM_LIVE);
		/* Nothing that could be sent is forgotten. */
		assert(!segment_has_output(s) || list_in(&s->ready_link));
		if (s->dgrams) {
			check_dgrams(&s->dgrams->rx, DGRAMS_MAX, DGRAM_BYTES_MAX);
			*dgram_bytes += s->dgrams->rx.bytes;
			assert(s->tx.end == 0 && s->rx_limit == 0);
		}
		live += s->state != STREAM_RETIRED;
		committed += s->committed;
		unsent += s->unsent;
		assert(s->unsent == (s->state == STREAM_LIVE && s->tx_next < s->tx.end));
	}
	assert(unsent == p->n_unsent);
	assert(live == p->n_live);
	assert(!p->used || p->used->peer == p);
	assert(p->used || p->n_live == 0 || dial_active(p));
	assert(!p->lookup || map_get(&p->node->by_request, p->lookup) == p);
	assert(!p->watched || p->n_live > 0 || p->used);
	return committed;
}

void node_check(const struct node *n)
{
	size_t committed = 0, connections = 0, half_open = 0, dgram_bytes = 0;

	list_each(&n->peers, i, tmp)
		committed += check_peer(container_of(i, struct peer, all_link), &dgram_bytes);
	list_each(&n->connections, i, tmp) {
		const struct connection *c = container_of(i, struct connection, all_link);

		connections++;
		check_dgrams(&c->early, EARLY_DGRAMS_MAX, EARLY_DGRAM_BYTES);
		half_open += c->state == CONN_HANDSHAKE && !c->dialler;
		assert(c->state != CONN_USED || c->peer->used == c);
		assert(c->state == CONN_CLOSED ? list_in(&c->dirty_link) : c->timer.index != 0);
	}
	assert(committed == n->committed);
	assert(dgram_bytes == n->dgram_bytes);
	assert(connections == n->n_connections);
	assert(half_open == n->n_half_open);
	for (size_t i = 0; i < KNOCK_OWNERS; i++)
		half_open -= n->at_door[i];
	assert(half_open == 0);
}
