/* SPDX-License-Identifier: Apache-2.0 */
/* Members that have been seen, and the ledger of a CA. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/networks.h"
#include "crypto/address.h"

enum { LEDGER_MAX = 256 << 20 };

/* --- members that have been seen --- */

static int open_known(const struct home_network *n, bool make)
{
	if (make)
		(void)mkdirat(n->fd, "known", 0700);
	return openat(n->fd, "known", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* A cache: what is not right is as if it were not there. */
static void take_known(const struct home_network *n, int fd, const char *name, known_fn *each,
		       void *user)
{
	struct wire_chain chain;
	uint8_t key[KEY_SIZE];
	struct failure ignored;
	struct text t;

	if (address_parse(key, name) < 0 ||
	    file_read(fd, n->path, name, false, WIRE_CHAIN_MAX, &t, &ignored) < 0)
		return;
	if (t.data && t.len > 0 && wire_chain_decode(&chain, (const uint8_t *)t.data, t.len) >= 0 &&
	    memcmp(chain.network, n->key, KEY_SIZE) == 0 &&
	    memcmp(chain.links[chain.n_links - 1].key, key, KEY_SIZE) == 0)
		each(user, (const uint8_t *)t.data, t.len);
	text_free(&t);
}

int home_network_each_known(const struct home_network *n, known_fn *each, void *user,
			    struct failure *f)
{
	const struct dirent *entry;
	int fd = open_known(n, false);
	DIR *dir;

	if (fd < 0 && errno == ENOENT)
		return 0;
	dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir) {
		fail_errno(f, errno, "cannot read %.300s/known", n->path);
		if (fd >= 0)
			close(fd);
		return -1;
	}
	if (file_check(fd, n->path, "known", false, f) < 0) {
		closedir(dir);
		return -1;
	}
	while ((entry = readdir(dir)) != NULL)
		take_known(n, fd, entry->d_name, each, user);
	closedir(dir);
	return 0;
}

int home_network_save_known(const struct home_network *n, const uint8_t key[KEY_SIZE],
			    const uint8_t *chain, size_t len, struct failure *f)
{
	char name[ADDRESS_SIZE], path[LABEL_PATH_SIZE + 8];
	int fd = open_known(n, true), rv;

	if (fd < 0)
		return fail_errno(f, errno, "cannot open %.300s/known", n->path);
	snprintf(path, sizeof(path), "%s/known", n->path);
	address_format(key, name);
	rv = file_write(fd, path, name, chain, len, f);
	close(fd);
	return rv;
}

/* --- the ledger --- */

static int damaged_line(const struct home_network *n, size_t line, struct failure *f)
{
	fail_error(f, GODWIT_E_FORMAT, "ledger.jsonl");
	fail_message(f, "%.300s/ledger.jsonl is damaged at line %zu", n->path, line);
	fail_hint(f, "remove that line");
	return -1;
}

static int parse_ledger(const struct home_network *n, char *text, json_t *out, struct failure *f)
{
	size_t number = 0;
	char *save = NULL;

	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		json_t *entry = json_loads(line, 0, NULL);

		number++;
		if (!json_is_object(entry)) {
			json_decref(entry);
			return damaged_line(n, number, f);
		}
		json_array_append_new(out, entry);
	}
	return 0;
}

json_t *home_network_ledger(const struct home_network *n, struct failure *f)
{
	json_t *out = json_array();
	struct text t = { 0 };

	if (file_read(n->fd, n->path, "ledger.jsonl", false, LEDGER_MAX, &t, f) < 0 ||
	    (t.data && parse_ledger(n, t.data, out, f) < 0)) {
		text_free(&t);
		json_decref(out);
		return NULL;
	}
	text_free(&t);
	return out;
}

int home_network_record(const struct home_network *n, json_t *entry, struct failure *f)
{
	char *line = json_dumps(entry, JSON_COMPACT), *whole = NULL;
	struct text t = { 0 };
	int len, rv;

	json_decref(entry);
	rv = line ? file_read(n->fd, n->path, "ledger.jsonl", false, LEDGER_MAX, &t, f)
		  : fail_error(f, GODWIT_E_NOMEM, "ledger");
	if (rv == 0) {
		len = asprintf(&whole, "%s%s\n", t.data ? t.data : "", line);
		rv = len < 0 ? fail_error(f, GODWIT_E_NOMEM, "ledger")
			     : file_write(n->fd, n->path, "ledger.jsonl", whole, (size_t)len, f);
		free(len < 0 ? NULL : whole);
	}
	text_free(&t);
	free(line);
	return rv;
}

/* --- serials --- */

const char *serial_format(uint64_t serial, char out[SERIAL_SIZE])
{
	snprintf(out, SERIAL_SIZE, "%016" PRIx64, serial);
	return out;
}

bool serial_parse(uint64_t *out, const char *text)
{
	size_t len = strlen(text);

	if (len < 1 || len > 16 || strspn(text, "0123456789abcdefABCDEF") != len)
		return false;
	*out = strtoull(text, NULL, 16);
	return true;
}
