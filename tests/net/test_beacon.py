# SPDX-License-Identifier: Apache-2.0
"""Beacons: nodes that know only an address, or cannot reach each other, meet there.

The router r runs the beacons.  With w.forwarding(False) the hosts reach r and nothing else."""
import json
import re
import sys
import time

from netlab import Node, wait
from test_moves import helper
from test_services import two_lines

BESIDE = True
AT = "10.1.1.1"  # of the router, on a's side; b reaches it, too


class Beacon:
    """`godwit beacon` on the router."""

    def __init__(self, world, name="beacon", address=AT, more=()):
        self.node, self.address, self.more = Node(world.r, name), address, more
        self.start()

    def start(self):
        tls = () if "--silent" in self.more else ("--tls-listen", f"{self.address}:443")
        self.process = self.node.spawn("beacon", "--listen", f"{self.address}:4443", *tls, *self.more)
        self.text = self.process.wait_out(r"^ready (n[a-z2-7]{55}@\S+)$").group(1)
        return self

    def kill(self):
        self.process.kill()

    @property
    def key(self):
        return self.text.split("@")[0]


def pair(w):
    """An echo service on a, known by address alone; forwarding is off.  Returns beacon, server, client."""
    w.forwarding(False)
    beacon = Beacon(w)
    helper(w.a, "echo", 7000)
    server, client = Node(w.a, "server"), Node(w.b, "client")
    server.up("--beacon", beacon.text, "--expose", "echo=7000", "--allow", "any")
    return beacon, server, client


def objects(result):
    return [json.loads(line) for line in result.out.splitlines()]


def echo_through(host, port, data=b"over the beacon"):
    code = ("import socket,sys\n"
            f"s=socket.create_connection(('127.0.0.1',{port}),20); s.settimeout(20)\n"
            "d=bytes.fromhex(sys.argv[1]); s.sendall(d); s.shutdown(1)\n"
            "g=b''\nwhile b:=s.recv(9999): g+=b\n"
            "sys.exit(g!=d)")
    r = host.run(sys.executable, "-c", code, data.hex(), seconds=40)
    assert r.code == 0, repr(r)


def own_beacons(node):
    return [b for b in node.status()["beacons"] if b["own"]]


def test_beacon_ping_by_address(w):
    """No ticket, no endpoint: the address and a beacon are enough."""
    beacon, server, client = pair(w)
    r = client.run("ping", server.address, "-c", "3", "-i", "0.1", "--beacon", beacon.text)
    assert r.code == 0, repr(r)
    assert len(re.findall(rf"^reply from n\w{{4}}…\w{{5}}: relay {re.escape(AT)} \(udp\) in [\d.]+ ms \(.+\)$", r.out, re.M)) == 3, r.out
    r = client.run("ping", server.address, "-c", "1", "--json", "--beacon", beacon.text)
    path = objects(r)[0]["path"]
    assert path["kind"] == "relay" and path["via"] == f"{AT}:4443" and path["transport"] == "udp" and path["endpoint"] is None, path


def test_beacon_forward_and_status(w):
    """forward by address; both sides' status name the beacon and the relayed path."""
    beacon, server, client = pair(w)
    client.forward("7001", f"{server.address}/echo", "--beacon", beacon.text)
    echo_through(w.b, 7001, bytes(range(256)) * 40)
    for node in (server, client):
        path = node.peer()["path"]
        assert path["kind"] == "relay" and path["via"] == f"{AT}:4443", path
        own = own_beacons(node)
        assert len(own) == 1 and own[0]["state"] == "ready" and own[0]["home"] and not own[0]["spare"], own
        assert own[0]["address"] == beacon.key and own[0]["endpoint"] == f"{AT}:4443" and own[0]["transport"] == "udp", own
        assert own[0]["rtt_ms"] > 0 and own[0]["heard_s"] >= 0 and own[0]["fault"] is None and own[0]["error"] is None, own
        text = node.ok("status")
        assert re.search(rf" beacon {re.escape(AT)} udp [\d.]+ ms \(home\)$", text.splitlines()[0]), text
        assert f"relay {AT} (udp)" in text, text


def test_beacon_ticket(w):
    """A ticket with the beacon works without --beacon; expose prints one."""
    beacon, server, client = pair(w)
    ticket = server.ticket("echo")
    shown = client.ok("ticket", "show", ticket)
    assert f"beacon    {beacon.key}@{AT}:4443" in shown, shown
    assert json.loads(client.ok("ticket", "show", ticket, "--json"))["beacons"][0].startswith(beacon.key)
    r = client.run("ping", ticket, "-c", "1")
    assert r.code == 0 and f"relay {AT} (udp)" in r.out, repr(r)
    r = client.run("connect", ticket, data=b"hello")
    assert r.code == 0 and r.out == "hello", repr(r)
    other = Node(w.a, "other")
    destination = other.expose("7000", "echo2", "any", "--beacon", beacon.text)
    client.forward("7002", destination)
    echo_through(w.b, 7002)


def test_beacon_restart(w):
    """The beacon is killed and comes back: nodes register again, an open stream goes on."""
    beacon, server, client = pair(w)
    client.forward("7001", f"{server.address}/echo", "--beacon", beacon.text)
    talker = w.b.spawn(sys.executable, "-c",
                       "import socket,time\ns=socket.create_connection(('127.0.0.1',7001)); s.settimeout(60)\n"
                       "n=0\n"
                       "while True:\n"
                       " n+=1; s.sendall(b'%09d\\n'%n); got=b''\n"
                       " while len(got)<10: got+=s.recv(10-len(got))\n"
                       " assert int(got)==n; print('ok',n,flush=True); time.sleep(0.05)", name="talker")
    talker.wait_out(r"^ok 5$")
    beacon.kill()
    wait(lambda: own_beacons(client)[0]["state"] != "ready", 10, "the beacon to be missed")
    size = talker.out_size()
    wait(lambda: client.peer()["heard_s"] > 2, 10, "the peer to be silent")
    assert talker.out_size() == size, "who carried these bytes?"
    beacon.start()
    wait(lambda: talker.out_size() > size or not talker.running(), 30, "the stream to go on")
    assert talker.running(), talker.err()
    wait(lambda: own_beacons(server)[0]["state"] == "ready", 20, "the server to register again")
    third = Node(w.b, "third")
    r = third.run("ping", server.address, "-c", "1", "--beacon", beacon.text)
    assert r.code == 0, repr(r)


def test_beacon_comes_late(w):
    """`up` says ready when it is registered, not before."""
    w.forwarding(False)
    beacon = Beacon(w)
    beacon.kill()
    node = Node(w.a, "server")
    node.process = node.spawn("up", "--beacon", beacon.text, "--allow", "any")
    wait(lambda: node.run("status").code == 0 and own_beacons(node)[0]["tls_error"], 10, "it to have tried")
    assert node.process.out() == "" and node.process.running()
    beacon.start()
    node.process.wait_out(r"^ready n[a-z2-7]{55}$", 20)


def test_beacon_until_direct(w):
    """--until-direct: 1 when there is no direct reply in time."""
    beacon, server, client = pair(w)
    r = client.run("ping", server.address, "--until-direct", "-i", "0.2", "--timeout", "2", "--beacon", beacon.text)
    assert r.code == 1 and "godwit: no direct path" in r.err, repr(r)


def test_beacon_direct(w):
    """Hosts in one network: relay first, direct soon; --until-direct stops there with exit 0."""
    server, client, node = Node(w.a, "server"), Node(w.b, "client"), Node(w.a, "beacon")
    process = node.spawn("beacon", "--listen", "10.9.1.1:4443", "--tls-listen", "10.9.1.1:443")
    text = process.wait_out(r"^ready (n[a-z2-7]{55}@\S+)$").group(1)
    server.up("--beacon", text, "--allow", "any")
    r = client.run("ping", server.address, "--until-direct", "-i", "0.2", "--beacon", text)
    assert r.code == 0 and re.search(r"direct 10\.9\.1\.1:\d+ in", r.out.splitlines()[-1]), repr(r)
    assert "relay" in r.out.splitlines()[0], r.out


test_beacon_direct.world = {"direct": True}


def test_beacon_relay_only(w):
    """--relay-only never uses an address, and its ticket shows none."""
    w.forwarding(True)
    beacon, server, client = Beacon(w), Node(w.a, "server"), Node(w.b, "client")
    server.up("--beacon", beacon.text, "--relay-only", "--allow", "any")
    r = client.run("ping", server.address, "-c", "8", "-i", "0.3", "--beacon", beacon.text)
    assert r.code == 0 and ": direct" not in r.out and r.out.count(": relay") == 8, repr(r)
    assert "endpoint" not in client.ok("ticket", "show", server.ticket("x"))
    r = client.run("ping", server.address, "--until-direct", "-i", "0.2", "--timeout", "1", "--relay-only", "--beacon", beacon.text)
    assert r.code == 1 and "relay-only" in r.err, repr(r)


def test_beacon_over_tls(w):
    """Where its UDP port does not answer, the beacon is reached over TLS."""
    w.forwarding(False)
    beacon, server, client = Beacon(w), Node(w.a, "server"), Node(w.b, "client")
    blocked = f"{beacon.key}@{AT}:4999/443"
    helper(w.a, "echo", 7000)
    server.up("--beacon", blocked, "--expose", "echo=7000", "--allow", "any")
    assert own_beacons(server)[0]["transport"] == "tls", own_beacons(server)
    r = client.run("ping", server.address, "-c", "2", "-i", "0.1", "--beacon", blocked)
    assert r.code == 0 and r.out.count(f"relay {AT} (tls)") == 2, repr(r)
    r = client.run("connect", server.ticket("echo"), data=b"z" * 300_000)
    assert r.code == 0 and len(r.out) == 300_000, repr(r)


def test_beacon_nobody_there(w):
    """Exit 4 and a reason: the peer is not registered, or no beacon answers."""
    w.forwarding(False)
    beacon, client = Beacon(w), Node(w.b, "client")
    stranger = Node(w.b, "stranger").address
    started = time.monotonic()
    r = client.run("ping", stranger, "-c", "1", "--beacon", beacon.text)
    two_lines(r, 4)
    assert f"not connected to {AT}:4443" in r.err and time.monotonic() - started < 8, r.err
    two_lines(client.run("connect", f"{stranger}/x", "--beacon", beacon.text), 4)
    r = client.run("ping", stranger, "-c", "1", "--beacon", f"{beacon.key}@{AT}:4999/0")
    two_lines(r, 4)
    assert f"no beacon answers: {AT}:4999 timed out" in r.err, r.err
    r = client.run("ping", stranger, "-c", "1", "--beacon", f"{stranger}@{AT}:4443/0")
    two_lines(r, 4)
    assert f"no beacon answers: {AT}:4443 another key answers there" in r.err, r.err
    r = client.run("ping", stranger, "-c", "1", "--json", "--beacon", beacon.text)
    assert r.code == 4 and json.loads(r.out)["error"]["code"] == "unreachable", repr(r)


def test_beacon_unknown_name(w):
    """A beacon whose name nobody knows: exit 4, and soon."""
    client = Node(w.b, "client")
    key = Node(w.b, "stranger").address
    for tail in ("/0", ""):
        r = client.run("ping", key, "-c", "1", "--beacon", f"{key}@nowhere.invalid{tail}", seconds=30)
        two_lines(r, 4)
        assert "no beacon answers: nowhere.invalid:4443 the name cannot be looked up" in r.err, r.err


def test_beacon_wrong_values(w):
    """Every wrong --beacon is refused at once, with exit 2 and the reason."""
    client = Node(w.b, "client")
    key = client.address
    for text, why in (("foo", 'no "@HOST"'), (key, 'no "@HOST"'), (f"{key}@", "host is missing"),
                      (f"{key}@h:0", "port"), (f"{key}@h:65536", "port"), (f"{key}@h:", "port"),
                      (f"{key}@h/x", "TLS port"), (f"{key}@h/65536", "TLS port"), (f"{key}@::1", "brackets"),
                      (f"{key}@[::1", '"]"'), (f"{key}@[h]", "IPv6"), (f"{key[:-1]}@h", "56 characters"),
                      (f"{key[:-2]}{'a' if key[-2] != 'a' else 'b'}{key[-1]}@h", "checksum"), (f"{key}@{'h' * 129}", "host"),
                      (f"{key}@a b", "host")):
        r = client.run("ping", key, "--beacon", text)
        two_lines(r, 2)
        assert why in r.err, (text, r.err)
    good = f"{key}@h"
    two_lines(client.run("up", *[x for _ in range(9) for x in ("--beacon", good)]), 2)
    client.env["GODWIT_BEACON"] = f"{good}, {key}@[::1]:5/0"
    settings = json.loads(client.ok("config", "--json"))["settings"]["beacon"]
    assert settings == {"value": [good, f"{key}@[::1]:5/0"], "source": "environment GODWIT_BEACON"}, settings
    client.env["GODWIT_BEACON"] = "nonsense"
    two_lines(client.run("status"), 2)


def test_beacon_netcheck(w):
    """What netcheck says of a network without a NAT, with two beacons, with one, with none that answers."""
    w.forwarding(True)
    one, two, client = Beacon(w), Beacon(w, "second", "10.2.1.1"), Node(w.b, "client")
    r = client.run("netcheck", "--json", "--beacon", one.text, "--beacon", two.text)
    assert r.code == 0, repr(r)
    n = json.loads(r.out)
    assert n["v"] == 1 and n["udp"] and n["ipv4"]["works"] and n["ipv4"]["seen"].startswith("10.2.1.2:"), n
    assert n["nat"] is False and n["mapping"] == n["filtering"] == "endpoint-independent" and n["hairpinning"] is None, n
    assert n["verdict"] == "This host can be reached directly.", n
    for b in n["beacons"]:
        assert b["udp4"] and b["rtt_ms"] > 0 and b["tls"] and b["tls_ms"] > 0 and abs(b["clock_offset_s"]) < 5, b
    text = client.ok("netcheck", "--beacon", one.text)
    assert re.search(r"^UDP +works$", text, re.M) and re.search(r"^Mapping +endpoint-independent$", text, re.M), text
    assert re.search(r"^Filtering +unknown$", text, re.M) and f"{AT}:4443" in text, text
    r = client.run("netcheck", "--json", "--timeout", "3", "--beacon", f"{one.key}@{AT}:4999/443")
    n = json.loads(r.out)
    assert r.code == 0 and n["udp"] is False and n["beacons"][0]["tls"] is True and "UDP is blocked" in n["verdict"], repr(r)
    r = client.run("netcheck", "--timeout", "3", "--beacon", f"{one.key}@{AT}:4999/4999")
    assert r.code == 4 and "No beacon can be reached" in r.out, repr(r)
    server = Node(w.a, "server").up("--beacon", one.text)
    assert f"{AT}:4443" in server.ok("netcheck", "--timeout", "3"), "the running node's beacons"


def test_beacon_netcheck_without(w):
    """Without any beacon netcheck says so, and exits 0."""
    text = Node(w.b, "client").ok("netcheck", "--timeout", "1")
    assert "Without a beacon" in text and re.search(r"^UDP +unknown$", text, re.M), text


def test_beacon_both_ends_move(w):
    """Both hosts change networks at once: they find each other again through the beacon."""
    beacon, server, client = pair(w)
    client.forward("7001", f"{server.address}/echo", "--beacon", beacon.text)
    echo_through(w.b, 7001)
    w.a.move()
    w.b.move()
    echo_through(w.b, 7001)
