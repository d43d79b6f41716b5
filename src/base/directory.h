/* base/directory.h - what a beacon asks its store, and the answers (docs/protocol.md, section 11).
 *
 * Between beacon/, which asks and holds no socket, and store/, which answers. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_BASE_DIRECTORY_H
#define GODWIT_BASE_DIRECTORY_H

#include <stddef.h>
#include <stdint.h>

enum { DIRECTORY_KEY_SIZE = 32, DIRECTORY_RECORD_MAX = 1000 };

enum directory_kind {
	DIRECTORY_PUT_IF_NEWER, /* than what is stored */
	DIRECTORY_GET,
	DIRECTORY_TOUCH, /* it lives on for `ttl_s` from now */
	DIRECTORY_DELETE,
};

struct directory_op {
	enum directory_kind kind;
	uint64_t tag; /* comes back with the answer */
	uint8_t key[DIRECTORY_KEY_SIZE];
	/* put: */
	uint64_t sequence;
	const uint8_t *record;
	size_t record_len; /* up to DIRECTORY_RECORD_MAX */
	/* put, touch: */
	uint32_t ttl_s;
};

enum directory_status {
	DIRECTORY_OK,
	DIRECTORY_OLDER,     /* put: what is stored is as new, or newer; `sequence` is its */
	DIRECTORY_NOT_FOUND, /* get, touch, delete */
	DIRECTORY_FAILED,    /* the store is full, or cannot be reached */
};

struct directory_answer {
	uint64_t tag;
	enum directory_status status;
	uint64_t sequence;     /* of what is stored */
	const uint8_t *record; /* get */
	size_t record_len;
};

#endif
