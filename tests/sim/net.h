/* tests/sim/net.h - inside the network: what net.c, site.c, conduit.c and tls_link.c share. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_SIM_NET_H
#define GODWIT_SIM_NET_H

#include "sim.h"

/* The first byte of the addresses that forged datagrams come from which nobody may answer. */
enum { UNANSWERED = 11 };

enum stage {
	AT_CORE, /* past the uplink of a UDP datagram */
	AT_HOST, /* past the downlink */
	AT_TLS,  /* the same for TLS links, which have their own stages */
};

enum tls_stage { TLS_UPLINK, TLS_CORE, TLS_ARRIVAL, TLS_STAGES };
enum tls_what { TLS_HELLO, TLS_DATA, TLS_ACK, TLS_FIN, TLS_RESET, TLS_TIMER };

struct packet {
	enum stage stage;
	struct iface *iface; /* AT_CORE: it came from there; AT_HOST: it came to there */
	unsigned site;       /* AT_CORE: the sender's */
	struct addr src, dst;
	/* AT_TLS: */
	struct tls_end *from;
	enum tls_stage tls_stage;
	enum tls_what what;
	uint64_t number; /* of a message in order: its place */
	uint64_t value;  /* TLS_HELLO: which one; TLS_ACK: bytes that came */
	gw_time sent_at;

	size_t len;
	uint8_t data[];
};

/* --- net.c --- */

struct packet *packet_new(const struct packet *head, const uint8_t *data);
/* The interface that a path of this family goes out of; NULL: none. */
struct iface *net_source(struct sim *s, unsigned host, const struct path *path);
uint32_t net_ifindex(const struct sim *s, const struct iface *f);

/* --- site.c --- */

/* Give the interface a fresh address of its site / take it away. */
void site_join(struct sim *s, struct iface *f);
void site_leave(struct sim *s, struct iface *f);
/* Carry a datagram from a site to its destination, through the boxes between, translated.
 * NULL: lost on the way. */
struct iface *site_route(struct sim *s, unsigned site, struct addr *src, struct addr *dst);
/* The same for a TCP connection: boxes know no TCP, they let everything out and nothing in. */
struct iface *site_route_tcp(struct sim *s, unsigned site, struct addr *src,
			     const struct addr *dst);

/* --- conduit.c --- */

struct conduit {
	struct proc *proc;
	uint32_t via;
	uint16_t port;       /* of a socket */
	struct tls_end *end; /* of a link; NULL: a socket */
};

struct conduit *conduit_find(const struct proc *p, uint32_t via);
struct conduit *conduit_at_port(const struct sim *s, unsigned host, uint16_t port);
struct conduit *conduit_add(struct proc *p, uint32_t via);
/* A TLS link, not a socket? */
bool conduit_is_link(const struct proc *p, uint32_t via);
void conduit_remove(struct conduit *c);

/* --- tls_link.c --- */

void net_link_send(struct sim *s, struct tls_end *e, const struct batch *b);
void net_link_packet(struct sim *s, struct packet *pk);
void net_link_shut(struct sim *s, struct tls_end *e);
void net_links_clear(struct sim *s);

#endif
