/* cli/agent_internal.h - what agent.c and agent_status.c share. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_CLI_AGENT_INTERNAL_H
#define GODWIT_CLI_AGENT_INTERNAL_H

#include "base/list.h"
#include "cli/agent.h"

struct offer {
	struct offer *next;
	char name[GODWIT_SERVICE_SIZE];
	struct target target;
	struct expose *expose;
	json_t *allow;
	bool owned; /* by the command that lives as long; else it stays */
};

struct forward_item {
	struct forward_item *next;
	struct forward *forward;
};

struct agent {
	struct home *home;
	godwit_node *node;
	struct hub *hub;
	struct hub_observer *observer;
	struct bench_server *bench;
	struct offer *offers;
	struct forward_item *forwards;
	struct list ops; /* those that wait for a peer, and connects */
	json_t *allow;   /* of the settings: for the bench service and pings alone, too */
	gw_time started;
	agent_fatal_fn *fatal;
	void *user;
};

#endif
