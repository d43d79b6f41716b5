/* nat.h - `gw nat`: an IPv4 NAT router, RFC 4787 by the letter.  Included by gw.c. */
/* SPDX-License-Identifier: Apache-2.0 */
/* -------------------------------------------------------------- nat ---- */

enum { EI, AD, APD }; /* endpoint-independent, address-dependent, address-and-port-dependent */
enum { PRESERVE, SEQ, RANDOM };
static int n_map = EI, n_filt = APD, n_alloc = PRESERVE, n_hairpin = 1, n_in_refresh = 1, n_pmp = 0,
	   n_tcpto = 7440, n_mtu = 1500;
static double n_timeout = 120;
static u32 lan_ip, lan_mask, wan_ip, wan_mask, nexthop; /* network order */
static u64 now, st_filtered, st_nomap, st_created;

struct map {
	struct map *next;
	u32 id, iip, rip; /* rip/rport are 0 where the mapping does not depend on them */
	u16 iport, eport, rport;
	u8 proto, forever; /* forever: made by NAT-PMP, lives for `life` whatever the traffic */
	u64 last, life;
};
struct filt { /* "mapping id has sent to ip:port" */
	struct filt *next;
	u32 id, ip;
	u16 port;
	u64 last;
};
#define HB 16384
static struct map *fwd[HB], *rev[3][65536];
static struct filt *flt[HB];
static u32 map_id;

static u32 hash(u32 a, u32 b, u32 c, u32 d)
{
	u64 h = a * 0x9E3779B97F4A7C15ull ^ b * 0xC2B2AE3D27D4EB4Full ^ c * 0x165667B19E3779F9ull ^
		d * 0x27D4EB2F165667C5ull;
	h ^= h >> 29;
	h *= 0xBF58476D1CE4E5B9ull;
	return (h >> 40) % HB;
}
static int pidx(u8 proto)
{
	return proto == 17 ? 0 : proto == 6 ? 1 : 2;
}
static u64 lifetime(u8 proto)
{
	return (u64)((proto == 6 ? n_tcpto : proto == 1 ? 60 : n_timeout) * 1e9);
}
static int dead(struct map *m)
{
	return now - m->last > (m->forever ? m->life : lifetime(m->proto));
}

static void map_free(struct map *m)
{
	struct map **q = &fwd[hash(m->iip, m->iport << 8 | m->proto, m->rip, m->rport)];
	while (*q && *q != m)
		q = &(*q)->next;
	if (*q)
		*q = m->next;
	if (rev[pidx(m->proto)][m->eport] == m)
		rev[pidx(m->proto)][m->eport] = NULL;
	free(m);
}

static struct map *map_find(u8 proto, u32 iip, u16 iport, u32 rip, u16 rport, int create)
{
	if (n_map == EI)
		rip = 0;
	if (n_map != APD)
		rport = 0;
	u32 h = hash(iip, iport << 8 | proto, rip, rport);
	struct map *m, **r = rev[pidx(proto)];
	for (m = fwd[h]; m; m = m->next)
		if (m->iip == iip && m->iport == iport && m->proto == proto && m->rip == rip &&
		    m->rport == rport)
			break;
	if (m && dead(m))
		map_free(m), m = NULL;
	if (m || !create)
		return m;
	static u32 seq;
	if (!seq)
		seq = 20000 + rng() % 20000;
	u32 p = ntohs(iport), tries;
	for (tries = 0; tries < 65536; tries++) {
		if (n_alloc == SEQ)
			p = seq, seq = seq >= 65535 ? 1024 : seq + 1;
		else if (n_alloc == RANDOM)
			p = 1024 + rng() % 64512;
		else if (tries)
			p = p >= 65535 ? 1024 : p + 1;
		struct map *o = r[htons(p)];
		if (o && dead(o))
			map_free(o), o = NULL;
		if (!o)
			break;
	}
	if (tries == 65536)
		return NULL;
	m = calloc(1, sizeof *m);
	*m = (struct map){ .id = ++map_id,
			   .iip = iip,
			   .rip = rip,
			   .iport = iport,
			   .eport = htons(p),
			   .rport = rport,
			   .proto = proto,
			   .last = now };
	m->next = fwd[h], fwd[h] = m;
	r[m->eport] = m;
	st_created++;
	return m;
}

static struct filt *filt_find(struct map *m, u32 ip, u16 port, int create)
{
	if (n_filt == AD)
		port = 0;
	u32 h = hash(m->id, ip, port, 7);
	struct filt *f;
	for (f = flt[h]; f; f = f->next)
		if (f->id == m->id && f->ip == ip && f->port == port)
			break;
	if (!f && create) {
		f = malloc(sizeof *f);
		*f = (struct filt){ .next = flt[h], .id = m->id, .ip = ip, .port = port };
		flt[h] = f;
	} else if (f && !create && now - f->last > lifetime(m->proto))
		f = NULL;
	if (f && create)
		f->last = now;
	return f;
}

/* Drops what has expired, or everything. */
static void sweep(int all)
{
	for (int p = 0; p < 3; p++)
		for (int i = 0; i < 65536; i++)
			if (rev[p][i] && (all || dead(rev[p][i])))
				map_free(rev[p][i]);
	for (int i = 0; i < HB; i++)
		for (struct filt **q = &flt[i], *f; (f = *q);)
			if (all ||
			    now - f->last > 1000000000ull * (n_tcpto > n_timeout ? (u64)n_tcpto
										 : (u64)n_timeout))
				*q = f->next, free(f);
			else
				q = &f->next;
}

/* ---- neighbours (ARP) ---- */
static struct neigh {
	u32 ip;
	u8 mac[6];
	int port;
} nb[512];
static int nnb;
static struct pend {
	u32 ip;
	int port, len;
	u8 *buf;
} pend[32];
static int npend;

static void arp_tx(int port, int op, const u8 *dmac, u32 spa, u32 tpa)
{
	static u8 ring[8][VH + 60]; /* buffers live until the flush below */
	static int k;
	u8 *b = ring[k++ & 7], *f = b + VH;
	memset(b, 0, VH + 60);
	memcpy(f, dmac ? dmac : (u8 *)"\377\377\377\377\377\377", 6);
	memcpy(f + 6, P[port].mac, 6);
	memcpy(f + 12, "\x08\x06\x00\x01\x08\x00\x06\x04\x00", 9);
	f[21] = op;
	memcpy(f + 22, P[port].mac, 6);
	memcpy(f + 28, &spa, 4);
	if (dmac)
		memcpy(f + 32, dmac, 6);
	memcpy(f + 38, &tpa, 4);
	port_send(&P[port], b, VH + 42);
	port_flush(&P[port]);
}

static void learn(int port, u32 ip, const u8 *mac)
{
	int i;
	for (i = 0; i < nnb; i++)
		if (nb[i].ip == ip && nb[i].port == port)
			break;
	if (i == nnb) {
		if (nnb == 512)
			nnb = i = 0;
		nnb++;
		nb[i].ip = ip, nb[i].port = port;
	}
	memcpy(nb[i].mac, mac, 6);
	for (int j = 0; j < npend; j++)
		if (pend[j].ip == ip && pend[j].port == port) {
			memcpy(pend[j].buf + VH, mac, 6);
			port_send(&P[port], pend[j].buf, pend[j].len);
			port_flush(&P[port]);
			free(pend[j].buf);
			pend[j--] = pend[--npend];
		}
}

/* Send the frame in b (virtio header first) out of a port towards ip. */
static void ip_out(int port, u8 *b, int len, u32 ip)
{
	u8 *f = b + VH;
	u32 hop = port == 1 && ((ip ^ wan_ip) & wan_mask) ? nexthop : ip;
	memcpy(f + 6, P[port].mac, 6);
	for (int i = 0; i < nnb; i++)
		if (nb[i].ip == hop && nb[i].port == port) {
			memcpy(f, nb[i].mac, 6);
			port_send(&P[port], b, len);
			return;
		}
	if (npend < 32) {
		u8 *c = malloc(len);
		memcpy(c, b, len);
		pend[npend++] = (struct pend){ hop, port, len, c };
	} else {
		npend--, free(pend[npend].buf);
	}
	arp_tx(port, 1, NULL, port ? wan_ip : lan_ip, hop);
}

/* ---- checksums ---- */
static u16 csum(const u8 *d, int n)
{
	u32 s = 0;
	for (; n > 1; n -= 2, d += 2)
		s += d[0] << 8 | d[1];
	if (n)
		s += d[0] << 8;
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return htons(~s);
}
/* RFC 1624 update for a 4-byte change; partial = the field holds a plain pseudo-header sum. */
static void cfix(u8 *ck, u32 o, u32 n, int partial)
{
	u16 c;
	memcpy(&c, ck, 2);
	u32 s = (u16)(partial ? c : ~c);
	s += (u16) ~(o & 0xffff) + (u16) ~(o >> 16) + (n & 0xffff) + (n >> 16);
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	c = partial ? s : ~s;
	memcpy(ck, &c, 2);
}

/* Rewrites one endpoint of an IP packet: address at ip[aoff], port at l4[poff]. */
static void rewrite(u8 *b, u8 *ip, u8 *l4, int aoff, int poff, u32 addr, u16 port)
{
	int partial = ((struct virtio_net_hdr *)b)->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM;
	u32 oa;
	memcpy(&oa, ip + aoff, 4);
	memcpy(ip + aoff, &addr, 4);
	cfix(ip + 10, oa, addr, 0);
	if (!l4)
		return;
	u16 op;
	memcpy(&op, l4 + poff, 2);
	memcpy(l4 + poff, &port, 2);
	if (ip[9] == 1) {
		cfix(l4 + 2, op, port, 0);
		return;
	}
	u8 *ck = l4 + (ip[9] == 17 ? 6 : 16);
	if (ip[9] == 17 && !partial && !ck[0] && !ck[1])
		return; /* UDP without a checksum */
	cfix(ck, oa, addr, partial);
	if (!partial)
		cfix(ck, op, port, 0);
	if (ip[9] == 17 && !partial && !ck[0] && !ck[1])
		ck[0] = ck[1] = 0xff;
}

/* Sends an ICMP error about packet ip back to its sender on `port`. */
static void icmp_error(int port, const u8 *ip, int iplen, int type, int code, u16 mtu)
{
	static u8 ring[16][VH + 14 + 20 + 8 + 548];
	static int k;
	u8 *b = ring[k++ & 15], *o = b + VH + 14;
	int n = iplen > 528 ? 528 : iplen;
	u32 src = port ? wan_ip : lan_ip, dst;
	memset(b, 0, VH + 14 + 28);
	memcpy(b + VH + 12, "\x08\x00", 2);
	memcpy(&dst, ip + 12, 4);
	o[0] = 0x45, o[2] = (28 + n) >> 8, o[3] = (28 + n) & 255, o[8] = 64, o[9] = 1;
	memcpy(o + 12, &src, 4);
	memcpy(o + 16, &dst, 4);
	u16 c = csum(o, 20);
	memcpy(o + 10, &c, 2);
	o[20] = type, o[21] = code, o[26] = mtu >> 8, o[27] = mtu & 255;
	memcpy(o + 28, ip, n);
	c = csum(o + 20, 8 + n);
	memcpy(o + 22, &c, 2);
	ip_out(port, b, VH + 14 + 28 + n, dst);
	port_flush(&P[port]);
}

/* Turns a packet to the router itself into its answer, in place. */
static void reply_self(int port, u8 *b, int len)
{
	u8 *f = b + VH, *ip = f + 14;
	u32 s, d;
	memcpy(&s, ip + 12, 4), memcpy(&d, ip + 16, 4);
	memcpy(ip + 12, &d, 4), memcpy(ip + 16, &s, 4);
	ip_out(port, b, len, s);
}

/* What goes out from a port that was mapped by request goes out from that mapping. */
static struct map *map_asked(u8 proto, u32 iip, u16 iport)
{
	int save = n_map;
	n_map = EI;
	struct map *m = map_find(proto, iip, iport, 0, 0, 0);
	n_map = save;
	return m && m->forever ? m : NULL;
}

/* NAT-PMP (RFC 6886), version 0: external address, map UDP, map TCP. */
static void natpmp(u8 *b, u8 *ip, u8 *l4, int plen)
{
	u8 *q = l4 + 8, r[16] = { 0 };
	int op = q[1], rl;
	if (plen < 2)
		return;
	u32 up = htonl((u32)(now / 1000000000ull)), src;
	memcpy(&src, ip + 12, 4);
	r[1] = 128 + op;
	memcpy(r + 4, &up, 4);
	if (q[0])
		r[3] = 1, rl = 8;
	else if (!op)
		memcpy(r + 8, &wan_ip, 4), rl = 12;
	else if (op < 3 && plen >= 12) {
		u16 iport, want;
		u32 life;
		memcpy(&iport, q + 4, 2), memcpy(&want, q + 6, 2), memcpy(&life, q + 8, 4);
		u8 proto = op == 1 ? 17 : 6;
		int save = n_map;
		n_map = EI;
		struct map *m = map_find(proto, src, iport, 0, 0, life != 0);
		n_map = save;
		if (m && !life)
			map_free(m), m = NULL, want = 0;
		if (m) {
			struct map **s = rev[pidx(proto)];
			if (want && !s[want])
				s[m->eport] = NULL, m->eport = want, s[want] = m;
			m->forever = 1, m->last = now, m->life = (u64)ntohl(life) * 1000000000ull;
			want = m->eport;
		}
		memcpy(r + 8, &iport, 2), memcpy(r + 10, &want, 2), memcpy(r + 12, &life, 4);
		rl = 16;
	} else
		r[3] = 5, rl = 8;
	u16 a, c, n = htons(28 + rl), ul = htons(8 + rl);
	memcpy(q, r, rl);
	memcpy(&a, l4, 2), memcpy(&c, l4 + 2, 2);
	memcpy(l4, &c, 2), memcpy(l4 + 2, &a, 2), memcpy(l4 + 4, &ul, 2);
	l4[6] = l4[7] = 0; /* no UDP checksum */
	memset(b, 0, VH);
	memcpy(ip + 2, &n, 2);
	ip[10] = ip[11] = 0;
	a = csum(ip, 20);
	memcpy(ip + 10, &a, 2);
	reply_self(0, b, VH + 14 + 28 + rl);
}

/* An ICMP error quotes a packet: translate the quoted one too, then recompute. */
static int icmp_fix(u8 *ip, u8 *l4, int l4len, int outbound)
{
	u8 *q = l4 + 8;
	if (l4len < 8 + 28)
		return -1;
	u8 *q4 = q + (q[0] & 15) * 4;
	if ((q[0] & 15) < 5 || q4 + 8 > l4 + l4len || (q[9] != 17 && q[9] != 6 && q[9] != 1))
		return -1;
	int aoff = outbound ? 16 : 12,
	    poff = q[9] == 1  ? 4
		   : outbound ? 2
			      : 0,
	    roff = outbound ? 0 : 2;
	u32 a, ra, na, outer;
	u16 p, rp, np, c;
	struct map *m;
	memcpy(&a, q + aoff, 4), memcpy(&ra, q + (aoff ^ 28), 4), memcpy(&p, q4 + poff, 2),
		memcpy(&rp, q4 + roff, 2);
	if (q[9] == 1)
		rp = 0;
	if (outbound) {
		m = map_find(q[9], a, p, ra, rp, 0);
		if (!m)
			return -1;
		na = wan_ip, np = m->eport, outer = wan_ip;
	} else {
		m = rev[pidx(q[9])][p];
		if (a != wan_ip || !m || dead(m))
			return -1;
		na = m->iip, np = m->iport, outer = m->iip;
	}
	cfix(q + 10, a, na, 0);
	memcpy(q + aoff, &na, 4), memcpy(q4 + poff, &np, 2);
	memcpy(ip + (outbound ? 12 : 16), &outer, 4);
	l4[2] = l4[3] = ip[10] = ip[11] = 0;
	c = csum(l4, l4len), memcpy(l4 + 2, &c, 2);
	c = csum(ip, (ip[0] & 15) * 4), memcpy(ip + 10, &c, 2);
	return 0;
}

static struct frag {
	u32 s, d, addr;
	u16 id;
	int ok;
	u64 t;
} fr[64]; /* where later fragments go */
static int nfr;

static void nat_in(int port, u8 *b, int len)
{
	u8 *f = b + VH, *ip = f + 14;
	if (len < (int)VH + 14 + 20)
		return;
	u32 s, d;
	if (f[12] == 8 && f[13] == 6 && len >= (int)VH + 42) { /* ARP */
		memcpy(&s, f + 28, 4), memcpy(&d, f + 38, 4);
		learn(port, s, f + 22);
		if (f[21] == 1 && d == (port ? wan_ip : lan_ip))
			arp_tx(port, 2, f + 22, d, s);
		return;
	}
	if (f[12] != 8 || f[13] != 0 || memcmp(f, P[port].mac, 6) || ip[0] >> 4 != 4)
		return;
	int hl = (ip[0] & 15) * 4, tot = ip[2] << 8 | ip[3],
	    gso = ((struct virtio_net_hdr *)b)->gso_type;
	if (tot < hl + 8 || (int)VH + 14 + tot > len)
		return;
	len = VH + 14 + tot; /* trim ethernet padding */
	u8 *l4 = ip + hl, proto = ip[9];
	memcpy(&s, ip + 12, 4), memcpy(&d, ip + 16, 4);
	if (port == 0 && !((s ^ lan_ip) & lan_mask)) { /* keep LAN neighbours fresh */
		int i;
		for (i = 0; i < nnb; i++)
			if (nb[i].ip == s && !nb[i].port)
				break;
		if (i == nnb || memcmp(nb[i].mac, f + 6, 6))
			learn(0, s, f + 6);
	}
	int own = d == lan_ip || d == wan_ip, echo = proto == 1 && l4[0] == 8;
	if (port == 0 && own && echo)
		goto pong;
	if (port == 0 && d == lan_ip) {
		u16 dp;
		memcpy(&dp, l4 + 2, 2);
		if (proto == 17 && n_pmp && dp == htons(5351))
			natpmp(b, ip, l4, tot - hl - 8);
		return;
	}
	if (port == 0 ? !((d ^ lan_ip) & lan_mask) || (ntohl(d) >> 28) >= 14 : d != wan_ip)
		return;
	if (port == 1 && echo)
		goto pong;
	if (ip[8] <= 1) {
		icmp_error(port, ip, tot, 11, 0, 0);
		return;
	}
	if (!gso && tot > n_mtu && port == 0) {
		if (ip[6] & 0x40)
			icmp_error(port, ip, tot, 3, 4, n_mtu);
		return; /* without DF: dropped too, this router does not fragment */
	}
	ip[8]--;
	cfix(ip + 10, 0x0001, 0x0000, 0); /* TTL is the high byte of a network-order word */
	int foff = (ip[6] & 0x1f) << 8 | ip[7];
	u16 fid, sp, dp;
	memcpy(&fid, ip + 4, 2);
	if (foff) { /* a later fragment follows the first one */
		for (int i = 0; i < 64; i++)
			if (fr[i].ok && fr[i].s == s && fr[i].d == d && fr[i].id == fid &&
			    now - fr[i].t < 30000000000ull) {
				rewrite(b, ip, NULL, port ? 16 : 12, 0, fr[i].addr, 0);
				ip_out(!port, b, len, port ? fr[i].addr : d);
				return;
			}
		return;
	}
	if (proto != 17 && proto != 6 && proto != 1)
		return;
	if (proto == 1 && (l4[0] == 3 || l4[0] == 11 || l4[0] == 12)) {
		if (icmp_fix(ip, l4, tot - hl, port == 0) < 0)
			return;
		memcpy(&d, ip + 16, 4);
		ip_out(!port, b, len, d);
		return;
	}
	if (proto == 1 && l4[0] != 8 && l4[0] != 0)
		return;
	memcpy(&sp, l4 + (proto == 1 ? 4 : 0), 2), memcpy(&dp, l4 + (proto == 1 ? 4 : 2), 2);
	struct map *m;
	u32 nip;
	if (port == 0) {
		m = map_asked(proto, s, sp);
		if (!m)
			m = map_find(proto, s, sp, d, proto == 1 ? 0 : dp, 1);
		if (!m)
			return;
		if (!m->forever)
			m->last = now;
		filt_find(m, d, proto == 1 ? 0 : dp, 1);
		rewrite(b, ip, l4, 12, proto == 1 ? 4 : 0, nip = wan_ip, m->eport);
		if (d == wan_ip) { /* hairpin: treat it as if it had come in from outside */
			if (!n_hairpin || proto == 1)
				return;
			s = wan_ip, sp = m->eport;
			port = 1;
		}
	}
	if (port == 1) {
		m = rev[pidx(proto)][dp];
		if (!m || dead(m)) {
			st_nomap++;
			return;
		}
		struct filt *fl = filt_find(m, s, proto == 1 ? 0 : sp, 0);
		if (!fl && n_filt != EI && !m->forever) {
			st_filtered++;
			return;
		}
		if (n_in_refresh && !m->forever) {
			m->last = now;
			if (fl)
				fl->last = now;
		}
		rewrite(b, ip, l4, 16, proto == 1 ? 4 : 2, nip = m->iip, m->iport);
		d = m->iip;
	}
	if ((ip[6] & 0x20) && !foff) {
		u32 od;
		memcpy(&od, port ? &wan_ip : &d, 4);
		fr[nfr++ & 63] = (struct frag){ s, od, nip, fid, 1, now };
	}
	ip_out(!port, b, len, d);
	return;
pong:
	l4[0] = 0;
	cfix(l4 + 2, 0x0008, 0x0000, 0);
	ip[8] = 64, ip[10] = ip[11] = 0;
	sp = csum(ip, hl), memcpy(ip + 10, &sp, 2);
	reply_self(port, b, len);
}

static int pick(const char *v, const char *a, const char *b, const char *c)
{
	return !strcmp(v, a) ? 0 : !strcmp(v, b) ? 1 : !strcmp(v, c) ? 2 : -1;
}

static int nat_set(const char *k, const char *v)
{
	int n;
	if (!strcmp(k, "map")) {
		if ((n = pick(v, "eim", "adm", "apdm")) < 0)
			return -1;
		n_map = n;
		sweep(1);
	} else if (!strcmp(k, "filt")) {
		if ((n = pick(v, "eif", "adf", "apdf")) < 0)
			return -1;
		n_filt = n;
		sweep(1);
	} else if (!strcmp(k, "alloc")) {
		if ((n = pick(v, "preserve", "seq", "random")) < 0)
			return -1;
		n_alloc = n;
	} else if (!strcmp(k, "hairpin"))
		n_hairpin = !strcmp(v, "on");
	else if (!strcmp(k, "refresh"))
		n_in_refresh = !strcmp(v, "both");
	else if (!strcmp(k, "natpmp"))
		n_pmp = !strcmp(v, "on");
	else if (!strcmp(k, "timeout"))
		n_timeout = atof(v);
	else if (!strcmp(k, "tcp_timeout"))
		n_tcpto = atoi(v);
	else if (!strcmp(k, "mtu"))
		n_mtu = atoi(v);
	else if (!strcmp(k, "seed"))
		rng_s = strtoull(v, 0, 10) * 2 + 0x9E3779B97F4A7C15ull;
	else
		return -1;
	return 0;
}

static void nat_cmd(const char *c)
{
	char a[16], r[16];
	int live = 0;
	if (!strcmp(c, "flush"))
		sweep(1);
	for (int p = 0; p < 3; p++)
		for (int i = 0; i < 65536; i++) {
			struct map *m = rev[p][i];
			if (!m || dead(m))
				continue;
			live++;
			if (strcmp(c, "dump"))
				continue;
			inet_ntop(AF_INET, &m->iip, a, 16), inet_ntop(AF_INET, &m->rip, r, 16);
			say("%s %s:%d -> :%d",
			    p == 0   ? "udp"
			    : p == 1 ? "tcp"
				     : "icmp",
			    a, ntohs(m->iport), ntohs(m->eport));
			if (m->rip)
				say(" for %s:%d", r, ntohs(m->rport));
			say(" idle %.1fs\n", (now - m->last) / 1e9);
		}
	if (!strcmp(c, "stats"))
		say("live=%d created=%llu filtered=%llu nomap=%llu lan_tx=%llu wan_tx=%llu "
		    "txdrop=%llu\n",
		    live, (unsigned long long)st_created, (unsigned long long)st_filtered,
		    (unsigned long long)st_nomap, (unsigned long long)P[0].txp,
		    (unsigned long long)P[1].txp, (unsigned long long)(P[0].txdrop + P[1].txdrop));
}

static void cidr(char *s, u32 *ip, u32 *mask)
{
	char *sl = strchr(s, '/');
	int n = sl ? atoi(sl + 1) : 32;
	if (sl)
		*sl = 0;
	if (inet_pton(AF_INET, s, ip) != 1)
		die(s);
	*mask = htonl(n ? ~0u << (32 - n) : 0);
}

static void nat_main(int argc, char **argv)
{
	if (argc < 8)
		exit(2);
	u32 dummy;
	port_open(&P[0], argv[3], 1);
	cidr(argv[4], &lan_ip, &lan_mask);
	port_open(&P[1], argv[5], 1);
	cidr(argv[6], &wan_ip, &wan_mask);
	cidr(argv[7], &nexthop, &dummy);
	for (int i = 8; i < argc; i++) {
		char *eq = strchr(argv[i], '=');
		if (!eq || (*eq = 0, nat_set(argv[i], eq + 1)) < 0)
			fprintf(stderr, "bad setting %s\n", argv[i]), exit(2);
	}
	ctl_open(argv[2]);
	arp_tx(1, 1, NULL, wan_ip,
	       nexthop); /* find the next hop, announce ourselves (also after a reboot) */
	arp_tx(1, 1, NULL, wan_ip, wan_ip);
	arp_tx(0, 1, NULL, lan_ip, lan_ip);
	struct pollfd pf[3] = { { P[0].fd, POLLIN, 0 },
				{ P[1].fd, POLLIN, 0 },
				{ ctl_fd, POLLIN, 0 } };
	u64 swept = now_ns();
	for (;;) {
		poll(pf, 3, 5000);
		now = now_ns();
		if (pf[2].revents)
			ctl_serve(nat_set, nat_cmd);
		for (int i = 0; i < 2; i++) {
			if (!pf[i].revents)
				continue;
			int n = recvmmsg(P[i].fd, P[i].rx, BATCH, MSG_DONTWAIT, NULL);
			for (int j = 0; j < n; j++)
				nat_in(i, P[i].rxv[j].iov_base, P[i].rx[j].msg_len);
			port_flush(&P[0]), port_flush(&P[1]);
		}
		if (now - swept > 5000000000ull)
			sweep(0), swept = now;
	}
}
