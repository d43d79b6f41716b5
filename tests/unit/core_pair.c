/* tests/unit/core_pair.c - two nodes and a wire between them, driven by hand. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "core_pair.h"

#include <stdlib.h>

#define WIRE_QUEUE (20 * GW_MSEC)

struct packet {
	struct packet *next;
	gw_time at;
	int to;
	struct addr src;
	size_t len;
	uint8_t data[];
};

void pair_init(struct pair *p)
{
	memset(p, 0, sizeof(*p));
	assert_int_equal(crypto_init(), 0);
	p->now = 1000 * GW_SEC;
	p->delay = GW_MSEC;
	for (int i = 0; i < PAIR_NODES; i++) {
		struct pair_node *n = &p->n[i];
		uint8_t seed[SEED_SIZE];

		memset(seed, 17 + i, sizeof(seed));
		identity_from_seed(&n->id, seed);
		rng_seed(&n->rng, (uint64_t)i + 1);
		node_config_init(&n->config);
		n->config.identity = &n->id;
		n->config.rng = &n->rng;
		n->at = (struct addr){ .family = ADDR_V4,
				       .port = (uint16_t)(4001 + i),
				       .ip = { 198, 51, 100, (uint8_t)(i + 1) } };
	}
}

void pair_start(struct pair *p, int i, bool open)
{
	struct pair_node *n = &p->n[i];
	struct local_addr local = { .addr = n->at, .ifindex = 1, .mtu = 1500 };

	local.addr.port = 0;
	n->node = node_new(&n->config, p->now);
	assert_non_null(n->node);
	node_network_changed(n->node, &local, 1, p->now);
	assert_int_equal(node_listen(n->node, "echo", GW_NEVER), 0);
	assert_int_equal(node_listen_datagrams(n->node, "dns", GW_NEVER), 0);
	if (open) {
		assert_int_equal(node_allow(n->node, "echo", &ANYONE), 0);
		assert_int_equal(node_allow(n->node, "dns", &ANYONE), 0);
	}
}

void pair_know(struct pair *p, int i, int peer)
{
	assert_int_equal(node_add_endpoint(p->n[i].node, p->n[peer].id.key, &p->n[peer].at, p->now),
			 0);
}

void pair_allow(struct pair *p, int i, const char *service, int peer)
{
	struct subject who = subject_of_key(p->n[peer].id.key);

	assert_int_equal(node_allow(p->n[i].node, service, &who), 0);
}

void pair_start_both(struct pair *p)
{
	pair_start(p, 0, true);
	pair_start(p, 1, true);
	pair_know(p, 0, 1);
}

void pair_kill(struct pair *p, int i)
{
	struct pair_node *n = &p->n[i];

	node_free(n->node);
	n->node = NULL;
	n->n_streams = n->n_incoming = 0;
}

void pair_clear(struct pair *p)
{
	for (int i = 0; i < PAIR_NODES; i++)
		if (p->n[i].node)
			pair_kill(p, i);
	while (p->head) {
		struct packet *next = p->head->next;

		free(p->head);
		p->head = next;
	}
}

/* --- the wire --- */

/* When it arrives; GW_NEVER: the queue is full. */
static gw_time arrival(struct pair *p, int from, size_t len)
{
	if (from != 0 || p->rate == 0)
		return p->now + p->delay;
	p->busy_until = time_max(p->busy_until, p->now);
	if (p->busy_until > p->now + WIRE_QUEUE)
		return GW_NEVER;
	p->busy_until += len * GW_SEC / p->rate;
	return p->busy_until + p->delay;
}

static void insert(struct pair *p, const struct packet *header, const uint8_t *data)
{
	struct packet **at = &p->head, *pk = malloc(sizeof(*pk) + header->len);

	assert_non_null(pk);
	*pk = *header;
	memcpy(pk->data, data, pk->len);
	while (*at && (*at)->at <= pk->at)
		at = &(*at)->next;
	pk->next = *at;
	*at = pk;
}

static void look_at(struct pair *p, const uint8_t *data, size_t len)
{
	enum { QUIC_BIT = 0x40, LONG_HEADER = 0x80 };

	if (data[0] == WIRE_PROBE || data[0] == WIRE_PROBE_REPLY)
		return;
	p->quic_packets++;
	p->bit_clear += !(data[0] & QUIC_BIT);
	if ((data[0] & LONG_HEADER) && len > 4 && !(data[1] | data[2] | data[3] | data[4]))
		p->version_negotiations++;
}

static void put(struct pair *p, int from, const struct addr *to, const uint8_t *data, size_t len)
{
	look_at(p, data, len);
	p->n[from].sent++;
	for (int i = 0; i < PAIR_NODES; i++) {
		struct packet pk = { .to = i, .src = p->n[from].at, .len = len };

		if (!addr_equal(&p->n[i].at, to) || p->n[i].cut || p->n[from].cut ||
		    (p->mtu && len > p->mtu))
			continue;
		pk.at = arrival(p, from, len);
		if (pk.at == GW_NEVER)
			return;
		insert(p, &pk, data);
		pk.at += p->again;
		if (p->again)
			insert(p, &pk, data);
		return;
	}
}

static void send_all(struct pair *p, int i)
{
	struct batch b = { .data = p->batch, .capacity = sizeof(p->batch) };

	while (node_transmit(p->n[i].node, &b, p->now)) {
		assert_true(b.len > 0 && b.segment > 0);
		if (p->on_batch)
			p->on_batch(p, i, &b);
		for (size_t at = 0; at < b.len; at += b.segment)
			put(p, i, &b.path.remote, b.data + at,
			    b.len - at < b.segment ? b.len - at : b.segment);
	}
}

static void note_stream(struct pair_node *n, const struct event *ev)
{
	if (ev->flags & STREAM_INCOMING) {
		assert_true(n->n_incoming < PAIR_STREAMS);
		n->incoming[n->n_incoming++] = ev->stream;
	}
	for (size_t i = 0; i < n->n_streams; i++)
		if (n->streams[i].stream == ev->stream) {
			n->streams[i].flags |= ev->flags;
			return;
		}
	assert_true(n->n_streams < PAIR_STREAMS);
	n->streams[n->n_streams++] = (struct pair_stream){ ev->stream, ev->flags };
}

static void note(struct pair_node *n, const struct event *ev)
{
	switch (ev->type) {
	case EVENT_STREAM:
		note_stream(n, ev);
		break;
	case EVENT_PEER:
		n->state = ev->state;
		n->error = ev->error;
		n->connected += ev->state == PEER_CONNECTED;
		n->failed += ev->state == PEER_FAILED;
		break;
	case EVENT_PONG:
		n->pongs++;
		n->pong_id = ev->ping_id;
		n->pong_rtt = ev->rtt;
		break;
	case EVENT_BEACONS:
	case EVENT_NAME:
		break;
	case EVENT_MANIFEST:
		n->manifests++;
		break;
	case EVENT_AUDIT:
		n->audit = *ev->audit;
		break;
	case EVENT_IDENTITY_IN_USE:
		n->in_use++;
		break;
	}
}

static void pump(struct pair *p)
{
	struct event ev;

	for (int i = 0; i < PAIR_NODES; i++) {
		if (!p->n[i].node)
			continue;
		send_all(p, i);
		while (node_next_event(p->n[i].node, &ev))
			note(&p->n[i], &ev);
		send_all(p, i);
		node_check(p->n[i].node);
	}
}

/* --- time --- */

static void deliver(struct pair *p)
{
	struct packet *pk = p->head;
	struct pair_node *n = &p->n[pk->to];
	struct path path = { .local = n->at, .ifindex = 1, .remote = pk->src };

	p->head = pk->next;
	if (n->node && !n->cut)
		node_receive(n->node, &path, pk->data, pk->len, p->now);
	free(pk);
}

/* One datagram or timer; false when none is due until `until`. */
static bool step(struct pair *p, gw_time until)
{
	gw_time at = p->head ? p->head->at : GW_NEVER;
	int timer = -1;

	for (int i = 0; i < PAIR_NODES; i++) {
		gw_time t = p->n[i].node ? node_expiry(p->n[i].node) : GW_NEVER;

		if (t < at) {
			at = t;
			timer = i;
		}
	}
	if (at > until) {
		p->now = until;
		return false;
	}
	p->now = time_max(p->now, at);
	if (timer >= 0)
		node_expire(p->n[timer].node, p->now);
	else
		do
			deliver(p);
		while (p->together && p->head && p->head->at <= p->now);
	pump(p);
	return true;
}

void pair_run(struct pair *p, gw_time duration)
{
	gw_time until = p->now + duration;

	pump(p);
	while (step(p, until))
		;
}

bool pair_until(struct pair *p, bool (*done)(struct pair *p, void *user), void *user, gw_time limit)
{
	gw_time until = p->now + limit;

	pump(p);
	while (!done(p, user))
		if (!step(p, until))
			return false;
	return true;
}

static bool both_connected(struct pair *p, void *user)
{
	(void)user;
	return p->n[0].connected && p->n[1].connected;
}

bool pair_wait_connected(struct pair *p)
{
	return pair_until(p, both_connected, NULL, 5 * GW_SEC);
}

/* --- streams --- */

unsigned pair_flags(const struct pair *p, int i, const struct stream *s)
{
	for (size_t k = 0; k < p->n[i].n_streams; k++)
		if (p->n[i].streams[k].stream == s)
			return p->n[i].streams[k].flags;
	return 0;
}

struct wanted {
	int node;
	const struct stream *stream;
	unsigned flags;
	size_t count;
};

static bool has_flags(struct pair *p, void *user)
{
	const struct wanted *w = user;

	return (pair_flags(p, w->node, w->stream) & w->flags) == w->flags;
}

bool pair_wait_flags(struct pair *p, int i, const struct stream *s, unsigned flags)
{
	struct wanted w = { .node = i, .stream = s, .flags = flags };

	return pair_until(p, has_flags, &w, 30 * GW_SEC);
}

static bool has_incoming(struct pair *p, void *user)
{
	const struct wanted *w = user;

	return p->n[w->node].n_incoming >= w->count;
}

struct stream *pair_wait_incoming(struct pair *p, int i, size_t count)
{
	struct wanted w = { .node = i, .count = count };

	assert_true(pair_until(p, has_incoming, &w, 30 * GW_SEC));
	return p->n[i].incoming[count - 1];
}

struct stream *pair_open(struct pair *p, const char *service)
{
	struct stream *s;

	assert_int_equal(node_stream_open(p->n[0].node, p->n[1].id.key, service, &s, p->now), 0);
	return s;
}

struct stream *pair_open_taken(struct pair *p, struct stream **taken)
{
	struct stream *s = pair_open(p, "echo");

	*taken = pair_wait_incoming(p, 1, p->n[1].n_incoming + 1);
	return s;
}

size_t pair_read(struct pair *p, struct stream *s, void *out, size_t max)
{
	size_t total = 0;

	for (;;) {
		size_t len;
		const uint8_t *data = stream_read(s, &len);

		if (len > max - total)
			len = max - total;
		if (!len)
			return total;
		if (out)
			memcpy((uint8_t *)out + total, data, len);
		total += len;
		stream_consume(s, len, p->now);
	}
}

size_t pair_streams(const struct pair *p, int i)
{
	struct node_stats st;

	node_stats_get(p->n[i].node, &st);
	return st.streams;
}
