/* SPDX-License-Identifier: Apache-2.0 */
/* tests/fuzz/fuzz_destination.c - WHO[/SERVICE] of the public API.
 *
 * The first byte may ask for an address or a ticket in front of the rest. */
#include <ctype.h>

#include <godwit/godwit.h>

#include "base/addr.h"
#include "crypto/address.h"
#include "fuzz.h"

enum { REST_MAX = 2000, TEXT_MAX = REST_MAX + TICKET_TEXT_MAX };

static int parse(godwit_ticket *t, const char *text)
{
	char *copy = exact(text, strlen(text) + 1);
	int error;

	fill(t, sizeof(*t));
	error = godwit_destination_parse(copy, t);
	free(copy);
	if (error)
		demand(untouched(t, sizeof(*t)));
	return error;
}

static bool is_name(const char *s)
{
	static const char ANY[] = "abcdefghijklmnopqrstuvwxyz0123456789._-";
	size_t len = strlen(s);

	return len > 0 && len < GODWIT_SERVICE_SIZE && strspn(s, ANY) == len && isalnum(s[0]);
}

/* What the part before the slash says by itself. */
static int who(godwit_ticket *t, const char *text)
{
	size_t len = strcspn(text, "/");
	char *part = strndup(text, len);
	int error;

	demand(part);
	memset(t, 0, sizeof(*t));
	error = tolower(part[0]) == 't' ? godwit_ticket_parse(part, t)
					: godwit_address_parse(part, t->key);
	if (len >= GODWIT_TICKET_SIZE)
		error = GODWIT_E_LENGTH;
	free(part);
	return error;
}

static void check_endpoint(const char *text)
{
	char again[ADDR_TEXT_MAX];
	struct addr a;

	demand(memchr(text, '\0', GODWIT_ENDPOINT_SIZE));
	demand(addr_parse(&a, text) == 0 && addr_is_usable(&a));
	demand(strcmp(addr_format(&a, again), text) == 0);
}

/* The address alone with the same service is the same destination, less the hints. */
static void check_plain(const godwit_ticket *t)
{
	char text[GODWIT_ADDRESS_SIZE + 1 + GODWIT_SERVICE_SIZE];
	godwit_ticket plain;

	godwit_address_format(t->key, text);
	if (t->service[0])
		strcat(strcat(text, "/"), t->service);
	demand(parse(&plain, text) == 0);
	demand(memcmp(plain.key, t->key, sizeof(t->key)) == 0);
	demand(strcmp(plain.service, t->service) == 0);
	demand(plain.endpoint_count == 0);
}

static void check(const char *text)
{
	const char *slash = strchr(text, '/');
	godwit_ticket t, expected;
	int error = parse(&t, text), of_who = who(&expected, text);

	demand((error == 0) == (of_who == 0 && (!slash || is_name(slash + 1))));
	if (error && of_who == 0)
		demand(error == GODWIT_E_INVALID);
	if (error)
		return;
	demand(memcmp(t.key, expected.key, sizeof(t.key)) == 0);
	demand(strcmp(t.service, slash ? slash + 1 : expected.service) == 0);
	demand(t.endpoint_count == expected.endpoint_count);
	demand(memcmp(t.endpoints, expected.endpoints, sizeof(t.endpoints)) == 0);
	for (size_t i = 0; i < t.endpoint_count; i++)
		check_endpoint(t.endpoints[i]);
	check_plain(&t);
}

static void front(char *out, uint8_t what)
{
	static const uint8_t SEED[SEED_SIZE] = { 2 };
	struct ticket t = { .service = "web", .n_endpoints = 1 };
	struct identity id;

	identity_from_seed(&id, SEED);
	memcpy(t.key, id.key, KEY_SIZE);
	demand(addr_parse(&t.endpoints[0], "[2001:db8::1]:41641") == 0);
	if (what == 'A')
		address_format(t.key, out);
	if (what == 'T')
		demand(ticket_format(&t, out) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char text[TEXT_MAX + 1] = "";
	char *rest;

	demand(crypto_init() == 0);
	if (size < 1 || size > REST_MAX)
		return 0;
	front(text, data[0]);
	rest = exact_text(*text ? data + 1 : data, *text ? size - 1 : size);
	check(strcat(text, rest));
	free(rest);
	return 0;
}
