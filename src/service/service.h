/* service/service.h - what a node does for programs: expose, forward, pipe, bench. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_SERVICE_SERVICE_H
#define GODWIT_SERVICE_SERVICE_H

#include "service/hub.h"

/* --- targets and listeners: "5432", "tcp:HOST:PORT", "udp:HOST:PORT", "unix:PATH"; "PORT",
 * "ADDR:PORT", "udp:ADDR:PORT", "unix:PATH" --- */

enum { TARGET_TEXT_MAX = 300 };

struct target {
	enum { TARGET_TCP, TARGET_UDP, TARGET_UNIX } kind;
	char host[256]; /* TCP, UDP: name or address */
	uint16_t port;
	char path[108]; /* UNIX */
};

/* GODWIT_E_FORMAT, GODWIT_E_LENGTH (path too long for a socket), GODWIT_E_INVALID (port 0); *why
 * gets a sentence for people. */
int target_parse(const char *text, struct target *out, const char **why);
/* The same for a listener: a bare port is on 127.0.0.1; port 0 lets the system choose. */
int listen_parse(const char *text, struct target *out, const char **why);
/* As target_parse() takes it: "tcp:127.0.0.1:5432". */
void target_format(const struct target *t, char out[TARGET_TEXT_MAX]);

/* --- pump: one stream and one pair of fds --- */

struct pump;
/* `error` 0: both directions ended and all that we sent is acknowledged; else GODWIT_E_* of the
 * stream, or GODWIT_E_IO when the local side failed (errno in `sys`).  The pump is gone after
 * the call; the fds are closed. */
typedef void pump_done_fn(void *user, int error, int sys);

/* Carry bytes between `stream` and the fds (equal for a socket, two for stdin/stdout; files are
 * allowed), with half-close both ways.  Takes the stream and the fds over.  A stream that fails
 * makes a socket close with RST; a socket that fails resets the stream. */
int pump_start(struct hub *h, godwit_stream *stream, int in_fd, int out_fd, pump_done_fn *done,
	       void *user, struct pump **out);
/* End it now: resets the stream, closes the fds; `done` is not called. */
void pump_stop(struct pump *p);

/* A datagram of `size` bytes was dropped: the present path carries `limit`.  Called for the first, and
 * again only when a larger limit is too small as well. */
typedef void too_large_fn(void *user, size_t size, size_t limit);

/* --- expose: incoming streams of a service to a target; datagrams when that is UDP --- */

struct expose;
/* GODWIT_E_EXISTS (the name is taken), and as godwit_listen(). */
int expose_start(struct hub *h, const char *name, const struct target *t, struct expose **out);
void expose_on_too_large(struct expose *e, too_large_fn *fn, void *user);
/* No new streams; what lives goes on, but for datagrams, which have no end to wait for. */
void expose_drain(struct expose *e);
/* Ends the streams too. */
void expose_stop(struct expose *e);
size_t expose_active(const struct expose *e);

/* --- forward: a local listener to a service of a peer --- */

/* Where it goes. */
struct place {
	godwit_ticket ticket; /* by name: only its service counts */
	char name
		[GODWIT_NAME_SIZE]; /* of a member, whose key is looked for; "": the key is known */
	uint8_t network[GODWIT_KEY_SIZE];
	char label[GODWIT_NAME_SIZE]; /* what that network is called here */
};

enum { FORWARD_CLIENTS_MAX = 1024 }; /* of a UDP listener; then the idlest makes room */

struct forward;
/* Why a connection failed: GODWIT_E_* of its stream, or of the search for the name (service/find.h).
 * Called when the reason changes, not for each connection. */
typedef void forward_report_fn(void *user, int error);
/* GODWIT_E_IN_USE, GODWIT_E_PERMISSION, GODWIT_E_INVALID (no address of this host), GODWIT_E_IO
 * (errno), GODWIT_E_NOMEM. */
int forward_start(struct hub *h, const struct target *listen, const struct place *to,
		  forward_report_fn *report, void *user, struct forward **out);
void forward_on_too_large(struct forward *f, too_large_fn *fn, void *user);
/* UDP: how long a client's stream lives without a datagram in either direction; at first 60 s. */
void forward_set_idle(struct forward *f, gw_time idle);
void forward_drain(struct forward *f); /* as expose_drain() */
void forward_stop(struct forward *f);
size_t forward_active(const struct forward *f);
/* With the port that the system chose. */
const struct target *forward_listen(const struct forward *f);

/* --- bench: throughput and latency over the overlay itself --- */

#define BENCH_SERVICE "godwit-bench"

struct bench_server;
/* Who may use it is the caller's to allow (godwit_allow()). */
int bench_serve(struct hub *h, struct bench_server **out);
void bench_serve_stop(struct bench_server *s);

enum { BENCH_STREAMS_MAX = 256 };

struct bench_options {
	double seconds;   /* > 0 */
	unsigned streams; /* 1..BENCH_STREAMS_MAX */
	bool reverse;     /* the peer sends */
};

struct bench_result {
	uint64_t bytes;                /* that have arrived */
	double seconds;                /* first byte written to last byte arrived */
	double gbit_s;                 /* 1e9 bits of payload a second */
	double cpu_s, cpu_s_per_gb;    /* of this process meanwhile; GB: 1e9 bytes */
	double rtt_p50_us, rtt_p99_us; /* 64 bytes there and back, before the load */
};

/* The bench is gone after the call.  `result` is NULL when error is not 0. */
typedef void bench_done_fn(void *user, int error, const struct bench_result *result);
/* Ten times a second under load: seconds since it began, gbit/s since the last call. */
typedef void bench_progress_fn(void *user, double elapsed, double gbit_s);

struct bench;
int bench_start(struct hub *h, const uint8_t key[GODWIT_KEY_SIZE],
		const struct bench_options *options, bench_progress_fn *progress,
		bench_done_fn *done, void *user, struct bench **out);
void bench_stop(struct bench *b);

#endif
