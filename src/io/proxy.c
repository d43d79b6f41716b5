// SPDX-License-Identifier: Apache-2.0
#include "io/proxy.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/addr.h"
#include "base/error.h"

enum { PORT_DEFAULT = 80 };

void proxy_clear(struct proxy *p)
{
	explicit_bzero(p, sizeof(*p));
}

/* --- the URL --- */

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* Percent-decode user info into a string; a user without password gets an empty one. */
static int decode_auth(char out[PROXY_AUTH_MAX], const char *at, size_t len)
{
	size_t n = 0;
	bool colon = memchr(at, ':', len) != NULL;

	for (size_t i = 0; i < len; i++) {
		int c = (unsigned char)at[i];

		if (c == '%') {
			int high = i + 2 < len ? hex_digit(at[i + 1]) : -1;
			int low = i + 2 < len ? hex_digit(at[i + 2]) : -1;

			if (high < 0 || low < 0)
				return GW_E_FORMAT;
			c = high * 16 + low;
			i += 2;
		}
		if (c == 0 || n + 1 + !colon >= PROXY_AUTH_MAX)
			return GW_E_FORMAT;
		out[n++] = (char)c;
	}
	if (!colon)
		out[n++] = ':';
	out[n] = 0;
	return 0;
}

static int parse_port(uint16_t *out, const char *at, size_t len)
{
	unsigned port = 0;

	if (len == 0 || len > 5)
		return GW_E_FORMAT;
	for (size_t i = 0; i < len; i++) {
		if (at[i] < '0' || at[i] > '9')
			return GW_E_FORMAT;
		port = port * 10 + (unsigned)(at[i] - '0');
	}
	if (port == 0 || port > UINT16_MAX)
		return GW_E_FORMAT;
	*out = (uint16_t)port;
	return 0;
}

/* HOST[:PORT] or [IPV6][:PORT]; the port stays when none is given. */
static int split_host(char host[HTTP_HOST_MAX], uint16_t *port, const char *at, size_t len)
{
	bool bracket = len > 0 && *at == '[';
	const char *end = bracket ? memchr(at, ']', len) : memchr(at, ':', len);
	const char *start = at + bracket, *rest;

	if (bracket && !end)
		return GW_E_FORMAT;
	if (!end)
		end = at + len;
	if (end - start >= HTTP_HOST_MAX || memchr(start, 0, (size_t)(end - start)))
		return GW_E_FORMAT;
	memcpy(host, start, (size_t)(end - start));
	host[end - start] = 0;
	if (!http_host_is_valid(host) || bracket != (strchr(host, ':') != NULL))
		return GW_E_FORMAT;
	rest = end + bracket;
	if (rest == at + len)
		return 0;
	return *rest == ':' ? parse_port(port, rest + 1, (size_t)(at + len - rest) - 1)
			    : GW_E_FORMAT;
}

static int parse_authority(struct proxy *p, const char *at, size_t len)
{
	const char *user_end = memrchr(at, '@', len);
	int error = 0;

	if (user_end) {
		size_t n = (size_t)(user_end - at);

		if (n > 0)
			error = decode_auth(p->auth, at, n);
		at += n + 1;
		len -= n + 1;
	}
	p->port = PORT_DEFAULT;
	return error ? error : split_host(p->host, &p->port, at, len);
}

static size_t scheme_len(const char *url)
{
	size_t n = strspn(url, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+.-");

	return strncmp(url + n, "://", 3) == 0 ? n : 0;
}

int proxy_parse(struct proxy *out, const char *url)
{
	size_t len = scheme_len(url);
	struct proxy p = { 0 };
	int error;

	if (len > 0) {
		if (len != 4 || strncasecmp(url, "http", 4) != 0)
			return GW_E_TYPE;
		url += len + 3;
	}
	len = strcspn(url, "/");
	if (url[len] && url[len + 1])
		return GW_E_FORMAT;
	error = parse_authority(&p, url, len);
	if (!error)
		*out = p;
	proxy_clear(&p);
	return error;
}

/* --- hosts that need none --- */

static bool same_bits(const uint8_t *a, const uint8_t *b, unsigned bits)
{
	unsigned left = bits % 8;
	size_t whole = bits / 8;

	if (memcmp(a, b, whole) != 0)
		return false;
	return left == 0 || ((a[whole] ^ b[whole]) >> (8 - left)) == 0;
}

static bool in_network(const char *network, const char *slash, const struct addr *a)
{
	char base[ADDR_TEXT_MAX];
	struct addr b;
	char *end;
	unsigned long bits = strtoul(slash + 1, &end, 10);

	if (end == slash + 1 || *end || (size_t)(slash - network) >= sizeof(base))
		return false;
	memcpy(base, network, (size_t)(slash - network));
	base[slash - network] = 0;
	if (addr_parse_host(&b, base, 0) != 0 || b.family != a->family)
		return false;
	return bits <= (a->family == ADDR_V4 ? 32 : 128) && same_bits(a->ip, b.ip, (unsigned)bits);
}

static bool is_in_domain(const char *host, const char *domain)
{
	size_t host_len = strlen(host), len;

	if (*domain == '.')
		domain++;
	len = strlen(domain);
	if (len > 0 && domain[len - 1] == '.')
		len--;
	if (host_len > 0 && host[host_len - 1] == '.')
		host_len--;
	if (len == 0 || len > host_len)
		return false;
	if (strncasecmp(host + host_len - len, domain, len) != 0)
		return false;
	return len == host_len || host[host_len - len - 1] == '.';
}

static bool entry_matches(const char *entry, const char *host, uint16_t port)
{
	const char *slash = strchr(entry, '/');
	char name[HTTP_HOST_MAX];
	uint16_t only = port;
	struct addr a, b;
	bool is_addr = addr_parse_host(&a, host, 0) == 0;

	if (strcmp(entry, "*") == 0)
		return true;
	if (slash)
		return is_addr && in_network(entry, slash, &a);
	if (addr_parse_host(&b, entry, 0) == 0)
		return is_addr && addr_same_host(&a, &b);
	if (split_host(name, &only, entry, strlen(entry)) != 0 || only != port)
		return false;
	if (addr_parse_host(&b, name, 0) == 0)
		return is_addr && addr_same_host(&a, &b);
	return !is_addr && is_in_domain(host, name);
}

bool proxy_is_bypassed(const char *no_proxy, const char *host, uint16_t port)
{
	static const char BETWEEN[] = ", \t\r\n";
	char entry[HTTP_AUTHORITY_MAX];

	for (const char *at = no_proxy + strspn(no_proxy, BETWEEN); *at;
	     at += strspn(at, BETWEEN)) {
		size_t len = strcspn(at, BETWEEN);

		if (len < sizeof(entry)) {
			memcpy(entry, at, len);
			entry[len] = 0;
			if (entry_matches(entry, host, port))
				return true;
		}
		at += len;
	}
	return false;
}

/* --- settings --- */

/* The setting itself, or the first of the variables that is not empty, or "". */
static const char *setting(const char *given, const char *first, const char *second)
{
	const char *value;

	if (given)
		return given;
	value = getenv(first);
	if ((!value || !*value) && second)
		value = getenv(second);
	return value ? value : "";
}

/* The first line of the file.  No stdio: its buffer would keep the secret. */
static int read_auth(char out[PROXY_AUTH_MAX], const char *path, char text[PROXY_TEXT_MAX])
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t n = fd < 0 ? -1 : read(fd, out, PROXY_AUTH_MAX);
	const char *why = n < 0 ? strerror(errno) : "not of the form user:password";
	size_t len = n < 0 ? 0 : (size_t)n;

	if (fd >= 0)
		close(fd);
	if (len == PROXY_AUTH_MAX && !memchr(out, '\n', len))
		len = 0; /* too long */
	else if (len == PROXY_AUTH_MAX)
		len--;
	out[len] = 0;
	out[strcspn(out, "\r\n")] = 0;
	if (strchr(out, ':'))
		return 0;
	explicit_bzero(out, PROXY_AUTH_MAX);
	snprintf(text, PROXY_TEXT_MAX, "proxy credentials in %.160s: %s", path, why);
	return GW_E_INVALID;
}

static int parse_setting(struct proxy *p, const char *url, char text[PROXY_TEXT_MAX])
{
	int error = proxy_parse(p, url);

	if (error == GW_E_TYPE)
		snprintf(text, PROXY_TEXT_MAX,
			 "HTTPS_PROXY: %.*s:// proxies are not supported, only http://",
			 scheme_len(url) < 16 ? (int)scheme_len(url) : 16, url);
	else if (error)
		snprintf(text, PROXY_TEXT_MAX,
			 "HTTPS_PROXY: not of the form http://user:password@host:port");
	return error ? GW_E_INVALID : 0;
}

int proxy_find(struct proxy *out, const struct proxy_settings *s, const char *host, uint16_t port,
	       char text[PROXY_TEXT_MAX])
{
	const char *url = setting(s->url, "HTTPS_PROXY", "https_proxy");
	const char *no_proxy = setting(s->no_proxy, "NO_PROXY", "no_proxy");
	const char *auth_file = setting(s->auth_file, "GODWIT_PROXY_AUTH_FILE", NULL);
	struct proxy p = { 0 };
	int error = 0;

	if (*url && !proxy_is_bypassed(no_proxy, host, port)) {
		error = parse_setting(&p, url, text);
		if (!error && *auth_file)
			error = read_auth(p.auth, auth_file, text);
	}
	if (!error)
		*out = p;
	proxy_clear(&p);
	return error;
}

/* --- Basic (RFC 7617) --- */

const char *proxy_basic(const struct proxy *p, char out[PROXY_BASIC_MAX])
{
	static const char DIGITS[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	size_t len = strlen(p->auth);
	char *o = out + sprintf(out, "Basic ");

	for (size_t i = 0; i < len; i += 3) {
		unsigned left = len - i < 3 ? (unsigned)(len - i) : 3;
		unsigned bits = (unsigned)(uint8_t)p->auth[i] << 16;

		if (left > 1)
			bits |= (unsigned)(uint8_t)p->auth[i + 1] << 8;
		if (left > 2)
			bits |= (uint8_t)p->auth[i + 2];
		*o++ = DIGITS[bits >> 18];
		*o++ = DIGITS[bits >> 12 & 63];
		*o++ = '=';
		*o++ = '=';
		if (left > 1)
			o[-2] = DIGITS[bits >> 6 & 63];
		if (left > 2)
			o[-1] = DIGITS[bits & 63];
	}
	*o = 0;
	return out;
}
