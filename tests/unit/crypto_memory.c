/* tests/unit/crypto_memory.c - the memory that secrets are kept in. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "crypto/identity.h"

/* What /proc/self/status says of locked memory, in KiB. */
static long locked_kib(void)
{
	FILE *f = fopen("/proc/self/status", "r");
	char line[256];
	long kib = -1;

	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "VmLck: %ld", &kib) == 1)
			break;
	fclose(f);
	return kib;
}

/* A limit may be used up, and sanitizers lock nothing. */
static bool may_lock(void)
{
	static char page[8192];
	long before = locked_kib();
	bool grown = mlock(page, sizeof(page)) == 0 && locked_kib() > before;

	munlock(page, sizeof(page));
	return grown;
}

static void memory_of_a_key_is_locked(void **state)
{
	long before;
	struct identity *id;

	(void)state;
	if (!may_lock())
		skip();
	before = locked_kib();
	id = identity_new();
	assert_non_null(id);
	assert_true(locked_kib() > before);
	identity_generate(id);
	identity_free(id);
	assert_int_equal(locked_kib(), before);
	identity_free(NULL);
}

/* Signals that end a child which touches `id` after its end, or after it was freed. */
static int signal_of(struct identity *id, bool freed)
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		signal(SIGSEGV, SIG_DFL); /* cmocka has a handler */
		signal(SIGABRT, SIG_DFL);
		if (freed) {
			identity_free(id);
			_exit(*(volatile uint8_t *)id->seed);
		}
		_exit(*((volatile uint8_t *)id + sizeof(*id)));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void memory_of_a_key_is_fenced(void **state)
{
	struct identity *id = identity_new();

	(void)state;
	assert_int_equal(signal_of(id, false), SIGSEGV);
	assert_int_equal(signal_of(id, true), SIGSEGV);
	identity_free(id);
}

/* Where nothing may be locked, a key is kept all the same. */
static void limit_of_locked_memory_is_no_end(void **state)
{
	struct rlimit none = { 0, 0 };
	int status;
	pid_t pid = fork();

	(void)state;
	assert_true(pid >= 0);
	if (pid == 0) {
		struct identity *id;

		setrlimit(RLIMIT_MEMLOCK, &none);
		id = identity_new();
		if (id)
			identity_generate(id);
		identity_free(id);
		_exit(!id);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static int start(void **state)
{
	(void)state;
	return crypto_init();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_of_a_key_is_locked),
		cmocka_unit_test(memory_of_a_key_is_fenced),
		cmocka_unit_test(limit_of_locked_memory_is_no_end),
	};

	return cmocka_run_group_tests(tests, start, NULL);
}
