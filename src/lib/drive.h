/* lib/drive.h - moves bytes between a node's core and its sockets, and wakes it in time. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_LIB_DRIVE_H
#define GODWIT_LIB_DRIVE_H

#include "lib/lib.h"

/* Start watching: node->loop, udp, core and batch are there; netmon may be NULL. */
int drive_start(godwit_node *node);
void drive_stop(godwit_node *node);

/* Send what the core has, at most some batches; the timer covers the rest. */
void drive_transmit(godwit_node *node);

/* The same, but soon, from the loop. */
void drive_soon(godwit_node *node);
/* Before what has come is read: have we slept? */
void drive_look(godwit_node *node);

/* The last words of a node_close(): nothing after them matters. */
void drive_say_goodbye(godwit_node *node);

#endif
