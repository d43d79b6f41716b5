/* SPDX-License-Identifier: Apache-2.0 */
/* The networks of a node, and the credentials of its peers. */
#include "core/networks.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/audit.h"
#include "core/beacons.h"
#include "core/connection.h"
#include "core/names.h"
#include "core/peer.h"

/* --- networks --- */

void networks_init(struct node *n)
{
	list_init(&n->networks);
	n->networks_at = GW_NEVER;
}

struct network *networks_find(const struct node *n, const uint8_t key[KEY_SIZE])
{
	list_each(&n->networks, i, tmp) {
		struct network *w = container_of(i, struct network, link);

		if (memcmp(w->manifest.m.network, key, KEY_SIZE) == 0)
			return w;
	}
	return NULL;
}

uint32_t networks_wall_s(const struct node *n, gw_time now)
{
	uint64_t s = node_wall_ms(n, now) / 1000;

	return s < UINT32_MAX ? (uint32_t)s : UINT32_MAX;
}

static struct network *network_new(struct node *n, const uint8_t key[KEY_SIZE])
{
	struct network *w = n->n_networks < NETWORKS_MAX ? calloc(1, sizeof(*w)) : NULL;

	if (!w)
		return NULL;
	memcpy(w->manifest.m.network, key, KEY_SIZE);
	map_init(&w->by_serial, rng_u64(n->rng));
	list_append(&n->networks, &w->link);
	n->n_networks++;
	return w;
}

/* --- credentials --- */

static uint64_t serial_key(const struct member *m)
{
	uint64_t signer;

	memcpy(&signer, m->signer, sizeof(signer));
	return m->serial ^ signer;
}

static void credential_free(struct credential *c)
{
	struct map *by_serial = &c->network->by_serial;

	if (map_get(by_serial, serial_key(&c->member)) == c) {
		map_remove(by_serial, serial_key(&c->member));
		map_fit(by_serial);
	}
	free(c);
}

void credentials_free(struct credential *list)
{
	while (list) {
		struct credential *next = list->next;

		credential_free(list);
		list = next;
	}
}

/* Those of one network leave the list. */
static void drop_of(struct credential **list, const struct network *w)
{
	for (struct credential **at = list; *at;) {
		struct credential *c = *at;

		if (c->network != w) {
			at = &c->next;
			continue;
		}
		*at = c->next;
		credential_free(c);
	}
}

static void network_free(struct node *n, struct network *w)
{
	names_dropped(w, n);
	list_each(&n->peers, i, tmp)
		drop_of(&container_of(i, struct peer, all_link)->credentials, w);
	list_each(&n->connections, i, tmp) {
		struct connection *c = container_of(i, struct connection, all_link);

		drop_of(&c->shown, w);
		if (c->knocked == w)
			c->knocked = NULL;
	}
	list_remove(&w->link);
	n->n_networks--;
	map_clear(&w->by_serial);
	manifest_clear(&w->manifest);
	free(w);
}

void networks_clear(struct node *n)
{
	while (list_first(&n->networks))
		network_free(n, container_of(list_first(&n->networks), struct network, link));
}

/* Has another key shown that serial of that signer? */
static bool serial_taken(const struct network *w, const struct member *m)
{
	const struct credential *first = map_get(&w->by_serial, serial_key(m));

	return first && first->member.serial == m->serial &&
	       memcmp(first->member.signer, m->signer, KEY_SIZE) == 0 &&
	       memcmp(first->member.key, m->key, KEY_SIZE) != 0;
}

/* A known chain need not be verified again. */
static const struct credential *known(const struct node *n, const uint8_t *key,
				      const uint8_t *chain, size_t len)
{
	for (const struct peer *p = NULL; (p = peer_next_of_key(n, key, p));)
		for (const struct credential *c = p->credentials; c; c = c->next)
			if (c->member.len == len && memcmp(c->member.chain, chain, len) == 0)
				return c;
	return NULL;
}

static enum trust_refusal check(struct node *n, const uint8_t *key, const uint8_t *chain,
				size_t len, struct network **network, struct member *out,
				uint32_t now_s)
{
	const struct credential *before = known(n, key, chain, len);
	struct wire_chain decoded;
	enum trust_refusal why;

	if (before) {
		*network = before->network;
		*out = before->member;
		return member_still(out, &before->network->manifest, now_s);
	}
	if (wire_chain_decode(&decoded, chain, len) < 0) /* member_check() says why */
		return member_check(out, chain, len, &(struct manifest){ 0 }, now_s);
	*network = networks_find(n, decoded.network);
	if (!*network)
		return TRUST_NETWORK;
	why = member_check(out, chain, len, &(*network)->manifest, now_s);
	if (why == TRUST_OK && memcmp(out->key, key, KEY_SIZE) != 0)
		why = TRUST_RIGHTS;
	if (why == TRUST_OK && serial_taken(*network, out))
		why = TRUST_SERIAL;
	return why;
}

struct credential *networks_check(struct node *n, const uint8_t key[KEY_SIZE], const uint8_t *chain,
				  size_t len, enum trust_refusal *why, gw_time now)
{
	struct credential *c = calloc(1, sizeof(*c));

	*why = TRUST_OK;
	if (!c)
		return NULL;
	*why = check(n, key, chain, len, &c->network, &c->member, networks_wall_s(n, now));
	if (*why != TRUST_OK) {
		free(c);
		return NULL;
	}
	c->valid = true;
	return c;
}

static void wake_at(struct node *n, uint32_t at_s)
{
	uint64_t wall = node_wall_ms(n, n->networks_now), at = (uint64_t)at_s * 1000;

	n->networks_at =
		time_min(n->networks_at, n->networks_now + (at > wall ? at - wall : 0) * GW_MSEC);
}

void networks_show(struct peer *p, struct credential *list)
{
	while (list) {
		struct credential *c = list;
		struct map *by_serial = &c->network->by_serial;

		list = c->next;
		drop_of(&p->credentials, c->network);
		c->next = p->credentials;
		p->credentials = c;
		if (!map_get(by_serial, serial_key(&c->member)))
			(void)map_put(by_serial, serial_key(&c->member), c);
		wake_at(p->node, c->member.not_after);
	}
}

const struct credential *networks_of(const struct peer *p, const struct network *w)
{
	for (const struct credential *c = p->credentials; c; c = c->next)
		if (c->network == w)
			return c->valid ? c : NULL;
	return NULL;
}

struct principal networks_principal(const uint8_t *key, const struct credential *list)
{
	struct principal who = { .key = key };

	for (; list && who.n_members < NETWORKS_MAX; list = list->next)
		if (list->valid)
			who.members[who.n_members++] = &list->member;
	return who;
}

/* --- what holds at this moment --- */

static void refresh_self(struct node *n, struct network *w, uint32_t now_s)
{
	struct member self;

	if (!w->is_member)
		return;
	/* All of it: it may be from before there was a manifest. */
	w->self_state = member_own(&self, w->self.chain, w->self.len, &w->manifest, now_s);
	if (w->self_state == TRUST_OK)
		w->self = self;
	if (w->self_state == TRUST_OK)
		wake_at(n, w->self.not_after);
	else if (w->self_state == TRUST_EARLY)
		wake_at(n, now_s + 60);
}

static void refresh_list(struct node *n, struct credential *list, uint32_t now_s)
{
	for (struct credential *c = list; c; c = c->next) {
		c->valid = member_still(&c->member, &c->network->manifest, now_s) == TRUST_OK;
		if (c->valid)
			wake_at(n, c->member.not_after);
	}
}

/* After a manifest, an expiry, a step of the clock: who is still what? */
static void refresh(struct node *n, gw_time now)
{
	uint32_t now_s = networks_wall_s(n, now);

	n->networks_at = GW_NEVER;
	n->networks_now = now;
	list_each(&n->networks, i, tmp)
		refresh_self(n, container_of(i, struct network, link), now_s);
	list_each(&n->peers, i, tmp)
		refresh_list(n, container_of(i, struct peer, all_link)->credentials, now_s);
	list_each(&n->connections, i, tmp)
		refresh_list(n, container_of(i, struct connection, all_link)->shown, now_s);
	node_recheck(n, now);
}

gw_time networks_due(const struct node *n)
{
	return n->networks_at;
}

void networks_expire(struct node *n, gw_time now)
{
	n->networks_now = now;
	if (now >= n->networks_at)
		refresh(n, now);
}

void networks_clock_stepped(struct node *n, gw_time now)
{
	if (list_first(&n->networks))
		refresh(n, now);
}

/* --- what the application says --- */

static enum trust_refusal set_manifest(struct node *n, struct network *w, const uint8_t *data,
				       size_t len, gw_time now)
{
	struct manifest fresh;
	enum trust_refusal why =
		manifest_take(&fresh, data, len, w->manifest.m.network,
			      w->manifest.len ? &w->manifest : NULL, node_wall_ms(n, now));

	if (why != TRUST_OK)
		return why;
	manifest_clear(&w->manifest);
	w->manifest = fresh;
	return TRUST_OK;
}

static enum trust_refusal set_self(struct node *n, struct network *w, const uint8_t *chain,
				   size_t len, gw_time now)
{
	struct member self;
	enum trust_refusal why =
		member_own(&self, chain, len, &w->manifest, networks_wall_s(n, now));

	if (why == TRUST_OK && memcmp(self.key, n->identity->key, KEY_SIZE) != 0)
		why = TRUST_RIGHTS;
	if (why == TRUST_OK) {
		w->self = self;
		w->is_member = true;
	}
	return why;
}

enum trust_refusal node_network_set(struct node *n, const struct network_config *config,
				    gw_time now)
{
	struct network *w = networks_find(n, config->key);
	enum trust_refusal why = TRUST_OK;
	bool is_new = !w;

	if (!w)
		w = network_new(n, config->key);
	if (!w)
		return TRUST_LIMIT;
	if (config->manifest_len > 0) {
		why = set_manifest(n, w, config->manifest, config->manifest_len, now);
		if (why == TRUST_OLD)
			why = TRUST_OK; /* a peer was quicker than the file */
	}
	if (why == TRUST_OK && config->chain_len > 0)
		why = set_self(n, w, config->chain, config->chain_len, now);
	if (why != TRUST_OK && is_new) {
		network_free(n, w);
		return why;
	}
	networks_changed(n, w, now);
	return why;
}

void node_network_drop(struct node *n, const uint8_t key[KEY_SIZE], gw_time now)
{
	struct network *w = networks_find(n, key);

	if (!w)
		return;
	network_free(n, w);
	refresh(n, now);
}

bool node_network_next(const struct node *n, const uint8_t *after, struct network_info *out)
{
	const struct network *w = after ? networks_find(n, after) : NULL;
	struct list_item *i = w ? list_next(&n->networks, &w->link) : list_first(&n->networks);

	if (!i || (after && !w))
		return false;
	w = container_of(i, struct network, link);
	*out = (struct network_info){
		.manifest = &w->manifest,
		.self = w->is_member ? &w->self : NULL,
		.self_state = w->self_state,
	};
	return true;
}

const struct member *peer_member(const struct peer *p, const uint8_t network[KEY_SIZE])
{
	const struct network *w = networks_find(p->node, network);
	const struct credential *c = w ? networks_of(p, w) : NULL;

	return c ? &c->member : NULL;
}

/* --- manifests --- */

void networks_changed(struct node *n, struct network *w, gw_time now)
{
	refresh(n, now);
	networks_tell(n, w);
	names_changed(w, n, now);
}

enum trust_refusal networks_manifest(struct node *n, struct network *w, const uint8_t *data,
				     size_t len, const uint8_t *from, gw_time now)
{
	enum trust_refusal why = set_manifest(n, w, data, len, now);
	const struct path nowhere = { 0 };

	if (why == TRUST_OK) {
		w->is_news = true;
		networks_changed(n, w, now);
	} else if (why != TRUST_OLD) {
		audit_refused(n, AUDIT_MANIFEST, from, &nowhere, NULL, trust_refusal_text(why));
	}
	return why;
}

bool networks_next_news(struct node *n, uint8_t key[KEY_SIZE])
{
	list_each(&n->networks, i, tmp) {
		struct network *w = container_of(i, struct network, link);

		if (!w->is_news)
			continue;
		w->is_news = false;
		memcpy(key, w->manifest.m.network, KEY_SIZE);
		return true;
	}
	return false;
}
