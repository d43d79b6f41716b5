// SPDX-License-Identifier: Apache-2.0
#include "io/tcp_dial.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"

enum { ADDRESSES_MAX = 8, LOOKUPS_MAX = 64, HOST_SIZE = 256, PORT_SIZE = 8 };

/* Too many names are being looked up: try again. */
#define RETRY (20 * GW_MSEC)

/* A name's addresses, as the thread sends them through the socket pair. */
struct answer {
	int error; /* EAI_* */
	size_t count;
	struct sockaddr_storage addresses[ADDRESSES_MAX];
};

/* Threads outlive the dial that started them, when the name servers are slow: the number in the
 * whole process counts. */
static _Atomic unsigned lookups;

struct lookup {
	char host[HOST_SIZE], port[PORT_SIZE];
	int fd;
};

struct tcp_dial {
	struct loop *loop;
	char host[HOST_SIZE], port[PORT_SIZE];
	gw_time patience;
	tcp_dial_fn *fn;
	void *user;
	struct loop_timer
		*timer; /* before the addresses are known: look them up; then: give up on one */
	int fd;         /* of the lookup, then of the attempt; -1: none */
	struct loop_source *source;
	struct answer answer;
	size_t next;
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
	while (d->next < d->answer.count) {
		const struct sockaddr_storage *at = &d->answer.addresses[d->next++];
		int error = attempt(d, (const struct sockaddr *)at,
				    at->ss_family == AF_INET ? sizeof(struct sockaddr_in)
							     : sizeof(struct sockaddr_in6));

		if (error == 0)
			return;
		note_failure(d, error);
	}
	end(d, out_of_resources(d->failure) ? GW_E_LIMIT : GW_E_UNREACHABLE,
	    attempt_text(d->failure));
}

/* --- names: getaddrinfo() blocks, so it gets a thread --- */

static void resolve(const char *host, const char *port, int flags, struct answer *out)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = flags | AI_NUMERICSERV };
	struct addrinfo *found;

	memset(out, 0, sizeof(*out));
	out->error = getaddrinfo(host, port, &hints, &found);
	if (out->error)
		return;
	for (struct addrinfo *i = found; i && out->count < ADDRESSES_MAX; i = i->ai_next)
		if (i->ai_family == AF_INET || i->ai_family == AF_INET6)
			memcpy(&out->addresses[out->count++], i->ai_addr, i->ai_addrlen);
	freeaddrinfo(found);
	if (out->count == 0)
		out->error = EAI_NONAME;
}

static void *lookup_thread(void *user)
{
	struct lookup *l = user;
	struct answer answer;

	resolve(l->host, l->port, 0, &answer);
	/* A dial that was cancelled has closed its end. */
	(void)!send(l->fd, &answer, sizeof(answer), MSG_NOSIGNAL);
	close(l->fd);
	free(l);
	lookups--;
	return NULL;
}

static bool is_unknown(int error)
{
	return error == EAI_NONAME || error == EAI_NODATA || error == EAI_ADDRFAMILY;
}

static void on_answer(void *user, int fd, unsigned events)
{
	struct tcp_dial *d = user;

	(void)events;
	if (recv(fd, &d->answer, sizeof(d->answer), MSG_DONTWAIT) != sizeof(d->answer))
		d->answer = (struct answer){ .error = EAI_FAIL };
	close_fd(d);
	if (d->answer.count > 0)
		try_next(d);
	else if (is_unknown(d->answer.error))
		end(d, GW_E_NOT_FOUND, "name not found");
	else
		end(d, GW_E_UNREACHABLE, "name servers do not answer");
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

static void look_up(struct tcp_dial *d)
{
	struct lookup *l;
	int pair[2];

	if (lookups >= LOOKUPS_MAX) {
		loop_timer_set(d->timer, loop_now(d->loop) + RETRY);
		return;
	}
	l = calloc(1, sizeof(*l));
	if (!l || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
		free(l);
		end(d, GW_E_LIMIT, "out of memory or descriptors");
		return;
	}
	memcpy(l->host, d->host, sizeof(l->host));
	memcpy(l->port, d->port, sizeof(l->port));
	l->fd = pair[1];
	d->fd = pair[0];
	d->source = loop_add(d->loop, d->fd, LOOP_IN, on_answer, d);
	if (d->source && start_thread(l) == 0)
		return;
	close(l->fd);
	free(l);
	end(d, GW_E_LIMIT, "out of memory or threads");
}

/* --- start --- */

static void on_timer(void *user)
{
	struct tcp_dial *d = user;

	if (d->answer.count == 0) {
		resolve(d->host, d->port, AI_NUMERICHOST, &d->answer);
		if (d->answer.count > 0)
			try_next(d);
		else
			look_up(d);
		return;
	}
	note_failure(d, ETIMEDOUT);
	try_next(d);
}

int tcp_dial_start(struct tcp_dial **out, struct loop *loop, const char *host, uint16_t port,
		   gw_time patience, tcp_dial_fn *fn, void *user)
{
	struct tcp_dial *d;

	if (strlen(host) >= HOST_SIZE)
		return GW_E_LENGTH;
	d = calloc(1, sizeof(*d));
	if (!d)
		return GW_E_NOMEM;
	*d = (struct tcp_dial){
		.loop = loop, .patience = patience, .fn = fn, .user = user, .fd = -1
	};
	snprintf(d->host, sizeof(d->host), "%s", host);
	snprintf(d->port, sizeof(d->port), "%u", port);
	d->timer = loop_timer_new(loop, on_timer, d);
	if (!d->timer) {
		free(d);
		return GW_E_NOMEM;
	}
	loop_timer_set(d->timer, loop_now(loop)); /* at once, but not from here */
	*out = d;
	return 0;
}
