/* cli/options.h - flags and words of one command line. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_CLI_OPTIONS_H
#define GODWIT_CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/fail.h"

struct option_spec {
	const char *name;    /* "--expose", or "-c" */
	const char *value;   /* what it takes, for the help: "NAME=TARGET"; NULL: a switch */
	const char *summary; /* one line */
	const char *later;   /* not in this version: why; NULL: usable */
};

enum { OPTIONS_MAX = 128, WORDS_MAX = 8 };

struct options {
	const char *command;
	size_t n_words, n_given;
	const char *words[WORDS_MAX];
	struct {
		const struct option_spec *spec;
		const char *value;
	} given[OPTIONS_MAX];
};

/* `specs`: NULL-terminated list of tables, each ending with a NULL name. */
int options_parse(struct options *o, const struct option_spec *const *specs, const char *command,
		  int argc, char **argv, struct failure *f);

bool options_has(const struct options *o, const char *name);
/* The last value given, or NULL. */
const char *options_get(const struct options *o, const char *name);
/* The n-th value given, or NULL. */
const char *options_nth(const struct options *o, const char *name, size_t n);

/* Seconds, as "0.5", to milliseconds; `fallback` when the flag is absent. */
int options_seconds(const struct options *o, const char *name, double least, double most,
		    double fallback, double *out, struct failure *f);
int options_count(const struct options *o, const char *name, unsigned long least,
		  unsigned long most, unsigned long fallback, unsigned long *out,
		  struct failure *f);

/* "90s", "15m", "24h", "30d", "1y" (365 days), or seconds alone. */
int options_duration(const struct options *o, const char *name, uint32_t least, uint32_t most,
		     uint32_t fallback, uint32_t *out, struct failure *f);

/* Whole text is a decimal number within bounds. */
bool parse_seconds(const char *text, double least, double most, double *out);
/* Whole text is a duration, as above, of less than 2^32 seconds. */
bool parse_duration(const char *text, uint32_t *seconds);

#endif
