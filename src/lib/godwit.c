// SPDX-License-Identifier: Apache-2.0
/* Nodes of the public API: making, driving and freeing them, their peers and events. */
#include <errno.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

#include "base/error.h"
#include "io/entropy.h"
#include "lib/drive.h"

enum { BATCH_CAPACITY = 65536, TIMER_SLACK_NS = 1000 };

gw_time from_ms(uint64_t milliseconds)
{
	return milliseconds >= GW_NEVER / GW_MSEC ? GW_NEVER : milliseconds * GW_MSEC;
}

void set_timer_slack(void)
{
	prctl(PR_SET_TIMERSLACK, TIMER_SLACK_NS, 0, 0, 0);
}

/* --- options --- */

void godwit_options_init(godwit_options *options)
{
	struct node_config config;

	node_config_init(&config);
	*options = (godwit_options){
		.size = sizeof(*options),
		.park_timeout_ms = config.park_timeout / GW_MSEC,
		.memory_limit = config.memory_limit,
	};
}

/* The caller may have been built with an older, shorter struct. */
static int take_options(godwit_options *out, const godwit_options *in)
{
	if (in->size < offsetof(godwit_options, congestion))
		return GW_E_INVALID;
	godwit_options_init(out);
	memcpy(out, in, in->size < sizeof(*out) ? in->size : sizeof(*out));
	return 0;
}

static int take_identity(struct identity *out, const godwit_options *o)
{
	int given = (o->identity_path != NULL) + (o->identity_pem != NULL) + o->ephemeral;
	int error = crypto_init();

	if (error)
		return error;
	if (given != 1)
		return GW_E_INVALID;
	if (o->identity_path)
		return identity_load_or_create(out, o->identity_path);
	if (o->identity_pem)
		return identity_from_pem(out, o->identity_pem, strlen(o->identity_pem));
	identity_generate(out);
	return 0;
}

static int take_congestion(bool *bbr, const char *word)
{
	if (!word)
		return 0;
	if (strcmp(word, "bbr") != 0 && strcmp(word, "cubic") != 0)
		return GW_E_INVALID;
	*bbr = strcmp(word, "bbr") == 0;
	return 0;
}

/* --- making and freeing --- */

static int open_sockets(godwit_node *node, const char *listen)
{
	struct addr where = { 0 };
	int error;

	if (listen && addr_parse(&where, listen) != 0)
		return GW_E_INVALID;
	error = loop_new(&node->loop);
	if (!error)
		error = udp_open(&node->udp, &where);
	if (error)
		return error;
	/* Without it we live on, and notice changes by silence alone. */
	if (netmon_open(&node->netmon) != 0)
		fprintf(stderr,
			"godwit: no network monitor (%s): address changes are noticed late\n",
			strerror(errno));
	return 0;
}

static int make_core(godwit_node *node, const godwit_options *o)
{
	struct node_config config;
	struct identity id;
	struct addr bound;
	int error;

	node_config_init(&config);
	error = take_congestion(&config.bbr, o->congestion);
	if (!error)
		error = take_identity(&id, o);
	if (error)
		return error;
	entropy_init(&node->rng);
	config.identity = &id;
	config.rng = &node->rng;
	config.transient = o->transient;
	config.audit = o->audit;
	config.relay_only = node->relay_only = o->relay_only;
	bound = udp_local(node->udp);
	node->wants_mapping = !o->transient && !o->relay_only && addr_is_unspecified(&bound);
	config.udp_port = udp_local(node->udp).port;
	config.started_ms = loop_wall_clock_ms();
	config.park_timeout = from_ms(o->park_timeout_ms);
	config.memory_limit = o->memory_limit > SIZE_MAX ? SIZE_MAX : (size_t)o->memory_limit;
	memcpy(node->key, id.key, sizeof(node->key));
	node->core = node_new(&config, loop_clock());
	identity_wipe(&id);
	return node->core ? 0 : GW_E_NOMEM;
}

static int set_up(godwit_node *node, const godwit_options *o)
{
	int error = open_sockets(node, o->listen);

	if (!error)
		error = make_core(node, o);
	if (error)
		return error;
	node->batch.data = malloc(BATCH_CAPACITY);
	node->batch.capacity = BATCH_CAPACITY;
	return node->batch.data ? drive_start(node) : GW_E_NOMEM;
}

static void tear_down(godwit_node *node)
{
	int saved = errno;

	mapping_stop(node);
	drive_stop(node);
	if (node->core)
		node_free(node->core);
	netmon_close(node->netmon);
	udp_close(node->udp);
	loop_free(node->loop);
	free(node->batch.data);
	free(node);
	errno = saved;
}

int godwit_node_new(godwit_node **out, const godwit_options *options)
{
	godwit_options o;
	godwit_node *node;
	int error = take_options(&o, options);

	if (error)
		return error;
	node = calloc(1, sizeof(*node));
	if (!node)
		return GW_E_NOMEM;
	conduits_init(&node->conduits);
	error = set_up(node, &o);
	if (error) {
		tear_down(node);
		return error;
	}
	set_timer_slack();
	*out = node;
	return 0;
}

void godwit_node_free(godwit_node *node)
{
	if (!node)
		return;
	runner_stop(node->runner);
	node_close(node->core, loop_clock());
	drive_say_goodbye(node);
	tear_down(node);
}

/* --- driving --- */

/* To be woken takes 5 us on one machine, and 50 on another, where a processor that sleeps is given
 * back to the host. */
enum { POLL_FAR = 50000, POLL_NEAR = 200000 };

int godwit_node_fd(const godwit_node *node)
{
	return loop_fd(node->loop);
}

uint64_t godwit_node_timeout_ns(godwit_node *node)
{
	gw_time now = loop_clock(), due = loop_due(node->loop);

	return due == GW_NEVER ? GODWIT_NEVER : due > now ? due - now : 0;
}

uint64_t godwit_node_poll_ns(const godwit_node *node)
{
	return node_is_near(node->core, loop_clock()) ? POLL_NEAR : POLL_FAR;
}

void godwit_node_process(godwit_node *node)
{
	loop_run_once(node->loop, 0);
}

void godwit_node_flush(godwit_node *node)
{
	drive_transmit(node);
}

/* --- policy and peers --- */

int godwit_listen(godwit_node *node, const char *service, uint64_t park_timeout_ms)
{
	return node_listen(node->core, service, from_ms(park_timeout_ms));
}

int godwit_listen_datagrams(godwit_node *node, const char *service, uint64_t park_timeout_ms)
{
	return node_listen_datagrams(node->core, service, from_ms(park_timeout_ms));
}

void godwit_unlisten(godwit_node *node, const char *service)
{
	node_unlisten(node->core, service);
}

int godwit_allow(godwit_node *node, const char *service, const uint8_t *key)
{
	struct subject who = subject_of_key(key);

	return node_allow(node->core, service, &who);
}

void godwit_disallow(godwit_node *node, const char *service, const uint8_t *key)
{
	struct subject who = subject_of_key(key);

	node_disallow(node->core, service, &who);
}

int godwit_allow_network(godwit_node *node, const char *service,
			 const uint8_t network[GODWIT_KEY_SIZE], const char *group)
{
	struct subject who = subject_of_network(network, group);

	return node_allow(node->core, service, &who);
}

void godwit_disallow_network(godwit_node *node, const char *service,
			     const uint8_t network[GODWIT_KEY_SIZE], const char *group)
{
	struct subject who = subject_of_network(network, group);

	node_disallow(node->core, service, &who);
}

int godwit_allow_dial(godwit_node *node, const uint8_t *key)
{
	struct subject who = subject_of_key(key);

	return node_allow_dial(node->core, &who);
}

void godwit_disallow_dial(godwit_node *node, const uint8_t *key)
{
	struct subject who = subject_of_key(key);

	node_disallow_dial(node->core, &who);
}

int godwit_allow_dial_network(godwit_node *node, const uint8_t network[GODWIT_KEY_SIZE],
			      const char *group)
{
	struct subject who = subject_of_network(network, group);

	return node_allow_dial(node->core, &who);
}

void godwit_disallow_dial_network(godwit_node *node, const uint8_t network[GODWIT_KEY_SIZE],
				  const char *group)
{
	struct subject who = subject_of_network(network, group);

	node_disallow_dial(node->core, &who);
}

void godwit_recheck(godwit_node *node)
{
	node_recheck(node->core, loop_clock());
}

int godwit_add_endpoint(godwit_node *node, const uint8_t key[GODWIT_KEY_SIZE], const char *endpoint)
{
	struct addr a;
	int error = addr_parse(&a, endpoint);

	if (error)
		return error;
	if (!addr_is_usable(&a))
		return GW_E_INVALID;
	return node_add_endpoint(node->core, key, &a, loop_clock());
}

int godwit_dial(godwit_node *node, const uint8_t key[GODWIT_KEY_SIZE])
{
	return node_dial(node->core, key, loop_clock());
}

void godwit_undial(godwit_node *node, const uint8_t key[GODWIT_KEY_SIZE])
{
	node_undial(node->core, key, loop_clock());
}

int godwit_ping(godwit_node *node, const uint8_t key[GODWIT_KEY_SIZE], uint64_t *id)
{
	return node_ping(node->core, key, id, loop_clock());
}

/* --- events --- */

_Static_assert((int)GODWIT_EVENT_STREAM == (int)EVENT_STREAM, "event type");
_Static_assert((int)GODWIT_EVENT_PEER == (int)EVENT_PEER, "event type");
_Static_assert((int)GODWIT_EVENT_PONG == (int)EVENT_PONG, "event type");
_Static_assert((int)GODWIT_EVENT_IDENTITY_IN_USE == (int)EVENT_IDENTITY_IN_USE, "event type");

static void convert_path(const struct event *in, godwit_event *out)
{
	if (in->relay) {
		out->relayed = true;
		relay_text(in->relay, out->relay, out->transport);
	} else {
		addr_format(&in->path.remote, out->endpoint);
		memcpy(out->transport, "udp", sizeof("udp"));
	}
}

static void convert_audit(const struct audit *in, godwit_event *out)
{
	out->type = GODWIT_EVENT_AUDIT;
	memcpy(out->key, in->key, sizeof(out->key));
	if (in->relay[0]) {
		out->relayed = true;
		snprintf(out->relay, sizeof(out->relay), "%s", in->relay);
	} else if (in->path.remote.family != ADDR_NONE) {
		addr_format(&in->path.remote, out->endpoint);
	}
	out->audit = (godwit_audit){
		.what = (godwit_audit_what)in->what,
		.allowed = in->allowed,
		.key_known = in->key_known,
		.why = in->why,
		.tx_bytes = in->tx_bytes,
		.rx_bytes = in->rx_bytes,
		.lost = in->lost,
	};
	memcpy(out->audit.service, in->service, sizeof(in->service));
}

static void convert(const struct event *in, godwit_event *out)
{
	memset(out, 0, sizeof(*out));
	out->type = (godwit_event_type)in->type;
	switch (in->type) {
	case EVENT_STREAM:
		out->stream = to_public(in->stream);
		out->flags = in->flags;
		break;
	case EVENT_PEER:
		memcpy(out->key, in->key, sizeof(out->key));
		out->state = (godwit_peer_state)in->state;
		out->error = in->error;
		if (in->state == PEER_CONNECTED)
			convert_path(in, out);
		break;
	case EVENT_PONG:
		memcpy(out->key, in->key, sizeof(out->key));
		out->ping_id = in->ping_id;
		out->rtt_us = in->rtt / GW_USEC;
		convert_path(in, out);
		break;
	case EVENT_BEACONS:
		out->type = GODWIT_EVENT_BEACONS;
		break;
	case EVENT_MANIFEST:
		out->type = GODWIT_EVENT_MANIFEST;
		memcpy(out->key, in->key, sizeof(out->key));
		break;
	case EVENT_NAME:
		out->type = GODWIT_EVENT_NAME;
		memcpy(out->key, in->key, sizeof(out->key));
		out->ping_id = in->ping_id;
		out->error = in->error;
		break;
	case EVENT_AUDIT:
		convert_audit(in->audit, out);
		break;
	case EVENT_IDENTITY_IN_USE:
		break;
	}
}

static bool take_event(godwit_node *node, godwit_event *out)
{
	struct event e;

	if (node->network_event) {
		node->network_event = false;
		memset(out, 0, sizeof(*out));
		out->type = GODWIT_EVENT_NETWORK;
		return true;
	}
	if (!node_next_event(node->core, &e))
		return false;
	convert(&e, out);
	return true;
}

bool godwit_node_next_event(godwit_node *node, godwit_event *out)
{
	if (take_event(node, out))
		return true;
	drive_transmit(node); /* may end streams: the system can refuse to send */
	return take_event(node, out);
}
