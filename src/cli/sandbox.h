/* cli/sandbox.h - what a process can do without once it has started: other programs, more rights, core
 * dumps, and system calls that it never makes.  Spec: docs/threat-model.md, "Sandbox". */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_CLI_SANDBOX_H
#define GODWIT_CLI_SANDBOX_H

#include "cli/settings.h"

enum sandbox { SANDBOX_OFF, SANDBOX_ON, SANDBOX_UNAVAILABLE };

/* "off", "on", "unavailable" */
const char *sandbox_name(enum sandbox s);

/* For good.  For the one thread that there is, and all that it starts.  Ports below 1024 and all else
 * that takes a capability have to be had before.  Unavailable: errno says why, and what can be had
 * without seccomp is on. */
enum sandbox sandbox_enter(void);

/* As the settings say.  `resident`: tell people when it is unavailable. */
enum sandbox sandbox_start(const struct settings *s, bool resident);

#endif
