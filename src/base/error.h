/* base/error.h - the one list of failures.
 *
 * Functions return 0 or one of these negative codes; outputs are untouched on failure. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_BASE_ERROR_H
#define GODWIT_BASE_ERROR_H

/* The values are public ABI: include/godwit/godwit.h repeats them as GODWIT_E_*. */
enum gw_error {
	GW_OK = 0,
	GW_E_NOMEM = -1,        /* out of memory */
	GW_E_INVALID = -2,      /* an argument makes no sense */
	GW_E_LENGTH = -3,       /* text or bytes have the wrong length */
	GW_E_CHECKSUM = -4,     /* checksum does not match: a typing error */
	GW_E_TYPE = -5,         /* right form, wrong kind (a ticket where an address belongs) */
	GW_E_CHARACTER = -6,    /* a character outside the alphabet */
	GW_E_KEY = -7,          /* not a usable Ed25519 public key (non-canonical or small order) */
	GW_E_FORMAT = -8,       /* malformed bytes */
	GW_E_VERSION = -9,      /* a version this build does not know */
	GW_E_SELF = -10,        /* that is this node's own address */
	GW_E_UNREACHABLE = -11, /* no way to the peer is known, or none answered */
	GW_E_DENIED = -12,      /* the peer's policy says no */
	GW_E_NO_SERVICE = -13,  /* the peer offers no such service */
	GW_E_TARGET = -14,      /* the service is there, its target refused or is down */
	GW_E_RESTARTED = -15,   /* the peer is a new process and has lost its streams */
	GW_E_EXITED = -16,      /* the peer's process said goodbye */
	GW_E_PARKED_OUT = -17,  /* parked longer than the park timeout allows */
	GW_E_LOST = -18,        /* the peer knows nothing of that stream */
	GW_E_RESET = -19,       /* the other application reset the stream */
	GW_E_LIMIT = -20,       /* a limit is reached: try later */
	GW_E_TIMEOUT = -21,
	GW_E_IN_USE = -22,     /* identity, port or home already in use */
	GW_E_PERMISSION = -23, /* file readable by others, or the system refuses */
	GW_E_EXISTS = -24,
	GW_E_NOT_FOUND = -25,
	GW_E_IO = -26,       /* a system call failed; errno tells */
	GW_E_CRYPTO = -27,   /* the TLS or crypto library failed */
	GW_E_CLOSED = -28,   /* the object is closed already */
	GW_E_PROTOCOL = -29, /* the peer broke the protocol */
	GW_E_AGAIN = -30,    /* nothing to do now */
	GW_E_KIND = -31,   /* a service of datagrams where one of bytes was meant, or the reverse */
	GW_E_POLICY = -32, /* our own policy says no */
	GW_E_AMBIGUOUS = -33, /* two members claim that name */
};

/* Short text ("unreachable"); `error_name` gives the machine-readable form ("unreachable",
 * "no-service", ...) used as `code` in --json errors.  Never NULL. */
const char *error_text(int code);
const char *error_name(int code);

#endif
