/* wire.h - `gw wire`: a two-port cable with impairments.  Included by gw.c. */
/* SPDX-License-Identifier: Apache-2.0 */
/* ------------------------------------------------------------- wire ---- */

struct dir {                      /* one direction of a cable; index = the port it is received on */
	double delay, jitter;     /* ms, one way; jitter is uniform +-           */
	double loss, burst;       /* percent; mean length of a loss burst        */
	double dup, reorder, gap; /* percent, percent, ms a reordered one is held */
	double rate, queue;       /* Mbit/s (0 = unlimited), queue bound in ms   */
	int mtu, hole;            /* bigger IP packets vanish; everything vanishes */
	u64 t_free, t_last;
	int bad;
	u64 in, lost, qdrop, big, dups, reord;
};
static struct dir D[2];

struct pkt {
	u64 t, seq;
	int port, len;
	u8 data[];
};
static struct pkt **heap;
static int hn, hcap;
static u64 hseq;

static int before(struct pkt *a, struct pkt *b)
{
	return a->t != b->t ? a->t < b->t : a->seq < b->seq;
}

static void heap_push(u64 t, int port, const u8 *d, int len)
{
	if (hn >= 400000) { /* a memory bound only: about 600 MB of packets */
		D[!port].qdrop++;
		return;
	}
	if (hn == hcap)
		heap = realloc(heap, (hcap = hcap ? hcap * 2 : 1024) * sizeof *heap);
	struct pkt *k = malloc(sizeof *k + len);
	int i = hn++;
	k->t = t, k->seq = hseq++, k->port = port, k->len = len;
	memcpy(k->data, d, len);
	for (; i && before(k, heap[(i - 1) / 2]); i = (i - 1) / 2)
		heap[i] = heap[(i - 1) / 2];
	heap[i] = k;
}

static struct pkt *heap_pop(void)
{
	struct pkt *top = heap[0], *k = heap[--hn];
	int i = 0, c;
	while ((c = 2 * i + 1) < hn) {
		if (c + 1 < hn && before(heap[c + 1], heap[c]))
			c++;
		if (!before(heap[c], k))
			break;
		heap[i] = heap[c];
		i = c;
	}
	heap[i] = k;
	return top;
}

static int wire_set1(struct dir *d, const char *k, const char *v)
{
	struct {
		const char *k;
		double *p;
	} t[] = { { "delay", &d->delay }, { "jitter", &d->jitter }, { "loss", &d->loss },
		  { "burst", &d->burst }, { "dup", &d->dup },       { "reorder", &d->reorder },
		  { "gap", &d->gap },     { "rate", &d->rate },     { "queue", &d->queue } };
	for (unsigned i = 0; i < sizeof t / sizeof *t; i++)
		if (!strcmp(k, t[i].k))
			return *t[i].p = atof(v), 0;
	if (!strcmp(k, "mtu"))
		return d->mtu = atoi(v), 0;
	if (!strcmp(k, "hole"))
		return d->hole = !strcmp(v, "on"), 0;
	return -1;
}

static int wire_set(const char *k, const char *v)
{
	if (!strcmp(k, "seed"))
		return rng_s = strtoull(v, 0, 10) * 2 + 0x9E3779B97F4A7C15ull, 0;
	if (!strncmp(k, "up.", 3))
		return wire_set1(&D[0], k + 3, v);
	if (!strncmp(k, "down.", 5))
		return wire_set1(&D[1], k + 5, v);
	return wire_set1(&D[0], k, v) | wire_set1(&D[1], k, v);
}

static void wire_cmd(const char *c)
{
	const char *n[] = { "up", "down" };
	for (int i = 0; i < 2 && !strcmp(c, "stats"); i++)
		say("%s delay=%g jitter=%g loss=%g dup=%g reorder=%g rate=%g queue=%g mtu=%d "
		    "hole=%s in=%llu lost=%llu qdrop=%llu big=%llu dups=%llu reord=%llu held=%d\n",
		    n[i], D[i].delay, D[i].jitter, D[i].loss, D[i].dup, D[i].reorder, D[i].rate,
		    D[i].queue, D[i].mtu, D[i].hole ? "on" : "off", (unsigned long long)D[i].in,
		    (unsigned long long)D[i].lost, (unsigned long long)D[i].qdrop,
		    (unsigned long long)D[i].big, (unsigned long long)D[i].dups,
		    (unsigned long long)D[i].reord, hn);
}

/* ARP and IPv6 neighbour discovery are delayed, yet never lost at random. */
static int is_neigh(const u8 *f, int len)
{
	int et = f[12] << 8 | f[13];
	return et == ETHERTYPE_ARP ||
	       (et == ETHERTYPE_IPV6 && len > 54 && f[20] == 58 && f[54] >= 133 && f[54] <= 137);
}

static void wire_in(int i, u8 *f, int len, u64 now)
{
	struct dir *d = &D[i];
	u64 t = now;
	d->in++;
	if (d->hole)
		return;
	if (d->mtu && len - 14 > d->mtu) {
		d->big++;
		return;
	}
	if (d->loss > 0 && !is_neigh(f, len)) {
		if (d->burst >
		    1) { /* Gilbert: leave the bad state with 1/burst, enter it so that the mean loss holds */
			double leave = 1 / d->burst, l = d->loss / 100;
			d->bad = d->bad ? frand() >= leave
					: frand() < (l < 1 ? leave * l / (1 - l) : 1);
		} else
			d->bad = chance(d->loss);
		if (d->bad) {
			d->lost++;
			return;
		}
	}
	if (d->rate > 0) {
		u64 start = d->t_free > now ? d->t_free : now;
		double wait = (start - now) / 1e6, one = len * 8 / (d->rate * 1e3);
		if (wait + one > (d->queue > 0 ? d->queue : 50) && wait > 0) {
			d->qdrop++;
			return;
		}
		t = d->t_free = start + (u64)(one * 1e6);
	}
	double ms = d->delay + (d->jitter > 0 ? (frand() * 2 - 1) * d->jitter : 0);
	if (ms > 0)
		t += (u64)(ms * 1e6);
	if (t < d->t_last)
		t = d->t_last; /* jitter alone keeps the order */
	if (chance(d->reorder)) {
		t += (u64)((d->gap > 0 ? d->gap : 2) * 1e6);
		d->reord++;
	} else
		d->t_last = t;
	if (t <= now && !hn)
		port_send(&P[!i], f, len);
	else
		heap_push(t, !i, f, len);
	if (chance(d->dup)) {
		d->dups++;
		heap_push(t, !i, f, len);
	}
}

static void wire_main(int argc, char **argv)
{
	if (argc < 5)
		exit(2);
	port_open(&P[0], argv[3], 0);
	port_open(&P[1], argv[4], 0);
	for (int i = 5; i < argc; i++) {
		char *eq = strchr(argv[i], '=');
		if (!eq || (*eq = 0, wire_set(argv[i], eq + 1)) < 0)
			fprintf(stderr, "bad setting %s\n", argv[i]), exit(2);
	}
	ctl_open(argv[2]);
	struct pollfd pf[3] = { { P[0].fd, POLLIN, 0 },
				{ P[1].fd, POLLIN, 0 },
				{ ctl_fd, POLLIN, 0 } };
	for (;;) {
		struct timespec ts, *tp = NULL;
		if (hn) {
			u64 n = now_ns(), w = heap[0]->t > n ? heap[0]->t - n : 0;
			ts.tv_sec = w / 1000000000, ts.tv_nsec = w % 1000000000;
			tp = &ts;
		}
		ppoll(pf, 3, tp, NULL);
		if (pf[2].revents)
			ctl_serve(wire_set, wire_cmd);
		for (int i = 0; i < 2; i++) {
			if (!pf[i].revents)
				continue;
			int n = recvmmsg(P[i].fd, P[i].rx, BATCH, MSG_DONTWAIT, NULL);
			u64 now = now_ns();
			for (int j = 0; j < n; j++)
				wire_in(i, P[i].rxv[j].iov_base, P[i].rx[j].msg_len, now);
			port_flush(&P[!i]);
		}
		u64 now = now_ns();
		struct pkt *sent[BATCH];
		while (hn && heap[0]->t <= now) {
			int m = 0;
			while (m < BATCH && hn && heap[0]->t <= now) {
				struct pkt *k = sent[m++] = heap_pop();
				port_send(&P[k->port], k->data, k->len);
			}
			port_flush(&P[0]), port_flush(&P[1]);
			while (m)
				free(sent[--m]);
		}
	}
}
