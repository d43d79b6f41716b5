/* SPDX-License-Identifier: Apache-2.0 */
#include "core/recheck.h"

#include "core/connection.h"
#include "core/dial.h"
#include "core/peer.h"
#include "core/stream.h"

static bool has_live(const struct peer *p)
{
	list_each(&p->streams, i, tmp)
		if (container_of(i, struct stream, peer_link)->state == STREAM_LIVE)
			return true;
	return false;
}

/* It may use nothing, and we want nothing of it. */
static bool is_unwelcome(const struct peer *p)
{
	struct principal who = peer_itself(p);

	return !p->wanted && !has_live(p) && !policy_welcomes(&p->node->policy, &who);
}

/* Its resets have gone out, or never will: whoever is denied everything learns that from the
 * close, or when it dials. */
void recheck_part(struct peer *p, gw_time now)
{
	p->part_at = GW_NEVER;
	if (!is_unwelcome(p))
		return;
	list_each(&p->connections, i, tmp) {
		struct connection *c = container_of(i, struct connection, peer_link);

		connection_kill(c, c->hello_received ? CLOSE_DENIED : CLOSE_NONE, GW_E_CLOSED, now);
	}
	list_each(&p->streams, j, tmp2) {
		struct stream *s = container_of(j, struct stream, peer_link);

		if (s->state == STREAM_RESETTING)
			stream_park_out(s);
	}
}

static void end_streams(struct peer *p)
{
	struct principal who = peer_itself(p);
	const struct policy *policy = &p->node->policy;
	bool may_dial = policy_may_dial(policy, &who);

	list_each(&p->streams, i, tmp) {
		struct stream *s = container_of(i, struct stream, peer_link);

		if (s->state == STREAM_LIVE &&
		    !(s->incoming ? policy_allows(policy, s->service, &who) : may_dial))
			stream_deny(s);
	}
}

/* Dials in progress, and who waits for them. */
static void end_dials(struct peer *p, gw_time now)
{
	if (p->wanted) {
		p->wanted = false;
		peer_drop_pings(p);
		if (!p->used)
			peer_raise(p, GW_E_POLICY);
	}
	list_each(&p->connections, i, tmp) {
		struct connection *c = container_of(i, struct connection, peer_link);

		if (c->dialler && (c->state == CONN_HANDSHAKE || c->state == CONN_UP))
			connection_kill(c, CLOSE_MOVED, GW_E_CLOSED, now);
	}
	p->pinned_at = GW_NEVER;
	dial_reconsider(p, now);
}

void recheck_peer(struct peer *p, gw_time now)
{
	end_streams(p);
	if (!dial_permitted(p))
		end_dials(p, now);
	if (is_unwelcome(p)) {
		if (p->n_live > 0)
			p->part_at = now + PART_AFTER;
		else
			recheck_part(p, now);
	}
	dial_schedule(p, now);
}
