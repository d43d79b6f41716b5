/* quic/pool.h - memory for the connections of a process that holds very many.
 *
 * ngtcp2 takes pools of 4 to 12 KB, and an idle connection uses little more than the beginning of
 * each.  From malloc() they come to lie where a finished handshake has been, and each of their
 * pages is in memory.  Here they begin at a page, in memory that is used for such blocks alone, and
 * are handed out again for blocks of the same size: what nobody touches costs nothing.  Of many free
 * ones the pages go back to the system. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_QUIC_POOL_H
#define GODWIT_QUIC_POOL_H

#include <ngtcp2/ngtcp2.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { QUIC_POOL_SIZES = 16 };

struct quic_block;
struct quic_region;

struct quic_size {
	size_t size;              /* 0: of none yet */
	struct quic_block **free; /* a stack; the first `cold` ones have no pages */
	size_t count, cold, capacity;
};

struct quic_pool {
	ngtcp2_mem mem; /* for ngtcp2_conn_*_new() */
	struct quic_size sizes[QUIC_POOL_SIZES];
	struct quic_region *regions;
	size_t left; /* of the first region */
};

void quic_pool_init(struct quic_pool *p);
void quic_pool_clear(struct quic_pool *p); /* after all its connections */

#endif
