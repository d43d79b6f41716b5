/* service/hub.h - one loop, one node: who gets which event.
 *
 * The hub takes the node's events and hands each to its handler.  Everything in service/ uses
 * only the public header and io/: it proves that godwit.h suffices. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_SERVICE_HUB_H
#define GODWIT_SERVICE_HUB_H

#include "godwit/godwit.h"
#include "io/loop.h"

struct hub;

/* What godwit_stream_user() of every stream in the hub points to: the first member of the
 * object that serves the stream. */
struct stream_handler {
	void (*on_event)(struct stream_handler *h, godwit_stream *stream, unsigned flags);
};

typedef void hub_incoming_fn(void *user, godwit_stream *stream);
/* PEER, PONG, IDENTITY_IN_USE and NETWORK events go to every observer. */
typedef void hub_event_fn(void *user, const godwit_event *event);

struct hub_observer; /* opaque */

/* Borrows both; registers the node's fd in the loop.  GODWIT_E_NOMEM, GODWIT_E_IO. */
int hub_new(struct hub **out, struct loop *loop, godwit_node *node);
void hub_free(struct hub *h);
struct loop *hub_loop(const struct hub *h);
godwit_node *hub_node(const struct hub *h);

/* Reset an incoming stream for a reason that its peer gets, and free it. */
void hub_refuse(godwit_stream *stream, int why);

/* Offer a service (godwit_listen(), or godwit_listen_datagrams()): `fn` takes each incoming stream and must set its user to a
 * stream_handler, or hub_refuse() it. */
int hub_offer(struct hub *h, const char *service, hub_incoming_fn *fn, void *user);
int hub_offer_datagrams(struct hub *h, const char *service, hub_incoming_fn *fn, void *user);
void hub_withdraw(struct hub *h, const char *service);

struct hub_observer *hub_observe(struct hub *h, hub_event_fn *fn, void *user);
void hub_unobserve(struct hub *h, struct hub_observer *o);

/* Take the events that calls have caused, and send what they queued: to be called at the end of
 * every callback of the loop that touched the node or a stream.  Objects may be gone then. */
void hub_wake(struct hub *h);

#endif
