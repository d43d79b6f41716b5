/* SPDX-License-Identifier: Apache-2.0 */
#include "trust/trust.h"

const char *trust_refusal_text(enum trust_refusal why)
{
	switch (why) {
	case TRUST_OK:
		return "nothing is wrong";
	case TRUST_MALFORMED:
		return "it is malformed";
	case TRUST_CRITICAL:
		return "it has a critical field that this version does not know";
	case TRUST_NETWORK:
		return "it is of a network that is not known here";
	case TRUST_SIGNER:
		return "its signer is no CA of the network";
	case TRUST_SIGNATURE:
		return "its signature is wrong";
	case TRUST_DEPTH:
		return "who signed it may not, or it is no member's";
	case TRUST_RIGHTS:
		return "it claims what its invite does not permit";
	case TRUST_EARLY:
		return "it is not valid yet (is a clock wrong?)";
	case TRUST_EXPIRED:
		return "it has expired";
	case TRUST_REVOKED:
		return "it is revoked";
	case TRUST_SERIAL:
		return "another key has shown the same serial";
	case TRUST_OLD:
		return "it is no newer than the one that is known";
	case TRUST_FUTURE:
		return "it is of the future (is a clock wrong?)";
	case TRUST_SELF:
		return "it revokes its own signer";
	case TRUST_LIMIT:
		return "there are too many networks";
	}
	return "it is not acceptable";
}
