// SPDX-License-Identifier: Apache-2.0
/* expose and forward, end to end: one loop, two hubs on loopback.  The test plays the programs at
 * both ends, a server behind the far hub and clients before the near one, in the same loop. */
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
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "service_pair.h"

#define PATIENCE (20 * GW_SEC)

enum { MANY = 200, MESSAGE = 5000 };

/* One connection to the echo server. */
struct echo {
	struct loop_source *source;
	int fd;
	size_t at, len;
	char data[4096];
};

struct client {
	int fd;
	size_t sent, received;
	bool finished, ended, wrong;
	int error;
};

static struct expose *expose;
static struct forward *forward;
static struct place to;
static unsigned reports;
static int reported;

static int server_fd;
static struct loop_source *server_source;
static struct echo echoes[MANY + 8];
static size_t n_echoes, n_live;

static struct client clients[MANY];
static size_t n_clients;

/* --- the server: gives back what it gets, until its client ends --- */

static void hang_up(struct echo *e)
{
	loop_remove(e->source);
	close(e->fd);
	e->source = NULL;
	n_live--;
}

/* False: the connection is over, or must wait. */
static bool echo_some(struct echo *e)
{
	ssize_t n;

	if (e->at == e->len) {
		n = recv(e->fd, e->data, sizeof(e->data), MSG_DONTWAIT);
		if (n < 0 && errno == EAGAIN)
			return false;
		if (n <= 0) {
			hang_up(e);
			return false;
		}
		e->at = 0;
		e->len = (size_t)n;
	}
	n = send(e->fd, e->data + e->at, e->len - e->at, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0 && errno != EAGAIN)
		hang_up(e);
	if (n <= 0)
		return false;
	e->at += (size_t)n;
	return true;
}

static void on_echo(void *user, int fd, unsigned events)
{
	struct echo *e = user;

	(void)fd;
	(void)events;
	while (echo_some(e))
		;
	if (e->source)
		loop_modify(e->source, e->at < e->len ? LOOP_OUT : LOOP_IN);
}

static void on_server(void *user, int fd, unsigned events)
{
	struct echo *e = &echoes[n_echoes];

	(void)user;
	(void)events;
	assert_true(n_echoes < sizeof(echoes) / sizeof(echoes[0]));
	memset(e, 0, sizeof(*e));
	e->fd = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
	if (e->fd < 0)
		return;
	n_echoes++;
	n_live++;
	e->source = loop_add(loop, e->fd, LOOP_IN, on_echo, e);
	assert_non_null(e->source);
}

static void serve(int fd)
{
	assert_int_equal(listen(fd, MANY), 0);
	server_fd = fd;
	server_source = loop_add(loop, fd, LOOP_IN, on_server, NULL);
	assert_non_null(server_source);
}

/* Returns the port of a socket that is bound, and does not listen yet. */
static uint16_t bind_tcp(int *fd)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(at);

	*fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(*fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(getsockname(*fd, (struct sockaddr *)&at, &len), 0);
	return ntohs(at.sin_port);
}

static int bind_unix(const char *path)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(strlen(path) < sizeof(at.sun_path));
	memcpy(at.sun_path, path, strlen(path) + 1);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	return fd;
}

static struct target parse(const char *text)
{
	struct target t;
	const char *why;

	assert_int_equal(listen_parse(text, &t, &why), 0);
	return t;
}

static struct target tcp_target(const char *host, uint16_t port)
{
	char text[TARGET_TEXT_MAX];

	snprintf(text, sizeof(text), "tcp:%s:%u", host, port);
	return parse(text);
}

/* --- clients --- */

static char letter(size_t client, size_t offset)
{
	return (char)(client * 37 + offset * 11 + offset / 256);
}

static void client_sends(size_t i)
{
	struct client *c = &clients[i];
	char data[MESSAGE];
	ssize_t n;

	for (size_t at = 0; at < MESSAGE; at++)
		data[at] = letter(i, at);
	while (c->sent < MESSAGE) {
		n = send(c->fd, data + c->sent, MESSAGE - c->sent, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n <= 0)
			return;
		c->sent += (size_t)n;
	}
}

static void client_reads(size_t i)
{
	struct client *c = &clients[i];
	char data[4096];
	ssize_t n;

	while (!c->ended && !c->error) {
		n = recv(c->fd, data, sizeof(data), MSG_DONTWAIT);
		if (n < 0 && errno == EAGAIN)
			return;
		c->error = n < 0 ? errno : 0;
		c->ended = n == 0;
		for (ssize_t at = 0; at < n; at++)
			c->wrong |= data[at] != letter(i, c->received++);
	}
}

static void finish_clients(void)
{
	for (size_t i = 0; i < n_clients; i++)
		shutdown(clients[i].fd, SHUT_WR);
}

static void close_clients(void)
{
	for (size_t i = 0; i < n_clients; i++)
		close(clients[i].fd);
	n_clients = 0;
}

static struct client *add_client(int family, const struct sockaddr *at, socklen_t len)
{
	struct client *c = &clients[n_clients++];

	memset(c, 0, sizeof(*c));
	c->fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(c->fd, at, len), 0); /* the backlog takes it */
	return c;
}

static struct client *connect_tcp(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
				  .sin_port = htons(forward_listen(forward)->port) };

	return add_client(AF_INET, (struct sockaddr *)&at, sizeof(at));
}

static struct client *connect_unix(const char *path)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };

	memcpy(at.sun_path, path, strlen(path) + 1);
	return add_client(AF_UNIX, (struct sockaddr *)&at, sizeof(at));
}

/* --- everything --- */

static void turn(void)
{
	for (size_t i = 0; i < n_clients; i++) {
		client_sends(i);
		client_reads(i);
	}
	pair_turn(GW_MSEC);
}

#define RUN_UNTIL(condition) RUN_UNTIL_WITHIN(PATIENCE, turn, condition)

static bool all_received(void)
{
	for (size_t i = 0; i < n_clients; i++)
		if (clients[i].received < MESSAGE)
			return false;
	return true;
}

static bool all_ended(void)
{
	for (size_t i = 0; i < n_clients; i++)
		if (!clients[i].ended && !clients[i].error)
			return false;
	return true;
}

static void assert_echoed(void)
{
	for (size_t i = 0; i < n_clients; i++) {
		assert_int_equal(clients[i].received, MESSAGE);
		assert_false(clients[i].wrong);
		assert_int_equal(clients[i].error, 0);
	}
}

static void on_report(void *user, int error)
{
	assert_ptr_equal(user, &reports);
	reports++;
	reported = error;
}

static int setup(void **state)
{
	char ticket[GODWIT_TICKET_SIZE];

	(void)state;
	expose = NULL;
	forward = NULL;
	reports = 0;
	reported = 0;
	n_echoes = n_live = n_clients = 0;
	server_source = NULL;
	server_fd = -1;
	pair_start();
	assert_int_equal(godwit_node_ticket(far.node, "echo", ticket), 0);
	assert_int_equal(godwit_ticket_parse(ticket, &to.ticket), 0);
	return 0;
}

static void stop_server(void)
{
	if (server_source)
		loop_remove(server_source);
	if (server_fd >= 0)
		close(server_fd);
	server_source = NULL;
	server_fd = -1;
}

static int teardown(void **state)
{
	(void)state;
	close_clients();
	if (forward)
		forward_stop(forward);
	if (expose)
		expose_stop(expose);
	stop_server();
	for (size_t i = 0; i < n_echoes; i++)
		if (echoes[i].source)
			hang_up(&echoes[i]);
	pair_stop();
	return 0;
}

static void start_expose(struct target t)
{
	assert_int_equal(expose_start(far.hub, "echo", &t, &expose), 0);
}

static int try_forward(const char *listen)
{
	struct target t = parse(listen);

	return forward_start(near.hub, &t, &to, on_report, &reports, &forward);
}

static void start_forward(const char *listen)
{
	assert_int_equal(try_forward(listen), 0);
}

static void start_tcp_pair(void)
{
	int fd;

	start_expose(tcp_target("127.0.0.1", bind_tcp(&fd)));
	serve(fd);
	start_forward("0");
}

/* --- targets --- */

static void check_echo(void)
{
	RUN_UNTIL(all_received());
	assert_int_equal(expose_active(expose), n_clients);
	assert_int_equal(forward_active(forward), n_clients);
	finish_clients();
	RUN_UNTIL(all_ended() && expose_active(expose) == 0 && forward_active(forward) == 0);
	assert_echoed();
	assert_int_equal(n_live, 0);
	assert_int_equal(reports, 0);
}

static void tcp_target_is_reached(void **state)
{
	(void)state;
	start_tcp_pair();
	connect_tcp();
	check_echo();
}

static void named_target_is_reached(void **state)
{
	int fd;

	(void)state;
	start_expose(tcp_target("localhost", bind_tcp(&fd)));
	serve(fd);
	start_forward("localhost:0");
	connect_tcp();
	check_echo();
}

static void unix_target_is_reached(void **state)
{
	(void)state;
	serve(bind_unix("target"));
	start_expose(parse("unix:target"));
	start_forward("unix:listener");
	connect_unix("listener");
	check_echo();
	unlink("target");
}

static void many_streams_at_once(void **state)
{
	(void)state;
	start_tcp_pair();
	for (int i = 0; i < MANY; i++)
		connect_tcp();
	check_echo();
}

static void check_unreachable(struct target t)
{
	start_expose(t);
	start_forward("0");
	connect_tcp();
	RUN_UNTIL(all_ended() && reports);
	assert_int_equal(reported, GODWIT_E_TARGET);
	assert_int_equal(clients[0].error, ECONNRESET);
	assert_int_equal(clients[0].received, 0);
	RUN_UNTIL(forward_active(forward) == 0 && expose_active(expose) == 0);
}

static void refused_target_is_told(void **state)
{
	int fd;

	(void)state;
	check_unreachable(tcp_target("127.0.0.1", bind_tcp(&fd)));
	connect_tcp();
	RUN_UNTIL(all_ended());
	assert_int_equal(reports, 1); /* the reason is the same */
	serve(fd);
	close_clients();
	connect_tcp();
	RUN_UNTIL(all_received());
	assert_echoed();
	finish_clients();
	RUN_UNTIL(forward_active(forward) == 0);
	stop_server();
	connect_tcp();
	RUN_UNTIL(reports == 2); /* it had worked in between */
}

static void missing_unix_target_is_told(void **state)
{
	(void)state;
	check_unreachable(parse("unix:missing"));
}

static void unknown_name_is_told(void **state)
{
	(void)state;
	check_unreachable(parse("tcp:no-such-host.invalid:80"));
}

static void missing_service_is_reported(void **state)
{
	(void)state;
	start_forward("0");
	connect_tcp();
	RUN_UNTIL(all_ended() && reports);
	assert_int_equal(reported, GODWIT_E_NO_SERVICE);
	assert_int_equal(clients[0].error, ECONNRESET);
}

static void name_is_taken_once(void **state)
{
	struct target t = parse("tcp:127.0.0.1:1");
	struct expose *second = NULL;

	(void)state;
	start_expose(t);
	assert_int_equal(expose_start(far.hub, "echo", &t, &second), GODWIT_E_EXISTS);
	assert_int_equal(expose_start(far.hub, "no name", &t, &second), GODWIT_E_INVALID);
	assert_null(second);
	expose_stop(expose);
	start_expose(t);
}

/* --- drain and stop --- */

static void drained_services_keep_what_lives(void **state)
{
	struct client *late;

	(void)state;
	start_tcp_pair();
	connect_tcp();
	RUN_UNTIL(all_received());
	expose_drain(expose);
	expose_drain(expose); /* twice is as good */
	late = connect_tcp();
	RUN_UNTIL(late->error || late->ended);
	assert_int_equal(reported, GODWIT_E_NO_SERVICE);
	assert_int_equal(expose_active(expose), 1);
	assert_false(clients[0].ended || clients[0].error);
	n_clients = 1;
	close(late->fd);
	finish_clients();
	RUN_UNTIL(all_ended() && expose_active(expose) == 0);
	assert_echoed();
}

static void drained_listeners_keep_what_lives(void **state)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd;

	(void)state;
	start_tcp_pair();
	at.sin_port = htons(forward_listen(forward)->port);
	connect_tcp();
	RUN_UNTIL(all_received());
	forward_drain(forward);
	forward_drain(forward);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof(at)), -1);
	assert_int_equal(errno, ECONNREFUSED);
	close(fd);
	assert_int_equal(forward_active(forward), 1);
	finish_clients();
	RUN_UNTIL(all_ended() && forward_active(forward) == 0);
	assert_echoed();
}

static void stopped_service_ends_its_streams(void **state)
{
	(void)state;
	start_tcp_pair();
	connect_tcp();
	connect_tcp();
	RUN_UNTIL(all_received());
	expose_stop(expose);
	expose = NULL;
	RUN_UNTIL(all_ended() && n_live == 0);
	assert_int_equal(clients[0].error, ECONNRESET);
	assert_int_equal(clients[1].error, ECONNRESET);
	assert_int_equal(reported, GODWIT_E_RESET);
	assert_int_equal(reports, 1);
}

static void stopped_listener_ends_its_streams(void **state)
{
	(void)state;
	start_tcp_pair();
	connect_tcp();
	RUN_UNTIL(all_received());
	forward_stop(forward);
	forward = NULL;
	RUN_UNTIL(all_ended() && n_live == 0 && expose_active(expose) == 0);
	assert_int_equal(clients[0].error, ECONNRESET);
}

/* A backlog of one that is full: the service asks again and again. */
static void service_stops_while_it_reaches_its_target(void **state)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX, .sun_path = "full" };
	struct linger now = { .l_onoff = 1 };
	int fd = bind_unix("full"), first = socket(AF_UNIX, SOCK_STREAM, 0);

	(void)state;
	assert_int_equal(listen(fd, 0), 0);
	assert_int_equal(connect(first, (struct sockaddr *)&at, sizeof(at)), 0);
	start_expose(parse("unix:full"));
	start_forward("0");
	connect_tcp();
	RUN_UNTIL(expose_active(expose) == 1);
	connect_tcp();
	RUN_UNTIL(expose_active(expose) == 2);
	setsockopt(clients[1].fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(clients[--n_clients].fd); /* this one gives up before */
	RUN_UNTIL(expose_active(expose) == 1);
	assert_false(all_ended());
	expose_stop(expose);
	expose = NULL;
	RUN_UNTIL(all_ended());
	assert_int_equal(clients[0].error, ECONNRESET);
	close(first);
	close(fd);
	unlink("full");
}

static void full_backlog_is_tried_again(void **state)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX, .sun_path = "full" };
	int fd = bind_unix("full"), first = socket(AF_UNIX, SOCK_STREAM, 0);

	(void)state;
	assert_int_equal(listen(fd, 0), 0);
	assert_int_equal(connect(first, (struct sockaddr *)&at, sizeof(at)), 0);
	start_expose(parse("unix:full"));
	start_forward("0");
	connect_tcp();
	RUN_UNTIL(expose_active(expose) == 1);
	close(accept(fd, NULL, NULL));
	close(first);
	serve(fd);
	check_echo();
	unlink("full");
}

/* --- listeners --- */

static void system_chooses_the_port(void **state)
{
	(void)state;
	start_forward("0");
	assert_int_equal(forward_listen(forward)->kind, TARGET_TCP);
	assert_int_not_equal(forward_listen(forward)->port, 0);
	assert_string_equal(forward_listen(forward)->host, "127.0.0.1");
}

static void busy_port_is_refused(void **state)
{
	struct target t;
	struct forward *second = NULL;

	(void)state;
	start_forward("0");
	t = *forward_listen(forward);
	assert_int_equal(forward_start(near.hub, &t, &to, on_report, &reports, &second),
			 GODWIT_E_IN_USE);
	assert_null(second);
	forward_stop(forward);
	assert_int_equal(forward_start(near.hub, &t, &to, on_report, &reports, &forward), 0);
}

static void impossible_listeners_are_refused(void **state)
{
	(void)state;
	assert_int_equal(try_forward("192.0.2.1:0"), GODWIT_E_INVALID);
	assert_int_equal(try_forward("no-address:80"), GODWIT_E_INVALID);
	assert_int_equal(try_forward("unix:missing/listener"), GODWIT_E_INVALID);
	assert_null(forward);
}

static bool exists(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0;
}

static void socket_file_is_private_and_removed(void **state)
{
	struct stat st;

	(void)state;
	start_forward("unix:listener");
	assert_int_equal(stat("listener", &st), 0);
	assert_true(S_ISSOCK(st.st_mode));
	assert_int_equal(st.st_mode & 0777, 0600);
	forward_drain(forward);
	assert_false(exists("listener"));
	forward_stop(forward);
	start_forward("unix:listener");
	forward_stop(forward);
	forward = NULL;
	assert_false(exists("listener"));
}

static void stale_socket_file_is_taken_over(void **state)
{
	(void)state;
	close(bind_unix("listener"));
	assert_true(exists("listener"));
	start_forward("unix:listener");
	connect_unix("listener");
	RUN_UNTIL(forward_active(forward) == 1);
}

static void live_socket_file_is_left_alone(void **state)
{
	int fd = bind_unix("listener");

	(void)state;
	serve(fd);
	assert_int_equal(try_forward("unix:listener"), GODWIT_E_IN_USE);
	assert_true(exists("listener"));
	connect_unix("listener"); /* its owner still answers */
	RUN_UNTIL(all_received());
	unlink("listener");
}

/* Somebody else's listener has taken the path meanwhile. */
static void another_ones_socket_file_is_not_removed(void **state)
{
	int fd;

	(void)state;
	start_forward("unix:listener");
	assert_int_equal(unlink("listener"), 0);
	fd = bind_unix("listener");
	forward_stop(forward);
	forward = NULL;
	assert_true(exists("listener"));
	close(fd);
	unlink("listener");
}

static void other_files_are_never_replaced(void **state)
{
	int fd = open("listener", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(try_forward("unix:listener"), GODWIT_E_IN_USE);
	assert_true(exists("listener"));
	unlink("listener");
	assert_int_equal(symlink("nowhere", "listener"), 0);
	assert_int_equal(try_forward("unix:listener"), GODWIT_E_IN_USE);
	assert_true(exists("listener"));
	unlink("listener");
}

/* --- the directory of the socket files --- */

static char directory[] = "service_expose.XXXXXX";

static int enter_directory(void **state)
{
	(void)state;
	return mkdtemp(directory) && chdir(directory) == 0 ? 0 : -1;
}

static int leave_directory(void **state)
{
	(void)state;
	return chdir("..") == 0 && rmdir(directory) == 0 ? 0 : -1;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(tcp_target_is_reached),
		TEST(named_target_is_reached),
		TEST(unix_target_is_reached),
		TEST(many_streams_at_once),
		TEST(refused_target_is_told),
		TEST(missing_unix_target_is_told),
		TEST(unknown_name_is_told),
		TEST(missing_service_is_reported),
		TEST(name_is_taken_once),
		TEST(drained_services_keep_what_lives),
		TEST(drained_listeners_keep_what_lives),
		TEST(stopped_service_ends_its_streams),
		TEST(stopped_listener_ends_its_streams),
		TEST(service_stops_while_it_reaches_its_target),
		TEST(full_backlog_is_tried_again),
		TEST(system_chooses_the_port),
		TEST(busy_port_is_refused),
		TEST(impossible_listeners_are_refused),
		TEST(socket_file_is_private_and_removed),
		TEST(stale_socket_file_is_taken_over),
		TEST(live_socket_file_is_left_alone),
		TEST(another_ones_socket_file_is_not_removed),
		TEST(other_files_are_never_replaced),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, enter_directory, leave_directory);
}
