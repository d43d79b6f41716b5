/* SPDX-License-Identifier: Apache-2.0 */
#include "io/pcp.h"

#include <string.h>

#include "base/error.h"

enum { VERSION = 2, RESPONSE = 0x80, HEADER_SIZE = 24, UDP = 17 };

static void put16(uint8_t *out, uint16_t value)
{
	out[0] = (uint8_t)(value >> 8);
	out[1] = (uint8_t)value;
}

static void put32(uint8_t *out, uint32_t value)
{
	put16(out, (uint16_t)(value >> 16));
	put16(out + 2, (uint16_t)value);
}

static uint16_t get16(const uint8_t *data)
{
	return (uint16_t)(data[0] << 8 | data[1]);
}

static uint32_t get32(const uint8_t *data)
{
	return (uint32_t)get16(data) << 16 | get16(data + 2);
}

/* "Any address" is ::ffff:0.0.0.0 when IPv4 is meant, and it is. */
static void put_ip(uint8_t out[16], const struct addr *a)
{
	memset(out, 0, 16);
	if (a->family == ADDR_V6) {
		memcpy(out, a->ip, 16);
		return;
	}
	out[10] = out[11] = 0xff;
	memcpy(out + 12, a->ip, 4);
}

static void get_ip(struct addr *out, const uint8_t ip[16])
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

	if (memcmp(ip, mapped, sizeof(mapped)) == 0) {
		out->family = ADDR_V4;
		memcpy(out->ip, ip + 12, 4);
	} else {
		out->family = ADDR_V6;
		memcpy(out->ip, ip, 16);
	}
}

void pcp_map_encode(uint8_t out[PCP_MAP_SIZE], const struct pcp_map *m, const struct addr *client,
		    uint32_t lifetime)
{
	memset(out, 0, PCP_MAP_SIZE);
	out[0] = VERSION;
	out[1] = PCP_MAP;
	put32(out + 4, lifetime);
	put_ip(out + 8, client);
	memcpy(out + 24, m->nonce, PCP_NONCE_SIZE);
	out[36] = UDP;
	put16(out + 40, m->internal_port);
	put16(out + 42, m->external.port);
	put_ip(out + 44, &m->external);
}

static void get_map(struct pcp_map *out, const uint8_t *data)
{
	memcpy(out->nonce, data, PCP_NONCE_SIZE);
	out->internal_port = get16(data + 16);
	out->external.port = get16(data + 18);
	get_ip(&out->external, data + 20);
}

ssize_t pcp_reply_decode(struct pcp_reply *out, const uint8_t *data, size_t len)
{
	struct pcp_reply r = { 0 };

	if (len < 4 || len > PCP_SIZE_MAX || !(data[1] & RESPONSE))
		return GW_E_FORMAT;
	if (data[0] != VERSION)
		return GW_E_VERSION;
	if (len < HEADER_SIZE || len % 4 != 0 || (data[1] & ~RESPONSE) > PCP_MAP)
		return GW_E_FORMAT;
	r.opcode = data[1] & ~RESPONSE;
	r.result = data[3];
	r.lifetime = get32(data + 4);
	r.epoch = get32(data + 8);
	if (r.opcode == PCP_MAP && len >= PCP_MAP_SIZE) {
		if (data[36] != UDP)
			return GW_E_FORMAT;
		r.has_map = true;
		get_map(&r.map, data + HEADER_SIZE);
	} else if (r.opcode == PCP_MAP && r.result == PCP_SUCCESS) {
		return GW_E_FORMAT;
	}
	*out = r;
	return (ssize_t)len;
}

const char *pcp_result_text(unsigned result)
{
	static const char *const text[] = {
		"success",
		"version not supported",
		"not authorised",
		"malformed request",
		"operation not supported",
		"option not supported",
		"malformed option",
		"the gateway has no network",
		"no resources left",
		"protocol not supported",
		"too many mappings for this host",
		"cannot provide that external address",
		"another NAT between here and the gateway",
		"too many filters",
	};

	return result < sizeof(text) / sizeof(text[0]) ? text[result] : "unknown error";
}

bool pcp_epoch_lost(uint32_t before, uint32_t after, uint64_t elapsed_s)
{
	uint64_t server;

	if (after < before) /* packets may have been reordered */
		return before - after > 1;
	server = after - before;
	return elapsed_s + 2 < server - server / 16 || server + 2 < elapsed_s - elapsed_s / 16;
}
