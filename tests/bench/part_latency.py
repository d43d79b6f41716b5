# SPDX-License-Identifier: Apache-2.0
"""64 bytes there and back: `godwit bench`, beside bare ngtcp2 and plain TCP."""
from common import medians, ratios, rounds_of
from netlab import World
from yardstick import bare, godwit, piped

NAME = "latency"
TITLE = "64 bytes there and back on one stream"
NOTE = ("One after the other, 1,000 times, without a pause. Bare is `tests/bench/bare.c`; plain TCP is `tests/bench/pipe.c`: two processes that "
        "block in the kernel. Each end has a processor of its own.")
GOALS = []
ROUNDS = 1000


def godwit_once():
    with World(direct=True) as w:
        (r, _), = godwit(w, ["--seconds", "0.1"])
        return {"p50_us": r["rtt_us"]["p50"], "p99_us": r["rtt_us"]["p99"]}


def bare_once():
    with World(direct=True) as w:
        r = bare(w, "rtt", ROUNDS)
        return {k: r[k] for k in ("p50_us", "p99_us")}


def tcp_once():
    with World(direct=True) as w:
        r = piped(w, "echo", "rtt", ROUNDS)[1]
        return {k: r[k] for k in ("p50_us", "p99_us")}


def run(book, o):
    results = rounds_of("latency", {"plain TCP": tcp_once, "bare": bare_once, "godwit": godwit_once}, o.rounds_or(9))
    rows = {name: medians(runs) for name, runs in results.items()}
    for other, name in (("bare", "ratio_to_bare"), ("plain TCP", "ratio_to_tcp")):
        ratios(rows.get("godwit", {}), results.get("godwit", []), results.get(other, []), "p50_us", name)
    book.put(NAME, rows)
