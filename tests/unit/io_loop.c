// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/loop.h"

/* What has happened, in order. */
struct trace {
	struct loop *loop;
	unsigned count;
	char order[32];
	unsigned events;
};

static void note(struct trace *t, char what)
{
	assert_true(t->count + 1 < sizeof(t->order));
	t->order[t->count++] = what;
}

struct mark {
	struct trace *trace;
	char what;
	struct loop_source *source;
	struct mark *victim; /* its source is removed by this callback */
	struct loop_timer *timer;
	gw_time again; /* set the timer to this moment when it runs */
};

static void on_mark_timer(void *user)
{
	struct mark *m = user;

	note(m->trace, m->what);
	if (m->again)
		loop_timer_set(m->timer, m->again);
	if (m->victim && m->victim->timer) {
		loop_timer_free(m->victim->timer);
		m->victim->timer = NULL;
	}
}

static void on_mark_fd(void *user, int fd, unsigned events)
{
	struct mark *m = user;

	(void)fd;
	note(m->trace, m->what);
	m->trace->events |= events;
	if (!m->victim)
		return;
	loop_remove(m->source);
	if (m->victim != m)
		loop_remove(m->victim->source);
	m->source = m->victim->source = NULL;
}

static void make_loop(struct trace *t)
{
	memset(t, 0, sizeof(*t));
	assert_int_equal(loop_new(&t->loop), 0);
}

static void add_timer(struct mark *m, struct trace *t, char what, gw_time at)
{
	*m = (struct mark){ .trace = t, .what = what };
	m->timer = loop_timer_new(t->loop, on_mark_timer, m);
	assert_non_null(m->timer);
	loop_timer_set(m->timer, at);
}

static void add_fd(struct mark *m, struct trace *t, char what, int fd, unsigned events)
{
	*m = (struct mark){ .trace = t, .what = what };
	m->source = loop_add(t->loop, fd, events, on_mark_fd, m);
	assert_non_null(m->source);
}

static bool readable(struct loop *l, int timeout_ms)
{
	struct pollfd p = { .fd = loop_fd(l), .events = POLLIN };

	return poll(&p, 1, timeout_ms) == 1;
}

/* --- timers --- */

static void timers_run_in_order_and_not_early(void **state)
{
	struct trace t;
	struct mark m[4];
	gw_time start;

	(void)state;
	make_loop(&t);
	start = loop_clock();
	add_timer(&m[0], &t, 'c', start + 6 * GW_MSEC);
	add_timer(&m[1], &t, 'a', start + 2 * GW_MSEC);
	add_timer(&m[2], &t, 'b', start + 4 * GW_MSEC);
	add_timer(&m[3], &t, 'x', start + 5 * GW_MSEC);
	loop_timer_set(m[3].timer, GW_NEVER);
	while (t.count < 3) {
		static const gw_time due[] = { 2 * GW_MSEC, 4 * GW_MSEC, 6 * GW_MSEC };
		unsigned before = t.count;

		loop_run_once(t.loop, GW_SEC);
		if (t.count > before)
			assert_true(loop_clock() >= start + due[t.count - 1]);
	}
	assert_memory_equal(t.order, "abc", 3);
	/* One shot: nothing is left. */
	start = loop_clock();
	loop_run_once(t.loop, 3 * GW_MSEC);
	assert_true(loop_clock() >= start + 3 * GW_MSEC);
	assert_int_equal(t.count, 3);
	for (int i = 0; i < 4; i++)
		loop_timer_free(m[i].timer);
	loop_free(t.loop);
}

static void timer_set_to_the_past_lets_others_run(void **state)
{
	struct trace t;
	struct mark greedy, modest;

	(void)state;
	make_loop(&t);
	add_timer(&greedy, &t, 'g', 1);
	greedy.again = 1;
	add_timer(&modest, &t, 'm', 2);
	for (int i = 0; i < 3; i++)
		loop_run_once(t.loop, 0);
	assert_int_equal(t.count, 4);
	assert_memory_equal(t.order, "gm", 2);
	loop_timer_free(greedy.timer);
	loop_timer_free(modest.timer);
	loop_free(t.loop);
}

static void timer_may_free_another(void **state)
{
	struct trace t;
	struct mark killer, victim;

	(void)state;
	make_loop(&t);
	add_timer(&killer, &t, 'k', 1);
	add_timer(&victim, &t, 'v', 2);
	killer.victim = &victim;
	loop_run_once(t.loop, 0);
	assert_int_equal(t.count, 1);
	loop_timer_free(killer.timer);
	loop_free(t.loop);
}

/* --- file descriptors --- */

static void source_may_remove_another_and_itself(void **state)
{
	struct trace t;
	struct mark m[2];
	int a[2], b[2];

	(void)state;
	make_loop(&t);
	assert_int_equal(pipe(a), 0);
	assert_int_equal(pipe(b), 0);
	add_fd(&m[0], &t, '0', a[0], LOOP_IN);
	add_fd(&m[1], &t, '1', b[0], LOOP_IN);
	m[0].victim = &m[1];
	m[1].victim = &m[0];
	assert_int_equal(write(a[1], "x", 1), 1);
	assert_int_equal(write(b[1], "x", 1), 1);
	loop_run_once(t.loop, GW_SEC); /* both are ready at once: the first takes the other away */
	assert_int_equal(t.count, 1);
	loop_run_once(t.loop, 0);
	assert_int_equal(t.count, 1);
	loop_free(t.loop);
	for (int i = 0; i < 2; i++) {
		close(a[i]);
		close(b[i]);
	}
}

static void modify_changes_what_is_reported(void **state)
{
	struct trace t;
	struct mark m;
	int pair[2];

	(void)state;
	make_loop(&t);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	add_fd(&m, &t, 'f', pair[0], LOOP_IN);
	loop_run_once(t.loop, 0);
	assert_int_equal(t.count, 0);
	loop_modify(m.source, LOOP_IN | LOOP_OUT);
	loop_run_once(t.loop, GW_SEC);
	assert_int_equal(t.events, LOOP_OUT);
	assert_int_equal(write(pair[1], "x", 1), 1);
	loop_modify(m.source, LOOP_IN);
	t.events = 0;
	loop_run_once(t.loop, GW_SEC);
	assert_int_equal(t.events, LOOP_IN);
	assert_null(loop_add(t.loop, pair[0], LOOP_IN, on_mark_fd, &m)); /* watched already */
	loop_remove(m.source);
	loop_free(t.loop);
	close(pair[0]);
	close(pair[1]);
}

static void hangup_is_told_once_to_who_asks_for_nothing(void **state)
{
	struct trace t;
	struct mark m;
	int pair[2];

	(void)state;
	make_loop(&t);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	add_fd(&m, &t, 'h', pair[0], 0);
	close(pair[1]);
	loop_run_once(t.loop, GW_SEC);
	assert_int_equal(t.count, 1);
	assert_int_equal(t.events, LOOP_HANGUP);
	loop_run_once(t.loop, 0);
	assert_int_equal(t.count, 1);
	loop_modify(m.source, LOOP_IN); /* asks again: the end of file is there to be read */
	loop_run_once(t.loop, GW_SEC);
	assert_int_equal(t.count, 2);
	assert_int_equal(t.events, LOOP_HANGUP | LOOP_IN);
	loop_remove(m.source);
	loop_free(t.loop);
	close(pair[0]);
}

static void unpollable_file_is_always_ready(void **state)
{
	struct trace t;
	struct mark m;
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	(void)state;
	make_loop(&t);
	assert_false(readable(t.loop, 0));
	add_fd(&m, &t, 'n', fd, LOOP_IN);
	assert_true(readable(t.loop, 1000));
	loop_run_once(t.loop, GW_NEVER);
	loop_run_once(t.loop, GW_NEVER);
	assert_int_equal(t.count, 2);
	loop_modify(m.source, 0);
	loop_run_once(t.loop, 0);
	assert_int_equal(t.count, 2);
	assert_false(readable(t.loop, 0));
	loop_modify(m.source, LOOP_IN);
	m.victim = &m;
	loop_run_once(t.loop, GW_NEVER);
	loop_run_once(t.loop, 0);
	assert_int_equal(t.count, 3);
	loop_free(t.loop);
	close(fd);
}

/* --- inside another loop --- */

/* What an outer loop does; returns when `count` marks have been made. */
static void run_nested(struct trace *t, unsigned count)
{
	for (int turns = 0; t->count < count; turns++) {
		assert_true(turns < 100); /* readable with nothing to do, again and again */
		assert_true(readable(t->loop, 5000));
		loop_run_once(t->loop, 0);
	}
}

static void timers_make_the_fd_readable(void **state)
{
	struct trace t;
	struct mark m;
	gw_time start;

	(void)state;
	make_loop(&t);
	start = loop_clock();
	add_timer(&m, &t, 't', start + 20 * GW_MSEC); /* before loop_fd() was ever called */
	run_nested(&t, 1);
	assert_true(loop_clock() >= start + 20 * GW_MSEC);
	assert_false(readable(t.loop, 0));

	start = loop_clock();
	loop_timer_set(m.timer, start + 3600 * GW_SEC);
	assert_false(readable(t.loop, 0));
	loop_timer_set(m.timer, start + 10 * GW_MSEC); /* earlier */
	run_nested(&t, 2);
	assert_true(loop_clock() < start + 3600 * GW_SEC);

	start = loop_clock();
	loop_timer_set(m.timer, start + 5 * GW_MSEC);
	loop_timer_set(m.timer, start + 40 * GW_MSEC); /* later */
	run_nested(&t, 3);
	assert_true(loop_clock() >= start + 40 * GW_MSEC);
	assert_false(readable(t.loop, 0));

	loop_timer_set(m.timer, loop_clock() + 5 * GW_MSEC);
	loop_timer_set(m.timer, GW_NEVER); /* at most one early wake-up, then silence */
	if (readable(t.loop, 30))
		loop_run_once(t.loop, 0);
	assert_false(readable(t.loop, 30));
	assert_int_equal(t.count, 3);

	m.again = 1; /* in the past, set from inside the callback */
	loop_timer_set(m.timer, 1);
	run_nested(&t, 6);
	loop_timer_free(m.timer);
	loop_free(t.loop);
}

static void who_asks_for_timers_hears_of_them_no_other_way(void **state)
{
	struct trace t;
	struct mark m;
	gw_time at = loop_clock() + 5 * GW_MSEC;

	(void)state;
	make_loop(&t);
	add_timer(&m, &t, 't', at);
	assert_false(readable(t.loop, 0)); /* the timerfd is armed */
	assert_int_equal(loop_due(t.loop), at);
	assert_false(readable(t.loop, 20));
	loop_run_once(t.loop, 0);
	assert_int_equal(t.count, 1);
	assert_int_equal(loop_due(t.loop), GW_NEVER);
	at = loop_clock() + GW_MSEC;
	loop_timer_set(m.timer, at);
	assert_false(readable(t.loop, 10));
	assert_int_equal(loop_due(t.loop), at);
	loop_timer_free(m.timer);
	loop_free(t.loop);
}

static void set_timer_once(void *user)
{
	struct mark *m = user;

	if (m->again)
		loop_timer_set(m->timer, loop_clock() + 2 * GW_MSEC);
	m->again = 0;
}

static void hooks_come_before_each_wait(void **state)
{
	struct trace t;
	struct mark m;
	struct loop_hook *hook;
	gw_time start = loop_clock();

	(void)state;
	make_loop(&t);
	add_timer(&m, &t, 't', GW_NEVER);
	m.again = 1;
	hook = loop_before_wait(t.loop, set_timer_once, &m);
	assert_non_null(hook);
	while (t.count == 0) {
		loop_run_once(t.loop, 10 * GW_SEC); /* not that long: it has set a timer */
		assert_true(loop_clock() - start < 5 * GW_SEC);
	}
	loop_hook_free(hook);
	m.again = 1;
	loop_run_once(t.loop, 0);
	assert_int_equal(m.again, 1);
	loop_timer_free(m.timer);
	loop_free(t.loop);
}

static void descriptors_make_the_fd_readable(void **state)
{
	struct trace t;
	struct mark m;
	int p[2];

	(void)state;
	make_loop(&t);
	assert_int_equal(pipe(p), 0);
	add_fd(&m, &t, 'p', p[0], LOOP_IN);
	assert_false(readable(t.loop, 0));
	assert_int_equal(write(p[1], "x", 1), 1);
	run_nested(&t, 1);
	m.victim = &m;
	run_nested(&t, 2);
	assert_false(readable(t.loop, 0));
	loop_free(t.loop);
	close(p[0]);
	close(p[1]);
}

static void on_stop(void *user)
{
	loop_stop(user);
}

static void run_goes_on_until_stop(void **state)
{
	struct trace t;
	struct mark m;
	struct loop_timer *stop;
	gw_time start = loop_clock();

	(void)state;
	make_loop(&t);
	add_timer(&m, &t, 'r', start + GW_MSEC);
	stop = loop_timer_new(t.loop, on_stop, t.loop);
	loop_timer_set(stop, start + 3 * GW_MSEC);
	loop_run(t.loop);
	assert_int_equal(t.count, 1);
	assert_true(loop_now(t.loop) >= start + 3 * GW_MSEC);
	loop_timer_free(m.timer);
	loop_timer_free(stop);
	loop_free(t.loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(timers_run_in_order_and_not_early),
		cmocka_unit_test(timer_set_to_the_past_lets_others_run),
		cmocka_unit_test(timer_may_free_another),
		cmocka_unit_test(source_may_remove_another_and_itself),
		cmocka_unit_test(modify_changes_what_is_reported),
		cmocka_unit_test(hangup_is_told_once_to_who_asks_for_nothing),
		cmocka_unit_test(unpollable_file_is_always_ready),
		cmocka_unit_test(timers_make_the_fd_readable),
		cmocka_unit_test(who_asks_for_timers_hears_of_them_no_other_way),
		cmocka_unit_test(hooks_come_before_each_wait),
		cmocka_unit_test(descriptors_make_the_fd_readable),
		cmocka_unit_test(run_goes_on_until_stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
