/* tests/unit/core_networks.c - members of a network: who gets in, and who no longer does. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "core_trust.h"

#include "core/connection.h"
#include "core/networks.h"

enum { HOUR = 3600, DAY = 24 * HOUR };

struct world {
	struct pair pair;
	struct test_network net;
	uint8_t chain[PAIR_NODES][WIRE_CHAIN_MAX];
	size_t len[PAIR_NODES];
};

static struct world world;

/* Node 1 offers echo to the group "db" of the network; node 0 has nothing yet. */
static int setup(void **state)
{
	struct world *w = &world;
	struct subject db = { .kind = SUBJECT_GROUP, .group = "db" };

	memset(w, 0, sizeof(*w));
	pair_init(&w->pair);
	for (int i = 0; i < PAIR_NODES; i++)
		w->pair.n[i].config.started_ms = (uint64_t)TEST_WALL_S * 1000;
	w->pair.n[1].config.audit = true;
	test_network_init(&w->net, 77);
	pair_start(&w->pair, 0, false);
	pair_start(&w->pair, 1, false);
	pair_know(&w->pair, 0, 1);
	memcpy(db.key, w->net.ca.key, KEY_SIZE);
	assert_int_equal(node_allow(w->pair.n[1].node, "echo", &db), 0);
	test_join(&w->pair, 1, &w->net, NULL, 0);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	pair_clear(&w->pair);
	test_network_clear(&w->net);
	return 0;
}

static void join(struct world *w, int i, const char *name, const char *groups, uint32_t lifetime)
{
	w->len[i] = test_chain(&w->net, w->pair.n[i].id.key, name, groups, lifetime, w->chain[i]);
	test_join(&w->pair, i, &w->net, w->chain[i], w->len[i]);
}

/* Node 0 has a stream to node 1. */
static struct stream *connected(struct world *w, struct stream **taken)
{
	struct stream *s = pair_open_taken(&w->pair, taken);

	assert_true(pair_wait_flags(&w->pair, 0, s, STREAM_ANSWERED));
	return s;
}

static void never_answered(struct world *w)
{
	struct stream *s = pair_open(&w->pair, "echo");

	pair_run(&w->pair, 20 * GW_SEC);
	assert_int_equal(w->pair.n[1].sent, 0);
	assert_int_equal(w->pair.n[1].n_incoming, 0);
	assert_int_equal(w->pair.n[0].connected, 0);
	assert_false(pair_flags(&w->pair, 0, s) & STREAM_ANSWERED);
}

static void test_member_gets_in(void **state)
{
	struct world *w = *state;
	struct stream *taken;
	const struct member *seen;

	join(w, 0, "web", "front,db", DAY);
	connected(w, &taken);
	seen = peer_member(node_peer_next(w->pair.n[1].node, NULL), w->net.ca.key);
	assert_non_null(seen);
	assert_string_equal(seen->name, "web");
	assert_true(member_has_group(seen, "db"));
}

/* Node 1 knows a further CA; `knows`: so does node 0, or it has no manifest at all.  A stream, at node 1. */
static struct stream *by_further_ca(struct world *w, bool knows)
{
	struct network_config config = { 0 };
	struct identity second;
	struct stream *taken;

	identity_generate(&second);
	memcpy(w->net.next.cas[0].key, second.key, KEY_SIZE);
	ca_endorse(&w->net.ca, second.key, w->net.next.cas[0].signature);
	w->net.next.n_cas = 1;
	test_manifest(&w->net);
	join(w, 1, "db", "", DAY);
	w->len[0] =
		test_chain_by(&w->net, &second, w->pair.n[0].id.key, "web", "db", DAY, w->chain[0]);
	config.chain = w->chain[0];
	config.chain_len = w->len[0];
	memcpy(config.key, w->net.ca.key, KEY_SIZE);
	if (knows)
		test_join(&w->pair, 0, &w->net, w->chain[0], w->len[0]);
	else
		assert_int_equal(node_network_set(w->pair.n[0].node, &config, w->pair.now),
				 TRUST_OK);
	connected(w, &taken);
	assert_memory_equal(peer_member(node_peer_next(w->pair.n[1].node, NULL), w->net.ca.key)->ca,
			    second.key, KEY_SIZE);
	return taken;
}

static void test_member_by_a_further_ca(void **state)
{
	by_further_ca(*state, true);
}

/* Who has joined by an invite of it has no manifest yet. */
static void test_member_before_its_manifest(void **state)
{
	struct world *w = *state;
	struct network_info info;

	by_further_ca(w, false);
	pair_run(&w->pair, GW_SEC);
	assert_true(node_network_next(w->pair.n[0].node, NULL, &info));
	assert_int_equal(info.manifest->m.sequence, w->net.manifest.m.sequence);
	assert_int_equal(info.self_state, TRUST_OK);
	assert_memory_equal(info.self->ca, w->net.next.cas[0].key, KEY_SIZE);
}

/* A further CA that is none any more: its members go at once, whatever else is said of them. */
static void test_further_ca_is_taken_away(void **state)
{
	struct world *w = *state;
	struct stream *taken = by_further_ca(w, true);

	w->net.next.n_cas = 0;
	w->net.next.revoked_keys = w->net.next.cas[0].key;
	w->net.next.n_revoked_keys = 1;
	test_manifest(&w->net);
	test_join(&w->pair, 1, &w->net, NULL, 0);
	pair_run(&w->pair, 10 * GW_MSEC);
	assert_true(pair_flags(&w->pair, 1, taken) & STREAM_FAILED);
	pair_run(&w->pair, 2 * GW_SEC);
	assert_int_equal(node_connections(w->pair.n[1].node), 0);
}

static void test_another_group_does_not(void **state)
{
	join(*state, 0, "web", "front", DAY);
	never_answered(*state);
}

static void test_no_certificate(void **state)
{
	never_answered(*state);
}

static void test_anothers_certificate(void **state)
{
	struct world *w = *state;
	struct network_config config = { 0 };

	/* Our own node refuses to use it in the first place. */
	w->len[0] = test_chain(&w->net, w->pair.n[2].id.key, "web", "db", DAY, w->chain[0]);
	memcpy(config.key, w->net.ca.key, KEY_SIZE);
	config.chain = w->chain[0];
	config.chain_len = w->len[0];
	assert_int_equal(node_network_set(w->pair.n[0].node, &config, w->pair.now), TRUST_RIGHTS);
	never_answered(w);
}

static void test_revocation_ends_a_live_stream(void **state)
{
	struct world *w = *state;
	const uint8_t *key = w->pair.n[0].id.key;
	struct stream *s, *taken;

	join(w, 0, "web", "db", DAY);
	s = connected(w, &taken);
	w->net.next.revoked_keys = key;
	w->net.next.n_revoked_keys = 1;
	test_manifest(&w->net);
	test_join(&w->pair, 1, &w->net, NULL, 0);
	pair_run(&w->pair, 10 * GW_MSEC);
	assert_true(pair_flags(&w->pair, 1, taken) & STREAM_FAILED);
	assert_true(pair_flags(&w->pair, 0, s) & STREAM_FAILED);
	assert_int_equal(stream_error(s), GW_E_DENIED);
	pair_run(&w->pair, 2 * GW_SEC);
	assert_int_equal(node_connections(w->pair.n[1].node), 0);
}

static void test_expiry_ends_a_live_stream(void **state)
{
	struct world *w = *state;
	struct stream *taken;

	join(w, 0, "web", "db", HOUR);
	connected(w, &taken);
	pair_run(&w->pair, (HOUR - 5) * GW_SEC);
	assert_false(pair_flags(&w->pair, 1, taken) & STREAM_FAILED);
	pair_run(&w->pair, 10 * GW_SEC);
	assert_true(pair_flags(&w->pair, 1, taken) & STREAM_FAILED);
}

static void test_renewal_keeps_it(void **state)
{
	struct world *w = *state;
	struct stream *taken;

	join(w, 0, "web", "db", HOUR);
	connected(w, &taken);
	pair_run(&w->pair, HOUR / 2 * GW_SEC);
	join(w, 0, "web", "db", DAY);
	pair_run(&w->pair, HOUR * GW_SEC);
	assert_false(pair_flags(&w->pair, 1, taken) & STREAM_FAILED);
}

/* The newer one goes from whoever has it to the other, and tells the application there. */
static void spreads(struct world *w, int from, int to)
{
	struct network_info info;
	struct stream *taken;

	join(w, 0, "web", "db", DAY);
	join(w, 1, "db1", "", DAY);
	connected(w, &taken);
	assert_int_equal(w->pair.n[to].manifests, 0);
	test_manifest(&w->net);
	test_join(&w->pair, from, &w->net, NULL, 0);
	pair_run(&w->pair, GW_SEC);
	assert_int_equal(w->pair.n[to].manifests, 1);
	assert_int_equal(w->pair.n[from].manifests, 0);
	assert_true(node_network_next(w->pair.n[to].node, NULL, &info));
	assert_int_equal(info.manifest->m.sequence, w->net.manifest.m.sequence);
}

static void test_manifest_to_the_accepter(void **state)
{
	spreads(*state, 0, 1);
}

static void test_manifest_to_the_dialler(void **state)
{
	spreads(*state, 1, 0);
}

static void test_long_manifest(void **state)
{
	enum { MANY = 1900 };
	static uint8_t keys[MANY * KEY_SIZE];
	struct world *w = *state;

	for (int i = 0; i < MANY; i++) {
		keys[i * KEY_SIZE] = (uint8_t)(i >> 8);
		keys[i * KEY_SIZE + 1] = (uint8_t)i;
	}
	w->net.next.revoked_keys = keys;
	w->net.next.n_revoked_keys = MANY;
	spreads(w, 1, 0);
}

static void test_second_key_with_one_serial(void **state)
{
	struct world *w = *state;
	struct stream *taken;

	join(w, 0, "web", "db", DAY);
	connected(w, &taken);
	w->net.serial--;
	pair_start(&w->pair, 2, false);
	pair_know(&w->pair, 2, 1);
	join(w, 2, "web2", "db", DAY);
	assert_int_equal(node_dial(w->pair.n[2].node, w->pair.n[1].id.key, w->pair.now), 0);
	pair_run(&w->pair, 20 * GW_SEC);
	assert_int_equal(w->pair.n[2].connected, 0);
	assert_string_equal(w->pair.n[1].audit.why, "no rule allows it anything");
}

/* A peer of which nothing is known is tried with one network after the other. */
static void test_member_of_two_networks(void **state)
{
	struct world *w = *state;
	struct test_network other;
	uint8_t chain[WIRE_CHAIN_MAX];
	struct stream *taken;
	size_t len;

	test_network_init(&other, 78);
	len = test_chain(&other, w->pair.n[0].id.key, "a", "", DAY, chain);
	test_join(&w->pair, 0, &other, chain, len);
	join(w, 0, "web", "db", DAY);
	connected(w, &taken);
	test_network_clear(&other);
}

/* Each process of a key is what it has shown itself: a one-shot one that shows another network does not
 * take from the running one. */
static void test_transient_of_another_network(void **state)
{
	struct world *w = *state;
	struct subject all = { .kind = SUBJECT_NETWORK };
	struct test_network other;
	struct stream *taken, *s;
	uint8_t chain[WIRE_CHAIN_MAX];
	size_t len;

	join(w, 0, "web", "db", DAY);
	connected(w, &taken);
	test_network_init(&other, 78);
	memcpy(all.key, other.ca.key, KEY_SIZE);
	test_join(&w->pair, 1, &other, NULL, 0);
	assert_int_equal(node_allow(w->pair.n[1].node, "dns", &all), 0);
	w->pair.n[2].id = w->pair.n[0].id;
	w->pair.n[2].config.transient = true;
	pair_start(&w->pair, 2, false);
	pair_know(&w->pair, 2, 1);
	len = test_chain(&other, w->pair.n[0].id.key, "a", "", DAY, chain);
	test_join(&w->pair, 2, &other, chain, len);
	assert_int_equal(node_dial(w->pair.n[2].node, w->pair.n[1].id.key, w->pair.now), 0);
	pair_run(&w->pair, GW_SEC);
	assert_int_equal(w->pair.n[2].connected, 1);
	node_recheck(w->pair.n[1].node, w->pair.now);
	pair_run(&w->pair, GW_SEC);
	assert_false(pair_flags(&w->pair, 1, taken) & STREAM_FAILED);
	s = pair_open(&w->pair, "echo");
	assert_true(pair_wait_flags(&w->pair, 0, s, STREAM_ANSWERED));
	test_network_clear(&other);
}

static void test_dropped_network(void **state)
{
	struct world *w = *state;
	struct stream *taken;

	join(w, 0, "web", "db", DAY);
	connected(w, &taken);
	node_network_drop(w->pair.n[1].node, w->net.ca.key, w->pair.now);
	pair_run(&w->pair, GW_SEC);
	assert_true(pair_flags(&w->pair, 1, taken) & STREAM_FAILED);
}

/* Another network may come to lie where the one was that a connection was dialled with. */
static void test_dropped_network_is_forgotten(void **state)
{
	struct world *w = *state;
	struct node *n = w->pair.n[0].node;
	struct stream *taken;

	join(w, 0, "web", "db", DAY);
	connected(w, &taken);
	assert_non_null(list_first(&n->connections));
	node_network_drop(n, w->net.ca.key, w->pair.now);
	list_each(&n->connections, i, next)
		assert_null(container_of(i, struct connection, all_link)->knocked);
}

/* A member that goes on and on showing chains and manifests that are forged costs a bounded number of signatures. */
static void test_forgeries_are_limited(void **state)
{
	struct world *w = *state;
	struct node *n = w->pair.n[1].node;
	struct frame f = { .type = FRAME_MEMBER };
	struct connection *c;
	struct stream *taken;
	size_t before;

	join(w, 0, "web", "db", DAY);
	join(w, 1, "db1", "", DAY);
	connected(w, &taken);
	c = container_of(list_first(&n->connections), struct connection, all_link);
	before = n->audit_count + n->audits_lost;
	w->chain[0][w->len[0] - 1] ^= 1;
	f.member.chain = w->chain[0];
	f.member.len = w->len[0];
	for (int i = 0; i < 2000; i++)
		networks_frame(c, &f, w->pair.now);
	assert_in_range(n->audit_count + n->audits_lost - before, 1, 100);

	/* It is heard again later. */
	pair_run(&w->pair, 60 * GW_SEC);
	test_manifest(&w->net);
	test_join(&w->pair, 0, &w->net, NULL, 0);
	pair_run(&w->pair, GW_SEC);
	assert_int_equal(w->pair.n[1].manifests, 1);

	before = n->audit_count + n->audits_lost;
	test_manifest(&w->net);
	w->net.manifest.bytes[w->net.manifest.len - 1] ^= 1;
	f.type = FRAME_MANIFEST;
	memcpy(f.manifest.key, w->net.ca.key, KEY_SIZE);
	f.manifest.sequence = w->net.manifest.m.sequence;
	f.manifest.bytes = w->net.manifest.bytes;
	f.manifest.len = f.manifest.total = w->net.manifest.len;
	f.manifest.offset = 0;
	for (int i = 0; i < 2000; i++)
		networks_frame(c, &f, w->pair.now);
	assert_in_range(n->audit_count + n->audits_lost - before, 1, 100);
}

/* Each chain is another one, and good: who has an invite can make as many as it likes. */
static void test_chains_are_limited(void **state)
{
	struct world *w = *state;
	struct node *n = w->pair.n[1].node;
	struct frame f = { .type = FRAME_MEMBER };
	uint8_t chain[WIRE_CHAIN_MAX];
	struct connection *c;
	struct stream *taken;
	uint64_t last = 0;

	join(w, 0, "web", "db", DAY);
	connected(w, &taken);
	c = container_of(list_first(&n->connections), struct connection, all_link);
	for (int i = 0; i < 300; i++) {
		f.member.len = test_chain(&w->net, w->pair.n[0].id.key, "web", "db", DAY, chain);
		f.member.chain = chain;
		networks_frame(c, &f, w->pair.now);
	}
	last = c->peer->credentials->member.serial;
	assert_in_range(last, 2, 100);
	assert_false(pair_flags(&w->pair, 1, taken) & STREAM_FAILED);
	/* What is known already costs none. */
	f.member.len = c->peer->credentials->member.len;
	memcpy(chain, c->peer->credentials->member.chain, f.member.len);
	for (int i = 0; i < 300; i++)
		networks_frame(c, &f, w->pair.now);
	assert_int_equal(c->peer->credentials->member.serial, last);
}

/* The clock of node 0 is wrong by so much. */
static bool gets_in_with_clock(struct world *w, int seconds)
{
	struct stream *s;

	pair_kill(&w->pair, 0);
	w->pair.n[0].config.started_ms = (uint64_t)(TEST_WALL_S + seconds) * 1000;
	pair_start(&w->pair, 0, false);
	pair_know(&w->pair, 0, 1);
	join(w, 0, "web", "db", DAY);
	s = pair_open(&w->pair, "echo");
	pair_run(&w->pair, 5 * GW_SEC);
	return pair_flags(&w->pair, 0, s) & STREAM_ANSWERED;
}

static void test_clock_skew(void **state)
{
	struct world *w = *state;

	assert_true(gets_in_with_clock(w, 600));
	assert_true(gets_in_with_clock(w, -600));
	assert_false(gets_in_with_clock(w, 3600));
	assert_string_equal(w->pair.n[1].audit.why, "its clock differs by more than 15 minutes");
	assert_int_equal(w->pair.n[1].audit.what, AUDIT_KNOCK);
}

static void test_audit_of_streams(void **state)
{
	struct world *w = *state;
	struct stream *s, *taken;

	join(w, 0, "web", "db", DAY);
	s = connected(w, &taken);
	assert_int_equal(w->pair.n[1].audit.what, AUDIT_OPEN);
	assert_true(w->pair.n[1].audit.allowed);
	assert_string_equal(w->pair.n[1].audit.service, "echo");
	assert_memory_equal(w->pair.n[1].audit.key, w->pair.n[0].id.key, KEY_SIZE);
	assert_int_equal(stream_write(s, "12345", 5, w->pair.now), 5);
	stream_finish(s, w->pair.now);
	stream_finish(taken, w->pair.now);
	pair_run(&w->pair, GW_SEC);
	assert_int_equal(pair_read(&w->pair, taken, NULL, 100), 5);
	pair_run(&w->pair, GW_SEC);
	assert_int_equal(w->pair.n[1].audit.what, AUDIT_END);
	assert_int_equal(w->pair.n[1].audit.rx_bytes, 5);
	assert_null(w->pair.n[1].audit.why);
	s = pair_open(&w->pair, "dns");
	pair_run(&w->pair, GW_SEC);
	assert_int_equal(stream_error(s), GW_E_DENIED);
	assert_int_equal(w->pair.n[1].audit.what, AUDIT_OPEN);
	assert_false(w->pair.n[1].audit.allowed);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_member_gets_in),
		T(test_another_group_does_not),
		T(test_no_certificate),
		T(test_member_by_a_further_ca),
		T(test_member_before_its_manifest),
		T(test_further_ca_is_taken_away),
		T(test_anothers_certificate),
		T(test_revocation_ends_a_live_stream),
		T(test_expiry_ends_a_live_stream),
		T(test_renewal_keeps_it),
		T(test_manifest_to_the_accepter),
		T(test_manifest_to_the_dialler),
		T(test_long_manifest),
		T(test_second_key_with_one_serial),
		T(test_member_of_two_networks),
		T(test_transient_of_another_network),
		T(test_dropped_network),
		T(test_dropped_network_is_forgotten),
		T(test_forgeries_are_limited),
		T(test_chains_are_limited),
		T(test_clock_skew),
		T(test_audit_of_streams),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
