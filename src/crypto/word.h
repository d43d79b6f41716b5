/* crypto/word.h - texts of one word: addresses, networks, tickets, invites
 * (docs/protocol.md, sections 2 and 17).
 *
 * base32_lower(type || bytes || check); the check are the first bytes of SHA-256 over a context of
 * the type, the type and the bytes. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_CRYPTO_WORD_H
#define GODWIT_CRYPTO_WORD_H

#include "crypto/address.h"

enum { WORD_BYTES_MAX = 1270, WORD_TEXT_MAX = 2048 }; /* text: with NUL */

/* `len` up to WORD_BYTES_MAX; `out` has WORD_TEXT_MAX bytes, or what is known to be enough. */
void word_encode(char *out, enum word_type type, const uint8_t *data, size_t len);
/* Case does not matter.  *len is the room on entry, the bytes written on return.  GW_E_LENGTH,
 * GW_E_CHARACTER, GW_E_CHECKSUM, GW_E_TYPE, GW_E_FORMAT (padding bits not zero).  No copy of the
 * bytes is left behind. */
int word_decode(uint8_t *out, size_t *len, enum word_type type, const char *text);

/* Words that are nothing but a key: WORD_NODE, WORD_NETWORK.  Errors as address_parse(). */
void word_encode_key(char out[ADDRESS_SIZE], enum word_type type, const uint8_t key[KEY_SIZE]);
int word_decode_key(uint8_t key[KEY_SIZE], enum word_type type, const char *text);

#endif
