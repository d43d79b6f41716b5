/* service/reach.h - connect to a service's target without blocking: names are looked up in a
 * thread, every address is tried in turn. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_SERVICE_REACH_H
#define GODWIT_SERVICE_REACH_H

#include "io/loop.h"
#include "service/service.h"

struct reach;

/* `fd`: connected, non-blocking, close-on-exec; or -1, and `error` is GODWIT_E_TARGET (refused,
 * unknown name, no answer within REACH_TIMEOUT) or GODWIT_E_LIMIT (no descriptors left).  The
 * reach is gone after the call. */
typedef void reach_fn(void *user, int fd, int error);

#define REACH_TIMEOUT (10 * GW_SEC)

/* Never calls `fn` before it has returned.  GODWIT_E_NOMEM, GODWIT_E_LIMIT. */
int reach_start(struct loop *loop, const struct target *t, reach_fn *fn, void *user,
		struct reach **out);
void reach_cancel(struct reach *r); /* NULL: nothing */

#endif
