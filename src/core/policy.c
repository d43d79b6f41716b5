/* SPDX-License-Identifier: Apache-2.0 */
/* Rules are entries of one hash table.  So are two counts that follow from them and that lookups
 * ask for: how many rules let a subject use something, and how many name a network. */
#include "core/policy.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { RULES_MAX = 65536 };

/* What an entry counts grants of. */
enum scope {
	SCOPE_USE,   /* a subject may use a service, or every one */
	SCOPE_DIAL,  /* a subject may be dialled */
	SCOPE_SOME,  /* a subject may use something */
	SCOPE_NAMES, /* a network, or a group of it, is named */
};

struct policy_entry {
	struct policy_entry *next; /* with the same hash */
	uint64_t hash;
	size_t count; /* never 0 */
	enum scope scope;
	struct policy_rule rule;
};

static const uint8_t NO_KEY[KEY_SIZE];

void policy_init(struct policy *p, uint64_t seed)
{
	_Static_assert(POLICY_SCOPES == SCOPE_NAMES + 1, "scopes");
	memset(p, 0, sizeof(*p));
	map_init(&p->table, seed);
}

void policy_clear(struct policy *p)
{
	struct policy_entry *e;
	size_t position = 0;

	while ((e = map_next(&p->table, &position)))
		while (e) {
			struct policy_entry *next = e->next;

			free(e);
			e = next;
		}
	map_clear(&p->table);
	free(p->services);
	policy_init(p, p->table.seed);
}

/* --- what is offered --- */

struct service *policy_find(const struct policy *p, const char *name)
{
	for (size_t i = 0; i < p->count; i++)
		if (strcmp(p->services[i].name, name) == 0)
			return &p->services[i];
	return NULL;
}

int policy_listen(struct policy *p, const char *name, bool datagrams, gw_time park_timeout)
{
	struct service *s;

	if (!name || !service_name_valid(name))
		return GW_E_INVALID;
	if (policy_find(p, name))
		return GW_E_EXISTS;
	if (p->count == SERVICES_MAX)
		return GW_E_LIMIT;
	s = realloc(p->services, (p->count + 1) * sizeof(*s));
	if (!s)
		return GW_E_NOMEM;
	p->services = s;
	s += p->count++;
	*s = (struct service){ .park_timeout = park_timeout, .datagrams = datagrams };
	memcpy(s->name, name, strlen(name) + 1);
	return 0;
}

void policy_unlisten(struct policy *p, const char *name)
{
	struct service *s = name ? policy_find(p, name) : NULL;

	if (s)
		*s = p->services[--p->count];
}

/* --- the table --- */

/* The name of an entry. */
struct probe {
	uint64_t hash;
	enum scope scope;
	enum subject_kind kind;
	const char *service; /* "" every */
	const uint8_t *key;
	const char *group;
};

/* splitmix64's finalizer (Vigna, public domain). */
static uint64_t mix(uint64_t z)
{
	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

/* The last two words overlap, so that no copy has a length that the compiler does not know. */
static uint64_t hash_text(uint64_t h, const char *text, size_t len)
{
	uint64_t word = len;

	h += len;
	if (len < sizeof(word)) {
		for (size_t i = 0; i < len; i++)
			word = word << 8 | (uint8_t)text[i];
		return mix(h ^ word);
	}
	for (size_t i = 0; i + sizeof(word) < len; i += sizeof(word)) {
		memcpy(&word, text + i, sizeof(word));
		h = mix(h ^ word);
	}
	memcpy(&word, text + (len - sizeof(word)), sizeof(word));
	return mix(h ^ word);
}

/* The hash of an entry is the sum of these: of its scope and service, and of its subject. */
static uint64_t hash_service(const struct policy *p, enum scope scope, const char *service)
{
	return hash_text(p->table.seed + ((uint64_t)scope << 32), service, strlen(service));
}

static uint64_t hash_key(const struct policy *p, enum subject_kind kind, const uint8_t *key)
{
	uint64_t words[KEY_SIZE / 8], h = p->table.seed + (uint64_t)kind;

	memcpy(words, key, sizeof(words));
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		h = mix(h ^ words[i]);
	return h;
}

static uint64_t hash_group(uint64_t network, const char *group)
{
	return hash_text(~network, group, strnlen(group, WIRE_GROUP_MAX));
}

static struct policy_entry *find(const struct policy *p, const struct probe *a)
{
	struct policy_entry *e = map_get(&p->table, a->hash);

	for (; e; e = e->next)
		if (e->scope == a->scope && e->rule.subject.kind == a->kind &&
		    memcmp(e->rule.subject.key, a->key, KEY_SIZE) == 0 &&
		    strcmp(e->rule.subject.group, a->group) == 0 &&
		    strcmp(e->rule.service, a->service) == 0)
			return e;
	return NULL;
}

static int count_up(struct policy *p, const struct probe *a)
{
	struct policy_entry *e = find(p, a);

	if (e) {
		e->count++;
		return 0;
	}
	e = calloc(1, sizeof(*e));
	if (!e)
		return GW_E_NOMEM;
	e->next = map_get(&p->table, a->hash);
	e->hash = a->hash;
	e->count = 1;
	e->scope = a->scope;
	e->rule.subject.kind = a->kind;
	memcpy(e->rule.subject.key, a->key, KEY_SIZE);
	memcpy(e->rule.subject.group, a->group, strlen(a->group) + 1);
	memcpy(e->rule.service, a->service, strlen(a->service) + 1);
	if (map_put(&p->table, a->hash, e) < 0) {
		free(e);
		return GW_E_NOMEM;
	}
	p->entries[a->scope]++;
	return 0;
}

static void forget(struct policy *p, struct policy_entry *e)
{
	struct policy_entry *first = map_get(&p->table, e->hash);

	p->entries[e->scope]--;
	if (first != e) {
		while (first->next != e)
			first = first->next;
		first->next = e->next;
	} else if (e->next) {
		(void)map_put(&p->table, e->hash, e->next); /* replaces: cannot fail */
	} else {
		map_remove(&p->table, e->hash);
		map_fit(&p->table);
	}
	free(e);
}

static void count_down(struct policy *p, const struct probe *a)
{
	struct policy_entry *e = find(p, a);

	assert(e);
	if (--e->count == 0)
		forget(p, e);
}

/* --- rules --- */

static struct probe probe_of(const struct policy *p, enum scope scope, const char *service,
			     enum subject_kind kind, const struct subject *s)
{
	struct probe a = { .scope = scope,
			   .kind = kind,
			   .service = service,
			   .key = kind == SUBJECT_ANY ? NO_KEY : s->key,
			   .group = kind == SUBJECT_GROUP ? s->group : "" };

	if (kind == SUBJECT_GROUP)
		a.hash = hash_group(hash_key(p, SUBJECT_NETWORK, a.key), a.group);
	else
		a.hash = hash_key(p, kind, a.key);
	a.hash += hash_service(p, scope, service);
	return a;
}

enum { COUNTED_MAX = 3 };

/* Where a grant is counted: in its rule, which is the first, and in what follows from it. */
static size_t counted_in(struct probe out[COUNTED_MAX], const struct policy *p, enum scope scope,
			 const char *service, const struct subject *s)
{
	size_t n = 0;

	out[n++] = probe_of(p, scope, service, s->kind, s);
	if (scope == SCOPE_USE)
		out[n++] = probe_of(p, SCOPE_SOME, "", s->kind, s);
	if (s->kind == SUBJECT_NETWORK || s->kind == SUBJECT_GROUP)
		out[n++] = probe_of(p, SCOPE_NAMES, "", SUBJECT_NETWORK, s);
	return n;
}

static int grant(struct policy *p, enum scope scope, const char *service, const struct subject *s)
{
	struct probe at[COUNTED_MAX];
	size_t n;

	if (s->kind == SUBJECT_GROUP && !wire_group_valid(s->group))
		return GW_E_INVALID;
	n = counted_in(at, p, scope, service, s);
	if (p->entries[SCOPE_USE] + p->entries[SCOPE_DIAL] >= RULES_MAX && !find(p, &at[0]))
		return GW_E_LIMIT;
	for (size_t i = 0; i < n; i++)
		if (count_up(p, &at[i]) < 0) {
			while (i-- > 0)
				count_down(p, &at[i]);
			return GW_E_NOMEM;
		}
	return 0;
}

static void take_back(struct policy *p, enum scope scope, const char *service,
		      const struct subject *s)
{
	struct probe at[COUNTED_MAX];
	size_t n = counted_in(at, p, scope, service, s);

	if (!find(p, &at[0]))
		return;
	for (size_t i = 0; i < n; i++)
		count_down(p, &at[i]);
}

int policy_allow(struct policy *p, const char *service, const struct subject *s)
{
	if (service && !service_name_valid(service))
		return GW_E_INVALID;
	return grant(p, SCOPE_USE, service ? service : "", s);
}

void policy_disallow(struct policy *p, const char *service, const struct subject *s)
{
	if (!service || service_name_valid(service))
		take_back(p, SCOPE_USE, service ? service : "", s);
}

int policy_allow_dial(struct policy *p, const struct subject *s)
{
	return grant(p, SCOPE_DIAL, "", s);
}

void policy_disallow_dial(struct policy *p, const struct subject *s)
{
	take_back(p, SCOPE_DIAL, "", s);
}

/* --- decisions --- */

/* What is the same in all probes of a decision. */
struct question {
	const struct policy *p;
	enum scope scope;
	const char *service; /* "": no special one */
	uint64_t special, every;
};

/* A rule for that service, or else for every one.  `hash` is the subject's. */
static const struct policy_entry *ask(const struct question *q, uint64_t hash,
				      enum subject_kind kind, const uint8_t *key, const char *group)
{
	struct probe a = { .hash = hash + q->special,
			   .scope = q->scope,
			   .kind = kind,
			   .service = q->service,
			   .key = key,
			   .group = group };
	const struct policy_entry *e = find(q->p, &a);

	if (e || !q->service[0])
		return e;
	a.hash = hash + q->every;
	a.service = "";
	return find(q->p, &a);
}

static const struct policy_entry *ask_member(const struct question *q, const struct member *m)
{
	uint64_t network = hash_key(q->p, SUBJECT_NETWORK, m->network);
	const struct policy_entry *e = NULL;

	for (size_t i = 0; i < m->n_groups && !e; i++)
		e = ask(q, hash_group(network, m->groups[i]), SUBJECT_GROUP, m->network,
			m->groups[i]);
	return e ? e : ask(q, network, SUBJECT_NETWORK, m->network, "");
}

static const struct policy_entry *decide(const struct policy *p, enum scope scope,
					 const char *service, const struct principal *who)
{
	struct question q = { .p = p,
			      .scope = scope,
			      .service = service,
			      .special = hash_service(p, scope, service),
			      .every = hash_service(p, scope, "") };
	const struct policy_entry *e =
		ask(&q, hash_key(p, SUBJECT_KEY, who->key), SUBJECT_KEY, who->key, "");

	for (size_t i = 0; i < who->n_members && !e; i++)
		e = ask_member(&q, who->members[i]);
	return e ? e : ask(&q, hash_key(p, SUBJECT_ANY, NO_KEY), SUBJECT_ANY, NO_KEY, "");
}

bool policy_allows(const struct policy *p, const char *service, const struct principal *who)
{
	return decide(p, SCOPE_USE, service ? service : "", who) != NULL;
}

bool policy_explain(const struct policy *p, const char *service, const struct principal *who,
		    struct policy_rule *out)
{
	const struct policy_entry *e = decide(p, SCOPE_USE, service ? service : "", who);

	if (!e)
		return false;
	*out = e->rule;
	return true;
}

bool policy_welcomes(const struct policy *p, const struct principal *who)
{
	return decide(p, SCOPE_SOME, "", who) != NULL;
}

bool policy_may_dial(const struct policy *p, const struct principal *who)
{
	return p->entries[SCOPE_DIAL] == 0 || decide(p, SCOPE_DIAL, "", who);
}

bool policy_explain_dial(const struct policy *p, const struct principal *who,
			 struct policy_rule *out)
{
	const struct policy_entry *e = decide(p, SCOPE_DIAL, "", who);

	if (!e && p->entries[SCOPE_DIAL] > 0)
		return false;
	*out = e ? e->rule : (struct policy_rule){ .subject = { .kind = SUBJECT_ANY } };
	return true;
}

bool policy_names_network(const struct policy *p, const uint8_t *network)
{
	struct subject s = { .kind = SUBJECT_NETWORK };
	struct probe a;

	if (!network)
		return p->entries[SCOPE_NAMES] > 0;
	memcpy(s.key, network, KEY_SIZE);
	a = probe_of(p, SCOPE_NAMES, "", SUBJECT_NETWORK, &s);
	return find(p, &a) != NULL;
}
