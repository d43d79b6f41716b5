# SPDX-License-Identifier: Apache-2.0
"""1,000 bytes each few milliseconds in one direction through an overlay, and when they arrive (flow.py)."""
import os
import sys
import time

from common import HERE
from load import tool
from netlab import wait
from overlays import ECHO, FLOW_PORT

FLOW = os.path.join(HERE, "flow.py")


def start(overlay, seconds=30):
    """Both sides; returns (the echo of a's, when b's daemons were started, when the first byte had come back)."""
    overlay.make()
    overlay.server()
    echo = overlay.a.spawn(tool("trip"), "echo", overlay.bind, str(ECHO))
    echo.wait_listens(ECHO)
    first = overlay.b.spawn(tool("trip"), "first", overlay.target, str(ECHO), str(seconds))
    at = time.monotonic()
    overlay.client()
    assert first.wait(seconds + 5) == 0, f"nothing came through within {seconds} s: {overlay.w.logs(2)[-600:]}"
    return at, float(first.out())


class Trickle:
    def __init__(self, overlay, upward, every_ms):
        self.overlay, self.upward, self.every_ms = overlay, upward, every_ms

    def start(self):
        o = self.overlay
        start(o)
        far, near = ("sink", "source") if self.upward else ("source", "sink")
        self.far = o.a.spawn(sys.executable, FLOW, far, "listen", f"{o.bind}:{FLOW_PORT}", str(self.every_ms), name="far-" + far)
        self.far.wait_listens(FLOW_PORT)
        self.near = o.b.spawn(sys.executable, FLOW, near, "connect", f"{o.target}:{FLOW_PORT}", str(self.every_ms), name="near-" + near)
        self.sink = self.far if self.upward else self.near
        wait(lambda: len(self.times()) > 50, 20, "data to flow")
        return self

    def times(self):
        """Arrival times of blocks (monotonic clock), only whole lines."""
        return [float(x) for x in self.sink.out().split("\n")[:-1]]

    def first_after(self, at, seconds):
        def look():
            assert self.far.running() and self.near.running(), "the connection ended: " + self.overlay.w.logs(3)
            times = self.times()
            return times if times and times[-1] > at + 0.02 else None
        return wait(look, seconds, "data to flow again")

    def gap(self, at, patience=60, watch=0.5):
        """Longest time without data since `at`, in ms: looked at for `watch` seconds, and until data flows."""
        times = self.first_after(at + watch, watch + patience)
        return max((b - a) * 1000 for a, b in zip(times, times[1:]) if b > at)
