/* cli/commands.h - the subcommands: their flags, their help, what they print. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_CLI_COMMANDS_H
#define GODWIT_CLI_COMMANDS_H

#include "cli/session.h"

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
	bool bare;         /* needs no settings */
};

extern const struct command COMMANDS[]; /* ends with a NULL name */

int run_id(struct cli *c);
int run_up(struct cli *c);
int run_expose(struct cli *c);
int run_connect(struct cli *c);
int run_forward(struct cli *c);
int run_ping(struct cli *c);
int run_bench(struct cli *c);
int run_debug(struct cli *c);
int run_netcheck(struct cli *c);
int run_beacon(struct cli *c);
int run_status(struct cli *c);
void print_beacon_status(const json_t *event); /* a beacon's, for people */
int run_ticket(struct cli *c);
int run_config(struct cli *c);
int run_network(struct cli *c);
int run_policy(struct cli *c);
int run_version(struct cli *c);

/* --- what they share --- */

/* Carry it out; takes the request over.  Events go to `event` with the struct cli. */
int cli_request(struct cli *c, json_t *request, enum session_kind kind, op_event_fn *event);
op_event_fn cli_no_event;
json_t *cli_list(const struct settings *s, enum setting which);
/* Look at DEST before any node is started; the node does it again, with its own names. */
int cli_check_destination(struct cli *c, const char *text, const char *service);
int cli_timeout_ms(struct cli *c, json_int_t *out); /* --timeout; 0: none */

#endif
