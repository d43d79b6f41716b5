# SPDX-License-Identifier: Apache-2.0
"""How soon data flows again after the network was away."""
import threading
import time

from common import say, spread
from netlab import World, wait
from overlays import Godwit
from trickle import Trickle

NAME = "outage"
TITLE = "After an outage: from the link's return to the first new byte"
NOTE = ("1,000 bytes each 10 ms. *With a link event* the host's own link goes down and up; *without*, a router "
        "in between swallows packets and nobody is told.")
GOALS = [(f"outage of {_s} s {_e} a link event, client {_d}: at most {_limit // 1000} s",
          f"{_s} s, {_e} a link event, client {_d}", "median_ms", "<=", _limit)
         for _s in (10, 60, 600) for _e, _limit in (("with", 1000), ("without", 2000)) for _d in ("sends", "receives")]
LONG = True


def outage_once(seconds, event, upward, out, n):
    try:
        with World() as w:
            flow = Trickle(Godwit(w), upward, 10).start()
            time.sleep(0.1 * n)  # not all at the same instant
            if event:
                w.b.link("down")
            else:
                w.forwarding(False)
            off = time.monotonic()
            # A phase of its own for each run: timers that tick each second are hit anywhere.
            wait(lambda: time.monotonic() - off > seconds + 0.1 * n, seconds + 20, "the outage")
            at = w.b.link("up") if event else w.forwarding(True)
            times = flow.first_after(at, 60)
            out.append((next(t for t in times if t > at) - at) * 1000)
    except Exception as e:
        say(f"  outage of {seconds} s: FAILED: {str(e)[:300]}")


def run(book, o):
    rows = {}
    for seconds in [2] if o.short else [10, 60, 600] if o.long else [10, 60]:
        for event in (True, False):
            for upward in (True, False):
                name = f"{seconds} s, {'with' if event else 'without'} a link event, client {'sends' if upward else 'receives'}"
                healed, threads = [], []
                for n in range(2 if o.short else o.rounds or 10):
                    t = threading.Thread(target=outage_once, args=(seconds, event, upward, healed, n))
                    t.start()
                    threads.append(t)
                for t in threads:
                    t.join()
                rows[name] = spread("median_ms", healed)
    book.put(NAME, rows)
