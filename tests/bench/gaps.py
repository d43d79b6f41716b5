# SPDX-License-Identifier: Apache-2.0
"""Seconds without data on one open stream while networks, NATs and beacons change: run in the NAT laboratory.

Two hosts behind NATs of their own (eim-apdf), further networks to move to, two beacons 20 ms of
round trip away.  1,000 bytes each 2 ms go one way through `forward` and `expose`; the receiver
notes when each read returned.  A gap is the longest time between two reads from the event on."""
import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.realpath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "net"))
import netlab  # noqa: E402
from natlab import laboratory  # noqa: E402
from netlab import wait  # noqa: E402

FLOW = os.path.join(HERE, "flow.py")
SPEC = """
server one delay=10
server two delay=10
site A {a} hosts=a
site B {b} hosts=b
site C eim-apdf
site D eim-apdf
"""


class Gaps:
    """One laboratory with beacons, a server b and a client a, and a flow between them."""

    def __init__(self, upward, a="eim-apdf", b="eim-apdf", flags=(), every_ms=2, size=1000):
        self.lab = laboratory().Lab(f"gaps{os.getpid()}")
        self.binary, self.upward, self.flags, self.every = netlab.binary(), upward, list(flags), [str(every_ms), str(size)]
        self.kinds = (a, b)
        self.dir = tempfile.mkdtemp(prefix="godwit-gaps-")

    def __enter__(self):
        self.lab.build(SPEC.format(a=self.kinds[0], b=self.kinds[1]))
        return self

    def __exit__(self, *_):
        self.lab.down()
        shutil.rmtree(self.dir, ignore_errors=True)

    def spawn(self, host, tag, *argv):
        return self.lab.spawn(host, tag, list(argv))

    def godwit(self, host, *argv):
        return self.spawn(host, argv[0], self.binary, *argv, "--home", os.path.join(self.dir, host))

    def out(self, host, tag):
        with open(os.path.join(self.lab.dir, f"{host}.{tag}.out"), encoding="utf-8", errors="replace") as f:
            return f.read()

    def found(self, host, tag, pattern, seconds=15):
        return wait(lambda: re.search(pattern, self.out(host, tag), re.M), seconds, f"{pattern} of {host} {tag}: {self.out(host, tag)[-300:]}")

    def start_server(self):
        self.beacons = []
        for name in ("one", "two"):
            self.godwit(name, "beacon", "--listen", "0.0.0.0:4443", "--tls-listen", "0.0.0.0:443")
        for name in ("one", "two"):
            key = self.found(name, "beacon", r"^ready (n[a-z2-7]{55})@").group(1)
            self.beacons += ["--beacon", f"{key}@{self.lab.s['hosts'][name]['ip']}:4443"]
        self.spawn("b", "flow", sys.executable, FLOW, "sink" if self.upward else "source", "listen", "7000", *self.every)
        self.godwit("b", "up", "--expose", "flow=7000", "--allow", "any", *self.beacons, *self.flags)
        self.address = self.found("b", "up", r"^ready (n[a-z2-7]{55})$").group(1)

    def start(self):
        self.start_server()
        self.godwit("a", "forward", "7001", f"{self.address}/flow", *self.beacons, *self.flags)
        self.spawn("a", "flow", sys.executable, FLOW, "source" if self.upward else "sink", "connect", "7001", *self.every)
        self.sink = "b" if self.upward else "a"
        wait(lambda: len(self.times()) > 50, 20, "data to flow")
        return self

    def times(self):
        text = self.out(self.sink, "flow")
        return [float(x) for x in re.findall(r"^(\d+\.\d+)$", text[:text.rfind("\n") + 1], re.M)]

    def peer(self, host="a"):
        argv = self.lab.cmd(host, [self.binary, "status", "--json", "--home", os.path.join(self.dir, host)])
        r = subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=False)
        with contextlib.suppress(ValueError, IndexError, KeyError):
            return json.loads(r.stdout)["peers"][0]
        return {}

    def status(self, host):
        argv = self.lab.cmd(host, [self.binary, "status", "--json", "--home", os.path.join(self.dir, host)])
        return json.loads(subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=False).stdout)

    def wait_path(self, kind, transport=None, seconds=30):
        def right():
            path = self.peer().get("path") or {}
            return path.get("kind") == kind and transport in (None, path.get("transport"))
        wait(right, seconds, f"a {kind} path, not {self.peer().get('path')}")
        return self

    def calm(self, seconds=1.5):
        end = time.monotonic() + seconds
        wait(lambda: time.monotonic() > end, seconds + 5, "calm")
        return self

    def gap(self, at, patience=60):
        """ms; data must flow again for a second."""
        wait(lambda: self.times()[-1] > at + 0.05, patience, "data to flow again")
        end = time.monotonic() + 2
        wait(lambda: time.monotonic() > end, 4, "two seconds")
        times = self.times()
        assert times[-1] > end - 0.5, "the flow has stopped again"
        return max((y - x) * 1000 for x, y in zip(times, times[1:]) if y > at)

    def during(self, event, patience=60):
        at = time.monotonic()
        event()
        self.took = (time.monotonic() - at) * 1000
        return self.gap(at, patience)

    def block_udp(self, site):
        """At the internet's router: what the site sends and gets over UDP is lost from now on."""
        text = "".join(f"add rule inet net part ip {side} {net} meta l4proto udp drop\n"
                       for net in self.lab.nets(site)[0] for side in ("saddr", "daddr"))
        subprocess.run(["ip", "netns", "exec", self.lab.ns("inet"), "nft", "-f", "-"], input=text, text=True, check=True)

    def home_of(self, host):
        """Which server is the host's home beacon."""
        home = [x for x in self.status(host)["beacons"] if x["own"] and x["home"]][0]["endpoint"].rsplit(":", 1)[0]
        return next(name for name in ("one", "two") if self.lab.s["hosts"][name]["ip"] == home)

    def relay_server(self):
        via = self.peer()["path"]["via"].rsplit(":", 1)[0]
        return next(name for name in ("one", "two") if self.lab.s["hosts"][name]["ip"] == via)


def switch(upward):
    """The longest gap of a stream of 200 Mbit/s that begins relayed, until 2 s after it has become direct."""
    with Gaps(upward, size=50000) as g:
        g.start()
        first = g.times()[0]
        g.wait_path("direct")
        direct = time.monotonic()
        return g.gap(first), (direct - first) * 1000


def until_direct(kinds):
    """From the start of `ping --until-direct` to the first direct reply."""
    with Gaps(True, *kinds) as g:
        g.start_server()
        at = time.monotonic()
        g.godwit("a", "ping", g.address, "--until-direct", "-i", "0.02", *g.beacons)
        g.found("a", "ping", "^reply from .*: relay|direct")
        first = time.monotonic()
        g.found("a", "ping", "^reply from .*: direct")
        return (time.monotonic() - at) * 1000, (first - at) * 1000


def both_move(g):
    g.lab.roam("a", "C")
    g.lab.roam("b", "D")


def kill_home(g):
    g.lab.kill(g.home, "beacon", "KILL")


def prepare_relayed(g):
    g.wait_path("relay").calm(2)
    g.home = g.relay_server()


def prepare_direct(g):
    g.wait_path("direct").calm()


def prepare_home(g):
    prepare_direct(g)
    g.home = g.home_of("b")


# name: (options of Gaps, what has to be so before, the event, most seconds)
EVENTS = {
    "client moves": ({}, prepare_direct, lambda g: g.lab.roam("a", "C"), 0.3),
    "server moves": ({}, prepare_direct, lambda g: g.lab.roam("b", "D"), 0.3),
    "both move at once": ({}, prepare_direct, both_move, 1),
    "client moves, relayed": ({"flags": ["--relay-only"]}, prepare_relayed, lambda g: g.lab.roam("a", "C"), 0.3),
    "client's NAT reboots": ({}, prepare_direct, lambda g: g.lab.reboot("A"), 1),
    "server's NAT reboots": ({}, prepare_direct, lambda g: g.lab.reboot("B"), 1),
    "home beacon killed while relayed": ({"flags": ["--relay-only"]}, prepare_relayed, kill_home, 2),
    "home beacon killed while direct": ({}, prepare_home, kill_home, 0.05),
    "UDP blocked, was direct": ({}, prepare_direct, lambda g: g.block_udp("A"), 3),
    "UDP blocked, was relayed": ({"flags": ["--relay-only"]}, prepare_relayed, lambda g: g.block_udp("A"), 3),
}


def one(name, upward):
    if name == "switch":
        return switch(upward)
    if ":" in name:
        return until_direct(name.split(":"))
    options, prepare, event, _ = EVENTS[name]
    with Gaps(upward, **options) as g:
        g.start()
        prepare(g)
        return g.during(lambda: event(g)), g.took


def main(argv):
    laboratory().enter_private()
    name, upward, runs = argv[1], argv[2] == "up", int(argv[3])
    for _ in range(runs):
        try:
            print("%.1f %.1f" % one(name, upward), flush=True)
        except AssertionError as e:
            print(f"FAILED {e}", flush=True)


if __name__ == "__main__":
    main(sys.argv)
