/* SPDX-License-Identifier: Apache-2.0 */
/* What expires: it is renewed, or people are warned while there is time; and the clock that all depends on. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/agent_internal.h"
#include "cli/text.h"

enum {
	DAY_S = 24 * 3600,
	LOOK_EVERY_S = 60,
	WARN_S = 7 * DAY_S,            /* left of its validity */
	RENEW_MANIFEST_S = 15 * DAY_S, /* the same */
	CLOCK_WRONG_MS = 10 * 60 * 1000,
};

uint32_t agent_wall_s(void)
{
	return (uint32_t)(loop_wall_clock_ms() / 1000);
}

void warn(struct warning *w, uint32_t now_s, const char *message, const char *hint)
{
	bool same = strcmp(w->message, message) == 0;

	snprintf(w->message, sizeof(w->message), "%s", message);
	snprintf(w->hint, sizeof(w->hint), "%s", hint);
	if (!*message || (same && now_s - w->told_s < DAY_S))
		return;
	w->told_s = now_s;
	fprintf(stderr, "godwit: %s\n  try: %s\n", w->message, w->hint);
}

/* Of something valid from `from` until `until`: when it is time to do something. */
static uint32_t half_of(uint32_t from, uint32_t until)
{
	return until > from ? from + (until - from) / 2 : until;
}

static uint32_t soon_of(uint32_t from, uint32_t until, uint32_t seconds)
{
	uint32_t half = half_of(from, until);

	return until > seconds && until - seconds > half ? until - seconds : half;
}

static uint32_t renew_manifest_at(const godwit_network_info *m)
{
	return soon_of(m->issued, m->expires, RENEW_MANIFEST_S);
}

/* Late enough for the news of its renewal, which a short one has at half of its validity. */
static uint32_t warn_of_manifest_at(const godwit_network_info *m)
{
	return soon_of(half_of(m->issued, m->expires), m->expires, WARN_S);
}

static void judge_own(struct agent_network *w, uint32_t now_s)
{
	char message[400] = "", date[DATE_SIZE];
	const char *hint = "a new invite: godwit network join env:NAME, with the word in NAME";

	format_date(w->not_after, date);
	if (w->member && now_s >= w->not_after)
		snprintf(message, sizeof(message),
			 "this node's certificate of %s has expired (%s): its members no longer "
			 "know this node%s%.200s",
			 w->label, date, *w->cannot ? "; " : "", w->cannot);
	else if (w->member && *w->refusal) {
		snprintf(message, sizeof(message), "this node's certificate of %s is of no use: %s",
			 w->label, w->refusal);
		hint = "a new invite: godwit network join env:NAME, with the word in NAME; a "
		       "revoked key is not taken again: another --home DIR";
	} else if (w->member && *w->cannot && now_s >= soon_of(w->not_before, w->not_after, WARN_S))
		snprintf(message, sizeof(message),
			 "this node's certificate of %s expires at %s, and cannot be renewed: "
			 "%.200s",
			 w->label, date, w->cannot);
	if (now_s + (uint64_t)TRUST_SKEW_S < w->not_before)
		hint = "set the clock of this machine";
	warn(&w->own, now_s, message, hint);
}

static void judge_manifest(struct agent_network *w, const godwit_network_info *info, uint32_t now_s)
{
	char message[400] = "", hint[300], date[DATE_SIZE];

	format_date(info->expires, date);
	snprintf(hint, sizeof(hint), "%sgodwit network renew %s",
		 w->holds_ca ? "" : "where the key of its CA is: godwit up, or ", w->label);
	if (info->sequence > 0 && now_s >= warn_of_manifest_at(info))
		snprintf(message, sizeof(message), "the manifest of %s %s %s%s%.200s", w->label,
			 now_s >= info->expires ? "has expired (it goes on to count):"
						: "expires at",
			 date, *w->cannot_sign ? ", and cannot be renewed: " : "", w->cannot_sign);
	warn(&w->manifest, now_s, message, hint);
}

/* What another CA has signed meanwhile must not be undone: a beacon gets a moment to tell. */
static bool knows_the_last(const struct agent *a, const struct agent_network *w)
{
	return !w->others_sign || loop_clock() - a->started >= LOOK_EVERY_S * GW_SEC;
}

static void renew(struct agent *a, struct agent_network *w, uint32_t now_s)
{
	godwit_network_info info;

	if (w->member && now_s >= half_of(w->not_before, w->not_after))
		(void)agent_renew_certificate(a, w);
	if (w->holds_ca && knows_the_last(a, w) && agent_network_info(a, w, &info) &&
	    info.sequence > 0 && now_s >= renew_manifest_at(&info))
		(void)agent_renew_manifest(a, w);
}

static void look_at(struct agent *a, struct agent_network *w, uint32_t now_s)
{
	godwit_network_info info;

	if (!w->known)
		return;
	renew(a, w, now_s);
	if (!agent_network_info(a, w, &info))
		return;
	if (info.member)
		snprintf(w->refusal, sizeof(w->refusal), "%s", info.trouble ? info.trouble : "");
	judge_own(w, now_s);
	judge_manifest(w, &info, now_s);
}

/* Certificates and manifests may be short.  Seconds of wall clock. */
static uint32_t next_look(const struct agent *a, uint32_t now_s)
{
	uint32_t next = now_s + LOOK_EVERY_S;

	for (const struct agent_network *w = a->networks; w; w = w->next) {
		godwit_network_info info = { 0 };
		bool known = agent_network_info(a, w, &info);
		const uint32_t times[] = {
			w->member ? half_of(w->not_before, w->not_after) : 0,
			w->member ? w->not_after : 0,
			known ? renew_manifest_at(&info) : 0,
			known ? warn_of_manifest_at(&info) : 0,
			known ? info.expires : 0,
		};

		for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++)
			if (times[i] > now_s && times[i] < next)
				next = times[i];
	}
	return next;
}

static void look_at_clock(struct agent *a, uint32_t now_s)
{
	godwit_beacon_info *list;
	size_t count = agent_list_beacons(a, &list);
	char message[400] = "", by[DURATION_SIZE];

	for (size_t i = 0; i < count && !*message; i++) {
		const godwit_beacon_info *b = &list[i];
		int64_t ms = b->clock_offset_ms < 0 ? -b->clock_offset_ms : b->clock_offset_ms;
		int64_t minutes = (ms + 30000) / 60000;

		if (!b->own || b->state != GODWIT_BEACON_READY || ms <= CLOCK_WRONG_MS)
			continue;
		snprintf(message, sizeof(message),
			 "this host's clock is %s %s the beacon's (%.140s): peers will not answer",
			 minutes < 100000000 / 60 ? format_span((uint32_t)minutes * 60, by)
						  : "years",
			 b->clock_offset_ms > 0 ? "behind" : "ahead of", b->relay);
	}
	free(list);
	warn(&a->clock, now_s, message, "set the clock, as timedatectl set-ntp true does");
}

void agent_look_networks(struct agent *a)
{
	uint32_t now_s = agent_wall_s();

	for (struct agent_network *w = a->networks; w; w = w->next)
		look_at(a, w, now_s);
	look_at_clock(a, now_s);
	loop_timer_set(a->networks_timer,
		       loop_clock() + (gw_time)(next_look(a, now_s) - now_s) * GW_SEC);
}

void agent_look_clock(struct agent *a)
{
	look_at_clock(a, agent_wall_s());
}
