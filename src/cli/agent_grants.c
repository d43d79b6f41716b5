/* SPDX-License-Identifier: Apache-2.0 */
/* What the list of an offer lets its peers do. */
#include "cli/agent_internal.h"

#include <assert.h>
#include <string.h>

/* The key of an entry of offer_allow(), or NULL: any. */
static const uint8_t *key_of(const json_t *entry, uint8_t key[GODWIT_KEY_SIZE])
{
	const char *who = json_string_value(entry);
	int rv;

	if (strcmp(who, "any") == 0)
		return NULL;
	rv = godwit_address_parse(who, key);
	assert(rv == 0);
	return key;
}

/* From the first `count` of a list. */
static void take_back(struct agent *a, const char *service, const json_t *allow, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		uint8_t key[GODWIT_KEY_SIZE];
		const uint8_t *who = key_of(json_array_get(allow, i), key);

		godwit_disallow(a->node, service, who);
		godwit_disallow(a->node, BENCH_SERVICE, who);
	}
}

/* Every node serves the bench to whoever may use anything. */
static int grant_one(struct agent *a, const char *service, const uint8_t *who)
{
	int rv = godwit_allow(a->node, service, who);

	if (rv < 0)
		return rv;
	rv = godwit_allow(a->node, BENCH_SERVICE, who);
	if (rv < 0)
		godwit_disallow(a->node, service, who);
	return rv;
}

int agent_grant(struct agent *a, const char *service, const json_t *allow)
{
	for (size_t i = 0; i < json_array_size(allow); i++) {
		uint8_t key[GODWIT_KEY_SIZE];
		int rv = grant_one(a, service, key_of(json_array_get(allow, i), key));

		if (rv < 0) {
			take_back(a, service, allow, i);
			return rv;
		}
	}
	return 0;
}

void agent_take_back(struct agent *a, const char *service, const json_t *allow)
{
	take_back(a, service, allow, json_array_size(allow));
}
