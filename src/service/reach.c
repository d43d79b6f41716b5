/* SPDX-License-Identifier: Apache-2.0 */
#include "service/reach.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { ADDRESSES_MAX = 8, LOOKUPS_MAX = 64 };

/* A Unix socket whose backlog is full refuses at once, or too many names are being looked up: try
 * again. */
#define RETRY (20 * GW_MSEC)

/* A name's addresses, as the thread sends them through the pipe. */
struct answer {
	size_t count;
	struct sockaddr_storage addresses[ADDRESSES_MAX];
};

/* Threads outlive the reach that started them, when the name servers are slow: the number in the
 * whole process counts. */
static _Atomic unsigned lookups;

struct lookup {
	char host[256], port[8];
	int fd;
};

struct reach {
	struct loop *loop;
	struct target target;
	reach_fn *fn;
	void *user;
	struct loop_timer *timer; /* the next step is due, or it is too late */
	gw_time deadline;
	int fd; /* of the pipe, then of the attempt; -1: none */
	struct loop_source *source;
	struct answer answer;
	size_t next;
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
	int one = 1;

	r->fd = socket(sa->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (r->fd < 0)
		return errno;
	if (sa->sa_family != AF_UNIX)
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
	while (r->next < r->answer.count) {
		const struct sockaddr_storage *at = &r->answer.addresses[r->next++];
		int error = attempt(r, (const struct sockaddr *)at,
				    at->ss_family == AF_INET ? sizeof(struct sockaddr_in)
							     : sizeof(struct sockaddr_in6));

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

/* --- names: getaddrinfo() blocks, so it gets a thread --- */

static void resolve(const char *host, const char *port, int flags, struct answer *out)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = flags | AI_NUMERICSERV };
	struct addrinfo *found;

	memset(out, 0, sizeof(*out));
	if (getaddrinfo(host, port, &hints, &found) != 0)
		return;
	for (struct addrinfo *i = found; i && out->count < ADDRESSES_MAX; i = i->ai_next)
		if (i->ai_addrlen <= sizeof(out->addresses[0]))
			memcpy(&out->addresses[out->count++], i->ai_addr, i->ai_addrlen);
	freeaddrinfo(found);
}

static void *lookup_thread(void *user)
{
	struct lookup *l = user;
	struct answer answer;

	resolve(l->host, l->port, AI_ADDRCONFIG, &answer);
	/* A reach that was cancelled has closed its end. */
	(void)!send(l->fd, &answer, sizeof(answer), MSG_NOSIGNAL);
	close(l->fd);
	free(l);
	lookups--;
	return NULL;
}

static void on_answer(void *user, int fd, unsigned events)
{
	struct reach *r = user;

	(void)events;
	if (recv(fd, &r->answer, sizeof(r->answer), MSG_DONTWAIT) != sizeof(r->answer))
		r->answer.count = 0;
	close_fd(r);
	try_next(r);
}

static int start_thread(struct lookup *l)
{
	pthread_attr_t attr;
	pthread_t thread;
	int error;

	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, 512 << 10);
	lookups++;
	error = pthread_create(&thread, &attr, lookup_thread, l);
	if (error)
		lookups--;
	pthread_attr_destroy(&attr);
	return error;
}

static void look_up(struct reach *r)
{
	struct lookup *l;
	int pair[2];

	if (lookups >= LOOKUPS_MAX) {
		loop_timer_set(r->timer, loop_now(r->loop) + RETRY);
		return;
	}
	l = calloc(1, sizeof(*l));
	if (!l || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
		free(l);
		end(r, GODWIT_E_LIMIT);
		return;
	}
	memcpy(l->host, r->target.host, sizeof(l->host));
	snprintf(l->port, sizeof(l->port), "%u", r->target.port);
	l->fd = pair[1];
	r->fd = pair[0];
	r->source = loop_add(r->loop, r->fd, LOOP_IN, on_answer, r);
	if (r->source && start_thread(l) == 0)
		return;
	close(l->fd);
	free(l);
	close_fd(r);
	end(r, GODWIT_E_LIMIT);
}

/* --- start --- */

static void first_step(struct reach *r)
{
	char port[8];

	if (r->target.kind == TARGET_UNIX) {
		try_unix(r);
		return;
	}
	snprintf(port, sizeof(port), "%u", r->target.port);
	resolve(r->target.host, port, AI_NUMERICHOST, &r->answer);
	if (r->answer.count > 0)
		try_next(r);
	else
		look_up(r);
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
