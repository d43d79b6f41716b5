/* SPDX-License-Identifier: Apache-2.0 */
#include "liar.h"

#include <stdlib.h>
#include <string.h>

#include "beacon/internal.h"

enum { KEEP_RECORD_S = 24 * 3600, EVERY_MIN_MS = 100, EVERY_MAX_MS = 3000 };

struct kept_record {
	size_t len;
	uint8_t bytes[WIRE_RECORD_MAX];
};

void liar_make(struct sim *s, struct proc *beacon, unsigned lies, gw_time until)
{
	struct liar *x = calloc(1, sizeof(*x));

	if (!x)
		abort();
	rng_seed(&x->rng, s->seed << 16 ^ beacon->index);
	x->lies = lies;
	x->until = until;
	x->chance = 1 + (unsigned)rng_below(&x->rng, 60);
	x->every = (EVERY_MIN_MS + rng_below(&x->rng, EVERY_MAX_MS)) * GW_MSEC;
	map_init(&x->first, s->seed);
	beacon->liar = x;
}

void liar_free(struct proc *p)
{
	struct kept_record *k;
	size_t position = 0;

	if (!p->liar)
		return;
	while ((k = map_next(&p->liar->first, &position)))
		free(k);
	map_clear(&p->liar->first);
	free(p->liar);
	p->liar = NULL;
}

/* Will it lie so now? */
static bool lies(const struct proc *p, unsigned kind)
{
	struct liar *x = p->liar;

	if (!(x->lies & kind) || p->sim->now >= x->until || rng_below(&x->rng, 100) >= x->chance)
		return false;
	x->told++;
	return true;
}

/* --- records --- */

static uint64_t record_key(const uint8_t *key)
{
	uint64_t k;

	memcpy(&k, key, sizeof(k));
	return k;
}

static void keep_first(struct liar *x, const struct link *l, const struct beacon_frame *f)
{
	struct kept_record *k;

	if (map_get(&x->first, record_key(l->key)))
		return;
	k = calloc(1, sizeof(*k));
	if (!k || map_put(&x->first, record_key(l->key), k) < 0)
		abort();
	k->len = f->publish.record_len;
	memcpy(k->bytes, f->publish.record, k->len);
}

static const struct proc *owner_of(const struct sim *s, const uint8_t *key)
{
	for (unsigned i = 0; i < s->n_procs; i++)
		if (!s->procs[i].is_beacon && memcmp(proc_key(&s->procs[i]), key, KEY_SIZE) == 0)
			return &s->procs[i];
	return NULL;
}

static size_t make_record(const struct proc *p, const struct proc *owner, uint64_t sequence,
			  uint8_t *out)
{
	struct wire_record r = { .sequence = sequence, .lifetime_s = KEEP_RECORD_S, .n_homes = 1 };
	const struct addr *home = &p->liar->victim;
	size_t len;

	if (home->family == ADDR_NONE)
		home = &p->sim->hosts[p->host].ifaces[0].addr;
	memcpy(r.key, proc_key(owner), KEY_SIZE);
	memcpy(r.homes[0].key, proc_key(p), KEY_SIZE);
	addr_format_host(home, r.homes[0].host);
	r.homes[0].udp_port = p->port;
	len = wire_record_encode(out, &r) - SIGNATURE_SIZE;
	identity_sign(&owner->id, RECORD_CONTEXT, out, len, out + len);
	return len + SIGNATURE_SIZE;
}

static void say_record(struct link *l, uint64_t request, uint64_t flags, const uint8_t *bytes,
		       size_t len)
{
	struct beacon_frame f = { .type = BEACON_RECORD };

	f.record.request = request;
	f.record.flags = flags;
	f.record.record = bytes;
	f.record.record_len = len;
	link_send(l, &f);
}

/* The client can tell that this is a lie, if it asked. */
static void provable(const struct proc *p, const struct link *l, bool asked)
{
	for (unsigned i = 0; asked && i < p->sim->n_procs; i++)
		if (memcmp(proc_key(&p->sim->procs[i]), l->key, KEY_SIZE) == 0)
			p->sim->procs[i].lied_to++;
}

/* Something wrong about a key; false: the truth, this time. */
static bool false_record(const struct proc *p, struct link *l, uint64_t request, const uint8_t *key)
{
	const struct proc *owner = owner_of(p->sim, key);
	const struct kept_record *old = map_get(&p->liar->first, record_key(key));
	uint64_t wall = sim_wall_ms(p->sim);
	uint8_t bytes[WIRE_RECORD_MAX];
	size_t len;

	if (lies(p, LIE_HERE)) {
		say_record(l, request, RECORD_HERE, NULL, 0);
	} else if (old && lies(p, LIE_OLDER)) {
		say_record(l, request, RECORD_HERE, old->bytes, old->len);
	} else if (owner && lies(p, LIE_FORGED)) {
		len = make_record(p, owner, wall + 1, bytes);
		bytes[len - 1 - rng_below(&p->liar->rng, SIGNATURE_SIZE)] ^= 1;
		say_record(l, request, RECORD_HERE, bytes, len);
		provable(p, l, request);
	} else if (lies(p, LIE_OTHER)) {
		len = make_record(p, p, wall + 1, bytes);
		say_record(l, request, RECORD_HERE, bytes, len);
		provable(p, l, request);
	} else if (owner && lies(p, LIE_EXPIRED)) {
		len = make_record(p, owner, wall - 1000 * (KEEP_RECORD_S + 3600), bytes);
		say_record(l, request, 0, bytes, len);
	} else if (owner && lies(p, LIE_FUTURE)) {
		len = make_record(p, owner, wall + UINT64_C(3600000), bytes);
		say_record(l, request, RECORD_HERE, bytes, len);
		provable(p, l, request);
	} else {
		return false;
	}
	return true;
}

/* --- answers --- */

static void say_close(struct link *l, uint64_t channel, uint64_t reason)
{
	struct beacon_frame f = { .type = BEACON_CLOSE };

	f.close.channel = channel;
	f.close.reason = reason;
	link_send(l, &f);
}

static void say_result(struct link *l, uint64_t request, enum result_status status)
{
	struct beacon_frame f = { .type = BEACON_RESULT };

	f.result.request = request;
	f.result.status = status;
	link_send(l, &f);
}

static void say_observed(const struct proc *p, struct link *l)
{
	struct beacon_frame f = { .type = BEACON_OBSERVED };

	f.observed.endpoint = p->liar->victim;
	f.observed.endpoint.port = (uint16_t)(1 + rng_below(&p->liar->rng, 65535));
	link_send(l, &f);
}

static void say_revealed(const struct proc *p, struct link *l, uint64_t channel)
{
	struct beacon_frame f = { .type = BEACON_REVEALED };

	f.revealed.channel = channel;
	f.revealed.endpoint = p->liar->victim;
	f.revealed.endpoint.port = (uint16_t)(1 + rng_below(&p->liar->rng, 65535));
	link_send(l, &f);
}

/* True: the real beacon does not hear of the frame. */
static bool answer_falsely(const struct proc *p, struct link *l, const struct beacon_frame *f)
{
	bool named = p->liar->victim.family != ADDR_NONE;

	switch (f->type) {
	case BEACON_LOOKUP:
		if (lies(p, LIE_NOBODY))
			say_result(l, f->lookup.request, RESULT_NOT_FOUND);
		else
			return false_record(p, l, f->lookup.request, f->lookup.key);
		return true;
	case BEACON_PUBLISH:
		if (!lies(p, LIE_NOBODY))
			return false;
		say_result(l, f->publish.request, RESULT_OK);
		return true;
	case BEACON_OPEN:
		if (!lies(p, LIE_CLOSE))
			return false;
		say_close(l, f->open.channel, 1 + rng_below(&p->liar->rng, CHANNEL_IDLE));
		return true;
	case BEACON_REVEAL:
		if (!named || !lies(p, LIE_REVEALED))
			return false;
		say_revealed(p, l, f->reveal.channel);
		return true;
	default:
		return false;
	}
}

static struct proc *proc_of(const struct link *l)
{
	struct sim *s = sim_current();

	for (unsigned i = 0; i < s->n_procs; i++)
		if (s->procs[i].beacon && s->procs[i].beacon == l->host->user)
			return &s->procs[i];
	abort();
}

static void on_frame(struct link *l, const struct beacon_frame *f, gw_time now)
{
	struct proc *p = proc_of(l);
	const struct session *session = l->user;

	if (f->type == BEACON_PUBLISH)
		keep_first(p->liar, l, f);
	if (session->state == SESSION_ATTENDED && answer_falsely(p, l, f))
		return;
	p->liar->honest(l, f, now);
	if (f->type == BEACON_ATTEND && p->liar->victim.family != ADDR_NONE &&
	    lies(p, LIE_OBSERVED))
		say_observed(p, l);
}

/* --- of its own accord --- */

static struct session *any_session(struct proc *p)
{
	struct list_item *i = list_first(&p->beacon->sessions);
	uint64_t skip = p->beacon->n_sessions ? rng_below(&p->liar->rng, p->beacon->n_sessions) : 0;

	while (i && skip--)
		i = list_next(&p->beacon->sessions, i);
	return i ? container_of(i, struct session, all_link) : NULL;
}

static uint64_t any_channel(struct proc *p, const struct session *s)
{
	uint64_t skip = s->n_channels ? rng_below(&p->liar->rng, s->n_channels) : 0;
	struct list_item *i = list_first(&s->ends);

	while (i && skip--)
		i = list_next(&s->ends, i);
	return i ? container_of(i, struct channel_end, by_session)->channel->id
		 : rng_u64(&p->liar->rng);
}

static void babble(struct proc *p, struct link *l)
{
	static const uint64_t OURS[] = { BEACON_ATTEND,  BEACON_PUBLISH, BEACON_LOOKUP,
					 BEACON_UNWATCH, BEACON_OPEN,    BEACON_TEST,
					 BEACON_REVEAL };
	struct beacon_frame f = { .type = BEACON_PONG };
	uint8_t bytes[40] = { BEACON_OBSERVED, 30, 9 };

	if (rng_below(&p->liar->rng, 2)) {
		f.type = OURS[rng_below(&p->liar->rng, sizeof(OURS) / sizeof(OURS[0]))];
	} else {
		rng_bytes(&p->liar->rng, bytes + 3, sizeof(bytes) - 3);
		if (chain_append(&l->control, bytes, sizeof(bytes)) < 0)
			abort();
	}
	link_send(l, &f);
	provable(p, l, true);
}

static void speak_to(struct proc *p, struct session *to)
{
	struct beacon_frame drain = { .type = BEACON_DRAIN };
	struct sim *s = p->sim;
	struct link *l = to->link;
	bool named = p->liar->victim.family != ADDR_NONE;

	drain.drain.seconds = rng_below(&p->liar->rng, 100);
	false_record(p, l, 0, proc_key(&s->procs[rng_below(&p->liar->rng, s->n_procs)]));
	if (named && lies(p, LIE_OBSERVED))
		say_observed(p, l);
	if (named && lies(p, LIE_REVEALED))
		say_revealed(p, l, any_channel(p, to));
	if (lies(p, LIE_CLOSE))
		say_close(l, any_channel(p, to), 1 + rng_below(&p->liar->rng, CHANNEL_IDLE));
	if (lies(p, LIE_DRAIN))
		link_send(l, &drain);
	if (lies(p, LIE_BABBLE))
		babble(p, l); /* the end of the link, too */
	else if (lies(p, LIE_LINKS))
		link_close(l, CLOSE_MOVED + rng_below(&p->liar->rng, 8), GW_E_CLOSED, NULL, 0,
			   s->now);
}

static void act_speak(struct sim *s, struct action *a)
{
	struct proc *p = a->proc;
	struct session *to;
	struct action *again;

	if (!p->alive || p->lives != p->liar->life || s->now >= p->liar->until)
		return;
	to = any_session(p);
	if (to && to->state == SESSION_ATTENDED && to->link->state == LINK_UP)
		speak_to(p, to);
	again = sim_action(s, s->now + rng_below(&p->liar->rng, 2 * p->liar->every) + GW_MSEC,
			   act_speak);
	again->proc = p;
	again->polling = true;
	s->pending_actions--;
}

void liar_started(struct proc *p)
{
	struct action *a;

	p->liar->life = p->lives;
	p->liar->honest = p->beacon->links.on_frame;
	p->beacon->links.on_frame = on_frame;
	a = sim_action(p->sim, p->sim->now + p->liar->every, act_speak);
	a->proc = p;
	a->polling = true;
	p->sim->pending_actions--;
}

/* --- channel packets --- */

static bool harms(const struct proc *p, unsigned kind)
{
	return rng_below(&p->liar->rng, 5) == 0 && lies(p, kind);
}

void liar_send(struct proc *p, const struct batch *b)
{
	struct batch out = *b;
	struct session *other;

	if (b->data[0] != WIRE_CHANNEL || b->len != b->segment) {
		net_send(p->sim, p, b);
		return;
	}
	if (harms(p, LIE_DROP))
		return;
	if (harms(p, LIE_CORRUPT))
		out.data[1 + rng_below(&p->liar->rng, out.len - 1)] ^= 0x10;
	other = harms(p, LIE_MISDIRECT) ? any_session(p) : NULL;
	if (other)
		out.path = other->link->path;
	if (harms(p, LIE_REPEAT))
		net_send(p->sim, p, &out);
	net_send(p->sim, p, &out);
}
