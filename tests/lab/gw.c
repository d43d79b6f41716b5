/* gw.c - the userspace data plane of natlab.  Two programs in one file:
 *
 *   gw nat  CTL LANIF LANIP/LEN WANIF WANIP/LEN NEXTHOP [key=value ...]
 *       an IPv4 NAT router between two interfaces, behaving exactly as told
 *       in the vocabulary of RFC 4787 / RFC 5780.
 *   gw wire CTL IFA IFB [key=value ...]
 *       a transparent two-port ethernet cable with impairments.
 *   gw plain IF...
 *       turns checksum/segmentation offloads of the interfaces off.
 *
 * Both sit on AF_PACKET sockets, so they need neither /dev/net/tun nor real
 * root: CAP_NET_RAW inside a user namespace is enough.  The kernel has no IPv4
 * address in the NAT's namespace, hence it stays out of the way; the program
 * answers ARP and ping itself.  IPv6 is left to the kernel (nft firewall).
 *
 * CTL is a unix datagram socket; text commands: "set k=v ...", "flush",
 * "stats", "dump", "quit".  Build: cc -O2 -o gw gw.c  (little-endian machines)
 */
/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/if_packet.h>
#include <linux/sockios.h>
#include <linux/virtio_net.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;

#define VH sizeof(struct virtio_net_hdr)
#define BATCH 64
#define BUFSZ (VH + 14 + 65536 + 64)

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static u64 now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (u64)t.tv_sec * 1000000000ull + t.tv_nsec;
}

static u64 rng_s = 88172645463325252ull; /* xorshift64* */
static u64 rng(void)
{
	rng_s ^= rng_s >> 12;
	rng_s ^= rng_s << 25;
	rng_s ^= rng_s >> 27;
	return rng_s * 2685821657736338717ull;
}
static double frand(void)
{
	return (rng() >> 11) / 9007199254740992.0;
}
static int chance(double percent)
{
	return percent > 0 && frand() * 100 < percent;
}

/* ------------------------------------------------------------ ports ---- */

struct port {
	int fd, vnet;
	u8 mac[6];
	struct mmsghdr rx[BATCH], tx[BATCH];
	struct iovec rxv[BATCH], txv[BATCH];
	u8 *rxbuf;
	int ntx;
	u64 rxp, txp, txdrop;
};

static struct port P[2]; /* nat: 0 = lan, 1 = wan.  wire: 0 = a, 1 = b. */

static void port_open(struct port *p, const char *ifname, int vnet)
{
	struct ifreq ifr = { 0 };
	int one = 1, big = 16 << 20, i;
	p->fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, 0);
	if (p->fd < 0)
		die("AF_PACKET");
	snprintf(ifr.ifr_name, IFNAMSIZ, "%s", ifname);
	if (ioctl(p->fd, SIOCGIFHWADDR, &ifr) < 0)
		die(ifname);
	memcpy(p->mac, ifr.ifr_hwaddr.sa_data, 6);
	if (setsockopt(p->fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof one) < 0)
		die("IGNORE_OUTGOING");
	if (vnet && setsockopt(p->fd, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof one) < 0)
		die("VNET_HDR");
	if (setsockopt(p->fd, SOL_SOCKET, SO_RCVBUFFORCE, &big, sizeof big) < 0)
		setsockopt(p->fd, SOL_SOCKET, SO_RCVBUF, &big,
			   sizeof big); /* unprivileged: capped by rmem_max */
	if (setsockopt(p->fd, SOL_SOCKET, SO_SNDBUFFORCE, &big, sizeof big) < 0)
		setsockopt(p->fd, SOL_SOCKET, SO_SNDBUF, &big, sizeof big);
	/* With a bypass the kernel drops what it would have to segment, where the interface does not. */
	if (!vnet)
		setsockopt(p->fd, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof one);
	struct sockaddr_ll a = { .sll_family = AF_PACKET,
				 .sll_protocol = htons(ETH_P_ALL),
				 .sll_ifindex = if_nametoindex(ifname) };
	if (bind(p->fd, (void *)&a, sizeof a) < 0)
		die("bind");
	p->vnet = vnet;
	p->rxbuf = malloc((size_t)BATCH * BUFSZ);
	for (i = 0; i < BATCH; i++) {
		p->rxv[i].iov_base = p->rxbuf + (size_t)i * BUFSZ;
		p->rxv[i].iov_len = BUFSZ;
		p->rx[i].msg_hdr.msg_iov = &p->rxv[i];
		p->rx[i].msg_hdr.msg_iovlen = 1;
		p->tx[i].msg_hdr.msg_iov = &p->txv[i];
		p->tx[i].msg_hdr.msg_iovlen = 1;
	}
}

static void port_flush(struct port *p)
{
	int off = 0, tries = 0;
	while (off < p->ntx) {
		int n = sendmmsg(p->fd, p->tx + off, p->ntx - off, 0);
		if (n > 0) {
			off += n;
			p->txp += n;
			continue;
		}
		if (errno == EINTR)
			continue;
		if ((errno == EAGAIN || errno == ENOBUFS) && tries++ < 50) {
			struct pollfd pf = { p->fd, POLLOUT, 0 };
			poll(&pf, 1, 1);
			continue;
		}
		off++; /* the link is down, or hopeless: this packet is lost */
		p->txdrop++;
	}
	p->ntx = 0;
}

/* Queue a frame; buf must stay valid until port_flush. */
static void port_send(struct port *p, void *buf, int len)
{
	if (p->ntx == BATCH)
		port_flush(p);
	p->txv[p->ntx].iov_base = buf;
	p->txv[p->ntx].iov_len = len;
	p->ntx++;
}

/* ---------------------------------------------------------- control ---- */

static int ctl_fd;
static char out[60000];
static int outlen;
static void say(const char *f, ...)
{
	va_list a;
	va_start(a, f);
	if (outlen < (int)sizeof out - 200)
		outlen += vsnprintf(out + outlen, 200, f, a);
	va_end(a);
}

static void ctl_open(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	snprintf(a.sun_path, sizeof a.sun_path, "%s", path);
	unlink(path);
	ctl_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	if (bind(ctl_fd, (void *)&a, sizeof a) < 0)
		die(path);
}

/* Runs one text command; key=value words go to set(). */
static void ctl_serve(int (*set)(const char *k, const char *v), void (*cmd)(const char *))
{
	char buf[4096], *w, *save;
	struct sockaddr_un from;
	socklen_t fl = sizeof from;
	int n = recvfrom(ctl_fd, buf, sizeof buf - 1, 0, (void *)&from, &fl);
	if (n < 0)
		return;
	buf[n] = 0;
	outlen = 0;
	for (w = strtok_r(buf, " \n", &save); w; w = strtok_r(NULL, " \n", &save)) {
		char *eq = strchr(w, '=');
		if (eq) {
			*eq = 0;
			if (set(w, eq + 1) < 0)
				say("error: bad setting %s=%s\n", w, eq + 1);
		} else if (!strcmp(w, "quit"))
			exit(0);
		else if (strcmp(w, "set"))
			cmd(w);
	}
	if (!outlen)
		say("ok\n");
	sendto(ctl_fd, out, outlen, 0, (void *)&from, fl);
}

#include "wire.h"
#include "nat.h"

/* ------------------------------------------------------------- main ---- */

static void plain(const char *ifname)
{
	u32 cmds[] = { ETHTOOL_STXCSUM, ETHTOOL_STSO, ETHTOOL_SGSO, ETHTOOL_SGRO };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	for (int i = 0; i < 4; i++) {
		struct ethtool_value v = { cmds[i], 0 };
		struct ifreq r = { 0 };
		snprintf(r.ifr_name, IFNAMSIZ, "%s", ifname);
		r.ifr_data = (void *)&v;
		if (ioctl(fd, SIOCETHTOOL, &r) < 0 && cmds[i] != ETHTOOL_STSO)
			die(ifname);
	}
	close(fd);
}

int main(int argc, char **argv)
{
	rng_s ^= now_ns() * 0x9E3779B97F4A7C15ull ^ (u64)getpid() << 32;
	now = now_ns();
	prctl(PR_SET_TIMERSLACK, 1UL);
	signal(SIGPIPE, SIG_IGN);
	if (argc > 1 && !strcmp(argv[1], "nat"))
		nat_main(argc, argv);
	if (argc > 1 && !strcmp(argv[1], "wire"))
		wire_main(argc, argv);
	for (int i = 2; i < argc && !strcmp(argv[1], "plain"); i++)
		plain(argv[i]);
	return argc > 2 ? 0 : 2;
}
