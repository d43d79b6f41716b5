/* crypto/identity.h - the node's permanent Ed25519 key pair.
 *
 * On disk: PKCS#8 PEM (RFC 5958, RFC 8410), the file `openssl genpkey -algorithm ed25519`
 * makes, mode 0600. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_CRYPTO_IDENTITY_H
#define GODWIT_CRYPTO_IDENTITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { KEY_SIZE = 32, SEED_SIZE = 32, IDENTITY_PEM_MAX = 256 };

struct identity {
	uint8_t seed[SEED_SIZE]; /* secret: identity_wipe() when done */
	uint8_t key[KEY_SIZE];   /* public; the node's address */
};

/* Call once before anything else here; GW_E_CRYPTO when libsodium cannot start. */
int crypto_init(void);

void identity_from_seed(struct identity *out, const uint8_t seed[SEED_SIZE]);
void identity_generate(struct identity *out);
void identity_wipe(struct identity *id);

/* For as long as a process needs its key: memory between guard pages, locked (never swapped out), left
 * out of core dumps, wiped when it is freed.  Not locked when the limit of locked memory (ulimit -l)
 * is used up; the rest holds.  NULL: out of memory. */
struct identity *identity_new(void);
void identity_free(struct identity *id);
/* The same for other secrets: zeroed. */
void *secret_new(size_t size);
void secret_free(void *secret);

/* Ed25519 over context || message, SIGNED_MAX bytes together; every use has its own context. */
enum { SIGNATURE_SIZE = 64, SIGNED_MAX = 1100 };
void identity_sign(const struct identity *id, const char *context, const uint8_t *message,
		   size_t len, uint8_t out[SIGNATURE_SIZE]);
/* For TLS alone, which puts a context of its own in front (RFC 8446, section 4.4.3). */
void identity_sign_bare(const struct identity *id, const uint8_t *message, size_t len,
			uint8_t out[SIGNATURE_SIZE]);
bool signature_valid(const uint8_t key[KEY_SIZE], const char *context, const uint8_t *message,
		     size_t len, const uint8_t signature[SIGNATURE_SIZE]);

/* PEM text (one PRIVATE KEY block, surrounding text ignored as openssl does).
 * GW_E_FORMAT: no or damaged PEM; GW_E_LENGTH: empty or truncated; GW_E_TYPE: another key type
 * (RSA, EC, encrypted, ...). */
int identity_from_pem(struct identity *out, const char *pem, size_t len);
/* `out` has IDENTITY_PEM_MAX bytes; NUL-terminated.  Wipe it after use. */
void identity_to_pem(const struct identity *id, char *out);

/* Read `path`.  GW_E_NOT_FOUND, GW_E_PERMISSION (group or others may read it, or not ours to
 * read), GW_E_FORMAT (no regular file), GW_E_IO, or as identity_from_pem(). */
int identity_load(struct identity *out, const char *path);
/* Create `path` 0600, atomically (written beside it, then linked): never overwrites
 * (GW_E_EXISTS).  GW_E_PERMISSION (of the directory), GW_E_IO; errno tells. */
int identity_create(const struct identity *id, const char *path);
/* Load, or generate and create; when two processes race, both get the winner's key. */
int identity_load_or_create(struct identity *out, const char *path);

#endif
