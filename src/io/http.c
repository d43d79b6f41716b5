// SPDX-License-Identifier: Apache-2.0
#include "io/http.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/error.h"

static const char VERSION[] = "HTTP/1.";
enum { VERSION_LEN = sizeof(VERSION) - 1 };

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_alnum(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_token(char c)
{
	return is_alnum(c) || (c && strchr("!#$%&'*+-.^_`|~", c));
}

static size_t token_len(struct http_text t)
{
	size_t n = 0;

	while (n < t.len && is_token(t.at[n]))
		n++;
	return n;
}

/* Lines end with CR LF, and there is no other control character but the tab. */
static bool is_clean(const char *at, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)at[i];

		if (c == '\r' && i + 1 < len && at[i + 1] == '\n')
			i++;
		else if ((c < 0x20 && c != '\t') || c == 0x7f)
			return false;
	}
	return true;
}

/* Cut the first line off; it has one. */
static struct http_text take_line(struct http_text *t)
{
	const char *end = memmem(t->at, t->len, "\r\n", 2);
	struct http_text line = { t->at, (size_t)(end - t->at) };

	t->at = end + 2;
	t->len -= line.len + 2;
	return line;
}

static struct http_text trim(struct http_text t)
{
	while (t.len > 0 && (*t.at == ' ' || *t.at == '\t')) {
		t.at++;
		t.len--;
	}
	while (t.len > 0 && (t.at[t.len - 1] == ' ' || t.at[t.len - 1] == '\t'))
		t.len--;
	return t;
}

static bool fields_are_valid(struct http_text fields)
{
	while (fields.len > 0) {
		struct http_text line = take_line(&fields);
		size_t name = token_len(line);

		if (name == 0 || name == line.len || line.at[name] != ':')
			return false;
	}
	return true;
}

/* The first line and, in `out`, size and fields. */
static int split(struct http_head *out, struct http_text *line, const uint8_t *data, size_t len)
{
	size_t most = len < HTTP_HEAD_MAX ? len : HTTP_HEAD_MAX;
	const uint8_t *end = memmem(data, most, "\r\n\r\n", 4);
	struct http_text rest = { (const char *)data, 0 };

	if (!end)
		return len >= HTTP_HEAD_MAX ? GW_E_LENGTH : GW_E_AGAIN;
	out->size = (size_t)(end - data) + 4;
	if (!is_clean(rest.at, out->size))
		return GW_E_FORMAT;
	rest.len = out->size - 2;
	*line = take_line(&rest);
	out->fields = rest;
	return fields_are_valid(rest) ? 0 : GW_E_FORMAT;
}

static bool is_version(const char *at)
{
	return memcmp(at, VERSION, VERSION_LEN) == 0 && is_digit(at[VERSION_LEN]);
}

/* METHOD SP TARGET SP VERSION */
static int parse_request_line(struct http_head *out, struct http_text line)
{
	size_t method = token_len(line);
	const char *target = line.at + method + 1, *space;

	if (method == 0 || line.len < method + 2 || line.at[method] != ' ')
		return GW_E_FORMAT;
	space = memchr(target, ' ', line.len - method - 1);
	if (!space || space == target)
		return GW_E_FORMAT;
	if (line.at + line.len != space + 1 + VERSION_LEN + 1 || !is_version(space + 1))
		return GW_E_FORMAT;
	out->method = (struct http_text){ line.at, method };
	out->target = (struct http_text){ target, (size_t)(space - target) };
	return 0;
}

/* VERSION SP STATUS [SP REASON] */
static int parse_status_line(struct http_head *out, struct http_text line)
{
	enum { STATUS_AT = VERSION_LEN + 2, STATUS_END = STATUS_AT + 3 };
	const char *s = line.at + STATUS_AT;

	if (line.len < STATUS_END || !is_version(line.at) || s[-1] != ' ')
		return GW_E_FORMAT;
	if (s[0] < '1' || s[0] > '9' || !is_digit(s[1]) || !is_digit(s[2]))
		return GW_E_FORMAT;
	if (line.len > STATUS_END && s[3] != ' ')
		return GW_E_FORMAT;
	out->status = (unsigned)((s[0] - '0') * 100 + (s[1] - '0') * 10 + (s[2] - '0'));
	out->reason = trim((struct http_text){ s + 3, line.len - STATUS_END });
	return 0;
}

int http_parse_request(struct http_head *out, const uint8_t *data, size_t len)
{
	struct http_head h = { 0 };
	struct http_text line;
	int error;

	if (len > 0 && !is_token((char)data[0]))
		return GW_E_FORMAT;
	error = split(&h, &line, data, len);
	if (!error)
		error = parse_request_line(&h, line);
	if (!error)
		*out = h;
	return error;
}

int http_parse_response(struct http_head *out, const uint8_t *data, size_t len)
{
	struct http_head h = { 0 };
	struct http_text line;
	int error;

	if (len > 0 && memcmp(data, VERSION, len < VERSION_LEN ? len : VERSION_LEN) != 0)
		return GW_E_FORMAT;
	error = split(&h, &line, data, len);
	if (!error)
		error = parse_status_line(&h, line);
	if (!error)
		*out = h;
	return error;
}

/* --- reading what was parsed --- */

bool http_text_is(struct http_text t, const char *text)
{
	return t.len == strlen(text) && memcmp(t.at, text, t.len) == 0;
}

static bool is_like(struct http_text t, const char *text)
{
	return t.len == strlen(text) && strncasecmp(t.at, text, t.len) == 0;
}

static bool lists(struct http_text value, const char *token)
{
	while (value.len > 0) {
		const char *comma = memchr(value.at, ',', value.len);
		size_t n = comma ? (size_t)(comma - value.at) : value.len;

		if (is_like(trim((struct http_text){ value.at, n }), token))
			return true;
		n += comma != NULL;
		value.at += n;
		value.len -= n;
	}
	return false;
}

bool http_has(const struct http_head *h, const char *name, const char *token)
{
	struct http_text fields = h->fields;

	while (fields.len > 0) {
		struct http_text line = take_line(&fields);
		size_t n = token_len(line);
		struct http_text value = { line.at + n + 1, line.len - n - 1 };

		if (is_like((struct http_text){ line.at, n }, name) && lists(value, token))
			return true;
	}
	return false;
}

const char *http_status(const struct http_head *h, char *out, size_t size)
{
	snprintf(out, size, "%03u%s%.*s", h->status, h->reason.len ? " " : "",
		 (int)(h->reason.len < 80 ? h->reason.len : 80), h->reason.at ? h->reason.at : "");
	for (char *c = out; *c; c++)
		if (*c < ' ' || *c > '~')
			*c = '?';
	return out;
}

/* --- hosts --- */

bool http_host_is_valid(const char *host)
{
	size_t len = strlen(host);
	bool v6 = strchr(host, ':') != NULL;

	if (len == 0 || len >= HTTP_HOST_MAX)
		return false;
	for (const char *c = host; *c; c++)
		if (!is_alnum(*c) && !strchr(v6 ? ":.%" : ".-_", *c))
			return false;
	return true;
}

const char *http_authority(const char *host, uint16_t port, char out[HTTP_AUTHORITY_MAX])
{
	bool v6 = strchr(host, ':') != NULL;

	snprintf(out, HTTP_AUTHORITY_MAX, v6 ? "[%s]:%u" : "%s:%u", host, port);
	return out;
}
