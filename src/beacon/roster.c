/* SPDX-License-Identifier: Apache-2.0 */
/* Manifests, and the names of members: docs/protocol.md, section 17.
 *
 * A manifest is checked by its own signatures alone, a chain by the manifest that is here: who
 * brings one need not be trusted. */
#include <stdlib.h>
#include <string.h>

#include "beacon/internal.h"

enum { NAME_CHAINS_MAX = 4 };

#define CHAIN_LASTS (30 * 60 * GW_SEC)

static uint32_t wall_s(const struct beacon *b, gw_time now)
{
	return (uint32_t)(beacon_wall_ms(b, now) / 1000);
}

/* --- networks --- */

static struct beacon_network *find_network(const struct beacon *b, const uint8_t *key)
{
	struct keymap_item *i = keymap_get(&b->networks, key);

	return i ? container_of(i, struct beacon_network, by_key) : NULL;
}

static void used(struct beacon *b, struct beacon_network *w)
{
	list_remove(&w->by_use);
	list_append(&b->network_use, &w->by_use);
}

static void network_free(struct beacon *b, struct beacon_network *w)
{
	keymap_remove(&b->networks, &w->by_key);
	list_remove(&w->by_use);
	b->manifest_bytes -= w->manifest.len;
	manifest_clear(&w->manifest);
	free(w);
}

/* For one of `len` bytes.  The longest unused one goes first; one with members that are here stays. */
static bool make_room(struct beacon *b, size_t count, size_t len, const struct beacon_network *keep)
{
	list_each(&b->network_use, i, next) {
		struct beacon_network *w = container_of(i, struct beacon_network, by_use);

		if (b->networks.count + count <= b->limits.manifests &&
		    b->manifest_bytes + len <= b->limits.manifest_bytes)
			return true;
		if (w != keep && !list_first(&w->chains))
			network_free(b, w);
	}
	return b->networks.count + count <= b->limits.manifests &&
	       b->manifest_bytes + len <= b->limits.manifest_bytes;
}

static struct beacon_network *network_new(struct beacon *b, const uint8_t *key)
{
	struct beacon_network *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	memcpy(w->by_key.key, key, KEY_SIZE);
	list_init(&w->chains);
	if (keymap_put(&b->networks, &w->by_key) < 0) {
		free(w);
		return NULL;
	}
	return w;
}

/* --- chains --- */

static void leave_session(struct published *p)
{
	list_remove(&p->by_session);
	p->session = NULL;
}

static void join_session(struct published *p, struct session *s)
{
	list_remove(&p->by_session);
	list_append(&s->chains, &p->by_session);
	p->session = s;
}

static void unpublish(struct beacon *b, struct published *p, gw_time now)
{
	struct member_name *name = p->name;

	leave_session(p);
	list_remove(&p->by_network);
	list_remove(&p->by_name);
	heap_remove(&b->chain_ends, &p->ends);
	p->owner->chains--;
	account_release(b, p->owner, now);
	free(p);
	if (--name->count > 0)
		return;
	keymap_remove(&b->names, &name->by_hash);
	free(name);
}

static struct member_name *find_name(const struct beacon *b, const uint8_t *hash)
{
	struct keymap_item *i = keymap_get(&b->names, hash);

	return i ? container_of(i, struct member_name, by_hash) : NULL;
}

static struct member_name *get_name(struct beacon *b, const uint8_t *hash)
{
	struct member_name *n = find_name(b, hash);

	if (n)
		return n;
	n = calloc(1, sizeof(*n));
	if (!n)
		return NULL;
	memcpy(n->by_hash.key, hash, KEY_SIZE);
	list_init(&n->chains);
	if (keymap_put(&b->names, &n->by_hash) < 0) {
		free(n);
		return NULL;
	}
	return n;
}

static struct published *of_key(const struct member_name *n, const uint8_t *key)
{
	if (n)
		list_each(&n->chains, i, next) {
			struct published *p = container_of(i, struct published, by_name);

			if (memcmp(p->member.key, key, KEY_SIZE) == 0)
				return p;
		}
	return NULL;
}

static bool holds(const struct beacon *b, const struct published *p, gw_time now)
{
	return member_still(&p->member, &p->network->manifest, wall_s(b, now)) == TRUST_OK;
}

/* Of those that claim the name one may have to go: that holds no more, or for a CA's the delegated
 * one that was stored first.  NULL: none. */
static struct published *one_to_go(const struct beacon *b, const struct member_name *n,
				   const struct member *for_this, gw_time now)
{
	struct published *delegated = NULL;

	list_each(&n->chains, i, next) {
		struct published *p = container_of(i, struct published, by_name);

		if (!holds(b, p, now))
			return p;
		if (p->member.delegated && !delegated)
			delegated = p;
	}
	return for_this->delegated ? NULL : delegated;
}

/* The key is called otherwise now. */
static void drop_former_names(struct session *s, const struct published *present, gw_time now)
{
	list_each(&s->chains, i, next) {
		struct published *p = container_of(i, struct published, by_session);

		if (p != present && p->network == present->network &&
		    memcmp(p->member.key, present->member.key, KEY_SIZE) == 0)
			unpublish(s->beacon, p, now);
	}
}

/* Into `name`, where there is room. */
static struct published *published_new(struct session *s, struct beacon_network *w,
				       struct member_name *name, gw_time now)
{
	struct beacon *b = s->beacon;
	struct published *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	if (heap_set(&b->chain_ends, &p->ends, now + CHAIN_LASTS) < 0) {
		free(p);
		return NULL;
	}
	p->owner = account_of_key(b, s->link->key, now); /* the session has it, too: there it is */
	p->owner->chains++;
	p->network = w;
	p->name = name;
	name->count++;
	list_append(&name->chains, &p->by_name);
	list_append(&w->chains, &p->by_network);
	return p;
}

static enum result_status add_chain(struct session *s, struct beacon_network *w,
				    const struct member *m, struct published **out, gw_time now)
{
	struct beacon *b = s->beacon;
	uint8_t hash[KEY_SIZE];
	struct member_name *name;
	struct published *gone;

	if (b->chain_ends.count >= b->limits.names || s->key->chains >= b->limits.key_names)
		return RESULT_LIMIT;
	name_hash(hash, m->network, m->name);
	name = find_name(b, hash);
	if (name && name->count >= NAME_CHAINS_MAX) {
		gone = one_to_go(b, name, m, now);
		if (!gone)
			return RESULT_LIMIT;
		unpublish(b, gone, now); /* not the last one of that name */
	}
	name = get_name(b, hash);
	*out = name ? published_new(s, w, name, now) : NULL;
	if (*out)
		return RESULT_OK;
	if (name && name->count == 0) {
		keymap_remove(&b->names, &name->by_hash);
		free(name);
	}
	return RESULT_LATER;
}

static enum result_status publish(struct session *s, struct beacon_network *w,
				  const struct member *m, gw_time now)
{
	struct beacon *b = s->beacon;
	uint8_t hash[KEY_SIZE];
	struct published *p;
	enum result_status status;

	name_hash(hash, m->network, m->name);
	p = of_key(find_name(b, hash), m->key);
	if (!p) {
		status = add_chain(s, w, m, &p, now);
		if (status != RESULT_OK)
			return status;
	}
	p->member = *m;
	(void)heap_set(&b->chain_ends, &p->ends,
		       now + CHAIN_LASTS); /* is inside: needs no memory */
	join_session(p, s);
	drop_former_names(s, p, now);
	used(b, w);
	return RESULT_OK;
}

/* --- what came whole --- */

enum { NETWORK_AT = 1 }; /* where manifests and chains name their network */

static void take_chain(struct session *s, uint64_t request, const uint8_t *data, size_t len,
		       gw_time now)
{
	struct beacon *b = s->beacon;
	struct beacon_network *w;
	struct member m;

	w = len >= NETWORK_AT + KEY_SIZE ? find_network(b, data + NETWORK_AT) : NULL;
	if (len >= NETWORK_AT + KEY_SIZE && !w) {
		session_result(s, request, RESULT_NOT_FOUND, 0);
		return;
	}
	if (!w || member_check(&m, data, len, &w->manifest, wall_s(b, now)) != TRUST_OK ||
	    memcmp(m.key, s->link->key, KEY_SIZE) != 0 || m.name[0] == '\0') {
		session_result(s, request, RESULT_BAD, 0);
		return;
	}
	session_result(s, request, publish(s, w, &m, now), 0);
}

/* What the new manifest revokes, or its CAs have not signed. */
static void look_again(struct beacon *b, struct beacon_network *w, gw_time now)
{
	list_each(&w->chains, i, next) {
		struct published *p = container_of(i, struct published, by_network);

		if (!holds(b, p, now))
			unpublish(b, p, now);
	}
}

/* It becomes the network's. */
static enum result_status keep(struct beacon *b, struct beacon_network *w, struct manifest *m,
			       gw_time now)
{
	size_t more = w && w->manifest.len < m->len ? m->len - w->manifest.len : w ? 0 : m->len;

	if (!make_room(b, w ? 0 : 1, more, w))
		return RESULT_LIMIT;
	if (!w)
		w = network_new(b, m->m.network);
	if (!w)
		return RESULT_LATER;
	b->manifest_bytes += m->len;
	b->manifest_bytes -= w->manifest.len;
	manifest_clear(&w->manifest);
	w->manifest = *m;
	*m = (struct manifest){ 0 };
	used(b, w);
	look_again(b, w, now);
	return RESULT_OK;
}

static void take_manifest(struct session *s, uint64_t request, const uint8_t *data, size_t len,
			  gw_time now)
{
	struct beacon *b = s->beacon;
	struct beacon_network *w =
		len >= NETWORK_AT + KEY_SIZE ? find_network(b, data + NETWORK_AT) : NULL;
	struct manifest m = { 0 };
	enum trust_refusal why =
		manifest_take(&m, data, len, NULL, w ? &w->manifest : NULL, beacon_wall_ms(b, now));
	enum result_status status;
	uint64_t sequence;

	if (why == TRUST_OLD) {
		session_result(s, request, RESULT_OLDER, w ? w->manifest.m.sequence : 0);
		return;
	}
	if (why != TRUST_OK) {
		session_result(s, request, RESULT_BAD, 0);
		return;
	}
	sequence = m.m.sequence;
	status = keep(b, w, &m, now);
	session_result(s, request, status, sequence);
	if (status == RESULT_OK)
		directory_news(s, data + NETWORK_AT);
	manifest_clear(&m);
}

void roster_take(struct session *s, uint64_t request, enum stored_kind kind, const uint8_t *data,
		 size_t len, gw_time now)
{
	if (kind == STORED_MANIFEST)
		take_manifest(s, request, data, len, now);
	else
		take_chain(s, request, data, len, now);
}

/* --- FETCH --- */

static void fetch_manifest(struct session *s, const struct beacon_frame *f)
{
	struct beacon_network *w = find_network(s->beacon, f->fetch.key);

	directory_follow(s, f->fetch.key);
	if (!w) {
		session_result(s, f->fetch.request, RESULT_NOT_FOUND, 0);
		return;
	}
	used(s->beacon, w);
	if (w->manifest.m.sequence > f->fetch.sequence)
		items_send(s, f, w->manifest.bytes, w->manifest.len);
	session_result(s, f->fetch.request, RESULT_OK, w->manifest.m.sequence);
}

static void fetch_chains(struct session *s, const struct beacon_frame *f, gw_time now)
{
	const struct member_name *n = find_name(s->beacon, f->fetch.key);
	size_t found = 0;

	if (n)
		list_each(&n->chains, i, next) {
			const struct published *p = container_of(i, struct published, by_name);

			if (!holds(s->beacon, p, now))
				continue;
			items_send(s, f, p->member.chain, p->member.len);
			found++;
		}
	session_result(s, f->fetch.request, found > 0 ? RESULT_OK : RESULT_NOT_FOUND, 0);
}

void roster_fetch(struct session *s, const struct beacon_frame *f, gw_time now)
{
	struct beacon *b = s->beacon;

	b->stats.lookups++;
	if (!budget_take(b, s->key, s->source, METER_LOOKUPS, 1, now))
		session_result(s, f->fetch.request, RESULT_LIMIT, 0);
	else if (f->fetch.kind == STORED_MANIFEST)
		fetch_manifest(s, f);
	else if (f->fetch.kind == STORED_CHAIN)
		fetch_chains(s, f, now);
	else
		session_result(s, f->fetch.request, RESULT_BAD, 0);
}

/* --- time, and the end --- */

void roster_expire(struct beacon *b, gw_time now)
{
	struct timer *t;

	while ((t = heap_top(&b->chain_ends)) && t->at <= now)
		unpublish(b, container_of(t, struct published, ends), now);
}

void roster_forget(struct session *s, gw_time now)
{
	struct session *other =
		s->state == SESSION_ATTENDED ? session_registered(s->beacon, s->link->key) : NULL;
	struct list_item *first;

	while ((first = list_first(&s->chains))) {
		struct published *p = container_of(first, struct published, by_session);

		if (other && !p->member.ephemeral)
			join_session(p, other);
		else
			unpublish(s->beacon, p, now);
	}
}

void roster_init(struct beacon *b)
{
	list_init(&b->network_use);
	keymap_init(&b->networks, rng_u64(b->rng));
	keymap_init(&b->names, rng_u64(b->rng));
}

/* The sessions are gone, and their chains with them. */
void roster_clear(struct beacon *b)
{
	list_each(&b->network_use, i, next)
		network_free(b, container_of(i, struct beacon_network, by_use));
	keymap_clear(&b->networks);
	keymap_clear(&b->names);
	heap_clear(&b->chain_ends);
}
