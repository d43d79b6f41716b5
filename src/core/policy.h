/* core/policy.h - who may use which service.  Deny by default. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_CORE_POLICY_H
#define GODWIT_CORE_POLICY_H

#include "core/types.h"

int policy_init(struct policy *p);
void policy_clear(struct policy *p);

/* The entry of a service, or NULL. */
struct service *policy_find(const struct policy *p, const char *name);
/* As node_listen() and friends in core/node.h; `name` NULL is every service. */
int policy_listen(struct policy *p, const char *name, bool datagrams, gw_time park_timeout);
void policy_unlisten(struct policy *p, const char *name);
int policy_allow(struct policy *p, const char *name, const uint8_t *key);
void policy_disallow(struct policy *p, const char *name, const uint8_t *key);

bool policy_allows(const struct policy *p, const char *name, const uint8_t key[KEY_SIZE]);
/* Is there any service that the key may use? */
bool policy_welcomes(const struct policy *p, const uint8_t key[KEY_SIZE]);

#endif
