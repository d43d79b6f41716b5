/* SPDX-License-Identifier: Apache-2.0 */
#include "core/relayed.h"

#include <string.h>

#include "core/beacons.h"
#include "core/connection.h"
#include "core/dial.h"
#include "core/door.h"
#include "core/records.h"
#include "core/mtu.h"
#include "core/peer.h"

/* --- channels of connections --- */

int relayed_attach(struct connection *c, struct beacon_ref *b, uint64_t channel)
{
	if (map_get(&c->node->by_channel, channel) || map_put(&c->node->by_channel, channel, c) < 0)
		return GW_E_LIMIT;
	c->relay = b;
	c->channel = channel;
	b->channels++;
	return 0;
}

void relayed_detach(struct connection *c)
{
	struct beacon_frame f = { .type = BEACON_CLOSE };
	struct beacon_ref *b = c->relay;

	if (!b)
		return;
	map_remove(&c->node->by_channel, c->channel);
	b->channels--;
	c->relay = NULL;
	f.close.channel = c->channel;
	f.close.reason = CHANNEL_ENDED;
	if (b->link)
		link_send(b->link, &f);
}

bool relayed_wrap(const struct connection *c, struct batch *out)
{
	if (!c->relay->link)
		return false;
	memmove(out->data + WIRE_CHANNEL_HEADER, out->data, out->len);
	wire_channel_encode(out->data, c->channel);
	out->len += WIRE_CHANNEL_HEADER;
	out->segment = out->len;
	out->path = c->relay->link->path;
	return true;
}

/* --- dialling --- */

static bool racing(const struct peer *p, const struct beacon_ref *b, gw_time now)
{
	list_each(&p->connections, i, tmp) {
		const struct connection *c = container_of(i, struct connection, peer_link);

		if (c->relay == b && c->dialler && now < c->created_at + REDIAL_FAST &&
		    (c->state == CONN_HANDSHAKE || c->state == CONN_UP))
			return true;
	}
	return false;
}

static void dial_through(struct peer *p, struct beacon_ref *b, gw_time now)
{
	struct beacon_frame f = { .type = BEACON_OPEN };
	struct connection *c;

	b->used_at = now;
	if (!beacons_can_relay(b)) {
		beacons_want(b, now);
		return;
	}
	if (racing(p, b, now) || dial_racers(p) >= RACERS_MAX)
		return;
	c = connection_dial_relayed(p, b, now);
	if (!c)
		return;
	c->generation = p->generation + 1;
	f.open.channel = c->channel;
	memcpy(f.open.key, p->key, KEY_SIZE);
	link_send(b->link, &f);
}

/* Where it is at home; as long as nobody knows, where we are. */
static bool may_be_at(const struct peer *p, const struct beacon_ref *b)
{
	for (size_t i = 0; i < p->n_homes; i++)
		if (p->homes[i] == b)
			return true;
	return p->n_homes == 0 && b->configured;
}

bool relayed_possible(const struct peer *p)
{
	return p->n_homes > 0 || p->node->n_configured > 0;
}

bool relayed_pending(const struct peer *p)
{
	list_each(&p->node->refs, i, tmp) {
		const struct beacon_ref *b = container_of(i, struct beacon_ref, all_link);

		if (may_be_at(p, b) && !beacons_can_relay(b) &&
		    (b->link || b->n_racers > 0 || b->resolving || b->tls_via))
			return true;
	}
	return false;
}

void relayed_attempt(struct peer *p, gw_time now)
{
	struct node *n = p->node;

	list_each(&n->refs, i, tmp) {
		struct beacon_ref *b = container_of(i, struct beacon_ref, all_link);

		if (may_be_at(p, b))
			dial_through(p, b, now);
	}
	records_lookup(p, now);
}

/* Than the beacon that relays now, clearly. */
static bool is_nearer(const struct beacon_ref *b, const struct connection *used)
{
	const struct link *other = used->relay->link;

	if (used->relay == b || !other || !beacons_can_relay(b))
		return false;
	if (!b->link->path.via != !other->path.via)
		return !b->link->path.via; /* UDP before TLS */
	return link_rtt(b->link) + 5 * GW_MSEC < link_rtt(other) * 4 / 5;
}

void relayed_improve(struct peer *p, gw_time now)
{
	if (p->n_homes > 0 && p->used && p->used->state == CONN_USED && p->used->relay &&
	    is_nearer(p->homes[0], p->used))
		dial_through(p, p->homes[0], now);
}

void relayed_beacon_ready(struct beacon_ref *b, gw_time now)
{
	list_each(&b->node->peers, i, tmp) {
		struct peer *p = container_of(i, struct peer, all_link);

		if (dial_active(p) && may_be_at(p, b) && dial_permitted(p))
			dial_through(p, b, now);
		else if (p->n_homes > 0 && p->homes[0] == b)
			relayed_improve(p, now);
	}
}

void relayed_beacon_failed(struct beacon_ref *b, gw_time now)
{
	list_each(&b->node->peers, i, tmp) {
		struct peer *p = container_of(i, struct peer, all_link);

		if (may_be_at(p, b))
			dial_unreachable(p, now);
	}
}

void relayed_beacon_lost(struct beacon_ref *b, gw_time now)
{
	list_each(&b->node->connections, i, tmp) {
		struct connection *c = container_of(i, struct connection, all_link);

		if (c->relay == b)
			connection_kill(c, CLOSE_NONE, GW_E_UNREACHABLE, now);
	}
}

void relayed_closed(struct beacon_ref *b, uint64_t channel, uint64_t reason, gw_time now)
{
	struct connection *c = map_get(&b->node->by_channel, channel);
	struct peer *p;

	if (!c || c->relay != b)
		return;
	p = c->peer;
	connection_kill(c, CLOSE_NONE, reason == CHANNEL_LIMIT ? GW_E_LIMIT : GW_E_CLOSED, now);
	if (p)
		dial_unreachable(p, now);
}

void relayed_revealed(struct beacon_ref *b, uint64_t channel, const struct addr *endpoint)
{
	struct connection *c = map_get(&b->node->by_channel, channel);

	/* The beacon of a peer's choice might name any victim. */
	if (c && c->relay == b && b->configured && c->peer && c->peer->used == c && c->peer->punch)
		c->peer->punch->revealed = *endpoint;
}

/* --- receiving --- */

static void deliver(struct connection *c, const uint8_t *data, size_t len, gw_time now)
{
	struct wire_probe probe;

	switch (wire_classify(data, len)) {
	case DATAGRAM_QUIC:
		connection_read(c, &c->path, data, len, now);
		break;
	case DATAGRAM_PROBE:
		if (wire_probe_decode(&probe, data, len) > 0 &&
		    memcmp(probe.token, &c->token, WIRE_TOKEN_SIZE) == 0)
			mtu_probe_received(c, &c->path, &probe);
		break;
	case DATAGRAM_PROBE_REPLY:
		if (wire_probe_decode(&probe, data, len) > 0 &&
		    memcmp(probe.token, &c->token, WIRE_TOKEN_SIZE) == 0)
			mtu_reply_received(c, &probe, now);
		break;
	case DATAGRAM_REFUSAL:
		door_refusal(c->node, data, len, now);
		break;
	default:
		c->node->stats.drop_malformed++;
	}
}

void relayed_receive(struct node *n, const struct path *path, const uint8_t *data, size_t len,
		     gw_time now)
{
	struct beacon_ref *b = beacons_of_path(n, path);
	struct connection *c;
	uint64_t channel;

	if (!wire_channel_decode(&channel, data, len)) {
		n->stats.drop_malformed++;
		return;
	}
	data += WIRE_CHANNEL_HEADER;
	len -= WIRE_CHANNEL_HEADER;
	c = map_get(&n->by_channel, channel);
	if (!b || (c && c->relay != b)) {
		n->stats.drop_no_connection++;
		return;
	}
	if (c) {
		deliver(c, data, len, now);
		return;
	}
	if (!b->configured || !(data[0] & 0x80) || n->closing) {
		n->stats.drop_no_connection++;
		return;
	}
	door_receive(n, path, b, channel, data, len, now);
}
