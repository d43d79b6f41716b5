# SPDX-License-Identifier: Apache-2.0
"""Flows over a bad link of the laboratory (tests/lab): godwit's by forward and expose, and the kernel's TCP."""
import json
import os
import statistics
import sys
import threading
import time

import natlab
from bulk import BUCKET
from netlab import Node

BULK = os.path.join(os.path.dirname(os.path.realpath(__file__)), "bulk.py")
FROZEN = 0.3  # s: the machine stood still, and a run measured that


def py(host, *args, env=None):
    return host.spawn(sys.executable, BULK, *[str(a) for a in args], name=f"bulk-{args[0]}", env=env)


class Heart:
    """Notices that the machine (a virtual one) was not running for a while."""

    def __init__(self):
        self.longest, self.beating = 0.0, True
        threading.Thread(target=self.beat, daemon=True).start()

    def beat(self):
        at = time.monotonic()
        while self.beating:
            time.sleep(0.02)
            self.longest, at = max(self.longest, time.monotonic() - at), time.monotonic()

    def stopped(self):
        self.beating = False
        return self.longest > FROZEN


def quantile(values, q):
    values = sorted(values)
    return values[min(len(values) - 1, int(q * len(values)))] if values else None


class Link:
    """Two public hosts with one bad link between them; a sends to b."""

    def __init__(self, rate, rtt, **more):
        self.rate, self.rtt, self.port = rate, rtt, 5000
        options = " ".join(f"{k}={v}" for k, v in {"rate": rate, "delay": rtt / 2, **more}.items())
        self.world = natlab.LabWorld(f"site A none hosts=a {options}\nsite B none hosts=b")

    def __enter__(self):
        self.world.__enter__()
        self.a, self.b = self.world.on("a"), self.world.on("b")
        self.to = self.world.address("b")
        self.n = 0
        py(self.b, "echo", 4000).wait_out("ready")
        return self

    def __exit__(self, *_):
        self.world.__exit__()

    def next_port(self):
        self.port += 1
        return self.port

    def nodes(self, congestion):
        """A server that offers bulk and echo, a client that forwards to them: where to connect to for bulk and for echo."""
        self.n += 1
        sink = self.next_port()
        bulk, small = self.next_port(), self.next_port()
        server, client = Node(self.b, f"server{self.n}"), Node(self.a, f"client{self.n}")
        for node in (server, client):
            node.env["GODWIT_CONGESTION"] = congestion
        server.up("--allow", "any", "--expose", f"bulk={sink}", "--expose", "echo=4000")
        ticket = server.ok("ticket").split()[-1]
        client.up("--forward", f"{bulk}={ticket}/bulk", "--forward", f"{small}={ticket}/echo")
        client.process.wait_listens(small)
        return sink, ("127.0.0.1", bulk), ("127.0.0.1", small), (server, client)

    def contestant(self, name):
        """(the sink's port, where to connect to for bulk, congestion control of that socket, for echo, nodes)"""
        kind, congestion = name.split()
        if kind == "tcp":
            port = self.next_port()
            return port, (self.to, port), congestion, (self.to, 4000), ()
        sink, bulk, small, nodes = self.nodes(congestion)
        return sink, bulk, None, small, nodes

    def run(self, names, seconds, small=False):
        """Flows beside one another for so long: for each its Mbit/s in buckets, then round trips of pings beside them, and of
        small messages through the first one."""
        for _ in range(3):
            heart = Heart()
            found = self.once(names, seconds, small)
            if not heart.stopped():
                break
        return found

    def once(self, names, seconds, small):
        flows = [self.contestant(n) for n in names]
        ends = []
        for port, to, congestion, _, _ in flows:
            sink = py(self.b, "sink", port, seconds)
            sink.wait_out("ready")
            ends.append((sink, lambda to=to, congestion=congestion: py(self.a, "source", *to, *([congestion] if congestion else []))))
        sources = [start() for _, start in ends]
        extra = [py(self.a, "ping", self.to, 4000, seconds - 1, 10)]
        if small:
            extra.append(py(self.a, "rounds", *flows[0][3], seconds - 1))
        found = []
        for sink, _ in ends:
            sink.child.wait(seconds + 60)
            r = json.loads(sink.out().splitlines()[-1])
            found.append([8 * b / BUCKET / 1e6 for b in r["buckets"]])
        for p in extra:
            p.child.wait(30)
            found.append(json.loads(p.out().splitlines()[-1]) if p.out().strip() else [])
        for s in sources:
            s.kill()
        for *_, nodes in flows:
            for node in nodes:
                node.process.stop()
        return found


def filled(buckets, rate):
    """Seconds until a half second carried 0.9 of the link."""
    width = round(0.5 / BUCKET)
    for i in range(len(buckets) - width):
        if statistics.mean(buckets[i:i + width]) >= 0.9 * rate:
            return round((i + width) * BUCKET, 2)
    return None


def jain(shares):
    return sum(shares) ** 2 / (len(shares) * sum(x * x for x in shares))


def of_one(link, buckets, pings):
    return {"share": statistics.mean(buckets) / link.rate, "later_share": statistics.mean(buckets[len(buckets) // 2:]) / link.rate,
            "fills_s": filled(buckets, link.rate), "queue_p50_ms": quantile(pings, 0.5) - link.rtt,
            "queue_p99_ms": quantile(pings, 0.99) - link.rtt}


def beside(link, found):
    """Shares after the first third."""
    shares = [statistics.mean(f[len(f) // 3:]) / link.rate for f in found[:-1]]
    return {"share": shares[0], "other_share": shares[1], "jain": jain(shares), "queue_p50_ms": quantile(found[-1], 0.5) - link.rtt}
