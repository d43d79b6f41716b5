/* core/policy.h - who may use which service, and who may be dialled.
 *
 * Deny by default.  A lookup costs a few probes of one hash table, however many rules there are.
 * Spec: docs/protocol.md, section 18. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_CORE_POLICY_H
#define GODWIT_CORE_POLICY_H

#include "core/types.h"
#include "trust/trust.h"

/* Who asks: a key, and what it is in networks by chains that are valid now.  Borrows all. */
struct principal {
	const uint8_t *key;
	size_t n_members;
	const struct member *members[NETWORKS_MAX];
};

struct policy_rule {
	char service[SERVICE_NAME_MAX + 1]; /* "": every service */
	struct subject subject;
};

void policy_init(struct policy *p, uint64_t seed);
void policy_clear(struct policy *p);

/* --- what is offered: as node_listen() and friends --- */

/* NULL: it is not offered. */
struct service *policy_find(const struct policy *p, const char *name);
int policy_listen(struct policy *p, const char *name, bool datagrams, gw_time park_timeout);
void policy_unlisten(struct policy *p, const char *name);

/* --- in: `service` NULL is every service --- */

/* A rule is there until it has been taken back as often as it was given.  GW_E_INVALID: the service
 * or the group has no valid name; GW_E_LIMIT: 65,536 rules, of both directions; GW_E_NOMEM. */
int policy_allow(struct policy *p, const char *service, const struct subject *s);
/* No-op when there is no such rule. */
void policy_disallow(struct policy *p, const char *service, const struct subject *s);

/* `service` NULL: by a rule for every service alone. */
bool policy_allows(const struct policy *p, const char *service, const struct principal *who);
/* Is there any rule that lets it use something, offered or not? */
bool policy_welcomes(const struct policy *p, const struct principal *who);
/* The same decision as policy_allows(), with the most special rule that made it; false: none allows. */
bool policy_explain(const struct policy *p, const char *service, const struct principal *who,
		    struct policy_rule *out);

/* --- out --- */

int policy_allow_dial(struct policy *p, const struct subject *s); /* as policy_allow() */
void policy_disallow_dial(struct policy *p, const struct subject *s);
/* With no such rule at all: yes. */
bool policy_may_dial(const struct policy *p, const struct principal *who);
/* With no such rule at all: true, and *out is that for any. */
bool policy_explain_dial(const struct policy *p, const struct principal *who,
			 struct policy_rule *out);

/* Does any rule, of either direction, name that network or a group of it?  NULL: any network. */
bool policy_names_network(const struct policy *p, const uint8_t *network);

#endif
