/* The connection ids of knocks that were taken.  Spec: docs/protocol.md, section 19.
 *
 * An id has to be known for as long as a clock would take its knock, so the ids are forgotten by
 * the knock's own time: they are in lists, one for each step of two seconds, and the steps in a
 * ring.  `first` is the oldest step of which nothing is forgotten, whether the clock has passed
 * those before it or the table was full.
 *
 * Who is allowed in could fill the table with knocks dated ahead, and so have those of all others
 * refused: when half of it is used a key may have a share of it only.  Keys are counted by their
 * hash; two of one hash have one share. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "trust/knock.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { STEP_MS = 2000, STEPS = 1024, CAPACITY_MIN = 64 };

_Static_assert(KNOCK_SEEN_MAX / 2 <= UINT16_MAX, "an owner's count");

_Static_assert(STEPS > 2 * KNOCK_SKEW_MS / STEP_MS + 2, "all times that are taken have a step");

/* Places are index + 1; 0 is none. */
struct entry {
	uint8_t dcid[KNOCK_DCID];
	uint32_t next_of_hash;
	uint32_t next_of_step : 20; /* or the next free one */
	uint32_t owner : 12;
};

_Static_assert(KNOCK_SEEN_MAX < 1 << 20 && KNOCK_OWNERS <= 1 << 12, "they fit");

struct knock_seen {
	uint64_t seed;
	uint64_t first;
	struct entry *entries;
	uint32_t *hashes; /* `capacity` lists */
	size_t capacity;  /* power of two, or 0 */
	size_t count;
	size_t touched; /* entries that ever held something */
	uint32_t vacant;
	uint32_t steps[STEPS];
	uint16_t held[KNOCK_OWNERS]; /* entries of each */
};

static struct entry *at(const struct knock_seen *s, uint32_t place)
{
	return &s->entries[place - 1];
}

/* splitmix64's finalizer (Vigna, public domain), chained over the words with the seed. */
static uint64_t mix(uint64_t z)
{
	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static uint32_t *list_of(const struct knock_seen *s, const uint8_t dcid[KNOCK_DCID])
{
	uint64_t words[KNOCK_DCID / 8], h;

	memcpy(words, dcid, sizeof(words));
	h = mix(s->seed ^ words[0]) + s->seed;
	h = mix(h ^ words[1]);
	return &s->hashes[h & (s->capacity - 1)];
}

bool knock_seen_has(const struct knock_seen *s, const uint8_t dcid[KNOCK_DCID])
{
	uint32_t place = s && s->capacity ? *list_of(s, dcid) : 0;

	while (place && memcmp(at(s, place)->dcid, dcid, KNOCK_DCID) != 0)
		place = at(s, place)->next_of_hash;
	return place != 0;
}

uint16_t knock_owner(const uint8_t key[KEY_SIZE], uint64_t seed)
{
	uint64_t word;

	memcpy(&word, key, sizeof(word));
	return (uint16_t)(mix(seed ^ word) % KNOCK_OWNERS);
}

static bool has_share(const struct knock_seen *s, uint16_t owner)
{
	return s->count < KNOCK_SEEN_MAX / 2 || s->held[owner] < KNOCK_KEY_MAX;
}

/* --- forgetting --- */

static void forget(struct knock_seen *s, uint32_t place)
{
	struct entry *e = at(s, place);
	uint32_t *link = list_of(s, e->dcid);

	while (*link != place)
		link = &at(s, *link)->next_of_hash;
	*link = e->next_of_hash;
	e->next_of_step = s->vacant & 0xfffff;
	s->held[e->owner]--;
	s->vacant = place;
	s->count--;
}

static void forget_first_step(struct knock_seen *s)
{
	uint32_t place = s->steps[s->first % STEPS];

	s->steps[s->first++ % STEPS] = 0;
	while (place) {
		uint32_t next = at(s, place)->next_of_step;

		forget(s, place);
		place = next;
	}
}

static void give_back(struct knock_seen *s)
{
	assert(s->count == 0);
	free(s->entries);
	free(s->hashes);
	s->entries = NULL;
	s->hashes = NULL;
	s->capacity = s->touched = 0;
	s->vacant = 0;
}

static void forget_all(struct knock_seen *s)
{
	s->count = 0;
	memset(s->steps, 0, sizeof(s->steps));
	memset(s->held, 0, sizeof(s->held));
	give_back(s);
}

/* What no clock takes any more.  When ours was set back so far that it would take nothing that
 * is not forgotten, all of it is worthless. */
static void follow_clock(struct knock_seen *s, uint64_t wall_ms)
{
	uint64_t oldest = (wall_ms > KNOCK_SKEW_MS ? wall_ms - KNOCK_SKEW_MS : 0) / STEP_MS;

	if (s->first > (wall_ms + KNOCK_SKEW_MS) / STEP_MS) {
		forget_all(s);
		s->first = oldest;
	}
	while (s->first < oldest && s->count > 0)
		forget_first_step(s);
	if (s->first < oldest)
		s->first = oldest;
	if (s->count == 0 && s->capacity > CAPACITY_MIN)
		give_back(s);
}

/* False: the new one would be among the oldest. */
static bool make_room(struct knock_seen *s, uint64_t step)
{
	while (s->count == KNOCK_SEEN_MAX) {
		if (s->first == step)
			return false;
		forget_first_step(s);
	}
	return true;
}

/* --- adding --- */

static bool grow(struct knock_seen *s)
{
	size_t capacity = s->capacity ? 2 * s->capacity : CAPACITY_MIN;
	struct entry *entries;
	uint32_t *hashes = calloc(capacity, sizeof(*hashes));

	if (!hashes)
		return false;
	entries = realloc(s->entries, capacity * sizeof(*entries));
	if (!entries) {
		free(hashes);
		return false;
	}
	free(s->hashes);
	s->entries = entries;
	s->hashes = hashes;
	s->capacity = capacity;
	for (uint32_t place = 1; place <= s->touched; place++) { /* it was full */
		uint32_t *list = list_of(s, at(s, place)->dcid);

		at(s, place)->next_of_hash = *list;
		*list = place;
	}
	return true;
}

static bool insert(struct knock_seen *s, const uint8_t dcid[KNOCK_DCID], uint16_t owner,
		   uint64_t step)
{
	uint32_t place = s->vacant, *list, *of_step = &s->steps[step % STEPS];

	if (place) {
		s->vacant = at(s, place)->next_of_step;
	} else {
		if (s->touched == s->capacity && !grow(s))
			return false;
		place = (uint32_t)++s->touched;
	}
	list = list_of(s, dcid);
	memcpy(at(s, place)->dcid, dcid, KNOCK_DCID);
	at(s, place)->next_of_hash = *list;
	at(s, place)->next_of_step = *of_step & 0xfffff;
	at(s, place)->owner = owner & 0xfffu;
	*list = *of_step = place;
	s->held[owner]++;
	s->count++;
	return true;
}

bool knock_seen_add(struct knock_seen **seen, const uint8_t dcid[KNOCK_DCID],
		    const uint8_t key[KEY_SIZE], uint64_t knock_ms, uint64_t wall_ms, uint64_t seed)
{
	int64_t ahead_ms = (int64_t)(knock_ms - wall_ms);
	uint64_t step = knock_ms / STEP_MS;
	struct knock_seen *s = *seen;
	uint16_t owner;

	if (ahead_ms > KNOCK_SKEW_MS || ahead_ms < -KNOCK_SKEW_MS)
		return false;
	if (!s) {
		s = calloc(1, sizeof(*s));
		if (!s)
			return false;
		s->seed = seed;
		*seen = s;
	}
	follow_clock(s, wall_ms);
	owner = knock_owner(key, s->seed);
	return step >= s->first && !knock_seen_has(s, dcid) && has_share(s, owner) &&
	       make_room(s, step) && insert(s, dcid, owner, step);
}

void knock_seen_free(struct knock_seen *seen)
{
	if (!seen)
		return;
	free(seen->entries);
	free(seen->hashes);
	free(seen);
}
