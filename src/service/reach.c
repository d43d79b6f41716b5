/* SPDX-License-Identifier: Apache-2.0 */
#include "service/reach.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "io/resolve.h"

enum { ADDRESSES_MAX = RESOLVE_ADDRS_MAX };

/* A Unix socket whose backlog is full refuses at once: try again. */
#define RETRY (20 * GW_MSEC)

struct reach {
	struct loop *loop;
	struct target target;
	reach_fn *fn;
	void *user;
	struct loop_timer *timer; /* the next step is due, or it is too late */
	gw_time deadline;
	struct resolve *resolve; /* NULL: none under way */
	int fd;                  /* of the attempt; -1: none */
	struct loop_source *source;
	size_t count, next;
	struct addr addresses[ADDRESSES_MAX];
	int error;
};

/* --- one attempt after the other --- */

static void close_fd(struct reach *r)
{
	if (r->source)
		loop_remove(r->source);
	if (r->fd >= 0)
		close(r->fd);
	r->source = NULL;
	r->fd = -1;
}

void reach_cancel(struct reach *r)
{
	if (!r)
		return;
	close_fd(r);
	resolve_cancel(r->resolve);
	loop_timer_free(r->timer);
	free(r);
}

static void end(struct reach *r, int error)
{
	reach_fn *fn = r->fn;
	void *user = r->user;
	int fd = -1;

	if (!error) {
		loop_remove(r->source);
		r->source = NULL;
		fd = r->fd;
		r->fd = -1;
	}
	reach_cancel(r);
	fn(user, fd, error);
}

static void try_next(struct reach *r);

static void on_attempt(void *user, int fd, unsigned events)
{
	struct reach *r = user;
	int error = 0;
	socklen_t len = sizeof(error);

	(void)events;
	getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len);
	if (error == 0) {
		end(r, 0);
		return;
	}
	close_fd(r);
	try_next(r);
}

/* 0: under way or connected; else an errno. */
static int attempt(struct reach *r, const struct sockaddr *sa, socklen_t len)
{
	int type = r->target.kind == TARGET_UDP ? SOCK_DGRAM : SOCK_STREAM, one = 1;

	r->fd = socket(sa->sa_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (r->fd < 0)
		return errno;
	if (r->target.kind == TARGET_TCP)
		(void)setsockopt(r->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (connect(r->fd, sa, len) != 0 && errno != EINPROGRESS)
		return errno;
	r->source = loop_add(r->loop, r->fd, LOOP_OUT, on_attempt, r);
	return r->source ? 0 : ENOMEM;
}

static bool out_of_resources(int error)
{
	return error == EMFILE || error == ENFILE || error == ENOMEM || error == ENOBUFS ||
	       error == EADDRNOTAVAIL;
}

static void try_next(struct reach *r)
{
	while (r->next < r->count) {
		struct sockaddr_storage at;
		socklen_t len = addr_to_sockaddr(&r->addresses[r->next++], &at, false);
		int error = attempt(r, (const struct sockaddr *)&at, len);

		if (error == 0)
			return;
		if (out_of_resources(error))
			r->error = GODWIT_E_LIMIT;
		close_fd(r);
	}
	end(r, r->error);
}

static void try_unix(struct reach *r)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int error;

	memcpy(un.sun_path, r->target.path, strlen(r->target.path) + 1);
	error = attempt(r, (struct sockaddr *)&un, sizeof(un));
	if (error == 0)
		return;
	close_fd(r);
	if (error == EAGAIN)
		loop_timer_set(r->timer, loop_now(r->loop) + RETRY);
	else
		end(r, out_of_resources(error) ? GODWIT_E_LIMIT : GODWIT_E_TARGET);
}

/* --- names --- */

static void take_addresses(struct reach *r, const struct addr *addrs, size_t count)
{
	r->count = count;
	for (size_t i = 0; i < count; i++) {
		r->addresses[i] = addrs[i];
		r->addresses[i].port = r->target.port;
	}
	try_next(r);
}

static void on_resolved(void *user, int error, const struct addr *addrs, size_t count)
{
	struct reach *r = user;

	r->resolve = NULL;
	if (error == GODWIT_E_LIMIT)
		end(r, error);
	else
		take_addresses(r, addrs, count);
}

/* --- start --- */

static void first_step(struct reach *r)
{
	struct addr literal[ADDRESSES_MAX];
	size_t count;

	if (r->target.kind == TARGET_UNIX) {
		try_unix(r);
		return;
	}
	count = resolve_literal(r->target.host, literal, ADDRESSES_MAX);
	if (count > 0)
		take_addresses(r, literal, count);
	else if (resolve_start(&r->resolve, r->loop, r->target.host, on_resolved, r) < 0)
		end(r, GODWIT_E_LIMIT);
}

static void on_timer(void *user)
{
	struct reach *r = user;

	if (loop_now(r->loop) >= r->deadline) {
		end(r, GODWIT_E_TARGET);
		return;
	}
	loop_timer_set(r->timer, r->deadline);
	first_step(r);
}

int reach_start(struct loop *loop, const struct target *t, reach_fn *fn, void *user,
		struct reach **out)
{
	struct reach *r = calloc(1, sizeof(*r));

	if (!r)
		return GODWIT_E_NOMEM;
	r->loop = loop;
	r->target = *t;
	r->fn = fn;
	r->user = user;
	r->fd = -1;
	r->error = GODWIT_E_TARGET;
	r->deadline = loop_now(loop) + REACH_TIMEOUT;
	r->timer = loop_timer_new(loop, on_timer, r);
	if (!r->timer) {
		free(r);
		return GODWIT_E_NOMEM;
	}
	loop_timer_set(r->timer, loop_now(loop)); /* at once, but not from here */
	*out = r;
	return 0;
}
