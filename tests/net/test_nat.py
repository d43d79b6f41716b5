# SPDX-License-Identifier: Apache-2.0
"""Streams behind NATs, while everything changes: in the laboratory of tests/lab."""
import os
import re
import signal
import ssl
import sys

from netlab import Node, wait
from natlab import HELPER, TLS, Pair, beacons, objects, wait_home, wait_ready

TWO = "server srv delay=5; server relay delay=30; "


def world(spec):
    def add(test):
        test.world = {"spec": spec}
        return test
    return add


@world(TWO + "site A eim-apdf hosts=a; site B eim-apdf hosts=b; site C apdm hosts=; site D firewall hosts=")
def test_nat_roam(w):
    """Each host in turn, then both at once, roam to other kinds of networks."""
    _, flags = beacons(w)
    p = Pair(w, flags)
    p.wait_path("direct")
    for moves in ([("a", "C")], [("b", "D")], [("a", "A"), ("b", "B")]):
        w.roam(*moves)
        p.talk.goes_on()
        p.wait_path("direct")
    w.roam(("a", "C"), ("b", "C"))
    p.talk.goes_on()
    p.finish()


@world(TWO + "site A apdm hosts=a; site B eim-apdf hosts=b")
def test_nat_reboot(w):
    """Each NAT forgets its mappings: the stream goes on, and is direct again."""
    _, flags = beacons(w)
    p = Pair(w, flags)
    p.wait_path("direct")
    for site in ("A", "B"):
        w.lab.reboot(site, 0.3)
        p.talk.goes_on()
        p.wait_path("direct")
    p.finish()


@world(TWO + "site A eim-apdf hosts=a; site B firewall hosts=b")
def test_nat_partition_each_other(w):
    """The hosts cannot reach one another: through a beacon, and direct when it is over."""
    _, flags = beacons(w)
    p = Pair(w, flags)
    p.wait_path("direct")
    w.partition(("A", "B"))
    p.talk.goes_on()
    p.wait_path("relay")
    wait(lambda: p.path().get("why") == "the peer answers no probe", 20, "the reason to be told")
    w.heal()
    p.wait_path("direct", 60)
    p.finish()


@world(TWO + "site A eim-apdf hosts=a; site B eim-apdf hosts=b")
def test_nat_partition_from_beacons(w):
    """While it is direct nobody needs a beacon; afterwards they are found again."""
    found, flags = beacons(w)
    p = Pair(w, flags)
    p.wait_path("direct")
    for site in ("A", "B"):
        w.partition((site, "srv"), (site, "relay"))
        side = p.client if site == "A" else p.server
        wait(lambda: all(b["state"] != "ready" for b in side.status()["beacons"]), 60, "the beacons to be missed")
        p.talk.goes_on(5)
        assert p.path()["kind"] == "direct", p.path()
        w.heal()
        wait_ready(side, found["srv"].host)
    p.finish()


@world(TWO + "site A apdm hosts=a; site B apdm hosts=b")
def test_nat_beacon_killed_relayed(w):
    """The home beacon dies (kill -9): the stream goes on through the spare, and home again when it is back."""
    found, flags = beacons(w)
    p = Pair(w, flags)
    first = p.wait_path("relay", transport="udp", why="both NATs map per destination")["via"]
    one, two = sorted(found.values(), key=lambda b: b.host not in first)
    for dies, lives in ((one, two), (two, one)):
        wait_ready(p.client, lives.host)
        wait_ready(p.server, lives.host)
        dies.kill()
        p.talk.goes_on()
        p.wait_path("relay", via=lives.host)
        dies.start()
    p.finish()


@world(TWO + "site A eim-apdf hosts=a; site B eim-apdf hosts=b")
def test_nat_beacon_killed_direct(w):
    """While it is direct the death of all beacons is not noticed by the stream."""
    found, flags = beacons(w)
    p = Pair(w, flags)
    p.wait_path("direct")
    moves = p.client.peer()["moves"]
    for b in found.values():
        b.kill()
    wait(lambda: all(b["state"] != "ready" for b in p.client.status()["beacons"]), 60, "the beacons to be missed")
    p.talk.goes_on(5)
    assert p.client.peer()["moves"] == moves and p.path()["kind"] == "direct", p.client.peer()
    for b in found.values():
        b.start()
    wait_ready(p.client, found["srv"].host)
    assert p.client.peer()["moves"] == moves, p.client.peer()
    p.finish()


@world(TWO + "site A apdm hosts=a; site B apdm hosts=b")
def test_nat_beacon_drained(w):
    """SIGTERM: the beacon sends its nodes to the spare before it ends; the stream never waits."""
    found, flags = beacons(w)
    p = Pair(w, flags)
    first = p.wait_path("relay")["via"]
    ends, stays = sorted(found.values(), key=lambda b: b.host not in first)
    ends.process.signal(signal.SIGTERM)
    wait_home(p.client, stays.host)
    wait_home(p.server, stays.host)
    p.wait_path("relay", via=stays.host)
    assert ends.process.wait(10) == 0
    p.talk.goes_on(5)
    p.finish()


@world("server srv; server relay; site A eim-apdf hosts=a loss=2 delay=10; site B apdm hosts=b loss=2 delay=10")
def test_nat_lossy(w):
    """2 % of the packets are lost on both links, each way: direct all the same."""
    _, flags = beacons(w)
    p = Pair(w, flags)
    p.wait_path("direct", 60)
    p.talk.goes_on(blocks=200)
    p.finish()


@world("server srv; server relay; site A eim-apdf hosts=a rate=1 delay=150 queue=300; site B eim-apdf hosts=b")
def test_nat_slow(w):
    """1 Mbit/s and 300 ms there and back."""
    _, flags = beacons(w)
    p = Pair(w, flags)
    p.wait_path("direct", 30)
    p.talk.goes_on(30, blocks=100)
    p.finish()


@world(TWO + "site A eim-apdf hosts=a; site B eim-apdf hosts=b")
def test_nat_udp_blocked_midstream(w):
    """UDP ends: on over TLS; UDP works again: direct again."""
    _, flags = beacons(w)
    p = Pair(w, flags)
    p.wait_path("direct")
    w.block_udp("A")
    p.talk.goes_on(30)
    p.wait_path("relay", transport="tls", why="UDP is blocked here")
    assert "UDP is blocked here" in p.client.ok("status"), p.client.ok("status")
    wait(lambda: p.server.peer()["path"]["why"] in ("the peer tells only local addresses", "the peer answers no probe"), 20,
         "the other side to give up")
    w.block_udp("A", False)
    p.wait_path("direct", 90)
    p.finish()


@world(TWO + "site A only-443 hosts=a; site B udp-blocked hosts=b")
def test_nat_no_udp(w):
    """Neither side has UDP."""
    _, flags = beacons(w)
    p = Pair(w, flags)
    p.wait_path("relay", transport="tls", why="UDP is blocked here")
    p.finish()


@world(TWO + "site A none hosts=a; site B only-443 hosts=b")
def test_nat_no_udp_at_peer(w):
    """The other side has no UDP: its reason is told."""
    _, flags = beacons(w)
    p = Pair(w, flags)
    p.wait_path("relay", transport="udp", why="the peer tells only local addresses")
    p.finish()


@world(TWO + "site A apdm hosts=a; site B apdm-seq hosts=b")
def test_nat_ping_says_why(w):
    """ping tells with each reply why it is not direct, and --until-direct in the end."""
    _, flags = beacons(w)
    server, client = Node(w.on("b"), "server").up("--allow", "any", *flags), Node(w.on("a"), "client")
    r = client.run("ping", server.address, "--until-direct", "-i", "0.1", "--timeout", "5", *flags)
    last = r.out.splitlines()[-1]
    assert re.search(r": relay 192\.0\.2\.\d0 \(udp\) in [\d.]+ ms \(both NATs map per destination\)$", last), r.out
    assert r.code == 1 and "godwit: no direct path: both NATs map per destination" in r.err, repr(r)
    told = objects(client.run("ping", server.address, "-c", "1", "--json", *flags))[0]["path"]
    assert told["kind"] == "relay" and told["why"], told


@world(TWO + "site A eim-apdf hosts=a; site B eim-apdf hosts=b")
def test_nat_status_has_an_age(w):
    """Cut off from everybody: status goes on to say since when nothing was heard, of the peer and of each beacon."""
    _, flags = beacons(w)
    p = Pair(w, flags)
    p.wait_path("direct")
    assert p.client.peer()["heard_s"] < 2, p.client.peer()
    w.partition(("A", "B"), ("A", "srv"), ("A", "relay"))
    wait(lambda: p.client.peer()["heard_s"] > 5, 20, "the age of the peer's last sign to grow")
    before = p.client.status()
    later = wait(lambda: (s := p.client.status())["uptime_s"] > before["uptime_s"] + 2 and s, 10, "two seconds")
    assert later["peers"][0]["heard_s"] > before["peers"][0]["heard_s"] + 1, (before["peers"], later["peers"])
    for one, two in zip(before["beacons"], later["beacons"]):
        assert two["state"] != "ready" or two["heard_s"] > one["heard_s"] + 1, (one, two)
    w.heal()
    p.talk.goes_on(60)
    assert p.client.peer()["heard_s"] < 2, p.client.peer()
    p.finish()


# --- proxies ---


PROXY = "server srv; server relay; site A http-proxy hosts=a; site B eim-apdf hosts=b"


def proxy_on(w, auth):
    """A proxy of the gateway of A that wants "user:password"; returns its process and the file it reads it from."""
    path = os.path.join(w.dir, "proxy-auth")
    with open(path, "w", encoding="utf-8") as f:
        f.write(auth + "\n")
    p = w.on("gw-A").spawn(*HELPER, "proxy", f"{w.gateway('A')}:3129", path, name="proxy")
    p.wait_out(r"^ready$")
    return p, path


def through(w, user=""):
    return {"HTTPS_PROXY": f"http://{user}{w.gateway('A')}:3129"}


@world(PROXY)
def test_nat_proxy(w):
    """HTTP CONNECT without a password, by the laboratory's own proxy."""
    _, flags = beacons(w)
    p = Pair(w, flags, a_env={"HTTPS_PROXY": f"http://{w.gateway('A')}:3128"})
    p.wait_path("relay", transport="tls", why="UDP is blocked here")
    p.finish()


@world(PROXY)
def test_nat_proxy_password(w):
    """User and password in HTTPS_PROXY, percent-encoded."""
    _, flags = beacons(w)
    proxy, _ = proxy_on(w, "us er:p@ss:word")
    p = Pair(w, flags, a_env=through(w, "us%20er:p%40ss:word@"))
    p.wait_path("relay", transport="tls", why="UDP is blocked here")
    assert re.search(rf"^proxy {re.escape(w.address('srv'))} {TLS} ok$", proxy.out(), re.M), proxy.out()
    p.finish()


@world(PROXY)
def test_nat_proxy_wrong_password(w):
    """A wrong password, and none: exit 4 and what is wrong, without the password."""
    _, flags = beacons(w)
    proxy_on(w, "user:right")
    n = Node(w.on("a"), "one")
    stranger = Node(w.on("b"), "stranger").address
    for user in ("user:sesame@", ""):
        n.env.update(through(w, user))
        r = n.run("ping", stranger, "-c", "1", *flags[:2])
        assert r.code == 4 and re.search(r"TLS: .*proxy .* 407", r.err) and "sesame" not in r.err, repr(r)
    n.env.update(through(w, "user:sesame@"))
    r = n.run("netcheck", "--json", "--timeout", "4", *flags[:2])
    told = objects(r)[0]
    assert r.code == 4 and told["udp"] is False and told["beacons"][0]["tls"] is False, repr(r)
    assert re.search(r"proxy .* 407", told["beacons"][0]["tls_error"]), told["beacons"]
    assert "sesame" not in told["beacons"][0]["tls_error"], told["beacons"]


@world(PROXY)
def test_nat_proxy_password_changes(w):
    """The password changes while nodes run: GODWIT_PROXY_AUTH_FILE is read again after a 407."""
    found, flags = beacons(w)
    proxy, wanted = proxy_on(w, "user:old")
    given = os.path.join(w.dir, "my-auth")
    with open(given, "w", encoding="utf-8") as f:
        f.write("user:old\n")
    p = Pair(w, flags[:2], a_env={**through(w), "GODWIT_PROXY_AUTH_FILE": given})
    with open(wanted, "w", encoding="utf-8") as f:
        f.write("user:new\n")
    found["srv"].kill()
    found["srv"].start()
    wait(lambda: " denied" in proxy.out(), 30, "the old password to be refused")
    wait(lambda: "407" in (p.client.status()["beacons"][0]["tls_error"] or ""), 10, "status to say so")
    with open(given, "w", encoding="utf-8") as f:
        f.write("user:new\n")
    p.talk.goes_on(90)
    assert p.client.status()["beacons"][0]["tls_error"] is None, p.client.status()["beacons"]
    p.finish()


@world("server srv; site A only-443 hosts=a; site B eim-apdf hosts=b")
def test_nat_no_proxy(w):
    """NO_PROXY names the beacon: the proxy, which is not there, is not asked."""
    _, flags = beacons(w)
    env = {"HTTPS_PROXY": f"http://{w.gateway('A')}:3999", "NO_PROXY": "example.org,192.0.2.0/24"}
    p = Pair(w, flags, a_env=env)
    p.wait_path("relay", transport="tls")
    p.finish()


@world("server srv; server relay; site A only-443 hosts=a; site B eim-apdf hosts=b")
def test_nat_ca_file(w):
    """With GODWIT_CA_FILE a certificate that it has not signed ends it, and one that it has does not."""
    _, flags = beacons(w)
    code = "import ssl,sys; print(ssl.get_server_certificate((sys.argv[1], 443)))"
    files = {}
    for name in ("srv", "relay"):
        r = w.on("a").run(sys.executable, "-c", code, w.address(name))
        assert r.code == 0, repr(r)
        files[name] = os.path.join(w.dir, name + ".pem")
        with open(files[name], "w", encoding="ascii") as f:
            f.write(r.out)
    n = Node(w.on("a"), "one")
    n.env["GODWIT_CA_FILE"] = files["relay"]
    told = objects(n.run("netcheck", "--json", "--timeout", "4", *flags[:2]))[0]["beacons"][0]
    assert told["tls"] is False and "certificate" in told["tls_error"], told
    p = Pair(w, flags[:2], a_env={"GODWIT_CA_FILE": files["srv"]})
    p.wait_path("relay", transport="tls")
    p.finish()


# --- kinds of paths ---


@world(TWO + "site A apdm hosts=a natpmp=on; site B apdm hosts=b")
def test_nat_port_mapping(w):
    """A router that maps ports makes the hardest pair direct."""
    _, flags = beacons(w)
    p = Pair(w, flags)
    p.wait_path("direct")
    text = p.client.ok("netcheck", *flags)
    assert re.search(rf"^Port mapping +nat-pmp, {re.escape(w.public('A'))}:\d+$", text, re.M), text
    assert "This host can be reached directly." in text, text
    p.finish()


@world(TWO + "site A eim-apdf hosts=a,b isolate=on")
def test_nat_hairpin(w):
    """Two hosts behind one NAT that cannot see one another: by the NAT's own public address."""
    _, flags = beacons(w)
    p = Pair(w, flags)
    p.wait_path("direct", endpoint=w.public("A"))
    p.finish()


@world(TWO + "site A eim-apdf hosts=a,b hairpin=off")
def test_nat_same_lan(w):
    """In one LAN by the LAN's addresses, also where the NAT does not hairpin."""
    _, flags = beacons(w)
    p = Pair(w, flags)
    p.wait_path("direct", endpoint=w.address("b"))
    p.finish()


@world(TWO + "site A eim-apdf hosts=a lan=192.168.1.0/24; site B eim-apdf hosts=b lan=192.168.1.0/24")
def test_nat_same_addresses(w):
    """Both are 192.168.1.10, each at home: by the public addresses, and never mistaken for itself."""
    _, flags = beacons(w)
    assert w.address("a") == w.address("b")
    p = Pair(w, flags)
    p.wait_path("direct", endpoint=w.public("B"))
    p.finish()


@world(TWO + "site A apdm hosts=a v6=on; site B apdm hosts=b v6=on")
def test_nat_ipv6(w):
    """IPv4 is hopeless, IPv6 has stateful firewalls on both sides: direct over IPv6."""
    _, flags = beacons(w)
    p = Pair(w, flags)
    p.wait_path("direct", endpoint=f"[{w.lab.s['hosts']['b']['ip6']}]")
    p.finish()


@world(TWO + "site A double hosts=a; site B double hosts=b")
def test_nat_double(w):
    """Each behind its own and a carrier's NAT."""
    _, flags = beacons(w)
    p = Pair(w, flags)
    p.wait_path("direct", endpoint=w.public("B-isp"))
    p.finish()


@world(TWO + "site A none hosts=a; site B none hosts=b")
def test_nat_relay_only(w):
    """--relay-only stays relayed where direct would be easy, and each side says why."""
    _, flags = beacons(w)
    p = Pair(w, flags, a_flags=["--relay-only"])
    p.wait_path("relay", why="this node is relay-only")
    wait(lambda: p.server.peer()["path"]["why"] == "the peer tells no addresses", 20, "the other side to say why")
    heard = p.server.peer()["heard_s"]
    assert 0 <= heard < 2, heard
    p.finish()
