/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/beacons.h"
#include "core/connection.h"
#include "core/audit.h"
#include "core/dial.h"
#include "core/door.h"
#include "core/ladder.h"
#include "core/mtu.h"
#include "core/names.h"
#include "core/networks.h"
#include "core/outbox.h"
#include "core/peer.h"
#include "core/policy.h"
#include "core/punch.h"
#include "core/relayed.h"
#include "quic/quic.h"
#include "quic/tls.h"

/* --- life --- */

void node_config_init(struct node_config *config)
{
	memset(config, 0, sizeof(*config));
	config->park_timeout = 24 * 3600 * GW_SEC;
	config->idle_timeout = 300 * GW_SEC;
	config->memory_limit = 256 * 1024 * 1024;
	config->max_payload = 8972;
	config->bbr = true; /* loses nothing on clean links, keeps 90 % at 1 % loss */
}

/* What proves to an older process with the same key that this one exists. */
static void make_claim(struct node *n)
{
	struct wire_claim claim = { n->incarnation, n->config.started_ms, { 0 } };

	wire_claim_encode(n->claim, &claim);
	identity_sign(n->identity, CLAIM_CONTEXT, n->claim, WIRE_CLAIM_SIGNED, claim.signature);
	wire_claim_encode(n->claim, &claim);
}

static void init_maps(struct node *n)
{
	map_init(&n->by_channel, rng_u64(n->rng));
	map_init(&n->by_request, rng_u64(n->rng));
	map_init(&n->by_cid, rng_u64(n->rng));
	map_init(&n->by_token, rng_u64(n->rng));
	map_init(&n->by_key, rng_u64(n->rng));
}

struct node *node_new(const struct node_config *config, gw_time now)
{
	struct node *n = calloc(1, sizeof(*n));

	if (!n)
		return NULL;
	n->identity = identity_new();
	n->knock_self = secret_new(sizeof(*n->knock_self));
	if (!n->identity || !n->knock_self) {
		secret_free(n->knock_self);
		identity_free(n->identity);
		free(n);
		return NULL;
	}
	*n->identity = *config->identity;
	n->config = *config;
	n->config.identity = n->identity;
	n->rng = config->rng;
	n->held_size = config->max_payload + WIRE_CHANNEL_HEADER;
	n->held = malloc(n->held_size);
	do
		n->incarnation = rng_u64(n->rng);
	while (n->incarnation == 0);
	make_claim(n);
	list_init(&n->connections);
	list_init(&n->peers);
	list_init(&n->dirty);
	list_init(&n->stream_events);
	list_init(&n->peer_events);
	slab_init(&n->peer_slab, sizeof(struct peer));
	slab_init(&n->stream_slab, sizeof(struct stream));
	quic_pool_init(&n->quic_pool);
	beacons_init(n, now);
	networks_init(n);
	names_init(n);
	init_maps(n);
	policy_init(&n->policy, rng_u64(n->rng));
	if (!n->held || door_init(n) < 0 || tls_init(&n->tls, n->identity) < 0) {
		door_clear(n);
		identity_free(n->identity);
		free(n->held);
		free(n);
		return NULL;
	}
	return n;
}

void node_free(struct node *n)
{
	while (list_first(&n->peers))
		peer_free(container_of(list_first(&n->peers), struct peer, all_link));
	while (list_first(&n->connections))
		connection_free(
			container_of(list_first(&n->connections), struct connection, all_link));
	names_clear(n);
	networks_clear(n);
	audit_clear(n);
	door_clear(n);
	quic_pool_clear(&n->quic_pool);
	beacons_clear(n);
	map_clear(&n->by_channel);
	map_clear(&n->by_request);
	map_clear(&n->by_cid);
	map_clear(&n->by_token);
	map_clear(&n->by_key);
	heap_clear(&n->conn_timers);
	heap_clear(&n->peer_timers);
	chain_pool_clear(&n->pool);
	slab_clear(&n->peer_slab);
	slab_clear(&n->stream_slab);
	policy_clear(&n->policy);
	tls_clear(&n->tls);
	identity_free(n->identity);
	free(n->held);
	free(n);
}

void node_close(struct node *n, gw_time now)
{
	n->closing = true;
	list_each(&n->connections, i, tmp) {
		struct connection *c = container_of(i, struct connection, all_link);

		connection_kill(c, c->hello_received ? CLOSE_EXIT : CLOSE_NONE, GW_E_CLOSED, now);
	}
}

/* --- datagrams in --- */

static struct connection *by_token(const struct node *n, const uint8_t token[WIRE_TOKEN_SIZE])
{
	uint64_t key;

	memcpy(&key, token, sizeof(key));
	return map_get(&n->by_token, key);
}

static void receive_probe(struct node *n, const struct path *path, const uint8_t *data, size_t len,
			  enum datagram_kind kind, gw_time now)
{
	struct wire_probe probe;
	struct connection *c;

	if (wire_probe_decode(&probe, data, len) <= 0) {
		n->stats.drop_malformed++;
		return;
	}
	c = by_token(n, probe.token);
	if (!c)
		n->stats.drop_no_connection++;
	else if (kind == DATAGRAM_PROBE)
		mtu_probe_received(c, path, &probe);
	else
		mtu_reply_received(c, &probe, now);
}

static void receive_stranger(struct node *n, const struct path *path, const uint8_t *data,
			     size_t len, gw_time now)
{
	if (!(data[0] & 0x80) || n->closing)
		n->stats.drop_no_connection++;
	else
		door_receive(n, path, NULL, 0, data, len, now);
}

static void receive_link(struct link *l, const struct path *path, const uint8_t *data, size_t len,
			 gw_time now)
{
	link_receive(l->host, path, data, len, now);
	if (l->user)
		beacons_heard(l->user, now);
}

static void receive_quic(struct node *n, const struct path *path, const uint8_t *data, size_t len,
			 gw_time now)
{
	ngtcp2_version_cid id;
	struct connection *c;
	struct link *l;
	uint64_t key;

	if (ngtcp2_pkt_decode_version_cid(&id, data, len, CID_SIZE) != 0 || id.dcidlen < CID_SIZE) {
		n->stats.drop_malformed++;
		return;
	}
	memcpy(&key, id.dcid, sizeof(key));
	c = map_get(&n->by_cid, key);
	if (!c && (data[0] & 0x80))
		c = connection_of_initial(n, &path->remote, id.dcid);
	if (c && c->relay)
		n->stats.drop_no_connection++; /* its packets come in a channel */
	else if (c)
		connection_read(c, path, data, len, now);
	else if ((l = map_get(&n->links.by_cid, key)))
		receive_link(l, path, data, len, now);
	else if (n->config.relay_only)
		n->stats.drop_refused++;
	else
		receive_stranger(n, path, data, len, now);
}

void node_receive(struct node *n, const struct path *path, const uint8_t *data, size_t len,
		  gw_time now)
{
	enum datagram_kind kind = wire_classify(data, len);

	n->stats.datagrams_in++;
	n->stats.bytes_in += len;
	switch (kind) {
	case DATAGRAM_QUIC:
		receive_quic(n, path, data, len, now);
		break;
	case DATAGRAM_PROBE:
	case DATAGRAM_PROBE_REPLY:
		receive_probe(n, path, data, len, kind, now);
		break;
	case DATAGRAM_CHANNEL:
		relayed_receive(n, path, data, len, now);
		break;
	case DATAGRAM_ADDRESS_REPLY:
		ladder_address_reply(n, path, data, len, now);
		break;
	case DATAGRAM_PUNCH:
		punch_receive(n, path, data, len, now);
		break;
	case DATAGRAM_REFUSAL:
		door_refusal(n, data, len, now);
		break;
	case DATAGRAM_ADDRESS_REQUEST:
	case DATAGRAM_UNKNOWN:
		n->stats.drop_unknown++;
		break;
	}
}

/* --- datagrams out --- */

static void bury(struct connection *c, gw_time now)
{
	struct peer *p = c->peer;

	peer_connection_lost(c, now);
	connection_free(c);
	if (p && peer_disposable(p))
		peer_free(p);
}

static bool transmit_held(struct node *n, struct batch *out)
{
	if (n->held_len == 0)
		return false;
	memcpy(out->data, n->held, n->held_len);
	out->len = out->segment = n->held_len;
	out->path = n->held_path;
	n->held_len = 0;
	return true;
}

static bool transmit_dirty(struct node *n, struct batch *out, gw_time now)
{
	struct list_item *first;

	while ((first = list_first(&n->dirty))) {
		struct connection *c = container_of(first, struct connection, dirty_link);
		bool wrote;

		list_remove(first);
		wrote = connection_write(c, out, now);
		if (c->state == CONN_CLOSED && !list_in(&c->dirty_link))
			bury(c, now);
		if (wrote)
			return true;
	}
	return false;
}

/* A beacon must know a channel before its first packet comes; in the end it is the other way round. */
static bool next_batch(struct node *n, struct batch *out, gw_time now)
{
	if (transmit_held(n, out) || outbox_transmit(n, out))
		return true;
	if (!n->closing && link_transmit(&n->links, out, now))
		return true;
	if (transmit_dirty(n, out, now))
		return true;
	if (!n->closing)
		return false;
	beacons_close(n, now);
	return link_transmit(&n->links, out, now);
}

bool node_transmit(struct node *n, struct batch *out, gw_time now)
{
	assert(out->capacity >= BATCH_CAPACITY_MIN);
	out->len = out->segment = 0;
	out->probe = false;
	if (!next_batch(n, out, now))
		return false;
	n->stats.datagrams_out += (out->len + out->segment - 1) / out->segment;
	n->stats.bytes_out += out->len;
	return true;
}

void node_send_failed(struct node *n, const struct path *path, enum send_failure why, gw_time now)
{
	list_each(&n->connections, i, tmp) {
		struct connection *c = container_of(i, struct connection, all_link);

		if (!path_equal(&c->path, path))
			continue;
		if (why == SEND_TOO_BIG) {
			mtu_fall_back(c, now);
			connection_touch(c);
			continue;
		}
		/* The source address or its interface is gone: let the kernel choose. */
		c->path.local = (struct addr){ 0 };
		c->path.ifindex = 0;
		if (c->state == CONN_USED && !c->suspect) {
			c->suspect = true;
			dial_now(c->peer, now);
		}
	}
	if (why == SEND_UNREACHABLE)
		beacons_doubt(n, now);
}

/* --- time --- */

gw_time node_expiry(const struct node *n)
{
	const struct timer *conn = heap_top(&n->conn_timers), *peer = heap_top(&n->peer_timers);

	gw_time at = time_min(conn ? conn->at : GW_NEVER, peer ? peer->at : GW_NEVER);

	if (n->closing)
		return at;
	at = time_min(at, time_min(link_expiry(&n->links), beacons_due(n)));
	if (n->n_networks > 0 || n->n_searches > 0)
		at = time_min(at, time_min(names_due(n), networks_due(n)));
	return time_min(at, door_due(n));
}

void node_expire(struct node *n, gw_time now)
{
	struct timer *t;

	link_expire(&n->links, now);
	if (!n->closing) {
		beacons_expire(n, now);
		networks_expire(n, now);
		names_expire(n, now);
		door_expire(n, now);
	}
	while ((t = heap_top(&n->conn_timers)) && t->at <= now) {
		struct connection *c = container_of(t, struct connection, timer);

		connection_expire(c, now);
		/* What is due until it has been written to waits for node_transmit(). */
		if (t->index && t->at <= now)
			(void)heap_set(&n->conn_timers, t, now + 1);
	}
	while ((t = heap_top(&n->peer_timers)) && t->at <= now) {
		struct peer *p = container_of(t, struct peer, timer);

		dial_expire(p, now);
		if (t->index && t->at <= now)
			(void)heap_set(&n->peer_timers, t, now + 1);
	}
}

/* --- the host's network --- */

static bool have_local(const struct node *n, const struct addr *a)
{
	if (a->family == ADDR_NONE || addr_is_unspecified(a))
		return true;
	for (size_t i = 0; i < n->n_locals; i++)
		if (addr_same_host(&n->locals[i].addr, a))
			return true;
	return false;
}

static void ping_now(struct connection *c, gw_time now)
{
	struct frame f = { .type = FRAME_PING };

	c->pinged_at = now;
	connection_send(c, &f);
}

static void recheck(struct peer *p, gw_time now)
{
	struct connection *c = p->used;

	punch_network_changed(p, now);
	if (!c || c->state != CONN_USED) {
		if (p->n_live > 0 || p->wanted)
			dial_now(p, now);
	} else if (!have_local(p->node, &c->local_seen) || !have_local(p->node, &c->path.local)) {
		p->must_move = true;
		dial_now(p, now);
	} else if (c->suspect) {
		dial_now(p, now);
	} else {
		ping_now(c, now);
	}
}

void node_network_changed(struct node *n, const struct local_addr *locals, size_t count,
			  gw_time now)
{
	n->n_locals = count < LOCALS_MAX ? count : LOCALS_MAX;
	memcpy(n->locals, locals, n->n_locals * sizeof(*locals));
	beacons_network_changed(n, now);
	list_each(&n->peers, i, tmp)
		recheck(container_of(i, struct peer, all_link), now);
}

void node_clock_jumped(struct node *n, gw_time now)
{
	beacons_check_all(n, now);
	list_each(&n->peers, i, tmp) {
		struct peer *p = container_of(i, struct peer, all_link);

		/* What is heard first may have waited in the socket: it does not clear the
		 * suspicion, only a new connection does. */
		if (p->used)
			p->used->suspect = p->must_move = true;
		if (p->used || p->n_live > 0 || p->wanted)
			dial_now(p, now);
	}
}
