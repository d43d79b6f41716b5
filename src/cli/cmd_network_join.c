/* SPDX-License-Identifier: Apache-2.0 */
/* network join: by an invite, which is a secret, or by a bundle, which is none. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "cli/network_internal.h"
#include "cli/text.h"
#include "crypto/address.h"

/* Room for white space around the longest word. */
enum { WORD_MAX = BUNDLE_RAW_MAX * 8 / 5 + 4096 };

/* --- the word --- */

static int read_fd(int fd, const char *what, struct text *out, struct failure *f)
{
	struct text t = { .data = malloc(WORD_MAX + 1) };
	ssize_t got = 1;

	if (!t.data)
		return fail_error(f, GODWIT_E_NOMEM, "%.200s", what);
	while (got != 0 && t.len < WORD_MAX) {
		got = read(fd, t.data + t.len, WORD_MAX - t.len);
		if (got < 0 && errno != EINTR) {
			text_free(&t);
			return fail_usage(f, "env:NAME, file:PATH, fd:N or -",
					  "cannot read %.200s: %s", what, strerror(errno));
		}
		t.len += got > 0 ? (size_t)got : 0;
	}
	t.data[t.len] = '\0';
	*out = t;
	return 0;
}

static int from_fd(const char *number, struct text *out, struct failure *f)
{
	char *end;
	long fd = strtol(number, &end, 10);

	if (!*number || *end || fd < 0 || fd > INT_MAX)
		return fail_usage(f, "network join fd:3 3<FILE", "\"fd:%.60s\" is no descriptor",
				  number);
	return read_fd((int)fd, "that descriptor", out, f);
}

static int from_file(const char *path, struct text *out, struct failure *f)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), rv;

	if (fd < 0)
		return fail_usage(f, "file:PATH of a file with the word", "cannot read %.300s: %s",
				  path, strerror(errno));
	rv = read_fd(fd, path, out, f);
	close(fd);
	return rv;
}

static int copy(const char *word, struct text *out, struct failure *f)
{
	out->data = strdup(word);
	out->len = strlen(word);
	return out->data ? 0 : fail_error(f, GODWIT_E_NOMEM, "word");
}

/* Once: the word does not stay in the environment, which /proc shows. */
static int from_env(const char *name, struct text *out, struct failure *f)
{
	char *word = getenv(name);
	int rv;

	if (!word)
		return fail_usage(f, "export it, or network join file:PATH",
				  "there is no environment variable %.60s", name);
	rv = copy(word, out, f);
	explicit_bzero(word, strlen(word));
	unsetenv(name);
	return rv;
}

static void trim(struct text *t)
{
	size_t before = strspn(t->data, " \t\r\n"), len = strcspn(t->data + before, " \t\r\n");

	memmove(t->data, t->data + before, len);
	t->data[len] = '\0';
}

static bool begins(const char *word, char letter)
{
	return tolower((unsigned char)word[0]) == letter;
}

/* What is public, and no bundle; NULL: it may be anything. */
static const char *public_kind(const char *word)
{
	uint8_t key[KEY_SIZE];
	godwit_ticket t;

	if (address_parse(key, word) == 0)
		return "an address";
	if (godwit_ticket_parse(word, &t) == 0)
		return "a ticket";
	return network_parse(key, word) == 0 ? "the key of a network" : NULL;
}

/* Never repeat it: it may be a secret, mistyped. */
static int from_argv(const char *word, struct text *out, struct failure *f)
{
	if (begins(word, 'c') || public_kind(word))
		return copy(word, out, f);
	if (begins(word, 'i') && strlen(word) > ADDRESS_LEN)
		return fail_usage(f, "network join env:NAME, file:PATH, fd:N or -",
				  "an invite is a secret, and all see the command line: not "
				  "there (make another one, and revoke this)");
	return fail_usage(f, "network join env:NAME, file:PATH, fd:N, - or a bundle (c...)",
			  "that is neither a bundle nor where one is");
}

int net_read_word(const char *where, struct text *out, struct failure *f)
{
	int rv;

	if (strncmp(where, "env:", 4) == 0)
		rv = from_env(where + 4, out, f);
	else if (strncmp(where, "file:", 5) == 0)
		rv = from_file(where + 5, out, f);
	else if (strncmp(where, "fd:", 3) == 0)
		rv = from_fd(where + 3, out, f);
	else if (strcmp(where, "-") == 0)
		rv = read_fd(STDIN_FILENO, "standard input", out, f);
	else
		rv = from_argv(where, out, f);
	if (rv < 0 || !out->data)
		return -1;
	trim(out);
	return 0;
}

int net_wrong_word(const char *word, int error, bool invite, struct failure *f)
{
	const char *kind = *word ? public_kind(word) : "nothing";

	if (kind || (!invite && !begins(word, 'c')))
		return fail_usage(f,
				  "an invite (godwit network invite) or a bundle (godwit network "
				  "export)",
				  "that is %s: neither an invite (i...) nor a bundle (c...)",
				  kind ? kind : "something else");
	fail_error(f, error, invite ? "the invite" : "the bundle");
	f->exit = EXIT_USAGE;
	fail_hint(f, "copy all of what `godwit network %s` printed", invite ? "invite" : "export");
	return -1;
}

/* --- its place in the home --- */

/* The network of that key, or a new one by the name that it has here. */
static int open_or_begin(struct net *w, const uint8_t key[KEY_SIZE], const char *name, bool *fresh)
{
	const char *as = options_get(&w->c->options, "--as");
	int rv = home_network_by_key(&w->n, &w->home, key, w->f);

	*fresh = rv > 0;
	if (rv == 0 && as && strcmp(as, w->n.label) != 0) {
		fail_usage(w->f, "", "this network is called %s here already", w->n.label);
		fail_hint(w->f, "without --as");
		return -1;
	}
	if (rv <= 0)
		return rv;
	if (!as && !*name)
		return fail_usage(w->f, "--as LABEL", "the network does not say its name");
	if (!wire_name_valid(as ? as : name))
		return fail_usage(w->f, "--as LABEL: 1 to 63 of a-z 0-9 -, the first no -",
				  "\"%.80s\" is no name for a network", as ? as : name);
	if (home_network_begin(&w->n, &w->home, as ? as : name, w->f) < 0) {
		if (strcmp(w->f->code, "exists") == 0)
			fail_hint(w->f, "--as LABEL: another name for it in this home");
		return -1;
	}
	memcpy(w->n.key, key, KEY_SIZE);
	return 0;
}

/* --- by an invite --- */

static int refused(const struct net *w, const char *what, enum trust_refusal why)
{
	fail_error(w->f, GODWIT_E_DENIED, "%s", what);
	w->f->exit = EXIT_FAILED;
	fail_message(w->f, "%s: %s", what, trust_refusal_text(why));
	if (why == TRUST_EARLY || why == TRUST_FUTURE)
		fail_hint(w->f, "compare the clocks of both machines");
	else
		fail_hint(w->f, "ask who runs the network for a new one");
	return -1;
}

int net_key_revoked(const struct net *w, const char *whose)
{
	fail_error(w->f, GODWIT_E_DENIED, "key");
	w->f->exit = EXIT_FAILED;
	fail_message(w->f, "this network has revoked the key of %.60s", whose);
	fail_hint(w->f, "a new key on that machine: another --home DIR");
	return -1;
}

static int explain_invite(const struct net *w, const struct invite *i, int error, const char *name)
{
	const struct wire_certificate *link = &i->chain.links[0];
	char date[DATE_SIZE], now[DATE_SIZE];

	fail_error(w->f, error, "invite");
	w->f->exit = EXIT_FAILED;
	if (error == GW_E_TIMEOUT && w->now_s >= link->not_after) {
		fail_message(w->f, "the invite has expired: it was valid until %s",
			     format_date(link->not_after, date));
		fail_hint(w->f, "ask who gave it for a new one: godwit network invite");
	} else if (error == GW_E_TIMEOUT) {
		fail_message(w->f,
			     "the invite is not valid before %s, and this clock says %s: is it "
			     "wrong?",
			     format_date(link->not_before, date), format_date(w->now_s, now));
		fail_hint(w->f, "compare the clocks of both machines");
	} else if (error == GW_E_DENIED) {
		fail_message(w->f, "the invite does not permit the name %.80s", name);
		fail_hint(w->f, "another --name, none, or an invite with --name %.80s", name);
	} else if (error == GW_E_INVALID) {
		fail_message(w->f, "\"%.80s\" is no name for a member", name ? name : "");
		fail_hint(w->f, "--name: 1 to 63 of a-z 0-9 -, the first no -");
		w->f->exit = EXIT_USAGE;
	} else if (error == GW_E_LIMIT) {
		fail_message(w->f, "the certificate would be too long with the name %.80s", name);
		fail_hint(w->f, "a shorter --name");
	}
	return -1;
}

static int check_lifetime(const struct net *w, const struct invite *i, uint32_t lifetime)
{
	uint32_t longest =
		i->chain.links[0].longest ? i->chain.links[0].longest : TRUST_DELEGATE_LONGEST_S;
	char text[DURATION_SIZE];

	if (lifetime <= longest)
		return 0;
	fail_usage(w->f, "", "the invite permits certificates of %s at most",
		   format_span(longest, text));
	fail_hint(w->f, "--lifetime %s, or without it", text);
	return -1;
}

int net_join_by(struct net *w, const struct invite *i, const uint8_t own[KEY_SIZE],
		const char *name, uint32_t lifetime, uint8_t chain[WIRE_CHAIN_MAX], size_t *len)
{
	struct join j = { .serial = net_serial(),
			  .name = name && *name ? name : NULL,
			  .now_s = w->now_s,
			  .lifetime_s = lifetime };
	struct member member;
	enum trust_refusal why;
	int rv;

	if (check_lifetime(w, i, lifetime) < 0)
		return -1;
	memcpy(j.key, own, sizeof(j.key));
	rv = invite_join(i, &j, chain, len);
	if (rv < 0)
		return explain_invite(w, i, rv, name);
	if (w->n.manifest.len == 0)
		return 0;
	why = member_check(&member, chain, *len, &w->n.manifest, w->now_s);
	if (why == TRUST_REVOKED && manifest_revokes_key(&w->n.manifest, own))
		return net_key_revoked(w, "this node");
	return why ? refused(w, "the invite", why) : 0;
}

static int join_by_invite(struct net *w, const char *word, const struct invite *i)
{
	const char *name = options_get(&w->c->options, "--name");
	uint8_t chain[WIRE_CHAIN_MAX], own[KEY_SIZE];
	uint32_t lifetime;
	bool fresh;
	size_t len;

	if (options_duration(&w->c->options, "--lifetime", LIFETIME_LEAST, LIFETIME_MOST, 0,
			     &lifetime, w->f) < 0)
		return -1;
	if (name && !wire_name_valid(name))
		return explain_invite(w, i, GW_E_INVALID, name);
	if (open_or_begin(w, i->chain.network, i->wire.name, &fresh) < 0 ||
	    net_own_key(w, own) < 0 || net_join_by(w, i, own, name, lifetime, chain, &len) < 0 ||
	    home_network_save_invite(&w->n, word, w->f) < 0 ||
	    home_network_save_chain(&w->n, chain, len, w->f) < 0)
		return -1;
	return fresh ? home_network_commit(&w->n, &w->home, w->f) : 0;
}

/* --- by a bundle --- */

/* The newer of the bundle's manifest and ours is in *m; it is ours when m->len is 0. */
static int take_manifest(const struct net *w, const struct bundle *b, struct manifest *m)
{
	const struct manifest *than = w->n.manifest.len ? &w->n.manifest : NULL;
	enum trust_refusal why =
		manifest_take(m, b->manifest, b->manifest_len, w->n.key, than, w->now_ms);

	if (why != TRUST_OK && why != TRUST_OLD)
		return refused(w, "the manifest in the bundle", why);
	return 0;
}

static int another_key(const struct net *w, const uint8_t theirs[KEY_SIZE],
		       const uint8_t own[KEY_SIZE])
{
	char here[ADDRESS_SIZE], there[ADDRESS_SIZE];

	address_format(own, here);
	address_format(theirs, there);
	fail_error(w->f, GODWIT_E_KEY, "certificate");
	fail_message(w->f, "the certificate in the bundle is for another node: %s", there);
	fail_hint(w->f, "ask for one for this node: godwit network invite --for %s", here);
	return -1;
}

static int check_chain(const struct net *w, const struct bundle *b, const struct manifest *m)
{
	struct member member;
	enum trust_refusal why;
	uint8_t own[KEY_SIZE];

	why = member_check(&member, b->chain, b->chain_len, m, w->now_s);
	if (why)
		return refused(w, "the certificate in the bundle", why);
	if (net_own_key(w, own) < 0)
		return -1;
	return memcmp(own, member.key, KEY_SIZE) == 0 ? 0 : another_key(w, member.key, own);
}

static int save_bundle(struct net *w, const struct bundle *b, struct manifest *m, bool fresh)
{
	if (b->chain_len && check_chain(w, b, m->len ? m : &w->n.manifest) < 0)
		return -1;
	if (m->len && home_network_save_manifest(&w->n, m, w->f) < 0)
		return -1;
	if (b->chain_len && home_network_save_chain(&w->n, b->chain, b->chain_len, w->f) < 0)
		return -1;
	return fresh ? home_network_commit(&w->n, &w->home, w->f) : 0;
}

static int join_by_bundle(struct net *w, const struct bundle *b)
{
	static const char *const NOT[] = { "--name", "--lifetime" };
	struct manifest m = { 0 };
	struct wire_manifest wire;
	bool fresh;
	int rv;

	for (size_t i = 0; i < sizeof(NOT) / sizeof(NOT[0]); i++)
		if (options_has(&w->c->options, NOT[i]))
			return fail_usage(w->f, "without it",
					  "a bundle has no use for %s: that is "
					  "in the certificate",
					  NOT[i]);
	if (wire_manifest_decode(&wire, b->manifest, b->manifest_len) < 0)
		return refused(w, "the manifest in the bundle", TRUST_MALFORMED);
	if (open_or_begin(w, wire.network, wire.name, &fresh) < 0)
		return -1;
	rv = take_manifest(w, b, &m);
	if (rv == 0)
		rv = save_bundle(w, b, &m, fresh);
	manifest_clear(&m);
	return rv;
}

/* --- what came of it --- */

static void warn(const struct net *w, const char *refusal)
{
	const struct manifest *m = &w->n.manifest;
	char date[DATE_SIZE];

	if (m->len && w->now_s >= m->m.expires)
		fprintf(stderr,
			"godwit: the manifest has expired: %s\n"
			"  try: ask who has the CA key to renew it\n",
			format_date(m->m.expires, date));
	if (*refusal)
		fprintf(stderr,
			"godwit: the certificate of this node is refused: %s\n"
			"  try: godwit network show %s\n",
			refusal, w->n.label);
}

static void print_joined(const struct net *w, bool joined)
{
	json_t *j = net_describe(w);
	const json_t *certificate = json_object_get(j, "certificate");
	const char *name = get_text(certificate, "name");
	char until[DATE_SIZE], groups[512];

	if (!w->c->json)
		warn(w, get_text(certificate, "refusal"));
	if (w->c->json) {
		print_json(j);
	} else if (!joined) {
		printf("Trusting %s: %s\n%s", w->n.label, get_text(j, "network"),
		       json_is_object(certificate) ? "" : "This node is no member of it.\n");
	} else {
		printf("Joined %s: %s\n", w->n.label, get_text(j, "network"));
		printf("%s%s%s, groups %s, until %s\n", get_text(certificate, "address"),
		       *name ? " is " : "", name,
		       net_join_texts(json_object_get(certificate, "groups"), groups,
				      sizeof(groups)),
		       format_date((uint32_t)get_number(certificate, "valid_until"), until));
	}
	json_decref(j);
}

static int join_word(struct net *w, const char *word)
{
	struct bundle b = { 0 };
	struct invite i;
	int rv;

	if (begins(word, 'i')) {
		rv = invite_parse(&i, word);
		if (rv < 0)
			return net_wrong_word(word, rv, true, w->f);
		rv = join_by_invite(w, word, &i);
		invite_wipe(&i);
		if (rv == 0)
			print_joined(w, true);
		return rv;
	}
	rv = bundle_parse(&b, word);
	if (rv < 0)
		return net_wrong_word(word, rv, false, w->f);
	rv = join_by_bundle(w, &b);
	if (rv == 0)
		print_joined(w, b.chain_len > 0);
	bundle_clear(&b);
	return rv;
}

int network_join(struct cli *c)
{
	struct text word = { 0 };
	struct net w;
	int rv;

	if (net_read_word(c->options.words[1], &word, &c->failure) < 0)
		return -1;
	rv = net_open(&w, c, NET_CHANGE, true);
	if (rv == 0)
		rv = join_word(&w, word.data);
	text_free(&word);
	net_close(&w);
	if (rv == 0)
		network_tell_node(c);
	return rv < 0 ? -1 : EXIT_OK;
}
