/* cli/home.h - the home directory of a node: identity, names, kept services, lock, control socket. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_CLI_HOME_H
#define GODWIT_CLI_HOME_H

#include <sys/types.h>

#include "cli/settings.h"
#include "crypto/identity.h"
#include "godwit/godwit.h"

struct home {
	const char *path;
	int fd;      /* of the directory; -1: closed */
	int lock_fd; /* -1: not locked */
};

/* `make`: 0700 when missing; else a missing home is open, and empty.  Refused when it is another
 * user's or others may write it. */
int home_open(struct home *h, const char *path, bool make, struct failure *f);
/* Releases the lock. */
void home_close(struct home *h);

/* One node in a home.  The failure's code is "in-use" when another process has it. */
int home_lock(struct home *h, struct failure *f);

/* The other end of a Unix socket is a process of this user, or root's. */
bool home_peer_is_us(int fd);

/* The control socket.  -1: nobody listens, or the node does not take us now. */
int home_connect(const struct home *h);
int home_listen(const struct home *h, struct failure *f);
void home_unlisten(const struct home *h);

/* The key of the settings: made on first use in the home, never elsewhere.  Wipe it. */
int home_identity(const struct home *h, const struct settings *s, struct identity *out,
		  struct failure *f);

/* A name of the file `names` in the home (lines "NAME WHO", # comments) is replaced by what stands there; else it
 * is `text` itself. */
const char *home_expand(const struct home *h, const char *text, char *whole, size_t size);
/* WHO[/SERVICE], WHO being an address, a ticket or such a name.  A service is needed unless `service` is
 * NULL; it is the default when the text names none and may be "". */
int home_destination(const struct home *h, const char *text, const char *service,
		     godwit_ticket *out, struct failure *f);

/* Services that outlive their command: an array of objects {"name","target","allow":[]}.  Never
 * NULL but when out of memory; a broken file is a failure. */
json_t *home_kept_load(const struct home *h, struct failure *f);
int home_kept_save(const struct home *h, const json_t *kept, struct failure *f);

#endif
