/* tests/bench/crowd.h - many nodes in a process of their own, for one node that is measured.
 *
 * Each is a core node with a key and a socket.  They do what they are told, and meanwhile answer
 * as idle nodes do. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_BENCH_CROWD_H
#define GODWIT_BENCH_CROWD_H

#include <stdint.h>

#include "crypto/identity.h"

#define CROWD_SERVICE "x"

struct crowd_target {
	uint8_t key[KEY_SIZE];
	uint16_t port; /* of 127.0.0.1 */
};

enum crowd_verb {
	CROWD_JOIN,  /* `count` nodes connect, `at_once` at a time, and stay */
	CROWD_VISIT, /* connect, and say goodbye */
	CROWD_OPEN,  /* each of those that stay opens `count` streams, a byte each */
};

struct crowd_order {
	enum crowd_verb verb;
	uint32_t count, at_once;
};

/* When it is done. */
struct crowd_report {
	double seconds, cpu_s;
};

/* A new process, on the second processor; this one stays on the first.  Returns the end of a socket for one target, then orders, each answered by a report.  It
 * ends when that is closed: its nodes vanish without a word. */
int crowd_start(void);

#endif
