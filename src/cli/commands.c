/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/commands.h"

#include <stdio.h>
#include <string.h>

#include "cli/text.h"

/* --- help --- */

static void print_options(const struct option_spec *specs)
{
	for (; specs->name; specs++) {
		char left[64];

		if (specs->later)
			continue;
		snprintf(left, sizeof(left), "%s%s%s", specs->name, specs->value ? " " : "",
			 specs->value ? specs->value : "");
		printf("  %-27s %s\n", left, specs->summary);
	}
}

static void print_command(const struct command *command)
{
	printf("usage: godwit %s\n\n%s.\n", command->usage, command->summary);
	if (*command->help)
		printf("\n%s\n", command->help);
	printf("\n");
	for (const struct option_spec *const *specs = command->specs; *specs; specs++)
		print_options(*specs);
}

static json_t *describe_options(const struct option_spec *const *specs)
{
	json_t *out = json_array();

	for (; *specs; specs++)
		for (const struct option_spec *s = *specs; s->name; s++)
			if (!s->later)
				json_array_append_new(out, json_pack("{s:s,s:s?,s:s}", "name",
								     s->name, "value", s->value,
								     "summary", s->summary));
	return out;
}

static void print_command_json(const struct command *command)
{
	json_t *j =
		json_pack("{s:s,s:s,s:s,s:o}", "name", command->name, "usage", command->usage,
			  "summary", command->summary, "options", describe_options(command->specs));

	print_json(j);
	json_decref(j);
}

static void print_commands(bool json)
{
	json_t *list = json_array(), *whole;

	if (!json)
		printf("godwit: connections that belong to keys, not to IP addresses.\n\n");
	for (const struct command *i = COMMANDS; i->name; i++) {
		if (i->later)
			continue;
		if (!json)
			printf("  %-10s %s\n", i->name, i->summary);
		json_array_append_new(list, json_pack("{s:s,s:s,s:s}", "name", i->name, "usage",
						      i->usage, "summary", i->summary));
	}
	whole = json_pack("{s:o}", "commands", list);
	if (json)
		print_json(whole);
	else
		printf("\nDEST is ADDRESS, TICKET or NAME, and /SERVICE.  More: godwit help "
		       "COMMAND, "
		       "man godwit.\n");
	json_decref(whole);
}

static int run_help(struct cli *c)
{
	const char *about = c->options.n_words ? c->options.words[0] : NULL;

	if (!about) {
		print_commands(c->json);
		return EXIT_OK;
	}
	for (const struct command *i = COMMANDS; i->name; i++)
		if (strcmp(i->name, about) == 0 && !i->later) {
			(c->json ? print_command_json : print_command)(i);
			return EXIT_OK;
		}
	return fail_usage(&c->failure, "godwit help", "there is no command \"%.60s\"", about);
}

/* --- the table --- */

static const struct option_spec UP_OPTIONS[] = {
	{ "--expose", "NAME=TARGET", "offer a service; may be repeated", NULL },
	{ "--forward", "LISTEN=DEST", "forward a local port or socket; may be repeated", NULL },
	{ 0 },
};

static const struct option_spec EXPOSE_OPTIONS[] = {
	{ "--as", "NAME", "the service's name; default: the port, or the socket's name", NULL },
	{ "--keep", NULL, "make it permanent: every `godwit up` of this home offers it", NULL },
	{ "--forget", "NAME", "undo --keep", NULL },
	{ 0 },
};

#define TIMEOUT                                                                                    \
	{                                                                                          \
		"--timeout", "SECONDS",                                                            \
			"give up (exit 124) when the peer has not answered by then", NULL          \
	}

static const struct option_spec TIMEOUT_OPTIONS[] = { TIMEOUT, { 0 } };

static const struct option_spec PING_OPTIONS[] = {
	{ "-c", "N", "stop after N replies; default: go on", NULL },
	{ "-i", "SECONDS", "from one to the next; default 1", NULL },
	{ "--until-direct", NULL, "stop at the first reply over a direct path, for up to 15 s",
	  NULL },
	{ "--jsonl", NULL, "the same as --json: one object a line", NULL },
	TIMEOUT,
	{ 0 },
};

static const struct option_spec STATUS_OPTIONS[] = {
	{ "--streams", NULL, "list every stream, too", NULL },
	{ 0 },
};

static const struct option_spec TICKET_OPTIONS[] = {
	{ "--service", "NAME", "of one service; default: of the node", NULL },
	{ 0 },
};

static const struct option_spec BENCH_OPTIONS[] = {
	{ "--seconds", "N", "how long; default 5", NULL },
	{ "--streams", "N", "how many at once; default 1", NULL },
	{ "--reverse", NULL, "the peer sends", NULL },
	TIMEOUT,
	{ 0 },
};

static const struct option_spec BEACON_OPTIONS[] = {
	{ "--listen", "ADDR:PORT", "UDP; default [::]:4443", NULL },
	{ "--tls-listen", "ADDR:PORT|none", "TCP; default port 443 when it can be had", NULL },
	{ "--name", "HOST", "by which nodes reach it; default: its IP address", NULL },
	{ "--allow", "WHO", "only for these nodes; may be repeated; default: any", NULL },
	{ "--silent", NULL, "no answer to others, not even that it is there; needs --allow", NULL },
	{ "--store", "memory", "where the directory is; default memory", NULL },
	{ "--limit", "NAME=N", "a limit, as handshakes=1000; may be repeated", NULL },
	{ "--status", NULL, "look at the beacon that runs in this home", NULL },
	{ "--no-sandbox", NULL, "keep what the process does not need: rights, core dumps, calls",
	  NULL },
	{ 0 },
};

static const struct option_spec NETCHECK_OPTIONS[] = {
	{ "--beacon", "BEACON", "ask this one, ADDRESS@HOST:PORT; may be repeated, up to 8", NULL },
	{ "--timeout", "SECONDS", "how long it may take; default 8", NULL },
	{ "--config", "FILE", "settings; default DIR/config.json when it is there", NULL },
	{ 0 },
};

static const struct option_spec POLICY_OPTIONS[] = {
	{ "--dial", "WHO", "check: may this node dial it?", NULL },
	{ "--group", "GROUP@NETWORK", "check: take it for one of that group; may be repeated",
	  NULL },
	{ "--policy", "FILE", "the rules; default DIR/policy when it is there", NULL },
	{ "--config", "FILE", "settings; default DIR/config.json when it is there", NULL },
	{ 0 },
};

static const struct option_spec NETWORK_OPTIONS[] = {
	{ "--name", "NAME",
	  "create, join, invite --for: of the member; invite: one that it may have", NULL },
	{ "--name-prefix", "P", "invite: what names of its members begin with; may be repeated",
	  NULL },
	{ "--group", "GROUP", "create, invite: of the members; may be repeated, up to 8", NULL },
	{ "--no-member", NULL, "create: this node does not become a member", NULL },
	{ "--lifetime", "TIME", "of the manifest (create, renew), or of members' certificates",
	  NULL },
	{ "--expires", "TIME", "invite: how long it can be used; default 24h", NULL },
	{ "--ephemeral", NULL, "invite: for members that leave no trace", NULL },
	{ "--for", "WHO",
	  "invite: a certificate for this node instead, in a word that is no secret", NULL },
	{ "--as", "LABEL", "join: what the network is called here", NULL },
	{ "--beacon", "BEACON", "create, renew: of the network; may be repeated, up to 4", NULL },
	{ "--config", "FILE", "settings; default DIR/config.json when it is there", NULL },
	{ 0 },
};

const struct command COMMANDS[] = {
	{
		.name = "id",
		.usage = "id",
		.summary = "Print this node's address; make the identity if there is none",
		.help = "",
		.specs = { HOME_OPTIONS },
		.run = run_id,
	},
	{
		.name = "up",
		.usage = "up [--expose NAME=TARGET]... [--forward LISTEN=DEST]... [--allow WHO]...",
		.summary = "Run the node of this home in the foreground",
		.help = "Prints `ready ADDRESS` when it can be reached: registered with a beacon, "
			"or\n"
			"without one: listening.  Ctrl-C ends it at once; SIGTERM "
			"lets streams\n"
			"end for up to two seconds first.",
		.specs = { UP_OPTIONS, NODE_OPTIONS, HOME_OPTIONS },
		.run = run_up,
	},
	{
		.name = "expose",
		.usage = "expose TARGET [--as NAME] --allow WHO|any... [--keep]",
		.summary = "Offer a service, and print the command for the other machine",
		.help = "TARGET is PORT, tcp:HOST:PORT, udp:HOST:PORT or unix:PATH.  It is offered "
			"by "
			"the running\n"
			"node of this home, else by a node of its own, until Ctrl-C.",
		.specs = { EXPOSE_OPTIONS, NODE_OPTIONS, HOME_OPTIONS },
		.most = 1,
		.run = run_expose,
	},
	{
		.name = "connect",
		.usage = "connect DEST",
		.summary = "Join standard input and output to a service (ssh ProxyCommand)",
		.help = "Exits when both directions have ended and all has arrived.",
		.specs = { TIMEOUT_OPTIONS, NODE_OPTIONS, HOME_OPTIONS },
		.least = 1,
		.most = 1,
		.run = run_connect,
	},
	{
		.name = "forward",
		.usage = "forward LISTEN DEST",
		.summary = "Forward a local port or Unix socket to a service",
		.help = "LISTEN is PORT (on 127.0.0.1), ADDR:PORT or unix:PATH; for a UDP service "
			"udp:ADDR:PORT.",
		.specs = { TIMEOUT_OPTIONS, NODE_OPTIONS, HOME_OPTIONS },
		.least = 2,
		.most = 2,
		.run = run_forward,
	},
	{
		.name = "ping",
		.usage = "ping DEST [-c N] [-i SECONDS] [--until-direct]",
		.summary = "Measure authenticated round trips, naming the path of each",
		.help = "",
		.specs = { PING_OPTIONS, NODE_OPTIONS, HOME_OPTIONS },
		.least = 1,
		.most = 1,
		.run = run_ping,
	},
	{
		.name = "status",
		.usage = "status [--streams]",
		.summary = "Show the running node: beacons, peers, paths, streams, services",
		.help = "",
		.specs = { STATUS_OPTIONS, HOME_OPTIONS },
		.run = run_status,
	},
	{
		.name = "netcheck",
		.usage = "netcheck [--beacon B]... [--timeout SECONDS]",
		.summary = "Check the network: UDP, NAT, port mapping, beacons, clock",
		.help = "Asks the beacons of the settings, else those of the running node or of "
			"the\n"
			"home's networks.  Two at different addresses tell most.  Mapping and\n"
			"filtering are named as in RFC 5780.",
		.specs = { NETCHECK_OPTIONS, HOME_OPTIONS },
		.run = run_netcheck,
	},
	{
		.name = "ticket",
		.usage = "ticket [--service NAME], or ticket show TICKET",
		.summary = "Make a ticket: this node's address, endpoints and beacons in one "
			   "word; or decode one",
		.help = "",
		.specs = { TICKET_OPTIONS, NODE_OPTIONS, HOME_OPTIONS },
		.most = 2,
		.run = run_ticket,
	},
	{
		.name = "beacon",
		.usage = "beacon [--listen ADDR:PORT] [--tls-listen ADDR:PORT|none] [--name HOST] "
			 "[--allow WHO]... [--silent]",
		.summary = "Run a beacon: nodes find and reach one another by it",
		.help = "Prints `ready ADDRESS@HOST:PORT`, for the --beacon of nodes.  It needs a "
			"home "
			"of its own.\n"
			"SIGTERM lets nodes move to another beacon first, for up to five seconds.",
		.specs = { BEACON_OPTIONS, HOME_OPTIONS },
		.run = run_beacon,
	},
	{
		.name = "network",
		.usage = "network create|show|invite|join|members|revoke|renew|export|ca|endorse "
			 "...",
		.summary = "Networks: sets of nodes that a key vouches for, without a server",
		.help = "  create NAME           make one, whose CA key is here\n"
			"  show [NETWORK]        what is known of it; of all without NETWORK\n"
			"  invite [NETWORK]      print an invite: a secret by which nodes join\n"
			"  join WHERE            by env:NAME, file:PATH, fd:N or - with an invite "
			"or a "
			"bundle,\n"
			"                        or by a bundle itself\n"
			"  members [NETWORK]     who is known to be a member\n"
			"  revoke [NETWORK] WHO  an address, a name, serial:HEX, or a further "
			"CA's key; needs\n"
			"                        a CA key\n"
			"  renew [NETWORK]       the manifest where the CA key is, and this node's "
			"certificate\n"
			"  export [NETWORK]      print a bundle: what others need to trust it; no "
			"secret\n"
			"  ca [NETWORK]          print this home's key of a CA; make a further "
			"one if there is none\n"
			"  endorse [NETWORK] KEY make that key a further CA; needs the network's "
			"own key\n"
			"NETWORK is its label or key (c...); the home's only one may be left out.  "
			"TIME is 90s, 15m, 24h,\n"
			"30d, 1y, or a number of seconds.",
		.specs = { NETWORK_OPTIONS, HOME_OPTIONS },
		.most = 3,
		.run = run_network,
	},
	{
		.name = "bench",
		.usage = "bench DEST [--seconds N] [--streams N] [--reverse]",
		.summary = "Measure throughput, latency and CPU over the overlay itself",
		.help = "Every node serves it to the peers it allows.",
		.specs = { BENCH_OPTIONS, NODE_OPTIONS, HOME_OPTIONS },
		.least = 1,
		.most = 1,
		.run = run_bench,
	},
	{
		.name = "debug",
		.usage = "debug move|break|rebind",
		.summary = "Inflict a fault on the running node",
		.help = "move: new connections; break: drop connections silently; rebind: another "
			"UDP port.",
		.specs = { HOME_OPTIONS },
		.least = 1,
		.most = 1,
		.run = run_debug,
	},
	{
		.name = "config",
		.usage = "config",
		.summary = "Print every setting and where it came from",
		.help = "",
		.specs = { UP_OPTIONS, NODE_OPTIONS, HOME_OPTIONS },
		.run = run_config,
	},
	{
		.name = "version",
		.usage = "version",
		.summary = "Print the version",
		.help = "",
		.specs = { HOME_OPTIONS },
		.run = run_version,
		.bare = true,
	},
	{
		.name = "help",
		.usage = "help [COMMAND]",
		.summary = "Explain a command",
		.help = "",
		.specs = { HOME_OPTIONS },
		.most = 1,
		.run = run_help,
		.bare = true,
	},
	{
		.name = "policy",
		.usage = "policy show, policy check WHO SERVICE, policy check --dial WHO, or "
			 "policy reload",
		.summary = "Show the rules, ask what they decide, or read the policy file again",
		.help = "The running node is asked; without one the files say what it would do.\n"
			"check ends with 0: allowed, or 5: denied.",
		.specs = { POLICY_OPTIONS, HOME_OPTIONS },
		.most = 3,
		.run = run_policy,
	},
	{ 0 },
};
