/* SPDX-License-Identifier: Apache-2.0 */
#include "service_pair.h"

struct loop *loop;
struct side near, far;

static void start_side(struct side *s)
{
	godwit_options o;

	godwit_options_init(&o);
	o.ephemeral = true;
	o.listen = "127.0.0.1:0";
	assert_int_equal(godwit_node_new(&s->node, &o), 0);
	assert_int_equal(hub_new(&s->hub, loop, s->node), 0);
	godwit_node_key(s->node, s->key);
}

void pair_start(void)
{
	char endpoint[GODWIT_ENDPOINT_SIZE];

	assert_int_equal(loop_new(&loop), 0);
	start_side(&near);
	start_side(&far);
	assert_int_equal(godwit_node_endpoints(far.node, &endpoint, 1), 1);
	assert_int_equal(godwit_add_endpoint(near.node, far.key, endpoint), 0);
	assert_int_equal(godwit_allow(far.node, NULL, NULL), 0);
}

void pair_stop(void)
{
	hub_free(near.hub);
	hub_free(far.hub);
	godwit_node_free(near.node);
	godwit_node_free(far.node);
	loop_free(loop);
}

void pair_turn(gw_time wait)
{
	hub_wake(near.hub);
	hub_wake(far.hub);
	loop_run_once(loop, wait);
}
