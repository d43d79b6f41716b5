/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/addr.h"
#include "base/list.h"
#include "service/datagrams.h"
#include "service/find.h"

enum { BACKLOG = 512, ACCEPT_BURST = 64 };

/* Out of descriptors: let some connections end before the next accept(). */
#define ACCEPT_PAUSE (100 * GW_MSEC)

/* One local connection. */
struct call {
	struct list_item link;
	struct forward *forward;
	struct pump *pump; /* NULL: it waits for the key */
	int fd;            /* of one that waits */
};

struct forward {
	struct hub *hub;
	struct target listen;
	struct finder finder;
	forward_report_fn *report;
	void *user;
	int last_error;
	int fd; /* -1: draining */
	struct loop_source *source;
	struct loop_timer *pause;
	dev_t dev; /* of the Unix socket, to remove no other's */
	ino_t ino;
	struct list calls;
	size_t active;
	struct calls *udp; /* instead of all that */
	struct size_notice notice;
};

/* --- connections --- */

static void forget(struct call *c)
{
	list_remove(&c->link);
	c->forward->active--;
	free(c);
}

static void note(struct forward *f, int error)
{
	if (error && error != f->last_error && f->report)
		f->report(f->user, error);
	f->last_error = error;
}

static void on_pump_done(void *user, int error, int sys)
{
	struct call *c = user;
	struct forward *f = c->forward;

	(void)sys;
	forget(c);
	if (error && error != GODWIT_E_IO)
		finder_forget(&f->finder);
	/* The local program's own failure needs no report. */
	note(f, error == GODWIT_E_IO ? 0 : error);
}

static void close_abortively(int fd)
{
	struct linger linger = { .l_onoff = 1 };

	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	close(fd);
}

static void refuse(struct call *c, int fd, int error)
{
	struct forward *f = c->forward;

	forget(c);
	close_abortively(fd);
	note(f, error);
}

static void carry(struct call *c, const uint8_t key[GODWIT_KEY_SIZE])
{
	struct forward *f = c->forward;
	godwit_stream *stream;
	int fd = c->fd, rv;

	c->fd = -1;
	rv = godwit_stream_open(hub_node(f->hub), key, f->finder.place.ticket.service, &stream);
	if (rv < 0)
		refuse(c, fd, rv);
	else if (pump_start(f->hub, stream, fd, fd, on_pump_done, c, &c->pump) < 0)
		forget(c);
}

static void serve(struct forward *f, int fd)
{
	struct call *c = calloc(1, sizeof(*c));
	uint8_t key[GODWIT_KEY_SIZE];
	int rv, one = 1;

	if (f->listen.kind == TARGET_TCP)
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (!c) {
		close_abortively(fd);
		note(f, GODWIT_E_NOMEM);
		return;
	}
	c->forward = f;
	c->fd = fd;
	list_append(&f->calls, &c->link);
	f->active++;
	rv = finder_key(&f->finder, key);
	if (rv == 0)
		carry(c, key);
	else if (rv != GODWIT_E_AGAIN)
		refuse(c, fd, rv);
}

/* The search for the key is over: those that wait may go on. */
static void on_found(void *user, int error)
{
	struct forward *f = user;

	list_each(&f->calls, i, next) {
		struct call *c = container_of(i, struct call, link);

		if (c->fd >= 0 && error)
			refuse(c, c->fd, error);
		else if (c->fd >= 0)
			carry(c, f->finder.key);
	}
}

static void on_pause_over(void *user)
{
	struct forward *f = user;

	if (f->source)
		loop_modify(f->source, LOOP_IN);
}

static void on_listener(void *user, int fd, unsigned events)
{
	struct forward *f = user;
	struct hub *h = f->hub;

	(void)events;
	for (int n = 0; n < ACCEPT_BURST; n++) {
		int accepted = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (accepted >= 0) {
			serve(f, accepted);
			continue;
		}
		if (errno == EINTR || errno == ECONNABORTED)
			continue;
		if (errno != EAGAIN) {
			note(f, GODWIT_E_LIMIT);
			loop_modify(f->source, 0);
			loop_timer_set(f->pause, loop_now(hub_loop(h)) + ACCEPT_PAUSE);
		}
		break;
	}
	hub_wake(h);
}

/* --- the listener --- */

static int code_of(int error)
{
	switch (error) {
	case EADDRINUSE:
		return GODWIT_E_IN_USE;
	case EACCES:
	case EPERM:
	case EROFS:
		return GODWIT_E_PERMISSION;
	case EADDRNOTAVAIL:
	case ENOENT:
	case ENOTDIR:
		return GODWIT_E_INVALID;
	case ENOMEM:
		return GODWIT_E_NOMEM;
	default:
		return GODWIT_E_IO;
	}
}

static int listen_tcp(struct forward *f)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
				  .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE };
	struct sockaddr_storage store;
	socklen_t len = sizeof(store);
	struct addr bound = { 0 };
	struct addrinfo *found;
	char port[8];
	int one = 1, rv;

	if (strcmp(f->listen.host, "localhost") == 0)
		memcpy(f->listen.host, "127.0.0.1", 10);
	snprintf(port, sizeof(port), "%u", f->listen.port);
	if (getaddrinfo(f->listen.host, port, &hints, &found) != 0)
		return GODWIT_E_INVALID;
	f->fd = socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	rv = f->fd < 0 ? -1 : 0;
	if (rv == 0) {
		(void)setsockopt(f->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
		rv = bind(f->fd, found->ai_addr, found->ai_addrlen);
	}
	freeaddrinfo(found);
	if (rv < 0 || listen(f->fd, BACKLOG) < 0 ||
	    getsockname(f->fd, (struct sockaddr *)&store, &len) < 0)
		return code_of(errno);
	addr_from_sockaddr(&bound, (struct sockaddr *)&store, len);
	f->listen.port = bound.port;
	return 0;
}

/* A socket file that nobody listens on is left from a process that was killed. */
static void remove_stale(const struct sockaddr_un *un)
{
	struct stat st;
	int fd;

	if (lstat(un->sun_path, &st) != 0 || !S_ISSOCK(st.st_mode))
		return;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return;
	if (connect(fd, (const struct sockaddr *)un, sizeof(*un)) != 0 && errno == ECONNREFUSED)
		unlink(un->sun_path);
	close(fd);
}

static int listen_unix(struct forward *f)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	struct stat st;
	mode_t mask;
	int rv;

	memcpy(un.sun_path, f->listen.path, strlen(f->listen.path) + 1);
	f->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (f->fd < 0)
		return code_of(errno);
	remove_stale(&un);
	mask = umask(0177); /* whoever may connect, speaks with our key */
	rv = bind(f->fd, (struct sockaddr *)&un, sizeof(un));
	umask(mask);
	if (rv < 0 || listen(f->fd, BACKLOG) < 0)
		return code_of(errno);
	if (stat(un.sun_path, &st) == 0) {
		f->dev = st.st_dev;
		f->ino = st.st_ino;
	}
	return 0;
}

static void remove_own_socket(const struct forward *f)
{
	struct stat st;

	if (f->listen.kind == TARGET_UNIX && f->ino != 0 && stat(f->listen.path, &st) == 0 &&
	    st.st_dev == f->dev && st.st_ino == f->ino)
		unlink(f->listen.path);
}

static void on_udp_note(void *user, int error)
{
	note(user, error);
}

static int open_listener(struct forward *f)
{
	int rv;

	if (f->listen.kind == TARGET_UDP)
		return calls_start(f->hub, &f->listen, &f->finder.place, &f->notice, on_udp_note, f,
				   &f->udp);
	rv = f->listen.kind == TARGET_TCP ? listen_tcp(f) : listen_unix(f);
	if (rv < 0)
		return rv;
	f->pause = loop_timer_new(hub_loop(f->hub), on_pause_over, f);
	f->source = loop_add(hub_loop(f->hub), f->fd, LOOP_IN, on_listener, f);
	return f->pause && f->source ? 0 : GODWIT_E_NOMEM;
}

int forward_start(struct hub *h, const struct target *listen, const struct place *to,
		  forward_report_fn *report, void *user, struct forward **out)
{
	struct forward *f = calloc(1, sizeof(*f));
	int rv;

	if (!f)
		return GODWIT_E_NOMEM;
	f->hub = h;
	list_init(&f->calls);
	f->listen = *listen;
	finder_init(&f->finder, h, to, on_found, f);
	f->report = report;
	f->user = user;
	f->fd = -1;
	rv = open_listener(f);
	if (rv < 0) {
		int error = errno;

		forward_stop(f);
		errno = error;
		return rv;
	}
	*out = f;
	return 0;
}

void forward_on_too_large(struct forward *f, too_large_fn *fn, void *user)
{
	f->notice.fn = fn;
	f->notice.user = user;
}

void forward_set_idle(struct forward *f, gw_time idle)
{
	if (f->udp)
		calls_set_idle(f->udp, idle);
}

void forward_drain(struct forward *f)
{
	if (f->udp)
		calls_stop(f->udp);
	f->udp = NULL;
	if (f->fd < 0)
		return;
	if (f->source)
		loop_remove(f->source);
	f->source = NULL;
	remove_own_socket(f);
	close(f->fd);
	f->fd = -1;
}

void forward_stop(struct forward *f)
{
	forward_drain(f);
	loop_timer_free(f->pause);
	finder_clear(&f->finder);
	list_each(&f->calls, i, next) {
		struct call *c = container_of(i, struct call, link);

		if (c->pump)
			pump_stop(c->pump);
		else
			close_abortively(c->fd);
		forget(c);
	}
	free(f);
}

size_t forward_active(const struct forward *f)
{
	return f->active;
}

const struct target *forward_listen(const struct forward *f)
{
	return &f->listen;
}
