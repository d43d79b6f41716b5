// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <unistd.h>

#include "base/error.h"
#include "io/proxy.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* --- URLs --- */

static void urls_are_parsed(void **state)
{
	static const struct {
		const char *url, *host;
		uint16_t port;
		const char *auth;
	} CASES[] = {
		{ "http://proxy.example:3128", "proxy.example", 3128, "" },
		{ "http://proxy.example:3128/", "proxy.example", 3128, "" },
		{ "HTTP://proxy.example", "proxy.example", 80, "" },
		{ "proxy.example:8080", "proxy.example", 8080, "" },
		{ "10.0.0.1:1", "10.0.0.1", 1, "" },
		{ "http://[2001:db8::1]:3128", "2001:db8::1", 3128, "" },
		{ "[::1]", "::1", 80, "" },
		{ "http://me:secret@proxy:65535", "proxy", 65535, "me:secret" },
		{ "me:secret@[::1]:2", "::1", 2, "me:secret" },
		{ "http://me@proxy", "proxy", 80, "me:" },
		{ "http://@proxy", "proxy", 80, "" },
		{ "http://me:@proxy", "proxy", 80, "me:" },
		{ "http://d%5Cme:p%40%3a%2F%25@proxy", "proxy", 80, "d\\me:p@:/%" },
		{ "http://me:p@ss@proxy", "proxy", 80, "me:p@ss" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(CASES); i++) {
		struct proxy p;

		if (proxy_parse(&p, CASES[i].url) != 0)
			fail_msg("%s", CASES[i].url);
		assert_string_equal(p.host, CASES[i].host);
		assert_int_equal(p.port, CASES[i].port);
		assert_string_equal(p.auth, CASES[i].auth);
	}
}

static void wrong_urls_are_refused(void **state)
{
	static const struct {
		const char *url;
		int error;
	} CASES[] = {
		{ "https://proxy", GW_E_TYPE },
		{ "socks5://proxy:1080", GW_E_TYPE },
		{ "socks5h://me:secret@proxy", GW_E_TYPE },
		{ "", GW_E_FORMAT },
		{ "http://", GW_E_FORMAT },
		{ "http://:3128", GW_E_FORMAT },
		{ "http://proxy:", GW_E_FORMAT },
		{ "http://proxy:0", GW_E_FORMAT },
		{ "http://proxy:65536", GW_E_FORMAT },
		{ "http://proxy:+80", GW_E_FORMAT },
		{ "http://proxy:80x", GW_E_FORMAT },
		{ "http://proxy/path", GW_E_FORMAT },
		{ "http://pro xy", GW_E_FORMAT },
		{ "http://proxy\r\nX: y", GW_E_FORMAT },
		{ "http://2001:db8::1:80", GW_E_FORMAT },
		{ "http://[2001:db8::1", GW_E_FORMAT },
		{ "http://[2001:db8::1]80", GW_E_FORMAT },
		{ "http://[proxy]:80", GW_E_FORMAT },
		{ "http://me:%@proxy", GW_E_FORMAT },
		{ "http://me:%4@proxy", GW_E_FORMAT },
		{ "http://me:%4g@proxy", GW_E_FORMAT },
		{ "http://me:%00@proxy", GW_E_FORMAT },
		{ "me:p://secret@proxy", GW_E_FORMAT },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(CASES); i++) {
		struct proxy p = { .port = 7 };

		if (proxy_parse(&p, CASES[i].url) != CASES[i].error)
			fail_msg("%s", CASES[i].url);
		assert_int_equal(p.port, 7);
	}
}

static void long_parts_are_refused(void **state)
{
	char url[2000] = "http://me:", host[400] = "http://";
	struct proxy p;

	(void)state;
	memset(url + strlen(url), 'x', PROXY_AUTH_MAX - 4); /* with "me:": all that fits */
	strcat(url, "@proxy");
	assert_int_equal(proxy_parse(&p, url), 0);
	assert_int_equal(strlen(p.auth), PROXY_AUTH_MAX - 1);
	strcpy(url + strlen(url) - 6, "x@proxy");
	assert_int_equal(proxy_parse(&p, url), GW_E_FORMAT);
	memset(host + 7, 'x', HTTP_HOST_MAX - 1);
	assert_int_equal(proxy_parse(&p, host), 0);
	strcat(host, "x");
	assert_int_equal(proxy_parse(&p, host), GW_E_FORMAT);
}

/* --- no proxy --- */

static void hosts_without_proxy(void **state)
{
	static const struct {
		const char *list, *host;
		bool bypassed;
	} CASES[] = {
		{ "", "a.example", false },
		{ " , ,", "a.example", false },
		{ "*", "a.example", true },
		{ "x, *", "a.example", true },
		{ "a.example", "a.example", true },
		{ "A.Example", "a.eXample", true },
		{ "a.example", "a.example.", true },
		{ "a.example.", "a.example", true },
		{ "example", "a.example", true },
		{ ".example", "a.example", true },
		{ ".example", "example", true },
		{ "xample", "a.example", false },
		{ "a.example", "b.a.example.org", false },
		{ "b.example,example.org", "a.example", false },
		{ "b.example a.example", "a.example", true },
		{ "a.example:443", "a.example", true },
		{ "a.example:444", "a.example", false },
		{ ".", "a.example", false },
		{ "10.1.2.3", "10.1.2.3", true },
		{ "10.1.2.3:443", "10.1.2.3", true },
		{ "10.1.2.3:80", "10.1.2.3", false },
		{ "10.1.2.3", "10.1.2.33", false },
		{ "2.3", "10.1.2.3", false },
		{ "10.0.0.0/8", "10.1.2.3", true },
		{ "10.0.0.0/8", "11.1.2.3", false },
		{ "10.1.2.0/23", "10.1.3.3", true },
		{ "10.1.2.0/23", "10.1.4.3", false },
		{ "0.0.0.0/0", "10.1.4.3", true },
		{ "0.0.0.0/0", "2001:db8::1", false },
		{ "0.0.0.0/0", "a.example", false },
		{ "10.1.2.3/32", "10.1.2.3", true },
		{ "10.1.2.3/33", "10.1.2.3", false },
		{ "10.1.2.3/", "10.1.2.3", false },
		{ "10.1.2.3/8x", "10.1.2.3", false },
		{ "10.1.2.3/-1", "10.1.2.3", false },
		{ "2001:db8::1", "2001:db8:0::1", true },
		{ "[2001:db8::1]", "2001:db8::1", true },
		{ "[2001:db8::1]:443", "2001:db8::1", true },
		{ "2001:db8::/32", "2001:db8:ffff::1", true },
		{ "2001:db8::/33", "2001:db8:ffff::1", false },
		{ "2001:db8::/129", "2001:db8::", false },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(CASES); i++)
		if (proxy_is_bypassed(CASES[i].list, CASES[i].host, 443) != CASES[i].bypassed)
			fail_msg("%s: %s", CASES[i].list, CASES[i].host);
}

/* --- settings --- */

static void clear_environment(void)
{
	static const char *const NAMES[] = { "HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy",
					     "GODWIT_PROXY_AUTH_FILE" };

	for (size_t i = 0; i < COUNT(NAMES); i++)
		unsetenv(NAMES[i]);
}

static int found(struct proxy *p, const struct proxy_settings *s)
{
	char text[PROXY_TEXT_MAX] = "";
	int error = proxy_find(p, s, "beacon.example", 443, text);

	assert_null(strstr(text, "secret"));
	assert_true((error != 0) == (text[0] != 0));
	return error;
}

static void the_environment_is_read_each_time(void **state)
{
	static const struct proxy_settings ENVIRONMENT = { 0 };
	struct proxy p;

	(void)state;
	clear_environment();
	assert_int_equal(found(&p, &ENVIRONMENT), 0);
	assert_string_equal(p.host, "");
	setenv("https_proxy", "lower:1", 1);
	assert_int_equal(found(&p, &ENVIRONMENT), 0);
	assert_string_equal(p.host, "lower");
	setenv("HTTPS_PROXY", "me:secret@upper:1", 1);
	assert_int_equal(found(&p, &ENVIRONMENT), 0);
	assert_string_equal(p.host, "upper");
	assert_string_equal(p.auth, "me:secret");
	setenv("HTTPS_PROXY", "", 1); /* as if it were not there */
	assert_int_equal(found(&p, &ENVIRONMENT), 0);
	assert_string_equal(p.host, "lower");
	setenv("no_proxy", "example", 1);
	assert_int_equal(found(&p, &ENVIRONMENT), 0);
	assert_string_equal(p.host, "");
	setenv("NO_PROXY", "example.org", 1);
	assert_int_equal(found(&p, &ENVIRONMENT), 0);
	assert_string_equal(p.host, "lower");
	clear_environment();
}

static void given_settings_come_before_the_environment(void **state)
{
	struct proxy_settings s = { "http://given", NULL, NULL };
	struct proxy p;

	(void)state;
	setenv("HTTPS_PROXY", "http://environment", 1);
	assert_int_equal(found(&p, &s), 0);
	assert_string_equal(p.host, "given");
	s.url = "";
	assert_int_equal(found(&p, &s), 0);
	assert_string_equal(p.host, "");
	clear_environment();
}

static void wrong_settings_are_told_without_secrets(void **state)
{
	static const char *const BAD[] = { "https://me:secret@proxy", "socks5://secret:1",
					   "http://me:secret%@proxy", "me:secret://x@proxy" };
	struct proxy p = { .port = 7 };

	(void)state;
	for (size_t i = 0; i < COUNT(BAD); i++) {
		const struct proxy_settings s = { BAD[i], "", "" };

		assert_int_equal(found(&p, &s), GW_E_INVALID);
		assert_int_equal(p.port, 7);
	}
}

static void check_file(const char *contents, int error, const char *auth)
{
	char path[] = "/tmp/godwit-auth-XXXXXX";
	int fd = mkstemp(path);
	const struct proxy_settings s = { "other:secret@proxy", "", path };
	struct proxy p = { 0 };

	assert_true(fd >= 0);
	assert_int_equal(write(fd, contents, strlen(contents)), strlen(contents));
	close(fd);
	assert_int_equal(found(&p, &s), error);
	assert_string_equal(p.auth, auth);
	unlink(path);
	assert_int_equal(found(&p, &s), GW_E_INVALID); /* it is gone */
}

static void files_hold_credentials(void **state)
{
	char longest[PROXY_AUTH_MAX + 10] = "me:secret";

	(void)state;
	check_file("me:secret", 0, "me:secret");
	check_file("me:secret\n", 0, "me:secret");
	check_file("me:secret\r\nmore\n", 0, "me:secret");
	check_file("me:a:b%40 c\n", 0, "me:a:b%40 c");
	check_file("", GW_E_INVALID, "");
	check_file("secret\nme:secret\n", GW_E_INVALID, "");
	memset(longest + 9, 'x', PROXY_AUTH_MAX - 10);
	check_file(longest, 0, longest);
	strcat(longest, "x"); /* not cut: it would be a wrong password */
	check_file(longest, GW_E_INVALID, "");
}

/* --- Basic --- */

static void basic_is_as_in_the_rfc(void **state)
{
	static const struct {
		const char *auth, *basic;
	} CASES[] = {
		{ "Aladdin:open sesame", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==" }, /* RFC 7617 */
		{ "test:123\xc2\xa3", "Basic dGVzdDoxMjPCow==" },
		{ "a:", "Basic YTo=" },
		{ "a:b", "Basic YTpi" },
		{ "a:\xff\xfe\xfb", "Basic YTr//vs=" },
	};
	char out[PROXY_BASIC_MAX];
	struct proxy p = { 0 };

	(void)state;
	for (size_t i = 0; i < COUNT(CASES); i++) {
		strcpy(p.auth, CASES[i].auth);
		assert_string_equal(proxy_basic(&p, out), CASES[i].basic);
	}
	memset(p.auth, 'x', sizeof(p.auth) - 1);
	assert_true(strlen(proxy_basic(&p, out)) < sizeof(out));
	proxy_clear(&p);
	for (size_t i = 0; i < sizeof(p); i++)
		assert_int_equal(((uint8_t *)&p)[i], 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(urls_are_parsed),
		cmocka_unit_test(wrong_urls_are_refused),
		cmocka_unit_test(long_parts_are_refused),
		cmocka_unit_test(hosts_without_proxy),
		cmocka_unit_test(the_environment_is_read_each_time),
		cmocka_unit_test(given_settings_come_before_the_environment),
		cmocka_unit_test(wrong_settings_are_told_without_secrets),
		cmocka_unit_test(files_hold_credentials),
		cmocka_unit_test(basic_is_as_in_the_rfc),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
