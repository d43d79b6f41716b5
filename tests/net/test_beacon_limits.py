# SPDX-License-Identifier: Apache-2.0
"""What a beacon and its nodes do when somebody does what he should not, or a signal comes."""
import json
import os
import re
import signal
import sys
import time

from netlab import Node, wait
from test_beacon import AT, Beacon, own_beacons, pair
from test_services import identity_file, two_lines

CROWD = os.path.join(os.path.dirname(os.path.abspath(__file__)), "crowd.py")
SPARE = "10.1.2.1"  # of the router, too


def crowd(host, *args):
    return host.spawn(sys.executable, CROWD, *[str(a) for a in args], name="crowd-" + args[0])


def counts(beacon):
    return json.loads(beacon.node.ok("beacon", "--status", "--json"))["beacon"]


def home_of(node):
    return [b["endpoint"].split(":")[0] for b in own_beacons(node) if b["home"] and b["state"] == "ready"]


# --- the command ---


def test_beacon_limit_values(w):
    """Wrong values of --limit are refused with exit 2 and the reason; of two the later holds."""
    node = Node(w.r, "beacon")
    for text in ("sessions", "sessions=", "=5", "sessions=0", "sessions=-1", "sessions=1.5", "sessions=x", "sessions=5x",
                 "bytes=10000000001", "bytes=1e30", "sessions=inf", "sessions=nan", "", "sessions =5", "nonsense=5", "session=5"):
        r = node.run("beacon", "--listen", f"{AT}:4443", "--limit", text)
        two_lines(r, 2)
        assert "limit" in r.err, (text, r.err)
    assert "one of sessions, channels" in r.err and "ip-frames" in r.err, r.err
    process = node.spawn("beacon", "--listen", f"{AT}:4443", "--tls-listen", "none", "--limit", "sessions=5", "--limit",
                         "bytes=10000000000", "--limit", "handshakes=1000", "--limit", "sessions=1")
    text = process.wait_out(r"^ready (n\S+)$").group(1)
    w.forwarding(False)
    first, second = Node(w.a, "first").up("--beacon", text, "--allow", "any"), Node(w.b, "second")
    r = second.run("ping", first.address, "-c", "1", "--beacon", text)
    two_lines(r, 4)
    assert "no beacon answers" in r.err, r.err


def test_beacon_wrong_addresses(w):
    """What cannot be listened at, allowed or stored: exit 2, at once."""
    node = Node(w.r, "beacon")
    for args in (("--listen", "nonsense"), ("--listen", "10.1.1.1"), ("--listen", "10.1.1.1:99999"), ("--tls-listen", "x"),
                 ("--allow", "nonsense"), ("--store", "disk"), ("--store", "redis://x"), ("--name", "a b"), ("--name", "")):
        r = node.run("beacon", *args, *(() if "--name" in args else ("--name", "here")), seconds=5)
        two_lines(r, 2)


def test_beacon_home_and_ports_in_use(w):
    """Two beacons on one home, or on one port: the second says so and ends."""
    beacon = Beacon(w)
    r = beacon.node.run("beacon", "--listen", f"{AT}:5000", seconds=5)
    two_lines(r, 1)
    assert str(beacon.process.pid) in r.err, r.err
    other = Node(w.r, "other")
    r = other.run("beacon", "--listen", f"{AT}:4443", "--tls-listen", "none", seconds=5)
    two_lines(r, 1)
    assert "4443" in r.err and "in use" in r.err, r.err
    r = other.run("beacon", "--listen", f"{AT}:5000", "--tls-listen", f"{AT}:443", seconds=5)
    two_lines(r, 1)
    assert ":443" in r.err and "in use" in r.err, r.err
    r = beacon.node.run("up", seconds=5)
    two_lines(r, 1)


# --- who may ---


def test_beacon_private(w):
    """--allow: a stranger's commands end with exit 4 and the reason; its `up` says the same and goes on."""
    w.forwarding(False)
    server, client, stranger = Node(w.a, "server"), Node(w.b, "client"), Node(w.b, "stranger")
    node = Node(w.r, "beacon")
    process = node.spawn("beacon", "--listen", f"{AT}:4443", "--tls-listen", f"{AT}:443", "--allow", server.address, "--allow",
                         client.address)
    text = process.wait_out(r"^ready (n\S+)$").group(1)
    server.up("--beacon", text, "--allow", "any")
    r = client.run("ping", server.address, "-c", "1", "--beacon", text)
    assert r.code == 0, repr(r)
    started = time.monotonic()
    for command in (("ping", server.address, "-c", "1"), ("connect", f"{server.address}/x"), ("ping", server.address, "--json", "-c", "1")):
        r = stranger.run(*command, "--beacon", text, seconds=20)
        assert r.code == 4 and "does not take this key" in r.err + r.out, repr(r)
    assert time.monotonic() - started < 30
    up = stranger.spawn("up", "--beacon", text, "--allow", "any")
    wait(lambda: "does not take this key" in up.err(), 20, "`up` to say why")
    assert up.running() and up.out() == "", up.out()
    r = stranger.run("netcheck", "--beacon", text, seconds=30)
    assert "does not take this key" in r.out + r.err, repr(r)


def test_beacon_identity_in_use(w):
    """One key, two homes, one beacon: the newer takes over, the older ends and says why."""
    w.forwarding(False)
    beacon, older, newer = Beacon(w), Node(w.a, "older"), Node(w.b, "newer")
    older.up("--beacon", beacon.text, "--allow", "any")
    os.makedirs(newer.home, mode=0o700)
    newer.up("--identity", "file:" + identity_file(older.home), "--beacon", beacon.text, "--allow", "any")
    assert older.process.wait(10) != 0
    assert "in use elsewhere" in older.process.err(), older.process.err()
    r = Node(w.a, "client").run("ping", older.address, "-c", "1", "--beacon", beacon.text)
    assert r.code == 0, repr(r)
    assert newer.process.running()


# --- signals ---


def test_beacon_drain(w):
    """SIGTERM: the nodes are told, move to the spare, and the beacon exits 0 when they have."""
    w.forwarding(False)
    beacons = {AT: Beacon(w), SPARE: Beacon(w, "spare", SPARE)}
    texts = [x for b in beacons.values() for x in ("--beacon", b.text)]
    server = Node(w.a, "server").up(*texts, "--allow", "any")
    wait(lambda: home_of(server) and sum(b["state"] == "ready" for b in own_beacons(server)) == 2, 10, "home and spare")
    first = home_of(server)[0]
    other = (set(beacons) - {first}).pop()
    started = time.monotonic()
    beacons[first].process.signal(signal.SIGTERM)
    assert beacons[first].process.wait(7) == 0, beacons[first].process.err()
    assert time.monotonic() - started < 4, "it waited although all had left"
    assert home_of(server) == [other], own_beacons(server)
    r = Node(w.b, "client").run("ping", server.address, "-c", "1", *texts)
    assert r.code == 0, repr(r)


def test_beacon_drain_with_nowhere_to_go(w):
    """The only beacon: it waits its 5 seconds, exits 0, and the node says that it is down."""
    w.forwarding(False)
    beacon, server = Beacon(w), Node(w.a, "server")
    server.up("--beacon", beacon.text, "--allow", "any")
    started = time.monotonic()
    beacon.process.signal(signal.SIGTERM)
    wait(lambda: own_beacons(server)[0]["state"] == "draining" or not beacon.process.running(), 3, "the node to be told")
    assert counts(beacon)["draining"]
    assert beacon.process.wait(8) == 0
    assert 4 < time.monotonic() - started < 7
    wait(lambda: own_beacons(server)[0]["state"] != "ready", 5, "the node to notice")
    beacon.start()
    wait(lambda: own_beacons(server)[0]["state"] == "ready", 20, "the node to come back")


def test_beacon_second_signal(w):
    """While it drains, another SIGTERM ends it at once with 0, SIGINT with 130."""
    w.forwarding(False)
    server = Node(w.a, "server")
    beacon = Beacon(w)
    server.up("--beacon", beacon.text, "--allow", "any")
    for number, code in ((signal.SIGTERM, 0), (signal.SIGINT, 130)):
        wait(lambda: own_beacons(server)[0]["state"] == "ready", 20, "the node to be there")
        beacon.process.signal(signal.SIGTERM)
        wait(lambda: counts(beacon)["draining"], 3, "it to drain")
        started = time.monotonic()
        beacon.process.signal(number)
        assert beacon.process.wait(5) == code and time.monotonic() - started < 2
        beacon.start()
    beacon.process.signal(signal.SIGINT)
    assert beacon.process.wait(5) == 130


# --- crowds ---


def over_tls(beacon):
    return f"{beacon.key}@{AT}:4999/443"


def test_beacon_slow_tls_handshakes(w):
    """Connections that never finish TLS or HTTP: few at a time, not for long, and others come in meanwhile."""
    w.forwarding(False)
    beacon = Beacon(w)
    slow = crowd(w.b, "drip", AT, 443)
    slow.wait_out(r"^tls$")
    many = crowd(w.b, "connect", AT, 443, 800)
    many.wait_out(r"^open 800$", 30)
    # The kernel has taken them all; the beacon comes to them one by one.
    wait(lambda: counts(beacon)["drops"]["handshake_limit"] >= 200, 5, "those above the limit to be dropped")
    assert counts(beacon)["tls_coming"] <= 512, counts(beacon)
    server = Node(w.a, "server").up("--beacon", over_tls(beacon), "--allow", "any")
    assert own_beacons(server)[0]["transport"] == "tls"
    many.wait_out(r"^closed 800$", 20)
    slow.wait_out(r"^closed$", 20)
    wait(lambda: counts(beacon)["tls_coming"] == 0, 5, "nothing to be left of them")
    assert counts(beacon)["tls_links"] == 1


def test_beacon_idle_tls_link(w):
    """A TLS link that carries nobody is closed within half a minute; one that carries somebody stays."""
    w.forwarding(False)
    beacon = Beacon(w)
    server = Node(w.a, "server").up("--beacon", over_tls(beacon), "--allow", "any")
    idle = crowd(w.b, "idle", AT, 443)
    idle.wait_out(r"^open$")
    assert 5 < float(idle.wait_out(r"^closed (\S+)$", 40).group(1)) < 25
    assert own_beacons(server)[0]["state"] == "ready" and counts(beacon)["tls_links"] == 1


def test_beacon_slow_tls_reader(w):
    """A node on TLS that stops reading costs its own packets; memory and the others are not concerned."""
    w.forwarding(False)
    beacon, server, client = Beacon(w), Node(w.a, "server"), Node(w.b, "client")
    server.up("--beacon", over_tls(beacon), "--allow", "any")
    other = Node(w.a, "other").up("--beacon", beacon.text, "--allow", "any")
    before = beacon.process.rss_kib()
    bench = client.spawn("bench", server.address, "--seconds", "30", "--beacon", beacon.text)
    wait(lambda: counts(beacon)["relayed_bytes"] > 1_000_000, 15, "bytes to flow")
    server.process.signal(signal.SIGSTOP)
    at = counts(beacon)["relayed_bytes"]
    r = Node(w.b, "third").run("ping", other.address, "-c", "10", "-i", "0.2", "--beacon", beacon.text)
    assert r.code == 0 and r.out.count("relay") == 10, repr(r)
    slowest = max(float(x) for x in re.findall(r"([\d.]+) ms", r.out))
    assert slowest < 1000, r.out
    assert beacon.process.rss_kib() < before + 8000, (before, beacon.process.rss_kib(), at)
    server.process.signal(signal.SIGCONT)
    bench.stop()
    assert beacon.process.running()


def test_beacon_junk(w):
    """Random datagrams as fast as they come: counted, hardly answered, and nodes still meet."""
    w.forwarding(False)
    beacon, server, client = pair(w)
    before = beacon.process.rss_kib()
    junk = crowd(w.b, "junk", AT, 4443, 6)
    r = client.run("ping", server.address, "-c", "5", "-i", "0.2", "--beacon", beacon.text)
    assert r.code == 0, repr(r)
    sent, got, out = (int(x) for x in junk.wait_out(r"^sent (\d+) got (\d+) of (\d+)$", 20).groups())
    assert got <= out / 20, (sent, got, out)
    drops = counts(beacon)["drops"]
    assert sum(drops[k] for k in ("kind", "malformed", "no_connection", "no_channel", "handshake_limit")) > 1000, drops
    assert beacon.process.rss_kib() < before + 20_000
    assert client.run("connect", f"{server.address}/echo", "--beacon", beacon.text, data="alive").out == "alive"


# --- secrets ---


def test_beacon_proxy_password_is_not_told(w):
    """Credentials of a proxy appear in no argument, log, status or error."""
    w.forwarding(False)
    beacon, client = Beacon(w), Node(w.b, "client")
    client.env["HTTPS_PROXY"] = f"http://user:sesame@{AT}:9"
    r = client.run("ping", client.address[:-1] + "a", "-c", "1", "--beacon", over_tls(beacon))
    assert "sesame" not in r.out + r.err, repr(r)
    other = Node(w.b, "other").address
    r = client.run("ping", other, "-c", "1", "--beacon", over_tls(beacon))
    assert r.code == 4 and "sesame" not in r.out + r.err, repr(r)
    up = client.spawn("up", "--beacon", over_tls(beacon), "--allow", "any")
    wait(lambda: "no beacon answers yet" in up.err(), 20, "`up` to complain")
    status = client.ok("status", "--json") + client.ok("status") + client.ok("config") + client.run("netcheck", seconds=40).out
    with open(f"/proc/{up.pid}/cmdline", "rb") as f:
        argv = f.read().decode()
    assert "sesame" not in status + up.out() + up.err() + argv
