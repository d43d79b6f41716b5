/* SPDX-License-Identifier: Apache-2.0 */
/* What a node and its beacons exchange of networks: docs/protocol.md, section 17.
 *
 *	for each network:  FETCH manifest ──► ours is newer: STORE it ──► STORE our chain, if it has a name
 *
 * One question at a time: sixteen manifests at once would not fit into a link's queue. */
#include "core/names.h"

#include <stdlib.h>
#include <string.h>

#include "core/beacons.h"

#define EACH (10 * 60 * GW_SEC)
#define PATIENCE (10 * GW_SEC) /* with beacons that know no such frames */
#define LATER (60 * GW_SEC)    /* after a refusal */
#define NEWS_GAP (5 * GW_SEC)  /* however often a beacon says that something is new */

bool names_can_ask(const struct beacon_ref *b)
{
	return b->configured && b->link && b->welcome;
}

static void forget_item(struct names_talk *t)
{
	free(t->bytes);
	t->bytes = NULL;
	t->total = t->len = 0;
}

static void stop(struct names_talk *t)
{
	t->request = 0;
	t->network = NULL;
	t->again_at = GW_NEVER;
	forget_item(t);
}

/* +- 10 % */
static void finish(struct beacon_ref *b, gw_time after, gw_time now)
{
	gw_time again_at = b->names.again_at;

	stop(&b->names);
	b->names.at = time_min(again_at, now + after * 9 / 10 + rng_below(b->node->rng, after / 5));
}

/* --- what we say --- */

static uint64_t new_request(struct beacon_ref *b, enum names_step step, gw_time now)
{
	struct names_talk *t = &b->names;

	t->step = step;
	t->request = ++b->node->next_request;
	t->at = now + PATIENCE;
	return t->request;
}

static void fetch(struct beacon_ref *b, struct network *w, gw_time now)
{
	struct beacon_frame f = { .type = BEACON_FETCH };

	b->names.network = w;
	f.fetch.request = new_request(b, NAMES_FETCH, now);
	f.fetch.kind = STORED_MANIFEST;
	memcpy(f.fetch.key, w->manifest.m.network, KEY_SIZE);
	f.fetch.sequence = w->manifest.m.sequence;
	link_send(b->link, &f);
}

static void store(struct beacon_ref *b, enum stored_kind kind, const uint8_t *data, size_t len,
		  gw_time now)
{
	struct beacon_frame f = { .type = BEACON_STORE };

	f.item.request = new_request(
		b, kind == STORED_CHAIN ? NAMES_STORE_CHAIN : NAMES_STORE_MANIFEST, now);
	f.item.kind = kind;
	f.item.total = len;
	for (size_t at = 0; at < len; at += f.item.len) {
		f.item.offset = at;
		f.item.bytes = data + at;
		f.item.len = len - at < WIRE_ITEM_PART ? len - at : WIRE_ITEM_PART;
		link_send(b->link, &f);
	}
}

static void next_network(struct beacon_ref *b, gw_time now)
{
	struct list *all = &b->node->networks;
	struct network *w = b->names.network;
	struct list_item *i = w ? list_next(all, &w->link) : list_first(all);

	if (i)
		fetch(b, container_of(i, struct network, link), now);
	else
		finish(b, EACH, now);
}

/* A one-shot process is not to be found by its name: its streams are its own. */
static void store_chain(struct beacon_ref *b, gw_time now)
{
	const struct network *w = b->names.network;

	if (w->is_member && w->self_state == TRUST_OK && w->self.name[0] != '\0' &&
	    !b->node->config.transient)
		store(b, STORED_CHAIN, w->self.chain, w->self.len, now);
	else
		next_network(b, now);
}

/* --- what comes back --- */

static bool is_refusal(uint64_t status)
{
	return status == RESULT_LIMIT || status == RESULT_LATER;
}

static void fetched(struct beacon_ref *b, const struct beacon_frame *f, gw_time now)
{
	const struct manifest *m = &b->names.network->manifest;
	uint64_t status = f->result.status;
	forget_item(&b->names);
	if (m->len > 0 && (status == RESULT_NOT_FOUND ||
			   (status == RESULT_OK && f->result.sequence < m->m.sequence)))
		store(b, STORED_MANIFEST, m->bytes, m->len, now);
	else
		store_chain(b, now);
}

bool names_result(struct beacon_ref *b, const struct beacon_frame *f, gw_time now)
{
	struct names_talk *t = &b->names;

	if (t->request == 0 || f->result.request != t->request)
		return search_result(b, f, now);
	t->request = 0;
	switch (t->step) {
	case NAMES_FETCH:
		if (is_refusal(f->result.status))
			finish(b, LATER, now);
		else
			fetched(b, f, now);
		break;
	case NAMES_STORE_MANIFEST:
		if (is_refusal(f->result.status))
			finish(b, LATER, now);
		else
			store_chain(b, now);
		break;
	case NAMES_STORE_CHAIN:
		next_network(b, now); /* a name that is full may be so for long */
		break;
	}
	return true;
}

/* An honest beacon has checked what it gives. */
static bool is_fault(enum trust_refusal why)
{
	return why == TRUST_MALFORMED || why == TRUST_NETWORK || why == TRUST_SIGNER ||
	       why == TRUST_SIGNATURE || why == TRUST_SELF;
}

static void manifest_came(struct beacon_ref *b, gw_time now)
{
	struct names_talk *t = &b->names;
	gw_time again_at = t->again_at;
	uint8_t *bytes = t->bytes;
	enum trust_refusal why;

	t->bytes = NULL; /* what follows may end this exchange */
	why = networks_manifest(b->node, t->network, bytes, t->total, b->key, now);
	free(bytes);
	if (is_fault(why))
		b->fault = "gave a forged manifest";
	t->again_at = again_at; /* this beacon knows it */
}

/* That a manifest is newer than what we were given: it comes as the answer to a question. */
static void news(struct beacon_ref *b, const struct beacon_frame *f, gw_time now)
{
	struct names_talk *t = &b->names;

	if (f->item.kind != ITEM_NEWS || f->item.len != KEY_SIZE || !names_can_ask(b) ||
	    !networks_find(b->node, f->item.bytes))
		return;
	if (t->news_at <= now)
		t->news_at = time_max(now, t->news_at + NEWS_GAP);
	if (t->request)
		t->again_at = time_min(t->again_at, t->news_at);
	else
		t->at = time_min(t->at, t->news_at);
}

static bool continues(const struct names_talk *t, const struct beacon_frame *f)
{
	return f->item.kind == STORED_MANIFEST && f->item.offset == t->len &&
	       (t->len == 0 || (t->bytes && f->item.total == t->total));
}

void names_item(struct beacon_ref *b, const struct beacon_frame *f, gw_time now)
{
	struct names_talk *t = &b->names;

	if (f->item.request == 0) {
		news(b, f, now);
		return;
	}
	if (t->request == 0 || f->item.request != t->request || t->step != NAMES_FETCH) {
		(void)search_item(b, f, now);
		return;
	}
	if (!continues(t, f)) {
		b->fault = "gave a broken manifest";
		return;
	}
	if (!t->bytes)
		t->bytes = malloc(f->item.total);
	if (!t->bytes)
		return;
	t->total = f->item.total;
	memcpy(t->bytes + t->len, f->item.bytes, f->item.len);
	t->len += f->item.len;
	if (t->len == t->total)
		manifest_came(b, now);
}

/* --- when --- */

static void begin(struct beacon_ref *b, gw_time now)
{
	if (list_first(&b->node->networks))
		next_network(b, now);
	else
		b->names.at = GW_NEVER;
}

void names_beacon_ready(struct beacon_ref *b, gw_time now)
{
	if (!names_can_ask(b))
		return;
	stop(&b->names);
	begin(b, now);
	search_beacon_ready(b, now);
}

void names_beacon_lost(struct beacon_ref *b, gw_time now)
{
	stop(&b->names);
	b->names.at = GW_NEVER;
	search_beacon_lost(b, now);
}

void names_changed(struct network *w, struct node *n, gw_time now)
{
	list_each(&n->refs, i, tmp) {
		struct beacon_ref *b = container_of(i, struct beacon_ref, all_link);

		if (!names_can_ask(b))
			continue;
		if (b->names.request)
			b->names.again_at = now;
		else
			b->names.at = now;
	}
	search_changed(w, n, now);
}

void names_dropped(struct network *w, struct node *n)
{
	list_each(&n->refs, i, tmp) {
		struct beacon_ref *b = container_of(i, struct beacon_ref, all_link);

		if (b->names.network != w)
			continue;
		stop(&b->names);
		b->names.at = 0; /* the others have not had their turn */
	}
	search_dropped(w, n);
}

gw_time names_due(const struct node *n)
{
	gw_time at = search_due(n);

	list_each(&n->refs, i, tmp)
		at = time_min(at, container_of(i, struct beacon_ref, all_link)->names.at);
	return at;
}

void names_expire(struct node *n, gw_time now)
{
	list_each(&n->refs, i, tmp) {
		struct beacon_ref *b = container_of(i, struct beacon_ref, all_link);

		if (now < b->names.at)
			continue;
		if (b->names.request)
			finish(b, EACH, now);
		else
			begin(b, now);
	}
	search_expire(n, now);
}

void names_init(struct node *n)
{
	list_init(&n->searches);
}

void names_clear(struct node *n)
{
	list_each(&n->refs, i, tmp)
		stop(&container_of(i, struct beacon_ref, all_link)->names);
	search_clear(n);
}
