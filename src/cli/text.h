/* cli/text.h - how things look on a terminal. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_CLI_TEXT_H
#define GODWIT_CLI_TEXT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

enum {
	SHORT_SIZE = 16,
	DURATION_SIZE = 24,
	DATE_SIZE = 32,
	BYTES_SIZE = 24,
	TARGET_SIZE = 300,
	PATH_SIZE = 160
};

const char *short_address(const char *address, char out[SHORT_SIZE]); /* "ndlvv…ruh7a" */
/* Of a rule: an address is short, "group:dev@acme" is as it is. */
const char *who_for_people(const char *who, char out[SHORT_SIZE]);
const char *format_duration(double seconds, char out[DURATION_SIZE]); /* "0.4s", "3h12m" */
const char *format_span(uint32_t seconds, char out[DURATION_SIZE]);   /* "90s", "30d", exactly */
const char *format_date(uint32_t at, char out[DATE_SIZE]);            /* "2026-11-30 09:08 UTC" */
const char *format_bytes(double bytes, char out[BYTES_SIZE]);         /* "1.2 GiB" */
const char *format_ms(double ms, char out[DURATION_SIZE]);            /* "7.3 ms", "42 ms" */

const char *target_for_people(const char *target, char out[TARGET_SIZE]); /* "tcp 127.0.0.1:22" */

/* A path object: "direct 198.51.100.2:41641", "relay eu1 (udp)". */
const char *path_for_people(const json_t *path, char out[PATH_SIZE]);
/* "eu1:4443" without the port. */
const char *host_of(const char *relay, char out[PATH_SIZE]);

/* Progress and colour are for this terminal: no NO_COLOR, no TERM=dumb. */
bool fancy(int fd);

/* Rows of cells (texts), in columns as wide as they need, on stdout.  The last cell of a row may be
 * longer than its column. */
void print_table(const json_t *rows);

/* One line of JSON on stdout, "v":1 first. */
void print_json(const json_t *object);

/* Members of an object, with a neutral value for what is absent. */
const char *get_text(const json_t *object, const char *key);
double get_number(const json_t *object, const char *key);

#endif
