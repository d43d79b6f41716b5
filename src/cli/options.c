/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/options.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/text.h"

/* A copy of the hint "godwit help COMMAND". */
static int refuse(struct failure *f, const struct options *o, const char *what, const char *which)
{
	fail_usage(f, "", "%s %s", what, which);
	fail_hint(f, "godwit help %s", o->command);
	return -1;
}

static const struct option_spec *find(const struct option_spec *const *specs, const char *name,
				      size_t len)
{
	for (; *specs; specs++)
		for (const struct option_spec *s = *specs; s->name; s++)
			if (strlen(s->name) == len && memcmp(s->name, name, len) == 0)
				return s;
	return NULL;
}

static int take_flag(struct options *o, const struct option_spec *const *specs, char **argv,
		     int argc, int *at, struct failure *f)
{
	const char *text = strcmp(argv[*at], "-h") == 0 ? "--help" : argv[*at];
	const char *equals = strchr(text, '=');
	size_t len = equals && text[1] == '-' ? (size_t)(equals - text) : strlen(text);
	const struct option_spec *spec = find(specs, text, len);
	const char *value = text[len] == '=' ? text + len + 1 : NULL;

	if (!spec)
		return refuse(f, o, "there is no such flag:", text);
	if (spec->later)
		return fail_usage(f, "without it: this version needs endpoints from a ticket",
				  "%s is not in this version: %s", spec->name, spec->later);
	if (!spec->value && value)
		return refuse(f, o, "this flag takes no value:", spec->name);
	if (spec->value && !value) {
		if (*at + 1 == argc)
			return refuse(f, o, "a value is missing after", spec->name);
		value = argv[++*at];
	}
	if (o->n_given == OPTIONS_MAX)
		return refuse(f, o, "too many flags, at", text);
	o->given[o->n_given].spec = spec;
	o->given[o->n_given++].value = value;
	return 0;
}

int options_parse(struct options *o, const struct option_spec *const *specs, const char *command,
		  int argc, char **argv, struct failure *f)
{
	bool flags = true;

	memset(o, 0, sizeof(*o));
	o->command = command;
	for (int i = 0; i < argc; i++) {
		if (flags && strcmp(argv[i], "--") == 0) {
			flags = false;
		} else if (flags && argv[i][0] == '-' && argv[i][1] != '\0') {
			if (take_flag(o, specs, argv, argc, &i, f) < 0)
				return -1;
		} else if (o->n_words == WORDS_MAX) {
			return refuse(f, o, "one word too many:", argv[i]);
		} else {
			o->words[o->n_words++] = argv[i];
		}
	}
	return 0;
}

const char *options_nth(const struct options *o, const char *name, size_t n)
{
	for (size_t i = 0; i < o->n_given; i++)
		if (strcmp(o->given[i].spec->name, name) == 0 && n-- == 0)
			return o->given[i].value ? o->given[i].value : "";
	return NULL;
}

const char *options_get(const struct options *o, const char *name)
{
	const char *last = NULL, *value;

	for (size_t n = 0; (value = options_nth(o, name, n)) != NULL; n++)
		last = value;
	return last;
}

bool options_has(const struct options *o, const char *name)
{
	return options_nth(o, name, 0) != NULL;
}

bool parse_seconds(const char *text, double least, double most, double *out)
{
	char *end;
	double value;

	/* strtod() takes more than people mean: spaces, hex, "inf". */
	if (*text == '\0' || strspn(text, "0123456789.") != strlen(text))
		return false;
	value = strtod(text, &end);
	if (*end || !isfinite(value) || value < least || value > most)
		return false;
	*out = value;
	return true;
}

int options_seconds(const struct options *o, const char *name, double least, double most,
		    double fallback, double *out, struct failure *f)
{
	const char *text = options_get(o, name);

	*out = fallback;
	if (!text || parse_seconds(text, least, most, out))
		return 0;
	fail_usage(f, "", "%s needs a number of seconds from %g to %g, not \"%.60s\"", name, least,
		   most, text);
	fail_hint(f, "godwit help %s", o->command);
	return -1;
}

bool parse_duration(const char *text, uint32_t *seconds)
{
	static const struct {
		const char *unit;
		uint64_t seconds;
	} UNITS[] = { { "", 1 },     { "s", 1 },     { "m", 60 },
		      { "h", 3600 }, { "d", 86400 }, { "y", 365 * 86400 } };
	size_t digits = strspn(text, "0123456789");
	uint64_t value;

	if (digits == 0 || digits > 10)
		return false;
	value = strtoull(text, NULL, 10);
	for (size_t i = 0; i < sizeof(UNITS) / sizeof(UNITS[0]); i++)
		if (strcmp(text + digits, UNITS[i].unit) == 0 &&
		    value * UNITS[i].seconds <= UINT32_MAX) {
			*seconds = (uint32_t)(value * UNITS[i].seconds);
			return true;
		}
	return false;
}

int options_duration(const struct options *o, const char *name, uint32_t least, uint32_t most,
		     uint32_t fallback, uint32_t *out, struct failure *f)
{
	const char *text = options_get(o, name);
	char from[DURATION_SIZE], to[DURATION_SIZE];
	uint32_t value;

	*out = fallback;
	if (!text)
		return 0;
	if (parse_duration(text, &value) && value >= least && value <= most) {
		*out = value;
		return 0;
	}
	return fail_usage(f, "90s, 15m, 24h, 30d, 1y, or a number of seconds",
			  "%s needs a time from %s to %s, not \"%.60s\"", name,
			  format_span(least, from), format_span(most, to), text);
}

int options_count(const struct options *o, const char *name, unsigned long least,
		  unsigned long most, unsigned long fallback, unsigned long *out, struct failure *f)
{
	const char *text = options_get(o, name);
	unsigned long value;
	char *end;

	*out = fallback;
	if (!text)
		return 0;
	errno = 0;
	value = strtoul(text, &end, 10);
	if (*text >= '0' && *text <= '9' && !*end && errno == 0 && value >= least &&
	    value <= most) {
		*out = value;
		return 0;
	}
	fail_usage(f, "", "%s needs a number from %lu to %lu, not \"%.60s\"", name, least, most,
		   text);
	fail_hint(f, "godwit help %s", o->command);
	return -1;
}
