/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/probe.h"

#include <string.h>

#include "io/entropy.h"

enum { SENDS = 3, RECEIVES = 8 };

#define GAP (300 * GW_MSEC)
/* For the answer to the last one. */
#define PATIENCE (700 * GW_MSEC)

/* --- answers --- */

static void on_datagram(void *user, const struct path *path, const uint8_t *data, size_t len)
{
	struct prober *p = user;
	struct wire_address_reply r;

	if (wire_classify(data, len) != DATAGRAM_ADDRESS_REPLY ||
	    wire_address_reply_decode(&r, data, len) <= 0)
		return;
	for (size_t i = 0; i < p->count; i++) {
		struct probe *probe = &p->probes[i];
		gw_time rtt = loop_clock() - probe->sent_at;

		if (memcmp(probe->token, r.token, sizeof(r.token)) != 0)
			continue;
		if (!probe->answered || rtt < probe->rtt)
			probe->rtt = rtt;
		probe->answered = true;
		probe->seen = r.endpoint;
		probe->local = path->local;
	}
}

static void on_udp(void *user, int fd, unsigned events)
{
	struct prober *p = user;

	(void)events;
	for (size_t i = 0; i < PROBE_SOCKETS; i++)
		if (udp_fd(p->sockets[i]) == fd)
			udp_receive(p->sockets[i], RECEIVES, on_datagram, p);
}

/* --- questions --- */

static size_t encode(const struct probe *probe, uint8_t out[WIRE_ADDRESS_REQUEST_SIZE])
{
	struct wire_address_request q = { 0 };
	struct wire_address_reply plain = { .endpoint = probe->to };

	memcpy(q.token, probe->token, sizeof(q.token));
	memcpy(plain.token, probe->token, sizeof(plain.token));
	if (probe->kind == PROBE_PLAIN)
		return wire_address_reply_encode(out, &plain);
	q.flags = probe->kind == PROBE_ALTERNATE ? ADDRESS_FROM_ALTERNATE : 0;
	return wire_address_request_encode(out, &q);
}

static void ask(struct prober *p, struct probe *probe, gw_time now)
{
	uint8_t data[WIRE_ADDRESS_REQUEST_SIZE];
	struct path path = { .remote = probe->to };
	size_t len = encode(probe, data);

	if (probe->kind != PROBE_AWAIT)
		(void)udp_send(p->sockets[probe->socket], &path, data, len, len);
	probe->sent++;
	probe->sent_at = now;
	probe->next_at = probe->sent < SENDS ? now + GAP : now + PATIENCE;
}

static gw_time next_of(const struct prober *p)
{
	gw_time at = GW_NEVER;

	for (size_t i = 0; i < p->count; i++)
		if (!p->probes[i].answered)
			at = time_min(at, p->probes[i].next_at);
	return at;
}

static void on_timer(void *user)
{
	struct prober *p = user;
	gw_time now = loop_clock();

	for (size_t i = 0; i < p->count; i++) {
		struct probe *probe = &p->probes[i];

		if (probe->answered || now < probe->next_at)
			continue;
		if (probe->sent < SENDS)
			ask(p, probe, now);
		else
			probe->next_at = GW_NEVER;
	}
	loop_timer_set(p->timer, next_of(p));
}

struct probe *prober_add(struct prober *p, enum probe_kind kind, size_t socket,
			 const struct addr *to)
{
	struct probe *probe;

	if (p->count == PROBES_MAX)
		return NULL;
	probe = &p->probes[p->count++];
	*probe = (struct probe){ .kind = kind, .socket = socket, .to = *to };
	rng_bytes(&p->rng, probe->token, sizeof(probe->token));
	ask(p, probe, loop_clock());
	loop_timer_set(p->timer, next_of(p));
	return probe;
}

bool prober_done(const struct prober *p)
{
	return next_of(p) == GW_NEVER;
}

/* --- life --- */

int prober_init(struct prober *p, struct loop *loop)
{
	const struct addr anywhere = { 0 };
	int error = 0;

	p->loop = loop;
	entropy_init(&p->rng);
	p->timer = loop_timer_new(loop, on_timer, p);
	for (size_t i = 0; !error && i < PROBE_SOCKETS; i++) {
		error = udp_open(&p->sockets[i], &anywhere);
		if (!error)
			p->sources[i] = loop_add(loop, udp_fd(p->sockets[i]), LOOP_IN, on_udp, p);
	}
	return error;
}

void prober_clear(struct prober *p)
{
	for (size_t i = 0; i < PROBE_SOCKETS; i++) {
		loop_remove(p->sources[i]);
		udp_close(p->sockets[i]);
	}
	loop_timer_free(p->timer);
}
