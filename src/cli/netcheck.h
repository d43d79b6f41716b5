/* cli/netcheck.h - what this host's network lets through, as its beacons see it.
 *
 * The words for NATs are those of RFC 5780: how a mapping depends on where packets go, and what a
 * filter lets in. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_CLI_NETCHECK_H
#define GODWIT_CLI_NETCHECK_H

#include "base/time.h"
#include "cli/home.h"
#include "io/portmap.h"
#include "io/tls_link.h"

enum answer { ANSWER_UNKNOWN, ANSWER_NO, ANSWER_YES };

/* From good to bad. */
enum behaviour {
	BEHAVIOUR_UNKNOWN,
	BEHAVIOUR_ENDPOINT_INDEPENDENT,
	BEHAVIOUR_ADDRESS_DEPENDENT,
	BEHAVIOUR_ADDRESS_AND_PORT_DEPENDENT,
};

/* "endpoint-independent", ..., "unknown" */
const char *behaviour_name(enum behaviour b);

struct netcheck_beacon {
	const char *text;
	char relay[GODWIT_RELAY_SIZE]; /* HOST:PORT */
	bool named;                    /* its host has addresses */
	enum answer udp4, udp6;        /* unknown: it has no such address, or we have none */
	gw_time rtt;                   /* of UDP, the least; 0: unknown */
	enum answer tls;               /* unknown: it has none, or time ran out */
	gw_time tls_took;              /* to open */
	char tls_error[TLS_LINK_TEXT_MAX];
	bool met;    /* connected to it */
	int refusal; /* it answers, but not to us: GODWIT_E_*, or 0 */
	double clock_offset_s;
};

struct netcheck {
	size_t n_beacons;
	struct netcheck_beacon beacons[BEACONS_MAX];
	enum answer udp;          /* does anything pass? */
	bool has4, has6;          /* this host has a usable address */
	enum answer ipv4, ipv6;   /* a beacon answered */
	struct addr seen4, seen6; /* where we were seen; ADDR_NONE */
	enum answer nat4;
	enum behaviour mapping, filtering;
	enum answer hairpinning;
	struct portmap_info portmap;
	bool connected_udp; /* to some beacon */
	bool stopped;       /* before the end */
};

/* Takes up to `timeout`, or until `stop_fd` can be read.  The beacons' texts were checked. */
int netcheck_run(struct netcheck *out, struct home *home, const struct settings *s, gw_time timeout,
		 int stop_fd, struct failure *f);

#endif
