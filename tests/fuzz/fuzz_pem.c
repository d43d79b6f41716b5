/* SPDX-License-Identifier: Apache-2.0 */
/* tests/fuzz/fuzz_pem.c - private keys in PEM.
 *
 * The input is taken as a text and, when it begins with a zero, as the DER that this target
 * puts into a PEM. */
#include <ctype.h>
#include <sodium.h>
#include <stdio.h>

#include "base/error.h"
#include "crypto/identity.h"
#include "fuzz.h"

static const char BEGIN[] = "-----BEGIN PRIVATE KEY-----";
static const char END[] = "-----END PRIVATE KEY-----";

enum { DER_MAX = 300, PEM_MAX = 600, SEED_AT = 16 };

static int parse(struct identity *id, const char *text, size_t len)
{
	char *copy = exact(text, len);
	int error;

	fill(id, sizeof(*id));
	error = identity_from_pem(id, copy, len);
	free(copy);
	if (error)
		demand(untouched(id, sizeof(*id)));
	return error;
}

static bool same(const struct identity *a, const struct identity *b)
{
	return memcmp(a->seed, b->seed, SEED_SIZE) == 0 && memcmp(a->key, b->key, KEY_SIZE) == 0;
}

static void check_identity(const struct identity *id)
{
	char *pem = malloc(IDENTITY_PEM_MAX);
	struct identity again;

	demand(pem);
	identity_from_seed(&again, id->seed);
	demand(same(&again, id));
	identity_to_pem(id, pem);
	demand(strlen(pem) < IDENTITY_PEM_MAX);
	demand(parse(&again, pem, strlen(pem)) == 0);
	demand(same(&again, id));
	free(pem);
}

/* Text around the block changes nothing; without the block's end there is no key; nothing else
 * stands in it. */
static void check_surroundings(const struct identity *id, const char *text, size_t len)
{
	static const char AROUND[] = "a comment\n";
	size_t more = strlen(AROUND);
	char *longer = malloc(len + 2 * more);
	const char *begin, *end;
	struct identity again;

	demand(longer);
	memcpy(longer, AROUND, more);
	memcpy(longer + more, text, len);
	memcpy(longer + more + len, AROUND, more);
	demand(parse(&again, longer, len + 2 * more) == 0);
	demand(same(&again, id));
	free(longer);

	begin = memmem(text, len, BEGIN, strlen(BEGIN));
	demand(begin);
	end = memmem(begin, len - (size_t)(begin - text), END, strlen(END));
	demand(end);
	for (const char *c = begin + strlen(BEGIN); c < end; c++)
		demand(isalnum((uint8_t)*c) || (*c && strchr("+/= \t\r\n", *c)));
	for (size_t cut = (size_t)(begin - text) + strlen(BEGIN);
	     cut < (size_t)(end - text) + strlen(END); cut++)
		demand(parse(&again, text, cut) == GW_E_LENGTH);
}

static int check_text(struct identity *id, const char *text, size_t len)
{
	int error = parse(id, text, len);

	if (error) {
		demand(error == GW_E_FORMAT || error == GW_E_LENGTH || error == GW_E_TYPE);
		demand(len || error == GW_E_LENGTH);
		return error;
	}
	check_identity(id);
	check_surroundings(id, text, len);
	return 0;
}

/* An accepted key is a whole DER sequence in the short form, and has its seed where RFC 8410
 * puts it. */
static void check_der(const uint8_t *der, size_t len)
{
	char pem[PEM_MAX], base64[sodium_base64_ENCODED_LEN(DER_MAX, 1)];
	struct identity id;

	sodium_bin2base64(base64, sizeof(base64), der, len, sodium_base64_VARIANT_ORIGINAL);
	snprintf(pem, sizeof(pem), "%s\n%s\n%s\n", BEGIN, base64, END);
	if (check_text(&id, pem, strlen(pem)))
		return;
	demand(len >= SEED_AT + SEED_SIZE);
	demand(der[0] == 0x30 && der[1] < 0x80 && der[1] == len - 2);
	demand(memcmp(der + SEED_AT, id.seed, SEED_SIZE) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct identity id;

	demand(crypto_init() == 0);
	if (size > 0 && size <= DER_MAX && data[0] == 0)
		check_der(data + 1, size - 1);
	else
		check_text(&id, (const char *)data, size);
	return 0;
}
