/* Spec: docs/protocol.md, section 17: manifests. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/error.h"
#include "wire/codec.h"
#include "wire/fields.h"
#include "wire/trust.h"

enum {
	MANIFEST_VERSION = 1,
	FIELD_NAME = 0x01,
	FIELD_CA = 0x02,
	FIELD_REVOKED_KEYS = 0x03,
	FIELD_REVOKED_SERIALS = 0x04,
	FIELD_BEACON = 0x05,
	FIELD_HEAD = 1 + 2, /* tag and length */
	CA_SIZE = WIRE_KEY_SIZE + WIRE_SIGNATURE_SIZE,
	HEAD_SIZE = 1 + WIRE_KEY_SIZE + 8 + 4 + 4,
	TAIL_SIZE = WIRE_KEY_SIZE + WIRE_SIGNATURE_SIZE,
};

static bool ascends(const uint8_t *list, size_t size, size_t n)
{
	for (size_t i = 1; i < n; i++)
		if (memcmp(list + (i - 1) * size, list + i * size, size) >= 0)
			return false;
	return true;
}

/* A chain names its CA by the first bytes of its key. */
static bool cas_differ(const struct wire_manifest *m)
{
	for (size_t i = 0; i < m->n_cas; i++) {
		if (memcmp(m->cas[i].key, m->network, WIRE_CA_HINT) == 0)
			return false;
		for (size_t k = 0; k < i; k++)
			if (memcmp(m->cas[i].key, m->cas[k].key, WIRE_CA_HINT) == 0)
				return false;
	}
	return true;
}

/* The same of what is to be written and of what was read.  The sequence has to fit into a frame. */
static bool manifest_valid(const struct wire_manifest *m)
{
	if (m->n_cas > WIRE_MANIFEST_CAS_MAX || m->n_beacons > WIRE_MANIFEST_BEACONS_MAX ||
	    m->n_revoked_keys > WIRE_MANIFEST_MAX / WIRE_KEY_SIZE ||
	    m->n_revoked_serials > WIRE_MANIFEST_MAX / WIRE_SERIAL_SIZE ||
	    m->sequence > WIRE_VARINT_MAX || m->issued >= m->expires || !wire_name_valid(m->name))
		return false;
	for (size_t i = 0; i < m->n_beacons; i++)
		if (!home_valid(&m->beacons[i]))
			return false;
	return cas_differ(m) && ascends(m->revoked_keys, WIRE_KEY_SIZE, m->n_revoked_keys) &&
	       ascends(m->revoked_serials, WIRE_SERIAL_SIZE, m->n_revoked_serials);
}

/* --- encoding --- */

static size_t list_size(size_t size, size_t n)
{
	return n > 0 ? FIELD_HEAD + n * size : 0;
}

static size_t encoded_size(const struct wire_manifest *m)
{
	size_t size = HEAD_SIZE + FIELD_HEAD + strlen(m->name) + m->n_cas * (FIELD_HEAD + CA_SIZE) +
		      list_size(WIRE_KEY_SIZE, m->n_revoked_keys) +
		      list_size(WIRE_SERIAL_SIZE, m->n_revoked_serials) + TAIL_SIZE;

	for (size_t i = 0; i < m->n_beacons; i++)
		size += FIELD_HEAD + home_size(&m->beacons[i]);
	return size;
}

static uint8_t *put_list(uint8_t *out, uint8_t tag, const uint8_t *list, size_t size, size_t n)
{
	return n > 0 ? put_bytes(put_field(out, tag, 2, n * size), list, n * size) : out;
}

static uint8_t *put_fields(uint8_t *out, const struct wire_manifest *m)
{
	out = put_text(out, FIELD_NAME, 2, m->name);
	for (size_t i = 0; i < m->n_cas; i++) {
		out = put_field(out, FIELD_CA, 2, CA_SIZE);
		out = put_bytes(out, m->cas[i].key, WIRE_KEY_SIZE);
		out = put_bytes(out, m->cas[i].signature, WIRE_SIGNATURE_SIZE);
	}
	out = put_list(out, FIELD_REVOKED_KEYS, m->revoked_keys, WIRE_KEY_SIZE, m->n_revoked_keys);
	out = put_list(out, FIELD_REVOKED_SERIALS, m->revoked_serials, WIRE_SERIAL_SIZE,
		       m->n_revoked_serials);
	for (size_t i = 0; i < m->n_beacons; i++) {
		const struct wire_home *h = &m->beacons[i];

		out = put_home(put_field(out, FIELD_BEACON, 2, home_size(h)), h);
	}
	return out;
}

size_t wire_manifest_encode(uint8_t *out, size_t size, const struct wire_manifest *m)
{
	uint8_t *at = out;
	size_t len;

	if (!manifest_valid(m))
		return 0;
	len = encoded_size(m);
	if (len > size || len > WIRE_MANIFEST_MAX)
		return 0;
	*at++ = MANIFEST_VERSION;
	at = put_bytes(at, m->network, WIRE_KEY_SIZE);
	at = put_fixed(at, m->sequence, 8);
	at = put_fixed(at, m->issued, 4);
	at = put_fixed(at, m->expires, 4);
	at = put_fields(at, m);
	at = put_bytes(at, m->signer, WIRE_KEY_SIZE);
	at = put_bytes(at, m->signature, WIRE_SIGNATURE_SIZE);
	assert((size_t)(at - out) == len);
	return len;
}

/* --- decoding --- */

static void get_ca(struct reader *value, struct wire_manifest *m)
{
	if (m->n_cas == WIRE_MANIFEST_CAS_MAX) {
		value->bad = true;
		return;
	}
	get_bytes(value, m->cas[m->n_cas].key, WIRE_KEY_SIZE);
	get_bytes(value, m->cas[m->n_cas].signature, WIRE_SIGNATURE_SIZE);
	m->n_cas++;
	if (value->at != value->end)
		value->bad = true;
}

/* One field, and not an empty one. */
static void get_list(struct reader *value, const uint8_t **list, size_t size, size_t *n)
{
	size_t len = (size_t)(value->end - value->at);

	if (*n > 0 || len == 0 || len % size != 0) {
		value->bad = true;
		return;
	}
	*list = value->at;
	*n = len / size;
}

static void get_beacon(struct reader *value, struct wire_manifest *m)
{
	if (m->n_beacons == WIRE_MANIFEST_BEACONS_MAX)
		value->bad = true;
	else
		get_home(value, &m->beacons[m->n_beacons++]);
}

static void get_manifest_field(struct reader *r, struct wire_manifest *m, bool *critical)
{
	struct reader value;
	uint8_t tag;

	if (!get_field(r, &tag, 2, &value))
		return;
	switch (tag) {
	case FIELD_NAME:
		value.bad = m->name[0] != '\0';
		if (!value.bad)
			get_text(&value, m->name, WIRE_NAME_MAX);
		break;
	case FIELD_CA:
		get_ca(&value, m);
		break;
	case FIELD_REVOKED_KEYS:
		get_list(&value, &m->revoked_keys, WIRE_KEY_SIZE, &m->n_revoked_keys);
		break;
	case FIELD_REVOKED_SERIALS:
		get_list(&value, &m->revoked_serials, WIRE_SERIAL_SIZE, &m->n_revoked_serials);
		break;
	case FIELD_BEACON:
		get_beacon(&value, m);
		break;
	default:
		*critical |= tag >= WIRE_CRITICAL;
	}
	r->bad = value.bad;
}

/* What is critical and not known may change what the rest has to look like. */
ssize_t wire_manifest_decode(struct wire_manifest *out, const uint8_t *data, size_t len)
{
	struct wire_manifest m;
	bool critical = false;
	struct reader r;

	if (len < HEAD_SIZE + TAIL_SIZE || len > WIRE_MANIFEST_MAX || data[0] != MANIFEST_VERSION)
		return GW_E_FORMAT;
	memset(&m, 0, sizeof(m));
	r = (struct reader){ data + 1, data + len - TAIL_SIZE, false };
	get_bytes(&r, m.network, WIRE_KEY_SIZE);
	m.sequence = get_fixed(&r, 8);
	m.issued = (uint32_t)get_fixed(&r, 4);
	m.expires = (uint32_t)get_fixed(&r, 4);
	while (!r.bad && r.at < r.end)
		get_manifest_field(&r, &m, &critical);
	if (r.bad)
		return GW_E_FORMAT;
	if (critical)
		return GW_E_VERSION;
	if (!manifest_valid(&m))
		return GW_E_FORMAT;
	memcpy(m.signer, data + len - TAIL_SIZE, WIRE_KEY_SIZE);
	memcpy(m.signature, data + len - WIRE_SIGNATURE_SIZE, WIRE_SIGNATURE_SIZE);
	*out = m;
	return (ssize_t)len;
}
