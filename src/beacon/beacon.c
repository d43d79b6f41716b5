/* SPDX-License-Identifier: Apache-2.0 */
#include "beacon/beacon.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "beacon/internal.h"

enum { OUT_MAX = 1 << 20 };

/* --- frames --- */

static void on_test(struct session *s, const struct beacon_frame *f, gw_time now)
{
	struct wire_address_reply reply = { .endpoint = s->link->path.remote };
	struct path to = s->link->path;
	uint8_t bytes[WIRE_ADDRESS_REPLY_MAX];

	if (to.via != BEACON_MAIN || f->test.port == 0 ||
	    !budget_take(s->beacon, s->key, NULL, METER_TESTS, 1, now)) {
		s->beacon->stats.refused++;
		return;
	}
	memcpy(reply.token, f->test.token, sizeof(reply.token));
	reply.endpoint.port = to.remote.port = f->test.port;
	s->beacon->stats.tests++;
	beacon_queue(s->beacon, &to, bytes, wire_address_reply_encode(bytes, &reply));
}

/* About what is kept here. */
static void on_question(struct session *s, const struct beacon_frame *f, gw_time now)
{
	switch (f->type) {
	case BEACON_PUBLISH:
		directory_publish(s, f, now);
		break;
	case BEACON_LOOKUP:
		directory_lookup(s, f, now);
		break;
	case BEACON_UNWATCH:
		directory_unwatch(s, f->unwatch.key);
		break;
	case BEACON_STORE:
		items_store(s, f, now);
		break;
	default:
		roster_fetch(s, f, now);
		break;
	}
}

static void on_attended(struct session *s, const struct beacon_frame *f, gw_time now)
{
	struct beacon_frame pong = { .type = BEACON_PONG };

	switch (f->type) {
	case BEACON_PING:
		pong.ping.nonce = f->ping.nonce;
		session_send(s, &pong);
		break;
	case BEACON_PUBLISH:
	case BEACON_LOOKUP:
	case BEACON_UNWATCH:
	case BEACON_STORE:
	case BEACON_FETCH:
		on_question(s, f, now);
		break;
	case BEACON_OPEN:
		relay_open(s, f, now);
		break;
	case BEACON_CLOSE:
		relay_close(s, f);
		break;
	case BEACON_REVEAL:
		relay_reveal(s, f);
		break;
	case BEACON_TEST:
		on_test(s, f, now);
		break;
	case BEACON_ATTEND:
	case BEACON_WELCOME:
	case BEACON_OBSERVED:
	case BEACON_RECORD:
	case BEACON_RESULT:
	case BEACON_DRAIN:
	case BEACON_REVEALED:
	case BEACON_ITEM:
		session_fail(s, CLOSE_PROTOCOL, now);
		break;
	default: /* PONG, and frames of later versions */
		break;
	}
}

static void on_frame(struct link *l, const struct beacon_frame *f, gw_time now)
{
	struct session *s = l->user;

	if (!budget_take(s->beacon, s->key, s->source, METER_FRAMES, 1, now)) {
		s->beacon->stats.refused++;
		session_fail(s, CLOSE_LIMIT, now);
	} else if (s->state == SESSION_ATTENDED)
		on_attended(s, f, now);
	else if (f->type == BEACON_ATTEND)
		session_attend(s, f, now);
	else
		session_fail(s, CLOSE_PROTOCOL, now);
}

/* --- making one --- */

void beacon_config_init(struct beacon_config *c)
{
	memset(c, 0, sizeof(*c));
	limits_default(&c->limits);
}

static bool is_allowed(const struct beacon *b, const uint8_t *key)
{
	return !b->allow_items || keymap_get(&b->allowed, key);
}

static bool accept_key(struct link *l)
{
	struct beacon *b = l->host->user;
	bool allowed = is_allowed(b, l->key);

	b->stats.refused += !allowed;
	return allowed;
}

static bool knows(const struct link_host *h, const uint8_t *key)
{
	return is_allowed(h->user, key);
}

static uint64_t wall_ms(const struct link_host *h, gw_time now)
{
	return beacon_wall_ms(h->user, now);
}

static bool copy_allowed(struct beacon *b, const struct beacon_config *c)
{
	if (c->n_allow == 0)
		return true;
	b->allow_items = calloc(c->n_allow, sizeof(*b->allow_items));
	if (!b->allow_items)
		return false;
	for (size_t i = 0; i < c->n_allow; i++) {
		memcpy(b->allow_items[i].key, c->allow[i], KEY_SIZE);
		if (keymap_put(&b->allowed, &b->allow_items[i]) < 0)
			return false;
	}
	return true;
}

static void init_tables(struct beacon *b)
{
	list_init(&b->sessions);
	list_init(&b->idle_accounts);
	list_init(&b->ops);
	list_init(&b->out);
	list_init(&b->arriving);
	list_init(&b->news);
	keymap_init(&b->allowed, rng_u64(b->rng));
	keymap_init(&b->registered, rng_u64(b->rng));
	keymap_init(&b->keys, rng_u64(b->rng));
	keymap_init(&b->sources, rng_u64(b->rng));
	keymap_init(&b->watched, rng_u64(b->rng));
	map_init(&b->conduits, rng_u64(b->rng));
	map_init(&b->requests, rng_u64(b->rng));
	map_init(&b->channels, rng_u64(b->rng));
	roster_init(b);
}

static void answer(struct link_host *h, const struct path *to, const uint8_t *data, size_t len)
{
	(void)beacon_queue(h->user, to, data, len);
}

static void init_links(struct beacon *b)
{
	struct link_host *h = &b->links;

	h->rng = b->rng;
	h->tls = &b->tls;
	h->server = true;
	h->half_open_max = b->limits.half_open;
	h->queued_max = b->limits.frame_bytes;
	h->answer = answer;
	h->self = b->knock_self;
	h->wall_ms = wall_ms;
	h->knows = b->silent ? knows : NULL;
	h->admit = session_admit;
	h->accept = accept_key;
	h->on_up = session_up;
	h->on_frame = on_frame;
	h->on_moved = session_moved;
	h->on_closed = session_closed;
	h->user = b;
}

struct beacon *beacon_new(const struct beacon_config *c, gw_time now)
{
	struct beacon *b = calloc(1, sizeof(*b));

	if (!b)
		return NULL;
	b->identity = identity_new();
	b->knock_self = secret_new(sizeof(*b->knock_self));
	if (!b->identity || !b->knock_self) {
		secret_free(b->knock_self);
		identity_free(b->identity);
		free(b);
		return NULL;
	}
	*b->identity = *c->identity;
	b->rng = c->rng;
	b->limits = c->limits;
	b->alternate_port = c->alternate_port;
	b->silent = c->silent;
	b->wall_ms = c->wall_ms;
	b->wall_at = b->started = now;
	init_tables(b);
	init_links(b);
	if (knock_self_init(b->knock_self, b->identity) < 0 || tls_init(&b->tls, b->identity) < 0) {
		secret_free(b->knock_self);
		identity_free(b->identity);
		free(b);
		return NULL;
	}
	if (link_host_init(&b->links) < 0 || !copy_allowed(b, c)) {
		beacon_free(b);
		return NULL;
	}
	return b;
}

static void clear_out(struct beacon *b)
{
	list_each(&b->out, i, next)
		free(container_of(i, struct outgoing, link));
}

static void clear_accounts(struct beacon *b)
{
	list_each(&b->idle_accounts, i, next)
		free(container_of(i, struct account, idle_link));
	keymap_clear(&b->keys);
	keymap_clear(&b->sources);
}

static void clear_conduits(struct beacon *b)
{
	struct conduit *c;
	size_t position = 0;

	while ((c = map_next(&b->conduits, &position)))
		beacon_conduit_closed(b, c->via, b->started);
	map_clear(&b->conduits);
}

void beacon_free(struct beacon *b)
{
	if (!b)
		return;
	list_each(&b->sessions, i, next)
		session_closed(container_of(i, struct session, all_link)->link, b->started);
	clear_conduits(b);
	link_host_clear(&b->links);
	directory_clear(b);
	roster_clear(b);
	clear_accounts(b);
	clear_out(b);
	keymap_clear(&b->registered);
	keymap_clear(&b->allowed);
	free(b->allow_items);
	map_clear(&b->channels);
	heap_clear(&b->timers);
	heap_clear(&b->idle);
	tls_clear(&b->tls);
	identity_free(b->identity);
	secret_free(b->knock_self);
	free(b);
}

/* --- datagrams --- */

bool beacon_queue(struct beacon *b, const struct path *path, const uint8_t *data, size_t len)
{
	struct outgoing *o = b->out_bytes + len > OUT_MAX ? NULL : malloc(sizeof(*o) + len);

	if (!o) {
		b->stats.drops[DROP_QUEUE]++;
		return false;
	}
	*o = (struct outgoing){ .path = *path, .len = len };
	memcpy(o->data, data, len);
	list_append(&b->out, &o->link);
	b->out_bytes += len;
	return true;
}

static void on_address_request(struct beacon *b, const struct path *path, const uint8_t *data,
			       size_t len)
{
	struct wire_address_request request;
	struct wire_address_reply reply = { .endpoint = path->remote };
	uint8_t bytes[WIRE_ADDRESS_REPLY_MAX];
	struct path to = *path;

	if (path->via >= BEACON_CONDUITS || wire_address_request_decode(&request, data, len) <= 0) {
		b->stats.drops[DROP_MALFORMED]++;
		return;
	}
	if (b->silent && !account_is_live(b, &path->remote)) {
		b->stats.drops[DROP_KNOCK]++;
		return;
	}
	if (request.flags & ADDRESS_FROM_ALTERNATE) {
		if (b->alternate_port == 0)
			return;
		to.via = BEACON_ALTERNATE;
	}
	memcpy(reply.token, request.token, sizeof(reply.token));
	b->stats.address_requests++;
	beacon_queue(b, &to, bytes, wire_address_reply_encode(bytes, &reply));
}

void beacon_receive(struct beacon *b, const struct path *path, const uint8_t *data, size_t len,
		    gw_time now)
{
	enum datagram_kind kind = len > 0 ? wire_classify(data, len) : DATAGRAM_UNKNOWN;

	bool main_port = path->via != BEACON_ALTERNATE;

	if (kind == DATAGRAM_ADDRESS_REQUEST)
		on_address_request(b, path, data, len);
	else if (main_port && kind == DATAGRAM_QUIC)
		link_receive(&b->links, path, data, len, now);
	else if (main_port && kind == DATAGRAM_CHANNEL)
		relay_receive(b, path, data, len, now);
	else
		b->stats.drops[DROP_KIND]++;
}

/* Those that follow to the same place in the same size go along. */
static bool transmit_queued(struct beacon *b, struct batch *out)
{
	struct list_item *first;

	while ((first = list_first(&b->out))) {
		struct outgoing *o = container_of(first, struct outgoing, link);

		if (out->len > 0 && (!path_equal(&o->path, &out->path) || o->len != out->segment ||
				     out->len + o->len > out->capacity))
			break;
		out->path = o->path;
		out->segment = o->len;
		memcpy(out->data + out->len, o->data, o->len);
		out->len += o->len;
		b->out_bytes -= o->len;
		list_remove(first);
		free(o);
	}
	return out->len > 0;
}

bool beacon_transmit(struct beacon *b, struct batch *out, gw_time now)
{
	out->len = out->segment = 0;
	out->probe = false;
	return transmit_queued(b, out) || link_transmit(&b->links, out, now);
}

/* --- time --- */

static gw_time at_top(const struct heap *h)
{
	const struct timer *t = heap_top(h);

	return t ? t->at : GW_NEVER;
}

gw_time beacon_expiry(const struct beacon *b)
{
	gw_time own = time_min(at_top(&b->timers), at_top(&b->idle));

	own = time_min(own, at_top(&b->chain_ends));
	own = time_min(own, directory_expiry(b));
	return time_min(own, link_expiry(&b->links));
}

void beacon_expire(struct beacon *b, gw_time now)
{
	session_expire(b, now);
	relay_expire(b, now);
	roster_expire(b, now);
	directory_expire(b, now);
	link_expire(&b->links, now);
}

/* --- the end --- */

void beacon_drain(struct beacon *b, uint64_t seconds, gw_time now)
{
	struct beacon_frame f = { .type = BEACON_DRAIN };

	(void)now;
	f.drain.seconds = seconds;
	b->stats.draining = true;
	list_each(&b->sessions, i, next) {
		struct session *s = container_of(i, struct session, all_link);

		if (s->state == SESSION_ATTENDED)
			session_send(s, &f);
	}
}

void beacon_stop(struct beacon *b, gw_time now)
{
	list_each(&b->sessions, i, next)
		session_fail(container_of(i, struct session, all_link), CLOSE_EXIT, now);
}

/* --- what it does --- */

const char *beacon_drop_name(enum beacon_drop d)
{
	static const char *const NAMES[DROPS] = {
		[DROP_KIND] = "kind",
		[DROP_MALFORMED] = "malformed",
		[DROP_NO_LINK] = "no_connection",
		[DROP_HANDSHAKE] = "handshake_limit",
		[DROP_NO_CHANNEL] = "no_channel",
		[DROP_SOURCE] = "wrong_source",
		[DROP_BUDGET] = "budget",
		[DROP_QUEUE] = "queue",
		[DROP_KNOCK] = "no_knock",
	};

	return NAMES[d];
}

void beacon_stats_get(const struct beacon *b, struct beacon_stats *out)
{
	*out = b->stats;
	out->sessions = b->n_sessions;
	out->registered = b->registered.count;
	out->half_open = b->links.n_half_open;
	out->channels = b->channels.count;
	out->watches = b->n_watches;
	out->manifests = b->networks.count;
	out->names = b->chain_ends.count;
	out->conduits = b->conduits.count - b->n_coming;
	out->coming = b->n_coming;
	out->retries = b->links.retries;
	out->accounts = b->keys.count + b->sources.count;
	out->drops[DROP_MALFORMED] += b->links.drop_malformed;
	out->drops[DROP_NO_LINK] += b->links.drop_no_link;
	out->drops[DROP_HANDSHAKE] += b->links.drop_limit;
	out->drops[DROP_KNOCK] += b->links.drop_knock;
}

bool beacon_next_session(const struct beacon *b, const void **position,
			 struct beacon_session_info *out)
{
	const struct list_item *i =
		*position ? list_next(&b->sessions, *position) : list_first(&b->sessions);
	const struct session *s;

	if (!i)
		return false;
	*position = i;
	s = container_of(i, struct session, all_link);
	*out = (struct beacon_session_info){
		.endpoint = session_endpoint(s),
		.registered = s->registered,
		.channels = s->n_channels,
		.watches = s->n_watches,
		.since = s->link->created_at,
	};
	memcpy(out->key, s->link->key, KEY_SIZE);
	return true;
}
