# SPDX-License-Identifier: Apache-2.0
"""From the start of a process to the first byte from afar."""
import os
import subprocess
import sys
import time

import netlab
from common import HERE, spread
from netlab import Node, World
from test_trust import beacon_and_ca, invite

NAME = "start"
TITLE = "Cold start"
NOTE = ("Process start, key from disk, dial, stream, the service's first byte. A CI job has an invite in its environment and an empty home: it makes a key, "
        "joins, finds the service by its name at a beacon, and is relayed or direct, whichever is first.")
GOALS = [
    ("cold start: under 30 ms", "godwit connect, start to first byte", "median_ms", "<=", 30),
    ("CI job from invite to first byte: under 150 ms", "CI job, an invite to the first byte by name", "median_ms", "<=", 150),
]


def connect_once(client, destination):
    argv = client.host.inside([netlab.binary(), "connect", destination])
    started = time.monotonic()
    p = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=client.env)
    first = os.read(p.stdout.fileno(), 1)
    took = (time.monotonic() - started) * 1000
    p.kill()
    p.wait()
    p.stdin.close()
    p.stdout.close()
    assert first, "connect ended without a byte"
    return took


def job_times(rounds):
    """Each time a new home and a new key."""
    with World() as w:
        beacon, ca = beacon_and_ca(w)
        greeter = w.a.spawn(sys.executable, os.path.join(HERE, "..", "net", "helper.py"), "drip", "7000", "1000")
        greeter.wait_listens(7000)
        ca.up("--expose", "greet=7000", "--allow", "network:acme")
        word = invite(ca)
        times = []
        for i in range(rounds):
            job = Node(w.b, f"job{i}")
            job.env.update(GODWIT_INVITE=word)
            times.append(connect_once(job, "ca.acme/greet"))
        return times


def run(book, o):
    jobs = job_times(3 if o.short else 20)
    with World() as w:
        greeter = w.a.spawn(sys.executable, os.path.join(HERE, "..", "net", "helper.py"), "drip", "7000", "1000")
        greeter.wait_listens(7000)
        server, client = Node(w.a, "server"), Node(w.b, "client")
        server.up("--expose", "greet=7000", "--allow", "any")
        ticket = server.ticket("greet")
        client.ok("id")
        times = [connect_once(client, ticket) for _ in range(3 if o.short else 20)]
        # The same without godwit: starting a process in the namespace, until it says something.
        bare = []
        for _ in range(len(times)):
            started = time.monotonic()
            p = subprocess.Popen(client.host.inside(["echo", "x"]), stdout=subprocess.PIPE)
            os.read(p.stdout.fileno(), 1)
            bare.append((time.monotonic() - started) * 1000)
            p.wait()
            p.stdout.close()
    book.put(NAME, {"godwit connect, start to first byte": spread("median_ms", times),
                    "CI job, an invite to the first byte by name": spread("median_ms", jobs),
                    "for comparison: echo, started the same way": spread("median_ms", bare)})
