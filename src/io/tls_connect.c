// SPDX-License-Identifier: Apache-2.0
/* The client's way to an open link. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "base/error.h"
#include "io/tls_link_internal.h"

enum { PEER_TEXT_MAX = HTTP_AUTHORITY_MAX + 8, STATUS_TEXT_MAX = 96 };

static bool is_proxied(const struct tls_link *l)
{
	return l->opening->proxy.host[0] != 0;
}

/* The other end of the TCP connection, for texts. */
static const char *tcp_peer(const struct tls_link *l, char out[PEER_TEXT_MAX])
{
	const struct proxy *p = &l->opening->proxy;
	char authority[HTTP_AUTHORITY_MAX];

	if (!is_proxied(l))
		return l->name;
	snprintf(out, PEER_TEXT_MAX, "proxy %s", http_authority(p->host, p->port, authority));
	return out;
}

static void fail_at_peer(struct tls_link *l, int error, const char *why)
{
	char peer[PEER_TEXT_MAX];

	link_fail(l, error, "%s: %s", tcp_peer(l, peer), why);
}

static void fail_here(struct tls_link *l, int error)
{
	link_fail(l, error, "%s: %s", l->name, error_text(error));
}

/* --- TCP --- */

static void begin_tls(struct tls_link *l);

static void ask_proxy(struct tls_link *l)
{
	const struct proxy *p = &l->opening->proxy;
	char basic[PROXY_BASIC_MAX] = "";

	if (p->auth[0])
		proxy_basic(p, basic);
	link_set_state(l, LINK_PROXY);
	link_set_head(l,
		      "CONNECT %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: godwit\r\n"
		      "%s%s%s\r\n",
		      l->name, l->name, basic[0] ? "Proxy-Authorization: " : "", basic,
		      basic[0] ? "\r\n" : "");
	explicit_bzero(basic, sizeof(basic));
}

static void on_dialled(void *user, int fd, int error, const char *text)
{
	struct tls_link *l = user;

	link_enter(l);
	l->opening->dial = NULL;
	if (fd < 0)
		fail_at_peer(l, error, text);
	else if (link_set_fd(l, fd, LOOP_OUT) != 0)
		fail_here(l, GW_E_NOMEM);
	else if (is_proxied(l))
		ask_proxy(l);
	else
		begin_tls(l);
	link_leave(l);
}

static void dial(struct tls_link *l)
{
	struct opening *o = l->opening;
	bool direct = !is_proxied(l);
	int error;

	link_set_state(l, LINK_DIALLING);
	error = tcp_dial_start(&o->dial, l->loop, direct ? o->host : o->proxy.host,
			       direct ? o->port : o->proxy.port, o->address_timeout, on_dialled, l);
	if (error)
		fail_here(l, error);
}

/* --- the proxy --- */

static int find_proxy(struct tls_link *l, struct proxy *out, char text[PROXY_TEXT_MAX])
{
	const struct opening *o = l->opening;
	const struct proxy_settings s = { o->proxy_url, o->no_proxy, o->auth_file };

	return proxy_find(out, &s, o->host, o->port, text);
}

/* Credentials may have a short life: look once whether there are others now. */
static bool found_other_credentials(struct tls_link *l)
{
	struct opening *o = l->opening;
	char text[PROXY_TEXT_MAX];
	struct proxy now;
	bool other = false;

	if (o->retried || find_proxy(l, &now, text) != 0)
		return false;
	if (now.host[0] && now.auth[0] && strcmp(now.auth, o->proxy.auth) != 0) {
		o->retried = other = true;
		o->proxy = now;
	}
	proxy_clear(&now);
	return other;
}

static void proxy_refused(struct tls_link *l, const struct http_head *h)
{
	char status[STATUS_TEXT_MAX], peer[PEER_TEXT_MAX];
	const char *hint = "";
	bool auth = h->status == 407;

	if (auth && found_other_credentials(l)) {
		link_used(l, l->rx_len);
		link_drop_fd(l);
		dial(l);
		return;
	}
	if (auth)
		hint = l->opening->proxy.auth[0] ? " (user or password is wrong)"
						 : " (no user and password given)";
	link_fail(l, auth ? GW_E_PERMISSION : GW_E_DENIED, "%s refused: %s%s", tcp_peer(l, peer),
		  http_status(h, status, sizeof(status)), hint);
}

static void hear_proxy(struct tls_link *l)
{
	struct http_head h;
	int error = link_flush_head(l);

	if (!error)
		error = link_read_head(l, http_parse_response, &h);
	if (error == GW_E_AGAIN)
		return;
	if (error)
		fail_at_peer(l, error, l->why);
	else if (h.status < 200 || h.status > 299)
		proxy_refused(l, &h);
	else if (l->rx_len != h.size) /* in TLS the client speaks first */
		fail_at_peer(l, GW_E_PROTOCOL, "it said more than an HTTP head");
	else {
		link_used(l, h.size);
		begin_tls(l);
	}
}

/* --- TLS --- */

/* A file that was given is the only one trusted. */
static int load_ca(struct tls_link *l)
{
	const char *file = l->opening->ca_file;
	int n;

	if (gnutls_certificate_allocate_credentials(&l->credentials) < 0) {
		fail_here(l, GW_E_NOMEM);
		return GW_E_NOMEM;
	}
	if (!file || !*file)
		return 0;
	n = gnutls_certificate_set_x509_trust_file(l->credentials, file, GNUTLS_X509_FMT_PEM);
	if (n > 0)
		return 0;
	link_fail(l, GW_E_INVALID, "CA file %.256s: %s", file,
		  n < 0 ? gnutls_strerror(n) : "there is no certificate in it");
	return GW_E_INVALID;
}

static void begin_tls(struct tls_link *l)
{
	const struct opening *o = l->opening;
	struct addr a;
	int error = link_start_tls(l, GNUTLS_CLIENT, l->credentials);

	if (!error && addr_parse_host(&a, o->host, 0) != 0 &&
	    gnutls_server_name_set(l->tls, GNUTLS_NAME_DNS, o->host, strlen(o->host)) < 0)
		error = GW_E_CRYPTO;
	if (error) {
		fail_here(l, error);
		return;
	}
	if (o->ca_file && *o->ca_file)
		gnutls_session_set_verify_cert(l->tls, o->host, 0);
	link_set_state(l, LINK_HANDSHAKE);
	link_watch(l, LOOP_OUT);
}

static void shake_hands(struct tls_link *l)
{
	int error = link_handshake(l);

	if (error == GW_E_AGAIN)
		return;
	if (error) {
		link_fail(l, error, "%s: %s", l->name, l->why);
		return;
	}
	link_set_state(l, LINK_ASKING);
	link_set_head(l,
		      "GET /godwit HTTP/1.1\r\nHost: %s\r\nUser-Agent: godwit\r\n"
		      "Connection: Upgrade\r\nUpgrade: godwit\r\n\r\n",
		      l->name);
}

/* --- the upgrade --- */

static void hear_answer(struct tls_link *l)
{
	char status[STATUS_TEXT_MAX];
	struct http_head h;
	int error = link_flush_head(l);

	if (!error)
		error = link_read_head(l, http_parse_response, &h);
	if (error == GW_E_AGAIN)
		return;
	if (error == GW_E_PROTOCOL) {
		link_fail(l, error, "%s: not a godwit beacon (%s)", l->name, l->why);
	} else if (error) {
		link_fail(l, error, "%s: %s", l->name, l->why);
	} else if (h.status != 101 || !http_has(&h, "Upgrade", "godwit")) {
		link_fail(l, GW_E_PROTOCOL, "%s: not a godwit beacon (HTTP status %s)", l->name,
			  http_status(&h, status, sizeof(status)));
	} else {
		link_used(l, h.size);
		link_open(l);
	}
}

/* --- all of it --- */

static void start(struct tls_link *l)
{
	char text[PROXY_TEXT_MAX];

	if (load_ca(l) != 0)
		return;
	if (find_proxy(l, &l->opening->proxy, text) != 0)
		link_fail(l, GW_E_INVALID, "%s", text);
	else
		dial(l);
}

void connect_step(struct tls_link *l)
{
	switch (l->state) {
	case LINK_STARTING:
		start(l);
		break;
	case LINK_PROXY:
		hear_proxy(l);
		break;
	case LINK_HANDSHAKE:
		shake_hands(l);
		break;
	case LINK_ASKING:
		hear_answer(l);
		break;
	case LINK_DIALLING: /* tcp_dial calls */
	case LINK_SNIFFING:
	case LINK_ASKED:
	case LINK_ANSWERING:
	case LINK_REFUSING:
	case LINK_OPEN:
	case LINK_CLOSED:
		break;
	}
}

void connect_timed_out(struct tls_link *l)
{
	if (l->state == LINK_DIALLING || l->state == LINK_PROXY)
		fail_at_peer(l, GW_E_TIMEOUT,
			     l->state == LINK_PROXY ? "no answer" : "no connection in time");
	else
		link_fail(l, GW_E_TIMEOUT, "%s: no answer (%s)", l->name,
			  l->state == LINK_HANDSHAKE ? "TLS handshake" : "HTTP upgrade");
}

static bool copy(char **out, const char *text)
{
	*out = text ? strdup(text) : NULL;
	return !text || *out;
}

static bool copy_config(struct tls_link *l, const struct tls_link_config *c)
{
	struct opening *o = l->opening;
	char name[HTTP_AUTHORITY_MAX];

	snprintf(o->host, sizeof(o->host), "%s", c->host);
	o->port = c->port ? c->port : TLS_LINK_PORT;
	o->address_timeout = c->address_timeout ? c->address_timeout : TLS_LINK_ADDRESS_TIMEOUT;
	return copy(&o->proxy_url, c->proxy.url) && copy(&o->no_proxy, c->proxy.no_proxy) &&
	       copy(&o->auth_file, c->proxy.auth_file) &&
	       copy(&o->ca_file, c->ca_file ? c->ca_file : getenv("GODWIT_CA_FILE")) &&
	       copy(&l->name, http_authority(o->host, o->port, name));
}

int tls_link_connect(struct tls_link **out, struct loop *loop, const struct tls_link_config *c,
		     const struct tls_link_events *ev, void *user)
{
	struct tls_link *l;
	int error;

	if (!c->host || !http_host_is_valid(c->host))
		return GW_E_INVALID;
	error = link_new(&l, loop, ev, user, c->timeout, c->queue_limit);
	if (error)
		return error;
	if (!copy_config(l, c)) {
		tls_link_close(l);
		return GW_E_NOMEM;
	}
	loop_timer_set(l->timer, loop_now(loop)); /* at once, but not from here */
	*out = l;
	return 0;
}
