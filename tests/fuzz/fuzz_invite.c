/* SPDX-License-Identifier: Apache-2.0 */
/* tests/fuzz/fuzz_invite.c - invites, as text and with a right checksum.
 *
 * The first byte says what the rest is: a text, or fields that get a seed and chain ('f'), or flags and
 * fields of the delegate's link ('d'), or all the bytes under the checksum ('b'). */
#include <ctype.h>

#include "base/error.h"
#include "crypto/word.h"
#include "fuzz.h"
#include "trust/trust.h"

enum { HEAD = 1 + SEED_SIZE + 2, FIXED = 49 };

static int parse(struct invite *i, const char *text)
{
	int error;

	fill(i, sizeof(*i));
	error = invite_parse(i, text);
	if (error)
		demand(untouched(i, sizeof(*i)));
	return error;
}

/* Whom it makes a member. */
static void check_join(const struct invite *i)
{
	const struct wire_certificate *d = &i->chain.links[0];
	struct join j = { .now_s = d->not_before, .name = d->n_names ? d->names[0] : NULL };
	uint8_t *out = malloc(WIRE_CHAIN_MAX);
	struct wire_chain c;
	size_t len = 0;
	int error;

	demand(out);
	error = invite_join(i, &j, out, &len);
	demand(error == 0 || error == GW_E_LIMIT);
	if (!error) {
		demand(wire_chain_decode(&c, out, len) == (ssize_t)len && c.n_links == 2);
		demand(memcmp(out, i->wire.chain, i->wire.chain_len) == 0);
		demand(c.links[1].not_after <= d->not_after && c.links[1].n_groups == d->n_groups);
	}
	j.now_s = d->not_after;
	demand(invite_join(i, &j, out, &len) == GW_E_TIMEOUT);
	j.name = "-";
	demand(invite_join(i, &j, out, &len) == GW_E_INVALID);
	free(out);
}

static void check_invite(const struct invite *i)
{
	char *text = malloc(INVITE_TEXT_MAX), *again = malloc(INVITE_TEXT_MAX);
	struct invite copy;

	demand(text && again);
	demand(i->chain.n_links == 1 && i->chain.links[0].flags & CERTIFICATE_DELEGATE);
	demand(memcmp(i->chain.links[0].key, i->delegate.key, KEY_SIZE) == 0);
	demand(!i->wire.name[0] || wire_name_valid(i->wire.name));
	demand(i->wire.n_beacons <= WIRE_INVITE_BEACONS_MAX);
	demand(invite_format(i, text) == 0);
	demand(parse(&copy, text) == 0 && memcmp(&copy, i, sizeof(copy)) == 0);
	demand(invite_format(&copy, again) == 0 && strcmp(text, again) == 0);
	check_join(i);
	free(text);
	free(again);
}

static void check_text(const char *text, bool sealed)
{
	char *upper = exact(text, strlen(text) + 1);
	uint8_t key[KEY_SIZE];
	struct invite i, copy;
	int error = parse(&i, text);

	demand(error == 0 || error == GW_E_FORMAT || error == GW_E_LENGTH ||
	       error == GW_E_VERSION ||
	       (!sealed &&
		(error == GW_E_CHARACTER || error == GW_E_CHECKSUM || error == GW_E_TYPE)));
	for (char *c = upper; *c; c++)
		*c = (char)toupper(*c);
	demand(parse(&copy, upper) == error);
	free(upper);
	if (error)
		return;
	check_invite(&i);
	demand(address_parse(key, text) == GW_E_TYPE); /* known, but no address */
	demand(network_parse(key, text) == GW_E_TYPE);
}

static void seal(const uint8_t *bytes, size_t len)
{
	char *text = malloc(WORD_TEXT_MAX), *copy;

	demand(text);
	word_encode(text, WORD_INVITE, bytes, len);
	copy = exact(text, strlen(text) + 1);
	check_text(copy, true);
	free(copy);
	free(text);
}

/* The link of a delegate with these flags and fields, and after it the fields of the invite. */
static void compose(const uint8_t *link, size_t len, const uint8_t *fields, size_t fields_len)
{
	uint8_t bytes[WORD_BYTES_MAX] = { 1, 3 }, *at = bytes + HEAD;
	size_t size = FIXED - 1 + len + SIGNATURE_SIZE, chain = WIRE_CHAIN_HEAD + 2 + size;
	struct identity id;

	if (HEAD + chain + fields_len > WIRE_INVITE_MAX)
		return;
	identity_from_seed(&id, bytes + 1);
	bytes[HEAD - 2] = (uint8_t)(chain >> 8);
	bytes[HEAD - 1] = (uint8_t)chain;
	*at = 1;
	at += WIRE_CHAIN_HEAD;
	*at++ = (uint8_t)(size >> 8);
	*at++ = (uint8_t)size;
	memcpy(at, id.key, KEY_SIZE);
	memcpy(at + KEY_SIZE, "\1\1\1\1\1\1\1\1\x6b\x49\xd2\x00\x6b\x59\xd2\x00", 16);
	memcpy(at + FIXED - 1, link, len);
	if (fields_len > 0)
		memcpy(bytes + HEAD + chain, fields, fields_len);
	seal(bytes, HEAD + chain + fields_len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t DELEGATE = CERTIFICATE_DELEGATE;
	char *text;

	demand(crypto_init() == 0);
	if (size < 1 || size > WORD_TEXT_MAX)
		return 0;
	switch (data[0]) {
	case 'f':
		compose(&DELEGATE, 1, data + 1, size - 1);
		break;
	case 'd':
		compose(data + 1, size - 1, NULL, 0);
		break;
	case 'b':
		if (size - 1 <= WORD_BYTES_MAX)
			seal(data + 1, size - 1);
		break;
	default:
		text = exact_text(data, size);
		check_text(text, false);
		free(text);
	}
	return 0;
}
