/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/beacon_tls.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"
#include "base/list.h"
#include "base/map.h"
#include "io/tls_link.h"

enum { BACKLOG = 1024, LINKS_MAX = 65536, OTHER_FILES = 64 };

#define ACCEPT_PAUSE (100 * GW_MSEC)
/* A link that carries nobody in two looks in a row is closed. */
#define LOOK_EACH (10 * GW_SEC)

struct tls_client {
	struct list_item link;
	struct beacon_tls *owner;
	struct tls_link *tls;
	uint32_t via;
	bool known; /* to the core */
	bool was_idle;
};

struct beacon_tls {
	struct loop *loop;
	struct beacon *core;
	struct tls_server *server;
	int fd;
	uint16_t port;
	size_t most; /* links */
	struct loop_source *source;
	struct loop_timer *pause, *look;
	struct list clients;
	struct map by_via;
	uint32_t last_via;
	void (*changed)(void *user);
	void *user;
};

static void drop(struct tls_client *c)
{
	struct beacon_tls *t = c->owner;

	if (c->known)
		beacon_conduit_closed(t->core, c->via, loop_clock());
	map_remove(&t->by_via, c->via);
	list_remove(&c->link);
	tls_link_close(c->tls);
	free(c);
}

static void on_open(void *user)
{
	struct tls_client *c = user;
	struct addr remote = tls_link_remote(c->tls);

	if (!beacon_conduit_opened(c->owner->core, c->via, &remote, loop_clock()))
		drop(c);
}

static void on_closed(void *user, int error, const char *text)
{
	struct tls_client *c = user;
	struct beacon_tls *t = c->owner;

	(void)error;
	(void)text;
	drop(c);
	t->changed(t->user);
}

static void on_datagram(void *user, const uint8_t *data, size_t len)
{
	struct tls_client *c = user;
	struct path path = { .remote = addr_of_conduit(c->via), .via = c->via };

	beacon_receive(c->owner->core, &path, data, len, loop_clock());
	c->owner->changed(c->owner->user);
}

static const struct tls_link_events EVENTS = { on_open, on_closed, on_datagram };

static void on_look(void *user)
{
	struct beacon_tls *t = user;

	list_each(&t->clients, i, next) {
		struct tls_client *c = container_of(i, struct tls_client, link);
		bool idle = tls_link_is_open(c->tls) && beacon_conduit_is_idle(t->core, c->via);

		if (idle && c->was_idle)
			drop(c);
		else
			c->was_idle = idle;
	}
	loop_timer_set(t->look, loop_now(t->loop) + LOOK_EACH);
}

static void add(struct beacon_tls *t, int fd, const struct addr *remote)
{
	struct tls_client *c = t->by_via.count < t->most ? calloc(1, sizeof(*c)) : NULL;

	if (!c) {
		close(fd);
		return;
	}
	do {
		if (++t->last_via < BEACON_CONDUITS)
			t->last_via = BEACON_CONDUITS;
	} while (map_get(&t->by_via, t->last_via));
	c->owner = t;
	c->via = t->last_via;
	list_append(&t->clients, &c->link);
	c->known = map_put(&t->by_via, c->via, c) == 0 &&
		   beacon_conduit_coming(t->core, c->via, remote, loop_clock());
	if (!c->known) {
		close(fd);
		drop(c);
	} else if (tls_link_accept(&c->tls, t->loop, fd, t->server, &EVENTS, c) < 0) {
		drop(c);
	}
}

static void on_pause_over(void *user)
{
	loop_modify(((struct beacon_tls *)user)->source, LOOP_IN);
}

static void on_listener(void *user, int fd, unsigned events)
{
	struct beacon_tls *t = user;
	struct sockaddr_storage ss;
	struct addr remote = { 0 };
	socklen_t len = sizeof(ss);
	int accepted = accept4(fd, (struct sockaddr *)&ss, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

	(void)events;
	if (accepted >= 0) {
		(void)addr_from_sockaddr(&remote, (struct sockaddr *)&ss, len);
		add(t, accepted, &remote);
	} else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
		loop_modify(t->source, 0);
		loop_timer_set(t->pause, loop_now(t->loop) + ACCEPT_PAUSE);
	}
}

static int listen_error(void)
{
	return errno == EADDRINUSE                               ? GW_E_IN_USE
	       : errno == EACCES || errno == EPERM               ? GW_E_PERMISSION
	       : errno == EADDRNOTAVAIL || errno == EAFNOSUPPORT ? GW_E_INVALID
								 : GW_E_IO;
}

static int open_listener(const struct addr *listen_at)
{
	struct addr at = *listen_at;
	struct sockaddr_storage ss;
	int one = 1, zero = 0, fd, error;
	socklen_t len;

	if (at.family == ADDR_NONE)
		at.family = ADDR_V6;
	fd = socket(at.family == ADDR_V6 ? AF_INET6 : AF_INET,
		    SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 && addr_is_unspecified(&at)) { /* a system without IPv6 */
		at = (struct addr){ .family = ADDR_V4, .port = at.port };
		fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	}
	if (fd < 0)
		return listen_error();
	len = addr_to_sockaddr(&at, &ss, false);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (at.family == ADDR_V6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero));
	if (bind(fd, (struct sockaddr *)&ss, len) == 0 && listen(fd, BACKLOG) == 0)
		return fd;
	error = listen_error();
	close(fd);
	return error;
}

/* The control socket and the sources of randomness need files, too. */
static size_t most_links(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur >= LINKS_MAX + OTHER_FILES)
		return LINKS_MAX;
	return files.rlim_cur > OTHER_FILES ? files.rlim_cur - OTHER_FILES : 0;
}

static int start(struct beacon_tls *t, const struct addr *listen_at, const char *host)
{
	struct tls_server_config config = { .host = host };
	char text[TLS_LINK_TEXT_MAX];
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	struct addr bound;
	int error = tls_server_new(&t->server, &config, text);

	if (error < 0)
		return error;
	t->fd = open_listener(listen_at);
	if (t->fd < 0)
		return t->fd;
	if (getsockname(t->fd, (struct sockaddr *)&ss, &len) != 0 ||
	    addr_from_sockaddr(&bound, (struct sockaddr *)&ss, len) < 0)
		return GW_E_IO;
	t->port = bound.port;
	t->source = loop_add(t->loop, t->fd, LOOP_IN, on_listener, t);
	t->pause = loop_timer_new(t->loop, on_pause_over, t);
	t->look = loop_timer_new(t->loop, on_look, t);
	if (!t->source || !t->pause || !t->look)
		return GW_E_NOMEM;
	loop_timer_set(t->look, loop_clock() + LOOK_EACH);
	return 0;
}

int beacon_tls_new(struct beacon_tls **out, struct loop *loop, struct beacon *core,
		   const struct addr *listen_at, const char *host, void (*changed)(void *user),
		   void *user)
{
	struct beacon_tls *t = calloc(1, sizeof(*t));
	int error;

	if (!t)
		return GW_E_NOMEM;
	t->loop = loop;
	t->core = core;
	t->changed = changed;
	t->user = user;
	t->fd = -1;
	t->most = most_links();
	list_init(&t->clients);
	map_init(&t->by_via, loop_clock());
	error = start(t, listen_at, host);
	if (error < 0) {
		beacon_tls_free(t);
		return error;
	}
	*out = t;
	return 0;
}

void beacon_tls_free(struct beacon_tls *t)
{
	if (!t)
		return;
	list_each(&t->clients, i, next)
		drop(container_of(i, struct tls_client, link));
	map_clear(&t->by_via);
	if (t->source)
		loop_remove(t->source);
	loop_timer_free(t->pause);
	loop_timer_free(t->look);
	if (t->fd >= 0)
		close(t->fd);
	tls_server_free(t->server);
	free(t);
}

uint16_t beacon_tls_port(const struct beacon_tls *t)
{
	return t->port;
}

void beacon_tls_send(struct beacon_tls *t, const struct path *path, const uint8_t *data, size_t len,
		     size_t segment)
{
	struct tls_client *c = map_get(&t->by_via, path->via);

	if (c)
		(void)tls_link_send(c->tls, data, len, segment);
}
