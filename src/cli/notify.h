/* cli/notify.h - what the service manager is told (sd_notify(3)). */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_CLI_NOTIFY_H
#define GODWIT_CLI_NOTIFY_H

/* "READY=1", "STOPPING=1".  Nothing happens when no service manager asked for it. */
void notify(const char *state);

#endif
