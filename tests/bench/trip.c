/* tests/bench/trip.c - round trips over TCP, through whatever lies in between.
 *
 *	trip echo ADDRESS PORT               sends back what comes, a process for each connection
 *	trip ping ADDRESS PORT COUNT EVERY   64 bytes there and back; EVERY microseconds, 0: back to back
 *	trip first ADDRESS PORT SECONDS      a new attempt every few milliseconds, until a byte has come back
 *
 * ping prints one JSON object: microseconds of the median and of the 99th percentile. first prints
 * when the byte came (CLOCK_MONOTONIC), and needs nothing to be there when it starts. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
	SIZE = 64,
	WARM = 100,        /* round trips that do not count */
	ATTEMPTS = 400,    /* at most, at a time */
	ATTEMPT_EVERY = 5, /* milliseconds */
};

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "trip: %s: %s\n", what, strerror(errno));
	exit(1);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void sleep_until(double at)
{
	struct timespec t = { .tv_sec = (time_t)at,
			      .tv_nsec = (long)((at - (double)(time_t)at) * 1e9) };

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR)
		;
}

static struct addrinfo *address(const char *host, const char *port)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST }, *a;

	if (getaddrinfo(host, port, &hints, &a) != 0)
		die(host);
	return a;
}

static int tcp(const struct addrinfo *a, int flags)
{
	int s = socket(a->ai_family, SOCK_STREAM | flags, 0), on = 1;

	if (s < 0)
		die("socket");
	setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return s;
}

static _Noreturn void echo(const struct addrinfo *a)
{
	int s = tcp(a, 0), on = 1, c;
	char data[4096];
	ssize_t n;

	signal(SIGCHLD, SIG_IGN);
	setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(s, a->ai_addr, a->ai_addrlen) != 0 || listen(s, ATTEMPTS) != 0)
		die("listen");
	for (;;) {
		c = accept(s, NULL, NULL);
		if (c >= 0 && fork() == 0) {
			close(s);
			setsockopt(c, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
			while ((n = read(c, data, sizeof(data))) > 0 &&
			       write(c, data, (size_t)n) == n)
				;
			_exit(0);
		}
		if (c >= 0)
			close(c);
	}
}

static double round_trip(int s)
{
	char data[SIZE] = { 0 };
	double start = now();

	if (write(s, data, SIZE) != SIZE || recv(s, data, SIZE, MSG_WAITALL) != SIZE)
		die("the connection ended");
	return now() - start;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void ping(const struct addrinfo *a, size_t count, double every)
{
	double *took = calloc(count, sizeof(*took));
	int s = tcp(a, 0);

	if (!took || connect(s, a->ai_addr, a->ai_addrlen) != 0)
		die("connect");
	for (size_t i = 0; i < WARM + count; i++) {
		double start = now(), t = round_trip(s);

		if (i >= WARM)
			took[i - WARM] = t;
		if (every > 0)
			sleep_until(start + every);
	}
	qsort(took, count, sizeof(*took), compare);
	printf("{\"p50_us\": %.1f, \"p99_us\": %.1f}\n", took[count / 2] * 1e6,
	       took[count * 99 / 100] * 1e6);
	free(took);
}

/* One step of an attempt: connected, then written, then read. True once the byte is back. */
static bool attempt_step(struct pollfd *p)
{
	char c = 'x';

	if (p->events == POLLOUT && (p->revents & (POLLERR | POLLHUP)) == 0 &&
	    write(p->fd, &c, 1) == 1) {
		p->events = POLLIN;
		return false;
	}
	if (p->events == POLLIN && read(p->fd, &c, 1) == 1)
		return true;
	close(p->fd);
	p->fd = -1; /* poll() passes over it */
	return false;
}

static bool first(const struct addrinfo *a, double seconds)
{
	static struct pollfd attempts[ATTEMPTS];
	double end = now() + seconds;

	for (size_t i = 0; i < ATTEMPTS; i++)
		attempts[i].fd = -1;
	for (size_t n = 0; now() < end; n = (n + 1) % ATTEMPTS) {
		double next = now() + ATTEMPT_EVERY * 1e-3;

		if (attempts[n].fd >= 0)
			close(attempts[n].fd);
		attempts[n] = (struct pollfd){ .fd = tcp(a, SOCK_NONBLOCK), .events = POLLOUT };
		if (connect(attempts[n].fd, a->ai_addr, a->ai_addrlen) != 0 &&
		    errno != EINPROGRESS) {
			close(attempts[n].fd);
			attempts[n].fd = -1;
		}
		while (now() < next) {
			struct timespec wait = { .tv_nsec = (long)((next - now()) * 1e9) };

			if (wait.tv_nsec <= 0 || ppoll(attempts, ATTEMPTS, &wait, NULL) <= 0)
				break;
			for (size_t i = 0; i < ATTEMPTS; i++)
				if (attempts[i].fd >= 0 && attempts[i].revents != 0 &&
				    attempt_step(&attempts[i]))
					return true;
		}
	}
	return false;
}

int main(int argc, char **argv)
{
	struct addrinfo *a;

	signal(SIGPIPE, SIG_IGN);
	if (argc < 4)
		return 2;
	a = address(argv[2], argv[3]);
	if (strcmp(argv[1], "echo") == 0)
		echo(a);
	if (strcmp(argv[1], "ping") == 0 && argc == 6)
		ping(a, strtoul(argv[4], NULL, 10), atof(argv[5]) * 1e-6);
	else if (strcmp(argv[1], "first") == 0 && argc == 5 && first(a, atof(argv[4])))
		printf("%.6f\n", now());
	else
		return 1;
	freeaddrinfo(a);
	return 0;
}
