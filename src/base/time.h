/* base/time.h - time as the code sees it.
 *
 * Nanoseconds on a monotonic clock.  Only io/ reads a clock; everything else takes `now`
 * as its last parameter. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_BASE_TIME_H
#define GODWIT_BASE_TIME_H

#include <stdint.h>

typedef uint64_t gw_time;

#define GW_NEVER UINT64_MAX
#define GW_USEC UINT64_C(1000)
#define GW_MSEC UINT64_C(1000000)
#define GW_SEC UINT64_C(1000000000)

static inline gw_time time_min(gw_time a, gw_time b)
{
	return a < b ? a : b;
}

static inline gw_time time_max(gw_time a, gw_time b)
{
	return a > b ? a : b;
}

#endif
