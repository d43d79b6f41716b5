// SPDX-License-Identifier: Apache-2.0
#include "io/udp.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"

enum {
	SEGMENTS_MAX = 64,    /* UDP_MAX_SEGMENTS of every kernel that has UDP_SEGMENT */
	SEND_MAX = 65507,     /* UDP payload that fits in one IPv4 packet */
	ARENA = 512 * 1024,   /* receive buffers; the kernel touches only what it fills */
	GRO_BUFFER = 65536,   /* one coalesced batch each */
	PLAIN_BUFFER = 16384, /* one datagram each */
	SLOTS_MAX = ARENA / PLAIN_BUFFER,
	RECEIVE_QUEUE = 4 << 20,
	SEND_QUEUE = 2 << 20,
};

/* Room for one control message of each kind we use, as the kernel aligns them. */
union receive_control {
	struct cmsghdr align;
	uint8_t bytes[CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(int))];
};

union send_control {
	struct cmsghdr align;
	uint8_t bytes[CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(uint16_t))];
};

struct udp {
	int fd;
	bool v6; /* an AF_INET6 socket: IPv4 travels v4-mapped */
	struct addr bound;
	uint16_t path_port; /* what paths say: the first port bound */
	size_t resume;      /* bytes of the batch already sent when GW_E_AGAIN was returned */
	struct udp_stats stats;
	uint8_t *arena;
};

/* --- opening --- */

static bool set_int(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value)) == 0;
}

static void set_queue(int fd, int force, int plain, int size)
{
	if (!set_int(fd, SOL_SOCKET, force, size))
		set_int(fd, SOL_SOCKET, plain, size);
}

/* Segments must never be fragmented by the kernel, and its own idea of the path MTU (fed by
 * unauthenticated ICMP) must not refuse our probes: hence PROBE. */
static int set_options(struct udp *u, int fd)
{
	set_int(fd, SOL_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE);
	set_queue(fd, SO_RCVBUFFORCE, SO_RCVBUF, RECEIVE_QUEUE);
	set_queue(fd, SO_SNDBUFFORCE, SO_SNDBUF, SEND_QUEUE);
	if (!u->v6)
		return set_int(fd, SOL_IP, IP_PKTINFO, 1) ? 0 : GW_E_IO;
	set_int(fd, SOL_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_PROBE);
	if (!set_int(fd, SOL_IPV6, IPV6_V6ONLY, 0) || !set_int(fd, SOL_IPV6, IPV6_RECVPKTINFO, 1))
		return GW_E_IO;
	return 0;
}

static void probe_offload(struct udp *u, int fd)
{
	const char *off = getenv("GODWIT_NO_OFFLOAD");
	int size;
	socklen_t len = sizeof(size);

	u->stats.gro = u->stats.gso = false;
	if (off && strcmp(off, "1") == 0)
		return;
	u->stats.gro = set_int(fd, SOL_UDP, UDP_GRO, 1);
	u->stats.gso = getsockopt(fd, SOL_UDP, UDP_SEGMENT, &size, &len) == 0;
}

static int bind_error(void)
{
	switch (errno) {
	case EADDRINUSE:
		return GW_E_IN_USE;
	case EACCES:
	case EPERM:
		return GW_E_PERMISSION;
	case EADDRNOTAVAIL:
	case EAFNOSUPPORT:
	case EINVAL:
	case ENODEV:
		return GW_E_INVALID;
	default:
		return GW_E_IO;
	}
}

static int bind_to(struct udp *u, int fd, const struct addr *listen)
{
	struct sockaddr_storage ss = { 0 };
	socklen_t len;

	if (addr_is_unspecified(listen)) {
		if (u->v6) {
			struct sockaddr_in6 *sin6 = (struct sockaddr_in6 *)&ss;

			sin6->sin6_family = AF_INET6;
			sin6->sin6_port = htons(listen->port);
			len = sizeof(*sin6);
		} else {
			struct sockaddr_in *sin = (struct sockaddr_in *)&ss;

			sin->sin_family = AF_INET;
			sin->sin_port = htons(listen->port);
			len = sizeof(*sin);
		}
	} else {
		len = addr_to_sockaddr(listen, &ss, false);
	}
	return bind(fd, (struct sockaddr *)&ss, len) == 0 ? 0 : bind_error();
}

static int find_bound(struct udp *u, int fd)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	struct addr a;

	if (getsockname(fd, (struct sockaddr *)&ss, &len) != 0)
		return GW_E_IO;
	if (addr_from_sockaddr(&a, (struct sockaddr *)&ss, len) != 0)
		return GW_E_IO;
	if (u->v6 && addr_is_unspecified(&a))
		a = (struct addr){ .family = ADDR_NONE, .port = a.port };
	u->bound = a;
	return 0;
}

/* A configured and bound socket, or an error.  u->v6 says which family is wanted. */
static int make_socket(struct udp *u, const struct addr *listen)
{
	int fd = socket(u->v6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int error, saved;

	if (fd < 0)
		return errno == EAFNOSUPPORT ? GW_E_INVALID : GW_E_IO;
	error = set_options(u, fd);
	if (!error)
		error = bind_to(u, fd, listen);
	if (!error)
		error = find_bound(u, fd);
	if (error) {
		saved = errno;
		close(fd);
		errno = saved;
		return error;
	}
	probe_offload(u, fd);
	return fd;
}

static int open_any(struct udp *u, const struct addr *listen)
{
	int fd;

	u->v6 = listen->family != ADDR_V4;
	fd = make_socket(u, listen);
	/* No IPv6 in the kernel, or switched off: "every address" is then every v4 address. */
	if (fd == GW_E_INVALID && u->v6 && addr_is_unspecified(listen)) {
		u->v6 = false;
		fd = make_socket(u, listen);
	}
	return fd;
}

int udp_open(struct udp **out, const struct addr *listen)
{
	struct udp *u = calloc(1, sizeof(*u));
	int fd;

	if (!u)
		return GW_E_NOMEM;
	u->arena = malloc(ARENA);
	if (!u->arena) {
		free(u);
		return GW_E_NOMEM;
	}
	fd = open_any(u, listen);
	if (fd < 0) {
		free(u->arena);
		free(u);
		return fd;
	}
	u->fd = fd;
	u->path_port = u->bound.port;
	*out = u;
	return 0;
}

void udp_close(struct udp *u)
{
	if (!u)
		return;
	close(u->fd);
	free(u->arena);
	free(u);
}

int udp_fd(const struct udp *u)
{
	return u->fd;
}

struct addr udp_local(const struct udp *u)
{
	return u->bound;
}

int udp_rebind(struct udp *u)
{
	struct addr listen = u->bound;
	int fd, error = 0;

	listen.port = 0;
	fd = make_socket(u, &listen);
	if (fd < 0)
		return fd;
	if (dup3(fd, u->fd, O_CLOEXEC) < 0)
		error = GW_E_IO;
	close(fd);
	u->resume = 0;
	return error;
}

void udp_stats_get(const struct udp *u, struct udp_stats *out)
{
	*out = u->stats;
}

/* --- receiving --- */

static bool is_cmsg(const struct cmsghdr *c, int level, int type, size_t size)
{
	return c->cmsg_level == level && c->cmsg_type == type && c->cmsg_len >= CMSG_LEN(size);
}

static void take_v4_info(struct path *path, const struct cmsghdr *c)
{
	struct in_pktinfo info;

	memcpy(&info, CMSG_DATA(c), sizeof(info));
	path->local.family = ADDR_V4;
	memcpy(path->local.ip, &info.ipi_spec_dst, 4);
	path->ifindex = (uint32_t)info.ipi_ifindex;
}

static void take_v6_info(struct path *path, const struct cmsghdr *c)
{
	struct in6_pktinfo info;

	memcpy(&info, CMSG_DATA(c), sizeof(info));
	path->ifindex = (uint32_t)info.ipi6_ifindex;
	if (IN6_IS_ADDR_V4MAPPED(&info.ipi6_addr)) {
		path->local.family = ADDR_V4;
		memcpy(path->local.ip, &info.ipi6_addr.s6_addr[12], 4);
		return;
	}
	path->local.family = ADDR_V6;
	memcpy(path->local.ip, &info.ipi6_addr, 16);
	if (addr_is_link_local(&path->local))
		path->local.scope = path->ifindex;
}

/* Who sent it, to which of our addresses; *segment is set when datagrams were coalesced. */
static int read_path(const struct udp *u, struct msghdr *msg, struct path *path, size_t *segment)
{
	memset(path, 0, sizeof(*path));
	if (addr_from_sockaddr(&path->remote, msg->msg_name, msg->msg_namelen) != 0)
		return GW_E_FORMAT;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (is_cmsg(c, SOL_IP, IP_PKTINFO, sizeof(struct in_pktinfo))) {
			take_v4_info(path, c);
		} else if (is_cmsg(c, SOL_IPV6, IPV6_PKTINFO, sizeof(struct in6_pktinfo))) {
			take_v6_info(path, c);
		} else if (is_cmsg(c, SOL_UDP, UDP_GRO, sizeof(int))) {
			int size;

			memcpy(&size, CMSG_DATA(c), sizeof(size));
			if (size > 0)
				*segment = (size_t)size;
		}
	}
	if (path->local.family != ADDR_NONE)
		path->local.port = u->path_port;
	return 0;
}

struct each {
	udp_receive_fn *fn;
	void *user;
};

static void take_apart(void *user, const struct path *path, const uint8_t *data, size_t len,
		       size_t segment)
{
	const struct each *e = user;

	for (; len > segment; data += segment, len -= segment)
		e->fn(e->user, path, data, segment);
	e->fn(e->user, path, data, len);
}

/* Returns the number of datagrams. */
static int deliver(struct udp *u, struct mmsghdr *m, udp_batch_fn *fn, void *user)
{
	const uint8_t *data = m->msg_hdr.msg_iov[0].iov_base;
	size_t len = m->msg_len, segment = len;
	struct path path;
	int count;

	if (m->msg_hdr.msg_flags & MSG_TRUNC)
		return 0;
	if (len == 0 && fn != take_apart)
		return 0; /* no batch */
	if (read_path(u, &m->msg_hdr, &path, &segment) != 0)
		return 0;
	count = len ? (int)((len + segment - 1) / segment) : 1;
	fn(user, &path, data, len, segment);
	u->stats.recv_datagrams += (uint64_t)count;
	return count;
}

struct receive_slots {
	struct mmsghdr msgs[SLOTS_MAX];
	struct iovec iov[SLOTS_MAX];
	struct sockaddr_storage from[SLOTS_MAX];
	union receive_control control[SLOTS_MAX];
};

static unsigned prepare(struct udp *u, struct receive_slots *slots)
{
	size_t size = u->stats.gro ? GRO_BUFFER : PLAIN_BUFFER;
	unsigned count = (unsigned)(ARENA / size);

	for (unsigned i = 0; i < count; i++) {
		slots->iov[i] = (struct iovec){ u->arena + i * size, size };
		slots->msgs[i].msg_hdr = (struct msghdr){
			.msg_name = &slots->from[i],
			.msg_namelen = sizeof(slots->from[i]),
			.msg_iov = &slots->iov[i],
			.msg_iovlen = 1,
			.msg_control = &slots->control[i],
			.msg_controllen = sizeof(slots->control[i]),
		};
	}
	return count;
}

static int receive_batch(struct udp *u, struct receive_slots *slots, unsigned count)
{
	/* An error left on the socket by an earlier send comes once and hides nothing. */
	for (int tries = 0; tries < 4; tries++) {
		int n = recvmmsg(u->fd, slots->msgs, count, MSG_DONTWAIT, NULL);

		u->stats.recv_calls++;
		if (n >= 0)
			return n;
		if (errno == EAGAIN || errno == EWOULDBLOCK)
			return 0;
		if (errno == EBADF || errno == ENOTSOCK || errno == EFAULT)
			return GW_E_IO;
	}
	return 0;
}

int udp_receive_batches(struct udp *u, int max, udp_batch_fn *fn, void *user)
{
	struct receive_slots slots;
	int total = 0;

	for (int i = 0; i < max; i++) {
		unsigned count = prepare(u, &slots);
		int n = receive_batch(u, &slots, count);

		if (n < 0)
			return total > 0 ? total : n;
		for (int k = 0; k < n; k++)
			total += deliver(u, &slots.msgs[k], fn, user);
		if ((unsigned)n < count) /* the queue was empty a moment ago */
			break;
	}
	return total;
}

int udp_receive(struct udp *u, int max, udp_receive_fn *fn, void *user)
{
	struct each e = { fn, user };

	return udp_receive_batches(u, max, take_apart, &e);
}

/* --- sending --- */

static size_t put_cmsg(struct cmsghdr *c, int level, int type, const void *data, size_t len)
{
	c->cmsg_level = level;
	c->cmsg_type = type;
	c->cmsg_len = CMSG_LEN(len);
	memcpy(CMSG_DATA(c), data, len);
	return CMSG_SPACE(len);
}

static size_t put_v4_source(struct cmsghdr *c, const struct path *path)
{
	struct in_pktinfo info = { .ipi_ifindex = (int)path->ifindex };

	memcpy(&info.ipi_spec_dst, path->local.ip, 4);
	return put_cmsg(c, SOL_IP, IP_PKTINFO, &info, sizeof(info));
}

static size_t put_v6_source(struct cmsghdr *c, const struct path *path)
{
	struct in6_pktinfo info = { .ipi6_ifindex = path->ifindex };

	if (path->local.family == ADDR_V4) {
		info.ipi6_addr.s6_addr[10] = info.ipi6_addr.s6_addr[11] = 0xff;
		memcpy(&info.ipi6_addr.s6_addr[12], path->local.ip, 4);
	} else {
		memcpy(&info.ipi6_addr, path->local.ip, 16);
	}
	return put_cmsg(c, SOL_IPV6, IPV6_PKTINFO, &info, sizeof(info));
}

/* Pin the source address and interface, so that the kernel cannot choose another path than
 * the one the connection has validated. */
static size_t put_source(const struct udp *u, union send_control *control, const struct path *path)
{
	if (path->local.family == ADDR_NONE)
		return 0;
	return u->v6 ? put_v6_source(&control->align, path) : put_v4_source(&control->align, path);
}

static int send_error(struct udp *u)
{
	switch (errno) {
	case EAGAIN:
#if EWOULDBLOCK != EAGAIN
	case EWOULDBLOCK:
#endif
		return GW_E_AGAIN;
	case ENOBUFS:
	case ENOMEM:
		/* No memory for it just now: a lost packet, which says nothing about the path. */
		u->stats.send_errors++;
		return 0;
	case EMSGSIZE:
		u->stats.send_errors++;
		return GW_E_LENGTH;
	default:
		u->stats.send_errors++;
		return GW_E_UNREACHABLE;
	}
}

/* An error that another packet may have left on the socket: the next call does not see it. */
static bool may_be_stale(int error)
{
	return error == ECONNREFUSED || error == EHOSTUNREACH || error == ENETUNREACH ||
	       error == EPROTO || error == EINTR;
}

/* One sendmmsg of datagrams from `data`; returns the bytes sent or an error. */
static ssize_t send_some(struct udp *u, const struct msghdr *model, const uint8_t *data, size_t len,
			 size_t segment)
{
	struct mmsghdr msgs[SEGMENTS_MAX];
	struct iovec iov[SEGMENTS_MAX];
	unsigned count = 0;
	size_t queued = 0, sent = 0;
	int n;

	while (queued < len && count < SEGMENTS_MAX) {
		size_t size = len - queued < segment ? len - queued : segment;

		iov[count] = (struct iovec){ (void *)(uintptr_t)(data + queued), size };
		msgs[count] = (struct mmsghdr){ .msg_hdr = *model };
		msgs[count].msg_hdr.msg_iov = &iov[count];
		msgs[count].msg_hdr.msg_iovlen = 1;
		queued += size;
		count++;
	}
	n = sendmmsg(u->fd, msgs, count, MSG_DONTWAIT | MSG_NOSIGNAL);
	u->stats.send_calls++;
	if (n < 0 && may_be_stale(errno)) {
		n = sendmmsg(u->fd, msgs, count, MSG_DONTWAIT | MSG_NOSIGNAL);
		u->stats.send_calls++;
	}
	if (n < 0) {
		int error = send_error(u);

		return error ? error : (ssize_t)queued;
	}
	for (unsigned i = 0; i < count && i < (unsigned)n; i++)
		sent += iov[i].iov_len;
	u->stats.send_datagrams += (uint64_t)n;
	return (ssize_t)sent;
}

static int send_plain(struct udp *u, const struct msghdr *model, const uint8_t *data, size_t len,
		      size_t segment)
{
	while (u->resume < len) {
		ssize_t n = send_some(u, model, data + u->resume, len - u->resume, segment);

		if (n < 0)
			return (int)n;
		u->resume += (size_t)n;
	}
	return 0;
}

/* One super-datagram; *refused when the kernel or the device cannot do it. */
static int send_gso(struct udp *u, const struct msghdr *model, const uint8_t *data, size_t len,
		    size_t segment, bool *refused)
{
	struct iovec iov = { (void *)(uintptr_t)data, len };
	struct msghdr msg = *model;
	ssize_t n;

	msg.msg_iov = &iov;
	msg.msg_iovlen = 1;
	for (int tries = 0; tries < 2; tries++) {
		n = sendmsg(u->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
		u->stats.send_calls++;
		if (n >= 0 || !may_be_stale(errno))
			break;
	}
	if (n < 0) {
		*refused = errno == EIO || errno == EINVAL || errno == EOPNOTSUPP;
		return *refused ? 0 : send_error(u);
	}
	u->stats.send_datagrams += (len + segment - 1) / segment;
	return 0;
}

/* GSO in pieces of at most 64 segments and one IP packet. */
static int send_segmented(struct udp *u, const struct msghdr *model, union send_control *control,
			  const uint8_t *data, size_t len, size_t segment)
{
	size_t piece = SEND_MAX / segment < SEGMENTS_MAX ? SEND_MAX / segment : SEGMENTS_MAX;
	struct msghdr msg = *model;
	uint16_t size = (uint16_t)segment;
	bool refused = false;
	int error = 0;

	piece *= segment;
	msg.msg_control = control;
	msg.msg_controllen =
		model->msg_controllen +
		put_cmsg((struct cmsghdr *)(void *)(control->bytes + model->msg_controllen),
			 SOL_UDP, UDP_SEGMENT, &size, sizeof(size));
	while (u->resume < len && !error) {
		size_t n = len - u->resume < piece ? len - u->resume : piece;

		error = send_gso(u, &msg, data + u->resume, n, segment, &refused);
		if (refused)
			break;
		if (!error)
			u->resume += n;
	}
	if (!refused)
		return error;
	/* A kernel says EINVAL also when a segment exceeds the device's MTU: only a batch that
	 * passes without GSO proves that GSO was at fault. */
	error = send_plain(u, model, data, len, segment);
	if (!error)
		u->stats.gso = false;
	return error;
}

static int send_empty(struct udp *u, const struct msghdr *model)
{
	for (int tries = 0; tries < 2; tries++) {
		ssize_t n = sendmsg(u->fd, model, MSG_DONTWAIT | MSG_NOSIGNAL);

		u->stats.send_calls++;
		if (n >= 0) {
			u->stats.send_datagrams++;
			return 0;
		}
		if (!may_be_stale(errno))
			break;
	}
	return send_error(u);
}

static bool can_travel(const struct udp *u, const struct path *path)
{
	uint8_t local = path->local.family, remote = path->remote.family;

	return remote != ADDR_NONE && (u->v6 || remote == ADDR_V4) &&
	       (local == ADDR_NONE || local == remote);
}

int udp_send(struct udp *u, const struct path *path, const uint8_t *data, size_t len,
	     size_t segment)
{
	struct sockaddr_storage to;
	union send_control control = { 0 };
	struct msghdr model = { .msg_name = &to };
	int error;

	if ((segment == 0 && len > 0) || !can_travel(u, path))
		return GW_E_UNREACHABLE;
	model.msg_namelen = addr_to_sockaddr(&path->remote, &to, u->v6);
	model.msg_controllen = put_source(u, &control, path);
	if (model.msg_controllen > 0)
		model.msg_control = &control;
	if (u->resume >= len)
		u->resume = 0;
	if (len == 0)
		return send_empty(u, &model);
	if (u->stats.gso && len > segment && segment <= SEND_MAX)
		error = send_segmented(u, &model, &control, data, len, segment);
	else
		error = send_plain(u, &model, data, len, segment);
	if (error != GW_E_AGAIN)
		u->resume = 0;
	return error;
}

void udp_forget(struct udp *u)
{
	u->resume = 0;
}
