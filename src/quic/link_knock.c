/* SPDX-License-Identifier: Apache-2.0 */
/* Knocks in the Initials of links: docs/protocol.md, section 19. */
#include <string.h>

#include "quic/link_internal.h"

void link_knock(const struct link *l, const ngtcp2_cid *dcid, uint8_t token[KNOCK_MAX],
		ngtcp2_settings *settings, gw_time now)
{
	struct link_host *h = l->host;
	uint8_t ephemeral[NOISE_KEY_SIZE];
	struct wire_knock what = { 0 };
	ssize_t len;

	if (!h->self)
		return;
	rng_bytes(h->rng, ephemeral, sizeof(ephemeral));
	what.wall_ms = h->wall_ms(h, now);
	len = knock_make(token, h->self, l->key, dcid->data, ephemeral, &what);
	bytes_wipe(ephemeral, sizeof(ephemeral));
	if (len > 0)
		quic_client_token(settings, token, (size_t)len);
}

bool link_may_knock(const struct link_host *h, const ngtcp2_pkt_hd *hd)
{
	ngtcp2_vec token = quic_token(hd);

	return hd->dcid.datalen == KNOCK_DCID &&
	       knock_has_tag(h->self, hd->dcid.data, token.base, token.len);
}

bool link_hear_knock(struct link *l, const ngtcp2_pkt_hd *hd, gw_time now)
{
	struct link_host *h = l->host;
	ngtcp2_vec token = quic_token(hd);
	struct knock k;

	if (hd->dcid.datalen != KNOCK_DCID ||
	    knock_open(&k, h->self, hd->dcid.data, token.base, token.len, h->wall_ms(h, now)) !=
		    KNOCK_OK ||
	    knock_seen_has(h->seen, hd->dcid.data) || !h->knows(h, k.key))
		return false;
	memcpy(l->key, k.key, KEY_SIZE);
	l->knock_ms = k.wall_ms;
	return true;
}

/* Of who comes back with a Retry the time of its knock is not known: it was a moment ago. */
bool link_knock_is_new(const struct link *l, const ngtcp2_cid *odcid, gw_time now)
{
	struct link_host *h = l->host;
	uint64_t wall_ms;

	if (!h->knows)
		return true;
	wall_ms = h->wall_ms(h, now);
	return odcid->datalen == KNOCK_DCID &&
	       knock_seen_add(&h->seen, odcid->data, l->key, l->knock_ms ? l->knock_ms : wall_ms,
			      wall_ms, h->seen_seed);
}
