/* SPDX-License-Identifier: Apache-2.0 */
#include "core/seen.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"

void seen_clear(struct seen *s)
{
	free(s->ranges);
	memset(s, 0, sizeof(*s));
}

/* Index of the first range that ends at or after `number`. */
static size_t find(const struct seen *s, uint64_t number)
{
	size_t low = 0, high = s->count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (s->ranges[mid].last < number)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

bool seen_has(const struct seen *s, uint64_t number)
{
	size_t i = find(s, number);

	return i < s->count && s->ranges[i].first <= number;
}

static int insert(struct seen *s, size_t at, uint64_t number)
{
	if (s->count == SEEN_RANGES_MAX)
		return GW_E_LIMIT;
	if (s->count == s->capacity) {
		size_t capacity = s->capacity ? s->capacity * 2 : 4;
		struct seen_range *ranges = realloc(s->ranges, capacity * sizeof(*ranges));

		if (!ranges)
			return GW_E_NOMEM;
		s->ranges = ranges;
		s->capacity = capacity;
	}
	memmove(&s->ranges[at + 1], &s->ranges[at], (s->count - at) * sizeof(*s->ranges));
	s->ranges[at] = (struct seen_range){ number, number };
	s->count++;
	return 0;
}

int seen_add(struct seen *s, uint64_t number)
{
	size_t i = find(s, number);

	if (i < s->count && s->ranges[i].first <= number)
		return 0;

	bool joins_before = i > 0 && s->ranges[i - 1].last + 1 == number;
	bool joins_after = i < s->count && s->ranges[i].first == number + 1;

	if (joins_before && joins_after) {
		s->ranges[i - 1].last = s->ranges[i].last;
		memmove(&s->ranges[i], &s->ranges[i + 1], (s->count - i - 1) * sizeof(*s->ranges));
		s->count--;
	} else if (joins_before) {
		s->ranges[i - 1].last = number;
	} else if (joins_after) {
		s->ranges[i].first = number;
	} else {
		return insert(s, i, number);
	}
	return 0;
}
