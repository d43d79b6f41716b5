// SPDX-License-Identifier: Apache-2.0
/* The server's way to an open link, and what others get who come to its port. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/addr.h"
#include "base/error.h"
#include "io/tls_link_internal.h"

static const char UPGRADED[] =
	"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: godwit\r\n\r\n";

enum { TLS_RECORD_HANDSHAKE = 22 };

struct refusal {
	const char *status, *fields, *body, *text;
};

static const struct refusal NO_TLS = {
	"426 Upgrade Required",
	"Connection: Upgrade, close\r\nUpgrade: TLS/1.3, HTTP/1.1\r\n",
	"This is a godwit beacon. It speaks HTTPS.\n",
	"HTTP without TLS",
};
static const struct refusal NOT_FOUND = {
	"404 Not Found",
	"Connection: close\r\n",
	"This is a godwit beacon. There are no pages here.\n",
	"an HTTP request that is not ours",
};
static const struct refusal NO_UPGRADE = {
	"426 Upgrade Required",
	"Connection: Upgrade, close\r\nUpgrade: godwit\r\n",
	"This is a godwit beacon. Here it speaks godwit.\n",
	"an HTTP request without our upgrade",
};
static const struct refusal BAD_REQUEST = {
	"400 Bad Request",
	"Connection: close\r\n",
	"This is a godwit beacon. It did not understand.\n",
	"not an HTTP request",
};

static void fail(struct tls_link *l, int error, const char *why)
{
	link_fail(l, error, "%s: %s", l->name, why);
}

static void refuse(struct tls_link *l, const struct refusal *r)
{
	link_set_state(l, LINK_REFUSING);
	l->opening->refusal = r->text;
	link_set_head(l,
		      "HTTP/1.1 %s\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n%s\r\n%s",
		      r->status, strlen(r->body), r->fields, r->body);
}

static void sniff(struct tls_link *l)
{
	uint8_t first;
	ssize_t n = recv(l->fd, &first, 1, MSG_PEEK | MSG_DONTWAIT);
	int error;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		fail(l, GW_E_CLOSED, "the other side closed the connection");
		return;
	}
	if (first != TLS_RECORD_HANDSHAKE) {
		link_set_state(l, LINK_ASKED);
		return;
	}
	error = link_start_tls(l, GNUTLS_SERVER, l->server->credentials);
	if (error)
		fail(l, error, error_text(error));
	else
		link_set_state(l, LINK_HANDSHAKE);
}

static void shake_hands(struct tls_link *l)
{
	int error = link_handshake(l);

	if (error == 0) {
		link_set_state(l, LINK_ASKED);
		link_watch(l, LOOP_IN);
	} else if (error != GW_E_AGAIN) {
		fail(l, error, l->why);
	}
}

static void hear_request(struct tls_link *l)
{
	struct http_head h;
	int error = link_read_head(l, http_parse_request, &h);

	if (error == GW_E_AGAIN)
		return;
	if (error == GW_E_PROTOCOL) {
		refuse(l, &BAD_REQUEST);
	} else if (error) {
		fail(l, error, l->why);
	} else if (!l->tls) {
		refuse(l, &NO_TLS);
	} else if (!http_text_is(h.target, "/godwit") || !http_text_is(h.method, "GET")) {
		refuse(l, &NOT_FOUND);
	} else if (!http_has(&h, "Upgrade", "godwit") || !http_has(&h, "Connection", "Upgrade")) {
		refuse(l, &NO_UPGRADE);
	} else {
		link_used(l, h.size);
		link_set_state(l, LINK_ANSWERING);
		link_set_head(l, "%s", UPGRADED);
	}
}

static void answer(struct tls_link *l)
{
	int error = link_flush_head(l);

	if (error == 0)
		link_open(l);
	else if (error != GW_E_AGAIN)
		fail(l, error, l->why);
}

/* Closing with something unread would reset the connection, and the answer with it: let the other
 * side close. */
static void see_off(struct tls_link *l)
{
	int error = link_flush_head(l);
	ssize_t n = 0;

	if (error == GW_E_AGAIN)
		return;
	if (!error && !l->opening->said) {
		l->opening->said = true;
		if (l->tls)
			gnutls_bye(l->tls, GNUTLS_SHUT_WR);
		shutdown(l->fd, SHUT_WR);
	}
	l->rx_len = 0;
	if (!error && link_reserve(l, LINK_RECORD))
		n = link_read(l, l->rx, l->rx_size);
	if (error || n < 0)
		fail(l, GW_E_PROTOCOL, l->opening->refusal);
}

void accept_step(struct tls_link *l)
{
	switch (l->state) {
	case LINK_SNIFFING:
		sniff(l);
		break;
	case LINK_HANDSHAKE:
		shake_hands(l);
		break;
	case LINK_ASKED:
		hear_request(l);
		break;
	case LINK_ANSWERING:
		answer(l);
		break;
	case LINK_REFUSING:
		see_off(l);
		break;
	case LINK_STARTING:
	case LINK_DIALLING:
	case LINK_PROXY:
	case LINK_ASKING:
	case LINK_OPEN:
	case LINK_CLOSED:
		break;
	}
}

void accept_timed_out(struct tls_link *l)
{
	if (l->state == LINK_REFUSING)
		fail(l, GW_E_PROTOCOL, l->opening->refusal);
	else
		fail(l, GW_E_TIMEOUT, "it did not ask for an upgrade in time");
}

static bool prepare(struct tls_link *l, int fd)
{
	char text[ADDR_TEXT_MAX];
	struct addr a;
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0 ||
	    fcntl(fd, F_SETFD, FD_CLOEXEC) != 0)
		return false;
	a = tls_link_remote(l);
	l->name = strdup(addr_format(&a, text));
	return l->name != NULL;
}

int tls_link_accept(struct tls_link **out, struct loop *loop, int fd, struct tls_server *server,
		    const struct tls_link_events *ev, void *user)
{
	struct tls_link *l;
	int error = link_new(&l, loop, ev, user, server->timeout, server->queue_limit);

	if (error) {
		close(fd);
		return error;
	}
	l->server = server;
	l->state = LINK_SNIFFING;
	error = link_set_fd(l, fd, LOOP_IN);
	if (!error && !prepare(l, fd))
		error = GW_E_NOMEM;
	if (error) {
		tls_link_close(l);
		return error;
	}
	loop_timer_set(l->timer, l->opening->deadline);
	*out = l;
	return 0;
}
