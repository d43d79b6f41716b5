/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/home.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/error.h"
#include "crypto/address.h"

/* What is longer than a name is an address or a ticket, mistyped perhaps. */
enum { CONTROL_BACKLOG = 64, KEY_TEXT_MAX = 16384, NAME_SIZE = 40 };

/* --- the directory --- */

static int make_directories(const char *path)
{
	char part[PATH_MAX];

	if (strlen(path) >= sizeof(part)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(part, path, strlen(path) + 1);
	for (char *c = part + 1;; c++) {
		char was = *c;

		if (was != '/' && was != '\0')
			continue;
		*c = '\0';
		if (mkdir(part, 0700) != 0 && errno != EEXIST) {
			int error = errno;

			if (access(part, F_OK) != 0) {
				errno = error;
				return -1;
			}
		}
		*c = was;
		if (was == '\0')
			return 0;
	}
}

/* Its files say whom to serve and what: nobody else may write them. */
static int check_owner(struct home *h, struct failure *f)
{
	struct stat st;

	if (fstat(h->fd, &st) != 0)
		return fail_errno(f, errno, "cannot look at the home %.200s", h->path);
	if (st.st_uid != geteuid() && st.st_uid != 0) {
		fail_error(f, GODWIT_E_PERMISSION, "home");
		fail_message(f, "the home %.200s belongs to another user (uid %u)", h->path,
			     st.st_uid);
		fail_hint(f, "as that user (sudo -u), or another --home DIR");
		return -1;
	}
	if ((st.st_mode & 022) != 0) {
		fail_error(f, GODWIT_E_PERMISSION, "home");
		fail_message(f, "others may write the home %.200s", h->path);
		fail_hint(f, "chmod 0700 %.200s", h->path);
		return -1;
	}
	return 0;
}

int home_open(struct home *h, const char *path, bool make, struct failure *f)
{
	*h = (struct home){ .path = path, .fd = -1, .lock_fd = -1 };
	if (make && make_directories(path) < 0)
		return fail_errno(f, errno, "cannot make the home %.200s", path);
	h->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (h->fd < 0 && !make && errno == ENOENT)
		return 0;
	if (h->fd < 0)
		return fail_errno(f, errno, "cannot open the home %.200s", path);
	if (check_owner(h, f) == 0)
		return 0;
	home_close(h);
	return -1;
}

void home_close(struct home *h)
{
	if (h->lock_fd >= 0)
		close(h->lock_fd);
	if (h->fd >= 0)
		close(h->fd);
	h->fd = h->lock_fd = -1;
}

static int explain_holder(const struct home *h, long holder, struct failure *f)
{
	fail_error(f, GODWIT_E_IN_USE, "home");
	if (holder > 0) {
		fail_message(f, "a node is running in %.200s already: process %ld", h->path,
			     holder);
		fail_hint(f, "another --home DIR, or: kill %ld", holder);
	} else { /* it has not yet written its number */
		fail_message(f, "a node is starting in %.200s", h->path);
		fail_hint(f, "the same again, or another --home DIR");
	}
	return -1;
}

int home_lock(struct home *h, struct failure *f)
{
	char text[24] = "";
	int error, n, fd = openat(h->fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0)
		return fail_errno(f, errno, "cannot lock the home %.200s", h->path);
	if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		error = errno;
		(void)!pread(fd, text, sizeof(text) - 1, 0);
		close(fd);
		return error == EWOULDBLOCK
			       ? explain_holder(h, atol(text), f)
			       : fail_errno(f, error, "cannot lock the home %.200s", h->path);
	}
	n = snprintf(text, sizeof(text), "%ld\n", (long)getpid());
	if (ftruncate(fd, 0) == 0)
		(void)!pwrite(fd, text, (size_t)n, 0);
	h->lock_fd = fd;
	return 0;
}

/* --- the control socket --- */

/* Through the directory's descriptor: a socket's path has 107 bytes at most, a home's has not. */
static void control_address(const struct home *h, struct sockaddr_un *un)
{
	memset(un, 0, sizeof(*un));
	un->sun_family = AF_UNIX;
	snprintf(un->sun_path, sizeof(un->sun_path), "/proc/self/fd/%d/control", h->fd);
}

bool home_peer_is_us(int fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 &&
	       (peer.uid == geteuid() || peer.uid == 0);
}

int home_connect(const struct home *h)
{
	struct sockaddr_un un;
	int fd;

	if (h->fd < 0)
		return -1;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -1;
	control_address(h, &un);
	if (connect(fd, (struct sockaddr *)&un, sizeof(un)) == 0 && home_peer_is_us(fd)) {
		fcntl(fd, F_SETFL, 0);
		return fd;
	}
	close(fd);
	return -1;
}

int home_listen(const struct home *h, struct failure *f)
{
	struct sockaddr_un un;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), rv;
	mode_t mask;

	if (fd < 0)
		return fail_errno(f, errno, "control socket");
	control_address(h, &un);
	unlinkat(h->fd, "control", 0); /* we hold the lock: it is a dead one's */
	mask = umask(0177);
	rv = bind(fd, (struct sockaddr *)&un, sizeof(un));
	umask(mask);
	if (rv != 0 || listen(fd, CONTROL_BACKLOG) != 0) {
		fail_errno(f, errno, "control socket in %.200s", h->path);
		close(fd);
		return -1;
	}
	return fd;
}

void home_unlisten(const struct home *h)
{
	unlinkat(h->fd, "control", 0);
}

/* --- identity --- */

static int explain_key(struct failure *f, int error, const char *what)
{
	struct stat st;

	switch (error) {
	case GW_E_PERMISSION:
		fail_error(f, error, "%s", what);
		if (stat(what, &st) != 0 || (st.st_mode & 077) == 0)
			return -1;
		fail_message(f, "%.300s can be read by others", what);
		fail_hint(f, "chmod 0600 %.300s", what);
		return -1;
	case GW_E_LENGTH:
		fail_error(f, error, "%s", what);
		fail_message(f, "%.300s: the key is truncated", what);
		break;
	case GW_E_TYPE:
		fail_error(f, error, "%s", what);
		fail_message(f, "%.300s: a key, but not Ed25519", what);
		break;
	case GW_E_FORMAT:
		fail_error(f, error, "%s", what);
		fail_message(f, "%.300s: no private key in PEM", what);
		break;
	case GW_E_NOT_FOUND:
		fail_error(f, error, "%s", what);
		break;
	default:
		return fail_errno(f, errno, "%s", what);
	}
	fail_hint(f, "openssl genpkey -algorithm ed25519 -out FILE; chmod 0600 FILE");
	return -1;
}

static int from_fd(struct identity *out, const char *number, struct failure *f)
{
	char pem[KEY_TEXT_MAX], *end;
	long fd = strtol(number, &end, 10);
	size_t len = 0;
	ssize_t n = 1;
	int rv;

	if (!*number || *end || fd < 0 || fd > INT_MAX)
		return fail_usage(f, "--identity fd:3 3<key.pem", "\"fd:%.60s\" is no descriptor",
				  number);
	while (n > 0 && len < sizeof(pem)) {
		n = read((int)fd, pem + len, sizeof(pem) - len);
		if (n > 0)
			len += (size_t)n;
	}
	rv = n < 0 ? -errno : identity_from_pem(out, pem, len);
	explicit_bzero(pem, sizeof(pem));
	if (n < 0)
		return fail_usage(f, "--identity fd:3 3<key.pem", "cannot read descriptor %ld: %s",
				  fd, strerror(-rv));
	if (fd > STDERR_FILENO)
		close((int)fd); /* nobody shall read it again through us */
	return rv < 0 ? explain_key(f, rv, "the key of --identity fd:") : 0;
}

/* Once: the key does not stay in the environment, which /proc shows. */
static int from_env(struct identity *out, const char *name, struct failure *f)
{
	char *pem = getenv(name);
	int rv;

	if (!pem)
		return fail_usage(f, "export it, or --identity file:PATH",
				  "there is no environment variable %.60s", name);
	rv = identity_from_pem(out, pem, strlen(pem));
	explicit_bzero(pem, strlen(pem));
	unsetenv(name);
	return rv < 0 ? explain_key(f, rv, name) : 0;
}

static int from_home(const struct home *h, struct identity *out, struct failure *f)
{
	char path[PATH_MAX + 32];
	int rv;

	snprintf(path, sizeof(path), "%s/identity.pem", h->path);
	rv = identity_load_or_create(out, path);
	if (rv == GW_E_PERMISSION && access(path, F_OK) != 0)
		return fail_errno(f, EACCES, "cannot make %.300s", path);
	return rv < 0 ? explain_key(f, rv, path) : 0;
}

int home_identity(const struct home *h, const struct settings *s, struct identity *out,
		  struct failure *f)
{
	const char *spec = setting_get(s, SETTING_IDENTITY);
	int rv;

	if (!spec)
		return from_home(h, out, f);
	if (strcmp(spec, "ephemeral") == 0) {
		identity_generate(out);
		return 0;
	}
	if (strncmp(spec, "env:", 4) == 0)
		return from_env(out, spec + 4, f);
	if (strncmp(spec, "fd:", 3) == 0)
		return from_fd(out, spec + 3, f);
	if (strncmp(spec, "file:", 5) == 0) {
		rv = identity_load(out, spec + 5);
		return rv < 0 ? explain_key(f, rv, spec + 5) : 0;
	}
	/* Not repeated in the message: it may be a key that was put there by mistake. */
	return fail_usage(f, "--identity file:PATH, env:NAME, fd:N or ephemeral",
			  "the identity is of no known kind (%s)", s->at[SETTING_IDENTITY].source);
}

/* --- destinations --- */

/* The WHO of a name, or NULL. */
static const char *look_up(const struct home *h, const char *name, char *line, size_t size)
{
	int fd = openat(h->fd, "names", O_RDONLY | O_CLOEXEC);
	FILE *file = fd < 0 ? NULL : fdopen(fd, "r");
	const char *who = NULL;

	if (!file) {
		if (fd >= 0)
			close(fd);
		return NULL;
	}
	while (!who && fgets(line, (int)size, file)) {
		char *save = NULL, *word = strtok_r(line, " \t\r\n", &save);

		if (word && *word != '#' && strcmp(word, name) == 0)
			who = strtok_r(NULL, " \t\r\n", &save);
	}
	fclose(file);
	return who;
}

static int explain_who(struct failure *f, int error, const char *who)
{
	fail_error(f, error, "\"%.60s%s\"", who, strlen(who) > 60 ? "..." : "");
	f->exit = EXIT_USAGE;
	fail_hint(f, "an address (godwit id), a ticket (godwit ticket) or a name of the home's "
		     "file `names`");
	if (error == GODWIT_E_INVALID && strchr(who, '/')) {
		fail_message(f, "\"%.80s\" is no name for a service", strchr(who, '/') + 1);
		fail_hint(f, "DEST/SERVICE, a service being 1 to 63 of a-z 0-9 . _ -");
	}
	return -1;
}

const char *home_expand(const struct home *h, const char *text, char *whole, size_t size)
{
	const char *slash = strchr(text, '/'), *who;
	size_t len = slash ? (size_t)(slash - text) : strlen(text);
	char line[2048], name[NAME_SIZE];

	if (len >= sizeof(name))
		return text;
	memcpy(name, text, len);
	name[len] = '\0';
	who = look_up(h, name, line, sizeof(line));
	if (!who)
		return text;
	/* A service in the text goes before that of the name. */
	snprintf(whole, size, "%.*s%s", (int)(slash ? strcspn(who, "/") : strlen(who)), who,
		 slash ? slash : "");
	return whole;
}

int home_destination(const struct home *h, const char *text, const char *service,
		     godwit_ticket *out, struct failure *f)
{
	char whole[GODWIT_TICKET_SIZE + GODWIT_SERVICE_SIZE];
	const char *known = home_expand(h, text, whole, sizeof(whole));
	godwit_ticket parsed;
	int rv;

	if (known == text && strcspn(text, "/") < NAME_SIZE)
		return fail_usage(f,
				  "an address (godwit id), a ticket (godwit ticket), NAME.NETWORK, "
				  "or add the name to the home's file `names`",
				  "there is no name \"%.*s\"", (int)strcspn(text, "/"), text);
	text = known;
	rv = godwit_destination_parse(text, &parsed);
	if (rv < 0)
		return explain_who(f, rv, text);
	if (service && !parsed.service[0])
		snprintf(parsed.service, sizeof(parsed.service), "%s", service);
	if (service && !parsed.service[0])
		return fail_usage(f, "DEST/SERVICE", "the destination names no service");
	*out = parsed;
	return 0;
}

/* --- kept services --- */

json_t *home_kept_load(const struct home *h, struct failure *f)
{
	json_error_t error;
	json_t *kept;
	int fd = openat(h->fd, "kept.json", O_RDONLY | O_CLOEXEC);

	if (fd < 0 && (h->fd < 0 || errno == ENOENT))
		return json_array();
	if (fd < 0) {
		fail_errno(f, errno, "cannot read %.200s/kept.json", h->path);
		return NULL;
	}
	kept = json_loadfd(fd, 0, &error);
	close(fd);
	if (json_is_array(kept))
		return kept;
	json_decref(kept);
	fail_usage(f, "", "%.200s/kept.json is damaged", h->path);
	fail_hint(f, "rm %.200s/kept.json, then godwit expose ... --keep again", h->path);
	return NULL;
}

int home_kept_save(const struct home *h, const json_t *kept, struct failure *f)
{
	int fd = openat(h->fd, "kept.json.new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	bool good = fd >= 0 && json_dumpfd(kept, fd, JSON_INDENT(2)) == 0 && fsync(fd) == 0;
	int error = errno;

	if (fd >= 0)
		close(fd);
	if (good && renameat(h->fd, "kept.json.new", h->fd, "kept.json") == 0)
		return 0;
	if (good)
		error = errno;
	unlinkat(h->fd, "kept.json.new", 0);
	return fail_errno(f, error, "cannot write %.200s/kept.json", h->path);
}
