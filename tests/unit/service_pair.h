/* tests/unit/service_pair.h - two hubs on loopback in one loop. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_TESTS_SERVICE_PAIR_H
#define GODWIT_TESTS_SERVICE_PAIR_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "service/service.h"

struct side {
	godwit_node *node;
	struct hub *hub;
	uint8_t key[GODWIT_KEY_SIZE];
};

extern struct loop *loop;
extern struct side near, far;

/* Ephemeral nodes; near knows far's endpoint, far allows everybody everything. */
void pair_start(void);
void pair_stop(void);
/* Take what has come, then wait for at most `wait` and run what is due. */
void pair_turn(gw_time wait);

/* `turn` does one round of the test's own parties and pair_turn(). */
#define RUN_UNTIL_WITHIN(patience, turn, condition)                                                \
	do {                                                                                       \
		gw_time give_up = loop_clock() + (patience);                                       \
		while (!(condition)) {                                                             \
			assert_true(loop_clock() < give_up);                                       \
			turn();                                                                    \
		}                                                                                  \
	} while (0)

#endif
