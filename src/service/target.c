/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "service/service.h"

static int refuse(const char **why, const char *text, int error)
{
	*why = text;
	return error;
}

static bool parse_port(const char *text, bool zero_allowed, uint16_t *out)
{
	unsigned long value = 0;

	if (!*text)
		return false;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return false;
		value = value * 10 + (unsigned long)(*text - '0');
		if (value > 65535)
			return false;
	}
	*out = (uint16_t)value;
	return value > 0 || zero_allowed;
}

static int parse_unix(const char *path, struct target *t, const char **why)
{
	if (!*path)
		return refuse(why, "a path is missing after unix:", GODWIT_E_FORMAT);
	if (strlen(path) >= sizeof(t->path))
		return refuse(why, "a socket path has at most 107 characters", GODWIT_E_LENGTH);
	t->kind = TARGET_UNIX;
	memcpy(t->path, path, strlen(path) + 1);
	return 0;
}

/* HOST:PORT or [V6]:PORT. */
static int parse_inet(const char *text, bool zero_allowed, struct target *t, const char **why)
{
	const char *colon = strrchr(text, ':'), *end = colon;

	if (!colon && t->kind == TARGET_UDP)
		return refuse(why, "it is written udp:HOST:PORT", GODWIT_E_FORMAT);
	if (!colon)
		return refuse(why, "it has no port", GODWIT_E_FORMAT);
	if (*text == '[') {
		text++;
		end = strchr(text, ']');
		if (!end || end + 1 != colon)
			return refuse(why, "an IPv6 address is written [ADDRESS]:PORT",
				      GODWIT_E_FORMAT);
	} else if (memchr(text, ':', (size_t)(colon - text))) {
		return refuse(why, "an IPv6 address is written [ADDRESS]:PORT", GODWIT_E_FORMAT);
	}
	if (end == text || (size_t)(end - text) >= sizeof(t->host))
		return refuse(why, "the host is missing or too long", GODWIT_E_FORMAT);
	if (!parse_port(colon + 1, zero_allowed, &t->port))
		return refuse(why, "a port is a number from 1 to 65535", GODWIT_E_INVALID);
	memcpy(t->host, text, (size_t)(end - text));
	t->host[end - text] = '\0';
	return 0;
}

static int parse_bare_port(const char *text, bool zero_allowed, struct target *t, const char **why)
{
	memcpy(t->host, "127.0.0.1", 10);
	return parse_port(text, zero_allowed, &t->port)
		       ? 0
		       : refuse(why, "a port is a number from 1 to 65535", GODWIT_E_INVALID);
}

static int parse(const char *text, bool zero_allowed, struct target *out, const char **why)
{
	bool udp = strncmp(text, "udp:", 4) == 0;
	struct target t = { .kind = udp ? TARGET_UDP : TARGET_TCP };
	int rv;

	if (strncmp(text, "unix:", 5) == 0)
		rv = parse_unix(text + 5, &t, why);
	else if (udp || strncmp(text, "tcp:", 4) == 0)
		rv = parse_inet(text + 4, zero_allowed, &t, why);
	else if (strchr(text, ':'))
		rv = parse_inet(text, zero_allowed, &t, why);
	else
		rv = parse_bare_port(text, zero_allowed, &t, why);
	if (rv == 0)
		*out = t;
	return rv;
}

int target_parse(const char *text, struct target *out, const char **why)
{
	return parse(text, false, out, why);
}

int listen_parse(const char *text, struct target *out, const char **why)
{
	return parse(text, true, out, why);
}

void target_format(const struct target *t, char out[TARGET_TEXT_MAX])
{
	const char *kind = t->kind == TARGET_UDP ? "udp" : "tcp";

	if (t->kind == TARGET_UNIX)
		snprintf(out, TARGET_TEXT_MAX, "unix:%s", t->path);
	else
		snprintf(out, TARGET_TEXT_MAX, strchr(t->host, ':') ? "%s:[%s]:%u" : "%s:%s:%u",
			 kind, t->host, t->port);
}
