/* cli/settings.h - every setting, and where its value came from: flag over environment over file. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_CLI_SETTINGS_H
#define GODWIT_CLI_SETTINGS_H

#include "cli/options.h"

enum setting {
	SETTING_HOME,
	SETTING_CONFIG,
	SETTING_IDENTITY,
	SETTING_LISTEN,
	SETTING_PARK,
	SETTING_UDP_IDLE,
	SETTING_CONGESTION,
	SETTING_RELAY_ONLY, /* setting_is_on() */
	SETTING_NO_SANDBOX, /* likewise */
	SETTING_INVITE,     /* where it is: env:NAME, file:PATH or fd:N; never the word */
	SETTING_NAME,       /* that an invite is asked for */
	SETTING_POLICY,
	SETTING_AUDIT,
	SETTING_BEACON, /* a list, as those below: ADDRESS@HOST:PORT */
	SETTING_ALLOW,
	SETTING_EXPOSE,  /* NAME=TARGET */
	SETTING_FORWARD, /* LISTEN=DEST */
	SETTINGS
};

enum { SETTING_VALUES_MAX = 64, BEACONS_MAX = 8 };

struct settings {
	struct {
		size_t count; /* 0: not set */
		const char *values[SETTING_VALUES_MAX];
		char source
			[320]; /* "flag --home", "environment GODWIT_HOME", "file PATH", "default" */
	} at[SETTINGS];
	char home[4096], config[4096 + 16];
	json_t *file;          /* the strings of the file */
	char *texts[SETTINGS]; /* the strings of the environment's lists */
};

/* `--home` and the flags that every node takes; for options_parse(). */
extern const struct option_spec HOME_OPTIONS[], NODE_OPTIONS[];

/* A broken file, or a value out of bounds: exit 2. */
int settings_load(struct settings *s, const struct options *o, struct failure *f);
void settings_clear(struct settings *s);

const char *setting_get(const struct settings *s, enum setting which); /* NULL: not set */
const char *setting_name(enum setting which);
bool setting_is_list(enum setting which);
bool setting_is_on(const struct settings *s, enum setting which);

#endif
