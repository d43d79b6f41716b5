# SPDX-License-Identifier: Apache-2.0
"""Where both ends' processor time goes in a bulk transfer, for docs/performance.md: a table and flame graphs."""
import json
import os
import shutil
import signal

import flame
from common import WORK, cpu_of, say
from netlab import Node, World, binary
from yardstick import core

NAME = "profile"
LONG = True
TITLE = "Where the time goes"
NOTE = ("`perf` samples both ends of one stream, and of a TCP connection through `forward` and `expose` (`cpu-clock`, stacks by DWARF); "
        "nanoseconds of processor time for each packet of the transfer. *Delivery* is what the kernel does on this processor for the receiving "
        "socket: a veth pair and the loopback have no wire. Flame graphs, and what follows from them: [performance.md](performance.md).")
GOALS = []


def drawing(name):
    return os.path.join(WORK, f"flame-{name}.svg")


PLOTS = [(f"flame-{name}", f"Flame graph: {name}", lambda _, path, name=name: shutil.copy(drawing(name), path))
         for name in ("sender", "receiver", "forward", "expose")]


class Recording:
    """perf, attached to a running process."""

    def __init__(self, node, name, pid):
        self.name, self.path = name, os.path.join(WORK, f"{name}.perf")
        self.process = node.host.spawn(*flame.record(self.path, "-p", str(pid)), name="perf")
        self.pid = pid
        self.cpu = cpu_of(pid)

    def stop(self):
        self.cpu = cpu_of(self.pid) - self.cpu
        self.process.signal(signal.SIGINT)
        self.process.wait(60)
        return flame.folded(self.path)


def received(node):
    return node.status()["datagrams"]["received"]


def row(stacks, cpu, packets, size):
    """ns of each class for a packet, and all of them for a byte."""
    ns = {name: share * cpu * 1e9 / packets for name, share in flame.by_class(stacks).items()}
    return {**ns, "all": cpu * 1e9 / packets, "ns_per_byte": cpu * 1e9 / size, "packets": packets, "samples": sum(stacks.values())}


def bench_once(seconds):
    with World(direct=True) as w:
        server, client = Node(w.a, "server"), Node(w.b, "client")
        with core(0):
            server.up("--allow", "any")
        ticket = server.ok("ticket").split()[-1]
        path = os.path.join(WORK, "sender.perf")
        command = flame.record(path, "-D", "300", "--", binary(), "bench", ticket, "--json", "--seconds", str(seconds))
        before, recording = received(server), Recording(server, "receiver", server.process.pid)
        with core(1):
            r = client.host.run(*command, seconds=120, env=client.env)
        assert r.code == 0, repr(r)
        result = json.loads(r.out)
        receiver, packets = recording.stop(), received(server) - before
        return {"sender": (flame.folded(path), result["cpu_s"], packets, result["bytes"]),
                "receiver": (receiver, recording.cpu, packets, result["bytes"])}


def forward_once(seconds):
    with World(direct=True) as w:
        server, client = Node(w.a, "server"), Node(w.b, "client")
        w.a.spawn("iperf3", "-s", "-B", "127.0.0.1").wait_listens(5201)
        with core(0):
            destination = server.expose("5201", "iperf")
        with core(1):
            client.forward("5201", destination)
        before = received(server)
        recordings = [Recording(n, name, n.process.pid) for n, name in ((client, "forward"), (server, "expose"))]
        r = w.b.run("iperf3", "-c", "127.0.0.1", "-C", "cubic", "-t", str(seconds), "-J", seconds=seconds + 40)
        assert r.code == 0, repr(r)
        stacks = [x.stop() for x in recordings]
        packets, size = received(server) - before, json.loads(r.out)["end"]["sum_received"]["bytes"]
        return {x.name: (s, x.cpu, packets, size) for x, s in zip(recordings, stacks)}


def run(book, o):
    reason = flame.refused()
    if reason:
        say(f"bench: {NAME}: {reason}")
        return
    seconds, rows = (1 if o.short else 5), {}
    for measure in (bench_once, forward_once):
        for name, end in measure(seconds).items():
            rows[name] = row(*end)
            flame.draw(end[0], f"{name}: where the time goes, width is processor time", drawing("short-" + name if o.short else name))
    book.put(NAME, rows)
