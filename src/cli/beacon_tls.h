/* cli/beacon_tls.h - a beacon's TLS links: a listening TCP socket and what it has accepted.  Each
 * link is a conduit of the core. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_CLI_BEACON_TLS_H
#define GODWIT_CLI_BEACON_TLS_H

#include "beacon/beacon.h"
#include "io/loop.h"

struct beacon_tls;

/* `changed` is called after the core was given something.  GW_E_IN_USE, GW_E_PERMISSION,
 * GW_E_INVALID, GW_E_IO (errno), GW_E_CRYPTO, GW_E_NOMEM. */
int beacon_tls_new(struct beacon_tls **out, struct loop *loop, struct beacon *core,
		   const struct addr *listen, const char *host, void (*changed)(void *user),
		   void *user);
void beacon_tls_free(struct beacon_tls *t); /* before the core.  NULL: nothing */
uint16_t beacon_tls_port(const struct beacon_tls *t);
void beacon_tls_send(struct beacon_tls *t, const struct path *path, const uint8_t *data, size_t len,
		     size_t segment);

#endif
