/* tests/bench/hose.c - what forwarding costs: a bare echo, and the load for it and for a relay.
 *
 *	hose echo ADDRESS PORT                     the limit: GRO in, GSO out, to where it came from
 *	hose to-echo ADDRESS PORT SECONDS          packets there and back
 *	hose to-relay BEACON SECONDS               the same packets through a channel of a beacon
 *
 * The load prints one JSON object: bytes that have come back, and how long it took.  What the
 * forwarder used of a processor meanwhile is read from outside. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/udp.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "crypto/address.h"
#include "io/entropy.h"
#include "io/loop.h"
#include "quic/link.h"

enum {
	PACKET = 1409, /* a QUIC packet of 1,400 bytes in a channel */
	BATCH = 46,    /* the most that fit in one IP packet */
	MESSAGES = 16,
	SOCKET_BUFFER = 4 << 20,
	AHEAD = 24 * BATCH * PACKET, /* bytes under way: what sockets hold */
	REGISTER_MS = 10000,
};

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "hose: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int socket_new(const struct sockaddr_in *to)
{
	int s = socket(AF_INET, SOCK_DGRAM, 0), size = SOCKET_BUFFER, on = 1;

	if (s < 0)
		die("socket");
	setsockopt(s, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
	setsockopt(s, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	if (setsockopt(s, SOL_UDP, UDP_GRO, &on, sizeof(on)) != 0)
		die("UDP_GRO");
	if (to && connect(s, (const struct sockaddr *)to, sizeof(*to)) != 0)
		die("connect");
	return s;
}

static struct sockaddr_in address(const char *host, uint16_t port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };

	if (inet_pton(AF_INET, host, &a.sin_addr) != 1)
		die(host);
	return a;
}

/* --- the limit --- */

static uint16_t gro_size(struct msghdr *h, size_t len)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR(h, c)) {
		if (c->cmsg_level == SOL_UDP && c->cmsg_type == UDP_GRO) {
			int size;

			memcpy(&size, CMSG_DATA(c), sizeof(size));
			return (uint16_t)size;
		}
	}
	return (uint16_t)len;
}

static void send_back(int s, struct mmsghdr *m)
{
	char control[CMSG_SPACE(sizeof(uint16_t))] = { 0 };
	uint16_t size = gro_size(&m->msg_hdr, m->msg_len);
	struct iovec iov = { m->msg_hdr.msg_iov->iov_base, m->msg_len };
	struct msghdr out = { .msg_name = m->msg_hdr.msg_name,
			      .msg_namelen = m->msg_hdr.msg_namelen,
			      .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control,
			      .msg_controllen = sizeof(control) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&out);

	c->cmsg_level = SOL_UDP;
	c->cmsg_type = UDP_SEGMENT;
	c->cmsg_len = CMSG_LEN(sizeof(size));
	memcpy(CMSG_DATA(c), &size, sizeof(size));
	(void)sendmsg(s, &out, 0);
}

static _Noreturn void echo(const struct sockaddr_in *at)
{
	static uint8_t data[MESSAGES][65536];
	static char control[MESSAGES][64];
	static struct mmsghdr m[MESSAGES];
	static struct iovec iov[MESSAGES];
	static struct sockaddr_in from[MESSAGES];
	int s = socket_new(NULL);

	if (bind(s, (const struct sockaddr *)at, sizeof(*at)) != 0)
		die("bind");
	printf("ready\n");
	fflush(stdout);
	for (;;) {
		int got;

		for (int i = 0; i < MESSAGES; i++) {
			iov[i] = (struct iovec){ data[i], sizeof(data[i]) };
			m[i].msg_hdr = (struct msghdr){ .msg_name = &from[i],
							.msg_namelen = sizeof(from[i]),
							.msg_iov = &iov[i],
							.msg_iovlen = 1,
							.msg_control = control[i],
							.msg_controllen = sizeof(control[i]) };
		}
		got = recvmmsg(s, m, MESSAGES, MSG_WAITFORONE, NULL);
		for (int i = 0; i < got; i++)
			send_back(s, &m[i]);
	}
}

/* --- the load --- */

struct load {
	int out, in;
	uint64_t channel;
	double seconds;
	atomic_ullong sent, received;
	atomic_bool over;
};

static double now(void)
{
	return (double)loop_clock() / 1e9;
}

static void *receiver(void *user)
{
	static uint8_t data[MESSAGES][65536];
	static struct mmsghdr m[MESSAGES];
	static struct iovec iov[MESSAGES];
	struct load *l = user;

	for (int i = 0; i < MESSAGES; i++) {
		iov[i] = (struct iovec){ data[i], sizeof(data[i]) };
		m[i].msg_hdr = (struct msghdr){ .msg_iov = &iov[i], .msg_iovlen = 1 };
	}
	while (!atomic_load(&l->over)) {
		struct pollfd p = { l->in, POLLIN, 0 };
		int got =
			poll(&p, 1, 20) > 0 ? recvmmsg(l->in, m, MESSAGES, MSG_DONTWAIT, NULL) : 0;

		for (int i = 0; i < got; i++)
			if (data[i][0] == WIRE_CHANNEL)
				atomic_fetch_add(&l->received, m[i].msg_len);
	}
	return NULL;
}

static void fill(const struct load *l, uint8_t *batch)
{
	for (size_t i = 0; i < BATCH; i++)
		wire_channel_encode(batch + i * PACKET, l->channel);
}

/* What was lost is forgotten when nothing has come for a while. */
static void sender(struct load *l)
{
	static uint8_t batch[BATCH * PACKET];
	int size = PACKET;
	double started = now(), stuck = started;
	unsigned long long before = 0, lost = 0;

	fill(l, batch);
	if (setsockopt(l->out, SOL_UDP, UDP_SEGMENT, &size, sizeof(size)) != 0)
		die("UDP_SEGMENT");
	while (now() - started < l->seconds) {
		unsigned long long received = atomic_load(&l->received);

		if (received != before)
			stuck = now();
		before = received;
		if (atomic_load(&l->sent) - received - lost > AHEAD) {
			if (now() - stuck > 0.02)
				lost = atomic_load(&l->sent) - received;
			else
				usleep(20);
			continue;
		}
		if (send(l->out, batch, sizeof(batch), 0) > 0)
			atomic_fetch_add(&l->sent, sizeof(batch));
	}
}

static void run(struct load *l)
{
	pthread_t thread;
	double started = now(), seconds;

	if (pthread_create(&thread, NULL, receiver, l) != 0)
		die("thread");
	sender(l);
	seconds = now() - started;
	atomic_store(&l->over, true);
	pthread_join(thread, NULL);
	printf("{\"bytes\":%llu,\"sent\":%llu,\"seconds\":%.4f,\"gbit_s\":%.4f}\n",
	       (unsigned long long)l->received, (unsigned long long)l->sent, seconds,
	       (double)l->received * 8e-9 / seconds);
}

/* --- two clients of a beacon, and a channel between them --- */

struct client {
	struct identity id;
	struct tls_context tls;
	struct rng rng;
	struct link_host host;
	struct link *link;
	int fd;
	bool welcome;
};

static void on_up(struct link *l, gw_time at)
{
	const struct client *c = l->host->user;
	struct wire_claim claim = { .incarnation = 1, .started_ms = loop_wall_clock_ms() };
	struct beacon_frame f = { .type = BEACON_ATTEND };

	(void)at;
	wire_claim_encode(f.attend.claim, &claim);
	identity_sign(&c->id, CLAIM_CONTEXT, f.attend.claim, WIRE_CLAIM_SIGNED,
		      f.attend.claim + WIRE_CLAIM_SIGNED);
	f.attend.version = PROTOCOL_VERSION;
	f.attend.flags = ATTEND_REGISTER;
	link_send(l, &f);
}

static void on_frame(struct link *l, const struct beacon_frame *f, gw_time at)
{
	struct client *c = l->host->user;

	(void)at;
	c->welcome = c->welcome || f->type == BEACON_WELCOME;
	if (f->type == BEACON_CLOSE) {
		fprintf(stderr, "hose: the beacon has closed the channel\n");
		exit(1);
	}
}

static void on_closed(struct link *l, gw_time at)
{
	(void)at;
	fprintf(stderr, "hose: no connection to the beacon: %s\n", error_text(l->error));
	exit(1);
}

static void client_init(struct client *c, const struct beacon_name *b, const struct sockaddr_in *to)
{
	struct path path = { 0 };

	c->fd = socket_new(to);
	identity_generate(&c->id);
	entropy_init(&c->rng);
	c->host = (struct link_host){ .rng = &c->rng,
				      .tls = &c->tls,
				      .on_up = on_up,
				      .on_frame = on_frame,
				      .on_closed = on_closed,
				      .user = c };
	addr_from_sockaddr(&path.remote, (const struct sockaddr *)to, sizeof(*to));
	if (tls_init(&c->tls, &c->id) < 0 || link_host_init(&c->host) < 0)
		die("TLS");
	c->link = link_dial(&c->host, b->key, &path, loop_clock());
	if (!c->link)
		die("dial");
}

static void turn(struct client *c)
{
	static uint8_t data[BATCH_CAPACITY_MIN];
	struct batch b = { .data = data, .capacity = sizeof(data) };
	struct path from = c->link->path;
	ssize_t n;

	while ((n = recv(c->fd, data, sizeof(data), MSG_DONTWAIT)) > 0)
		if (data[0] & 0x40)
			link_receive(&c->host, &from, data, (size_t)n, loop_clock());
	link_expire(&c->host, loop_clock());
	while (link_transmit(&c->host, &b, loop_clock()))
		(void)send(c->fd, b.data, b.len, 0);
}

static void settle(struct client c[2], bool registered)
{
	gw_time until = loop_clock() + REGISTER_MS * GW_MSEC;
	bool quiet = false;

	while (!quiet) {
		struct pollfd p[2] = { { c[0].fd, POLLIN, 0 }, { c[1].fd, POLLIN, 0 } };

		turn(&c[0]);
		turn(&c[1]);
		poll(p, 2, 1);
		quiet = c[0].welcome && c[1].welcome &&
			(!registered || c[0].link->outstanding_since == GW_NEVER);
		if (loop_clock() > until) {
			fprintf(stderr, "hose: not registered\n");
			exit(1);
		}
	}
}

static void to_relay(const char *beacon, double seconds)
{
	static struct client c[2];
	static struct load l;
	struct beacon_frame f = { .type = BEACON_OPEN };
	struct sockaddr_in to;
	struct beacon_name b;
	const char *why;

	if (crypto_init() < 0 || beacon_parse(&b, beacon, &why) < 0)
		die(beacon);
	to = address(b.host, b.udp_port);
	client_init(&c[0], &b, &to);
	client_init(&c[1], &b, &to);
	settle(c, false);
	f.open.channel = l.channel = rng_u64(&c[0].rng);
	memcpy(f.open.key, c[1].id.key, KEY_SIZE);
	link_send(c[0].link, &f);
	settle(c, true);
	l.out = c[0].fd;
	l.in = c[1].fd;
	l.seconds = seconds;
	run(&l);
}

static void to_echo(const struct sockaddr_in *to, double seconds)
{
	static struct load l;

	l.out = l.in = socket_new(to);
	l.seconds = seconds;
	run(&l);
}

int main(int argc, char **argv)
{
	struct sockaddr_in a;

	if (argc == 4 && strcmp(argv[1], "to-relay") == 0) {
		to_relay(argv[2], atof(argv[3]));
		return 0;
	}
	if (argc < 4) {
		fprintf(stderr,
			"usage: hose echo ADDRESS PORT | hose to-echo ADDRESS PORT SECONDS | "
			"hose to-relay BEACON SECONDS\n");
		return 2;
	}
	a = address(argv[2], (uint16_t)atoi(argv[3]));
	if (strcmp(argv[1], "echo") == 0)
		echo(&a);
	to_echo(&a, argc > 4 ? atof(argv[4]) : 1);
	return 0;
}
