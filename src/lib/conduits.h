/* lib/conduits.h - what the core wants beyond the main socket: names, TLS links, and further UDP
 * sockets.  A conduit that is full drops. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_LIB_CONDUITS_H
#define GODWIT_LIB_CONDUITS_H

#include "base/batch.h"
#include "base/list.h"
#include "base/map.h"

struct godwit_node;

enum { CONDUITS_UDP_MAX = 300, CONDUITS_TLS_MAX = 64, TLS_TROUBLES_MAX = 16, TROUBLE_SIZE = 160 };

/* Inside of godwit_node. */
struct conduits {
	struct map by_via; /* struct conduit */
	struct list all;
	struct list lookups;  /* struct lookup */
	struct list troubles; /* struct trouble: why TLS could not be had, the newest last */
	size_t n_udp, n_tls, n_troubles;
};

void conduits_init(struct conduits *c);
void conduits_clear(struct conduits *c);

/* Carry out what the core has asked for; true if there was anything. */
bool conduits_serve(struct godwit_node *node);
/* Why the last TLS link to there failed before it was open; NULL: none did. */
const char *conduits_trouble(const struct conduits *c, const char *host, uint16_t port);
/* Send a batch whose path names a conduit.  One that is gone drops it. */
void conduits_send(struct godwit_node *node, const struct batch *b);

#endif
