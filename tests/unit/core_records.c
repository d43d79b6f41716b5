/* A node and two scripted beacons: lookups, watches, and what a beacon does wrong. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/chain.h"
#include "core/node.h"
#include "core/types.h"
#include "quic/link.h"

enum { BEACONS = 3, SEEN_MAX = 512, DAY_S = 24 * 3600 };

#define WALL_MS UINT64_C(1800000000000)

/* It takes every client, says WELCOME, and then what the test wants. */
struct scripted {
	struct identity id;
	struct rng rng;
	struct tls_context tls;
	struct link_host host;
	struct link *link;
	bool cut; /* it hears nothing */
	struct addr at;
	uint64_t wall_ms;
	uint64_t published; /* sequence of the last record */
	size_t n_seen;
	struct beacon_frame seen[SEEN_MAX];
};

struct world {
	gw_time now;
	struct identity id;
	struct rng rng;
	struct node *node;
	struct addr at;
	struct scripted b[BEACONS];
	uint8_t batch[BATCH_CAPACITY_MIN];
};

/* --- the beacons' side --- */

static void on_up(struct link *l, gw_time now)
{
	(void)now;
	((struct scripted *)l->host->user)->link = l;
}

static void on_frame(struct link *l, const struct beacon_frame *f, gw_time now)
{
	struct scripted *b = l->host->user;
	struct beacon_frame welcome = { .type = BEACON_WELCOME };

	(void)now;
	assert_true(b->n_seen < SEEN_MAX);
	b->seen[b->n_seen++] = *f;
	if (f->type == BEACON_PUBLISH) {
		struct wire_record r;

		assert_true(wire_record_decode(&r, f->publish.record, f->publish.record_len) > 0);
		b->published = r.sequence;
	}
	if (f->type != BEACON_ATTEND)
		return;
	welcome.welcome.version = PROTOCOL_VERSION;
	welcome.welcome.wall_ms = b->wall_ms;
	link_send(l, &welcome);
}

static void on_moved(struct link *l, gw_time now)
{
	(void)l;
	(void)now;
}

static void on_closed(struct link *l, gw_time now)
{
	struct scripted *b = l->host->user;

	(void)now;
	if (b->link == l)
		b->link = NULL;
}

static bool accept_any(struct link *l)
{
	(void)l;
	return true;
}

static void scripted_init(struct scripted *b, int i)
{
	uint8_t seed[SEED_SIZE];

	memset(seed, 70 + i, sizeof(seed));
	identity_from_seed(&b->id, seed);
	rng_seed(&b->rng, (uint64_t)i + 7);
	assert_int_equal(tls_init(&b->tls, &b->id), 0);
	b->host = (struct link_host){ .rng = &b->rng,
				      .tls = &b->tls,
				      .server = true,
				      .half_open_max = 8,
				      .accept = accept_any,
				      .on_up = on_up,
				      .on_frame = on_frame,
				      .on_moved = on_moved,
				      .on_closed = on_closed,
				      .user = b };
	assert_int_equal(link_host_init(&b->host), 0);
	b->wall_ms = WALL_MS;
	b->at = (struct addr){ .family = ADDR_V4,
			       .port = 4443,
			       .ip = { 198, 51, 100, (uint8_t)(i + 1) } };
}

/* --- the wire: no delay --- */

static bool node_to_beacons(struct world *w)
{
	struct batch out = { .data = w->batch, .capacity = sizeof(w->batch) };
	struct path path = { .remote = w->at };
	struct io_request r;
	struct event ev;
	bool busy = false;

	while (node_next_request(w->node, &r)) {
		struct addr a;

		busy = true;
		if (r.type == IO_RESOLVE && addr_parse_host(&a, r.host, 1) == 0)
			node_resolved(w->node, r.host, &a, 1, w->now);
	}
	while (node_transmit(w->node, &out, w->now)) {
		busy = true;
		for (int i = 0; i < BEACONS; i++)
			for (size_t at = 0;
			     addr_equal(&out.path.remote, &w->b[i].at) && at < out.len;
			     at += out.segment)
				if ((out.data[at] & 0x40) && !w->b[i].cut)
					link_receive(&w->b[i].host, &path, out.data + at,
						     out.len - at < out.segment ? out.len - at
										: out.segment,
						     w->now);
	}
	while (node_next_event(w->node, &ev))
		busy = true;
	return busy;
}

static bool beacons_to_node(struct world *w)
{
	struct batch out = { .data = w->batch, .capacity = sizeof(w->batch) };
	bool busy = false;

	for (int i = 0; i < BEACONS; i++) {
		struct path path = { .local = w->at, .ifindex = 1, .remote = w->b[i].at };

		while (link_transmit(&w->b[i].host, &out, w->now)) {
			busy = true;
			node_receive(w->node, &path, out.data, out.len, w->now);
		}
	}
	return busy;
}

static void run(struct world *w, gw_time duration)
{
	gw_time end = w->now + duration;

	while (w->now < end) {
		while (node_to_beacons(w) || beacons_to_node(w))
			;
		node_check(w->node);
		w->now += GW_MSEC;
		node_expire(w->node, w->now);
		for (int i = 0; i < BEACONS; i++)
			link_expire(&w->b[i].host, w->now);
	}
}

static void add_beacon(struct world *w, int i)
{
	char host[ADDR_TEXT_MAX];

	addr_format_host(&w->b[i].at, host);
	assert_int_equal(node_add_beacon(w->node, w->b[i].id.key, host, 4443, 0, w->now), 0);
}

/* `skew_ms`: of the node's clock. */
static struct world *start(int n_beacons, int64_t skew_ms)
{
	struct world *w = calloc(1, sizeof(*w));
	struct node_config c;
	struct local_addr local = { .ifindex = 1, .mtu = 1500 };
	uint8_t seed[SEED_SIZE] = { 1 };

	assert_non_null(w);
	assert_int_equal(crypto_init(), 0);
	w->now = 1000 * GW_SEC;
	rng_seed(&w->rng, 3);
	identity_from_seed(&w->id, seed);
	w->at = (struct addr){ .family = ADDR_V4, .port = 4000, .ip = { 203, 0, 113, 1 } };
	node_config_init(&c);
	c.identity = &w->id;
	c.rng = &w->rng;
	c.udp_port = w->at.port;
	c.started_ms = WALL_MS + (uint64_t)skew_ms;
	w->node = node_new(&c, w->now);
	assert_non_null(w->node);
	local.addr = w->at;
	local.addr.port = 0;
	node_network_changed(w->node, &local, 1, w->now);
	for (int i = 0; i < BEACONS; i++)
		scripted_init(&w->b[i], i);
	for (int i = 0; i < n_beacons; i++)
		add_beacon(w, i);
	run(w, 100 * GW_MSEC);
	for (int i = 0; i < n_beacons; i++)
		assert_non_null(w->b[i].link);
	return w;
}

static void stop(struct world *w)
{
	node_free(w->node);
	for (int i = 0; i < BEACONS; i++) {
		link_host_clear(&w->b[i].host);
		tls_clear(&w->b[i].tls);
	}
	free(w);
}

/* --- what is asked and said --- */

static void identity_number(struct identity *id, uint8_t n)
{
	uint8_t seed[SEED_SIZE] = { 0xee, n };

	identity_from_seed(id, seed);
}

static struct stream *open_to(struct world *w, uint8_t n)
{
	struct identity id;
	struct stream *s;

	identity_number(&id, n);
	assert_int_equal(node_stream_open(w->node, id.key, "echo", &s, w->now), 0);
	return s;
}

static size_t count(const struct scripted *b, uint64_t type)
{
	size_t total = 0;

	for (size_t i = 0; i < b->n_seen; i++)
		total += b->seen[i].type == type;
	return total;
}

/* The last question about that key. */
static const struct beacon_frame *lookup_of(const struct scripted *b, uint8_t n)
{
	const struct beacon_frame *last = NULL;
	struct identity id;

	identity_number(&id, n);
	for (size_t i = 0; i < b->n_seen; i++)
		if (b->seen[i].type == BEACON_LOOKUP &&
		    memcmp(b->seen[i].lookup.key, id.key, KEY_SIZE) == 0)
			last = &b->seen[i];
	assert_non_null(last);
	return last;
}

static size_t record(uint8_t *out, uint8_t n, uint64_t sequence, uint32_t lifetime_s)
{
	struct wire_record r = { .sequence = sequence, .lifetime_s = lifetime_s };
	struct identity id;
	size_t len;

	identity_number(&id, n);
	memcpy(r.key, id.key, KEY_SIZE);
	len = wire_record_encode(out, &r) - SIGNATURE_SIZE;
	identity_sign(&id, RECORD_CONTEXT, out, len, out + len);
	return len + SIGNATURE_SIZE;
}

static void say_record(struct world *w, int i, uint64_t request, const uint8_t *bytes, size_t len)
{
	struct beacon_frame f = { .type = BEACON_RECORD };

	f.record.request = request;
	f.record.record = bytes;
	f.record.record_len = len;
	link_send(w->b[i].link, &f);
	run(w, 5 * GW_MSEC);
}

static void say_result(struct world *w, int i, uint64_t request, uint64_t status)
{
	struct beacon_frame f = { .type = BEACON_RESULT };

	f.result.request = request;
	f.result.status = status;
	link_send(w->b[i].link, &f);
	run(w, 5 * GW_MSEC);
}

static const char *fault(const struct world *w, int i)
{
	struct beacon_info info;

	for (struct beacon_ref *b = node_beacon_next(w->node, NULL); b;
	     b = node_beacon_next(w->node, b)) {
		beacon_describe(b, &info);
		if (memcmp(info.key, w->b[i].id.key, KEY_SIZE) == 0)
			return info.fault;
	}
	fail_msg("the node does not know beacon %d", i);
	return NULL;
}

static const struct peer *peer_number(const struct world *w, uint8_t n)
{
	struct peer_info info;
	struct identity id;

	identity_number(&id, n);
	for (const struct peer *p = node_peer_next(w->node, NULL); p;
	     p = node_peer_next(w->node, p)) {
		peer_describe(p, &info);
		if (memcmp(info.key, id.key, KEY_SIZE) == 0)
			return p;
	}
	fail_msg("no such peer");
	return NULL;
}

/* --- watches --- */

static void test_unwatch(void **state)
{
	struct world *w = start(2, 0);
	struct stream *first = open_to(w, 1), *second = open_to(w, 1);

	(void)state;
	run(w, 50 * GW_MSEC);
	for (int i = 0; i < 2; i++)
		assert_int_equal(lookup_of(&w->b[i], 1)->lookup.flags, LOOKUP_WATCH);
	stream_release(first, w->now);
	run(w, 50 * GW_MSEC);
	assert_int_equal(count(&w->b[0], BEACON_UNWATCH), 0); /* there is another one */
	stream_release(second, w->now);
	run(w, 50 * GW_MSEC);
	for (int i = 0; i < 2; i++)
		assert_int_equal(count(&w->b[i], BEACON_UNWATCH), 1);
	/* and again */
	run(w, 2 * GW_SEC);
	stream_release(open_to(w, 1), w->now);
	open_to(w, 1);
	run(w, 50 * GW_MSEC);
	assert_int_equal(lookup_of(&w->b[0], 1)->lookup.flags, LOOKUP_WATCH);
	stop(w);
}

/* Whoever is not watched is looked up all the same. */
static void test_watches_full(void **state)
{
	struct world *w = start(1, 0);
	struct scripted *b = &w->b[0];
	const struct beacon_frame *first, *again;
	struct stream *one = open_to(w, 1);

	(void)state;
	run(w, 20 * GW_MSEC);
	first = lookup_of(b, 1);
	assert_int_equal(first->lookup.flags, LOOKUP_WATCH);
	say_result(w, 0, first->lookup.request, RESULT_LIMIT);
	again = lookup_of(b, 1);
	assert_ptr_not_equal(again, first);
	assert_int_equal(again->lookup.request, first->lookup.request);
	assert_int_equal(again->lookup.flags, 0);
	say_result(w, 0, again->lookup.request, RESULT_LIMIT);
	assert_ptr_equal(lookup_of(b, 1), again); /* no third time */
	/* Full is full for others, too ... */
	open_to(w, 2);
	run(w, 20 * GW_MSEC);
	assert_int_equal(lookup_of(b, 2)->lookup.flags, 0);
	/* ... until one is not watched any more. */
	stream_release(one, w->now);
	run(w, 1100 * GW_MSEC);
	assert_int_equal(count(b, BEACON_UNWATCH), 1);
	assert_int_equal(lookup_of(b, 2)->lookup.flags, LOOKUP_WATCH);
	stop(w);
}

/* An answer concerns the peer it was asked for. */
static void test_answers_find_their_peer(void **state)
{
	enum { PEERS = 100 };
	struct world *w = start(1, 0);
	uint8_t bytes[WIRE_RECORD_MAX];

	(void)state;
	for (uint8_t n = 1; n <= PEERS; n++)
		open_to(w, n);
	run(w, 20 * GW_MSEC);
	for (uint8_t n = 1; n <= PEERS; n++) {
		size_t len = record(bytes, n, WALL_MS + n, DAY_S);

		say_record(w, 0, lookup_of(&w->b[0], n)->lookup.request, bytes, len);
		assert_int_equal(peer_number(w, n)->record_sequence, WALL_MS + n);
		assert_int_equal(peer_number(w, n)->lookups_open, 0);
	}
	assert_null(fault(w, 0));
	say_result(w, 0, 1000000, RESULT_NOT_FOUND); /* of nobody's */
	say_record(w, 0, lookup_of(&w->b[0], 7)->lookup.request, bytes,
		   record(bytes, 8, WALL_MS + 500, DAY_S));
	assert_string_equal(fault(w, 0), "gave the record of another key");
	assert_int_equal(peer_number(w, 8)->record_sequence, WALL_MS + 8);
	stop(w);
}

/* --- faults --- */

struct lie {
	const char *name, *fault;
	int64_t age_ms, skew_ms; /* of the record; of the node's clock */
	bool forged, cut;
};

static const struct lie LIES[] = {
	{ .name = "honest" },
	{ .name = "forged", .forged = true, .fault = "gave a forged record" },
	{ .name = "cut", .cut = true, .fault = "gave a malformed record" },
	{ .name = "expired", .age_ms = 1000 * (DAY_S + 100), .fault = "gave an expired record" },
	{ .name = "nearly expired", .age_ms = 1000 * (DAY_S - 1) },
	{ .name = "future", .age_ms = -700 * 1000, .fault = "gave a record from the future" },
	{ .name = "fast clock of its owner", .age_ms = -590 * 1000 },
	/* Our own clock accuses nobody. */
	{ .name = "we are two days ahead", .skew_ms = 2000 * DAY_S },
	{ .name = "we are two days late", .skew_ms = -2000 * DAY_S },
};

static void test_bad_records(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(LIES) / sizeof(LIES[0]); i++) {
		const struct lie *lie = &LIES[i];
		struct world *w = start(1, lie->skew_ms);
		uint64_t sequence = WALL_MS - (uint64_t)lie->age_ms;
		uint8_t bytes[WIRE_RECORD_MAX];
		size_t len = record(bytes, 1, sequence, DAY_S);

		open_to(w, 1);
		run(w, 20 * GW_MSEC);
		bytes[len - 1] ^= lie->forged;
		say_record(w, 0, lookup_of(&w->b[0], 1)->lookup.request, bytes, len - lie->cut);
		if (lie->fault)
			assert_string_equal(fault(w, 0), lie->fault);
		else if (fault(w, 0))
			fail_msg("%s: %s", lie->name, fault(w, 0));
		assert_int_equal(peer_number(w, 1)->record_sequence, lie->fault ? 0 : sequence);
		stop(w);
	}
}

/* A beacon that has not heard of the latest record is not to blame; one that has is. */
static void test_older_record(void **state)
{
	struct world *w = start(2, 0);
	uint8_t older[WIRE_RECORD_MAX], newer[WIRE_RECORD_MAX];
	size_t older_len = record(older, 1, WALL_MS, DAY_S);
	size_t newer_len = record(newer, 1, WALL_MS + 1, DAY_S);

	(void)state;
	open_to(w, 1);
	run(w, 20 * GW_MSEC);
	say_record(w, 0, lookup_of(&w->b[0], 1)->lookup.request, newer, newer_len);
	say_record(w, 1, lookup_of(&w->b[1], 1)->lookup.request, older, older_len);
	assert_int_equal(peer_number(w, 1)->record_sequence, WALL_MS + 1);
	assert_null(fault(w, 1));
	say_record(w, 0, 0, newer, newer_len);
	assert_null(fault(w, 0));
	say_record(w, 0, 0, older, older_len);
	assert_string_equal(fault(w, 0), "gave an older record than before");
	assert_int_equal(peer_number(w, 1)->record_sequence, WALL_MS + 1);
	assert_null(fault(w, 1));
	stop(w);
}

/* A peer may not send us to ever new beacons. */
static void test_records_bounded(void **state)
{
	struct world *w = start(1, 0);
	uint8_t bytes[WIRE_RECORD_MAX];
	uint64_t sequence = WALL_MS;

	(void)state;
	open_to(w, 1);
	run(w, 20 * GW_MSEC);
	for (int i = 0; i < 50; i++) {
		size_t len = record(bytes, 1, ++sequence, DAY_S);

		say_record(w, 0, 0, bytes, len);
	}
	assert_int_equal(peer_number(w, 1)->record_sequence, WALL_MS + RECORDS_AT_ONCE);
	assert_null(fault(w, 0));
	run(w, RECORD_GAP);
	sequence++;
	for (int i = 0; i < 5; i++) {
		size_t len = record(bytes, 1, sequence + (uint64_t)i, DAY_S);

		say_record(w, 0, 0, bytes, len);
	}
	assert_int_equal(peer_number(w, 1)->record_sequence, sequence);
	stop(w);
}

/* --- home and spare --- */

static size_t ready(const struct world *w)
{
	struct beacon_info info;
	size_t total = 0;

	for (struct beacon_ref *b = node_beacon_next(w->node, NULL); b;
	     b = node_beacon_next(w->node, b)) {
		beacon_describe(b, &info);
		total += info.state == BEACON_READY && (info.home || info.spare);
	}
	return total;
}

/* A spare that falls silent for a moment is not forgotten. */
static void test_spare_comes_back(void **state)
{
	struct world *w = start(2, 0);
	struct local_addr local = { .addr = w->at, .ifindex = 1, .mtu = 1500 };

	(void)state;
	run(w, 2 * GW_SEC);
	assert_int_equal(ready(w), 2);
	for (int i = 0; i < 2; i++) {
		w->b[i].cut = true;
		node_network_changed(w->node, &local, 1, w->now); /* asks whether they live */
		run(w, 2 * GW_SEC);
		assert_int_equal(ready(w), 1);
		w->b[i].cut = false;
		run(w, 10 * GW_SEC);
		assert_int_equal(ready(w), 2);
	}
	stop(w);
}

/* A beacon that drains is left for the spare at once, and is the spare when it is there again. */
static void test_draining_is_left(void **state)
{
	static const struct beacon_frame DRAIN = { .type = BEACON_DRAIN, .drain.seconds = 5 };
	struct world *w = start(2, 0);

	(void)state;
	run(w, 2 * GW_SEC);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(ready(w), 2);
		link_send(w->b[i].link, &DRAIN);
		run(w, 100 * GW_MSEC);
		assert_null(w->b[i].link);
		assert_non_null(w->b[1 - i].link);
		assert_int_equal(ready(w), 1);
		run(w, 3 * GW_SEC);
		assert_null(w->b[i].link);
		run(w, 12 * GW_SEC);
	}
	assert_int_equal(ready(w), 2);
	stop(w);
}

/* A third one that relayed something when home and spare were chosen is left a minute later. */
static void test_extra_is_left(void **state)
{
	struct world *w = start(0, 0);
	struct stream *s = open_to(w, 1);
	size_t links = 0;

	(void)state;
	for (int i = 0; i < 3; i++)
		add_beacon(w, i);
	run(w, 2 * HOMES_CHECKED);
	for (int i = 0; i < 3; i++) {
		assert_non_null(w->b[i].link);
		assert_true(count(&w->b[i], BEACON_OPEN) > 0);
		w->b[i].n_seen = 0;
	}
	stream_release(s, w->now);
	run(w, 70 * GW_SEC);
	for (int i = 0; i < 3; i++)
		links += w->b[i].link != NULL;
	assert_int_equal(links, 2);
	assert_int_equal(ready(w), 2);
	stop(w);
}

/* --- the wrong things to say --- */

/* Returns how often it was dialled in ten minutes. */
static size_t dials_of_a_babbler(struct world *w, const struct beacon_frame *f)
{
	static const uint8_t garbage[] = { BEACON_OBSERVED, 1, 0xff };
	size_t dials = 0;

	for (int i = 0; i < 6000; i++) {
		if (w->b[0].link && f)
			link_send(w->b[0].link, f);
		else if (w->b[0].link)
			assert_int_equal(
				chain_append(&w->b[0].link->control, garbage, sizeof(garbage)), 0);
		if (w->b[0].link && !f)
			link_send(w->b[0].link, &(struct beacon_frame){ .type = BEACON_PONG });
		w->b[0].n_seen = 0;
		run(w, 100 * GW_MSEC);
		dials += count(&w->b[0], BEACON_ATTEND);
	}
	return dials;
}

static void test_broken_protocol(void **state)
{
	static const uint64_t TYPES[] = { BEACON_ATTEND, BEACON_LOOKUP, BEACON_TEST, 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(TYPES) / sizeof(TYPES[0]); i++) {
		struct world *w = start(1, 0);
		struct beacon_frame f = { .type = TYPES[i] };
		size_t dials = dials_of_a_babbler(w, TYPES[i] ? &f : NULL);

		assert_string_equal(fault(w, 0), "broke the protocol");
		/* 0-1 s at first, a minute in the end */
		if (dials < 8 || dials > 24)
			fail_msg("dialled %zu times in ten minutes", dials);
		stop(w);
	}
}

/* The wall clock is set, or time passed in sleep, which `now` does not count. */
static void test_wall_clock_is_set(void **state)
{
	static const int64_t STEPS[] = { 3 * 86400 * 1000, -1800 * 1000, 999 };

	(void)state;
	for (size_t i = 0; i < sizeof(STEPS) / sizeof(STEPS[0]); i++) {
		struct world *w = start(1, 0);
		int64_t by = STEPS[i] == 999 ? 0 : STEPS[i]; /* less than a second is none */
		uint64_t wall = WALL_MS + 100;
		struct beacon_info info;

		run(w, 2 * GW_SEC);
		assert_in_range(w->b[0].published, WALL_MS, wall);
		wall += 2000;
		node_set_wall_clock(w->node, wall + (uint64_t)STEPS[i], w->now);
		beacon_describe(node_beacon_next(w->node, NULL), &info);
		assert_in_range(info.clock_offset_ms + by + 100, 0, 200);
		add_beacon(w, 1); /* the spare: there is a new record */
		run(w, 2 * GW_SEC);
		if (by > 0)
			assert_in_range(w->b[1].published, wall + (uint64_t)by,
					wall + (uint64_t)by + 2000);
		else /* sequences never fall */
			assert_in_range(w->b[1].published, w->b[0].published, wall + 2000);
		stop(w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_unwatch),
		cmocka_unit_test(test_watches_full),
		cmocka_unit_test(test_answers_find_their_peer),
		cmocka_unit_test(test_bad_records),
		cmocka_unit_test(test_older_record),
		cmocka_unit_test(test_records_bounded),
		cmocka_unit_test(test_spare_comes_back),
		cmocka_unit_test(test_draining_is_left),
		cmocka_unit_test(test_extra_is_left),
		cmocka_unit_test(test_broken_protocol),
		cmocka_unit_test(test_wall_clock_is_set),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
