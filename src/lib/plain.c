// SPDX-License-Identifier: Apache-2.0
/* Plain sockets for programs without an event loop: what the program's own threads call. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "lib/runner.h"

static void on_wake(void *user, int fd, unsigned events)
{
	struct runner *r = user;
	uint64_t count;

	(void)events;
	if (read(fd, &count, sizeof(count)) == sizeof(count))
		r->woken = true;
}

static void wake(struct runner *r)
{
	const uint64_t one = 1;

	if (write(r->wake_fd, &one, sizeof(one)) < 0)
		return; /* the counter is full: awake already */
}

/* --- start and stop --- */

static int init_sync(struct runner *r)
{
	pthread_condattr_t attr;
	int error;

	if (pthread_condattr_init(&attr) != 0)
		return GW_E_NOMEM;
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	error = pthread_cond_init(&r->changed, &attr);
	pthread_condattr_destroy(&attr);
	if (error)
		return GW_E_NOMEM;
	pthread_mutex_init(&r->lock, NULL);
	return 0;
}

/* Signals belong to the program's own threads. */
static int start_thread(struct runner *r)
{
	sigset_t all, old;
	int error;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	error = pthread_create(&r->thread, NULL, runner_main, r);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (!error)
		return 0;
	errno = error;
	return GW_E_IO;
}

static void runner_free(struct runner *r)
{
	loop_remove(r->wake_source);
	close(r->wake_fd);
	pthread_cond_destroy(&r->changed);
	pthread_mutex_destroy(&r->lock);
	free(r);
}

int godwit_node_start_thread(godwit_node *node)
{
	struct runner *r;
	int error;

	if (node->runner)
		return GW_E_EXISTS;
	r = calloc(1, sizeof(*r));
	if (!r)
		return GW_E_NOMEM;
	r->node = node;
	r->woken = true;
	list_init(&r->pumps);
	r->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (r->wake_fd < 0 || init_sync(r) != 0) {
		if (r->wake_fd >= 0)
			close(r->wake_fd);
		free(r);
		return GW_E_IO;
	}
	r->wake_source = loop_add(node->loop, r->wake_fd, LOOP_IN, on_wake, r);
	error = r->wake_source ? start_thread(r) : GW_E_NOMEM;
	if (error) {
		runner_free(r);
		return error;
	}
	node->runner = r;
	return 0;
}

void runner_stop(struct runner *r)
{
	if (!r)
		return;
	pthread_mutex_lock(&r->lock);
	r->stop = true;
	pthread_cond_broadcast(&r->changed);
	pthread_mutex_unlock(&r->lock);
	wake(r);
	pthread_join(r->thread, NULL);
	pthread_mutex_lock(&r->lock);
	while (r->callers > 0)
		pthread_cond_wait(&r->changed, &r->lock);
	for (; r->accepted_count > 0; r->accepted_count--)
		close(r->accepted[r->accepted_first++ % ACCEPT_QUEUE].fd);
	pthread_mutex_unlock(&r->lock);
	runner_free(r);
}

/* --- the callers' side --- */

/* Wait until something changes; false when `deadline` has passed. */
static bool wait_change(struct runner *r, gw_time deadline)
{
	struct timespec ts = { (time_t)(deadline / GW_SEC), (long)(deadline % GW_SEC) };

	if (deadline == GW_NEVER)
		return pthread_cond_wait(&r->changed, &r->lock) == 0;
	return pthread_cond_timedwait(&r->changed, &r->lock, &ts) != ETIMEDOUT;
}

static gw_time deadline_after(uint64_t timeout_ms)
{
	gw_time timeout = from_ms(timeout_ms), now = loop_clock();

	return timeout > GW_NEVER / 2 ? GW_NEVER : now + timeout;
}

static void leave(struct runner *r)
{
	r->callers--;
	pthread_cond_broadcast(&r->changed);
	pthread_mutex_unlock(&r->lock);
}

static void push_request(struct runner *r, struct request *req)
{
	struct request **end = &r->requests;

	while (*end)
		end = &(*end)->next;
	*end = req;
	wake(r);
}

static int wait_request(struct runner *r, struct request *req, gw_time deadline)
{
	int result;

	pthread_mutex_lock(&r->lock);
	if (r->stop) {
		pthread_mutex_unlock(&r->lock);
		free(req);
		return GW_E_CLOSED;
	}
	r->callers++;
	push_request(r, req);
	while (!req->done && wait_change(r, deadline))
		;
	if (req->done) {
		result = req->result;
		free(req);
	} else { /* the thread frees it */
		result = req->last_error ? req->last_error : GW_E_TIMEOUT;
		req->abandoned = true;
		wake(r);
	}
	leave(r);
	return result;
}

int godwit_connect_fd(godwit_node *node, const char *destination, uint64_t timeout_ms)
{
	gw_time deadline = deadline_after(timeout_ms);
	struct request *req;
	int error;

	if (!node->runner)
		return GW_E_INVALID;
	req = calloc(1, sizeof(*req));
	if (!req)
		return GW_E_NOMEM;
	error = godwit_destination_parse(destination, &req->to);
	if (!error && req->to.service[0] == '\0')
		error = GW_E_INVALID;
	if (error) {
		free(req);
		return error;
	}
	return wait_request(node->runner, req, deadline);
}

int godwit_accept_fd(godwit_node *node, uint64_t timeout_ms, uint8_t peer[GODWIT_KEY_SIZE],
		     char service[GODWIT_SERVICE_SIZE])
{
	gw_time deadline = deadline_after(timeout_ms);
	struct runner *r = node->runner;
	struct accepted a;

	if (!r)
		return GW_E_INVALID;
	pthread_mutex_lock(&r->lock);
	r->callers++;
	while (!r->stop && r->accepted_count == 0 && wait_change(r, deadline))
		;
	if (r->stop || r->accepted_count == 0) {
		a.fd = r->stop ? GW_E_CLOSED : GW_E_TIMEOUT;
		leave(r);
		return a.fd;
	}
	a = r->accepted[r->accepted_first];
	r->accepted_first = (r->accepted_first + 1) % ACCEPT_QUEUE;
	r->accepted_count--;
	leave(r);
	if (peer)
		memcpy(peer, a.peer, sizeof(a.peer));
	if (service)
		memcpy(service, a.service, sizeof(a.service));
	return a.fd;
}

int godwit_fd_error(godwit_node *node, int fd)
{
	struct runner *r = node->runner;
	struct stat st;
	int error = 0;

	if (!r || fstat(fd, &st) != 0)
		return GW_E_INVALID;
	pthread_mutex_lock(&r->lock);
	for (size_t i = 0; i < ENDINGS; i++) {
		const struct ending *e = &r->endings[(r->endings_next + i) % ENDINGS];

		if (e->socket == st.st_ino)
			error = e->error; /* the newest counts */
	}
	pthread_mutex_unlock(&r->lock);
	return error;
}
