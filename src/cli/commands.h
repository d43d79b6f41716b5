/* cli/commands.h - the subcommands: their flags, their help, what they print. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_CLI_COMMANDS_H
#define GODWIT_CLI_COMMANDS_H

#include "cli/settings.h"

struct command;

struct cli {
	const struct command *command;
	struct options options;
	struct settings settings;
	bool json;
	struct failure failure; /* set by a run() that returns -1 */
};

enum { SPECS_MAX = 4 };

struct command {
	const char *name, *usage, *summary;
	const char *help;                           /* what else there is to know; may be "" */
	const struct option_spec *specs[SPECS_MAX]; /* NULL-terminated */
	size_t least, most;                         /* words */
	/* The exit code, or -1: print cli->failure. */
	int (*run)(struct cli *c);
	const char *later; /* not in this version: why; NULL: here it is */
};

extern const struct command COMMANDS[]; /* ends with a NULL name */

#endif
