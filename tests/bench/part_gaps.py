# SPDX-License-Identifier: Apache-2.0
"""Seconds without data behind NATs, with two beacons (tests/lab)."""
import os
import re
import subprocess
import sys

from common import HERE, say, spread
from netlab import TOP

NAME = "gaps"
TITLE = "Behind NATs, with two beacons: longest time without data"
NOTE = ("`tests/bench/gaps.py` in the NAT laboratory: both hosts behind NATs of kind eim-apdf, beacons with 20 ms of round trip, 1,000 "
        "bytes each 2 ms one way through `forward` and `expose`. A gap counts from when the event begins (moving a host takes the "
        "laboratory about 30 ms itself).")
GOALS = [(f"{_name}, {_d}: at most {_bound} ms", f"{_name}, {_d}", "median_ms", "<=", _bound)
         for _name, _bound in (("client moves", 300), ("server moves", 300), ("both move at once", 1000), ("client's NAT reboots", 1000),
                               ("server's NAT reboots", 1000), ("home beacon killed while relayed", 2000),
                               ("home beacon killed while direct", 50), ("UDP blocked, was direct", 3000),
                               ("UDP blocked, was relayed", 3000), ("relay to direct at 200 Mbit/s", 50))
         for _d in ("client sends", "server sends")]
GOALS += [(f"direct within {_bound // 1000} s, {_name}", f"process start to direct, {_name}", "median_ms", "<=", _bound)
          for _name, _bound in (("eim-eif - eim-eif", 2000), ("eim-apdf - eim-apdf", 2000), ("double - firewall", 2000),
                                ("apdm - eim-apdf", 15000), ("apdm-seq - firewall", 15000))]
LONG = True

LAB = os.path.join(TOP, "tests", "lab", "lab")
GAPS = ["client moves", "server moves", "both move at once", "client's NAT reboots", "server's NAT reboots",
        "client moves, relayed", "home beacon killed while relayed", "home beacon killed while direct",
        "UDP blocked, was direct", "UDP blocked, was relayed", "switch"]
UNTIL_DIRECT = ["eim-eif:eim-eif", "eim-apdf:eim-apdf", "double:firewall", "apdm:eim-apdf", "apdm-seq:firewall"]


def in_laboratory(name, direction, runs):
    """Lines of gaps.py: two figures each."""
    argv = [LAB, "run", "-e", "server none", "--", sys.executable, os.path.join(HERE, "gaps.py"), name, direction, str(runs)]
    out = subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=False).stdout
    for line in out.splitlines():
        if line.startswith("FAILED"):
            say(f"  gaps: {name}: {line[:300]}")
    return [[float(x) for x in m.groups()] for m in re.finditer(r"^([\d.]+) ([\d.]+)$", out, re.M)]


def run(book, o):
    runs = o.rounds_or(10)
    rows = {}
    for name in GAPS:
        for direction, text in (("up", "client sends"), ("down", "server sends")):
            title = "relay to direct at 200 Mbit/s" if name == "switch" else name
            gaps = [g for g, _ in in_laboratory(name, direction, runs)]
            rows[f"{title}, {text}"] = spread("median_ms", gaps)
    for pair in UNTIL_DIRECT:
        both = in_laboratory(pair, "up", runs)
        direct, first = [d for d, _ in both], [f for _, f in both]
        rows[f"process start to direct, {pair.replace(':', ' - ')}"] = spread("first_reply_ms", first) | spread("median_ms", direct)
    book.put(NAME, rows)
