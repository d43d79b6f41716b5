// SPDX-License-Identifier: Apache-2.0
#include "lib/drive.h"

#include <malloc.h>
#include <poll.h>
#include <time.h>

#include "base/error.h"

enum {
	ROUNDS_MAX = 4,         /* of receive and transmit in one godwit_node_process() */
	RECEIVES_PER_ROUND = 2, /* system calls, each up to 512 KiB */
	FEW = 16,               /* datagrams in a round: no more are to be expected at once */
	BATCHES_MAX = 64,       /* sent in one drive_transmit(), each up to 64 KiB */
	GOODBYE_BATCHES = 4096,
	TRIM_FROM = 16,        /* connections */
	GOODBYE_WAIT_MS = 100, /* for a full socket */
};

/* Woken this much too late we were not running: stopped, frozen, or the machine slept. */
#define STOPPED (2 * GW_SEC)
/* The clock that counts sleep has gone this much further than the one that does not. */
#define SLEPT GW_SEC

/* An address is announced before its route is there, and a link before it passes frames: an
 * ARP request that is lost then costs a second. */
#define NETWORK_SETTLES (10 * GW_MSEC)

/* --- time that passed without us --- */

static gw_time suspended_total(void)
{
	struct timespec ts;
	gw_time boot, now = loop_clock();

	if (clock_gettime(CLOCK_BOOTTIME, &ts) != 0)
		return 0;
	boot = (gw_time)ts.tv_sec * GW_SEC + (gw_time)ts.tv_nsec;
	return boot > now ? boot - now : 0;
}

static void look_for_jump(godwit_node *node, gw_time now)
{
	gw_time total = suspended_total();
	bool slept = total > node->suspended + SLEPT;
	bool stopped = node->due != GW_NEVER && now > node->due && now - node->due > STOPPED;

	node->suspended = total;
	node->due = GW_NEVER; /* one gap, one report; rearm() sets it anew */
	node_set_wall_clock(node->core, loop_wall_clock_ms(), now);
	if (slept || stopped)
		node_clock_jumped(node->core, now);
}

/* --- the timer --- */

static void rearm(godwit_node *node)
{
	gw_time at = node->more_to_send ? loop_now(node->loop) : node_expiry(node->core);

	/* A core that cannot send may ask for it again and again. */
	if (node->batch_waiting)
		at = time_max(at, loop_clock() + GW_MSEC);
	node->due = time_max(at, loop_clock()); /* what is overdue now is no gap */
	loop_timer_set(node->timer, at);
}

/* A connection costs some 60 KB; when most are gone, the allocator gives their pages back. */
static void give_memory_back(godwit_node *node)
{
	size_t count = node_connections(node->core);

	if (count > node->most_connections) {
		node->most_connections = count;
	} else if (node->most_connections >= TRIM_FROM && count <= node->most_connections / 4) {
		malloc_trim(0);
		node->most_connections = count;
	}
}

static void expire_if_due(godwit_node *node)
{
	gw_time now = loop_clock();

	if (node_expiry(node->core) <= now)
		node_expire(node->core, now);
}

/* --- sending --- */

static void wait_for_room(godwit_node *node, bool waiting)
{
	node->batch_waiting = waiting;
	loop_modify(node->udp_source, waiting ? LOOP_IN | LOOP_OUT : LOOP_IN);
}

/* False when the socket is full. */
static bool send_batch(godwit_node *node)
{
	const struct batch *b = &node->batch;

	if (b->path.via != 0) {
		conduits_send(node, b);
		return true;
	}
	switch (udp_send(node->udp, &b->path, b->data, b->len, b->segment)) {
	case 0:
		break;
	case GW_E_AGAIN:
		return false;
	case GW_E_LENGTH:
		if (!b->probe)
			node_send_failed(node->core, &b->path, SEND_TOO_BIG, loop_clock());
		break;
	default:
		node_send_failed(node->core, &b->path, SEND_UNREACHABLE, loop_clock());
		break;
	}
	return true;
}

/* Like drive_transmit(), but leaves the timer as it is. */
static void transmit(godwit_node *node)
{
	look_for_jump(node, loop_clock());
	node->more_to_send = false;
	if (node->batch_waiting) {
		if (!send_batch(node))
			return;
		wait_for_room(node, false);
	}
	conduits_serve(node);
	for (int i = 0; i < BATCHES_MAX; i++) {
		if (!node_transmit(node->core, &node->batch, loop_clock())) {
			node->more_to_send = conduits_serve(node);
			return;
		}
		if (!send_batch(node)) {
			wait_for_room(node, true);
			return;
		}
	}
	node->more_to_send = true;
}

void drive_transmit(godwit_node *node)
{
	transmit(node);
	rearm(node);
	give_memory_back(node);
}

void drive_soon(godwit_node *node)
{
	node->more_to_send = true;
	rearm(node);
}

void drive_look(godwit_node *node)
{
	look_for_jump(node, loop_clock());
}

void drive_say_goodbye(godwit_node *node)
{
	for (int i = 0; i < GOODBYE_BATCHES; i++) {
		struct pollfd p = { .fd = udp_fd(node->udp), .events = POLLOUT };

		if (node->batch_waiting) {
			if (send_batch(node))
				node->batch_waiting = false;
			else if (poll(&p, 1, GOODBYE_WAIT_MS) <= 0)
				return;
		} else if (!node_transmit(node->core, &node->batch, loop_clock())) {
			break;
		} else {
			node->batch_waiting = !send_batch(node);
		}
	}
	if (node->conduits.n_tls > 0) /* they send at the end of a turn */
		loop_run_once(node->loop, 0);
}

/* --- receiving --- */

struct arrival {
	struct node *core;
	gw_time now;
};

static void on_datagram(void *user, const struct path *path, const uint8_t *data, size_t len)
{
	struct arrival *a = user;

	node_receive(a->core, path, data, len, a->now);
}

/* While packets keep coming, answering them here saves a turn of the outer loop; the bound
 * lets the application consume, and the host loop do its other work.  After a few packets the
 * application speaks first: its answer carries the acknowledgement (godwit_node_next_event()
 * transmits when it has no more events). */
static void on_udp(void *user, int fd, unsigned events)
{
	godwit_node *node = user;

	(void)fd;
	(void)events;
	for (int i = 0; i < ROUNDS_MAX; i++) {
		struct arrival a = { node->core, loop_clock() };
		int n;

		if (i == 0)
			look_for_jump(node, a.now);
		n = udp_receive(node->udp, RECEIVES_PER_ROUND, on_datagram, &a);
		expire_if_due(node);
		if (n < FEW && node_has_input(node->core))
			break;
		transmit(node);
		if (n < FEW)
			break;
	}
	rearm(node);
}

static void on_timer(void *user)
{
	godwit_node *node = user;

	look_for_jump(node, loop_clock());
	expire_if_due(node);
	drive_transmit(node);
}

/* --- the network --- */

/* Can the socket, as it is bound, send from there? */
static bool is_ours(const struct addr *bound, const struct addr *a)
{
	if (!addr_is_unspecified(bound))
		return addr_same_host(bound, a);
	return bound->family == ADDR_NONE || bound->family == a->family;
}

static void read_locals(godwit_node *node)
{
	size_t found = netmon_addresses(node->netmon, node->locals, NETMON_ADDRS_MAX);
	struct addr bound = udp_local(node->udp);

	node->n_locals = 0;
	for (size_t i = 0; i < found; i++)
		if (is_ours(&bound, &node->locals[i].addr))
			node->locals[node->n_locals++] = node->locals[i];
	node_network_changed(node->core, node->locals, node->n_locals, loop_clock());
}

static void on_netmon(void *user, int fd, unsigned events)
{
	godwit_node *node = user;

	(void)fd;
	(void)events;
	if (netmon_changed(node->netmon) && !node->settling) {
		node->settling = true;
		loop_timer_set(node->settled, loop_clock() + NETWORK_SETTLES);
	}
}

static void on_settled(void *user)
{
	godwit_node *node = user;

	node->settling = false;
	read_locals(node);
	mapping_restart(node);
	node->network_event = true;
	drive_transmit(node);
}

/* --- start, stop, rebind --- */

static int watch_udp(godwit_node *node)
{
	unsigned events = node->batch_waiting ? LOOP_IN | LOOP_OUT : LOOP_IN;

	node->udp_source = loop_add(node->loop, udp_fd(node->udp), events, on_udp, node);
	return node->udp_source ? 0 : GW_E_NOMEM;
}

int node_rebind(godwit_node *node)
{
	int error, watch_error;

	loop_remove(node->udp_source);
	node->batch_waiting = false;
	error = udp_rebind(node->udp);
	watch_error = watch_udp(node);
	mapping_rebound(node);
	return error ? error : watch_error;
}

int drive_start(godwit_node *node)
{
	int error;

	node->due = GW_NEVER;
	node->suspended = suspended_total();
	node->timer = loop_timer_new(node->loop, on_timer, node);
	if (!node->timer)
		return GW_E_NOMEM;
	error = watch_udp(node);
	if (error || !node->netmon)
		return error;
	node->settled = loop_timer_new(node->loop, on_settled, node);
	node->netmon_source =
		loop_add(node->loop, netmon_fd(node->netmon), LOOP_IN, on_netmon, node);
	if (!node->netmon_source || !node->settled)
		return GW_E_NOMEM;
	read_locals(node);
	return 0;
}

void drive_stop(godwit_node *node)
{
	if (!node->loop)
		return;
	loop_remove(node->udp_source);
	loop_remove(node->netmon_source);
	loop_timer_free(node->settled);
	loop_timer_free(node->timer);
	conduits_clear(&node->conduits);
}
