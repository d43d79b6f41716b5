/* tests/unit/crypto_identity.c - keys, their files and signatures; checked against openssl.
 *
 * The tests run in a directory of their own, emptied before each. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <sodium.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "crypto/identity.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* The example keys of RFC 8410, section 10.3: version 1, and version 2 with its public key. */
static const char RFC8410_V1[] =
	"-----BEGIN PRIVATE KEY-----\n"
	"MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n"
	"-----END PRIVATE KEY-----\n";
static const char RFC8410_V2[] =
	"-----BEGIN PRIVATE KEY-----\n"
	"MHICAQEwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n"
	"oB8wHQYKKoZIhvcNAQkJFDEPDA1DdXJkbGUgQ2hhaXJzgSEAGb9ECWmEzf6FQbrB\n"
	"Z9w7lshQhqowtrbLDFw4rXAxZuE=\n"
	"-----END PRIVATE KEY-----\n";
static const char RFC8410_KEY[] =
	"19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1";

enum { PREFIX_SIZE = 16, DER_SIZE = PREFIX_SIZE + SEED_SIZE };

static char directory[] = P_tmpdir "/godwit-identity-XXXXXX";
static bool have_openssl;

/* --- helpers --- */

static size_t from_hex(uint8_t *out, size_t room, const char *hex)
{
	size_t len;

	assert_int_equal(sodium_hex2bin(out, room, hex, strlen(hex), NULL, &len, NULL), 0);
	return len;
}

static void assert_key(const struct identity *id, const char *hex)
{
	uint8_t key[KEY_SIZE];

	assert_int_equal(from_hex(key, sizeof(key), hex), KEY_SIZE);
	assert_memory_equal(id->key, key, KEY_SIZE);
}

static struct identity fresh(void)
{
	struct identity id;

	identity_generate(&id);
	return id;
}

static void write_file(const char *path, const void *data, size_t len, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, len), len);
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

static size_t read_file(const char *path, void *out, size_t room)
{
	int fd = open(path, O_RDONLY);
	ssize_t len = read(fd, out, room);

	assert_true(fd >= 0 && len >= 0);
	close(fd);
	return (size_t)len;
}

static size_t count_files(void)
{
	DIR *dir = opendir(".");
	size_t count = 0;

	assert_non_null(dir);
	while (readdir(dir))
		count++;
	closedir(dir);
	return count - 2; /* . and .. */
}

/* `command` is the text after "openssl"; its output is not shown. */
static void openssl(const char *command)
{
	char line[256];

	snprintf(line, sizeof(line), "openssl %s >/dev/null 2>&1", command);
	if (system(line) != 0)
		fail_msg("openssl %s", command);
}

/* The public key that openssl finds in the file "key": the end of its SubjectPublicKeyInfo. */
static void openssl_public_key(uint8_t out[KEY_SIZE])
{
	uint8_t info[44];

	openssl("pkey -in key -pubout -outform DER -out pub.der");
	assert_int_equal(read_file("pub.der", info, sizeof(info)), sizeof(info));
	memcpy(out, info + sizeof(info) - KEY_SIZE, KEY_SIZE);
	unlink("pub.der");
}

static void need_openssl(void)
{
	if (!have_openssl)
		fail_msg("openssl is missing: apt-get install openssl");
}

/* The DER of a fresh key, and room behind it. */
static void der_of(uint8_t der[DER_SIZE])
{
	struct identity id = fresh();

	from_hex(der, PREFIX_SIZE, "302e020100300506032b657004220420");
	memcpy(der + PREFIX_SIZE, id.seed, SEED_SIZE);
}

/* Parse, and see that nothing is written on failure. */
static int parse(struct identity *out, const char *pem, size_t len)
{
	char *copy = malloc(len ? len : 1); /* so that the sanitizer sees any read beyond it */
	struct identity before, id;
	int rv;

	memset(&before, 0xa5, sizeof(before));
	memcpy(&id, &before, sizeof(id));
	memcpy(copy, pem, len);
	rv = identity_from_pem(&id, copy, len);
	free(copy);
	if (rv < 0)
		assert_memory_equal(&id, &before, sizeof(id));
	else if (out)
		*out = id;
	return rv;
}

/* The same, of DER in an undamaged armour. */
static int parse_der(const uint8_t *der, size_t len)
{
	char base64[512], pem[1024];

	sodium_bin2base64(base64, sizeof(base64), der, len, sodium_base64_VARIANT_ORIGINAL);
	snprintf(pem, sizeof(pem), "-----BEGIN PRIVATE KEY-----\n%s\n-----END PRIVATE KEY-----\n",
		 base64);
	return parse(NULL, pem, strlen(pem));
}

static int load(const char *path)
{
	struct identity before, id;
	int rv;

	memset(&before, 0xa5, sizeof(before));
	memcpy(&id, &before, sizeof(id));
	rv = identity_load(&id, path);
	if (rv < 0)
		assert_memory_equal(&id, &before, sizeof(id));
	return rv;
}

/* --- keys --- */

static void key_follows_from_the_seed(void **state)
{
	struct identity a = fresh(), b = fresh(), again;
	static const struct identity zero;

	(void)state;
	assert_memory_not_equal(a.seed, b.seed, SEED_SIZE);
	assert_memory_not_equal(a.key, b.key, KEY_SIZE);
	identity_from_seed(&again, a.seed);
	assert_memory_equal(&again, &a, sizeof(a));
	identity_from_seed(&again, again.seed); /* in place */
	assert_memory_equal(&again, &a, sizeof(a));
	identity_wipe(&a);
	assert_memory_equal(&a, &zero, sizeof(a));
}

/* RFC 8032, section 7.1: tests 1, 2, 3 and SHA(abc).  Test 1024 is longer than SIGNED_MAX. */
static void vectors_of_rfc8032(void **state)
{
	static const struct {
		const char *seed, *key, *message, *signature;
	} rows[] = {
		{ "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
		  "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
		  "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bac"
		  "c61"
		  "e39701cf9b46bd25bf5f0595bbe24655141438e7a100b" },
		{ "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
		  "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
		  "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e"
		  "458"
		  "f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00" },
		{ "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
		  "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
		  "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290"
		  "ae6"
		  "7f760984dc6594a7c15e9716ed28dc027beceea1ec40a" },
		{ "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
		  "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
		  "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a8"
		  "36b"
		  "a3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
		  "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ec"
		  "fdf"
		  "bc7c66431e0303dca179c138ac17ad9bef1177331a704" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		uint8_t seed[SEED_SIZE], message[64], expected[SIGNATURE_SIZE], out[SIGNATURE_SIZE];
		struct identity id;
		size_t len;

		from_hex(seed, sizeof(seed), rows[i].seed);
		from_hex(expected, sizeof(expected), rows[i].signature);
		len = from_hex(message, sizeof(message), rows[i].message);
		identity_from_seed(&id, seed);
		assert_key(&id, rows[i].key);
		identity_sign(&id, "", message, len, out);
		assert_memory_equal(out, expected, sizeof(expected));
		assert_true(signature_valid(id.key, "", message, len, expected));
	}
}

/* --- signatures --- */

static void signature_holds_for_key_context_and_message_only(void **state)
{
	static const char *const contexts[] = { "", "godwit test v", "godwit test v11",
						"Godwit test v1", "xgodwit test v1" };
	struct identity id = fresh(), other = fresh();
	uint8_t message[40], signature[SIGNATURE_SIZE];

	(void)state;
	randombytes_buf(message, sizeof(message));
	identity_sign(&id, "godwit test v1", message, sizeof(message), signature);
	assert_true(signature_valid(id.key, "godwit test v1", message, sizeof(message), signature));
	for (size_t i = 0; i < COUNT(contexts); i++)
		assert_false(
			signature_valid(id.key, contexts[i], message, sizeof(message), signature));
	assert_false(
		signature_valid(other.key, "godwit test v1", message, sizeof(message), signature));
	for (size_t len = 0; len < sizeof(message); len++)
		assert_false(signature_valid(id.key, "godwit test v1", message, len, signature));
	for (size_t bit = 0; bit < 8 * sizeof(message); bit++) {
		message[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_false(signature_valid(id.key, "godwit test v1", message, sizeof(message),
					     signature));
		message[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	for (size_t bit = 0; bit < 8 * SIGNATURE_SIZE; bit++) {
		signature[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_false(signature_valid(id.key, "godwit test v1", message, sizeof(message),
					     signature));
		signature[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	for (size_t bit = 0; bit < 8 * KEY_SIZE; bit++) {
		id.key[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_false(signature_valid(id.key, "godwit test v1", message, sizeof(message),
					     signature));
		id.key[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	assert_true(signature_valid(id.key, "godwit test v1", message, sizeof(message), signature));
}

static void any_length_up_to_the_limit_is_signed(void **state)
{
	static const char CONTEXT[] = "godwit test v1";
	uint8_t message[SIGNED_MAX], signature[SIGNATURE_SIZE];
	const size_t most = SIGNED_MAX - strlen(CONTEXT);
	struct identity id = fresh();

	(void)state;
	randombytes_buf(message, sizeof(message));
	for (size_t len = 0; len <= most; len += len < 4 || len + 4 > most ? 1 : 59) {
		identity_sign(&id, CONTEXT, message, len, signature);
		assert_true(signature_valid(id.key, CONTEXT, message, len, signature));
	}
	identity_sign(&id, CONTEXT, message, most, signature);
	assert_true(signature_valid(id.key, CONTEXT, message, most, signature));
	message[most - 1] ^= 1;
	assert_false(signature_valid(id.key, CONTEXT, message, most, signature));
}

/* One message and key have one valid S (RFC 8032, section 5.1.7): S + L is refused. */
static void signature_is_not_malleable(void **state)
{
	struct identity id = fresh();
	uint8_t order[32], signature[SIGNATURE_SIZE];
	unsigned carry = 0;

	(void)state;
	from_hex(order, sizeof(order),
		 "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
	identity_sign(&id, "c", (const uint8_t *)"m", 1, signature);
	for (size_t i = 0; i < sizeof(order); i++) {
		carry += (unsigned)signature[32 + i] + order[i];
		signature[32 + i] = (uint8_t)carry;
		carry >>= 8;
	}
	assert_int_equal(carry, 0);
	assert_false(signature_valid(id.key, "c", (const uint8_t *)"m", 1, signature));
}

/* With a key of order 1, R = 1 and S = 0 fit any message. */
static void key_of_small_order_signs_nothing(void **state)
{
	static const uint8_t KEY[KEY_SIZE] = { 1 }, SIGNATURE[SIGNATURE_SIZE] = { 1 };

	(void)state;
	assert_false(signature_valid(KEY, "c", (const uint8_t *)"m", 1, SIGNATURE));
}

static void openssl_verifies_our_signature(void **state)
{
	static const char CONTEXT[] = "godwit test v1", MESSAGE[] = "the message";
	struct identity id = fresh();
	uint8_t signature[SIGNATURE_SIZE];

	(void)state;
	need_openssl();
	identity_sign(&id, CONTEXT, (const uint8_t *)MESSAGE, strlen(MESSAGE), signature);
	write_file("signature", signature, sizeof(signature), 0600);
	write_file("whole", "godwit test v1the message", 25, 0600);
	assert_int_equal(identity_create(&id, "key"), 0);
	openssl("pkeyutl -verify -inkey key -rawin -in whole -sigfile signature");
}

/* --- PEM --- */

static void examples_of_rfc8410_load(void **state)
{
	struct identity id;

	(void)state;
	assert_int_equal(parse(&id, RFC8410_V1, strlen(RFC8410_V1)), 0);
	assert_key(&id, RFC8410_KEY);
	assert_int_equal(parse(&id, RFC8410_V2, strlen(RFC8410_V2)), 0);
	assert_key(&id, RFC8410_KEY);
}

static void what_we_write_we_read(void **state)
{
	char pem[IDENTITY_PEM_MAX];
	struct identity id, back;

	(void)state;
	for (size_t i = 0; i < 20; i++) {
		id = fresh();
		memset(pem, 'x', sizeof(pem));
		identity_to_pem(&id, pem);
		assert_non_null(memchr(pem, '\0', sizeof(pem)));
		assert_int_equal(parse(&back, pem, strlen(pem)), 0);
		assert_memory_equal(&back, &id, sizeof(id));
	}
	parse(&id, RFC8410_V1, strlen(RFC8410_V1));
	identity_to_pem(&id, pem);
	assert_string_equal(pem, RFC8410_V1);
}

static void layout_of_the_text_does_not_matter(void **state)
{
#define BODY "MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC"
#define BEGIN "-----BEGIN PRIVATE KEY-----"
#define END "-----END PRIVATE KEY-----"
	static const char *const rows[] = {
		BEGIN "\n" BODY "\n" END,
		BEGIN "\r\n" BODY "\r\n" END "\r\n",
		"my key\n\n" BEGIN "\n" BODY "\n" END "\nthat was it\n",
		BEGIN "\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK\n1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n" END,
		BEGIN
		"\nMC4C\tAQAw BQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC \n" END,
		BEGIN "\n" BODY "\n" END "\n" BEGIN "\ngarbage\n" END "\n",
		"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC "
		"PARAMETERS-----\n" BEGIN "\n" BODY "\n" END "\n",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct identity id;

		if (parse(&id, rows[i], strlen(rows[i])) != 0)
			fail_msg("refused:\n%s", rows[i]);
		assert_key(&id, RFC8410_KEY);
	}
}

static void malformed_text_is_refused(void **state)
{
	static const struct {
		const char *text;
		int error;
	} rows[] = {
		{ "", GW_E_LENGTH },
		{ "garbage", GW_E_FORMAT },
		{ "\n", GW_E_FORMAT },
		{ BODY, GW_E_FORMAT },
		{ BODY "\n" END "\n", GW_E_FORMAT },
		{ "----- BEGIN PRIVATE KEY -----\n" BODY "\n" END "\n", GW_E_FORMAT },
		{ END "\n" BODY "\n" BEGIN "\n", GW_E_LENGTH },
		{ BEGIN "\nMC4C!QAw\n" END "\n", GW_E_FORMAT },
		{ BEGIN "\nMC4C\n=\n" END "\n", GW_E_FORMAT },
		{ BEGIN "\nKey: value\n\n" BODY "\n" END "\n", GW_E_FORMAT },
		{ BEGIN "\n" BODY "A===\n" END "\n", GW_E_FORMAT },
		{ "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1r\n"
		  "-----END OPENSSH PRIVATE KEY-----\n",
		  GW_E_TYPE },
		{ "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n", GW_E_TYPE },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		int rv = parse(NULL, rows[i].text, strlen(rows[i].text));

		if (rv != rows[i].error)
			fail_msg("%d, not %d:\n%s", rv, rows[i].error, rows[i].text);
	}
}

/* The base64 decoder of libsodium 1.0.18 takes some bytes above ASCII for digits. */
static void every_foreign_byte_in_the_text_is_refused(void **state)
{
	static const char DIGITS[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	char pem[sizeof(RFC8410_V1)];

	(void)state;
	for (const char *body = strchr(RFC8410_V1, '\n') + 1; *body != '\n'; body++) {
		for (int c = 0; c < 256; c++) {
			if (memchr(DIGITS, c, sizeof(DIGITS) - 1))
				continue;
			memcpy(pem, RFC8410_V1, sizeof(pem));
			pem[body - RFC8410_V1] = (char)c;
			assert_int_equal(parse(NULL, pem, sizeof(pem) - 1), GW_E_FORMAT);
		}
	}
}

static void every_truncation_is_told_as_such(void **state)
{
	char pem[IDENTITY_PEM_MAX];
	struct identity id = fresh();
	size_t whole;

	(void)state;
	identity_to_pem(&id, pem);
	whole = strlen(pem) - 1; /* the last newline does not matter */
	for (size_t len = 0; len < whole; len++) {
		assert_int_equal(parse(NULL, pem, len), GW_E_LENGTH);
		write_file("key", pem, len, 0600);
		assert_int_equal(load("key"), GW_E_LENGTH);
	}
	assert_int_equal(parse(NULL, pem, whole), 0);
}

/* The same, of the bytes in an undamaged armour. */
static void shortened_or_longer_key_is_refused(void **state)
{
	uint8_t der[DER_SIZE + 8] = { 0 };

	(void)state;
	der_of(der);
	for (size_t len = 0; len < DER_SIZE; len++) {
		int rv = parse_der(der, len);

		if (len < 2)
			assert_true(rv == GW_E_FORMAT || rv == GW_E_LENGTH);
		else
			assert_int_equal(rv, GW_E_LENGTH);
	}
	assert_int_equal(parse_der(der, DER_SIZE), 0);
	for (size_t more = 1; more <= 8; more++) { /* behind the sequence, and in it */
		der[1] = DER_SIZE - 2;
		assert_int_equal(parse_der(der, DER_SIZE + more), GW_E_FORMAT);
		der[1] = (uint8_t)(DER_SIZE - 2 + more);
		assert_int_equal(parse_der(der, DER_SIZE + more), GW_E_FORMAT);
	}
}

static void every_change_of_the_header_is_refused(void **state)
{
	enum { VERSION = 4, OID_FROM = 7, OID_TO = 12 };
	uint8_t der[DER_SIZE];

	(void)state;
	der_of(der);
	for (size_t i = 0; i < PREFIX_SIZE; i++) {
		uint8_t right = der[i];

		for (unsigned value = 0; value < 256; value++) {
			int rv;

			if (value == right || (i == VERSION && value == 1))
				continue; /* version 2 is known too */
			der[i] = (uint8_t)value;
			rv = parse_der(der, DER_SIZE);
			if (i >= OID_FROM && i < OID_TO)
				assert_int_equal(rv, GW_E_TYPE);
			else
				assert_true(rv == GW_E_FORMAT || rv == GW_E_LENGTH);
		}
		der[i] = right;
	}
}

static void shortened_version_2_is_refused(void **state)
{
	const char *begin = strchr(RFC8410_V2, '\n'), *end = strstr(begin, "-----END");
	uint8_t der[128];
	size_t whole;

	(void)state;
	assert_int_equal(sodium_base642bin(der, sizeof(der), begin, (size_t)(end - begin), "\n",
					   &whole, NULL, sodium_base64_VARIANT_ORIGINAL),
			 0);
	for (size_t len = 2; len < whole; len++)
		assert_int_equal(parse_der(der, len), GW_E_LENGTH);
	assert_int_equal(parse_der(der, whole), 0);
}

/* No Ed25519 key is so long that its length takes two bytes. */
static void long_form_of_the_length_is_refused(void **state)
{
	uint8_t der[2 + 255] = { 0 };

	(void)state;
	der_of(der);
	der[4] = 1;
	for (size_t len = 120; len <= 255; len++) {
		der[1] = (uint8_t)len;
		assert_int_equal(parse_der(der, 2 + len), len < 0x80 ? 0 : GW_E_FORMAT);
	}
}

/* --- files --- */

static void keys_of_openssl_load(void **state)
{
	uint8_t key[KEY_SIZE];
	struct identity id;

	(void)state;
	need_openssl();
	for (size_t i = 0; i < 5; i++) {
		openssl("genpkey -algorithm ed25519 -out key");
		assert_int_equal(chmod("key", 0600), 0);
		assert_int_equal(identity_load(&id, "key"), 0);
		openssl_public_key(key);
		assert_memory_equal(id.key, key, KEY_SIZE);
	}
}

static void openssl_reads_our_keys(void **state)
{
	char ours[IDENTITY_PEM_MAX], theirs[IDENTITY_PEM_MAX];
	uint8_t key[KEY_SIZE];
	size_t len;

	(void)state;
	need_openssl();
	for (size_t i = 0; i < 5; i++) {
		struct identity id = fresh();

		unlink("key");
		assert_int_equal(identity_create(&id, "key"), 0);
		openssl_public_key(key);
		assert_memory_equal(id.key, key, KEY_SIZE);
		openssl("pkey -in key -out again");
		len = read_file("key", ours, sizeof(ours));
		assert_int_equal(read_file("again", theirs, sizeof(theirs)), len);
		assert_memory_equal(ours, theirs, len);
	}
}

static void other_kinds_of_keys_are_told_as_such(void **state)
{
	static const char *const rows[] = {
		"genpkey -algorithm x25519 -out key",
		"genpkey -algorithm ed448 -out key",
		"genpkey -out key -algorithm RSA -pkeyopt rsa_keygen_bits:1024",
		"genrsa -traditional -out key 1024",
		"genpkey -out key -algorithm EC -pkeyopt ec_paramgen_curve:P-256",
		"ecparam -name prime256v1 -genkey -out key",
		"genpkey -algorithm ed25519 -aes-256-cbc -pass pass:secret -out key",
		"genrsa -traditional -aes128 -passout pass:secret -out key 1024",
	};

	(void)state;
	need_openssl();
	for (size_t i = 0; i < COUNT(rows); i++) {
		int rv;

		openssl(rows[i]);
		assert_int_equal(chmod("key", 0600), 0);
		rv = load("key");
		if (rv != GW_E_TYPE)
			fail_msg("%d for openssl %s", rv, rows[i]);
	}
	openssl("genpkey -algorithm ed25519 -out key");
	openssl("pkey -in key -pubout -out public");
	assert_int_equal(chmod("public", 0600), 0);
	assert_int_equal(load("public"), GW_E_TYPE);
}

static void files_open_to_others_are_refused(void **state)
{
	static const struct {
		mode_t mode;
		int result;
	} rows[] = {
		{ 0600, 0 },
		{ 0400, 0 },
		{ 0700, 0 },
		{ 0640, GW_E_PERMISSION },
		{ 0604, GW_E_PERMISSION },
		{ 0620, GW_E_PERMISSION },
		{ 0602, GW_E_PERMISSION },
		{ 0610, GW_E_PERMISSION },
		{ 0601, GW_E_PERMISSION },
		{ 0644, GW_E_PERMISSION },
		{ 0666, GW_E_PERMISSION },
		{ 0777, GW_E_PERMISSION },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		write_file("key", RFC8410_V1, strlen(RFC8410_V1), rows[i].mode);
		assert_int_equal(load("key"), rows[i].result);
		assert_int_equal(symlink("key", "link"), 0);
		assert_int_equal(load("link"), rows[i].result);
		unlink("link");
		unlink("key");
	}
}

static void what_is_no_key_file_is_refused(void **state)
{
	static char garbage[20000]; /* longer than any key */

	(void)state;
	assert_int_equal(load("absent"), GW_E_NOT_FOUND);
	assert_int_equal(load("absent/key"), GW_E_NOT_FOUND);
	assert_int_equal(symlink("absent", "dangling"), 0);
	assert_int_equal(load("dangling"), GW_E_NOT_FOUND);
	assert_int_equal(load("."), GW_E_FORMAT);
	assert_int_equal(mkfifo("fifo", 0600), 0); /* nor does it wait for a writer */
	assert_int_equal(load("fifo"), GW_E_FORMAT);
	assert_int_equal(symlink("loop", "loop"), 0);
	assert_int_equal(load("loop"), GW_E_IO);
	assert_int_equal(errno, ELOOP);
	memset(garbage, 'x', sizeof(garbage));
	write_file("garbage", garbage, sizeof(garbage), 0600);
	assert_int_equal(load("garbage"), GW_E_FORMAT);
	assert_int_equal(load("garbage/key"), GW_E_IO);
	assert_int_equal(errno, ENOTDIR);
	memset(garbage, 0, sizeof(garbage));
	write_file("garbage", garbage, sizeof(garbage), 0600);
	assert_int_equal(load("garbage"), GW_E_FORMAT);
}

static void created_file_is_private_and_loads(void **state)
{
	static const mode_t masks[] = { 0, 022, 027, 077 };

	(void)state;
	assert_int_equal(mkdir("sub", 0700), 0);
	for (size_t i = 0; i < COUNT(masks); i++) {
		const char *path = i % 2 ? "./sub/key" : "key";
		struct identity id = fresh(), back;
		mode_t old = umask(masks[i]);
		struct stat st;
		int rv = identity_create(&id, path);

		umask(old);
		assert_int_equal(rv, 0);
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_mode & 07777, 0600);
		assert_int_equal(st.st_nlink, 1); /* the name it was written under is gone */
		assert_int_equal(identity_load(&back, path), 0);
		assert_memory_equal(&back, &id, sizeof(id));
		unlink(path);
	}
	assert_int_equal(count_files(), 1);
	assert_int_equal(rmdir("sub"), 0);
}

static void nothing_is_overwritten(void **state)
{
	static const char TEXT[] = "precious";
	struct identity id = fresh();
	char back[64];

	(void)state;
	write_file("file", TEXT, sizeof(TEXT), 0644);
	write_file("empty", TEXT, 0, 0600);
	assert_int_equal(mkdir("directory", 0700), 0);
	assert_int_equal(symlink("absent", "dangling"), 0);
	assert_int_equal(symlink("file", "link"), 0);
	assert_int_equal(identity_create(&id, "file"), GW_E_EXISTS);
	assert_int_equal(errno, EEXIST);
	assert_int_equal(identity_create(&id, "empty"), GW_E_EXISTS);
	assert_int_equal(identity_create(&id, "directory"), GW_E_EXISTS);
	assert_int_equal(identity_create(&id, "dangling"), GW_E_EXISTS);
	assert_int_equal(identity_create(&id, "link"), GW_E_EXISTS);
	assert_int_equal(read_file("file", back, sizeof(back)), sizeof(TEXT));
	assert_string_equal(back, TEXT);
	assert_int_equal(read_file("empty", back, sizeof(back)), 0);
	assert_int_equal(access("absent", F_OK), -1);
	assert_int_equal(count_files(), 5);
	rmdir("directory");
}

static void create_needs_its_directory(void **state)
{
	struct identity id = fresh();

	(void)state;
	assert_int_equal(identity_create(&id, "absent/key"), GW_E_IO);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(count_files(), 0);
}

/* In a child that is not root: what the system refuses.  Returns what the child returned. */
static int as_nobody(int (*function)(void))
{
	enum { NOBODY = 65534, CANNOT = 99 };
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		if (geteuid() == 0 &&
		    (setgroups(0, NULL) < 0 || setgid(NOBODY) < 0 || setuid(NOBODY) < 0))
			_exit(CANNOT);
		_exit(-function());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == CANNOT)
		skip();
	return -WEXITSTATUS(status);
}

static int load_key(void)
{
	struct identity id;

	return identity_load(&id, "key");
}

static int create_other(void)
{
	struct identity id = fresh();

	return identity_create(&id, "other");
}

static int load_or_create_key(void)
{
	struct identity id;

	return identity_load_or_create(&id, "key");
}

static int load_or_create_other(void)
{
	struct identity id;

	return identity_load_or_create(&id, "other");
}

static void refusals_of_the_system_are_told(void **state)
{
	int results[4];

	(void)state;
	write_file("key", RFC8410_V1, strlen(RFC8410_V1), 0);
	assert_int_equal(chmod(".", 0555), 0);
	results[0] = as_nobody(load_key);
	results[1] = as_nobody(create_other);
	results[2] = as_nobody(load_or_create_key);
	results[3] = as_nobody(load_or_create_other);
	assert_int_equal(chmod(".", 0700), 0);
	for (size_t i = 0; i < COUNT(results); i++)
		assert_int_equal(results[i], GW_E_PERMISSION);
	assert_int_equal(count_files(), 1);
}

/* --- load or create --- */

static void first_call_creates_and_the_second_loads(void **state)
{
	struct identity a, b;

	(void)state;
	assert_int_equal(identity_load_or_create(&a, "key"), 0);
	assert_int_equal(identity_load_or_create(&b, "key"), 0);
	assert_memory_equal(&a, &b, sizeof(a));
	assert_int_equal(count_files(), 1);
}

static void damaged_key_is_not_replaced(void **state)
{
	struct identity before, id;
	char text[300];

	(void)state;
	memset(&before, 0xa5, sizeof(before));
	memcpy(&id, &before, sizeof(id));
	write_file("key", RFC8410_V1, 60, 0600);
	assert_int_equal(identity_load_or_create(&id, "key"), GW_E_LENGTH);
	assert_int_equal(read_file("key", text, sizeof(text)), 60);
	write_file("key", RFC8410_V1, strlen(RFC8410_V1), 0644);
	assert_int_equal(identity_load_or_create(&id, "key"), GW_E_PERMISSION);
	assert_int_equal(identity_load_or_create(&id, "."), GW_E_FORMAT);
	assert_int_equal(identity_load_or_create(&id, "absent/key"), GW_E_IO);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(count_files(), 1);
	assert_memory_equal(&id, &before, sizeof(id));
}

struct outcome {
	int rv;
	struct identity id;
};

/* Wait for the others, take part, tell. */
static void race(int gate, int results)
{
	struct outcome o = { 0 };
	char byte;

	(void)!read(gate, &byte, 1); /* ends when the parent closes its side */
	o.rv = identity_load_or_create(&o.id, "key");
	_exit(write(results, &o, sizeof(o)) == sizeof(o) ? 0 : 1);
}

static void processes_that_race_get_one_key(void **state)
{
	enum { ROUNDS = 12, RACERS = 8 };

	(void)state;
	for (size_t round = 0; round < ROUNDS; round++) {
		struct outcome o, first = { 0 };
		struct identity final;
		int gate[2], results[2];

		unlink("key");
		assert_int_equal(pipe(gate), 0);
		assert_int_equal(pipe(results), 0);
		for (size_t i = 0; i < RACERS; i++) {
			pid_t pid = fork();

			assert_true(pid >= 0);
			if (pid == 0) {
				close(gate[1]);
				race(gate[0], results[1]);
			}
		}
		close(gate[0]);
		close(gate[1]);
		close(results[1]);
		for (size_t i = 0; i < RACERS; i++) {
			assert_int_equal(read(results[0], &o, sizeof(o)), sizeof(o));
			assert_int_equal(o.rv, 0);
			if (i == 0)
				first = o;
			assert_memory_equal(&o.id, &first.id, sizeof(o.id));
		}
		close(results[0]);
		while (wait(NULL) > 0)
			;
		assert_int_equal(identity_load(&final, "key"), 0);
		assert_memory_equal(&final, &first.id, sizeof(final));
		assert_int_equal(count_files(), 1);
	}
}

/* --- running --- */

static int empty_directory(void **state)
{
	DIR *dir = opendir(".");
	struct dirent *entry;

	(void)state;
	if (!dir)
		return -1;
	while ((entry = readdir(dir)) != NULL)
		if (unlink(entry->d_name) < 0)
			(void)rmdir(entry->d_name);
	closedir(dir);
	return 0;
}

static int enter(void **state)
{
	(void)state;
	have_openssl = system("openssl version >/dev/null 2>&1") == 0;
	return crypto_init() < 0 || !mkdtemp(directory) ? -1 : chdir(directory);
}

static int leave(void **state)
{
	empty_directory(state);
	return chdir("/") < 0 ? -1 : rmdir(directory);
}

/* --- memory --- */

/* What /proc/self/status says of locked memory, in KiB. */
static long locked_kib(void)
{
	FILE *f = fopen("/proc/self/status", "r");
	char line[256];
	long kib = -1;

	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "VmLck: %ld", &kib) == 1)
			break;
	fclose(f);
	return kib;
}

static bool may_lock(void)
{
	struct rlimit limit;

	return getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur >= 65536;
}

static void memory_of_a_key_is_locked(void **state)
{
	long before = locked_kib();
	struct identity *id;

	(void)state;
	if (!may_lock())
		skip();
	id = identity_new();
	assert_non_null(id);
	assert_true(locked_kib() > before);
	identity_generate(id);
	identity_free(id);
	assert_int_equal(locked_kib(), before);
	identity_free(NULL);
}

/* Signals that end a child which touches `id` after its end, or after it was freed. */
static int signal_of(struct identity *id, bool freed)
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		signal(SIGSEGV, SIG_DFL); /* cmocka has a handler */
		signal(SIGABRT, SIG_DFL);
		if (freed) {
			identity_free(id);
			_exit(*(volatile uint8_t *)id->seed);
		}
		_exit(*((volatile uint8_t *)id + sizeof(*id)));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void memory_of_a_key_is_fenced(void **state)
{
	struct identity *id = identity_new();

	(void)state;
	assert_int_equal(signal_of(id, false), SIGSEGV);
	assert_int_equal(signal_of(id, true), SIGSEGV);
	identity_free(id);
}

/* Where nothing may be locked, a key is kept all the same. */
static void limit_of_locked_memory_is_no_end(void **state)
{
	struct rlimit none = { 0, 0 };
	int status;
	pid_t pid = fork();

	(void)state;
	assert_true(pid >= 0);
	if (pid == 0) {
		struct identity *id;

		setrlimit(RLIMIT_MEMLOCK, &none);
		id = identity_new();
		if (id)
			identity_generate(id);
		identity_free(id);
		_exit(!id);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(key_follows_from_the_seed, empty_directory),
		cmocka_unit_test_setup(vectors_of_rfc8032, empty_directory),
		cmocka_unit_test_setup(signature_holds_for_key_context_and_message_only,
				       empty_directory),
		cmocka_unit_test_setup(any_length_up_to_the_limit_is_signed, empty_directory),
		cmocka_unit_test_setup(signature_is_not_malleable, empty_directory),
		cmocka_unit_test_setup(key_of_small_order_signs_nothing, empty_directory),
		cmocka_unit_test_setup(openssl_verifies_our_signature, empty_directory),
		cmocka_unit_test_setup(examples_of_rfc8410_load, empty_directory),
		cmocka_unit_test_setup(what_we_write_we_read, empty_directory),
		cmocka_unit_test_setup(layout_of_the_text_does_not_matter, empty_directory),
		cmocka_unit_test_setup(malformed_text_is_refused, empty_directory),
		cmocka_unit_test_setup(every_foreign_byte_in_the_text_is_refused, empty_directory),
		cmocka_unit_test_setup(every_truncation_is_told_as_such, empty_directory),
		cmocka_unit_test_setup(shortened_or_longer_key_is_refused, empty_directory),
		cmocka_unit_test_setup(every_change_of_the_header_is_refused, empty_directory),
		cmocka_unit_test_setup(shortened_version_2_is_refused, empty_directory),
		cmocka_unit_test_setup(long_form_of_the_length_is_refused, empty_directory),
		cmocka_unit_test_setup(keys_of_openssl_load, empty_directory),
		cmocka_unit_test_setup(openssl_reads_our_keys, empty_directory),
		cmocka_unit_test_setup(other_kinds_of_keys_are_told_as_such, empty_directory),
		cmocka_unit_test_setup(files_open_to_others_are_refused, empty_directory),
		cmocka_unit_test_setup(what_is_no_key_file_is_refused, empty_directory),
		cmocka_unit_test_setup(created_file_is_private_and_loads, empty_directory),
		cmocka_unit_test_setup(nothing_is_overwritten, empty_directory),
		cmocka_unit_test_setup(create_needs_its_directory, empty_directory),
		cmocka_unit_test_setup(refusals_of_the_system_are_told, empty_directory),
		cmocka_unit_test_setup(first_call_creates_and_the_second_loads, empty_directory),
		cmocka_unit_test_setup(damaged_key_is_not_replaced, empty_directory),
		cmocka_unit_test_setup(processes_that_race_get_one_key, empty_directory),
		cmocka_unit_test(memory_of_a_key_is_locked),
		cmocka_unit_test(memory_of_a_key_is_fenced),
		cmocka_unit_test(limit_of_locked_memory_is_no_end),
	};

	return cmocka_run_group_tests(tests, enter, leave);
}
