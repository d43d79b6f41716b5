/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/address.h"

#include <sodium.h>
#include <string.h>

#include "base/error.h"
#include "crypto/base32.h"

enum { CHECK_SIZE = 2, RAW_SIZE = 1 + KEY_SIZE + CHECK_SIZE };

/* --- base32 --- */

void base32_encode(char *out, const uint8_t *data, size_t len)
{
	static const char ALPHABET[] = "abcdefghijklmnopqrstuvwxyz234567";
	uint32_t bits = 0;
	unsigned count = 0;

	for (size_t i = 0; i < len; i++) {
		bits = bits << 8 | data[i];
		for (count += 8; count >= 5; count -= 5)
			*out++ = ALPHABET[bits >> (count - 5) & 31];
	}
	if (count)
		*out++ = ALPHABET[bits << (5 - count) & 31];
	*out = '\0';
}

static int digit(char c)
{
	if (c >= 'a' && c <= 'z')
		return c - 'a';
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	return c >= '2' && c <= '7' ? c - '2' + 26 : -1;
}

int base32_decode(uint8_t *out, size_t *len, const char *text)
{
	size_t n = strlen(text), size = n * 5 / 8, at = 0;
	uint32_t bits = 0;
	unsigned count = 0;

	for (size_t i = 0; i < n; i++)
		if (digit(text[i]) < 0)
			return GW_E_CHARACTER;
	if (size > *len || n % 8 == 1 || n % 8 == 3 || n % 8 == 6)
		return GW_E_LENGTH;
	for (size_t i = 0; i < n; i++) {
		bits = bits << 5 | (uint32_t)digit(text[i]);
		count += 5;
		if (count >= 8) {
			count -= 8;
			out[at++] = (uint8_t)(bits >> count);
		}
	}
	if (bits & ((1u << count) - 1))
		return GW_E_FORMAT;
	*len = at;
	return 0;
}

/* --- addresses --- */

static void check_bytes(const uint8_t raw[1 + KEY_SIZE], uint8_t out[CHECK_SIZE])
{
	static const char CONTEXT[] = "godwit address v1";
	uint8_t hash[crypto_hash_sha256_BYTES];
	crypto_hash_sha256_state state;

	crypto_hash_sha256_init(&state);
	crypto_hash_sha256_update(&state, (const uint8_t *)CONTEXT, sizeof(CONTEXT) - 1);
	crypto_hash_sha256_update(&state, raw, 1 + KEY_SIZE);
	crypto_hash_sha256_final(&state, hash);
	memcpy(out, hash, CHECK_SIZE);
}

void address_format(const uint8_t key[KEY_SIZE], char out[ADDRESS_SIZE])
{
	uint8_t raw[RAW_SIZE];

	raw[0] = WORD_NODE;
	memcpy(raw + 1, key, KEY_SIZE);
	check_bytes(raw, raw + 1 + KEY_SIZE);
	base32_encode(out, raw, sizeof(raw));
}

int address_parse(uint8_t key[KEY_SIZE], const char *text)
{
	uint8_t raw[RAW_SIZE], check[CHECK_SIZE];
	size_t len = sizeof(raw);
	struct ticket ticket;
	int rv;

	for (const char *c = text; *c; c++)
		if (digit(*c) < 0)
			return GW_E_CHARACTER;
	if (strlen(text) != ADDRESS_LEN)
		return ticket_parse(&ticket, text) == 0 ? GW_E_TYPE : GW_E_LENGTH;
	rv = base32_decode(raw, &len, text);
	if (rv < 0)
		return rv;
	if (raw[0] != WORD_NODE)
		return GW_E_TYPE;
	check_bytes(raw, check);
	if (memcmp(check, raw + 1 + KEY_SIZE, CHECK_SIZE) != 0)
		return GW_E_CHECKSUM;
	if (!crypto_core_ed25519_is_valid_point(raw + 1))
		return GW_E_KEY;
	memcpy(key, raw + 1, KEY_SIZE);
	return 0;
}

bool service_name_valid(const char *name)
{
	size_t len = strnlen(name, SERVICE_NAME_MAX + 1);

	if (len == 0 || len > SERVICE_NAME_MAX)
		return false;
	for (size_t i = 0; i < len; i++) {
		char c = name[i];
		bool alnum = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');

		if (!alnum && (i == 0 || (c != '.' && c != '_' && c != '-')))
			return false;
	}
	return true;
}
