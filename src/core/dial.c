/* SPDX-License-Identifier: Apache-2.0 */
#include "core/dial.h"

#include <stdlib.h>
#include <string.h>

#include "core/connection.h"
#include "core/dgram.h"
#include "core/peer.h"
#include "core/punch.h"
#include "core/recheck.h"
#include "core/relayed.h"
#include "core/stream.h"

/* A stream that was never sent waits at least this long, whatever its park timeout. */
#define FIRST_CONNECT (60 * GW_SEC)

static bool grow(struct peer *p)
{
	struct addr *all;

	if (p->n_endpoints == PEER_ENDPOINTS_MAX)
		return false;
	if (p->n_endpoints == FEW_ENDPOINTS && p->endpoints == p->few) {
		all = calloc(PEER_ENDPOINTS_MAX, sizeof(*all));
		if (!all)
			return false;
		memcpy(all, p->few, sizeof(p->few));
		p->endpoints = all;
	}
	p->n_endpoints++;
	return true;
}

void dial_add_endpoint(struct peer *p, const struct addr *endpoint)
{
	size_t i = 0;

	while (i < p->n_endpoints && !addr_equal(&p->endpoints[i], endpoint))
		i++;
	if (i == p->n_endpoints && !grow(p))
		i--; /* the oldest goes */
	memmove(&p->endpoints[1], &p->endpoints[0], i * sizeof(p->endpoints[0]));
	p->endpoints[0] = *endpoint;
}

void dial_add_hint(struct peer *p, const struct addr *endpoint)
{
	struct addr learned = p->endpoints[0];

	for (size_t i = 0; i < p->n_endpoints; i++)
		if (addr_equal(&p->endpoints[i], endpoint))
			return;
	dial_add_endpoint(p, endpoint);
	if (p->met && p->n_endpoints > 1)
		dial_add_endpoint(p, &learned);
}

bool dial_active(const struct peer *p)
{
	return p->dial_started != GW_NEVER;
}

/* When the first of the waiting streams has waited long enough. */
static gw_time park_deadline(const struct stream *s, const struct peer *p)
{
	gw_time since = time_max(p->parked_since, s->created_at), timeout = s->park_timeout;

	if (!s->sent && timeout < FIRST_CONNECT)
		timeout = FIRST_CONNECT;
	if (s->state == STREAM_RESETTING)
		timeout = timeout > GW_NEVER - FORGET_AFTER ? GW_NEVER : timeout + FORGET_AFTER;
	return timeout > GW_NEVER - since ? GW_NEVER : since + timeout;
}

static void set_park_timer(struct peer *p)
{
	p->park_at = GW_NEVER;
	if (p->used)
		return;
	list_each(&p->streams, i, tmp) {
		const struct stream *s = container_of(i, struct stream, peer_link);

		if (s->state != STREAM_RETIRED)
			p->park_at = time_min(p->park_at, park_deadline(s, p));
	}
}

static void set_timer(struct peer *p)
{
	gw_time at = time_min(time_min(p->dial_at, p->pinned_at), p->park_at);

	at = time_min(time_min(at, p->part_at), punch_due(p));
	/* Out of memory: the peer is looked at when anything else happens to it. */
	(void)heap_set(&p->node->peer_timers, &p->timer, at);
}

void dial_schedule(struct peer *p, gw_time now)
{
	(void)now;
	set_park_timer(p);
	set_timer(p);
}

void dial_start(struct peer *p, gw_time now)
{
	if (!dial_active(p)) {
		p->dial_started = now;
		p->attempts = 0;
		p->dial_at = now;
	}
	dial_schedule(p, now);
}

static bool has_endpoints(const struct peer *p)
{
	return p->n_endpoints > 0 && !p->node->config.relay_only;
}

void dial_asked(struct peer *p, gw_time now)
{
	p->asked_at = now;
	if (!has_endpoints(p))
		dial_now(p, now);
	else
		dial_start(p, now);
}

void dial_now(struct peer *p, gw_time now)
{
	p->dial_started = now;
	p->attempts = 0;
	p->dial_at = now;
	set_timer(p);
}

void dial_stop(struct peer *p, const struct connection *winner, gw_time now)
{
	p->dial_started = p->dial_at = p->pinned_at = GW_NEVER;
	p->must_move = false;
	list_each(&p->connections, i, tmp) {
		struct connection *c = container_of(i, struct connection, peer_link);

		if (c != winner && c->dialler &&
		    (c->state == CONN_HANDSHAKE || c->state == CONN_UP))
			connection_kill(c, CLOSE_MOVED, GW_E_CLOSED, now);
	}
	set_timer(p);
}

size_t dial_racers(const struct peer *p)
{
	size_t count = 0;

	list_each(&p->connections, i, tmp) {
		const struct connection *c = container_of(i, struct connection, peer_link);

		count += c->dialler && (c->state == CONN_HANDSHAKE || c->state == CONN_UP);
	}
	return count;
}

static void race(struct peer *p, const struct path *path, gw_time now)
{
	struct connection *c;

	if (dial_racers(p) >= RACERS_MAX)
		return;
	c = connection_dial(p, path, now);
	if (c)
		c->generation = p->generation + 1;
}

void dial_unreachable(struct peer *p, gw_time now)
{
	(void)now;
	if (dial_active(p) && dial_racers(p) == 0 && p->lookups_open == 0 && !has_endpoints(p) &&
	    !relayed_pending(p))
		peer_raise(p, GW_E_UNREACHABLE);
}

static bool can_leave_by(const struct local_addr *l, const struct addr *remote)
{
	return l->addr.family == remote->family && l->loopback == addr_is_loopback(remote) &&
	       !addr_is_link_local(&l->addr);
}

size_t dial_ways_out(const struct node *n, const struct addr *remote)
{
	size_t count = 0;

	for (size_t i = 0; i < n->n_locals; i++)
		count += can_leave_by(&n->locals[i], remote);
	return count;
}

static void race_pinned(struct peer *p, gw_time now)
{
	const struct node *n = p->node;

	if (n->config.relay_only)
		return;
	for (size_t e = 0; e < p->n_endpoints; e++) {
		const struct addr *remote = &p->endpoints[e];

		if (dial_ways_out(n, remote) < 2)
			continue;
		for (size_t i = 0; i < n->n_locals; i++) {
			struct path path = { .local = n->locals[i].addr,
					     .ifindex = n->locals[i].ifindex,
					     .remote = *remote };

			path.local.port = 0;
			if (can_leave_by(&n->locals[i], remote))
				race(p, &path, now);
		}
	}
}

bool dial_permitted(const struct peer *p)
{
	struct principal who = peer_itself(p);

	if (policy_may_dial(&p->node->policy, &who))
		return true;
	list_each(&p->streams, i, tmp) {
		const struct stream *s = container_of(i, struct stream, peer_link);

		if (s->incoming && s->state == STREAM_LIVE)
			return true;
	}
	return false;
}

static void race_all(struct peer *p, gw_time now)
{
	if (!has_endpoints(p) && !relayed_possible(p))
		peer_raise(p, GW_E_UNREACHABLE);
	relayed_attempt(p, now);
	for (size_t i = 0; i < p->n_endpoints && has_endpoints(p); i++) {
		struct path path = { .remote = p->endpoints[i] };

		race(p, &path, now);
	}
	p->pinned_at = now + PINNED_DELAY;
}

static void attempt(struct peer *p, gw_time now)
{
	static const gw_time GAPS[] = { 200 * GW_MSEC, 300 * GW_MSEC, 500 * GW_MSEC };
	gw_time gap = now - p->dial_started < REDIAL_FAST_FOR ? REDIAL_FAST : REDIAL_SLOW;

	if (dial_permitted(p))
		race_all(p, now);
	if (p->attempts < sizeof(GAPS) / sizeof(GAPS[0]))
		gap = GAPS[p->attempts];
	p->attempts++;
	p->dial_at = now + gap;
}

static void fail_overdue(struct peer *p, gw_time now)
{
	list_each(&p->streams, i, tmp) {
		struct stream *s = container_of(i, struct stream, peer_link);

		if (s->state != STREAM_RETIRED && park_deadline(s, p) <= now)
			stream_park_out(s);
	}
	set_park_timer(p);
}

/* Without streams of ours the peer may still have some that wait for us: a connection in
 * doubt is replaced for as long as it lives. */
static bool still_needed(const struct peer *p, gw_time now)
{
	const struct connection *used = p->used;

	if (!used || used->state != CONN_USED)
		return p->n_live > 0 || p->wanted;
	if (p->must_move && p->n_live == 0)
		return now < p->dial_started + SILENT_DROP;
	return used->suspect || p->must_move;
}

void dial_reconsider(struct peer *p, gw_time now)
{
	if (dial_active(p) && !still_needed(p, now))
		dial_stop(p, NULL, now);
}

void dial_expire(struct peer *p, gw_time now)
{
	dgram_expire(p, now);
	if (now >= p->park_at)
		fail_overdue(p, now);
	if (now >= p->part_at)
		recheck_part(p, now);
	dial_reconsider(p, now);
	if (now >= p->pinned_at) {
		p->pinned_at = GW_NEVER;
		race_pinned(p, now);
	}
	if (now >= p->dial_at)
		attempt(p, now);
	if (now >= punch_due(p))
		punch_expire(p, now);
	set_timer(p);
}
