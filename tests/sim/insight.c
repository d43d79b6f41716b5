/* SPDX-License-Identifier: Apache-2.0 */
#include "insight.h"

#include <stdio.h>
#include <string.h>

#include "core/peer.h"
#include "core/punch.h"
#include "core/types.h"
#include "liar.h"

const char *way_name(enum way w)
{
	static const char *const NAMES[] = { "direct in the LAN", "direct by IPv6",
					     "direct by IPv4",    "relayed over UDP",
					     "relayed over TLS",  "not connected" };

	return NAMES[w];
}

const struct peer_info *info_of(const struct proc *p, const struct proc *peer,
				struct peer_info *out)
{
	const struct peer *at = p->node ? peer_find(p->node, proc_key(peer)) : NULL;

	if (!at)
		return NULL;
	peer_describe(at, out);
	return out;
}

static const struct connection *used(const struct proc *p, const struct proc *peer)
{
	const struct peer *at = p->node ? peer_find(p->node, proc_key(peer)) : NULL;

	return at && at->used && at->used->state == CONN_USED ? at->used : NULL;
}

/* Of the addresses that site.c hands out. */
static bool is_private(const struct addr *a)
{
	return a->family == ADDR_V6 ? a->ip[0] == 0xfd : a->ip[0] == 192 || a->ip[0] == 100;
}

enum way way_to(const struct proc *p, const struct proc *peer)
{
	const struct connection *c = used(p, peer);

	if (!c)
		return WAY_NONE;
	if (c->relay)
		return !c->relay->link            ? WAY_NONE
		       : c->relay->link->path.via ? WAY_TLS_RELAY
						  : WAY_UDP_RELAY;
	if (is_private(&c->path.remote))
		return WAY_LAN;
	return c->path.remote.family == ADDR_V6 ? WAY_IPV6 : WAY_IPV4;
}

static const struct nat_kind *kind_of(const struct sim *s, const struct proc *p)
{
	return &s->sites[s->hosts[p->host].ifaces[0].site].nat.kind;
}

static bool has_v6(const struct sim *s, const struct proc *p)
{
	for (size_t i = 0; i < s->hosts[p->host].n_ifaces; i++)
		if (s->hosts[p->host].ifaces[i].addr.family == ADDR_V6)
			return true;
	return false;
}

/* Its mapping depends on the destination. */
static bool is_hard(const struct nat_kind *k)
{
	return k->box == NAT_TRANSLATES && k->mapping != NAT_INDEPENDENT;
}

/* With prediction and spraying only two hard ones do not meet. */
enum way way_possible(const struct sim *s, const struct proc *p, const struct proc *peer)
{
	const struct nat_kind *a = kind_of(s, p), *b = kind_of(s, peer);
	bool same_site = s->hosts[p->host].ifaces[0].site == s->hosts[peer->host].ifaces[0].site;

	if (same_site)
		return a->box == NAT_TRANSLATES          ? WAY_LAN
		       : has_v6(s, p) && has_v6(s, peer) ? WAY_IPV6
							 : WAY_IPV4;
	if (a->blocks != NAT_BLOCKS_NOTHING)
		return WAY_TLS_RELAY;
	if (b->blocks != NAT_BLOCKS_NOTHING)
		return WAY_UDP_RELAY;
	if (has_v6(s, p) && has_v6(s, peer))
		return WAY_IPV6;
	return is_hard(a) && is_hard(b) ? WAY_UDP_RELAY : WAY_IPV4;
}

static bool takes_spray(const struct nat_kind *hard, const struct nat_kind *other)
{
	return is_hard(hard) && other->box != NAT_OPEN &&
	       (other->box == NAT_FIREWALL || other->filtering == NAT_ADDRESS_PORT);
}

bool way_takes_spray(const struct sim *s, const struct proc *p, const struct proc *peer)
{
	const struct nat_kind *a = kind_of(s, p), *b = kind_of(s, peer);

	return way_possible(s, p, peer) == WAY_IPV4 && (takes_spray(a, b) || takes_spray(b, a));
}

bool agreed(const struct proc *p, const struct proc *peer)
{
	const struct connection *a = used(p, peer), *b = used(peer, p);

	return a && b && a->generation == b->generation && a->dialler != b->dialler &&
	       !a->relay == !b->relay && a->channel == b->channel &&
	       a->incarnation == node_incarnation(peer->node) &&
	       b->incarnation == node_incarnation(p->node);
}

void disagreement(const struct proc *p, const struct proc *peer, char *out, size_t size)
{
	const struct sim *s = p->sim;
	enum way there = way_to(p, peer), back = way_to(peer, p);
	enum way best_there = way_possible(s, p, peer), best_back = way_possible(s, peer, p);

	out[0] = '\0';
	if (there <= best_there && back <= best_back && agreed(p, peer))
		return;
	snprintf(out, size, "%s (%s) x %s (%s): %s, back %s, should be %s, back %s%s", p->name,
		 kind_of(s, p)->name, peer->name, kind_of(s, peer)->name, way_name(there),
		 way_name(back), way_name(best_there), way_name(best_back),
		 agreed(p, peer) ? "" : "; not one connection");
}

const char *fault_of(const struct proc *p, const struct proc *beacon)
{
	struct beacon_info info;

	for (struct beacon_ref *b = node_beacon_next(p->node, NULL); b;
	     b = node_beacon_next(p->node, b)) {
		beacon_describe(b, &info);
		if (memcmp(info.key, proc_key(beacon), KEY_SIZE) == 0 && info.fault)
			return info.fault;
	}
	return NULL;
}

void explain(const struct proc *p, const struct proc *peer)
{
	static const char *const STATES[] = { "down", "dialing", "ready" };
	const struct peer *at = p->node ? peer_find(p->node, proc_key(peer)) : NULL;
	const char *why = at ? peer_why_relayed(at, p->sim->now) : NULL;

	for (struct beacon_ref *b = p->node ? node_beacon_next(p->node, NULL) : NULL; b;
	     b = node_beacon_next(p->node, b)) {
		bool named = false;
		struct beacon_info info;

		beacon_describe(b, &info);
		for (size_t i = 0; at && i < at->n_homes; i++)
			named |= at->homes[i] == b;
		sim_note(p->sim, "%s: beacon %s:%u %s%s%s%s%s%s (%s)%s", p->name, info.host,
			 info.udp_port, STATES[info.state], info.configured ? "" : " visited",
			 info.home ? " home" : "", info.spare ? " spare" : "",
			 info.tls ? " tls" : "", b->published ? " published" : "",
			 error_text(info.error), named ? ", the peer's" : "");
	}
	if (at)
		sim_note(p->sim, "%s: %s has %zu homes, sequence %llu; %s", p->name, peer->name,
			 at->n_homes, (unsigned long long)at->record_sequence,
			 why ? why : "not relayed");
}

void check_bounds(struct proc *p)
{
	const struct node *n = p->node;

	if (n->n_refs > REFS_MAX || n->n_half_open > HALF_OPEN_MAX ||
	    n->n_connections > (2 * RACERS_MAX + 8) * (n->n_peers + 1) ||
	    n->by_request.count > n->n_peers || n->links.n_links > REFS_MAX * (REF_ADDRS_MAX + 1))
		sim_fail(p->sim,
			 "%s: %zu beacons, %zu half open, %zu connections, %zu peers, %zu lookups, "
			 "%zu links",
			 p->name, n->n_refs, n->n_half_open, n->n_connections, n->n_peers,
			 n->by_request.count, n->links.n_links);
}

/* --- a peer that names others --- */

/* The one that the other side is at. */
static uint64_t round_of(const struct sim *s, const struct peer *p, const struct proc *self)
{
	for (unsigned i = 0; i < s->n_procs; i++) {
		const struct proc *other = &s->procs[i];
		const struct peer *back =
			other->node && memcmp(proc_key(other), p->key, KEY_SIZE) == 0
				? peer_find(other->node, proc_key(self))
				: NULL;

		if (back && back->punch)
			return back->punch->round;
	}
	return 1;
}

void act_accuse(struct sim *s, struct action *a)
{
	struct addr victim = net_primary(&s->hosts[a->host])->addr;
	struct frame f = { .type = FRAME_CANDIDATES };
	struct wire_candidates *c = &f.candidates;
	struct action *again;

	if (!a->proc->alive)
		return;
	for (; c->count < CANDIDATES_MAX; c->count++) {
		c->list[c->count].kind = CANDIDATE_OBSERVED;
		c->list[c->count].endpoint = victim;
		c->list[c->count].endpoint.port = (uint16_t)sim_between(s, 1, 65535);
	}
	list_each(&a->proc->node->peers, i, tmp) {
		struct peer *p = container_of(i, struct peer, all_link);

		/* The dialler begins, the accepter answers: do both, all the time. */
		c->round = sim_chance(s, 50) ? ++a->count : round_of(s, p, a->proc);
		c->flags = sim_between(s, 0, 7);
		c->port = (uint16_t)sim_between(s, 1, 65535);
		peer_send(p, &f);
	}
	again = sim_action(s, s->now + a->value, act_accuse);
	*again = *a;
	again->polling = true;
	s->pending_actions--;
}
