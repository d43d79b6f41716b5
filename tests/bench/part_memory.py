# SPDX-License-Identifier: Apache-2.0
"""What an idle node, a connected and a parked peer hold."""
import json
import time

from common import say, spread
from load import tool
from netlab import Node, World, wait

NAME = "memory"
TITLE = "Memory"
NOTE = "`bytes` is what the heap holds for each, `rss_bytes` by how much the process has grown."
GOALS = [
    ("idle node: under 8 MB", "idle node, RSS", "kib", "<=", 8_000_000 / 1024),
    ("parked peer: under 4 KB of RSS", "parked peer", "rss_bytes", "<=", 4000),
]


def idle_rss():
    with World(direct=True) as w:
        node = Node(w.a, "server").up("--expose", "x=7000", "--allow", "any")
        end = time.monotonic() + 1
        wait(lambda: time.monotonic() > end, 2, "a second of idling")
        return node.process.rss_kib()


def run(book, o):
    rows = {}
    runs = [idle_rss() for _ in range(1 if o.short else 3)]
    rows["idle node, RSS"] = spread("kib", runs)
    with World(direct=True) as w:
        r = w.a.run(tool("peers"), "200" if o.short else "600", seconds=600)
        if r.code == 0:
            for line in r.out.strip().split("\n"):
                row = json.loads(line)
                rows[row.pop("row")] = row
        else:
            say(f"  memory: peers FAILED: {r!r}")
    book.put(NAME, rows)
