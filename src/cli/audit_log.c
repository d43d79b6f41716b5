/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/audit_log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct audit_log {
	char *path;
	int fd;
	off_t size;
	bool told;       /* of an error, which lasts */
	uint64_t second; /* wall clock, of `knocks` */
	size_t knocks, lost;
};

/* --- the file --- */

/* 0 or -1 and errno.  Never through a link: who may write the directory could lead us elsewhere. */
static int open_file(struct audit_log *log)
{
	struct stat st;

	log->fd = open(log->path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (log->fd < 0)
		return -1;
	log->size = fstat(log->fd, &st) == 0 ? st.st_size : 0;
	return 0;
}

static void close_file(struct audit_log *log)
{
	if (log->fd >= 0)
		close(log->fd);
	log->fd = -1;
}

int audit_log_open(struct audit_log **out, const char *path, struct failure *f)
{
	struct audit_log *log = calloc(1, sizeof(*log));

	if (log)
		log->path = strdup(path);
	if (!log || !log->path) {
		free(log);
		return fail_error(f, GODWIT_E_NOMEM, "audit log");
	}
	log->fd = -1;
	if (open_file(log) < 0) {
		fail_errno(f, errno, "audit log %.300s", path);
		fail_hint(f, "--audit FILE in a directory that exists and may be written, or "
			     "--audit none");
		audit_log_close(log);
		return -1;
	}
	*out = log;
	return 0;
}

void audit_log_close(struct audit_log *log)
{
	if (!log)
		return;
	close_file(log);
	free(log->path);
	free(log);
}

static void complain(struct audit_log *log, int error)
{
	if (!log->told)
		fprintf(stderr,
			"godwit: the audit log %s cannot be written: %s\n"
			"  try: make room, or look at its directory; the node goes on without\n",
			log->path, strerror(error));
	log->told = true;
}

static void rotate(struct audit_log *log)
{
	size_t size = strlen(log->path) + 3;
	char *old = malloc(size);

	close_file(log);
	if (old) {
		snprintf(old, size, "%s.1", log->path);
		(void)rename(log->path, old);
	}
	free(old);
}

/* One write(2) a line: another process that appends does not mix with it. */
static int put(struct audit_log *log, const char *line, size_t len)
{
	ssize_t n;

	if (log->fd >= 0 && log->size > 0 && log->size + (off_t)len > AUDIT_FILE_MAX)
		rotate(log);
	if (log->fd < 0 && open_file(log) < 0)
		return -1;
	n = write(log->fd, line, len);
	if (n == (ssize_t)len) {
		log->size += n;
		return 0;
	}
	if (n >= 0) {
		(void)!ftruncate(log->fd, log->size); /* half a line is none */
		errno = ENOSPC;
	}
	return -1;
}

void audit_log_write(struct audit_log *log, const json_t *entry)
{
	char *text = json_dumps(entry, JSON_COMPACT);
	size_t len = text ? strlen(text) : 0;
	char *line = text ? realloc(text, len + 2) : NULL;
	int rv = -1, error = ENOMEM;

	if (line) {
		memcpy(line + len, "\n", 2);
		rv = put(log, line, len + 1);
		error = errno;
	}
	if (rv < 0) {
		complain(log, error);
		close_file(log); /* what was in the way may be gone next time */
	} else {
		log->told = false;
	}
	free(line ? line : text);
}

bool audit_log_admits(struct audit_log *log, const godwit_event *e, uint64_t wall_ms, size_t *lost)
{
	log->lost += e->audit.lost;
	/* Certificates come with knocks: both are what strangers can cause. */
	if ((e->audit.what == GODWIT_AUDIT_KNOCK || e->audit.what == GODWIT_AUDIT_CERTIFICATE) &&
	    !e->audit.allowed) {
		if (wall_ms / 1000 != log->second) {
			log->second = wall_ms / 1000;
			log->knocks = 0;
		}
		if (++log->knocks > AUDIT_KNOCKS_A_SECOND) {
			log->lost++;
			return false;
		}
	}
	*lost = log->lost;
	log->lost = 0;
	return true;
}

/* --- an entry --- */

static const char *name_of(godwit_audit_what what)
{
	switch (what) {
	case GODWIT_AUDIT_KNOCK:
		return "knock";
	case GODWIT_AUDIT_CERTIFICATE:
		return "certificate";
	case GODWIT_AUDIT_MANIFEST:
		return "manifest";
	case GODWIT_AUDIT_OPEN:
		return "open";
	case GODWIT_AUDIT_END:
		return "end";
	}
	return "?";
}

/* "2026-11-30T09:17:29.042Z" */
static json_t *time_of(uint64_t wall_ms)
{
	time_t seconds = (time_t)(wall_ms / 1000);
	char text[40], whole[56];
	struct tm tm;

	if (!gmtime_r(&seconds, &tm) || strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm) == 0)
		return json_null();
	snprintf(whole, sizeof(whole), "%s.%03uZ", text, (unsigned)(wall_ms % 1000));
	return json_string(whole);
}

static json_t *path_of(const godwit_event *e)
{
	if (e->relayed)
		return json_pack("{s:s,s:s}", "kind", "relay", "via", e->relay);
	if (*e->endpoint)
		return json_pack("{s:s,s:s}", "kind", "direct", "endpoint", e->endpoint);
	return json_null();
}

/* "db.acme": the first that has one. */
static json_t *member_name(const struct person *p)
{
	for (size_t i = 0; p && i < p->n_standings; i++)
		if (*p->standings[i].name)
			return json_sprintf("%s.%s", p->standings[i].name, p->standings[i].label);
	return json_null();
}

static json_t *rule_of(const godwit_event *e, const struct person *p, const struct rules *rules)
{
	char text[RULE_TEXT_SIZE];
	const struct rule *which = NULL;

	if (p && e->audit.allowed && e->audit.what == GODWIT_AUDIT_OPEN)
		(void)rules_decide(rules, false, e->audit.service, p, &which);
	return which ? json_string(rule_format(which, text)) : json_null();
}

json_t *audit_log_format(const godwit_event *e, const struct person *person,
			 const struct rules *rules, uint64_t wall_ms, size_t lost)
{
	const godwit_audit *a = &e->audit;
	char address[GODWIT_ADDRESS_SIZE];
	bool ended = a->what == GODWIT_AUDIT_END;

	godwit_address_format(e->key, address);
	return json_pack("{s:i,s:o,s:s,s:s,s:s?,s:o,s:s?,s:o,s:o,s:s?,s:o,s:o,s:I}", "v", 1, "time",
			 time_of(wall_ms), "event", name_of(a->what), "decision",
			 a->allowed ? "allow" : "deny", "who", a->key_known ? address : NULL,
			 "name", member_name(person), "service", *a->service ? a->service : NULL,
			 "path", path_of(e), "rule", rule_of(e, person, rules), "why", a->why,
			 "tx_bytes", ended ? json_integer((json_int_t)a->tx_bytes) : json_null(),
			 "rx_bytes", ended ? json_integer((json_int_t)a->rx_bytes) : json_null(),
			 "lost", (json_int_t)lost);
}
