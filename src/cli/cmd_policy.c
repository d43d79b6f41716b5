/* SPDX-License-Identifier: Apache-2.0 */
/* policy: what the rules are, what they decide, and to read them again. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/rules.h"
#include "cli/text.h"

/* A node that runs knows more: what was exposed since, and what its peers are in networks. */
static bool is_running(struct cli *c)
{
	struct failure ignored;
	struct home home;
	int fd;

	if (home_open(&home, setting_get(&c->settings, SETTING_HOME), false, &ignored) < 0)
		return false;
	fd = home_connect(&home);
	home_close(&home);
	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static int open_rules(struct cli *c, struct home *home, struct rules *rules,
		      char path[RULES_PATH_SIZE])
{
	if (home_open(home, setting_get(&c->settings, SETTING_HOME), false, &c->failure) < 0)
		return -1;
	return rules_of_settings(rules, home, &c->settings, path, &c->failure);
}

/* --- show --- */

static void show_event(void *user, const json_t *event)
{
	const struct cli *c = user;
	const json_t *one;
	json_t *rows;
	size_t i;

	if (c->json) {
		print_json(event);
		return;
	}
	rows = json_pack("[[s,s,s,s]]", "RULE", "SERVICE", "WHO", "FROM");
	json_array_foreach(json_object_get(event, "rules"), i, one) {
		bool out = strcmp(get_text(one, "direction"), "out") == 0;

		json_array_append_new(rows,
				      json_pack("[s,s,s,s]", out ? "dial" : "allow",
						out ? "-" : get_text(one, "service"),
						get_text(one, "who"), get_text(one, "source")));
	}
	if (i > 0)
		print_table(rows);
	else
		printf("no rules: nobody may use anything\n");
	if (strcmp(get_text(event, "dial"), "open") == 0)
		printf("no dial rule: every node may be dialled\n");
	if (!json_is_true(json_object_get(event, "running")))
		printf("no node is running: these are what it would begin with\n");
	fflush(stdout);
	json_decref(rows);
}

static int show(struct cli *c)
{
	struct home home = { .fd = -1, .lock_fd = -1 };
	struct rules rules = { 0 };
	char path[RULES_PATH_SIZE] = "";
	json_t *j;
	int rv;

	if (is_running(c))
		return cli_request(c, json_pack("{s:s}", "op", "policy-show"), SESSION_RUNNING,
				   show_event);
	rv = open_rules(c, &home, &rules, path);
	if (rv == 0) {
		j = policy_describe(&rules, path, false);
		show_event(c, j);
		json_decref(j);
	}
	rules_clear(&rules);
	home_close(&home);
	return rv < 0 ? -1 : EXIT_OK;
}

/* --- check --- */

struct checking {
	struct cli *c;
	bool denied;
};

static void print_standings(const json_t *networks)
{
	const json_t *one, *group;
	size_t i, k;

	json_array_foreach(networks, i, one) {
		const char *name = get_text(one, "name");

		printf("it is %s%s in %s", *name ? name : "a member", *name ? "," : "",
		       get_text(one, "network"));
		json_array_foreach(json_object_get(one, "groups"), k, group)
			printf("%s%s", k ? ", " : ", groups ", json_string_value(group));
		printf("\n");
	}
	if (i == 0)
		printf("it has shown no certificate that holds\n");
}

static void check_event(void *user, const json_t *event)
{
	struct checking *x = user;
	bool allowed = json_is_true(json_object_get(event, "allowed"));
	const char *rule = get_text(event, "rule");

	x->denied = !allowed;
	if (x->c->json) {
		print_json(event);
		return;
	}
	if (*rule)
		printf("allowed: %s  (%s)\n", rule, get_text(event, "source"));
	else
		printf("%s: %s\n", allowed ? "allowed" : "denied", get_text(event, "why"));
	if (json_is_true(json_object_get(event, "running")))
		print_standings(json_object_get(event, "networks"));
	else
		printf("no node is running: certificates that it would show are not known\n");
	fflush(stdout);
}

static json_t *groups_of(const struct cli *c)
{
	json_t *out = json_array();
	const char *group;

	for (size_t n = 0; (group = options_nth(&c->options, "--group", n)) != NULL; n++)
		json_array_append_new(out, json_string(group));
	return out;
}

static int check_running(struct checking *x, const char *who, const char *service, bool dial)
{
	struct session_options o = {
		.kind = SESSION_RUNNING,
		.settings = &x->c->settings,
		.json = x->c->json,
		.fds = { -1, -1 },
		.event = check_event,
		.user = x,
	};
	int exit;

	o.request = json_pack("{s:s,s:s,s:s,s:b,s:o}", "op", "policy-check", "to", who, "service",
			      service, "dial", dial, "groups", groups_of(x->c));
	exit = session_run(&o);
	json_decref(o.request);
	return exit;
}

/* Without a node: by the key, and what is assumed. */
static int take_person(struct cli *c, const struct home *home, const char *who, struct person *p)
{
	struct place place;
	const char *group;

	memset(p, 0, sizeof(*p));
	if (place_parse(home, who, NULL, &place, &c->failure) < 0)
		return -1;
	if (*place.name) {
		fail_error(&c->failure, GODWIT_E_NOT_FOUND, "%.120s", who);
		c->failure.exit = EXIT_NO_NODE;
		fail_message(&c->failure, "no node is running here that could look for %.120s",
			     who);
		fail_hint(&c->failure, "godwit up, or its address and --group GROUP@NETWORK");
		return -1;
	}
	memcpy(p->key, place.ticket.key, sizeof(p->key));
	for (size_t n = 0; (group = options_nth(&c->options, "--group", n)) != NULL; n++)
		if (person_assume(p, home, group, &c->failure) < 0)
			return -1;
	return 0;
}

static int check_files(struct checking *x, const char *who, const char *service, bool dial)
{
	struct home home = { .fd = -1, .lock_fd = -1 };
	struct rules rules = { 0 };
	char path[RULES_PATH_SIZE];
	struct person person;
	json_t *j;
	int rv = open_rules(x->c, &home, &rules, path);

	if (rv == 0)
		rv = take_person(x->c, &home, who, &person);
	if (rv == 0) {
		j = policy_decide(&rules, dial, service, &person, false);
		check_event(x, j);
		json_decref(j);
	}
	rules_clear(&rules);
	home_close(&home);
	return rv < 0 ? -1 : EXIT_OK;
}

static int check(struct cli *c)
{
	struct checking x = { .c = c };
	const struct options *o = &c->options;
	const char *dial = options_get(o, "--dial");
	const char *who = dial ? dial : o->n_words > 1 ? o->words[1] : NULL;
	const char *service = dial ? "" : o->n_words > 2 ? o->words[2] : NULL;
	int rv;

	if (!who || !service || (dial && o->n_words > 1))
		return fail_usage(
			&c->failure,
			"godwit policy check WHO SERVICE, or godwit policy check --dial WHO",
			"policy check needs to know who, and which service");
	rv = is_running(c) ? check_running(&x, who, service, dial != NULL)
			   : check_files(&x, who, service, dial != NULL);
	return rv == EXIT_OK && x.denied ? EXIT_DENIED : rv;
}

/* --- reload --- */

static void reload_event(void *user, const json_t *event)
{
	const struct cli *c = user;
	const char *file = get_text(event, "file");

	if (c->json)
		print_json(event);
	else if (*file)
		printf("%.0f rule%s in %s\n", get_number(event, "rules"),
		       get_number(event, "rules") == 1 ? "" : "s", file);
	else
		printf("there is no policy file\n");
}

static int reload(struct cli *c)
{
	return cli_request(c, json_pack("{s:s}", "op", "policy-reload"), SESSION_RUNNING,
			   reload_event);
}

int run_policy(struct cli *c)
{
	const char *what = c->options.n_words > 0 ? c->options.words[0] : "";

	if (strcmp(what, "check") == 0)
		return check(c);
	if (c->options.n_words > 1 || options_has(&c->options, "--dial") ||
	    options_has(&c->options, "--group"))
		return fail_usage(&c->failure, "godwit help policy",
				  "only policy check takes WHO, --dial and --group");
	if (strcmp(what, "show") == 0)
		return show(c);
	if (strcmp(what, "reload") == 0)
		return reload(c);
	return fail_usage(&c->failure, "godwit policy show, check or reload",
			  *what ? "policy has no \"%.60s\"" : "policy needs a subcommand%s", what);
}
