/* io/tls_link_internal.h - what the files of a TLS link share.
 *
 * tls_link.c has the link and its life once it is open, tls_connect.c and tls_accept.c the ways to
 * get there, tls_server.c a server's certificate.
 *
 *	client  STARTING -> DIALLING -> [PROXY ->] HANDSHAKE -> ASKING -> OPEN
 *	                       ^-----------'  (once more, with other credentials)
 *	server  SNIFFING -> HANDSHAKE -> ASKED -> ANSWERING -> OPEN
 *	            '-----------------> ASKED -> REFUSING
 *
 * Each of them may end in CLOSED. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_IO_TLS_LINK_INTERNAL_H
#define GODWIT_IO_TLS_LINK_INTERNAL_H

#include <gnutls/gnutls.h>
#include <sys/types.h>

#include "io/frames.h"
#include "io/http.h"
#include "io/tcp_dial.h"
#include "io/tls_link.h"

enum { LINK_RECORD = 16384, LINK_HEAD_SIZE = 2048 };

enum link_state {
	LINK_STARTING,  /* nothing has been done yet */
	LINK_DIALLING,  /* name lookup and TCP */
	LINK_PROXY,     /* the proxy was asked to CONNECT */
	LINK_SNIFFING,  /* is it TLS that comes? */
	LINK_HANDSHAKE, /* TLS */
	LINK_ASKING,    /* the upgrade was asked for */
	LINK_ASKED,     /* a request is awaited */
	LINK_ANSWERING, /* 101 is on its way */
	LINK_REFUSING,  /* an HTTP error is; then the other side closes */
	LINK_OPEN,
	LINK_CLOSED,
};

/* Needed until the link is open.  Holds credentials: wiped. */
struct opening {
	/* of a client */
	char host[HTTP_HOST_MAX];
	uint16_t port;
	char *proxy_url, *no_proxy, *auth_file, *ca_file; /* NULL: the environment */
	gw_time address_timeout;
	struct tcp_dial *dial;
	struct proxy proxy;
	bool retried; /* after a 407 */
	/* of both */
	gw_time deadline;
	char head[LINK_HEAD_SIZE]; /* HTTP that goes out */
	size_t head_len, head_sent;
	const char *refusal; /* REFUSING: what on_closed will say */
	bool said;           /* REFUSING: our side is closed */
};

struct tls_link {
	enum link_state state;
	struct loop *loop;
	struct tls_link_events events;
	void *user;
	struct tls_server *server; /* NULL: a client */
	struct opening *opening;   /* NULL: open or closed */
	char *name;                /* of the other side, for texts */
	int fd;                    /* -1: none */
	struct loop_source *source;
	struct loop_timer
		*timer; /* opening: the deadline.  Open: what waits for the end of this iteration */
	bool flush_set; /* the timer is set to flush */
	gnutls_session_t tls;                         /* NULL: plain */
	gnutls_certificate_credentials_t credentials; /* a client's own */
	struct frame_queue tx;
	bool blocked; /* the socket is full; GnuTLS holds the record at the front of tx */
	int error;    /* it broke while sending: told from the loop */
	uint8_t *rx;  /* what has come and was not yet used; NULL: nothing */
	size_t rx_len, rx_size;
	char why[192];  /* the last failure of a call that says so */
	unsigned depth; /* calls from the loop that are on the stack */
	bool released;  /* free it when depth is 0 */
	struct tls_link_stats stats;
};

struct tls_server {
	gnutls_certificate_credentials_t credentials;
	gw_time timeout;
	size_t queue_limit;
};

/* --- tls_link.c --- */

int link_new(struct tls_link **out, struct loop *loop, const struct tls_link_events *ev, void *user,
	     gw_time timeout, size_t queue_limit);
void link_set_state(struct tls_link *l, enum link_state state);
/* Around all that the loop calls: the link stays until the outermost has left. */
void link_enter(struct tls_link *l);
void link_leave(struct tls_link *l);
/* From the loop only: on_closed. */
__attribute__((format(printf, 3, 4))) void link_fail(struct tls_link *l, int error,
						     const char *format, ...);
/* Take over a connected socket (also on failure) and wait for the events. */
int link_set_fd(struct tls_link *l, int fd, unsigned events);
void link_drop_fd(struct tls_link *l);
void link_open(struct tls_link *l);
void link_watch(struct tls_link *l, unsigned events);

/* Bytes, 0: not now, or an error, and l->why says what.  The end of the stream is GW_E_CLOSED. */
ssize_t link_read(struct tls_link *l, void *out, size_t len);
ssize_t link_write(struct tls_link *l, const void *data, size_t len);
bool link_reserve(struct tls_link *l, size_t more);
void link_used(struct tls_link *l, size_t len);

/* Put what is to be written into opening->head, then flush: 0: it is out, GW_E_AGAIN, an error with
 * l->why. */
__attribute__((format(printf, 2, 3))) void link_set_head(struct tls_link *l, const char *format,
							 ...);
int link_flush_head(struct tls_link *l);
/* Read and parse the other side's, which then begins l->rx: 0, GW_E_AGAIN, GW_E_PROTOCOL (no HTTP
 * head) or another error, with l->why. */
typedef int link_parse_fn(struct http_head *out, const uint8_t *data, size_t len);
int link_read_head(struct tls_link *l, link_parse_fn *parse, struct http_head *out);

/* A session over the socket: GNUTLS_CLIENT or GNUTLS_SERVER. */
int link_start_tls(struct tls_link *l, unsigned side, gnutls_certificate_credentials_t credentials);
/* 0: done, GW_E_AGAIN, or an error with l->why. */
int link_handshake(struct tls_link *l);

/* --- tls_connect.c, tls_accept.c: go on in the present state --- */

void connect_step(struct tls_link *l);
void accept_step(struct tls_link *l);
/* The deadline has passed. */
void connect_timed_out(struct tls_link *l);
void accept_timed_out(struct tls_link *l);

#endif
