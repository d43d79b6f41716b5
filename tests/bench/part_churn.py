# SPDX-License-Identifier: Apache-2.0
"""How long nothing arrives when one end changes its address: godwit, then its peers."""
import math
from concurrent.futures import ThreadPoolExecutor

from common import median, say, spread
from netlab import World
from overlays import QUICK, SLOW, Godwit, GodwitCubic, GodwitPlain, install_npm, measurable, remark
from plot import bars, point
from trickle import Trickle

NAME = "churn"
TITLE = "An address changes while data flows: longest time without data"
NOTE = ("1,000 bytes each 2 ms over one TCP connection through `forward` and `expose`, two hosts and a router. "
        "\"Only receives\" is the hard case: the mover has nothing to send. The peers (each 5 ms, several at the same time) have 20 s to "
        "come back, are looked at for 3 s at least, and are otherwise said to do it never. Debian's wireguard-go of 2022 keeps a source address "
        "that the kernel then refuses.")
GOALS = [
    ("client moves and sends: at most 300 ms", "client moves, and sends", "median_ms", "<=", 300),
    ("client moves and only receives: at most 300 ms", "client moves, and only receives", "median_ms", "<=", 300),
    ("server moves and sends: at most 300 ms", "server moves, and sends", "median_ms", "<=", 300),
    ("server moves and only receives: at most 300 ms", "server moves, and only receives", "median_ms", "<=", 300),
]
TABLES = [("", {"median_ms": "ms", "runs": "rounds"}),
          ("The client moves, beside peers", {"sends_s": "and sends, s", "receives_s": "and only receives, s"})]
PATIENCE, AT_ONCE = 20, 6
NEVER = "never"
prepare = install_npm


def draw(rows, path):
    series = {"the mover sends": "sends_s", "the mover only receives": "receives_s"}
    some = {n: r for n, r in rows.items() if any(k in r for k in series.values())}

    def rank(name):
        return [r if not isinstance(r, str) else math.inf for r in (some[name].get(k, NEVER) for k in ("receives_s", "sends_s"))]
    names = sorted(some, key=rank)
    bars(path, "The client's address changes: seconds without data", "seconds, logarithmic (less is better)", names,
         {legend: [None if isinstance(some[n].get(k), str) else point(some[n], k) for n in names] for legend, k in series.items()},
         log=True, missing=f"never (not within {PATIENCE} s)")


PLOTS = [("churn-peers", "Seconds without data after the client's address has changed", draw)]


def once(cls, world, mover, upward, every_ms, patience):
    with world as w:
        flow = Trickle(cls(w), upward, every_ms).start()
        return flow.gap((w.b if mover == "client" else w.a).move(), patience)


def godwit(o):
    rows = {}
    for mover in ("client", "server"):
        for upward in (True, False):
            sends = (mover == "client") == upward
            name = f"{mover} moves, and {'sends' if sends else 'only receives'}"
            gaps = []
            for _ in range(o.rounds_or(6)):
                try:
                    gaps.append(once(Godwit, World(), mover, upward, 2, 60))
                except AssertionError as e:
                    say(f"  churn: {name}: FAILED: {str(e)[:300]}")
            rows[name] = spread("median_ms", gaps)
            say(f"  churn: {name}: {gaps}")
    return rows


def peer_once(cls, world, upward):
    """Seconds; infinite when nothing comes any more; None when it did not even start."""
    flow = None
    with world as w:
        try:
            flow = Trickle(cls(w), upward, 5).start()
            return flow.gap(w.b.move(), PATIENCE, watch=3) / 1000
        except AssertionError as e:
            if flow:
                return math.inf
            say(f"  churn: {cls.name}: FAILED: {str(e)[:300]}")
            return None


def seconds_row(key, values):
    finite = [v for v in values if v < math.inf]
    middle = median(values)
    return {key: middle if middle < math.inf else NEVER, f"all_{key}": spread(key, finite)[f"all_{key}"]}


def peers(o, there, failures):
    """Most of their time is waiting: several at once."""
    jobs = [(cls, upward) for _ in range(o.rounds_or(2)) for cls in there for upward in (True, False)]
    got, done = {}, 0
    with ThreadPoolExecutor(AT_ONCE) as pool:
        results = pool.map(lambda job: peer_once(*job), [(cls, World(), upward) for cls, upward in jobs])
        for (cls, upward), gap in zip(jobs, results):
            done += 1
            say(f"  [{done}/{len(jobs)}] churn: {cls.name}, mover {'sends' if upward else 'only receives'}: {gap} s")
            if gap is not None:
                got.setdefault(cls.name, {}).setdefault("sends_s" if upward else "receives_s", []).append(gap)
    failures.update({cls.name: "no data flowed" for cls in there if cls.name not in got})
    return {name: {k: v for key, values in some.items() for k, v in seconds_row(key, values).items()} for name, some in got.items()}


def run(book, o):
    there, failures = measurable([c for c in [*QUICK, *SLOW] if c not in (GodwitCubic, GodwitPlain)])
    rows = godwit(o)
    book.put(NAME, {**rows, **peers(o, there, failures)}, remark(there, failures))
