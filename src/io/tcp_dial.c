// SPDX-License-Identifier: Apache-2.0
#include "io/tcp_dial.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"
#include "io/resolve.h"

struct tcp_dial {
	struct loop *loop;
	uint16_t port;
	gw_time patience;
	tcp_dial_fn *fn;
	void *user;
	struct resolve *resolve;  /* NULL: the addresses are known */
	struct loop_timer *timer; /* give up on an attempt */
	int fd;                   /* of the attempt; -1: none */
	struct loop_source *source;
	size_t count, next;
	struct addr addresses[RESOLVE_ADDRS_MAX];
	int failure; /* errno of an attempt */
};

static void close_fd(struct tcp_dial *d)
{
	if (d->source)
		loop_remove(d->source);
	if (d->fd >= 0)
		close(d->fd);
	d->source = NULL;
	d->fd = -1;
}

void tcp_dial_cancel(struct tcp_dial *d)
{
	if (!d)
		return;
	close_fd(d);
	resolve_cancel(d->resolve);
	loop_timer_free(d->timer);
	free(d);
}

static void end(struct tcp_dial *d, int error, const char *text)
{
	tcp_dial_fn *fn = d->fn;
	void *user = d->user;
	int fd = -1;

	if (!error) {
		loop_remove(d->source);
		d->source = NULL;
		fd = d->fd;
		d->fd = -1;
	}
	tcp_dial_cancel(d);
	fn(user, fd, error, text);
}

/* --- one attempt after the other --- */

static bool out_of_resources(int error)
{
	return error == EMFILE || error == ENFILE || error == ENOMEM || error == ENOBUFS ||
	       error == EADDRNOTAVAIL;
}

static const char *attempt_text(int error)
{
	switch (error) {
	case ECONNREFUSED:
		return "connection refused";
	case ETIMEDOUT:
		return "no answer";
	case EHOSTUNREACH:
	case ENETUNREACH:
		return "no route";
	default:
		return strerror(error);
	}
}

/* Having no route to an address says less than what became of another one. */
static void note_failure(struct tcp_dial *d, int error)
{
	if (d->failure == 0 || (error != ENETUNREACH && error != EHOSTUNREACH))
		d->failure = error;
	close_fd(d);
}

static void try_next(struct tcp_dial *d);

static void on_attempt(void *user, int fd, unsigned events)
{
	struct tcp_dial *d = user;
	int error = 0;
	socklen_t len = sizeof(error);

	(void)events;
	getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len);
	if (error == 0) {
		end(d, 0, NULL);
		return;
	}
	note_failure(d, error);
	try_next(d);
}

/* 0: under way or connected; else an errno. */
static int attempt(struct tcp_dial *d, const struct sockaddr *sa, socklen_t len)
{
	d->fd = socket(sa->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (d->fd < 0)
		return errno;
	if (connect(d->fd, sa, len) != 0 && errno != EINPROGRESS)
		return errno;
	d->source = loop_add(d->loop, d->fd, LOOP_OUT, on_attempt, d);
	if (!d->source)
		return ENOMEM;
	loop_timer_set(d->timer, loop_now(d->loop) + d->patience);
	return 0;
}

static void try_next(struct tcp_dial *d)
{
	while (d->next < d->count) {
		struct sockaddr_storage at;
		socklen_t len = addr_to_sockaddr(&d->addresses[d->next++], &at, false);
		int error = attempt(d, (const struct sockaddr *)&at, len);

		if (error == 0)
			return;
		note_failure(d, error);
	}
	end(d, out_of_resources(d->failure) ? GW_E_LIMIT : GW_E_UNREACHABLE,
	    attempt_text(d->failure));
}

static void on_timer(void *user)
{
	note_failure(user, ETIMEDOUT);
	try_next(user);
}

/* --- names --- */

static const char *resolve_text(int error)
{
	switch (error) {
	case GW_E_NOT_FOUND:
		return "name not found";
	case GW_E_LIMIT:
		return "out of memory or descriptors";
	default:
		return "name servers do not answer";
	}
}

static void on_resolved(void *user, int error, const struct addr *addrs, size_t count)
{
	struct tcp_dial *d = user;

	d->resolve = NULL;
	if (error) {
		end(d, error, resolve_text(error));
		return;
	}
	d->count = count;
	for (size_t i = 0; i < count; i++) {
		d->addresses[i] = addrs[i];
		d->addresses[i].port = d->port;
	}
	try_next(d);
}

/* --- start --- */

int tcp_dial_start(struct tcp_dial **out, struct loop *loop, const char *host, uint16_t port,
		   gw_time patience, tcp_dial_fn *fn, void *user)
{
	struct tcp_dial *d = calloc(1, sizeof(*d));
	int error;

	if (!d)
		return GW_E_NOMEM;
	*d = (struct tcp_dial){
		.loop = loop, .port = port, .patience = patience, .fn = fn, .user = user, .fd = -1
	};
	d->timer = loop_timer_new(loop, on_timer, d);
	error = d->timer ? resolve_start(&d->resolve, loop, host, on_resolved, d) : GW_E_NOMEM;
	if (error) {
		tcp_dial_cancel(d);
		return error;
	}
	*out = d;
	return 0;
}
