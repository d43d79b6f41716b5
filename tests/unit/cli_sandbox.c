/* tests/unit/cli_sandbox.c - what a process in the sandbox can do, and what becomes of it when it tries
 * something else.  Each attempt is made by a child. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/sandbox.h"
#include "crypto/identity.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* A child's exit status. */
enum { FINE = 0, WRONG = 1, NO_SECCOMP = 77 };

static char directory[] = "cli_sandbox.XXXXXX";

/* The status of a child that enters the sandbox and calls `fn`. */
static int in_sandbox(int (*fn)(const void *), const void *user)
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		signal(SIGABRT, SIG_DFL); /* cmocka has a handler */
		if (sandbox_enter() != SANDBOX_ON)
			_exit(NO_SECCOMP);
		_exit(fn(user));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == NO_SECCOMP)
		skip();
	return status;
}

#define assert_exit(status, code)                                                                  \
	do {                                                                                       \
		assert_true(WIFEXITED(status));                                                    \
		assert_int_equal(WEXITSTATUS(status), code);                                       \
	} while (0)

/* --- state --- */

/* A number of /proc/self/status. */
static unsigned long long status_of(const char *name, int base)
{
	FILE *f = fopen("/proc/self/status", "r");
	char line[512];
	unsigned long long value = ~0ULL;

	while (f && fgets(line, sizeof(line), f))
		if (strncmp(line, name, strlen(name)) == 0 && line[strlen(name)] == ':')
			value = strtoull(line + strlen(name) + 1, NULL, base);
	if (f)
		fclose(f);
	return value;
}

static int look_at_state(const void *user)
{
	static const char *const EMPTY[] = { "CapInh", "CapPrm", "CapEff", "CapAmb" };
	struct rlimit core = { 1, 1 };

	(void)user;
	for (size_t i = 0; i < COUNT(EMPTY); i++)
		if (status_of(EMPTY[i], 16) != 0)
			return WRONG;
	if (status_of("NoNewPrivs", 10) != 1 || status_of("Seccomp", 10) != 2)
		return WRONG + 1;
	if (getrlimit(RLIMIT_CORE, &core) != 0 || core.rlim_cur != 0 || core.rlim_max != 0)
		return WRONG + 2;
	return FINE;
}

static void rights_are_given_up(void **state)
{
	(void)state;
	assert_exit(in_sandbox(look_at_state, NULL), FINE);
}

/* Of what belongs to a process that is not dumpable, root is the owner. */
static void memory_is_for_nobody_else(void **state)
{
	int status;
	pid_t pid = fork();

	(void)state;
	assert_true(pid >= 0);
	if (pid == 0) {
		struct stat st;

		if (getuid() == 0 && setuid(65534) != 0)
			_exit(NO_SECCOMP);
		if (sandbox_enter() != SANDBOX_ON)
			_exit(NO_SECCOMP);
		_exit(stat("/proc/self/mem", &st) != 0 || st.st_uid == getuid());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == NO_SECCOMP)
		skip();
	assert_exit(status, FINE);
}

static void without_it_nothing_changes(void **state)
{
	static struct settings s;
	int status;
	pid_t pid;

	(void)state;
	s.at[SETTING_NO_SANDBOX].count = 1;
	s.at[SETTING_NO_SANDBOX].values[0] = "yes";
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		unsigned long long before = status_of("Seccomp", 10);

		_exit(sandbox_start(&s, true) != SANDBOX_OFF || status_of("Seccomp", 10) != before);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_exit(status, FINE);
}

static void names_are_those_of_status(void **state)
{
	(void)state;
	assert_string_equal(sandbox_name(SANDBOX_OFF), "off");
	assert_string_equal(sandbox_name(SANDBOX_ON), "on");
	assert_string_equal(sandbox_name(SANDBOX_UNAVAILABLE), "unavailable");
}

/* --- calls --- */

struct call {
	const char *what;
	long number;
	long args[5];
	int error; /* what it fails with; for those that end the process: none */
};

static int make_call(const void *user)
{
	const struct call *c = user;
	const long *a = c->args;

	errno = 0;
	if (syscall(c->number, a[0], a[1], a[2], a[3], a[4]) >= 0)
		return WRONG;
	return errno == c->error ? FINE : WRONG + 1;
}

static void hostile_calls_end_the_process(void **state)
{
	static const struct call CALLS[] = {
		{ "execve", SYS_execve, { 0 }, 0 },
		{ "execveat", SYS_execveat, { -1 }, 0 },
		{ "ptrace", SYS_ptrace, { 0 }, 0 },
		{ "process_vm_readv", SYS_process_vm_readv, { 1 }, 0 },
		{ "process_vm_writev", SYS_process_vm_writev, { 1 }, 0 },
		{ "mount", SYS_mount, { 0 }, 0 },
		{ "pivot_root", SYS_pivot_root, { 0 }, 0 },
		{ "chroot", SYS_chroot, { 0 }, 0 },
		{ "bpf", SYS_bpf, { 0 }, 0 },
		{ "kexec_load", SYS_kexec_load, { 0 }, 0 },
		{ "init_module", SYS_init_module, { 0 }, 0 },
		{ "finit_module", SYS_finit_module, { -1 }, 0 },
		{ "setuid", SYS_setuid, { 0 }, 0 },
		{ "setgid", SYS_setgid, { 0 }, 0 },
		{ "setresuid", SYS_setresuid, { 0 }, 0 },
		{ "capset", SYS_capset, { 0 }, 0 },
		{ "unshare", SYS_unshare, { CLONE_NEWUSER }, 0 },
		{ "setns", SYS_setns, { -1 }, 0 },
		{ "keyctl", SYS_keyctl, { 0 }, 0 },
		{ "userfaultfd", SYS_userfaultfd, { 0 }, 0 },
		{ "perf_event_open", SYS_perf_event_open, { 0 }, 0 },
		{ "open_by_handle_at", SYS_open_by_handle_at, { -1 }, 0 },
#ifdef __x86_64__
		{ "getpid of x32", 0x40000000 | SYS_getpid, { 0 }, 0 },
#endif
	};

	(void)state;
	for (size_t i = 0; i < COUNT(CALLS); i++) {
		int status = in_sandbox(make_call, &CALLS[i]);

		if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS)
			fail_msg("%s: status %#x", CALLS[i].what, (unsigned)status);
	}
}

static void other_calls_are_refused(void **state)
{
	static char terminal_input = 'x';
	static struct rlimit core = { RLIM_INFINITY, RLIM_INFINITY };
	const struct call calls[] = {
		{ "a packet socket", SYS_socket, { AF_PACKET, SOCK_RAW, 0 }, ENOSYS },
		{ "a raw socket", SYS_socket, { AF_INET, SOCK_RAW, IPPROTO_ICMP }, ENOSYS },
		{ "SCTP", SYS_socket, { AF_INET, SOCK_STREAM, IPPROTO_SCTP }, ENOSYS },
		{ "a vsock", SYS_socket, { AF_VSOCK, SOCK_STREAM, 0 }, ENOSYS },
		{ "netfilter", SYS_socket, { AF_NETLINK, SOCK_RAW, 12 }, ENOSYS },
		{ "a pair of TCP", SYS_socketpair, { AF_INET, SOCK_STREAM, 0 }, ENOSYS },
		{ "memory with code",
		  SYS_mmap,
		  { 0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1 },
		  EPERM },
		{ "memory to write code",
		  SYS_mmap,
		  { 0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1 },
		  EPERM },
		{ "code in our memory",
		  SYS_mprotect,
		  { (long)&core & -4096L, 4096, PROT_READ | PROT_EXEC },
		  EPERM },
		{ "a process", SYS_clone, { SIGCHLD }, ENOSYS },
		{ "a namespace", SYS_clone, { CLONE_NEWUSER | SIGCHLD }, ENOSYS },
		{ "memory as a file", SYS_memfd_create, { (long)"x", 0 }, ENOSYS },
		{ "io_uring", SYS_io_uring_setup, { 1, 0 }, ENOSYS },
		{ "a limit", SYS_prlimit64, { 0, RLIMIT_CORE, (long)&core, 0 }, ENOSYS },
		{ "a limit of another", SYS_prlimit64, { 1, RLIMIT_CORE, 0, 0 }, ENOSYS },
		{ "to be dumpable", SYS_prctl, { PR_SET_DUMPABLE, 1 }, ENOSYS },
		{ "a signal to another", SYS_kill, { getpid(), 0 }, ENOSYS },
		{ "a signal to another by a file",
		  SYS_fcntl,
		  { STDIN_FILENO, F_SETOWN, getppid() },
		  ENOSYS },
		{ "which signal", SYS_fcntl, { STDIN_FILENO, F_SETSIG, SIGKILL }, ENOSYS },
		{ "a signal to a thread", SYS_tgkill, { getpid(), getpid(), 0 }, ENOSYS },
		{ "words for a terminal",
		  SYS_ioctl,
		  { 0, TIOCSTI, (long)&terminal_input },
		  ENOSYS },
		{ "another mode", SYS_fchmodat, { AT_FDCWD, (long)".", 0700 }, ENOSYS },
		{ "an unknown call", 4000, { 0 }, ENOSYS },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(calls); i++) {
		int status = in_sandbox(make_call, &calls[i]);

		if (!WIFEXITED(status) || WEXITSTATUS(status) != FINE)
			fail_msg("%s: status %#x", calls[i].what, (unsigned)status);
	}
}

/* --- what has to go on --- */

static void *thread(void *user)
{
	char *text = malloc(1 << 20); /* of an arena of its own */

	if (text)
		memset(text, 'x', 1 << 20);
	*(bool *)user = text != NULL;
	free(text);
	return NULL;
}

static int start_threads(const void *user)
{
	bool done[4] = { false };
	pthread_t threads[COUNT(done)];

	(void)user;
	for (size_t i = 0; i < COUNT(done); i++)
		if (pthread_create(&threads[i], NULL, thread, &done[i]) != 0)
			return WRONG;
	for (size_t i = 0; i < COUNT(done); i++)
		if (pthread_join(threads[i], NULL) != 0 || !done[i])
			return WRONG + 1;
	return FINE;
}

static int open_sockets(const void *user)
{
	static const int KINDS[][3] = {
		{ AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0 },
		{ AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0 },
		{ AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0 },
		{ AF_INET, SOCK_DGRAM, IPPROTO_UDP },
		{ AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0 },
		{ AF_INET, SOCK_STREAM, IPPROTO_TCP },
		{ AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0 },
	};
	int fd;

	(void)user;
	for (size_t i = 0; i < COUNT(KINDS); i++) {
		fd = socket(KINDS[i][0], KINDS[i][1], KINDS[i][2]);
		if (fd < 0)
			return WRONG + (int)i;
		close(fd);
	}
	fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	return fd < 0 && errno == ENOSYS ? WRONG : FINE; /* there are systems without IPv6 */
}

static int look_up_names(const void *user)
{
	struct addrinfo hints = { .ai_socktype = SOCK_DGRAM, .ai_flags = AI_ADDRCONFIG };
	struct addrinfo *found = NULL;
	int rv = getaddrinfo("localhost", NULL, &hints, &found);

	(void)user;
	if (rv == 0)
		freeaddrinfo(found);
	return rv == 0 ? FINE : WRONG;
}

static int use_files(const void *user)
{
	int fd = open("new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	bool good = fd >= 0 && write(fd, "x", 1) == 1 && fsync(fd) == 0 && ftruncate(fd, 0) == 0 &&
		    close(fd) == 0;
	FILE *f;

	(void)user;
	if (!good || link("new", "linked") != 0 || rename("new", "old") != 0 ||
	    mkdir("below", 0700) != 0)
		return WRONG;
	f = fopen("old", "a+");
	if (!f || fprintf(f, "%d\n", 1) != 2 || fclose(f) != 0)
		return WRONG + 1;
	return unlink("old") == 0 && unlink("linked") == 0 ? FINE : WRONG + 2;
}

static int use_events(const void *user)
{
	struct itimerspec soon = { .it_value = { .tv_nsec = 1 } };
	struct epoll_event event = { .events = EPOLLIN };
	struct timespec patience = { .tv_sec = 5 };
	int loop = epoll_create1(EPOLL_CLOEXEC), pair[2];
	int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC), wake = eventfd(0, EFD_CLOEXEC);

	(void)user;
	if (loop < 0 || timer < 0 || wake < 0 ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
		return WRONG;
	if (timerfd_settime(timer, 0, &soon, NULL) != 0 ||
	    epoll_ctl(loop, EPOLL_CTL_ADD, timer, &event) != 0)
		return WRONG + 1;
	if (epoll_pwait2(loop, &event, 1, &patience, NULL) != 1 && errno != ENOSYS)
		return WRONG + 2;
	return epoll_wait(loop, &event, 1, 5000) == 1 ? FINE : WRONG + 3;
}

static int use_memory(const void *user)
{
	struct identity *id;
	char *big = malloc(64 << 20);

	(void)user;
	if (!big)
		return WRONG;
	memset(big, 'x', 64 << 20);
	big = realloc(big, 96 << 20);
	free(big);
	id = identity_new();
	if (!id)
		return WRONG + 1;
	identity_generate(id);
	identity_free(id);
	return FINE;
}

static int ask_small_things(const void *user)
{
	struct rlimit limit;
	struct rusage usage;

	(void)user;
	isatty(0);
	if (errno == ENOSYS)
		return WRONG;
	return getrlimit(RLIMIT_NOFILE, &limit) == 0 && getrusage(RUSAGE_SELF, &usage) == 0 &&
			       prctl(PR_SET_TIMERSLACK, 1000, 0, 0, 0) == 0 && getppid() > 0
		       ? FINE
		       : WRONG + 1;
}

static void what_godwit_does_goes_on(void **state)
{
	static const struct {
		const char *what;
		int (*fn)(const void *);
	} ALL[] = {
		{ "threads", start_threads },      { "sockets", open_sockets },
		{ "names", look_up_names },        { "files", use_files },
		{ "events", use_events },          { "memory", use_memory },
		{ "questions", ask_small_things },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(ALL); i++) {
		int status = in_sandbox(ALL[i].fn, NULL);

		if (!WIFEXITED(status) || WEXITSTATUS(status) != FINE)
			fail_msg("%s: status %#x", ALL[i].what, (unsigned)status);
	}
}

static int give_up(const void *user)
{
	(void)user;
	abort();
}

static void assertions_still_abort(void **state)
{
	int status = in_sandbox(give_up, NULL);

	(void)state;
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGABRT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rights_are_given_up),
		cmocka_unit_test(memory_is_for_nobody_else),
		cmocka_unit_test(without_it_nothing_changes),
		cmocka_unit_test(names_are_those_of_status),
		cmocka_unit_test(hostile_calls_end_the_process),
		cmocka_unit_test(other_calls_are_refused),
		cmocka_unit_test(what_godwit_does_goes_on),
		cmocka_unit_test(assertions_still_abort),
	};
	int failed;

	if (crypto_init() < 0 || !mkdtemp(directory) || chdir(directory) != 0)
		return 1;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	return chdir("..") != 0 || system("rm -rf cli_sandbox.??????") != 0 || failed;
}
