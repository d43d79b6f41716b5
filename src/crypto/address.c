/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/address.h"

#include <string.h>

#include "crypto/word.h"

void address_format(const uint8_t key[KEY_SIZE], char out[ADDRESS_SIZE])
{
	word_encode_key(out, WORD_NODE, key);
}

int address_parse(uint8_t key[KEY_SIZE], const char *text)
{
	return word_decode_key(key, WORD_NODE, text);
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
