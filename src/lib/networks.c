// SPDX-License-Identifier: Apache-2.0
/* Networks of the public API. */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "core/networks.h"
#include "io/loop.h"
#include "lib/lib.h"

_Static_assert((int)GODWIT_NAME_SIZE == WIRE_NAME_MAX + 1, "name size");
_Static_assert((int)GODWIT_GROUP_SIZE == WIRE_GROUP_MAX + 1, "group size");
_Static_assert((int)GODWIT_GROUPS_MAX == (int)WIRE_GROUPS_MAX, "groups");
_Static_assert((int)GODWIT_CHAIN_MAX == (int)WIRE_CHAIN_MAX, "chain size");
_Static_assert((int)GODWIT_MANIFEST_MAX == (int)WIRE_MANIFEST_MAX, "manifest size");

static int error_of(enum trust_refusal why)
{
	switch (why) {
	case TRUST_OK:
		return 0;
	case TRUST_MALFORMED:
		return GW_E_FORMAT;
	case TRUST_CRITICAL:
		return GW_E_VERSION;
	case TRUST_LIMIT:
		return GW_E_LIMIT;
	default:
		return GW_E_INVALID;
	}
}

int godwit_network_set(godwit_node *node, const uint8_t network[GODWIT_KEY_SIZE],
		       const uint8_t *manifest, size_t manifest_len, const uint8_t *chain,
		       size_t chain_len, const char **why)
{
	struct network_config config = { .manifest = manifest,
					 .manifest_len = manifest_len,
					 .chain = chain,
					 .chain_len = chain_len };
	enum trust_refusal refusal;

	memcpy(config.key, network, KEY_SIZE);
	refusal = node_network_set(node->core, &config, loop_clock());
	if (why)
		*why = trust_refusal_text(refusal);
	return error_of(refusal);
}

void godwit_network_drop(godwit_node *node, const uint8_t network[GODWIT_KEY_SIZE])
{
	node_network_drop(node->core, network, loop_clock());
}

static void describe(const struct network_info *in, godwit_network_info *out)
{
	const struct wire_manifest *m = &in->manifest->m;

	memset(out, 0, sizeof(*out));
	memcpy(out->key, m->network, KEY_SIZE);
	memcpy(out->name, m->name, sizeof(out->name));
	out->sequence = m->sequence;
	out->issued = m->issued;
	out->expires = m->expires;
	if (!in->self)
		return;
	out->member = true;
	memcpy(out->own_name, in->self->name, sizeof(out->own_name));
	out->not_before = in->self->not_before;
	out->not_after = in->self->not_after;
	if (in->self_state != TRUST_OK)
		out->trouble = trust_refusal_text(in->self_state);
}

size_t godwit_node_networks(const godwit_node *node, godwit_network_info *out, size_t max)
{
	struct network_info info;
	const uint8_t *after = NULL;
	size_t count = 0;

	for (; node_network_next(node->core, after, &info); count++) {
		after = info.manifest->m.network;
		if (count < max)
			describe(&info, &out[count]);
	}
	return count;
}

size_t godwit_network_manifest(const godwit_node *node, const uint8_t network[GODWIT_KEY_SIZE],
			       uint8_t *out, size_t size)
{
	struct network_info info;

	for (const uint8_t *after = NULL; node_network_next(node->core, after, &info);) {
		after = info.manifest->m.network;
		if (memcmp(after, network, KEY_SIZE) != 0)
			continue;
		if (info.manifest->len > 0 && info.manifest->len <= size)
			memcpy(out, info.manifest->bytes, info.manifest->len);
		return info.manifest->len;
	}
	return 0;
}

int godwit_find_name(godwit_node *node, const uint8_t network[GODWIT_KEY_SIZE], const char *name,
		     uint64_t *id)
{
	return node_find_name(node->core, network, name, id, loop_clock());
}

static void describe_member(const struct member *in, godwit_member_info *out)
{
	memset(out, 0, sizeof(*out));
	memcpy(out->key, in->key, KEY_SIZE);
	memcpy(out->name, in->name, sizeof(out->name));
	out->n_groups = in->n_groups;
	memcpy(out->groups, in->groups, sizeof(out->groups));
	out->not_before = in->not_before;
	out->not_after = in->not_after;
	out->ephemeral = in->ephemeral;
	out->delegated = in->delegated;
	memcpy(out->ca, in->ca, sizeof(out->ca));
	out->serial = in->serial;
	out->invite = in->invite;
}

size_t godwit_network_members(const godwit_node *node, const uint8_t network[GODWIT_KEY_SIZE],
			      godwit_member_info *out, size_t max)
{
	size_t count = 0;

	for (struct peer *p = NULL; (p = node_peer_next(node->core, p));) {
		const struct member *m = peer_member(p, network);

		if (!m)
			continue;
		if (count < max)
			describe_member(m, &out[count]);
		count++;
	}
	return count;
}
