/* tests/sim/site.c - sites and the boxes in front of them: addresses, and the way between two.
 *
 * A realm is where an address means one thing: the internet, or a site whose box translates.
 * Sites behind other boxes belong to the realm of what they are behind.  IPv4 and IPv6 may
 * differ. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "net.h"

enum { HOPS_MAX = 32, PER_LAN = 250 };

static const uint8_t families[] = { ADDR_V4, ADDR_V6 };

/* --- the address book --- */

static unsigned realm_of(const struct sim *s, unsigned site, uint8_t family)
{
	while (site != INTERNET && !nat_outer(&s->sites[site].nat, family))
		site = s->sites[site].behind;
	return site;
}

static uint64_t key_of(const struct sim *s, unsigned site, const struct addr *a)
{
	uint64_t h = realm_of(s, site, a->family), words[2];

	memcpy(words, a->ip, sizeof(words));
	for (int i = 0; i < 2; i++) {
		h = (h ^ words[i]) * UINT64_C(0x9e3779b97f4a7c15);
		h ^= h >> 29;
	}
	return h;
}

static struct owner *find(const struct sim *s, unsigned site, const struct addr *a)
{
	return map_get(&s->addresses, key_of(s, site, a));
}

static void enter(struct sim *s, struct owner *o, const struct addr *a)
{
	uint64_t key = key_of(s, o->site, a);

	assert(!map_get(&s->addresses, key));
	if (map_put(&s->addresses, key, o))
		abort();
}

/* Globally routable, never reused: 45.HOST.N.N or 2a00:45:HOST::N, with 46 for a box, and from
 * the 251st on 47 and 48, and so on. */
static struct addr global_address(uint8_t family, bool box, unsigned owner, unsigned n)
{
	struct addr a = { .family = family };

	if (family == ADDR_V6) {
		a.ip[0] = 0x2a;
		a.ip[3] = 0x45 + box;
		a.ip[4] = (uint8_t)(owner >> 8);
		a.ip[5] = (uint8_t)owner;
		a.ip[14] = (uint8_t)(n >> 8);
		a.ip[15] = (uint8_t)n;
	} else {
		a.ip[0] = (uint8_t)(45 + box + owner / PER_LAN * 2);
		a.ip[1] = (uint8_t)(owner % PER_LAN + 1);
		a.ip[2] = (uint8_t)(n / 250);
		a.ip[3] = (uint8_t)(n % 250 + 1);
	}
	return a;
}

/* 192.168.LAN.N or fd00:0:LAN::N for a host, 100.64.LAN.N or fd00:1:LAN::N for a box. */
static struct addr private_address(const struct site *realm, uint8_t family, bool box, unsigned n)
{
	struct addr a = { .family = family };

	n = n % PER_LAN + 1;
	if (family == ADDR_V6) {
		a.ip[0] = 0xfd;
		a.ip[3] = box;
		a.ip[5] = realm->lan;
		a.ip[15] = (uint8_t)n;
	} else {
		a.ip[0] = box ? 100 : 192;
		a.ip[1] = box ? 64 : 168;
		a.ip[2] = realm->lan;
		a.ip[3] = (uint8_t)n;
	}
	return a;
}

/* An address that nobody in the realm has.  `moves` counts those of the owner. */
static struct addr fresh(struct sim *s, unsigned site, uint8_t family, bool box, unsigned owner,
			 unsigned *moves)
{
	unsigned realm = realm_of(s, site, family);
	struct site *r = &s->sites[realm];
	struct addr a;

	++*moves;
	if (realm == INTERNET)
		return global_address(family, box, owner, *moves);
	for (int tries = 0; tries < PER_LAN; tries++) {
		a = private_address(r, family, box, r->handed_out++);
		if (!find(s, realm, &a))
			return a;
	}
	abort(); /* a LAN with more hosts than that */
}

void site_leave(struct sim *s, struct iface *f)
{
	map_remove(&s->addresses, key_of(s, f->site, &f->addr));
}

void site_join(struct sim *s, struct iface *f)
{
	uint8_t family = f->addr.family;

	if (!family)
		family = s->v6 ? ADDR_V6 : ADDR_V4;
	f->addr = fresh(s, f->site, family, false, f->host, &s->hosts[f->host].moves);
	f->owner = (struct owner){ .iface = f, .site = f->site };
	enter(s, &f->owner, &f->addr);
}

/* --- boxes --- */

static void box_readdress(struct sim *s, unsigned site, uint8_t family)
{
	struct site *at = &s->sites[site];
	struct owner *o = &at->outer[family == ADDR_V6];
	const struct addr *old = nat_outer(&at->nat, family);
	struct addr a = fresh(s, at->behind, family, true, site, &at->moves);

	if (old)
		map_remove(&s->addresses, key_of(s, at->behind, old));
	*o = (struct owner){ .box = site, .site = at->behind };
	nat_set_outer(&at->nat, &a);
	enter(s, o, &a);
}

unsigned net_add_site(struct sim *s, const struct nat_kind *kind, unsigned behind)
{
	unsigned site;

	if (kind->carrier)
		behind = net_add_site(s, nat_kind_find(kind->carrier), behind);
	site = ++s->n_sites;
	assert(site < SITES_MAX && behind < site);
	/* Not from s->rng: a site more leaves the rest of the schedule alone. */
	nat_init(&s->sites[site].nat, kind, s->seed << 8 ^ site);
	s->sites[site].behind = behind;
	s->sites[site].lan = (uint8_t)site;
	if (kind->box == NAT_TRANSLATES) {
		box_readdress(s, site, ADDR_V4);
		if (kind->v6)
			box_readdress(s, site, ADDR_V6);
	}
	return site;
}

void net_reboot_box(struct sim *s, unsigned site, bool new_address)
{
	nat_reboot(&s->sites[site].nat);
	for (size_t i = 0; new_address && i < sizeof(families); i++)
		if (nat_outer(&s->sites[site].nat, families[i]))
			box_readdress(s, site, families[i]);
}

bool net_public(const struct sim *s, const struct iface *f)
{
	for (unsigned site = f->site; site != INTERNET; site = s->sites[site].behind)
		if (s->sites[site].nat.kind.box != NAT_OPEN)
			return false;
	return true;
}

bool net_seen_at(const struct sim *s, const struct iface *f, const struct addr *remote)
{
	const struct addr *seen = &f->addr;

	for (unsigned site = f->site; site != INTERNET; site = s->sites[site].behind) {
		const struct addr *outer = nat_outer(&s->sites[site].nat, f->addr.family);

		if (addr_same_host(seen, remote))
			return true;
		seen = outer ? outer : seen;
	}
	return addr_same_host(seen, remote);
}

/* --- the way --- */

/* Is `inner` the site `outer`, or behind its box? */
static bool within(const struct sim *s, unsigned inner, unsigned outer)
{
	while (inner != outer && inner != INTERNET)
		inner = s->sites[inner].behind;
	return inner == outer;
}

/* In from site `from` to `to`, past boxes that do not translate. */
static bool descend(struct sim *s, unsigned from, unsigned to, const struct addr *src,
		    struct addr *dst)
{
	return from == to || (descend(s, from, s->sites[to].behind, src, dst) &&
			      nat_in(&s->sites[to].nat, src, dst, s->now));
}

/* An address of the LAN itself: the hosts ask each other for it, not the box. */
static bool on_link(const struct sim *s, unsigned site, const struct addr *a)
{
	size_t prefix = a->family == ADDR_V6 ? 6 : 3;

	if (!nat_outer(&s->sites[site].nat, a->family))
		return false;
	for (int box = 0; box < 2; box++) {
		struct addr lan = private_address(&s->sites[site], a->family, box, 0);

		if (!memcmp(lan.ip, a->ip, prefix))
			return true;
	}
	return false;
}

struct iface *site_route(struct sim *s, unsigned site, struct addr *src, struct addr *dst)
{
	for (int hops = 0; hops < HOPS_MAX; hops++) {
		struct owner *o = find(s, site, dst);

		if (o && within(s, o->site, site)) {
			if (!descend(s, site, o->site, src, dst))
				return NULL;
			if (o->iface)
				return o->iface;
			if (!nat_in(&s->sites[o->box].nat, src, dst, s->now))
				return NULL;
			site = o->box;
			continue;
		}
		if (site == INTERNET || on_link(s, site, dst) ||
		    !nat_out(&s->sites[site].nat, src, dst, s->now))
			return NULL;
		site = s->sites[site].behind;
	}
	return NULL;
}

static bool open_between(const struct sim *s, unsigned inner, unsigned outer)
{
	for (; inner != outer; inner = s->sites[inner].behind)
		if (s->sites[inner].nat.kind.box != NAT_OPEN)
			return false;
	return true;
}

struct iface *site_route_tcp(struct sim *s, unsigned site, struct addr *src, const struct addr *dst)
{
	for (;;) {
		const struct site *at = &s->sites[site];
		const struct addr *outer = nat_outer(&at->nat, src->family);
		struct owner *o = find(s, site, dst);

		if (o && within(s, o->site, site))
			return o->iface && open_between(s, o->site, site) ? o->iface : NULL;
		if (site == INTERNET || at->nat.kind.blocks == NAT_BLOCKS_ALL ||
		    on_link(s, site, dst))
			return NULL;
		if (outer)
			memcpy(src->ip, outer->ip, sizeof(src->ip));
		site = at->behind;
	}
}
