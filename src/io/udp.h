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
struct addr
udp_local(const struct udp
		  *u); /* as bound; the wildcard address has family NONE or V4 and the real port */
/* A new socket on another port, for `debug rebind`: to the peers it looks like a NAT that
 * rebinds.  The fd number stays the same (dup2), but an epoll set loses it: loop_remove() before,
 * loop_add() after.  A batch that got GW_E_AGAIN is forgotten. */
int udp_rebind(struct udp *u);

/* Receive what is there, at most `max` system calls; each datagram goes to `fn`, which may
 * send.  path->local is the address it was sent to, with the port first bound (that of a path
 * does not change by udp_rebind()).
 * Returns the number of datagrams, 0 when none was there, or GW_E_IO. */
typedef void udp_receive_fn(void *user, const struct path *path, const uint8_t *data, size_t len);
int udp_receive(struct udp *u, int max, udp_receive_fn *fn, void *user);

/* The same, but what the kernel has coalesced stays together: datagrams of `segment` bytes, the
 * last may be shorter.  Empty ones are left out. */
typedef void udp_batch_fn(void *user, const struct path *path, const uint8_t *data, size_t len,
			  size_t segment);
int udp_receive_batches(struct udp *u, int max, udp_batch_fn *fn, void *user);

/* Send `len` bytes as datagrams of `segment` bytes (the last may be shorter); 0: an empty one.  With path->local
 * set, source address and interface (path->ifindex, if not 0) are pinned.
 * 0, GW_E_AGAIN (socket full: call again with the same batch when writable; it goes on where it
 * stopped), GW_E_LENGTH (EMSGSIZE),
 * GW_E_UNREACHABLE (any other refusal: drop the cached source). */
int udp_send(struct udp *u, const struct path *path, const uint8_t *data, size_t len,
	     size_t segment);

/* Give up the batch that got GW_E_AGAIN: the next one is another. */
void udp_forget(struct udp *u);

struct udp_stats {
	uint64_t recv_calls, recv_datagrams, send_calls, send_datagrams, send_errors;
	bool gro, gso;
};

void udp_stats_get(const struct udp *u, struct udp_stats *out);

#endif
