/* SPDX-License-Identifier: Apache-2.0 */
/* How a connection is made, by dialling or of a client's Initial, and freed. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/connection_internal.h"
#include "core/dgram.h"
#include "core/door.h"
#include "core/mtu.h"
#include "core/outbox.h"
#include "core/peer.h"
#include "core/relayed.h"
#include "core/segment.h"
#include "quic/tls.h"

/* A relay's channel has an address that is none of these. */
static bool is_near(const struct addr *a)
{
	return addr_is_private(a) || addr_is_loopback(a) || addr_is_link_local(a);
}

static ngtcp2_cc_algo algorithm(const struct connection *c)
{
	if (!c->node->config.bbr)
		return NGTCP2_CC_ALGO_CUBIC;
	return is_near(&c->path.remote) ? QUIC_BBR_NEAR : NGTCP2_CC_ALGO_BBR;
}

static void fill_settings(const struct connection *c, ngtcp2_settings *s, gw_time now)
{
	ngtcp2_settings_default(s);
	s->initial_ts = now;
	s->cc_algo = algorithm(c);
	s->max_tx_udp_payload_size = c->mtu.ceiling;
	s->no_tx_udp_payload_size_shaping = 1;
	s->no_pmtud = 1;
	s->handshake_timeout = HANDSHAKE_TIMEOUT;
	s->initial_rtt = INITIAL_RTT;
	s->rand_ctx.native_handle = c->node->rng;
}

static void fill_params(ngtcp2_transport_params *p)
{
	ngtcp2_transport_params_default(p);
	p->initial_max_data = QUIC_CONN_WINDOW;
	p->initial_max_stream_data_bidi_local = QUIC_STREAM_WINDOW;
	p->initial_max_stream_data_bidi_remote = QUIC_STREAM_WINDOW;
	p->initial_max_streams_bidi = 2 * PEER_STREAMS_MAX + 1;
	p->max_idle_timeout = 0;
	p->max_udp_payload_size = 65527;
	p->max_datagram_frame_size = DGRAM_FRAME_MAX;
	quic_no_grease(p);
}

/* Where a connection goes: a path, or a channel of a beacon. */
struct route {
	struct path path;
	struct beacon_ref *relay; /* NULL: direct */
	uint64_t channel;
};

static struct route route_through(struct beacon_ref *b, uint64_t channel)
{
	struct route r = { .relay = b, .channel = channel };

	r.path.remote = addr_of_channel(channel);
	return r;
}

static bool attach(struct connection *c, const struct route *r)
{
	if (map_put(&c->node->by_token, c->token, c) < 0)
		return false;
	if (!r->relay || relayed_attach(c, r->relay, r->channel) == 0)
		return true;
	map_remove(&c->node->by_token, c->token);
	return false;
}

static struct connection *connection_new(struct node *n, bool dialler, const struct route *r,
					 gw_time now)
{
	const struct path *path = &r->path;
	struct connection *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->node = n;
	c->dialler = dialler;
	c->path = *path;
	c->quic_local = path->local;
	c->migrated_to = path->remote;
	c->created_at = c->state_since = c->heard_at = c->progress_at = c->now = now;
	c->stream_heard_at = c->outstanding_since = c->answer_at = c->pace_at = GW_NEVER;
	c->control_id = -1;
	c->tls.accept = peer_accept_key;
	list_init(&c->rx_segments);
	dgram_queue_init(&c->early);
	mtu_init(&c->mtu, n, path, r->relay ? WIRE_CHANNEL_HEADER : 0);
	c->token = rng_u64(n->rng);
	if (!attach(c, r)) {
		free(c);
		return NULL;
	}
	list_append(&n->connections, &c->all_link);
	n->n_connections++;
	if (!dialler)
		n->n_half_open++;
	return c;
}

static void random_cid(struct node *n, ngtcp2_cid *cid, size_t len)
{
	cid->datalen = len;
	rng_bytes(n->rng, cid->data, len);
}

static bool register_cid(struct connection *c, const ngtcp2_cid *cid)
{
	return map_put(&c->node->by_cid, cid_key(cid->data), c) == 0;
}

static ngtcp2_conn *get_conn(ngtcp2_crypto_conn_ref *ref)
{
	return ((struct connection *)ref->user_data)->quic;
}

static struct connection *dial(struct peer *p, const struct route *r, gw_time now)
{
	struct connection *c = connection_new(p->node, true, r, now);
	struct sockaddr_storage store[2];
	uint8_t knock[KNOCK_MAX];
	ngtcp2_transport_params params;
	ngtcp2_settings settings;
	ngtcp2_path quic_path;
	ngtcp2_cid scid, dcid;

	if (!c)
		return NULL;
	c->peer = p;
	list_append(&p->connections, &c->peer_link);
	fill_settings(c, &settings, now);
	fill_params(&params);
	fill_path(&r->path, store, &quic_path);
	random_cid(c->node, &scid, CID_SIZE);
	random_cid(c->node, &dcid, KNOCK_DCID);
	quic_client_token(&settings, knock, door_knock(c, &dcid, knock, now));
	if (!register_cid(c, &scid) ||
	    ngtcp2_conn_client_new(&c->quic, &dcid, &scid, &quic_path, NGTCP2_PROTO_VER_V1,
				   &connection_callbacks, &settings, &params,
				   &c->node->quic_pool.mem, c) != 0 ||
	    tls_session_new(&c->tls, &c->node->tls, true, ALPN_NODE, c->quic, get_conn, c) < 0) {
		map_remove(&c->node->by_cid, cid_key(scid.data));
		connection_free(c);
		return NULL;
	}
	c->node->stats.dials++;
	connection_schedule(c, now);
	connection_touch(c);
	return c;
}

struct connection *connection_dial(struct peer *p, const struct path *path, gw_time now)
{
	const struct route r = { .path = *path };

	return dial(p, &r, now);
}

struct connection *connection_dial_relayed(struct peer *p, struct beacon_ref *b, gw_time now)
{
	const struct route r = route_through(b, rng_u64(p->node->rng));

	return dial(p, &r, now);
}

/* The id that a client has drawn, and its address: a copy of its Initial from elsewhere that comes
 * first does not stand in for it. */
static uint64_t initial_key(const struct addr *remote, uint64_t dcid)
{
	uint64_t words[2];

	memcpy(words, remote->ip, sizeof(words));
	dcid ^= (words[0] + remote->port) * UINT64_C(0x9e3779b97f4a7c15);
	return dcid ^ words[1] * UINT64_C(0xbf58476d1ce4e5b9);
}

struct connection *connection_of_initial(const struct node *n, const struct addr *remote,
					 const uint8_t *dcid)
{
	uint64_t key = initial_key(remote, cid_key(dcid));
	struct connection *c = map_get(&n->by_cid, key);

	return c && c->odcid == key ? c : NULL;
}

static int make_server(struct connection *c, const struct route *r, const ngtcp2_pkt_hd *hd,
		       const struct guest *guest, gw_time now)
{
	uint64_t initial = initial_key(&r->path.remote, cid_key(hd->dcid.data));
	struct node *n = c->node;
	struct sockaddr_storage store[2];
	ngtcp2_transport_params params;
	ngtcp2_settings settings;
	ngtcp2_path quic_path;
	ngtcp2_cid scid, odcid;

	/* A client's choice does not take the place of an id of ours, which it may have seen. */
	if (map_get(&n->by_cid, initial))
		return GW_E_LIMIT;
	fill_settings(c, &settings, now);
	fill_params(&params);
	ngtcp2_cid_init(&odcid, guest->dcid, KNOCK_DCID);
	quic_server_params(&params, &odcid);
	if (guest->retried)
		quic_retried(&params, &settings, hd);
	fill_path(&r->path, store, &quic_path);
	random_cid(n, &scid, CID_SIZE);
	if (!register_cid(c, &scid) ||
	    ngtcp2_conn_server_new(&c->quic, &hd->scid, &scid, &quic_path, hd->version,
				   &connection_callbacks, &settings, &params, &n->quic_pool.mem,
				   c) != 0 ||
	    tls_session_new(&c->tls, &n->tls, false, ALPN_NODE, c->quic, get_conn, c) < 0 ||
	    map_put(&n->by_cid, initial, c) < 0) {
		map_remove(&n->by_cid, cid_key(scid.data));
		return GW_E_NOMEM;
	}
	c->odcid = initial;
	return 0;
}

struct connection *connection_accept(struct node *n, const struct path *path, struct beacon_ref *b,
				     uint64_t channel, const ngtcp2_pkt_hd *hd,
				     const struct guest *guest, gw_time now)
{
	const struct route r = b ? route_through(b, channel) : (struct route){ .path = *path };
	struct connection *c = connection_new(n, false, &r, now);

	if (!c) {
		credentials_free(guest->shown);
		return NULL;
	}
	memcpy(c->knock_key, guest->key, KEY_SIZE);
	c->at_door = &n->at_door[knock_owner(guest->key, n->knock_seed)];
	++*c->at_door;
	c->shown = guest->shown;
	c->unproven = !b && !guest->retried;
	n->n_unproven += c->unproven;
	if (make_server(c, &r, hd, guest, now) < 0) {
		connection_free(c);
		return NULL;
	}
	connection_schedule(c, now);
	return c;
}

static void forget_cids(struct connection *c)
{
	ngtcp2_cid ids[32];
	size_t count;

	if (!c->quic)
		return;
	count = quic_scid_count(c->quic);
	assert(count <= sizeof(ids) / sizeof(ids[0]));
	ngtcp2_conn_get_scid(c->quic, ids);
	for (size_t i = 0; i < count; i++)
		map_remove(&c->node->by_cid, cid_key(ids[i].data));
	if (c->odcid && map_get(&c->node->by_cid, c->odcid) == c)
		map_remove(&c->node->by_cid, c->odcid);
}

/* A socket of a spray lives as long as a connection uses it. */
static void close_socket(const struct connection *c)
{
	list_each(&c->node->connections, i, tmp) {
		const struct connection *other = container_of(i, struct connection, all_link);

		if (other != c && !other->relay && other->path.via == c->path.via)
			return;
	}
	outbox_close(c->node, c->path.via);
}

void connection_free(struct connection *c)
{
	struct node *n = c->node;

	if (c->state == CONN_HANDSHAKE && !c->dialler)
		connection_opened(c);
	forget_cids(c);
	credentials_free(c->shown);
	free(c->incoming);
	if (c->path.via && !c->relay)
		close_socket(c);
	relayed_detach(c);
	map_remove(&n->by_token, c->token);
	map_fit(&n->by_token);
	map_fit(&n->by_cid);
	heap_remove(&n->conn_timers, &c->timer);
	list_remove(&c->all_link);
	list_remove(&c->peer_link);
	list_remove(&c->dirty_link);
	list_each(&c->rx_segments, i, tmp)
		segment_free(container_of(i, struct rx_segment, link));
	if (c->quic)
		ngtcp2_conn_del(c->quic);
	tls_session_free(&c->tls);
	chain_clear(&c->control);
	free(c->frame);
	free(c->left);
	dgram_queue_clear(&c->early);
	n->n_connections--;
	free(c);
}
