/* SPDX-License-Identifier: Apache-2.0 */
/* tests/sim/net_test.c - the virtual network without nodes: sites, sockets, TLS links.
 *
 * What sim.c and proc.c do for the network is answered here: a queue, and a mailbox. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sim.h"

enum { ITEMS_MAX = 4096, PORT = 4100, HELLO = 20 };

static struct sim *s;
static struct item items[ITEMS_MAX];
static size_t n_items;

/* What came last, and how often something came. */
static struct {
	unsigned count;
	struct proc *to;
	struct path path;
	size_t len;
	uint8_t data[65536];
	bool jumbled; /* numbers in the first byte not in order */
} mail;

static struct {
	unsigned ups, downs;
	struct path path;
	gw_time at;
} links[PROCS_MAX];

void sim_schedule(struct sim *sim, gw_time at, enum item_kind kind, void *what)
{
	size_t i = n_items++;

	(void)sim;
	assert_true(n_items <= ITEMS_MAX);
	for (; i && items[i - 1].at > at; i--)
		items[i] = items[i - 1];
	items[i] = (struct item){ .at = at, .kind = kind, .what = what };
}

void sim_fail(struct sim *sim, const char *format, ...)
{
	(void)sim;
	fail_msg("%s", format);
}

void sim_note(const struct sim *sim, const char *format, ...)
{
	(void)sim;
	(void)format;
}

void proc_pump(struct proc *p)
{
	(void)p;
}

void proc_receive(struct proc *p, const struct path *path, const uint8_t *data, size_t len)
{
	mail.jumbled |= mail.count && data[0] != (uint8_t)(mail.data[0] + 1);
	mail.count++;
	mail.to = p;
	mail.path = *path;
	mail.len = len;
	memcpy(mail.data, data, len);
}

static void on_link(struct proc *p, const struct path *path, bool up)
{
	*(up ? &links[p->index].ups : &links[p->index].downs) += 1;
	links[p->index].path = *path;
	links[p->index].at = s->now;
}

static void run(gw_time length)
{
	gw_time until = s->now + length;

	while (n_items && items[0].at <= until) {
		struct item i = items[0];

		memmove(items, items + 1, --n_items * sizeof(*items));
		s->now = i.at;
		net_packet(s, i.what);
	}
	s->now = until;
}

static int set_up(void **state)
{
	(void)state;
	s = calloc(1, sizeof(*s));
	s->now = s->start = 1000 * GW_SEC;
	rng_seed(&s->rng, 1);
	memset(&mail, 0, sizeof(mail));
	memset(links, 0, sizeof(links));
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	net_clear(s);
	while (n_items)
		net_packet_free(items[--n_items].what);
	free(s);
	return 0;
}

static struct proc *add_proc(unsigned host)
{
	struct proc *p = &s->procs[s->n_procs];

	p->sim = s;
	p->index = s->n_procs++;
	p->alive = true;
	p->host = host;
	p->port = PORT;
	p->on_link = on_link;
	return p;
}

/* A new host in the site, with a process. */
static struct proc *add(unsigned site)
{
	return add_proc(net_add_host_in(s, site));
}

static unsigned add_site(const char *kind, unsigned behind)
{
	return net_add_site(s, nat_kind_find(kind), behind);
}

static struct addr addr_of(const struct proc *p)
{
	struct addr a = s->hosts[p->host].ifaces[0].addr;

	a.port = p->port;
	return a;
}

static enum send_result send_from(struct proc *p, uint32_t via, struct addr to, uint8_t first,
				  size_t len)
{
	static uint8_t data[65536];
	struct batch b = { .path = { .remote = to, .via = via },
			   .data = data,
			   .capacity = sizeof(data),
			   .len = len,
			   .segment = len };

	data[0] = first;
	return net_send(s, p, &b);
}

/* Does a datagram from `p` to the address reach `q`? */
static bool reaches(struct proc *p, struct addr to, const struct proc *q)
{
	unsigned before = mail.count;

	assert_int_equal(send_from(p, 0, to, 0, HELLO), SENT);
	run(GW_SEC);
	if (mail.count == before)
		return false;
	assert_int_equal(mail.count, before + 1);
	assert_ptr_equal(mail.to, q);
	return true;
}

/* --- sites --- */

static void test_internet(void **state)
{
	struct proc *a = add(INTERNET), *b = add(INTERNET);
	struct addr here = addr_of(a);

	(void)state;
	assert_true(reaches(a, addr_of(b), b));
	assert_true(addr_equal(&mail.path.remote, &here));
	net_new_address(s, b->host, 0);
	assert_true(reaches(a, addr_of(b), b));
	assert_true(net_public(s, &s->hosts[a->host].ifaces[0]));
}

static void test_old_address_is_nobodys(void **state)
{
	struct proc *a = add(INTERNET), *b = add(INTERNET);
	struct addr old = addr_of(b);

	(void)state;
	net_new_address(s, b->host, 0);
	assert_false(reaches(a, old, b));
}

static void test_same_lan(void **state)
{
	unsigned home = add_site("apdm", INTERNET);
	struct proc *a = add(home), *b = add(home), *far = add(INTERNET);
	struct addr here = addr_of(a);

	(void)state;
	assert_int_equal(here.ip[0], 192);
	assert_true(reaches(a, addr_of(b), b));
	assert_true(addr_equal(&mail.path.remote, &here)); /* not translated */
	assert_false(reaches(far, addr_of(b), b));
	assert_int_equal(nat_count(&s->sites[home].nat, s->now), 0);
}

static void test_lans_alike(void **state)
{
	unsigned one = add_site("eim-eif", INTERNET), two = add_site("eim-eif", INTERNET);
	struct proc *a, *b, *c;
	struct addr at, ct;

	(void)state;
	s->sites[one].lan = s->sites[two].lan = 1;
	a = add(one);
	b = add(one);
	c = add(two);
	at = addr_of(a);
	ct = addr_of(c);
	assert_true(addr_equal(&at, &ct));
	assert_true(reaches(b, ct, a)); /* the near one */
	ct.ip[3] = 99;
	assert_false(reaches(b, ct, c)); /* nobody: it does not bother the box */
	assert_int_equal(nat_count(&s->sites[one].nat, s->now), 0);
}

static void test_behind_nat(void **state)
{
	unsigned home = add_site("eim-apdf", INTERNET);
	struct proc *a = add(home), *b = add(INTERNET);
	struct addr seen, inner = addr_of(a);

	(void)state;
	assert_true(reaches(a, addr_of(b), b));
	seen = mail.path.remote;
	assert_true(addr_same_host(&seen, nat_outer(&s->sites[home].nat, ADDR_V4)));
	assert_true(net_seen_at(s, &s->hosts[a->host].ifaces[0], &seen));
	assert_false(net_public(s, &s->hosts[a->host].ifaces[0]));
	assert_true(reaches(b, seen, a));
	assert_true(addr_equal(&mail.path.local, &inner));
	net_reboot_box(s, home, true);
	assert_false(reaches(b, seen, a));
	assert_true(reaches(a, addr_of(b), b));
	assert_false(addr_same_host(&seen, &mail.path.remote));
	assert_true(reaches(b, mail.path.remote, a));
}

/* The rendezvous tells each the other's outer address; both send; what then? */
static bool punch(struct proc *a, struct proc *b, struct proc *server)
{
	struct addr at, bt;

	assert_true(reaches(a, addr_of(server), server));
	at = mail.path.remote;
	assert_true(reaches(b, addr_of(server), server));
	bt = mail.path.remote;
	reaches(a, bt, b);
	return reaches(b, at, a) && reaches(a, mail.path.remote, b);
}

static void test_punch(void **state)
{
	static const struct {
		const char *a, *b;
		bool works;
	} cases[] = {
		{ "eim-apdf", "eim-apdf", true }, { "eim-apdf", "apdm", false },
		{ "eim-adf", "apdm", true },      { "apdm", "apdm", false },
		{ "double", "eim-eif", true },    { "double", "double", true },
		{ "firewall", "firewall", true }, { "firewall", "apdm", false },
		{ "adm-adf", "adm-adf", false },  { "none", "apdm", true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct proc *server = add(INTERNET), *a = add(add_site(cases[i].a, INTERNET));
		struct proc *b = add(add_site(cases[i].b, INTERNET));

		assert_int_equal(punch(a, b, server), cases[i].works);
	}
}

static void test_hairpin(void **state)
{
	unsigned home = add_site("eim-eif", INTERNET);
	struct proc *a = add(home), *b = add(home), *far = add(INTERNET);
	struct addr seen;

	(void)state;
	assert_true(reaches(b, addr_of(far), far));
	seen = mail.path.remote;
	assert_true(reaches(a, seen, b));
	assert_true(addr_same_host(&mail.path.remote, &seen));
	s->sites[home].nat.kind.hairpin = false;
	assert_false(reaches(a, seen, b));
}

/* Two homes of one carrier: by the homes' middle addresses always, by the carrier's outer one
 * only when it hairpins. */
static void test_carrier(void **state)
{
	unsigned carrier = add_site("carrier", INTERNET);
	struct proc *a = add(add_site("eim-eif", carrier)), *b = add(add_site("eim-eif", carrier));
	struct proc *far = add(INTERNET), *near = add(carrier);
	struct addr middle, outer;

	(void)state;
	s->sites[carrier].nat.kind.filtering = NAT_INDEPENDENT;
	assert_true(reaches(b, addr_of(near), near));
	middle = mail.path.remote;
	assert_int_equal(middle.ip[0], 100);
	assert_true(reaches(b, addr_of(far), far));
	outer = mail.path.remote;
	assert_true(addr_same_host(&outer, nat_outer(&s->sites[carrier].nat, ADDR_V4)));
	assert_true(reaches(far, outer, b));
	assert_true(reaches(a, middle, b));
	assert_false(reaches(far, middle, b));
	assert_false(reaches(a, outer, b));
	s->sites[carrier].nat.kind.hairpin = true;
	assert_true(reaches(a, outer, b));
}

static void test_roam(void **state)
{
	unsigned home = add_site("eim-eif", INTERNET);
	struct proc *a = add(INTERNET), *b = add(INTERNET);
	struct addr old = addr_of(a), seen;

	(void)state;
	net_move_to_site(s, a->host, home);
	assert_int_equal(addr_of(a).ip[0], 192);
	assert_false(reaches(b, old, a));
	assert_true(reaches(a, addr_of(b), b));
	seen = mail.path.remote;
	assert_true(reaches(b, seen, a));
	net_move_to_site(s, a->host, INTERNET);
	assert_false(reaches(b, seen, a));
	assert_true(reaches(b, addr_of(a), a));
}

static void test_firewall_v6(void **state)
{
	unsigned office = add_site("firewall", INTERNET), home = add_site("apdm", INTERNET);
	struct proc *far, *p[2];

	(void)state;
	s->v6 = true;
	far = add(INTERNET);
	p[0] = add(office);
	p[1] = add(home); /* translates IPv4 only */
	for (int i = 0; i < 2; i++) {
		struct addr here = addr_of(p[i]);

		assert_false(reaches(far, here, p[i]));
		assert_true(reaches(p[i], addr_of(far), far));
		assert_true(addr_equal(&mail.path.remote, &here));
		assert_true(reaches(far, here, p[i]));
	}
	assert_true(punch(p[0], p[1], far));
}

static void test_firewall_in_nat(void **state)
{
	unsigned home = add_site("eim-apdf", INTERNET), room = add_site("firewall", home);
	struct proc *a, *b, *far = add(INTERNET);

	(void)state;
	s->sites[home].lan = s->sites[room].lan;
	a = add(room);
	b = add(home);
	assert_false(reaches(b, addr_of(a), a));
	assert_true(reaches(a, addr_of(b), b));
	assert_true(reaches(b, addr_of(a), a));
	assert_true(reaches(a, addr_of(far), far));
	assert_true(reaches(far, mail.path.remote, a));
}

static void test_udp_blocked(void **state)
{
	unsigned office = add_site("udp-blocked", INTERNET);
	struct proc *a = add(office), *b = add(office), *far = add(INTERNET);

	(void)state;
	assert_false(reaches(a, addr_of(far), far));
	assert_true(reaches(a, addr_of(b), b));
}

static void test_many_hosts(void **state)
{
	struct proc *first = add(INTERNET), *last = NULL;

	(void)state;
	for (unsigned i = 1; i < HOSTS_MAX; i++)
		last = add(i % 2 ? INTERNET : add_site("double", INTERNET));
	assert_true(reaches(first, addr_of(last), last));
	assert_true(reaches(&s->procs[2], addr_of(last), last));
}

/* --- sockets --- */

static void test_sockets(void **state)
{
	struct proc *a = add(INTERNET), *b = add_proc(a->host), *far = add(INTERNET);
	uint16_t ports[SOCKETS_MAX];

	(void)state;
	b->port++;
	for (uint32_t i = 0; i < SOCKETS_MAX; i++) {
		assert_int_equal(proc_open_socket(a, i + 1), 0);
		assert_int_equal(send_from(a, i + 1, addr_of(far), 0, HELLO), SENT);
		run(GW_SEC);
		ports[i] = mail.path.remote.port;
		for (uint32_t j = 0; j < i; j++)
			assert_int_not_equal(ports[j], ports[i]);
		assert_true(reaches(far, mail.path.remote, a));
		assert_int_equal(mail.path.via, i + 1);
		assert_int_equal(mail.path.local.port, ports[i]);
	}
	assert_int_equal(proc_open_socket(a, SOCKETS_MAX + 1), GW_E_LIMIT);
	assert_int_equal(proc_open_socket(a, 0), GW_E_INVALID);
	assert_int_equal(proc_open_socket(b, 1), 0); /* numbers are the process's own */
	assert_int_equal(proc_open_socket(b, 1), GW_E_EXISTS);
	s->hosts[a->host].next_port = UINT16_MAX; /* begins anew, past those taken */
	assert_int_equal(proc_open_socket(b, 2), 0);
	assert_int_equal(send_from(b, 2, addr_of(far), 0, HELLO), SENT);
	run(GW_SEC);
	for (uint32_t i = 0; i < SOCKETS_MAX; i++)
		assert_int_not_equal(mail.path.remote.port, ports[i]);
	assert_true(reaches(far, addr_of(a), a));
	assert_int_equal(mail.path.via, 0);
}

static void test_socket_closed(void **state)
{
	struct proc *a = add(INTERNET), *far = add(INTERNET);
	struct addr at;

	(void)state;
	assert_int_equal(proc_open_socket(a, 5), 0);
	send_from(a, 5, addr_of(far), 0, HELLO);
	run(GW_SEC);
	at = mail.path.remote;
	proc_close_socket(a, 5);
	assert_false(reaches(far, at, a));
	assert_int_equal(send_from(a, 5, addr_of(far), 0, HELLO), SENT_UNREACHABLE);
	assert_int_equal(proc_open_socket(a, 5), 0);
	proc_close_conduits(a);
	assert_int_equal(a->n_sockets, 0);
}

/* --- TLS links --- */

static struct proc *client, *server;

/* From behind whatever the site is to a server on the internet, and up. */
static void linked(const char *kind)
{
	server = add(INTERNET);
	client = add(add_site(kind, INTERNET));
	assert_int_equal(net_link_open(s, client, 7, &(struct addr){ 0 }), GW_E_UNREACHABLE);
	assert_int_equal(net_link_open(s, client, 7, &(struct addr){ .family = ADDR_V6 }),
			 GW_E_UNREACHABLE);
	{
		struct addr at = addr_of(server);

		assert_int_equal(net_link_open(s, client, 7, &at), 0);
		assert_int_equal(net_link_open(s, client, 7, &at), GW_E_EXISTS);
	}
	run(5 * GW_SEC);
	assert_int_equal(links[client->index].ups, 1);
	assert_int_equal(links[server->index].ups, 1);
	assert_int_equal(links[client->index].path.via, 7);
	assert_int_equal(links[server->index].path.via, LINK_VIA_FIRST);
}

/* Send `count` numbered messages and wait; how many came? */
static unsigned pour(struct proc *from, uint32_t via, unsigned count, size_t len, gw_time length)
{
	memset(&mail, 0, sizeof(mail));
	for (unsigned i = 0; i < count; i++)
		send_from(from, via, addr_of(server), (uint8_t)i, len);
	run(length);
	assert_false(mail.jumbled);
	return mail.count;
}

static void bad_links(void)
{
	for (unsigned i = 0; i < s->n_hosts; i++) {
		struct iface *f = &s->hosts[i].ifaces[0];

		f->up.loss = f->down.loss = f->up.reorder = f->down.duplicate = 3000;
		f->up.jitter = f->down.jitter = 50 * GW_MSEC;
		f->up.mtu = f->down.mtu = 576;
	}
}

static void test_link(void **state)
{
	static const char *kinds[] = { "none", "firewall", "apdm", "double", "udp-blocked" };

	(void)state;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		linked(kinds[i]);
		assert_int_equal(links[server->index].at - (s->now - 5 * GW_SEC), 50 * GW_MSEC);
		bad_links();
		assert_int_equal(pour(client, 7, 40, 1200, GW_SEC), 40);
		assert_ptr_equal(mail.to, server);
		assert_int_equal(mail.len, 1200);
		assert_int_equal(mail.path.via, LINK_VIA_FIRST);
		assert_int_equal(pour(server, LINK_VIA_FIRST, 40, 1500, GW_SEC), 40);
		assert_ptr_equal(mail.to, client);
		assert_int_equal(mail.path.via, 7);
	}
	assert_int_equal(links[client->index].downs + links[server->index].downs, 0);
}

/* The link's rate is used, and datagrams get through beside it. */
static void test_link_rate(void **state)
{
	unsigned early;

	(void)state;
	linked("firewall");
	s->hosts[client->host].ifaces[0].up.rate = 50000;
	s->hosts[client->host].ifaces[0].up.queue = 30 * GW_MSEC;
	assert_int_equal(pour(client, 7, 50, 938, 0), 0); /* 1000 with headers */
	for (unsigned ms = 0; ms < 500; ms += 50) {
		send_from(client, 0, addr_of(server), 0, HELLO);
		run(50 * GW_MSEC);
	}
	early = mail.count;
	run(2 * GW_SEC);
	assert_in_range(early, 22 + 5, 24 + 10);
	assert_in_range(mail.count, 50 + 5, 50 + 10);
}

static void test_link_queue_bound(void **state)
{
	(void)state;
	linked("udp-blocked");
	assert_int_equal(pour(client, 7, 70, 1024, GW_SEC), LINK_QUEUE_MAX / 1024);
	assert_int_equal(pour(client, 7, 10, 1024, GW_SEC), 10);
}

static void test_link_outage(void **state)
{
	struct iface *f;

	(void)state;
	linked("udp-blocked");
	f = &s->hosts[server->host].ifaces[0];
	f->down.down = f->up.down = true;
	assert_int_equal(pour(client, 7, 20, 1000, 8 * GW_SEC), 0);
	f->down.down = f->up.down = false;
	run(GW_SEC);
	assert_int_equal(mail.count, 20); /* late, not lost */
	assert_false(mail.jumbled);
	memset(&mail, 0, sizeof(mail));
	f->down.down = true;
	send_from(client, 7, addr_of(server), 0, 100);
	run(150 * GW_MSEC);
	send_from(client, 7, addr_of(server), 1, 100);
	run(200 * GW_MSEC);
	f->down.down = false; /* the second one could go first */
	run(GW_SEC);
	assert_int_equal(mail.count, 2);
	assert_false(mail.jumbled);
	s->hosts[server->host].asleep_until = s->now + 5 * GW_SEC;
	assert_int_equal(pour(client, 7, 20, 1000, 4 * GW_SEC), 0);
	run(2 * GW_SEC);
	assert_int_equal(mail.count, 20);
	assert_int_equal(links[client->index].downs, 0);
}

static void test_link_close(void **state)
{
	(void)state;
	linked("apdm");
	memset(&mail, 0, sizeof(mail));
	send_from(client, 7, addr_of(server), 0, 100);
	net_link_close(s, client, 7);
	assert_int_equal(send_from(client, 7, addr_of(server), 0, 100), SENT_UNREACHABLE);
	run(GW_SEC);
	assert_int_equal(mail.count, 1); /* what was sent still comes */
	assert_int_equal(links[server->index].downs, 1);
	assert_int_equal(links[client->index].downs, 0);
	assert_int_equal(send_from(server, LINK_VIA_FIRST, addr_of(client), 0, 9),
			 SENT_UNREACHABLE);
}

static void test_link_after_death(void **state)
{
	(void)state;
	linked("apdm");
	proc_close_conduits(server);
	server->alive = false;
	run(GW_SEC);
	assert_int_equal(links[client->index].downs, 1);
}

static void test_link_move(void **state)
{
	(void)state;
	for (int mover = 0; mover < 3; mover++) { /* client, server, the client's box */
		gw_time moved;

		linked("apdm");
		if (mover == 2)
			net_reboot_box(s, s->n_sites, true);
		else
			net_new_address(s, (mover ? server : client)->host, 0);
		assert_int_equal(pour(client, 7, 5, 1000, 0), 0);
		moved = s->now;
		run(60 * GW_SEC);
		assert_int_equal(mail.count, 0);
		assert_int_equal(links[client->index].downs, 1);
		assert_int_equal(links[client->index].at - moved, 10 * GW_SEC);
		assert_int_equal(links[server->index].downs, 0); /* it has nothing to say */
		assert_int_equal(pour(server, LINK_VIA_FIRST, 5, 1000, 11 * GW_SEC), 0);
		assert_int_equal(links[server->index].downs, 1);
		assert_int_equal(n_items, 0);
	}
}

/* Closed after a move: the other end does not hear of it. */
static void test_link_move_and_close(void **state)
{
	(void)state;
	linked("apdm");
	net_new_address(s, client->host, 0);
	net_link_close(s, client, 7);
	run(60 * GW_SEC);
	assert_int_equal(links[server->index].downs, 0);
	assert_int_equal(n_items, 0);
}

/* The server does not know that the client is gone, until it speaks. */
static void test_link_reset(void **state)
{
	(void)state;
	linked("apdm");
	s->hosts[client->host].ifaces[0].up.down = true;
	net_link_close(s, client, 7);
	run(30 * GW_SEC);
	s->hosts[client->host].ifaces[0].up.down = false;
	assert_int_equal(links[server->index].downs, 0);
	assert_int_equal(pour(server, LINK_VIA_FIRST, 1, 100, GW_SEC), 0);
	assert_int_equal(links[server->index].downs, 1);
}

static void refused(struct proc *from, struct addr to, gw_time after)
{
	gw_time start = s->now;

	assert_int_equal(net_link_open(s, from, 9, &to), 0);
	run(60 * GW_SEC);
	assert_int_equal(links[from->index].ups, 0);
	assert_int_equal(links[from->index].downs, 1);
	assert_int_equal(links[from->index].at - start, after);
	assert_int_equal(n_items, 0);
}

static void test_link_refused(void **state)
{
	unsigned home = add_site("eim-eif", INTERNET);
	struct proc *b = add(INTERNET), *inside = add(home);
	struct addr port, seen;

	(void)state;
	port = addr_of(b);
	port.port++;
	refused(add(INTERNET), port, 20 * GW_MSEC); /* nobody listens */
	b->on_link = NULL;
	refused(add(INTERNET), addr_of(b), 20 * GW_MSEC); /* takes no links */
	assert_true(reaches(inside, addr_of(b), b));
	seen = mail.path.remote;
	refused(b = add(INTERNET), seen, 10 * GW_SEC); /* boxes let no TCP in */
	refused(add(INTERNET), addr_of(add(add_site("firewall", INTERNET))), 10 * GW_SEC);
	refused(add(add_site("all-blocked", INTERNET)), addr_of(b), 10 * GW_SEC);
}

static void test_link_late(void **state)
{
	struct proc *a = add(INTERNET), *b = add(INTERNET);
	struct addr at = addr_of(b);

	(void)state;
	s->hosts[b->host].ifaces[0].present = false;
	assert_int_equal(net_link_open(s, a, 9, &at), 0);
	run(5 * GW_SEC);
	s->hosts[b->host].ifaces[0].present = true;
	run(GW_SEC);
	assert_int_equal(links[a->index].ups, 1);
}

#define network_test(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		network_test(test_internet),
		network_test(test_old_address_is_nobodys),
		network_test(test_same_lan),
		network_test(test_lans_alike),
		network_test(test_behind_nat),
		network_test(test_punch),
		network_test(test_hairpin),
		network_test(test_carrier),
		network_test(test_roam),
		network_test(test_firewall_v6),
		network_test(test_firewall_in_nat),
		network_test(test_udp_blocked),
		network_test(test_many_hosts),
		network_test(test_sockets),
		network_test(test_socket_closed),
		network_test(test_link),
		network_test(test_link_rate),
		network_test(test_link_queue_bound),
		network_test(test_link_outage),
		network_test(test_link_close),
		network_test(test_link_after_death),
		network_test(test_link_move),
		network_test(test_link_move_and_close),
		network_test(test_link_reset),
		network_test(test_link_refused),
		network_test(test_link_late),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
