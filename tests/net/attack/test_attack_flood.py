# SPDX-License-Identifier: Apache-2.0
"""Floods: what a node and a beacon bear.  How much of a stream's rate is left is measured by tests/bench, part flood.

Here: memory, the stream of a member, which goes on with its bytes exact, and another member, who gets in."""
import os
import select
import subprocess
import sys
import time

from attacker import Flood, Guard, Target, exact_lines, flood_file, flows, plain, udp_in
from netlab import Node, wait
from packets import DCID, INITIAL, KNOCK_MIN, RETRY, Hello, Identity, Long, broken_knock, client_hello, crypto_frame, initial, initial_keys
from test_beacon import AT, Beacon
from test_beacon_limits import counts, over_tls
from test_moves import helper
from test_trust import audit, entries

SECONDS = 6
NEW_ID = (6, DCID)  # where the connection id of an Initial stands
TEN_MB = 10_000
FLOODED = 5000  # datagrams that fill every table of handshakes


def bare_initial(token=lambda dcid: b"", alpn=b"godwit/1"):
    dcid, scid = os.urandom(DCID), os.urandom(8)
    return initial(dcid, scid, token(dcid), crypto_frame(client_hello(scid, alpn=alpn)))


def target_and_newcomer(w):
    helper(w.a, "echo", 7001)
    newcomer = plain(w.b, "newcomer")
    return Target(w, "--expose", "echo=7001", "--allow", newcomer.address), newcomer


def bears(w, packets, rate, random=(0, 0)):
    """All that is promised, while packets(target) come so often."""
    target, newcomer = target_and_newcomer(w)
    ticket, reader = target.server.ticket("echo"), target.read()
    path = flood_file(w, "packets", packets(target))
    with Guard(target.process, TEN_MB):
        quiet = target.datagrams()["received"]
        flood = Flood(w, target.at, path, rate, SECONDS, random)
        wait(lambda: target.datagrams()["received"] - quiet > FLOODED, SECONDS, "the flood to arrive")
        before = exact_lines(reader)
        r = newcomer.run("connect", ticket, data="let me in", seconds=40)
        assert r.code == 0 and r.out == "let me in", repr(r)
        assert flood.process.running() or flood.sent(), "the flood has failed"
        wait(lambda: exact_lines(reader) > before, 10, "the stream to go on")
        assert flood.sent() > 1000
    flows(reader, 10)
    assert target.peers()[0]["streams"] == 1 and exact_lines(reader) > 50
    return target


def test_attack_flood_of_strangers(w):
    """100,000 Initials a second without a knock, of ever new ids, addresses and ports."""
    bears(w, lambda _: [bare_initial()], 100_000, NEW_ID)


def test_attack_flood_of_wrong_tags(w):
    """100,000 a second with a token of a knock's length."""
    bears(w, lambda _: [bare_initial(lambda _: os.urandom(KNOCK_MIN))], 100_000, NEW_ID)


def test_attack_flood_of_broken_knocks(w):
    """20,000 a second by somebody who knows the address: their tags are right."""
    bears(w, lambda target: [bare_initial(lambda dcid: broken_knock(target.key, dcid)) for _ in range(2000)], 20_000)


def test_attack_flood_of_member_knocks(w):
    """20,000 a second of an allowed key's own first packets, from forged addresses: Retries, and the rest is dropped."""
    def packets(target):
        who = target.who()
        return (Hello(who, target.key).packet for _ in range(3000))
    bears(w, packets, 20_000)


def test_attack_flood_of_refused_knocks(w):
    """20,000 a second, valid, of keys that may use nothing: the log has ten a second at most, and says how many it left out."""
    began = time.monotonic()
    target = bears(w, lambda target: [Hello(Identity(), target.key).packet for _ in range(2000)], 20_000)
    lines = entries(target.server, event="knock")
    assert 0 < len(lines) <= 10 * (time.monotonic() - began + 1), len(lines)
    assert sum(e["lost"] for e in audit(target.server)) > 100, lines[-1]


def test_attack_flood_of_junk(w):
    """100,000 a second of other kinds: probes, punch probes, channel packets, short headers."""
    bears(w, lambda _: [bytes([kind]) + os.urandom(size) for kind in (0x20, 0x21, 0x22, 0x23, 0x25, 0x40, 0x5f) for size in (15, 30, 60, 1199)],
          100_000, (1, 8))


def test_attack_half_open_of_a_member(w):
    """An allowed key opens handshakes that come to nothing, from its own address, answering each Retry: others get in."""
    target, newcomer = target_and_newcomer(w)
    ticket, who, s = target.server.ticket("echo"), target.who(), udp_in(w.b)
    hellos = {h.scid: h for h in (Hello(who, target.key) for _ in range(600))}
    retries, begun = 0, set()

    def answer_retries(seconds):
        nonlocal retries
        while select.select([s], [], [], seconds)[0]:
            data = s.recv(2000)
            if not data[0] & 0x80:
                continue
            long = Long(data)
            if long.kind == RETRY:
                retries += 1
                frames = hellos[long.dcid].frames
                s.sendto(initial(long.scid, long.dcid, long.token, frames, keys=initial_keys(long.scid)[0]), target.at)
            elif long.kind == INITIAL:
                begun.add(long.scid)
    with Guard(target.process, TEN_MB):
        for hello in list(hellos.values()):
            s.sendto(hello.packet, target.at)
            answer_retries(0.002)
        answer_retries(0.3)
        # The first ones have 5 s, and all of them are here within two.
        assert retries > 100 and 16 <= len(begun) <= 32, (retries, len(begun))
        r = newcomer.run("connect", ticket, data="let me in", seconds=40)
    assert r.code == 0 and r.out == "let me in", repr(r)


def beacon_bears(w, packets, random, counted):
    """Its members' relayed stream goes on, another comes in, while such Initials come from forged addresses."""
    w.forwarding(False)
    beacon, server, client, newcomer = Beacon(w), plain(w.a, "server"), plain(w.b, "client"), plain(w.b, "newcomer")
    helper(w.a, "drip", 7000, 10)
    server.up("--beacon", beacon.text, "--expose", "drip=7000", "--allow", "any")
    reader = client.spawn("connect", f"{server.address}/drip", "--beacon", beacon.text, stdin=subprocess.PIPE)
    reader.wait_out(r"^line 10$")
    path = flood_file(w, "packets", packets)
    # Its half-open handshakes are 512 of 110 KB at most (docs/threat-model.md, Bounds).
    with Guard(beacon.process, 80_000):
        flood = Flood(w, (AT, 4443), path, 100_000, SECONDS, random)
        wait(lambda: counted(counts(beacon)) > FLOODED, SECONDS, "the flood to arrive")
        before = exact_lines(reader)
        r = newcomer.run("ping", server.address, "-c", "1", "--beacon", beacon.text, seconds=40)
        assert r.code == 0, repr(r)
        wait(lambda: exact_lines(reader) > before, 10, "the stream to go on")
        assert flood.sent() > 1000
    flows(reader, 10)


def test_attack_flood_of_a_beacon(w):
    """100,000 a second that nobody could open."""
    beacon_bears(w, [bare_initial(alpn=b"godwit-beacon/1")], NEW_ID, lambda n: n["handshakes"] + n["drops"]["handshake_limit"])


def test_attack_flood_of_a_beacon_with_handshakes(w):
    """100,000 valid ones a second: 512 handshakes are begun, the others get a Retry."""
    beacon_bears(w, [bare_initial(alpn=b"godwit-beacon/1") for _ in range(3000)], (0, 0), lambda n: n["retries"])


def test_attack_slowloris(w):
    """Hundreds of connections to a beacon's TLS port that say a byte a second: others come in, memory is bounded, all are closed."""
    w.forwarding(False)
    beacon = Beacon(w)
    with Guard(beacon.process, 40_000):
        slow = w.b.spawn(sys.executable, "-c", SLOW, AT, "443", "600", name="slowloris")
        slow.wait_out(r"^open 600$", 30)
        at = time.monotonic()
        server = Node(w.a, "server").up("--beacon", over_tls(beacon), "--allow", "any")
        assert time.monotonic() - at < 8
        slow.wait_out(r"^closed 600$", 40)
        assert counts(beacon)["tls_coming"] <= 512
    assert [b["state"] for b in server.status()["beacons"]] == ["ready"]


# A third says a byte of a TLS record each second, a third a byte of an HTTP head inside of TLS, a third of a frame after it.
SLOW = r"""
import select, socket, ssl, sys, time
host, port, n = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(600)
links, closed = [], 0
for i in range(n):
    try:
        s = socket.create_connection((host, port), 10)
        if i % 30 == 1:
            s = context.wrap_socket(s)
        links.append([s, hello if i % 30 != 1 else b"GET /godwit HTTP/1.1\r\nX: " + b"y" * 600])
    except OSError:
        closed += 1
print("open", len(links) + closed, flush=True)
while links:
    for link in list(links):
        s, left = link
        try:
            s.settimeout(0)
            s.send(left[:1])
            link[1] = left[1:]
            if select.select([s], [], [], 0)[0] and not s.recv(100):
                raise OSError
        except (ssl.SSLWantReadError, BlockingIOError):
            pass
        except OSError:
            s.close()
            links.remove(link)
            closed += 1
    time.sleep(1)
print("closed", closed, flush=True)
"""
