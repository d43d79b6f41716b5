/* SPDX-License-Identifier: Apache-2.0 */
/* tests/fuzz/fuzz_addr.c - UDP endpoints, as text and as the system gives them.
 *
 * The input is taken as a text and as a sockaddr. */
#include "base/addr.h"
#include "base/error.h"
#include "fuzz.h"

static bool zero(const uint8_t *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (bytes[i])
			return false;
	return true;
}

static void check_promises(const struct addr *a)
{
	demand(a->family == ADDR_V4 || a->family == ADDR_V6);
	if (a->family == ADDR_V4)
		demand(zero(a->ip + 4, sizeof(a->ip) - 4));
	else /* v4-mapped is never stored */
		demand(!zero(a->ip, 10) || a->ip[10] != 0xff || a->ip[11] != 0xff);
	if (a->scope)
		demand(a->family == ADDR_V6 && addr_is_link_local(a));
	if (addr_is_usable(a))
		demand(a->port && !addr_is_unspecified(a));
	demand(addr_is_loopback(a) + addr_is_link_local(a) + addr_is_unspecified(a) <= 1);
}

static void check_text(const struct addr *a)
{
	char *text = malloc(ADDR_TEXT_MAX), *host = malloc(ADDR_TEXT_MAX);
	struct addr again;

	demand(text && host);
	demand(addr_format(a, text) == text && addr_format_host(a, host) == host);
	demand(strlen(text) < ADDR_TEXT_MAX && strlen(host) < strlen(text));
	demand(strstr(text, host) == text + (a->family == ADDR_V6));
	demand(addr_parse(&again, text) == 0);
	demand(addr_equal(&again, a));
	demand(addr_parse_host(&again, host, a->port) == 0);
	demand(addr_equal(&again, a));
	demand(addr_parse_host(&again, host, (uint16_t)(a->port + 1)) == 0);
	demand(addr_same_host(&again, a) && !addr_equal(&again, a));
	free(text);
	free(host);
}

static void check_sockaddr(const struct addr *a)
{
	for (int mapped = 0; mapped < 2; mapped++) {
		struct sockaddr_storage ss;
		socklen_t len = addr_to_sockaddr(a, &ss, mapped);
		int family = a->family == ADDR_V4 && !mapped ? AF_INET : AF_INET6;
		struct addr again;

		demand(ss.ss_family == family);
		demand(len == (family == AF_INET ? sizeof(struct sockaddr_in)
						 : sizeof(struct sockaddr_in6)));
		demand(addr_from_sockaddr(&again, (struct sockaddr *)&ss, len) == 0);
		demand(addr_equal(&again, a));
	}
}

static void check(int error, int refusal, const struct addr *a)
{
	if (error) {
		demand(error == refusal);
		demand(untouched(a, sizeof(*a)));
		return;
	}
	check_promises(a);
	check_text(a);
	check_sockaddr(a);
}

static void from_text(const uint8_t *data, size_t size)
{
	char *text = exact_text(data, size);
	struct addr a;

	fill(&a, sizeof(a));
	check(addr_parse(&a, text), GW_E_FORMAT, &a);
	fill(&a, sizeof(a));
	check(addr_parse_host(&a, text, 7), GW_E_FORMAT, &a);
	free(text);
}

static void from_system(const uint8_t *data, size_t size)
{
	struct sockaddr *sa;
	struct addr a;

	if (size < sizeof(sa_family_t))
		return;
	sa = exact(data, size);
	fill(&a, sizeof(a));
	check(addr_from_sockaddr(&a, sa, (socklen_t)size), GW_E_INVALID, &a);
	free(sa);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	from_text(data, size);
	from_system(data, size);
	return 0;
}
