/* base/batch.h - datagrams on their way out. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_BASE_BATCH_H
#define GODWIT_BASE_BATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"

enum { BATCH_CAPACITY_MIN = 65536 };

/* Datagrams for one path: all `segment` bytes long, the last may be shorter. */
struct batch {
	struct path path;
	uint8_t *data;   /* caller's buffer */
	size_t capacity; /* of it; at least BATCH_CAPACITY_MIN */
	size_t len;
	size_t segment;
	bool probe; /* an MTU probe: its failure (EMSGSIZE) is no news */
};

#endif
