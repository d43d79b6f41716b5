// SPDX-License-Identifier: Apache-2.0
/* The control socket: a node with its server, its clients, and a peer, in one process. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cli/control.h"

#define PATIENCE (20 * GW_SEC)

enum { CALLS = 8, ANSWER_MAX = 8192 };

/* What a call has caused. */
struct call {
	struct control_call *call;
	unsigned events, ends;
	json_t *last; /* event */
	bool failed;
	struct failure failure;
};

static char directory[] = "cli_control.XXXXXX";
static struct loop *loop;
static struct home home;
static struct settings settings;
static struct options options;
static struct failure f;
static struct agent *agent;
static struct control *control;
static struct call calls[CALLS];

/* The peer gives back what it gets. */
static godwit_node *peer_node;
static struct hub *peer_hub;
static godwit_stream *peer;
static struct stream_handler peer_handler;
static char destination[GODWIT_TICKET_SIZE];

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

static void echo(void)
{
	const void *data;
	size_t len;

	if (!peer)
		return;
	while (data = godwit_stream_read(peer, &len), len > 0) {
		assert_int_equal(godwit_stream_write(peer, data, len), len);
		godwit_stream_consume(peer, len);
	}
	if (godwit_stream_read_finished(peer))
		godwit_stream_finish(peer);
}

/* --- everything --- */

static void turn(void)
{
	echo();
	hub_wake(agent_hub(agent));
	hub_wake(peer_hub);
	loop_run_once(loop, GW_MSEC);
}

#define RUN_UNTIL(condition)                                                                       \
	do {                                                                                       \
		gw_time give_up = loop_clock() + PATIENCE;                                         \
		while (!(condition)) {                                                             \
			assert_true(loop_clock() < give_up);                                       \
			turn();                                                                    \
		}                                                                                  \
	} while (0)

static void start_agent(void)
{
	static const struct option_spec *const SPECS[] = { HOME_OPTIONS, NODE_OPTIONS, NULL };
	static char listen[] = "--listen=127.0.0.1:0", where[] = "--home=home";
	char *args[] = { listen, where };
	int fd;

	assert_int_equal(options_parse(&options, SPECS, "up", 2, args, &f), 0);
	assert_int_equal(settings_load(&settings, &options, &f), 0);
	assert_int_equal(home_open(&home, "home", true, &f), 0);
	assert_int_equal(agent_new(&agent, loop, &home, &settings, false, &f), 0);
	fd = home_listen(&home, &f);
	assert_true(fd >= 0);
	assert_int_equal(control_new(&control, loop, agent, fd), 0);
}

static void start_peer(void)
{
	godwit_options o;

	godwit_options_init(&o);
	o.ephemeral = true;
	o.listen = "127.0.0.1:0";
	assert_int_equal(godwit_node_new(&peer_node, &o), 0);
	assert_int_equal(hub_new(&peer_hub, loop, peer_node), 0);
	assert_int_equal(hub_offer(peer_hub, "echo", on_incoming, NULL), 0);
	assert_int_equal(godwit_allow(peer_node, NULL, NULL), 0);
	assert_int_equal(godwit_node_ticket(peer_node, "echo", destination), 0);
	peer = NULL;
}

static int setup(void **state)
{
	(void)state;
	unsetenv("GODWIT_CONFIG");
	unsetenv("GODWIT_IDENTITY");
	memset(calls, 0, sizeof(calls));
	assert_int_equal(loop_new(&loop), 0);
	start_agent();
	start_peer();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	for (size_t i = 0; i < CALLS; i++) {
		control_call_free(calls[i].call);
		json_decref(calls[i].last);
	}
	fail_usage(&f, "", "the test is over");
	control_free(control, &f);
	agent_free(agent);
	settings_clear(&settings);
	home_unlisten(&home);
	home_close(&home);
	godwit_stream_free(peer);
	hub_free(peer_hub);
	godwit_node_free(peer_node);
	loop_free(loop);
	return 0;
}

/* --- clients --- */

static void on_event(void *user, const json_t *event)
{
	struct call *c = user;

	assert_int_equal(c->ends, 0);
	c->events++;
	json_decref(c->last);
	c->last = json_deep_copy(event);
}

static void on_end(void *user, const struct failure *failure)
{
	struct call *c = user;

	c->ends++;
	c->failed = failure;
	if (failure)
		c->failure = *failure;
}

static struct call *ask_json(json_t *request, const int *fds)
{
	struct call *c = calls;
	struct op_sink sink = { on_event, on_end, NULL };
	int fd = home_connect(&home);

	assert_non_null(request);
	assert_true(fd >= 0);
	while (c->call)
		c++;
	assert_true(c < calls + CALLS);
	sink.user = c;
	assert_int_equal(control_call_new(&c->call, loop, fd, request, fds, &sink), 0);
	json_decref(request);
	return c;
}

static struct call *ask(const char *op, const int *fds)
{
	return ask_json(json_pack("{s:s,s:s}", "op", op, "to", destination), fds);
}

static void hang_up(struct call *c)
{
	control_call_free(c->call);
	json_decref(c->last);
	memset(c, 0, sizeof(*c));
}

static void assert_failed(const struct call *c, const char *code)
{
	assert_int_equal(c->ends, 1);
	assert_true(c->failed);
	assert_string_equal(c->failure.code, code);
}

static void check_alive(void)
{
	struct call *c = ask("status", NULL);

	RUN_UNTIL(c->ends);
	assert_int_equal(c->events, 1);
	assert_false(c->failed);
	hang_up(c);
}

/* A client that speaks for itself. */
static int connect_raw(void)
{
	int fd = home_connect(&home);

	assert_true(fd >= 0);
	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	return fd;
}

static void say(int fd, const char *text, size_t len)
{
	gw_time give_up = loop_clock() + PATIENCE;

	while (len > 0) {
		ssize_t n = send(fd, text, len, MSG_NOSIGNAL);

		assert_true(n > 0 || errno == EAGAIN);
		assert_true(loop_clock() < give_up);
		text += n > 0 ? n : 0;
		len -= n > 0 ? (size_t)n : 0;
		turn();
	}
}

/* Runs until the node has said `lines` lines, or nothing more (then returns false). */
static bool hear(int fd, unsigned lines, char out[ANSWER_MAX])
{
	gw_time give_up = loop_clock() + PATIENCE;
	size_t len = 0;

	for (;;) {
		ssize_t n = recv(fd, out + len, ANSWER_MAX - 1 - len, 0);

		assert_true(loop_clock() < give_up);
		if (n == 0 || (n < 0 && errno != EAGAIN))
			return false;
		for (ssize_t i = 0; i < n; i++)
			lines -= out[len + (size_t)i] == '\n';
		len += n > 0 ? (size_t)n : 0;
		out[len] = '\0';
		if (lines == 0)
			return true;
		turn();
	}
}

static bool is_hung_up(int fd)
{
	char byte;
	ssize_t n = recv(fd, &byte, 1, 0);

	return n == 0 || (n < 0 && errno != EAGAIN);
}

static size_t count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	size_t count = 0;

	assert_non_null(d);
	while (readdir(d))
		count++;
	closedir(d);
	return count;
}

/* --- requests and answers --- */

static void request_is_answered(void **state)
{
	char address[GODWIT_ADDRESS_SIZE];
	struct call *c = ask("status", NULL);

	(void)state;
	RUN_UNTIL(c->ends);
	assert_int_equal(c->events, 1);
	assert_false(c->failed);
	godwit_node_address(hub_node(agent_hub(agent)), address);
	assert_string_equal(json_string_value(json_object_get(c->last, "address")), address);
	assert_int_equal(json_integer_value(json_object_get(c->last, "pid")), getpid());
}

static void many_clients_are_served_at_once(void **state)
{
	char ticket[GODWIT_TICKET_SIZE];

	(void)state;
	for (size_t i = 0; i < CALLS; i++)
		ask(i % 2 ? "ticket" : "status", NULL);
	for (size_t i = 0; i < CALLS; i++)
		RUN_UNTIL(calls[i].ends);
	assert_int_equal(godwit_node_ticket(hub_node(agent_hub(agent)), NULL, ticket), 0);
	for (size_t i = 0; i < CALLS; i++) {
		assert_int_equal(calls[i].events, 1);
		assert_false(calls[i].failed);
		if (i % 2)
			assert_string_equal(
				json_string_value(json_object_get(calls[i].last, "ticket")),
				ticket);
	}
}

static void failure_arrives_whole(void **state)
{
	struct call *c =
		ask_json(json_pack("{s:s,s:s}", "op", "ticket", "service", "No Name"), NULL);

	(void)state;
	RUN_UNTIL(c->ends);
	assert_failed(c, "usage");
	assert_int_equal(c->events, 0);
	assert_int_equal(c->failure.exit, EXIT_USAGE);
	assert_string_equal(c->failure.message, "\"No Name\" is no name for a service");
	assert_string_equal(c->failure.hint, "--service NAME, 1 to 63 of a-z 0-9 . _ -");
}

static void assert_version_error(const char *answer)
{
	json_t *j = json_loads(answer, 0, NULL);
	const json_t *error = json_object_get(j, "error");

	assert_true(json_is_true(json_object_get(j, "end")));
	assert_string_equal(json_string_value(json_object_get(error, "code")), "version");
	assert_non_null(strstr(json_string_value(json_object_get(error, "hint")),
			       "same version of godwit"));
	json_decref(j);
}

static void unknown_request_asks_for_the_same_version(void **state)
{
	struct call *c = ask("fly", NULL);

	(void)state;
	RUN_UNTIL(c->ends);
	assert_failed(c, "version");
	assert_int_equal(c->failure.exit, EXIT_FAILED);
	c = ask("connect", NULL); /* without descriptors */
	RUN_UNTIL(c->ends);
	assert_failed(c, "version");
}

static void broken_json_is_answered(void **state)
{
	static const char *const BROKEN[] = {
		"\n",           "{\n",          "nonsense\n", "[]\n",
		"\"status\"\n", "{\"op\":1}\n", "{} {}\n",    "\xff\n",
	};
	char answer[ANSWER_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(BROKEN) / sizeof(BROKEN[0]); i++) {
		int fd = connect_raw();

		say(fd, BROKEN[i], strlen(BROKEN[i]));
		assert_true(hear(fd, 1, answer));
		assert_version_error(answer);
		close(fd);
	}
	check_alive();
}

static void request_may_come_in_pieces(void **state)
{
	static const char REQUEST[] = "{\"op\":\"status\"}\n";
	char answer[ANSWER_MAX];
	int fd = connect_raw();

	(void)state;
	for (size_t i = 0; REQUEST[i]; i++)
		say(fd, REQUEST + i, 1);
	assert_true(hear(fd, 2, answer));
	assert_non_null(strstr(answer, "\n{\"end\":true}\n"));
	close(fd);
}

static void one_connection_is_one_request(void **state)
{
	static const char REQUESTS[] = "{\"op\":\"status\"}\n{\"op\":\"status\"}\n";
	char answer[ANSWER_MAX];
	int fd = connect_raw();

	(void)state;
	say(fd, REQUESTS, strlen(REQUESTS));
	assert_true(hear(fd, 2, answer));
	say(fd, REQUESTS, strlen(REQUESTS));
	check_alive();
	assert_int_equal(recv(fd, answer, sizeof(answer), 0), -1);
	assert_int_equal(errno, EAGAIN);
	close(fd);
}

/* --- lines --- */

static char line[CONTROL_LINE_MAX + 1];

static void make_line(const char *start, size_t len)
{
	memset(line, ' ', sizeof(line));
	memcpy(line, start, strlen(start));
	line[len - 1] = '\n';
}

static void longest_line_is_taken(void **state)
{
	char answer[ANSWER_MAX];
	int fd = connect_raw();

	(void)state;
	make_line("{\"op\":\"status\"}", CONTROL_LINE_MAX);
	say(fd, line, CONTROL_LINE_MAX);
	assert_true(hear(fd, 2, answer));
	close(fd);
}

static void longer_line_ends_the_connection(void **state)
{
	char answer[ANSWER_MAX];
	int fd = connect_raw();

	(void)state;
	make_line("{\"op\":\"status\"}", CONTROL_LINE_MAX + 1);
	say(fd, line, CONTROL_LINE_MAX + 1);
	assert_false(hear(fd, 1, answer));
	close(fd);
	check_alive();
}

static void longer_request_ends_at_once(void **state)
{
	struct call *c;

	(void)state;
	memset(line, 'x', CONTROL_LINE_MAX);
	line[CONTROL_LINE_MAX] = '\0';
	c = ask_json(json_pack("{s:s,s:s}", "op", "status", "more", line), NULL);
	RUN_UNTIL(c->ends);
	assert_failed(c, "node-exited");
	check_alive();
}

/* --- descriptors --- */

/* Asks to connect the peer with two pipes: ours are `*in`, to write to, and `*out`. */
static struct call *ask_connect(int *in, int *out)
{
	int request_in[2], request_out[2], fds[2];
	struct call *c;

	assert_int_equal(pipe2(request_in, O_CLOEXEC | O_NONBLOCK), 0);
	assert_int_equal(pipe2(request_out, O_CLOEXEC | O_NONBLOCK), 0);
	fds[0] = request_in[0];
	fds[1] = request_out[1];
	c = ask("connect", fds);
	assert_int_equal(close(fds[0]), 0); /* ours still: not taken over */
	assert_int_equal(close(fds[1]), 0);
	*in = request_in[1];
	*out = request_out[0];
	return c;
}

/* Reads all there is; true at the end. */
static bool read_to_end(int fd, char *out, size_t size)
{
	size_t len = strlen(out);
	ssize_t n = read(fd, out + len, size - 1 - len);

	assert_true(n >= 0 || errno == EAGAIN);
	if (n > 0)
		out[len + (size_t)n] = '\0';
	return n == 0;
}

static void connect_gets_the_clients_descriptors(void **state)
{
	char answer[32] = "";
	size_t before = count_fds();
	int in, out;
	struct call *c = ask_connect(&in, &out);

	(void)state;
	assert_int_equal(write(in, "to and fro", 10), 10);
	close(in);
	RUN_UNTIL(read_to_end(out, answer, sizeof(answer)));
	assert_string_equal(answer, "to and fro");
	RUN_UNTIL(c->ends);
	assert_false(c->failed);
	close(out);
	hang_up(c);
	RUN_UNTIL(count_fds() == before);
}

static void give_fds(int fd, const char *text, const int *fds, size_t count)
{
	union {
		char bytes[CMSG_SPACE(16 * sizeof(int))];
		struct cmsghdr align;
	} rights = { 0 };
	struct iovec iov = { .iov_base = (void *)(uintptr_t)text, .iov_len = strlen(text) };
	struct msghdr m = { .msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = rights.bytes,
			    .msg_controllen = CMSG_SPACE(count * sizeof(int)) };

	CMSG_FIRSTHDR(&m)->cmsg_level = SOL_SOCKET;
	CMSG_FIRSTHDR(&m)->cmsg_type = SCM_RIGHTS;
	CMSG_FIRSTHDR(&m)->cmsg_len = CMSG_LEN(count * sizeof(int));
	memcpy(CMSG_DATA(CMSG_FIRSTHDR(&m)), fds, count * sizeof(int));
	assert_int_equal(sendmsg(fd, &m, MSG_NOSIGNAL), strlen(text));
}

/* For a request that needs none, too many, before and after the request. */
static void no_descriptor_is_left_open(void **state)
{
	static const char STATUS[] = "{\"op\":\"status\"}\n";
	char answer[ANSWER_MAX];
	size_t before = count_fds();
	int many[16], fd = connect_raw();

	(void)state;
	for (size_t i = 0; i < 16; i++)
		many[i] = STDERR_FILENO;
	give_fds(fd, STATUS, many, 16);
	assert_true(hear(fd, 2, answer));
	give_fds(fd, "more", many, 16);
	check_alive();
	RUN_UNTIL(count_fds() == before + 2); /* the connection's two ends */
	close(fd);
	fd = connect_raw();
	give_fds(fd, "{", many, 1);
	turn();
	give_fds(fd, "\"op\"", many, 3);
	turn();
	close(fd);
	RUN_UNTIL(count_fds() == before);
}

/* --- clients that go away --- */

static void client_that_goes_cancels_its_connection(void **state)
{
	char answer[32] = "";
	int in, out;
	struct call *c = ask_connect(&in, &out);

	(void)state;
	assert_int_equal(write(in, "x", 1), 1);
	RUN_UNTIL((read_to_end(out, answer, sizeof(answer)), *answer));
	hang_up(c);
	RUN_UNTIL(godwit_stream_error(peer));
	assert_int_equal(godwit_stream_error(peer), GODWIT_E_RESET);
	RUN_UNTIL(read_to_end(out, answer, sizeof(answer)));
	assert_int_equal(write(in, "x", 1), -1);
	assert_int_equal(errno, EPIPE);
	RUN_UNTIL(godwit_node_streams(hub_node(agent_hub(agent)), NULL, 0) == 0);
	close(in);
	close(out);
}

static struct call *ask_expose(const char *name)
{
	return ask_json(json_pack("{s:s,s:s,s:s,s:[s]}", "op", "expose", "name", name, "target",
				  "5432", "allow", "any"),
			NULL);
}

static void client_that_goes_withdraws_its_service(void **state)
{
	struct call *c = ask_expose("pg"), *second;

	(void)state;
	RUN_UNTIL(c->events);
	assert_int_equal(c->ends, 0);
	assert_string_equal(json_string_value(json_object_get(c->last, "target")),
			    "tcp:127.0.0.1:5432");
	assert_non_null(agent_find_offer(agent, "pg"));
	second = ask_expose("pg");
	RUN_UNTIL(second->ends);
	assert_failed(second, "exists");
	assert_non_null(agent_find_offer(agent, "pg"));
	hang_up(c);
	RUN_UNTIL(!agent_find_offer(agent, "pg"));
	check_alive();
}

/* How the agent answers the peer: 0, the bench is served. */
static int try_bench(void)
{
	godwit_stream *s;
	godwit_stream_info info;
	uint8_t key[GODWIT_KEY_SIZE];
	int error;

	godwit_node_key(hub_node(agent_hub(agent)), key);
	assert_int_equal(godwit_stream_open(peer_node, key, BENCH_SERVICE, &s), 0);
	peer_handler.on_event = on_peer;
	godwit_stream_set_user(s, &peer_handler);
	RUN_UNTIL((godwit_stream_describe(s, &info), info.answered) || godwit_stream_error(s));
	error = godwit_stream_error(s);
	godwit_stream_free(s);
	return error;
}

/* Two services let the same peers use the bench: who goes takes back what was its own. */
static void what_others_have_granted_stays(void **state)
{
	char text[GODWIT_TICKET_SIZE];
	godwit_ticket ticket;
	struct call *one, *two;

	(void)state;
	/* With a ticket the peer is told that it is denied, whether its connection still stands or
	 * it dials anew; without, a dial would be met with silence. */
	assert_int_equal(godwit_node_ticket(hub_node(agent_hub(agent)), BENCH_SERVICE, text), 0);
	assert_int_equal(godwit_ticket_parse(text, &ticket), 0);
	godwit_add_ticket(peer_node, &ticket);
	one = ask_expose("one");
	two = ask_expose("two");
	RUN_UNTIL(one->events && two->events);
	assert_int_equal(try_bench(), 0);
	hang_up(one);
	RUN_UNTIL(!agent_find_offer(agent, "one"));
	assert_int_equal(try_bench(), 0);
	hang_up(two);
	RUN_UNTIL(!agent_find_offer(agent, "two"));
	assert_int_equal(try_bench(), GODWIT_E_DENIED);
}

static void client_that_goes_unasked_is_forgotten(void **state)
{
	size_t before = count_fds();
	int fd = connect_raw();

	(void)state;
	RUN_UNTIL(count_fds() == before + 2);
	close(fd);
	RUN_UNTIL(count_fds() == before);
	fd = connect_raw();
	say(fd, "{\"op\":", 6);
	close(fd);
	RUN_UNTIL(count_fds() == before);
}

static void clients_are_limited(void **state)
{
	static int fds[CONTROL_CLIENTS_MAX];
	size_t before = count_fds();
	int late;

	(void)state;
	for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++) {
		fds[i] = connect_raw();
		turn();
	}
	RUN_UNTIL(count_fds() == before + 2 * CONTROL_CLIENTS_MAX);
	assert_false(is_hung_up(fds[0]));
	late = connect_raw();
	RUN_UNTIL(is_hung_up(late));
	close(late);
	close(fds[0]);
	RUN_UNTIL(count_fds() == before + 2 * (CONTROL_CLIENTS_MAX - 1));
	check_alive();
	for (size_t i = 1; i < CONTROL_CLIENTS_MAX; i++)
		close(fds[i]);
	RUN_UNTIL(count_fds() == before);
}

/* --- the node goes --- */

static void node_that_exits_tells_its_clients(void **state)
{
	struct call *busy = ask_expose("pg"), *ended = ask("status", NULL);
	char answer[ANSWER_MAX];
	int fd = connect_raw();

	(void)state;
	RUN_UNTIL(busy->events && ended->ends);
	say(fd, "{", 1);
	fail_error(&f, GODWIT_E_IN_USE, "identity");
	control_free(control, &f);
	control = NULL;
	assert_null(agent_find_offer(agent, "pg"));
	RUN_UNTIL(busy->ends);
	assert_failed(busy, "in-use");
	assert_string_equal(busy->failure.message, f.message);
	assert_int_equal(ended->ends, 1);
	assert_true(hear(fd, 1, answer)); /* it had not asked yet */
	assert_non_null(strstr(answer, "\"in-use\""));
	close(fd);
}

static void lost_node_is_an_end(void **state)
{
	struct call *c;
	int listener, fd;

	(void)state;
	fail_usage(&f, "", "unused");
	control_free(control, &f);
	control = NULL;
	listener = home_listen(&home, &f);
	assert_true(listener >= 0);
	c = ask("status", NULL);
	fd = accept(listener, NULL, NULL);
	assert_int_equal(send(fd, "{\"half\":", 8, 0), 8);
	turn();
	close(fd);
	close(listener);
	RUN_UNTIL(c->ends);
	assert_failed(c, "node-exited");
	assert_string_equal(c->failure.message, "the node of this home is gone");
	assert_string_equal(c->failure.hint, "godwit up");
	assert_int_equal(c->events, 0);
}

/* The last test: its request must not use the service that another one has taken away. */
/* A service that a live command offers ends with the command, not before. */
static void forgotten_service_ends_with_its_command(void **state)
{
	struct call *owner = ask_expose("pg"), *other;

	(void)state;
	RUN_UNTIL(owner->events);
	other = ask_json(json_pack("{s:s,s:s}", "op", "forget", "name", "pg"), NULL);
	RUN_UNTIL(other->ends);
	assert_false(other->failed);
	assert_non_null(agent_find_offer(agent, "pg"));
	hang_up(owner);
	RUN_UNTIL(!agent_find_offer(agent, "pg"));
	check_alive();
}

static int enter_directory(void **state)
{
	(void)state;
	return mkdtemp(directory) && chdir(directory) == 0 ? 0 : -1;
}

static int leave_directory(void **state)
{
	(void)state;
	unlink("home/identity.pem");
	unlink("home/audit.jsonl");
	return rmdir("home") == 0 && chdir("..") == 0 && rmdir(directory) == 0 ? 0 : -1;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(request_is_answered),
		TEST(many_clients_are_served_at_once),
		TEST(failure_arrives_whole),
		TEST(unknown_request_asks_for_the_same_version),
		TEST(broken_json_is_answered),
		TEST(request_may_come_in_pieces),
		TEST(one_connection_is_one_request),
		TEST(longest_line_is_taken),
		TEST(longer_line_ends_the_connection),
		TEST(longer_request_ends_at_once),
		TEST(connect_gets_the_clients_descriptors),
		TEST(no_descriptor_is_left_open),
		TEST(client_that_goes_cancels_its_connection),
		TEST(client_that_goes_withdraws_its_service),
		TEST(what_others_have_granted_stays),
		TEST(client_that_goes_unasked_is_forgotten),
		TEST(clients_are_limited),
		TEST(node_that_exits_tells_its_clients),
		TEST(lost_node_is_an_end),
		TEST(forgotten_service_ends_with_its_command),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, enter_directory, leave_directory);
}
