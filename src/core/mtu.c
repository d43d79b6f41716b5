/* SPDX-License-Identifier: Apache-2.0 */
#include "core/mtu.h"

#include <string.h>

#include "core/connection.h"

enum { TRIES = 3, HEADERS_V4 = 28, HEADERS_V6 = 48 };

static const size_t SIZES[] = { 1452, 1406, 1342, 1280 };

/* The MTU of the interface that the path leaves by; of the largest one when the kernel
 * chooses. */
static size_t interface_mtu(const struct node *n, const struct path *path)
{
	bool loopback = addr_is_loopback(&path->remote);
	size_t mtu = 0;

	for (size_t i = 0; i < n->n_locals; i++) {
		const struct local_addr *l = &n->locals[i];

		if (addr_same_host(&l->addr, &path->local))
			return l->mtu;
		if (l->loopback == loopback && l->mtu > mtu)
			mtu = l->mtu;
	}
	return mtu;
}

void mtu_init(struct mtu *m, const struct node *n, const struct path *path, size_t overhead)
{
	size_t headers = path->remote.family == ADDR_V6 ? HEADERS_V6 : HEADERS_V4;
	size_t mtu = interface_mtu(n, path);

	headers += overhead;
	memset(m, 0, sizeof(*m));
	m->payload = PAYLOAD_MIN;
	m->ceiling = mtu > headers ? mtu - headers : 1500 - headers;
	if (m->ceiling > n->config.max_payload)
		m->ceiling = n->config.max_payload;
	if (m->ceiling < PAYLOAD_MIN)
		m->ceiling = PAYLOAD_MIN;
	m->next_at = GW_NEVER;
}

/* The next smaller size worth a probe, or 0. */
static size_t next_size(const struct mtu *m)
{
	size_t limit = m->probing ? m->probing : m->ceiling + 1;

	if (!m->probing && m->ceiling > m->payload)
		return m->ceiling;
	for (size_t i = 0; i < sizeof(SIZES) / sizeof(SIZES[0]); i++)
		if (SIZES[i] < limit && SIZES[i] > m->payload)
			return SIZES[i];
	return 0;
}

static void probe(struct connection *c, size_t size, gw_time now)
{
	struct mtu *m = &c->mtu;

	m->probing = size;
	m->tries++;
	m->send_now = true;
	m->next_at = now + time_max(MTU_PROBE_GAP, 2 * connection_rtt(c));
	connection_touch(c);
}

/* No probe is under way, and none that waits is sent. */
static void stop_probing(struct mtu *m, gw_time next_at)
{
	m->probing = 0;
	m->tries = 0;
	m->send_now = false;
	m->next_at = next_at;
}

void mtu_start(struct connection *c, gw_time now)
{
	struct mtu *m = &c->mtu;
	size_t size;

	stop_probing(m, GW_NEVER);
	size = next_size(m);
	if (size)
		probe(c, size, now);
}

void mtu_fall_back(struct connection *c, gw_time now)
{
	c->mtu.payload = PAYLOAD_MIN;
	c->mtu.lost = 0;
	stop_probing(&c->mtu, now + MTU_RETRY);
	c->progress_at = now;
}

void mtu_migrated(struct connection *c, gw_time now)
{
	mtu_fall_back(c, now);
	c->mtu.next_at = now + MTU_MIGRATED;
}

static gw_time stall_due(const struct connection *c)
{
	gw_time limit, since = GW_NEVER;

	if (c->mtu.payload == PAYLOAD_MIN)
		return GW_NEVER;
	if (c->outstanding_since != GW_NEVER)
		since = c->progress_at;
	if (c->mtu.lost >= LARGE_LOST_MAX) /* section 15 */
		since = time_min(since, c->mtu.lost_since);
	limit = time_max(connection_silence_limit(c), STALL_MIN);
	return since == GW_NEVER ? GW_NEVER : since + limit;
}

gw_time mtu_due(const struct connection *c)
{
	return time_min(c->mtu.next_at, stall_due(c));
}

void mtu_expire(struct connection *c, gw_time now)
{
	struct mtu *m = &c->mtu;

	if (now >= stall_due(c))
		mtu_fall_back(c, now);
	if (now < m->next_at)
		return;
	if (!m->probing) {
		mtu_start(c, now);
	} else if (m->tries < TRIES) {
		probe(c, m->probing, now);
	} else {
		size_t size = next_size(m);

		stop_probing(m, now + MTU_RETRY);
		if (size)
			probe(c, size, now);
	}
}

bool mtu_write(struct connection *c, struct batch *out, gw_time now)
{
	struct mtu *m = &c->mtu;

	(void)now;
	if (m->reply_now) {
		m->reply_now = false;
		out->path = m->reply_path;
		out->len = wire_probe_reply_encode(out->data, &m->reply);
	} else if (m->send_now) {
		struct wire_probe p = { .size = (uint16_t)m->probing };

		m->send_now = false;
		memcpy(p.token, c->peer_token, WIRE_TOKEN_SIZE);
		out->path = c->path;
		out->probe = true;
		out->len = wire_probe_encode(out->data, &p);
	} else {
		return false;
	}
	out->segment = out->len;
	connection_touch(c); /* there may be more */
	return true;
}

void mtu_probe_received(struct connection *c, const struct path *path,
			const struct wire_probe *probe)
{
	if (c->state != CONN_USED)
		return;
	/* Who is on the way sees tokens: a probe sent again from elsewhere gets no answer there.
	 * A NAT may have moved the port. */
	if (!addr_same_host(&path->remote, &c->path.remote)) {
		c->node->stats.drop_refused++;
		return;
	}
	c->mtu.reply = *probe;
	memcpy(c->mtu.reply.token, c->peer_token, WIRE_TOKEN_SIZE);
	c->mtu.reply_path = *path;
	c->mtu.reply_now = true;
	connection_touch(c);
}

void mtu_reply_received(struct connection *c, const struct wire_probe *probe, gw_time now)
{
	struct mtu *m = &c->mtu;

	if (c->state != CONN_USED || m->probing == 0 || probe->size != m->probing)
		return;
	m->payload = m->probing;
	m->probing = 0;
	m->send_now = false;
	m->next_at = m->payload < m->ceiling ? now + MTU_RETRY : GW_NEVER;
	c->progress_at = now;
	connection_schedule(c, now);
}
