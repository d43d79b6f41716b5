/* SPDX-License-Identifier: Apache-2.0 */
/* A beacon's new clients: they wait for their turn, show that they are there, and begin. */
#include <stdlib.h>
#include <string.h>

#include "quic/link_internal.h"

enum {
	WAITING_MAX = 1024,   /* some 300 ms of handshakes */
	TURNED_AWAY_MAX = 64, /* before others get their turn */
};

#define TOKEN_LASTS (10 * GW_SEC)

/* The first packet of a new client. */
struct waiting {
	struct list_item link;
	struct path path;
	size_t len;
	uint8_t data[];
};

/* --- Retry (RFC 9000, section 8.1.2): nothing is kept of the client before it returns --- */

/* Is it there, and what was its first id?  A knock that begins like one of these tokens is none. */
static bool has_token(const struct link_host *h, const struct path *from, const ngtcp2_pkt_hd *hd,
		      ngtcp2_cid *odcid, gw_time now)
{
	struct sockaddr_storage store[2];
	ngtcp2_path path;
	ngtcp2_vec token = quic_token(hd);

	if (token.len == 0 || token.base[0] != NGTCP2_CRYPTO_TOKEN_MAGIC_RETRY)
		return false;
	link_server_path(from, store, &path);
	return ngtcp2_crypto_verify_retry_token(
		       odcid, token.base, token.len, h->secret, LINK_SECRET_SIZE, hd->version,
		       path.remote.addr, path.remote.addrlen, &hd->dcid, TOKEN_LASTS, now) == 0;
}

/* Shorter than what it answers: a client's first datagram has 1,200 bytes. */
static void write_retry(const struct link *l, const ngtcp2_pkt_hd *hd, gw_time now)
{
	uint8_t token[NGTCP2_CRYPTO_MAX_RETRY_TOKENLEN], out[PAYLOAD_MIN];
	struct link_host *h = l->host;
	struct sockaddr_storage store[2];
	ngtcp2_path path;
	ngtcp2_cid scid;
	ngtcp2_ssize len;

	link_quic_path(l, &l->path, store, &path);
	link_random_cid(h, &scid, CID_SIZE);
	len = ngtcp2_crypto_generate_retry_token(token, h->secret, LINK_SECRET_SIZE, hd->version,
						 path.remote.addr, path.remote.addrlen, &scid,
						 &hd->dcid, now);
	if (len > 0)
		len = ngtcp2_crypto_write_retry(out, sizeof(out), hd->version, &hd->scid, &scid,
						&hd->dcid, token, (size_t)len);
	if (len <= 0)
		return;
	h->retries++;
	h->answer(h, &l->path, out, (size_t)len);
}

static bool is_admitted(struct link *l, const ngtcp2_pkt_hd *hd, gw_time now)
{
	enum link_admission a = l->host->admit ? l->host->admit(l, now) : LINK_ADMIT;

	if (a == LINK_PROVE)
		write_retry(l, hd, now);
	else if (a == LINK_REFUSE)
		l->host->drop_limit++;
	return a == LINK_ADMIT;
}

/* A Retry went to those only that had knocked.  Who has lost it sends the same knock again. */
static bool is_heard(struct link *l, const ngtcp2_pkt_hd *hd, gw_time now)
{
	struct link_host *h = l->host;

	if (!h->knows || l->proven || link_hear_knock(l, hd, now))
		return true;
	h->drop_knock++;
	return false;
}

static bool is_new(struct link *l, const ngtcp2_cid *odcid, gw_time now)
{
	if (link_knock_is_new(l, odcid, now))
		return true;
	l->host->drop_knock++;
	return false;
}

/* False: out of memory, or TLS failed. */
static bool start_server(struct link *l, const ngtcp2_pkt_hd *hd, const ngtcp2_cid *odcid,
			 gw_time now)
{
	struct link_host *h = l->host;
	struct sockaddr_storage store[2];
	ngtcp2_transport_params params;
	ngtcp2_settings settings;
	ngtcp2_path path;
	ngtcp2_cid scid;

	link_configure(l, &settings, &params, now);
	quic_server_params(&params, odcid);
	if (l->proven)
		quic_retried(&params, &settings, hd);
	link_quic_path(l, &l->path, store, &path);
	link_random_cid(h, &scid, CID_SIZE);
	if (!link_register_cid(l, &scid) ||
	    ngtcp2_conn_server_new(&l->quic, &hd->scid, &scid, &path, hd->version, &link_callbacks,
				   &settings, &params, &h->pool.mem, l) != 0 ||
	    link_begin_tls(l) < 0 || !link_register_cid(l, &hd->dcid)) {
		map_remove(&h->by_cid, cid_key(scid.data));
		return false;
	}
	l->odcid = cid_key(hd->dcid.data);
	return true;
}

static struct link *link_accept(struct link_host *h, const struct path *path,
				const ngtcp2_pkt_hd *hd, gw_time now)
{
	struct link *l = link_create(h, false, path, now);
	ngtcp2_cid odcid = hd->dcid;

	if (!l)
		return NULL;
	l->proven = has_token(h, path, hd, &odcid, now);
	if (!is_heard(l, hd, now) || !is_admitted(l, hd, now)) {
		link_free(l);
		return NULL;
	}
	if (!is_new(l, &odcid, now) || !start_server(l, hd, &odcid, now)) {
		if (h->admit)
			h->on_closed(l, now);
		link_free(l);
		return NULL;
	}
	link_schedule(l, 0);
	return l;
}

/* --- new clients --- */

/* Those who do not even know our key take no place from others. */
static bool is_stranger(const struct link_host *h, const struct path *path, const ngtcp2_pkt_hd *hd,
			gw_time now)
{
	ngtcp2_cid odcid;

	return h->knows && !link_may_knock(h, hd) && !has_token(h, path, hd, &odcid, now);
}

bool link_wait_for_turn(struct link_host *h, const struct path *path, const uint8_t *data,
			size_t len, gw_time now)
{
	ngtcp2_pkt_hd hd;
	struct waiting *w;

	if (ngtcp2_accept(&hd, data, len) != 0 || hd.version != NGTCP2_PROTO_VER_V1 ||
	    hd.dcid.datalen < CID_SIZE) {
		h->drop_no_link++;
		return false;
	}
	if (is_stranger(h, path, &hd, now)) {
		h->drop_knock++;
		return false;
	}
	w = h->n_half_open < h->half_open_max && h->n_waiting < WAITING_MAX
		    ? malloc(sizeof(*w) + len)
		    : NULL;
	if (!w) {
		h->drop_limit++;
		return false;
	}
	*w = (struct waiting){ .path = *path, .len = len };
	memcpy(w->data, data, len);
	list_append(&h->waiting, &w->link);
	if (h->n_waiting++ == 0)
		h->waiting_since = now;
	return true;
}

void link_drop_waiting(struct link_host *h)
{
	list_each(&h->waiting, i, next)
		free(container_of(i, struct waiting, link));
}

/* True: a handshake has begun. */
static bool serve(struct link_host *h, const struct waiting *w, gw_time now)
{
	ngtcp2_pkt_hd hd;
	struct link *l;
	bool begun;

	if (ngtcp2_accept(&hd, w->data, w->len) != 0)
		return false;
	l = map_get(&h->by_cid, cid_key(hd.dcid.data));
	begun = !l;
	if (!l && h->n_half_open >= h->half_open_max)
		h->drop_limit++;
	else if (!l)
		l = link_accept(h, &w->path, &hd, now);
	if (l)
		link_read_packet(l, &w->path, w->data, w->len, now);
	return l && begun;
}

/* Sending a client away costs little. */
void link_serve_next(struct link_host *h, gw_time now)
{
	struct list_item *first;
	bool begun = false;

	for (int i = 0; i < TURNED_AWAY_MAX && !begun && (first = list_first(&h->waiting)); i++) {
		struct waiting *w = container_of(first, struct waiting, link);

		list_remove(first);
		h->n_waiting--;
		begun = serve(h, w, now);
		free(w);
	}
}
