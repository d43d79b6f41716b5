/* cli/audit_log.h - the log of what was decided about others: lines of JSON in a file.
 *
 * {"v":1,"time","event":"knock|certificate|manifest|open|end","decision":"allow|deny","who","name","service",
 *  "path":{"kind","endpoint" or "via"},"rule","why","tx_bytes","rx_bytes","lost"} */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_CLI_AUDIT_LOG_H
#define GODWIT_CLI_AUDIT_LOG_H

#include "cli/fail.h"
#include "cli/rules.h"

enum { AUDIT_FILE_MAX = 10 << 20, AUDIT_KNOCKS_A_SECOND = 10 };

struct audit_log;

/* Appends to the file, mode 0600; when it has AUDIT_FILE_MAX bytes it becomes PATH.1. */
int audit_log_open(struct audit_log **out, const char *path, struct failure *f);
void audit_log_close(struct audit_log *log); /* NULL: nothing */
/* An error is told once on stderr, and again after it has worked in between. */
void audit_log_write(struct audit_log *log, const json_t *entry);
/* False: there were so many refused knocks and certificates this second that this one is only counted; the next entry has it
 * in *lost. */
bool audit_log_admits(struct audit_log *log, const godwit_event *e, uint64_t wall_ms, size_t *lost);

/* `person` NULL: it is not known who it was.  `rules`: those in force. */
json_t *audit_log_format(const godwit_event *e, const struct person *person,
			 const struct rules *rules, uint64_t wall_ms, size_t lost);

#endif
