/* SPDX-License-Identifier: Apache-2.0 */
/* network ca and endorse: further CAs, beside the network's own key. */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "cli/network_internal.h"
#include "cli/text.h"
#include "crypto/address.h"

/* --- ca: the key of this home --- */

static int make_key(struct net *w, uint8_t key[KEY_SIZE])
{
	struct identity ca;
	int rv;

	identity_generate(&ca);
	memcpy(key, ca.key, KEY_SIZE);
	rv = home_network_save_ca(&w->n, &ca, w->f);
	identity_wipe(&ca);
	return rv;
}

/* It stays revoked, and a new one takes its place only when people want it to. */
static int revoked_here(const struct net *w)
{
	fail_error(w->f, GODWIT_E_DENIED, "ca");
	w->f->exit = EXIT_FAILED;
	fail_message(w->f, "the key of the CA here is revoked");
	fail_hint(w->f, "rm %.300s/ca.pem, then the same again makes a new one", w->n.path);
	return -1;
}

/* The key alone on stdout. */
static void print_key(const struct net *w, const uint8_t key[KEY_SIZE], enum home_ca state,
		      bool made)
{
	char address[ADDRESS_SIZE];
	json_t *j;

	address_format(key, address);
	if (w->c->json) {
		j = json_pack("{s:o,s:s,s:s,s:s,s:b}", "network", net_key_text(w->n.key), "label",
			      w->n.label, "address", address, "state", home_ca_name(state), "made",
			      made);
		print_json(j);
		json_decref(j);
		return;
	}
	printf("%s\n", address);
	fflush(stdout);
	if (state == HOME_CA_WAITING)
		fprintf(stderr,
			"godwit: %s in %s/ca.pem; it signs once it is endorsed\n"
			"  try: where the network's own key is: godwit network endorse %s\n",
			made ? "made a key" : "its key is", w->n.path, address);
}

int network_ca(struct cli *c)
{
	enum home_ca state = HOME_CA_NONE;
	uint8_t key[KEY_SIZE];
	struct net w;
	bool made = false;
	int rv = net_open_network(&w, c, NET_CHANGE);

	if (rv == 0)
		rv = home_network_ca_state(&w.n, &state, key, w.f);
	if (rv == 0 && state == HOME_CA_REVOKED)
		rv = revoked_here(&w);
	if (rv == 0 && state == HOME_CA_NONE) {
		rv = make_key(&w, key);
		state = HOME_CA_WAITING;
		made = true;
	}
	if (rv == 0)
		print_key(&w, key, state, made);
	net_close(&w);
	return rv < 0 ? -1 : EXIT_OK;
}

/* --- endorse --- */

static int not_here(const struct net *w)
{
	fail_error(w->f, GODWIT_E_DENIED, "endorse");
	w->f->exit = EXIT_FAILED;
	fail_message(w->f, "only the network's own key endorses, and that of %s is not here",
		     w->n.label);
	fail_hint(w->f, "the same in the home where the network was made");
	return -1;
}

static int network_key(const struct net *w, struct identity *ca)
{
	enum home_ca state;
	uint8_t key[KEY_SIZE];

	if (home_network_ca_state(&w->n, &state, key, w->f) < 0)
		return -1;
	return state == HOME_CA_NETWORK ? home_network_ca(&w->n, ca, w->f) : not_here(w);
}

/* -1: failure; 0: nobody; 1: a member. */
static int is_member(const struct net *w, const uint8_t key[KEY_SIZE])
{
	json_t *lists = net_members(w), *members = json_object_get(lists, "members");
	char address[ADDRESS_SIZE];
	const json_t *one;
	int rv = lists ? 0 : -1;
	size_t i;

	address_format(key, address);
	if (lists)
		net_merge_seen(w->c, w->n.label, members);
	json_array_foreach(members, i, one)
		if (strcmp(get_text(one, "address"), address) == 0)
			rv = 1;
	json_decref(lists);
	return rv;
}

static int find_key(const struct net *w, const char *text, uint8_t key[KEY_SIZE])
{
	static const char HINT[] = "what godwit network ca has printed on the other machine";
	int rv = address_parse(key, text);

	if (rv < 0)
		return fail_usage(w->f, HINT, "\"%.60s%s\" is no key: %s", text,
				  strlen(text) > 60 ? "..." : "", error_text(rv));
	rv = is_member(w, key);
	if (rv > 0)
		return fail_usage(w->f, HINT, "that is the address of a node, not a CA's key");
	return rv;
}

/* What would make a manifest that nobody takes, or a CA that nobody hears. */
static int check_room(const struct net *w, const uint8_t key[KEY_SIZE])
{
	const struct wire_manifest *m = &w->n.manifest.m;

	if (manifest_revokes_key(&w->n.manifest, key)) {
		fail_error(w->f, GODWIT_E_DENIED, "endorse");
		w->f->exit = EXIT_FAILED;
		fail_message(w->f, "this network has revoked that key");
		fail_hint(w->f, "a new one there: rm its ca.pem, then godwit network ca");
		return -1;
	}
	if (manifest_ca(m, key)) {
		fail_error(w->f, GODWIT_E_EXISTS, "endorse");
		fail_message(w->f, "another CA of %s has a key with the same first four bytes",
			     w->n.label);
		fail_hint(w->f, "a new one there: rm its ca.pem, then godwit network ca");
		return -1;
	}
	if (m->n_cas < WIRE_MANIFEST_CAS_MAX)
		return 0;
	fail_error(w->f, GODWIT_E_LIMIT, "endorse");
	fail_message(w->f, "%s has %d further CAs, and no room for more", w->n.label,
		     WIRE_MANIFEST_CAS_MAX);
	fail_hint(w->f, "godwit network revoke %s KEY, of one of them", w->n.label);
	return -1;
}

static int sign_endorsement(struct net *w, const uint8_t key[KEY_SIZE], const struct identity *ca)
{
	struct revision r;
	int rv = revision_begin(&r, w);

	if (rv < 0)
		return -1;
	memcpy(r.m.cas[r.m.n_cas].key, key, KEY_SIZE);
	ca_endorse(ca, key, r.m.cas[r.m.n_cas++].signature);
	rv = revision_finish(&r, w, ca, 0);
	revision_clear(&r);
	if (rv < 0)
		return -1;
	return home_network_record(&w->n,
				   json_pack("{s:I,s:s,s:o}", "at", (json_int_t)w->now_s, "what",
					     "endorse", "address", net_address(key)),
				   w->f);
}

static void print_endorsed(const struct net *w, const uint8_t key[KEY_SIZE], bool was)
{
	char address[ADDRESS_SIZE];
	json_t *j;

	address_format(key, address);
	if (w->c->json) {
		j = json_pack("{s:o,s:s,s:I,s:b,s:s}", "network", net_key_text(w->n.key), "label",
			      w->n.label, "sequence", (json_int_t)w->n.manifest.m.sequence,
			      "already", was, "address", address);
		print_json(j);
		json_decref(j);
		return;
	}
	printf("%s %s\n", was ? "Already endorsed:" : "Endorsed", address);
	fflush(stdout);
	fprintf(stderr,
		"godwit: it signs for %s once its home has this manifest: by godwit up, or by "
		"hand\n"
		"  try: godwit network export %s, and there: godwit network join BUNDLE\n",
		w->n.label, w->n.label);
}

static int endorse(struct net *w, const char *text, const struct identity *ca)
{
	const uint8_t *known;
	uint8_t key[KEY_SIZE];
	bool was;

	if (find_key(w, text, key) < 0)
		return -1;
	known = manifest_ca(&w->n.manifest.m, key);
	was = known && memcmp(known, key, KEY_SIZE) == 0;
	if (!was && (check_room(w, key) < 0 || sign_endorsement(w, key, ca) < 0))
		return -1;
	print_endorsed(w, key, was);
	return 0;
}

int network_endorse(struct cli *c)
{
	return net_sign(c, network_key, endorse);
}
