/* tests/bench/rules.c - what a decision of policy costs.
 *
 *	rules [RULES]     10,000 unless said
 *
 * Prints nanoseconds of a decision, least and median of short rounds, for who is denied everything:
 * a member of two networks, in eight groups of each.  That asks for the most. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/rng.h"
#include "core/policy.h"

enum { ROUNDS = 1001, LOOKUPS = 640, WHO = 64, NETWORKS = 2 };

static struct member members[WHO][NETWORKS];
static struct principal who[WHO];

static double now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* Different ones, so that what they ask for is in no cache by chance. */
static void make_principals(struct rng *rng, const uint8_t networks[NETWORKS][KEY_SIZE])
{
	for (size_t i = 0; i < WHO; i++) {
		for (size_t k = 0; k < NETWORKS; k++) {
			struct member *m = &members[i][k];

			memcpy(m->network, networks[k], KEY_SIZE);
			rng_bytes(rng, m->key, KEY_SIZE);
			m->n_groups = WIRE_GROUPS_MAX;
			for (size_t g = 0; g < WIRE_GROUPS_MAX; g++)
				snprintf(m->groups[g], sizeof(m->groups[g]), "group-of-%zu-%zu", i,
					 g);
			who[i].members[k] = m;
		}
		who[i].key = members[i][0].key;
		who[i].n_members = NETWORKS;
	}
}

/* Of all kinds: a third names keys, a third groups, a third networks. */
static void make_rules(struct policy *p, struct rng *rng, long count,
		       const uint8_t networks[NETWORKS][KEY_SIZE])
{
	static const enum subject_kind KINDS[] = { SUBJECT_KEY, SUBJECT_GROUP, SUBJECT_NETWORK };

	for (long i = 0; i < count; i++) {
		struct subject s = { .kind = KINDS[i % 3] };
		char service[SERVICE_NAME_MAX + 1];

		rng_bytes(rng, s.key, KEY_SIZE);
		if (s.kind == SUBJECT_GROUP) {
			memcpy(s.key, networks[i % NETWORKS], KEY_SIZE);
			snprintf(s.group, sizeof(s.group), "group-%ld", i);
		}
		snprintf(service, sizeof(service), "service-%ld", i % 100);
		if (policy_allow(p, i % 10 ? service : NULL, &s) != 0) {
			fprintf(stderr, "rules: cannot make %ld rules\n", count);
			exit(1);
		}
	}
}

static bool allows(const struct policy *p, size_t i)
{
	return policy_allows(p, "service-42", &who[i]);
}

static bool welcomes(const struct policy *p, size_t i)
{
	return policy_welcomes(p, &who[i]);
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void measure(const char *name, bool (*ask)(const struct policy *p, size_t i),
		    const struct policy *p)
{
	double rounds[ROUNDS];

	for (size_t r = 0; r < ROUNDS; r++) {
		double start = now_ns();

		for (size_t i = 0; i < LOOKUPS; i++)
			if (ask(p, i % WHO)) {
				fprintf(stderr, "rules: one is allowed\n");
				exit(1);
			}
		rounds[r] = (now_ns() - start) / LOOKUPS;
	}
	qsort(rounds, ROUNDS, sizeof(rounds[0]), compare);
	printf("%-10s %4.0f ns at least, median %4.0f\n", name, rounds[0], rounds[ROUNDS / 2]);
}

int main(int argc, char **argv)
{
	uint8_t networks[NETWORKS][KEY_SIZE];
	struct policy p;
	struct rng rng;

	rng_seed(&rng, 1);
	rng_bytes(&rng, networks, sizeof(networks));
	policy_init(&p, rng_u64(&rng));
	make_principals(&rng, networks);
	make_rules(&p, &rng, argc > 1 ? atol(argv[1]) : 10000, networks);
	measure("allows", allows, &p);
	measure("welcomes", welcomes, &p);
	policy_clear(&p);
	return 0;
}
