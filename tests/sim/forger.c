/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "liar.h"
#include "net.h"

/* LATER: than what was seen, which crosses a link yet. */
enum { KINDS = 9, LATER_MS = 50, DELAY_MAX_MS = 50, LINGER_MAX_MS = 20000 };

static void stranger(struct sim *s, struct addr *a)
{
	struct rng *r = &s->forger.rng;

	rng_bytes(r, a->ip, a->family == ADDR_V6 ? 16 : 4);
	a->ip[0] = a->family == ADDR_V6 ? 0x20 : 9; /* nobody's */
	a->port = (uint16_t)(1 + rng_below(r, 65535));
}

/* Behind the header of what was seen, noise. */
static void noise(struct sim *s, struct packet *f, size_t header)
{
	for (size_t i = header; i < f->len; i++)
		f->data[i] = (uint8_t)rng_u64(&s->forger.rng);
}

static void set_kind(struct sim *s, struct packet *f, uint8_t first, size_t len)
{
	if (f->len < len)
		return;
	f->len = len;
	f->data[0] = first;
	noise(s, f, 1);
}

/* Nothing here looks at what is random to GnuTLS: only at lengths and at kinds of datagrams. */
static void forge(struct sim *s, struct packet *f)
{
	struct rng *r = &s->forger.rng;

	switch (rng_below(r, KINDS)) {
	case 0: /* said again */
		break;
	case 1: /* said again from elsewhere */
		stranger(s, &f->src);
		break;
	case 2: /* changed on the way */
		if (f->len > 1)
			f->data[1 + rng_below(r, f->len - 1)] ^= (uint8_t)(1 << rng_below(r, 8));
		break;
	case 3: /* cut off */
		f->len = 1 + rng_below(r, f->len);
		break;
	case 4: /* the header of a real one */
		noise(s, f, 9 + rng_below(r, 30));
		if (rng_below(r, 2))
			stranger(s, &f->src);
		break;
	case 5:
		set_kind(s, f, WIRE_PUNCH, WIRE_PUNCH_SIZE);
		break;
	case 6:
		set_kind(s, f, WIRE_ADDRESS_REPLY, 16);
		break;
	case 7: /* in a channel that is not */
		set_kind(s, f, WIRE_CHANNEL, f->len);
		break;
	case 8: /* another end of the channel, another answer to the question */
		stranger(s, &f->src);
		if (f->data[0] == WIRE_PUNCH) {
			f->data[WIRE_PUNCH_SIGNED - 1] ^= 1; /* its counter */
			f->src.ip[0] = UNANSWERED;
		}
		break;
	}
}

/* To a node that asked a beacon, perhaps: where it is seen. */
static void false_reply(struct sim *s)
{
	struct rng *r = &s->forger.rng;
	const struct proc *beacon = &s->procs[0];
	const struct proc *to = &s->procs[rng_below(r, s->n_procs)];
	struct wire_address_reply reply = { .endpoint = s->hosts[beacon->host].ifaces[0].addr };
	struct packet head = { .stage = AT_HOST, .iface = &s->hosts[to->host].ifaces[0] };
	uint8_t bytes[WIRE_ADDRESS_REPLY_MAX];

	rng_bytes(r, reply.token, sizeof(reply.token));
	stranger(s, &reply.endpoint);
	head.len = wire_address_reply_encode(bytes, &reply);
	head.src = s->hosts[beacon->host].ifaces[0].addr;
	head.src.port = beacon->port;
	head.dst = head.iface->addr;
	head.dst.port = to->port;
	sim_schedule(s, s->now + GW_MSEC, ITEM_PACKET, packet_new(&head, bytes));
}

static void see(struct sim *s, const struct packet *pk)
{
	struct rng *r = &s->forger.rng;
	struct packet head = *pk, *f;
	uint64_t delay_ms;

	if (!s->forger.one_in || pk->len == 0 || rng_below(r, s->forger.one_in))
		return;
	if (rng_below(r, 8) == 0)
		false_reply(s);
	head.stage = AT_HOST;
	f = packet_new(&head, pk->data);
	forge(s, f);
	delay_ms = (s->forger.races ? 0 : LATER_MS) +
		   rng_below(r, rng_below(r, 10) ? DELAY_MAX_MS : LINGER_MAX_MS);
	sim_schedule(s, s->now + delay_ms * GW_MSEC, ITEM_PACKET, f);
}

void forger_start(struct sim *s, unsigned one_in, bool races)
{
	s->forger.races = races;
	s->forger.one_in = one_in;
	s->forger.see = see;
	rng_seed(&s->forger.rng, ~s->seed);
}
