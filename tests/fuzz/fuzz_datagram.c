/* tests/fuzz/fuzz_datagram.c - a whole node gets random and mutated datagrams.
 *
 * The input is a script for the wire between two nodes: deliver, change, cut, repeat or lose
 * the next genuine datagram, deliver invented ones from the peer's address or a stranger's,
 * let time pass.  Asserted: no crash, every invariant of the node, at most three times as many
 * bytes to a stranger as came from there, and not one for what is no QUIC v1 Initial. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "core/node.h"

static const struct subject ANYONE = { .kind = SUBJECT_ANY };

enum {
	QUEUE = 64,
	DATAGRAM_MAX = 2048,
	STRANGERS = 4,
	OPS_MAX = 400,
	AMPLIFICATION = 3,
	INITIAL_MIN = 1200,
};

enum op { OP_PASS, OP_LOSE, OP_REPEAT, OP_CHANGE, OP_CUT, OP_ELSEWHERE, OP_INVENT, OP_TIME, OPS };

struct wire {
	uint8_t data[QUEUE][DATAGRAM_MAX];
	size_t len[QUEUE];
	size_t head, count;
};

struct stranger {
	struct addr addr;
	uint64_t in, out;
	bool may_ask; /* has sent an Initial, or what only the peer can have made */
};

struct party {
	struct node *node;
	struct rng rng;
	struct addr addr;
	struct wire wire; /* on its way to this one */
};

struct fuzz {
	gw_time now;
	struct party n[2]; /* 0 dials 1 */
	struct stranger strangers[STRANGERS];
	struct stream *stream;
	const uint8_t *in;
	size_t left;
	uint8_t batch[65536];
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool ok)
{
	if (!ok)
		abort();
}

static unsigned take(struct fuzz *f)
{
	if (!f->left)
		return 0;
	f->left--;
	return *f->in++;
}

static unsigned take16(struct fuzz *f)
{
	unsigned high = take(f);

	return high << 8 | take(f);
}

/* --- out --- */

static void wire_put(struct wire *w, const uint8_t *data, size_t len)
{
	size_t at = (w->head + w->count) % QUEUE;

	if (w->count == QUEUE || len > DATAGRAM_MAX)
		return;
	memcpy(w->data[at], data, len);
	w->len[at] = len;
	w->count++;
}

static void sent(struct fuzz *f, const struct addr *to, const uint8_t *data, size_t len)
{
	for (int i = 0; i < 2; i++)
		if (addr_equal(&f->n[i].addr, to)) {
			wire_put(&f->n[i].wire, data, len);
			return;
		}
	for (int i = 0; i < STRANGERS; i++) {
		struct stranger *s = &f->strangers[i];

		if (!addr_equal(&s->addr, to))
			continue;
		s->out += len;
		demand(s->may_ask);
		demand(s->out <= AMPLIFICATION * s->in);
	}
}

static void event(struct fuzz *f, struct party *p, const struct event *ev)
{
	size_t len;

	if (ev->type != EVENT_STREAM)
		return;
	if (ev->flags & STREAM_FAILED) {
		if (ev->stream == f->stream)
			f->stream = NULL;
		stream_release(ev->stream, f->now);
		return;
	}
	if (!(ev->flags & (STREAM_INCOMING | STREAM_READABLE)))
		return;
	while (stream_read(ev->stream, &len), len) {
		if (p == &f->n[1])
			stream_write(ev->stream, "echo", 4, f->now);
		stream_consume(ev->stream, len, f->now);
	}
}

static void pump(struct fuzz *f)
{
	struct batch b = { .data = f->batch, .capacity = sizeof(f->batch) };
	struct event ev;

	for (int i = 0; i < 2; i++) {
		struct party *p = &f->n[i];

		for (int round = 0; round < 2; round++) {
			while (node_transmit(p->node, &b, f->now))
				for (size_t at = 0; at < b.len; at += b.segment)
					sent(f, &b.path.remote, b.data + at,
					     b.len - at < b.segment ? b.len - at : b.segment);
			while (node_next_event(p->node, &ev))
				event(f, p, &ev);
		}
		node_check(p->node);
	}
}

/* --- in --- */

static bool may_be_initial(const uint8_t *data, size_t len)
{
	static const uint8_t v1[] = { 0, 0, 0, 1 };

	return len >= INITIAL_MIN && (data[0] & 0xf0) == 0xc0 && !memcmp(data + 1, v1, 4);
}

static void give(struct fuzz *f, int to, const struct addr *from, const uint8_t *data, size_t len)
{
	struct path path = { .local = f->n[to].addr, .ifindex = 1, .remote = *from };
	uint8_t *exact = malloc(len ? len : 1); /* so that the sanitizer sees each byte too far */

	demand(exact);
	memcpy(exact, data, len);
	for (int i = 0; i < STRANGERS; i++)
		if (addr_equal(&f->strangers[i].addr, from)) {
			f->strangers[i].in += len;
			f->strangers[i].may_ask |= may_be_initial(data, len);
		}
	node_receive(f->n[to].node, &path, exact, len, f->now);
	free(exact);
	pump(f);
}

static void genuine(struct fuzz *f, enum op op, int to)
{
	struct wire *w = &f->n[to].wire;
	struct addr from = f->n[1 - to].addr;
	uint8_t data[DATAGRAM_MAX];
	size_t len;

	if (!w->count)
		return;
	len = w->len[w->head];
	memcpy(data, w->data[w->head], len);
	if (op != OP_REPEAT) {
		w->head = (w->head + 1) % QUEUE;
		w->count--;
	}
	if (op == OP_LOSE)
		return;
	if (op == OP_CHANGE)
		for (unsigned n = take(f) % 8 + 1; n; n--) {
			unsigned at = take16(f);

			data[at % len] ^= (uint8_t)take(f);
		}
	if (op == OP_CUT)
		len = take16(f) % (len + 1);
	if (op == OP_ELSEWHERE) {
		struct stranger *s = &f->strangers[take(f) % STRANGERS];

		s->may_ask = true;
		from = s->addr;
	}
	give(f, to, &from, data, len);
}

static void invent(struct fuzz *f, int to)
{
	unsigned who = take(f);
	struct addr from = who % (STRANGERS + 1) == STRANGERS
				   ? f->n[1 - to].addr
				   : f->strangers[who % (STRANGERS + 1)].addr;
	uint8_t data[DATAGRAM_MAX] = { 0 };
	size_t len = take16(f) % (DATAGRAM_MAX + 1);
	size_t given = take(f) * 4;

	for (size_t i = 0; i < len && i < given && f->left; i++)
		data[i] = (uint8_t)take(f);
	give(f, to, &from, data, len);
}

static void pass_time(struct fuzz *f)
{
	gw_time until = f->now + take(f) * take(f) * GW_MSEC;

	for (int n = 0; n < 100; n++) {
		gw_time a = node_expiry(f->n[0].node), b = node_expiry(f->n[1].node);

		if (time_min(a, b) > until)
			break;
		f->now = time_max(f->now, time_min(a, b));
		node_expire(f->n[a <= b ? 0 : 1].node, f->now);
		pump(f);
	}
	f->now = time_max(f->now, until);
}

/* --- the run --- */

static void start(struct fuzz *f)
{
	static struct identity ids[2];
	static bool ready;

	if (!ready) {
		demand(crypto_init() == 0);
		for (int i = 0; i < 2; i++) {
			uint8_t seed[SEED_SIZE] = { (uint8_t)(i + 1) };

			identity_from_seed(&ids[i], seed);
		}
		ready = true;
	}
	f->now = 1000 * GW_SEC;
	for (int i = 0; i < 2; i++) {
		struct party *p = &f->n[i];
		struct local_addr local = { .ifindex = 1, .mtu = 1500 };
		struct node_config config;

		p->addr = (struct addr){ .family = ADDR_V4,
					 .port = 4001,
					 .ip = { 198, 51, 100, (uint8_t)(i + 1) } };
		local.addr = p->addr;
		local.addr.port = 0;
		rng_seed(&p->rng, (uint64_t)i);
		node_config_init(&config);
		config.identity = &ids[i];
		config.rng = &p->rng;
		p->node = node_new(&config, f->now);
		demand(p->node);
		node_network_changed(p->node, &local, 1, f->now);
		node_listen(p->node, "echo", GW_NEVER);
		node_allow(p->node, "echo", &ANYONE);
	}
	for (int i = 0; i < STRANGERS; i++)
		f->strangers[i].addr = (struct addr){ .family = ADDR_V4,
						      .port = 7,
						      .ip = { 203, 0, 113, (uint8_t)(i + 1) } };
	node_add_endpoint(f->n[0].node, ids[1].key, &f->n[1].addr, f->now);
	if (node_stream_open(f->n[0].node, ids[1].key, "echo", &f->stream, f->now))
		f->stream = NULL;
	else
		stream_write(f->stream, "hello", 5, f->now);
	pump(f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz *f = calloc(1, sizeof(*f));

	demand(f);
	f->in = data;
	f->left = size;
	start(f);
	for (unsigned warm = take(f) % 16; warm; warm--) { /* some way into the handshake */
		genuine(f, OP_PASS, 1);
		genuine(f, OP_PASS, 0);
	}
	for (int n = 0; f->left && n < OPS_MAX; n++) {
		unsigned byte = take(f);
		enum op op = (enum op)(byte % OPS);
		int to = byte & 0x80 ? 0 : 1;

		if (op == OP_INVENT)
			invent(f, to);
		else if (op == OP_TIME)
			pass_time(f);
		else
			genuine(f, op, to);
	}
	node_free(f->n[0].node);
	node_free(f->n[1].node);
	free(f);
	return 0;
}
