/* SPDX-License-Identifier: Apache-2.0 */
/* Looking for a name: docs/protocol.md, section 17 (Names).
 *
 *	SEARCH_OPEN ──all have answered, or the time is up──► SEARCH_DONE ──event taken──► (freed)
 *
 * Nobody need be trusted who answers: each chain is checked, and one that is withheld by one beacon
 * may come from another. */
#include <stdlib.h>
#include <string.h>

#include "core/beacons.h"
#include "core/names.h"
#include "core/peer.h"

enum { SEARCHES_MAX = 64 };

#define LONGEST (5 * GW_SEC)
#define AFTER_FIRST (1 * GW_SEC) /* an answer */

enum search_state { SEARCH_OPEN, SEARCH_DONE };

struct search {
	struct list_item link; /* node->searches */
	enum search_state state;
	uint64_t id; /* and that of its FETCHes */
	struct network *network;
	char name[WIRE_NAME_MAX + 1];
	/* those that have not answered; to be compared, not to be followed */
	const struct beacon_ref *asked[CONFIGURED_MAX];
	size_t n_asked;
	bool answered; /* by one at least, or we know such a peer */
	gw_time decide_at;
	struct credential *found;
	int error;
	uint8_t key[KEY_SIZE];
};

/* --- who has the name? --- */

struct choice {
	const uint8_t *key; /* NULL: none */
	bool delegated, ambiguous;
};

/* Whom a CA has named counts more than whom an invite has. */
static void consider(struct choice *c, const struct member *m, const char *name)
{
	if (strcmp(m->name, name) != 0)
		return;
	if (!c->key || (c->delegated && !m->delegated))
		*c = (struct choice){ m->key, m->delegated, false };
	else if (c->delegated == m->delegated && memcmp(c->key, m->key, KEY_SIZE) != 0)
		c->ambiguous = true;
}

static struct choice choose_known(const struct node *n, const struct search *s)
{
	const struct network *w = s->network;
	struct choice c = { 0 };

	if (w->is_member && w->self_state == TRUST_OK)
		consider(&c, &w->self, s->name);
	list_each(&n->peers, i, tmp) {
		const struct peer *p = container_of(i, struct peer, all_link);
		const struct credential *shown = networks_of(p, w);

		/* Of an ephemeral member that is gone no name is kept. */
		if (shown && (p->used || !shown->member.ephemeral))
			consider(&c, &shown->member, s->name);
	}
	return c;
}

static struct choice choose(const struct node *n, const struct search *s, gw_time now)
{
	const struct manifest *m = &s->network->manifest;
	struct choice c = choose_known(n, s);

	for (const struct credential *f = s->found; f; f = f->next)
		if (member_still(&f->member, m, networks_wall_s(n, now)) == TRUST_OK)
			consider(&c, &f->member, s->name);
	return c;
}

/* The newest chain of the winner's is taken out of the list. */
static struct credential *take_found(struct search *s, const uint8_t *key)
{
	struct credential **best = NULL, *c;

	for (struct credential **at = &s->found; *at; at = &(*at)->next)
		if (memcmp((*at)->member.key, key, KEY_SIZE) == 0 &&
		    (!best || (*at)->member.not_before > (*best)->member.not_before))
			best = at;
	if (!best)
		return NULL;
	c = *best;
	*best = c->next;
	c->next = NULL;
	return c;
}

/* What we may do with the peer, and which of our chains it wants to see, depends on what it is. */
static void show(struct node *n, struct search *s, gw_time now)
{
	bool is_self = memcmp(s->key, n->identity->key, KEY_SIZE) == 0;
	struct credential *c = take_found(s, s->key);
	struct peer *p = c && !is_self ? peer_get(n, s->key, now) : NULL;
	const struct credential *present = p ? networks_of(p, s->network) : NULL;

	n->networks_now = now;
	if (p && (!present || present->member.not_before < c->member.not_before))
		networks_show(p, c);
	else
		credentials_free(c);
}

static void finish(struct search *s, int error)
{
	credentials_free(s->found);
	s->found = NULL;
	s->network = NULL;
	s->n_asked = 0;
	s->state = SEARCH_DONE;
	s->error = error;
	s->decide_at = GW_NEVER;
}

static void decide(struct node *n, struct search *s, gw_time now)
{
	struct choice c = choose(n, s, now);

	if (!c.key) {
		finish(s, s->answered ? GW_E_NOT_FOUND : GW_E_UNREACHABLE);
	} else if (c.ambiguous) {
		finish(s, GW_E_AMBIGUOUS);
	} else {
		memcpy(s->key, c.key, KEY_SIZE);
		show(n, s, now);
		finish(s, 0);
	}
}

/* Nobody is left whose answer might be another one. */
static void reconsider(struct node *n, struct search *s, gw_time now)
{
	if (s->state == SEARCH_OPEN && s->answered && s->n_asked == 0)
		decide(n, s, now);
}

static void first_answer(struct search *s, gw_time now)
{
	if (!s->answered)
		s->decide_at = time_min(s->decide_at, now + AFTER_FIRST);
	s->answered = true;
}

/* --- asking --- */

/* Before there is a manifest no chain could be checked. */
static void ask(struct search *s, struct beacon_ref *b)
{
	struct beacon_frame f = { .type = BEACON_FETCH };

	if (s->network->manifest.len == 0 || s->n_asked == CONFIGURED_MAX)
		return;
	f.fetch.request = s->id;
	f.fetch.kind = STORED_CHAIN;
	name_hash(f.fetch.key, s->network->manifest.m.network, s->name);
	link_send(b->link, &f);
	s->asked[s->n_asked++] = b;
}

static void ask_all(struct node *n, struct search *s, gw_time now)
{
	bool any = false;

	list_each(&n->refs, i, tmp) {
		struct beacon_ref *b = container_of(i, struct beacon_ref, all_link);

		if (!names_can_ask(b))
			continue;
		any = true;
		ask(s, b);
	}
	if (any)
		return;
	list_each(&n->refs, i, tmp) {
		struct beacon_ref *b = container_of(i, struct beacon_ref, all_link);

		if (b->configured)
			beacons_want(b, now);
	}
}

int node_find_name(struct node *n, const uint8_t network[KEY_SIZE], const char *name, uint64_t *id,
		   gw_time now)
{
	struct network *w = networks_find(n, network);
	struct search *s;

	if (n->closing)
		return GW_E_CLOSED;
	if (!w || !wire_name_valid(name))
		return GW_E_INVALID;
	if (n->n_searches == SEARCHES_MAX)
		return GW_E_LIMIT;
	s = calloc(1, sizeof(*s));
	if (!s)
		return GW_E_NOMEM;
	s->id = ++n->next_request;
	s->network = w;
	memcpy(s->name, name, strlen(name));
	s->decide_at = now + LONGEST;
	list_append(&n->searches, &s->link);
	n->n_searches++;
	ask_all(n, s, now);
	if (choose_known(n, s).key)
		first_answer(s, now);
	reconsider(n, s, now);
	*id = s->id;
	return 0;
}

/* --- what comes --- */

static struct search *find_search(const struct node *n, uint64_t id)
{
	list_each(&n->searches, i, tmp) {
		struct search *s = container_of(i, struct search, link);

		if (s->id == id && s->state == SEARCH_OPEN)
			return s;
	}
	return NULL;
}

/* False: it was not asked, or has answered already. */
static bool is_asked(const struct search *s, const struct beacon_ref *b)
{
	for (size_t i = 0; i < s->n_asked; i++)
		if (s->asked[i] == b)
			return true;
	return false;
}

static void forget_asked(struct search *s, const struct beacon_ref *b)
{
	for (size_t i = 0; i < s->n_asked; i++)
		if (s->asked[i] == b)
			s->asked[i--] = s->asked[--s->n_asked];
}

static size_t count_found(const struct search *s)
{
	size_t count = 0;

	for (const struct credential *c = s->found; c; c = c->next)
		count++;
	return count;
}

/* An honest beacon has checked it; but its manifest may be older than ours, or its clock another. */
static void chain_came(struct beacon_ref *b, struct search *s, const uint8_t *data, size_t len,
		       gw_time now)
{
	enum { FOUND_MAX = 4 * CONFIGURED_MAX }; /* as many as they may give */
	struct wire_chain chain;
	enum trust_refusal why;
	struct credential *c;

	if (wire_chain_decode(&chain, data, len) < 0 || count_found(s) == FOUND_MAX)
		return;
	c = networks_check(b->node, chain.links[chain.n_links - 1].key, data, len, &why, now);
	if (why == TRUST_SIGNATURE)
		b->fault = "gave a forged certificate";
	if (!c)
		return;
	if (c->network != s->network || strcmp(c->member.name, s->name) != 0) {
		b->fault = "gave a certificate of another name";
		credentials_free(c);
		return;
	}
	c->next = s->found;
	s->found = c;
}

bool search_item(struct beacon_ref *b, const struct beacon_frame *f, gw_time now)
{
	struct search *s = find_search(b->node, f->item.request);

	if (!s || !is_asked(s, b))
		return false;
	if (f->item.kind == STORED_CHAIN && f->item.len == f->item.total)
		chain_came(b, s, f->item.bytes, f->item.len, now);
	return true;
}

bool search_result(struct beacon_ref *b, const struct beacon_frame *f, gw_time now)
{
	struct search *s = find_search(b->node, f->result.request);

	if (!s || !is_asked(s, b))
		return false;
	forget_asked(s, b);
	if (f->result.status == RESULT_OK || f->result.status == RESULT_NOT_FOUND)
		first_answer(s, now);
	reconsider(b->node, s, now);
	return true;
}

/* --- beacons and networks come and go --- */

void search_beacon_ready(struct beacon_ref *b, gw_time now)
{
	(void)now;
	list_each(&b->node->searches, i, tmp) {
		struct search *s = container_of(i, struct search, link);

		if (s->state == SEARCH_OPEN && !is_asked(s, b))
			ask(s, b);
	}
}

void search_beacon_lost(const struct beacon_ref *b, gw_time now)
{
	list_each(&b->node->searches, i, tmp) {
		struct search *s = container_of(i, struct search, link);

		if (!is_asked(s, b))
			continue;
		forget_asked(s, b);
		reconsider(b->node, s, now);
	}
}

void search_changed(struct network *w, struct node *n, gw_time now)
{
	list_each(&n->searches, i, tmp) {
		struct search *s = container_of(i, struct search, link);

		if (s->network == w && s->n_asked == 0 && !s->answered)
			ask_all(n, s, now);
	}
}

void search_dropped(const struct network *w, struct node *n)
{
	list_each(&n->searches, i, tmp) {
		struct search *s = container_of(i, struct search, link);

		if (s->network == w)
			finish(s, GW_E_INVALID);
	}
}

/* --- when --- */

gw_time search_due(const struct node *n)
{
	gw_time at = GW_NEVER;

	list_each(&n->searches, i, tmp)
		at = time_min(at, container_of(i, struct search, link)->decide_at);
	return at;
}

void search_expire(struct node *n, gw_time now)
{
	list_each(&n->searches, i, tmp) {
		struct search *s = container_of(i, struct search, link);

		if (now >= s->decide_at)
			decide(n, s, now);
	}
}

static void search_free(struct node *n, struct search *s)
{
	credentials_free(s->found);
	list_remove(&s->link);
	n->n_searches--;
	free(s);
}

void search_clear(struct node *n)
{
	while (list_first(&n->searches))
		search_free(n, container_of(list_first(&n->searches), struct search, link));
}

bool search_next(struct node *n, struct event *out)
{
	list_each(&n->searches, i, tmp) {
		struct search *s = container_of(i, struct search, link);

		if (s->state != SEARCH_DONE)
			continue;
		out->type = EVENT_NAME;
		out->ping_id = s->id;
		out->error = s->error;
		memcpy(out->key, s->key, KEY_SIZE);
		search_free(n, s);
		return true;
	}
	return false;
}
