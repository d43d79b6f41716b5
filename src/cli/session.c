/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/session.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "cli/control.h"
#include "cli/notify.h"

/* SIGTERM: how long live streams may go on, and how often to look. */
#define DRAIN_PATIENCE (2 * GW_SEC)
#define DRAIN_POLL (20 * GW_MSEC)

/* A node answers questions about itself at once, unless it is stopped. */
#define NODE_PATIENCE (5 * GW_SEC)

/* `up` waits for its beacons, and says so after this. */
#define READY_PATIENCE (10 * GW_SEC)

/* Another process has the lock but not yet the control socket: it is starting. */
enum { STARTING_TRIES = 150, STARTING_WAIT_MS = 20 };

static const char HANDOVER[] = "handover";

struct session {
	const struct session_options *o;
	struct loop *loop;
	struct home home;
	struct agent *agent;
	struct control *control;
	struct control_call *call;
	struct op *op;
	struct loop_source *signals;
	int signal_fd;
	struct loop_timer *drain;
	struct loop_timer *patience; /* for a running node that should answer, or for beacons */
	gw_time drain_until;
	bool done, failed, ready;
	bool terminal; /* one of the standard descriptors was one */
	bool fatal;    /* what ended us ends all who use our node */
	int exit;
	struct failure failure;
};

static void stop(struct session *s, int exit)
{
	if (s->done)
		return;
	s->done = true;
	s->exit = exit;
	loop_stop(s->loop);
}

static void fail(struct session *s, const struct failure *f)
{
	if (s->done)
		return;
	s->failed = true;
	s->failure = *f;
	stop(s, f->exit);
}

/* --- signals --- */

static void on_drain(void *user)
{
	struct session *s = user;
	gw_time now = loop_now(s->loop);

	if (agent_active(s->agent) > 0 && now < s->drain_until) {
		loop_timer_set(s->drain, now + DRAIN_POLL);
	} else if (s->op && s->o->fds[0] >= 0) {
		struct failure f;

		fail_error(&f, GODWIT_E_CLOSED, "%s", "");
		fail_message(&f, "stopped before the stream had ended");
		fail_hint(&f, "connect again");
		fail(s, &f);
	} else {
		stop(s, EXIT_OK);
	}
}

static void drain(struct session *s)
{
	if (s->o->kind == SESSION_UP)
		notify("STOPPING=1");
	if (!s->agent || s->drain) {
		stop(s, EXIT_OK);
		return;
	}
	s->drain = loop_timer_new(s->loop, on_drain, s);
	if (!s->drain) {
		stop(s, EXIT_OK);
		return;
	}
	agent_drain(s->agent);
	hub_wake(agent_hub(s->agent));
	s->drain_until = loop_now(s->loop) + DRAIN_PATIENCE;
	on_drain(s);
}

static bool has_terminal(void)
{
	return isatty(STDIN_FILENO) || isatty(STDOUT_FILENO) || isatty(STDERR_FILENO);
}

/* To a node that stays: read the rules again.  It is also what comes when the terminal goes. */
static void hang_up(struct session *s)
{
	struct failure f;

	if (!s->agent || s->o->kind == SESSION_ONE_SHOT || (s->terminal && !has_terminal())) {
		drain(s);
		return;
	}
	if (agent_reload(s->agent, &f) < 0)
		fail_print(&f, false);
	hub_wake(agent_hub(s->agent));
}

static void on_signal(void *user, int fd, unsigned events)
{
	struct session *s = user;
	struct signalfd_siginfo info;

	(void)events;
	if (read(fd, &info, sizeof(info)) != sizeof(info))
		return;
	if (info.ssi_signo == SIGINT)
		stop(s, EXIT_INTERRUPTED);
	else if (info.ssi_signo == SIGHUP)
		hang_up(s);
	else
		drain(s);
}

static int watch_signals(struct session *s)
{
	sigset_t set;

	s->terminal = has_terminal();
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP); /* nohup(1) ignores it, then it does not come */
	sigprocmask(SIG_BLOCK, &set, NULL);
	s->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (s->signal_fd >= 0)
		s->signals = loop_add(s->loop, s->signal_fd, LOOP_IN, on_signal, s);
	return s->signals ? 0 : -1;
}

/* --- the request's outcome --- */

static void on_event(void *user, const json_t *event)
{
	struct session *s = user;

	s->o->event(s->o->user, event);
	if (ferror(stdout)) /* nobody reads on */
		stop(s, EXIT_FAILED);
}

static void on_end(void *user, const struct failure *f)
{
	struct session *s = user;

	if (f)
		fail(s, f);
	else
		stop(s, EXIT_OK);
}

static void on_fatal(void *user, const struct failure *f)
{
	struct session *s = user;

	s->fatal = true;
	fail(s, f);
}

static const struct op_sink *sink_of(struct session *s, struct op_sink *sink)
{
	*sink = (struct op_sink){ on_event, on_end, s };
	return sink;
}

static void close_fds(const int fds[2])
{
	for (int i = 0; i < 2; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

/* --- on the running node --- */

/* Flags for a node of our own. */
static void note_ignored(const struct settings *s)
{
	static const enum setting OWN[] = {
		SETTING_IDENTITY,   SETTING_LISTEN,     SETTING_PARK,       SETTING_UDP_IDLE,
		SETTING_CONGESTION, SETTING_RELAY_ONLY, SETTING_INVITE,     SETTING_NAME,
		SETTING_POLICY,     SETTING_AUDIT,      SETTING_NO_SANDBOX, SETTING_BEACON
	};

	for (size_t i = 0; i < sizeof(OWN) / sizeof(OWN[0]); i++)
		if (strncmp(s->at[OWN[i]].source, "flag", 4) == 0)
			fprintf(stderr,
				"godwit: the node that runs in this home is used: --%s has no "
				"effect\n",
				setting_name(OWN[i]));
}

static void on_impatient(void *user)
{
	struct session *s = user;
	struct failure f;

	fail_error(&f, GODWIT_E_TIMEOUT, "node");
	f.exit = EXIT_FAILED;
	fail_message(&f, "the node of this home does not answer");
	fail_hint(&f, "see whether its process is stopped (its number is in %.200s/lock)",
		  s->home.path);
	fail(s, &f);
}

static int ask_running(struct session *s, int fd)
{
	const int *fds = s->o->fds[0] >= 0 ? s->o->fds : NULL;
	struct op_sink sink;
	int rv;

	if (!s->o->quiet)
		note_ignored(s->o->settings);
	json_object_set_new(s->o->request, "remote", json_true());
	rv = control_call_new(&s->call, s->loop, fd, s->o->request, fds, sink_of(s, &sink));

	close_fds(s->o->fds);
	if (s->o->kind == SESSION_RUNNING) {
		s->patience = loop_timer_new(s->loop, on_impatient, s);
		if (s->patience)
			loop_timer_set(s->patience, loop_clock() + NODE_PATIENCE);
	}
	return rv < 0 ? fail_error(&s->failure, rv, "control socket") : 0;
}

/* --- on a node of our own --- */

/* It has its sockets, its key and its home; what it calls from now on is known. */
static void enter_sandbox(struct session *s)
{
	bool resident = s->o->kind != SESSION_ONE_SHOT;

	if (!s->done)
		agent_set_sandbox(s->agent, sandbox_start(s->o->settings, resident));
}

/* Wait a little, or until a signal ends the session. */
static void pause_start(struct session *s)
{
	struct pollfd p = { .fd = s->signal_fd, .events = POLLIN };

	if (poll(&p, 1, STARTING_WAIT_MS) > 0)
		on_signal(s, s->signal_fd, LOOP_IN);
}

/* Become the node of this home, or find out that somebody else does at this moment. */
static int take_home(struct session *s, int *running)
{
	for (int i = 0; i < STARTING_TRIES && !s->done; i++) {
		if (home_lock(&s->home, &s->failure) == 0)
			return 0;
		if (s->o->kind == SESSION_UP || strcmp(s->failure.code, "in-use") != 0)
			return -1;
		*running = home_connect(&s->home);
		if (*running >= 0)
			return 0;
		pause_start(s);
	}
	return -1;
}

static int serve_home(struct session *s)
{
	int fd = home_listen(&s->home, &s->failure);

	if (fd < 0)
		return -1;
	if (control_new(&s->control, s->loop, s->agent, fd) < 0)
		return fail_error(&s->failure, GODWIT_E_NOMEM, "control socket");
	return 0;
}

static void on_ready(void *user)
{
	struct session *s = user;
	char address[GODWIT_ADDRESS_SIZE];
	json_t *event;

	s->ready = true;
	godwit_node_address(hub_node(agent_hub(s->agent)), address);
	event = json_pack("{s:s}", "ready", address);
	on_event(s, event);
	json_decref(event);
	notify("READY=1");
	if (agent_serves_nobody(s->agent))
		fprintf(stderr, "godwit: nobody may use these services yet\n"
				"  try: --allow ADDRESS (the other machine's `godwit id`), or "
				"--allow any\n");
}

/* It goes on trying, and may be reached on its own addresses meanwhile; who starts services in
 * order must not wait for ever. */
static void on_not_ready(void *user)
{
	struct session *s = user;
	char which[BEACONS_TEXT_MAX];

	if (s->ready)
		return;
	if (agent_judge_beacons(s->agent, NULL, which, sizeof(which)) == BEACONS_SILENT)
		fprintf(stderr, "godwit: no beacon answers yet: %s\n  try: godwit netcheck\n",
			which);
	else
		fprintf(stderr, "godwit: not registered yet at %s\n  try: godwit status\n", which);
	notify("READY=1\nSTATUS=no beacon answers");
}

static int serve_settings(struct session *s)
{
	if (agent_serve_settings(s->agent, s->o->settings, &s->failure) < 0)
		return -1;
	enter_sandbox(s);
	s->patience = loop_timer_new(s->loop, on_not_ready, s);
	if (!s->patience)
		return fail_error(&s->failure, GODWIT_E_NOMEM, "node");
	loop_timer_set(s->patience, loop_clock() + READY_PATIENCE);
	hub_wake(agent_hub(s->agent));
	agent_on_ready(s->agent, on_ready, s);
	return 0;
}

static int run_own(struct session *s)
{
	bool resident = s->o->kind != SESSION_ONE_SHOT;
	struct op_sink sink;
	int running = -1;

	if (resident && take_home(s, &running) < 0)
		return s->done ? 0 : -1;
	if (running >= 0)
		return ask_running(s, running);
	if (agent_new(&s->agent, s->loop, &s->home, s->o->settings, !resident, &s->failure) < 0)
		return -1;
	agent_on_fatal(s->agent, on_fatal, s);
	if (resident && serve_home(s) < 0)
		return -1;
	if (s->o->kind == SESSION_UP)
		return serve_settings(s);
	op_start(s->agent, s->o->request, s->o->fds, sink_of(s, &sink), &s->op);
	hub_wake(agent_hub(s->agent));
	enter_sandbox(s); /* takes 2 ms, in which the first packet is on its way */
	return 0;
}

static int no_node(struct session *s)
{
	fail_error(&s->failure, GODWIT_E_NOT_FOUND, "node");
	s->failure.exit = EXIT_NO_NODE;
	snprintf(s->failure.code, sizeof(s->failure.code), "no-node");
	fail_message(&s->failure, "no node is running in %.200s", s->home.path);
	fail_hint(&s->failure, "godwit up, or the --home DIR of one that runs");
	return -1;
}

static int start(struct session *s)
{
	/* A key given by hand may not be that of the running node; and a terminal is only for
	 * the processes in its foreground. */
	bool own =
		s->o->kind == SESSION_ONE_SHOT && (setting_get(s->o->settings, SETTING_IDENTITY) ||
						   isatty(s->o->fds[0]) || isatty(s->o->fds[1]));
	int fd = -1;

	if (home_open(&s->home, setting_get(s->o->settings, SETTING_HOME),
		      s->o->kind != SESSION_RUNNING, &s->failure) < 0)
		return -1;
	if (loop_new(&s->loop) < 0 || watch_signals(s) < 0)
		return fail_errno(&s->failure, errno, "cannot start");
	if (s->o->kind != SESSION_UP && !own)
		fd = home_connect(&s->home);
	if (fd >= 0)
		return ask_running(s, fd);
	return s->o->kind == SESSION_RUNNING ? no_node(s) : run_own(s);
}

/* What those who use our node are told.  A command that was only the first of several hands the
 * node over to the next; `up` was meant to be stopped. */
static void last_words(const struct session *s, struct failure *f)
{
	if (s->fatal) {
		*f = s->failure;
		return;
	}
	fail_error(f, GODWIT_E_CLOSED, "node");
	snprintf(f->code, sizeof(f->code), "%s",
		 s->o->kind == SESSION_RESIDENT ? HANDOVER : "node-exited");
	fail_message(f, "the node of this home has exited");
	fail_hint(f, "the same again, or godwit up");
}

static void clear(struct session *s)
{
	struct failure words;

	if (s->op)
		op_cancel(s->op);
	control_call_free(s->call);
	if (s->control)
		home_unlisten(&s->home);
	last_words(s, &words);
	control_free(s->control, &words);
	agent_free(s->agent);
	loop_timer_free(s->drain);
	loop_timer_free(s->patience);
	if (s->signals)
		loop_remove(s->signals);
	if (s->signal_fd >= 0)
		close(s->signal_fd);
	if (s->loop)
		loop_free(s->loop);
	home_close(&s->home);
}

/* Many streams need many descriptors. */
static void raise_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

/* What we offer goes on with a node of our own. */
static bool takes_over(const struct session *s)
{
	return s->failed && s->call && s->o->kind == SESSION_RESIDENT &&
	       strcmp(s->failure.code, HANDOVER) == 0;
}

int session_run(const struct session_options *o)
{
	struct session s;
	bool again;

	raise_limit();
	signal(SIGPIPE, SIG_IGN);
	do {
		s = (struct session){ .o = o,
				      .signal_fd = -1,
				      .home = { .fd = -1, .lock_fd = -1 } };
		if (start(&s) < 0)
			s.done = s.failed = true;
		if (!s.done)
			loop_run(s.loop);
		again = takes_over(&s);
		clear(&s);
	} while (again);
	if (s.failed && o->quiet)
		return s.failure.exit;
	return s.failed ? fail_print(&s.failure, o->json) : s.exit;
}
