// SPDX-License-Identifier: Apache-2.0
/* The beacons of a node. */
#include <string.h>

#include "base/error.h"
#include "crypto/address.h"
#include "core/types.h" /* the alternate port, which beacon_describe() does not tell */
#include "lib/lib.h"

_Static_assert((int)GODWIT_BEACON_DOWN == (int)BEACON_DOWN, "beacon state");
_Static_assert((int)GODWIT_BEACON_DIALING == (int)BEACON_DIALING, "beacon state");
_Static_assert((int)GODWIT_BEACON_READY == (int)BEACON_READY, "beacon state");
_Static_assert((int)BEACON_HOST_MAX == (int)WIRE_HOST_MAX, "host of a beacon");

int godwit_add_beacon(godwit_node *node, const char *beacon)
{
	struct beacon_name b;
	const char *why;
	int error = beacon_parse(&b, beacon, &why);

	if (!error)
		error = node_add_beacon(node->core, b.key, b.host, b.udp_port, b.tls_port,
					loop_clock());
	if (!error)
		mapping_start(node);
	return error;
}

int godwit_add_home(godwit_node *node, const uint8_t key[GODWIT_KEY_SIZE], const char *beacon)
{
	struct beacon_name b;
	const char *why;
	int error = beacon_parse(&b, beacon, &why);

	return error ? error
		     : node_add_home(node->core, key, b.key, b.host, b.udp_port, b.tls_port,
				     loop_clock());
}

void godwit_add_ticket(godwit_node *node, const godwit_ticket *ticket)
{
	for (size_t i = 0; i < ticket->endpoint_count; i++)
		(void)godwit_add_endpoint(node, ticket->key, ticket->endpoints[i]);
	for (size_t i = 0; i < ticket->beacon_count; i++)
		(void)godwit_add_home(node, ticket->key, ticket->beacons[i]);
	if (ticket->has_courtesy)
		(void)node_add_courtesy(node->core, ticket->key, ticket->courtesy, loop_clock());
}

bool godwit_node_registered(const godwit_node *node)
{
	return node_registered(node->core);
}

/* --- what there is to know --- */

struct beacon_name name_of_beacon(const struct beacon_info *info)
{
	struct beacon_name b = { .udp_port = info->udp_port, .tls_port = info->tls_port };

	memcpy(b.key, info->key, sizeof(b.key));
	memcpy(b.host, info->host, sizeof(b.host));
	return b;
}

static void format_relay(const struct beacon_info *info, char out[GODWIT_RELAY_SIZE])
{
	struct beacon_name name = name_of_beacon(info);
	char text[BEACON_TEXT_MAX];

	beacon_format_host(&name, text);
	memcpy(out, text, strlen(text) + 1); /* "[", host, "]:65535" */
}

static void set_transport(char out[4], bool tls)
{
	memcpy(out, tls ? "tls" : "udp", 4);
}

void relay_text(const struct beacon_ref *b, char relay[GODWIT_RELAY_SIZE], char transport[4])
{
	struct beacon_info info;

	beacon_describe(b, &info);
	format_relay(&info, relay);
	set_transport(transport, info.tls);
}

static void describe(const godwit_node *node, const struct beacon_info *info,
		     godwit_beacon_info *out, gw_time now)
{
	struct beacon_name name = name_of_beacon(info);

	memset(out, 0, sizeof(*out));
	beacon_format(&name, out->beacon);
	format_relay(info, out->relay);
	out->state = (godwit_beacon_state)info->state;
	out->own = info->configured;
	out->home = info->configured && info->home;
	out->spare = info->configured && info->spare;
	out->draining = info->draining;
	if (info->state == BEACON_READY)
		set_transport(out->transport, info->tls);
	if (info->endpoint.family != ADDR_NONE)
		addr_format(&info->endpoint, out->endpoint);
	if (info->observed.family != ADDR_NONE)
		addr_format(&info->observed, out->observed);
	out->rtt_us = info->rtt / GW_USEC;
	out->heard_ms =
		info->heard_at ? (now - time_min(info->heard_at, now)) / GW_MSEC : GODWIT_NEVER;
	out->clock_offset_ms = info->clock_offset_ms;
	out->error = info->state == BEACON_READY ? 0 : info->error;
	out->fault = info->fault;
	out->doubt = info->doubt;
	if (info->state != BEACON_READY && info->tls_port)
		out->tls_error = conduits_trouble(&node->conduits, info->host, info->tls_port);
}

size_t godwit_node_beacons(const godwit_node *node, godwit_beacon_info *out, size_t max)
{
	gw_time now = loop_clock();
	size_t count = 0;

	for (const struct beacon_ref *b = node_beacon_next(node->core, NULL); b;
	     b = node_beacon_next(node->core, b)) {
		struct beacon_info info;

		beacon_describe(b, &info);
		if (count < max) {
			describe(node, &info, &out[count], now);
			out[count].alternate_port = b->alternate_port;
		}
		count++;
	}
	return count;
}

int godwit_beacon_test(godwit_node *node, const char *beacon, uint16_t port, const uint8_t token[8])
{
	for (struct beacon_ref *b = node_beacon_next(node->core, NULL); b;
	     b = node_beacon_next(node->core, b)) {
		char text[BEACON_TEXT_MAX];
		struct beacon_name name;
		struct beacon_info info;

		beacon_describe(b, &info);
		name = name_of_beacon(&info);
		beacon_format(&name, text);
		if (strcmp(text, beacon) == 0)
			return node_beacon_test(b, port, token);
	}
	return GW_E_NOT_FOUND;
}
