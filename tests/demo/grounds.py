# SPDX-License-Identifier: Apache-2.0
"""Where the demo plays: a small internet with NATs and two beacons, or, failing that, loopback."""
import importlib.machinery
import importlib.util
import os
import shutil
import signal
import subprocess

import netlab
from session import say

STOP, CONTINUE = signal.SIGSTOP, signal.SIGCONT
LAB = os.path.join(netlab.TOP, "tests", "lab", "lab")

# eu1 is near, us1 is far.  b begins behind a NAT of the worst kind: another port for each peer.  The
# hotel's gives a host one port, but another one after a reboot.
INTERNET = """
server eu1 delay=5; server us1 delay=30
site home     eim-apdf hosts=a delay=4
site mobile   apdm     hosts=b delay=8
site cafe     eim-apdf delay=5
site office   eim-apdf delay=5
site train    eim-apdf delay=8
site hotel    eim-apdf delay=6 alloc=random
"""


class Beacon:
    """`godwit beacon` on a server, under its name."""

    def __init__(self, host):
        self.node = netlab.Node(host, host.name)
        self.process = self.node.spawn("beacon", "--name", host.name)
        self.text = self.process.wait_out(r"^ready (n[a-z2-7]{55}@\S+)$").group(1)

    def kill(self):
        self.process.kill()


class Internet(netlab.World):
    """Hosts a and b, servers eu1 and us1, in the NAT laboratory."""

    def __init__(self):
        super().__init__()
        self.tag = "natlab.demo."

    def build(self):
        loader = importlib.machinery.SourceFileLoader("natlab", LAB)
        natlab = importlib.util.module_from_spec(importlib.util.spec_from_loader("natlab", loader))
        loader.exec_module(natlab)
        natlab.BASE = self.dir
        self.lab = natlab.Lab("demo")
        self.lab.build(INTERNET)
        self.name_servers()

    def name_servers(self):
        """eu1 and us1 in /etc/hosts; ours alone, like all mounts in here."""
        with open("/run/hosts", "w", encoding="ascii") as f:
            f.write("127.0.0.1 localhost\n192.0.2.10 eu1\n192.0.2.20 us1\n")
        subprocess.run(["mount", "--bind", "/run/hosts", "/etc/hosts"], check=True)

    def __exit__(self, *_):
        self.stop_all()
        self.lab.down()

    def host(self, name):
        return netlab.Host(self, name, "")

    def start(self):
        """PostgreSQL behind a; nodes that know nothing of one another but the address."""
        self.beacons = {name: Beacon(self.host(name)) for name in ("eu1", "us1")}
        flags = [x for b in self.beacons.values() for x in ("--beacon", b.text)]
        for name, b in self.beacons.items():
            say(f"{name}$ godwit beacon --name {name}")
            say(f"     ready {shorten(b.text)}")
        netlab.Postgres(self.a)
        server, client = netlab.Node(self.a, "a"), netlab.Node(self.b, "b")
        server.up("--expose", "pg=5432", "--allow", client.address, *flags)
        say(f"a$   godwit up --expose pg=5432 --allow {shorten(client.address)} --beacon ...@eu1 --beacon ...@us1")
        say(f"b$   godwit forward 5432 {shorten(server.address)}/pg --beacon ...@eu1 --beacon ...@us1")
        say("b$   psql -h localhost")
        client.forward("5432", f"{server.address}/pg", *flags)
        return server, client, self.b, 5432

    def home_beacon(self, node):
        return next(b["endpoint"].split(":")[0] for b in node.status()["beacons"] if b["home"])


class Loopback(netlab.World):
    """One machine, no namespaces: no NATs, no beacons; other UDP ports instead of other networks."""

    def __init__(self):
        super().__init__(loopback=True)

    def start(self):
        netlab.Postgres(self.a, 55432)
        server, client = netlab.Node(self.a, "a"), netlab.Node(self.b, "b")
        destination = server.expose("55432", "pg", client.address)
        say(f"a$ godwit expose 55432 --as pg --allow {shorten(client.address)}")
        say(f"b$ godwit forward 55433 {shorten(destination)}")
        client.forward("55433", destination)
        return server, client, self.b, 55433


def shorten(text):
    """An address or ticket, with what follows it, as `godwit status` would write it."""
    tail = len(text)
    for mark in "@/":
        if mark in text:
            tail = min(tail, text.index(mark))
    return f"{text[:5]}…{text[tail - 5:]}"


def find():
    """The internet where namespaces can be had, else loopback."""
    if netlab.enter():
        return Internet()
    say("This system allows no network namespaces: loopback instead, without NATs and beacons.\n")
    return Loopback()


def remove(ground):
    shutil.rmtree(ground.dir, ignore_errors=True)
