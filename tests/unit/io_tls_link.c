// SPDX-License-Identifier: Apache-2.0
/* TLS links that are open, and what else comes to a beacon's TLS port. */
#include "io_tls_pair.h"

#include <gnutls/gnutls.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/error.h"

/* GnuTLS writes with it: one call a record. */
static _Atomic unsigned writes;

__attribute__((visibility("default"))) ssize_t sendmsg(int fd, const struct msghdr *msg, int flags)
{
	writes++;
	return syscall(SYS_sendmsg, fd, msg, flags);
}

static struct tls_link_stats stats(const struct end *e)
{
	struct tls_link_stats s;

	tls_link_stats_get(e->link, &s);
	return s;
}

/* --- datagrams --- */

static void check_size(struct pair *p, size_t len)
{
	static uint8_t data[TLS_LINK_DATAGRAM_MAX];
	size_t count = p->client.count;

	pattern(data, len, len);
	assert_int_equal(tls_link_send(p->client.link, data, len, len), 0);
	RUN_UNTIL(p, p->client.count == count + 1);
	assert_int_equal(p->client.last, len);
	assert_int_equal(p->beacon.last, len);
}

static void datagrams_of_every_size_come_back(void **state)
{
	struct pair *p = *state;
	static const size_t SIZES[] = { 16381, 16382, 16383, 16384, 16385, 32766,
					32768, 49152, 65533, 65534, 65535 };

	pair_open(p);
	p->beacon.echo = true;
	for (size_t len = 1; len < 300; len++)
		check_size(p, len);
	for (size_t len = 300; len < 65000; len += 1999)
		check_size(p, len);
	for (size_t i = 0; i < sizeof(SIZES) / sizeof(SIZES[0]); i++)
		check_size(p, SIZES[i]);
	assert_false(p->client.damaged || p->beacon.damaged);
	assert_int_equal(stats(&p->client).dropped + stats(&p->beacon).dropped, 0);
	assert_int_equal(stats(&p->client).tx_bytes, p->beacon.bytes);
	assert_int_equal(stats(&p->client).rx_bytes, p->client.bytes);
	assert_int_equal(stats(&p->beacon).rx_datagrams, p->beacon.count);
}

static void check_batch(struct pair *p, size_t count, size_t segment, size_t tail)
{
	uint8_t *data = malloc(count * segment + tail);
	size_t want = count + (tail > 0);
	uint64_t dropped = stats(&p->client).dropped;

	assert_non_null(data);
	for (size_t i = 0; i < count; i++)
		pattern(data + i * segment, segment, i);
	pattern(data + count * segment, tail, count);
	p->beacon.count = 0;
	assert_int_equal(tls_link_send(p->client.link, data, count * segment + tail, segment), 0);
	free(data);
	RUN_UNTIL(p, p->beacon.count == want);
	assert_int_equal(p->beacon.last, tail ? tail : segment);
	assert_false(p->beacon.damaged);
	assert_int_equal(stats(&p->client).dropped, dropped);
}

static void batches_arrive(void **state)
{
	struct pair *p = *state;

	pair_open(p);
	check_batch(p, 1, 1200, 0);
	check_batch(p, 10, 1200, 33);
	check_batch(p, 40, 1200, 1);
	check_batch(p, 3, 16384, 5);
	check_batch(p, 500, 1, 0);
}

static void datagrams_share_records(void **state)
{
	struct pair *p = *state;
	uint8_t data[12000];
	unsigned before;

	pair_open(p);
	pattern(data, sizeof(data), 0);
	before = writes;
	for (int i = 0; i < 10; i++) /* ten calls in one iteration */
		assert_int_equal(tls_link_send(p->client.link, data, 1200, 1200), 0);
	assert_int_equal(writes, before);
	RUN_UNTIL(p, p->beacon.count == 10);
	assert_int_equal(writes, before + 1);
}

static void keep_alives_are_ignored(void **state)
{
	struct pair *p = *state;
	unsigned before;

	pair_open(p);
	before = writes;
	assert_int_equal(tls_link_send(p->client.link, NULL, 0, 0), 0);
	RUN_UNTIL(p, writes > before);
	check_batch(p, 1, 100, 0);
	assert_int_equal(stats(&p->client).tx_datagrams, 1);
	assert_int_equal(stats(&p->beacon).rx_datagrams, 1);
}

static void what_cannot_be_sent(void **state)
{
	static uint8_t data[65536];
	struct pair *p = *state;

	pair_connect(p);
	assert_int_equal(tls_link_send(p->client.link, data, 1, 1), GW_E_CLOSED);
	RUN_UNTIL(p, p->client.opened && p->beacon.opened);
	assert_int_equal(tls_link_send(p->client.link, data, 1, 0), GW_E_LENGTH);
	assert_int_equal(tls_link_send(p->client.link, data, sizeof(data), sizeof(data)),
			 GW_E_LENGTH);
	end_close(&p->beacon);
	RUN_UNTIL(p, p->client.closed);
	assert_int_equal(p->client.error, GW_E_CLOSED);
	assert_non_null(strstr(p->client.text, "closed the connection"));
	assert_int_equal(tls_link_send(p->client.link, data, 1, 1), GW_E_CLOSED);
}

/* --- a slow reader --- */

static void fill_up(struct pair *p)
{
	static uint8_t data[48 * 1200];
	gw_time limit = loop_clock() + 60 * GW_SEC;

	for (size_t i = 0; i < 48; i++)
		pattern(data + i * 1200, 1200, i);
	while (stats(&p->client).dropped < 1000) {
		assert_true(loop_clock() < limit);
		assert_int_equal(tls_link_send(p->client.link, data, sizeof(data), 1200), 0);
		assert_true(stats(&p->client).queued <= TLS_LINK_QUEUE);
		loop_run_once(p->loop, 0);
	}
}

static void slow_reader_costs_datagrams_not_memory(void **state)
{
	struct pair *p = *state;
	struct tls_link_stats s;

	pair_open(p);
	fill_up(p); /* the beacon's loop stands still */
	s = stats(&p->client);
	assert_true(s.queued > 0);
	RUN_UNTIL(p, p->beacon.count == s.tx_datagrams); /* what was accepted arrives */
	assert_false(p->beacon.damaged);
	assert_int_equal(stats(&p->client).queued, 0);
	check_batch(p, 10, 1200, 0); /* and it goes on */
}

static void a_break_while_sending_is_told_from_the_loop(void **state)
{
	static uint8_t data[60000];
	struct pair *p = *state;

	pair_open(p);
	assert_int_equal(tls_link_send(p->client.link, data, 1200, 1200), 0);
	loop_run_once(p->loop, 0);
	end_close(&p->beacon); /* with unread bytes: a reset */
	assert_int_equal(tls_link_send(p->client.link, data, sizeof(data), 1200), 0);
	assert_false(p->client.closed);
	RUN_UNTIL(p, p->client.closed);
	assert_int_equal(p->client.error, GW_E_CLOSED);
}

/* --- closing from inside --- */

static void close_in_on_open(void **state)
{
	struct pair *p = *state;

	p->client.close_on_open = true;
	pair_connect(p);
	RUN_UNTIL(p, p->client.opened);
	assert_null(p->client.link);
	RUN_UNTIL(p, p->beacon.closed);
	p->client.close_on_open = false;
	p->beacon.close_on_open = true;
	pair_connect(p);
	RUN_UNTIL(p, p->client.closed);
}

static void close_in_on_datagram(void **state)
{
	static uint8_t data[12000];
	struct pair *p = *state;

	pair_open(p);
	p->beacon.close_on_datagram = true;
	assert_int_equal(tls_link_send(p->client.link, data, sizeof(data), 1200), 0);
	RUN_UNTIL(p, p->client.closed);
	assert_int_equal(p->beacon.count, 1);
}

static void close_in_on_closed(void **state)
{
	struct pair *p = *state;

	p->client.close_on_closed = true;
	pair_open(p);
	end_close(&p->beacon);
	RUN_UNTIL(p, p->client.closed);
	assert_null(p->client.link);
}

/* --- others who come to the port --- */

static void expect_closed(struct pair *p, int error, const char *text)
{
	RUN_UNTIL(p, p->beacon.closed);
	assert_false(p->beacon.opened);
	if (p->beacon.error != error || !strstr(p->beacon.text, text))
		fail_msg("%d (wanted %d): %s", p->beacon.error, error, p->beacon.text);
}

static void half_open_connections_time_out(void **state)
{
	struct pair *p = *state;
	struct tls_server_config c = { .host = "localhost", .timeout = 50 * GW_MSEC };
	int fd;

	pair_serve(p, &c);
	fd = connect_to(p->port);
	expect_closed(p, GW_E_TIMEOUT, "in time");
	close(fd);
	fd = connect_to(p->port);
	assert_int_equal(send(fd, "\x16\x03\x01", 3, 0), 3); /* the beginning of TLS */
	p->beacon.closed = false;
	RUN_UNTIL(p, p->accepted == 2);
	expect_closed(p, GW_E_TIMEOUT, "in time");
	close(fd);
}

/* Add what has come; is it the end? */
static bool hear(int fd, char answer[1024])
{
	size_t got = strlen(answer);
	ssize_t n = recv(fd, answer + got, 1023 - got, MSG_DONTWAIT);

	if (n > 0)
		answer[got + (size_t)n] = 0;
	return n == 0;
}

static void plain_http_is_told_to_upgrade(void **state)
{
	static const char GET[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
	struct pair *p = *state;
	int fd = connect_to(p->port);
	char answer[1024] = "";

	assert_int_equal(send(fd, GET, sizeof(GET) - 1, 0), sizeof(GET) - 1);
	RUN_UNTIL(p, hear(fd, answer));
	assert_non_null(strstr(answer, "HTTP/1.1 426 Upgrade Required\r\n"));
	assert_non_null(strstr(answer, "It speaks HTTPS."));
	close(fd);
	expect_closed(p, GW_E_PROTOCOL, "HTTP without TLS");
}

static void what_is_no_http_at_all(void **state)
{
	struct pair *p = *state;
	int fd = connect_to(p->port);

	assert_int_equal(send(fd, "\0\0\0\0", 4, 0), 4);
	RUN_UNTIL(p, p->accepted == 1);
	shutdown(fd, SHUT_WR);
	expect_closed(p, GW_E_PROTOCOL, "not an HTTP request");
	close(fd);
}

/* A web browser, in a thread: it asks, and reads until the end. */
struct browser {
	uint16_t port;
	const char *request;
	size_t padding; /* so many bytes before the request's end */
	char answer[1024];
	_Atomic bool done;
};

static void browse(struct browser *b, gnutls_session_t tls)
{
	char header[101];
	ssize_t n;
	size_t got = 0;

	gnutls_record_send(tls, b->request, strlen(b->request));
	memset(header, 'a', sizeof(header));
	memcpy(header, "X-A: ", 5);
	memcpy(header + 98, "\r\n", 3);
	for (size_t i = 0; i < b->padding; i += 100)
		gnutls_record_send(tls, header, 100);
	gnutls_record_send(tls, "\r\n", 2);
	do {
		n = gnutls_record_recv(tls, b->answer + got, sizeof(b->answer) - 1 - got);
		if (n > 0)
			got += (size_t)n;
	} while (n > 0 || n == GNUTLS_E_INTERRUPTED);
}

static void *browser_thread(void *user)
{
	struct browser *b = user;
	gnutls_certificate_credentials_t credentials;
	gnutls_session_t tls;
	int fd = connect_to(b->port);

	gnutls_certificate_allocate_credentials(&credentials);
	gnutls_init(&tls, GNUTLS_CLIENT | GNUTLS_NO_SIGNAL);
	gnutls_set_default_priority(tls);
	gnutls_credentials_set(tls, GNUTLS_CRD_CERTIFICATE, credentials);
	gnutls_transport_set_int(tls, fd);
	if (gnutls_handshake(tls) == 0)
		browse(b, tls);
	gnutls_deinit(tls);
	gnutls_certificate_free_credentials(credentials);
	close(fd);
	b->done = true;
	return NULL;
}

static void check_browser(struct pair *p, const char *request, size_t padding, const char *answer)
{
	struct browser b = { .port = p->port, .request = request, .padding = padding };
	pthread_t thread;

	p->beacon.closed = false;
	assert_int_equal(pthread_create(&thread, NULL, browser_thread, &b), 0);
	RUN_UNTIL(p, b.done);
	pthread_join(thread, NULL);
	if (strncmp(b.answer, answer, strlen(answer)) != 0)
		fail_msg("%s: %s", request, b.answer);
	expect_closed(p, GW_E_PROTOCOL, "HTTP request");
}

static void browsers_get_a_short_answer(void **state)
{
	static const char NOT_FOUND[] = "HTTP/1.1 404 ", UPGRADE[] = "HTTP/1.1 426 ",
			  BAD[] = "HTTP/1.1 400 ";
	struct pair *p = *state;

	check_browser(p, "GET / HTTP/1.1\r\nHost: a\r\n", 0, NOT_FOUND);
	check_browser(p, "POST /godwit HTTP/1.1\r\nHost: a\r\n", 0, NOT_FOUND);
	check_browser(p, "GET /godwit HTTP/1.1\r\nHost: a\r\n", 0, UPGRADE);
	check_browser(p, "GET /godwit HTTP/1.1\r\nUpgrade: godwit\r\n", 0, UPGRADE);
	check_browser(p,
		      "GET /godwit HTTP/1.1\r\nConnection: Upgrade\r\n"
		      "Upgrade: websocket\r\n",
		      0, UPGRADE);
	check_browser(p, "GET /godwit\r\n", 0, BAD);
	check_browser(p, "GET / HTTP/1.1\r\n", 9000, BAD);
}

static void an_upgrade_by_hand_is_answered(void **state)
{
	struct pair *p = *state;
	struct browser b = { .port = p->port,
			     .request = "GET /godwit HTTP/1.1\r\nHost: a\r\n"
					"connection: keep-alive, upgrade\r\nUPGRADE: godwit\r\n" };
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, browser_thread, &b), 0);
	RUN_UNTIL(p, p->beacon.opened);
	end_close(&p->beacon);
	RUN_UNTIL(p, b.done);
	pthread_join(thread, NULL);
	assert_non_null(strstr(b.answer, "HTTP/1.1 101 Switching Protocols\r\n"));
	assert_non_null(strstr(b.answer, "Upgrade: godwit\r\n"));
}

/* --- servers --- */

static void wrong_files_are_named(void **state)
{
	struct pair *p = *state;
	char text[TLS_LINK_TEXT_MAX];
	struct tls_server *s = NULL;
	struct tls_server_config c = { .certificate_file = "/nonexistent", .key_file = p->key };

	assert_int_equal(tls_server_new(&s, &c, text), GW_E_INVALID);
	assert_non_null(strstr(text, "/nonexistent"));
	c.certificate_file = p->other; /* another key's */
	assert_int_equal(tls_server_new(&s, &c, text), GW_E_INVALID);
	c.key_file = NULL;
	assert_int_equal(tls_server_new(&s, &c, text), GW_E_INVALID);
	assert_null(s);
}

static void self_signed_certificates_will_do(void **state)
{
	static const char *const HOSTS[] = { "beacon.example", "192.0.2.1", "2001:db8::1", NULL };
	struct pair *p = *state;

	for (int i = 0; i < 4; i++) {
		struct tls_server_config c = { .host = HOSTS[i] };

		pair_serve(p, &c);
		pair_open(p);
		assert_int_equal(tls_link_remote(p->client.link).port, p->port);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, pair_setup, pair_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(datagrams_of_every_size_come_back),
		TEST(batches_arrive),
		TEST(datagrams_share_records),
		TEST(keep_alives_are_ignored),
		TEST(what_cannot_be_sent),
		TEST(slow_reader_costs_datagrams_not_memory),
		TEST(a_break_while_sending_is_told_from_the_loop),
		TEST(close_in_on_open),
		TEST(close_in_on_datagram),
		TEST(close_in_on_closed),
		TEST(half_open_connections_time_out),
		TEST(plain_http_is_told_to_upgrade),
		TEST(what_is_no_http_at_all),
		TEST(browsers_get_a_short_answer),
		TEST(an_upgrade_by_hand_is_answered),
		TEST(wrong_files_are_named),
		TEST(self_signed_certificates_will_do),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
