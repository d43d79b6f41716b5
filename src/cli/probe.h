/* cli/probe.h - address requests to beacons from sockets of our own, and what comes back.
 * Spec: docs/protocol.md, section 11. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_CLI_PROBE_H
#define GODWIT_CLI_PROBE_H

#include "base/addr.h"
#include "base/rng.h"
#include "io/loop.h"
#include "io/udp.h"
#include "wire/beacon.h"

enum { PROBE_SOCKETS = 4, PROBES_MAX = 64 };

enum probe_kind {
	PROBE_REQUEST,   /* where do you see me? */
	PROBE_ALTERNATE, /* the same; answer from your alternate port */
	PROBE_PLAIN,     /* only a datagram that another socket of ours should get */
	PROBE_AWAIT,     /* nothing is sent by us */
};

struct probe {
	enum probe_kind kind;
	size_t socket; /* the one that sends; PROBE_PLAIN: another receives */
	struct addr to;
	uint8_t token[WIRE_TOKEN_SIZE];
	unsigned sent;
	gw_time sent_at, next_at;
	bool answered;
	gw_time rtt;       /* the least */
	struct addr seen;  /* what the answer says */
	struct addr local; /* where it came in */
};

struct prober {
	struct loop *loop;
	struct rng rng;
	struct udp *sockets[PROBE_SOCKETS]; /* all families, ports of the system's choice */
	struct loop_source *sources[PROBE_SOCKETS];
	struct loop_timer *timer;
	size_t count;
	struct probe probes[PROBES_MAX];
};

/* Zeroed memory may be cleared. */
int prober_init(struct prober *p, struct loop *loop);
void prober_clear(struct prober *p);

/* Send it now, and twice more as long as there is no answer.  NULL: too many. */
struct probe *prober_add(struct prober *p, enum probe_kind kind, size_t socket,
			 const struct addr *to);
/* Nothing more can come of any of them. */
bool prober_done(const struct prober *p);

#endif
