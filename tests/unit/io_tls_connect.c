// SPDX-License-Identifier: Apache-2.0
/* The client's way to an open TLS link: names, addresses, proxies, certificates, and servers that
 * are something else.  getaddrinfo() is replaced for names that end with ".test". */
#include "io_tls_pair.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <gnutls/gnutls.h>
#include <netdb.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"

/* --- names --- */

typedef int getaddrinfo_fn(const char *, const char *, const struct addrinfo *, struct addrinfo **);

static sem_t slow_lookup;
static _Atomic unsigned lookups;

static int numeric(const char *a, const char *b, const char *port, const struct addrinfo *hints,
		   struct addrinfo **out)
{
	getaddrinfo_fn *real = (getaddrinfo_fn *)(uintptr_t)dlsym(RTLD_NEXT, "getaddrinfo");
	int error = real(a, port, hints, out);

	return error || !b ? error : real(b, port, hints, &(*out)->ai_next);
}

__attribute__((visibility("default"))) int
getaddrinfo(const char *host, const char *port, const struct addrinfo *hints, struct addrinfo **out)
{
	if (!strstr(host, ".test"))
		return numeric(host, NULL, port, hints, out);
	if (hints->ai_flags & AI_NUMERICHOST)
		return EAI_NONAME;
	lookups++;
	if (strcmp(host, "beacon.test") == 0 || strcmp(host, "alias.test") == 0)
		return numeric("127.0.0.1", NULL, port, hints, out);
	if (strcmp(host, "two.test") == 0) /* nobody listens at the first */
		return numeric("127.0.0.2", "127.0.0.1", port, hints, out);
	if (strcmp(host, "silent.test") == 0)
		return EAI_AGAIN;
	if (strcmp(host, "slow.test") == 0)
		sem_wait(&slow_lookup);
	return EAI_NONAME;
}

static void check_works(struct pair *p)
{
	uint8_t data[1200];

	pattern(data, sizeof(data), 1);
	pair_open(p);
	p->beacon.echo = true;
	assert_int_equal(tls_link_send(p->client.link, data, sizeof(data), sizeof(data)), 0);
	RUN_UNTIL(p, p->client.count == 1);
	assert_false(p->client.damaged);
}

static void names_are_looked_up(void **state)
{
	struct pair *p = *state;

	check_works(p); /* an address */
	p->config.host = "beacon.test";
	check_works(p);
	p->config.host = "two.test";
	check_works(p);
	p->config.host = "nobody.test";
	pair_fails(p, GW_E_NOT_FOUND, "name not found");
	p->config.host = "silent.test";
	pair_fails(p, GW_E_UNREACHABLE, "silent.test:");
}

static void hosts_that_cannot_be_are_refused_at_once(void **state)
{
	static const char *const BAD[] = { "", "a b", "a\r\nX: y", "a/b", "user@a", NULL };
	struct pair *p = *state;
	struct tls_link_events none = { 0 };
	struct tls_link *l = NULL;

	for (int i = 0; BAD[i]; i++) {
		p->config.host = BAD[i];
		assert_int_equal(tls_link_connect(&l, p->loop, &p->config, &none, NULL),
				 GW_E_INVALID);
	}
	assert_null(l);
}

/* --- TCP --- */

static void refusals_and_silence_have_their_texts(void **state)
{
	struct pair *p = *state;
	uint16_t port;
	int fd = listen_anywhere(&port, 4);

	p->config.port = port;
	p->config.timeout = 50 * GW_MSEC;
	pair_fails(p, GW_E_TIMEOUT, "no answer (TLS handshake)"); /* nobody accepts */
	close(fd);
	p->config.timeout = 0;
	pair_fails(p, GW_E_UNREACHABLE, "connection refused");
	p->config.host = "two.test";
	pair_fails(p, GW_E_UNREACHABLE, "connection refused");
}

/* A socket whose backlog is full does not answer. */
static void a_silent_address_is_given_up_soon(void **state)
{
	struct pair *p = *state;
	uint16_t port;
	int fd = listen_anywhere(&port, 0), filler = connect_to(port);

	p->config.port = port;
	p->config.address_timeout = 50 * GW_MSEC;
	pair_fails(p, GW_E_UNREACHABLE, "no answer");
	p->config.address_timeout = 0;
	p->config.timeout = 50 * GW_MSEC;
	pair_fails(p, GW_E_TIMEOUT, "no connection in time");
	close(filler);
	close(fd);
}

/* --- a proxy by the script --- */

struct proxy_script {
	struct pair *pair;
	int listen_fd;
	uint16_t port;
	struct loop_source *accepting;
	int fd; /* the present connection; -1: none */
	struct loop_source *source;
	int upstream;
	struct loop_source *upstream_source;
	unsigned requests;
	char request[2048]; /* the last one */
	/* What is said to the first request and to the later ones; "2..." opens the tunnel. */
	const char *answers[2];
	bool slowly; /* byte by byte */
	size_t said;
	struct loop_timer *timer;
	/* Before each answer the file gets other contents: this and, if `ever_new`, a number. */
	const char *file, *contents;
	bool ever_new;
};

static void write_text(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
}

static void hang_up(struct proxy_script *s)
{
	loop_remove(s->source);
	loop_remove(s->upstream_source);
	if (s->fd >= 0)
		close(s->fd);
	if (s->upstream >= 0)
		close(s->upstream);
	s->fd = s->upstream = -1;
	s->source = s->upstream_source = NULL;
}

static void relay(struct proxy_script *s, int from, int to)
{
	char data[4096];
	ssize_t n = recv(from, data, sizeof(data), 0);

	if (n <= 0 || send(to, data, (size_t)n, MSG_NOSIGNAL) != n)
		hang_up(s);
}

static void on_upstream(void *user, int fd, unsigned events)
{
	struct proxy_script *s = user;

	(void)events;
	relay(s, fd, s->fd);
}

static void open_tunnel(struct proxy_script *s)
{
	s->upstream = connect_to(s->pair->port);
	s->upstream_source = loop_add(s->pair->loop, s->upstream, LOOP_IN, on_upstream, s);
	assert_non_null(s->upstream_source);
}

static const char *script(const struct proxy_script *s)
{
	return s->answers[s->requests > 1];
}

static void on_proxy_timer(void *user)
{
	struct proxy_script *s = user;
	const char *text = script(s);
	size_t left = strlen(text) - s->said, n = s->slowly && left > 0 ? 1 : left;

	if (s->fd < 0)
		return;
	assert_int_equal(send(s->fd, text + s->said, n, MSG_NOSIGNAL), n);
	s->said += n;
	if (text[s->said])
		loop_timer_set(s->timer, loop_now(s->pair->loop));
	else if (strstr(text, " 200 "))
		open_tunnel(s);
}

static void change_credentials(const struct proxy_script *s)
{
	char text[64];

	if (!s->file)
		return;
	snprintf(text, sizeof(text), s->ever_new ? "%s-%u\n" : "%s\n", s->contents, s->requests);
	write_text(s->file, text);
}

static void on_proxy_request(void *user, int fd, unsigned events)
{
	struct proxy_script *s = user;
	size_t got = strlen(s->request);
	ssize_t n;

	(void)events;
	if (s->upstream >= 0) {
		relay(s, fd, s->upstream);
		return;
	}
	n = recv(fd, s->request + got, sizeof(s->request) - 1 - got, 0);
	if (n <= 0) {
		hang_up(s);
		return;
	}
	s->request[got + (size_t)n] = 0;
	if (!strstr(s->request, "\r\n\r\n"))
		return;
	s->requests++;
	change_credentials(s);
	s->said = 0;
	if (!*script(s))
		hang_up(s);
	else
		loop_timer_set(s->timer, 0);
}

static void on_proxy_accept(void *user, int fd, unsigned events)
{
	struct proxy_script *s = user;

	(void)events;
	hang_up(s);
	s->request[0] = 0;
	s->fd = accept(fd, NULL, NULL);
	assert_true(s->fd >= 0);
	s->source = loop_add(s->pair->loop, s->fd, LOOP_IN, on_proxy_request, s);
}

static void proxy_start(struct proxy_script *s, struct pair *p, const char *first, const char *then)
{
	*s = (struct proxy_script){
		.pair = p, .fd = -1, .upstream = -1, .answers = { first, then }
	};
	s->listen_fd = listen_anywhere(&s->port, 4);
	s->accepting = loop_add(p->loop, s->listen_fd, LOOP_IN, on_proxy_accept, s);
	s->timer = loop_timer_new(p->loop, on_proxy_timer, s);
	assert_true(s->accepting && s->timer);
}

static void proxy_stop(struct proxy_script *s)
{
	end_close(&s->pair->client);
	hang_up(s);
	loop_remove(s->accepting);
	loop_timer_free(s->timer);
	close(s->listen_fd);
}

static const char *proxy_url(const struct proxy_script *s, const char *user, char out[128])
{
	snprintf(out, 128, "http://%s%s127.0.0.1:%u", user, *user ? "@" : "", s->port);
	s->pair->config.proxy.url = out;
	return out;
}

static const char OK[] = "HTTP/1.1 200 Connection established\r\n\r\n";
static const char WANTS_AUTH[] = "HTTP/1.1 407 Proxy Authentication Required\r\n"
				 "Proxy-Authenticate: Basic realm=\"x\"\r\n\r\n";

static void through_a_proxy(void **state)
{
	struct pair *p = *state;
	struct proxy_script s;
	char url[128], text[128];

	proxy_start(&s, p, OK, OK);
	proxy_url(&s, "", url);
	p->config.host = "beacon.invalid"; /* only the proxy knows it */
	check_works(p);
	snprintf(text, sizeof(text), "CONNECT beacon.invalid:%u HTTP/1.1\r\n", p->port);
	assert_non_null(strstr(s.request, text));
	snprintf(text, sizeof(text), "\r\nHost: beacon.invalid:%u\r\n", p->port);
	assert_non_null(strstr(s.request, text));
	assert_null(strstr(s.request, "Authorization"));

	proxy_url(&s, "me:secret", url);
	p->config.host = "2001:db8::1";
	check_works(p);
	assert_non_null(strstr(s.request, "CONNECT [2001:db8::1]:"));
	assert_non_null(strstr(s.request, "\r\nProxy-Authorization: Basic bWU6c2VjcmV0\r\n"));

	s.slowly = true;
	check_works(p);
	proxy_stop(&s);
}

static void hosts_without_proxy_are_asked_directly(void **state)
{
	struct pair *p = *state;

	p->config.proxy.url = "http://127.0.0.1:1";
	p->config.proxy.no_proxy = "127.0.0.0/8,test";
	check_works(p);
	p->config.host = "beacon.test";
	check_works(p);
	p->config.proxy.no_proxy = "example.com";
	pair_fails(p, GW_E_UNREACHABLE, "proxy 127.0.0.1:1: connection refused");
}

static void the_environment_names_the_proxy(void **state)
{
	struct pair *p = *state;
	struct proxy_script s;
	char url[128];

	proxy_start(&s, p, OK, OK);
	setenv("HTTPS_PROXY", proxy_url(&s, "", url), 1);
	p->config.proxy = (struct proxy_settings){ 0 };
	check_works(p);
	assert_int_equal(s.requests, 1);
	unsetenv("HTTPS_PROXY");
	check_works(p);
	assert_int_equal(s.requests, 1);
	proxy_stop(&s);
}

static void check_refusal(struct pair *p, const char *user, const char *answer, int error,
			  const char *text, unsigned requests)
{
	struct proxy_script s;
	char url[128], line[160];

	proxy_start(&s, p, answer, answer);
	proxy_url(&s, user, url);
	snprintf(line, sizeof(line), "proxy 127.0.0.1:%u%s", s.port, text);
	pair_fails(p, error, line);
	assert_int_equal(s.requests, requests);
	proxy_stop(&s);
}

static void proxies_refuse_in_many_ways(void **state)
{
	static char endless[9000] = "HTTP/1.1 200 OK\r\nX: ";
	struct pair *p = *state;

	check_refusal(p, "", "HTTP/1.1 403 Forbidden\r\n\r\n", GW_E_DENIED,
		      " refused: 403 Forbidden", 1);
	check_refusal(p, "", "HTTP/1.0 502\r\n\r\n", GW_E_DENIED, " refused: 502", 1);
	check_refusal(p, "", WANTS_AUTH, GW_E_PERMISSION,
		      " refused: 407 Proxy Authentication Required (no user", 1);
	check_refusal(p, "me:secret", WANTS_AUTH, GW_E_PERMISSION,
		      " refused: 407 Proxy Authentication Required (user or password is wrong)", 1);
	check_refusal(p, "", "SSH-2.0-OpenSSH_9.2\r\n", GW_E_PROTOCOL, ": it does not speak HTTP",
		      1);
	check_refusal(p, "", "HTTP/1.1 200 OK\r\n\r\nmore", GW_E_PROTOCOL, ": it said more", 1);
	check_refusal(p, "", "", GW_E_CLOSED, ": the other side closed", 1);
	memset(endless + strlen(endless), 'x', sizeof(endless) - 1 - strlen(endless));
	check_refusal(p, "", endless, GW_E_PROTOCOL, ": its HTTP head is too long", 1);
	p->config.timeout = 50 * GW_MSEC;
	check_refusal(p, "", "HTTP/1.1 200", GW_E_TIMEOUT, ": no answer", 1);
	p->config.proxy.url = "socks5://me:secret@127.0.0.1";
	pair_fails(p, GW_E_INVALID, "socks5:// proxies are not supported");
}

static void credentials_are_read_again_after_407(void **state)
{
	struct pair *p = *state;
	struct proxy_script s;
	char url[128], file[96];

	snprintf(file, sizeof(file), "%s/auth", p->directory);
	write_text(file, "me:secret-old\n");
	proxy_start(&s, p, WANTS_AUTH, OK);
	proxy_url(&s, "", url);
	p->config.proxy.auth_file = file;
	s.file = file;
	s.contents = "me:secret";
	check_works(p);
	assert_int_equal(s.requests, 2);
	assert_non_null(strstr(s.request, "Basic bWU6c2VjcmV0\r\n"));

	s.requests = 0; /* once, not for ever */
	s.ever_new = true;
	s.answers[1] = WANTS_AUTH;
	pair_fails(p, GW_E_PERMISSION, "user or password is wrong");
	assert_int_equal(s.requests, 2);

	unlink(file);
	pair_fails(p, GW_E_INVALID, "No such file");
	proxy_stop(&s);
}

/* --- servers that are something else --- */

/* One HTTPS request, answered with a text, in a thread. */
struct web_server {
	struct pair *pair;
	int fd;
	const char *answer;
	_Atomic bool done;
};

static void serve(const struct web_server *w, gnutls_session_t tls)
{
	char request[1024] = "";

	gnutls_record_recv(tls, request, sizeof(request) - 1);
	assert_non_null(strstr(request, "GET /godwit HTTP/1.1\r\n"));
	assert_non_null(strstr(request, "Connection: Upgrade\r\nUpgrade: godwit\r\n"));
	gnutls_record_send(tls, w->answer, strlen(w->answer));
	if (!*w->answer)
		gnutls_record_recv(tls, request, 1); /* until the client has had enough */
}

static void *web_server_thread(void *user)
{
	struct web_server *w = user;
	gnutls_certificate_credentials_t credentials;
	gnutls_session_t tls;
	int fd = accept(w->fd, NULL, NULL);

	gnutls_certificate_allocate_credentials(&credentials);
	gnutls_certificate_set_x509_key_file(credentials, w->pair->certificate, w->pair->key,
					     GNUTLS_X509_FMT_PEM);
	gnutls_init(&tls, GNUTLS_SERVER | GNUTLS_NO_SIGNAL);
	gnutls_set_default_priority(tls);
	gnutls_credentials_set(tls, GNUTLS_CRD_CERTIFICATE, credentials);
	gnutls_transport_set_int(tls, fd);
	if (gnutls_handshake(tls) == 0)
		serve(w, tls);
	gnutls_bye(tls, GNUTLS_SHUT_WR);
	gnutls_deinit(tls);
	gnutls_certificate_free_credentials(credentials);
	close(fd);
	w->done = true;
	return NULL;
}

static void check_server(struct pair *p, const char *answer, int error, const char *text)
{
	struct web_server w = { .pair = p, .answer = answer };
	pthread_t thread;

	w.fd = listen_anywhere(&p->config.port, 4);
	assert_int_equal(pthread_create(&thread, NULL, web_server_thread, &w), 0);
	pair_fails(p, error, text);
	pthread_join(thread, NULL);
	close(w.fd);
}

static void servers_that_are_no_beacon(void **state)
{
	struct pair *p = *state;

	check_server(p, "HTTP/1.1 404 Not Found\r\n\r\nno such page", GW_E_PROTOCOL,
		     "not a godwit beacon (HTTP status 404 Not Found)");
	check_server(p, "HTTP/1.1 200 \x1b[31mOK\r\n\r\n", GW_E_PROTOCOL, "does not speak HTTP");
	check_server(p, "HTTP/1.1 200 OK\r\n\r\n", GW_E_PROTOCOL, "(HTTP status 200 OK)");
	check_server(p, "HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\n\r\n", GW_E_PROTOCOL,
		     "not a godwit beacon (HTTP status 101");
	check_server(p, "220 smtp.example\r\n", GW_E_PROTOCOL, "(it does not speak HTTP)");
	p->config.timeout = 2 * GW_SEC;
	check_server(p, "", GW_E_TIMEOUT, "no answer (HTTP upgrade)");
}

static void a_server_without_tls(void **state)
{
	static const char TEXT[] = "HTTP/1.1 400 Bad Request\r\n\r\n";
	struct pair *p = *state;
	int listen_fd = listen_anywhere(&p->config.port, 4), fd;

	pair_connect(p);
	fcntl(listen_fd, F_SETFL, O_NONBLOCK);
	RUN_UNTIL(p, (fd = accept(listen_fd, NULL, NULL)) >= 0);
	assert_int_equal(send(fd, TEXT, sizeof(TEXT) - 1, 0), sizeof(TEXT) - 1);
	RUN_UNTIL(p, p->client.closed);
	assert_int_equal(p->client.error, GW_E_CRYPTO);
	assert_non_null(strstr(p->client.text, ": TLS: "));
	close(fd);
	close(listen_fd);
}

/* --- certificates --- */

static void certificates_are_checked_against_a_ca_file(void **state)
{
	struct pair *p = *state;

	p->config.ca_file = p->certificate;
	check_works(p); /* by address */
	p->config.host = "beacon.test";
	check_works(p); /* by name */
	p->config.host = "alias.test";
	pair_fails(p, GW_E_CRYPTO, "certificate not trusted: The name in the certificate does not");
	RUN_UNTIL(p, p->beacon.closed);
	p->config.host = "beacon.test";
	p->config.ca_file = p->other;
	pair_fails(p, GW_E_CRYPTO, "certificate not trusted");
	p->config.ca_file = "/nonexistent";
	pair_fails(p, GW_E_INVALID, "CA file /nonexistent");
	p->config.ca_file = p->key;
	pair_fails(p, GW_E_INVALID, "CA file");
}

static void the_environment_names_the_ca_file(void **state)
{
	struct pair *p = *state;

	p->config.ca_file = NULL;
	check_works(p);
	setenv("GODWIT_CA_FILE", p->other, 1);
	pair_fails(p, GW_E_CRYPTO, "certificate not trusted");
	p->config.ca_file = "";
	check_works(p);
	unsetenv("GODWIT_CA_FILE");
}

/* --- giving up halfway --- */

static void closing_before_it_is_open(void **state)
{
	struct pair *p = *state;
	struct proxy_script s;
	unsigned before = lookups;
	char url[128];

	pair_connect(p);
	end_close(&p->client); /* at once */
	for (unsigned turns = 1; turns < 12; turns++) {
		pair_connect(p);
		for (unsigned i = 0; i < turns; i++)
			pair_run(p);
		end_close(&p->client);
	}
	p->config.host = "slow.test";
	pair_connect(p);
	RUN_UNTIL(p, lookups > before);
	end_close(&p->client); /* the thread lives on for a while */
	sem_post(&slow_lookup);
	proxy_start(&s, p, "HTTP/1.1", "");
	proxy_url(&s, "", url);
	pair_connect(p);
	RUN_UNTIL(p, s.requests == 1);
	end_close(&p->client);
	proxy_stop(&s);
	p->client.close_on_closed = true;
	p->config.proxy.url = "";
	p->config.host = "nobody.test";
	pair_connect(p);
	RUN_UNTIL(p, p->client.closed);
	assert_null(p->client.link);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, pair_setup, pair_teardown)

int main(void)
{
	static const char *const VARIABLES[] = {
		"HTTPS_PROXY",   "https_proxy", "NO_PROXY", "no_proxy", "GODWIT_PROXY_AUTH_FILE",
		"GODWIT_CA_FILE"
	};
	const struct CMUnitTest tests[] = {
		TEST(names_are_looked_up),
		TEST(hosts_that_cannot_be_are_refused_at_once),
		TEST(refusals_and_silence_have_their_texts),
		TEST(a_silent_address_is_given_up_soon),
		TEST(through_a_proxy),
		TEST(hosts_without_proxy_are_asked_directly),
		TEST(the_environment_names_the_proxy),
		TEST(proxies_refuse_in_many_ways),
		TEST(credentials_are_read_again_after_407),
		TEST(servers_that_are_no_beacon),
		TEST(a_server_without_tls),
		TEST(certificates_are_checked_against_a_ca_file),
		TEST(the_environment_names_the_ca_file),
		TEST(closing_before_it_is_open),
	};

	for (size_t i = 0; i < sizeof(VARIABLES) / sizeof(VARIABLES[0]); i++)
		unsetenv(VARIABLES[i]);
	sem_init(&slow_lookup, 0, 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
