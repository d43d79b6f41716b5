/* service/find.h - the key of a member of a network, by its name. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_SERVICE_FIND_H
#define GODWIT_SERVICE_FIND_H

#include "service/service.h"

/* --- one search --- */

struct find;

/* `error` 0: *key is the one.  GODWIT_E_NOT_FOUND, _AMBIGUOUS, _UNREACHABLE (nobody could be asked).
 * The find is gone after the call. */
typedef void find_fn(void *user, int error, const uint8_t *key);

/* Never calls `fn` before it has returned. */
int find_start(struct hub *h, const uint8_t network[GODWIT_KEY_SIZE], const char *name, find_fn *fn,
	       void *user, struct find **out);
void find_cancel(struct find *f); /* NULL: nothing */

/* --- a place whose key is looked for when it is needed, and kept for a while --- */

#define FINDER_KEEP (30 * GW_SEC)
#define FINDER_RETRY (1 * GW_SEC) /* after a search that found nothing */

/* A search is over. */
typedef void finder_fn(void *user, int error);

struct finder {
	struct hub *hub;
	struct place place;
	finder_fn *fn;
	void *user;
	struct find *find; /* under way */
	int error;         /* of the last search */
	gw_time until;     /* for so long the last answer holds */
	uint8_t key[GODWIT_KEY_SIZE];
};

void finder_init(struct finder *f, struct hub *h, const struct place *place, finder_fn *fn,
		 void *user);
void finder_clear(struct finder *f);
/* 0: *key is set.  GODWIT_E_AGAIN: it is being looked for, `fn` will be called; else why not. */
int finder_key(struct finder *f, uint8_t key[GODWIT_KEY_SIZE]);
/* That key does not do: look again when it is needed next. */
void finder_forget(struct finder *f);

#endif
