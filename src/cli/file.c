/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "godwit/godwit.h"

enum { NAME_SIZE = 96 };

int file_check(int fd, const char *path, const char *name, bool secret, struct failure *f)
{
	mode_t wrong = secret ? 077 : 022;
	struct stat st;

	if (fstat(fd, &st) != 0)
		return fail_errno(f, errno, "cannot look at %.300s/%s", path, name);
	if (st.st_uid != geteuid() && st.st_uid != 0) {
		fail_error(f, GODWIT_E_PERMISSION, "%s", name);
		fail_message(f, "%.300s/%s belongs to another user (uid %u)", path, name,
			     st.st_uid);
		fail_hint(f, "as that user (sudo -u), or chown it");
		return -1;
	}
	if ((st.st_mode & wrong) != 0) {
		fail_error(f, GODWIT_E_PERMISSION, "%s", name);
		fail_message(f, "others may %s %.300s/%s", (st.st_mode & 022) ? "write" : "read",
			     path, name);
		fail_hint(f, "chmod %s %.300s/%s", S_ISDIR(st.st_mode) ? "0700" : "0600", path,
			  name);
		return -1;
	}
	return 0;
}

static int too_large(const char *path, const char *name, struct failure *f)
{
	fail_error(f, GODWIT_E_LENGTH, "%.300s/%s", path, name);
	fail_message(f, "%.300s/%s is no such file: it is too large", path, name);
	fail_hint(f, "move it away; see FILES in man godwit");
	return -1;
}

static int read_all(int fd, const char *path, const char *name, size_t most, struct text *t,
		    struct failure *f)
{
	size_t room = 0;
	ssize_t got = 1;

	while (got != 0) {
		if (t->len > most)
			return too_large(path, name, f);
		if (room - t->len < 2) {
			char *longer = malloc(2 * room + 4096);

			if (!longer)
				return fail_error(f, GODWIT_E_NOMEM, "%s", name);
			if (t->len)
				memcpy(longer, t->data, t->len);
			if (t->data)
				explicit_bzero(t->data, t->len);
			free(t->data);
			t->data = longer;
			room = 2 * room + 4096;
		}
		got = read(fd, t->data + t->len, room - t->len - 1);
		if (got < 0 && errno != EINTR)
			return fail_errno(f, errno, "cannot read %.300s/%s", path, name);
		t->len += got > 0 ? (size_t)got : 0;
	}
	t->data[t->len] = '\0';
	return 0;
}

static int check_kind(int fd, const char *path, const char *name, struct failure *f)
{
	struct stat st;

	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		return 0;
	fail_error(f, GODWIT_E_FORMAT, "%s", name);
	fail_message(f, "%.300s/%s is no regular file", path, name);
	fail_hint(f, "move it away; see FILES in man godwit");
	return -1;
}

int file_read(int dir, const char *path, const char *name, bool secret, size_t most,
	      struct text *out, struct failure *f)
{
	struct text t = { 0 };
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK), rv;

	if (fd < 0 && errno == ENOENT) {
		*out = t;
		return 0;
	}
	if (fd < 0)
		return fail_errno(f, errno, "cannot read %.300s/%s", path, name);
	rv = check_kind(fd, path, name, f);
	if (rv == 0)
		rv = file_check(fd, path, name, secret, f);
	if (rv == 0)
		rv = read_all(fd, path, name, most, &t, f);
	close(fd);
	if (rv < 0)
		text_free(&t);
	else
		*out = t;
	return rv;
}

static int write_all(int fd, const char *data, size_t len)
{
	while (len > 0) {
		ssize_t put = write(fd, data, len);

		if (put < 0 && errno != EINTR)
			return -1;
		if (put > 0) {
			data += put;
			len -= (size_t)put;
		}
	}
	return fsync(fd);
}

int file_write(int dir, const char *path, const char *name, const void *data, size_t len,
	       struct failure *f)
{
	char beside[NAME_SIZE];
	int fd, error;
	bool good;

	snprintf(beside, sizeof(beside), "%s.new", name);
	unlinkat(dir, beside, 0); /* of a process that was killed */
	fd = openat(dir, beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	good = fd >= 0 && write_all(fd, data, len) == 0;
	error = errno;
	if (fd >= 0)
		close(fd);
	if (good && renameat(dir, beside, dir, name) == 0) {
		(void)fsync(dir);
		return 0;
	}
	if (good)
		error = errno;
	unlinkat(dir, beside, 0);
	return fail_errno(f, error, "cannot write %.300s/%s", path, name);
}

bool file_exists(int dir, const char *name)
{
	return faccessat(dir, name, F_OK, 0) == 0;
}

void text_free(struct text *t)
{
	if (t->data)
		explicit_bzero(t->data, t->len);
	free(t->data);
	*t = (struct text){ 0 };
}
