/* cli/agent.h - a running node with its services: what `up` is, and what every other command
 * uses, in its own process or through the control socket.
 *
 * A request is a JSON object {"op": NAME, ...}; it causes events (JSON objects) and one end.
 * It is the same whoever asks. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_CLI_AGENT_H
#define GODWIT_CLI_AGENT_H

#include "cli/home.h"
#include "cli/sandbox.h"
#include "cli/who.h"
#include "service/service.h"

struct agent;

/* `transient`: shares its key with other processes of the home.  Borrows loop, home and settings.
 * Serves the bench service to whoever is allowed something. */
int agent_new(struct agent **out, struct loop *loop, struct home *home, const struct settings *s,
	      bool transient, struct failure *f);
void agent_free(struct agent *a);

/* Told once: the node cannot go on (its identity is in use elsewhere). */
typedef void agent_fatal_fn(void *user, const struct failure *f);
void agent_on_fatal(struct agent *a, agent_fatal_fn *fn, void *user);

/* It can be found: registered with a beacon; without any of its own: it listens. */
bool agent_is_ready(const struct agent *a);
/* Told once, perhaps at once. */
typedef void agent_ready_fn(void *user);
void agent_on_ready(struct agent *a, agent_ready_fn *fn, void *user);

/* For all of them, with why each does not answer. */
enum { BEACONS_TEXT_MAX = 1400 };
enum beacon_verdict { BEACONS_NONE, BEACONS_SILENT, BEACONS_ANSWER };
/* Our own beacons, and those of a ticket (or NULL).  `out`: those that answer, or each that does
 * not and why. */
enum beacon_verdict agent_judge_beacons(const struct agent *a, const godwit_ticket *to, char *out,
					size_t size);
/* Why a beacon is down. */
const char *beacon_trouble(int error);

/* For its status. */
void agent_set_sandbox(struct agent *a, enum sandbox state);

/* What the settings and the home say `up` is to serve. */
int agent_serve_settings(struct agent *a, const struct settings *s, struct failure *f);

/* It offers something, and no rule lets anybody use anything. */
bool agent_serves_nobody(struct agent *a);

/* No new streams; agent_active() says how many are left. */
void agent_drain(struct agent *a);
size_t agent_active(const struct agent *a);

struct hub *agent_hub(const struct agent *a);
struct home *agent_home(const struct agent *a);

/* --- offers: a service, its target, who may use it --- */

struct offer;
/* `allow`: strings, as who_parse() takes them; `source`: where they came from. */
int agent_offer(struct agent *a, const char *name, const char *target, const json_t *allow,
		const char *source, struct offer **out, struct failure *f);
void agent_withdraw(struct agent *a, struct offer *o);
struct offer *agent_find_offer(struct agent *a, const char *name); /* NULL: none */
/* Withdraw it unless a command owns it, then it ends with the command.  By default none does. */
void agent_forget(struct agent *a, const char *name);
void offer_set_owned(struct offer *o, bool owned);
const struct target *offer_target(const struct offer *o);
const json_t *offer_allow(const struct offer *o); /* texts of struct who */

/* Forwards are only counted and drained here.  `user` NULL: the item. */
struct forward_item;
int agent_forward(struct agent *a, const char *listen, const struct place *to,
		  forward_report_fn *report, too_large_fn *too_large, void *user,
		  struct forward_item **out, struct failure *f);
void agent_unforward(struct agent *a, struct forward_item *item);
const struct target *forward_item_listen(const struct forward_item *item);
/* A connection of a forward has failed; `text` names the forward. */
void fail_forward(struct failure *f, int error, const struct place *to, const char *text);

/* --- when the home has changed --- */

/* The policy file, and the networks.  A broken policy: the old rules stay. */
int agent_reload(struct agent *a, struct failure *f);

/* The object of `status --json` without "v". */
json_t *agent_status(const struct agent *a);
/* {"kind":"direct|relay","endpoint","via","transport"} */
/* `why`: it is not direct, as godwit_peer_info says. */
json_t *describe_path(bool relayed, const char *endpoint, const char *relay, const char *transport,
		      const char *why);
/* Why the path to a peer is not direct; NULL: it is, or there is none. */
const char *why_relayed(const godwit_node *node, const uint8_t key[GODWIT_KEY_SIZE]);

/* --- requests --- */

struct op;
size_t ops_streams(const struct agent *a); /* of live connects */
typedef void op_event_fn(void *user, const json_t *event);
/* `f` NULL: done.  The op is gone. */
typedef void op_end_fn(void *user, const struct failure *f);

struct op_sink {
	op_event_fn *event;
	op_end_fn *end;
	void *user;
};

/* Starts; events and the end may come before it returns.  `*slot` points to the op as long as
 * it lives.  Takes over the fds (those of "connect": input, output), -1: none. */
void op_start(struct agent *a, const json_t *request, const int fds[2], const struct op_sink *sink,
	      struct op **slot);
/* The one who asked is gone: end without a word. */
void op_cancel(struct op *op);

#endif
