/* SPDX-License-Identifier: Apache-2.0 */
/* What the commands share. */
#include "cli/commands.h"

int cli_request(struct cli *c, json_t *request, enum session_kind kind, op_event_fn *event)
{
	struct session_options o = {
		.kind = kind,
		.settings = &c->settings,
		.json = c->json,
		.request = request,
		.fds = { -1, -1 },
		.event = event,
		.user = c,
	};
	int exit = session_run(&o);

	json_decref(request);
	return exit;
}

json_t *cli_list(const struct settings *s, enum setting which)
{
	json_t *out = json_array();

	for (size_t i = 0; i < s->at[which].count; i++)
		json_array_append_new(out, json_string(s->at[which].values[i]));
	return out;
}

int cli_check_destination(struct cli *c, const char *text, const char *service)
{
	struct home home;
	struct place to;
	int rv;

	/* The network of a name may be the one that the node is about to join. */
	if (setting_get(&c->settings, SETTING_INVITE))
		return 0;
	if (home_open(&home, setting_get(&c->settings, SETTING_HOME), false, &c->failure) < 0)
		return -1;
	rv = place_parse(&home, text, service, &to, &c->failure);
	home_close(&home);
	return rv;
}

int cli_timeout_ms(struct cli *c, json_int_t *out)
{
	double seconds;

	if (options_seconds(&c->options, "--timeout", 0.001, 1e6, 0, &seconds, &c->failure) < 0)
		return -1;
	*out = (json_int_t)(seconds * 1000);
	return 0;
}

void cli_no_event(void *user, const json_t *event)
{
	(void)user;
	(void)event;
}
