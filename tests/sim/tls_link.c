/* tests/sim/tls_link.c - TLS links: messages that come whole, in order and without loss.
 *
 * TCP is modelled by what it does to time: a message waits at each of three stages (the sender's
 * uplink, the core, the receiver) until its turn has come and the way is clear, trying again
 * like a retransmission.  Acknowledgements and resets wait, too, but in no order.  An end whose
 * address is gone never finds the way clear again.
 *
 *	CLOSED -> OPENING -> UP -> CLOSED */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "net.h"

/* Headers of TCP/IP and of a TLS record; an own port that nobody looks at. */
enum { IPV4_OVERHEAD = 62, IPV6_OVERHEAD = 82, PORT = 61000 };

#define RETRY (200 * GW_MSEC)
#define GIVE_UP (10 * GW_SEC)

enum tls_state { TLS_CLOSED, TLS_OPENING, TLS_UP };

/* Messages pass a stage by number. */
struct turn {
	uint64_t next;
	gw_time last_out;
	gw_time retry_at; /* of the message whose turn it is */
};

struct tls_end {
	struct tls_link *link;
	enum tls_state state;
	bool dead; /* sends nothing more, not even what it has */
	struct proc *proc;
	unsigned life; /* of the process */
	uint32_t via;
	struct iface *iface;
	unsigned site;
	struct addr local, remote; /* when it was opened */
	uint64_t numbered;         /* messages sent in order */
	uint64_t out, acked, in;   /* bytes */
	gw_time waits_since;       /* for the other end */
	bool timed;
	struct turn turns[TLS_STAGES];
};

struct tls_link {
	struct tls_link *next;
	struct tls_end ends[2]; /* 0 opened it */
};

/* The handshakes of TCP and TLS: messages to and fro, and their sizes. */
enum { HELLO_CLIENT_UP = 3, HELLO_SERVER_UP = 4 };
static const size_t hello_sizes[] = { 0, 0, 500, 2500, 100 };

static struct tls_end *other(struct tls_end *e)
{
	return &e->link->ends[e == &e->link->ends[0]];
}

static bool in_order(const struct packet *pk)
{
	return pk->what == TLS_HELLO || pk->what == TLS_DATA || pk->what == TLS_FIN;
}

static void push(struct sim *s, struct tls_end *e, enum tls_what what, uint64_t value,
		 const uint8_t *data, size_t len)
{
	static const uint8_t hello[4096];
	struct packet head = { .stage = AT_TLS,
			       .from = e,
			       .what = what,
			       .value = value,
			       .sent_at = s->now,
			       .len = len };

	if (in_order(&head))
		head.number = e->numbered++;
	sim_schedule(s, s->now, ITEM_PACKET, packet_new(&head, data ? data : hello));
}

/* From now on the other end is waited for. */
static void start_timer(struct sim *s, struct tls_end *e)
{
	struct packet head = { .stage = AT_TLS, .from = e, .what = TLS_TIMER };

	e->waits_since = s->now;
	if (!e->timed)
		sim_schedule(s, s->now + GIVE_UP, ITEM_PACKET, packet_new(&head, NULL));
	e->timed = true;
}

static void push_hello(struct sim *s, struct tls_end *e, uint64_t which)
{
	push(s, e, TLS_HELLO, which, NULL, hello_sizes[which]);
}

static struct path path_of(const struct sim *s, const struct tls_end *e)
{
	return (struct path){ .local = e->local,
			      .ifindex = net_ifindex(s, e->iface),
			      .remote = e->remote,
			      .via = e->via };
}

/* --- up and down --- */

static void report(struct sim *s, struct tls_end *e, bool up)
{
	struct path path = path_of(s, e);
	struct proc *p = e->proc;

	sim_note(s, "%s: link %u is %s", p->name, e->via, up ? "up" : "down");
	if (!p->alive || !p->on_link)
		return;
	p->on_link(p, &path, up);
	proc_pump(p);
}

static void forget(struct tls_end *e)
{
	struct conduit *c = conduit_find(e->proc, e->via);

	e->state = TLS_CLOSED;
	if (c && c->end == e)
		conduit_remove(c);
}

static void go_down(struct sim *s, struct tls_end *e)
{
	bool known = e->link->ends == e || e->state == TLS_UP; /* the process has its number */

	e->dead = true;
	if (e->state == TLS_CLOSED)
		return;
	forget(e);
	if (known)
		report(s, e, false);
}

static void server_up(struct sim *s, struct tls_end *e)
{
	struct proc *p = e->proc;

	if (!p->alive || p->lives != e->life || !p->on_link) {
		e->state = TLS_CLOSED;
		push(s, e, TLS_RESET, 0, NULL, 0);
		return;
	}
	e->state = TLS_UP;
	e->via = LINK_VIA_FIRST + p->links_taken++;
	conduit_add(p, e->via)->end = e;
	report(s, e, true);
}

int net_link_open(struct sim *s, struct proc *p, uint32_t via, const struct addr *target)
{
	struct path path = { .remote = *target };
	struct iface *f = net_source(s, p->host, &path);
	struct tls_link *l;
	struct tls_end *e;

	if (!p->alive || !via || via >= LINK_VIA_FIRST)
		return GW_E_INVALID;
	if (conduit_find(p, via))
		return GW_E_EXISTS;
	if (!f)
		return GW_E_UNREACHABLE;
	l = calloc(1, sizeof(*l));
	if (!l)
		abort();
	l->next = s->links;
	s->links = l;
	l->ends[0].link = l->ends[1].link = l;
	e = &l->ends[0];
	e->state = TLS_OPENING;
	e->proc = p;
	e->via = via;
	e->iface = f;
	e->site = f->site;
	e->local = f->addr;
	e->local.port = PORT;
	e->remote = *target;
	conduit_add(p, via)->end = e;
	push_hello(s, e, 0);
	start_timer(s, e);
	return 0;
}

void net_link_shut(struct sim *s, struct tls_end *e)
{
	enum tls_state was = e->state;

	forget(e);
	if (was == TLS_UP)
		push(s, e, TLS_FIN, 0, NULL, 0);
	else
		e->dead = true;
}

void net_link_close(struct sim *s, struct proc *p, uint32_t via)
{
	struct conduit *c = conduit_find(p, via);

	if (c && c->end)
		net_link_shut(s, c->end);
}

void net_links_clear(struct sim *s)
{
	for (struct tls_link *l = s->links, *next; l; l = next) {
		next = l->next;
		free(l);
	}
	s->links = NULL;
}

/* --- the way --- */

void net_link_send(struct sim *s, struct tls_end *e, const struct batch *b)
{
	for (size_t at = 0; e->state == TLS_UP && at < b->len; at += b->segment) {
		size_t len = b->len - at < b->segment ? b->len - at : b->segment;

		if (e->out - e->acked + len > LINK_QUEUE_MAX)
			return;
		if (e->out == e->acked)
			start_timer(s, e);
		e->out += len;
		push(s, e, TLS_DATA, 0, b->data + at, len);
	}
}

static bool awake(const struct sim *s, const struct tls_end *e)
{
	return s->hosts[e->iface->host].asleep_until <= s->now;
}

static bool has_address(const struct tls_end *e)
{
	return e->iface->present && e->site == e->iface->site &&
	       addr_same_host(&e->local, &e->iface->addr);
}

/* The first message finds the other end. */
static void find_server(struct sim *s, struct tls_end *e, struct iface *f, const struct addr *seen)
{
	struct tls_end *server = other(e);

	server->iface = f;
	server->site = f->site;
	server->local = e->remote;
	server->remote = *seen;
	for (unsigned i = 0; i < s->n_procs; i++) {
		struct proc *p = &s->procs[i];

		if (p->host == f->host && p->port == e->remote.port) {
			server->proc = p;
			server->life = p->lives;
			if (p->alive)
				break;
		}
	}
}

/* Can a message get from the core to the other end?  Connections are as their opener sees them. */
static bool way_holds(struct sim *s, struct tls_end *e)
{
	struct tls_end *client = &e->link->ends[0], *server = &e->link->ends[1], *to = other(e);
	struct addr seen = client->local;
	struct iface *f = site_route_tcp(s, client->site, &seen, &client->remote);

	if (!f || !f->present || !has_address(client))
		return false;
	if (!server->iface)
		find_server(s, client, f, &seen);
	return f == server->iface && addr_equal(&seen, &server->remote) && !to->iface->down.down &&
	       !net_is_cut(s, client->iface->host, f->host);
}

/* When will the link's queue have room?  TCP does not fill it, so that others get through. */
static gw_time room_at(const struct access *l)
{
	return l->rate && l->busy_until > l->queue / 2 ? l->busy_until - l->queue / 2 : 0;
}

/* When can the message pass its stage?  GW_NEVER: nobody knows. */
static gw_time way_clear_at(struct sim *s, const struct packet *pk)
{
	struct tls_end *e = pk->from, *to = other(e);
	struct access *up = &e->iface->up;

	switch (pk->tls_stage) {
	case TLS_UPLINK:
		return has_address(e) && awake(s, e) && !up->down ? room_at(up) : GW_NEVER;
	case TLS_CORE:
		return way_holds(s, e) ? room_at(&to->iface->down) : GW_NEVER;
	case TLS_ARRIVAL:
	case TLS_STAGES:
		break;
	}
	return has_address(to) && awake(s, to) ? 0 : GW_NEVER;
}

static void wait(struct sim *s, struct packet *pk, gw_time clear_at)
{
	struct turn *t = &pk->from->turns[pk->tls_stage];
	gw_time at = time_min(clear_at, s->now + RETRY);

	if (s->now - pk->sent_at > GIVE_UP && (!in_order(pk) || pk->from->state != TLS_UP)) {
		pk->from->dead |= in_order(pk);
		free(pk);
		return;
	}
	if (in_order(pk)) {
		if (pk->number == t->next)
			t->retry_at = at;
		else
			at = time_max(t->retry_at, s->now + GW_MSEC);
	}
	sim_schedule(s, at, ITEM_PACKET, pk);
}

static void cross(struct sim *s, struct packet *pk, struct access *l)
{
	struct turn *t = &pk->from->turns[pk->tls_stage];
	size_t size = pk->len + (pk->from->local.family == ADDR_V6 ? IPV6_OVERHEAD : IPV4_OVERHEAD);
	gw_time out = time_max(s->now, l->busy_until);

	if (l->rate) {
		out += size * GW_SEC / l->rate;
		l->busy_until = out;
	}
	out += l->delay + rng_below(&l->rng, l->jitter + 1);
	t->last_out = time_max(out, t->last_out);
	pk->tls_stage++;
	sim_schedule(s, t->last_out, ITEM_PACKET, pk);
}

/* --- arrival --- */

static void greet(struct sim *s, struct tls_end *e, uint64_t which)
{
	if (which == 0 && e->proc && e->proc->alive && e->proc->on_link)
		e->state = TLS_OPENING;
	e->waits_since = s->now;
	if (e->state == TLS_CLOSED) {
		push(s, e, TLS_RESET, 0, NULL, 0);
	} else if (which == HELLO_SERVER_UP) {
		server_up(s, e);
	} else {
		push_hello(s, e, which + 1);
		if (which == HELLO_CLIENT_UP) {
			e->state = TLS_UP;
			report(s, e, true);
		}
	}
}

static void deliver(struct sim *s, struct tls_end *e, const struct packet *pk)
{
	struct path path = path_of(s, e);

	if (e->state != TLS_UP) {
		push(s, e, TLS_RESET, 0, NULL, 0);
		return;
	}
	e->in += pk->len;
	push(s, e, TLS_ACK, e->in, NULL, 0);
	proc_receive(e->proc, &path, pk->data, pk->len);
}

static void arrive(struct sim *s, struct tls_end *e, const struct packet *pk)
{
	switch (pk->what) {
	case TLS_HELLO:
		greet(s, e, pk->value);
		break;
	case TLS_DATA:
		deliver(s, e, pk);
		break;
	case TLS_ACK:
		if (pk->value > e->acked) {
			e->acked = pk->value;
			e->waits_since = s->now;
		}
		break;
	case TLS_FIN:
	case TLS_RESET:
		go_down(s, e);
		break;
	case TLS_TIMER:
		break;
	}
}

/* Has the end waited too long for the other one? */
static void on_timer(struct sim *s, struct packet *pk)
{
	struct tls_end *e = pk->from;

	if (e->state != TLS_CLOSED && !awake(s, e))
		e->waits_since = s->hosts[e->iface->host].asleep_until;
	if (e->state == TLS_OPENING || (e->state == TLS_UP && e->out > e->acked)) {
		if (s->now < e->waits_since + GIVE_UP) {
			sim_schedule(s, e->waits_since + GIVE_UP, ITEM_PACKET, pk);
			return;
		}
		go_down(s, e);
	}
	e->timed = false;
	free(pk);
}

void net_link_packet(struct sim *s, struct packet *pk)
{
	struct tls_end *e = pk->from;
	struct turn *t = &e->turns[pk->tls_stage];
	gw_time clear_at;

	if (pk->what == TLS_TIMER) {
		on_timer(s, pk);
		return;
	}
	if (e->dead && pk->what != TLS_RESET) {
		free(pk);
		return;
	}
	clear_at = in_order(pk) && pk->number != t->next ? GW_NEVER : way_clear_at(s, pk);
	if (clear_at > s->now) {
		wait(s, pk, clear_at);
		return;
	}
	t->next += in_order(pk);
	if (pk->tls_stage == TLS_ARRIVAL) {
		arrive(s, other(e), pk);
		free(pk);
	} else {
		cross(s, pk, pk->tls_stage == TLS_UPLINK ? &e->iface->up : &other(e)->iface->down);
	}
}
