/* SPDX-License-Identifier: Apache-2.0 */
/* How a beacon is written: ADDRESS@HOST[:PORT][/TLSPORT]. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "crypto/address.h"

bool beacon_host_valid(const char *host)
{
	size_t len = strnlen(host, BEACON_HOST_MAX + 1);

	for (size_t i = 0; i < len; i++)
		if (host[i] <= ' ' || host[i] > '~')
			return false;
	return len > 0 && len <= BEACON_HOST_MAX;
}

static bool take_port(const char *text, unsigned long least, uint16_t *out)
{
	size_t len = strspn(text, "0123456789");
	unsigned long value = len > 0 && len <= 5 && !text[len] ? strtoul(text, NULL, 10) : 65536;

	if (value < least || value > 65535)
		return false;
	*out = (uint16_t)value;
	return true;
}

static int refuse(const char **why, int error, const char *text)
{
	*why = text;
	return error;
}

/* What stands before HOST is gone, and so is /TLSPORT.  Cuts the text. */
static int take_host(struct beacon_name *b, char *host, const char **why)
{
	char *end = host + strcspn(host, ":"), *port = end;
	struct addr a;

	if (*host == '[') {
		host++;
		end = strchr(host, ']');
		if (!end)
			return refuse(why, GW_E_FORMAT, "a \"]\" is missing");
		port = end + 1;
	} else if (*end && strchr(end + 1, ':')) {
		return refuse(why, GW_E_FORMAT, "an IPv6 address must stand in brackets");
	}
	if (*port && (*port != ':' || !take_port(port + 1, 1, &b->udp_port)))
		return refuse(why, GW_E_INVALID, "the port must be a number from 1 to 65535");
	*end = '\0';
	if (!*host)
		return refuse(why, GW_E_FORMAT, "the host is missing");
	if (!beacon_host_valid(host) || strpbrk(host, "@/[]"))
		return refuse(why, GW_E_INVALID, "this can be no host");
	if (host[-1] == '[' && (addr_parse_host(&a, host, 1) != 0 || a.family != ADDR_V6))
		return refuse(why, GW_E_INVALID, "brackets are for an IPv6 address");
	memcpy(b->host, host, strlen(host));
	return 0;
}

static const char *explain_address(int error)
{
	switch (error) {
	case GW_E_LENGTH:
		return "the address before the @ must have 56 characters";
	case GW_E_CHARACTER:
		return "the address before the @ has a character outside a-z, 2-7";
	case GW_E_CHECKSUM:
		return "the address before the @ has a wrong checksum (a typing error?)";
	default:
		return "what stands before the @ is no address of a beacon";
	}
}

int beacon_parse(struct beacon_name *out, const char *text, const char **why)
{
	struct beacon_name b = { .udp_port = BEACON_UDP_PORT, .tls_port = BEACON_TLS_PORT };
	const char *at = strchr(text, '@');
	char address[ADDRESS_SIZE], rest[BEACON_TEXT_MAX], *slash;
	int error;

	if (!at)
		return refuse(why, GW_E_FORMAT, "it has no \"@HOST\"");
	if ((size_t)(at - text) != ADDRESS_LEN)
		return refuse(why, GW_E_LENGTH, explain_address(GW_E_LENGTH));
	if (strlen(at) >= sizeof(rest))
		return refuse(why, GW_E_INVALID, "the host is too long");
	memcpy(address, text, ADDRESS_LEN);
	address[ADDRESS_LEN] = '\0';
	error = address_parse(b.key, address);
	if (error)
		return refuse(why, error, explain_address(error));
	memcpy(rest, at, strlen(at) + 1); /* with the @: something stands before the host */
	slash = strchr(rest, '/');
	if (slash && !take_port(slash + 1, 0, &b.tls_port))
		return refuse(why, GW_E_INVALID, "the TLS port must be a number up to 65535");
	if (slash)
		*slash = '\0';
	error = take_host(&b, rest + 1, why);
	if (error)
		return error;
	*out = b;
	return 0;
}

const char *beacon_format_host(const struct beacon_name *b, char out[BEACON_TEXT_MAX])
{
	const char *format = strchr(b->host, ':') ? "[%s]:%u" : "%s:%u";

	snprintf(out, BEACON_TEXT_MAX, format, b->host, (unsigned)b->udp_port);
	return out;
}

void beacon_format(const struct beacon_name *b, char out[BEACON_TEXT_MAX])
{
	char address[ADDRESS_SIZE], host[BEACON_TEXT_MAX];
	int len;

	address_format(b->key, address);
	len = snprintf(out, BEACON_TEXT_MAX, "%s@%.150s", address, beacon_format_host(b, host));
	if (b->tls_port != BEACON_TLS_PORT)
		snprintf(out + len, BEACON_TEXT_MAX - (size_t)len, "/%u", (unsigned)b->tls_port);
}
