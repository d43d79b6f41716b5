/* examples/echo_server.c - offers the service "echo" to anyone; an event loop of its own.
 *
 *	cc echo_server.c $(pkg-config --cflags --libs godwit) -o echo_server
 *	./echo_server           prints a ticket for echo_client */
/* SPDX-License-Identifier: Apache-2.0 */
#include <godwit/godwit.h>

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

static void check(int error, const char *what)
{
	if (!error)
		return;
	fprintf(stderr, "echo_server: %s: %s\n", what, godwit_strerror(error));
	exit(1);
}

/* Give back what has come, as far as there is room; the rest when there is room again. */
static void echo(godwit_stream *stream)
{
	const void *data;
	ssize_t taken;
	size_t len;

	for (;;) {
		data = godwit_stream_read(stream, &len);
		if (len == 0)
			break;
		taken = godwit_stream_write(stream, data, len);
		if (taken <= 0)
			return;
		godwit_stream_consume(stream, (size_t)taken);
	}
	if (godwit_stream_read_finished(stream))
		godwit_stream_finish(stream);
}

static void serve(const godwit_event *event)
{
	const unsigned over = GODWIT_STREAM_FAILED | GODWIT_STREAM_DELIVERED;

	if (event->type != GODWIT_EVENT_STREAM)
		return;
	if (event->flags & over)
		godwit_stream_free(event->stream);
	else
		echo(event->stream);
}

int main(void)
{
	char ticket[GODWIT_TICKET_SIZE];
	godwit_options options;
	godwit_node *node;
	godwit_event event;

	godwit_options_init(&options);
	options.ephemeral = true; /* or options.identity_path = "key.pem" */
	check(godwit_node_new(&node, &options), "cannot start");
	check(godwit_listen(node, "echo", GODWIT_NEVER), "cannot offer echo");
	check(godwit_allow(node, "echo", NULL), "cannot allow anyone");
	check(godwit_node_ticket(node, "echo", ticket), "cannot make a ticket");
	printf("%s\n", ticket);
	fflush(stdout);

	for (;;) {
		struct pollfd wait = { .fd = godwit_node_fd(node), .events = POLLIN };

		poll(&wait, 1, -1);
		godwit_node_process(node);
		while (godwit_node_next_event(node, &event))
			serve(&event);
	}
}
