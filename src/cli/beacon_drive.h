/* cli/beacon_drive.h - moves bytes between a beacon's core, its sockets, its TLS links and its
 * store. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_CLI_BEACON_DRIVE_H
#define GODWIT_CLI_BEACON_DRIVE_H

#include "beacon/beacon.h"
#include "cli/fail.h"
#include "io/loop.h"

enum { BEACON_TLS_NONE, BEACON_TLS_TRY, BEACON_TLS_MUST };

struct beacon_drive_config {
	struct addr listen, tls_listen;
	int tls;              /* BEACON_TLS_*: TRY: without it when it cannot listen */
	const char *tls_host; /* of the certificate */
	struct beacon_config
		core; /* what is not set by beacon_drive_new(): identity, allow, limits */
};

struct beacon_drive;

int beacon_drive_new(struct beacon_drive **out, struct loop *loop,
		     const struct beacon_drive_config *c, struct failure *f);
void beacon_drive_free(struct beacon_drive *d);

uint16_t beacon_drive_port(const struct beacon_drive *d);
uint16_t beacon_drive_tls_port(const struct beacon_drive *d); /* 0: none */

/* Tell all nodes to move on; beacon_drive_drained() when they have. */
void beacon_drive_drain(struct beacon_drive *d, uint64_t seconds);
bool beacon_drive_drained(const struct beacon_drive *d);
/* Close every connection, and say so. */
void beacon_drive_goodbye(struct beacon_drive *d);

/* What `status` shows of it, without "v" and "address". */
json_t *beacon_drive_status(const struct beacon_drive *d);

#endif
