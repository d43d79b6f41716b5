/* cli/rules.h - who may use which service, and who may be dialled, as people read it.
 *
 * The file: a line each, words apart by white space, # begins a comment:
 *	allow SERVICE WHO...	SERVICE "*": every one
 *	dial WHO...		as soon as there is one such line, nobody else may be dialled
 * Spec: docs/protocol.md, section 18. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_CLI_RULES_H
#define GODWIT_CLI_RULES_H

#include "cli/who.h"

struct rule {
	bool dial;                         /* else: allow */
	char service[GODWIT_SERVICE_SIZE]; /* "*": every one; of allow only */
	struct who who;
	char source[320]; /* "flag --allow", "expose", "kept", "PATH:LINE" */
};

struct rules {
	struct rule *list;
	size_t count, size;
};

void rules_clear(struct rules *r); /* zeroed memory is clear */
int rules_add(struct rules *r, const struct rule *one, struct failure *f);
/* `whom`: an array of texts. */
int rules_add_list(struct rules *r, const struct home *h, const char *service, const json_t *whom,
		   const char *source, struct failure *f);

/* Takes `text` apart.  A mistake: usage, "PATH:LINE: what is wrong". */
int rules_parse(struct rules *r, const struct home *h, const char *path, char *text,
		struct failure *f);
/* The file of the settings, else `policy` in the home when it is there.  `path` gets its name, or "". */
enum { RULES_PATH_SIZE = 4096 + 16 };
int rules_read(struct rules *r, const struct home *h, const struct settings *s,
	       char path[RULES_PATH_SIZE], struct failure *f);
/* What a node would begin with: --allow for --expose, kept services, the file. */
int rules_of_settings(struct rules *r, const struct home *h, const struct settings *s,
		      char path[RULES_PATH_SIZE], struct failure *f);

enum verdict { VERDICT_DENIED, VERDICT_ALLOWED, VERDICT_OPEN /* no rule is about dialling */ };

/* *which: the most special rule that allows it; NULL when there is none. */
enum verdict rules_decide(const struct rules *r, bool dial, const char *service,
			  const struct person *p, const struct rule **which);

/* "allow pg group:dev@acme" */
enum { RULE_TEXT_SIZE = 16 + GODWIT_SERVICE_SIZE + WHO_TEXT_SIZE };
const char *rule_format(const struct rule *r, char out[RULE_TEXT_SIZE]);

/* What `policy show` prints; `path` "": there is no file. */
json_t *policy_describe(const struct rules *r, const char *path, bool running);
/* What `policy check` prints. */
json_t *policy_decide(const struct rules *r, bool dial, const char *service, const struct person *p,
		      bool running);

#endif
