/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "quic/link_internal.h"

enum {
	WINDOW = 64 * 1024,
	QUEUE_MAX = 256 * 1024,
	QUEUE_FAIR = 4096, /* may always wait */
	PAYLOAD_MAX = 1452,
	PIECES = 3,         /* of unsent bytes in one packet */
	PADDED_PING = 1100, /* fills a datagram of PAYLOAD_MIN with its headers */
};

#define HANDSHAKE_TIMEOUT (5 * GW_SEC)
#define IDLE_TIMEOUT (90 * GW_SEC)
#define SILENCE_MIN (300 * GW_MSEC)
/* Round trips measured while a beacon was overrun would make a client wait for minutes. */
#define SILENCE_MAX (5 * GW_SEC)
#define INITIAL_RTT (100 * GW_MSEC)
/* The library may ask for a time that has passed, again and again, while it cannot send. */
#define EXPIRY_PACE (5 * GW_MSEC)

void link_touch(struct link *l)
{
	if (!list_in(&l->dirty_link))
		list_append(&l->host->dirty, &l->dirty_link);
}

gw_time link_rtt(const struct link *l)
{
	struct quic_stat stat;

	/* The first sample is that of the handshake, and few follow: one that was late does not count. */
	quic_stat_get(l->quic, &stat);
	return time_min(stat.smoothed_rtt, stat.latest_rtt);
}

gw_time link_silent_at(const struct link *l)
{
	if (l->state == LINK_CLOSED || l->outstanding_since == GW_NEVER)
		return GW_NEVER;
	return time_max(l->heard_at, l->outstanding_since) +
	       time_min(time_max(3 * ngtcp2_conn_get_pto(l->quic), SILENCE_MIN), SILENCE_MAX);
}

static void set_reason(struct link *l, const uint8_t *reason, size_t len)
{
	free(l->reason);
	l->reason = len ? malloc(len) : NULL;
	l->reason_len = l->reason ? len : 0;
	if (l->reason)
		memcpy(l->reason, reason, len);
}

void link_close(struct link *l, uint64_t code, int error, const uint8_t *reason, size_t reason_len,
		gw_time now)
{
	(void)now;
	if (l->state == LINK_CLOSED)
		return;
	if (l->state == LINK_HANDSHAKE && !l->client)
		l->host->n_half_open--;
	l->state = LINK_CLOSED;
	l->close_code = code;
	l->error = error;
	if (reason)
		set_reason(l, reason, reason_len);
	heap_remove(&l->host->timers, &l->timer);
	link_touch(l);
}

void link_broken(struct link *l)
{
	l->broke = true;
	link_close(l, CLOSE_PROTOCOL, GW_E_PROTOCOL, NULL, 0, l->now);
}

/* --- making one --- */

int link_host_init(struct link_host *h)
{
	map_init(&h->by_cid, rng_u64(h->rng));
	rng_bytes(h->rng, h->secret, sizeof(h->secret));
	h->seen_seed = rng_u64(h->rng);
	list_init(&h->links);
	list_init(&h->dirty);
	list_init(&h->waiting);
	quic_pool_init(&h->pool);
	return 0;
}

static bool accept_key(struct tls_session *tls)
{
	struct link *l = container_of(tls, struct link, tls);

	if (l->client || l->knock_ms)
		l->refused = memcmp(tls->key, l->key, KEY_SIZE) != 0;
	if (l->client || l->refused)
		return !l->refused;
	memcpy(l->key, tls->key, KEY_SIZE);
	return l->host->accept(l);
}

static void fill_settings(const struct link *l, ngtcp2_settings *s, gw_time now)
{
	ngtcp2_settings_default(s);
	s->initial_ts = now;
	s->cc_algo = NGTCP2_CC_ALGO_CUBIC;
	s->max_tx_udp_payload_size = PAYLOAD_MAX;
	/* A server follows a client that goes to and fro between addresses: ngtcp2 0.12 aborts then
	 * when its own PMTUD is off. */
	s->no_pmtud = l->client;
	s->handshake_timeout = HANDSHAKE_TIMEOUT;
	/* Of a new path, too: by this it is asked again, and three PTO are the time during which a
	 * client that goes back at once is not followed. */
	s->initial_rtt = INITIAL_RTT;
	s->rand_ctx.native_handle = l->host->rng;
}

static void fill_params(const struct link *l, ngtcp2_transport_params *p)
{
	ngtcp2_transport_params_default(p);
	p->initial_max_data = WINDOW;
	p->initial_max_stream_data_bidi_local = WINDOW;
	p->initial_max_stream_data_bidi_remote = WINDOW;
	p->initial_max_streams_bidi = l->client ? 0 : 1;
	p->max_idle_timeout = IDLE_TIMEOUT;
	p->max_udp_payload_size = 65527;
	p->active_connection_id_limit = 2;
	quic_no_grease(p);
}

void link_configure(const struct link *l, ngtcp2_settings *settings,
		    ngtcp2_transport_params *params, gw_time now)
{
	fill_settings(l, settings, now);
	fill_params(l, params);
}

struct link *link_create(struct link_host *h, bool client, const struct path *path, gw_time now)
{
	struct link *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	l->host = h;
	l->client = client;
	l->path = *path;
	l->created_at = l->heard_at = l->now = now;
	l->outstanding_since = GW_NEVER;
	l->tls.accept = accept_key;
	list_append(&h->links, &l->all_link);
	h->n_links++;
	if (!client)
		h->n_half_open++;
	return l;
}

static void forget_cids(struct link *l)
{
	ngtcp2_cid ids[32];
	size_t count;

	if (!l->quic)
		return;
	count = quic_scid_count(l->quic);
	assert(count <= sizeof(ids) / sizeof(ids[0]));
	ngtcp2_conn_get_scid(l->quic, ids);
	for (size_t i = 0; i < count; i++)
		map_remove(&l->host->by_cid, cid_key(ids[i].data));
	if (l->odcid && map_get(&l->host->by_cid, l->odcid) == l)
		map_remove(&l->host->by_cid, l->odcid);
}

void link_free(struct link *l)
{
	struct link_host *h = l->host;

	if (l->state == LINK_HANDSHAKE && !l->client)
		h->n_half_open--;
	forget_cids(l);
	heap_remove(&h->timers, &l->timer);
	list_remove(&l->all_link);
	list_remove(&l->dirty_link);
	if (l->quic)
		ngtcp2_conn_del(l->quic);
	tls_session_free(&l->tls);
	h->queued -= chain_len(&l->control);
	chain_clear(&l->control);
	free(l->partial);
	free(l->reason);
	h->n_links--;
	free(l);
}

void link_host_clear(struct link_host *h)
{
	while (list_first(&h->links))
		link_free(container_of(list_first(&h->links), struct link, all_link));
	link_drop_waiting(h);
	map_clear(&h->by_cid);
	heap_clear(&h->timers);
	quic_pool_clear(&h->pool);
	knock_seen_free(h->seen);
	h->seen = NULL;
}

/* A client tells ngtcp2 one constant path: where it sends is its own business (section 11).  A
 * server tells it where the client is, not at which of our addresses: a change of that would need
 * a fresh connection id, and without one the library would answer on the old path for ever. */
void link_quic_path(const struct link *l, const struct path *path, struct sockaddr_storage store[2],
		    ngtcp2_path *out)
{
	const struct path constant = { .remote = addr_of_conduit(1) };

	link_server_path(l->client ? &constant : path, store, out);
}

void link_schedule(struct link *l, gw_time floor)
{
	gw_time at = time_max(ngtcp2_conn_get_expiry(l->quic), floor);

	if (l->state == LINK_HANDSHAKE)
		at = time_min(at, l->created_at + HANDSHAKE_TIMEOUT);
	if (l->state != LINK_CLOSED && heap_set(&l->host->timers, &l->timer, at) < 0)
		link_close(l, CLOSE_LIMIT, GW_E_NOMEM, NULL, 0, l->now);
}

void link_random_cid(struct link_host *h, ngtcp2_cid *cid, size_t len)
{
	cid->datalen = len;
	rng_bytes(h->rng, cid->data, len);
}

bool link_register_cid(struct link *l, const ngtcp2_cid *cid)
{
	return map_put(&l->host->by_cid, cid_key(cid->data), l) == 0;
}

static ngtcp2_conn *get_conn(ngtcp2_crypto_conn_ref *ref)
{
	return ((struct link *)ref->user_data)->quic;
}

int link_begin_tls(struct link *l)
{
	return tls_session_new(&l->tls, l->host->tls, l->client, ALPN_BEACON, l->quic, get_conn, l);
}

struct link *link_dial(struct link_host *h, const uint8_t key[KEY_SIZE], const struct path *path,
		       gw_time now)
{
	struct link *l = link_create(h, true, path, now);
	struct sockaddr_storage store[2];
	ngtcp2_transport_params params;
	ngtcp2_settings settings;
	uint8_t token[KNOCK_MAX];
	ngtcp2_path ng_path;
	ngtcp2_cid scid, dcid;

	if (!l)
		return NULL;
	memcpy(l->key, key, KEY_SIZE);
	link_configure(l, &settings, &params, now);
	link_quic_path(l, path, store, &ng_path);
	link_random_cid(h, &scid, CID_SIZE);
	link_random_cid(h, &dcid, KNOCK_DCID);
	link_knock(l, &dcid, token, &settings, now);
	if (!link_register_cid(l, &scid) ||
	    ngtcp2_conn_client_new(&l->quic, &dcid, &scid, &ng_path, NGTCP2_PROTO_VER_V1,
				   &link_callbacks, &settings, &params, NULL, l) != 0 ||
	    link_begin_tls(l) < 0) {
		map_remove(&h->by_cid, cid_key(scid.data));
		link_free(l);
		return NULL;
	}
	link_schedule(l, 0);
	link_touch(l);
	return l;
}

/* --- reading --- */

static void note_outstanding(struct link *l, uint64_t bytes_in_flight, gw_time now)
{
	if (bytes_in_flight == 0 && l->control_sent == l->control.end)
		l->outstanding_since = GW_NEVER;
	else if (l->outstanding_since == GW_NEVER)
		l->outstanding_since = now;
}

static void read_failed(struct link *l, int liberr, gw_time now)
{
	int error = l->refused ? GW_E_KEY : GW_E_PROTOCOL;

	if (l->state == LINK_CLOSED)
		return; /* a callback has closed it, and said why */
	if (liberr == NGTCP2_ERR_DRAINING) {
		struct quic_close close;

		quic_close_get(l->quic, &close);
		error = close.code == 0x100 + 42 && l->tls.key_known ? GW_E_DENIED : GW_E_CLOSED;
		if (close.application) {
			l->peer_code = close.code;
			error = close.code == CLOSE_LIMIT    ? GW_E_LIMIT
				: close.code == CLOSE_IN_USE ? GW_E_IN_USE
							     : GW_E_CLOSED;
			set_reason(l, close.reason, close.reason_len);
		}
	} else if (liberr != NGTCP2_ERR_DROP_CONN && liberr != NGTCP2_ERR_RETRY) {
		l->liberr = liberr;
	}
	link_close(l, CLOSE_NONE, error, NULL, 0, now);
}

void link_read_packet(struct link *l, const struct path *path, const uint8_t *data, size_t len,
		      gw_time now)
{
	struct sockaddr_storage store[2];
	struct quic_stat before, after;
	gw_time expiry = ngtcp2_conn_get_expiry(l->quic);
	ngtcp2_pkt_info info = { 0 };
	ngtcp2_path ng_path;
	int rv;

	if (l->state == LINK_CLOSED)
		return;
	link_quic_path(l, path, store, &ng_path);
	l->now = now;
	l->heard = false;
	l->latest = *path;
	quic_stat_get(l->quic, &before);
	rv = ngtcp2_conn_read_pkt(l->quic, &ng_path, &info, data, len, now);
	if (rv != 0) {
		read_failed(l, rv, now);
		return;
	}
	if (l->state == LINK_CLOSED)
		return;
	quic_stat_get(l->quic, &after);
	/* Nothing tells of a PING; but what is not authentic moves no timer. */
	if (l->heard || after.bytes_in_flight < before.bytes_in_flight ||
	    (l->state == LINK_UP && ngtcp2_conn_get_expiry(l->quic) != expiry))
		l->heard_at = now;
	note_outstanding(l, after.bytes_in_flight, now);
	if (l->tls.session && l->state == LINK_UP && l->confirmed)
		tls_session_free(&l->tls);
	link_follow_back(l);
	link_touch(l);
	link_schedule(l, 0);
}

bool link_receive(struct link_host *h, const struct path *path, const uint8_t *data, size_t len,
		  gw_time now)
{
	ngtcp2_version_cid id;
	struct link *l;

	if (ngtcp2_pkt_decode_version_cid(&id, data, len, CID_SIZE) != 0 || id.dcidlen < CID_SIZE) {
		h->drop_malformed++;
		return false;
	}
	l = map_get(&h->by_cid, cid_key(id.dcid));
	if (l)
		link_read_packet(l, path, data, len, now);
	else if (h->server && (data[0] & 0x80))
		return link_wait_for_turn(h, path, data, len, now);
	else
		h->drop_no_link++;
	return l != NULL;
}

/* --- writing --- */

/* Who waits for little is not the one that fills the memory. */
static bool is_queue_full(const struct link *l, size_t more)
{
	size_t len = chain_len(&l->control) + more, most = l->host->queued_max;

	return len > QUEUE_MAX || (most && l->host->queued + more > most && len > QUEUE_FAIR);
}

static void queue(struct link *l, const uint8_t *bytes, size_t len)
{
	if (l->state == LINK_CLOSED)
		return;
	if (is_queue_full(l, len) || chain_append(&l->control, bytes, len) < 0) {
		link_close(l, CLOSE_LIMIT, GW_E_LIMIT, NULL, 0, l->now);
		return;
	}
	l->host->queued += len;
	link_touch(l);
}

void link_send(struct link *l, const struct beacon_frame *f)
{
	uint8_t bytes[WIRE_BEACON_FRAME_MAX];

	queue(l, bytes, wire_beacon_encode(bytes, f));
}

void link_ping(struct link *l, uint64_t nonce)
{
	uint8_t bytes[WIRE_BEACON_FRAME_MAX];

	queue(l, bytes, wire_beacon_padded_ping(bytes, nonce, PADDED_PING));
}

void link_move(struct link *l, const struct path *path)
{
	l->path = *path;
}

static void path_out(const struct link *l, const ngtcp2_path *p, struct path *out)
{
	if (l->client || !p->remote.addr || p->remote.addrlen == 0)
		*out = l->path;
	else
		link_path_of(l, p, out);
}

/* What has not been sent: returns the count of pieces. */
static size_t unsent(struct link *l, ngtcp2_vec vec[PIECES])
{
	uint64_t at = l->control_sent;
	size_t count = 0, len;

	while (l->stream_open && at < l->control.end && count < PIECES) {
		/* The library does not write to this memory. */
		vec[count].base = (uint8_t *)(uintptr_t)chain_at(&l->control, at, &len);
		vec[count++].len = len;
		at += len;
	}
	return count;
}

static ngtcp2_ssize write_packet(struct link *l, ngtcp2_path_storage *ps, uint8_t *out, size_t room,
				 gw_time now)
{
	ngtcp2_ssize taken = -1, rv;
	ngtcp2_pkt_info info;
	ngtcp2_vec vec[PIECES];
	size_t count = unsent(l, vec);

	rv = ngtcp2_conn_writev_stream(l->quic, &ps->path, &info, out, room, &taken, 0,
				       count ? STREAM : -1, vec, count, now);
	if (rv == NGTCP2_ERR_STREAM_DATA_BLOCKED)
		rv = ngtcp2_conn_writev_stream(l->quic, &ps->path, &info, out, room, NULL, 0, -1,
					       NULL, 0, now);
	if (taken > 0)
		l->control_sent += (uint64_t)taken;
	return rv;
}

static bool write_link(struct link *l, struct batch *out, gw_time now)
{
	ngtcp2_path_storage ps;
	struct quic_stat stat;
	ngtcp2_ssize n;

	ngtcp2_path_storage_zero(&ps);
	l->now = now;
	/* Not paced (ngtcp2_conn_update_pkt_tx_time): it is little, and an OPEN has to be on its way
	 * before the packets of its channel. */
	n = write_packet(l, &ps, out->data, PAYLOAD_MAX, now);
	if (n < 0) {
		l->liberr = (int)n;
		link_close(l, CLOSE_NONE, GW_E_PROTOCOL, NULL, 0, now);
		return false;
	}
	quic_stat_get(l->quic, &stat);
	note_outstanding(l, stat.bytes_in_flight, now);
	link_follow_back(l);
	link_schedule(l, n == 0 ? now + EXPIRY_PACE : 0);
	if (n == 0)
		return false;
	path_out(l, &ps.path, &out->path);
	out->len = out->segment = (size_t)n;
	link_touch(l); /* there may be more */
	return true;
}

static bool write_close(struct link *l, struct batch *out, gw_time now)
{
	ngtcp2_path_storage ps;
	ngtcp2_ssize len = 0;

	ngtcp2_path_storage_zero(&ps);
	if (l->liberr)
		len = quic_write_error(l->quic, &ps.path, out->data, PAYLOAD_MIN, l->liberr,
				       ngtcp2_conn_get_tls_alert(l->quic), now);
	else if (l->close_code != CLOSE_NONE)
		len = quic_write_close(l->quic, &ps.path, out->data, PAYLOAD_MIN, l->close_code,
				       l->reason, l->reason_len, now);
	if (len <= 0)
		return false;
	path_out(l, &ps.path, &out->path);
	out->len = out->segment = (size_t)len;
	return true;
}

bool link_transmit(struct link_host *h, struct batch *out, gw_time now)
{
	struct list_item *first;

	out->len = out->segment = 0;
	out->probe = false;
	while ((first = list_first(&h->dirty))) {
		struct link *l = container_of(first, struct link, dirty_link);
		bool wrote;

		list_remove(first);
		if (l->state == LINK_CLOSED) {
			wrote = write_close(l, out, now);
			h->on_closed(l, now);
			link_free(l);
		} else {
			wrote = write_link(l, out, now);
		}
		if (wrote)
			return true;
	}
	return false;
}

/* --- time --- */

gw_time link_expiry(const struct link_host *h)
{
	const struct timer *t = heap_top(&h->timers);

	if (h->n_waiting > 0)
		return h->waiting_since;
	return t ? t->at : GW_NEVER;
}

static void expire(struct link *l, gw_time now)
{
	int rv;

	l->now = now;
	if (l->state == LINK_HANDSHAKE && now >= l->created_at + HANDSHAKE_TIMEOUT) {
		link_close(l, CLOSE_NONE, GW_E_UNREACHABLE, NULL, 0, now);
		return;
	}
	rv = ngtcp2_conn_handle_expiry(l->quic, now);
	if (rv != 0) {
		link_close(l, CLOSE_NONE, GW_E_UNREACHABLE, NULL, 0, now);
		return;
	}
	link_touch(l);
	link_schedule(l, 0);
}

void link_expire(struct link_host *h, gw_time now)
{
	struct timer *t;

	link_serve_next(h, now);
	while ((t = heap_top(&h->timers)) && t->at <= now) {
		expire(container_of(t, struct link, timer), now);
		/* What is due until it has been written to waits for link_transmit(). */
		if (t->index && t->at <= now)
			(void)heap_set(&h->timers, t, now + 1);
	}
}
