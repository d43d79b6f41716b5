/* tests/unit/io_tls_pair.h - a beacon's TLS port and a client of it, over loopback.
 *
 * Each side has a loop of its own, so that one of them can be made slow. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_TEST_IO_TLS_PAIR_H
#define GODWIT_TEST_IO_TLS_PAIR_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "io/tls_link.h"

struct pair;

/* One side's link, and what became of it. */
struct end {
	struct pair *pair;
	struct tls_link *link;
	bool opened, closed;
	int error;
	char text[TLS_LINK_TEXT_MAX];
	size_t count, bytes; /* datagrams that came */
	size_t last;         /* size of the last one */
	bool damaged;        /* one was not as pattern() makes it */
	bool echo;           /* send each back */
	/* Close the link from inside that callback. */
	bool close_on_open, close_on_closed, close_on_datagram;
};

struct pair {
	struct loop *loop, *beacon_loop;
	struct tls_server *server;
	int listen_fd;
	struct loop_source *accepting;
	uint16_t port;
	unsigned accepted;
	struct end client, beacon; /* the beacon's is the last one accepted */
	struct tls_link_config config;
	/* PEM, self-signed for "beacon.test" and 127.0.0.1; "other" is nobody's */
	char directory[64], certificate[96], key[96], other[96];
};

/* Run both loops until the condition holds; much longer than it should take is a failure. */
#define RUN_UNTIL(p, condition)                                                                    \
	do {                                                                                       \
		gw_time limit_ = loop_clock() + 60 * GW_SEC;                                       \
		while (!(condition)) {                                                             \
			assert_true(loop_clock() < limit_);                                        \
			pair_run(p);                                                               \
		}                                                                                  \
	} while (0)

int pair_setup(void **state); /* *state: a struct pair with a beacon that listens */
int pair_teardown(void **state);
void pair_run(struct pair *p);

/* With p->config, which begins as the beacon's address and no proxy. */
void pair_connect(struct pair *p);
/* Connect, and wait until both are open. */
void pair_open(struct pair *p);
/* Connect, and wait until it fails: with that error, and that in its text. */
void pair_fails(struct pair *p, int error, const char *text);
void end_close(struct end *e);
/* The beacon's settings, anew. */
void pair_serve(struct pair *p, const struct tls_server_config *c);

/* A loopback socket that listens, on a port of the system's choice. */
int listen_anywhere(uint16_t *port, int backlog);
/* A blocking connection to it. */
int connect_to(uint16_t port);

/* Bytes that tell which datagram they belong to. */
void pattern(uint8_t *out, size_t len, size_t which);

#endif
