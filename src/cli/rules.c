/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/rules.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/file.h"
#include "crypto/address.h"

enum { FILE_MAX = 1 << 20, RULES_MAX = 65536 };

static const char EVERY[] = "*";

/* --- lists --- */

void rules_clear(struct rules *r)
{
	free(r->list);
	*r = (struct rules){ 0 };
}

int rules_add(struct rules *r, const struct rule *one, struct failure *f)
{
	if (r->count == r->size) {
		size_t size = r->size ? 2 * r->size : 16;
		struct rule *list =
			size <= RULES_MAX ? realloc(r->list, size * sizeof(*list)) : NULL;

		if (!list)
			return fail_error(f, size <= RULES_MAX ? GODWIT_E_NOMEM : GODWIT_E_LIMIT,
					  "rules");
		r->list = list;
		r->size = size;
	}
	r->list[r->count++] = *one;
	return 0;
}

int rules_add_list(struct rules *r, const struct home *h, const char *service, const json_t *whom,
		   const char *source, struct failure *f)
{
	struct rule rule = { 0 };
	const json_t *one;
	size_t i;

	snprintf(rule.service, sizeof(rule.service), "%s", service);
	snprintf(rule.source, sizeof(rule.source), "%s", source);
	json_array_foreach(whom, i, one) {
		const char *text = json_string_value(one);

		if (who_parse(h, text ? text : "", &rule.who, f) < 0 || rules_add(r, &rule, f) < 0)
			return -1;
	}
	return 0;
}

/* --- the file --- */

static const char BLANK[] = " \t\r\n\v\f";

__attribute__((format(printf, 4, 5))) static int wrong(struct failure *f, const char *source,
						       const char *hint, const char *format, ...)
{
	char what[400];
	va_list ap;

	va_start(ap, format);
	vsnprintf(what, sizeof(what), format, ap);
	va_end(ap);
	return fail_usage(f, hint, "%s: %s", source, what);
}

static int take_whom(struct rules *r, const struct home *h, struct rule *rule, char **save,
		     struct failure *f)
{
	const char *word = strtok_r(NULL, BLANK, save);
	struct failure why;

	if (!word)
		return wrong(f, rule->source, rule->dial ? "dial WHO..." : "allow SERVICE WHO...",
			     "it says not whom");
	for (; word; word = strtok_r(NULL, BLANK, save)) {
		if (who_parse(h, word, &rule->who, &why) < 0)
			return wrong(f, rule->source, why.hint, "%.300s", why.message);
		if (rules_add(r, rule, f) < 0)
			return -1;
	}
	return 0;
}

static int take_line(struct rules *r, const struct home *h, const char *source, char *line,
		     struct failure *f)
{
	char *save = NULL, *word, *service;
	struct rule rule = { 0 };

	line[strcspn(line, "#")] = '\0';
	word = strtok_r(line, BLANK, &save);
	if (!word)
		return 0;
	snprintf(rule.source, sizeof(rule.source), "%s", source);
	if (strcmp(word, "dial") == 0) {
		rule.dial = true;
		return take_whom(r, h, &rule, &save, f);
	}
	if (strcmp(word, "allow") != 0)
		return wrong(f, source, "allow SERVICE WHO..., or dial WHO...",
			     "there is no rule \"%.60s\"", word);
	service = strtok_r(NULL, BLANK, &save);
	if (!service)
		return wrong(f, source, "allow SERVICE WHO...", "it says no service");
	if (strcmp(service, EVERY) != 0 && !service_name_valid(service))
		return wrong(f, source, "1 to 63 of a-z 0-9 . _ -, or *: every service",
			     "\"%.80s\" is no name for a service", service);
	snprintf(rule.service, sizeof(rule.service), "%s", service);
	return take_whom(r, h, &rule, &save, f);
}

int rules_parse(struct rules *r, const struct home *h, const char *path, char *text,
		struct failure *f)
{
	char source[sizeof(r->list->source)], *next;
	size_t number = 0;

	for (char *line = text; line; line = next) {
		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		snprintf(source, sizeof(source), "%.290s:%zu", path, ++number);
		if (take_line(r, h, source, line, f) < 0)
			return -1;
	}
	return 0;
}

/* Of a file that was named, its directory and its name there. */
static int open_directory_of(const char *path, char directory[RULES_PATH_SIZE], const char **name)
{
	const char *slash = strrchr(path, '/');

	if (slash == path)
		snprintf(directory, RULES_PATH_SIZE, "/");
	else
		snprintf(directory, RULES_PATH_SIZE, "%.*s", slash ? (int)(slash - path) : 1,
			 slash ? path : ".");
	*name = slash ? slash + 1 : path;
	return open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

static int read_named(const char *path, struct text *out, struct failure *f)
{
	char directory[RULES_PATH_SIZE];
	const char *name;
	int at = open_directory_of(path, directory, &name), rv;

	if (at < 0)
		return fail_usage(f, "--policy FILE", "cannot read %.300s: %s", path,
				  strerror(errno));
	rv = file_read(at, directory, name, false, FILE_MAX, out, f);
	close(at);
	if (rv == 0 && !out->data)
		return fail_usage(f, "--policy FILE", "there is no file %.300s", path);
	return rv;
}

int rules_read(struct rules *r, const struct home *h, const struct settings *s,
	       char path[RULES_PATH_SIZE], struct failure *f)
{
	const char *given = setting_get(s, SETTING_POLICY);
	struct text t = { 0 };
	int rv = 0;

	snprintf(path, RULES_PATH_SIZE, "%s", given ? given : "");
	if (given)
		rv = read_named(given, &t, f);
	else if (h->fd >= 0)
		rv = file_read(h->fd, h->path, "policy", false, FILE_MAX, &t, f);
	if (rv < 0 || !t.data)
		return rv;
	if (!given)
		snprintf(path, RULES_PATH_SIZE, "%.4080s/policy", h->path);
	if (strlen(t.data) != t.len)
		rv = fail_usage(f, "a text file", "%.300s is no text", path);
	else
		rv = rules_parse(r, h, path, t.data, f);
	text_free(&t);
	return rv;
}

/* --- what a node would begin with --- */

static int add_settings(struct rules *r, const struct home *h, const struct settings *s,
			struct failure *f)
{
	const char *source = s->at[SETTING_ALLOW].source;
	json_t *allow = json_array();
	int rv;

	for (size_t i = 0; i < s->at[SETTING_ALLOW].count; i++)
		json_array_append_new(allow, json_string(s->at[SETTING_ALLOW].values[i]));
	rv = rules_add_list(r, h, BENCH_SERVICE, allow, source, f);
	for (size_t i = 0; rv == 0 && i < s->at[SETTING_EXPOSE].count; i++) {
		const char *text = s->at[SETTING_EXPOSE].values[i];
		char name[GODWIT_SERVICE_SIZE];

		snprintf(name, sizeof(name), "%.*s", (int)strcspn(text, "="), text);
		rv = rules_add_list(r, h, name, allow, source, f);
	}
	json_decref(allow);
	return rv;
}

static int add_kept(struct rules *r, const struct home *h, struct failure *f)
{
	json_t *kept = home_kept_load(h, f);
	const json_t *one;
	int rv = kept ? 0 : -1;
	size_t i;

	json_array_foreach(kept, i, one) {
		const char *name = json_string_value(json_object_get(one, "name"));

		if (rv == 0 && name)
			rv = rules_add_list(r, h, name, json_object_get(one, "allow"), "kept", f);
	}
	json_decref(kept);
	return rv;
}

int rules_of_settings(struct rules *r, const struct home *h, const struct settings *s,
		      char path[RULES_PATH_SIZE], struct failure *f)
{
	if (add_settings(r, h, s, f) < 0 || add_kept(r, h, f) < 0)
		return -1;
	return rules_read(r, h, s, path, f);
}

/* --- decisions --- */

/* Who may use any service may use the bench: the agent grants it. */
static bool is_about(const struct rule *r, bool dial, const char *service)
{
	if (r->dial != dial)
		return false;
	return dial || strcmp(r->service, EVERY) == 0 || strcmp(r->service, service) == 0 ||
	       strcmp(service, BENCH_SERVICE) == 0;
}

/* The more special of two rules says more. */
static int rank(const struct rule *r)
{
	static const int KINDS[] = {
		[WHO_ANY] = 0, [WHO_NETWORK] = 1, [WHO_GROUP] = 2, [WHO_KEY] = 3
	};

	return 2 * KINDS[r->who.kind] + (strcmp(r->service, EVERY) != 0);
}

enum verdict rules_decide(const struct rules *r, bool dial, const char *service,
			  const struct person *p, const struct rule **which)
{
	bool any = false;

	*which = NULL;
	for (size_t i = 0; i < r->count; i++) {
		const struct rule *one = &r->list[i];

		any |= one->dial == dial;
		if (is_about(one, dial, service) && who_includes(&one->who, p) &&
		    (!*which || rank(one) > rank(*which)))
			*which = one;
	}
	if (*which)
		return VERDICT_ALLOWED;
	return dial && !any ? VERDICT_OPEN : VERDICT_DENIED;
}

/* --- as text --- */

const char *rule_format(const struct rule *r, char out[RULE_TEXT_SIZE])
{
	if (r->dial)
		snprintf(out, RULE_TEXT_SIZE, "dial %s", r->who.text);
	else
		snprintf(out, RULE_TEXT_SIZE, "allow %s %s", r->service, r->who.text);
	return out;
}

static json_t *describe_rule(const struct rule *r)
{
	return json_pack("{s:s,s:s?,s:s,s:s}", "direction", r->dial ? "out" : "in", "service",
			 r->dial ? NULL : r->service, "who", r->who.text, "source", r->source);
}

json_t *policy_describe(const struct rules *r, const char *path, bool running)
{
	json_t *list = json_array();
	bool dial = false;

	for (size_t i = 0; i < r->count; i++) {
		dial |= r->list[i].dial;
		json_array_append_new(list, describe_rule(&r->list[i]));
	}
	return json_pack("{s:o,s:s,s:s?,s:b}", "rules", list, "dial", dial ? "listed" : "open",
			 "file", *path ? path : NULL, "running", running);
}

static json_t *describe_standings(const struct person *p)
{
	json_t *out = json_array();

	for (size_t i = 0; i < p->n_standings; i++) {
		const struct standing *s = &p->standings[i];
		json_t *groups = json_array();

		for (size_t k = 0; k < s->n_groups; k++)
			json_array_append_new(groups, json_string(s->groups[k]));
		json_array_append_new(out, json_pack("{s:s,s:s,s:o}", "network", s->label, "name",
						     s->name, "groups", groups));
	}
	return out;
}

static const char *explain(enum verdict verdict, bool dial)
{
	switch (verdict) {
	case VERDICT_ALLOWED:
		return NULL;
	case VERDICT_OPEN:
		return "there is no dial rule: every node may be dialled";
	case VERDICT_DENIED:
		break;
	}
	return dial ? "there are dial rules, and none is about it" : "no rule allows it";
}

json_t *policy_decide(const struct rules *r, bool dial, const char *service, const struct person *p,
		      bool running)
{
	const struct rule *which;
	enum verdict verdict = rules_decide(r, dial, service, p, &which);
	char address[GODWIT_ADDRESS_SIZE], text[RULE_TEXT_SIZE];

	godwit_address_format(p->key, address);
	return json_pack("{s:s,s:s,s:s?,s:b,s:s?,s:s?,s:s?,s:o,s:b}", "who", address, "direction",
			 dial ? "out" : "in", "service", dial ? NULL : service, "allowed",
			 verdict != VERDICT_DENIED, "rule", which ? rule_format(which, text) : NULL,
			 "source", which ? which->source : NULL, "why", explain(verdict, dial),
			 "networks", describe_standings(p), "running", running);
}
