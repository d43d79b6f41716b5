# SPDX-License-Identifier: Apache-2.0
"""A silent beacon: who is not on its list cannot tell that it is there; who is, does not notice the difference."""
import os

from attacker import Tap, udp_in
from netlab import Node, wait
from packets import DCID, Hello, Identity, Long, client_hello, crypto_frame, initial, key_of, knock
from test_attack_strangers import LATE, scan, versions
from test_beacon import AT, Beacon, own_beacons
from test_beacon_limits import counts
from test_moves import helper
from test_services import two_lines

BESIDE = True
PORTS = (4443, 4444)
ALPN = b"godwit-beacon/1"


def silent(w, *allowed):
    w.forwarding(False)
    return Beacon(w, more=["--silent", *[x for node in allowed for x in ("--allow", node.address)]])


def without_a_knock():
    """Valid Initials with no token, and with those of a knock's length."""
    for size in (0, 1, 77, 192, 200, 400):
        dcid, scid = os.urandom(DCID), os.urandom(8)
        yield initial(dcid, scid, os.urandom(size), crypto_frame(client_hello(scid, alpn=ALPN)))


def with_wrong_knocks(member, key):
    """Of strangers; the member's for another beacon, of another time, for another packet."""
    yield Hello(Identity(), key, alpn=ALPN).packet
    yield Hello(Identity(), key, claims=member.key, alpn=ALPN).packet
    yield Hello(member, Identity().key, alpn=ALPN).packet
    yield Hello(member, key, ahead_s=3600, alpn=ALPN).packet
    dcid, scid = os.urandom(DCID), os.urandom(8)
    yield initial(dcid, scid, knock(member, key, os.urandom(DCID)), crypto_frame(client_hello(scid, alpn=ALPN)))


def test_attack_silent_beacon(w):
    """A scan, address requests, Initials without a knock and with wrong ones, TCP: nothing comes from it, on either port; a member is answered."""
    allowed = Node(w.b, "allowed")
    beacon, member, tap = silent(w, allowed), Identity.of_home(allowed.home), Tap(w, "to_b")
    key, stranger = key_of(beacon.key), udp_in(w.b)
    requests = [b"\x24" + bytes([flags]) + os.urandom(8) + bytes(38) for flags in (0, 1)]
    packets = [*scan(), *versions(), *requests, *without_a_knock(), *with_wrong_knocks(member, key)]
    sent = [(data, (AT, port)) for port in PORTS for data in packets]
    for i in range(0, len(sent), 200):  # what its socket holds
        for data, to in sent[i:i + 200]:
            stranger.sendto(data, to)
        wait(lambda: sum(counts(beacon)["drops"].values()) >= min(i + 200, len(sent)), 10, "all to be heard and dropped")
    assert counts(beacon)["drops"]["no_knock"] >= 10, counts(beacon)
    hello = Hello(member, key, alpn=ALPN)
    stranger.sendto(hello.packet, (AT, 4443))
    answers = tap.answers(lambda d: d.source == AT, LATE)
    assert {Long(d.data).dcid for d in answers} == {hello.scid}, [(d.port, len(d.data), d.data[:20].hex()) for d in answers[:5]]
    r = w.b.run("python3", "-c", f"import socket; socket.create_connection(({AT!r},443),5)")
    assert "ConnectionRefusedError" in r.err, repr(r)


def test_attack_silent_beacon_serves(w):
    """Members meet there as anywhere, by address and by ticket; a stranger with the same words hears as much as where nobody is."""
    server, client, stranger = Node(w.a, "server"), Node(w.b, "client"), Node(w.b, "stranger")
    beacon = silent(w, server, client)
    helper(w.a, "echo", 7000)
    server.up("--beacon", beacon.text, "--expose", "echo=7000", "--allow", "any")
    ticket = server.ticket("echo")
    assert client.ok("ping", server.address, "-c", "1", "--beacon", beacon.text)
    assert client.ok("connect", ticket, data="by the ticket") == "by the ticket"
    client.up("--beacon", beacon.text)
    assert [b["state"] for b in own_beacons(client)] == ["ready"], own_beacons(client)
    nobody = f"{beacon.key}@{AT}:4999/0"
    for command in (("ping", server.address, "-c", "1", "--beacon"), ("connect", f"{server.address}/echo", "--beacon")):
        said = [stranger.run(*command, where) for where in (beacon.text, nobody)]
        for r in said:
            two_lines(r, 4)
        assert said[0].err.replace(":4443", ":4999") == said[1].err, said
    r = stranger.run("connect", ticket, data="x", seconds=60)
    two_lines(r, 4)
    assert r.out == "" and counts(beacon)["registered"] == 2, (r, counts(beacon))
