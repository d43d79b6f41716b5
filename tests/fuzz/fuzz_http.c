/* SPDX-License-Identifier: Apache-2.0 */
/* tests/fuzz/fuzz_http.c - what a TLS link reads: HTTP heads, frames, and the proxy's URL.
 *
 * The input is taken as each of them. */
#include "base/error.h"
#include "fuzz.h"
#include "io/frames.h"
#include "io/http.h"
#include "io/proxy.h"

typedef int parse_fn(struct http_head *out, const uint8_t *data, size_t len);

static int parse(parse_fn *fn, struct http_head *out, const uint8_t *data, size_t len)
{
	uint8_t *copy = exact(data, len);
	int error;

	fill(out, sizeof(*out));
	error = fn(out, copy, len);
	free(copy);
	if (error)
		demand(untouched(out, sizeof(*out)));
	return error;
}

static void demand_inside(struct http_text t, const uint8_t *data, size_t len)
{
	const uint8_t *at = (const uint8_t *)t.at;

	demand(t.len == 0 || (at >= data && t.len <= len && at - data <= (ptrdiff_t)(len - t.len)));
}

static void check_slices(const struct http_head *h, const uint8_t *data)
{
	char text[40];

	demand_inside(h->method, data, h->size);
	demand_inside(h->target, data, h->size);
	demand_inside(h->reason, data, h->size);
	demand_inside(h->fields, data, h->size);
	(void)http_has(h, "upgrade", "godwit");
	(void)http_has(h, "", "");
	if (!h->status)
		return;
	demand(h->status >= 100 && h->status <= 999);
	http_status(h, text, sizeof(text));
	for (const char *c = text; *c; c++)
		demand(*c >= ' ' && *c <= '~');
}

/* One answer, however the bytes come. */
static void check_head(parse_fn *fn, const uint8_t *data, size_t len)
{
	struct http_head h, again;
	int error = parse(fn, &h, data, len);

	demand(error == 0 || error == GW_E_AGAIN || error == GW_E_FORMAT || error == GW_E_LENGTH);
	demand(error != GW_E_AGAIN || len < HTTP_HEAD_MAX);
	demand(error != GW_E_LENGTH || len >= HTTP_HEAD_MAX);
	if (error)
		return;
	demand(h.size >= 4 && h.size <= len && h.size <= HTTP_HEAD_MAX);
	demand(memcmp(data + h.size - 4, "\r\n\r\n", 4) == 0);
	demand(parse(fn, &again, data, h.size) == 0 && again.size == h.size);
	demand(parse(fn, &again, data, h.size - 1) == GW_E_AGAIN);
	demand(parse(fn, &again, data, h.size / 2) == GW_E_AGAIN);
	demand(fn(&h, data, len) == 0); /* the slices are of these bytes */
	check_slices(&h, data);
}

/* What is read from a stream of frames, written again, is the same stream. */
static void check_frames(const uint8_t *data, size_t len)
{
	struct frame_queue q = { .limit = SIZE_MAX };
	uint8_t *copy = exact(data, len);
	const uint8_t *datagram;
	size_t used = 0, n, size;

	while ((n = frame_next(copy + used, len - used, &datagram, &size)) > 0) {
		demand(n == size + FRAME_HEADER && n <= len - used);
		demand(datagram == copy + used + FRAME_HEADER);
		demand(frame_queue_add(&q, datagram, size, 0));
		used += n;
	}
	demand(len - used < FRAME_MAX);
	demand(frame_queue_len(&q) == used);
	demand(used == 0 || memcmp(frame_queue_front(&q), data, used) == 0);
	frame_queue_clear(&q);
	free(copy);
}

static void check_url(const char *text)
{
	char authority[HTTP_AUTHORITY_MAX], basic[PROXY_BASIC_MAX];
	struct proxy p, again;
	int error;

	fill(&p, sizeof(p));
	error = proxy_parse(&p, text);
	if (error) {
		demand(error == GW_E_TYPE || error == GW_E_FORMAT);
		demand(untouched(&p, sizeof(p)));
		return;
	}
	demand(http_host_is_valid(p.host) && p.port != 0);
	demand(!p.auth[0] || strchr(p.auth, ':'));
	demand(strlen(proxy_basic(&p, basic)) < sizeof(basic));
	demand(proxy_parse(&again, http_authority(p.host, p.port, authority)) == 0);
	demand(strcmp(again.host, p.host) == 0 && again.port == p.port);
}

static void check_list(const char *text)
{
	static const char *const HOSTS[] = { "a.example", "10.1.2.3", "2001:db8::1", "" };

	for (size_t i = 0; i < sizeof(HOSTS) / sizeof(HOSTS[0]); i++)
		(void)proxy_is_bypassed(text, HOSTS[i], 443);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = exact_text(data, size);

	check_head(http_parse_request, data, size);
	check_head(http_parse_response, data, size);
	check_frames(data, size);
	check_url(text);
	check_list(text);
	free(text);
	return 0;
}
