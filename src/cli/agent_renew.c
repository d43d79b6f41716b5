/* SPDX-License-Identifier: Apache-2.0 */
/* What a running node signs by itself: its own certificate, by an invite or as a CA, and manifests. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/agent_internal.h"
#include "cli/network_internal.h"
#include "cli/text.h"

/* The home is the agent's and stays open. */
static int begin(struct net *w, const struct agent *a, struct failure *f)
{
	memset(w, 0, sizeof(*w));
	w->f = f;
	w->home = *a->home;
	w->n.fd = -1;
	w->now_ms = loop_wall_clock_ms();
	w->now_s = (uint32_t)(w->now_ms / 1000);
	w->lock = home_networks_lock(&w->home, f);
	return w->lock < 0 ? -1 : 0;
}

static void end(struct net *w)
{
	home_network_close(&w->n);
	if (w->lock >= 0)
		close(w->lock);
}

/* --- join --- */

static bool is_member(const struct net *w, const uint8_t own[KEY_SIZE])
{
	const struct wire_certificate *link = &w->n.links.links[w->n.links.n_links - 1];
	struct member m;

	if (w->n.chain_len == 0 || memcmp(link->key, own, KEY_SIZE) != 0)
		return false;
	if (w->n.manifest.len == 0)
		return w->now_s < link->not_after;
	return member_check(&m, w->n.chain, w->n.chain_len, &w->n.manifest, w->now_s) == TRUST_OK;
}

static int begin_new(struct net *w, const struct invite *i)
{
	if (!wire_name_valid(i->wire.name))
		return fail_usage(w->f, "godwit network join env:GODWIT_INVITE --as LABEL",
				  "the invite does not say what its network is called");
	if (home_network_begin(&w->n, &w->home, i->wire.name, w->f) < 0)
		return -1;
	memcpy(w->n.key, i->chain.network, KEY_SIZE);
	return 0;
}

static int join(struct net *w, const uint8_t own[KEY_SIZE], const char *word,
		const struct invite *i, const char *name)
{
	int rv = home_network_by_key(&w->n, &w->home, i->chain.network, w->f);
	uint8_t chain[WIRE_CHAIN_MAX];
	bool fresh = rv > 0;
	size_t len;

	if (rv < 0 || (rv == 0 && is_member(w, own)))
		return rv;
	if (fresh && begin_new(w, i) < 0)
		return -1;
	if (net_join_by(w, i, own, name, 0, chain, &len) < 0) {
		if (fresh || w->n.chain_len == 0)
			return -1;
		fail_print(w->f, false); /* it may serve others, and people are told why */
		return 0;
	}
	if (home_network_save_invite(&w->n, word, w->f) < 0 ||
	    home_network_save_chain(&w->n, chain, len, w->f) < 0)
		return -1;
	return fresh ? home_network_commit(&w->n, &w->home, w->f) : 0;
}

int agent_join(struct agent *a, const struct settings *s, struct failure *f)
{
	const char *where = setting_get(s, SETTING_INVITE);
	uint8_t own[KEY_SIZE];
	struct text word = { 0 };
	struct invite i;
	struct net w;
	int rv;

	if (!where)
		return 0;
	if (net_read_word(where, &word, f) < 0)
		return -1;
	rv = invite_parse(&i, word.data);
	if (rv < 0) {
		net_wrong_word(word.data, rv, true, f);
		text_free(&word);
		return -1;
	}
	godwit_node_key(a->node, own);
	rv = begin(&w, a, f);
	if (rv == 0)
		rv = join(&w, own, word.data, &i, setting_get(s, SETTING_NAME));
	end(&w);
	if (rv == 0)
		agent_adopt_beacons(a, i.wire.beacons, i.wire.n_beacons);
	invite_wipe(&i);
	text_free(&word);
	return rv;
}

/* --- the own certificate --- */

static int by_ca(struct net *w, const struct agent_network *an, uint8_t chain[WIRE_CHAIN_MAX],
		 size_t *len)
{
	struct wire_certificate link = w->n.links.links[w->n.links.n_links - 1];
	uint32_t span = an->not_after - an->not_before;
	struct identity ca;
	int rv;

	if (manifest_revokes_key(&w->n.manifest, link.key)) {
		fail_error(w->f, GODWIT_E_DENIED, "certificate");
		fail_message(w->f, "%s", trust_refusal_text(TRUST_REVOKED));
		return -1;
	}
	if (home_network_ca(&w->n, &ca, w->f) < 0)
		return -1;
	link.serial = net_serial();
	link.not_before = w->now_s;
	link.not_after = net_until(w, span);
	rv = net_check_clock(w);
	if (rv == 0)
		rv = net_sign_member(w, &ca, &link, chain, len);
	identity_wipe(&ca);
	return rv;
}

/* The invite ends when our certificate does, or nearly: nothing is to be had. */
static int check_gain(const struct net *w, const struct agent_network *an,
		      const struct wire_certificate *invite)
{
	uint32_t longest = invite->longest ? invite->longest : TRUST_DELEGATE_LONGEST_S;
	uint64_t until = (uint64_t)w->now_s + longest;
	char date[DATE_SIZE];

	if (until > invite->not_after)
		until = invite->not_after;
	if (w->now_s >= invite->not_after ||
	    until > an->not_after + (uint64_t)(an->not_after - an->not_before) / 10)
		return 0;
	fail_error(w->f, GODWIT_E_TIMEOUT, "invite");
	fail_message(w->f, "the invite is not valid for longer (%s)",
		     format_date(invite->not_after, date));
	return -1;
}

static int by_invite(struct net *w, const struct agent_network *an, const uint8_t own[KEY_SIZE],
		     uint8_t chain[WIRE_CHAIN_MAX], size_t *len)
{
	struct invite i;
	int rv;

	if (home_network_invite(&w->n, &i, w->f) < 0)
		return -1;
	rv = check_gain(w, an, &i.chain.links[0]);
	if (rv == 0)
		rv = net_join_by(w, &i, own, an->name, 0, chain, len);
	invite_wipe(&i);
	return rv;
}

static int renew(struct net *w, struct agent *a, struct agent_network *an)
{
	uint8_t own[KEY_SIZE], chain[WIRE_CHAIN_MAX];
	int rv = home_network_by_key(&w->n, &w->home, an->key, w->f);
	size_t len = 0;

	if (rv > 0) /* it was removed, and we shall be told */
		return fail_error(w->f, GODWIT_E_NOT_FOUND, "network");
	if (rv < 0)
		return -1;
	agent_take_own(a, an, &w->n);
	if (!an->member || w->now_s < an->not_before + (an->not_after - an->not_before) / 2)
		return 0;
	godwit_node_key(a->node, own);
	if (an->holds_ca)
		rv = by_ca(w, an, chain, &len);
	else
		rv = by_invite(w, an, own, chain, &len);
	if (rv < 0 || home_network_save_chain(&w->n, chain, len, w->f) < 0)
		return -1;
	agent_take_own(a, an, &w->n);
	return 0;
}

bool agent_renew_certificate(struct agent *a, struct agent_network *an)
{
	const char *why = NULL;
	struct failure f;
	struct net w;
	int rv;

	if (!an->holds_ca && !an->holds_invite) {
		snprintf(an->cannot, sizeof(an->cannot),
			 "neither an invite nor the key of a CA is here");
		return false;
	}
	rv = begin(&w, a, &f);
	if (rv == 0)
		rv = renew(&w, a, an);
	if (rv == 0 &&
	    godwit_network_set(a->node, an->key, NULL, 0, w.n.chain, w.n.chain_len, &why) < 0)
		rv = fail_usage(&f, "", "%s", why);
	snprintf(an->cannot, sizeof(an->cannot), "%.290s", rv < 0 ? f.message : "");
	end(&w);
	return rv == 0;
}

/* --- a manifest --- */

static int sign_manifest(struct net *w, const struct agent_network *an)
{
	struct identity ca;
	struct revision r;
	int rv = home_network_by_key(&w->n, &w->home, an->key, w->f);

	if (rv > 0)
		return fail_error(w->f, GODWIT_E_NOT_FOUND, "network");
	if (rv < 0 || net_check_clock(w) < 0 || home_network_ca(&w->n, &ca, w->f) < 0)
		return -1;
	rv = revision_begin(&r, w);
	if (rv == 0) {
		rv = revision_finish(&r, w, &ca, 0);
		revision_clear(&r);
	}
	identity_wipe(&ca);
	return rv;
}

bool agent_renew_manifest(struct agent *a, struct agent_network *an)
{
	const char *why = NULL;
	struct failure f;
	struct net w;
	int rv = begin(&w, a, &f);

	if (rv == 0)
		rv = sign_manifest(&w, an);
	if (rv == 0 && godwit_network_set(a->node, an->key, w.n.manifest.bytes, w.n.manifest.len,
					  NULL, 0, &why) < 0)
		rv = fail_usage(&f, "", "%s", why);
	snprintf(an->cannot_sign, sizeof(an->cannot_sign), "%.290s", rv < 0 ? f.message : "");
	end(&w);
	return rv == 0;
}
