/* io/proxy.h - which HTTP proxy leads to a host, and the credentials for it.
 *
 * From the environment: HTTPS_PROXY (or https_proxy), NO_PROXY (or no_proxy), and
 * GODWIT_PROXY_AUTH_FILE, which names a file with "user:password" in its first line. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_IO_PROXY_H
#define GODWIT_IO_PROXY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/http.h"

enum {
	PROXY_AUTH_MAX = 512,
	PROXY_BASIC_MAX = 6 + (PROXY_AUTH_MAX + 2) / 3 * 4 + 1,
	PROXY_TEXT_MAX = 256,
};

/* host "": no proxy.  Holds a secret: proxy_clear() wipes it. */
struct proxy {
	char host[HTTP_HOST_MAX]; /* IPv6 without brackets */
	uint16_t port;
	char auth[PROXY_AUTH_MAX]; /* "user:password"; "": none */
};

/* Where the settings come from.  NULL: the environment; "": there is none. */
struct proxy_settings {
	const char *url, *no_proxy, *auth_file;
};

/* "[http://][USER[:PASSWORD]@]HOST[:PORT][/]", user and password percent-encoded, port 80 if none
 * is given.  GW_E_TYPE: https or socks, which we do not speak; GW_E_FORMAT. */
int proxy_parse(struct proxy *out, const char *url);
void proxy_clear(struct proxy *p);

/* Is the host in the list of those that are reached without a proxy?  Names (with their
 * subdomains, with or without a leading dot), addresses, networks ("10.0.0.0/8"), "*"; a port may
 * follow a name or an address. */
bool proxy_is_bypassed(const char *no_proxy, const char *host, uint16_t port);

/* What holds for that host now: files are read anew at each call.  GW_E_INVALID: the settings are
 * wrong; `text` says why in one line without the credentials. */
int proxy_find(struct proxy *out, const struct proxy_settings *s, const char *host, uint16_t port,
	       char text[PROXY_TEXT_MAX]);

/* "Basic dXNlcjpwYXNz", as Proxy-Authorization wants it; returns `out`.  Wipe it after use. */
const char *proxy_basic(const struct proxy *p, char out[PROXY_BASIC_MAX]);

#endif
