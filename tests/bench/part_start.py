# SPDX-License-Identifier: Apache-2.0
"""From the start of a process to the first byte from afar."""
import os
import subprocess
import sys
import time

import netlab
from common import HERE, spread
from netlab import Node, World

NAME = "start"
TITLE = "Cold start"
NOTE = "Process start, key from disk, dial, stream, the service's first byte."
GOALS = [
    ("cold start: under 30 ms", "godwit connect, start to first byte", "median_ms", "<=", 30),
]


def connect_once(client, ticket):
    argv = client.host.inside([netlab.binary(), "connect", ticket])
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


def run(book, o):
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
                    "for comparison: echo, started the same way": spread("median_ms", bare)})
