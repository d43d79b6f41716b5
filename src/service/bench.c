/* SPDX-License-Identifier: Apache-2.0 */
/* The first byte of a stream says what the server does: SINK reads to the end and then ends its
 * side, SOURCE sends until the client's side ends, ECHO gives everything back. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/list.h"
#include "service/service.h"

enum { SINK = 'S', SOURCE = 'R', ECHO = 'E' };
enum { ROUNDS_MAX = 1000, ROUND_BYTES = 64 };

#define LATENCY_FOR (GW_SEC / 2)
#define PROGRESS_EVERY (100 * GW_MSEC)

/* Fill what room there is. */
static uint64_t send_zeros(godwit_stream *stream)
{
	uint64_t total = 0;

	for (;;) {
		size_t len;
		void *space = godwit_stream_write_space(stream, &len);

		if (!space)
			return total;
		memset(space, 0, len);
		godwit_stream_write_commit(stream, len);
		total += len;
	}
}

static uint64_t discard(godwit_stream *stream)
{
	uint64_t total = 0;
	size_t len;

	while (godwit_stream_read(stream, &len), len > 0) {
		godwit_stream_consume(stream, len);
		total += len;
	}
	return total;
}

/* --- server --- */

struct visit {
	struct stream_handler handler;
	struct list_item link;
	godwit_stream *stream;
	int mode; /* 0: not yet said */
	bool finished;
};

struct bench_server {
	struct hub *hub;
	struct list visits;
};

static void end_visit(struct visit *v)
{
	list_remove(&v->link);
	godwit_stream_set_user(v->stream, NULL);
	godwit_stream_free(v->stream);
	free(v);
}

static void echo(godwit_stream *stream)
{
	const void *data;
	size_t len;

	while (data = godwit_stream_read(stream, &len), len > 0) {
		ssize_t taken = godwit_stream_write(stream, data, len);

		if (taken <= 0)
			return;
		godwit_stream_consume(stream, (size_t)taken);
	}
}

/* False: the client speaks nonsense. */
static bool serve(struct visit *v)
{
	const uint8_t *data;
	size_t len;

	if (v->mode == 0) {
		data = godwit_stream_read(v->stream, &len);
		if (len == 0)
			return !godwit_stream_read_finished(v->stream);
		v->mode = data[0];
		godwit_stream_consume(v->stream, 1);
	}
	switch (v->mode) {
	case SINK:
		discard(v->stream);
		break;
	case SOURCE:
		discard(v->stream);
		if (!godwit_stream_read_finished(v->stream))
			send_zeros(v->stream);
		break;
	case ECHO:
		echo(v->stream);
		break;
	default:
		return false;
	}
	if (!v->finished && godwit_stream_read_finished(v->stream)) {
		v->finished = true;
		godwit_stream_finish(v->stream);
	}
	return true;
}

static void on_visit(struct stream_handler *h, godwit_stream *stream, unsigned flags)
{
	struct visit *v = (struct visit *)h;

	(void)flags;
	if (godwit_stream_error(stream) != 0 || !serve(v) ||
	    (v->finished && godwit_stream_delivered(stream)))
		end_visit(v);
}

static void on_incoming(void *user, godwit_stream *stream)
{
	struct bench_server *s = user;
	struct visit *v = calloc(1, sizeof(*v));

	if (!v) {
		hub_refuse(stream, GODWIT_E_LIMIT);
		return;
	}
	v->handler.on_event = on_visit;
	v->stream = stream;
	list_append(&s->visits, &v->link);
	godwit_stream_set_user(stream, &v->handler);
	on_visit(&v->handler, stream, 0);
}

int bench_serve(struct hub *h, struct bench_server **out)
{
	struct bench_server *s = calloc(1, sizeof(*s));
	int rv;

	if (!s)
		return GODWIT_E_NOMEM;
	s->hub = h;
	list_init(&s->visits);
	rv = hub_offer(h, BENCH_SERVICE, on_incoming, s);
	if (rv < 0) {
		free(s);
		return rv;
	}
	*out = s;
	return 0;
}

void bench_serve_stop(struct bench_server *s)
{
	if (!s)
		return;
	hub_withdraw(s->hub, BENCH_SERVICE);
	list_each(&s->visits, i, next)
		end_visit(container_of(i, struct visit, link));
	free(s);
}

/* --- client --- */

enum phase { PHASE_LATENCY, PHASE_LOAD, PHASE_END };

struct flow {
	struct stream_handler handler;
	struct bench *bench;
	godwit_stream *stream; /* NULL: none, or over */
};

struct bench {
	struct hub *hub;
	uint8_t key[GODWIT_KEY_SIZE];
	struct bench_options options;
	bench_progress_fn *progress;
	bench_done_fn *done;
	void *user;
	enum phase phase;
	struct loop_timer *timer;
	struct flow *flows;
	unsigned live;

	double rounds_us[ROUNDS_MAX];
	size_t n_rounds, answered; /* bytes of the present round's answer */
	gw_time round_at, latency_until;

	gw_time load_at, load_until, progress_at;
	uint64_t bytes, bytes_at_progress;
	double cpu_at;
};

static double cpu_seconds(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static double seconds(gw_time t)
{
	return (double)t / (double)GW_SEC;
}

static void close_flow(struct flow *f)
{
	if (!f->stream)
		return;
	godwit_stream_set_user(f->stream, NULL);
	godwit_stream_free(f->stream);
	f->stream = NULL;
}

void bench_stop(struct bench *b)
{
	for (unsigned i = 0; i < b->options.streams; i++)
		close_flow(&b->flows[i]);
	loop_timer_free(b->timer);
	free(b->flows);
	free(b);
}

static void end(struct bench *b, int error, const struct bench_result *result)
{
	bench_done_fn *done = b->done;
	void *user = b->user;

	bench_stop(b);
	done(user, error, result);
}

static int by_value(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static double quantile(const double *sorted, size_t n, double q)
{
	return n == 0 ? 0 : sorted[(size_t)ceil(q * (double)n) - 1];
}

static void succeed(struct bench *b, gw_time now)
{
	struct bench_result r = { .bytes = b->bytes, .seconds = seconds(now - b->load_at) };

	qsort(b->rounds_us, b->n_rounds, sizeof(b->rounds_us[0]), by_value);
	r.gbit_s = (double)r.bytes * 8 / 1e9 / r.seconds;
	r.cpu_s = cpu_seconds() - b->cpu_at;
	r.cpu_s_per_gb = r.bytes ? r.cpu_s / ((double)r.bytes / 1e9) : 0;
	r.rtt_p50_us = quantile(b->rounds_us, b->n_rounds, 0.5);
	r.rtt_p99_us = quantile(b->rounds_us, b->n_rounds, 0.99);
	end(b, 0, &r);
}

/* --- latency --- */

static void start_round(struct bench *b, godwit_stream *stream)
{
	uint8_t data[ROUND_BYTES] = { 0 };

	b->answered = 0;
	b->round_at = loop_clock();
	(void)godwit_stream_write(stream, data, sizeof(data));
}

static int open_flow(struct bench *b, struct flow *f, char mode)
{
	int rv = godwit_stream_open(hub_node(b->hub), b->key, BENCH_SERVICE, &f->stream);

	if (rv < 0)
		return rv;
	godwit_stream_set_user(f->stream, &f->handler);
	(void)godwit_stream_write(f->stream, &mode, 1);
	return 0;
}

static int start_load(struct bench *b)
{
	close_flow(&b->flows[0]);
	b->phase = PHASE_LOAD;
	b->cpu_at = cpu_seconds();
	b->load_at = b->progress_at = loop_clock();
	b->load_until = b->load_at + (gw_time)(b->options.seconds * (double)GW_SEC);
	b->live = b->options.streams;
	for (unsigned i = 0; i < b->options.streams; i++) {
		int rv = open_flow(b, &b->flows[i], b->options.reverse ? SOURCE : SINK);

		if (rv < 0)
			return rv;
		if (!b->options.reverse)
			b->bytes += send_zeros(b->flows[i].stream);
	}
	loop_timer_set(b->timer, b->load_at + PROGRESS_EVERY);
	return 0;
}

/* False: the bench has ended. */
static bool latency(struct bench *b, godwit_stream *stream)
{
	gw_time now = loop_clock();
	int rv;

	b->answered += (size_t)discard(stream);
	if (b->answered < ROUND_BYTES)
		return true;
	b->rounds_us[b->n_rounds++] = (double)(now - b->round_at) / (double)GW_USEC;
	if (b->n_rounds == 1) /* the first one included the dial */
		b->latency_until = now + LATENCY_FOR;
	if (b->n_rounds == 1 || (b->n_rounds < ROUNDS_MAX && now < b->latency_until)) {
		start_round(b, stream);
		return true;
	}
	memmove(b->rounds_us, b->rounds_us + 1, --b->n_rounds * sizeof(b->rounds_us[0]));
	rv = start_load(b);
	if (rv < 0)
		end(b, rv, NULL);
	return rv == 0;
}

/* --- load --- */

static void load(struct bench *b, struct flow *f)
{
	uint64_t received = discard(f->stream);

	if (b->options.reverse)
		b->bytes += received;
	else if (b->phase == PHASE_LOAD)
		b->bytes += send_zeros(f->stream);
	if (b->phase != PHASE_END || !godwit_stream_read_finished(f->stream))
		return;
	close_flow(f);
	if (--b->live == 0)
		succeed(b, loop_clock());
}

static void on_timer(void *user)
{
	struct bench *b = user;
	struct hub *h = b->hub;
	gw_time now = loop_now(hub_loop(h));

	if (now >= b->load_until && b->phase == PHASE_LOAD) {
		b->phase = PHASE_END;
		for (unsigned i = 0; i < b->options.streams; i++)
			godwit_stream_finish(b->flows[i].stream);
	}
	if (b->progress && now > b->progress_at) {
		b->progress(b->user, seconds(now - b->load_at),
			    (double)(b->bytes - b->bytes_at_progress) * 8 / 1e9 /
				    seconds(now - b->progress_at));
		b->bytes_at_progress = b->bytes;
		b->progress_at = now;
	}
	loop_timer_set(b->timer, b->phase == PHASE_LOAD && b->load_until < now + PROGRESS_EVERY
					 ? b->load_until
					 : now + PROGRESS_EVERY);
	hub_wake(h);
}

static void on_stream(struct stream_handler *handler, godwit_stream *stream, unsigned flags)
{
	struct flow *f = (struct flow *)handler;
	struct bench *b = f->bench;
	int error = godwit_stream_error(stream);

	(void)flags;
	if (error)
		end(b, error, NULL);
	else if (b->phase == PHASE_LATENCY)
		(void)latency(b, stream);
	else
		load(b, f);
}

int bench_start(struct hub *h, const uint8_t key[GODWIT_KEY_SIZE],
		const struct bench_options *options, bench_progress_fn *progress,
		bench_done_fn *done, void *user, struct bench **out)
{
	struct bench *b = calloc(1, sizeof(*b));
	int rv = GODWIT_E_NOMEM;

	if (!b)
		return rv;
	b->hub = h;
	memcpy(b->key, key, sizeof(b->key));
	b->options = *options;
	b->progress = progress;
	b->done = done;
	b->user = user;
	b->flows = calloc(options->streams, sizeof(*b->flows));
	b->timer = loop_timer_new(hub_loop(h), on_timer, b);
	if (b->flows && b->timer) {
		for (unsigned i = 0; i < options->streams; i++)
			b->flows[i] = (struct flow){ .handler.on_event = on_stream, .bench = b };
		rv = open_flow(b, &b->flows[0], ECHO);
	}
	if (rv < 0) {
		if (!b->flows)
			b->options.streams = 0;
		bench_stop(b);
		return rv;
	}
	start_round(b, b->flows[0].stream);
	*out = b;
	return 0;
}
