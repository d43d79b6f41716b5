/* SPDX-License-Identifier: Apache-2.0 */
/* flood SOURCE BITS TO PORT RATE SECONDS FILE AT LEN - UDP datagrams with forged sources.
 *
 * FILE holds datagrams, two bytes of length before each; they are sent in turn, RATE a second (0:
 * as many as can be), from random ports of random addresses in SOURCE/BITS.  LEN bytes of each,
 * from AT on, are random, too: "6 16" makes a new connection id of an Initial.  Prints "flooding",
 * and in the end "sent N".  Needs CAP_NET_RAW. */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BATCH = 64, DATAGRAM_MAX = 1472, HEADERS = sizeof(struct iphdr) + sizeof(struct udphdr) };

struct packet {
	struct iphdr ip;
	struct udphdr udp;
	uint8_t data[DATAGRAM_MAX];
};

struct flood {
	int fd;
	struct sockaddr_in to;
	uint32_t network, hosts; /* of the sources, host byte order */
	double rate, seconds;
	size_t random_at, random_len;
	uint64_t seed;
	uint8_t *file; /* all of it */
	size_t size, next;
};

static struct packet packets[BATCH];

/* xorshift64* */
static uint64_t draw(struct flood *f)
{
	f->seed ^= f->seed >> 12;
	f->seed ^= f->seed << 25;
	f->seed ^= f->seed >> 27;
	return f->seed * UINT64_C(0x2545f4914f6cdd1d);
}

static double clock_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void read_file(struct flood *f, const char *path)
{
	FILE *in = fopen(path, "rb");
	long size;

	if (!in || fseek(in, 0, SEEK_END) < 0 || (size = ftell(in)) <= 2)
		err(1, "%s", path);
	rewind(in);
	f->size = (size_t)size;
	f->file = malloc(f->size);
	if (!f->file || fread(f->file, 1, f->size, in) != f->size)
		err(1, "%s", path);
	fclose(in);
}

/* The length of the next datagram, which is copied to `out`. */
static size_t take(struct flood *f, uint8_t out[DATAGRAM_MAX])
{
	size_t len;

	if (f->next + 2 > f->size)
		f->next = 0;
	len = (size_t)(f->file[f->next] << 8 | f->file[f->next + 1]);
	if (len > DATAGRAM_MAX || f->next + 2 + len > f->size)
		errx(1, "the file is no list of datagrams");
	memcpy(out, f->file + f->next + 2, len);
	f->next += 2 + len;
	return len;
}

static size_t fill(struct flood *f, struct packet *p)
{
	uint64_t place = draw(f);
	size_t len = take(f, p->data);

	for (size_t i = 0; i < f->random_len && f->random_at + i < len; i++)
		p->data[f->random_at + i] = (uint8_t)(draw(f) >> 32);
	/* The kernel fills in the length and the checksum of IP; UDP goes without one. */
	p->ip = (struct iphdr){ .version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_UDP };
	p->ip.saddr = htonl(f->network | ((uint32_t)place & f->hosts));
	p->ip.daddr = f->to.sin_addr.s_addr;
	p->udp.uh_sport = htons((uint16_t)(1024 + (place >> 32) % 60000));
	p->udp.uh_dport = f->to.sin_port;
	p->udp.uh_ulen = htons((uint16_t)(sizeof(struct udphdr) + len));
	p->udp.uh_sum = 0;
	return HEADERS + len;
}

static size_t send_batch(struct flood *f)
{
	struct mmsghdr msgs[BATCH] = { 0 };
	struct iovec iov[BATCH];
	struct sockaddr_in to = f->to;
	int n;

	to.sin_port = 0;
	for (size_t i = 0; i < BATCH; i++) {
		iov[i] = (struct iovec){ &packets[i], fill(f, &packets[i]) };
		msgs[i].msg_hdr.msg_iov = &iov[i];
		msgs[i].msg_hdr.msg_iovlen = 1;
		msgs[i].msg_hdr.msg_name = &to;
		msgs[i].msg_hdr.msg_namelen = sizeof(to);
	}
	n = sendmmsg(f->fd, msgs, BATCH, 0);
	if (n < 0 && errno != ENOBUFS && errno != EAGAIN && errno != EINTR)
		err(1, "sendmmsg");
	return n > 0 ? (size_t)n : 0;
}

static size_t run(struct flood *f)
{
	double begin = clock_s(), now = begin;
	size_t sent = 0;

	printf("flooding\n");
	fflush(stdout);
	while (now - begin < f->seconds) {
		double ahead = f->rate > 0 ? (double)sent / f->rate - (now - begin) : 0;

		if (ahead > 0)
			usleep((useconds_t)(ahead * 1e6) + 1);
		else
			sent += send_batch(f);
		now = clock_s();
	}
	return sent;
}

int main(int argc, char **argv)
{
	struct flood f = { .seed = (uint64_t)time(NULL) << 20 | 1 };
	struct in_addr source;

	if (argc != 10 || inet_aton(argv[1], &source) == 0 ||
	    inet_aton(argv[3], &f.to.sin_addr) == 0)
		errx(2, "usage: flood SOURCE BITS TO PORT RATE SECONDS FILE AT LEN");
	f.hosts = atoi(argv[2]) < 32 ? UINT32_MAX >> atoi(argv[2]) : 0;
	f.network = ntohl(source.s_addr) & ~f.hosts;
	f.to.sin_family = AF_INET;
	f.to.sin_port = htons((uint16_t)atoi(argv[4]));
	f.rate = atof(argv[5]);
	f.seconds = atof(argv[6]);
	f.random_at = (size_t)atoi(argv[8]);
	f.random_len = (size_t)atoi(argv[9]);
	read_file(&f, argv[7]);
	f.fd = socket(AF_INET, SOCK_RAW, IPPROTO_RAW);
	if (f.fd < 0)
		err(1, "a raw socket");
	printf("sent %zu\n", run(&f));
	free(f.file);
	return 0;
}
