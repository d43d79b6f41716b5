/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <linux/sockios.h>
#include <unistd.h>

#include "service/service.h"

enum {
	TURN_BYTES = 256 << 10, /* copied each way before others get their turn */
	PIPE_SAFE = 4096,       /* what a writable pipe takes without blocking (pipe(7)) */
};

/* How long a failed stream's last bytes wait for a local program that reads none of them, and how
 * often to look whether the kernel has passed them on. */
#define FLUSH_PATIENCE (5 * GW_SEC)
#define FLUSH_POLL (10 * GW_MSEC)

/* How a descriptor is kept from blocking the loop. */
enum fd_kind {
	FD_SOCKET,   /* MSG_DONTWAIT */
	FD_NONBLOCK, /* an open file description of our own */
	FD_SHARED,   /* blocking, and not ours alone: asked with poll() before each call */
	FD_FILE,     /* cannot be waited for */
};

struct end {
	int fd; /* -1: closed */
	enum fd_kind kind;
	struct loop_source *source;
	bool ended;
};

struct pump {
	struct stream_handler handler;
	struct hub *hub;
	godwit_stream *stream;
	struct end in, out; /* of a socket: the same fd, and the source is in.source */
	bool one_socket;
	bool listens;                /* to the local side: it tells when there is more */
	bool hung;                   /* nobody will read what we write any more */
	int error;                   /* of the stream, while its last bytes are passed on */
	struct loop_timer *flushing; /* waits for the kernel to pass them on */
	gw_time flush_until;
	uint64_t passed; /* bytes, to the local side */
	pump_done_fn *done;
	void *user;
};

/* --- descriptors --- */

/* O_NONBLOCK belongs to the open file description, which other processes may share (a shell's
 * terminal): open pipes and terminals anew. */
static enum fd_kind prepare(int fd, int access)
{
	char path[32];
	struct stat st;
	int own;

	if (fstat(fd, &st) != 0 || S_ISREG(st.st_mode) || S_ISBLK(st.st_mode))
		return FD_FILE;
	if (S_ISSOCK(st.st_mode))
		return FD_SOCKET;
	if (!S_ISFIFO(st.st_mode) && !isatty(fd))
		return FD_SHARED;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	own = open(path, access | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	if (own < 0)
		return FD_SHARED;
	dup3(own, fd, O_CLOEXEC);
	close(own);
	return FD_NONBLOCK;
}

static void close_end(struct end *e)
{
	if (e->source)
		loop_remove(e->source);
	if (e->fd >= 0)
		close(e->fd);
	e->source = NULL;
	e->fd = -1;
}

static void close_fds(struct pump *p)
{
	if (p->one_socket)
		p->out.fd = -1;
	close_end(&p->in);
	close_end(&p->out);
}

/* The local program is to see that this was no orderly end. */
static void make_abortive(const struct pump *p)
{
	struct linger linger = { .l_onoff = 1 };

	if (p->one_socket && p->in.fd >= 0)
		(void)setsockopt(p->in.fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
}

/* --- ends --- */

static void release(struct pump *p)
{
	close_fds(p);
	loop_timer_free(p->flushing);
	godwit_stream_set_user(p->stream, NULL);
	godwit_stream_free(p->stream);
	free(p);
}

static void finish(struct pump *p, int error, int sys)
{
	pump_done_fn *done = p->done;
	void *user = p->user;

	if (error)
		make_abortive(p);
	if (error == GODWIT_E_IO)
		godwit_stream_reset(p->stream, GODWIT_E_RESET);
	release(p);
	if (done)
		done(user, error, sys);
}

void pump_stop(struct pump *p)
{
	make_abortive(p);
	release(p);
}

/* --- bytes --- */

/* Would the call return at once?  Else errno is EAGAIN. */
static bool ready(const struct end *e, short events)
{
	struct pollfd p = { .fd = e->fd, .events = events };

	if (e->kind != FD_SHARED || poll(&p, 1, 0) != 0)
		return true;
	errno = EAGAIN;
	return false;
}

static ssize_t take(const struct end *e, void *data, size_t len)
{
	if (e->kind == FD_SOCKET)
		return recv(e->fd, data, len, MSG_DONTWAIT);
	return ready(e, POLLIN) ? read(e->fd, data, len) : -1;
}

static ssize_t give(const struct end *e, const void *data, size_t len)
{
	if (e->kind == FD_SOCKET)
		return send(e->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (!ready(e, POLLOUT))
		return -1;
	return write(e->fd, data, e->kind == FD_SHARED && len > PIPE_SAFE ? PIPE_SAFE : len);
}

static bool try_again(int error)
{
	return error == EAGAIN || error == EINTR || error == ENOBUFS;
}

/* `*watch`: more may come from the local side.  An errno when that has failed, else 0. */
static int local_to_stream(struct pump *p, bool *watch)
{
	size_t total = 0;

	*watch = false;
	while (!p->in.ended) {
		size_t len;
		void *space = godwit_stream_write_space(p->stream, &len);
		ssize_t n;

		if (!space)
			return 0; /* GODWIT_STREAM_WRITABLE will come */
		*watch = true;
		if (total >= TURN_BYTES)
			return 0;
		n = take(&p->in, space, len);
		if (n < 0)
			return try_again(errno) ? 0 : errno;
		if (n > 0) {
			godwit_stream_write_commit(p->stream, (size_t)n);
			total += (size_t)n;
			if (p->in.kind == FD_SOCKET && (size_t)n < len)
				return 0; /* there was no more */
			continue;
		}
		p->in.ended = true;
		*watch = false;
		godwit_stream_finish(p->stream);
	}
	return 0;
}

/* `*watch`: wait for room on the local side. */
static int stream_to_local(struct pump *p, bool *watch)
{
	size_t total = 0;

	*watch = false;
	while (!p->out.ended) {
		size_t len;
		const void *data = godwit_stream_read(p->stream, &len);
		ssize_t n;

		if (len == 0) {
			p->out.ended = godwit_stream_read_finished(p->stream);
			break;
		}
		*watch = true;
		if (total >= TURN_BYTES)
			return 0;
		n = give(&p->out, data, len);
		if (n < 0)
			return try_again(errno) ? 0 : errno;
		godwit_stream_consume(p->stream, (size_t)n);
		p->passed += (uint64_t)n;
		total += (size_t)n;
	}
	*watch = false;
	if (p->out.ended && p->out.fd >= 0) {
		if (p->out.kind == FD_SOCKET)
			shutdown(p->out.fd, SHUT_WR);
		if (!p->one_socket)
			close_end(&p->out);
	}
	return 0;
}

static void set_watch(struct pump *p, bool in, bool out)
{
	p->listens = in;
	if (p->one_socket) {
		if (p->in.source)
			loop_modify(p->in.source, (in ? LOOP_IN : 0U) | (out ? LOOP_OUT : 0U));
		return;
	}
	if (p->in.source)
		loop_modify(p->in.source, in ? LOOP_IN : 0);
	if (p->out.source)
		loop_modify(p->out.source, out ? LOOP_OUT : 0);
}

/* A reset would take unread bytes with it: wait until the local side has them. */
static bool kernel_holds_bytes(const struct pump *p)
{
	int held = 0;

	return p->one_socket && p->in.fd >= 0 && ioctl(p->in.fd, SIOCOUTQ, &held) == 0 && held > 0;
}

/* The stream has failed; what it had received before is still passed on. */
static void flush(struct pump *p)
{
	gw_time now = loop_now(hub_loop(p->hub));
	uint64_t before = p->passed;
	bool out;

	if (!p->flushing || stream_to_local(p, &out) != 0) {
		finish(p, p->error, 0);
		return;
	}
	if (p->passed != before)
		p->flush_until = now + FLUSH_PATIENCE;
	if (now >= p->flush_until || (!out && !kernel_holds_bytes(p))) {
		finish(p, p->error, 0);
		return;
	}
	set_watch(p, false, out);
	loop_timer_set(p->flushing, out ? p->flush_until : now + FLUSH_POLL);
}

static void on_flushing(void *user)
{
	struct pump *p = user;
	struct hub *h = p->hub;

	flush(p);
	hub_wake(h);
}

/* `look`: the local side may have something.  True: go on. */
static bool run(struct pump *p, bool look)
{
	bool in = p->listens, out = false;
	int sys;

	if (!p->error && godwit_stream_error(p->stream) != 0) {
		struct loop *loop = hub_loop(p->hub);

		p->error = godwit_stream_error(p->stream);
		p->flushing = loop_timer_new(loop, on_flushing, p);
		p->flush_until = loop_now(loop) + FLUSH_PATIENCE;
	}
	if (p->error) {
		flush(p);
		return false;
	}
	sys = stream_to_local(p, &out);
	if (sys == 0 && look)
		sys = local_to_stream(p, &in);
	if (sys != 0) {
		finish(p, GODWIT_E_IO, sys);
		return false;
	}
	/* What the local program wrote before it went away is delivered first. */
	if (p->hung && p->in.ended && !p->out.ended && godwit_stream_delivered(p->stream)) {
		finish(p, GODWIT_E_IO, EPIPE);
		return false;
	}
	if (p->in.ended && p->out.ended) {
		close_fds(p);
		if (godwit_stream_delivered(p->stream)) {
			finish(p, 0, 0);
			return false;
		}
	} else if (p->in.ended && !p->one_socket) {
		close_end(&p->in);
	}
	set_watch(p, in, out);
	return true;
}

static void on_stream(struct stream_handler *h, godwit_stream *stream, unsigned flags)
{
	struct pump *p = (struct pump *)h;

	(void)stream;
	(void)flags;
	(void)run(p, !p->listens);
}

static void on_fd(void *user, int fd, unsigned events)
{
	struct pump *p = user;
	struct hub *h = p->hub;

	/* Told once, perhaps.  What is to be read still is; a write fails by itself. */
	p->hung |= (events & LOOP_HANGUP) && fd == p->out.fd;
	(void)run(p, true);
	hub_wake(h);
}

/* Standard input and output are often one socket. */
static bool same_socket(int a, int b)
{
	struct stat x, y;

	return fstat(a, &x) == 0 && fstat(b, &y) == 0 && S_ISSOCK(x.st_mode) &&
	       x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

int pump_start(struct hub *h, godwit_stream *stream, int in_fd, int out_fd, pump_done_fn *done,
	       void *user, struct pump **out)
{
	struct loop *loop = hub_loop(h);
	struct pump *p = calloc(1, sizeof(*p));

	if (in_fd != out_fd && same_socket(in_fd, out_fd)) {
		close(out_fd);
		out_fd = in_fd;
	}
	if (!p) {
		close(in_fd);
		if (out_fd != in_fd)
			close(out_fd);
		godwit_stream_free(stream);
		return GODWIT_E_NOMEM;
	}
	p->handler.on_event = on_stream;
	p->hub = h;
	p->stream = stream;
	p->one_socket = in_fd == out_fd;
	p->in = (struct end){ .fd = in_fd,
			      .kind = prepare(in_fd, p->one_socket ? O_RDWR : O_RDONLY) };
	p->out = (struct end){ .fd = out_fd,
			       .kind = p->one_socket ? p->in.kind : prepare(out_fd, O_WRONLY) };
	p->done = done;
	p->user = user;
	godwit_stream_set_user(stream, &p->handler);
	/* Both at once: the first turn looks at everything. */
	p->in.source =
		loop_add(loop, in_fd, p->one_socket ? LOOP_IN | LOOP_OUT : LOOP_IN, on_fd, p);
	if (!p->one_socket)
		p->out.source = loop_add(loop, out_fd, LOOP_OUT, on_fd, p);
	if (!p->in.source || (!p->one_socket && !p->out.source)) {
		release(p);
		return GODWIT_E_NOMEM;
	}
	*out = p;
	return 0;
}
