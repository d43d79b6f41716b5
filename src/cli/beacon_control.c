/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/beacon_control.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/list.h"
#include "cli/fail.h"
#include "cli/home.h"
#include "cli/text.h"

enum { CLIENTS_MAX = 16, LINE_MAX_SIZE = 4096 };

#define PATIENCE (10 * GW_SEC)

struct asker {
	struct list_item link;
	struct beacon_control *control;
	int fd;
	struct loop_source *source;
	struct loop_timer *patience;
	size_t len;
	char line[LINE_MAX_SIZE];
};

struct beacon_control {
	struct loop *loop;
	int fd;
	struct loop_source *source;
	struct list askers;
	size_t count;
	json_t *(*status)(void *user);
	void *user;
};

static void drop(struct asker *a)
{
	list_remove(&a->link);
	a->control->count--;
	if (a->source)
		loop_remove(a->source);
	loop_timer_free(a->patience);
	close(a->fd);
	free(a);
}

/* The answer is short: the socket's buffer takes it whole, or it is lost. */
static void say(const struct asker *a, json_t *j)
{
	char *text = json_dumps(j, JSON_COMPACT);
	struct iovec iov[2] = { { text, text ? strlen(text) : 0 }, { "\n", 1 } };
	struct msghdr m = { .msg_iov = iov, .msg_iovlen = 2 };

	if (text)
		(void)!sendmsg(a->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
	free(text);
	json_decref(j);
}

static void answer(struct asker *a, const json_t *request)
{
	struct beacon_control *c = a->control;
	struct failure f;

	if (strcmp(get_text(request, "op"), "status") == 0) {
		say(a, c->status(c->user));
		say(a, json_pack("{s:b}", "end", 1));
		return;
	}
	fail_usage(&f, "godwit status; or another --home DIR",
		   "a beacon runs in this home, no node");
	f.exit = EXIT_NO_NODE;
	say(a, json_pack("{s:b,s:o}", "end", 1, "error", fail_to_json(&f)));
}

static void on_asker(void *user, int fd, unsigned events)
{
	struct asker *a = user;
	ssize_t n = recv(fd, a->line + a->len, sizeof(a->line) - a->len, MSG_DONTWAIT);
	const char *newline;
	json_t *request;

	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		drop(a);
		return;
	}
	a->len += (size_t)n;
	newline = memchr(a->line, '\n', a->len);
	if (newline) {
		request = json_loadb(a->line, (size_t)(newline - a->line), 0, NULL);
		answer(a, request);
		json_decref(request);
	}
	if (newline || a->len == sizeof(a->line))
		drop(a);
}

static void on_impatient(void *user)
{
	drop(user);
}

static void on_listener(void *user, int listener, unsigned events)
{
	struct beacon_control *c = user;
	int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	struct asker *a;

	(void)events;
	if (fd < 0)
		return;
	a = c->count < CLIENTS_MAX && home_peer_is_us(fd) ? calloc(1, sizeof(*a)) : NULL;
	if (!a) {
		close(fd);
		return;
	}
	a->control = c;
	a->fd = fd;
	list_append(&c->askers, &a->link);
	c->count++;
	a->source = loop_add(c->loop, fd, LOOP_IN, on_asker, a);
	a->patience = loop_timer_new(c->loop, on_impatient, a);
	if (!a->source || !a->patience)
		drop(a);
	else
		loop_timer_set(a->patience, loop_now(c->loop) + PATIENCE);
}

struct beacon_control *beacon_control_new(struct loop *loop, int fd, json_t *(*status)(void *user),
					  void *user)
{
	struct beacon_control *c = calloc(1, sizeof(*c));

	if (c)
		c->source = loop_add(loop, fd, LOOP_IN, on_listener, c);
	if (!c || !c->source) {
		free(c);
		close(fd);
		return NULL;
	}
	c->loop = loop;
	c->fd = fd;
	c->status = status;
	c->user = user;
	list_init(&c->askers);
	return c;
}

void beacon_control_free(struct beacon_control *c)
{
	if (!c)
		return;
	list_each(&c->askers, i, next)
		drop(container_of(i, struct asker, link));
	loop_remove(c->source);
	close(c->fd);
	free(c);
}
