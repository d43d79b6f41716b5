/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/identity.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"

/* RFC 8410: PrivateKeyInfo of an Ed25519 seed; the last 32 bytes are the seed. */
static const uint8_t PREFIX_V1[16] = { 0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06,
				       0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20 };
static const char BEGIN[] = "-----BEGIN PRIVATE KEY-----";
static const char END[] = "-----END PRIVATE KEY-----";

enum { DER_SIZE = sizeof(PREFIX_V1) + SEED_SIZE, DER_MAX = 8192, FILE_MAX = 16384 };

int crypto_init(void)
{
	return sodium_init() < 0 ? GW_E_CRYPTO : 0;
}

void identity_from_seed(struct identity *out, const uint8_t seed[SEED_SIZE])
{
	uint8_t secret[crypto_sign_SECRETKEYBYTES];

	memmove(out->seed, seed, SEED_SIZE);
	crypto_sign_seed_keypair(out->key, secret, out->seed);
	sodium_memzero(secret, sizeof(secret));
}

void identity_generate(struct identity *out)
{
	uint8_t seed[SEED_SIZE];

	randombytes_buf(seed, sizeof(seed));
	identity_from_seed(out, seed);
	sodium_memzero(seed, sizeof(seed));
}

void identity_wipe(struct identity *id)
{
	sodium_memzero(id, sizeof(*id));
}

void *secret_new(size_t size)
{
	void *secret = sodium_malloc(size);

	if (secret)
		memset(secret, 0, size);
	return secret;
}

void secret_free(void *secret)
{
	sodium_free(secret);
}

struct identity *identity_new(void)
{
	return secret_new(sizeof(struct identity));
}

void identity_free(struct identity *id)
{
	secret_free(id);
}

/* --- signatures --- */

static size_t with_context(uint8_t out[SIGNED_MAX], const char *context, const uint8_t *message,
			   size_t len)
{
	size_t prefix = strlen(context);

	assert(prefix + len <= SIGNED_MAX);
	memcpy(out, context, prefix);
	memcpy(out + prefix, message, len);
	return prefix + len;
}

void identity_sign_bare(const struct identity *id, const uint8_t *message, size_t len,
			uint8_t out[SIGNATURE_SIZE])
{
	uint8_t secret[crypto_sign_SECRETKEYBYTES];

	memcpy(secret, id->seed, SEED_SIZE);
	memcpy(secret + SEED_SIZE, id->key, KEY_SIZE);
	crypto_sign_detached(out, NULL, message, len, secret);
	sodium_memzero(secret, sizeof(secret));
}

void identity_sign(const struct identity *id, const char *context, const uint8_t *message,
		   size_t len, uint8_t out[SIGNATURE_SIZE])
{
	uint8_t whole[SIGNED_MAX];

	len = with_context(whole, context, message, len);
	identity_sign_bare(id, whole, len, out);
}

bool signature_valid(const uint8_t key[KEY_SIZE], const char *context, const uint8_t *message,
		     size_t len, const uint8_t signature[SIGNATURE_SIZE])
{
	uint8_t whole[SIGNED_MAX];

	len = with_context(whole, context, message, len);
	return crypto_sign_verify_detached(signature, whole, len, key) == 0;
}

/* --- PKCS#8 --- */

/* The object identifier of Ed25519 where PKCS#8 has its algorithm; tells truncation from
 * another type. */
static bool is_ed25519(const uint8_t *der, size_t len)
{
	static const uint8_t OID[5] = { 0x06, 0x03, 0x2b, 0x65, 0x70 };

	return len >= 12 && memcmp(der + 7, OID, sizeof(OID)) == 0;
}

static int from_der(struct identity *out, const uint8_t *der, size_t len)
{
	/* Version 2 (RFC 5958) differs in its length and version, and appends the public key. */
	static const size_t FIXED = 5;
	uint8_t version;

	if (len < 2 || der[0] != 0x30)
		return GW_E_FORMAT;
	if (len >= 12 && !is_ed25519(der, len))
		return GW_E_TYPE;
	if (len < DER_SIZE || (der[1] < 0x80 && len < 2u + der[1]))
		return GW_E_LENGTH;
	version = der[4];
	if (der[1] >= 0x80 || der[1] != len - 2 || der[2] != 0x02 || der[3] != 0x01 ||
	    version > 1 || (version == 0 && len != DER_SIZE) ||
	    memcmp(der + FIXED, PREFIX_V1 + FIXED, sizeof(PREFIX_V1) - FIXED) != 0)
		return GW_E_FORMAT;
	identity_from_seed(out, der + sizeof(PREFIX_V1));
	return 0;
}

static const char *find(const char *text, size_t len, const char *what)
{
	return memmem(text, len, what, strlen(what));
}

static bool is_other_pem(const char *pem, size_t len)
{
	return find(pem, len, "-----BEGIN RSA PRIVATE KEY") ||
	       find(pem, len, "-----BEGIN EC PRIVATE KEY") ||
	       find(pem, len, "-----BEGIN ENCRYPTED PRIVATE KEY") ||
	       find(pem, len, "-----BEGIN OPENSSH PRIVATE KEY") ||
	       find(pem, len, "-----BEGIN PUBLIC KEY") || find(pem, len, "-----BEGIN CERTIFICATE");
}

/* sodium_base642bin() takes some bytes above ASCII for digits. */
static bool is_base64(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (text[i] == '\0' || !strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxy"
					       "z0123456789+/= \t\r\n",
					       text[i]))
			return false;
	return true;
}

int identity_from_pem(struct identity *out, const char *pem, size_t len)
{
	uint8_t der[DER_MAX];
	size_t der_len = 0;
	const char *begin = find(pem, len, BEGIN), *end, *stop;
	int rv;

	if (len < sizeof(BEGIN) - 1 && memcmp(pem, BEGIN, len) == 0)
		return GW_E_LENGTH;
	if (!begin)
		return is_other_pem(pem, len) ? GW_E_TYPE : GW_E_FORMAT;
	begin += sizeof(BEGIN) - 1;
	end = find(begin, len - (size_t)(begin - pem), END);
	if (!end)
		return GW_E_LENGTH;
	if (!is_base64(begin, (size_t)(end - begin)) ||
	    sodium_base642bin(der, sizeof(der), begin, (size_t)(end - begin), " \t\r\n", &der_len,
			      &stop, sodium_base64_VARIANT_ORIGINAL) != 0 ||
	    stop != end)
		rv = GW_E_FORMAT;
	else
		rv = from_der(out, der, der_len);
	sodium_memzero(der, sizeof(der));
	return rv;
}

void identity_to_pem(const struct identity *id, char *out)
{
	uint8_t der[DER_SIZE];
	char base64[sodium_base64_ENCODED_LEN(DER_SIZE, sodium_base64_VARIANT_ORIGINAL)];

	memcpy(der, PREFIX_V1, sizeof(PREFIX_V1));
	memcpy(der + sizeof(PREFIX_V1), id->seed, SEED_SIZE);
	sodium_bin2base64(base64, sizeof(base64), der, sizeof(der), sodium_base64_VARIANT_ORIGINAL);
	snprintf(out, IDENTITY_PEM_MAX, "%s\n%s\n%s\n", BEGIN, base64, END);
	sodium_memzero(der, sizeof(der));
	sodium_memzero(base64, sizeof(base64));
}

/* --- files --- */

static int open_private(const char *path, int *out)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0) {
		switch (errno) {
		case ENOENT:
			return GW_E_NOT_FOUND;
		case EACCES:
			return GW_E_PERMISSION;
		case ENXIO: /* a socket */
			return GW_E_FORMAT;
		default:
			return GW_E_IO;
		}
	}
	if (fstat(fd, &st) < 0) {
		close(fd);
		return GW_E_IO;
	}
	if (!S_ISREG(st.st_mode) || (st.st_mode & 077)) {
		close(fd);
		return S_ISREG(st.st_mode) ? GW_E_PERMISSION : GW_E_FORMAT;
	}
	*out = fd;
	return 0;
}

int identity_load(struct identity *out, const char *path)
{
	char text[FILE_MAX];
	size_t len = 0;
	ssize_t got = 1;
	int fd, rv = open_private(path, &fd);

	if (rv < 0)
		return rv;
	while (got > 0 && len < sizeof(text)) {
		got = read(fd, text + len, sizeof(text) - len);
		if (got < 0 && errno == EINTR)
			got = 1;
		else if (got > 0)
			len += (size_t)got;
	}
	close(fd);
	rv = got < 0 ? GW_E_IO : identity_from_pem(out, text, len);
	sodium_memzero(text, sizeof(text));
	return rv;
}

static int write_all(int fd, const char *data, size_t len)
{
	while (len > 0) {
		ssize_t put = write(fd, data, len);

		if (put < 0 && errno != EINTR)
			return GW_E_IO;
		if (put > 0) {
			data += put;
			len -= (size_t)put;
		}
	}
	return fsync(fd) < 0 ? GW_E_IO : 0;
}

static void sync_directory(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *dir = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
	int fd = dir ? open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

	if (fd >= 0) {
		(void)fsync(fd);
		close(fd);
	}
	free(dir);
}

/* Written beside its place and then linked there: a name never shows half a key, and never
 * replaces one. */
int identity_create(const struct identity *id, const char *path)
{
	char pem[IDENTITY_PEM_MAX], *temp;
	int fd, rv, error;

	if (asprintf(&temp, "%s.XXXXXX", path) < 0)
		return GW_E_NOMEM;
	fd = mkostemp(temp, O_CLOEXEC); /* mode 0600 */
	if (fd < 0) {
		rv = errno == EACCES || errno == EROFS ? GW_E_PERMISSION : GW_E_IO;
		error = errno;
		goto out;
	}
	identity_to_pem(id, pem);
	rv = write_all(fd, pem, strlen(pem));
	sodium_memzero(pem, sizeof(pem));
	error = errno;
	if (close(fd) < 0 && rv == 0) {
		rv = GW_E_IO;
		error = errno;
	}
	if (rv == 0 && link(temp, path) < 0) {
		rv = errno == EEXIST ? GW_E_EXISTS : GW_E_IO;
		error = errno;
	}
	unlink(temp);
	if (rv == 0)
		sync_directory(path);
out:
	free(temp);
	errno = error;
	return rv;
}

int identity_load_or_create(struct identity *out, const char *path)
{
	struct identity fresh;
	int rv = identity_load(out, path), error;

	if (rv != GW_E_NOT_FOUND)
		return rv;
	identity_generate(&fresh);
	rv = identity_create(&fresh, path);
	error = errno;
	if (rv == 0)
		*out = fresh;
	identity_wipe(&fresh);
	errno = error;
	return rv == GW_E_EXISTS ? identity_load(out, path) : rv;
}
