/* lib/pump.h - one stream served as a socket: copies both ways, half-closes included.
 *
 * Lives in the runner's thread.  `fd` is our end of a socketpair. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_LIB_PUMP_H
#define GODWIT_LIB_PUMP_H

#include "base/list.h"
#include "lib/lib.h"

struct pump;

/* Called (in the thread) when the application's side ends a pump: pump_free() it. */
typedef void pump_done_fn(struct pump *p);

struct pump {
	/* The owner's: */
	struct list_item link;
	struct runner *runner;
	struct request *request; /* until the peer's service has answered */

	/* To be read only: */
	godwit_stream *stream;
	uint64_t socket; /* the application's socket (its inode); 0 before pump_open() */

	/* Its own: */
	struct loop *loop;
	int fd; /* -1: not yet open, or both directions of the socket have ended */
	struct loop_source *source;
	bool app_ended;  /* the application's end of bytes has been passed to the stream */
	bool peer_ended; /* the peer's end of bytes has been passed to the socket */
	bool discard;    /* the application has closed: nobody will read what comes */
	bool unwanted;   /* ... and something has come */
	struct loop_timer *linger; /* closed and delivered, but the peer goes on */
	pump_done_fn *done;
};

/* NULL: no memory.  The stream's user pointer becomes the pump. */
struct pump *pump_new(struct loop *loop, godwit_stream *stream, pump_done_fn *done);

/* Begin to serve: `*fd` is the application's end.  GW_E_IO, GW_E_NOMEM: nothing has changed. */
int pump_open(struct pump *p, int *fd);

/* The stream has news, or the pump was just opened.  False: the stream has ended, one way or
 * the other; pump_free() it. */
bool pump_run(struct pump *p);

/* Close the socket and release the stream. */
void pump_free(struct pump *p);

#endif
