// SPDX-License-Identifier: Apache-2.0
/* Three ways to sleep.  On our own, the next expiry is epoll's timeout.  Inside a loop that asks
 * (loop_due()), it is that loop's.  Inside one that does not (only loop_fd() was called) a timerfd
 * in our epoll set makes us readable; it is armed lazily: moving the next expiry later costs
 * nothing but one early wake-up, because QUIC timers move with almost every packet. */
#include "io/loop.h"

#include <assert.h>
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "base/list.h"

enum { BATCH = 64 };

/* Between two events: so soon that sleeping does not pay. */
#define HOT (50 * GW_USEC)

/* A timer that is off stays in the heap, at the end of time: setting it needs no memory and
 * cannot fail. */
#define OFF (GW_NEVER - 1)

struct loop_source {
	struct loop *loop;
	int fd;
	unsigned events;
	bool registered; /* with epoll */
	bool always;     /* a regular file or /dev/null: epoll refuses it, it is always ready */
	bool removed;
	loop_fd_fn *fn;
	void *user;
	struct loop_source *next; /* in loop->always or loop->dead */
};

struct loop_timer {
	struct timer timer; /* first: the heap hands back its address */
	struct loop *loop;
	loop_timer_fn *fn;
	void *user;
};

struct loop_hook {
	struct list_item link;
	loop_timer_fn *fn;
	void *user;
};

struct loop {
	int epoll_fd, timer_fd;
	struct heap timers;
	gw_time now;
	gw_time armed; /* when timer_fd fires; GW_NEVER: disarmed */
	bool nested;   /* loop_fd() was called */
	bool asked;    /* loop_due() was called: the timerfd is off */
	bool stop;
	bool hot;         /* the last wait was short */
	gw_time poll;     /* how long the next one polls then, */
	gw_time poll_max; /* and may poll */
	bool in_timers;
	unsigned depth; /* of dispatch */
	struct list hooks;
	struct loop_source *always;
	struct loop_source *dead; /* freed when no dispatch may point to them */
};

gw_time loop_clock(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (gw_time)ts.tv_sec * GW_SEC + (gw_time)ts.tv_nsec;
}

uint64_t loop_wall_clock_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

gw_time loop_now(const struct loop *l)
{
	return l->now;
}

static int add_timer_fd(struct loop *l)
{
	struct epoll_event ev = { .events = EPOLLIN };

	l->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (l->timer_fd < 0)
		return GW_E_IO;
	return epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, l->timer_fd, &ev) == 0 ? 0 : GW_E_IO;
}

int loop_new(struct loop **out)
{
	struct loop *l = calloc(1, sizeof(*l));

	if (!l)
		return GW_E_NOMEM;
	l->armed = GW_NEVER;
	l->poll_max = HOT;
	l->timer_fd = -1;
	list_init(&l->hooks);
	l->now = loop_clock();
	l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (l->epoll_fd < 0 || add_timer_fd(l) != 0) {
		loop_free(l);
		return GW_E_IO;
	}
	*out = l;
	return 0;
}

static void free_dead(struct loop *l)
{
	while (l->dead) {
		struct loop_source *s = l->dead;

		l->dead = s->next;
		free(s);
	}
}

void loop_free(struct loop *l)
{
	int saved = errno;

	if (!l)
		return;
	assert(l->depth == 0);
	free_dead(l);
	heap_clear(&l->timers);
	if (l->timer_fd >= 0)
		close(l->timer_fd);
	if (l->epoll_fd >= 0)
		close(l->epoll_fd);
	free(l);
	errno = saved;
}

/* --- the timerfd --- */

/* Setting it also clears an expiry that has not been read. */
static void arm(struct loop *l, gw_time at)
{
	struct itimerspec its = { 0 };

	if (at != GW_NEVER) {
		its.it_value.tv_sec = (time_t)(at / GW_SEC);
		its.it_value.tv_nsec = (long)(at % GW_SEC);
		if (at == 0)
			its.it_value.tv_nsec = 1; /* zero would disarm */
	}
	timerfd_settime(l->timer_fd, TFD_TIMER_ABSTIME, &its, NULL);
	l->armed = at;
}

static bool any_always_ready(const struct loop *l)
{
	for (const struct loop_source *s = l->always; s; s = s->next)
		if (s->events)
			return true;
	return false;
}

static gw_time next_expiry(const struct loop *l)
{
	const struct timer *t = heap_top(&l->timers);

	if (any_always_ready(l))
		return 0;
	return t && t->at < OFF ? t->at : GW_NEVER;
}

/* Make loop_fd() readable no later than the next expiry. */
static void arm_if_earlier(struct loop *l)
{
	gw_time at;

	if (!l->nested || l->asked || l->depth > 0) /* loop_run_once() ends with it */
		return;
	at = next_expiry(l);
	if (at < l->armed)
		arm(l, at);
}

int loop_fd(struct loop *l)
{
	if (!l->nested) {
		l->nested = true;
		arm_if_earlier(l);
	}
	return l->epoll_fd;
}

gw_time loop_due(struct loop *l)
{
	if (!l->asked && l->armed != GW_NEVER)
		arm(l, GW_NEVER);
	l->asked = true;
	return next_expiry(l);
}

/* --- sources --- */

static uint32_t to_epoll(unsigned events)
{
	return (events & LOOP_IN ? (uint32_t)EPOLLIN : 0) |
	       (events & LOOP_OUT ? (uint32_t)EPOLLOUT : 0);
}

static int watch(struct loop_source *s)
{
	struct epoll_event ev = { .events = to_epoll(s->events), .data.ptr = s };

	if (epoll_ctl(s->loop->epoll_fd, EPOLL_CTL_ADD, s->fd, &ev) != 0)
		return -1;
	s->registered = true;
	return 0;
}

static void unwatch(struct loop_source *s)
{
	if (s->registered)
		epoll_ctl(s->loop->epoll_fd, EPOLL_CTL_DEL, s->fd, NULL);
	s->registered = false;
}

struct loop_source *loop_add(struct loop *l, int fd, unsigned events, loop_fd_fn *fn, void *user)
{
	struct loop_source *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	*s = (struct loop_source){ .loop = l, .fd = fd, .events = events, .fn = fn, .user = user };
	if (watch(s) == 0)
		return s;
	if (errno != EPERM) {
		free(s);
		return NULL;
	}
	s->always = true;
	s->next = l->always;
	l->always = s;
	arm_if_earlier(l);
	return s;
}

void loop_modify(struct loop_source *s, unsigned events)
{
	struct epoll_event ev = { .events = to_epoll(events), .data.ptr = s };

	if (s->removed || s->events == events)
		return;
	s->events = events;
	if (s->always)
		arm_if_earlier(s->loop);
	else if (s->registered)
		epoll_ctl(s->loop->epoll_fd, EPOLL_CTL_MOD, s->fd, &ev);
	else
		watch(s);
}

static void forget_always(struct loop_source *s)
{
	struct loop_source **p = &s->loop->always;

	while (*p != s)
		p = &(*p)->next;
	*p = s->next;
}

void loop_remove(struct loop_source *s)
{
	struct loop *l;

	if (!s)
		return;
	l = s->loop;
	assert(!s->removed);
	s->removed = true;
	unwatch(s);
	if (s->always)
		forget_always(s);
	s->next = l->dead;
	l->dead = s;
	if (l->depth == 0)
		free_dead(l);
}

/* --- timers --- */

struct loop_timer *loop_timer_new(struct loop *l, loop_timer_fn *fn, void *user)
{
	struct loop_timer *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->loop = l;
	t->fn = fn;
	t->user = user;
	if (heap_set(&l->timers, &t->timer, OFF) != 0) {
		free(t);
		return NULL;
	}
	return t;
}

void loop_timer_set(struct loop_timer *t, gw_time at)
{
	struct loop *l = t->loop;

	/* A timer that sets itself to the past must not keep the others from running. */
	if (l->in_timers && at <= l->now)
		at = l->now + 1;
	heap_set(&l->timers, &t->timer, time_min(at, OFF));
	arm_if_earlier(l);
}

void loop_timer_free(struct loop_timer *t)
{
	if (!t)
		return;
	heap_remove(&t->loop->timers, &t->timer);
	free(t);
}

/* --- hooks --- */

struct loop_hook *loop_before_wait(struct loop *l, loop_timer_fn *fn, void *user)
{
	struct loop_hook *h = calloc(1, sizeof(*h));

	if (!h)
		return NULL;
	*h = (struct loop_hook){ .fn = fn, .user = user };
	list_append(&l->hooks, &h->link);
	return h;
}

void loop_hook_free(struct loop_hook *h)
{
	if (!h)
		return;
	list_remove(&h->link);
	free(h);
}

static void call_hooks(struct loop *l)
{
	list_each(&l->hooks, i, next) {
		struct loop_hook *h = container_of(i, struct loop_hook, link);

		h->fn(h->user);
	}
}

/* --- running --- */

static void run_timers(struct loop *l)
{
	l->now = loop_clock();
	l->in_timers = true;
	for (;;) {
		struct timer *top = heap_top(&l->timers);
		struct loop_timer *t = (struct loop_timer *)top;

		if (!top || top->at > l->now)
			break;
		heap_set(&l->timers, top, OFF);
		t->fn(t->user);
	}
	l->in_timers = false;
}

static int wait_ms(struct loop *l, struct epoll_event *events, gw_time timeout)
{
	gw_time ms = timeout / GW_MSEC + (timeout % GW_MSEC != 0);

	if (timeout == GW_NEVER)
		return epoll_wait(l->epoll_fd, events, BATCH, -1);
	return epoll_wait(l->epoll_fd, events, BATCH, ms > 1000000 ? 1000000 : (int)ms);
}

static int wait_events(struct loop *l, struct epoll_event *events, gw_time timeout)
{
	struct timespec ts;
	int n;

	if (timeout == 0 || timeout == GW_NEVER)
		return wait_ms(l, events, timeout);
	ts.tv_sec = (time_t)(timeout / GW_SEC);
	ts.tv_nsec = (long)(timeout % GW_SEC);
	n = epoll_pwait2(l->epoll_fd, events, BATCH, &ts, NULL);
	if (n < 0 && (errno == ENOSYS || errno == EPERM)) /* before Linux 5.11; seccomp */
		return wait_ms(l, events, timeout);
	return n;
}

static void dispatch(struct loop_source *s, uint32_t got)
{
	unsigned events = (got & EPOLLIN ? LOOP_IN : 0U) | (got & EPOLLOUT ? LOOP_OUT : 0U);
	bool hangup = (got & (EPOLLHUP | EPOLLERR)) != 0;

	if (s->removed)
		return;
	events &= s->events; /* a callback before this one may have changed them */
	if (hangup)
		events |= LOOP_HANGUP;
	if (!events)
		return;
	/* Nobody listens to anything else: tell it once, or we would spin. */
	if (hangup && !s->events)
		unwatch(s);
	s->fn(s->user, s->fd, events);
}

static void dispatch_always(struct loop *l)
{
	struct loop_source *next;

	for (struct loop_source *s = l->always; s; s = next) {
		next = s->next;
		if (s->events && !s->removed)
			s->fn(s->user, s->fd, s->events);
		if (s->removed) /* `next` may have gone with it: the rest comes next time */
			break;
	}
}

static gw_time remaining(const struct loop *l, gw_time timeout)
{
	gw_time at = next_expiry(l), now;

	if (timeout == 0 || at == GW_NEVER)
		return timeout;
	now = loop_clock();
	return at <= now ? 0 : time_min(timeout, at - now);
}

/* Events that follow each other this closely are waited for without sleeping: to be woken costs
 * both sides more. */
static int poll_while_hot(struct loop *l, struct epoll_event *events, gw_time timeout)
{
	gw_time began = loop_clock(), limit = time_min(timeout, time_min(l->poll, l->poll_max));
	int n;

	do {
		n = wait_events(l, events, 0);
		if (n != 0)
			return n;
		sched_yield();
	} while (loop_clock() - began < limit);
	return 0;
}

/* Twice what the last event took.  One that came late lately may do so again: a few that come early
 * do not make it forgotten. */
static gw_time next_poll(const struct loop *l, gw_time waited)
{
	gw_time poll = time_max(2 * waited, l->poll - l->poll / 8);

	return time_max(HOT, time_min(poll, l->poll_max));
}

static int wait_or_poll(struct loop *l, struct epoll_event *events, gw_time timeout)
{
	gw_time began, waited;
	int n;

	if (l->nested || timeout == 0)
		return wait_events(l, events, timeout);
	began = loop_clock();
	n = l->hot ? poll_while_hot(l, events, timeout) : wait_events(l, events, timeout);
	waited = loop_clock() - began;
	l->hot = n > 0 && waited < l->poll_max;
	if (l->hot)
		l->poll = next_poll(l, waited);
	return n;
}

void loop_set_poll(struct loop *l, gw_time most)
{
	l->poll_max = time_max(most, HOT);
}

void loop_run_once(struct loop *l, gw_time timeout)
{
	struct epoll_event events[BATCH];
	int n;

	call_hooks(l);
	n = wait_or_poll(l, events, remaining(l, timeout));
	l->now = loop_clock();
	l->depth++;
	for (int i = 0; i < n; i++)
		if (events[i].data.ptr)
			dispatch(events[i].data.ptr, events[i].events);
	dispatch_always(l);
	run_timers(l);
	if (--l->depth > 0)
		return;
	free_dead(l);
	if (!l->nested || l->asked)
		return;
	if (l->armed <= l->now) /* it has fired: set or clear it */
		arm(l, next_expiry(l));
	else
		arm_if_earlier(l);
}

void loop_run(struct loop *l)
{
	while (!l->stop)
		loop_run_once(l, GW_NEVER);
	l->stop = false;
}

void loop_stop(struct loop *l)
{
	l->stop = true;
}
