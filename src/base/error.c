/* SPDX-License-Identifier: Apache-2.0 */
#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

struct entry {
	const char *name, *text;
};

/* Indexed by the negated code. */
static const struct entry ENTRIES[] = {
	{ "ok", "no error" },
	{ "no-memory", "out of memory" },
	{ "invalid", "an argument makes no sense" },
	{ "length", "the length is wrong" },
	{ "checksum", "the checksum does not match (a typing error?)" },
	{ "type", "it is of another kind than what belongs here" },
	{ "character", "a character is outside the alphabet (a-z, 2-7)" },
	{ "key", "it is not a usable Ed25519 public key" },
	{ "format", "it is malformed" },
	{ "version", "this version of godwit does not know that version" },
	{ "self", "that is this node's own address" },
	{ "unreachable", "the peer does not answer" },
	{ "denied", "the peer does not allow this key" },
	{ "no-service", "the peer offers no such service" },
	{ "target", "the target of the service refused or cannot be reached" },
	{ "restarted", "the peer's process was restarted and has lost the stream" },
	{ "exited", "the peer's process has exited" },
	{ "parked-out", "the peer was away for longer than the park timeout" },
	{ "lost", "the peer knows nothing of that stream" },
	{ "reset", "the other application reset the stream" },
	{ "limit", "a limit is reached" },
	{ "timeout", "timed out" },
	{ "in-use", "already in use" },
	{ "permission", "permission denied" },
	{ "exists", "it exists already" },
	{ "not-found", "not found" },
	{ "io", "a system call failed" },
	{ "crypto", "the crypto library failed" },
	{ "closed", "it is closed already" },
	{ "protocol", "the peer broke the protocol" },
	{ "again", "nothing to do now" },
	{ "kind", "the service is of the other kind (UDP, or not UDP)" },
	{ "policy", "this node's own policy does not allow it" },
	{ "ambiguous", "two members claim that name" },
};

static const struct entry *find(int code)
{
	static const struct entry unknown = { "unknown", "unknown error" };
	size_t index = code <= 0 ? (size_t)(-(int64_t)code) : sizeof(ENTRIES);

	return index < sizeof(ENTRIES) / sizeof(ENTRIES[0]) ? &ENTRIES[index] : &unknown;
}

const char *error_text(int code)
{
	return find(code)->text;
}

const char *error_name(int code)
{
	return find(code)->name;
}
