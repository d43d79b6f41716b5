/* crypto/base32.h - RFC 4648 base32, lower case, no padding.  Internal to crypto/. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_CRYPTO_BASE32_H
#define GODWIT_CRYPTO_BASE32_H

#include <stddef.h>
#include <stdint.h>

/* `out` gets ceil(len * 8 / 5) characters and NUL. */
void base32_encode(char *out, const uint8_t *data, size_t len);
/* Any case.  *len is the room on entry, the bytes written on return.  GW_E_CHARACTER,
 * GW_E_LENGTH (no such length, or no room), GW_E_FORMAT (padding bits not zero). */
int base32_decode(uint8_t *out, size_t *len, const char *text);

#endif
