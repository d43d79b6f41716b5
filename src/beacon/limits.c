/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "beacon/internal.h"

#define MIB (UINT64_C(1) << 20)

/* Generous: they keep one party from starving the others.  In docs/protocol.md, section 12. */
static const struct beacon_limits DEFAULTS = {
	.per_key = {
		[METER_BYTES] = { 512 * MIB, 128 * MIB },
		[METER_PACKETS] = { 800000, 200000 },
		[METER_CHANNELS] = { 10, 200 },
		[METER_LOOKUPS] = { 50, 1000 },
		[METER_PUBLISHES] = { 1, 20 },
		[METER_TESTS] = { 0, 8 },
		[METER_FRAMES] = { 1000, 20000 },
	},
	.per_source = {
		[METER_BYTES] = { 1024 * MIB, 256 * MIB },
		[METER_PACKETS] = { 1600000, 400000 },
		[METER_CHANNELS] = { 100, 2000 },
		[METER_LOOKUPS] = { 500, 10000 },
		[METER_PUBLISHES] = { 20, 2000 },
		[METER_HANDSHAKES] = { 50, 1000 },
		[METER_FRAMES] = { 20000, 200000 },
	},
	.sessions = 1 << 20,
	.half_open = 4096,
	.unproven = 512,
	.channels = 1 << 18,
	.watches = 1 << 20,
	.accounts = 1 << 21,
	.source_sessions = 4096,
	.source_half_open = 512,
	.source_unproven = 64,
	.session_channels = 4096,
	.session_opened = 512,
	.session_watches = 1024,
	.session_requests = 64,
	.frame_bytes = 256 * MIB,
	.manifests = 1024,
	.manifest_bytes = 16 * MIB,
	.names = 1 << 16,
	.key_names = 64,
	.item_bytes = 16 * MIB,
};

/* A rate of 0 is `burst` a minute. */
#define SLOW_PERIOD (60 * GW_SEC)

void limits_default(struct beacon_limits *l)
{
	*l = DEFAULTS;
}

/* --- accounts --- */

static bool is_idle(const struct account *a, gw_time now)
{
	for (int i = 0; i < METERS; i++)
		if (a->full_at[i] > now)
			return false;
	return true;
}

static struct keymap *table_of(struct beacon *b, const struct account *a)
{
	return a->source ? &b->sources : &b->keys;
}

static void account_free(struct beacon *b, struct account *a)
{
	keymap_remove(table_of(b, a), &a->by_id);
	list_remove(&a->idle_link);
	free(a);
}

/* Those released first are full again first, nearly.  When the table is full the oldest goes. */
static bool make_room(struct beacon *b, gw_time now)
{
	for (int i = 0; i < 2; i++) {
		struct list_item *first = list_first(&b->idle_accounts);
		struct account *a = first ? container_of(first, struct account, idle_link) : NULL;
		bool full = b->keys.count + b->sources.count >= b->limits.accounts;

		if (a && (full || is_idle(a, now)))
			account_free(b, a);
	}
	return b->keys.count + b->sources.count < b->limits.accounts;
}

static struct account *account_of(struct beacon *b, const uint8_t *id, bool source, gw_time now)
{
	struct keymap *table = source ? &b->sources : &b->keys;
	struct keymap_item *found = keymap_get(table, id);
	struct account *a = found ? container_of(found, struct account, by_id) : NULL;

	if (!a) {
		if (!make_room(b, now))
			return NULL;
		a = calloc(1, sizeof(*a));
		if (!a)
			return NULL;
		a->source = source;
		memcpy(a->by_id.key, id, KEYMAP_KEY_SIZE);
		if (keymap_put(table, &a->by_id) < 0) {
			free(a);
			return NULL;
		}
	}
	list_remove(&a->idle_link);
	a->refs++;
	return a;
}

struct account *account_of_key(struct beacon *b, const uint8_t *key, gw_time now)
{
	return account_of(b, key, false, now);
}

static void source_id(const struct addr *a, uint8_t id[KEYMAP_KEY_SIZE])
{
	memset(id, 0, KEYMAP_KEY_SIZE);
	id[0] = a->family;
	memcpy(id + 1, a->ip, a->family == ADDR_V4 ? 4 : 8);
}

struct account *account_of_source(struct beacon *b, const struct addr *a, gw_time now)
{
	uint8_t id[KEYMAP_KEY_SIZE];

	source_id(a, id);
	return account_of(b, id, true, now);
}

bool account_is_live(const struct beacon *b, const struct addr *a)
{
	uint8_t id[KEYMAP_KEY_SIZE];
	const struct keymap_item *i;
	const struct account *found;

	source_id(a, id);
	i = keymap_get(&b->sources, id);
	found = i ? container_of(i, const struct account, by_id) : NULL;
	return found && found->sessions > found->half_open;
}

void account_release(struct beacon *b, struct account *a, gw_time now)
{
	if (!a || --a->refs > 0)
		return;
	if (is_idle(a, now))
		account_free(b, a);
	else
		list_append(&b->idle_accounts, &a->idle_link);
}

/* --- buckets ---
 * A bucket is the time at which it will be full again; taking moves that on (GCRA). */

static gw_time cost(const struct beacon_rate *r, uint64_t amount)
{
	if (r->rate == 0)
		return r->burst ? SLOW_PERIOD / r->burst * amount : SLOW_PERIOD * 2;
	return amount * GW_SEC / r->rate;
}

/* When it would be full after taking `amount`; GW_NEVER: there is not enough in it. */
static gw_time after(const struct account *a, const struct beacon_limits *l,
		     enum beacon_meter meter, uint64_t amount, gw_time now)
{
	const struct beacon_rate *r = a->source ? &l->per_source[meter] : &l->per_key[meter];
	gw_time at = time_max(a->full_at[meter], now) + cost(r, amount);

	return at - now > cost(r, r->burst) ? GW_NEVER : at;
}

bool budget_left(const struct beacon *b, const struct account *a, enum beacon_meter meter,
		 gw_time now)
{
	return after(a, &b->limits, meter, 1, now) != GW_NEVER;
}

struct taking {
	struct account *account;
	enum beacon_meter meter;
	uint64_t amount;
};

static bool take_all(const struct beacon *b, const struct taking *t, size_t count, gw_time now)
{
	gw_time at[4];

	for (size_t i = 0; i < count; i++) {
		if (!t[i].account)
			continue;
		at[i] = after(t[i].account, &b->limits, t[i].meter, t[i].amount, now);
		if (at[i] == GW_NEVER)
			return false;
	}
	for (size_t i = 0; i < count; i++)
		if (t[i].account)
			t[i].account->full_at[t[i].meter] = at[i];
	return true;
}

bool budget_take(struct beacon *b, struct account *key, struct account *source,
		 enum beacon_meter meter, uint64_t amount, gw_time now)
{
	const struct taking t[] = { { key, meter, amount }, { source, meter, amount } };

	return take_all(b, t, 2, now);
}

bool budget_take_packets(struct beacon *b, struct account *key, struct account *source,
			 uint64_t bytes, uint64_t packets, gw_time now)
{
	const struct taking t[] = {
		{ key, METER_BYTES, bytes },
		{ source, METER_BYTES, bytes },
		{ key, METER_PACKETS, packets },
		{ source, METER_PACKETS, packets },
	};

	return take_all(b, t, 4, now);
}
