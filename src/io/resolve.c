/* SPDX-License-Identifier: Apache-2.0 */
#include "io/resolve.h"

#include <netdb.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"

enum { LOOKUPS_MAX = 64 };

/* Too many names are being looked up: try again. */
#define RETRY (20 * GW_MSEC)
/* Name servers that do not answer by then are not waited for. */
#define ANSWER_WITHIN (5 * GW_SEC)

/* As the thread sends it through the socket pair. */
struct answer {
	int error;
	size_t count;
	struct addr addrs[RESOLVE_ADDRS_MAX];
};

/* Threads outlive the resolve that started them, when the name servers are slow: the number in
 * the whole process counts. */
static _Atomic unsigned lookups;

struct lookup {
	char host[RESOLVE_HOST_MAX + 1];
	int fd;
};

struct resolve {
	struct loop *loop;
	char host[RESOLVE_HOST_MAX + 1];
	resolve_fn *fn;
	void *user;
	struct loop_timer *timer; /* the next step is due, or the answer overdue */
	int fd;                   /* our end of the pair; -1: none */
	struct loop_source *source;
};

/* --- getaddrinfo() --- */

static int error_of(int eai)
{
	switch (eai) {
	case EAI_NONAME:
	case EAI_NODATA:
	case EAI_ADDRFAMILY:
		return GW_E_NOT_FOUND;
	case EAI_MEMORY:
	case EAI_SYSTEM: /* descriptors, mostly */
		return GW_E_LIMIT;
	default:
		return GW_E_UNREACHABLE;
	}
}

static void look(const char *host, int flags, struct answer *out)
{
	struct addrinfo hints = { .ai_socktype = SOCK_DGRAM, .ai_flags = flags };
	struct addrinfo *found;
	int eai;

	memset(out, 0, sizeof(*out));
	eai = getaddrinfo(host, NULL, &hints, &found);
	if (eai) {
		out->error = error_of(eai);
		return;
	}
	for (struct addrinfo *i = found; i && out->count < RESOLVE_ADDRS_MAX; i = i->ai_next)
		if (addr_from_sockaddr(&out->addrs[out->count], i->ai_addr, i->ai_addrlen) == 0)
			out->addrs[out->count++].port = 0;
	freeaddrinfo(found);
	out->error = out->count > 0 ? 0 : GW_E_NOT_FOUND;
}

size_t resolve_literal(const char *host, struct addr *out, size_t max)
{
	struct answer a;

	look(host, AI_NUMERICHOST, &a);
	if (a.count > max)
		a.count = max;
	memcpy(out, a.addrs, a.count * sizeof(*out));
	return a.count;
}

/* --- the thread --- */

static void *lookup_thread(void *user)
{
	struct lookup *l = user;
	struct answer answer;

	look(l->host, AI_ADDRCONFIG, &answer);
	/* A resolve that was cancelled has closed its end. */
	(void)!send(l->fd, &answer, sizeof(answer), MSG_NOSIGNAL);
	close(l->fd);
	free(l);
	lookups--;
	return NULL;
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

/* --- the owner's side --- */

static void close_fd(struct resolve *r)
{
	if (r->source)
		loop_remove(r->source);
	if (r->fd >= 0)
		close(r->fd);
	r->source = NULL;
	r->fd = -1;
}

void resolve_cancel(struct resolve *r)
{
	if (!r)
		return;
	close_fd(r);
	loop_timer_free(r->timer);
	free(r);
}

static void end(struct resolve *r, const struct answer *a)
{
	resolve_fn *fn = r->fn;
	void *user = r->user;

	resolve_cancel(r);
	fn(user, a->error, a->addrs, a->count);
}

static void on_answer(void *user, int fd, unsigned events)
{
	struct resolve *r = user;
	struct answer answer;

	(void)events;
	if (recv(fd, &answer, sizeof(answer), MSG_DONTWAIT) != sizeof(answer))
		answer = (struct answer){ .error = GW_E_LIMIT };
	end(r, &answer);
}

/* False: out of something. */
static bool look_up(struct resolve *r)
{
	struct lookup *l = calloc(1, sizeof(*l));
	int pair[2];

	if (!l || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
		free(l);
		return false;
	}
	memcpy(l->host, r->host, sizeof(l->host));
	l->fd = pair[1];
	r->fd = pair[0];
	r->source = loop_add(r->loop, r->fd, LOOP_IN, on_answer, r);
	if (r->source && start_thread(l) == 0)
		return true;
	close(l->fd);
	free(l);
	return false;
}

static void on_timer(void *user)
{
	struct resolve *r = user;
	struct answer answer = { .error = GW_E_UNREACHABLE };

	if (r->fd < 0)
		look(r->host, AI_NUMERICHOST, &answer);
	if (r->fd >= 0 || answer.count > 0) {
		end(r, &answer);
	} else if (lookups >= LOOKUPS_MAX) {
		loop_timer_set(r->timer, loop_now(r->loop) + RETRY);
	} else if (look_up(r)) {
		loop_timer_set(r->timer, loop_now(r->loop) + ANSWER_WITHIN);
	} else {
		answer = (struct answer){ .error = GW_E_LIMIT };
		end(r, &answer);
	}
}

int resolve_start(struct resolve **out, struct loop *loop, const char *host, resolve_fn *fn,
		  void *user)
{
	struct resolve *r;

	if (strlen(host) > RESOLVE_HOST_MAX)
		return GW_E_LENGTH;
	r = calloc(1, sizeof(*r));
	if (!r)
		return GW_E_NOMEM;
	*r = (struct resolve){ .loop = loop, .fn = fn, .user = user, .fd = -1 };
	memcpy(r->host, host, strlen(host));
	r->timer = loop_timer_new(loop, on_timer, r);
	if (!r->timer) {
		free(r);
		return GW_E_NOMEM;
	}
	loop_timer_set(r->timer, loop_now(loop)); /* at once, but not from here */
	*out = r;
	return 0;
}
