/* cli/beacon_control.h - the control socket of a beacon's home: it answers the request "status"
 * in the format of cli/control.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_CLI_BEACON_CONTROL_H
#define GODWIT_CLI_BEACON_CONTROL_H

#include <jansson.h>

#include "io/loop.h"

struct beacon_control;

/* Takes the listening socket over.  NULL: out of memory. */
struct beacon_control *beacon_control_new(struct loop *loop, int fd, json_t *(*status)(void *user),
					  void *user);
void beacon_control_free(struct beacon_control *c); /* NULL: nothing */

#endif
