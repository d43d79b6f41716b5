/* SPDX-License-Identifier: Apache-2.0 */
#include "core/ladder.h"

#include <string.h>

#include "core/beacons_internal.h"
#include "core/outbox.h"
#include "core/punch.h"
#include "core/spray.h"

/* --- TLS --- */

void ladder_open_tls(struct beacon_ref *b)
{
	if (!b->tls_via && b->tls_port)
		b->tls_via = outbox_open_tls(b->node, b->host, b->tls_port);
}

void ladder_close_tls(struct beacon_ref *b)
{
	if (b->tls_via)
		outbox_close(b->node, b->tls_via);
	b->tls_via = 0;
	b->tls_up = false;
}

static struct path tls_path(const struct beacon_ref *b)
{
	return (struct path){ .remote = addr_of_conduit(b->tls_via), .via = b->tls_via };
}

static void move_to(struct beacon_ref *b, const struct path *path)
{
	link_move(b->link, path);
	link_ping(b->link, 0);
	b->node->beacons_changed = true;
}

void node_conduit_up(struct node *n, uint32_t via, gw_time now)
{
	if (spray_socket(n, via, true, now))
		return;
	list_each(&n->refs, i, tmp) {
		struct beacon_ref *b = container_of(i, struct beacon_ref, all_link);
		struct path path = tls_path(b);

		if (b->tls_via != via)
			continue;
		b->tls_up = true;
		if (!b->link) {
			beacons_race(b, &path, now);
		} else if (b->suspect || b->link->path.via) {
			move_to(b, &path);
			b->udp_at = now + 10 * GW_SEC;
			b->udp_tries = 0;
		} else {
			ladder_close_tls(b); /* UDP has answered meanwhile */
		}
		return;
	}
}

void node_conduit_down(struct node *n, uint32_t via, int error, gw_time now)
{
	if (spray_socket(n, via, false, now))
		return;
	list_each(&n->refs, i, tmp) {
		struct beacon_ref *b = container_of(i, struct beacon_ref, all_link);

		if (b->tls_via != via)
			continue;
		b->tls_via = 0;
		b->tls_up = false;
		if (b->link && b->link->path.via == via) {
			link_ping(b->link, 0); /* so that its silence is noticed */
			b->udp_at = now;
			ladder_open_tls(b);
		} else if (!b->link) {
			for (size_t k = 0; k < b->n_racers; k++)
				if (b->racers[k]->path.via == via)
					link_close(b->racers[k], CLOSE_NONE, error, NULL, 0, now);
			if (beacons_idle(b) && b->redial_at == GW_NEVER) {
				/* Why TLS cannot be had is for the owner of the conduit to
				 * tell: here a proxy's "denied" would be taken for the beacon's. */
				if (b->n_addrs > 0)
					b->error = GW_E_UNREACHABLE;
				beacons_give_up(b, now);
			}
		}
		return;
	}
}

/* --- address requests --- */

void ladder_ask_for_udp(struct beacon_ref *b, gw_time now)
{
	static const gw_time GAPS[] = { 20 * GW_SEC, 30 * GW_SEC, 60 * GW_SEC };
	struct wire_address_request r = { 0 };
	uint8_t data[WIRE_ADDRESS_REQUEST_SIZE];

	b->udp_asked = true;
	rng_bytes(b->node->rng, b->udp_token, sizeof(b->udp_token));
	memcpy(r.token, b->udp_token, sizeof(r.token));
	wire_address_request_encode(data, &r);
	for (size_t i = 0; i < b->n_addrs; i++) {
		struct path path = { .remote = b->addrs[i] };

		outbox_send(b->node, &path, data, sizeof(data));
	}
	b->udp_at = now + GAPS[b->udp_tries < 2 ? b->udp_tries : 2];
	b->udp_tries++;
}

void ladder_ask_alternate(struct beacon_ref *b)
{
	struct wire_address_request r = { 0 };
	uint8_t data[WIRE_ADDRESS_REQUEST_SIZE];
	struct path path = { .remote = b->link->path.remote };

	b->alternate = b->alternate_asked = (struct addr){ 0 };
	if (b->alternate_port == 0 || b->link->path.via)
		return;
	path.remote.port = b->alternate_port;
	b->alternate_asked = path.remote;
	rng_bytes(b->node->rng, b->alternate_token, sizeof(b->alternate_token));
	memcpy(r.token, b->alternate_token, sizeof(r.token));
	wire_address_request_encode(data, &r);
	outbox_send(b->node, &path, data, sizeof(data));
}

/* Nobody else may say where a beacon is. */
static bool is_address_of(const struct beacon_ref *b, const struct addr *a)
{
	for (size_t i = 0; i < b->n_addrs; i++)
		if (addr_equal(&b->addrs[i], a))
			return true;
	return false;
}

static bool answers(const struct wire_address_reply *r, const uint8_t token[WIRE_TOKEN_SIZE])
{
	return memcmp(r->token, token, WIRE_TOKEN_SIZE) == 0;
}

void ladder_address_reply(struct node *n, const struct path *path, const uint8_t *data, size_t len,
			  gw_time now)
{
	struct wire_address_reply r;

	if (wire_address_reply_decode(&r, data, len) <= 0) {
		n->stats.drop_malformed++;
		return;
	}
	if (spray_address(n, path, &r, now))
		return;
	list_each(&n->refs, i, tmp) {
		struct beacon_ref *b = container_of(i, struct beacon_ref, all_link);
		struct path back = { .remote = path->remote };

		if (b->link && addr_equal(&path->remote, &b->alternate_asked) &&
		    answers(&r, b->alternate_token))
			b->alternate = r.endpoint;
		if (!b->link || !b->link->path.via || path->via || !b->udp_asked ||
		    !is_address_of(b, &path->remote) || !answers(&r, b->udp_token))
			continue;
		b->udp_asked = false;
		move_to(b, &back);
		b->udp_at = GW_NEVER;
		ladder_close_tls(b);
		/* There may be direct paths again. */
		list_each(&n->peers, j, tmp2)
			punch_network_changed(container_of(j, struct peer, all_link), now);
	}
}
