/* cli/who.h - WHO as people write it: of rules, and of destinations. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_CLI_WHO_H
#define GODWIT_CLI_WHO_H

#include "cli/home.h"
#include "service/service.h"

/* --- whom a rule is about --- */

enum who_kind { WHO_ANY, WHO_KEY, WHO_NETWORK, WHO_GROUP };
enum { WHO_TEXT_SIZE = 8 + GODWIT_GROUP_SIZE + GODWIT_NAME_SIZE };

struct who {
	enum who_kind kind;
	uint8_t key[GODWIT_KEY_SIZE]; /* of the node, or of the network */
	char group[GODWIT_GROUP_SIZE];
	char text[WHO_TEXT_SIZE]; /* "any", an address, "network:LABEL", "group:GROUP@LABEL" */
};

/* "any", "network:NETWORK", "group:GROUP@NETWORK" or "group:GROUP" (of the home's only network), else as
 * home_destination().  A network that is damaged has no members: its directory is told of elsewhere. */
int who_parse(const struct home *h, const char *text, struct who *out, struct failure *f);

/* A node, and what it is in networks. */
struct standing {
	uint8_t network[GODWIT_KEY_SIZE];
	char label[GODWIT_NAME_SIZE], name[GODWIT_NAME_SIZE];
	size_t n_groups;
	char groups[GODWIT_GROUPS_MAX][GODWIT_GROUP_SIZE];
};

enum { STANDINGS_MAX = 16 };

struct person {
	uint8_t key[GODWIT_KEY_SIZE];
	size_t n_standings;
	struct standing standings[STANDINGS_MAX];
};

bool who_includes(const struct who *w, const struct person *p);
/* "GROUP@NETWORK" or "GROUP": the person is taken for one of that group. */
int person_assume(struct person *p, const struct home *h, const char *text, struct failure *f);

/* --- where something goes --- */

/* DEST: as home_destination(), or NAME.NETWORK[/SERVICE]; a name of the home's file goes before. */
int place_parse(const struct home *h, const char *text, const char *service, struct place *out,
		struct failure *f);
/* "db.acme", or the address. */
enum { PLACE_TEXT_SIZE = 2 * GODWIT_NAME_SIZE };
const char *place_format(const struct place *p, char out[PLACE_TEXT_SIZE]);
/* The search for its name has failed. */
int fail_find(struct failure *f, int error, const struct place *p);

#endif
