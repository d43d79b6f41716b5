/* SPDX-License-Identifier: Apache-2.0 */
/* network members: what the ledger, the known chains and our own chain say. */
#include <stdio.h>
#include <string.h>

#include "cli/network_internal.h"
#include "cli/text.h"
#include "crypto/address.h"

enum { LIST_SIZE = 512 };

/* --- revocation --- */

static bool serial_revoked(const struct net *w, const char *text)
{
	uint64_t serial;

	return serial_parse(&serial, text) && w->n.manifest.len &&
	       manifest_revokes_serial(&w->n.manifest, serial);
}

static bool key_revoked(const struct net *w, const uint8_t key[KEY_SIZE])
{
	return w->n.manifest.len && manifest_revokes_key(&w->n.manifest, key);
}

/* The network key is a CA for ever. */
static bool ca_revoked(const struct net *w, const uint8_t ca[KEY_SIZE])
{
	return memcmp(ca, w->n.key, KEY_SIZE) != 0 && key_revoked(w, ca);
}

/* NULL: not known, or no CA any more. */
static const uint8_t *ca_of(const struct net *w, const struct wire_chain *chain)
{
	return w->n.manifest.len ? manifest_ca(&w->n.manifest.m, chain->ca) : NULL;
}

static bool chain_revoked(const struct net *w, const struct wire_chain *chain)
{
	const uint8_t *ca = ca_of(w, chain);

	if (w->n.manifest.len && (!ca || ca_revoked(w, ca)))
		return true;
	for (size_t i = 0; i < chain->n_links; i++)
		if (key_revoked(w, chain->links[i].key) ||
		    (w->n.manifest.len &&
		     manifest_revokes_serial(&w->n.manifest, chain->links[i].serial)))
			return true;
	return false;
}

static bool entry_revoked(const struct net *w, const json_t *entry)
{
	uint8_t key[KEY_SIZE];

	return serial_revoked(w, get_text(entry, "serial")) ||
	       (address_parse(key, get_text(entry, "address")) == 0 && key_revoked(w, key)) ||
	       (address_parse(key, get_text(entry, "ca")) == 0 && ca_revoked(w, key));
}

/* --- gathering --- */

struct gathering {
	const struct net *w;
	json_t *by_address;
};

static bool is_better(const json_t *a, const json_t *b)
{
	bool revoked = json_is_true(json_object_get(a, "revoked"));

	if (revoked != json_is_true(json_object_get(b, "revoked")))
		return !revoked;
	return get_number(a, "valid_until") >= get_number(b, "valid_until");
}

/* Of the certificates of one key that which holds longest counts. */
static void add(struct gathering *g, json_t *row)
{
	const char *address = get_text(row, "address");
	const json_t *other = json_object_get(g->by_address, address);

	if (!other || is_better(row, other))
		json_object_set(g->by_address, address, row);
	json_decref(row);
}

static const char *state_of(bool revoked, json_int_t until, uint32_t now_s)
{
	return revoked ? "revoked" : until <= (json_int_t)now_s ? "expired" : "valid";
}

/* Of a member, or of its revocation. */
static void add_entry(struct gathering *g, const json_t *entry)
{
	json_int_t until = json_integer_value(json_object_get(entry, "until"));
	const char *by = get_text(entry, "by"), *invite = get_text(entry, "invite");
	bool revoked = entry_revoked(g->w, entry);

	add(g, json_pack("{s:s,s:s,s:O?,s:s,s:I,s:s,s:s?,s:O?,s:b,s:s}", "address",
			 get_text(entry, "address"), "name", get_text(entry, "name"), "groups",
			 json_object_get(entry, "groups"), "serial", get_text(entry, "serial"),
			 "valid_until", until, "by", *by ? by : "ca", "invite",
			 *invite ? invite : NULL, "ca", json_object_get(entry, "ca"), "revoked",
			 revoked, "state", state_of(revoked, until, g->w->now_s)));
}

static void add_chain(void *user, const uint8_t *data, size_t len)
{
	struct gathering *g = user;
	const struct wire_certificate *own;
	char serial[SERIAL_SIZE], invite[SERIAL_SIZE];
	struct wire_chain chain;
	const uint8_t *ca;
	uint32_t until;
	bool revoked;

	if (wire_chain_decode(&chain, data, len) < 0)
		return;
	own = &chain.links[chain.n_links - 1];
	ca = ca_of(g->w, &chain);
	until = own->not_after < chain.links[0].not_after ? own->not_after
							  : chain.links[0].not_after;
	revoked = chain_revoked(g->w, &chain);
	add(g, json_pack("{s:o,s:s,s:o,s:s,s:I,s:s,s:s?,s:o,s:b,s:s}", "address",
			 net_address(own->key), "name", own->n_names ? own->names[0] : "", "groups",
			 net_texts(own->groups[0], sizeof(own->groups[0]), own->n_groups), "serial",
			 serial_format(own->serial, serial), "valid_until", (json_int_t)until, "by",
			 chain.n_links > 1 ? "invite" : "ca", "invite",
			 chain.n_links > 1 ? serial_format(chain.links[0].serial, invite) : NULL,
			 "ca", ca ? net_address(ca) : json_null(), "revoked", revoked, "state",
			 state_of(revoked, until, g->w->now_s)));
}

json_t *net_describe_invite(const struct net *w, json_t *entry)
{
	static const char *const OTHER[][2] = { { "until", "valid_until" },
						{ "longest", "lifetime_s" } };
	json_int_t until = json_integer_value(json_object_get(entry, "until"));
	bool revoked = entry_revoked(w, entry);
	json_t *out = json_copy(entry);

	json_object_del(out, "what");
	for (size_t i = 0; i < sizeof(OTHER) / sizeof(OTHER[0]); i++) {
		json_object_set(out, OTHER[i][1], json_object_get(entry, OTHER[i][0]));
		json_object_del(out, OTHER[i][0]);
	}
	json_object_set_new(out, "revoked", json_boolean(revoked));
	json_object_set_new(out, "state", json_string(state_of(revoked, until, w->now_s)));
	json_decref(entry);
	return out;
}

json_t *net_members(const struct net *w)
{
	struct gathering g = { w, json_object() };
	json_t *ledger = home_network_ledger(&w->n, w->f), *members, *invites, *row, *entry;
	const char *address;
	size_t i;

	if (!ledger || home_network_each_known(&w->n, add_chain, &g, w->f) < 0) {
		json_decref(ledger);
		json_decref(g.by_address);
		return NULL;
	}
	if (w->n.chain_len)
		add_chain(&g, w->n.chain, w->n.chain_len);
	invites = json_array();
	json_array_foreach(ledger, i, entry) {
		const char *what = get_text(entry, "what");

		if (strcmp(what, "member") == 0 ||
		    (strcmp(what, "revoke") == 0 && json_object_get(entry, "groups")))
			add_entry(&g, entry);
		else if (strcmp(what, "invite") == 0)
			json_array_append_new(invites, net_describe_invite(w, json_incref(entry)));
	}
	members = json_array();
	json_object_foreach(g.by_address, address, row)
		json_array_append(members, row);
	json_decref(g.by_address);
	json_decref(ledger);
	return json_pack("{s:o,s:o}", "members", members, "invites", invites);
}

/* --- what the running node has seen --- */

struct merging {
	json_t *members;
};

static json_t *row_of(const json_t *members, const char *address)
{
	json_t *row;
	size_t i;

	json_array_foreach(members, i, row)
		if (strcmp(get_text(row, "address"), address) == 0)
			return row;
	return NULL;
}

static void take_seen(void *user, const json_t *event)
{
	const struct merging *m = user;
	json_t *seen;
	size_t i;

	json_array_foreach(json_object_get(event, "members"), i, seen) {
		json_t *row = row_of(m->members, get_text(seen, "address"));

		if (!row) {
			row = json_object();
			json_array_append_new(m->members, row);
		}
		if (get_number(row, "valid_until") <= get_number(seen, "valid_until"))
			json_object_update(row, seen);
		json_object_set_new(row, "revoked", json_false());
		json_object_set_new(row, "state", json_string("valid"));
		json_object_set_new(row, "seen", json_true());
	}
}

void net_merge_seen(struct cli *c, const char *label, json_t *members)
{
	struct merging m = { members };
	json_t *row;
	size_t i;

	json_array_foreach(members, i, row)
		json_object_set_new(row, "seen", json_false());
	network_ask_node(c, json_pack("{s:s,s:s}", "op", "members", "network", label), take_seen,
			 &m);
}

/* --- printing --- */

static json_t *member_row(const struct net *w, const json_t *member)
{
	char groups[LIST_SIZE], until[DATE_SIZE], brief[SHORT_SIZE], network[ADDRESS_SIZE],
		by[SERIAL_SIZE + 16] = "a CA";
	const char *name = get_text(member, "name"), *invite = get_text(member, "invite"),
		   *ca = get_text(member, "ca");

	address_format(w->n.key, network);
	if (*ca && strcmp(ca, network) != 0)
		snprintf(by, sizeof(by), "CA %s", short_address(ca, brief));
	if (*invite)
		snprintf(by, sizeof(by), "invite %s", invite);
	return json_pack("[s,s,s,s,s,s,s]", *name ? name : "-", get_text(member, "address"),
			 net_join_texts(json_object_get(member, "groups"), groups, sizeof(groups)),
			 format_date((uint32_t)get_number(member, "valid_until"), until), by,
			 get_text(member, "state"),
			 json_is_true(json_object_get(member, "seen")) ? "yes" : "-");
}

static json_t *invite_row(const struct net *w, const json_t *invite)
{
	char groups[LIST_SIZE], names[LIST_SIZE], prefixes[LIST_SIZE], until[DATE_SIZE];
	json_t *all = json_array(), *row;
	const json_t *one;
	size_t i;

	(void)w;
	json_array_extend(all, json_object_get(invite, "names"));
	json_array_foreach(json_object_get(invite, "prefixes"), i, one) {
		snprintf(prefixes, sizeof(prefixes), "%.80s...", json_string_value(one));
		json_array_append_new(all, json_string(prefixes));
	}
	row = json_pack("[s,s,s,s,s]", get_text(invite, "serial"),
			net_join_texts(all, names, sizeof(names)),
			net_join_texts(json_object_get(invite, "groups"), groups, sizeof(groups)),
			format_date((uint32_t)get_number(invite, "valid_until"), until),
			get_text(invite, "state"));
	json_decref(all);
	return row;
}

static void print_list(const struct net *w, const json_t *list, json_t *title,
		       json_t *(*row)(const struct net *, const json_t *))
{
	json_t *rows = json_pack("[o]", title);
	const json_t *one;
	size_t i;

	json_array_foreach(list, i, one)
		json_array_append_new(rows, row(w, one));
	if (i > 0)
		print_table(rows);
	json_decref(rows);
}

int network_members(struct cli *c)
{
	struct net w;
	int rv = net_open_network(&w, c, NET_LOOK);
	json_t *j = rv == 0 ? net_members(&w) : NULL;

	if (j)
		net_merge_seen(c, w.n.label, json_object_get(j, "members"));
	if (j && c->json) {
		json_object_set_new(j, "network", net_key_text(w.n.key));
		json_object_set_new(j, "label", json_string(w.n.label));
		print_json(j);
	} else if (j) {
		print_list(&w, json_object_get(j, "members"),
			   json_pack("[s,s,s,s,s,s,s]", "NAME", "ADDRESS", "GROUPS", "VALID UNTIL",
				     "BY", "STATE", "SEEN"),
			   member_row);
		print_list(&w, json_object_get(j, "invites"),
			   json_pack("[s,s,s,s,s]", "INVITE", "NAMES", "GROUPS", "VALID UNTIL",
				     "STATE"),
			   invite_row);
	}
	net_close(&w);
	rv = j ? EXIT_OK : -1;
	json_decref(j);
	return rv;
}
