/* tests/unit/core_liar.c - nodes, and beacons that say what a test wants them to say. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "core_liar.h"

#include <stdio.h>
#include <stdlib.h>

static const struct subject ANYONE = { .kind = SUBJECT_ANY };

struct flying {
	struct flying *next;
	gw_time at;
	struct addr from, to;
	size_t len;
	uint8_t data[];
};

/* --- what a beacon says --- */

static int node_of(const struct liar *b, const struct link *l)
{
	for (int i = 0; i < LIAR_NODES; i++)
		if (b->links[i] == l)
			return i;
	return -1;
}

static struct liar *beacon_of(const struct link *l)
{
	return l->host->user;
}

static bool accept_all(struct link *l)
{
	(void)l;
	return true;
}

static void on_up(struct link *l, gw_time now)
{
	struct liar *b = beacon_of(l);

	(void)now;
	for (int i = 0; i < LIAR_NODES; i++)
		if (memcmp(b->world->n[i].id.key, l->key, KEY_SIZE) == 0)
			b->links[i] = l;
}

static void on_moved(struct link *l, gw_time now)
{
	(void)l;
	(void)now;
}

static void on_closed(struct link *l, gw_time now)
{
	struct liar *b = beacon_of(l);
	int i = node_of(b, l);

	(void)now;
	if (i >= 0)
		b->links[i] = NULL;
}

static void on_attend(struct liar *b, struct link *l, gw_time now)
{
	struct world *w = b->world;
	struct beacon_frame f = { .type = BEACON_WELCOME };
	int i = node_of(b, l);

	b->attends++;
	if (b->in_use) {
		link_close(l, CLOSE_IN_USE, GW_E_IN_USE, b->in_use, WIRE_CLAIM_SIZE, now);
		return;
	}
	f.welcome.version = PROTOCOL_VERSION;
	f.welcome.wall_ms = w->wall_ms + now / GW_MSEC + (uint64_t)b->clock_off_ms;
	f.welcome.endpoint = b->observed[i].family ? b->observed[i] : w->n[i].at;
	link_send(l, &f);
}

static void on_publish(struct liar *b, struct link *l, const struct beacon_frame *asked)
{
	struct beacon_frame f = { .type = BEACON_RESULT };
	struct wire_record r;

	b->publishes++;
	memcpy(b->published, asked->publish.record, asked->publish.record_len);
	b->published_len = asked->publish.record_len;
	assert_true(wire_record_decode(&r, b->published, b->published_len) > 0);
	f.result.request = asked->publish.request;
	f.result.status = b->publish_status;
	f.result.sequence = r.sequence + b->publish_ahead_ms;
	link_send(l, &f);
}

static void on_lookup(struct liar *b, struct link *l, const struct beacon_frame *asked)
{
	struct beacon_frame f = { .type = BEACON_RESULT };

	b->lookups++;
	memcpy(b->looked_for, asked->lookup.key, KEY_SIZE);
	if (b->mute)
		return;
	f.result.request = asked->lookup.request;
	f.result.status = RESULT_NOT_FOUND;
	if (b->record_len > 0) {
		f = (struct beacon_frame){ .type = BEACON_RECORD };
		f.record.request = asked->lookup.request;
		f.record.record = b->record;
		f.record.record_len = b->record_len;
	}
	for (unsigned k = 0; k < b->answers; k++)
		link_send(l, &f);
}

static void on_reveal(struct liar *b, struct link *l, uint64_t channel)
{
	struct beacon_frame f = { .type = BEACON_REVEALED };

	f.revealed.channel = channel;
	f.revealed.endpoint = b->revealed;
	if (b->revealed.family != ADDR_NONE)
		link_send(l, &f);
}

static void on_open(struct liar *b, struct link *l, uint64_t channel)
{
	struct beacon_frame f = { .type = BEACON_CLOSE };

	b->channel = f.close.channel = channel;
	f.close.reason = CHANNEL_NOT_HERE;
	if (b->not_here)
		link_send(l, &f);
}

static void on_frame(struct link *l, const struct beacon_frame *f, gw_time now)
{
	struct liar *b = beacon_of(l);

	switch (f->type) {
	case BEACON_ATTEND:
		on_attend(b, l, now);
		break;
	case BEACON_PUBLISH:
		on_publish(b, l, f);
		break;
	case BEACON_LOOKUP:
		on_lookup(b, l, f);
		break;
	case BEACON_OPEN:
		on_open(b, l, f->open.channel);
		break;
	case BEACON_REVEAL:
		on_reveal(b, l, f->reveal.channel);
		break;
	default:
		break;
	}
}

/* --- coming and going --- */

static void init_node(struct world *w, int i)
{
	struct local_addr local = { .ifindex = 1, .mtu = 1500 };
	uint8_t seed[SEED_SIZE];

	memset(seed, 17 + i, sizeof(seed));
	identity_from_seed(&w->n[i].id, seed);
	rng_seed(&w->n[i].rng, (uint64_t)i + 1);
	node_config_init(&w->n[i].config);
	w->n[i].config.identity = &w->n[i].id;
	w->n[i].config.rng = &w->n[i].rng;
	w->n[i].config.started_ms = w->wall_ms + w->now / GW_MSEC;
	w->n[i].config.udp_port = (uint16_t)(4001 + i);
	w->n[i].at = (struct addr){ .family = ADDR_V4,
				    .port = (uint16_t)(4001 + i),
				    .ip = { 203, 0, 113, (uint8_t)(i + 1) } };
	w->n[i].node = node_new(&w->n[i].config, w->now);
	assert_non_null(w->n[i].node);
	local.addr = w->n[i].at;
	local.addr.port = 0;
	node_network_changed(w->n[i].node, &local, 1, w->now);
	assert_int_equal(node_listen(w->n[i].node, "echo", GW_NEVER), 0);
	assert_int_equal(node_allow(w->n[i].node, "echo", &ANYONE), 0);
}

static void init_beacon(struct world *w, int k)
{
	struct liar *b = &w->b[k];
	uint8_t seed[SEED_SIZE];

	memset(seed, 90 + k, sizeof(seed));
	identity_from_seed(&b->id, seed);
	rng_seed(&b->rng, (uint64_t)k + 500);
	assert_int_equal(tls_init(&b->tls, &b->id), 0);
	b->world = w;
	b->answers = 1;
	b->at = (struct addr){ .family = ADDR_V4,
			       .port = 4443,
			       .ip = { 198, 51, 100, (uint8_t)(k + 1) } };
	b->host = (struct link_host){ .rng = &b->rng,
				      .tls = &b->tls,
				      .server = true,
				      .half_open_max = 100,
				      .accept = accept_all,
				      .on_up = on_up,
				      .on_frame = on_frame,
				      .on_moved = on_moved,
				      .on_closed = on_closed,
				      .user = b };
	assert_int_equal(link_host_init(&b->host), 0);
}

void world_init(struct world *w)
{
	memset(w, 0, sizeof(*w));
	assert_int_equal(crypto_init(), 0);
	w->now = 1000 * GW_SEC;
	w->wall_ms = UINT64_C(1800000000000);
	for (int i = 0; i < LIAR_NODES; i++)
		init_node(w, i);
	for (int k = 0; k < LIAR_BEACONS; k++)
		init_beacon(w, k);
}

void world_clear(struct world *w)
{
	for (int i = 0; i < LIAR_NODES; i++)
		node_free(w->n[i].node);
	for (int k = 0; k < LIAR_BEACONS; k++) {
		link_host_clear(&w->b[k].host);
		tls_clear(&w->b[k].tls);
	}
	while (w->head) {
		struct flying *next = w->head->next;

		free(w->head);
		w->head = next;
	}
}

void world_use(struct world *w, int i, int k)
{
	char host[32];

	snprintf(host, sizeof(host), "198.51.100.%d", k + 1);
	assert_int_equal(node_add_beacon(w->n[i].node, w->b[k].id.key, host, 4443, 443, w->now), 0);
}

/* --- the wire --- */

static void put(struct world *w, const struct addr *from, const struct addr *to,
		const uint8_t *data, size_t len)
{
	struct flying *p = malloc(sizeof(*p) + len);

	assert_non_null(p);
	*p = (struct flying){ .at = w->now + GW_MSEC, .from = *from, .to = *to, .len = len };
	memcpy(p->data, data, len);
	if (w->tail)
		w->tail->next = p;
	else
		w->head = p;
	w->tail = p;
}

void world_inject(struct world *w, const struct addr *from, int i, const uint8_t *data, size_t len)
{
	put(w, from, &w->n[i].at, data, len);
}

/* A channel packet goes to the other one of the nodes. */
static void at_beacon(struct world *w, struct liar *b, const struct flying *p)
{
	struct path path = { .local = b->at, .ifindex = 1, .remote = p->from };

	if (p->data[0] != WIRE_CHANNEL) {
		link_receive(&b->host, &path, p->data, p->len, w->now);
		return;
	}
	for (int i = 0; i < LIAR_NODES; i++)
		if (b->links[i] && !addr_equal(&p->from, &w->n[i].at))
			put(w, &b->at, &w->n[i].at, p->data, p->len);
}

static bool is_of_node(const struct world *w, const struct addr *a)
{
	for (int i = 0; i < LIAR_NODES; i++)
		if (addr_equal(&w->n[i].at, a))
			return true;
	return false;
}

static void arrive(struct world *w, const struct flying *p)
{
	if (w->via && addr_conduit(&p->to)) {
		struct path path = { .remote = p->to, .via = w->via };

		node_receive(w->n[0].node, &path, p->data, p->len, w->now);
		return;
	}
	if (w->no_direct && is_of_node(w, &p->from) && is_of_node(w, &p->to))
		return;
	if (w->no_udp && addr_equal(&p->to, &w->b[0].at) && is_of_node(w, &p->from))
		return;
	for (int i = 0; i < LIAR_NODES; i++) {
		struct path path = { .local = p->to, .ifindex = 1, .remote = p->from };

		if (!addr_equal(&w->n[i].at, &p->to))
			continue;
		node_receive(w->n[i].node, &path, p->data, p->len, w->now);
		return;
	}
	for (int k = 0; k < LIAR_BEACONS; k++)
		if (addr_equal(&w->b[k].at, &p->to)) {
			at_beacon(w, &w->b[k], p);
			return;
		}
	w->victim_datagrams++;
	w->victim_bytes += p->len;
	w->victim = p->to;
}

static void resolve(struct world *w, int i, const char *host)
{
	struct addr a;
	size_t count = addr_parse_host(&a, host, 0) == 0;

	node_resolved(w->n[i].node, host, &a, count, w->now);
}

static void note(struct world *w, int i, const struct event *ev)
{
	if (ev->type == EVENT_IDENTITY_IN_USE)
		w->n[i].in_use++;
	if (ev->type == EVENT_PONG) {
		w->n[i].pongs++;
		w->n[i].relayed = ev->relay != NULL;
	}
	if (ev->type != EVENT_PEER)
		return;
	w->n[i].connected += ev->state == PEER_CONNECTED;
	w->n[i].failed += ev->error != 0;
	w->n[i].error = ev->error ? ev->error : w->n[i].error;
}

static void pump(struct world *w)
{
	struct batch b = { .data = w->batch, .capacity = sizeof(w->batch) };

	for (int i = 0; i < LIAR_NODES; i++) {
		struct io_request r;
		struct event ev;

		while (node_next_request(w->n[i].node, &r)) {
			if (r.type == IO_RESOLVE) {
				resolve(w, i, r.host);
			} else if (r.type == IO_TLS_OPEN && w->no_udp && i == 0) {
				w->via = r.via;
				node_conduit_up(w->n[i].node, r.via, w->now);
			} else if (r.type != IO_CLOSE) {
				node_conduit_down(w->n[i].node, r.via, GW_E_UNREACHABLE, w->now);
			}
		}
		while (node_next_event(w->n[i].node, &ev))
			note(w, i, &ev);
		while (node_transmit(w->n[i].node, &b, w->now))
			for (size_t at = 0; at < b.len; at += b.segment)
				put(w, b.path.via ? &b.path.remote : &w->n[i].at,
				    b.path.via ? &w->b[0].at : &b.path.remote, b.data + at,
				    b.len - at < b.segment ? b.len - at : b.segment);
		node_check(w->n[i].node);
	}
	for (int k = 0; k < LIAR_BEACONS; k++)
		while (link_transmit(&w->b[k].host, &b, w->now))
			put(w, &w->b[k].at, &b.path.remote, b.data, b.len);
}

static gw_time next_time(const struct world *w)
{
	gw_time at = w->head ? w->head->at : GW_NEVER;

	for (int i = 0; i < LIAR_NODES; i++)
		at = time_min(at, node_expiry(w->n[i].node));
	for (int k = 0; k < LIAR_BEACONS; k++)
		at = time_min(at, link_expiry(&w->b[k].host));
	return at;
}

void world_run(struct world *w, gw_time duration)
{
	gw_time end = w->now + duration;

	pump(w);
	for (;;) {
		gw_time at = next_time(w);

		if (at > end)
			break;
		w->now = time_max(w->now, at);
		while (w->head && w->head->at <= w->now) {
			struct flying *p = w->head;

			w->head = p->next;
			if (!w->head)
				w->tail = NULL;
			arrive(w, p);
			free(p);
		}
		for (int i = 0; i < LIAR_NODES; i++)
			node_expire(w->n[i].node, w->now);
		for (int k = 0; k < LIAR_BEACONS; k++)
			link_expire(&w->b[k].host, w->now);
		pump(w);
	}
	w->now = end;
}

void world_settle(struct world *w)
{
	world_run(w, 3 * GW_SEC);
}

/* --- looking and saying --- */

struct beacon_info world_info(const struct world *w, int i, int k)
{
	struct beacon_info info = { 0 };

	for (const struct beacon_ref *b = node_beacon_next(w->n[i].node, NULL); b;
	     b = node_beacon_next(w->n[i].node, b)) {
		beacon_describe(b, &info);
		if (memcmp(info.key, w->b[k].id.key, KEY_SIZE) == 0)
			return info;
	}
	memset(&info, 0, sizeof(info));
	return info;
}

size_t world_record(const struct world *w, const struct identity *of, int home, uint64_t sequence,
		    uint32_t lifetime_s, uint8_t out[WIRE_RECORD_MAX])
{
	struct wire_record r = { .sequence = sequence, .lifetime_s = lifetime_s, .n_homes = 1 };
	size_t len;

	memcpy(r.key, of->key, KEY_SIZE);
	memcpy(r.homes[0].key, w->b[home].id.key, KEY_SIZE);
	r.homes[0].udp_port = 4443;
	snprintf(r.homes[0].host, sizeof(r.homes[0].host), "198.51.100.%d", home + 1);
	len = wire_record_encode(out, &r);
	identity_sign(of, RECORD_CONTEXT, out, len - SIGNATURE_SIZE, out + len - SIGNATURE_SIZE);
	return len;
}

void world_send(struct world *w, int k, int node, const struct beacon_frame *f)
{
	assert_non_null(w->b[k].links[node]);
	link_send(w->b[k].links[node], f);
	world_run(w, 10 * GW_MSEC);
}
