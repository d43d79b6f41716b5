/* io/udp.h - the node's one UDP socket: dual-stack, batched, GRO in and GSO out.
 *
 * GSO and GRO are probed at run time; without them, and after EIO (a device that cannot
 * checksum), batches go out by sendmmsg.  `GODWIT_NO_OFFLOAD=1` turns both off. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_IO_UDP_H
#define GODWIT_IO_UDP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"

struct udp;

/* Bind; port 0 picks one.  ADDR_NONE or "::" listens on v4 and v6 (v4 alone where the system
 * has no v6).  GW_E_IN_USE, GW_E_PERMISSION, GW_E_INVALID (no such address), GW_E_IO. */
int udp_open(struct udp **out, const struct addr *listen);
void udp_close(struct udp *u);
int udp_fd(const struct udp *u);
struct addr udp_local(const struct udp *u); /* as bound; the wildcard address has family NONE or V4 and the real port */
/* A new socket on another port, for `debug rebind`. The fd number stays the same (dup2). */
int udp_rebind(struct udp *u);

/* Receive what is there, at most `max` system calls; each datagram goes to `fn`.
 * Returns the number of datagrams, 0 when none was there, or GW_E_IO. */
typedef void udp_receive_fn(void *user, const struct path *path, const uint8_t *data, size_t len);
int udp_receive(struct udp *u, int max, udp_receive_fn *fn, void *user);

/* Send `len` bytes as datagrams of `segment` bytes (the last may be shorter).
 * 0, GW_E_AGAIN (socket full: try again when writable), GW_E_LENGTH (EMSGSIZE),
 * GW_E_UNREACHABLE (any other refusal: drop the cached source). */
int udp_send(struct udp *u, const struct path *path, const uint8_t *data, size_t len,
	     size_t segment);

struct udp_stats {
	uint64_t recv_calls, recv_datagrams, send_calls, send_datagrams, send_errors;
	bool gro, gso;
};

void udp_stats_get(const struct udp *u, struct udp_stats *out);

#endif
