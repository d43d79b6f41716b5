/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/word.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

#include "base/error.h"
#include "crypto/base32.h"
#include "crypto/hash.h"

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

/* --- words --- */

static const struct form {
	enum word_type type;
	const char *context;
	size_t check, least; /* bytes of the check; bytes there are at least */
} FORMS[] = {
	{ WORD_NODE, "godwit address v1", 2, KEY_SIZE },
	{ WORD_NETWORK, "godwit address v1", 2, KEY_SIZE },
	{ WORD_TICKET, "godwit ticket v1", 4, KEY_SIZE },
	{ WORD_INVITE, "godwit invite v1", 4, 1 },
};

enum {
	FORM_COUNT = sizeof(FORMS) / sizeof(FORMS[0]),
	CHECK_MAX = 4,
	RAW_MAX = 1 + WORD_BYTES_MAX + CHECK_MAX,
};

static_assert((RAW_MAX * 8 + 4) / 5 < WORD_TEXT_MAX, "with NUL");

static const struct form *form_of(enum word_type type)
{
	size_t i = 0;

	while (i < FORM_COUNT && FORMS[i].type != type)
		i++;
	assert(i < FORM_COUNT);
	return &FORMS[i];
}

/* `raw` begins with the type. */
static void make_check(const struct form *f, const uint8_t *raw, size_t len, uint8_t out[CHECK_MAX])
{
	const void *parts[] = { f->context, raw };
	const size_t lens[] = { strlen(f->context), len };
	uint8_t hash[HASH_SIZE];

	hash_sha256(hash, parts, lens, 2);
	memcpy(out, hash, f->check);
}

void word_encode(char *out, enum word_type type, const uint8_t *data, size_t len)
{
	const struct form *f = form_of(type);
	uint8_t raw[RAW_MAX] = { (uint8_t)type };

	assert(len <= WORD_BYTES_MAX);
	memcpy(raw + 1, data, len);
	make_check(f, raw, 1 + len, raw + 1 + len);
	base32_encode(out, raw, 1 + len + f->check);
	bytes_wipe(raw, sizeof(raw));
}

static int check_raw(const struct form *f, const uint8_t *raw, size_t len, size_t room)
{
	uint8_t check[CHECK_MAX];
	size_t end;

	if (len == 0)
		return GW_E_LENGTH;
	if (raw[0] != f->type)
		return GW_E_TYPE;
	if (len < 1 + f->least + f->check || len > 1 + room + f->check)
		return GW_E_LENGTH;
	end = len - f->check;
	make_check(f, raw, end, check);
	return memcmp(check, raw + end, f->check) == 0 ? 0 : GW_E_CHECKSUM;
}

int word_decode(uint8_t *out, size_t *len, enum word_type type, const char *text)
{
	const struct form *f = form_of(type);
	uint8_t raw[RAW_MAX];
	size_t size = sizeof(raw);
	int rv = base32_decode(raw, &size, text);

	if (rv == 0)
		rv = check_raw(f, raw, size, *len);
	if (rv == 0) {
		*len = size - 1 - f->check;
		memcpy(out, raw + 1, *len);
	}
	bytes_wipe(raw, sizeof(raw));
	return rv;
}

/* --- keys --- */

void word_encode_key(char out[ADDRESS_SIZE], enum word_type type, const uint8_t key[KEY_SIZE])
{
	word_encode(out, type, key, KEY_SIZE);
}

/* Is it a word of any type? */
static bool is_word(const char *text)
{
	uint8_t bytes[WORD_BYTES_MAX];
	bool found = false;

	for (size_t i = 0; i < FORM_COUNT && !found; i++) {
		size_t len = sizeof(bytes);

		found = word_decode(bytes, &len, FORMS[i].type, text) == 0;
	}
	bytes_wipe(bytes, sizeof(bytes));
	return found;
}

int word_decode_key(uint8_t key[KEY_SIZE], enum word_type type, const char *text)
{
	uint8_t bytes[KEY_SIZE];
	size_t len = sizeof(bytes);
	int rv;

	for (const char *c = text; *c; c++)
		if (digit(*c) < 0)
			return GW_E_CHARACTER;
	if (strlen(text) != ADDRESS_LEN)
		return is_word(text) ? GW_E_TYPE : GW_E_LENGTH;
	rv = word_decode(bytes, &len, type, text);
	if (rv < 0)
		return rv;
	if (!crypto_core_ed25519_is_valid_point(bytes))
		return GW_E_KEY;
	memcpy(key, bytes, KEY_SIZE);
	return 0;
}
