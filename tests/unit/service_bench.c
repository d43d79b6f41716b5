// SPDX-License-Identifier: Apache-2.0
/* The bench between two hubs on loopback, and what its server says to other clients. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "service_pair.h"

#define PATIENCE (30 * GW_SEC)
#define SECONDS 0.25

enum { ECHOED = 1000003, ROUND_BYTES = 64, ROUNDS_MAX = 1001 };

static struct bench_server *server;
static struct bench *bench;
static unsigned done, progresses;
static int done_error;
static bool has_result;
static struct bench_result result;
static double last_elapsed;

/* A stream to the server, served by hand. */
static struct stream_handler handler;
static godwit_stream *stream;
static size_t sent, received;
static bool wrong;

static void on_done(void *user, int error, const struct bench_result *r)
{
	assert_ptr_equal(user, &done);
	done++;
	done_error = error;
	has_result = r;
	if (r)
		result = *r;
	bench = NULL;
}

static void on_progress(void *user, double elapsed, double gbit_s)
{
	assert_ptr_equal(user, &done);
	assert_true(elapsed > last_elapsed);
	assert_true(gbit_s >= 0);
	last_elapsed = elapsed;
	progresses++;
}

static void turn(void)
{
	pair_turn(10 * GW_MSEC);
}

#define RUN_UNTIL(condition) RUN_UNTIL_WITHIN(PATIENCE, turn, condition)

static int setup(void **state)
{
	(void)state;
	bench = NULL;
	stream = NULL;
	done = progresses = 0;
	has_result = wrong = false;
	last_elapsed = 0;
	sent = received = 0;
	pair_start();
	assert_int_equal(bench_serve(far.hub, &server), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	if (bench)
		bench_stop(bench);
	godwit_stream_free(stream);
	bench_serve_stop(server);
	pair_stop();
	return 0;
}

static size_t streams_of(const struct side *s)
{
	return godwit_node_streams(s->node, NULL, 0);
}

/* --- the client --- */

static void start_bench(unsigned streams, bool reverse)
{
	struct bench_options options = { .seconds = SECONDS,
					 .streams = streams,
					 .reverse = reverse };

	assert_int_equal(
		bench_start(near.hub, far.key, &options, on_progress, on_done, &done, &bench), 0);
}

static uint64_t stream_bytes_in(const struct side *s)
{
	godwit_peer_info peer;

	assert_int_equal(godwit_node_peers(s->node, &peer, 1), 1);
	return peer.rx_bytes;
}

static void check_bench(unsigned streams, bool reverse)
{
	uint64_t in, rest;

	start_bench(streams, reverse);
	RUN_UNTIL(done);
	assert_int_equal(done, 1);
	assert_int_equal(done_error, 0);
	assert_true(has_result);
	assert_true(result.bytes > 0);
	assert_true(result.seconds >= SECONDS && result.seconds < 20);
	assert_float_equal((float)(result.gbit_s * result.seconds),
			   (float)((double)result.bytes * 8 / 1e9), 1e-4F);
	assert_true(result.rtt_p50_us > 0);
	assert_true(result.rtt_p99_us >= result.rtt_p50_us);
	assert_true(result.rtt_p99_us < 10e6);
	assert_true(result.cpu_s > 0 && result.cpu_s_per_gb > 0);
	assert_true(progresses >= 1 && last_elapsed <= result.seconds);

	/* What is counted has arrived; the rest is the latency's rounds and each stream's mode. */
	in = stream_bytes_in(reverse ? &near : &far);
	assert_true(in >= result.bytes);
	rest = in - result.bytes;
	assert_in_range(rest, 2 * ROUND_BYTES, ROUNDS_MAX * ROUND_BYTES + streams + 1);
	RUN_UNTIL(streams_of(&near) == 0 && streams_of(&far) == 0);
}

static void one_stream_to_the_peer(void **state)
{
	(void)state;
	check_bench(1, false);
}

static void one_stream_from_the_peer(void **state)
{
	(void)state;
	check_bench(1, true);
}

static void several_streams_to_the_peer(void **state)
{
	(void)state;
	check_bench(7, false);
}

static void several_streams_from_the_peer(void **state)
{
	(void)state;
	check_bench(7, true);
}

static void progress_is_optional(void **state)
{
	struct bench_options options = { .seconds = SECONDS, .streams = 1 };

	(void)state;
	assert_int_equal(bench_start(near.hub, far.key, &options, NULL, on_done, &done, &bench), 0);
	RUN_UNTIL(done);
	assert_int_equal(done_error, 0);
}

static void peer_without_the_service_is_told(void **state)
{
	(void)state;
	bench_serve_stop(server);
	server = NULL;
	start_bench(1, false);
	RUN_UNTIL(done);
	assert_int_equal(done_error, GODWIT_E_NO_SERVICE);
	assert_false(has_result);
}

static void bench_with_itself_is_refused(void **state)
{
	struct bench_options options = { .seconds = SECONDS, .streams = 3 };

	(void)state;
	assert_int_equal(bench_start(near.hub, near.key, &options, NULL, on_done, &done, &bench),
			 GODWIT_E_SELF);
	assert_null(bench);
	assert_int_equal(done, 0);
}

static void server_goes_during_the_load(void **state)
{
	(void)state;
	start_bench(4, true);
	RUN_UNTIL(progresses);
	bench_serve_stop(server);
	server = NULL;
	RUN_UNTIL(done);
	assert_int_equal(done, 1);
	assert_int_equal(done_error, GODWIT_E_RESET);
	assert_false(has_result);
	RUN_UNTIL(streams_of(&near) == 0);
}

static void bench_is_stopped_at_any_time(void **state)
{
	(void)state;
	start_bench(4, false);
	bench_stop(bench);
	start_bench(4, false);
	RUN_UNTIL(streams_of(&far) == 1); /* latency */
	bench_stop(bench);
	start_bench(4, false);
	RUN_UNTIL(progresses);
	bench_stop(bench);
	bench = NULL;
	RUN_UNTIL(streams_of(&far) == 0);
	assert_int_equal(done, 0);
}

/* --- the server --- */

static void on_stream(struct stream_handler *h, godwit_stream *s, unsigned flags)
{
	(void)h;
	(void)s;
	(void)flags;
}

static uint8_t pattern(size_t offset)
{
	return (uint8_t)(offset * 31 + (offset >> 8) * 7);
}

static void open_stream(const char *first, size_t len)
{
	assert_int_equal(godwit_stream_open(near.node, far.key, BENCH_SERVICE, &stream), 0);
	handler.on_event = on_stream;
	godwit_stream_set_user(stream, &handler);
	assert_int_equal(godwit_stream_write(stream, first, len), len);
}

static bool take_all(void)
{
	const uint8_t *data;
	size_t len;

	while (data = godwit_stream_read(stream, &len), len > 0) {
		for (size_t i = 0; i < len; i++)
			wrong |= data[i] != pattern(received + i);
		received += len;
		godwit_stream_consume(stream, len);
	}
	return godwit_stream_read_finished(stream);
}

static void give(size_t total)
{
	uint8_t data[8192];
	ssize_t n = 1;

	while (sent < total && n > 0) {
		size_t len = total - sent < sizeof(data) ? total - sent : sizeof(data);

		for (size_t i = 0; i < len; i++)
			data[i] = pattern(sent + i);
		n = godwit_stream_write(stream, data, len);
		if (n > 0)
			sent += (size_t)n;
	}
	if (sent == total)
		godwit_stream_finish(stream);
}

static void echo_gives_everything_back(void **state)
{
	(void)state;
	open_stream("E", 1);
	RUN_UNTIL((give(ECHOED), take_all()));
	assert_int_equal(received, ECHOED);
	assert_false(wrong);
	assert_int_equal(godwit_stream_error(stream), 0);
	RUN_UNTIL(streams_of(&far) == 0);
}

static void sink_ends_after_its_client(void **state)
{
	(void)state;
	open_stream("S", 1);
	RUN_UNTIL((give(ECHOED), take_all()));
	assert_int_equal(sent, ECHOED);
	assert_int_equal(received, 0);
	assert_int_equal(godwit_stream_error(stream), 0);
}

static void source_sends_until_its_client_ends(void **state)
{
	(void)state;
	open_stream("R", 1);
	RUN_UNTIL((take_all(), received > ECHOED));
	godwit_stream_finish(stream);
	RUN_UNTIL(take_all());
	assert_int_equal(godwit_stream_error(stream), 0);
}

static void check_reset(const char *first, size_t len)
{
	open_stream(first, len);
	godwit_stream_finish(stream);
	RUN_UNTIL(godwit_stream_error(stream));
	assert_int_equal(godwit_stream_error(stream), GODWIT_E_RESET);
	godwit_stream_free(stream);
	stream = NULL;
	RUN_UNTIL(streams_of(&far) == 0);
}

static void nonsense_is_reset(void **state)
{
	(void)state;
	check_reset("X", 1);
	check_reset("", 1); /* a NUL */
	check_reset("sSSS", 4);
	check_reset("", 0); /* an end at once */
}

static void one_server_in_a_node(void **state)
{
	struct bench_server *second = NULL;

	(void)state;
	assert_int_equal(bench_serve(far.hub, &second), GODWIT_E_EXISTS);
	assert_null(second);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(one_stream_to_the_peer),
		TEST(one_stream_from_the_peer),
		TEST(several_streams_to_the_peer),
		TEST(several_streams_from_the_peer),
		TEST(progress_is_optional),
		TEST(peer_without_the_service_is_told),
		TEST(bench_with_itself_is_refused),
		TEST(server_goes_during_the_load),
		TEST(bench_is_stopped_at_any_time),
		TEST(echo_gives_everything_back),
		TEST(sink_ends_after_its_client),
		TEST(source_sends_until_its_client_ends),
		TEST(nonsense_is_reset),
		TEST(one_server_in_a_node),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
