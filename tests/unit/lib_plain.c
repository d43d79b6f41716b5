// SPDX-License-Identifier: Apache-2.0
/* The public API with plain sockets: the library's thread serves them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <godwit/godwit.h>

enum { PATIENCE_MS = 10000, BULK = 2000000 };

static godwit_node *a, *b;
static char destination[GODWIT_TICKET_SIZE + 16];

static void start(godwit_node **out)
{
	godwit_options o;

	godwit_options_init(&o);
	o.ephemeral = true;
	o.listen = "127.0.0.1:0";
	assert_int_equal(godwit_node_new(out, &o), 0);
}

static int setup(void **state)
{
	(void)state;
	start(&a);
	start(&b);
	assert_int_equal(godwit_listen(b, "svc", GODWIT_NEVER), 0);
	assert_int_equal(godwit_allow(b, "svc", NULL), 0);
	assert_int_equal(godwit_node_ticket(b, "svc", destination), 0);
	assert_int_equal(godwit_connect_fd(a, destination, 0), GODWIT_E_INVALID); /* no thread */
	assert_int_equal(godwit_node_start_thread(a), 0);
	assert_int_equal(godwit_node_start_thread(b), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	godwit_node_free(a);
	godwit_node_free(b);
	a = b = NULL;
	return 0;
}

static void connect_pair(int *client, int *server)
{
	char service[GODWIT_SERVICE_SIZE];
	uint8_t peer[GODWIT_KEY_SIZE], key[GODWIT_KEY_SIZE];

	*client = godwit_connect_fd(a, destination, PATIENCE_MS);
	assert_true(*client >= 0);
	*server = godwit_accept_fd(b, PATIENCE_MS, peer, service);
	assert_true(*server >= 0);
	assert_string_equal(service, "svc");
	godwit_node_key(a, key);
	assert_memory_equal(peer, key, sizeof(key));
}

/* Read to the end; returns the count, or -errno. */
static ssize_t read_all(int fd, uint8_t *out, size_t max)
{
	size_t total = 0;

	for (;;) {
		ssize_t n = read(fd, out + total, max - total);

		if (n < 0)
			return -errno;
		if (n == 0)
			return (ssize_t)total;
		total += (size_t)n;
		assert_true(total < max);
	}
}

struct writing {
	int fd;
	const uint8_t *data;
	size_t len;
};

static void *write_and_shut(void *user)
{
	struct writing *w = user;

	for (size_t sent = 0; sent < w->len;) {
		ssize_t n = write(w->fd, w->data + sent, w->len - sent);

		if (n <= 0)
			break;
		sent += (size_t)n;
	}
	shutdown(w->fd, SHUT_WR);
	return NULL;
}

static void bytes_pass_and_half_closes_are_honoured(void **state)
{
	static uint8_t out[BULK], in[BULK + 1];
	struct writing w;
	pthread_t thread;
	int client, server;

	(void)state;
	for (size_t i = 0; i < BULK; i++)
		out[i] = (uint8_t)(i * 31 + (i >> 8) * 7);
	connect_pair(&client, &server);
	w = (struct writing){ client, out, BULK };
	assert_int_equal(pthread_create(&thread, NULL, write_and_shut, &w), 0);
	assert_int_equal(read_all(server, in, sizeof(in)), BULK);
	assert_memory_equal(in, out, BULK);
	pthread_join(thread, NULL);

	w = (struct writing){ server, out, 1000 }; /* the other direction is still open */
	write_and_shut(&w);
	assert_int_equal(read_all(client, in, sizeof(in)), 1000);
	assert_memory_equal(in, out, 1000);
	assert_int_equal(godwit_fd_error(a, client), 0);
	assert_int_equal(godwit_fd_error(b, server), 0);
	close(client);
	close(server);
}

static void close_lets_what_was_written_arrive(void **state)
{
	uint8_t in[100];
	int client, server;

	(void)state;
	connect_pair(&client, &server);
	assert_int_equal(write(client, "last words", 10), 10);
	close(client);
	assert_int_equal(read_all(server, in, sizeof(in)), 10);
	assert_memory_equal(in, "last words", 10);
	close(server);
}

static void unwanted_bytes_end_in_a_broken_pipe(void **state)
{
	static uint8_t out[65536];
	int client, server;
	ssize_t n;

	(void)state;
	connect_pair(&client, &server);
	close(client);
	do /* the first bytes are on their way before word comes back */
		n = send(server, out, sizeof(out), MSG_NOSIGNAL);
	while (n > 0);
	assert_int_equal(n, -1);
	assert_true(errno == EPIPE || errno == ECONNRESET);
	assert_int_equal(godwit_fd_error(b, server), GODWIT_E_RESET);
	close(server);
}

static void failure_is_told_apart_from_the_end(void **state)
{
	uint8_t in[100];
	int client, server;
	ssize_t n;

	(void)state;
	connect_pair(&client, &server);
	assert_int_equal(write(server, "half a f", 8), 8);
	assert_int_equal(read(client, in, sizeof(in)), 8);
	godwit_node_free(b); /* says goodbye */
	b = NULL;
	n = read_all(client, in, sizeof(in));
	assert_true(n == 0 || n == -ECONNRESET);
	assert_int_equal(godwit_fd_error(a, client), GODWIT_E_EXITED);
	close(client);
	close(server);
	start(&b); /* for the teardown */
}

static void refusals_come_back_at_once(void **state)
{
	char *slash;

	(void)state;
	strcat(destination, "/nothing");
	assert_int_equal(godwit_connect_fd(a, destination, PATIENCE_MS), GODWIT_E_NO_SERVICE);
	slash = strchr(destination, '/');
	strcpy(slash, "/no good");
	assert_int_equal(godwit_connect_fd(a, destination, PATIENCE_MS), GODWIT_E_INVALID);
	assert_int_equal(godwit_connect_fd(a, "rubbish", PATIENCE_MS), GODWIT_E_LENGTH);
	godwit_node_address(b, destination);
	assert_int_equal(godwit_connect_fd(a, destination, PATIENCE_MS), GODWIT_E_INVALID);
}

static void waiting_ends_in_time(void **state)
{
	int error;

	(void)state;
	assert_int_equal(godwit_accept_fd(b, 20, NULL, NULL), GODWIT_E_TIMEOUT);
	godwit_node_free(b); /* nobody is there any more */
	b = NULL;
	error = godwit_connect_fd(a, destination, 50);
	assert_true(error == GODWIT_E_TIMEOUT || error == GODWIT_E_UNREACHABLE);
	start(&b);
}

static void *accept_forever(void *user)
{
	*(int *)user = godwit_accept_fd(b, GODWIT_NEVER, NULL, NULL);
	return NULL;
}

static void freeing_the_node_wakes_who_waits(void **state)
{
	pthread_t thread;
	int result = 0, client, server;

	(void)state;
	connect_pair(&client, &server);
	assert_int_equal(pthread_create(&thread, NULL, accept_forever, &result), 0);
	/* Whether it waits already or comes a moment too late, both must end: give it time to
	 * wait by a round trip. */
	assert_int_equal(write(client, "x", 1), 1);
	assert_int_equal(read(server, &result, 1), 1);
	result = 0;
	usleep(20000);
	godwit_node_free(b);
	pthread_join(thread, NULL);
	assert_int_equal(result, GODWIT_E_CLOSED);
	close(client);
	close(server);
	start(&b);
}

static void queue_of_incoming_streams_is_bounded(void **state)
{
	enum { QUEUE = 128, MORE = 8 };
	int fds[QUEUE + MORE];
	size_t reset = 0;
	uint8_t in[8];

	(void)state;
	for (int i = 0; i < QUEUE + MORE; i++) {
		fds[i] = godwit_connect_fd(a, destination, PATIENCE_MS);
		/* Refused at once, or taken and reset a moment later. */
		if (fds[i] == GODWIT_E_LIMIT)
			reset++;
		else
			assert_true(fds[i] >= 0);
	}
	for (int i = QUEUE; i < QUEUE + MORE; i++) {
		if (fds[i] < 0)
			continue;
		assert_true(read_all(fds[i], in, sizeof(in)) <= 0);
		assert_int_equal(godwit_fd_error(a, fds[i]), GODWIT_E_LIMIT);
		reset++;
	}
	assert_int_equal(reset, MORE);
	for (int i = 0; i < QUEUE; i++) {
		int fd = godwit_accept_fd(b, PATIENCE_MS, NULL, NULL);

		assert_true(fd >= 0);
		close(fd);
		assert_int_equal(read_all(fds[i], in, sizeof(in)), 0);
		assert_int_equal(godwit_fd_error(a, fds[i]), 0);
	}
	assert_int_equal(godwit_accept_fd(b, 0, NULL, NULL), GODWIT_E_TIMEOUT);
	for (int i = 0; i < QUEUE + MORE; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(bytes_pass_and_half_closes_are_honoured, setup,
						teardown),
		cmocka_unit_test_setup_teardown(close_lets_what_was_written_arrive, setup,
						teardown),
		cmocka_unit_test_setup_teardown(unwanted_bytes_end_in_a_broken_pipe, setup,
						teardown),
		cmocka_unit_test_setup_teardown(failure_is_told_apart_from_the_end, setup,
						teardown),
		cmocka_unit_test_setup_teardown(refusals_come_back_at_once, setup, teardown),
		cmocka_unit_test_setup_teardown(waiting_ends_in_time, setup, teardown),
		cmocka_unit_test_setup_teardown(freeing_the_node_wakes_who_waits, setup, teardown),
		cmocka_unit_test_setup_teardown(queue_of_incoming_streams_is_bounded, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
