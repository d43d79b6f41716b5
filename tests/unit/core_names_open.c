/* SPDX-License-Identifier: Apache-2.0 */
#include "core_names_open.h"

#include "core/networks.h"

void names_leave_open(struct node *n, const uint8_t network[KEY_SIZE], gw_time until)
{
	struct beacon_ref *b = node_beacon_next(n, NULL);

	b->names.request = UINT64_C(1) << 40;
	b->names.network = networks_find(n, network);
	b->names.at = until;
}
