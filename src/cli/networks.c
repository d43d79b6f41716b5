/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/networks.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"

static const char BEGUN[] = ".new"; /* no label: those begin with a letter or digit */

/* --- the directory of all --- */

/* *out -1: there is none. */
static int open_all(const struct home *h, bool make, int *out, struct failure *f)
{
	int fd;

	*out = -1;
	if (h->fd < 0)
		return 0;
	if (make && mkdirat(h->fd, "networks", 0700) != 0 && errno != EEXIST)
		return fail_errno(f, errno, "cannot make %.300s/networks", h->path);
	fd = openat(h->fd, "networks", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0)
		return fail_errno(f, errno, "cannot open %.300s/networks", h->path);
	if (file_check(fd, h->path, "networks", false, f) < 0) {
		close(fd);
		return -1;
	}
	*out = fd;
	return 0;
}

static int compare_labels(const void *a, const void *b)
{
	return strcmp(a, b);
}

int home_networks_list(const struct home *h, struct home_networks *out, struct failure *f)
{
	const struct dirent *entry;
	DIR *dir;
	int fd;

	out->count = 0;
	if (open_all(h, false, &fd, f) < 0)
		return -1;
	dir = fd >= 0 ? fdopendir(fd) : NULL;
	if (!dir) {
		if (fd >= 0)
			close(fd);
		return 0;
	}
	while ((entry = readdir(dir)) != NULL) {
		if (!wire_name_valid(entry->d_name))
			continue;
		if (out->count == HOME_NETWORKS_MAX) {
			closedir(dir);
			fail_error(f, GODWIT_E_LIMIT, "networks");
			fail_message(f, "there are more than %d networks in %.300s/networks",
				     HOME_NETWORKS_MAX, h->path);
			fail_hint(f, "move one of the directories away");
			return -1;
		}
		snprintf(out->labels[out->count++], LABEL_SIZE, "%.*s", WIRE_NAME_MAX,
			 entry->d_name);
	}
	closedir(dir);
	qsort(out->labels, out->count, LABEL_SIZE, compare_labels);
	return 0;
}

int home_networks_lock(const struct home *h, struct failure *f)
{
	int fd;

	if (open_all(h, true, &fd, f) < 0)
		return -1;
	if (fd < 0)
		return fail_errno(f, ENOENT, "cannot open %.300s", h->path);
	while (flock(fd, LOCK_EX) != 0)
		if (errno != EINTR) {
			fail_errno(f, errno, "cannot lock %.300s/networks", h->path);
			close(fd);
			return -1;
		}
	return fd;
}

/* A directory and its files, and those of its directories. */
static void remove_tree(int at, const char *name, int depth)
{
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;

	if (!dir) {
		if (fd >= 0)
			close(fd);
		return;
	}
	while ((entry = readdir(dir)) != NULL) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if (unlinkat(fd, entry->d_name, 0) != 0 && depth > 0)
			remove_tree(fd, entry->d_name, depth - 1);
	}
	closedir(dir);
	unlinkat(at, name, AT_REMOVEDIR);
}

/* --- one --- */

int home_network_damaged(const struct home_network *n, const char *name, const char *why,
			 struct failure *f)
{
	fail_error(f, GODWIT_E_FORMAT, "%s", name);
	fail_message(f, "%.300s/%s is damaged: %s", n->path, name, why);
	fail_hint(f, "a copy of it; or rm -r %.300s, then join again", n->path);
	return -1;
}

/* It was checked against the clock when it was taken, and the clock may be wrong today. */
static uint64_t moment_of(const uint8_t *data, size_t len)
{
	struct wire_manifest m;

	return wire_manifest_decode(&m, data, len) < 0 ? 0 : m.sequence;
}

static int load_manifest(struct home_network *n, struct failure *f)
{
	enum trust_refusal why;
	const uint8_t *data;
	struct text t;

	if (file_read(n->fd, n->path, "manifest", false, WIRE_MANIFEST_MAX, &t, f) < 0)
		return -1;
	if (!t.data)
		return 0;
	data = (const uint8_t *)t.data;
	why = manifest_take(&n->manifest, data, t.len, NULL, NULL, moment_of(data, t.len));
	text_free(&t);
	return why ? home_network_damaged(n, "manifest", trust_refusal_text(why), f) : 0;
}

static int take_chain(struct home_network *n, const uint8_t *chain, size_t len)
{
	if (len == 0 || len > WIRE_CHAIN_MAX || wire_chain_decode(&n->links, chain, len) < 0)
		return -1;
	memcpy(n->chain, chain, len);
	n->chain_len = len;
	(void)wire_chain_decode(&n->links, n->chain, len); /* its pointers are into ours */
	return 0;
}

static int load_chain(struct home_network *n, struct failure *f)
{
	struct text t;
	int rv;

	if (file_read(n->fd, n->path, "chain", false, WIRE_CHAIN_MAX, &t, f) < 0)
		return -1;
	if (!t.data)
		return 0;
	rv = take_chain(n, (const uint8_t *)t.data, t.len);
	text_free(&t);
	return rv < 0 ? home_network_damaged(n, "chain", "it is no certificate chain", f) : 0;
}

static int load(struct home_network *n, struct failure *f)
{
	if (load_manifest(n, f) < 0 || load_chain(n, f) < 0)
		return -1;
	if (n->manifest.len == 0 && n->chain_len == 0)
		return home_network_damaged(n, "", "it has neither a manifest nor a chain", f);
	memcpy(n->key, n->manifest.len ? n->manifest.m.network : n->links.network, KEY_SIZE);
	if (n->chain_len && memcmp(n->links.network, n->key, KEY_SIZE) != 0)
		return home_network_damaged(n, "chain",
					    "it is of another network than the manifest", f);
	return 0;
}

static int open_directory(struct home_network *n, int all, const struct home *h, const char *name,
			  struct failure *f)
{
	snprintf(n->path, sizeof(n->path), "%.4000s/networks/%.*s", h->path, LABEL_SIZE, name);
	n->fd = openat(all, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (n->fd < 0)
		return fail_errno(f, errno, "cannot open %.300s", n->path);
	return file_check(n->fd, n->path, ".", false, f);
}

int home_network_open(struct home_network *n, const struct home *h, const char *label,
		      struct failure *f)
{
	int all, rv;

	memset(n, 0, sizeof(*n));
	n->fd = -1;
	if (open_all(h, false, &all, f) < 0)
		return -1;
	if (all < 0)
		return fail_errno(f, ENOENT, "cannot open %.300s/networks", h->path);
	snprintf(n->label, sizeof(n->label), "%s", label);
	rv = open_directory(n, all, h, label, f);
	close(all);
	if (rv == 0)
		rv = load(n, f);
	if (rv < 0)
		home_network_close(n);
	return rv;
}

void home_network_close(struct home_network *n)
{
	int all = n->begun ? openat(n->fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

	if (all >= 0) {
		remove_tree(all, BEGUN, 1);
		close(all);
	}
	n->begun = false;
	manifest_clear(&n->manifest);
	if (n->fd >= 0)
		close(n->fd);
	n->fd = -1;
}

int home_network_by_key(struct home_network *n, const struct home *h, const uint8_t key[KEY_SIZE],
			struct failure *f)
{
	struct home_networks all;

	memset(n, 0, sizeof(*n));
	n->fd = -1;
	if (home_networks_list(h, &all, f) < 0)
		return -1;
	for (size_t i = 0; i < all.count; i++) {
		if (home_network_open(n, h, all.labels[i], f) < 0)
			return -1;
		if (memcmp(n->key, key, KEY_SIZE) == 0)
			return 0;
		home_network_close(n);
	}
	return 1;
}

static int the_only_one(struct home_network *n, const struct home *h,
			const struct home_networks *all, struct failure *f)
{
	if (all->count == 1)
		return home_network_open(n, h, all->labels[0], f);
	if (all->count > 1)
		return fail_usage(f, "godwit network show lists them",
				  "this home has %zu networks: say which one", all->count);
	fail_error(f, GODWIT_E_NOT_FOUND, "network");
	fail_message(f, "this home has no network");
	fail_hint(f, "godwit network create NAME, or godwit network join env:NAME");
	return -1;
}

static int no_network(const char *text, struct failure *f)
{
	fail_error(f, GODWIT_E_NOT_FOUND, "network");
	fail_message(f, "this home has no network \"%.60s\"", text);
	fail_hint(f, "godwit network show lists them");
	return -1;
}

int home_network_find(struct home_network *n, const struct home *h, const char *text,
		      struct failure *f)
{
	struct home_networks all;
	uint8_t key[KEY_SIZE];
	int rv;

	memset(n, 0, sizeof(*n));
	n->fd = -1;
	if (home_networks_list(h, &all, f) < 0)
		return -1;
	if (!text)
		return the_only_one(n, h, &all, f);
	for (size_t i = 0; i < all.count; i++)
		if (strcmp(all.labels[i], text) == 0)
			return home_network_open(n, h, text, f);
	if (network_parse(key, text) < 0)
		return no_network(text, f);
	rv = home_network_by_key(n, h, key, f);
	return rv > 0 ? no_network(text, f) : rv;
}

/* --- a new one --- */

static int check_room(const struct home *h, const char *label, struct failure *f)
{
	struct home_networks all;

	if (home_networks_list(h, &all, f) < 0)
		return -1;
	for (size_t i = 0; i < all.count; i++)
		if (strcmp(all.labels[i], label) == 0) {
			fail_error(f, GODWIT_E_EXISTS, "network");
			fail_message(f, "this home has another network that is called %s", label);
			fail_hint(f, "another NAME");
			return -1;
		}
	if (all.count < HOME_NETWORKS_MAX)
		return 0;
	fail_error(f, GODWIT_E_LIMIT, "network");
	fail_message(f, "this home has %d networks, and no room for more", HOME_NETWORKS_MAX);
	fail_hint(f, "another --home DIR, or rm -r %.300s/networks/LABEL", h->path);
	return -1;
}

int home_network_begin(struct home_network *n, const struct home *h, const char *label,
		       struct failure *f)
{
	int all, rv = -1;

	memset(n, 0, sizeof(*n));
	n->fd = -1;
	if (check_room(h, label, f) < 0 || open_all(h, true, &all, f) < 0)
		return -1;
	remove_tree(all, BEGUN, 1); /* of a process that was killed */
	snprintf(n->label, sizeof(n->label), "%s", label);
	if (mkdirat(all, BEGUN, 0700) != 0)
		fail_errno(f, errno, "cannot make %.300s/networks/%s", h->path, BEGUN);
	else
		rv = open_directory(n, all, h, BEGUN, f);
	n->begun = rv == 0;
	close(all);
	return rv;
}

int home_network_commit(struct home_network *n, const struct home *h, struct failure *f)
{
	int all, error, rv;

	if (open_all(h, true, &all, f) < 0)
		return -1;
	rv = renameat(all, BEGUN, all, n->label);
	error = errno;
	if (rv == 0) {
		(void)fsync(all);
		n->begun = false;
	}
	close(all);
	snprintf(n->path, sizeof(n->path), "%.4000s/networks/%s", h->path, n->label);
	return rv < 0 ? fail_errno(f, error, "cannot make %.300s", n->path) : 0;
}

/* --- its files --- */

int home_network_save_manifest(struct home_network *n, struct manifest *m, struct failure *f)
{
	if (n->manifest.len && n->manifest.m.sequence >= m->m.sequence) {
		fail_error(f, GODWIT_E_EXISTS, "manifest");
		fail_message(f, "manifest: %s", trust_refusal_text(TRUST_OLD));
		fail_hint(f, "godwit network show %s", n->label);
		return -1;
	}
	if (file_write(n->fd, n->path, "manifest", m->bytes, m->len, f) < 0)
		return -1;
	manifest_clear(&n->manifest);
	n->manifest = *m;
	memcpy(n->key, m->m.network, KEY_SIZE);
	memset(m, 0, sizeof(*m));
	return 0;
}

int home_network_save_chain(struct home_network *n, const uint8_t *chain, size_t len,
			    struct failure *f)
{
	if (file_write(n->fd, n->path, "chain", chain, len, f) < 0)
		return -1;
	if (take_chain(n, chain, len) < 0)
		return home_network_damaged(n, "chain", "it is no certificate chain", f);
	memcpy(n->key, n->links.network, KEY_SIZE);
	return 0;
}

int home_network_save_invite(struct home_network *n, const char *word, struct failure *f)
{
	char line[INVITE_TEXT_MAX + 1];
	int len = snprintf(line, sizeof(line), "%.*s\n", INVITE_TEXT_MAX - 1, word), rv;

	rv = file_write(n->fd, n->path, "invite", line, (size_t)len, f);
	explicit_bzero(line, sizeof(line));
	return rv;
}

bool home_network_holds_invite(const struct home_network *n)
{
	return file_exists(n->fd, "invite");
}

int home_network_invite(const struct home_network *n, struct invite *out, struct failure *f)
{
	struct text t;
	int rv;

	if (file_read(n->fd, n->path, "invite", true, INVITE_TEXT_MAX, &t, f) < 0)
		return -1;
	if (!t.data) {
		fail_error(f, GODWIT_E_NOT_FOUND, "invite");
		fail_message(f, "there is no invite of %s in this home", n->label);
		fail_hint(f, "godwit network join env:NAME");
		return -1;
	}
	t.data[strcspn(t.data, " \r\n")] = '\0';
	rv = invite_parse(out, t.data);
	text_free(&t);
	return rv < 0 ? home_network_damaged(n, "invite", error_text(rv), f) : 0;
}

/* --- its beacons --- */

size_t home_network_beacons(const struct home_network *n,
			    struct wire_home out[WIRE_MANIFEST_BEACONS_MAX])
{
	const struct wire_manifest *m = &n->manifest.m;
	struct failure ignored;
	struct invite i;
	size_t count;

	if (n->manifest.len > 0) {
		memcpy(out, m->beacons, m->n_beacons * sizeof(*out));
		return m->n_beacons;
	}
	if (!home_network_holds_invite(n) || home_network_invite(n, &i, &ignored) < 0)
		return 0;
	count = i.wire.n_beacons;
	memcpy(out, i.wire.beacons, count * sizeof(*out));
	invite_wipe(&i);
	return count;
}

void home_beacon_format(const struct wire_home *beacon, char out[BEACON_TEXT_MAX])
{
	struct beacon_name b = { .udp_port = beacon->udp_port, .tls_port = beacon->tls_port };

	memcpy(b.key, beacon->key, KEY_SIZE);
	snprintf(b.host, sizeof(b.host), "%s", beacon->host);
	beacon_format(&b, out);
}
