# SPDX-License-Identifier: Apache-2.0
"""What godwit is measured by: tests/bench/bare (ngtcp2 and GnuTLS alone) and tests/bench/pipe (no protocol at all)."""
import json
import os
import subprocess

from common import HERE, WORK
from load import tool
from netlab import wait

PORT = "5555"


def bare(w, mode, *args, env=None, seconds=120):
    """One measurement between the world's two hosts: what the client prints, figures of both ends."""
    env = dict(os.environ, **(env or {}))
    server = w.a.spawn(tool("bare"), "serve", w.a.address(), PORT, env=env)
    server.wait_out("ready")
    r = w.b.run(tool("bare"), mode, w.a.address(), PORT, *map(str, args), seconds=seconds, env=env)
    server.stop()
    assert r.code == 0, repr(r)
    return json.loads(r.out)


def pipe():
    path, source = os.path.join(WORK, "pipe"), os.path.join(HERE, "pipe.c")
    if not os.path.exists(path) or os.path.getmtime(path) < os.path.getmtime(source):
        subprocess.run(["cc", "-O2", "-D_GNU_SOURCE", "-o", path, source, "-lcrypto"], check=True)
    return path


def piped(w, receiver, sender, *args, seconds=60):
    """What both ends of the pipe print."""
    r = w.a.spawn(pipe(), receiver, w.a.address(), PORT)
    wait(lambda: "ready" in r.err(), 5, "the pipe's receiver")
    s = w.b.run(pipe(), sender, w.a.address(), PORT, *map(str, args), seconds=seconds)
    assert s.code == 0, repr(s)
    r.wait(20)
    return json.loads(r.out() or "null"), json.loads(s.out)
