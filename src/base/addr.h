/* base/addr.h - a UDP endpoint, and a path between two of them. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_BASE_ADDR_H
#define GODWIT_BASE_ADDR_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

enum { ADDR_TEXT_MAX = 64 };

enum addr_family { ADDR_NONE = 0, ADDR_V4 = 4, ADDR_V6 = 6 };

/* Host byte order port.  IPv4-mapped IPv6 addresses are never stored: they become ADDR_V4.
 * Zeroed memory is "no address". */
struct addr {
	uint8_t family; /* enum addr_family */
	uint16_t port;
	uint32_t scope; /* IPv6 link-local only: interface index */
	uint8_t ip[16]; /* network order; IPv4 in the first four bytes, the rest zero */
};

/* Where datagrams go.  `local` may be ADDR_NONE and `ifindex` 0: the kernel chooses.  `via` 0 is
 * the main UDP socket; other numbers are conduits: further UDP sockets, and TLS links. */
struct path {
	struct addr local;
	uint32_t ifindex;
	struct addr remote;
	uint32_t via;
};

/* One address of this host, as the network monitor reports it. */
struct local_addr {
	struct addr addr; /* port 0 */
	uint32_t ifindex;
	uint32_t mtu; /* of the interface, bytes of IP packet */
	bool loopback;
};

/* "198.51.100.2:41641", "[2001:db8::1]:41641", "[fe80::1%2]:41641" (scope as a number). */
int addr_parse(struct addr *out, const char *text);
/* An address without port: port is set to `port`. */
int addr_parse_host(struct addr *out, const char *host, uint16_t port);
/* `out` has ADDR_TEXT_MAX bytes; returns `out`.  "-" for ADDR_NONE. */
const char *addr_format(const struct addr *a, char *out);
/* Without the port. */
const char *addr_format_host(const struct addr *a, char *out);

bool addr_equal(const struct addr *a, const struct addr *b);
bool addr_same_host(const struct addr *a, const struct addr *b); /* port ignored */
bool path_equal(const struct path *a, const struct path *b);

bool addr_is_loopback(const struct addr *a);
bool addr_is_unspecified(const struct addr *a); /* 0.0.0.0, :: or ADDR_NONE */
bool addr_is_link_local(const struct addr *a);
/* RFC 1918, RFC 6598 (carriers), RFC 4193: of one network among many. */
bool addr_is_private(const struct addr *a);
/* May a datagram be sent there: unicast, not unspecified, not broadcast, not
 * v4-mapped, port not 0. */
bool addr_is_usable(const struct addr *a);

/* What stands for the far end of a TLS link in a path: an address of the discard prefix 100::/64
 * (RFC 6666) with the conduit's number, and back (0: a real address). */
struct addr addr_of_conduit(uint32_t via);
uint32_t addr_conduit(const struct addr *a);
/* The same for a relay channel. */
struct addr addr_of_channel(uint64_t channel);

/* Conversions; a v4-mapped sockaddr becomes ADDR_V4.  With `mapped`, IPv4 is written as a
 * v4-mapped sockaddr_in6, which is what a dual-stack socket needs. */
int addr_from_sockaddr(struct addr *out, const struct sockaddr *sa, socklen_t len);
socklen_t addr_to_sockaddr(const struct addr *a, struct sockaddr_storage *out, bool mapped);

#endif
