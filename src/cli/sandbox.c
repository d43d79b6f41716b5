/* SPDX-License-Identifier: Apache-2.0 */
/* The lists are of what godwit, glibc (threads, getaddrinfo(), stdio, malloc), GnuTLS, libsodium,
 * libnatpmp, miniupnpc and the modules of nsswitch.conf(5) call, on x86-64 and arm64.  What is on no
 * list fails with ENOSYS: libraries try new calls first and take that for an old kernel.  What nothing
 * of ours would ever call ends the process: somebody else gives the orders. */
#include "cli/sandbox.h"

#include <ctype.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <net/if.h>
#include <sched.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/netlink.h>
#include <linux/sockios.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Comparisons are of the low 32 bits: the upper ones of an int argument are undefined. */
#define ALL_BITS 0xffffffffU
#define BITS(n, mask, value)                                                                       \
	{                                                                                          \
		(n), SCMP_CMP_MASKED_EQ, (mask), (value)                                           \
	}
#define IS(n, value) BITS(n, ALL_BITS, value)

/* SOCK_CLOEXEC and SOCK_NONBLOCK aside. */
#define SOCKET_TYPE 0xfU
/* Protocols below 32: TCP, UDP, ICMP.  Any other loads a kernel module that nobody here needs. */
#define SOCKET_PROTOCOL (ALL_BITS & ~0x1fU)
#define NEW_NAMESPACES                                                                             \
	(CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER |             \
	 CLONE_NEWPID | CLONE_NEWNET)

#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#endif

/* Sanitizers' run-time libraries trace their own process, and more. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) ||                         \
	__has_feature(memory_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

static const char *const ALLOWED[] = {
	/* memory; see NARROW for mmap and mprotect */
	"brk", "madvise", "mlock", "mremap", "munlock", "munmap",
	/* files: the home, resolv.conf, sockets of others; see NARROW for fcntl */
	"access", "close", "close_range", "dup", "dup2", "dup3", "faccessat", "faccessat2",
	"fadvise64", "fdatasync", "flock", "fstat", "fstatfs", "fsync", "ftruncate", "getcwd",
	"getdents64", "link", "linkat", "lseek", "lstat", "mkdir", "mkdirat", "newfstatat", "open",
	"openat", "pipe2", "pread64", "pwrite64", "read", "readlink", "readlinkat", "readv",
	"rename", "renameat", "renameat2", "stat", "statx", "umask", "unlink", "unlinkat", "write",
	"writev",
	/* network; see NARROW for socket */
	"accept", "accept4", "bind", "connect", "getpeername", "getsockname", "getsockopt",
	"listen", "recvfrom", "recvmmsg", "recvmsg", "sendmmsg", "sendmsg", "sendto", "setsockopt",
	"shutdown",
	/* events and time */
	"clock_getres", "clock_gettime", "clock_nanosleep", "epoll_create1", "epoll_ctl",
	"epoll_pwait", "epoll_pwait2", "epoll_wait", "eventfd2", "getrusage", "gettimeofday",
	"nanosleep", "poll", "ppoll", "pselect6", "restart_syscall", "select", "signalfd4", "time",
	"timerfd_create", "timerfd_gettime", "timerfd_settime", "times",
	/* threads and signals; see NARROW for clone and tgkill */
	"exit", "exit_group", "futex", "futex_waitv", "get_robust_list", "getcpu", "gettid", "rseq",
	"rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "rt_sigtimedwait", "sched_getaffinity",
	"sched_getparam", "sched_getscheduler", "sched_yield", "set_robust_list", "set_tid_address",
	"sigaltstack",
	/* questions */
	"getegid", "geteuid", "getgid", "getgroups", "getpid", "getppid", "getrandom", "getresgid",
	"getresuid", "getrlimit", "getuid", "sysinfo", "uname"
};

static const char *const HOSTILE[] = {
	/* other programs and processes */
	"execve", "execveat", "kcmp", "pidfd_getfd", "process_madvise", "process_vm_readv",
	"process_vm_writev", "ptrace",
	/* other rights */
	"capset", "setfsgid", "setfsuid", "setgid", "setgroups", "setns", "setregid", "setresgid",
	"setresuid", "setreuid", "setuid", "unshare",
	/* file systems */
	"chroot", "fsconfig", "fsmount", "fsopen", "fspick", "mount", "mount_setattr", "move_mount",
	"open_by_handle_at", "open_tree", "pivot_root", "swapoff", "swapon", "umount2",
	/* the kernel, and the wider ways into it */
	"add_key", "bpf", "delete_module", "finit_module", "init_module", "ioperm", "iopl",
	"kexec_file_load", "kexec_load", "keyctl", "modify_ldt", "perf_event_open", "reboot",
	"request_key", "userfaultfd"
};

enum { ARGS_MAX = 3 };

/* Allowed with these arguments only. */
static const struct {
	const char *name;
	unsigned n;
	struct scmp_arg_cmp args[ARGS_MAX];
} NARROW[] = {
	/* No memory to run code from: what is needed is loaded before (load_modules()). */
	{ "mmap", 1, { BITS(2, PROT_EXEC, 0) } },
	{ "mprotect", 1, { BITS(2, PROT_EXEC, 0) } },
	{ "socket", 1, { IS(0, AF_UNIX) } },
	{ "socket",
	  3,
	  { IS(0, AF_INET), BITS(1, SOCKET_TYPE, SOCK_STREAM), BITS(2, SOCKET_PROTOCOL, 0) } },
	{ "socket",
	  3,
	  { IS(0, AF_INET), BITS(1, SOCKET_TYPE, SOCK_DGRAM), BITS(2, SOCKET_PROTOCOL, 0) } },
	{ "socket",
	  3,
	  { IS(0, AF_INET6), BITS(1, SOCKET_TYPE, SOCK_STREAM), BITS(2, SOCKET_PROTOCOL, 0) } },
	{ "socket",
	  3,
	  { IS(0, AF_INET6), BITS(1, SOCKET_TYPE, SOCK_DGRAM), BITS(2, SOCKET_PROTOCOL, 0) } },
	{ "socket", 2, { IS(0, AF_NETLINK), IS(2, NETLINK_ROUTE) } },
	{ "socketpair", 1, { IS(0, AF_UNIX) } },
	/* Threads, and no processes.  clone3, whose flags are in memory, is ENOSYS: glibc goes back. */
	{ "clone", 1, { BITS(0, CLONE_THREAD | NEW_NAMESPACES, CLONE_THREAD) } },
	/* Not to have a file send signals to others (F_SETOWN, F_SETSIG). */
	{ "fcntl", 1, { IS(1, F_DUPFD) } },
	{ "fcntl", 1, { IS(1, F_DUPFD_CLOEXEC) } },
	{ "fcntl", 1, { IS(1, F_GETFD) } },
	{ "fcntl", 1, { IS(1, F_SETFD) } },
	{ "fcntl", 1, { IS(1, F_GETFL) } },
	{ "fcntl", 1, { IS(1, F_SETFL) } },
	{ "fcntl", 1, { IS(1, F_GETLK) } },
	{ "fcntl", 1, { IS(1, F_SETLK) } },
	{ "fcntl", 1, { IS(1, F_SETLKW) } },
	{ "prctl", 1, { IS(0, PR_SET_NAME) } },
	{ "prctl", 1, { IS(0, PR_GET_NAME) } },
	{ "prctl", 1, { IS(0, PR_SET_TIMERSLACK) } },
	{ "prctl", 1, { IS(0, PR_SET_VMA) } },
	/* To look at a limit of our own, not to set one. */
	{ "prlimit64", 2, { IS(0, 0), { 2, SCMP_CMP_EQ, 0, 0 } } },
	/* Unsent bytes, waiting bytes, terminals (isatty), names of interfaces. */
	{ "ioctl", 1, { IS(1, SIOCOUTQ) } },
	{ "ioctl", 1, { IS(1, FIONREAD) } },
	{ "ioctl", 1, { IS(1, FIONBIO) } },
	{ "ioctl", 1, { IS(1, TCGETS) } },
	{ "ioctl", 1, { IS(1, SIOCGIFNAME) } },
	{ "ioctl", 1, { IS(1, SIOCGIFINDEX) } },
	{ "ioctl", 1, { IS(1, SIOCGIFCONF) } },
	{ "ioctl", 1, { IS(1, SIOCGIFADDR) } },
	{ "ioctl", 1, { IS(1, SIOCGIFFLAGS) } },
	{ "ioctl", 1, { IS(1, SIOCGIFMTU) } },
};

const char *sandbox_name(enum sandbox s)
{
	switch (s) {
	case SANDBOX_OFF:
		return "off";
	case SANDBOX_ON:
		return "on";
	case SANDBOX_UNAVAILABLE:
		return "unavailable";
	}
	return "?";
}

/* --- what a process keeps without seccomp --- */

static void load_word(const char *word)
{
	char name[64];

	for (const char *c = word; *c; c++)
		if (!isalnum((unsigned char)*c) && *c != '_' && *c != '-')
			return;
	snprintf(name, sizeof(name), "libnss_%.40s.so.2", word);
	(void)!dlopen(name, RTLD_NOW);
}

/* getaddrinfo() loads the modules that nsswitch.conf(5) names for hosts when it first needs them,
 * which would take memory to run code from. */
static void load_modules(void)
{
	FILE *f = fopen("/etc/nsswitch.conf", "re");
	char line[1024], *save;

	while (f && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "#\n")] = '\0';
		if (strncmp(line, "hosts:", 6) != 0)
			continue;
		for (char *w = strtok_r(line + 6, " \t", &save); w;
		     w = strtok_r(NULL, " \t", &save))
			load_word(w);
	}
	if (f)
		fclose(f);
}

/* Not dumpable is more: nobody but root reads our memory through /proc or attaches a debugger. */
static void leave_no_core(void)
{
	struct rlimit none = { 0, 0 };

	setrlimit(RLIMIT_CORE, &none);
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

static void drop_capabilities(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = { 0 };

	/* The bounding set takes CAP_SETPCAP; without it nothing is executed that could use the set. */
	for (unsigned long cap = 0; prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) == 0; cap++)
		;
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	syscall(SYS_capset, &header, none);
}

/* --- the filter --- */

/* Names that this architecture or library does not know are left out. */
static int add(scmp_filter_ctx filter, uint32_t action, const char *name, unsigned n,
	       const struct scmp_arg_cmp *args)
{
	int number = seccomp_syscall_resolve_name(name);

	return number < 0 ? 0 : seccomp_rule_add_array(filter, action, number, n, args);
}

/* Only for ourselves: abort() of a failed assertion. */
static int add_tgkill(scmp_filter_ctx filter)
{
	struct scmp_arg_cmp self = IS(0, (unsigned)getpid());

	return add(filter, SCMP_ACT_ALLOW, "tgkill", 1, &self);
}

/* To map code is what loading a module does, which then fails as if it were damaged. */
static int add_refusals(scmp_filter_ctx filter)
{
	static const char *const MAPPING[] = { "mmap", "mprotect" };
	struct scmp_arg_cmp code = BITS(2, PROT_EXEC, PROT_EXEC);
	int rv = 0;

	for (size_t i = 0; i < COUNT(MAPPING) && rv == 0; i++)
		rv = add(filter, SCMP_ACT_ERRNO(EPERM), MAPPING[i], 1, &code);
	return rv;
}

static int add_lists(scmp_filter_ctx filter)
{
	int rv = 0;

	for (size_t i = 0; i < COUNT(ALLOWED) && rv == 0; i++)
		rv = add(filter, SCMP_ACT_ALLOW, ALLOWED[i], 0, NULL);
	for (size_t i = 0; i < COUNT(NARROW) && rv == 0; i++)
		rv = add(filter, SCMP_ACT_ALLOW, NARROW[i].name, NARROW[i].n, NARROW[i].args);
	for (size_t i = 0; i < COUNT(HOSTILE) && rv == 0; i++)
		rv = add(filter, SCMP_ACT_KILL_PROCESS, HOSTILE[i], 0, NULL);
	if (rv == 0)
		rv = add_tgkill(filter);
	return rv == 0 ? add_refusals(filter) : rv;
}

/* 0 or -errno. */
static int load_filter(void)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
	int rv;

	if (!filter)
		return -ENOSYS;
	/* Calls of another architecture (32 bits, x32) would pass by the lists. */
	rv = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	if (rv == 0)
		rv = add_lists(filter);
	seccomp_attr_set(filter, SCMP_FLTATR_API_SYSRAWRC, 1);
	seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* a tree, not a list */
	/* All code here is ours: no need to give up speculation, as old kernels make filtered
	 * processes do. */
	seccomp_attr_set(filter, SCMP_FLTATR_CTL_SSB, 1);
	if (rv == 0)
		rv = seccomp_load(filter);
	seccomp_release(filter);
	return rv;
}

/* The lists are of these only. */
static bool known_architecture(void)
{
	uint32_t arch = seccomp_arch_native();

	return arch == SCMP_ARCH_X86_64 || arch == SCMP_ARCH_AARCH64;
}

enum sandbox sandbox_enter(void)
{
	int error;

	load_modules();
	drop_capabilities();
	leave_no_core();
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return SANDBOX_UNAVAILABLE;
	error = known_architecture() ? load_filter() : -ENOTSUP;
	if (error == 0)
		return SANDBOX_ON;
	errno = -error;
	return SANDBOX_UNAVAILABLE;
}

enum sandbox sandbox_start(const struct settings *s, bool resident)
{
	enum sandbox state;

	if (SANITIZED || setting_is_on(s, SETTING_NO_SANDBOX))
		return SANDBOX_OFF;
	state = sandbox_enter();
	if (state == SANDBOX_UNAVAILABLE && resident)
		fprintf(stderr,
			"godwit: no sandbox: this system has no seccomp for us (%s)\n"
			"  try: --no-sandbox, if that is as it should be\n",
			strerror(errno));
	return state;
}
