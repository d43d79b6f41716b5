/* SPDX-License-Identifier: Apache-2.0 */
/* Manifests and chains on the wire, part by part: docs/protocol.md, section 17. */
#include <stdlib.h>
#include <string.h>

#include "beacon/internal.h"

/* --- STORE --- */

static void drop_arriving(struct arriving *a)
{
	struct beacon *b = a->session->beacon;

	list_remove(&a->link);
	b->arriving_bytes -= a->total;
	a->session->arriving = NULL;
	free(a);
}

/* What follows of that item is not answered again. */
static void refuse(struct session *s, uint64_t request, enum result_status status)
{
	s->refused = request;
	session_result(s, request, status, 0);
}

/* When too much is on its way, what began first goes: its sender is slow. */
static struct arriving *arriving_new(struct session *s, const struct beacon_frame *f)
{
	struct beacon *b = s->beacon;
	struct arriving *a;

	while (b->arriving_bytes + f->item.total > b->limits.item_bytes &&
	       list_first(&b->arriving)) {
		a = container_of(list_first(&b->arriving), struct arriving, link);
		refuse(a->session, a->request, RESULT_LATER);
		drop_arriving(a);
	}
	a = b->arriving_bytes + f->item.total <= b->limits.item_bytes
		    ? malloc(sizeof(*a) + f->item.total)
		    : NULL;
	if (!a)
		return NULL;
	*a = (struct arriving){ .session = s,
				.request = f->item.request,
				.kind = f->item.kind,
				.total = f->item.total };
	list_append(&b->arriving, &a->link);
	b->arriving_bytes += a->total;
	s->arriving = a;
	return a;
}

static void append(struct arriving *a, const struct beacon_frame *f, gw_time now)
{
	memcpy(a->bytes + a->len, f->item.bytes, f->item.len);
	a->len += f->item.len;
	if (a->len < a->total)
		return;
	roster_take(a->session, a->request, (enum stored_kind)a->kind, a->bytes, a->total, now);
	drop_arriving(a);
}

static bool may_be(uint64_t kind, size_t total)
{
	return kind == STORED_MANIFEST || (kind == STORED_CHAIN && total <= WIRE_CHAIN_MAX);
}

static void begin(struct session *s, const struct beacon_frame *f, gw_time now)
{
	uint64_t request = f->item.request;
	struct arriving *a;

	s->beacon->stats.publishes++;
	if (!budget_take(s->beacon, s->key, s->source, METER_PUBLISHES, 1, now)) {
		refuse(s, request, RESULT_LIMIT);
		return;
	}
	if (!may_be(f->item.kind, f->item.total)) {
		refuse(s, request, RESULT_BAD);
		return;
	}
	if (f->item.len == f->item.total) {
		roster_take(s, request, (enum stored_kind)f->item.kind, f->item.bytes, f->item.len,
			    now);
		return;
	}
	a = arriving_new(s, f);
	if (a)
		append(a, f, now);
	else
		refuse(s, request, RESULT_LATER);
}

void items_store(struct session *s, const struct beacon_frame *f, gw_time now)
{
	struct arriving *a = s->arriving;

	if (a && f->item.request == a->request && f->item.kind == a->kind &&
	    f->item.total == a->total && f->item.offset == a->len) {
		append(a, f, now);
		return;
	}
	if (a) { /* one at a time, and in order */
		refuse(s, a->request, RESULT_BAD);
		drop_arriving(a);
	}
	if (f->item.offset == 0)
		begin(s, f, now);
	else if (f->item.request != s->refused)
		refuse(s, f->item.request, RESULT_BAD);
}

void items_forget(struct session *s)
{
	if (s->arriving)
		drop_arriving(s->arriving);
}

/* --- ITEM --- */

void items_send(struct session *s, const struct beacon_frame *fetch, const uint8_t *data,
		size_t len)
{
	struct beacon_frame f = { .type = BEACON_ITEM };

	f.item.request = fetch->fetch.request;
	f.item.kind = fetch->fetch.kind;
	f.item.total = len;
	for (size_t at = 0; at < len; at += f.item.len) {
		f.item.offset = at;
		f.item.bytes = data + at;
		f.item.len = len - at < WIRE_ITEM_PART ? len - at : WIRE_ITEM_PART;
		session_send(s, &f);
	}
}
