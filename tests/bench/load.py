# SPDX-License-Identifier: Apache-2.0
"""Beacons under load: what forwarding costs, streams through a relay, and very many nodes at one beacon.

Used by tests/bench/bench (parts relay and beacon).  Where a rate is limited by what else runs on the
machine, the figure for each second of the beacon's processor time is the one to compare."""
import json
import os
import re
import shutil
import subprocess

from netlab import TOP, Node, World, binary, wait

AT = "10.1.1.1"  # of the router, on a's side; b reaches it, too
UNLIMITED = [x for name in ("bytes", "packets", "ip-bytes", "ip-packets") for x in ("--limit", f"{name}={10**10}")]
SOURCES = 256    # addresses of the swarm: a beacon has limits for each
TICK = os.sysconf("SC_CLK_TCK")


def tool(name):
    """A program of tests/bench, built."""
    for d in (os.path.dirname(os.path.realpath(binary())), os.path.dirname(binary()), os.path.join(TOP, "build")):
        path = os.path.join(d, "tests", "bench", name)
        if os.access(path, os.X_OK):
            return path
    raise RuntimeError(f"tests/bench/{name} is not built")


def on_core(number, *argv):
    """The command on one processor, where that can be asked for."""
    if shutil.which("taskset") and (os.cpu_count() or 1) > 1:
        return ["taskset", "-c", str(number), *argv]
    return list(argv)


def simulated(scenario, pattern, seeds):
    """What the simulator notes, one match a seed."""
    sim = os.path.join(os.path.dirname(os.path.dirname(tool("hose"))), "sim", "sim")
    found = []
    for seed in range(1, seeds + 1):
        r = subprocess.run([sim, "--seed", str(seed), "--scenario", scenario, "--verbose"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                           text=True, check=False)
        assert r.returncode == 0, r.stdout[-300:]
        found.append(re.search(pattern, r.stdout).groups())
    return found


def cpu(process):
    with open(f"/proc/{process.pid}/stat", encoding="ascii") as f:
        fields = f.read().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


class Beacon:
    """`godwit beacon`; it may be killed and started anew."""

    def __init__(self, host, address, *args, tls=False, core=None):
        self.node, self.core = Node(host, "beacon"), core
        self.args = ["beacon", "--listen", f"{address}:4443", "--tls-listen", f"{address}:443" if tls else "none", *args]
        self.start()

    def start(self):
        argv = [binary(), *self.args] if self.core is None else on_core(self.core, binary(), *self.args)
        self.process = self.node.host.spawn(*argv, name="beacon", env=self.node.env)
        self.text = self.process.wait_out(r"^ready (n[a-z2-7]{55}@\S+)$").group(1)

    def tls_only(self):
        """The same for nodes: nothing answers at that UDP port."""
        return self.text.replace(":4443", ":9")


def hose(host, process, *args):
    """One measurement: what came back, and what the forwarder used for it."""
    before = cpu(process)
    r = host.run(*on_core(1, tool("hose"), *args), seconds=60)
    assert r.code == 0, repr(r)
    r, used = json.loads(r.out), cpu(process) - before
    return {"gbit_s": r["gbit_s"], "gbit_per_cpu_s": r["bytes"] * 8e-9 / max(used, 1 / TICK), "busy": used / r["seconds"]}


def forwarding(seconds):
    """The bare echo and the beacon, one after the other on the same core; returns both."""
    with World(direct=True) as w:
        echo = w.a.spawn(*on_core(0, tool("hose"), "echo", w.a.address(), "5555"), name="echo")
        echo.wait_out("ready")
        limit = hose(w.b, echo, "to-echo", w.a.address(), "5555", str(seconds))
        echo.stop()
        beacon = Beacon(w.a, w.a.address(), *UNLIMITED, core=0)
        return limit, hose(w.b, beacon.process, "to-relay", beacon.text, str(seconds))


def relayed_stream(seconds, tls=False):
    """`godwit bench` between hosts that reach only the beacon."""
    with World() as w:
        w.forwarding(False)
        beacon = Beacon(w.r, AT, tls=tls)
        at = beacon.tls_only() if tls else beacon.text
        server, client = Node(w.a, "server"), Node(w.b, "client")
        server.up("--relay-only", "--beacon", at, "--allow", "any")
        relayed = cpu(beacon.process)
        r = json.loads(client.ok("bench", server.address, "--relay-only", "--beacon", at, "--seconds", str(seconds), "--json",
                                 seconds=seconds + 40))
        return {"gbit_s": r["gbit_s"], "beacon_cpu_s_per_gb": (cpu(beacon.process) - relayed) / (r["bytes"] / 1e9),
                "rtt_p50_us": r["rtt_us"]["p50"], "rtt_p99_us": r["rtt_us"]["p99"]}


class Swarm:
    """Very many nodes at home at one beacon (tests/bench/swarm.c); both on one host, over loopback."""

    def __init__(self, world, nodes):
        self.nodes = nodes
        self.beacon = Beacon(world.a, "127.0.0.1")
        self.empty = self.beacon.process.rss_kib()
        self.commands, commands = os.pipe()[::-1]
        self.process = world.a.spawn(tool("swarm"), self.beacon.text, str(nodes), str(SOURCES), stdin=commands)
        os.close(commands)
        self.said = 0

    def bytes_each(self):
        return (self.beacon.process.rss_kib() - self.empty) * 1024 / self.nodes

    def do(self, command, patience, kill=False):
        """Let it do something; returns what it says, with the beacon's processor time."""
        used = cpu(self.beacon.process)
        if kill:
            self.beacon.process.kill()
            used = 0
        os.write(self.commands, (command + "\n").encode())
        if kill:
            self.beacon.start()

        def look():
            assert self.process.running(), "swarm ended: " + self.process.err()[-300:]
            lines = self.process.out().split("\n")[:-1]
            return lines if len(lines) > self.said else None
        lines = wait(look, patience, f"the swarm: {command}")
        self.said = len(lines)
        r = json.loads(lines[-1])
        r["beacon_cpu_s"] = cpu(self.beacon.process) - used
        return r
