/* cli/fail.h - what went wrong, for people and for programs. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_CLI_FAIL_H
#define GODWIT_CLI_FAIL_H

#include <jansson.h>
#include <stdbool.h>

enum exit_code {
	EXIT_OK = 0,
	EXIT_FAILED = 1,
	EXIT_USAGE = 2,
	EXIT_NO_NODE = 3,
	EXIT_UNREACHABLE = 4,
	EXIT_DENIED = 5,
	EXIT_TIMED_OUT = 124,
	EXIT_INTERRUPTED = 130,
};

struct failure {
	int exit;           /* enum exit_code */
	char code[24];      /* a stable word: godwit_error_name(), "usage", "no-node", ... */
	char message[1500]; /* what went wrong */
	char hint[400];     /* what to do */
};

/* All return -1, so that `return fail_...()` reads well. */
__attribute__((format(printf, 3, 4))) int fail_usage(struct failure *f, const char *hint,
						     const char *format, ...);
/* `error`: GODWIT_E_*; the exit code follows from it.  The message is "FORMAT: why". */
__attribute__((format(printf, 3, 4))) int fail_error(struct failure *f, int error,
						     const char *format, ...);
/* errno; the message is "FORMAT: why". */
__attribute__((format(printf, 3, 4))) int fail_errno(struct failure *f, int error,
						     const char *format, ...);
/* Say it in other words. */
__attribute__((format(printf, 2, 3))) void fail_message(struct failure *f, const char *format, ...);
__attribute__((format(printf, 2, 3))) void fail_hint(struct failure *f, const char *format, ...);

/* A datagram of a service was dropped.  `what` is the subject: "service dns". */
void fail_too_large(struct failure *f, const char *what, size_t size, size_t limit);

json_t *fail_to_json(const struct failure *f); /* {"code","message","hint","exit"} */
void fail_from_json(struct failure *f, const json_t *j);

/* Two lines on stderr, or one object on stdout; returns the exit code. */
int fail_print(const struct failure *f, bool json);

#endif
