/* A node among beacons that lie, and peers that name victims: docs/threat-model.md. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "core_liar.h"

#include "core/peer.h"
#include "core/spray.h"
#include "crypto/address.h"

static struct world world, *w = &world;

static int setup(void **state)
{
	(void)state;
	world_init(w);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	world_clear(w);
	return 0;
}

static uint64_t wall(void)
{
	return w->wall_ms + w->now / GW_MSEC;
}

static void assert_fault(int k, const char *fault)
{
	struct beacon_info info = world_info(w, 0, k);

	if (!fault) {
		assert_null(info.fault);
		return;
	}
	assert_non_null(info.fault);
	assert_string_equal(info.fault, fault);
}

static void assert_doubt(int k, const char *doubt)
{
	struct beacon_info info = world_info(w, 0, k);

	assert_fault(k, NULL);
	assert_true(doubt ? info.doubt && strcmp(info.doubt, doubt) == 0 : !info.doubt);
}

static void ping(int i, const uint8_t *key)
{
	uint64_t id;

	assert_int_equal(node_ping(w->n[i].node, key, &id, w->now), 0);
}

/* --- records --- */

/* Node 0 looks for node 1; beacon 0 answers with those bytes. */
static void look(size_t len)
{
	w->b[0].record_len = len;
	w->now += 2 * GW_SEC; /* LOOKUP_GAP */
	ping(0, w->n[1].id.key);
	world_run(w, GW_SEC);
}

static void wrong_records_are_refused_and_the_beacon_named(void **state)
{
	uint8_t *record = w->b[0].record;
	size_t len;

	(void)state;
	w->b[0].not_here = true;
	world_use(w, 0, 0);
	world_settle(w);
	look(world_record(w, &w->n[1].id, 1, wall(), 3600, record));
	assert_fault(0, NULL);
	assert_int_equal(w->b[1].attends, 1); /* it goes where the record says */

	len = world_record(w, &w->n[1].id, 2, wall() + 1, 3600, record);
	record[len - 1] ^= 1;
	look(len);
	assert_fault(0, "gave a forged record");
	look(world_record(w, &w->n[0].id, 2, wall(), 3600, record));
	assert_fault(0, "gave the record of another key");
	look(world_record(w, &w->n[1].id, 2, wall() - 1000000, 3600, record));
	assert_fault(0, "gave an older record than before");
	len = world_record(w, &w->n[1].id, 2, wall() + 2, 3600, record);
	record[0] = 9;
	look(len);
	assert_fault(0, "gave a malformed record");
	assert_int_equal(w->b[2].attends, 0); /* nobody went where those say */
}

static void expired_records_are_refused(void **state)
{
	(void)state;
	w->b[0].not_here = true;
	world_use(w, 0, 0);
	world_settle(w);
	look(world_record(w, &w->n[1].id, 2, wall() - 7200 * 1000, 3600, w->b[0].record));
	assert_fault(0, "gave an expired record");
	assert_int_equal(w->b[2].attends, 0);
}

/* A beacon that answers for the other ones, too, does not end the search. */
static void a_beacon_answers_for_itself_alone(void **state)
{
	(void)state;
	w->b[0].not_here = w->b[1].not_here = true;
	w->b[0].answers = 3;
	w->b[1].mute = true;
	world_use(w, 0, 0);
	world_use(w, 0, 1);
	world_settle(w);
	ping(0, w->n[1].id.key);
	world_run(w, 500 * GW_MSEC);
	assert_int_equal(w->b[1].lookups, 1);
	assert_int_equal(w->n[0].failed, 0);
}

/* Whom we look for is not told to the beacons of other peers. */
static void beacons_of_others_are_not_asked(void **state)
{
	uint8_t seed[SEED_SIZE];
	struct identity third;

	(void)state;
	memset(seed, 200, sizeof(seed));
	identity_from_seed(&third, seed);
	world_use(w, 0, 0);
	world_settle(w);
	assert_int_equal(node_add_home(w->n[0].node, w->n[1].id.key, w->b[2].id.key, "198.51.100.3",
				       4443, 0, w->now),
			 0);
	ping(0, w->n[1].id.key);
	world_run(w, 2 * GW_SEC);
	assert_true(w->b[2].lookups > 0);
	node_undial(w->n[0].node, w->n[1].id.key, w->now);
	world_run(w, 10 * GW_MSEC);
	w->b[2].lookups = 0;
	ping(0, third.key);
	world_run(w, 2 * GW_SEC);
	assert_memory_equal(w->b[0].looked_for, third.key, KEY_SIZE);
	assert_true(w->b[2].lookups == 0 || memcmp(w->b[2].looked_for, third.key, KEY_SIZE) != 0);
}

/* --- our own record --- */

static void a_beacon_that_always_has_a_newer_record_is_not_asked_on_and_on(void **state)
{
	(void)state;
	w->b[0].publish_status = RESULT_OLDER;
	w->b[0].publish_ahead_ms = 1;
	world_use(w, 0, 0);
	world_use(w, 0, 1);
	world_settle(w);
	assert_int_equal(w->b[0].publishes, w->b[1].publishes);
	assert_in_range(w->b[0].publishes, 2, 4);
	world_run(w, 60 * GW_SEC);
	assert_in_range(w->b[1].publishes, 7, 10);
}

static void a_beacon_whose_clock_is_wrong_is_named(void **state)
{
	(void)state;
	w->b[0].clock_off_ms = -3 * 3600 * 1000;
	w->b[0].publish_status = RESULT_BAD; /* far in its future */
	world_use(w, 0, 0);
	world_settle(w);
	assert_doubt(0, "refuses this node's record");
	assert_int_equal(world_info(w, 0, 0).clock_offset_ms / 1000,
			 -3 * 3600); /* a link's delay */
	assert_false(node_registered(w->n[0].node));
	assert_in_range(w->b[0].publishes, 1, 3);
	w->b[0].publish_status = RESULT_OK; /* it has been set right */
	world_run(w, 11 * GW_SEC);
	assert_doubt(0, NULL);
	assert_true(node_registered(w->n[0].node));
}

static void claim_of(uint8_t out[WIRE_CLAIM_SIZE], const struct identity *by, uint64_t started_ms)
{
	struct wire_claim claim = { .incarnation = 77, .started_ms = started_ms };

	wire_claim_encode(out, &claim);
	identity_sign(by, CLAIM_CONTEXT, out, WIRE_CLAIM_SIGNED, out + WIRE_CLAIM_SIGNED);
}

/* A newer process of our key has registered: that ends us.  Nobody else's word does. */
static void identity_in_use_elsewhere(void **state)
{
	uint8_t claim[WIRE_CLAIM_SIZE];

	(void)state;
	claim_of(claim, &w->b[0].id, wall() + 1000);
	w->b[0].in_use = claim;
	world_use(w, 0, 0);
	world_settle(w);
	assert_int_equal(w->n[0].in_use, 0);
	claim_of(claim, &w->n[0].id, wall() - 3600 * 1000); /* an old one, repeated */
	world_run(w, 10 * GW_SEC);
	assert_int_equal(w->n[0].in_use, 0);
	claim_of(claim, &w->n[0].id, wall());
	world_run(w, 60 * GW_SEC);
	assert_true(w->n[0].in_use > 0);
}

/* --- where we are --- */

static void a_wrong_observed_address_is_noticed(void **state)
{
	(void)state;
	w->b[1].observed[0] =
		(struct addr){ .family = ADDR_V4, .port = 9, .ip = { 192, 0, 2, 66 } };
	world_use(w, 0, 0);
	world_settle(w);
	assert_doubt(0, NULL);
	world_use(w, 0, 1);
	world_settle(w);
	assert_doubt(0, "sees this node at another address than others do");
	assert_doubt(1, "sees this node at another address than others do");
}

/* An address reply that we did not ask for moves nothing, wherever it comes from. */
static void unasked_address_replies_move_nothing(void **state)
{
	struct wire_address_reply r = {
		.endpoint = { .family = ADDR_V4, .port = 1, .ip = { 192, 0, 2, 1 } }
	};
	struct addr stranger = { .family = ADDR_V4, .port = 53, .ip = { 192, 0, 2, 5 } };
	uint8_t data[WIRE_ADDRESS_REPLY_MAX];
	size_t len = wire_address_reply_encode(data, &r);

	(void)state;
	w->no_udp = true;
	world_use(w, 0, 0);
	world_settle(w);
	assert_true(world_info(w, 0, 0).tls);
	world_inject(w, &stranger, 0, data, len);
	world_inject(w, &w->b[0].at, 0, data, len);
	world_run(w, GW_SEC);
	assert_true(world_info(w, 0, 0).tls);
	assert_int_equal(w->victim_datagrams, 0);
	assert_int_equal(punch_mapping(w->n[0].node), 0);
}

/* --- packets that belong elsewhere --- */

static void meet(int from);

static void send_junk(int k, uint64_t channel, uint8_t first)
{
	uint8_t data[1209];

	rng_bytes(&w->b[k].rng, data, sizeof(data));
	wire_channel_encode(data, channel);
	data[WIRE_CHANNEL_HEADER] = first;
	world_inject(w, &w->b[k].at, 0, data, sizeof(data));
}

/* Of no channel, of another beacon's, and forged ones of our own: dropped, and nothing moves. */
static void misdirected_packets_do_nothing(void **state)
{
	static const uint8_t FIRST[] = { 0x40, 0xc0, 0xe0, 0x20, 0x21, 0x22, 0x23, 0x00 };
	struct node_stats before, after;
	const struct connection *used;

	(void)state;
	world_use(w, 0, 0);
	world_use(w, 1, 0);
	world_use(w, 0, 1);
	world_settle(w);
	meet(0);
	used = node_peer_next(w->n[0].node, NULL)->used;
	node_stats_get(w->n[0].node, &before);
	for (int i = 0; i < 400; i++) {
		send_junk(0, 12345 + (uint64_t)i, FIRST[i % 8]);
		send_junk(0, used->channel, FIRST[i % 8]);
		send_junk(1, used->channel, FIRST[i % 8]);
		world_run(w, 2 * GW_MSEC);
	}
	world_run(w, 6 * GW_SEC);
	node_stats_get(w->n[0].node, &after);
	assert_ptr_equal(node_peer_next(w->n[0].node, NULL)->used, used);
	assert_int_equal(after.connections, before.connections);
	assert_int_equal(after.peers, before.peers);
	assert_null(world_info(w, 0, 0).fault);
	ping(0, w->n[1].id.key);
	world_run(w, GW_SEC);
	assert_int_equal(w->n[0].pongs, 2);
}

/* --- peers that name victims --- */

static struct addr victim(uint8_t i)
{
	return (struct addr){ .family = ADDR_V4,
			      .port = (uint16_t)(1000 + i),
			      .ip = { 192, 0, 2, i } };
}

static struct peer *peer_at(int i)
{
	return node_peer_next(w->n[i].node, NULL);
}

/* Node `from` has pinged the other one, through beacon k. */
static void meet(int from)
{
	w->no_direct = true;
	ping(from, w->n[!from].id.key);
	world_run(w, 3 * GW_SEC);
	assert_int_equal(w->n[from].pongs, 1);
	assert_true(w->n[from].relayed);
	w->victim_datagrams = w->victim_bytes = 0;
}

static void name_victims(uint64_t round, uint64_t flags)
{
	struct frame f = { .type = FRAME_CANDIDATES };

	f.candidates.round = round;
	f.candidates.flags = flags;
	f.candidates.port = 2000;
	f.candidates.step = 1;
	for (uint8_t i = 0; i < CANDIDATES_MAX; i++) {
		f.candidates.list[i].kind = CANDIDATE_OBSERVED;
		f.candidates.list[i].endpoint = victim(i + 1);
	}
	f.candidates.count = CANDIDATES_MAX;
	peer_send(peer_at(1), &f);
	world_run(w, 5 * GW_MSEC);
}

enum { VOLLEYS = 7, ROUNDS = 8 };

/* One round's probes, and no more, whatever the accepter repeats. */
static void an_accepter_names_victims(void **state)
{
	uint64_t round;

	(void)state;
	world_use(w, 0, 0);
	world_use(w, 1, 0);
	world_settle(w);
	meet(0);
	world_run(w, 15 * GW_SEC); /* the second round has begun and was answered */
	round = peer_at(0)->punch->round;
	w->victim_datagrams = 0;
	for (int i = 0; i < 500; i++)
		name_victims(round, 0);
	world_run(w, 5 * GW_SEC);
	assert_true(w->victim_datagrams <= CANDIDATES_MAX * VOLLEYS);
}

/* A dialler begins rounds; not as many as it likes. */
static void a_dialler_names_victims(void **state)
{
	(void)state;
	world_use(w, 0, 0);
	world_use(w, 1, 0);
	world_settle(w);
	meet(1);
	for (uint64_t i = 0; i < 500; i++)
		name_victims(1000 + i, 0);
	world_run(w, 5 * GW_SEC);
	assert_true(w->victim_datagrams > CANDIDATES_MAX);
	assert_true(w->victim_datagrams <= (ROUNDS + 2) * CANDIDATES_MAX * VOLLEYS);
}

/* A spray goes only where a beacon of our own has seen the peer. */
static void beacons_of_others_cannot_direct_a_spray(void **state)
{
	(void)state;
	w->b[2].revealed = victim(1);
	world_use(w, 1, 2);
	world_settle(w);
	assert_int_equal(node_add_home(w->n[0].node, w->n[1].id.key, w->b[2].id.key, "198.51.100.3",
				       4443, 0, w->now),
			 0);
	meet(0);
	{
		struct beacon_frame f = { .type = BEACON_REVEALED };

		f.revealed.channel = w->b[2].channel;
		f.revealed.endpoint = victim(1);
		world_send(w, 2, 0, &f);
	}
	name_victims(peer_at(0)->punch->round, 0);
	name_victims(peer_at(0)->punch->round, CANDIDATES_SPRAY | CANDIDATES_DEPENDENT);
	world_run(w, 12 * GW_SEC);
	assert_true(w->victim_datagrams <= CANDIDATES_MAX * VOLLEYS);
}

/* Where our own beacon lies as well, it is one spray in ten minutes, with its bound. */
static void sprays_are_bounded(void **state)
{
	size_t first;

	(void)state;
	w->b[0].revealed = victim(1);
	world_use(w, 0, 0);
	world_use(w, 1, 0);
	world_settle(w);
	meet(1);
	name_victims(1000, 0);
	for (int i = 0; i < 10; i++) {
		name_victims(1000, CANDIDATES_SPRAY | CANDIDATES_DEPENDENT);
		world_run(w, 2 * GW_SEC);
	}
	first = w->victim_datagrams;
	assert_in_range(first, 512, 512 + 10 * 512 + CANDIDATES_MAX * VOLLEYS);
	for (int i = 0; i < 10; i++) {
		name_victims(1000, CANDIDATES_SPRAY | CANDIDATES_DEPENDENT);
		world_run(w, 10 * GW_SEC);
	}
	assert_int_equal(w->victim_datagrams, first);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(wrong_records_are_refused_and_the_beacon_named),
		T(expired_records_are_refused),
		T(a_beacon_answers_for_itself_alone),
		T(beacons_of_others_are_not_asked),
		T(a_beacon_that_always_has_a_newer_record_is_not_asked_on_and_on),
		T(a_beacon_whose_clock_is_wrong_is_named),
		T(identity_in_use_elsewhere),
		T(a_wrong_observed_address_is_noticed),
		T(unasked_address_replies_move_nothing),
		T(misdirected_packets_do_nothing),
		T(an_accepter_names_victims),
		T(a_dialler_names_victims),
		T(beacons_of_others_cannot_direct_a_spray),
		T(sprays_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
