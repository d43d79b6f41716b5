/* io/portmap_internal.h - what the thread of portmap.c asks of a gateway.  These functions block;
 * they return early once `wake_fd` is readable. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_IO_PORTMAP_INTERNAL_H
#define GODWIT_IO_PORTMAP_INTERNAL_H

#include "io/portmap.h"
#include "io/pcp.h"

enum { MAPPING_LIFETIME = 3600 /* seconds */ };

struct mapping {
	enum portmap_protocol protocol; /* PORTMAP_PROTOCOLS: none */
	struct addr external;
	uint32_t lifetime; /* seconds, > 0 */
	uint32_t epoch;    /* PCP, NAT-PMP */
};

/* One round of all protocols. */
struct attempt {
	uint16_t local_port;
	struct addr wanted; /* the external endpoint we had; ADDR_NONE: none yet */
	uint8_t nonce[PCP_NONCE_SIZE];
	int wake_fd;
	struct mapping mapping;        /* the outcome */
	bool asked[PORTMAP_PROTOCOLS]; /* for a mapping, and not refused: unmap takes it back */
	struct portmap_finding findings[PORTMAP_PROTOCOLS];
};

void attempt_note(struct attempt *a, enum portmap_protocol protocol, enum portmap_answer answer,
		  const char *why);
/* Takes it, unless the external address makes no sense: then it counts as refused. */
void attempt_grant(struct attempt *a, const struct mapping *m);

/* --- PCP and NAT-PMP --- */

/* The default route's gateway with PCP_PORT; false when there is none. */
bool gateway_find(struct addr *out);
void gateway_map(struct attempt *a, const struct addr *gateway);
/* Takes back what was granted, and what was asked for without an answer so far.  Sends the
 * requests and does not wait for answers. */
void gateway_unmap(const struct attempt *a, const struct addr *gateway);

/* --- UPnP IGD --- */

struct upnp;

struct upnp *upnp_new(const char *url); /* NULL: no memory.  `url`: instead of discovery */
void upnp_free(struct upnp *u);
void upnp_map(struct upnp *u, struct attempt *a);
void upnp_unmap(struct upnp *u, const struct mapping *m);
void upnp_forget(struct upnp *u); /* the device found; the next upnp_map() looks again */

#endif
