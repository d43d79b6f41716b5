// SPDX-License-Identifier: Apache-2.0
/* PCP's bytes, as RFC 6887 draws them, and its clock. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"
#include "io/pcp.h"

static const uint8_t REQUEST[PCP_MAP_SIZE] = {
	2,  1, 0, 0, 0,    0,    0x0e, 0x10, /* version, MAP, 3600 s */
	0,  0, 0, 0, 0,    0,    0,    0,    0, 0,  0xff, 0xff, 192, 168, 1,   2, /* client */
	1,  2, 3, 4, 5,    6,    7,    8,    9, 10, 11,   12,                     /* nonce */
	17, 0, 0, 0, 0xa2, 0xa9, 0x13, 0x88, /* UDP, 41641, 5000 */
	0,  0, 0, 0, 0,    0,    0,    0,    0, 0,  0xff, 0xff, 203, 0,   113, 7, /* external */
};

static const uint8_t REPLY[PCP_MAP_SIZE] = {
	2, 0x81, 0, 0, 0, 0,  0x07, 0x08, 0,  1, 0,    0, /* success, 1800 s, epoch */
	0, 0,    0, 0, 0, 0,  0,    0,    0,  0, 0,    0,    1,    2,    3,    4,
	5, 6,    7, 8, 9, 10, 11,   12,   17, 0, 0,    0,    0xa2, 0xa9, 0x13, 0x89,
	0, 0,    0, 0, 0, 0,  0,    0,    0,  0, 0xff, 0xff, 203,  0,    113,  8,
};

static void request(void **state)
{
	struct pcp_map m = { .nonce = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 },
			     .internal_port = 41641 };
	uint8_t out[PCP_MAP_SIZE];
	struct addr client;

	(void)state;
	assert_int_equal(addr_parse_host(&client, "192.168.1.2", 0), 0);
	assert_int_equal(addr_parse(&m.external, "203.0.113.7:5000"), 0);
	pcp_map_encode(out, &m, &client, 3600);
	assert_memory_equal(out, REQUEST, sizeof(out));

	m.external = (struct addr){ 0 }; /* any: the v4 wildcard, not the v6 one */
	pcp_map_encode(out, &m, &client, 0);
	assert_int_equal(out[42] | out[43] | out[6] | out[7], 0);
	assert_int_equal(out[54] & out[55], 0xff);
	assert_int_equal(pcp_reply_decode(&(struct pcp_reply){ 0 }, out, sizeof(out)), GW_E_FORMAT);
}

static void reply(void **state)
{
	struct pcp_reply r;
	char text[ADDR_TEXT_MAX];

	(void)state;
	assert_int_equal(pcp_reply_decode(&r, REPLY, sizeof(REPLY)), sizeof(REPLY));
	assert_int_equal(r.opcode, PCP_MAP);
	assert_int_equal(r.result, PCP_SUCCESS);
	assert_int_equal(r.lifetime, 1800);
	assert_int_equal(r.epoch, 65536);
	assert_true(r.has_map);
	assert_memory_equal(r.map.nonce, REPLY + 24, PCP_NONCE_SIZE);
	assert_int_equal(r.map.internal_port, 41641);
	assert_string_equal(addr_format(&r.map.external, text), "203.0.113.8:5001");
}

static void odd_replies(void **state)
{
	static const struct {
		size_t len, at;
		uint8_t byte;
		ssize_t result;
	} table[] = {
		{ 0, 4, 0, GW_E_FORMAT },          /* nothing */
		{ 3, 4, 0, GW_E_FORMAT },          /* too short even for a result code */
		{ 8, 0, 0, GW_E_VERSION },         /* NAT-PMP */
		{ 60, 0, 3, GW_E_VERSION },        /* a later PCP */
		{ 60, 1, 0x01, GW_E_FORMAT },      /* a request */
		{ 60, 1, 0x82, GW_E_FORMAT },      /* PEER */
		{ 60, 36, 6, GW_E_FORMAT },        /* TCP */
		{ 24, 4, 0, GW_E_FORMAT },         /* success without a mapping */
		{ 58, 4, 0, GW_E_FORMAT },         /* not a multiple of four */
		{ 64, 4, 0, 64 },                  /* an option follows */
		{ 24, 3, PCP_NOT_AUTHORIZED, 24 }, /* an error without a mapping */
		{ 24, 1, 0x80, 24 },               /* an announcement */
		{ 1104, 4, 0, GW_E_FORMAT },       /* longer than any */
	};
	uint8_t data[1104];

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct pcp_reply r, before;

		memset(&r, 0xa5, sizeof(r));
		before = r;
		memset(data, 0, sizeof(data));
		memcpy(data, REPLY, sizeof(REPLY));
		data[table[i].at] = table[i].byte;
		assert_int_equal(pcp_reply_decode(&r, data, table[i].len), table[i].result);
		if (table[i].result < 0)
			assert_memory_equal(&r, &before, sizeof(r));
		else
			assert_int_equal(r.has_map, table[i].len >= PCP_MAP_SIZE);
	}
}

static void epochs(void **state)
{
	static const struct {
		uint32_t before, after;
		uint64_t elapsed;
		bool lost;
	} table[] = {
		{ 1000, 1000, 0, false },    { 1000, 1600, 600, false }, { 1000, 999, 0, false },
		{ 1000, 998, 0, true },      { 1000, 3, 600, true },     { 1000, 1010, 600, true },
		{ 1000, 1570, 600, false },  { 1000, 1630, 600, false }, { 1000, 2000, 600, true },
		{ 0, UINT32_MAX, 10, true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		assert_int_equal(pcp_epoch_lost(table[i].before, table[i].after, table[i].elapsed),
				 table[i].lost);
}

static void texts(void **state)
{
	(void)state;
	assert_string_equal(pcp_result_text(PCP_NOT_AUTHORIZED), "not authorised");
	assert_string_equal(pcp_result_text(13), "too many filters");
	assert_string_equal(pcp_result_text(14), "unknown error");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(request), cmocka_unit_test(reply), cmocka_unit_test(odd_replies),
		cmocka_unit_test(epochs),  cmocka_unit_test(texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
