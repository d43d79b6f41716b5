/* SPDX-License-Identifier: Apache-2.0 */
#include "core/audit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* NULL: nobody listens, or there is no room. */
static struct audit *entry(struct node *n, enum audit_what what)
{
	struct audit *a;

	if (!n->config.audit)
		return NULL;
	if (!n->audits)
		n->audits = calloc(AUDITS_MAX, sizeof(*n->audits));
	if (!n->audits || n->audit_count == AUDITS_MAX) {
		n->audits_lost++;
		return NULL;
	}
	a = &n->audits[(n->audit_head + n->audit_count++) % AUDITS_MAX];
	*a = (struct audit){ .what = what, .lost = n->audits_lost };
	n->audits_lost = 0;
	return a;
}

static void set_key(struct audit *a, const uint8_t *key)
{
	a->key_known = key != NULL;
	if (key)
		memcpy(a->key, key, KEY_SIZE);
}

static void set_relay(struct audit *a, const struct beacon_ref *b)
{
	if (b)
		snprintf(a->relay, sizeof(a->relay), "%s:%u", b->host, b->udp_port);
}

static void set_connection(struct audit *a, const struct connection *c)
{
	if (!c)
		return;
	a->path = c->path;
	set_relay(a, c->relay);
}

void audit_refused(struct node *n, enum audit_what what, const uint8_t *key,
		   const struct path *path, const struct beacon_ref *b, const char *why)
{
	struct audit *a = entry(n, what);

	if (!a)
		return;
	set_key(a, key);
	a->path = *path;
	set_relay(a, b);
	a->why = why;
}

void audit_peer(const struct connection *c, enum audit_what what, const char *why)
{
	struct audit *a = entry(c->node, what);

	if (!a)
		return;
	set_key(a, c->tls.key_known ? c->tls.key : NULL);
	set_connection(a, c);
	a->why = why;
}

void audit_open(struct peer *p, const char *service, bool allowed, const char *why)
{
	struct audit *a = entry(p->node, AUDIT_OPEN);

	if (!a)
		return;
	set_key(a, p->key);
	set_connection(a, p->used);
	snprintf(a->service, sizeof(a->service), "%s", service);
	a->allowed = allowed;
	a->why = why;
}

void audit_end(const struct stream *s, const char *why)
{
	struct audit *a = entry(s->node, AUDIT_END);
	struct stream_info info;

	if (!a)
		return;
	stream_describe(s, &info);
	set_key(a, s->peer->key);
	set_connection(a, s->peer->used);
	snprintf(a->service, sizeof(a->service), "%s", s->service);
	a->allowed = true;
	a->why = why;
	a->tx_bytes = info.tx_bytes;
	a->rx_bytes = info.rx_bytes;
}

bool audit_next(struct node *n, struct audit *out)
{
	if (n->audit_count == 0)
		return false;
	*out = n->audits[n->audit_head];
	n->audit_head = (n->audit_head + 1) % AUDITS_MAX;
	n->audit_count--;
	return true;
}

void audit_clear(struct node *n)
{
	free(n->audits);
	n->audits = NULL;
	n->audit_count = 0;
}
