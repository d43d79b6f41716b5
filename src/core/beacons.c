/* SPDX-License-Identifier: Apache-2.0 */
#include "core/beacons.h"

#include <stdlib.h>
#include <string.h>

#include "core/connection.h"
#include "core/dial.h"
#include "core/records.h"
#include "core/outbox.h"
#include "core/punch.h"
#include "core/relayed.h"
#include "core/spray.h"

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

static void close_tls(struct beacon_ref *b)
{
	if (b->tls_via)
		outbox_close(b->node, b->tls_via);
	b->tls_via = 0;
	b->tls_up = false;
}

/* Without a word to on_closed(): the reference forgets its links first. */
static void drop_links(struct beacon_ref *b, gw_time now)
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
	close_tls(b);
}

static void ref_free(struct beacon_ref *b)
{
	drop_links(b, 0);
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
	b->redial_at = b->tls_at = b->udp_at = b->ping_at = GW_NEVER;
	list_append(&n->refs, &b->all_link);
	n->n_refs++;
	return b;
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

static void race(struct beacon_ref *b, const struct path *path, gw_time now)
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

		race(b, &path, now);
	}
}

static void dial(struct beacon_ref *b, gw_time now)
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

/* 0-1 s at first, then doubling to a minute, +- 50 %: no herd when a beacon comes back. */
static void redial_later(struct beacon_ref *b, gw_time now)
{
	gw_time gap = b->failures > 6 ? 60 * GW_SEC : GW_SEC << b->failures;

	if (gap > 60 * GW_SEC)
		gap = 60 * GW_SEC;
	gap = b->failures == 0 ? rng_below(b->node->rng, GW_SEC)
			       : gap / 2 + rng_below(b->node->rng, gap);
	b->failures++;
	b->redial_at = b->configured || b->used_at + VISIT_IDLE > now ? now + gap : GW_NEVER;
}

/* No way to it was found this time. */
static void give_up(struct beacon_ref *b, gw_time now)
{
	redial_later(b, now);
	relayed_beacon_failed(b, now);
}

/* Nothing is being tried. */
static bool idle(const struct beacon_ref *b)
{
	return !b->link && b->n_racers == 0 && !b->resolving && !b->tls_via;
}

void beacons_want(struct beacon_ref *b, gw_time now)
{
	b->used_at = now;
	if (idle(b) && b->redial_at == GW_NEVER)
		dial(b, now);
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
			give_up(b, now);
	}
}

/* --- roles --- */

static bool usable(const struct beacon_ref *b)
{
	return b->configured && b->link && b->welcome && !b->draining && !b->suspect;
}

static struct beacon_ref *of_role(const struct node *n, enum ref_role role)
{
	list_each(&n->refs, i, tmp) {
		struct beacon_ref *b = container_of(i, struct beacon_ref, all_link);

		if (b->configured && b->role == role)
			return b;
	}
	return NULL;
}

/* The nearest that may have the role; the one that has it stays unless another one is clearly
 * better. */
static struct beacon_ref *nearest(const struct node *n, const struct beacon_ref *not_this)
{
	struct beacon_ref *best = NULL;

	list_each(&n->refs, i, tmp) {
		struct beacon_ref *b = container_of(i, struct beacon_ref, all_link);
		gw_time rtt;

		if (b == not_this || !usable(b))
			continue;
		rtt = link_rtt(b->link);
		if (b->role == REF_HOME && !not_this)
			rtt = rtt * 4 / 5 > 5 * GW_MSEC ? rtt * 4 / 5 - 5 * GW_MSEC : 0;
		if (!best || rtt < link_rtt(best->link))
			best = b;
	}
	return best;
}

static size_t dialling(const struct node *n)
{
	size_t count = 0;

	list_each(&n->refs, i, tmp) {
		const struct beacon_ref *b = container_of(i, struct beacon_ref, all_link);

		count += b->configured && !idle(b) && !b->welcome;
	}
	return count;
}

/* Those that are neither home nor spare are left. */
static void leave_extras(struct node *n, gw_time now)
{
	list_each(&n->refs, i, tmp) {
		struct beacon_ref *b = container_of(i, struct beacon_ref, all_link);

		if (b->role == REF_EXTRA && b->channels == 0 && (b->link || b->n_racers > 0)) {
			drop_links(b, now);
			b->redial_at = GW_NEVER;
		}
	}
}

/* All of our own: to choose among them again. */
static void dial_configured(struct node *n, gw_time now)
{
	list_each(&n->refs, i, tmp) {
		struct beacon_ref *b = container_of(i, struct beacon_ref, all_link);

		if (b->configured && idle(b) && b->redial_at == GW_NEVER)
			dial(b, now);
	}
}

static void choose_homes(struct node *n, gw_time now)
{
	struct beacon_ref *home = nearest(n, NULL), *spare;
	bool changed;

	n->homes_at = GW_NEVER;
	if (!home)
		return;
	spare = nearest(n, home);
	changed = home->role != REF_HOME ||
		  (spare ? spare->role != REF_SPARE : of_role(n, REF_SPARE) != NULL);
	list_each(&n->refs, i, tmp) {
		struct beacon_ref *b = container_of(i, struct beacon_ref, all_link);

		if (b->configured)
			b->role = b == home ? REF_HOME : b == spare ? REF_SPARE : REF_EXTRA;
	}
	n->homes_complete = spare != NULL;
	if (spare)
		leave_extras(n, now);
	else
		dial_configured(n, now);
	if (changed) {
		records_publish(n, now);
		n->homes_at =
			now + HOMES_CHECKED; /* its answer is a better measure than the handshake */
	}
	n->beacons_changed = true;
}

static void reconsider(struct node *n, gw_time now)
{
	if (!of_role(n, REF_HOME) || dialling(n) == 0)
		n->homes_at = now;
	else
		n->homes_at = time_min(n->homes_at, now + HOMES_SETTLE);
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
		close_tls(b);
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
		close_tls(b);
	if (was_up) {
		relayed_beacon_lost(b, now);
		records_beacon_lost(b, now);
		if (!l->broke && now >= l->created_at + REF_STEADY)
			b->failures = 0;
	}
	if (!b->tls_via) /* else TLS is still being tried */
		give_up(b, now);
	if (was_up && (b->role == REF_HOME || b->role == REF_SPARE)) {
		b->role = REF_EXTRA;
		b->node->homes_complete = false;
		dial_configured(b->node, now);
	}
	if (b->configured)
		reconsider(b->node, now);
	b->node->beacons_changed = true;
}

/* Its other port sees us, too: does our NAT map both alike? */
static void ask_alternate(struct beacon_ref *b)
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

static void welcome(struct beacon_ref *b, const struct beacon_frame *f, gw_time now)
{
	struct node *n = b->node;

	if (b->welcome)
		return;
	b->welcome = true;
	b->draining = f->welcome.flags & WELCOME_DRAINING;
	b->observed = f->welcome.endpoint;
	b->alternate_port = f->welcome.alternate_port;
	ask_alternate(b);
	b->clock_offset_ms = (int64_t)(f->welcome.wall_ms - node_wall_ms(n, now));
	if (b->configured)
		reconsider(n, now);
	if (b->role == REF_HOME || b->role == REF_SPARE)
		records_publish(n, now);
	records_beacon_ready(b, now);
	relayed_beacon_ready(b, now);
	n->beacons_changed = true;
}

static void drain(struct beacon_ref *b, gw_time now)
{
	b->draining = true;
	dial_configured(b->node, now);
	reconsider(b->node, now);
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
		ask_alternate(b);
		break;
	case BEACON_RECORD:
		records_record(b, f, now);
		break;
	case BEACON_RESULT:
		records_result(b, f, now);
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

int beacons_init(struct node *n, gw_time now)
{
	list_init(&n->refs);
	n->wall_ms = n->config.started_ms;
	n->wall_at = now;
	n->homes_at = n->publish_at = n->older_at = GW_NEVER;
	n->links = (struct link_host){
		.rng = n->rng,
		.tls = &n->tls,
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

		drop_links(b, now);
		b->redial_at = GW_NEVER;
	}
	n->homes_at = n->publish_at = GW_NEVER;
}

/* --- which way the packets go --- */

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

static void move_to(struct beacon_ref *b, const struct path *path)
{
	link_move(b->link, path);
	link_ping(b->link, 0);
	b->node->beacons_changed = true;
}

static void open_tls(struct beacon_ref *b)
{
	if (!b->tls_via && b->tls_port)
		b->tls_via = outbox_open_tls(b->node, b->host, b->tls_port);
}

static struct path tls_path(const struct beacon_ref *b)
{
	return (struct path){ .remote = addr_of_conduit(b->tls_via), .via = b->tls_via };
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
			race(b, &path, now);
		} else if (b->suspect || b->link->path.via) {
			move_to(b, &path);
			b->udp_at = now + 10 * GW_SEC;
			b->udp_tries = 0;
		} else {
			close_tls(b); /* UDP has answered meanwhile */
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
			open_tls(b);
		} else if (!b->link) {
			for (size_t k = 0; k < b->n_racers; k++)
				if (b->racers[k]->path.via == via)
					link_close(b->racers[k], CLOSE_NONE, error, NULL, 0, now);
			if (idle(b) && b->redial_at == GW_NEVER) {
				/* Why TLS cannot be had is for the owner of the conduit to
				 * tell: here a proxy's "denied" would be taken for the beacon's. */
				if (b->n_addrs > 0)
					b->error = GW_E_UNREACHABLE;
				give_up(b, now);
			}
		}
		return;
	}
}

static void ask_for_udp(struct beacon_ref *b, gw_time now)
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

void beacons_address_reply(struct node *n, const struct path *path, const uint8_t *data, size_t len,
			   gw_time now)
{
	struct wire_address_reply r;

	(void)now;
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
		close_tls(b);
	}
}

/* --- life signs --- */

void beacons_check(struct beacon_ref *b, gw_time now)
{
	(void)now;
	if (b->link && b->link->outstanding_since == GW_NEVER)
		link_ping(b->link, 0);
}

void beacons_check_all(struct node *n, gw_time now)
{
	list_each(&n->refs, i, tmp)
		beacons_check(container_of(i, struct beacon_ref, all_link), now);
}

/* What is sent without an address is lost, and an OPEN would wait for its repetition. */
static void unsettle(struct beacon_ref *b, gw_time now)
{
	b->unsettled = true;
	b->ping_at = now + DOUBT_PING;
	if (b->link->path.via || dial_ways_out(b->node, &b->link->path.remote) > 0) {
		b->ping_at = GW_NEVER;
		link_ping(b->link, 0);
	}
}

void beacons_network_changed(struct node *n, gw_time now)
{
	list_each(&n->refs, i, tmp) {
		struct beacon_ref *b = container_of(i, struct beacon_ref, all_link);

		if (b->link) {
			unsettle(b, now);
			if (b->link->path.via) {
				/* TCP does not survive a change of address. */
				close_tls(b);
				open_tls(b);
				ask_for_udp(b, now);
			}
		} else if (b->redial_at != GW_NEVER || b->n_racers > 0) {
			drop_links(b, now);
			b->failures = 0;
			dial(b, now);
		}
	}
}

/* Until it has asked us at our new address it drops what we send from there, and a handshake's
 * first packet would be lost.  Our answer to that question goes out before anything else. */
bool beacons_can_relay(const struct beacon_ref *b)
{
	return b->link && b->welcome && !b->unsettled;
}

void beacons_doubt(struct node *n, gw_time now)
{
	list_each(&n->refs, i, tmp) {
		struct beacon_ref *b = container_of(i, struct beacon_ref, all_link);

		if (!b->link || b->link->path.via || b->unsettled)
			continue;
		b->unsettled = true;
		b->ping_at = now + DOUBT_PING;
	}
}

void beacons_heard(struct beacon_ref *b, gw_time now)
{
	if (!b->unsettled || !b->link || b->link->heard_at != now)
		return;
	b->unsettled = false;
	if (b->configured)
		reconsider(b->node, now);
	if (b->welcome) {
		records_beacon_ready(b, now);
		relayed_beacon_ready(b, now);
	}
}

static gw_time silent_at(const struct beacon_ref *b)
{
	return b->link ? link_silent_at(b->link) : GW_NEVER;
}

/* An extra one stays while it relays, and while a home or a spare is missing. */
static bool leavable(const struct beacon_ref *b)
{
	return b->link && b->channels == 0 &&
	       (b->role == REF_VISITED || (b->role == REF_EXTRA && b->node->homes_complete));
}

static gw_time ref_due(const struct beacon_ref *b)
{
	gw_time at = time_min(time_min(b->redial_at, b->tls_at), time_min(b->udp_at, b->ping_at));
	gw_time silent = silent_at(b);

	if (silent != GW_NEVER)
		at = time_min(at, b->suspect ? silent + REF_DROP : silent);
	if (leavable(b))
		at = time_min(at, b->used_at + VISIT_IDLE);
	return at;
}

gw_time beacons_due(const struct node *n)
{
	gw_time at = time_min(n->homes_at, n->publish_at);

	list_each(&n->refs, i, tmp)
		at = time_min(at, ref_due(container_of(i, struct beacon_ref, all_link)));
	return at;
}

static void watch(struct beacon_ref *b, gw_time now)
{
	gw_time silent = silent_at(b);

	if (b->suspect && (silent == GW_NEVER || now < silent)) {
		b->suspect = false;
		if (b->configured)
			reconsider(b->node, now);
	} else if (!b->suspect && now >= silent) {
		b->suspect = true;
		if (!b->link->path.via)
			open_tls(b);
		if (b->configured)
			reconsider(b->node, now);
	} else if (b->suspect && now >= silent + REF_DROP) {
		link_close(b->link, CLOSE_NONE, GW_E_UNREACHABLE, NULL, 0, now);
	}
}

static void ref_expire(struct beacon_ref *b, gw_time now)
{
	if (now >= b->redial_at)
		dial(b, now);
	if (now >= b->tls_at) {
		b->tls_at = GW_NEVER;
		if (!b->link)
			open_tls(b);
	}
	if (now >= b->udp_at) {
		b->udp_at = GW_NEVER;
		if (b->link && b->link->path.via)
			ask_for_udp(b, now);
	}
	if (now >= b->ping_at) {
		b->ping_at = GW_NEVER;
		if (b->link)
			link_ping(b->link, 0);
	}
	if (b->link)
		watch(b, now);
	if (leavable(b) && now >= b->used_at + VISIT_IDLE) {
		drop_links(b, now);
		b->redial_at = GW_NEVER;
	}
}

void beacons_expire(struct node *n, gw_time now)
{
	list_each(&n->refs, i, tmp)
		ref_expire(container_of(i, struct beacon_ref, all_link), now);
	if (now >= n->homes_at)
		choose_homes(n, now);
	if (now >= n->publish_at)
		records_publish(n, now);
}

/* --- the node's interface --- */

int node_add_beacon(struct node *n, const uint8_t key[KEY_SIZE], const char *host,
		    uint16_t udp_port, uint16_t tls_port, gw_time now)
{
	struct beacon_ref *b;

	if (memcmp(key, n->identity.key, KEY_SIZE) == 0)
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
	dial(b, now);
	return 0;
}

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
	out->state = b->welcome                                                 ? BEACON_READY
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
