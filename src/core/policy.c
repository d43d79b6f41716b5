/* SPDX-License-Identifier: Apache-2.0 */
#include "core/policy.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { KEYS_MAX = 65536 };

int policy_init(struct policy *p)
{
	p->services = calloc(1, sizeof(*p->services));
	p->count = p->services ? 1 : 0;
	return p->services ? 0 : GW_E_NOMEM;
}

void policy_clear(struct policy *p)
{
	for (size_t i = 0; i < p->count; i++)
		free(p->services[i].keys);
	free(p->services);
	memset(p, 0, sizeof(*p));
}

struct service *policy_find(const struct policy *p, const char *name)
{
	assert(p->services);
	if (!name)
		return &p->services[0];
	for (size_t i = 1; i < p->count; i++)
		if (strcmp(p->services[i].name, name) == 0)
			return &p->services[i];
	return NULL;
}

static int find_or_add(struct policy *p, const char *name, struct service **out)
{
	struct service *s = policy_find(p, name);

	if (!s) {
		if (!name || !service_name_valid(name))
			return GW_E_INVALID;
		if (p->count == SERVICES_MAX)
			return GW_E_LIMIT;
		s = realloc(p->services, (p->count + 1) * sizeof(*s));
		if (!s)
			return GW_E_NOMEM;
		p->services = s;
		s += p->count++;
		memset(s, 0, sizeof(*s));
		memcpy(s->name, name, strlen(name) + 1);
	}
	*out = s;
	return 0;
}

int policy_listen(struct policy *p, const char *name, bool datagrams, gw_time park_timeout)
{
	struct service *s;
	int rv;

	if (!name || !service_name_valid(name))
		return GW_E_INVALID;
	rv = find_or_add(p, name, &s);
	if (rv < 0)
		return rv;
	if (s->listening)
		return GW_E_EXISTS;
	s->listening = true;
	s->datagrams = datagrams;
	s->park_timeout = park_timeout;
	return 0;
}

/* An entry that says nothing is given back. */
static void tidy(struct policy *p, struct service *s)
{
	size_t index = (size_t)(s - p->services);

	if (index == 0 || s->listening || s->any || s->n_keys > 0)
		return;
	free(s->keys);
	memmove(s, s + 1, (p->count - index - 1) * sizeof(*s));
	p->count--;
}

void policy_unlisten(struct policy *p, const char *name)
{
	struct service *s = policy_find(p, name);

	if (!s)
		return;
	s->listening = false;
	tidy(p, s);
}

static bool has_key(const struct service *s, const uint8_t *key)
{
	for (size_t i = 0; i < s->n_keys; i++)
		if (memcmp(s->keys[i], key, KEY_SIZE) == 0)
			return true;
	return false;
}

int policy_allow(struct policy *p, const char *name, const uint8_t *key)
{
	uint8_t(*keys)[KEY_SIZE];
	struct service *s;
	int rv = find_or_add(p, name, &s);

	if (rv < 0)
		return rv;
	if (!key) {
		s->any = true;
		return 0;
	}
	if (has_key(s, key))
		return 0;
	if (s->n_keys == KEYS_MAX)
		return GW_E_LIMIT;
	keys = realloc(s->keys, (s->n_keys + 1) * sizeof(*keys));
	if (!keys)
		return GW_E_NOMEM;
	s->keys = keys;
	memcpy(s->keys[s->n_keys++], key, KEY_SIZE);
	return 0;
}

void policy_disallow(struct policy *p, const char *name, const uint8_t *key)
{
	struct service *s = policy_find(p, name);

	if (!s)
		return;
	if (!key)
		s->any = false;
	for (size_t i = 0; key && i < s->n_keys; i++)
		if (memcmp(s->keys[i], key, KEY_SIZE) == 0) {
			memmove(s->keys[i], s->keys[i + 1], (s->n_keys - i - 1) * KEY_SIZE);
			s->n_keys--;
			break;
		}
	tidy(p, s);
}

static bool entry_allows(const struct service *s, const uint8_t *key)
{
	return s && (s->any || has_key(s, key));
}

bool policy_allows(const struct policy *p, const char *name, const uint8_t key[KEY_SIZE])
{
	return entry_allows(&p->services[0], key) || entry_allows(policy_find(p, name), key);
}

bool policy_welcomes(const struct policy *p, const uint8_t key[KEY_SIZE])
{
	for (size_t i = 0; i < p->count; i++)
		if (entry_allows(&p->services[i], key))
			return true;
	return false;
}
