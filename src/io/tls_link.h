/* io/tls_link.h - datagrams over TLS 1.3 over TCP, for where UDP is blocked.
 *
 * Client: TCP (through an HTTP proxy where the settings name one), TLS, "GET /godwit" with
 * "Upgrade: godwit", 101; from then on each datagram travels behind two bytes of length.
 * What travels inside authenticates the other side; the outer certificate only satisfies
 * middleboxes and is verified only against a CA file that somebody gave.
 *
 * A link drops rather than queues: no call blocks, none waits for the network. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_IO_TLS_LINK_H
#define GODWIT_IO_TLS_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "io/loop.h"
#include "io/proxy.h"

struct tls_link;
struct tls_server;

enum {
	TLS_LINK_DATAGRAM_MAX = 65535,
	TLS_LINK_PORT = 443,
	TLS_LINK_QUEUE = 65536,
	TLS_LINK_TEXT_MAX = 512,
};
#define TLS_LINK_TIMEOUT (10 * GW_SEC)
#define TLS_LINK_ADDRESS_TIMEOUT (2 * GW_SEC)

/* They may do anything with the link, tls_link_close() included. */
struct tls_link_events {
	void (*on_open)(void *user);
	/* It could not be opened, or it broke: why, in one line without secrets.  Comes at most once;
	 * nothing comes after it, but the link remains to be closed. */
	void (*on_closed)(void *user, int error, const char *text);
	/* `data` is valid during the call. */
	void (*on_datagram)(void *user, const uint8_t *data, size_t len);
};

/* Zero: the default.  All of it is copied. */
struct tls_link_config {
	const char *host; /* name, or IP address without brackets */
	uint16_t port;
	struct proxy_settings proxy;
	const char *ca_file;     /* NULL: $GODWIT_CA_FILE; "": none, any certificate will do */
	gw_time timeout;         /* until it is open */
	gw_time address_timeout; /* for TCP to one of the host's addresses */
	size_t queue_limit;      /* unsent bytes */
};

/* GW_E_NOMEM, GW_E_INVALID (no such host name can be).  All else comes by on_closed: GW_E_NOT_FOUND
 * (name), GW_E_UNREACHABLE, GW_E_TIMEOUT, GW_E_INVALID (proxy settings, CA file), GW_E_DENIED (the
 * proxy refused), GW_E_PERMISSION (it wants other credentials), GW_E_CRYPTO (TLS, certificate),
 * GW_E_PROTOCOL (something else answered), GW_E_CLOSED, GW_E_LIMIT, GW_E_NOMEM. */
int tls_link_connect(struct tls_link **out, struct loop *l, const struct tls_link_config *c,
		     const struct tls_link_events *ev, void *user);

/* The other side of it: `fd` is a TCP connection just accepted, which the link owns from now on,
 * also when this fails.  What is no upgrade of ours gets an HTTP error, and on_closed. */
int tls_link_accept(struct tls_link **out, struct loop *l, int fd, struct tls_server *server,
		    const struct tls_link_events *ev, void *user);

void tls_link_close(struct tls_link *l); /* NULL: nothing.  on_closed does not come */

bool tls_link_is_open(const struct tls_link *l);
/* Of the TCP connection: the proxy's if there is one.  ADDR_NONE before there is a connection. */
struct addr tls_link_remote(const struct tls_link *l);

/* Send `len` bytes as datagrams of `segment` bytes (the last may be shorter); len 0 sends a
 * keep-alive.  What is sent during one iteration of the loop shares TLS records.  With more than
 * `queue_limit` bytes unsent, or one that is older than 100 ms, datagrams are dropped and counted.
 * 0, GW_E_CLOSED (it is not open), GW_E_LENGTH (segment).  No event comes during the call. */
int tls_link_send(struct tls_link *l, const uint8_t *data, size_t len, size_t segment);

struct tls_link_stats {
	uint64_t tx_datagrams, tx_bytes, rx_datagrams, rx_bytes; /* without headers */
	uint64_t dropped;                                        /* datagrams not sent */
	size_t queued;                                           /* bytes unsent just now */
};

void tls_link_stats_get(const struct tls_link *l, struct tls_link_stats *out);

/* --- what a server has for all its links --- */

/* Zero: the default.  Files are read by tls_server_new() only. */
struct tls_server_config {
	const char *host; /* CN and SAN of the self-signed certificate: name or IP address */
	const char *certificate_file, *key_file; /* PEM, both or none.  NULL: self-signed */
	gw_time timeout;                         /* of links until they are open */
	size_t queue_limit;
};

/* GW_E_NOMEM, GW_E_INVALID (files; `text` says what is wrong), GW_E_CRYPTO. */
int tls_server_new(struct tls_server **out, const struct tls_server_config *c,
		   char text[TLS_LINK_TEXT_MAX]);
void tls_server_free(struct tls_server *s); /* after its links.  NULL: nothing */

#endif
