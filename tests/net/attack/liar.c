/* SPDX-License-Identifier: Apache-2.0 */
/* liar ... - godwit as a malicious peer has it: all candidates that it tells are 192.0.2.1 to .8, and
 * it tells them each 10 ms, in rounds of its own when it has dialled, else in the peer's.
 *
 * It is the real program, with some of core/ wrapped (ld --wrap). */
#include "core/peer.h"
#include "core/punch.h"

enum { ROUNDS_AHEAD = 1000 };
#define LIE_GAP (10 * GW_MSEC)

/* The linker's names. */
gw_time __real_punch_due(const struct peer *p);
gw_time __wrap_punch_due(const struct peer *p);
void __real_punch_expire(struct peer *p, gw_time now);
void __wrap_punch_expire(struct peer *p, gw_time now);
void __real_peer_send(struct peer *p, const struct frame *f);
void __wrap_peer_send(struct peer *p, const struct frame *f);

static gw_time lie_at;
static uint64_t lies;

static bool talks(const struct peer *p)
{
	return p->used && p->used->state == CONN_USED;
}

void __wrap_peer_send(struct peer *p, const struct frame *f)
{
	struct frame lie = *f;

	if (f->type != FRAME_CANDIDATES) {
		__real_peer_send(p, f);
		return;
	}
	lie.candidates.count = CANDIDATES_MAX;
	for (uint8_t i = 0; i < CANDIDATES_MAX; i++) {
		lie.candidates.list[i].kind = CANDIDATE_OBSERVED;
		lie.candidates.list[i].endpoint = (struct addr){
			.family = ADDR_V4, .port = 1000, .ip = { 192, 0, 2, (uint8_t)(1 + i) }
		};
	}
	__real_peer_send(p, &lie);
}

static void tell(struct peer *p)
{
	struct frame f = { .type = FRAME_CANDIDATES };

	lies++;
	f.candidates.round = p->used->dialler || !p->punch ? ROUNDS_AHEAD + lies : p->punch->round;
	f.candidates.flags = lies % 2 ? 0 : CANDIDATES_SPRAY | CANDIDATES_DEPENDENT;
	f.candidates.port = 2000;
	f.candidates.step = 1;
	__wrap_peer_send(p, &f);
}

gw_time __wrap_punch_due(const struct peer *p)
{
	gw_time due = __real_punch_due(p);

	return talks(p) ? time_min(due, lie_at) : due;
}

void __wrap_punch_expire(struct peer *p, gw_time now)
{
	if (talks(p) && now >= lie_at) {
		lie_at = now + LIE_GAP;
		tell(p);
	}
	if (now >= __real_punch_due(p))
		__real_punch_expire(p, now);
}
