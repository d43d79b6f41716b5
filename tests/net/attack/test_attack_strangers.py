# SPDX-License-Identifier: Apache-2.0
"""Scanners and strangers: nobody whom the policy does not allow something gets a byte."""
import os
import random

from attacker import Forger, Guard, Tap, Target, flows, udp_in
from netlab import wait
from packets import (DCID, Hello, Identity, Long, broken_knock, client_hello, courtesy_of, crypto_frame, initial, initial_keys, knock, long_header,
                     refusal)

BESIDE = True
LATE = 0.7  # that a later answer would take at most: the accepter's handshake repeats after 300 ms


def silent(target, tap, packets, counted=True):
    """Each is sent and counted; nothing comes from the node, to anybody."""
    stranger = udp_in(target.w.b)
    tap.take()
    before = target.datagrams()
    target.hear_all(lambda packet: stranger.sendto(packet, target.at), packets)
    answers = tap.hear(LATE, lambda d: d.source == target.at[0])
    assert not answers, [(d.to, d.port, len(d.data), d.data[:20].hex()) for d in answers[:5]]
    after = target.datagrams()
    assert not counted or after["dropped"] - before["dropped"] >= len(packets), (before, after, len(packets))
    assert target.peers() == [], target.peers()
    assert target.process.running()


def scan():
    """All first bytes, all sizes."""
    rng = random.Random(7)
    for first in range(256):
        for size in (1, 2, 16, 31, 48, 200, 1200):
            yield bytes([first]) + rng.randbytes(size - 1)
    for size in range(1, 1473):
        yield rng.randbytes(size)


def versions():
    """Long headers of other versions, Version Negotiation, all types; short headers of ids that are none."""
    for version in (0, 2, 0x6b3343cf, 0x0a0a0a0a, 0xff00001d, 1):
        for kind in range(4):
            for n in (0, 8, 16, 20, 255):
                yield (long_header(kind, os.urandom(n), os.urandom(8), 3, version) + os.urandom(1200))[:1200]
    for _ in range(200):
        yield b"\x40" + os.urandom(60)


def test_attack_scan(w):
    """Every first byte, every size, every version and type of QUIC packet: no answer, no memory, little work."""
    target, tap = Target(w), Tap(w, "to_a")
    with Guard(target.process, 1024) as guard:
        for packets in (list(scan()), list(versions())):
            silent(target, tap, packets)
    assert guard.cpu < 1, guard.cpu  # of 3,500 datagrams, in a process that does what else it does


def with_token(token_of, key):
    dcid, scid = os.urandom(DCID), os.urandom(8)
    return initial(dcid, scid, token_of(dcid, key), crypto_frame(client_hello(scid)))


def test_attack_initials_without_a_knock(w):
    """Valid Initials with valid ClientHellos: without a token, with random ones of all lengths, with a wrong tag."""
    target, tap = Target(w), Tap(w, "to_a")
    member = target.who()

    def wrong_tag(dcid, key):
        token = bytearray(knock(member, key, dcid))
        token[random.randrange(len(token))] ^= 1 << random.randrange(8)
        return bytes(token)
    tokens = [lambda *_: b"", *[lambda *_, n=n: os.urandom(n) for n in range(1, 700, 7)], *[lambda *_: b"\xb7" + os.urandom(200)] * 50,
              *[wrong_tag] * 100]
    with Guard(target.process, 1024):
        silent(target, tap, [with_token(t, target.key) for t in tokens])


def test_attack_knock_for_another(w):
    """The member's knock for another key, for another first id, and one that names a key which Noise has not proved."""
    target, tap = Target(w), Tap(w, "to_a")
    member, stranger, other = target.who(), Identity(), Identity()
    packets = [Hello(member, other.key).packet for _ in range(20)]
    packets += [with_token(lambda dcid, key: knock(member, key, os.urandom(DCID)), target.key) for _ in range(20)]
    packets += [Hello(stranger, target.key, claims=member.key).packet for _ in range(20)]
    packets += [with_token(lambda dcid, key: knock(member, key, dcid), target.key)[:n] for n in (100, 600, 1199)]
    silent(target, tap, packets)


def test_attack_knock_broken_inside(w):
    """Who knows the address can make the tag right: what Noise does not prove is dropped, whatever its length."""
    target, tap = Target(w), Tap(w, "to_a")
    with Guard(target.process, 1024) as guard:
        silent(target, tap, [with_token(lambda dcid, key, n=n: broken_knock(key, dcid, n), target.key) for n in range(0, 720, 4)])
    assert guard.cpu < 1, guard.cpu


def test_attack_knock_of_a_stranger(w):
    """A perfect knock of a key that may use nothing: silence, also for one that was allowed until a moment ago."""
    target, tap = Target(w), Tap(w, "to_a")
    silent(target, tap, [Hello(Identity(), target.key).packet for _ in range(50)])
    silent(target, tap, [Hello(Identity.of_home(target.server.home), target.key).packet])
    # The same of the member is answered: the packets are good.
    forger, hello = Forger(w.b), Hello(target.who(), target.key)
    forger.send(w.b.address(), 4242, *target.at, hello.packet)
    answers = tap.answers(lambda d: d.source == target.at[0] and d.port == 4242)
    assert hello.answer(answers[0].data), "the library's packets are no good"
    wait(lambda: not target.peers(), 10, "it to be forgotten")


def test_attack_refusal(w):
    """Who shows the courtesy of a ticket is told that it is refused, in 25 bytes, which prove that the node says so; others are not."""
    target, tap, forger = Target(w), Tap(w, "to_a"), Forger(w.b)
    good, answer = courtesy_of(Identity.of_home(target.server.home)), os.urandom(16)
    for who in (Identity(), Identity()):
        silent(target, tap, [Hello(who, target.key, courtesy=os.urandom(8)).packet for _ in range(20)])
        hello = Hello(who, target.key, courtesy=good, answer=answer)
        forger.send(w.b.address(), 4242, *target.at, hello.packet)
        told = tap.answers(lambda d: d.source == target.at[0], LATE)
        assert [d.data for d in told] == [refusal(hello.scid, answer)], told
    assert target.peers() == []


def test_attack_forged_refusal(w):
    """Refusals that others make up do not end a dial, nor a connection."""
    target, tap, forger = Target(w), Tap(w, "to_b"), Forger(w.r)
    reader = target.read()
    ids = {Long(d.data).scid for d in tap.take() if d.to == target.at[0] and d.data[0] & 0xf0 == 0xc0}
    assert ids
    port = int(target.peers()[0]["path"]["endpoint"].split(":")[1])
    for scid in ids:
        for proof in (bytes(16), os.urandom(16), refusal(scid, bytes(16))[9:]):
            forger.send(*target.at, w.b.address(), port, b"\x26" + scid + proof)
    flows(reader)


def test_attack_knock_of_other_times(w):
    """A knock that is 20 minutes old, or ahead, is dropped without a word; one of 10 minutes is answered."""
    target, tap = Target(w), Tap(w, "to_a")
    silent(target, tap, [Hello(target.who(), target.key, ahead_s=s).packet for s in (-1200, 1200, -86400, 10**9, -10**9)])
    forger = Forger(w.b)
    for port, ahead in ((4242, -600), (4243, 600)):
        hello = Hello(target.who(), target.key, ahead_s=ahead)
        forger.send(w.b.address(), port, *target.at, hello.packet)
        assert hello.answer(tap.answers(lambda d, port=port: d.source == target.at[0] and d.port == port)[0].data), ahead


def test_attack_strangers_beside_a_stream(w):
    """The scan and the broken knocks while a member's stream flows: its bytes are exact and go on."""
    target = Target(w)
    reader, stranger = target.read(), udp_in(w.b)
    with Guard(target.process, 1024):
        for packet in [*scan(), *versions(), *[with_token(lambda dcid, key: broken_knock(key, dcid), target.key) for _ in range(200)]]:
            stranger.sendto(packet, target.at)
        flows(reader)
    assert len(target.peers()) == 1, target.peers()


def test_attack_forged_handshake_packets(w):
    """An Initial of the member's, then packets that are not its: nothing more than QUIC's three times is said."""
    target, tap = Target(w), Tap(w, "to_a")
    hello = Hello(target.who(), target.key)
    forger = Forger(w.b)
    forger.send(w.b.address(), 4242, *target.at, hello.packet)
    answers = tap.answers(lambda d: d.source == target.at[0], LATE)
    sent = sum(len(d.data) for d in answers)
    assert 0 < sent <= 3 * len(hello.packet), sent
    for _ in range(50):
        keys = initial_keys(os.urandom(8))[0]
        forger.send(w.b.address(), 4242, *target.at, initial(hello.dcid, hello.scid, b"", crypto_frame(b"x" * 50), 5, keys=keys))
    assert sum(len(d.data) for d in tap.hear(1, lambda d: d.source == target.at[0])) <= 3 * len(hello.packet) - sent
    assert target.peers() == [] and target.process.running()

