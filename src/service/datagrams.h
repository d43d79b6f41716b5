/* service/datagrams.h - UDP sockets and streams of datagrams.  docs/protocol.md, section 15. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_SERVICE_DATAGRAMS_H
#define GODWIT_SERVICE_DATAGRAMS_H

#include "service/service.h"

/* Says that datagrams are too large: once, and again only when a larger limit is too small, too. */
struct size_notice {
	size_t told; /* limit; 0: nothing said yet */
	too_large_fn *fn;
	void *user;
};

void size_notice_tell(struct size_notice *n, size_t size, size_t limit);

/* --- join: one stream and one connected socket --- */

struct join;
/* The stream is over; the join is gone after the call. */
typedef void join_done_fn(void *user);

/* Takes the stream and the fd over.  Errors of the socket end nothing.  Borrows the notice. */
int join_start(struct hub *h, godwit_stream *stream, int fd, struct size_notice *notice,
	       join_done_fn *done, void *user, struct join **out);
/* End it now; `done` is not called. */
void join_stop(struct join *j);

/* --- calls: one listening socket, a stream for each client address --- */

struct calls;
/* The result of a stream: GODWIT_E_*, or 0: the service has taken it. */
typedef void calls_note_fn(void *user, int error);

/* Errors as forward_start(); *listen gets the port that the system chose. */
int calls_start(struct hub *h, struct target *listen, const struct place *to,
		struct size_notice *notice, calls_note_fn *note, void *user, struct calls **out);
void calls_set_idle(struct calls *c, gw_time idle);
void calls_stop(struct calls *c);

#endif
