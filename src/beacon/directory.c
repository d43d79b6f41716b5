/* SPDX-License-Identifier: Apache-2.0 */
/* Records: docs/protocol.md, section 11.
 *
 * PUBLISH: COMPARE (what is stored?), then REFRESH (the same) or, after a look at the signature,
 * STORE. */
#include <stdlib.h>
#include <string.h>

#include "beacon/internal.h"

enum { TTL_S = 30 * 60, AHEAD_MS = 10 * 60 * 1000, WAITING_MAX = 1 << 16 };

/* 10,000 a second: whoever is told asks for the manifest. */
enum { NEWS_AT_ONCE = 250 };

#define NEWS_GAP (25 * GW_MSEC)

uint64_t beacon_wall_ms(const struct beacon *b, gw_time now)
{
	return b->wall_ms + (now - b->wall_at) / GW_MSEC;
}

void beacon_set_wall_clock(struct beacon *b, uint64_t wall_ms, gw_time now)
{
	b->wall_ms = wall_ms;
	b->wall_at = now;
}

/* --- answers --- */

static void send_record(struct session *s, uint64_t number, bool here, const uint8_t *record,
			size_t len)
{
	struct beacon_frame f = { .type = BEACON_RECORD };

	if (!s)
		return;
	f.record.request = number;
	f.record.flags = here ? RECORD_HERE : 0;
	f.record.record = record;
	f.record.record_len = len;
	session_send(s, &f);
}

/* --- requests --- */

static struct request *ask(struct beacon *b, struct session *s, enum request_kind kind,
			   const uint8_t *key, const uint8_t *record, size_t len)
{
	struct request *r;

	if (b->requests.count >= WAITING_MAX)
		return NULL;
	r = calloc(1, sizeof(*r) + len);
	if (!r)
		return NULL;
	r->kind = kind;
	r->tag = ++b->next_tag;
	memcpy(r->key, key, KEY_SIZE);
	r->len = len;
	if (len > 0)
		memcpy(r->record, record, len);
	if (map_put(&b->requests, r->tag, r) < 0) {
		free(r);
		return NULL;
	}
	list_append(&b->ops, &r->link);
	r->session = s;
	if (s) {
		list_append(&s->requests, &r->by_session);
		s->n_requests++;
	}
	return r;
}

static void leave_session(struct request *r)
{
	if (!r->session)
		return;
	list_remove(&r->by_session);
	r->session->n_requests--;
	r->session = NULL;
}

static void request_free(struct beacon *b, struct request *r)
{
	leave_session(r);
	list_remove(&r->link);
	map_remove(&b->requests, r->tag);
	free(r);
}

bool beacon_next_op(struct beacon *b, struct directory_op *op)
{
	static const enum directory_kind KINDS[] = {
		[REQUEST_LOOKUP] = DIRECTORY_GET,   [REQUEST_COMPARE] = DIRECTORY_GET,
		[REQUEST_ANNOUNCE] = DIRECTORY_GET, [REQUEST_STORE] = DIRECTORY_PUT_IF_NEWER,
		[REQUEST_TOUCH] = DIRECTORY_TOUCH,  [REQUEST_REFRESH] = DIRECTORY_TOUCH,
	};
	struct list_item *first = list_first(&b->ops);
	const struct request *r;

	if (!first)
		return false;
	list_remove(first);
	r = container_of(first, struct request, link);
	*op = (struct directory_op){ .kind = KINDS[r->kind],
				     .tag = r->tag,
				     .sequence = r->sequence,
				     .record = r->record,
				     .record_len = r->len,
				     .ttl_s = TTL_S };
	memcpy(op->key, r->key, KEY_SIZE);
	return true;
}

/* --- watches --- */

static struct watched *find_watched(const struct beacon *b, const uint8_t *key)
{
	struct keymap_item *i = keymap_get(&b->watched, key);

	return i ? container_of(i, struct watched, by_key) : NULL;
}

/* A key may have any number of watchers, a session has not so many watches. */
static struct watch *find_watch(const struct watched *w, const struct session *s)
{
	if (w)
		list_each(&s->watches, i, next)
			if (container_of(i, struct watch, by_session)->watched == w)
				return container_of(i, struct watch, by_session);
	return NULL;
}

static void watch_free(struct beacon *b, struct watch *w)
{
	struct watched *watched = w->watched;

	list_remove(&w->by_watched);
	list_remove(&w->by_session);
	list_remove(&w->news);
	w->session->n_watches--;
	b->n_watches--;
	free(w);
	if (list_first(&watched->watches))
		return;
	keymap_remove(&b->watched, &watched->by_key);
	free(watched);
}

static struct watched *add_watched(struct beacon *b, const uint8_t *key)
{
	struct watched *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	memcpy(w->by_key.key, key, KEY_SIZE);
	list_init(&w->watches);
	if (keymap_put(&b->watched, &w->by_key) < 0) {
		free(w);
		return NULL;
	}
	return w;
}

static bool add_watch(struct session *s, const uint8_t *key)
{
	struct beacon *b = s->beacon;
	struct watched *watched = find_watched(b, key);
	struct watch *w;

	if (s->n_watches >= b->limits.session_watches || b->n_watches >= b->limits.watches)
		return find_watch(watched, s) != NULL;
	if (find_watch(watched, s))
		return true;
	w = calloc(1, sizeof(*w));
	if (w && !watched)
		watched = add_watched(b, key);
	if (!w || !watched) {
		free(w);
		return false;
	}
	w->watched = watched;
	w->session = s;
	list_append(&watched->watches, &w->by_watched);
	list_append(&s->watches, &w->by_session);
	s->n_watches++;
	b->n_watches++;
	return true;
}

void directory_unwatch(struct session *s, const uint8_t *key)
{
	struct watch *w = find_watch(find_watched(s->beacon, key), s);

	if (w)
		watch_free(s->beacon, w);
}

/* A push without a record would not say whose it is. */
static void tell_watchers(struct beacon *b, const uint8_t *key, const uint8_t *record, size_t len)
{
	struct watched *w = find_watched(b, key);
	bool here = session_registered(b, key) != NULL;

	if (w)
		list_each(&w->watches, i, next)
			send_record(container_of(i, struct watch, by_watched)->session, 0, here,
				    record, len);
}

/* --- news of manifests: section 17 --- */

/* At the most one notice is on the way to a session for each question of its own: who asks too often
 * is stopped by its budget. */
void directory_follow(struct session *s, const uint8_t *network)
{
	struct watch *w;

	if (!add_watch(s, network))
		return; /* it still asks now and then */
	w = find_watch(find_watched(s->beacon, network), s);
	list_remove(&w->news);
	w->told = false;
}

void directory_news(const struct session *s, const uint8_t *network)
{
	struct beacon *b = s->beacon;
	struct watched *watched = find_watched(b, network);

	if (watched)
		list_each(&watched->watches, i, next) {
			struct watch *w = container_of(i, struct watch, by_watched);

			if (w->session != s && !w->told && !list_in(&w->news))
				list_append(&b->news, &w->news);
		}
}

static void send_news(struct watch *w)
{
	struct beacon_frame f = { .type = BEACON_ITEM };

	list_remove(&w->news);
	w->told = true;
	f.item.kind = ITEM_NEWS;
	f.item.bytes = w->watched->by_key.key;
	f.item.total = f.item.len = KEY_SIZE;
	session_send(w->session, &f);
}

gw_time directory_expiry(const struct beacon *b)
{
	return list_first(&b->news) ? b->news_at : GW_NEVER;
}

void directory_expire(struct beacon *b, gw_time now)
{
	struct list_item *first;

	if (now < directory_expiry(b))
		return;
	b->news_at = now + NEWS_GAP;
	for (int i = 0; i < NEWS_AT_ONCE && (first = list_first(&b->news)); i++)
		send_news(container_of(first, struct watch, news));
}

/* --- frames --- */

void directory_lookup(struct session *s, const struct beacon_frame *f, gw_time now)
{
	struct beacon *b = s->beacon;
	struct request *r;

	b->stats.lookups++;
	if (!budget_take(b, s->key, s->source, METER_LOOKUPS, 1, now) ||
	    ((f->lookup.flags & LOOKUP_WATCH) && !add_watch(s, f->lookup.key))) {
		session_result(s, f->lookup.request, RESULT_LIMIT, 0);
		return;
	}
	r = s->n_requests < b->limits.session_requests
		    ? ask(b, s, REQUEST_LOOKUP, f->lookup.key, NULL, 0)
		    : NULL;
	if (r)
		r->number = f->lookup.request;
	else
		session_result(s, f->lookup.request, RESULT_LATER, 0);
}

/* All but the signature. */
static bool is_good(const struct session *s, const struct wire_record *r, gw_time now)
{
	uint64_t wall = beacon_wall_ms(s->beacon, now);

	return memcmp(r->key, s->link->key, KEY_SIZE) == 0 && r->sequence <= wall + AHEAD_MS &&
	       r->sequence + r->lifetime_s * UINT64_C(1000) > wall;
}

void directory_publish(struct session *s, const struct beacon_frame *f, gw_time now)
{
	struct beacon *b = s->beacon;
	uint64_t number = f->publish.request;
	struct wire_record record;
	struct request *r;

	b->stats.publishes++;
	if (!budget_take(b, s->key, s->source, METER_PUBLISHES, 1, now)) {
		session_result(s, number, RESULT_LIMIT, 0);
		return;
	}
	if (f->publish.record_len > DIRECTORY_RECORD_MAX ||
	    wire_record_decode(&record, f->publish.record, f->publish.record_len) <= 0 ||
	    !is_good(s, &record, now)) {
		session_result(s, number, RESULT_BAD, 0);
		return;
	}
	r = s->n_requests < b->limits.session_requests
		    ? ask(b, s, REQUEST_COMPARE, record.key, f->publish.record,
			  f->publish.record_len)
		    : NULL;
	if (!r) {
		session_result(s, number, RESULT_LATER, 0);
		return;
	}
	r->number = number;
	r->sequence = record.sequence;
}

void directory_touch(struct session *s)
{
	(void)ask(s->beacon, NULL, REQUEST_TOUCH, s->link->key, NULL, 0);
}

void directory_registered(struct session *s)
{
	directory_touch(s);
	if (find_watched(s->beacon, s->link->key))
		(void)ask(s->beacon, NULL, REQUEST_ANNOUNCE, s->link->key, NULL, 0);
}

/* --- answers of the store --- */

static void looked_up(struct beacon *b, const struct request *r, const struct directory_answer *a)
{
	bool here = session_registered(b, r->key) != NULL;

	if (a->status == DIRECTORY_OK)
		send_record(r->session, r->number, here, a->record, a->record_len);
	else if (here)
		send_record(r->session, r->number, true, NULL, 0);
	else
		session_result(r->session, r->number,
			       a->status == DIRECTORY_NOT_FOUND ? RESULT_NOT_FOUND : RESULT_LATER,
			       0);
}

static bool is_signed(const struct request *r)
{
	size_t len = r->len - SIGNATURE_SIZE;

	return signature_valid(r->key, RECORD_CONTEXT, r->record, len, r->record + len);
}

/* True: there is another question now. */
static bool compared(struct request *r, const struct directory_answer *a)
{
	bool found = a->status == DIRECTORY_OK;

	if (found && a->record_len == r->len && memcmp(a->record, r->record, r->len) == 0) {
		r->kind = REQUEST_REFRESH;
		return true;
	}
	if (found && a->sequence >= r->sequence) {
		session_result(r->session, r->number, RESULT_OLDER, a->sequence);
	} else if (a->status == DIRECTORY_FAILED) {
		session_result(r->session, r->number, RESULT_LATER, 0);
	} else if (!is_signed(r)) {
		session_result(r->session, r->number, RESULT_BAD, 0);
	} else {
		r->kind = REQUEST_STORE;
		return true;
	}
	return false;
}

static void stored(struct beacon *b, const struct request *r, const struct directory_answer *a)
{
	switch (a->status) {
	case DIRECTORY_OK:
		session_result(r->session, r->number, RESULT_OK, r->sequence);
		tell_watchers(b, r->key, r->record, r->len);
		break;
	case DIRECTORY_OLDER:
		session_result(r->session, r->number, RESULT_OLDER, a->sequence);
		break;
	case DIRECTORY_NOT_FOUND:
	case DIRECTORY_FAILED:
		session_result(r->session, r->number, RESULT_LATER, 0);
		break;
	}
}

/* Gone between the two questions: store it anew; its signature was not looked at yet. */
static bool refreshed(struct request *r, const struct directory_answer *a)
{
	if (a->status == DIRECTORY_OK) {
		session_result(r->session, r->number, RESULT_OK, r->sequence);
		return false;
	}
	if (a->status == DIRECTORY_NOT_FOUND && is_signed(r)) {
		r->kind = REQUEST_STORE;
		return true;
	}
	session_result(r->session, r->number, RESULT_LATER, 0);
	return false;
}

void beacon_op_done(struct beacon *b, const struct directory_answer *a, gw_time now)
{
	struct request *r = map_get(&b->requests, a->tag);
	bool again = false;

	(void)now;
	if (!r || list_in(&r->link))
		return;
	switch (r->kind) {
	case REQUEST_LOOKUP:
		looked_up(b, r, a);
		break;
	case REQUEST_COMPARE:
		again = compared(r, a);
		break;
	case REQUEST_STORE:
		stored(b, r, a);
		break;
	case REQUEST_REFRESH:
		again = refreshed(r, a);
		break;
	case REQUEST_ANNOUNCE:
		if (a->status == DIRECTORY_OK)
			tell_watchers(b, r->key, a->record, a->record_len);
		break;
	case REQUEST_TOUCH:
		break;
	}
	if (again)
		list_append(&b->ops, &r->link);
	else
		request_free(b, r);
}

/* --- the end --- */

void directory_forget(struct session *s)
{
	struct list_item *first;

	while ((first = list_first(&s->watches)))
		watch_free(s->beacon, container_of(first, struct watch, by_session));
	while ((first = list_first(&s->requests)))
		leave_session(container_of(first, struct request, by_session));
}

void directory_clear(struct beacon *b)
{
	struct request *r;
	size_t position = 0;

	while ((r = map_next(&b->requests, &position)))
		request_free(b, r);
	map_clear(&b->requests);
	keymap_clear(&b->watched);
}
