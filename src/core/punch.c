/* SPDX-License-Identifier: Apache-2.0 */
#include "core/punch.h"

#include <stdlib.h>
#include <string.h>

#include "core/connection.h"
#include "core/dial.h"
#include "core/outbox.h"
#include "core/peer.h"
#include "core/spray.h"
#include "crypto/tag.h"

static const gw_time VOLLEYS[] = {
	0, 50 * GW_MSEC, 100 * GW_MSEC, 200 * GW_MSEC, 400 * GW_MSEC, 800 * GW_MSEC, 1600 * GW_MSEC,
};
static const gw_time AGAIN[] = { 15 * GW_SEC, 60 * GW_SEC, 300 * GW_SEC };
enum { VOLLEYS_COUNT = sizeof(VOLLEYS) / sizeof(VOLLEYS[0]), FOLLOW_UPS = 3 };

/* --- kinds of addresses --- */

enum { RANK_BEST = 3 };

/* A better kind of path; 0 is the relay. */
static unsigned rank(const struct addr *remote)
{
	return addr_is_private(remote) ? 3 : remote->family == ADDR_V6 ? 2 : 1;
}

static bool tellable(const struct addr *a)
{
	return addr_is_usable(a) && !addr_is_loopback(a) && !addr_is_link_local(a);
}

/* --- our own candidates --- */

static void add_candidate(struct wire_candidates *c, uint8_t kind, const struct addr *a)
{
	if (c->count == CANDIDATES_MAX || !tellable(a))
		return;
	for (size_t i = 0; i < c->count; i++)
		if (addr_equal(&c->list[i].endpoint, a))
			return;
	c->list[c->count].kind = kind;
	c->list[c->count++].endpoint = *a;
}

static void add_interfaces(const struct node *n, struct wire_candidates *c, unsigned of_rank)
{
	for (size_t i = 0; i < n->n_locals; i++) {
		struct addr a = n->locals[i].addr;

		a.port = n->config.udp_port;
		if (!n->locals[i].loopback && rank(&a) == of_rank)
			add_candidate(c, CANDIDATE_INTERFACE, &a);
	}
}

static void add_observed(const struct node *n, struct wire_candidates *c)
{
	list_each(&n->refs, i, tmp) {
		const struct beacon_ref *b = container_of(i, struct beacon_ref, all_link);

		if (b->welcome && b->configured)
			add_candidate(c, CANDIDATE_OBSERVED, &b->observed);
	}
}

/* One socket seen by two destinations at two ports: the mapping depends on the destination. */
static uint64_t compare(const struct addr *a, const struct addr *b)
{
	if (a->family == ADDR_NONE || a->family != b->family || !addr_same_host(a, b))
		return 0;
	return a->port == b->port ? CANDIDATES_INDEPENDENT : CANDIDATES_DEPENDENT;
}

uint64_t punch_mapping(const struct node *n)
{
	const struct addr *first = NULL;
	uint64_t flags = 0;

	list_each(&n->refs, i, tmp) {
		const struct beacon_ref *b = container_of(i, struct beacon_ref, all_link);

		if (!b->welcome || !b->configured)
			continue;
		flags |= compare(&b->observed, &b->alternate);
		if (first)
			flags |= compare(first, &b->observed);
		if (b->observed.family != ADDR_NONE)
			first = &b->observed;
	}
	return flags & CANDIDATES_DEPENDENT ? CANDIDATES_DEPENDENT : flags;
}

void punch_offer(struct peer *p, uint64_t flags, uint16_t port, int16_t step)
{
	struct frame f = { .type = FRAME_CANDIDATES };
	struct wire_candidates *c = &f.candidates;
	struct node *n = p->node;

	c->round = p->punch->round;
	c->flags = flags | punch_mapping(n);
	c->port = port;
	c->step = step;
	memcpy(c->secret, p->punch->secret, WIRE_SECRET_SIZE);
	add_candidate(c, CANDIDATE_MAPPED, &n->mapped);
	add_observed(n, c);
	add_interfaces(n, c, 2);
	add_interfaces(n, c, 1);
	add_interfaces(n, c, 3);
	peer_send(p, &f);
}

/* --- probes --- */

static void send_probe(struct peer *p, const struct path *path, uint8_t kind, uint8_t candidate,
		       uint32_t counter)
{
	const struct punch *u = p->punch;
	struct wire_punch probe = { .kind = kind, .candidate = candidate, .counter = counter };
	uint8_t data[WIRE_PUNCH_SIZE];

	memcpy(probe.token, p->used->peer_token, WIRE_TOKEN_SIZE);
	wire_punch_encode(data, &probe);
	punch_tag(probe.tag, u->theirs.secret, p->node->identity->key, p->key, data,
		  WIRE_PUNCH_SIGNED);
	wire_punch_encode(data, &probe);
	outbox_send(p->node, path, data, sizeof(data));
}

void punch_ask(struct peer *p, const struct path *path)
{
	send_probe(p, path, PUNCH_ASK, 0, ++p->punch->counter);
}

static void ask(struct peer *p, const struct punch_target *t)
{
	send_probe(p, &t->path, PUNCH_ASK, t->candidate, ++p->punch->counter);
}

/* --- targets --- */

static struct punch_target *find_target(struct punch *u, const struct path *path)
{
	for (size_t i = 0; i < u->n_targets; i++)
		if (addr_equal(&u->targets[i].path.remote, &path->remote) &&
		    u->targets[i].path.via == path->via)
			return &u->targets[i];
	return NULL;
}

static struct punch_target *add_target(struct punch *u, const struct addr *remote, uint32_t via,
				       uint8_t candidate)
{
	struct punch_target *t = &u->targets[u->n_targets];

	if (u->n_targets == PUNCH_TARGETS_MAX)
		return NULL;
	*t = (struct punch_target){ .candidate = candidate };
	t->path.remote = *remote;
	t->path.via = via;
	u->n_targets++;
	return t;
}

static bool is_ours(const struct node *n, const struct addr *a)
{
	for (size_t i = 0; i < n->n_locals; i++)
		if (addr_same_host(&n->locals[i].addr, a) && a->port == n->config.udp_port)
			return true;
	return false;
}

static bool same_network(const struct addr *a, const struct addr *b)
{
	return a->family == b->family && memcmp(a->ip, b->ip, a->family == ADDR_V6 ? 8 : 3) == 0;
}

/* A private address means something only on our side of a NAT. */
static bool near_us(const struct node *n, const struct wire_candidates *theirs,
		    const struct addr *a)
{
	for (size_t i = 0; i < n->n_locals; i++)
		if (same_network(&n->locals[i].addr, a))
			return true;
	list_each(&n->refs, i, tmp) {
		const struct beacon_ref *b = container_of(i, struct beacon_ref, all_link);

		for (size_t k = 0; b->welcome && b->configured && k < theirs->count; k++)
			if (theirs->list[k].kind == CANDIDATE_OBSERVED &&
			    b->observed.family != ADDR_NONE &&
			    addr_same_host(&theirs->list[k].endpoint, &b->observed))
				return true;
	}
	return false;
}

static bool have_family(const struct node *n, enum addr_family family)
{
	for (size_t i = 0; i < n->n_locals; i++)
		if (n->locals[i].addr.family == family && !n->locals[i].loopback &&
		    !addr_is_link_local(&n->locals[i].addr))
			return true;
	return false;
}

static unsigned used_rank(const struct peer *p)
{
	return p->used->relay ? 0 : rank(&p->used->path.remote);
}

static void take_targets(struct peer *p)
{
	const struct node *n = p->node;
	struct punch *u = p->punch;

	u->n_targets = 0;
	for (size_t i = 0; i < u->theirs.count; i++) {
		const struct addr *a = &u->theirs.list[i].endpoint;

		if (tellable(a) && !is_ours(n, a) && have_family(n, a->family) &&
		    rank(a) > used_rank(p) && (!addr_is_private(a) || near_us(n, &u->theirs, a)))
			add_target(u, a, 0, (uint8_t)i);
	}
}

/* --- rounds --- */

static struct punch *get_punch(struct peer *p)
{
	if (p->punch)
		return p->punch;
	p->punch = calloc(1, sizeof(*p->punch));
	if (!p->punch)
		return NULL;
	p->punch->started = p->punch->next_at = p->punch->follow_at = p->punch->again_at =
		p->punch->sprayed_at = GW_NEVER;
	return p->punch;
}

void punch_free(struct peer *p)
{
	if (p->punch)
		spray_end(p, 0);
	free(p->punch);
	p->punch = NULL;
}

static void rest(struct punch *u)
{
	u->started = u->next_at = u->follow_at = GW_NEVER;
	u->have_theirs = false;
}

static bool relayed(const struct peer *p)
{
	return p->used && p->used->state == CONN_USED && p->used->relay;
}

/* Could there be something better than what is used? */
static bool improvable(const struct peer *p)
{
	return p->used && p->used->state == CONN_USED && used_rank(p) < RANK_BEST;
}

/* Whose addresses they are that a peer names nobody knows: the rounds with one peer have a budget. */
static bool take_round(struct punch *u, gw_time now)
{
	gw_time at = time_max(u->rounds_at, now);

	if (at - now > (ROUNDS_AT_ONCE - 1) * ROUND_GAP)
		return false;
	u->rounds_at = at + ROUND_GAP;
	return true;
}

static void begin(struct peer *p, uint64_t round)
{
	struct punch *u = p->punch;

	rest(u);
	u->round = round;
	rng_bytes(p->node->rng, u->secret, sizeof(u->secret));
	punch_offer(p, 0, 0, 0);
}

static void begin_as_dialler(struct peer *p, gw_time now)
{
	struct punch *u = p->punch;

	if (!take_round(u, now)) {
		u->again_at = now + ROUND_GAP;
		return;
	}
	u->again_at = relayed(p) ? now + AGAIN[u->tries < 2 ? u->tries : 2] : GW_NEVER;
	u->tries++;
	begin(p, u->round + 1);
}

/* Both see the address of the other, if both want: a spray goes nowhere else. */
static void reveal(struct connection *c)
{
	struct beacon_frame f = { .type = BEACON_REVEAL };

	if (!c->relay->link || !c->relay->configured)
		return;
	f.reveal.channel = c->channel;
	link_send(c->relay->link, &f);
}

void punch_used(struct connection *c, gw_time now)
{
	struct peer *p = c->peer;
	struct punch *u;

	if (p->node->config.relay_only || (p->node->n_configured == 0 && !c->relay) ||
	    !get_punch(p))
		return;
	u = p->punch;
	if (c->relay) {
		u->revealed = (struct addr){ 0 };
		reveal(c);
	} else {
		spray_end(p, c->path.via);
		u->again_at = GW_NEVER;
		u->tries = 0;
		u->sprayed_at = GW_NEVER; /* if it took one: it was worth it */
	}
	rest(u); /* the peer may be another process now, and count its rounds anew */
	if (c->dialler && improvable(p))
		begin_as_dialler(p, now);
	dial_schedule(p, now);
}

void punch_candidates(struct connection *c, const struct wire_candidates *theirs, gw_time now)
{
	struct peer *p = c->peer;
	struct punch *u;

	if (p->used != c || !improvable(p) || p->node->config.relay_only || !get_punch(p))
		return;
	u = p->punch;
	if (theirs->flags & CANDIDATES_SPRAY) {
		if (theirs->round == u->round)
			spray_invited(p, theirs, now);
		return;
	}
	/* Once in a round, which the dialler begins. */
	if (c->dialler ? theirs->round != u->round || u->have_theirs
		       : (theirs->round <= u->round && u->have_theirs) || !take_round(u, now))
		return;
	if (!c->dialler)
		begin(p, theirs->round);
	u->theirs = *theirs;
	u->have_theirs = true;
	take_targets(p);
	u->started = u->next_at = now;
	u->volley = 0;
	dial_schedule(p, now);
}

void punch_network_changed(struct peer *p, gw_time now)
{
	if (!p->punch || !improvable(p))
		return;
	p->punch->tries = 0;
	if (p->used->dialler)
		p->punch->again_at = now + GW_SEC; /* when the beacons have seen the new address */
	dial_schedule(p, now);
}

/* --- answers --- */

static unsigned best_rank(const struct peer *p)
{
	unsigned best = 0;

	for (size_t i = 0; i < p->punch->n_targets; i++) {
		const struct punch_target *t = &p->punch->targets[i];

		if (t->dialled_at && rank(&t->path.remote) > best)
			best = rank(&t->path.remote);
	}
	return used_rank(p) > best ? used_rank(p) : best;
}

static void go_there(struct peer *p, struct punch_target *t, gw_time now)
{
	struct connection *c;

	if (!p->used->dialler || t->dialled_at || rank(&t->path.remote) <= best_rank(p) ||
	    dial_racers(p) >= RACERS_MAX)
		return;
	c = connection_dial(p, &t->path, now);
	if (!c)
		return;
	c->generation = p->generation + 1;
	t->dialled_at = now;
}

static bool tag_valid(const struct peer *p, const struct wire_punch *probe, const uint8_t *data)
{
	uint8_t tag[WIRE_PUNCH_TAG_SIZE];

	punch_tag(tag, p->punch->secret, p->key, p->node->identity->key, data, WIRE_PUNCH_SIGNED);
	return tag_equal(tag, probe->tag);
}

static void asked(struct peer *p, const struct path *path, const struct wire_punch *probe,
		  gw_time now)
{
	struct punch *u = p->punch;
	struct path back = { .remote = path->remote, .via = path->via };
	struct punch_target *t = find_target(u, &back);

	if (!t)
		t = add_target(u, &back.remote, back.via, probe->candidate);
	send_probe(p, &back, PUNCH_ANSWER, probe->candidate, probe->counter);
	if (t && t->follow_ups == 0 && !t->answered) {
		t->follow_ups = FOLLOW_UPS;
		u->follow_at = now;
		dial_schedule(p, now);
	}
}

void punch_receive(struct node *n, const struct path *path, const uint8_t *data, size_t len,
		   gw_time now)
{
	struct wire_punch probe;
	struct punch_target *t;
	struct connection *c;
	uint64_t token;

	if (wire_punch_decode(&probe, data, len) <= 0) {
		n->stats.drop_malformed++;
		return;
	}
	memcpy(&token, probe.token, sizeof(token));
	c = map_get(&n->by_token, token);
	/* What was sent before a move may come after it. */
	if (!c || !c->peer || !c->peer->punch || !improvable(c->peer) ||
	    !c->peer->punch->have_theirs || !tag_valid(c->peer, &probe, data)) {
		n->stats.drop_no_connection++;
		return;
	}
	if (probe.kind == PUNCH_ASK) {
		asked(c->peer, path, &probe, now);
		return;
	}
	t = find_target(c->peer->punch, path);
	if (!t && path->via)
		t = add_target(c->peer->punch, &path->remote, path->via, probe.candidate);
	if (t) {
		t->answered = true;
		go_there(c->peer, t, now);
	}
}

/* --- time --- */

gw_time punch_due(const struct peer *p)
{
	const struct punch *u = p->punch;
	gw_time at;

	if (!u)
		return GW_NEVER;
	at = time_min(u->next_at, time_min(u->follow_at, u->again_at));
	return time_min(at, spray_due(p));
}

static void volley(struct peer *p, gw_time now)
{
	struct punch *u = p->punch;

	for (size_t i = 0; i < u->n_targets; i++)
		if (!u->targets[i].path.via)
			ask(p, &u->targets[i]);
	u->volley++;
	u->next_at = u->volley < VOLLEYS_COUNT ? u->started + VOLLEYS[u->volley] : GW_NEVER;
	if (u->volley == VOLLEYS_COUNT && relayed(p))
		spray_begin(p, now);
}

static void follow_up(struct peer *p, gw_time now)
{
	struct punch *u = p->punch;

	u->follow_at = GW_NEVER;
	for (size_t i = 0; i < u->n_targets; i++) {
		struct punch_target *t = &u->targets[i];

		if (t->follow_ups == 0)
			continue;
		ask(p, t);
		/* One stays: the first question is not forgotten. */
		t->answered |= --t->follow_ups == 0;
		if (t->follow_ups > 0)
			u->follow_at = now + PUNCH_FOLLOW;
	}
}

void punch_expire(struct peer *p, gw_time now)
{
	struct punch *u = p->punch;

	if (!u)
		return;
	if (!improvable(p)) {
		spray_end(p, 0);
		rest(u);
		u->again_at = GW_NEVER;
		return;
	}
	if (now >= u->next_at)
		volley(p, now);
	if (now >= u->follow_at)
		follow_up(p, now);
	if (now >= spray_due(p))
		spray_expire(p, now);
	if (now < u->again_at)
		return;
	u->again_at = GW_NEVER; /* the dialler of a later connection begins */
	if (p->used->dialler)
		begin_as_dialler(p, now);
}

/* Is every beacon of ours reached over TLS only? */
static bool udp_blocked(const struct node *n)
{
	bool any = false;

	list_each(&n->refs, i, tmp) {
		const struct beacon_ref *b = container_of(i, struct beacon_ref, all_link);

		if (!b->welcome || !b->configured)
			continue;
		if (!b->link->path.via)
			return false;
		any = true;
	}
	return any;
}

/* Does the peer know how others see it?  Not where UDP is blocked, nor without a beacon of its
 * own: which of them is for the peer to say. */
static bool is_seen(const struct wire_candidates *theirs)
{
	for (size_t i = 0; i < theirs->count; i++)
		if (theirs->list[i].kind != CANDIDATE_INTERFACE)
			return true;
	return false;
}

const char *peer_why_relayed(const struct peer *p, gw_time now)
{
	const struct punch *u = p->punch;
	bool told = u && u->theirs.count > 0;

	if (!relayed(p))
		return NULL;
	if (p->node->config.relay_only)
		return "this node is relay-only";
	if (udp_blocked(p->node))
		return "UDP is blocked here";
	if (!told && now >= p->used->state_since + PUNCH_OVER)
		return "the peer tells no addresses";
	if (!told || !u->have_theirs)
		return "looking for a direct path";
	if (u->spray)
		return "guessing the ports of a NAT";
	if (!is_seen(&u->theirs))
		return "the peer tells only local addresses";
	if (u->n_targets == 0)
		return "no address of the peer can be reached from here";
	if ((punch_mapping(p->node) & CANDIDATES_DEPENDENT) &&
	    (u->theirs.flags & CANDIDATES_DEPENDENT))
		return "both NATs map per destination";
	return now < u->started + PUNCH_OVER ? "looking for a direct path"
					     : "the peer answers no probe";
}
