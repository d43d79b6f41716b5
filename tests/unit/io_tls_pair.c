// SPDX-License-Identifier: Apache-2.0
#include "io_tls_pair.h"

#include <arpa/inet.h>
#include <gnutls/crypto.h>
#include <gnutls/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"

void pattern(uint8_t *out, size_t len, size_t which)
{
	for (size_t i = 0; i < len; i++)
		out[i] = (uint8_t)(which + i * 7);
}

/* --- sockets --- */

int listen_anywhere(uint16_t *port, int backlog)
{
	struct sockaddr_in sin = { .sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(sin);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
	assert_int_equal(listen(fd, backlog), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sin, &len), 0);
	*port = ntohs(sin.sin_port);
	return fd;
}

int connect_to(uint16_t port)
{
	struct sockaddr_in sin = { .sin_family = AF_INET,
				   .sin_port = htons(port),
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
	return fd;
}

/* --- events --- */

void end_close(struct end *e)
{
	tls_link_close(e->link);
	e->link = NULL;
}

static void on_open(void *user)
{
	struct end *e = user;

	assert_false(e->opened || e->closed);
	e->opened = true;
	assert_true(tls_link_is_open(e->link));
	if (e->close_on_open)
		end_close(e);
}

static void on_closed(void *user, int error, const char *text)
{
	struct end *e = user;

	assert_non_null(e->link);
	assert_false(e->closed);
	assert_false(tls_link_is_open(e->link));
	e->closed = true;
	e->error = error;
	snprintf(e->text, sizeof(e->text), "%s", text);
	assert_null(strchr(text, '\n'));
	assert_null(strstr(text, "secret")); /* all passwords of these tests */
	if (e->close_on_closed)
		end_close(e);
}

static void on_datagram(void *user, const uint8_t *data, size_t len)
{
	struct end *e = user;

	assert_non_null(e->link); /* nothing comes after a close */
	assert_true(e->opened && !e->closed && len > 0);
	for (size_t i = 1; i < len; i++)
		if (data[i] != (uint8_t)(data[0] + i * 7))
			e->damaged = true;
	e->count++;
	e->bytes += len;
	e->last = len;
	if (e->echo)
		assert_int_equal(tls_link_send(e->link, data, len, len), 0);
	if (e->close_on_datagram)
		end_close(e);
}

static const struct tls_link_events EVENTS = { on_open, on_closed, on_datagram };

/* --- certificates --- */

static void write_file(const char *path, const gnutls_datum_t *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(text->data, 1, text->size, f), text->size);
	assert_int_equal(fclose(f), 0);
	gnutls_free(text->data);
}

static void sign(gnutls_x509_crt_t crt, gnutls_x509_privkey_t key)
{
	static const uint8_t LOOPBACK[4] = { 127, 0, 0, 1 };
	uint8_t serial[8];

	gnutls_rnd(GNUTLS_RND_NONCE, serial, sizeof(serial));
	serial[0] = 1;
	gnutls_x509_crt_set_version(crt, 3);
	gnutls_x509_crt_set_serial(crt, serial, sizeof(serial));
	gnutls_x509_crt_set_activation_time(crt, time(NULL) - 3600);
	gnutls_x509_crt_set_expiration_time(crt, time(NULL) + 3600);
	gnutls_x509_crt_set_dn(crt, "CN=beacon.test", NULL);
	gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_DNSNAME, "beacon.test", 11,
					     GNUTLS_FSAN_SET);
	gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_IPADDRESS, LOOPBACK, 4,
					     GNUTLS_FSAN_APPEND);
	gnutls_x509_crt_set_key(crt, key);
	assert_int_equal(gnutls_x509_crt_sign2(crt, crt, key, GNUTLS_DIG_SHA256, 0), 0);
}

static void make_certificate(const char *certificate, const char *key_path)
{
	gnutls_x509_privkey_t key;
	gnutls_x509_crt_t crt;
	gnutls_datum_t text;

	gnutls_x509_privkey_init(&key);
	gnutls_x509_crt_init(&crt);
	assert_int_equal(
		gnutls_x509_privkey_generate(key, GNUTLS_PK_ECDSA,
					     GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0),
		0);
	sign(crt, key);
	assert_int_equal(gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_PEM, &text), 0);
	write_file(certificate, &text);
	assert_int_equal(gnutls_x509_privkey_export2(key, GNUTLS_X509_FMT_PEM, &text), 0);
	write_file(key_path, &text);
	gnutls_x509_crt_deinit(crt);
	gnutls_x509_privkey_deinit(key);
}

static void make_files(struct pair *p)
{
	char unused[96];

	strcpy(p->directory, "/tmp/godwit-tls-XXXXXX");
	assert_non_null(mkdtemp(p->directory));
	snprintf(p->certificate, sizeof(p->certificate), "%s/certificate", p->directory);
	snprintf(p->key, sizeof(p->key), "%s/key", p->directory);
	snprintf(p->other, sizeof(p->other), "%s/other", p->directory);
	snprintf(unused, sizeof(unused), "%s/unused", p->directory);
	make_certificate(p->certificate, p->key);
	make_certificate(p->other, unused);
	unlink(unused);
}

/* --- the pair --- */

static void on_accept(void *user, int fd, unsigned events)
{
	struct pair *p = user;
	int connection = accept(fd, NULL, NULL);

	(void)events;
	assert_true(connection >= 0);
	end_close(&p->beacon);
	p->beacon.pair = p;
	p->beacon.opened = p->beacon.closed = false;
	p->accepted++;
	assert_int_equal(tls_link_accept(&p->beacon.link, p->beacon_loop, connection, p->server,
					 &EVENTS, &p->beacon),
			 0);
}

void pair_serve(struct pair *p, const struct tls_server_config *c)
{
	char text[TLS_LINK_TEXT_MAX];

	end_close(&p->beacon);
	tls_server_free(p->server);
	assert_int_equal(tls_server_new(&p->server, c, text), 0);
}

int pair_setup(void **state)
{
	struct pair *p = calloc(1, sizeof(*p));
	struct tls_server_config c = { 0 };

	assert_non_null(p);
	p->client.pair = p->beacon.pair = p;
	make_files(p);
	c.certificate_file = p->certificate;
	c.key_file = p->key;
	c.timeout = 100 * GW_SEC; /* no test passes by waiting for it */
	assert_int_equal(loop_new(&p->loop), 0);
	assert_int_equal(loop_new(&p->beacon_loop), 0);
	pair_serve(p, &c);
	p->listen_fd = listen_anywhere(&p->port, 16);
	p->accepting = loop_add(p->beacon_loop, p->listen_fd, LOOP_IN, on_accept, p);
	assert_non_null(p->accepting);
	p->config = (struct tls_link_config){
		.host = "127.0.0.1", .port = p->port, .ca_file = "", .timeout = 50 * GW_SEC
	};
	p->config.proxy = (struct proxy_settings){ "", "", "" };
	*state = p;
	return 0;
}

int pair_teardown(void **state)
{
	struct pair *p = *state;

	end_close(&p->client);
	end_close(&p->beacon);
	loop_remove(p->accepting);
	close(p->listen_fd);
	tls_server_free(p->server);
	loop_free(p->loop);
	loop_free(p->beacon_loop);
	unlink(p->certificate);
	unlink(p->key);
	unlink(p->other);
	rmdir(p->directory);
	free(p);
	return 0;
}

void pair_run(struct pair *p)
{
	loop_run_once(p->loop, GW_MSEC);
	loop_run_once(p->beacon_loop, GW_MSEC);
}

void pair_connect(struct pair *p)
{
	end_close(&p->client);
	p->client = (struct end){ .pair = p,
				  .close_on_open = p->client.close_on_open,
				  .close_on_closed = p->client.close_on_closed,
				  .close_on_datagram = p->client.close_on_datagram };
	assert_int_equal(
		tls_link_connect(&p->client.link, p->loop, &p->config, &EVENTS, &p->client), 0);
	assert_false(p->client.opened || p->client.closed);
}

void pair_open(struct pair *p)
{
	pair_connect(p);
	RUN_UNTIL(p, p->client.closed || (p->client.opened && p->beacon.opened));
	if (p->client.closed)
		fail_msg("%s", p->client.text);
}

void pair_fails(struct pair *p, int error, const char *text)
{
	pair_connect(p);
	RUN_UNTIL(p, p->client.closed || p->client.opened);
	assert_false(p->client.opened);
	if (p->client.error != error || !strstr(p->client.text, text))
		fail_msg("%d (wanted %d): %s", p->client.error, error, p->client.text);
	end_close(&p->client);
}
