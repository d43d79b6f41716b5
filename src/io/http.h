/* io/http.h - as much of HTTP/1.1 as a TLS link needs: heads, read and written.
 *
 * Pure: bytes in, slices of the same bytes out.  Heads longer than HTTP_HEAD_MAX are refused. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_IO_HTTP_H
#define GODWIT_IO_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { HTTP_HEAD_MAX = 8192, HTTP_HOST_MAX = 256, HTTP_AUTHORITY_MAX = HTTP_HOST_MAX + 8 };

struct http_text {
	const char *at;
	size_t len;
};

/* Points into the bytes it was parsed from. */
struct http_head {
	struct http_text method, target; /* of a request */
	unsigned status;                 /* of a response: 100..999 */
	struct http_text reason;         /* of a response; may be empty */
	struct http_text fields;
	size_t size; /* bytes of the head with its empty line; what follows is not part of it */
};

/* 0; GW_E_AGAIN: it has not all come; GW_E_LENGTH: it is too long; GW_E_FORMAT: it is something
 * else, which is told from the first bytes on. */
int http_parse_request(struct http_head *out, const uint8_t *data, size_t len);
int http_parse_response(struct http_head *out, const uint8_t *data, size_t len);

bool http_text_is(struct http_text t, const char *text); /* case matters */
/* Does a field of that name list the token?  Case does not matter. */
bool http_has(const struct http_head *h, const char *name, const char *token);
/* "404 Not Found", printable, cut to `size`; returns `out`. */
const char *http_status(const struct http_head *h, char *out, size_t size);

/* Only what may stand in a host name or an IP address: nothing that ends a line or a name. */
bool http_host_is_valid(const char *host);
/* "host:port", IPv6 in brackets; returns `out`. */
const char *http_authority(const char *host, uint16_t port, char out[HTTP_AUTHORITY_MAX]);

#endif
