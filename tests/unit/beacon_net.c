/* SPDX-License-Identifier: Apache-2.0 */
#include "beacon_net.h"

#include <stdlib.h>

#define WIRE_DELAY GW_MSEC

enum { CHANNEL_PACKET = 1209 };

/* --- what a client sees --- */

static struct client *client_of(const struct link *l)
{
	return l->host->user;
}

static void on_up(struct link *l, gw_time now)
{
	(void)now;
	client_of(l)->up = true;
}

static void on_frame(struct link *l, const struct beacon_frame *f, gw_time now)
{
	struct client *c = client_of(l);
	struct seen_frame *seen;

	(void)now;
	assert_true(c->n_frames < FRAMES_MAX);
	seen = &c->frames[c->n_frames++];
	seen->f = *f;
	if (f->type == BEACON_RECORD && f->record.record_len > 0) {
		memcpy(seen->record, f->record.record, f->record.record_len);
		seen->f.record.record = seen->record;
	}
	if (f->type == BEACON_ITEM) {
		memcpy(seen->record, f->item.bytes, f->item.len);
		seen->f.item.bytes = seen->record;
	}
}

static uint64_t wall_ms(const struct link_host *h, gw_time now)
{
	const struct client *c = h->user;

	return c->wall_ms + (now - c->wall_at) / GW_MSEC;
}

static void on_closed(struct link *l, gw_time now)
{
	struct client *c = client_of(l);

	(void)now;
	if (c->link != l)
		return;
	c->link = NULL;
	c->up = false;
	c->error = l->error;
	c->close_code = l->peer_code;
	c->reason_len = l->reason_len < sizeof(c->reason) ? l->reason_len : sizeof(c->reason);
	if (l->reason)
		memcpy(c->reason, l->reason, c->reason_len);
}

/* --- starting --- */

static void init_client(struct net *w, int i)
{
	struct client *c = &w->c[i];
	uint8_t seed[SEED_SIZE];

	memset(seed, 40 + i, sizeof(seed));
	identity_from_seed(&c->id, seed);
	rng_seed(&c->rng, (uint64_t)i + 100);
	assert_int_equal(tls_init(&c->tls, &c->id), 0);
	assert_int_equal(knock_self_init(&c->self, &c->id), 0);
	c->wall_ms = w->wall_ms;
	c->wall_at = w->now;
	c->host = (struct link_host){ .rng = &c->rng,
				      .tls = &c->tls,
				      .self = &c->self,
				      .wall_ms = wall_ms,
				      .on_up = on_up,
				      .on_frame = on_frame,
				      .on_closed = on_closed,
				      .user = c };
	assert_int_equal(link_host_init(&c->host), 0);
	c->incarnation = 1000 + (uint64_t)i;
	c->started_ms = w->wall_ms;
	c->at = (struct addr){ .family = ADDR_V4,
			       .port = (uint16_t)(4000 + i),
			       .ip = { 203, 0, 113, (uint8_t)(i + 1) } };
}

void net_init(struct net *w)
{
	uint8_t seed[SEED_SIZE];

	memset(w, 0, sizeof(*w));
	assert_int_equal(crypto_init(), 0);
	w->now = 1000 * GW_SEC;
	w->wall_ms = UINT64_C(1800000000000);
	memset(seed, 7, sizeof(seed));
	identity_from_seed(&w->id, seed);
	rng_seed(&w->rng, 1);
	w->at = (struct addr){ .family = ADDR_V4, .port = 4443, .ip = { 198, 51, 100, 1 } };
	beacon_config_init(&w->config);
	w->config.identity = &w->id;
	w->config.rng = &w->rng;
	w->config.wall_ms = w->wall_ms;
	w->config.alternate_port = 4444;
	w->store = store_memory_new(1000, &w->rng);
	assert_non_null(w->store);
	for (int i = 0; i < CLIENTS; i++)
		init_client(w, i);
}

void net_start(struct net *w)
{
	w->beacon = beacon_new(&w->config, w->now);
	assert_non_null(w->beacon);
}

void net_clear(struct net *w)
{
	for (int i = 0; i < CLIENTS; i++) {
		link_host_clear(&w->c[i].host);
		tls_clear(&w->c[i].tls);
		knock_self_wipe(&w->c[i].self);
	}
	beacon_free(w->beacon);
	store_free(w->store);
	while (w->head) {
		struct packet *next = w->head->next;

		free(w->head);
		w->head = next;
	}
}

/* --- the wire --- */

static void put(struct net *w, const struct addr *from, const struct addr *to, uint32_t via,
		bool to_beacon, const uint8_t *data, size_t len, size_t segment)
{
	struct packet *p = malloc(sizeof(*p) + len);

	assert_non_null(p);
	*p = (struct packet){ .at = w->now + WIRE_DELAY,
			      .from = *from,
			      .to = *to,
			      .via = via,
			      .to_beacon = to_beacon,
			      .len = len,
			      .segment = segment };
	memcpy(p->data, data, len);
	if (w->tail)
		w->tail->next = p;
	else
		w->head = p;
	w->tail = p;
}

static void answer_ops(struct net *w)
{
	struct directory_op op;
	struct directory_answer a;

	while (beacon_next_op(w->beacon, &op)) {
		if (w->store_fails) {
			a = (struct directory_answer){ .tag = op.tag, .status = DIRECTORY_FAILED };
			beacon_op_done(w->beacon, &a, w->now);
			continue;
		}
		assert_int_equal(store_submit(w->store, &op, w->now), 0);
		while (store_next(w->store, &a, w->now))
			beacon_op_done(w->beacon, &a, w->now);
	}
}

/* The first packet since it last dialled. */
static void note_initial(struct client *c, const struct batch *b)
{
	if (c->initial_len > 0)
		return;
	c->initial_len = b->segment < b->len ? b->segment : b->len;
	memcpy(c->initial, b->data, c->initial_len);
}

static void pump(struct net *w)
{
	struct batch b = { .data = w->batch, .capacity = sizeof(w->batch) };

	for (int i = 0; i < CLIENTS; i++)
		while (link_transmit(&w->c[i].host, &b, w->now)) {
			note_initial(&w->c[i], &b);
			if (!w->c[i].cut)
				put(w, &w->c[i].at, &w->at, w->c[i].via, true, b.data, b.len,
				    b.segment);
		}
	answer_ops(w);
	while (beacon_transmit(w->beacon, &b, w->now)) {
		assert_true(b.len > 0 && b.segment > 0);
		w->answers++;
		put(w, &w->at, &b.path.remote, b.path.via, false, b.data, b.len, b.segment);
	}
}

static void to_client(struct net *w, struct packet *p)
{
	for (int i = 0; i < CLIENTS; i++) {
		struct client *c = &w->c[i];
		struct path path = { .local = c->at, .remote = p->from };

		if (!addr_equal(&c->at, &p->to) || c->cut || c->deaf)
			continue;
		for (size_t at = 0; at < p->len; at += p->segment) {
			size_t n = p->len - at < p->segment ? p->len - at : p->segment;

			if (p->data[at] & 0x40) {
				link_receive(&c->host, &path, p->data + at, n, w->now);
				continue;
			}
			c->n_datagrams++;
			c->bytes += n;
			memcpy(c->last, p->data + at, n);
			c->last_len = n;
			c->last_via = p->via;
		}
	}
}

static void to_beacon(struct net *w, const struct packet *p)
{
	struct path path = { .local = w->at, .ifindex = 1, .remote = p->from, .via = p->via }, to;

	if (beacon_forward(w->beacon, &path, p->data, p->len, p->segment, &to, w->now)) {
		w->forwarded++;
		put(w, &w->at, &to.remote, to.via, false, p->data, p->len, p->segment);
		return;
	}
	for (size_t at = 0; at < p->len; at += p->segment)
		beacon_receive(w->beacon, &path, p->data + at,
			       p->len - at < p->segment ? p->len - at : p->segment, w->now);
}

static gw_time next_time(const struct net *w)
{
	gw_time at = time_min(beacon_expiry(w->beacon), w->head ? w->head->at : GW_NEVER);

	for (int i = 0; i < CLIENTS; i++)
		at = time_min(at, link_expiry(&w->c[i].host));
	return at;
}

void net_run(struct net *w, gw_time duration)
{
	gw_time end = w->now + duration;

	pump(w);
	for (;;) {
		gw_time at = next_time(w);

		if (at > end)
			break;
		w->now = time_max(w->now, at);
		while (w->head && w->head->at <= w->now) {
			struct packet *p = w->head;

			w->head = p->next;
			if (!w->head)
				w->tail = NULL;
			if (p->to_beacon)
				to_beacon(w, p);
			else
				to_client(w, p);
			free(p);
		}
		beacon_expire(w->beacon, w->now);
		for (int i = 0; i < CLIENTS; i++)
			link_expire(&w->c[i].host, w->now);
		pump(w);
	}
	w->now = end;
}

/* --- clients --- */

void net_dial(struct net *w, int i)
{
	struct client *c = &w->c[i];
	struct path path = { .remote = w->at };

	c->error = 0;
	c->close_code = 0;
	c->up = false;
	c->initial_len = 0;
	c->link = link_dial(&c->host, w->id.key, &path, w->now);
	assert_non_null(c->link);
}

void net_connect(struct net *w, int i)
{
	net_dial(w, i);
	for (int k = 0; k < 100 && !w->c[i].up && w->c[i].link; k++)
		net_run(w, 100 * GW_MSEC);
}

void net_attend(struct net *w, int i, bool registers)
{
	struct client *c = &w->c[i];
	struct wire_claim claim = { .incarnation = c->incarnation, .started_ms = c->started_ms };
	struct beacon_frame f = { .type = BEACON_ATTEND };

	wire_claim_encode(f.attend.claim, &claim);
	identity_sign(&c->id, CLAIM_CONTEXT, f.attend.claim, WIRE_CLAIM_SIGNED,
		      f.attend.claim + WIRE_CLAIM_SIGNED);
	f.attend.version = PROTOCOL_VERSION;
	f.attend.flags = registers ? ATTEND_REGISTER : 0;
	link_send(c->link, &f);
}

void net_join(struct net *w, int i, bool registers)
{
	net_connect(w, i);
	assert_true(w->c[i].up);
	net_forget(w, i);
	net_attend(w, i, registers);
	net_run(w, 20 * GW_MSEC);
	assert_non_null(net_last(w, i, BEACON_WELCOME));
}

void net_move(struct net *w, int i, uint8_t host, uint16_t port)
{
	w->c[i].at.ip[3] = host;
	w->c[i].at.port = port;
}

void net_leave(struct net *w, int i)
{
	link_close(w->c[i].link, CLOSE_EXIT, GW_E_CLOSED, NULL, 0, w->now);
	net_run(w, 10 * GW_MSEC);
}

void net_crash(struct net *w, int i)
{
	link_host_clear(&w->c[i].host);
	assert_int_equal(link_host_init(&w->c[i].host), 0);
	w->c[i].link = NULL;
	w->c[i].up = false;
}

const struct seen_frame *net_last(const struct net *w, int i, uint64_t type)
{
	for (size_t k = w->c[i].n_frames; k-- > 0;)
		if (w->c[i].frames[k].f.type == type)
			return &w->c[i].frames[k];
	return NULL;
}

size_t net_count(const struct net *w, int i, uint64_t type)
{
	size_t count = 0;

	for (size_t k = 0; k < w->c[i].n_frames; k++)
		count += w->c[i].frames[k].f.type == type;
	return count;
}

void net_forget(struct net *w, int i)
{
	w->c[i].n_frames = 0;
}

/* --- records --- */

size_t net_record(struct net *w, int i, uint64_t sequence, uint32_t lifetime_s,
		  uint8_t out[WIRE_RECORD_MAX])
{
	struct wire_record r = { .sequence = sequence, .lifetime_s = lifetime_s, .n_homes = 1 };
	size_t len;

	memcpy(r.key, w->c[i].id.key, KEY_SIZE);
	memcpy(r.homes[0].key, w->id.key, KEY_SIZE);
	r.homes[0].udp_port = 4443;
	memcpy(r.homes[0].host, "beacon.example", 15);
	len = wire_record_encode(out, &r);
	identity_sign(&w->c[i].id, RECORD_CONTEXT, out, len - SIGNATURE_SIZE,
		      out + len - SIGNATURE_SIZE);
	return len;
}

uint64_t net_publish(struct net *w, int i, const uint8_t *record, size_t len)
{
	struct beacon_frame f = { .type = BEACON_PUBLISH };
	const struct seen_frame *seen;

	net_forget(w, i);
	f.publish.request = 5;
	f.publish.record = record;
	f.publish.record_len = len;
	link_send(w->c[i].link, &f);
	net_run(w, 20 * GW_MSEC);
	seen = net_last(w, i, BEACON_RESULT);
	assert_non_null(seen);
	assert_int_equal(seen->f.result.request, 5);
	return seen->f.result.status;
}

const struct seen_frame *net_lookup(struct net *w, int i, const uint8_t *key, uint64_t flags)
{
	struct beacon_frame f = { .type = BEACON_LOOKUP };
	const struct seen_frame *seen;

	net_forget(w, i);
	f.lookup.request = 9;
	f.lookup.flags = flags;
	memcpy(f.lookup.key, key, KEY_SIZE);
	link_send(w->c[i].link, &f);
	net_run(w, 20 * GW_MSEC);
	seen = net_last(w, i, BEACON_RECORD);
	return seen ? seen : net_last(w, i, BEACON_RESULT);
}

/* --- manifests and chains --- */

uint64_t net_store(struct net *w, int i, enum stored_kind kind, const uint8_t *data, size_t len)
{
	struct beacon_frame f = { .type = BEACON_STORE };
	const struct seen_frame *seen;

	net_forget(w, i);
	f.item.request = 6;
	f.item.kind = kind;
	f.item.total = len;
	for (size_t at = 0; at < len; at += f.item.len) {
		f.item.offset = at;
		f.item.bytes = data + at;
		f.item.len = len - at < WIRE_ITEM_PART ? len - at : WIRE_ITEM_PART;
		link_send(w->c[i].link, &f);
	}
	net_run(w, 100 * GW_MSEC);
	assert_int_equal(net_count(w, i, BEACON_RESULT), 1);
	seen = net_last(w, i, BEACON_RESULT);
	assert_int_equal(seen->f.result.request, 6);
	return seen->f.result.status;
}

const struct seen_frame *net_fetch(struct net *w, int i, enum stored_kind kind, const uint8_t *key,
				   uint64_t sequence)
{
	struct beacon_frame f = { .type = BEACON_FETCH };
	const struct seen_frame *seen;

	net_forget(w, i);
	f.fetch.request = 8;
	f.fetch.kind = kind;
	memcpy(f.fetch.key, key, KEY_SIZE);
	f.fetch.sequence = sequence;
	link_send(w->c[i].link, &f);
	net_run(w, 100 * GW_MSEC);
	assert_int_equal(net_count(w, i, BEACON_RESULT), 1);
	seen = net_last(w, i, BEACON_RESULT);
	assert_int_equal(seen->f.result.request, 8);
	return seen;
}

/* --- channels --- */

void net_open(struct net *w, int i, uint64_t channel, const uint8_t *key)
{
	struct beacon_frame f = { .type = BEACON_OPEN };

	f.open.channel = channel;
	memcpy(f.open.key, key, KEY_SIZE);
	link_send(w->c[i].link, &f);
	net_run(w, 20 * GW_MSEC);
}

void net_close_channel(struct net *w, int i, uint64_t channel)
{
	struct beacon_frame f = { .type = BEACON_CLOSE };

	f.close.channel = channel;
	f.close.reason = CHANNEL_ENDED;
	link_send(w->c[i].link, &f);
	net_run(w, 20 * GW_MSEC);
}

void net_send_from(struct net *w, const struct addr *from, uint32_t via, const uint8_t *data,
		   size_t len, size_t segment)
{
	put(w, from, &w->at, via, true, data, len, segment);
}

void net_send(struct net *w, int i, const uint8_t *data, size_t len, size_t segment)
{
	net_send_from(w, &w->c[i].at, w->c[i].via, data, len, segment);
}

void net_send_channel(struct net *w, int i, uint64_t channel, size_t count)
{
	static uint8_t data[64 * CHANNEL_PACKET];

	assert_true(count <= 64);
	memset(data, 0xc0 + i, sizeof(data));
	for (size_t k = 0; k < count; k++)
		wire_channel_encode(data + k * CHANNEL_PACKET, channel);
	net_send(w, i, data, count * CHANNEL_PACKET, CHANNEL_PACKET);
}

struct beacon_stats net_stats(const struct net *w)
{
	struct beacon_stats s;

	beacon_stats_get(w->beacon, &s);
	return s;
}
