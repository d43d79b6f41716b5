/* cli/file.h - small files of the home: read with care, replaced whole.
 *
 * `dir` is the directory's descriptor and `path` its name, for messages. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_CLI_FILE_H
#define GODWIT_CLI_FILE_H

#include <stdint.h>
#include <sys/types.h>

#include "cli/fail.h"

struct text {
	char *data; /* NULL: there is no such file; else NUL behind: text_free() */
	size_t len;
};

/* Refused: of another user, not a regular file, longer than `most`, or one that others may write
 * (`secret`: or read). */
int file_read(int dir, const char *path, const char *name, bool secret, size_t most,
	      struct text *out, struct failure *f);
/* Mode 0600; beside it first, then in its place. */
int file_write(int dir, const char *path, const char *name, const void *data, size_t len,
	       struct failure *f);
bool file_exists(int dir, const char *name);
void text_free(struct text *t); /* wipes it */

/* An open file or directory: ours, and nobody else may write (`secret`: or read) it. */
int file_check(int fd, const char *path, const char *name, bool secret, struct failure *f);

#endif
