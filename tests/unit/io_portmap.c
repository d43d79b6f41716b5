// SPDX-License-Identifier: Apache-2.0
/* Port mapping against gateways of our own on the loopback: one that speaks PCP and NAT-PMP, in
 * the test's loop, and a UPnP device, in a thread. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <dirent.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"
#include "io/portmap.h"
#include "io/pcp.h"

enum { LOCAL_PORT = 41641, LIMIT_S = 20 };

/* --- the gateway --- */

enum { NAT_PMP = 1, PCP = 2 };

struct gateway {
	struct loop_source *source;
	int fd;
	struct addr at;
	unsigned speaks; /* NAT_PMP, PCP; 0: silent */
	uint8_t result;
	uint32_t lifetime, epoch;
	uint8_t ip[4];
	uint16_t port; /* granted; 0: the one asked for */

	unsigned packets, pcp_maps, natpmp_maps, pcp_deletes, natpmp_deletes;
	uint8_t nonce[PCP_NONCE_SIZE]; /* of the last PCP request */
	uint16_t wanted;               /* external port of the last request for a mapping */
};

struct test {
	struct loop *loop;
	struct gateway gateway;
	struct portmap_config config;
	struct portmap *portmap;
	struct portmap_info last; /* what the callback got */
	unsigned calls;
	bool free_in_callback;
};

static void put16(uint8_t *out, unsigned value)
{
	out[0] = (uint8_t)(value >> 8);
	out[1] = (uint8_t)value;
}

static void put32(uint8_t *out, uint32_t value)
{
	put16(out, value >> 16);
	put16(out + 2, value & 0xffff);
}

static uint32_t get32(const uint8_t *in)
{
	return (uint32_t)in[0] << 24 | (uint32_t)in[1] << 16 | (uint32_t)in[2] << 8 | in[3];
}

/* The answer's length; the request becomes the answer. */
static size_t answer_pcp(struct gateway *g, uint8_t *data, size_t len)
{
	uint32_t lifetime = get32(data + 4);

	assert_int_equal(len, PCP_MAP_SIZE);
	assert_int_equal(data[1], PCP_MAP);
	assert_int_equal(data[36], 17);
	assert_int_equal(get32(data + 16), 0xffff); /* the client's address, v4-mapped */
	assert_int_equal(get32(data + 20), INADDR_LOOPBACK);
	memcpy(g->nonce, data + 24, sizeof(g->nonce));
	if (lifetime == 0)
		g->pcp_deletes++;
	else
		g->pcp_maps++;
	if (lifetime)
		g->wanted = (uint16_t)(data[42] << 8 | data[43]);
	data[1] |= 0x80;
	data[3] = g->result;
	put32(data + 4, lifetime ? g->lifetime : 0);
	put32(data + 8, g->epoch);
	memset(data + 12, 0, 12);
	if (g->port)
		put16(data + 42, g->port);
	memset(data + 44, 0, 10);
	put16(data + 54, 0xffff);
	memcpy(data + 56, g->ip, 4);
	return len;
}

static size_t answer_natpmp(struct gateway *g, uint8_t *data, size_t len)
{
	uint32_t lifetime = len == 12 ? get32(data + 8) : 0;
	uint8_t request[12];

	memcpy(request, data, len < sizeof(request) ? len : sizeof(request));
	data[1] |= 0x80;
	put16(data + 2, g->result);
	put32(data + 4, g->epoch);
	if (len == 2) {
		memcpy(data + 8, g->ip, 4);
		return 12;
	}
	assert_int_equal(len, 12);
	assert_int_equal(request[1], 1); /* UDP */
	if (lifetime == 0)
		g->natpmp_deletes++;
	else
		g->natpmp_maps++;
	if (lifetime)
		g->wanted = (uint16_t)(request[6] << 8 | request[7]);
	memcpy(data + 8, request + 4, 4);
	if (g->port)
		put16(data + 10, g->port);
	put32(data + 12, lifetime ? g->lifetime : 0);
	return 16;
}

/* RFC 6886, 3.5: what a gateway says to a request of a version it does not know. */
static size_t answer_other_version(struct gateway *g, uint8_t *data)
{
	memset(data, 0, PCP_MAP_SIZE);
	data[0] = g->speaks & PCP ? 2 : 0;
	data[1] = 0x80;
	data[3] = 1;
	return g->speaks & PCP ? 24 : 8;
}

static void on_request(void *user, int fd, unsigned events)
{
	struct gateway *g = user;
	uint8_t data[PCP_SIZE_MAX] = { 0 };
	struct sockaddr_storage from;
	socklen_t from_len = sizeof(from);
	ssize_t n =
		recvfrom(fd, data, sizeof(data), MSG_DONTWAIT, (struct sockaddr *)&from, &from_len);
	size_t len;

	(void)events;
	if (n < 0)
		return;
	g->packets++;
	assert_true(n >= 2);
	if (!g->speaks)
		return;
	if (data[0] == 2 && g->speaks & PCP)
		len = answer_pcp(g, data, (size_t)n);
	else if (data[0] == 0 && g->speaks & NAT_PMP)
		len = answer_natpmp(g, data, (size_t)n);
	else
		len = answer_other_version(g, data);
	sendto(fd, data, len, 0, (struct sockaddr *)&from, from_len);
}

static int bind_loopback(int type, struct addr *out)
{
	struct sockaddr_in sa = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(sa);
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&sa, len), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
	assert_int_equal(addr_from_sockaddr(out, (struct sockaddr *)&sa, len), 0);
	return fd;
}

/* --- a test --- */

static void on_portmap(void *user, const struct portmap_info *info)
{
	struct test *t = user;

	t->last = *info;
	t->calls++;
	if (t->free_in_callback) {
		portmap_free(t->portmap);
		t->portmap = NULL;
	}
}

static int setup(void **state)
{
	struct test *t = calloc(1, sizeof(*t));
	struct gateway *g = &t->gateway;
	int fd;

	assert_non_null(t);
	assert_int_equal(loop_new(&t->loop), 0);
	*g = (struct gateway){
		.speaks = NAT_PMP, .lifetime = 3600, .epoch = 1000, .ip = { 203, 0, 113, 7 }
	};
	g->fd = bind_loopback(SOCK_DGRAM, &g->at);
	g->source = loop_add(t->loop, g->fd, LOOP_IN, on_request, g);
	fd = bind_loopback(SOCK_DGRAM, &t->config.announce); /* a free port */
	close(fd);
	t->config.gateway = g->at;
	t->config.no_upnp = true;
	t->config.retry = 10 * GW_MSEC;
	*state = t;
	return 0;
}

static int teardown(void **state)
{
	struct test *t = *state;

	portmap_free(t->portmap);
	if (t->gateway.fd >= 0) {
		loop_remove(t->gateway.source);
		close(t->gateway.fd);
	}
	loop_free(t->loop);
	free(t);
	return 0;
}

static void begin(struct test *t)
{
	assert_int_equal(portmap_new(&t->portmap, t->loop, LOCAL_PORT, &t->config, on_portmap, t),
			 0);
}

#define RUN_UNTIL(t, condition)                                                                    \
	do {                                                                                       \
		gw_time limit_ = loop_clock() + LIMIT_S * GW_SEC;                                  \
                                                                                                   \
		while (!(condition)) {                                                             \
			assert_true(loop_clock() < limit_);                                        \
			loop_run_once((t)->loop, 10 * GW_MSEC);                                    \
		}                                                                                  \
	} while (0)

static void expect_mapped(const struct test *t, enum portmap_protocol protocol,
			  const char *external)
{
	char text[ADDR_TEXT_MAX];

	assert_int_equal(t->last.state, PORTMAP_MAPPED);
	assert_int_equal(t->last.protocol, protocol);
	assert_string_equal(addr_format(&t->last.external, text), external);
	assert_string_equal(t->last.error, "");
	assert_int_equal(t->last.findings[protocol].answer, PORTMAP_GRANTED);
}

/* --- PCP and NAT-PMP --- */

static void nat_pmp_grants(void **state)
{
	struct test *t = *state;

	t->gateway.port = 5000;
	begin(t);
	RUN_UNTIL(t, t->calls);
	expect_mapped(t, PORTMAP_NAT_PMP, "203.0.113.7:5000");
	assert_false(t->last.nested);
	assert_int_equal(t->gateway.wanted, LOCAL_PORT);
	assert_int_equal(t->last.findings[PORTMAP_PCP].answer, PORTMAP_ABSENT);
	assert_int_equal(t->last.findings[PORTMAP_UPNP].answer, PORTMAP_UNTRIED);
	portmap_free(t->portmap);
	t->portmap = NULL;
	RUN_UNTIL(t, t->gateway.natpmp_deletes == 1);
	assert_int_equal(t->gateway.pcp_maps + t->gateway.pcp_deletes, 0);
}

static void pcp_grants(void **state)
{
	struct test *t = *state;
	uint8_t nonce[PCP_NONCE_SIZE];

	t->gateway.speaks = PCP | NAT_PMP;
	t->gateway.port = 5001;
	begin(t);
	RUN_UNTIL(t, t->calls);
	expect_mapped(t, PORTMAP_PCP, "203.0.113.7:5001");
	memcpy(nonce, t->gateway.nonce, sizeof(nonce));
	portmap_free(t->portmap);
	t->portmap = NULL;
	RUN_UNTIL(t, t->gateway.pcp_deletes == 1);
	assert_memory_equal(nonce, t->gateway.nonce, sizeof(nonce));
	assert_int_equal(t->gateway.natpmp_maps, 0); /* one mapping, not two */
}

static void refused(void **state)
{
	static const struct {
		unsigned speaks;
		uint8_t result;
		enum portmap_protocol protocol;
		const char *error;
	} table[] = {
		{ NAT_PMP, 2, PORTMAP_NAT_PMP, "nat-pmp: not authorised" },
		{ NAT_PMP, 3, PORTMAP_NAT_PMP, "nat-pmp: the gateway has no network" },
		{ NAT_PMP, 4, PORTMAP_NAT_PMP, "nat-pmp: no resources left" },
		{ PCP, 2, PORTMAP_PCP, "pcp: not authorised" },
		{ PCP, 12, PORTMAP_PCP, "pcp: another NAT between here and the gateway" },
		{ PCP, 99, PORTMAP_PCP, "pcp: unknown error" },
	};
	struct test *t = *state;

	t->config.retry = GW_SEC * 3600;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		t->calls = 0;
		t->gateway.speaks = table[i].speaks;
		t->gateway.result = table[i].result;
		begin(t);
		RUN_UNTIL(t, t->calls);
		assert_int_equal(t->last.state, PORTMAP_NONE);
		assert_int_equal(t->last.protocol, PORTMAP_PROTOCOLS);
		assert_int_equal(t->last.findings[table[i].protocol].answer, PORTMAP_REFUSED);
		assert_string_equal(t->last.error, table[i].error);
		portmap_free(t->portmap);
		t->portmap = NULL;
	}
}

static void external_addresses(void **state)
{
	static const struct {
		uint8_t ip[4];
		enum portmap_state state;
		bool nested;
	} table[] = {
		{ { 10, 1, 2, 3 }, PORTMAP_MAPPED, true },
		{ { 172, 31, 0, 1 }, PORTMAP_MAPPED, true },
		{ { 172, 32, 0, 1 }, PORTMAP_MAPPED, false },
		{ { 192, 168, 7, 7 }, PORTMAP_MAPPED, true },
		{ { 100, 64, 0, 9 }, PORTMAP_MAPPED, true },
		{ { 100, 128, 0, 9 }, PORTMAP_MAPPED, false },
		{ { 0, 0, 0, 0 }, PORTMAP_NONE, false },
		{ { 127, 0, 0, 1 }, PORTMAP_NONE, false },
		{ { 255, 255, 255, 255 }, PORTMAP_NONE, false },
	};
	struct test *t = *state;

	t->config.retry = GW_SEC * 3600;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		t->calls = 0;
		t->gateway.speaks = i % 2 ? PCP : NAT_PMP;
		memcpy(t->gateway.ip, table[i].ip, 4);
		begin(t);
		RUN_UNTIL(t, t->calls);
		assert_int_equal(t->last.state, table[i].state);
		assert_int_equal(t->last.nested, table[i].nested);
		portmap_free(t->portmap);
		t->portmap = NULL;
	}
}

static void port_closed(void **state)
{
	struct test *t = *state;

	loop_remove(t->gateway.source);
	close(t->gateway.fd);
	t->gateway.fd = -1;
	begin(t);
	RUN_UNTIL(t, t->calls);
	assert_int_equal(t->last.state, PORTMAP_NONE);
	assert_string_equal(t->last.error, "no gateway speaks PCP, NAT-PMP or UPnP");
	assert_string_equal(t->last.findings[PORTMAP_PCP].why, "port closed");
	assert_string_equal(t->last.findings[PORTMAP_NAT_PMP].why, "port closed");
}

static void no_answer_then_one(void **state)
{
	struct test *t = *state;

	t->gateway.speaks = 0;
	begin(t);
	RUN_UNTIL(t, t->calls);
	assert_int_equal(t->last.state, PORTMAP_NONE);
	assert_string_equal(t->last.error, "no gateway speaks PCP, NAT-PMP or UPnP");
	assert_int_equal(t->last.findings[PORTMAP_PCP].answer, PORTMAP_ABSENT);
	assert_string_equal(t->last.findings[PORTMAP_PCP].why, "no answer");
	assert_string_equal(t->last.findings[PORTMAP_NAT_PMP].why, "no answer");
	assert_true(t->gateway.packets >= 6); /* both ask again while nothing comes */
	t->gateway.speaks = PCP;
	RUN_UNTIL(t, t->last.state == PORTMAP_MAPPED);
	expect_mapped(t, PORTMAP_PCP, "203.0.113.7:41641");
}

/* --- later --- */

static void renewed_at_half_its_life(void **state)
{
	struct test *t = *state;
	uint8_t nonce[PCP_NONCE_SIZE];

	t->gateway.speaks = PCP;
	t->gateway.lifetime = 2;
	t->gateway.port = 6000;
	begin(t);
	RUN_UNTIL(t, t->calls);
	memcpy(nonce, t->gateway.nonce, sizeof(nonce));
	RUN_UNTIL(t, t->gateway.pcp_maps >= 2);
	assert_int_equal(t->gateway.wanted, 6000); /* the external port it has, not the local one */
	assert_memory_equal(nonce, t->gateway.nonce, sizeof(nonce));
	assert_int_equal(t->calls, 1); /* nothing has changed */
	t->gateway.ip[3] = 99;
	RUN_UNTIL(t, t->calls == 2);
	expect_mapped(t, PORTMAP_PCP, "203.0.113.99:6000");
	t->gateway.result = 2;
	RUN_UNTIL(t, t->calls == 3);
	assert_int_equal(t->last.state, PORTMAP_NONE);
	assert_int_equal(t->last.external.family, ADDR_NONE);
}

static void lost_when_it_expires(void **state)
{
	struct test *t = *state;

	t->gateway.lifetime = 2;
	begin(t);
	RUN_UNTIL(t, t->calls);
	t->gateway.speaks = 0;
	RUN_UNTIL(t, t->calls == 2);
	assert_int_equal(t->last.state, PORTMAP_NONE);
}

static void announce(const struct test *t, uint8_t version, uint32_t epoch)
{
	uint8_t data[24] = { version, 0x80 };
	struct sockaddr_storage sa;
	socklen_t len = addr_to_sockaddr(&t->config.announce, &sa, false);

	put32(data + (version == 2 ? 8 : 4), epoch);
	sendto(t->gateway.fd, data, version == 2 ? 24 : 12, 0, (struct sockaddr *)&sa, len);
}

static void renewed_when_the_gateway_announces(void **state)
{
	static const unsigned speaks[] = { NAT_PMP, PCP };
	struct test *t = *state;

	for (size_t i = 0; i < 2; i++) {
		t->calls = 0;
		t->gateway.speaks = speaks[i];
		t->gateway.ip[3] = 7;
		begin(t);
		RUN_UNTIL(t, t->calls == 1);
		t->gateway.ip[3] = 8;
		announce(t, speaks[i] == PCP ? 2 : 0, 3);
		RUN_UNTIL(t, t->calls == 2);
		expect_mapped(t, speaks[i] == PCP ? PORTMAP_PCP : PORTMAP_NAT_PMP,
			      "203.0.113.8:41641");
		portmap_free(t->portmap);
		t->portmap = NULL;
	}
}

static void restart(void **state)
{
	struct test *t = *state;
	struct portmap_info info;

	begin(t);
	RUN_UNTIL(t, t->calls);
	t->gateway.ip[3] = 77;
	portmap_restart(t->portmap);
	portmap_info(t->portmap, &info);
	assert_int_equal(info.state, PORTMAP_TRYING);
	assert_int_equal(info.external.family, ADDR_NONE);
	RUN_UNTIL(t, t->calls >= 2 && t->last.state == PORTMAP_MAPPED);
	expect_mapped(t, PORTMAP_NAT_PMP, "203.0.113.77:41641");
	portmap_info(t->portmap, &info);
	assert_memory_equal(&info, &t->last, sizeof(info));
}

/* The mapping disappears at once, whatever the gateway does. */
static void restart_without_an_answer(void **state)
{
	struct test *t = *state;

	begin(t);
	RUN_UNTIL(t, t->calls);
	t->gateway.speaks = 0;
	portmap_restart(t->portmap);
	RUN_UNTIL(t, t->calls == 2);
	assert_int_equal(t->last.state, PORTMAP_TRYING);
	RUN_UNTIL(t, t->calls == 3);
	assert_int_equal(t->last.state, PORTMAP_NONE);
}

static void freed_while_busy(void **state)
{
	struct test *t = *state;
	gw_time at;

	t->gateway.speaks = 0;
	begin(t);
	RUN_UNTIL(t, t->gateway.packets >= 2);
	at = loop_clock();
	portmap_free(t->portmap);
	t->portmap = NULL;
	assert_true(loop_clock() - at < GW_SEC);
	assert_int_equal(t->calls, 0);
	/* The gateway may have heard the request though we have not heard its answer. */
	t->gateway.speaks = PCP;
	RUN_UNTIL(t, t->gateway.pcp_deletes == 1);
}

static void freed_in_its_callback(void **state)
{
	struct test *t = *state;

	t->free_in_callback = true;
	begin(t);
	RUN_UNTIL(t, t->calls);
	RUN_UNTIL(t, t->gateway.natpmp_deletes == 1);
}

static void freed_at_once(void **state)
{
	struct test *t = *state;

	for (int i = 0; i < 50; i++) {
		begin(t);
		if (i % 2)
			portmap_restart(t->portmap);
		portmap_free(t->portmap);
	}
	t->portmap = NULL;
	assert_int_equal(t->calls, 0);
}

static void arguments(void **state)
{
	(void)state;
	portmap_free(NULL);
	assert_string_equal(portmap_protocol_name(PORTMAP_PCP), "pcp");
	assert_string_equal(portmap_protocol_name(PORTMAP_NAT_PMP), "nat-pmp");
	assert_string_equal(portmap_protocol_name(PORTMAP_UPNP), "upnp");
	assert_string_equal(portmap_protocol_name(PORTMAP_PROTOCOLS), "none");
}

/* --- UPnP --- */

#define WANIP "urn:schemas-upnp-org:service:WANIPConnection:1"

struct device {
	int fd;
	pthread_t thread;
	char url[64];
	pthread_mutex_t lock;
	/* Under the lock. */
	int taken;      /* so many ports are another host's */
	bool permanent; /* gives leases without end only */
	int error;      /* of AddPortMapping */
	bool hangs;     /* takes requests and does not answer */
	unsigned adds, deletes;
	char lease[16], port[16];
};

#define DEVICE "urn:schemas-upnp-org:device:"

/* The root element is left open: the parser does not mind. */
static const char DESCRIPTION[] =
	"<?xml version=\"1.0\"?><root>"
	"<device><deviceType>" DEVICE "InternetGatewayDevice:1</deviceType><deviceList>"
	"<device><deviceType>" DEVICE "WANDevice:1</deviceType><deviceList>"
	"<device><deviceType>" DEVICE "WANConnectionDevice:1</deviceType><serviceList>"
	"<service><serviceType>" WANIP "</serviceType>"
	"<controlURL>/control</controlURL><SCPDURL>/scpd</SCPDURL></service>"
	"</serviceList></device></deviceList></device></deviceList></device>";

static void reply(int fd, const char *status, const char *body)
{
	char text[4096];
	int n = snprintf(text, sizeof(text),
			 "HTTP/1.1 %s\r\nContent-Type: text/xml\r\nContent-Length: %zu\r\n"
			 "Connection: close\r\n\r\n%s",
			 status, strlen(body), body);

	(void)!send(fd, text, (size_t)n, MSG_NOSIGNAL);
}

static void soap(int fd, int error, const char *action, const char *inside)
{
	char body[2048];

	if (error)
		snprintf(body, sizeof(body),
			 "<s:Envelope><s:Body><s:Fault><detail><UPnPError><errorCode>%d</errorCode>"
			 "</UPnPError></detail></s:Fault></s:Body></s:Envelope>",
			 error);
	else
		snprintf(
			body, sizeof(body),
			"<s:Envelope><s:Body><u:%sResponse>%s</u:%sResponse></s:Body></s:Envelope>",
			action, inside, action);
	reply(fd, error ? "500 Internal Server Error" : "200 OK", body);
}

static void field(const char *request, const char *name, char out[16])
{
	char pattern[64];
	const char *at;

	snprintf(pattern, sizeof(pattern), "<%s>", name);
	at = strstr(request, pattern);
	snprintf(out, 16, "%s", at ? at + strlen(pattern) : "");
	out[strcspn(out, "<")] = '\0';
}

static int add_mapping(struct device *d, const char *request)
{
	d->adds++;
	field(request, "NewExternalPort", d->port);
	field(request, "NewLeaseDuration", d->lease);
	if (d->error)
		return d->error;
	if (d->taken && d->taken--)
		return 718;
	return d->permanent && strcmp(d->lease, "0") != 0 ? 725 : 0;
}

static void serve(struct device *d, int fd, const char *request)
{
	if (strncmp(request, "GET", 3) == 0) {
		reply(fd, "200 OK", DESCRIPTION);
	} else if (strstr(request, "#GetExternalIPAddress")) {
		soap(fd, 0, "GetExternalIPAddress",
		     "<NewExternalIPAddress>203.0.113.50</NewExternalIPAddress>");
	} else if (strstr(request, "#AddPortMapping")) {
		soap(fd, add_mapping(d, request), "AddPortMapping", "");
	} else if (strstr(request, "#DeletePortMapping")) {
		d->deletes++;
		soap(fd, 0, "DeletePortMapping", "");
	} else {
		soap(fd, 401, "", "");
	}
}

/* Header and body: miniupnpc sends a Content-Length, or no body. */
static bool complete(const char *request)
{
	const char *end = strstr(request, "\r\n\r\n"), *length = strstr(request, "Content-Length:");

	return end && (!length || strlen(end + 4) >= strtoul(length + 15, NULL, 10));
}

static void *run_device(void *user)
{
	struct device *d = user;
	int fd;

	while ((fd = accept(d->fd, NULL, NULL)) >= 0) {
		char request[8192] = "";
		size_t len = 0;
		ssize_t n;

		while (!complete(request) &&
		       (n = recv(fd, request + len, sizeof(request) - 1 - len, 0)) > 0)
			len += (size_t)n;
		pthread_mutex_lock(&d->lock);
		if (!d->hangs)
			serve(d, fd, request);
		n = d->hangs;
		pthread_mutex_unlock(&d->lock);
		if (n)
			(void)!recv(fd, request, sizeof(request), 0); /* until it gives up */
		close(fd);
	}
	return NULL;
}

static void device_start(struct device *d, struct test *t)
{
	struct addr at;
	char text[ADDR_TEXT_MAX];

	*d = (struct device){ .fd = bind_loopback(SOCK_STREAM, &at) };
	assert_int_equal(listen(d->fd, 16), 0);
	snprintf(d->url, sizeof(d->url), "http://%s/igd.xml", addr_format(&at, text));
	pthread_mutex_init(&d->lock, NULL);
	assert_int_equal(pthread_create(&d->thread, NULL, run_device, d), 0);
	t->config.no_upnp = false;
	t->config.upnp_url = d->url;
	loop_remove(t->gateway.source); /* its port is closed, so that UPnP's turn comes soon */
	close(t->gateway.fd);
	t->gateway.fd = -1;
}

static void device_stop(struct device *d)
{
	shutdown(d->fd, SHUT_RDWR);
	pthread_join(d->thread, NULL);
	close(d->fd);
	pthread_mutex_destroy(&d->lock);
}

static void upnp_grants(void **state)
{
	static const struct {
		int taken;
		bool permanent;
		unsigned adds;
		const char *lease;
	} table[] = { { 0, false, 1, "3600" }, { 0, true, 2, "0" }, { 2, false, 3, "3600" } };
	struct test *t = *state;
	struct device d;
	char external[ADDR_TEXT_MAX];

	device_start(&d, t);
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		t->calls = d.adds = d.deletes = 0;
		d.taken = table[i].taken;
		d.permanent = table[i].permanent;
		begin(t);
		RUN_UNTIL(t, t->calls);
		pthread_mutex_lock(&d.lock);
		snprintf(external, sizeof(external), "203.0.113.50:%s", d.port);
		expect_mapped(t, PORTMAP_UPNP, external);
		assert_int_equal(d.adds, table[i].adds);
		assert_string_equal(d.lease, table[i].lease);
		assert_int_equal(strcmp(d.port, "41641") == 0, !table[i].taken);
		pthread_mutex_unlock(&d.lock);
		portmap_free(t->portmap); /* the device is quick: it is done when this returns */
		t->portmap = NULL;
		pthread_mutex_lock(&d.lock);
		assert_int_equal(d.deletes, 1);
		pthread_mutex_unlock(&d.lock);
	}
	device_stop(&d);
}

static void upnp_refuses(void **state)
{
	static const struct {
		int error;
		const char *text;
	} table[] = {
		{ 606, "upnp: not authorised" },
		{ 718, "upnp: ConflictInMappingEntry" },
		{ 899, "upnp: UnknownError" },
	};
	struct test *t = *state;
	struct device d;

	device_start(&d, t);
	t->config.retry = GW_SEC * 3600;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		t->calls = 0;
		d.error = table[i].error;
		begin(t);
		RUN_UNTIL(t, t->calls);
		assert_int_equal(t->last.state, PORTMAP_NONE);
		assert_string_equal(t->last.error, table[i].text);
		portmap_free(t->portmap);
		t->portmap = NULL;
	}
	device_stop(&d);
}

static unsigned threads(void)
{
	DIR *dir = opendir("/proc/self/task");
	unsigned n = 0;

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

/* The thread is inside of the library: it is left to itself, and ends. */
static void freed_while_the_device_hangs(void **state)
{
	struct test *t = *state;
	struct device d;
	unsigned before;
	gw_time at;

	device_start(&d, t);
	before = threads();
	begin(t);
	RUN_UNTIL(t, t->calls);
	pthread_mutex_lock(&d.lock);
	d.hangs = true;
	pthread_mutex_unlock(&d.lock);
	at = loop_clock();
	portmap_free(t->portmap);
	t->portmap = NULL;
	assert_true(loop_clock() - at < GW_SEC);
	assert_true(threads() > before);
	RUN_UNTIL(t, threads() == before);
	device_stop(&d);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(nat_pmp_grants),
		TEST(pcp_grants),
		TEST(refused),
		TEST(external_addresses),
		TEST(port_closed),
		TEST(no_answer_then_one),
		TEST(renewed_at_half_its_life),
		TEST(lost_when_it_expires),
		TEST(renewed_when_the_gateway_announces),
		TEST(restart),
		TEST(restart_without_an_answer),
		TEST(freed_while_busy),
		TEST(freed_in_its_callback),
		TEST(freed_at_once),
		TEST(upnp_grants),
		TEST(upnp_refuses),
		TEST(freed_while_the_device_hangs),
		cmocka_unit_test(arguments),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
