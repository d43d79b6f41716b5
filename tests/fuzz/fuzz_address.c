/* SPDX-License-Identifier: Apache-2.0 */
/* tests/fuzz/fuzz_address.c - the text form of keys.
 *
 * The input is taken as a text and, when it is long enough, as a key. */
#include <ctype.h>

#include "base/error.h"
#include "crypto/address.h"
#include "fuzz.h"

static int parse(uint8_t key[KEY_SIZE], const char *text)
{
	int error;

	fill(key, KEY_SIZE);
	error = address_parse(key, text);
	if (error)
		demand(untouched(key, KEY_SIZE));
	return error;
}

static void check_text(const char *text)
{
	uint8_t key[KEY_SIZE];
	char *again = malloc(ADDRESS_SIZE);
	int error = parse(key, text);

	demand(again);
	switch (error) {
	case 0: /* one key, one text */
		address_format(key, again);
		demand(strcasecmp(again, text) == 0);
		break;
	case GW_E_LENGTH:
		demand(strlen(text) != ADDRESS_LEN);
		break;
	case GW_E_CHARACTER:
		demand(text[strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
					 "234567")]);
		break;
	case GW_E_CHECKSUM:
	case GW_E_KEY:
		demand(strlen(text) == ADDRESS_LEN && tolower(text[0]) == 'n');
		break;
	default:
		demand(error == GW_E_TYPE);
	}
	free(again);
}

static void check_key(const uint8_t key[KEY_SIZE])
{
	char *text = malloc(ADDRESS_SIZE);
	uint8_t again[KEY_SIZE];
	int error;

	demand(text);
	address_format(key, text);
	demand(strlen(text) == ADDRESS_LEN);
	error = parse(again, text);
	demand(error == 0 || error == GW_E_KEY);
	demand(error || memcmp(again, key, KEY_SIZE) == 0);
	for (char *c = text; *c; c++)
		*c = (char)toupper(*c);
	demand(parse(again, text) == error);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = exact_text(data, size);

	demand(crypto_init() == 0);
	check_text(text);
	if (size >= KEY_SIZE)
		check_key(data);
	free(text);
	return 0;
}
