/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/control.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/list.h"

enum { OUTPUT_MAX = 64 << 20 };

/* A client that sends no request is not kept. */
#define REQUEST_PATIENCE (10 * GW_SEC)

/* Out of descriptors: let some clients end before the next accept(). */
#define ACCEPT_PAUSE (100 * GW_MSEC)

/* --- lines --- */

struct lines {
	char *data;
	size_t len, size;
};

static bool lines_append(struct lines *l, const char *data, size_t len, size_t most)
{
	size_t size = l->size ? l->size : 1024;
	char *grown;

	if (l->len + len > most)
		return false;
	while (size < l->len + len)
		size *= 2;
	if (size != l->size) {
		grown = realloc(l->data, size);
		if (!grown)
			return false;
		l->data = grown;
		l->size = size;
	}
	memcpy(l->data + l->len, data, len);
	l->len += len;
	return true;
}

static void lines_drop(struct lines *l, size_t len)
{
	l->len -= len;
	memmove(l->data, l->data + len, l->len);
}

static bool lines_append_json(struct lines *l, const json_t *j)
{
	char *text = json_dumps(j, JSON_COMPACT);
	bool good = text && lines_append(l, text, strlen(text), OUTPUT_MAX) &&
		    lines_append(l, "\n", 1, OUTPUT_MAX);

	free(text);
	return good;
}

/* --- server --- */

struct client {
	struct list_item link;
	struct control *control;
	int fd;
	struct loop_source *source;
	struct loop_timer *patience;
	struct lines in, out;
	int fds[2];
	size_t n_fds;
	struct op *op;
	bool asked, broken, finished;
};

struct control {
	struct loop *loop;
	struct agent *agent;
	int fd;
	struct loop_source *source;
	struct loop_timer *pause;
	struct list clients;
	size_t n_clients;
};

static void drop(struct client *c)
{
	list_remove(&c->link);
	c->control->n_clients--;
	if (c->op)
		op_cancel(c->op);
	if (c->source)
		loop_remove(c->source);
	loop_timer_free(c->patience);
	for (size_t i = 0; i < c->n_fds; i++)
		close(c->fds[i]);
	close(c->fd);
	free(c->in.data);
	free(c->out.data);
	free(c);
}

/* Never drops the client: the caller may still use it. */
static void flush(struct client *c)
{
	while (c->out.len > 0 && !c->broken) {
		ssize_t n = send(c->fd, c->out.data, c->out.len, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n > 0)
			lines_drop(&c->out, (size_t)n);
		else if (errno == EAGAIN || errno == EINTR)
			break;
		else
			c->broken = true;
	}
	if (c->broken) /* seen as readable: on_client() drops it */
		shutdown(c->fd, SHUT_RDWR);
	loop_modify(c->source, c->out.len > 0 && !c->broken ? LOOP_IN | LOOP_OUT : LOOP_IN);
}

static void on_op_event(void *user, const json_t *event)
{
	struct client *c = user;

	c->broken |= !lines_append_json(&c->out, event);
	flush(c);
}

static void on_op_end(void *user, const struct failure *f)
{
	struct client *c = user;
	json_t *last = f ? json_pack("{s:b,s:o}", "end", 1, "error", fail_to_json(f))
			 : json_pack("{s:b}", "end", 1);

	c->finished = true;
	on_op_event(c, last);
	json_decref(last);
}

static void ask(struct client *c, size_t len)
{
	struct op_sink sink = { on_op_event, on_op_end, c };
	json_t *request = json_loadb(c->in.data, len, 0, NULL);
	int fds[2] = { -1, -1 };

	c->asked = true;
	loop_timer_set(c->patience, GW_NEVER);
	for (size_t i = 0; i < c->n_fds; i++)
		fds[i] = c->fds[i];
	c->n_fds = 0;
	op_start(c->control->agent, request, fds, &sink, &c->op);
	json_decref(request);
	hub_wake(agent_hub(c->control->agent));
}

static void take_fds(struct client *c, struct msghdr *m)
{
	for (struct cmsghdr *cm = CMSG_FIRSTHDR(m); cm; cm = CMSG_NXTHDR(m, cm)) {
		size_t count = (cm->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (cm->cmsg_level != SOL_SOCKET || cm->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < count; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(cm) + i * sizeof(int), sizeof(int));
			if (c->n_fds < 2 && !c->asked)
				c->fds[c->n_fds++] = fd;
			else
				close(fd);
		}
	}
}

/* Returns what recvmsg() does. */
static ssize_t receive(struct client *c, char *data, size_t size)
{
	union {
		char bytes[CMSG_SPACE(8 * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov = { .iov_base = data, .iov_len = size };
	struct msghdr m = { .msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = control.bytes,
			    .msg_controllen = sizeof(control.bytes) };
	ssize_t n = recvmsg(c->fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (n >= 0)
		take_fds(c, &m);
	return n;
}

static void on_client(void *user, int fd, unsigned events)
{
	struct client *c = user;
	char data[4096];
	const char *newline;
	ssize_t n;

	(void)fd;
	if (events & LOOP_OUT)
		flush(c);
	n = receive(c, data, sizeof(data));
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR) || c->broken) {
		struct hub *h = agent_hub(c->control->agent);

		drop(c);
		hub_wake(h);
		return;
	}
	if (n <= 0 || c->asked)
		return;
	if (!lines_append(&c->in, data, (size_t)n, CONTROL_LINE_MAX)) {
		drop(c);
		return;
	}
	newline = memchr(c->in.data, '\n', c->in.len);
	if (newline)
		ask(c, (size_t)(newline - c->in.data));
}

static void on_impatient(void *user)
{
	drop(user);
}

static void add_client(struct control *control, int fd)
{
	struct client *c = calloc(1, sizeof(*c));

	if (!c || control->n_clients == CONTROL_CLIENTS_MAX || !home_peer_is_us(fd)) {
		free(c);
		close(fd);
		return;
	}
	c->control = control;
	c->fd = fd;
	list_append(&control->clients, &c->link);
	control->n_clients++;
	c->patience = loop_timer_new(control->loop, on_impatient, c);
	c->source = loop_add(control->loop, fd, LOOP_IN, on_client, c);
	if (!c->patience || !c->source) {
		drop(c);
		return;
	}
	loop_timer_set(c->patience, loop_now(control->loop) + REQUEST_PATIENCE);
}

static void on_pause_over(void *user)
{
	struct control *control = user;

	loop_modify(control->source, LOOP_IN);
}

static void on_listener(void *user, int fd, unsigned events)
{
	struct control *control = user;
	int accepted = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	(void)events;
	if (accepted >= 0) {
		add_client(control, accepted);
	} else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
		loop_modify(control->source, 0);
		loop_timer_set(control->pause, loop_now(control->loop) + ACCEPT_PAUSE);
	}
}

int control_new(struct control **out, struct loop *loop, struct agent *a, int fd)
{
	struct control *c = calloc(1, sizeof(*c));

	if (c) {
		c->source = loop_add(loop, fd, LOOP_IN, on_listener, c);
		c->pause = loop_timer_new(loop, on_pause_over, c);
	}
	if (!c || !c->source || !c->pause) {
		if (c && c->source)
			loop_remove(c->source);
		if (c)
			loop_timer_free(c->pause);
		free(c);
		close(fd);
		return GODWIT_E_NOMEM;
	}
	list_init(&c->clients);
	c->loop = loop;
	c->agent = a;
	c->fd = fd;
	*out = c;
	return 0;
}

void control_free(struct control *c, const struct failure *f)
{
	if (!c)
		return;
	loop_remove(c->source);
	loop_timer_free(c->pause);
	close(c->fd);
	list_each(&c->clients, i, next) {
		struct client *client = container_of(i, struct client, link);

		if (client->op)
			op_cancel(client->op);
		if (!client->finished)
			on_op_end(client, f);
		drop(client);
	}
	free(c);
}

/* --- the client's side --- */

struct control_call {
	int fd;
	struct loop_source *source;
	struct lines in;
	struct op_sink sink;
};

static void finish(struct control_call *c, const struct failure *f)
{
	/* Before the sink: it may free the call. */
	loop_remove(c->source);
	c->source = NULL;
	c->sink.end(c->sink.user, f);
}

static void lose(struct control_call *c)
{
	struct failure f;

	fail_error(&f, GODWIT_E_CLOSED, "the node");
	snprintf(f.code, sizeof(f.code), "node-exited");
	fail_message(&f, "the node of this home is gone");
	fail_hint(&f, "godwit up");
	finish(c, &f);
}

/* False: that was the last one. */
static bool take_line(struct control_call *c, const json_t *j)
{
	const json_t *error = json_object_get(j, "error");
	struct failure f;

	if (!json_is_object(j)) {
		lose(c);
		return false;
	}
	if (!json_is_true(json_object_get(j, "end"))) {
		c->sink.event(c->sink.user, j);
		return true;
	}
	if (error)
		fail_from_json(&f, error);
	finish(c, error ? &f : NULL);
	return false;
}

static void on_answer(void *user, int fd, unsigned events)
{
	struct control_call *c = user;
	char data[65536];
	ssize_t n = recv(fd, data, sizeof(data), MSG_DONTWAIT);
	char *newline;

	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0 || !lines_append(&c->in, data, (size_t)n, OUTPUT_MAX)) {
		lose(c);
		return;
	}
	while ((newline = memchr(c->in.data, '\n', c->in.len)) != NULL) {
		size_t len = (size_t)(newline - c->in.data);
		json_t *j = json_loadb(c->in.data, len, 0, NULL);
		bool more = take_line(c, j);

		json_decref(j);
		if (!more)
			return;
		lines_drop(&c->in, len + 1);
	}
}

static bool send_all(int fd, const struct lines *l, const int *fds)
{
	union {
		char bytes[CMSG_SPACE(2 * sizeof(int))];
		struct cmsghdr align;
	} control = { 0 };
	struct iovec iov = { .iov_base = l->data, .iov_len = l->len };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (fds) {
		m.msg_control = control.bytes;
		m.msg_controllen = sizeof(control.bytes);
		CMSG_FIRSTHDR(&m)->cmsg_level = SOL_SOCKET;
		CMSG_FIRSTHDR(&m)->cmsg_type = SCM_RIGHTS;
		CMSG_FIRSTHDR(&m)->cmsg_len = CMSG_LEN(2 * sizeof(int));
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&m)), fds, 2 * sizeof(int));
	}
	/* The socket is blocking and the request short. */
	return sendmsg(fd, &m, MSG_NOSIGNAL) == (ssize_t)l->len;
}

int control_call_new(struct control_call **out, struct loop *loop, int fd, const json_t *request,
		     const int *fds, const struct op_sink *sink)
{
	struct control_call *c = calloc(1, sizeof(*c));
	struct lines line = { 0 };
	bool sent = c && lines_append_json(&line, request) && line.len <= CONTROL_LINE_MAX &&
		    send_all(fd, &line, fds);

	free(line.data);
	if (c)
		c->source = loop_add(loop, fd, LOOP_IN, on_answer, c);
	if (!c || !c->source) {
		free(c);
		close(fd);
		return GODWIT_E_NOMEM;
	}
	c->fd = fd;
	c->sink = *sink;
	*out = c;
	if (!sent)
		shutdown(fd, SHUT_RDWR); /* read as the node's end */
	return 0;
}

void control_call_free(struct control_call *c)
{
	if (!c)
		return;
	if (c->source)
		loop_remove(c->source);
	close(c->fd);
	free(c->in.data);
	free(c);
}
