// SPDX-License-Identifier: Apache-2.0
#include "io/entropy.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/types.h>

static void fill(struct rng *rng, void *out, size_t len)
{
	uint8_t *p = out;

	(void)rng;
	while (len > 0) {
		ssize_t n = getrandom(p, len, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			abort();
		p += n;
		len -= (size_t)n;
	}
}

void entropy_init(struct rng *out)
{
	*out = (struct rng){ .fill = fill };
}
