# SPDX-License-Identifier: Apache-2.0
"""Forged sources: whoever is named as the sender must not be flooded.  Bytes out are measured against bytes in."""
import os
import struct

from attacker import PORT, Forger, Guard, Tap, Target, exact_lines, flows, plain
from netlab import wait
from packets import DCID, INITIAL, RETRY, Hello, Identity, Long, broken_knock, client_hello, crypto_frame, initial, long_header
from test_beacon import AT, Beacon
from test_beacon_limits import counts
from test_moves import helper
BESIDE = True
VICTIM, VICTIM_PORT = "10.2.9.99", 53
BEACON = (AT, 4443)


def out_of(tap, seconds, source):
    """What goes to the victim from there."""
    return tap.hear(seconds, lambda d: (d.source, d.sport) == source and d.to == VICTIM)


def amount(datagrams):
    return sum(len(d.data) for d in datagrams)


def test_attack_spoofed_initial(w):
    """A member's first packet with the source of a victim: at most three times its bytes, few packets, for some seconds."""
    target, tap, forger = Target(w), Tap(w, "to_a"), Forger(w.r)
    hello = Hello(target.who(), target.key)
    forger.send(VICTIM, VICTIM_PORT, *target.at, hello.packet)
    answers = out_of(tap, 7, target.at)
    assert answers and amount(answers) <= 3 * len(hello.packet), (len(answers), amount(answers))
    assert len(answers) <= 8, [len(d.data) for d in answers]
    assert target.peers() == []


def test_attack_spoofed_initials_of_a_member(w):
    """Hundreds of them: when 64 handshakes are open the others get a Retry, which is shorter; then silence."""
    target, tap, forger = Target(w), Tap(w, "to_a"), Forger(w.r)
    hellos = [Hello(target.who(), target.key) for _ in range(400)]
    sent = sum(len(h.packet) for h in hellos)
    with Guard(target.process, 10_000):
        target.hear_all(lambda packet: forger.send(VICTIM, VICTIM_PORT, *target.at, packet), [h.packet for h in hellos])
        answers = out_of(tap, 7, target.at)
    assert 0 < amount(answers) <= 3 * sent, (sent, amount(answers))
    retries = [d for d in answers if d.data[0] & 0x80 and Long(d.data).kind == RETRY]
    assert len(retries) > 200, (len(answers), len(retries))
    assert all(len(d.data) < 1200 for d in retries)
    assert len({Long(d.data).scid for d in answers if d.data[0] & 0x80 and Long(d.data).kind == INITIAL}) <= 70
    assert not out_of(tap, 1, target.at), "it goes on"
    target.read().stop()


def kinds_for_node(target, token):
    """(what, datagram) of each kind: with ids and tokens that are right where somebody on the way can know them."""
    yield "probe", b"\x20" + os.urandom(8) + struct.pack(">H", 1200) + bytes(1189)
    yield "probe of a live connection", b"\x20" + token + struct.pack(">H", 1200) + bytes(1189)
    yield "short probe of a live connection", b"\x20" + token + struct.pack(">H", 16) + bytes(5)
    yield "probe's reply", b"\x21" + token + struct.pack(">H", 1452) + bytes(5)
    yield "channel packet", b"\x22" + os.urandom(8) + os.urandom(200)
    yield "punch probe", b"\x23" + token + os.urandom(22)
    yield "address request", b"\x24\0" + os.urandom(8) + bytes(38)
    yield "address request, alternate", b"\x24\1" + os.urandom(8) + bytes(38)
    yield "address reply", b"\x25" + os.urandom(8) + b"\x04" + os.urandom(6)
    yield "short header", b"\x40" + os.urandom(50)
    yield "Initial without a token", initial(os.urandom(DCID), os.urandom(8), b"", crypto_frame(client_hello(os.urandom(8))))
    yield "Initial of another version", long_header(INITIAL, os.urandom(8), os.urandom(8), 0, 2) + os.urandom(1180)
    dcid = os.urandom(DCID)
    yield "Initial with a broken knock", initial(dcid, os.urandom(8), broken_knock(target.key, dcid), crypto_frame(client_hello(os.urandom(8))))
    yield "Initial of a stranger", Hello(Identity(), target.key).packet


def test_attack_amplification_of_a_node(w):
    """Each kind of datagram with a forged source, while a stream is live: not one byte goes to the victim."""
    target, tap, forger = Target(w), Tap(w, "to_b"), Forger(w.r)
    reader = target.read()
    probes = [d for d in tap.take() if d.to == target.at[0] and d.data[0] == 0x20]
    assert probes, "no probe was seen"
    out = Tap(w, "to_a")
    for what, data in kinds_for_node(target, probes[0].data[1:9]):
        for _ in range(20):
            forger.send(VICTIM, VICTIM_PORT, *target.at, data)
        answers = out_of(out, 0.3, target.at)
        assert not answers, (what, len(answers), amount(answers))
    for d in probes * 10:
        forger.repeat(d, source=VICTIM, sport=VICTIM_PORT)
    assert not out_of(out, 0.5, target.at), "a probe that was sent again is answered elsewhere"
    flows(reader)


def relayed(w):
    """The drip through a beacon on r alone: beacon, server, client, reader."""
    w.forwarding(False)
    beacon = Beacon(w)
    helper(w.a, "drip", 7000, 10)
    server, client = plain(w.a, "server"), plain(w.b, "client")
    server.up("--listen", f"{w.a.address()}:{PORT}", "--beacon", beacon.text, "--expose", "drip=7000", "--allow", client.address)
    tap = Tap(w, "to_b")
    client.up("--listen", f"{w.b.address()}:{PORT}", "--beacon", beacon.text)
    reader = client.spawn("connect", f"{server.address}/drip", "--beacon", beacon.text)
    reader.wait_out(r"^line 10$")
    return beacon, server, client, reader, tap


def kinds_for_beacon(channel):
    for what, data in (("channel packet", b"\x22" + os.urandom(8) + os.urandom(1100)), ("channel packet of a live one", b"\x22" + channel + os.urandom(1100)),
                       ("probe", b"\x20" + os.urandom(8) + struct.pack(">H", 1200) + bytes(1189)), ("punch probe", b"\x23" + os.urandom(30)),
                       ("address request", b"\x24\0" + os.urandom(8) + bytes(38)), ("address request, alternate", b"\x24\1" + os.urandom(8) + bytes(38)),
                       ("short address request", b"\x24\0" + os.urandom(8)), ("address reply", b"\x25" + os.urandom(15)),
                       ("short header", b"\x40" + os.urandom(50)),
                       ("Initial of another version", long_header(INITIAL, os.urandom(8), os.urandom(8), 0, 2) + os.urandom(1180)),
                       ("short Initial", initial(os.urandom(DCID), os.urandom(8), b"", b"", size=300))):
        yield what, data, 1
    scid = os.urandom(8)
    yield "Initial", initial(os.urandom(DCID), scid, b"", crypto_frame(client_hello(scid, alpn=b"godwit-beacon/1"))), 3


def test_attack_amplification_of_a_beacon(w):
    """Each kind of datagram with a forged source: at most what came goes to the victim, of a handshake three times."""
    beacon, _, _, reader, tap = relayed(w)
    channel = next(d.data[1:9] for d in tap.take() if d.data[0] == 0x22)
    forger = Forger(w.b)
    # The beacon answers through the router's own interface, to a victim on b's side.
    for what, data, most in kinds_for_beacon(channel):
        n = 20 if most == 1 else 5
        for _ in range(n):
            forger.send(VICTIM, VICTIM_PORT, *BEACON, data)
        answers = amount(out_of(tap, 0.3 if most == 1 else 7, BEACON))
        assert answers <= most * n * len(data), (what, answers, n * len(data))
    flows(reader)
    assert beacon.process.running()


def test_attack_forged_probes(w):
    """0x20, 0x21, 0x23 with tokens that are guessed, or seen on the way: nothing is sent, nothing changes."""
    target, tap, forger = Target(w), Tap(w, "to_b"), Forger(w.r)
    reader = target.read()
    probes = [d for d in tap.take() if d.data[0] in (0x20, 0x21)]
    before, out = target.peers()[0], Tap(w, "to_a")
    tokens = {d.data[1:9] for d in probes} | {os.urandom(8) for _ in range(500)}
    assert len(tokens) > 500, "no probe was seen"
    with Guard(target.process, 1024):
        for token in tokens:
            for kind in (0, 1):
                punch = token + bytes([kind, 0]) + os.urandom(4)
                for source in (VICTIM, "10.2.1.2"):
                    forger.send(source, VICTIM_PORT, *target.at, b"\x23" + punch + os.urandom(16))
            forger.send(VICTIM, VICTIM_PORT, *target.at, b"\x21" + token + struct.pack(">H", 9000) + bytes(5))
        flows(reader)
    answers = out.hear(0.5, lambda d: d.source == target.at[0] and d.port == VICTIM_PORT)
    assert not answers, answers[:3]
    after = target.peers()[0]
    assert after["path"]["payload"] == before["path"]["payload"] and after["moves"] == before["moves"], (before, after)


def test_attack_hijacked_channel(w):
    """Packets of a live relay channel, its id known, from another client of the beacon, from anywhere, and past the beacon."""
    beacon, server, client, reader, tap = relayed(w)
    third = plain(w.b, "third")
    third.up("--listen", f"{w.b.address()}:5001", "--beacon", beacon.text, "--allow", "any")
    seen = [d for d in tap.hear(1, lambda d: d.data[0] == 0x22)]
    channel = seen[0].data[1:9]
    assert all(d.data[1:9] == channel for d in seen) and len(seen) > 20
    forger, before = Forger(w.b), counts(beacon)["drops"]["wrong_source"]
    with Guard(beacon.process, 1024), Guard(server.process, 1024):
        for d in seen * 2:
            for source, port in ((w.b.address(), 5001), (VICTIM, PORT), (w.b.address(), 9)):
                forger.send(source, port, *BEACON, d.data)
                forger.send(source, port, *BEACON, d.data[:9] + os.urandom(len(d.data) - 9))
        flows(reader)
    dropped = counts(beacon)["drops"]["wrong_source"] - before
    assert dropped >= 6 * 2 * len(seen) * 0.9, (dropped, len(seen))
    # The same, to the ends, as if from the beacon's port at another host, and directly.
    on_router = Forger(w.r)
    for d in seen:
        on_router.send("10.2.9.1", 4443, w.b.address(), PORT, d.data)
        on_router.send(VICTIM, 4443, w.a.address(), PORT, d.data)
    flows(reader)
    assert not third.status()["peers"] and exact_lines(reader)
    wait(lambda: client.peer()["moves"] == 0 and client.peer()["path"]["kind"] == "relay", 1, "the path to stay")
