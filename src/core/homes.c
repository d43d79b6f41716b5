/* SPDX-License-Identifier: Apache-2.0 */
#include "core/homes.h"

#include "core/beacons_internal.h"
#include "core/records.h"

enum { DRAINED_FAILURES = 3 }; /* dialled 4-12 s later: not while it drains */

static bool usable(const struct beacon_ref *b)
{
	return b->configured && b->link && b->welcome && !b->draining && !b->suspect;
}

static struct beacon_ref *of_role(const struct node *n, enum ref_role role)
{
	list_each(&n->refs, i, tmp) {
		struct beacon_ref *b = container_of(i, struct beacon_ref, all_link);

		if (b->configured && b->role == role)
			return b;
	}
	return NULL;
}

/* The nearest that may have the role; the one that has it stays unless another one is clearly
 * better. */
static struct beacon_ref *nearest(const struct node *n, const struct beacon_ref *not_this)
{
	struct beacon_ref *best = NULL;

	list_each(&n->refs, i, tmp) {
		struct beacon_ref *b = container_of(i, struct beacon_ref, all_link);
		gw_time rtt;

		if (b == not_this || !usable(b))
			continue;
		rtt = link_rtt(b->link);
		if (b->role == REF_HOME && !not_this)
			rtt = rtt * 4 / 5 > 5 * GW_MSEC ? rtt * 4 / 5 - 5 * GW_MSEC : 0;
		if (!best || rtt < link_rtt(best->link))
			best = b;
	}
	return best;
}

static size_t dialling(const struct node *n)
{
	size_t count = 0;

	list_each(&n->refs, i, tmp) {
		const struct beacon_ref *b = container_of(i, struct beacon_ref, all_link);

		count += b->configured && !beacons_idle(b) && !b->welcome;
	}
	return count;
}

/* Those that are neither home nor spare are left; without a spare only those that drain, and these
 * are dialled again. */
static void leave_extras(struct node *n, gw_time now)
{
	list_each(&n->refs, i, tmp) {
		struct beacon_ref *b = container_of(i, struct beacon_ref, all_link);

		if (b->role != REF_EXTRA || b->channels > 0 || (!b->link && b->n_racers == 0) ||
		    (!n->homes_complete && !b->draining))
			continue;
		beacons_drop_links(b, now);
		b->redial_at = GW_NEVER;
		if (n->homes_complete)
			continue;
		if (b->failures < DRAINED_FAILURES)
			b->failures = DRAINED_FAILURES;
		beacons_redial_later(b, now);
	}
}

void homes_dial_all(struct node *n, gw_time now)
{
	list_each(&n->refs, i, tmp) {
		struct beacon_ref *b = container_of(i, struct beacon_ref, all_link);

		if (b->configured && beacons_idle(b) && b->redial_at == GW_NEVER)
			beacons_dial(b, now);
	}
}

void homes_choose(struct node *n, gw_time now)
{
	struct beacon_ref *home = nearest(n, NULL), *spare;
	bool changed;

	n->homes_at = GW_NEVER;
	if (!home)
		return;
	spare = nearest(n, home);
	changed = home->role != REF_HOME ||
		  (spare ? spare->role != REF_SPARE : of_role(n, REF_SPARE) != NULL);
	list_each(&n->refs, i, tmp) {
		struct beacon_ref *b = container_of(i, struct beacon_ref, all_link);

		if (b->configured)
			b->role = b == home ? REF_HOME : b == spare ? REF_SPARE : REF_EXTRA;
	}
	n->homes_complete = spare != NULL;
	leave_extras(n, now);
	if (!spare)
		homes_dial_all(n, now);
	if (changed) {
		records_publish(n, now);
		n->homes_at =
			now + HOMES_CHECKED; /* its answer is a better measure than the handshake */
	}
	n->beacons_changed = true;
}

void homes_reconsider(struct node *n, gw_time now)
{
	if (!of_role(n, REF_HOME) || dialling(n) == 0)
		n->homes_at = now;
	else
		n->homes_at = time_min(n->homes_at, now + HOMES_SETTLE);
}
