/* tests/bench/peers.c - what a peer costs in memory: known, connected and idle, parked.
 *
 *	peers N
 *
 * One node in this process; N others come one after the other, ping it, and vanish without a word.
 * Prints one JSON object a row. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <malloc.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "godwit/godwit.h"

static size_t rss_bytes(void)
{
	unsigned long pages = 0;
	FILE *f = fopen("/proc/self/statm", "r");

	if (!f || fscanf(f, "%*u %lu", &pages) != 1)
		abort();
	fclose(f);
	return pages * (size_t)sysconf(_SC_PAGESIZE);
}

static size_t heap_bytes(void)
{
	struct mallinfo2 m = mallinfo2();

	return m.uordblks + m.hblkhd;
}

static godwit_node *node_new(void)
{
	godwit_options options;
	godwit_node *node;

	godwit_options_init(&options);
	options.ephemeral = true;
	options.listen = "127.0.0.1:0";
	int error = godwit_node_new(&node, &options);

	if (error != 0) {
		fprintf(stderr, "peers: %s\n", godwit_strerror(error));
		exit(1);
	}
	return node;
}

static void drain(godwit_node *node)
{
	godwit_event event;

	godwit_node_process(node);
	while (godwit_node_next_event(node, &event))
		;
}

/* Let one client ping the server; false when it did not get through. */
static bool visit(godwit_node *server)
{
	godwit_node *client = node_new();
	uint8_t key[GODWIT_KEY_SIZE];
	char endpoint[GODWIT_ENDPOINT_SIZE];
	uint64_t id;
	bool ponged = false;

	godwit_node_key(server, key);
	snprintf(endpoint, sizeof(endpoint), "127.0.0.1:%u", godwit_node_port(server));
	godwit_add_endpoint(client, key, endpoint);
	godwit_ping(client, key, &id);
	for (int i = 0; i < 5000 && !ponged; i++) {
		struct pollfd p[2] = { { godwit_node_fd(client), POLLIN, 0 },
				       { godwit_node_fd(server), POLLIN, 0 } };
		godwit_event event;

		godwit_node_process(client);
		while (godwit_node_next_event(client, &event))
			ponged = ponged || event.type == GODWIT_EVENT_PONG;
		drain(server);
		if (!ponged)
			poll(p, 2, 1);
	}
	/* Without connections there is nobody to say goodbye to. */
	godwit_debug(client, "break");
	godwit_node_free(client);
	drain(server);
	return ponged;
}

static size_t count_peers(godwit_node *node, godwit_peer_state state)
{
	size_t total = godwit_node_peers(node, NULL, 0), n = 0;
	godwit_peer_info *info = calloc(total + 1, sizeof(*info));

	if (!info)
		abort();
	total = godwit_node_peers(node, info, total);
	for (size_t i = 0; i < total; i++)
		n += info[i].state == state;
	free(info);
	return n;
}

static void row(const char *name, size_t n, size_t heap, size_t rss)
{
	printf("{\"row\":\"%s\",\"bytes\":%zu,\"rss_bytes\":%zu,\"peers\":%zu}\n", name,
	       n ? heap / n : 0, n ? rss / n : 0, n);
}

static size_t above(size_t now, size_t before)
{
	return now > before ? now - before : 0;
}

int main(int argc, char **argv)
{
	size_t count = argc > 1 ? strtoul(argv[1], NULL, 10) : 1000;
	godwit_node *server = node_new();

	godwit_listen(server, "x", GODWIT_NEVER);
	godwit_allow(server, NULL, NULL);
	visit(server); /* what is allocated once */
	size_t heap = heap_bytes(), rss = rss_bytes();

	for (size_t i = 0; i < count; i++) {
		if (!visit(server)) {
			fprintf(stderr, "peers: visitor %zu got no answer\n", i);
			return 1;
		}
	}
	row("connected idle peer", count_peers(server, GODWIT_PEER_CONNECTED),
	    above(heap_bytes(), heap), above(rss_bytes(), rss));
	godwit_debug(server, "break");
	drain(server);
	row("parked peer", count_peers(server, GODWIT_PEER_PARKED), above(heap_bytes(), heap),
	    above(rss_bytes(), rss));
	godwit_node_free(server);
	return 0;
}
