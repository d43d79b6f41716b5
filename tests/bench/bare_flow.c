/* SPDX-License-Identifier: Apache-2.0 */
#include "bare_quic.h"

#include <stdlib.h>
#include <string.h>

enum { RING = 1 << 20, PIECE = 1 << 16 };

struct flow_ring {
	uint64_t made, acked; /* bytes, ever */
	uint8_t data[RING];
};

static const uint8_t ZEROS[PIECE];

static struct flow *flow_new(struct bare_connection *c, int64_t id)
{
	struct flow *f = calloc(1, sizeof(*f));

	if (f && c->e->bytes)
		f->ring = calloc(1, sizeof(*f->ring));
	if (!f || (c->e->bytes && !f->ring))
		bare_die("flow");
	f->c = c;
	f->id = id;
	list_append(&c->flows, &f->link);
	ngtcp2_conn_set_stream_user_data(c->quic, id, f);
	return f;
}

void flow_free(struct flow *f)
{
	list_remove(&f->link);
	list_remove(&f->ready);
	free(f->data);
	free(f->ring);
	free(f);
}

struct flow *flow_open(struct bare_connection *c, uint8_t kind)
{
	struct flow *f;
	int64_t id;

	bare_check(ngtcp2_conn_open_bidi_stream(c->quic, &id, NULL), "open_bidi_stream");
	f = flow_new(c, id);
	f->kind = kind;
	return f;
}

void flow_send(struct flow *f, uint64_t len)
{
	f->end += len;
	if (!list_in(&f->ready))
		list_append(&f->c->ready, &f->ready);
	bare_touch(f->c);
}

void flow_stop(struct flow *f)
{
	f->end = f->sent;
	list_remove(&f->ready);
}

/* --- the application's bytes --- */

static void make_bytes(struct flow_ring *r)
{
	while (r->made + PIECE - r->acked <= RING) {
		memset(r->data + r->made % RING, 0, PIECE);
		r->made += PIECE;
	}
}

static ngtcp2_vec of_ring(struct flow_ring *r, uint64_t from, uint64_t most)
{
	uint64_t at = from % RING, len;

	make_bytes(r);
	len = r->made - from < RING - at ? r->made - from : RING - at;
	return (ngtcp2_vec){ r->data + at, (size_t)(len < most ? len : most) };
}

static void take_bytes(struct flow_ring *r, const uint8_t *data, size_t len)
{
	while (len > 0) {
		size_t at = r->made % PIECE, n = len < PIECE - at ? len : PIECE - at;

		memcpy(r->data + at, data, n);
		r->made += n;
		data += n;
		len -= n;
	}
}

/* --- callbacks --- */

size_t flow_output(struct flow *f, ngtcp2_vec vec[2])
{
	size_t n = 0, head = 0;
	uint64_t left = f->end - f->sent;

	if (f->data) {
		vec[0] = (ngtcp2_vec){ f->data + f->sent, (size_t)left };
		return 1;
	}
	if (f->sent == 0 && f->kind) {
		vec[n++] = (ngtcp2_vec){ &f->kind, 1 };
		head = 1;
	}
	left -= head;
	if (f->ring && f->kind) {
		vec[n] = of_ring(f->ring, f->sent + head, left);
		return vec[n].len ? n + 1 : n;
	}
	/* ngtcp2 does not write to this memory. */
	vec[n++] = (ngtcp2_vec){ (uint8_t *)(uintptr_t)ZEROS,
				 left < sizeof(ZEROS) ? (size_t)left : sizeof(ZEROS) };
	return n;
}

int flow_data_callback(ngtcp2_conn *quic, uint32_t flags, int64_t id, uint64_t offset,
		       const uint8_t *data, size_t len, void *user, void *stream_user)
{
	struct bare_connection *c = user;
	struct flow *f = stream_user ? stream_user : flow_new(c, id);

	(void)flags;
	ngtcp2_conn_extend_max_offset(quic, len);
	ngtcp2_conn_extend_max_stream_offset(quic, id, len);
	f->received += len;
	if (f->ring && c->e->server)
		take_bytes(f->ring, data, len);
	if (len > 0)
		c->e->on_data(f, data, len, offset == 0);
	return 0;
}

int flow_acked_callback(ngtcp2_conn *quic, int64_t id, uint64_t offset, uint64_t len, void *user,
			void *stream_user)
{
	struct flow *f = stream_user;

	(void)quic;
	(void)id;
	(void)user;
	if (f && f->ring)
		f->ring->acked = offset + len;
	return 0;
}
