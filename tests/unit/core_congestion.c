/* tests/unit/core_congestion.c - which congestion control ngtcp2 is asked for: by the path.
 * Linked with --wrap. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "core_pair.h"

#include "core/types.h"
#include "core_liar.h"
#include "quic/quic.h"

enum { ASKED_COUNT = 64 };

/* What was asked for, by `user` of the connection. */
static struct {
	const void *user;
	ngtcp2_cc_algo algorithm;
} asked[ASKED_COUNT];
static size_t n_asked;

static void note(const void *user, const ngtcp2_settings *s)
{
	assert_true(n_asked < ASKED_COUNT);
	asked[n_asked].user = user;
	asked[n_asked++].algorithm = s->cc_algo;
}

#define PARAMETERS                                                                                 \
	ngtcp2_conn **conn, const ngtcp2_cid *dcid, const ngtcp2_cid *scid,                        \
		const ngtcp2_path *path, uint32_t version, int callbacks_version,                  \
		const ngtcp2_callbacks *callbacks, int settings_version,                           \
		const ngtcp2_settings *settings, int params_version,                               \
		const ngtcp2_transport_params *params, const ngtcp2_mem *mem, void *user
#define ARGUMENTS                                                                                  \
	conn, dcid, scid, path, version, callbacks_version, callbacks, settings_version, settings, \
		params_version, params, mem, user

int __real_ngtcp2_conn_client_new_versioned(PARAMETERS);
int __wrap_ngtcp2_conn_client_new_versioned(PARAMETERS);
int __real_ngtcp2_conn_server_new_versioned(PARAMETERS);
int __wrap_ngtcp2_conn_server_new_versioned(PARAMETERS);

int __wrap_ngtcp2_conn_client_new_versioned(PARAMETERS)
{
	note(user, settings);
	return __real_ngtcp2_conn_client_new_versioned(ARGUMENTS);
}

int __wrap_ngtcp2_conn_server_new_versioned(PARAMETERS)
{
	note(user, settings);
	return __real_ngtcp2_conn_server_new_versioned(ARGUMENTS);
}

static int setup(void **state)
{
	(void)state;
	n_asked = 0;
	return 0;
}

static ngtcp2_cc_algo algorithm_of(const struct node *n)
{
	const struct peer *peer = node_peer_next(n, NULL);

	assert_non_null(peer);
	assert_non_null(peer->used);
	for (size_t i = n_asked; i-- > 0;)
		if (asked[i].user == peer->used)
			return asked[i].algorithm;
	fail_msg("made without ngtcp2");
	return NGTCP2_CC_ALGO_RENO;
}

/* --- direct --- */

/* Both ends are at that address, at ports of their own. */
static void expect(const char *host, bool bbr, ngtcp2_cc_algo expected)
{
	static struct pair pair;

	pair_init(&pair);
	for (int i = 0; i < 2; i++) {
		pair.n[i].config.bbr = bbr;
		assert_int_equal(addr_parse_host(&pair.n[i].at, host, (uint16_t)(4001 + i)), 0);
	}
	pair_start_both(&pair);
	assert_int_equal(node_dial(pair.n[0].node, pair.n[1].id.key, pair.now), 0);
	assert_true(pair_wait_connected(&pair));
	for (int i = 0; i < 2; i++)
		if (algorithm_of(pair.n[i].node) != expected)
			fail_msg("%s %s", i ? "accepted from" : "dialled", host);
	pair_clear(&pair);
	n_asked = 0;
}

static void test_private_addresses_are_near(void **state)
{
	(void)state;
	expect("10.1.2.3", true, QUIC_BBR_NEAR);
	expect("172.16.0.1", true, QUIC_BBR_NEAR);
	expect("192.168.1.1", true, QUIC_BBR_NEAR);
	expect("fd00::1", true, QUIC_BBR_NEAR);
	expect("127.0.0.1", true, QUIC_BBR_NEAR);
	expect("169.254.1.1", true, QUIC_BBR_NEAR);
	expect("fe80::1", true, QUIC_BBR_NEAR);
}

static void test_others_are_far(void **state)
{
	(void)state;
	expect("203.0.113.1", true, NGTCP2_CC_ALGO_BBR);
	expect("172.32.0.1", true, NGTCP2_CC_ALGO_BBR);
	expect("2001:db8::1", true, NGTCP2_CC_ALGO_BBR);
}

static void test_cubic_is_everywhere(void **state)
{
	(void)state;
	expect("10.1.2.3", false, NGTCP2_CC_ALGO_CUBIC);
	expect("203.0.113.1", false, NGTCP2_CC_ALGO_CUBIC);
}

/* --- through a beacon --- */

static void test_relayed_is_far(void **state)
{
	static struct world world;
	uint64_t id;

	(void)state;
	world_init(&world);
	world.no_direct = true;
	for (int i = 0; i < 2; i++)
		world_use(&world, i, 0);
	world_settle(&world);
	assert_int_equal(node_ping(world.n[0].node, world.n[1].id.key, &id, world.now), 0);
	world_run(&world, 3 * GW_SEC);
	assert_true(world.n[0].relayed);
	for (int i = 0; i < 2; i++)
		assert_int_equal(algorithm_of(world.n[i].node), NGTCP2_CC_ALGO_BBR);
	world_clear(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_private_addresses_are_near, setup),
		cmocka_unit_test_setup(test_others_are_far, setup),
		cmocka_unit_test_setup(test_cubic_is_everywhere, setup),
		cmocka_unit_test_setup(test_relayed_is_far, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
