/* SPDX-License-Identifier: Apache-2.0 */
#include "core/pace.h"

#include "quic/quic.h"

enum {
	PACKETS_MAX = 64, /* of a batch: what one GSO call takes */
	BURST_MAX = 65536,
	PACKETS_MIN = 2,    /* per wake-up */
	PACKETS_BURST = 10, /* QUIC's first window; what a pause earns */
};

/* What goes at once, and what a late timer may make up for. */
#define TURN GW_MSEC
/* On shorter paths a full window waits no longer than that, and timers cost more than they give. */
#define PACED_FROM GW_MSEC

/* More than BBR makes on purpose, when it looks for a faster path. */
#define QUEUE_LEAST (2 * GW_MSEC)
/* Times the 1.25 of that look it is still above what the path gives. */
#define DRAIN 0.85

/* Does a queue stand that our own window has made?  If more waits than that holds, others made it,
 * and who gives way to them is left with nothing. */
static bool queue_is_ours(const struct quic_stat *stat)
{
	/* 1.25: it may be looking for a faster path just now. */
	double most = 1.25 * (double)stat->cwnd / stat->pacing_rate;

	return stat->smoothed_rtt > stat->min_rtt + stat->min_rtt / 4 + QUEUE_LEAST &&
	       (double)stat->smoothed_rtt < most;
}

bool pace_is_near(const struct quic_stat *stat)
{
	return stat->min_rtt < PACED_FROM || stat->min_rtt == UINT64_MAX;
}

/* Bytes a nanosecond; 0: as fast as the window allows. */
static double rate(const struct quic_stat *stat)
{
	double window = (double)stat->cwnd / (double)stat->smoothed_rtt;

	if (pace_is_near(stat))
		return 0;
	if (stat->pacing_rate <= 0)
		return 1.25 * window;
	/* The library's first rate is a guess: grow by the window until the path is known. */
	if (stat->pacing_rate > 2 * window)
		return 2 * window;
	/* Of the rates that were measured it takes the highest, some percent too high. */
	return queue_is_ours(stat) ? DRAIN * stat->pacing_rate : stat->pacing_rate;
}

static size_t within(double x, size_t least, size_t most)
{
	return x < (double)least ? least : x > (double)most ? most : (size_t)x;
}

/* The library's quantum for BBR is what is sent in the least round trip, ten packets on a fast and
 * short path; what one batch costs the kernel hardly depends on its size, so a millisecond's worth
 * may go. */
static size_t unpaced(struct connection *c, const struct quic_stat *stat)
{
	double quantum = (double)ngtcp2_conn_get_send_quantum(c->quic);
	double burst = (double)stat->cwnd * (double)TURN / (double)(stat->smoothed_rtt + 1);

	burst = burst < BURST_MAX ? burst : BURST_MAX;
	return within((burst > quantum ? burst : quantum) / (double)c->mtu.payload, 1, PACKETS_MAX);
}

int pace_resume(struct connection *c, gw_time now)
{
	if (c->written_at == 0)
		return 0;
	ngtcp2_conn_update_pkt_tx_time(c->quic, c->written_at);
	c->written_at = 0;
	/* A pace that is over stays its expiry until one is handled. */
	return ngtcp2_conn_get_expiry(c->quic) <= now ? ngtcp2_conn_handle_expiry(c->quic, now) : 0;
}

size_t pace_packets(struct connection *c)
{
	struct quic_stat stat;
	double pace;

	quic_stat_get(c->quic, &stat);
	pace = rate(&stat);
	if (pace == 0)
		return unpaced(c, &stat);
	return within(pace * (double)TURN / (double)c->mtu.payload, PACKETS_MIN, PACKETS_MAX);
}

void pace_sent(struct connection *c, size_t len, uint64_t was_in_flight, bool more, gw_time now)
{
	struct quic_stat stat;
	double pace, counts = 0;
	gw_time credit;

	if (len == 0)
		return;
	quic_stat_get(c->quic, &stat);
	pace = rate(&stat);
	if (pace == 0) {
		/* Until there is more to write, the library's pace is no reason to wake up. */
		if (more)
			ngtcp2_conn_update_pkt_tx_time(c->quic, now);
		else
			c->written_at = now;
		c->pace_at = GW_NEVER;
		return;
	}
	/* Acknowledgements alone are sent as they are due: charged to a rate that a few small
	 * messages have made, they would keep the next message waiting for seconds. */
	if (stat.bytes_in_flight > was_in_flight) /* keys may be dropped, and what they sent */
		counts = (double)(stat.bytes_in_flight - was_in_flight);
	credit = (gw_time)((double)(PACKETS_BURST * c->mtu.payload) / pace);
	credit = time_max(credit, TURN);
	c->pace_ready =
		time_max(c->pace_ready, now > credit ? now - credit : 0) + (gw_time)(counts / pace);
	c->pace_at = quic_pace(c->quic, &stat, len, c->pace_ready, now);
}
