/* SPDX-License-Identifier: Apache-2.0 */
#include "crowd.h"

#include <arpa/inet.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/batch.h"
#include "base/error.h"
#include "base/heap.h"
#include "base/list.h"
#include "core/node.h"
#include "io/entropy.h"
#include "io/loop.h"

enum { EVENTS_MAX = 64, DATAGRAM_MAX = 16384, FILES = 1 << 20 };

struct caller {
	struct node *core;
	int fd;
	struct timer timer;
	struct list_item link;
	bool connected;
	uint32_t answered; /* streams */
};

struct crowd {
	int control, epoll;
	struct crowd_target target;
	struct path path;
	struct rng rng;
	struct heap timers;
	struct list members;
	struct batch batch;
};

/* Secrets have guard pages: those of 10,000 nodes are more mappings than a process may have. */
void *__wrap_sodium_malloc(size_t size);
void __wrap_sodium_free(void *secret);

void *__wrap_sodium_malloc(size_t size)
{
	return malloc(size);
}

void __wrap_sodium_free(void *secret)
{
	free(secret);
}

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "crowd: %s: %s\n", what, strerror(errno));
	exit(1);
}

static double cpu_seconds(void)
{
	struct rusage r;

	getrusage(RUSAGE_SELF, &r);
	return (double)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) +
	       (double)(r.ru_utime.tv_usec + r.ru_stime.tv_usec) * 1e-6;
}

/* --- members --- */

static void transmit(struct crowd *c, struct caller *m, gw_time now)
{
	struct batch *b = &c->batch;

	while (b->len = 0, node_transmit(m->core, b, now)) {
		for (size_t at = 0; at < b->len; at += b->segment)
			(void)send(m->fd, b->data + at,
				   b->len - at < b->segment ? b->len - at : b->segment, 0);
	}
}

static void settle(struct crowd *c, struct caller *m)
{
	gw_time now = loop_clock();
	struct event e;

	transmit(c, m, now);
	while (node_next_event(m->core, &e)) {
		if (e.type == EVENT_PEER && e.state == PEER_FAILED) /* it dials again */
			fprintf(stderr, "crowd: a dial failed: %s\n", error_text(e.error));
		m->connected |= e.type == EVENT_PEER && e.state == PEER_CONNECTED;
		m->answered += e.type == EVENT_STREAM && (e.flags & STREAM_ANSWERED);
	}
	transmit(c, m, now);
	if (heap_set(&c->timers, &m->timer, node_expiry(m->core)) < 0)
		die("timer");
}

static int connected_socket(const struct addr *to)
{
	struct sockaddr_storage ss;
	socklen_t len = addr_to_sockaddr(to, &ss, false);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);

	if (fd < 0 || connect(fd, (struct sockaddr *)&ss, len) != 0)
		die("socket");
	return fd;
}

static struct caller *member_new(struct crowd *c)
{
	struct caller *m = calloc(1, sizeof(*m));
	struct epoll_event e = { .events = EPOLLIN, .data.ptr = m };
	gw_time now = loop_clock();
	struct node_config config;
	struct identity id;

	if (!m)
		die("member");
	m->fd = connected_socket(&c->path.remote);
	identity_generate(&id);
	node_config_init(&config);
	config.identity = &id;
	config.rng = &c->rng;
	config.started_ms = loop_wall_clock_ms();
	m->core = node_new(&config, now);
	if (!m->core || epoll_ctl(c->epoll, EPOLL_CTL_ADD, m->fd, &e) != 0 ||
	    node_add_endpoint(m->core, c->target.key, &c->path.remote, now) < 0 ||
	    node_dial(m->core, c->target.key, now) < 0)
		die("node");
	list_append(&c->members, &m->link);
	settle(c, m);
	return m;
}

static void member_free(struct crowd *c, struct caller *m)
{
	node_close(m->core, loop_clock());
	transmit(c, m, loop_clock());
	heap_remove(&c->timers, &m->timer);
	list_remove(&m->link);
	node_free(m->core);
	close(m->fd);
	free(m);
}

static void receive(struct crowd *c, struct caller *m)
{
	static uint8_t data[DATAGRAM_MAX];
	gw_time now = loop_clock();
	ssize_t n;

	while ((n = recv(m->fd, data, sizeof(data), 0)) > 0)
		node_receive(m->core, &c->path, data, (size_t)n, now);
	settle(c, m);
}

static void expire(struct crowd *c)
{
	gw_time now = loop_clock();
	struct timer *t;

	while ((t = heap_top(&c->timers)) && t->at <= now) {
		struct caller *m = container_of(t, struct caller, timer);

		heap_remove(&c->timers, t);
		node_expire(m->core, now);
		settle(c, m);
	}
}

/* True: an order waits. */
static bool turn(struct crowd *c)
{
	struct epoll_event events[EVENTS_MAX];
	const struct timer *t = heap_top(&c->timers);
	gw_time now = loop_clock();
	int wait_ms = !t ? -1 : t->at <= now ? 0 : (int)((t->at - now) / GW_MSEC + 1), n;
	bool ordered = false;

	n = epoll_wait(c->epoll, events, EVENTS_MAX, wait_ms);
	for (int i = 0; i < n; i++) {
		if (events[i].data.ptr)
			receive(c, events[i].data.ptr);
		else
			ordered = true;
	}
	expire(c);
	return ordered;
}

/* --- orders --- */

static void invite(struct crowd *c, const struct crowd_order *o)
{
	struct caller **guests = calloc(o->at_once, sizeof(struct caller *));
	uint32_t begun = 0, done = 0;

	if (!guests)
		die("guests");
	while (done < o->count) {
		for (uint32_t i = 0; i < o->at_once; i++) {
			if (guests[i] && guests[i]->connected) {
				if (o->verb == CROWD_VISIT)
					member_free(c, guests[i]);
				guests[i] = NULL;
				done++;
			}
			if (!guests[i] && begun < o->count) {
				guests[i] = member_new(c);
				begun++;
			}
		}
		if (done < o->count)
			(void)turn(c);
	}
	free(guests);
}

static void open_streams(struct crowd *c, struct caller *m, uint32_t count)
{
	m->answered = 0;
	for (uint32_t i = 0; i < count; i++) {
		struct stream *s;

		if (node_stream_open(m->core, c->target.key, CROWD_SERVICE, &s, loop_clock()) < 0 ||
		    stream_write(s, "x", 1, loop_clock()) != 1)
			die("stream");
	}
	settle(c, m);
	while (m->answered < count)
		(void)turn(c);
}

static void open_all(struct crowd *c, uint32_t count)
{
	list_each(&c->members, i, next)
		open_streams(c, container_of(i, struct caller, link), count);
}

/* False: there are no more. */
static bool obey(struct crowd *c)
{
	struct crowd_report report;
	struct crowd_order o;
	gw_time started;

	if (read(c->control, &o, sizeof(o)) != sizeof(o))
		return false;
	report.cpu_s = cpu_seconds();
	started = loop_clock();
	if (o.verb == CROWD_OPEN)
		open_all(c, o.count);
	else
		invite(c, &o);
	report.cpu_s = cpu_seconds() - report.cpu_s;
	report.seconds = (double)(loop_clock() - started) / (double)GW_SEC;
	return write(c->control, &report, sizeof(report)) == sizeof(report);
}

static _Noreturn void crowd_main(int control)
{
	static struct crowd c;
	struct epoll_event e = { .events = EPOLLIN };

	c.control = control;
	if (read(control, &c.target, sizeof(c.target)) != sizeof(c.target))
		exit(1);
	c.path.remote =
		(struct addr){ .family = ADDR_V4, .port = c.target.port, .ip = { 127, 0, 0, 1 } };
	c.epoll = epoll_create1(0);
	c.batch.data = malloc(BATCH_CAPACITY_MIN);
	c.batch.capacity = BATCH_CAPACITY_MIN;
	list_init(&c.members);
	entropy_init(&c.rng);
	if (!c.batch.data || c.epoll < 0 || crypto_init() < 0 ||
	    epoll_ctl(c.epoll, EPOLL_CTL_ADD, control, &e) != 0)
		die("start");
	while (!turn(&c) || obey(&c))
		;
	exit(0);
}

static void pin_to(unsigned processor)
{
	cpu_set_t set;

	if (sysconf(_SC_NPROCESSORS_ONLN) <= (long)processor)
		return;
	CPU_ZERO(&set);
	CPU_SET(processor, &set);
	(void)sched_setaffinity(0, sizeof(set), &set);
}

/* A socket for each node. */
static void raise_file_limit(void)
{
	struct rlimit limit = { FILES, FILES };

	if (setrlimit(RLIMIT_NOFILE, &limit) == 0 || getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

int crowd_start(void)
{
	int pair[2];
	pid_t child;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
		die("socketpair");
	child = fork();
	if (child < 0)
		die("fork");
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(pair[0]);
		raise_file_limit();
		pin_to(1);
		crowd_main(pair[1]);
	}
	close(pair[1]);
	pin_to(0);
	return pair[0];
}
