/* base/rng.h - where random bytes come from: the system in a program, a seed in the simulator. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_BASE_RNG_H
#define GODWIT_BASE_RNG_H

#include <stddef.h>
#include <stdint.h>

struct rng {
	void (*fill)(struct rng *rng, void *out, size_t len);
	uint64_t state[4]; /* of the seeded generator */
};

/* Deterministic generator (xoshiro256**, Blackman and Vigna, public domain).  Tests only. */
void rng_seed(struct rng *rng, uint64_t seed);

static inline void rng_bytes(struct rng *rng, void *out, size_t len)
{
	rng->fill(rng, out, len);
}

uint64_t rng_u64(struct rng *rng);
/* Uniform in [0, bound); bound > 0. */
uint64_t rng_below(struct rng *rng, uint64_t bound);

#endif
