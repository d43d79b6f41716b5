/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/settings.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "godwit/godwit.h"

static const struct {
	const char *name, *flag, *environment, *fallback;
	bool list, in_file;
} TABLE[SETTINGS] = {
	[SETTING_HOME] = { "home", "--home", "GODWIT_HOME", NULL, false, false },
	[SETTING_CONFIG] = { "config", "--config", "GODWIT_CONFIG", NULL, false, false },
	[SETTING_IDENTITY] = { "identity", "--identity", "GODWIT_IDENTITY", NULL, false, true },
	[SETTING_LISTEN] = { "listen", "--listen", "GODWIT_LISTEN", NULL, false, true },
	[SETTING_PARK] = { "park", "--park", "GODWIT_PARK", "86400", false, true },
	[SETTING_UDP_IDLE] = { "udp-idle", "--udp-idle", "GODWIT_UDP_IDLE", "60", false, true },
	[SETTING_CONGESTION] = { "congestion", "--congestion", "GODWIT_CONGESTION", "bbr", false,
				 true },
	[SETTING_RELAY_ONLY] = { "relay-only", "--relay-only", "GODWIT_RELAY_ONLY", "no", false,
				 true },
	[SETTING_NO_SANDBOX] = { "no-sandbox", "--no-sandbox", "GODWIT_NO_SANDBOX", "no", false,
				 true },
	[SETTING_INVITE] = { "invite", "--invite", "GODWIT_INVITE", NULL, false, true },
	[SETTING_NAME] = { "name", "--name", "GODWIT_NAME", NULL, false, true },
	[SETTING_POLICY] = { "policy", "--policy", "GODWIT_POLICY", NULL, false, true },
	[SETTING_AUDIT] = { "audit", "--audit", "GODWIT_AUDIT", NULL, false, true },
	[SETTING_BEACON] = { "beacon", "--beacon", "GODWIT_BEACON", NULL, true, true },
	[SETTING_ALLOW] = { "allow", "--allow", "GODWIT_ALLOW", NULL, true, true },
	[SETTING_EXPOSE] = { "expose", "--expose", "GODWIT_EXPOSE", NULL, true, true },
	[SETTING_FORWARD] = { "forward", "--forward", "GODWIT_FORWARD", NULL, true, true },
};

const struct option_spec HOME_OPTIONS[] = {
	{ "--home", "DIR", "identity, names, control socket; default ~/.local/state/godwit", NULL },
	{ "--identity", "WHERE",
	  "the key: env:NAME, file:PATH, fd:N or ephemeral; default: of the home", NULL },
	{ "--json", NULL, "one JSON object instead of text", NULL },
	{ "--help", NULL, "this text", NULL },
	{ 0 },
};

const struct option_spec NODE_OPTIONS[] = {
	{ "--listen", "ADDR:PORT", "UDP address and port; default: every address, a free port",
	  NULL },
	{ "--allow", "WHO",
	  "who may use the services: an address, network:N, group:G@N, or any; may be repeated",
	  NULL },
	{ "--policy", "FILE", "further rules; default DIR/policy when it is there", NULL },
	{ "--audit", "FILE|none", "log of what was decided about others; default DIR/audit.jsonl",
	  NULL },
	{ "--invite", "WHERE", "join a network: env:NAME, file:PATH or fd:N has the invite", NULL },
	{ "--name", "NAME", "the name to ask for in that network", NULL },
	{ "--park", "SECONDS", "how long streams wait for a lost peer; default 86400", NULL },
	{ "--udp-idle", "SECONDS",
	  "how long a UDP client is remembered without traffic; default 60", NULL },
	{ "--congestion", "bbr|cubic", "congestion control; default bbr", NULL },
	{ "--config", "FILE", "settings; default DIR/config.json when it is there", NULL },
	{ "--beacon", "BEACON", "a beacon, ADDRESS@HOST:PORT; may be repeated, up to 8", NULL },
	{ "--relay-only", NULL, "never show or use an IP address: all goes by a beacon", NULL },
	{ "--no-sandbox", NULL, "keep what the process does not need: rights, core dumps, calls",
	  NULL },
	{ 0 },
};

const char *setting_name(enum setting which)
{
	return TABLE[which].name;
}

bool setting_is_list(enum setting which)
{
	return TABLE[which].list;
}

/* Yes or no. */
static bool is_switch(enum setting which)
{
	return which == SETTING_RELAY_ONLY || which == SETTING_NO_SANDBOX;
}

bool setting_is_on(const struct settings *s, enum setting which)
{
	const char *value = setting_get(s, which);

	return value &&
	       (strcmp(value, "yes") == 0 || strcmp(value, "true") == 0 || strcmp(value, "1") == 0);
}

const char *setting_get(const struct settings *s, enum setting which)
{
	return s->at[which].count ? s->at[which].values[0] : NULL;
}

static int add(struct settings *s, enum setting which, const char *value, struct failure *f)
{
	if (s->at[which].count == SETTING_VALUES_MAX)
		return fail_usage(f, "godwit help up", "more than %d values of %s",
				  SETTING_VALUES_MAX, TABLE[which].name);
	s->at[which].values[s->at[which].count++] = value;
	return 0;
}

__attribute__((format(printf, 3, 4))) static void set_source(struct settings *s, enum setting which,
							     const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(s->at[which].source, sizeof(s->at[which].source), format, ap);
	va_end(ap);
}

static int from_flags(struct settings *s, enum setting which, const struct options *o,
		      struct failure *f)
{
	const char *value;

	if (!TABLE[which].list) {
		value = options_get(o, TABLE[which].flag);
		if (value)
			add(s, which, is_switch(which) ? "yes" : value, f);
	} else {
		for (size_t n = 0; (value = options_nth(o, TABLE[which].flag, n)) != NULL; n++)
			if (add(s, which, value, f) < 0)
				return -1;
	}
	set_source(s, which, "flag %s", TABLE[which].flag);
	return 0;
}

static int from_environment(struct settings *s, enum setting which, struct failure *f)
{
	const char *value = getenv(TABLE[which].environment), *separators;
	char *save = NULL;

	if (!value || !*value)
		return 0;
	set_source(s, which, "environment %s", TABLE[which].environment);
	/* A secret stays where it is until it is needed. */
	if (which == SETTING_INVITE && !strchr(value, ':'))
		value = "env:GODWIT_INVITE";
	if (!TABLE[which].list)
		return add(s, which, value, f);
	s->texts[which] = strdup(value);
	if (!s->texts[which])
		return fail_error(f, -1, "settings");
	/* Targets may hold spaces; beacons do not. */
	separators = which == SETTING_BEACON ? ", \t\n" : ",";
	for (char *one = strtok_r(s->texts[which], separators, &save); one;
	     one = strtok_r(NULL, separators, &save))
		if (add(s, which, one, f) < 0)
			return -1;
	return 0;
}

/* "park": 3600 means the same as "3600", and true as "yes". */
static const json_t *value_to_text(struct settings *s, enum setting which, const json_t *j)
{
	char text[32];

	if (is_switch(which) && json_is_boolean(j)) {
		json_object_set_new(s->file, TABLE[which].name,
				    json_string(json_is_true(j) ? "yes" : "no"));
		return json_object_get(s->file, TABLE[which].name);
	}
	if ((which != SETTING_PARK && which != SETTING_UDP_IDLE) || !json_is_number(j))
		return j;
	snprintf(text, sizeof(text), "%.15g", json_number_value(j));
	json_object_set_new(s->file, TABLE[which].name, json_string(text));
	return json_object_get(s->file, TABLE[which].name);
}

static int add_json(struct settings *s, enum setting which, const json_t *j, struct failure *f)
{
	j = value_to_text(s, which, j);
	if (!json_is_string(j)) {
		fail_usage(f, "", "%.200s: \"%s\" needs %s", s->config, TABLE[which].name,
			   TABLE[which].list ? "a list of texts" : "a text");
		fail_hint(f, "{\"%s\": %s}", TABLE[which].name,
			  TABLE[which].list ? "[\"...\"]" : "\"...\"");
		return -1;
	}
	return add(s, which, json_string_value(j), f);
}

static int from_file(struct settings *s, enum setting which, struct failure *f)
{
	const json_t *j = json_object_get(s->file, TABLE[which].name);
	const json_t *one;
	size_t i;

	if (!j || !TABLE[which].in_file)
		return 0;
	set_source(s, which, "file %.300s", s->config);
	if (!TABLE[which].list || !json_is_array(j))
		return add_json(s, which, j, f);
	json_array_foreach(j, i, one)
		if (add_json(s, which, one, f) < 0)
			return -1;
	return 0;
}

static int resolve(struct settings *s, enum setting which, const struct options *o,
		   struct failure *f)
{
	if (from_flags(s, which, o, f) < 0)
		return -1;
	if (s->at[which].count == 0 && from_environment(s, which, f) < 0)
		return -1;
	if (s->at[which].count == 0 && from_file(s, which, f) < 0)
		return -1;
	if (s->at[which].count == 0) {
		set_source(s, which, "default");
		if (TABLE[which].fallback)
			return add(s, which, TABLE[which].fallback, f);
	}
	return 0;
}

/* --- home --- */

static int default_home(struct settings *s, struct failure *f)
{
	const char *state = getenv("XDG_STATE_HOME"), *user = getenv("HOME");
	const struct passwd *entry;

	if (state && *state == '/') {
		snprintf(s->home, sizeof(s->home), "%s/godwit", state);
		return 0;
	}
	if (!user || !*user) {
		entry = getpwuid(getuid());
		user = entry ? entry->pw_dir : NULL;
	}
	if (!user)
		return fail_usage(f, "--home DIR, or set GODWIT_HOME",
				  "there is no home directory");
	snprintf(s->home, sizeof(s->home), "%s/.local/state/godwit", user);
	return 0;
}

static int find_home(struct settings *s, const struct options *o, struct failure *f)
{
	const char *given;

	if (resolve(s, SETTING_HOME, o, f) < 0)
		return -1;
	given = setting_get(s, SETTING_HOME);
	if (!given)
		return default_home(s, f) < 0 ? -1 : add(s, SETTING_HOME, s->home, f);
	if (strlen(given) >= sizeof(s->home) || !*given)
		return fail_usage(f, "--home DIR", "the home's path is empty or too long");
	memcpy(s->home, given, strlen(given) + 1);
	return 0;
}

/* --- file --- */

static int check_keys(const struct settings *s, struct failure *f)
{
	const char *key;
	json_t *value;

	json_object_foreach(s->file, key, value) {
		bool known = false;

		for (int i = 0; i < SETTINGS; i++)
			known |= TABLE[i].in_file && strcmp(TABLE[i].name, key) == 0;
		if (!known)
			return fail_usage(
				f,
				"identity, listen, park, udp-idle, congestion, relay-only, "
				"no-sandbox, invite, name, policy, audit, beacon, allow, expose, "
				"forward",
				"%.200s: there is no setting \"%.60s\"", s->config, key);
	}
	return 0;
}

static int read_file(struct settings *s, const struct options *o, struct failure *f)
{
	json_error_t error;
	const char *given;

	if (resolve(s, SETTING_CONFIG, o, f) < 0)
		return -1;
	given = setting_get(s, SETTING_CONFIG);
	if (given)
		snprintf(s->config, sizeof(s->config), "%s", given);
	else
		snprintf(s->config, sizeof(s->config), "%s/config.json", s->home);
	if (!given && access(s->config, F_OK) != 0)
		return 0;
	s->file = json_load_file(s->config, JSON_REJECT_DUPLICATES, &error);
	if (!s->file && error.line < 0)
		return fail_usage(f, "--config FILE", "%.300s", error.text);
	if (!s->file)
		return fail_usage(f, "a JSON object, as {\"listen\": \"0.0.0.0:41641\"}",
				  "%.200s, line %d: %s", s->config, error.line, error.text);
	if (!json_is_object(s->file))
		return fail_usage(f, "{\"listen\": \"0.0.0.0:41641\"}", "%.200s is no JSON object",
				  s->config);
	if (!given)
		add(s, SETTING_CONFIG, s->config, f);
	return check_keys(s, f);
}

static int check_beacons(const struct settings *s, struct failure *f)
{
	const char *source = s->at[SETTING_BEACON].source;

	if (s->at[SETTING_BEACON].count > BEACONS_MAX)
		return fail_usage(f, "the nearest ones: the node uses two",
				  "more than %d beacons (%s)", BEACONS_MAX, source);
	for (size_t i = 0; i < s->at[SETTING_BEACON].count; i++) {
		const char *text = s->at[SETTING_BEACON].values[i];
		const char *why = godwit_beacon_check(text);

		if (why)
			return fail_usage(
				f, "--beacon ADDRESS@HOST:PORT, as `godwit beacon` prints it",
				"beacon \"%.200s\" (%s): %s", text, source, why);
	}
	return 0;
}

static int check_switch(const struct settings *s, enum setting which, struct failure *f)
{
	static const char *const WORDS[] = { "yes", "true", "1", "no", "false", "0" };
	const char *value = setting_get(s, which);

	for (size_t i = 0; i < sizeof(WORDS) / sizeof(WORDS[0]); i++)
		if (strcmp(value, WORDS[i]) == 0)
			return 0;
	return fail_usage(f, "yes or no", "%s is yes or no, not \"%.60s\" (%s)", TABLE[which].name,
			  value, s->at[which].source);
}

/* Never repeat it: it may be the word itself. */
static int check_invite(const struct settings *s, struct failure *f)
{
	const char *where = setting_get(s, SETTING_INVITE);

	if (!where || strncmp(where, "env:", 4) == 0 || strncmp(where, "file:", 5) == 0 ||
	    strncmp(where, "fd:", 3) == 0)
		return 0;
	return fail_usage(f, "--invite env:NAME, file:PATH or fd:N; GODWIT_INVITE may be the word",
			  "the invite is a secret, and not where one may be (%s)",
			  s->at[SETTING_INVITE].source);
}

static int check_values(const struct settings *s, struct failure *f)
{
	const char *congestion = setting_get(s, SETTING_CONGESTION);
	double seconds;

	if (!parse_seconds(setting_get(s, SETTING_PARK), 0, 1e9, &seconds))
		return fail_usage(f, "--park 86400",
				  "park needs a number of seconds, not \"%.60s\" (%s)",
				  setting_get(s, SETTING_PARK), s->at[SETTING_PARK].source);
	if (!parse_seconds(setting_get(s, SETTING_UDP_IDLE), 0.1, 1e6, &seconds))
		return fail_usage(f, "--udp-idle 60",
				  "udp-idle needs a number of seconds, not \"%.60s\" (%s)",
				  setting_get(s, SETTING_UDP_IDLE), s->at[SETTING_UDP_IDLE].source);
	if (strcmp(congestion, "bbr") != 0 && strcmp(congestion, "cubic") != 0)
		return fail_usage(f, "--congestion bbr",
				  "there is no congestion control \"%.60s\" (%s)", congestion,
				  s->at[SETTING_CONGESTION].source);
	if (check_switch(s, SETTING_RELAY_ONLY, f) < 0 ||
	    check_switch(s, SETTING_NO_SANDBOX, f) < 0 || check_invite(s, f) < 0)
		return -1;
	return check_beacons(s, f);
}

int settings_load(struct settings *s, const struct options *o, struct failure *f)
{
	memset(s, 0, sizeof(*s));
	if (find_home(s, o, f) < 0 || read_file(s, o, f) < 0)
		return -1;
	for (int i = SETTING_CONFIG + 1; i < SETTINGS; i++)
		if (resolve(s, (enum setting)i, o, f) < 0)
			return -1;
	return check_values(s, f);
}

void settings_clear(struct settings *s)
{
	json_decref(s->file);
	s->file = NULL;
	for (int i = 0; i < SETTINGS; i++) {
		free(s->texts[i]);
		s->texts[i] = NULL;
	}
}
