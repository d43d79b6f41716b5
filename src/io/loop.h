/* io/loop.h - a small epoll loop: file descriptors, timers, signals.  Level-triggered.
 *
 * A source may be changed or removed from inside any callback, its own included. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_IO_LOOP_H
#define GODWIT_IO_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/heap.h"
#include "base/time.h"

struct loop;
struct loop_source;
struct loop_timer;
struct loop_hook;

enum loop_events { LOOP_IN = 1, LOOP_OUT = 2, LOOP_HANGUP = 4 /* reported, never asked for */ };

typedef void loop_fd_fn(void *user, int fd, unsigned events);
typedef void loop_timer_fn(void *user);

int loop_new(struct loop **out);
/* Remove its sources, timers and hooks first. */
void loop_free(struct loop *l);

/* `events` may be 0: then only a hang-up is reported, once.  Otherwise a hang-up is reported as
 * long as it lasts: remove the source.  Files that cannot be polled (regular ones, /dev/null) are
 * always ready.  NULL: no memory, or an fd that is already watched.  Remove before close(). */
struct loop_source *loop_add(struct loop *l, int fd, unsigned events, loop_fd_fn *fn, void *user);
void loop_modify(struct loop_source *s, unsigned events);
void loop_remove(struct loop_source *s); /* does not close the fd */

struct loop_timer *loop_timer_new(struct loop *l, loop_timer_fn *fn, void *user);
void loop_timer_set(struct loop_timer *t, gw_time at); /* GW_NEVER: off.  One shot */
void loop_timer_free(struct loop_timer *t);

/* Called before each wait, to set timers by what only others know.  NULL: no memory. */
struct loop_hook *loop_before_wait(struct loop *l, loop_timer_fn *fn, void *user);
void loop_hook_free(struct loop_hook *h);

/* The monotonic clock (CLOCK_MONOTONIC), and milliseconds of the wall clock. */
gw_time loop_clock(void);
uint64_t loop_wall_clock_ms(void);
/* The clock as of the present iteration: cheap. */
gw_time loop_now(const struct loop *l);

/* Wait for at most `timeout` and run what is due; it may return early, with nothing done.  loop_run() goes on until loop_stop(). */
void loop_run_once(struct loop *l, gw_time timeout);
void loop_run(struct loop *l);
/* Events that follow each other within `most` are waited for without sleeping; 50 us at the least, and
 * unless it is set. */
void loop_set_poll(struct loop *l, gw_time most);
void loop_stop(struct loop *l);
/* For an outer loop: readable when loop_run_once(l, 0) has something to do (timers included). */
int loop_fd(struct loop *l);
/* When loop_run_once(l, 0) has something to do even if loop_fd() is not readable; GW_NEVER.  An
 * outer loop that has asked once asks before each wait: from then on timers make nothing readable,
 * which saves setting one in the kernel whenever the next expiry moves. */
gw_time loop_due(struct loop *l);

#endif
