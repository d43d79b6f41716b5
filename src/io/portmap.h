/* io/portmap.h - ask the NAT in front of this host for a UDP port, and keep it.
 *
 * PCP (RFC 6887) and NAT-PMP (RFC 6886) are tried together for two seconds, then UPnP IGD for
 * some more.  A mapping is asked for an hour and renewed at half its life, and at once when the
 * gateway announces that it has restarted.  After a failure the next try is in a minute, in ten,
 * then each hour.  IPv4 only.  All that blocks runs in one thread of its own. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_IO_PORTMAP_H
#define GODWIT_IO_PORTMAP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "io/loop.h"

enum { PORTMAP_TEXT_MAX = 96 };

struct portmap;

enum portmap_state {
	PORTMAP_TRYING, /* since portmap_new() or portmap_restart() */
	PORTMAP_MAPPED,
	PORTMAP_NONE, /* no protocol gave one; tried again from time to time */
};

enum portmap_protocol { PORTMAP_PCP, PORTMAP_NAT_PMP, PORTMAP_UPNP, PORTMAP_PROTOCOLS };

/* "pcp", "nat-pmp", "upnp"; "none" for PORTMAP_PROTOCOLS. */
const char *portmap_protocol_name(enum portmap_protocol protocol);

enum portmap_answer {
	PORTMAP_UNTRIED, /* not yet, or not needed */
	PORTMAP_ABSENT,  /* nothing there speaks it */
	PORTMAP_FOUND,   /* it is spoken; the mapping is another protocol's */
	PORTMAP_REFUSED,
	PORTMAP_GRANTED,
};

/* What the last try of one protocol came to. */
struct portmap_finding {
	enum portmap_answer answer;
	char why[PORTMAP_TEXT_MAX]; /* "no answer", "not authorised"; may be empty */
};

struct portmap_info {
	enum portmap_state state;
	enum portmap_protocol protocol; /* PORTMAP_MAPPED; else PORTMAP_PROTOCOLS: none */
	struct addr external;           /* PORTMAP_MAPPED; else ADDR_NONE */
	bool nested;         /* `external` is a private address: another NAT follows this one */
	struct addr gateway; /* port 0; ADDR_NONE: no default route */
	char error[PORTMAP_TEXT_MAX]; /* PORTMAP_NONE: why, in one line */
	struct portmap_finding findings[PORTMAP_PROTOCOLS];
};

/* `state`, `protocol`, `external`, `nested` or `error` has changed.  Called from the loop; may
 * call portmap_free(). */
typedef void portmap_fn(void *user, const struct portmap_info *info);

/* For tests; a zeroed one, like NULL, is the real thing. */
struct portmap_config {
	struct addr gateway;  /* ADDR_NONE: that of the default route, port 5351 */
	struct addr announce; /* where announcements come; ADDR_NONE: 224.0.0.1:5350 */
	gw_time retry;        /* the first wait after a failure; 0: a minute */
	bool no_upnp;
	const char *upnp_url; /* an IGD's description, instead of discovery; must outlive p */
};

/* Starts at once and does not block.  GW_E_NOMEM, GW_E_LIMIT (no descriptor or thread left). */
int portmap_new(struct portmap **out, struct loop *l, uint16_t local_port,
		const struct portmap_config *config, portmap_fn *fn, void *user);
/* The network has changed: forget the mapping and the gateway, and try anew. */
void portmap_restart(struct portmap *p);
void portmap_info(struct portmap *p, struct portmap_info *out);
/* Takes the mapping back.  Waits for that at most 300 ms; a thread that is busy with a slow
 * gateway does it afterwards and ends by itself.  NULL: nothing. */
void portmap_free(struct portmap *p);

#endif
