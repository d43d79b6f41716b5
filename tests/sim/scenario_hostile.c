/* tests/sim/scenario_hostile.c - beacons, peers and strangers that mean harm.
 *
 * Whatever they do: the flows judge every byte, insight.c what a node holds, and the verdicts here
 * what was sent to those who have nothing to do with it. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "liar.h"
#include "scenario.h"

enum {
	FLOW_SIZE = 200 * 1024,
	PROBE_SIZE = 31,
	/* docs/protocol.md, section 13 */
	CANDIDATES = 8,
	VOLLEYS = 7,
	ROUNDS_AT_ONCE = 8,
	ROUND_GAP_S = 5,
	SPRAY_EASY = 512 * 11, /* a second, for 10 s */
	SPRAY_HARD = 256 * 11,
	SPRAY_GAP_S = 600,
	/* ours */
	PACKETS_A_SECOND = 400,
};

static unsigned add_victim(struct sim *s)
{
	unsigned host = net_add_host(s);

	s->hosts[host].victim = true;
	return host;
}

static void delays(struct sim *s)
{
	for (unsigned i = 0; i < s->n_hosts; i++)
		s->hosts[i].ifaces[0].up.delay = s->hosts[i].ifaces[0].down.delay =
			sim_between(s, 500, 20000) * GW_USEC;
}

/* --- verdicts --- */

/* Nothing but probes, and no more of them than one node may send for the sake of one peer. */
static bool victims_spared(struct sim *s, uint64_t nodes, uint64_t addresses, bool sprays)
{
	uint64_t seconds = (s->now - s->start) / GW_SEC;
	uint64_t rounds = ROUNDS_AT_ONCE + seconds / ROUND_GAP_S + 1;
	uint64_t most = rounds * VOLLEYS * addresses;

	if (sprays)
		most += (SPRAY_EASY + SPRAY_HARD) * (seconds / SPRAY_GAP_S + 1);
	for (unsigned i = 0; i < s->n_hosts; i++) {
		const struct host *h = &s->hosts[i];

		if (!h->victim)
			continue;
		sim_note(s, "the victim got %llu probes in %llu s",
			 (unsigned long long)h->got_probes, (unsigned long long)seconds);
		if (h->got_datagrams != h->got_probes ||
		    h->got_bytes != h->got_probes * PROBE_SIZE || h->got_probes > nodes * most) {
			sim_fail(s,
				 "a victim got %llu datagrams, %llu bytes, %llu probes in %llu s",
				 (unsigned long long)h->got_datagrams,
				 (unsigned long long)h->got_bytes,
				 (unsigned long long)h->got_probes, (unsigned long long)seconds);
			return false;
		}
	}
	return true;
}

static bool packets_bounded(struct sim *s)
{
	uint64_t seconds = (s->now - s->start) / GW_SEC + 10;

	for (unsigned i = 0; i < s->n_procs; i++) {
		struct node_stats st;

		if (!s->procs[i].node)
			continue;
		node_stats_get(s->procs[i].node, &st);
		if (st.datagrams_out > PACKETS_A_SECOND * seconds) {
			sim_fail(s, "%s sent %llu datagrams in %llu s", s->procs[i].name,
				 (unsigned long long)st.datagrams_out, (unsigned long long)seconds);
			return false;
		}
	}
	return true;
}

bool blame_is_right(struct sim *s)
{
	for (unsigned i = 0; i < s->n_procs; i++) {
		const struct proc *p = &s->procs[i];

		for (unsigned k = 0; p->node && k < p->n_beacons; k++) {
			const struct proc *b = p->beacons[k];
			const char *fault = fault_of(p, b);

			sim_note(s, "%s on %s: %s", p->name, b->name, fault ? fault : "fine");
			if (fault && !b->liar)
				sim_fail(s, "%s blames honest %s: %s", p->name, b->name, fault);
			if (!fault && b->liar && p->lied_to > 2)
				sim_fail(s, "%s has not noticed %llu provable lies of %s", p->name,
					 (unsigned long long)p->lied_to, b->name);
		}
	}
	return !s->failure[0];
}

/* --- beacons that lie --- */

static bool lies_verdict(struct sim *s)
{
	uint64_t nodes = 0;

	for (unsigned i = 0; i < s->n_procs; i++)
		nodes += !s->procs[i].is_beacon;
	return victims_spared(s, nodes * (nodes - 1), 1, true) && packets_bounded(s) &&
	       blame_is_right(s);
}

static unsigned some_lies(struct sim *s)
{
	unsigned lies = 0;

	if (sim_chance(s, 30))
		return LIES_ALL;
	for (uint64_t n = sim_between(s, 1, 4); n; n--)
		lies |= 1U << sim_between(s, 0, LIES_COUNT - 1);
	return lies;
}

static const char *const PLAIN[] = {
	"none", "firewall", "eim-eif", "eim-adf", "eim-apdf", "double"
};

/* With an honest beacon beside the liar they meet; with none as soon as the liar gets honest. */
void build_lies(struct sim *s)
{
	enum { PLAIN_KINDS = sizeof(PLAIN) / sizeof(PLAIN[0]), LASTS_S = 100 };
	bool honest = sim_chance(s, 70), plain = sim_chance(s, 50);
	gw_time until =
		s->start + (honest ? GW_NEVER - s->start : sim_between(s, 5, LASTS_S / 2) * GW_SEC);
	unsigned beacons = honest ? 2 : 1, victim;
	struct proc *liar, *x, *y;

	for (unsigned i = 0; i < beacons; i++)
		scene_beacon(s);
	liar = &s->procs[sim_between(s, 0, beacons - 1)];
	liar_make(s, liar, some_lies(s), until);
	for (unsigned i = 0; i < 2; i++)
		scene_node(s,
			   plain ? scene_site_of(s, PLAIN[sim_between(s, 0, PLAIN_KINDS - 1)])
				 : scene_site(s),
			   beacons);
	victim = add_victim(s);
	liar->liar->victim = s->hosts[victim].ifaces[0].addr;
	delays(s);
	if (sim_chance(s, 20))
		forger_start(s, (unsigned)sim_between(s, 2, 20), true);
	sim_note(s, "%s lies (%x, %u %%)%s", liar->name, liar->liar->lies, liar->liar->chance,
		 honest ? "" : " and is the only one");
	scene_start(s);
	x = &s->procs[beacons];
	y = &s->procs[beacons + 1];
	scene_flow(s, x, y, s->start, LASTS_S * GW_SEC, FLOW_SIZE);
	scene_flow(s, y, x, s->start + sim_between(s, 0, 20000) * GW_MSEC, LASTS_S / 2 * GW_SEC,
		   FLOW_SIZE / 4);
	s->slack = 200 * GW_SEC;
	s->verdict = lies_verdict;
	scene_expect(s, x, y, s->start + 60 * GW_SEC, s->start + 150 * GW_SEC, ANY_WAY);
}

/* --- peers that name others --- */

static bool accused_verdict(struct sim *s)
{
	return victims_spared(s, 1, CANDIDATES, false) && packets_bounded(s);
}

/* The relay stays, so there is always a reason to look for something better. */
void build_accused(struct sim *s)
{
	struct proc *accuser, *other;
	struct action *a;
	unsigned victim;

	scene_beacon(s);
	accuser = scene_node(s, scene_site(s), 1);
	other = scene_node(s, scene_site(s), 1);
	accuser->config.relay_only = true;
	victim = add_victim(s);
	delays(s);
	scene_start(s);
	if (sim_chance(s, 50))
		scene_flow(s, accuser, other, s->start, 60 * GW_SEC, FLOW_SIZE);
	else
		scene_flow(s, other, accuser, s->start, 60 * GW_SEC, FLOW_SIZE);
	a = sim_action(s, s->start + sim_between(s, 100, 3000) * GW_MSEC, act_accuse);
	a->proc = accuser;
	a->host = victim;
	a->value = sim_between(s, 5, 500) * GW_MSEC;
	s->slack = 120 * GW_SEC;
	s->verdict = accused_verdict;
	for (unsigned i = 0; i < 3; i++) { /* each connection begins a round, too */
		a = sim_action(s, s->start + sim_between(s, 1000, 60000) * GW_MSEC, act_debug_move);
		a->proc = sim_chance(s, 50) ? accuser : other;
	}
}

/* --- strangers that forge --- */

/* The two have settled: from here on nothing may change. */
static void act_remember(struct sim *s, struct action *a)
{
	struct peer_info info;

	if (!agreed(a->proc, a->peer) || !info_of(a->proc, a->peer, &info))
		sim_fail(s, "not settled");
	s->moves_seen[a->value] = info.moves;
	if (!s->forger.one_in)
		forger_start(s, (unsigned)sim_between(s, 1, 6), false);
}

static void act_compare(struct sim *s, struct action *a)
{
	struct peer_info info;

	if (!agreed(a->proc, a->peer) || !info_of(a->proc, a->peer, &info))
		sim_fail(s, "forged datagrams have ended a connection");
	else if (info.moves != s->moves_seen[a->value])
		sim_fail(s, "%s moved %llu times for forged datagrams", a->proc->name,
			 (unsigned long long)(info.moves - s->moves_seen[a->value]));
}

static bool forged_verdict(struct sim *s)
{
	return packets_bounded(s);
}

void build_forged(struct sim *s)
{
	struct proc *x, *y;

	for (unsigned i = 0; i < 2; i++)
		scene_beacon(s);
	x = scene_node(s, scene_site(s), 2);
	y = scene_node(s, scene_site(s), 2);
	delays(s);
	scene_start(s);
	if (sim_chance(s, 50))
		forger_start(s, (unsigned)sim_between(s, 1, 6), false);
	scene_flow(s, x, y, s->start, 100 * GW_SEC, FLOW_SIZE);
	scene_flow(s, y, x, s->start, 100 * GW_SEC, FLOW_SIZE * 4);
	for (unsigned i = 0; i < 2; i++) {
		struct action *a = sim_action(s, s->start + 30 * GW_SEC, act_remember);

		a->proc = i ? y : x;
		a->peer = i ? x : y;
		a->value = i;
		a = sim_action(s, s->start + 90 * GW_SEC, act_compare);
		a->proc = i ? y : x;
		a->peer = i ? x : y;
		a->value = i;
	}
	s->slack = 120 * GW_SEC;
	s->verdict = forged_verdict;
}
