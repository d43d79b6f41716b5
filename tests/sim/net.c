/* tests/sim/net.c - the virtual network: hosts, access links, NAT boxes, datagrams in flight.
 *
 * A datagram crosses the sender's uplink, the core (where addresses are looked up, at the time
 * it gets there) and the receiver's downlink. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "sim.h"

enum { NAT_PORT_FIRST = 20000, IPV4_OVERHEAD = 28, IPV6_OVERHEAD = 48 };

enum stage { AT_CORE, AT_HOST };

struct packet {
	enum stage stage;
	unsigned host, iface; /* AT_HOST */
	struct addr src, dst;
	size_t len;
	uint8_t data[];
};

static void link_init(struct sim *s, struct link *l)
{
	memset(l, 0, sizeof(*l));
	rng_seed(&l->rng, rng_u64(&s->rng));
	l->delay = 5 * GW_MSEC;
	l->mtu = 1500;
	l->queue = 200 * GW_MSEC;
	l->hold = 20 * GW_MSEC;
}

static void iface_init(struct sim *s, unsigned host, unsigned iface)
{
	struct iface *f = &s->hosts[host].ifaces[iface];

	memset(f, 0, sizeof(*f));
	link_init(s, &f->up);
	link_init(s, &f->down);
	f->mtu = 1500;
	f->present = true;
	net_new_address(s, host, iface);
}

unsigned net_add_host(struct sim *s)
{
	unsigned host = s->n_hosts++;

	s->hosts[host].n_ifaces = 1;
	iface_init(s, host, 0);
	return host;
}

void net_add_iface(struct sim *s, unsigned host)
{
	struct host *h = &s->hosts[host];

	iface_init(s, host, (unsigned)h->n_ifaces);
	h->n_ifaces++;
}

/* Globally routable, never reused: 45.HOST.N.N or 2a00:45:HOST::N. */
static struct addr fresh_address(struct sim *s, unsigned host)
{
	unsigned n = ++s->hosts[host].moves;
	struct addr a = { .family = s->v6 ? ADDR_V6 : ADDR_V4 };

	if (s->v6) {
		static const uint8_t prefix[] = { 0x2a, 0x00, 0x00, 0x45 };

		memcpy(a.ip, prefix, sizeof(prefix));
		a.ip[5] = (uint8_t)host;
		a.ip[14] = (uint8_t)(n >> 8);
		a.ip[15] = (uint8_t)n;
	} else {
		a.ip[0] = 45;
		a.ip[1] = (uint8_t)(host + 1);
		a.ip[2] = (uint8_t)(n / 250);
		a.ip[3] = (uint8_t)(n % 250 + 1);
	}
	return a;
}

void net_new_address(struct sim *s, unsigned host, unsigned iface)
{
	struct iface *f = &s->hosts[host].ifaces[iface];

	f->addr = fresh_address(s, host);
	if (f->nat.on) {
		f->nat.outer = fresh_address(s, host);
		f->nat.n_filter = 0;
	}
}

void net_nat(struct sim *s, unsigned host, gw_time timeout)
{
	struct nat *n = &s->hosts[host].ifaces[0].nat;

	n->on = true;
	n->outer = fresh_address(s, host);
	n->next_port = NAT_PORT_FIRST;
	n->timeout = timeout;
}

void net_nat_rebind(struct sim *s, unsigned host)
{
	struct nat *n = &s->hosts[host].ifaces[0].nat;

	n->outer.port = 0;
	n->n_filter = 0;
}

struct iface *net_primary(struct host *h)
{
	for (size_t i = 0; i < h->n_ifaces; i++)
		if (h->ifaces[i].present)
			return &h->ifaces[i];
	return NULL;
}

/* --- links --- */

static bool chance(struct link *l, unsigned per_10000)
{
	return rng_below(&l->rng, 10000) < per_10000;
}

/* When does a datagram that enters now come out?  GW_NEVER: not at all. */
static gw_time link_pass(struct link *l, size_t size, gw_time now)
{
	bool lost = chance(l, l->loss);
	bool late = chance(l, l->reorder);
	gw_time jitter = rng_below(&l->rng, l->jitter + 1);
	gw_time hold = rng_below(&l->rng, l->hold + 1);
	gw_time out = time_max(now, l->busy_until);
	bool masked = l->drop_mask & 1;

	l->drop_mask >>= 1;
	if (lost || masked || l->down || size > l->mtu)
		return GW_NEVER;
	if (l->rate) {
		if (out - now > l->queue)
			return GW_NEVER;
		out += size * GW_SEC / l->rate;
		l->busy_until = out;
	}
	out += l->delay + jitter;
	if (late)
		return out + hold;
	out = time_max(out, l->last_out);
	l->last_out = out;
	return out;
}

static void packet_pass(struct sim *s, struct packet *pk, struct link *l)
{
	size_t size = pk->len + (pk->dst.family == ADDR_V6 ? IPV6_OVERHEAD : IPV4_OVERHEAD);
	bool again = chance(l, l->duplicate);
	gw_time out = link_pass(l, size, s->now);

	if (out == GW_NEVER) {
		free(pk);
		return;
	}
	if (again) {
		struct packet *copy = malloc(sizeof(*copy) + pk->len);

		memcpy(copy, pk, sizeof(*pk) + pk->len);
		sim_schedule(s, out + rng_below(&l->rng, l->hold + 1), ITEM_PACKET, copy);
	}
	sim_schedule(s, out, ITEM_PACKET, pk);
}

/* --- NAT --- */

static struct addr nat_out(struct nat *n, const struct addr *src, const struct addr *dst,
			   gw_time now)
{
	struct addr from = n->outer;

	if (n->timeout && n->outer.port && now - n->used_at > n->timeout) {
		n->outer.port = 0;
		n->n_filter = 0;
	}
	if (!n->outer.port)
		n->outer.port = n->next_port++;
	from.port = n->outer.port;
	n->inner_port = src->port;
	n->used_at = now;
	for (size_t i = 0; i < n->n_filter; i++)
		if (addr_equal(&n->filter[i], dst))
			return from;
	if (n->n_filter == NAT_FILTER_MAX) {
		memmove(n->filter, n->filter + 1, sizeof(*n->filter) * (NAT_FILTER_MAX - 1));
		n->n_filter--;
	}
	n->filter[n->n_filter++] = *dst;
	return from;
}

static bool nat_in(struct nat *n, const struct addr *src, struct addr *dst,
		   const struct addr *inner, gw_time now)
{
	if (!addr_equal(&n->outer, dst) || (n->timeout && now - n->used_at > n->timeout))
		return false;
	for (size_t i = 0; i < n->n_filter; i++)
		if (addr_equal(&n->filter[i], src)) {
			*dst = *inner;
			dst->port = n->inner_port;
			return true;
		}
	return false;
}

/* --- datagrams --- */

static struct iface *source_iface(struct host *h, const struct path *path)
{
	if (path->local.family == ADDR_NONE) {
		if (path->ifindex && path->ifindex <= h->n_ifaces)
			return h->ifaces[path->ifindex - 1].present ? &h->ifaces[path->ifindex - 1]
								    : NULL;
		return net_primary(h);
	}
	for (size_t i = 0; i < h->n_ifaces; i++)
		if (h->ifaces[i].present && addr_same_host(&h->ifaces[i].addr, &path->local))
			return &h->ifaces[i];
	return NULL;
}

enum send_result net_send(struct sim *s, struct proc *p, const struct batch *b)
{
	struct host *h = &s->hosts[p->host];
	struct iface *f = source_iface(h, &b->path);
	struct addr src;
	size_t overhead;

	if (!f || f->addr.family != b->path.remote.family)
		return SENT_UNREACHABLE;
	overhead = f->addr.family == ADDR_V6 ? IPV6_OVERHEAD : IPV4_OVERHEAD;
	if (b->segment + overhead > f->mtu)
		return SENT_TOO_BIG;
	src = f->addr;
	src.port = p->port;
	if (f->nat.on)
		src = nat_out(&f->nat, &src, &b->path.remote, s->now);
	for (size_t at = 0; at < b->len; at += b->segment) {
		size_t len = b->len - at < b->segment ? b->len - at : b->segment;
		struct packet *pk = malloc(sizeof(*pk) + len);

		*pk = (struct packet){
			.stage = AT_CORE, .src = src, .dst = b->path.remote, .len = len
		};
		memcpy(pk->data, b->data + at, len);
		packet_pass(s, pk, &f->up);
	}
	return SENT;
}

static void at_core(struct sim *s, struct packet *pk)
{
	for (unsigned i = 0; i < s->n_hosts; i++) {
		struct host *h = &s->hosts[i];

		for (unsigned j = 0; j < h->n_ifaces; j++) {
			struct iface *f = &h->ifaces[j];

			if (!f->present)
				continue;
			if (f->nat.on ? !nat_in(&f->nat, &pk->src, &pk->dst, &f->addr, s->now)
				      : !addr_same_host(&f->addr, &pk->dst))
				continue;
			pk->stage = AT_HOST;
			pk->host = i;
			pk->iface = j;
			packet_pass(s, pk, &f->down);
			return;
		}
	}
	free(pk);
}

static void at_host(struct sim *s, struct packet *pk)
{
	struct host *h = &s->hosts[pk->host];
	struct iface *f = &h->ifaces[pk->iface];
	struct path path = { .local = pk->dst, .ifindex = pk->iface + 1, .remote = pk->src };

	if (f->present && !f->down.down && addr_same_host(&f->addr, &pk->dst) &&
	    h->asleep_until <= s->now)
		for (unsigned i = 0; i < s->n_procs; i++) {
			struct proc *p = &s->procs[i];

			if (p->alive && p->host == pk->host && p->port == pk->dst.port) {
				proc_receive(p, &path, pk->data, pk->len);
				break;
			}
		}
	free(pk);
}

void net_packet(struct sim *s, struct packet *pk)
{
	switch (pk->stage) {
	case AT_CORE:
		at_core(s, pk);
		break;
	case AT_HOST:
		at_host(s, pk);
		break;
	}
}

void net_packet_free(struct packet *pk)
{
	free(pk);
}
