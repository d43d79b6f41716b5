/* SPDX-License-Identifier: Apache-2.0 */
/* tests/net/portmap.c - portmap PORT: keep a mapping of that UDP port until SIGTERM, and print
 * what becomes of it.  SIGHUP: the network has changed. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "io/portmap.h"

struct program {
	struct loop *loop;
	struct portmap *portmap;
};

static void on_portmap(void *user, const struct portmap_info *info)
{
	static const char *const states[] = { "trying", "mapped", "none" };
	static const char *const answers[] = { "untried", "absent", "found", "refused", "granted" };
	char text[ADDR_TEXT_MAX];

	(void)user;
	printf("%s %s %s nested=%d %s\n", states[info->state],
	       portmap_protocol_name(info->protocol), addr_format(&info->external, text),
	       info->nested, info->error);
	for (enum portmap_protocol p = 0; p < PORTMAP_PROTOCOLS; p++)
		printf("  %s: %s %s\n", portmap_protocol_name(p), answers[info->findings[p].answer],
		       info->findings[p].why);
	fflush(stdout);
}

static void on_signal(void *user, int fd, unsigned events)
{
	struct program *p = user;
	struct signalfd_siginfo info;

	(void)events;
	if (read(fd, &info, sizeof(info)) != sizeof(info))
		return;
	if (info.ssi_signo == SIGHUP)
		portmap_restart(p->portmap);
	else
		loop_stop(p->loop);
}

int main(int argc, char **argv)
{
	struct program p = { 0 };
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	fd = signalfd(-1, &set, SFD_CLOEXEC);
	if (argc != 2 || fd < 0 || loop_new(&p.loop) != 0 ||
	    portmap_new(&p.portmap, p.loop, (uint16_t)strtoul(argv[1], NULL, 10), NULL, on_portmap,
			&p) != 0 ||
	    !loop_add(p.loop, fd, LOOP_IN, on_signal, &p))
		return 2;
	loop_run(p.loop);
	portmap_free(p.portmap);
	return 0;
}
