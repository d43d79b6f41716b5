/* SPDX-License-Identifier: Apache-2.0 */
/* tests/fuzz/fuzz_ticket.c - tickets, as text and with a right checksum.
 *
 * The first byte says what the rest is: a text, or fields that get a key, or all the bytes
 * under the checksum; these two are sealed here. */
#include <ctype.h>
#include <sodium.h>

#include "base/error.h"
#include "crypto/address.h"
#include "crypto/base32.h"
#include "fuzz.h"

enum { TAG_V4 = 1, TAG_V6 = 2, TAG_SERVICE = 3 };
enum { RAW_MAX = 600, CHECK_SIZE = 4, TEXT_SIZE = (RAW_MAX + CHECK_SIZE) * 8 / 5 + 2 };

static int parse(struct ticket *t, const char *text)
{
	int error;

	fill(t, sizeof(*t));
	error = ticket_parse(t, text);
	if (error)
		demand(untouched(t, sizeof(*t)));
	return error;
}

static bool same(const struct ticket *a, const struct ticket *b)
{
	if (memcmp(a->key, b->key, KEY_SIZE) || strcmp(a->service, b->service) ||
	    a->n_endpoints != b->n_endpoints)
		return false;
	for (size_t i = 0; i < a->n_endpoints; i++)
		if (!addr_equal(&a->endpoints[i], &b->endpoints[i]))
			return false;
	return true;
}

static void check_endpoint(const struct addr *a)
{
	char text[ADDR_TEXT_MAX];
	struct addr again;

	demand(addr_is_usable(a));
	demand(addr_parse(&again, addr_format(a, text)) == 0);
	demand(addr_equal(&again, a)); /* no v4-mapped address, for one */
}

static void check_ticket(const struct ticket *t)
{
	char *text = malloc(TICKET_TEXT_MAX), *again = malloc(TICKET_TEXT_MAX);
	struct ticket copy;

	demand(text && again);
	demand(memchr(t->service, '\0', sizeof(t->service)));
	demand(!t->service[0] || service_name_valid(t->service));
	demand(t->n_endpoints <= TICKET_ENDPOINTS_MAX);
	for (size_t i = 0; i < t->n_endpoints; i++)
		check_endpoint(&t->endpoints[i]);

	demand(ticket_format(t, text) == 0);
	demand(strlen(text) < TICKET_TEXT_MAX);
	demand(parse(&copy, text) == 0 && same(&copy, t));
	demand(ticket_format(&copy, again) == 0 && strcmp(text, again) == 0);
	free(text);
	free(again);
}

static void check_case(const char *text, int error, const struct ticket *t)
{
	char *upper = exact(text, strlen(text) + 1);
	struct ticket copy;

	for (char *c = upper; *c; c++)
		*c = (char)toupper(*c);
	demand(parse(&copy, upper) == error);
	demand(error || same(&copy, t));
	free(upper);
}

/* The last character is of the checksum and padding: no other will do. */
static void check_last(const char *text)
{
	char *changed = exact(text, strlen(text) + 1);
	size_t last = strlen(text) - 1;
	struct ticket t;

	for (const char *c = "abcdefghijklmnopqrstuvwxyz234567"; *c; c++) {
		changed[last] = *c;
		demand(*c == tolower(text[last]) || parse(&t, changed) != 0);
	}
	free(changed);
}

static int check_text(struct ticket *t, const char *text, bool sealed)
{
	uint8_t key[KEY_SIZE];
	int error = parse(t, text);

	demand(error == 0 || error == GW_E_FORMAT || error == GW_E_LENGTH || error == GW_E_KEY ||
	       (!sealed && (error == GW_E_CHARACTER || error == GW_E_CHECKSUM)) ||
	       error == GW_E_TYPE);
	check_case(text, error, t);
	if (error)
		return error;
	check_ticket(t);
	check_last(text);
	demand(address_parse(key, text) == GW_E_TYPE); /* known, but no address */
	return 0;
}

static int seal(struct ticket *t, const uint8_t *body, size_t len)
{
	static const char CONTEXT[] = "godwit ticket v1";
	uint8_t raw[RAW_MAX + CHECK_SIZE], hash[crypto_hash_sha256_BYTES];
	crypto_hash_sha256_state state;
	char text[TEXT_SIZE], *copy;
	int error;

	crypto_hash_sha256_init(&state);
	crypto_hash_sha256_update(&state, (const uint8_t *)CONTEXT, strlen(CONTEXT));
	crypto_hash_sha256_update(&state, body, len);
	crypto_hash_sha256_final(&state, hash);
	memcpy(raw, body, len);
	memcpy(raw + len, hash, CHECK_SIZE);
	base32_encode(text, raw, len + CHECK_SIZE);
	copy = exact(text, strlen(text) + 1);
	error = check_text(t, copy, true);
	free(copy);
	return error;
}

/* Every known field is in the ticket. */
static void check_fields(const struct ticket *t, const uint8_t *at, size_t len)
{
	size_t endpoints = 0;

	while (len > 0) {
		const uint8_t *value = at + 2;
		size_t size = at[1];

		demand(len >= 2 + size);
		if (at[0] == TAG_SERVICE)
			demand(strlen(t->service) == size && !memcmp(t->service, value, size));
		if (at[0] == TAG_V4 || at[0] == TAG_V6) {
			const struct addr *a = &t->endpoints[endpoints++];

			demand(size > 2 && !memcmp(a->ip, value, size - 2));
			demand(a->port == (value[size - 2] << 8 | value[size - 1]));
		}
		at += 2 + size;
		len -= 2 + size;
	}
	demand(endpoints == t->n_endpoints);
}

static void seal_fields(const uint8_t *fields, size_t len)
{
	static const uint8_t SEED[SEED_SIZE] = { 1 };
	uint8_t body[RAW_MAX] = { WORD_TICKET };
	struct identity id;
	struct ticket t;

	identity_from_seed(&id, SEED);
	memcpy(body + 1, id.key, KEY_SIZE);
	memcpy(body + 1 + KEY_SIZE, fields, len);
	if (seal(&t, body, 1 + KEY_SIZE + len) == 0)
		check_fields(&t, fields, len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ticket t;
	char *text;

	demand(crypto_init() == 0);
	if (size < 1 || size > RAW_MAX - KEY_SIZE)
		return 0;
	switch (data[0]) {
	case 'f':
		seal_fields(data + 1, size - 1);
		break;
	case 'b':
		seal(&t, data + 1, size - 1);
		break;
	default:
		text = exact_text(data, size);
		check_text(&t, text, false);
		free(text);
	}
	return 0;
}
