/* quic/link_internal.h - what the files of a link share.
 *
 * link.c has the link and its life, link_callbacks.c what ngtcp2 tells of it, link_accept.c how a
 * server comes to one, link_knock.c who may ask for one. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_QUIC_LINK_INTERNAL_H
#define GODWIT_QUIC_LINK_INTERNAL_H

#include <string.h>

#include "quic/link.h"
#include "quic/quic.h"

enum { STREAM = 0, CID_SIZE = 8, PAYLOAD_MIN = 1200 };

static inline uint64_t cid_key(const uint8_t *data)
{
	uint64_t key;

	memcpy(&key, data, sizeof(key));
	return key;
}

/* As a server's ngtcp2 is told of it: where the client is, not at which of our addresses. */
static inline void link_server_path(const struct path *path, struct sockaddr_storage store[2],
				    ngtcp2_path *out)
{
	const struct addr constant = addr_of_conduit(1);

	quic_path_fill(&constant, &path->remote, store, out);
}

/* --- link.c --- */

/* NULL: out of memory. */
struct link *link_create(struct link_host *h, bool client, const struct path *path, gw_time now);
void link_free(struct link *l);
void link_configure(const struct link *l, ngtcp2_settings *settings,
		    ngtcp2_transport_params *params, gw_time now);
void link_quic_path(const struct link *l, const struct path *path, struct sockaddr_storage store[2],
		    ngtcp2_path *out);
int link_begin_tls(struct link *l);
void link_random_cid(struct link_host *h, ngtcp2_cid *cid, size_t len);
bool link_register_cid(struct link *l, const ngtcp2_cid *cid);

void link_read_packet(struct link *l, const struct path *path, const uint8_t *data, size_t len,
		      gw_time now);
/* It has something to write: visit it in link_transmit(). */
void link_touch(struct link *l);
/* Compute when it is due next, not before `floor`. */
void link_schedule(struct link *l, gw_time floor);

/* --- link_callbacks.c --- */

extern const ngtcp2_callbacks link_callbacks;

/* The path of ngtcp2's with our own addresses, which it is not told. */
void link_path_of(const struct link *l, const ngtcp2_path *p, struct path *out);
/* After each call of the library: it goes back to the path before without a word, when the client
 * does or when a yet newer path fails. */
void link_follow_back(struct link *l);

/* --- link_knock.c --- */

/* A client's: `token` must outlive `settings`. */
void link_knock(const struct link *l, const ngtcp2_cid *dcid, uint8_t token[KNOCK_MAX],
		ngtcp2_settings *settings, gw_time now);
/* Costs one hash. */
bool link_may_knock(const struct link_host *h, const ngtcp2_pkt_hd *hd);
/* Is it of one whom we know?  Then l->key is whom to expect. */
bool link_hear_knock(struct link *l, const ngtcp2_pkt_hd *hd, gw_time now);
/* A handshake begins with it: the first one.  `odcid` is the id of its very first packet. */
bool link_knock_is_new(const struct link *l, const ngtcp2_cid *odcid, gw_time now);

/* --- link_accept.c --- */

/* A packet of no link.  False: not of a new client, or there is no room. */
bool link_wait_for_turn(struct link_host *h, const struct path *path, const uint8_t *data,
			size_t len, gw_time now);
/* Begin one handshake of those that wait. */
void link_serve_next(struct link_host *h, gw_time now);
void link_drop_waiting(struct link_host *h);

#endif
