/* tests/unit/io_loop_hot.c - when the loop polls instead of sleeping, on a clock that the test keeps.
 * Linked with --wrap: a poll takes a microsecond, a sleep lasts until the next event or its end. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <sched.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "io/loop.h"

enum { EVENTS_MAX = 64 };

#define HOT (50 * GW_USEC)
#define MOST (200 * GW_USEC) /* where it is set */
#define POLL GW_USEC
#define START (1000 * GW_SEC)

static gw_time now;
static gw_time coming[EVENTS_MAX]; /* when bytes come in at `ends`, in order */
static size_t n_coming, n_came;
static int ends[2];
static unsigned polls, sleeps, yields;
static gw_time slept_for; /* as it was asked for, the last time */

int __real_epoll_wait(int fd, struct epoll_event *events, int max, int timeout);
int __wrap_epoll_wait(int fd, struct epoll_event *events, int max, int timeout);
int __wrap_epoll_pwait2(int fd, struct epoll_event *events, int max, const struct timespec *timeout,
			const sigset_t *mask);
int __wrap_sched_yield(void);
int __wrap_clock_gettime(clockid_t clock, struct timespec *ts);

int __wrap_clock_gettime(clockid_t clock, struct timespec *ts)
{
	(void)clock;
	*ts = (struct timespec){ (time_t)(now / GW_SEC), (long)(now % GW_SEC) };
	return 0;
}

int __wrap_sched_yield(void)
{
	yields++;
	return 0;
}

/* What has come until now is there to be read. */
static int look(int fd, struct epoll_event *events, int max)
{
	for (; n_came < n_coming && coming[n_came] <= now; n_came++)
		assert_int_equal(write(ends[1], "x", 1), 1);
	return __real_epoll_wait(fd, events, max, 0);
}

static int sleep_until(gw_time at, int fd, struct epoll_event *events, int max)
{
	int n = look(fd, events, max);

	sleeps++;
	if (n != 0)
		return n;
	if (n_came < n_coming)
		at = time_min(at, coming[n_came]);
	assert_true(at < GW_NEVER); /* or it would never wake up */
	now = time_max(now, at);
	return look(fd, events, max);
}

int __wrap_epoll_wait(int fd, struct epoll_event *events, int max, int timeout)
{
	if (timeout < 0) {
		slept_for = GW_NEVER;
		return sleep_until(GW_NEVER, fd, events, max);
	}
	assert_int_equal(timeout, 0);
	polls++;
	now += POLL;
	return look(fd, events, max);
}

int __wrap_epoll_pwait2(int fd, struct epoll_event *events, int max, const struct timespec *timeout,
			const sigset_t *mask)
{
	(void)mask;
	slept_for = (gw_time)timeout->tv_sec * GW_SEC + (gw_time)timeout->tv_nsec;
	assert_true(slept_for > 0);
	return sleep_until(now + slept_for, fd, events, max);
}

/* --- a loop with one source --- */

static struct loop *loop;
static struct loop_source *source;
static gw_time read_at; /* the last byte */

static void on_byte(void *user, int fd, unsigned events)
{
	char byte;

	(void)user;
	(void)events;
	assert_int_equal(read(fd, &byte, 1), 1);
	read_at = now;
}

static int setup(void **state)
{
	(void)state;
	now = START;
	n_coming = n_came = 0;
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(loop_new(&loop), 0);
	source = loop_add(loop, ends[0], LOOP_IN, on_byte, NULL);
	assert_non_null(source);
	polls = sleeps = yields = 0;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	loop_remove(source);
	loop_free(loop);
	close(ends[0]);
	close(ends[1]);
	return 0;
}

static void comes(gw_time at)
{
	assert_true(n_coming < EVENTS_MAX);
	coming[n_coming++] = at;
}

/* It waits, and an event comes so soon. */
static void get_hot(void)
{
	comes(now + 10 * GW_USEC);
	loop_run_once(loop, GW_NEVER);
	assert_int_equal(read_at, now);
	assert_int_equal(yields, 0);
	sleeps = 0;
}

/* --- */

static void idle_loop_sleeps(void **state)
{
	(void)state;
	for (int i = 0; i < 10; i++) {
		comes(now + HOT);
		loop_run_once(loop, GW_NEVER);
		assert_int_equal(read_at, now);
		assert_int_equal(slept_for, GW_NEVER);
	}
	assert_int_equal(sleeps, 10);
	assert_int_equal(polls + yields, 0);
}

static void hot_loop_polls_then_sleeps(void **state)
{
	gw_time began;

	(void)state;
	get_hot();
	began = now;
	loop_run_once(loop, GW_SEC);
	assert_int_equal(sleeps, 0);
	assert_int_equal(polls, HOT / POLL);
	assert_int_equal(yields, polls);
	assert_int_equal(now, began + HOT);

	polls = 0;
	loop_run_once(loop, GW_SEC);
	assert_int_equal(polls, 0);
	assert_int_equal(sleeps, 1);
	assert_int_equal(slept_for, GW_SEC);
	loop_run_once(loop, 3 * GW_MSEC); /* it stays cold */
	assert_int_equal(polls, 0);
	assert_int_equal(slept_for, 3 * GW_MSEC);
}

static void stays_hot_while_events_come(void **state)
{
	(void)state;
	get_hot();
	for (int i = 0; i < 20; i++) {
		gw_time at = now + HOT - POLL;

		comes(at);
		loop_run_once(loop, GW_SEC);
		assert_int_equal(read_at, at);
	}
	assert_int_equal(sleeps, 0);

	comes(now + HOT + POLL); /* too late by a little */
	loop_run_once(loop, GW_SEC);
	loop_run_once(loop, GW_SEC);
	assert_int_equal(sleeps, 1);
	assert_int_equal(n_came, n_coming);
	assert_int_equal(read_at, now);
}

/* How long the next poll lasts when nothing comes. */
static gw_time next_poll(void)
{
	gw_time began = now;

	polls = 0;
	loop_run_once(loop, GW_SEC);
	assert_int_equal(polls, (now - began) / POLL);
	return now - began;
}

static void wait_takes(gw_time time)
{
	comes(now + time);
	loop_run_once(loop, GW_SEC);
	assert_int_equal(read_at, now);
}

static void polls_twice_as_long_as_the_last_event_took(void **state)
{
	(void)state;
	loop_set_poll(loop, MOST);
	wait_takes(70 * GW_USEC);
	assert_int_equal(next_poll(), 140 * GW_USEC);
	wait_takes(3 * GW_USEC);
	wait_takes(90 * GW_USEC);
	assert_int_equal(next_poll(), 180 * GW_USEC);
	wait_takes(MOST - POLL);
	assert_int_equal(next_poll(), MOST);
	polls = 0;
	wait_takes(MOST);
	loop_run_once(loop, GW_SEC);
	assert_int_equal(polls, 0);
}

static void late_events_are_forgotten_by_and_by(void **state)
{
	(void)state;
	loop_set_poll(loop, MOST);
	wait_takes(100 * GW_USEC);
	wait_takes(5 * GW_USEC);
	assert_int_equal(next_poll(), MOST - MOST / 8);
	for (int i = 0; i < 20; i++)
		wait_takes(5 * GW_USEC);
	assert_int_equal(next_poll(), HOT);
}

static void polls_less_again_when_it_is_told(void **state)
{
	(void)state;
	loop_set_poll(loop, MOST);
	wait_takes(100 * GW_USEC);
	loop_set_poll(loop, 0);
	assert_int_equal(next_poll(), HOT);
	wait_takes(HOT);
	polls = 0;
	loop_run_once(loop, GW_SEC);
	assert_int_equal(polls, 0);
}

static void what_is_there_needs_no_second_look(void **state)
{
	(void)state;
	get_hot();
	comes(now);
	loop_run_once(loop, GW_SEC);
	assert_int_equal(polls, 1);
	assert_int_equal(yields, 0);
	assert_int_equal(read_at, now);
}

static gw_time timer_ran_at;

static void on_timer(void *user)
{
	(void)user;
	timer_ran_at = now;
}

static void timer_ends_the_polling(void **state)
{
	struct loop_timer *t = loop_timer_new(loop, on_timer, NULL);
	gw_time at;

	(void)state;
	get_hot();
	at = now + HOT / 2;
	loop_timer_set(t, at);
	loop_run_once(loop, GW_NEVER);
	assert_int_equal(timer_ran_at, at);
	assert_int_equal(polls, HOT / 2 / POLL);
	assert_int_equal(sleeps, 0);
	loop_timer_free(t);
}

static void timer_makes_nothing_hot(void **state)
{
	struct loop_timer *t = loop_timer_new(loop, on_timer, NULL);

	(void)state;
	loop_timer_set(t, now + 10 * GW_USEC);
	loop_run_once(loop, GW_NEVER);
	assert_int_equal(timer_ran_at, now);
	loop_run_once(loop, GW_SEC);
	assert_int_equal(polls, 0);
	assert_int_equal(sleeps, 2);
	loop_timer_free(t);
}

static void sleep_after_it_ends_with_the_timer(void **state)
{
	struct loop_timer *t = loop_timer_new(loop, on_timer, NULL);
	gw_time at;

	(void)state;
	get_hot();
	timer_ran_at = 0;
	at = now + 700 * GW_USEC;
	loop_timer_set(t, at);
	loop_run_once(loop, GW_NEVER);
	assert_int_equal(timer_ran_at, 0);
	loop_run_once(loop, GW_NEVER);
	assert_int_equal(slept_for, 700 * GW_USEC - HOT);
	assert_int_equal(timer_ran_at, at);
	loop_timer_free(t);
}

static void polls_no_longer_than_it_may_wait(void **state)
{
	gw_time began;

	(void)state;
	get_hot();
	began = now;
	loop_run_once(loop, 5 * GW_USEC);
	assert_int_equal(now, began + 5 * GW_USEC);
	assert_int_equal(polls, 5);
}

static void mere_look_changes_nothing(void **state)
{
	(void)state;
	comes(now);
	loop_run_once(loop, 0); /* finds it, but has not waited */
	assert_int_equal(read_at, now);
	loop_run_once(loop, GW_SEC);
	assert_int_equal(sleeps, 1);

	get_hot();
	polls = 0;
	loop_run_once(loop, 0);
	assert_int_equal(polls, 1);
	assert_int_equal(yields, 0);
	loop_run_once(loop, GW_SEC);
	assert_int_equal(sleeps, 0);
	assert_int_equal(yields, HOT / POLL);
}

static void does_not_poll_inside_another_loop(void **state)
{
	(void)state;
	get_hot();
	loop_fd(loop);
	for (int i = 0; i < 3; i++)
		loop_run_once(loop, 0);
	assert_int_equal(polls, 3); /* one look each */
	loop_run_once(loop, GW_SEC);
	assert_int_equal(polls, 3);
	assert_int_equal(slept_for, GW_SEC);
	assert_int_equal(yields, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(idle_loop_sleeps, setup, teardown),
		cmocka_unit_test_setup_teardown(hot_loop_polls_then_sleeps, setup, teardown),
		cmocka_unit_test_setup_teardown(stays_hot_while_events_come, setup, teardown),
		cmocka_unit_test_setup_teardown(polls_twice_as_long_as_the_last_event_took, setup,
						teardown),
		cmocka_unit_test_setup_teardown(late_events_are_forgotten_by_and_by, setup,
						teardown),
		cmocka_unit_test_setup_teardown(polls_less_again_when_it_is_told, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_there_needs_no_second_look, setup,
						teardown),
		cmocka_unit_test_setup_teardown(timer_ends_the_polling, setup, teardown),
		cmocka_unit_test_setup_teardown(timer_makes_nothing_hot, setup, teardown),
		cmocka_unit_test_setup_teardown(sleep_after_it_ends_with_the_timer, setup,
						teardown),
		cmocka_unit_test_setup_teardown(polls_no_longer_than_it_may_wait, setup, teardown),
		cmocka_unit_test_setup_teardown(mere_look_changes_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(does_not_poll_inside_another_loop, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
