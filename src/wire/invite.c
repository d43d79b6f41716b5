/* Spec: docs/protocol.md, sections 17 (invites) and 19 (the payload of a knock). */
/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/error.h"
#include "wire/codec.h"
#include "wire/fields.h"
#include "wire/trust.h"

enum {
	INVITE_VERSION = 1,
	FIELD_NAME = 0x01,
	FIELD_BEACON = 0x05,
	HEAD_SIZE = 1 + WIRE_SEED_SIZE + 2, /* before the chain */
	INVITE_ENCODED_MAX = HEAD_SIZE + WIRE_CHAIN_MAX + 2 + WIRE_NAME_MAX +
			     WIRE_INVITE_BEACONS_MAX * (2 + WIRE_HOME_MAX),
};

static_assert((int)INVITE_ENCODED_MAX <= (int)WIRE_INVITE_MAX, "what we encode is not too long");

/* --- invites --- */

static bool invite_valid(const struct wire_invite *i)
{
	if (i->chain_len == 0 || i->chain_len > WIRE_CHAIN_MAX ||
	    i->n_beacons > WIRE_INVITE_BEACONS_MAX || (i->name[0] && !wire_name_valid(i->name)))
		return false;
	for (size_t k = 0; k < i->n_beacons; k++)
		if (!home_valid(&i->beacons[k]))
			return false;
	return true;
}

size_t wire_invite_encode(uint8_t *out, const struct wire_invite *i)
{
	uint8_t *at = out;

	if (!invite_valid(i))
		return 0;
	*at++ = INVITE_VERSION;
	at = put_bytes(at, i->seed, WIRE_SEED_SIZE);
	at = put_fixed(at, i->chain_len, 2);
	at = put_bytes(at, i->chain, i->chain_len);
	if (i->name[0])
		at = put_text(at, FIELD_NAME, 1, i->name);
	for (size_t k = 0; k < i->n_beacons; k++) {
		const struct wire_home *h = &i->beacons[k];

		at = put_home(put_field(at, FIELD_BEACON, 1, home_size(h)), h);
	}
	return (size_t)(at - out);
}

static void get_invite_field(struct reader *r, struct wire_invite *i, bool *critical)
{
	struct reader value;
	uint8_t tag;

	if (!get_field(r, &tag, 1, &value))
		return;
	switch (tag) {
	case FIELD_NAME:
		value.bad = i->name[0] != '\0';
		if (!value.bad)
			get_text(&value, i->name, WIRE_NAME_MAX);
		break;
	case FIELD_BEACON:
		if (i->n_beacons == WIRE_INVITE_BEACONS_MAX)
			value.bad = true;
		else
			get_home(&value, &i->beacons[i->n_beacons++]);
		break;
	default:
		*critical |= tag >= WIRE_CRITICAL;
	}
	r->bad = value.bad;
}

static void get_chain(struct reader *r, struct wire_invite *i)
{
	i->chain_len = (size_t)get_fixed(r, 2);
	if (i->chain_len == 0 || i->chain_len > WIRE_CHAIN_MAX)
		r->bad = true;
	else
		get_bytes(r, i->chain, i->chain_len);
}

/* The seed goes straight to its place: no copy to wipe. */
ssize_t wire_invite_decode(struct wire_invite *out, const uint8_t *data, size_t len)
{
	struct wire_invite i;
	bool critical = false;
	struct reader r;

	if (len <= HEAD_SIZE || len > WIRE_INVITE_MAX)
		return GW_E_FORMAT;
	if (data[0] != INVITE_VERSION)
		return GW_E_VERSION;
	memset(&i, 0, sizeof(i));
	r = (struct reader){ data + 1 + WIRE_SEED_SIZE, data + len, false };
	get_chain(&r, &i);
	while (!r.bad && r.at < r.end)
		get_invite_field(&r, &i, &critical);
	if (r.bad)
		return GW_E_FORMAT;
	if (critical)
		return GW_E_VERSION;
	*out = i;
	memcpy(out->seed, data + 1, WIRE_SEED_SIZE);
	return (ssize_t)len;
}

/* --- knocks --- */

enum { KNOCK_FIXED = WIRE_KNOCK_PAYLOAD_MAX - WIRE_CHAIN_MAX };

size_t wire_knock_encode(uint8_t out[WIRE_KNOCK_PAYLOAD_MAX], const struct wire_knock *k)
{
	uint8_t *at = put_fixed(out, k->wall_ms, 8);

	assert(k->chain_len <= WIRE_CHAIN_MAX);
	at = put_bytes(at, k->key, WIRE_KEY_SIZE);
	at = put_bytes(at, k->answer, WIRE_ANSWER_SIZE);
	at = put_bytes(at, k->courtesy, WIRE_COURTESY_SIZE);
	return (size_t)(put_bytes(at, k->chain, k->chain_len) - out);
}

ssize_t wire_knock_decode(struct wire_knock *out, const uint8_t *data, size_t len)
{
	struct wire_knock k;
	struct reader r = { data, data + len, false };

	if (len < KNOCK_FIXED || len > WIRE_KNOCK_PAYLOAD_MAX)
		return GW_E_FORMAT;
	memset(&k, 0, sizeof(k));
	k.wall_ms = get_fixed(&r, 8);
	get_bytes(&r, k.key, WIRE_KEY_SIZE);
	get_bytes(&r, k.answer, WIRE_ANSWER_SIZE);
	get_bytes(&r, k.courtesy, WIRE_COURTESY_SIZE);
	k.chain_len = len - KNOCK_FIXED;
	k.chain = k.chain_len > 0 ? r.at : NULL;
	*out = k;
	return (ssize_t)len;
}
