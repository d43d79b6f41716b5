/* SPDX-License-Identifier: Apache-2.0 */
/* What `status` tells, all of it from authenticated evidence. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/agent_internal.h"

json_t *describe_path(bool relayed, const char *endpoint, const char *relay, const char *transport,
		      const char *why)
{
	return json_pack("{s:s,s:s?,s:s?,s:s,s:s?}", "kind", relayed ? "relay" : "direct",
			 "endpoint", relayed ? NULL : endpoint, "via", relayed ? relay : NULL,
			 "transport", transport, "why", relayed ? why : NULL);
}

static godwit_peer_info *get_peers(const godwit_node *node, size_t *count)
{
	godwit_peer_info *peers;

	*count = godwit_node_peers(node, NULL, 0);
	peers = calloc(*count + 1, sizeof(*peers));
	*count = peers ? godwit_node_peers(node, peers, *count) : 0;
	return peers;
}

const char *why_relayed(const godwit_node *node, const uint8_t key[GODWIT_KEY_SIZE])
{
	const char *why = NULL;
	size_t count;
	godwit_peer_info *peers = get_peers(node, &count);

	for (size_t i = 0; i < count && !why; i++)
		if (memcmp(peers[i].key, key, GODWIT_KEY_SIZE) == 0)
			why = peers[i].why;
	free(peers);
	return why;
}

static const char *peer_state_name(godwit_peer_state state)
{
	switch (state) {
	case GODWIT_PEER_PARKED:
		return "parked";
	case GODWIT_PEER_DIALING:
		return "dialing";
	case GODWIT_PEER_CONNECTED:
		return "connected";
	case GODWIT_PEER_FAILED:
		return "failed";
	}
	return "?";
}

static json_t *describe_peer(const godwit_peer_info *p)
{
	char address[GODWIT_ADDRESS_SIZE];
	json_t *path = json_null(), *j;

	if (p->state == GODWIT_PEER_CONNECTED) {
		path = describe_path(p->relayed, p->endpoint, p->relay, p->transport, p->why);
		json_object_set_new(path, "rtt_ms", json_real((double)p->rtt_us / 1e3));
		json_object_set_new(path, "since_s", json_real((double)p->since_ms / 1e3));
		json_object_set_new(path, "payload", json_integer((json_int_t)p->payload));
	}
	godwit_address_format(p->key, address);
	j = json_pack("{s:s,s:s,s:o,s:I,s:I,s:I,s:I,s:o}", "address", address, "state",
		      peer_state_name(p->state), "path", path, "streams", (json_int_t)p->streams,
		      "moves", (json_int_t)p->moves, "tx_bytes", (json_int_t)p->tx_bytes,
		      "rx_bytes", (json_int_t)p->rx_bytes, "heard_s",
		      p->heard_ms == GODWIT_NEVER ? json_null()
						  : json_real((double)p->heard_ms / 1e3));
	if (p->error)
		json_object_set_new(j, "error", json_string(godwit_error_name(p->error)));
	if (p->state != GODWIT_PEER_CONNECTED && p->streams > 0)
		json_object_set_new(j, "retry_s", json_real((double)p->retry_ms / 1e3));
	return j;
}

static json_t *list_peers(const struct agent *a)
{
	size_t count;
	godwit_peer_info *peers = get_peers(a->node, &count);
	json_t *out = json_array();

	for (size_t i = 0; i < count; i++)
		json_array_append_new(out, describe_peer(&peers[i]));
	free(peers);
	return out;
}

static json_t *describe_stream(const godwit_stream_info *s)
{
	char address[GODWIT_ADDRESS_SIZE], id[24];
	json_t *datagrams = NULL;

	godwit_address_format(s->peer, address);
	snprintf(id, sizeof(id), "%llu", (unsigned long long)s->id);
	if (s->datagrams)
		datagrams = json_pack("{s:I,s:I,s:I}", "sent", (json_int_t)s->sent, "received",
				      (json_int_t)s->received, "dropped", (json_int_t)s->dropped);
	return json_pack("{s:s,s:s,s:s,s:b,s:I,s:I,s:f,s:s,s:o?}", "id", id, "peer", address,
			 "service", s->service, "incoming", s->incoming, "tx_bytes",
			 (json_int_t)s->tx_bytes, "rx_bytes", (json_int_t)s->rx_bytes, "age_s",
			 (double)s->age_ms / 1e3, "state", s->state, "datagrams", datagrams);
}

static json_t *list_streams(const struct agent *a)
{
	size_t count = godwit_node_streams(a->node, NULL, 0);
	godwit_stream_info *streams = calloc(count + 1, sizeof(*streams));
	json_t *out = json_array();

	if (streams)
		godwit_node_streams(a->node, streams, count);
	for (size_t i = 0; streams && i < count; i++)
		json_array_append_new(out, describe_stream(&streams[i]));
	free(streams);
	return out;
}

static json_t *list_services(const struct agent *a)
{
	json_t *out = json_array();

	for (const struct offer *o = a->offers; o; o = o->next) {
		char target[TARGET_TEXT_MAX];

		target_format(&o->target, target);
		json_array_append_new(out, json_pack("{s:s,s:s,s:O}", "name", o->name, "target",
						     target, "allow", o->grants.texts));
	}
	return out;
}

static json_t *list_endpoints(const struct agent *a)
{
	char endpoints[16][GODWIT_ENDPOINT_SIZE];
	size_t count = godwit_node_endpoints(a->node, endpoints, 16);
	json_t *out = json_array();

	for (size_t i = 0; i < count && i < 16; i++)
		json_array_append_new(out, json_string(endpoints[i]));
	return out;
}

static json_t *describe_datagrams(const struct agent *a)
{
	godwit_stats s;

	godwit_node_stats(a->node, &s);
	return json_pack("{s:I,s:I,s:I,s:b,s:b,s:{s:I,s:I,s:I}}", "received",
			 (json_int_t)s.datagrams_in, "sent", (json_int_t)s.datagrams_out, "dropped",
			 (json_int_t)s.dropped, "gso", s.gso, "gro", s.gro, "of_services",
			 "received", (json_int_t)s.stream_datagrams_in, "sent",
			 (json_int_t)s.stream_datagrams_out, "dropped",
			 (json_int_t)s.stream_datagrams_dropped);
}

void agent_set_sandbox(struct agent *a, enum sandbox state)
{
	a->sandbox = state;
}

json_t *agent_status(const struct agent *a)
{
	json_t *status;
	char address[GODWIT_ADDRESS_SIZE], incarnation[24];

	godwit_node_address(a->node, address);
	snprintf(incarnation, sizeof(incarnation), "%llu",
		 (unsigned long long)godwit_node_incarnation(a->node));
	status = json_pack("{s:s,s:s,s:f,s:I,s:o,s:o,s:o,s:o,s:o,s:o}", "address", address,
			   "incarnation", incarnation, "uptime_s",
			   (double)(loop_clock() - a->started) / (double)GW_SEC, "pid",
			   (json_int_t)getpid(), "endpoints", list_endpoints(a), "datagrams",
			   describe_datagrams(a), "beacons", agent_describe_beacons(a), "peers",
			   list_peers(a), "services", list_services(a), "streams", list_streams(a));
	json_object_set_new(status, "networks", agent_describe_networks(a));
	json_object_set_new(status, "warnings", agent_describe_warnings(a));
	json_object_set_new(status, "sandbox", json_string(sandbox_name(a->sandbox)));
	return status;
}
