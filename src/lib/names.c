// SPDX-License-Identifier: Apache-2.0
/* Addresses, tickets, destinations and errors: text, no node. */
#include <string.h>
#include <strings.h>

#include "base/error.h"
#include "crypto/address.h"
#include "lib/lib.h"

#define SAME(name) _Static_assert((int)GODWIT_##name == (int)GW_##name, #name)
SAME(OK);
SAME(E_NOMEM);
SAME(E_INVALID);
SAME(E_LENGTH);
SAME(E_CHECKSUM);
SAME(E_TYPE);
SAME(E_CHARACTER);
SAME(E_KEY);
SAME(E_FORMAT);
SAME(E_VERSION);
SAME(E_SELF);
SAME(E_UNREACHABLE);
SAME(E_DENIED);
SAME(E_NO_SERVICE);
SAME(E_TARGET);
SAME(E_RESTARTED);
SAME(E_EXITED);
SAME(E_PARKED_OUT);
SAME(E_LOST);
SAME(E_RESET);
SAME(E_LIMIT);
SAME(E_TIMEOUT);
SAME(E_IN_USE);
SAME(E_PERMISSION);
SAME(E_EXISTS);
SAME(E_NOT_FOUND);
SAME(E_IO);
SAME(E_CRYPTO);
SAME(E_CLOSED);
SAME(E_PROTOCOL);
SAME(E_AGAIN);
SAME(E_KIND);
SAME(E_POLICY);
SAME(E_AMBIGUOUS);

_Static_assert((int)GODWIT_ADDRESS_SIZE == (int)ADDRESS_SIZE, "address size");
_Static_assert((int)GODWIT_KEY_SIZE == (int)KEY_SIZE, "key size");
_Static_assert((int)GODWIT_TICKET_SIZE >= (int)TICKET_TEXT_MAX, "ticket size");
_Static_assert((int)GODWIT_SERVICE_SIZE == SERVICE_NAME_MAX + 1, "service size");
_Static_assert((int)GODWIT_ENDPOINT_SIZE >= (int)ADDR_TEXT_MAX, "endpoint size");
_Static_assert(sizeof(((godwit_ticket *)0)->endpoints) / GODWIT_ENDPOINT_SIZE ==
		       TICKET_ENDPOINTS_MAX,
	       "endpoints of a ticket");
_Static_assert(sizeof(((godwit_ticket *)0)->beacons) / GODWIT_BEACON_SIZE == TICKET_BEACONS_MAX,
	       "beacons of a ticket");
_Static_assert((int)GODWIT_BEACON_SIZE == (int)BEACON_TEXT_MAX, "beacon size");
_Static_assert((int)GODWIT_RELAY_SIZE >= BEACON_HOST_MAX + 9, "relay size");

const char *godwit_strerror(int error)
{
	return error_text(error);
}

const char *godwit_error_name(int error)
{
	return error_name(error);
}

int godwit_address_parse(const char *text, uint8_t key[GODWIT_KEY_SIZE])
{
	return address_parse(key, text);
}

void godwit_address_format(const uint8_t key[GODWIT_KEY_SIZE], char out[GODWIT_ADDRESS_SIZE])
{
	address_format(key, out);
}

int godwit_ticket_parse(const char *text, godwit_ticket *out)
{
	struct ticket t;
	int error = ticket_parse(&t, text);

	if (error)
		return error;
	memset(out, 0, sizeof(*out));
	memcpy(out->key, t.key, sizeof(out->key));
	memcpy(out->service, t.service, sizeof(out->service));
	out->endpoint_count = t.n_endpoints;
	for (size_t i = 0; i < t.n_endpoints; i++)
		addr_format(&t.endpoints[i], out->endpoints[i]);
	out->beacon_count = t.n_beacons;
	for (size_t i = 0; i < t.n_beacons; i++)
		beacon_format(&t.beacons[i], out->beacons[i]);
	out->has_courtesy = t.has_courtesy;
	memcpy(out->courtesy, t.courtesy, sizeof(out->courtesy));
	return 0;
}

const char *godwit_beacon_check(const char *beacon)
{
	struct beacon_name name;
	const char *why = NULL;

	return beacon_parse(&name, beacon, &why) == 0 ? NULL : why;
}

static int who_parse(const char *who, godwit_ticket *out)
{
	int error;

	if (who[0] == 't' || who[0] == 'T')
		return godwit_ticket_parse(who, out);
	memset(out, 0, sizeof(*out));
	error = address_parse(out->key, who);
	return error;
}

int godwit_destination_parse(const char *text, godwit_ticket *out)
{
	const char *slash = strchr(text, '/');
	size_t len = slash ? (size_t)(slash - text) : strlen(text);
	char who[GODWIT_TICKET_SIZE];
	godwit_ticket parsed;
	int error;

	if (len >= sizeof(who))
		return GW_E_LENGTH;
	if (slash && !service_name_valid(slash + 1))
		return GW_E_INVALID;
	memcpy(who, text, len);
	who[len] = '\0';
	error = who_parse(who, &parsed);
	if (error)
		return error;
	if (slash) {
		memset(parsed.service, 0, sizeof(parsed.service));
		memcpy(parsed.service, slash + 1, strlen(slash + 1));
	}
	*out = parsed;
	return 0;
}
