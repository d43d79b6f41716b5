/* tests/sim/net.c - the virtual network: hosts, access links, datagrams in flight.
 *
 * A datagram crosses the sender's uplink, the boxes and the core (where addresses are looked up
 * and translated, at the time it gets there) and the receiver's downlink. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "net.h"

enum { IPV4_OVERHEAD = 28, IPV6_OVERHEAD = 48 };

static void link_init(struct sim *s, struct access *l)
{
	memset(l, 0, sizeof(*l));
	rng_seed(&l->rng, rng_u64(&s->rng));
	l->delay = 5 * GW_MSEC;
	l->mtu = 1500;
	l->queue = 200 * GW_MSEC;
	l->hold = 20 * GW_MSEC;
}

static void iface_init(struct sim *s, unsigned host, unsigned iface, unsigned site, uint8_t family)
{
	struct iface *f = &s->hosts[host].ifaces[iface];

	memset(f, 0, sizeof(*f));
	f->addr.family = family; /* ADDR_NONE: that of the run */
	link_init(s, &f->up);
	link_init(s, &f->down);
	f->mtu = 1500;
	f->present = true;
	f->host = host;
	f->site = site;
	site_join(s, f);
}

unsigned net_add_host_in(struct sim *s, unsigned site)
{
	unsigned host = s->n_hosts++;

	assert(host < HOSTS_MAX);
	s->hosts[host].n_ifaces = 1;
	iface_init(s, host, 0, site, ADDR_NONE);
	return host;
}

unsigned net_add_host(struct sim *s)
{
	return net_add_host_in(s, INTERNET);
}

void net_add_family(struct sim *s, unsigned host, uint8_t family)
{
	struct host *h = &s->hosts[host];

	assert(h->n_ifaces < IFACES_MAX);
	iface_init(s, host, (unsigned)h->n_ifaces, h->ifaces[0].site, family);
	h->n_ifaces++;
}

void net_add_iface(struct sim *s, unsigned host)
{
	net_add_family(s, host, ADDR_NONE);
}

void net_new_address(struct sim *s, unsigned host, unsigned iface)
{
	struct iface *f = &s->hosts[host].ifaces[iface];

	site_leave(s, f);
	site_join(s, f);
}

void net_move_to_site(struct sim *s, unsigned host, unsigned site)
{
	for (size_t i = 0; i < s->hosts[host].n_ifaces; i++) {
		struct iface *f = &s->hosts[host].ifaces[i];

		site_leave(s, f);
		f->site = site;
		site_join(s, f);
	}
}

void net_nat(struct sim *s, unsigned host, gw_time timeout)
{
	struct nat_kind kind = *nat_kind_find("eim-apdf");

	kind.ports = NAT_SEQUENTIAL;
	kind.v6 = true;
	kind.inbound_refresh = false;
	kind.timeout = timeout;
	net_move_to_site(s, host, net_add_site(s, &kind, s->hosts[host].ifaces[0].site));
}

void net_nat_rebind(struct sim *s, unsigned host)
{
	net_reboot_box(s, s->hosts[host].ifaces[0].site, false);
}

struct iface *net_primary(struct host *h)
{
	for (size_t i = 0; i < h->n_ifaces; i++)
		if (h->ifaces[i].present)
			return &h->ifaces[i];
	return NULL;
}

/* --- links --- */

static bool chance(struct access *l, unsigned per_10000)
{
	return rng_below(&l->rng, 10000) < per_10000;
}

/* When does a datagram that enters now come out?  GW_NEVER: not at all. */
static gw_time link_pass(struct access *l, size_t size, gw_time now)
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
	if (l->grain)
		out += l->grain - out % l->grain;
	if (late)
		return out + hold;
	out = time_max(out, l->last_out);
	l->last_out = out;
	return out;
}

struct packet *packet_new(const struct packet *head, const uint8_t *data)
{
	struct packet *pk = malloc(sizeof(*pk) + head->len);

	if (!pk)
		abort();
	*pk = *head;
	if (head->len)
		memcpy(pk->data, data, head->len);
	return pk;
}

static void packet_pass(struct sim *s, struct packet *pk, struct access *l)
{
	size_t size = pk->len + (pk->dst.family == ADDR_V6 ? IPV6_OVERHEAD : IPV4_OVERHEAD);
	bool again = chance(l, l->duplicate);
	gw_time out = link_pass(l, size, s->now);

	if (out == GW_NEVER) {
		free(pk);
		return;
	}
	if (again)
		sim_schedule(s, out + rng_below(&l->rng, l->hold + 1), ITEM_PACKET,
			     packet_new(pk, pk->data));
	sim_schedule(s, out, ITEM_PACKET, pk);
}

/* --- datagrams --- */

uint32_t net_ifindex(const struct sim *s, const struct iface *f)
{
	return (uint32_t)(f - s->hosts[f->host].ifaces) + 1;
}

static bool usable(const struct sim *s, const struct iface *f, const struct path *path)
{
	if (!f->present || f->addr.family != path->remote.family)
		return false;
	if (path->local.family != ADDR_NONE)
		return addr_same_host(&f->addr, &path->local);
	return !path->ifindex || path->ifindex == net_ifindex(s, f);
}

struct iface *net_source(struct sim *s, unsigned host, const struct path *path)
{
	struct host *h = &s->hosts[host];

	for (size_t i = 0; i < h->n_ifaces; i++)
		if (usable(s, &h->ifaces[i], path))
			return &h->ifaces[i];
	return NULL;
}

enum send_result net_send(struct sim *s, struct proc *p, const struct batch *b)
{
	struct conduit *c = b->path.via ? conduit_find(p, b->path.via) : NULL;
	struct iface *f = net_source(s, p->host, &b->path);
	struct packet head = { .stage = AT_CORE, .iface = f, .dst = b->path.remote };
	size_t overhead;

	if (c && c->end) {
		net_link_send(s, c->end, b);
		return SENT;
	}
	if (!f || (b->path.via && !c))
		return SENT_UNREACHABLE;
	overhead = f->addr.family == ADDR_V6 ? IPV6_OVERHEAD : IPV4_OVERHEAD;
	if (b->segment + overhead > f->mtu)
		return SENT_TOO_BIG;
	head.site = f->site;
	head.src = f->addr;
	head.src.port = c ? c->port : p->port;
	s->batches++;
	s->sent_bytes += b->len;
	for (size_t at = 0; at < b->len; at += b->segment) {
		head.len = b->len - at < b->segment ? b->len - at : b->segment;
		p->sent++;
		if (head.len > p->largest_sent)
			p->largest_sent = head.len;
		packet_pass(s, packet_new(&head, b->data + at), &f->up);
	}
	return SENT;
}

void net_cut(struct sim *s, unsigned a, unsigned b, bool cut)
{
	for (int i = 0; i < 2; i++) {
		uint64_t *word = &s->cuts[i ? a : b][(i ? b : a) / 64];
		uint64_t bit = UINT64_C(1) << (i ? b : a) % 64;

		*word = cut ? *word | bit : *word & ~bit;
	}
}

bool net_is_cut(const struct sim *s, unsigned a, unsigned b)
{
	return s->cuts[a][b / 64] >> b % 64 & 1;
}

static void count_arrival(struct host *h, const struct packet *pk)
{
	h->got_datagrams++;
	h->got_bytes += pk->len;
	h->got_probes += pk->data[0] == WIRE_PUNCH;
}

static void at_core(struct sim *s, struct packet *pk)
{
	unsigned from = pk->iface->host;

	if (pk->dst.ip[0] == UNANSWERED)
		sim_fail(s, "host %u answers a forged datagram", from);
	pk->iface = site_route(s, pk->site, &pk->src, &pk->dst);
	if (!pk->iface || !pk->iface->present || net_is_cut(s, from, pk->iface->host)) {
		free(pk);
		return;
	}
	count_arrival(&s->hosts[pk->iface->host], pk);
	if (s->forger.one_in)
		s->forger.see(s, pk);
	pk->stage = AT_HOST;
	packet_pass(s, pk, &pk->iface->down);
}

static struct proc *proc_at(struct sim *s, unsigned host, uint16_t port, uint32_t *via)
{
	struct conduit *c = conduit_at_port(s, host, port);

	*via = c ? c->via : 0;
	if (c)
		return c->proc;
	for (unsigned i = 0; i < s->n_procs; i++) {
		struct proc *p = &s->procs[i];

		if (p->alive && p->host == host && p->port == port)
			return p;
	}
	return NULL;
}

static void at_host(struct sim *s, struct packet *pk)
{
	struct iface *f = pk->iface;
	struct path path = { .local = pk->dst, .ifindex = net_ifindex(s, f), .remote = pk->src };
	struct proc *p = proc_at(s, f->host, pk->dst.port, &path.via);

	if (p && f->present && !f->down.down && addr_same_host(&f->addr, &pk->dst) &&
	    s->hosts[f->host].asleep_until <= s->now)
		proc_receive(p, &path, pk->data, pk->len);
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
	case AT_TLS:
		net_link_packet(s, pk);
		break;
	}
}

void net_packet_free(struct packet *pk)
{
	free(pk);
}

void net_clear(struct sim *s)
{
	for (unsigned i = 0; i < s->n_procs; i++)
		proc_close_conduits(&s->procs[i]);
	net_links_clear(s);
	for (unsigned i = 1; i <= s->n_sites; i++)
		nat_clear(&s->sites[i].nat);
	map_clear(&s->addresses);
	map_clear(&s->ports);
}
