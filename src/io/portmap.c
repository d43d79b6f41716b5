/* SPDX-License-Identifier: Apache-2.0 */
/* The loop's side and the thread's side of port mapping.
 *
 *	       round: granted                   renewal refused, or expired
 *	TRYING ---------------> MAPPED <-------------------------------------> NONE
 *	  |  ^                    |             a later round: granted         ^ |
 *	  |  '--- restart --------+--------------------------------------------|-'
 *	  '------------ round: no protocol gave one ---------------------------'
 *
 * The thread runs a round of all protocols, publishes what came of it, and waits for the next
 * one.  What both sides touch is under the lock; each wakes the other through an eventfd. */
#include "io/portmap_internal.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "io/entropy.h"

#define FREE_WAIT (300 * GW_MSEC)
#define RENEW_MIN GW_SEC /* however short a life, and however often the gateway announces */
#define MINUTE (60 * GW_SEC)

enum request { GO_ON, RESTART, STOP };
enum life { RUNNING, ENDED, ABANDONED /* the thread frees the worker */ };

struct worker {
	pthread_mutex_t lock;
	pthread_cond_t over;
	enum request request;
	enum life life;
	struct portmap_info info;
	int wake_fd, told_fd; /* readable: `request` is set; `info` has changed */

	/* The thread's own. */
	struct portmap_config config;
	struct attempt attempt;
	struct upnp *upnp;
	struct addr gateway; /* asked last */
	struct mapping have;
	gw_time have_since, expires_at;
	gw_time next_at, last_at; /* rounds */
	unsigned failures;
	int announce_fd; /* -1: none */
};

struct portmap {
	struct loop *loop;
	struct loop_source *source;
	struct worker *worker;
	pthread_t thread;
	struct portmap_info seen;
	portmap_fn *fn;
	void *user;
};

const char *portmap_protocol_name(enum portmap_protocol protocol)
{
	static const char *const names[] = { "pcp", "nat-pmp", "upnp", "none" };

	return names[protocol];
}

/* --- a round's result, as the protocols write it --- */

void attempt_note(struct attempt *a, enum portmap_protocol protocol, enum portmap_answer answer,
		  const char *why)
{
	struct portmap_finding *f = &a->findings[protocol];

	f->answer = answer;
	snprintf(f->why, sizeof(f->why), "%s", why);
	if (answer == PORTMAP_ABSENT || answer == PORTMAP_REFUSED)
		a->asked[protocol] = false;
}

void attempt_grant(struct attempt *a, const struct mapping *m)
{
	const struct addr *x = &m->external;

	if (x->family != ADDR_V4 || !addr_is_usable(x) || addr_is_loopback(x)) {
		attempt_note(a, m->protocol, PORTMAP_REFUSED, "the gateway has no address");
	} else if (m->lifetime == 0) {
		attempt_note(a, m->protocol, PORTMAP_REFUSED, "granted for no time at all");
	} else {
		a->mapping = *m;
		attempt_note(a, m->protocol, PORTMAP_GRANTED, "");
	}
}

/* RFC 1918, 6598, 3927. */
static bool is_private(const struct addr *a)
{
	const uint8_t *ip = a->ip;

	return ip[0] == 10 || (ip[0] == 172 && (ip[1] & 0xf0) == 16) ||
	       (ip[0] == 192 && ip[1] == 168) || (ip[0] == 100 && (ip[1] & 0xc0) == 64) ||
	       addr_is_link_local(a);
}

/* --- the thread: one round --- */

static bool wanted_elsewhere(struct worker *w)
{
	bool yes;

	pthread_mutex_lock(&w->lock);
	yes = w->request != GO_ON;
	pthread_mutex_unlock(&w->lock);
	return yes;
}

static bool find_gateway(struct worker *w)
{
	struct addr gateway = w->config.gateway;
	struct rng rng;

	if (gateway.family == ADDR_NONE && !gateway_find(&gateway))
		return false;
	if (!addr_equal(&gateway, &w->gateway)) {
		entropy_init(&rng);
		rng_bytes(&rng, w->attempt.nonce, sizeof(w->attempt.nonce));
		w->gateway = gateway;
	}
	return true;
}

/* false: it was cut short. */
static bool try_all(struct worker *w)
{
	struct attempt *a = &w->attempt;

	memset(a->findings, 0, sizeof(a->findings));
	a->mapping = (struct mapping){ .protocol = PORTMAP_PROTOCOLS };
	a->wanted = w->have.external;
	if (!find_gateway(w)) {
		w->gateway = (struct addr){ 0 };
		for (enum portmap_protocol p = 0; p < PORTMAP_PROTOCOLS; p++)
			attempt_note(a, p, PORTMAP_ABSENT, "no default route");
		return !wanted_elsewhere(w);
	}
	gateway_map(a, &w->gateway);
	if (a->mapping.protocol == PORTMAP_PROTOCOLS && !w->config.no_upnp && !wanted_elsewhere(w))
		upnp_map(w->upnp, a);
	return !wanted_elsewhere(w);
}

static void keep(struct worker *w, gw_time now)
{
	gw_time life;

	w->have = w->attempt.mapping;
	w->have_since = now;
	life = w->have.lifetime * GW_SEC;
	w->expires_at = now + life;
	w->next_at = now + time_max(life / 2, RENEW_MIN);
	w->failures = 0;
}

/* A mapping lasts until it expires, unless the gateway has said no. */
static bool still_lives(const struct worker *w, gw_time now)
{
	return w->have.protocol != PORTMAP_PROTOCOLS && now < w->expires_at &&
	       w->attempt.findings[w->have.protocol].answer != PORTMAP_REFUSED;
}

static void fail(struct worker *w, gw_time now)
{
	static const unsigned factor[] = { 1, 10, 60 };
	gw_time retry = w->config.retry ? w->config.retry : MINUTE;

	if (still_lives(w, now)) {
		w->next_at = time_min(w->expires_at,
				      now + time_max((w->expires_at - now) / 2, RENEW_MIN));
		return;
	}
	w->have = (struct mapping){ .protocol = PORTMAP_PROTOCOLS };
	w->next_at = now + retry * factor[w->failures];
	if (w->failures < 2)
		w->failures++;
}

static void explain(const struct worker *w, struct portmap_info *out)
{
	const struct portmap_finding *f = out->findings;

	for (enum portmap_protocol p = 0; p < PORTMAP_PROTOCOLS; p++) {
		if (f[p].answer == PORTMAP_REFUSED) {
			snprintf(out->error, sizeof(out->error), "%s: %.80s",
				 portmap_protocol_name(p), f[p].why);
			return;
		}
	}
	snprintf(out->error, sizeof(out->error), "%s",
		 w->gateway.family == ADDR_NONE ? f[0].why
						: "no gateway speaks PCP, NAT-PMP or UPnP");
}

static void publish(struct worker *w)
{
	struct portmap_info info = { .protocol = w->have.protocol, .gateway = w->gateway };
	bool mapped = w->have.protocol != PORTMAP_PROTOCOLS;

	info.gateway.port = 0;
	info.state = mapped ? PORTMAP_MAPPED : PORTMAP_NONE;
	memcpy(info.findings, w->attempt.findings, sizeof(info.findings));
	if (mapped) {
		info.external = w->have.external;
		info.nested = is_private(&info.external);
	} else {
		explain(w, &info);
	}
	pthread_mutex_lock(&w->lock);
	if (w->request == GO_ON) {
		w->info = info;
		eventfd_write(w->told_fd, 1);
	}
	pthread_mutex_unlock(&w->lock);
}

static void run_round(struct worker *w)
{
	gw_time now;

	if (!try_all(w))
		return;
	now = loop_clock();
	w->last_at = now;
	if (w->attempt.mapping.protocol != PORTMAP_PROTOCOLS)
		keep(w, now);
	else
		fail(w, now);
	publish(w);
}

/* --- the thread: between rounds --- */

static void listen_for_announcements(struct worker *w)
{
	struct addr at = w->config.announce;
	struct sockaddr_storage sa;
	socklen_t len;
	int one = 1;

	if (at.family == ADDR_NONE)
		(void)addr_parse_host(&at, "224.0.0.1", PCP_ANNOUNCE_PORT);
	len = addr_to_sockaddr(&at, &sa, false);
	w->announce_fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (w->announce_fd < 0)
		return;
	/* Other programs of this host listen there, too. */
	(void)setsockopt(w->announce_fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(w->announce_fd, (struct sockaddr *)&sa, len) == 0)
		return;
	close(w->announce_fd);
	w->announce_fd = -1;
}

/* Whatever the gateway announces may mean that it has restarted or has another address.  Only
 * PCP says in a form of ours that nothing has changed; NAT-PMP does not announce without need. */
static bool nothing_new(const struct worker *w, const uint8_t *data, size_t len, gw_time now)
{
	struct pcp_reply r;

	return pcp_reply_decode(&r, data, len) > 0 && w->have.protocol == PORTMAP_PCP &&
	       !pcp_epoch_lost(w->have.epoch, r.epoch, (now - w->have_since) / GW_SEC);
}

static void hear(struct worker *w)
{
	uint8_t data[PCP_SIZE_MAX];
	struct sockaddr_storage sa;
	gw_time now = loop_clock();

	for (;;) {
		socklen_t sa_len = sizeof(sa);
		struct addr from;
		ssize_t n = recvfrom(w->announce_fd, data, sizeof(data), 0, (struct sockaddr *)&sa,
				     &sa_len);

		if (n < 0)
			return;
		if (addr_from_sockaddr(&from, (struct sockaddr *)&sa, sa_len) == 0 &&
		    addr_same_host(&from, &w->gateway) && !nothing_new(w, data, (size_t)n, now))
			w->next_at = time_min(w->next_at, time_max(now, w->last_at + RENEW_MIN));
	}
}

static void rest(struct worker *w)
{
	struct pollfd fds[] = {
		{ .fd = w->wake_fd, .events = POLLIN },
		{ .fd = w->announce_fd, .events = POLLIN },
	};
	gw_time now = loop_clock(), pause = w->next_at > now ? w->next_at - now : 0;

	poll(fds, 2, (int)((pause + GW_MSEC - 1) / GW_MSEC));
	if (fds[1].revents)
		hear(w);
}

static enum request take_request(struct worker *w)
{
	enum request r;
	eventfd_t count;

	pthread_mutex_lock(&w->lock);
	r = w->request;
	if (r == RESTART) {
		w->request = GO_ON;
		eventfd_read(w->wake_fd, &count);
	}
	pthread_mutex_unlock(&w->lock);
	return r;
}

static void forget(struct worker *w)
{
	w->have = (struct mapping){ .protocol = PORTMAP_PROTOCOLS };
	memset(w->attempt.asked, 0, sizeof(w->attempt.asked));
	upnp_forget(w->upnp);
	w->failures = 0;
	w->next_at = 0;
}

static void unmap(struct worker *w)
{
	if (w->have.protocol != PORTMAP_PROTOCOLS) /* even if its last renewal got no answer */
		w->attempt.asked[w->have.protocol] = true;
	if (w->gateway.family != ADDR_NONE)
		gateway_unmap(&w->attempt, &w->gateway);
	if (w->have.protocol == PORTMAP_UPNP)
		upnp_unmap(w->upnp, &w->have);
	else if (w->attempt.mapping.protocol == PORTMAP_UPNP)
		upnp_unmap(w->upnp, &w->attempt.mapping);
}

static void worker_free(struct worker *w)
{
	upnp_free(w->upnp);
	if (w->announce_fd >= 0)
		close(w->announce_fd);
	if (w->wake_fd >= 0)
		close(w->wake_fd);
	if (w->told_fd >= 0)
		close(w->told_fd);
	pthread_mutex_destroy(&w->lock);
	pthread_cond_destroy(&w->over);
	free(w);
}

static void end(struct worker *w)
{
	bool abandoned;

	pthread_mutex_lock(&w->lock);
	abandoned = w->life == ABANDONED;
	w->life = ENDED;
	pthread_cond_signal(&w->over);
	pthread_mutex_unlock(&w->lock);
	if (abandoned)
		worker_free(w);
}

static void *work(void *user)
{
	struct worker *w = user;

	listen_for_announcements(w);
	for (;;) {
		enum request r = take_request(w);

		if (r == STOP)
			break;
		if (r == RESTART)
			forget(w);
		if (loop_clock() >= w->next_at)
			run_round(w);
		rest(w);
	}
	unmap(w);
	end(w);
	return NULL;
}

/* --- the loop's side --- */

static bool differs(const struct portmap_info *a, const struct portmap_info *b)
{
	return a->state != b->state || a->protocol != b->protocol || a->nested != b->nested ||
	       !addr_equal(&a->external, &b->external) || strcmp(a->error, b->error) != 0;
}

static void on_told(void *user, int fd, unsigned events)
{
	struct portmap *p = user;
	struct portmap_info info;
	eventfd_t count;

	(void)events;
	eventfd_read(fd, &count);
	portmap_info(p, &info);
	if (!differs(&info, &p->seen))
		return;
	p->seen = info;
	p->fn(p->user, &info);
}

static void reset_info(struct portmap_info *info)
{
	*info = (struct portmap_info){ .state = PORTMAP_TRYING, .protocol = PORTMAP_PROTOCOLS };
}

static struct worker *worker_new(uint16_t local_port, const struct portmap_config *config)
{
	struct worker *w = calloc(1, sizeof(*w));
	pthread_condattr_t attr;

	if (!w)
		return NULL;
	pthread_mutex_init(&w->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&w->over, &attr);
	pthread_condattr_destroy(&attr);
	if (config)
		w->config = *config;
	reset_info(&w->info);
	w->announce_fd = -1;
	w->have.protocol = PORTMAP_PROTOCOLS;
	w->attempt.mapping.protocol = PORTMAP_PROTOCOLS;
	w->attempt.local_port = local_port;
	w->upnp = upnp_new(w->config.upnp_url);
	w->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	w->told_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	w->attempt.wake_fd = w->wake_fd;
	if (w->upnp && w->wake_fd >= 0 && w->told_fd >= 0)
		return w;
	worker_free(w);
	return NULL;
}

/* Signals are for the loop's thread; a library that sends without MSG_NOSIGNAL does no harm. */
static int start_thread(struct portmap *p)
{
	sigset_t all, before;
	pthread_attr_t attr;
	int error;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 512 << 10);
	error = pthread_create(&p->thread, &attr, work, p->worker);
	pthread_attr_destroy(&attr);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return error;
}

int portmap_new(struct portmap **out, struct loop *l, uint16_t local_port,
		const struct portmap_config *config, portmap_fn *fn, void *user)
{
	struct portmap *p = calloc(1, sizeof(*p));

	if (!p)
		return GW_E_NOMEM;
	p->loop = l;
	p->fn = fn;
	p->user = user;
	reset_info(&p->seen);
	p->worker = worker_new(local_port, config);
	if (!p->worker)
		goto free_portmap;
	p->source = loop_add(l, p->worker->told_fd, LOOP_IN, on_told, p);
	if (!p->source || start_thread(p) != 0)
		goto free_worker;
	*out = p;
	return 0;

free_worker:
	if (p->source)
		loop_remove(p->source);
	worker_free(p->worker);
free_portmap:
	free(p);
	return GW_E_LIMIT;
}

void portmap_restart(struct portmap *p)
{
	struct worker *w = p->worker;

	pthread_mutex_lock(&w->lock);
	w->request = RESTART;
	reset_info(&w->info);
	eventfd_write(w->wake_fd, 1);
	eventfd_write(w->told_fd, 1);
	pthread_mutex_unlock(&w->lock);
}

void portmap_info(struct portmap *p, struct portmap_info *out)
{
	pthread_mutex_lock(&p->worker->lock);
	*out = p->worker->info;
	pthread_mutex_unlock(&p->worker->lock);
}

/* true: it has ended; false: it is on its own from now on. */
static bool stop_worker(struct worker *w)
{
	gw_time until = loop_clock() + FREE_WAIT;
	struct timespec at = { .tv_sec = (time_t)(until / GW_SEC),
			       .tv_nsec = (long)(until % GW_SEC) };
	bool ended;

	pthread_mutex_lock(&w->lock);
	w->request = STOP;
	eventfd_write(w->wake_fd, 1);
	while (w->life == RUNNING && pthread_cond_timedwait(&w->over, &w->lock, &at) == 0)
		;
	ended = w->life == ENDED;
	if (!ended)
		w->life = ABANDONED;
	pthread_mutex_unlock(&w->lock);
	return ended;
}

void portmap_free(struct portmap *p)
{
	if (!p)
		return;
	loop_remove(p->source);
	if (stop_worker(p->worker)) {
		pthread_join(p->thread, NULL);
		worker_free(p->worker);
	} else {
		pthread_detach(p->thread);
	}
	free(p);
}
