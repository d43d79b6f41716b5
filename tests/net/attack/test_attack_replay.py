# SPDX-License-Identifier: Apache-2.0
"""What was on the wire comes again: to the same, from elsewhere, later, or back to who sent it."""
import os
import socket
import time

from attacker import LATER, Forger, Guard, Tap, Target, exact_lines, flows, plain
from netlab import wait
from packets import INITIAL, Hello, Identity, Long

BESIDE = True
ELSEWHERE = "10.2.9.99"  # an address in the router's networks that nobody has


def from_node(target):
    return lambda d: d.source == target.at[0] and d.sport == target.at[1]


def quiet(target, tap, seconds=1):
    """Nothing comes from it, but what belongs to later handshakes."""
    answers = tap.hear(seconds, lambda d: from_node(target)(d) and d.port != LATER)
    assert not answers, [(d.to, d.port, len(d.data)) for d in answers[:5]]


def test_attack_replayed_knock(w):
    """A first packet is answered once: its copies, from its own address or others, now or later, get nothing, no Retry either."""
    target, tap, forger = Target(w), Tap(w, "to_a"), Forger(w.b)
    hello = Hello(target.who(), target.key)
    forger.send(w.b.address(), 4242, *target.at, hello.packet)
    assert hello.answer(tap.answers(from_node(target))[0].data)
    for source, port in ((ELSEWHERE, 4242), (w.b.address(), 4243), (ELSEWHERE, 53)) * 5:
        forger.send(source, port, *target.at, hello.packet)
    strange = tap.hear(1, lambda d: from_node(target)(d) and (d.to, d.port) != (w.b.address(), 4242))
    assert not strange, strange
    target.outlast(target.who())  # now a new knock of that key would get a Retry
    tap.take()
    for source, port in ((w.b.address(), 4242), (ELSEWHERE, 4242)) * 5:
        forger.send(source, port, *target.at, hello.packet)
    quiet(target, tap)


def test_attack_replayed_knock_of_a_live_connection(w):
    """The first packets of a connection that is up come again, from the same and from other addresses."""
    target, tap, forger = Target(w), Tap(w, "to_b"), Forger(w.r)
    reader = target.read()
    firsts = [d for d in tap.take() if d.to == target.at[0] and d.data[0] & 0xf0 == 0xc0 and Long(d.data).kind == INITIAL]
    assert firsts and len(firsts[0].data) >= 1200, firsts
    out = Tap(w, "to_a")
    with Guard(target.process, 1024):
        for d in firsts * 20:
            forger.repeat(d)
            forger.repeat(d, source=ELSEWHERE)
            forger.repeat(d, sport=9)
        flows(reader)
    strange = [d for d in out.take() if from_node(target)(d) and (d.to, d.port) != (firsts[0].source, firsts[0].sport)]
    assert not strange, strange[:3]
    assert len(target.peers()) == 1 and target.peers()[0]["moves"] == 0, target.peers()
    reader.stop()


def recorded(target, tap, seconds):
    """(to the node, to its peer) of a live connection."""
    both = tap.hear(seconds, lambda d: target.at in ((d.source, d.sport), (d.to, d.port)))
    return [d for d in both if d.to == target.at[0]], [d for d in both if d.source == target.at[0]]


def test_attack_replayed_datagrams(w):
    """A second of a live connection is sent again, at once and later: nothing is amplified, the stream is exact."""
    target, tap, forger = Target(w), Tap(w, "to_b"), Forger(w.r)
    reader = target.read()
    to_node, to_peer = recorded(target, tap, 1)
    assert len(to_node) > 20 and len(to_peer) > 20, (len(to_node), len(to_peer))
    before = target.peers()[0]
    with Guard(target.process, 1024), Guard(reader, 1024):
        for _ in range(3):
            for d in to_node + to_peer:
                forger.repeat(d)
            flows(reader)
    after = target.peers()[0]
    assert after["moves"] == before["moves"] and after["path"]["endpoint"] == before["path"]["endpoint"], (before, after)


def test_attack_replayed_from_elsewhere(w):
    """The same from another address and port: it moves no connection, and nothing goes there."""
    target, tap, forger = Target(w), Tap(w, "to_b"), Forger(w.r)
    reader = target.read()
    to_node, to_peer = recorded(target, tap, 1)
    before, out = target.peers()[0], Tap(w, "to_a")
    for d in to_node:
        forger.repeat(d, source=ELSEWHERE)
        forger.repeat(d, sport=9)
    for d in to_peer:
        forger.repeat(d, source=ELSEWHERE)
    flows(reader)
    there = [d for d in out.take() if from_node(target)(d) and (d.to, d.port) != (to_node[0].source, to_node[0].sport)]
    # A port of the same host might be its NAT's new one: path probes are answered, in 16 bytes each.
    strange = [d for d in there if d.to != to_node[0].source or d.data[0] != 0x21]
    assert not strange and len(there) <= len([d for d in to_node if d.data[0] == 0x20]), there[:3]
    assert target.peers()[0]["path"]["endpoint"] == before["path"]["endpoint"]


def test_attack_reflected_datagrams(w):
    """What each side has sent comes back to it as if the other had: dropped."""
    target, tap, forger = Target(w), Tap(w, "to_b"), Forger(w.r)
    reader = target.read()
    to_node, to_peer = recorded(target, tap, 1)
    with Guard(target.process, 1024), Guard(reader, 1024):
        for d in to_node + to_peer:
            forger.repeat(d, source=d.to, sport=d.port, to=d.source, port=d.sport)
        flows(reader)
    assert target.peers()[0]["moves"] == 0 and exact_lines(reader)


def test_attack_copies_come_first(w):
    """On the way: for a second the packets themselves are held back, and copies of them come from elsewhere.
    The node asks there at most (three times what came) until it gives up, and the stream goes on."""
    target, tap, forger = Target(w), Tap(w, "to_b"), Forger(w.r)
    reader = target.read()
    out = Tap(w, "to_a")
    w.forwarding(False)
    came, there = 0, []
    end = time.monotonic() + 1
    while time.monotonic() < end:
        for d in tap.hear(0.05, lambda d: d.to == target.at[0] and d.port == target.at[1]):
            forger.repeat(d, source=ELSEWHERE)
            came += len(d.data)
    w.forwarding(True)
    flows(reader, 10)

    def quiet_there():
        more = out.hear(3, lambda d: from_node(target)(d) and d.to == ELSEWHERE)
        there.extend(more)
        return not more
    # QUIC asks for three times its PTO, which has grown by the second that was held back.
    wait(quiet_there, 15, "it to leave the other place alone")
    assert came and sum(len(d.data) for d in there) <= 3 * came, (came, len(there))


def test_attack_closes_of_others(w):
    """Forged closes, resets and Version Negotiation with the ids of a live connection end nothing."""
    target, tap, forger = Target(w), Tap(w, "to_b"), Forger(w.r)
    reader = target.read()
    to_node, to_peer = recorded(target, tap, 0.5)
    for d in (*to_node[:20], *to_peer[:20]):
        ids = d.data[1:9]
        for forged in (b"\xc0" + bytes(4) + b"\x08" + ids + b"\x08" + ids + b"\x6b\x33\x43\xcf", d.data[:9] + os.urandom(40),
                       b"\xf0\0\0\0\x01\x08" + ids + b"\x08" + ids + os.urandom(60), d.data[:-16] + os.urandom(16)):
            forger.repeat(d, data=forged)
    flows(reader)
    wait(lambda: target.peers()[0]["state"] == "connected", 1, "it to be connected")
    assert target.peers()[0]["moves"] == 0


def colliding(victim, address, port):
    """The first half of a connection id that the node files, for a dialler at that address, where it files `victim`."""
    def word(data):
        return int.from_bytes(data, "little")
    mask = (1 << 64) - 1
    mixed = (word(socket.inet_aton(address)) + port) * 0x9e3779b97f4a7c15 & mask
    return (word(victim) ^ mixed).to_bytes(8, "little")


def test_attack_ids_of_others(w):
    """Another allowed key, which sees a member's packets, chooses ids that would take the place of the member's: it takes nothing."""
    newcomer = plain(w.b, "newcomer")
    target, tap, forger = Target(w, "--allow", newcomer.address), Tap(w, "to_b"), Forger(w.b)
    reader, who = target.read(), Identity.of_home(newcomer.home)
    to_node, _ = recorded(target, tap, 0.5)
    ids = {d.data[1:9] for d in to_node if d.data[0] & 0xc0 == 0x40}
    before = target.datagrams()["dropped"]
    assert ids
    for port in range(4000, 4010):
        for victim in ids:
            hello = Hello(who, target.key, dcid=colliding(victim, w.b.address(), port) + os.urandom(8))
            forger.send(w.b.address(), port, *target.at, hello.packet)
            hello = Hello(who, target.key, dcid=victim + os.urandom(8))
            forger.send(w.b.address(), port, *target.at, hello.packet)
        flows(reader, 3, 5)
    target.outlast(who)  # what they had taken would be gone
    flows(reader)
    assert target.peers()[0]["moves"] == 0, target.peers()
    assert target.datagrams()["dropped"] >= before + 10 * len(ids)
