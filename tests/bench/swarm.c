/* tests/bench/swarm.c - many nodes that are at home at one beacon.
 *
 *	swarm BEACON NODES SOURCES
 *
 * Each node is a real session (src/quic/link.c): a key of its own, a QUIC handshake, ATTEND with a
 * signed claim, a published record, keep-alives; and it does as a node does when the beacon falls
 * silent (src/core/beacons.c).  They share SOURCES sockets at 127.1.x.y, since a beacon has limits
 * for each address.  Commands come by standard input, one a line:
 *
 *	join WINDOW              dial, at most WINDOW at once, until all are registered
 *	lookup SECONDS WINDOW    ask for random records, WINDOW questions at once
 *	idle SECONDS             do nothing but stay
 *	await SECONDS            the beacon has died: wait until all have found out and are registered anew
 *	herd SECONDS             the same, but all find out at this moment
 *	quit
 *
 * Each prints one JSON object when it is done. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/error.h"
#include "base/heap.h"
#include "crypto/address.h"
#include "io/entropy.h"
#include "io/loop.h"
#include "io/udp.h"
#include "quic/link.h"

#define SWEEP (20 * GW_MSEC)
#define DROP_AFTER (5 * GW_SEC) /* of silence beyond the suspicious one, as in src/core */
#define REDIAL_MAX (60 * GW_SEC)

/* Dialled in one sweep: a process that plays so many nodes must not drown in its own work. */
enum { DIALS_MAX = 60, RECEIVES = 2, LIFETIME_S = 86400, LINE_SIZE = 128 };

enum phase { PHASE_NONE, PHASE_JOIN, PHASE_LOOKUP, PHASE_IDLE, PHASE_STORM };

struct node {
	struct identity id;
	struct tls_context tls;
	struct link *link; /* NULL: none */
	uint32_t via;
	uint64_t incarnation, started_ms;
	gw_time redial_at;
	unsigned failures;
	bool registered; /* its record is stored */
	double took;     /* seconds from the phase's begin until then */
};

struct source {
	struct swarm *swarm;
	struct udp *udp;
	struct loop_source *watch;
	uint32_t via;
};

struct swarm {
	struct beacon_name beacon;
	struct addr at;
	struct node *nodes;
	size_t n_nodes, n_sources;
	struct source *sources;
	struct rng rng;
	struct loop *loop;
	struct loop_timer *timer, *sweep;
	struct link_host links;
	struct batch batch;
	bool flushing;

	enum phase phase;
	gw_time began, until;
	size_t window, next_node; /* JOIN */
	size_t first;
	size_t dialling, n_registered;
	uint64_t dials, refused, lookups, found, sent, received;
	double cpu;
};

static double cpu_seconds(void)
{
	struct rusage r;

	getrusage(RUSAGE_SELF, &r);
	return (double)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) +
	       (double)(r.ru_utime.tv_usec + r.ru_stime.tv_usec) * 1e-6;
}

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "swarm: %s\n", what);
	exit(1);
}

/* --- what a node says --- */

static void attend(const struct node *n)
{
	struct wire_claim claim = { .incarnation = n->incarnation, .started_ms = n->started_ms };
	struct beacon_frame f = { .type = BEACON_ATTEND };

	wire_claim_encode(f.attend.claim, &claim);
	identity_sign(&n->id, CLAIM_CONTEXT, f.attend.claim, WIRE_CLAIM_SIGNED,
		      f.attend.claim + WIRE_CLAIM_SIGNED);
	f.attend.version = PROTOCOL_VERSION;
	f.attend.flags = ATTEND_REGISTER;
	link_send(n->link, &f);
}

/* A home and a spare, as most records have. */
static void publish(const struct swarm *s, const struct node *n)
{
	struct wire_record r = { .lifetime_s = LIFETIME_S, .n_homes = 2 };
	struct beacon_frame f = { .type = BEACON_PUBLISH };
	uint8_t bytes[WIRE_RECORD_MAX];
	size_t len;

	memcpy(r.key, n->id.key, KEY_SIZE);
	r.sequence = n->started_ms;
	for (size_t i = 0; i < r.n_homes; i++) {
		memcpy(r.homes[i].key, s->beacon.key, KEY_SIZE);
		r.homes[i].udp_port = s->beacon.udp_port;
		memcpy(r.homes[i].host, s->beacon.host, strlen(s->beacon.host) + 1);
	}
	len = wire_record_encode(bytes, &r);
	identity_sign(&n->id, RECORD_CONTEXT, bytes, len - SIGNATURE_SIZE,
		      bytes + len - SIGNATURE_SIZE);
	f.publish.request = 1;
	f.publish.record = bytes;
	f.publish.record_len = len;
	link_send(n->link, &f);
}

static void ask(struct swarm *s)
{
	const struct node *asker = &s->nodes[rng_below(&s->rng, s->n_nodes)];
	const struct node *wanted = &s->nodes[rng_below(&s->rng, s->n_nodes)];
	struct beacon_frame f = { .type = BEACON_LOOKUP };

	if (!asker->link)
		die("a node has lost its beacon");
	f.lookup.request = 2;
	memcpy(f.lookup.key, wanted->id.key, KEY_SIZE);
	link_send(asker->link, &f);
}

/* --- its connection --- */

static void dial(struct swarm *s, struct node *n, gw_time now)
{
	struct path path = { .remote = s->at, .via = n->via };

	n->redial_at = GW_NEVER;
	if (!n->tls.credentials && tls_init(&n->tls, &n->id) < 0)
		die("TLS");
	s->links.tls = &n->tls;
	n->link = link_dial(&s->links, s->beacon.key, &path, now);
	if (!n->link)
		die("out of memory");
	n->link->user = n;
	s->dialling++;
	s->dials++;
}

static void join_more(struct swarm *s, gw_time now)
{
	while (s->next_node < s->n_nodes && s->dialling < s->window)
		dial(s, &s->nodes[s->next_node++], now);
}

static void redial_later(struct swarm *s, struct node *n, gw_time now)
{
	gw_time gap = n->failures > 6 ? REDIAL_MAX : GW_SEC << n->failures;

	gap = gap < REDIAL_MAX ? gap : REDIAL_MAX;
	gap = n->failures == 0 ? rng_below(&s->rng, GW_SEC) : gap / 2 + rng_below(&s->rng, gap);
	n->failures++;
	n->redial_at = now + gap;
}

static void unregister(struct swarm *s, struct node *n)
{
	if (n->registered)
		s->n_registered--;
	n->registered = false;
}

static void on_up(struct link *l, gw_time now)
{
	(void)now;
	attend(l->user);
}

static void on_result(struct swarm *s, struct node *n, const struct beacon_frame *f)
{
	if (f->result.request == 2) {
		s->lookups++;
		if (s->phase == PHASE_LOOKUP)
			ask(s);
		return;
	}
	if (f->result.status != RESULT_OK && f->result.status != RESULT_OLDER) {
		s->refused++;
		return;
	}
	if (n->registered)
		return;
	n->registered = true;
	n->took = (double)(loop_clock() - s->began) / 1e9;
	n->failures = 0;
	s->n_registered++;
	s->dialling--;
	if (s->phase == PHASE_JOIN)
		join_more(s, loop_clock());
}

static void on_frame(struct link *l, const struct beacon_frame *f, gw_time now)
{
	struct swarm *s = l->host->user;
	struct node *n = l->user;

	(void)now;
	if (f->type == BEACON_WELCOME)
		publish(s, n);
	else if (f->type == BEACON_RESULT)
		on_result(s, n, f);
	else if (f->type == BEACON_RECORD) {
		s->found++;
		s->lookups++;
		if (s->phase == PHASE_LOOKUP)
			ask(s);
	}
}

static void on_closed(struct link *l, gw_time now)
{
	struct swarm *s = l->host->user;
	struct node *n = l->user;

	if (!n)
		return;
	if (!n->registered)
		s->dialling--;
	unregister(s, n);
	n->link = NULL;
	redial_later(s, n, now);
}

/* --- sockets --- */

static void flush(struct swarm *s)
{
	gw_time now = loop_clock();

	if (link_expiry(&s->links) <= now)
		link_expire(&s->links, now);
	while (link_transmit(&s->links, &s->batch, now)) {
		const struct batch *b = &s->batch;
		struct udp *u = s->sources[b->path.via].udp;

		s->sent++;
		if (udp_send(u, &b->path, b->data, b->len, b->segment) == GW_E_AGAIN)
			udp_forget(u);
	}
	loop_timer_set(s->timer, link_expiry(&s->links));
}

static void on_datagram(void *user, const struct path *path, const uint8_t *data, size_t len)
{
	struct source *from = user;
	struct path here = { .remote = path->remote, .via = from->via };

	from->swarm->received++;
	link_receive(&from->swarm->links, &here, data, len, loop_clock());
}

static void on_udp(void *user, int fd, unsigned events)
{
	struct source *from = user;

	(void)fd;
	(void)events;
	udp_receive(from->udp, RECEIVES, on_datagram, from);
	flush(from->swarm);
}

static void on_timer(void *user)
{
	flush(user);
}

/* --- phases --- */

static void begin(struct swarm *s, enum phase phase, double seconds)
{
	s->phase = phase;
	s->began = loop_clock();
	s->until = s->began + (gw_time)(seconds * 1e9);
	s->dials = s->refused = s->lookups = s->found = s->sent = s->received = 0;
	s->cpu = cpu_seconds();
}

static int compare(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static void print_times(const struct swarm *s)
{
	double *took = calloc(s->n_nodes, sizeof(*took));

	if (!took)
		die("out of memory");
	for (size_t i = 0; i < s->n_nodes; i++)
		took[i] = s->nodes[i].took;
	qsort(took, s->n_nodes, sizeof(*took), compare);
	printf("\"p50_s\":%.2f,\"p90_s\":%.2f,\"p99_s\":%.2f,\"max_s\":%.2f,", took[s->n_nodes / 2],
	       took[s->n_nodes * 9 / 10], took[s->n_nodes * 99 / 100], took[s->n_nodes - 1]);
	free(took);
}

static void end(struct swarm *s)
{
	double seconds = (double)(loop_clock() - s->began) / 1e9;

	printf("{");
	if (s->phase == PHASE_STORM)
		print_times(s);
	s->phase = PHASE_NONE;
	printf("\"seconds\":%.3f,\"nodes\":%zu,\"registered\":%zu,\"dials\":%llu,\"refused\":%llu,"
	       "\"lookups\":%llu,\"found\":%llu,\"sent\":%llu,\"received\":%llu,\"cpu_s\":%.3f}\n",
	       seconds, s->n_nodes, s->n_registered, (unsigned long long)s->dials,
	       (unsigned long long)s->refused, (unsigned long long)s->lookups,
	       (unsigned long long)s->found, (unsigned long long)s->sent,
	       (unsigned long long)s->received, cpu_seconds() - s->cpu);
	fflush(stdout);
}

static void lose(struct node *n, gw_time now)
{
	if (n->link)
		link_close(n->link, CLOSE_NONE, GW_E_UNREACHABLE, NULL, 0, now);
}

static void look_after(struct swarm *s, struct node *n, size_t *dials, gw_time now)
{
	gw_time silent = n->link ? link_silent_at(n->link) : GW_NEVER;

	if (silent != GW_NEVER && n->link->state == LINK_UP && now >= silent + DROP_AFTER)
		lose(n, now);
	if (now >= n->redial_at && *dials < DIALS_MAX) {
		dial(s, n, now);
		(*dials)++;
	}
}

static void on_sweep(void *user)
{
	struct swarm *s = user;
	gw_time now = loop_clock();
	size_t dials = 0;
	bool all;

	for (size_t i = 0; i < s->n_nodes; i++)
		look_after(s, &s->nodes[(s->first + i) % s->n_nodes], &dials, now);
	s->first = (s->first + 7919) % s->n_nodes; /* nobody is always last */
	if (s->phase == PHASE_JOIN)
		join_more(s, now);
	flush(s);
	all = s->n_registered == s->n_nodes && (s->phase == PHASE_JOIN || s->phase == PHASE_STORM);
	if (s->phase != PHASE_NONE && (all || now >= s->until))
		end(s);
	loop_timer_set(s->sweep, now + SWEEP);
}

static void command(struct swarm *s, const char *line)
{
	double seconds = 0;
	size_t window = 0;

	if (sscanf(line, "join %zu", &window) == 1) {
		begin(s, PHASE_JOIN, 600);
		s->window = window;
		join_more(s, loop_clock());
	} else if (sscanf(line, "lookup %lf %zu", &seconds, &window) == 2) {
		begin(s, PHASE_LOOKUP, seconds);
		for (size_t i = 0; i < window; i++)
			ask(s);
	} else if (sscanf(line, "idle %lf", &seconds) == 1) {
		begin(s, PHASE_IDLE, seconds);
	} else if (sscanf(line, "await %lf", &seconds) == 1 ||
		   sscanf(line, "herd %lf", &seconds) == 1) {
		begin(s, PHASE_STORM, seconds);
		s->dialling += s->n_registered;
		for (size_t i = 0; i < s->n_nodes; i++) {
			unregister(s, &s->nodes[i]);
			if (line[0] == 'h')
				lose(&s->nodes[i], loop_clock());
		}
	} else if (strncmp(line, "quit", 4) == 0) {
		loop_stop(s->loop);
	} else {
		die("no such command");
	}
	flush(s);
}

static void on_input(void *user, int fd, unsigned events)
{
	char line[LINE_SIZE];

	(void)fd;
	(void)events;
	/* Unbuffered: one line, one event. */
	command(user, fgets(line, sizeof(line), stdin) ? line : "quit");
}

/* --- start --- */

static void make_nodes(struct swarm *s)
{
	s->nodes = calloc(s->n_nodes, sizeof(*s->nodes));
	if (!s->nodes)
		die("out of memory");
	for (size_t i = 0; i < s->n_nodes; i++) {
		struct node *n = &s->nodes[i];

		identity_generate(&n->id);
		n->via = (uint32_t)(i % s->n_sources);
		n->incarnation = rng_u64(&s->rng);
		n->started_ms = loop_wall_clock_ms();
		n->redial_at = GW_NEVER;
	}
}

static void open_sources(struct swarm *s)
{
	s->sources = calloc(s->n_sources, sizeof(*s->sources));
	if (!s->sources)
		die("out of memory");
	for (size_t i = 0; i < s->n_sources; i++) {
		struct source *from = &s->sources[i];
		struct addr at = { .family = ADDR_V4,
				   .ip = { 127, 1, (uint8_t)(i / 250), (uint8_t)(i % 250 + 1) } };

		from->swarm = s;
		from->via = (uint32_t)i;
		if (udp_open(&from->udp, &at) < 0)
			die("cannot open a socket");
		from->watch = loop_add(s->loop, udp_fd(from->udp), LOOP_IN, on_udp, from);
		if (!from->watch)
			die("out of memory");
	}
}

static void start(struct swarm *s)
{
	entropy_init(&s->rng);
	s->batch.capacity = BATCH_CAPACITY_MIN;
	s->batch.data = malloc(s->batch.capacity);
	s->links = (struct link_host){ .rng = &s->rng,
				       .on_up = on_up,
				       .on_frame = on_frame,
				       .on_closed = on_closed,
				       .user = s };
	if (!s->batch.data || loop_new(&s->loop) < 0 || link_host_init(&s->links) < 0)
		die("out of memory");
	s->timer = loop_timer_new(s->loop, on_timer, s);
	s->sweep = loop_timer_new(s->loop, on_sweep, s);
	if (!s->timer || !s->sweep || !loop_add(s->loop, 0, LOOP_IN, on_input, s))
		die("cannot start");
	open_sources(s);
	make_nodes(s);
	loop_timer_set(s->sweep, loop_clock());
}

int main(int argc, char **argv)
{
	struct swarm *s = calloc(1, sizeof(*s));
	const char *why;

	if (argc != 4 || !s || crypto_init() < 0) {
		fprintf(stderr, "usage: swarm BEACON NODES SOURCES\n");
		return 2;
	}
	if (beacon_parse(&s->beacon, argv[1], &why) < 0 ||
	    addr_parse_host(&s->at, s->beacon.host, s->beacon.udp_port) < 0)
		die("a beacon at an IP address is wanted");
	s->n_nodes = strtoul(argv[2], NULL, 10);
	s->n_sources = strtoul(argv[3], NULL, 10);
	setvbuf(stdin, NULL, _IONBF, 0);
	start(s);
	loop_run(s->loop);
	return 0;
}
