/* SPDX-License-Identifier: Apache-2.0 */
/* PCP and NAT-PMP, which share a port of the gateway, asked side by side:
 *
 *	PCP       MAP request ------------------------------> granted: done
 *	NAT-PMP   address request --> answer, PCP has none --> mapping request --> granted: done
 *
 * NAT-PMP asks for a mapping only once PCP has failed or kept silent a little longer, so that
 * a gateway that speaks both makes one mapping.  NAT-PMP is libnatpmp's; what it does with its
 * socket and its timer stays inside of it. */
#include "io/portmap_internal.h"

#include <errno.h>
#include <natpmp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"
#include "io/loop.h"

#define TRY_TIME (2 * GW_SEC)
#define PCP_GRACE (250 * GW_MSEC)  /* for PCP, after NAT-PMP has answered */
#define PCP_RESEND (250 * GW_MSEC) /* doubles each time, like NAT-PMP's */

enum step { ASKING, HAS_ADDRESS, MAPPING, SETTLED };

struct exchange {
	struct attempt *attempt;
	struct addr local; /* what the gateway knows this host as */
	enum step pcp;     /* ASKING or SETTLED */
	int pcp_fd;
	gw_time resend_at, resend_pause;
	enum step natpmp;
	natpmp_t lib;
	gw_time address_at; /* HAS_ADDRESS: since when */
	struct addr external;
};

/* --- sockets --- */

bool gateway_find(struct addr *out)
{
	natpmp_t lib = { .s = -1 };
	int error = initnatpmp(&lib, 0, 0);

	if (lib.s >= 0)
		closenatpmp(&lib);
	if (error)
		return false;
	*out = (struct addr){ .family = ADDR_V4, .port = PCP_PORT };
	memcpy(out->ip, &lib.gateway, 4);
	return true;
}

static int connect_to(int fd, const struct addr *gateway)
{
	struct sockaddr_storage sa;
	socklen_t len = addr_to_sockaddr(gateway, &sa, false);

	return connect(fd, (struct sockaddr *)&sa, len);
}

static int natpmp_open(natpmp_t *lib, const struct addr *gateway)
{
	in_addr_t ip;

	memcpy(&ip, gateway->ip, 4);
	memset(lib, 0, sizeof(*lib));
	lib->s = -1;
	/* The library knows one port only. */
	if (initnatpmp(lib, 1, ip) == 0 &&
	    (gateway->port == NATPMP_PORT || connect_to(lib->s, gateway) == 0))
		return 0;
	if (lib->s >= 0)
		closenatpmp(lib);
	lib->s = -1;
	return GW_E_IO;
}

static int pcp_open(const struct addr *gateway, struct addr *local)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct sockaddr_in sa;
	socklen_t len = sizeof(sa);

	if (fd < 0)
		return -1;
	if (connect_to(fd, gateway) == 0 && getsockname(fd, (struct sockaddr *)&sa, &len) == 0 &&
	    addr_from_sockaddr(local, (struct sockaddr *)&sa, len) == 0)
		return fd;
	close(fd);
	return -1;
}

/* --- PCP --- */

static void pcp_settle(struct exchange *e, enum portmap_answer answer, const char *why)
{
	e->pcp = SETTLED;
	attempt_note(e->attempt, PORTMAP_PCP, answer, why);
}

/* false: the gateway has said that nobody listens there. */
static bool pcp_request(const struct attempt *a, int fd, const struct addr *local,
			uint32_t lifetime)
{
	struct pcp_map map = { .internal_port = a->local_port, .external = a->wanted };
	uint8_t out[PCP_MAP_SIZE];

	if (map.external.family == ADDR_NONE)
		map.external.port = a->local_port;
	if (lifetime == 0)
		map.external = (struct addr){ 0 };
	memcpy(map.nonce, a->nonce, sizeof(map.nonce));
	pcp_map_encode(out, &map, local, lifetime);
	return send(fd, out, sizeof(out), MSG_NOSIGNAL) >= 0 || errno != ECONNREFUSED;
}

static void pcp_send(struct exchange *e, gw_time now)
{
	if (e->pcp == SETTLED || now < e->resend_at)
		return;
	e->resend_at = now + e->resend_pause;
	e->resend_pause *= 2;
	e->attempt->asked[PORTMAP_PCP] = true;
	if (!pcp_request(e->attempt, e->pcp_fd, &e->local, MAPPING_LIFETIME))
		pcp_settle(e, PORTMAP_ABSENT, "port closed");
}

static void pcp_answer(struct exchange *e, const struct pcp_reply *r)
{
	struct attempt *a = e->attempt;
	struct mapping m = { PORTMAP_PCP, r->map.external, r->lifetime, r->epoch };

	if (r->opcode != PCP_MAP)
		return;
	if (r->has_map && (memcmp(r->map.nonce, a->nonce, sizeof(a->nonce)) != 0 ||
			   r->map.internal_port != a->local_port))
		return; /* not the answer to this request */
	if (r->result != PCP_SUCCESS) {
		pcp_settle(e, PORTMAP_REFUSED, pcp_result_text(r->result));
		return;
	}
	e->pcp = SETTLED;
	attempt_grant(a, &m);
}

static void pcp_receive(struct exchange *e)
{
	uint8_t data[PCP_SIZE_MAX];
	struct pcp_reply reply;

	while (e->pcp != SETTLED) {
		ssize_t n = recv(e->pcp_fd, data, sizeof(data), MSG_DONTWAIT);

		if (n < 0) {
			if (errno == ECONNREFUSED)
				pcp_settle(e, PORTMAP_ABSENT, "port closed");
			return;
		}
		n = pcp_reply_decode(&reply, data, (size_t)n);
		if (n > 0)
			pcp_answer(e, &reply);
		else if (n == GW_E_VERSION)
			pcp_settle(e, PORTMAP_ABSENT, "the gateway speaks another version");
	}
}

/* --- NAT-PMP --- */

static void natpmp_settle(struct exchange *e, enum portmap_answer answer, const char *why)
{
	e->natpmp = SETTLED;
	attempt_note(e->attempt, PORTMAP_NAT_PMP, answer, why);
}

static void natpmp_refused(struct exchange *e, int error)
{
	switch (error) {
	case NATPMP_ERR_NOGATEWAYSUPPORT:
		natpmp_settle(e, PORTMAP_ABSENT, "port closed");
		return;
	case NATPMP_ERR_UNSUPPORTEDVERSION:
		natpmp_settle(e, PORTMAP_ABSENT, "the gateway speaks another version");
		return;
	case NATPMP_ERR_NOTAUTHORIZED:
		natpmp_settle(e, PORTMAP_REFUSED, "not authorised");
		return;
	case NATPMP_ERR_NETWORKFAILURE:
		natpmp_settle(e, PORTMAP_REFUSED, "the gateway has no network");
		return;
	case NATPMP_ERR_OUTOFRESOURCES:
		natpmp_settle(e, PORTMAP_REFUSED, "no resources left");
		return;
	default:
		natpmp_settle(e, PORTMAP_REFUSED, "the request failed");
		return;
	}
}

static void natpmp_ask_mapping(struct exchange *e)
{
	struct attempt *a = e->attempt;
	uint16_t port = a->wanted.family == ADDR_NONE ? a->local_port : a->wanted.port;

	e->natpmp = MAPPING;
	a->asked[PORTMAP_NAT_PMP] = true;
	if (sendnewportmappingrequest(&e->lib, NATPMP_PROTOCOL_UDP, a->local_port, port,
				      MAPPING_LIFETIME) < 0)
		natpmp_settle(e, PORTMAP_ABSENT, "cannot send");
}

static void natpmp_answer(struct exchange *e, const natpmpresp_t *r, gw_time now)
{
	struct mapping m = { .protocol = PORTMAP_NAT_PMP, .external = e->external };

	if (e->natpmp == ASKING && r->type == NATPMP_RESPTYPE_PUBLICADDRESS) {
		e->external = (struct addr){ .family = ADDR_V4 };
		memcpy(e->external.ip, &r->pnu.publicaddress.addr, 4);
		e->natpmp = HAS_ADDRESS;
		e->address_at = now;
		attempt_note(e->attempt, PORTMAP_NAT_PMP, PORTMAP_FOUND, "");
		return;
	}
	if (r->type != NATPMP_RESPTYPE_UDPPORTMAPPING ||
	    r->pnu.newportmapping.privateport != e->attempt->local_port) {
		natpmp_ask_mapping(e); /* a late answer to the first request; this one is lost */
		return;
	}
	m.external.port = r->pnu.newportmapping.mappedpublicport;
	m.lifetime = r->pnu.newportmapping.lifetime;
	m.epoch = r->epoch;
	e->natpmp = SETTLED;
	attempt_grant(e->attempt, &m);
}

static void natpmp_step(struct exchange *e, gw_time now)
{
	natpmpresp_t response;
	int error;

	if (e->natpmp == ASKING || e->natpmp == MAPPING) {
		error = readnatpmpresponseorretry(&e->lib, &response);
		if (error == 0)
			natpmp_answer(e, &response, now);
		else if (error != NATPMP_TRYAGAIN)
			natpmp_refused(e, error);
	}
	if (e->natpmp == HAS_ADDRESS && (e->pcp == SETTLED || now >= e->address_at + PCP_GRACE))
		natpmp_ask_mapping(e);
}

static gw_time natpmp_expiry(struct exchange *e, gw_time now)
{
	struct timeval t;

	if (e->natpmp == HAS_ADDRESS)
		return e->address_at + PCP_GRACE;
	if (e->natpmp == SETTLED || getnatpmprequesttimeout(&e->lib, &t) != 0)
		return GW_NEVER;
	if (t.tv_sec < 0)
		return now;
	return now + (gw_time)t.tv_sec * GW_SEC + (gw_time)t.tv_usec * GW_USEC;
}

/* --- both --- */

static void start(struct exchange *e, struct attempt *a, const struct addr *gateway)
{
	*e = (struct exchange){ .attempt = a, .resend_pause = PCP_RESEND };
	e->pcp_fd = pcp_open(gateway, &e->local);
	if (e->pcp_fd < 0)
		pcp_settle(e, PORTMAP_ABSENT, "the gateway cannot be reached");
	if (natpmp_open(&e->lib, gateway) != 0 || sendpublicaddressrequest(&e->lib) < 0)
		natpmp_settle(e, PORTMAP_ABSENT, "the gateway cannot be reached");
}

static bool granted(const struct exchange *e)
{
	return e->attempt->mapping.protocol != PORTMAP_PROTOCOLS;
}

static bool going_on(const struct exchange *e)
{
	return !granted(e) && (e->pcp != SETTLED || e->natpmp != SETTLED);
}

/* false: the caller is wanted elsewhere. */
static bool wait_for_answer(struct exchange *e, gw_time deadline, gw_time now)
{
	struct pollfd fds[] = {
		{ .fd = e->attempt->wake_fd, .events = POLLIN },
		{ .fd = e->pcp == SETTLED ? -1 : e->pcp_fd, .events = POLLIN },
		{ .fd = e->natpmp == SETTLED ? -1 : e->lib.s, .events = POLLIN },
	};
	gw_time at = time_min(deadline, natpmp_expiry(e, now));

	if (e->pcp != SETTLED)
		at = time_min(at, e->resend_at);
	at = at > now ? at - now : 0;
	poll(fds, 3, (int)((at + GW_MSEC - 1) / GW_MSEC));
	return !fds[0].revents;
}

static void note_silence(struct exchange *e)
{
	if (e->pcp != SETTLED)
		pcp_settle(e, PORTMAP_ABSENT, "no answer");
	if (e->natpmp == ASKING)
		natpmp_settle(e, PORTMAP_ABSENT, "no answer");
	if (e->natpmp == MAPPING)
		natpmp_settle(e, PORTMAP_REFUSED, "no answer to the mapping request");
}

static void stop(struct exchange *e)
{
	if (e->pcp_fd >= 0)
		close(e->pcp_fd);
	if (e->lib.s >= 0)
		closenatpmp(&e->lib);
}

void gateway_map(struct attempt *a, const struct addr *gateway)
{
	gw_time now = loop_clock(), deadline = now + TRY_TIME;
	struct exchange e;

	start(&e, a, gateway);
	while (going_on(&e)) {
		pcp_send(&e, now);
		if (!wait_for_answer(&e, deadline, now))
			break;
		now = loop_clock();
		if (now >= deadline)
			note_silence(&e);
		if (e.pcp != SETTLED)
			pcp_receive(&e);
		if (!granted(&e))
			natpmp_step(&e, now);
	}
	stop(&e);
}

static void natpmp_unmap(const struct attempt *a, const struct addr *gateway)
{
	natpmp_t lib;

	if (natpmp_open(&lib, gateway) != 0)
		return;
	sendnewportmappingrequest(&lib, NATPMP_PROTOCOL_UDP, a->local_port, 0, 0);
	closenatpmp(&lib);
}

static void pcp_unmap(const struct attempt *a, const struct addr *gateway)
{
	struct addr local;
	int fd = pcp_open(gateway, &local);

	if (fd < 0)
		return;
	(void)pcp_request(a, fd, &local, 0);
	close(fd);
}

void gateway_unmap(const struct attempt *a, const struct addr *gateway)
{
	if (a->asked[PORTMAP_PCP])
		pcp_unmap(a, gateway);
	if (a->asked[PORTMAP_NAT_PMP])
		natpmp_unmap(a, gateway);
}
