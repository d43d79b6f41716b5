// SPDX-License-Identifier: Apache-2.0
/* What a node can tell about itself, and faults on purpose. */
#include <string.h>

#include "base/error.h"
#include "crypto/address.h"
#include "lib/lib.h"

_Static_assert((int)GODWIT_PEER_PARKED == (int)PEER_PARKED, "peer state");
_Static_assert((int)GODWIT_PEER_DIALING == (int)PEER_DIALING, "peer state");
_Static_assert((int)GODWIT_PEER_CONNECTED == (int)PEER_CONNECTED, "peer state");
_Static_assert((int)GODWIT_PEER_FAILED == (int)PEER_FAILED, "peer state");

void godwit_node_address(const godwit_node *node, char out[GODWIT_ADDRESS_SIZE])
{
	address_format(node->key, out);
}

void godwit_node_key(const godwit_node *node, uint8_t out[GODWIT_KEY_SIZE])
{
	memcpy(out, node->key, GODWIT_KEY_SIZE);
}

uint64_t godwit_node_incarnation(const godwit_node *node)
{
	return node_incarnation(node->core);
}

uint16_t godwit_node_port(const godwit_node *node)
{
	return udp_local(node->udp).port;
}

/* --- endpoints --- */

/* What is likeliest to work from elsewhere comes first. */
enum rank { RANK_V4, RANK_V6, RANK_V4_LINK_LOCAL, RANK_LOOPBACK, RANKS };

static enum rank rank_of(const struct local_addr *l)
{
	if (addr_is_loopback(&l->addr)) /* not l->loopback: that interface can have others too */
		return RANK_LOOPBACK;
	if (l->addr.family == ADDR_V6)
		return RANK_V6;
	return addr_is_link_local(&l->addr) ? RANK_V4_LINK_LOCAL : RANK_V4;
}

/* Many v4 addresses must not push all v6 ones out of a ticket. */
static size_t reserve_for_v6(const godwit_node *node, size_t max)
{
	size_t count = 0;

	for (size_t i = 0; i < node->n_locals; i++)
		count += rank_of(&node->locals[i]) == RANK_V6;
	return count < max / 4 ? count : max / 4;
}

static size_t list_endpoints(const godwit_node *node, struct addr *out, size_t max)
{
	struct addr bound = udp_local(node->udp);
	bool v6 = bound.family != ADDR_V4;
	size_t count = 0;

	if (!addr_is_unspecified(&bound)) {
		if (max > 0)
			out[0] = bound;
		return max > 0 ? 1 : 0;
	}
	for (enum rank rank = 0; rank < RANKS; rank++) {
		size_t room = rank == RANK_V4 && v6 ? max - reserve_for_v6(node, max) : max;

		if (rank == RANK_LOOPBACK && count > 0)
			break;
		for (size_t i = 0; i < node->n_locals && count < room; i++) {
			const struct local_addr *l = &node->locals[i];

			if (rank_of(l) != rank || (l->addr.family == ADDR_V6 && !v6))
				continue;
			out[count] = l->addr;
			out[count++].port = bound.port;
		}
	}
	return count;
}

size_t godwit_node_endpoints(const godwit_node *node, char (*out)[GODWIT_ENDPOINT_SIZE], size_t max)
{
	struct addr found[NETMON_ADDRS_MAX];
	size_t count = list_endpoints(node, found, max < NETMON_ADDRS_MAX ? max : NETMON_ADDRS_MAX);

	for (size_t i = 0; i < count; i++)
		addr_format(&found[i], out[i]);
	return count;
}

/* Where we are, and then where we may soon be: the home, the spare, and those of the settings
 * that we have not turned away from. */
static int rank_beacon(const struct beacon_info *b, bool registered)
{
	if (b->home || b->spare)
		return b->home ? 0 : 1;
	return registered && b->state == BEACON_DOWN ? 3 : 2;
}

static void list_beacons(const godwit_node *node, struct ticket *t)
{
	bool registered = godwit_node_registered(node);

	for (int rank = 0; rank < 3; rank++)
		for (const struct beacon_ref *i = node_beacon_next(node->core, NULL);
		     i && t->n_beacons < TICKET_BEACONS_MAX; i = node_beacon_next(node->core, i)) {
			struct beacon_info info;

			beacon_describe(i, &info);
			if (info.configured && rank_beacon(&info, registered) == rank)
				t->beacons[t->n_beacons++] = name_of_beacon(&info);
		}
}

int godwit_node_ticket(const godwit_node *node, const char *service, char out[GODWIT_TICKET_SIZE])
{
	struct ticket t = { 0 };

	if (service && service[0] != '\0') {
		if (!service_name_valid(service))
			return GW_E_INVALID;
		memcpy(t.service, service, strlen(service));
	}
	memcpy(t.key, node->key, sizeof(t.key));
	if (!node->relay_only)
		t.n_endpoints = list_endpoints(node, t.endpoints, TICKET_ENDPOINTS_MAX);
	list_beacons(node, &t);
	t.has_courtesy = true;
	node_courtesy(node->core, t.courtesy);
	return ticket_format(&t, out);
}

/* --- peers and streams --- */

static uint64_t ms_since(gw_time then, gw_time now)
{
	return then == 0 || then > now ? 0 : (now - then) / GW_MSEC;
}

static uint64_t ms_until(gw_time then, gw_time now)
{
	return then == GW_NEVER || then <= now ? 0 : (then - now) / GW_MSEC;
}

static void describe_path(const struct peer_info *info, godwit_peer_info *out)
{
	out->relayed = info->relay != NULL;
	if (info->relay) {
		relay_text(info->relay, out->relay, out->transport);
		return;
	}
	addr_format(&info->path.remote, out->endpoint);
	memcpy(out->transport, "udp", sizeof("udp"));
}

static void describe_peer(const struct peer *p, godwit_peer_info *out, gw_time now)
{
	struct peer_info info;

	peer_describe(p, &info);
	memset(out, 0, sizeof(*out));
	memcpy(out->key, info.key, sizeof(out->key));
	out->state = (godwit_peer_state)info.state;
	out->error = info.error;
	if (info.state == PEER_CONNECTED) {
		describe_path(&info, out);
		out->since_ms = ms_since(info.used_since, now);
		out->why = peer_why_relayed(p, now);
	}
	out->rtt_us = info.rtt / GW_USEC;
	out->heard_ms = info.heard_at ? ms_since(info.heard_at, now) : GODWIT_NEVER;
	out->retry_ms = ms_until(info.retry_at, now);
	out->endpoints = info.endpoints;
	out->streams = info.streams;
	out->moves = info.moves;
	out->tx_bytes = info.tx_bytes;
	out->rx_bytes = info.rx_bytes;
	out->payload = info.mtu;
}

size_t godwit_node_peers(const godwit_node *node, godwit_peer_info *out, size_t max)
{
	gw_time now = loop_clock();
	size_t count = 0;

	for (struct peer *p = node_peer_next(node->core, NULL); p;
	     p = node_peer_next(node->core, p)) {
		if (count < max)
			describe_peer(p, &out[count], now);
		count++;
	}
	return count;
}

size_t godwit_node_streams(const godwit_node *node, godwit_stream_info *out, size_t max)
{
	size_t count = 0;

	for (struct peer *p = node_peer_next(node->core, NULL); p;
	     p = node_peer_next(node->core, p)) {
		for (struct stream *s = peer_stream_next(p, NULL); s; s = peer_stream_next(p, s)) {
			if (count < max)
				godwit_stream_describe(to_public(s), &out[count]);
			count++;
		}
	}
	return count;
}

void godwit_node_stats(const godwit_node *node, godwit_stats *out)
{
	struct node_stats core;
	struct udp_stats io;

	node_stats_get(node->core, &core);
	udp_stats_get(node->udp, &io);
	*out = (godwit_stats){
		.datagrams_in = core.datagrams_in,
		.datagrams_out = core.datagrams_out,
		.bytes_in = core.bytes_in,
		.bytes_out = core.bytes_out,
		.dropped = core.drop_unknown + core.drop_malformed + core.drop_no_connection +
			   core.drop_limit + core.drop_refused + core.drop_knock,
		.handshakes = core.handshakes,
		.dials = core.dials,
		.moves = core.moves,
		.send_calls = io.send_calls,
		.recv_calls = io.recv_calls,
		.gso = io.gso,
		.gro = io.gro,
		.stream_datagrams_in = core.dgrams_in,
		.stream_datagrams_out = core.dgrams_out,
		.stream_datagrams_dropped = core.dgrams_dropped,
	};
}

int godwit_debug(godwit_node *node, const char *fault)
{
	if (strcmp(fault, "move") == 0)
		node_debug_move(node->core, loop_clock());
	else if (strcmp(fault, "break") == 0)
		node_debug_break(node->core, loop_clock());
	else if (strcmp(fault, "rebind") == 0)
		return node_rebind(node);
	else
		return GW_E_INVALID;
	return 0;
}
