/* SPDX-License-Identifier: Apache-2.0 */
#include "core/spray.h"

#include <stdlib.h>
#include <string.h>

#include "core/dial.h"
#include "core/outbox.h"
#include "core/punch.h"

enum {
	PER_TICK_HARD = 32,      /* probes; all sockets within 80 ms */
	PER_TICK_EASY = 5,       /* 500 a second */
	PREDICTED_PER_TICK = 16, /* the predicted ones are worth a burst */
	PORT_FIRST = 1024,
};

#define HARD_REPEATS GW_SEC
#define OPENING_LASTS (500 * GW_MSEC)
#define LOOKING_LASTS (300 * GW_MSEC)

static struct spray *start(struct peer *p, enum spray_state state, gw_time now)
{
	struct punch *u = p->punch;
	struct node *n = p->node;

	if (n->spraying || u->spray ||
	    (u->sprayed_at != GW_NEVER && now < u->sprayed_at + SPRAY_GAP))
		return NULL;
	u->spray = calloc(1, sizeof(*u->spray));
	if (!u->spray)
		return NULL;
	u->spray->state = state;
	u->spray->next_at = now;
	u->spray->ends_at = now + SPRAY_LASTS;
	u->sprayed_at = now;
	n->spraying = p;
	return u->spray;
}

void spray_end(struct peer *p, uint32_t keep)
{
	struct spray *s = p->punch->spray;

	if (!s)
		return;
	for (size_t i = 0; i < s->n_sockets; i++)
		if (s->sockets[i] != keep)
			outbox_close(p->node, s->sockets[i]);
	free(s);
	p->punch->spray = NULL;
	if (p->node->spraying == p)
		p->node->spraying = NULL;
}

gw_time spray_due(const struct peer *p)
{
	return p->punch->spray ? p->punch->spray->next_at : GW_NEVER;
}

/* Where the relaying beacon, one of our own, sees the peer; if the peer says so, too. */
static const struct addr *agreed_endpoint(const struct peer *p)
{
	const struct punch *u = p->punch;

	for (size_t i = 0; i < u->theirs.count; i++)
		if (u->theirs.list[i].kind == CANDIDATE_OBSERVED &&
		    u->revealed.family != ADDR_NONE &&
		    addr_same_host(&u->theirs.list[i].endpoint, &u->revealed))
			return &u->theirs.list[i].endpoint;
	return NULL;
}

/* --- the hard side --- */

void spray_begin(struct peer *p, gw_time now)
{
	const struct addr *target = agreed_endpoint(p);
	struct spray *s;

	if (!(punch_mapping(p->node) & CANDIDATES_DEPENDENT) ||
	    (p->punch->theirs.flags & CANDIDATES_DEPENDENT) || !target)
		return;
	s = start(p, SPRAY_OPENING, now);
	if (!s)
		return;
	s->target = *target;
	while (s->n_sockets < SPRAY_SOCKETS) {
		uint32_t via = outbox_open_udp(p->node);

		if (!via)
			break;
		s->sockets[s->n_sockets++] = via;
	}
	s->next_at = now + OPENING_LASTS;
}

bool spray_socket(struct node *n, uint32_t via, bool open, gw_time now)
{
	struct peer *p = n->spraying;
	struct spray *s = p ? p->punch->spray : NULL;

	for (size_t i = 0; s && i < s->n_sockets; i++) {
		if (s->sockets[i] != via)
			continue;
		if (open)
			s->n_open++;
		else
			s->sockets[i] = s->sockets[--s->n_sockets];
		if (s->n_open == s->n_sockets && s->state == SPRAY_OPENING) {
			s->next_at = now;
			dial_schedule(p, now);
		}
		return true;
	}
	return false;
}

/* Where is the next mapping?  The first socket asks the relaying beacon. */
static void look(struct peer *p, gw_time now)
{
	struct spray *s = p->punch->spray;
	struct wire_address_request r = { 0 };
	uint8_t data[WIRE_ADDRESS_REQUEST_SIZE];
	const struct beacon_ref *b = p->used->relay;
	struct path path = { .via = s->sockets[0] };

	s->state = SPRAY_LOOKING;
	s->next_at = now + LOOKING_LASTS;
	rng_bytes(p->node->rng, s->token, sizeof(s->token));
	memcpy(r.token, s->token, sizeof(r.token));
	wire_address_request_encode(data, &r);
	for (size_t i = 0; i < b->n_addrs; i++) {
		path.remote = b->addrs[i];
		outbox_send(p->node, &path, data, sizeof(data));
	}
}

static void fire(struct peer *p, uint16_t port, gw_time now)
{
	struct spray *s = p->punch->spray;

	s->state = SPRAY_HARD;
	s->cursor = 0;
	s->next_at = now;
	punch_offer(p, CANDIDATES_SPRAY, port, 1);
	dial_schedule(p, now);
}

bool spray_address(struct node *n, const struct path *path, const struct wire_address_reply *r,
		   gw_time now)
{
	struct peer *p = n->spraying;
	struct spray *s = p ? p->punch->spray : NULL;

	if (!s || s->state != SPRAY_LOOKING || path->via != s->sockets[0] ||
	    memcmp(r->token, s->token, sizeof(s->token)) != 0)
		return false;
	fire(p, r->endpoint.port, now);
	return true;
}

static void fire_on(struct peer *p, gw_time now)
{
	struct spray *s = p->punch->spray;

	for (int i = 0; i < PER_TICK_HARD && s->cursor < s->n_sockets; i++) {
		struct path path = { .remote = s->target, .via = s->sockets[s->cursor++] };

		punch_ask(p, &path);
	}
	s->next_at = now + SPRAY_TICK;
	if (s->cursor >= s->n_sockets) {
		s->cursor = 0;
		s->next_at = now + HARD_REPEATS;
	}
}

/* --- the easy side --- */

void spray_invited(struct peer *p, const struct wire_candidates *theirs, gw_time now)
{
	const struct addr *target;
	struct spray *s;

	if (!p->punch->have_theirs || (punch_mapping(p->node) & CANDIDATES_DEPENDENT))
		return;
	target = agreed_endpoint(p);
	s = target ? start(p, SPRAY_EASY, now) : NULL;
	if (!s)
		return;
	s->target = *target;
	s->base = theirs->port;
	s->step = theirs->step ? theirs->step : 1;
	s->cursor = theirs->port ? 0 : SPRAY_PREDICTED;
	dial_schedule(p, now);
}

static uint16_t next_port(struct peer *p)
{
	struct spray *s = p->punch->spray;

	s->cursor++;
	if (s->cursor <= SPRAY_PREDICTED) {
		uint16_t port = (uint16_t)(s->base + s->step * (int)s->cursor);

		return port < PORT_FIRST ? (uint16_t)(port + PORT_FIRST) : port;
	}
	return (uint16_t)(PORT_FIRST + rng_below(p->node->rng, 65536 - PORT_FIRST));
}

static void try_ports(struct peer *p, gw_time now)
{
	struct spray *s = p->punch->spray;
	int count = s->cursor < SPRAY_PREDICTED ? PREDICTED_PER_TICK : PER_TICK_EASY;

	for (int i = 0; i < count; i++) {
		struct path path = { .remote = s->target };

		path.remote.port = next_port(p);
		punch_ask(p, &path);
	}
	s->next_at = now + SPRAY_TICK;
}

void spray_expire(struct peer *p, gw_time now)
{
	struct spray *s = p->punch->spray;

	if (now >= s->ends_at) {
		spray_end(p, 0);
		return;
	}
	switch (s->state) {
	case SPRAY_OPENING:
		if (s->n_open == 0)
			spray_end(p, 0);
		else
			look(p, now);
		break;
	case SPRAY_LOOKING:
		fire(p, 0, now);
		break;
	case SPRAY_HARD:
		fire_on(p, now);
		break;
	case SPRAY_EASY:
		try_ports(p, now);
		break;
	case SPRAY_NONE:
		break;
	}
}
