/* tests/sim/conduit.c - what a process has opened by number: further UDP sockets, TLS links. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "net.h"

enum { EPHEMERAL_FIRST = 32768, EPHEMERAL_LAST = 60999 };

static uint64_t port_key(unsigned host, uint16_t port)
{
	return (uint64_t)host << 16 | port;
}

struct conduit *conduit_find(const struct proc *p, uint32_t via)
{
	return map_get(&p->conduits, via);
}

struct conduit *conduit_at_port(const struct sim *s, unsigned host, uint16_t port)
{
	return map_get(&s->ports, port_key(host, port));
}

struct conduit *conduit_add(struct proc *p, uint32_t via)
{
	struct conduit *c = calloc(1, sizeof(*c));

	if (!c || map_put(&p->conduits, via, c))
		abort();
	c->proc = p;
	c->via = via;
	return c;
}

bool conduit_is_link(const struct proc *p, uint32_t via)
{
	const struct conduit *c = via ? conduit_find(p, via) : NULL;

	return c && c->end;
}

void conduit_remove(struct conduit *c)
{
	map_remove(&c->proc->conduits, c->via);
	if (!c->end) {
		map_remove(&c->proc->sim->ports, port_key(c->proc->host, c->port));
		c->proc->n_sockets--;
	}
	free(c);
}

static uint16_t free_port(struct sim *s, unsigned host)
{
	uint16_t *next = &s->hosts[host].next_port;

	do {
		*next = *next < EPHEMERAL_FIRST || *next >= EPHEMERAL_LAST ? EPHEMERAL_FIRST
									   : (uint16_t)(*next + 1);
	} while (conduit_at_port(s, host, *next));
	return *next;
}

int proc_open_socket(struct proc *p, uint32_t via)
{
	struct sim *s = p->sim;
	struct conduit *c;

	if (!p->alive || !via || via >= LINK_VIA_FIRST)
		return GW_E_INVALID;
	if (conduit_find(p, via))
		return GW_E_EXISTS;
	if (p->n_sockets == SOCKETS_MAX)
		return GW_E_LIMIT;
	c = conduit_add(p, via);
	c->port = free_port(s, p->host);
	if (map_put(&s->ports, port_key(p->host, c->port), c))
		abort();
	p->n_sockets++;
	return 0;
}

void proc_close_socket(struct proc *p, uint32_t via)
{
	struct conduit *c = conduit_find(p, via);

	if (c && !c->end)
		conduit_remove(c);
}

void proc_close_conduits(struct proc *p)
{
	size_t position = 0;

	for (struct conduit *c; (c = map_next(&p->conduits, &position));)
		if (c->end)
			net_link_shut(p->sim, c->end);
		else
			conduit_remove(c);
	map_clear(&p->conduits);
}
