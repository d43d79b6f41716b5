/* tests/bench/bare_quic.h - QUIC by ngtcp2 and nothing more: a socket, connections, flows.
 *
 * What bare.c measures with: one thread, GSO out, GRO in, mutual raw public keys.  TLS and the
 * sizes of windows are godwit's; the socket and the loop are its own.  Whatever fails for a
 * reason that no benchmark expects ends the process. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_BENCH_BARE_QUIC_H
#define GODWIT_BENCH_BARE_QUIC_H

#include "base/heap.h"
#include "base/list.h"
#include "base/map.h"
#include "quic/quic.h"
#include "quic/tls.h"

/* The bytes of an application on their way through a flow: made, and kept until acknowledged; or
 * come, and copied out. */
struct flow_ring;

/* A bidirectional stream.  The client's first byte is `kind`; the rest are zeros. */
struct flow {
	struct list_item link;  /* of its connection */
	struct list_item ready; /* there is something to send */
	struct bare_connection *c;
	int64_t id;
	uint8_t kind;
	uint8_t *data;          /* what to send instead of zeros; freed with the flow */
	struct flow_ring *ring; /* NULL: the bytes are the same few constant ones */
	uint64_t sent, end;     /* bytes sent, and to be sent */
	uint64_t received;
};

struct bare_connection {
	struct endpoint *e;
	ngtcp2_conn *quic;
	struct tls_session tls;
	struct timer timer;
	struct list_item dirty; /* it may have something to write */
	struct list_item all;
	struct list flows, ready;
	uint64_t odcid; /* what the client called a server at first */
	bool up, closed;
};

struct endpoint_stats {
	uint64_t recv_calls, recv_datagrams, send_calls, send_datagrams, handshakes;
};

struct endpoint {
	int fd;
	bool server, gso, gro, bbr;
	bool bytes; /* flows carry those of an application */
	struct sockaddr_in local;
	struct identity identity;
	struct tls_context tls;
	struct rng rng;
	struct map by_cid;
	struct heap timers;
	struct list dirty, connections;
	uint8_t *arena;
	gw_time now;
	struct endpoint_stats stats;
	/* Bytes have come; `first`: they are the first ones of the peer's flow. */
	void (*on_data)(struct flow *f, const uint8_t *data, size_t len, bool first);
};

/* `at`: where a server listens; NULL for a client. */
void endpoint_init(struct endpoint *e, const struct sockaddr_in *at, bool bbr);
void endpoint_clear(struct endpoint *e); /* closes what is open */

struct bare_connection *bare_connect(struct endpoint *e, const struct sockaddr_in *to);
void bare_close(struct bare_connection *c); /* tells the peer, frees */

struct flow *flow_open(struct bare_connection *c, uint8_t kind);
void flow_send(struct flow *f, uint64_t len); /* so much more */
void flow_stop(struct flow *f);               /* no more than was sent */

/* Write what is due, wait until something comes or `until`, and take it. */
void endpoint_turn(struct endpoint *e, gw_time until);

gw_time bare_clock(void);
_Noreturn void bare_die(const char *what);

/* bare_flow.c, for bare_quic.c. */
size_t flow_output(struct flow *f, ngtcp2_vec vec[2]); /* what is to be sent next, or 0 */
void flow_free(struct flow *f);
int flow_data_callback(ngtcp2_conn *quic, uint32_t flags, int64_t id, uint64_t offset,
		       const uint8_t *data, size_t len, void *user, void *stream_user);
int flow_acked_callback(ngtcp2_conn *quic, int64_t id, uint64_t offset, uint64_t len, void *user,
			void *stream_user);

/* bare_quic.c, for bare_flow.c. */
void bare_check(ngtcp2_ssize rv, const char *what); /* ends the process when it is negative */
void bare_touch(struct bare_connection *c);         /* it may have something to write */

#endif
