/* SPDX-License-Identifier: Apache-2.0 */
#include "base/addr.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

static bool parse_number(const char *text, uint64_t max, uint64_t *out)
{
	uint64_t value = 0;

	if (!*text)
		return false;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return false;
		value = value * 10 + (uint64_t)(*text - '0');
		if (value > max)
			return false;
	}
	*out = value;
	return true;
}

/* IPv4-mapped (RFC 4291, 2.5.5.2). */
static const uint8_t MAPPED[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

static void from_v6(struct addr *out, const uint8_t ip[16])
{
	if (memcmp(ip, MAPPED, sizeof(MAPPED)) == 0) {
		out->family = ADDR_V4;
		memcpy(out->ip, ip + sizeof(MAPPED), 4);
	} else {
		out->family = ADDR_V6;
		memcpy(out->ip, ip, 16);
	}
}

int addr_parse_host(struct addr *out, const char *host, uint16_t port)
{
	struct addr a = { .port = port };
	char copy[INET6_ADDRSTRLEN + 16];
	uint64_t scope = 0;
	uint8_t ip[16];
	char *percent;

	if (strlen(host) >= sizeof(copy))
		return GW_E_FORMAT;
	memcpy(copy, host, strlen(host) + 1);
	percent = strchr(copy, '%');
	if (percent) {
		*percent = '\0';
		if (!parse_number(percent + 1, UINT32_MAX, &scope))
			return GW_E_FORMAT;
	}
	if (inet_pton(AF_INET6, copy, ip) == 1)
		from_v6(&a, ip);
	else if (!percent && inet_pton(AF_INET, copy, a.ip) == 1)
		a.family = ADDR_V4;
	else
		return GW_E_FORMAT;
	a.scope = (uint32_t)scope;
	if (scope && (a.family != ADDR_V6 || !addr_is_link_local(&a)))
		return GW_E_FORMAT;
	*out = a;
	return 0;
}

int addr_parse(struct addr *out, const char *text)
{
	char host[ADDR_TEXT_MAX];
	const char *end, *colon;
	uint64_t port;

	if (*text == '[') {
		text++;
		end = strchr(text, ']');
		if (!end || end[1] != ':' || !memchr(text, ':', (size_t)(end - text)))
			return GW_E_FORMAT;
		colon = end + 1;
	} else {
		end = colon = strrchr(text, ':');
		if (!colon || strchr(text, ':') != colon)
			return GW_E_FORMAT;
	}
	if ((size_t)(end - text) >= sizeof(host) || !parse_number(colon + 1, UINT16_MAX, &port))
		return GW_E_FORMAT;
	memcpy(host, text, (size_t)(end - text));
	host[end - text] = '\0';
	return addr_parse_host(out, host, (uint16_t)port);
}

const char *addr_format_host(const struct addr *a, char *out)
{
	if (a->family == ADDR_NONE)
		return strcpy(out, "-");
	inet_ntop(a->family == ADDR_V6 ? AF_INET6 : AF_INET, a->ip, out, ADDR_TEXT_MAX);
	if (a->scope)
		sprintf(out + strlen(out), "%%%u", a->scope);
	return out;
}

const char *addr_format(const struct addr *a, char *out)
{
	char host[ADDR_TEXT_MAX];

	if (a->family == ADDR_NONE)
		return strcpy(out, "-");
	addr_format_host(a, host);
	/* At most 39 characters of address, 11 of scope: %.53s only tells the compiler. */
	snprintf(out, ADDR_TEXT_MAX, a->family == ADDR_V6 ? "[%.53s]:%u" : "%.53s:%u", host,
		 a->port);
	return out;
}

bool addr_same_host(const struct addr *a, const struct addr *b)
{
	return a->family == b->family && a->scope == b->scope &&
	       memcmp(a->ip, b->ip, sizeof(a->ip)) == 0;
}

bool addr_equal(const struct addr *a, const struct addr *b)
{
	return a->port == b->port && addr_same_host(a, b);
}

bool path_equal(const struct path *a, const struct path *b)
{
	return a->ifindex == b->ifindex && a->via == b->via && addr_equal(&a->local, &b->local) &&
	       addr_equal(&a->remote, &b->remote);
}

static bool all_zero(const uint8_t *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (bytes[i])
			return false;
	return true;
}

bool addr_is_unspecified(const struct addr *a)
{
	return a->family == ADDR_NONE || all_zero(a->ip, sizeof(a->ip));
}

bool addr_is_loopback(const struct addr *a)
{
	if (a->family == ADDR_V4)
		return a->ip[0] == 127;
	return a->family == ADDR_V6 && all_zero(a->ip, 15) && a->ip[15] == 1;
}

bool addr_is_link_local(const struct addr *a)
{
	if (a->family == ADDR_V4)
		return a->ip[0] == 169 && a->ip[1] == 254;
	return a->family == ADDR_V6 && a->ip[0] == 0xfe && (a->ip[1] & 0xc0) == 0x80;
}

bool addr_is_private(const struct addr *a)
{
	const uint8_t *ip = a->ip;

	if (a->family == ADDR_V4)
		return ip[0] == 10 || (ip[0] == 172 && (ip[1] & 0xf0) == 16) ||
		       (ip[0] == 192 && ip[1] == 168) || (ip[0] == 100 && (ip[1] & 0xc0) == 64);
	return a->family == ADDR_V6 && (ip[0] & 0xfe) == 0xfc;
}

bool addr_is_usable(const struct addr *a)
{
	if (addr_is_unspecified(a) || a->port == 0)
		return false;
	if (a->family == ADDR_V4) /* "this network", multicast, reserved, broadcast */
		return a->ip[0] != 0 && a->ip[0] < 224;
	return a->ip[0] != 0xff && memcmp(a->ip, MAPPED, sizeof(MAPPED)) != 0;
}

struct addr addr_of_conduit(uint32_t via)
{
	struct addr a = { .family = ADDR_V6, .port = 1, .ip = { 1 } };

	for (int i = 0; i < 4; i++)
		a.ip[15 - i] = (uint8_t)(via >> (8 * i));
	return a;
}

struct addr addr_of_channel(uint64_t channel)
{
	struct addr a = { .family = ADDR_V6, .port = 2, .ip = { 1 } };

	for (int i = 0; i < 8; i++)
		a.ip[15 - i] = (uint8_t)(channel >> (8 * i));
	return a;
}

uint32_t addr_conduit(const struct addr *a)
{
	static const uint8_t prefix[8] = { 1 };
	uint32_t via = 0;

	if (a->family != ADDR_V6 || memcmp(a->ip, prefix, sizeof(prefix)) != 0)
		return 0;
	for (int i = 12; i < 16; i++)
		via = via << 8 | a->ip[i];
	return via;
}

int addr_from_sockaddr(struct addr *out, const struct sockaddr *sa, socklen_t len)
{
	struct addr a = { 0 };

	if (sa->sa_family == AF_INET && len >= sizeof(struct sockaddr_in)) {
		struct sockaddr_in in;

		memcpy(&in, sa, sizeof(in));
		a.family = ADDR_V4;
		a.port = ntohs(in.sin_port);
		memcpy(a.ip, &in.sin_addr, 4);
	} else if (sa->sa_family == AF_INET6 && len >= sizeof(struct sockaddr_in6)) {
		struct sockaddr_in6 in6;

		memcpy(&in6, sa, sizeof(in6));
		a.port = ntohs(in6.sin6_port);
		from_v6(&a, in6.sin6_addr.s6_addr);
		if (addr_is_link_local(&a) && a.family == ADDR_V6)
			a.scope = in6.sin6_scope_id;
	} else {
		return GW_E_INVALID;
	}
	*out = a;
	return 0;
}

socklen_t addr_to_sockaddr(const struct addr *a, struct sockaddr_storage *out, bool mapped)
{
	memset(out, 0, sizeof(struct sockaddr_in6));
	if (a->family == ADDR_V4 && !mapped) {
		struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(a->port) };

		memcpy(&in.sin_addr, a->ip, 4);
		memcpy(out, &in, sizeof(in));
		return sizeof(in);
	}
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6,
				    .sin6_port = htons(a->port),
				    .sin6_scope_id = a->scope };

	if (a->family == ADDR_V4) {
		in6.sin6_addr.s6_addr[10] = in6.sin6_addr.s6_addr[11] = 0xff;
		memcpy(&in6.sin6_addr.s6_addr[12], a->ip, 4);
	} else {
		memcpy(in6.sin6_addr.s6_addr, a->ip, 16);
	}
	memcpy(out, &in6, sizeof(in6));
	return sizeof(in6);
}
