/* SPDX-License-Identifier: Apache-2.0 */
#include "bare_quic.h"

#include <arpa/inet.h>
#include <errno.h>
#include <gnutls/crypto.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

enum {
	CID_SIZE = 8,
	PAYLOAD = 1472, /* IPv4, MTU 1500 */
	SEGMENTS_MAX = 64,
	BATCH_MAX = 65507 / PAYLOAD * PAYLOAD, /* one IP packet */
	BATCHES_AT_ONCE = 4,
	ARENA = 512 * 1024,
	GRO_BUFFER = 65536,
	PLAIN_BUFFER = 2048,
	MESSAGES_MAX = 64,
	SOCKET_BUFFER = 4 << 20,
	STREAM_WINDOW = 17 << 20,
	CONNECTION_WINDOW = 32 << 20,
	STREAMS_MAX = 1 << 14,
};

#define KEEPALIVE (25 * GW_SEC)

_Noreturn void bare_die(const char *what)
{
	fprintf(stderr, "bare: %s: %s\n", what, strerror(errno));
	exit(1);
}

void bare_check(ngtcp2_ssize rv, const char *what)
{
	if (rv >= 0)
		return;
	fprintf(stderr, "bare: %s: %s\n", what, ngtcp2_strerror((int)rv));
	exit(1);
}

gw_time bare_clock(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (gw_time)t.tv_sec * GW_SEC + (gw_time)t.tv_nsec;
}

void bare_touch(struct bare_connection *c)
{
	if (!list_in(&c->dirty))
		list_append(&c->e->dirty, &c->dirty);
}

/* --- connection ids --- */

static uint64_t cid_key(const uint8_t *data)
{
	uint64_t key;

	memcpy(&key, data, sizeof(key));
	return key;
}

static void register_cid(struct bare_connection *c, uint64_t key)
{
	if (map_put(&c->e->by_cid, key, c) < 0)
		bare_die("map");
}

static void random_cid(struct endpoint *e, ngtcp2_cid *cid, size_t len)
{
	rng_bytes(&e->rng, cid->data, len);
	cid->datalen = len;
}

static int new_cid_callback(ngtcp2_conn *quic, ngtcp2_cid *cid, uint8_t *token, size_t len,
			    void *user)
{
	struct bare_connection *c = user;

	(void)quic;
	random_cid(c->e, cid, len);
	rng_bytes(&c->e->rng, token, NGTCP2_STATELESS_RESET_TOKENLEN);
	register_cid(c, cid_key(cid->data));
	return 0;
}

static int remove_cid_callback(ngtcp2_conn *quic, const ngtcp2_cid *cid, void *user)
{
	struct bare_connection *c = user;

	(void)quic;
	map_remove(&c->e->by_cid, cid_key(cid->data));
	return 0;
}

/* --- callbacks of ngtcp2 --- */

static ngtcp2_conn *get_conn(ngtcp2_crypto_conn_ref *ref)
{
	return ((struct bare_connection *)ref->user_data)->quic;
}

static bool accept_any(struct tls_session *s)
{
	(void)s;
	return true;
}

static void rand_callback(uint8_t *out, size_t len, const ngtcp2_rand_ctx *ctx)
{
	quic_random(ctx->native_handle, out, len);
}

static int completed_callback(ngtcp2_conn *quic, void *user)
{
	struct bare_connection *c = user;

	c->up = true;
	c->e->stats.handshakes++;
	ngtcp2_conn_set_keep_alive_timeout(quic, c->e->server ? KEEPALIVE : KEEPALIVE * 28 / 25);
	return 0;
}

static const ngtcp2_callbacks CALLBACKS = {
	QUIC_CRYPTO_CALLBACKS,
	.recv_crypto_data = ngtcp2_crypto_recv_crypto_data_cb,
	.handshake_completed = completed_callback,
	.recv_stream_data = flow_data_callback,
	.acked_stream_data_offset = flow_acked_callback,
	.rand = rand_callback,
	.get_new_connection_id = new_cid_callback,
	.remove_connection_id = remove_cid_callback,
};

/* --- connections --- */

static void configure(struct endpoint *e, ngtcp2_settings *s, ngtcp2_transport_params *p)
{
	ngtcp2_settings_default(s);
	s->initial_ts = e->now;
	s->cc_algo = e->bbr ? NGTCP2_CC_ALGO_BBR : NGTCP2_CC_ALGO_CUBIC;
	s->max_tx_udp_payload_size = PAYLOAD;
	s->no_tx_udp_payload_size_shaping = 1;
	s->no_pmtud = 1;
	s->rand_ctx.native_handle = &e->rng;
	ngtcp2_transport_params_default(p);
	p->initial_max_data = CONNECTION_WINDOW;
	p->initial_max_stream_data_bidi_local = STREAM_WINDOW;
	p->initial_max_stream_data_bidi_remote = STREAM_WINDOW;
	p->initial_max_streams_bidi = STREAMS_MAX;
	p->max_idle_timeout = 0;
	p->max_udp_payload_size = 65527;
}

static struct bare_connection *connection_new(struct endpoint *e, ngtcp2_cid *scid)
{
	struct bare_connection *c = calloc(1, sizeof(*c));

	if (!c)
		bare_die("connection");
	c->e = e;
	c->tls.accept = accept_any;
	list_init(&c->flows);
	list_init(&c->ready);
	list_append(&e->connections, &c->all);
	random_cid(e, scid, CID_SIZE);
	register_cid(c, cid_key(scid->data));
	bare_touch(c);
	return c;
}

static void begin_tls(struct bare_connection *c)
{
	if (tls_session_new(&c->tls, &c->e->tls, !c->e->server, "bare/1", c->quic, get_conn, c) < 0)
		bare_die("tls");
}

static ngtcp2_path path_to(struct endpoint *e, const struct sockaddr_in *remote)
{
	return (ngtcp2_path){
		.local = { (struct sockaddr *)&e->local, sizeof(e->local) },
		.remote = { (struct sockaddr *)(uintptr_t)remote, sizeof(*remote) },
	};
}

struct bare_connection *bare_connect(struct endpoint *e, const struct sockaddr_in *to)
{
	ngtcp2_path path = path_to(e, to);
	ngtcp2_transport_params params;
	ngtcp2_settings settings;
	ngtcp2_cid scid, dcid;
	struct bare_connection *c;

	e->now = bare_clock();
	c = connection_new(e, &scid);
	random_cid(e, &dcid, 16);
	configure(e, &settings, &params);
	bare_check(ngtcp2_conn_client_new(&c->quic, &dcid, &scid, &path, NGTCP2_PROTO_VER_V1,
					  &CALLBACKS, &settings, &params, NULL, c),
		   "client_new");
	begin_tls(c);
	return c;
}

static struct bare_connection *serve_new(struct endpoint *e, const struct sockaddr_in *from,
					 const uint8_t *data, size_t len)
{
	ngtcp2_path path = path_to(e, from);
	ngtcp2_transport_params params;
	ngtcp2_settings settings;
	struct bare_connection *c;
	ngtcp2_pkt_hd hd;
	ngtcp2_cid scid;

	if (!e->server || ngtcp2_accept(&hd, data, len) != 0 || hd.dcid.datalen < CID_SIZE)
		return NULL;
	c = connection_new(e, &scid);
	configure(e, &settings, &params);
	quic_server_params(&params, &hd.dcid);
	bare_check(ngtcp2_conn_server_new(&c->quic, &hd.scid, &scid, &path, hd.version, &CALLBACKS,
					  &settings, &params, NULL, c),
		   "server_new");
	c->odcid = cid_key(hd.dcid.data);
	register_cid(c, c->odcid);
	begin_tls(c);
	return c;
}

static void connection_free(struct bare_connection *c)
{
	struct endpoint *e = c->e;
	ngtcp2_cid ids[32];
	size_t count = quic_scid_count(c->quic);

	if (count > sizeof(ids) / sizeof(ids[0]))
		abort();
	ngtcp2_conn_get_scid(c->quic, ids);
	for (size_t i = 0; i < count; i++)
		map_remove(&e->by_cid, cid_key(ids[i].data));
	if (e->server)
		map_remove(&e->by_cid, c->odcid);
	list_each(&c->flows, i, next)
		flow_free(container_of(i, struct flow, link));
	heap_remove(&e->timers, &c->timer);
	list_remove(&c->dirty);
	list_remove(&c->all);
	ngtcp2_conn_del(c->quic);
	tls_session_free(&c->tls);
	free(c);
}

/* --- sending --- */

static void send_segments(struct endpoint *e, struct msghdr *m, size_t len, size_t segment)
{
	union {
		struct cmsghdr header;
		uint8_t bytes[CMSG_SPACE(sizeof(uint16_t))];
	} control;
	uint16_t size = (uint16_t)segment;

	if (len > segment) {
		control.header = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof(size)),
						   .cmsg_level = SOL_UDP,
						   .cmsg_type = UDP_SEGMENT };
		memcpy(CMSG_DATA(&control.header), &size, sizeof(size));
		m->msg_control = &control;
		m->msg_controllen = sizeof(control.bytes);
	}
	e->stats.send_calls++;
	(void)sendmsg(e->fd, m, 0); /* what fails is lost, as packets are */
}

static void send_each(struct endpoint *e, const struct msghdr *model, const uint8_t *data,
		      size_t len, size_t segment)
{
	struct mmsghdr m[SEGMENTS_MAX];
	struct iovec iov[SEGMENTS_MAX];
	unsigned count = 0, done = 0;

	for (size_t at = 0; at < len; at += segment, count++) {
		iov[count] = (struct iovec){ (void *)(uintptr_t)(data + at),
					     len - at < segment ? len - at : segment };
		m[count].msg_hdr = *model;
		m[count].msg_hdr.msg_iov = &iov[count];
	}
	while (done < count) {
		int n = sendmmsg(e->fd, m + done, count - done, 0);

		e->stats.send_calls++;
		done += n > 0 ? (unsigned)n : 1;
	}
}

static void send_batch(struct endpoint *e, const ngtcp2_path *path, const uint8_t *data, size_t len,
		       size_t segment)
{
	struct iovec iov = { (void *)(uintptr_t)data, len };
	struct msghdr m = { .msg_name = path->remote.addr,
			    .msg_namelen = path->remote.addrlen,
			    .msg_iov = &iov,
			    .msg_iovlen = 1 };

	if (e->gso || len <= segment)
		send_segments(e, &m, len, segment);
	else
		send_each(e, &m, data, len, segment);
	e->stats.send_datagrams += (len + segment - 1) / segment;
}

/* One packet; its length, or 0: nothing to send now. */
static size_t write_packet(struct bare_connection *c, uint8_t *out, ngtcp2_path_storage *ps,
			   bool *blocked)
{
	for (;;) {
		struct list_item *first = *blocked ? NULL : list_first(&c->ready);
		struct flow *f = first ? container_of(first, struct flow, ready) : NULL;
		ngtcp2_ssize taken = -1, rv;
		ngtcp2_pkt_info info;
		ngtcp2_vec vec[2];
		size_t n = f ? flow_output(f, vec) : 0;

		rv = ngtcp2_conn_writev_stream(c->quic, &ps->path, &info, out, PAYLOAD, &taken, 0,
					       n ? f->id : -1, vec, n, c->e->now);
		if (taken > 0) {
			f->sent += (uint64_t)taken;
			if (f->sent == f->end)
				list_remove(&f->ready);
		}
		if (rv >= 0)
			return (size_t)rv;
		if (rv != NGTCP2_ERR_STREAM_DATA_BLOCKED)
			bare_check(rv, "writev_stream");
		*blocked = true;
	}
}

/* Flows take turns, a batch each. */
static void rotate(struct bare_connection *c)
{
	struct list_item *first = list_first(&c->ready);

	if (!first)
		return;
	list_remove(first);
	list_append(&c->ready, first);
}

/* False: there is no more. */
static bool write_batch(struct bare_connection *c)
{
	static uint8_t out[BATCH_MAX + PAYLOAD];
	size_t quantum = ngtcp2_conn_get_send_quantum(c->quic) / PAYLOAD * PAYLOAD;
	size_t limit = quantum < BATCH_MAX ? quantum : BATCH_MAX, len = 0, segment = 0, n;
	ngtcp2_path_storage ps;
	bool blocked = false;

	ngtcp2_path_storage_zero(&ps);
	do {
		n = write_packet(c, out + len, &ps, &blocked);
		if (len > 0 && n > segment) { /* the first was a small one */
			send_batch(c->e, &ps.path, out, len, segment);
			memmove(out, out + len, n);
			len = 0;
		}
		if (len == 0)
			segment = n;
		len += n;
	} while (n > 0 && n == segment && len + segment <= limit);
	if (len > 0)
		send_batch(c->e, &ps.path, out, len, segment);
	ngtcp2_conn_update_pkt_tx_time(c->quic, c->e->now);
	rotate(c);
	return n > 0;
}

static void flush(struct bare_connection *c)
{
	bool more = true;

	list_remove(&c->dirty);
	for (int i = 0; i < BATCHES_AT_ONCE && more; i++)
		more = write_batch(c);
	if (more)
		bare_touch(c);
	if (heap_set(&c->e->timers, &c->timer, ngtcp2_conn_get_expiry(c->quic)) < 0)
		bare_die("timer");
}

void bare_close(struct bare_connection *c)
{
	ngtcp2_path_storage ps;
	uint8_t out[PAYLOAD];
	ngtcp2_ssize n;

	ngtcp2_path_storage_zero(&ps);
	n = c->closed ? 0
		      : quic_write_close(c->quic, &ps.path, out, sizeof(out), 0, NULL, 0,
					 bare_clock());
	if (n > 0)
		send_batch(c->e, &ps.path, out, (size_t)n, (size_t)n);
	connection_free(c);
}

void endpoint_clear(struct endpoint *e)
{
	list_each(&e->connections, i, next)
		bare_close(container_of(i, struct bare_connection, all));
	map_clear(&e->by_cid);
	heap_clear(&e->timers);
	tls_clear(&e->tls);
	free(e->arena);
	close(e->fd);
}

/* --- receiving --- */

static void read_packet(struct endpoint *e, struct sockaddr_in *from, const uint8_t *data,
			size_t len)
{
	ngtcp2_path path = path_to(e, from);
	ngtcp2_pkt_info info = { 0 };
	struct bare_connection *c;
	ngtcp2_version_cid ids;
	int rv;

	if (ngtcp2_pkt_decode_version_cid(&ids, data, len, CID_SIZE) != 0 || ids.dcidlen < CID_SIZE)
		return;
	c = map_get(&e->by_cid, cid_key(ids.dcid));
	if (!c)
		c = serve_new(e, from, data, len);
	if (!c || c->closed)
		return;
	rv = ngtcp2_conn_read_pkt(c->quic, &path, &info, data, len, e->now);
	if (rv == 0) {
		bare_touch(c);
		return;
	}
	if (rv != NGTCP2_ERR_DRAINING)
		fprintf(stderr, "bare: read_pkt: %s\n", ngtcp2_strerror(rv));
	c->closed = true;
	if (e->server)
		connection_free(c);
}

static size_t segment_of(struct msghdr *m, size_t len)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		if (c->cmsg_level == SOL_UDP && c->cmsg_type == UDP_GRO) {
			int size;

			memcpy(&size, CMSG_DATA(c), sizeof(size));
			return (size_t)size;
		}
	}
	return len;
}

static void receive(struct endpoint *e)
{
	size_t size = e->gro ? GRO_BUFFER : PLAIN_BUFFER;
	unsigned count = ARENA / size < MESSAGES_MAX ? (unsigned)(ARENA / size) : MESSAGES_MAX;
	struct mmsghdr m[MESSAGES_MAX];
	struct iovec iov[MESSAGES_MAX];
	struct sockaddr_in from[MESSAGES_MAX];
	uint8_t control[MESSAGES_MAX][CMSG_SPACE(sizeof(int))];
	int got;

	for (unsigned i = 0; i < count; i++) {
		iov[i] = (struct iovec){ e->arena + i * size, size };
		m[i].msg_hdr = (struct msghdr){ .msg_name = &from[i],
						.msg_namelen = sizeof(from[i]),
						.msg_iov = &iov[i],
						.msg_iovlen = 1,
						.msg_control = control[i],
						.msg_controllen = sizeof(control[i]) };
	}
	got = recvmmsg(e->fd, m, count, MSG_DONTWAIT, NULL);
	e->stats.recv_calls++;
	e->now = bare_clock();
	for (int i = 0; i < got; i++) {
		const uint8_t *data = iov[i].iov_base;
		size_t len = m[i].msg_len, segment = segment_of(&m[i].msg_hdr, len);

		for (size_t at = 0; at < len; at += segment, e->stats.recv_datagrams++)
			read_packet(e, &from[i], data + at,
				    len - at < segment ? len - at : segment);
	}
}

/* --- the loop --- */

static void expire(struct endpoint *e)
{
	struct timer *t;

	while ((t = heap_top(&e->timers)) && t->at <= e->now) {
		struct bare_connection *c = container_of(t, struct bare_connection, timer);

		heap_remove(&e->timers, t);
		bare_check(ngtcp2_conn_handle_expiry(c->quic, e->now), "handle_expiry");
		bare_touch(c);
	}
}

static void wait_until(struct endpoint *e, gw_time until)
{
	struct pollfd p = { .fd = e->fd, .events = POLLIN };
	const struct timer *t = heap_top(&e->timers);
	struct timespec left;
	gw_time now = bare_clock();

	if (t && t->at < until)
		until = t->at;
	until = until > now ? until - now : 0;
	if (until > 3600 * GW_SEC)
		until = 3600 * GW_SEC;
	left = (struct timespec){ (time_t)(until / GW_SEC), (long)(until % GW_SEC) };
	(void)ppoll(&p, 1, &left, NULL);
}

void endpoint_turn(struct endpoint *e, gw_time until)
{
	const struct list_item *last = e->dirty.head.prev;
	struct list_item *i = list_first(&e->dirty);

	e->now = bare_clock();
	for (; i; i = i == last ? NULL : list_first(&e->dirty))
		flush(container_of(i, struct bare_connection, dirty));
	if (!list_first(&e->dirty))
		wait_until(e, until);
	receive(e);
	expire(e);
}

/* --- starting --- */

static void fill_random(struct rng *rng, void *out, size_t len)
{
	(void)rng;
	if (gnutls_rnd(GNUTLS_RND_NONCE, out, len) < 0)
		bare_die("gnutls_rnd");
}

static void set(int fd, int level, int option, int value)
{
	(void)setsockopt(fd, level, option, &value, sizeof(value));
}

static void open_socket(struct endpoint *e, const struct sockaddr_in *at)
{
	const char *off = getenv("GODWIT_NO_OFFLOAD");
	bool offload = !off || strcmp(off, "1") != 0;
	socklen_t len = sizeof(e->local);

	e->fd = socket(AF_INET, SOCK_DGRAM, 0);
	e->local = at ? *at : (struct sockaddr_in){ .sin_family = AF_INET };
	if (e->fd < 0 || bind(e->fd, (struct sockaddr *)&e->local, sizeof(e->local)) != 0 ||
	    getsockname(e->fd, (struct sockaddr *)&e->local, &len) != 0)
		bare_die("socket");
	set(e->fd, SOL_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE);
	set(e->fd, SOL_SOCKET, SO_RCVBUF, SOCKET_BUFFER);
	set(e->fd, SOL_SOCKET, SO_SNDBUF, SOCKET_BUFFER);
	set(e->fd, SOL_SOCKET, SO_RCVBUFFORCE, SOCKET_BUFFER);
	set(e->fd, SOL_SOCKET, SO_SNDBUFFORCE, SOCKET_BUFFER);
	set(e->fd, SOL_UDP, UDP_GRO, offload);
	e->gso = e->gro = offload;
}

void endpoint_init(struct endpoint *e, const struct sockaddr_in *at, bool bbr)
{
	*e = (struct endpoint){ .server = at != NULL, .bbr = bbr, .rng.fill = fill_random };
	prctl(PR_SET_TIMERSLACK, 1UL);
	list_init(&e->dirty);
	list_init(&e->connections);
	map_init(&e->by_cid, rng_u64(&e->rng));
	e->arena = malloc(ARENA);
	if (!e->arena || crypto_init() < 0)
		bare_die("start");
	identity_generate(&e->identity);
	if (tls_init(&e->tls, &e->identity) < 0)
		bare_die("tls");
	open_socket(e, at);
}
