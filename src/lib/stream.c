// SPDX-License-Identifier: Apache-2.0
/* Streams of the public API.  A handle is the core's stream; calls only add the clock. */
#include <string.h>

#include "base/error.h"
#include "lib/lib.h"

#define SAME(name) _Static_assert((int)GODWIT_STREAM_##name == (int)STREAM_##name, #name)
SAME(INCOMING);
SAME(READABLE);
SAME(WRITABLE);
SAME(ANSWERED);
SAME(DELIVERED);
SAME(FAILED);

int godwit_stream_open(godwit_node *node, const uint8_t key[GODWIT_KEY_SIZE], const char *service,
		       godwit_stream **out)
{
	struct stream *s;
	int error = node_stream_open(node->core, key, service, &s, loop_clock());

	if (error)
		return error;
	*out = to_public(s);
	return 0;
}

int godwit_datagram_open(godwit_node *node, const uint8_t key[GODWIT_KEY_SIZE], const char *service,
			 godwit_stream **out)
{
	struct stream *s;
	int error = node_datagram_open(node->core, key, service, &s, loop_clock());

	if (error)
		return error;
	*out = to_public(s);
	return 0;
}

int godwit_datagram_send(godwit_stream *stream, const void *data, size_t len)
{
	return stream_datagram_send(to_core(stream), data, len, loop_clock());
}

ssize_t godwit_datagram_receive(godwit_stream *stream, void *data, size_t size)
{
	return stream_datagram_receive(to_core(stream), data, size);
}

size_t godwit_datagram_max(const godwit_stream *stream)
{
	return stream_datagram_max(to_core_const(stream));
}

void godwit_stream_set_park_timeout(godwit_stream *stream, uint64_t milliseconds)
{
	stream_set_park_timeout(to_core(stream), from_ms(milliseconds));
}

void godwit_stream_set_user(godwit_stream *stream, void *user)
{
	stream_set_user(to_core(stream), user);
}

void *godwit_stream_user(const godwit_stream *stream)
{
	return stream_user(to_core_const(stream));
}

ssize_t godwit_stream_write(godwit_stream *stream, const void *data, size_t len)
{
	return stream_write(to_core(stream), data, len, loop_clock());
}

void *godwit_stream_write_space(godwit_stream *stream, size_t *len)
{
	return stream_write_space(to_core(stream), len);
}

void godwit_stream_write_commit(godwit_stream *stream, size_t len)
{
	stream_write_commit(to_core(stream), len, loop_clock());
}

void godwit_stream_finish(godwit_stream *stream)
{
	stream_finish(to_core(stream), loop_clock());
}

const void *godwit_stream_read(godwit_stream *stream, size_t *len)
{
	return stream_read(to_core(stream), len);
}

void godwit_stream_consume(godwit_stream *stream, size_t len)
{
	stream_consume(to_core(stream), len, loop_clock());
}

bool godwit_stream_read_finished(const godwit_stream *stream)
{
	return stream_read_finished(to_core_const(stream));
}

bool godwit_stream_delivered(const godwit_stream *stream)
{
	return stream_delivered(to_core_const(stream));
}

int godwit_stream_error(const godwit_stream *stream)
{
	return stream_error(to_core_const(stream));
}

static enum stream_code code_for(int error)
{
	switch (error) {
	case GW_E_TARGET:
		return STREAM_CODE_TARGET;
	case GW_E_DENIED:
		return STREAM_CODE_DENIED;
	case GW_E_NO_SERVICE:
		return STREAM_CODE_NO_SERVICE;
	case GW_E_LIMIT:
		return STREAM_CODE_LIMIT;
	case GW_E_KIND:
		return STREAM_CODE_KIND;
	default:
		return STREAM_CODE_CANCELLED;
	}
}

void godwit_stream_reset(godwit_stream *stream, int why)
{
	stream_reset(to_core(stream), code_for(why), loop_clock());
}

void godwit_stream_free(godwit_stream *stream)
{
	if (stream)
		stream_release(to_core(stream), loop_clock());
}

static const char *state_word(const struct stream_info *info)
{
	switch (info->state) {
	case STREAM_OPENING:
		return "opening";
	case STREAM_OPEN:
		return "open";
	case STREAM_PARKED:
		return "parked";
	case STREAM_CLOSING:
		return "closing";
	}
	return "closing";
}

void godwit_stream_describe(const godwit_stream *stream, godwit_stream_info *out)
{
	gw_time now = loop_clock();
	struct stream_info info;

	stream_describe(to_core_const(stream), &info);
	memset(out, 0, sizeof(*out));
	out->id = info.id;
	memcpy(out->peer, info.peer, sizeof(out->peer));
	memcpy(out->service, info.service, sizeof(out->service));
	out->incoming = info.incoming;
	out->answered = info.answered;
	out->state = state_word(&info);
	out->tx_bytes = info.tx_bytes;
	out->rx_bytes = info.rx_bytes;
	out->datagrams = info.datagrams;
	out->sent = info.sent;
	out->received = info.received;
	out->dropped = info.dropped;
	out->age_ms = (now - time_min(info.created_at, now)) / GW_MSEC;
}
