// SPDX-License-Identifier: Apache-2.0
/* One loop, two hubs: the near one pumps a stream from and to a local program, which the test
 * plays; the far one has the stream's other end, the peer, which the test plays, too. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "service_pair.h"

#define PATIENCE (20 * GW_SEC)

enum { BULK = 3000017, ENDLESS = 64 << 20 };
/* The largest window and the longest send queue of a stream together. */
enum { BUFFERED_MAX = 32 << 20 };

/* Bytes one way: what has been given to the one side, and what has come out at the other. */
struct flow {
	const uint8_t *data; /* repeated */
	size_t total, sent, received;
	bool finish, finished; /* the end follows the last byte */
	bool stalled;          /* the receiver does not read */
	bool ended, wrong;
	int send_error, receive_error;
};

static uint8_t noise[2][BULK];
static struct flow up, down; /* from the program to the peer, and back */
static int program_in, program_out, pump_in, pump_out;
static godwit_stream *near_stream, *peer;
static struct stream_handler peer_handler;
static struct pump *pump;
static unsigned done;
static int done_error, done_sys;

/* --- the pump's end --- */

static void on_done(void *user, int error, int sys)
{
	assert_ptr_equal(user, &done);
	done++;
	done_error = error;
	done_sys = sys;
	near_stream = NULL;
}

/* --- bytes --- */

static size_t next_piece(const struct flow *f, const uint8_t **out)
{
	size_t from = f->sent % BULK, left = f->total - f->sent;

	*out = f->data + from;
	return left < BULK - from ? left : BULK - from;
}

static void check_piece(struct flow *f, const uint8_t *data, size_t len)
{
	while (len > 0) {
		size_t from = f->received % BULK;
		size_t n = len < BULK - from ? len : BULK - from;

		f->wrong |= memcmp(data, f->data + from, n) != 0;
		f->received += n;
		data += n;
		len -= n;
	}
	f->wrong |= f->received > f->sent;
}

/* --- the peer --- */

static void on_peer(struct stream_handler *h, godwit_stream *stream, unsigned flags)
{
	(void)h;
	(void)stream;
	(void)flags;
}

static void on_incoming(void *user, godwit_stream *stream)
{
	(void)user;
	assert_null(peer);
	peer = stream;
	peer_handler.on_event = on_peer;
	godwit_stream_set_user(stream, &peer_handler);
}

static void peer_sends(void)
{
	while (down.sent < down.total) {
		const uint8_t *data;
		size_t len = next_piece(&down, &data);
		ssize_t n = godwit_stream_write(peer, data, len);

		if (n <= 0)
			break;
		down.sent += (size_t)n;
	}
	if (down.finish && down.sent == down.total && !down.finished) {
		down.finished = true;
		godwit_stream_finish(peer);
	}
}

static void peer_turn(void)
{
	const uint8_t *data;
	size_t len;

	if (!peer)
		return;
	while (!up.stalled && (data = godwit_stream_read(peer, &len), len > 0)) {
		check_piece(&up, data, len);
		godwit_stream_consume(peer, len);
	}
	up.ended = godwit_stream_read_finished(peer);
	up.receive_error = godwit_stream_error(peer);
	peer_sends();
}

/* --- the program --- */

static void program_ends_writing(void)
{
	if (program_in == program_out) {
		shutdown(program_out, SHUT_WR);
		return;
	}
	close(program_out);
	program_out = -1;
}

static void program_sends(void)
{
	while (up.sent < up.total && !up.send_error) {
		const uint8_t *data;
		size_t len = next_piece(&up, &data);
		ssize_t n = write(program_out, data, len);

		if (n > 0)
			up.sent += (size_t)n;
		else if (errno == EAGAIN)
			return;
		else
			up.send_error = errno;
	}
	if (up.finish && !up.finished) {
		up.finished = true;
		program_ends_writing();
	}
}

static void program_reads(void)
{
	uint8_t data[65536];

	while (!down.ended && !down.receive_error) {
		ssize_t n = read(program_in, data, sizeof(data));

		if (n < 0 && errno == EAGAIN)
			return;
		if (n > 0)
			check_piece(&down, data, (size_t)n);
		else if (n == 0)
			down.ended = true;
		else
			down.receive_error = errno;
	}
}

static void program_turn(void)
{
	if (program_out >= 0)
		program_sends();
	if (program_in >= 0 && !down.stalled)
		program_reads();
}

static void program_dies(void)
{
	if (program_out >= 0 && program_out != program_in)
		close(program_out);
	if (program_in >= 0)
		close(program_in);
	program_in = program_out = -1;
}

/* --- everything --- */

static void turn(void)
{
	program_turn();
	peer_turn();
	pair_turn(GW_MSEC);
}

#define RUN_UNTIL(condition) RUN_UNTIL_WITHIN(PATIENCE, turn, condition)

static int setup(void **state)
{
	(void)state;
	up = (struct flow){ .data = noise[0] };
	down = (struct flow){ .data = noise[1] };
	program_in = program_out = pump_in = pump_out = -1;
	peer = near_stream = NULL;
	pump = NULL;
	done = 0;
	done_error = done_sys = 1;
	pair_start();
	assert_int_equal(hub_offer(far.hub, "peer", on_incoming, NULL), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	if (pump && !done)
		pump_stop(pump);
	program_dies();
	godwit_stream_free(peer);
	pair_stop();
	return 0;
}

/* --- local sides --- */

static void unblock(int fd)
{
	assert_int_equal(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK), 0);
}

static void make_socketpair(void)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	program_in = program_out = pair[0];
	pump_in = pump_out = pair[1];
	unblock(program_in);
}

/* `buffer`: of the kernel each way; 0: its default. */
static void make_tcp_with(int buffer)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(at);
	int listener = socket(AF_INET, SOCK_STREAM, 0);

	program_in = program_out = socket(AF_INET, SOCK_STREAM, 0);
	if (buffer) {
		setsockopt(program_in, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof(buffer));
		setsockopt(listener, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer));
	}
	assert_int_equal(bind(listener, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&at, &len), 0);
	assert_int_equal(connect(program_in, (struct sockaddr *)&at, sizeof(at)), 0);
	pump_in = pump_out = accept(listener, NULL, NULL);
	assert_true(pump_in >= 0);
	close(listener);
	unblock(program_in);
}

static void make_tcp(void)
{
	make_tcp_with(0);
}

static void make_pipes(void)
{
	int in[2], out[2];

	assert_int_equal(pipe(in), 0);
	assert_int_equal(pipe(out), 0);
	pump_in = in[0];
	program_out = in[1];
	program_in = out[0];
	pump_out = out[1];
	unblock(program_in);
	unblock(program_out);
}

static void start_pump_to(const char *service)
{
	assert_int_equal(godwit_stream_open(near.node, far.key, service, &near_stream), 0);
	assert_int_equal(
		pump_start(near.hub, near_stream, pump_in, pump_out, on_done, &done, &pump), 0);
}

static void start_pump(void)
{
	start_pump_to("peer");
}

static void assert_exact(const struct flow *f)
{
	assert_false(f->wrong);
	assert_int_equal(f->sent, f->total);
	assert_int_equal(f->received, f->total);
	assert_true(f->ended);
}

static void assert_done(int error)
{
	assert_int_equal(done, 1);
	assert_int_equal(done_error, error);
}

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

/* --- orderly ends --- */

static void check_both_ways(void (*make)(void))
{
	make();
	start_pump();
	up.total = down.total = BULK;
	up.finish = down.finish = true;
	RUN_UNTIL(done && up.ended && down.ended);
	assert_done(0);
	assert_exact(&up);
	assert_exact(&down);
	assert_int_equal(done_sys, 0);
	assert_false(is_open(pump_in));
	assert_false(is_open(pump_out));
	assert_true(godwit_stream_delivered(peer));
	assert_int_equal(godwit_stream_error(peer), 0);
}

static void check_program_ends_first(void (*make)(void))
{
	make();
	start_pump();
	up.total = 1000;
	up.finish = true;
	RUN_UNTIL(up.ended);
	assert_exact(&up);
	assert_false(done);
	assert_false(down.ended);
	down.total = BULK;
	down.finish = true;
	RUN_UNTIL(done && down.ended);
	assert_done(0);
	assert_exact(&down);
}

static void check_peer_ends_first(void (*make)(void))
{
	make();
	start_pump();
	down.total = 1000;
	down.finish = true;
	up.total = 1; /* the peer learns of the stream with its first byte, or end */
	RUN_UNTIL(down.ended);
	assert_exact(&down);
	assert_false(done);
	assert_false(up.ended);
	up.total = BULK;
	up.finish = true;
	RUN_UNTIL(done && up.ended);
	assert_done(0);
	assert_exact(&up);
}

static void socketpair_carries_both_ways(void **state)
{
	(void)state;
	check_both_ways(make_socketpair);
}

static void tcp_carries_both_ways(void **state)
{
	(void)state;
	check_both_ways(make_tcp);
}

static void pipes_carry_both_ways(void **state)
{
	(void)state;
	check_both_ways(make_pipes);
}

static void socketpair_half_closes_each_way(void **state)
{
	(void)state;
	check_program_ends_first(make_socketpair);
	teardown(state);
	setup(state);
	check_peer_ends_first(make_socketpair);
}

static void tcp_half_closes_each_way(void **state)
{
	(void)state;
	check_program_ends_first(make_tcp);
	teardown(state);
	setup(state);
	check_peer_ends_first(make_tcp);
}

static void pipes_half_close_each_way(void **state)
{
	(void)state;
	check_program_ends_first(make_pipes);
	teardown(state);
	setup(state);
	check_peer_ends_first(make_pipes);
}

/* The program and we are through with each other, but the peer has not taken everything. */
static void done_waits_for_the_acknowledgement(void **state)
{
	(void)state;
	make_socketpair();
	start_pump();
	up.stalled = true;
	up.total = 300000; /* more than the first window, less than what a stream may queue */
	up.finish = down.finish = true;
	RUN_UNTIL(!is_open(pump_in) && down.ended);
	assert_false(done);
	up.stalled = false;
	RUN_UNTIL(done);
	assert_done(0);
	RUN_UNTIL(up.ended);
	assert_exact(&up);
}

/* --- files --- */

static int make_file(const uint8_t *data, size_t len)
{
	FILE *file = tmpfile();
	int fd;

	assert_non_null(file);
	fd = fcntl(fileno(file), F_DUPFD_CLOEXEC, 0);
	fclose(file);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, data, len, 0), len);
	return fd;
}

static void files_are_read_and_written(void **state)
{
	static uint8_t written[BULK + 1];
	int out = make_file(noise[0], 0);

	(void)state;
	pump_in = make_file(noise[0], BULK);
	pump_out = fcntl(out, F_DUPFD_CLOEXEC, 0);
	start_pump();
	up.sent = BULK;
	down.total = BULK;
	down.finish = true;
	RUN_UNTIL(done && up.ended);
	assert_done(0);
	assert_false(up.wrong);
	assert_int_equal(up.received, BULK);
	assert_int_equal(pread(out, written, sizeof(written), 0), BULK);
	assert_memory_equal(written, noise[1], BULK);
	close(out);
}

static void null_device_is_an_end_and_a_sink(void **state)
{
	(void)state;
	pump_in = open("/dev/null", O_RDONLY);
	pump_out = open("/dev/null", O_WRONLY);
	start_pump();
	down.total = BULK;
	down.finish = true;
	RUN_UNTIL(done);
	assert_done(0);
	RUN_UNTIL(up.ended);
	assert_int_equal(up.received, 0);
}

static void full_device_fails(void **state)
{
	(void)state;
	pump_in = open("/dev/null", O_RDONLY);
	pump_out = open("/dev/full", O_WRONLY);
	assert_true(pump_out >= 0);
	start_pump();
	down.total = 1;
	RUN_UNTIL(done);
	assert_done(GODWIT_E_IO);
	assert_int_equal(done_sys, ENOSPC);
	RUN_UNTIL(up.receive_error);
	assert_int_equal(up.receive_error, GODWIT_E_RESET);
}

static void unreadable_input_fails(void **state)
{
	(void)state;
	pump_in = open(".", O_RDONLY | O_DIRECTORY);
	pump_out = open("/dev/null", O_WRONLY);
	start_pump();
	RUN_UNTIL(done);
	assert_done(GODWIT_E_IO);
	assert_int_equal(done_sys, EISDIR);
}

/* --- what others share --- */

static void check_stays_blocking(void (*make)(void))
{
	int in, out;

	make();
	in = dup(pump_in);
	out = dup(pump_out);
	start_pump();
	up.total = down.total = 1000;
	RUN_UNTIL(up.received == 1000 && down.received == 1000);
	assert_int_equal(fcntl(in, F_GETFL) & O_NONBLOCK, 0);
	assert_int_equal(fcntl(out, F_GETFL) & O_NONBLOCK, 0);
	close(in);
	close(out);
}

/* Other processes may have the same pipe or socket, and do not expect EAGAIN. */
static void shared_descriptions_stay_blocking(void **state)
{
	(void)state;
	check_stays_blocking(make_pipes);
	teardown(state);
	setup(state);
	check_stays_blocking(make_socketpair);
	teardown(state);
	setup(state);
	check_stays_blocking(make_tcp);
}

/* --- the local side fails --- */

static void reset_by_the_program_resets_the_stream(void **state)
{
	struct linger now = { .l_onoff = 1 };

	(void)state;
	make_tcp();
	start_pump();
	up.total = 1000;
	RUN_UNTIL(up.received == 1000);
	setsockopt(program_in, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	program_dies();
	RUN_UNTIL(done);
	assert_done(GODWIT_E_IO);
	assert_int_equal(done_sys, ECONNRESET);
	assert_false(is_open(pump_in));
	RUN_UNTIL(up.receive_error);
	assert_int_equal(up.receive_error, GODWIT_E_RESET);
	assert_false(up.ended);
}

/* It closes while the peer still sends. */
static void check_reader_goes(void (*make)(void))
{
	make();
	start_pump();
	up.total = 1;
	down.total = ENDLESS;
	RUN_UNTIL(down.received > BULK);
	program_dies();
	RUN_UNTIL(done);
	assert_done(GODWIT_E_IO);
	assert_true(done_sys == EPIPE || done_sys == ECONNRESET);
	RUN_UNTIL(up.receive_error);
	assert_int_equal(up.receive_error, GODWIT_E_RESET);
	assert_true(down.sent < down.total);
	assert_false(down.wrong);
}

static void program_that_stops_reading_resets_the_stream(void **state)
{
	(void)state;
	check_reader_goes(make_tcp);
	teardown(state);
	setup(state);
	check_reader_goes(make_socketpair);
	teardown(state);
	setup(state);
	check_reader_goes(make_pipes);
}

/* What the program wrote before it went away arrives, then nobody waits for an answer. */
static void pipe_without_a_reader_fails_at_the_end_of_input(void **state)
{
	(void)state;
	make_pipes();
	start_pump();
	close(program_in);
	program_in = -1;
	up.total = BULK;
	up.finish = true;
	RUN_UNTIL(done);
	assert_done(GODWIT_E_IO);
	assert_int_equal(done_sys, EPIPE);
	RUN_UNTIL(up.receive_error);
	assert_int_equal(up.received, BULK);
	assert_false(up.wrong);
	assert_int_equal(up.receive_error, GODWIT_E_RESET);
}

static void pipe_that_never_had_a_reader_fails_with_the_first_byte(void **state)
{
	(void)state;
	make_pipes();
	close(program_in);
	program_in = -1;
	start_pump();
	up.total = 1;
	RUN_UNTIL(up.received == 1);
	assert_false(done);
	down.total = 1;
	RUN_UNTIL(done);
	assert_done(GODWIT_E_IO);
	assert_int_equal(done_sys, EPIPE);
}

/* socat EXEC and others: standard input and output are one socket under two numbers. */
static void one_socket_under_two_numbers_loses_nothing(void **state)
{
	(void)state;
	make_socketpair();
	pump_out = dup(pump_in);
	start_pump();
	up.total = 100;
	up.finish = true;
	RUN_UNTIL(up.received == 100 && up.ended);
	down.total = 100;
	down.finish = true;
	RUN_UNTIL(done && down.ended);
	assert_done(0);
	assert_int_equal(down.received, 100);
}

/* --- the stream fails --- */

static void refused_stream_resets_the_connection(void **state)
{
	(void)state;
	make_tcp();
	start_pump_to("nothing");
	RUN_UNTIL(done && down.receive_error);
	assert_done(GODWIT_E_NO_SERVICE);
	assert_int_equal(done_sys, 0);
	assert_int_equal(down.receive_error, ECONNRESET);
}

static size_t bytes_come(void)
{
	godwit_stream_info info;

	godwit_stream_describe(near_stream, &info);
	return (size_t)info.rx_bytes;
}

/* The program is slow: what comes is in the kernel's small buffers and in the stream. */
static void stream_fails_behind_a_slow_program(size_t bytes)
{
	make_tcp_with(8192);
	start_pump();
	down.stalled = true;
	up.total = 1;
	down.total = bytes;
	RUN_UNTIL(up.received == 1 && bytes_come() == bytes);
	godwit_stream_reset(peer, GODWIT_E_RESET);
	RUN_UNTIL(done || godwit_stream_error(near_stream) != 0);
}

static void bytes_before_a_failure_reach_the_program(void **state)
{
	(void)state;
	stream_fails_behind_a_slow_program(200000);
	assert_false(done);
	down.stalled = false;
	RUN_UNTIL(down.receive_error || down.ended);
	assert_int_equal(down.receive_error, ECONNRESET);
	assert_int_equal(down.received, 200000);
	assert_false(down.wrong);
	RUN_UNTIL(done);
	assert_done(GODWIT_E_RESET);
}

/* All of them are in the kernel; a reset at once would take them away again. */
static void reset_waits_until_the_kernel_has_passed_the_bytes_on(void **state)
{
	(void)state;
	stream_fails_behind_a_slow_program(12000);
	for (int i = 0; i < 20; i++) {
		assert_false(done);
		turn();
	}
	down.stalled = false;
	RUN_UNTIL(down.receive_error || down.ended);
	assert_int_equal(down.receive_error, ECONNRESET);
	assert_int_equal(down.received, 12000);
	RUN_UNTIL(done);
	assert_done(GODWIT_E_RESET);
}

/* Nobody waits for ever for a program that does not read. */
static void patience_with_a_stalled_program_ends(void **state)
{
	(void)state;
	stream_fails_behind_a_slow_program(200000);
	RUN_UNTIL(done);
	assert_done(GODWIT_E_RESET);
}

static void failed_stream_ends_the_pipes(void **state)
{
	(void)state;
	make_pipes();
	start_pump();
	up.total = 1;
	down.total = 5000;
	RUN_UNTIL(down.received == 5000);
	godwit_stream_reset(peer, GODWIT_E_LIMIT);
	RUN_UNTIL(done);
	assert_done(GODWIT_E_LIMIT);
	RUN_UNTIL(down.ended);
	assert_false(is_open(pump_in));
	assert_false(is_open(pump_out));
}

/* --- backpressure --- */

/* Runs until the peer has been able to send nothing more for many turns. */
static void run_until_stuck(struct flow *f)
{
	unsigned still = 0;

	while (still < 300) {
		size_t before = f->sent;

		turn();
		still = f->sent == before ? still + 1 : 0;
		assert_true(f->sent < f->total);
	}
}

static void check_stall(void (*make)(void))
{
	size_t stuck_at;

	make();
	start_pump();
	up.total = 1;
	up.finish = true;
	down.total = ENDLESS;
	RUN_UNTIL(down.received > BULK); /* the windows have grown */
	down.stalled = true;
	run_until_stuck(&down);
	stuck_at = down.sent;
	assert_true(stuck_at - down.received < BUFFERED_MAX);
	down.total = stuck_at + BULK;
	down.finish = true;
	down.stalled = false;
	RUN_UNTIL(done && down.ended);
	assert_done(0);
	assert_exact(&down);
}

static void stalled_program_stops_the_peer(void **state)
{
	(void)state;
	check_stall(make_socketpair);
	teardown(state);
	setup(state);
	check_stall(make_pipes);
}

static void stalled_peer_stops_the_program(void **state)
{
	(void)state;
	make_socketpair();
	start_pump();
	up.total = ENDLESS;
	RUN_UNTIL(up.received > BULK);
	up.stalled = true;
	run_until_stuck(&up);
	assert_true(up.sent - up.received < BUFFERED_MAX);
	up.total = up.sent + BULK;
	up.finish = down.finish = true;
	up.stalled = false;
	RUN_UNTIL(done && up.ended);
	assert_done(0);
	assert_exact(&up);
}

/* --- pump_stop() --- */

static void check_stop(void (*make)(void), int expected_error)
{
	make();
	start_pump();
	up.total = down.total = 1000;
	RUN_UNTIL(up.received == 1000 && down.received == 1000);
	pump_stop(pump);
	pump = NULL;
	assert_false(is_open(pump_in));
	assert_false(is_open(pump_out));
	RUN_UNTIL(up.receive_error && (down.receive_error || down.ended));
	assert_int_equal(up.receive_error, GODWIT_E_RESET);
	assert_int_equal(down.receive_error, expected_error);
	assert_false(done);
}

static void stopped_pump_resets_both_sides(void **state)
{
	(void)state;
	check_stop(make_tcp, ECONNRESET);
	teardown(state);
	setup(state);
	check_stop(make_socketpair, 0);
	teardown(state);
	setup(state);
	check_stop(make_pipes, 0);
}

static void pump_is_stopped_while_it_flushes(void **state)
{
	(void)state;
	stream_fails_behind_a_slow_program(12000);
	assert_false(done);
	pump_stop(pump);
	pump = NULL;
	assert_false(is_open(pump_in));
	turn();
	assert_false(done);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(socketpair_carries_both_ways, setup, teardown),
		cmocka_unit_test_setup_teardown(tcp_carries_both_ways, setup, teardown),
		cmocka_unit_test_setup_teardown(pipes_carry_both_ways, setup, teardown),
		cmocka_unit_test_setup_teardown(socketpair_half_closes_each_way, setup, teardown),
		cmocka_unit_test_setup_teardown(tcp_half_closes_each_way, setup, teardown),
		cmocka_unit_test_setup_teardown(pipes_half_close_each_way, setup, teardown),
		cmocka_unit_test_setup_teardown(done_waits_for_the_acknowledgement, setup,
						teardown),
		cmocka_unit_test_setup_teardown(files_are_read_and_written, setup, teardown),
		cmocka_unit_test_setup_teardown(null_device_is_an_end_and_a_sink, setup, teardown),
		cmocka_unit_test_setup_teardown(full_device_fails, setup, teardown),
		cmocka_unit_test_setup_teardown(unreadable_input_fails, setup, teardown),
		cmocka_unit_test_setup_teardown(shared_descriptions_stay_blocking, setup, teardown),
		cmocka_unit_test_setup_teardown(reset_by_the_program_resets_the_stream, setup,
						teardown),
		cmocka_unit_test_setup_teardown(program_that_stops_reading_resets_the_stream, setup,
						teardown),
		cmocka_unit_test_setup_teardown(pipe_without_a_reader_fails_at_the_end_of_input,
						setup, teardown),
		cmocka_unit_test_setup_teardown(
			pipe_that_never_had_a_reader_fails_with_the_first_byte, setup, teardown),
		cmocka_unit_test_setup_teardown(one_socket_under_two_numbers_loses_nothing, setup,
						teardown),
		cmocka_unit_test_setup_teardown(refused_stream_resets_the_connection, setup,
						teardown),
		cmocka_unit_test_setup_teardown(bytes_before_a_failure_reach_the_program, setup,
						teardown),
		cmocka_unit_test_setup_teardown(
			reset_waits_until_the_kernel_has_passed_the_bytes_on, setup, teardown),
		cmocka_unit_test_setup_teardown(patience_with_a_stalled_program_ends, setup,
						teardown),
		cmocka_unit_test_setup_teardown(failed_stream_ends_the_pipes, setup, teardown),
		cmocka_unit_test_setup_teardown(stalled_program_stops_the_peer, setup, teardown),
		cmocka_unit_test_setup_teardown(stalled_peer_stops_the_program, setup, teardown),
		cmocka_unit_test_setup_teardown(stopped_pump_resets_both_sides, setup, teardown),
		cmocka_unit_test_setup_teardown(pump_is_stopped_while_it_flushes, setup, teardown),
	};
	uint64_t x = UINT64_C(0x9e3779b97f4a7c15); /* xorshift64 */

	signal(SIGPIPE, SIG_IGN);
	for (size_t i = 0; i < sizeof(noise); i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		noise[i / BULK][i % BULK] = (uint8_t)(x >> 32);
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
