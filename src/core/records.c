/* SPDX-License-Identifier: Apache-2.0 */
#include "core/records.h"

#include <stdlib.h>
#include <string.h>

#include "core/beacons.h"
#include "core/dial.h"
#include "core/peer.h"
#include "core/relayed.h"

/* --- our own record --- */

static bool carries_record(const struct beacon_ref *b)
{
	return b->link && b->welcome && (b->role == REF_HOME || b->role == REF_SPARE);
}

static void add_homes(const struct node *n, enum ref_role role, struct wire_record *r)
{
	list_each(&n->refs, i, tmp) {
		const struct beacon_ref *b = container_of(i, struct beacon_ref, all_link);
		struct wire_home *h = &r->homes[r->n_homes];

		if (b->role != role || r->n_homes == WIRE_HOMES_MAX)
			continue;
		memcpy(h->key, b->key, KEY_SIZE);
		memcpy(h->host, b->host, sizeof(h->host));
		h->udp_port = b->udp_port;
		h->tls_port = b->tls_port;
		r->n_homes++;
	}
}

static size_t make_record(struct node *n, uint8_t out[WIRE_RECORD_MAX], gw_time now)
{
	struct wire_record r = { .lifetime_s = RECORD_LIFETIME_S };
	uint64_t wall = node_wall_ms(n, now);
	size_t len;

	memcpy(r.key, n->identity->key, KEY_SIZE);
	n->sequence = wall > n->sequence ? wall : n->sequence + 1;
	r.sequence = n->sequence;
	add_homes(n, REF_HOME, &r);
	add_homes(n, REF_SPARE, &r);
	len = wire_record_encode(out, &r) - SIGNATURE_SIZE;
	identity_sign(n->identity, RECORD_CONTEXT, out, len, out + len);
	return len + SIGNATURE_SIZE;
}

void records_publish(struct node *n, gw_time now)
{
	struct beacon_frame f = { .type = BEACON_PUBLISH };
	uint8_t record[WIRE_RECORD_MAX];

	n->publish_at = GW_NEVER;
	if (n->config.transient)
		return;
	f.publish.record_len = make_record(n, record, now);
	f.publish.record = record;
	list_each(&n->refs, i, tmp) {
		struct beacon_ref *b = container_of(i, struct beacon_ref, all_link);

		if (!carries_record(b))
			continue;
		f.publish.request = b->publish_request = ++n->next_request;
		link_send(b->link, &f);
		n->publish_at = now + RECORD_LIFETIME_S / 2 * GW_SEC;
	}
}

bool node_registered(const struct node *n)
{
	list_each(&n->refs, i, tmp) {
		const struct beacon_ref *b = container_of(i, struct beacon_ref, all_link);

		if (carries_record(b) && b->published)
			return true;
	}
	return false;
}

/* --- looking for peers --- */

static bool can_ask(const struct beacon_ref *b)
{
	return b->link && b->welcome;
}

static bool has_home(const struct peer *p, const struct beacon_ref *b)
{
	for (size_t i = 0; i < p->n_homes; i++)
		if (p->homes[i] == b)
			return true;
	return false;
}

/* Not the beacons of other peers: whom we look for is not their business. */
static bool concerns(const struct peer *p, const struct beacon_ref *b)
{
	return b->configured || has_home(p, b);
}

static void nobody_asked(struct peer *p)
{
	free(p->asked);
	p->asked = NULL;
	p->lookups_open = 0;
}

static void ask(struct beacon_ref *b, struct peer *p)
{
	struct beacon_frame f = { .type = BEACON_LOOKUP };

	if (!p->asked)
		p->asked = calloc(ASKED_MAX, sizeof(*p->asked));
	if (!p->asked || p->lookups_open == ASKED_MAX)
		return;
	f.lookup.request = p->lookup;
	if (p->n_live > 0 && !b->watches_full) {
		f.lookup.flags = LOOKUP_WATCH;
		p->watched = true;
	}
	memcpy(f.lookup.key, p->key, KEY_SIZE);
	link_send(b->link, &f);
	p->asked[p->lookups_open++] = b;
}

static void end_request(struct peer *p)
{
	map_remove(&p->node->by_request, p->lookup);
	p->lookup = 0;
	nobody_asked(p);
}

static bool new_request(struct peer *p)
{
	struct node *n = p->node;

	end_request(p);
	if (map_put(&n->by_request, n->next_request + 1, p) < 0)
		return false;
	p->lookup = ++n->next_request;
	return true;
}

void records_lookup(struct peer *p, gw_time now)
{
	struct node *n = p->node;

	if (p->lookup_at != GW_NEVER && now < p->lookup_at + LOOKUP_GAP)
		return;
	p->lookup_at = now;
	if (!new_request(p))
		return;
	list_each(&n->refs, i, tmp) {
		struct beacon_ref *b = container_of(i, struct beacon_ref, all_link);

		if (can_ask(b) && !b->unsettled && concerns(p, b))
			ask(b, p);
		else if (b->configured)
			beacons_want(b, now);
	}
}

static void unwatch(struct peer *p)
{
	struct beacon_frame f = { .type = BEACON_UNWATCH };

	p->watched = false;
	memcpy(f.unwatch.key, p->key, KEY_SIZE);
	list_each(&p->node->refs, i, tmp) {
		struct beacon_ref *b = container_of(i, struct beacon_ref, all_link);

		if (!can_ask(b))
			continue;
		link_send(b->link, &f);
		b->watches_full = false;
	}
}

void records_watch(struct peer *p)
{
	/* Without a connection it is being dialled, or will be: that asks, too.  A connection outlives
	 * its last stream: those that come and go do not talk to the beacons each time. */
	if (p->watched && p->n_live == 0 && !p->used) {
		unwatch(p);
	} else if (!p->watched && p->n_live > 0 && p->used && new_request(p)) {
		list_each(&p->node->refs, i, tmp) {
			struct beacon_ref *b = container_of(i, struct beacon_ref, all_link);

			if (can_ask(b))
				ask(b, p);
		}
	}
}

void records_beacon_ready(struct beacon_ref *b, gw_time now)
{
	(void)now;
	b->watches_full = false;
	list_each(&b->node->peers, i, tmp) {
		struct peer *p = container_of(i, struct peer, all_link);

		if (concerns(p, b) && (dial_active(p) || p->n_live > 0) &&
		    (p->lookup || new_request(p)))
			ask(b, p);
	}
}

/* False: it was not asked, or has answered already: a beacon answers for itself alone. */
static bool answered(struct peer *p, const struct beacon_ref *b)
{
	for (size_t i = 0; i < p->lookups_open; i++)
		if (p->asked[i] == b) {
			p->asked[i] = p->asked[--p->lookups_open];
			if (p->lookups_open == 0)
				nobody_asked(p);
			return true;
		}
	return false;
}

void records_beacon_lost(struct beacon_ref *b, gw_time now)
{
	(void)now;
	b->published = false;
	list_each(&b->node->peers, i, tmp)
		(void)answered(container_of(i, struct peer, all_link), b);
}

/* --- what comes back --- */

static void forget_homes(struct peer *p)
{
	for (size_t i = 0; i < p->n_homes; i++)
		beacons_release(p->homes[i]);
	p->n_homes = 0;
}

void records_forget(struct peer *p)
{
	if (p->watched)
		unwatch(p);
	end_request(p);
	forget_homes(p);
}

void records_add_home(struct peer *p, struct beacon_ref *b)
{
	if (has_home(p, b) || p->n_homes == WIRE_HOMES_MAX)
		return;
	beacons_hold(b);
	p->homes[p->n_homes++] = b;
}

static void take_record(struct peer *p, const struct wire_record *r)
{
	struct beacon_ref *homes[WIRE_HOMES_MAX] = { NULL };
	size_t count = 0;

	for (size_t i = 0; i < r->n_homes; i++) {
		const struct wire_home *h = &r->homes[i];

		homes[count] = beacons_get(p->node, h->key, h->host, h->udp_port, h->tls_port);
		if (homes[count])
			beacons_hold(homes[count++]);
	}
	forget_homes(p);
	memcpy(p->homes, homes, count * sizeof(homes[0]));
	p->n_homes = count;
	p->record_sequence = r->sequence;
}

/* NULL: it is what a record should be.  What is too old or too new is so by the clock that the
 * beacon itself has told: ours may be wrong, and an honest one does not take such records. */
static const char *fault_of(const struct beacon_ref *b, const struct wire_record *r,
			    const uint8_t *bytes, size_t len, gw_time now)
{
	uint64_t wall = node_wall_ms(b->node, now) + (uint64_t)b->clock_offset_ms;

	if (!signature_valid(r->key, RECORD_CONTEXT, bytes, len - SIGNATURE_SIZE, r->signature))
		return "gave a forged record";
	if (r->sequence / 1000 + r->lifetime_s + CLOCK_SLACK_S < wall / 1000)
		return "gave an expired record";
	if (r->sequence > wall + CLOCK_AHEAD_MAX + CLOCK_SLACK_S * 1000)
		return "gave a record from the future";
	return NULL;
}

/* Nothing new: only that it has registered there again, perhaps. */
static void same_record(struct peer *p, bool asked, gw_time now)
{
	if (!asked && !p->used && (p->n_live > 0 || p->wanted) &&
	    (p->lookup_at == GW_NEVER || now >= p->lookup_at + LOOKUP_GAP))
		dial_now(p, now);
}

/* Whoever wants a peer dials the homes that it names, and it may name anybody. */
static bool take_budget(struct peer *p, gw_time now)
{
	gw_time at = time_max(p->records_at, now);

	if (at - now > (RECORDS_AT_ONCE - 1) * RECORD_GAP)
		return false;
	p->records_at = at + RECORD_GAP;
	return true;
}

static void newer_record(struct beacon_ref *b, struct peer *p, const struct wire_record *r,
			 const struct beacon_frame *f, gw_time now)
{
	const char *fault = fault_of(b, r, f->record.record, f->record.record_len, now);

	if (fault) {
		b->fault = fault;
		return;
	}
	if (!take_budget(p, now))
		return;
	take_record(p, r);
	p->record_from = b->number;
	/* It has moved, perhaps: those who wait need not wait for the next attempt. */
	if (!p->used && (p->n_live > 0 || p->wanted))
		dial_now(p, now);
	relayed_improve(p, now);
}

static struct peer *asked_by(const struct node *n, uint64_t request)
{
	return request ? map_get(&n->by_request, request) : NULL;
}

void records_record(struct beacon_ref *b, const struct beacon_frame *f, gw_time now)
{
	struct node *n = b->node;
	struct peer *asked = asked_by(n, f->record.request);
	bool first = asked && answered(asked, b);
	struct wire_record r;

	if (f->record.record_len == 0) {
		/* Registered there, but not published: the beacon itself will do. */
		if (first && (f->record.flags & RECORD_HERE) && asked->record_sequence == 0) {
			records_add_home(asked, b);
			dial_now(asked, now);
		}
		return;
	}
	if (wire_record_decode(&r, f->record.record, f->record.record_len) <= 0) {
		b->fault = "gave a malformed record";
		return;
	}
	if (asked && memcmp(r.key, asked->key, KEY_SIZE) != 0) {
		b->fault = "gave the record of another key";
		return;
	}
	beacons_hold(b); /* a record may name many others, and push out who is not held */
	for (struct peer *p = NULL; (p = peer_next_of_key(n, r.key, p));) {
		if (!concerns(p, b))
			continue;
		if (r.sequence > p->record_sequence)
			newer_record(b, p, &r, f, now);
		else if (r.sequence == p->record_sequence)
			same_record(p, asked != NULL, now);
		else if (p->record_from == b->number)
			b->fault = "gave an older record than before";
	}
	beacons_release(b);
}

/* Publish above the sequence that a beacon has, at once; one that always has a newer one waits. */
static void publish_above(struct node *n, uint64_t sequence, gw_time now)
{
	bool again = n->older_at != GW_NEVER && now < n->older_at + 2 * REPUBLISH_GAP;

	if (sequence > n->sequence)
		n->sequence = sequence;
	n->publish_at = again ? now + REPUBLISH_GAP : now;
	n->older_at = now;
}

static void published(struct beacon_ref *b, const struct beacon_frame *f, gw_time now)
{
	struct node *n = b->node;

	b->publish_request = 0;
	if (f->result.status == RESULT_OK) {
		b->published = true;
		b->refuses_record = false;
		n->beacons_changed = true;
		return;
	}
	if (f->result.status == RESULT_OLDER &&
	    f->result.sequence < node_wall_ms(n, now) + CLOCK_AHEAD_MAX) {
		publish_above(n, f->result.sequence, now);
		return;
	}
	b->refuses_record |= f->result.status == RESULT_BAD || f->result.status == RESULT_OLDER;
	n->publish_at = now + REPUBLISH_GAP;
}

void records_result(struct beacon_ref *b, const struct beacon_frame *f, gw_time now)
{
	struct node *n = b->node;
	struct peer *p;

	if (f->result.request != 0 && f->result.request == b->publish_request) {
		published(b, f, now);
		return;
	}
	p = asked_by(n, f->result.request);
	if (p && !answered(p, b))
		return;
	if (p && f->result.status == RESULT_LIMIT && p->watched && !b->watches_full) {
		b->watches_full = true;
		ask(b, p);
	}
	if (p && p->lookups_open == 0 && !p->used && dial_active(p))
		dial_unreachable(p, now);
}

int node_add_home(struct node *n, const uint8_t peer[KEY_SIZE], const uint8_t key[KEY_SIZE],
		  const char *host, uint16_t udp_port, uint16_t tls_port, gw_time now)
{
	struct beacon_ref *b;
	struct peer *p;

	if (memcmp(peer, n->identity->key, KEY_SIZE) == 0)
		return GW_E_SELF;
	p = peer_get(n, peer, now);
	b = p ? beacons_get(n, key, host, udp_port, tls_port) : NULL;
	if (!b)
		return GW_E_LIMIT;
	p->pinned = true;
	records_add_home(p, b);
	return 0;
}
