/* tests/perf/workload.h - fixed work for whole nodes, whose instructions are counted.
 *
 * Built of the simulator: a virtual clock, a clean network without loss or jitter, one seed.  No
 * check is made while it runs, and its applications look at no byte, so what is counted is the
 * node and the beacon, not the test. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_WORKLOAD_H
#define GODWIT_WORKLOAD_H

#include "sim.h"

struct load {
	uint64_t size;         /* bytes that each stream is yet to be given */
	unsigned rounds;       /* of a ping-pong */
	unsigned opened, over; /* streams, seen from who opened them */
	unsigned moves;
	struct writer {
		struct stream *stream;
		uint64_t left;
	} writers[128];
};

struct phase {
	const char *name;
	/* Processes, started, and what shall not be counted. */
	void (*prepare)(struct sim *s);
	void (*begin)(struct sim *s);
	bool (*done)(struct sim *s);
	gw_time lasts; /* 0: until it is done */
};

const struct phase *phase_at(size_t index); /* NULL past the last */

#endif
