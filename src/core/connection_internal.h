/* core/connection_internal.h - what the files of a connection share.
 *
 * connection.c has its states, reading and time, connection_make.c how one is made and freed,
 * connection_callbacks.c what ngtcp2 tells of it; writing is in transmit.c. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_CORE_CONNECTION_INTERNAL_H
#define GODWIT_CORE_CONNECTION_INTERNAL_H

#include <string.h>

#include "core/connection.h"
#include "quic/quic.h"

enum { CONTROL_STREAM = 0 };

static inline uint64_t cid_key(const uint8_t *data)
{
	uint64_t key;

	memcpy(&key, data, sizeof(key));
	return key;
}

static inline void fill_path(const struct path *path, struct sockaddr_storage store[2],
			     ngtcp2_path *out)
{
	struct addr local = path->local;

	/* ngtcp2 wants some address of the family; a dialler's is constant, since the kernel
	 * may choose another one for each packet. */
	if (local.family == ADDR_NONE)
		local = (struct addr){ .family = path->remote.family };
	quic_path_fill(&local, &path->remote, store, out);
}

/* --- connection_callbacks.c --- */

extern const ngtcp2_callbacks connection_callbacks;

#endif
