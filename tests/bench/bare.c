/* tests/bench/bare.c - what ngtcp2 and GnuTLS do without godwit: the yardstick of its overhead.
 *
 *	bare serve ADDRESS PORT [bytes] [cubic]
 *	bare bulk ADDRESS PORT SECONDS STREAMS [bytes] [cubic]    one way
 *	bare rtt ADDRESS PORT ROUNDS [cubic]              64 bytes there and back
 *	bare handshakes ADDRESS PORT N AT_ONCE [cubic]    each with 64 bytes there and back, then closed
 *	bare idle ADDRESS PORT N SECONDS [cubic]          N connections: memory, and processor while idle
 *
 * bytes: the client makes what it sends (and keeps it until it is acknowledged), the server copies
 * it out, as an application would; without it the same 64 KB of zeros are sent again and again.
 *
 * Each client prints one JSON object with the figures of both ends: it asks the server for its own.
 * GODWIT_NO_OFFLOAD=1 turns GSO and GRO off. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "bare_quic.h"

enum { SINK = 'S', ECHO = 'E', REPORT = 'R', MESSAGE = 64, AT_ONCE_MAX = 1024 };

/* What a process tells of itself. */
struct figures {
	double cpu_s;
	uint64_t bytes;            /* into sinks, since the last report */
	gw_time first, last;       /* when they came */
	uint64_t heap, rss, count; /* of connections */
	struct endpoint_stats stats;
};

static uint64_t sunk;
static gw_time sunk_first, sunk_last;

/* --- figures --- */

static double cpu_seconds(void)
{
	struct rusage r;

	getrusage(RUSAGE_SELF, &r);
	return (double)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) +
	       (double)(r.ru_utime.tv_usec + r.ru_stime.tv_usec) * 1e-6;
}

static uint64_t rss_bytes(void)
{
	unsigned long pages = 0;
	FILE *f = fopen("/proc/self/statm", "r");

	if (!f || fscanf(f, "%*u %lu", &pages) != 1)
		bare_die("statm");
	fclose(f);
	return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static struct figures figures_of(const struct endpoint *e)
{
	struct figures f = { .cpu_s = cpu_seconds(),
			     .bytes = sunk,
			     .first = sunk_first,
			     .last = sunk_last,
			     .stats = e->stats };
	struct mallinfo2 m;

	malloc_trim(0);
	m = mallinfo2();
	f.heap = m.uordblks + m.hblkhd;
	f.rss = rss_bytes();
	for (struct list_item *i = list_first(&e->connections); i;
	     i = list_next(&e->connections, i))
		f.count++;
	return f;
}

/* --- server --- */

static void answer_report(struct flow *f)
{
	struct figures figures = figures_of(f->c->e);

	f->data = malloc(sizeof(figures));
	if (!f->data)
		bare_die("report");
	memcpy(f->data, &figures, sizeof(figures));
	sunk = 0;
	flow_send(f, sizeof(figures));
}

static void serve_data(struct flow *f, const uint8_t *data, size_t len, bool first)
{
	if (first)
		f->kind = data[0];
	switch (f->kind) {
	case SINK:
		sunk_last = f->c->e->now;
		if (sunk == 0)
			sunk_first = sunk_last;
		sunk += len;
		break;
	case ECHO:
		flow_send(f, len);
		break;
	case REPORT:
		answer_report(f);
		break;
	default:
		bare_die("a flow of no known kind");
	}
}

static _Noreturn void serve(struct endpoint *e)
{
	e->on_data = serve_data;
	printf("ready\n");
	fflush(stdout);
	for (;;)
		endpoint_turn(e, GW_NEVER);
}

/* --- client --- */

static struct figures reported;

static void client_data(struct flow *f, const uint8_t *data, size_t len, bool first)
{
	uint64_t at = f->received - len;

	(void)first;
	if (f->kind == REPORT && at + len <= sizeof(reported))
		memcpy((uint8_t *)&reported + at, data, len);
}

static void wait_up(struct bare_connection *c)
{
	while (!c->up && !c->closed)
		endpoint_turn(c->e, GW_NEVER);
	if (c->closed)
		bare_die("the connection was closed");
}

static void wait_received(const struct flow *f, uint64_t len)
{
	while (f->received < len && !f->c->closed)
		endpoint_turn(f->c->e, GW_NEVER);
	if (f->c->closed)
		bare_die("the connection was closed");
}

static struct figures ask(struct bare_connection *c)
{
	struct flow *f = flow_open(c, REPORT);

	flow_send(f, 1);
	wait_received(f, sizeof(reported));
	return reported;
}

static double seconds(gw_time t)
{
	return (double)t / (double)GW_SEC;
}

static void measure_bulk(struct endpoint *e, const struct sockaddr_in *to, double duration,
			 unsigned streams)
{
	struct bare_connection *c = bare_connect(e, to);
	struct flow **flows = calloc(streams, sizeof(*flows));
	struct figures before, after, mine;
	gw_time until;
	double cpu;

	if (!flows)
		bare_die("flows");
	wait_up(c);
	before = ask(c);
	mine = figures_of(e);
	until = bare_clock() + (gw_time)(duration * (double)GW_SEC);
	for (unsigned i = 0; i < streams; i++) {
		flows[i] = flow_open(c, SINK);
		flow_send(flows[i], UINT64_MAX);
	}
	while (e->now < until && !c->closed)
		endpoint_turn(e, until);
	for (unsigned i = 0; i < streams; i++)
		flow_stop(flows[i]);
	after = ask(c);
	cpu = cpu_seconds() - mine.cpu_s;
	printf("{\"gbit_s\":%.4f,\"bytes\":%llu,\"seconds\":%.4f,\"client_cpu_s\":%.4f,"
	       "\"server_cpu_s\":%.4f,\"packets_per_send\":%.2f,\"packets_per_receive\":%.2f}\n",
	       (double)after.bytes * 8e-9 / seconds(after.last - after.first),
	       (unsigned long long)after.bytes, seconds(after.last - after.first), cpu,
	       after.cpu_s - before.cpu_s,
	       (double)e->stats.send_datagrams / (double)e->stats.send_calls,
	       (double)after.stats.recv_datagrams / (double)after.stats.recv_calls);
	free(flows);
}

static int by_value(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static void measure_rtt(struct endpoint *e, const struct sockaddr_in *to, size_t rounds)
{
	struct bare_connection *c = bare_connect(e, to);
	double *us = calloc(rounds, sizeof(*us));
	struct flow *f;

	if (!us)
		bare_die("rounds");
	wait_up(c);
	f = flow_open(c, ECHO);
	for (size_t i = 0; i < rounds; i++) {
		gw_time at = bare_clock();

		flow_send(f, MESSAGE);
		wait_received(f, (i + 1) * MESSAGE);
		us[i] = (double)(bare_clock() - at) / (double)GW_USEC;
	}
	qsort(us, rounds, sizeof(*us), by_value);
	printf("{\"p50_us\":%.1f,\"p99_us\":%.1f,\"min_us\":%.1f,\"rounds\":%zu}\n", us[rounds / 2],
	       us[rounds * 99 / 100], us[0], rounds);
	free(us);
}

/* One connection of several at once: dialled, greeted, closed. */
struct attempt {
	struct bare_connection *c;
	struct flow *f;
};

/* True: it is over, and closed. */
static bool attempt_step(struct attempt *a)
{
	if (a->c->closed)
		bare_die("the connection was closed");
	if (a->c->up && !a->f) {
		a->f = flow_open(a->c, ECHO);
		flow_send(a->f, MESSAGE);
	}
	if (!a->f || a->f->received < MESSAGE)
		return false;
	bare_close(a->c);
	*a = (struct attempt){ 0 };
	return true;
}

static void measure_handshakes(struct endpoint *e, const struct sockaddr_in *to, size_t count,
			       size_t at_once)
{
	struct bare_connection *c = bare_connect(e, to);
	struct attempt attempts[AT_ONCE_MAX] = { 0 };
	size_t begun = 0, done = 0;
	struct figures before, after;
	gw_time started;
	double cpu;

	if (at_once > AT_ONCE_MAX)
		at_once = AT_ONCE_MAX;
	wait_up(c);
	before = ask(c);
	cpu = cpu_seconds();
	started = bare_clock();
	while (done < count) {
		for (size_t i = 0; i < at_once; i++) {
			struct attempt *a = &attempts[i];

			if (a->c)
				done += attempt_step(a);
			if (!a->c && begun < count) {
				a->c = bare_connect(e, to);
				begun++;
			}
		}
		endpoint_turn(e, done < count ? GW_NEVER : 0);
	}
	cpu = cpu_seconds() - cpu;
	started = bare_clock() - started;
	after = ask(c);
	printf("{\"handshakes\":%zu,\"per_s\":%.1f,\"per_server_cpu_s\":%.1f,"
	       "\"per_client_cpu_s\":%.1f}\n",
	       count, (double)count / seconds(started),
	       (double)(after.stats.handshakes - before.stats.handshakes) /
		       (after.cpu_s - before.cpu_s),
	       (double)count / cpu);
}

static uint64_t each(uint64_t now, uint64_t before, size_t count)
{
	return now > before ? (now - before) / count : 0;
}

static void measure_idle(struct endpoint *e, const struct sockaddr_in *to, size_t count,
			 double duration)
{
	struct bare_connection *c = bare_connect(e, to);
	struct figures before[2], after[2], end[2];
	gw_time until;

	wait_up(c);
	before[0] = figures_of(e);
	before[1] = ask(c);
	for (size_t i = 0; i < count; i++) {
		struct attempt a = { .c = bare_connect(e, to) };

		wait_up(a.c);
		a.f = flow_open(a.c, ECHO);
		flow_send(a.f, MESSAGE);
		wait_received(a.f, MESSAGE);
	}
	(void)ask(c); /* and give back what the handshakes took */
	after[0] = figures_of(e);
	after[1] = ask(c);
	for (until = bare_clock() + (gw_time)(duration * (double)GW_SEC); bare_clock() < until;)
		endpoint_turn(e, until);
	end[0] = figures_of(e);
	end[1] = ask(c);
	printf("{\"connections\":%llu", (unsigned long long)end[1].count);
	for (int i = 0; i < 2; i++)
		printf(",\"%s_heap_bytes\":%llu,\"%s_rss_bytes\":%llu,\"%s_cpu_percent\":%.3f",
		       i ? "server" : "client",
		       (unsigned long long)each(after[i].heap, before[i].heap, count),
		       i ? "server" : "client",
		       (unsigned long long)each(after[i].rss, before[i].rss, count),
		       i ? "server" : "client", (end[i].cpu_s - after[i].cpu_s) / duration * 100);
	printf("}\n");
}

/* --- */

static _Noreturn void usage(void)
{
	fprintf(stderr, "usage: bare serve ADDRESS PORT [bytes] [cubic]\n"
			"       bare bulk ADDRESS PORT SECONDS STREAMS [bytes] [cubic]\n"
			"       bare rtt ADDRESS PORT ROUNDS [cubic]\n"
			"       bare handshakes ADDRESS PORT N AT_ONCE [cubic]\n"
			"       bare idle ADDRESS PORT N SECONDS [cubic]\n");
	exit(2);
}

int main(int argc, char **argv)
{
	static struct endpoint e;
	struct sockaddr_in a = { .sin_family = AF_INET };
	double n[2] = { 0 };
	const char *mode;
	bool cubic = false, bytes = false;

	for (; argc > 4; argc--) {
		if (strcmp(argv[argc - 1], "cubic") == 0)
			cubic = true;
		else if (strcmp(argv[argc - 1], "bytes") == 0)
			bytes = true;
		else
			break;
	}
	if (argc < 4 || argc > 6 || inet_pton(AF_INET, argv[2], &a.sin_addr) != 1)
		usage();
	mode = argv[1];
	a.sin_port = htons((uint16_t)atoi(argv[3]));
	for (int i = 4; i < argc; i++)
		n[i - 4] = atof(argv[i]);
	endpoint_init(&e, strcmp(mode, "serve") == 0 ? &a : NULL, !cubic);
	e.on_data = client_data;
	e.bytes = bytes;
	if (e.server)
		serve(&e);
	if (argc == 6 && strcmp(mode, "bulk") == 0)
		measure_bulk(&e, &a, n[0], (unsigned)n[1]);
	else if (argc == 5 && strcmp(mode, "rtt") == 0)
		measure_rtt(&e, &a, (size_t)n[0]);
	else if (argc == 6 && strcmp(mode, "handshakes") == 0)
		measure_handshakes(&e, &a, (size_t)n[0], (size_t)n[1]);
	else if (argc == 6 && strcmp(mode, "idle") == 0)
		measure_idle(&e, &a, (size_t)n[0], n[1]);
	else
		usage();
	endpoint_clear(&e);
	return 0;
}
