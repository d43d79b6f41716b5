/* tests/bench/peers.c - what peers cost one node: those that are connected and idle, parked, that come and go.
 *
 *	peers idle N SECONDS             N others connect and stay; memory, and processor while idle
 *	peers streams N SECONDS EACH     the same, each with so many streams
 *	peers visits N AT_ONCE           N connect and leave again: handshakes
 *
 * The node is in this process, the others are in a second one (crowd.h).  Prints one JSON object a
 * row. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <malloc.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "crowd.h"
#include "godwit/godwit.h"

enum {
	AT_ONCE = 64,
	SETTLES = 3, /* seconds: MTU probes and the like come to an end */
};

struct bench {
	godwit_node *node;
	int crowd;
};

/* --- what this process uses --- */

static double clock_seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

struct usage {
	double cpu_s;
	size_t wakeups;
	size_t heap, rss;
};

static size_t rss_bytes(void)
{
	unsigned long pages = 0;
	FILE *f = fopen("/proc/self/statm", "r");

	if (!f || fscanf(f, "%*u %lu", &pages) != 1)
		abort();
	fclose(f);
	return pages * (size_t)sysconf(_SC_PAGESIZE);
}

static struct usage usage_now(void)
{
	struct usage u;
	struct rusage r;
	struct mallinfo2 m;

	getrusage(RUSAGE_SELF, &r);
	u.cpu_s = (double)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) +
		  (double)(r.ru_utime.tv_usec + r.ru_stime.tv_usec) * 1e-6;
	u.wakeups = (size_t)r.ru_nvcsw;
	malloc_trim(0);
	m = mallinfo2();
	u.heap = m.uordblks + m.hblkhd;
	u.rss = rss_bytes();
	return u;
}

/* --- the node --- */

static godwit_node *node_new(void)
{
	godwit_options options;
	godwit_node *node;
	int error;

	godwit_options_init(&options);
	options.ephemeral = true;
	options.listen = "127.0.0.1:0";
	options.memory_limit = UINT64_C(1) << 30; /* room for many streams' windows */
	error = godwit_node_new(&node, &options);
	if (error == 0)
		error = godwit_listen(node, CROWD_SERVICE, GODWIT_NEVER);
	if (error == 0)
		error = godwit_allow(node, NULL, NULL);
	if (error != 0) {
		fprintf(stderr, "peers: %s\n", godwit_strerror(error));
		exit(1);
	}
	return node;
}

static void process(godwit_node *node)
{
	godwit_event event;

	godwit_node_process(node);
	while (godwit_node_next_event(node, &event))
		;
}

/* Until its next timer, or `until`. */
static struct timespec patience(godwit_node *node, double until)
{
	double left = until - clock_seconds(), due = (double)godwit_node_timeout_ns(node) * 1e-9;

	left = left < due ? left : due;
	if (left < 0)
		left = 0;
	return (struct timespec){ (time_t)left, (long)((left - (double)(time_t)left) * 1e9) };
}

/* Until there is something from the crowd, or `until`. */
static void serve(struct bench *b, double until)
{
	struct pollfd p[2] = { { godwit_node_fd(b->node), POLLIN, 0 }, { b->crowd, POLLIN, 0 } };

	while (!p[1].revents && clock_seconds() < until) {
		struct timespec wait;

		process(b->node);
		wait = patience(b->node, until);
		ppoll(p, 2, &wait, NULL);
	}
}

static struct crowd_report order(struct bench *b, enum crowd_verb verb, size_t count,
				 size_t at_once)
{
	struct crowd_order o = { verb, (uint32_t)count, (uint32_t)at_once };
	struct crowd_report report;

	if (write(b->crowd, &o, sizeof(o)) != sizeof(o))
		abort();
	serve(b, 1e18);
	if (read(b->crowd, &report, sizeof(report)) != sizeof(report)) {
		fprintf(stderr, "peers: the crowd has ended\n");
		exit(1);
	}
	return report;
}

static void start(struct bench *b)
{
	struct crowd_target target;

	b->crowd = crowd_start();
	b->node = node_new();
	godwit_node_key(b->node, target.key);
	target.port = godwit_node_port(b->node);
	if (write(b->crowd, &target, sizeof(target)) != sizeof(target))
		abort();
	order(b, CROWD_VISIT, 1, 1); /* what is allocated once */
}

/* --- the rows --- */

static size_t count_peers(godwit_node *node, godwit_peer_state state)
{
	size_t total = godwit_node_peers(node, NULL, 0), n = 0;
	godwit_peer_info *info = calloc(total + 1, sizeof(*info));

	if (!info)
		abort();
	total = godwit_node_peers(node, info, total);
	for (size_t i = 0; i < total; i++)
		n += info[i].state == state;
	free(info);
	return n;
}

static long each(size_t now, size_t before, size_t n)
{
	return n ? ((long)now - (long)before) / (long)n : 0;
}

static void memory_row(const char *name, const char *what, size_t n, struct usage before)
{
	struct usage u = usage_now();

	printf("{\"row\":\"%s\",\"bytes\":%ld,\"rss_bytes\":%ld,\"%s\":%zu}\n", name,
	       each(u.heap, before.heap, n), each(u.rss, before.rss, n), what, n);
}

static void idle_row(struct bench *b, const char *name, double seconds)
{
	struct usage before = usage_now(), after;

	serve(b, clock_seconds() + seconds);
	after = usage_now();
	printf("{\"row\":\"%s\",\"cpu_percent\":%.4f,\"wakeups_per_min\":%.1f}\n", name,
	       (after.cpu_s - before.cpu_s) / seconds * 100,
	       (double)(after.wakeups - before.wakeups) / seconds * 60);
}

static void measure_idle(size_t count, double seconds)
{
	struct bench b;
	struct usage before;

	start(&b);
	idle_row(&b, "node without peers", seconds);
	before = usage_now();
	order(&b, CROWD_JOIN, count, AT_ONCE);
	serve(&b, clock_seconds() + SETTLES);
	idle_row(&b, "node with idle peers", seconds);
	memory_row("connected idle peer", "peers", count_peers(b.node, GODWIT_PEER_CONNECTED),
		   before);
	godwit_debug(b.node, "break");
	process(b.node);
	memory_row("parked peer", "peers", count_peers(b.node, GODWIT_PEER_PARKED), before);
	close(b.crowd);
	godwit_node_free(b.node);
}

static void measure_streams(size_t count, double seconds, size_t each_one)
{
	struct usage before;
	struct bench b;

	start(&b);
	order(&b, CROWD_JOIN, count, AT_ONCE);
	serve(&b, clock_seconds() + SETTLES);
	before = usage_now();
	order(&b, CROWD_OPEN, each_one, 1);
	serve(&b, clock_seconds() + SETTLES);
	memory_row("open idle stream", "streams", godwit_node_streams(b.node, NULL, 0), before);
	idle_row(&b, "node with idle peers and streams", seconds);
	close(b.crowd);
	godwit_node_free(b.node);
}

static void measure_visits(size_t count, size_t at_once)
{
	struct bench b;
	struct usage before, after;
	struct crowd_report r;

	start(&b);
	before = usage_now();
	r = order(&b, CROWD_VISIT, count, at_once);
	after = usage_now();
	printf("{\"handshakes\":%zu,\"per_s\":%.1f,\"per_server_cpu_s\":%.1f,"
	       "\"per_client_cpu_s\":%.1f}\n",
	       count, (double)count / r.seconds, (double)count / (after.cpu_s - before.cpu_s),
	       (double)count / r.cpu_s);
	close(b.crowd);
	godwit_node_free(b.node);
}

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "";
	size_t count = argc > 2 ? strtoul(argv[2], NULL, 10) : 0;

	if (argc == 4 && strcmp(mode, "idle") == 0) {
		measure_idle(count, atof(argv[3]));
	} else if (argc == 5 && strcmp(mode, "streams") == 0) {
		measure_streams(count, atof(argv[3]), strtoul(argv[4], NULL, 10));
	} else if (argc == 4 && strcmp(mode, "visits") == 0) {
		measure_visits(count, strtoul(argv[3], NULL, 10));
	} else {
		fprintf(stderr, "usage: peers idle N SECONDS | peers streams N SECONDS EACH | "
				"peers visits N AT_ONCE\n");
		return 2;
	}
	return 0;
}
