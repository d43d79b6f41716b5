/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/who.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "cli/networks.h"

/* --- networks by their label --- */

static bool has_label(const struct home_networks *all, const char *label)
{
	for (size_t i = 0; i < all->count; i++)
		if (strcmp(all->labels[i], label) == 0)
			return true;
	return false;
}

/* `text` NULL: the only one.  `label` gets LABEL_SIZE bytes. */
static int find_network(const struct home *h, const char *text, uint8_t key[KEY_SIZE], char *label,
			struct failure *f)
{
	struct home_networks all;
	struct home_network n;

	if (home_networks_list(h, &all, f) < 0)
		return -1;
	if (!text && all.count == 1)
		text = all.labels[0];
	if (home_network_find(&n, h, text, f) == 0) {
		memcpy(key, n.key, KEY_SIZE);
		snprintf(label, LABEL_SIZE, "%s", n.label);
		home_network_close(&n);
		return 0;
	}
	if (!text || !has_label(&all, text)) {
		f->exit = EXIT_USAGE;
		return -1;
	}
	memset(key, 0, KEY_SIZE);
	snprintf(label, LABEL_SIZE, "%s", text);
	return 0;
}

/* --- whom a rule is about --- */

static int parse_group(const struct home *h, const char *text, char *group, uint8_t key[KEY_SIZE],
		       char *label, struct failure *f)
{
	const char *at = strchr(text, '@');
	size_t len = at ? (size_t)(at - text) : strlen(text);
	char word[GODWIT_GROUP_SIZE] = "";

	if (len < sizeof(word))
		memcpy(word, text, len);
	word[len < sizeof(word) ? len : 0] = '\0';
	if (!wire_group_valid(word))
		return fail_usage(f, "group:GROUP@NETWORK; a group is 1 to 32 of a-z 0-9 -",
				  "\"%.60s\" is no group", text);
	if (find_network(h, at ? at + 1 : NULL, key, label, f) < 0) {
		if (!at)
			fail_hint(f, "group:%s@NETWORK; godwit network show lists them", word);
		return -1;
	}
	snprintf(group, GODWIT_GROUP_SIZE, "%s", word);
	return 0;
}

static int parse_key(const struct home *h, const char *text, struct who *out, struct failure *f)
{
	struct place place;

	if (place_parse(h, text, NULL, &place, f) < 0)
		return -1;
	if (*place.name)
		return fail_usage(f, "an address, network:NETWORK or group:GROUP@NETWORK",
				  "a rule cannot be about the name %.120s: it may change hands",
				  text);
	out->kind = WHO_KEY;
	memcpy(out->key, place.ticket.key, sizeof(out->key));
	godwit_address_format(out->key, out->text);
	return 0;
}

int who_parse(const struct home *h, const char *text, struct who *out, struct failure *f)
{
	char label[LABEL_SIZE];

	memset(out, 0, sizeof(*out));
	if (strcmp(text, "any") == 0) {
		out->kind = WHO_ANY;
		snprintf(out->text, sizeof(out->text), "any");
	} else if (strncmp(text, "network:", 8) == 0) {
		if (find_network(h, text + 8, out->key, label, f) < 0)
			return -1;
		out->kind = WHO_NETWORK;
		snprintf(out->text, sizeof(out->text), "network:%s", label);
	} else if (strncmp(text, "group:", 6) == 0) {
		if (parse_group(h, text + 6, out->group, out->key, label, f) < 0)
			return -1;
		out->kind = WHO_GROUP;
		snprintf(out->text, sizeof(out->text), "group:%s@%s", out->group, label);
	} else {
		return parse_key(h, text, out, f);
	}
	return 0;
}

/* --- a node and its standing --- */

static bool has_group(const struct standing *s, const char *group)
{
	for (size_t i = 0; i < s->n_groups; i++)
		if (strcmp(s->groups[i], group) == 0)
			return true;
	return false;
}

bool who_includes(const struct who *w, const struct person *p)
{
	switch (w->kind) {
	case WHO_ANY:
		return true;
	case WHO_KEY:
		return memcmp(w->key, p->key, sizeof(w->key)) == 0;
	case WHO_NETWORK:
	case WHO_GROUP:
		break;
	}
	for (size_t i = 0; i < p->n_standings; i++)
		if (memcmp(w->key, p->standings[i].network, sizeof(w->key)) == 0 &&
		    (w->kind == WHO_NETWORK || has_group(&p->standings[i], w->group)))
			return true;
	return false;
}

static struct standing *standing_in(struct person *p, const uint8_t network[KEY_SIZE])
{
	for (size_t i = 0; i < p->n_standings; i++)
		if (memcmp(p->standings[i].network, network, KEY_SIZE) == 0)
			return &p->standings[i];
	if (p->n_standings == STANDINGS_MAX)
		return NULL;
	memset(&p->standings[p->n_standings], 0, sizeof(p->standings[0]));
	memcpy(p->standings[p->n_standings].network, network, KEY_SIZE);
	return &p->standings[p->n_standings++];
}

int person_assume(struct person *p, const struct home *h, const char *text, struct failure *f)
{
	char group[GODWIT_GROUP_SIZE], label[LABEL_SIZE];
	uint8_t network[KEY_SIZE];
	struct standing *s;

	if (parse_group(h, text, group, network, label, f) < 0)
		return -1;
	s = standing_in(p, network);
	if (!s || s->n_groups == GODWIT_GROUPS_MAX)
		return fail_usage(f, "fewer --group", "nobody is in so many groups");
	snprintf(s->label, sizeof(s->label), "%s", label);
	snprintf(s->groups[s->n_groups++], GODWIT_GROUP_SIZE, "%s", group);
	return 0;
}

/* --- where something goes --- */

static int no_member(const char *who, struct failure *f)
{
	fail_usage(f,
		   "an address (godwit id), a ticket (godwit ticket), NAME.NETWORK, or add the "
		   "name to the home's file `names`",
		   "there is no name \"%.120s\"", who);
	return -1;
}

/* "NAME.NETWORK" */
static int take_member(const struct home *h, const char *who, struct place *out, struct failure *f)
{
	const char *dot = strchr(who, '.');
	size_t len = (size_t)(dot - who);

	if (len >= sizeof(out->name))
		return no_member(who, f);
	for (size_t i = 0; i < len; i++)
		out->name[i] = (char)tolower((unsigned char)who[i]);
	out->name[len] = '\0';
	if (!wire_name_valid(out->name) || !wire_name_valid(dot + 1))
		return no_member(who, f);
	if (find_network(h, dot + 1, out->network, out->label, f) == 0)
		return 0;
	fail_message(f, "this home has no network \"%.63s\", and no name \"%.120s\"", dot + 1, who);
	fail_hint(f, "join it by an invite (GODWIT_INVITE, or godwit network join); godwit network "
		     "show lists those of this home; names are in its file `names`");
	return -1;
}

static int take_service(const char *slash, const char *fallback, struct place *out,
			struct failure *f)
{
	const char *service = slash ? slash + 1 : fallback;

	if (service && strlen(service) >= sizeof(out->ticket.service))
		return fail_usage(f, "DEST/SERVICE, a service being 1 to 63 of a-z 0-9 . _ -",
				  "\"%.80s\" is no name for a service", service);
	snprintf(out->ticket.service, sizeof(out->ticket.service), "%s", service ? service : "");
	if (fallback && !*out->ticket.service)
		return fail_usage(f, "DEST/SERVICE", "the destination names no service");
	return 0;
}

int place_parse(const struct home *h, const char *text, const char *service, struct place *out,
		struct failure *f)
{
	char whole[GODWIT_TICKET_SIZE + GODWIT_SERVICE_SIZE], *slash;
	const char *known = home_expand(h, text, whole, sizeof(whole));
	struct place p = { 0 };
	char who[PLACE_TEXT_SIZE];

	if (known[strcspn(known, "./")] != '.' || strcspn(known, "/") >= sizeof(who)) {
		if (home_destination(h, text, service, &p.ticket, f) < 0)
			return -1;
		*out = p;
		return 0;
	}
	slash = strchr(known, '/');
	snprintf(who, sizeof(who), "%.*s", (int)strcspn(known, "/"), known);
	if (take_member(h, who, &p, f) < 0 || take_service(slash, service, &p, f) < 0)
		return -1;
	*out = p;
	return 0;
}

const char *place_format(const struct place *p, char out[PLACE_TEXT_SIZE])
{
	if (*p->name)
		snprintf(out, PLACE_TEXT_SIZE, "%s.%s", p->name, p->label);
	else
		godwit_address_format(p->ticket.key, out);
	return out;
}

int fail_find(struct failure *f, int error, const struct place *p)
{
	char text[PLACE_TEXT_SIZE];

	place_format(p, text);
	fail_error(f, error, "%s", text);
	if (error == GODWIT_E_NOT_FOUND) {
		f->exit = EXIT_UNREACHABLE;
		fail_message(f, "no member of %s is called %s at present", p->label, p->name);
		fail_hint(f, "see that its node runs with a --beacon that this one has, too "
			     "(godwit status), or use its address");
	} else if (error == GODWIT_E_AMBIGUOUS) {
		fail_message(f, "two members of %s claim the name %s: neither is taken", p->label,
			     p->name);
		fail_hint(f,
			  "godwit network members %s names them: revoke the one that should not "
			  "be, or use the address of the other",
			  p->label);
	} else if (error == GODWIT_E_UNREACHABLE) {
		fail_message(
			f,
			"nobody can be asked for the name %s: no beacon answers, or none knows "
			"the network",
			text);
		fail_hint(f,
			  "godwit netcheck; a beacon knows a network as soon as the node where it "
			  "was made has run with that --beacon");
	} else if (error == GODWIT_E_INVALID) {
		fail_message(f, "the network %s cannot be used at present", p->label);
		fail_hint(f, "godwit network show %s; see that the clock of this machine is right",
			  p->label);
	}
	return -1;
}
