/* SPDX-License-Identifier: Apache-2.0 */
/* The audit log of the running node. */
#include <stdio.h>
#include <string.h>

#include "cli/agent_internal.h"

/* One-shot commands have one only if it was asked for: they take nobody's streams. */
int agent_open_audit(struct agent *a, bool transient, struct failure *f)
{
	const char *given = setting_get(a->settings, SETTING_AUDIT);
	char path[RULES_PATH_SIZE];

	if (given ? strcmp(given, "none") == 0 : transient)
		return 0;
	snprintf(path, sizeof(path), "%.4080s/audit.jsonl", a->home->path);
	return audit_log_open(&a->audit, given ? given : path, f);
}

void agent_audit(struct agent *a, const godwit_event *e)
{
	uint64_t now = loop_wall_clock_ms();
	struct person person;
	size_t lost;
	json_t *entry;

	if (!a->audit || !audit_log_admits(a->audit, e, now, &lost))
		return;
	if (e->audit.key_known)
		agent_person(a, e->key, &person);
	entry = audit_log_format(e, e->audit.key_known ? &person : NULL, agent_rules(a), now, lost);
	audit_log_write(a->audit, entry);
	json_decref(entry);
}
