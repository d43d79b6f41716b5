/* SPDX-License-Identifier: Apache-2.0 */
/* Life signs: does a beacon live, what is due, and what a change of the network means. */
#include "core/beacons_internal.h"
#include "core/dial.h"
#include "core/homes.h"
#include "core/ladder.h"
#include "core/records.h"
#include "core/relayed.h"

void beacons_check(struct beacon_ref *b, gw_time now)
{
	(void)now;
	if (b->link && b->link->outstanding_since == GW_NEVER)
		link_ping(b->link, 0);
}

void beacons_check_all(struct node *n, gw_time now)
{
	list_each(&n->refs, i, tmp)
		beacons_check(container_of(i, struct beacon_ref, all_link), now);
}

/* What is sent without an address is lost, and an OPEN would wait for its repetition. */
static void unsettle(struct beacon_ref *b, gw_time now)
{
	b->unsettled = true;
	b->ping_gap = DOUBT_PING;
	b->ping_at = now + DOUBT_PING;
	if (b->link->path.via || dial_ways_out(b->node, &b->link->path.remote) > 0) {
		b->ping_at = GW_NEVER;
		link_ping(b->link, 0);
	}
}

void beacons_network_changed(struct node *n, gw_time now)
{
	list_each(&n->refs, i, tmp) {
		struct beacon_ref *b = container_of(i, struct beacon_ref, all_link);

		if (b->link) {
			unsettle(b, now);
			if (b->link->path.via) {
				/* TCP does not survive a change of address. */
				ladder_close_tls(b);
				ladder_open_tls(b);
				ladder_ask_for_udp(b, now);
			}
		} else if (b->redial_at != GW_NEVER || b->n_racers > 0) {
			beacons_drop_links(b, now);
			b->failures = 0;
			beacons_dial(b, now);
		}
	}
}

/* Until it has asked us at our new address it drops what we send from there, and a handshake's
 * first packet would be lost.  Our answer to that question goes out before anything else. */
bool beacons_can_relay(const struct beacon_ref *b)
{
	return b->link && b->welcome && !b->unsettled;
}

void beacons_doubt(struct node *n, gw_time now)
{
	list_each(&n->refs, i, tmp) {
		struct beacon_ref *b = container_of(i, struct beacon_ref, all_link);

		if (!b->link || b->link->path.via || b->ping_at != GW_NEVER)
			continue;
		if (!b->unsettled)
			b->ping_gap = DOUBT_PING;
		b->unsettled = true;
		b->ping_at = now + b->ping_gap;
		b->ping_gap *= 2;
	}
}

void beacons_heard(struct beacon_ref *b, gw_time now)
{
	if (!b->unsettled || !b->link || b->link->heard_at != now)
		return;
	b->unsettled = false;
	if (b->configured)
		homes_reconsider(b->node, now);
	if (b->welcome) {
		records_beacon_ready(b, now);
		relayed_beacon_ready(b, now);
	}
}

static gw_time silent_at(const struct beacon_ref *b)
{
	return b->link ? link_silent_at(b->link) : GW_NEVER;
}

/* An extra one stays while it relays, and while a home or a spare is missing. */
static bool leavable(const struct beacon_ref *b)
{
	return b->link && b->channels == 0 &&
	       (b->role == REF_VISITED || (b->role == REF_EXTRA && b->node->homes_complete));
}

static gw_time ref_due(const struct beacon_ref *b)
{
	gw_time at = time_min(time_min(b->redial_at, b->tls_at), time_min(b->udp_at, b->ping_at));
	gw_time silent = silent_at(b);

	if (silent != GW_NEVER)
		at = time_min(at, b->suspect ? silent + REF_DROP : silent);
	if (leavable(b))
		at = time_min(at, b->used_at + VISIT_IDLE);
	return at;
}

gw_time beacons_due(const struct node *n)
{
	gw_time at = time_min(n->homes_at, n->publish_at);

	list_each(&n->refs, i, tmp)
		at = time_min(at, ref_due(container_of(i, struct beacon_ref, all_link)));
	return at;
}

static void watch(struct beacon_ref *b, gw_time now)
{
	gw_time silent = silent_at(b);

	if (b->suspect && (silent == GW_NEVER || now < silent)) {
		b->suspect = false;
		if (b->configured)
			homes_reconsider(b->node, now);
	} else if (!b->suspect && now >= silent) {
		b->suspect = true;
		if (!b->link->path.via)
			ladder_open_tls(b);
		if (b->configured)
			homes_reconsider(b->node, now);
	} else if (b->suspect && now >= silent + REF_DROP) {
		link_close(b->link, CLOSE_NONE, GW_E_UNREACHABLE, NULL, 0, now);
	}
}

static void ref_expire(struct beacon_ref *b, gw_time now)
{
	if (now >= b->redial_at)
		beacons_dial(b, now);
	if (now >= b->tls_at) {
		b->tls_at = GW_NEVER;
		if (!b->link)
			ladder_open_tls(b);
	}
	if (now >= b->udp_at) {
		b->udp_at = GW_NEVER;
		if (b->link && b->link->path.via)
			ladder_ask_for_udp(b, now);
	}
	if (now >= b->ping_at) {
		b->ping_at = GW_NEVER;
		if (b->link)
			link_ping(b->link, 0);
	}
	if (b->link)
		watch(b, now);
	if (leavable(b) && now >= b->used_at + VISIT_IDLE) {
		beacons_drop_links(b, now);
		b->redial_at = GW_NEVER;
	}
}

void beacons_expire(struct node *n, gw_time now)
{
	list_each(&n->refs, i, tmp)
		ref_expire(container_of(i, struct beacon_ref, all_link), now);
	if (now >= n->homes_at)
		homes_choose(n, now);
	if (now >= n->publish_at)
		records_publish(n, now);
}
