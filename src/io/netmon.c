// SPDX-License-Identifier: Apache-2.0
/* rtnetlink(7).  One socket listens for changes; each list of addresses is a fresh dump on a
 * socket of its own, so that answers and news never mix. */
#include "io/netmon.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"

enum { MESSAGE_MAX = 32768, CANDIDATES_MAX = 4 * NETMON_ADDRS_MAX };

struct netmon {
	int fd;
	size_t count; /* what netmon_addresses() last found: repeated news of these is none */
	struct local_addr known[NETMON_ADDRS_MAX];
};

/* An address seen in a dump; usable when its interface turns out to be up. */
struct candidate {
	struct local_addr local;
	bool up;
};

struct candidates {
	size_t count;
	struct candidate items[CANDIDATES_MAX];
};

typedef void message_fn(void *user, const struct nlmsghdr *h);

/* --- messages: every length is checked before it is believed --- */

/* The fixed part of a message, NULL when it is shorter than `size`. */
static const void *payload(const struct nlmsghdr *h, size_t size)
{
	return h->nlmsg_len >= NLMSG_HDRLEN + NLMSG_ALIGN(size) ? NLMSG_DATA(h) : NULL;
}

/* The attributes after a fixed part of `size` bytes: for each, fn(user, type, data, len). */
typedef void attribute_fn(void *user, unsigned type, const uint8_t *data, size_t len);

static void each_attribute(const struct nlmsghdr *h, size_t size, attribute_fn *fn, void *user)
{
	size_t offset = NLMSG_HDRLEN + NLMSG_ALIGN(size);

	while (h->nlmsg_len >= offset + sizeof(struct rtattr)) {
		struct rtattr a;

		memcpy(&a, (const uint8_t *)h + offset, sizeof(a));
		if (a.rta_len < sizeof(a) || a.rta_len > h->nlmsg_len - offset)
			return;
		fn(user, a.rta_type & (unsigned)NLA_TYPE_MASK,
		   (const uint8_t *)h + offset + sizeof(a), a.rta_len - sizeof(a));
		offset += RTA_ALIGN(a.rta_len);
	}
}

enum parsed { MORE, DONE, FAILED };

static enum parsed each_message(const uint8_t *data, size_t len, message_fn *fn, void *user)
{
	while (len >= NLMSG_HDRLEN) {
		const struct nlmsghdr *h = (const void *)data;
		size_t step;

		if (h->nlmsg_len < NLMSG_HDRLEN || h->nlmsg_len > len)
			return FAILED;
		if (h->nlmsg_type == NLMSG_DONE)
			return DONE;
		if (h->nlmsg_type == NLMSG_ERROR)
			return FAILED;
		fn(user, h);
		step = NLMSG_ALIGN(h->nlmsg_len);
		if (step > len)
			break;
		data += step;
		len -= step;
	}
	return MORE;
}

/* --- addresses --- */

struct address_fields {
	uint8_t family;
	uint32_t flags;
	struct addr address, local; /* IFA_ADDRESS is the far end on a point-to-point link */
};

static void read_ip(struct addr *out, uint8_t family, const uint8_t *data, size_t len)
{
	size_t size = family == AF_INET ? 4 : 16;

	if (len != size)
		return;
	memset(out, 0, sizeof(*out));
	out->family = family == AF_INET ? ADDR_V4 : ADDR_V6;
	memcpy(out->ip, data, size);
}

static void address_attribute(void *user, unsigned type, const uint8_t *data, size_t len)
{
	struct address_fields *f = user;

	if (type == IFA_LOCAL)
		read_ip(&f->local, f->family, data, len);
	else if (type == IFA_ADDRESS)
		read_ip(&f->address, f->family, data, len);
	else if (type == IFA_FLAGS && len == sizeof(f->flags))
		memcpy(&f->flags, data, len);
}

/* False when the message is none of an address that can be used. */
static bool read_address(struct local_addr *out, const struct nlmsghdr *h)
{
	const struct ifaddrmsg *m = payload(h, sizeof(*m));
	struct address_fields f = { 0 };
	const struct addr *a;

	if (!m || (m->ifa_family != AF_INET && m->ifa_family != AF_INET6))
		return false;
	f.family = m->ifa_family;
	f.flags = m->ifa_flags;
	each_attribute(h, sizeof(*m), address_attribute, &f);
	a = f.local.family != ADDR_NONE ? &f.local : &f.address;
	if (a->family == ADDR_NONE || (a->family == ADDR_V6 && addr_is_link_local(a)))
		return false;
	if (f.flags & (IFA_F_DADFAILED | IFA_F_TENTATIVE) && !(f.flags & IFA_F_OPTIMISTIC))
		return false;
	if ((f.flags & IFA_F_DEPRECATED) && (f.flags & IFA_F_TEMPORARY))
		return false;
	*out = (struct local_addr){
		.addr = *a,
		.ifindex = m->ifa_index,
		.loopback = addr_is_loopback(a),
	};
	return true;
}

static void on_address(void *user, const struct nlmsghdr *h)
{
	struct candidates *c = user;
	struct candidate *slot = &c->items[c->count];

	if (h->nlmsg_type != RTM_NEWADDR || c->count == CANDIDATES_MAX)
		return;
	if (!read_address(&slot->local, h))
		return;
	slot->up = false;
	c->count++;
}

static void mtu_attribute(void *user, unsigned type, const uint8_t *data, size_t len)
{
	if (type == IFLA_MTU && len == sizeof(uint32_t))
		memcpy(user, data, len);
}

static void on_link(void *user, const struct nlmsghdr *h)
{
	const unsigned needed = IFF_UP | IFF_RUNNING;
	const struct ifinfomsg *m = payload(h, sizeof(*m));
	struct candidates *c = user;
	uint32_t mtu = 0;

	if (h->nlmsg_type != RTM_NEWLINK || !m || (m->ifi_flags & needed) != needed)
		return;
	each_attribute(h, sizeof(*m), mtu_attribute, &mtu);
	for (size_t i = 0; i < c->count; i++) {
		struct candidate *item = &c->items[i];

		if (item->local.ifindex != (uint32_t)m->ifi_index)
			continue;
		item->up = true;
		item->local.mtu = mtu;
		item->local.loopback |= (m->ifi_flags & IFF_LOOPBACK) != 0;
	}
}

/* --- dumps --- */

/* A message from another process cannot pass for one of the kernel's. */
static ssize_t receive(int fd, uint8_t *buffer, int flags)
{
	struct sockaddr_nl from = { 0 };
	socklen_t len = sizeof(from);
	ssize_t n;

	do {
		len = sizeof(from);
		n = recvfrom(fd, buffer, MESSAGE_MAX, flags, (struct sockaddr *)&from, &len);
	} while ((n < 0 && errno == EINTR) || (n >= 0 && from.nl_pid != 0));
	return n;
}

static int dump(int fd, uint16_t type, message_fn *fn, void *user)
{
	struct {
		struct nlmsghdr h;
		struct ifinfomsg body; /* begins with the family, as every rtnetlink request */
	} request = {
		.h = { .nlmsg_len = sizeof(request),
		       .nlmsg_type = type,
		       .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
	};
	_Alignas(struct nlmsghdr) uint8_t buffer[MESSAGE_MAX];

	if (type == RTM_GETADDR)
		request.h.nlmsg_len = NLMSG_LENGTH(sizeof(struct ifaddrmsg));
	if (send(fd, &request, request.h.nlmsg_len, 0) < 0)
		return GW_E_IO;
	for (;;) {
		ssize_t n = receive(fd, buffer, 0);
		enum parsed parsed;

		if (n <= 0)
			return GW_E_IO;
		parsed = each_message(buffer, (size_t)n, fn, user);
		if (parsed != MORE)
			return parsed == DONE ? 0 : GW_E_IO;
	}
}

static int dump_all(struct candidates *c)
{
	struct timeval patience = { .tv_sec = 1 }; /* the kernel answers at once or never */
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	int error;

	if (fd < 0)
		return GW_E_IO;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	error = dump(fd, RTM_GETADDR, on_address, c);
	if (!error)
		error = dump(fd, RTM_GETLINK, on_link, c);
	close(fd);
	return error;
}

size_t netmon_addresses(struct netmon *m, struct local_addr *out, size_t max)
{
	struct candidates c;
	size_t count = 0;

	/* A dump may fail because things change under it: once more, then keep what we know. */
	for (int tries = 0;; tries++) {
		c.count = 0;
		if (dump_all(&c) == 0)
			break;
		if (tries == 2) {
			count = m->count < max ? m->count : max;
			memcpy(out, m->known, count * sizeof(*out));
			return count;
		}
	}
	for (size_t i = 0; i < c.count && count < max && count < NETMON_ADDRS_MAX; i++)
		if (c.items[i].up)
			out[count++] = c.items[i].local;
	m->count = count;
	memcpy(m->known, out, count * sizeof(*out));
	return count;
}

/* --- news --- */

static bool is_known(const struct netmon *m, const struct local_addr *a)
{
	for (size_t i = 0; i < m->count; i++)
		if (m->known[i].ifindex == a->ifindex && addr_equal(&m->known[i].addr, &a->addr))
			return true;
	return false;
}

static void wireless_attribute(void *user, unsigned type, const uint8_t *data, size_t len)
{
	(void)data;
	(void)len;
	if (type == IFLA_WIRELESS)
		*(bool *)user = true;
}

/* Scanning for wireless networks sends a link message every few seconds. */
static bool link_matters(const struct nlmsghdr *h)
{
	bool wireless = false;

	each_attribute(h, sizeof(struct ifinfomsg), wireless_attribute, &wireless);
	return !wireless;
}

static bool route_matters(const struct nlmsghdr *h)
{
	const struct rtmsg *r = payload(h, sizeof(*r));

	return r && !(r->rtm_flags & RTM_F_CLONED) && r->rtm_type != RTN_MULTICAST;
}

/* Router advertisements repeat each address every few minutes. */
static bool address_matters(const struct netmon *m, const struct nlmsghdr *h)
{
	struct local_addr a;

	return read_address(&a, h) && !is_known(m, &a);
}

struct news {
	const struct netmon *m;
	bool changed;
};

static void on_news(void *user, const struct nlmsghdr *h)
{
	struct news *news = user;

	switch (h->nlmsg_type) {
	case RTM_NEWLINK:
		news->changed |= link_matters(h);
		break;
	case RTM_NEWADDR:
		news->changed |= address_matters(news->m, h);
		break;
	case RTM_NEWROUTE:
	case RTM_DELROUTE:
		news->changed |= route_matters(h);
		break;
	case RTM_DELLINK:
	case RTM_DELADDR:
		news->changed = true;
		break;
	}
}

bool netmon_changed(struct netmon *m)
{
	_Alignas(struct nlmsghdr) uint8_t buffer[MESSAGE_MAX];
	struct news news = { .m = m };

	for (;;) {
		ssize_t n = receive(m->fd, buffer, MSG_DONTWAIT);

		if (n > 0)
			each_message(buffer, (size_t)n, on_news, &news);
		else if (n < 0 && errno == ENOBUFS) /* some news were lost */
			news.changed = true;
		else
			return news.changed;
	}
}

/* --- opening --- */

int netmon_open(struct netmon **out)
{
	struct sockaddr_nl local = {
		.nl_family = AF_NETLINK,
		.nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR |
			     RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE,
	};
	struct netmon *m = calloc(1, sizeof(*m));

	if (!m)
		return GW_E_NOMEM;
	m->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
	if (m->fd < 0 || bind(m->fd, (struct sockaddr *)&local, sizeof(local)) != 0) {
		netmon_close(m);
		return GW_E_IO;
	}
	*out = m;
	return 0;
}

void netmon_close(struct netmon *m)
{
	if (!m)
		return;
	if (m->fd >= 0)
		close(m->fd);
	free(m);
}

int netmon_fd(const struct netmon *m)
{
	return m->fd;
}
