/* tests/bench/pipe.c - the limits: an encrypted UDP pipe without any protocol, and plain TCP.
 *
 *	pipe recv ADDRESS PORT          until 300 ms of silence after the first datagram
 *	pipe send ADDRESS PORT SECONDS
 *	pipe echo ADDRESS PORT          one TCP connection
 *	pipe rtt ADDRESS PORT ROUNDS    64 bytes there and back over it
 *
 * AES-256-GCM over packets of 1,400 bytes, 44 to a GSO batch out, GRO in, one thread a side; nothing is
 * retransmitted.  All but the echo print one JSON object.  What a transport reaches is judged by the ratio to this. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <openssl/evp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

enum {
	PAYLOAD = 1400,
	COUNTER = 8,
	TAG = 16,
	PACKET = COUNTER + PAYLOAD + TAG,
	BATCH = 44,
	MESSAGES = 16,
	SOCKET_BUFFER = 4 << 20,
	MESSAGE = 64,
};

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static double cpu_seconds(void)
{
	struct rusage r;

	getrusage(RUSAGE_SELF, &r);
	return (double)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) +
	       (double)(r.ru_utime.tv_usec + r.ru_stime.tv_usec) * 1e-6;
}

static _Noreturn void die(const char *what)
{
	perror(what);
	exit(1);
}

static EVP_CIPHER_CTX *cipher_new(int encrypt)
{
	static const uint8_t key[32] = { 1, 2, 3 };
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();

	if (!c || EVP_CipherInit_ex(c, EVP_aes_256_gcm(), NULL, key, NULL, encrypt) != 1)
		die("cipher");
	return c;
}

static void set_nonce(EVP_CIPHER_CTX *c, const uint8_t *counter)
{
	uint8_t nonce[12] = { 0 };

	memcpy(nonce + 4, counter, COUNTER);
	EVP_CipherInit_ex(c, NULL, NULL, NULL, nonce, -1);
}

static void seal(EVP_CIPHER_CTX *c, uint8_t *packet, const uint8_t *payload, uint64_t counter)
{
	int n;

	memcpy(packet, &counter, COUNTER);
	set_nonce(c, packet);
	EVP_EncryptUpdate(c, NULL, &n, packet, COUNTER);
	EVP_EncryptUpdate(c, packet + COUNTER, &n, payload, PAYLOAD);
	EVP_EncryptFinal_ex(c, packet + COUNTER + n, &n);
	EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, TAG, packet + COUNTER + PAYLOAD);
}

static int unseal(EVP_CIPHER_CTX *c, uint8_t *payload, uint8_t *packet, size_t len)
{
	int n, body = (int)len - COUNTER - TAG;

	if (body <= 0)
		return -1;
	set_nonce(c, packet);
	EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_TAG, TAG, packet + COUNTER + body);
	EVP_DecryptUpdate(c, NULL, &n, packet, COUNTER);
	EVP_DecryptUpdate(c, payload, &n, packet + COUNTER, body);
	return EVP_DecryptFinal_ex(c, payload + n, &n) == 1 ? body : -1;
}

static int socket_new(int type, const char *address, const char *port, struct sockaddr_in *a)
{
	int s = socket(AF_INET, type, 0), size = SOCKET_BUFFER;

	*a = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port)) };
	if (s < 0 || inet_pton(AF_INET, address, &a->sin_addr) != 1)
		die(address);
	setsockopt(s, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	setsockopt(s, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	return s;
}

static void report(uint64_t bytes, double seconds)
{
	printf("{\"bytes\":%llu,\"seconds\":%.4f,\"gbit_s\":%.4f,\"cpu_s\":%.4f}\n",
	       (unsigned long long)bytes, seconds, seconds > 0 ? (double)bytes * 8e-9 / seconds : 0,
	       cpu_seconds());
}

static size_t gro_size(struct msghdr *h, size_t len)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR(h, c)) {
		if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO) {
			int size;

			memcpy(&size, CMSG_DATA(c), sizeof(size));
			return (size_t)size;
		}
	}
	return len;
}

static void receive(int s)
{
	static uint8_t data[MESSAGES][65536], payload[65536];
	static char control[MESSAGES][64];
	static struct mmsghdr m[MESSAGES];
	static struct iovec iov[MESSAGES];
	EVP_CIPHER_CTX *c = cipher_new(0);
	uint64_t bytes = 0;
	double first = 0, last = 0, started = now();

	for (;;) {
		for (int i = 0; i < MESSAGES; i++) {
			iov[i] = (struct iovec){ data[i], sizeof(data[i]) };
			m[i].msg_hdr = (struct msghdr){ .msg_iov = &iov[i],
							.msg_iovlen = 1,
							.msg_control = control[i],
							.msg_controllen = sizeof(control[i]) };
		}
		int got = recvmmsg(s, m, MESSAGES, MSG_WAITFORONE, NULL);
		double t = now();

		if (got <= 0) {
			if ((first > 0 && t - last > 0.3) || t - started > 60)
				break;
			continue;
		}
		if (first == 0)
			first = t;
		last = t;
		for (int i = 0; i < got; i++) {
			size_t len = m[i].msg_len, size = gro_size(&m[i].msg_hdr, len);

			for (size_t at = 0; at < len; at += size) {
				int n = unseal(c, payload, data[i] + at,
					       len - at < size ? len - at : size);

				bytes += n > 0 ? (uint64_t)n : 0;
			}
		}
	}
	report(bytes, last - first);
	EVP_CIPHER_CTX_free(c);
}

static void transmit(int s, double seconds)
{
	static uint8_t batch[BATCH * PACKET], payload[PAYLOAD];
	EVP_CIPHER_CTX *c = cipher_new(1);
	uint64_t counter = 0;
	double started = now(), t;

	do {
		for (int i = 0; i < BATCH; i++)
			seal(c, batch + i * PACKET, payload, counter++);
		while (send(s, batch, sizeof(batch), 0) < 0) {
			if (errno != ENOBUFS && errno != EAGAIN && errno != ECONNREFUSED)
				die("send");
		}
		t = now();
	} while (t - started < seconds);
	report(counter * PAYLOAD, t - started);
	EVP_CIPHER_CTX_free(c);
}

/* --- plain TCP --- */

static int tcp_accept(const char *address, const char *port)
{
	struct sockaddr_in a;
	int s = socket_new(SOCK_STREAM, address, port, &a), c;

	if (bind(s, (struct sockaddr *)&a, sizeof(a)) != 0 || listen(s, 1) != 0)
		die("listen");
	fprintf(stderr, "ready\n");
	c = accept(s, NULL, NULL);
	if (c < 0)
		die("accept");
	return c;
}

static void no_delay(int s)
{
	int on = 1;

	setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

static void echo(int s)
{
	char data[MESSAGE];
	ssize_t n;

	no_delay(s);
	while ((n = recv(s, data, sizeof(data), 0)) > 0)
		if (send(s, data, (size_t)n, 0) != n)
			die("send");
}

static int by_value(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static void round_trips(int s, size_t rounds)
{
	double *us = calloc(rounds, sizeof(*us));
	char data[MESSAGE] = { 0 };

	no_delay(s);
	for (size_t i = 0; us && i < rounds; i++) {
		double at = now();

		if (send(s, data, sizeof(data), 0) != MESSAGE ||
		    recv(s, data, sizeof(data), MSG_WAITALL) != MESSAGE)
			die("round trip");
		us[i] = (now() - at) * 1e6;
	}
	if (!us || rounds == 0)
		die("rounds");
	qsort(us, rounds, sizeof(*us), by_value);
	printf("{\"p50_us\":%.1f,\"p99_us\":%.1f,\"min_us\":%.1f,\"rounds\":%zu}\n", us[rounds / 2],
	       us[rounds * 99 / 100], us[0], rounds);
	free(us);
}

/* --- */

static int start_receiving(const char *address, const char *port)
{
	struct timeval patience = { 0, 100000 };
	struct sockaddr_in a;
	int s = socket_new(SOCK_DGRAM, address, port, &a), on = 1;

	setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (setsockopt(s, IPPROTO_UDP, UDP_GRO, &on, sizeof(on)) != 0)
		die("UDP_GRO");
	if (bind(s, (struct sockaddr *)&a, sizeof(a)) != 0)
		die("bind");
	fprintf(stderr, "ready\n");
	return s;
}

static int connected(int type, const char *address, const char *port)
{
	struct sockaddr_in a;
	int s = socket_new(type, address, port, &a), segment = PACKET;

	if (connect(s, (struct sockaddr *)&a, sizeof(a)) != 0)
		die("connect");
	if (type == SOCK_DGRAM &&
	    setsockopt(s, IPPROTO_UDP, UDP_SEGMENT, &segment, sizeof(segment)) != 0)
		die("UDP_SEGMENT");
	return s;
}

static int usage(void)
{
	fprintf(stderr, "usage: pipe recv ADDRESS PORT | pipe send ADDRESS PORT SECONDS |\n"
			"       pipe echo ADDRESS PORT | pipe rtt ADDRESS PORT ROUNDS\n");
	return 2;
}

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "";

	if (argc == 4 && strcmp(mode, "recv") == 0)
		receive(start_receiving(argv[2], argv[3]));
	else if (argc == 5 && strcmp(mode, "send") == 0)
		transmit(connected(SOCK_DGRAM, argv[2], argv[3]), atof(argv[4]));
	else if (argc == 4 && strcmp(mode, "echo") == 0)
		echo(tcp_accept(argv[2], argv[3]));
	else if (argc == 5 && strcmp(mode, "rtt") == 0)
		round_trips(connected(SOCK_STREAM, argv[2], argv[3]), strtoul(argv[4], NULL, 10));
	else
		return usage();
	return 0;
}
