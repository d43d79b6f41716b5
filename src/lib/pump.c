// SPDX-License-Identifier: Apache-2.0
#include "lib/pump.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"

enum { TURN_BYTES = 1 << 20 }; /* copied each way before others get their turn */

/* As long as TCP keeps a closed socket whose peer neither ends nor sends (FIN-WAIT-2). */
#define LINGER (60 * GW_SEC)

struct pump *pump_new(struct loop *loop, godwit_stream *stream, pump_done_fn *done)
{
	struct pump *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->loop = loop;
	p->stream = stream;
	p->done = done;
	p->fd = -1;
	godwit_stream_set_user(stream, p);
	return p;
}

static void close_socket(struct pump *p)
{
	if (p->fd < 0)
		return;
	loop_remove(p->source);
	close(p->fd);
	p->source = NULL;
	p->fd = -1;
}

/* True while the socket should be watched for input. */
static bool socket_to_stream(struct pump *p)
{
	size_t total = 0;

	while (!p->app_ended) {
		size_t len;
		void *space = godwit_stream_write_space(p->stream, &len);
		ssize_t n;

		if (!space)
			return false; /* GODWIT_STREAM_WRITABLE will come */
		if (total >= TURN_BYTES)
			return true;
		n = recv(p->fd, space, len, MSG_DONTWAIT);
		if (n > 0) {
			godwit_stream_write_commit(p->stream, (size_t)n);
			total += (size_t)n;
		} else if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
			return true;
		} else { /* an error means closed with bytes unread */
			p->discard |= n < 0;
			p->app_ended = true;
			godwit_stream_finish(p->stream);
		}
	}
	return false;
}

/* Returns the bytes passed on, or -1 when the socket takes no more now. */
static ssize_t pass_on(struct pump *p, const void *data, size_t len)
{
	ssize_t n;

	p->unwanted |= p->discard;
	if (p->discard)
		return (ssize_t)len;
	n = send(p->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n >= 0)
		return n;
	if (errno == EAGAIN || errno == EINTR || errno == ENOBUFS)
		return -1;
	p->discard = p->unwanted = true;
	return (ssize_t)len;
}

/* True while the socket should be watched for room. */
static bool stream_to_socket(struct pump *p)
{
	size_t total = 0;

	while (!p->peer_ended) {
		size_t len;
		const void *data = godwit_stream_read(p->stream, &len);
		ssize_t n;

		if (len == 0) {
			if (!godwit_stream_read_finished(p->stream))
				return false;
			if (p->fd >= 0)
				shutdown(p->fd, SHUT_WR);
			p->peer_ended = true;
			return false;
		}
		if (total >= TURN_BYTES && !p->discard)
			return true;
		n = pass_on(p, data, len);
		if (n < 0)
			return true;
		godwit_stream_consume(p->stream, (size_t)n);
		total += (size_t)n;
	}
	return false;
}

void pump_free(struct pump *p)
{
	if (p->fd >= 0)
		stream_to_socket(p); /* after a failure: what had come before it */
	close_socket(p);
	loop_timer_free(p->linger);
	list_remove(&p->link);
	godwit_stream_set_user(p->stream, NULL);
	godwit_stream_free(p->stream);
	free(p);
}

/* When the application has closed, what it wrote is delivered first; then whatever the peer
 * sends resets the stream, as TCP does.  (A reset at once could overtake the bytes.) */
static bool ended(const struct pump *p)
{
	if (godwit_stream_error(p->stream) != 0)
		return true;
	return p->app_ended && (p->peer_ended || p->unwanted) && godwit_stream_delivered(p->stream);
}

static void on_linger(void *user)
{
	struct pump *p = user;

	p->done(p);
}

/* Nothing is left to do but to see the peer's end. */
static bool start_linger(struct pump *p)
{
	if (p->linger || !p->discard || !p->app_ended || !godwit_stream_delivered(p->stream))
		return true;
	close_socket(p);
	p->linger = loop_timer_new(p->loop, on_linger, p);
	if (p->linger)
		loop_timer_set(p->linger, loop_clock() + LINGER);
	return p->linger != NULL;
}

bool pump_run(struct pump *p)
{
	bool in, out;

	if (godwit_stream_error(p->stream) != 0)
		return false;
	out = stream_to_socket(p);
	in = socket_to_stream(p);
	if (p->app_ended && p->peer_ended)
		close_socket(p);
	else if (p->source)
		loop_modify(p->source, (in ? LOOP_IN : 0U) | (out ? LOOP_OUT : 0U));
	return !ended(p) && start_linger(p);
}

static void on_socket(void *user, int fd, unsigned events)
{
	struct pump *p = user;

	(void)fd;
	/* After our own shutdown() a half-closed socket looks hung up too. */
	if ((events & LOOP_HANGUP) && !p->peer_ended)
		p->discard = true;
	if (!pump_run(p))
		p->done(p);
}

int pump_open(struct pump *p, int *fd)
{
	struct stat st;
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
		return GW_E_IO;
	p->source = loop_add(p->loop, pair[0], LOOP_IN, on_socket, p);
	if (!p->source || fstat(pair[1], &st) != 0) {
		loop_remove(p->source);
		p->source = NULL;
		close(pair[0]);
		close(pair[1]);
		return GW_E_NOMEM;
	}
	p->fd = pair[0];
	p->socket = st.st_ino;
	*fd = pair[1];
	return 0;
}
