/* tests/sim/scenario_names.c - members of a network and their names, by way of beacons alone: no node
 * dials another one.
 *
 * One is found; a second one, named by a CA, takes the name over; it is revoked, and the first one is
 * found again; a third one claims the name, too, and nobody is found.  Meanwhile beacons forget all,
 * and nodes go elsewhere. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "../unit/trust_kit.h"
#include "scenario.h"

enum { FIRST, SECOND, SEEKER, ADMIN, N_NODES };

#define LOOK_EVERY (1 * GW_SEC)
#define SOON (120 * GW_SEC) /* also when a beacon comes back first; a manifest to all as well */

/* Of the run in progress. */
static struct names_run {
	struct kit kit;
	struct proc *nodes[N_NODES];
	uint64_t id; /* of the search in progress */
	bool answered;
	int error;
	uint8_t key[KEY_SIZE];
	uint64_t newest; /* manifest */
	unsigned met;    /* demands */
} run;

static void note_name(struct proc *p, const struct event *ev)
{
	(void)p;
	if (ev->type != EVENT_NAME || ev->ping_id != run.id)
		return;
	run.answered = true;
	run.error = ev->error;
	memcpy(run.key, ev->key, KEY_SIZE);
}

/* --- what they do --- */

static void set_network(struct sim *s, struct proc *p, uint64_t sequence, const uint8_t *revoked,
			const char *name, bool delegated)
{
	struct network_config c = { 0 };
	uint8_t chain[WIRE_CHAIN_MAX];

	memcpy(c.key, run.kit.ca.key, KEY_SIZE);
	c.manifest_len = kit_manifest(&run.kit, sequence, revoked, 0);
	c.manifest = run.kit.bytes;
	c.chain = chain;
	c.chain_len = name ? kit_chain(&run.kit, proc_key(p), name, delegated, chain) : 0;
	if (node_network_set(p->node, &c, s->now) != TRUST_OK)
		sim_fail(s, "%s: the network is refused", p->name);
}

/* value: delegated. */
static void act_claim(struct sim *s, struct action *a)
{
	sim_note(s, "%s claims the name%s", a->proc->name, a->value ? ", by an invite" : "");
	set_network(s, a->proc, 1, NULL, "nas", a->value);
}

static void act_revoke(struct sim *s, struct action *a)
{
	run.newest = 2;
	set_network(s, a->proc, run.newest, proc_key(a->peer), NULL, false);
	sim_note(s, "%s revokes %s", a->proc->name, a->peer->name);
}

/* --- what is to be --- */

static void look(struct sim *s, const struct proc *seeker)
{
	run.answered = false;
	if (node_find_name(seeker->node, run.kit.ca.key, "nas", &run.id, s->now) < 0)
		sim_fail(s, "%s cannot look for a name", seeker->name);
}

static bool is_answer(const struct action *a)
{
	if (!run.answered || !a->peer)
		return run.answered && run.error == -(int)a->count;
	return run.error == 0 && memcmp(run.key, proc_key(a->peer), KEY_SIZE) == 0;
}

/* proc: who looks, until `value`; peer: who has the name, or NULL: `count` is the error. */
static void act_find(struct sim *s, struct action *a)
{
	struct proc *seeker = run.nodes[SEEKER];
	struct action next = *a;

	if (is_answer(a)) {
		sim_note(s, "%s finds %s", seeker->name,
			 a->peer ? a->peer->name : error_text(run.error));
		run.id = 0;
		run.answered = false;
		run.met++;
		return;
	}
	if (s->now >= a->value) {
		sim_fail(s, "%s looks for %s, and finds: %s", seeker->name,
			 a->peer ? a->peer->name : error_text(-(int)a->count),
			 run.answered ? error_text(run.error) : "nothing");
		return;
	}
	if (run.id == 0 || run.answered) {
		look(s, seeker);
		proc_pump(seeker);
	}
	*sim_action(s, s->now + LOOK_EVERY, act_find) = next;
}

static void expect(struct sim *s, gw_time at, gw_time within, struct proc *who, int error)
{
	struct action *a = sim_action(s, at, act_find);

	a->peer = who;
	a->count = (uint64_t)-error;
	a->value = at + within;
}

static bool names_verdict(struct sim *s)
{
	struct network_info info;

	if (run.met != 4) {
		sim_fail(s, "%u of 4 demands were met", run.met);
		return false;
	}
	for (int i = 0; i < N_NODES; i++)
		if (!node_network_next(run.nodes[i]->node, NULL, &info) ||
		    info.manifest->m.sequence != run.newest) {
			sim_fail(s, "%s has not heard of the newest manifest", run.nodes[i]->name);
			return false;
		}
	return blame_is_right(s);
}

/* --- the world --- */

static void people(struct sim *s, unsigned beacons)
{
	for (unsigned i = 0; i < beacons; i++)
		scene_beacon(s);
	for (int i = 0; i < N_NODES; i++)
		run.nodes[i] = scene_node(s, scene_site(s), beacons);
	run.nodes[SEEKER]->on_event = note_name;
	for (unsigned i = 0; i < s->n_hosts; i++) {
		struct iface *f = &s->hosts[i].ifaces[0];

		f->up.delay = f->down.delay = sim_between(s, 500, 50000) * GW_USEC;
		f->up.loss = f->down.loss = (unsigned)sim_between(s, 0, 200);
	}
}

static void trouble(struct sim *s, gw_time at, unsigned beacons)
{
	struct action *a;

	if (sim_chance(s, 50)) {
		a = sim_action(s, at + sim_between(s, 0, 5000) * GW_MSEC, act_restart);
		a->proc = &s->procs[sim_between(s, 0, beacons - 1)];
		a->value = sim_between(s, 10, 20000) * GW_MSEC;
	}
	if (sim_chance(s, 50))
		sim_action(s, at + sim_between(s, 0, 5000) * GW_MSEC, act_roam)->proc =
			run.nodes[sim_between(s, 0, N_NODES - 1)];
}

static struct action *node_action(struct sim *s, gw_time at, int node,
				  void (*fn)(struct sim *s, struct action *a))
{
	struct action *a = sim_action(s, at, fn);

	a->proc = run.nodes[node];
	return a;
}

void build_names(struct sim *s)
{
	unsigned beacons = (unsigned)sim_between(s, 1, 2);
	gw_time at = s->start + 10 * GW_SEC;

	memset(&run, 0, sizeof(run));
	kit_init(&run.kit, 61, sim_wall_ms(s));
	run.newest = 1;
	people(s, beacons);
	scene_start(s);
	for (int i = 0; i < N_NODES; i++)
		set_network(s, run.nodes[i], 1, NULL, NULL, false);
	node_action(s, at, FIRST, act_claim)->value = true;
	trouble(s, at, beacons);
	expect(s, at + GW_SEC, SOON, run.nodes[FIRST], 0);
	at += SOON + 10 * GW_SEC;
	node_action(s, at, SECOND, act_claim);
	trouble(s, at, beacons);
	expect(s, at + GW_SEC, SOON, run.nodes[SECOND], 0);
	at += SOON + 10 * GW_SEC;
	node_action(s, at, ADMIN, act_revoke)->peer = run.nodes[SECOND];
	trouble(s, at, beacons);
	expect(s, at + GW_SEC, SOON, run.nodes[FIRST], 0);
	at += SOON + 10 * GW_SEC;
	node_action(s, at, ADMIN, act_claim)->value = true;
	trouble(s, at, beacons);
	expect(s, at + GW_SEC, SOON, NULL, GW_E_AMBIGUOUS);
	s->slack = 10 * GW_SEC;
	s->verdict = names_verdict;
}
