/* SPDX-License-Identifier: Apache-2.0 */
/* Who is connected: docs/protocol.md, section 11. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "beacon/internal.h"

#define TOUCH_EACH (10 * 60 * GW_SEC)
#define CONDUIT_GRACE (10 * GW_SEC)

static struct beacon *beacon_of(const struct link *l)
{
	return l->host->user;
}

void session_send(struct session *s, const struct beacon_frame *f)
{
	link_send(s->link, f);
}

void session_result(struct session *s, uint64_t request, enum result_status status,
		    uint64_t sequence)
{
	struct beacon_frame f = { .type = BEACON_RESULT };

	if (!s)
		return;
	s->beacon->stats.refused += status == RESULT_LIMIT || status == RESULT_LATER;
	f.result.request = request;
	f.result.status = status;
	f.result.sequence = sequence > WIRE_VARINT_MAX ? WIRE_VARINT_MAX : sequence;
	session_send(s, &f);
}

void session_fail(struct session *s, uint64_t code, gw_time now)
{
	link_close(s->link, code, code == CLOSE_PROTOCOL ? GW_E_PROTOCOL : GW_E_CLOSED, NULL, 0,
		   now);
}

struct session *session_registered(const struct beacon *b, const uint8_t *key)
{
	struct keymap_item *i = keymap_get(&b->registered, key);

	return i ? container_of(i, struct session, by_key) : NULL;
}

/* --- where it is --- */

static struct conduit *conduit_of(const struct beacon *b, uint32_t via)
{
	struct conduit *c = via >= BEACON_CONDUITS ? map_get(&b->conduits, via) : NULL;

	return c && !c->coming ? c : NULL;
}

static void count_source(struct session *s, int change)
{
	s->source->sessions += (uint32_t)change;
	if (s->state != SESSION_OPENING)
		return;
	s->source->half_open += (uint32_t)change;
	if (s->unproven)
		s->source->unproven += (uint32_t)change;
}

/* GW_E_LIMIT: no account for it. */
static int take_source(struct session *s, gw_time now)
{
	struct beacon *b = s->beacon;
	const struct path *path = &s->link->path;
	struct conduit *c = conduit_of(b, path->via);
	struct account *a;

	if (path->via >= BEACON_CONDUITS && !c)
		return GW_E_LIMIT;
	a = c ? c->source : account_of_source(b, &path->remote, now);
	if (!a)
		return GW_E_LIMIT;
	if (c) {
		a->refs++;
		list_append(&c->sessions, &s->conduit_link);
	}
	s->source = a;
	count_source(s, 1);
	return 0;
}

static void drop_source(struct session *s, gw_time now)
{
	list_remove(&s->conduit_link);
	if (!s->source)
		return;
	count_source(s, -1);
	account_release(s->beacon, s->source, now);
	s->source = NULL;
}

struct addr session_endpoint(const struct session *s)
{
	const struct addr none = { 0 };

	return s->link->path.via >= BEACON_CONDUITS ? none : s->link->path.remote;
}

/* --- coming --- */

static bool is_within_limits(const struct session *s)
{
	const struct beacon_limits *l = &s->beacon->limits;

	return s->source->sessions <= l->source_sessions &&
	       s->source->half_open <= l->source_half_open;
}

/* Who may be anybody can use up nothing of those whose address it names: not their share of
 * handshakes, nor all of the beacon's. */
static enum link_admission judge_unproven(const struct session *s, gw_time now)
{
	const struct beacon *b = s->beacon;

	if (!is_within_limits(s) || b->links.n_half_open > b->limits.unproven ||
	    s->source->unproven > b->limits.source_unproven ||
	    !budget_left(b, s->source, METER_HANDSHAKES, now))
		return LINK_PROVE;
	return LINK_ADMIT;
}

static enum link_admission judge(const struct session *s, gw_time now)
{
	struct beacon *b = s->beacon;

	if (b->n_sessions >= b->limits.sessions)
		return LINK_REFUSE;
	if (s->unproven)
		return judge_unproven(s, now);
	return is_within_limits(s) && budget_take(b, NULL, s->source, METER_HANDSHAKES, 1, now)
		       ? LINK_ADMIT
		       : LINK_REFUSE;
}

/* TCP has proved the address of a TLS link. */
static bool is_unproven(const struct link *l)
{
	return !l->proven && l->path.via < BEACON_CONDUITS;
}

enum link_admission session_admit(struct link *l, gw_time now)
{
	struct beacon *b = beacon_of(l);
	struct session *s = calloc(1, sizeof(*s));
	enum link_admission admission = LINK_REFUSE;

	if (!s)
		return LINK_REFUSE;
	s->beacon = b;
	s->link = l;
	s->unproven = is_unproven(l);
	s->dies_at = s->touch_at = GW_NEVER;
	list_init(&s->ends);
	list_init(&s->watches);
	list_init(&s->requests);
	list_init(&s->chains);
	s->refused = NO_REQUEST;
	if (take_source(s, now) == 0)
		admission = judge(s, now);
	if (admission != LINK_ADMIT) {
		drop_source(s, now);
		free(s);
		return admission;
	}
	list_append(&b->sessions, &s->all_link);
	b->n_sessions++;
	b->stats.handshakes++;
	l->user = s;
	return LINK_ADMIT;
}

void session_up(struct link *l, gw_time now)
{
	struct session *s = l->user;

	s->source->half_open--;
	if (s->unproven) {
		s->source->unproven--;
		(void)budget_take(s->beacon, NULL, s->source, METER_HANDSHAKES, 1, now);
	}
	s->state = SESSION_SILENT;
	s->key = account_of_key(s->beacon, l->key, now);
	if (!s->key)
		session_fail(s, CLOSE_LIMIT, now);
}

static void schedule(struct session *s)
{
	gw_time at = time_min(s->touch_at, s->dies_at);

	if (heap_set(&s->beacon->timers, &s->timer, at) < 0)
		s->touch_at = GW_NEVER; /* the record may be forgotten early, no more */
}

void session_moved(struct link *l, gw_time now)
{
	struct session *s = l->user;
	struct account *old = s->source;
	struct beacon_frame f = { .type = BEACON_OBSERVED };

	list_remove(&s->conduit_link);
	count_source(s, -1);
	if (take_source(s, now) < 0)
		count_source(s, 1);
	else
		account_release(s->beacon, old, now);
	if (s->dies_at != GW_NEVER) {
		s->dies_at = GW_NEVER;
		schedule(s);
	}
	relay_moved(s);
	if (s->state != SESSION_ATTENDED)
		return;
	l->endpoint = f.observed.endpoint = session_endpoint(s);
	session_send(s, &f);
}

/* --- ATTEND --- */

static void welcome(struct session *s, gw_time now)
{
	struct beacon *b = s->beacon;
	struct beacon_frame f = { .type = BEACON_WELCOME };

	f.welcome.version = PROTOCOL_VERSION;
	f.welcome.flags = b->stats.draining ? WELCOME_DRAINING : 0;
	f.welcome.wall_ms = beacon_wall_ms(b, now);
	f.welcome.alternate_port = b->alternate_port;
	s->link->endpoint = f.welcome.endpoint = session_endpoint(s);
	session_send(s, &f);
}

static void in_use(struct session *loser, const struct session *winner, gw_time now)
{
	uint8_t claim[WIRE_CLAIM_SIZE];

	wire_claim_encode(claim, &winner->claim);
	link_close(loser->link, CLOSE_IN_USE, GW_E_IN_USE, claim, sizeof(claim), now);
}

static void unregister(struct session *s)
{
	if (!s->registered)
		return;
	s->registered = false;
	keymap_remove(&s->beacon->registered, &s->by_key);
	s->touch_at = GW_NEVER;
	schedule(s);
}

/* False: `s` is the older process. */
static bool replace(struct session *s, struct session *old, gw_time now)
{
	if (old->claim.incarnation == s->claim.incarnation) {
		relay_adopt(s, old);
		unregister(old);
		link_close(old->link, CLOSE_MOVED, GW_E_CLOSED, NULL, 0, now);
	} else if (s->claim.started_ms < old->claim.started_ms) {
		in_use(s, old, now);
		return false;
	} else {
		unregister(old);
		in_use(old, s, now);
	}
	s->beacon->stats.replaced++;
	return true;
}

/* +- 10 % */
static gw_time next_touch(struct session *s, gw_time now)
{
	return now + TOUCH_EACH * 9 / 10 + rng_below(s->beacon->rng, TOUCH_EACH / 5);
}

static void do_register(struct session *s, gw_time now)
{
	struct beacon *b = s->beacon;
	struct session *old = session_registered(b, s->link->key);

	if (old && !replace(s, old, now))
		return;
	memcpy(s->by_key.key, s->link->key, KEY_SIZE);
	if (keymap_put(&b->registered, &s->by_key) < 0) {
		session_fail(s, CLOSE_LIMIT, now);
		return;
	}
	s->registered = true;
	b->stats.registrations++;
	s->touch_at = next_touch(s, now);
	schedule(s);
	welcome(s, now);
	directory_registered(s);
}

static bool claim_valid(const struct session *s, const uint8_t *claim)
{
	return signature_valid(s->link->key, CLAIM_CONTEXT, claim, WIRE_CLAIM_SIGNED,
			       claim + WIRE_CLAIM_SIGNED);
}

void session_attend(struct session *s, const struct beacon_frame *f, gw_time now)
{
	bool registers = f->attend.flags & ATTEND_REGISTER;

	if (f->attend.version < PROTOCOL_VERSION ||
	    (registers && !claim_valid(s, f->attend.claim))) {
		session_fail(s, CLOSE_PROTOCOL, now);
		return;
	}
	s->state = SESSION_ATTENDED;
	wire_claim_decode(&s->claim, f->attend.claim);
	if (registers)
		do_register(s, now);
	else
		welcome(s, now);
}

/* --- going --- */

void session_closed(struct link *l, gw_time now)
{
	struct session *s = l->user;
	struct beacon *b = s->beacon;

	unregister(s);
	relay_forget(s);
	directory_forget(s);
	items_forget(s);
	roster_forget(s, now);
	heap_remove(&b->timers, &s->timer);
	drop_source(s, now);
	account_release(b, s->key, now);
	list_remove(&s->all_link);
	b->n_sessions--;
	l->user = NULL;
	free(s);
}

void session_expire(struct beacon *b, gw_time now)
{
	struct timer *t;

	while ((t = heap_top(&b->timers)) && t->at <= now) {
		struct session *s = container_of(t, struct session, timer);

		if (s->dies_at <= now) {
			heap_remove(&b->timers, t);
			s->dies_at = GW_NEVER;
			link_close(s->link, CLOSE_NONE, GW_E_UNREACHABLE, NULL, 0, now);
			continue;
		}
		directory_touch(s);
		s->touch_at = next_touch(s, now);
		schedule(s);
	}
}

/* --- TLS links --- */

static bool has_room(struct beacon *b, struct account *a, gw_time now)
{
	return a->conduits < b->limits.source_sessions &&
	       a->conduits_coming < b->limits.source_half_open &&
	       b->n_coming < b->limits.half_open &&
	       budget_take(b, NULL, a, METER_HANDSHAKES, 1, now);
}

bool beacon_conduit_coming(struct beacon *b, uint32_t via, const struct addr *remote, gw_time now)
{
	struct conduit *c = calloc(1, sizeof(*c));

	assert(via >= BEACON_CONDUITS);
	if (!c)
		return false;
	c->via = via;
	list_init(&c->sessions);
	c->source = account_of_source(b, remote, now);
	if (!c->source || !has_room(b, c->source, now) || map_put(&b->conduits, via, c) < 0) {
		b->stats.drops[DROP_HANDSHAKE]++;
		account_release(b, c->source, now);
		free(c);
		return false;
	}
	c->coming = true;
	b->n_coming++;
	c->source->conduits++;
	c->source->conduits_coming++;
	return true;
}

static void arrived(struct beacon *b, struct conduit *c)
{
	b->n_coming -= c->coming;
	c->source->conduits_coming -= c->coming;
	c->coming = false;
}

bool beacon_conduit_opened(struct beacon *b, uint32_t via, const struct addr *remote, gw_time now)
{
	if (!map_get(&b->conduits, via) && !beacon_conduit_coming(b, via, remote, now))
		return false;
	arrived(b, map_get(&b->conduits, via));
	return true;
}

bool beacon_conduit_is_idle(const struct beacon *b, uint32_t via)
{
	const struct conduit *c = map_get(&b->conduits, via);

	return !c || !list_first(&c->sessions);
}

void beacon_conduit_closed(struct beacon *b, uint32_t via, gw_time now)
{
	struct conduit *c = map_remove(&b->conduits, via);
	struct list_item *first;

	if (!c)
		return;
	while ((first = list_first(&c->sessions))) {
		struct session *s = container_of(first, struct session, conduit_link);

		list_remove(first);
		s->dies_at = now + CONDUIT_GRACE;
		schedule(s);
	}
	arrived(b, c);
	c->source->conduits--;
	account_release(b, c->source, now);
	free(c);
}
