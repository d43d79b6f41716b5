/* cli/agent_internal.h - what the files of the agent share. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_CLI_AGENT_INTERNAL_H
#define GODWIT_CLI_AGENT_INTERNAL_H

#include "base/list.h"
#include "cli/agent.h"
#include "cli/audit_log.h"
#include "cli/networks.h"
#include "cli/rules.h"

/* What some may use: granted as long as it is here. */
struct grants {
	char service[GODWIT_SERVICE_SIZE];
	struct who *list;
	size_t count;
	json_t *texts; /* of them */
	char source[320];
};

struct offer {
	struct offer *next;
	char name[GODWIT_SERVICE_SIZE];
	struct target target;
	struct expose *expose;
	struct grants grants;
	bool owned; /* by the command that lives as long; else it stays */
};

struct forward_item {
	struct forward_item *next;
	struct forward *forward;
	struct place to;
	const char *text; /* of the settings' forward; else NULL */
};

/* Told on stderr at once, and daily as long as it lasts. */
struct warning {
	char message[400], hint[400]; /* "": all is well */
	uint32_t told_s;              /* wall clock; 0: not yet */
};

/* A network of the home. */
struct agent_network {
	struct agent_network *next;
	char label[LABEL_SIZE];
	bool known, seen; /* the node has it; it is still in the home */
	uint8_t key[KEY_SIZE];
	bool holds_ca, holds_invite;
	bool others_sign; /* there is more than one CA */
	/* this node's certificate there */
	bool member;
	char name[GODWIT_NAME_SIZE];
	size_t n_groups;
	char groups[GODWIT_GROUPS_MAX][GODWIT_GROUP_SIZE];
	uint32_t not_before, not_after;
	char refusal[120];          /* why the node does not take it; "" */
	char cannot[300];           /* why the last renewal of the certificate failed; "" */
	char cannot_sign[300];      /* the same of the manifest */
	uint8_t lost_key[KEY_SIZE]; /* was revoked, and is no more; with `lost` */
	struct warning damage, own, lost, manifest;
};

struct agent {
	struct home *home;
	const struct settings *settings;
	godwit_node *node;
	struct hub *hub;
	struct hub_observer *observer;
	struct bench_server *bench;
	struct offer *offers;
	struct forward_item *forwards;
	struct list ops;     /* those that wait for a peer, and connects */
	struct grants allow; /* of the settings: for the bench service and pings alone, too */
	gw_time started;
	agent_fatal_fn *fatal;
	void *user;
	bool relay_only;
	enum sandbox sandbox;
	gw_time udp_idle;
	size_t n_beacons;      /* of our own */
	agent_ready_fn *ready; /* NULL: nobody waits, or it was told */
	void *ready_user;

	struct rules policy; /* of the file */
	char policy_path[RULES_PATH_SIZE];
	struct rules rules; /* all that are in force, unless rules_stale */
	bool rules_stale;

	struct agent_network *networks;
	struct loop_timer *networks_timer;
	struct warning clock;

	struct audit_log *audit; /* NULL: none */
};

int agent_add_beacons(struct agent *a, const struct settings *s, struct failure *f);
/* Those that manifests and invites name, when the settings name none. */
void agent_adopt_beacons(struct agent *a, const struct wire_home *beacons, size_t count);
/* There is news of the beacons. */
void agent_look_ready(struct agent *a);
json_t *agent_describe_beacons(const struct agent *a);
/* Free the list. */
size_t agent_list_beacons(const struct agent *a, godwit_beacon_info **out);

/* --- agent_offers.c --- */

/* `service` NULL: every one. */
int agent_grant(struct agent *a, const char *service, const struct who *w);
void agent_take_back(struct agent *a, const char *service, const struct who *w);
/* `allow`: texts of WHO.  On failure nothing is granted. */
int grants_set(struct agent *a, struct grants *g, const char *service, const json_t *allow,
	       const char *source, struct failure *f);
void grants_clear(struct agent *a, struct grants *g); /* zeroed memory is clear */

/* --- agent_policy.c --- */

/* Again: the old rules stay when the file is broken. */
int agent_load_policy(struct agent *a, struct failure *f);
void agent_drop_policy(struct agent *a);
const struct rules *agent_rules(struct agent *a);
/* By what it has shown here. */
void agent_person(const struct agent *a, const uint8_t key[GODWIT_KEY_SIZE], struct person *out);

/* --- agent_networks.c --- */

/* Load all of the home; what is wrong with one is told. */
int agent_load_networks(struct agent *a, struct failure *f);
void agent_drop_networks(struct agent *a);
void agent_take_manifest(struct agent *a, const uint8_t key[GODWIT_KEY_SIZE]);
/* What the chain in the home says of this node. */
void agent_take_own(const struct agent *a, struct agent_network *w, const struct home_network *n);
json_t *agent_describe_networks(const struct agent *a);
json_t *agent_describe_warnings(const struct agent *a);
json_t *agent_describe_members(const struct agent *a, const uint8_t network[GODWIT_KEY_SIZE]);
const struct agent_network *agent_find_network(const struct agent *a, const char *label);
bool agent_network_info(const struct agent *a, const struct agent_network *w,
			godwit_network_info *out);

/* --- agent_expiry.c --- */

/* What is due: renewals, warnings. */
void agent_look_networks(struct agent *a);
/* The beacons have told of it. */
void agent_look_clock(struct agent *a);
uint32_t agent_wall_s(void);
/* `now_s`: wall clock.  An empty message: all is well. */
void warn(struct warning *w, uint32_t now_s, const char *message, const char *hint);

/* --- agent_renew.c --- */

/* By the invite of the settings, unless the home is a member already. */
int agent_join(struct agent *a, const struct settings *s, struct failure *f);
/* True: the certificate (the manifest) is another one now.  Else w->cannot (w->cannot_sign) may say why not. */
bool agent_renew_certificate(struct agent *a, struct agent_network *w);
bool agent_renew_manifest(struct agent *a, struct agent_network *w);

/* --- agent_audit.c --- */

int agent_open_audit(struct agent *a, bool transient, struct failure *f);
void agent_audit(struct agent *a, const godwit_event *e);

#endif
