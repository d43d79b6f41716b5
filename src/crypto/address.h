/* crypto/address.h - the text form of keys (docs/protocol.md, section 2).
 *
 * base32_lower(type || key32 || sha256("godwit address v1" || type || key32)[0:2]), RFC 4648
 * alphabet, no padding. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_CRYPTO_ADDRESS_H
#define GODWIT_CRYPTO_ADDRESS_H

#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "crypto/identity.h"

enum { ADDRESS_LEN = 56, ADDRESS_SIZE = ADDRESS_LEN + 1 };
enum word_type { WORD_NODE = 0x68, WORD_TICKET = 0x98, WORD_INVITE = 0x40, WORD_NETWORK = 0x10 };

/* `out` gets 56 characters and NUL. */
void address_format(const uint8_t key[KEY_SIZE], char out[ADDRESS_SIZE]);

/* Case does not matter.  GW_E_LENGTH, GW_E_CHARACTER, GW_E_CHECKSUM, GW_E_TYPE, GW_E_KEY
 * (non-canonical or small order), GW_E_FORMAT (non-zero padding bits). */
int address_parse(uint8_t key[KEY_SIZE], const char *text);

/* A beacon: "ADDRESS@HOST[:PORT][/TLSPORT]", port 4443 and TLS port 443 when not written, TLS port
 * 0: none.  An IPv6 address stands in brackets. */
enum {
	BEACON_HOST_MAX = 128,
	BEACON_TEXT_MAX = 224, /* with NUL */
	BEACON_UDP_PORT = 4443,
	BEACON_TLS_PORT = 443,
};

struct beacon_name {
	uint8_t key[KEY_SIZE];
	uint16_t udp_port, tls_port;
	char host[BEACON_HOST_MAX + 1]; /* without brackets */
};

/* Errors of the address as address_parse(); GW_E_FORMAT: not of that form; GW_E_INVALID: host or
 * port.  *why gets a sentence fragment for people. */
int beacon_parse(struct beacon_name *out, const char *text, const char **why);
/* With both ports, but for a TLS port of 443. */
void beacon_format(const struct beacon_name *b, char out[BEACON_TEXT_MAX]);
/* "HOST:PORT" of it; returns `out`. */
const char *beacon_format_host(const struct beacon_name *b, char out[BEACON_TEXT_MAX]);
/* May stand for a host: 1 to BEACON_HOST_MAX of printable ASCII without spaces. */
bool beacon_host_valid(const char *host);

/* A ticket: an address with hints.  Same base32 form with type WORD_TICKET; layout in
 * docs/protocol.md, section 2. */
enum {
	TICKET_ENDPOINTS_MAX = 8,
	TICKET_BEACONS_MAX = 2,
	SERVICE_NAME_MAX = 63,
	TICKET_TEXT_MAX = 1280,
	TICKET_COURTESY_SIZE = 8,
};

struct ticket {
	uint8_t key[KEY_SIZE];
	char service[SERVICE_NAME_MAX + 1]; /* "" for none */
	size_t n_endpoints;
	struct addr endpoints[TICKET_ENDPOINTS_MAX];
	size_t n_beacons;
	struct beacon_name beacons[TICKET_BEACONS_MAX];
	bool has_courtesy;
	uint8_t courtesy[TICKET_COURTESY_SIZE]; /* for knocks */
};

/* `out` has TICKET_TEXT_MAX bytes. */
int ticket_format(const struct ticket *t, char *out);
/* Errors as address_parse(); unknown trailing fields are skipped. */
int ticket_parse(struct ticket *out, const char *text);

/* Is `name` a service name: 1..63 of [a-z0-9._-], starting with a letter or digit? */
bool service_name_valid(const char *name);

#endif
