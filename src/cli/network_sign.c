/* SPDX-License-Identifier: Apache-2.0 */
/* What a CA signs: certificates and manifests. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "cli/network_internal.h"
#include "cli/text.h"
#include "crypto/address.h"
#include "io/entropy.h"

enum {
	CLOCK_LEAST = 1735689600,      /* 2025: before there was any godwit */
	LONG_EXPIRED = 30 * 24 * 3600, /* clocks are never that wrong */
};

int net_check_clock(const struct net *w)
{
	uint32_t issued = w->n.manifest.len ? w->n.manifest.m.issued : 0;
	char now[DATE_SIZE], then[DATE_SIZE];

	if (w->now_s >= CLOCK_LEAST && w->now_s + (uint64_t)TRUST_SKEW_S >= issued)
		return 0;
	fail_error(w->f, GODWIT_E_INVALID, "clock");
	if (w->now_s < CLOCK_LEAST)
		fail_message(w->f, "the clock of this machine is wrong: it says %s",
			     format_date(w->now_s, now));
	else
		fail_message(w->f,
			     "the clock of this machine is wrong: it says %s, and the last "
			     "manifest was signed at %s",
			     format_date(w->now_s, now), format_date(issued, then));
	fail_hint(w->f, "set the clock first: what is signed now would not be valid");
	return -1;
}

uint64_t net_serial(void)
{
	struct rng rng;

	entropy_init(&rng);
	return rng_u64(&rng);
}

uint32_t net_until(const struct net *w, uint32_t lifetime)
{
	uint64_t until = (uint64_t)w->now_s + lifetime;

	return until > UINT32_MAX ? UINT32_MAX : (uint32_t)until;
}

/* --- rights --- */

struct wanted {
	const char *flag, *what, *form;
	bool (*valid)(const char *text);
	size_t most;
};

static int take_texts(const struct net *w, const struct wanted *wanted, char *out, size_t stride,
		      size_t *count)
{
	const char *text;

	for (*count = 0; (text = options_nth(&w->c->options, wanted->flag, *count)); (*count)++) {
		if (*count == wanted->most) {
			fail_usage(w->f, "", "%s: there may be %zu at most", wanted->flag,
				   wanted->most);
			fail_hint(w->f, "fewer, or another invite for the others");
			return -1;
		}
		if (!wanted->valid(text))
			return fail_usage(w->f, wanted->form, "\"%.80s\" is no %s", text,
					  wanted->what);
		for (size_t i = 0; i < *count; i++)
			if (strcmp(out + i * stride, text) == 0)
				return fail_usage(w->f, "each once", "%s %s is there twice",
						  wanted->flag, text);
		strcpy(out + *count * stride, text);
	}
	return 0;
}

int net_rights(const struct net *w, struct wire_certificate *out, size_t names)
{
	static const char NAME[] = "1 to 63 of a-z 0-9 -, the first no -";
	const struct wanted groups = { "--group", "group", "1 to 32 of a-z 0-9 -, the first no -",
				       wire_group_valid, WIRE_GROUPS_MAX };
	const struct wanted name = { "--name", "name of a member", NAME, wire_name_valid, names };
	const struct wanted prefixes = { "--name-prefix", "prefix of a name", NAME, wire_name_valid,
					 WIRE_NAMES_MAX };

	if (take_texts(w, &groups, out->groups[0], sizeof(out->groups[0]), &out->n_groups) < 0)
		return -1;
	if (take_texts(w, &name, out->names[0], sizeof(out->names[0]), &out->n_names) < 0)
		return -1;
	return take_texts(w, &prefixes, out->prefixes[0], sizeof(out->prefixes[0]),
			  &out->n_prefixes);
}

/* --- certificates --- */

static int too_long(const struct net *w)
{
	fail_error(w->f, GODWIT_E_LIMIT, "certificate");
	fail_message(w->f,
		     "names and groups together are too long: a certificate chain has %d "
		     "bytes at most",
		     WIRE_CHAIN_MAX);
	fail_hint(w->f, "fewer or shorter --group, --name and --name-prefix");
	return -1;
}

int net_sign_link(const struct net *w, const struct identity *ca, struct wire_certificate *link,
		  uint8_t chain[WIRE_CHAIN_MAX], size_t *len)
{
	struct wire_chain whole = { .n_links = 1 };
	int rv = certificate_sign(link, w->n.key, ca);

	if (rv < 0)
		return too_long(w);
	memcpy(whole.network, w->n.key, KEY_SIZE);
	memcpy(whole.ca, ca->key, WIRE_CA_HINT);
	whole.links[0] = *link;
	*len = wire_chain_encode(chain, &whole);
	return *len ? 0 : too_long(w);
}

int net_sign_member(struct net *w, const struct identity *ca, struct wire_certificate *link,
		    uint8_t chain[WIRE_CHAIN_MAX], size_t *len)
{
	char serial[SERIAL_SIZE];

	if (net_sign_link(w, ca, link, chain, len) < 0)
		return -1;
	if (home_network_record(
		    &w->n,
		    json_pack("{s:I,s:s,s:o,s:o,s:s,s:s,s:o,s:b,s:I}", "at", (json_int_t)w->now_s,
			      "what", "member", "ca", net_address(ca->key), "address",
			      net_address(link->key), "serial", serial_format(link->serial, serial),
			      "name", link->n_names ? link->names[0] : "", "groups",
			      net_texts(link->groups[0], sizeof(link->groups[0]), link->n_groups),
			      "ephemeral", (link->flags & CERTIFICATE_EPHEMERAL) != 0, "until",
			      (json_int_t)link->not_after),
		    w->f) < 0)
		return -1;
	return home_network_save_known(&w->n, link->key, chain, *len, w->f);
}

/* --- manifests --- */

static uint8_t *copy_list(const uint8_t *list, size_t count, size_t size)
{
	uint8_t *out = malloc((count + 1) * size);

	if (out && count)
		memcpy(out, list, count * size);
	return out;
}

void revision_clear(struct revision *r)
{
	free(r->keys);
	free(r->serials);
	r->keys = r->serials = NULL;
}

/* Into its place: the lists ascend. */
static void insert(uint8_t *list, size_t *count, size_t size, const uint8_t *one)
{
	size_t at = 0;

	while (at < *count && memcmp(list + at * size, one, size) < 0)
		at++;
	if (at < *count && memcmp(list + at * size, one, size) == 0)
		return;
	memmove(list + (at + 1) * size, list + at * size, (*count - at) * size);
	memcpy(list + at * size, one, size);
	(*count)++;
}

void revision_add_key(struct revision *r, const uint8_t key[KEY_SIZE])
{
	for (size_t i = r->m.n_cas; i-- > 0;)
		if (memcmp(r->m.cas[i].key, key, KEY_SIZE) == 0)
			r->m.cas[i] = r->m.cas[--r->m.n_cas];
	insert(r->keys, &r->m.n_revoked_keys, KEY_SIZE, key);
}

static void put_serial(uint8_t out[WIRE_SERIAL_SIZE], uint64_t serial)
{
	for (int i = WIRE_SERIAL_SIZE; i-- > 0; serial >>= 8)
		out[i] = (uint8_t)serial;
}

void revision_add_serial(struct revision *r, uint64_t serial)
{
	uint8_t bytes[WIRE_SERIAL_SIZE];

	put_serial(bytes, serial);
	insert(r->serials, &r->m.n_revoked_serials, WIRE_SERIAL_SIZE, bytes);
}

/* Serials whose certificates have long expired revoke nothing any more. */
static void prune(struct revision *r, const json_t *ledger, uint32_t now_s)
{
	const json_t *entry;
	size_t i;

	json_array_foreach(ledger, i, entry) {
		json_int_t until = json_integer_value(json_object_get(entry, "until"));
		uint8_t bytes[WIRE_SERIAL_SIZE];
		uint64_t serial;

		/* What the CA has signed: others choose the serials of theirs. */
		if (strcmp(get_text(entry, "what"), "revoke") == 0 || until <= 0 ||
		    until + LONG_EXPIRED > (json_int_t)now_s ||
		    !serial_parse(&serial, get_text(entry, "serial")))
			continue;
		put_serial(bytes, serial);
		for (size_t k = r->m.n_revoked_serials; k-- > 0;) {
			uint8_t *at = r->serials + k * WIRE_SERIAL_SIZE;

			if (memcmp(at, bytes, WIRE_SERIAL_SIZE) == 0)
				memmove(at, at + WIRE_SERIAL_SIZE,
					(--r->m.n_revoked_serials - k) * WIRE_SERIAL_SIZE);
		}
	}
}

int revision_begin(struct revision *r, const struct net *w)
{
	json_t *ledger = home_network_ledger(&w->n, w->f);

	memset(r, 0, sizeof(*r));
	if (!ledger)
		return -1;
	r->m = w->n.manifest.m;
	r->keys = copy_list(r->m.revoked_keys, r->m.n_revoked_keys, KEY_SIZE);
	r->serials = copy_list(r->m.revoked_serials, r->m.n_revoked_serials, WIRE_SERIAL_SIZE);
	r->m.revoked_keys = r->keys;
	r->m.revoked_serials = r->serials;
	if (r->keys && r->serials)
		prune(r, ledger, w->now_s);
	json_decref(ledger);
	if (r->keys && r->serials)
		return 0;
	revision_clear(r);
	return fail_error(w->f, GODWIT_E_NOMEM, "manifest");
}

static int explain_manifest(const struct net *w, int error)
{
	fail_error(w->f, error, "cannot sign the manifest");
	if (error == GW_E_LIMIT) {
		fail_message(w->f, "the manifest would be too long: it has %d bytes at most",
			     WIRE_MANIFEST_MAX);
		fail_hint(w->f, "revoke invites rather than each of their members; certificates "
				"that expire need no revocation");
	}
	return -1;
}

int revision_finish(struct revision *r, struct net *w, const struct identity *ca, uint32_t lifetime)
{
	uint64_t last = w->n.manifest.len ? w->n.manifest.m.sequence : 0;
	struct manifest next = { 0 };
	int rv;

	if (lifetime == 0)
		lifetime = r->m.expires > r->m.issued ? r->m.expires - r->m.issued
						      : TRUST_MANIFEST_LIFETIME_S;
	r->m.sequence = w->now_ms > last ? w->now_ms : last + 1;
	r->m.issued = w->now_s;
	r->m.expires = net_until(w, lifetime);
	rv = manifest_sign(&next, &r->m, ca);
	if (rv < 0)
		return explain_manifest(w, rv);
	rv = home_network_save_manifest(&w->n, &next, w->f);
	manifest_clear(&next);
	return rv;
}

void net_beacons(const struct net *w, struct wire_manifest *m)
{
	const struct settings *s = &w->c->settings;

	m->n_beacons = 0;
	for (size_t i = 0; i < s->at[SETTING_BEACON].count && i < WIRE_MANIFEST_BEACONS_MAX; i++) {
		struct wire_home *home = &m->beacons[m->n_beacons];
		struct beacon_name b;
		const char *why;

		/* The settings were checked. */
		if (beacon_parse(&b, s->at[SETTING_BEACON].values[i], &why) < 0)
			continue;
		memset(home, 0, sizeof(*home));
		memcpy(home->key, b.key, KEY_SIZE);
		home->udp_port = b.udp_port;
		home->tls_port = b.tls_port;
		memcpy(home->host, b.host, strlen(b.host) + 1);
		m->n_beacons++;
	}
}
