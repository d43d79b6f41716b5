/* io/pcp.h - the Port Control Protocol (RFC 6887): a client's MAP request and what a gateway
 * answers or announces.  Spoken over UDP with the default gateway.
 *
 * Pure functions; the decoder takes untrusted bytes, never reads past them, never allocates. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_IO_PCP_H
#define GODWIT_IO_PCP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/addr.h"

enum {
	PCP_PORT = 5351,          /* of the gateway, as in NAT-PMP */
	PCP_ANNOUNCE_PORT = 5350, /* of the hosts, group 224.0.0.1 */
	PCP_NONCE_SIZE = 12,
	PCP_MAP_SIZE = 60,
	PCP_SIZE_MAX = 1100,
};

enum pcp_opcode { PCP_ANNOUNCE = 0, PCP_MAP = 1 };

enum pcp_result { PCP_SUCCESS = 0, PCP_UNSUPP_VERSION = 1, PCP_NOT_AUTHORIZED = 2 };

/* A mapping of a UDP port. */
struct pcp_map {
	uint8_t nonce[PCP_NONCE_SIZE]; /* whoever knows it may change the mapping */
	uint16_t internal_port;
	struct addr external; /* asked for: ADDR_NONE, any; port 0, any */
};

/* `client` is the address the request is sent from; lifetime 0 deletes the mapping. */
void pcp_map_encode(uint8_t out[PCP_MAP_SIZE], const struct pcp_map *m, const struct addr *client,
		    uint32_t lifetime);

struct pcp_reply {
	enum pcp_opcode opcode;
	uint8_t result;    /* enum pcp_result, or another code */
	uint32_t lifetime; /* seconds; of the error when there is one */
	uint32_t epoch;    /* seconds since the gateway has known of all its mappings */
	bool has_map;      /* always with success; a gateway may cut it off an error */
	struct pcp_map map;
};

/* One datagram.  Its size, GW_E_VERSION (an answer of NAT-PMP or of a later PCP), or GW_E_FORMAT
 * (a request, another opcode or protocol, malformed). */
ssize_t pcp_reply_decode(struct pcp_reply *out, const uint8_t *data, size_t len);

const char *pcp_result_text(unsigned result);

/* Has the gateway lost its mappings (rebooted), when its epoch was `before` and is `after`
 * `elapsed_s` seconds later by our clock?  RFC 6887, section 8.5; NAT-PMP's rule is laxer. */
bool pcp_epoch_lost(uint32_t before, uint32_t after, uint64_t elapsed_s);

#endif
