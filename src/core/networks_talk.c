/* SPDX-License-Identifier: Apache-2.0 */
/* What peers tell each other of their networks: chains and manifests. */
#include <stdlib.h>
#include <string.h>

#include "core/audit.h"
#include "core/connection.h"
#include "core/networks.h"
#include "core/peer.h"

/* A manifest that comes in pieces. */
struct incoming_manifest {
	uint8_t network[KEY_SIZE];
	uint64_t sequence;
	size_t total, have;
	uint8_t data[];
};

/* --- what we say --- */

static void send_member(struct connection *c, const struct network *w)
{
	struct frame f = { .type = FRAME_MEMBER };

	f.member.chain = w->self.chain;
	f.member.len = w->self.len;
	connection_send(c, &f);
}

static void send_sequence(struct connection *c, const struct network *w)
{
	struct frame f = { .type = FRAME_NETWORK };

	memcpy(f.network.key, w->manifest.m.network, KEY_SIZE);
	f.network.sequence = w->manifest.m.sequence;
	connection_send(c, &f);
}

static void send_manifest(struct connection *c, const struct network *w)
{
	const struct manifest *m = &w->manifest;
	struct frame f = { .type = FRAME_MANIFEST };

	memcpy(f.manifest.key, m->m.network, KEY_SIZE);
	f.manifest.sequence = m->m.sequence;
	f.manifest.total = m->len;
	for (size_t at = 0; at < m->len; at += f.manifest.len) {
		size_t left = m->len - at;

		f.manifest.offset = at;
		f.manifest.bytes = m->bytes + at;
		f.manifest.len = left < WIRE_MANIFEST_PIECE ? left : WIRE_MANIFEST_PIECE;
		connection_send(c, &f);
	}
}

/* Who belongs to a network learns how new our manifest is, and that we belong to it; whom we have told
 * that when we knocked hears of a new chain. */
static void greet_in(struct connection *c, struct network *w)
{
	struct credential *theirs = c->peer->credentials;

	bool belongs;

	while (theirs && theirs->network != w)
		theirs = theirs->next;
	belongs = theirs && theirs->valid;
	if (w->is_member && w->self_state == TRUST_OK && (belongs || c->knocked == w))
		send_member(c, w);
	if (!belongs)
		return;
	theirs->sent = 0;
	send_sequence(c, w);
}

void networks_greet(struct connection *c)
{
	list_each(&c->node->networks, i, tmp)
		greet_in(c, container_of(i, struct network, link));
}

void networks_tell(struct node *n, struct network *w)
{
	list_each(&n->peers, i, tmp) {
		struct peer *p = container_of(i, struct peer, all_link);

		if (p->used && p->used->state == CONN_USED)
			greet_in(p->used, w);
	}
}

/* Peers that nobody knows anything of are tried with one network after the other. */
const struct network *networks_knock_with(const struct peer *p)
{
	const struct node *n = p->node;
	const struct network *fit[NETWORKS_MAX];
	size_t count = 0;

	list_each(&n->networks, i, tmp) {
		const struct network *w = container_of(i, struct network, link);

		if (!w->is_member || w->self_state != TRUST_OK)
			continue;
		if (networks_of(p, w))
			return w;
		fit[count++] = w;
	}
	return count ? fit[p->attempts % count] : NULL;
}

/* --- what they say --- */

/* Signatures cost far more than the bytes that they come in.  Who has had us check too many for
 * nothing is not heard for a while. */
static bool may_check(const struct connection *c, gw_time now)
{
	return c->checks_at <= now + (CHECKS_AT_ONCE - 1) * CHECK_GAP;
}

static void charge_check(struct connection *c, gw_time now)
{
	c->checks_at = time_max(c->checks_at, now) + CHECK_GAP;
}

static bool has_shown(const struct peer *p, const struct frame *f)
{
	for (const struct credential *i = p->credentials; i; i = i->next)
		if (i->member.len == f->member.len &&
		    memcmp(i->member.chain, f->member.chain, f->member.len) == 0)
			return true;
	return false;
}

static void take_member(struct connection *c, const struct frame *f, gw_time now)
{
	enum trust_refusal why;
	struct credential *shown;
	bool was_known;

	if (!has_shown(c->peer, f)) {
		if (!may_check(c, now))
			return;
		charge_check(c, now);
	}
	shown = networks_check(c->node, c->peer->key, f->member.chain, f->member.len, &why, now);
	if (!shown) {
		if (why != TRUST_OK && why != TRUST_NETWORK)
			audit_peer(c, AUDIT_CERTIFICATE, trust_refusal_text(why));
		return;
	}
	was_known = networks_of(c->peer, shown->network) != NULL;
	networks_show(c->peer, shown);
	if (!was_known)
		greet_in(c, shown->network);
}

static struct credential *credential_in(const struct peer *p, const struct network *w)
{
	struct credential *i = p->credentials;

	while (i && i->network != w)
		i = i->next;
	return i && i->valid ? i : NULL;
}

static void take_sequence(struct connection *c, const struct frame *f)
{
	const struct network *w = networks_find(c->node, f->network.key);
	struct credential *theirs = w ? credential_in(c->peer, w) : NULL;

	if (!theirs || f->network.sequence == w->manifest.m.sequence)
		return;
	if (f->network.sequence > w->manifest.m.sequence) {
		send_sequence(c, w); /* that is the question */
	} else if (theirs->sent != w->manifest.m.sequence) {
		theirs->sent = w->manifest.m.sequence;
		send_manifest(c, w);
	}
}

static void forget_incoming(struct connection *c)
{
	free(c->incoming);
	c->incoming = NULL;
}

static struct incoming_manifest *begin_manifest(struct connection *c, const struct frame *f)
{
	struct incoming_manifest *in;

	forget_incoming(c);
	in = malloc(sizeof(*in) + f->manifest.total);
	if (!in)
		return NULL;
	memcpy(in->network, f->manifest.key, KEY_SIZE);
	in->sequence = f->manifest.sequence;
	in->total = f->manifest.total;
	in->have = 0;
	c->incoming = in;
	return in;
}

static bool continues(const struct incoming_manifest *in, const struct frame *f)
{
	return in && memcmp(in->network, f->manifest.key, KEY_SIZE) == 0 &&
	       in->sequence == f->manifest.sequence && in->total == f->manifest.total &&
	       in->have == f->manifest.offset;
}

/* Pieces that nobody wants are skipped. */
static void take_manifest(struct connection *c, const struct frame *f, gw_time now)
{
	struct network *w = networks_find(c->node, f->manifest.key);
	struct incoming_manifest *in = c->incoming;

	if (!w || !credential_in(c->peer, w) || f->manifest.sequence <= w->manifest.m.sequence ||
	    !may_check(c, now))
		return;
	if (f->manifest.offset == 0)
		in = begin_manifest(c, f);
	if (!continues(in, f))
		return;
	memcpy(in->data + in->have, f->manifest.bytes, f->manifest.len);
	in->have += f->manifest.len;
	if (in->have < in->total)
		return;
	c->incoming = NULL;
	if (networks_manifest(c->node, w, in->data, in->total, c->peer->key, now) != TRUST_OK)
		charge_check(c, now);
	free(in);
}

void networks_frame(struct connection *c, const struct frame *f, gw_time now)
{
	if (f->type == FRAME_MEMBER)
		take_member(c, f, now);
	else if (f->type == FRAME_NETWORK)
		take_sequence(c, f);
	else
		take_manifest(c, f, now);
}
