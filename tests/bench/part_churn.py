# SPDX-License-Identifier: Apache-2.0
"""How long nothing arrives when one end changes its address."""
from common import FlowTest, say, spread
from netlab import World

NAME = "churn"
TITLE = "An address changes while data flows: longest time without data"
NOTE = ("1,000 bytes each 2 ms through `forward` and `expose`, two hosts and a router. "
        "\"Only receives\" is the hard case: the mover has nothing to send.")
GOALS = [
    ("client moves and sends: at most 300 ms", "client moves, and sends", "median_ms", "<=", 300),
    ("client moves and only receives: at most 300 ms", "client moves, and only receives", "median_ms", "<=", 300),
    ("server moves and sends: at most 300 ms", "server moves, and sends", "median_ms", "<=", 300),
    ("server moves and only receives: at most 300 ms", "server moves, and only receives", "median_ms", "<=", 300),
]


def churn_once(mover, upward):
    with World() as w:
        flow = FlowTest(upward, 2).start(w)
        return flow.gap((w.b if mover == "client" else w.a).move())


def run(book, o):
    rows = {}
    for mover in ("client", "server"):
        for upward in (True, False):
            sends = (mover == "client") == upward
            name = f"{mover} moves, and {'sends' if sends else 'only receives'}"
            gaps = []
            for _ in range(o.rounds_or(10)):
                try:
                    gaps.append(churn_once(mover, upward))
                except AssertionError as e:
                    say(f"  churn: {name}: FAILED: {str(e)[:300]}")
            rows[name] = spread("median_ms", gaps)
    book.put(NAME, rows)
