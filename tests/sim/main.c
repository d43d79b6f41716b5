/* tests/sim/main.c - run many seeds on all processors; replay one. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sim.h"

enum {
	RUNS_DEFAULT = 2000,
	JOBS_MAX = 64,
	RUN_SECONDS_MAX = 240, /* of real time; a run that takes longer hangs */
	PROGRESS_MS = 200,
	NO_RUN = -1,
};

struct options {
	uint64_t seed;
	uint64_t runs;
	const char *scenario;
	bool verbose, digest;
	unsigned jobs;
};

/* Shared by the workers and their parent. */
struct board {
	atomic_ullong next, passed, failed, steps;
	atomic_ullong virtual_seconds;
	atomic_llong running[JOBS_MAX]; /* the run a worker is at, to blame it for a crash */
};

static const char *scenario_name(const struct options *o, uint64_t seed)
{
	return o->scenario ? o->scenario : scenario_pick(seed)->name;
}

static void print_failure(const struct options *o, uint64_t seed, uint64_t steps,
			  const char *reason)
{
	char text[FAILURE_MAX + 200];
	int n = snprintf(text, sizeof(text),
			 "\rFAIL %s, seed %llu, step %llu: %s\n"
			 "     replay: sim --scenario %s --seed %llu --verbose\n",
			 scenario_name(o, seed), (unsigned long long)seed,
			 (unsigned long long)steps, reason, scenario_name(o, seed),
			 (unsigned long long)seed);

	if (n > 0 && write(STDERR_FILENO, text, (size_t)n) < 0)
		_exit(2);
}

/* A failed assertion, a crash or a run without end: say where, then die of it. */
static void on_signal(int number)
{
	const struct sim *s = sim_current();
	char text[300];
	int n;

	signal(number, SIG_DFL);
	if (s) {
		n = snprintf(text, sizeof(text),
			     "\rsignal %d in %s, seed %llu, step %llu, at %llu us\n", number,
			     s->scenario, (unsigned long long)s->seed, (unsigned long long)s->steps,
			     (unsigned long long)((s->now - s->start) / GW_USEC));
		if (n > 0 && write(STDERR_FILENO, text, (size_t)n) < 0)
			_exit(2);
	}
	raise(number);
}

static void catch_signals(void)
{
	static const int numbers[] = { SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGALRM };

	for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++)
		signal(numbers[i], on_signal);
}

static bool run_seed(const struct options *o, struct board *b, uint64_t seed)
{
	struct sim_result result;
	bool ok;

	alarm(RUN_SECONDS_MAX);
	ok = sim_run(seed, o->scenario, o->verbose, &result);
	alarm(0);
	if (!ok)
		print_failure(o, seed, result.steps, result.failure);
	if (o->digest)
		printf("seed %llu %s: %llu steps, %.3f virtual seconds, digest %016llx\n",
		       (unsigned long long)seed, result.scenario, (unsigned long long)result.steps,
		       (double)result.virtual_time / (double)GW_SEC,
		       (unsigned long long)result.digest);
	atomic_fetch_add(ok ? &b->passed : &b->failed, 1);
	atomic_fetch_add(&b->steps, result.steps);
	atomic_fetch_add(&b->virtual_seconds, result.virtual_time / GW_SEC);
	return ok;
}

static void work(const struct options *o, struct board *b, unsigned job)
{
	for (;;) {
		uint64_t run = atomic_fetch_add(&b->next, 1);

		if (run >= o->runs)
			return;
		atomic_store(&b->running[job], (long long)run);
		run_seed(o, b, o->seed + run);
		atomic_store(&b->running[job], NO_RUN);
	}
}

static pid_t spawn(const struct options *o, struct board *b, unsigned job)
{
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		catch_signals();
		work(o, b, job);
		fflush(NULL);
		exit(0);
	}
	if (pid < 0) {
		perror("sim: fork");
		exit(2);
	}
	return pid;
}

static void progress(const struct options *o, struct board *b)
{
	if (!isatty(STDERR_FILENO))
		return;
	fprintf(stderr, "\r%llu of %llu runs, %llu failed ",
		(unsigned long long)(atomic_load(&b->passed) + atomic_load(&b->failed)),
		(unsigned long long)o->runs, (unsigned long long)atomic_load(&b->failed));
}

/* A worker ended: blame the run it was at, and replace it. */
static bool reap(const struct options *o, struct board *b, pid_t *pids, pid_t pid, int status)
{
	for (unsigned job = 0; job < o->jobs; job++) {
		long long run = atomic_load(&b->running[job]);

		if (pids[job] != pid)
			continue;
		pids[job] = 0;
		if (run != NO_RUN) {
			char text[64];

			snprintf(text, sizeof(text), "the run ended the process (%s %d)",
				 WIFSIGNALED(status) ? "signal" : "status",
				 WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
			print_failure(o, o->seed + (uint64_t)run, 0, text);
			atomic_fetch_add(&b->failed, 1);
			atomic_store(&b->running[job], NO_RUN);
		}
		if (atomic_load(&b->next) >= o->runs)
			return true;
		pids[job] = spawn(o, b, job);
		return false;
	}
	return false;
}

static void run_parallel(const struct options *o, struct board *b)
{
	pid_t pids[JOBS_MAX] = { 0 };
	unsigned alive = o->jobs;

	for (unsigned job = 0; job < o->jobs; job++)
		pids[job] = spawn(o, b, job);
	while (alive) {
		int status;
		pid_t pid = waitpid(-1, &status, WNOHANG);

		if (pid > 0) {
			if (reap(o, b, pids, pid, status))
				alive--;
			continue;
		}
		if (pid < 0 && errno == ECHILD)
			return;
		progress(o, b);
		usleep(PROGRESS_MS * 1000);
	}
}

static void usage(void)
{
	puts("usage: sim [--seed N] [--runs N] [--scenario NAME] [--jobs N] [--verbose] "
	     "[--digest]\n"
	     "  --seed N         the first seed; alone: run just this one (replays its schedule)\n"
	     "  --runs N         how many seeds (2000)\n"
	     "  --scenario NAME  this one instead of what the seed says\n"
	     "  --jobs N         worker processes (one a processor)\n"
	     "  --verbose        tell what happens\n"
	     "  --digest         print a fingerprint of each run's schedule\n"
	     "scenarios:");
	for (size_t i = 0; scenario_at(i); i++)
		printf("  %s\n", scenario_at(i)->name);
}

static uint64_t number(const char *text)
{
	char *end;
	uint64_t n = strtoull(text, &end, 0);

	if (*end || end == text) {
		fprintf(stderr, "sim: %s is no number\n", text);
		exit(2);
	}
	return n;
}

static void parse(struct options *o, int argc, char **argv)
{
	static const struct option longs[] = {
		{ "seed", required_argument, NULL, 's' },
		{ "runs", required_argument, NULL, 'r' },
		{ "scenario", required_argument, NULL, 'n' },
		{ "jobs", required_argument, NULL, 'j' },
		{ "verbose", no_argument, NULL, 'v' },
		{ "digest", no_argument, NULL, 'd' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	bool seed = false, runs = false;
	int c;

	while ((c = getopt_long(argc, argv, "s:r:n:j:vh", longs, NULL)) != -1) {
		switch (c) {
		case 's':
			o->seed = number(optarg);
			seed = true;
			break;
		case 'r':
			o->runs = number(optarg);
			runs = true;
			break;
		case 'n':
			o->scenario = optarg;
			break;
		case 'j':
			o->jobs = (unsigned)number(optarg);
			break;
		case 'v':
			o->verbose = true;
			break;
		case 'd':
			o->digest = true;
			break;
		case 'h':
			usage();
			exit(0);
		default:
			usage();
			exit(2);
		}
	}
	if (seed && !runs)
		o->runs = 1;
	if (o->scenario && !scenario_find(o->scenario)) {
		fprintf(stderr, "sim: no scenario %s (see --help)\n", o->scenario);
		exit(2);
	}
}

int main(int argc, char **argv)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	struct options o = { .seed = 1,
			     .runs = RUNS_DEFAULT,
			     .jobs = cpus > 0 ? (unsigned)cpus : 1 };
	struct board *b;

	parse(&o, argc, argv);
	if (!o.jobs || o.jobs > JOBS_MAX)
		o.jobs = JOBS_MAX;
	if (crypto_init()) {
		fputs("sim: the crypto library does not start\n", stderr);
		return 2;
	}
	b = mmap(NULL, sizeof(*b), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (b == MAP_FAILED) {
		perror("sim: mmap");
		return 2;
	}
	memset(b, 0, sizeof(*b));
	for (int i = 0; i < JOBS_MAX; i++)
		atomic_store(&b->running[i], NO_RUN);
	if (o.runs == 1) {
		catch_signals();
		run_seed(&o, b, o.seed);
	} else {
		run_parallel(&o, b);
	}
	fprintf(stderr, "\r");
	printf("%llu virtual hours, %llu steps\n",
	       (unsigned long long)(atomic_load(&b->virtual_seconds) / 3600),
	       (unsigned long long)atomic_load(&b->steps));
	printf("%llu passed, %llu failed\n", (unsigned long long)atomic_load(&b->passed),
	       (unsigned long long)atomic_load(&b->failed));
	return atomic_load(&b->failed) != 0;
}
