/* SPDX-License-Identifier: Apache-2.0 */
/* ca.pem of a network, and what its key may do. */
#include <string.h>

#include "base/error.h"
#include "cli/networks.h"
#include "crypto/address.h"

enum { PEM_FILE_MAX = 16384 };

int home_network_save_ca(struct home_network *n, const struct identity *ca, struct failure *f)
{
	char pem[IDENTITY_PEM_MAX];
	int rv;

	identity_to_pem(ca, pem);
	rv = file_write(n->fd, n->path, "ca.pem", pem, strlen(pem), f);
	explicit_bzero(pem, sizeof(pem));
	return rv;
}

static enum home_ca state_of(const struct home_network *n, const uint8_t key[KEY_SIZE])
{
	const struct wire_manifest *m = &n->manifest.m;

	if (n->manifest.len == 0)
		return HOME_CA_WAITING;
	if (memcmp(n->key, key, KEY_SIZE) == 0)
		return HOME_CA_NETWORK;
	if (manifest_revokes_key(&n->manifest, key))
		return HOME_CA_REVOKED;
	for (size_t i = 0; i < m->n_cas; i++)
		if (memcmp(m->cas[i].key, key, KEY_SIZE) == 0)
			return HOME_CA_FURTHER;
	return HOME_CA_WAITING;
}

const char *home_ca_name(enum home_ca state)
{
	switch (state) {
	case HOME_CA_NONE:
		return "none";
	case HOME_CA_WAITING:
		return "waiting";
	case HOME_CA_REVOKED:
		return "revoked";
	case HOME_CA_FURTHER:
		return "further";
	case HOME_CA_NETWORK:
		return "network";
	}
	return "none";
}

/* Wipe *ca when *state is not HOME_CA_NONE. */
static int load_ca(const struct home_network *n, enum home_ca *state, struct identity *ca,
		   struct failure *f)
{
	struct text t;
	int rv;

	if (file_read(n->fd, n->path, "ca.pem", true, PEM_FILE_MAX, &t, f) < 0)
		return -1;
	*state = HOME_CA_NONE;
	if (!t.data)
		return 0;
	rv = identity_from_pem(ca, t.data, t.len);
	text_free(&t);
	if (rv < 0)
		return home_network_damaged(n, "ca.pem", error_text(rv), f);
	*state = state_of(n, ca->key);
	return 0;
}

int home_network_ca_state(const struct home_network *n, enum home_ca *state, uint8_t key[KEY_SIZE],
			  struct failure *f)
{
	struct identity ca;

	if (load_ca(n, state, &ca, f) < 0)
		return -1;
	if (*state != HOME_CA_NONE) {
		memcpy(key, ca.key, KEY_SIZE);
		identity_wipe(&ca);
	}
	return 0;
}

bool home_network_holds_ca(const struct home_network *n)
{
	uint8_t key[KEY_SIZE];
	struct failure ignored;
	enum home_ca state;

	return home_network_ca_state(n, &state, key, &ignored) < 0 || state >= HOME_CA_FURTHER;
}

static int may_not_sign(const struct home_network *n, enum home_ca state,
			const uint8_t key[KEY_SIZE], struct failure *f)
{
	char address[ADDRESS_SIZE];

	fail_error(f, state == HOME_CA_NONE ? GODWIT_E_NOT_FOUND : GODWIT_E_DENIED, "ca.pem");
	f->exit = EXIT_FAILED;
	if (state == HOME_CA_NONE) {
		fail_message(f, "the key of a CA of %s is not in this home", n->label);
		fail_hint(f, "the same in the home where the network was made");
	} else if (state == HOME_CA_REVOKED) {
		fail_message(f,
			     "the key of the CA in this home is revoked: it signs no more for %s",
			     n->label);
		fail_hint(f, "the same in the home where the network was made");
	} else {
		address_format(key, address);
		fail_message(f, "the key of a CA in this home is not endorsed yet, as far as the "
				"manifest here tells");
		fail_hint(f,
			  "where the network's own key is: godwit network endorse %s; then here: "
			  "godwit up, or network join BUNDLE",
			  address);
	}
	return -1;
}

int home_network_ca(const struct home_network *n, struct identity *out, struct failure *f)
{
	struct identity ca;
	enum home_ca state;

	if (load_ca(n, &state, &ca, f) < 0)
		return -1;
	if (state >= HOME_CA_FURTHER)
		*out = ca;
	else
		may_not_sign(n, state, ca.key, f);
	if (state != HOME_CA_NONE)
		identity_wipe(&ca);
	return state >= HOME_CA_FURTHER ? 0 : -1;
}
