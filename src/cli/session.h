/* cli/session.h - carry out one request: on the node that runs in this home, else on one of our
 * own; until it ends or a signal comes. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_CLI_SESSION_H
#define GODWIT_CLI_SESSION_H

#include "cli/agent.h"

enum session_kind {
	SESSION_ONE_SHOT, /* a node of our own is transient */
	SESSION_RESIDENT, /* a node of our own serves this home: lock, control socket */
	SESSION_RUNNING,  /* only on a running node */
	SESSION_UP,       /* never on a running node; no request: serve the settings */
};

struct session_options {
	enum session_kind kind;
	const struct settings *settings;
	bool json;
	bool quiet;      /* print no failure and no notes */
	json_t *request; /* not SESSION_UP; borrowed */
	int fds[2];      /* for "connect", taken over; else -1 */
	op_event_fn *event;
	void *user;
};

/* Returns the exit code; a failure has been printed. */
int session_run(const struct session_options *o);

#endif
