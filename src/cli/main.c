/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/commands.h"
#include "crypto/identity.h"
#include "godwit/godwit.h"

/* Errors of the command line itself are JSON too, if that was asked for. */
static bool wants_json(int argc, char **argv)
{
	for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (strcmp(argv[i], "--json") == 0 || strcmp(argv[i], "--jsonl") == 0)
			return true;
	return false;
}

static const struct command *find(const char *name)
{
	if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
		name = "help";
	if (strcmp(name, "--version") == 0)
		name = "version";
	for (const struct command *c = COMMANDS; c->name; c++)
		if (strcmp(c->name, name) == 0)
			return c;
	return NULL;
}

static int check_words(struct cli *c)
{
	size_t n = c->options.n_words;

	if (n >= c->command->least && n <= c->command->most)
		return 0;
	fail_usage(&c->failure, "",
		   n < c->command->least ? "%s: a word is missing" : "%s: a word too many",
		   c->command->name);
	fail_hint(&c->failure, "godwit %s", c->command->usage);
	return -1;
}

static int run(struct cli *c, int argc, char **argv)
{
	int rv;

	if (c->command->later)
		return fail_usage(&c->failure, "godwit help",
				  "%s is not in this version: %s come later", c->command->name,
				  c->command->later);
	if (options_parse(&c->options, c->command->specs, c->command->name, argc, argv,
			  &c->failure) < 0)
		return -1;
	if (options_has(&c->options, "--help")) {
		c->options.n_words = 1;
		c->options.words[0] = c->command->name;
		return find("help")->run(c);
	}
	if (check_words(c) < 0)
		return -1;
	/* Help must come whatever the settings look like. */
	if (c->command->bare)
		return c->command->run(c);
	rv = settings_load(&c->settings, &c->options, &c->failure);
	if (rv == 0)
		rv = c->command->run(c);
	settings_clear(&c->settings);
	return rv;
}

/* The first descriptors must not become sockets of ours. */
static void fill_standard_fds(void)
{
	int fd = open("/dev/null", O_RDWR);

	while (fd >= 0 && fd <= STDERR_FILENO)
		fd = dup(fd);
	if (fd > STDERR_FILENO)
		close(fd);
}

/* JSON, and people's terminals, want UTF-8. */
static int check_text(struct cli *c, int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		json_t *valid = json_string(argv[i]);

		json_decref(valid);
		if (!valid)
			return fail_usage(&c->failure, "the same in UTF-8",
					  "argument %d is not valid UTF-8", i);
	}
	return 0;
}

/* What was printed must have arrived. */
static int check_output(struct cli *c, int exit)
{
	if (exit != EXIT_OK || (fflush(stdout) == 0 && !ferror(stdout)))
		return exit;
	fail_errno(&c->failure, errno, "cannot write standard output");
	fail_hint(&c->failure, "look at where it goes: a full disk, a closed pipe");
	return fail_print(&c->failure, false);
}

int main(int argc, char **argv)
{
	struct cli c = { .json = wants_json(argc, argv) };
	int rv = -1;

	fill_standard_fds();
	if (crypto_init() < 0) {
		fail_error(&c.failure, GODWIT_E_CRYPTO, "cannot start");
		return fail_print(&c.failure, c.json);
	}
	c.command = argc > 1 ? find(argv[1]) : NULL;
	if (check_text(&c, argc, argv) < 0)
		rv = -1;
	else if (c.command)
		rv = run(&c, argc - 2, argv + 2);
	else if (argc > 1)
		fail_usage(&c.failure, "godwit help", "there is no command \"%.60s\"", argv[1]);
	else
		fail_usage(&c.failure, "godwit help", "a command is missing");
	return rv < 0 ? fail_print(&c.failure, c.json) : check_output(&c, rv);
}
