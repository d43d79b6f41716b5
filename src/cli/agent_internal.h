/* cli/agent_internal.h - what the files of the agent share. */
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
	bool relay_only;
	enum sandbox sandbox;
	gw_time udp_idle;
	size_t n_beacons;      /* of our own */
	agent_ready_fn *ready; /* NULL: nobody waits, or it was told */
	void *ready_user;
};

/* Let those of a list of full addresses and "any" use a service, and the bench with it.  On failure
 * (GODWIT_E_*) nothing is granted. */
int agent_grant(struct agent *a, const char *service, const json_t *allow);
void agent_take_back(struct agent *a, const char *service, const json_t *allow);
int agent_add_beacons(struct agent *a, const struct settings *s, struct failure *f);
/* There is news of the beacons. */
void agent_look_ready(struct agent *a);
json_t *agent_describe_beacons(const struct agent *a);
/* Free the list. */
size_t agent_list_beacons(const struct agent *a, godwit_beacon_info **out);

#endif
