/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "base/keymap.h"
#include "base/list.h"
#include "io/entropy.h"
#include "io/udp.h"
#include "service/datagrams.h"
#include "service/find.h"

enum {
	BUFFER = 16384,
	RECEIVES = 4, /* system calls before others get their turn */
};

#define IDLE (60 * GW_SEC)
/* A refused client's datagrams are dropped for so long before the service is asked again. */
#define RETRY (1 * GW_SEC)

/* One client address. */
struct call {
	struct stream_handler handler;
	struct list_item link; /* in calls->list */
	struct keymap_item by_client;
	struct calls *calls;
	struct path path;      /* remote: the client; local: the address that it used last */
	godwit_stream *stream; /* NULL: refused */
	bool answered;
	gw_time used_at, retry_at;
};

struct calls {
	struct hub *hub;
	struct finder finder;
	struct size_notice *notice;
	calls_note_fn *note;
	void *user;
	gw_time idle;
	struct udp *udp;
	struct loop_source *source;
	struct loop_timer *timer; /* the idlest is idle enough */
	struct list list;         /* the idlest first */
	struct keymap by_client;
};

/* --- the clients --- */

static void key_of(const struct addr *client, uint8_t key[KEYMAP_KEY_SIZE])
{
	memset(key, 0, KEYMAP_KEY_SIZE);
	memcpy(key, client->ip, sizeof(client->ip));
	memcpy(key + 16, &client->port, sizeof(client->port));
	memcpy(key + 18, &client->scope, sizeof(client->scope));
	key[22] = client->family;
}

static void let_go(struct call *c)
{
	if (!c->stream)
		return;
	godwit_stream_set_user(c->stream, NULL);
	godwit_stream_free(c->stream);
	c->stream = NULL;
}

static void end(struct call *c)
{
	let_go(c);
	keymap_remove(&c->calls->by_client, &c->by_client);
	list_remove(&c->link);
	free(c);
}

static struct call *idlest(const struct calls *cs)
{
	struct list_item *i = list_first(&cs->list);

	return i ? container_of(i, struct call, link) : NULL;
}

static void set_timer(struct calls *cs)
{
	const struct call *c = idlest(cs);

	loop_timer_set(cs->timer, c ? c->used_at + cs->idle : GW_NEVER);
}

static void note_use(struct call *c)
{
	struct calls *cs = c->calls;

	c->used_at = loop_now(hub_loop(cs->hub));
	list_remove(&c->link);
	list_append(&cs->list, &c->link);
}

static void on_idle(void *user)
{
	struct calls *cs = user;
	struct hub *h = cs->hub;
	gw_time now = loop_now(hub_loop(h));
	struct call *c;

	while ((c = idlest(cs)) && c->used_at + cs->idle <= now)
		end(c);
	set_timer(cs);
	hub_wake(h);
}

/* --- from the peer --- */

static void stream_to_client(struct call *c)
{
	uint8_t data[BUFFER];
	ssize_t len;

	while ((len = godwit_datagram_receive(c->stream, data, sizeof(data))) >= 0) {
		note_use(c);
		/* A full socket loses it, as any network may. */
		if (udp_send(c->calls->udp, &c->path, data, (size_t)len, (size_t)len) != 0)
			udp_forget(c->calls->udp);
	}
}

static void on_stream(struct stream_handler *h, godwit_stream *stream, unsigned flags)
{
	struct call *c = (struct call *)h;
	struct calls *cs = c->calls;
	int error = godwit_stream_error(stream);

	if (flags & GODWIT_STREAM_ANSWERED) {
		c->answered = true;
		cs->note(cs->user, 0);
	}
	stream_to_client(c);
	if (error) {
		finder_forget(&cs->finder);
		cs->note(cs->user, error);
	}
	if ((error && c->answered) || (!error && godwit_stream_read_finished(stream)))
		end(c);
	else if (error)
		let_go(c);
}

/* --- from the clients --- */

static void call_service(struct call *c)
{
	struct calls *cs = c->calls;
	gw_time now = loop_now(hub_loop(cs->hub));
	uint8_t key[GODWIT_KEY_SIZE];
	int rv;

	if (c->stream || now < c->retry_at)
		return;
	rv = finder_key(&cs->finder, key);
	if (rv == GODWIT_E_AGAIN)
		return; /* what comes meanwhile is dropped, as while a peer is away */
	c->retry_at = now + RETRY;
	if (rv == 0)
		rv = godwit_datagram_open(hub_node(cs->hub), key, cs->finder.place.ticket.service,
					  &c->stream);
	if (rv < 0)
		cs->note(cs->user, rv);
	else
		godwit_stream_set_user(c->stream, &c->handler);
}

static struct call *new_call(struct calls *cs, const struct addr *client)
{
	struct call *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	if (cs->by_client.count >= FORWARD_CLIENTS_MAX)
		end(idlest(cs));
	key_of(client, c->by_client.key);
	if (keymap_put(&cs->by_client, &c->by_client) < 0) {
		free(c);
		return NULL;
	}
	c->handler.on_event = on_stream;
	c->calls = cs;
	c->path.remote = *client;
	return c;
}

static struct call *find_call(struct calls *cs, const struct addr *client)
{
	uint8_t key[KEYMAP_KEY_SIZE];
	struct keymap_item *i;

	key_of(client, key);
	i = keymap_get(&cs->by_client, key);
	return i ? container_of(i, struct call, by_client) : new_call(cs, client);
}

static void on_datagram(void *user, const struct path *path, const uint8_t *data, size_t len)
{
	struct calls *cs = user;
	struct call *c = find_call(cs, &path->remote);

	if (!c)
		return;
	c->path.local = path->local;
	c->path.ifindex = addr_is_link_local(&path->remote) ? path->ifindex : 0;
	note_use(c);
	call_service(c);
	if (c->stream && godwit_datagram_send(c->stream, data, len) == GODWIT_E_LENGTH)
		size_notice_tell(cs->notice, len, godwit_datagram_max(c->stream));
}

static void on_readable(void *user, int fd, unsigned events)
{
	struct calls *cs = user;
	struct hub *h = cs->hub;

	(void)fd;
	(void)events;
	udp_receive(cs->udp, RECEIVES, on_datagram, cs);
	set_timer(cs);
	hub_wake(h);
}

/* --- start and stop --- */

static int open_socket(struct calls *cs, struct target *listen)
{
	struct addr at;
	int rv;

	if (strcmp(listen->host, "localhost") == 0)
		memcpy(listen->host, "127.0.0.1", 10);
	if (addr_parse_host(&at, listen->host, listen->port) < 0)
		return GODWIT_E_INVALID;
	rv = udp_open(&cs->udp, &at);
	if (rv == 0)
		listen->port = udp_local(cs->udp).port;
	return rv;
}

static void on_found(void *user, int error)
{
	struct calls *cs = user;

	if (error)
		cs->note(cs->user, error);
}

int calls_start(struct hub *h, struct target *listen, const struct place *to,
		struct size_notice *notice, calls_note_fn *note, void *user, struct calls **out)
{
	struct calls *cs = calloc(1, sizeof(*cs));
	struct rng rng;
	int rv;

	if (!cs)
		return GODWIT_E_NOMEM;
	entropy_init(&rng);
	cs->hub = h;
	finder_init(&cs->finder, h, to, on_found, cs);
	cs->notice = notice;
	cs->note = note;
	cs->user = user;
	cs->idle = IDLE;
	list_init(&cs->list);
	keymap_init(&cs->by_client, rng_u64(&rng));
	rv = open_socket(cs, listen);
	if (rv == 0) {
		cs->timer = loop_timer_new(hub_loop(h), on_idle, cs);
		cs->source = loop_add(hub_loop(h), udp_fd(cs->udp), LOOP_IN, on_readable, cs);
		rv = cs->timer && cs->source ? 0 : GODWIT_E_NOMEM;
	}
	if (rv < 0) {
		calls_stop(cs);
		return rv;
	}
	*out = cs;
	return 0;
}

void calls_set_idle(struct calls *cs, gw_time idle)
{
	cs->idle = idle;
	set_timer(cs);
}

void calls_stop(struct calls *cs)
{
	while (idlest(cs))
		end(idlest(cs));
	finder_clear(&cs->finder);
	keymap_clear(&cs->by_client);
	if (cs->source)
		loop_remove(cs->source);
	loop_timer_free(cs->timer);
	udp_close(cs->udp);
	free(cs);
}
