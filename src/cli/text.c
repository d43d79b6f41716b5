/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

const char *short_address(const char *address, char out[SHORT_SIZE])
{
	size_t len = strlen(address);

	if (len <= 10)
		snprintf(out, SHORT_SIZE, "%.10s", address);
	else
		snprintf(out, SHORT_SIZE, "%.5s\xe2\x80\xa6%.5s", address, address + len - 5);
	return out;
}

const char *who_for_people(const char *who, char out[SHORT_SIZE])
{
	return strchr(who, ':') ? who : short_address(who, out);
}

const char *format_duration(double seconds, char out[DURATION_SIZE])
{
	unsigned long s = (unsigned long)seconds;

	if (seconds < 9.95)
		snprintf(out, DURATION_SIZE, "%.1fs", seconds);
	else if (s < 60)
		snprintf(out, DURATION_SIZE, "%lus", s);
	else if (s < 3600)
		snprintf(out, DURATION_SIZE, "%lum%02lus", s / 60, s % 60);
	else if (s < 86400)
		snprintf(out, DURATION_SIZE, "%luh%02lum", s / 3600, s / 60 % 60);
	else
		snprintf(out, DURATION_SIZE, "%lud%02luh", s / 86400, s / 3600 % 24);
	return out;
}

const char *format_span(uint32_t seconds, char out[DURATION_SIZE])
{
	static const struct {
		uint32_t seconds;
		char letter;
	} UNITS[] = { { 365 * 86400, 'y' }, { 86400, 'd' }, { 3600, 'h' }, { 60, 'm' } };

	for (size_t i = 0; i < sizeof(UNITS) / sizeof(UNITS[0]); i++)
		if (seconds > 0 && seconds % UNITS[i].seconds == 0) {
			snprintf(out, DURATION_SIZE, "%u%c", seconds / UNITS[i].seconds,
				 UNITS[i].letter);
			return out;
		}
	snprintf(out, DURATION_SIZE, "%us", seconds);
	return out;
}

const char *format_date(uint32_t at, char out[DATE_SIZE])
{
	time_t t = (time_t)at;
	struct tm tm;

	if (!gmtime_r(&t, &tm) || strftime(out, DATE_SIZE, "%Y-%m-%d %H:%M UTC", &tm) == 0)
		snprintf(out, DATE_SIZE, "%u", at);
	return out;
}

const char *format_bytes(double bytes, char out[BYTES_SIZE])
{
	static const char *const UNITS[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB" };
	size_t unit = 0;

	while (bytes >= 1023.5 && unit + 1 < sizeof(UNITS) / sizeof(UNITS[0])) {
		bytes /= 1024;
		unit++;
	}
	snprintf(out, BYTES_SIZE, unit > 0 && bytes < 9.95 ? "%.1f %s" : "%.0f %s", bytes,
		 UNITS[unit]);
	return out;
}

const char *format_ms(double ms, char out[DURATION_SIZE])
{
	snprintf(out, DURATION_SIZE, ms < 1 ? "%.2f ms" : ms < 10 ? "%.1f ms" : "%.0f ms", ms);
	return out;
}

const char *target_for_people(const char *target, char out[TARGET_SIZE])
{
	char *colon;

	snprintf(out, TARGET_SIZE, "%s", target);
	colon = strchr(out, ':');
	if (colon)
		*colon = ' ';
	return out;
}

const char *host_of(const char *relay, char out[PATH_SIZE])
{
	const char *colon = strrchr(relay, ':');

	snprintf(out, PATH_SIZE, "%.*s", (int)(colon ? (size_t)(colon - relay) : strlen(relay)),
		 relay);
	return out;
}

const char *path_for_people(const json_t *path, char out[PATH_SIZE])
{
	char host[PATH_SIZE];

	if (strcmp(get_text(path, "kind"), "relay") == 0)
		snprintf(out, PATH_SIZE, "relay %.140s (%.8s)",
			 host_of(get_text(path, "via"), host), get_text(path, "transport"));
	else
		snprintf(out, PATH_SIZE, "%.10s %.100s", get_text(path, "kind"),
			 get_text(path, "endpoint"));
	return out;
}

bool fancy(int fd)
{
	const char *term = getenv("TERM"), *no = getenv("NO_COLOR");

	return isatty(fd) && !(no && *no) && !(term && strcmp(term, "dumb") == 0);
}

/* Columns of a terminal: UTF-8 characters. */
static size_t width_of(const char *text)
{
	size_t width = 0;

	for (; *text; text++)
		width += (*text & 0xc0) != 0x80;
	return width;
}

enum { COLUMNS_MAX = 12 };

void print_table(const json_t *rows)
{
	size_t widths[COLUMNS_MAX] = { 0 }, i, n;
	const json_t *row, *cell;

	json_array_foreach(rows, i, row)
		json_array_foreach(row, n, cell) {
			size_t width = width_of(json_string_value(cell));

			if (n + 1 < json_array_size(row) && n < COLUMNS_MAX && width > widths[n])
				widths[n] = width;
		}
	json_array_foreach(rows, i, row) {
		json_array_foreach(row, n, cell) {
			const char *text = json_string_value(cell);
			bool last = n + 1 == json_array_size(row);

			printf("%s%*s", text, last ? 0 : (int)(widths[n] - width_of(text)) + 2, "");
		}
		printf("\n");
	}
}

void print_json(const json_t *object)
{
	json_t *whole = json_pack("{s:i}", "v", 1);

	json_object_update(whole, (json_t *)(uintptr_t)object);
	json_dumpf(whole, stdout, JSON_COMPACT | JSON_REAL_PRECISION(9));
	printf("\n");
	fflush(stdout);
	json_decref(whole);
}

const char *get_text(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

double get_number(const json_t *object, const char *key)
{
	return json_number_value(json_object_get(object, key));
}
