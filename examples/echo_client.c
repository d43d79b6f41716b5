/* examples/echo_client.c - sends a line to echo_server and prints what comes back; with plain
 * sockets, no event loop.
 *
 *	cc echo_client.c $(pkg-config --cflags --libs godwit) -o echo_client
 *	./echo_client TICKET "hello" */
/* SPDX-License-Identifier: Apache-2.0 */
#include <godwit/godwit.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void check(int error, const char *what)
{
	if (error >= 0)
		return;
	fprintf(stderr, "echo_client: %s: %s\n", what, godwit_strerror(error));
	exit(1);
}

int main(int argc, char **argv)
{
	godwit_options options;
	godwit_node *node;
	char buffer[4096];
	ssize_t n;
	int fd;

	if (argc != 3) {
		fprintf(stderr, "usage: echo_client TICKET TEXT\n");
		return 2;
	}
	godwit_options_init(&options);
	options.ephemeral = true;
	options.transient = true;
	check(godwit_node_new(&node, &options), "cannot start");
	check(godwit_node_start_thread(node), "cannot start");
	fd = godwit_connect_fd(node, argv[1], 10000);
	check(fd, "cannot connect");

	if (write(fd, argv[2], strlen(argv[2])) < 0)
		perror("echo_client: write");
	shutdown(fd, SHUT_WR); /* all said; the answer can still come */
	while ((n = read(fd, buffer, sizeof(buffer))) > 0)
		fwrite(buffer, 1, (size_t)n, stdout);
	printf("\n");
	check(godwit_fd_error(node, fd), "the stream failed");
	close(fd);
	godwit_node_free(node);
	return 0;
}
