/* lib/pump.h - one stream served as a socket: copies both ways, half-closes included.
 *
 * Lives in the runner's thread.  `fd` is our end of a socketpair. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_LIB_PUMP_H
#define GODWIT_LIB_PUMP_H

#include "lib/lib.h"

struct pump;

/* NULL: no memory.  The stream's user pointer becomes the pump. */
struct pump *pump_new(struct loop *loop, godwit_stream *stream);

/* Begin to serve: `*fd` is the application's end.  GW_E_IO, GW_E_NOMEM: nothing has changed. */
int pump_open(struct pump *p, int *fd);

/* The stream has news, or the pump was just opened.  False: the stream has ended, one way or
 * the other; pump_free() it. */
bool pump_run(struct pump *p);

/* Close the socket and release the stream. */
void pump_free(struct pump *p);

/* Called (in the thread) when the application's side ends a pump that nobody else touches. */
typedef void pump_done_fn(void *user, struct pump *p);
void pump_on_done(struct pump *p, pump_done_fn *fn, void *user);
void *pump_user(const struct pump *p); /* as given there */

godwit_stream *pump_stream(const struct pump *p);
/* Identifies the application's socket (its inode); 0 before pump_open(). */
uint64_t pump_socket(const struct pump *p);

#endif
