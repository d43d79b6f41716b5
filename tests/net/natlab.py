# SPDX-License-Identifier: Apache-2.0
"""The NAT laboratory (tests/lab) as a ground for tests: test.world = {"spec": "..."}.

Servers `srv` and `relay` of a spec are where beacons run, hosts are where nodes run; all of them
are netlab hosts: w.on("a").  What happens to them is in w.lab (roam, reboot, partition, link)."""
import importlib.machinery
import importlib.util
import json
import os
import re
import subprocess
import sys
import tempfile
import time

import netlab
from netlab import Host, Node, Timeout, wait

HELPER = [sys.executable, os.path.join(os.path.dirname(os.path.abspath(__file__)), "helper.py")]
UDP, TLS = 4443, 443


def laboratory():
    """The module behind the command tests/lab/lab."""
    if "natlab_lab" not in sys.modules:
        path = os.path.join(netlab.TOP, "tests", "lab", "lab")
        loader = importlib.machinery.SourceFileLoader("natlab_lab", path)
        module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
        sys.modules["natlab_lab"] = module
        loader.exec_module(module)
    return sys.modules["natlab_lab"]


def build_gateway():
    """Once, before tests run beside one another."""
    laboratory().gw_binary()


class LabWorld(netlab.World):
    def __init__(self, spec):
        netlab.World.count += 1
        self.direct = self.v6 = self.loopback = False
        self.spec, self.serial, self.processes = spec, 0, []
        self.dir = tempfile.mkdtemp(prefix="godwit-")
        module = laboratory()
        module.BASE = os.path.join(self.dir, "labs")
        self.lab = module.Lab(f"t{netlab.World.count}")
        self.tag = self.lab.pfx
        self.hosts = {}

    def build(self):
        os.makedirs(self.lab.dir)
        self.lab.build(self.spec)

    def __exit__(self, *_):
        self.stop_all()
        self.lab.down()

    def on(self, name):
        """A host, a server, or the gateway of a site ("gw-A")."""
        return self.hosts.setdefault(name, Host(self, name, ""))

    def address(self, name):
        return self.lab.s["hosts"][name]["ip"]

    def public(self, site):
        return self.lab.s["sites"][site]["wan"]

    def gateway(self, site):
        return self.lab.s["sites"][site]["gw"]

    # --- what happens ---

    def roam(self, *moves):
        """roam(("a", "C"), ...): first all leave, then all arrive."""
        for host, _ in moves:
            self.lab.uncable(host)
            at = self.lab.s["hosts"][host]
            self.lab.s["sites"][at["site"]]["used"].remove(at["ip"])
        for host, site in moves:
            self.lab.attach(host, site)
        self.lab.save()

    def partition(self, *pairs):
        self.lab.s["parts"] = [list(p) for p in pairs]
        self.lab._parts()

    def heal(self):
        self.partition()

    def block_udp(self, site, blocked=True):
        """The provider of that site drops all UDP, without a word."""
        nets = ", ".join(self.lab.nets(site)[0])
        rules = (f"add table inet udp_{site}\nadd chain inet udp_{site} f "
                 "{ type filter hook forward priority -5; }\n"
                 f"add rule inet udp_{site} f ip saddr {{ {nets} }} meta l4proto udp drop\n"
                 f"add rule inet udp_{site} f ip daddr {{ {nets} }} meta l4proto udp drop\n")
        r = self.on("inet").run("nft", "-f", "-", data=rules if blocked else f"delete table inet udp_{site}\n")
        assert r.code == 0, repr(r)


class Beacon:
    """`godwit beacon` on a server of the laboratory."""

    def __init__(self, world, name):
        self.world, self.name, self.host = world, name, world.address(name)
        self.node = Node(world.on(name), "beacon-" + name)
        self.start()

    def start(self):
        self.process = self.node.spawn("beacon", "--listen", f"0.0.0.0:{UDP}", "--tls-listen", f"0.0.0.0:{TLS}")
        self.key = self.process.wait_out(r"^ready (n[a-z2-7]{55})@").group(1)
        self.text = f"{self.key}@{self.host}:{UDP}"
        return self

    def kill(self):
        self.process.kill()


def warm(w):
    """Everybody resolves its neighbours: else the first round trips measure that."""
    servers = [w.address(name) for name in w.lab.s["servers"]]
    code = ("import socket,sys\nfor a in sys.argv[1:]:\n try: socket.create_connection((a,443),2).close()\n"
            " except OSError: pass")
    for name in w.lab.s["hosts"]:
        if name not in w.lab.s["servers"]:
            w.on(name).run(sys.executable, "-c", code, *servers)


def beacons(w):
    """One on each server, and the flags that name them."""
    found = {name: Beacon(w, name) for name in w.lab.s["servers"]}
    warm(w)
    return found, [x for b in found.values() for x in ("--beacon", b.text)]


class Talk:
    """A stream through `forward` that sends numbered blocks all the time; what comes back is verified."""

    def __init__(self, host, port, every_ms=20, size=1000):
        self.process = host.spawn(*HELPER, "talk", str(port), str(every_ms), str(size), name="talk", stdin=subprocess.PIPE)

    @property
    def blocks(self):
        """Those that have come back so far."""
        found = re.findall(r"^ok (\d+)$", self.process.out()[-400:], re.M)
        return int(found[-1]) if found else 0

    def goes_on(self, seconds=20, blocks=5):
        """Blocks that are sent from now on come back."""
        sent = re.findall(r"^sent (\d+)$", self.process.out()[-4000:], re.M)
        goal = max(int(sent[-1]) if sent else 0, self.blocks) + blocks

        def look():
            assert self.process.running(), f"the stream ended: {self.process.err()[-500:]}"
            return self.blocks >= goal
        started = time.monotonic()
        wait(look, seconds, f"the stream to go on after block {goal - blocks}")
        return time.monotonic() - started

    def stands(self, seconds):
        """Nothing comes back for so long, though it may take a moment until that is so."""
        state = {"blocks": self.blocks, "since": time.monotonic()}

        def look():
            now = self.blocks
            if now != state["blocks"]:
                state.update(blocks=now, since=time.monotonic())
            return time.monotonic() - state["since"] > seconds
        wait(look, 4 * seconds + 5, "the stream to stand still")

    def finish(self, seconds=20):
        """Both ends close it; every byte has come back once and in order."""
        self.process.stdin.close()
        code = self.process.wait(seconds)
        assert code == 0 and re.search(r"^done \d+$", self.process.out(), re.M), f"exit {code}: {self.process.err()[-500:]}"


class Pair:
    """Nodes on two hosts, a stream between them: `b` offers echo, `a` forwards to it."""

    def __init__(self, w, flags, a="a", b="b", a_flags=(), b_flags=(), a_env=None, b_env=None, talk=(20, 1000)):
        self.w = w
        self.server, self.client = Node(w.on(b), "server"), Node(w.on(a), "client")
        self.server.env.update(b_env or {})
        self.client.env.update(a_env or {})
        helper = w.on(b).spawn(*HELPER, "echo", "7", name="echo")
        helper.wait_out(r"^ready$")
        self.server.process = self.server.spawn("up", "--expose", "echo=7", "--allow", "any", *flags, *b_flags)
        self.server.process.wait_out(r"^ready n", 30)
        destination = f"{self.server.address}/echo"
        self.client.process = self.client.spawn("up", "--forward", f"7001={destination}", *flags, *a_flags)
        self.client.process.wait_out(r"^ready n", 30)
        self.client.process.wait_listens(7001)
        self.talk = Talk(w.on(a), 7001, *talk)
        self.talk.goes_on(30)

    def path(self):
        return self.client.peer().get("path") or {}

    def wait_path(self, kind, seconds=20, **more):
        """Both sides use such a path; more: transport, via (a server), endpoint (its host)."""
        def fits(node):
            path = node.peer().get("path") or {}
            return path.get("kind") == kind and all(
                (path.get(key) or "").rsplit(":", 1)[0] == value if key in ("via", "endpoint") else path.get(key) == value
                for key, value in more.items())
        try:
            wait(lambda: fits(self.client), seconds, "")
            wait(lambda: (self.server.peer().get("path") or {}).get("kind") == kind, seconds, "")
        except Timeout:
            raise Timeout(f"not within {seconds} s {kind} {more}: client {self.client.peer().get('path')}, "
                          f"server {self.server.peer().get('path')}") from None
        return self.path()

    def finish(self):
        self.talk.goes_on()
        self.talk.finish()


def home_of(node):
    """The HOST of its home beacon, once there is one."""
    def look():
        found = [b["endpoint"].rsplit(":", 1)[0] for b in node.status()["beacons"] if b["own"] and b["home"] and b["state"] == "ready"]
        return found[0] if found else None
    return wait(look, 15, f"{node.name} to have a home")


def wait_home(node, host, seconds=20):
    wait(lambda: any(b["own"] and b["home"] and b["state"] == "ready" and b["endpoint"].startswith(host + ":")
                     for b in node.status()["beacons"]), seconds, f"{node.name} to be at home with {host}")


def wait_ready(node, host, seconds=90):
    """At home with that beacon or ready to be: which is nearer is measured, and the machine may be busy."""
    wait(lambda: any(b["own"] and b["state"] == "ready" and b["endpoint"].startswith(host + ":")
                     for b in node.status()["beacons"]), seconds, f"{node.name} to be connected to {host}")


def objects(result):
    return [json.loads(line) for line in result.out.splitlines()]
