/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "core/beacons_internal.h"
#include "core/connection.h"
#include "core/homes.h"
#include "core/ladder.h"
#include "core/names.h"
#include "core/networks.h"
#include "core/outbox.h"
#include "core/punch.h"
#include "core/records.h"
#include "core/relayed.h"

/* --- the table --- */

static bool host_valid(const char *host)
{
	size_t len = strnlen(host, WIRE_HOST_MAX + 1);

	for (size_t i = 0; i < len; i++)
		if (host[i] <= ' ' || host[i] > '~')
			return false;
	return len > 0 && len <= WIRE_HOST_MAX;
}

static bool disposable(const struct beacon_ref *b)
{
	return !b->configured && b->users == 0 && b->channels == 0;
}

void beacons_drop_links(struct beacon_ref *b, gw_time now)
{
	for (size_t i = 0; i < b->n_racers; i++) {
		b->racers[i]->user = NULL;
		link_close(b->racers[i], CLOSE_MOVED, GW_E_CLOSED, NULL, 0, now);
	}
	b->n_racers = 0;
	if (b->link) {
		b->link->user = NULL;
		link_close(b->link, CLOSE_IDLE, GW_E_CLOSED, NULL, 0, now);
	}
	b->link = NULL;
	b->welcome = b->suspect = b->unsettled = b->draining = false;
	b->tls_at = b->udp_at = GW_NEVER;
	names_beacon_lost(b, now);
	ladder_close_tls(b);
}

static void ref_free(struct beacon_ref *b)
{
	beacons_drop_links(b, 0);
	list_remove(&b->all_link);
	b->node->n_refs--;
	free(b);
}

static void make_room(struct node *n)
{
	list_each(&n->refs, i, tmp) {
		struct beacon_ref *b = container_of(i, struct beacon_ref, all_link);

		if (disposable(b)) {
			ref_free(b);
			return;
		}
	}
}

struct beacon_ref *beacons_get(struct node *n, const uint8_t key[KEY_SIZE], const char *host,
			       uint16_t udp_port, uint16_t tls_port)
{
	struct beacon_ref *b;

	list_each(&n->refs, i, tmp) {
		b = container_of(i, struct beacon_ref, all_link);
		if (memcmp(b->key, key, KEY_SIZE) == 0 && b->udp_port == udp_port &&
		    strcmp(b->host, host) == 0)
			return b;
	}
	if (!host_valid(host) || udp_port == 0)
		return NULL;
	if (n->n_refs >= REFS_MAX)
		make_room(n);
	b = n->n_refs < REFS_MAX ? calloc(1, sizeof(*b)) : NULL;
	if (!b)
		return NULL;
	b->node = n;
	b->number = ++n->next_ref;
	memcpy(b->key, key, KEY_SIZE);
	memcpy(b->host, host, strlen(host));
	b->udp_port = udp_port;
	b->tls_port = tls_port;
	b->redial_at = b->tls_at = b->udp_at = b->ping_at = b->names.at = GW_NEVER;
	list_append(&n->refs, &b->all_link);
	n->n_refs++;
	return b;
}

struct beacon_ref *beacons_of_number(const struct node *n, uint64_t number)
{
	list_each(&n->refs, i, tmp) {
		struct beacon_ref *b = container_of(i, struct beacon_ref, all_link);

		if (b->number == number)
			return b;
	}
	return NULL;
}

struct beacon_ref *beacons_of_path(struct node *n, const struct path *path)
{
	list_each(&n->refs, i, tmp) {
		struct beacon_ref *b = container_of(i, struct beacon_ref, all_link);

		if (!b->link)
			continue;
		if (path->via ? path->via == b->tls_via
			      : addr_equal(&path->remote, &b->link->path.remote))
			return b;
		/* Sent before we moved to TLS. */
		for (size_t k = 0; !path->via && k < b->n_addrs; k++)
			if (addr_equal(&path->remote, &b->addrs[k]))
				return b;
	}
	return NULL;
}

int node_add_beacon(struct node *n, const uint8_t key[KEY_SIZE], const char *host,
		    uint16_t udp_port, uint16_t tls_port, gw_time now)
{
	struct beacon_ref *b;

	if (memcmp(key, n->identity->key, KEY_SIZE) == 0)
		return GW_E_SELF;
	if (!host_valid(host) || udp_port == 0)
		return GW_E_INVALID;
	b = n->n_configured < CONFIGURED_MAX ? beacons_get(n, key, host, udp_port, tls_port) : NULL;
	if (!b)
		return GW_E_LIMIT;
	if (!b->configured)
		n->n_configured++;
	b->configured = true;
	b->role = REF_EXTRA;
	beacons_dial(b, now);
	return 0;
}

void beacons_hold(struct beacon_ref *b)
{
	b->users++;
}

void beacons_release(struct beacon_ref *b)
{
	b->users--;
}

/* --- dialling: every address at once, TLS a little later --- */

void beacons_race(struct beacon_ref *b, const struct path *path, gw_time now)
{
	struct link *l;

	if (b->n_racers == sizeof(b->racers) / sizeof(b->racers[0]))
		return;
	l = link_dial(&b->node->links, b->key, path, now);
	if (!l)
		return;
	l->user = b;
	b->racers[b->n_racers++] = l;
}

static void race_udp(struct beacon_ref *b, gw_time now)
{
	for (size_t i = 0; i < b->n_addrs; i++) {
		struct path path = { .remote = b->addrs[i] };

		beacons_race(b, &path, now);
	}
}

void beacons_dial(struct beacon_ref *b, gw_time now)
{
	b->redial_at = GW_NEVER;
	if (b->link || b->n_racers > 0)
		return;
	b->dialled_at = now;
	b->tls_at = b->tls_port ? now + TLS_AFTER : GW_NEVER;
	if (b->n_addrs == 0 && !b->resolving) {
		b->resolving = true;
		outbox_resolve(b->node, b->host);
	}
	race_udp(b, now);
}

void beacons_redial_later(struct beacon_ref *b, gw_time now)
{
	gw_time gap = b->failures > 6 ? 60 * GW_SEC : GW_SEC << b->failures;

	if (gap > 60 * GW_SEC)
		gap = 60 * GW_SEC;
	gap = b->failures == 0 ? rng_below(b->node->rng, GW_SEC)
			       : gap / 2 + rng_below(b->node->rng, gap);
	b->failures++;
	b->redial_at = b->configured || b->used_at + VISIT_IDLE > now ? now + gap : GW_NEVER;
}

void beacons_give_up(struct beacon_ref *b, gw_time now)
{
	beacons_redial_later(b, now);
	relayed_beacon_failed(b, now);
}

bool beacons_idle(const struct beacon_ref *b)
{
	return !b->link && b->n_racers == 0 && !b->resolving && !b->tls_via;
}

void beacons_want(struct beacon_ref *b, gw_time now)
{
	b->used_at = now;
	if (beacons_idle(b) && b->redial_at == GW_NEVER)
		beacons_dial(b, now);
}

void node_resolved(struct node *n, const char *host, const struct addr *addrs, size_t count,
		   gw_time now)
{
	list_each(&n->refs, i, tmp) {
		struct beacon_ref *b = container_of(i, struct beacon_ref, all_link);

		if (!b->resolving || strcmp(b->host, host) != 0)
			continue;
		b->resolving = false;
		b->n_addrs = count < REF_ADDRS_MAX ? count : REF_ADDRS_MAX;
		for (size_t k = 0; k < b->n_addrs; k++) {
			b->addrs[k] = addrs[k];
			b->addrs[k].port = b->udp_port;
		}
		if (!b->link)
			race_udp(b, now);
		if (count > 0)
			continue;
		b->error = GW_E_NOT_FOUND;
		if (b->tls_port)
			b->tls_at = now; /* a proxy may know the name */
		else
			beacons_give_up(b, now);
	}
}

/* --- links come and go --- */

static void attend(struct beacon_ref *b)
{
	struct beacon_frame f = { .type = BEACON_ATTEND };
	struct node *n = b->node;

	f.attend.version = PROTOCOL_VERSION;
	f.attend.flags = b->configured && !n->config.transient ? ATTEND_REGISTER : 0;
	memcpy(f.attend.claim, n->claim, WIRE_CLAIM_SIZE);
	link_send(b->link, &f);
}

static void on_up(struct link *l, gw_time now)
{
	struct beacon_ref *b = l->user;

	if (!b)
		return;
	b->link = l;
	for (size_t i = 0; i < b->n_racers; i++) {
		if (b->racers[i] == l)
			continue;
		b->racers[i]->user = NULL;
		link_close(b->racers[i], CLOSE_MOVED, GW_E_CLOSED, NULL, 0, now);
	}
	b->n_racers = 0;
	b->tls_at = GW_NEVER;
	b->error = 0;
	b->used_at = now;
	if (l->path.via) {
		b->udp_at = now + 10 * GW_SEC;
		b->udp_tries = 0;
	} else {
		ladder_close_tls(b);
	}
	attend(b);
}

static void forget_link(struct beacon_ref *b, struct link *l)
{
	if (b->link == l) {
		b->link = NULL;
		b->welcome = b->suspect = b->unsettled = b->draining = false;
		b->udp_at = GW_NEVER;
	}
	for (size_t i = 0; i < b->n_racers; i++)
		if (b->racers[i] == l)
			b->racers[i--] = b->racers[--b->n_racers];
}

static void on_closed(struct link *l, gw_time now)
{
	struct beacon_ref *b = l->user;
	bool was_up;

	if (!b)
		return;
	was_up = b->link == l;
	forget_link(b, l);
	if (b->link || b->n_racers > 0)
		return;
	b->error = l->error;
	if (l->broke)
		b->fault = "broke the protocol";
	b->node->in_use |=
		l->error == GW_E_IN_USE && claim_replaces(b->node, l->reason, l->reason_len);
	if (l->path.via || was_up)
		ladder_close_tls(b);
	if (was_up) {
		relayed_beacon_lost(b, now);
		records_beacon_lost(b, now);
		names_beacon_lost(b, now);
		if (!l->broke && now >= l->created_at + REF_STEADY)
			b->failures = 0;
	}
	if (!b->tls_via) /* else TLS is still being tried */
		beacons_give_up(b, now);
	if (was_up && (b->role == REF_HOME || b->role == REF_SPARE)) {
		b->role = REF_EXTRA;
		b->node->homes_complete = false;
		homes_dial_all(b->node, now);
	}
	if (b->configured)
		homes_reconsider(b->node, now);
	b->node->beacons_changed = true;
}

static void welcome(struct beacon_ref *b, const struct beacon_frame *f, gw_time now)
{
	struct node *n = b->node;

	if (b->welcome)
		return;
	b->welcome = true;
	b->draining = f->welcome.flags & WELCOME_DRAINING;
	b->observed = f->welcome.endpoint;
	b->alternate_port = f->welcome.alternate_port;
	ladder_ask_alternate(b);
	b->clock_offset_ms = (int64_t)(f->welcome.wall_ms - node_wall_ms(n, now));
	if (b->configured)
		homes_reconsider(n, now);
	if (b->role == REF_HOME || b->role == REF_SPARE)
		records_publish(n, now);
	records_beacon_ready(b, now);
	names_beacon_ready(b, now);
	relayed_beacon_ready(b, now);
	n->beacons_changed = true;
}

static void drain(struct beacon_ref *b, gw_time now)
{
	b->draining = true;
	homes_dial_all(b->node, now);
	homes_reconsider(b->node, now);
}

/* To a question of ours. */
static void answer(struct beacon_ref *b, const struct beacon_frame *f, gw_time now)
{
	if (f->type == BEACON_RECORD)
		records_record(b, f, now);
	else if (f->type == BEACON_ITEM)
		names_item(b, f, now);
	else if (!names_result(b, f, now))
		records_result(b, f, now);
}

static void on_frame(struct link *l, const struct beacon_frame *f, gw_time now)
{
	struct beacon_ref *b = l->user;

	if (!b)
		return;
	switch (f->type) {
	case BEACON_WELCOME:
		welcome(b, f, now);
		break;
	case BEACON_OBSERVED:
		b->observed = f->observed.endpoint;
		ladder_ask_alternate(b);
		break;
	case BEACON_RECORD:
	case BEACON_RESULT:
	case BEACON_ITEM:
		answer(b, f, now);
		break;
	case BEACON_CLOSE:
		relayed_closed(b, f->close.channel, f->close.reason, now);
		break;
	case BEACON_REVEALED:
		relayed_revealed(b, f->revealed.channel, &f->revealed.endpoint);
		break;
	case BEACON_DRAIN:
		drain(b, now);
		break;
	case BEACON_ATTEND:
	case BEACON_PUBLISH:
	case BEACON_LOOKUP:
	case BEACON_UNWATCH:
	case BEACON_OPEN:
	case BEACON_TEST:
	case BEACON_REVEAL:
	case BEACON_STORE:
	case BEACON_FETCH:
		link_broken(l); /* it is for us to say */
		break;
	default:
		break; /* PONG, and what a later version says */
	}
}

static bool never_accept(struct link *l)
{
	(void)l;
	return false;
}

static void never_moved(struct link *l, gw_time now)
{
	(void)l;
	(void)now;
}

static uint64_t wall_ms(const struct link_host *h, gw_time now)
{
	return node_wall_ms(h->user, now);
}

int beacons_init(struct node *n, gw_time now)
{
	list_init(&n->refs);
	n->wall_ms = n->config.started_ms;
	n->wall_at = now;
	n->homes_at = n->publish_at = n->older_at = GW_NEVER;
	n->links = (struct link_host){
		.rng = n->rng,
		.tls = &n->tls,
		.self = n->knock_self,
		.wall_ms = wall_ms,
		.accept = never_accept,
		.on_up = on_up,
		.on_frame = on_frame,
		.on_moved = never_moved,
		.on_closed = on_closed,
		.user = n,
	};
	return link_host_init(&n->links);
}

void beacons_clear(struct node *n)
{
	link_host_clear(&n->links);
	list_each(&n->refs, i, tmp) {
		struct beacon_ref *b = container_of(i, struct beacon_ref, all_link);

		b->link = NULL;
		b->n_racers = 0;
		free(b);
	}
	free(n->requests);
}

void beacons_close(struct node *n, gw_time now)
{
	list_each(&n->refs, i, tmp) {
		struct beacon_ref *b = container_of(i, struct beacon_ref, all_link);

		beacons_drop_links(b, now);
		b->redial_at = GW_NEVER;
	}
	n->homes_at = n->publish_at = GW_NEVER;
}

/* --- the node's interface --- */

uint64_t node_wall_ms(const struct node *n, gw_time now)
{
	return n->wall_ms + (now - n->wall_at) / GW_MSEC;
}

void node_set_wall_clock(struct node *n, uint64_t wall_ms, gw_time now)
{
	int64_t by = (int64_t)(wall_ms - node_wall_ms(n, now));

	if (by > -WALL_STEP_MS && by < WALL_STEP_MS)
		return;
	n->wall_ms = wall_ms;
	n->wall_at = now;
	list_each(&n->refs, i, tmp)
		container_of(i, struct beacon_ref, all_link)->clock_offset_ms -= by;
	networks_clock_stepped(n, now);
}

void node_set_mapping(struct node *n, const struct addr *endpoint, gw_time now)
{
	n->mapped = *endpoint;
	if (endpoint->family == ADDR_NONE)
		return;
	list_each(&n->peers, i, tmp)
		punch_network_changed(container_of(i, struct peer, all_link), now);
}

int node_beacon_test(struct beacon_ref *b, uint16_t port, const uint8_t token[WIRE_TOKEN_SIZE])
{
	struct beacon_frame f = { .type = BEACON_TEST };

	if (!b->link || !b->welcome)
		return GW_E_AGAIN;
	f.test.port = port;
	memcpy(f.test.token, token, WIRE_TOKEN_SIZE);
	link_send(b->link, &f);
	return 0;
}

struct beacon_ref *node_beacon_next(const struct node *n, const struct beacon_ref *after)
{
	struct list_item *i = after ? list_next(&n->refs, &after->all_link) : list_first(&n->refs);

	return i ? container_of(i, struct beacon_ref, all_link) : NULL;
}

/* Two that see us at different hosts: one of them lies, or our ways to them differ. */
static bool is_contradicted(const struct beacon_ref *b)
{
	for (const struct beacon_ref *o = node_beacon_next(b->node, NULL); o;
	     o = node_beacon_next(b->node, o))
		if (o->configured && o->welcome && o->observed.family == b->observed.family &&
		    !addr_same_host(&o->observed, &b->observed))
			return b->configured && b->welcome && b->observed.family != ADDR_NONE;
	return false;
}

void beacon_describe(const struct beacon_ref *b, struct beacon_info *out)
{
	memset(out, 0, sizeof(*out));
	memcpy(out->key, b->key, KEY_SIZE);
	memcpy(out->host, b->host, sizeof(out->host));
	out->udp_port = b->udp_port;
	out->tls_port = b->tls_port;
	out->state = b->welcome && !b->suspect                                  ? BEACON_READY
		     : b->n_racers > 0 || b->resolving || b->link || b->tls_via ? BEACON_DIALING
										: BEACON_DOWN;
	out->configured = b->configured;
	out->home = b->role == REF_HOME;
	out->spare = b->role == REF_SPARE;
	out->draining = b->draining;
	out->observed = b->observed;
	out->clock_offset_ms = b->clock_offset_ms;
	out->error = b->error;
	out->fault = b->fault;
	out->doubt = b->refuses_record    ? "refuses this node's record"
		     : is_contradicted(b) ? "sees this node at another address than others do"
					  : NULL;
	if (b->n_addrs > 0)
		out->endpoint = b->addrs[0];
	if (b->link) {
		out->tls = b->link->path.via != 0;
		out->rtt = link_rtt(b->link);
		out->heard_at = b->link->heard_at;
		if (!out->tls)
			out->endpoint = b->link->path.remote;
	}
}
