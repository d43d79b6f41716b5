// SPDX-License-Identifier: Apache-2.0
#include "io/tls_link_internal.h"

#include <assert.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"

enum {
	READS_MAX = 16,         /* records in one wake-up: others want to be served too */
	SILENCE_MAX_MS = 30000, /* bytes unacknowledged for so long: the connection is dead */
};

#define TO(state) (1U << LINK_##state)

static const unsigned MOVES[] = {
	[LINK_STARTING] = TO(DIALLING) | TO(CLOSED),
	[LINK_DIALLING] = TO(PROXY) | TO(HANDSHAKE) | TO(CLOSED),
	[LINK_PROXY] = TO(DIALLING) | TO(HANDSHAKE) | TO(CLOSED),
	[LINK_SNIFFING] = TO(HANDSHAKE) | TO(ASKED) | TO(CLOSED),
	[LINK_HANDSHAKE] = TO(ASKING) | TO(ASKED) | TO(CLOSED),
	[LINK_ASKING] = TO(OPEN) | TO(CLOSED),
	[LINK_ASKED] = TO(ANSWERING) | TO(REFUSING) | TO(CLOSED),
	[LINK_ANSWERING] = TO(OPEN) | TO(CLOSED),
	[LINK_REFUSING] = TO(CLOSED),
	[LINK_OPEN] = TO(CLOSED),
	[LINK_CLOSED] = 0,
};

void link_set_state(struct tls_link *l, enum link_state state)
{
	assert(MOVES[l->state] & 1U << state);
	l->state = state;
}

/* --- coming and going --- */

static void free_secret(char *text)
{
	if (text)
		explicit_bzero(text, strlen(text));
	free(text);
}

static void free_opening(struct tls_link *l)
{
	struct opening *o = l->opening;

	l->opening = NULL;
	if (!o)
		return;
	tcp_dial_cancel(o->dial);
	free_secret(o->proxy_url);
	free(o->no_proxy);
	free(o->auth_file);
	free(o->ca_file);
	explicit_bzero(o, sizeof(*o));
	free(o);
}

static void release(struct tls_link *l)
{
	free(l->rx);
	free(l->name);
	free(l);
}

/* Free all but what calls on the stack may still look at. */
static void tear_down(struct tls_link *l)
{
	if (l->tls && l->state == LINK_OPEN && !l->blocked && !l->error)
		gnutls_bye(l->tls, GNUTLS_SHUT_WR);
	link_drop_fd(l);
	free_opening(l);
	if (l->credentials)
		gnutls_certificate_free_credentials(l->credentials);
	l->credentials = NULL;
	loop_timer_free(l->timer);
	l->timer = NULL;
	frame_queue_clear(&l->tx);
	if (l->state != LINK_CLOSED)
		link_set_state(l, LINK_CLOSED);
}

void link_enter(struct tls_link *l)
{
	l->depth++;
}

void link_leave(struct tls_link *l)
{
	if (--l->depth == 0 && l->released)
		release(l);
}

void tls_link_close(struct tls_link *l)
{
	if (!l)
		return;
	assert(!l->released);
	tear_down(l);
	l->released = true;
	if (l->depth == 0)
		release(l);
}

void link_fail(struct tls_link *l, int error, const char *format, ...)
{
	char text[TLS_LINK_TEXT_MAX];
	va_list args;

	assert(l->depth > 0 && l->state != LINK_CLOSED);
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	tear_down(l);
	l->events.on_closed(l->user, error, text);
}

static void on_timer(void *user);

int link_new(struct tls_link **out, struct loop *loop, const struct tls_link_events *ev, void *user,
	     gw_time timeout, size_t queue_limit)
{
	struct tls_link *l = calloc(1, sizeof(*l));

	if (!l)
		return GW_E_NOMEM;
	l->loop = loop;
	l->events = *ev;
	l->user = user;
	l->fd = -1;
	l->tx.limit = queue_limit ? queue_limit : TLS_LINK_QUEUE;
	l->timer = loop_timer_new(loop, on_timer, l);
	l->opening = calloc(1, sizeof(*l->opening));
	if (!l->timer || !l->opening) {
		tls_link_close(l);
		return GW_E_NOMEM;
	}
	l->opening->deadline = loop_clock() + (timeout ? timeout : TLS_LINK_TIMEOUT);
	*out = l;
	return 0;
}

/* --- what the owner asks --- */

bool tls_link_is_open(const struct tls_link *l)
{
	return l->state == LINK_OPEN && !l->error;
}

struct addr tls_link_remote(const struct tls_link *l)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	struct addr a = { 0 };

	if (l->fd >= 0 && getpeername(l->fd, (struct sockaddr *)&ss, &len) == 0)
		(void)addr_from_sockaddr(&a, (struct sockaddr *)&ss, len);
	return a;
}

void tls_link_stats_get(const struct tls_link *l, struct tls_link_stats *out)
{
	*out = l->stats;
	out->queued = frame_queue_len(&l->tx);
}

/* --- sending --- */

/* Write until less than `least` bytes are left (1: none), as long as the socket takes it.  GnuTLS
 * keeps a record that the socket did not take; called again, it goes on with that one, and says how
 * long it was. */
static void flush(struct tls_link *l, size_t least)
{
	while (!l->blocked && !l->error && frame_queue_len(&l->tx) >= least) {
		size_t len = frame_queue_len(&l->tx);
		ssize_t n = link_write(l, frame_queue_front(&l->tx),
				       len < LINK_RECORD ? len : LINK_RECORD);

		if (n > 0) {
			frame_queue_take(&l->tx, (size_t)n);
		} else if (n == 0) {
			l->blocked = true;
			link_watch(l, LOOP_IN | LOOP_OUT);
		} else {
			l->error = (int)n;
			loop_timer_set(l->timer, loop_now(l->loop));
		}
	}
}

/* What is left goes out when this iteration of the loop ends, with what else it brings. */
static void flush_soon(struct tls_link *l)
{
	if (l->flush_set || l->blocked || l->error || frame_queue_len(&l->tx) == 0)
		return;
	l->flush_set = true;
	loop_timer_set(l->timer, loop_now(l->loop));
}

static void send_one(struct tls_link *l, const uint8_t *data, size_t len)
{
	if (!frame_queue_add(&l->tx, data, len, loop_now(l->loop))) {
		l->stats.dropped++;
		return;
	}
	l->stats.tx_datagrams++;
	l->stats.tx_bytes += len;
	if (!l->blocked && frame_queue_len(&l->tx) >= LINK_RECORD)
		flush(l, LINK_RECORD);
}

int tls_link_send(struct tls_link *l, const uint8_t *data, size_t len, size_t segment)
{
	if (!tls_link_is_open(l))
		return GW_E_CLOSED;
	if (len == 0) {
		(void)frame_queue_add(&l->tx, NULL, 0, loop_now(l->loop));
	} else if (segment == 0 ||
		   (segment > TLS_LINK_DATAGRAM_MAX && len > TLS_LINK_DATAGRAM_MAX)) {
		return GW_E_LENGTH;
	}
	while (len > 0) {
		size_t n = len < segment ? len : segment;

		send_one(l, data, n);
		data += n;
		len -= n;
	}
	flush_soon(l);
	return 0;
}

/* --- receiving --- */

bool link_reserve(struct tls_link *l, size_t more)
{
	uint8_t *rx;

	if (l->rx_size - l->rx_len >= more)
		return true;
	rx = realloc(l->rx, l->rx_len + more);
	if (!rx)
		return false;
	l->rx = rx;
	l->rx_size = l->rx_len + more;
	return true;
}

void link_used(struct tls_link *l, size_t len)
{
	l->rx_len -= len;
	if (len > 0 && l->rx_len > 0)
		memmove(l->rx, l->rx + len, l->rx_len);
}

static void deliver(struct tls_link *l)
{
	const uint8_t *datagram;
	size_t used = 0, n, size;

	while (l->state == LINK_OPEN &&
	       (n = frame_next(l->rx + used, l->rx_len - used, &datagram, &size)) > 0) {
		used += n;
		if (size == 0)
			continue;
		l->stats.rx_datagrams++;
		l->stats.rx_bytes += size;
		l->events.on_datagram(l->user, datagram, size);
	}
	link_used(l, used);
}

/* A quiet link holds no buffer. */
static void free_rx(struct tls_link *l)
{
	if (l->rx_len > 0)
		return;
	free(l->rx);
	l->rx = NULL;
	l->rx_size = 0;
}

/* With room for a whole record GnuTLS keeps nothing back that epoll would not tell of. */
static void receive(struct tls_link *l)
{
	for (int i = 0; i < READS_MAX && l->state == LINK_OPEN; i++) {
		ssize_t n = GW_E_NOMEM;

		if (link_reserve(l, LINK_RECORD))
			n = link_read(l, l->rx + l->rx_len, l->rx_size - l->rx_len);
		else
			snprintf(l->why, sizeof(l->why), "out of memory");
		if (n < 0)
			link_fail(l, (int)n, "%s: %s", l->name, l->why);
		if (n <= 0)
			break;
		l->rx_len += (size_t)n;
		deliver(l);
	}
	free_rx(l);
}

void link_open(struct tls_link *l)
{
	link_set_state(l, LINK_OPEN);
	free_opening(l);
	loop_timer_set(l->timer, GW_NEVER);
	link_watch(l, LOOP_IN);
	l->events.on_open(l->user);
	deliver(l);
	free_rx(l);
}

/* --- the loop calls --- */

static void step(struct tls_link *l)
{
	enum link_state before;

	do {
		before = l->state;
		if (l->server)
			accept_step(l);
		else
			connect_step(l);
	} while (l->state != before && l->opening);
}

static void on_fd(void *user, int fd, unsigned events)
{
	struct tls_link *l = user;

	(void)fd;
	link_enter(l);
	if (l->state != LINK_OPEN) {
		step(l);
	} else {
		if (l->blocked && events & LOOP_OUT) {
			l->blocked = false;
			flush(l, 1);
			if (!l->blocked)
				link_watch(l, LOOP_IN);
		}
		if (events & (LOOP_IN | LOOP_HANGUP))
			receive(l);
	}
	link_leave(l);
}

static void on_timer(void *user)
{
	struct tls_link *l = user;

	l->flush_set = false;
	link_enter(l);
	if (l->state == LINK_OPEN) {
		flush(l, 1);
		if (l->error)
			link_fail(l, l->error, "%s: %s", l->name, l->why);
	} else if (l->state == LINK_STARTING) {
		loop_timer_set(l->timer, l->opening->deadline);
		step(l);
	} else if (l->server) {
		accept_timed_out(l);
	} else {
		connect_timed_out(l);
	}
	link_leave(l);
}

static void set_int(int fd, int level, int option, int value)
{
	(void)setsockopt(fd, level, option, &value, sizeof(value));
}

/* The queue is ours, not the kernel's, so that what waits too long can be seen. */
static void set_options(int fd)
{
	set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	set_int(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, LINK_RECORD);
	set_int(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, SILENCE_MAX_MS);
	set_int(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
}

int link_set_fd(struct tls_link *l, int fd, unsigned events)
{
	l->fd = fd;
	set_options(fd);
	l->source = loop_add(l->loop, fd, events, on_fd, l);
	return l->source ? 0 : GW_E_NOMEM;
}

void link_drop_fd(struct tls_link *l)
{
	if (l->source)
		loop_remove(l->source);
	l->source = NULL;
	if (l->tls)
		gnutls_deinit(l->tls);
	l->tls = NULL;
	if (l->fd >= 0)
		close(l->fd);
	l->fd = -1;
}

void link_watch(struct tls_link *l, unsigned events)
{
	loop_modify(l->source, events);
}
