/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/beacon_drive.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "cli/beacon_tls.h"
#include "io/entropy.h"
#include "io/udp.h"
#include "store/store.h"

enum {
	ROUNDS_MAX = 4,
	RECEIVES_PER_ROUND = 2,
	BATCHES_MAX = 512, /* sent before other sources get their turn */
	STORE_MAX = 1 << 20,
	TRIM_FROM = 256, /* handshakes */
};

/* Handshakes leave holes; after a burst of them the allocator gives the pages back. */
#define TRIM_AFTER (2 * GW_SEC)

struct beacon_drive {
	struct loop *loop;
	struct rng rng;
	struct beacon *core;
	struct store *store;
	struct udp *udp, *alternate; /* alternate: may be NULL */
	struct loop_source *udp_source, *alternate_source;
	struct loop_timer *timer, *trim;
	struct beacon_tls *tls; /* may be NULL */
	struct batch batch;
	bool core_changed;
	uint64_t dropped;    /* batches that the socket did not take */
	uint64_t trimmed_at; /* handshakes by then */
	gw_time started;
};

/* --- sending --- */

static void send_batch(struct beacon_drive *d, const struct path *path, const uint8_t *data,
		       size_t len, size_t segment)
{
	struct udp *u = path->via == BEACON_ALTERNATE ? d->alternate : d->udp;

	if (path->via >= BEACON_CONDUITS) {
		if (d->tls)
			beacon_tls_send(d->tls, path, data, len, segment);
	} else if (u && udp_send(u, path, data, len, segment) == GW_E_AGAIN) {
		/* Who sends through us has a congestion control that wants to know. */
		udp_forget(u);
		d->dropped++;
	}
}

static void answer(struct beacon_drive *d, const struct directory_answer *a)
{
	beacon_op_done(d->core, a, loop_clock());
}

static void ask_store(struct beacon_drive *d)
{
	struct directory_answer a;
	struct directory_op op;
	bool more;

	do {
		more = false;
		while (beacon_next_op(d->core, &op)) {
			more = true;
			if (store_submit(d->store, &op, loop_clock()) == 0)
				continue;
			a = (struct directory_answer){ .tag = op.tag, .status = DIRECTORY_FAILED };
			answer(d, &a);
		}
		while (store_next(d->store, &a, loop_clock()))
			answer(d, &a);
	} while (more);
}

static void watch_memory(struct beacon_drive *d)
{
	struct beacon_stats s;

	beacon_stats_get(d->core, &s);
	if (s.handshakes >= d->trimmed_at + TRIM_FROM) {
		loop_timer_set(d->trim, loop_clock() + TRIM_AFTER);
		d->trimmed_at = s.handshakes;
	}
}

static void on_trim(void *user)
{
	(void)user;
	malloc_trim(0);
}

static void flush(struct beacon_drive *d)
{
	d->core_changed = false;
	beacon_set_wall_clock(d->core, loop_wall_clock_ms(), loop_clock());
	if (beacon_expiry(d->core) <= loop_clock())
		beacon_expire(d->core, loop_clock());
	ask_store(d);
	for (int i = 0; i < BATCHES_MAX; i++) {
		if (!beacon_transmit(d->core, &d->batch, loop_clock())) {
			loop_timer_set(d->timer, beacon_expiry(d->core));
			return;
		}
		send_batch(d, &d->batch.path, d->batch.data, d->batch.len, d->batch.segment);
	}
	loop_timer_set(d->timer, loop_now(d->loop));
}

static void on_timer(void *user)
{
	flush(user);
}

/* Once for all that a loop's turn brings. */
static void on_tls_changed(void *user)
{
	struct beacon_drive *d = user;

	if (!d->core_changed)
		loop_timer_set(d->timer, loop_now(d->loop));
	d->core_changed = true;
}

/* --- receiving --- */

struct arrival {
	struct beacon_drive *drive;
	uint32_t via;
	gw_time now;
};

static void on_batch(void *user, const struct path *from, const uint8_t *data, size_t len,
		     size_t segment)
{
	const struct arrival *a = user;
	struct beacon_drive *d = a->drive;
	struct path path = *from, to;

	path.via = a->via;
	if (beacon_forward(d->core, &path, data, len, segment, &to, a->now)) {
		send_batch(d, &to, data, len, segment);
		return;
	}
	for (; len > segment; data += segment, len -= segment)
		beacon_receive(d->core, &path, data, segment, a->now);
	beacon_receive(d->core, &path, data, len, a->now);
}

static void receive(struct beacon_drive *d, struct udp *u, uint32_t via)
{
	for (int i = 0; i < ROUNDS_MAX; i++) {
		struct arrival a = { d, via, loop_clock() };
		int n = udp_receive_batches(u, RECEIVES_PER_ROUND, on_batch, &a);

		flush(d);
		if (n <= 0)
			break;
	}
	watch_memory(d);
}

static void on_udp(void *user, int fd, unsigned events)
{
	struct beacon_drive *d = user;

	(void)fd;
	(void)events;
	receive(d, d->udp, BEACON_MAIN);
}

static void on_alternate(void *user, int fd, unsigned events)
{
	struct beacon_drive *d = user;

	(void)fd;
	(void)events;
	receive(d, d->alternate, BEACON_ALTERNATE);
}

/* --- start and end --- */

static int open_udp(struct beacon_drive *d, const struct beacon_drive_config *c, struct failure *f)
{
	struct addr second = c->listen;
	char text[ADDR_TEXT_MAX];
	int error = udp_open(&d->udp, &c->listen);

	if (error < 0) {
		fail_error(f, error, "cannot listen at %s", addr_format(&c->listen, text));
		fail_hint(f, "another --listen ADDR:PORT");
		return -1;
	}
	second.port = (uint16_t)(udp_local(d->udp).port + 1);
	if (second.port != 0 && udp_open(&d->alternate, &second) < 0)
		d->alternate = NULL;
	return 0;
}

static int watch(struct beacon_drive *d, struct failure *f)
{
	d->timer = loop_timer_new(d->loop, on_timer, d);
	d->trim = loop_timer_new(d->loop, on_trim, d);
	d->udp_source = loop_add(d->loop, udp_fd(d->udp), LOOP_IN, on_udp, d);
	if (d->alternate)
		d->alternate_source =
			loop_add(d->loop, udp_fd(d->alternate), LOOP_IN, on_alternate, d);
	if (!d->timer || !d->trim || !d->udp_source || (d->alternate && !d->alternate_source))
		return fail_error(f, GW_E_NOMEM, "cannot start");
	return 0;
}

static int make_core(struct beacon_drive *d, const struct beacon_drive_config *c, struct failure *f)
{
	struct beacon_config config = c->core;

	entropy_init(&d->rng);
	config.rng = &d->rng;
	config.alternate_port = d->alternate ? udp_local(d->alternate).port : 0;
	config.wall_ms = loop_wall_clock_ms();
	d->started = loop_clock();
	d->core = beacon_new(&config, d->started);
	d->store = store_memory_new(STORE_MAX, &d->rng);
	d->batch.capacity = BATCH_CAPACITY_MIN;
	d->batch.data = malloc(d->batch.capacity);
	if (!d->core || !d->store || !d->batch.data)
		return fail_error(f, GW_E_NOMEM, "cannot start");
	return 0;
}

static int open_tls(struct beacon_drive *d, const struct beacon_drive_config *c, struct failure *f)
{
	char text[ADDR_TEXT_MAX];
	int error;

	if (c->tls == BEACON_TLS_NONE)
		return 0;
	error = beacon_tls_new(&d->tls, d->loop, d->core, &c->tls_listen, c->tls_host,
			       on_tls_changed, d);
	if (error == 0)
		return 0;
	d->tls = NULL;
	fail_error(f, error, "cannot listen for TLS at %s", addr_format(&c->tls_listen, text));
	fail_hint(f, "another --tls-listen ADDR:PORT, or none");
	if (c->tls == BEACON_TLS_MUST)
		return -1;
	/* A port that was not asked for is no reason to refuse to work. */
	fail_error(f, error, "nodes where UDP is blocked cannot use this beacon: TLS at %s", text);
	fail_hint(f, "another --tls-listen ADDR:PORT, or none");
	if (error == GW_E_PERMISSION)
		fail_hint(f, "with CAP_NET_BIND_SERVICE (man godwit, SYSTEMD), or as root");
	fprintf(stderr, "godwit: %s\n  try: %s\n", f->message, f->hint);
	return 0;
}

int beacon_drive_new(struct beacon_drive **out, struct loop *loop,
		     const struct beacon_drive_config *c, struct failure *f)
{
	struct beacon_drive *d = calloc(1, sizeof(*d));

	if (!d)
		return fail_error(f, GW_E_NOMEM, "cannot start");
	d->loop = loop;
	if (open_udp(d, c, f) < 0 || make_core(d, c, f) < 0 || watch(d, f) < 0 ||
	    open_tls(d, c, f) < 0) {
		beacon_drive_free(d);
		return -1;
	}
	*out = d;
	return 0;
}

void beacon_drive_free(struct beacon_drive *d)
{
	if (!d)
		return;
	beacon_tls_free(d->tls);
	if (d->udp_source)
		loop_remove(d->udp_source);
	if (d->alternate_source)
		loop_remove(d->alternate_source);
	loop_timer_free(d->timer);
	loop_timer_free(d->trim);
	beacon_free(d->core);
	store_free(d->store);
	udp_close(d->udp);
	udp_close(d->alternate);
	free(d->batch.data);
	free(d);
}

uint16_t beacon_drive_port(const struct beacon_drive *d)
{
	return udp_local(d->udp).port;
}

uint16_t beacon_drive_tls_port(const struct beacon_drive *d)
{
	return d->tls ? beacon_tls_port(d->tls) : 0;
}

void beacon_drive_drain(struct beacon_drive *d, uint64_t seconds)
{
	beacon_drain(d->core, seconds, loop_clock());
	flush(d);
}

bool beacon_drive_drained(const struct beacon_drive *d)
{
	struct beacon_stats s;

	beacon_stats_get(d->core, &s);
	return s.sessions == 0;
}

void beacon_drive_goodbye(struct beacon_drive *d)
{
	beacon_stop(d->core, loop_clock());
	while (beacon_transmit(d->core, &d->batch, loop_clock()))
		send_batch(d, &d->batch.path, d->batch.data, d->batch.len, d->batch.segment);
}

/* --- status --- */

static json_t *describe_drops(const struct beacon_drive *d, const struct beacon_stats *s)
{
	json_t *out = json_object();

	for (int i = 0; i < DROPS; i++)
		json_object_set_new(out, beacon_drop_name((enum beacon_drop)i),
				    json_integer((json_int_t)s->drops[i]));
	json_object_set_new(out, "socket", json_integer((json_int_t)d->dropped));
	return out;
}

json_t *beacon_drive_status(const struct beacon_drive *d)
{
	struct beacon_stats s;
	json_t *out = json_object();

	beacon_stats_get(d->core, &s);
	json_object_set_new(out, "uptime_s",
			    json_real((double)(loop_clock() - d->started) / (double)GW_SEC));
	json_object_set_new(
		out, "beacon",
		json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:"
			  "I,s:b,s:o}",
			  "sessions", (json_int_t)s.sessions, "registered",
			  (json_int_t)s.registered, "half_open", (json_int_t)s.half_open,
			  "tls_links", (json_int_t)s.conduits, "tls_coming", (json_int_t)s.coming,
			  "retries", (json_int_t)s.retries, "channels", (json_int_t)s.channels,
			  "watches", (json_int_t)s.watches, "records",
			  (json_int_t)store_count(d->store), "manifests", (json_int_t)s.manifests,
			  "names", (json_int_t)s.names, "handshakes", (json_int_t)s.handshakes,
			  "registrations", (json_int_t)s.registrations, "lookups",
			  (json_int_t)s.lookups, "publishes", (json_int_t)s.publishes,
			  "relayed_bytes", (json_int_t)s.relayed_bytes, "relayed_packets",
			  (json_int_t)s.relayed_packets, "refused", (json_int_t)s.refused,
			  "draining", s.draining, "drops", describe_drops(d, &s)));
	return out;
}
