/* tests/sim/beacon_proc.c - a process that is a beacon with a store of its own, and what a node
 * asks of the owner of its sockets. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "beacon/beacon.h"
#include "liar.h"
#include "store/store.h"

enum { RECORDS_MAX = 4096, BATCHES_MAX = 20000 };

/* --- the beacon --- */

static void on_beacon_link(struct proc *p, const struct path *path, bool up)
{
	if (up)
		(void)beacon_conduit_opened(p->beacon, path->via, &path->remote, p->sim->now);
	else
		beacon_conduit_closed(p->beacon, path->via, p->sim->now);
	proc_pump(p);
}

void beacon_proc_start(struct proc *p)
{
	struct beacon_config c;

	beacon_config_init(&c);
	c.identity = &p->id;
	c.rng = &p->rng;
	c.wall_ms = sim_wall_ms(p->sim);
	p->beacon = beacon_new(&c, p->sim->now);
	p->store = store_memory_new(RECORDS_MAX, &p->rng);
	p->on_link = on_beacon_link;
	if (!p->beacon || !p->store)
		sim_fail(p->sim, "beacon_new failed");
	else if (p->liar)
		liar_started(p);
}

static void answer_store(struct proc *p)
{
	struct directory_answer a;
	struct directory_op op;

	while (beacon_next_op(p->beacon, &op)) {
		if (store_submit(p->store, &op, p->sim->now) < 0)
			sim_fail(p->sim, "%s: the store takes nothing", p->name);
		while (store_next(p->store, &a, p->sim->now))
			beacon_op_done(p->beacon, &a, p->sim->now);
	}
}

void beacon_proc_pump(struct proc *p)
{
	struct sim *s = p->sim;
	struct batch b = { .data = s->batch, .capacity = sizeof(s->batch) };

	answer_store(p);
	for (int i = 0; i < BATCHES_MAX; i++) {
		memset(&b.path, 0, sizeof(b.path));
		if (!beacon_transmit(p->beacon, &b, s->now))
			return;
		if (p->liar)
			liar_send(p, &b);
		else
			net_send(s, p, &b);
		answer_store(p);
	}
	sim_fail(s, "%s sends without end", p->name);
}

void beacon_proc_stop(struct proc *p, bool goodbye)
{
	if (goodbye) {
		beacon_stop(p->beacon, p->sim->now);
		beacon_proc_pump(p);
	}
	beacon_free(p->beacon);
	store_free(p->store);
	p->beacon = NULL;
	p->store = NULL;
}

/* --- what a node asks --- */

static void on_node_link(struct proc *p, const struct path *path, bool up)
{
	if (up)
		node_conduit_up(p->node, path->via, p->sim->now);
	else
		node_conduit_down(p->node, path->via, GW_E_UNREACHABLE, p->sim->now);
	proc_pump(p);
}

static void serve(struct proc *p, const struct io_request *r)
{
	struct sim *s = p->sim;
	struct addr a;
	bool known = addr_parse_host(&a, r->host, r->port ? r->port : 1) == 0;

	switch (r->type) {
	case IO_RESOLVE:
		node_resolved(p->node, r->host, &a, known, s->now);
		break;
	case IO_TLS_OPEN:
		p->on_link = on_node_link;
		if (!known || net_link_open(s, p, r->via, &a) < 0)
			node_conduit_down(p->node, r->via, GW_E_UNREACHABLE, s->now);
		break;
	case IO_UDP_OPEN:
		if (proc_open_socket(p, r->via) == 0)
			node_conduit_up(p->node, r->via, s->now);
		else
			node_conduit_down(p->node, r->via, GW_E_LIMIT, s->now);
		break;
	case IO_CLOSE:
		proc_close_socket(p, r->via);
		net_link_close(s, p, r->via);
		break;
	}
}

bool node_proc_serve(struct proc *p)
{
	struct io_request r;
	bool any = false;

	while (p->node && node_next_request(p->node, &r)) {
		any = true;
		serve(p, &r);
	}
	return any;
}

void proc_use_beacon(struct proc *p, const struct proc *beacon)
{
	const struct iface *f = net_primary(&p->sim->hosts[beacon->host]);
	char host[ADDR_TEXT_MAX];

	addr_format_host(&f->addr, host);
	node_add_beacon(p->node, proc_key(beacon), host, beacon->port, beacon->port, p->sim->now);
}
