/* SPDX-License-Identifier: Apache-2.0 */
#include "base/rng.h"

#include <string.h>

static uint64_t rotate(uint64_t x, int k)
{
	return (x << k) | (x >> (64 - k));
}

static uint64_t next(uint64_t s[4])
{
	uint64_t result = rotate(s[1] * 5, 7) * 9, t = s[1] << 17;

	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = rotate(s[3], 45);
	return result;
}

static void fill_seeded(struct rng *rng, void *out, size_t len)
{
	uint8_t *to = out;

	while (len > 0) {
		uint64_t value = next(rng->state);
		size_t take = len < sizeof(value) ? len : sizeof(value);

		memcpy(to, &value, take);
		to += take;
		len -= take;
	}
}

void rng_seed(struct rng *rng, uint64_t seed)
{
	rng->fill = fill_seeded;
	for (int i = 0; i < 4; i++) { /* splitmix64, as its authors advise */
		uint64_t z = (seed += UINT64_C(0x9e3779b97f4a7c15));

		z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
		z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
		rng->state[i] = z ^ (z >> 31);
	}
}

uint64_t rng_u64(struct rng *rng)
{
	uint64_t value;

	rng->fill(rng, &value, sizeof(value));
	return value;
}

uint64_t rng_below(struct rng *rng, uint64_t bound)
{
	uint64_t limit = UINT64_MAX - UINT64_MAX % bound, value;

	do
		value = rng_u64(rng);
	while (value >= limit);
	return value % bound;
}
