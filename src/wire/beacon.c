/* Spec: docs/protocol.md, sections 11 to 13. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/beacon.h"

#include <assert.h>
#include <string.h>

#include "base/error.h"
#include "wire/codec.h"
#include "wire/fields.h"

/* --- frames --- */

static uint8_t *put_record(uint8_t *out, const uint8_t *record, size_t len)
{
	assert(len <= WIRE_RECORD_MAX);
	return put_bytes(put(out, len), record, len);
}

static uint8_t *put_welcome(uint8_t *out, const struct beacon_frame *f)
{
	out = put(out, f->welcome.version);
	out = put(out, f->welcome.flags);
	out = put_fixed(out, f->welcome.wall_ms, 8);
	out = put(out, f->welcome.alternate_port);
	return put_endpoint(out, &f->welcome.endpoint);
}

static uint8_t *put_item(uint8_t *out, const struct beacon_frame *f)
{
	assert(f->item.len > 0 && f->item.len <= WIRE_ITEM_PART);
	assert(f->item.total <= WIRE_ITEM_MAX && f->item.offset + f->item.len <= f->item.total);
	out = put(out, f->item.request);
	out = put(out, f->item.kind);
	out = put(out, f->item.total);
	out = put(out, f->item.offset);
	out = put(out, f->item.len);
	return put_bytes(out, f->item.bytes, f->item.len);
}

static uint8_t *put_fetch(uint8_t *out, const struct beacon_frame *f)
{
	out = put(out, f->fetch.request);
	out = put(out, f->fetch.kind);
	out = put_bytes(out, f->fetch.key, WIRE_KEY_SIZE);
	return put(out, f->fetch.sequence);
}

/* What a client asks of its beacon. */
static uint8_t *put_request(uint8_t *out, const struct beacon_frame *f)
{
	switch (f->type) {
	case BEACON_ATTEND:
		out = put(out, f->attend.version);
		out = put(out, f->attend.flags);
		return put_bytes(out, f->attend.claim, WIRE_CLAIM_SIZE);
	case BEACON_PUBLISH:
		out = put(out, f->publish.request);
		return put_record(out, f->publish.record, f->publish.record_len);
	case BEACON_LOOKUP:
		out = put(out, f->lookup.request);
		out = put(out, f->lookup.flags);
		return put_bytes(out, f->lookup.key, WIRE_KEY_SIZE);
	case BEACON_UNWATCH:
		return put_bytes(out, f->unwatch.key, WIRE_KEY_SIZE);
	case BEACON_OPEN:
		out = put_fixed(out, f->open.channel, 8);
		return put_bytes(out, f->open.key, WIRE_KEY_SIZE);
	case BEACON_REVEAL:
		return put_fixed(out, f->reveal.channel, 8);
	case BEACON_TEST:
		out = put(out, f->test.port);
		return put_bytes(out, f->test.token, WIRE_TOKEN_SIZE);
	case BEACON_STORE:
		return put_item(out, f);
	case BEACON_FETCH:
		return put_fetch(out, f);
	default:
		return out;
	}
}

static uint8_t *put_payload(uint8_t *out, const struct beacon_frame *f)
{
	switch (f->type) {
	case BEACON_PING:
	case BEACON_PONG:
		return put(out, f->ping.nonce);
	case BEACON_CLOSE:
		out = put_fixed(out, f->close.channel, 8);
		return put(out, f->close.reason);
	case BEACON_WELCOME:
		return put_welcome(out, f);
	case BEACON_OBSERVED:
		return put_endpoint(out, &f->observed.endpoint);
	case BEACON_RECORD:
		out = put(out, f->record.request);
		out = put(out, f->record.flags);
		return put_record(out, f->record.record, f->record.record_len);
	case BEACON_RESULT:
		out = put(out, f->result.request);
		out = put(out, f->result.status);
		return put(out, f->result.sequence);
	case BEACON_DRAIN:
		return put(out, f->drain.seconds);
	case BEACON_REVEALED:
		out = put_fixed(out, f->revealed.channel, 8);
		return put_endpoint(out, &f->revealed.endpoint);
	case BEACON_ITEM:
		return put_item(out, f);
	default:
		return put_request(out, f);
	}
}

size_t wire_beacon_encode(uint8_t *out, const struct beacon_frame *f)
{
	uint8_t payload[WIRE_BEACON_FRAME_MAX] = { 0 };

	return put_frame(out, f->type, payload, (size_t)(put_payload(payload, f) - payload));
}

size_t wire_beacon_padded_ping(uint8_t *out, uint64_t nonce, size_t padding)
{
	size_t len = wire_varint_size(nonce) + padding;
	uint8_t *at;

	assert(padding < WIRE_BEACON_FRAME_MAX &&
	       1 + wire_varint_size(len) + len <= WIRE_BEACON_FRAME_MAX);
	at = put(put(put(out, BEACON_PING), len), nonce);
	memset(at, 0, padding);
	return (size_t)(at - out) + padding;
}

/* Where somebody was seen: usable or, where that may be, none. */
static void get_observed(struct reader *r, struct addr *out, bool may_be_none)
{
	get_endpoint(r, out);
	if (out->family == ADDR_NONE ? !may_be_none || out->port != 0 : !addr_is_usable(out))
		r->bad = true;
}

static uint16_t get_port(struct reader *r)
{
	uint64_t port = get(r);

	if (port > UINT16_MAX)
		r->bad = true;
	return (uint16_t)port;
}

/* Length and bytes. */
static const uint8_t *get_blob(struct reader *r, size_t max, size_t *len)
{
	uint64_t size = get(r);
	const uint8_t *bytes = r->at;

	if (size > max || size > (size_t)(r->end - r->at)) {
		r->bad = true;
		return NULL;
	}
	r->at += size;
	*len = (size_t)size;
	return bytes;
}

static const uint8_t *get_record(struct reader *r, size_t *len)
{
	return get_blob(r, WIRE_RECORD_MAX, len);
}

static void get_item(struct reader *r, struct beacon_frame *f)
{
	uint64_t total, offset;

	f->item.request = get(r);
	f->item.kind = get(r);
	total = get(r);
	offset = get(r);
	f->item.bytes = get_blob(r, WIRE_ITEM_PART, &f->item.len);
	if (r->bad || f->item.len == 0 || total > WIRE_ITEM_MAX || offset > total ||
	    f->item.len > total - offset) {
		r->bad = true;
		return;
	}
	f->item.total = (size_t)total;
	f->item.offset = (size_t)offset;
}

static void get_fetch(struct reader *r, struct beacon_frame *f)
{
	f->fetch.request = get(r);
	f->fetch.kind = get(r);
	get_bytes(r, f->fetch.key, WIRE_KEY_SIZE);
	f->fetch.sequence = get(r);
}

static void get_welcome(struct reader *r, struct beacon_frame *f)
{
	f->welcome.version = get(r);
	f->welcome.flags = get(r);
	f->welcome.wall_ms = get_fixed(r, 8);
	f->welcome.alternate_port = get_port(r);
	get_observed(r, &f->welcome.endpoint, true);
}

static void get_request(struct reader *r, struct beacon_frame *f)
{
	switch (f->type) {
	case BEACON_ATTEND:
		f->attend.version = get(r);
		f->attend.flags = get(r);
		get_bytes(r, f->attend.claim, WIRE_CLAIM_SIZE);
		break;
	case BEACON_PUBLISH:
		f->publish.request = get(r);
		f->publish.record = get_record(r, &f->publish.record_len);
		r->bad |= f->publish.record_len == 0;
		break;
	case BEACON_LOOKUP:
		f->lookup.request = get(r);
		f->lookup.flags = get(r);
		get_bytes(r, f->lookup.key, WIRE_KEY_SIZE);
		break;
	case BEACON_UNWATCH:
		get_bytes(r, f->unwatch.key, WIRE_KEY_SIZE);
		break;
	case BEACON_OPEN:
		f->open.channel = get_fixed(r, 8);
		get_bytes(r, f->open.key, WIRE_KEY_SIZE);
		break;
	case BEACON_REVEAL:
		f->reveal.channel = get_fixed(r, 8);
		break;
	case BEACON_TEST:
		f->test.port = get_port(r);
		get_bytes(r, f->test.token, WIRE_TOKEN_SIZE);
		r->bad |= f->test.port == 0;
		break;
	case BEACON_STORE:
		get_item(r, f);
		break;
	case BEACON_FETCH:
		get_fetch(r, f);
		break;
	default:
		break;
	}
}

static void get_payload(struct reader *r, struct beacon_frame *f)
{
	switch (f->type) {
	case BEACON_PING:
	case BEACON_PONG:
		f->ping.nonce = get(r);
		break;
	case BEACON_CLOSE:
		f->close.channel = get_fixed(r, 8);
		f->close.reason = get(r);
		break;
	case BEACON_WELCOME:
		get_welcome(r, f);
		break;
	case BEACON_OBSERVED:
		get_observed(r, &f->observed.endpoint, true);
		break;
	case BEACON_RECORD:
		f->record.request = get(r);
		f->record.flags = get(r);
		f->record.record = get_record(r, &f->record.record_len);
		break;
	case BEACON_RESULT:
		f->result.request = get(r);
		f->result.status = get(r);
		f->result.sequence = get(r);
		break;
	case BEACON_DRAIN:
		f->drain.seconds = get(r);
		break;
	case BEACON_REVEALED:
		f->revealed.channel = get_fixed(r, 8);
		get_observed(r, &f->revealed.endpoint, true);
		break;
	case BEACON_ITEM:
		get_item(r, f);
		break;
	default:
		get_request(r, f);
	}
}

ssize_t wire_beacon_decode(struct beacon_frame *out, const uint8_t *data, size_t len)
{
	struct beacon_frame f;
	struct reader r;
	ssize_t used;

	memset(&f, 0, sizeof(f));
	used = get_frame(&r, &f.type, WIRE_BEACON_FRAME_MAX, data, len);
	if (used <= 0)
		return used;
	get_payload(&r, &f);
	if (r.bad)
		return GW_E_FORMAT;
	*out = f;
	return used;
}

/* --- records --- */

enum {
	RECORD_VERSION = 1,
	FIELD_HOME = 0x01,
	RECORD_SIGNATURE = sizeof(((struct wire_record *)0)->signature),
	RECORD_FIXED = 1 + WIRE_KEY_SIZE + 8 + 4, /* before the fields */
	RECORD_ENCODED_MAX = RECORD_FIXED + WIRE_HOMES_MAX * (2 + WIRE_HOME_MAX) + RECORD_SIGNATURE,
};

static_assert(RECORD_ENCODED_MAX <= (int)WIRE_RECORD_MAX, "what we encode is not too long");

size_t wire_record_encode(uint8_t *out, const struct wire_record *r)
{
	uint8_t *at = out;

	assert(r->n_homes <= WIRE_HOMES_MAX && r->sequence <= WIRE_VARINT_MAX);
	*at++ = RECORD_VERSION;
	at = put_bytes(at, r->key, WIRE_KEY_SIZE);
	at = put_fixed(at, r->sequence, 8);
	at = put_fixed(at, r->lifetime_s, 4);
	for (size_t i = 0; i < r->n_homes; i++)
		at = put_home(put_field(at, FIELD_HOME, 1, home_size(&r->homes[i])), &r->homes[i]);
	return (size_t)(put_bytes(at, r->signature, sizeof(r->signature)) - out);
}

/* Of an unknown tag the value is skipped. */
static void get_record_field(struct reader *r, struct wire_record *out)
{
	struct reader value;
	uint8_t tag;

	if (!get_field(r, &tag, 1, &value) || tag != FIELD_HOME)
		return;
	if (out->n_homes == WIRE_HOMES_MAX) {
		r->bad = true;
		return;
	}
	get_home(&value, &out->homes[out->n_homes++]);
	r->bad = value.bad;
}

/* The sequence is milliseconds, and has to fit into a RESULT. */
ssize_t wire_record_decode(struct wire_record *out, const uint8_t *data, size_t len)
{
	struct wire_record record;
	struct reader r;

	if (len < RECORD_FIXED + RECORD_SIGNATURE || len > WIRE_RECORD_MAX ||
	    data[0] != RECORD_VERSION)
		return GW_E_FORMAT;
	memset(&record, 0, sizeof(record));
	r = (struct reader){ data + 1, data + len - RECORD_SIGNATURE, false };
	get_bytes(&r, record.key, WIRE_KEY_SIZE);
	record.sequence = get_fixed(&r, 8);
	record.lifetime_s = (uint32_t)get_fixed(&r, 4);
	while (!r.bad && r.at < r.end)
		get_record_field(&r, &record);
	if (r.bad || record.sequence > WIRE_VARINT_MAX)
		return GW_E_FORMAT;
	memcpy(record.signature, data + len - RECORD_SIGNATURE, RECORD_SIGNATURE);
	*out = record;
	return (ssize_t)len;
}

/* --- datagrams --- */

void wire_channel_encode(uint8_t out[WIRE_CHANNEL_HEADER], uint64_t channel)
{
	out[0] = WIRE_CHANNEL;
	put_fixed(out + 1, channel, 8);
}

bool wire_channel_decode(uint64_t *channel, const uint8_t *data, size_t len)
{
	struct reader r;

	if (len <= WIRE_CHANNEL_HEADER || data[0] != WIRE_CHANNEL)
		return false;
	r = (struct reader){ data + 1, data + len, false };
	*channel = get_fixed(&r, 8);
	return true;
}

void wire_punch_encode(uint8_t out[WIRE_PUNCH_SIZE], const struct wire_punch *p)
{
	*out++ = WIRE_PUNCH;
	out = put_bytes(out, p->token, WIRE_TOKEN_SIZE);
	*out++ = p->kind;
	*out++ = p->candidate;
	out = put_fixed(out, p->counter, 4);
	put_bytes(out, p->tag, WIRE_PUNCH_TAG_SIZE);
}

ssize_t wire_punch_decode(struct wire_punch *out, const uint8_t *data, size_t len)
{
	struct wire_punch p;
	struct reader r;

	if (len != WIRE_PUNCH_SIZE || data[0] != WIRE_PUNCH)
		return GW_E_FORMAT;
	memset(&p, 0, sizeof(p));
	r = (struct reader){ data + 1, data + len, false };
	get_bytes(&r, p.token, WIRE_TOKEN_SIZE);
	p.kind = (uint8_t)get_fixed(&r, 1);
	p.candidate = (uint8_t)get_fixed(&r, 1);
	p.counter = (uint32_t)get_fixed(&r, 4);
	get_bytes(&r, p.tag, WIRE_PUNCH_TAG_SIZE);
	if (p.kind != PUNCH_ASK && p.kind != PUNCH_ANSWER)
		return GW_E_FORMAT;
	*out = p;
	return (ssize_t)len;
}

size_t wire_address_request_encode(uint8_t out[WIRE_ADDRESS_REQUEST_SIZE],
				   const struct wire_address_request *r)
{
	memset(out, 0, WIRE_ADDRESS_REQUEST_SIZE);
	out[0] = WIRE_ADDRESS_REQUEST;
	out[1] = r->flags;
	memcpy(out + 2, r->token, WIRE_TOKEN_SIZE);
	return WIRE_ADDRESS_REQUEST_SIZE;
}

/* The zeros are not looked at: a later version may have fields there. */
ssize_t wire_address_request_decode(struct wire_address_request *out, const uint8_t *data,
				    size_t len)
{
	if (len != WIRE_ADDRESS_REQUEST_SIZE || data[0] != WIRE_ADDRESS_REQUEST)
		return GW_E_FORMAT;
	out->flags = data[1];
	memcpy(out->token, data + 2, WIRE_TOKEN_SIZE);
	return (ssize_t)len;
}

size_t wire_address_reply_encode(uint8_t *out, const struct wire_address_reply *r)
{
	uint8_t *at = out;

	*at++ = WIRE_ADDRESS_REPLY;
	at = put_bytes(at, r->token, WIRE_TOKEN_SIZE);
	return (size_t)(put_endpoint(at, &r->endpoint) - out);
}

ssize_t wire_address_reply_decode(struct wire_address_reply *out, const uint8_t *data, size_t len)
{
	struct wire_address_reply reply;
	struct reader r;

	if (len == 0 || data[0] != WIRE_ADDRESS_REPLY)
		return GW_E_FORMAT;
	memset(&reply, 0, sizeof(reply));
	r = (struct reader){ data + 1, data + len, false };
	get_bytes(&r, reply.token, WIRE_TOKEN_SIZE);
	get_observed(&r, &reply.endpoint, false);
	if (r.bad || r.at != r.end)
		return GW_E_FORMAT;
	*out = reply;
	return (ssize_t)len;
}
