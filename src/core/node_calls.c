/* What the application asks of a node. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "core/connection.h"
#include "core/dial.h"
#include "core/peer.h"
#include "core/policy.h"
#include "core/recheck.h"
#include "core/segment.h"
#include "core/stream.h"

/* --- who may do what --- */

int node_listen(struct node *n, const char *service, gw_time park_timeout)
{
	return policy_listen(&n->policy, service, false, park_timeout);
}

int node_listen_datagrams(struct node *n, const char *service, gw_time park_timeout)
{
	return policy_listen(&n->policy, service, true, park_timeout);
}

void node_unlisten(struct node *n, const char *service)
{
	policy_unlisten(&n->policy, service);
}

struct subject subject_of_key(const uint8_t *key)
{
	struct subject s = { .kind = key ? SUBJECT_KEY : SUBJECT_ANY };

	if (key)
		memcpy(s.key, key, KEY_SIZE);
	return s;
}

struct subject subject_of_network(const uint8_t network[KEY_SIZE], const char *group)
{
	struct subject s = { .kind = group ? SUBJECT_GROUP : SUBJECT_NETWORK };

	memcpy(s.key, network, KEY_SIZE);
	if (group && strlen(group) <= WIRE_GROUP_MAX)
		memcpy(s.group, group, strlen(group));
	return s;
}

int node_allow(struct node *n, const char *service, const struct subject *who)
{
	return policy_allow(&n->policy, service, who);
}

void node_disallow(struct node *n, const char *service, const struct subject *who)
{
	policy_disallow(&n->policy, service, who);
}

int node_allow_dial(struct node *n, const struct subject *who)
{
	return policy_allow_dial(&n->policy, who);
}

void node_disallow_dial(struct node *n, const struct subject *who)
{
	policy_disallow_dial(&n->policy, who);
}

bool node_welcomes(const struct node *n, const uint8_t key[KEY_SIZE])
{
	struct principal who = peer_principal(n, key);

	return policy_welcomes(&n->policy, &who);
}

bool node_may_dial(const struct node *n, const uint8_t key[KEY_SIZE])
{
	struct principal who = peer_principal(n, key);

	return policy_may_dial(&n->policy, &who);
}

void node_recheck(struct node *n, gw_time now)
{
	list_each(&n->peers, i, tmp)
		recheck_peer(container_of(i, struct peer, all_link), now);
}

/* --- peers --- */

static int find_peer(struct node *n, const uint8_t key[KEY_SIZE], struct peer **out, gw_time now)
{
	struct peer *p;

	if (memcmp(key, n->identity->key, KEY_SIZE) == 0)
		return GW_E_SELF;
	if (n->closing)
		return GW_E_CLOSED;
	p = peer_get(n, key, now);
	if (!p)
		return GW_E_LIMIT;
	*out = p;
	return 0;
}

/* One that the application wants something of. */
static int find_dialled(struct node *n, const uint8_t key[KEY_SIZE], struct peer **out, gw_time now)
{
	if (memcmp(key, n->identity->key, KEY_SIZE) != 0 && !node_may_dial(n, key))
		return GW_E_POLICY;
	return find_peer(n, key, out, now);
}

int node_add_endpoint(struct node *n, const uint8_t key[KEY_SIZE], const struct addr *endpoint,
		      gw_time now)
{
	struct peer *p;
	int rv;

	if (!addr_is_usable(endpoint))
		return GW_E_INVALID;
	rv = find_peer(n, key, &p, now);
	if (rv < 0)
		return rv;
	p->pinned = true;
	dial_add_hint(p, endpoint);
	if (dial_active(p) && !p->used)
		dial_now(p, now);
	return 0;
}

int node_add_courtesy(struct node *n, const uint8_t key[KEY_SIZE],
		      const uint8_t courtesy[TICKET_COURTESY_SIZE], gw_time now)
{
	struct peer *p;
	int rv = find_peer(n, key, &p, now);

	if (rv == 0)
		memcpy(p->courtesy, courtesy, sizeof(p->courtesy));
	return rv;
}

void node_courtesy(const struct node *n, uint8_t out[TICKET_COURTESY_SIZE])
{
	memcpy(out, n->knock_self->courtesy, TICKET_COURTESY_SIZE);
}

int node_dial(struct node *n, const uint8_t key[KEY_SIZE], gw_time now)
{
	struct peer *p;
	int rv = find_dialled(n, key, &p, now);

	if (rv < 0)
		return rv;
	if (p->used) {
		peer_raise(p, 0);
		return 0;
	}
	p->wanted = true;
	dial_asked(p, now);
	return 0;
}

void node_undial(struct node *n, const uint8_t key[KEY_SIZE], gw_time now)
{
	for (struct peer *p = NULL; (p = peer_next_of_key(n, key, p));) {
		p->wanted = false;
		peer_drop_pings(p);
		dial_reconsider(p, now);
		dial_schedule(p, now);
	}
}

int node_ping(struct node *n, const uint8_t key[KEY_SIZE], uint64_t *id, gw_time now)
{
	struct peer *p;
	int rv = find_dialled(n, key, &p, now);

	return rv < 0 ? rv : peer_ping(p, id, now);
}

void node_debug_move(struct node *n, gw_time now)
{
	list_each(&n->peers, i, tmp) {
		struct peer *p = container_of(i, struct peer, all_link);

		p->must_move = true;
		dial_now(p, now);
	}
}

void node_debug_break(struct node *n, gw_time now)
{
	list_each(&n->connections, i, tmp)
		connection_kill(container_of(i, struct connection, all_link), CLOSE_NONE,
				GW_E_CLOSED, now);
}

/* --- streams --- */

static int open_stream(struct node *n, const uint8_t key[KEY_SIZE], const char *service,
		       enum stream_kind kind, struct stream **out, gw_time now)
{
	struct stream *s;
	struct peer *p;
	int rv;

	if (!service_name_valid(service))
		return GW_E_INVALID;
	rv = find_dialled(n, key, &p, now);
	if (rv < 0)
		return rv;
	if (p->n_live >= PEER_STREAMS_MAX || n->committed + INITIAL_WINDOW > n->config.memory_limit)
		return GW_E_LIMIT;
	if (kind == STREAM_OF_DATAGRAMS && p->used && p->used->dgram_frame_max == 0)
		return GW_E_VERSION;
	s = stream_new(p, p->next_id, service, false, kind, now);
	if (!s)
		return GW_E_NOMEM;
	p->next_id += 2;
	segment_wake(s);
	if (!p->used)
		dial_asked(p, now);
	*out = s;
	return 0;
}

int node_stream_open(struct node *n, const uint8_t key[KEY_SIZE], const char *service,
		     struct stream **out, gw_time now)
{
	return open_stream(n, key, service, STREAM_OF_BYTES, out, now);
}

int node_datagram_open(struct node *n, const uint8_t key[KEY_SIZE], const char *service,
		       struct stream **out, gw_time now)
{
	return open_stream(n, key, service, STREAM_OF_DATAGRAMS, out, now);
}
