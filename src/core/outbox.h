/* core/outbox.h - what the core asks of the owner of its sockets, besides sending packets of
 * connections: small datagrams, names, further sockets. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_CORE_OUTBOX_H
#define GODWIT_CORE_OUTBOX_H

#include "core/types.h"

/* At most OUTBOX_SIZE bytes.  When too many wait the datagram is lost, as it may be anywhere. */
void outbox_send(struct node *n, const struct path *path, const uint8_t *data, size_t len);
bool outbox_transmit(struct node *n, struct batch *out);

void outbox_resolve(struct node *n, const char *host);
/* The number of a new conduit, or 0: too many wait. */
uint32_t outbox_open_tls(struct node *n, const char *host, uint16_t port);
uint32_t outbox_open_udp(struct node *n);
void outbox_close(struct node *n, uint32_t via);

#endif
