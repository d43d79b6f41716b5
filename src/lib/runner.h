/* lib/runner.h - the thread behind godwit_node_start_thread().
 *
 * It alone touches the node (runner.c); other threads leave requests in a queue and wait
 * (plain.c).  What they share is marked below and guarded by `lock`. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_LIB_RUNNER_H
#define GODWIT_LIB_RUNNER_H

#include <pthread.h>

#include "lib/pump.h"

enum { ACCEPT_QUEUE = 128, ENDINGS = 128 };

/* A stream wanted by godwit_connect_fd().  The caller frees it, unless it gave up waiting. */
struct request {
	struct request *next;
	godwit_ticket to;
	/* Shared: */
	bool done, abandoned;
	int result;     /* done: the fd or an error */
	int last_error; /* why the last dial failed; the next may succeed */
};

struct accepted {
	int fd;
	uint8_t peer[KEY_SIZE];
	char service[GODWIT_SERVICE_SIZE];
};

/* How the stream behind a socket has ended, for godwit_fd_error(). */
struct ending {
	uint64_t socket;
	int error;
};

struct runner {
	godwit_node *node;
	pthread_t thread;
	int wake_fd;
	struct loop_source *wake_source;
	struct list pumps; /* the streams in service */
	bool woken;

	pthread_mutex_t lock;
	pthread_cond_t changed; /* on CLOCK_MONOTONIC */
	/* Shared: */
	bool stop;
	unsigned callers; /* inside godwit_connect_fd() and godwit_accept_fd() */
	struct request *requests;
	size_t accepted_first, accepted_count;
	struct accepted accepted[ACCEPT_QUEUE];
	size_t endings_next;
	struct ending endings[ENDINGS];
};

/* The thread's main function; `user` is the runner. */
void *runner_main(void *user);

#endif
