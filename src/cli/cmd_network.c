/* SPDX-License-Identifier: Apache-2.0 */
/* network: which of its subcommands, what they share, and export. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/network_internal.h"
#include "cli/text.h"

enum { FLAGS_MAX = 10 };

static const struct subcommand {
	const char *name, *usage;
	size_t least, most; /* words behind its name */
	int (*run)(struct cli *c);
	const char *flags[FLAGS_MAX];
} SUBCOMMANDS[] = {
	{ "create",
	  "NAME [--name N] [--group G]... [--no-member] [--lifetime TIME] [--beacon B]...",
	  1,
	  1,
	  network_create,
	  { "--name", "--group", "--no-member", "--lifetime", "--beacon" } },
	{ "show", "[NETWORK]", 0, 1, network_show, { 0 } },
	{ "invite",
	  "[NETWORK] [--group G]... [--name N]... [--for WHO]",
	  0,
	  1,
	  network_invite,
	  { "--group", "--name", "--name-prefix", "--lifetime", "--expires", "--ephemeral",
	    "--for" } },
	{ "join",
	  "env:NAME|file:PATH|fd:N|-|BUNDLE [--name N] [--as LABEL] [--lifetime TIME]",
	  1,
	  1,
	  network_join,
	  { "--name", "--as", "--lifetime" } },
	{ "members", "[NETWORK]", 0, 1, network_members, { 0 } },
	{ "revoke", "[NETWORK] WHO|serial:HEX", 1, 2, network_revoke, { 0 } },
	{ "renew",
	  "[NETWORK] [--lifetime TIME] [--beacon B]...",
	  0,
	  1,
	  network_renew,
	  { "--lifetime", "--beacon" } },
	{ "export", "[NETWORK]", 0, 1, network_export, { 0 } },
	{ "ca", "[NETWORK]", 0, 1, network_ca, { 0 } },
	{ "endorse", "[NETWORK] KEY", 1, 2, network_endorse, { 0 } },
};

static bool takes(const struct subcommand *s, const char *flag)
{
	static const char *const ALL[] = { "--home", "--identity", "--config", "--json", "--help" };

	for (size_t i = 0; i < sizeof(ALL) / sizeof(ALL[0]); i++)
		if (strcmp(ALL[i], flag) == 0)
			return true;
	for (size_t i = 0; i < FLAGS_MAX && s->flags[i]; i++)
		if (strcmp(s->flags[i], flag) == 0)
			return true;
	return false;
}

static int check(const struct subcommand *s, const struct options *o, struct failure *f)
{
	size_t words = o->n_words - 1;

	if (words < s->least || words > s->most) {
		fail_usage(f, "",
			   words < s->least ? "network %s: a word is missing"
					    : "network %s: a word too many",
			   s->name);
		fail_hint(f, "godwit network %s %s", s->name, s->usage);
		return -1;
	}
	for (size_t i = 0; i < o->n_given; i++)
		if (!takes(s, o->given[i].spec->name)) {
			fail_usage(f, "", "network %s takes no %s", s->name,
				   o->given[i].spec->name);
			fail_hint(f, "godwit network %s %s", s->name, s->usage);
			return -1;
		}
	return 0;
}

int run_network(struct cli *c)
{
	const char *name = c->options.n_words ? c->options.words[0] : NULL;

	if (!name)
		return fail_usage(&c->failure, "godwit help network", "network needs a subcommand");
	for (size_t i = 0; i < sizeof(SUBCOMMANDS) / sizeof(SUBCOMMANDS[0]); i++)
		if (strcmp(SUBCOMMANDS[i].name, name) == 0)
			return check(&SUBCOMMANDS[i], &c->options, &c->failure) < 0
				       ? -1
				       : SUBCOMMANDS[i].run(c);
	return fail_usage(
		&c->failure,
		"create, show, invite, join, members, revoke, renew, export, ca or endorse",
		"network has no \"%.60s\"", name);
}

/* --- a command at work --- */

int net_open(struct net *w, struct cli *c, enum net_access access, bool make_home)
{
	struct timespec t;

	memset(w, 0, sizeof(*w));
	w->c = c;
	w->f = &c->failure;
	w->home.fd = w->home.lock_fd = w->lock = w->n.fd = -1;
	clock_gettime(CLOCK_REALTIME, &t);
	if (t.tv_sec < 0)
		t.tv_sec = 0;
	w->now_ms = (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
	w->now_s = t.tv_sec > UINT32_MAX ? UINT32_MAX : (uint32_t)t.tv_sec;
	if (home_open(&w->home, setting_get(&c->settings, SETTING_HOME), make_home, w->f) < 0)
		return -1;
	/* Nothing is there to be changed in a home that does not exist. */
	if (access == NET_LOOK || w->home.fd < 0)
		return 0;
	w->lock = home_networks_lock(&w->home, w->f);
	return w->lock < 0 ? -1 : 0;
}

int net_open_network(struct net *w, struct cli *c, enum net_access access)
{
	const char *text = c->options.n_words > 1 ? c->options.words[1] : NULL;

	if (net_open(w, c, access, false) < 0)
		return -1;
	return home_network_find(&w->n, &w->home, text, w->f);
}

void net_close(struct net *w)
{
	home_network_close(&w->n);
	if (w->lock >= 0)
		close(w->lock);
	home_close(&w->home);
}

int net_own_key(const struct net *w, uint8_t key[KEY_SIZE])
{
	const char *where = setting_get(&w->c->settings, SETTING_IDENTITY);
	struct identity id;

	if (where && strcmp(where, "ephemeral") == 0)
		return fail_usage(w->f, "--identity file:PATH, or that of the home",
				  "an ephemeral key is gone after this command: no certificate "
				  "for it");
	if (home_identity(&w->home, &w->c->settings, &id, w->f) < 0)
		return -1;
	memcpy(key, id.key, KEY_SIZE);
	identity_wipe(&id);
	return 0;
}

void network_ask_node(struct cli *c, json_t *request, op_event_fn *event, void *user)
{
	struct session_options o = {
		.kind = SESSION_RUNNING,
		.settings = &c->settings,
		.quiet = true,
		.request = request,
		.fds = { -1, -1 },
		.event = event,
		.user = user,
	};
	struct failure ignored;
	struct home home;
	int fd = -1;

	if (home_open(&home, setting_get(&c->settings, SETTING_HOME), false, &ignored) == 0) {
		fd = home_connect(&home);
		home_close(&home);
	}
	if (fd >= 0) {
		close(fd);
		(void)session_run(&o);
	}
	json_decref(request);
}

void network_tell_node(struct cli *c)
{
	network_ask_node(c, json_pack("{s:s}", "op", "networks-reload"), cli_no_event, NULL);
}

int net_sign(struct cli *c, net_key_fn *key_of, net_sign_fn *sign)
{
	const struct options *o = &c->options;
	struct identity key;
	struct net w;
	int rv = net_open(&w, c, NET_CHANGE, false);

	if (rv == 0)
		rv = home_network_find(&w.n, &w.home, o->n_words > 2 ? o->words[1] : NULL, w.f);
	if (rv == 0)
		rv = key_of(&w, &key);
	if (rv == 0) {
		rv = net_check_clock(&w);
		if (rv == 0)
			rv = sign(&w, o->words[o->n_words - 1], &key);
		identity_wipe(&key);
	}
	net_close(&w);
	if (rv == 0)
		network_tell_node(c);
	return rv < 0 ? -1 : EXIT_OK;
}

/* --- export --- */

int network_export(struct cli *c)
{
	char *word = NULL;
	struct net w;
	int rv = net_open_network(&w, c, NET_LOOK);
	json_t *j;

	if (rv == 0 && w.n.manifest.len == 0) {
		rv = fail_error(w.f, GODWIT_E_NOT_FOUND, "manifest");
		fail_message(w.f, "no manifest of %s has been seen yet", w.n.label);
		fail_hint(w.f, "a bundle from a member (godwit network export), or: godwit up");
	} else if (rv == 0) {
		word = bundle_format(w.n.manifest.bytes, w.n.manifest.len, NULL, 0);
		rv = word ? 0 : fail_error(w.f, GODWIT_E_NOMEM, "bundle");
	}
	if (rv == 0 && c->json) {
		j = json_pack("{s:o,s:s,s:I,s:s}", "network", net_key_text(w.n.key), "label",
			      w.n.label, "sequence", (json_int_t)w.n.manifest.m.sequence, "bundle",
			      word);
		print_json(j);
		json_decref(j);
	} else if (rv == 0) {
		printf("%s\n", word);
	}
	free(word);
	net_close(&w);
	return rv < 0 ? -1 : EXIT_OK;
}
