// SPDX-License-Identifier: Apache-2.0
/* The bytes under a TLS link: plain before the TLS session, which is made here too. */
#include <errno.h>
#include <gnutls/x509.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/error.h"
#include "io/tls_link_internal.h"

/* What is inside is encrypted already: take the fastest. */
static const char PRIORITY[] =
	"NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+AES-128-GCM:+AES-256-GCM:+CHACHA20-POLY1305";

/* One line, without a full stop. */
__attribute__((format(printf, 2, 3))) static void say(struct tls_link *l, const char *format, ...)
{
	va_list args;
	size_t len;

	va_start(args, format);
	vsnprintf(l->why, sizeof(l->why), format, args);
	va_end(args);
	len = strlen(l->why);
	while (len > 0 && strchr(" .\n", l->why[len - 1]))
		l->why[--len] = 0;
}

/* --- failures --- */

static int closed(struct tls_link *l)
{
	say(l, "the other side closed the connection");
	return GW_E_CLOSED;
}

static int broken(struct tls_link *l, int error)
{
	say(l, "%s",
	    error == ECONNRESET || error == EPIPE ? "the connection was reset" : strerror(error));
	return GW_E_CLOSED;
}

/* Of a certificate: one line, without the sentence that they all begin with. */
static void say_untrusted(struct tls_link *l)
{
	static const char FIRST[] = "The certificate is NOT trusted. ";
	gnutls_datum_t text = { 0 };
	const char *at = "unknown reason";

	if (gnutls_certificate_verification_status_print(
		    gnutls_session_get_verify_cert_status(l->tls), GNUTLS_CRT_X509, &text, 0) >=
	    0) {
		at = (const char *)text.data;
		if (strncmp(at, FIRST, sizeof(FIRST) - 1) == 0)
			at += sizeof(FIRST) - 1;
	}
	say(l, "certificate not trusted: %s", at);
	gnutls_free(text.data);
}

static int tls_failure(struct tls_link *l, int rv)
{
	int saved = errno;
	const char *alert;

	switch (rv) {
	case GNUTLS_E_PREMATURE_TERMINATION:
		return closed(l);
	case GNUTLS_E_PUSH_ERROR:
	case GNUTLS_E_PULL_ERROR:
		return broken(l, saved);
	case GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR:
		say_untrusted(l);
		break;
	case GNUTLS_E_FATAL_ALERT_RECEIVED:
		alert = gnutls_alert_get_name(gnutls_alert_get(l->tls));
		say(l, "TLS: the other side says: %s", alert ? alert : "?");
		break;
	default:
		say(l, "TLS: %s", gnutls_strerror(rv));
	}
	return GW_E_CRYPTO;
}

/* --- reading and writing --- */

static bool not_now(int rv)
{
	return rv == GNUTLS_E_AGAIN || rv == GNUTLS_E_INTERRUPTED || !gnutls_error_is_fatal(rv);
}

ssize_t link_read(struct tls_link *l, void *out, size_t len)
{
	ssize_t n =
		l->tls ? gnutls_record_recv(l->tls, out, len) : recv(l->fd, out, len, MSG_DONTWAIT);

	if (n > 0)
		return n;
	if (n == 0)
		return closed(l);
	if (l->tls)
		return not_now((int)n) ? 0 : tls_failure(l, (int)n);
	return errno == EAGAIN || errno == EINTR ? 0 : broken(l, errno);
}

ssize_t link_write(struct tls_link *l, const void *data, size_t len)
{
	ssize_t n = l->tls ? gnutls_record_send(l->tls, data, len)
			   : send(l->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n >= 0)
		return n;
	if (l->tls)
		return not_now((int)n) ? 0 : tls_failure(l, (int)n);
	return errno == EAGAIN || errno == EINTR ? 0 : broken(l, errno);
}

/* --- HTTP heads --- */

void link_set_head(struct tls_link *l, const char *format, ...)
{
	struct opening *o = l->opening;
	va_list args;

	va_start(args, format);
	o->head_len = (size_t)vsnprintf(o->head, sizeof(o->head), format, args);
	va_end(args);
	if (o->head_len >= sizeof(o->head)) /* no host and no credentials are so long */
		abort();
	o->head_sent = 0;
	link_watch(l, LOOP_OUT);
}

int link_flush_head(struct tls_link *l)
{
	struct opening *o = l->opening;

	if (o->head_len == 0)
		return 0;
	while (o->head_sent < o->head_len) {
		ssize_t n = link_write(l, o->head + o->head_sent, o->head_len - o->head_sent);

		if (n <= 0)
			return n < 0 ? (int)n : GW_E_AGAIN;
		o->head_sent += (size_t)n;
	}
	explicit_bzero(o->head, sizeof(o->head));
	o->head_len = 0;
	link_watch(l, LOOP_IN);
	return 0;
}

int link_read_head(struct tls_link *l, link_parse_fn *parse, struct http_head *out)
{
	ssize_t n;
	int error;

	/* A whole record at once, or GnuTLS would keep the rest of it. */
	if (!link_reserve(l, LINK_RECORD)) {
		say(l, "out of memory");
		return GW_E_NOMEM;
	}
	n = link_read(l, l->rx + l->rx_len, l->rx_size - l->rx_len);
	if (n <= 0)
		return n < 0 ? (int)n : GW_E_AGAIN;
	l->rx_len += (size_t)n;
	error = parse(out, l->rx, l->rx_len);
	if (error == 0 || error == GW_E_AGAIN)
		return error;
	say(l, "%s", error == GW_E_LENGTH ? "its HTTP head is too long" : "it does not speak HTTP");
	return GW_E_PROTOCOL;
}

/* --- TLS --- */

int link_start_tls(struct tls_link *l, unsigned side, gnutls_certificate_credentials_t credentials)
{
	const gnutls_datum_t alpn = { (unsigned char *)(uintptr_t) "http/1.1", 8 };

	if (gnutls_init(&l->tls, side | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL | GNUTLS_NO_TICKETS) <
	    0) {
		l->tls = NULL;
		return GW_E_NOMEM;
	}
	if (gnutls_priority_set_direct(l->tls, PRIORITY, NULL) < 0 ||
	    gnutls_credentials_set(l->tls, GNUTLS_CRD_CERTIFICATE, credentials) < 0 ||
	    gnutls_alpn_set_protocols(l->tls, &alpn, 1, 0) < 0)
		return GW_E_CRYPTO;
	gnutls_transport_set_int(l->tls, l->fd);
	return 0;
}

int link_handshake(struct tls_link *l)
{
	int rv = gnutls_handshake(l->tls), error;

	if (rv == 0)
		return 0;
	if (not_now(rv)) {
		link_watch(l, gnutls_record_get_direction(l->tls) ? LOOP_OUT : LOOP_IN);
		return GW_E_AGAIN;
	}
	error = tls_failure(l, rv);
	gnutls_alert_send_appropriate(l->tls, rv);
	return error;
}
