/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/fail.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "godwit/godwit.h"

/* Datagrams of more bytes than that pass as soon as the path has been probed. */
enum { NEW_PATH = 1200 };

static const struct {
	int error;
	int exit;
	const char *hint;
} KNOWN[] = {
	{ GODWIT_E_SELF, EXIT_USAGE, "use the address of the other machine" },
	{ GODWIT_E_UNREACHABLE, EXIT_UNREACHABLE,
	  "see that the other node runs, can be reached, and allows this node's key (`godwit "
	  "id`)" },
	{ GODWIT_E_DENIED, EXIT_DENIED,
	  "on the other machine add --allow with this node's address (`godwit id`) or a group of "
	  "it; godwit policy check there says why" },
	{ GODWIT_E_POLICY, EXIT_DENIED,
	  "godwit policy check --dial WHO says why; dial rules are in the policy file" },
	{ GODWIT_E_NO_SERVICE, EXIT_FAILED,
	  "on the other machine: godwit expose TARGET --as NAME, or godwit status" },
	{ GODWIT_E_KIND, EXIT_FAILED,
	  "godwit forward udp:ADDR:PORT for a UDP service; forward PORT or connect for another" },
	{ GODWIT_E_VERSION, EXIT_FAILED, "the same version of godwit on both machines" },
	{ GODWIT_E_TARGET, EXIT_FAILED,
	  "on the other machine start the program behind the service" },
	{ GODWIT_E_RESTARTED, EXIT_FAILED, "connect again" },
	{ GODWIT_E_EXITED, EXIT_FAILED, "start the other node again, then connect again" },
	{ GODWIT_E_PARKED_OUT, EXIT_FAILED, "connect again; --park allows longer absences" },
	{ GODWIT_E_LOST, EXIT_FAILED, "connect again" },
	{ GODWIT_E_RESET, EXIT_FAILED, "look at the program on the other side" },
	{ GODWIT_E_LIMIT, EXIT_FAILED,
	  "close some streams, or raise the limit of open files (ulimit -n)" },
	{ GODWIT_E_TIMEOUT, EXIT_TIMED_OUT, "a longer --timeout; see that the other node runs" },
	{ GODWIT_E_IN_USE, EXIT_FAILED,
	  "stop the other process with this key, or give this one a key of its own (--home DIR)" },
	{ GODWIT_E_KEY, EXIT_FAILED, "another node answers there: ask for a fresh ticket" },
	{ GODWIT_E_PERMISSION, EXIT_FAILED, "as a user who may" },
	{ GODWIT_E_AMBIGUOUS, EXIT_FAILED, "use the address of the one that is meant" },
};

/* Whatever was cut or came from outside: JSON takes valid UTF-8 only. */
static void make_valid(char *text)
{
	for (char *c = text; *c;) {
		size_t len = 1, lead = (unsigned char)*c;
		json_t *one;

		if (lead >= 0xc0)
			len = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
		one = lead < 0x80 ? NULL : json_stringn(c, strnlen(c, len));
		if (lead >= 0x80 && !one) {
			*c = '?';
			len = 1;
		}
		json_decref(one);
		c += strnlen(c, len);
	}
}

static void set(struct failure *f, int exit, const char *code, const char *hint)
{
	f->exit = exit;
	snprintf(f->code, sizeof(f->code), "%s", code);
	snprintf(f->hint, sizeof(f->hint), "%s", hint);
}

int fail_usage(struct failure *f, const char *hint, const char *format, ...)
{
	va_list ap;

	set(f, EXIT_USAGE, "usage", hint);
	va_start(ap, format);
	vsnprintf(f->message, sizeof(f->message), format, ap);
	va_end(ap);
	make_valid(f->message);
	return -1;
}

__attribute__((format(printf, 3, 0))) static void explain(struct failure *f, const char *why,
							  const char *format, va_list ap)
{
	int n = vsnprintf(f->message, sizeof(f->message), format, ap);

	if (n >= 0 && (size_t)n < sizeof(f->message))
		snprintf(f->message + n, sizeof(f->message) - (size_t)n, "%s%s", n ? ": " : "",
			 why);
	make_valid(f->message);
}

int fail_error(struct failure *f, int error, const char *format, ...)
{
	va_list ap;

	set(f, EXIT_FAILED, godwit_error_name(error), "godwit help");
	for (size_t i = 0; i < sizeof(KNOWN) / sizeof(KNOWN[0]); i++)
		if (KNOWN[i].error == error)
			set(f, KNOWN[i].exit, godwit_error_name(error), KNOWN[i].hint);
	va_start(ap, format);
	explain(f, godwit_strerror(error), format, ap);
	va_end(ap);
	return -1;
}

int fail_errno(struct failure *f, int error, const char *format, ...)
{
	va_list ap;

	set(f, EXIT_FAILED, "io",
	    error == ENOSPC || error == EDQUOT ? "make room on that disk"
	    : error == EACCES || error == EPERM || error == EROFS
		    ? "another --home DIR, or as a user who may"
		    : "another --home DIR");
	va_start(ap, format);
	explain(f, strerror(error), format, ap);
	va_end(ap);
	return -1;
}

void fail_message(struct failure *f, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(f->message, sizeof(f->message), format, ap);
	va_end(ap);
	make_valid(f->message);
}

void fail_hint(struct failure *f, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(f->hint, sizeof(f->hint), format, ap);
	va_end(ap);
	make_valid(f->hint);
}

void fail_too_large(struct failure *f, const char *what, size_t size, size_t limit)
{
	fail_error(f, GODWIT_E_LENGTH, "%s", "");
	fail_message(f, "%.200s: a datagram of %zu bytes was dropped: the path carries %zu at most",
		     what, size, limit);
	fail_hint(f, "%ssmaller packets (an MTU or the like) in the program that sends them",
		  limit < NEW_PATH ? "a moment later: a new path is probed for more at once; else "
				   : "");
}

json_t *fail_to_json(const struct failure *f)
{
	return json_pack("{s:s,s:s,s:s,s:i}", "code", f->code, "message", f->message, "hint",
			 f->hint, "exit", f->exit);
}

void fail_from_json(struct failure *f, const json_t *j)
{
	const char *code = json_string_value(json_object_get(j, "code"));
	const char *message = json_string_value(json_object_get(j, "message"));
	const char *hint = json_string_value(json_object_get(j, "hint"));
	json_int_t exit = json_integer_value(json_object_get(j, "exit"));

	set(f, exit > 0 && exit < 256 ? (int)exit : EXIT_FAILED, code ? code : "unknown",
	    hint ? hint : "godwit help");
	snprintf(f->message, sizeof(f->message), "%s", message ? message : "unknown error");
}

int fail_print(const struct failure *f, bool json)
{
	json_t *j;

	if (!json) {
		fprintf(stderr, "godwit: %s\n  try: %s\n", f->message, f->hint);
		return f->exit;
	}
	j = json_pack("{s:i,s:{s:s,s:s,s:s}}", "v", 1, "error", "code", f->code, "message",
		      f->message, "hint", f->hint);
	json_dumpf(j, stdout, JSON_COMPACT);
	printf("\n");
	fflush(stdout);
	json_decref(j);
	return f->exit;
}
