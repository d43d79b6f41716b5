/* cli/control.h - the control socket: requests to a running node.  One connection, one request:
 * a line of JSON (with "connect": input and output as SCM_RIGHTS), answered by lines of JSON,
 * the last of which is {"end":true} or {"end":true,"error":{...}}.  Closing it cancels. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_CLI_CONTROL_H
#define GODWIT_CLI_CONTROL_H

#include "cli/agent.h"

enum { CONTROL_CLIENTS_MAX = 256, CONTROL_LINE_MAX = 64 << 10 };

struct control;
/* Takes the listening socket over. */
int control_new(struct control **out, struct loop *loop, struct agent *a, int fd);
/* Tells every client why, and cancels what it asked for. */
void control_free(struct control *c, const struct failure *f);

/* --- the client's side --- */

struct control_call;
/* Sends the request; `fds` may be NULL.  Takes `fd` over, not the fds. */
int control_call_new(struct control_call **out, struct loop *loop, int fd, const json_t *request,
		     const int *fds, const struct op_sink *sink);
void control_call_free(struct control_call *c);

#endif
