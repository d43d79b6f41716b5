# SPDX-License-Identifier: Apache-2.0
"""What forwarding costs a beacon, and streams through one."""
import load
from common import medians, rounds_of, spread

NAME = "relay"
TITLE = "Through a beacon"
NOTE = ("`tests/bench/hose.c` sends batches of 46 packets of 1,409 bytes from one core; the bare echo and the beacon have the other one. "
        "The ratio is that of Gbit for each second of the forwarder's processor time, since the load is what limits; budgets are lifted by "
        "`--limit`. The streams: two hosts that reach only the beacon, three processes on two cores, `--relay-only`. The last two rows are the "
        "simulator's (`build/tests/sim/sim --scenario cold`, `idle`): round trips by the relay from when the dialler's own beacon is "
        "there, and what a node with home and spare sends.")
GOALS = [
    ("UDP forwarding: at least 0.6 of the bare echo", "beacon, UDP forwarding", "ratio_to_echo", ">=", 0.6),
    ("relayed stream: at most 1.0 CPU seconds of the beacon a GB", "godwit, one stream, relayed over UDP", "beacon_cpu_s_per_gb", "<=", 1.0),
    ("relayed stream: at least 2 Gbit/s", "godwit, one stream, relayed over UDP", "gbit_s", ">=", 2.0),
    ("stream relayed over TLS: at least 0.3 Gbit/s", "godwit, one stream, relayed over TLS", "gbit_s", ">=", 0.3),
    ("cold dial: the peer's first byte after at most 3 round trips by the relay", "cold dial until the peer's first byte", "max_round_trips", "<=", 3.0),
    ("idle node: at most 48 datagrams in 10 minutes", "idle node, 10 minutes", "max_datagrams", "<=", 48),
]


def run(book, o):
    seconds = 1 if o.short else 4
    echoes, forwards = [], []

    def forwarding():
        limit, r = load.forwarding(seconds)
        echoes.append(limit)
        forwards.append(dict(r, ratio_to_echo=r["gbit_per_cpu_s"] / limit["gbit_per_cpu_s"]))
        return r
    contestants = {
        "beacon, UDP forwarding": forwarding,
        "godwit, one stream, relayed over UDP": lambda: load.relayed_stream(seconds),
        "godwit, one stream, relayed over TLS": lambda: load.relayed_stream(seconds, tls=True),
    }
    results = rounds_of("relay", contestants, o.rounds_or(5))
    results["beacon, UDP forwarding"] = forwards
    rows = {name: medians(runs) for name, runs in (("bare echo", echoes), *results.items()) if runs}
    seeds = 3 if o.short else 20
    trips = [float(x) for x, in load.simulated("cold", r"first byte after ([\d.]+) round trips", seeds)]
    rows["cold dial until the peer's first byte"] = {"max_round_trips": max(trips), **spread("round_trips", trips)}
    sent = [(int(n), int(size)) for n, size in load.simulated("idle", r"sent (\d+) datagrams, the largest of (\d+) bytes", seeds)]
    rows["idle node, 10 minutes"] = {"max_datagrams": max(n for n, _ in sent), "max_bytes": max(size for _, size in sent), "runs": seeds}
    book.put(NAME, rows)
