/* SPDX-License-Identifier: Apache-2.0 */
/* network show. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/network_internal.h"
#include "cli/text.h"
#include "crypto/address.h"

enum { LIST_SIZE = 512 };

/* --- pieces of JSON --- */

json_t *net_texts(const char *texts, size_t stride, size_t count)
{
	json_t *out = json_array();

	for (size_t i = 0; i < count; i++)
		json_array_append_new(out, json_string(texts + i * stride));
	return out;
}

json_t *net_key_text(const uint8_t key[KEY_SIZE])
{
	char text[NETWORK_TEXT_SIZE];

	network_format(key, text);
	return json_string(text);
}

json_t *net_address(const uint8_t key[KEY_SIZE])
{
	char text[ADDRESS_SIZE];

	address_format(key, text);
	return json_string(text);
}

const char *net_join_texts(const json_t *texts, char *out, size_t size)
{
	const json_t *one;
	size_t i, at = 0;

	snprintf(out, size, "-");
	json_array_foreach(texts, i, one) {
		int n = snprintf(out + at, size - at, "%s%s", i ? ", " : "",
				 json_string_value(one));

		if (n < 0 || (size_t)n >= size - at)
			break;
		at += (size_t)n;
	}
	return out;
}

/* --- a network as JSON --- */

static const char *manifest_state(const struct manifest *m, uint32_t now_s)
{
	if (now_s >= m->m.expires)
		return "expired";
	return now_s + (uint64_t)TRUST_MANIFEST_WARN_S > m->m.expires ? "expiring" : "fresh";
}

static json_t *describe_manifest(const struct net *w)
{
	const struct manifest *m = &w->n.manifest;

	if (m->len == 0)
		return json_null();
	return json_pack("{s:I,s:I,s:I,s:s,s:o}", "sequence", (json_int_t)m->m.sequence, "issued",
			 (json_int_t)m->m.issued, "expires", (json_int_t)m->m.expires, "state",
			 manifest_state(m, w->now_s), "signer", net_address(m->m.signer));
}

/* Why our chain is refused at present; NULL: it is not. */
static const char *refusal_of(const struct net *w)
{
	enum trust_refusal why;
	struct member member;

	if (w->n.manifest.len == 0)
		return NULL; /* nobody can tell */
	why = member_check(&member, w->n.chain, w->n.chain_len, &w->n.manifest, w->now_s);
	return why ? trust_refusal_text(why) : NULL;
}

json_t *net_describe_certificate(const struct net *w)
{
	const struct wire_chain *chain = &w->n.links;
	const struct wire_certificate *own;
	const char *refusal;
	char serial[SERIAL_SIZE];
	uint32_t from = 0, until = UINT32_MAX;

	if (w->n.chain_len == 0)
		return NULL;
	own = &chain->links[chain->n_links - 1];
	for (size_t i = 0; i < chain->n_links; i++) {
		from = chain->links[i].not_before > from ? chain->links[i].not_before : from;
		until = chain->links[i].not_after < until ? chain->links[i].not_after : until;
	}
	refusal = refusal_of(w);
	return json_pack("{s:o,s:s,s:o,s:s,s:I,s:I,s:s,s:b,s:b,s:s?}", "address",
			 net_address(own->key), "name", own->n_names ? own->names[0] : "", "groups",
			 net_texts(own->groups[0], sizeof(own->groups[0]), own->n_groups), "serial",
			 serial_format(own->serial, serial), "valid_from", (json_int_t)from,
			 "valid_until", (json_int_t)until, "by",
			 chain->n_links > 1 ? "invite" : "ca", "ephemeral",
			 (own->flags & CERTIFICATE_EPHEMERAL) != 0, "valid",
			 !refusal && w->now_s < until, "refusal", refusal);
}

static json_t *describe_invite(const struct net *w)
{
	struct failure ignored;
	struct invite i;
	json_t *out;

	if (!home_network_holds_invite(&w->n) || home_network_invite(&w->n, &i, &ignored) < 0)
		return json_null();
	out = json_pack("{s:I,s:b}", "expires", (json_int_t)i.chain.links[0].not_after, "valid",
			w->now_s < i.chain.links[0].not_after);
	invite_wipe(&i);
	return out;
}

static json_t *describe_beacons(const struct home_network *n)
{
	struct wire_home beacons[WIRE_MANIFEST_BEACONS_MAX];
	size_t count = home_network_beacons(n, beacons);
	json_t *out = json_array();

	for (size_t i = 0; i < count; i++) {
		char text[BEACON_TEXT_MAX];

		home_beacon_format(&beacons[i], text);
		json_array_append_new(out, json_string(text));
	}
	return out;
}

/* The key in ca.pem. */
static json_t *describe_ca(const struct net *w)
{
	uint8_t key[KEY_SIZE];
	struct failure ignored;
	enum home_ca state;

	if (home_network_ca_state(&w->n, &state, key, &ignored) < 0)
		return json_pack("{s:n,s:s}", "address", "state", "damaged");
	if (state == HOME_CA_NONE)
		return json_null();
	return json_pack("{s:o,s:s}", "address", net_address(key), "state", home_ca_name(state));
}

json_t *net_describe(const struct net *w)
{
	const struct wire_manifest *m = &w->n.manifest.m;
	json_t *cas = json_array(), *certificate = net_describe_certificate(w);

	json_array_append_new(cas, net_address(w->n.key));
	for (size_t i = 0; i < m->n_cas; i++)
		json_array_append_new(cas, net_address(m->cas[i].key));
	return json_pack(
		"{s:s,s:o,s:s,s:o,s:o,s:o,s:{s:I,s:I},s:o,s:b,s:o,s:o}", "label", w->n.label,
		"network", net_key_text(w->n.key), "name", m->name, "cas", cas, "manifest",
		describe_manifest(w), "beacons", describe_beacons(&w->n), "revoked", "keys",
		(json_int_t)m->n_revoked_keys, "serials", (json_int_t)m->n_revoked_serials,
		"certificate", certificate ? certificate : json_null(), "ca_key",
		home_network_holds_ca(&w->n), "ca", describe_ca(w), "invite", describe_invite(w));
}

/* --- for people --- */

static const char *date_of(const json_t *object, const char *key, char out[DATE_SIZE])
{
	return format_date((uint32_t)get_number(object, key), out);
}

static void print_manifest(const json_t *manifest, const char *label, bool ca, uint32_t now_s)
{
	const char *state = get_text(manifest, "state");
	char issued[DATE_SIZE], expires[DATE_SIZE], left[DURATION_SIZE];

	if (!json_is_object(manifest)) {
		printf("manifest     not yet seen: comes from a beacon or a member\n");
		return;
	}
	printf("manifest     %.0f, signed %s, expires %s\n", get_number(manifest, "sequence"),
	       date_of(manifest, "issued", issued), date_of(manifest, "expires", expires));
	if (strcmp(state, "fresh") == 0)
		return;
	printf("             %s %s%s", strcmp(state, "expired") == 0 ? "expired" : "expires in",
	       strcmp(state, "expired") == 0
		       ? ""
		       : format_duration(get_number(manifest, "expires") - now_s, left),
	       strcmp(state, "expired") == 0 ? "" : " ");
	printf("(%s%s)\n",
	       ca ? "renew it: godwit network renew " : "who has the CA key has to renew it",
	       ca ? label : "");
}

static void print_certificate(const json_t *certificate)
{
	const char *name = get_text(certificate, "name"),
		   *refusal = get_text(certificate, "refusal");
	char until[DATE_SIZE], groups[LIST_SIZE];

	if (!json_is_object(certificate)) {
		printf("certificate  none: this node is no member\n");
		return;
	}
	printf("certificate  %s, valid until %s, by %s\n", get_text(certificate, "address"),
	       date_of(certificate, "valid_until", until),
	       strcmp(get_text(certificate, "by"), "ca") == 0 ? "a CA" : "an invite");
	printf("             name %s, groups %s, serial %s%s\n", *name ? name : "-",
	       net_join_texts(json_object_get(certificate, "groups"), groups, sizeof(groups)),
	       get_text(certificate, "serial"),
	       json_is_true(json_object_get(certificate, "ephemeral")) ? ", ephemeral" : "");
	if (*refusal)
		printf("             refused: %s\n", refusal);
	else if (!json_is_true(json_object_get(certificate, "valid")))
		printf("             expired\n");
}

static void print_texts(const char *title, const json_t *texts)
{
	const json_t *one;
	size_t i;

	json_array_foreach(texts, i, one)
		printf("%-12s %s\n", i ? "" : title, json_string_value(one));
}

/* The first one is the network's own key. */
static void print_cas(const json_t *cas)
{
	for (size_t i = 1; i < json_array_size(cas); i++)
		printf("%-12s %s\n", i > 1 ? "" : "further CA",
		       json_string_value(json_array_get(cas, i)));
}

static void print_held(const json_t *j)
{
	static const char *const TEXTS[][2] = {
		{ "network", "the network's own key" },
		{ "further", "the key of a further CA" },
		{ "waiting", "the key of a CA that is not endorsed" },
		{ "revoked", "the key of a CA that is revoked" },
		{ "damaged", "the key of a CA, which cannot be read" },
	};
	const json_t *ca = json_object_get(j, "ca"), *invite = json_object_get(j, "invite");
	const char *state = get_text(ca, "state"), *text = "no CA key";
	char until[DATE_SIZE];

	for (size_t i = 0; i < sizeof(TEXTS) / sizeof(TEXTS[0]); i++)
		if (strcmp(TEXTS[i][0], state) == 0)
			text = TEXTS[i][1];
	printf("held here    %s", text);
	if (strcmp(state, "further") == 0 || strcmp(state, "waiting") == 0)
		printf(" (%s)", get_text(ca, "address"));
	if (json_is_object(invite))
		printf(", an invite until %s%s", date_of(invite, "expires", until),
		       json_is_true(json_object_get(invite, "valid")) ? "" : " (expired)");
	printf("\n");
}

static void print_one(const json_t *j, uint32_t now_s)
{
	const json_t *revoked = json_object_get(j, "revoked");
	const char *name = get_text(j, "name"), *label = get_text(j, "label");
	bool ca = json_is_true(json_object_get(j, "ca_key"));

	printf("network      %s\nlabel        %s\n", get_text(j, "network"), label);
	if (*name && strcmp(name, label) != 0)
		printf("name         %s\n", name);
	print_cas(json_object_get(j, "cas"));
	print_manifest(json_object_get(j, "manifest"), label, ca, now_s);
	print_texts("beacon", json_object_get(j, "beacons"));
	printf("revoked      %.0f keys, %.0f serials\n", get_number(revoked, "keys"),
	       get_number(revoked, "serials"));
	print_certificate(json_object_get(j, "certificate"));
	print_held(j);
}

static json_t *row_of(const json_t *j)
{
	const json_t *manifest = json_object_get(j, "manifest");
	const json_t *certificate = json_object_get(j, "certificate");
	const char *name = get_text(certificate, "name"), *state = get_text(manifest, "state"),
		   *held = get_text(json_object_get(j, "ca"), "state");
	char brief[SHORT_SIZE], until[DATE_SIZE] = "-", expires[DATE_SIZE + 16] = "not yet seen";

	if (json_is_object(certificate))
		date_of(certificate, "valid_until", until);
	if (json_is_object(manifest)) {
		char date[DATE_SIZE];

		snprintf(expires, sizeof(expires), "%s%s%s%s", date_of(manifest, "expires", date),
			 strcmp(state, "fresh") ? " (" : "", strcmp(state, "fresh") ? state : "",
			 strcmp(state, "fresh") ? ")" : "");
	}
	return json_pack(
		"[s,s,s,s,s,s]", get_text(j, "label"), short_address(get_text(j, "network"), brief),
		json_is_object(certificate) ? (*name ? name : "(no name)") : "-", until, expires,
		json_is_true(json_object_get(j, "ca_key")) ? "yes"
		: *held                                    ? held
							   : "no");
}

/* One that is damaged does not hide the others. */
static json_t *describe_all(struct net *w, int *rv)
{
	struct home_networks all;
	json_t *out = json_array();
	struct failure f;

	*rv = home_networks_list(&w->home, &all, w->f);
	for (size_t i = 0; *rv == 0 && i < all.count; i++) {
		if (home_network_open(&w->n, &w->home, all.labels[i], &f) < 0) {
			json_array_append_new(out, json_pack("{s:s,s:s}", "label", all.labels[i],
							     "error", f.message));
			if (!w->c->json)
				fail_print(&f, false);
			continue;
		}
		json_array_append_new(out, net_describe(w));
		home_network_close(&w->n);
	}
	return out;
}

static int show_all(struct net *w)
{
	json_t *all, *rows, *whole;
	const json_t *one;
	size_t i;
	int rv;

	all = describe_all(w, &rv);
	rows = json_pack("[[s,s,s,s,s,s]]", "LABEL", "NETWORK", "NAME HERE", "VALID UNTIL",
			 "MANIFEST EXPIRES", "CA KEY");
	json_array_foreach(all, i, one)
		if (!json_object_get(one, "error"))
			json_array_append_new(rows, row_of(one));
	whole = json_pack("{s:o}", "networks", all);
	if (rv == 0 && w->c->json)
		print_json(whole);
	else if (rv == 0 && json_array_size(rows) > 1)
		print_table(rows);
	else if (rv == 0 && json_array_size(all) == 0)
		printf("no networks\n");
	json_decref(rows);
	json_decref(whole);
	return rv;
}

int network_show(struct cli *c)
{
	struct net w;
	json_t *j;
	int rv;

	if (c->options.n_words == 1) {
		rv = net_open(&w, c, NET_LOOK, false);
		if (rv == 0)
			rv = show_all(&w);
		net_close(&w);
		return rv < 0 ? -1 : EXIT_OK;
	}
	rv = net_open_network(&w, c, NET_LOOK);
	if (rv == 0) {
		j = net_describe(&w);
		if (c->json)
			print_json(j);
		else
			print_one(j, w.now_s);
		json_decref(j);
	}
	net_close(&w);
	return rv < 0 ? -1 : EXIT_OK;
}
