/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <sodium.h>
#include <string.h>

#include "base/error.h"
#include "crypto/address.h"
#include "crypto/word.h"

enum {
	TAG_V4 = 1,
	TAG_V6 = 2,
	TAG_SERVICE = 3,
	TAG_BEACON = 4,
	TAG_COURTESY = 5,
	BEACON_FIXED = KEY_SIZE + 4,
	TICKET_MAX = TICKET_TEXT_MAX * 5 / 8 - 1 - 4, /* without type and check */
};

static_assert((int)TICKET_MAX <= (int)WORD_BYTES_MAX, "it is a word");

static uint8_t *put_endpoint(uint8_t *at, const struct addr *a)
{
	size_t size = a->family == ADDR_V4 ? 4 : 16;

	*at++ = a->family == ADDR_V4 ? TAG_V4 : TAG_V6;
	*at++ = (uint8_t)(size + 2);
	memcpy(at, a->ip, size);
	at += size;
	*at++ = (uint8_t)(a->port >> 8);
	*at++ = (uint8_t)a->port;
	return at;
}

static uint8_t *put_beacon(uint8_t *at, const struct beacon_name *b)
{
	size_t len = strlen(b->host);

	*at++ = TAG_BEACON;
	*at++ = (uint8_t)(BEACON_FIXED + len);
	memcpy(at, b->key, KEY_SIZE);
	at += KEY_SIZE;
	*at++ = (uint8_t)(b->udp_port >> 8);
	*at++ = (uint8_t)b->udp_port;
	*at++ = (uint8_t)(b->tls_port >> 8);
	*at++ = (uint8_t)b->tls_port;
	memcpy(at, b->host, len);
	return at + len;
}

static uint8_t *put_service(uint8_t *at, const char *name)
{
	size_t len = strlen(name);

	if (len == 0)
		return at;
	*at++ = TAG_SERVICE;
	*at++ = (uint8_t)len;
	memcpy(at, name, len);
	return at + len;
}

static uint8_t *put_courtesy(uint8_t *at, const struct ticket *t)
{
	if (!t->has_courtesy)
		return at;
	*at++ = TAG_COURTESY;
	*at++ = TICKET_COURTESY_SIZE;
	memcpy(at, t->courtesy, TICKET_COURTESY_SIZE);
	return at + TICKET_COURTESY_SIZE;
}

static bool beacon_valid(const struct beacon_name *b)
{
	return beacon_host_valid(b->host) && b->udp_port != 0 &&
	       crypto_core_ed25519_is_valid_point(b->key);
}

static bool valid(const struct ticket *t)
{
	if (t->n_endpoints > TICKET_ENDPOINTS_MAX || t->n_beacons > TICKET_BEACONS_MAX ||
	    (t->service[0] && !service_name_valid(t->service)))
		return false;
	for (size_t i = 0; i < t->n_endpoints; i++)
		if (!addr_is_usable(&t->endpoints[i]))
			return false;
	for (size_t i = 0; i < t->n_beacons; i++)
		if (!beacon_valid(&t->beacons[i]))
			return false;
	return true;
}

int ticket_format(const struct ticket *t, char *out)
{
	uint8_t raw[TICKET_MAX], *at = raw;

	if (!valid(t))
		return GW_E_INVALID;
	memcpy(at, t->key, KEY_SIZE);
	at += KEY_SIZE;
	for (size_t i = 0; i < t->n_endpoints; i++)
		at = put_endpoint(at, &t->endpoints[i]);
	at = put_service(at, t->service);
	for (size_t i = 0; i < t->n_beacons; i++)
		at = put_beacon(at, &t->beacons[i]);
	at = put_courtesy(at, t);
	word_encode(out, WORD_TICKET, raw, (size_t)(at - raw));
	return 0;
}

static int take_endpoint(struct ticket *t, const uint8_t *value, size_t len, uint8_t family)
{
	struct addr a = { .family = family };
	size_t size = family == ADDR_V4 ? 4 : 16;

	if (len != size + 2 || t->n_endpoints == TICKET_ENDPOINTS_MAX)
		return GW_E_FORMAT;
	memcpy(a.ip, value, size);
	a.port = (uint16_t)(value[size] << 8 | value[size + 1]);
	if (!addr_is_usable(&a))
		return GW_E_FORMAT;
	t->endpoints[t->n_endpoints++] = a;
	return 0;
}

static int take_beacon(struct ticket *t, const uint8_t *value, size_t len)
{
	struct beacon_name b = { 0 };

	if (len <= BEACON_FIXED || len > BEACON_FIXED + BEACON_HOST_MAX ||
	    t->n_beacons == TICKET_BEACONS_MAX)
		return GW_E_FORMAT;
	memcpy(b.key, value, KEY_SIZE);
	value += KEY_SIZE;
	b.udp_port = (uint16_t)(value[0] << 8 | value[1]);
	b.tls_port = (uint16_t)(value[2] << 8 | value[3]);
	memcpy(b.host, value + 4, len - BEACON_FIXED);
	if (strlen(b.host) != len - BEACON_FIXED || !beacon_valid(&b))
		return GW_E_FORMAT;
	t->beacons[t->n_beacons++] = b;
	return 0;
}

static int take_field(struct ticket *t, uint8_t tag, const uint8_t *value, size_t len)
{
	switch (tag) {
	case TAG_V4:
		return take_endpoint(t, value, len, ADDR_V4);
	case TAG_V6:
		return take_endpoint(t, value, len, ADDR_V6);
	case TAG_SERVICE:
		if (t->service[0] || len > SERVICE_NAME_MAX)
			return GW_E_FORMAT;
		memcpy(t->service, value, len);
		/* A NUL inside would shorten it. */
		return strlen(t->service) == len && service_name_valid(t->service) ? 0
										   : GW_E_FORMAT;
	case TAG_BEACON:
		return take_beacon(t, value, len);
	case TAG_COURTESY:
		if (t->has_courtesy || len != TICKET_COURTESY_SIZE)
			return GW_E_FORMAT;
		t->has_courtesy = true;
		memcpy(t->courtesy, value, TICKET_COURTESY_SIZE);
		return 0;
	default:
		return 0; /* of a later version */
	}
}

int ticket_parse(struct ticket *out, const char *text)
{
	struct ticket t = { 0 };
	uint8_t raw[TICKET_MAX];
	size_t end = sizeof(raw), at = KEY_SIZE;
	int rv = word_decode(raw, &end, WORD_TICKET, text);

	if (rv < 0)
		return rv;
	if (!crypto_core_ed25519_is_valid_point(raw))
		return GW_E_KEY;
	memcpy(t.key, raw, KEY_SIZE);
	while (at < end) {
		if (end - at < 2 || end - at - 2 < raw[at + 1])
			return GW_E_FORMAT;
		rv = take_field(&t, raw[at], raw + at + 2, raw[at + 1]);
		if (rv < 0)
			return rv;
		at += 2 + (size_t)raw[at + 1];
	}
	*out = t;
	return 0;
}
