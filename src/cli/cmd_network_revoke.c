/* SPDX-License-Identifier: Apache-2.0 */
/* network revoke and renew: a new manifest. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "cli/network_internal.h"
#include "cli/text.h"
#include "crypto/address.h"

/* --- whom --- */

struct revoked {
	bool is_key;
	uint8_t key[KEY_SIZE]; /* is_key */
	uint64_t serial;       /* else */
	const json_t *known;   /* what is known of it, in the lists; NULL: nothing */
	bool is_ca;            /* a further one, until now */
};

static bool is_invite(const struct revoked *t)
{
	return json_object_get(t->known, "names") != NULL;
}

/* In the members or invites, by one of their texts. */
static const json_t *look_up(const json_t *lists, const char *list, const char *member,
			     const char *text)
{
	const json_t *one;
	size_t i;

	json_array_foreach(json_object_get(lists, list), i, one)
		if (strcmp(get_text(one, member), text) == 0)
			return one;
	return NULL;
}

static void set_key(struct revoked *t, const json_t *lists, const uint8_t key[KEY_SIZE])
{
	char address[ADDRESS_SIZE];

	address_format(key, address);
	t->is_key = true;
	memcpy(t->key, key, KEY_SIZE);
	t->known = look_up(lists, "members", "address", address);
	if (!t->known)
		t->known = look_up(lists, "invites", "address", address);
}

static void set_serial(struct revoked *t, const json_t *lists, uint64_t serial)
{
	char text[SERIAL_SIZE];

	t->is_key = false;
	t->serial = serial;
	t->known = look_up(lists, "invites", "serial", serial_format(serial, text));
	if (!t->known)
		t->known = look_up(lists, "members", "serial", text);
}

static int ambiguous(const struct net *w, const char *who)
{
	fail_error(w->f, GODWIT_E_INVALID, "who");
	w->f->exit = EXIT_USAGE;
	fail_message(w->f, "\"%.60s\" is more than one node", who);
	fail_hint(w->f, "its address; godwit network members %s lists them", w->n.label);
	return -1;
}

/* -1: failure; 0: it is *t; 1: nobody. */
static int by_member_name(const struct net *w, const json_t *lists, const char *who, bool valid,
			  struct revoked *t)
{
	const json_t *one;
	uint8_t key[KEY_SIZE];
	int rv = 1;
	size_t i;

	json_array_foreach(json_object_get(lists, "members"), i, one) {
		if (strcmp(get_text(one, "name"), who) != 0 ||
		    (valid && strcmp(get_text(one, "state"), "valid") != 0) ||
		    address_parse(key, get_text(one, "address")) < 0)
			continue;
		if (rv == 0)
			return ambiguous(w, who);
		set_key(t, lists, key);
		rv = 0;
	}
	return rv;
}

/* By the name of a member, one that is valid first, or a name of the home's file `names`: if both are
 * somebody's, they must mean the same. */
static int by_name(const struct net *w, const json_t *lists, const char *who, struct revoked *t)
{
	int rv = by_member_name(w, lists, who, true, t);
	struct failure ignored;
	godwit_ticket ticket;

	if (rv > 0)
		rv = by_member_name(w, lists, who, false, t);
	if (rv < 0 || home_destination(&w->home, who, NULL, &ticket, &ignored) < 0)
		return rv;
	if (rv == 0 && memcmp(t->key, ticket.key, KEY_SIZE) != 0)
		return ambiguous(w, who);
	set_key(t, lists, ticket.key);
	return 0;
}

static int nobody(const struct net *w, const char *who)
{
	uint8_t key[KEY_SIZE];
	int error = address_parse(key, who);

	fail_error(w->f, GODWIT_E_NOT_FOUND, "who");
	if (strlen(who) > 40 && error < 0)
		fail_message(w->f, "\"%.60s%s\" is no address: %s", who,
			     strlen(who) > 60 ? "..." : "", error_text(error));
	else
		fail_message(w->f, "nobody in %s is known as \"%.60s\"", w->n.label, who);
	w->f->exit = EXIT_USAGE;
	fail_hint(w->f, "an address, a name, or serial:HEX; godwit network members %s lists them",
		  w->n.label);
	return -1;
}

static int find_target(const struct net *w, const json_t *lists, const char *who, struct revoked *t)
{
	const char *dot = strchr(who, '.'); /* NAME.NETWORK */
	char name[WIRE_NAME_MAX + 1];
	uint8_t key[KEY_SIZE];
	uint64_t serial;
	int rv;

	memset(t, 0, sizeof(*t));
	if (strncmp(who, "serial:", 7) == 0) {
		if (!serial_parse(&serial, who + 7))
			return fail_usage(w->f, "serial: and 1 to 16 hexadecimal digits",
					  "\"%.60s\" is no serial", who + 7);
		set_serial(t, lists, serial);
		return 0;
	}
	if (address_parse(key, who) == 0 || network_parse(key, who) == 0) {
		set_key(t, lists, key);
		return 0;
	}
	if (strlen(who) == SERIAL_SIZE - 1 && serial_parse(&serial, who)) {
		set_serial(t, lists, serial);
		if (t->known)
			return 0;
	}
	rv = by_name(w, lists, who, t);
	if (rv > 0 && dot && (size_t)(dot - who) < sizeof(name) &&
	    strcmp(dot + 1, w->n.label) == 0) {
		snprintf(name, sizeof(name), "%.*s", (int)(dot - who), who);
		rv = by_name(w, lists, name, t);
	}
	return rv > 0 ? nobody(w, who) : rv;
}

/* --- revoke --- */

static bool is_ca(const struct net *w, const uint8_t key[KEY_SIZE])
{
	const uint8_t *ca = manifest_ca(&w->n.manifest.m, key);

	return ca && memcmp(ca, key, KEY_SIZE) == 0;
}

static bool already(const struct net *w, const struct revoked *t)
{
	return t->is_key ? manifest_revokes_key(&w->n.manifest, t->key)
			 : manifest_revokes_serial(&w->n.manifest, t->serial);
}

/* The network key cannot be revoked: it is the network; and no CA itself. */
static int check_target(const struct net *w, const struct revoked *t, const struct identity *ca)
{
	bool network = t->is_key && memcmp(t->key, w->n.key, KEY_SIZE) == 0;

	if (!network && !(t->is_key && memcmp(t->key, ca->key, KEY_SIZE) == 0))
		return 0;
	fail_error(w->f, GODWIT_E_DENIED, "revoke");
	w->f->exit = EXIT_FAILED;
	fail_message(w->f, network ? "that is the network's own key: it cannot be revoked"
				   : "that is the key of the CA here: it cannot revoke itself");
	fail_hint(w->f, network ? "a new network: godwit network create"
				: "the same where the network's own key is");
	return -1;
}

/* Whom an invite has made a member no other entry names. */
static void describe_key(json_t *entry, const struct revoked *t)
{
	static const char *const KEPT[] = { "serial", "name", "groups", "by", "invite", "ca" };

	json_object_set_new(entry, "address", net_address(t->key));
	if (!t->known || is_invite(t))
		return;
	for (size_t i = 0; i < sizeof(KEPT) / sizeof(KEPT[0]); i++)
		json_object_set(entry, KEPT[i], json_object_get(t->known, KEPT[i]));
	json_object_set(entry, "until", json_object_get(t->known, "valid_until"));
}

static int sign_revocation(struct net *w, const struct revoked *t, const struct identity *ca)
{
	char serial[SERIAL_SIZE];
	struct revision r;
	json_t *entry;
	int rv;

	if (revision_begin(&r, w) < 0)
		return -1;
	if (t->is_key)
		revision_add_key(&r, t->key);
	else
		revision_add_serial(&r, t->serial);
	rv = revision_finish(&r, w, ca, 0);
	if (rv == 0) {
		entry = json_pack("{s:I,s:s}", "at", (json_int_t)w->now_s, "what", "revoke");
		if (t->is_key)
			describe_key(entry, t);
		else
			json_object_set_new(entry, "serial",
					    json_string(serial_format(t->serial, serial)));
		rv = home_network_record(&w->n, entry, w->f);
	}
	revision_clear(&r);
	return rv;
}

/* A key is easily made: who has the invite joins again. */
static void warn_of_invite(const struct net *w, const struct revoked *t, const json_t *lists)
{
	const char *serial = t->is_key ? get_text(t->known, "invite") : "";
	const json_t *invite = *serial ? look_up(lists, "invites", "serial", serial) : NULL;

	if (strcmp(get_text(invite, "state"), "valid") == 0)
		fprintf(stderr,
			"godwit: the invite that it joined by is still valid: who has it can join "
			"with another key\n"
			"  try: godwit network revoke %s serial:%s: all who joined by it\n",
			w->n.label, serial);
}

static void print_revoked(const struct net *w, const struct revoked *t, const json_t *lists,
			  bool was)
{
	const char *name = get_text(t->known, "name");
	char what[ADDRESS_SIZE], serial[SERIAL_SIZE], until[DATE_SIZE];
	json_t *j;

	if (t->is_key)
		address_format(t->key, what);
	else
		serial_format(t->serial, serial);
	if (w->c->json) {
		j = json_pack("{s:o,s:s,s:I,s:b,s:b,s:s?,s:s?,s:s,s:O?,s:O?}", "network",
			      net_key_text(w->n.key), "label", w->n.label, "sequence",
			      (json_int_t)w->n.manifest.m.sequence, "already", was, "ca", t->is_ca,
			      "address", t->is_key ? what : NULL, "serial",
			      t->is_key ? NULL : serial, "name", name, "valid_until",
			      json_object_get(t->known, "valid_until"), "invite",
			      json_object_get(t->known, "invite"));
		print_json(j);
		json_decref(j);
		return;
	}
	printf("%s %s%s%s%s%s\n", was ? "Already revoked:" : "Revoked",
	       t->is_key      ? ""
	       : is_invite(t) ? "invite "
			      : "serial ",
	       t->is_key ? what : serial, *name ? " (" : "", name, *name ? ")" : "");
	if (t->is_ca)
		printf("It was a CA: what it has signed counts no more.\n");
	else if (t->known)
		printf("Its certificate %s until %s.\n",
		       was ? "was valid" : "would have been valid",
		       format_date((uint32_t)get_number(t->known, "valid_until"), until));
	else
		printf("No certificate of it is known here.\n");
	warn_of_invite(w, t, lists);
}

static int revoke(struct net *w, const char *who, const struct identity *ca)
{
	json_t *lists = net_members(w);
	struct revoked t;
	bool was = false;
	int rv;

	/* Whom an invite has made a member only those know who have met it. */
	if (lists)
		net_merge_seen(w->c, w->n.label, json_object_get(lists, "members"));
	rv = lists ? find_target(w, lists, who, &t) : -1;
	if (rv == 0)
		rv = check_target(w, &t, ca);
	if (rv == 0) {
		was = already(w, &t);
		t.is_ca = t.is_key && is_ca(w, t.key);
		if (!was)
			rv = sign_revocation(w, &t, ca);
	}
	if (rv == 0)
		print_revoked(w, &t, lists, was);
	json_decref(lists);
	return rv;
}

static int ca_key(const struct net *w, struct identity *ca)
{
	return home_network_ca(&w->n, ca, w->f);
}

int network_revoke(struct cli *c)
{
	return net_sign(c, ca_key, revoke);
}

/* --- renew: at a CA --- */

static int renew_own(struct net *w, const struct identity *ca)
{
	struct wire_certificate link = w->n.links.links[w->n.links.n_links - 1];
	uint8_t chain[WIRE_CHAIN_MAX], own[KEY_SIZE];
	size_t len;

	if (net_own_key(w, own) < 0)
		return -1;
	memcpy(link.key, own, KEY_SIZE);
	link.serial = net_serial();
	link.not_before = w->now_s;
	link.not_after = net_until(w, TRUST_MEMBER_LIFETIME_S);
	if (net_sign_member(w, ca, &link, chain, &len) < 0)
		return -1;
	return home_network_save_chain(&w->n, chain, len, w->f);
}

static int renew_as_ca(struct net *w, uint32_t lifetime)
{
	struct identity ca;
	struct revision r;
	int rv;

	if (net_check_clock(w) < 0 || home_network_ca(&w->n, &ca, w->f) < 0)
		return -1;
	rv = revision_begin(&r, w);
	if (rv == 0) {
		if (options_has(&w->c->options, "--beacon"))
			net_beacons(w, &r.m);
		rv = revision_finish(&r, w, &ca, lifetime);
		revision_clear(&r);
	}
	if (rv == 0 && w->n.chain_len)
		rv = renew_own(w, &ca);
	identity_wipe(&ca);
	return rv;
}

/* --- renew: as a member --- */

static int renew_by_invite(struct net *w, uint32_t lifetime)
{
	const struct wire_chain *old = &w->n.links;
	char name[WIRE_NAME_MAX + 1] = "";
	uint8_t chain[WIRE_CHAIN_MAX], key[KEY_SIZE];
	struct invite i;
	size_t len;
	int rv;

	if (net_own_key(w, key) < 0 || home_network_invite(&w->n, &i, w->f) < 0)
		return -1;
	if (w->n.chain_len && old->links[old->n_links - 1].n_names)
		snprintf(name, sizeof(name), "%s", old->links[old->n_links - 1].names[0]);
	rv = net_join_by(w, &i, key, name, lifetime, chain, &len);
	invite_wipe(&i);
	return rv < 0 ? -1 : home_network_save_chain(&w->n, chain, len, w->f);
}

static int ask_the_ca(struct net *w)
{
	char address[ADDRESS_SIZE];
	uint8_t key[KEY_SIZE];

	if (net_own_key(w, key) < 0)
		return -1;
	address_format(key, address);
	fail_error(w->f, GODWIT_E_DENIED, "renew");
	w->f->exit = EXIT_FAILED;
	fail_message(w->f,
		     w->n.chain_len ? "the certificate of this node in %s is signed by a CA, whose "
				      "key is not here"
				    : "this node is no member of %s: there is nothing to renew",
		     w->n.label);
	fail_hint(w->f, "ask who has the CA's key for: godwit network invite --for %s", address);
	return -1;
}

static int renew(struct net *w)
{
	bool ca = home_network_holds_ca(&w->n);
	uint32_t lifetime;

	if (options_duration(&w->c->options, "--lifetime", LIFETIME_LEAST, LIFETIME_MOST, 0,
			     &lifetime, w->f) < 0)
		return -1;
	if (ca)
		return renew_as_ca(w, lifetime);
	if (options_has(&w->c->options, "--beacon"))
		return fail_usage(w->f, "the same where the CA's key is",
				  "--beacon is for the manifest, which only a CA signs");
	return home_network_holds_invite(&w->n) ? renew_by_invite(w, lifetime) : ask_the_ca(w);
}

static void print_renewed(const struct net *w)
{
	json_t *j = net_describe(w);
	const json_t *manifest = json_object_get(j, "manifest");
	const json_t *certificate = json_object_get(j, "certificate");
	char date[DATE_SIZE];

	if (w->c->json) {
		print_json(j);
	} else {
		if (json_is_true(json_object_get(j, "ca_key")))
			printf("The manifest of %s expires %s.\n", w->n.label,
			       format_date((uint32_t)get_number(manifest, "expires"), date));
		if (json_is_object(certificate))
			printf("The certificate of this node is valid until %s.\n",
			       format_date((uint32_t)get_number(certificate, "valid_until"), date));
	}
	json_decref(j);
}

int network_renew(struct cli *c)
{
	struct net w;
	int rv = net_open_network(&w, c, NET_CHANGE);

	if (rv == 0)
		rv = renew(&w);
	if (rv == 0)
		print_renewed(&w);
	net_close(&w);
	if (rv == 0)
		network_tell_node(c);
	return rv < 0 ? -1 : EXIT_OK;
}
