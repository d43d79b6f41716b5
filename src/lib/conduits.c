/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/conduits.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "io/resolve.h"
#include "io/tls_link.h"
#include "lib/drive.h"

/* System calls at one wake-up of an auxiliary socket. */
enum { RECEIVES = 2 };

struct conduit {
	struct list_item link;
	godwit_node *node;
	uint32_t via;
	struct udp *udp; /* NULL: it is a TLS link */
	struct loop_source *source;
	struct tls_link *tls;
	char host[WIRE_HOST_MAX + 1]; /* of a TLS link */
	uint16_t port;
	bool opened;
};

struct trouble {
	struct list_item link;
	char host[WIRE_HOST_MAX + 1];
	uint16_t port;
	char text[TROUBLE_SIZE];
};

struct lookup {
	struct list_item link;
	godwit_node *node;
	struct resolve *resolve;
	char host[WIRE_HOST_MAX + 1];
};

/* --- names --- */

static void on_resolved(void *user, int error, const struct addr *addrs, size_t count)
{
	struct lookup *l = user;
	godwit_node *node = l->node;

	(void)error;
	list_remove(&l->link);
	node_resolved(node->core, l->host, addrs, count, loop_clock());
	free(l);
	drive_soon(node);
}

static void resolve(godwit_node *node, const char *host)
{
	struct addr literal[RESOLVE_ADDRS_MAX];
	size_t count = resolve_literal(host, literal, RESOLVE_ADDRS_MAX);
	struct lookup *l = count == 0 ? calloc(1, sizeof(*l)) : NULL;

	if (l) {
		l->node = node;
		memcpy(l->host, host, strlen(host) + 1);
		if (resolve_start(&l->resolve, node->loop, host, on_resolved, l) == 0) {
			list_append(&node->conduits.lookups, &l->link);
			return;
		}
		free(l);
	}
	node_resolved(node->core, host, literal, count, loop_clock());
}

/* --- opening and closing --- */

static struct conduit *add(godwit_node *node, uint32_t via)
{
	struct conduit *c = calloc(1, sizeof(*c));

	if (!c || map_put(&node->conduits.by_via, via, c) < 0) {
		free(c);
		return NULL;
	}
	c->node = node;
	c->via = via;
	list_append(&node->conduits.all, &c->link);
	return c;
}

static void drop(struct conduit *c)
{
	struct conduits *all = &c->node->conduits;

	map_remove(&all->by_via, c->via);
	list_remove(&c->link);
	if (c->udp) {
		loop_remove(c->source);
		udp_close(c->udp);
		all->n_udp--;
	} else if (c->tls) {
		tls_link_close(c->tls);
		all->n_tls--;
	}
	free(c);
}

/* --- why TLS cannot be had --- */

static struct trouble *find_trouble(const struct conduits *c, const char *host, uint16_t port)
{
	list_each(&c->troubles, i, next) {
		struct trouble *t = container_of(i, struct trouble, link);

		if (t->port == port && strcmp(t->host, host) == 0)
			return t;
	}
	return NULL;
}

static void forget_trouble(struct conduits *c, struct trouble *t)
{
	if (!t)
		return;
	list_remove(&t->link);
	c->n_troubles--;
	free(t);
}

static void note_trouble(struct conduits *c, const struct conduit *of, const char *text)
{
	struct trouble *t;

	forget_trouble(c, find_trouble(c, of->host, of->port));
	if (c->n_troubles == TLS_TROUBLES_MAX)
		forget_trouble(c, container_of(list_first(&c->troubles), struct trouble, link));
	t = calloc(1, sizeof(*t));
	if (!t)
		return;
	memcpy(t->host, of->host, sizeof(t->host));
	t->port = of->port;
	snprintf(t->text, sizeof(t->text), "%s", text);
	list_append(&c->troubles, &t->link);
	c->n_troubles++;
}

const char *conduits_trouble(const struct conduits *c, const char *host, uint16_t port)
{
	const struct trouble *t = find_trouble(c, host, port);

	return t ? t->text : NULL;
}

/* --- TLS links --- */

static void on_tls_open(void *user)
{
	struct conduit *c = user;
	struct conduits *all = &c->node->conduits;

	c->opened = true;
	forget_trouble(all, find_trouble(all, c->host, c->port));
	node_conduit_up(c->node->core, c->via, loop_clock());
	drive_soon(c->node);
}

static void on_tls_closed(void *user, int error, const char *text)
{
	struct conduit *c = user;
	godwit_node *node = c->node;
	uint32_t via = c->via;

	if (!c->opened)
		note_trouble(&node->conduits, c, text);
	drop(c);
	node_conduit_down(node->core, via, error, loop_clock());
	drive_soon(node);
}

static void on_tls_datagram(void *user, const uint8_t *data, size_t len)
{
	struct conduit *c = user;
	struct path path = { .remote = addr_of_conduit(c->via), .via = c->via };

	drive_look(c->node);
	node_receive(c->node->core, &path, data, len, loop_clock());
	drive_soon(c->node);
}

static int open_tls(godwit_node *node, const struct io_request *r)
{
	static const struct tls_link_events EVENTS = { on_tls_open, on_tls_closed,
						       on_tls_datagram };
	struct tls_link_config config = { .host = r->host, .port = r->port };
	struct conduit *c;
	int error;

	if (node->conduits.n_tls == CONDUITS_TLS_MAX)
		return GW_E_LIMIT;
	c = add(node, r->via);
	if (!c)
		return GW_E_NOMEM;
	memcpy(c->host, r->host, sizeof(c->host));
	c->port = r->port;
	error = tls_link_connect(&c->tls, node->loop, &config, &EVENTS, c);
	if (error)
		drop(c);
	else
		node->conduits.n_tls++;
	return error;
}

/* --- further UDP sockets --- */

static void on_datagram(void *user, const struct path *path, const uint8_t *data, size_t len)
{
	struct conduit *c = user;
	struct path here = *path;

	here.via = c->via;
	node_receive(c->node->core, &here, data, len, loop_clock());
}

static void on_udp(void *user, int fd, unsigned events)
{
	struct conduit *c = user;
	godwit_node *node = c->node;

	(void)fd;
	(void)events;
	drive_look(node);
	udp_receive(c->udp, RECEIVES, on_datagram, c);
	drive_soon(node);
}

static int open_udp(godwit_node *node, const struct io_request *r)
{
	struct addr where = udp_local(node->udp);
	struct conduit *c;
	int error;

	if (node->conduits.n_udp == CONDUITS_UDP_MAX)
		return GW_E_LIMIT;
	c = add(node, r->via);
	if (!c)
		return GW_E_NOMEM;
	where.port = 0;
	error = udp_open(&c->udp, &where);
	if (!error) {
		node->conduits.n_udp++;
		c->source = loop_add(node->loop, udp_fd(c->udp), LOOP_IN, on_udp, c);
		error = c->source ? 0 : GW_E_NOMEM;
	}
	if (error)
		drop(c);
	else
		node_conduit_up(node->core, r->via, loop_clock());
	return error;
}

/* --- what the core asks for --- */

static void serve(godwit_node *node, const struct io_request *r)
{
	struct conduit *c;
	int error = 0;

	switch (r->type) {
	case IO_RESOLVE:
		resolve(node, r->host);
		break;
	case IO_TLS_OPEN:
		error = open_tls(node, r);
		break;
	case IO_UDP_OPEN:
		error = open_udp(node, r);
		break;
	case IO_CLOSE:
		c = map_get(&node->conduits.by_via, r->via);
		if (c)
			drop(c);
		break;
	}
	if (error)
		node_conduit_down(node->core, r->via, error, loop_clock());
}

bool conduits_serve(godwit_node *node)
{
	struct io_request r;
	bool any = false;

	while (node_next_request(node->core, &r)) {
		serve(node, &r);
		any = true;
	}
	return any;
}

/* --- sending --- */

/* One by one: what a full socket leaves of a batch is dropped, and udp_send() wants the whole of
 * a batch again that it did not finish. */
static void send_udp(godwit_node *node, struct udp *u, const struct batch *b)
{
	for (size_t at = 0; at < b->len; at += b->segment) {
		size_t len = b->len - at < b->segment ? b->len - at : b->segment;
		int error = udp_send(u, &b->path, b->data + at, len, len);

		if (error == 0)
			continue;
		if (error != GW_E_AGAIN && !b->probe)
			node_send_failed(node->core, &b->path,
					 error == GW_E_LENGTH ? SEND_TOO_BIG : SEND_UNREACHABLE,
					 loop_clock());
		return;
	}
}

void conduits_send(godwit_node *node, const struct batch *b)
{
	const struct conduit *c = map_get(&node->conduits.by_via, b->path.via);

	if (!c)
		return;
	if (c->udp)
		send_udp(node, c->udp, b);
	else
		(void)tls_link_send(c->tls, b->data, b->len, b->segment);
}

/* --- life --- */

void conduits_init(struct conduits *c)
{
	map_init(&c->by_via, 0); /* we choose the keys */
	list_init(&c->all);
	list_init(&c->lookups);
	list_init(&c->troubles);
}

void conduits_clear(struct conduits *c)
{
	list_each(&c->lookups, i, tmp) {
		struct lookup *l = container_of(i, struct lookup, link);

		resolve_cancel(l->resolve);
		free(l);
	}
	list_each(&c->all, i, tmp)
		drop(container_of(i, struct conduit, link));
	while (c->n_troubles > 0)
		forget_trouble(c, container_of(list_first(&c->troubles), struct trouble, link));
	map_clear(&c->by_via);
}
