// SPDX-License-Identifier: Apache-2.0
#include <gnutls/abstract.h>
#include <gnutls/crypto.h>
#include <gnutls/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "base/error.h"
#include "io/tls_link_internal.h"

#define DAY ((time_t)86400)

enum { DAYS = 3650 };

/* --- the self-signed certificate --- */

static int set_name(gnutls_x509_crt_t certificate, const char *host)
{
	struct addr a;
	int rv = gnutls_x509_crt_set_dn_by_oid(certificate, GNUTLS_OID_X520_COMMON_NAME, 0, host,
					       (unsigned)strlen(host));

	if (rv < 0)
		return rv;
	if (addr_parse_host(&a, host, 0) == 0)
		return gnutls_x509_crt_set_subject_alt_name(certificate, GNUTLS_SAN_IPADDRESS, a.ip,
							    a.family == ADDR_V4 ? 4 : 16,
							    GNUTLS_FSAN_SET);
	return gnutls_x509_crt_set_subject_alt_name(certificate, GNUTLS_SAN_DNSNAME, host,
						    (unsigned)strlen(host), GNUTLS_FSAN_SET);
}

static int fill(gnutls_x509_crt_t certificate, gnutls_x509_privkey_t key, const char *host)
{
	time_t now = (time_t)(loop_wall_clock_ms() / 1000);
	uint8_t serial[16];
	int rv = gnutls_rnd(GNUTLS_RND_NONCE, serial, sizeof(serial));

	serial[0] = (serial[0] & 0x7f) | 0x40; /* positive, and always of one length */
	if (rv >= 0)
		rv = gnutls_x509_crt_set_version(certificate, 3);
	if (rv >= 0)
		rv = gnutls_x509_crt_set_serial(certificate, serial, sizeof(serial));
	if (rv >= 0)
		rv = gnutls_x509_crt_set_activation_time(certificate, now - DAY);
	if (rv >= 0)
		rv = gnutls_x509_crt_set_expiration_time(certificate, now + DAYS * DAY);
	if (rv >= 0)
		rv = set_name(certificate, host);
	if (rv >= 0)
		rv = gnutls_x509_crt_set_key_usage(certificate, GNUTLS_KEY_DIGITAL_SIGNATURE);
	if (rv >= 0)
		rv = gnutls_x509_crt_set_key_purpose_oid(certificate, GNUTLS_KP_TLS_WWW_SERVER, 0);
	if (rv >= 0)
		rv = gnutls_x509_crt_set_key(certificate, key);
	if (rv >= 0)
		rv = gnutls_x509_crt_sign2(certificate, certificate, key, GNUTLS_DIG_SHA256, 0);
	return rv;
}

static int make_certificate(struct tls_server *s, const char *host)
{
	gnutls_x509_privkey_t key = NULL;
	gnutls_x509_crt_t certificate = NULL;
	int rv = gnutls_x509_privkey_init(&key);

	if (rv >= 0)
		rv = gnutls_x509_crt_init(&certificate);
	if (rv >= 0)
		rv = gnutls_x509_privkey_generate(
			key, GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0);
	if (rv >= 0)
		rv = fill(certificate, key, host);
	if (rv >= 0)
		rv = gnutls_certificate_set_x509_key(s->credentials, &certificate, 1, key);
	if (certificate)
		gnutls_x509_crt_deinit(certificate);
	if (key)
		gnutls_x509_privkey_deinit(key);
	return rv;
}

/* --- a server --- */

static int load(struct tls_server *s, const struct tls_server_config *c,
		char text[TLS_LINK_TEXT_MAX])
{
	const char *host = c->host && *c->host ? c->host : "localhost";
	int rv;

	if (!c->certificate_file && !c->key_file) {
		rv = make_certificate(s, host);
		if (rv < 0)
			snprintf(text, TLS_LINK_TEXT_MAX, "no certificate for %.64s: %s", host,
				 gnutls_strerror(rv));
		return rv < 0 ? GW_E_CRYPTO : 0;
	}
	if (!c->certificate_file || !c->key_file) {
		snprintf(text, TLS_LINK_TEXT_MAX, "a certificate and its key belong together");
		return GW_E_INVALID;
	}
	rv = gnutls_certificate_set_x509_key_file(s->credentials, c->certificate_file, c->key_file,
						  GNUTLS_X509_FMT_PEM);
	if (rv < 0)
		snprintf(text, TLS_LINK_TEXT_MAX, "certificate %.128s, key %.128s: %s",
			 c->certificate_file, c->key_file, gnutls_strerror(rv));
	return rv < 0 ? GW_E_INVALID : 0;
}

int tls_server_new(struct tls_server **out, const struct tls_server_config *c,
		   char text[TLS_LINK_TEXT_MAX])
{
	struct tls_server *s = calloc(1, sizeof(*s));
	int error = GW_E_NOMEM;

	snprintf(text, TLS_LINK_TEXT_MAX, "out of memory");
	if (!s || gnutls_certificate_allocate_credentials(&s->credentials) < 0) {
		free(s);
		return error;
	}
	s->timeout = c->timeout;
	s->queue_limit = c->queue_limit;
	error = load(s, c, text);
	if (error)
		tls_server_free(s);
	else
		*out = s;
	return error;
}

void tls_server_free(struct tls_server *s)
{
	if (!s)
		return;
	gnutls_certificate_free_credentials(s->credentials);
	free(s);
}
