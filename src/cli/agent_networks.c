/* SPDX-License-Identifier: Apache-2.0 */
/* The networks of the home, in the running node. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/agent_internal.h"
#include "cli/network_internal.h"
#include "cli/text.h"
#include "crypto/address.h"

/* --- loading --- */

const struct agent_network *agent_find_network(const struct agent *a, const char *label)
{
	const struct agent_network *w = a->networks;

	while (w && strcmp(w->label, label) != 0)
		w = w->next;
	return w;
}

static struct agent_network *entry(struct agent *a, const char *label)
{
	struct agent_network *w = (struct agent_network *)(uintptr_t)agent_find_network(a, label);

	if (w)
		return w;
	w = calloc(1, sizeof(*w));
	if (!w)
		return NULL;
	snprintf(w->label, sizeof(w->label), "%s", label);
	w->next = a->networks;
	a->networks = w;
	return w;
}

/* Unless it is here under another label. */
static void drop_from_node(struct agent *a, const struct agent_network *gone)
{
	for (const struct agent_network *w = a->networks; w; w = w->next)
		if (w != gone && w->known && memcmp(w->key, gone->key, KEY_SIZE) == 0)
			return;
	godwit_network_drop(a->node, gone->key);
}

void agent_take_own(const struct agent *a, struct agent_network *w, const struct home_network *n)
{
	const struct wire_certificate *own;
	uint8_t key[KEY_SIZE];

	w->member = false;
	if (n->chain_len == 0)
		return;
	own = &n->links.links[n->links.n_links - 1];
	godwit_node_key(a->node, key);
	w->member = memcmp(own->key, key, KEY_SIZE) == 0;
	if (!w->member)
		return;
	snprintf(w->name, sizeof(w->name), "%s", own->n_names ? own->names[0] : "");
	w->n_groups = own->n_groups;
	memcpy(w->groups, own->groups, sizeof(w->groups));
	w->not_before = 0;
	w->not_after = UINT32_MAX;
	for (size_t i = 0; i < n->links.n_links; i++) {
		const struct wire_certificate *link = &n->links.links[i];

		if (link->not_before > w->not_before)
			w->not_before = link->not_before;
		if (link->not_after < w->not_after)
			w->not_after = link->not_after;
	}
}

/* With the chain; if that is refused without it, so that the network is known at least. */
static int set_in_node(struct agent *a, struct agent_network *w, const struct home_network *n,
		       const char **why)
{
	const struct manifest *m = &n->manifest;
	const char *ignored;
	int rv = godwit_network_set(a->node, n->key, m->bytes, m->len, n->chain,
				    w->member ? n->chain_len : 0, why);

	w->refusal[0] = '\0';
	if (rv == 0 || !w->member)
		return rv;
	snprintf(w->refusal, sizeof(w->refusal), "%s", *why);
	return godwit_network_set(a->node, n->key, m->bytes, m->len, NULL, 0, &ignored);
}

static void adopt_beacons(struct agent *a, const struct home_network *n)
{
	struct wire_home beacons[WIRE_MANIFEST_BEACONS_MAX];

	agent_adopt_beacons(a, beacons, home_network_beacons(n, beacons));
}

/* A manifest may have endorsed the CA key that is here, or revoked it, and what was lost. */
static void look_at_cas(struct agent_network *w, const struct home_network *n)
{
	if (*w->lost.message && manifest_revokes_key(&n->manifest, w->lost_key))
		warn(&w->lost, 0, "", "");
	w->holds_ca = home_network_holds_ca(n);
	w->others_sign = n->manifest.m.n_cas > 0;
}

static void take_in(struct agent *a, struct agent_network *w, const struct home_network *n)
{
	char message[400];
	const char *why;

	if (w->known && memcmp(w->key, n->key, KEY_SIZE) != 0)
		drop_from_node(a, w);
	memcpy(w->key, n->key, KEY_SIZE);
	look_at_cas(w, n);
	w->holds_invite = home_network_holds_invite(n);
	w->cannot[0] = w->cannot_sign[0] = '\0';
	agent_take_own(a, w, n);
	w->known = set_in_node(a, w, n, &why) == 0;
	if (w->known) {
		warn(&w->damage, 0, "", "");
		adopt_beacons(a, n);
		return;
	}
	snprintf(message, sizeof(message), "network %s is not used: %s", w->label, why);
	warn(&w->damage, agent_wall_s(), message,
	     "godwit network show; see that the clock of this machine is right; or join it again");
}

static void load_one(struct agent *a, const char *label)
{
	struct agent_network *w = entry(a, label);
	struct home_network n;
	struct failure f;

	if (!w)
		return;
	w->seen = true;
	if (home_network_open(&n, a->home, label, &f) < 0) {
		char message[400];

		snprintf(message, sizeof(message), "network %s is not loaded: %.300s", label,
			 f.message);
		warn(&w->damage, agent_wall_s(), message, f.hint);
		return;
	}
	take_in(a, w, &n);
	home_network_close(&n);
}

static void sweep(struct agent *a)
{
	for (struct agent_network **at = &a->networks; *at;) {
		struct agent_network *w = *at;

		if (w->seen) {
			at = &w->next;
			continue;
		}
		*at = w->next;
		if (w->known)
			drop_from_node(a, w);
		free(w);
	}
}

static void on_timer(void *user)
{
	struct agent *a = user;
	struct hub *h = a->hub;

	agent_look_networks(a);
	hub_wake(h);
}

int agent_load_networks(struct agent *a, struct failure *f)
{
	struct home_networks all;

	if (!a->networks_timer)
		a->networks_timer = loop_timer_new(hub_loop(a->hub), on_timer, a);
	if (!a->networks_timer)
		return fail_error(f, GODWIT_E_NOMEM, "networks");
	if (home_networks_list(a->home, &all, f) < 0)
		return -1;
	for (struct agent_network *w = a->networks; w; w = w->next)
		w->seen = false;
	for (size_t i = 0; i < all.count; i++)
		load_one(a, all.labels[i]);
	sweep(a);
	godwit_recheck(a->node);
	agent_look_networks(a);
	return 0;
}

void agent_drop_networks(struct agent *a)
{
	loop_timer_free(a->networks_timer);
	while (a->networks) {
		struct agent_network *next = a->networks->next;

		free(a->networks);
		a->networks = next;
	}
}

/* --- a newer manifest has come --- */

static struct agent_network *by_key(const struct agent *a, const uint8_t key[KEY_SIZE])
{
	struct agent_network *w = a->networks;

	while (w && !(w->known && memcmp(w->key, key, KEY_SIZE) == 0))
		w = w->next;
	return w;
}

/* Keys are revoked for good: who signs without one has not known of it. */
static void look_at_revoked(struct agent_network *w, const struct wire_manifest *before,
			    const struct manifest *next)
{
	char message[400], hint[300], key[ADDRESS_SIZE], signer[ADDRESS_SIZE];
	size_t i = 0;

	while (i < before->n_revoked_keys &&
	       manifest_revokes_key(next, before->revoked_keys + i * KEY_SIZE))
		i++;
	if (i == before->n_revoked_keys)
		return;
	memcpy(w->lost_key, before->revoked_keys + i * KEY_SIZE, KEY_SIZE);
	address_format(w->lost_key, key);
	address_format(next->m.signer, signer);
	snprintf(message, sizeof(message),
		 "the manifest of %s no longer revokes %s: %s has signed it on an older one",
		 w->label, key, signer);
	snprintf(hint, sizeof(hint), "where a CA's key is: godwit network revoke %s %s", w->label,
		 key);
	warn(&w->lost, agent_wall_s(), message, hint);
}

static int save_manifest(struct agent *a, const uint8_t *data, size_t len,
			 const uint8_t key[KEY_SIZE], struct failure *f)
{
	struct agent_network *w = by_key(a, key);
	struct manifest m = { 0 };
	struct home_network n;
	int lock = home_networks_lock(a->home, f), rv;

	if (lock < 0)
		return -1;
	rv = home_network_by_key(&n, a->home, key, f);
	/* The node has checked it; the file may be newer still. */
	if (rv == 0 && manifest_take(&m, data, len, key, n.manifest.len ? &n.manifest : NULL,
				     loop_wall_clock_ms()) == TRUST_OK) {
		agent_adopt_beacons(a, m.m.beacons, m.m.n_beacons);
		if (w)
			look_at_revoked(w, &n.manifest.m, &m);
		rv = home_network_save_manifest(&n, &m, f);
		if (w)
			look_at_cas(w, &n);
	}
	manifest_clear(&m);
	home_network_close(&n);
	close(lock);
	return rv < 0 ? -1 : 0;
}

void agent_take_manifest(struct agent *a, const uint8_t key[GODWIT_KEY_SIZE])
{
	size_t len = godwit_network_manifest(a->node, key, NULL, 0);
	uint8_t *data = malloc(len + 1);
	struct failure f;

	if (data && len > 0 && godwit_network_manifest(a->node, key, data, len) == len &&
	    save_manifest(a, data, len, key, &f) < 0)
		fail_print(&f, false);
	free(data);
	agent_look_networks(a);
}

/* --- as JSON --- */

bool agent_network_info(const struct agent *a, const struct agent_network *w,
			godwit_network_info *out)
{
	godwit_network_info all[HOME_NETWORKS_MAX];
	size_t count = godwit_node_networks(a->node, all, HOME_NETWORKS_MAX);

	for (size_t i = 0; i < count && i < HOME_NETWORKS_MAX; i++)
		if (memcmp(all[i].key, w->key, KEY_SIZE) == 0) {
			*out = all[i];
			return true;
		}
	return false;
}

static json_t *describe_own(const struct agent_network *w)
{
	json_t *groups = json_array();

	for (size_t i = 0; i < w->n_groups; i++)
		json_array_append_new(groups, json_string(w->groups[i]));
	return json_pack("{s:s,s:o,s:I,s:s?}", "name", w->name, "groups", groups, "expires",
			 (json_int_t)w->not_after, "trouble", *w->refusal ? w->refusal : NULL);
}

static const char *warning_of(const struct agent_network *w)
{
	return *w->damage.message ? w->damage.message
	       : *w->own.message  ? w->own.message
	       : *w->lost.message ? w->lost.message
				  : w->manifest.message;
}

static json_t *describe(const struct agent *a, const struct agent_network *w)
{
	const char *warning = warning_of(w);
	godwit_network_info info = { 0 };
	char address[NETWORK_TEXT_SIZE];
	bool known = w->known && agent_network_info(a, w, &info);

	network_format(w->key, address);
	return json_pack(
		"{s:s,s:s?,s:o,s:o,s:o,s:s?}", "name", w->label, "address", known ? address : NULL,
		"sequence", info.sequence ? json_integer((json_int_t)info.sequence) : json_null(),
		"expires", info.sequence ? json_integer((json_int_t)info.expires) : json_null(),
		"member", w->member ? describe_own(w) : json_null(), "warning",
		*warning ? warning : NULL);
}

json_t *agent_describe_networks(const struct agent *a)
{
	json_t *out = json_array();

	for (const struct agent_network *w = a->networks; w; w = w->next)
		json_array_insert_new(out, 0, describe(a, w)); /* as they were loaded */
	return out;
}

static json_t *describe_member(const godwit_member_info *m)
{
	char address[GODWIT_ADDRESS_SIZE], ca[GODWIT_ADDRESS_SIZE];
	char serial[SERIAL_SIZE], invite[SERIAL_SIZE];
	json_t *groups = json_array();

	for (size_t i = 0; i < m->n_groups; i++)
		json_array_append_new(groups, json_string(m->groups[i]));
	godwit_address_format(m->key, address);
	godwit_address_format(m->ca, ca);
	return json_pack("{s:s,s:s,s:o,s:s,s:I,s:s,s:s?,s:s,s:b}", "address", address, "name",
			 m->name, "groups", groups, "serial", serial_format(m->serial, serial),
			 "valid_until", (json_int_t)m->not_after, "by",
			 m->delegated ? "invite" : "ca", "invite",
			 m->delegated ? serial_format(m->invite, invite) : NULL, "ca", ca,
			 "ephemeral", m->ephemeral);
}

json_t *agent_describe_members(const struct agent *a, const uint8_t network[GODWIT_KEY_SIZE])
{
	size_t count = godwit_network_members(a->node, network, NULL, 0);
	godwit_member_info *all = calloc(count + 1, sizeof(*all));
	json_t *out = json_array();

	count = all ? godwit_network_members(a->node, network, all, count) : 0;
	for (size_t i = 0; i < count; i++)
		json_array_append_new(out, describe_member(&all[i]));
	free(all);
	return out;
}

json_t *agent_describe_warnings(const struct agent *a)
{
	json_t *out = json_array();

	if (*a->clock.message)
		json_array_append_new(out, json_string(a->clock.message));
	return out;
}
