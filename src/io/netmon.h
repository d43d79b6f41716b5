/* io/netmon.h - this host's addresses, and word of any change (rtnetlink). */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_IO_NETMON_H
#define GODWIT_IO_NETMON_H

#include <stdbool.h>
#include <stddef.h>

#include "base/addr.h"

enum { NETMON_ADDRS_MAX = 64 };

struct netmon;

int netmon_open(struct netmon **out); /* GW_E_IO: no netlink here */
void netmon_close(struct netmon *m);
int netmon_fd(const struct netmon *m);
/* Drain the socket; true when an address, route or link changed. */
bool netmon_changed(struct netmon *m);
/* Usable addresses of interfaces that are up, loopback included (`loopback` set); tentative,
 * deprecated-and-temporary duplicates and v6 link-local ones left out.  Returns the count. */
size_t netmon_addresses(struct netmon *m, struct local_addr *out, size_t max);

#endif
