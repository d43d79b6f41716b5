/* SPDX-License-Identifier: Apache-2.0 */
/* Nodes, their networks and beacons: what is published, and what is found. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"
#include "beacon/internal.h"
#include "core/node.h"
#include "core_names_open.h"
#include "store/store.h"
#include "trust_kit.h"

enum { NODES = 4, BEACONS = 2 };

#define WALL_MS UINT64_C(1800000000000)
#define MINUTE (60 * GW_SEC)
#define SOON (100 * GW_MSEC)
#define NEWS_GAP (5 * GW_SEC) /* between two exchanges that a beacon has asked for */

struct place {
	struct identity id;
	struct rng rng;
	struct addr at;
	bool cut; /* it hears nothing, and nobody hears it */
	struct node *node;
	struct beacon *beacon;
	struct store *store;
	struct beacon_config config;
	/* of the last events */
	bool answered;
	uint64_t id_found;
	int error;
	uint8_t key[KEY_SIZE];
	size_t manifests;
};

static struct world {
	gw_time now;
	struct place n[NODES], b[BEACONS];
	struct kit kit;
	uint64_t sequence;
	uint8_t batch[BATCH_CAPACITY_MIN];
} * w;

/* --- the wire: no delay --- */

static struct place *place_at(const struct addr *a)
{
	for (int i = 0; i < NODES; i++)
		if (addr_equal(&w->n[i].at, a))
			return &w->n[i];
	for (int i = 0; i < BEACONS; i++)
		if (addr_equal(&w->b[i].at, a))
			return &w->b[i];
	return NULL;
}

static void deliver(const struct place *from, const struct batch *out)
{
	struct place *to = place_at(&out->path.remote);
	struct path path = { .ifindex = 1, .remote = from->at };

	if (!to || to->cut || from->cut)
		return;
	path.local = to->at;
	for (size_t at = 0; at < out->len; at += out->segment) {
		size_t len = out->len - at < out->segment ? out->len - at : out->segment;

		if (to->node)
			node_receive(to->node, &path, out->data + at, len, w->now);
		else if (to->beacon)
			beacon_receive(to->beacon, &path, out->data + at, len, w->now);
	}
}

static void take_event(struct place *p, const struct event *ev)
{
	if (ev->type == EVENT_MANIFEST)
		p->manifests++;
	if (ev->type != EVENT_NAME)
		return;
	p->answered = true;
	p->id_found = ev->ping_id;
	p->error = ev->error;
	memcpy(p->key, ev->key, KEY_SIZE);
}

static bool pump_node(struct place *p)
{
	struct batch out = { .data = w->batch, .capacity = sizeof(w->batch) };
	struct io_request r;
	struct event ev;
	bool busy = false;

	while (node_next_request(p->node, &r)) {
		struct addr a;

		busy = true;
		if (r.type == IO_RESOLVE && addr_parse_host(&a, r.host, 1) == 0)
			node_resolved(p->node, r.host, &a, 1, w->now);
	}
	while (node_transmit(p->node, &out, w->now)) {
		busy = true;
		deliver(p, &out);
	}
	while (node_next_event(p->node, &ev)) {
		busy = true;
		take_event(p, &ev);
	}
	node_check(p->node);
	return busy;
}

static bool pump_beacon(struct place *p)
{
	struct batch out = { .data = w->batch, .capacity = sizeof(w->batch) };
	struct directory_answer a;
	struct directory_op op;
	bool busy = false;

	while (beacon_next_op(p->beacon, &op)) {
		assert_int_equal(store_submit(p->store, &op, w->now), 0);
		while (store_next(p->store, &a, w->now))
			beacon_op_done(p->beacon, &a, w->now);
	}
	while (beacon_transmit(p->beacon, &out, w->now)) {
		busy = true;
		deliver(p, &out);
	}
	return busy;
}

static bool pump(void)
{
	bool busy = false;

	for (int i = 0; i < NODES; i++)
		busy |= w->n[i].node && pump_node(&w->n[i]);
	for (int i = 0; i < BEACONS; i++)
		busy |= w->b[i].beacon && pump_beacon(&w->b[i]);
	return busy;
}

static gw_time next_time(void)
{
	gw_time at = GW_NEVER;

	for (int i = 0; i < NODES; i++)
		if (w->n[i].node)
			at = time_min(at, node_expiry(w->n[i].node));
	for (int i = 0; i < BEACONS; i++)
		if (w->b[i].beacon)
			at = time_min(at, beacon_expiry(w->b[i].beacon));
	return at;
}

static void run(gw_time duration)
{
	gw_time end = w->now + duration;

	for (;;) {
		while (pump())
			;
		if (next_time() > end)
			break;
		w->now = time_min(end, time_max(next_time(), w->now + GW_MSEC));
		for (int i = 0; i < NODES; i++)
			if (w->n[i].node)
				node_expire(w->n[i].node, w->now);
		for (int i = 0; i < BEACONS; i++)
			if (w->b[i].beacon)
				beacon_expire(w->b[i].beacon, w->now);
	}
	w->now = end;
}

/* --- who is there --- */

static void start_beacon(int i)
{
	struct place *p = &w->b[i];

	p->config.identity = &p->id;
	p->config.rng = &p->rng;
	p->config.wall_ms = WALL_MS + w->now / GW_MSEC;
	p->beacon = beacon_new(&p->config, w->now);
	p->store = store_memory_new(100, &p->rng);
	assert_non_null(p->beacon);
}

static void stop_beacon(int i)
{
	beacon_free(w->b[i].beacon);
	store_free(w->b[i].store);
	w->b[i].beacon = NULL;
	w->b[i].store = NULL;
}

static void add_beacon(int i, int beacon)
{
	char host[ADDR_TEXT_MAX];

	addr_format_host(&w->b[beacon].at, host);
	assert_int_equal(node_add_beacon(w->n[i].node, w->b[beacon].id.key, host, 4443, 0, w->now),
			 0);
}

static void start_node(int i, int n_beacons, bool transient)
{
	struct local_addr local = { .ifindex = 1, .mtu = 1500 };
	struct subject anybody = { .kind = SUBJECT_ANY };
	struct place *p = &w->n[i];
	struct node_config c;

	node_config_init(&c);
	c.identity = &p->id;
	c.rng = &p->rng;
	c.transient = transient;
	c.udp_port = p->at.port;
	c.started_ms = WALL_MS + w->now / GW_MSEC;
	p->node = node_new(&c, w->now);
	assert_non_null(p->node);
	local.addr = p->at;
	local.addr.port = 0;
	node_network_changed(p->node, &local, 1, w->now);
	assert_int_equal(node_allow(p->node, NULL, &anybody), 0);
	for (int k = 0; k < n_beacons; k++)
		add_beacon(i, k);
}

static void place_init(struct place *p, uint8_t number, uint16_t port)
{
	uint8_t seed[SEED_SIZE];

	memset(seed, number, sizeof(seed));
	identity_from_seed(&p->id, seed);
	rng_seed(&p->rng, number);
	p->at = (struct addr){ .family = ADDR_V4, .port = port, .ip = { 203, 0, 113, number } };
	beacon_config_init(&p->config);
}

static int setup(void **state)
{
	(void)state;
	assert_int_equal(crypto_init(), 0);
	w = calloc(1, sizeof(*w));
	assert_non_null(w);
	w->now = 1000 * GW_SEC;
	kit_init(&w->kit, 50, WALL_MS + w->now / GW_MSEC);
	w->sequence = WALL_MS;
	for (int i = 0; i < NODES; i++)
		place_init(&w->n[i], (uint8_t)(i + 1), 4000);
	for (int i = 0; i < BEACONS; i++)
		place_init(&w->b[i], (uint8_t)(i + 101), 4443);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	for (int i = 0; i < NODES; i++)
		if (w->n[i].node)
			node_free(w->n[i].node);
	for (int i = 0; i < BEACONS; i++)
		if (w->b[i].beacon)
			stop_beacon(i);
	free(w);
	return 0;
}

/* --- what they do --- */

/* `revoked` NULL: the same as before. */
static void new_manifest(int i, const uint8_t *revoked)
{
	struct network_config c = { 0 };

	memcpy(c.key, w->kit.ca.key, KEY_SIZE);
	c.manifest_len = kit_manifest(&w->kit, ++w->sequence, revoked, 0);
	c.manifest = w->kit.bytes;
	assert_int_equal(node_network_set(w->n[i].node, &c, w->now), TRUST_OK);
}

/* It knows the network by the present manifest, and is a member if it has a name. */
static void join(int i, const char *name, bool delegated)
{
	struct network_config c = { 0 };
	uint8_t chain[WIRE_CHAIN_MAX];

	memcpy(c.key, w->kit.ca.key, KEY_SIZE);
	c.manifest_len = kit_manifest(&w->kit, w->sequence, NULL, 0);
	c.manifest = w->kit.bytes;
	c.chain = chain;
	c.chain_len = name ? kit_chain(&w->kit, w->n[i].id.key, name, delegated, chain) : 0;
	assert_int_equal(node_network_set(w->n[i].node, &c, w->now), TRUST_OK);
}

static void start(int n_nodes, int n_beacons)
{
	for (int i = 0; i < n_beacons; i++)
		start_beacon(i);
	for (int i = 0; i < n_nodes; i++) {
		start_node(i, n_beacons, false);
		join(i, NULL, false);
	}
	run(3 * GW_SEC);
}

static uint64_t look_for(int i, const char *name)
{
	uint64_t id = 0;

	w->n[i].answered = false;
	assert_int_equal(node_find_name(w->n[i].node, w->kit.ca.key, name, &id, w->now), 0);
	return id;
}

/* 0 and w->n[i].key, or an error. */
static int find(int i, const char *name)
{
	gw_time began = w->now;
	uint64_t id = look_for(i, name);

	while (!w->n[i].answered && w->now < began + 10 * GW_SEC)
		run(10 * GW_MSEC);
	assert_true(w->n[i].answered);
	assert_int_equal(w->n[i].id_found, id);
	assert_true(w->now <= began + 5100 * GW_MSEC);
	return w->n[i].error;
}

static void assert_found(int i, const char *name, int who)
{
	assert_int_equal(find(i, name), 0);
	assert_memory_equal(w->n[i].key, w->n[who].id.key, KEY_SIZE);
}

static const struct member *member_of(int i, int who)
{
	for (struct peer *p = NULL; (p = node_peer_next(w->n[i].node, p));) {
		struct peer_info info;

		peer_describe(p, &info);
		if (memcmp(info.key, w->n[who].id.key, KEY_SIZE) == 0)
			return peer_member(p, w->kit.ca.key);
	}
	return NULL;
}

static const char *fault_of(int i, int beacon)
{
	for (struct beacon_ref *b = NULL; (b = node_beacon_next(w->n[i].node, b));) {
		struct beacon_info info;

		beacon_describe(b, &info);
		if (memcmp(info.key, w->b[beacon].id.key, KEY_SIZE) == 0)
			return info.fault;
	}
	return NULL;
}

static uint64_t sequence_of(int i)
{
	struct network_info info;

	assert_true(node_network_next(w->n[i].node, NULL, &info));
	return info.manifest->m.sequence;
}

static struct beacon_stats stats_of(int beacon)
{
	struct beacon_stats s;

	beacon_stats_get(w->b[beacon].beacon, &s);
	return s;
}

/* --- publishing --- */

static void test_published_everywhere(void **state)
{
	(void)state;
	start(2, 2);
	assert_int_equal(stats_of(0).manifests, 1);
	assert_int_equal(stats_of(1).manifests, 1);
	assert_int_equal(stats_of(0).names, 0);
	join(0, "nas", false);
	run(100 * GW_MSEC);
	assert_int_equal(stats_of(0).names, 1);
	assert_int_equal(stats_of(1).names, 1);
	assert_found(1, "nas", 0);
	assert_found(0, "nas", 0); /* its own */
}

static void test_goes_on_for_long(void **state)
{
	(void)state;
	w->kit.lasts_s = 7 * 24 * 3600;
	start(2, 1);
	join(0, "nas", false);
	run(3 * 3600 * GW_SEC);
	assert_int_equal(stats_of(0).names, 1);
	assert_found(1, "nas", 0);
	/* Each 10 minutes one FETCH of each, and a STORE. */
	assert_true(stats_of(0).lookups < 50);
	assert_true(stats_of(0).publishes < 60);
	node_close(w->n[0].node, w->now);
	run(GW_SEC);
	assert_int_equal(stats_of(0).names, 0);
	assert_found(1, "nas", 0); /* it has seen the certificate */
}

static void test_beacon_comes_back(void **state)
{
	(void)state;
	start(2, 1);
	join(0, "nas", false);
	run(GW_SEC);
	stop_beacon(0);
	run(200 * GW_SEC);
	start_beacon(0);
	run(200 * GW_SEC);
	assert_int_equal(stats_of(0).names, 1);
	assert_int_equal(stats_of(0).manifests, 1);
	assert_found(1, "nas", 0);
}

static void test_renamed(void **state)
{
	(void)state;
	start(2, 2);
	join(0, "nas", false);
	run(GW_SEC);
	w->sequence++;
	join(0, "new", false);
	run(GW_SEC);
	assert_found(1, "new", 0);
	assert_int_equal(find(1, "nas"), GW_E_NOT_FOUND);
}

static void test_nameless_and_transient(void **state)
{
	(void)state;
	start(1, 1);
	start_node(1, 1, true);
	join(1, "nas", false);
	run(3 * GW_SEC);
	assert_int_equal(stats_of(0).names, 0);
	assert_int_equal(find(0, "nas"), GW_E_NOT_FOUND);
}

/* As with a beacon that knows no such frames. */
static void leave_unanswered(int i)
{
	names_leave_open(w->n[i].node, w->kit.ca.key, w->now + 10 * GW_SEC);
}

static void test_no_answer(void **state)
{
	(void)state;
	start(2, 1);
	leave_unanswered(0);
	join(0, "nas", false);
	run(9 * GW_SEC);
	assert_int_equal(stats_of(0).names, 0);
	run(2 * GW_SEC);
	assert_int_equal(stats_of(0).names, 1);
	leave_unanswered(0);
	run(12 * MINUTE);
	assert_found(1, "nas", 0);
}

static void test_dropped_while_it_is_talked_about(void **state)
{
	struct network_config c = { 0 };
	struct kit other;
	uint64_t before;

	(void)state;
	start(2, 1);
	kit_init(&other, 80, WALL_MS + w->now / GW_MSEC);
	memcpy(c.key, other.ca.key, KEY_SIZE);
	c.manifest_len = kit_manifest(&other, 1, NULL, 0);
	c.manifest = other.bytes;
	assert_int_equal(node_network_set(w->n[0].node, &c, w->now), TRUST_OK);
	run(GW_SEC);
	assert_int_equal(stats_of(0).manifests, 2);
	before = stats_of(0).lookups;
	leave_unanswered(0);
	node_network_drop(w->n[0].node, w->kit.ca.key, w->now);
	run(GW_SEC);
	assert_int_equal(stats_of(0).lookups, before + 1); /* the other one's turn */
}

static void test_no_networks_no_words(void **state)
{
	(void)state;
	start_beacon(0);
	start_node(0, 1, false);
	run(30 * MINUTE);
	assert_int_equal(stats_of(0).lookups, 0);
	assert_int_equal(stats_of(0).publishes, 1); /* its record */
}

/* --- manifests by beacons --- */

static void test_newer_manifest_travels(void **state)
{
	(void)state;
	start(2, 1);
	run(NEWS_GAP);
	new_manifest(0, NULL);
	run(SOON);
	assert_int_equal(sequence_of(1), w->sequence);
	assert_int_equal(w->n[1].manifests, 1);
	assert_int_equal(w->n[0].manifests, 0);
	new_manifest(0, NULL); /* the next one, a little later */
	run(SOON);
	assert_int_equal(sequence_of(1), w->sequence - 1);
	run(NEWS_GAP);
	assert_int_equal(sequence_of(1), w->sequence);
}

static void test_news_pass_from_beacon_to_beacon(void **state)
{
	(void)state;
	start(2, 1);
	start_beacon(1);
	add_beacon(1, 1);
	start_node(2, 0, false);
	add_beacon(2, 1);
	join(2, NULL, false);
	run(2 * NEWS_GAP);
	new_manifest(0, NULL);
	run(SOON);
	assert_int_equal(sequence_of(2), w->sequence);
}

static void say_news(int beacon, uint64_t kind, const uint8_t *bytes, size_t len)
{
	struct beacon_frame f = { .type = BEACON_ITEM };

	f.item.kind = kind;
	f.item.bytes = bytes;
	f.item.total = f.item.len = len;
	list_each(&w->b[beacon].beacon->sessions, i, next)
		session_send(container_of(i, struct session, all_link), &f);
	run(100 * GW_MSEC);
}

/* However much a beacon says, it is asked each 5 s and no more. */
static void test_news_without_end(void **state)
{
	const uint8_t nobody[KEY_SIZE] = { 1 };
	uint64_t before;

	(void)state;
	start(1, 1);
	run(NEWS_GAP);
	before = stats_of(0).lookups;
	say_news(0, ITEM_NEWS, nobody, KEY_SIZE);
	say_news(0, ITEM_NEWS, w->kit.ca.key, KEY_SIZE - 1);
	say_news(0, STORED_MANIFEST, w->kit.ca.key, KEY_SIZE);
	assert_int_equal(stats_of(0).lookups, before);
	say_news(0, ITEM_NEWS, w->kit.ca.key, KEY_SIZE);
	assert_int_equal(stats_of(0).lookups, before + 1);
	for (int i = 0; i < 599; i++)
		say_news(0, ITEM_NEWS, w->kit.ca.key, KEY_SIZE);
	assert_in_range(stats_of(0).lookups, before + 11, before + 13);
	assert_null(fault_of(0, 0));
}

static void test_manifest_for_one_that_comes(void **state)
{
	(void)state;
	start(1, 1);
	new_manifest(0, NULL);
	w->sequence--; /* it has the one before */
	run(GW_SEC);
	start_node(1, 1, false);
	join(1, NULL, false);
	run(GW_SEC);
	assert_int_equal(sequence_of(1), w->sequence + 1);
}

static void test_large_manifest_travels(void **state)
{
	struct network_config c = { 0 };

	(void)state;
	start(2, 2);
	memcpy(c.key, w->kit.ca.key, KEY_SIZE);
	c.manifest_len = kit_manifest(&w->kit, ++w->sequence, NULL, 2040);
	c.manifest = w->kit.bytes;
	assert_int_equal(node_network_set(w->n[0].node, &c, w->now), TRUST_OK);
	run(NEWS_GAP);
	assert_int_equal(sequence_of(1), w->sequence);
}

static void test_one_that_knows_no_manifest(void **state)
{
	struct network_config c = { 0 };

	(void)state;
	start(1, 1);
	join(0, "nas", false);
	run(GW_SEC);
	start_node(1, 1, false);
	memcpy(c.key, w->kit.ca.key, KEY_SIZE);
	assert_int_equal(node_network_set(w->n[1].node, &c, w->now), TRUST_OK);
	assert_found(1, "nas", 0); /* while it comes */
	assert_int_equal(sequence_of(1), w->sequence);
}

static void test_revoked(void **state)
{
	(void)state;
	start(3, 1);
	join(0, "nas", false);
	run(GW_SEC);
	assert_found(1, "nas", 0);
	assert_non_null(member_of(1, 0));
	new_manifest(2, w->n[0].id.key);
	run(100 * GW_MSEC);
	assert_int_equal(stats_of(0).names, 0);
	run(NEWS_GAP);
	assert_int_equal(find(1, "nas"), GW_E_NOT_FOUND);
	assert_null(member_of(1, 0));
}

static void test_name_moves(void **state)
{
	(void)state;
	start(3, 2);
	join(0, "nas", false);
	run(GW_SEC);
	assert_found(1, "nas", 0);
	new_manifest(2, w->n[0].id.key);
	run(12 * MINUTE);
	w->sequence++; /* which revokes nobody: the kit forgets */
	new_manifest(2, w->n[0].id.key);
	join(2, "nas", false);
	run(12 * MINUTE);
	assert_found(1, "nas", 2);
}

/* --- several --- */

static void test_ca_wins(void **state)
{
	(void)state;
	start(3, 2);
	join(0, "nas", true);
	run(GW_SEC);
	assert_found(2, "nas", 0);
	join(1, "nas", false);
	run(GW_SEC);
	assert_found(2, "nas", 1);
	assert_found(0, "nas", 1);
}

static void test_ambiguous(void **state)
{
	(void)state;
	start(4, 2);
	join(0, "nas", true);
	join(1, "nas", true);
	run(GW_SEC);
	assert_int_equal(find(2, "nas"), GW_E_AMBIGUOUS);
	join(3, "nas", false);
	run(GW_SEC);
	assert_found(2, "nas", 3);
	join(1, "nas", false);
	run(GW_SEC);
	assert_int_equal(find(2, "nas"), GW_E_AMBIGUOUS);
}

/* Each at another beacon. */
static void test_ambiguous_between_beacons(void **state)
{
	(void)state;
	start_beacon(0);
	start_beacon(1);
	for (int i = 0; i < 3; i++)
		start_node(i, 0, false);
	add_beacon(0, 0);
	add_beacon(1, 1);
	add_beacon(2, 0);
	add_beacon(2, 1);
	join(0, "nas", false);
	join(1, "nas", false);
	join(2, NULL, false);
	run(3 * GW_SEC);
	assert_int_equal(find(2, "nas"), GW_E_AMBIGUOUS);
	assert_found(0, "nas", 0);
}

/* --- when --- */

static void test_at_once(void **state)
{
	(void)state;
	start(2, 2);
	join(0, "nas", false);
	run(GW_SEC);
	look_for(1, "nas");
	run(GW_MSEC);
	assert_true(w->n[1].answered);
	look_for(1, "nobody");
	run(GW_MSEC);
	assert_true(w->n[1].answered);
	assert_int_equal(w->n[1].error, GW_E_NOT_FOUND);
}

static void test_one_beacon_is_silent(void **state)
{
	(void)state;
	start(2, 2);
	join(0, "nas", false);
	run(GW_SEC);
	w->b[1].cut = true;
	look_for(1, "nas");
	run(900 * GW_MSEC);
	assert_false(w->n[1].answered);
	run(200 * GW_MSEC);
	assert_true(w->n[1].answered);
	assert_int_equal(w->n[1].error, 0);
}

static void test_no_beacon(void **state)
{
	(void)state;
	start_node(0, 2, false);
	join(0, NULL, false);
	look_for(0, "nas");
	run(4900 * GW_MSEC);
	assert_false(w->n[0].answered);
	run(200 * GW_MSEC);
	assert_true(w->n[0].answered);
	assert_int_equal(w->n[0].error, GW_E_UNREACHABLE);
}

static void test_beacon_comes_in_time(void **state)
{
	(void)state;
	start(1, 1);
	join(0, "nas", false);
	run(GW_SEC);
	start_node(1, 0, false);
	join(1, NULL, false);
	look_for(1, "nas");
	run(3 * GW_SEC);
	add_beacon(1, 0);
	run(100 * GW_MSEC);
	assert_true(w->n[1].answered);
	assert_int_equal(w->n[1].error, 0);
}

static void test_refused(void **state)
{
	(void)state;
	w->b[0].config.limits.per_key[METER_LOOKUPS] = (struct beacon_rate){ 0, 2 };
	start(2, 1);
	join(0, "nas", false);
	run(GW_SEC);
	while (find(1, "nobody") == GW_E_NOT_FOUND)
		;
	assert_int_equal(w->n[1].error, GW_E_UNREACHABLE); /* it has not said that there is none */
}

static void test_known_peer(void **state)
{
	(void)state;
	start_node(0, 0, false);
	start_node(1, 0, false);
	join(0, "nas", false);
	join(1, "laptop", false);
	assert_int_equal(node_add_endpoint(w->n[1].node, w->n[0].id.key, &w->n[0].at, w->now), 0);
	assert_int_equal(node_dial(w->n[1].node, w->n[0].id.key, w->now), 0);
	run(GW_SEC);
	look_for(1, "nas");
	pump();
	assert_true(w->n[1].answered);
	assert_int_equal(w->n[1].error, 0);
	assert_memory_equal(w->n[1].key, w->n[0].id.key, KEY_SIZE);
	assert_found(0, "laptop", 1);
	assert_int_equal(find(1, "other"), GW_E_UNREACHABLE);
}

/* --- what may not be --- */

static void test_bad_questions(void **state)
{
	uint8_t other[KEY_SIZE] = { 1 };
	const uint8_t *network = w->kit.ca.key;
	uint64_t id, last = 0;
	struct node *n;

	(void)state;
	start(1, 0);
	n = w->n[0].node;
	assert_int_equal(node_find_name(n, other, "nas", &id, w->now), GW_E_INVALID);
	assert_int_equal(node_find_name(n, network, "", &id, w->now), GW_E_INVALID);
	assert_int_equal(node_find_name(n, network, "Nas", &id, w->now), GW_E_INVALID);
	assert_int_equal(node_find_name(n, network, "-nas", &id, w->now), GW_E_INVALID);
	for (int i = 0; i < 64; i++) {
		assert_int_equal(node_find_name(n, network, "nas", &id, w->now), 0);
		assert_true(id > last);
		last = id;
	}
	assert_int_equal(node_find_name(n, network, "nas", &id, w->now), GW_E_LIMIT);
	run(6 * GW_SEC);
	assert_int_equal(w->n[0].id_found, last);
	assert_int_equal(node_find_name(n, network, "nas", &id, w->now), 0);
	node_close(n, w->now);
	assert_int_equal(node_find_name(n, network, "nas", &id, w->now), GW_E_CLOSED);
}

static void test_network_is_dropped(void **state)
{
	(void)state;
	start(2, 1);
	join(0, "nas", false);
	run(GW_SEC);
	w->b[0].cut = true;
	look_for(1, "nas");
	run(100 * GW_MSEC);
	node_network_drop(w->n[1].node, w->kit.ca.key, w->now);
	run(GW_MSEC);
	assert_true(w->n[1].answered);
	assert_int_equal(w->n[1].error, GW_E_INVALID);
	w->b[0].cut = false;
	join(1, "other", false);
	node_network_drop(w->n[1].node, w->kit.ca.key, w->now); /* while it is talked about */
	run(20 * MINUTE);
	assert_null(fault_of(1, 0));
}

static struct published *published_at(int beacon, const char *name)
{
	uint8_t hash[KEY_SIZE];
	struct keymap_item *i;

	name_hash(hash, w->kit.ca.key, name);
	i = keymap_get(&w->b[beacon].beacon->names, hash);
	assert_non_null(i);
	return container_of(list_first(&container_of(i, struct member_name, by_hash)->chains),
			    struct published, by_name);
}

static void test_forged_chain(void **state)
{
	struct published *p;

	(void)state;
	start(2, 2);
	join(0, "nas", false);
	run(GW_SEC);
	p = published_at(0, "nas");
	p->member.chain[p->member.len - 1] ^= 1;
	assert_found(1, "nas", 0); /* the other one has it */
	assert_string_equal(fault_of(1, 0), "gave a forged certificate");
	assert_null(fault_of(1, 1));
	p = published_at(1, "nas");
	p->member.len = 10;
	assert_int_equal(find(1, "nas"), 0); /* what it has been shown before */
	stop_beacon(0);
	start_node(2, 2, false);
	join(2, NULL, false);
	run(5 * GW_SEC);
	assert_int_equal(find(2, "nas"), GW_E_NOT_FOUND);
}

static void test_chain_of_another_name(void **state)
{
	struct published *p, *q;

	(void)state;
	start(3, 1);
	join(0, "nas", false);
	join(1, "other", false);
	run(GW_SEC);
	p = published_at(0, "nas");
	q = published_at(0, "other");
	memcpy(p->member.chain, q->member.chain, q->member.len);
	p->member.len = q->member.len;
	assert_int_equal(find(2, "nas"), GW_E_NOT_FOUND);
	assert_string_equal(fault_of(2, 0), "gave a certificate of another name");
}

static void test_forged_manifest(void **state)
{
	struct keymap_item *i;
	struct beacon_network *b;
	uint64_t before;

	(void)state;
	start(2, 1);
	before = sequence_of(1);
	w->n[1].cut = true;
	new_manifest(0, NULL);
	run(SOON);
	i = keymap_get(&w->b[0].beacon->networks, w->kit.ca.key);
	b = container_of(i, struct beacon_network, by_key);
	b->manifest.bytes[b->manifest.len - 1] ^= 1;
	w->n[1].cut = false;
	run(12 * MINUTE);
	assert_int_equal(sequence_of(1), before);
	assert_string_equal(fault_of(1, 0), "gave a forged manifest");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_published_everywhere),
		TEST(test_goes_on_for_long),
		TEST(test_beacon_comes_back),
		TEST(test_renamed),
		TEST(test_nameless_and_transient),
		TEST(test_no_answer),
		TEST(test_dropped_while_it_is_talked_about),
		TEST(test_no_networks_no_words),
		TEST(test_newer_manifest_travels),
		TEST(test_news_pass_from_beacon_to_beacon),
		TEST(test_news_without_end),
		TEST(test_manifest_for_one_that_comes),
		TEST(test_large_manifest_travels),
		TEST(test_one_that_knows_no_manifest),
		TEST(test_revoked),
		TEST(test_name_moves),
		TEST(test_ca_wins),
		TEST(test_ambiguous),
		TEST(test_ambiguous_between_beacons),
		TEST(test_at_once),
		TEST(test_one_beacon_is_silent),
		TEST(test_no_beacon),
		TEST(test_beacon_comes_in_time),
		TEST(test_refused),
		TEST(test_known_peer),
		TEST(test_bad_questions),
		TEST(test_network_is_dropped),
		TEST(test_forged_chain),
		TEST(test_chain_of_another_name),
		TEST(test_forged_manifest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
