/* wire/wire.h - every byte layout that is ours.  Spec: docs/protocol.md, sections 3 to 6.
 *
 * Integers are QUIC variable-length integers (RFC 9000, section 16) unless said otherwise.
 * Decoders take untrusted bytes, never read past them and never allocate.  Each returns the
 * number of bytes used (> 0), 0 when more bytes are needed, or GW_E_FORMAT.  Encoders return
 * the number of bytes written; the caller gives at least the stated room. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_WIRE_WIRE_H
#define GODWIT_WIRE_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/addr.h"

enum {
	PROTOCOL_VERSION = 1,
	WIRE_SERVICE_MAX = 63,
	WIRE_TOKEN_SIZE = 8,
	WIRE_FRAME_MAX = 1280,  /* a longer frame is a protocol error */
	WIRE_SEGMENT_MAX = 128, /* longest segment header */
	WIRE_NETWORK_SIZE = 32,
	WIRE_MANIFEST_PIECE = 1024,
	WIRE_MEMBER_MAX = 500,
	WIRE_CID_SIZE = 8,
	WIRE_REFUSAL_TAG = 16,
	WIRE_REFUSAL_SIZE = 1 + WIRE_CID_SIZE + WIRE_REFUSAL_TAG,
	WIRE_PROBE_MIN = 16,
	WIRE_CLAIM_SIZE = 80,
};

#define WIRE_VARINT_MAX ((UINT64_C(1) << 62) - 1)

/* --- first byte of a datagram (in the manner of RFC 9443) --- */

enum datagram_kind {
	DATAGRAM_QUIC,
	DATAGRAM_PROBE,
	DATAGRAM_PROBE_REPLY,
	DATAGRAM_CHANNEL, /* wire/beacon.h, as all that follow */
	DATAGRAM_PUNCH,
	DATAGRAM_ADDRESS_REQUEST,
	DATAGRAM_ADDRESS_REPLY,
	DATAGRAM_REFUSAL,
	DATAGRAM_UNKNOWN,
};

enum {
	WIRE_PROBE = 0x20,
	WIRE_PROBE_REPLY = 0x21,
	WIRE_CHANNEL = 0x22,
	WIRE_PUNCH = 0x23,
	WIRE_ADDRESS_REQUEST = 0x24,
	WIRE_ADDRESS_REPLY = 0x25,
	WIRE_REFUSAL = 0x26,
};

enum datagram_kind wire_classify(const uint8_t *data, size_t len);

/* Path MTU probe and its reply: type (1), the receiver's probe token (8), size of the probe
 * datagram (2, big endian), serial (4, big endian), one zero byte; a probe is padded with
 * zeros to `size`, a reply is WIRE_PROBE_MIN bytes. */
struct wire_probe {
	uint8_t token[WIRE_TOKEN_SIZE];
	uint16_t size;
	uint32_t serial;
};

/* Writes p->size bytes (>= WIRE_PROBE_MIN). */
size_t wire_probe_encode(uint8_t *out, const struct wire_probe *p);
size_t wire_probe_reply_encode(uint8_t *out, const struct wire_probe *p);
/* Either kind, whole datagram; a probe's size must equal `len`. */
ssize_t wire_probe_decode(struct wire_probe *out, const uint8_t *data, size_t len);

/* 0x26, the source connection id of the Initial that it answers (8), tag (16); section 19. */
struct wire_refusal {
	uint8_t scid[WIRE_CID_SIZE], tag[WIRE_REFUSAL_TAG];
};

void wire_refusal_encode(uint8_t out[WIRE_REFUSAL_SIZE], const struct wire_refusal *r);
/* Exactly WIRE_REFUSAL_SIZE bytes; else GW_E_FORMAT. */
ssize_t wire_refusal_decode(struct wire_refusal *out, const uint8_t *data, size_t len);

/* --- frames on the control stream: type, length, payload; unknown types are skipped --- */

enum frame_type {
	FRAME_HELLO = 0x01,
	FRAME_USE = 0x02,
	FRAME_WINDOW = 0x03,
	FRAME_RESET = 0x04,
	FRAME_DONE = 0x05,
	FRAME_PING = 0x06,
	FRAME_PONG = 0x07,
	FRAME_CANDIDATES = 0x08,
	FRAME_MEMBER = 0x09, /* these three: section 17 */
	FRAME_NETWORK = 0x0a,
	FRAME_MANIFEST = 0x0b,
};

enum { HELLO_TRANSIENT = 1 }; /* hello flags */

enum { CANDIDATES_MAX = 8 };
enum candidate_kind { CANDIDATE_INTERFACE = 1, CANDIDATE_OBSERVED = 2, CANDIDATE_MAPPED = 3 };

/* Flags: neither of the first two: not known. */
enum { CANDIDATES_DEPENDENT = 1, CANDIDATES_INDEPENDENT = 2, CANDIDATES_SPRAY = 4 };

/* Section 13.  Where the sender may be reached. */
struct wire_candidates {
	uint64_t round, flags;
	uint16_t port;      /* of its mapping that was made last; 0 unknown */
	int16_t step;       /* from one mapping to the next; 0 unknown */
	uint8_t secret[16]; /* keys the tags of probes sent to it */
	size_t count;
	struct {
		uint8_t kind; /* enum candidate_kind; other kinds are skipped */
		struct addr endpoint;
	} list[CANDIDATES_MAX];
};

struct frame {
	uint64_t type; /* enum frame_type, or unknown: nothing below is set */
	union {
		struct {
			uint64_t version;     /* PROTOCOL_VERSION */
			uint64_t flags;       /* HELLO_* */
			uint64_t incarnation; /* fixed 8 bytes on the wire */
			uint64_t generation;
			uint8_t token[WIRE_TOKEN_SIZE]; /* where to send path probes */
			uint8_t claim[WIRE_CLAIM_SIZE]; /* struct wire_claim, encoded */
		} hello;
		struct {
			uint64_t id, received, limit;
		} window;
		struct {
			uint64_t id, code;
		} reset;
		struct {
			uint64_t id;
		} done;
		struct {
			uint64_t nonce;
		} ping; /* and pong */
		struct wire_candidates candidates;
		/* bytes: encoding: the caller's; decoded: in the decoded bytes */
		struct {
			const uint8_t *chain; /* wire/trust.h */
			size_t len;
		} member;
		struct {
			uint8_t key[WIRE_NETWORK_SIZE];
			uint64_t sequence;
		} network;
		struct {
			uint8_t key[WIRE_NETWORK_SIZE];
			uint64_t sequence;
			size_t total, offset, len; /* offset + len <= total <= 65535 */
			const uint8_t *bytes;
		} manifest;
	};
};

/* At most WIRE_FRAME_MAX bytes. */
size_t wire_frame_encode(uint8_t *out, const struct frame *f);
/* Bytes after the known fields of a frame are skipped (later versions add fields there);
 * a known frame that is too short, or longer than WIRE_FRAME_MAX in all, is GW_E_FORMAT. */
ssize_t wire_frame_decode(struct frame *out, const uint8_t *data, size_t len);

/* --- incarnation claim: in a hello, and as the reason of a CLOSE_IN_USE ---
 * incarnation (8), when the process started in ms of wall clock (8), signature (64) by the key
 * over the first 16 bytes, context CLAIM_CONTEXT. */

#define CLAIM_CONTEXT "godwit incarnation v1"
enum { WIRE_CLAIM_SIGNED = 16 };

struct wire_claim {
	uint64_t incarnation, started_ms;
	uint8_t signature[WIRE_CLAIM_SIZE - WIRE_CLAIM_SIGNED];
};

void wire_claim_encode(uint8_t out[WIRE_CLAIM_SIZE], const struct wire_claim *c);
void wire_claim_decode(struct wire_claim *out, const uint8_t data[WIRE_CLAIM_SIZE]);

/* --- segment header: first bytes of each segment's QUIC stream ---
 * length (of what follows), kind, stream id, offset; the OPENs add service length and name.
 * Bytes after the known fields are skipped. */

enum segment_kind { SEGMENT_OPEN = 1, SEGMENT_RESUME = 2, SEGMENT_OPEN_DATAGRAM = 3 };

struct segment_header {
	uint64_t kind; /* enum segment_kind; another kind is GW_E_FORMAT */
	uint64_t id;
	uint64_t offset;                    /* absolute offset of the byte after the header */
	char service[WIRE_SERVICE_MAX + 1]; /* not of RESUME; a valid service name */
};

/* At most WIRE_SEGMENT_MAX bytes. */
size_t wire_segment_encode(uint8_t *out, const struct segment_header *h);
ssize_t wire_segment_decode(struct segment_header *out, const uint8_t *data, size_t len);

/* --- QUIC DATAGRAM frames (section 15): stream id, then the payload --- */

enum { WIRE_DGRAM_HEADER_MAX = 8 };

/* At most WIRE_DGRAM_HEADER_MAX bytes. */
size_t wire_dgram_encode(uint8_t *out, uint64_t id);
/* Of a whole frame: the size of the header, or GW_E_FORMAT (never 0: nothing follows). */
ssize_t wire_dgram_decode(uint64_t *id, const uint8_t *data, size_t len);

/* --- variable-length integers, for the codecs and their tests --- */

size_t wire_varint_size(uint64_t value);
size_t wire_varint_encode(uint8_t *out, uint64_t value);
ssize_t wire_varint_decode(uint64_t *out, const uint8_t *data, size_t len);

/* --- codes that end things (docs/protocol.md, section 7) --- */

/* Why a stream was reset: in FRAME_RESET. */
enum stream_code {
	STREAM_CODE_CANCELLED = 1, /* the other application gave up */
	STREAM_CODE_DENIED = 2,
	STREAM_CODE_NO_SERVICE = 3,
	STREAM_CODE_TARGET = 4, /* the service's target refused or cannot be reached */
	STREAM_CODE_LOST = 5,   /* a RESUME names a stream never seen */
	STREAM_CODE_LIMIT = 6,  /* too many streams */
	STREAM_CODE_PARKED_OUT = 7,
	STREAM_CODE_KIND = 8, /* datagrams where bytes were asked for, or the reverse */
};

/* Why a connection was closed: QUIC application error codes. */
enum close_code {
	CLOSE_NONE = 0,
	CLOSE_MOVED = 0x101, /* a higher-ranked connection is in use */
	CLOSE_IDLE = 0x102,
	CLOSE_EXIT = 0x103,   /* the process is going away for good */
	CLOSE_IN_USE = 0x104, /* a newer incarnation of your key has come */
	CLOSE_PROTOCOL = 0x105,
	CLOSE_LIMIT = 0x106,
	CLOSE_DENIED = 0x107,
	CLOSE_BROKEN = 0x108, /* debug: break */
};

#endif
