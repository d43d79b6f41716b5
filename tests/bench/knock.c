/* tests/bench/knock.c - what knocks cost a processor: those that are refused, and those that are not.
 *
 *	knock SECONDS
 *
 * Prints one JSON object: how many a second of processor time, each kind for SECONDS. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "trust/knock.h"

enum { CHAIN = 200, AT_ONCE = 64 };

static const uint64_t NOW = UINT64_C(1800000000000);
static const uint8_t DCID[KNOCK_DCID] = { 1 }, OTHER_DCID[KNOCK_DCID] = { 2 };

static struct knock_self from, to;
static uint8_t token[KNOCK_MAX], chain[WIRE_CHAIN_MAX];
static size_t len;
static struct knock_seen *seen;

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "knock: %s\n", what);
	exit(1);
}

static void demand(bool ok, const char *what)
{
	if (!ok)
		die(what);
}

static double cpu_seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void self_of(struct knock_self *s, uint8_t first)
{
	uint8_t seed[SEED_SIZE] = { first };
	struct identity id;

	identity_from_seed(&id, seed);
	demand(knock_self_init(s, &id) == 0, "self");
}

static void make(size_t chain_len)
{
	static const uint8_t EPHEMERAL[32] = { 3 };
	ssize_t made = knock_make(
		token, &from, to.key, DCID, EPHEMERAL,
		&(struct wire_knock){ .wall_ms = NOW, .chain = chain, .chain_len = chain_len });

	demand(made > 0, "make");
	len = (size_t)made;
}

/* Who knows the address can do as much. */
static void change(size_t at)
{
	uint8_t tag[32];

	token[at] ^= 1;
	hmac_sha256(tag, to.tag_key, (const void *[]){ DCID, token + KNOCK_TAG },
		    (size_t[]){ KNOCK_DCID, len - KNOCK_TAG }, 2);
	memcpy(token, tag, KNOCK_TAG);
}

/* --- what is measured --- */

static void wrong_tag(void)
{
	struct knock k;

	demand(knock_open(&k, &to, OTHER_DCID, token, len, NOW) == KNOCK_WRONG_TAG, "wrong tag");
}

static void forged(void)
{
	struct knock k;

	demand(knock_open(&k, &to, DCID, token, len, NOW) == KNOCK_FORGED, "forged");
}

static void valid(void)
{
	struct knock k;

	demand(knock_open(&k, &to, DCID, token, len, NOW) == KNOCK_OK, "valid");
}

static void made(void)
{
	make(CHAIN);
}

static void remembered(void)
{
	static uint64_t ids[KNOCK_DCID / 8];
	uint8_t dcid[KNOCK_DCID], key[KEY_SIZE] = { 0 };

	ids[0]++; /* 1,000 a second: more than the table holds */
	memcpy(dcid, ids, sizeof(dcid));
	memcpy(key, ids, sizeof(ids[0]));
	demand(knock_seen_add(&seen, dcid, key, NOW + ids[0], NOW + ids[0], 1), "seen");
}

static void retried(void)
{
	static const uint8_t SECRET[32] = { 5 }, NONCE[24] = { 6 };
	struct retry_token t = { .odcid_len = KNOCK_DCID, .chain_len = CHAIN };
	struct addr client = { .family = ADDR_V4, .port = 8, .ip = { 9 } };
	uint8_t sealed[RETRY_TOKEN_MAX];
	size_t size = retry_seal(sealed, SECRET, NONCE, &client, &t, GW_SEC);

	demand(retry_open(&t, SECRET, &client, sealed, size, GW_SEC), "retry");
}

static double rate(void (*what)(void), double seconds)
{
	double begun = cpu_seconds(), took = 0;
	size_t n = 0;

	while (took < seconds) {
		for (int i = 0; i < AT_ONCE; i++)
			what();
		n += AT_ONCE;
		took = cpu_seconds() - begun;
	}
	return (double)n / took;
}

int main(int argc, char **argv)
{
	double seconds = argc == 2 ? atof(argv[1]) : 0;

	if (seconds <= 0) {
		fprintf(stderr, "usage: knock SECONDS\n");
		return 2;
	}
	demand(crypto_init() == 0, "libsodium");
	self_of(&from, 1);
	self_of(&to, 2);

	make(0);
	printf("{\"wrong_tag_s\":%.0f", rate(wrong_tag, seconds));
	make(WIRE_CHAIN_MAX);
	printf(",\"wrong_tag_longest_s\":%.0f", rate(wrong_tag, seconds));
	make(CHAIN);
	change(KNOCK_TAG + NOISE_KEY_SIZE); /* of the sealed static key */
	printf(",\"forged_static_s\":%.0f", rate(forged, seconds));
	make(CHAIN);
	change(len - 1);
	printf(",\"forged_payload_s\":%.0f", rate(forged, seconds));
	make(CHAIN);
	printf(",\"valid_s\":%.0f", rate(valid, seconds));
	printf(",\"made_s\":%.0f", rate(made, seconds));
	printf(",\"remembered_s\":%.0f", rate(remembered, seconds));
	printf(",\"retried_s\":%.0f}\n", rate(retried, seconds));
	knock_seen_free(seen);
	return 0;
}
