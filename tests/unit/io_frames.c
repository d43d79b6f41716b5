// SPDX-License-Identifier: Apache-2.0
/* Framing, the queue that drops, and HTTP heads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"
#include "io/frames.h"
#include "io/http.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* --- frames --- */

static void frames_are_cut_off(void **state)
{
	static const uint8_t BYTES[] = { 0, 3, 'a', 'b', 'c', 0, 0, 0, 1, 'd', 1, 0, 'e' };
	const uint8_t *at = NULL;
	size_t size = 99;

	(void)state;
	for (size_t len = 0; len < 5; len++)
		assert_int_equal(frame_next(BYTES, len, &at, &size), 0);
	assert_int_equal(size, 99);
	assert_int_equal(frame_next(BYTES, sizeof(BYTES), &at, &size), 5);
	assert_ptr_equal(at, BYTES + 2);
	assert_int_equal(size, 3);
	assert_int_equal(frame_next(BYTES + 5, sizeof(BYTES) - 5, &at, &size), 2);
	assert_int_equal(size, 0);
	assert_int_equal(frame_next(BYTES + 7, sizeof(BYTES) - 7, &at, &size), 3);
	assert_int_equal(at[0], 'd');
	assert_int_equal(frame_next(BYTES + 10, sizeof(BYTES) - 10, &at, &size), 0);
}

static uint8_t data[FRAME_DATAGRAM_MAX];

static void the_queue_keeps_order(void **state)
{
	struct frame_queue q = { .limit = 65536 };
	size_t taken = 0;

	(void)state;
	for (size_t i = 0; i < 20; i++) {
		memset(data, (int)i, 1200);
		assert_true(frame_queue_add(&q, data, 1200, 0));
	}
	while (frame_queue_len(&q) > 0) {
		const uint8_t *at;
		size_t size, n = frame_next(frame_queue_front(&q), frame_queue_len(&q), &at, &size);

		assert_int_equal(n, 1202);
		assert_int_equal(size, 1200);
		assert_int_equal(at[1199], taken);
		frame_queue_take(&q, n);
		if (taken++ < 10) { /* and it goes on at the end */
			memset(data, (int)(19 + taken), 1200);
			assert_true(frame_queue_add(&q, data, 1200, 0));
		}
	}
	assert_int_equal(taken, 30);
	assert_null(q.data); /* an empty one holds nothing */
}

static void a_full_queue_drops(void **state)
{
	struct frame_queue q = { .limit = 3000 };

	(void)state;
	assert_true(frame_queue_add(&q, data, 1200, 0));
	assert_true(frame_queue_add(&q, data, 1200, 0));
	assert_false(frame_queue_add(&q, data, 1200, 0));
	assert_false(frame_queue_add(&q, data, 595, 0));
	assert_true(frame_queue_add(&q, data, 594, 0)); /* 3,000 bytes with the headers */
	assert_false(frame_queue_add(&q, NULL, 0, 0));
	frame_queue_take(&q, 2);
	assert_true(frame_queue_add(&q, NULL, 0, 0));
	assert_int_equal(frame_queue_len(&q), 3000);
	frame_queue_take(&q, 3000);
	assert_true(frame_queue_add(&q, data, FRAME_DATAGRAM_MAX, 0)); /* alone: always */
	assert_false(frame_queue_add(&q, data, 1, 0));
	frame_queue_clear(&q);
	assert_true(frame_queue_add(&q, data, 1, 0));
	frame_queue_clear(&q);
}

static void an_old_queue_drops(void **state)
{
	struct frame_queue q = { .limit = 65536 };

	(void)state;
	assert_true(frame_queue_add(&q, data, 98, 1000));
	assert_true(frame_queue_add(&q, data, 98, 1000 + 50 * GW_MSEC));
	assert_true(frame_queue_add(&q, data, 98, 999 + FRAME_QUEUE_AGE));
	assert_false(frame_queue_add(&q, data, 98, 1000 + FRAME_QUEUE_AGE));
	frame_queue_take(&q, 99); /* one byte of the oldest is still there */
	assert_false(frame_queue_add(&q, data, 98, 1000 + FRAME_QUEUE_AGE));
	frame_queue_take(&q, 1);
	assert_true(frame_queue_add(&q, data, 98, 1000 + FRAME_QUEUE_AGE));
	assert_false(frame_queue_add(&q, data, 98, 1000 + 50 * GW_MSEC + FRAME_QUEUE_AGE));
	frame_queue_take(&q, frame_queue_len(&q));
	assert_true(frame_queue_add(&q, data, 98, 1000 + GW_SEC));
	frame_queue_clear(&q);
}

/* However it is fed, what is refused is full or old, and what is taken in is neither. */
static void the_oldest_byte_is_known(void **state)
{
	static struct {
		uint64_t end;
		gw_time at;
	} added[100000];
	struct frame_queue q = { .limit = 20000 };
	size_t head = 0, tail = 0;
	gw_time now = 0;

	(void)state;
	srand(7);
	for (int i = 0; i < 100000; i++) {
		size_t len = frame_queue_len(&q), size = (size_t)rand() % 300;
		gw_time age;
		bool taken;

		now += (gw_time)(rand() % 3) * GW_MSEC;
		while (head < tail && added[head].end <= q.taken)
			head++;
		age = len > 0 ? now - added[head].at : 0;
		taken = frame_queue_add(&q, data, size, now);
		if (age >= FRAME_QUEUE_AGE)
			assert_false(taken);
		if (!taken) /* marks are a little coarse, on the side of dropping */
			assert_true(age + FRAME_QUEUE_AGE / FRAME_QUEUE_MARKS >= FRAME_QUEUE_AGE ||
				    len + 2 + size > 20000);
		if (taken) {
			added[tail].end = q.taken + frame_queue_len(&q);
			added[tail++].at = now;
		}
		if (rand() % 4 == 0 && frame_queue_len(&q) > 0)
			frame_queue_take(&q, 1 + (size_t)rand() % frame_queue_len(&q) / 8);
	}
	assert_true(tail > 10000 && tail < 100000);
	frame_queue_clear(&q);
}

/* --- HTTP --- */

static int request(struct http_head *h, const char *text)
{
	return http_parse_request(h, (const uint8_t *)text, strlen(text));
}

static int response(struct http_head *h, const char *text)
{
	return http_parse_response(h, (const uint8_t *)text, strlen(text));
}

static void heads_are_parsed(void **state)
{
	static const char GET[] = "GET /godwit HTTP/1.1\r\nHost: a\r\nConnection:keep-alive ,\t"
				  "Upgrade\r\nUPGRADE: godwit\r\nEmpty:\r\n\r\n\0\2";
	struct http_head h;
	char text[100];

	(void)state;
	assert_int_equal(http_parse_request(&h, (const uint8_t *)GET, sizeof(GET)), 0);
	assert_int_equal(h.size, sizeof(GET) - 3);
	assert_true(http_text_is(h.method, "GET"));
	assert_true(http_text_is(h.target, "/godwit"));
	assert_true(http_has(&h, "connection", "upgrade"));
	assert_true(http_has(&h, "Upgrade", "godwit"));
	assert_false(http_has(&h, "Upgrade", "god"));
	assert_false(http_has(&h, "Empty", ""));
	assert_false(http_has(&h, "Hos", "a"));

	assert_int_equal(response(&h, "HTTP/1.0 200 Connection established\r\n\r\n"), 0);
	assert_int_equal(h.status, 200);
	assert_string_equal(http_status(&h, text, sizeof(text)), "200 Connection established");
	assert_string_equal(http_status(&h, text, 8), "200 Con");
	assert_false(http_has(&h, "Upgrade", "godwit"));
	assert_int_equal(response(&h, "HTTP/1.1 404\r\nA: b\r\n\r\n"), 0);
	assert_string_equal(http_status(&h, text, sizeof(text)), "404");
	assert_int_equal(response(&h, "HTTP/1.1 404 \r\n\r\n"), 0);
	assert_string_equal(http_status(&h, text, sizeof(text)), "404");
	assert_int_equal(response(&h, "HTTP/1.1 404 \xc3\xa9\r\n\r\n"), 0);
	assert_string_equal(http_status(&h, text, sizeof(text)), "404 ??");
}

static void what_is_no_head_is_told_early(void **state)
{
	static const char *const REQUESTS[] = {
		"\x16",
		"\r\n",
		"GET\r\n\r\n",
		"GET /\r\n\r\n",
		"GET / \r\n\r\n",
		"GET  HTTP/1.1\r\n\r\n",
		"GET / HTTP/2.0\r\n\r\n",
		"GET / a HTTP/1.1\r\n\r\n",
		"GET / HTTP/1.12\r\n\r\n",
		"GET / HTTP/1.1\r\nA\r\n\r\n",
		"GET / HTTP/1.1\r\n: a\r\n\r\n",
		"GET / HTTP/1.1\r\nA : a\r\n\r\n",
		"GET / HTTP/1.1\r\nA: a\r\n b\r\n\r\n",
		"GET / HTTP/1.1\r\nA: a\nB: b\r\n\r\n",
		"GET / HTTP/1.1\r\nA: \x01\r\n\r\n",
		"GET / HTTP/1.1\r\nA: a\rb\r\n\r\n",
	};
	static const char *const RESPONSES[] = {
		"S",
		"HTTP/2",
		"HTTP/1.1\r\n\r\n",
		"HTTP/1.1 20\r\n\r\n",
		"HTTP/1.1 2000\r\n\r\n",
		"HTTP/1.1 099 a\r\n\r\n",
		"HTTP/1.1 2a0 a\r\n\r\n",
		"HTTP/1.1  200 a\r\n\r\n",
		"HTTP/1.x 200 a\r\n\r\n",
	};
	struct http_head h = { .status = 7 };

	(void)state;
	for (size_t i = 0; i < COUNT(REQUESTS); i++)
		if (request(&h, REQUESTS[i]) != GW_E_FORMAT)
			fail_msg("%s", REQUESTS[i]);
	for (size_t i = 0; i < COUNT(RESPONSES); i++)
		if (response(&h, RESPONSES[i]) != GW_E_FORMAT)
			fail_msg("%s", RESPONSES[i]);
	assert_int_equal(h.status, 7);
}

static void heads_may_come_in_pieces_up_to_a_limit(void **state)
{
	static const char TEXT[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: godwit\r\n\r\n";
	static uint8_t longest[HTTP_HEAD_MAX + 1];
	struct http_head h;

	(void)state;
	for (size_t len = 0; len < sizeof(TEXT) - 1; len++)
		assert_int_equal(http_parse_response(&h, (const uint8_t *)TEXT, len), GW_E_AGAIN);
	assert_int_equal(response(&h, TEXT), 0);
	memset(longest, 'x', sizeof(longest));
	memcpy(longest, "HTTP/1.1 200 ", 13);
	assert_int_equal(http_parse_response(&h, longest, HTTP_HEAD_MAX - 1), GW_E_AGAIN);
	assert_int_equal(http_parse_response(&h, longest, HTTP_HEAD_MAX), GW_E_LENGTH);
	memcpy(longest + HTTP_HEAD_MAX - 4, "\r\n\r\n", 4);
	assert_int_equal(http_parse_response(&h, longest, sizeof(longest)), 0);
	memcpy(longest + HTTP_HEAD_MAX - 3, "\r\n\r\n", 4);
	longest[HTTP_HEAD_MAX - 4] = 'x';
	assert_int_equal(http_parse_response(&h, longest, sizeof(longest)), GW_E_LENGTH);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_are_cut_off),
		cmocka_unit_test(the_queue_keeps_order),
		cmocka_unit_test(a_full_queue_drops),
		cmocka_unit_test(an_old_queue_drops),
		cmocka_unit_test(the_oldest_byte_is_known),
		cmocka_unit_test(heads_are_parsed),
		cmocka_unit_test(what_is_no_head_is_told_early),
		cmocka_unit_test(heads_may_come_in_pieces_up_to_a_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
