// SPDX-License-Identifier: Apache-2.0
/* A port of the router for the node's socket: peers that could not reach it otherwise dial that. */
#include "base/error.h"
#include "io/portmap.h"
#include "lib/drive.h"

static void on_mapping(void *user, const struct portmap_info *info)
{
	godwit_node *node = user;

	node_set_mapping(node->core, &info->external, loop_clock());
	drive_soon(node);
}

void mapping_start(godwit_node *node)
{
	/* Without it we live on: there are other ways through a NAT. */
	if (node->wants_mapping && !node->portmap)
		(void)portmap_new(&node->portmap, node->loop, udp_local(node->udp).port, NULL,
				  on_mapping, node);
}

void mapping_restart(godwit_node *node)
{
	if (node->portmap)
		portmap_restart(node->portmap);
}

void mapping_rebound(godwit_node *node)
{
	bool had = node->portmap != NULL;
	struct addr none = { 0 };

	mapping_stop(node);
	if (!had)
		return;
	node_set_mapping(node->core, &none, loop_clock());
	mapping_start(node);
}

void mapping_stop(godwit_node *node)
{
	portmap_free(node->portmap);
	node->portmap = NULL;
}
