/* tests/unit/cli_files.h - tests of what is in a home: each program's in a directory of its own. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_TEST_CLI_FILES_H
#define GODWIT_TEST_CLI_FILES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crypto/identity.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static char directory[] = "cli_test.XXXXXX";

static inline int enter_directory(void **state)
{
	(void)state;
	return crypto_init() == 0 && mkdtemp(directory) && chdir(directory) == 0 ? 0 : -1;
}

static inline int leave_directory(void **state)
{
	(void)state;
	return chdir("..") == 0 && rmdir(directory) == 0 ? 0 : -1;
}

static inline void run(const char *command)
{
	assert_int_equal(system(command), 0);
}

static inline void write_bytes(const char *path, const void *data, size_t len, mode_t mode)
{
	int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, len), len);
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

static inline void write_file(const char *path, const char *text, mode_t mode)
{
	write_bytes(path, text, strlen(text), mode);
}

static inline mode_t mode_of(const char *path)
{
	struct stat st;

	assert_int_equal(lstat(path, &st), 0);
	return st.st_mode & 0777;
}

static inline bool exists(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0;
}

#endif
