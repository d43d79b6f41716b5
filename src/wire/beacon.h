/* wire/beacon.h - byte layouts between nodes and beacons, and of hole punching.
 * Spec: docs/protocol.md, sections 11 to 13.
 *
 * Decoders take untrusted bytes, never read past them and never allocate; results and room as in
 * wire/wire.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_WIRE_BEACON_H
#define GODWIT_WIRE_BEACON_H

#include "base/addr.h"
#include "wire/wire.h"

enum {
	WIRE_KEY_SIZE = 32,
	WIRE_RECORD_MAX = 1000, /* a longer record is refused */
	WIRE_BEACON_FRAME_MAX = 1280,
	WIRE_HOMES_MAX = 3, /* home beacons in a record */
	WIRE_HOST_MAX = 128,
	WIRE_CHANNEL_HEADER = 9, /* before the inner datagram */
	WIRE_PUNCH_SIZE = 31,
	WIRE_PUNCH_TAG_SIZE = 16,
	WIRE_PUNCH_SIGNED = WIRE_PUNCH_SIZE - WIRE_PUNCH_TAG_SIZE,
	WIRE_SECRET_SIZE = 16,
	WIRE_ADDRESS_REQUEST_SIZE = 48,
	WIRE_ADDRESS_REPLY_MAX = 28,
	WIRE_ITEM_MAX = 65535, /* what STORE and ITEM carry, in parts */
	WIRE_ITEM_PART = 1024,
};

/* --- frames of a beacon connection --- */

enum beacon_frame_type {
	BEACON_PING = 0x06,
	BEACON_PONG = 0x07,
	BEACON_ATTEND = 0x10,
	BEACON_WELCOME = 0x11,
	BEACON_OBSERVED = 0x12,
	BEACON_PUBLISH = 0x13,
	BEACON_LOOKUP = 0x14,
	BEACON_UNWATCH = 0x15,
	BEACON_RECORD = 0x16,
	BEACON_RESULT = 0x17,
	BEACON_OPEN = 0x18,
	BEACON_CLOSE = 0x19,
	BEACON_TEST = 0x1a,
	BEACON_DRAIN = 0x1b,
	BEACON_REVEAL = 0x1c,
	BEACON_REVEALED = 0x1d,
	BEACON_STORE = 0x1e,
	BEACON_FETCH = 0x1f,
	BEACON_ITEM = 0x20,
};

enum { ATTEND_REGISTER = 1 };  /* flags of ATTEND */
enum { WELCOME_DRAINING = 1 }; /* of WELCOME */
enum { LOOKUP_WATCH = 1 };     /* of LOOKUP */
enum { RECORD_HERE = 1 };      /* of RECORD: the key is registered at this beacon */

enum result_status {
	RESULT_OK = 0,
	RESULT_OLDER = 1,
	RESULT_NOT_FOUND = 2,
	RESULT_LIMIT = 3,
	RESULT_BAD = 4,
	RESULT_LATER = 5,
};

/* What STORE, FETCH and ITEM are about; others are decoded, too. */
enum stored_kind { STORED_MANIFEST = 1, STORED_CHAIN = 2 };
enum { ITEM_NEWS = 3 }; /* a kind that is not stored: the key of a network */

enum channel_reason {
	CHANNEL_NOT_HERE = 1,
	CHANNEL_LIMIT = 2,
	CHANNEL_TAKEN = 3,
	CHANNEL_DENIED = 4,
	CHANNEL_ENDED = 5,
	CHANNEL_IDLE = 6,
};

struct beacon_frame {
	uint64_t type; /* enum beacon_frame_type, or unknown: nothing below is set */
	union {
		struct {
			uint64_t nonce;
		} ping; /* and pong */
		struct {
			uint64_t version, flags;
			uint8_t claim[WIRE_CLAIM_SIZE];
		} attend;
		struct {
			uint64_t version, flags;
			uint64_t wall_ms; /* fixed 8 bytes on the wire */
			uint16_t alternate_port;
			struct addr endpoint; /* ADDR_NONE: not known */
		} welcome;
		struct {
			struct addr endpoint;
		} observed;
		struct {
			uint64_t request;
			const uint8_t *record; /* in the decoded bytes */
			size_t record_len;     /* up to WIRE_RECORD_MAX */
		} publish;
		struct {
			uint64_t request, flags;
			uint8_t key[WIRE_KEY_SIZE];
		} lookup;
		struct {
			uint8_t key[WIRE_KEY_SIZE];
		} unwatch;
		struct {
			uint64_t request, flags;
			const uint8_t *record; /* in the decoded bytes; may be empty */
			size_t record_len;
		} record;
		struct {
			uint64_t request, status, sequence;
		} result;
		struct {
			uint64_t channel; /* fixed 8 bytes on the wire */
			uint8_t key[WIRE_KEY_SIZE];
		} open;
		struct {
			uint64_t channel; /* fixed 8 bytes on the wire */
			uint64_t reason;
		} close;
		struct {
			uint16_t port; /* a varint on the wire */
			uint8_t token[WIRE_TOKEN_SIZE];
		} test;
		struct {
			uint64_t seconds;
		} drain;
		struct {
			uint64_t channel; /* fixed 8 bytes on the wire */
		} reveal;
		struct {
			uint64_t channel;     /* fixed 8 bytes on the wire */
			struct addr endpoint; /* ADDR_NONE: not known */
		} revealed;
		struct {
			uint64_t request, kind;
			size_t total, offset; /* of the whole, up to WIRE_ITEM_MAX */
			const uint8_t *bytes; /* in the decoded bytes */
			size_t len;           /* 1..WIRE_ITEM_PART; offset + len <= total */
		} item;                       /* and store */
		struct {
			uint64_t request, kind;
			uint8_t key[WIRE_KEY_SIZE];
			uint64_t sequence;
		} fetch;
	};
};

/* At most WIRE_BEACON_FRAME_MAX bytes. */
size_t wire_beacon_encode(uint8_t *out, const struct beacon_frame *f);
/* A PING padded by `padding` bytes (skipped by the receiver); at most WIRE_BEACON_FRAME_MAX. */
size_t wire_beacon_padded_ping(uint8_t *out, uint64_t nonce, size_t padding);
/* As wire_frame_decode().  A key, endpoint, record or part of an item of a wrong form is GW_E_FORMAT. */
ssize_t wire_beacon_decode(struct beacon_frame *out, const uint8_t *data, size_t len);

/* --- records --- */

#define RECORD_CONTEXT "godwit record v1"

struct wire_home {
	uint8_t key[WIRE_KEY_SIZE];
	uint16_t udp_port, tls_port;
	char host[WIRE_HOST_MAX + 1]; /* printable ASCII without spaces */
};

struct wire_record {
	uint8_t key[WIRE_KEY_SIZE];
	uint64_t sequence;
	uint32_t lifetime_s;
	size_t n_homes;
	struct wire_home homes[WIRE_HOMES_MAX];
	uint8_t signature[64];
};

/* At most WIRE_RECORD_MAX bytes; the signature is over RECORD_CONTEXT and all but the last 64. */
size_t wire_record_encode(uint8_t *out, const struct wire_record *r);
/* The whole of `data` is one record: bytes used (== len), or GW_E_FORMAT: too long, too short, another
 * version, more than WIRE_HOMES_MAX homes, a bad host, port 0 (TLS port 0: none). */
ssize_t wire_record_decode(struct wire_record *out, const uint8_t *data, size_t len);

/* --- datagrams --- */

/* 0x22, channel id (8), inner datagram. */
void wire_channel_encode(uint8_t out[WIRE_CHANNEL_HEADER], uint64_t channel);
/* False: too short to carry anything. */
bool wire_channel_decode(uint64_t *channel, const uint8_t *data, size_t len);

enum { PUNCH_ASK = 0, PUNCH_ANSWER = 1 };

struct wire_punch {
	uint8_t token[WIRE_TOKEN_SIZE];
	uint8_t kind, candidate;
	uint32_t counter;
	uint8_t tag[WIRE_PUNCH_TAG_SIZE]; /* over the first WIRE_PUNCH_SIGNED bytes */
};

void wire_punch_encode(uint8_t out[WIRE_PUNCH_SIZE], const struct wire_punch *p);
/* Exactly WIRE_PUNCH_SIZE bytes, a known kind; else GW_E_FORMAT. */
ssize_t wire_punch_decode(struct wire_punch *out, const uint8_t *data, size_t len);

enum { ADDRESS_FROM_ALTERNATE = 1 }; /* flags of a request */

struct wire_address_request {
	uint8_t flags;
	uint8_t token[WIRE_TOKEN_SIZE];
};

struct wire_address_reply {
	uint8_t token[WIRE_TOKEN_SIZE];
	struct addr endpoint;
};

size_t wire_address_request_encode(uint8_t out[WIRE_ADDRESS_REQUEST_SIZE],
				   const struct wire_address_request *r);
ssize_t wire_address_request_decode(struct wire_address_request *out, const uint8_t *data,
				    size_t len);
/* At most WIRE_ADDRESS_REPLY_MAX bytes. */
size_t wire_address_reply_encode(uint8_t *out, const struct wire_address_reply *r);
ssize_t wire_address_reply_decode(struct wire_address_reply *out, const uint8_t *data, size_t len);

#endif
