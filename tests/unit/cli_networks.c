// SPDX-License-Identifier: Apache-2.0
/* tests/unit/cli_networks.c - the networks of a home: files, damage, ledger, what was seen. */
#include "cli_files.h"

#include <sys/file.h>

#include "cli/networks.h"
#include "crypto/address.h"

enum { NOW = 1800000000 };

static struct home h;
static struct failure f;
static struct home_network n;
static struct identity ca, other, node;

static int setup(void **state)
{
	(void)state;
	memset(&f, 0, sizeof(f));
	assert_int_equal(home_open(&h, "home", true, &f), 0);
	identity_generate(&ca);
	identity_generate(&other);
	identity_generate(&node);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	home_close(&h);
	run("rm -rf ./* && test -z \"$(ls -A)\"");
	return 0;
}

static void assert_failure(int exit, const char *code, const char *message)
{
	assert_int_equal(f.exit, exit);
	assert_string_equal(f.code, code);
	if (!strstr(f.message, message))
		fail_msg("\"%s\" says nothing of \"%s\"", f.message, message);
	assert_true(strlen(f.hint) > 0);
	memset(&f, 0, sizeof(f));
}

/* --- what is stored --- */

static struct manifest make_manifest(const struct identity *key, const char *name,
				     uint64_t sequence)
{
	struct wire_manifest m = { .sequence = sequence, .issued = NOW, .expires = NOW + 1000 };
	struct manifest out = { 0 };

	memcpy(m.network, key->key, KEY_SIZE);
	strcpy(m.name, name);
	assert_int_equal(manifest_sign(&out, &m, key), 0);
	return out;
}

/* A certificate by the CA, of serial 7, for `key`. */
static size_t make_chain(const struct identity *network, const uint8_t key[KEY_SIZE],
			 uint8_t out[WIRE_CHAIN_MAX])
{
	struct wire_chain chain = { .n_links = 1 };
	struct wire_certificate *c = &chain.links[0];
	size_t len;

	memcpy(chain.network, network->key, KEY_SIZE);
	memcpy(chain.ca, network->key, WIRE_CA_HINT);
	memcpy(c->key, key, KEY_SIZE);
	c->serial = 7;
	c->not_before = NOW;
	c->not_after = NOW + 1000;
	assert_int_equal(certificate_sign(c, network->key, network), 0);
	len = wire_chain_encode(out, &chain);
	assert_true(len > 0);
	return len;
}

static void make_invite(char word[INVITE_TEXT_MAX])
{
	struct wire_certificate *c;
	struct invite i;

	memset(&i, 0, sizeof(i));
	identity_generate(&i.delegate);
	memcpy(i.chain.network, ca.key, KEY_SIZE);
	memcpy(i.chain.ca, ca.key, WIRE_CA_HINT);
	i.chain.n_links = 1;
	c = &i.chain.links[0];
	memcpy(c->key, i.delegate.key, KEY_SIZE);
	c->serial = 9;
	c->not_before = NOW;
	c->not_after = NOW + 1000;
	c->flags = CERTIFICATE_DELEGATE;
	assert_int_equal(certificate_sign(c, ca.key, &ca), 0);
	assert_int_equal(invite_format(&i, word), 0);
	invite_wipe(&i);
}

/* A network with all that there can be; *n is open. */
static void make_network(const char *label)
{
	struct manifest m = make_manifest(&ca, "acme", 5);
	uint8_t chain[WIRE_CHAIN_MAX];
	char word[INVITE_TEXT_MAX];
	size_t len = make_chain(&ca, node.key, chain);

	make_invite(word);
	assert_int_equal(home_network_begin(&n, &h, label, &f), 0);
	assert_int_equal(home_network_save_manifest(&n, &m, &f), 0);
	assert_null(m.bytes);
	assert_int_equal(home_network_save_chain(&n, chain, len, &f), 0);
	assert_int_equal(home_network_save_ca(&n, &ca, &f), 0);
	assert_int_equal(home_network_save_invite(&n, word, &f), 0);
	assert_int_equal(home_network_record(&n, json_pack("{s:s}", "what", "test"), &f), 0);
	assert_int_equal(home_network_save_known(&n, node.key, chain, len, &f), 0);
	assert_int_equal(home_network_commit(&n, &h, &f), 0);
}

static void make_closed(const char *label)
{
	make_network(label);
	home_network_close(&n);
}

/* Of another key, with a manifest alone. */
static void make_other(const char *label)
{
	struct manifest m = make_manifest(&other, "other", 5);

	assert_int_equal(home_network_begin(&n, &h, label, &f), 0);
	assert_int_equal(home_network_save_manifest(&n, &m, &f), 0);
	assert_int_equal(home_network_commit(&n, &h, &f), 0);
	home_network_close(&n);
}

/* --- making and finding --- */

static void what_was_stored_comes_back(void **state)
{
	struct home_networks all;
	struct identity key;
	struct invite i;

	(void)state;
	assert_int_equal(home_networks_list(&h, &all, &f), 0);
	assert_int_equal(all.count, 0);
	make_closed("acme");
	assert_int_equal(home_networks_list(&h, &all, &f), 0);
	assert_int_equal(all.count, 1);
	assert_string_equal(all.labels[0], "acme");
	assert_int_equal(home_network_open(&n, &h, "acme", &f), 0);
	assert_string_equal(n.label, "acme");
	assert_memory_equal(n.key, ca.key, KEY_SIZE);
	assert_int_equal(n.manifest.m.sequence, 5);
	assert_string_equal(n.manifest.m.name, "acme");
	assert_memory_equal(n.links.links[0].key, node.key, KEY_SIZE);
	assert_true(home_network_holds_ca(&n) && home_network_holds_invite(&n));
	assert_int_equal(home_network_ca(&n, &key, &f), 0);
	assert_memory_equal(&key, &ca, sizeof(key));
	assert_int_equal(home_network_invite(&n, &i, &f), 0);
	assert_int_equal(i.chain.links[0].serial, 9);
	invite_wipe(&i);
	home_network_close(&n);
	home_network_close(&n); /* twice is as good */
}

static void files_are_for_their_user_alone(void **state)
{
	static const char *const FILES[] = { "manifest", "chain", "ca.pem", "invite",
					     "ledger.jsonl" };
	char path[200];

	(void)state;
	make_closed("acme");
	assert_int_equal(mode_of("home/networks"), 0700);
	assert_int_equal(mode_of("home/networks/acme"), 0700);
	assert_int_equal(mode_of("home/networks/acme/known"), 0700);
	for (size_t i = 0; i < COUNT(FILES); i++) {
		snprintf(path, sizeof(path), "home/networks/acme/%s", FILES[i]);
		assert_int_equal(mode_of(path), 0600);
	}
}

static void what_was_not_committed_leaves_nothing(void **state)
{
	struct manifest m = make_manifest(&ca, "acme", 5);
	struct home_networks all;
	uint8_t chain[WIRE_CHAIN_MAX];
	size_t len = make_chain(&ca, node.key, chain);

	(void)state;
	assert_int_equal(home_network_begin(&n, &h, "acme", &f), 0);
	assert_int_equal(home_network_save_manifest(&n, &m, &f), 0);
	assert_int_equal(home_network_save_ca(&n, &ca, &f), 0);
	assert_int_equal(home_network_save_known(&n, node.key, chain, len, &f), 0);
	assert_int_equal(home_networks_list(&h, &all, &f), 0);
	assert_int_equal(all.count, 0);
	home_network_close(&n);
	run("test -z \"$(ls -A home/networks)\"");
}

static void what_a_killed_process_left_is_no_obstacle(void **state)
{
	(void)state;
	run("umask 077 && mkdir -p home/networks/.new/known && touch home/networks/.new/ca.pem "
	    "home/networks/.new/known/x home/networks/.new/manifest.new");
	make_closed("acme");
	run("ln -s /etc/passwd home/networks/acme/manifest.new");
	assert_int_equal(home_network_open(&n, &h, "acme", &f), 0);
	{
		struct manifest m = make_manifest(&ca, "acme", 6);

		assert_int_equal(home_network_save_manifest(&n, &m, &f), 0);
	}
	home_network_close(&n);
	assert_false(exists("home/networks/.new"));
	assert_false(exists("home/networks/acme/manifest.new"));
	assert_int_equal(mode_of("home/networks/acme/manifest"), 0600);
}

static void networks_are_found_by_label_and_key(void **state)
{
	char word[NETWORK_TEXT_SIZE];

	(void)state;
	assert_int_equal(home_network_find(&n, &h, NULL, &f), -1);
	assert_failure(EXIT_FAILED, "not-found", "this home has no network");
	make_closed("acme");
	assert_int_equal(home_network_find(&n, &h, NULL, &f), 0);
	home_network_close(&n);
	make_other("second");
	assert_int_equal(home_network_find(&n, &h, NULL, &f), -1);
	assert_failure(EXIT_USAGE, "usage", "this home has 2 networks");
	assert_int_equal(home_network_find(&n, &h, "second", &f), 0);
	assert_memory_equal(n.key, other.key, KEY_SIZE);
	home_network_close(&n);
	network_format(ca.key, word);
	assert_int_equal(home_network_find(&n, &h, word, &f), 0);
	assert_string_equal(n.label, "acme");
	home_network_close(&n);
	network_format(node.key, word);
	assert_int_equal(home_network_find(&n, &h, word, &f), -1);
	assert_failure(EXIT_FAILED, "not-found", "this home has no network \"c");
	assert_int_equal(home_network_find(&n, &h, "../acme", &f), -1);
	assert_failure(EXIT_FAILED, "not-found", "\"../acme\"");
	assert_int_equal(home_network_by_key(&n, &h, node.key, &f), 1);
	home_network_close(&n);
}

static void home_that_is_not_there_has_no_networks(void **state)
{
	struct home_networks all;
	struct home none;

	(void)state;
	assert_int_equal(home_open(&none, "nowhere", false, &f), 0);
	assert_int_equal(home_networks_list(&none, &all, &f), 0);
	assert_int_equal(all.count, 0);
	assert_int_equal(home_network_find(&n, &none, "acme", &f), -1);
	assert_failure(EXIT_FAILED, "not-found", "acme");
	assert_int_equal(home_network_open(&n, &none, "acme", &f), -1);
	home_close(&none);
}

static void labels_are_taken_once_and_sixteen_times(void **state)
{
	struct home_networks all;

	(void)state;
	make_closed("acme");
	assert_int_equal(home_network_begin(&n, &h, "acme", &f), -1);
	assert_failure(EXIT_FAILED, "exists", "called acme");
	for (int i = 1; i < HOME_NETWORKS_MAX; i++) {
		char label[8];

		snprintf(label, sizeof(label), "n%d", i);
		make_other(label);
	}
	assert_int_equal(home_network_begin(&n, &h, "more", &f), -1);
	assert_failure(EXIT_FAILED, "limit", "16 networks");
	assert_int_equal(home_networks_list(&h, &all, &f), 0);
	assert_int_equal(all.count, HOME_NETWORKS_MAX);
	for (size_t i = 1; i < all.count; i++)
		assert_true(strcmp(all.labels[i - 1], all.labels[i]) < 0);
	run("mkdir home/networks/more");
	assert_int_equal(home_networks_list(&h, &all, &f), -1);
	assert_failure(EXIT_FAILED, "limit", "more than 16");
}

static void other_names_in_the_directory_are_no_networks(void **state)
{
	struct home_networks all;

	(void)state;
	make_closed("acme");
	run("mkdir home/networks/.x home/networks/Big home/networks/-a; touch home/networks/a_b");
	assert_int_equal(home_networks_list(&h, &all, &f), 0);
	assert_int_equal(all.count, 1);
}

static void changes_exclude_one_another(void **state)
{
	int lock = home_networks_lock(&h, &f), second;

	(void)state;
	assert_true(lock >= 0);
	second = open("home/networks", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(flock(second, LOCK_EX | LOCK_NB), -1);
	close(lock);
	assert_int_equal(flock(second, LOCK_EX | LOCK_NB), 0);
	close(second);
}

/* --- what is refused --- */

static void ignore(void *user, const uint8_t *chain, size_t len)
{
	(void)user;
	(void)chain;
	(void)len;
}

/* Each file of the network. */
static int use_all(void)
{
	struct identity key;
	struct invite invite;
	json_t *ledger = NULL;
	int rv = home_network_open(&n, &h, "acme", &f);

	if (rv == 0)
		rv = home_network_ca(&n, &key, &f);
	if (rv == 0)
		rv = home_network_invite(&n, &invite, &f);
	if (rv == 0)
		rv = home_network_each_known(&n, ignore, NULL, &f);
	if (rv == 0) {
		ledger = home_network_ledger(&n, &f);
		rv = ledger ? 0 : -1;
	}
	json_decref(ledger);
	home_network_close(&n);
	return rv;
}

static void files_that_others_may_write_are_refused(void **state)
{
	static const struct {
		const char *name;
		bool directory, secret;
	} ROWS[] = {
		{ "", true, false },
		{ "acme", true, false },
		{ "acme/manifest", false, false },
		{ "acme/chain", false, false },
		{ "acme/ca.pem", false, true },
		{ "acme/invite", false, true },
		{ "acme/ledger.jsonl", false, false },
		{ "acme/known", true, false },
	};

	(void)state;
	make_closed("acme");
	for (size_t i = 0; i < COUNT(ROWS); i++) {
		mode_t right = ROWS[i].directory ? 0700 : 0600;
		char path[100];

		snprintf(path, sizeof(path), "home/networks/%s", ROWS[i].name);
		assert_int_equal(chmod(path, right | 0020), 0);
		assert_int_equal(use_all(), -1);
		assert_non_null(strstr(f.hint, ROWS[i].directory ? "0700" : "0600"));
		assert_failure(EXIT_FAILED, "permission", "others may write");
		assert_int_equal(chmod(path, right | 0044), 0);
		assert_int_equal(use_all(), ROWS[i].secret ? -1 : 0);
		if (ROWS[i].secret)
			assert_failure(EXIT_FAILED, "permission", "others may read");
		assert_int_equal(chmod(path, right), 0);
		assert_int_equal(use_all(), 0);
	}
}

static void damage(const char *name, const void *data, size_t len, const char *why)
{
	char path[100], message[200];

	snprintf(path, sizeof(path), "home/networks/acme/%s", name);
	write_bytes(path, data, len, 0600);
	assert_int_equal(home_network_open(&n, &h, "acme", &f), -1);
	assert_int_equal(n.fd, -1);
	snprintf(message, sizeof(message), "home/networks/acme/%s is damaged: %s", name, why);
	assert_failure(EXIT_FAILED, "format", message);
}

static void damaged_files_are_explained(void **state)
{
	static uint8_t large[WIRE_MANIFEST_MAX + 2];
	struct manifest m;
	uint8_t chain[WIRE_CHAIN_MAX];
	size_t len;

	(void)state;
	make_network("acme");
	m = n.manifest;
	memset(&n.manifest, 0, sizeof(n.manifest));
	home_network_close(&n);
	damage("manifest", "", 0, "it is malformed");
	damage("manifest", m.bytes, m.len - 1, "it is malformed");
	m.bytes[m.len - 1] ^= 1;
	damage("manifest", m.bytes, m.len, "its signature is wrong");
	m.bytes[m.len - 1] ^= 1;
	write_bytes("home/networks/acme/manifest", large, sizeof(large), 0600);
	assert_int_equal(home_network_open(&n, &h, "acme", &f), -1);
	assert_failure(EXIT_FAILED, "length", "it is too large");
	write_bytes("home/networks/acme/manifest", m.bytes, m.len, 0600);
	damage("chain", "", 0, "it is no certificate chain");
	damage("chain", "x", 1, "it is no certificate chain");
	len = make_chain(&other, node.key, chain);
	damage("chain", chain, len, "it is of another network");
	manifest_clear(&m);
	run("rm home/networks/acme/manifest home/networks/acme/chain");
	assert_int_equal(home_network_open(&n, &h, "acme", &f), -1);
	assert_failure(EXIT_FAILED, "format", "neither a manifest nor a chain");
	run("rm -r home/networks/acme && mkdir -m 0700 home/networks/acme "
	    "home/networks/acme/manifest");
	assert_int_equal(home_network_open(&n, &h, "acme", &f), -1);
	assert_failure(EXIT_FAILED, "format", "is no regular file");
	run("rm -r home/networks/acme && touch home/networks/acme");
	assert_int_equal(home_network_open(&n, &h, "acme", &f), -1);
	assert_failure(EXIT_FAILED, "io", "home/networks/acme");
}

static void damaged_secrets_are_explained(void **state)
{
	struct identity key;
	struct invite i;

	(void)state;
	make_network("acme");
	write_file("home/networks/acme/ca.pem", "x", 0600);
	assert_int_equal(home_network_ca(&n, &key, &f), -1);
	assert_failure(EXIT_FAILED, "format", "acme/ca.pem is damaged");
	assert_true(home_network_holds_ca(&n)); /* it was meant to sign */
	write_file("home/networks/acme/invite", "iabc", 0600);
	assert_int_equal(home_network_invite(&n, &i, &f), -1);
	assert_failure(EXIT_FAILED, "format", "acme/invite is damaged");
	run("rm home/networks/acme/ca.pem home/networks/acme/invite");
	assert_int_equal(home_network_ca(&n, &key, &f), -1);
	assert_failure(EXIT_FAILED, "not-found", "the key of a CA of acme is not in this home");
	assert_int_equal(home_network_invite(&n, &i, &f), -1);
	assert_failure(EXIT_FAILED, "not-found", "no invite of acme");
	assert_false(home_network_holds_ca(&n) || home_network_holds_invite(&n));
	home_network_close(&n);
}

/* --- manifests --- */

static void only_newer_manifests_are_saved(void **state)
{
	static const uint64_t OLD[] = { 5, 4 };

	(void)state;
	make_network("acme");
	for (size_t i = 0; i < COUNT(OLD); i++) {
		struct manifest m = make_manifest(&ca, "acme", OLD[i]);

		assert_int_equal(home_network_save_manifest(&n, &m, &f), -1);
		assert_failure(EXIT_FAILED, "exists", "no newer");
		assert_non_null(m.bytes);
		manifest_clear(&m);
	}
	for (uint64_t sequence = 6; sequence < 8; sequence++) {
		struct manifest m = make_manifest(&ca, "acme", sequence);

		assert_int_equal(home_network_save_manifest(&n, &m, &f), 0);
		assert_int_equal(n.manifest.m.sequence, sequence);
	}
	home_network_close(&n);
	assert_int_equal(home_network_open(&n, &h, "acme", &f), 0);
	assert_int_equal(n.manifest.m.sequence, 7);
	home_network_close(&n);
}

/* A machine may start with a clock of 1970. */
static void manifests_of_the_home_are_not_of_the_future(void **state)
{
	struct manifest m = make_manifest(&ca, "acme", 9000000000000000);

	(void)state;
	make_network("acme");
	assert_int_equal(home_network_save_manifest(&n, &m, &f), 0);
	home_network_close(&n);
	assert_int_equal(home_network_open(&n, &h, "acme", &f), 0);
	home_network_close(&n);
}

/* Joined by an invite: the chain alone says which network it is. */
static void network_without_a_manifest_is_one(void **state)
{
	uint8_t chain[WIRE_CHAIN_MAX];
	size_t len = make_chain(&ca, node.key, chain);
	struct identity key;

	(void)state;
	assert_int_equal(home_network_begin(&n, &h, "acme", &f), 0);
	assert_int_equal(home_network_save_chain(&n, chain, len, &f), 0);
	assert_int_equal(home_network_commit(&n, &h, &f), 0);
	home_network_close(&n);
	assert_int_equal(home_network_open(&n, &h, "acme", &f), 0);
	assert_int_equal(n.manifest.len, 0);
	assert_memory_equal(n.key, ca.key, KEY_SIZE);
	assert_int_equal(home_network_save_ca(&n, &ca, &f), 0);
	assert_int_equal(home_network_ca(&n, &key, &f), -1); /* nothing to sign anew */
	home_network_close(&n);
}

/* The next manifest: whether it names `other` as a CA, and revokes it. */
static void save_next(bool endorses, bool revokes)
{
	struct wire_manifest m = { .sequence = n.manifest.m.sequence + 1,
				   .issued = NOW,
				   .expires = NOW + 1000,
				   .name = "acme",
				   .n_cas = endorses,
				   .revoked_keys = other.key,
				   .n_revoked_keys = revokes };
	struct manifest next = { 0 };

	memcpy(m.network, ca.key, KEY_SIZE);
	memcpy(m.cas[0].key, other.key, KEY_SIZE);
	ca_endorse(&ca, other.key, m.cas[0].signature);
	assert_int_equal(manifest_sign(&next, &m, &ca), 0);
	assert_int_equal(home_network_save_manifest(&n, &next, &f), 0);
}

static void assert_state(enum home_ca wanted, const struct identity *of)
{
	enum home_ca got = HOME_CA_NONE;
	uint8_t key[KEY_SIZE];

	assert_int_equal(home_network_ca_state(&n, &got, key, &f), 0);
	assert_int_equal(got, wanted);
	assert_memory_equal(key, of->key, KEY_SIZE);
}

/* Only a key that the manifest names, and does not revoke, signs. */
static void further_ca_is_a_ca(void **state)
{
	static const struct {
		bool endorses, revokes;
		enum home_ca is;
		const char *why;
	} ROWS[] = {
		{ false, false, HOME_CA_WAITING, "is not endorsed yet" },
		{ true, false, HOME_CA_FURTHER, NULL },
		{ true, true, HOME_CA_REVOKED, "is revoked" },
		{ false, true, HOME_CA_REVOKED, "is revoked" },
	};
	struct identity key;

	(void)state;
	make_network("acme");
	assert_state(HOME_CA_NETWORK, &ca);
	assert_int_equal(home_network_save_ca(&n, &other, &f), 0);
	for (size_t i = 0; i < COUNT(ROWS); i++) {
		bool signs = ROWS[i].why == NULL;

		save_next(ROWS[i].endorses, ROWS[i].revokes);
		assert_state(ROWS[i].is, &other);
		assert_int_equal(home_network_holds_ca(&n), signs);
		assert_int_equal(home_network_ca(&n, &key, &f), signs ? 0 : -1);
		if (signs)
			assert_memory_equal(&key, &other, sizeof(key));
		else
			assert_failure(EXIT_FAILED, "denied", ROWS[i].why);
	}
	home_network_close(&n);
}

/* A further CA may say that the network key is revoked, and nobody listens. */
static void network_key_signs_for_ever(void **state)
{
	struct wire_manifest m = { .sequence = 6,
				   .issued = NOW,
				   .expires = NOW + 1000,
				   .name = "acme",
				   .revoked_keys = ca.key,
				   .n_revoked_keys = 1 };
	struct manifest next = { 0 };
	struct identity key;

	(void)state;
	make_network("acme");
	memcpy(m.network, ca.key, KEY_SIZE);
	assert_int_equal(manifest_sign(&next, &m, &ca), 0);
	assert_int_equal(home_network_save_manifest(&n, &next, &f), 0);
	assert_state(HOME_CA_NETWORK, &ca);
	assert_int_equal(home_network_ca(&n, &key, &f), 0);
	home_network_close(&n);
}

static void full_disks_lose_nothing(void **state)
{
	struct manifest m = make_manifest(&ca, "acme", 6);

	(void)state;
	make_network("acme");
	run("mkdir -p home/networks/acme/manifest.new/x"); /* cannot be written */
	assert_int_equal(home_network_save_manifest(&n, &m, &f), -1);
	assert_failure(EXIT_FAILED, "io", "cannot write home/networks/acme/manifest");
	manifest_clear(&m);
	assert_int_equal(n.manifest.m.sequence, 5);
	home_network_close(&n);
	assert_int_equal(home_network_open(&n, &h, "acme", &f), 0);
	assert_int_equal(n.manifest.m.sequence, 5);
	home_network_close(&n);
}

/* --- the ledger --- */

static void ledger_grows(void **state)
{
	json_t *ledger;

	(void)state;
	make_network("acme");
	for (int i = 1; i < 5; i++)
		assert_int_equal(home_network_record(&n, json_pack("{s:i}", "at", i), &f), 0);
	ledger = home_network_ledger(&n, &f);
	assert_int_equal(json_array_size(ledger), 5);
	for (size_t i = 1; i < 5; i++)
		assert_int_equal(
			json_integer_value(json_object_get(json_array_get(ledger, i), "at")), i);
	json_decref(ledger);
	assert_int_equal(mode_of("home/networks/acme/ledger.jsonl"), 0600);
	run("rm home/networks/acme/ledger.jsonl");
	ledger = home_network_ledger(&n, &f);
	assert_int_equal(json_array_size(ledger), 0);
	json_decref(ledger);
	home_network_close(&n);
}

static void damaged_ledger_is_explained(void **state)
{
	static const char *const BAD[] = { "{}\n[]\n", "{}\n{\n{}\n", "{}\nx" };

	(void)state;
	make_network("acme");
	for (size_t i = 0; i < COUNT(BAD); i++) {
		write_file("home/networks/acme/ledger.jsonl", BAD[i], 0600);
		assert_null(home_network_ledger(&n, &f));
		assert_failure(EXIT_FAILED, "format", "ledger.jsonl is damaged at line 2");
	}
	home_network_close(&n);
}

/* --- members that have been seen --- */

struct seen {
	size_t count, len;
	uint8_t chain[WIRE_CHAIN_MAX];
};

static void see(void *user, const uint8_t *chain, size_t len)
{
	struct seen *s = user;

	s->count++;
	s->len = len;
	memcpy(s->chain, chain, len);
}

static void members_that_were_seen_are_kept(void **state)
{
	uint8_t chain[WIRE_CHAIN_MAX];
	size_t len = make_chain(&ca, other.key, chain);
	struct seen seen = { 0 };

	(void)state;
	make_network("acme"); /* its own node is known */
	assert_int_equal(home_network_each_known(&n, see, &seen, &f), 0);
	assert_int_equal(seen.count, 1);
	for (int i = 0; i < 2; i++) /* the second time in its place */
		assert_int_equal(home_network_save_known(&n, other.key, chain, len, &f), 0);
	seen.count = 0;
	assert_int_equal(home_network_each_known(&n, see, &seen, &f), 0);
	assert_int_equal(seen.count, 2);
	home_network_close(&n);
}

static void other_files_among_them_are_skipped(void **state)
{
	char name[ADDRESS_SIZE], path[200];
	uint8_t chain[WIRE_CHAIN_MAX];
	struct seen seen = { 0 };
	size_t len;

	(void)state;
	make_network("acme");
	run("rm home/networks/acme/known/*");
	len = make_chain(&ca, node.key, chain);
	write_bytes("home/networks/acme/known/x", chain, len, 0600);
	assert_int_equal(home_network_save_known(&n, other.key, chain, len, &f), 0); /* another's */
	len = make_chain(&other, ca.key, chain);
	assert_int_equal(home_network_save_known(&n, ca.key, chain, len, &f), 0); /* of another */
	address_format(node.key, name);
	snprintf(path, sizeof(path), "home/networks/acme/known/%s", name);
	write_file(path, "", 0600);
	assert_int_equal(home_network_each_known(&n, see, &seen, &f), 0);
	write_file(path, "nonsense", 0600);
	assert_int_equal(home_network_each_known(&n, see, &seen, &f), 0);
	len = make_chain(&ca, node.key, chain);
	write_bytes(path, chain, len, 0666);
	assert_int_equal(home_network_each_known(&n, see, &seen, &f), 0);
	assert_int_equal(seen.count, 0);
	assert_int_equal(chmod(path, 0600), 0);
	assert_int_equal(home_network_each_known(&n, see, &seen, &f), 0);
	assert_int_equal(seen.count, 1);
	assert_int_equal(seen.len, len);
	assert_memory_equal(seen.chain, chain, len);
	run("rm -r home/networks/acme/known");
	assert_int_equal(home_network_each_known(&n, see, &seen, &f), 0);
	home_network_close(&n);
}

/* --- serials --- */

static void serials_are_hexadecimal(void **state)
{
	static const char *const BAD[] = { "", "x", "0x1", "-1", " 1", "1 ", "00000000000000001" };
	char text[SERIAL_SIZE];
	uint64_t serial;

	(void)state;
	assert_string_equal(serial_format(0, text), "0000000000000000");
	assert_string_equal(serial_format(0xfedcba9876543210, text), "fedcba9876543210");
	assert_true(serial_parse(&serial, text));
	assert_int_equal(serial, 0xfedcba9876543210);
	assert_true(serial_parse(&serial, "7F"));
	assert_int_equal(serial, 0x7f);
	for (size_t i = 0; i < COUNT(BAD); i++)
		assert_false(serial_parse(&serial, BAD[i]));
	assert_int_equal(serial, 0x7f);
}

static int prepare(void **state)
{
	umask(0); /* modes are ours, not its */
	return enter_directory(state);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_was_stored_comes_back),
		TEST(files_are_for_their_user_alone),
		TEST(what_was_not_committed_leaves_nothing),
		TEST(what_a_killed_process_left_is_no_obstacle),
		TEST(networks_are_found_by_label_and_key),
		TEST(home_that_is_not_there_has_no_networks),
		TEST(labels_are_taken_once_and_sixteen_times),
		TEST(other_names_in_the_directory_are_no_networks),
		TEST(changes_exclude_one_another),
		TEST(files_that_others_may_write_are_refused),
		TEST(damaged_files_are_explained),
		TEST(damaged_secrets_are_explained),
		TEST(only_newer_manifests_are_saved),
		TEST(manifests_of_the_home_are_not_of_the_future),
		TEST(network_without_a_manifest_is_one),
		TEST(further_ca_is_a_ca),
		TEST(network_key_signs_for_ever),
		TEST(full_disks_lose_nothing),
		TEST(ledger_grows),
		TEST(damaged_ledger_is_explained),
		TEST(members_that_were_seen_are_kept),
		TEST(other_files_among_them_are_skipped),
		TEST(serials_are_hexadecimal),
	};

	return cmocka_run_group_tests(tests, prepare, leave_directory);
}
