# SPDX-License-Identifier: Apache-2.0
"""What an idle node, a connected and a parked peer hold, beside a connection of bare ngtcp2; what many idle peers cost."""
import time

from common import rounds_of, spread
from netlab import Node, World, wait
from yardstick import bare, peers

NAME = "memory"
TITLE = "Memory, and idling"
NOTE = ("`tests/bench/peers.c`: others with a key and a socket each connect to one node, and stay; all over loopback. `bytes` is what the heap "
        "holds for each, `rss_bytes` by how much the process has grown; bare is the server's side of `tests/bench/bare.c`, "
        "which keeps each connection alive each 25 s; godwit keeps those alive that have streams, and ends others after 5 minutes.")
GOALS = [
    ("idle node: under 8 MB", "idle node, RSS", "kib", "<=", 8_000_000 / 1024),
    ("connected idle peer: at most 4 KB more than a connection of bare ngtcp2", "connected idle peer", "rss_above_bare", "<=", 4096),
    ("parked peer: at most 1 KB", "parked peer", "bytes", "<=", 1024),
    ("10,000 idle peers: under 1 % of a processor", "node with idle peers", "cpu_percent", "<=", 1.0),
]

KEPT = 4000  # no more are forgotten for want of room


def idle_rss():
    with World(direct=True) as w:
        node = Node(w.a, "server").up("--expose", "x=7000", "--allow", "any")
        end = time.monotonic() + 1
        wait(lambda: time.monotonic() > end, 2, "a second of idling")
        return node.process.rss_kib()


def bare_once(count, seconds):
    with World(direct=True) as w:
        r = bare(w, "idle", count, seconds, loopback=True, seconds=300)
        return {"bytes": r["server_heap_bytes"], "rss_bytes": r["server_rss_bytes"], "connections": count,
                "cpu_percent": r["server_cpu_percent"]}


def godwit_once(count, seconds):
    with World(direct=True) as w:
        rows = peers(w, "idle", count, seconds) + peers(w, "streams", count, seconds, 1)
        rows = {row.pop("row"): row for row in rows}
        rows["parked peer, 4,096 kept of 10,000"] = rows["parked peer"]
        rows["parked peer"] = peers(w, "idle", min(count, KEPT), 1)[-1]
        del rows["parked peer"]["row"]
        return rows


def run(book, o):
    count, seconds = (300, 2) if o.short else (10000, 25)  # of the keep-alives, one each
    rows = {"idle node, RSS": spread("kib", [idle_rss() for _ in range(1 if o.short else 3)])}
    contestants = {"bare": lambda: bare_once(count, seconds), "godwit": lambda: godwit_once(count, seconds)}
    found = {name: runs[0] for name, runs in rounds_of(NAME, contestants, 1).items()}
    rows.update({name: row for name, row in found.get("godwit", {}).items() if name != "round"})
    if len(found) == 2:
        own, bare_row = rows["connected idle peer"], found["bare"]
        own.update(bytes_above_bare=own["bytes"] - bare_row["bytes"], rss_above_bare=own["rss_bytes"] - bare_row["rss_bytes"])
    if "bare" in found:
        rows["bare: idle connection"] = {k: v for k, v in found["bare"].items() if k != "round"}
    book.put(NAME, rows)
