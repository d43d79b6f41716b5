/* SPDX-License-Identifier: Apache-2.0 */
/* UPnP Internet Gateway Devices, by miniupnpc.  Discovery takes two seconds; a device once found
 * is kept for renewals. */
#include "io/portmap_internal.h"

#include <miniupnpc/miniupnpc.h>
#include <miniupnpc/upnpcommands.h>
#include <miniupnpc/upnperrors.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/entropy.h"

enum {
	DISCOVERY_MS = 2000,
	PORTS_TRIED = 4, /* ours, then random ones, while each is taken */
	NOT_AUTHORIZED = 606,
	PORT_TAKEN = 718,
	NO_LEASES = 725, /* "only permanent leases supported" */
};

struct upnp {
	const char *url;
	bool open; /* the rest is set */
	struct UPNPUrls urls;
	struct IGDdatas data;
	char lan[64]; /* our address, as the device sees it */
};

struct upnp *upnp_new(const char *url)
{
	struct upnp *u = calloc(1, sizeof(*u));

	if (u)
		u->url = url;
	return u;
}

void upnp_forget(struct upnp *u)
{
	if (u->open)
		FreeUPNPUrls(&u->urls);
	u->open = false;
}

void upnp_free(struct upnp *u)
{
	if (!u)
		return;
	upnp_forget(u);
	free(u);
}

/* An IGD, even one that says it has no connection: a second NAT makes some say so. */
static bool choose(struct upnp *u, struct UPNPDev *list)
{
	int found;

#if MINIUPNPC_API_VERSION >= 18
	enum { NOT_IGD = 4 };
	char wan[64];

	found = UPNP_GetValidIGD(list, &u->urls, &u->data, u->lan, sizeof(u->lan), wan,
				 sizeof(wan));
#else
	enum { NOT_IGD = 3 };

	found = UPNP_GetValidIGD(list, &u->urls, &u->data, u->lan, sizeof(u->lan));
#endif
	if (found >= NOT_IGD)
		FreeUPNPUrls(&u->urls);
	u->open = found > 0 && found < NOT_IGD;
	return u->open;
}

static bool discover(struct upnp *u)
{
	static const char *const types[] = {
		"urn:schemas-upnp-org:device:InternetGatewayDevice:2",
		"urn:schemas-upnp-org:device:InternetGatewayDevice:1",
		"urn:schemas-upnp-org:service:WANIPConnection:1",
		"urn:schemas-upnp-org:service:WANPPPConnection:1",
		NULL,
	};
	struct UPNPDev *list;
	int error;

	if (u->url) {
		u->open =
			UPNP_GetIGDFromUrl(u->url, &u->urls, &u->data, u->lan, sizeof(u->lan)) == 1;
		return u->open;
	}
	list = upnpDiscoverDevices(types, DISCOVERY_MS, NULL, NULL, UPNP_LOCAL_PORT_ANY, 0, 2,
				   &error, 1);
	if (!list)
		return false;
	choose(u, list);
	freeUPNPDevlist(list);
	return u->open;
}

static int add(struct upnp *u, uint16_t local, uint16_t external, uint32_t *lifetime)
{
	char in[8], out[8], life[16];
	int error;

	snprintf(in, sizeof(in), "%u", local);
	snprintf(out, sizeof(out), "%u", external);
	snprintf(life, sizeof(life), "%d", MAPPING_LIFETIME);
	*lifetime = MAPPING_LIFETIME;
	error = UPNP_AddPortMapping(u->urls.controlURL, u->data.first.servicetype, out, in, u->lan,
				    "godwit", "UDP", NULL, life);
	if (error != NO_LEASES)
		return error;
	return UPNP_AddPortMapping(u->urls.controlURL, u->data.first.servicetype, out, in, u->lan,
				   "godwit", "UDP", NULL, "0");
}

static uint16_t random_port(void)
{
	struct rng rng;

	entropy_init(&rng);
	return (uint16_t)(1024 + rng_below(&rng, UINT16_MAX - 1024));
}

/* 0, or an error of UPnP or miniupnpc. */
static int map(struct upnp *u, const struct attempt *a, struct mapping *out)
{
	uint16_t port = a->wanted.family == ADDR_NONE ? a->local_port : a->wanted.port;
	char ip[64] = "";
	int error;

	error = UPNP_GetExternalIPAddress(u->urls.controlURL, u->data.first.servicetype, ip);
	if (error)
		return error;
	out->external = (struct addr){ 0 };
	(void)addr_parse_host(&out->external, ip, 0); /* fails: no address, which is refused */
	for (int i = 0; i < PORTS_TRIED; i++) {
		out->external.port = port;
		error = add(u, a->local_port, port, &out->lifetime);
		if (error != PORT_TAKEN)
			return error;
		port = random_port();
	}
	return error;
}

static const char *reason(int error)
{
	const char *text = error > 0 ? strupnperror(error) : NULL;

	if (error == NOT_AUTHORIZED)
		return "not authorised";
	if (text)
		return text;
	return error > 0 ? "refused" : "the device does not answer";
}

void upnp_map(struct upnp *u, struct attempt *a)
{
	struct mapping m = { .protocol = PORTMAP_UPNP };
	bool known = u->open;
	int error;

	if (!known && !discover(u)) {
		attempt_note(a, PORTMAP_UPNP, PORTMAP_ABSENT, "no gateway device answers");
		return;
	}
	error = map(u, a, &m);
	if (error < 0 && known) { /* gone, or elsewhere since */
		upnp_forget(u);
		upnp_map(u, a);
	} else if (error) {
		attempt_note(a, PORTMAP_UPNP, PORTMAP_REFUSED, reason(error));
	} else {
		attempt_grant(a, &m);
	}
}

void upnp_unmap(struct upnp *u, const struct mapping *m)
{
	char port[8];

	if (!u->open)
		return;
	snprintf(port, sizeof(port), "%u", m->external.port);
	(void)UPNP_DeletePortMapping(u->urls.controlURL, u->data.first.servicetype, port, "UDP",
				     NULL);
}
