# SPDX-License-Identifier: Apache-2.0
"""What netcheck says of each kind of network in the laboratory, in RFC 5780's words."""
import os
import re
from concurrent.futures import ThreadPoolExecutor

from netlab import Node, binary
from natlab import Beacon, beacons, objects
from test_nat import world

EI, AD, APD, UNKNOWN = "endpoint-independent", "address-dependent", "address-and-port-dependent", "unknown"
# kind: behind a NAT, mapping, filtering; then what one beacon alone can tell of both
UDP_KINDS = {
    "none": (False, EI, EI, EI, UNKNOWN),
    "firewall": (False, EI, APD, EI, APD),
    "eim-eif": (True, EI, EI, UNKNOWN, UNKNOWN),
    "eim-adf": (True, EI, AD, UNKNOWN, UNKNOWN),
    "eim-apdf": (True, EI, APD, UNKNOWN, APD),
    "adm-adf": (True, AD, AD, UNKNOWN, UNKNOWN),
    "apdm": (True, APD, APD, APD, APD),
    "apdm-seq": (True, APD, APD, APD, APD),
    "double": (True, EI, APD, UNKNOWN, APD),
}
SITES = "server srv; server relay; " + "; ".join(
    f"site {kind} {kind} hosts=at-{kind}" for kind in [*UDP_KINDS, "udp-blocked", "only-443", "http-proxy"])


def check(w, host, *args, env=None):
    n = Node(w.on(host), f"{host}-{len(args)}")
    n.env.update(env or {})
    r = n.run("netcheck", "--json", *args)
    assert r.code == 0, f"{host}: {r!r}"
    return objects(r)[0]


def every(kinds, look):
    """look(kind) of all, some at a time; all that is wrong is told."""
    with ThreadPoolExecutor(4) as pool:
        wrong = [x for x in pool.map(look, kinds) if x]
    assert not wrong, "\n".join(wrong)


def nat_of(n):
    return n["nat"], n["mapping"], n["filtering"]


@world(SITES)
def test_netcheck_kinds(w):
    """Mapping and filtering of every kind of NAT, with two beacons and with one."""
    _, flags = beacons(w)

    def look(kind):
        expected = UDP_KINDS[kind]
        two, one = check(w, "at-" + kind, *flags), check(w, "at-" + kind, *flags[:2])
        if not (two["udp"] and one["udp"] and two["ipv4"]["works"] and not two["ipv6"]["here"]):
            return f"{kind}: {two}"
        seen = w.lab.s["hosts"]["at-" + kind]["ip"] if kind in ("none", "firewall") else w.public(
            "double-isp" if kind == "double" else kind)
        if two["ipv4"]["seen"].split(":")[0] != seen or two["port_mapping"]["state"] != "none":
            return f"{kind}: {two}"
        for got, right in ((nat_of(two), expected[:3]), (nat_of(one), (expected[0], *expected[3:]))):
            if got != right:
                return f"{kind}: {got}, not {right}"
        return None
    every(UDP_KINDS, look)


@world(SITES)
def test_netcheck_no_udp(w):
    """Without UDP: that it is so, TLS and the clock all the same, through a proxy too."""
    _, flags = beacons(w)

    def look(kind):
        proxy = {"HTTPS_PROXY": f"http://{w.gateway(kind)}:3128"} if kind == "http-proxy" else {}
        n = check(w, "at-" + kind, "--timeout", "4", *flags, env=proxy)
        fine = n["udp"] is False and n["mapping"] == n["filtering"] == UNKNOWN and "UDP is blocked" in n["verdict"]
        fine = fine and all(b["tls"] and b["udp4"] is False and abs(b["clock_offset_s"]) < 5 for b in n["beacons"])
        return None if fine else f"{kind}: {n}"
    every(["udp-blocked", "only-443", "http-proxy"], look)


@world("server srv; server relay; site A eim-apdf hosts=a hairpin=on natpmp=on; site B eim-apdf hosts=b hairpin=off; "
       "site C apdm hosts=c natpmp=on; site D eim-apdf hosts=d natpmp=on; site E eim-apdf hosts=e via=D natpmp=on")
def test_netcheck_gateway(w):
    """Hairpinning and port mapping, and a mapping that another NAT makes worthless."""
    _, flags = beacons(w)
    expected = {"a": (True, "nat-pmp"), "b": (False, None), "c": (None, "nat-pmp"), "e": (None, "nat-pmp")}

    def look(host):
        n = check(w, host, *flags)
        hairpin, protocol = expected[host]
        reached = n["verdict"] == "This host can be reached directly."
        fine = hairpin in (None, n["hairpinning"]) and n["port_mapping"]["protocol"] == protocol
        fine = fine and n["port_mapping"]["nested"] == (host == "e") and reached == (host in "ac")
        return None if fine else f"{host}: {n}"
    every(expected, look)


@world("server srv; server relay; site A eim-apdf hosts=a")
def test_netcheck_clock(w):
    """A beacon whose clock goes ahead; so far that records would be refused."""
    for name, ahead in (("srv", 90), ("relay", 1200)):
        os.environ["LD_PRELOAD"] = os.path.join(os.path.dirname(binary()), "tests", "net", "wallclock.so")
        os.environ["WALLCLOCK_AHEAD"] = str(ahead)
        try:
            b = Beacon(w, name)
        finally:
            del os.environ["LD_PRELOAD"], os.environ["WALLCLOCK_AHEAD"]
        n = check(w, "a", "--beacon", b.text)
        assert abs(n["beacons"][0]["clock_offset_s"] - ahead) < 5, n
        assert ("clock is wrong" in n["verdict"]) == (ahead > 600), n
        text = Node(w.on("a"), "text-" + name).ok("netcheck", "--beacon", b.text)
        assert re.search(rf"^192\.0\.2\.\d+:4443 .* \+{ahead // 10}\d\.\d s *$", text, re.M), text
