/* io/tcp_dial.h - connect to a host without blocking: its name is looked up in a thread, its
 * addresses are tried in turn. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_IO_TCP_DIAL_H
#define GODWIT_IO_TCP_DIAL_H

#include <stdint.h>

#include "io/loop.h"

struct tcp_dial;

/* `fd`: connected, non-blocking, close-on-exec; or -1, and then `error` with a text: GW_E_NOT_FOUND
 * (no such name), GW_E_UNREACHABLE (what became of the last address), GW_E_LIMIT (no descriptors,
 * no memory).  The dial is gone after the call. */
typedef void tcp_dial_fn(void *user, int fd, int error, const char *text);

/* `patience`: for one address.  Never calls `fn` before it has returned.  There is no timeout over
 * all: cancel it.  GW_E_NOMEM, GW_E_LENGTH (the host's). */
int tcp_dial_start(struct tcp_dial **out, struct loop *loop, const char *host, uint16_t port,
		   gw_time patience, tcp_dial_fn *fn, void *user);
void tcp_dial_cancel(struct tcp_dial *d); /* NULL: nothing */

#endif
