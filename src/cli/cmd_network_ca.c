/* SPDX-License-Identifier: Apache-2.0 */
/* network create and invite: what begins with the key of a CA. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "cli/network_internal.h"
#include "cli/text.h"
#include "crypto/address.h"

/* --- create --- */

static int check_name(const char *name, struct failure *f)
{
	if (wire_name_valid(name))
		return 0;
	return fail_usage(f, "1 to 63 of a-z 0-9 -, the first no -",
			  "\"%.80s\" is no name for a network", name);
}

/* This node, as a member. */
static int make_member(struct net *w, const struct identity *ca)
{
	struct wire_certificate link = { .not_before = w->now_s,
					 .not_after = net_until(w, TRUST_MEMBER_LIFETIME_S) };
	uint8_t chain[WIRE_CHAIN_MAX];
	size_t len;

	if (net_own_key(w, link.key) < 0 || net_rights(w, &link, 1) < 0)
		return -1;
	link.serial = net_serial();
	if (net_sign_member(w, ca, &link, chain, &len) < 0)
		return -1;
	return home_network_save_chain(&w->n, chain, len, w->f);
}

static int make_manifest(struct net *w, const char *name, const struct identity *ca,
			 uint32_t lifetime)
{
	struct revision r;
	int rv;

	if (revision_begin(&r, w) < 0)
		return -1;
	memcpy(r.m.network, ca->key, KEY_SIZE);
	snprintf(r.m.name, sizeof(r.m.name), "%s", name);
	net_beacons(w, &r.m);
	rv = revision_finish(&r, w, ca, lifetime);
	revision_clear(&r);
	return rv;
}

static int make_network(struct net *w, const char *name, uint32_t lifetime)
{
	bool member = !options_has(&w->c->options, "--no-member");
	struct identity ca;
	int rv;

	if (net_check_clock(w) < 0 || home_network_begin(&w->n, &w->home, name, w->f) < 0)
		return -1;
	identity_generate(&ca);
	rv = home_network_save_ca(&w->n, &ca, w->f);
	if (rv == 0)
		rv = make_manifest(w, name, &ca, lifetime);
	if (rv == 0 && member)
		rv = make_member(w, &ca);
	if (rv == 0)
		rv = home_network_commit(&w->n, &w->home, w->f);
	identity_wipe(&ca);
	return rv;
}

static void print_created(const struct net *w)
{
	json_t *j = net_describe(w);
	const char *name = w->n.label;

	if (w->c->json) {
		print_json(j);
	} else {
		printf("Network %s: %s\n", name, get_text(j, "network"));
		fprintf(stderr,
			"godwit: its key is in %s/ca.pem: who has it has the network; keep a copy "
			"of it\n  try: godwit network invite %s\n",
			w->n.path, name);
	}
	json_decref(j);
}

int network_create(struct cli *c)
{
	const struct options *o = &c->options;
	const char *name = o->words[1];
	uint32_t lifetime;
	struct net w;
	int rv;

	if (check_name(name, &c->failure) < 0 ||
	    options_duration(o, "--lifetime", LIFETIME_LEAST, LIFETIME_MOST,
			     TRUST_MANIFEST_LIFETIME_S, &lifetime, &c->failure) < 0)
		return -1;
	if (options_has(o, "--no-member") &&
	    (options_has(o, "--name") || options_has(o, "--group")))
		return fail_usage(&c->failure, "either --no-member, or --name and --group",
				  "a node that is no member has no name and no groups");
	rv = net_open(&w, c, NET_CHANGE, true);
	if (rv == 0)
		rv = make_network(&w, name, lifetime);
	if (rv == 0)
		print_created(&w);
	net_close(&w);
	if (rv == 0)
		network_tell_node(c);
	return rv < 0 ? -1 : EXIT_OK;
}

/* --- invite --- */

/* A chain has room for 500 bytes: would the members' fit? */
static int try_invite(const struct net *w, const struct invite *i)
{
	const struct wire_certificate *link = &i->chain.links[0];
	char longest[WIRE_NAME_MAX + 1] = "";
	uint8_t chain[WIRE_CHAIN_MAX];
	struct join join = { .name = longest, .now_s = w->now_s };
	size_t len;
	int rv;

	memcpy(join.key, i->delegate.key, KEY_SIZE);
	for (size_t k = 0; k < link->n_names; k++)
		if (strlen(link->names[k]) > strlen(longest))
			strcpy(longest, link->names[k]);
	for (size_t k = 0; k < link->n_prefixes; k++)
		if (strlen(link->prefixes[k]) > strlen(longest))
			strcpy(longest, link->prefixes[k]);
	if (!*longest)
		join.name = NULL;
	rv = invite_join(i, &join, chain, &len);
	if (rv == GW_E_LIMIT) {
		fail_error(w->f, rv, "invite");
		fail_message(w->f, "names and groups are too long: no member's certificate would "
				   "fit behind the invite");
		fail_hint(w->f, "fewer or shorter --group, --name and --name-prefix");
		return -1;
	}
	return rv < 0 ? fail_error(w->f, rv, "invite") : 0;
}

static int make_invite(const struct net *w, const struct identity *ca, uint32_t longest,
		       uint32_t expires, struct invite *i)
{
	const struct wire_manifest *m = &w->n.manifest.m;
	struct wire_certificate link = { .not_before = w->now_s,
					 .not_after = net_until(w, expires),
					 .flags = CERTIFICATE_DELEGATE,
					 .longest = longest };

	if (net_rights(w, &link, WIRE_NAMES_MAX) < 0)
		return -1;
	memset(i, 0, sizeof(*i));
	identity_generate(&i->delegate);
	memcpy(link.key, i->delegate.key, KEY_SIZE);
	link.serial = net_serial();
	if (options_has(&w->c->options, "--ephemeral"))
		link.flags |= CERTIFICATE_EPHEMERAL;
	if (net_sign_link(w, ca, &link, i->wire.chain, &i->wire.chain_len) < 0)
		return -1;
	wire_chain_decode(&i->chain, i->wire.chain, i->wire.chain_len);
	memcpy(i->wire.seed, i->delegate.seed, SEED_SIZE);
	snprintf(i->wire.name, sizeof(i->wire.name), "%s", m->name);
	for (; i->wire.n_beacons < m->n_beacons && i->wire.n_beacons < WIRE_INVITE_BEACONS_MAX;
	     i->wire.n_beacons++)
		i->wire.beacons[i->wire.n_beacons] = m->beacons[i->wire.n_beacons];
	return try_invite(w, i);
}

static json_t *ledger_entry(const struct net *w, const struct invite *i)
{
	const struct wire_certificate *link = &i->chain.links[0];
	char serial[SERIAL_SIZE];

	return json_pack(
		"{s:I,s:s,s:o,s:o,s:s,s:o,s:o,s:o,s:I,s:b,s:I}", "at", (json_int_t)w->now_s, "what",
		"invite", "ca", net_address(manifest_ca(&w->n.manifest.m, i->chain.ca)), "address",
		net_address(link->key), "serial", serial_format(link->serial, serial), "names",
		net_texts(link->names[0], sizeof(link->names[0]), link->n_names), "prefixes",
		net_texts(link->prefixes[0], sizeof(link->prefixes[0]), link->n_prefixes), "groups",
		net_texts(link->groups[0], sizeof(link->groups[0]), link->n_groups), "longest",
		(json_int_t)link->longest, "ephemeral", (link->flags & CERTIFICATE_EPHEMERAL) != 0,
		"until", (json_int_t)link->not_after);
}

/* The word alone on stdout. */
static void print_invite(const struct net *w, const struct invite *i, const char *word)
{
	json_t *j = net_describe_invite(w, ledger_entry(w, i));
	char until[DATE_SIZE];

	json_object_set_new(j, "network", net_key_text(w->n.key));
	json_object_set_new(j, "label", json_string(w->n.label));
	json_object_set_new(j, "invite", json_string(word));
	if (w->c->json) {
		print_json(j);
	} else {
		printf("%s\n", word);
		fflush(stdout);
		fprintf(stderr,
			"godwit: invite %s, until %s; it is a secret: who has it makes members\n"
			"  try: GODWIT_INVITE=... godwit up, or godwit network join "
			"env:GODWIT_INVITE\n",
			get_text(j, "serial"), format_date(i->chain.links[0].not_after, until));
	}
	json_decref(j);
}

static int invite(struct net *w, const struct identity *ca, uint32_t longest, uint32_t expires)
{
	char word[INVITE_TEXT_MAX];
	struct invite i;
	int rv;

	if (make_invite(w, ca, longest, expires, &i) < 0)
		return -1;
	rv = invite_format(&i, word);
	if (rv < 0)
		fail_error(w->f, rv, "invite");
	else
		rv = home_network_record(&w->n, ledger_entry(w, &i), w->f);
	if (rv == 0)
		print_invite(w, &i, word);
	explicit_bzero(word, sizeof(word));
	invite_wipe(&i);
	return rv < 0 ? -1 : 0;
}

static int invite_times(struct cli *c, uint32_t *longest, uint32_t *expires)
{
	char a[DURATION_SIZE], b[DURATION_SIZE];

	if (options_duration(&c->options, "--lifetime", LIFETIME_LEAST, LIFETIME_MOST,
			     TRUST_DELEGATE_LONGEST_S, longest, &c->failure) < 0 ||
	    options_duration(&c->options, "--expires", LIFETIME_LEAST, LIFETIME_MOST,
			     TRUST_DELEGATE_LONGEST_S, expires, &c->failure) < 0)
		return -1;
	if (options_has(&c->options, "--lifetime") && *longest > *expires) {
		fail_usage(&c->failure, "",
			   "no certificate outlives its invite: --lifetime %s is longer than "
			   "--expires %s",
			   format_span(*longest, a), format_span(*expires, b));
		fail_hint(&c->failure, "--expires %s as well", a);
		return -1;
	}
	if (*longest > *expires)
		*longest = *expires;
	return 0;
}

/* --- a certificate for one key --- */

static int find_node(const struct net *w, const char *who, uint8_t key[KEY_SIZE])
{
	godwit_ticket t;

	if (home_destination(&w->home, who, NULL, &t, w->f) < 0)
		return -1;
	if (manifest_revokes_key(&w->n.manifest, t.key))
		return net_key_revoked(w, who);
	memcpy(key, t.key, KEY_SIZE);
	return 0;
}

static void print_membership(const struct net *w, const struct wire_certificate *link,
			     const char *word)
{
	char serial[SERIAL_SIZE], until[DATE_SIZE], address[ADDRESS_SIZE];
	json_t *j;

	serial_format(link->serial, serial);
	address_format(link->key, address);
	if (w->c->json) {
		j = json_pack("{s:o,s:s,s:s,s:s,s:s,s:o,s:b,s:I,s:s}", "network",
			      net_key_text(w->n.key), "label", w->n.label, "address", address,
			      "serial", serial, "name", link->n_names ? link->names[0] : "",
			      "groups",
			      net_texts(link->groups[0], sizeof(link->groups[0]), link->n_groups),
			      "ephemeral", (link->flags & CERTIFICATE_EPHEMERAL) != 0,
			      "valid_until", (json_int_t)link->not_after, "membership", word);
		print_json(j);
		json_decref(j);
		return;
	}
	printf("%s\n", word);
	fflush(stdout);
	fprintf(stderr,
		"godwit: certificate %s of %s, until %s; it is no secret\n"
		"  try: on that machine: godwit network join WORD\n",
		serial, address, format_date(link->not_after, until));
}

static int certify(struct net *w, const struct identity *ca, uint32_t lifetime)
{
	struct wire_certificate link = { .not_before = w->now_s,
					 .not_after = net_until(w, lifetime) };
	uint8_t chain[WIRE_CHAIN_MAX];
	char *word;
	size_t len;

	if (net_rights(w, &link, 1) < 0 ||
	    find_node(w, options_get(&w->c->options, "--for"), link.key) < 0)
		return -1;
	link.serial = net_serial();
	if (options_has(&w->c->options, "--ephemeral"))
		link.flags |= CERTIFICATE_EPHEMERAL;
	if (net_sign_member(w, ca, &link, chain, &len) < 0)
		return -1;
	word = bundle_format(w->n.manifest.bytes, w->n.manifest.len, chain, len);
	if (!word)
		return fail_error(w->f, GODWIT_E_NOMEM, "bundle");
	print_membership(w, &link, word);
	free(word);
	return 0;
}

static int certify_times(struct cli *c, uint32_t *lifetime)
{
	static const char *const NOT[] = { "--expires", "--name-prefix" };

	for (size_t i = 0; i < sizeof(NOT) / sizeof(NOT[0]); i++)
		if (options_has(&c->options, NOT[i]))
			return fail_usage(&c->failure, "--lifetime and --name are of the member",
					  "--for makes a certificate and no invite: there %s has "
					  "no meaning",
					  NOT[i]);
	return options_duration(&c->options, "--lifetime", LIFETIME_LEAST, LIFETIME_MOST,
				TRUST_MEMBER_LIFETIME_S, lifetime, &c->failure);
}

int network_invite(struct cli *c)
{
	bool one = options_has(&c->options, "--for");
	uint32_t lifetime = 0, expires = 0;
	struct identity ca;
	struct net w;
	int rv = one ? certify_times(c, &lifetime) : invite_times(c, &lifetime, &expires);

	if (rv < 0)
		return -1;
	rv = net_open_network(&w, c, NET_CHANGE);
	if (rv == 0)
		rv = home_network_ca(&w.n, &ca, w.f);
	if (rv == 0) {
		rv = net_check_clock(&w);
		if (rv == 0)
			rv = one ? certify(&w, &ca, lifetime) : invite(&w, &ca, lifetime, expires);
		identity_wipe(&ca);
	}
	net_close(&w);
	return rv < 0 ? -1 : EXIT_OK;
}
