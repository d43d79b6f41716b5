/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "service/datagrams.h"

enum {
	BATCH = 8,
	BUFFER = 16384, /* larger than what any path carries */
	ROUNDS = 8,     /* batches before others get their turn */
};

struct join {
	struct stream_handler handler;
	struct hub *hub;
	godwit_stream *stream;
	int fd;
	struct loop_source *source;
	struct size_notice *notice;
	join_done_fn *done;
	void *user;
};

void size_notice_tell(struct size_notice *n, size_t size, size_t limit)
{
	if (limit <= n->told || !n->fn)
		return;
	n->told = limit;
	n->fn(n->user, size, limit);
}

static void release(struct join *j)
{
	if (j->source)
		loop_remove(j->source);
	close(j->fd);
	godwit_stream_set_user(j->stream, NULL);
	godwit_stream_free(j->stream);
	free(j);
}

void join_stop(struct join *j)
{
	release(j);
}

/* An error that an earlier datagram has left on the socket is told once, instead of sending. */
static void give(const struct join *j, const void *data, size_t len)
{
	if (send(j->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && errno != EAGAIN)
		(void)!send(j->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void stream_to_socket(const struct join *j)
{
	uint8_t data[BUFFER];
	ssize_t len;

	while ((len = godwit_datagram_receive(j->stream, data, sizeof(data))) >= 0)
		give(j, data, (size_t)len);
}

static void on_stream(struct stream_handler *handler, godwit_stream *stream, unsigned flags)
{
	struct join *j = (struct join *)handler;

	(void)flags;
	stream_to_socket(j);
	if (godwit_stream_error(stream) || godwit_stream_read_finished(stream)) {
		join_done_fn *done = j->done;
		void *user = j->user;

		release(j);
		done(user);
	}
}

static void take(const struct join *j, const void *data, size_t len)
{
	if (godwit_datagram_send(j->stream, data, len) == GODWIT_E_LENGTH)
		size_notice_tell(j->notice, len, godwit_datagram_max(j->stream));
}

/* The number taken; negative: the socket has told an error, which is forgotten with that. */
static int take_batch(const struct join *j)
{
	uint8_t data[BATCH][BUFFER];
	struct mmsghdr msgs[BATCH];
	struct iovec iov[BATCH];
	int n;

	for (int i = 0; i < BATCH; i++) {
		iov[i] = (struct iovec){ &data[i][0], BUFFER };
		msgs[i] = (struct mmsghdr){ .msg_hdr = { .msg_iov = &iov[i], .msg_iovlen = 1 } };
	}
	/* MSG_TRUNC: the true length.  What exceeds the buffer exceeds every limit, and is not
	 * looked at. */
	n = recvmmsg(j->fd, msgs, BATCH, MSG_DONTWAIT | MSG_TRUNC, NULL);
	if (n < 0)
		return errno == EAGAIN ? 0 : -1;
	for (int i = 0; i < n; i++)
		take(j, data[i], msgs[i].msg_len);
	return n;
}

static void on_socket(void *user, int fd, unsigned events)
{
	struct join *j = user;
	struct hub *h = j->hub;

	(void)fd;
	(void)events;
	for (int i = 0; i < ROUNDS; i++) {
		int n = take_batch(j);

		if (n >= 0 && n < BATCH)
			break;
	}
	hub_wake(h);
}

int join_start(struct hub *h, godwit_stream *stream, int fd, struct size_notice *notice,
	       join_done_fn *done, void *user, struct join **out)
{
	struct join *j = calloc(1, sizeof(*j));

	if (!j) {
		close(fd);
		hub_refuse(stream, GODWIT_E_LIMIT);
		return GODWIT_E_NOMEM;
	}
	j->handler.on_event = on_stream;
	j->hub = h;
	j->stream = stream;
	j->fd = fd;
	j->notice = notice;
	j->done = done;
	j->user = user;
	godwit_stream_set_user(stream, &j->handler);
	j->source = loop_add(hub_loop(h), fd, LOOP_IN, on_socket, j);
	if (!j->source) {
		release(j);
		return GODWIT_E_NOMEM;
	}
	stream_to_socket(j); /* what has come while the target was being reached */
	*out = j;
	return 0;
}
