/* tests/sim/nat.c - one NAT box or firewall (RFC 4787). */
/* SPDX-License-Identifier: Apache-2.0 */
#include "nat.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { PORT_FIRST = 1024, PORT_LAST = 65535, SEQUENCE_FIRST = 20000, SEQUENCE_SPREAD = 20000 };

#define TIMEOUT (120 * GW_SEC)

struct mapping {
	struct list_item by_age;
	struct list sessions;
	struct addr inner, outer;
	struct addr remote; /* as much of it as the mapping depends on */
	gw_time used_at;
};

/* "The mapping has sent there": lets the answers in.  When filtering is independent of the
 * endpoint, its only one lets all in. */
struct session {
	struct list_item by_age, of_mapping;
	struct mapping *mapping;
	struct addr remote; /* as much of it as the filter depends on */
	gw_time used_at;
};

/* --- kinds --- */

#define ORDINARY .hairpin = true, .inbound_refresh = true, .timeout = TIMEOUT
#define TRANSLATES(m, f, p)                                                                        \
	.box = NAT_TRANSLATES, .mapping = NAT_##m, .filtering = NAT_##f, .ports = NAT_##p

static const struct nat_kind kinds[] = {
	{ .name = "none", .box = NAT_OPEN },
	{ .name = "firewall", .box = NAT_FIREWALL, ORDINARY },
	{ .name = "eim-eif", TRANSLATES(INDEPENDENT, INDEPENDENT, PRESERVING), ORDINARY },
	{ .name = "eim-adf", TRANSLATES(INDEPENDENT, ADDRESS, PRESERVING), ORDINARY },
	{ .name = "eim-apdf", TRANSLATES(INDEPENDENT, ADDRESS_PORT, PRESERVING), ORDINARY },
	{ .name = "adm-adf", TRANSLATES(ADDRESS, ADDRESS, RANDOM), ORDINARY },
	{ .name = "apdm", TRANSLATES(ADDRESS_PORT, ADDRESS_PORT, RANDOM), ORDINARY },
	{ .name = "apdm-seq", TRANSLATES(ADDRESS_PORT, ADDRESS_PORT, SEQUENTIAL), ORDINARY },
	{ .name = "double",
	  TRANSLATES(INDEPENDENT, ADDRESS_PORT, PRESERVING),
	  ORDINARY,
	  .carrier = "carrier" },
	{ .name = "carrier",
	  TRANSLATES(INDEPENDENT, ADDRESS_PORT, PRESERVING),
	  .inbound_refresh = true,
	  .timeout = TIMEOUT },
	{ .name = "udp-blocked", .box = NAT_TRANSLATES, .blocks = NAT_BLOCKS_UDP },
	{ .name = "all-blocked", .box = NAT_TRANSLATES, .blocks = NAT_BLOCKS_ALL },
};

const struct nat_kind *nat_kind_find(const char *name)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		if (!strcmp(kinds[i].name, name))
			return &kinds[i];
	return NULL;
}

/* --- the box --- */

static void draw_ports(struct nat *n)
{
	n->next_port = (uint16_t)(SEQUENCE_FIRST + rng_below(&n->rng, SEQUENCE_SPREAD));
}

void nat_init(struct nat *n, const struct nat_kind *kind, uint64_t seed)
{
	memset(n, 0, sizeof(*n));
	n->kind = *kind;
	rng_seed(&n->rng, seed);
	list_init(&n->mappings);
	list_init(&n->session_ages);
	draw_ports(n);
}

void nat_set_outer(struct nat *n, const struct addr *outer)
{
	n->outer[outer->family == ADDR_V6] = *outer;
}

const struct addr *nat_outer(const struct nat *n, uint8_t family)
{
	const struct addr *a = &n->outer[family == ADDR_V6];

	return a->family == ADDR_NONE ? NULL : a;
}

static enum nat_depends mapping_depends(const struct nat *n, uint8_t family)
{
	return nat_outer(n, family) ? n->kind.mapping : NAT_INDEPENDENT;
}

static enum nat_depends filter_depends(const struct nat *n, uint8_t family)
{
	return nat_outer(n, family) ? n->kind.filtering : NAT_ADDRESS_PORT;
}

static struct addr reduced(const struct addr *remote, enum nat_depends depends)
{
	struct addr a = *remote;

	switch (depends) {
	case NAT_INDEPENDENT:
		return (struct addr){ 0 };
	case NAT_ADDRESS:
		a.port = 0;
		break;
	case NAT_ADDRESS_PORT:
		break;
	}
	return a;
}

/* --- the tables: a 64-bit hash stands for the addresses; two alike do not happen --- */

static uint64_t mix(uint64_t h, uint64_t value)
{
	h = (h ^ value) * UINT64_C(0x9e3779b97f4a7c15);
	return h ^ h >> 29;
}

static uint64_t key_of(const struct addr *a, const struct addr *b)
{
	const struct addr *both[] = { a, b };
	uint64_t h = 0, words[2];

	for (int i = 0; i < 2; i++) {
		memcpy(words, both[i]->ip, sizeof(words));
		h = mix(h, (uint64_t)both[i]->family << 16 | both[i]->port);
		h = mix(mix(h, words[0]), words[1]);
	}
	return h;
}

static const struct addr ANY;

static struct mapping *mapping_of_inner(const struct nat *n, const struct addr *inner,
					const struct addr *remote)
{
	struct addr r = reduced(remote, mapping_depends(n, inner->family));
	struct mapping *m = map_get(&n->by_inner, key_of(inner, &r));

	assert(!m || (addr_equal(&m->inner, inner) && addr_equal(&m->remote, &r)));
	return m;
}

static struct mapping *mapping_of_outer(const struct nat *n, const struct addr *outer)
{
	struct mapping *m = map_get(&n->by_outer, key_of(outer, &ANY));

	assert(!m || addr_equal(&m->outer, outer));
	return m;
}

static struct session *session_find(const struct nat *n, const struct mapping *m,
				    const struct addr *remote)
{
	struct addr r = reduced(remote, filter_depends(n, remote->family));
	struct session *s = map_get(&n->sessions, key_of(&m->outer, &r));

	assert(!s || (s->mapping == m && addr_equal(&s->remote, &r)));
	return s;
}

static void session_free(struct nat *n, struct session *s)
{
	map_remove(&n->sessions, key_of(&s->mapping->outer, &s->remote));
	list_remove(&s->by_age);
	list_remove(&s->of_mapping);
	free(s);
}

static void mapping_free(struct nat *n, struct mapping *m)
{
	list_each(&m->sessions, i, tmp)
		session_free(n, container_of(i, struct session, of_mapping));
	map_remove(&n->by_inner, key_of(&m->inner, &m->remote));
	map_remove(&n->by_outer, key_of(&m->outer, &ANY));
	list_remove(&m->by_age);
	free(m);
}

static void forget_all(struct nat *n)
{
	list_each(&n->mappings, i, tmp)
		mapping_free(n, container_of(i, struct mapping, by_age));
}

void nat_clear(struct nat *n)
{
	forget_all(n);
	map_clear(&n->by_inner);
	map_clear(&n->by_outer);
	map_clear(&n->sessions);
}

void nat_reboot(struct nat *n)
{
	forget_all(n);
	draw_ports(n);
	n->port_shift = (uint16_t)(1 + rng_below(&n->rng, PORT_LAST - PORT_FIRST));
}

/* --- age --- */

static void age_out(struct nat *n, gw_time now)
{
	if (!n->kind.timeout)
		return;
	list_each(&n->session_ages, i, tmp) {
		struct session *s = container_of(i, struct session, by_age);

		if (now - s->used_at <= n->kind.timeout)
			break;
		session_free(n, s);
	}
	list_each(&n->mappings, i, tmp) {
		struct mapping *m = container_of(i, struct mapping, by_age);

		if (now - m->used_at <= n->kind.timeout)
			break;
		mapping_free(n, m);
	}
}

static void mapping_touch(struct nat *n, struct mapping *m, gw_time now)
{
	m->used_at = now;
	list_remove(&m->by_age);
	list_append(&n->mappings, &m->by_age);
}

static void session_touch(struct nat *n, struct session *s, gw_time now)
{
	s->used_at = now;
	list_remove(&s->by_age);
	list_append(&n->session_ages, &s->by_age);
}

size_t nat_count(struct nat *n, gw_time now)
{
	age_out(n, now);
	return n->by_outer.count;
}

/* --- outward --- */

static uint16_t port_after(uint16_t port)
{
	return port == PORT_LAST ? PORT_FIRST : (uint16_t)(port + 1);
}

/* After a reboot the preserved ports are taken by others. */
static uint16_t shifted(const struct nat *n, uint16_t port)
{
	if (!n->port_shift)
		return port;
	return (uint16_t)(PORT_FIRST + (port + n->port_shift) % (PORT_LAST - PORT_FIRST + 1));
}

/* Find a free port of `outer`; false: all are taken. */
static bool pick_port(struct nat *n, struct addr *outer, uint16_t inner_port)
{
	uint16_t port = shifted(n, inner_port);

	for (int tries = 0; tries <= PORT_LAST; tries++, port = port_after(port)) {
		switch (n->kind.ports) {
		case NAT_PRESERVING:
			break;
		case NAT_SEQUENTIAL:
			port = n->next_port;
			n->next_port = port_after(port);
			break;
		case NAT_RANDOM:
			port = (uint16_t)(PORT_FIRST +
					  rng_below(&n->rng, PORT_LAST - PORT_FIRST + 1));
			break;
		}
		outer->port = port;
		if (!mapping_of_outer(n, outer))
			return true;
	}
	return false;
}

static struct mapping *mapping_new(struct nat *n, const struct addr *inner,
				   const struct addr *remote)
{
	const struct addr *own = nat_outer(n, inner->family);
	struct addr outer = own ? *own : *inner;
	struct mapping *m;

	if (n->by_outer.count == NAT_MAPPINGS_MAX || (own && !pick_port(n, &outer, inner->port)))
		return NULL;
	m = calloc(1, sizeof(*m));
	if (!m)
		abort();
	m->inner = *inner;
	m->outer = outer;
	m->remote = reduced(remote, mapping_depends(n, inner->family));
	list_init(&m->sessions);
	if (map_put(&n->by_inner, key_of(&m->inner, &m->remote), m) ||
	    map_put(&n->by_outer, key_of(&m->outer, &ANY), m))
		abort();
	return m;
}

static struct session *session_new(struct nat *n, struct mapping *m, const struct addr *remote)
{
	struct session *s;

	if (n->sessions.count == NAT_SESSIONS_MAX)
		return NULL;
	s = calloc(1, sizeof(*s));
	if (!s)
		abort();
	s->mapping = m;
	s->remote = reduced(remote, filter_depends(n, remote->family));
	list_append(&m->sessions, &s->of_mapping);
	if (map_put(&n->sessions, key_of(&m->outer, &s->remote), s))
		abort();
	return s;
}

bool nat_out(struct nat *n, struct addr *src, const struct addr *dst, gw_time now)
{
	struct mapping *m;
	struct session *s;

	if (n->kind.blocks != NAT_BLOCKS_NOTHING)
		return false;
	if (n->kind.box == NAT_OPEN)
		return true;
	age_out(n, now);
	m = mapping_of_inner(n, src, dst);
	if (!m)
		m = mapping_new(n, src, dst);
	if (!m)
		return false;
	mapping_touch(n, m, now);
	s = session_find(n, m, dst);
	if (!s)
		s = session_new(n, m, dst);
	if (!s)
		return false;
	session_touch(n, s, now);
	*src = m->outer;
	return true;
}

/* --- inward --- */

bool nat_in(struct nat *n, const struct addr *src, struct addr *dst, gw_time now)
{
	const struct addr *own = nat_outer(n, dst->family);
	struct mapping *m;
	struct session *s;

	if (n->kind.blocks != NAT_BLOCKS_NOTHING)
		return false;
	if (n->kind.box == NAT_OPEN)
		return true;
	if (own && addr_same_host(own, src) && !n->kind.hairpin)
		return false;
	age_out(n, now);
	m = mapping_of_outer(n, dst);
	if (!m)
		return false;
	s = session_find(n, m, src);
	if (!s)
		return false;
	if (n->kind.inbound_refresh) {
		mapping_touch(n, m, now);
		session_touch(n, s, now);
	}
	*dst = m->inner;
	return true;
}
