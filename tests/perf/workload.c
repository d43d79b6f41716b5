/* tests/perf/workload.c - run one phase, and print what can be counted from inside.
 *
 * tests/perf/run runs it in callgrind, which counts while measured() is on the stack. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "workload.h"

#include <gnutls/gnutls.h>
#include <inttypes.h>
#include <ngtcp2/ngtcp2.h>
#include <stdio.h>
#include <string.h>

#ifdef __clang__
#define COMPILER "clang " __clang_version__
#else
#define COMPILER "gcc " __VERSION__
#endif

enum { SEED = 1 };

#define LIMIT (3600 * GW_SEC)

/* --- what our objects copy: the linker sends their calls here --- */

static uint64_t copied;

void *__real_memcpy(void *to, const void *from, size_t len);
void *__wrap_memcpy(void *to, const void *from, size_t len);
void *__real_memmove(void *to, const void *from, size_t len);
void *__wrap_memmove(void *to, const void *from, size_t len);

void *__wrap_memcpy(void *to, const void *from, size_t len)
{
	copied += len;
	return __real_memcpy(to, from, len);
}

void *__wrap_memmove(void *to, const void *from, size_t len)
{
	copied += len;
	return __real_memmove(to, from, len);
}

/* --- the processor, as callgrind shows it: libraries choose their code by it --- */

#ifdef __x86_64__
#include <cpuid.h>

static uint64_t cpu(void)
{
	static const unsigned leaves[] = { 0, 1, 2, 4, 7, 0x80000001 };
	uint64_t all = 0;

	for (size_t i = 0; i < sizeof(leaves) / sizeof(leaves[0]); i++) {
		unsigned r[4] = { 0 };

		__get_cpuid_count(leaves[i], 0, &r[0], &r[1], &r[2], &r[3]);
		if (leaves[i] == 1)
			r[1] = 0; /* which of the processors this is */
		for (int k = 0; k < 4; k++)
			all = (all ^ r[k]) * UINT64_C(0x100000001b3);
	}
	return all;
}
#else
static uint64_t cpu(void)
{
	return 0;
}
#endif

/* --- the run --- */

struct counts {
	uint64_t datagrams, bytes, batches, wakes, copied;
	gw_time time;
};

static struct counts count(const struct sim *s)
{
	struct counts c = {
		.bytes = s->sent_bytes, .batches = s->batches, .wakes = s->wakes, .time = s->now
	};

	for (unsigned i = 0; i < s->n_procs; i++)
		c.datagrams += s->procs[i].sent;
	c.copied = copied - c.bytes; /* the network copies each datagram once */
	return c;
}

void measured(struct sim *s, const struct phase *phase);

__attribute__((noinline)) void measured(struct sim *s, const struct phase *phase)
{
	bool done;

	phase->begin(s);
	done = sim_run_until(s, phase->done, s->now + (phase->lasts ? phase->lasts : LIMIT));
	if (!done && !phase->lasts)
		sim_fail(s, "not done after %d s", (int)(LIMIT / GW_SEC));
}

static void print_counts(const struct counts *was, const struct counts *is)
{
	printf("{\"compiler\": \"%s\", \"ngtcp2\": \"%s\", \"gnutls\": \"%s\", "
	       "\"cpu\": \"%016" PRIx64 "\",\n"
	       " \"datagrams\": %" PRIu64 ", \"sent\": %" PRIu64 ", \"batches\": %" PRIu64
	       ", \"wakes\": %" PRIu64 ", \"copied\": %" PRIu64 ", \"virtual_us\": %" PRIu64 "}\n",
	       COMPILER, ngtcp2_version(0)->version_str, gnutls_check_version(NULL), cpu(),
	       is->datagrams - was->datagrams, is->bytes - was->bytes, is->batches - was->batches,
	       is->wakes - was->wakes, is->copied - was->copied, (is->time - was->time) / GW_USEC);
}

static int run(const struct phase *phase)
{
	static struct load load;
	struct sim *s = sim_new(SEED);
	struct counts was, is;
	bool failed;

	s->measured = true;
	s->user = &load;
	phase->prepare(s);
	was = count(s);
	if (!s->failure[0])
		measured(s, phase);
	is = count(s);
	failed = s->failure[0];
	if (failed)
		fprintf(stderr, "workload: %s: %s\n", phase->name, s->failure);
	else
		print_counts(&was, &is);
	sim_free(s);
	return failed;
}

static int usage(void)
{
	puts("usage: workload PHASE\nphases:");
	for (size_t i = 0; phase_at(i); i++)
		printf("  %s\n", phase_at(i)->name);
	return 2;
}

int main(int argc, char **argv)
{
	if (argc != 2)
		return usage();
	if (crypto_init()) {
		fputs("workload: the crypto library does not start\n", stderr);
		return 2;
	}
	for (size_t i = 0; phase_at(i); i++)
		if (!strcmp(argv[1], phase_at(i)->name))
			return run(phase_at(i));
	return usage();
}
