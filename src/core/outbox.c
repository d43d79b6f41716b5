/* SPDX-License-Identifier: Apache-2.0 */
#include "core/outbox.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void outbox_send(struct node *n, const struct path *path, const uint8_t *data, size_t len)
{
	struct outgoing *o = &n->outbox[(n->outbox_head + n->outbox_count) % OUTBOX_MAX];

	assert(len <= OUTBOX_SIZE);
	if (n->outbox_count == OUTBOX_MAX)
		return;
	n->outbox_count++;
	o->path = *path;
	o->len = len;
	memcpy(o->data, data, len);
}

bool outbox_transmit(struct node *n, struct batch *out)
{
	const struct outgoing *o = &n->outbox[n->outbox_head];

	if (n->outbox_count == 0)
		return false;
	out->path = o->path;
	out->len = out->segment = o->len;
	out->probe = true; /* its failure is no news */
	memcpy(out->data, o->data, o->len);
	n->outbox_head = (n->outbox_head + 1) % OUTBOX_MAX;
	n->outbox_count--;
	return true;
}

static struct io_request *request(struct node *n, enum io_request_type type)
{
	struct io_request *r;

	if (!n->requests)
		n->requests = calloc(IO_REQUESTS_MAX, sizeof(*n->requests));
	if (!n->requests || n->request_count == IO_REQUESTS_MAX)
		return NULL;
	r = &n->requests[(n->request_head + n->request_count++) % IO_REQUESTS_MAX];
	*r = (struct io_request){ .type = type };
	return r;
}

static uint32_t new_via(struct node *n)
{
	n->next_via = n->next_via == UINT32_MAX ? 1 : n->next_via + 1;
	return n->next_via;
}

void outbox_resolve(struct node *n, const char *host)
{
	struct io_request *r = request(n, IO_RESOLVE);

	if (r)
		strncpy(r->host, host, WIRE_HOST_MAX);
}

uint32_t outbox_open_tls(struct node *n, const char *host, uint16_t port)
{
	struct io_request *r = request(n, IO_TLS_OPEN);

	if (!r)
		return 0;
	strncpy(r->host, host, WIRE_HOST_MAX);
	r->port = port;
	r->via = new_via(n);
	return r->via;
}

uint32_t outbox_open_udp(struct node *n)
{
	struct io_request *r = request(n, IO_UDP_OPEN);

	if (!r)
		return 0;
	r->via = new_via(n);
	return r->via;
}

void outbox_close(struct node *n, uint32_t via)
{
	struct io_request *r = request(n, IO_CLOSE);

	if (r)
		r->via = via;
}

bool node_next_request(struct node *n, struct io_request *out)
{
	if (n->request_count == 0)
		return false;
	*out = n->requests[n->request_head];
	n->request_head = (n->request_head + 1) % IO_REQUESTS_MAX;
	n->request_count--;
	return true;
}
