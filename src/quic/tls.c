/* SPDX-License-Identifier: Apache-2.0 */
#include "quic/tls.h"

#include <gnutls/abstract.h>
#include <string.h>

#include "base/error.h"
#include "base/list.h"
#include "quic/quic.h"

static const char PRIORITY[] =
	"NONE:+VERS-TLS1.3:+AEAD:+AES-128-GCM:+AES-256-GCM:+SHA256:+SHA384:+ECDHE-ECDSA:+ECDHE-RSA:"
	"+GROUP-X25519:+SIGN-EDDSA-ED25519:+CTYPE-CLI-RAWPK:+CTYPE-SRV-RAWPK:"
	"%DISABLE_TLS13_COMPAT_MODE";

/* RFC 8410: SubjectPublicKeyInfo of an Ed25519 key. */
static const uint8_t SPKI_PREFIX[12] = { 0x30, 0x2a, 0x30, 0x05, 0x06, 0x03,
					 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00 };
enum { SPKI_SIZE = sizeof(SPKI_PREFIX) + KEY_SIZE, KEY_BITS = 256 };

static int verify_callback(gnutls_session_t session)
{
	ngtcp2_crypto_conn_ref *ref = gnutls_session_get_ptr(session);
	struct tls_session *s = container_of(ref, struct tls_session, ref);
	unsigned count = 0;
	const gnutls_datum_t *certificate = gnutls_certificate_get_peers(session, &count);

	if (!certificate || count != 1 ||
	    gnutls_certificate_type_get2(session, GNUTLS_CTYPE_PEERS) != GNUTLS_CRT_RAWPK ||
	    certificate->size != SPKI_SIZE ||
	    memcmp(certificate->data, SPKI_PREFIX, sizeof(SPKI_PREFIX)) != 0)
		return GNUTLS_E_CERTIFICATE_ERROR;
	memcpy(s->key, certificate->data + sizeof(SPKI_PREFIX), KEY_SIZE);
	s->key_known = true;
	return s->accept(s) ? 0 : GNUTLS_E_CERTIFICATE_ERROR;
}

/* --- our key, which GnuTLS does not get --- */

static int sign(gnutls_privkey_t key, gnutls_sign_algorithm_t algorithm, void *user, unsigned flags,
		const gnutls_datum_t *data, gnutls_datum_t *out)
{
	const struct identity *identity = user;

	(void)key;
	(void)flags;
	if (algorithm != GNUTLS_SIGN_EDDSA_ED25519)
		return GNUTLS_E_UNSUPPORTED_SIGNATURE_ALGORITHM;
	out->data = gnutls_malloc(SIGNATURE_SIZE);
	if (!out->data)
		return GNUTLS_E_MEMORY_ERROR;
	out->size = SIGNATURE_SIZE;
	identity_sign_bare(identity, data->data, data->size, out->data);
	return 0;
}

static int describe(gnutls_privkey_t key, unsigned flags, void *user)
{
	(void)key;
	(void)user;
	if (flags & GNUTLS_PRIVKEY_INFO_PK_ALGO)
		return GNUTLS_PK_EDDSA_ED25519;
	if (flags & GNUTLS_PRIVKEY_INFO_PK_ALGO_BITS)
		return KEY_BITS;
	if (flags & GNUTLS_PRIVKEY_INFO_HAVE_SIGN_ALGO)
		return GNUTLS_FLAGS_TO_SIGN_ALGO(flags) == GNUTLS_SIGN_EDDSA_ED25519;
	return -1;
}

static int set_key(struct tls_context *ctx, const struct identity *identity)
{
	uint8_t spki[SPKI_SIZE];
	const gnutls_datum_t public = { spki, sizeof(spki) };
	gnutls_privkey_t key;
	gnutls_pcert_st pcert;

	memcpy(spki, SPKI_PREFIX, sizeof(SPKI_PREFIX));
	memcpy(spki + sizeof(SPKI_PREFIX), identity->key, KEY_SIZE);
	if (gnutls_privkey_init(&key) < 0)
		return GW_E_CRYPTO;
	if (gnutls_privkey_import_ext4(key, (void *)(uintptr_t)identity, sign, NULL, NULL, NULL,
				       describe, 0) < 0 ||
	    gnutls_pcert_import_rawpk_raw(&pcert, &public, GNUTLS_X509_FMT_DER,
					  GNUTLS_KEY_DIGITAL_SIGNATURE, 0) < 0)
		goto free_key;
	/* They are a pair: the check would cost a signature and its verification. */
	gnutls_certificate_set_flags(ctx->credentials, GNUTLS_CERTIFICATE_SKIP_KEY_CERT_MATCH);
	if (gnutls_certificate_set_key(ctx->credentials, NULL, 0, &pcert, 1, key) >= 0)
		return 0; /* both belong to the credentials now */
	gnutls_pcert_deinit(&pcert);
free_key:
	gnutls_privkey_deinit(key);
	return GW_E_CRYPTO;
}

int tls_init(struct tls_context *ctx, const struct identity *identity)
{
	if (gnutls_certificate_allocate_credentials(&ctx->credentials) < 0)
		return GW_E_CRYPTO;
	if (gnutls_priority_init(&ctx->priority, PRIORITY, NULL) < 0 ||
	    set_key(ctx, identity) < 0) {
		tls_clear(ctx);
		return GW_E_CRYPTO;
	}
	gnutls_certificate_set_verify_function(ctx->credentials, verify_callback);
	return 0;
}

void tls_clear(struct tls_context *ctx)
{
	if (ctx->priority)
		gnutls_priority_deinit(ctx->priority);
	if (ctx->credentials)
		gnutls_certificate_free_credentials(ctx->credentials);
	*ctx = (struct tls_context){ 0 };
}

int tls_session_new(struct tls_session *s, const struct tls_context *ctx, bool client,
		    const char *alpn, ngtcp2_conn *quic, ngtcp2_crypto_get_conn get_conn,
		    void *user)
{
	const gnutls_datum_t protocol = { (unsigned char *)(uintptr_t)alpn,
					  (unsigned)strlen(alpn) };
	unsigned flags = GNUTLS_ENABLE_RAWPK | GNUTLS_NO_AUTO_SEND_TICKET | GNUTLS_NO_TICKETS |
			 (client ? GNUTLS_CLIENT : GNUTLS_SERVER);

	if (gnutls_init(&s->session, flags) < 0)
		return GW_E_CRYPTO;
	if ((client ? ngtcp2_crypto_gnutls_configure_client_session(s->session)
		    : ngtcp2_crypto_gnutls_configure_server_session(s->session)) != 0 ||
	    gnutls_priority_set(s->session, ctx->priority) < 0 ||
	    gnutls_credentials_set(s->session, GNUTLS_CRD_CERTIFICATE, ctx->credentials) < 0 ||
	    gnutls_alpn_set_protocols(s->session, &protocol, 1, GNUTLS_ALPN_MANDATORY) < 0) {
		tls_session_free(s);
		return GW_E_CRYPTO;
	}
	if (!client)
		gnutls_certificate_server_set_request(s->session, GNUTLS_CERT_REQUIRE);
	s->ref.get_conn = get_conn;
	s->ref.user_data = user;
	gnutls_session_set_ptr(s->session, &s->ref);
	ngtcp2_conn_set_tls_native_handle(quic, s->session);
	return 0;
}

void tls_session_free(struct tls_session *s)
{
	if (s->session)
		gnutls_deinit(s->session);
	s->session = NULL;
}
