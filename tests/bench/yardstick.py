# SPDX-License-Identifier: Apache-2.0
"""What godwit is measured by: tests/bench/bare (ngtcp2 and GnuTLS alone) and tests/bench/pipe (no protocol at all).

Each end has a processor of its own: left alone, the scheduler likes to put both on one."""
import contextlib
import json
import os
import subprocess

from common import HERE, WORK, cpu_of
from load import tool
from netlab import Node, wait

PORT = "5555"


@contextlib.contextmanager
def core(number):
    """What is started meanwhile stays on this one."""
    mine = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {sorted(mine)[number % len(mine)]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, mine)


def bare(w, mode, *args, loopback=False, env=None, options=(), seconds=120):
    """One measurement between the world's two hosts, or within the first: what the client prints, figures of both ends."""
    client, address = (w.a, "127.0.0.1") if loopback else (w.b, w.a.address())
    env = dict(os.environ, **(env or {}))
    with core(0):
        server = w.a.spawn(tool("bare"), "serve", address, PORT, *options, env=env)
    server.wait_out("ready")
    with core(1):
        r = client.run(tool("bare"), mode, address, PORT, *map(str, args), *options, seconds=seconds, env=env)
    server.stop()
    assert r.code == 0, repr(r)
    return json.loads(r.out)


def peers(w, *args, seconds=300):
    """The rows that tests/bench/peers prints."""
    r = w.a.run(tool("peers"), *map(str, args), seconds=seconds)
    assert r.code == 0, repr(r)
    return [json.loads(line) for line in r.out.splitlines()]


def pipe():
    path, source = os.path.join(WORK, "pipe"), os.path.join(HERE, "pipe.c")
    if not os.path.exists(path) or os.path.getmtime(path) < os.path.getmtime(source):
        subprocess.run(["cc", "-O2", "-D_GNU_SOURCE", "-o", path, source, "-lcrypto"], check=True)
    return path


def piped(w, receiver, sender, *args, seconds=60):
    """What both ends of the pipe print."""
    with core(0):
        r = w.a.spawn(pipe(), receiver, w.a.address(), PORT)
    wait(lambda: "ready" in r.err(), 5, "the pipe's receiver")
    with core(1):
        s = w.b.run(pipe(), sender, w.a.address(), PORT, *map(str, args), seconds=seconds)
    assert s.code == 0, repr(s)
    r.wait(20)
    return json.loads(r.out() or "null"), json.loads(s.out)


def godwit(w, *benches, env=None):
    """`godwit bench` with each of these lists of arguments in turn against one server: what each prints, and the server's
    CPU seconds meanwhile."""
    server, client = Node(w.a, "server"), Node(w.b, "client")
    server.env.update(env or {})
    client.env.update(env or {})
    with core(0):
        server.up("--allow", "any")
    ticket = server.ok("ticket").split()[-1]
    results = []
    for args in benches:
        before = cpu_of(server.process.pid)
        with core(1):
            r = json.loads(client.ok("bench", ticket, "--json", *args, seconds=120))
        results.append((r, cpu_of(server.process.pid) - before))
    return results
