/* io/resolve.h - the addresses of a host name, without blocking: getaddrinfo() gets a thread. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_IO_RESOLVE_H
#define GODWIT_IO_RESOLVE_H

#include <stddef.h>

#include "base/addr.h"
#include "io/loop.h"

enum { RESOLVE_ADDRS_MAX = 8, RESOLVE_HOST_MAX = 255 };

struct resolve;

/* `addrs` have port 0.  `error`: 0, GW_E_NOT_FOUND (no such name), GW_E_UNREACHABLE (the name
 * servers do not answer), GW_E_LIMIT (no memory, threads or descriptors), and `count` is 0 then.
 * The resolve is gone after the call. */
typedef void resolve_fn(void *user, int error, const struct addr *addrs, size_t count);

/* An IP address, also in the forms of inet_aton(3): how many were stored (0: it is a name). */
size_t resolve_literal(const char *host, struct addr *out, size_t max);

/* Never calls `fn` before it has returned.  GW_E_NOMEM, GW_E_LENGTH (host). */
int resolve_start(struct resolve **out, struct loop *loop, const char *host, resolve_fn *fn,
		  void *user);
void resolve_cancel(struct resolve *r); /* NULL: nothing */

#endif
