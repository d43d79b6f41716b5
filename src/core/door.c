/* SPDX-License-Identifier: Apache-2.0 */
#include "core/door.h"

#include <stdlib.h>
#include <string.h>

#include "core/audit.h"
#include "core/beacons.h"
#include "core/connection.h"
#include "core/outbox.h"
#include "core/peer.h"
#include "quic/quic.h"

enum {
	WAITING_MAX = 256,  /* first packets */
	CROWD = 16,         /* more of them: live connections go first */
	UNPROVEN_MAX = 64,  /* handshakes, before others have to show where they are */
	KEY_UNPROVEN = 16,  /* of one key */
	KEY_MAX = 32,       /* of one key, wherever it is */
	TURNED_AWAY_MAX = 4 /* before the next turn */
};

#define CROWD_GAP (1 * GW_MSEC)

struct waiting {
	struct list_item link;
	struct path path;
	uint64_t relay; /* number of the beacon; 0: direct */
	uint64_t channel;
	size_t len;
	uint8_t data[];
};

int door_init(struct node *n)
{
	list_init(&n->waiting);
	rng_bytes(n->rng, n->retry_secret, sizeof(n->retry_secret));
	n->knock_seed = rng_u64(n->rng);
	return knock_self_init(n->knock_self, n->identity);
}

void door_clear(struct node *n)
{
	list_each(&n->waiting, i, tmp)
		free(container_of(i, struct waiting, link));
	knock_seen_free(n->knocks);
	secret_free(n->knock_self);
	bytes_wipe(n->retry_secret, sizeof(n->retry_secret));
}

/* --- who knocks --- */

static bool has_streams(const struct node *n, const uint8_t *key)
{
	for (const struct peer *p = NULL; (p = peer_next_of_key(n, key, p));)
		if (p->n_live > 0 || p->wanted)
			return true;
	return false;
}

static struct credential *check_chain(struct node *n, const uint8_t *key, const uint8_t *chain,
				      size_t len, const struct path *path,
				      const struct beacon_ref *b, gw_time now)
{
	enum trust_refusal why;
	struct credential *shown;

	if (len == 0)
		return NULL;
	shown = networks_check(n, key, chain, len, &why, now);
	if (!shown && why != TRUST_OK)
		audit_refused(n, AUDIT_CERTIFICATE, key, path, b, trust_refusal_text(why));
	return shown;
}

bool door_is_open(const struct node *n, const uint8_t *key, const struct credential *shown)
{
	struct principal who = networks_principal(key, shown);

	return policy_welcomes(&n->policy, &who) || has_streams(n, key);
}

/* Who has a ticket of ours, or was let through by our own beacon, knows that we are here: a plain
 * answer tells nothing new.  Others get none. */
static void refuse(struct node *n, const struct path *path, const struct beacon_ref *b,
		   uint64_t channel, const ngtcp2_pkt_hd *hd, const struct guest *g)
{
	uint8_t out[WIRE_CHANNEL_HEADER + WIRE_REFUSAL_SIZE];
	struct wire_refusal r;

	if ((!b && !g->courteous) || hd->scid.datalen != WIRE_CID_SIZE)
		return;
	memcpy(r.scid, hd->scid.data, WIRE_CID_SIZE);
	knock_refusal_tag(r.tag, g->answer, r.scid);
	wire_refusal_encode(out + WIRE_CHANNEL_HEADER, &r);
	wire_channel_encode(out, channel);
	if (!b)
		outbox_send(n, path, out + WIRE_CHANNEL_HEADER, WIRE_REFUSAL_SIZE);
	else if (b->link)
		outbox_send(n, &b->link->path, out, sizeof(out));
}

void door_refusal(struct node *n, const uint8_t *data, size_t len, gw_time now)
{
	struct wire_refusal r;
	uint8_t tag[KNOCK_TAG];
	struct connection *c = NULL;
	uint64_t key;

	if (wire_refusal_decode(&r, data, len) > 0) {
		memcpy(&key, r.scid, sizeof(key));
		c = map_get(&n->by_cid, key);
	}
	if (!c || !c->dialler || c->state != CONN_HANDSHAKE) {
		n->stats.drop_no_connection++;
		return;
	}
	knock_refusal_tag(tag, c->answer, r.scid);
	if (bytes_equal(tag, r.tag, sizeof(tag)))
		connection_kill(c, CLOSE_NONE, GW_E_DENIED, now);
	else
		n->stats.drop_refused++;
}

/* Is the policy's answer yes?  `shown` is given up when not. */
static bool is_welcome(struct node *n, const uint8_t *key, struct credential *shown,
		       const struct path *path, const struct beacon_ref *b)
{
	if (memcmp(key, n->identity->key, KEY_SIZE) != 0 && door_is_open(n, key, shown))
		return true;
	n->stats.drop_refused++;
	audit_refused(n, AUDIT_KNOCK, key, path, b, "no rule allows it anything");
	credentials_free(shown);
	return false;
}

static const char *refusal_text(enum knock_refusal why)
{
	return why == KNOCK_CLOCK ? "its clock differs by more than 15 minutes"
				  : "the knock has been heard before";
}

static bool opens(struct node *n, const struct path *path, const struct beacon_ref *b,
		  uint64_t channel, const ngtcp2_pkt_hd *hd, struct guest *out, gw_time now)
{
	ngtcp2_vec token = quic_token(hd);
	uint64_t wall = node_wall_ms(n, now);
	enum knock_refusal why;
	struct knock k;

	why = knock_open(&k, n->knock_self, hd->dcid.data, token.base, token.len, wall);
	if (why == KNOCK_OK && knock_seen_has(n->knocks, hd->dcid.data))
		why = KNOCK_REPLAY;
	if (why == KNOCK_CLOCK || why == KNOCK_REPLAY)
		audit_refused(n, AUDIT_KNOCK, k.key, path, b, refusal_text(why));
	if (why != KNOCK_OK) {
		n->stats.drop_knock++;
		return false;
	}
	memcpy(out->key, k.key, KEY_SIZE);
	out->shown = check_chain(n, k.key, k.chain, k.chain_len, path, b, now);
	memcpy(out->dcid, hd->dcid.data, KNOCK_DCID);
	memcpy(out->answer, k.answer, sizeof(out->answer));
	out->wall_ms = k.wall_ms;
	out->courteous = k.courteous;
	if (is_welcome(n, k.key, out->shown, path, b))
		return true;
	refuse(n, path, b, channel, hd, out);
	return false;
}

/* --- Retry: nothing is kept of who has to show where it is --- */

static bool returns_retry(struct node *n, const struct path *path, const ngtcp2_pkt_hd *hd,
			  struct guest *out, gw_time now)
{
	ngtcp2_vec token = quic_token(hd);
	struct retry_token t;

	if (!retry_open(&t, n->retry_secret, &path->remote, token.base, token.len, now) ||
	    t.odcid_len != KNOCK_DCID)
		return false;
	out->retried = true;
	out->wall_ms = t.wall_ms;
	memcpy(out->dcid, t.odcid, KNOCK_DCID);
	memcpy(out->key, t.key, KEY_SIZE);
	out->shown = check_chain(n, t.key, t.chain, t.chain_len, path, NULL, now);
	return is_welcome(n, t.key, out->shown, path, NULL);
}

/* Shorter than what it answers. */
static void send_retry(struct node *n, const struct path *path, const ngtcp2_pkt_hd *hd,
		       const struct guest *g, gw_time now)
{
	uint8_t token[RETRY_TOKEN_MAX], nonce[24], *out = n->held;
	struct retry_token t = { .odcid_len = hd->dcid.datalen, .wall_ms = g->wall_ms };
	ngtcp2_ssize len;
	ngtcp2_cid scid;

	if (n->held_len > 0)
		return; /* it will come again */
	memcpy(t.odcid, hd->dcid.data, hd->dcid.datalen);
	memcpy(t.key, g->key, KEY_SIZE);
	if (g->shown) {
		t.chain_len = g->shown->member.len;
		memcpy(t.chain, g->shown->member.chain, t.chain_len);
	}
	rng_bytes(n->rng, nonce, sizeof(nonce));
	scid.datalen = KNOCK_DCID;
	rng_bytes(n->rng, scid.data, scid.datalen);
	len = ngtcp2_crypto_write_retry(
		out, PAYLOAD_MIN, hd->version, &hd->scid, &scid, &hd->dcid, token,
		retry_seal(token, n->retry_secret, nonce, &path->remote, &t, now));
	if (len <= 0)
		return;
	n->held_len = (size_t)len;
	n->held_path = *path;
	n->stats.retries++;
}

/* --- the turn of one --- */

/* Once only.  Who gets a Retry comes again with the same first packet if that is lost. */
static bool is_new(struct node *n, const struct path *path, const struct beacon_ref *b,
		   const struct guest *g, gw_time now)
{
	if (knock_seen_add(&n->knocks, g->dcid, g->key, g->wall_ms, node_wall_ms(n, now),
			   n->knock_seed))
		return true;
	n->stats.drop_knock++;
	audit_refused(n, AUDIT_KNOCK, g->key, path, b, refusal_text(KNOCK_REPLAY));
	return false;
}

/* Who is allowed in keeps nobody else out by handshakes that come to nothing. */
static bool is_crowd(struct node *n, const struct guest *g)
{
	if (n->at_door[knock_owner(g->key, n->knock_seed)] < KEY_MAX)
		return false;
	n->stats.drop_limit++;
	return true;
}

static bool has_to_prove(const struct node *n, const struct guest *g)
{
	return n->n_unproven >= UNPROVEN_MAX ||
	       n->at_door[knock_owner(g->key, n->knock_seed)] >= KEY_UNPROVEN;
}

static bool admit(struct node *n, const struct path *path, const struct beacon_ref *b,
		  uint64_t channel, const ngtcp2_pkt_hd *hd, struct guest *out, gw_time now)
{
	if ((b || !returns_retry(n, path, hd, out, now)) &&
	    (out->retried || !opens(n, path, b, channel, hd, out, now)))
		return false;
	/* A beacon has shown where those are that come through it. */
	if (!b && !out->retried && has_to_prove(n, out))
		send_retry(n, path, hd, out, now);
	else if (!is_crowd(n, out) && is_new(n, path, b, out, now))
		return true;
	credentials_free(out->shown);
	return false;
}

/* True: a handshake has begun. */
static bool begin(struct node *n, const struct path *path, struct beacon_ref *b, uint64_t channel,
		  const ngtcp2_pkt_hd *hd, struct connection **out, gw_time now)
{
	struct guest guest = { 0 };

	if (n->n_half_open >= HALF_OPEN_MAX) {
		n->stats.drop_limit++;
		return false;
	}
	if (!admit(n, path, b, channel, hd, &guest, now))
		return false;
	*out = connection_accept(n, path, b, channel, hd, &guest, now);
	if (!*out)
		n->stats.drop_limit++;
	return true;
}

/* True: a handshake has begun.  A second packet of it may have waited behind the first. */
static bool serve(struct node *n, const struct path *path, struct beacon_ref *b, uint64_t channel,
		  const uint8_t *data, size_t len, gw_time now)
{
	struct connection *c;
	ngtcp2_pkt_hd hd;
	bool begun;

	if (ngtcp2_accept(&hd, data, len) != 0)
		return false;
	c = b ? map_get(&n->by_channel, channel)
	      : connection_of_initial(n, &path->remote, hd.dcid.data);
	begun = !c && begin(n, path, b, channel, &hd, &c, now);
	if (c && c->relay == b)
		connection_read(c, b ? &c->path : path, data, len, now);
	return begun;
}

/* What is cheap to find out, so that strangers take nobody's place. */
static bool may_be_knock(struct node *n, const struct path *path, const struct beacon_ref *b,
			 const uint8_t *data, size_t len, gw_time now)
{
	struct retry_token retry;
	ngtcp2_pkt_hd hd;
	ngtcp2_vec token;

	if (ngtcp2_accept(&hd, data, len) != 0 || hd.version != NGTCP2_PROTO_VER_V1 ||
	    hd.dcid.datalen != KNOCK_DCID)
		return false;
	token = quic_token(&hd);
	return knock_has_tag(n->knock_self, hd.dcid.data, token.base, token.len) ||
	       (!b &&
		retry_open(&retry, n->retry_secret, &path->remote, token.base, token.len, now));
}

static void wait(struct node *n, const struct path *path, const struct beacon_ref *b,
		 uint64_t channel, const uint8_t *data, size_t len)
{
	struct waiting *w = n->n_waiting < WAITING_MAX ? malloc(sizeof(*w) + len) : NULL;

	if (!w) {
		n->stats.drop_limit++;
		return;
	}
	*w = (struct waiting){ .path = *path, .channel = channel, .len = len };
	w->relay = b ? b->number : 0;
	memcpy(w->data, data, len);
	list_append(&n->waiting, &w->link);
	n->n_waiting++;
}

void door_receive(struct node *n, const struct path *path, struct beacon_ref *b, uint64_t channel,
		  const uint8_t *data, size_t len, gw_time now)
{
	if (!may_be_knock(n, path, b, data, len, now)) {
		n->stats.drop_knock++;
		return;
	}
	if (n->door_busy) {
		wait(n, path, b, channel, data, len);
		return;
	}
	n->door_busy = true;
	n->door_at = now;
	serve(n, path, b, channel, data, len, now);
}

gw_time door_due(const struct node *n)
{
	if (n->n_waiting == 0)
		return GW_NEVER;
	return n->n_waiting > CROWD ? n->door_at + CROWD_GAP : n->door_at;
}

static bool serve_waiting(struct node *n, const struct waiting *w, gw_time now)
{
	struct beacon_ref *b = w->relay ? beacons_of_number(n, w->relay) : NULL;

	return (!w->relay || b) && serve(n, &w->path, b, w->channel, w->data, w->len, now);
}

void door_expire(struct node *n, gw_time now)
{
	bool begun = false;

	n->door_busy = false;
	if (now < door_due(n))
		n->door_busy = true;
	for (int i = 0; i < TURNED_AWAY_MAX && !begun && now >= door_due(n); i++) {
		struct waiting *w = container_of(list_first(&n->waiting), struct waiting, link);

		list_remove(&w->link);
		n->n_waiting--;
		n->door_at = now;
		n->door_busy = true;
		begun = serve_waiting(n, w, now);
		free(w);
	}
}

/* --- our own --- */

size_t door_knock(struct connection *c, const ngtcp2_cid *dcid, uint8_t out[KNOCK_MAX], gw_time now)
{
	struct node *n = c->node;
	const struct network *w = networks_knock_with(c->peer);
	struct wire_knock what = { .wall_ms = node_wall_ms(n, now) };
	uint8_t ephemeral[32];
	ssize_t len;

	c->knocked = w;
	rng_bytes(n->rng, ephemeral, sizeof(ephemeral));
	rng_bytes(n->rng, c->answer, sizeof(c->answer));
	memcpy(what.answer, c->answer, sizeof(what.answer));
	memcpy(what.courtesy, c->peer->courtesy, sizeof(what.courtesy));
	if (w) {
		what.chain = w->self.chain;
		what.chain_len = w->self.len;
	}
	len = knock_make(out, n->knock_self, c->peer->key, dcid->data, ephemeral, &what);
	bytes_wipe(ephemeral, sizeof(ephemeral));
	return len > 0 ? (size_t)len : 0;
}
