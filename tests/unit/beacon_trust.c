/* SPDX-License-Identifier: Apache-2.0 */
/* Manifests and names at a beacon. */
#include "beacon_net.h"

#include <stdlib.h>

#include "trust_kit.h"

#define MINUTE (60 * GW_SEC)

static struct net *w;
static struct kit kit;
static uint8_t chain[WIRE_CHAIN_MAX];

static int setup(void **state)
{
	(void)state;
	w = malloc(sizeof(*w));
	net_init(w);
	w->config.limits.per_key[METER_PUBLISHES] = (struct beacon_rate){ 1000, 1000 };
	kit_init(&kit, 77, w->wall_ms);
	return 0;
}

static void start(int n_clients)
{
	net_start(w);
	for (int i = 0; i < n_clients; i++)
		net_join(w, i, true);
}

static int teardown(void **state)
{
	(void)state;
	net_clear(w);
	free(w);
	return 0;
}

/* --- what the tests say --- */

static uint64_t store_manifest(int i, uint64_t sequence, const uint8_t *revoked)
{
	return net_store(w, i, STORED_MANIFEST, kit.bytes,
			 kit_manifest(&kit, sequence, revoked, 0));
}

static uint64_t store_chain_of(int i, const struct identity *who, const char *name, bool delegated)
{
	return net_store(w, i, STORED_CHAIN, chain,
			 kit_chain(&kit, who->key, name, delegated, chain));
}

static uint64_t store_chain(int i, const char *name, bool delegated)
{
	return store_chain_of(i, &w->c[i].id, name, delegated);
}

/* How many have that name, by what client `i` gets. */
static size_t find(int i, const char *name)
{
	uint8_t hash[KEY_SIZE];
	size_t found;

	name_hash(hash, kit.ca.key, name);
	net_fetch(w, i, STORED_CHAIN, hash, 0);
	found = net_count(w, i, BEACON_ITEM);
	assert_int_equal(net_last(w, i, BEACON_RESULT)->f.result.status,
			 found > 0 ? RESULT_OK : RESULT_NOT_FOUND);
	return found;
}

/* Is it what the last fetch has given? */
static void assert_item(int i, const uint8_t *data, size_t len)
{
	size_t at = 0;

	for (size_t k = 0; k < w->c[i].n_frames; k++) {
		const struct seen_frame *s = &w->c[i].frames[k];

		if (s->f.type != BEACON_ITEM)
			continue;
		assert_int_equal(s->f.item.request, 8);
		assert_int_equal(s->f.item.total, len);
		assert_int_equal(s->f.item.offset, at);
		assert_memory_equal(s->record, data + at, s->f.item.len);
		at += s->f.item.len;
	}
	assert_int_equal(at, len);
}

/* --- manifests --- */

static void test_manifest(void **state)
{
	uint64_t sequence = w->wall_ms;
	const struct seen_frame *f;
	size_t len;

	(void)state;
	start(2);
	f = net_fetch(w, 1, STORED_MANIFEST, kit.ca.key, 0);
	assert_int_equal(f->f.result.status, RESULT_NOT_FOUND);
	assert_int_equal(store_manifest(0, sequence, NULL), RESULT_OK);
	assert_int_equal(net_last(w, 0, BEACON_RESULT)->f.result.sequence, sequence);
	assert_int_equal(net_stats(w).manifests, 1);

	f = net_fetch(w, 1, STORED_MANIFEST, kit.ca.key, 0);
	assert_int_equal(f->f.result.status, RESULT_OK);
	assert_int_equal(f->f.result.sequence, sequence);
	len = kit_manifest(&kit, sequence, NULL, 0);
	assert_item(1, kit.bytes, len);

	f = net_fetch(w, 1, STORED_MANIFEST, kit.ca.key, sequence);
	assert_int_equal(f->f.result.status, RESULT_OK);
	assert_int_equal(f->f.result.sequence, sequence);
	assert_int_equal(net_count(w, 1, BEACON_ITEM), 0);
}

static void test_newest_manifest_counts(void **state)
{
	uint64_t sequence = w->wall_ms;

	(void)state;
	start(2);
	assert_int_equal(store_manifest(0, sequence, NULL), RESULT_OK);
	assert_int_equal(store_manifest(1, sequence, NULL), RESULT_OLDER);
	assert_int_equal(store_manifest(1, sequence - 1, NULL), RESULT_OLDER);
	assert_int_equal(net_last(w, 1, BEACON_RESULT)->f.result.sequence, sequence);
	assert_int_equal(store_manifest(1, sequence + 1, NULL), RESULT_OK);
	assert_int_equal(net_fetch(w, 0, STORED_MANIFEST, kit.ca.key, 0)->f.result.sequence,
			 sequence + 1);
	assert_int_equal(net_stats(w).manifests, 1);
}

static void test_large_manifest(void **state)
{
	size_t len = kit_manifest(&kit, w->wall_ms, NULL, 2040);

	(void)state;
	assert_true(len > 65000);
	start(2);
	assert_int_equal(net_store(w, 0, STORED_MANIFEST, kit.bytes, len), RESULT_OK);
	assert_int_equal(net_fetch(w, 1, STORED_MANIFEST, kit.ca.key, 0)->f.result.status,
			 RESULT_OK);
	assert_item(1, kit.bytes, len);
}

static void test_bad_manifests(void **state)
{
	size_t len = kit_manifest(&kit, w->wall_ms, w->c[3].id.key, 0);

	(void)state;
	start(1);
	for (size_t i = 0; i < len; i++) {
		kit.bytes[i] ^= 1;
		assert_int_equal(net_store(w, 0, STORED_MANIFEST, kit.bytes, len), RESULT_BAD);
		kit.bytes[i] ^= 1;
	}
	assert_int_equal(net_store(w, 0, STORED_MANIFEST, kit.bytes, len - 1), RESULT_BAD);
	assert_int_equal(net_store(w, 0, STORED_MANIFEST, kit.bytes, 1), RESULT_BAD);
	assert_int_equal(net_store(w, 0, STORED_MANIFEST, kit.bytes, KEY_SIZE + 1), RESULT_BAD);
	/* Of the future: by more than 15 minutes. */
	assert_int_equal(store_manifest(0, w->wall_ms + 950 * 1000, NULL), RESULT_BAD);
	assert_int_equal(net_stats(w).manifests, 0);
	assert_int_equal(store_manifest(0, w->wall_ms, NULL), RESULT_OK);
}

static void test_one_does_not_replace_another_network(void **state)
{
	struct kit other;

	(void)state;
	start(2);
	kit_init(&other, 99, w->wall_ms);
	assert_int_equal(store_manifest(0, w->wall_ms, NULL), RESULT_OK);
	assert_int_equal(net_store(w, 0, STORED_MANIFEST, other.bytes,
				   kit_manifest(&other, w->wall_ms + 1, NULL, 0)),
			 RESULT_OK);
	assert_int_equal(net_stats(w).manifests, 2);
	assert_int_equal(net_fetch(w, 1, STORED_MANIFEST, kit.ca.key, 0)->f.result.sequence,
			 w->wall_ms);
}

/* --- parts --- */

static void send_part(int i, uint64_t request, uint64_t kind, size_t total, size_t offset,
		      size_t len)
{
	struct beacon_frame f = { .type = BEACON_STORE };

	f.item.request = request;
	f.item.kind = kind;
	f.item.total = total;
	f.item.offset = offset;
	f.item.bytes = kit.bytes + offset;
	f.item.len = len;
	link_send(w->c[i].link, &f);
}

/* The RESULTs that have come are for these requests, with these statuses. */
static void assert_results(int i, size_t count, const uint64_t (*expected)[2])
{
	size_t at = 0;

	net_run(w, 50 * GW_MSEC);
	for (size_t k = 0; k < w->c[i].n_frames; k++) {
		const struct beacon_frame *f = &w->c[i].frames[k].f;

		if (f->type != BEACON_RESULT)
			continue;
		assert_true(at < count);
		assert_int_equal(f->result.request, expected[at][0]);
		assert_int_equal(f->result.status, expected[at][1]);
		at++;
	}
	assert_int_equal(at, count);
	net_forget(w, i);
}

#define EXPECT(i, ...)                                                                             \
	do {                                                                                       \
		static const uint64_t expected[][2] = { __VA_ARGS__ };                             \
		assert_results(i, sizeof(expected) / sizeof(expected[0]), expected);               \
	} while (0)

static void test_parts_in_order(void **state)
{
	size_t len = kit_manifest(&kit, w->wall_ms, NULL, 85);

	(void)state;
	start(1);
	net_forget(w, 0);
	send_part(0, 1, STORED_MANIFEST, len, 0, 1000);
	send_part(0, 1, STORED_MANIFEST, len, 1000, 1000);
	net_run(w, 50 * GW_MSEC);
	assert_int_equal(net_count(w, 0, BEACON_RESULT), 0);
	send_part(0, 1, STORED_MANIFEST, len, 2000, len - 2000);
	EXPECT(0, { 1, RESULT_OK });
	assert_int_equal(net_stats(w).manifests, 1);
}

static void test_parts_out_of_order(void **state)
{
	size_t len = kit_manifest(&kit, w->wall_ms, NULL, 85);

	(void)state;
	start(1);
	net_forget(w, 0);
	send_part(0, 1, STORED_MANIFEST, len, 1000, 1000); /* never begun */
	send_part(0, 1, STORED_MANIFEST, len, 2000, len - 2000);
	EXPECT(0, { 1, RESULT_BAD }); /* once */
	send_part(0, 2, STORED_MANIFEST, len, 0, 1000);
	send_part(0, 2, STORED_MANIFEST, len, 2000, len - 2000); /* a gap */
	send_part(0, 2, STORED_MANIFEST, len, 1000, 1000);
	EXPECT(0, { 2, RESULT_BAD });
	send_part(0, 3, STORED_MANIFEST, len, 0, 1000);
	send_part(0, 3, STORED_MANIFEST, len - 1, 1000, 1000); /* another size */
	EXPECT(0, { 3, RESULT_BAD });
	send_part(0, 4, STORED_MANIFEST, len, 0, 1000);
	send_part(0, 4, STORED_CHAIN, len, 1000, 1000); /* another kind */
	EXPECT(0, { 4, RESULT_BAD });
	send_part(0, 0, STORED_MANIFEST, len, 1000, 1000); /* request 0 is one like any other */
	EXPECT(0, { 0, RESULT_BAD });
	assert_int_equal(net_stats(w).manifests, 0);
}

/* What it says is where a part belongs, and not when it comes. */
static void test_parts_that_overlap(void **state)
{
	size_t len = kit_manifest(&kit, w->wall_ms, NULL, 85);
	struct beacon_frame f = { .type = BEACON_STORE };

	(void)state;
	start(1);
	net_forget(w, 0);
	send_part(0, 1, STORED_MANIFEST, len, 0, 1000);
	f.item.request = 1;
	f.item.kind = STORED_MANIFEST;
	f.item.total = len;
	f.item.offset = 999;
	f.item.bytes = kit.bytes + 1000;
	f.item.len = 1000;
	link_send(w->c[0].link, &f);
	send_part(0, 1, STORED_MANIFEST, len, 2000, len - 2000);
	EXPECT(0, { 1, RESULT_BAD });
	assert_int_equal(net_stats(w).manifests, 0);
}

static void test_one_item_at_a_time(void **state)
{
	size_t len = kit_manifest(&kit, w->wall_ms, NULL, 85);

	(void)state;
	start(1);
	net_forget(w, 0);
	send_part(0, 1, STORED_MANIFEST, len, 0, 1000);
	send_part(0, 2, STORED_MANIFEST, len, 0, 1000);
	send_part(0, 1, STORED_MANIFEST, len, 1000, 1000);
	send_part(0, 3, STORED_MANIFEST, len, 0, 1000);
	for (size_t at = 1000; at < len; at += 1000)
		send_part(0, 3, STORED_MANIFEST, len, at, len - at < 1000 ? len - at : 1000);
	EXPECT(0, { 1, RESULT_BAD }, { 2, RESULT_BAD }, { 1, RESULT_BAD }, { 3, RESULT_OK });
}

static void test_unknown_kinds(void **state)
{
	(void)state;
	start(1);
	net_forget(w, 0);
	send_part(0, 1, 3, 10, 0, 10);
	send_part(0, 2, 0, 2000, 0, 1000);
	send_part(0, 2, 0, 2000, 1000, 1000);
	send_part(0, 3, STORED_CHAIN, WIRE_CHAIN_MAX + 1, 0, 100);
	EXPECT(0, { 1, RESULT_BAD }, { 2, RESULT_BAD }, { 3, RESULT_BAD });
	assert_int_equal(net_fetch(w, 0, (enum stored_kind)3, kit.ca.key, 0)->f.result.status,
			 RESULT_BAD);
	assert_non_null(w->c[0].link);
}

static void test_half_sent_items_are_bounded(void **state)
{
	size_t len = kit_manifest(&kit, w->wall_ms, NULL, 85);

	(void)state;
	w->config.limits.item_bytes = 2 * len;
	start(3);
	for (int i = 0; i < 3; i++) {
		net_forget(w, i);
		send_part(i, 1, STORED_MANIFEST, len, 0, 1000);
		net_run(w, 10 * GW_MSEC);
	}
	EXPECT(0, { 1, RESULT_LATER }); /* the first */
	send_part(0, 1, STORED_MANIFEST, len, 1000, 1000);
	net_run(w, 10 * GW_MSEC);
	assert_int_equal(net_count(w, 0, BEACON_RESULT), 0);
	net_leave(w, 1);
	for (size_t at = 1000; at < len; at += 1000)
		send_part(2, 1, STORED_MANIFEST, len, at, len - at < 1000 ? len - at : 1000);
	EXPECT(2, { 1, RESULT_OK });
	w->config.limits.item_bytes = 0;
}

static void test_store_before_attend(void **state)
{
	(void)state;
	net_start(w);
	net_connect(w, 0);
	send_part(0, 1, STORED_MANIFEST, 10, 0, 10);
	net_run(w, 50 * GW_MSEC);
	assert_null(w->c[0].link);
	assert_int_equal(w->c[0].close_code, CLOSE_PROTOCOL);
}

static void test_item_is_for_the_beacon_to_say(void **state)
{
	struct beacon_frame f = { .type = BEACON_ITEM };

	(void)state;
	start(1);
	f.item.total = f.item.len = 1;
	f.item.bytes = kit.bytes;
	link_send(w->c[0].link, &f);
	net_run(w, 50 * GW_MSEC);
	assert_int_equal(w->c[0].close_code, CLOSE_PROTOCOL);
}

/* --- names --- */

static void test_name(void **state)
{
	size_t len;

	(void)state;
	start(2);
	assert_int_equal(store_chain(0, "nas", false), RESULT_NOT_FOUND); /* no manifest */
	assert_int_equal(store_manifest(1, w->wall_ms, NULL), RESULT_OK);
	assert_int_equal(find(1, "nas"), 0);
	len = kit_chain(&kit, w->c[0].id.key, "nas", false, chain);
	assert_int_equal(net_store(w, 0, STORED_CHAIN, chain, len), RESULT_OK);
	assert_int_equal(find(1, "nas"), 1);
	assert_item(1, chain, len);
	assert_int_equal(find(1, "other"), 0);
	assert_int_equal(net_stats(w).names, 1);
}

static void test_bad_chains(void **state)
{
	struct kit other;
	size_t len;

	(void)state;
	start(2);
	assert_int_equal(store_manifest(0, w->wall_ms, NULL), RESULT_OK);
	/* Not its own; nameless; expired; not yet valid. */
	assert_int_equal(store_chain_of(0, &w->c[1].id, "nas", false), RESULT_BAD);
	assert_int_equal(store_chain(0, NULL, false), RESULT_BAD);
	kit.now_s -= 2 * kit.lasts_s;
	assert_int_equal(store_chain(0, "nas", false), RESULT_BAD);
	kit.now_s += 4 * kit.lasts_s;
	assert_int_equal(store_chain(0, "nas", false), RESULT_BAD);
	kit.now_s -= 2 * kit.lasts_s;
	/* Of another CA that says it is of this network; each byte changed. */
	kit_init(&other, 5, w->wall_ms);
	memcpy(other.ca.key, kit.ca.key, KEY_SIZE);
	len = kit_chain(&other, w->c[0].id.key, "nas", false, chain);
	assert_int_equal(net_store(w, 0, STORED_CHAIN, chain, len), RESULT_BAD);
	len = kit_chain(&kit, w->c[0].id.key, "nas", true, chain);
	for (size_t i = 0; i < len; i++) {
		chain[i] ^= 4;
		assert_int_equal(net_store(w, 0, STORED_CHAIN, chain, len),
				 i >= 1 && i <= KEY_SIZE ? RESULT_NOT_FOUND : RESULT_BAD);
		chain[i] ^= 4;
	}
	assert_int_equal(net_store(w, 0, STORED_CHAIN, chain, len - 1), RESULT_BAD);
	assert_int_equal(net_store(w, 0, STORED_CHAIN, chain, 10), RESULT_BAD);
	assert_int_equal(net_stats(w).names, 0);
	assert_int_equal(net_store(w, 0, STORED_CHAIN, chain, len), RESULT_OK);
}

static void test_a_key_has_one_chain_of_a_network(void **state)
{
	size_t len;

	(void)state;
	start(2);
	assert_int_equal(store_manifest(0, w->wall_ms, NULL), RESULT_OK);
	assert_int_equal(store_chain(0, "nas", false), RESULT_OK);
	len = kit_chain(&kit, w->c[0].id.key, "nas", false, chain); /* renewed */
	assert_int_equal(net_store(w, 0, STORED_CHAIN, chain, len), RESULT_OK);
	assert_int_equal(find(1, "nas"), 1);
	assert_item(1, chain, len);
	assert_int_equal(store_chain(0, "new-nas", false), RESULT_OK);
	assert_int_equal(find(1, "nas"), 0);
	assert_int_equal(find(1, "new-nas"), 1);
	assert_int_equal(net_stats(w).names, 1);
}

static void test_four_may_claim_a_name(void **state)
{
	(void)state;
	start(6);
	assert_int_equal(store_manifest(0, w->wall_ms, NULL), RESULT_OK);
	for (int i = 0; i < 4; i++)
		assert_int_equal(store_chain(i, "nas", i != 1), RESULT_OK);
	assert_int_equal(find(5, "nas"), 4);
	assert_int_equal(store_chain(4, "nas", true), RESULT_LIMIT);
	assert_int_equal(store_chain(3, "nas", true), RESULT_OK);  /* again */
	assert_int_equal(store_chain(4, "nas", false), RESULT_OK); /* a CA's */
	assert_int_equal(find(5, "nas"), 4);
	assert_int_equal(net_stats(w).names, 4);
	for (int i = 2; i < 4; i++)
		assert_int_equal(store_chain(i, "nas", false), RESULT_OK);
	assert_int_equal(store_chain(0, "nas", false), RESULT_LIMIT); /* all are a CA's */
	assert_int_equal(store_chain(5, "n", false), RESULT_OK);
}

static void test_chains_that_hold_no_more_give_way(void **state)
{
	(void)state;
	start(6);
	kit.lasts_s = 60;
	assert_int_equal(store_manifest(0, w->wall_ms, NULL), RESULT_OK);
	for (int i = 0; i < 4; i++)
		assert_int_equal(store_chain(i, "nas", false), RESULT_OK);
	net_run(w, 2 * MINUTE);
	assert_int_equal(find(5, "nas"), 0); /* expired */
	kit.now_s += 120;
	assert_int_equal(store_chain(4, "nas", true), RESULT_OK);
	assert_int_equal(find(5, "nas"), 1);
}

static void test_chains_last_30_minutes(void **state)
{
	(void)state;
	start(2);
	assert_int_equal(store_manifest(0, w->wall_ms, NULL), RESULT_OK);
	assert_int_equal(store_chain(0, "nas", false), RESULT_OK);
	net_run(w, 29 * MINUTE);
	assert_int_equal(find(1, "nas"), 1);
	assert_int_equal(net_store(w, 0, STORED_CHAIN, chain,
				   kit_chain(&kit, w->c[0].id.key, "nas", false, chain)),
			 RESULT_OK);
	net_run(w, 29 * MINUTE);
	assert_int_equal(find(1, "nas"), 1);
	net_run(w, 2 * MINUTE);
	assert_int_equal(find(1, "nas"), 0);
	assert_int_equal(net_stats(w).names, 0);
	assert_int_equal(net_stats(w).manifests, 1);
}

static void test_chains_end_with_the_connection(void **state)
{
	(void)state;
	start(2);
	assert_int_equal(store_manifest(1, w->wall_ms, NULL), RESULT_OK);
	assert_int_equal(store_chain(0, "nas", false), RESULT_OK);
	net_leave(w, 0);
	assert_int_equal(find(1, "nas"), 0);
	assert_int_equal(net_stats(w).names, 0);
}

/* The same process on a new connection. */
static void test_chains_outlive_a_connection(void **state)
{
	(void)state;
	start(2);
	assert_int_equal(store_manifest(1, w->wall_ms, NULL), RESULT_OK);
	assert_int_equal(store_chain(0, "nas", false), RESULT_OK);
	net_crash(w, 0);
	net_join(w, 0, true);
	net_run(w, GW_SEC);
	assert_int_equal(net_stats(w).sessions, 2);
	assert_int_equal(find(1, "nas"), 1);
	net_leave(w, 0);
	assert_int_equal(find(1, "nas"), 0);
}

static void test_ephemeral_chains_do_not(void **state)
{
	(void)state;
	start(2);
	kit.flags = CERTIFICATE_EPHEMERAL;
	assert_int_equal(store_manifest(1, w->wall_ms, NULL), RESULT_OK);
	assert_int_equal(store_chain(0, "nas", false), RESULT_OK);
	assert_int_equal(find(1, "nas"), 1);
	net_crash(w, 0);
	net_join(w, 0, true);
	net_run(w, GW_SEC);
	assert_int_equal(find(1, "nas"), 0);
}

static void test_revocation(void **state)
{
	(void)state;
	start(4);
	assert_int_equal(store_manifest(0, w->wall_ms, NULL), RESULT_OK);
	assert_int_equal(store_chain(0, "nas", false), RESULT_OK);
	assert_int_equal(store_chain(1, "nas", true), RESULT_OK);
	assert_int_equal(store_chain(2, "n2", true), RESULT_OK);
	assert_int_equal(store_manifest(3, w->wall_ms + 1, w->c[0].id.key), RESULT_OK);
	assert_int_equal(find(3, "nas"), 1);
	assert_int_equal(net_stats(w).names, 2);
	assert_int_equal(store_chain(0, "nas", false), RESULT_BAD);
	/* An invite: all that it has signed. */
	assert_int_equal(store_manifest(3, w->wall_ms + 2, kit.delegate.key), RESULT_OK);
	assert_int_equal(net_stats(w).names, 0);
	assert_int_equal(find(3, "nas"), 0);
	assert_int_equal(find(3, "n2"), 0);
	assert_int_equal(store_chain(1, "nas", true), RESULT_BAD);
}

/* --- news --- */

/* Without waiting for anything. */
static void send_store(int i, size_t len)
{
	send_part(i, 1, STORED_MANIFEST, len, 0, len);
}

static void send_fetch(int i, const uint8_t *network)
{
	struct beacon_frame f = { .type = BEACON_FETCH };

	f.fetch.request = 1;
	f.fetch.kind = STORED_MANIFEST;
	memcpy(f.fetch.key, network, KEY_SIZE);
	link_send(w->c[i].link, &f);
}

/* How many notices have come since the last net_forget(), each of the kit's network. */
static size_t news(int i)
{
	size_t count = 0;

	for (size_t k = 0; k < w->c[i].n_frames; k++) {
		const struct seen_frame *s = &w->c[i].frames[k];

		if (s->f.type != BEACON_ITEM || s->f.item.request != 0)
			continue;
		assert_int_equal(s->f.item.kind, ITEM_NEWS);
		assert_int_equal(s->f.item.total, KEY_SIZE);
		assert_int_equal(s->f.item.len, KEY_SIZE);
		assert_memory_equal(s->record, kit.ca.key, KEY_SIZE);
		count++;
	}
	return count;
}

static void test_who_has_asked_hears_of_a_newer_manifest(void **state)
{
	struct kit other;

	(void)state;
	start(4);
	kit_init(&other, 99, w->wall_ms);
	net_fetch(w, 0, STORED_MANIFEST, kit.ca.key, 0);
	net_fetch(w, 1, STORED_MANIFEST, kit.ca.key, 0); /* there is none yet */
	net_fetch(w, 2, STORED_MANIFEST, other.ca.key, 0);
	assert_int_equal(store_manifest(0, w->wall_ms, NULL), RESULT_OK);
	assert_int_equal(news(0), 0); /* has brought it */
	assert_int_equal(news(1), 1);
	assert_int_equal(news(2), 0);
	assert_int_equal(news(3), 0);
}

static void test_only_what_is_new_is_news(void **state)
{
	uint64_t sequence = w->wall_ms;
	size_t len;

	(void)state;
	start(2);
	assert_int_equal(store_manifest(0, sequence, NULL), RESULT_OK);
	net_fetch(w, 1, STORED_MANIFEST, kit.ca.key, 0);
	net_forget(w, 1);
	assert_int_equal(store_manifest(0, sequence, NULL), RESULT_OLDER);
	assert_int_equal(store_manifest(0, sequence - 1, NULL), RESULT_OLDER);
	len = kit_manifest(&kit, sequence + 1, NULL, 0);
	kit.bytes[len - 1] ^= 1;
	assert_int_equal(net_store(w, 0, STORED_MANIFEST, kit.bytes, len), RESULT_BAD);
	assert_int_equal(store_chain(0, "nas", false), RESULT_OK);
	assert_int_equal(news(1), 0);
}

/* However many come: one notice for each question. */
static void test_news_wait_for_a_question(void **state)
{
	uint64_t sequence = w->wall_ms;

	(void)state;
	start(2);
	net_fetch(w, 1, STORED_MANIFEST, kit.ca.key, 0);
	for (uint64_t i = 0; i < 5; i++)
		assert_int_equal(store_manifest(0, sequence + i, NULL), RESULT_OK);
	assert_int_equal(news(1), 1);
	assert_int_equal(net_fetch(w, 1, STORED_MANIFEST, kit.ca.key, 0)->f.result.sequence,
			 sequence + 4);
	assert_int_equal(news(1), 0);
	assert_int_equal(store_manifest(0, sequence + 5, NULL), RESULT_OK);
	assert_int_equal(news(1), 1);
}

static void test_no_room_for_news(void **state)
{
	struct kit other;

	(void)state;
	w->config.limits.session_watches = 1;
	start(2);
	kit_init(&other, 99, w->wall_ms);
	assert_int_equal(store_manifest(0, w->wall_ms, NULL), RESULT_OK);
	net_fetch(w, 1, STORED_MANIFEST, other.ca.key, 0);
	assert_int_equal(net_fetch(w, 1, STORED_MANIFEST, kit.ca.key, 0)->f.result.status,
			 RESULT_OK);
	net_forget(w, 1);
	assert_int_equal(store_manifest(0, w->wall_ms + 1, NULL), RESULT_OK);
	assert_int_equal(news(1), 0);
}

/* 300 notices: 250 at once at the most, and the rest after 25 ms. */
static void test_news_are_spread(void **state)
{
	enum { NETWORKS = 60, AT_ONCE = 250, WINDOW_MS = 24 };
	size_t seen[200] = { 0 }, ms;

	(void)state;
	start(CLIENTS);
	for (uint8_t k = 0; k < NETWORKS; k++) {
		struct kit of;

		kit_init(&of, (uint8_t)(2 * k + 1), w->wall_ms);
		for (int i = 1; i < CLIENTS; i++)
			send_fetch(i, of.ca.key);
	}
	net_run(w, 200 * GW_MSEC);
	for (int i = 0; i < CLIENTS; i++)
		net_forget(w, i);
	for (uint8_t k = 0; k < NETWORKS; k++) {
		kit_init(&kit, (uint8_t)(2 * k + 1), w->wall_ms);
		send_store(0, kit_manifest(&kit, w->wall_ms, NULL, 0));
	}
	for (ms = 1; ms < 200; ms++) {
		net_run(w, GW_MSEC);
		for (int i = 1; i < CLIENTS; i++)
			seen[ms] += net_count(w, i, BEACON_ITEM);
		if (ms > WINDOW_MS)
			assert_true(seen[ms] - seen[ms - WINDOW_MS] <= AT_ONCE);
	}
	assert_int_equal(seen[199], NETWORKS * (CLIENTS - 1));
}

static void test_who_leaves_is_told_nothing(void **state)
{
	size_t len;

	(void)state;
	start(3);
	for (int i = 1; i < 3; i++)
		net_fetch(w, i, STORED_MANIFEST, kit.ca.key, 0);
	assert_int_equal(net_stats(w).watches, 2);
	len = kit_manifest(&kit, w->wall_ms, NULL, 0);
	send_store(0, len);
	net_run(w, 5 * GW_MSEC);
	for (int i = 1; i < 3; i++) {
		net_forget(w, i);
		send_fetch(i, kit.ca.key);
	}
	net_run(w, 5 * GW_MSEC);
	len = kit_manifest(&kit, w->wall_ms + 1, NULL, 0);
	send_store(0, len); /* has to wait */
	net_run(w, 5 * GW_MSEC);
	assert_int_equal(news(1) + news(2), 0);
	link_close(w->c[1].link, CLOSE_EXIT, GW_E_CLOSED, NULL, 0, w->now);
	net_run(w, 100 * GW_MSEC);
	assert_int_equal(news(2), 1);
	assert_int_equal(net_stats(w).watches, 1);
}

/* --- limits --- */

static void test_budgets(void **state)
{
	uint8_t hash[KEY_SIZE] = { 1 };

	(void)state;
	w->config.limits.per_key[METER_PUBLISHES] = (struct beacon_rate){ 1, 2 };
	w->config.limits.per_key[METER_LOOKUPS] = (struct beacon_rate){ 1, 2 };
	start(2);
	assert_int_equal(store_manifest(0, w->wall_ms, NULL), RESULT_OK);
	assert_int_equal(store_chain(0, "nas", false), RESULT_OK);
	assert_int_equal(store_chain(0, "nas", false), RESULT_LIMIT);
	/* A large one is refused once, not part by part. */
	assert_int_equal(net_store(w, 0, STORED_MANIFEST, kit.bytes,
				   kit_manifest(&kit, w->wall_ms + 1, NULL, 200)),
			 RESULT_LIMIT);
	for (int i = 0; i < 2; i++)
		assert_int_equal(net_fetch(w, 1, STORED_CHAIN, hash, 0)->f.result.status,
				 RESULT_NOT_FOUND);
	assert_int_equal(net_fetch(w, 1, STORED_CHAIN, hash, 0)->f.result.status, RESULT_LIMIT);
	net_run(w, 2 * GW_SEC);
	assert_int_equal(store_chain(0, "nas", false), RESULT_OK);
}

static uint64_t store_network(int i, uint8_t seed, size_t filler)
{
	struct kit k;

	kit_init(&k, seed, w->wall_ms);
	return net_store(w, i, STORED_MANIFEST, k.bytes,
			 kit_manifest(&k, w->wall_ms, NULL, filler));
}

static bool has_network(uint8_t seed)
{
	struct kit k;

	kit_init(&k, seed, w->wall_ms);
	return net_fetch(w, 1, STORED_MANIFEST, k.ca.key, UINT64_C(1) << 60)->f.result.status ==
	       RESULT_OK;
}

static void test_number_of_manifests(void **state)
{
	(void)state;
	w->config.limits.manifests = 3;
	start(2);
	assert_int_equal(store_manifest(0, w->wall_ms, NULL), RESULT_OK);
	assert_int_equal(store_chain(0, "nas", false), RESULT_OK);
	assert_int_equal(store_network(0, 1, 0), RESULT_OK);
	assert_int_equal(store_network(0, 3, 0), RESULT_OK);
	assert_true(has_network(1)); /* used last */
	assert_int_equal(store_network(0, 5, 0), RESULT_OK);
	assert_int_equal(net_stats(w).manifests, 3);
	assert_false(has_network(3));
	assert_true(has_network(1));
	assert_true(has_network(5));
	assert_int_equal(find(1, "nas"), 1); /* has a member here */
	net_leave(w, 0);
	assert_int_equal(store_network(1, 7, 0), RESULT_OK);
	assert_false(has_network(77));
}

static void test_all_networks_have_members(void **state)
{
	(void)state;
	w->config.limits.manifests = 1;
	start(2);
	assert_int_equal(store_manifest(0, w->wall_ms, NULL), RESULT_OK);
	assert_int_equal(store_chain(0, "nas", false), RESULT_OK);
	assert_int_equal(store_network(1, 1, 0), RESULT_LIMIT);
	assert_int_equal(store_manifest(1, w->wall_ms + 1, NULL), RESULT_OK);
	assert_int_equal(net_stats(w).manifests, 1);
}

static void test_bytes_of_manifests(void **state)
{
	size_t len = kit_manifest(&kit, w->wall_ms, NULL, 200);

	(void)state;
	w->config.limits.manifest_bytes = 2 * len + 10;
	start(2);
	assert_int_equal(store_network(0, 1, 200), RESULT_OK);
	assert_int_equal(store_network(0, 3, 200), RESULT_OK);
	assert_int_equal(store_network(0, 5, 200), RESULT_OK);
	assert_int_equal(net_stats(w).manifests, 2);
	assert_false(has_network(1));
	/* A newer one is larger than what there is room for. */
	assert_int_equal(net_store(w, 0, STORED_MANIFEST, kit.bytes,
				   kit_manifest(&kit, w->wall_ms, NULL, 500)),
			 RESULT_LIMIT);
	assert_int_equal(store_network(0, 3, 10), RESULT_OK);
}

static void test_number_of_names(void **state)
{
	struct kit other;

	(void)state;
	w->config.limits.names = 3;
	w->config.limits.key_names = 2;
	start(3);
	assert_int_equal(store_manifest(0, w->wall_ms, NULL), RESULT_OK);
	kit_init(&other, 9, w->wall_ms);
	assert_int_equal(net_store(w, 0, STORED_MANIFEST, other.bytes,
				   kit_manifest(&other, w->wall_ms, NULL, 0)),
			 RESULT_OK);
	assert_int_equal(store_chain(0, "nas", false), RESULT_OK);
	assert_int_equal(net_store(w, 0, STORED_CHAIN, chain,
				   kit_chain(&other, w->c[0].id.key, "nas", false, chain)),
			 RESULT_OK);
	assert_int_equal(store_chain(0, "other", false), RESULT_LIMIT); /* of this key */
	assert_int_equal(store_chain(1, "n1", false), RESULT_OK);
	assert_int_equal(store_chain(2, "n2", false), RESULT_LIMIT); /* of all */
	net_leave(w, 0);
	assert_int_equal(store_chain(2, "n2", false), RESULT_OK);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_manifest),
		TEST(test_newest_manifest_counts),
		TEST(test_large_manifest),
		TEST(test_bad_manifests),
		TEST(test_one_does_not_replace_another_network),
		TEST(test_parts_in_order),
		TEST(test_parts_out_of_order),
		TEST(test_parts_that_overlap),
		TEST(test_one_item_at_a_time),
		TEST(test_unknown_kinds),
		TEST(test_half_sent_items_are_bounded),
		TEST(test_store_before_attend),
		TEST(test_item_is_for_the_beacon_to_say),
		TEST(test_name),
		TEST(test_bad_chains),
		TEST(test_a_key_has_one_chain_of_a_network),
		TEST(test_four_may_claim_a_name),
		TEST(test_chains_that_hold_no_more_give_way),
		TEST(test_chains_last_30_minutes),
		TEST(test_chains_end_with_the_connection),
		TEST(test_chains_outlive_a_connection),
		TEST(test_ephemeral_chains_do_not),
		TEST(test_revocation),
		TEST(test_who_has_asked_hears_of_a_newer_manifest),
		TEST(test_only_what_is_new_is_news),
		TEST(test_news_wait_for_a_question),
		TEST(test_no_room_for_news),
		TEST(test_news_are_spread),
		TEST(test_who_leaves_is_told_nothing),
		TEST(test_budgets),
		TEST(test_number_of_manifests),
		TEST(test_all_networks_have_members),
		TEST(test_bytes_of_manifests),
		TEST(test_number_of_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
